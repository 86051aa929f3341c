/* Private to hf_*.c. */
#pragma once
#include "engine/hf_convert.h"
#include "engine/model_int.h"

/* The architecture that an architecture's models have in GGUF: itself, or where GGUF does not know
 * the name, the one that is the same there (Mistral is a Llama, DistilBERT a BERT). */
const struct arch *hf_gguf_arch(const struct arch *a);
/* Puts general.* and the architecture's keys. */
NODISCARD enum status hf_put_hparams(const struct model *m, struct gguf_writer *w, struct err *err);
/* Puts tokenizer.ggml.* and tokenizer.chat_template. */
NODISCARD enum status hf_put_vocab(const struct model *m, const char *folder, struct gguf_writer *w,
                                   struct err *err);
