/* safetensors: a JSON header and raw little-endian tensors; one file, or several through an index
 * (model.safetensors.index.json). Source: the safetensors README, "Format".
 *
 * Mapped read-only and checked in full when opened: header length, JSON, dtypes, shapes, offsets
 * (within the file, no overlap, no hole), duplicate names, index against files. File names in an
 * index never leave the index's folder. Views are valid until close. Not in the engine-only
 * build. */
#pragma once
#include "base/buf.h"
#include "format/tensor.h"

struct safetensors;

/* path: a .safetensors file, or a model.safetensors.index.json. */
NODISCARD enum status safetensors_open(struct safetensors **out, const char *path, struct err *err);
NODISCARD enum status safetensors_open_mem(struct safetensors **out, const void *data, size_t n,
                                           struct err *err);
void safetensors_close(struct safetensors *s);
bool safetensors_broken(const struct safetensors *s); /* file_map_broken of one of its files */

size_t safetensors_n_tensors(const struct safetensors *s);
const struct tensor *safetensors_tensor_at(const struct safetensors *s, size_t i);
const struct tensor *safetensors_tensor(const struct safetensors *s, struct str name);
/* The header's "__metadata__" entry; p = NULL when absent. */
struct str safetensors_metadata(const struct safetensors *s, const char *key);
/* The i-th entry of "__metadata__"; false past the last one. */
bool safetensors_metadata_at(const struct safetensors *s, size_t i, struct str *key,
                             struct str *value);
