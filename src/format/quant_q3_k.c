/* Q3_K: 16 sub-blocks of 16, x = d * sc * q, sc of 6 bits and q of 3 bits, both signed. */
#include "format/quant_fit.h"

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

void q3_k_quantize(const float *src, void *dst, int64_t n, const float *weight)
{
    struct block_q3_k *b = dst;
    struct fit_block in;
    alignas(16) float q[QK_K];
    const struct fit_grid grid = {.lo = -4, .hi = 3};
    for (int64_t at = 0; at < n; at += QK_K, b++) {
        int code[16] = {0};
        float d = 0;
        memset(b, 0, sizeof *b);
        memset(q, 0, sizeof q);
        if (fit_load(&in, src + at, weight ? weight + at : NULL, QK_K))
            d = fit_super(&grid, &in, 16, 16, -32, 31, code, q);
        b->d = fit_to_f16(d);
        for (int i = 0; i < 16; i++) {
            int c = code[i] + 32;
            b->scales[i % 8] |= (uint8_t)((c & 15) << (4 * (i / 8)));
            b->scales[8 + i % 4] |= (uint8_t)((c >> 4) << (2 * (i / 4)));
        }
        for (int j = 0; j < QK_K; j++) {
            int v = (int)q[j] + 4;
            b->qs[32 * (j / 128) + j % 32] |= (uint8_t)((v & 3) << (2 * (j % 128 / 32)));
            b->hmask[j % 32] |= (uint8_t)((v >> 2) << (j / 32));
        }
    }
}
