/* Reading: one load per cache line is enough to make the whole line travel, so plain C reaches the
 * memory's speed without vector code, if it reads as the products do (streams.h): several streams,
 * each a piece at a time. Sums are kept so that the loads cannot be left out. */
#include "kernel/probe.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/stats.h"
#include "kernel/peak.h"
#include "kernel/streams.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { LINE = 64, CHUNK = 4 << 20, MAX_PASSES = 64, USUAL_PASSES = 7 };

struct probe {
    unsigned char *p;
    size_t bytes;
    _Atomic uint64_t sum;
};

static void read_lines(void *ctx, int worker, int64_t begin, int64_t end)
{
    (void)worker;
    enum { PIECE = 8 * LINE };
    struct probe *s = ctx;
    uint64_t sum[8] = {0};
    int64_t apart = (end - begin) / ROW_STREAMS; /* whole pieces: chunks are all of CHUNK bytes */
    for (int64_t i = begin; i < begin + apart; i += PIECE)
        for (int stream = 0; stream < ROW_STREAMS; stream++) {
            const unsigned char *p = s->p + i + stream * apart;
            for (int k = 0; k < 8; k++) {
                uint64_t w;
                __builtin_prefetch(
                    (const void *)((uintptr_t)p + (uintptr_t)(k * LINE) + ROW_AHEAD));
                memcpy(&w, p + k * LINE, sizeof w);
                sum[k] += w;
            }
        }
    for (int k = 1; k < 8; k++)
        sum[0] += sum[k];
    atomic_fetch_add(&s->sum, sum[0]);
}

enum status probe_open(struct probe **out, size_t bytes, struct err *err)
{
    *out = NULL;
    if (bytes == 0)
        bytes = (size_t)256 << 20;
    struct probe *p = mem_array(1, sizeof *p);
    if (p && size_add(bytes, CHUNK - 1, &p->bytes)) {
        p->bytes = p->bytes / CHUNK * CHUNK;
        p->p = mem_aligned(p->bytes);
    }
    if (!p || !p->p) {
        free(p);
        return err_set(err, ENOMEMORY, "bandwidth probe: no memory for %zu bytes", bytes);
    }
    memset(p->p, 1, p->bytes); /* real pages: untouched ones all map to one page of zeros */
    *out = p;
    return OK;
}

void probe_close(struct probe *p)
{
    if (p)
        mem_aligned_free(p->p, p->bytes);
    free(p);
}

size_t probe_bytes(const struct probe *p)
{
    return p->bytes;
}

static struct probe_bandwidth read_passes(struct probe *p, struct pool *pool, int passes)
{
    double rate[MAX_PASSES];
    passes = passes < 1 ? 1 : passes > MAX_PASSES ? MAX_PASSES : passes;
    for (int i = 0; i < passes; i++) {
        int64_t start = clock_ns();
        pool_run(pool, read_lines, p, (int64_t)p->bytes, CHUNK);
        rate[i] = (double)p->bytes / (double)(clock_ns() - start + 1);
    }
    double median = stats_median(rate, (size_t)passes);
    return (struct probe_bandwidth){median, rate[passes - 1], passes};
}

double probe_gb_s(struct probe *p, struct pool *pool, int passes)
{
    return read_passes(p, pool, passes).median_gb_s;
}

enum status probe_read(struct probe_bandwidth *out, struct pool *pool, size_t bytes, int passes,
                       struct err *err)
{
    struct probe *p;
    *out = (struct probe_bandwidth){0};
    enum status s = probe_open(&p, bytes, err);
    if (s != OK)
        return s;
    probe_gb_s(p, pool, 1); /* threads awake, translations known */
    *out = read_passes(p, pool, passes ? passes : USUAL_PASSES);
    probe_close(p);
    return OK;
}

/* ---- products ---- */

static const struct peak *const peaks[] = {
    &peak_scalar,
#if defined(__x86_64__)
    &peak_avx2,
    &peak_avx512,
    &peak_vnni,
#elif defined(__aarch64__)
    &peak_neon,
    &peak_dotprod,
    &peak_i8mm,
#endif
};

static const struct peak *peak_of(const char *isa)
{
    for (size_t i = 0; i < sizeof peaks / sizeof *peaks; i++)
        if (strcmp(peaks[i]->isa, isa) == 0)
            return peaks[i];
    return NULL;
}

/* Best of some runs, each long enough (RUN_NS) that starting the threads does not count. */
static double best_gop_s(pool_fn *fn, double ops, struct pool *pool)
{
    enum { RUN_NS = 4000000, RUNS = 4, MAX_ITEMS = 1 << 24 };
    int threads = pool_size(pool);
    int64_t n = threads;
    double best = 0;
    for (int i = 0; i < RUNS;) {
        int64_t start = clock_ns();
        pool_run(pool, fn, NULL, n, (n + 4 * threads - 1) / (4 * threads));
        int64_t ns = clock_ns() - start + 1;
        double rate = (double)n * ops / (double)ns;
        best = rate > best ? rate : best;
        if (ns < RUN_NS / 2 && n < MAX_ITEMS)
            n *= 2;
        else
            i++;
    }
    return best;
}

double probe_int8_gop_s(struct pool *pool, const char *isa)
{
    const struct peak *p = peak_of(isa);
    return p ? best_gop_s(p->int8, p->int8_ops, pool) : 0;
}

double probe_f32_gop_s(struct pool *pool, const char *isa)
{
    const struct peak *p = peak_of(isa);
    return p ? best_gop_s(p->f32, p->f32_ops, pool) : 0;
}
