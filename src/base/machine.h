/* What the machine lets this process have. Each function reads files below `root`: "" for the
 * machine itself, a folder that looks like it for tests. */
#pragma once
#include "base/err.h"
#include <stdbool.h>
#include <stdint.h>

/* Bytes of memory that can be taken without pushing out what is in use: MemAvailable of
 * /proc/meminfo or, when that is less, what a control group of the process (or one around it,
 * version 1 or 2) still allows. Cached files count as free: they can be dropped. 0: unknown. */
uint64_t machine_memory_available(const char *root);

/* The smallest limit on memory of the control groups around the process; 0: none. */
uint64_t machine_memory_limit(const char *root);

/* "16G", "500m", "1.5T": units are powers of 1024, plain numbers are bytes. False: something else,
 * nothing, or a size that does not fit. */
bool machine_size_from(const char *text, uint64_t *bytes);

/* Bytes that may be used: what the machine has to give, or $HEARTH_MEMORY ("6G") when that is
 * less. UINT64_MAX: unknown. EUSAGE for a variable that is no size. */
NODISCARD enum status memory_to_use(uint64_t *out, struct err *err);
