/* The table in plain C: the definition of every slot, and what runs where nothing better does.
 *
 * The integer product is written here once more as kernel.h defines it, block by block, with none
 * of the tiles of the fast tables: their oracle in the tests. */
#include "kernel/vec_scalar.h"
#include "kernel/body_rows.h"
#include "kernel/body_acts.h"
#include "kernel/body_attn.h"
#include "kernel/body_float.h"
#include "kernel/tables.h"

typedef void unpack_fn(const uint8_t *p, int b, struct block32 *o);

/* One block of one row into its lane. */
static float lane_add(float lane, const struct qkind *k, const struct block32 *w,
                      const struct act_group *g, int j)
{
    int32_t dot[2] = {0, 0};
    for (int i = 0; i < 32; i++) {
        int32_t u = k->is_signed ? (int8_t)w->u[i] : w->u[i];
        dot[i / 16] += u * g->q[i / 4][j][i % 4];
    }
    if (k->offset_log2) {
        dot[0] -= g->sum_lo[j] * (1 << k->offset_log2);
        dot[1] -= g->sum_hi[j] * (1 << k->offset_log2);
    }
    float t = k->halves == 2 ? fmaf(w->ws[1], (float)dot[1], w->ws[0] * (float)dot[0])
                             : w->ws[0] * (float)(dot[0] + dot[1]);
    lane = fmaf(g->scale[j], t, lane);
    if (k->has_min && k->halves == 2) {
        lane = fmaf(w->wm[0], g->fsum_lo[j], lane);
        lane = fmaf(w->wm[1], g->fsum_hi[j], lane);
    } else if (k->has_min) {
        lane = fmaf(w->wm[0], g->fsum[j], lane);
    }
    return lane;
}

static float dot_row(const struct qkind *k, unpack_fn *unpack, const uint8_t *row, int64_t cols,
                     const struct act_group *g)
{
    float y = 0;
    for (int64_t k0 = 0; k0 < cols; k0 += SPAN_COLS) {
        vf lanes = vf_set1(0);
        for (int64_t c = k0; c < cols && c < k0 + SPAN_COLS; c += ACT_BLOCK) {
            int j = (int)(c / ACT_BLOCK % ACT_LANES);
            struct block32 w;
            unpack(row + c / k->block_cols * k->block_bytes, (int)(c % k->block_cols / ACT_BLOCK),
                   &w);
            lanes.v[j] = lane_add(lanes.v[j], k, &w, g + c / ACT_GROUP, j);
        }
        y += vf_sum(lanes);
    }
    return y;
}

#define SCALAR_MUL(id, name, ...)                                                                  \
    static void mul_##name(const struct mat *w, int64_t r0, int64_t r1, const struct acts *a,      \
                           int64_t t0, int64_t t1, float *y, int64_t y_stride)                     \
    {                                                                                              \
        for (int64_t r = r0; r < r1; r++)                                                          \
            for (int64_t t = t0; t < t1; t++)                                                      \
                y[t * y_stride + r] = dot_row(&kind_##name, unpack_##name,                         \
                                              (const uint8_t *)w->data + r * w->row_bytes,         \
                                              w->cols, a->g + t * a->groups);                      \
    }
QUANT_KINDS(SCALAR_MUL)

#define TABLE kernel_ops_scalar
#include "kernel/table.h"
