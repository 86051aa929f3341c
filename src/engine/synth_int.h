/* Private to synth*.c. */
#pragma once
#include "engine/synth.h"
#include "format/gguf.h"

/* Puts tokenizer.ggml.* of the shape's vocabulary. */
NODISCARD enum status synth_put_vocab(const struct synth_shape *s, struct gguf_writer *w,
                                      struct err *err);
