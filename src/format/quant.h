/* Element types of tensors: sizes, names and the reference conversions to and from float32.
 *
 * The conversions here are the readable reference (and what exact mode and the loaders use); the
 * fast paths in src/kernel are tested against them. All floats are IEEE; block scales are f16. */
#pragma once
#include "base/err.h"
#include "base/str.h"
#include <stdint.h>

enum qtype {
#define X(id, gguf, name, elems, bytes) id,
#include "format/qtypes.def"
#undef X
    QT_COUNT
};

struct qtype_info {
    const char *name;
    uint32_t gguf_id;
    uint32_t block_elems, block_bytes;
    /* n is a multiple of block_elems; src and dst don't overlap. NULL: not convertible (integers).
     * `dequantize` reads any alignment. */
    void (*dequantize)(const void *src, float *dst, int64_t n);
    /* Minimises sum(weight * (src - dst)^2) within each block. weight: importance of each of the n
     * columns (mean square activation), or NULL for uniform. With weights, Q2_K and Q3_K scale
     * each super-block so that sum(weight * dst^2) is that of src. Deterministic. For block types
     * NaN counts as 0, values beyond +-65504 (f16's largest) as +-65504, and a weight that is
     * negative or not finite as 0; a block whose weights are all 0 is quantized as if they were 1.
     */
    void (*quantize)(const float *src, void *dst, int64_t n, const float *weight);
};

const struct qtype_info *qtype_info(enum qtype t);

/* QT_COUNT when unknown. */
enum qtype qtype_by_name(struct str name);
enum qtype qtype_by_gguf_id(uint32_t id);

/* Rows of n elements (contiguous) that are best converted in one call, with weights repeated as
 * often: up to 16 super-blocks are worked on side by side, and a row may have fewer. */
static inline int64_t qtype_rows_at_once(int64_t n)
{
    return n > 0 && n < 16384 ? 16384 / n : 1;
}

/* Bytes of a row of n elements; false when n is no multiple of the block size or it overflows. */
bool qtype_row_bytes(enum qtype t, int64_t n, size_t *out);

/* Scalar conversions, round to nearest even; NaN stays NaN (quiet), f16 overflows to infinity.
 * Inline and without branches on data, so that loops over them vectorise. */
static inline float f32_from_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static inline uint32_t f32_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static inline float f16_to_f32(uint16_t h)
{
    uint32_t em = h & 0x7fffu;
    /* below 2^-14 the bits count units of 2^-24; above, the exponent's bias moves from 15 to 127;
     * infinities and NaN move to the top exponent */
    uint32_t small = f32_bits((float)(int32_t)em * 0x1p-24f);
    uint32_t large = (em << 13) + (112u << 23) + (em >= 0x7c00 ? 112u << 23 : 0);
    return f32_from_bits((em < 0x400 ? small : large) | (uint32_t)(h & 0x8000u) << 16);
}

static inline uint16_t f32_to_f16(float f)
{
    uint32_t u = f32_bits(f), x = u & 0x7fffffffu;
    /* adding 0.5 rounds the units of 2^-24 of a subnormal into the low bits */
    uint32_t small = f32_bits(f32_from_bits(x < 0x38800000u ? x : 0) + 0.5f) - 0x3f000000u;
    uint32_t large = (x - (112u << 23) + 0xfffu + (x >> 13 & 1)) >> 13;
    uint32_t huge = x > 0x7f800000u ? 0x7e00u | (x >> 13 & 0x3ffu) : 0x7c00u;
    uint32_t em = x < 0x38800000u ? small : x < 0x47800000u ? large : huge;
    return (uint16_t)(em | (u >> 16 & 0x8000u));
}

static inline float bf16_to_f32(uint16_t h)
{
    return f32_from_bits((uint32_t)h << 16);
}

static inline uint16_t f32_to_bf16(float f)
{
    uint32_t u = f32_bits(f);
    uint32_t rounded = (u + 0x7fffu + (u >> 16 & 1)) >> 16;
    return (uint16_t)((u & 0x7fffffffu) > 0x7f800000u ? u >> 16 | 0x40u : rounded);
}
