/* Spans: the trace context of a request, and what a collector gets. The collector is a server of
 * ours too. */
#include "http_support.h"
#include <poll.h>
#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct buf received, key;
static int status_to_give = 200;

static enum status h_collect(struct http_request *q, struct reply *r, struct err *err)
{
    (void)err;
    pthread_mutex_lock(&lock);
    buf_addstr(&received, q->body);
    buf_addc(&received, '\n');
    buf_clear(&key);
    if (http_header(q, "x-collector-key").p)
        buf_addstr(&key, http_header(q, "x-collector-key"));
    pthread_mutex_unlock(&lock);
    reply_send(r, status_to_give, "application/json", STR("{}"));
    return OK;
}

static enum status h_chat(struct http_request *q, struct reply *r, struct err *err)
{
    (void)err;
    http_note_model(q, STR("tiny:1b"));
    http_note_tokens(q, "chat", 11, 12);
    http_note_tokens(q, "chat", 0, 10);
    reply_send(r, 200, "text/plain", STR("secret answer"));
    return OK;
}

static enum status h_fail(struct http_request *q, struct reply *r, struct err *err)
{
    (void)q;
    (void)r;
    return err_set(err, EFAIL, "broken");
}

static const struct route collector_routes[] = {
    {.method = "POST", .path = "/v1/traces", .fn = h_collect, .summary = ""}};
static const struct route routes[] = {
    {.method = "POST", .path = "/api/chat", .fn = h_chat, .summary = ""},
    {.method = "GET", .path = "/api/fail", .fn = h_fail, .summary = ""},
    {.method = "GET", .path = "/health", .fn = h_chat, .summary = "", .flags = ROUTE_ALWAYS},
};

static const json_t *attribute(const json_t *span, const char *name)
{
    const json_t *v;
    size_t i;
    json_array_foreach(
        json_object_get(span, "attributes"), i,
        v) if (strcmp(json_string_value(json_object_get(v, "key")), name) ==
               0) return json_object_iter_value(json_object_iter(json_object_get((json_t
                                                                                      *)(uintptr_t)
                                                                                     v,
                                                                                 "value")));
    return NULL;
}

static void wait_for_lines(int n)
{
    for (int i = 0; i < 30000; i++) {
        int lines = 0;
        pthread_mutex_lock(&lock);
        for (size_t k = 0; k < received.n; k++)
            lines += received.p[k] == '\n';
        pthread_mutex_unlock(&lock);
        if (lines >= n)
            return;
        poll(NULL, 0, 2);
    }
    fail_msg("the collector got nothing");
}

static void a_span_for_each_request(void **state)
{
    (void)state;
    struct err err = {0};
    struct otlp *otlp;
    char url[100];
    buf_init(&received, 1 << 20);
    buf_init(&key, 1000);
    struct server *collector =
        serve((struct server_options){.routes = collector_routes, .n_routes = 1});
    snprintf(url, sizeof url, "%s/v1/traces", server_url(collector));
    struct otlp_options o = {.url = url, .headers = "x-collector-key=a%20b,other=c"};
    assert_ok(otlp_new(&otlp, &o, &err));
    struct server *s = serve((struct server_options){
        .routes = routes, .n_routes = sizeof routes / sizeof *routes, .otlp = otlp});
    int port = server_port(s);
    expect_call(port, "POST", "/api/chat",
                "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n",
                "secret prompt", 200, NULL);
    expect_call(port, "POST", "/api/chat",
                "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00\r\n", "x",
                200, NULL); /* not sampled */
    expect_call(port, "GET", "/health", NULL, NULL, 200, NULL);
    expect_call(port, "GET", "/api/fail", NULL, NULL, 500, NULL);
    unserve(s);
    otlp_free(otlp);
    wait_for_lines(1);

    pthread_mutex_lock(&lock);
    assert_string_equal(key.p, "a b");
    assert_null(strstr(received.p, "secret"));
    json_t *spans = json_array();
    for (struct str rest = buf_str(&received); rest.n;) {
        size_t n = (size_t)((const char *)memchr(rest.p, '\n', rest.n) - rest.p);
        json_t *doc;
        assert_ok(json_parse(&doc, str_slice(rest, 0, n), "spans", &err));
        json_t *resource = json_array_get(json_object_get(doc, "resourceSpans"), 0);
        json_t *scope = json_array_get(json_object_get(resource, "scopeSpans"), 0);
        json_array_extend(spans, json_object_get(scope, "spans"));
        assert_string_equal(
            json_string_value(attribute(json_object_get(resource, "resource"), "service.name")),
            "hearth");
        json_decref(doc);
        rest = str_slice(rest, n + 1, rest.n);
    }
    pthread_mutex_unlock(&lock);
    assert_int_equal(json_array_size(spans), 2);
    const json_t *chat = json_array_get(spans, 0), *fail = json_array_get(spans, 1);
    if (strcmp(json_string_value(json_object_get(chat, "name")), "chat tiny:1b") != 0) {
        chat = fail;
        fail = json_array_get(spans, 0);
    }
    assert_string_equal(json_string_value(json_object_get(chat, "name")), "chat tiny:1b");
    assert_string_equal(json_string_value(json_object_get(chat, "traceId")),
                        "0af7651916cd43dd8448eb211c80319c");
    assert_string_equal(json_string_value(json_object_get(chat, "parentSpanId")),
                        "b7ad6b7169203331");
    assert_int_equal(strlen(json_string_value(json_object_get(chat, "spanId"))), 16);
    assert_string_equal(json_string_value(attribute(chat, "gen_ai.usage.output_tokens")), "22");
    assert_string_equal(json_string_value(attribute(chat, "http.response.status_code")), "200");
    assert_true(strtoll(json_string_value(json_object_get(chat, "endTimeUnixNano")), NULL, 10) >=
                strtoll(json_string_value(json_object_get(chat, "startTimeUnixNano")), NULL, 10));
    assert_string_equal(json_string_value(json_object_get(fail, "name")), "GET /api/fail");
    assert_null(json_object_get(fail, "parentSpanId"));
    assert_int_equal(json_integer_value(json_object_get(json_object_get(fail, "status"), "code")),
                     2);
    json_decref(spans);
    unserve(collector);
    buf_release(&received);
    buf_release(&key);
}

/* Nobody listens: requests are answered all the same, and what is lost is counted. */
static void no_collector_holds_nothing_up(void **state)
{
    (void)state;
    struct err err = {0};
    struct otlp *otlp;
    struct listener l;
    struct buf b;
    char url[100];
    assert_ok(listen_open(&l, "127.0.0.1", 0, false, &err));
    snprintf(url, sizeof url, "http://127.0.0.1:%d/v1/traces", l.port);
    listen_close(&l);
    assert_ok(otlp_new(&otlp, &(struct otlp_options){.url = url}, &err));
    struct server *s =
        serve((struct server_options){.routes = routes, .n_routes = 3, .otlp = otlp});
    for (int i = 0; i < 20; i++)
        expect_call(server_port(s), "POST", "/api/chat", NULL, "x", 200, NULL);
    buf_init(&b, 1 << 20);
    for (int i = 0; i < 30000; i++) {
        buf_clear(&b);
        server_metrics(s, &b);
        if (strstr(b.p, "hearth_otlp_spans_total{result=\"dropped\"} 20\n"))
            break;
        poll(NULL, 0, 2);
    }
    assert_non_null(strstr(b.p, "hearth_otlp_spans_total{result=\"dropped\"} 20\n"));
    unserve(s);
    otlp_free(otlp);
    buf_release(&b);
    assert_int_equal(
        otlp_new(&otlp, &(struct otlp_options){.url = url, .headers = "no equals"}, &err), EUSAGE);
}

static void trace_context_is_checked(void **state)
{
    (void)state;
    struct trace_context t;
    static const char *const bad[] = {
        "",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0x",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (trace_parse(str_from(bad[i]), &t))
            fail_msg("taken: %s", bad[i]);
    assert_true(
        trace_parse(STR("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03-more"), &t));
    assert_true(t.sampled);
    trace_begin((struct str){NULL, 0}, &t);
    assert_int_equal(strlen(t.trace_id), 32);
    assert_int_equal(strlen(t.span_id), 16);
    assert_string_equal(t.parent_id, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_span_for_each_request),
        cmocka_unit_test(no_collector_holds_nothing_up),
        cmocka_unit_test(trace_context_is_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
