/* Prompts that ask for what stands between two texts. */
#pragma once
#include "base/err.h"
#include "text/tokenizer.h"

/* Appends the infill prompt of the models that know one, prefix-suffix-middle (Bavarian et al.
 * 2022): <PRE> prefix <SUF> suffix <MID>. EUNSUPPORTED when the vocabulary has no such tokens. */
NODISCARD enum status infill_encode(const struct tokenizer *t, struct str prefix, struct str suffix,
                                    struct tokens *out, struct err *err);
