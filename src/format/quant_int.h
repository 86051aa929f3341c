/* The conversions behind qtype_info, one file format/quant_NAME.c per type. Private to format. */
#pragma once
#include "format/quant.h"
#include "format/quant_blocks.h"

#define DECLARE(name)                                                                              \
    void name##_dequantize(const void *src, float *dst, int64_t n);                                \
    void name##_quantize(const float *src, void *dst, int64_t n, const float *weight);
DECLARE(f32)
DECLARE(f16)
DECLARE(bf16)
DECLARE(q8_0)
DECLARE(q4_0)
DECLARE(q4_1)
DECLARE(q5_0)
DECLARE(q5_1)
DECLARE(q2_k)
DECLARE(q3_k)
DECLARE(q4_k)
DECLARE(q5_k)
DECLARE(q6_k)
DECLARE(iq4_nl)
DECLARE(iq4_xs)
#undef DECLARE

/* The level of iq4_values nearest to v, and which one it is, by floor(2 (v + 128)), for v within
 * -127..113. */
struct quant_iq4_cells {
    float level[512], index[512];
};
const struct quant_iq4_cells *quant_iq4_cells(void);
