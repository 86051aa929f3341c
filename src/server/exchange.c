/* A request's way through libmicrohttpd's thread: its callbacks. */
#include "server/server_int.h"
#include "server/coding.h"
#include "base/clock.h"
#include "base/mem.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <strings.h>

enum { SWALLOW = 4 }; /* of a body that nobody wants, so many times the ceiling is read */

void *exchange_begin(void *server, const char *target, struct MHD_Connection *c)
{
    struct reply *r = mem_array(1, sizeof *r);
    struct timespec now;
    (void)c;
    if (!r)
        return NULL;
    clock_gettime(CLOCK_REALTIME, &now);
    r->server = server;
    r->refs = 1;
    r->fd = -1;
    r->length = r->prompt_tokens = r->answer_tokens = -1;
    r->start_unix_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    r->q.start_ns = clock_ns();
    arena_init(&r->arena, MAX_ARENA);
    buf_init(&r->body, r->server->o.max_body);
    buf_init(&r->whole, 0);
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->moved, NULL);
    r->target = arena_str(&r->arena, str_from(target));
    return r;
}

static enum MHD_Result count_header(void *ctx, enum MHD_ValueKind kind, const char *k,
                                    const char *v)
{
    (void)kind;
    (void)k;
    (void)v;
    ++*(size_t *)ctx;
    return MHD_YES;
}

static enum MHD_Result copy_header(void *ctx, enum MHD_ValueKind kind, const char *k, const char *v)
{
    struct reply *r = ctx;
    (void)kind;
    struct header h = {arena_str(&r->arena, str_from(k)),
                       arena_str(&r->arena, str_from(v ? v : ""))};
    if (!h.name.p || !h.value.p)
        return MHD_NO;
    ((struct header *)(uintptr_t)r->headers.at)[r->headers.n++] = h;
    return MHD_YES;
}

static struct str peer_of(struct reply *r, struct MHD_Connection *c)
{
    char text[INET6_ADDRSTRLEN] = "";
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *a = info ? info->client_addr : NULL;
    if (a && a->sa_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)a)->sin_addr, text,
                  sizeof text);
    else if (a && a->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr, text,
                  sizeof text);
    return arena_str(&r->arena, str_from(text));
}

/* Everything that outlives the connection is copied. */
static bool copy_request(struct reply *r, struct MHD_Connection *c, const char *method)
{
    size_t n = 0, copied = 0;
    MHD_get_connection_values(c, MHD_HEADER_KIND, count_header, &n);
    r->headers.at = arena_array(&r->arena, n + 1, sizeof *r->headers.at);
    r->q.server = r->server;
    r->q.app = r->server->o.app;
    r->q.method = arena_str(&r->arena, str_from(method));
    r->q.peer = peer_of(r, c);
    r->q.key_name = STR("");
    r->q.gone = &r->gone;
    r->q.impl = r;
    r->head = strcmp(method, "HEAD") == 0;
    if (!r->headers.at || !r->q.method.p || !r->q.peer.p || !r->target.p)
        return false;
    MHD_get_connection_values(c, MHD_HEADER_KIND, copy_header, r);
    copied = r->headers.n;
    return copied == n;
}

/* ---- the handler's thread ---- */

static void list(struct reply *r)
{
    struct server *s = r->server;
    pthread_mutex_lock(&s->lock);
    r->next = s->first;
    if (s->first)
        s->first->prev = r;
    s->first = r;
    pthread_mutex_unlock(&s->lock);
}

static void unlist(struct reply *r)
{
    struct server *s = r->server;
    pthread_mutex_lock(&s->lock);
    if (r->prev)
        r->prev->next = r->next;
    else
        s->first = r->next;
    if (r->next)
        r->next->prev = r->prev;
    pthread_mutex_unlock(&s->lock);
}

/* On the handler's thread: it takes time. */
static enum status decode_body(struct reply *r, struct err *err)
{
    struct str coding = headers_get(&r->headers, "Content-Encoding");
    struct buf plain;
    if (coding.n == 0 || r->body.n == 0)
        return OK;
    buf_init(&plain, r->server->o.max_body);
    enum status s = coding_decode(coding, buf_str(&r->body), &plain, err);
    buf_release(&r->body);
    r->body = plain;
    r->q.body = buf_str(&r->body);
    return s;
}

static void run_handler(void *ctx)
{
    struct reply *r = ctx;
    struct err err = {0};
    enum status s = decode_body(r, &err);
    if (s == OK)
        s = r->route->fn(&r->q, r, &err);
    reply_finish(r, s, &err);
    unlist(r);
    reply_unref(r);
}

static void start_handler(struct reply *r)
{
    r->q.body = buf_str(&r->body);
    pthread_mutex_lock(&r->lock);
    r->refs++;
    pthread_mutex_unlock(&r->lock);
    list(r);
    if (workers_submit(r->server->workers, run_handler, r))
        return;
    unlist(r);
    pthread_mutex_lock(&r->lock);
    r->refs--;
    pthread_mutex_unlock(&r->lock);
    reply_header(r, "Retry-After", STR("1"));
    reply_error(r, 503,
                &(struct err){EBUSY, "the server is busy: too many requests are being answered"});
}

/* ---- sending ---- */

static ssize_t read_answer(void *ctx, uint64_t pos, char *out, size_t max)
{
    struct reply *r = ctx;
    ssize_t n = 0;
    (void)pos;
    pthread_mutex_lock(&r->lock);
    if (r->client_gone) {
        n = MHD_CONTENT_READER_END_WITH_ERROR;
    } else if (r->out.n) {
        n = (ssize_t)ring_take(&r->out, out, max);
        r->sent += (uint64_t)n;
        pthread_cond_broadcast(&r->moved);
    } else if (r->ended) {
        n = r->broken ? MHD_CONTENT_READER_END_WITH_ERROR : MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        r->suspended = true;
        MHD_suspend_connection(r->connection);
    }
    pthread_mutex_unlock(&r->lock);
    return n;
}

static void add_header(struct MHD_Response *answer, const char *name, struct str value)
{
    MHD_add_response_header(answer, name, value.p);
}

static int socket_of(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info ? info->connect_fd : -1;
}

/* The client has closed its half already. libmicrohttpd reads less than there was room for, takes
 * that for the end of what is there, and never hears of a close that came with it: such a
 * connection would stay open until its time is over. */
static bool sends_no_more(struct MHD_Connection *c)
{
    struct pollfd p = {.fd = socket_of(c), .events = POLLRDHUP};
    return p.fd >= 0 && poll(&p, 1, 0) == 1 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

static enum MHD_Result send_answer(struct reply *r, struct MHD_Connection *c)
{
    struct MHD_Response *answer;
    pthread_mutex_lock(&r->lock);
    r->stage = STAGE_SEND;
    if (r->answer == ANSWER_STREAM) {
        answer =
            MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16 << 10, read_answer, r, NULL);
    } else {
        r->sent = r->head ? 0 : r->whole.n;
        answer = MHD_create_response_from_buffer(r->whole.n, r->whole.p, MHD_RESPMEM_MUST_FREE);
        if (answer)
            buf_init(&r->whole, 0); /* its bytes are libmicrohttpd's now */
    }
    pthread_mutex_unlock(&r->lock);
    if (!answer)
        return MHD_NO;
    if (r->type)
        MHD_add_response_header(answer, "Content-Type", r->type);
    if (r->q.id.p)
        add_header(answer, "X-Request-Id", r->q.id);
    if (r->q.id.p && r->dialect == DIALECT_ANTHROPIC)
        add_header(answer, "Request-Id", r->q.id); /* where Anthropic's clients look for it */
    MHD_add_response_header(answer, "X-Content-Type-Options", "nosniff");
    for (int i = 0; i < r->n_extra; i++)
        add_header(answer, r->extra[i].name.p, r->extra[i].value);
    if (r->close || sends_no_more(c))
        MHD_add_response_header(answer, "Connection", "close");
    enum MHD_Result ok = MHD_queue_response(c, (unsigned)r->status, answer);
    MHD_destroy_response(answer);
    return ok;
}

/* Sends the answer when there is one, and suspends the connection until then. */
static enum MHD_Result send_or_wait(struct reply *r, struct MHD_Connection *c)
{
    pthread_mutex_lock(&r->lock);
    bool wait = r->answer == ANSWER_NONE;
    if (wait) {
        r->suspended = true;
        MHD_suspend_connection(c);
    }
    pthread_mutex_unlock(&r->lock);
    return wait ? MHD_YES : send_answer(r, c);
}

/* ---- receiving ---- */

static enum MHD_Result begin(struct reply *r, struct MHD_Connection *c, const char *method,
                             const char *version)
{
    pthread_mutex_lock(&r->lock);
    r->connection = c;
    pthread_mutex_unlock(&r->lock);
    r->stage = STAGE_REFUSE;
    atomic_fetch_add(&r->server->open, 1);
    if (!copy_request(r, c, method))
        return MHD_NO;
    if (!check_request(r, str_from(version))) {
        /* at once where the client waits for it, or would send more than we would read */
        bool now = r->close || r->length > (int64_t)r->server->o.max_body ||
                   headers_get(&r->headers, "Expect").p;
        return now ? send_answer(r, c) : MHD_YES;
    }
    if (!(r->route->flags & ROUTE_BODY_STREAM)) {
        r->stage = STAGE_BODY;
        return MHD_YES;
    }
    if (!ring_init(&r->in, IN_RING)) {
        reply_error(r, 507, &(struct err){ENOMEMORY, "no memory for the body's buffer"});
        return MHD_YES;
    }
    r->stage = STAGE_STREAM;
    start_handler(r);
    return MHD_YES;
}

static enum MHD_Result swallow(struct reply *r, size_t *n)
{
    r->swallowed += *n;
    *n = 0;
    return r->swallowed > (uint64_t)SWALLOW * r->server->o.max_body ? MHD_NO : MHD_YES;
}

static enum MHD_Result collect(struct reply *r, const char *p, size_t *n)
{
    r->received += *n;
    buf_add(&r->body, p, *n);
    if (!r->body.failed) {
        *n = 0;
        return MHD_YES;
    }
    struct err err = {0};
    if (buf_check(&r->body, "request body", &err) != OK)
        reply_error(r, 413, &err);
    buf_release(&r->body);
    r->stage = STAGE_REFUSE;
    return swallow(r, n);
}

static enum MHD_Result pass_on(struct reply *r, struct MHD_Connection *c, const char *p, size_t *n)
{
    pthread_mutex_lock(&r->lock);
    bool closed = r->in_closed;
    if (!closed) {
        size_t put = ring_put(&r->in, p, *n);
        r->received += put;
        *n -= put;
        if (*n) {
            r->suspended = true;
            MHD_suspend_connection(c);
        }
        pthread_cond_broadcast(&r->moved);
    }
    pthread_mutex_unlock(&r->lock);
    return closed ? swallow(r, n) : MHD_YES;
}

/* The request is there in full. From here on only the watcher notices that the client leaves. */
static enum MHD_Result received(struct reply *r, struct MHD_Connection *c)
{
    if (r->stage == STAGE_REFUSE)
        return send_answer(r, c);
    r->fd = socket_of(c);
    watch_add(r->server->watch, r->fd, r);
    if (r->stage == STAGE_BODY)
        start_handler(r);
    pthread_mutex_lock(&r->lock);
    r->in_ended = true;
    pthread_cond_broadcast(&r->moved);
    pthread_mutex_unlock(&r->lock);
    r->stage = STAGE_WAIT;
    return send_or_wait(r, c);
}

enum MHD_Result exchange_step(void *server, struct MHD_Connection *c, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_n, void **exchange)
{
    struct reply *r = *exchange;
    (void)server;
    (void)url;
    if (!r)
        return MHD_NO;
    switch (r->stage) {
    case STAGE_NEW: return begin(r, c, method, version);
    case STAGE_REFUSE: return *upload_n ? swallow(r, upload_n) : received(r, c);
    case STAGE_BODY: return *upload_n ? collect(r, upload, upload_n) : received(r, c);
    case STAGE_STREAM: return *upload_n ? pass_on(r, c, upload, upload_n) : received(r, c);
    case STAGE_WAIT: return send_or_wait(r, c);
    case STAGE_SEND: break;
    }
    return MHD_YES;
}

void exchange_end(void *server, struct MHD_Connection *c, void **exchange,
                  enum MHD_RequestTerminationCode why)
{
    struct reply *r = *exchange;
    (void)server;
    (void)c;
    if (!r)
        return;
    *exchange = NULL;
    watch_remove(r->server->watch, r->fd);
    pthread_mutex_lock(&r->lock);
    r->connection = NULL;
    r->suspended = false;
    if (why != MHD_REQUEST_TERMINATED_COMPLETED_OK) {
        r->client_gone = r->client_gone || why != MHD_REQUEST_TERMINATED_DAEMON_SHUTDOWN;
        atomic_store(&r->gone, GONE_LEFT);
    }
    pthread_cond_broadcast(&r->moved);
    pthread_mutex_unlock(&r->lock);
    reply_unref(r);
}
