/* Notices clients that leave while nothing is read from or written to them: libmicrohttpd does not
 * look at a suspended connection. One thread, one epoll; a client that closes its writing half
 * counts as gone, as in Go's net/http. */
#pragma once
#include "base/err.h"

struct watch;

/* left(what) runs on the watcher's thread, with its lock held: it must not call watch_*. tick(ctx)
 * runs there about once a second, without it. */
NODISCARD enum status watch_new(struct watch **out, void (*left)(void *what),
                                void (*tick)(void *ctx), void *ctx, struct err *err);
void watch_add(struct watch *w, int fd, void *what);
void watch_remove(struct watch *w, int fd); /* when it returns, left() does not run for it */
void watch_free(struct watch *w);
