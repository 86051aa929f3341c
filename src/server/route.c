#include "server/route.h"

/* Splits the next segment off a path that begins with '/'. */
static struct str segment(struct str *path)
{
    struct str rest = str_slice(*path, 1, path->n);
    const char *slash = memchr(rest.p, '/', rest.n);
    size_t n = slash ? (size_t)(slash - rest.p) : rest.n;
    *path = str_slice(rest, n, rest.n);
    return str_slice(rest, 0, n);
}

/* Does `path` have the form of `pattern`? Collects the params. */
static bool fits(struct str pattern, struct str path, struct route_match *m)
{
    m->n_params = 0;
    while (pattern.n && path.n) {
        struct str rest = path, want = segment(&pattern), got = segment(&path);
        if (want.n < 2 || want.p[0] != '{') {
            if (!str_eq(want, got))
                return false;
            continue;
        }
        struct str name = str_slice(want, 1, want.n - 1);
        bool deep = str_ends(name, STR("..."));
        if (deep) {
            name.n -= 3;
            got = str_slice(rest, 1, rest.n);
            path.n = 0;
        }
        if (got.n == 0 || m->n_params == ROUTE_PARAMS)
            return false;
        m->params[m->n_params++] = (struct route_param){name, got};
    }
    return pattern.n == 0 && path.n == 0;
}

static struct str trim(struct str path)
{
    return path.n > 1 && path.p[path.n - 1] == '/' ? str_slice(path, 0, path.n - 1) : path;
}

void route_find(const struct route *rows, size_t n, struct str method, struct str path,
                struct route_match *m)
{
    struct route_match get = {0}, at = {0};
    bool head = str_is(method, "HEAD");
    *m = (struct route_match){0};
    path = trim(path);
    for (size_t i = 0; i < n && !m->route; i++) {
        if (!fits(str_from(rows[i].path), path, &at))
            continue;
        at.path_known = m->path_known = true;
        at.route = &rows[i];
        if (str_is(method, rows[i].method))
            *m = at;
        else if (head && !get.route && strcmp(rows[i].method, "GET") == 0)
            get = at;
    }
    if (!m->route && get.route)
        *m = get;
}

static void add_method(struct buf *out, const char *method)
{
    if (out->n)
        buf_adds(out, ", ");
    buf_adds(out, method);
}

void route_methods(const struct route *rows, size_t n, struct str path, struct buf *out)
{
    struct route_match at;
    bool get = false, head = false;
    path = trim(path);
    for (size_t i = 0; i < n; i++) {
        if (!fits(str_from(rows[i].path), path, &at))
            continue;
        get = get || strcmp(rows[i].method, "GET") == 0;
        head = head || strcmp(rows[i].method, "HEAD") == 0;
        add_method(out, rows[i].method);
    }
    if (get && !head)
        add_method(out, "HEAD");
    add_method(out, "OPTIONS");
}
