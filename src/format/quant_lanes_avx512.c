/* The quantizers for AVX-512. */
#if defined(__x86_64__)
#define QUANTIZERS      quantizers_avx512
#define QUANTIZERS_NAME "avx512"
#include "format/quant_lanes_types.h"
#endif
