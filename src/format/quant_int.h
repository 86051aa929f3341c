/* The conversions behind qtype_info, one file format/quant_NAME.c per type. Private to format. */
#pragma once
#include "format/quant.h"
#include "format/quant_blocks.h"

#define DECLARE(name)                                                                              \
    void name##_dequantize(const void *src, float *dst, int64_t n);                                \
    void name##_quantize(const float *src, void *dst, int64_t n, const float *weight);
DECLARE(f32)
DECLARE(f16)
DECLARE(bf16)
DECLARE(q8_0)
DECLARE(q4_0)
DECLARE(q4_1)
DECLARE(q5_0)
DECLARE(q5_1)
DECLARE(q2_k)
DECLARE(q3_k)
DECLARE(q4_k)
DECLARE(q5_k)
DECLARE(q6_k)
DECLARE(iq4_nl)
DECLARE(iq4_xs)
#undef DECLARE

/* Packs 32 five-bit codes q[j] + offset: nibbles to qs, the fifth bits to qh. */
void quant_pack_q5(const float *q, int offset, uint8_t *qs, uint8_t *qh);

/* Packs 8 pairs of six-bit codes as quant_scale_min reads them. */
void quant_pack_scale_min(const int *sc, const int *m, uint8_t *scales);

/* Which of iq4_values `level` is. */
int iq4_index(float level);
