/* Who may call, from where and how often: keys, scopes, limits, Host, Origin; and what the server
 * tells about it: metrics and log lines. */
#include "http_support.h"
#include "server/guard.h"
#include "server/uri.h"
#include <poll.h>
#include <sys/stat.h>

static atomic_int released;

static enum status h_ok(struct http_request *q, struct reply *r, struct err *err)
{
    struct buf b;
    (void)err;
    buf_init(&b, 1000);
    buf_printf(&b, "%.*s %u", STR_ARG(q->key_name), q->scopes);
    http_note_model(q, STR("tiny"));
    http_note_tokens(q, "chat", 3, 4);
    reply_send(r, 200, "text/plain", buf_str(&b));
    buf_release(&b);
    return OK;
}

static enum status h_hold(struct http_request *q, struct reply *r, struct err *err)
{
    reply_start(r, 200, "text/plain");
    while (!atomic_load(&released) && !atomic_load(q->gone))
        poll(NULL, 0, 2);
    (void)err;
    return OK;
}

#define R(m, p, f, s, d)                                                                           \
    {                                                                                              \
        .method = m, .path = p, .fn = f, .scope = s, .dialect = DIALECT_##d, .summary = ""         \
    }
static const struct route routes[] = {
    R("GET", "/open", h_ok, SCOPE_NONE, OLLAMA),
    R("GET", "/api/read", h_ok, SCOPE_READ, OLLAMA),
    R("GET", "/api/hold", h_hold, SCOPE_READ, OLLAMA),
    R("POST", "/v1/infer", h_ok, SCOPE_INFER, OPENAI),
    R("POST", "/v1/messages", h_ok, SCOPE_INFER, ANTHROPIC),
    R("DELETE", "/api/delete", h_ok, SCOPE_MODELS, OLLAMA),
};

static struct server_options options(struct auth *auth)
{
    return (struct server_options){
        .routes = routes, .n_routes = sizeof routes / sizeof *routes, .auth = auth};
}

static char path[64];

static void write_keys(const struct key_list *l)
{
    struct err err = {0};
    assert_ok(keys_write(l, path, &err));
}

static const char *bearer(const char *key)
{
    static char line[160];
    snprintf(line, sizeof line, "Authorization: Bearer %s\r\n", key);
    return line;
}

static void keys_scopes_and_limits(void **state)
{
    (void)state;
    struct err err = {0};
    struct key_list l = {0};
    struct auth *auth;
    char reader[KEY_TEXT], writer[KEY_TEXT], admin[KEY_TEXT], slow[KEY_TEXT], one[KEY_TEXT],
        line[160];
    assert_ok(keys_add(&l, "reader", SCOPE_READ, 0, 0, reader, &err));
    assert_ok(keys_add(&l, "writer", SCOPE_INFER, 0, 0, writer, &err));
    assert_ok(keys_add(&l, "admin", SCOPE_ADMIN, 0, 0, admin, &err));
    assert_ok(keys_add(&l, "slow", SCOPE_INFER, 2, 0, slow, &err));
    assert_ok(keys_add(&l, "one", SCOPE_READ, 0, 1, one, &err));
    assert_int_equal(keys_add(&l, "one", SCOPE_READ, 0, 1, line, &err), EUSAGE);
    assert_int_equal(keys_add(&l, "a b", SCOPE_READ, 0, 1, line, &err), EUSAGE);
    write_keys(&l);
    assert_ok(auth_new(&auth, path, &err));
    struct server *s = serve(options(auth));
    int port = server_port(s);

    expect_call(port, "GET", "/open", NULL, NULL, 200, " 15");
    expect_call(port, "GET", "/api/read", NULL, NULL, 401, "{\"error\":\"no API key");
    expect_call(port, "GET", "/api/read", NULL, NULL, 401, "WWW-Authenticate: Bearer");
    expect_call(port, "GET", "/api/read", bearer("hearth_0"), NULL, 401, "not one of");
    expect_call(port, "GET", "/api/read", bearer(""), NULL, 401, NULL);
    expect_call(port, "GET", "/api/read", bearer(reader), NULL, 200, "reader 2");
    expect_call(port, "POST", "/v1/infer", bearer(reader), "{}", 403, "insufficient_permissions");
    expect_call(port, "POST", "/v1/infer", NULL, "{}", 401, "\"invalid_api_key\"");
    expect_call(port, "POST", "/v1/messages", NULL, "{}", 401, "\"authentication_error\"");
    snprintf(line, sizeof line, "X-Api-Key: %s\r\n", writer);
    expect_call(port, "POST", "/v1/messages", line, "{}", 200, "writer 1");
    snprintf(line, sizeof line, "X-Api-Key: %s\r\n", reader);
    expect_call(port, "POST", "/v1/messages", line, "{}", 403, "\"permission_error\"");
    expect_call(port, "DELETE", "/api/delete", bearer(writer), NULL, 403, "the scope models");
    expect_call(port, "DELETE", "/api/delete", bearer(admin), NULL, 200, "admin 15");

    /* two a minute: the third waits */
    expect_call(port, "POST", "/v1/infer", bearer(slow), "{}", 200, NULL);
    expect_call(port, "POST", "/v1/infer", bearer(slow), "{}", 200, NULL);
    struct answer a = call(port, "POST", "/v1/infer", bearer(slow), "{}");
    assert_int_equal(a.status, 429);
    long wait = strtol(find_header(&a, "Retry-After"), NULL, 10);
    assert_true(wait >= 1 && wait <= 31);
    assert_non_null(strstr(a.body.p, "rate_limit_exceeded"));
    answer_release(&a);

    /* one at once */
    char text[300];
    int fd = dial(port);
    snprintf(text, sizeof text, "GET /api/hold HTTP/1.1\r\nHost: localhost\r\n%s\r\n", bearer(one));
    puts_to(fd, text);
    char first;
    assert_true(read_byte(fd, &first)); /* its answer has begun */
    expect_call(port, "GET", "/api/read", bearer(one), NULL, 429, "1 requests running");
    atomic_store(&released, 1);
    shutdown(fd, SHUT_WR);
    while (read_byte(fd, &first))
        ;
    close(fd);
    int status = 429;
    for (int i = 0; i < 30000 && status == 429; i++) {
        a = call(port, "GET", "/api/read", bearer(one), NULL);
        status = a.status;
        answer_release(&a);
        poll(NULL, 0, 2);
    }
    assert_int_equal(status, 200);

    /* the file changes under the running server */
    assert_ok(keys_remove(&l, "reader", &err));
    write_keys(&l);
    for (int i = 0; i < 30000 && status == 200; i++) {
        a = call(port, "GET", "/api/read", bearer(reader), NULL);
        status = a.status;
        answer_release(&a);
        poll(NULL, 0, 5);
    }
    assert_int_equal(status, 401);
    expect_call(port, "DELETE", "/api/delete", bearer(admin), NULL, 200, NULL);
    unserve(s);
    auth_free(auth);
    keys_release(&l);
}

static void the_key_file_holds_no_key(void **state)
{
    (void)state;
    struct err err = {0};
    struct key_list l = {0}, again;
    struct stat st;
    char text[KEY_TEXT], seen[8192] = "";
    assert_ok(keys_add(&l, "k", SCOPE_READ | SCOPE_MODELS, 7, 8, text, &err));
    assert_int_equal(strlen(text), 71);
    write_keys(&l);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    size_t n = fread(seen, 1, sizeof seen - 1, f);
    fclose(f);
    seen[n] = 0;
    assert_null(strstr(seen, text + 7));
    assert_ok(keys_read(&again, path, &err));
    assert_int_equal(again.n, 1);
    assert_memory_equal(&again.at[0], &l.at[0], sizeof *l.at);
    keys_release(&again);
    keys_release(&l);
    static const char *const bad[] = {
        "[]", "{\"keys\":{}}", "{\"keys\":[{\"name\":\"a\"}]}",
        "{\"keys\":[{\"name\":\"a\",\"sha256\":\"00\",\"scopes\":[]}]}",
        "{\"keys\":[{\"name\":\"../a\",\"sha256\":\"00\",\"scopes\":[]}]}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        f = fopen(path, "w");
        fputs(bad[i], f);
        fclose(f);
        assert_int_equal(keys_read(&again, path, &err), EFORMAT);
        assert_int_equal(again.n, 0);
    }
    unlink(path);
    assert_ok(keys_read(&again, path, &err)); /* absent: no keys */
    assert_int_equal(again.n, 0);
}

static void other_hosts_and_origins_are_refused(void **state)
{
    (void)state;
    static const char *const more[] = {"https://*.example.com", "chrome-extension://*"};
    struct server_options o = options(NULL);
    o.origins = more;
    o.n_origins = 2;
    struct server *s = serve(o);
    int port = server_port(s);
    struct answer a = ask(port, "GET /open HTTP/1.1\r\nHost: evil.example.com\r\n\r\n");
    assert_int_equal(a.status, 403);
    assert_int_equal(a.body.n, 0);
    answer_release(&a);
    a = ask(port, "GET /open HTTP/1.1\r\nHost: 192.168.1.7:11434\r\n\r\n");
    assert_int_equal(a.status, 200);
    answer_release(&a);
    expect_call(port, "GET", "/open", "Origin: http://localhost:3000\r\n", NULL, 200,
                "Access-Control-Allow-Origin: http://localhost:3000\r\n");
    expect_call(port, "GET", "/open", "Origin: https://a.example.com\r\n", NULL, 200,
                "Vary: Origin\r\n");
    expect_call(port, "GET", "/open", "Origin: https://a.example.net\r\n", NULL, 403, "Origin");
    struct answer p = call(port, "OPTIONS", "/v1/infer",
                           "Origin: app://obsidian.md\r\nAccess-Control-Request-Method: POST\r\n"
                           "Access-Control-Request-Headers: authorization, x-stainless-os, x-evil, "
                           "x-stainless-arch\r\n",
                           NULL);
    assert_int_equal(p.status, 204);
    assert_string_equal(find_header(&p, "Access-Control-Allow-Methods"), "POST, OPTIONS");
    const char *allowed = find_header(&p, "Access-Control-Allow-Headers");
    assert_non_null(strstr(allowed, "Authorization"));
    assert_non_null(strstr(allowed, ", x-stainless-os, x-stainless-arch"));
    assert_null(strstr(allowed, "x-evil"));
    answer_release(&p);
    expect_call(port, "OPTIONS", "/v1/infer", NULL, NULL, 204, "Allow: POST, OPTIONS\r\n");
    expect_call(port, "OPTIONS", "/v1/none", NULL, NULL, 404, NULL);
    unserve(s);
}

static void hosts(void **state)
{
    (void)state;
    static const struct {
        const char *host;
        bool ok;
    } rows[] = {
        {"", true},
        {"localhost", true},
        {"LOCALHOST:11434", true},
        {"127.0.0.1", true},
        {"127.9.9.9:1", true},
        {"0.0.0.0", true},
        {"[::1]:80", true},
        {"[::]", true},
        {"[fd00::1]", true},
        {"10.1.2.3", true},
        {"172.16.0.1", true},
        {"172.32.0.1", false},
        {"8.8.8.8", false},
        {"[2001:db8::1]", false},
        {"a.localhost", true},
        {"nas.local", true},
        {"x.internal:8", true},
        {"docker.internal.", true},
        {"local", false},
        {"evil.com", false},
        {"localhost.evil.com", false},
        {"a b", false},
        {"localhost:99999", false},
        {"localhost:x", false},
        {"[::1", false},
        {"user@localhost", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (guard_host(str_from(rows[i].host)) != rows[i].ok)
            fail_msg("host '%s', expected %d", rows[i].host, rows[i].ok);
    struct {
        const char *origin;
        bool ok;
    } origins[] = {
        {"http://localhost", true},
        {"https://localhost:8443", true},
        {"http://127.0.0.1:5173", true},
        {"http://0.0.0.0:1", true},
        {"vscode-webview://abc", true},
        {"tauri://localhost", true},
        {"http://my.host:11434", true},
        {"http://my.host:1", false},
        {"null", false},
        {"http://localhost.evil.com", false},
        {"http://evil.com", false},
        {"", false},
        {"http://localhost@evil", false},
        {"ftp://localhost", false},
    };
    for (size_t i = 0; i < sizeof origins / sizeof *origins; i++)
        if (guard_origin(str_from(origins[i].origin), STR("my.host:11434"), NULL, 0) !=
            origins[i].ok)
            fail_msg("origin '%s', expected %d", origins[i].origin, origins[i].ok);
    static const char *const any[] = {"*"};
    assert_true(guard_origin(STR("http://evil.com"), STR("h"), any, 1));
}

static void addresses_to_listen_on(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host;
        int port;
    } rows[] = {
        {"", "", -1},
        {"0.0.0.0", "0.0.0.0", -1},
        {"0.0.0.0:8080", "0.0.0.0", 8080},
        {":8080", "", 8080},
        {"[::1]:9", "::1", 9},
        {"::1", "::1", -1},
        {"http://example.com", "example.com", 80},
        {"https://example.com/x", "example.com", 443},
        {"http://1.2.3.4:5/", "1.2.3.4", 5},
    };
    struct err err = {0};
    char host[256];
    int port;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_ok(listen_parse(str_from(rows[i].text), host, &port, &err));
        assert_string_equal(host, rows[i].host);
        assert_int_equal(port, rows[i].port);
    }
    assert_int_equal(listen_parse(STR("a b"), host, &port, &err), EUSAGE);
    assert_int_equal(listen_parse(STR("a:b"), host, &port, &err), EUSAGE);
    struct listener one, two;
    assert_ok(listen_open(&one, "127.0.0.1:0", -1, false, &err));
    assert_true(one.loopback && one.port > 0);
    assert_int_equal(listen_open(&two, "127.0.0.1", one.port, false, &err), EBUSY);
    assert_non_null(strstr(err.msg, "Ollama"));
    listen_close(&one);
    assert_ok(listen_open(&one, "0.0.0.0", 0, false, &err));
    assert_false(one.loopback);
    listen_close(&one);
}

static void routing(void **state)
{
    (void)state;
    static const struct route table[] = {
        R("GET", "/", h_ok, 0, OLLAMA),
        R("HEAD", "/api/blobs/{digest}", h_ok, 0, OLLAMA),
        R("POST", "/api/blobs/{digest}", h_ok, 0, OLLAMA),
        R("GET", "/v1/models", h_ok, 0, OPENAI),
        R("GET", "/v1/models/{model...}", h_ok, 0, OPENAI),
        R("GET", "/a/{x}/b/{y}", h_ok, 0, OLLAMA),
    };
    enum { N = sizeof table / sizeof *table };
    static const struct {
        const char *method, *path;
        int row; /* -1: the path is known, -2: not even that */
        const char *value;
    } rows[] = {
        {"GET", "/", 0, NULL},
        {"HEAD", "/", 0, NULL},
        {"POST", "/", -1, NULL},
        {"HEAD", "/api/blobs/x", 1, "x"},
        {"POST", "/api/blobs/x", 2, "x"},
        {"GET", "/api/blobs/x", -1, NULL},
        {"POST", "/api/blobs/", -2, NULL},
        {"POST", "/api/blobs/x/y", -2, NULL},
        {"GET", "/v1/models", 3, NULL},
        {"GET", "/v1/models/", 3, NULL},
        {"GET", "/v1/models/hf.co/a/b:c", 4, "hf.co/a/b:c"},
        {"GET", "/v1/modelsx", -2, NULL},
        {"GET", "/a/1/b/2", 5, "1"},
        {"GET", "/a//b/2", -2, NULL},
        {"GET", "//", 0, NULL},
        {"GET", "/a", -2, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct route_match m;
        route_find(table, N, str_from(rows[i].method), str_from(rows[i].path), &m);
        int row = m.route ? (int)(m.route - table) : m.path_known ? -1 : -2;
        if (row != rows[i].row)
            fail_msg("%s %s: row %d, expected %d", rows[i].method, rows[i].path, row, rows[i].row);
        if (rows[i].value)
            assert_true(str_is(m.params[0].value, rows[i].value));
    }
}

static void queries(void **state)
{
    (void)state;
    struct str v, p, q;
    struct buf b;
    buf_init(&b, 100);
    assert_true(uri_query(STR("a=1&bb=2&b=3&c"), "b", &v) && str_is(v, "3"));
    assert_true(uri_query(STR("a=1&c"), "c", &v) && v.n == 0);
    assert_false(uri_query(STR("a=1&&x"), "b", &v));
    assert_true(uri_decode(STR("%e2%82%AC+"), true, &b));
    assert_string_equal(b.p, "\xe2\x82\xac ");
    static const char *const bad[] = {"%", "%4", "%4g", "%00", "a%"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(uri_decode(str_from(bad[i]), false, &b));
    assert_true(uri_split(STR("http://h:1/a?b?c"), &p, &q) && str_is(p, "/a") && str_is(q, "b?c"));
    assert_true(uri_split(STR("HTTP://h"), &p, &q) && str_is(p, "/") && q.n == 0);
    assert_false(uri_split(STR("*"), &p, &q));
    assert_false(uri_split(STR(""), &p, &q));
    buf_release(&b);
}

static void add_line(void *app, struct buf *out)
{
    buf_printf(out, "own_number %d\n", *(int *)app);
}

static void metrics_and_log_lines(void **state)
{
    (void)state;
    int number = 42;
    struct server_options o = options(NULL);
    o.metrics = add_line;
    o.app = &number;
    struct server *s = serve(o);
    int port = server_port(s);
    struct buf b;
    buf_init(&b, 1 << 20);
    for (int i = 0; i < 3; i++)
        expect_call(port, "GET", "/api/read", NULL, NULL, 200, NULL);
    expect_call(port, "GET", "/nowhere", NULL, NULL, 404, NULL);
    static const char *const wanted[] = {
        "hearth_http_requests_total{method=\"GET\",route=\"/api/read\",status=\"200\"} 3\n",
        "hearth_http_requests_total{method=\"other\",route=\"none\",status=\"404\"} 1\n",
        "hearth_http_request_duration_seconds_bucket{method=\"GET\",route=\"/api/"
        "read\",le=\"+Inf\"} "
        "3\n",
        "hearth_http_time_to_first_byte_seconds_count{method=\"GET\",route=\"/api/read\"} 3\n",
        "hearth_ready 1\n",
        "own_number 42\n",
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        for (int k = 0;; k++) { /* the last request may not be counted yet */
            buf_clear(&b);
            server_metrics(s, &b);
            if (strstr(b.p, wanted[i]))
                break;
            if (k == 10000)
                fail_msg("no '%s' in %s", wanted[i], b.p);
            poll(NULL, 0, 2);
        }
    unserve(s);

    struct http_request q = {.method = STR("POST"),
                             .path = STR("/v1/\"x\n"),
                             .id = STR("id1"),
                             .peer = STR("::1"),
                             .key_name = STR("me")};
    struct access_record a = {.request = &q,
                              .route = &routes[1],
                              .status = 200,
                              .gone = true,
                              .bytes_in = 5,
                              .bytes_out = 6,
                              .start_ns = 1000000000,
                              .first_ns = 1500000000,
                              .end_ns = 3000000000,
                              .start_unix_ns = 1234000000,
                              .model = STR("m"),
                              .prompt_tokens = 3,
                              .answer_tokens = 4};
    buf_clear(&b);
    access_line(&a, ACCESS_JSON, &b);
    assert_string_equal(
        b.p,
        "{\"time\":\"1970-01-01T00:00:01.234Z\",\"id\":\"id1\",\"peer\":\"::1\",\"key\":\"me\","
        "\"method\":\"POST\",\"path\":\"/v1/\\\"x\\n\",\"route\":\"/api/read\",\"status\":200,"
        "\"seconds\":2,\"first_byte_seconds\":0.5,\"bytes_in\":5,\"bytes_out\":6,\"model\":\"m\","
        "\"prompt_tokens\":3,\"answer_tokens\":4,\"client_gone\":true}\n");
    buf_clear(&b);
    access_line(&a, ACCESS_TEXT, &b);
    assert_int_equal(strcspn(b.p, "\n"), b.n - 1); /* one line, whatever the path holds */
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_scopes_and_limits),
        cmocka_unit_test(the_key_file_holds_no_key),
        cmocka_unit_test(other_hosts_and_origins_are_refused),
        cmocka_unit_test(hosts),
        cmocka_unit_test(addresses_to_listen_on),
        cmocka_unit_test(routing),
        cmocka_unit_test(queries),
        cmocka_unit_test(metrics_and_log_lines),
    };
    snprintf(path, sizeof path, "/tmp/http_access_test.%d.json", (int)getpid());
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failures;
}
