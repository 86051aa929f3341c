/* What a request must pass before it gets a handler, in this order: framing, target, Host, Origin,
 * preflight, route, drain, key, size. */
#include "server/server_int.h"
#include "server/coding.h"
#include "server/uri.h"
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <strings.h>

static bool refuse(struct reply *r, int http_status, enum status code, const char *msg)
{
    struct err e = {.code = code};
    snprintf(e.msg, sizeof e.msg, "%s", msg);
    reply_error(r, http_status, &e);
    return false;
}

/* The client's own id when nothing in it could hurt a log or a header. */
static void set_id(struct reply *r)
{
    struct str given = headers_get(&r->headers, "X-Request-Id");
    bool good = given.n >= 1 && given.n <= 128;
    for (size_t i = 0; i < given.n && good; i++) {
        char c = given.p[i], low = (char)(c | 0x20);
        good = (low >= 'a' && low <= 'z') || (c >= '0' && c <= '9') || memchr("-_.:/+=", c, 7);
    }
    if (good) {
        r->q.id = given;
        return;
    }
    uint64_t random = 0;
    char text[24];
    gnutls_rnd(GNUTLS_RND_NONCE, &random, sizeof random);
    int n = snprintf(text, sizeof text, "req_%016llx", (unsigned long long)random);
    r->q.id = arena_str(&r->arena, (struct str){text, (size_t)n});
}

static struct str given_key(const struct reply *r)
{
    struct str v = headers_get(&r->headers, "Authorization");
    if (v.n > 7 && strncasecmp(v.p, "Bearer ", 7) == 0) {
        v = str_slice(v, 7, v.n);
        while (v.n && v.p[0] == ' ')
            v = str_slice(v, 1, v.n);
        return v;
    }
    return headers_get(&r->headers, "x-api-key");
}

static bool check_origin(struct reply *r, struct str host)
{
    struct str origin = headers_get(&r->headers, "Origin");
    if (!origin.p)
        return true;
    const struct server_options *o = &r->server->o;
    if (!guard_origin(origin, host, o->origins, o->n_origins))
        return refuse(r, 403, EUSAGE,
                      "this Origin may not call the server; 'hearth serve --origins' allows more");
    reply_header(r, "Access-Control-Allow-Origin", origin);
    reply_header(r, "Access-Control-Expose-Headers", STR("X-Request-Id, Request-Id, Retry-After"));
    reply_header(r, "Vary", STR("Origin"));
    return true;
}

/* OPTIONS, which no handler sees. */
static bool answer_options(struct reply *r, bool known)
{
    struct buf text;
    buf_init(&text, 4096);
    if (!known) {
        refuse(r, 404, ENOTFOUND, "no such path");
        return false;
    }
    route_methods(r->server->o.routes, r->server->o.n_routes, r->q.path, &text);
    reply_header(r, "Allow", buf_str(&text));
    if (headers_get(&r->headers, "Access-Control-Request-Method").p) {
        reply_header(r, "Access-Control-Allow-Methods", buf_str(&text));
        buf_clear(&text);
        guard_allow_headers(headers_get(&r->headers, "Access-Control-Request-Headers"), &text);
        reply_header(r, "Access-Control-Allow-Headers", buf_str(&text));
        reply_header(r, "Access-Control-Max-Age", STR("43200"));
    }
    buf_release(&text);
    reply_send(r, 204, NULL, STR(""));
    return false;
}

/* A path that OpenAI's and Anthropic's APIs share speaks to Anthropic's clients as they expect; all
 * of them send the header. */
static enum dialect dialect_of_client(enum dialect d, const struct headers *h)
{
    return d == DIALECT_OPENAI && headers_get(h, "anthropic-version").p ? DIALECT_ANTHROPIC : d;
}

static bool check_route(struct reply *r)
{
    const struct server_options *o = &r->server->o;
    struct route_match m;
    struct buf text;
    route_find(o->routes, o->n_routes, r->q.method, r->q.path, &m);
    if (str_is(r->q.method, "OPTIONS") && !m.route)
        return answer_options(r, m.path_known);
    if (!m.path_known)
        return refuse(r, 404, ENOTFOUND, "no such path");
    if (!m.route) {
        buf_init(&text, 4096);
        route_methods(o->routes, o->n_routes, r->q.path, &text);
        reply_header(r, "Allow", buf_str(&text));
        buf_release(&text);
        return refuse(r, 405, EUSAGE, "the method is not one that this path knows (see Allow)");
    }
    r->route = m.route;
    r->dialect = dialect_of_client(m.route->dialect, &r->headers);
    r->n_params = m.n_params;
    memcpy(r->params, m.params, sizeof r->params);
    return true;
}

static bool check_key(struct reply *r)
{
    struct err err = {0};
    int retry = 0, status = auth_check(r->server->o.auth, given_key(r), r->route->scope, &r->grant,
                                       &retry, &err);
    r->q.scopes = r->grant.scopes;
    r->q.key_name = str_from(r->grant.name);
    if (status == 200)
        return true;
    if (status == 401)
        reply_header(r, "WWW-Authenticate", STR("Bearer realm=\"hearth\""));
    if (status == 429 || status == 503) {
        char seconds[16];
        snprintf(seconds, sizeof seconds, "%d", retry);
        reply_header(r, "Retry-After", str_from(seconds));
    }
    reply_error(r, status, &err);
    return false;
}

static bool check_size(struct reply *r)
{
    struct str coding = headers_get(&r->headers, "Content-Encoding");
    char text[128];
    bool stream = r->route->flags & ROUTE_BODY_STREAM;
    if (stream ? coding.n != 0 : !coding_known(coding))
        return refuse(r, 415, EUNSUPPORTED,
                      stream ? "Content-Encoding of a stream of bytes, expected none"
                             : "Content-Encoding, expected gzip, deflate or zstd");
    if (stream || r->length <= (int64_t)r->server->o.max_body)
        return true;
    snprintf(text, sizeof text, "a body of %lld bytes, expected at most %zu", (long long)r->length,
             r->server->o.max_body);
    return refuse(r, 413, ELIMIT, text);
}

bool check_request(struct reply *r, struct str version)
{
    struct err err = {0};
    struct buf scratch;
    r->q.path = STR("/");
    set_id(r);
    trace_begin(headers_get(&r->headers, "traceparent"), &r->trace);
    bool target = uri_split(r->target, &r->q.path, &r->query);
    if (target) {
        buf_init(&scratch, r->q.path.n + 1);
        target = uri_decode(r->q.path, false, &scratch) && !scratch.failed;
        buf_release(&scratch);
    }
    r->dialect = dialect_of_client(dialect_of_path(r->q.path), &r->headers);
    if (guard_framing(&r->headers, version, &r->length, &err) != OK) {
        r->close = true;
        reply_error(r, 400, &err);
        return false;
    }
    if (!target)
        return refuse(r, 400, EUSAGE,
                      "the request's target, expected /path with whole %XX escapes");
    struct str host = headers_get(&r->headers, "Host");
    if (r->server->o.listener.loopback && !guard_host(host)) {
        reply_send(r, 403, NULL, STR(""));
        return false;
    }
    if (!check_origin(r, host) || !check_route(r))
        return false;
    if (atomic_load(&r->server->draining) && !(r->route->flags & ROUTE_ALWAYS)) {
        r->close = true;
        reply_header(r, "Retry-After", STR("5"));
        return refuse(r, 503, EBUSY, "the server is shutting down");
    }
    return check_key(r) && check_size(r);
}
