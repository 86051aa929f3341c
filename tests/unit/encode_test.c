/* Encoding beyond the golden texts: merging against a plain reference, cuts and caches that must
 * not show, hostile vocabularies and tokenizer.json files, the odd corners of the pipeline. */
#include "base/rng.h"
#include "support.h"
#include "text/tokenizer.h"
#include <stdlib.h>

enum { VOCAB = 400 };

/* ---- a random SentencePiece vocabulary, and merging as its definition says ---- */

struct spm {
    char text[VOCAB][16];
    struct str piece[VOCAB];
    float score[VOCAB];
    int32_t type[VOCAB];
    size_t n;
};

static bool has(const struct spm *v, const char *p, size_t n)
{
    for (size_t i = 0; i < v->n; i++)
        if (str_eq(v->piece[i], (struct str){p, n}))
            return true;
    return false;
}

static void add(struct spm *v, const char *p, size_t n, float score, int32_t type)
{
    memcpy(v->text[v->n], p, n);
    v->piece[v->n] = (struct str){v->text[v->n], n};
    v->score[v->n] = score;
    v->type[v->n++] = type;
}

static void make_spm(struct spm *v, struct rng *r)
{
    static const char *const chars[] = {"\xe2\x96\x81", "a", "b", "c", ".", "\xc3\xa9"};
    memset(v, 0, sizeof *v);
    add(v, "<unk>", 5, 0, TOKEN_UNKNOWN);
    for (size_t i = 0; i < sizeof chars / sizeof *chars; i++)
        add(v, chars[i], strlen(chars[i]), -1, TOKEN_NORMAL);
    while (v->n < 120) {
        char s[16];
        struct str a = v->piece[1 + rng_next(r) % (v->n - 1)],
                   b = v->piece[1 + rng_next(r) % (v->n - 1)];
        if (a.n + b.n > sizeof s)
            continue;
        memcpy(s, a.p, a.n);
        memcpy(s + a.n, b.p, b.n);
        if (!has(v, s, a.n + b.n))
            add(v, s, a.n + b.n, -(float)(rng_next(r) % 40), TOKEN_NORMAL);
    }
}

static int32_t find(const struct spm *v, const char *p, size_t n)
{
    for (size_t i = 0; i < v->n; i++)
        if (str_eq(v->piece[i], (struct str){p, n}))
            return (int32_t)i;
    return -1;
}

/* The best pair merges, leftmost among equals, until none may: on the whole text. */
static size_t reference(const struct spm *v, const char *p, size_t n, int32_t *out)
{
    size_t at[512], k = 0;
    for (size_t i = 0; i < n; i++)
        if (((unsigned char)p[i] & 0xc0) != 0x80)
            at[k++] = i;
    at[k] = n;
    for (;;) {
        size_t best = k;
        float score = 0;
        for (size_t i = 0; i + 1 < k; i++) {
            int32_t id = find(v, p + at[i], at[i + 2] - at[i]);
            if (id >= 0 && (best == k || v->score[id] > score)) {
                best = i;
                score = v->score[id];
            }
        }
        if (best == k)
            break;
        memmove(&at[best + 1], &at[best + 2], (k - best - 1) * sizeof *at);
        k--;
    }
    for (size_t i = 0; i < k; i++)
        out[i] = find(v, p + at[i], at[i + 1] - at[i]);
    return k;
}

static struct vocab_desc describe(enum vocab_kind kind, const struct str *piece, const float *score,
                                  const int32_t *type, size_t n)
{
    return (struct vocab_desc){
        .kind = kind,
        .n = n,
        .pieces = piece,
        .scores = score,
        .types = type,
        .bos = -1,
        .eos = -1,
        .unk = -1,
        .sep = -1,
        .pad = -1,
        .cls = -1,
        .mask = -1,
        .eot = -1,
        .fim_pre = -1,
        .fim_suf = -1,
        .fim_mid = -1,
    };
}

static void merging_is_its_definition(void **state)
{
    static const char *const chars[] = {" ", "a", "b", "c", ".", "\xc3\xa9"};
    struct rng r;
    (void)state;
    rng_seed(&r, 11);
    for (int round = 0; round < 30; round++) {
        struct spm v;
        struct err err = {0};
        struct tokenizer *t;
        make_spm(&v, &r);
        struct vocab_desc d = describe(VOCAB_SPM, v.piece, v.score, v.type, v.n);
        assert_ok(tokenizer_from_vocab(&t, &d, &err));
        for (int k = 0; k < 40; k++) {
            char text[512], escaped[1024];
            int32_t want[512];
            size_t n = 0, m = 0, len = 1 + rng_next(&r) % (k % 2 ? 100 : 20);
            for (size_t i = 0; i < len; i++) {
                const char *c = chars[rng_next(&r) % 6], *e = c[0] == ' ' ? "\xe2\x96\x81" : c;
                memcpy(text + n, c, strlen(c));
                n += strlen(c);
                memcpy(escaped + m, e, strlen(e));
                m += strlen(e);
            }
            struct tokens got = {0};
            size_t n_want = reference(&v, escaped, m, want);
            assert_ok(tokenizer_encode(t, (struct str){text, n}, 0, &got, &err));
            assert_int_equal(got.n, n_want);
            assert_memory_equal(got.id, want, 4 * n_want);
            tokens_free(&got);
        }
        tokenizer_free(t);
    }
}

/* ---- tokenizer.json ---- */

static struct tokenizer *load(const char *json)
{
    struct err err = {0};
    struct tokenizer *t;
    assert_ok(tokenizer_from_json(&t, str_from(json), STR(""), &err));
    return t;
}

/* The ids of text as "1 2 3". */
static void assert_encodes(const char *json, const char *text, const char *want)
{
    struct tokenizer *t = load(json);
    struct tokens ids = {0};
    struct err err = {0};
    struct buf out;
    buf_init(&out, 1 << 16);
    assert_ok(tokenizer_encode(t, str_from(text), TOKENIZE_PARSE_SPECIAL, &ids, &err));
    buf_adds(&out, "");
    for (size_t i = 0; i < ids.n; i++)
        buf_printf(&out, "%s%d", i ? " " : "", ids.id[i]);
    if (!str_is(buf_str(&out), want))
        fail_msg("'%s' gives '%.*s', expected '%s' (%s)", text, STR_ARG(buf_str(&out)), want, json);
    buf_release(&out);
    tokens_free(&ids);
    tokenizer_free(t);
}

#define WORDS(pre)                                                                                 \
    "{\"model\":{\"type\":\"WordLevel\",\"unk_token\":\"?\",\"vocab\":{\"?\":0,\"a\":1,\"b\":2,"   \
    "\"-\":3,\"a-\":4,\"-b\":5,\"--\":6,\"12\":7,\"1\":8,\"2\":9,\"\\u2581a\":10,\"\\u2581b\":11," \
    "\"a-b\":12,\"ab\":13}}," pre "}"
#define SPLIT(behavior, invert)                                                                    \
    WORDS("\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"String\":\"-\"},\"behavior\":"     \
          "\"" behavior "\",\"invert\":" invert "}")

static void pre_tokenizers(void **state)
{
    (void)state;
    assert_encodes(SPLIT("Isolated", "false"), "a-b", "1 3 2");
    assert_encodes(SPLIT("Removed", "false"), "a-b", "1 2");
    assert_encodes(SPLIT("Removed", "true"), "a-b", "3");
    assert_encodes(SPLIT("MergedWithPrevious", "false"), "a-b", "4 2");
    assert_encodes(SPLIT("MergedWithNext", "false"), "a-b", "1 5");
    assert_encodes(SPLIT("Contiguous", "false"), "a--b", "1 6 2");
    assert_encodes(WORDS("\"pre_tokenizer\":{\"type\":\"Digits\",\"individual_digits\":true}"),
                   "a12", "1 8 9");
    assert_encodes(WORDS("\"pre_tokenizer\":{\"type\":\"Digits\"}"), "a12b", "1 7 2");
    assert_encodes(WORDS("\"pre_tokenizer\":{\"type\":\"Whitespace\"}"), " a--b ", "1 6 2");
    assert_encodes(WORDS("\"pre_tokenizer\":{\"type\":\"WhitespaceSplit\"}"), " a-b\ta ", "12 1");
    assert_encodes(WORDS("\"pre_tokenizer\":{\"type\":\"Punctuation\"}"), "a--b", "1 3 3 2");
    assert_encodes(WORDS("\"pre_tokenizer\":{\"type\":\"Metaspace\",\"prepend_scheme\":\"first\"}"),
                   "a b", "10 11");
    assert_encodes(WORDS("\"pre_tokenizer\":{\"type\":\"Metaspace\",\"prepend_scheme\":\"never\"}"),
                   "a b", "1 11");
    assert_encodes(WORDS("\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(?=b)\"},"
                         "\"behavior\":\"Isolated\",\"invert\":false}"),
                   "ab", "1 2");
}

#define ADDED(flags)                                                                               \
    WORDS("\"pre_tokenizer\":{\"type\":\"WhitespaceSplit\"},\"added_tokens\":[{\"id\":14,"         \
          "\"content\":\"X\"," flags "}]")

static void added_tokens(void **state)
{
    (void)state;
    assert_encodes(ADDED("\"special\":true"), "aXb X", "1 14 2 14");
    assert_encodes(ADDED("\"single_word\":true"), "aXb X", "0 14");
    assert_encodes(
        "{\"model\":{\"type\":\"WordLevel\",\"unk_token\":\"?\",\"vocab\":{\"?\":0,\"a \":1,"
        "\" b\":2,\"a\":3,\"b\":4}},\"added_tokens\":[{\"id\":5,\"content\":\"X\","
        "\"lstrip\":true}]}",
        "a X b", "3 5 2");
    assert_encodes(
        "{\"model\":{\"type\":\"WordLevel\",\"unk_token\":\"?\",\"vocab\":{\"?\":0,\"a \":1,"
        "\" b\":2,\"a\":3,\"b\":4}},\"added_tokens\":[{\"id\":5,\"content\":\"X\","
        "\"rstrip\":true}]}",
        "a X b", "1 5 4");
    assert_encodes("{\"normalizer\":{\"type\":\"Lowercase\"},\"model\":{\"type\":\"WordLevel\","
                   "\"unk_token\":\"?\",\"vocab\":{\"?\":0,\"a\":1}},\"added_tokens\":[{\"id\":2,"
                   "\"content\":\"Xy\",\"normalized\":true}]}",
                   "AxYA", "1 2 1");
}

static void unknown_characters(void **state)
{
#define BPE(options)                                                                               \
    "{\"model\":{\"type\":\"BPE\",\"unk_token\":\"?\"," options                                    \
    "\"vocab\":{\"?\":0,\"a\":1,\"b\":2,\"ab\":3,\"<0x7A>\":4},\"merges\":[[\"a\",\"b\"]]}}"
    (void)state;
    assert_encodes(BPE(""), "abxyab", "3 0 0 3");
    assert_encodes(BPE("\"fuse_unk\":true,"), "abxyab", "3 0 3");
    assert_encodes(BPE("\"byte_fallback\":true,"), "abzx", "3 4 0");
    assert_encodes("{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"?\",0],[\"a\",-1],"
                   "[\"ab\",-3],[\"b\",-1.5]]}}",
                   "abxxa", "1 3 0 1");
}

static void bad_files_are_named(void **state)
{
    static const struct {
        const char *json, *message;
    } rows[] = {
        {"[]", "model"},
        {"{\"model\":{\"type\":\"Quantum\"}}", "Quantum"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]}}", "model.vocab"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":4000000000},\"merges\":[]}}",
         "model.vocab"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]}}", "id 0"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{},\"merges\":[]}}", "model.vocab"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a a\"]}}",
         "model.merges[0]"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"aa\"]}}",
         "model.merges[0]"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[7]}}", "model.merges[0]"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]},\"added_tokens\":[{"
         "\"id\":0,"
         "\"content\":\"b\"}]}",
         "added_tokens"},
        {"{\"model\":{\"type\":\"Unigram\",\"unk_id\":9,\"vocab\":[[\"a\",0]]}}", "unk_id"},
        {"{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(\"}},\"model\":{"
         "\"type\":"
         "\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}",
         "regex"},
        {"{\"normalizer\":{\"type\":\"Magic\"},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},"
         "\"merges\":[]}}",
         "Magic"},
        {"{\"post_processor\":{\"type\":\"BertProcessing\",\"sep\":[\"s\",5],\"cls\":[\"c\",0]},"
         "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}",
         "id 5"},
        {"{\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"AAAA\"},\"model\":{"
         "\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}",
         "precompiled_charsmap"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct err err = {0};
        struct tokenizer *t;
        enum status s = tokenizer_from_json(&t, str_from(rows[i].json), STR(""), &err);
        if ((s != EFORMAT && s != EUNSUPPORTED) || !strstr(err.msg, rows[i].message))
            fail_msg("%s: status %d, '%s'", rows[i].json, (int)s, err.msg);
        assert_null(t);
    }
}

static void bad_vocabularies_are_named(void **state)
{
    const struct str piece[] = {STR("a"), STR("b"), STR("ab")};
    const struct str twice[] = {STR("a"), STR("a")};
    const struct str good[] = {STR("a b")}, missing[] = {STR("b a")}, broken[] = {STR("ab")};
    struct vocab_desc base = describe(VOCAB_BPE, piece, NULL, NULL, 3), d;
    struct err err = {0};
    struct tokenizer *t;
    (void)state;
    base.merges = good;
    base.n_merges = 1;
    assert_ok(tokenizer_from_vocab(&t, &base, &err));
    tokenizer_free(t);
    d = base;
    d.merges = missing;
    assert_int_equal(tokenizer_from_vocab(&t, &d, &err), EFORMAT);
    assert_non_null(strstr(err.msg, "tokenizer.ggml.merges[0]"));
    d.merges = broken;
    assert_int_equal(tokenizer_from_vocab(&t, &d, &err), EFORMAT);
    d = base;
    d.pieces = twice;
    d.n = 2;
    d.n_merges = 0;
    assert_int_equal(tokenizer_from_vocab(&t, &d, &err), EFORMAT);
    assert_non_null(strstr(err.msg, "tokenizer.ggml.tokens[1]"));
    d = base;
    d.eos = 3;
    assert_int_equal(tokenizer_from_vocab(&t, &d, &err), EFORMAT);
    d = base;
    d.pre = STR("no such");
    assert_int_equal(tokenizer_from_vocab(&t, &d, &err), EUNSUPPORTED);
    d = describe(VOCAB_SPM, piece, NULL, NULL, 3);
    assert_int_equal(tokenizer_from_vocab(&t, &d, &err), EFORMAT);
    d = base;
    d.n = 0;
    assert_int_equal(tokenizer_from_vocab(&t, &d, &err), EFORMAT);
}

/* One word of a million letters, and a million spaces: the heap keeps it linear enough. */
static void long_words_end(void **state)
{
    const struct str piece[] = {STR("a"), STR("aa"), STR("aaaa"), STR("\xc4\xa0")};
    const struct str merges[] = {STR("a a"), STR("aa aa")};
    struct vocab_desc d = describe(VOCAB_BPE, piece, NULL, NULL, 4);
    struct err err = {0};
    struct tokenizer *t;
    struct tokens ids = {0};
    enum { N = 1 << 20 };
    char *text = malloc(N);
    (void)state;
    d.merges = merges;
    d.n_merges = 2;
    assert_ok(tokenizer_from_vocab(&t, &d, &err));
    memset(text, 'a', N);
    assert_ok(tokenizer_encode(t, (struct str){text, N}, 0, &ids, &err));
    assert_int_equal(ids.n, N / 4);
    ids.n = 0;
    memset(text, ' ', N);
    assert_ok(tokenizer_encode(t, (struct str){text, N}, 0, &ids, &err));
    assert_int_equal(ids.n, N);
    tokens_free(&ids);
    tokenizer_free(t);
    free(text);
}

static void streams_hold_back_half_characters(void **state)
{
    const char *json =
        "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"\xc3\xa2\":0,\"\xc4\xa4\":1,\"\xc2\xac\":2,"
        "\"a\":3},\"merges\":[]},\"pre_tokenizer\":{\"type\":\"ByteLevel\"},"
        "\"decoder\":{\"type\":\"ByteLevel\"}}";
    struct tokenizer *t = load(json); /* bytes e2 82 ac: the euro sign */
    struct detok d = {0};
    struct err err = {0};
    struct buf out;
    (void)state;
    buf_init(&out, 100);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(out.n, 0);
        assert_ok(detok_add(t, &d, i, false, &out, &err));
    }
    assert_true(str_is(buf_str(&out), "\xe2\x82\xac"));
    assert_ok(detok_add(t, &d, 0, false, &out, &err));
    assert_ok(detok_add(t, &d, 3, false, &out, &err));
    assert_true(str_is(buf_str(&out), "\xe2\x82\xac\xef\xbf\xbd"
                                      "a"));
    assert_ok(detok_add(t, &d, 0, false, &out, &err));
    detok_flush(&d, &out);
    assert_true(str_ends(buf_str(&out), STR("a\xef\xbf\xbd")));
    assert_int_equal(detok_add(t, &d, -1, false, &out, &err), EUSAGE);
    buf_release(&out);
    tokenizer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merging_is_its_definition),
        cmocka_unit_test(pre_tokenizers),
        cmocka_unit_test(added_tokens),
        cmocka_unit_test(unknown_characters),
        cmocka_unit_test(bad_files_are_named),
        cmocka_unit_test(bad_vocabularies_are_named),
        cmocka_unit_test(long_words_end),
        cmocka_unit_test(streams_hold_back_half_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
