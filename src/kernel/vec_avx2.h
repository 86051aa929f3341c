/* The 16-lane vectors of vec_scalar.h as two 256-bit registers (AVX2, FMA, F16C). */
#pragma once
#include "kernel/unpack.h"
#include <immintrin.h>
#include <math.h>

#define INLINE         static inline __attribute__((always_inline))
#define VEC_NAME       "avx2"
#define VEC_DOT_SIGNED 1
/* 16 registers: a tile of 16 rows by 6 tokens */
#define MANY_VECTORS 1
#define MANY_FROM    24

typedef struct {
    __m256 a, b;
} vf;
typedef struct {
    __m256i a, b;
} vi;

/* NAME(x, ..) on both halves of a result of type T */
#define BOTH1(T, f, x)       ((T){f((x).a), f((x).b)})
#define BOTH2(T, f, x, y)    ((T){f((x).a, (y).a), f((x).b, (y).b)})
#define BOTH3(T, f, x, y, z) ((T){f((x).a, (y).a, (z).a), f((x).b, (y).b, (z).b)})

INLINE vf vf_set1(float x)
{
    __m256 v = _mm256_set1_ps(x);
    return (vf){v, v};
}
INLINE vf vf_load(const float *p)
{
    return (vf){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}
INLINE void vf_store(float *p, vf x)
{
    _mm256_storeu_ps(p, x.a);
    _mm256_storeu_ps(p + 8, x.b);
}
INLINE vf vf_add(vf x, vf y)
{
    return BOTH2(vf, _mm256_add_ps, x, y);
}
INLINE vf vf_sub(vf x, vf y)
{
    return BOTH2(vf, _mm256_sub_ps, x, y);
}
INLINE vf vf_mul(vf x, vf y)
{
    return BOTH2(vf, _mm256_mul_ps, x, y);
}
INLINE vf vf_div(vf x, vf y)
{
    return BOTH2(vf, _mm256_div_ps, x, y);
}
INLINE vf vf_fma(vf x, vf y, vf z)
{
    return BOTH3(vf, _mm256_fmadd_ps, x, y, z);
}
INLINE vf vf_max(vf x, vf y)
{
    return BOTH2(vf, _mm256_max_ps, x, y);
}
INLINE vf vf_if_less(vf a, vf b, vf x, vf y)
{
    return (vf){_mm256_blendv_ps(y.a, x.a, _mm256_cmp_ps(a.a, b.a, _CMP_LT_OQ)),
                _mm256_blendv_ps(y.b, x.b, _mm256_cmp_ps(a.b, b.b, _CMP_LT_OQ))};
}
INLINE vf vf_from_vi(vi x)
{
    return BOTH1(vf, _mm256_cvtepi32_ps, x);
}
INLINE vi vi_set1(int32_t x)
{
    __m256i v = _mm256_set1_epi32(x);
    return (vi){v, v};
}
INLINE vi vi_round(vf x)
{
    return BOTH1(vi, _mm256_cvtps_epi32, x);
}
INLINE vi vi_as(vf x)
{
    return BOTH1(vi, _mm256_castps_si256, x);
}
INLINE vf vf_as(vi x)
{
    return BOTH1(vf, _mm256_castsi256_ps, x);
}
INLINE vi vi_add(vi x, vi y)
{
    return BOTH2(vi, _mm256_add_epi32, x, y);
}
INLINE vi vi_sub(vi x, vi y)
{
    return BOTH2(vi, _mm256_sub_epi32, x, y);
}
INLINE vi vi_and(vi x, vi y)
{
    return BOTH2(vi, _mm256_and_si256, x, y);
}
INLINE vi vi_sll(vi x, int n)
{
    return (vi){_mm256_slli_epi32(x.a, n), _mm256_slli_epi32(x.b, n)};
}
INLINE vi vi_sll23(vi x)
{
    return vi_sll(x, 23);
}
INLINE vi vi_max(vi x, vi y)
{
    return BOTH2(vi, _mm256_max_epi32, x, y);
}
INLINE vi vi_load(const void *p)
{
    const __m256i *q = p;
    return (vi){_mm256_loadu_si256(q), _mm256_loadu_si256(q + 1)};
}
#define vi_load_once vi_load
INLINE void vi_store(void *p, vi x)
{
    __m256i *q = p;
    _mm256_storeu_si256(q, x.a);
    _mm256_storeu_si256(q + 1, x.b);
}
INLINE vi vi_bcast(const void *p)
{
    int32_t x;
    memcpy(&x, p, 4);
    return vi_set1(x);
}
INLINE vf vf_load_f16(const uint16_t *p)
{
    const __m128i *q = (const __m128i *)p;
    return (vf){_mm256_cvtph_ps(_mm_loadu_si128(q)), _mm256_cvtph_ps(_mm_loadu_si128(q + 1))};
}
INLINE vf vf_load_bf16(const uint16_t *p)
{
    const __m128i *q = (const __m128i *)p;
    vi wide = {_mm256_cvtepu16_epi32(_mm_loadu_si128(q)),
               _mm256_cvtepu16_epi32(_mm_loadu_si128(q + 1))};
    return vf_as(vi_sll(wide, 16));
}
INLINE vf vf_load_s8(const int8_t *p)
{
    __m128i x = _mm_loadu_si128((const __m128i *)p);
    vi wide = {_mm256_cvtepi8_epi32(x), _mm256_cvtepi8_epi32(_mm_srli_si128(x, 8))};
    return vf_from_vi(wide);
}
INLINE void vf_store_f16(uint16_t *p, vf x)
{
    __m128i *q = (__m128i *)p;
    _mm_storeu_si128(q, _mm256_cvtps_ph(x.a, _MM_FROUND_TO_NEAREST_INT));
    _mm_storeu_si128(q + 1, _mm256_cvtps_ph(x.b, _MM_FROUND_TO_NEAREST_INT));
}
INLINE void vi_store_s8(int8_t *p, vi x)
{
    __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(x.a, x.b), 0xd8);
    __m128i bytes =
        _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    _mm_storeu_si128((__m128i *)p, bytes);
}
INLINE vf vf_half(const uint8_t *p)
{
    __m256 v = _mm256_cvtph_ps(_mm_set1_epi16((short)get_u16(p)));
    return (vf){v, v};
}
INLINE float vf_sum(vf x)
{
    __m256 s8 = _mm256_add_ps(x.a, x.b);
    __m128 s4 = _mm_add_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
    __m128 s2 = _mm_add_ps(s4, _mm_movehl_ps(s4, s4));
    return _mm_cvtss_f32(_mm_add_ss(s2, _mm_movehdup_ps(s2)));
}
INLINE float vf_hmax(vf x)
{
    __m256 s8 = _mm256_max_ps(x.a, x.b);
    __m128 s4 = _mm_max_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
    __m128 s2 = _mm_max_ps(s4, _mm_movehl_ps(s4, s4));
    return _mm_cvtss_f32(_mm_max_ss(s2, _mm_movehdup_ps(s2)));
}
INLINE int32_t vi_hmax(vi x)
{
    __m256i s8 = _mm256_max_epi32(x.a, x.b);
    __m128i s4 = _mm_max_epi32(_mm256_castsi256_si128(s8), _mm256_extracti128_si256(s8, 1));
    __m128i s2 = _mm_max_epi32(s4, _mm_unpackhi_epi64(s4, s4));
    return _mm_cvtsi128_si32(_mm_max_epi32(s2, _mm_shuffle_epi32(s2, 1)));
}

INLINE __m256i dot_us_256(__m256i acc, __m256i u, __m256i x)
{
    __m256i pairs = _mm256_maddubs_epi16(u, x);
    return _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
/* u at most 63: pairs fit int16 */
INLINE vi vi_dot_us(vi acc, vi u, vi x)
{
    return BOTH3(vi, dot_us_256, acc, u, x);
}
INLINE __m256i dot_ss_256(__m256i acc, __m256i w, __m256i x)
{
    return dot_us_256(acc, _mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
}
/* both signed, x never -128: |w| and x with w's sign; pairs reach 2 * 128 * 127 < 2^15 */
INLINE vi vi_dot_ss(vi acc, vi w, vi x)
{
    return BOTH3(vi, dot_ss_256, acc, w, x);
}

/* acc += the sum of n chunks, one half of it after the other, for want of registers. Unsigned:
 * added in 16 bits first, so 2 * n * u * |x| must be below 2^15. */
#define VEC_DOT_CHUNKS
INLINE __m256i dot_us_chunks_256(const __m256i *u, const __m256i *x, int n)
{
    __m256i sum = _mm256_maddubs_epi16(u[0], x[0]);
    UNROLL
    for (int i = 1; i < n; i++)
        sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(u[i], x[i]));
    return _mm256_madd_epi16(sum, _mm256_set1_epi16(1));
}
INLINE vi vi_dot_us_chunks(vi acc, const vi *u, const vi *x, int n)
{
    __m256i ua[4], ub[4], xa[4], xb[4];
    UNROLL
    for (int i = 0; i < n; i++) {
        ua[i] = u[i].a;
        ub[i] = u[i].b;
        xa[i] = x[i].a;
        xb[i] = x[i].b;
    }
    acc.a = _mm256_add_epi32(acc.a, dot_us_chunks_256(ua, xa, n));
    acc.b = _mm256_add_epi32(acc.b, dot_us_chunks_256(ub, xb, n));
    return acc;
}
INLINE vi vi_dot_ss_chunks(vi acc, const vi *w, const vi *x, int n)
{
    UNROLL
    for (int i = 0; i < n; i++) {
        acc.a = dot_ss_256(acc.a, w[i].a, x[i].a);
        acc.b = dot_ss_256(acc.b, w[i].b, x[i].b);
    }
    /* now, not when all chunks are multiplied: compilers would keep the terms, and spill them */
    __asm__("" : "+x"(acc.a), "+x"(acc.b));
    return acc;
}

INLINE void transpose_8(const __m256i in[8], __m256i out[8])
{
    __m256i a[8], b[8];
    UNROLL
    for (int i = 0; i < 8; i += 2) {
        a[i] = _mm256_unpacklo_epi32(in[i], in[i + 1]);
        a[i + 1] = _mm256_unpackhi_epi32(in[i], in[i + 1]);
    }
    UNROLL
    for (int i = 0; i < 8; i += 4) {
        b[i] = _mm256_unpacklo_epi64(a[i], a[i + 2]);
        b[i + 1] = _mm256_unpackhi_epi64(a[i], a[i + 2]);
        b[i + 2] = _mm256_unpacklo_epi64(a[i + 1], a[i + 3]);
        b[i + 3] = _mm256_unpackhi_epi64(a[i + 1], a[i + 3]);
    }
    UNROLL
    for (int c = 0; c < 4; c++) {
        out[c] = _mm256_permute2x128_si256(b[c], b[4 + c], 0x20);
        out[4 + c] = _mm256_permute2x128_si256(b[c], b[4 + c], 0x31);
    }
}

/* out[i] lane j = in[j] lane i */
INLINE void vi_transpose(const vi in[16], vi out[16])
{
    UNROLL
    for (int h = 0; h < 2; h++) {
        __m256i x[8], y[8], lo[8], hi[8];
        UNROLL
        for (int i = 0; i < 8; i++) {
            x[i] = in[8 * h + i].a;
            y[i] = in[8 * h + i].b;
        }
        transpose_8(x, lo);
        transpose_8(y, hi);
        UNROLL
        for (int i = 0; i < 8; i++)
            if (h == 0) {
                out[i].a = lo[i];
                out[8 + i].a = hi[i];
            } else {
                out[i].b = lo[i];
                out[8 + i].b = hi[i];
            }
    }
}
