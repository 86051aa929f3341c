/* Splitters of the GPT-2 and cl100k families: contractions, words, numbers, punctuation, space.
 *
 * Each is its regex's alternatives in order, tried at the start of the text; where a regex would
 * backtrack, the comment says what it ends with. tests/unit/split_test.c compares every one with
 * PCRE2 running the published regex. */
#include "text/split_chars.h"

const unsigned char split_ascii_class[128] = {
    0,   0,   0,   0,   0,   0,   0,   0,   0,   4,   4,   4,   4,   4,   0,   0,   0,   0,   0,
    0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   4,   8,   8,   8,   16,  8,
    8,   8,   8,   8,   8,   16,  8,   8,   8,   8,   2,   2,   2,   2,   2,   2,   2,   2,   2,
    2,   8,   8,   16,  16,  16,  8,   8,   65,  65,  65,  65,  65,  65,  65,  65,  65,  65,  65,
    65,  65,  65,  65,  65,  65,  65,  65,  65,  65,  65,  65,  65,  65,  65,  8,   8,   8,   16,
    8,   16,  129, 129, 129, 129, 129, 129, 129, 129, 129, 129, 129, 129, 129, 129, 129, 129, 129,
    129, 129, 129, 129, 129, 129, 129, 129, 129, 8,   16,  8,   16,  0,
};

/* 's 't 'm 'd 'll 've 're at the start of p (which is an apostrophe), or 0. fold: in any case,
 * where U+017F (long s) folds to s. */
static size_t contraction(const char *p, size_t n, bool fold)
{
    if (n < 2 || p[0] != '\'')
        return 0;
    char a = p[1], b = n > 2 ? p[2] : 0;
    if (fold) {
        if (a >= 'A' && a <= 'Z')
            a |= 0x20;
        if (b >= 'A' && b <= 'Z')
            b |= 0x20;
        if ((unsigned char)a == 0xc5 && (unsigned char)b == 0xbf)
            return 3;
    }
    if (a == 's' || a == 't' || a == 'm' || a == 'd')
        return 2;
    if ((a == 'l' && b == 'l') || ((a == 'v' || a == 'r') && b == 'e'))
        return 3;
    return 0;
}

/* The common piece, a word of ASCII letters with or without the space in front: its end; 0: this
 * text starts with something else. letters: the classes that go on after ASCII. */
static inline __attribute__((always_inline)) size_t ascii_word(const char *p, size_t n,
                                                               unsigned letters)
{
    size_t at = p[0] == ' ' && n > 1;
    bool ascii;
    if (!ascii_is(p[at], UC_LETTER))
        return 0;
    at = run_ascii_letters(p, n, at, &ascii);
    return ascii ? at : run_of(p, n, at, letters);
}

/* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
size_t split_gpt2(const char *p, size_t n)
{
    size_t len = ascii_word(p, n, UC_LETTER);
    if (!len)
        len = contraction(p, n, false);
    if (len)
        return len;
    size_t at = p[0] == ' ';
    struct ch c = ch_at(p, n, at);
    if (c.cls & UC_LETTER)
        return run_of(p, n, at + c.len, UC_LETTER);
    if (c.cls & UC_NUMBER)
        return run_of(p, n, at + c.len, UC_NUMBER);
    if (!(c.cls & (UC_SPACE | UC_END)))
        return run_not(p, n, at + c.len, UC_SPACE | UC_LETTER | UC_NUMBER);
    return split_space(p, n, false);
}

struct cl100k {
    unsigned digits; /* longest group of numbers */
    unsigned word;   /* classes that make a word */
    bool contractions, slash;
    bool newlines; /* punctuation takes the line ends behind it */
};

/* (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|
 * \s*[\r\n]+|\s+(?!\S)|\s+ and its relatives */
static inline __attribute__((always_inline)) size_t split_cl100k(const char *p, size_t n,
                                                                 struct cl100k o)
{
    size_t word = ascii_word(p, n, o.word);
    if (!word && o.contractions && p[0] == '\'')
        word = contraction(p, n, true);
    if (word)
        return word;
    struct ch c = ch_at(p, n, 0);
    if (c.cls & o.word)
        return run_of(p, n, c.len, o.word);
    if (c.cls & UC_NUMBER) {
        size_t at = c.len;
        for (unsigned k = 1; k < o.digits; k++) {
            c = ch_at(p, n, at);
            if (!(c.cls & UC_NUMBER))
                break;
            at += c.len;
        }
        return at;
    }
    struct ch next = ch_at(p, n, c.len);
    if ((next.cls & o.word) && c.cp != '\r' && c.cp != '\n')
        return run_of(p, n, c.len + next.len, o.word);
    unsigned not_punct = UC_SPACE | UC_LETTER | UC_NUMBER | o.word;
    size_t at = c.cp == ' ' && !(next.cls & (not_punct | UC_END)) ? c.len + next.len
                : !(c.cls & not_punct)                            ? c.len
                                                                  : 0;
    if (at) {
        at = run_not(p, n, at, not_punct);
        while (o.newlines && at < n &&
               (p[at] == '\r' || p[at] == '\n' || (o.slash && p[at] == '/')))
            at++;
        return at;
    }
    return split_space(p, n, true);
}

size_t split_llama3(const char *p, size_t n)
{
    return split_cl100k(p, n, (struct cl100k){3, UC_LETTER, true, false, true});
}

size_t split_qwen2(const char *p, size_t n)
{
    return split_cl100k(p, n, (struct cl100k){1, UC_LETTER, true, false, true});
}

size_t split_qwen35(const char *p, size_t n)
{
    return split_cl100k(p, n, (struct cl100k){1, UC_LETTER | UC_MARK, true, false, true});
}

size_t split_cl100k_numbers(const char *p, size_t n) /* \p{N}+ in place of \p{N}{1,3} */
{
    return split_cl100k(p, n, (struct cl100k){~0u, UC_LETTER, true, false, true});
}

size_t split_ufakzeka(const char *p, size_t n)
{
    return split_cl100k(p, n, (struct cl100k){1, UC_LETTER, false, false, true});
}

/* One character of a word in tekken's and o200k's regexes: both sets hold Lm, Lo and M. */
static inline bool in_upper(struct ch c)
{
    return (c.cls & (UC_LETTER | UC_MARK)) && !(c.cls & UC_LOWER);
}

static inline bool in_lower(struct ch c)
{
    return (c.cls & (UC_LETTER | UC_MARK)) && !(c.cls & UC_UPPER);
}

/* [upper]*[lower]+ from `at`, or 0. The greedy [upper]* gives back characters until one of them can
 * start [lower]+, so the match ends behind the last one that is in both sets, unless a lower-case
 * letter follows. */
static size_t upper_lower(const char *p, size_t n, size_t at)
{
    size_t both_end = 0;
    struct ch c;
    for (c = ch_at(p, n, at); in_upper(c); c = ch_at(p, n, at)) {
        at += c.len;
        if (in_lower(c))
            both_end = at;
    }
    if (!in_lower(c))
        return both_end;
    for (; in_lower(c); c = ch_at(p, n, at))
        at += c.len;
    return at;
}

/* [^\r\n\p{L}\p{N}]?[upper]*[lower]+ or [^\r\n\p{L}\p{N}]?[upper]+[lower]*, or 0 */
static size_t cased_word(const char *p, size_t n)
{
    struct ch c = ch_at(p, n, 0);
    bool prefix = !(c.cls & (UC_LETTER | UC_NUMBER)) && c.cp != '\r' && c.cp != '\n';
    size_t at = prefix ? c.len : 0, len = upper_lower(p, n, at);
    if (!len && prefix)
        len = upper_lower(p, n, 0);
    if (len)
        return len;
    size_t end = at;
    for (c = ch_at(p, n, end); in_upper(c); c = ch_at(p, n, end))
        end += c.len;
    return end > at ? end : 0;
}

static inline __attribute__((always_inline)) size_t split_cased(const char *p, size_t n,
                                                                unsigned digits, bool contractions)
{
    size_t len = cased_word(p, n);
    if (len)
        return contractions && len < n ? len + contraction(p + len, n - len, true) : len;
    /* no word starts here, so the word alternative below can't match either */
    return split_cl100k(p, n, (struct cl100k){digits, UC_LETTER, false, true, true});
}

size_t split_tekken(const char *p, size_t n)
{
    return split_cased(p, n, 1, false);
}

size_t split_o200k(const char *p, size_t n)
{
    return split_cased(p, n, 3, true);
}
