/* Q6_K: 16 sub-blocks of 16, x = d * sc * q, sc of 8 bits and q of 6, both signed. */
#include "format/quant_int.h"

void q6_k_dequantize(const void *src, float *dst, int64_t n)
{
    const struct block_q6_k *b = src;
    for (; n > 0; n -= QK_K, b++, dst += QK_K) {
        float d = f16_to_f32(b->d);
        for (int i = 0; i < 16; i++) {
            int half = i / 8, k = i % 8 / 2, at = 16 * (i % 2);
            const uint8_t *lo = b->ql + 64 * half + 32 * (k % 2) + at;
            const uint8_t *hi = b->qh + 32 * half + at;
            float dl = d * (float)b->scales[i];
            for (int l = 0; l < 16; l++) {
                int q = (lo[l] >> (4 * (k / 2)) & 15) | (hi[l] >> (2 * k) & 3) << 4;
                dst[16 * i + l] = dl * (float)(q - 32);
            }
        }
    }
}
