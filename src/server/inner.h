/* A handler called without a connection: what a line of a batch asks for goes through the same code
 * as a request that came over HTTP. */
#pragma once
#include "server/route.h"

enum { INNER_ID = 40 };

/* Borrowed for the time of the call. Keys and limits are the caller's matter. */
struct inner_call {
    void *app;
    struct str method, path, body, key_name;
    int priority;
    const atomic_int *gone; /* may be NULL */
    const struct route *routes;
    size_t n_routes;
};
/* *http_status and the body (appended; JSON from all our handlers); errors of the handler are
 * answers, too. id: X-Request-Id's form. ENOTFOUND: no such route; ECANCEL when *gone; EFAIL when
 * the handler streamed. */
NODISCARD enum status inner_call(const struct inner_call *c, int *http_status, char id[INNER_ID],
                                 struct buf *body, struct err *err);
