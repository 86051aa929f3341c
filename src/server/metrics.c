#include "server/metrics.h"
#include "base/clock.h"
#include "base/mem.h"
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

/* seconds; the last bucket is +Inf */
static const double bounds[] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1,
                                2.5,   5,    10,    25,   50,  100,  250, 500};
enum { BOUNDS = sizeof bounds / sizeof *bounds, STATUSES = 600 };

struct histogram {
    uint64_t bucket[BOUNDS + 1];
    double sum;
};

struct series { /* of a route */
    uint64_t status[STATUSES];
    struct histogram duration, first;
};

struct metrics {
    pthread_mutex_t lock;
    const struct route *routes;
    size_t n; /* series[n] is for what no route took */
    uint64_t gone, bytes_in, bytes_out;
    int64_t start_ns;
    struct series series[];
};

enum status metrics_new(struct metrics **out, const struct route *routes, size_t n, struct err *err)
{
    struct metrics *m = calloc(1, sizeof *m + (n + 1) * sizeof *m->series);
    *out = m;
    if (!m)
        return err_set(err, ENOMEMORY, "metrics: no memory for %zu routes", n);
    m->routes = routes;
    m->n = n;
    m->start_ns = clock_ns();
    pthread_mutex_init(&m->lock, NULL);
    return OK;
}

void metrics_free(struct metrics *m)
{
    if (m)
        pthread_mutex_destroy(&m->lock);
    free(m);
}

static void observe(struct histogram *h, int64_t ns)
{
    double s = (double)ns * 1e-9;
    int i = 0;
    while (i < BOUNDS && s > bounds[i])
        i++;
    h->bucket[i]++;
    h->sum += s;
}

void metrics_add(struct metrics *m, const struct access_record *a)
{
    size_t at = a->route ? (size_t)(a->route - m->routes) : m->n;
    pthread_mutex_lock(&m->lock);
    struct series *s = &m->series[at];
    s->status[a->status > 0 && a->status < STATUSES ? a->status : 0]++;
    observe(&s->duration, a->end_ns - a->start_ns);
    if (a->first_ns)
        observe(&s->first, a->first_ns - a->start_ns);
    m->gone += a->gone;
    m->bytes_in += a->bytes_in;
    m->bytes_out += a->bytes_out;
    pthread_mutex_unlock(&m->lock);
}

void prometheus_head(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void prometheus_label(struct buf *out, struct str value)
{
    buf_addc(out, '"');
    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];
        if (c == '"' || c == '\\')
            buf_addc(out, '\\');
        if (c == '\n')
            buf_adds(out, "\\n");
        else
            buf_addc(out, c);
    }
    buf_addc(out, '"');
}

static void labels(struct metrics *m, size_t i, struct buf *out)
{
    buf_adds(out, "method=");
    prometheus_label(out, str_from(i < m->n ? m->routes[i].method : "other"));
    buf_adds(out, ",route=");
    prometheus_label(out, str_from(i < m->n ? m->routes[i].path : "none"));
}

static void histograms(struct metrics *m, const char *name, size_t at, const char *help,
                       struct buf *out)
{
    prometheus_head(out, name, "histogram", help);
    for (size_t i = 0; i <= m->n; i++) {
        const struct histogram *h = (const void *)((const char *)&m->series[i] + at);
        uint64_t total = 0;
        for (int b = 0; b <= BOUNDS; b++)
            total += h->bucket[b];
        if (total == 0)
            continue;
        uint64_t below = 0;
        for (int b = 0; b <= BOUNDS; b++) {
            below += h->bucket[b];
            buf_printf(out, "%s_bucket{", name);
            labels(m, i, out);
            if (b < BOUNDS)
                buf_printf(out, ",le=\"%g\"} %" PRIu64 "\n", bounds[b], below);
            else
                buf_printf(out, ",le=\"+Inf\"} %" PRIu64 "\n", below);
        }
        buf_printf(out, "%s_sum{", name);
        labels(m, i, out);
        buf_printf(out, "} %.9g\n%s_count{", h->sum, name);
        labels(m, i, out);
        buf_printf(out, "} %" PRIu64 "\n", total);
    }
}

static void one(struct buf *out, const char *name, const char *type, const char *help, double v)
{
    prometheus_head(out, name, type, help);
    buf_printf(out, "%s %.15g\n", name, v);
}

void metrics_text(struct metrics *m, int in_flight, int connections, bool ready, struct buf *out)
{
    prometheus_head(out, "hearth_build_info", "gauge", "The program's version.");
    buf_printf(out, "hearth_build_info{version=\"%s\"} 1\n", HEARTH_VERSION);
    one(out, "hearth_ready", "gauge", "1 when the server takes requests.", ready);
    one(out, "hearth_http_requests_in_flight", "gauge", "Requests being answered.", in_flight);
    one(out, "hearth_http_connections", "gauge", "Open connections.", connections);
    pthread_mutex_lock(&m->lock);
    one(out, "hearth_uptime_seconds", "gauge", "Since the server started.",
        clock_since(m->start_ns));
    one(out, "hearth_http_clients_gone_total", "counter",
        "Requests whose client left before the end.", (double)m->gone);
    one(out, "hearth_http_request_bytes_total", "counter", "Bytes of bodies that came in.",
        (double)m->bytes_in);
    one(out, "hearth_http_response_bytes_total", "counter", "Bytes of bodies that went out.",
        (double)m->bytes_out);
    prometheus_head(out, "hearth_http_requests_total", "counter",
                    "Requests that are over, by route and status.");
    for (size_t i = 0; i <= m->n; i++)
        for (int s = 0; s < STATUSES; s++)
            if (m->series[i].status[s]) {
                buf_adds(out, "hearth_http_requests_total{");
                labels(m, i, out);
                buf_printf(out, ",status=\"%d\"} %" PRIu64 "\n", s, m->series[i].status[s]);
            }
    histograms(m, "hearth_http_request_duration_seconds", offsetof(struct series, duration),
               "From the request's first line to the answer's last byte.", out);
    histograms(m, "hearth_http_time_to_first_byte_seconds", offsetof(struct series, first),
               "From the request's first line to the beginning of the answer.", out);
    pthread_mutex_unlock(&m->lock);
}
