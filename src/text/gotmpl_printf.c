/* Go's Sprintf: flags, widths, precisions, argument numbers, and its words for what is wrong. */
#include "base/utf8.h"
#include "text/gotmpl_fmt.h"

struct formatter {
    struct gfmt f;
    struct str s;
    size_t at;
    const struct jval *const *v;
    size_t n, arg;
    bool good_arg, reordered;
};

static char here(const struct formatter *p)
{
    return p->at < p->s.n ? p->s.p[p->at] : 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* A number at the position; -1: there is none. Numbers past Go's ceiling count as none. */
static int read_number(struct formatter *p)
{
    int64_t v = -1;
    for (; is_digit(here(p)); p->at++) {
        v = (v < 0 ? 0 : v) * 10 + (here(p) - '0');
        if (v > GFMT_MAX_WIDTH)
            v = GFMT_MAX_WIDTH + 1;
    }
    return v > GFMT_MAX_WIDTH ? -1 : (int)v;
}

/* [3]: the next operand is the third. */
static bool read_index(struct formatter *p)
{
    if (here(p) != '[')
        return false;
    p->reordered = true;
    size_t close = p->at;
    while (close < p->s.n && p->s.p[close] != ']')
        close++;
    if (close == p->s.n) {
        p->good_arg = false;
        p->at++;
        return false;
    }
    p->at++;
    int i = read_number(p);
    bool ok = p->at == close && i >= 1 && (size_t)i <= p->n;
    p->at = close + 1;
    if (!ok)
        p->good_arg = false;
    else
        p->arg = (size_t)i - 1;
    return ok;
}

static bool read_star(struct formatter *p, int *out)
{
    if (here(p) != '*')
        return false;
    p->at++;
    *out = -1;
    if (p->arg < p->n && p->v[p->arg]->kind == JV_INT && p->v[p->arg]->i >= -GFMT_MAX_WIDTH &&
        p->v[p->arg]->i <= GFMT_MAX_WIDTH)
        *out = (int)p->v[p->arg]->i;
    else
        *out = INT32_MIN;
    p->arg += p->arg < p->n;
    return true;
}

static void read_flags(struct formatter *p)
{
    struct gfmt *f = &p->f;
    for (;; p->at++)
        switch (here(p)) {
        case '#': f->sharp = true; break;
        case '0': f->zero = !f->minus; break;
        case '+': f->plus = true; break;
        case '-':
            f->minus = true;
            f->zero = false;
            break;
        case ' ': f->space = true; break;
        default: return;
        }
}

static void read_width(struct formatter *p, bool *indexed)
{
    struct gfmt *f = &p->f;
    if (read_star(p, &f->width)) {
        *indexed = false;
        if (f->width == INT32_MIN) {
            buf_adds(f->out, "%!(BADWIDTH)");
            f->width = -1;
        } else if (f->width < 0) {
            f->width = -f->width;
            f->minus = true;
            f->zero = false;
        }
        return;
    }
    bool digits = is_digit(here(p));
    f->width = read_number(p);
    if (*indexed && digits)
        p->good_arg = false;
}

static void read_precision(struct formatter *p, bool *indexed)
{
    struct gfmt *f = &p->f;
    if (here(p) != '.')
        return;
    p->at++;
    if (*indexed)
        p->good_arg = false;
    *indexed = read_index(p);
    if (read_star(p, &f->prec)) {
        *indexed = false;
        if (f->prec < 0) {
            if (f->prec == INT32_MIN)
                buf_adds(f->out, "%!(BADPREC)");
            f->prec = -1;
        }
        return;
    }
    f->prec = read_number(p);
    if (f->prec < 0)
        f->prec = 0;
}

/* %v with + or #: the flags mean another way to print, not the sign. */
static void set_v_flags(struct gfmt *f)
{
    f->sharp_v = f->sharp;
    f->plus_v = f->plus && !f->sharp;
    f->sharp = false;
    f->plus = false;
}

static bool verb_at(struct formatter *p)
{
    struct gfmt *f = &p->f;
    struct str s = p->s;
    uint32_t cp;
    bool indexed = false;
    *f = (struct gfmt){.r = f->r, .out = f->out, .width = -1, .prec = -1};
    p->good_arg = true;
    read_flags(p);
    indexed = read_index(p);
    read_width(p, &indexed);
    read_precision(p, &indexed);
    if (!indexed)
        indexed = read_index(p);
    if (p->at >= s.n) {
        buf_adds(f->out, "%!(NOVERB)");
        return true;
    }
    size_t len = (size_t)utf8_decode(s.p + p->at, s.n - p->at, &cp);
    struct str verb = str_slice(s, p->at, p->at + len);
    p->at += len;
    if (cp == '%') {
        buf_addc(f->out, '%');
        return true;
    }
    if (!p->good_arg || p->arg >= p->n) {
        buf_printf(f->out, "%%!%.*s(%s)", STR_ARG(verb), p->good_arg ? "MISSING" : "BADINDEX");
        return true;
    }
    if (cp == 'v')
        set_v_flags(f);
    const struct jval *v = p->v[p->arg++];
    if (cp < 0x80)
        return gfmt_value(f, v, (char)cp, false);
    buf_printf(f->out, "%%!%.*s(", STR_ARG(verb));
    if (!gval_is_nil(v))
        buf_printf(f->out, "%s=", gval_type(v));
    *f = (struct gfmt){.r = f->r, .out = f->out, .width = -1, .prec = -1};
    bool ok = gfmt_value(f, v, 'v', false);
    buf_addc(f->out, ')');
    return ok;
}

static bool extra(struct formatter *p)
{
    struct gfmt f = {.r = p->f.r, .out = p->f.out, .width = -1, .prec = -1};
    buf_adds(f.out, "%!(EXTRA ");
    for (size_t i = p->arg; i < p->n; i++) {
        if (i > p->arg)
            buf_adds(f.out, ", ");
        if (!gval_is_nil(p->v[i]))
            buf_printf(f.out, "%s=", gval_type(p->v[i]));
        if (!gfmt_value(&f, p->v[i], 'v', false))
            return false;
    }
    buf_addc(f.out, ')');
    return true;
}

bool gfmt_printf(struct grun *r, struct buf *out, struct str format, const struct jval *const *v,
                 size_t n)
{
    struct formatter p = {.f = {.r = r, .out = out}, .s = format, .v = v, .n = n};
    while (p.at < format.n && !out->failed) {
        const char *from = format.p + p.at, *to = memchr(from, '%', format.n - p.at);
        size_t plain = to ? (size_t)(to - from) : format.n - p.at;
        buf_add(out, from, plain);
        p.at += plain;
        if (!to)
            break;
        p.at++;
        if (!grun_step(r, 1) || !verb_at(&p))
            return false;
    }
    return p.reordered || p.arg >= n || extra(&p);
}
