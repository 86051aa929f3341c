/* IQ4_NL: blocks of 32, x = d * one of 16 unevenly spaced levels. */
#include "format/quant_int.h"
#include <pthread.h>

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

static struct quant_iq4_cells cells;

static void fill_cells(void)
{
    for (int i = 0, at = 0; i < 512; i++) {
        float v = (float)i / 2 - 128; /* the cell is [v, v + 0.5); midpoints are multiples of 0.5 */
        while (at + 1 < 16 && v >= (float)(iq4_values[at] + iq4_values[at + 1]) / 2)
            at++;
        cells.level[i] = (float)iq4_values[at];
        cells.index[i] = (float)at;
    }
}

const struct quant_iq4_cells *quant_iq4_cells(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fill_cells);
    return &cells;
}
