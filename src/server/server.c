#include "server/server_int.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include <gnutls/gnutls.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static void client_left(void *what)
{
    struct reply *r = what;
    pthread_mutex_lock(&r->lock);
    r->client_gone = true;
    pthread_mutex_unlock(&r->lock);
    reply_left(r);
}

static void tick(void *server)
{
    struct server *s = server;
    int64_t now = clock_ns();
    pthread_mutex_lock(&s->lock);
    for (struct reply *r = s->first; r; r = r->next)
        reply_ping(r, now);
    pthread_mutex_unlock(&s->lock);
}

static void count_connection(void *ctx, struct MHD_Connection *c, void **socket_context,
                             enum MHD_ConnectionNotificationCode what)
{
    struct server *s = ctx;
    (void)c;
    (void)socket_context;
    atomic_fetch_add(&s->connections, what == MHD_CONNECTION_NOTIFY_STARTED ? 1 : -1);
}

/* Every client that leaves would be a line of libmicrohttpd's. */
static void quiet(void *ctx, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
static void quiet(void *ctx, const char *fmt, va_list ap)
{
    char line[256];
    (void)ctx;
    vsnprintf(line, sizeof line, fmt, ap);
    line[strcspn(line, "\n")] = 0;
    log_debug("libmicrohttpd: %s", line);
}

/* Descriptors for so many connections, and some for files; fewer connections where there are not so
 * many. */
static int connection_limit(int wanted)
{
    struct rlimit l;
    const rlim_t others = 512;
    if (getrlimit(RLIMIT_NOFILE, &l) != 0)
        return wanted;
    rlim_t need = (rlim_t)wanted + others;
    if (l.rlim_cur < need) {
        l.rlim_cur = l.rlim_max == RLIM_INFINITY || l.rlim_max > need ? need : l.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &l) != 0 && getrlimit(RLIMIT_NOFILE, &l) != 0)
            return wanted;
    }
    if (l.rlim_cur >= need)
        return wanted;
    return l.rlim_cur > 2 * others ? (int)(l.rlim_cur - others) : (int)(l.rlim_cur / 2);
}

static enum status start_daemon(struct server *s, struct err *err)
{
    const struct server_options *o = &s->o;
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)o->tls_cert},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)o->tls_key},
        {MHD_OPTION_END, 0, NULL},
    };
    if (o->tls_cert)
        flags |= MHD_USE_TLS;
    else
        tls[0].option = MHD_OPTION_END;
    s->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, exchange_step, s, MHD_OPTION_EXTERNAL_LOGGER, quiet, s,
        MHD_OPTION_LISTEN_SOCKET, o->listener.fd, MHD_OPTION_THREAD_POOL_SIZE,
        (unsigned)o->io_threads, MHD_OPTION_CONNECTION_LIMIT, (unsigned)o->max_connections,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)o->idle_seconds, MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_URI_LOG_CALLBACK, exchange_begin, s, MHD_OPTION_NOTIFY_COMPLETED, exchange_end,
        s, MHD_OPTION_NOTIFY_CONNECTION, count_connection, s, MHD_OPTION_ARRAY, tls,
        MHD_OPTION_END);
    if (!s->daemon)
        return err_set(err, EFAIL, "server: libmicrohttpd does not start%s",
                       o->tls_cert ? " (are the TLS certificate and key PEM files that fit?)" : "");
    return OK;
}

static void set_defaults(struct server_options *o)
{
    if (!o->max_body)
        o->max_body = MAX_BODY;
    if (!o->max_in_flight)
        o->max_in_flight = MAX_IN_FLIGHT;
    if (!o->idle_seconds)
        o->idle_seconds = IDLE_SECONDS;
    if (!o->ping_seconds)
        o->ping_seconds = PING_SECONDS;
    if (!o->io_threads)
        o->io_threads = 2;
    o->max_connections =
        connection_limit(o->max_connections ? o->max_connections : MAX_CONNECTIONS);
}

enum status server_new(struct server **out, const struct server_options *o, struct err *err)
{
    struct server *s = mem_array(1, sizeof *s);
    *out = NULL;
    if (!s) {
        close(o->listener.fd);
        return err_set(err, ENOMEMORY, "server: no memory");
    }
    s->o = *o;
    set_defaults(&s->o);
    pthread_mutex_init(&s->lock, NULL);
    enum status st = gnutls_global_init() == 0 ? OK : err_set(err, EFAIL, "server: no GnuTLS");
    if (st == OK)
        st = metrics_new(&s->metrics, o->routes, o->n_routes, err);
    if (st == OK)
        st = workers_new(&s->workers, s->o.max_in_flight, err);
    if (st == OK)
        st = watch_new(&s->watch, client_left, tick, s, err);
    if (st == OK)
        st = start_daemon(s, err);
    if (st != OK) {
        server_free(s);
        return st;
    }
    *out = s;
    return OK;
}

const char *server_url(const struct server *s)
{
    return s->o.listener.url;
}

int server_port(const struct server *s)
{
    return s->o.listener.port;
}

bool server_ready(struct server *s)
{
    return !atomic_load(&s->draining) && (!s->o.ready || s->o.ready(s->o.app));
}

const struct server_options *server_options(const struct server *s)
{
    return &s->o;
}

void server_metrics(struct server *s, struct buf *out)
{
    metrics_text(s->metrics, workers_busy(s->workers), atomic_load(&s->connections),
                 server_ready(s), out);
    otlp_metrics(s->o.otlp, out);
    if (s->o.metrics)
        s->o.metrics(s->o.app, out);
}

/* Non-zero when r is to be cancelled and was not over. Under the server's lock. */
static bool cancel(struct reply *r,
                   void (*told)(void *ctx, struct str method, struct str path, struct str model),
                   void *ctx)
{
    int none = GONE_NOT;
    pthread_mutex_lock(&r->lock);
    bool ours = !r->ended && r->answer != ANSWER_WHOLE && !r->client_gone &&
                atomic_compare_exchange_strong(&r->gone, &none, GONE_CANCELLED);
    if (ours && told)
        told(ctx, r->q.method, r->q.path, r->model);
    pthread_cond_broadcast(&r->moved);
    pthread_mutex_unlock(&r->lock);
    return ours;
}

size_t server_cancel(struct server *s, const struct http_request *by, struct str id,
                     void (*told)(void *ctx, struct str method, struct str path, struct str model),
                     void *ctx)
{
    size_t n = 0;
    bool all = !s->o.auth || (by->scopes & SCOPE_ADMIN);
    pthread_mutex_lock(&s->lock);
    for (struct reply *r = s->first; r; r = r->next)
        if (&r->q != by && str_eq(r->q.id, id) && (all || str_eq(r->q.key_name, by->key_name)))
            n += cancel(r, told, ctx);
    pthread_mutex_unlock(&s->lock);
    return n;
}

void server_drain(struct server *s)
{
    if (atomic_exchange(&s->draining, true) || !s->daemon)
        return;
    MHD_socket fd = MHD_quiesce_daemon(s->daemon);
    if (fd != MHD_INVALID_SOCKET)
        close(fd);
    s->o.listener.fd = -1;
}

int server_stop(struct server *s, int64_t drain_ns, int64_t grace_ns)
{
    int64_t end = clock_ns() + drain_ns;
    server_drain(s);
    int left = workers_wait(s->workers, drain_ns);
    /* what is answered may still be on its way to a slow client */
    while (left == 0 && atomic_load(&s->open) && clock_ns() < end)
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    if (left == 0)
        return 0;
    pthread_mutex_lock(&s->lock);
    for (struct reply *r = s->first; r; r = r->next)
        reply_left(r);
    pthread_mutex_unlock(&s->lock);
    return workers_wait(s->workers, grace_ns);
}

void server_free(struct server *s)
{
    if (!s)
        return;
    if (s->daemon) {
        server_drain(s);
        MHD_stop_daemon(s->daemon);
    } else if (s->o.listener.fd >= 0) {
        close(s->o.listener.fd);
    }
    workers_free(s->workers);
    watch_free(s->watch);
    metrics_free(s->metrics);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
