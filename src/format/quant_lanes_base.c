/* The quantizers for the compiler's default instruction set (SSE2, NEON, or none). */
#define QUANTIZERS      quantizers_base
#define QUANTIZERS_NAME "base"
#include "format/quant_lanes_types.h"
