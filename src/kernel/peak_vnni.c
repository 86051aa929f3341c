/* AVX-512 VNNI: one instruction multiplies 64 bytes into 16 sums. */
#include "kernel/peak.h"
#if defined(__x86_64__)
#include <immintrin.h>
#define PEAK                  peak_vnni
#define PEAK_ISA              "avx512vnni"
#define CHAINS                14
#define KEEP(v)               __asm__ volatile("" : "+v"(v))
#define INT_VEC               __m512i
#define INT_SET(x)            _mm512_set1_epi8(x)
#define INT_STEP(sum, a, b)   (sum) = _mm512_dpbusd_epi32(sum, a, b)
#define INT_OPS               128
#define FLOAT_VEC             __m512
#define FLOAT_SET(x)          _mm512_set1_ps(x)
#define FLOAT_STEP(sum, a, b) (sum) = _mm512_fmadd_ps(a, b, sum)
#define FLOAT_OPS             32
#include "kernel/body_peak.h"
#endif
