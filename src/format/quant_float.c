/* F32: plain copies. (F16 and BF16 are in quant_lanes_types.h.) Unlike the block types the float
 * types keep NaN and infinities. */
#include "format/quant_int.h"

void f32_dequantize(const void *src, float *dst, int64_t n)
{
    memcpy(dst, src, (size_t)n * sizeof *dst);
}

void f32_quantize(const float *src, void *dst, int64_t n, const float *weight)
{
    (void)weight;
    memcpy(dst, src, (size_t)n * sizeof *src);
}
