/* Importance matrices: for every weight matrix, how strong the inputs of each of its columns were
 * over a text (sums of their squares), so that a quantizer can spare the columns that matter.
 *
 * The file is GGUF as llama.cpp's llama-imatrix writes it: general.type "imatrix",
 * imatrix.datasets, imatrix.chunk_count and imatrix.chunk_size; per tensor NAME.in_sum2
 * (experts or 1, columns) and NAME.counts (experts or 1, 1), float32: sums over the tokens that
 * passed, and how many these were. NAME is the tensor's name in GGUF, for models read from Hugging
 * Face folders too. 'hearth quantize --imatrix' reads it (engine/quantize.h). */
#pragma once
#include "engine/windows.h"

struct imatrix;

/* Watches e from now on; until imatrix_free, the model and the engine must live and no other
 * imatrix may watch. */
NODISCARD enum status imatrix_new(struct imatrix **out, struct engine *e, struct err *err);
void imatrix_free(struct imatrix *x);

/* Adds what an earlier file has; its datasets and chunks count too. EFORMAT for what is no
 * importance matrix, or has a tensor that the model has not or has in another shape. */
NODISCARD enum status imatrix_add_file(struct imatrix *x, const char *path, struct err *err);

/* Runs the windows through the engine, every row through every matrix. dataset: the text's name,
 * for the record. */
NODISCARD enum status imatrix_run(struct imatrix *x, const struct windows *w, const char *dataset,
                                  void (*progress)(void *ctx, double fraction), void *progress_ctx,
                                  struct err *err);

/* EFAIL naming the tensor when a sum is no number. */
NODISCARD enum status imatrix_write(const struct imatrix *x, const char *path, struct err *err);

struct imatrix_stats {
    size_t n_tensors;
    size_t n_experts, n_unseen; /* expert matrices, and those no token went to */
    int64_t n_chunks, chunk_size;
};
void imatrix_stats(const struct imatrix *x, struct imatrix_stats *out);
