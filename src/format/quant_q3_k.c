/* Q3_K: 16 sub-blocks of 16, x = d * sc * q, sc of 6 bits and q of 3 bits, both signed. */
#include "format/quant_int.h"

void q3_k_dequantize(const void *src, float *dst, int64_t n)
{
    const struct block_q3_k *b = src;
    for (; n > 0; n -= QK_K, b++, dst += QK_K) {
        float d = f16_to_f32(b->d);
        for (int i = 0; i < 16; i++) {
            float dl = d * (float)quant_q3_k_scale(b->scales, i);
            const uint8_t *q = b->qs + 32 * (i / 8) + 16 * (i % 2), *h = b->hmask + 16 * (i % 2);
            int shift = 2 * (i % 8 / 2), bit = i / 2;
            for (int l = 0; l < 16; l++)
                dst[16 * i + l] = dl * (float)((q[l] >> shift & 3) - ((h[l] >> bit & 1) ? 0 : 4));
        }
    }
}
