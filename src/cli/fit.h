/* Does the model fit in memory? One that does not still runs, from the disk, and says so. */
#pragma once
#include "cli/load.h"

/* Bytes that may be used: what the machine has to give, or $HEARTH_MEMORY ("6G") when that is
 * less. UINT64_MAX: unknown. EUSAGE for a variable that is no size. */
NODISCARD enum status memory_to_use(uint64_t *out, struct err *err);

/* Warns when the weights (mapped from `path`) and the KV cache are more than memory_to_use, with
 * both numbers and the speed to expect. */
NODISCARD enum status warn_unless_it_fits(const struct loaded *l, const char *path,
                                          struct err *err);
