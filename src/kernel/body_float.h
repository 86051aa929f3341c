/* Products of float weights, and the exact product of any type: weights become float32 (one row of
 * a span at a time, on the stack), then a register tile of rows by tokens. Element k of a span
 * belongs to lane k % 32. Include after body_rows.h. */
#pragma once

enum { FLOAT_ROWS = 4, FLOAT_TOKENS = 3 };

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

/* s[r][t] = dot of w[r] and x[t] over n columns, rounded as row_dot is. nr and nt are constants at
 * each call so that the sums stay in registers. */
INLINE void float_tile(const float *const *w, const float *const *x, int64_t n, int nr, int nt,
                       float *s)
{
    vf s0[FLOAT_ROWS][FLOAT_TOKENS], s1[FLOAT_ROWS][FLOAT_TOKENS];
    UNROLL
    for (int r = 0; r < nr; r++)
        UNROLL
    for (int t = 0; t < nt; t++)
        s0[r][t] = s1[r][t] = vf_set1(0);
    int64_t i = 0;
    for (; i + 32 <= n; i += 32) {
        vf x0[FLOAT_TOKENS], x1[FLOAT_TOKENS];
        UNROLL
        for (int t = 0; t < nt; t++) {
            x0[t] = vf_load(x[t] + i);
            x1[t] = vf_load(x[t] + i + 16);
        }
        UNROLL
        for (int r = 0; r < nr; r++) {
            vf w0 = vf_load(w[r] + i), w1 = vf_load(w[r] + i + 16);
            UNROLL
            for (int t = 0; t < nt; t++) {
                s0[r][t] = vf_fma(w0, x0[t], s0[r][t]);
                s1[r][t] = vf_fma(w1, x1[t], s1[r][t]);
            }
        }
    }
    int64_t left = n - i, left1 = left > 16 ? left - 16 : 0;
    for (int r = 0; r < nr && left > 0; r++)
        UNROLL
    for (int t = 0; t < nt; t++) {
        s0[r][t] = vf_fma(load_tail(w[r] + i, left, 0), load_tail(x[t] + i, left, 0), s0[r][t]);
        s1[r][t] = vf_fma(load_tail(w[r] + i + 16, left1, 0), load_tail(x[t] + i + 16, left1, 0),
                          s1[r][t]);
    }
    UNROLL
    for (int r = 0; r < nr; r++)
        UNROLL
    for (int t = 0; t < nt; t++)
        s[r * FLOAT_TOKENS + t] = vf_sum(vf_add(s0[r][t], s1[r][t]));
}

static void float_tiles(const float *const *w, const float *const *x, int64_t n, int nr, int nt,
                        float *s)
{
    if (nr == FLOAT_ROWS && nt == FLOAT_TOKENS) {
        float_tile(w, x, n, FLOAT_ROWS, FLOAT_TOKENS, s);
        return;
    }
    if (nr == FLOAT_ROWS && nt == 1) {
        float_tile(w, x, n, FLOAT_ROWS, 1, s);
        return;
    }
    UNROLL
    for (int r = 0; r < nr; r++)
        UNROLL
    for (int t = 0; t < nt; t++)
        float_tile(w + r, x + t, n, 1, 1, s + r * FLOAT_TOKENS + t);
}

typedef void expand_fn(const uint8_t *row, int64_t k0, int64_t n, float *dst);

/* The mul of floats and mul_exact: rows by FLOAT_ROWS, then spans, then tokens. */
INLINE void float_mul(const struct mat *w, int64_t r0, int64_t r1, const struct acts *a, int64_t t0,
                      int64_t t1, float *y, int64_t y_stride, expand_fn *expand)
{
    _Alignas(64) float panel[FLOAT_ROWS][SPAN_COLS];
    for (int64_t r = r0; r < r1; r += FLOAT_ROWS) {
        int nr = r1 - r < FLOAT_ROWS ? (int)(r1 - r) : FLOAT_ROWS;
        for (int64_t k0 = 0; k0 < w->cols || k0 == 0; k0 += SPAN_COLS) {
            int64_t n = w->cols - k0 < SPAN_COLS ? w->cols - k0 : SPAN_COLS;
            const float *rows[FLOAT_ROWS] = {panel[0], panel[1], panel[2], panel[3]};
            for (int i = 0; i < nr; i++)
                expand((const uint8_t *)w->data + (size_t)(r + i) * w->row_bytes, k0, n, panel[i]);
            for (int64_t t = t0; t < t1; t += FLOAT_TOKENS) {
                int nt = t1 - t < FLOAT_TOKENS ? (int)(t1 - t) : FLOAT_TOKENS;
                const float *x[FLOAT_TOKENS];
                float s[FLOAT_ROWS * FLOAT_TOKENS];
                for (int i = 0; i < nt; i++)
                    x[i] = a->x + (t + i) * a->x_stride + k0;
                float_tiles(rows, x, n, nr, nt, s);
                for (int i = 0; i < nt; i++)
                    for (int j = 0; j < nr; j++) {
                        float *out = y + (t + i) * y_stride + r + j;
                        float v = s[j * FLOAT_TOKENS + i];
                        *out = k0 == 0 ? v : *out + v;
                    }
            }
        }
    }
}

#define FLOAT_MUL(name)                                                                            \
    static void float_mul_##name(const struct mat *w, int64_t r0, int64_t r1,                      \
                                 const struct acts *a, int64_t t0, int64_t t1, float *y,           \
                                 int64_t y_stride)                                                 \
    {                                                                                              \
        float_mul(w, r0, r1, a, t0, t1, y, y_stride, expand_##name);                               \
    }
FLOAT_MUL(f32)
FLOAT_MUL(f16)
FLOAT_MUL(bf16)
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
    float_mul(w, r0, r1, a, t0, t1, y, y_stride, expand[w->type]);
}
