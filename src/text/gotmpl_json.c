/* Values as Go's encoding/json writes them: no blanks, maps sorted by key, HTML characters and the
 * line separators of JavaScript escaped, floats as JavaScript prints them. */
#include "base/utf8.h"
#include "text/gotmpl_run.h"
#include <math.h>

static void write_char(struct buf *out, uint32_t cp, const char *p, size_t len)
{
    switch (cp) {
    case '"':
    case '\\': buf_printf(out, "\\%c", (int)cp); return;
    case '\n': buf_adds(out, "\\n"); return;
    case '\r': buf_adds(out, "\\r"); return;
    case '\t': buf_adds(out, "\\t"); return;
    case '\b': buf_adds(out, "\\b"); return;
    case '\f': buf_adds(out, "\\f"); return;
    case UTF8_BAD: buf_adds(out, "\\ufffd"); return;
    default: break;
    }
    if (cp < 0x20 || cp == '<' || cp == '>' || cp == '&' || cp == 0x2028 || cp == 0x2029)
        buf_printf(out, "\\u%04x", cp);
    else
        buf_add(out, p, len);
}

static void write_str(struct buf *out, struct str s)
{
    buf_addc(out, '"');
    for (size_t i = 0; i < s.n && !out->failed;) {
        uint32_t cp;
        size_t len = (size_t)utf8_decode(s.p + i, s.n - i, &cp);
        write_char(out, cp, s.p + i, len);
        i += len;
    }
    buf_addc(out, '"');
}

/* Plain from 1e-6 below 1e21, else with an exponent that has no leading zero. */
static bool write_float(struct grun *r, struct buf *out, double f)
{
    char digits[24];
    int exp, n;
    if (!isfinite(f)) {
        grun_error(r, "json: unsupported value: %s", isnan(f) ? "NaN" : f < 0 ? "-Inf" : "+Inf");
        return false;
    }
    n = gfmt_digits(fabs(f), digits, &exp);
    if (signbit(f))
        buf_addc(out, '-');
    if (f != 0 && (exp < -6 || exp >= 21)) {
        buf_addc(out, digits[0]);
        if (n > 1)
            buf_printf(out, ".%.*s", n - 1, digits + 1);
        buf_printf(out, "e%+d", exp);
        return true;
    }
    if (exp < 0)
        buf_printf(out, "0.%.*s", -exp - 1, "000000");
    for (int i = 0; i < n || i <= exp; i++) {
        if (exp >= 0 && i == exp + 1)
            buf_addc(out, '.');
        buf_addc(out, i < n ? digits[i] : '0');
    }
    return true;
}

static bool write_value(struct grun *r, struct buf *out, const struct jval *v);

static bool write_list(struct grun *r, struct buf *out, const struct jval *v)
{
    if ((v->go & GO_ALONE) && v->list.n == 1)
        return write_value(r, out, v->list.v[0]);
    buf_addc(out, '[');
    for (size_t i = 0; i < v->list.n; i++) {
        if (i)
            buf_addc(out, ',');
        if (!write_value(r, out, v->list.v[i]))
            return false;
    }
    buf_addc(out, ']');
    return true;
}

static bool write_map(struct grun *r, struct buf *out, const struct jval *v)
{
    const struct jentry *e = v->map->n ? gval_entries(r, v) : NULL;
    if (v->map->n && !e)
        return false;
    buf_addc(out, '{');
    for (size_t i = 0; i < v->map->n; i++) {
        if (i)
            buf_addc(out, ',');
        if (e[i].key->kind == JV_STRING)
            write_str(out, jval_text(e[i].key));
        buf_addc(out, ':');
        if (!write_value(r, out, e[i].value))
            return false;
    }
    buf_addc(out, '}');
    return true;
}

static bool write_one(struct grun *r, struct buf *out, const struct jval *v)
{
    switch ((enum jval_kind)v->kind) {
    case JV_BOOL: buf_adds(out, v->b ? "true" : "false"); return true;
    case JV_INT: buf_printf(out, "%lld", (long long)v->i); return true;
    case JV_FLOAT: return write_float(r, out, v->f);
    case JV_STRING: write_str(out, jval_text(v)); return true;
    case JV_LIST:
        if (v->go & GO_NIL)
            break;
        return write_list(r, out, v);
    case JV_MAP:
        if (v->go & GO_NIL)
            break;
        if (v->map->json)
            return write_value(r, out, v->map->json);
        return write_map(r, out, v);
    default: break;
    }
    buf_adds(out, "null");
    return true;
}

static bool write_value(struct grun *r, struct buf *out, const struct jval *v)
{
    if (out->failed || !grun_step(r, 1) || !grun_enter(r))
        return false;
    bool ok = write_one(r, out, v);
    r->depth--;
    return ok;
}

bool gjson_write(struct grun *r, struct buf *out, const struct jval *v)
{
    return write_value(r, out, v) || (out->failed && r->status == OK);
}
