/* Tiles (see body_mul.h) of every type with 512-bit registers: 16 blocks of one row, as they lie in
 * the file, to eight vectors whose lane j holds four weights of block j. Layouts: unpack.h. */
#pragma once
#include "kernel/tiles_x86.h"

INLINE void tile_scale(struct tile *t, vf ws)
{
    t->ws[0] = ws;
}

/* Where word j of 16 lies, s bytes apart from byte `off` on, when 16 * s bytes are read as 64-byte
 * vectors of which the last one ends with them: the vector's number and the word in it. */
INLINE int vector_of(int s, int off, int j)
{
    int n = (s * j + off) / 64, whole = 16 * s / 64;
    return n < whole ? n : whole;
}
INLINE int word_of(int s, int off, int j)
{
    int n = vector_of(s, off, j), whole = 16 * s / 64;
    return (s * j + off - (n < whole ? 64 * n : 16 * s - 64)) / 2;
}

/* 16 words, s bytes apart from byte `off` on. Each is in another place of its vector (true for the
 * s and off used here), so that masked loads put all into one. */
INLINE __m256i words_at(const uint8_t *p, int s, int off)
{
    vi z = _mm512_setzero_si512();
    int whole = 16 * s / 64;
    UNROLL
    for (int n = 0; n <= whole; n++) {
        __mmask32 mask = 0;
        UNROLL
        for (int j = 0; j < 16; j++)
            mask |= (__mmask32)(vector_of(s, off, j) == n) << word_of(s, off, j);
        z = _mm512_mask_loadu_epi16(z, mask, p + (n < whole ? 64 * n : 16 * s - 64));
    }
#define W(j) (short)word_of(s, off, j)
    __m256i at = _mm256_setr_epi16(W(0), W(1), W(2), W(3), W(4), W(5), W(6), W(7), W(8), W(9),
                                   W(10), W(11), W(12), W(13), W(14), W(15));
#undef W
    return _mm512_castsi512_si256(_mm512_permutexvar_epi16(_mm512_castsi256_si512(at), z));
}

/* 16 halves, `s` bytes apart */
INLINE vf halves_at(const uint8_t *p, int s)
{
    return _mm512_cvtph_ps(words_at(p, s, 0));
}

/* 16 dwords, `stride` bytes apart */
INLINE vi dwords_at(const uint8_t *p, int s)
{
#define D(i) get_i32(p + (i)*s)
    return _mm512_setr_epi32(D(0), D(1), D(2), D(3), D(4), D(5), D(6), D(7), D(8), D(9), D(10),
                             D(11), D(12), D(13), D(14), D(15));
#undef D
}

/* low and high halves of each dword as floats */
INLINE vf low_halves(vi x)
{
    return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(x));
}
INLINE vf high_halves(vi x)
{
    return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32(x, 16)));
}

INLINE vi load_quarters(const uint8_t *p0, const uint8_t *p1, const uint8_t *p2, const uint8_t *p3)
{
    vi z = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)p0));
    z = _mm512_inserti32x4(z, _mm_loadu_si128((const __m128i *)p1), 1);
    z = _mm512_inserti32x4(z, _mm_loadu_si128((const __m128i *)p2), 2);
    return _mm512_inserti32x4(z, _mm_loadu_si128((const __m128i *)p3), 3);
}

/* z[i]'s quarter l is row 4l + i of a 16 x 4 matrix of dwords: out[c] is its column c */
INLINE void columns_of(const vi z[4], vi out[4])
{
    vi a0 = _mm512_unpacklo_epi32(z[0], z[1]), a1 = _mm512_unpackhi_epi32(z[0], z[1]);
    vi a2 = _mm512_unpacklo_epi32(z[2], z[3]), a3 = _mm512_unpackhi_epi32(z[2], z[3]);
    out[0] = _mm512_unpacklo_epi64(a0, a2);
    out[1] = _mm512_unpackhi_epi64(a0, a2);
    out[2] = _mm512_unpacklo_epi64(a1, a3);
    out[3] = _mm512_unpackhi_epi64(a1, a3);
}

/* 16 bytes of each of 16 blocks: out[c] lane j = dword c of block j */
INLINE void dwords_of(const uint8_t *p, int s, vi out[4])
{
    vi z[4];
    UNROLL
    for (int i = 0; i < 4; i++)
        z[i] = load_quarters(p + i * s, p + (4 + i) * s, p + (8 + i) * s, p + (12 + i) * s);
    columns_of(z, out);
}

INLINE void split_nibbles(const vi x[4], vi u[8])
{
    vi mask = _mm512_set1_epi8(15);
    UNROLL
    for (int c = 0; c < 4; c++) {
        u[c] = vi_and(x[c], mask);
        u[4 + c] = vi_and(_mm512_srli_epi16(x[c], 4), mask);
    }
}

/* bit i of each lane of qh becomes bit 4 of byte i % 4 of u[i / 4] */
INLINE void add_fifth_bits(vi qh, vi u[8])
{
    vi even = vi_set1((int32_t)0x08040201), odd = vi_set1((int32_t)0x80402010);
    vi bit = _mm512_set1_epi8(16);
    UNROLL
    for (int i = 0; i < 4; i++) {
        vi at = _mm512_add_epi32(_mm512_set4_epi32(0x0c0c0c0c, 0x08080808, 0x04040404, 0),
                                 _mm512_set1_epi8((char)i));
        vi copies = _mm512_shuffle_epi8(qh, at);
        __mmask64 m0 = _mm512_test_epi8_mask(copies, even), m1 = _mm512_test_epi8_mask(copies, odd);
        u[2 * i] = _mm512_mask_add_epi8(u[2 * i], m0, u[2 * i], bit);
        u[2 * i + 1] = _mm512_mask_add_epi8(u[2 * i + 1], m1, u[2 * i + 1], bit);
    }
}

INLINE void tile_q4_0(const uint8_t *p, struct tile *t)
{
    vi x[4];
    dwords_of(p + 2, 18, x);
    split_nibbles(x, t->u);
    tile_scale(t, halves_at(p, 18));
}

INLINE void tile_q4_1(const uint8_t *p, struct tile *t)
{
    vi x[4];
    dwords_of(p + 4, 20, x);
    split_nibbles(x, t->u);
    tile_scale(t, halves_at(p, 20));
    t->wm[0] = _mm512_cvtph_ps(words_at(p, 20, 2));
}

INLINE void tile_q5_0(const uint8_t *p, struct tile *t)
{
    vi x[4];
    dwords_of(p + 6, 22, x);
    split_nibbles(x, t->u);
    vi low = _mm512_cvtepu16_epi32(words_at(p, 22, 2));
    vi high = _mm512_cvtepu16_epi32(words_at(p, 22, 4));
    add_fifth_bits(_mm512_or_si512(low, _mm512_slli_epi32(high, 16)), t->u);
    tile_scale(t, halves_at(p, 22));
}

INLINE void tile_q5_1(const uint8_t *p, struct tile *t)
{
    vi x[4], dm = dwords_at(p, 24);
    dwords_of(p + 8, 24, x);
    split_nibbles(x, t->u);
    add_fifth_bits(dwords_at(p + 4, 24), t->u);
    tile_scale(t, low_halves(dm));
    t->wm[0] = high_halves(dm);
}

INLINE void tile_q8_0(const uint8_t *p, struct tile *t)
{
    dwords_of(p + 2, 34, t->u);
    dwords_of(p + 18, 34, t->u + 4);
    if (!VEC_DOT_SIGNED)
        UNROLL
    for (int c = 0; c < 8; c++)
        t->u[c] = vi_xor(t->u[c], _mm512_set1_epi8(-128));
    tile_scale(t, halves_at(p, 34));
}

/* nibbles to the values of IQ4, plus 128 where signed bytes do not serve */
INLINE void look_up_iq4(vi u[8])
{
    vi table = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)iq4_values));
    if (!VEC_DOT_SIGNED)
        table = vi_xor(table, _mm512_set1_epi8(-128));
    UNROLL
    for (int c = 0; c < 8; c++)
        u[c] = _mm512_shuffle_epi8(table, u[c]);
}

INLINE void tile_iq4_nl(const uint8_t *p, struct tile *t)
{
    vi x[4];
    dwords_of(p + 2, 18, x);
    split_nibbles(x, t->u);
    look_up_iq4(t->u);
    tile_scale(t, halves_at(p, 18));
}

/* ---- types of 256: a tile is two super-blocks, eight lanes each ---- */

/* the half at p in lanes 0 .. 7, the one at q in lanes 8 .. 15 */
INLINE vf two_halves(const uint8_t *p, const uint8_t *q)
{
    __m128i a = _mm_set1_epi16((short)get_u16(p)), b = _mm_set1_epi16((short)get_u16(q));
    return _mm512_cvtph_ps(_mm256_inserti128_si256(_mm256_castsi128_si256(a), b, 1));
}

INLINE vi eight_twice(int a, int b, int c, int d, int e, int f, int g, int h)
{
    return _mm512_setr_epi32(a, b, c, d, e, f, g, h, a, b, c, d, e, f, g, h);
}

/* Index tables are kept in memory: the compiler would otherwise rebuild them in the loop. */
#define PAIR_OF(c, a, b, d, e, f, g, h, i)                                                         \
    {                                                                                              \
        a + c, b + c, d + c, e + c, f + c, g + c, h + c, i + c, a + c + 1, b + c + 1, d + c + 1,   \
            e + c + 1, f + c + 1, g + c + 1, h + c + 1, i + c + 1                                  \
    }
#define PAIRS_OF(...)                                                                              \
    {                                                                                              \
        PAIR_OF(0, __VA_ARGS__), PAIR_OF(2, __VA_ARGS__), PAIR_OF(4, __VA_ARGS__),                 \
            PAIR_OF(6, __VA_ARGS__)                                                                \
    }
#define EIGHT_OF(c, a, b, d, e, f, g, h, i, j)                                                     \
    {                                                                                              \
        a + c, b + c, d + c, e + c, f + c, g + c, h + c, i + c, j + a + c, j + b + c, j + d + c,   \
            j + e + c, j + f + c, j + g + c, j + h + c, j + i + c                                  \
    }
#define EIGHTS_OF(...)                                                                             \
    {                                                                                              \
        EIGHT_OF(0, __VA_ARGS__), EIGHT_OF(1, __VA_ARGS__), EIGHT_OF(2, __VA_ARGS__),              \
            EIGHT_OF(3, __VA_ARGS__), EIGHT_OF(4, __VA_ARGS__), EIGHT_OF(5, __VA_ARGS__),          \
            EIGHT_OF(6, __VA_ARGS__), EIGHT_OF(7, __VA_ARGS__)                                     \
    }
/* first dwords of blocks 0 .. 7 in the 32 dwords of a super-block's low bits */
static const _Alignas(64) int32_t nibble_pairs[4][16] = PAIRS_OF(0, 0, 8, 8, 16, 16, 24, 24);
static const _Alignas(64) int32_t q6_pairs[4][16] = PAIRS_OF(0, 8, 0, 8, 16, 24, 16, 24);
/* in 16 dwords of each of two super-blocks, in 8 */
static const _Alignas(64) int32_t at_64[8][16] = EIGHTS_OF(0, 0, 0, 0, 8, 8, 8, 8, 16);
static const _Alignas(64) int32_t d_at[16] = {0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 2, 2, 2, 2, 2, 2};
static const _Alignas(64) int32_t dmin_at[16] = {1, 1, 1, 1, 1, 1, 1, 1, 3, 3, 3, 3, 3, 3, 3, 3};
static const _Alignas(64) int32_t at_32[8][16] = EIGHTS_OF(0, 0, 0, 0, 0, 0, 0, 0, 8);

/* Eight chunks out of 128 bytes (32 dwords) of each super-block: lanes 0 .. 7 of u[c] come from the
 * first, 8 .. 15 from the second. at[i] has the dwords of chunk 2i, then of chunk 2i + 1. */
INLINE void pick_128(const uint8_t *p, const uint8_t *q, const int32_t at[4][16], vi u[8])
{
    vi p0 = vi_load(p), p1 = vi_load(p + 64), q0 = vi_load(q), q1 = vi_load(q + 64);
    UNROLL
    for (int i = 0; i < 4; i++) {
        vi index = _mm512_load_si512(at[i]);
        vi a = _mm512_permutex2var_epi32(p0, index, p1),
           b = _mm512_permutex2var_epi32(q0, index, q1);
        u[2 * i] = _mm512_shuffle_i64x2(a, b, 0x44);
        u[2 * i + 1] = _mm512_shuffle_i64x2(a, b, 0xee);
    }
}

/* The same out of 64 bytes each: block b takes dword 8 * (b / 4) + c. */
INLINE vi pick_64(vi p, vi q, int c)
{
    return _mm512_permutex2var_epi32(p, _mm512_load_si512(at_64[c]), q);
}

/* Out of 32 bytes each, which all blocks share: dword c, rotated right by rot[lane]. */
INLINE vi pick_32(vi both, int c, vi rot)
{
    return _mm512_rorv_epi32(_mm512_permutexvar_epi32(_mm512_load_si512(at_32[c]), both), rot);
}

INLINE vi load_two_32(const uint8_t *p, const uint8_t *q)
{
    return _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)p)),
                              _mm256_loadu_si256((const __m256i *)q), 1);
}

/* mask ? a : b, bit by bit */
INLINE vi bits_of(vi mask, vi a, vi b)
{
    return _mm512_ternarylogic_epi32(mask, a, b, 0xca);
}

INLINE __m256i load_two_16(const uint8_t *p, const uint8_t *q)
{
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)p)),
                                   _mm_loadu_si128((const __m128i *)q), 1);
}

/* ws and wm of Q4_K and Q5_K; p, q: the super-blocks. Their 12 bytes of scales are dwords w0 w1 w2:
 * four scales w0 & 63, four more (w2 & 15) | (w0 >> 2 & 48); minimums with w1 and w2 >> 4. */
INLINE void tile_k4_scales(const uint8_t *p, const uint8_t *q, struct tile *t)
{
    __m256i x = load_two_16(p + 4, q + 4);
    __m256i a = _mm256_shuffle_epi32(x, 0x50), b = _mm256_shuffle_epi32(x, 0xaa);
    a = _mm256_srlv_epi32(a, _mm256_setr_epi32(0, 2, 0, 2, 0, 2, 0, 2));
    b = _mm256_srlv_epi32(b, _mm256_setr_epi32(0, 0, 0, 4, 0, 0, 0, 4));
    a = _mm256_and_si256(a, _mm256_set1_epi64x(0x303030303f3f3f3f));
    b = _mm256_and_si256(b, _mm256_set1_epi64x(0x0f0f0f0f00000000));
    x = _mm256_permute4x64_epi64(_mm256_or_si256(a, b), 0xd8); /* scales, then minimums */
    vi scale = _mm512_cvtepu8_epi32(_mm256_castsi256_si128(x));
    vi min = _mm512_cvtepu8_epi32(_mm256_extracti128_si256(x, 1));
    /* d and dmin of both */
    vf d = _mm512_castps128_ps512(_mm_cvtph_ps(_mm_setr_epi32(get_i32(p), get_i32(q), 0, 0)));
    t->ws[0] = vf_mul(_mm512_permutexvar_ps(_mm512_load_si512(d_at), d), vf_from_vi(scale));
    vf dmin = _mm512_permutexvar_ps(_mm512_load_si512(dmin_at), d);
    t->wm[0] = vf_mul(vf_sub(vf_set1(-0.0f), dmin), vf_from_vi(min));
}

INLINE void pick_k4_nibbles(const uint8_t *p, const uint8_t *q, vi u[8])
{
    vi shift = eight_twice(0, 4, 0, 4, 0, 4, 0, 4);
    pick_128(p, q, nibble_pairs, u);
    UNROLL
    for (int c = 0; c < 8; c++)
        u[c] = _mm512_srlv_epi32(u[c], shift);
}

INLINE void tile_q4_k(const uint8_t *p, struct tile *t)
{
    const uint8_t *q = p + 144;
    pick_k4_nibbles(p + 16, q + 16, t->u);
    UNROLL
    for (int c = 0; c < 8; c++)
        t->u[c] = vi_and(t->u[c], _mm512_set1_epi8(15));
    tile_k4_scales(p, q, t);
}

INLINE void tile_q5_k(const uint8_t *p, struct tile *t)
{
    const uint8_t *q = p + 176;
    vi high = load_two_32(p + 16, q + 16), rot = eight_twice(28, 29, 30, 31, 0, 1, 2, 3);
    pick_k4_nibbles(p + 48, q + 48, t->u);
    UNROLL
    for (int c = 0; c < 8; c++)
        t->u[c] = vi_and(bits_of(_mm512_set1_epi8(15), t->u[c], pick_32(high, c, rot)),
                         _mm512_set1_epi8(31));
    tile_k4_scales(p, q, t);
}

/* ws from 16 signed bytes of each super-block, two to a block, times d */
INLINE void tile_pair_scales(vf d, __m256i scales, struct tile *t)
{
    vi pairs = _mm512_cvtepi8_epi16(scales);
    t->ws[0] = vf_mul(d, vf_from_vi(_mm512_srai_epi32(_mm512_slli_epi32(pairs, 16), 16)));
    t->ws[1] = vf_mul(d, vf_from_vi(_mm512_srai_epi32(pairs, 16)));
}

INLINE void tile_q6_k(const uint8_t *p, struct tile *t)
{
    const uint8_t *q = p + 210;
    vi shift = eight_twice(0, 0, 4, 4, 0, 0, 4, 4), rot = eight_twice(28, 30, 0, 2, 28, 30, 0, 2);
    vi high_p = vi_load(p + 128), high_q = vi_load(q + 128);
    pick_128(p, q, q6_pairs, t->u);
    UNROLL
    for (int c = 0; c < 8; c++) {
        vi low = _mm512_srlv_epi32(t->u[c], shift);
        vi high = _mm512_rorv_epi32(pick_64(high_p, high_q, c), rot);
        t->u[c] = vi_and(bits_of(_mm512_set1_epi8(15), low, high), _mm512_set1_epi8(63));
    }
    tile_pair_scales(two_halves(p + 208, q + 208), load_two_16(p + 192, q + 192), t);
}

INLINE void tile_q2_k(const uint8_t *p, struct tile *t)
{
    const uint8_t *q = p + 84;
    vi shift = eight_twice(0, 2, 4, 6, 0, 2, 4, 6), three = _mm512_set1_epi8(3);
    vi low_p = vi_load(p + 16), low_q = vi_load(q + 16);
    UNROLL
    for (int c = 0; c < 8; c++)
        t->u[c] = vi_and(_mm512_srlv_epi32(pick_64(low_p, low_q, c), shift), three);
    vf d = two_halves(p + 80, q + 80);
    vf dmin = vf_sub(vf_set1(-0.0f), two_halves(p + 82, q + 82));
    vi pairs = _mm512_cvtepu8_epi16(load_two_16(p, q)), mask = vi_set1(15);
    t->ws[0] = vf_mul(d, vf_from_vi(vi_and(pairs, mask)));
    t->wm[0] = vf_mul(dmin, vf_from_vi(vi_and(_mm512_srli_epi32(pairs, 4), mask)));
    t->ws[1] = vf_mul(d, vf_from_vi(vi_and(_mm512_srli_epi32(pairs, 16), mask)));
    t->wm[1] = vf_mul(dmin, vf_from_vi(vi_and(_mm512_srli_epi32(pairs, 20), mask)));
}

INLINE void tile_q3_k(const uint8_t *p, struct tile *t)
{
    const uint8_t *q = p + 110;
    vi shift = eight_twice(0, 2, 4, 6, 0, 2, 4, 6), three = _mm512_set1_epi8(3);
    vi low_p = vi_load(p + 32), low_q = vi_load(q + 32), high = load_two_32(p, q);
    vi rot = eight_twice(30, 31, 0, 1, 2, 3, 4, 5);
    UNROLL
    for (int c = 0; c < 8; c++) {
        vi low = _mm512_srlv_epi32(pick_64(low_p, low_q, c), shift);
        t->u[c] = vi_and(bits_of(three, low, pick_32(high, c, rot)), _mm512_set1_epi8(7));
    }
    __m256i scales = _mm256_inserti128_si256(_mm256_castsi128_si256(q3_k_scales(p + 96)),
                                             q3_k_scales(q + 96), 1);
    tile_pair_scales(two_halves(p + 108, q + 108), scales, t);
}

/* scales: nibble b and two bits at 2b, less 32 */
INLINE __m128i iq4_xs_scales(const uint8_t *p)
{
    __m128i low = _mm_cvtsi32_si128(get_i32(p + 4)); /* four bytes, nibbles in order */
    low = _mm_cvtepu8_epi16(low);
    low = _mm_and_si128(_mm_or_si128(low, _mm_slli_epi16(low, 4)), _mm_set1_epi16(0x0f0f));
    uint32_t h = get_u16(p + 2), h0 = 0, h1 = 0;
    for (int b = 0; b < 4; b++) {
        h0 |= (h >> (2 * b) & 3) << (8 * b + 4);
        h1 |= (h >> (2 * b + 8) & 3) << (8 * b + 4);
    }
    return _mm_or_si128(low, _mm_set_epi64x(0, (long long)((uint64_t)h1 << 32 | h0)));
}

INLINE void tile_iq4_xs(const uint8_t *p, struct tile *t)
{
    const uint8_t *q = p + 136;
    vi z[4] = {load_quarters(p + 8, p + 72, q + 8, q + 72),
               load_quarters(p + 24, p + 88, q + 24, q + 88),
               load_quarters(p + 40, p + 104, q + 40, q + 104),
               load_quarters(p + 56, p + 120, q + 56, q + 120)};
    vi x[4];
    columns_of(z, x);
    split_nibbles(x, t->u);
    look_up_iq4(t->u);
    __m128i scales = _mm_unpacklo_epi64(iq4_xs_scales(p), iq4_xs_scales(q));
    vi s = _mm512_sub_epi32(_mm512_cvtepu8_epi32(scales), vi_set1(32));
    t->ws[0] = vf_mul(two_halves(p, q), vf_from_vi(s));
}
