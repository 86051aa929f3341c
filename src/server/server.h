/* The HTTP server: libmicrohttpd's epoll threads in front, one thread for each request that is
 * being answered behind (workers.h), and a bounded buffer between the two, so that a client that
 * reads slowly stops its own handler and nothing else.
 *
 * Requests are checked before a handler sees them: framing (request smuggling), Host (DNS
 * rebinding), Origin (CORS), key and scope (auth.h), sizes. Everything has a ceiling. */
#pragma once
#include "server/access.h"
#include "server/auth.h"
#include "server/listen.h"
#include "server/metrics.h"
#include "server/otlp.h"
#include "server/route.h"

struct server_options {
    struct listener listener;   /* listen_open's; the server closes it */
    const struct route *routes; /* borrowed */
    size_t n_routes;
    void *app;         /* handlers find it in http_request.app */
    struct auth *auth; /* borrowed; NULL: everything is allowed */
    const char *const
        *origins; /* borrowed; besides the local ones: "https://host", "*", with '*' */
    size_t n_origins;
    const char *tls_cert, *tls_key; /* PEM texts (borrowed), or NULL */
    enum access_form log;
    struct otlp *otlp;   /* borrowed; NULL: no spans */
    size_t max_body;     /* bytes of a body that is read whole; 0: 64 MB */
    int max_in_flight;   /* requests being answered; more get 503; 0: 2,048 */
    int max_connections; /* 0: 16,384, or what the limit on descriptors allows */
    int idle_seconds;    /* without a byte in either direction; 0: 120 */
    int ping_seconds;    /* a comment to streams of events that are silent for so long; 0: 15 */
    int io_threads;      /* 0: two */
    /* Appends Prometheus text of the program's own. May be NULL. */
    void (*metrics)(void *app, struct buf *out);
    /* Is the program ready to answer? NULL: yes. */
    bool (*ready)(void *app);
};

NODISCARD enum status server_new(struct server **out, const struct server_options *o,
                                 struct err *err);
const char *server_url(const struct server *s); /* "http://127.0.0.1:11434" */
int server_port(const struct server *s);
bool server_ready(struct server *s);
/* The Prometheus text, with what options.metrics adds. */
void server_metrics(struct server *s, struct buf *out);
const struct server_options *server_options(const struct server *s);
/* Cancels the requests that are being answered under this X-Request-Id (clients may choose it, so
 * there may be several), if `by` may do so: they came with the same key, or by's has the scope
 * admin. Calls told (may be NULL) for each, with texts that are valid during the call. Returns how
 * many; those of others are not told from those that do not exist. */
size_t server_cancel(struct server *s, const struct http_request *by, struct str id,
                     void (*told)(void *ctx, struct str method, struct str path, struct str model),
                     void *ctx);
/* From now on new requests get 503 and no connection is taken in; running ones go on. */
void server_drain(struct server *s);
/* Drains, waits until all requests are answered, at most so long, then tells the rest to stop
 * (*gone) and waits as long as `grace_ns`. Returns how many still run: server_free must not be
 * called then, and the process may only exit. */
int server_stop(struct server *s, int64_t drain_ns, int64_t grace_ns);
void server_free(struct server *s);
