/* Slots on float rows: sums, norms, activations, softmax, rotary embedding. Written once on 16
 * lanes; include after a vec_*.h. Tails go through a zero-padded copy, so an element's result does
 * not depend on where it stands, and sums run over lanes in one order. */
#pragma once
#include "kernel/body_math.h"

/* up to 16 values, the rest fill */
INLINE vf load_tail(const float *p, int64_t n, float fill)
{
    float buf[16];
    for (int i = 0; i < 16; i++)
        buf[i] = i < n ? p[i] : fill;
    return vf_load(buf);
}

INLINE void store_tail(float *p, vf a, int64_t n)
{
    float buf[16];
    vf_store(buf, a);
    memcpy(p, buf, (size_t)n * sizeof *p);
}

/* element k belongs to lane k % 32 */
static float row_dot(const float *a, const float *b, int64_t n)
{
    vf s0 = vf_set1(0), s1 = vf_set1(0);
    int64_t i = 0;
    for (; i + 32 <= n; i += 32) {
        s0 = vf_fma(vf_load(a + i), vf_load(b + i), s0);
        s1 = vf_fma(vf_load(a + i + 16), vf_load(b + i + 16), s1);
    }
    if (i + 16 <= n) {
        s0 = vf_fma(vf_load(a + i), vf_load(b + i), s0);
        i += 16;
        if (i < n)
            s1 = vf_fma(load_tail(a + i, n - i, 0), load_tail(b + i, n - i, 0), s1);
    } else if (i < n) {
        s0 = vf_fma(load_tail(a + i, n - i, 0), load_tail(b + i, n - i, 0), s0);
    }
    return vf_sum(vf_add(s0, s1));
}

static void row_add(float *y, const float *x, int64_t n)
{
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        vf_store(y + i, vf_add(vf_load(y + i), vf_load(x + i)));
    for (; i < n; i++)
        y[i] += x[i];
}

static void row_axpy(float *y, float s, const float *x, int64_t n)
{
    int64_t i = 0;
    vf vs = vf_set1(s);
    for (; i + 16 <= n; i += 16)
        vf_store(y + i, vf_fma(vs, vf_load(x + i), vf_load(y + i)));
    if (i < n)
        store_tail(y + i, vf_fma(vs, load_tail(x + i, n - i, 0), load_tail(y + i, n - i, 0)),
                   n - i);
}

static void row_scale(float *y, float s, int64_t n)
{
    int64_t i = 0;
    vf vs = vf_set1(s);
    for (; i + 16 <= n; i += 16)
        vf_store(y + i, vf_mul(vf_load(y + i), vs));
    for (; i < n; i++)
        y[i] *= s;
}

static float row_sum(const float *x, int64_t n)
{
    vf s = vf_set1(0);
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        s = vf_add(s, vf_load(x + i));
    if (i < n)
        s = vf_add(s, load_tail(x + i, n - i, 0));
    return vf_sum(s);
}

static void row_rmsnorm(float *y, const float *x, const float *w, float offset, float eps,
                        int64_t n)
{
    float mean_square = row_dot(x, x, n) / (float)n;
    vf s = vf_set1(1.0f / sqrtf(mean_square + eps)), vo = vf_set1(offset);
    for (int64_t i = 0; i < n; i += 16) {
        bool whole = i + 16 <= n;
        vf v = vf_mul(whole ? vf_load(x + i) : load_tail(x + i, n - i, 0), s);
        if (w)
            v = vf_mul(v, vf_add(whole ? vf_load(w + i) : load_tail(w + i, n - i, 0), vo));
        if (whole)
            vf_store(y + i, v);
        else
            store_tail(y + i, v, n - i);
    }
}

static void row_layernorm(float *y, const float *x, const float *w, const float *b, float eps,
                          int64_t n)
{
    float mean = row_sum(x, n) / (float)n;
    vf m = vf_set1(mean), sq = vf_set1(0);
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        vf d = vf_sub(vf_load(x + i), m);
        sq = vf_fma(d, d, sq);
    }
    if (i < n) {
        vf d = vf_sub(load_tail(x + i, n - i, mean), m);
        sq = vf_fma(d, d, sq);
    }
    vf s = vf_set1(1.0f / sqrtf(vf_sum(sq) / (float)n + eps));
    for (i = 0; i < n; i += 16) {
        int64_t left = n - i;
        bool whole = left >= 16;
        vf v = vf_mul(vf_sub(whole ? vf_load(x + i) : load_tail(x + i, left, 0), m), s);
        vf vw = !w ? vf_set1(1) : whole ? vf_load(w + i) : load_tail(w + i, left, 0);
        vf vb = !b ? vf_set1(0) : whole ? vf_load(b + i) : load_tail(b + i, left, 0);
        v = vf_fma(v, vw, vb);
        if (whole)
            vf_store(y + i, v);
        else
            store_tail(y + i, v, left);
    }
}

#define ROW_ACTIVATION(name, fn)                                                                   \
    static void name(float *y, const float *gate, const float *up, int64_t n)                      \
    {                                                                                              \
        int64_t i = 0;                                                                             \
        for (; i + 16 <= n; i += 16) {                                                             \
            vf v = fn(vf_load(gate + i));                                                          \
            vf_store(y + i, up ? vf_mul(v, vf_load(up + i)) : v);                                  \
        }                                                                                          \
        if (i < n) {                                                                               \
            vf v = fn(load_tail(gate + i, n - i, 0));                                              \
            store_tail(y + i, up ? vf_mul(v, load_tail(up + i, n - i, 0)) : v, n - i);             \
        }                                                                                          \
    }
ROW_ACTIVATION(row_silu, v_silu)
ROW_ACTIVATION(row_gelu_tanh, v_gelu_tanh)
ROW_ACTIVATION(row_gelu_erf, v_gelu_erf)
#undef ROW_ACTIVATION

static float row_max(const float *x, int64_t n)
{
    vf m = vf_set1(-INFINITY);
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        m = vf_max(vf_load(x + i), m);
    if (i < n)
        m = vf_max(load_tail(x + i, n - i, -INFINITY), m);
    return vf_hmax(m);
}

static float row_exp_sum(float *x, int64_t n, float top)
{
    vf s = vf_set1(0), vtop = vf_set1(top);
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        vf e = v_exp(vf_sub(vf_load(x + i), vtop));
        vf_store(x + i, e);
        s = vf_add(s, e);
    }
    if (i < n) {
        vf e = v_exp(vf_sub(load_tail(x + i, n - i, -INFINITY), vtop));
        store_tail(x + i, e, n - i);
        s = vf_add(s, e);
    }
    return vf_sum(s);
}

static void row_softmax(float *x, int64_t n)
{
    if (n > 0)
        row_scale(x, 1.0f / row_exp_sum(x, n, row_max(x, n)), n);
}

static void row_softcap(float *x, float cap, int64_t n)
{
    vf c = vf_set1(cap);
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        vf_store(x + i, vf_mul(c, v_tanh(vf_div(vf_load(x + i), c))));
    if (i < n)
        store_tail(x + i, vf_mul(c, v_tanh(vf_div(load_tail(x + i, n - i, 0), c))), n - i);
}

/* (a, b) -> (a cos - b sin, b cos + a sin); the product with sin is rounded first, then fused */
static void row_rope_half(float *x, const float *cos, const float *sin, int64_t n_rot)
{
    int64_t half = n_rot / 2, i = 0;
    float *hi = x + half;
    for (; i + 16 <= half; i += 16) {
        vf a = vf_load(x + i), b = vf_load(hi + i), c = vf_load(cos + i), s = vf_load(sin + i);
        vf_store(x + i, vf_fma(a, c, vf_mul(vf_sub(vf_set1(0), b), s)));
        vf_store(hi + i, vf_fma(b, c, vf_mul(a, s)));
    }
    for (; i < half; i++) {
        float a = x[i], b = hi[i];
        x[i] = fmaf(a, cos[i], (0 - b) * sin[i]);
        hi[i] = fmaf(b, cos[i], a * sin[i]);
    }
}

static void row_rope_pairs(float *x, const float *cos, const float *sin, int64_t n_rot)
{
    for (int64_t i = 0; i + 1 < n_rot; i += 2) {
        float a = x[i], b = x[i + 1], c = cos[i / 2], s = sin[i / 2];
        x[i] = fmaf(a, c, (0 - b) * s);
        x[i + 1] = fmaf(b, c, a * s);
    }
}
