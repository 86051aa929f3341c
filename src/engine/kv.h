/* The KV cache: fixed pages of positions, reference-counted, addressed through one block table per
 * sequence.
 *
 * A page holds KV_PAGE positions of all layers: [layer][keys, values][kv head] and there, for
 * values, a row per position, for keys, tiles of KV_TILE positions (kv_key_put). So one head's keys
 * of a page are one run of memory, and copying a page copies everything about its positions. A page
 * with more than one reference is never written: writers copy it first. */
#pragma once
#include "engine/arch.h"
#include "kernel/kernel.h"

enum { KV_ROW_MAX = 4 * HP_MAX_HEAD_DIM }; /* bytes of a row of any type */

struct kv_cache {
    enum kv_type type;
    int64_t n_layers, n_heads, head_dim;
    size_t row_bytes, head_bytes, layer_bytes, page_bytes;
    int32_t n_pages, n_free;
    unsigned char *data; /* (n_pages, page_bytes) */
    int32_t *tokens;     /* (n_pages, KV_PAGE): what each position holds */
    int32_t *refs;       /* (n_pages) */
    int32_t *free_list;  /* (n_free) of the pages without a reference */
    size_t bytes;        /* of data */
};

struct kv_seq {
    bool live;
    int64_t len;
    int64_t expect;                 /* length that the caller has announced, or 0 */
    int64_t rope_class[ROPE_KINDS]; /* that the cached keys were rotated under */
    int32_t *pages;                 /* (kv->n_pages), the first pages_of(len) valid */
    int32_t n_pages;
};

NODISCARD enum status kv_init(struct kv_cache *kv, const struct hparams *hp, enum kv_type type,
                              int64_t n_ctx, struct err *err);
void kv_release(struct kv_cache *kv);

static inline int64_t kv_pages_of(int64_t n)
{
    return (n + KV_PAGE - 1) / KV_PAGE;
}

/* Free pages needed to write positions [from, to) of s, copies of shared pages included. */
int64_t kv_pages_needed(const struct kv_cache *kv, const struct kv_seq *s, int64_t from,
                        int64_t to);
/* Makes positions [from, to) writable; there must be kv_pages_needed free pages. */
void kv_make_writable(struct kv_cache *kv, struct kv_seq *s, int64_t from, int64_t to);
/* Gives back all pages past the first n positions. */
void kv_truncate(struct kv_cache *kv, struct kv_seq *s, int64_t n);
/* dst (empty) shares the first n positions of src. */
void kv_share(struct kv_cache *kv, const struct kv_seq *src, struct kv_seq *dst, int64_t n);

/* What the page of a position holds of a head: its keys (value = 0) or values (1). */
static inline unsigned char *kv_run(const struct kv_cache *kv, const struct kv_seq *s,
                                    int64_t layer, int value, int64_t head, int64_t pos)
{
    return kv->data + (size_t)s->pages[pos / KV_PAGE] * kv->page_bytes +
           (size_t)layer * kv->layer_bytes + (size_t)(value * kv->n_heads + head) * kv->head_bytes;
}

/* The row of a position, as kv_store makes it, from the cache and into it. */
void kv_get(const struct kv_cache *kv, const struct kv_seq *s, int64_t layer, int value,
            int64_t head, int64_t pos, void *row);
void kv_put(const struct kv_cache *kv, const struct kv_seq *s, int64_t layer, int value,
            int64_t head, int64_t pos, const void *row);

static inline int32_t *kv_token(const struct kv_cache *kv, const struct kv_seq *s, int64_t pos)
{
    return kv->tokens + (size_t)s->pages[pos / KV_PAGE] * KV_PAGE + pos % KV_PAGE;
}

/* A row back as floats. */
void kv_load(enum kv_type type, const void *src, float *dst, int64_t n);
