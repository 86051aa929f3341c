/* The conversions that are worth wide vectors, compiled once per width (quant_lanes_types.h): the
 * same bits from each, so the choice is a matter of speed. Private to format, and for tests. */
#pragma once
#include <stdint.h>

#define QUANTIZED_TYPES(X)                                                                         \
    X(f16)                                                                                         \
    X(bf16)                                                                                        \
    X(q8_0)                                                                                        \
    X(q4_0)                                                                                        \
    X(q4_1)                                                                                        \
    X(q5_0)                                                                                        \
    X(q5_1)                                                                                        \
    X(q2_k)                                                                                        \
    X(q3_k)                                                                                        \
    X(q4_k)                                                                                        \
    X(q5_k)                                                                                        \
    X(q6_k)                                                                                        \
    X(iq4_nl)                                                                                      \
    X(iq4_xs)

typedef void quantize_fn(const float *src, void *dst, int64_t n, const float *weight);
typedef void dequantize_fn(const void *src, float *dst, int64_t n);

struct quantizers {
    const char *name;
    dequantize_fn *f16_dequantize, *bf16_dequantize;
#define X(name) quantize_fn *name##_quantize;
    QUANTIZED_TYPES(X)
#undef X
};

/* The i-th table that this machine can run, narrowest first; NULL past the last. */
const struct quantizers *quantizers_at(int i);

/* The widest, or the widest that HEARTH_CPU_DISABLE leaves (kernel/kernel.h); chosen once. */
const struct quantizers *quantizers(void);
