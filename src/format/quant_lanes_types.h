/* The quantizers of all types, for the width of vectors that the including file is compiled for:
 * LANES blocks are loaded, fitted (quant_lanes_fit.h, quant_lanes_super.h), packed into 32-bit
 * words in lanes, and stored. Ends with the table `QUANTIZERS`, a name that the includer defines.
 *
 * Search ranges (tries, width, reach, nudge) are where more search gains little:
 * tests/golden/quant_blocks_test.c holds the errors below llama.cpp's. With importance, Q2_K and
 * Q3_K give up a little of that to keep the weights' norm (norm_factor). */
#pragma once
#include "format/quant.h"
#include "format/quant_int.h"
#include "format/quant_lanes_super.h"
#include "format/quant_table.h"
#include <stddef.h>

/* ---- storing ---- */

/* words (n, lane) to byte `at` of each block */
INLINE void put_words(unsigned char *dst, size_t block, int blocks, size_t at, const vi *words,
                      int n)
{
    const int32_t *w = (const int32_t *)words;
    for (int l = 0; l < blocks; l++) {
        unsigned char *p = dst + (size_t)l * block + at;
        for (int k = 0; k < n; k++)
            memcpy(p + 4 * k, w + k * LANES + l, 4);
    }
}

INLINE void put_half(unsigned char *dst, size_t block, int blocks, size_t at, vi half)
{
    for (int l = 0; l < blocks; l++) {
        uint16_t h = (uint16_t)((const int32_t *)&half)[l];
        memcpy(dst + (size_t)l * block + at, &h, sizeof h);
    }
}

/* The bytes (n of them, one per vector) as words. */
INLINE void join_bytes(vi *words, const vi *bytes, int n)
{
    for (int k = 0; k < n / 4; k++)
        words[k] =
            bytes[4 * k] | bytes[4 * k + 1] << 8 | bytes[4 * k + 2] << 16 | bytes[4 * k + 3] << 24;
}

/* What a type's function does with each group of blocks: n values of src become `blocks` blocks of
 * `bytes` at dst. */
typedef void group_fn(const float *src, unsigned char *dst, int blocks, const float *weight);

INLINE void for_groups(group_fn *plain, group_fn *weighted, int elems, size_t bytes,
                       const float *src, void *dst, int64_t n, const float *weight)
{
    unsigned char *out = dst;
    for (int64_t left = n / elems; left > 0; left -= LANES) {
        int blocks = left < LANES ? (int)left : LANES;
        if (weight)
            weighted(src, out, blocks, weight);
        else
            plain(src, out, blocks, NULL);
        src += (int64_t)elems * LANES;
        out += bytes * LANES;
        weight = weight ? weight + (int64_t)elems * LANES : NULL;
    }
}

/* NAME_quantize from NAME_group, compiled with and without weights */
#define QUANTIZER(name, elems)                                                                     \
    static void name##_plain(const float *src, unsigned char *dst, int blocks,                     \
                             const float *weight)                                                  \
    {                                                                                              \
        name##_group(src, dst, blocks, weight, false);                                             \
    }                                                                                              \
    static void name##_weighted(const float *src, unsigned char *dst, int blocks,                  \
                                const float *weight)                                               \
    {                                                                                              \
        name##_group(src, dst, blocks, weight, true);                                              \
    }                                                                                              \
    static void name##_lanes(const float *src, void *dst, int64_t n, const float *weight)          \
    {                                                                                              \
        for_groups(name##_plain, name##_weighted, elems, sizeof(struct block_##name), src, dst, n, \
                   weight);                                                                        \
    }

#define PUT_HALF(type, field, half)                                                                \
    put_half(dst, sizeof(struct type), blocks, offsetof(struct type, field), half)
#define PUT_WORDS(type, field, words, n)                                                           \
    put_words(dst, sizeof(struct type), blocks, offsetof(struct type, field), words, n)

/* ---- blocks of 32 ---- */

/* q[j] and q[j + 16] of 4 bits in byte j */
INLINE void join_nibbles(vi *words, const vi *q)
{
    vi bytes[16];
    for (int j = 0; j < 16; j++)
        bytes[j] = (q[j] & vi_all(15)) | (q[j + 16] & vi_all(15)) << 4;
    join_bytes(words, bytes, 16);
}

INLINE vi join_fifth_bits(const vi *q)
{
    vi high = vi_all(0);
    for (int j = 0; j < QK; j++)
        high |= (q[j] >> 4 & vi_all(1)) << j;
    return high;
}

/* x = d * q; q + offset are the codes */
INLINE vi simple_codes(const struct fit_grid g, const float *src, const float *weight, int blocks,
                       bool weighted, int offset, vi *q)
{
    struct lanes_block b;
    vi some = fit_load(&b, src, weight, blocks, QK, weighted);
    vi half = fit_to_f16(vf_only(some, fit_scale(g, b.x, b.w, QK, weighted).d));
    vf id = fit_inverse(vf_from_f16(half));
    for (int j = 0; j < QK; j++)
        q[j] = vf_int(fit_snap(g, b.x[j] * id)) + vi_all(offset);
    return half;
}

INLINE void q4_0_group(const float *src, unsigned char *dst, int blocks, const float *weight,
                       bool weighted)
{
    const struct fit_grid g = {.lo = -8, .hi = 7, .tries = 4, .width = 2.1f};
    vi q[QK], words[4];
    PUT_HALF(block_q4_0, d, simple_codes(g, src, weight, blocks, weighted, 8, q));
    join_nibbles(words, q);
    PUT_WORDS(block_q4_0, qs, words, 4);
}
QUANTIZER(q4_0, QK)

INLINE void q5_0_group(const float *src, unsigned char *dst, int blocks, const float *weight,
                       bool weighted)
{
    const struct fit_grid g = {.lo = -16, .hi = 15, .tries = 4, .width = 2.1f};
    vi q[QK], words[5];
    PUT_HALF(block_q5_0, d, simple_codes(g, src, weight, blocks, weighted, 16, q));
    words[0] = join_fifth_bits(q);
    join_nibbles(words + 1, q);
    PUT_WORDS(block_q5_0, qh, words, 5);
}
QUANTIZER(q5_0, QK)

struct line_halves {
    vi d, m;
};

INLINE struct line_halves line_codes(const struct fit_affine a, const float *src,
                                     const float *weight, int blocks, bool weighted, vi *q)
{
    struct lanes_block b;
    vi some = fit_load(&b, src, weight, blocks, QK, weighted);
    struct fit_line l = fit_affine(a, b.x, b.w, QK, weighted);
    struct line_halves h = {fit_to_f16(vf_only(some, l.s)), fit_to_f16(vf_only(some, l.b))};
    vf is = fit_inverse(vf_from_f16(h.d)), shift = vf_from_f16(h.m) * is;
    for (int j = 0; j < QK; j++)
        q[j] = vf_int(fit_round_line(b.x[j], is, shift, a.q_max));
    return h;
}

INLINE void q4_1_group(const float *src, unsigned char *dst, int blocks, const float *weight,
                       bool weighted)
{
    const struct fit_affine a = {.q_max = 15, .from = -1, .to = 1, .tries = weighted ? 8 : 4};
    vi q[QK], words[4];
    struct line_halves h = line_codes(a, src, weight, blocks, weighted, q);
    PUT_HALF(block_q4_1, d, h.d);
    PUT_HALF(block_q4_1, m, h.m);
    join_nibbles(words, q);
    PUT_WORDS(block_q4_1, qs, words, 4);
}
QUANTIZER(q4_1, QK)

INLINE void q5_1_group(const float *src, unsigned char *dst, int blocks, const float *weight,
                       bool weighted)
{
    const struct fit_affine a = {.q_max = 31, .from = -1, .to = 1, .tries = weighted ? 8 : 4};
    vi q[QK], words[5];
    struct line_halves h = line_codes(a, src, weight, blocks, weighted, q);
    PUT_HALF(block_q5_1, d, h.d);
    PUT_HALF(block_q5_1, m, h.m);
    words[0] = join_fifth_bits(q);
    join_nibbles(words + 1, q);
    PUT_WORDS(block_q5_1, qh, words, 5);
}
QUANTIZER(q5_1, QK)

INLINE void iq4_nl_group(const float *src, unsigned char *dst, int blocks, const float *weight,
                         bool weighted)
{
    const struct quant_iq4_cells *cells = quant_iq4_cells();
    const struct fit_grid g = {
        .lo = -127, .hi = 113, .cells = cells->level, .tries = 4, .width = 21};
    struct fit_grid index = g;
    struct lanes_block b;
    vi q[QK], words[4];
    vi some = fit_load(&b, src, weight, blocks, QK, weighted);
    vi half = fit_to_f16(vf_only(some, fit_scale(g, b.x, b.w, QK, weighted).d));
    vf id = fit_inverse(vf_from_f16(half));
    index.cells = cells->index;
    for (int j = 0; j < QK; j++)
        q[j] = vf_int(fit_snap(index, b.x[j] * id));
    PUT_HALF(block_iq4_nl, d, half);
    join_nibbles(words, q);
    PUT_WORDS(block_iq4_nl, qs, words, 4);
}
QUANTIZER(iq4_nl, QK)

/* ---- super-blocks, x = d * code * q ---- */

/* Fits and rounds; q (QK_K codes, offset added; last tells what is stored: levels, or their index
 * where the norm is not kept), the sub-blocks' codes; returns d. */
INLINE vi super_codes(const struct fit_grid g, const struct fit_grid last,
                      const struct super_shape s, const float *src, const float *weight, int blocks,
                      bool weighted, int offset, vi *code, vi *q)
{
    struct lanes_block b;
    struct super_codes f;
    vi some = fit_load(&b, src, weight, blocks, QK_K, weighted);
    fit_super(g, s, &b, weighted, &f);
    vf d = vf_only(some, f.d);
    struct norm_sums sums = {vf_all(0), vf_all(0)};
    for (int i = 0; i < s.n_sub; i++) {
        vf c = vf_only(some, f.code[i]), dc = d * c, id = fit_inverse(dc);
        code[i] = vf_int(c);
        for (int j = i * s.n; j < (i + 1) * s.n; j++) {
            vf v = fit_snap(last, b.x[j] * id);
            q[j] = vf_int(v) + vi_all(offset);
            if (s.keeps_norm)
                norm_add(&sums, b.x[j], dc * v, b.w, j, weighted);
        }
    }
    return s.keeps_norm ? fit_to_f16(d * norm_factor(&sums)) : vf_to_f16(d);
}

/* Bytes whose bits 2k are two bits of element 32 k + l of each half of 128 (Q2_K, Q3_K, Q6_K). */
INLINE void join_pairs(vi *words, const vi *q, int shift)
{
    vi bytes[64];
    for (int h = 0; h < 2; h++)
        for (int l = 0; l < 32; l++) {
            const vi *p = q + 128 * h + l;
            bytes[32 * h + l] = (p[0] >> shift & vi_all(3)) | (p[32] >> shift & vi_all(3)) << 2 |
                                (p[64] >> shift & vi_all(3)) << 4 |
                                (p[96] >> shift & vi_all(3)) << 6;
        }
    join_bytes(words, bytes, 64);
}

INLINE void q3_k_group(const float *src, unsigned char *dst, int blocks, const float *weight,
                       bool weighted)
{
    const struct fit_grid g = {.lo = -4, .hi = 3, .tries = 4, .width = 2.1f};
    const struct super_shape s = {16, 16, -32, 31, 1, weighted};
    vi code[16], q[QK_K], bytes[32], words[16];
    vi d = super_codes(g, g, s, src, weight, blocks, weighted, 4, code, q);
    for (int l = 0; l < 32; l++) {
        bytes[l] = vi_all(0);
        for (int k = 0; k < 8; k++)
            bytes[l] |= (q[32 * k + l] >> 2) << k;
    }
    join_bytes(words, bytes, 32);
    PUT_WORDS(block_q3_k, hmask, words, 8);
    join_pairs(words, q, 0);
    PUT_WORDS(block_q3_k, qs, words, 16);
    for (int i = 0; i < 12; i++)
        bytes[i] = vi_all(0);
    for (int i = 0; i < 16; i++) {
        vi c = code[i] + vi_all(32);
        bytes[i % 8] |= (c & vi_all(15)) << (4 * (i / 8));
        bytes[8 + i % 4] |= (c >> 4) << (2 * (i / 4));
    }
    join_bytes(words, bytes, 12);
    PUT_WORDS(block_q3_k, scales, words, 3);
    PUT_HALF(block_q3_k, d, d);
}
QUANTIZER(q3_k, QK_K)

INLINE void q6_k_group(const float *src, unsigned char *dst, int blocks, const float *weight,
                       bool weighted)
{
    const struct fit_grid g = {.lo = -32, .hi = 31, .tries = 4, .width = 2.1f};
    const struct super_shape s = {16, 16, -128, 127, 1, false};
    vi code[16], q[QK_K], bytes[128], words[32];
    vi d = super_codes(g, g, s, src, weight, blocks, weighted, 32, code, q);
    for (int h = 0; h < 2; h++)
        for (int l = 0; l < 64; l++) {
            const vi *p = q + 128 * h + l;
            bytes[64 * h + l] = (p[0] & vi_all(15)) | (p[64] & vi_all(15)) << 4;
        }
    join_bytes(words, bytes, 128);
    PUT_WORDS(block_q6_k, ql, words, 32);
    join_pairs(words, q, 4);
    PUT_WORDS(block_q6_k, qh, words, 16);
    for (int i = 0; i < 16; i++)
        code[i] &= vi_all(255);
    join_bytes(words, code, 16);
    PUT_WORDS(block_q6_k, scales, words, 4);
    PUT_HALF(block_q6_k, d, d);
}
QUANTIZER(q6_k, QK_K)

INLINE void iq4_xs_group(const float *src, unsigned char *dst, int blocks, const float *weight,
                         bool weighted)
{
    const struct quant_iq4_cells *cells = quant_iq4_cells();
    const struct fit_grid g = {
        .lo = -127, .hi = 113, .cells = cells->level, .tries = 4, .width = 21};
    struct fit_grid index = g;
    const struct super_shape s = {8, 32, -32, 31, 1, false};
    vi code[16], q[QK_K], bytes[4], words[32], high = vi_all(0);
    index.cells = cells->index;
    vi d = super_codes(g, index, s, src, weight, blocks, weighted, 0, code, q);
    for (int i = 0; i < 8; i++) {
        code[i] += vi_all(32);
        high |= (code[i] >> 4) << (2 * i);
        join_nibbles(words + 4 * i, q + 32 * i);
    }
    for (int i = 0; i < 4; i++)
        bytes[i] = (code[2 * i] & vi_all(15)) | (code[2 * i + 1] & vi_all(15)) << 4;
    PUT_WORDS(block_iq4_xs, qs, words, 32);
    join_bytes(words, bytes, 4);
    PUT_WORDS(block_iq4_xs, scales_l, words, 1);
    PUT_HALF(block_iq4_xs, scales_h, high);
    PUT_HALF(block_iq4_xs, d, d);
}
QUANTIZER(iq4_xs, QK_K)

/* ---- super-blocks, x = d * sc * q - dmin * m ---- */

struct affine_codes {
    vi d, dmin, sc[16], m[16], q[QK_K];
};

INLINE void affine_codes(const struct fit_affine a, const struct super_shape s, const float *src,
                         const float *weight, int blocks, bool weighted, struct affine_codes *out)
{
    struct lanes_block b;
    struct super_affine f;
    vi some = fit_load(&b, src, weight, blocks, QK_K, weighted);
    fit_super_affine(a, s, &b, weighted, &f);
    vf d = vf_only(some, f.d), dmin = vf_only(some, f.dmin);
    struct norm_sums sums = {vf_all(0), vf_all(0)};
    for (int i = 0; i < s.n_sub; i++) {
        vf sc = vf_only(some, f.sc[i]), m = vf_only(some, f.m[i]);
        vf ds = d * sc, below = dmin * m, is = fit_inverse(ds), shift = -below * is;
        out->sc[i] = vf_int(sc);
        out->m[i] = vf_int(m);
        for (int j = i * s.n; j < (i + 1) * s.n; j++) {
            vf v = fit_round_line(b.x[j], is, shift, a.q_max);
            out->q[j] = vf_int(v);
            if (s.keeps_norm)
                norm_add(&sums, b.x[j], ds * v - below, b.w, j, weighted);
        }
    }
    vf factor = s.keeps_norm ? norm_factor(&sums) : vf_all(1);
    out->d = fit_to_f16(d * factor);
    out->dmin = fit_to_f16(dmin * factor);
}

INLINE void q2_k_group(const float *src, unsigned char *dst, int blocks, const float *weight,
                       bool weighted)
{
    const struct fit_affine a = {
        .q_max = 3, .from = -1, .to = 1, .nudge = 0.3f, .tries = 4, .only_below = true};
    const struct super_shape s = {16, 16, 0, 15, 2, weighted};
    struct affine_codes c;
    vi bytes[16], words[16];
    affine_codes(a, s, src, weight, blocks, weighted, &c);
    for (int i = 0; i < 16; i++)
        bytes[i] = c.sc[i] | c.m[i] << 4;
    join_bytes(words, bytes, 16);
    PUT_WORDS(block_q2_k, scales, words, 4);
    join_pairs(words, c.q, 0);
    PUT_WORDS(block_q2_k, qs, words, 16);
    PUT_HALF(block_q2_k, d, c.d);
    PUT_HALF(block_q2_k, dmin, c.dmin);
}
QUANTIZER(q2_k, QK_K)

/* scales as quant_scale_min reads them */
INLINE void join_scale_min(vi *words, const vi *sc, const vi *m)
{
    vi bytes[12];
    for (int i = 0; i < 4; i++) {
        bytes[i] = sc[i] | (sc[i + 4] >> 4) << 6;
        bytes[i + 4] = m[i] | (m[i + 4] >> 4) << 6;
        bytes[i + 8] = (sc[i + 4] & vi_all(15)) | (m[i + 4] & vi_all(15)) << 4;
    }
    join_bytes(words, bytes, 12);
}

/* Nibbles of sub-blocks 2k and 2k + 1 side by side. */
INLINE void join_k_nibbles(vi *words, const vi *q)
{
    vi bytes[128];
    for (int j = 0; j < 128; j++) {
        const vi *p = q + 64 * (j / 32) + j % 32;
        bytes[j] = (p[0] & vi_all(15)) | (p[32] & vi_all(15)) << 4;
    }
    join_bytes(words, bytes, 128);
}

INLINE void q4_k_group(const float *src, unsigned char *dst, int blocks, const float *weight,
                       bool weighted)
{
    const struct fit_affine a = {.q_max = 15, .from = -1, .to = 1, .tries = 8, .only_below = true};
    const struct super_shape s = {8, 32, 0, 63, 1, false};
    struct affine_codes c;
    vi words[32];
    affine_codes(a, s, src, weight, blocks, weighted, &c);
    PUT_HALF(block_q4_k, d, c.d);
    PUT_HALF(block_q4_k, dmin, c.dmin);
    join_scale_min(words, c.sc, c.m);
    PUT_WORDS(block_q4_k, scales, words, 3);
    join_k_nibbles(words, c.q);
    PUT_WORDS(block_q4_k, qs, words, 32);
}
QUANTIZER(q4_k, QK_K)

INLINE void q5_k_group(const float *src, unsigned char *dst, int blocks, const float *weight,
                       bool weighted)
{
    const struct fit_affine a = {.q_max = 31, .from = -1, .to = 1, .tries = 8, .only_below = true};
    const struct super_shape s = {8, 32, 0, 63, 1, false};
    struct affine_codes c;
    vi words[32], bytes[32];
    affine_codes(a, s, src, weight, blocks, weighted, &c);
    PUT_HALF(block_q5_k, d, c.d);
    PUT_HALF(block_q5_k, dmin, c.dmin);
    join_scale_min(words, c.sc, c.m);
    PUT_WORDS(block_q5_k, scales, words, 3);
    for (int l = 0; l < 32; l++) {
        bytes[l] = vi_all(0);
        for (int i = 0; i < 8; i++)
            bytes[l] |= (c.q[32 * i + l] >> 4) << i;
    }
    join_bytes(words, bytes, 32);
    PUT_WORDS(block_q5_k, qh, words, 8);
    join_k_nibbles(words, c.q);
    PUT_WORDS(block_q5_k, qs, words, 32);
}
QUANTIZER(q5_k, QK_K)

/* ---- row by row: nothing to search for ---- */

/* 32 integers of -128..127 to bytes */
INLINE void put_bytes(int8_t *dst, const vi *v)
{
#if defined(__AVX512F__)
    for (int k = 0; k < 2; k++)
        _mm_storeu_si128((__m128i *)(void *)(dst + 16 * k), _mm512_cvtepi32_epi8((__m512i)v[k]));
#elif defined(__AVX2__)
    __m256i a = _mm256_packs_epi32((__m256i)v[0], (__m256i)v[1]);
    __m256i b = _mm256_packs_epi32((__m256i)v[2], (__m256i)v[3]);
    __m256i c = _mm256_packs_epi16(a, b); /* each half of a register by itself */
    c = _mm256_permutevar8x32_epi32(c, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    _mm256_storeu_si256((__m256i *)(void *)dst, c);
#elif defined(__SSE2__)
    for (int k = 0; k < 2; k++) {
        __m128i a = _mm_packs_epi32((__m128i)v[4 * k], (__m128i)v[4 * k + 1]);
        __m128i b = _mm_packs_epi32((__m128i)v[4 * k + 2], (__m128i)v[4 * k + 3]);
        _mm_storeu_si128((__m128i *)(void *)(dst + 16 * k), _mm_packs_epi16(a, b));
    }
#else
    for (int j = 0; j < QK; j++)
        dst[j] = (int8_t)((const int32_t *)v)[j];
#endif
}

/* 255 levels: the largest value fixes the scale, whatever the weights. */
static void q8_0_lanes(const float *src, void *dst, int64_t n, const float *weight)
{
    (void)weight;
    struct block_q8_0 *b = dst;
    for (int64_t at = 0; at < n; at += QK, b++) {
        vf x[QK / LANES], peak = vf_all(0);
        vi q[QK / LANES];
        for (int k = 0; k < QK / LANES; k++) {
            vf v = vf_load(src + at + LANES * k);
            v = vf_only((vi)(v == v), v);
            x[k] = vf_max(vf_min(v, vf_all(FIT_LARGEST)), vf_all(-FIT_LARGEST));
            peak = vf_max(vf_abs(x[k]), peak);
        }
        b->d = f32_to_f16(vf_largest(peak) / 127);
        float d = f16_to_f32(b->d), id = d != 0 ? 1 / d : 0;
        for (int k = 0; k < QK / LANES; k++) {
            vf v = vf_max(vf_min(x[k] * vf_all(id), vf_all(127)), vf_all(-127));
            q[k] = vf_int(vf_round(v));
        }
        put_bytes(b->qs, q);
    }
}

/* Floats of two bytes: NAME_lanes rounds, vectors with vf_to_NAME and what is left with
 * f32_to_NAME. */
#define HALF_QUANTIZER(name)                                                                       \
    static void name##_lanes(const float *src, void *dst, int64_t n, const float *weight)          \
    {                                                                                              \
        (void)weight;                                                                              \
        unsigned char *out = dst;                                                                  \
        int64_t i = 0;                                                                             \
        for (; i + LANES <= n; i += LANES)                                                         \
            vh_store(out + 2 * i, vf_to_##name(vf_load(src + i)));                                 \
        for (; i < n; i++) {                                                                       \
            uint16_t h = f32_to_##name(src[i]);                                                    \
            memcpy(out + 2 * i, &h, sizeof h);                                                     \
        }                                                                                          \
    }
HALF_QUANTIZER(f16)
HALF_QUANTIZER(bf16)

/* NAME_read_lanes expands, with vf_from_NAME and NAME_to_f32. */
#define HALF_READER(name)                                                                          \
    static void name##_read_lanes(const void *src, float *dst, int64_t n)                          \
    {                                                                                              \
        const unsigned char *in = src;                                                             \
        int64_t i = 0;                                                                             \
        for (; i + LANES <= n; i += LANES) {                                                       \
            vf v = vf_from_##name(vh_load(in + 2 * i));                                            \
            memcpy(dst + i, &v, sizeof v);                                                         \
        }                                                                                          \
        for (; i < n; i++) {                                                                       \
            uint16_t h;                                                                            \
            memcpy(&h, in + 2 * i, sizeof h);                                                      \
            dst[i] = name##_to_f32(h);                                                             \
        }                                                                                          \
    }
HALF_READER(f16)
HALF_READER(bf16)

const struct quantizers QUANTIZERS = {.name = QUANTIZERS_NAME,
                                      .f16_dequantize = f16_read_lanes,
                                      .bf16_dequantize = bf16_read_lanes,
#define X(name) .name##_quantize = name##_lanes,
                                      QUANTIZED_TYPES(X)
#undef X
};
