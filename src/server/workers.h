/* Threads that run handlers: one job, one thread. There are as many as jobs run at once, up to a
 * bound; an idle one stays for some seconds and then leaves. Nothing waits in a queue here: a job
 * beyond the bound is refused, and the caller tells its client. */
#pragma once
#include "base/err.h"
#include <stdbool.h>
#include <stdint.h>

struct workers;

NODISCARD enum status workers_new(struct workers **out, int max, struct err *err);
/* Runs fn(ctx) on a thread. False: `max` jobs run already, or the system has no thread left. */
bool workers_submit(struct workers *w, void (*fn)(void *ctx), void *ctx);
int workers_busy(struct workers *w);
/* Waits until no job runs, at most so long; returns how many still do. */
int workers_wait(struct workers *w, int64_t timeout_ns);
void workers_free(struct workers *w); /* no job runs any more */
