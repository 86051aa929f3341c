/* Rows of the KV cache and the two products of attention, on 16 lanes; include after body_acts.h.
 */
#pragma once

static void kv_store_f16(void *dst, const float *src, int64_t n)
{
    uint16_t *d = dst, buf[16];
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        vf_store_f16(d + i, vf_load(src + i));
    if (i < n) {
        vf_store_f16(buf, load_tail(src + i, n - i, 0));
        memcpy(d + i, buf, (size_t)(n - i) * 2);
    }
}

static void kv_store_f32(void *dst, const float *src, int64_t n)
{
    memcpy(dst, src, (size_t)n * sizeof *src);
}

static void kv_store_q8(void *dst, const float *src, int64_t n)
{
    uint8_t *d = dst;
    for (int64_t i = 0; i < n; i += 32, d += 34) {
        int64_t left = n - i;
        float scale[16] = {0};
        uint16_t h[16];
        int8_t q[32];
        scale[0] = left >= 32
                       ? quantize_block(vf_load(src + i), vf_load(src + i + 16), q)
                       : quantize_block(load_tail(src + i, left, 0),
                                        load_tail(src + i + 16, left > 16 ? left - 16 : 0, 0), q);
        vf_store_f16(h, vf_load(scale));
        memcpy(d, h, 2);
        memcpy(d + 2, q, 32);
    }
}

static void kv_expand_f16(float *dst, const void *src, size_t row_bytes, int64_t n_pos, int64_t n)
{
    const uint8_t *row = src;
    for (int64_t i = 0; i < n_pos; i++, row += row_bytes, dst += n) {
        const uint16_t *p = (const uint16_t *)(const void *)row;
        int64_t d = 0;
        for (; d + 16 <= n; d += 16)
            vf_store(dst + d, vf_load_f16(p + d));
        if (d < n) {
            uint16_t buf[16] = {0};
            memcpy(buf, p + d, (size_t)(n - d) * 2);
            store_tail(dst + d, vf_load_f16(buf), n - d);
        }
    }
}

static void kv_expand_f32(float *dst, const void *src, size_t row_bytes, int64_t n_pos, int64_t n)
{
    const uint8_t *row = src;
    for (int64_t i = 0; i < n_pos; i++, row += row_bytes, dst += n)
        memcpy(dst, row, (size_t)n * sizeof *dst);
}

static void kv_expand_q8(float *dst, const void *src, size_t row_bytes, int64_t n_pos, int64_t n)
{
    const uint8_t *row = src;
    for (int64_t i = 0; i < n_pos; i++, row += row_bytes, dst += n)
        for (int64_t d = 0; d < n; d += 32) {
            const uint8_t *p = row + d / 32 * 34;
            int64_t left = n - d;
            vf scale = vf_half(p), a = vf_mul(vf_load_s8((const int8_t *)p + 2), scale),
               b = vf_mul(vf_load_s8((const int8_t *)p + 18), scale);
            if (left >= 32) {
                vf_store(dst + d, a);
                vf_store(dst + d + 16, b);
            } else {
                store_tail(dst + d, a, left < 16 ? left : 16);
                if (left > 16)
                    store_tail(dst + d + 16, b, left - 16);
            }
        }
}

/* What is left of q . k in 16 lanes: element d belongs to lane d % 32, lanes l and l + 16 are
 * added. tail: the last n % 32 elements of q. */
INLINE vf score_lanes(const float *q, const float *k, int64_t n, const float *tail)
{
    vf s0 = vf_set1(0), s1 = vf_set1(0);
    int64_t d = 0;
    for (; d + 32 <= n; d += 32) {
        s0 = vf_fma(vf_load(q + d), vf_load(k + d), s0);
        s1 = vf_fma(vf_load(q + d + 16), vf_load(k + d + 16), s1);
    }
    if (d < n) {
        int64_t left = n - d;
        s0 = vf_fma(vf_load(tail), left < 16 ? load_tail(k + d, left, 0) : vf_load(k + d), s0);
        s1 = vf_fma(vf_load(tail + 16),
                    left > 16 ? load_tail(k + d + 16, left - 16, 0) : vf_set1(0), s1);
    }
    return vf_add(s0, s1);
}

/* Sixteen positions at a time, whose lanes are then added together. */
INLINE void scores_of(float *scores, const float *q, const float *k, int64_t k_stride,
                      int64_t n_pos, int64_t n, const float *tail, float scale)
{
    int64_t i = 0;
    for (; i + 16 <= n_pos; i += 16) {
        vf lanes[16];
        UNROLL
        for (int j = 0; j < 16; j++)
            lanes[j] = score_lanes(q, k + (i + j) * k_stride, n, tail);
        vf_store(scores + i, vf_mul(vf_set1(scale), vf_sums16(lanes)));
    }
    for (; i < n_pos; i++)
        scores[i] = scale * vf_sum(score_lanes(q, k + i * k_stride, n, tail));
}

static void attn_scores(float *scores, const float *q, const float *k, int64_t k_stride,
                        int64_t n_pos, int64_t n, float scale)
{
    float tail[32] = {0};
    memcpy(tail, q + n / 32 * 32, (size_t)(n % 32) * sizeof *q);
    if (n == 64) /* the usual sizes without loops inside */
        scores_of(scores, q, k, k_stride, n_pos, 64, tail, scale);
    else if (n == 128)
        scores_of(scores, q, k, k_stride, n_pos, 128, tail, scale);
    else
        scores_of(scores, q, k, k_stride, n_pos, n, tail, scale);
}

enum { MIX_QUERIES = 2, MIX_VECTORS = 4 };

/* nq queries and 16 * MIX_VECTORS dimensions; nq is a constant at the call */
INLINE void mix_tile(float *out, int64_t out_stride, const float *p, int64_t p_stride,
                     const float *v, int64_t v_stride, int64_t n_pos, int nq)
{
    vf s[MIX_QUERIES][MIX_VECTORS];
    UNROLL
    for (int q = 0; q < nq; q++)
        UNROLL
    for (int j = 0; j < MIX_VECTORS; j++)
        s[q][j] = vf_load(out + q * out_stride + 16 * j);
    for (int64_t i = 0; i < n_pos; i++, v += v_stride) {
        UNROLL
        for (int j = 0; j < MIX_VECTORS; j++) {
            vf x = vf_load(v + 16 * j);
            UNROLL
            for (int q = 0; q < nq; q++)
                s[q][j] = vf_fma(vf_set1(p[q * p_stride + i]), x, s[q][j]);
        }
    }
    UNROLL
    for (int q = 0; q < nq; q++)
        UNROLL
    for (int j = 0; j < MIX_VECTORS; j++)
        vf_store(out + q * out_stride + 16 * j, s[q][j]);
}

/* the last dimensions, one vector at a time */
static void mix_rest(float *out, const float *p, const float *v, int64_t v_stride, int64_t n_pos,
                     int64_t n)
{
    for (int64_t d = 0; d < n; d += 16) {
        int64_t left = n - d;
        vf s = left < 16 ? load_tail(out + d, left, 0) : vf_load(out + d);
        const float *row = v + d;
        for (int64_t i = 0; i < n_pos; i++, row += v_stride)
            s = vf_fma(vf_set1(p[i]), left < 16 ? load_tail(row, left, 0) : vf_load(row), s);
        if (left < 16)
            store_tail(out + d, s, left);
        else
            vf_store(out + d, s);
    }
}

static void attn_mix(float *out, int64_t out_stride, const float *p, int64_t p_stride, int64_t n_q,
                     const float *v, int64_t v_stride, int64_t n_pos, int64_t n)
{
    enum { DIMS = 16 * MIX_VECTORS };
    int64_t q = 0, whole = n / DIMS * DIMS;
    for (; q + MIX_QUERIES <= n_q; q += MIX_QUERIES)
        for (int64_t d = 0; d < whole; d += DIMS)
            mix_tile(out + q * out_stride + d, out_stride, p + q * p_stride, p_stride, v + d,
                     v_stride, n_pos, MIX_QUERIES);
    for (; q < n_q; q++)
        for (int64_t d = 0; d < whole; d += DIMS)
            mix_tile(out + q * out_stride + d, out_stride, p + q * p_stride, p_stride, v + d,
                     v_stride, n_pos, 1);
    for (q = 0; q < n_q && whole < n; q++)
        mix_rest(out + q * out_stride + whole, p + q * p_stride, v + whole, v_stride, n_pos,
                 n - whole);
}
