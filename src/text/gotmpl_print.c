/* Go's fmt for values of any kind: what a verb means for each, and print, println and actions. */
#include "text/gotmpl_fmt.h"
#include "base/utf8.h"
#include <stdio.h>

/* %!d(string=hi): a verb that the value's type does not have. */
static bool bad_verb(struct gfmt *f, const struct jval *v, char verb)
{
    struct gfmt plain = {.r = f->r, .out = f->out, .width = -1, .prec = -1};
    if (gval_is_nil(v)) {
        buf_printf(f->out, "%%!%c(<nil>)", verb);
        return true;
    }
    buf_printf(f->out, "%%!%c(%s=", verb, gval_type(v));
    bool ok = gfmt_value(&plain, v, 'v', true);
    buf_addc(f->out, ')');
    return ok;
}

static bool print_bool(struct gfmt *f, const struct jval *v, char verb)
{
    if (verb != 't' && verb != 'v')
        return bad_verb(f, v, verb);
    gfmt_pad(f, v->b ? STR("true") : STR("false"));
    return true;
}

static bool print_int(struct gfmt *f, const struct jval *v, char verb)
{
    char text[16];
    uint32_t cp =
        v->i < 0 || v->i > 0x10ffff || (v->i >= 0xd800 && v->i < 0xe000) ? 0xfffd : (uint32_t)v->i;
    size_t n = (size_t)utf8_encode(cp, text);
    switch (verb) {
    case 'v':
    case 'd': gfmt_integer(f, v->i, 10, verb); return true;
    case 'b': gfmt_integer(f, v->i, 2, verb); return true;
    case 'o':
    case 'O': gfmt_integer(f, v->i, 8, verb); return true;
    case 'x':
    case 'X': gfmt_integer(f, v->i, 16, verb); return true;
    case 'c': gfmt_pad(f, (struct str){text, n}); return true;
    case 'U': {
        char code[32];
        int len = snprintf(code, sizeof code, "U+%04llX", (unsigned long long)v->i);
        gfmt_pad(f, (struct str){code, (size_t)len});
        return true;
    }
    case 'q': {
        struct buf b;
        buf_init(&b, 64);
        gfmt_quote(&b, (struct str){text, n});
        struct str q = str_slice(buf_str(&b), 1, b.n - 1);
        char quoted[64];
        if (cp == '\'')
            q = STR("\\'");
        else if (cp == '"')
            q = STR("\"");
        int len = snprintf(quoted, sizeof quoted, "'%.*s'", STR_ARG(q));
        gfmt_pad(f, (struct str){quoted, (size_t)len});
        buf_release(&b);
        return true;
    }
    default: return bad_verb(f, v, verb);
    }
}

static bool print_float(struct gfmt *f, const struct jval *v, char verb)
{
    switch (verb) {
    case 'v': gfmt_float(f, v->f, 'g', -1); return true;
    case 'g':
    case 'G': gfmt_float(f, v->f, verb, -1); return true;
    case 'e':
    case 'E':
    case 'f':
    case 'F': gfmt_float(f, v->f, verb, 6); return true;
    default: return bad_verb(f, v, verb);
    }
}

static bool print_string(struct gfmt *f, const struct jval *v, char verb)
{
    if (!strchr("vsxXq", verb))
        return bad_verb(f, v, verb);
    gfmt_string(f, jval_text(v), verb);
    return true;
}

static bool print_list(struct gfmt *f, const struct jval *v, char verb)
{
    bool ok = true;
    if (f->sharp_v)
        buf_printf(f->out, "%s{", gval_type(v));
    else
        buf_addc(f->out, '[');
    for (size_t i = 0; i < v->list.n && ok; i++) {
        if (i)
            buf_adds(f->out, f->sharp_v ? ", " : " ");
        ok = gfmt_value(f, v->list.v[i], verb, true);
    }
    buf_addc(f->out, f->sharp_v ? '}' : ']');
    return ok;
}

static bool print_map(struct gfmt *f, const struct jval *v, char verb)
{
    bool is_struct = v->go & GO_STRUCT, names = !is_struct || f->plus_v || f->sharp_v, ok = true;
    const struct jentry *e = v->map->n ? gval_entries(f->r, v) : NULL;
    if (v->map->n && !e)
        return false;
    if (f->sharp_v)
        buf_printf(f->out, "%s{", gval_type(v));
    else
        buf_adds(f->out, is_struct ? "{" : "map[");
    for (size_t i = 0; i < v->map->n && ok; i++) {
        if (i)
            buf_adds(f->out, f->sharp_v ? ", " : " ");
        if (names && is_struct)
            buf_addstr(f->out, jval_text(e[i].key));
        else if (names)
            ok = gfmt_value(f, e[i].key, verb, true);
        if (names)
            buf_addc(f->out, ':');
        ok = ok && gfmt_value(f, e[i].value, verb, true);
    }
    buf_addc(f->out, is_struct || f->sharp_v ? '}' : ']');
    return ok;
}

/* Values whose Go type has a String method. *done: this was one. */
static bool print_stringer(struct gfmt *f, const struct jval *v, char verb, bool *done)
{
    *done = !f->sharp_v && strchr("vsxXq", verb) != NULL;
    if (*done && (v->go & GO_ALONE) && v->list.n == 1)
        return gfmt_value(f, v->list.v[0], verb, true);
    if (*done && (v->go & GO_ALONE) && v->list.n == 0)
        return true;
    *done = *done && (v->go & GO_JSON);
    if (!*done)
        return true;
    if (v->kind == JV_MAP && (v->go & GO_NIL)) { /* null in JSON, but not by itself */
        gfmt_string(f, STR("{}"), verb);
        return true;
    }
    struct buf b;
    grun_buf(f->r, &b);
    bool ok = gjson_write(f->r, &b, v);
    if (ok)
        gfmt_string(f, buf_str(&b), verb);
    f->out->failed |= b.failed;
    buf_release(&b);
    return ok;
}

static bool print_any(struct gfmt *f, const struct jval *v, char verb, bool inner)
{
    bool done;
    if (verb == 'T') {
        gfmt_pad(f, str_from(gval_type(v)));
        return true;
    }
    switch ((enum jval_kind)v->kind) {
    case JV_BOOL: return print_bool(f, v, verb);
    case JV_INT: return print_int(f, v, verb);
    case JV_FLOAT: return print_float(f, v, verb);
    case JV_STRING: return print_string(f, v, verb);
    case JV_LIST:
    case JV_MAP:
        if (!print_stringer(f, v, verb, &done) || done)
            return done;
        return v->kind == JV_LIST ? print_list(f, v, verb) : print_map(f, v, verb);
    default: break;
    }
    if (inner && f->sharp_v) {
        buf_adds(f->out, "interface {}(nil)");
        return true;
    }
    if (!inner && verb != 'v')
        return bad_verb(f, v, verb);
    if (inner)
        buf_adds(f->out, "<nil>");
    else
        gfmt_pad(f, STR("<nil>"));
    return true;
}

bool gfmt_value(struct gfmt *f, const struct jval *v, char verb, bool inner)
{
    if (!grun_step(f->r, 1) || !grun_enter(f->r))
        return false;
    bool ok = f->out->failed || print_any(f, v, verb, inner);
    f->r->depth--;
    return ok;
}

bool gfmt_print(struct grun *r, struct buf *out, const struct jval *v)
{
    struct gfmt f = {.r = r, .out = out, .width = -1, .prec = -1};
    if (v->kind == JV_STRING) {
        buf_addstr(out, jval_text(v));
        return true;
    }
    if (v->kind == JV_UNDEFINED) {
        buf_adds(out, "<no value>");
        return true;
    }
    return gfmt_value(&f, v, 'v', false);
}

bool gfmt_prints(struct grun *r, struct buf *out, const struct jval *const *v, size_t n, bool line)
{
    struct gfmt f = {.r = r, .out = out, .width = -1, .prec = -1};
    for (size_t i = 0; i < n; i++) {
        bool strings = i && (v[i]->kind == JV_STRING || v[i - 1]->kind == JV_STRING);
        if (i && (line || !strings))
            buf_addc(out, ' ');
        if (!gfmt_value(&f, v[i], 'v', false))
            return false;
    }
    if (line)
        buf_addc(out, '\n');
    return true;
}
