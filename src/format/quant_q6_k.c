/* Q6_K: 16 sub-blocks of 16, x = d * sc * q, sc of 8 bits and q of 6, both signed. */
#include "format/quant_fit.h"

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

void q6_k_quantize(const float *src, void *dst, int64_t n, const float *weight)
{
    struct block_q6_k *b = dst;
    struct fit_block in;
    alignas(16) float q[QK_K];
    const struct fit_grid grid = {.lo = -32, .hi = 31};
    for (int64_t at = 0; at < n; at += QK_K, b++) {
        int code[16] = {0};
        float d = 0;
        memset(b, 0, sizeof *b);
        memset(q, 0, sizeof q);
        if (fit_load(&in, src + at, weight ? weight + at : NULL, QK_K))
            d = fit_super(&grid, &in, 16, 16, -128, 127, code, q);
        b->d = fit_to_f16(d);
        for (int i = 0; i < 16; i++)
            b->scales[i] = (int8_t)code[i];
        for (int j = 0; j < QK_K; j++) {
            int half = j / 128, k = j % 128 / 32, l = j % 32, v = (int)q[j] + 32;
            b->ql[64 * half + 32 * (k % 2) + l] |= (uint8_t)((v & 15) << (4 * (k / 2)));
            b->qh[32 * half + l] |= (uint8_t)((v >> 4) << (2 * k));
        }
    }
}
