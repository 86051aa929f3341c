/* A pool of threads that splits one loop at a time.
 *
 * Work is handed out in chunks from a shared counter, so a core that a neighbour slows down takes
 * fewer chunks and nobody waits for a thread that has not started. Threads spin for some
 * microseconds between loops and then sleep in the kernel.
 *
 * One caller at a time (the owner thread); the caller works too, as worker 0. */
#pragma once
#include "base/err.h"
#include <stdint.h>

struct pool;

/* Processes items [begin, end). worker < pool_size: an index for per-thread scratch. */
typedef void pool_fn(void *ctx, int worker, int64_t begin, int64_t end);

/* n_threads counts the caller; 0 means one per usable core. Release with pool_free. */
NODISCARD enum status pool_new(struct pool **out, int n_threads, struct err *err);
void pool_free(struct pool *p);
int pool_size(const struct pool *p);

/* Runs fn over [0, n_items) in chunks of `grain` items (at least 1) and returns when all are
 * done. Everything written by fn is visible to the caller afterwards. A NULL pool runs it all in
 * the caller. */
void pool_run(struct pool *p, pool_fn *fn, void *ctx, int64_t n_items, int64_t grain);

/* Cores this process may use (its affinity mask, not the machine's count). */
int pool_usable_cores(void);
