/* One tensor of a model file: a checked, borrowed view into the file's mapping. */
#pragma once
#include "format/quant.h"

enum { TENSOR_DIMS = 4 };

/* ne[0] is the innermost (contiguous) dimension, as in GGUF: a matrix of R rows and C columns has
 * ne = {C, R}. Unused dimensions are 1. (safetensors shapes are reversed on reading.) */
struct tensor {
    struct str name;
    enum qtype type;
    int n_dims;
    int64_t ne[TENSOR_DIMS];
    const void *data; /* any alignment a hostile file may give for safetensors; GGUF's for GGUF */
    size_t bytes;
};

/* Elements in all; cannot overflow for a tensor that a reader has returned. */
static inline int64_t tensor_elems(const struct tensor *t)
{
    return t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3];
}

/* The name of the i-th of an array of tensors, for name_index. */
struct str tensor_name_at(const void *tensors, size_t i);

/* bytes = ne[0] * ... * ne[3] elements of t->type, rows of whole blocks. EFORMAT naming the tensor
 * and the dimension when one is negative, the product overflows or a row is no multiple of the
 * block size. Sets t->bytes. */
NODISCARD enum status tensor_size(struct tensor *t, struct err *err);

/* No two of the n tensors share a byte (empty ones share nothing). `whole`: besides, together they
 * cover [begin, end) without a hole, begin and end being the data area. */
NODISCARD enum status tensors_disjoint(const struct tensor *t, size_t n, const unsigned char *begin,
                                       const unsigned char *end, bool whole, struct err *err);
