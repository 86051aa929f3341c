/* The functions of Go templates: Go's own and those that Ollama adds. */
#include "base/utf8.h"
#include "text/gotmpl_run.h"
#include "text/pystr.h"
#include <time.h>

static const struct jval *go_not(struct grun *r, const struct jval *const *v, size_t n)
{
    (void)r, (void)n;
    return jval_of_bool(!gval_truth(v[0]));
}

static const struct jval *go_len(struct grun *r, const struct jval *const *v, size_t n)
{
    (void)n;
    switch ((enum jval_kind)v[0]->kind) {
    case JV_STRING: return grun_int(r, (int64_t)v[0]->s.n);
    case JV_LIST: return grun_int(r, (int64_t)v[0]->list.n);
    case JV_MAP:
        if (!(v[0]->go & GO_STRUCT))
            return grun_int(r, (int64_t)v[0]->map->n);
        break;
    default: break;
    }
    return grun_error(r, gval_is_nil(v[0]) ? "len of nil pointer" : "len of type %s",
                      gval_type(v[0]));
}

/* ---- comparisons ---- */

static const struct jval *go_eq(struct grun *r, const struct jval *const *v, size_t n)
{
    bool equal = false;
    if (n < 2)
        return grun_error(r, "missing argument for comparison");
    for (size_t i = 1; i < n && !equal; i++)
        if (!gval_equal(r, v[0], v[i], &equal))
            return NULL;
    return jval_of_bool(equal);
}

static const struct jval *go_ne(struct grun *r, const struct jval *const *v, size_t n)
{
    bool equal;
    (void)n;
    return gval_equal(r, v[0], v[1], &equal) ? jval_of_bool(!equal) : NULL;
}

static const struct jval *go_lt(struct grun *r, const struct jval *const *v, size_t n)
{
    bool less;
    (void)n;
    return gval_less(r, v[0], v[1], &less) ? jval_of_bool(less) : NULL;
}

static const struct jval *go_le(struct grun *r, const struct jval *const *v, size_t n)
{
    bool less, equal;
    (void)n;
    if (!gval_less(r, v[0], v[1], &less))
        return NULL;
    if (less)
        return &jval_true;
    return gval_equal(r, v[0], v[1], &equal) ? jval_of_bool(equal) : NULL;
}

static const struct jval *negated(const struct jval *v)
{
    return v ? jval_of_bool(!v->b) : NULL;
}

static const struct jval *go_gt(struct grun *r, const struct jval *const *v, size_t n)
{
    return negated(go_le(r, v, n));
}

static const struct jval *go_ge(struct grun *r, const struct jval *const *v, size_t n)
{
    return negated(go_lt(r, v, n));
}

/* ---- printing ---- */

static const struct jval *printed(struct grun *r, const struct jval *const *v, size_t n, bool line)
{
    struct buf b;
    grun_buf(r, &b);
    if (gfmt_prints(r, &b, v, n, line))
        return grun_take(r, &b);
    buf_release(&b);
    return NULL;
}

static const struct jval *go_print(struct grun *r, const struct jval *const *v, size_t n)
{
    return printed(r, v, n, false);
}

static const struct jval *go_println(struct grun *r, const struct jval *const *v, size_t n)
{
    return printed(r, v, n, true);
}

static const struct jval *go_printf(struct grun *r, const struct jval *const *v, size_t n)
{
    struct buf b;
    if (v[0]->kind != JV_STRING)
        return grun_error(r, "wrong type for value; expected string; got %s", gval_type(v[0]));
    grun_buf(r, &b);
    if (gfmt_printf(r, &b, jval_text(v[0]), v + 1, n - 1))
        return grun_take(r, &b);
    buf_release(&b);
    return NULL;
}

/* The text of html, js and urlquery: one string as it is, else what print gives. */
static bool text_of(struct grun *r, const struct jval *const *v, size_t n, struct str *out)
{
    const struct jval *s = n == 1 && v[0]->kind == JV_STRING ? v[0] : go_print(r, v, n);
    if (!s)
        return false;
    *out = jval_text(s);
    return true;
}

static const struct jval *go_html(struct grun *r, const struct jval *const *v, size_t n)
{
    struct str s;
    struct buf b;
    if (!text_of(r, v, n, &s))
        return NULL;
    grun_buf(r, &b);
    for (size_t i = 0; i < s.n; i++)
        switch (s.p[i]) {
        case 0: buf_adds(&b, "\xef\xbf\xbd"); break;
        case '"': buf_adds(&b, "&#34;"); break;
        case '\'': buf_adds(&b, "&#39;"); break;
        case '&': buf_adds(&b, "&amp;"); break;
        case '<': buf_adds(&b, "&lt;"); break;
        case '>': buf_adds(&b, "&gt;"); break;
        default: buf_addc(&b, s.p[i]);
        }
    return grun_take(r, &b);
}

static void js_char(struct buf *b, uint32_t cp, const char *p, size_t len)
{
    if (cp == '\\' || cp == '\'' || cp == '"')
        buf_printf(b, "\\%c", (int)cp);
    else if (cp < 0x20 || cp == '<' || cp == '>' || cp == '&' || cp == '=')
        buf_printf(b, "\\u%04X", cp);
    else if (cp < 0x80 || cp == UTF8_BAD || pychar_is(cp, PY_PRINTABLE))
        buf_add(b, p, len);
    else
        buf_printf(b, "\\u%04X", cp);
}

static const struct jval *go_js(struct grun *r, const struct jval *const *v, size_t n)
{
    struct str s;
    struct buf b;
    if (!text_of(r, v, n, &s))
        return NULL;
    grun_buf(r, &b);
    for (size_t i = 0; i < s.n;) {
        uint32_t cp;
        size_t len = (size_t)utf8_decode(s.p + i, s.n - i, &cp);
        js_char(&b, cp, s.p + i, len);
        i += len;
    }
    return grun_take(r, &b);
}

static const struct jval *go_urlquery(struct grun *r, const struct jval *const *v, size_t n)
{
    struct str s;
    struct buf b;
    if (!text_of(r, v, n, &s))
        return NULL;
    grun_buf(r, &b);
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if ((c | 32u) - 'a' < 26 || (unsigned)c - '0' < 10 || (c && strchr("-_.~", c)))
            buf_addc(&b, (char)c);
        else if (c == ' ')
            buf_addc(&b, '+');
        else
            buf_printf(&b, "%%%02X", c);
    }
    return grun_take(r, &b);
}

static const struct jval *go_call(struct grun *r, const struct jval *const *v, size_t n)
{
    (void)n;
    return grun_error(r, gval_is_nil(v[0]) ? "call of nil" : "non-function of type %s",
                      gval_type(v[0]));
}

/* ---- what Ollama adds ---- */

static const struct jval *go_json(struct grun *r, const struct jval *const *v, size_t n)
{
    struct buf b;
    (void)n;
    grun_buf(r, &b);
    if (gjson_write(r, &b, v[0]))
        return grun_take(r, &b);
    buf_release(&b);
    return NULL;
}

static const struct jval *date(struct grun *r, const struct jval *const *v, size_t n, int days)
{
    char text[40];
    time_t now = (time_t)r->now;
    struct tm tm = {0};
    for (size_t i = 0; i < n; i++) /* formats, which are not looked at */
        if (v[i]->kind != JV_STRING)
            return grun_error(r, "wrong type for value; expected string; got %s", gval_type(v[i]));
    if (!localtime_r(&now, &tm))
        return grun_error(r, "no date for second %lld", (long long)r->now);
    if (days) {
        tm.tm_mday += days;
        tm.tm_hour = 12; /* no change of the clocks can move noon to another day */
        tm.tm_isdst = -1;
        mktime(&tm);
    }
    size_t len = strftime(text, sizeof text, "%Y-%m-%d", &tm);
    return grun_str(r, (struct str){text, len});
}

static const struct jval *go_today(struct grun *r, const struct jval *const *v, size_t n)
{
    return date(r, v, n, 0);
}

static const struct jval *go_yesterday(struct grun *r, const struct jval *const *v, size_t n)
{
    return date(r, v, n, -1);
}

/* A member of a JSON schema, under its Go or its JSON name. */
static const struct jval *member(const struct jval *schema, const char *go, const char *json)
{
    const struct jval *v = jval_map_get(schema, str_from(go));
    return v ? v : jval_map_get(schema, str_from(json));
}

static const char *typescript_name(const struct jval *v)
{
    static const char *const names[][2] = {
        {"string", "string"},   {"number", "number"}, {"integer", "number"},
        {"boolean", "boolean"}, {"array", "any[]"},   {"object", "Record<string, any>"},
        {"null", "null"},
    };
    for (size_t i = 0; v->kind == JV_STRING && i < sizeof names / sizeof *names; i++)
        if (str_is(jval_text(v), names[i][0]))
            return names[i][1];
    return "any";
}

static bool typescript(struct grun *r, struct buf *b, const struct jval *v)
{
    const struct jval *any = member(v, "AnyOf", "anyOf"), *type = member(v, "Type", "type");
    bool ok = true;
    if (!grun_step(r, 1) || !grun_enter(r))
        return false;
    if (any && any->kind == JV_LIST && any->list.n) {
        for (size_t i = 0; i < any->list.n && ok; i++) {
            buf_adds(b, i ? " | " : "");
            ok = typescript(r, b, any->list.v[i]);
        }
    } else if (type && type->kind == JV_LIST && type->list.n) {
        for (size_t i = 0; i < type->list.n; i++) {
            buf_adds(b, i ? " | " : "");
            buf_adds(b, typescript_name(type->list.v[i]));
        }
    } else {
        buf_adds(b, type ? typescript_name(type) : "any");
    }
    r->depth--;
    return ok;
}

static const struct jval *go_typescript(struct grun *r, const struct jval *const *v, size_t n)
{
    struct buf b;
    (void)n;
    grun_buf(r, &b);
    if (typescript(r, &b, v[0]))
        return grun_take(r, &b);
    buf_release(&b);
    return NULL;
}

static const struct gfunction functions[] = {
    {"and", 1, -1, NULL},
    {"call", 1, -1, go_call},
    {"currentDate", 0, -1, go_today},
    {"eq", 1, -1, go_eq},
    {"ge", 2, 2, go_ge},
    {"gt", 2, 2, go_gt},
    {"html", 0, -1, go_html},
    {"index", 1, -1, gfunc_index},
    {"js", 0, -1, go_js},
    {"json", 1, 1, go_json},
    {"le", 2, 2, go_le},
    {"len", 1, 1, go_len},
    {"lt", 2, 2, go_lt},
    {"ne", 2, 2, go_ne},
    {"not", 1, 1, go_not},
    {"or", 1, -1, NULL},
    {"print", 0, -1, go_print},
    {"printf", 1, -1, go_printf},
    {"println", 0, -1, go_println},
    {"slice", 1, -1, gfunc_slice},
    {"toTypeScriptType", 1, 1, go_typescript},
    {"urlquery", 0, -1, go_urlquery},
    {"yesterdayDate", 0, -1, go_yesterday},
};

const struct gfunction *gotmpl_function(struct str name)
{
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (str_is(name, functions[i].name))
            return &functions[i];
    return NULL;
}
