/* Q5_1: blocks of 32, x = d * q + m. */
#include "format/quant_int.h"

void q5_1_dequantize(const void *src, float *dst, int64_t n)
{
    const struct block_q5_1 *b = src;
    for (; n > 0; n -= QK, b++, dst += QK) {
        float d = f16_to_f32(b->d), m = f16_to_f32(b->m);
        uint32_t high;
        memcpy(&high, b->qh, sizeof high);
        for (int j = 0; j < 16; j++) {
            int lo = (b->qs[j] & 15) | (int)(high >> j & 1) << 4;
            int hi = (b->qs[j] >> 4) | (int)(high >> (j + 16) & 1) << 4;
            dst[j] = (float)lo * d + m;
            dst[j + 16] = (float)hi * d + m;
        }
    }
}
