#include "server/guard.h"
#include "base/show.h"
#include "server/uri.h"
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

static bool same(struct str a, const char *z)
{
    return a.n == strlen(z) && strncasecmp(a.p, z, a.n) == 0;
}

struct str headers_get(const struct headers *h, const char *name)
{
    for (size_t i = 0; i < h->n; i++)
        if (same(h->at[i].name, name))
            return h->at[i].value;
    return (struct str){NULL, 0};
}

static bool is_token(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i], low = (char)(c | 0x20);
        if (!((low >= 'a' && low <= 'z') || (c >= '0' && c <= '9') ||
              memchr("!#$%&'*+-.^_`|~", c, 15)))
            return false;
    }
    return s.n > 0;
}

static enum status parse_length(struct str s, int64_t *length, struct err *err)
{
    int64_t n = 0;
    bool bad = s.n == 0;
    for (size_t i = 0; i < s.n && !bad; i++)
        bad = s.p[i] < '0' || s.p[i] > '9' || __builtin_mul_overflow(n, 10, &n) ||
              __builtin_add_overflow(n, s.p[i] - '0', &n);
    if (bad)
        return err_set(err, EUSAGE, "Content-Length '%s', expected a number of bytes", show(s).s);
    *length = n;
    return OK;
}

enum status guard_framing(const struct headers *h, struct str version, int64_t *length,
                          struct err *err)
{
    static const char *const once[] = {"Content-Length", "Transfer-Encoding", "Host"};
    struct str value[3] = {{0}};
    *length = -1;
    for (size_t i = 0; i < h->n; i++) {
        const struct header *f = &h->at[i];
        if (!is_token(f->name))
            return err_set(err, EUSAGE, "header name '%s', expected letters, digits and '-'",
                           show(f->name).s);
        for (int k = 0; k < 3; k++) {
            if (!same(f->name, once[k]))
                continue;
            if (value[k].p)
                return err_set(err, EUSAGE, "two %s headers, expected one", once[k]);
            value[k] = f->value;
        }
    }
    if (value[0].p && value[1].p)
        return err_set(err, EUSAGE, "Content-Length and Transfer-Encoding, expected one of them");
    if (value[1].p && (!same(value[1], "chunked") || str_is(version, "HTTP/1.0")))
        return err_set(err, EUSAGE,
                       "Transfer-Encoding '%s' with %s, expected chunked with HTTP/1.1",
                       show(value[1]).s, show(version).s);
    if (!value[2].p && str_is(version, "HTTP/1.1"))
        return err_set(err, EUSAGE, "no Host header, expected one with HTTP/1.1");
    return value[0].p ? parse_length(value[0], length, err) : OK;
}

static bool local_v4(uint32_t a)
{
    return a == 0 || a >> 24 == 127 || a >> 24 == 10 || a >> 20 == 0xac1 || a >> 16 == 0xc0a8;
}

static bool local_v6(const struct in6_addr *a)
{
    if (IN6_IS_ADDR_V4MAPPED(a))
        return local_v4((uint32_t)a->s6_addr[12] << 24 | (uint32_t)a->s6_addr[13] << 16 |
                        (uint32_t)a->s6_addr[14] << 8 | a->s6_addr[15]);
    return IN6_IS_ADDR_LOOPBACK(a) || IN6_IS_ADDR_UNSPECIFIED(a) || (a->s6_addr[0] & 0xfe) == 0xfc;
}

/* One of this machine's interfaces has the address (4 or 16 bytes). */
static bool own_address(int family, const void *address)
{
    struct ifaddrs *list;
    bool found = false;
    if (getifaddrs(&list) != 0)
        return false;
    for (struct ifaddrs *i = list; i && !found; i = i->ifa_next) {
        const void *a = i->ifa_addr;
        if (!a || i->ifa_addr->sa_family != family)
            continue;
        found = family == AF_INET
                    ? memcmp(&((const struct sockaddr_in *)a)->sin_addr, address, 4) == 0
                    : memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr, address, 16) == 0;
    }
    freeifaddrs(list);
    return found;
}

static bool ends_with(struct str name, const char *z)
{
    size_t n = strlen(z);
    return name.n > n && strncasecmp(name.p + name.n - n, z, n) == 0;
}

bool guard_host(struct str header)
{
    struct str name;
    int port;
    char text[256], machine[256] = "";
    struct in_addr four;
    struct in6_addr six;
    if (header.n == 0)
        return true;
    if (header.n > 255 || !uri_host(header, &name, &port))
        return false;
    if (name.n && name.p[name.n - 1] == '.') /* a name written with its root */
        name.n--;
    memcpy(text, name.p, name.n);
    text[name.n] = 0;
    if (inet_pton(AF_INET, text, &four) == 1)
        return local_v4(ntohl(four.s_addr)) || own_address(AF_INET, &four);
    if (inet_pton(AF_INET6, text, &six) == 1)
        return local_v6(&six) || own_address(AF_INET6, &six);
    if (gethostname(machine, sizeof machine - 1) == 0 && machine[0] && same(name, machine))
        return true;
    return name.n == 0 || same(name, "localhost") || ends_with(name, ".localhost") ||
           ends_with(name, ".local") || ends_with(name, ".internal");
}

/* '*' stands for any text; the rest is compared without regard to case. */
static bool like(const char *pattern, struct str s)
{
    const char *star = NULL;
    size_t i = 0, mark = 0;
    while (i < s.n) {
        if (*pattern == '*') {
            star = ++pattern;
            mark = i;
        } else if (*pattern && (strncasecmp(pattern, s.p + i, 1) == 0)) {
            pattern++;
            i++;
        } else if (star) {
            pattern = star;
            i = ++mark;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == 0;
}

/* "http://localhost:3000": the scheme is one of two, the host one of three, any port or none */
static bool local_origin(struct str origin)
{
    static const char *const schemes[] = {"http://", "https://"};
    static const char *const hosts[] = {"localhost", "127.0.0.1", "0.0.0.0"};
    static const char *const apps[] = {"app://", "file://", "tauri://", "vscode-webview://",
                                       "vscode-file://"};
    for (size_t i = 0; i < sizeof apps / sizeof *apps; i++)
        if (origin.n >= strlen(apps[i]) && strncasecmp(origin.p, apps[i], strlen(apps[i])) == 0)
            return true;
    for (int i = 0; i < 2; i++) {
        struct str name;
        int port;
        size_t n = strlen(schemes[i]);
        if (origin.n < n || strncasecmp(origin.p, schemes[i], n) != 0 ||
            !uri_host(str_slice(origin, n, origin.n), &name, &port))
            continue;
        for (int k = 0; k < 3; k++)
            if (same(name, hosts[k]))
                return true;
    }
    return false;
}

bool guard_origin(struct str origin, struct str host, const char *const *more, size_t n_more)
{
    const char *colon = memchr(origin.p, ':', origin.n);
    size_t at = colon ? (size_t)(colon - origin.p) : 0;
    struct str scheme = str_slice(origin, 0, at);
    if ((same(scheme, "http") || same(scheme, "https")) && host.n && origin.n == at + 3 + host.n &&
        memcmp(origin.p + at, "://", 3) == 0 && strncasecmp(origin.p + at + 3, host.p, host.n) == 0)
        return true;
    for (size_t i = 0; i < n_more; i++)
        if (like(more[i], origin))
            return true;
    return local_origin(origin);
}

void guard_allow_headers(struct str asked, struct buf *out)
{
    buf_adds(out, "Authorization, Content-Type, User-Agent, Accept, X-Requested-With, X-Api-Key, "
                  "X-Request-Id, Anthropic-Version, Anthropic-Beta, "
                  "Anthropic-Dangerous-Direct-Browser-Access, OpenAI-Beta, OpenAI-Organization, "
                  "OpenAI-Project, Traceparent, Tracestate");
    while (asked.n) {
        const char *comma = memchr(asked.p, ',', asked.n);
        struct str name = str_slice(asked, 0, comma ? (size_t)(comma - asked.p) : asked.n);
        asked = str_slice(asked, comma ? name.n + 1 : asked.n, asked.n);
        while (name.n && name.p[0] == ' ')
            name = str_slice(name, 1, name.n);
        while (name.n && name.p[name.n - 1] == ' ')
            name.n--;
        if (name.n > 12 && name.n < 64 && strncasecmp(name.p, "x-stainless-", 12) == 0 &&
            is_token(name)) {
            buf_adds(out, ", ");
            buf_addstr(out, name);
        }
    }
}
