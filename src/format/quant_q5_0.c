/* Q5_0: blocks of 32, x = d * (q - 16). */
#include "format/quant_fit.h"

void q5_0_dequantize(const void *src, float *dst, int64_t n)
{
    const struct block_q5_0 *b = src;
    for (; n > 0; n -= QK, b++, dst += QK) {
        float d = f16_to_f32(b->d);
        uint32_t high;
        memcpy(&high, b->qh, sizeof high);
        for (int j = 0; j < 16; j++) {
            int lo = (b->qs[j] & 15) | (int)(high >> j & 1) << 4;
            int hi = (b->qs[j] >> 4) | (int)(high >> (j + 16) & 1) << 4;
            dst[j] = (float)(lo - 16) * d;
            dst[j + 16] = (float)(hi - 16) * d;
        }
    }
}

void q5_0_quantize(const float *src, void *dst, int64_t n, const float *weight)
{
    struct block_q5_0 *b = dst;
    struct fit_block in;
    alignas(16) float q[QK];
    const struct fit_grid grid = {.lo = -16, .hi = 15};
    for (int64_t at = 0; at < n; at += QK, b++) {
        float d = 0;
        if (fit_load(&in, src + at, weight ? weight + at : NULL, QK))
            d = fit_scale(&grid, in.x, in.w, QK, NULL);
        b->d = fit_to_f16(d);
        fit_round(&grid, in.x, QK, f16_to_f32(b->d), q);
        quant_pack_q5(q, 16, b->qs, b->qh);
    }
}
