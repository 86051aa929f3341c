/* Any bytes through small fixed vocabularies. Byte-level BPE must give back the exact bytes, and
 * the ids of a text must not depend on how it is merged: short words in arrays, long ones on the
 * heap, or out of the cache of words. The first byte chooses the vocabulary. */
#include "text/tokenizer.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { BYTES = 256, MAX = 320 };

static struct vocab {
    char text[MAX][16];
    struct str piece[MAX];
    float score[MAX];
    int32_t type[MAX];
    size_t n;
} vocabs[2], *v;

static int32_t add(const char *s, size_t n, float score, int32_t type)
{
    memcpy(v->text[v->n], s, n);
    v->piece[v->n] = (struct str){v->text[v->n], n};
    v->score[v->n] = score;
    v->type[v->n] = type;
    return (int32_t)v->n++;
}

/* The byte alphabet of GPT-2. */
static void add_bytes(void)
{
    unsigned next = 0x100;
    for (unsigned b = 0; b < BYTES; b++) {
        bool plain = (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
        unsigned cp = plain ? b : next++;
        char c[2] = {(char)(0xc0 | cp >> 6), (char)(0x80 | (cp & 0x3f))};
        if (cp < 0x80)
            c[0] = (char)cp;
        add(c, cp < 0x80 ? 1 : 2, 0, TOKEN_NORMAL);
    }
}

static struct tokenizer *make_bpe(void)
{
    static const struct str merges[] = {
        {"a b", 3},  {"ab c", 4},  {"a a", 3},        {"aa aa", 5},        {"e r", 3},
        {"h e", 3},  {"t h", 3},   {"th e", 4},       {"1 2", 3},          {"12 3", 4},
        {"b a", 3},  {"ba ab", 5}, {"\xc4\xa0 t", 4}, {"\xc4\xa0t he", 6}, {"\xc4\xa0 \xc4\xa0", 5},
        {"c ab", 4},
    };
    static const struct str made[] = {
        {"ab", 2},  {"abc", 3},  {"aa", 2},        {"aaaa", 4},        {"er", 2},
        {"he", 2},  {"th", 2},   {"the", 3},       {"12", 2},          {"123", 3},
        {"ba", 2},  {"baab", 4}, {"\xc4\xa0t", 3}, {"\xc4\xa0the", 5}, {"\xc4\xa0\xc4\xa0", 4},
        {"cab", 3},
    };
    add_bytes();
    for (size_t i = 0; i < sizeof made / sizeof *made; i++)
        add(made[i].p, made[i].n, 0, TOKEN_NORMAL);
    int32_t end = add("<|end|>", 7, 0, TOKEN_CONTROL);
    add("  \n", 3, 0, TOKEN_USER_DEFINED);
    struct vocab_desc d = {
        .kind = VOCAB_BPE,
        .pre = {"llama-bpe", 9},
        .n = v->n,
        .pieces = v->piece,
        .types = v->type,
        .merges = merges,
        .n_merges = sizeof merges / sizeof *merges,
        .bos = -1,
        .eos = end,
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
    struct tokenizer *t;
    if (tokenizer_from_vocab(&t, &d, NULL) != OK)
        abort();
    return t;
}

static struct tokenizer *make_spm(void)
{
    static const struct {
        const char *s;
        float score;
    } rows[] = {
        {"\xe2\x96\x81", -1},
        {"a", -2},
        {"b", -3},
        {"ab", -4},
        {"\xe2\x96\x81"
         "a",
         -5},
        {"aa", -4},
        {"aba", -6},
        {"\xe2\x96\x81\xe2\x96\x81", -2},
        {"\xc3\xa9", -3},
        {"b\xc3\xa9", -4},
    };
    add("<unk>", 5, 0, TOKEN_UNKNOWN);
    add("<s>", 3, 0, TOKEN_CONTROL);
    add("</s>", 4, 0, TOKEN_CONTROL);
    for (unsigned b = 0; b < BYTES; b++) {
        static const char hex[] = "0123456789ABCDEF";
        char name[6] = {'<', '0', 'x', hex[b >> 4], hex[b & 15], '>'};
        add(name, 6, 0, TOKEN_BYTE);
    }
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        add(rows[i].s, strlen(rows[i].s), rows[i].score, TOKEN_NORMAL);
    struct vocab_desc d = {
        .kind = VOCAB_SPM,
        .n = v->n,
        .pieces = v->piece,
        .types = v->type,
        .scores = v->score,
        .bos = 1,
        .eos = 2,
        .unk = 0,
        .sep = -1,
        .pad = -1,
        .cls = -1,
        .mask = -1,
        .eot = -1,
        .fim_pre = -1,
        .fim_suf = -1,
        .fim_mid = -1,
        .add_space_prefix = true,
    };
    struct tokenizer *t;
    if (tokenizer_from_vocab(&t, &d, NULL) != OK)
        abort();
    return t;
}

static void check(const struct tokenizer *t, struct str text, unsigned flags, bool exact)
{
    struct tokens ids = {0}, again = {0};
    struct buf out, twice;
    buf_init(&out, 1 << 26);
    buf_init(&twice, 1 << 26);
    if (tokenizer_encode(t, text, flags, &ids, NULL) != OK ||
        tokenizer_decode(t, ids.id, ids.n, false, &out, NULL) != OK)
        abort();
    if (exact && !str_eq(buf_str(&out), text))
        abort();
    /* after a special token the text starts anew; the copy is long enough for the cache of words */
    for (int i = 0; i < 2 || twice.n < 2048; i++) {
        buf_adds(&twice, i ? "<|end|>" : "");
        buf_addstr(&twice, text);
        if (twice.n > 1 << 20)
            break;
    }
    if (exact && text.n && tokenizer_find(t, STR("<|end|>")) >= 0) {
        if (tokenizer_encode(t, buf_str(&twice), flags | TOKENIZE_PARSE_SPECIAL, &again, NULL) !=
            OK)
            abort();
        if ((flags & TOKENIZE_PARSE_SPECIAL) &&
            (again.n < ids.n || memcmp(again.id, ids.id, ids.n * 4)))
            abort();
    }
    tokens_free(&ids);
    tokens_free(&again);
    buf_release(&out);
    buf_release(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0)
        return 0;
    static struct tokenizer *made[2]; /* kept: building one costs more than a run */
    int which = data[0] & 1;
    v = &vocabs[which];
    if (!made[which])
        made[which] = which ? make_spm() : make_bpe();
    struct tokenizer *t = made[which];
    struct str text = {(const char *)data + 1, n - 1};
    check(t, text, 0, !which);
    check(t, text, TOKENIZE_PARSE_SPECIAL, !which);
    return 0;
}
