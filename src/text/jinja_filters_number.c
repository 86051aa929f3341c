/* Filters on numbers, with Python's conversions and rounding. */
#include "text/jinja_filters.h"
#include "text/pystr.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define FILTER(name)                                                                               \
    const struct jval *name(struct jrun *r, const struct jval *self, const struct jargs *args)

FILTER(jfilter_abs)
{
    (void)args;
    if (self->kind == JV_UNDEFINED)
        return jrun_use_undefined(r, self);
    if (self->kind == JV_FLOAT)
        return jrun_float(r, fabs(self->f));
    if (!jval_is_integer(self))
        return jrun_error(r, "bad operand type for abs(): '%s'", jval_type_name(self));
    int64_t i = jval_integer(self);
    return i < 0 ? jrun_negate(r, self) : jrun_int(r, i);
}

/* ---- reading numbers ---- */

enum parsed {
    PARSED_NO,
    PARSED_YES,
    PARSED_TOO_LARGE,
};

static int digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'z' ? c - 'a' + 10
           : c >= 'A' && c <= 'Z' ? c - 'A' + 10
                                  : 99;
}

/* Python's int(text, base): spaces around, a sign, a prefix, single underscores in between. */
static enum parsed parse_int(struct str s, int base, int64_t *out)
{
    static const struct {
        char letter;
        int base;
    } prefixes[] = {{'x', 16}, {'o', 8}, {'b', 2}};
    bool negative = false, large = false, prefixed = false;
    s = py_strip(s);
    if (s.n && (*s.p == '-' || *s.p == '+')) {
        negative = *s.p == '-';
        s = str_slice(s, 1, s.n);
    }
    for (size_t i = 0; i < 3 && s.n > 1; i++)
        if (!prefixed && s.p[0] == '0' && (s.p[1] | 32) == prefixes[i].letter &&
            (base == 0 || base == prefixes[i].base)) {
            base = prefixes[i].base;
            s = str_slice(s, 2, s.n);
            prefixed = true;
            if (s.n && *s.p == '_')
                s = str_slice(s, 1, s.n);
        }
    bool any_base = base == 0, only_zeros = true;
    base = any_base ? 10 : base;
    *out = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '_' && i > 0 && i + 1 < s.n && s.p[i - 1] != '_')
            continue;
        int d = digit(s.p[i]);
        if (d >= base)
            return PARSED_NO;
        only_zeros &= d == 0;
        large |= __builtin_mul_overflow(*out, base, out) ||
                 (negative ? __builtin_sub_overflow(*out, d, out)
                           : __builtin_add_overflow(*out, d, out));
    }
    if (!s.n || (any_base && s.n > 1 && *s.p == '0' && !only_zeros))
        return PARSED_NO;
    return large ? PARSED_TOO_LARGE : PARSED_YES;
}

/* Python's float(text): decimal only, inf and nan in any case. */
static bool parse_float(struct str s, double *out)
{
    char text[512], *end;
    size_t n = 0;
    s = py_strip(s);
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '_' && i > 0 && i + 1 < s.n && digit(s.p[i - 1]) < 10 && digit(s.p[i + 1]) < 10)
            continue;
        if (n + 1 == sizeof text || !c || !strchr("0123456789+-.eEinfatyINFATY", c))
            return false;
        text[n++] = c;
    }
    text[n] = 0;
    *out = strtod(text, &end);
    return n > 0 && !*end;
}

static const struct jval *float_to_int(struct jrun *r, double f)
{
    if (!isfinite(f))
        return jrun_error(r, "cannot convert float %s to integer", isnan(f) ? "NaN" : "infinity");
    if (f >= 0x1p63 || f < -0x1p63)
        return jrun_error(r, "%g does not fit a 64-bit integer", f);
    return jrun_int(r, (int64_t)f);
}

static const struct jval *zero(struct jrun *r, const struct jval *given)
{
    return given ? given : jrun_int(r, 0);
}

FILTER(jfilter_int)
{
    int64_t base, i;
    double f;
    if (!jarg_int(r, args->pos[1], 10, &base))
        return NULL;
    if (self->kind == JV_UNDEFINED)
        return jrun_use_undefined(r, self);
    if (jval_is_integer(self))
        return jrun_int(r, jval_integer(self));
    if (self->kind == JV_FLOAT)
        return isnan(self->f) ? zero(r, args->pos[0]) : float_to_int(r, self->f);
    if (self->kind != JV_STRING)
        return zero(r, args->pos[0]);
    bool good_base = base == 0 || (base >= 2 && base <= 36);
    enum parsed p = good_base ? parse_int(jval_text(self), (int)base, &i) : PARSED_NO;
    if (p == PARSED_YES)
        return jrun_int(r, i);
    if (p == PARSED_TOO_LARGE)
        return jrun_error(r, "the number does not fit a 64-bit integer");
    /* "42.23" is 42 */
    if (parse_float(jval_text(self), &f) && isfinite(f))
        return float_to_int(r, f);
    return zero(r, args->pos[0]);
}

FILTER(jfilter_float)
{
    double f;
    if (self->kind == JV_UNDEFINED)
        return jrun_use_undefined(r, self);
    if (jval_is_number(self))
        return jrun_float(r, jval_number(self));
    if (self->kind == JV_STRING && parse_float(jval_text(self), &f))
        return jrun_float(r, f);
    return args->pos[0] ? args->pos[0] : jrun_float(r, 0);
}

/* ---- rounding ---- */

/* To the nearest multiple of 10^digits, ties to even. */
static bool round_int(int64_t v, int64_t digits, int64_t *out)
{
    int64_t unit = 1;
    for (; digits > 0; digits--)
        if (__builtin_mul_overflow(unit, 10, &unit)) {
            *out = 0;
            return true;
        }
    int64_t rest = v % unit, down = v - rest;
    rest = rest < 0 ? -rest : rest;
    bool up = rest > unit - rest || (rest == unit - rest && unit > 1 && (down / unit) % 2 != 0);
    *out = down;
    return !up || !__builtin_add_overflow(down, v < 0 ? -unit : unit, out);
}

/* Python's round(f, digits): correctly rounded decimal, ties to even. */
static double round_float(double f, int64_t digits)
{
    char text[1500];
    if (!isfinite(f) || digits > 323)
        return f;
    if (digits < -308)
        return copysign(0, f);
    if (digits >= 0) {
        snprintf(text, sizeof text, "%.*f", (int)digits, f);
        return strtod(text, NULL);
    }
    /* f is a whole number of units and a rest, exactly, as all its digits are printed */
    double unit = pow(10, (double)-digits);
    snprintf(text, sizeof text, "%.0f", nearbyint(f / unit));
    double down = floor(fabs(f) / unit), rest = fabs(f) - down * unit;
    if (rest > unit / 2 || (rest == unit / 2 && fmod(down, 2) != 0))
        down += 1;
    return copysign(down * unit, f);
}

FILTER(jfilter_round)
{
    int64_t precision, i;
    struct str method = STR("common");
    if (!jarg_int(r, args->pos[0], 0, &precision) ||
        (args->pos[1] && !jarg_text(r, args->pos[1], "round: method", &method)))
        return NULL;
    if (!str_is(method, "common") && !str_is(method, "ceil") && !str_is(method, "floor"))
        return jrun_error(r, "method must be common, ceil or floor");
    if (self->kind == JV_UNDEFINED)
        return jrun_use_undefined(r, self);
    if (!jval_is_number(self))
        return jrun_error(r, "type %s doesn't define __round__ method", jval_type_name(self));
    if (str_is(method, "common")) {
        if (self->kind == JV_FLOAT)
            return jrun_float(r, round_float(self->f, precision));
        if (precision >= 0)
            return jrun_int(r, jval_integer(self));
        if (precision < -20)
            precision = -20;
        if (!round_int(jval_integer(self), -precision, &i))
            return jrun_error(r, "the rounded number does not fit a 64-bit integer");
        return jrun_int(r, i);
    }
    if (precision < -300 || precision > 300)
        return jrun_error(r, "round: precision %lld is out of range", (long long)precision);
    double scale = pow(10, (double)precision), scaled = jval_number(self) * scale;
    return jrun_float(r, (*method.p == 'c' ? ceil(scaled) : floor(scaled)) / scale);
}

FILTER(jfilter_filesizeformat)
{
    static const char *const decimal[] = {"kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"};
    static const char *const binary[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"};
    bool is_binary = jarg_truth(args->pos[0], false);
    double base = is_binary ? 1024 : 1000, bytes, unit = base;
    char text[64];
    const struct jval *number = NULL;
    if (self->kind == JV_STRING && !parse_float(jval_text(self), &bytes))
        return jrun_error(r, "could not convert string to float: '%.*s'", STR_ARG(jval_text(self)));
    if (self->kind != JV_STRING && self->kind != JV_UNDEFINED && !jval_is_number(self))
        return jrun_error(r, "float() argument must be a string or a real number, not '%s'",
                          jval_type_name(self));
    number = jfilter_float(r, self,
                           &(struct jargs){
                               .pos = (const struct jval *[]){NULL},
                               .n = 1,
                           });
    if (!number)
        return NULL;
    bytes = number->f;
    if (bytes == 1) {
        snprintf(text, sizeof text, "1 Byte");
    } else if (bytes < base) {
        snprintf(text, sizeof text, "%.0f Bytes", trunc(bytes));
    } else {
        int i = 0;
        while (i < 7 && bytes >= unit * base) {
            unit *= base;
            i++;
        }
        snprintf(text, sizeof text, "%.1f %s", bytes / unit, (is_binary ? binary : decimal)[i]);
    }
    return jrun_str(r, str_from(text));
}
