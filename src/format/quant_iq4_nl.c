/* IQ4_NL: blocks of 32, x = d * one of 16 unevenly spaced levels. */
#include "format/quant_fit.h"

const int8_t iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                               1,    13,   25,  38,  53,  69,  89,  113};

void iq4_nl_dequantize(const void *src, float *dst, int64_t n)
{
    const struct block_iq4_nl *b = src;
    for (; n > 0; n -= QK, b++, dst += QK) {
        float d = f16_to_f32(b->d);
        for (int j = 0; j < 16; j++) {
            dst[j] = d * (float)iq4_values[b->qs[j] & 15];
            dst[j + 16] = d * (float)iq4_values[b->qs[j] >> 4];
        }
    }
}

int iq4_index(float level)
{
    int i = 0;
    while ((float)iq4_values[i] < level)
        i++;
    return i;
}

void iq4_nl_quantize(const float *src, void *dst, int64_t n, const float *weight)
{
    struct block_iq4_nl *b = dst;
    struct fit_block in;
    alignas(16) float q[QK];
    struct fit_grid grid;
    fit_grid_table(&grid, iq4_values, 16);
    for (int64_t at = 0; at < n; at += QK, b++) {
        float d = 0;
        if (fit_load(&in, src + at, weight ? weight + at : NULL, QK))
            d = fit_scale(&grid, in.x, in.w, QK, NULL);
        b->d = fit_to_f16(d);
        fit_round(&grid, in.x, QK, f16_to_f32(b->d), q);
        for (int j = 0; j < 16; j++)
            b->qs[j] = (uint8_t)(iq4_index(q[j]) | iq4_index(q[j + 16]) << 4);
    }
}
