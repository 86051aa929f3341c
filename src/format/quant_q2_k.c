/* Q2_K: 16 sub-blocks of 16, x = d * sc * q - dmin * m, all of sc, m (4 bits) and q (2 bits) small.
 */
#include "format/quant_fit.h"

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

void q2_k_quantize(const float *src, void *dst, int64_t n, const float *weight)
{
    struct block_q2_k *b = dst;
    struct fit_block in;
    alignas(16) float q[QK_K];
    for (int64_t at = 0; at < n; at += QK_K, b++) {
        int sc[16], m[16];
        memset(b, 0, sizeof *b);
        if (!fit_load(&in, src + at, weight ? weight + at : NULL, QK_K))
            continue;
        struct fit_scales f = fit_super_affine(&in, 16, 16, 15, 3, sc, m, q);
        b->d = fit_to_f16(f.d);
        b->dmin = fit_to_f16(f.dmin);
        for (int i = 0; i < 16; i++)
            b->scales[i] = (uint8_t)(sc[i] | m[i] << 4);
        for (int j = 0; j < QK_K; j++)
            b->qs[32 * (j / 128) + j % 32] |= (uint8_t)((int)q[j] << (2 * (j % 128 / 32)));
    }
}
