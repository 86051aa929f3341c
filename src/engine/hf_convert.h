/* A Hugging Face folder as a GGUF file: tensors renamed, stacked and reordered by the
 * architecture's table of rules, hyperparameters and tokenizer as metadata. What is written is what
 * llama.cpp's converter writes, tensor for tensor. Not in the engine-only build. */
#pragma once
#include "engine/quantize.h"

/* EUNSUPPORTED, naming it, for what GGUF cannot say. */
NODISCARD enum status hf_convert(const char *folder, const char *out, const struct recipe *recipe,
                                 const struct quantize_options *opt, struct quantize_stats *stats,
                                 struct err *err);
