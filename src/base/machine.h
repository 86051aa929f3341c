/* What the machine lets this process have. Each function reads files below `root`: "" for the
 * machine itself, a folder that looks like it for tests. */
#pragma once
#include <stdint.h>

/* Bytes of memory that can be taken without pushing out what is in use: MemAvailable of
 * /proc/meminfo or, when that is less, what a control group of the process (or one around it,
 * version 1 or 2) still allows. Cached files count as free: they can be dropped. 0: unknown. */
uint64_t machine_memory_available(const char *root);

/* The smallest limit on memory of the control groups around the process; 0: none. */
uint64_t machine_memory_limit(const char *root);
