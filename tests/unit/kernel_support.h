/* Buffers that end at a page nobody may touch, and random blocks of every weight type. */
#pragma once
#include "support.h"
#include "base/rng.h"
#include "kernel/unpack.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096 };

struct guarded {
    uint8_t *map, *p; /* p .. p + n, the byte after it faults */
    size_t len;
};

static inline struct guarded guarded_new(size_t n)
{
    struct guarded g;
    g.len = (n + PAGE - 1) / PAGE * PAGE + 2 * PAGE;
    g.map = mmap(NULL, g.len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(g.map != MAP_FAILED);
    assert_int_equal(mprotect(g.map, PAGE, PROT_NONE), 0);
    assert_int_equal(mprotect(g.map + g.len - PAGE, PAGE, PROT_NONE), 0);
    g.p = g.map + g.len - PAGE - n;
    return g;
}

static inline void guarded_free(struct guarded g)
{
    munmap(g.map, g.len);
}

/* a 64-byte aligned block before the guard page */
static inline struct guarded guarded_aligned(size_t n)
{
    return guarded_new((n + 63) / 64 * 64);
}

static inline float uniform(struct rng *r, float lo, float hi)
{
    return lo + (hi - lo) * (float)rng_uniform(r);
}

static inline void put_half(uint8_t *p, uint16_t h)
{
    p[0] = (uint8_t)h;
    p[1] = (uint8_t)(h >> 8);
}

/* where a type's f16 scales stand in its block; -1: none */
struct type_case {
    enum qtype type;
    const char *name;
    const struct qkind *kind; /* NULL: a float type */
    int elem_bytes;
    int d, m;
};

static const struct type_case type_cases[] = {
    {QT_F32, "f32", NULL, 4, -1, -1},
    {QT_F16, "f16", NULL, 2, -1, -1},
    {QT_BF16, "bf16", NULL, 2, -1, -1},
    {QT_Q4_0, "q4_0", &kind_q4_0, 0, 0, -1},
    {QT_Q4_1, "q4_1", &kind_q4_1, 0, 0, 2},
    {QT_Q5_0, "q5_0", &kind_q5_0, 0, 0, -1},
    {QT_Q5_1, "q5_1", &kind_q5_1, 0, 0, 2},
    {QT_Q8_0, "q8_0", &kind_q8_0, 0, 0, -1},
    {QT_Q2_K, "q2_k", &kind_q2_k, 0, 80, 82},
    {QT_Q3_K, "q3_k", &kind_q3_k, 0, 108, -1},
    {QT_Q4_K, "q4_k", &kind_q4_k, 0, 0, 2},
    {QT_Q5_K, "q5_k", &kind_q5_k, 0, 0, 2},
    {QT_Q6_K, "q6_k", &kind_q6_k, 0, 208, -1},
    {QT_IQ4_NL, "iq4_nl", &kind_iq4_nl, 0, 0, -1},
    {QT_IQ4_XS, "iq4_xs", &kind_iq4_xs, 0, 0, -1},
};
enum { N_TYPE_CASES = sizeof type_cases / sizeof type_cases[0] };

static inline size_t case_row_bytes(const struct type_case *c, int64_t cols)
{
    return c->kind ? (size_t)(cols / c->kind->block_cols) * c->kind->block_bytes
                   : (size_t)cols * (size_t)c->elem_bytes;
}

enum fill { FILL_RANDOM, FILL_ZERO, FILL_MAX, FILL_TINY, N_FILLS };

/* A whole number of rows; every bit pattern of the integers, scales of the chosen size. */
static inline void fill_weights(const struct type_case *c, enum fill fill, uint8_t *p, size_t bytes,
                                struct rng *r)
{
    /* f16: about 0.05, 65504, the smallest subnormal */
    for (size_t i = 0; i < bytes; i++)
        p[i] = fill == FILL_ZERO ? 0 : fill == FILL_MAX ? 0xff : (uint8_t)rng_next(r);
    if (!c->kind) {
        size_t n = bytes / (size_t)c->elem_bytes;
        for (size_t i = 0; i < n && fill != FILL_ZERO; i++) {
            float w = fill == FILL_TINY ? uniform(r, -1e-30f, 1e-30f) : uniform(r, -0.1f, 0.1f);
            uint32_t bits;
            memcpy(&bits, &w, 4);
            if (c->type == QT_F32)
                memcpy(p + 4 * i, &w, 4);
            else if (c->type == QT_BF16)
                put_half(p + 2 * i, (uint16_t)(bits >> 16));
            else /* f16 of magnitude 2^-14 .. 2^2, any mantissa */
                put_half(p + 2 * i, (uint16_t)(fill == FILL_TINY ? rng_next(r) & 0x83ff
                                                                 : rng_next(r) & 0xc3ff));
        }
        return;
    }
    for (size_t at = 0; at < bytes; at += c->kind->block_bytes) {
        uint16_t sign = (uint16_t)(rng_next(r) & 0x8000);
        uint16_t h = fill == FILL_MAX    ? 0x7bff
                     : fill == FILL_TINY ? (uint16_t)(sign | 1)
                                         : (uint16_t)(sign | (0x2800 + (rng_next(r) & 0x3ff)));
        if (fill == FILL_ZERO)
            h = 0;
        put_half(p + at + c->d, h);
        if (c->m >= 0)
            put_half(p + at + c->m, fill == FILL_MAX ? 0x7bff : (uint16_t)(h ^ 0x8011));
    }
}

static inline void fill_floats(enum fill fill, float *x, int64_t n, struct rng *r)
{
    for (int64_t i = 0; i < n; i++)
        switch (fill) {
        case FILL_ZERO: x[i] = 0; break;
        case FILL_MAX: x[i] = rng_next(r) & 1 ? 1e4f : -1e4f; break;
        case FILL_TINY: x[i] = uniform(r, -1e-40f, 1e-40f); break;
        default: x[i] = uniform(r, -2, 2) * (rng_next(r) % 17 == 0 ? 8.0f : 1.0f);
        }
}

/* Row of a quantized or float type as floats, by the definition of unpack.h. */
static inline void expand_row(const struct type_case *c, const uint8_t *row, int64_t cols, float *w)
{
    if (!c->kind) {
        for (int64_t i = 0; i < cols; i++) {
            if (c->type == QT_F32)
                memcpy(w + i, row + 4 * i, 4);
            else if (c->type == QT_F16)
                w[i] = get_half(row + 2 * i);
            else {
                uint32_t bits = (uint32_t)get_u16(row + 2 * i) << 16;
                memcpy(w + i, &bits, 4);
            }
        }
        return;
    }
    for (int64_t i = 0; i < cols; i += 32) {
        const uint8_t *p = row + i / c->kind->block_cols * c->kind->block_bytes;
        int b = (int)(i % c->kind->block_cols / 32);
        struct block32 o = {0};
        switch (c->type) {
#define CASE(id, name, ...)                                                                        \
    case id: unpack_##name(p, b, &o); break;
            QUANT_KINDS(CASE)
#undef CASE
        default: fail();
        }
        int offset = c->kind->offset_log2 ? 1 << c->kind->offset_log2 : 0;
        for (int k = 0; k < 32; k++) {
            int u = c->kind->is_signed ? (int8_t)o.u[k] : o.u[k] - offset;
            w[i + k] = o.ws[k / 16] * (float)u + (c->kind->has_min ? o.wm[k / 16] : 0);
        }
    }
}
