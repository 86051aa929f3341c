/* Python's two ways to format: "%5.2f" % value and "{:>10}".format(value).
 *
 * Both read a specification into `struct spec` and share the writing. Widths are bounded by the
 * rendering's memory, precisions by MAX_PRECISION. */
#include "text/jinja_methods.h"
#include "base/utf8.h"
#include <math.h>
#include <stdio.h>

enum { MAX_PRECISION = 1000 };

struct spec {
    struct str fill;
    char align; /* '<' '>' '^' '=', or 0 for the type's own */
    char sign;  /* '+', ' ' or '-' */
    bool alternate, zero, sign_given;
    int64_t width, precision; /* precision < 0: none */
    char group;               /* ',' '_' or 0 */
    char type;                /* 0: none */
};

static void fill(struct buf *out, struct str with, int64_t n)
{
    for (; n > 0 && !out->failed; n--)
        buf_addstr(out, with);
}

/* sign and prefix, then body, padded to the width. */
static bool put_padded(struct jrun *r, struct buf *out, const struct spec *s, struct str sign,
                       struct str body, char default_align)
{
    int64_t n = (int64_t)(sign.n + jstr_count(body.p, body.n));
    int64_t pad = s->width > n ? s->width - n : 0;
    char align = s->align ? s->align : default_align;
    if (!jrun_step(r, (uint64_t)pad / 8))
        return false;
    if (align == '>' || align == '^')
        fill(out, s->fill, align == '^' ? pad / 2 : pad);
    buf_addstr(out, sign);
    if (align == '=')
        fill(out, s->fill, pad);
    buf_addstr(out, body);
    if (align == '<' || align == '^')
        fill(out, s->fill, align == '^' ? pad - pad / 2 : pad);
    return true;
}

static bool put_text(struct jrun *r, struct buf *out, const struct spec *s, struct str text)
{
    if (s->precision >= 0) {
        struct jval v = {.kind = JV_STRING, .s = {text.p, text.n, jstr_count(text.p, text.n)}};
        if ((uint64_t)s->precision < v.s.chars)
            text.n = jstr_offset(&v, (size_t)s->precision);
    }
    return put_padded(r, out, s, STR(""), text, '<');
}

/* Digit groups of `every` from the right in the whole part of a number. */
static void group_digits(struct buf *out, struct str digits, char group, size_t every)
{
    size_t whole = 0;
    while (whole < digits.n && digits.p[whole] != '.' && digits.p[whole] != 'e' &&
           digits.p[whole] != 'E' && digits.p[whole] != '%')
        whole++;
    for (size_t i = 0; i < digits.n; i++) {
        if (i && i < whole && (whole - i) % every == 0)
            buf_addc(out, group);
        buf_addc(out, digits.p[i]);
    }
}

/* A number's digits without sign; `prefix` such as "0x" goes with the sign. */
static bool put_number(struct jrun *r, struct buf *out, const struct spec *s, bool negative,
                       const char *prefix, struct str digits, bool decimal)
{
    char sign[8];
    struct buf grouped;
    buf_init(&grouped, 8192);
    if (s->group)
        group_digits(&grouped, digits, s->group, decimal ? 3 : 4);
    else
        buf_addstr(&grouped, digits);
    snprintf(sign, sizeof sign, "%s%s",
             negative         ? "-"
             : s->sign == '+' ? "+"
             : s->sign == ' ' ? " "
                              : "",
             prefix);
    struct spec padded = *s;
    if (s->zero && !s->align) {
        padded.align = '=';
        padded.fill = STR("0");
    }
    bool ok = put_padded(r, out, &padded, str_from(sign), buf_str(&grouped), '>');
    buf_release(&grouped);
    return ok;
}

static bool put_int(struct jrun *r, struct buf *out, const struct spec *s, int64_t v)
{
    uint64_t rest = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    char digits[80];
    size_t at = sizeof digits;
    unsigned base = s->type == 'b' ? 2 : s->type == 'o' ? 8 : (s->type | 32) == 'x' ? 16 : 10;
    const char *names = s->type == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
    const char *prefix = !s->alternate || base == 10 ? ""
                         : base == 2                 ? "0b"
                         : base == 8                 ? "0o"
                         : s->type == 'X'            ? "0X"
                                                     : "0x";
    do
        digits[--at] = names[rest % base];
    while (rest /= base);
    struct buf b;
    buf_init(&b, 8192);
    for (int64_t n = s->precision - (int64_t)(sizeof digits - at); n > 0; n--)
        buf_addc(&b, '0');
    buf_add(&b, digits + at, sizeof digits - at);
    bool ok = put_number(r, out, s, v < 0, prefix, buf_str(&b), base == 10);
    buf_release(&b);
    return ok;
}

static bool put_float(struct jrun *r, struct buf *out, const struct spec *s, double f)
{
    char text[1500];
    bool negative = signbit(f) && !isnan(f), percent = s->type == '%';
    int precision = s->precision < 0 ? 6 : (int)s->precision;
    f = percent ? fabs(f) * 100 : fabs(f);
    char type = percent ? 'f' : s->type;
    if (!isfinite(f)) {
        snprintf(text, sizeof text, "%s", isnan(f) ? "nan" : "inf");
        for (char *c = text; (type == 'F' || type == 'E' || type == 'G') && *c; c++)
            *c = (char)(*c & ~32);
    } else if (type == 'f' || type == 'F') {
        snprintf(text, sizeof text, s->alternate ? "%#.*f" : "%.*f", precision, f);
    } else if (type == 'e') {
        snprintf(text, sizeof text, s->alternate ? "%#.*e" : "%.*e", precision, f);
    } else if (type == 'E') {
        snprintf(text, sizeof text, s->alternate ? "%#.*E" : "%.*E", precision, f);
    } else if (type == 'G') {
        snprintf(text, sizeof text, s->alternate ? "%#.*G" : "%.*G", precision, f);
    } else if (type == 'g' || type == 'n') {
        snprintf(text, sizeof text, s->alternate ? "%#.*g" : "%.*g", precision, f);
    } else if (s->precision >= 0) { /* as g, but it still looks like a float */
        snprintf(text, sizeof text, "%.*g", precision, f);
        if (!strpbrk(text, ".e"))
            strncat(text, ".0", 3);
    } else {
        struct buf b;
        buf_init(&b, 64);
        jval_print_float(&b, f);
        snprintf(text, sizeof text, "%.*s", STR_ARG(buf_str(&b)));
        buf_release(&b);
    }
    if (percent)
        strncat(text, "%", 2);
    return put_number(r, out, s, negative, "", str_from(text), true);
}

static bool check_precision(struct jrun *r, const struct spec *s)
{
    if (s->precision > MAX_PRECISION)
        return jrun_error(r, "precision %lld, the limit is %d", (long long)s->precision,
                          MAX_PRECISION),
               false;
    if (s->width > (int64_t)r->max_memory)
        return jrun_no_memory(r), false;
    return true;
}

/* ---- "..." % values ---- */

struct percent {
    struct jrun *r;
    struct buf out;
    struct str f;
    size_t at;
    const struct jval *args, *const *v;
    size_t n, next;
};

static const struct jval *next_arg(struct percent *p)
{
    if (p->next < p->n)
        return p->v[p->next++];
    return jrun_error(p->r, "not enough arguments for format string");
}

static bool star_or_number(struct percent *p, int64_t *out)
{
    if (p->at < p->f.n && p->f.p[p->at] == '*') {
        const struct jval *v = next_arg(p);
        p->at++;
        if (v && v->kind != JV_INT)
            return jrun_error(p->r, "* wants int"), false;
        return v && jarg_int(p->r, v, 0, out);
    }
    for (*out = 0; p->at < p->f.n && p->f.p[p->at] >= '0' && p->f.p[p->at] <= '9'; p->at++)
        if (*out < INT32_MAX)
            *out = *out * 10 + (p->f.p[p->at] - '0');
    return true;
}

static bool percent_key(struct percent *p, const struct jval **v)
{
    size_t from = ++p->at;
    int depth = 1;
    for (; p->at < p->f.n && depth; p->at++)
        depth += p->f.p[p->at] == '(' ? 1 : p->f.p[p->at] == ')' ? -1 : 0;
    if (depth)
        return jrun_error(p->r, "incomplete format key"), false;
    if (p->args->kind != JV_MAP)
        return jrun_error(p->r, "format requires a mapping"), false;
    struct str key = str_slice(p->f, from, p->at - 1);
    *v = jmap_find_str(p->args->map, key);
    if (!*v)
        jrun_error(p->r, "KeyError: '%.*s'", STR_ARG(key));
    return *v != NULL;
}

static bool percent_spec(struct percent *p, struct spec *s)
{
    *s = (struct spec){.fill = STR(" "), .precision = -1, .sign = '-'};
    for (; p->at < p->f.n; p->at++) {
        char c = p->f.p[p->at];
        if (c == '-')
            s->align = '<';
        else if (c == '+' || (c == ' ' && s->sign != '+'))
            s->sign = c;
        else if (c == '#')
            s->alternate = true;
        else if (c == '0')
            s->zero = true;
        else if (c != ' ')
            break;
    }
    if (!star_or_number(p, &s->width))
        return false;
    if (s->width < 0) {
        s->align = '<';
        s->width = -s->width;
    }
    if (p->at < p->f.n && p->f.p[p->at] == '.') {
        p->at++;
        if (!star_or_number(p, &s->precision))
            return false;
        s->precision = s->precision < 0 ? 0 : s->precision;
    }
    while (p->at < p->f.n && strchr("hlL", p->f.p[p->at]) && p->f.p[p->at])
        p->at++;
    return true;
}

static bool percent_char(struct percent *p, const struct spec *s, const struct jval *v)
{
    char bytes[4];
    struct spec plain = *s;
    plain.precision = -1;
    plain.align = s->align ? s->align : '>';
    if (v->kind == JV_STRING && v->s.chars == 1)
        return put_text(p->r, &p->out, &plain, jval_text(v));
    if (!jval_is_integer(v))
        return jrun_error(p->r, "%%c requires int or char"), false;
    int64_t c = jval_integer(v);
    if (c < 0 || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return jrun_error(p->r, "%%c arg not in range(0x110000)"), false;
    size_t n = (size_t)utf8_encode((uint32_t)c, bytes);
    return put_text(p->r, &p->out, &plain, (struct str){bytes, n});
}

static bool percent_text(struct percent *p, const struct spec *s, const struct jval *v)
{
    struct spec right = *s;
    struct buf b;
    right.align = s->align ? s->align : '>';
    jrun_buf(p->r, &b);
    (s->type == 's' ? jval_print : jval_repr)(&b, v);
    bool ok = !b.failed || (jrun_no_memory(p->r), false);
    ok = ok && put_text(p->r, &p->out, &right, buf_str(&b));
    buf_release(&b);
    return ok;
}

static bool percent_number(struct percent *p, const struct spec *s, const struct jval *v)
{
    bool whole = strchr("diuoxX", s->type) != NULL;
    if (v->kind == JV_UNDEFINED)
        return jrun_use_undefined(p->r, v), false;
    if (!jval_is_number(v) || (v->kind == JV_FLOAT && strchr("oxX", s->type)))
        return jrun_error(p->r, "%%%c format: a number is required, not %s", s->type,
                          jval_type_name(v)),
               false;
    if (!whole)
        return put_float(p->r, &p->out, s, jval_number(v));
    if (v->kind == JV_FLOAT && !(fabs(v->f) < 0x1p63))
        return jrun_error(p->r, "%g does not fit a 64-bit integer", v->f), false;
    return put_int(p->r, &p->out, s, v->kind == JV_FLOAT ? (int64_t)v->f : jval_integer(v));
}

static bool percent_one(struct percent *p)
{
    const struct jval *v = NULL;
    struct spec s;
    if (p->at < p->f.n && p->f.p[p->at] == '(' && !percent_key(p, &v))
        return false;
    if (!percent_spec(p, &s))
        return false;
    if (p->at == p->f.n)
        return jrun_error(p->r, "incomplete format"), false;
    s.type = p->f.p[p->at++];
    if (s.type == '%') {
        buf_addc(&p->out, '%');
        return true;
    }
    if (!strchr("diuoxXeEfFgGcrsa", s.type) || !s.type)
        return jrun_error(p->r, "unsupported format character '%c'", s.type), false;
    if ((!v && !(v = next_arg(p))) || !check_precision(p->r, &s))
        return false;
    if (s.type == 'c')
        return percent_char(p, &s, v);
    return strchr("sra", s.type) ? percent_text(p, &s, v) : percent_number(p, &s, v);
}

const struct jval *jrun_percent(struct jrun *r, const struct jval *fmt, const struct jval *args)
{
    struct percent p = {.r = r, .f = jval_text(fmt), .args = args, .v = &args, .n = 1};
    if (jval_is_tuple(args)) {
        p.v = args->list.v;
        p.n = args->list.n;
    }
    jrun_buf(r, &p.out);
    while (p.at < p.f.n && r->status == OK) {
        const char *next = memchr(p.f.p + p.at, '%', p.f.n - p.at);
        size_t end = next ? (size_t)(next - p.f.p) : p.f.n;
        buf_addstr(&p.out, str_slice(p.f, p.at, end));
        p.at = end + 1;
        if (next && !percent_one(&p))
            break;
    }
    bool takes_rest = args->kind == JV_MAP || (args->kind == JV_LIST && !jval_is_tuple(args));
    if (r->status == OK && p.next < p.n && !takes_rest)
        jrun_error(r, "not all arguments converted during string formatting");
    if (r->status == OK) {
        const struct jval *v = jrun_take(r, &p.out);
        return v && fmt->safe ? jrun_markup(r, v) : v;
    }
    buf_release(&p.out);
    return NULL;
}

/* ---- "{...}".format(values) ---- */

static bool is_align(char c)
{
    return c && strchr("<>^=", c) != NULL;
}

static size_t spec_number(struct str f, size_t at, int64_t *out)
{
    for (*out = 0; at < f.n && f.p[at] >= '0' && f.p[at] <= '9'; at++)
        if (*out < INT32_MAX)
            *out = *out * 10 + (f.p[at] - '0');
    return at;
}

/* [[fill]align][sign][#][0][width][grouping][.precision][type] */
static bool format_spec(struct jrun *r, struct str f, struct spec *s)
{
    size_t at = 0;
    uint32_t cp;
    *s = (struct spec){.fill = STR(" "), .precision = -1, .sign = '-'};
    size_t len = f.n ? (size_t)utf8_decode(f.p, f.n, &cp) : 0;
    if (len && len < f.n && is_align(f.p[len])) {
        s->fill = str_slice(f, 0, len);
        s->align = f.p[len];
        at = len + 1;
    } else if (f.n && is_align(f.p[0])) {
        s->align = f.p[at++];
    }
    if (at < f.n && f.p[at] && strchr("+- ", f.p[at]))
        s->sign = f.p[at++], s->sign_given = true;
    if (at < f.n && f.p[at] == '#')
        s->alternate = at++ != SIZE_MAX;
    if (at < f.n && f.p[at] == '0')
        s->zero = at++ != SIZE_MAX;
    at = spec_number(f, at, &s->width);
    if (at < f.n && (f.p[at] == ',' || f.p[at] == '_'))
        s->group = f.p[at++];
    if (at < f.n && f.p[at] == '.') {
        size_t from = ++at;
        at = spec_number(f, at, &s->precision);
        if (at == from)
            return jrun_error(r, "format specifier missing precision"), false;
    }
    if (at < f.n)
        s->type = f.p[at++];
    if (at < f.n)
        return jrun_error(r, "invalid format specifier '%.*s'", STR_ARG(f)), false;
    return check_precision(r, s);
}

static bool format_value(struct jrun *r, struct buf *out, const struct jval *v, struct str f)
{
    struct spec s;
    if (!f.n) {
        jval_print(out, v);
        return true;
    }
    if (!format_spec(r, f, &s))
        return false;
    if (v->kind == JV_STRING && (!s.type || s.type == 's')) {
        if (s.group || s.alternate || s.sign_given || s.align == '=')
            return jrun_error(r, "'%.*s' is no format of strings", STR_ARG(f)), false;
        if (s.zero && !s.align)
            s.fill = STR("0");
        return put_text(r, out, &s, jval_text(v));
    }
    if (jval_is_integer(v) && s.type == 'c') {
        char bytes[4];
        int64_t c = jval_integer(v);
        if (c < 0 || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
            return jrun_error(r, "%%c arg not in range(0x110000)"), false;
        s.align = s.align ? s.align : '<';
        return put_text(r, out, &s, (struct str){bytes, (size_t)utf8_encode((uint32_t)c, bytes)});
    }
    if (jval_is_integer(v) && (!s.type || strchr("bdoxXn", s.type))) {
        if (s.precision >= 0)
            return jrun_error(r, "precision not allowed in integer format specifier"), false;
        return put_int(r, out, &s, jval_integer(v));
    }
    if (jval_is_number(v) && (s.type ? strchr("eEfFgGn%", s.type) != NULL : v->kind == JV_FLOAT))
        return put_float(r, out, &s, jval_number(v));
    if (v->kind == JV_STRING || jval_is_number(v))
        return jrun_error(r, "unknown format code '%c' for object of type '%s'", s.type,
                          jval_type_name(v)),
               false;
    return jrun_error(r, "unsupported format string passed to %s.__format__", jval_type_name(v)),
           false;
}

struct fields {
    struct jrun *r;
    const struct jargs *args;
    int64_t next; /* the next automatic number; -1 once numbers were written out */
};

static bool is_digits(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return s.n > 0 && s.n < 10;
}

static const struct jval *field_argument(struct fields *f, struct str name)
{
    struct jrun *r = f->r;
    int64_t i = 0;
    if (name.n && !is_digits(name)) {
        for (size_t k = 0; k < f->args->n_kw; k++)
            if (str_eq(f->args->kw[k].name, name))
                return f->args->kw[k].value;
        return jrun_error(r, "KeyError: '%.*s'", STR_ARG(name));
    }
    if (name.n) {
        if (f->next > 0)
            return jrun_error(r, "cannot switch from automatic field numbering to manual field "
                                 "specification");
        f->next = -1;
        spec_number(name, 0, &i);
    } else {
        if (f->next < 0)
            return jrun_error(r, "cannot switch from manual field specification to automatic "
                                 "field numbering");
        i = f->next++;
    }
    if ((uint64_t)i >= f->args->n)
        return jrun_error(r, "replacement index %lld out of range for positional args tuple",
                          (long long)i);
    return f->args->pos[i];
}

/* NAME(.attribute|[item])* */
static const struct jval *field_value(struct fields *f, struct str name)
{
    struct jrun *r = f->r;
    size_t end = 0;
    while (end < name.n && name.p[end] != '.' && name.p[end] != '[')
        end++;
    const struct jval *v = field_argument(f, str_slice(name, 0, end));
    while (v && end < name.n) {
        size_t from = end + 1;
        bool item = name.p[end] == '[';
        for (end = from; end < name.n; end++)
            if (item ? name.p[end] == ']' : name.p[end] == '.' || name.p[end] == '[')
                break;
        struct str part = str_slice(name, from, end);
        if (!part.n || (item && end == name.n))
            return jrun_error(r, "empty attribute in format string");
        end += item;
        const struct jval *key = jrun_view(r, part);
        int64_t i;
        if (item && is_digits(part)) {
            spec_number(part, 0, &i);
            key = jrun_int(r, i);
        }
        v = key ? (item ? jrun_item : jrun_attr)(r, v, key) : NULL;
    }
    return v;
}

static bool format_fields(struct fields *f, struct buf *out, struct str text, int depth);

/* "{name!conversion:spec}" without its braces. */
static bool format_field(struct fields *f, struct buf *out, struct str field, int depth)
{
    struct jrun *r = f->r;
    size_t end = 0;
    char conversion = 0;
    struct buf spec, shown;
    bool bracket = false;
    for (; end < field.n && (bracket || (field.p[end] != ':' && field.p[end] != '!')); end++)
        bracket = field.p[end] == '[' || (bracket && field.p[end] != ']');
    const struct jval *v = field_value(f, str_slice(field, 0, end));
    if (!v)
        return false;
    if (end < field.n && field.p[end] == '!') {
        conversion = end + 1 < field.n ? field.p[end + 1] : 0;
        end += 2;
        if (!conversion || !strchr("rsa", conversion) || (end < field.n && field.p[end] != ':'))
            return jrun_error(r, "bad conversion in format string"), false;
    }
    jrun_buf(r, &spec);
    jrun_buf(r, &shown);
    bool ok =
        end >= field.n || format_fields(f, &spec, str_slice(field, end + 1, field.n), depth + 1);
    if (ok && conversion) {
        (conversion == 's' ? jval_print : jval_repr)(&shown, v);
        v = jrun_str(r, buf_str(&shown));
    }
    ok = ok && v && format_value(r, out, v, buf_str(&spec));
    buf_release(&spec);
    buf_release(&shown);
    return ok;
}

static bool format_fields(struct fields *f, struct buf *out, struct str text, int depth)
{
    struct jrun *r = f->r;
    if (depth > 1)
        return jrun_error(r, "max string recursion exceeded"), false;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c != '{' && c != '}') {
            buf_addc(out, c);
            continue;
        }
        if (i + 1 < text.n && text.p[i + 1] == c) {
            buf_addc(out, c);
            i++;
            continue;
        }
        if (c == '}')
            return jrun_error(r, "single '}' encountered in format string"), false;
        size_t from = ++i;
        int open = 1;
        for (; i < text.n && open; i++)
            open += text.p[i] == '{' ? 1 : text.p[i] == '}' ? -1 : 0;
        if (open)
            return jrun_error(r, "expected '}' before end of string"), false;
        i--;
        if (!jrun_step(r, 1) || !format_field(f, out, str_slice(text, from, i), depth))
            return false;
    }
    return true;
}

const struct jval *jrun_format(struct jrun *r, const struct jval *fmt, const struct jargs *args)
{
    struct fields f = {.r = r, .args = args};
    struct buf out;
    jrun_buf(r, &out);
    if (format_fields(&f, &out, jval_text(fmt), 0))
        return jrun_take(r, &out);
    buf_release(&out);
    return NULL;
}
