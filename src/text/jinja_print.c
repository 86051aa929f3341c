/* Python's str() and repr() of values. */
#include "text/jinja_value.h"
#include "base/utf8.h"
#include "text/pystr.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_NESTING = 2500 };

/* Digits and exponent of the shortest decimal that reads back as f, then Python's layout: plain
 * between 1e-4 and 1e16, else with an exponent of at least two digits. */
void jval_print_float(struct buf *out, double f)
{
    char text[40], digits[24];
    /* 15 digits always survive, except in the numbers below the normal ones */
    int n = 0, exp, precision = fabs(f) < 0x1p-1022 ? 1 : 15;
    if (isnan(f) || isinf(f)) {
        buf_adds(out, isnan(f) ? "nan" : f < 0 ? "-inf" : "inf");
        return;
    }
    do
        snprintf(text, sizeof text, "%.*e", precision - 1, f);
    while (strtod(text, NULL) != f && ++precision <= 17);
    const char *e = strchr(text, 'e');
    exp = (int)strtol(e + 1, NULL, 10);
    for (const char *c = text; c < e; c++)
        if (*c >= '0' && *c <= '9')
            digits[n++] = *c;
    while (n > 1 && digits[n - 1] == '0')
        n--;
    if (signbit(f))
        buf_addc(out, '-');
    if (exp < -4 || exp >= 16) {
        buf_addc(out, digits[0]);
        if (n > 1)
            buf_printf(out, ".%.*s", n - 1, digits + 1);
        buf_printf(out, "e%c%02d", exp < 0 ? '-' : '+', abs(exp));
    } else if (exp < 0) {
        buf_printf(out, "0.%.*s%.*s", -exp - 1, "0000", n, digits);
    } else {
        for (int i = 0; i <= exp || i < n; i++) {
            if (i == exp + 1)
                buf_addc(out, '.');
            buf_addc(out, i < n ? digits[i] : '0');
        }
        if (n <= exp + 1)
            buf_adds(out, ".0");
    }
}

static void repr_char(struct buf *out, uint32_t cp, const char *p, size_t len, char quote)
{
    if (cp == '\\' || cp == (uint32_t)quote)
        buf_printf(out, "\\%c", (int)cp);
    else if (cp == '\n' || cp == '\r' || cp == '\t')
        buf_adds(out, cp == '\n' ? "\\n" : cp == '\r' ? "\\r" : "\\t");
    else if (cp >= 0x20 && cp < 0x7f)
        buf_addc(out, (char)cp);
    else if (cp == UTF8_BAD)
        buf_printf(out, "\\x%02x", (unsigned char)*p);
    else if (cp >= 0x80 && pychar_is(cp, PY_PRINTABLE))
        buf_add(out, p, len);
    else
        buf_printf(out, cp < 0x100 ? "\\x%02x" : cp < 0x10000 ? "\\u%04x" : "\\U%08x", cp);
}

void jval_repr_str(struct buf *out, struct str s)
{
    char quote = memchr(s.p, '\'', s.n) && !memchr(s.p, '"', s.n) ? '"' : '\'';
    buf_addc(out, quote);
    for (size_t i = 0; i < s.n;) {
        uint32_t cp;
        size_t len = (size_t)utf8_decode(s.p + i, s.n - i, &cp);
        repr_char(out, cp, s.p + i, len, quote);
        i += len;
    }
    buf_addc(out, quote);
}

static void repr_at(struct buf *out, const struct jval *v, int depth);

static void repr_items(struct buf *out, const struct jval *v, const char *open, const char *close,
                       int depth)
{
    buf_adds(out, open);
    for (size_t i = 0; i < v->list.n && !out->failed; i++) {
        if (i)
            buf_adds(out, ", ");
        repr_at(out, v->list.v[i], depth);
    }
    buf_adds(out, close);
}

static void repr_list(struct buf *out, const struct jval *v, int depth)
{
    const int64_t *range = v->list.range;
    switch ((enum jval_list_type)v->sub) {
    case JL_LIST: repr_items(out, v, "[", "]", depth); break;
    case JL_TUPLE:
    case JL_GROUP: repr_items(out, v, "(", v->list.n == 1 ? ",)" : ")", depth); break;
    case JL_RANGE:
        buf_printf(out, "range(%lld, %lld", (long long)range[0], (long long)range[1]);
        if (range[2] != 1)
            buf_printf(out, ", %lld", (long long)range[2]);
        buf_addc(out, ')');
        break;
    case JL_GENERATOR: buf_adds(out, "<generator object>"); break;
    case JL_KEYS: repr_items(out, v, "dict_keys([", "])", depth); break;
    case JL_VALUES: repr_items(out, v, "dict_values([", "])", depth); break;
    case JL_ITEMS: repr_items(out, v, "dict_items([", "])", depth); break;
    }
}

static void repr_map(struct buf *out, const struct jmap *m, int depth)
{
    buf_addc(out, '{');
    for (size_t i = 0; i < m->n && !out->failed; i++) {
        if (i)
            buf_adds(out, ", ");
        repr_at(out, m->e[i].key, depth);
        buf_adds(out, ": ");
        repr_at(out, m->e[i].value, depth);
    }
    buf_addc(out, '}');
}

static void repr_at(struct buf *out, const struct jval *v, int depth)
{
    if (depth > MAX_NESTING) {
        out->failed = true;
        return;
    }
    switch ((enum jval_kind)v->kind) {
    case JV_UNDEFINED: buf_adds(out, "Undefined"); break;
    case JV_NULL: buf_adds(out, "None"); break;
    case JV_BOOL: buf_adds(out, v->b ? "True" : "False"); break;
    case JV_INT: buf_printf(out, "%lld", (long long)v->i); break;
    case JV_FLOAT: jval_print_float(out, v->f); break;
    case JV_STRING:
        if (v->safe)
            buf_adds(out, "Markup(");
        jval_repr_str(out, jval_text(v));
        if (v->safe)
            buf_addc(out, ')');
        break;
    case JV_LIST: repr_list(out, v, depth + 1); break;
    case JV_MAP: repr_map(out, v->map, depth + 1); break;
    case JV_CALLABLE: buf_printf(out, "<%s>", jval_type_name(v)); break;
    case JV_NAMESPACE:
        buf_adds(out, "<Namespace ");
        repr_map(out, v->map, depth + 1);
        buf_addc(out, '>');
        break;
    }
}

void jval_repr(struct buf *out, const struct jval *v)
{
    repr_at(out, v, 0);
}

void jval_print(struct buf *out, const struct jval *v)
{
    if (v->kind == JV_STRING)
        buf_add(out, v->s.p, v->s.n);
    else if (v->kind != JV_UNDEFINED)
        repr_at(out, v, 0);
}
