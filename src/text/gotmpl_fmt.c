/* Go's fmt for integers, floats and strings: widths, precisions and flags. */
#include "text/gotmpl_fmt.h"
#include "base/utf8.h"
#include "text/pystr.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void repeat(struct buf *out, char c, int n)
{
    for (int i = 0; i < n && !out->failed; i++)
        buf_addc(out, c);
}

/* Widths count characters. */
void gfmt_pad(struct gfmt *f, struct str s)
{
    size_t chars = jstr_count(s.p, s.n);
    int n = f->width > 0 && (size_t)f->width > chars ? f->width - (int)chars : 0;
    if (!f->minus)
        repeat(f->out, f->zero ? '0' : ' ', n);
    buf_addstr(f->out, s);
    if (f->minus)
        repeat(f->out, ' ', n);
}

static const char *prefix(unsigned base, char verb, bool sharp)
{
    if (verb == 'O')
        return "0o";
    if (!sharp)
        return "";
    return base == 2 ? "0b" : base == 8 ? "0" : base != 16 ? "" : verb == 'X' ? "0X" : "0x";
}

void gfmt_integer(struct gfmt *f, int64_t v, unsigned base, char verb)
{
    char digits[64];
    size_t at = sizeof digits;
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    struct buf b;
    int prec = f->prec;
    const char *alphabet = verb == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
    const char *sign = v < 0 ? "-" : f->plus ? "+" : f->space ? " " : "";
    if (prec == 0 && v == 0) { /* as C: nothing but blanks */
        bool zero = f->zero;
        f->zero = false;
        gfmt_pad(f, (struct str){"", 0});
        f->zero = zero;
        return;
    }
    do
        digits[--at] = alphabet[u % base];
    while (u /= base);
    if (prec < 0 && f->zero && f->width > 0)
        prec = f->width - (*sign != 0);
    buf_init(&b, GFMT_MAX_WIDTH + 100);
    buf_adds(&b, sign);
    const char *pre = prefix(base, verb, f->sharp);
    int n = (int)(sizeof digits - at);
    buf_adds(&b, strcmp(pre, "0") == 0 && prec > n ? "" : pre);
    repeat(&b, '0', prec - n);
    buf_add(&b, digits + at, sizeof digits - at);
    bool zero = f->zero;
    f->zero = false;
    gfmt_pad(f, buf_str(&b));
    f->zero = zero;
    buf_release(&b);
}

int gfmt_digits(double f, char *digits, int *exp)
{
    char text[40];
    int n = 0, precision = f < 0x1p-1022 ? 1 : 15;
    do
        snprintf(text, sizeof text, "%.*e", precision - 1, f);
    while (strtod(text, NULL) != f && ++precision <= 17);
    const char *e = strchr(text, 'e');
    *exp = (int)strtol(e + 1, NULL, 10);
    for (const char *c = text; c < e; c++)
        if (*c >= '0' && *c <= '9')
            digits[n++] = *c;
    while (n > 1 && digits[n - 1] == '0')
        n--;
    return n;
}

/* Digits with the point behind the first and an exponent of at least two digits. */
static void with_exponent(struct buf *b, const char *digits, int n, int exp, char e)
{
    buf_addc(b, digits[0]);
    if (n > 1)
        buf_printf(b, ".%.*s", n - 1, digits + 1);
    buf_printf(b, "%c%c%02d", e, exp < 0 ? '-' : '+', abs(exp));
}

static void without_exponent(struct buf *b, const char *digits, int n, int exp)
{
    if (exp < 0) {
        buf_adds(b, "0.");
        repeat(b, '0', -exp - 1);
    }
    for (int i = 0; i < n || i <= exp; i++) {
        if (exp >= 0 && i == exp + 1)
            buf_addc(b, '.');
        buf_addc(b, i < n ? digits[i] : '0');
    }
}

/* |v| in the shortest way that keeps the value; %e, %f and %g without a precision. */
static void shortest(struct buf *b, double v, char verb)
{
    enum { G_LIMIT = 6 };
    char digits[24];
    int exp, n = gfmt_digits(v, digits, &exp);
    bool upper = verb == 'E' || verb == 'G';
    char lower = (char)(verb | 32);
    if (v == 0)
        exp = 0;
    if (lower == 'e' || (lower == 'g' && (exp < -4 || exp >= G_LIMIT)))
        with_exponent(b, digits, n, exp, upper ? 'E' : 'e');
    else
        without_exponent(b, digits, n, exp);
}

/* |v| as C does it, whose e, f and g with a precision are Go's. */
static void precise(struct buf *b, double v, char verb, int prec, bool sharp)
{
    switch (verb) {
    case 'e': buf_printf(b, sharp ? "%#.*e" : "%.*e", prec, v); break;
    case 'E': buf_printf(b, sharp ? "%#.*E" : "%.*E", prec, v); break;
    case 'g': buf_printf(b, sharp ? "%#.*g" : "%.*g", prec, v); break;
    case 'G': buf_printf(b, sharp ? "%#.*G" : "%.*G", prec, v); break;
    default: buf_printf(b, sharp ? "%#.*f" : "%.*f", prec, v); break;
    }
}

void gfmt_float(struct gfmt *f, double v, char verb, int prec)
{
    enum { ROOM = 1100 };
    struct buf b;
    bool finite = isfinite(v);
    const char *sign = signbit(v) && !isnan(v) ? "-" : f->plus ? "+" : f->space ? " " : "";
    if (f->prec >= 0)
        prec = f->prec;
    buf_init(&b, GFMT_MAX_WIDTH + ROOM);
    if (!finite) {
        buf_adds(&b, isnan(v) ? "NaN" : "Inf");
        if (!isnan(v) && *sign == 0)
            sign = "+";
    } else if (prec < 0 && !f->sharp) {
        shortest(&b, fabs(v), verb);
    } else {
        precise(&b, fabs(v), verb, prec < 0 ? 6 : prec, f->sharp);
    }
    struct buf all;
    buf_init(&all, GFMT_MAX_WIDTH * 2 + ROOM);
    buf_adds(&all, sign);
    bool zero = f->zero && finite;
    if (zero && f->width > 0)
        repeat(&all, '0', f->width - (int)(b.n + strlen(sign)));
    buf_addstr(&all, buf_str(&b));
    bool kept = f->zero;
    f->zero = false;
    gfmt_pad(f, buf_str(&all));
    f->zero = kept;
    buf_release(&b);
    buf_release(&all);
}

/* ---- strings ---- */

static void quote_char(struct buf *out, uint32_t cp, const char *p, size_t len, char quote,
                       bool ascii)
{
    static const char from[] = "\a\b\f\n\r\t\v\\", to[] = "abfnrtv\\";
    const char *simple = cp && cp < 0x80 ? strchr(from, (int)cp) : NULL;
    if (simple)
        buf_printf(out, "\\%c", to[simple - from]);
    else if (cp == (uint32_t)quote)
        buf_printf(out, "\\%c", quote);
    else if (cp == UTF8_BAD)
        buf_printf(out, "\\x%02x", (unsigned char)*p);
    else if ((cp >= 0x20 && cp < 0x7f) || (cp >= 0x80 && !ascii && pychar_is(cp, PY_PRINTABLE)))
        buf_add(out, p, len);
    else
        buf_printf(out, cp < 0x80 ? "\\x%02x" : cp < 0x10000 ? "\\u%04x" : "\\U%08x", cp);
}

static void quote(struct buf *out, struct str s, bool ascii)
{
    buf_addc(out, '"');
    for (size_t i = 0; i < s.n && !out->failed;) {
        uint32_t cp;
        size_t len = (size_t)utf8_decode(s.p + i, s.n - i, &cp);
        quote_char(out, cp, s.p + i, len, '"', ascii);
        i += len;
    }
    buf_addc(out, '"');
}

void gfmt_quote(struct buf *out, struct str s)
{
    quote(out, s, false);
}

/* Can it stand between back quotes? */
static bool raw_quotable(struct str s)
{
    for (size_t i = 0; i < s.n;) {
        uint32_t cp;
        i += (size_t)utf8_decode(s.p + i, s.n - i, &cp);
        if (cp == UTF8_BAD || cp == '`' || cp == 0x7f || cp == 0xfeff || (cp < 0x20 && cp != '\t'))
            return false;
    }
    return true;
}

static struct str first_chars(struct str s, int n)
{
    size_t at = 0;
    for (uint32_t cp; n > 0 && at < s.n; n--)
        at += (size_t)utf8_decode(s.p + at, s.n - at, &cp);
    return str_slice(s, 0, at);
}

static void hex_string(struct gfmt *f, struct str s, char verb)
{
    struct buf b;
    size_t n = f->prec >= 0 && (size_t)f->prec < s.n ? (size_t)f->prec : s.n;
    buf_init(&b, f->out->max);
    for (size_t i = 0; i < n && !b.failed; i++) {
        if (f->space && i)
            buf_addc(&b, ' ');
        if (f->sharp && (f->space || i == 0))
            buf_adds(&b, verb == 'X' ? "0X" : "0x");
        buf_printf(&b, verb == 'X' ? "%02X" : "%02x", (unsigned char)s.p[i]);
    }
    f->out->failed |= b.failed;
    gfmt_pad(f, buf_str(&b));
    buf_release(&b);
}

void gfmt_string(struct gfmt *f, struct str s, char verb)
{
    if (verb == 'x' || verb == 'X') {
        hex_string(f, s, verb);
        return;
    }
    if (f->prec >= 0)
        s = first_chars(s, f->prec);
    if (verb != 'q' && !f->sharp_v) {
        gfmt_pad(f, s);
        return;
    }
    struct buf b;
    buf_init(&b, f->out->max);
    if (f->sharp && raw_quotable(s)) {
        buf_addc(&b, '`');
        buf_addstr(&b, s);
        buf_addc(&b, '`');
    } else {
        quote(&b, s, f->plus);
    }
    f->out->failed |= b.failed;
    gfmt_pad(f, buf_str(&b));
    buf_release(&b);
}
