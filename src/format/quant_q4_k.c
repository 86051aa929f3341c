/* Q4_K: 8 sub-blocks of 32, x = d * sc * q - dmin * m, sc and m of 6 bits, q of 4. */
#include "format/quant_fit.h"

void q4_k_dequantize(const void *src, float *dst, int64_t n)
{
    const struct block_q4_k *b = src;
    for (; n > 0; n -= QK_K, b++, dst += QK_K) {
        float d = f16_to_f32(b->d), dmin = f16_to_f32(b->dmin);
        for (int i = 0; i < 8; i++) {
            int sc, m, shift = 4 * (i % 2);
            quant_scale_min(b->scales, i, &sc, &m);
            float dl = d * (float)sc, ml = dmin * (float)m;
            const uint8_t *q = b->qs + 32 * (i / 2);
            for (int l = 0; l < 32; l++)
                dst[32 * i + l] = dl * (float)(q[l] >> shift & 15) - ml;
        }
    }
}

void q4_k_quantize(const float *src, void *dst, int64_t n, const float *weight)
{
    struct block_q4_k *b = dst;
    struct fit_block in;
    alignas(16) float q[QK_K];
    for (int64_t at = 0; at < n; at += QK_K, b++) {
        int sc[16], m[16];
        memset(b, 0, sizeof *b);
        if (!fit_load(&in, src + at, weight ? weight + at : NULL, QK_K))
            continue;
        struct fit_scales f = fit_super_affine(&in, 8, 32, 63, 15, sc, m, q);
        b->d = fit_to_f16(f.d);
        b->dmin = fit_to_f16(f.dmin);
        quant_pack_scale_min(sc, m, b->scales);
        for (int j = 0; j < QK_K; j++) {
            b->qs[32 * (j / 64) + j % 32] |= (uint8_t)(((int)q[j] & 15) << (4 * (j % 64 / 32)));
        }
    }
}
