/* Q4_1: blocks of 32, x = d * q + m. */
#include "format/quant_fit.h"

void q4_1_dequantize(const void *src, float *dst, int64_t n)
{
    const struct block_q4_1 *b = src;
    for (; n > 0; n -= QK, b++, dst += QK) {
        float d = f16_to_f32(b->d), m = f16_to_f32(b->m);
        for (int j = 0; j < 16; j++) {
            dst[j] = (float)(b->qs[j] & 15) * d + m;
            dst[j + 16] = (float)(b->qs[j] >> 4) * d + m;
        }
    }
}

void q4_1_quantize(const float *src, void *dst, int64_t n, const float *weight)
{
    struct block_q4_1 *b = dst;
    struct fit_block in;
    alignas(16) float q[QK];
    for (int64_t at = 0; at < n; at += QK, b++) {
        struct fit_line line = {0, 0};
        if (fit_load(&in, src + at, weight ? weight + at : NULL, QK))
            line = fit_affine(in.x, in.w, QK, 15, false, NULL);
        b->d = fit_to_f16(line.s);
        b->m = fit_to_f16(line.b);
        line = (struct fit_line){f16_to_f32(b->d), f16_to_f32(b->m)};
        fit_round_affine(in.x, QK, line, 15, q);
        for (int j = 0; j < 16; j++)
            b->qs[j] = (uint8_t)((int)q[j] | (int)q[j + 16] << 4);
    }
}
