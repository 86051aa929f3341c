/* Four floats at once, in GNU C vectors that gcc and clang turn into SSE2 or NEON without flags.
 * One order of operations whatever the machine, so quantized files are the same everywhere. */
#pragma once
#include <stdint.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

typedef float v4 __attribute__((vector_size(16), may_alias));
typedef int32_t i4 __attribute__((vector_size(16), may_alias));

static inline v4 v4_all(float f)
{
    return (v4){f, f, f, f};
}

/* Where the operands don't compare (NaN), both give b. */
static inline v4 v4_min(v4 a, v4 b)
{
#ifdef __SSE2__
    return (v4)_mm_min_ps((__m128)a, (__m128)b);
#else
    return (v4){a[0] < b[0] ? a[0] : b[0], a[1] < b[1] ? a[1] : b[1], a[2] < b[2] ? a[2] : b[2],
                a[3] < b[3] ? a[3] : b[3]};
#endif
}

static inline v4 v4_max(v4 a, v4 b)
{
#ifdef __SSE2__
    return (v4)_mm_max_ps((__m128)a, (__m128)b);
#else
    return (v4){a[0] > b[0] ? a[0] : b[0], a[1] > b[1] ? a[1] : b[1], a[2] > b[2] ? a[2] : b[2],
                a[3] > b[3] ? a[3] : b[3]};
#endif
}

/* To the nearest integer, ties to even, for |v| < 2^22. */
static inline v4 v4_round(v4 v)
{
    const v4 magic = {12582912.0f, 12582912.0f, 12582912.0f, 12582912.0f};
    return (v + magic) - magic;
}

static inline float v4_sum(v4 v)
{
    return (v[0] + v[2]) + (v[1] + v[3]);
}
