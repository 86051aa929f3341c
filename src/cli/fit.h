/* Does the model fit in memory? One that does not still runs, from the disk, and says so. */
#pragma once
#include "cli/load.h"

/* Warns when the weights (mapped from `path`) and the KV cache are more than memory_to_use, with
 * both numbers and the speed to expect. */
NODISCARD enum status warn_unless_it_fits(const struct loaded *l, const char *path,
                                          struct err *err);
