/* Sizes and layouts that all tables share. */
#include "kernel/kernel.h"
#include "base/mem.h"

size_t kv_row_bytes(enum kv_type t, int64_t n)
{
    switch (t) {
    case KV_F16: return (size_t)n * 2;
    case KV_F32: return (size_t)n * 4;
    case KV_Q8: return (size_t)((n + 31) / 32) * 34;
    }
    return 0;
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
