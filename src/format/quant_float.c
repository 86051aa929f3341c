/* F32, F16 and BF16: plain casts. Unlike the block types they keep NaN and infinities. */
#include "format/quant_int.h"

void f32_dequantize(const void *src, float *dst, int64_t n)
{
    memcpy(dst, src, (size_t)n * sizeof *dst);
}

void f32_quantize(const float *src, void *dst, int64_t n, const float *weight)
{
    (void)weight;
    memcpy(dst, src, (size_t)n * sizeof *src);
}

/* Sources may lie at any address, so halves are loaded as bytes. */
static inline uint16_t load16(const unsigned char *p, int64_t i)
{
    uint16_t h;
    memcpy(&h, p + 2 * i, sizeof h);
    return h;
}

static inline void store16(unsigned char *p, int64_t i, uint16_t h)
{
    memcpy(p + 2 * i, &h, sizeof h);
}

void f16_dequantize(const void *src, float *dst, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        dst[i] = f16_to_f32(load16(src, i));
}

void f16_quantize(const float *src, void *dst, int64_t n, const float *weight)
{
    (void)weight;
    for (int64_t i = 0; i < n; i++)
        store16(dst, i, f32_to_f16(src[i]));
}

void bf16_dequantize(const void *src, float *dst, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        dst[i] = bf16_to_f32(load16(src, i));
}

void bf16_quantize(const float *src, void *dst, int64_t n, const float *weight)
{
    (void)weight;
    for (int64_t i = 0; i < n; i++)
        store16(dst, i, f32_to_bf16(src[i]));
}
