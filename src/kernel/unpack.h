/* Quantized blocks as small integers: what every type looks like to the integer product.
 *
 * A block is 32 columns: unsigned bytes u (signed for kinds with `is_signed`), value
 *     w[k] = ws[k / 16] * (u[k] - offset) + wm[k / 16].
 * Types with one scale for 32 columns have equal halves. The functions here are the readable
 * definition of each layout (ggml's block formats); instruction sets may unpack faster, to the
 * same integers and the same floats. Blocks are read byte by byte: any alignment. */
#pragma once
#include "kernel/kernel.h"
#include <string.h>

/* before loops of a few constant rounds whose arrays must become registers */
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif

struct qkind {
    uint16_t block_cols; /* of a stored block: 32 or 256 */
    uint16_t block_bytes;
    uint8_t halves; /* 2: a scale per 16 columns */
    uint8_t has_min;
    uint8_t is_signed;
    uint8_t offset_log2; /* offset is 1 << offset_log2; 0: none */
};

struct block32 {
    uint8_t u[32];
    float ws[2], wm[2];
};

static inline uint16_t get_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

/* IEEE half to float by exponent arithmetic; src/kernel calls nothing below it per block. */
static inline float half_to_float(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exp = (h >> 10) & 31, man = h & 0x3ff, bits;
    float f;
    if (exp == 0) { /* zero and subnormal: man * 2^-24, exact */
        f = (float)man * 0x1p-24f;
        memcpy(&bits, &f, 4);
        bits |= sign;
    } else if (exp == 31) {
        bits = sign | 0x7f800000 | man << 13;
        bits |= man ? 0x400000 : 0; /* quiet, as the instructions do */
    } else {
        bits = sign | (exp + 112) << 23 | man << 13;
    }
    memcpy(&f, &bits, 4);
    return f;
}

static inline float get_half(const uint8_t *p)
{
    return half_to_float(get_u16(p));
}

static const int8_t iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                      1,    13,   25,  38,  53,  69,  89,  113};

static inline void put_scales(struct block32 *o, float ws, float wm)
{
    o->ws[0] = o->ws[1] = ws;
    o->wm[0] = o->wm[1] = wm;
}

static inline void put_nibbles(uint8_t *u, const uint8_t *qs)
{
    for (int i = 0; i < 16; i++) {
        u[i] = qs[i] & 15;
        u[i + 16] = qs[i] >> 4;
    }
}

/* adds bit i of qh as bit 4 of u[i] */
static inline void put_fifth_bits(uint8_t *u, const uint8_t *qh)
{
    for (int i = 0; i < 32; i++)
        u[i] |= (uint8_t)(((qh[i / 8] >> (i % 8)) & 1) << 4);
}

/* Each unpack_NAME(p, b, o): block b of the stored block at p (b is 0 for 32-column types). */

static inline void unpack_q4_0(const uint8_t *p, int b, struct block32 *o)
{
    (void)b;
    put_nibbles(o->u, p + 2);
    put_scales(o, get_half(p), 0);
}

static inline void unpack_q4_1(const uint8_t *p, int b, struct block32 *o)
{
    (void)b;
    put_nibbles(o->u, p + 4);
    put_scales(o, get_half(p), get_half(p + 2));
}

static inline void unpack_q5_0(const uint8_t *p, int b, struct block32 *o)
{
    (void)b;
    put_nibbles(o->u, p + 6);
    put_fifth_bits(o->u, p + 2);
    put_scales(o, get_half(p), 0);
}

static inline void unpack_q5_1(const uint8_t *p, int b, struct block32 *o)
{
    (void)b;
    put_nibbles(o->u, p + 8);
    put_fifth_bits(o->u, p + 4);
    put_scales(o, get_half(p), get_half(p + 2));
}

static inline void unpack_q8_0(const uint8_t *p, int b, struct block32 *o)
{
    (void)b;
    memcpy(o->u, p + 2, 32);
    put_scales(o, get_half(p), 0);
}

/* scales[16] (low nibble: scale, high: minimum), qs[64], d, dmin */
static inline void unpack_q2_k(const uint8_t *p, int b, struct block32 *o)
{
    float d = get_half(p + 80), dmin = get_half(p + 82);
    for (int i = 0; i < 32; i++)
        o->u[i] = (p[16 + 32 * (b / 4) + i] >> (2 * (b % 4))) & 3;
    for (int h = 0; h < 2; h++) {
        o->ws[h] = d * (float)(p[2 * b + h] & 15);
        o->wm[h] = -(dmin * (float)(p[2 * b + h] >> 4));
    }
}

/* hmask[32], qs[64], scales[12] (16 of 6 bits), d */
static inline void unpack_q3_k(const uint8_t *p, int b, struct block32 *o)
{
    float d = get_half(p + 108);
    for (int i = 0; i < 32; i++)
        o->u[i] =
            (uint8_t)(((p[32 + 32 * (b / 4) + i] >> (2 * (b % 4))) & 3) | ((p[i] >> b) & 1) << 2);
    for (int h = 0; h < 2; h++) {
        int s = 2 * b + h;
        int low = s < 8 ? p[96 + s] & 15 : p[96 + s - 8] >> 4;
        int high = (p[104 + s % 4] >> (2 * (s / 4))) & 3;
        o->ws[h] = d * (float)((low | high << 4) - 32);
        o->wm[h] = 0;
    }
}

/* the 12 bytes of Q4_K and Q5_K: eight 6-bit scales and eight 6-bit minimums */
static inline void k4_scale(const uint8_t *s, int b, int *scale, int *min)
{
    if (b < 4) {
        *scale = s[b] & 63;
        *min = s[b + 4] & 63;
    } else {
        *scale = (s[b + 4] & 15) | (s[b - 4] >> 6) << 4;
        *min = (s[b + 4] >> 4) | (s[b] >> 6) << 4;
    }
}

static inline void put_k4_scales(struct block32 *o, const uint8_t *p, int b)
{
    int scale, min;
    k4_scale(p + 4, b, &scale, &min);
    put_scales(o, get_half(p) * (float)scale, -(get_half(p + 2) * (float)min));
}

/* d, dmin, scales[12], qs[128] */
static inline void unpack_q4_k(const uint8_t *p, int b, struct block32 *o)
{
    for (int i = 0; i < 32; i++)
        o->u[i] = (p[16 + 32 * (b / 2) + i] >> (4 * (b % 2))) & 15;
    put_k4_scales(o, p, b);
}

/* d, dmin, scales[12], qh[32], qs[128] */
static inline void unpack_q5_k(const uint8_t *p, int b, struct block32 *o)
{
    for (int i = 0; i < 32; i++)
        o->u[i] = (uint8_t)(((p[48 + 32 * (b / 2) + i] >> (4 * (b % 2))) & 15) |
                            ((p[16 + i] >> b) & 1) << 4);
    put_k4_scales(o, p, b);
}

/* ql[128], qh[64], scales[16] (int8), d */
static inline void unpack_q6_k(const uint8_t *p, int b, struct block32 *o)
{
    const uint8_t *ql = p + 64 * (b / 4) + 32 * (b % 2), *qh = p + 128 + 32 * (b / 4);
    float d = get_half(p + 208);
    for (int i = 0; i < 32; i++)
        o->u[i] =
            (uint8_t)(((ql[i] >> (b % 4 / 2 * 4)) & 15) | ((qh[i] >> (2 * (b % 4))) & 3) << 4);
    for (int h = 0; h < 2; h++) {
        o->ws[h] = d * (float)(int8_t)p[192 + 2 * b + h];
        o->wm[h] = 0;
    }
}

static inline void put_iq4(uint8_t *u, const uint8_t *qs)
{
    put_nibbles(u, qs);
    for (int i = 0; i < 32; i++)
        u[i] = (uint8_t)iq4_values[u[i]];
}

static inline void unpack_iq4_nl(const uint8_t *p, int b, struct block32 *o)
{
    (void)b;
    put_iq4(o->u, p + 2);
    put_scales(o, get_half(p), 0);
}

/* d, scales_h (u16: two high bits each), scales_l[4] (nibbles), qs[128] */
static inline void unpack_iq4_xs(const uint8_t *p, int b, struct block32 *o)
{
    int scale = ((p[4 + b / 2] >> (4 * (b % 2))) & 15) | ((get_u16(p + 2) >> (2 * b)) & 3) << 4;
    put_iq4(o->u, p + 8 + 16 * b);
    put_scales(o, get_half(p) * (float)(scale - 32), 0);
}

/* Q(type, name, columns, bytes, halves, min, signed, log2 of the offset): every type that has an
 * integer product. */
#define QUANT_KINDS(Q)                                                                             \
    Q(QT_Q4_0, q4_0, 32, 18, 1, 0, 0, 3)                                                           \
    Q(QT_Q4_1, q4_1, 32, 20, 1, 1, 0, 0)                                                           \
    Q(QT_Q5_0, q5_0, 32, 22, 1, 0, 0, 4)                                                           \
    Q(QT_Q5_1, q5_1, 32, 24, 1, 1, 0, 0)                                                           \
    Q(QT_Q8_0, q8_0, 32, 34, 1, 0, 1, 0)                                                           \
    Q(QT_Q2_K, q2_k, 256, 84, 2, 1, 0, 0)                                                          \
    Q(QT_Q3_K, q3_k, 256, 110, 2, 0, 0, 2)                                                         \
    Q(QT_Q4_K, q4_k, 256, 144, 1, 1, 0, 0)                                                         \
    Q(QT_Q5_K, q5_k, 256, 176, 1, 1, 0, 0)                                                         \
    Q(QT_Q6_K, q6_k, 256, 210, 2, 0, 0, 5)                                                         \
    Q(QT_IQ4_NL, iq4_nl, 32, 18, 1, 0, 1, 0)                                                       \
    Q(QT_IQ4_XS, iq4_xs, 256, 136, 1, 0, 1, 0)

#define KIND(id, name, ...) static const struct qkind kind_##name = {__VA_ARGS__};
QUANT_KINDS(KIND)
#undef KIND
