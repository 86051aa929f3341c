/* Q8_0: blocks of 32, x = d * q. */
#include "format/quant_int.h"

void q8_0_dequantize(const void *src, float *dst, int64_t n)
{
    const struct block_q8_0 *b = src;
    for (; n > 0; n -= QK, b++, dst += QK) {
        float d = f16_to_f32(b->d);
        for (int j = 0; j < QK; j++)
            dst[j] = d * (float)b->qs[j];
    }
}
