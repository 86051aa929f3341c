/* The answer: from the handler's thread into a buffer, out of which libmicrohttpd's thread sends.
 */
#include "server/server_int.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include <stdlib.h>

void reply_resume(struct reply *r)
{
    if (r->suspended && r->connection) {
        r->suspended = false;
        MHD_resume_connection(r->connection);
    }
}

void reply_left(struct reply *r)
{
    pthread_mutex_lock(&r->lock);
    atomic_store(&r->gone, GONE_LEFT);
    pthread_cond_broadcast(&r->moved);
    /* Before the answer the connection stays suspended: the handler notices, and answers. */
    if (r->client_gone && r->answer == ANSWER_STREAM)
        reply_resume(r);
    pthread_mutex_unlock(&r->lock);
}

void reply_header(struct reply *r, const char *name, struct str value)
{
    for (size_t i = 0; i < value.n; i++)
        if ((unsigned char)value.p[i] < 0x20 || value.p[i] == 0x7f)
            return;
    pthread_mutex_lock(&r->lock);
    if (r->answer == ANSWER_NONE && r->n_extra < MAX_REPLY_HEADERS) {
        struct header h = {arena_str(&r->arena, str_from(name)), arena_str(&r->arena, value)};
        if (h.name.p && h.value.p)
            r->extra[r->n_extra++] = h;
    }
    pthread_mutex_unlock(&r->lock);
}

/* Under the lock. False: there is an answer already, which stays. */
static bool begin_answer(struct reply *r, enum answer kind, int status, const char *content_type)
{
    if (r->answer != ANSWER_NONE) {
        log_warn("%s: a second answer was dropped", r->route ? r->route->path : "server");
        return false;
    }
    r->answer = kind;
    r->status = status;
    r->type = content_type ? arena_dup(&r->arena, content_type, strlen(content_type)) : NULL;
    r->first_ns = clock_ns();
    return true;
}

void reply_send(struct reply *r, int status, const char *content_type, struct str body)
{
    pthread_mutex_lock(&r->lock);
    if (begin_answer(r, ANSWER_WHOLE, status, content_type)) {
        buf_init(&r->whole, body.n + 1);
        buf_addstr(&r->whole, body);
        if (r->whole.failed) {
            r->status = 500;
            buf_clear(&r->whole);
        }
        reply_resume(r);
    }
    pthread_mutex_unlock(&r->lock);
}

void reply_json(struct reply *r, int status, struct buf *body)
{
    struct err err = {0};
    if (buf_check(body, "answer", &err) != OK)
        reply_error(r, 500, &err);
    else
        reply_send(r, status, "application/json; charset=utf-8", buf_str(body));
}

void reply_error(struct reply *r, int http_status, const struct err *e)
{
    struct buf text;
    buf_init(&text, 1 << 16);
    dialects[r->dialect].error(&text, http_status, e, &r->q);
    reply_send(r, http_status, "application/json; charset=utf-8", buf_str(&text));
    buf_release(&text);
}

void reply_start(struct reply *r, int status, const char *content_type)
{
    pthread_mutex_lock(&r->lock);
    if (r->answer == ANSWER_NONE) {
        if (!r->head && !ring_init(&r->out, OUT_RING)) {
            pthread_mutex_unlock(&r->lock);
            reply_error(r, 507, &(struct err){ENOMEMORY, "no memory for the answer's buffer"});
            return;
        }
        begin_answer(r, ANSWER_STREAM, status, content_type);
        if (strncmp(content_type, "text/event-stream", 17) == 0)
            r->wrote_ns = clock_ns();
        reply_resume(r);
    }
    pthread_mutex_unlock(&r->lock);
}

/* A comment, which clients skip, keeps what lies between from taking a long silence for the end. */
void reply_ping(struct reply *r, int64_t now_ns)
{
    static const char ping[] = ": ping\n\n";
    int64_t silence = (int64_t)r->server->o.ping_seconds * 1000000000;
    pthread_mutex_lock(&r->lock);
    if (r->wrote_ns && now_ns - r->wrote_ns >= silence && !r->writing && !r->ended && !r->head &&
        r->out.n == 0) {
        ring_put(&r->out, ping, sizeof ping - 1);
        r->wrote_ns = now_ns;
        reply_resume(r);
    }
    pthread_mutex_unlock(&r->lock);
}

/* After the server told everyone to stop, what a handler still says goes out if there is room. */
int reply_write(struct reply *r, struct str piece)
{
    size_t done = 0;
    pthread_mutex_lock(&r->lock);
    r->writing = true;
    while (r->answer == ANSWER_STREAM && !r->head && !r->client_gone && r->connection) {
        size_t n = ring_put(&r->out, piece.p + done, piece.n - done);
        done += n;
        if (n)
            reply_resume(r);
        if (done == piece.n || atomic_load(&r->gone) == GONE_LEFT)
            break;
        pthread_cond_wait(&r->moved, &r->lock);
    }
    r->writing = false;
    if (r->wrote_ns)
        r->wrote_ns = clock_ns();
    int gone =
        done < piece.n || r->client_gone || !r->connection || atomic_load(&r->gone) == GONE_LEFT;
    pthread_mutex_unlock(&r->lock);
    return gone;
}

bool reply_started(const struct reply *r)
{
    struct reply *w = (struct reply *)(uintptr_t)r;
    pthread_mutex_lock(&w->lock);
    bool started = r->answer != ANSWER_NONE;
    pthread_mutex_unlock(&w->lock);
    return started;
}

/* One write, so that an event is never cut where it could be helped. */
static int write_framed(struct reply *r, struct buf *frame)
{
    int gone = frame->failed ? 1 : reply_write(r, buf_str(frame));
    buf_release(frame);
    return gone;
}

/* Every line of the data is a "data:" line of its own, as the format demands. */
int reply_sse(struct reply *r, const char *event, struct str data)
{
    struct buf frame;
    if (!reply_started(r)) {
        reply_header(r, "Cache-Control", STR("no-cache"));
        reply_header(r, "X-Accel-Buffering", STR("no"));
        reply_start(r, 200, "text/event-stream");
    }
    buf_init(&frame, SIZE_MAX);
    if (event)
        buf_printf(&frame, "event: %s\n", event);
    for (;;) {
        const char *end = data.n ? memchr(data.p, '\n', data.n) : NULL;
        size_t n = end ? (size_t)(end - data.p) : data.n;
        buf_adds(&frame, "data: ");
        buf_add(&frame, data.p, n);
        buf_addc(&frame, '\n');
        if (!end)
            break;
        data = str_slice(data, n + 1, data.n);
    }
    buf_addc(&frame, '\n');
    return write_framed(r, &frame);
}

int reply_line(struct reply *r, struct str json)
{
    struct buf frame;
    if (!reply_started(r))
        reply_start(r, 200, "application/x-ndjson");
    buf_init(&frame, SIZE_MAX);
    buf_addstr(&frame, json);
    buf_addc(&frame, '\n');
    return write_framed(r, &frame);
}

void reply_finish(struct reply *r, enum status s, const struct err *err)
{
    struct err e = *err;
    e.code = s;
    if (s == OK) {
        e.code = EFAIL;
        err_set(&e, EFAIL, "the handler gave no answer");
    }
    pthread_mutex_lock(&r->lock);
    bool left = r->client_gone;
    pthread_mutex_unlock(&r->lock);
    if (s == ECANCEL && http_cancelled(&r->q))
        err_set(&e, ECANCEL, "the request was cancelled");
    else if (s == ECANCEL && !left) /* told to stop by the server, which is stopping */
        err_set(&e, EBUSY, "the server is shutting down");
    if (!reply_started(r))
        reply_error(r, status_http(e.code), &e);
    pthread_mutex_lock(&r->lock);
    r->ended = true;
    r->in_closed = true;
    r->broken = s != OK;
    if (s != OK && r->answer == ANSWER_STREAM && atomic_load(&r->gone) != GONE_LEFT)
        log_warn("%s: broken off: %s", r->route->path, e.msg);
    reply_resume(r);
    pthread_mutex_unlock(&r->lock);
}

static void record(struct reply *r)
{
    struct access_record a = {
        .request = &r->q,
        .route = r->route,
        .status = r->status,
        .gone = r->client_gone,
        .bytes_in = r->received,
        .bytes_out = r->sent,
        .start_ns = r->q.start_ns,
        .first_ns = r->first_ns,
        .end_ns = clock_ns(),
        .start_unix_ns = r->start_unix_ns,
        .trace = &r->trace,
        .operation = r->operation,
        .model = r->model,
        .prompt_tokens = r->prompt_tokens,
        .answer_tokens = r->answer_tokens,
    };
    metrics_add(r->server->metrics, &a);
    if (!r->route || !(r->route->flags & ROUTE_ALWAYS))
        access_log(&a, r->server->o.log);
    otlp_add(r->server->o.otlp, &a);
}

void reply_unref(struct reply *r)
{
    pthread_mutex_lock(&r->lock);
    int left = --r->refs;
    pthread_mutex_unlock(&r->lock);
    if (left)
        return;
    if (r->stage != STAGE_NEW) /* else no request came of it */
        record(r);
    auth_release(r->server->o.auth, &r->grant);
    ring_release(&r->in);
    ring_release(&r->out);
    buf_release(&r->body);
    buf_release(&r->whole);
    arena_release(&r->arena);
    if (r->stage != STAGE_NEW)
        atomic_fetch_sub(&r->server->open, 1);
    pthread_cond_destroy(&r->moved);
    pthread_mutex_destroy(&r->lock);
    free(r);
}
