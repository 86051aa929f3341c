/* acts_quantize and the KV cache rows, on 16 lanes; include after body_rows.h. */
#pragma once

/* Largest magnitude of 32 values, as float bits (so that NaN > inf > all numbers). */
INLINE int32_t block_top(vf a, vf b)
{
    vi mask = vi_set1(INT32_MAX);
    return vi_hmax(vi_max(vi_and(vi_as(a), mask), vi_and(vi_as(b), mask)));
}

/* 32 values to int8 and their scale (see struct act_group). */
INLINE float quantize_block(vf a, vf b, int8_t q[32])
{
    int32_t top = block_top(a, b);
    float amax, inv = 0, scale = 0;
    memcpy(&amax, &top, 4);
    if (top >= 0x7f800000) {
        memset(q, 0, 32);
        return NAN;
    }
    if (amax >= 0x1p-100f) {
        scale = amax / 127.0f;
        inv = 127.0f / amax;
    }
    vf vinv = vf_set1(inv);
    vi_store_s8(q, vi_round(vf_mul(a, vinv)));
    vi_store_s8(q + 16, vi_round(vf_mul(b, vinv)));
    return scale;
}

static void group_sums(struct act_group *g)
{
    vi ones = vi_set1(0x01010101), lo = vi_set1(0), hi = vi_set1(0);
    for (int c = 0; c < 4; c++) {
        lo = vi_dot_us(lo, ones, vi_load(g->q[c]));
        hi = vi_dot_us(hi, ones, vi_load(g->q[c + 4]));
    }
    vi sum = vi_add(lo, hi);
    vf s = vf_load(g->scale);
    vi_store(g->sum, sum);
    vi_store(g->sum_lo, lo);
    vi_store(g->sum_hi, hi);
    vf_store(g->fsum, vf_mul(s, vf_from_vi(sum)));
    vf_store(g->fsum_lo, vf_mul(s, vf_from_vi(lo)));
    vf_store(g->fsum_hi, vf_mul(s, vf_from_vi(hi)));
}

/* A finished group into slot t of its tile. */
static void tile_group(const struct act_group *g, int i, struct act_tile *tile, int t)
{
    for (int j = 0; j < ACT_LANES; j++) {
        int b = tile_block(i, j);
        for (int c = 0; c < 8; c++)
            memcpy(tile->q[b][c][t], g->q[c][j], 4);
        tile->scale[b][t] = g->scale[j];
        tile->sum_lo[b][t] = g->sum_lo[j];
        tile->sum_hi[b][t] = g->sum_hi[j];
    }
}

static void acts_quantize(struct acts *a, int64_t t0, int64_t t1)
{
    for (int64_t t = t0; t < t1; t++) {
        const float *x = a->x + t * a->x_stride;
        struct act_tile *tiles = a->tile + t / TILE_TOKENS * a->spans;
        for (int64_t i = 0; i < a->groups; i++) {
            struct act_group *g = a->g + t * a->groups + i;
            int64_t k0 = i * ACT_GROUP, left = a->cols - k0;
            if (left < ACT_GROUP)
                memset(g, 0, sizeof *g);
            for (int j = 0; j < ACT_LANES && left > 0; j++, left -= ACT_BLOCK) {
                const float *p = x + k0 + j * ACT_BLOCK;
                int8_t q[32];
                if (left >= ACT_BLOCK)
                    g->scale[j] = quantize_block(vf_load(p), vf_load(p + 16), q);
                else
                    g->scale[j] = quantize_block(
                        load_tail(p, left, 0), load_tail(p + 16, left > 16 ? left - 16 : 0, 0), q);
                for (int c = 0; c < 8; c++)
                    memcpy(g->q[c][j], q + 4 * c, 4);
            }
            group_sums(g);
            tile_group(g, (int)(i % SPAN_GROUPS), &tiles[i / SPAN_GROUPS], (int)(t % TILE_TOKENS));
        }
    }
}

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

/* Element k of the row belongs to lane k % 32 in a score. 32 values of a cached row at k (a
 * multiple of 32), zeros past n, times `scale` for Q8. */
INLINE void kv_load_f16(const void *row, int64_t k, int64_t n, vf *a, vf *b)
{
    const uint16_t *p = (const uint16_t *)row + k;
    uint16_t buf[32] = {0};
    if (n - k < 32) {
        memcpy(buf, p, (size_t)(n - k) * 2);
        p = buf;
    }
    *a = vf_load_f16(p);
    *b = vf_load_f16(p + 16);
}

INLINE void kv_load_f32(const void *row, int64_t k, int64_t n, vf *a, vf *b)
{
    const float *p = (const float *)row + k;
    float buf[32] = {0};
    if (n - k < 32) {
        memcpy(buf, p, (size_t)(n - k) * 4);
        p = buf;
    }
    *a = vf_load(p);
    *b = vf_load(p + 16);
}

INLINE void kv_load_q8(const void *row, int64_t k, int64_t n, vf *a, vf *b)
{
    (void)n;
    const uint8_t *p = (const uint8_t *)row + k / 32 * 34;
    vf d = vf_half(p);
    *a = vf_mul(vf_load_s8((const int8_t *)p + 2), d);
    *b = vf_mul(vf_load_s8((const int8_t *)p + 18), d);
}

#define KV_BODY(T)                                                                                 \
    static void kv_scores_##T(float *scores, const float *q, const void *k, size_t row_bytes,      \
                              int64_t n_pos, int64_t n, float scale)                               \
    {                                                                                              \
        int64_t whole = n / 32 * 32;                                                               \
        float tail[32] = {0};                                                                      \
        memcpy(tail, q + whole, (size_t)(n - whole) * sizeof *q);                                  \
        const uint8_t *row = k;                                                                    \
        for (int64_t i = 0; i < n_pos; i++, row += row_bytes) {                                    \
            vf s0 = vf_set1(0), s1 = vf_set1(0), a, b;                                             \
            for (int64_t d = 0; d < whole; d += 32) {                                              \
                kv_load_##T(row, d, n, &a, &b);                                                    \
                s0 = vf_fma(vf_load(q + d), a, s0);                                                \
                s1 = vf_fma(vf_load(q + d + 16), b, s1);                                           \
            }                                                                                      \
            if (whole < n) {                                                                       \
                kv_load_##T(row, whole, n, &a, &b);                                                \
                s0 = vf_fma(vf_load(tail), a, s0);                                                 \
                s1 = vf_fma(vf_load(tail + 16), b, s1);                                            \
            }                                                                                      \
            scores[i] = scale * vf_sum(vf_add(s0, s1));                                            \
        }                                                                                          \
    }                                                                                              \
    static void kv_mix_##T(float *out, const float *p, const void *v, size_t row_bytes,            \
                           int64_t n_pos, int64_t n)                                               \
    {                                                                                              \
        int64_t d = 0;                                                                             \
        for (; d + 64 <= n; d += 64) {                                                             \
            vf s0 = vf_load(out + d), s1 = vf_load(out + d + 16), s2 = vf_load(out + d + 32),      \
               s3 = vf_load(out + d + 48), a, b;                                                   \
            const uint8_t *row = v;                                                                \
            for (int64_t i = 0; i < n_pos; i++, row += row_bytes) {                                \
                vf pi = vf_set1(p[i]);                                                             \
                kv_load_##T(row, d, n, &a, &b);                                                    \
                s0 = vf_fma(pi, a, s0);                                                            \
                s1 = vf_fma(pi, b, s1);                                                            \
                kv_load_##T(row, d + 32, n, &a, &b);                                               \
                s2 = vf_fma(pi, a, s2);                                                            \
                s3 = vf_fma(pi, b, s3);                                                            \
            }                                                                                      \
            vf_store(out + d, s0);                                                                 \
            vf_store(out + d + 16, s1);                                                            \
            vf_store(out + d + 32, s2);                                                            \
            vf_store(out + d + 48, s3);                                                            \
        }                                                                                          \
        for (; d < n; d += 32) {                                                                   \
            int64_t m = n - d < 32 ? n - d : 32;                                                   \
            float buf[32] = {0};                                                                   \
            memcpy(buf, out + d, (size_t)m * sizeof *out);                                         \
            vf s0 = vf_load(buf), s1 = vf_load(buf + 16), a, b;                                    \
            const uint8_t *row = v;                                                                \
            for (int64_t i = 0; i < n_pos; i++, row += row_bytes) {                                \
                vf pi = vf_set1(p[i]);                                                             \
                kv_load_##T(row, d, n, &a, &b);                                                    \
                s0 = vf_fma(pi, a, s0);                                                            \
                s1 = vf_fma(pi, b, s1);                                                            \
            }                                                                                      \
            vf_store(buf, s0);                                                                     \
            vf_store(buf + 16, s1);                                                                \
            memcpy(out + d, buf, (size_t)m * sizeof *out);                                         \
        }                                                                                          \
    }
KV_BODY(f16)
KV_BODY(f32)
KV_BODY(q8)
#undef KV_BODY
