/* Rows of the KV cache and the two products of attention, on 16 lanes; include after body_acts.h.
 *
 * Both products are tiles of up to ATTN_QUERIES queries by ATTN_VECTORS vectors, over 16 positions
 * (scores) or 16 dimensions (mix) each, read from the cache as it stands: elements become floats in
 * the register that they are loaded to. A lane's sum runs over dimensions or positions in their
 * order, so the shape of a tile changes no bit. */
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

#ifndef VEC_ATTN_SUMS
#define VEC_ATTN_SUMS 4 /* vectors of sums that stay in registers */
#endif
enum { ATTN_QUERIES = VEC_ATTN_SUMS < 8 ? 4 : 8, ATTN_VECTORS = VEC_ATTN_SUMS / 4 };

/* Vectors of a tile of nq queries. */
INLINE int attn_vectors(int nq)
{
    return nq > 4 && ATTN_VECTORS > 1 ? ATTN_VECTORS / 2 : ATTN_VECTORS;
}

/* CALL(nq) for nq queries, with a constant */
#define WITH_QUERIES(nq, CALL)                                                                     \
    switch (nq) {                                                                                  \
    case 1: CALL(1); break;                                                                        \
    case 2: CALL(2); break;                                                                        \
    case 3: CALL(3); break;                                                                        \
    case 4:                                                                                        \
        CALL(4);                                                                                   \
        break;                                                                                     \
        WITH_MORE_QUERIES(CALL)                                                                    \
    }
#if VEC_ATTN_SUMS < 8
#define WITH_MORE_QUERIES(CALL)
#else
#define WITH_MORE_QUERIES(CALL)                                                                    \
    case 5: CALL(5); break;                                                                        \
    case 6: CALL(6); break;                                                                        \
    case 7: CALL(7); break;                                                                        \
    case 8:                                                                                        \
        CALL(8);                                                                                   \
        break;
#endif

INLINE vf vf_load_part_f16(const uint16_t *p, int64_t n)
{
    uint16_t buf[16] = {0};
    memcpy(buf, p, (size_t)n * sizeof *p);
    return vf_load_f16(buf);
}

static void cache_f16(float *dst, const void *src, int64_t n)
{
    const uint16_t *p = src;
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        vf_store(dst + i, vf_load_f16(p + i));
    if (i < n)
        store_tail(dst + i, vf_load_part_f16(p + i, n - i), n - i);
}

static void kv_expand_keys_f16(float *dst, const void *src, int64_t n_pos, int64_t n)
{
    cache_f16(dst, src, kv_whole_tiles(n_pos) * n);
}

static void kv_expand_values_f16(float *dst, const void *src, int64_t n_pos, int64_t n)
{
    cache_f16(dst, src, n_pos * n);
}

static void kv_expand_keys_q8(float *dst, const void *src, int64_t n_pos, int64_t n)
{
    const uint8_t *block = src;
    for (int64_t t = 0; t < n_pos; t += 16)
        for (int64_t b = 0; b < n; b += 32, block += 16 * 34) {
            vf scale = vf_load_f16((const uint16_t *)(const void *)block);
            for (int64_t d = 0; d < 32 && b + d < n; d++, dst += 16)
                vf_store(dst, vf_mul(vf_load_s8((const int8_t *)block + 32 + 16 * d), scale));
        }
}

static void kv_expand_values_q8(float *dst, const void *src, int64_t n_pos, int64_t n)
{
    const uint8_t *p = src;
    for (int64_t i = 0; i < n_pos; i++, dst += n)
        for (int64_t d = 0; d < n; d += 32, p += 34) {
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

/* kv_row_bytes where the type is a constant */
INLINE int64_t row_bytes_of(enum kv_type type, int64_t n)
{
    return type == KV_F16 ? 2 * n : type == KV_F32 ? 4 * n : (n + 31) / 32 * 34;
}

/* Dimension d of a block of 32 of 16 positions; scale is that of Q8. */
INLINE vf key_vector(enum kv_type type, const uint8_t *block, int64_t d, vf scale)
{
    const void *p = block;
    if (type == KV_F16)
        return vf_load_f16((const uint16_t *)p + 16 * d);
    if (type == KV_F32)
        return vf_load((const float *)p + 16 * d);
    return vf_mul(vf_load_s8((const int8_t *)p + 32 + 16 * d), scale);
}

/* What is read next is asked for meanwhile, a little in each turn of the loops: at once it would
 * fill the few requests that a core keeps open to memory, and everything else would wait. */
struct ahead {
    const uint8_t *p;
    int64_t step; /* bytes for one turn */
};

INLINE struct ahead ahead_of(const void *next, size_t bytes, int64_t turns)
{
    return (struct ahead){next, next && turns ? (int64_t)bytes / turns : 0};
}

INLINE void ask_ahead(struct ahead *a)
{
    for (int64_t i = 0; i < a->step; i += 64)
        __builtin_prefetch(a->p + i);
    a->p += a->step;
}

/* nq queries and nv tiles of keys; type, nq and nv are constants at the call */
INLINE void score_tile(enum kv_type type, float *scores, const float *q, const uint8_t *keys,
                       int64_t n, float scale, struct ahead *next, int nq, int nv)
{
    int64_t block = 16 * row_bytes_of(type, 32), tile = 16 * row_bytes_of(type, n);
    vf s[ATTN_QUERIES][ATTN_VECTORS], row_scale[ATTN_VECTORS];
    UNROLL
    for (int i = 0; i < nq; i++)
        UNROLL
    for (int j = 0; j < nv; j++)
        s[i][j] = vf_set1(0);
    UNROLL
    for (int j = 0; j < ATTN_VECTORS; j++)
        row_scale[j] = vf_set1(0);
    for (int64_t b = 0; b < n; b += 32, keys += block) {
        int64_t left = n - b < 32 ? n - b : 32;
        if (type == KV_Q8) {
            UNROLL
            for (int j = 0; j < nv; j++)
                row_scale[j] = vf_load_f16((const uint16_t *)(const void *)(keys + j * tile));
        }
        for (int64_t d = 0; d < left; d++, q += QUERY_TILE) {
            vf k[ATTN_VECTORS];
            ask_ahead(next);
            UNROLL
            for (int j = 0; j < nv; j++)
                k[j] = key_vector(type, keys + j * tile, d, row_scale[j]);
            UNROLL
            for (int i = 0; i < nq; i++) {
                vf x = vf_set1(q[i]);
                UNROLL
                for (int j = 0; j < nv; j++)
                    s[i][j] = vf_fma(x, k[j], s[i][j]);
            }
        }
    }
    UNROLL
    for (int i = 0; i < nq; i++)
        UNROLL
    for (int j = 0; j < nv; j++)
        vf_store(scores + i * KV_PAGE + 16 * j, vf_mul(vf_set1(scale), s[i][j]));
}

INLINE void score_queries(enum kv_type type, float *scores, const float *q, const uint8_t *keys,
                          int64_t n_pos, int64_t n, float scale, struct ahead *next, int nq)
{
    int64_t row = row_bytes_of(type, n), i = 0;
    int nv = attn_vectors(nq);
    for (; i + 16 * (nv - 1) < n_pos; i += 16 * nv)
        score_tile(type, scores + i, q, keys + i * row, n, scale, next, nq, nv);
    for (; i < n_pos; i += 16)
        score_tile(type, scores + i, q, keys + i * row, n, scale, next, nq, 1);
}

/* Turns of the loops over n_q queries and `vectors` vectors of the other side. */
INLINE int64_t attn_turns(int64_t n_q, int64_t vectors)
{
    int64_t turns = 0;
    for (int64_t i = 0; i < n_q; i += ATTN_QUERIES) {
        int nv = attn_vectors(n_q - i < ATTN_QUERIES ? (int)(n_q - i) : ATTN_QUERIES);
        turns += vectors / nv + vectors % nv;
    }
    return turns;
}

INLINE void scores_of(enum kv_type type, float *scores, const float *q, int64_t n_q,
                      const void *keys, int64_t n_pos, int64_t n, float scale, const void *next,
                      size_t next_bytes)
{
    struct ahead a = ahead_of(next, next_bytes, n * attn_turns(n_q, (n_pos + 15) / 16));
#define SCORE(nq)                                                                                  \
    score_queries(type, scores + i * KV_PAGE, q + query_at(i, n), keys, n_pos, n, scale, &a, nq)
    for (int64_t i = 0; i < n_q; i += ATTN_QUERIES)
        WITH_QUERIES(n_q - i < ATTN_QUERIES ? n_q - i : ATTN_QUERIES, SCORE)
#undef SCORE
}

/* Dimensions [d, d + 16) of a row of values. */
INLINE vf value_vector(enum kv_type type, const uint8_t *row, int64_t d)
{
    const void *p = row;
    if (type == KV_F16)
        return vf_load_f16((const uint16_t *)p + d);
    if (type == KV_F32)
        return vf_load((const float *)p + d);
    const uint8_t *block = row + d / 32 * 34;
    return vf_mul(vf_load_s8((const int8_t *)block + 2 + d % 32), vf_half(block));
}

/* nq queries and 16 * nv dimensions; type, nq and nv are constants at the call */
INLINE void mix_tile(enum kv_type type, float *out, int64_t out_stride, const float *p,
                     const uint8_t *values, int64_t row_bytes, int64_t n_pos, int64_t d,
                     struct ahead *next, int nq, int nv)
{
    vf s[ATTN_QUERIES][ATTN_VECTORS];
    UNROLL
    for (int i = 0; i < nq; i++)
        UNROLL
    for (int j = 0; j < nv; j++)
        s[i][j] = vf_load(out + i * out_stride + d + 16 * j);
    for (int64_t t = 0; t < n_pos; t++, values += row_bytes) {
        vf x[ATTN_VECTORS];
        ask_ahead(next);
        UNROLL
        for (int j = 0; j < nv; j++)
            x[j] = value_vector(type, values, d + 16 * j);
        UNROLL
        for (int i = 0; i < nq; i++) {
            vf w = vf_set1(p[i * KV_PAGE + t]);
            UNROLL
            for (int j = 0; j < nv; j++)
                s[i][j] = vf_fma(w, x[j], s[i][j]);
        }
    }
    UNROLL
    for (int i = 0; i < nq; i++)
        UNROLL
    for (int j = 0; j < nv; j++)
        vf_store(out + i * out_stride + d + 16 * j, s[i][j]);
}

/* Fewer than 16 dimensions from d on, for one query. */
static void mix_tail(enum kv_type type, float *out, const float *p, const uint8_t *values,
                     int64_t row_bytes, int64_t n_pos, int64_t d, int64_t left)
{
    vf s = load_tail(out + d, left, 0);
    for (int64_t t = 0; t < n_pos; t++, values += row_bytes) {
        const void *row = values;
        vf x = type == KV_F16   ? vf_load_part_f16((const uint16_t *)row + d, left)
               : type == KV_F32 ? load_tail((const float *)row + d, left, 0)
                                : value_vector(type, values, d);
        s = vf_fma(vf_set1(p[t]), x, s);
    }
    store_tail(out + d, s, left);
}

INLINE void mix_queries(enum kv_type type, float *out, int64_t out_stride, const float *p,
                        const uint8_t *values, int64_t row_bytes, int64_t n_pos, int64_t n,
                        struct ahead *next, int nq)
{
    int64_t d = 0;
    int nv = attn_vectors(nq);
    for (; d + 16 * nv <= n; d += 16 * nv)
        mix_tile(type, out, out_stride, p, values, row_bytes, n_pos, d, next, nq, nv);
    for (; d + 16 <= n; d += 16)
        mix_tile(type, out, out_stride, p, values, row_bytes, n_pos, d, next, nq, 1);
    for (int i = 0; i < nq && d < n; i++)
        mix_tail(type, out + i * out_stride, p + i * KV_PAGE, values, row_bytes, n_pos, d, n - d);
}

INLINE void mix_of(enum kv_type type, float *out, int64_t out_stride, const float *p, int64_t n_q,
                   const void *values, int64_t row_bytes, int64_t n_pos, int64_t n,
                   const void *next, size_t next_bytes)
{
    struct ahead a = ahead_of(next, next_bytes, n_pos * attn_turns(n_q, n / 16));
#define MIX(nq)                                                                                    \
    mix_queries(type, out + i * out_stride, out_stride, p + i * KV_PAGE, values, row_bytes, n_pos, \
                n, &a, nq)
    for (int64_t i = 0; i < n_q; i += ATTN_QUERIES)
        WITH_QUERIES(n_q - i < ATTN_QUERIES ? n_q - i : ATTN_QUERIES, MIX)
#undef MIX
}

/* One step of softmax over scores that come in pieces (Milakov and Gimelshein 2018), for each row
 * of n scores and its state: maximum, sum, and dim floats that were mixed so far. */
static void attn_weights(float *states, int64_t state_stride, int64_t dim, float *scores,
                         int64_t n_q, int64_t n)
{
    /* all maxima first: the rows then do not wait for each other's */
    for (int64_t i = 0; i < n_q; i++) {
        float *s = states + i * state_stride, top = row_max(scores + i * KV_PAGE, n);
        if (!(top > s[0]))
            continue;
        if (s[0] != -INFINITY) {
            float c = s[0] - top;
            row_exp_sum(&c, 1, 0);
            s[1] *= c;
            row_scale(s + ATTN_STATE, c, dim);
        }
        s[0] = top;
    }
    for (int64_t i = 0; i < n_q; i++) {
        float *s = states + i * state_stride;
        s[1] += row_exp_sum(scores + i * KV_PAGE, n, s[0]);
    }
}

#define ATTN_OF(type, name)                                                                        \
    static void attn_scores_##name(float *scores, const float *q, int64_t n_q, const void *keys,   \
                                   int64_t n_pos, int64_t n, float scale, const void *next,        \
                                   size_t next_bytes)                                              \
    {                                                                                              \
        scores_of(type, scores, q, n_q, keys, n_pos, n, scale, next, next_bytes);                  \
    }                                                                                              \
    static void attn_mix_##name(float *out, int64_t out_stride, const float *p, int64_t n_q,       \
                                const void *values, size_t row_bytes, int64_t n_pos, int64_t n,    \
                                const void *next, size_t next_bytes)                               \
    {                                                                                              \
        mix_of(type, out, out_stride, p, n_q, values, (int64_t)row_bytes, n_pos, n, next,          \
               next_bytes);                                                                        \
    }
ATTN_OF(KV_F16, f16)
ATTN_OF(KV_F32, f32)
ATTN_OF(KV_Q8, q8)
