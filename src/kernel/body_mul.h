/* The integer product on 16-lane vectors; include after a vec_*.h and the tiles of its types.
 *
 * A tile is one row's group: 16 blocks, one to a lane, eight dwords deep. Two loops use it:
 *  - few tokens: tiles in registers, straight from the mapped bytes, a group of each of
 * ROW_STREAMS rows in turn; a lane's sum is the arithmetic of kernel.h as it stands;
 *  - many tokens: tiles of 16 rows are transposed so that a lane is a row (a panel), and a register
 *    tile of rows by tokens runs over it with activations broadcast from memory. The lanes of
 *    kernel.h are then visited one after the other, in the order in which they are added.
 * Both do the same operations on the same numbers in the same order.
 *
 * Integers become floats without an instruction: sums start at the bits of MAGIC_FLOAT, so that the
 * register read as a float is MAGIC_FLOAT + i, exact for |i| < 2^22. One fused operation takes the
 * magic out again: fma(ws, MAGIC_FLOAT + i, -(ws * MAGIC_FLOAT)) is ws * i rounded once, since
 * ws * MAGIC_FLOAT is exact: ws has at most 19 significant bits (an f16 times a scale of 8 bits),
 * MAGIC_FLOAT is 3 * 2^22. */
#pragma once
#include "kernel/streams.h"

enum {
    ROW_TOKENS_MAX = 8, /* tokens that a row meets while it is in registers */
    FEW_ROWS = 8,       /* rows that the next tokens find in the cache */
    PIECE_GROUPS = 2,   /* of a row, before the next stream's turn */
    STREAM_TOKENS = 4,  /* for more the products take longer than the memory: one stream, a span of
                         * a row at a time, without loads and stores of lanes, ... */
    ONE_AHEAD = 2048,   /* ... and so many bytes asked for ahead */
};
#ifndef MANY_FROM /* a vec_*.h may choose from how many tokens on transposing pays */
#define MANY_FROM 24
#endif

#define MAGIC_BITS  0x4b400000
#define MAGIC_FLOAT 12582912.0f

/* keeps the first n lanes, zeros the others */
INLINE vf first_lanes(vf a, int n)
{
    static const float lane[ACT_LANES] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    return vf_if_less(vf_load(lane), vf_set1((float)n), a, vf_set1(0));
}

/* The blocks of a row's group. A short last one is read whole as well, with what follows in the
 * matrix (whose bytes end at `end`; past it there are zeros), and its scales past the row are zero.
 * Asks for the bytes `ahead` of it: hardware that follows one row may not follow pieces of several
 * in turn. */
INLINE void load_tile(const struct qkind *k, tile_fn *tile, const uint8_t *row, int64_t group,
                      int64_t cols, const uint8_t *end, size_t ahead, struct tile *t)
{
    size_t bytes = (size_t)(ACT_GROUP / k->block_cols) * k->block_bytes;
    const uint8_t *p = row + (size_t)group * bytes;
    int64_t left = cols - group * ACT_GROUP;
    uint8_t buf[16 * 34 + 64];
    UNROLL
    for (size_t i = 0; i < bytes; i += 64)
        __builtin_prefetch((const void *)((uintptr_t)p + ahead + i));
    if ((size_t)(end - p) < bytes) {
        memset(buf, 0, sizeof buf);
        memcpy(buf, p, (size_t)(left / k->block_cols) * k->block_bytes);
        p = buf;
    }
    tile(p, t);
    if (left >= ACT_GROUP)
        return;
    UNROLL
    for (int h = 0; h < k->halves; h++) {
        t->ws[h] = first_lanes(t->ws[h], (int)(left / ACT_BLOCK));
        if (k->has_min)
            t->wm[h] = first_lanes(t->wm[h], (int)(left / ACT_BLOCK));
    }
}

INLINE const uint8_t *end_of(const struct mat *w)
{
    return (const uint8_t *)w->data + (size_t)w->rows * w->row_bytes;
}

INLINE vi dot_add(bool is_signed, vi acc, vi w, vi x)
{
#if VEC_DOT_SIGNED
    if (is_signed)
        return vi_dot_ss(acc, w, x);
#else
    (void)is_signed;
#endif
    return vi_dot_us(acc, w, x);
}

/* Chunks that are multiplied together: several where a vec_*.h has a cheaper sum of them
 * (VEC_DOT_CHUNKS, which adds products in 16 bits first). Then 2 * 4 * 31 * 127 must be below 2^15,
 * or 2 * 2 * 63 * 127 for types of two halves without minimum (Q6_K). Signed bytes fill 16 bits. */
INLINE int chunks_at_once(int halves, bool has_min, bool is_signed)
{
#ifdef VEC_DOT_CHUNKS
    return is_signed || (halves == 2 && !has_min) ? 2 : 4;
#else
    (void)halves, (void)has_min, (void)is_signed;
    return 1;
#endif
}

/* acc += n chunks of w times as many of x; n is what chunks_at_once says */
INLINE vi dot_chunks(bool is_signed, int n, vi acc, const vi *w, const vi *x)
{
#ifdef VEC_DOT_CHUNKS
    return is_signed ? vi_dot_ss_chunks(acc, w, x, n) : vi_dot_us_chunks(acc, w, x, n);
#else
    UNROLL
    for (int i = 0; i < n; i++)
        acc = dot_add(is_signed, acc, w[i], x[i]);
    return acc;
#endif
}

/* log2 of what the stored bytes exceed the weights by; 0: nothing */
INLINE int offset_log2(const struct qkind *k)
{
    return k->is_signed && !VEC_DOT_SIGNED ? 7 : k->offset_log2;
}

/* what takes the magic out of a sum that will be multiplied with ws */
INLINE vf magic_of(vf ws)
{
    return vf_mul(ws, vf_set1(-MAGIC_FLOAT));
}

/* MAGIC_BITS - offset * sum: what the integer sums of 16 blocks start from */
INLINE vi start_of(const struct qkind *k, const int32_t *sum)
{
    vi magic = vi_set1(MAGIC_BITS);
    return offset_log2(k) ? vi_sub(magic, vi_sll(vi_load(sum), offset_log2(k))) : magic;
}

/* ---- few tokens ---- */

/* lanes += one group of one token, from the integer sums (of both halves where there are two) */
INLINE vf add_lanes(const struct qkind *k, const struct tile *w, vf magic, vi lo, vi hi,
                    const struct act_group *g, vf lanes)
{
    vf t = vf_fma(w->ws[0], vf_as(lo), magic);
    if (k->halves == 2)
        t = vf_fma(w->ws[1], vf_sub(vf_as(hi), vf_set1(MAGIC_FLOAT)), t);
    lanes = vf_fma(vf_load(g->scale), t, lanes);
    if (k->has_min && k->halves == 2) {
        lanes = vf_fma(w->wm[0], vf_load(g->fsum_lo), lanes);
        lanes = vf_fma(w->wm[1], vf_load(g->fsum_hi), lanes);
    } else if (k->has_min) {
        lanes = vf_fma(w->wm[0], vf_load(g->fsum), lanes);
    }
    return lanes;
}

/* A row's group times n tokens (a constant at the call, at most 4): enough short chains at once to
 * keep the multipliers busy. x: the tokens' groups. */
INLINE void add_group(const struct qkind *k, const struct tile *w, const struct act_group *const *x,
                      int n, vf *lanes)
{
    vi lo[4], hi[4];
    vf magic = magic_of(w->ws[0]);
    UNROLL
    for (int t = 0; t < n; t++) {
        lo[t] = start_of(k, k->halves == 2 ? x[t]->sum_lo : x[t]->sum);
        hi[t] = k->halves == 2 ? start_of(k, x[t]->sum_hi) : vi_set1(0);
    }
    int step = chunks_at_once(k->halves, k->has_min, k->is_signed);
    UNROLL
    for (int c = 0; c < 4; c += step)
        UNROLL
    for (int t = 0; t < n; t++) {
        vi x_lo[4], x_hi[4];
        UNROLL
        for (int i = 0; i < step; i++) {
            x_lo[i] = vi_load(x[t]->q[c + i]);
            x_hi[i] = vi_load(x[t]->q[4 + c + i]);
        }
        lo[t] = dot_chunks(k->is_signed, step, lo[t], w->u + c, x_lo);
        hi[t] = dot_chunks(k->is_signed, step, hi[t], w->u + 4 + c, x_hi);
    }
    UNROLL
    for (int t = 0; t < n; t++) {
        if (k->halves == 1)
            lo[t] = vi_add(lo[t], hi[t]);
        lanes[t] = add_lanes(k, w, magic, lo[t], hi[t], x[t], lanes[t]);
    }
}

/* The groups j of n tokens from g; past the last token of `real` the last one again, whose results
 * nobody reads. */
INLINE void groups_of(const struct act_group *g, int64_t groups, int64_t j, int real, int n,
                      const struct act_group **x)
{
    UNROLL
    for (int t = 0; t < n; t++)
        x[t] = g + (t < real ? t : real - 1) * groups + j;
}

/* lanes += groups [i, end) of a row times `real` tokens, computed as n, a constant at the call */
INLINE void row_piece(const struct qkind *k, tile_fn *tile, const struct mat *w, const uint8_t *row,
                      int64_t i, int64_t end, const struct act_group *g, int64_t groups, int real,
                      int n, vf *lanes)
{
    vf sum[ROW_TOKENS_MAX];
    UNROLL
    for (int t = 0; t < n; t++)
        sum[t] = lanes[t];
    for (; i < end; i++) {
        struct tile u;
        const struct act_group *x[ROW_TOKENS_MAX];
        groups_of(g, groups, i, real, n, x);
        load_tile(k, tile, row, i, w->cols, end_of(w), n > STREAM_TOKENS ? ONE_AHEAD : ROW_AHEAD,
                  &u);
        add_group(k, &u, x, n < 4 ? n : 4, sum);
        if (n > 4)
            add_group(k, &u, x + 4, n - 4, sum + 4);
    }
    UNROLL
    for (int t = 0; t < n; t++)
        lanes[t] = sum[t];
}

/* `streams` rows, `apart` from one another, times `real` tokens, computed as n, a constant at the
 * call. */
INLINE void row_tokens(const struct qkind *k, tile_fn *tile, const struct mat *w, int64_t r,
                       int64_t apart, int streams, const struct acts *a, int64_t t0, int real,
                       int n, float *y, int64_t y_stride)
{
    const uint8_t *row = (const uint8_t *)w->data + (size_t)r * w->row_bytes;
    const struct act_group *g = a->g + t0 * a->groups;
    float sum[ROW_STREAMS][ROW_TOKENS_MAX];
    if (n > STREAM_TOKENS)
        streams = 1; /* as the caller says, but a constant, so that lanes are registers */
    for (int s = 0; s < streams; s++)
        for (int t = 0; t < n; t++)
            sum[s][t] = 0;
    for (int64_t g0 = 0; g0 < a->groups; g0 += SPAN_GROUPS) {
        vf lanes[ROW_STREAMS][ROW_TOKENS_MAX];
        for (int s = 0; s < streams; s++)
            UNROLL
        for (int t = 0; t < n; t++)
            lanes[s][t] = vf_set1(0);
        int64_t end = a->groups < g0 + SPAN_GROUPS ? a->groups : g0 + SPAN_GROUPS;
        int64_t step = n > STREAM_TOKENS ? SPAN_GROUPS : PIECE_GROUPS;
        for (int64_t i = g0; i < end; i += step)
            for (int s = 0; s < streams; s++)
                row_piece(k, tile, w, row + (size_t)(s * apart) * w->row_bytes, i,
                          end < i + step ? end : i + step, g, a->groups, real, n, lanes[s]);
        for (int s = 0; s < streams; s++)
            UNROLL
        for (int t = 0; t < n; t++)
            sum[s][t] += vf_sum(lanes[s][t]);
    }
    for (int s = 0; s < streams; s++)
        for (int t = 0; t < real; t++)
            y[t * y_stride + r + s * apart] = sum[s][t];
}

/* rows [r0, r1) of each stream */
typedef void row_fn(const struct mat *w, int64_t r0, int64_t r1, int64_t apart, int streams,
                    const struct acts *a, int64_t t0, int real, float *y, int64_t y_stride);

/* Rows [r0, r1) of each stream. Tokens in equal parts of at most ROW_TOKENS_MAX, some rows at a
 * time: the first part reads them from memory, the others find them in the cache. */
static void few_rows(row_fn *rows, const struct mat *w, int64_t r0, int64_t r1, int64_t apart,
                     int streams, const struct acts *a, int64_t t0, int64_t t1, float *y,
                     int64_t y_stride)
{
    int64_t parts = (t1 - t0 + ROW_TOKENS_MAX - 1) / ROW_TOKENS_MAX;
    for (; r0 < r1; r0 += FEW_ROWS)
        for (int64_t i = 0, t = t0; i < parts; i++) {
            int64_t end = t0 + (t1 - t0) * (i + 1) / parts;
            rows(w, r0, r1 - r0 < FEW_ROWS ? r1 : r0 + FEW_ROWS, apart, streams, a, t,
                 (int)(end - t), y + t * y_stride, y_stride);
            t = end;
        }
}

static void few_tokens(row_fn *rows, const struct mat *w, int64_t r0, int64_t r1,
                       const struct acts *a, int64_t t0, int64_t t1, float *y, int64_t y_stride)
{
    int64_t apart = t1 - t0 > STREAM_TOKENS ? 0 : (r1 - r0) / ROW_STREAMS;
    few_rows(rows, w, r0, r0 + apart, apart, ROW_STREAMS, a, t0, t1, y, y_stride);
    few_rows(rows, w, r0 + apart * ROW_STREAMS, r1, 0, 1, a, t0, t1, y, y_stride);
}

#include "kernel/body_many.h"

#define ROW_TOKENS(name, n)                                                                        \
    for (int64_t r = r0; r < r1; r++)                                                              \
    row_tokens(&kind_##name, tile_##name, w, r, apart, streams, a, t0, real, n, y, y_stride)

#define INT_MUL(id, name, ...)                                                                     \
    static void row_tokens_##name(const struct mat *w, int64_t r0, int64_t r1, int64_t apart,      \
                                  int streams, const struct acts *a, int64_t t0, int real,         \
                                  float *y, int64_t y_stride)                                      \
    {                                                                                              \
        switch (real) {                                                                            \
        case 1: ROW_TOKENS(name, 1); break;                                                        \
        case 2: ROW_TOKENS(name, 2); break;                                                        \
        case 3:                                                                                    \
        case 4: ROW_TOKENS(name, 4); break;                                                        \
        case 5:                                                                                    \
        case 6: ROW_TOKENS(name, 6); break;                                                        \
        case 7:                                                                                    \
        case 8: ROW_TOKENS(name, 8); break;                                                        \
        default: break;                                                                            \
        }                                                                                          \
    }                                                                                              \
    static void fill_##name(const struct mat *w, int64_t r, int n, int64_t g0, int n_groups,       \
                            int v, struct panel *panel)                                            \
    {                                                                                              \
        fill_panel(&kind_##name, tile_##name, w, r, n, g0, n_groups, v, panel);                    \
    }                                                                                              \
    static void mul_##name(const struct mat *w, int64_t r0, int64_t r1, const struct acts *a,      \
                           int64_t t0, int64_t t1, float *y, int64_t y_stride)                     \
    {                                                                                              \
        if (t1 - t0 >= MANY_FROM)                                                                  \
            many_rows(&kind_##name, pass_of(&kind_##name), fill_##name, w, r0, r1, a, t0, t1, y,   \
                      y_stride);                                                                   \
        else                                                                                       \
            few_tokens(row_tokens_##name, w, r0, r1, a, t0, t1, y, y_stride);                      \
    }
QUANT_KINDS(INT_MUL)
#undef INT_MUL
#undef ROW_TOKENS
