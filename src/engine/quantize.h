/* Quantizing a model's file: GGUF in, GGUF out, tensor by tensor in chunks of rows, so that a model
 * of any size passes through a few tens of megabytes. The output appears under its name only when
 * it is complete. */
#pragma once
#include "base/pool.h"
#include "engine/recipe.h"
#include "format/gguf.h"

struct quantize_options {
    struct pool *pool;                                                /* may be NULL */
    void (*progress)(void *ctx, double fraction, const char *tensor); /* may be NULL */
    void *progress_ctx;
    /* Path of an importance matrix as llama.cpp's llama-imatrix writes it (GGUF: NAME.in_sum2 and
     * NAME.counts); NULL: all columns weigh the same. Tensors it lacks are quantized without. */
    const char *imatrix;
};

/* What a run did; for the caller to print. */
struct quantize_stats {
    size_t n_tensors, n_converted;
    uint64_t bytes_in, bytes_out;
    double seconds;
};

/* in: a GGUF file (the first of a split one) or a Hugging Face folder (hf_convert). Tensors of
 * block types are requantized through float32. opt and stats may be NULL. */
NODISCARD enum status quantize_file(const char *in, const char *out, const struct recipe *recipe,
                                    const struct quantize_options *opt,
                                    struct quantize_stats *stats, struct err *err);

/* ---- the same on any source of tensors (conversion of Hugging Face folders) ---- */

/* One tensor to be written: its name and shape in GGUF's terms, and where its rows come from.
 * Rows are ne[0] elements; there are ne[1] * ne[2] * ne[3] of them. */
struct quantize_tensor {
    struct tensor t; /* t.type: the source's type, kept for tensors that the recipe leaves alone;
                        t.data: the source's bytes when it is stored in just that form */
    /* Writes rows [row, row + n) as float32; NULL: dequantize t.data. Called by several threads. */
    void (*rows)(const void *ctx, int64_t row, int64_t n, float *dst);
    const void *ctx;
    enum qtype out; /* filled by quantize_plan */
};

/* Chooses the types and declares the tensors to the writer. */
void quantize_plan(struct quantize_tensor *tensors, size_t n, const struct recipe *recipe,
                   const struct recipe_model *model, struct gguf_writer *w);

/* Converts and streams the data of all tensors, after gguf_write_header. */
NODISCARD enum status quantize_stream(const struct quantize_tensor *tensors, size_t n,
                                      const struct quantize_options *opt, struct gguf_writer *w,
                                      struct quantize_stats *stats, struct err *err);
