/* A request and its answer, as a handler sees them. The HTTP itself is libmicrohttpd's (server.c).
 *
 * A handler runs on a thread of its own and may block. It sends one answer, whole (reply_send) or
 * as a stream (reply_start, then reply_write); what it returns instead of an answer becomes an
 * error in the form of its dialect. */
#pragma once
#include "base/buf.h"
#include "base/json.h"
#include <stdatomic.h>

struct server;
struct reply;

/* What the caller's key allows (auth.h); without keys, everything. */
enum scope { SCOPE_NONE = 0, SCOPE_INFER = 1, SCOPE_READ = 2, SCOPE_MODELS = 4, SCOPE_ADMIN = 8 };

enum gone { GONE_NOT = 0, GONE_LEFT = 1, GONE_CANCELLED = 2 };

/* Borrowed for the time of the handler. */
struct http_request {
    struct server *server;
    void *app;               /* server_options.app: what the handlers work with */
    struct str method, path; /* the path as it was sent, without the query */
    struct str id;           /* X-Request-Id: the client's when it is harmless, else ours */
    struct str peer;         /* address, without port */
    struct str key_name;     /* of the API key, or empty */
    unsigned scopes;
    struct str body; /* empty where the route reads it as a stream */
    /* Non-zero (enum gone) once the client has left, the server stops or somebody has cancelled the
     * request: hand it to chat_request.cancel. */
    const atomic_int *gone;
    int64_t start_ns;
    int priority; /* chat_request.priority: below 0 for what nobody waits for (batches) */
    const void *impl;
};
struct str http_header(const struct http_request *q, const char *name); /* .p NULL: absent */
struct str http_query(const struct http_request *q, const char *name);  /* decoded; the same */
/* What stood for {name} in the route's path, decoded. {name...} matches slashes too. */
struct str http_param(const struct http_request *q, const char *name);
/* The body as a JSON object, which the caller releases. EUSAGE "missing request body", or naming
 * where it is wrong. */
NODISCARD enum status http_json(const struct http_request *q, json_t **out, struct err *err);
/* Routes with ROUTE_BODY_STREAM: the next bytes of the body, up to n; *got 0 at its end. Blocks.
 * ECANCEL: the client left in the middle of it. */
NODISCARD enum status http_body_read(const struct http_request *q, void *out, size_t n, size_t *got,
                                     struct err *err);
/* What the client declared, or -1. */
int64_t http_content_length(const struct http_request *q);

/* Somebody has cancelled the request (server_cancel) and its client is still there: the answer ends
 * with what there is, in the way of its dialect. */
bool http_cancelled(const struct http_request *q);

/* Facts about what the handler does, for metrics, the access log and spans. The model's name is
 * copied; operation is a literal, gen_ai.operation.name: "chat", "text_completion", "embeddings".
 * Tokens are added to those told before. */
void http_note_model(const struct http_request *q, struct str model);
void http_note_tokens(const struct http_request *q, const char *operation, int64_t prompt,
                      int64_t answer);

/* Before the answer begins. Values with control characters are dropped. */
void reply_header(struct reply *r, const char *name, struct str value);
/* The whole answer. */
void reply_send(struct reply *r, int status, const char *content_type, struct str body);
void reply_json(struct reply *r, int status, struct buf *body); /* application/json */
/* An error in the form of the route's dialect, where the HTTP status is not the one that belongs to
 * e->code. */
void reply_error(struct reply *r, int http_status, const struct err *e);
/* A stream: blocks while the client reads slower than we write (the buffer has a ceiling).
 * Non-zero: the client has left, and what follows is dropped. */
void reply_start(struct reply *r, int status, const char *content_type);
int reply_write(struct reply *r, struct str piece);
bool reply_started(const struct reply *r); /* an answer was sent, or a stream has begun */
/* Server-sent events: "event: name\ndata: ...\n\n"; event NULL: data alone. Starts the stream. */
int reply_sse(struct reply *r, const char *event, struct str data);
int reply_line(struct reply *r, struct str json); /* one line of NDJSON; starts the stream */

/* OK, or what went wrong before an answer began: the dialect's error writer tells it. After a
 * stream began, the handler tells its client in the dialect's way and returns OK; an error returned
 * then breaks the connection off, so that the client notices that something is missing. */
typedef enum status handler_fn(struct http_request *q, struct reply *r, struct err *err);
/* How a dialect words an error: the body, for a status that HTTP has or would have had. */
typedef void error_fn(struct buf *out, int http_status, const struct err *e,
                      const struct http_request *q);
