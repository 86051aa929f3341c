/* Encoding: added tokens out of the text, then segment by segment through normalizer, pre-tokenizer
 * and model, with the template's ids around it all.
 *
 * Two caches make the common word cheap. A word that is a vocabulary entry and that merging gives
 * back whole is one table look-up; whether merging does so is worked out once per entry and kept in
 * the tokenizer (enum whole_state). Words of several tokens are kept per call in a direct-mapped
 * table of short words. */
#include "text/tokenizer_impl.h"
#include <stdlib.h>

void tokens_free(struct tokens *t)
{
    free(t->id);
    *t = (struct tokens){0};
}

static bool tokens_reserve(struct tokens *t, size_t more)
{
    if (t->cap - t->n >= more)
        return true;
    size_t cap = t->cap < 32 ? 32 : t->cap * 2;
    while (cap - t->n < more)
        cap *= 2;
    int32_t *id = mem_resize(t->id, cap, sizeof *id);
    if (!id)
        return false;
    t->id = id;
    t->cap = cap;
    return true;
}

bool tokens_add(struct tokens *t, int32_t id)
{
    if (!tokens_reserve(t, 1))
        return false;
    t->id[t->n++] = id;
    return true;
}

void encoder_fail(struct encoder *e, enum status s, const char *what)
{
    if (e->status == OK)
        e->status = err_set(e->err, s, "tokenizer: %s", what);
}

void encoder_add(struct encoder *e, int32_t id)
{
    if (!tokens_add(e->out, id))
        encoder_fail(e, ENOMEMORY, "no memory for the ids");
}

/* ---- the cache of short words ---- */

enum { CACHE_KEY = 15, CACHE_IDS = 4, CACHE_SLOTS = 1 << 14, CACHE_FROM = 2048 };

struct word_slot {
    uint64_t key[2]; /* 15 bytes and the length */
    int32_t id[CACHE_IDS];
};
struct word_cache {
    struct word_slot slot[CACHE_SLOTS];
};

/* Key of a word of 1 to 15 bytes; readable: bytes that may be read at p. */
static inline void word_key(const char *p, size_t n, size_t readable, uint64_t key[2])
{
    if (readable >= 16) {
        memcpy(key, p, 16);
        if (n < 8) {
            key[0] &= ((uint64_t)1 << (8 * n)) - 1;
            key[1] = 0;
        } else {
            key[1] &= ((uint64_t)1 << (8 * (n - 8))) - 1;
        }
    } else {
        key[0] = key[1] = 0;
        memcpy(key, p, n);
    }
    key[1] |= (uint64_t)n << 56;
}

static void encode_word(struct encoder *e, const char *p, size_t n)
{
    const struct tokenizer *t = e->t;
    if (n > t->max_piece) {
        encoder_merge(e, p, n);
        return;
    }
    int32_t id = piece_table_find(&t->table, t->bytes, p, n, hash_bytes(p, n));
    uint8_t state = WHOLE_NO;
    if (id >= 0)
        state = t->ignore_merges ? WHOLE_YES
                                 : atomic_load_explicit(&t->whole[id], memory_order_relaxed);
    if (state == WHOLE_YES) {
        encoder_add(e, id);
        return;
    }
    size_t from = e->out->n;
    encoder_merge(e, p, n);
    if (state == WHOLE_UNKNOWN && e->status == OK) {
        bool whole = e->out->n == from + 1 && e->out->id[from] == id;
        atomic_store_explicit(&t->whole[id], whole ? WHOLE_YES : WHOLE_NO, memory_order_relaxed);
    }
}

static inline void merge_word(struct encoder *e, const char *p, size_t n, size_t readable)
{
    if (!e->cache || n > CACHE_KEY) {
        encode_word(e, p, n);
        return;
    }
    uint64_t key[2];
    word_key(p, n, readable, key);
    uint64_t h = hash_mix(key[0] ^ 0x9e3779b97f4a7c15u, key[1] ^ 0xbf58476d1ce4e5b9u);
    struct word_slot *s = &e->cache->slot[h & (CACHE_SLOTS - 1)];
    if (s->key[0] == key[0] && s->key[1] == key[1] && tokens_reserve(e->out, CACHE_IDS)) {
        int32_t *out = e->out->id + e->out->n;
        memcpy(out, s->id, sizeof s->id);
        e->out->n += 1 + (out[1] >= 0) + (out[2] >= 0) + (out[3] >= 0);
        return;
    }
    size_t from = e->out->n;
    encode_word(e, p, n);
    size_t got = e->out->n - from;
    if (e->status == OK && got >= 1 && got <= CACHE_IDS) {
        memcpy(s->key, key, sizeof key);
        for (size_t i = 0; i < CACHE_IDS; i++)
            s->id[i] = i < got ? e->out->id[from + i] : -1;
    }
}

/* Cuts a normalized text in front of every U+2581 that no piece can reach across, so that words
 * merge alone. */
static void merge_escaped(struct encoder *e, const char *p, size_t n)
{
    const struct tokenizer *t = e->t;
    size_t start = 0, at = 0;
    while (at < n) {
        const char *q = memchr(p + at + 1, SPM_SPACE[0], n - at - 1);
        if (!q) {
            at = n;
        } else {
            at = (size_t)(q - p);
            if (n - at < 3 || memcmp(q, SPM_SPACE, 3) != 0 ||
                !t->break_before[(unsigned char)q[-1]])
                continue;
        }
        merge_word(e, p + start, at - start, n - start);
        start = at;
    }
}

void encoder_word(struct encoder *e, const char *p, size_t n)
{
    if (n == 0)
        return;
    switch (e->t->model) {
    case MODEL_BYTE_BPE: merge_word(e, p, n, n); break;
    case MODEL_CHAR_BPE:
    case MODEL_SPM:
        if (e->t->space_splits)
            merge_escaped(e, p, n);
        else
            merge_word(e, p, n, n);
        break;
    case MODEL_UNIGRAM: encoder_unigram(e, p, n); break;
    case MODEL_WORDPIECE: encoder_wordpiece(e, p, n); break;
    case MODEL_WORDLEVEL: {
        int32_t id = n > e->t->max_piece
                         ? -1
                         : piece_table_find(&e->t->table, e->t->bytes, p, n, hash_bytes(p, n));
        id = id < 0 ? e->t->special[SPECIAL_UNK] : id;
        if (id >= 0)
            encoder_add(e, id);
        break;
    }
    }
}

/* The pre-tokenizer of nearly all BPE vocabularies: one splitter, then the model. */
static void split_and_merge(struct encoder *e, split_fn *split, const char *p, size_t n)
{
    while (n) {
        size_t len = split(p, n);
        merge_word(e, p, len, n);
        p += len;
        n -= len;
    }
}

static void pre_tokenize(struct encoder *e, struct str text)
{
    const struct tokenizer *t = e->t;
    if (t->model == MODEL_BYTE_BPE && t->n_pre == 1 && t->pre[0].kind == PRE_SPLIT)
        split_and_merge(e, t->pre[0].fn, text.p, text.n);
    else
        pre_run(e, 0, text, e->first_segment);
    e->first_segment = false;
}

void encoder_segment(struct encoder *e, struct str text)
{
    const struct tokenizer *t = e->t;
    if (t->n_norm)
        text = norm_run(e, text);
    if (e->status != OK)
        return;
    if (t->added_normalized.n == 0) {
        pre_tokenize(e, text);
        return;
    }
    for (size_t at = 0; at < text.n && e->status == OK;) {
        struct added_match m = added_set_next(&t->added_normalized, text, at, true);
        if (m.start > at)
            pre_tokenize(e, str_slice(text, at, m.start));
        if (m.token)
            encoder_add(e, m.token->id);
        e->first_segment = false;
        at = m.end;
    }
}

static void encode_text(struct encoder *e, struct str text, bool parse_special)
{
    e->first_segment = true;
    for (size_t at = 0; at < text.n && e->status == OK;) {
        struct added_match m = added_set_next(&e->t->added, text, at, parse_special);
        if (m.start > at)
            encoder_segment(e, str_slice(text, at, m.start));
        if (m.token)
            encoder_add(e, m.token->id);
        e->first_segment = false;
        at = m.end;
    }
}

void encoder_init(struct encoder *e, const struct tokenizer *t, size_t text_bytes,
                  struct tokens *out, struct err *err)
{
    *e = (struct encoder){.t = t, .out = out, .err = err};
    for (int i = 0; i < 2; i++)
        buf_init(&e->norm[i], (size_t)INT32_MAX);
    buf_init(&e->word, (size_t)INT32_MAX);
    if (text_bytes >= CACHE_FROM)
        e->cache = calloc(1, sizeof *e->cache); /* without memory: no cache */
    if (!tokens_reserve(out, text_bytes / 4 + 8))
        encoder_fail(e, ENOMEMORY, "no memory for the ids");
}

enum status encoder_done(struct encoder *e)
{
    free(e->cache);
#ifndef HEARTH_ENGINE_ONLY
    regex_scratch_free(e->scratch);
#endif
    buf_release(&e->norm[0]);
    buf_release(&e->norm[1]);
    buf_release(&e->word);
    return e->status;
}

/* Fills a template; types may be NULL. */
static enum status encode_template(const struct tokenizer *t, const struct token_template *tpl,
                                   const struct str *text, unsigned flags, struct tokens *out,
                                   struct tokens *types, struct err *err)
{
    struct encoder e;
    if (text[0].n > INT32_MAX / 4 || text[1].n > INT32_MAX / 4)
        return err_set(err, ELIMIT, "tokenizer: text of %zu bytes, at most %d",
                       text[0].n > text[1].n ? text[0].n : text[1].n, INT32_MAX / 4);
    encoder_init(&e, t, text[0].n + text[1].n, out, err);
    for (size_t i = 0; i < tpl->n && e.status == OK; i++) {
        struct template_item item = tpl->item[i];
        size_t from = out->n;
        if (item.id >= 0)
            encoder_add(&e, item.id);
        else
            encode_text(&e, text[item.id == TEMPLATE_B], flags & TOKENIZE_PARSE_SPECIAL);
        for (size_t k = from; types && k < out->n; k++)
            if (!tokens_add(types, item.type_id))
                encoder_fail(&e, ENOMEMORY, "no memory for the type ids");
    }
    return encoder_done(&e);
}

enum status tokenizer_encode(const struct tokenizer *t, struct str text, unsigned flags,
                             struct tokens *out, struct err *err)
{
    static const struct template_item only_text = {TEMPLATE_A, 0};
    struct token_template bare = {(struct template_item *)(uintptr_t)&only_text, 1};
    struct str texts[2] = {text, {"", 0}};
    return encode_template(t, flags & TOKENIZE_ADD_SPECIAL ? &t->single : &bare, texts, flags, out,
                           NULL, err);
}

enum status tokenizer_encode_pair(const struct tokenizer *t, struct str a, struct str b,
                                  struct tokens *out, struct tokens *type_ids, struct err *err)
{
    struct str texts[2] = {a, b};
    return encode_template(t, &t->pair, texts, 0, out, type_ids, err);
}
