/* Tiles (see body_mul.h) of every type with 256-bit registers. A register has eight lanes: half of
 * a tile, which is eight blocks of 32 or one super-block. Layouts: unpack.h. */
#pragma once
#include "kernel/tiles_x86.h"

struct half_tile {
    __m256i u[8];
    __m256 ws[2], wm[2];
};

INLINE __m128i load_16(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)p);
}

/* 16 bytes at p, 16 at q */
INLINE __m256i load_16_16(const uint8_t *p, const uint8_t *q)
{
    return _mm256_inserti128_si256(_mm256_castsi128_si256(load_16(p)), load_16(q), 1);
}

/* z[i]'s half l is row 4l + i of an 8 x 4 matrix of dwords: u[c] is its column c */
INLINE void columns_of(const __m256i z[4], __m256i u[4])
{
    __m256i a0 = _mm256_unpacklo_epi32(z[0], z[1]), a1 = _mm256_unpackhi_epi32(z[0], z[1]);
    __m256i a2 = _mm256_unpacklo_epi32(z[2], z[3]), a3 = _mm256_unpackhi_epi32(z[2], z[3]);
    u[0] = _mm256_unpacklo_epi64(a0, a2);
    u[1] = _mm256_unpackhi_epi64(a0, a2);
    u[2] = _mm256_unpacklo_epi64(a1, a3);
    u[3] = _mm256_unpackhi_epi64(a1, a3);
}

/* the bits of mask of a byte of x shifted to the left (n < 0: right), n at most 7 */
INLINE __m256i bits_at(__m256i x, int n, int mask)
{
    __m256i moved = n < 0 ? _mm256_srli_epi16(x, -n) : _mm256_slli_epi16(x, n);
    return _mm256_and_si256(n ? moved : x, _mm256_set1_epi8((char)mask));
}

/* ---- types of 32 ---- */

/* Dwords, s bytes apart, of four blocks. Each load has its dword in another place, so that blends
 * put all into one: no shuffle. Reads no byte past the four blocks. */
INLINE __m128i four_dwords(const uint8_t *p, int s)
{
    __m128i x = _mm_blend_epi32(load_16(p), load_16(p + (s - 4)), 2);
    __m128i y = _mm_blend_epi32(load_16(p + 2 * (s - 4)), load_16(p + 3 * (s - 4)), 8);
    return _mm_blend_epi32(x, y, 12);
}

INLINE __m256i dwords_at(const uint8_t *p, int s)
{
    return _mm256_inserti128_si256(_mm256_castsi128_si256(four_dwords(p, s)),
                                   four_dwords(p + 4 * s, s), 1);
}

/* halves, s bytes apart, that lie in the low or the high words of dwords at p */
INLINE __m256 low_halves_at(const uint8_t *p, int s)
{
    __m128i mask = _mm_set1_epi32(0xffff);
    return _mm256_cvtph_ps(_mm_packus_epi32(_mm_and_si128(four_dwords(p, s), mask),
                                            _mm_and_si128(four_dwords(p + 4 * s, s), mask)));
}
INLINE __m256 high_halves_at(const uint8_t *p, int s)
{
    return _mm256_cvtph_ps(_mm_packus_epi32(_mm_srli_epi32(four_dwords(p, s), 16),
                                            _mm_srli_epi32(four_dwords(p + 4 * s, s), 16)));
}

/* 16 bytes of each block, s bytes apart: u[c] lane j = dword c of block j */
INLINE void dwords_of(const uint8_t *p, int s, __m256i u[4])
{
    __m256i z[4];
    UNROLL
    for (int i = 0; i < 4; i++)
        z[i] = load_16_16(p + i * s, p + (4 + i) * s);
    columns_of(z, u);
}

INLINE void nibbles_of(const uint8_t *p, int s, __m256i u[8])
{
    __m256i x[4];
    dwords_of(p, s, x);
    UNROLL
    for (int c = 0; c < 4; c++) {
        u[c] = bits_at(x[c], 0, 15);
        u[4 + c] = bits_at(x[c], -4, 15);
    }
}

/* bit i of each lane of qh becomes bit 4 of byte i % 4 of u[i / 4] */
INLINE void add_fifth_bits(__m256i qh, __m256i u[8])
{
    UNROLL
    for (int i = 0; i < 4; i++) {
        __m256i at = _mm256_setr_epi32(0, 0x04040404, 0x08080808, 0x0c0c0c0c, 0, 0x04040404,
                                       0x08080808, 0x0c0c0c0c);
        __m256i copies = _mm256_shuffle_epi8(qh, _mm256_add_epi8(at, _mm256_set1_epi8((char)i)));
        UNROLL
        for (int h = 0; h < 2; h++) {
            __m256i bit = _mm256_set1_epi32(h ? (int32_t)0x80402010 : 0x08040201);
            __m256i is_set = _mm256_cmpeq_epi8(_mm256_and_si256(copies, bit), bit);
            u[2 * i + h] =
                _mm256_or_si256(u[2 * i + h], _mm256_and_si256(is_set, _mm256_set1_epi8(16)));
        }
    }
}

/* nibbles to the values of IQ4 */
INLINE void look_up_iq4(__m256i u[8])
{
    __m256i table = _mm256_broadcastsi128_si256(load_16((const uint8_t *)iq4_values));
    UNROLL
    for (int c = 0; c < 8; c++)
        u[c] = _mm256_shuffle_epi8(table, u[c]);
}

INLINE void half_q4_0(const uint8_t *p, struct half_tile *t)
{
    nibbles_of(p + 2, 18, t->u);
    t->ws[0] = low_halves_at(p, 18);
}

INLINE void half_q4_1(const uint8_t *p, struct half_tile *t)
{
    nibbles_of(p + 4, 20, t->u);
    t->ws[0] = low_halves_at(p, 20);
    t->wm[0] = high_halves_at(p, 20);
}

INLINE void half_q5_0(const uint8_t *p, struct half_tile *t)
{
    nibbles_of(p + 6, 22, t->u);
    add_fifth_bits(dwords_at(p + 2, 22), t->u);
    t->ws[0] = low_halves_at(p, 22);
}

INLINE void half_q5_1(const uint8_t *p, struct half_tile *t)
{
    nibbles_of(p + 8, 24, t->u);
    add_fifth_bits(dwords_at(p + 4, 24), t->u);
    t->ws[0] = low_halves_at(p, 24);
    t->wm[0] = high_halves_at(p, 24);
}

INLINE void half_q8_0(const uint8_t *p, struct half_tile *t)
{
    dwords_of(p + 2, 34, t->u);
    dwords_of(p + 18, 34, t->u + 4);
    t->ws[0] = low_halves_at(p, 34);
}

INLINE void half_iq4_nl(const uint8_t *p, struct half_tile *t)
{
    nibbles_of(p + 2, 18, t->u);
    look_up_iq4(t->u);
    t->ws[0] = low_halves_at(p, 18);
}

/* ---- types of 256: blocks 0 .. 3 in the lower half of a register, 4 .. 7 in the upper ---- */

INLINE __m256 set_half(const uint8_t *p)
{
    return _mm256_cvtph_ps(_mm_set1_epi16((short)get_u16(p)));
}

INLINE __m256 negative(__m256 x)
{
    return _mm256_xor_ps(x, _mm256_set1_ps(-0.0f));
}

/* ws and wm of Q4_K and Q5_K from d, dmin and 12 bytes of scales. These are dwords w0 w1 w2: four
 * scales w0 & 63, four more (w2 & 15) | (w0 >> 2 & 48); minimums with w1 and w2 >> 4. */
INLINE void half_k4_scales(const uint8_t *p, struct half_tile *t)
{
    __m128i x = load_16(p);
    __m128i a = _mm_srlv_epi32(_mm_shuffle_epi32(x, 0xa5), _mm_setr_epi32(0, 2, 0, 2));
    __m128i b = _mm_srlv_epi32(_mm_shuffle_epi32(x, 0xff), _mm_setr_epi32(0, 0, 0, 4));
    a = _mm_and_si128(a, _mm_set1_epi64x(0x303030303f3f3f3f));
    b = _mm_and_si128(b, _mm_set1_epi64x(0x0f0f0f0f00000000));
    a = _mm_or_si128(a, b); /* scales, then minimums */
    __m256 scale = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(a));
    __m256 min = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(a, 8)));
    __m128 d = _mm_cvtph_ps(x);
    t->ws[0] = _mm256_mul_ps(_mm256_broadcastss_ps(d), scale);
    t->wm[0] = _mm256_mul_ps(negative(_mm256_broadcastss_ps(_mm_movehdup_ps(d))), min);
}

/* rows of nibbles of 16 of the 32 columns of each block */
INLINE void k4_nibbles(const uint8_t *qs, __m256i z[4])
{
    __m256i x = load_16_16(qs, qs + 64), y = load_16_16(qs + 32, qs + 96);
    z[0] = bits_at(x, 0, 15);
    z[1] = bits_at(x, -4, 15);
    z[2] = bits_at(y, 0, 15);
    z[3] = bits_at(y, -4, 15);
}

/* z[r]: blocks r and 4 + r get their bit (the block's number) of each byte at p as bit `to` */
INLINE void add_block_bits(const uint8_t *p, int to, __m256i z[4])
{
    __m256i x = _mm256_broadcastsi128_si256(load_16(p));
    x = _mm256_srlv_epi32(x, _mm256_setr_epi32(0, 0, 0, 0, 4, 4, 4, 4));
    UNROLL
    for (int r = 0; r < 4; r++)
        z[r] = _mm256_or_si256(z[r], bits_at(x, to - r, 1 << to));
}

INLINE void half_q4_k(const uint8_t *p, struct half_tile *t)
{
    UNROLL
    for (int h = 0; h < 2; h++) {
        __m256i z[4];
        k4_nibbles(p + 16 + 16 * h, z);
        columns_of(z, t->u + 4 * h);
    }
    half_k4_scales(p, t);
}

INLINE void half_q5_k(const uint8_t *p, struct half_tile *t)
{
    UNROLL
    for (int h = 0; h < 2; h++) {
        __m256i z[4];
        k4_nibbles(p + 48 + 16 * h, z);
        add_block_bits(p + 16 + 16 * h, 4, z);
        columns_of(z, t->u + 4 * h);
    }
    half_k4_scales(p, t);
}

/* ws from 16 signed bytes, two to a block, times d */
INLINE void half_pair_scales(__m256 d, __m128i scales, struct half_tile *t)
{
    __m256i pairs = _mm256_cvtepi8_epi16(scales);
    __m256i even = _mm256_srai_epi32(_mm256_slli_epi32(pairs, 16), 16);
    t->ws[0] = _mm256_mul_ps(d, _mm256_cvtepi32_ps(even));
    t->ws[1] = _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_srai_epi32(pairs, 16)));
}

INLINE void half_q6_k(const uint8_t *p, struct half_tile *t)
{
    UNROLL
    for (int h = 0; h < 2; h++) {
        const uint8_t *ql = p + 16 * h, *qh = p + 128 + 16 * h;
        __m256i z[4], x = load_16_16(ql, ql + 64), y = load_16_16(ql + 32, ql + 96);
        __m256i high = load_16_16(qh, qh + 32);
        z[0] = bits_at(x, 0, 15);
        z[1] = bits_at(y, 0, 15);
        z[2] = bits_at(x, -4, 15);
        z[3] = bits_at(y, -4, 15);
        UNROLL
        for (int r = 0; r < 4; r++)
            z[r] = _mm256_or_si256(z[r], bits_at(high, 4 - 2 * r, 0x30));
        columns_of(z, t->u + 4 * h);
    }
    half_pair_scales(set_half(p + 208), load_16(p + 192), t);
}

/* rows of two bits of 16 of the 32 columns of each block */
INLINE void k2_bits(const uint8_t *qs, __m256i z[4])
{
    __m256i x = load_16_16(qs, qs + 32);
    UNROLL
    for (int r = 0; r < 4; r++)
        z[r] = bits_at(x, -2 * r, 3);
}

INLINE void half_q2_k(const uint8_t *p, struct half_tile *t)
{
    UNROLL
    for (int h = 0; h < 2; h++) {
        __m256i z[4];
        k2_bits(p + 16 + 16 * h, z);
        columns_of(z, t->u + 4 * h);
    }
    __m256 d = set_half(p + 80), dmin = negative(set_half(p + 82));
    __m256i pairs = _mm256_cvtepu16_epi32(load_16(p)), mask = _mm256_set1_epi32(15);
    UNROLL
    for (int h = 0; h < 2; h++) {
        __m256i scale = _mm256_and_si256(_mm256_srli_epi32(pairs, 8 * h), mask);
        __m256i min = _mm256_and_si256(_mm256_srli_epi32(pairs, 8 * h + 4), mask);
        t->ws[h] = _mm256_mul_ps(d, _mm256_cvtepi32_ps(scale));
        t->wm[h] = _mm256_mul_ps(dmin, _mm256_cvtepi32_ps(min));
    }
}

INLINE void half_q3_k(const uint8_t *p, struct half_tile *t)
{
    UNROLL
    for (int h = 0; h < 2; h++) {
        __m256i z[4];
        k2_bits(p + 32 + 16 * h, z);
        add_block_bits(p + 16 * h, 2, z);
        columns_of(z, t->u + 4 * h);
    }
    half_pair_scales(set_half(p + 108), q3_k_scales(p + 96), t);
}

/* scales: nibble b and two bits at 2b, less 32 */
INLINE void half_iq4_xs(const uint8_t *p, struct half_tile *t)
{
    nibbles_of(p + 8, 16, t->u);
    look_up_iq4(t->u);
    __m256i low = _mm256_srlv_epi32(_mm256_set1_epi32(get_i32(p + 4)),
                                    _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28));
    __m256i high = _mm256_srlv_epi32(_mm256_set1_epi32(get_u16(p + 2) << 4),
                                     _mm256_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14));
    __m256i scale = _mm256_or_si256(_mm256_and_si256(low, _mm256_set1_epi32(15)),
                                    _mm256_and_si256(high, _mm256_set1_epi32(0x30)));
    scale = _mm256_sub_epi32(scale, _mm256_set1_epi32(32));
    t->ws[0] = _mm256_mul_ps(set_half(p), _mm256_cvtepi32_ps(scale));
}

/* ---- both halves ---- */

INLINE void join_halves(const struct qkind *k, const struct half_tile *a, const struct half_tile *b,
                        struct tile *t)
{
    UNROLL
    for (int c = 0; c < 8; c++)
        t->u[c] = (vi){a->u[c], b->u[c]};
    UNROLL
    for (int h = 0; h < k->halves; h++) {
        t->ws[h] = (vf){a->ws[h], b->ws[h]};
        if (k->has_min)
            t->wm[h] = (vf){a->wm[h], b->wm[h]};
    }
}

#define TILE_OF_HALVES(id, name, ...)                                                              \
    INLINE void tile_##name(const uint8_t *p, struct tile *t)                                      \
    {                                                                                              \
        const struct qkind *k = &kind_##name;                                                      \
        struct half_tile a, b;                                                                     \
        half_##name(p, &a);                                                                        \
        half_##name(p + ACT_GROUP / 2 / k->block_cols * k->block_bytes, &b);                       \
        join_halves(k, &a, &b, t);                                                                 \
    }
QUANT_KINDS(TILE_OF_HALVES)
#undef TILE_OF_HALVES
