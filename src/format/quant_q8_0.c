/* Q8_0: blocks of 32, x = d * q. */
#include "format/quant_fit.h"
#include <math.h>

void q8_0_dequantize(const void *src, float *dst, int64_t n)
{
    const struct block_q8_0 *b = src;
    for (; n > 0; n -= QK, b++, dst += QK) {
        float d = f16_to_f32(b->d);
        for (int j = 0; j < QK; j++)
            dst[j] = d * (float)b->qs[j];
    }
}

/* 255 levels leave nothing to search for: the largest value fixes the scale. */
void q8_0_quantize(const float *src, void *dst, int64_t n, const float *weight)
{
    struct block_q8_0 *b = dst;
    struct fit_block in;
    alignas(16) float q[QK];
    const struct fit_grid grid = {.lo = -127, .hi = 127};
    for (int64_t at = 0; at < n; at += QK, b++) {
        float peak = 0;
        fit_load(&in, src + at, weight ? weight + at : NULL, QK);
        for (int j = 0; j < QK; j++)
            peak = fabsf(in.x[j]) > peak ? fabsf(in.x[j]) : peak;
        b->d = fit_to_f16(peak / 127);
        fit_round(&grid, in.x, QK, f16_to_f32(b->d), q);
        for (int j = 0; j < QK; j++)
            b->qs[j] = (int8_t)q[j];
    }
}
