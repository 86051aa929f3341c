#include "engine/kv.h"
#include "base/mem.h"
#include <stdlib.h>

enum status kv_init(struct kv_cache *kv, const struct hparams *hp, enum kv_type type, int64_t n_ctx,
                    struct err *err)
{
    *kv = (struct kv_cache){.type = type,
                            .n_layers = hp->n_layers,
                            .n_heads = hp->n_kv_heads,
                            .head_dim = hp->head_dim,
                            .row_bytes = kv_row_bytes(type, hp->head_dim)};
    /* one page more than the positions need: the copy that a fork of a full cache may write */
    int64_t n_pages = kv_pages_of(n_ctx) + 1;
    kv->head_bytes = KV_PAGE * kv->row_bytes;
    if (n_pages > INT32_MAX ||
        !size_mul(kv->head_bytes, (size_t)(2 * kv->n_heads), &kv->layer_bytes) ||
        !size_mul(kv->layer_bytes, (size_t)kv->n_layers, &kv->page_bytes) ||
        !size_mul(kv->page_bytes, (size_t)n_pages, &kv->bytes))
        return err_set(err, ELIMIT, "a KV cache for %lld tokens is too large", (long long)n_ctx);
    kv->n_pages = kv->n_free = (int32_t)n_pages;
    kv->data = mem_aligned(kv->bytes);
    kv->tokens = mem_array((size_t)n_pages * KV_PAGE, sizeof *kv->tokens);
    kv->refs = mem_array((size_t)n_pages, sizeof *kv->refs);
    kv->free_list = mem_array((size_t)n_pages, sizeof *kv->free_list);
    if (!kv->data || !kv->tokens || !kv->refs || !kv->free_list)
        return err_set(err, ENOMEMORY, "no memory for a KV cache of %zu bytes (%lld tokens)",
                       kv->bytes, (long long)n_ctx);
    for (int32_t i = 0; i < kv->n_pages; i++)
        kv->free_list[i] = kv->n_pages - 1 - i;
    return OK;
}

void kv_release(struct kv_cache *kv)
{
    mem_aligned_free(kv->data, kv->bytes);
    free(kv->tokens);
    free(kv->refs);
    free(kv->free_list);
}

static int32_t take_page(struct kv_cache *kv)
{
    if (kv->n_free == 0)
        hearth_bug("KV cache: a page was taken that had not been counted");
    int32_t p = kv->free_list[--kv->n_free];
    kv->refs[p] = 1;
    return p;
}

static void drop_page(struct kv_cache *kv, int32_t p)
{
    if (--kv->refs[p] == 0)
        kv->free_list[kv->n_free++] = p;
}

int64_t kv_pages_needed(const struct kv_cache *kv, const struct kv_seq *s, int64_t from, int64_t to)
{
    int64_t n = 0;
    for (int64_t i = from / KV_PAGE; i < kv_pages_of(to); i++)
        n += i >= s->n_pages || kv->refs[s->pages[i]] > 1;
    return n;
}

void kv_make_writable(struct kv_cache *kv, struct kv_seq *s, int64_t from, int64_t to)
{
    for (int64_t i = from / KV_PAGE; i < kv_pages_of(to); i++) {
        if (i >= s->n_pages) {
            s->pages[s->n_pages++] = take_page(kv);
            continue;
        }
        int32_t old = s->pages[i];
        if (kv->refs[old] == 1)
            continue;
        int32_t copy = take_page(kv);
        memcpy(kv->data + (size_t)copy * kv->page_bytes, kv->data + (size_t)old * kv->page_bytes,
               kv->page_bytes);
        memcpy(kv->tokens + (size_t)copy * KV_PAGE, kv->tokens + (size_t)old * KV_PAGE,
               KV_PAGE * sizeof *kv->tokens);
        drop_page(kv, old);
        s->pages[i] = copy;
    }
}

void kv_truncate(struct kv_cache *kv, struct kv_seq *s, int64_t n)
{
    while (s->n_pages > kv_pages_of(n))
        drop_page(kv, s->pages[--s->n_pages]);
    s->len = n;
}

void kv_share(struct kv_cache *kv, const struct kv_seq *src, struct kv_seq *dst, int64_t n)
{
    dst->n_pages = (int32_t)kv_pages_of(n);
    dst->len = n;
    memcpy(dst->rope_class, src->rope_class, sizeof dst->rope_class);
    for (int32_t i = 0; i < dst->n_pages; i++) {
        dst->pages[i] = src->pages[i];
        kv->refs[dst->pages[i]]++;
    }
}

void kv_get(const struct kv_cache *kv, const struct kv_seq *s, int64_t layer, int value,
            int64_t head, int64_t pos, void *row)
{
    const unsigned char *run = kv_run(kv, s, layer, value, head, pos);
    int64_t i = pos % KV_PAGE, at = i % KV_TILE;
    if (value)
        memcpy(row, run + (size_t)i * kv->row_bytes, kv->row_bytes);
    else
        kv_key_get(kv->type, run + (size_t)(i - at) * kv->row_bytes, at, row, kv->head_dim);
}

void kv_put(const struct kv_cache *kv, const struct kv_seq *s, int64_t layer, int value,
            int64_t head, int64_t pos, const void *row)
{
    unsigned char *run = kv_run(kv, s, layer, value, head, pos);
    int64_t i = pos % KV_PAGE, at = i % KV_TILE;
    if (value)
        memcpy(run + (size_t)i * kv->row_bytes, row, kv->row_bytes);
    else
        kv_key_put(kv->type, run + (size_t)(i - at) * kv->row_bytes, at, row, kv->head_dim);
}

void kv_load(enum kv_type type, const void *src, float *dst, int64_t n)
{
    const unsigned char *p = src;
    if (type == KV_F32) {
        memcpy(dst, src, (size_t)n * sizeof *dst);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        uint16_t h;
        if (type == KV_F16) {
            memcpy(&h, p + 2 * i, 2);
            dst[i] = f16_to_f32(h);
        } else { /* KV_Q8: blocks of an f16 scale and 32 int8 */
            const unsigned char *block = p + 34 * (i / 32);
            memcpy(&h, block, 2);
            dst[i] = f16_to_f32(h) * (float)(int8_t)block[2 + i % 32];
        }
    }
}
