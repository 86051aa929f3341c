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

static bool tokens_grow(struct tokens *t, size_t more)
{
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

static inline bool tokens_reserve(struct tokens *t, size_t more)
{
    return t->cap - t->n >= more || tokens_grow(t, more);
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

enum { CACHE_KEY = 15, CACHE_IDS = 4, CACHE_FROM = 1024, CACHE_MIN = 1 << 8, CACHE_MAX = 1 << 16 };

struct word_slot {
    uint64_t key[2];        /* the bytes, and their number in the last one */
    uint32_t id[CACHE_IDS]; /* in the first one's top byte: how many */
};
/* Two slots share a cache line and a hash; the one used last to store is the first. */
struct word_cache {
    size_t mask; /* over pairs */
    struct word_slot slot[][2];
};

static struct word_cache *cache_new(size_t text_bytes)
{
    size_t pairs = CACHE_MIN / 2;
    while (pairs < CACHE_MAX / 2 && pairs < text_bytes / 32)
        pairs *= 2;
    struct word_cache *c = calloc(1, sizeof *c + pairs * sizeof *c->slot);
    if (c)
        c->mask = pairs - 1;
    return c;
}

/* The first n bytes of a little-endian 16-byte load. */
static const uint64_t key_mask[CACHE_KEY + 1][2] = {
#define LOW(n) (((uint64_t)1 << (8 * (n))) - 1)
    {0, 0},          {LOW(1), 0},     {LOW(2), 0},     {LOW(3), 0},
    {LOW(4), 0},     {LOW(5), 0},     {LOW(6), 0},     {LOW(7), 0},
    {~0ull, 0},      {~0ull, LOW(1)}, {~0ull, LOW(2)}, {~0ull, LOW(3)},
    {~0ull, LOW(4)}, {~0ull, LOW(5)}, {~0ull, LOW(6)}, {~0ull, LOW(7)},
#undef LOW
};

/* Key of a word of 1 to 15 bytes; readable: bytes that may be read at p. On a big-endian machine
 * the mask would take the wrong end, so the copy is used. */
static inline void word_key(const char *p, size_t n, size_t readable, uint64_t key[2])
{
    if (readable >= 16 && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__) {
        memcpy(key, p, 16);
        key[0] &= key_mask[n][0];
        key[1] &= key_mask[n][1];
    } else {
        unsigned char bytes[16] = {0};
        memcpy(bytes, p, n);
        memcpy(key, bytes, 16);
    }
    key[1] ^= (uint64_t)n << 56;
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

static __attribute__((noinline)) void cache_miss(struct encoder *e, const char *p, size_t n,
                                                 const uint64_t key[2], struct word_slot *pair)
{
    size_t from = e->out->n;
    encode_word(e, p, n);
    size_t got = e->out->n - from;
    if (e->status != OK || got == 0 || got > CACHE_IDS)
        return;
    pair[1] = pair[0];
    memcpy(pair->key, key, sizeof pair->key);
    for (size_t i = 0; i < CACHE_IDS; i++)
        pair->id[i] = i < got ? (uint32_t)e->out->id[from + i] : 0;
    pair->id[0] |= (uint32_t)got << 24; /* ids are below 2^24 */
}

static inline bool slot_is(const struct word_slot *s, const uint64_t key[2])
{
    return ((s->key[0] ^ key[0]) | (s->key[1] ^ key[1])) == 0;
}

static inline __attribute__((always_inline)) void merge_word(struct encoder *e, const char *p,
                                                             size_t n, size_t readable)
{
    if (n > CACHE_KEY || !e->cache) {
        encode_word(e, p, n);
        return;
    }
    uint64_t key[2];
    word_key(p, n, readable, key);
    uint64_t h = hash_mix(key[0] ^ 0x9e3779b97f4a7c15u, key[1] ^ 0xbf58476d1ce4e5b9u);
    struct word_slot *pair = e->cache->slot[h & e->cache->mask];
    const struct word_slot *s = pair + !slot_is(pair, key);
    struct tokens *out = e->out;
    if (!slot_is(s, key) || !tokens_reserve(out, CACHE_IDS)) {
        cache_miss(e, p, n, key, pair);
        return;
    }
    memcpy(out->id + out->n, s->id, sizeof s->id);
    out->id[out->n] &= 0xffffff;
    out->n += s->id[0] >> 24;
}

/* Cuts a text wherever no piece can reach across, so that the parts merge alone: where two bytes
 * meet that are neighbours in no piece, and in front of a U+2581 that no piece has behind that
 * byte. */
static void merge_parts(struct encoder *e, const char *p, size_t n)
{
    const struct tokenizer *t = e->t;
    size_t start = 0;
    for (size_t at = 1; at < n; at++) {
        unsigned char a = (unsigned char)p[at - 1], b = (unsigned char)p[at];
        bool joined = t->neighbours[a][b >> 3] >> (b & 7) & 1;
        if (joined && (b != (unsigned char)SPM_SPACE[0] || n - at < 3 ||
                       memcmp(p + at, SPM_SPACE, 3) != 0 || !t->break_before[a]))
            continue;
        if ((b & 0xc0) == 0x80) /* only between characters */
            continue;
        merge_word(e, p + start, at - start, n - start);
        start = at;
    }
    merge_word(e, p + start, n - start, n - start);
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
            merge_parts(e, p, n);
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
        e->cache = cache_new(text_bytes); /* without memory: no cache */
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
