/* Q4_0: blocks of 32, x = d * (q - 8). */
#include "format/quant_int.h"

void q4_0_dequantize(const void *src, float *dst, int64_t n)
{
    const struct block_q4_0 *b = src;
    for (; n > 0; n -= QK, b++, dst += QK) {
        float d = f16_to_f32(b->d);
        for (int j = 0; j < 16; j++) {
            dst[j] = (float)((b->qs[j] & 15) - 8) * d;
            dst[j + 16] = (float)((b->qs[j] >> 4) - 8) * d;
        }
    }
}
