/* A real server over real sockets: answers, streams, bodies, clients that read slowly or leave,
 * ceilings, what is refused, and stopping. */
#include "http_support.h"
#include <poll.h>
#include <zlib.h>
#include <zstd.h>

static atomic_int held, released, seen_gone, flooded;

static void nap(void)
{
    poll(NULL, 0, 2);
}

/* Waits until *v is at least n: a minute, then the test fails. */
static void await(atomic_int *v, int n)
{
    for (int i = 0; i < 30000 && atomic_load(v) < n; i++)
        nap();
    assert_true(atomic_load(v) >= n);
}

/* ---- handlers ---- */

static enum status h_echo(struct http_request *q, struct reply *r, struct err *err)
{
    (void)err;
    struct buf b;
    struct str name = http_param(q, "name"), x = http_query(q, "x");
    buf_init(&b, 1 << 20);
    buf_printf(&b, "%.*s|%.*s|%.*s|", STR_ARG(name.p ? name : STR("-")),
               STR_ARG(x.p ? x : STR("-")), STR_ARG(q->body));
    reply_header(r, "X-Bad", STR("a\r\nb"));
    reply_header(r, "X-Good", STR("yes"));
    reply_send(r, 201, "text/plain", buf_str(&b));
    buf_release(&b);
    return OK;
}

static enum status h_stream(struct http_request *q, struct reply *r, struct err *err)
{
    long n = strtol(http_param(q, "n").p, NULL, 10);
    (void)err;
    for (long i = 0; i < n; i++) {
        char line[64];
        int k = snprintf(line, sizeof line, "{\"line\":%ld}", i);
        if (reply_line(r, (struct str){line, (size_t)k}) != 0)
            return OK;
    }
    return OK;
}

static enum status h_events(struct http_request *q, struct reply *r, struct err *err)
{
    (void)q;
    (void)err;
    reply_sse(r, "start", STR("one"));
    reply_sse(r, NULL, STR("two\nlines"));
    return OK;
}

static enum status h_flood(struct http_request *q, struct reply *r, struct err *err)
{
    static char block[8192];
    (void)err;
    reply_start(r, 200, "application/octet-stream");
    atomic_fetch_add(&held, 1);
    while (reply_write(r, (struct str){block, sizeof block}) == 0)
        atomic_fetch_add(&flooded, 1);
    if (atomic_load(q->gone))
        atomic_fetch_add(&seen_gone, 1);
    return OK;
}

static enum status h_wait(struct http_request *q, struct reply *r, struct err *err)
{
    (void)r;
    atomic_fetch_add(&held, 1);
    while (!atomic_load(q->gone) && !atomic_load(&released))
        nap();
    if (!atomic_load(q->gone)) {
        reply_send(r, 200, "text/plain", STR("waited"));
        return OK;
    }
    atomic_fetch_add(&seen_gone, 1);
    return err_set(err, ECANCEL, "gone");
}

/* Begins a stream and writes nothing: the connection is suspended in the middle of an answer. */
static enum status h_silent(struct http_request *q, struct reply *r, struct err *err)
{
    reply_start(r, 200, "text/event-stream");
    return h_wait(q, r, err);
}

static enum status h_fail(struct http_request *q, struct reply *r, struct err *err)
{
    (void)q;
    (void)r;
    return err_set(err, ENOTFOUND, "model 'x' not found");
}

static enum status h_break(struct http_request *q, struct reply *r, struct err *err)
{
    (void)q;
    reply_line(r, STR("{}"));
    return err_set(err, EIO, "the disk is gone");
}

static enum status h_nothing(struct http_request *q, struct reply *r, struct err *err)
{
    (void)q;
    (void)r;
    (void)err;
    return OK;
}

static enum status h_json(struct http_request *q, struct reply *r, struct err *err)
{
    json_t *doc;
    enum status s = http_json(q, &doc, err);
    if (s != OK)
        return s;
    reply_send(r, 200, "text/plain", STR("object"));
    json_decref(doc);
    return OK;
}

static enum status h_upload(struct http_request *q, struct reply *r, struct err *err)
{
    static _Thread_local char block[10000];
    uint64_t total = 0, sum = 0;
    size_t n;
    if (str_is(http_param(q, "name"), "early"))
        return err_set(err, EUSAGE, "not wanted");
    for (;;) {
        enum status s = http_body_read(q, block, sizeof block, &n, err);
        if (s != OK) {
            atomic_fetch_add(&seen_gone, 1);
            return s;
        }
        if (n == 0)
            break;
        total += n;
        for (size_t i = 0; i < n; i++)
            sum += (unsigned char)block[i];
    }
    char text[64];
    int k = snprintf(text, sizeof text, "%llu %llu", (unsigned long long)total,
                     (unsigned long long)sum);
    reply_send(r, 200, "text/plain", (struct str){text, (size_t)k});
    return OK;
}

#define R(m, p, f)                                                                                 \
    {                                                                                              \
        .method = m, .path = p, .fn = f, .summary = ""                                             \
    }
#define R_AS(m, p, f, d)                                                                           \
    {                                                                                              \
        .method = m, .path = p, .fn = f, .summary = "", .dialect = DIALECT_##d                     \
    }
#define R_IS(m, p, f, k)                                                                           \
    {                                                                                              \
        .method = m, .path = p, .fn = f, .summary = "", .flags = ROUTE_##k                         \
    }
static const struct route routes[] = {
    R("POST", "/echo", h_echo),
    R("POST", "/echo/{name}", h_echo),
    R("GET", "/deep/{name...}", h_echo),
    R("DELETE", "/echo/{name}", h_echo),
    R("GET", "/stream/{n}", h_stream),
    R_AS("GET", "/v1/events", h_events, OPENAI),
    R("GET", "/flood", h_flood),
    R("GET", "/wait", h_wait),
    R("GET", "/silent", h_silent),
    R("GET", "/api/fail", h_fail),
    R_AS("GET", "/v1/fail", h_fail, OPENAI),
    R_AS("GET", "/v1/messages/fail", h_fail, ANTHROPIC),
    R("GET", "/break", h_break),
    R("GET", "/nothing", h_nothing),
    R("POST", "/json", h_json),
    R_IS("POST", "/upload/{name}", h_upload, BODY_STREAM),
    R_IS("GET", "/always", h_echo, ALWAYS),
};

static struct server_options plain(void)
{
    atomic_store(&held, 0);
    atomic_store(&released, 0);
    atomic_store(&seen_gone, 0);
    atomic_store(&flooded, 0);
    return (struct server_options){.routes = routes, .n_routes = sizeof routes / sizeof *routes};
}

/* ---- tests ---- */

static void answers_whole_and_in_streams(void **state)
{
    (void)state;
    struct server *s = serve(plain());
    int port = server_port(s);
    expect_call(port, "POST", "/echo/a%2Fb?x=1+2%26", NULL, "body", 201, "a/b|1 2&|body|");
    expect_call(port, "POST", "/echo", NULL, "", 201, "-|-||");
    expect_call(port, "GET", "/deep/a/b/c", NULL, NULL, 201, "a/b/c|-||");
    expect_call(port, "DELETE", "/echo/x/", NULL, "{}", 201, "x|-|{}|");
    struct answer a = call(port, "POST", "/echo", "X-Request-Id: my-id.1\r\n", "");
    assert_string_equal(find_header(&a, "X-Request-Id"), "my-id.1");
    assert_string_equal(find_header(&a, "X-Good"), "yes");
    assert_null(find_header(&a, "X-Bad"));
    answer_release(&a);
    a = call(port, "POST", "/echo", "X-Request-Id: <script>\r\n", "");
    assert_memory_equal(find_header(&a, "X-Request-Id"), "req_", 4);
    answer_release(&a);

    a = call(port, "GET", "/stream/20000", NULL, NULL);
    assert_int_equal(a.status, 200);
    assert_false(a.broken);
    assert_string_equal(find_header(&a, "Content-Type"), "application/x-ndjson");
    const char *p = a.body.p;
    for (int i = 0; i < 20000; i++) {
        char line[64];
        int n = snprintf(line, sizeof line, "{\"line\":%d}\n", i);
        assert_memory_equal(p, line, (size_t)n);
        p += n;
    }
    assert_int_equal(*p, 0);
    answer_release(&a);
    expect_call(port, "GET", "/v1/events", NULL, NULL, 200,
                "event: start\ndata: one\n\ndata: two\ndata: lines\n\n");
    a = ask(port, "GET /stream/3 HTTP/1.0\r\n\r\n"); /* no chunks there: ends with the connection */
    assert_int_equal(a.status, 200);
    assert_null(find_header(&a, "Transfer-Encoding"));
    answer_release(&a);
    unserve(s);
}

static void errors_speak_the_dialect(void **state)
{
    (void)state;
    struct server *s = serve(plain());
    int port = server_port(s);
    expect_call(port, "GET", "/api/fail", NULL, NULL, 404, "{\"error\":\"model 'x' not found\"}");
    expect_call(
        port, "GET", "/v1/fail", NULL, NULL, 404,
        "{\"error\":{\"message\":\"model 'x' not found\",\"type\":\"invalid_request_error\","
        "\"param\":null,\"code\":\"not_found\"}}");
    expect_call(port, "GET", "/v1/messages/fail", "X-Request-Id: r1\r\n", NULL, 404,
                "{\"type\":\"error\",\"error\":{\"type\":\"not_found_error\",\"message\":\"model "
                "'x' not found\"},\"request_id\":\"r1\"}");
    /* a path that two dialects share, asked by Anthropic's client */
    expect_call(port, "GET", "/v1/fail", "anthropic-version: 2023-06-01\r\n", NULL, 404,
                "{\"type\":\"error\",\"error\":{\"type\":\"not_found_error\"");
    expect_call(port, "GET", "/v1/unknown", "anthropic-version: 2023-06-01\r\n", NULL, 404,
                "\"not_found_error\"");
    expect_call(port, "GET", "/api/unknown", NULL, NULL, 404, "{\"error\":\"");
    expect_call(port, "GET", "/v1/unknown", NULL, NULL, 404, "{\"error\":{\"message\":");
    expect_call(port, "GET", "/v1/messages/unknown", NULL, NULL, 404, "\"not_found_error\"");
    expect_call(port, "PUT", "/echo/x", NULL, "b", 405, "Allow: POST, DELETE, OPTIONS\r\n");
    expect_call(port, "POST", "/v1/fail", NULL, "b", 405, "Allow: GET, HEAD, OPTIONS\r\n");
    expect_call(port, "GET", "/nothing", NULL, NULL, 500, "no answer");
    struct answer a = call(port, "GET", "/v1/messages/fail", "X-Request-Id: r1\r\n", NULL);
    assert_string_equal(find_header(&a, "Request-Id"), "r1"); /* where that client looks for it */
    answer_release(&a);
    a = call(port, "GET", "/v1/fail", NULL, NULL);
    assert_null(find_header(&a, "Request-Id"));
    answer_release(&a);
    a = call(port, "GET", "/break", NULL, NULL);
    assert_int_equal(a.status, 200);
    assert_true(a.broken); /* the client must notice that something is missing */
    answer_release(&a);
    a = call(port, "HEAD", "/api/fail", NULL, NULL);
    assert_int_equal(a.status, 404);
    assert_int_equal(strtol(find_header(&a, "Content-Length"), NULL, 10), 31);
    answer_release(&a);
    a = call(port, "HEAD", "/stream/5", NULL, NULL);
    assert_int_equal(a.status, 200);
    answer_release(&a);
    expect_call(port, "POST", "/json", NULL, "", 400, "missing request body");
    expect_call(port, "POST", "/json", NULL, "[1]", 400, "expected a JSON object");
    expect_call(port, "POST", "/json", NULL, "{\"a\":", 400, "request body: line 1");
    expect_call(port, "POST", "/json", NULL, "{\"a\":1}", 200, "object");
    unserve(s);
}

/* jansson nests 2,048 deep on the stack of the handler's thread. */
static void deep_json_fits_the_stack(void **state)
{
    (void)state;
    struct server *s = serve(plain());
    struct buf b;
    buf_init(&b, 1 << 16);
    buf_adds(&b, "{\"a\":");
    for (int i = 0; i < 2040; i++)
        buf_adds(&b, i % 2 ? "[" : "{\"a\":");
    buf_adds(&b, "1");
    for (int i = 2040; i-- > 0;)
        buf_addc(&b, i % 2 ? ']' : '}');
    buf_adds(&b, "}");
    expect_call(server_port(s), "POST", "/json", NULL, b.p, 200, "object");
    buf_clear(&b);
    for (int i = 0; i < 30000; i++)
        buf_addc(&b, '[');
    expect_call(server_port(s), "POST", "/json", NULL, b.p, 400, "depth");
    buf_release(&b);
    unserve(s);
}

static void connections_are_kept(void **state)
{
    (void)state;
    struct server *s = serve(plain());
    int fd = dial(server_port(s));
    /* two at once, then one after a stream */
    puts_to(fd, "POST /echo/1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nA"
                "GET /stream/2 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    struct answer a = take(fd, false);
    assert_string_equal(a.body.p, "1|-|A|");
    answer_release(&a);
    a = take(fd, false);
    assert_string_equal(a.body.p, "{\"line\":0}\n{\"line\":1}\n");
    answer_release(&a);
    puts_to(fd, "POST /echo/2 HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
                "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    a = take(fd, false);
    assert_string_equal(a.body.p, "2|-|abcde|");
    answer_release(&a);
    close(fd);
    /* a client that closes its half right away still gets its answer, and then the end */
    for (int i = 0; i < 100; i++) {
        fd = dial(server_port(s));
        puts_to(fd, "POST /echo/3 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nB");
        shutdown(fd, SHUT_WR);
        a = take(fd, false);
        assert_string_equal(a.body.p, "3|-|B|");
        answer_release(&a);
        errno = 0;
        assert_true(is_closed(fd));
        assert_int_not_equal(errno, EAGAIN);
        close(fd);
    }
    unserve(s);
}

static void a_slow_reader_stalls_nobody(void **state)
{
    (void)state;
    struct server *s = serve(plain());
    int port = server_port(s), slow[8];
    for (int i = 0; i < 8; i++) {
        slow[i] = dial(port);
        puts_to(slow[i], "GET /flood HTTP/1.1\r\nHost: localhost\r\n\r\n");
    }
    await(&held, 8);
    /* they fill the kernel's buffers and ours, and then stand still */
    for (int before = -1; before != atomic_load(&flooded);) {
        before = atomic_load(&flooded);
        for (int i = 0; i < 50; i++)
            nap();
    }
    /* 8 * (ring + what two kernels hold), far below what a handler that does not wait would write
     */
    assert_true(atomic_load(&flooded) < 8 * 2000);
    for (int i = 0; i < 100; i++)
        expect_call(port, "POST", "/echo/x", NULL, "y", 201, "x|-|y|");
    assert_int_equal(atomic_load(&seen_gone), 0);
    for (int i = 0; i < 8; i++)
        close(slow[i]);
    await(&seen_gone, 8);
    unserve(s);
}

static void handlers_learn_that_the_client_left(void **state)
{
    (void)state;
    struct server *s = serve(plain());
    int port = server_port(s), n = 0;
    static const char *const paths[] = {"/wait", "/silent", "/flood"};
    for (int p = 0; p < 3; p++)
        for (int how = 0; how < 3; how++) {
            char text[128];
            int fd = dial(port);
            snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", paths[p]);
            puts_to(fd, text);
            await(&held, ++n);
            if (how == 0) {
                shutdown(fd, SHUT_WR);
            } else if (how == 1) {
                struct linger reset = {1, 0};
                setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
                close(fd);
            } else {
                close(fd);
            }
            await(&seen_gone, n);
            if (how == 0)
                close(fd);
        }
    /* in the middle of a body that is read as a stream */
    int fd = dial(port);
    puts_to(fd, "POST /upload/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nabc");
    nap();
    close(fd);
    await(&seen_gone, n + 1);
    unserve(s);
}

static void silent_streams_of_events_are_kept_awake(void **state)
{
    (void)state;
    struct server_options o = plain();
    o.ping_seconds = 1;
    struct server *s = serve(o);
    int fd = dial(server_port(s));
    puts_to(fd, "GET /silent HTTP/1.1\r\nHost: localhost\r\n\r\n");
    struct buf all;
    char c;
    buf_init(&all, 1 << 16);
    while (!(all.n && strstr(all.p, ": ping\n\n")) && read_byte(fd, &c))
        buf_addc(&all, c);
    assert_non_null(strstr(all.p, "8\r\n: ping\n\n"));
    buf_release(&all);
    atomic_store(&released, 1);
    close(fd);
    unserve(s);
}

static void framing_that_two_could_read_differently_is_refused(void **state)
{
    (void)state;
    struct server *s = serve(plain());
    int port = server_port(s);
    static const char *const heads[] = {
        "POST /echo HTTP/1.1\r\nHost: h.local\r\nContent-Length: 4\r\nContent-Length: "
        "5\r\n\r\nabcde",
        "POST /echo HTTP/1.1\r\nHost: h.local\r\nContent-Length: 4\r\nContent-Length: "
        "4\r\n\r\nabcd",
        "POST /echo HTTP/1.1\r\nHost: h.local\r\nContent-Length: 4\r\nTransfer-Encoding: "
        "chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: h.local\r\nTransfer-Encoding: chunked\r\nContent-Length: "
        "4\r\n\r\n0\r\n\r\n",
        "GET /always HTTP/1.1\r\nHost: h.local\r\nContent-Length: 4\r\nTransfer-Encoding: "
        "chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: h.local\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
        "identity\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: h.local\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: h.local\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: h.local\r\nContent-Length: 4x\r\n\r\nabcd",
        "POST /echo HTTP/1.1\r\nHost: h.local\r\nContent-Length: -4\r\n\r\nabcd",
        "POST /echo HTTP/1.1\r\nHost: h.local\r\nContent-Length: 99999999999999999999\r\n\r\nabcd",
        "POST /echo HTTP/1.1\r\nHost: h.local\r\nContent-Length : 4\r\n\r\nabcd",
        "POST /echo HTTP/1.1\r\nHost: a.local\r\nHost: b.local\r\nContent-Length: 4\r\n\r\nabcd",
        "POST /echo HTTP/1.1\r\nContent-Length: 4\r\n\r\nabcd",
    };
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        int fd = dial(port);
        puts_to(fd, heads[i]);
        puts_to(fd, "GET /always HTTP/1.1\r\nHost: h.local\r\n\r\n"); /* the smuggled one */
        /* libmicrohttpd itself tells some (a huge length with 413), in its own words, and closes
         * some without any; what counts is that the connection ends and nothing else is answered */
        struct buf all;
        char block[4096];
        ssize_t n;
        buf_init(&all, 1 << 20);
        while ((n = recv(fd, block, sizeof block, 0)) > 0)
            buf_add(&all, block, (size_t)n);
        if (n < 0 && errno == EAGAIN)
            fail_msg("request %zu: the connection was kept: %s", i, heads[i]);
        if (all.n && strncmp(all.p, "HTTP/1.1 400", 12) != 0 &&
            strncmp(all.p, "HTTP/1.1 413", 12) != 0)
            fail_msg("request %zu: %s, expected 400: %s", i, all.p, heads[i]);
        if (all.n && strstr(all.p, "HTTP/1.1 20"))
            fail_msg("request %zu: the smuggled one was answered: %s", i, heads[i]);
        buf_release(&all);
        close(fd);
    }
    expect_call(port, "GET", "/%zz", NULL, NULL, 400, NULL);
    expect_call(port, "GET", "/deep/a%00b", NULL, NULL, 400, NULL);
    expect_call(port, "GET", "http://localhost/deep/x", NULL, NULL, 201, "x|-||");
    unserve(s);
}

static void bodies_and_heads_have_ceilings(void **state)
{
    (void)state;
    struct server_options o = plain();
    o.max_body = 1000;
    struct server *s = serve(o);
    int port = server_port(s);
    struct buf b;
    buf_init(&b, 1 << 20);
    for (int i = 0; i < 1000; i++)
        buf_addc(&b, 'a');
    expect_call(port, "POST", "/echo", NULL, b.p, 201, "aaa|");
    buf_addc(&b, 'a');
    expect_call(port, "POST", "/echo", NULL, b.p, 413, "{\"error\":\"a body of 1001 bytes");
    expect_call(port, "POST", "/echo", "Content-Encoding: br\r\n", "x", 415, "Content-Encoding");
    expect_call(port, "POST", "/upload/x", "Content-Encoding: gzip\r\n", "x", 415, NULL);
    /* chunked: told at its end */
    int fd = dial(port);
    puts_to(fd, "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
                "3e9\r\n");
    put(fd, b.p, 1001);
    puts_to(fd, "\r\n0\r\n\r\n");
    struct answer a = take(fd, false);
    assert_int_equal(a.status, 413);
    answer_release(&a);
    close(fd);
    /* and without end: the connection is cut */
    fd = dial(port);
    puts_to(fd, "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    bool open = true;
    for (int i = 0; i < 100000 && open; i++)
        open = puts_to(fd, "3e8\r\n") && put(fd, b.p, 1000) && puts_to(fd, "\r\n");
    assert_false(open);
    close(fd);
    /* a head of 200 KB */
    buf_clear(&b);
    buf_adds(&b, "GET /always HTTP/1.1\r\nHost: localhost\r\nX-Long: ");
    for (int i = 0; i < 200000; i++)
        buf_addc(&b, 'x');
    buf_adds(&b, "\r\n\r\n");
    a = ask(port, b.p);
    assert_true(a.status == 431 || a.status == 413 || a.status == 0);
    answer_release(&a);
    /* one that is read as a stream has none */
    static char block[1 << 16];
    memset(block, 7, sizeof block);
    fd = dial(port);
    puts_to(fd, "POST /upload/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 13107200\r\n\r\n");
    for (int i = 0; i < 200; i++)
        assert_true(put(fd, block, sizeof block));
    a = take(fd, false);
    assert_string_equal(a.body.p, "13107200 91750400");
    answer_release(&a);
    close(fd);
    /* a handler that does not want it */
    expect_call(port, "POST", "/upload/early", NULL, "abc", 400, "not wanted");
    expect_call(port, "POST", "/upload/early", NULL, "", 400, "not wanted");
    buf_release(&b);
    unserve(s);
}

/* Sends `body` with a coding and compares the status and a piece of the answer. */
static void expect_coded(int port, const char *coding, const void *body, size_t n, int status,
                         const char *piece)
{
    int fd = dial(port);
    char head[200];
    snprintf(head, sizeof head,
             "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: %s\r\n"
             "Content-Length: %zu\r\n\r\n",
             coding, n);
    puts_to(fd, head);
    put(fd, body, n);
    struct answer a = take(fd, false);
    if (a.status != status || !strstr(a.body.p, piece))
        fail_msg("%s: %d %s, expected %d %s", coding, a.status, a.body.p, status, piece);
    answer_release(&a);
    close(fd);
}

static void compressed_bodies_are_unpacked_to_a_ceiling(void **state)
{
    (void)state;
    static char bomb[2000000], small[2000], packed[100000];
    struct server_options o = plain();
    o.max_body = sizeof bomb - 1;
    struct server *s = serve(o);
    int port = server_port(s);
    size_t n = ZSTD_compress(packed, sizeof packed, "hello zstd", 10, 3);
    expect_coded(port, "zstd", packed, n, 201, "-|-|hello zstd|");
    expect_coded(port, "zstd", packed, n - 1, 400, "cut short");
    expect_coded(port, "zstd", "hello", 5, 400, "cut short");
    n = ZSTD_compress(packed, sizeof packed, bomb, sizeof bomb, 3);
    expect_coded(port, "zstd", packed, n, 413, "would grow past");
    uLongf k = sizeof packed;
    memset(small, 'a', sizeof small);
    assert_int_equal(compress((Bytef *)packed, &k, (const Bytef *)small, sizeof small), Z_OK);
    expect_coded(port, "deflate", packed, k, 201, "aaaa|");
    expect_coded(port, "deflate", packed, k - 3, 400, "cut short");
    expect_coded(port, "GZIP", "hello", 5, 400, "cut short");
    k = sizeof packed;
    assert_int_equal(compress((Bytef *)packed, &k, (const Bytef *)bomb, sizeof bomb), Z_OK);
    expect_coded(port, "deflate", packed, k, 413, "would grow past");
    unserve(s);
}

static void what_is_too_much_is_told_to_come_back(void **state)
{
    (void)state;
    struct server_options o = plain();
    o.max_in_flight = 2;
    struct server *s = serve(o);
    int port = server_port(s), fd[2];
    for (int i = 0; i < 2; i++) {
        fd[i] = dial(port);
        puts_to(fd[i], "GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n");
    }
    await(&held, 2);
    struct answer a = call(port, "POST", "/echo", NULL, "x");
    assert_int_equal(a.status, 503);
    assert_string_equal(find_header(&a, "Retry-After"), "1");
    assert_non_null(strstr(a.body.p, "busy"));
    answer_release(&a);
    expect_call(port, "POST", "/upload/x", NULL, "x", 503, "Retry-After");
    atomic_store(&released, 1);
    for (int i = 0; i < 2; i++) {
        a = take(fd[i], false);
        assert_string_equal(a.body.p, "waited");
        answer_release(&a);
        close(fd[i]);
    }
    int status = 503;
    for (int i = 0; i < 30000 && status == 503; i++) {
        a = call(port, "POST", "/echo", NULL, "x");
        status = a.status;
        answer_release(&a);
        nap();
    }
    assert_int_equal(status, 201);
    unserve(s);
}

static void stopping_lets_requests_end_and_then_tells_them(void **state)
{
    (void)state;
    struct server *s = serve(plain());
    int port = server_port(s), fd = dial(port), kept = dial(port);
    puts_to(kept, "GET /always HTTP/1.1\r\nHost: localhost\r\n\r\n");
    struct answer a = take(kept, false);
    answer_release(&a);
    puts_to(fd, "GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await(&held, 1);
    server_drain(s);
    assert_false(server_ready(s));
    puts_to(kept, "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
    a = take(kept, false);
    assert_int_equal(a.status, 503);
    assert_string_equal(find_header(&a, "Retry-After"), "5");
    answer_release(&a);
    assert_true(is_closed(kept));
    close(kept);
    atomic_store(&released, 1);
    a = take(fd, false);
    assert_string_equal(a.body.p, "waited");
    answer_release(&a);
    close(fd);
    unserve(s);

    /* one that does not end by itself: its handler is told, and its client too */
    s = serve(plain());
    fd = dial(server_port(s));
    puts_to(fd, "GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await(&held, 1);
    assert_int_equal(server_stop(s, 1000000, (int64_t)60 * 1000000000), 0);
    assert_int_equal(atomic_load(&seen_gone), 1);
    a = take(fd, false);
    assert_int_equal(a.status, 503);
    answer_release(&a);
    close(fd);
    server_free(s);
}

static void many_idle_connections_cost_little(void **state)
{
    (void)state;
    enum { N = 300 };
    struct server *s = serve(plain());
    int fd[N];
    for (int i = 0; i < N; i++) {
        fd[i] = dial(server_port(s));
        puts_to(fd[i], "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx");
    }
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < N; i++) {
            struct answer a = take(fd[i], false);
            assert_int_equal(a.status, 201);
            answer_release(&a);
            if (round == 0)
                puts_to(fd[i],
                        "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx");
        }
    for (int i = 0; i < N; i++)
        close(fd[i]);
    unserve(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_whole_and_in_streams),
        cmocka_unit_test(errors_speak_the_dialect),
        cmocka_unit_test(deep_json_fits_the_stack),
        cmocka_unit_test(connections_are_kept),
        cmocka_unit_test(a_slow_reader_stalls_nobody),
        cmocka_unit_test(handlers_learn_that_the_client_left),
        cmocka_unit_test(silent_streams_of_events_are_kept_awake),
        cmocka_unit_test(framing_that_two_could_read_differently_is_refused),
        cmocka_unit_test(bodies_and_heads_have_ceilings),
        cmocka_unit_test(compressed_bodies_are_unpacked_to_a_ceiling),
        cmocka_unit_test(what_is_too_much_is_told_to_come_back),
        cmocka_unit_test(stopping_lets_requests_end_and_then_tells_them),
        cmocka_unit_test(many_idle_connections_cost_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
