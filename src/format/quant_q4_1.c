/* Q4_1: blocks of 32, x = d * q + m. */
#include "format/quant_int.h"

void q4_1_dequantize(const void *src, float *dst, int64_t n)
{
    const struct block_q4_1 *b = src;
    for (; n > 0; n -= QK, b++, dst += QK) {
        float d = f16_to_f32(b->d), m = f16_to_f32(b->m);
        for (int j = 0; j < 16; j++) {
            dst[j] = (float)(b->qs[j] & 15) * d + m;
            dst[j + 16] = (float)(b->qs[j] >> 4) * d + m;
        }
    }
}
