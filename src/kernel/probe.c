/* One load per cache line is enough to make the whole line travel, so plain C reaches the memory's
 * speed without vector code. Sums are kept so that the loads cannot be left out. */
#include "kernel/probe.h"
#include "base/clock.h"
#include "base/mem.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { LINE = 64, CHUNK = 4 << 20, MAX_PASSES = 64 };

struct sweep {
    const unsigned char *p;
    _Atomic uint64_t sum;
};

static void read_lines(void *ctx, int worker, int64_t begin, int64_t end)
{
    (void)worker;
    struct sweep *s = ctx;
    uint64_t sum[8] = {0};
    for (int64_t i = begin; i < end; i += 8 * LINE)
        for (int k = 0; k < 8; k++) {
            uint64_t w;
            memcpy(&w, s->p + i + k * LINE, sizeof w);
            sum[k] += w;
        }
    for (int k = 1; k < 8; k++)
        sum[0] += sum[k];
    atomic_fetch_add(&s->sum, sum[0]);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

enum status probe_read(struct probe_bandwidth *out, struct pool *pool, size_t bytes, int passes,
                       struct err *err)
{
    if (bytes == 0)
        bytes = (size_t)256 << 20;
    bytes = (bytes + CHUNK - 1) / CHUNK * CHUNK;
    if (passes < 1)
        passes = 7;
    if (passes > MAX_PASSES)
        passes = MAX_PASSES;
    unsigned char *p = mem_aligned(bytes);
    if (!p)
        return err_set(err, ENOMEMORY, "bandwidth probe: no memory for %zu bytes", bytes);
    memset(p, 1, bytes); /* real pages: untouched ones all map to one page of zeros */
    struct sweep s = {.p = p};
    double rate[MAX_PASSES];
    pool_run(pool, read_lines, &s, (int64_t)bytes, CHUNK);
    for (int i = 0; i < passes; i++) {
        int64_t start = clock_ns();
        pool_run(pool, read_lines, &s, (int64_t)bytes, CHUNK);
        rate[i] = (double)bytes / (double)(clock_ns() - start + 1);
    }
    mem_aligned_free(p, bytes);
    qsort(rate, (size_t)passes, sizeof *rate, by_value);
    *out = (struct probe_bandwidth){rate[passes / 2], rate[passes - 1], passes};
    return OK;
}
