/* The rows of the architecture table, one array per family of files; archs.c joins them. */
#pragma once
#include "engine/arch.h"

extern const struct arch arch_decoders[];
extern const size_t n_arch_decoders;
extern const struct arch arch_encoders[];
extern const size_t n_arch_encoders;

/* The row's defaults, before a file's values. */
void hparams_init(struct hparams *hp, const struct arch *a);
/* Window and NoPE bits of each layer by the row's pattern; first_window: for WINDOW_LATER. */
void hparams_default_layers(struct hparams *hp, int64_t first_window);
/* Every count is within its bounds: the readers ask before they compute with one. */
NODISCARD enum status hparams_check_sizes(const struct hparams *hp, struct err *err);
