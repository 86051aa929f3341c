#include "store/registry.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/show.h"
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

enum { URL_BYTES = 16 << 10, TOKEN_BYTES = 256 << 10 };

struct registry {
    struct web *web;
    struct buf base;          /* "https://host/v2/ns/model/" */
    struct buf authorization; /* empty: none */
    struct buf given;         /* TOKEN or USER:PASSWORD of the environment; empty: none */
    char host[351];
};

/* ---- opening ---- */

enum status registry_plain(struct str text, bool insecure, bool *plain, struct err *err)
{
    bool http = str_starts(text, STR("http://")), https = str_starts(text, STR("https://"));
    *plain = insecure && !https;
    if (http && !insecure)
        return err_set(err, EUSAGE, "'%s': http is not safe, expected https:// or --insecure",
                       show(text).s);
    return OK;
}

static enum status set_basic(struct buf *out, struct str user_password, struct err *err)
{
    size_t n = 4 * ((user_password.n + 2) / 3);
    unsigned char *b64 = malloc(n + 1);
    if (!b64)
        return err_set(err, ENOMEMORY, "no memory for a password");
    EVP_EncodeBlock(b64, (const unsigned char *)user_password.p, (int)user_password.n);
    buf_clear(out);
    buf_printf(out, "Basic %s", (const char *)b64);
    free(b64);
    return buf_check(out, "HEARTH_REGISTRY_TOKEN", err);
}

/* HOST=TOKEN,HOST=TOKEN: only the named host ever sees it. */
static void find_given(struct registry *r)
{
    const char *p = getenv("HEARTH_REGISTRY_TOKEN");
    size_t host = strlen(r->host);
    while (p && *p) {
        size_t n = strcspn(p, ",");
        if (n > host + 1 && strncasecmp(p, r->host, host) == 0 && p[host] == '=')
            buf_add(&r->given, p + host + 1, n - host - 1);
        p += n + (p[n] == ',');
    }
}

enum status registry_open(struct registry **out, const struct model_name *name, struct str text,
                          bool insecure, const atomic_int *cancel, struct err *err)
{
    bool plain;
    *out = NULL;
    enum status s = registry_plain(text, insecure, &plain, err);
    if (s != OK)
        return s;
    struct registry *r = mem_array(1, sizeof *r);
    if (!r)
        return err_set(err, ENOMEMORY, "no memory for a registry");
    buf_init(&r->base, URL_BYTES);
    buf_init(&r->authorization, TOKEN_BYTES);
    buf_init(&r->given, TOKEN_BYTES);
    snprintf(r->host, sizeof r->host, "%s", name->host);
    buf_printf(&r->base, "%s://%s/v2/%s/%s/", plain ? "http" : "https", name->host, name->ns,
               name->model);
    find_given(r);
    s = buf_check(&r->base, "URL", err);
    if (s == OK)
        s = web_new(&r->web, cancel, plain, err);
    /* a token is shown at once, a password only to who asks */
    if (s == OK && r->given.n && !memchr(r->given.p, ':', r->given.n)) {
        buf_printf(&r->authorization, "Bearer %s", r->given.p);
        s = buf_check(&r->authorization, "HEARTH_REGISTRY_TOKEN", err);
    }
    if (s == OK)
        *out = r;
    else
        registry_close(r);
    return s;
}

void registry_close(struct registry *r)
{
    if (!r)
        return;
    web_free(r->web);
    buf_release(&r->base);
    buf_release(&r->authorization);
    buf_release(&r->given);
    free(r);
}

enum status registry_url(const struct registry *r, struct buf *out, struct err *err,
                         const char *fmt, ...)
{
    char rest[512];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(rest, sizeof rest, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof rest)
        return err_set(err, ELIMIT, "a URL is longer than %zu bytes", sizeof rest);
    buf_clear(out);
    buf_addstr(out, buf_str(&r->base));
    buf_adds(out, rest);
    return buf_check(out, "URL", err);
}

/* ---- tokens ---- */

/* key="value" of a challenge; .p NULL: it is not there. */
static struct str challenge_field(struct str challenge, const char *key)
{
    size_t n = strlen(key);
    for (size_t i = 0; i + n + 2 < challenge.n; i++) {
        bool begins = i == 0 || strchr(" ,", challenge.p[i - 1]);
        if (!begins || strncasecmp(challenge.p + i, key, n) != 0 || challenge.p[i + n] != '=')
            continue;
        size_t from = i + n + 1;
        bool quoted = challenge.p[from] == '"';
        from += quoted;
        size_t to = from;
        while (to < challenge.n && challenge.p[to] != (quoted ? '"' : ','))
            to++;
        return str_slice(challenge, from, to);
    }
    return (struct str){NULL, 0};
}

static void add_query(struct buf *url, const char *key, struct str value, bool *first)
{
    buf_printf(url, "%s%s=", *first ? "?" : "&", key);
    web_escape(url, value, false);
    *first = false;
}

enum status registry_token_url(struct str challenge, struct buf *url, struct err *err)
{
    struct str realm = challenge_field(challenge, "realm");
    struct str service = challenge_field(challenge, "service");
    struct str scope = challenge_field(challenge, "scope");
    if (!realm.n)
        return err_set(err, EFORMAT, "the registry asks for a token without saying where from");
    buf_addstr(url, realm);
    bool first = !memchr(realm.p, '?', realm.n);
    if (service.n)
        add_query(url, "service", service, &first);
    while (scope.n) { /* several stand with spaces between */
        const char *space = memchr(scope.p, ' ', scope.n);
        size_t n = space ? (size_t)(space - scope.p) : scope.n;
        if (n)
            add_query(url, "scope", str_slice(scope, 0, n), &first);
        scope = str_slice(scope, space ? n + 1 : n, scope.n);
    }
    return buf_check(url, "URL of a token", err);
}

/* Ollama's key signs the URL; it is shown only to the registry itself. */
static enum status sign(const struct registry *r, struct buf *url, struct buf *authorization)
{
    char realm_host[400], number[32];
    unsigned char nonce[16], b64[32];
    struct buf own;
    bool same = false, first = false;
    buf_init(&own, URL_BYTES);
    char host[400];
    if (web_host(url->p, realm_host, sizeof realm_host) && web_host(r->base.p, host, sizeof host))
        same = strcmp(host, realm_host) == 0;
    if (same && RAND_bytes(nonce, sizeof nonce) == 1) {
        EVP_EncodeBlock(b64, nonce, sizeof nonce);
        snprintf(number, sizeof number, "%lld", (long long)time(NULL));
        buf_addstr(&own, buf_str(url));
        first = !strchr(url->p, '?');
        add_query(&own, "ts", str_from(number), &first);
        add_query(&own, "nonce", str_from((const char *)b64), &first);
        if (!own.failed && registry_sign(own.p, authorization)) {
            buf_clear(url);
            buf_addstr(url, buf_str(&own));
        }
    }
    buf_release(&own);
    return OK;
}

enum status registry_read_token(struct str answer, struct buf *authorization, struct err *err)
{
    json_t *o;
    struct str token = {NULL, 0};
    enum status s = json_parse(&o, answer, "token", err);
    if (s != OK)
        return s;
    s = json_get_str(o, "token", &token, err);
    if (s == OK && !token.n)
        s = json_get_str(o, "access_token", &token, err);
    for (size_t i = 0; s == OK && i < token.n; i++)
        if (token.p[i] <= ' ' || token.p[i] > '~')
            s = err_set(err, EFORMAT,
                        "the registry's token has characters that no header may have");
    if (s == OK && !token.n)
        s = err_set(err, EFORMAT, "the registry's answer has no token");
    if (s == OK) {
        buf_clear(authorization);
        buf_printf(authorization, "Bearer %.*s", STR_ARG(token));
        s = buf_check(authorization, "token", err);
    }
    json_decref(o);
    return s;
}

static enum status get_token(struct registry *r, struct str challenge, struct err *err)
{
    struct web_call c = {.method = "GET"};
    struct buf url, shown;
    buf_init(&url, URL_BYTES);
    buf_init(&shown, TOKEN_BYTES);
    enum status s = registry_token_url(challenge, &url, err);
    if (s == OK && r->given.n && memchr(r->given.p, ':', r->given.n))
        s = set_basic(&shown, buf_str(&r->given), err);
    else if (s == OK)
        s = sign(r, &url, &shown);
    c.url = url.p;
    c.authorization = shown.n ? shown.p : NULL;
    if (s == OK)
        s = web_ask(r->web, &c, err);
    if (s == OK)
        s = c.status == 200 ? registry_read_token(buf_str(&c.answer), &r->authorization, err)
                            : web_status_error(&c, "token", err);
    web_call_release(&c);
    buf_release(&url);
    buf_release(&shown);
    return s;
}

static bool same_registry(const struct registry *r, const char *url)
{
    char a[400], b[400];
    return web_host(url, a, sizeof a) && web_host(r->base.p, b, sizeof b) && strcmp(a, b) == 0;
}

/* What a refusal asks for. Nothing that can be given: the refusal stands. */
static enum status answer_challenge(struct registry *r, const struct web_call *refused,
                                    struct err *err)
{
    struct str challenge = web_header(refused, "WWW-Authenticate");
    bool password = r->given.n && memchr(r->given.p, ':', r->given.n);
    if (challenge.n > 7 && strncasecmp(challenge.p, "Bearer ", 7) == 0)
        return get_token(r, str_slice(challenge, 7, challenge.n), err);
    if (challenge.n > 5 && strncasecmp(challenge.p, "Basic", 5) == 0 && password)
        return set_basic(&r->authorization, buf_str(&r->given), err);
    return web_status_error(refused, r->host, err);
}

enum status registry_authorize(void *ctx, const struct web_call *refused, const char **value,
                               struct err *err)
{
    struct registry *r = ctx;
    enum status s = refused ? answer_challenge(r, refused, err) : OK;
    *value = r->authorization.n ? r->authorization.p : NULL;
    return s;
}

enum status registry_ask(struct registry *r, struct web_call *c, struct err *err)
{
    /* upload addresses may lie elsewhere: they see no token */
    bool ours = same_registry(r, c->url);
    c->authorization = ours && r->authorization.n ? r->authorization.p : NULL;
    enum status s = web_ask(r->web, c, err);
    if (s != OK || c->status != 401 || !ours)
        return s;
    s = answer_challenge(r, c, err);
    c->authorization = r->authorization.n ? r->authorization.p : NULL;
    return s == OK ? web_ask(r->web, c, err) : s;
}
