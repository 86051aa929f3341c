#include "server/otlp.h"
#include "base/clock.h"
#include "base/jsonw.h"
#include "base/log.h"
#include "base/mem.h"
#include "server/metrics.h"
#include "server/uri.h"
#include <curl/curl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
    QUEUE = 2048,      /* spans that wait */
    BATCH = 512,       /* spans in one request */
    WAIT_SECONDS = 1,  /* for more spans to come */
    SEND_SECONDS = 5,  /* for one request */
    WARN_SECONDS = 60, /* between complaints */
};

struct otlp {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t news;
    char *span[QUEUE];
    int first, n;
    bool stop;
    atomic_uint_least64_t sent, dropped;
    char *url;
    struct str service;
    struct curl_slist *headers;
    int64_t warned_ns;
};

bool otlp_from_environment(struct otlp_options *o, char url[1024])
{
    const char *off = getenv("OTEL_SDK_DISABLED"),
               *traces = getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
               *base = getenv("OTEL_EXPORTER_OTLP_ENDPOINT");
    *o = (struct otlp_options){.url = url};
    if (off && strcmp(off, "true") == 0)
        return false;
    if (traces && *traces) {
        snprintf(url, 1024, "%s", traces);
    } else if (base && *base) {
        size_t n = strlen(base);
        while (n && base[n - 1] == '/')
            n--;
        snprintf(url, 1024, "%.*s/v1/traces", (int)(n < 900 ? n : 900), base);
    } else {
        return false;
    }
    o->headers = getenv("OTEL_EXPORTER_OTLP_HEADERS");
    o->service = getenv("OTEL_SERVICE_NAME");
    return true;
}

/* ---- a span ---- */

/* The attributes, by their names in OpenTelemetry's semantic conventions: HTTP (stable), and GenAI
 * (semantic-conventions-genai, in development; this is the table to change when it moves). */
enum attribute {
    HTTP_METHOD,
    HTTP_PATH,
    HTTP_ROUTE,
    HTTP_STATUS,
    CLIENT_ADDRESS,
    ERROR_TYPE,
    GENAI_PROVIDER,
    GENAI_OPERATION,
    GENAI_MODEL,
    GENAI_INPUT,
    GENAI_OUTPUT,
    OWN_REQUEST_ID,
    OWN_KEY,
    OWN_FIRST_BYTE,
    OWN_GONE,
};
static const char *const names[] = {
    [HTTP_METHOD] = "http.request.method",
    [HTTP_PATH] = "url.path",
    [HTTP_ROUTE] = "http.route",
    [HTTP_STATUS] = "http.response.status_code",
    [CLIENT_ADDRESS] = "client.address",
    [ERROR_TYPE] = "error.type",
    [GENAI_PROVIDER] = "gen_ai.provider.name",
    [GENAI_OPERATION] = "gen_ai.operation.name",
    [GENAI_MODEL] = "gen_ai.request.model",
    [GENAI_INPUT] = "gen_ai.usage.input_tokens",
    [GENAI_OUTPUT] = "gen_ai.usage.output_tokens",
    [OWN_REQUEST_ID] = "hearth.request.id",
    [OWN_KEY] = "hearth.key.name",
    [OWN_FIRST_BYTE] = "hearth.time_to_first_byte",
    [OWN_GONE] = "hearth.client_gone",
};

static void begin_value(struct jsonw *w, enum attribute a, const char *type)
{
    jsonw_obj(w);
    jsonw_kstr(w, "key", str_from(names[a]));
    jsonw_key(w, "value");
    jsonw_obj(w);
    jsonw_key(w, type);
}

static void end_value(struct jsonw *w)
{
    jsonw_end(w);
    jsonw_end(w);
}

static void text(struct jsonw *w, enum attribute a, struct str v)
{
    if (v.n == 0)
        return;
    begin_value(w, a, "stringValue");
    jsonw_str(w, v);
    end_value(w);
}

/* int64 is a string in protobuf's JSON */
static void number(struct jsonw *w, enum attribute a, int64_t v)
{
    char digits[24];
    if (v < 0)
        return;
    snprintf(digits, sizeof digits, "%" PRId64, v);
    begin_value(w, a, "intValue");
    jsonw_str(w, str_from(digits));
    end_value(w);
}

static void attributes(struct jsonw *w, const struct access_record *a)
{
    char status[16];
    snprintf(status, sizeof status, "%d", a->status);
    jsonw_key(w, "attributes");
    jsonw_arr(w);
    text(w, HTTP_METHOD, a->request->method);
    text(w, HTTP_PATH, a->request->path);
    if (a->route)
        text(w, HTTP_ROUTE, str_from(a->route->path));
    number(w, HTTP_STATUS, a->status);
    text(w, CLIENT_ADDRESS, a->request->peer);
    if (a->status >= 500)
        text(w, ERROR_TYPE, str_from(status));
    if (a->model.n) {
        text(w, GENAI_PROVIDER, STR("hearth"));
        text(w, GENAI_OPERATION, str_from(a->operation ? a->operation : ""));
        text(w, GENAI_MODEL, a->model);
        number(w, GENAI_INPUT, a->prompt_tokens);
        number(w, GENAI_OUTPUT, a->answer_tokens);
    }
    text(w, OWN_REQUEST_ID, a->request->id);
    text(w, OWN_KEY, a->request->key_name);
    if (a->first_ns) {
        begin_value(w, OWN_FIRST_BYTE, "doubleValue");
        jsonw_num(w, (double)(a->first_ns - a->start_ns) * 1e-9);
        end_value(w);
    }
    if (a->gone) {
        begin_value(w, OWN_GONE, "boolValue");
        jsonw_bool(w, true);
        end_value(w);
    }
    jsonw_end(w);
}

static void time_field(struct jsonw *w, const char *key, int64_t unix_ns)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%" PRId64, unix_ns);
    jsonw_kstr(w, key, str_from(digits));
}

void otlp_span(const struct access_record *a, struct buf *out)
{
    enum { KIND_SERVER = 2, STATUS_ERROR = 2 };
    struct jsonw w;
    struct buf name;
    buf_init(&name, 4096);
    if (a->operation && a->model.n)
        buf_printf(&name, "%s %.*s", a->operation, STR_ARG(a->model));
    else
        buf_printf(&name, "%.*s %s", STR_ARG(a->request->method), a->route ? a->route->path : "");
    jsonw_init(&w, out, 0);
    jsonw_obj(&w);
    jsonw_kstr(&w, "traceId", str_from(a->trace->trace_id));
    jsonw_kstr(&w, "spanId", str_from(a->trace->span_id));
    if (a->trace->parent_id[0])
        jsonw_kstr(&w, "parentSpanId", str_from(a->trace->parent_id));
    jsonw_kstr(&w, "name", buf_str(&name));
    jsonw_kint(&w, "kind", KIND_SERVER);
    time_field(&w, "startTimeUnixNano", a->start_unix_ns);
    time_field(&w, "endTimeUnixNano", a->start_unix_ns + (a->end_ns - a->start_ns));
    attributes(&w, a);
    jsonw_key(&w, "status");
    jsonw_obj(&w);
    if (a->status >= 500)
        jsonw_kint(&w, "code", STATUS_ERROR);
    jsonw_end(&w);
    jsonw_end(&w);
    buf_release(&name);
}

void otlp_add(struct otlp *o, const struct access_record *a)
{
    struct buf span;
    if (!o || !a->trace->sampled || (a->route && a->route->flags & ROUTE_ALWAYS))
        return;
    buf_init(&span, 64 << 10);
    otlp_span(a, &span);
    pthread_mutex_lock(&o->lock);
    if (!span.failed && span.p && o->n < QUEUE) {
        o->span[(o->first + o->n++) % QUEUE] = span.p;
        span.p = NULL;
        pthread_cond_signal(&o->news);
    } else {
        atomic_fetch_add(&o->dropped, 1);
    }
    pthread_mutex_unlock(&o->lock);
    free(span.p);
}

/* ---- sending ---- */

static size_t ignore(char *p, size_t size, size_t n, void *ctx)
{
    (void)p;
    (void)ctx;
    return size * n;
}

static void string_attribute(struct jsonw *w, const char *key, struct str v)
{
    jsonw_obj(w);
    jsonw_kstr(w, "key", str_from(key));
    jsonw_key(w, "value");
    jsonw_obj(w);
    jsonw_kstr(w, "stringValue", v);
    jsonw_end(w);
    jsonw_end(w);
}

/* Everything around the spans, which are texts already. */
static void wrap(const struct otlp *o, char **span, int n, struct buf *out)
{
    struct jsonw w;
    struct buf head;
    buf_init(&head, 4096);
    jsonw_init(&w, &head, 0);
    jsonw_arr(&w);
    string_attribute(&w, "service.name", o->service);
    string_attribute(&w, "service.version", STR(HEARTH_VERSION));
    jsonw_end(&w);
    buf_printf(out,
               "{\"resourceSpans\":[{\"resource\":{\"attributes\":%s},\"scopeSpans\":[{\"scope\":{"
               "\"name\":\"hearth\",\"version\":\"%s\"},\"spans\":[",
               head.p ? head.p : "[]", HEARTH_VERSION);
    for (int i = 0; i < n; i++) {
        buf_adds(out, i ? "," : "");
        buf_adds(out, span[i]);
    }
    buf_adds(out, "]}]}]}");
    buf_release(&head);
}

static void complain(struct otlp *o, int n, const char *why, long http)
{
    int64_t now = clock_ns();
    if (o->warned_ns && now - o->warned_ns < (int64_t)WARN_SECONDS * 1000000000)
        return;
    o->warned_ns = now;
    if (http)
        log_warn("%s: HTTP %ld, %d spans dropped", o->url, http, n);
    else
        log_warn("%s: %s, %d spans dropped", o->url, why, n);
}

static void send_batch(struct otlp *o, char **span, int n)
{
    struct buf body;
    long http = 0;
    CURL *c = curl_easy_init();
    CURLcode e = CURLE_OUT_OF_MEMORY;
    buf_init(&body, (size_t)BATCH * (65 << 10));
    wrap(o, span, n, &body);
    if (c && !body.failed) {
        curl_easy_setopt(c, CURLOPT_URL, o->url);
        curl_easy_setopt(c, CURLOPT_POSTFIELDS, body.p);
        curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.n);
        curl_easy_setopt(c, CURLOPT_HTTPHEADER, o->headers);
        curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, ignore);
        curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(c, CURLOPT_TIMEOUT, (long)SEND_SECONDS);
        curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
        curl_easy_setopt(c, CURLOPT_USERAGENT, "hearth/" HEARTH_VERSION);
        e = curl_easy_perform(c);
        if (e == CURLE_OK)
            curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &http);
    }
    bool ok = http >= 200 && http < 300;
    atomic_fetch_add(ok ? &o->sent : &o->dropped, (uint64_t)n);
    if (!ok)
        complain(o, n, curl_easy_strerror(e), http);
    curl_easy_cleanup(c);
    buf_release(&body);
}

/* Waits until a batch is full, or a second after its first span. */
static int take_batch(struct otlp *o, char **span)
{
    pthread_mutex_lock(&o->lock);
    while (o->n == 0 && !o->stop)
        pthread_cond_wait(&o->news, &o->lock);
    int64_t end = clock_ns() + (int64_t)WAIT_SECONDS * 1000000000;
    struct timespec at = {.tv_sec = end / 1000000000, .tv_nsec = end % 1000000000};
    while (o->n < BATCH && !o->stop && pthread_cond_timedwait(&o->news, &o->lock, &at) != ETIMEDOUT)
        ;
    int n = o->n < BATCH ? o->n : BATCH;
    for (int i = 0; i < n; i++) {
        span[i] = o->span[o->first];
        o->first = (o->first + 1) % QUEUE;
    }
    o->n -= n;
    pthread_mutex_unlock(&o->lock);
    return n;
}

static void *otlp_main(void *ctx)
{
    struct otlp *o = ctx;
    char *span[BATCH];
    for (int n; (n = take_batch(o, span)) > 0;) {
        send_batch(o, span, n);
        for (int i = 0; i < n; i++)
            free(span[i]);
    }
    return NULL;
}

/* "name=value,name=value", the values with %XX. */
static enum status read_headers(struct otlp *o, const char *list, struct err *err)
{
    struct str rest = str_from(list ? list : "");
    struct curl_slist *all = curl_slist_append(NULL, "Content-Type: application/json");
    while (all && rest.n) {
        const char *comma = memchr(rest.p, ',', rest.n);
        struct str pair = str_slice(rest, 0, comma ? (size_t)(comma - rest.p) : rest.n);
        rest = str_slice(rest, comma ? pair.n + 1 : rest.n, rest.n);
        const char *eq = pair.n ? memchr(pair.p, '=', pair.n) : NULL;
        struct buf line;
        buf_init(&line, 8192);
        bool good = eq != NULL;
        if (good) {
            size_t at = (size_t)(eq - pair.p);
            buf_addstr(&line, str_slice(pair, 0, at));
            buf_adds(&line, ": ");
            good = uri_decode(str_slice(pair, at + 1, pair.n), false, &line) && !line.failed &&
                   !strpbrk(line.p, "\r\n");
        }
        struct curl_slist *more = good ? curl_slist_append(all, line.p) : NULL;
        buf_release(&line);
        if (!good) {
            curl_slist_free_all(all);
            return err_set(err, EUSAGE, "OTEL_EXPORTER_OTLP_HEADERS: expected name=value,...");
        }
        if (!more)
            curl_slist_free_all(all);
        all = more;
    }
    o->headers = all;
    return all ? OK : err_set(err, ENOMEMORY, "OTLP: no memory");
}

static void release(struct otlp *o)
{
    curl_slist_free_all(o->headers);
    free(o->url);
    free((void *)(uintptr_t)o->service.p);
    free(o);
}

enum status otlp_new(struct otlp **out, const struct otlp_options *opt, struct err *err)
{
    struct otlp *o = mem_array(1, sizeof *o);
    const char *service = opt->service && *opt->service ? opt->service : "hearth";
    *out = NULL;
    if (!o)
        return err_set(err, ENOMEMORY, "OTLP: no memory");
    o->url = mem_dup(opt->url, strlen(opt->url));
    o->service = str_from(mem_dup(service, strlen(service)));
    enum status s = read_headers(o, opt->headers, err);
    if (s == OK && (!o->url || !o->service.p))
        s = err_set(err, ENOMEMORY, "OTLP: no memory");
    if (s == OK && curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
        s = err_set(err, EFAIL, "OTLP: libcurl does not start");
    pthread_condattr_t a;
    pthread_condattr_init(&a);
    pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    pthread_cond_init(&o->news, &a);
    pthread_condattr_destroy(&a);
    pthread_mutex_init(&o->lock, NULL);
    if (s == OK && pthread_create(&o->thread, NULL, otlp_main, o) != 0)
        s = err_set(err, EIO, "OTLP: no thread left");
    if (s != OK) {
        release(o);
        return s;
    }
    *out = o;
    return OK;
}

void otlp_metrics(struct otlp *o, struct buf *out)
{
    if (!o)
        return;
    prometheus_head(out, "hearth_otlp_spans_total", "counter", "Spans, by what became of them.");
    buf_printf(out,
               "hearth_otlp_spans_total{result=\"sent\"} %" PRIu64
               "\nhearth_otlp_spans_total{result=\"dropped\"} %" PRIu64 "\n",
               (uint64_t)atomic_load(&o->sent), (uint64_t)atomic_load(&o->dropped));
}

void otlp_free(struct otlp *o)
{
    if (!o)
        return;
    pthread_mutex_lock(&o->lock);
    o->stop = true;
    pthread_cond_broadcast(&o->news);
    pthread_mutex_unlock(&o->lock);
    pthread_join(o->thread, NULL);
    pthread_cond_destroy(&o->news);
    pthread_mutex_destroy(&o->lock);
    release(o);
}
