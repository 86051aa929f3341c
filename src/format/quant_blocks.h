/* Block layouts of the quantized types (ggml's, which GGUF files hold). d, m, dmin are f16 bits;
 * nothing here may assume an alignment beyond 1 when read from a file through `const void *`:
 * the structs are packed.
 *
 * Types of 32 elements: element j of the low nibbles (j < 16) and j + 16 of the high nibbles share
 * byte j. Types of 256 elements ("super-blocks") have sub-blocks of 16 or 32 whose integer scales
 * multiply the super-block's d. */
#pragma once
#include <stdint.h>

#define QUANT_PACKED __attribute__((packed))

enum { QK = 32, QK_K = 256 };

/* x = d * (q - 8) */
struct QUANT_PACKED block_q4_0 {
    uint16_t d;
    uint8_t qs[16];
};

/* x = d * q + m */
struct QUANT_PACKED block_q4_1 {
    uint16_t d, m;
    uint8_t qs[16];
};

/* x = d * (q - 16); the fifth bit of element j is bit j of qh (little-endian u32) */
struct QUANT_PACKED block_q5_0 {
    uint16_t d;
    uint8_t qh[4];
    uint8_t qs[16];
};

/* x = d * q + m */
struct QUANT_PACKED block_q5_1 {
    uint16_t d, m;
    uint8_t qh[4];
    uint8_t qs[16];
};

/* x = d * q */
struct QUANT_PACKED block_q8_0 {
    uint16_t d;
    int8_t qs[32];
};

/* 16 sub-blocks of 16: x = d * (scales[i] & 15) * q - dmin * (scales[i] >> 4), q of 2 bits.
 * Each half of 128 elements has 32 bytes of qs; bits 2k of byte l are element 32 k + l. */
struct QUANT_PACKED block_q2_k {
    uint8_t scales[16];
    uint8_t qs[64];
    uint16_t d, dmin;
};

/* 16 sub-blocks of 16: x = d * (scale - 32) * (q - 4), q of 3 bits: two as in Q2_K, the third of
 * element 32 k + l is bit k of hmask[l]. Scales of 6 bits: the low four of scale i are in nibble
 * i / 8 of scales[i % 8], the high two in bits 2 (i / 4) of scales[8 + i % 4]. */
struct QUANT_PACKED block_q3_k {
    uint8_t hmask[32];
    uint8_t qs[64];
    uint8_t scales[12];
    uint16_t d;
};

/* 8 sub-blocks of 32: x = d * sc * q - dmin * m, q of 4 bits: sub-blocks 2k and 2k + 1 are the low
 * and high nibbles of qs[32 k ..]. sc and m of 6 bits (quant_scale_min reads them):
 *   i < 4: sc = low 6 bits of scales[i], m = low 6 bits of scales[i + 4];
 *   i >= 4: scales[i + 4] has the low four bits of sc (low nibble) and m (high nibble); their high
 *           two are the top bits of scales[i - 4] and scales[i]. */
struct QUANT_PACKED block_q4_k {
    uint16_t d, dmin;
    uint8_t scales[12];
    uint8_t qs[128];
};

/* As Q4_K with a fifth bit: of element l of sub-block i it is bit i of qh[l]. */
struct QUANT_PACKED block_q5_k {
    uint16_t d, dmin;
    uint8_t scales[12];
    uint8_t qh[32];
    uint8_t qs[128];
};

/* 16 sub-blocks of 16: x = d * scales[i] * (q - 32), q of 6 bits. In each half of 128 elements,
 * element 32 k + l has its low four bits in ql[32 (k % 2) + l] (low nibble for k < 2) and its high
 * two in bits 2k of qh[l]; a half has 64 bytes of ql and 32 of qh. */
struct QUANT_PACKED block_q6_k {
    uint8_t ql[128];
    uint8_t qh[64];
    int8_t scales[16];
    uint16_t d;
};

/* x = d * iq4_values[q] */
struct QUANT_PACKED block_iq4_nl {
    uint16_t d;
    uint8_t qs[16];
};

/* 8 sub-blocks of 32, each like IQ4_NL: x = d * (scale - 32) * iq4_values[q]. Scales of 6 bits: the
 * low four of scale i are in nibble i % 2 of scales_l[i / 2], the high two in bits 2i of
 * scales_h. */
struct QUANT_PACKED block_iq4_xs {
    uint16_t d;
    uint16_t scales_h;
    uint8_t scales_l[4];
    uint8_t qs[128];
};

/* Every size is also in qtypes.def. */
_Static_assert(sizeof(struct block_q4_0) == 18, "q4_0");
_Static_assert(sizeof(struct block_q4_1) == 20, "q4_1");
_Static_assert(sizeof(struct block_q5_0) == 22, "q5_0");
_Static_assert(sizeof(struct block_q5_1) == 24, "q5_1");
_Static_assert(sizeof(struct block_q8_0) == 34, "q8_0");
_Static_assert(sizeof(struct block_q2_k) == 84, "q2_k");
_Static_assert(sizeof(struct block_q3_k) == 110, "q3_k");
_Static_assert(sizeof(struct block_q4_k) == 144, "q4_k");
_Static_assert(sizeof(struct block_q5_k) == 176, "q5_k");
_Static_assert(sizeof(struct block_q6_k) == 210, "q6_k");
_Static_assert(sizeof(struct block_iq4_nl) == 18, "iq4_nl");
_Static_assert(sizeof(struct block_iq4_xs) == 136, "iq4_xs");

/* The 16 levels of IQ4_NL and IQ4_XS, ascending. */
extern const int8_t iq4_values[16];

/* Scale and min of sub-block i of Q4_K and Q5_K. */
static inline void quant_scale_min(const uint8_t *scales, int i, int *sc, int *m)
{
    if (i < 4) {
        *sc = scales[i] & 63;
        *m = scales[i + 4] & 63;
    } else {
        *sc = (scales[i + 4] & 15) | (scales[i - 4] >> 6) << 4;
        *m = (scales[i + 4] >> 4) | (scales[i] >> 6) << 4;
    }
}

/* Scale of sub-block i of Q3_K, -32 to 31. */
static inline int quant_q3_k_scale(const uint8_t *scales, int i)
{
    return ((scales[i % 8] >> (4 * (i / 8)) & 15) | (scales[8 + i % 4] >> (2 * (i / 4)) & 3) << 4) -
           32;
}

/* Scale of sub-block i of IQ4_XS, -32 to 31. */
static inline int quant_iq4_xs_scale(const struct block_iq4_xs *b, int i)
{
    return ((b->scales_l[i / 2] >> (4 * (i % 2)) & 15) | (b->scales_h >> (2 * i) & 3) << 4) - 32;
}
