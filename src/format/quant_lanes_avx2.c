/* The quantizers for AVX2. */
#if defined(__x86_64__)
#define QUANTIZERS      quantizers_avx2
#define QUANTIZERS_NAME "avx2"
#include "format/quant_lanes_types.h"
#endif
