/* The state word holds the job's number (high half) and the next chunk (low half). A worker claims
 * a chunk by compare-and-swap on the whole word, so a claim for a job that has ended fails. That
 * gives the invariants that make this safe without a barrier per loop:
 *
 *  1. The job's fields are written only while the word is CLOSED for that job number, and no claim
 *     succeeds on a CLOSED word.
 *  2. A claimed chunk keeps its job alive: pool_run returns only when `done` has reached the
 *     number of chunks. So fn and ctx, read after the claim, belong to the claimed job.
 *  3. A thread that never wakes during a job costs nothing: its share is taken by the others. */
#include "base/pool.h"
#include "base/clock.h"
#include "base/mem.h"
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SPIN_NS = 40000 };
static const uint32_t CLOSED = UINT32_MAX;

struct pool {
    _Alignas(64) _Atomic uint64_t state; /* job << 32 | next chunk */
    _Alignas(64) _Atomic uint32_t done;  /* chunks finished of the current job; futex */
    _Atomic uint32_t waiting;            /* the caller sleeps on done */
    _Alignas(64) _Atomic uint32_t wake;  /* job number as a futex */
    _Atomic uint32_t sleepers;
    _Atomic uint32_t n_chunks;
    _Atomic bool stop;
    pool_fn *fn;
    void *ctx;
    int64_t n_items, grain;
    uint32_t job;
    int n_threads; /* with the caller */
    struct worker {
        struct pool *pool;
        pthread_t thread;
        int index;
    } * workers;
};

static void cpu_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void futex_wait(_Atomic uint32_t *word, uint32_t seen)
{
    syscall(SYS_futex, (uint32_t *)word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word, int n)
{
    syscall(SYS_futex, (uint32_t *)word, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0);
}

/* Claims and runs chunks of the current job until none is left. */
static void work(struct pool *p, int worker)
{
    uint64_t s = atomic_load(&p->state);
    for (;;) {
        uint32_t chunk = (uint32_t)s, n = atomic_load(&p->n_chunks);
        if (chunk == CLOSED || chunk >= n)
            return;
        if (!atomic_compare_exchange_weak(&p->state, &s, s + 1))
            continue;
        int64_t begin = (int64_t)chunk * p->grain, end = begin + p->grain;
        p->fn(p->ctx, worker, begin, end < p->n_items ? end : p->n_items);
        if (atomic_fetch_add(&p->done, 1) + 1 == n && atomic_load(&p->waiting))
            futex_wake(&p->done, 1);
        s = atomic_load(&p->state);
    }
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct pool *p = w->pool;
    uint32_t seen = 0;
    while (!atomic_load(&p->stop)) {
        uint32_t job = atomic_load(&p->wake);
        if (job != seen) {
            seen = job;
            work(p, w->index);
            continue;
        }
        int64_t start = clock_ns();
        while (atomic_load(&p->wake) == seen && clock_ns() - start < SPIN_NS)
            for (int i = 0; i < 16; i++)
                cpu_relax();
        if (atomic_load(&p->wake) == seen && !atomic_load(&p->stop)) {
            atomic_fetch_add(&p->sleepers, 1);
            futex_wait(&p->wake, seen);
            atomic_fetch_sub(&p->sleepers, 1);
        }
    }
    return NULL;
}

static void wait_done(struct pool *p, uint32_t n)
{
    int64_t start = clock_ns();
    uint32_t d;
    while ((d = atomic_load(&p->done)) != n) {
        if (clock_ns() - start < SPIN_NS) {
            for (int i = 0; i < 16; i++)
                cpu_relax();
            continue;
        }
        atomic_store(&p->waiting, 1);
        if ((d = atomic_load(&p->done)) != n)
            futex_wait(&p->done, d);
        atomic_store(&p->waiting, 0);
    }
}

void pool_run(struct pool *p, pool_fn *fn, void *ctx, int64_t n_items, int64_t grain)
{
    if (n_items <= 0)
        return;
    if (grain < 1)
        grain = 1;
    int64_t n = (n_items + grain - 1) / grain;
    if (!p || p->n_threads == 1 || n == 1) {
        fn(ctx, 0, 0, n_items);
        return;
    }
    if (n > INT32_MAX) {
        grain = (n_items + INT32_MAX - 1) / INT32_MAX;
        n = (n_items + grain - 1) / grain;
    }
    uint64_t job = ++p->job;
    atomic_store(&p->state, job << 32 | CLOSED);
    p->fn = fn;
    p->ctx = ctx;
    p->n_items = n_items;
    p->grain = grain;
    atomic_store(&p->n_chunks, (uint32_t)n);
    atomic_store(&p->done, 0);
    atomic_store(&p->state, job << 32);
    atomic_store(&p->wake, (uint32_t)job);
    if (atomic_load(&p->sleepers))
        futex_wake(&p->wake, INT_MAX);
    work(p, 0);
    wait_done(p, (uint32_t)n);
}

int pool_usable_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return CPU_COUNT(&set);
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (int)n : 1;
}

int pool_size(const struct pool *p)
{
    return p ? p->n_threads : 1;
}

enum status pool_new(struct pool **out, int n_threads, struct err *err)
{
    *out = NULL;
    if (n_threads == 0)
        n_threads = pool_usable_cores();
    if (n_threads < 1 || n_threads > 1024)
        return err_set(err, EUSAGE, "threads: %d, expected 1 to 1024", n_threads);
    struct pool *p = mem_aligned(sizeof *p);
    if (!p)
        return err_set(err, ENOMEMORY, "threads: no memory for a pool");
    p->n_threads = 1;
    atomic_store(&p->state, CLOSED);
    p->workers = mem_array((size_t)n_threads, sizeof *p->workers);
    /* signals go to the threads that wait for them: a Ctrl-C taken by a worker would not break the
     * owner's read */
    sigset_t all, before;
    sigfillset(&all);
    sigdelset(&all, SIGBUS); /* a worker's own: file_map_guard */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = 0;
    for (int i = 1; p->workers && rc == 0 && i < n_threads; i++) {
        struct worker *w = &p->workers[i];
        *w = (struct worker){.pool = p, .index = i};
        rc = pthread_create(&w->thread, NULL, worker_main, w);
        p->n_threads += rc == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        err_set(err, EFAIL, "threads: cannot start thread %d of %d: %s", p->n_threads + 1,
                n_threads, strerror(rc));
        pool_free(p);
        return EFAIL;
    }
    if (!p->workers) {
        pool_free(p);
        return err_set(err, ENOMEMORY, "threads: no memory for a pool");
    }
    *out = p;
    return OK;
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    atomic_store(&p->stop, true);
    atomic_fetch_add(&p->wake, 1);
    futex_wake(&p->wake, INT_MAX);
    for (int i = 1; i < p->n_threads; i++)
        pthread_join(p->workers[i].thread, NULL);
    free(p->workers);
    mem_aligned_free(p, sizeof *p);
}
