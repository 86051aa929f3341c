/* AVX-512 without VNNI: as AVX2, twice as wide. */
#include "kernel/peak.h"
#if defined(__x86_64__)
#include <immintrin.h>
#define PEAK       peak_avx512
#define PEAK_ISA   "avx512"
#define CHAINS     12
#define KEEP(v)    __asm__ volatile("" : "+v"(v))
#define INT_VEC    __m512i
#define INT_SET(x) _mm512_set1_epi8(x)
#define INT_STEP(sum, a, b)                                                                        \
    (sum) =                                                                                        \
        _mm512_add_epi32(sum, _mm512_madd_epi16(_mm512_maddubs_epi16(a, b), _mm512_set1_epi16(1)))
#define INT_OPS               128
#define FLOAT_VEC             __m512
#define FLOAT_SET(x)          _mm512_set1_ps(x)
#define FLOAT_STEP(sum, a, b) (sum) = _mm512_fmadd_ps(a, b, sum)
#define FLOAT_OPS             32
#include "kernel/body_peak.h"
#endif
