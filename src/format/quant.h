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
    /* weight: importance of each of the n columns (mean square activation), or NULL for uniform. */
    void (*quantize)(const float *src, void *dst, int64_t n, const float *weight);
};

const struct qtype_info *qtype_info(enum qtype t);

/* QT_COUNT when unknown. */
enum qtype qtype_by_name(struct str name);
enum qtype qtype_by_gguf_id(uint32_t id);

/* Bytes of a row of n elements; false when n is no multiple of the block size or it overflows. */
bool qtype_row_bytes(enum qtype t, int64_t n, size_t *out);

/* Scalar conversions, round to nearest even. */
float f16_to_f32(uint16_t h);
uint16_t f32_to_f16(float f);
float bf16_to_f32(uint16_t h);
uint16_t f32_to_bf16(float f);
