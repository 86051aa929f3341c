/* Vectors of 4, 8 or 16 lanes, as wide as the file that includes this is compiled for.
 *
 * A lane is one block that is being quantized: lanes never meet in an operation that rounds, so
 * results do not depend on their number. No fused multiply-add anywhere, so quantized files are the
 * same on every machine. */
#pragma once
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
enum { LANES = 16 };
#elif defined(__AVX2__)
enum { LANES = 8 };
#else
enum { LANES = 4 };
#endif

typedef float vf __attribute__((vector_size(4 * LANES), may_alias));
typedef int32_t vi __attribute__((vector_size(4 * LANES), may_alias));
typedef uint32_t vu __attribute__((vector_size(4 * LANES), may_alias));
typedef uint16_t vh __attribute__((vector_size(2 * LANES), may_alias));

#define INLINE            static inline __attribute__((always_inline))
#define UNROLL_TEXT(text) _Pragma(#text)
#define UNROLL(n)         UNROLL_TEXT(GCC unroll n)

INLINE vf vf_all(float f)
{
    return f - (vf){0};
}

INLINE vi vi_all(int32_t i)
{
    return i - (vi){0};
}

/* m: lanes of all ones or all zeros, as comparisons give */
INLINE vf vf_select(vi m, vf a, vf b)
{
    return (vf)((m & (vi)a) | (~m & (vi)b));
}

INLINE vi vi_select(vi m, vi a, vi b)
{
    return (m & a) | (~m & b);
}

INLINE vf vf_only(vi m, vf a) /* 0 elsewhere */
{
    return (vf)(m & (vi)a);
}

INLINE vf vf_abs(vf a)
{
    return (vf)((vi)a & vi_all(0x7fffffff));
}

/* Where the operands don't compare (NaN), both give b. */
INLINE vf vf_min(vf a, vf b)
{
#if defined(__AVX512F__)
    return (vf)_mm512_min_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
    return (vf)_mm256_min_ps((__m256)a, (__m256)b);
#elif defined(__SSE2__)
    return (vf)_mm_min_ps((__m128)a, (__m128)b);
#else
    return vf_select((vi)(a < b), a, b);
#endif
}

INLINE vf vf_max(vf a, vf b)
{
#if defined(__AVX512F__)
    return (vf)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
    return (vf)_mm256_max_ps((__m256)a, (__m256)b);
#elif defined(__SSE2__)
    return (vf)_mm_max_ps((__m128)a, (__m128)b);
#else
    return vf_select((vi)(a > b), a, b);
#endif
}

/* To the nearest integer, ties to even, for |v| < 2^22. */
INLINE vf vf_round(vf v)
{
    const vf magic = vf_all(12582912.0f);
    return (v + magic) - magic;
}

INLINE vi vf_int(vf v) /* towards zero */
{
    return __builtin_convertvector(v, vi);
}

INLINE vf vi_float(vi v)
{
    return __builtin_convertvector(v, vf);
}

INLINE int vi_any(vi m)
{
#if defined(__AVX512F__)
    return _mm512_test_epi32_mask((__m512i)m, (__m512i)m) != 0;
#elif defined(__AVX2__)
    return _mm256_movemask_ps((__m256)m) != 0;
#elif defined(__SSE2__)
    return _mm_movemask_ps((__m128)m) != 0;
#else
    return (m[0] | m[1] | m[2] | m[3]) != 0;
#endif
}

/* table[at[lane]] */
INLINE vf vf_look_up(const float *table, vi at)
{
#if defined(__AVX512F__)
    return (vf)_mm512_i32gather_ps((__m512i)at, table, 4);
#elif defined(__AVX2__)
    return (vf)_mm256_i32gather_ps(table, (__m256i)at, 4);
#else
    return (vf){table[at[0]], table[at[1]], table[at[2]], table[at[3]]};
#endif
}

INLINE float vf_largest(vf v)
{
#if defined(__AVX512F__)
    __m256 h =
        _mm256_max_ps(_mm512_castps512_ps256((__m512)v), _mm512_extractf32x8_ps((__m512)v, 1));
    __m128 q = _mm_max_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
#elif defined(__AVX2__)
    __m128 q = _mm_max_ps(_mm256_castps256_ps128((__m256)v), _mm256_extractf128_ps((__m256)v, 1));
#elif defined(__SSE2__)
    __m128 q = (__m128)v;
#endif
#ifdef __SSE2__
    q = _mm_max_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_max_ss(q, _mm_shuffle_ps(q, q, 1)));
#else
    float a = v[0] > v[1] ? v[0] : v[1], b = v[2] > v[3] ? v[2] : v[3];
    return a > b ? a : b;
#endif
}

/* Any alignment. */
INLINE vf vf_load(const float *p)
{
    vf v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* ---- f16 and bf16: quant.h's scalar conversions, lane by lane ---- */

INLINE vf vf_from_f16(vi h)
{
    vi em = h & vi_all(0x7fff);
    vi small = (vi)(vi_float(em) * vf_all(0x1p-24f));
    vi large = (em << 13) + vi_all(112 << 23) + ((vi)(em >= vi_all(0x7c00)) & vi_all(112 << 23));
    return (vf)(vi_select((vi)(em < vi_all(0x400)), small, large) | (h & vi_all(0x8000)) << 16);
}

INLINE vi vf_to_f16(vf f)
{
    vi u = (vi)f, x = u & vi_all(0x7fffffff);
    vi is_small = (vi)(x < vi_all(0x38800000)), is_large = (vi)(x < vi_all(0x47800000));
    vi small = (vi)((vf)(x & is_small) + vf_all(0.5f)) - vi_all(0x3f000000);
    vi large = (x - vi_all(112 << 23) + vi_all(0xfff) + (x >> 13 & vi_all(1))) >> 13;
    vi huge = vi_select((vi)(x > vi_all(0x7f800000)), vi_all(0x7e00) | (x >> 13 & vi_all(0x3ff)),
                        vi_all(0x7c00));
    vi em = vi_select(is_small, small, vi_select(is_large, large, huge));
    return em | (vi)((vu)u >> 16 & (vu)vi_all(0x8000));
}

INLINE vi vf_to_bf16(vf f)
{
    vu u = (vu)f, one = (vu)vi_all(1);
    vu rounded = (u + (vu)vi_all(0x7fff) + (u >> 16 & one)) >> 16;
    vi nan = (vi)(((vi)u & vi_all(0x7fffffff)) > vi_all(0x7f800000));
    return vi_select(nan, (vi)(u >> 16) | vi_all(0x40), (vi)rounded);
}

INLINE vf vf_from_bf16(vi h)
{
    return (vf)(h << 16);
}

INLINE vi vh_load(const void *p)
{
    vh h;
    memcpy(&h, p, sizeof h);
    return (vi) __builtin_convertvector(h, vu);
}

INLINE void vh_store(void *p, vi v)
{
    vh h = __builtin_convertvector((vu)v, vh);
    memcpy(p, &h, sizeof h);
}

/* ---- rows to lanes ---- */

/* x[e] lane l = rows[l][e] for e < n, a multiple of 4. */
INLINE void lanes_transpose(vf *x, const float *const rows[LANES], int n)
{
    float *out = (float *)x;
    for (int l = 0; l < LANES; l += 4) {
        for (int e = 0; e < n; e += 4) {
            float *o = out + e * LANES + l;
#ifdef __SSE2__
            __m128 a = _mm_loadu_ps(rows[l] + e), b = _mm_loadu_ps(rows[l + 1] + e);
            __m128 c = _mm_loadu_ps(rows[l + 2] + e), d = _mm_loadu_ps(rows[l + 3] + e);
            _MM_TRANSPOSE4_PS(a, b, c, d);
            _mm_store_ps(o, a);
            _mm_store_ps(o + LANES, b);
            _mm_store_ps(o + 2 * LANES, c);
            _mm_store_ps(o + 3 * LANES, d);
#else
            for (int i = 0; i < 4; i++)
                for (int k = 0; k < 4; k++)
                    o[i * LANES + k] = rows[l + k][e + i];
#endif
        }
    }
}
