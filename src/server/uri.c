#include "server/uri.h"
#include <strings.h>

bool uri_split(struct str target, struct str *path, struct str *query)
{
    static const char *const schemes[] = {"http://", "https://"};
    for (int i = 0; i < 2; i++) {
        size_t n = strlen(schemes[i]);
        if (target.n >= n && strncasecmp(target.p, schemes[i], n) == 0) {
            while (n < target.n && !memchr("/?#", target.p[n], 3))
                n++;
            target = str_slice(target, n, target.n);
            if (target.n == 0)
                target = STR("/");
            break;
        }
    }
    if (target.n == 0 || target.p[0] != '/')
        return false;
    const char *mark = memchr(target.p, '?', target.n);
    size_t end = mark ? (size_t)(mark - target.p) : target.n;
    *path = str_slice(target, 0, end);
    *query = mark ? str_slice(target, end + 1, target.n) : STR("");
    return true;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool uri_decode(struct str s, bool plus, struct buf *out)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '%') {
            int high = i + 2 < s.n ? hex(s.p[i + 1]) : -1, low = high < 0 ? -1 : hex(s.p[i + 2]);
            if (low < 0)
                return false;
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        if (c == 0)
            return false;
        buf_addc(out, c);
    }
    return true;
}

bool uri_query(struct str query, const char *name, struct str *value)
{
    size_t n = strlen(name);
    while (query.n) {
        const char *amp = memchr(query.p, '&', query.n);
        struct str pair = str_slice(query, 0, amp ? (size_t)(amp - query.p) : query.n);
        query = str_slice(query, amp ? pair.n + 1 : query.n, query.n);
        if (pair.n < n || memcmp(pair.p, name, n) != 0)
            continue;
        if (pair.n == n || pair.p[n] == '=') {
            *value = str_slice(pair, pair.n == n ? n : n + 1, pair.n);
            return true;
        }
    }
    return false;
}

static bool take_port(struct str s, int *port)
{
    *port = -1;
    if (s.n == 0)
        return true;
    if (s.p[0] != ':' || s.n > 6)
        return false;
    int n = 0;
    for (size_t i = 1; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        n = n * 10 + (s.p[i] - '0');
    }
    if (n > 65535)
        return false;
    if (s.n > 1)
        *port = n;
    return true;
}

bool uri_host(struct str header, struct str *name, int *port)
{
    size_t end = 0;
    if (header.n && header.p[0] == '[') {
        const char *close = memchr(header.p, ']', header.n);
        if (!close || close == header.p + 1)
            return false;
        end = (size_t)(close - header.p) + 1;
        *name = str_slice(header, 1, end - 1);
        for (size_t i = 0; i < name->n; i++)
            if (hex(name->p[i]) < 0 && name->p[i] != ':' && name->p[i] != '.')
                return false;
    } else {
        while (end < header.n && header.p[end] != ':')
            end++;
        *name = str_slice(header, 0, end);
        for (size_t i = 0; i < end; i++) {
            char c = name->p[i], low = (char)(c | 0x20);
            if (!((low >= 'a' && low <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
                  c == '_'))
                return false;
        }
    }
    return take_port(str_slice(header, end, header.n), port);
}
