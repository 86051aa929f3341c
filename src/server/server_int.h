/* Inside the server: a request on its way through it.
 *
 * Two threads work on one: libmicrohttpd's, which owns the connection and calls exchange.c, and the
 * handler's (reply.c, request.c). What both touch is under `lock`. Only libmicrohttpd's thread
 * suspends the connection, inside its callbacks; whoever has news resumes it. Headers are copied,
 * because the connection may be gone before the handler is. */
#pragma once
#include "base/arena.h"
#include "server/guard.h"
#include "server/otlp.h"
#include "server/ring.h"
#include "server/server.h"
#include "server/watch.h"
#include "server/workers.h"
#include <microhttpd.h>
#include <pthread.h>

enum {
    MAX_BODY = 64 << 20,
    MAX_IN_FLIGHT = 2048,
    MAX_CONNECTIONS = 16384,
    IDLE_SECONDS = 120,
    PING_SECONDS = 15,
    /* libmicrohttpd takes it for each connection, idle ones too; the ceiling on a head */
    CONNECTION_MEMORY = 24 << 10,
    OUT_RING = 64 << 10, /* what a stream may be ahead of its client */
    IN_RING = 256 << 10,
    MAX_ARENA = 1 << 20,
    MAX_REPLY_HEADERS = 16,
};

struct server {
    struct server_options o;
    struct MHD_Daemon *daemon;
    struct workers *workers;
    struct watch *watch;
    struct metrics *metrics;
    pthread_mutex_t lock; /* of the list */
    struct reply *first;  /* requests that have a handler */
    atomic_bool draining;
    atomic_int connections;
    atomic_int open; /* requests that began and are not over */
};

/* Where libmicrohttpd's thread is with a request. */
enum stage {
    STAGE_NEW,
    STAGE_BODY,   /* the body is collected, then a handler gets it */
    STAGE_REFUSE, /* the body is thrown away, then the answer that is there already is sent */
    STAGE_STREAM, /* a handler reads the body as it comes */
    STAGE_WAIT,   /* a handler works, the connection is suspended until it answers */
    STAGE_SEND,
};
enum answer { ANSWER_NONE, ANSWER_WHOLE, ANSWER_STREAM };

/* The request and its answer: what handlers know as two things. Released when both threads have
 * let it go. */
struct reply {
    struct http_request q;
    struct server *server;
    const struct route *route; /* NULL: none */
    enum dialect dialect;
    bool head;
    struct arena arena;
    struct headers headers;
    struct str target, query;
    struct route_param params[ROUTE_PARAMS];
    int n_params;
    int64_t length; /* Content-Length, or -1 */
    struct auth_grant grant;
    struct buf body;
    int64_t start_unix_ns;
    /* libmicrohttpd's thread */
    enum stage stage;
    int fd; /* watched, or -1 */
    uint64_t received, swallowed;
    /* both */
    pthread_mutex_t lock;
    pthread_cond_t moved; /* a ring has moved, or the client has left: for the handler's thread */
    struct MHD_Connection *connection; /* NULL once it is over */
    int64_t wrote_ns; /* when the handler wrote last, of a stream of events; else 0 */
    bool writing;     /* the handler is in the middle of a piece */
    bool suspended, in_ended, in_closed, ended, broken, close;
    struct ring in, out;
    enum answer answer;
    int status;
    char *type;
    struct header extra[MAX_REPLY_HEADERS];
    int n_extra;
    struct buf whole;
    uint64_t sent;
    int64_t first_ns;
    struct trace_context trace;
    const char *operation;
    struct str model;
    int64_t prompt_tokens, answer_tokens;
    bool client_gone;
    atomic_int gone;
    int refs;
    /* under the server's lock */
    struct reply *prev, *next;
    bool listed;
};

/* exchange.c: libmicrohttpd's callbacks */
void *exchange_begin(void *server, const char *target, struct MHD_Connection *c);
enum MHD_Result exchange_step(void *server, struct MHD_Connection *c, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_n, void **exchange);
void exchange_end(void *server, struct MHD_Connection *c, void **exchange,
                  enum MHD_RequestTerminationCode why);

/* check.c: whether a request may have a handler. False: it was answered (refused, or a preflight).
 */
bool check_request(struct reply *r, struct str version);

/* reply.c */
void reply_resume(struct reply *r);               /* under r->lock */
void reply_ping(struct reply *r, int64_t now_ns); /* if it is time */
void reply_left(struct reply *r);                 /* the client has left, or the server stops */
/* What a handler returned: an error becomes an answer, a stream ends. */
void reply_finish(struct reply *r, enum status s, const struct err *err);
void reply_unref(struct reply *r);
