/* Sizes and layouts that all tables share. */
#include "kernel/kernel.h"
#include "base/mem.h"
#include <string.h>

size_t kv_row_bytes(enum kv_type t, int64_t n)
{
    switch (t) {
    case KV_F16: return (size_t)n * 2;
    case KV_F32: return (size_t)n * 4;
    case KV_Q8: return (size_t)((n + 31) / 32) * 34;
    }
    return 0;
}

/* n_units times `unit` bytes, a constant at the call */
static inline __attribute__((always_inline)) void copy_units(unsigned char *dst, size_t dst_step,
                                                             const unsigned char *src,
                                                             size_t src_step, size_t unit,
                                                             int64_t n_units)
{
    for (int64_t i = 0; i < n_units; i++, dst += dst_step, src += src_step)
        memcpy(dst, src, unit);
}

void kv_key_put(enum kv_type t, void *tile, int64_t at, const void *row, int64_t n)
{
    unsigned char *dst = tile;
    const unsigned char *src = row;
    if (t == KV_F16)
        copy_units(dst + 2 * at, 2 * KV_TILE, src, 2, 2, n);
    else if (t == KV_F32)
        copy_units(dst + 4 * at, 4 * KV_TILE, src, 4, 4, n);
    for (int64_t b = 0; t == KV_Q8 && b < n; b += 32, src += 34, dst += 34 * KV_TILE) {
        memcpy(dst + 2 * at, src, 2);
        copy_units(dst + 2 * KV_TILE + at, KV_TILE, src + 2, 1, 1, 32);
    }
}

void kv_key_get(enum kv_type t, const void *tile, int64_t at, void *row, int64_t n)
{
    const unsigned char *src = tile;
    unsigned char *dst = row;
    if (t == KV_F16)
        copy_units(dst, 2, src + 2 * at, 2 * KV_TILE, 2, n);
    else if (t == KV_F32)
        copy_units(dst, 4, src + 4 * at, 4 * KV_TILE, 4, n);
    for (int64_t b = 0; t == KV_Q8 && b < n; b += 32, dst += 34, src += 34 * KV_TILE) {
        memcpy(dst, src + 2 * at, 2);
        copy_units(dst + 2, 1, src + 2 * KV_TILE + at, KV_TILE, 1, 32);
    }
}

static int64_t parts_of(int64_t n, int64_t size)
{
    return n / size + (n % size != 0);
}

/* Bytes of the groups, which come first, and of all. */
static bool acts_sizes(int64_t n, int64_t cols, size_t *groups, size_t *all)
{
    size_t tiles;
    if (n < 0 || cols < 0 ||
        !size_mul((size_t)parts_of(cols, ACT_GROUP), sizeof(struct act_group), groups) ||
        !size_mul((size_t)n, *groups, groups) ||
        !size_mul((size_t)parts_of(cols, SPAN_COLS), sizeof(struct act_tile), &tiles) ||
        !size_mul((size_t)parts_of(n, TILE_TOKENS), tiles, &tiles))
        return false;
    *all = *groups + tiles;
    return *all >= tiles;
}

size_t acts_bytes(int64_t n, int64_t cols)
{
    size_t groups, all;
    return acts_sizes(n, cols, &groups, &all) ? all : SIZE_MAX;
}

void acts_init(struct acts *a, void *block, const float *x, int64_t x_stride, int64_t n,
               int64_t cols)
{
    size_t groups = 0, all;
    *a = (struct acts){.n = n,
                       .cols = cols,
                       .x = x,
                       .x_stride = x_stride,
                       .groups = parts_of(cols, ACT_GROUP),
                       .spans = parts_of(cols, SPAN_COLS)};
    if (!block || !acts_sizes(n, cols, &groups, &all))
        return;
    a->g = block;
    a->tile = (struct act_tile *)(void *)((unsigned char *)block + groups);
}

void acts_copy(struct acts *dst, int64_t to, const struct acts *src, int64_t from)
{
    memcpy(dst->g + to * dst->groups, src->g + from * src->groups,
           (size_t)dst->groups * sizeof *dst->g);
    int64_t d = to % TILE_TOKENS, s = from % TILE_TOKENS;
    for (int64_t i = 0; i < dst->spans; i++) {
        struct act_tile *x = dst->tile + to / TILE_TOKENS * dst->spans + i;
        const struct act_tile *y = src->tile + from / TILE_TOKENS * src->spans + i;
        for (int b = 0; b < SPAN_BLOCKS; b++) {
            for (int c = 0; c < 4; c++)
                memcpy(x->q[b][c][d], y->q[b][c][s], sizeof x->q[b][c][d]);
            x->scale[b][d] = y->scale[b][s];
            x->sum_lo[b][d] = y->sum_lo[b][s];
            x->sum_hi[b][d] = y->sum_hi[b][s];
        }
    }
}
