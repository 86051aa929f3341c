/* IQ4_XS: 8 sub-blocks of 32, x = d * sc * one of IQ4_NL's levels, sc of 6 bits, signed. */
#include "format/quant_int.h"

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
