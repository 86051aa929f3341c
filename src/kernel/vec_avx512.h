/* The 16-lane vectors of vec_scalar.h as one 512-bit register; with VNNI where the file's flags
 * have it. */
#pragma once
#include "kernel/unpack.h"
#include <immintrin.h>
#include <math.h>

#define INLINE static inline __attribute__((always_inline))
#if defined(__AVX512VNNI__)
#define VEC_NAME "avx512vnni"
/* vi_dot_us takes any unsigned byte, so signed weights are stored with 128 added */
#define VEC_DOT_SIGNED 0
#else
#define VEC_NAME       "avx512"
#define VEC_DOT_SIGNED 1
#endif

#define VEC_ATTN_SUMS 16

typedef __m512 vf;
typedef __m512i vi;

INLINE vf vf_set1(float x)
{
    return _mm512_set1_ps(x);
}
INLINE vf vf_load(const float *p)
{
    return _mm512_loadu_ps(p);
}
INLINE void vf_store(float *p, vf a)
{
    _mm512_storeu_ps(p, a);
}
INLINE vf vf_add(vf a, vf b)
{
    return _mm512_add_ps(a, b);
}
INLINE vf vf_sub(vf a, vf b)
{
    return _mm512_sub_ps(a, b);
}
INLINE vf vf_mul(vf a, vf b)
{
    return _mm512_mul_ps(a, b);
}
INLINE vf vf_div(vf a, vf b)
{
    return _mm512_div_ps(a, b);
}
INLINE vf vf_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}
INLINE vf vf_max(vf a, vf b)
{
    return _mm512_max_ps(a, b);
}
INLINE vf vf_if_less(vf a, vf b, vf x, vf y)
{
    return _mm512_mask_mov_ps(y, _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), x);
}
INLINE vf vf_from_vi(vi a)
{
    return _mm512_cvtepi32_ps(a);
}
INLINE vi vi_set1(int32_t x)
{
    return _mm512_set1_epi32(x);
}
INLINE vi vi_round(vf a)
{
    return _mm512_cvtps_epi32(a);
}
INLINE vi vi_as(vf a)
{
    return _mm512_castps_si512(a);
}
INLINE vf vf_as(vi a)
{
    return _mm512_castsi512_ps(a);
}
INLINE vi vi_add(vi a, vi b)
{
    return _mm512_add_epi32(a, b);
}
INLINE vi vi_sub(vi a, vi b)
{
    return _mm512_sub_epi32(a, b);
}
INLINE vi vi_and(vi a, vi b)
{
    return _mm512_and_si512(a, b);
}
INLINE vi vi_xor(vi a, vi b)
{
    return _mm512_xor_si512(a, b);
}
INLINE vi vi_sll(vi a, int n)
{
    return _mm512_slli_epi32(a, (unsigned)n);
}
INLINE vi vi_sll23(vi a)
{
    return _mm512_slli_epi32(a, 23);
}
INLINE vi vi_max(vi a, vi b)
{
    return _mm512_max_epi32(a, b);
}
INLINE vi vi_load(const void *p)
{
    return _mm512_loadu_si512(p);
}
/* a load that stays one: compilers repeat a vi_load as the operand of each instruction using it */
INLINE vi vi_load_once(const void *p)
{
    vi x = _mm512_loadu_si512(p);
    __asm__("" : "+v"(x));
    return x;
}
INLINE void vi_store(void *p, vi a)
{
    _mm512_storeu_si512(p, a);
}
INLINE vi vi_bcast(const void *p) /* four bytes to every lane */
{
    int32_t x;
    memcpy(&x, p, 4);
    return _mm512_set1_epi32(x);
}
INLINE vf vf_load_f16(const uint16_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}
INLINE vf vf_load_bf16(const uint16_t *p)
{
    vi wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
    return vf_as(_mm512_slli_epi32(wide, 16));
}
INLINE vf vf_load_s8(const int8_t *p)
{
    return vf_from_vi(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)));
}
INLINE void vf_store_f16(uint16_t *p, vf a)
{
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT));
}
INLINE void vi_store_s8(int8_t *p, vi a)
{
    _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8(a));
}
INLINE vf vf_half(const uint8_t *p)
{
    return _mm512_cvtph_ps(_mm256_set1_epi16((short)get_u16(p)));
}
INLINE float vf_sum(vf a)
{
    __m256 s8 = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 s4 = _mm_add_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
    __m128 s2 = _mm_add_ps(s4, _mm_movehl_ps(s4, s4));
    return _mm_cvtss_f32(_mm_add_ss(s2, _mm_movehdup_ps(s2)));
}
INLINE float vf_hmax(vf a)
{
    __m256 s8 = _mm256_max_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 s4 = _mm_max_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
    __m128 s2 = _mm_max_ps(s4, _mm_movehl_ps(s4, s4));
    return _mm_cvtss_f32(_mm_max_ss(s2, _mm_movehdup_ps(s2)));
}
INLINE int32_t vi_hmax(vi a)
{
    return _mm512_reduce_max_epi32(a);
}

#if defined(__AVX512VNNI__)
/* lane += dot product of its four unsigned bytes of u with the four signed ones of x */
INLINE vi vi_dot_us(vi acc, vi u, vi x)
{
    return _mm512_dpbusd_epi32(acc, u, x);
}
#else
/* u at most 63: pairs fit int16 */
INLINE vi vi_dot_us(vi acc, vi u, vi x)
{
    vi pairs = _mm512_maddubs_epi16(u, x);
    return _mm512_add_epi32(acc, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
}
/* both signed, x never -128: |w| and x with w's sign; pairs reach 2 * 128 * 127 < 2^15 */
INLINE vi vi_dot_ss(vi acc, vi w, vi x)
{
    vi signed_x = _mm512_mask_sub_epi8(x, _mm512_movepi8_mask(w), _mm512_setzero_si512(), x);
    return vi_dot_us(acc, _mm512_abs_epi8(w), signed_x);
}
#endif

/* out[i] lane j = in[j] lane i */
INLINE void vi_transpose(const vi in[16], vi out[16])
{
    vi a[16], b[16];
    UNROLL
    for (int i = 0; i < 16; i += 2) {
        a[i] = _mm512_unpacklo_epi32(in[i], in[i + 1]);
        a[i + 1] = _mm512_unpackhi_epi32(in[i], in[i + 1]);
    }
    UNROLL
    for (int i = 0; i < 16; i += 4) {
        b[i] = _mm512_unpacklo_epi64(a[i], a[i + 2]);
        b[i + 1] = _mm512_unpackhi_epi64(a[i], a[i + 2]);
        b[i + 2] = _mm512_unpacklo_epi64(a[i + 1], a[i + 3]);
        b[i + 3] = _mm512_unpackhi_epi64(a[i + 1], a[i + 3]);
    }
    /* b[4q + c]: 128-bit lane l has column 4l + c of rows 4q .. 4q + 3 */
    UNROLL
    for (int c = 0; c < 4; c++) {
        vi lo01 = _mm512_shuffle_i32x4(b[c], b[4 + c], 0x44);
        vi hi01 = _mm512_shuffle_i32x4(b[c], b[4 + c], 0xee);
        vi lo23 = _mm512_shuffle_i32x4(b[8 + c], b[12 + c], 0x44);
        vi hi23 = _mm512_shuffle_i32x4(b[8 + c], b[12 + c], 0xee);
        out[c] = _mm512_shuffle_i32x4(lo01, lo23, 0x88);
        out[4 + c] = _mm512_shuffle_i32x4(lo01, lo23, 0xdd);
        out[8 + c] = _mm512_shuffle_i32x4(hi01, hi23, 0x88);
        out[12 + c] = _mm512_shuffle_i32x4(hi01, hi23, 0xdd);
    }
}
