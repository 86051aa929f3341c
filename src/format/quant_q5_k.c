/* Q5_K: 8 sub-blocks of 32, x = d * sc * q - dmin * m, sc and m of 6 bits, q of 5. */
#include "format/quant_int.h"

void q5_k_dequantize(const void *src, float *dst, int64_t n)
{
    const struct block_q5_k *b = src;
    for (; n > 0; n -= QK_K, b++, dst += QK_K) {
        float d = f16_to_f32(b->d), dmin = f16_to_f32(b->dmin);
        for (int i = 0; i < 8; i++) {
            int sc, m, shift = 4 * (i % 2);
            quant_scale_min(b->scales, i, &sc, &m);
            float dl = d * (float)sc, ml = dmin * (float)m;
            const uint8_t *q = b->qs + 32 * (i / 2);
            for (int l = 0; l < 32; l++)
                dst[32 * i + l] =
                    dl * (float)((q[l] >> shift & 15) | (b->qh[l] >> i & 1) << 4) - ml;
        }
    }
}
