/* IQ4_XS: 8 sub-blocks of 32, x = d * sc * one of IQ4_NL's levels, sc of 6 bits, signed. */
#include "format/quant_fit.h"

void iq4_xs_dequantize(const void *src, float *dst, int64_t n)
{
    const struct block_iq4_xs *b = src;
    for (; n > 0; n -= QK_K, b++, dst += QK_K) {
        float d = f16_to_f32(b->d);
        for (int i = 0; i < 8; i++) {
            float dl = d * (float)quant_iq4_xs_scale(b, i);
            const uint8_t *q = b->qs + 16 * i;
            for (int l = 0; l < 16; l++) {
                dst[32 * i + l] = dl * (float)iq4_values[q[l] & 15];
                dst[32 * i + 16 + l] = dl * (float)iq4_values[q[l] >> 4];
            }
        }
    }
}

void iq4_xs_quantize(const float *src, void *dst, int64_t n, const float *weight)
{
    struct block_iq4_xs *b = dst;
    struct fit_block in;
    alignas(16) float q[QK_K];
    struct fit_grid grid;
    fit_grid_table(&grid, iq4_values, 16);
    for (int64_t at = 0; at < n; at += QK_K, b++) {
        int code[16] = {0};
        float d = 0;
        memset(b, 0, sizeof *b);
        memset(q, 0, sizeof q);
        if (fit_load(&in, src + at, weight ? weight + at : NULL, QK_K))
            d = fit_super(&grid, &in, 8, 32, -32, 31, code, q);
        b->d = fit_to_f16(d);
        for (int i = 0; i < 8; i++) {
            int c = code[i] + 32;
            b->scales_l[i / 2] |= (uint8_t)((c & 15) << (4 * (i % 2)));
            b->scales_h = (uint16_t)(b->scales_h | (c >> 4) << (2 * i));
            for (int j = 0; j < 16; j++)
                b->qs[16 * i + j] =
                    (uint8_t)(iq4_index(q[32 * i + j]) | iq4_index(q[32 * i + 16 + j]) << 4);
        }
    }
}
