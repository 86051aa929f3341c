/* Q4_0: blocks of 32, x = d * (q - 8). */
#include "format/quant_fit.h"

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

void q4_0_quantize(const float *src, void *dst, int64_t n, const float *weight)
{
    struct block_q4_0 *b = dst;
    struct fit_block in;
    alignas(16) float q[QK];
    const struct fit_grid grid = {.lo = -8, .hi = 7};
    for (int64_t at = 0; at < n; at += QK, b++) {
        float d = 0;
        if (fit_load(&in, src + at, weight ? weight + at : NULL, QK))
            d = fit_scale(&grid, in.x, in.w, QK, NULL);
        b->d = fit_to_f16(d);
        fit_round(&grid, in.x, QK, f16_to_f32(b->d), q);
        for (int j = 0; j < 16; j++)
            b->qs[j] = (uint8_t)(((int)q[j] + 8) | ((int)q[j + 16] + 8) << 4);
    }
}
