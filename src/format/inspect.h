/* What is in a model file: metadata and tensors of a GGUF or safetensors file, as JSON or as a
 * table for people. Nothing of the tensors' data is read. */
#pragma once
#include "base/buf.h"

enum { INSPECT_ITEMS = 16 }; /* longer arrays are elided unless all is asked for */

/* path: a GGUF file, a .safetensors file, its .index.json, or a folder that holds one of the
 * latter two. Appends to out:
 *   {"format", "version", "metadata": {...}, "n_tensors", "n_params", "n_bytes",
 *    "tensors": [{"name", "type", "shape", "bytes", "offset"}]}
 * Shapes are in the file's own order: innermost dimension first in GGUF, last in safetensors.
 * "offset" is from the start of the data area (GGUF). An elided array becomes
 *   {"elided": true, "type": "string", "count": 128256, "first": [...]}. */
NODISCARD enum status inspect_write(const char *path, bool json, struct buf *out, struct err *err);

/* With arrays of up to max_items written out (SIZE_MAX: all). */
NODISCARD enum status inspect_write_items(const char *path, bool json, size_t max_items,
                                          struct buf *out, struct err *err);

struct gguf_kv;
struct jsonw;
/* A metadata value as JSON, arrays in full. */
void inspect_write_value(struct jsonw *w, const struct gguf_kv *kv);
