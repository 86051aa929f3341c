/* Made-up vocabularies that real tokenizers accept.
 *
 * The words are all strings over 26 letters, shortest first, with or without a space mark in front,
 * in the order of a counter: unique without a table, and every word is a shorter word plus one
 * letter, so that each has its merge and can be reached. Letters are in the order of their
 * frequency in English, so that short common runs come early. */
#include "engine/synth_int.h"
#include "base/arena.h"
#include "base/utf8.h"
#include "text/tokenizer.h"
#include <stdio.h>

static const char letters[] = "etaoinshrdlcumwfgypbvkjxqz";
enum { LETTERS = 26, WORD_MAX = 16, VOCAB_MEMORY = 256 << 20 };

struct vocab {
    struct arena arena;
    struct str *pieces, *merges;
    float *scores;
    int32_t *types;
    size_t n, n_merges, max;
};

static void add(struct vocab *v, struct str piece, enum token_attr type, float score)
{
    if (v->n == v->max)
        return;
    v->pieces[v->n] = arena_str(&v->arena, piece);
    v->types[v->n] = type;
    v->scores[v->n] = score;
    v->n++;
}

/* Control tokens: a %d in the name is their number. */
static void add_numbered(struct vocab *v, const char *before, int i, const char *after,
                         enum token_attr type)
{
    char name[64];
    int n = snprintf(name, sizeof name, "%s%d%s", before, i, after);
    add(v, (struct str){name, (size_t)n}, type, 0);
}

/* The i-th word: its length and letters; mark is the space mark in front of every 27th series. */
struct word {
    char s[WORD_MAX];
    size_t n, last; /* bytes; bytes of the last letter */
};

static struct word word_at(uint64_t i, const char *mark)
{
    struct word w = {.n = 0};
    uint64_t count = LETTERS + 1; /* words of this length: 27 first symbols, then letters */
    int length = 1;
    for (; i >= count; length++) {
        i -= count;
        count *= LETTERS;
    }
    char reversed[WORD_MAX];
    for (int k = 0; k < length - 1; k++, i /= LETTERS)
        reversed[k] = letters[i % LETTERS];
    if (i == 0) {
        w.n = strlen(mark);
        memcpy(w.s, mark, w.n);
    } else {
        w.s[w.n++] = letters[i - 1];
    }
    w.last = w.n;
    for (int k = length - 2; k >= 0; k--) {
        w.s[w.n++] = reversed[k];
        w.last = 1;
    }
    return w;
}

/* Fills up to `until` tokens with words of two symbols and more, with their merges. */
static void add_words(struct vocab *v, size_t until, const char *mark, bool merges)
{
    for (uint64_t i = LETTERS + 1; v->n < until; i++) {
        struct word w = word_at(i, mark);
        char merge[WORD_MAX + 1];
        add(v, (struct str){w.s, w.n}, TOKEN_NORMAL, -(float)(i - LETTERS));
        if (!merges)
            continue;
        memcpy(merge, w.s, w.n - w.last);
        merge[w.n - w.last] = ' ';
        memcpy(merge + w.n - w.last + 1, w.s + w.n - w.last, w.last);
        v->merges[v->n_merges++] = arena_str(&v->arena, (struct str){merge, w.n + 1});
    }
}

/* GPT-2's printable stand-in for each byte. */
static void add_bytes_bpe(struct vocab *v)
{
    uint32_t next = 256;
    for (uint32_t b = 0; b < 256; b++) {
        bool printable = (b > 32 && b < 127) || (b > 160 && b != 173);
        char s[4];
        int n = utf8_encode(printable ? b : next++, s);
        add(v, (struct str){s, (size_t)n}, TOKEN_NORMAL, 0);
    }
}

static void add_bytes_spm(struct vocab *v)
{
    for (int b = 0; b < 256; b++) {
        char s[8];
        int n = snprintf(s, sizeof s, "<0x%02X>", (unsigned)b);
        add(v, (struct str){s, (size_t)n}, TOKEN_BYTE, 0);
    }
}

/* SentencePiece's own single characters: the space mark and printable ASCII. */
static void add_chars_spm(struct vocab *v, const char *mark)
{
    add(v, str_from(mark), TOKEN_NORMAL, -1e6f);
    for (char c = '!'; c <= '~'; c++)
        add(v, (struct str){&c, 1}, TOKEN_NORMAL, -1e6f - (float)c);
}

static const char SPM_MARK[] = "\xe2\x96\x81", BPE_MARK[] = "\xc4\xa0";

struct special {
    const char *name;
    enum token_attr type;
};

static void add_specials(struct vocab *v, const struct special *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        add(v, str_from(s[i].name), s[i].type, 0);
}

static void spm(struct vocab *v, const struct synth_shape *s)
{
    static const struct special llama[] = {
        {"<unk>", TOKEN_UNKNOWN}, {"<s>", TOKEN_CONTROL}, {"</s>", TOKEN_CONTROL}};
    static const struct special gemma[] = {{"<pad>", TOKEN_CONTROL},
                                           {"<eos>", TOKEN_CONTROL},
                                           {"<bos>", TOKEN_CONTROL},
                                           {"<unk>", TOKEN_UNKNOWN}};
    bool is_gemma = s->tokens == SYNTH_GEMMA;
    add_specials(v, is_gemma ? gemma : llama, is_gemma ? 4 : 3);
    add_bytes_spm(v);
    add_chars_spm(v, SPM_MARK);
    add_words(v, v->max, SPM_MARK, false);
}

/* 128000 ordinary tokens (or what leaves room for 256), then control tokens. */
static void llama3(struct vocab *v)
{
    static const struct special first[] = {{"<|begin_of_text|>", TOKEN_CONTROL},
                                           {"<|end_of_text|>", TOKEN_CONTROL}};
    add_bytes_bpe(v);
    add_words(v, v->max - 256, BPE_MARK, true);
    add_specials(v, first, 2);
    for (int i = 0; v->n < v->max; i++)
        add_numbered(v, "<|reserved_special_token_", i, "|>", TOKEN_CONTROL);
}

/* Ordinary tokens, three control tokens, and unused ones up to the padded size. */
static void qwen2(struct vocab *v)
{
    static const struct special first[] = {{"<|endoftext|>", TOKEN_CONTROL},
                                           {"<|im_start|>", TOKEN_CONTROL},
                                           {"<|im_end|>", TOKEN_CONTROL}};
    size_t ordinary = v->max > 151643 + 3 ? 151643 : v->max - 3;
    add_bytes_bpe(v);
    add_words(v, ordinary, BPE_MARK, true);
    add_specials(v, first, 3);
    for (int i = (int)v->n; v->n < v->max; i++)
        add_numbered(v, "[PAD", i, "]", TOKEN_UNUSED);
}

/* Pieces that start a word carry the mark, those that go on do not. */
static void wordpiece(struct vocab *v)
{
    static const struct special first[] = {{"[PAD]", TOKEN_CONTROL},
                                           {"[UNK]", TOKEN_UNKNOWN},
                                           {"[CLS]", TOKEN_CONTROL},
                                           {"[SEP]", TOKEN_CONTROL},
                                           {"[MASK]", TOKEN_CONTROL}};
    add_specials(v, first, 5);
    for (char c = '!'; c <= '~'; c++) {
        char marked[5] = {SPM_MARK[0], SPM_MARK[1], SPM_MARK[2], c, 0};
        if (c >= 'A' && c <= 'Z')
            continue; /* texts are made lower case */
        add(v, (struct str){&c, 1}, TOKEN_NORMAL, 0);
        if (c < 'a' || c > 'z') /* add_words begins with the marked letters */
            add(v, (struct str){marked, 4}, TOKEN_NORMAL, 0);
    }
    add_words(v, v->max, SPM_MARK, false);
}

static void put_wordpiece(const struct vocab *v, struct gguf_writer *w)
{
    gguf_put_str(w, "tokenizer.ggml.model", STR("bert"));
    gguf_put_str(w, "tokenizer.ggml.pre", STR("default"));
    gguf_put_strs(w, "tokenizer.ggml.tokens", v->pieces, v->n);
    gguf_put_i32s(w, "tokenizer.ggml.token_type", v->types, v->n);
    gguf_put_u32(w, "tokenizer.ggml.padding_token_id", 0);
    gguf_put_u32(w, "tokenizer.ggml.unknown_token_id", 1);
    gguf_put_u32(w, "tokenizer.ggml.bos_token_id", 2);
    gguf_put_u32(w, "tokenizer.ggml.cls_token_id", 2);
    gguf_put_u32(w, "tokenizer.ggml.seperator_token_id", 3); /* as the format spells it */
    gguf_put_u32(w, "tokenizer.ggml.mask_token_id", 4);
}

static void put_ids(const struct synth_shape *s, const struct vocab *v, struct gguf_writer *w)
{
    bool has_bos = s->tokens != SYNTH_QWEN2;
    uint32_t bos = s->tokens == SYNTH_SPM     ? 1
                   : s->tokens == SYNTH_GEMMA ? 2
                                              : (uint32_t)v->max - 256;
    uint32_t eos = s->tokens == SYNTH_SPM     ? 2
                   : s->tokens == SYNTH_GEMMA ? 1
                                              : (uint32_t)v->max - 255;
    if (s->tokens == SYNTH_QWEN2)
        bos = eos = v->max > 151643 + 3 ? 151643 : (uint32_t)v->max - 3;
    gguf_put_u32(w, "tokenizer.ggml.bos_token_id", bos);
    gguf_put_u32(w, "tokenizer.ggml.eos_token_id", eos);
    if (s->tokens == SYNTH_SPM || s->tokens == SYNTH_GEMMA)
        gguf_put_u32(w, "tokenizer.ggml.unknown_token_id", s->tokens == SYNTH_SPM ? 0 : 3);
    gguf_put_bool(w, "tokenizer.ggml.add_bos_token", has_bos && s->tokens != SYNTH_SMOLLM3);
    gguf_put_bool(w, "tokenizer.ggml.add_eos_token", false);
}

static void put(const struct synth_shape *s, const struct vocab *v, struct gguf_writer *w)
{
    if (s->tokens == SYNTH_WORDPIECE) {
        put_wordpiece(v, w);
        return;
    }
    bool bpe = s->tokens != SYNTH_SPM && s->tokens != SYNTH_GEMMA;
    gguf_put_str(w, "tokenizer.ggml.model", bpe ? STR("gpt2") : STR("llama"));
    gguf_put_str(w, "tokenizer.ggml.pre",
                 !bpe                       ? STR("default")
                 : s->tokens == SYNTH_QWEN2 ? STR("qwen2")
                                            : STR("llama-bpe"));
    gguf_put_strs(w, "tokenizer.ggml.tokens", v->pieces, v->n);
    gguf_put_i32s(w, "tokenizer.ggml.token_type", v->types, v->n);
    if (bpe)
        gguf_put_strs(w, "tokenizer.ggml.merges", v->merges, v->n_merges);
    else
        gguf_put_f32s(w, "tokenizer.ggml.scores", v->scores, v->n);
    put_ids(s, v, w);
}

enum status synth_put_vocab(const struct synth_shape *s, struct gguf_writer *w, struct err *err)
{
    struct vocab v = {.max = (size_t)s->vocab};
    arena_init(&v.arena, VOCAB_MEMORY);
    v.pieces = arena_array(&v.arena, v.max, sizeof *v.pieces);
    v.merges = arena_array(&v.arena, v.max, sizeof *v.merges);
    v.scores = arena_array(&v.arena, v.max, sizeof *v.scores);
    v.types = arena_array(&v.arena, v.max, sizeof *v.types);
    if (s->vocab < 1024 || !v.pieces || !v.merges || !v.scores || !v.types) {
        arena_release(&v.arena);
        return err_set(err, EUSAGE, "no vocabulary of %d tokens: expected at least 1024", s->vocab);
    }
    switch (s->tokens) {
    case SYNTH_SPM:
    case SYNTH_GEMMA: spm(&v, s); break;
    case SYNTH_LLAMA3:
    case SYNTH_SMOLLM3: llama3(&v); break;
    case SYNTH_QWEN2: qwen2(&v); break;
    case SYNTH_WORDPIECE: wordpiece(&v); break;
    }
    put(s, &v, w);
    arena_release(&v.arena);
    return OK;
}
