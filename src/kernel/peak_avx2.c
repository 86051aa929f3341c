/* AVX2: bytes are multiplied into 16 bits, those are added in pairs, then into the sums. */
#include "kernel/peak.h"
#if defined(__x86_64__)
#include <immintrin.h>
#define PEAK       peak_avx2
#define PEAK_ISA   "avx2"
#define CHAINS     10
#define KEEP(v)    __asm__ volatile("" : "+x"(v))
#define INT_VEC    __m256i
#define INT_SET(x) _mm256_set1_epi8(x)
#define INT_STEP(sum, a, b)                                                                        \
    (sum) =                                                                                        \
        _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), _mm256_set1_epi16(1)))
#define INT_OPS               64
#define FLOAT_VEC             __m256
#define FLOAT_SET(x)          _mm256_set1_ps(x)
#define FLOAT_STEP(sum, a, b) (sum) = _mm256_fmadd_ps(a, b, sum)
#define FLOAT_OPS             16
#include "kernel/body_peak.h"
#endif
