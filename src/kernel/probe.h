/* What the machine's memory can do: the roof that decode speed is measured against. */
#pragma once
#include "base/err.h"
#include "base/pool.h"

struct probe_bandwidth {
    double median_gb_s, best_gb_s; /* 1e9 bytes a second, all threads of the pool together */
    int passes;
};

/* Reads `bytes` (0: 256 MB, well past the caches; memory is allocated for the time of the call)
 * `passes` times (0: 7) with every thread of the pool (NULL: the caller alone), each thread in one
 * sequential stream per chunk, and takes the time of each pass. ENOMEMORY when there is no room. */
NODISCARD enum status probe_read(struct probe_bandwidth *out, struct pool *pool, size_t bytes,
                                 int passes, struct err *err);
