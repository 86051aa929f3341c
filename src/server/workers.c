#include "server/workers.h"
#include "base/clock.h"
#include "base/mem.h"
#include <pthread.h>
#include <stdlib.h>

/* Address space only: what a handler does not touch costs no memory. Room for the deepest JSON
 * (jansson's 2,048 levels) and the deepest chat template. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { STACK_BYTES = 8 << 20 };
#else
enum { STACK_BYTES = 1 << 20 };
#endif
enum { IDLE_SECONDS = 10 };

struct job {
    void (*fn)(void *ctx);
    void *ctx;
};

struct workers {
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    struct job *jobs; /* a ring of `max` that no thread has taken yet */
    int max, first, n_jobs, busy, idle, threads;
    bool stop;
};

static void cond_init_monotonic(pthread_cond_t *c)
{
    pthread_condattr_t a;
    pthread_condattr_init(&a);
    pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    pthread_cond_init(c, &a);
    pthread_condattr_destroy(&a);
}

static struct timespec at_ns(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
}

enum status workers_new(struct workers **out, int max, struct err *err)
{
    struct workers *w = mem_array(1, sizeof *w);
    struct job *jobs = mem_array((size_t)max, sizeof *jobs);
    *out = w;
    if (!w || !jobs) {
        free(w);
        free(jobs);
        *out = NULL;
        return err_set(err, ENOMEMORY, "server: no memory for %d threads", max);
    }
    w->jobs = jobs;
    w->max = max;
    pthread_mutex_init(&w->lock, NULL);
    cond_init_monotonic(&w->work);
    cond_init_monotonic(&w->done);
    return OK;
}

/* Waits for a job under the lock. False: the thread may leave. */
static bool next_job(struct workers *w, struct job *job)
{
    struct timespec end = at_ns(clock_ns() + (int64_t)IDLE_SECONDS * 1000000000);
    w->idle++;
    bool late = false;
    while (w->n_jobs == 0 && !w->stop && !late)
        late = pthread_cond_timedwait(&w->work, &w->lock, &end) == ETIMEDOUT;
    w->idle--;
    if (w->n_jobs == 0)
        return false;
    *job = w->jobs[w->first];
    w->first = (w->first + 1) % w->max;
    w->n_jobs--;
    return true;
}

static void *worker_main(void *ctx)
{
    struct workers *w = ctx;
    struct job job;
    pthread_mutex_lock(&w->lock);
    while (next_job(w, &job)) {
        pthread_mutex_unlock(&w->lock);
        job.fn(job.ctx);
        pthread_mutex_lock(&w->lock);
        w->busy--;
        pthread_cond_broadcast(&w->done);
    }
    w->threads--;
    pthread_cond_broadcast(&w->done);
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

static bool start_thread(struct workers *w)
{
    pthread_t t;
    pthread_attr_t a;
    pthread_attr_init(&a);
    pthread_attr_setstacksize(&a, STACK_BYTES);
    pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED);
    bool ok = pthread_create(&t, &a, worker_main, w) == 0;
    pthread_attr_destroy(&a);
    if (ok)
        w->threads++;
    return ok;
}

bool workers_submit(struct workers *w, void (*fn)(void *ctx), void *ctx)
{
    pthread_mutex_lock(&w->lock);
    bool ok = !w->stop && w->busy < w->max;
    if (ok && w->idle <= w->n_jobs)
        ok = start_thread(w);
    if (ok) {
        w->busy++;
        w->jobs[(w->first + w->n_jobs++) % w->max] = (struct job){fn, ctx};
        pthread_cond_signal(&w->work);
    }
    pthread_mutex_unlock(&w->lock);
    return ok;
}

int workers_busy(struct workers *w)
{
    pthread_mutex_lock(&w->lock);
    int n = w->busy;
    pthread_mutex_unlock(&w->lock);
    return n;
}

int workers_wait(struct workers *w, int64_t timeout_ns)
{
    struct timespec end = at_ns(clock_ns() + timeout_ns);
    pthread_mutex_lock(&w->lock);
    while (w->busy && pthread_cond_timedwait(&w->done, &w->lock, &end) != ETIMEDOUT)
        ;
    int n = w->busy;
    pthread_mutex_unlock(&w->lock);
    return n;
}

void workers_free(struct workers *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_broadcast(&w->work);
    while (w->threads)
        pthread_cond_wait(&w->done, &w->lock);
    pthread_mutex_unlock(&w->lock);
    pthread_cond_destroy(&w->work);
    pthread_cond_destroy(&w->done);
    pthread_mutex_destroy(&w->lock);
    free(w->jobs);
    free(w);
}
