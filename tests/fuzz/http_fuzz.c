/* What the server parses of a request itself: target, query, escapes, routes, Host, Origin, framing
 * of headers, trace context, addresses. Input: the first line is the target, the second Host, the
 * third Origin, the rest are headers "Name: value". */
#include "server/guard.h"
#include "server/listen.h"
#include "server/route.h"
#include "server/trace.h"
#include "server/uri.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok, const char *what)
{
    if (!ok)
        hearth_bug("%s", what);
}

static struct str line(struct str *rest)
{
    const char *end = rest->n ? memchr(rest->p, '\n', rest->n) : NULL;
    size_t n = end ? (size_t)(end - rest->p) : rest->n;
    struct str out = str_slice(*rest, 0, n);
    *rest = str_slice(*rest, end ? n + 1 : n, rest->n);
    return out;
}

static void check_target(struct str target)
{
    static const struct route table[] = {
        {.method = "GET", .path = "/"},
        {.method = "POST", .path = "/api/blobs/{digest}"},
        {.method = "GET", .path = "/v1/models/{model...}"},
        {.method = "GET", .path = "/a/{x}/b/{y}/{z}/{w}/{more...}"},
    };
    struct str path, query, value;
    struct route_match m;
    struct buf out;
    buf_init(&out, target.n);
    if (!uri_split(target, &path, &query))
        return;
    check(path.n && path.p[0] == '/', "a path without '/'");
    route_find(table, 4, STR("GET"), path, &m);
    check(m.n_params <= ROUTE_PARAMS, "too many params");
    for (int i = 0; i < m.n_params && m.route; i++) {
        check(m.params[i].value.n > 0, "an empty param");
        buf_clear(&out);
        if (uri_decode(m.params[i].value, false, &out) && out.n)
            check(!memchr(out.p, 0, out.n), "a NUL in a param");
    }
    buf_clear(&out);
    if (uri_query(query, "name", &value) && uri_decode(value, true, &out))
        check(!out.failed && out.n <= value.n, "decoding made it longer");
    buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    enum { MAX_HEADERS = 32 };
    struct header at[MAX_HEADERS];
    struct headers h = {at, 0};
    struct str rest = {(const char *)data, n}, target = line(&rest), host = line(&rest),
               origin = line(&rest), name;
    int64_t length;
    int port;
    struct err err = {0};
    struct trace_context t;
    char address[256];
    static const char *const more[] = {"https://*.example.com", "*x*y"};
    check_target(target);
    if (uri_host(host, &name, &port))
        check(name.n <= host.n && port >= -1 && port <= 65535, "host");
    guard_host(host);
    guard_origin(origin, host, more, 2);
    if (trace_parse(origin, &t))
        check(strlen(t.trace_id) == 32 && strlen(t.parent_id) == 16, "trace");
    if (listen_parse(host, address, &port, &err) != OK)
        check(err.msg[0] != 0, "an error without words");
    struct buf allowed;
    buf_init(&allowed, 1 << 20);
    guard_allow_headers(origin, &allowed);
    check(!allowed.p || !memchr(allowed.p, '\n', allowed.n), "a line break in a header");
    buf_release(&allowed);
    while (rest.n && h.n < MAX_HEADERS) {
        struct str l = line(&rest);
        const char *colon = l.n ? memchr(l.p, ':', l.n) : NULL;
        size_t k = colon ? (size_t)(colon - l.p) : l.n;
        at[h.n++] = (struct header){str_slice(l, 0, k), str_slice(l, colon ? k + 1 : k, l.n)};
    }
    if (guard_framing(&h, STR("HTTP/1.1"), &length, &err) == OK)
        check(!(headers_get(&h, "Content-Length").p && headers_get(&h, "Transfer-Encoding").p) &&
                  length >= -1,
              "framing");
    else
        check(err.msg[0] != 0, "a refusal without words");
    return 0;
}
