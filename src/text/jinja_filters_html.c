/* Filters for HTML and URLs. Markup is a flag on strings: what is escaped stays as it is. */
#include "text/jinja_filters.h"
#include "base/utf8.h"
#include "text/pystr.h"
#include <stdlib.h>

#define FILTER(name)                                                                               \
    const struct jval *name(struct jrun *r, const struct jval *self, const struct jargs *args)

const struct jval *jrun_markup(struct jrun *r, const struct jval *v)
{
    if (v->kind != JV_STRING || v->safe)
        return v;
    struct jval *copy = jval_new(&r->arena, JV_STRING);
    if (!copy)
        return jrun_no_memory(r);
    *copy = *v;
    copy->safe = true;
    return copy;
}

static void escape_text(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        switch (s.p[i]) {
        case '&': buf_adds(out, "&amp;"); break;
        case '<': buf_adds(out, "&lt;"); break;
        case '>': buf_adds(out, "&gt;"); break;
        case '"': buf_adds(out, "&#34;"); break;
        case '\'': buf_adds(out, "&#39;"); break;
        default: buf_addc(out, s.p[i]);
        }
}

static const struct jval *escaped(struct jrun *r, const struct jval *v)
{
    struct str s;
    struct buf b;
    if (!jrun_text(r, v, &s) || !jrun_step(r, s.n / 8))
        return NULL;
    jrun_buf(r, &b);
    escape_text(&b, s);
    v = jrun_take(r, &b);
    return v ? jrun_markup(r, v) : NULL;
}

const struct jval *jrun_escape(struct jrun *r, const struct jval *v)
{
    return v->kind == JV_STRING && v->safe ? v : escaped(r, v);
}

FILTER(jfilter_escape)
{
    (void)args;
    return jrun_escape(r, self);
}

FILTER(jfilter_forceescape)
{
    (void)args;
    return escaped(r, self);
}

FILTER(jfilter_safe)
{
    struct str s;
    (void)args;
    if (!jrun_text(r, self, &s))
        return NULL;
    const struct jval *v = self->kind == JV_STRING ? self : jrun_view(r, s);
    return v ? jrun_markup(r, v) : NULL;
}

/* ---- striptags ---- */

/* The names that texts use; HTML has two thousand more, which stay as they are written. */
static const struct {
    const char *name;
    uint32_t cp;
} entities[] = {
    {"amp", '&'},      {"lt", '<'},       {"gt", '>'},        {"quot", '"'},     {"apos", '\''},
    {"nbsp", 0xa0},    {"cent", 0xa2},    {"pound", 0xa3},    {"yen", 0xa5},     {"sect", 0xa7},
    {"copy", 0xa9},    {"laquo", 0xab},   {"reg", 0xae},      {"deg", 0xb0},     {"plusmn", 0xb1},
    {"para", 0xb6},    {"middot", 0xb7},  {"raquo", 0xbb},    {"times", 0xd7},   {"divide", 0xf7},
    {"ndash", 0x2013}, {"mdash", 0x2014}, {"lsquo", 0x2018},  {"rsquo", 0x2019}, {"ldquo", 0x201c},
    {"rdquo", 0x201d}, {"bull", 0x2022},  {"hellip", 0x2026}, {"euro", 0x20ac},  {"trade", 0x2122},
    {"larr", 0x2190},  {"rarr", 0x2192},
};

/* The entity at s ("&...;"): its length, 0 when there is none. */
static size_t entity(struct str s, uint32_t *cp)
{
    const char *end = memchr(s.p, ';', s.n < 12 ? s.n : 12);
    if (!end)
        return 0;
    struct str name = str_slice(s, 1, (size_t)(end - s.p));
    if (name.n > 1 && name.p[0] == '#') {
        bool hex = (name.p[1] | 32) == 'x';
        char *stop;
        unsigned long v = strtoul(name.p + 1 + hex, &stop, hex ? 16 : 10);
        if (stop != end || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff) || v == 0)
            return 0;
        *cp = (uint32_t)v;
        return (size_t)(end - s.p) + 1;
    }
    for (size_t i = 0; i < sizeof entities / sizeof *entities; i++)
        if (str_is(name, entities[i].name)) {
            *cp = entities[i].cp;
            return (size_t)(end - s.p) + 1;
        }
    return 0;
}

static void remove_between(struct buf *out, struct str s, struct str open, struct str close)
{
    const char *from, *to;
    while ((from = memmem(s.p, s.n, open.p, open.n)) != NULL) {
        size_t at = (size_t)(from - s.p) + open.n;
        if (!(to = memmem(s.p + at, s.n - at, close.p, close.n)))
            break;
        buf_add(out, s.p, (size_t)(from - s.p));
        s = str_slice(s, (size_t)(to - s.p) + close.n, s.n);
    }
    buf_addstr(out, s);
}

static void collapse_and_unescape(struct buf *out, struct str s)
{
    bool space = false;
    for (s = py_strip(s); s.n;) {
        uint32_t cp;
        char bytes[4];
        size_t len = (size_t)utf8_decode(s.p, s.n, &cp), n;
        if (pychar_is(cp, PY_SPACE)) {
            space = true;
        } else {
            if (space)
                buf_addc(out, ' ');
            space = false;
            if (*s.p == '&' && (n = entity(s, &cp)) != 0) {
                buf_add(out, bytes, (size_t)utf8_encode(cp, bytes));
                len = n;
            } else {
                buf_add(out, s.p, len);
            }
        }
        s = str_slice(s, len, s.n);
    }
}

FILTER(jfilter_striptags)
{
    struct str s;
    struct buf plain, bare, out;
    (void)args;
    if (!jrun_text(r, self, &s) || !jrun_step(r, s.n / 2))
        return NULL;
    jrun_buf(r, &plain);
    jrun_buf(r, &bare);
    jrun_buf(r, &out);
    remove_between(&plain, s, STR("<!--"), STR("-->"));
    remove_between(&bare, buf_str(&plain), STR("<"), STR(">"));
    collapse_and_unescape(&out, buf_str(&bare));
    buf_release(&plain);
    buf_release(&bare);
    return jrun_take(r, &out);
}

/* ---- URLs and attributes ---- */

static void quote_url(struct buf *out, struct str s, bool query)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool plain = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') ||
                     (c && strchr("_.-~", c)) || (c == '/' && !query);
        if (plain)
            buf_addc(out, (char)c);
        else if (c == ' ' && query)
            buf_addc(out, '+');
        else
            buf_printf(out, "%%%02X", c);
    }
}

static bool quote_pair(struct jrun *r, struct buf *out, const struct jval *key,
                       const struct jval *value)
{
    struct str k, v;
    if (!jrun_text(r, key, &k) || !jrun_text(r, value, &v) || !jrun_step(r, 1))
        return false;
    if (out->n)
        buf_addc(out, '&');
    quote_url(out, k, true);
    buf_addc(out, '=');
    quote_url(out, v, true);
    return true;
}

FILTER(jfilter_urlencode)
{
    const struct jval **items, **pair;
    size_t n = 0, two;
    struct str s;
    struct buf b;
    bool ok = true;
    (void)args;
    jrun_buf(r, &b);
    if (self->kind == JV_MAP) {
        for (size_t i = 0; ok && i < self->map->n; i++)
            ok = quote_pair(r, &b, self->map->e[i].key, self->map->e[i].value);
    } else if (self->kind == JV_LIST || self->kind == JV_UNDEFINED) {
        ok = jrun_items(r, self, &items, &n);
        for (size_t i = 0; ok && i < n; i++) {
            ok = jrun_items(r, items[i], &pair, &two);
            if (ok && two != 2)
                ok = jrun_error(r, "urlencode: expected pairs, got %zu values", two) != NULL;
            ok = ok && quote_pair(r, &b, pair[0], pair[1]);
        }
    } else if ((ok = jrun_text(r, self, &s))) {
        quote_url(&b, s, false);
    }
    if (ok)
        return jrun_take(r, &b);
    buf_release(&b);
    return NULL;
}

FILTER(jfilter_xmlattr)
{
    struct buf b;
    struct str k, v;
    bool autospace = jarg_truth(args->pos[0], true);
    if (self->kind != JV_MAP)
        return jrun_error(r, "xmlattr: expected a dict, got %s", jval_type_name(self));
    jrun_buf(r, &b);
    for (size_t i = 0; i < self->map->n; i++) {
        const struct jentry *e = &self->map->e[i];
        const struct jval *key, *value;
        if (e->value->kind == JV_NULL || e->value->kind == JV_UNDEFINED)
            continue;
        if (!(key = jrun_escape(r, e->key)) || !(value = jrun_escape(r, e->value))) {
            buf_release(&b);
            return NULL;
        }
        k = jval_text(key);
        v = jval_text(value);
        bool bad = false;
        for (size_t c = 0; c < k.n; c++)
            bad |= (k.p[c] && strchr(" \t\n\r\f/>=", k.p[c])) || !k.p[c];
        if (bad) {
            buf_release(&b);
            return jrun_error(r, "invalid character in attribute name '%.*s'", STR_ARG(k));
        }
        if (b.n || autospace)
            buf_addc(&b, ' ');
        buf_printf(&b, "%.*s=\"%.*s\"", STR_ARG(k), STR_ARG(v));
    }
    return jrun_take(r, &b);
}
