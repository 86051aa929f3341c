/* Products of float weights, and the exact product of any type. Element k of a span belongs to lane
 * k % 32. Include after body_rows.h.
 *
 * Up to FLOAT_FEW tokens read the weights as they lie (streams.h). More tokens: a span of some rows
 * becomes float32 on the stack; FLOAT_COLS columns of it stay in the first cache while a chunk of
 * tokens passes over them in register tiles of rows by tokens, whose lanes wait in memory for the
 * next columns. */
#pragma once
#include "kernel/streams.h"

enum {
    FLOAT_FEW = 4,
    FLOAT_PIECE = 256, /* columns of a row before the next row's turn */
    FLOAT_ROWS = 4,    /* of a register tile */
    FLOAT_TOKENS = 3,  /* of a register tile */
    FLOAT_PANEL = 8,   /* rows that are expanded together */
    FLOAT_COLS = 512,  /* columns of these in the first cache */
    FLOAT_CHUNK = 12,  /* tokens that pass over them */
};

/* Columns [k0, k0 + n) of one stored row as floats. */
INLINE void expand_f16(const uint8_t *row, int64_t k0, int64_t n, float *dst)
{
    const uint8_t *p = row + 2 * k0;
    uint16_t h[16] = {0};
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        memcpy(h, p + 2 * i, 32);
        vf_store(dst + i, vf_load_f16(h));
    }
    memcpy(h, p + 2 * i, (size_t)(n - i) * 2);
    store_tail(dst + i, vf_load_f16(h), n - i);
}

INLINE void expand_bf16(const uint8_t *row, int64_t k0, int64_t n, float *dst)
{
    const uint8_t *p = row + 2 * k0;
    uint16_t h[16] = {0};
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        memcpy(h, p + 2 * i, 32);
        vf_store(dst + i, vf_load_bf16(h));
    }
    memcpy(h, p + 2 * i, (size_t)(n - i) * 2);
    store_tail(dst + i, vf_load_bf16(h), n - i);
}

INLINE void expand_f32(const uint8_t *row, int64_t k0, int64_t n, float *dst)
{
    memcpy(dst, row + 4 * k0, (size_t)n * 4);
}

/* ws * (u - offset) + wm: the same two roundings as format/quant.h's dequantize */
INLINE void expand_block(const struct qkind *k, const struct block32 *b, float *dst)
{
    int offset = k->offset_log2 ? 1 << k->offset_log2 : 0;
    for (int i = 0; i < 32; i++) {
        int u = k->is_signed ? (int8_t)b->u[i] : b->u[i] - offset;
        float w = b->ws[i / 16] * (float)u;
        dst[i] = k->has_min ? w + b->wm[i / 16] : w;
    }
}

#define EXPAND_QUANT(id, name, ...)                                                                \
    static void expand_##name(const uint8_t *row, int64_t k0, int64_t n, float *dst)               \
    {                                                                                              \
        for (int64_t i = 0; i < n; i += 32) {                                                      \
            struct block32 b;                                                                      \
            int64_t k = k0 + i;                                                                    \
            unpack_##name(row + k / kind_##name.block_cols * kind_##name.block_bytes,              \
                          (int)(k % kind_##name.block_cols / 32), &b);                             \
            expand_block(&kind_##name, &b, dst + i);                                               \
        }                                                                                          \
    }
QUANT_KINDS(EXPAND_QUANT)
#undef EXPAND_QUANT

/* ---- few tokens ---- */

/* 32 weights at column k of a row, zeros past the last of n */
typedef void load_fn(const uint8_t *row, int64_t k, int64_t n, vf *a, vf *b);

#define LOAD_HALVES(name, load)                                                                    \
    INLINE void name(const uint8_t *row, int64_t k, int64_t n, vf *a, vf *b)                       \
    {                                                                                              \
        uint16_t h[32] = {0};                                                                      \
        const uint8_t *p = row + 2 * k;                                                            \
        if (n - k >= 32) {                                                                         \
            *a = load((const uint16_t *)(const void *)p);                                          \
            *b = load((const uint16_t *)(const void *)(p + 32));                                   \
            return;                                                                                \
        }                                                                                          \
        memcpy(h, p, (size_t)(n - k) * 2);                                                         \
        *a = load(h);                                                                              \
        *b = load(h + 16);                                                                         \
    }
LOAD_HALVES(load_f16, vf_load_f16)
LOAD_HALVES(load_bf16, vf_load_bf16)
#undef LOAD_HALVES

INLINE void load_f32(const uint8_t *row, int64_t k, int64_t n, vf *a, vf *b)
{
    float f[32] = {0};
    const float *p = (const float *)(const void *)(row + 4 * k);
    if (n - k < 32) {
        memcpy(f, p, (size_t)(n - k) * 4);
        p = f;
    }
    *a = vf_load(p);
    *b = vf_load(p + 16);
}

/* Lanes of one (row, token): elements k % 32 < 16, and the others. */
struct float_lanes {
    vf s[2];
};

/* lanes += columns [k0, end) of one row of weights of `bytes` each times n tokens; `bytes` and n
 * are constants at the call. */
INLINE void float_piece(const uint8_t *row, int64_t cols, int64_t k0, int64_t end, load_fn *load,
                        int bytes, const float *x, int64_t x_stride, int n,
                        struct float_lanes *lanes)
{
    vf s0[FLOAT_FEW], s1[FLOAT_FEW], a, b;
    int64_t k = k0;
    UNROLL
    for (int t = 0; t < n; t++) {
        s0[t] = lanes[t].s[0];
        s1[t] = lanes[t].s[1];
    }
    for (; k + 32 <= end; k += 32) {
        UNROLL
        for (int at = 0; at < 32 * bytes; at += 64) /* the lines that 32 weights take */
            __builtin_prefetch(
                (const void *)((uintptr_t)row + (uintptr_t)(k * bytes + at) + ROW_AHEAD));
        load(row, k, cols, &a, &b);
        UNROLL
        for (int t = 0; t < n; t++) {
            s0[t] = vf_fma(a, vf_load(x + t * x_stride + k), s0[t]);
            s1[t] = vf_fma(b, vf_load(x + t * x_stride + k + 16), s1[t]);
        }
    }
    if (k < end) {
        int64_t left = end - k, left1 = left > 16 ? left - 16 : 0;
        load(row, k, cols, &a, &b);
        UNROLL
        for (int t = 0; t < n; t++) {
            const float *xt = x + t * x_stride + k;
            s0[t] = vf_fma(a, left < 16 ? load_tail(xt, left, 0) : vf_load(xt), s0[t]);
            s1[t] = vf_fma(b, left1 ? load_tail(xt + 16, left1, 0) : vf_set1(0), s1[t]);
        }
    }
    UNROLL
    for (int t = 0; t < n; t++) {
        lanes[t].s[0] = s0[t];
        lanes[t].s[1] = s1[t];
    }
}

/* `streams` rows, `apart` from one another, times n tokens */
INLINE void float_rows(const struct mat *w, int64_t r, int64_t apart, int streams, load_fn *load,
                       int bytes, const float *x, int64_t x_stride, int n, float *y,
                       int64_t y_stride)
{
    const uint8_t *row = (const uint8_t *)w->data + (size_t)r * w->row_bytes;
    float sum[ROW_STREAMS][FLOAT_FEW] = {0};
    for (int64_t k0 = 0; k0 < w->cols; k0 += SPAN_COLS) {
        int64_t end = w->cols - k0 < SPAN_COLS ? w->cols : k0 + SPAN_COLS;
        struct float_lanes lanes[ROW_STREAMS][FLOAT_FEW];
        for (int s = 0; s < streams; s++)
            for (int t = 0; t < n; t++)
                lanes[s][t].s[0] = lanes[s][t].s[1] = vf_set1(0);
        for (int64_t k = k0; k < end; k += FLOAT_PIECE)
            for (int s = 0; s < streams; s++)
                float_piece(row + (size_t)(s * apart) * w->row_bytes, w->cols, k,
                            end - k < FLOAT_PIECE ? end : k + FLOAT_PIECE, load, bytes, x, x_stride,
                            n, lanes[s]);
        for (int s = 0; s < streams; s++)
            for (int t = 0; t < n; t++)
                sum[s][t] += vf_sum(vf_add(lanes[s][t].s[0], lanes[s][t].s[1]));
    }
    for (int s = 0; s < streams; s++)
        for (int t = 0; t < n; t++)
            y[t * y_stride + r + s * apart] = sum[s][t];
}

INLINE void float_few(const struct mat *w, int64_t r0, int64_t r1, const struct acts *a, int64_t t0,
                      int n, float *y, int64_t y_stride, load_fn *load, int bytes)
{
    const float *x = a->x + t0 * a->x_stride;
    int64_t apart = (r1 - r0) / ROW_STREAMS, alone = r0 + apart * ROW_STREAMS;
    y += t0 * y_stride;
    for (int64_t r = r0; r < r1; r = r + 1 == r0 + apart ? alone : r + 1)
        float_rows(w, r, r < alone ? apart : 0, r < alone ? ROW_STREAMS : 1, load, bytes, x,
                   a->x_stride, n, y, y_stride);
}

/* ---- many tokens ---- */

/* lanes[r * FLOAT_CHUNK + t] += FLOAT_ROWS rows (w_stride apart) by FLOAT_TOKENS tokens over n
 * columns. */
static void float_tile(const float *w, int64_t w_stride, const float *const *x, int64_t n,
                       struct float_lanes *lanes)
{
    vf s0[FLOAT_ROWS][FLOAT_TOKENS], s1[FLOAT_ROWS][FLOAT_TOKENS];
    UNROLL
    for (int r = 0; r < FLOAT_ROWS; r++)
        UNROLL
    for (int t = 0; t < FLOAT_TOKENS; t++) {
        s0[r][t] = lanes[r * FLOAT_CHUNK + t].s[0];
        s1[r][t] = lanes[r * FLOAT_CHUNK + t].s[1];
    }
    int64_t i = 0;
    for (; i + 32 <= n; i += 32) {
        vf x0[FLOAT_TOKENS], x1[FLOAT_TOKENS];
        UNROLL
        for (int t = 0; t < FLOAT_TOKENS; t++) {
            x0[t] = vf_load(x[t] + i);
            x1[t] = vf_load(x[t] + i + 16);
        }
        UNROLL
        for (int r = 0; r < FLOAT_ROWS; r++) {
            vf w0 = vf_as(vi_load_once(w + r * w_stride + i)),
               w1 = vf_as(vi_load_once(w + r * w_stride + i + 16));
            UNROLL
            for (int t = 0; t < FLOAT_TOKENS; t++) {
                s0[r][t] = vf_fma(w0, x0[t], s0[r][t]);
                s1[r][t] = vf_fma(w1, x1[t], s1[r][t]);
            }
        }
    }
    int64_t left = n - i, left1 = left > 16 ? left - 16 : 0;
    /* unrolled as well: an index that is no constant would put the sums into memory */
    if (left > 0)
        UNROLL
    for (int r = 0; r < FLOAT_ROWS; r++)
        UNROLL
    for (int t = 0; t < FLOAT_TOKENS; t++) {
        const float *wr = w + r * w_stride + i, *xt = x[t] + i;
        s0[r][t] = vf_fma(vf_load(wr), left < 16 ? load_tail(xt, left, 0) : vf_load(xt), s0[r][t]);
        s1[r][t] =
            vf_fma(vf_load(wr + 16), left1 ? load_tail(xt + 16, left1, 0) : vf_set1(0), s1[r][t]);
    }
    UNROLL
    for (int r = 0; r < FLOAT_ROWS; r++)
        UNROLL
    for (int t = 0; t < FLOAT_TOKENS; t++) {
        lanes[r * FLOAT_CHUNK + t].s[0] = s0[r][t];
        lanes[r * FLOAT_CHUNK + t].s[1] = s1[r][t];
    }
}

/* A panel of nr rows of a span, n columns from k0 on. Rows are whole: those past nr are zero. */
struct float_panel {
    _Alignas(64) float w[FLOAT_PANEL][SPAN_COLS + 32];
    int64_t r, k0, n;
    int nr;
};

/* The panel times tokens [t0, t0 + nt), at most FLOAT_CHUNK. The last tile of tokens is filled up
 * with the last token. */
static void float_chunk(const struct float_panel *p, const struct acts *a, int64_t t0, int nt,
                        float *y, int64_t y_stride)
{
    struct float_lanes lanes[FLOAT_PANEL * FLOAT_CHUNK];
    for (int i = 0; i < FLOAT_PANEL * FLOAT_CHUNK; i++)
        lanes[i].s[0] = lanes[i].s[1] = vf_set1(0);
    for (int64_t k = 0; k < p->n; k += FLOAT_COLS) {
        int64_t n = p->n - k < FLOAT_COLS ? p->n - k : FLOAT_COLS;
        for (int t = 0; t < nt; t += FLOAT_TOKENS) {
            const float *x[FLOAT_TOKENS];
            for (int i = 0; i < FLOAT_TOKENS; i++)
                x[i] = a->x + (t0 + (t + i < nt ? t + i : nt - 1)) * a->x_stride + p->k0 + k;
            for (int r = 0; r < p->nr; r += FLOAT_ROWS)
                float_tile(p->w[r] + k, SPAN_COLS + 32, x, n, &lanes[r * FLOAT_CHUNK + t]);
        }
    }
    for (int r = 0; r < p->nr; r++)
        for (int t = 0; t < nt; t++) {
            const struct float_lanes *l = &lanes[r * FLOAT_CHUNK + t];
            float *out = y + (t0 + t) * y_stride + p->r + r, sum = vf_sum(vf_add(l->s[0], l->s[1]));
            *out = p->k0 == 0 ? sum : *out + sum;
        }
}

typedef void expand_fn(const uint8_t *row, int64_t k0, int64_t n, float *dst);

/* Rows [r0, r1) by tokens [t0, t1): rows by FLOAT_PANEL, then spans, then tokens. */
static void float_many(const struct mat *w, int64_t r0, int64_t r1, const struct acts *a,
                       int64_t t0, int64_t t1, float *y, int64_t y_stride, expand_fn *expand)
{
    struct float_panel p;
    for (p.r = r0; p.r < r1; p.r += FLOAT_PANEL) {
        p.nr = r1 - p.r < FLOAT_PANEL ? (int)(r1 - p.r) : FLOAT_PANEL;
        for (p.k0 = 0; p.k0 < w->cols || p.k0 == 0; p.k0 += SPAN_COLS) {
            p.n = w->cols - p.k0 < SPAN_COLS ? w->cols - p.k0 : SPAN_COLS;
            for (int i = 0; i < FLOAT_PANEL; i++) {
                int64_t n = i < p.nr ? p.n : 0;
                if (n)
                    expand((const uint8_t *)w->data + (size_t)(p.r + i) * w->row_bytes, p.k0, n,
                           p.w[i]);
                memset(p.w[i] + n, 0, (size_t)((p.n + 31) / 32 * 32 - n) * sizeof p.w[i][0]);
            }
            for (int64_t t = t0; t < t1; t += FLOAT_CHUNK)
                float_chunk(&p, a, t, t1 - t < FLOAT_CHUNK ? (int)(t1 - t) : FLOAT_CHUNK, y,
                            y_stride);
        }
    }
}

#define FLOAT_MUL(name, bytes)                                                                     \
    static void float_mul_##name(const struct mat *w, int64_t r0, int64_t r1,                      \
                                 const struct acts *a, int64_t t0, int64_t t1, float *y,           \
                                 int64_t y_stride)                                                 \
    {                                                                                              \
        switch (t1 - t0) {                                                                         \
        case 1: float_few(w, r0, r1, a, t0, 1, y, y_stride, load_##name, bytes); break;            \
        case 2: float_few(w, r0, r1, a, t0, 2, y, y_stride, load_##name, bytes); break;            \
        case 3: float_few(w, r0, r1, a, t0, 3, y, y_stride, load_##name, bytes); break;            \
        case 4: float_few(w, r0, r1, a, t0, 4, y, y_stride, load_##name, bytes); break;            \
        default: float_many(w, r0, r1, a, t0, t1, y, y_stride, expand_##name);                     \
        }                                                                                          \
    }
FLOAT_MUL(f32, 4)
FLOAT_MUL(f16, 2)
FLOAT_MUL(bf16, 2)
#undef FLOAT_MUL

static void mul_exact(const struct mat *w, int64_t r0, int64_t r1, const struct acts *a, int64_t t0,
                      int64_t t1, float *y, int64_t y_stride)
{
    static expand_fn *const expand[QT_COUNT] = {[QT_F32] = expand_f32,
                                                [QT_F16] = expand_f16,
                                                [QT_BF16] = expand_bf16,
#define ROW(id, name, ...) [id] = expand_##name,
                                                QUANT_KINDS(ROW)
#undef ROW
    };
    float_many(w, r0, r1, a, t0, t1, y, y_stride, expand[w->type]);
}
