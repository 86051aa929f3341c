/* tojson as transformers defines it: Python's json.dumps with ensure_ascii off, so no HTML
 * escaping, ", " and ": " as separators (without the space before a line break), and the
 * arguments ensure_ascii, indent, separators and sort_keys. */
#include "text/jinja_filters.h"
#include "base/utf8.h"
#include <math.h>

struct dumper {
    struct jrun *r;
    struct buf *out;
    struct str item, colon, indent; /* indent.p NULL: one line */
    bool ascii, sort;
};

static bool dump(struct dumper *d, const struct jval *v, int depth);

static void dump_char(struct buf *out, uint32_t cp)
{
    if (cp >= 0x10000) {
        cp -= 0x10000;
        buf_printf(out, "\\u%04x\\u%04x", 0xd800 + (cp >> 10), 0xdc00 + (cp & 0x3ff));
    } else {
        buf_printf(out, "\\u%04x", cp);
    }
}

static void dump_str(struct dumper *d, struct str s)
{
    static const char from[] = "\"\\\n\r\t\f\b", to[] = "\"\\nrtfb";
    struct buf *out = d->out;
    buf_addc(out, '"');
    for (size_t i = 0, run = 0; i <= s.n;) {
        unsigned char c = i < s.n ? (unsigned char)s.p[i] : 0;
        bool plain = i < s.n && c >= 0x20 && c != '"' && c != '\\' && !(d->ascii && c >= 0x80);
        if (plain) {
            i++;
            continue;
        }
        buf_add(out, s.p + run, i - run);
        if (i == s.n)
            break;
        const char *known = c ? strchr(from, c) : NULL;
        uint32_t cp = c;
        int len = c >= 0x80 ? utf8_decode(s.p + i, s.n - i, &cp) : 1;
        if (known)
            buf_printf(out, "\\%c", to[known - from]);
        else
            dump_char(out, cp == UTF8_BAD ? 0xdc00u + c : cp);
        run = i += (size_t)len;
    }
    buf_addc(out, '"');
}

static void new_line(struct dumper *d, int depth)
{
    if (!d->indent.p)
        return;
    buf_addc(d->out, '\n');
    for (int i = 0; i < depth; i++)
        buf_addstr(d->out, d->indent);
}

static bool dump_list(struct dumper *d, const struct jval *v, int depth)
{
    buf_addc(d->out, '[');
    for (size_t i = 0; i < v->list.n; i++) {
        if (i)
            buf_addstr(d->out, d->item);
        new_line(d, depth + 1);
        if (!dump(d, v->list.v[i], depth + 1))
            return false;
    }
    if (v->list.n)
        new_line(d, depth);
    buf_addc(d->out, ']');
    return true;
}

static void dump_float(struct buf *out, double f)
{
    if (isfinite(f))
        jval_print_float(out, f);
    else
        buf_adds(out, isnan(f) ? "NaN" : f < 0 ? "-Infinity" : "Infinity");
}

static bool dump_key(struct dumper *d, const struct jval *key)
{
    struct buf *out = d->out;
    switch ((enum jval_kind)key->kind) {
    case JV_STRING: dump_str(d, jval_text(key)); return true;
    case JV_NULL: buf_adds(out, "\"null\""); return true;
    case JV_BOOL: buf_adds(out, key->b ? "\"true\"" : "\"false\""); return true;
    case JV_INT: buf_printf(out, "\"%lld\"", (long long)key->i); return true;
    case JV_FLOAT:
        buf_addc(out, '"');
        dump_float(out, key->f);
        buf_addc(out, '"');
        return true;
    default:
        jrun_error(d->r, "keys must be str, int, float, bool or None, not %s", jval_type_name(key));
        return false;
    }
}

/* The entries in the order to write: as they are or sorted by key. */
static const struct jentry *entries(struct dumper *d, const struct jmap *m)
{
    struct jentry *e;
    int order;
    if (!d->sort || m->n < 2)
        return m->e;
    if (!(e = jrun_alloc(d->r, m->n, sizeof *e)))
        return NULL;
    for (size_t i = 0; i < m->n; i++) { /* insertion: schemas have few keys */
        size_t at = i;
        for (; at > 0; at--) {
            if (!jrun_step(d->r, 1))
                return NULL;
            if (!jval_compare(m->e[i].key, e[at - 1].key, &order)) {
                jrun_error(d->r, "'<' not supported between instances of '%s' and '%s'",
                           jval_type_name(m->e[i].key), jval_type_name(e[at - 1].key));
                return NULL;
            }
            if (order >= 0)
                break;
            e[at] = e[at - 1];
        }
        e[at] = m->e[i];
    }
    return e;
}

static bool dump_map(struct dumper *d, const struct jmap *m, int depth)
{
    const struct jentry *e = entries(d, m);
    if (!e && m->n)
        return false;
    buf_addc(d->out, '{');
    for (size_t i = 0; i < m->n; i++) {
        if (i)
            buf_addstr(d->out, d->item);
        new_line(d, depth + 1);
        if (!dump_key(d, e[i].key))
            return false;
        buf_addstr(d->out, d->colon);
        if (!dump(d, e[i].value, depth + 1))
            return false;
    }
    if (m->n)
        new_line(d, depth);
    buf_addc(d->out, '}');
    return true;
}

static bool dump_value(struct dumper *d, const struct jval *v, int depth)
{
    switch ((enum jval_kind)v->kind) {
    case JV_NULL: buf_adds(d->out, "null"); return true;
    case JV_BOOL: buf_adds(d->out, v->b ? "true" : "false"); return true;
    case JV_INT: buf_printf(d->out, "%lld", (long long)v->i); return true;
    case JV_FLOAT: dump_float(d->out, v->f); return true;
    case JV_STRING: dump_str(d, jval_text(v)); return true;
    case JV_MAP: return dump_map(d, v->map, depth);
    case JV_LIST:
        if (v->sub == JL_LIST || jval_is_tuple(v))
            return dump_list(d, v, depth);
        break;
    default: break;
    }
    jrun_error(d->r, "Object of type %s is not JSON serializable", jval_type_name(v));
    return false;
}

static bool dump(struct dumper *d, const struct jval *v, int depth)
{
    if (!jrun_step(d->r, 1) || !jrun_enter(d->r))
        return false;
    bool ok = dump_value(d, v, depth);
    d->r->depth--;
    if (ok && d->out->failed)
        return jrun_no_memory(d->r), false;
    return ok;
}

static bool dump_options(struct dumper *d, const struct jargs *args)
{
    const struct jval *indent = args->pos[1], *separators = args->pos[2], **pair;
    size_t n;
    if (indent && indent->kind == JV_STRING) {
        d->indent = jval_text(indent);
    } else if (indent && indent->kind != JV_NULL) {
        int64_t width;
        if (!jarg_int(d->r, indent, 0, &width))
            return false;
        struct jval space = {.kind = JV_STRING, .s = {" ", 1, 1}};
        struct jval times = {.kind = JV_INT, .i = width};
        const struct jval *s = jrun_binary(d->r, OP_MUL, &space, &times);
        if (!s)
            return false;
        d->indent = jval_text(s);
    }
    d->item = d->indent.p ? STR(",") : STR(", ");
    d->colon = STR(": ");
    if (!separators || separators->kind == JV_NULL)
        return true;
    if (!jrun_items(d->r, separators, &pair, &n))
        return false;
    if (n != 2)
        return jrun_error(d->r, "tojson: separators are a pair, got %zu values", n), false;
    return jarg_text(d->r, pair[0], "a separator", &d->item) &&
           jarg_text(d->r, pair[1], "a separator", &d->colon);
}

const struct jval *jfilter_tojson(struct jrun *r, const struct jval *self, const struct jargs *args)
{
    struct buf out;
    struct dumper d = {
        .r = r,
        .out = &out,
        .ascii = jarg_truth(args->pos[0], false),
        .sort = jarg_truth(args->pos[3], false),
    };
    if (!dump_options(&d, args))
        return NULL;
    jrun_buf(r, &out);
    if (dump(&d, self, 0))
        return jrun_take(r, &out);
    buf_release(&out);
    return NULL;
}
