/* Q2_K: 16 sub-blocks of 16, x = d * sc * q - dmin * m, all of sc, m (4 bits) and q (2 bits) small.
 */
#include "format/quant_int.h"

void q2_k_dequantize(const void *src, float *dst, int64_t n)
{
    const struct block_q2_k *b = src;
    for (; n > 0; n -= QK_K, b++, dst += QK_K) {
        float d = f16_to_f32(b->d), dmin = f16_to_f32(b->dmin);
        for (int i = 0; i < 16; i++) {
            float dl = d * (float)(b->scales[i] & 15), ml = dmin * (float)(b->scales[i] >> 4);
            const uint8_t *q = b->qs + 32 * (i / 8) + 16 * (i % 2);
            int shift = 2 * (i % 8 / 2);
            for (int l = 0; l < 16; l++)
                dst[16 * i + l] = dl * (float)(q[l] >> shift & 3) - ml;
        }
    }
}
