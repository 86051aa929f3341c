/* What the machine can do: the roofs that speeds are measured against. Sequential reading of memory
 * bounds decode; products of the instruction set in use bound prefill. */
#pragma once
#include "base/err.h"
#include "base/pool.h"

/* A block of memory to read, kept so that a measurement can be taken beside each of many others
 * (the memory of a shared host is not steady) without allocating it anew. */
struct probe;

/* bytes: 0 means 256 MB, well past the caches; all of it is touched. ENOMEMORY without room. */
NODISCARD enum status probe_open(struct probe **out, size_t bytes, struct err *err);
void probe_close(struct probe *p);
size_t probe_bytes(const struct probe *p); /* resident as long as the probe is open */

/* Median of `passes` (1 to 64) readings of the whole block by every thread of the pool (NULL: the
 * caller alone), each thread in one sequential stream per chunk; 1e9 bytes a second in all. */
double probe_gb_s(struct probe *p, struct pool *pool, int passes);

struct probe_bandwidth {
    double median_gb_s, best_gb_s; /* 1e9 bytes a second, all threads of the pool together */
    int passes;
};

/* One measurement with a block of its own: `bytes` as above, passes 0 means 7. */
NODISCARD enum status probe_read(struct probe_bandwidth *out, struct pool *pool, size_t bytes,
                                 int passes, struct err *err);

/* Products and sums of all threads together from registers, 1e9 operations a second (a multiply and
 * an add count as two), best of a few runs of some milliseconds: what no kernel of instruction set
 * `isa` (kernel_ops()->isa) can pass. The int8 peak takes the instructions that multiply bytes into
 * 32-bit sums; the float one multiplies and adds float32. 0: a set that the probe does not know. */
double probe_int8_gop_s(struct pool *pool, const char *isa);
double probe_f32_gop_s(struct pool *pool, const char *isa);
