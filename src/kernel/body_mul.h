/* The integer product on 16-lane vectors; include after a vec_*.h and the tiles of its types.
 *
 * A tile is one row's group: 16 blocks, one to a lane, eight dwords deep. Two loops use it:
 *  - few tokens: row by row, tiles in registers, straight from the mapped bytes; a lane's sum is
 *    the arithmetic of kernel.h as it stands;
 *  - many tokens: tiles of 16 rows are transposed so that a lane is a row, a span of them is kept
 *    on the stack, and a register tile of rows by tokens runs over it with activations broadcast
 *    from memory. The lanes of kernel.h are then 16 vectors in memory, added pairwise at the end.
 * Both do the same operations on the same numbers in the same order. */
#pragma once

enum {
    SPAN_GROUPS = SPAN_COLS / ACT_GROUP,
    SPAN_BLOCKS = SPAN_COLS / ACT_BLOCK,
    FEW_TOKENS = 16, /* tokens that share one unpacking of a row */
    FEW_ROWS = 8,    /* rows that share the loads of a group's activations; 1 up to 6 tokens */
#ifndef ONE_AHEAD
    ONE_AHEAD = 1024, /* bytes to prefetch ahead when one row is read at a time */
#endif
};
#ifndef MANY_VECTORS /* a vec_*.h may choose the register tile */
#define MANY_VECTORS 2
#define MANY_TOKENS  6
#define MANY_FROM    12
#endif

/* a float whose low mantissa bits count ones: int to float by a subtraction, exact for |i| < 2^22
 */
#define MAGIC_BITS  0x4b400000
#define MAGIC_FLOAT 12582912.0f

/* The blocks of a group; a short last one is completed with zero blocks (scale 0). Asks for the
 * bytes `ahead` of it: hardware follows one row, but not pieces of several rows in turn. */
INLINE void load_tile(const struct qkind *k, tile_fn *tile, const uint8_t *row, int64_t group,
                      int64_t cols, size_t ahead, struct tile *t)
{
    size_t bytes = (size_t)(ACT_GROUP / k->block_cols) * k->block_bytes;
    const uint8_t *p = row + (size_t)group * bytes;
    int64_t left = cols - group * ACT_GROUP;
    UNROLL
    for (size_t i = 0; i < bytes; i += 64)
        __builtin_prefetch((const void *)((uintptr_t)p + ahead + i));
    if (left >= ACT_GROUP) {
        tile(p, t);
        return;
    }
    uint8_t buf[16 * 34 + 64] = {0};
    memcpy(buf, p, (size_t)(left / k->block_cols) * k->block_bytes);
    tile(buf, t);
}

INLINE vi dot_add(const struct qkind *k, vi acc, vi w, vi x)
{
#if VEC_DOT_SIGNED
    if (k->is_signed)
        return vi_dot_ss(acc, w, x);
#else
    (void)k;
#endif
    return vi_dot_us(acc, w, x);
}

/* log2 of what the stored bytes exceed the weights by; 0: nothing */
INLINE int offset_log2(const struct qkind *k)
{
    return k->is_signed && !VEC_DOT_SIGNED ? 7 : k->offset_log2;
}

/* lanes += one group of one token, from the integer sums over the halves of its blocks */
INLINE vf add_lanes(const struct qkind *k, const struct tile *w, vi lo, vi hi,
                    const struct act_group *g, vf lanes)
{
    int log2 = offset_log2(k);
    vf t;
    if (k->halves == 2) {
        if (log2) {
            lo = vi_sub(lo, vi_sll(vi_load(g->sum_lo), log2));
            hi = vi_sub(hi, vi_sll(vi_load(g->sum_hi), log2));
        }
        t = vf_fma(w->ws[1], vf_from_vi(hi), vf_mul(w->ws[0], vf_from_vi(lo)));
    } else {
        lo = vi_add(lo, hi);
        if (log2)
            lo = vi_sub(lo, vi_sll(vi_load(g->sum), log2));
        t = vf_mul(w->ws[0], vf_from_vi(lo));
    }
    lanes = vf_fma(vf_load(g->scale), t, lanes);
    if (k->has_min && k->halves == 2) {
        lanes = vf_fma(w->wm[0], vf_load(g->fsum_lo), lanes);
        lanes = vf_fma(w->wm[1], vf_load(g->fsum_hi), lanes);
    } else if (k->has_min) {
        lanes = vf_fma(w->wm[0], vf_load(g->fsum), lanes);
    }
    return lanes;
}

INLINE vf add_one(const struct qkind *k, const struct tile *w, const struct act_group *g, vf lanes)
{
    vi lo = vi_set1(0), hi = vi_set1(0);
    UNROLL
    for (int c = 0; c < 4; c++) {
        lo = dot_add(k, lo, w->u[c], vi_load(g->q[c]));
        hi = dot_add(k, hi, w->u[4 + c], vi_load(g->q[4 + c]));
    }
    return add_lanes(k, w, lo, hi, g, lanes);
}

/* two rows, which share the loads of the activations */
INLINE void add_two(const struct qkind *k, const struct tile *wa, const struct tile *wb,
                    const struct act_group *g, vf *a, vf *b)
{
    vi lo_a = vi_set1(0), hi_a = vi_set1(0), lo_b = vi_set1(0), hi_b = vi_set1(0);
    UNROLL
    for (int c = 0; c < 4; c++) {
        vi x0 = vi_load(g->q[c]), x1 = vi_load(g->q[4 + c]);
        lo_a = dot_add(k, lo_a, wa->u[c], x0);
        lo_b = dot_add(k, lo_b, wb->u[c], x0);
        hi_a = dot_add(k, hi_a, wa->u[4 + c], x1);
        hi_b = dot_add(k, hi_b, wb->u[4 + c], x1);
    }
    *a = add_lanes(k, wa, lo_a, hi_a, g, *a);
    *b = add_lanes(k, wb, lo_b, hi_b, g, *b);
}

INLINE float one_row(const struct qkind *k, tile_fn *tile, const uint8_t *row, int64_t cols,
                     int64_t groups, const struct act_group *g)
{
    float y = 0;
    for (int64_t g0 = 0; g0 < groups; g0 += SPAN_GROUPS) {
        vf lanes = vf_set1(0);
        for (int64_t i = g0; i < groups && i < g0 + SPAN_GROUPS; i++) {
            struct tile w;
            load_tile(k, tile, row, i, cols, ONE_AHEAD, &w);
            lanes = add_one(k, &w, g + i, lanes);
        }
        y += vf_sum(lanes);
    }
    return y;
}

/* Up to FEW_ROWS rows from r and FEW_TOKENS tokens; y at the first of both. Group by group, so that
 * the activations of a group stay in the first cache for all rows. */
INLINE void few_rows(const struct qkind *k, tile_fn *tile, const struct mat *w, int64_t r, int rows,
                     const struct acts *a, int64_t t0, int n, float *y, int64_t y_stride)
{
    vf lanes[FEW_ROWS][FEW_TOKENS];
    size_t ahead = rows == 1 ? ONE_AHEAD : (size_t)rows * w->row_bytes;
    const struct act_group *g = a->g + t0 * a->groups;
    for (int64_t g0 = 0; g0 < a->groups; g0 += SPAN_GROUPS) {
        for (int i = 0; i < rows; i++)
            for (int t = 0; t < n; t++)
                lanes[i][t] = vf_set1(0);
        for (int64_t j = g0; j < a->groups && j < g0 + SPAN_GROUPS; j++) {
            for (int i = 0; i < rows; i += 2) {
                const uint8_t *row = (const uint8_t *)w->data + (size_t)(r + i) * w->row_bytes;
                struct tile w0, w1;
                load_tile(k, tile, row, j, w->cols, ahead, &w0);
                if (i + 1 < rows) {
                    load_tile(k, tile, row + w->row_bytes, j, w->cols, ahead, &w1);
                    for (int t = 0; t < n; t++)
                        add_two(k, &w0, &w1, g + t * a->groups + j, &lanes[i][t], &lanes[i + 1][t]);
                } else {
                    for (int t = 0; t < n; t++)
                        lanes[i][t] = add_one(k, &w0, g + t * a->groups + j, lanes[i][t]);
                }
            }
        }
        for (int i = 0; i < rows; i++)
            for (int t = 0; t < n; t++) {
                float *out = y + t * y_stride + i;
                *out = (g0 ? *out : 0) + vf_sum(lanes[i][t]);
            }
    }
}

/* A span of MANY_VECTORS * 16 rows, lane by row. */
struct panel {
    _Alignas(64) uint8_t w[SPAN_BLOCKS][8][MANY_VECTORS][64];
    _Alignas(64) float ws[SPAN_BLOCKS][2][MANY_VECTORS][16];
    _Alignas(64) float wm[SPAN_BLOCKS][2][MANY_VECTORS][16];
};

/* Vectors v of rows [r, r + n) (n <= 16; the others are zero), groups [g0, g0 + n_groups). */
INLINE void fill_panel(const struct qkind *k, tile_fn *tile, const struct mat *w, int64_t r, int n,
                       int64_t g0, int n_groups, int v, struct panel *panel)
{
    vi u[8][16], ws[2][16], wm[2][16], out[16];
    memset(u, 0, sizeof u);
    memset(ws, 0, sizeof ws);
    memset(wm, 0, sizeof wm);
    for (int g = 0; g < n_groups; g++) {
        for (int i = 0; i < n; i++) {
            struct tile t;
            load_tile(k, tile, (const uint8_t *)w->data + (size_t)(r + i) * w->row_bytes, g0 + g,
                      w->cols, 16 * w->row_bytes, &t);
            UNROLL
            for (int c = 0; c < 8; c++)
                u[c][i] = t.u[c];
            UNROLL
            for (int h = 0; h < k->halves; h++) {
                ws[h][i] = vi_as(t.ws[h]);
                if (k->has_min)
                    wm[h][i] = vi_as(t.wm[h]);
            }
        }
        UNROLL
        for (int c = 0; c < 8; c++) {
            vi_transpose(u[c], out);
            for (int j = 0; j < 16; j++)
                vi_store(panel->w[g * 16 + j][c][v], out[j]);
        }
        UNROLL
        for (int h = 0; h < k->halves; h++) {
            vi_transpose(ws[h], out);
            for (int j = 0; j < 16; j++)
                vi_store(panel->ws[g * 16 + j][h][v], out[j]);
            if (k->has_min) {
                vi_transpose(wm[h], out);
                for (int j = 0; j < 16; j++)
                    vi_store(panel->wm[g * 16 + j][h][v], out[j]);
            }
        }
    }
}

/* What the sum over a half or whole block starts from, so that no later correction is needed:
 * MAGIC_BITS - offset * sum. */
INLINE void start_sums(const struct qkind *k, const struct act_group *const *x, int nt,
                       int n_groups, int32_t start[2][MANY_TOKENS][SPAN_BLOCKS])
{
    int log2 = offset_log2(k);
    UNROLL
    for (int t = 0; t < nt; t++)
        for (int g = 0; g < n_groups; g++) {
            vi magic = vi_set1(MAGIC_BITS);
            const int32_t *first = k->halves == 2 ? x[t][g].sum_lo : x[t][g].sum;
            vi_store(&start[0][t][g * 16], vi_sub(magic, vi_sll(vi_load(first), log2)));
            if (k->halves == 2)
                vi_store(&start[1][t][g * 16],
                         vi_sub(magic, vi_sll(vi_load(x[t][g].sum_hi), log2)));
        }
}

/* lanes[j] += one block (lane j of group g): nv vectors of rows by nt tokens, both constants at
 * the call. */
INLINE void many_block(const struct qkind *k, const struct panel *panel, int block,
                       const struct act_group *const *x, int32_t start[2][MANY_TOKENS][SPAN_BLOCKS],
                       int nv, int nt, vf lanes[MANY_VECTORS * MANY_TOKENS])
{
    int g = block / 16, j = block % 16;
    vi acc[MANY_VECTORS][MANY_TOKENS];
    vf term[MANY_VECTORS][MANY_TOKENS];
    vf magic = vf_set1(MAGIC_FLOAT);
    UNROLL
    for (int h = 0; h < k->halves; h++) {
        int chunks = 8 / k->halves;
        UNROLL
        for (int t = 0; t < nt; t++)
            UNROLL
        for (int v = 0; v < nv; v++)
            acc[v][t] = offset_log2(k) ? vi_bcast(&start[h][t][block]) : vi_set1(MAGIC_BITS);
        UNROLL
        for (int c = h * chunks; c < (h + 1) * chunks; c++) {
            vi w[MANY_VECTORS];
            UNROLL
            for (int v = 0; v < nv; v++)
                w[v] = vi_load(panel->w[block][c][v]);
            UNROLL
            for (int t = 0; t < nt; t++) {
                vi xb = vi_bcast(x[t][g].q[c][j]);
                UNROLL
                for (int v = 0; v < nv; v++)
                    acc[v][t] = dot_add(k, acc[v][t], w[v], xb);
            }
        }
        UNROLL
        for (int v = 0; v < nv; v++) {
            vf ws = vf_load(panel->ws[block][h][v]);
            UNROLL
            for (int t = 0; t < nt; t++) {
                vf i = vf_sub(vf_as(acc[v][t]), magic);
                term[v][t] = h ? vf_fma(ws, i, term[v][t]) : vf_mul(ws, i);
            }
        }
    }
    UNROLL
    for (int t = 0; t < nt; t++) {
        vf scale = vf_set1(x[t][g].scale[j]);
        UNROLL
        for (int v = 0; v < nv; v++) {
            vf lane = vf_fma(scale, term[v][t], lanes[v * MANY_TOKENS + t]);
            if (k->has_min && k->halves == 2) {
                lane = vf_fma(vf_load(panel->wm[block][0][v]), vf_set1(x[t][g].fsum_lo[j]), lane);
                lane = vf_fma(vf_load(panel->wm[block][1][v]), vf_set1(x[t][g].fsum_hi[j]), lane);
            } else if (k->has_min) {
                lane = vf_fma(vf_load(panel->wm[block][0][v]), vf_set1(x[t][g].fsum[j]), lane);
            }
            lanes[v * MANY_TOKENS + t] = lane;
        }
    }
}

/* One span for nt tokens: y[t * y_stride + row] for `rows` rows. */
INLINE void many_tile(const struct qkind *k, const struct panel *panel, int n_blocks,
                      const struct act_group *const *x, int nv, int nt, int rows, bool first,
                      float *y, int64_t y_stride)
{
    int32_t start[2][MANY_TOKENS][SPAN_BLOCKS];
    vf lanes[16][MANY_VECTORS * MANY_TOKENS];
    for (int j = 0; j < 16; j++)
        for (int i = 0; i < nv * MANY_TOKENS; i++)
            lanes[j][i] = vf_set1(0);
    if (offset_log2(k))
        start_sums(k, x, nt, (n_blocks + 15) / 16, start);
    for (int b = 0; b < n_blocks; b++)
        many_block(k, panel, b, x, start, nv, nt, lanes[b % 16]);
    for (int step = 8; step > 0; step /= 2)
        for (int j = 0; j < step; j++)
            for (int i = 0; i < nv * MANY_TOKENS; i++)
                lanes[j][i] = vf_add(lanes[j][i], lanes[j + step][i]);
    UNROLL
    for (int v = 0; v < nv; v++) {
        int n = rows - 16 * v;
        for (int t = 0; t < nt && n > 0; t++) {
            float *out = y + t * y_stride + 16 * v;
            vf before = first ? vf_set1(0) : n >= 16 ? vf_load(out) : load_tail(out, n, 0);
            vf sum = vf_add(before, lanes[0][v * MANY_TOKENS + t]);
            if (n >= 16)
                vf_store(out, sum);
            else
                store_tail(out, sum, n);
        }
    }
}

/* Up to MANY_VECTORS * 16 rows from r, all tokens. */
INLINE void many_rows(const struct qkind *k, tile_fn *tile, const struct mat *w, int64_t r,
                      int rows, const struct acts *a, int64_t t0, int64_t t1, float *y,
                      int64_t y_stride)
{
    struct panel panel;
    for (int64_t g0 = 0; g0 < a->groups; g0 += SPAN_GROUPS) {
        int n_groups = a->groups - g0 < SPAN_GROUPS ? (int)(a->groups - g0) : SPAN_GROUPS;
        int64_t cols = w->cols - g0 * ACT_GROUP;
        int n_blocks = (int)((cols < SPAN_COLS ? cols : SPAN_COLS) / ACT_BLOCK);
        for (int v = 0; v < MANY_VECTORS; v++) {
            int n = rows - 16 * v;
            fill_panel(k, tile, w, r + 16 * v,
                       n < 0    ? 0
                       : n > 16 ? 16
                                : n,
                       g0, n_groups, v, &panel);
        }
        for (int64_t t = t0; t < t1; t += MANY_TOKENS) {
            int nt = t1 - t < MANY_TOKENS ? (int)(t1 - t) : MANY_TOKENS;
            const struct act_group *x[MANY_TOKENS];
            for (int i = 0; i < MANY_TOKENS; i++) /* repeats the last token past the end */
                x[i] = a->g + (t + (i < nt ? i : nt - 1)) * a->groups + g0;
            float *out = y + t * y_stride + r;
            if (nt == MANY_TOKENS)
                many_tile(k, &panel, n_blocks, x, MANY_VECTORS, MANY_TOKENS, rows, g0 == 0, out,
                          y_stride);
            else
                UNROLL
            for (int i = 0; i < nt; i++)
                many_tile(k, &panel, n_blocks, x + i, MANY_VECTORS, 1, rows, g0 == 0,
                          out + i * y_stride, y_stride);
        }
    }
}

#define INT_MUL(id, name, ...)                                                                     \
    static void one_##name(const struct mat *w, int64_t r0, int64_t r1, const struct acts *a,      \
                           int64_t t, float *y)                                                    \
    {                                                                                              \
        for (int64_t r = r0; r < r1; r++)                                                          \
            y[r] = one_row(&kind_##name, tile_##name,                                              \
                           (const uint8_t *)w->data + (size_t)r * w->row_bytes, w->cols,           \
                           a->groups, a->g + t * a->groups);                                       \
    }                                                                                              \
    static void few_##name(const struct mat *w, int64_t r, int rows, const struct acts *a,         \
                           int64_t t, int n, float *y, int64_t y_stride)                           \
    {                                                                                              \
        few_rows(&kind_##name, tile_##name, w, r, rows, a, t, n, y, y_stride);                     \
    }                                                                                              \
    static void many_##name(const struct mat *w, int64_t r, int rows, const struct acts *a,        \
                            int64_t t0, int64_t t1, float *y, int64_t y_stride)                    \
    {                                                                                              \
        many_rows(&kind_##name, tile_##name, w, r, rows, a, t0, t1, y, y_stride);                  \
    }                                                                                              \
    static void mul_##name(const struct mat *w, int64_t r0, int64_t r1, const struct acts *a,      \
                           int64_t t0, int64_t t1, float *y, int64_t y_stride)                     \
    {                                                                                              \
        int64_t n = t1 - t0;                                                                       \
        if (n == 1)                                                                                \
            one_##name(w, r0, r1, a, t0, y + t0 * y_stride);                                       \
        int step = n >= MANY_FROM ? MANY_VECTORS * 16 : n > 6 ? FEW_ROWS : 1;                      \
        for (int64_t r = r0; r < r1 && n > 1; r += step) {                                         \
            int rows = r1 - r < step ? (int)(r1 - r) : step;                                       \
            if (n >= MANY_FROM)                                                                    \
                many_##name(w, r, rows, a, t0, t1, y, y_stride);                                   \
            else                                                                                   \
                for (int64_t t = t0; t < t1; t += FEW_TOKENS)                                      \
                    few_##name(w, r, rows, a, t, (int)(t1 - t < FEW_TOKENS ? t1 - t : FEW_TOKENS), \
                               y + t * y_stride + r, y_stride);                                    \
        }                                                                                          \
    }
QUANT_KINDS(INT_MUL)
#undef INT_MUL
