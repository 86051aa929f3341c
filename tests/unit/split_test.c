/* Every hand-written splitter against PCRE2 with the published regex, on random text: code, prose,
 * and characters of every class that the regexes tell apart. Characters whose class differs between
 * the Unicode versions of PCRE2 and utf8proc are left out (and counted: there must be few). */
#include "base/rng.h"
#include "support.h"
#include "text/split_chars.h"
#include "text/tokenizer_impl.h"
#include <stdlib.h>

enum { ROUNDS = 3000, MAX_TEXT = 240 };

static const char deepseek_words[] =
    "\\s?[A-Za-z\\x{b5}\\x{c0}-\\x{d6}\\x{d8}-\\x{f6}\\x{f8}-\\x{1ba}\\x{1bc}-\\x{1bf}"
    "\\x{1c4}-\\x{293}\\x{295}-\\x{2af}\\x{370}-\\x{373}\\x{376}\\x{377}\\x{37b}-\\x{37d}"
    "\\x{37f}\\x{386}\\x{388}-\\x{38a}\\x{38c}\\x{38e}-\\x{3a1}\\x{3a3}-\\x{3f5}\\x{3f7}-"
    "\\x{481}\\x{48a}-\\x{52f}\\x{531}-\\x{556}\\x{10a0}-\\x{10c5}\\x{13a0}-\\x{13f5}"
    "\\x{13f8}-\\x{13fd}\\x{1c90}-\\x{1cba}\\x{1cbd}-\\x{1cbf}\\x{1d00}-\\x{1d2b}"
    "\\x{1d6b}-\\x{1d77}\\x{1d79}-\\x{1d9a}\\x{1e00}-\\x{1f15}\\x{1f18}-\\x{1f1d}"
    "\\x{1f20}-\\x{1f45}\\x{1f48}-\\x{1f4d}\\x{1f50}-\\x{1f57}\\x{1f59}\\x{1f5b}\\x{1f5d}"
    "\\x{1f5f}-\\x{1f7d}\\x{1f80}-\\x{1fb4}\\x{1fb6}-\\x{1fbc}\\x{1fbe}\\x{1fc2}-"
    "\\x{1fc4}\\x{1fc6}-\\x{1fcc}\\x{1fd0}-\\x{1fd3}\\x{1fd6}-\\x{1fdb}\\x{1fe0}-"
    "\\x{1fec}\\x{1ff2}-\\x{1ff4}\\x{1ff6}-\\x{1ffc}\\x{2102}\\x{2107}\\x{210a}-\\x{2113}"
    "\\x{2115}\\x{2119}-\\x{211d}\\x{2124}\\x{2126}\\x{2128}\\x{212a}-\\x{212d}\\x{212f}-"
    "\\x{2134}\\x{2139}\\x{213c}-\\x{213f}\\x{2145}-\\x{2149}\\x{214e}\\x{2183}\\x{2184}"
    "\\x{2c00}-\\x{2c7b}\\x{2c7e}-\\x{2ce4}\\x{2ceb}-\\x{2cee}\\x{2cf2}\\x{2cf3}\\x{a640}"
    "-\\x{a66d}\\x{a680}-\\x{a69b}\\x{a722}-\\x{a76f}\\x{a771}-\\x{a787}\\x{a78b}-"
    "\\x{a78e}\\x{ab70}-\\x{abbf}\\x{fb00}-\\x{fb06}\\x{fb13}-\\x{fb17}\\x{ff21}-"
    "\\x{ff3a}\\x{ff41}-\\x{ff5a}\\x{10400}-\\x{1044f}\\x{104b0}-\\x{104d3}\\x{104d8}-"
    "\\x{104fb}\\x{10c80}-\\x{10cb2}\\x{10cc0}-\\x{10cf2}\\x{118a0}-\\x{118df}\\x{1e900}-"
    "\\x{1e943}]+";
static const char deepseek_punct[] =
    "\\s?[!-/:-~\\x{ff01}-\\x{ff0f}\\x{ff1a}-\\x{ff5e}\\x{2018}-\\x{201f}\\x{3000}-\\x{3002}]+";

struct fixture {
    struct tokenizer t;
    struct encoder e;
    struct tokens out;
    uint32_t *agreed; /* code points whose class both know alike */
    size_t n_agreed;
};

static struct regex *compile(const char *pattern)
{
    struct err err = {0};
    struct regex *r;
    assert_ok(regex_compile(&r, str_from(pattern), "test", &err));
    return r;
}

static bool is_match(struct encoder *e, const struct regex *r, struct str text)
{
    size_t start, end;
    return regex_find(e, r, text, 0, &start, &end) && start == 0 && end == text.n;
}

static int find_agreed(void **state)
{
    static const struct {
        const char *regex;
        unsigned cls;
    } classes[] = {
        {"\\p{L}", UC_LETTER},          {"\\p{N}", UC_NUMBER}, {"\\s", UC_SPACE},
        {"\\p{P}", UC_PUNCT},           {"\\p{S}", UC_SYMBOL}, {"\\p{M}", UC_MARK},
        {"[\\p{Lu}\\p{Lt}]", UC_UPPER}, {"\\p{Ll}", UC_LOWER},
    };
    enum { N = sizeof classes / sizeof *classes };
    struct fixture *f = calloc(1, sizeof *f);
    struct regex *r[N];
    size_t differ = 0;
    encoder_init(&f->e, &f->t, 0, &f->out, NULL);
    f->agreed = malloc(0x110000 * sizeof *f->agreed);
    for (int k = 0; k < N; k++)
        r[k] = compile(classes[k].regex);
    for (uint32_t cp = 0; cp < 0x110000; cp++) {
        char text[4];
        if (cp >= 0xd800 && cp < 0xe000)
            continue;
        struct str s = {text, (size_t)utf8_encode(cp, text)};
        bool same = true;
        for (int k = 0; k < N; k++)
            same &= is_match(&f->e, r[k], s) == !!(unicode_class(cp) & classes[k].cls);
        if (same)
            f->agreed[f->n_agreed++] = cp;
        differ += !same;
    }
    for (int k = 0; k < N; k++)
        regex_free(r[k]);
    print_message("%zu code points differ between the Unicode versions\n", differ);
    *state = f;
    return differ > 6000; /* one or two versions' new characters */
}

static int release(void **state)
{
    struct fixture *f = *state;
    free(f->agreed);
    tokens_free(&f->out);
    enum status s = encoder_done(&f->e);
    free(f);
    return s != OK;
}

/* The ends of the pieces that isolating the matches gives. */
static size_t cut_regex(struct encoder *e, const struct regex *r, struct str text, size_t *ends)
{
    size_t n = 0, at = 0, start, end;
    while (at < text.n && regex_find(e, r, text, at, &start, &end)) {
        assert_true(end > start);
        if (start > at)
            ends[n++] = start;
        ends[n++] = at = end;
    }
    if (at < text.n)
        ends[n++] = text.n;
    return n;
}

static size_t cut_split(split_fn *fn, struct str text, size_t *ends)
{
    size_t n = 0;
    for (size_t at = 0; at < text.n;) {
        size_t len = fn(text.p + at, text.n - at);
        assert_true(len >= 1 && len <= text.n - at);
        ends[n++] = at += len;
    }
    return n;
}

static uint32_t pick(const uint32_t *list, size_t n, struct rng *r)
{
    return list[rng_next(r) % n];
}

/* Characters where alternatives meet. */
static const uint32_t borders[] = {
    ' ',    ' ',    ' ',    '\n',   '\n',   '\r',   '\t',    0x0b,   0x85,   0xa0,  0x2028,
    0x3000, '\'',   '\'',   's',    't',    'T',    'r',     'e',    'v',    'E',   'l',
    'L',    'm',    'd',    'D',    0x17f,  0x212a, 'A',     'b',    'Z',    '1',   '2',
    '3',    '9',    0xb2,   0xbd,   0x661,  0x2160, '.',     ',',    '!',    '-',   '/',
    '_',    '(',    ')',    '<',    '|',    '`',    '~',     '$',    '+',    '=',   '^',
    0x301,  0x5d0,  0x6cc,  0x915,  0x93e,  0x4e00, 0x9fa5,  0x9fa6, 0x800,  0x7ff, 0xac00,
    0xd7a3, 0x3042, 0x30a2, 0x30fc, 0x1c5,  0x2b0,  0x1f600, 0x200d, 0,      1,     0x7f,
    0x378,  0xe000, 0x2026, 0x201c, 0xff01, 0xff21, 0xe9,    0xc9,   0x180e, 0x300,
};

static size_t random_text(const struct fixture *f, struct rng *r, char *out)
{
    size_t n = 0, chars = 1 + rng_next(r) % (MAX_TEXT / 4 - 1);
    unsigned style = (unsigned)(rng_next(r) % 4);
    for (size_t i = 0; i < chars; i++) {
        uint32_t cp = pick(borders, sizeof borders / sizeof *borders, r);
        if (style == 1 && rng_next(r) % 3)
            cp = (uint32_t)(0x20 + rng_next(r) % 0x5f);
        else if (style == 2 && rng_next(r) % 2)
            cp = pick(f->agreed, f->n_agreed, r);
        else if (style == 3 && rng_next(r) % 2)
            cp = pick(f->agreed, f->n_agreed < 0x3000 ? f->n_agreed : 0x3000, r);
        n += (size_t)utf8_encode(cp, out + n);
    }
    return n;
}

static void compare(struct fixture *f, const char *pattern, split_fn *fn)
{
    struct regex *re = compile(pattern);
    struct rng rng;
    rng_seed(&rng, 7);
    for (int round = 0; round < ROUNDS; round++) {
        char text[MAX_TEXT + 4];
        size_t want[MAX_TEXT + 4], got[MAX_TEXT + 4];
        struct str s = {text, random_text(f, &rng, text)};
        size_t n = cut_regex(&f->e, re, s, want), k = cut_split(fn, s, got);
        if (n == k && memcmp(got, want, n * sizeof *got) == 0)
            continue;
        print_message("%s\n  on '%.*s'\n  want", pattern, STR_ARG(s));
        for (size_t i = 0; i < n; i++)
            print_message(" %zu", want[i]);
        print_message("\n  got ");
        for (size_t i = 0; i < k; i++)
            print_message(" %zu", got[i]);
        fail_msg("round %d", round);
    }
    regex_free(re);
}

static void splitters_equal_their_regexes(void **state)
{
    split_fn *fn;
    const char *pattern;
    for (size_t i = 0; (pattern = split_known_regex(i, &fn)); i++)
        compare(*state, pattern, fn);
    compare(*state, deepseek_words, split_deepseek_words);
    compare(*state, deepseek_punct, split_deepseek_punct);
    compare(*state, "\\s+\\z", split_trailing_space); /* DeepSeek has cut at line ends before */
}

/* Bad UTF-8 is cut too, into pieces that cover it. */
static void any_bytes_are_cut(void **state)
{
    split_fn *fn;
    struct rng rng;
    (void)state;
    rng_seed(&rng, 3);
    for (size_t i = 0; split_known_regex(i, &fn); i++)
        for (int round = 0; round < 500; round++) {
            char text[64];
            size_t ends[64], n = 1 + rng_next(&rng) % 63;
            for (size_t k = 0; k < n; k++)
                text[k] = (char)(rng_next(&rng) % 3 ? rng_next(&rng) : 0x20 + rng_next(&rng) % 64);
            size_t pieces = cut_split(fn, (struct str){text, n}, ends);
            assert_int_equal(ends[pieces - 1], n);
        }
}

static void names_and_regexes_are_found(void **state)
{
    (void)state;
    assert_non_null(split_find(STR("llama-bpe")));
    assert_true(split_find(STR(""))->stage[0] == split_find(STR("default"))->stage[0]);
    assert_null(split_find(STR("no such name")));
    assert_null(split_for_regex(STR("a|b")));
    assert_true(split_for_regex(STR("\\p{N}{1,3}")) == split_numbers3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splitters_equal_their_regexes),
        cmocka_unit_test(any_bytes_are_cut),
        cmocka_unit_test(names_and_regexes_are_found),
    };
    return cmocka_run_group_tests(tests, find_agreed, release);
}
