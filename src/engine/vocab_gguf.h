/* The tokenizer of a GGUF file: its tokenizer.ggml.* keys as a vocabulary description. */
#pragma once
#include "base/arena.h"
#include "format/gguf.h"
#include "text/tokenizer.h"

/* Fills d from the metadata, with the defaults that converters count on where a key is absent
 * (per tokenizer.ggml.model: BOS, EOS and unknown ids, whether BOS is added, the space in front).
 * Strings stay in the file's mapping, arrays are in `a`: both must outlive the tokenizer. ENOTFOUND
 * when the file has no vocabulary. */
NODISCARD enum status vocab_from_gguf(const struct gguf *g, struct arena *a, struct vocab_desc *d,
                                      struct err *err);

/* Both steps at once; the caller initialises `a` and releases it after the tokenizer. */
NODISCARD enum status tokenizer_from_gguf(struct tokenizer **out, const struct gguf *g,
                                          struct arena *a, struct err *err);
