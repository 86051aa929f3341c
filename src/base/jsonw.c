#include "base/jsonw.h"
#include "base/utf8.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

void jsonw_init(struct jsonw *w, struct buf *out, int indent)
{
    *w = (struct jsonw){.out = out, .indent = indent};
    w->first[0] = true;
}

static void newline(struct jsonw *w)
{
    if (!w->indent)
        return;
    buf_addc(w->out, '\n');
    for (int i = 0; i < w->depth * w->indent; i++)
        buf_addc(w->out, ' ');
}

/* Whatever goes between the last value and the one about to be written. */
static void separate(struct jsonw *w)
{
    if (w->after_key) {
        w->after_key = false;
        return;
    }
    if (!w->first[w->depth])
        buf_addc(w->out, ',');
    w->first[w->depth] = false;
    if (w->depth > 0)
        newline(w);
}

static void enter(struct jsonw *w, bool object)
{
    separate(w);
    if (w->depth + 1 >= JSONW_DEPTH)
        hearth_bug("json: nested deeper than %d", JSONW_DEPTH);
    buf_addc(w->out, object ? '{' : '[');
    w->depth++;
    w->first[w->depth] = true;
    w->object[w->depth] = object;
}

void jsonw_obj(struct jsonw *w)
{
    enter(w, true);
}

void jsonw_arr(struct jsonw *w)
{
    enter(w, false);
}

void jsonw_end(struct jsonw *w)
{
    bool object = w->object[w->depth], empty = w->first[w->depth];
    w->depth--;
    if (!empty)
        newline(w);
    buf_addc(w->out, object ? '}' : ']');
}

void jsonw_keyn(struct jsonw *w, struct str key)
{
    separate(w);
    jsonw_quote(w->out, key, false);
    buf_adds(w->out, w->indent ? ": " : ":");
    w->after_key = true;
}

void jsonw_key(struct jsonw *w, const char *key)
{
    jsonw_keyn(w, str_from(key));
}

void jsonw_quote(struct buf *out, struct str s, bool ascii)
{
    buf_addc(out, '"');
    for (size_t i = 0; i < s.n;) {
        uint32_t c;
        size_t len = (size_t)utf8_decode(s.p + i, s.n - i, &c);
        if (c == UTF8_BAD)
            c = 0xfffd;
        if (c == '"' || c == '\\') {
            buf_addc(out, '\\');
            buf_addc(out, (char)c);
        } else if (c == '\n') {
            buf_adds(out, "\\n");
        } else if (c == '\t') {
            buf_adds(out, "\\t");
        } else if (c == '\r') {
            buf_adds(out, "\\r");
        } else if (c == '\b') {
            buf_adds(out, "\\b");
        } else if (c == '\f') {
            buf_adds(out, "\\f");
        } else if (c < 0x20 || (ascii && c >= 0x7f && c < 0x10000)) {
            buf_printf(out, "\\u%04x", (unsigned)c);
        } else if (ascii && c >= 0x10000) {
            c -= 0x10000;
            buf_printf(out, "\\u%04x\\u%04x", (unsigned)(0xd800 + (c >> 10)),
                       (unsigned)(0xdc00 + (c & 0x3ff)));
        } else {
            char u[4];
            buf_add(out, u, (size_t)utf8_encode(c, u));
        }
        i += len;
    }
    buf_addc(out, '"');
}

void jsonw_str(struct jsonw *w, struct str s)
{
    separate(w);
    jsonw_quote(w->out, s, false);
}

void jsonw_int(struct jsonw *w, int64_t v)
{
    separate(w);
    buf_printf(w->out, "%lld", (long long)v);
}

void jsonw_uint(struct jsonw *w, uint64_t v)
{
    separate(w);
    buf_printf(w->out, "%llu", (unsigned long long)v);
}

void jsonw_num(struct jsonw *w, double v)
{
    if (!isfinite(v)) {
        jsonw_null(w);
        return;
    }
    char s[40];
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(s, sizeof s, "%.*g", digits, v);
        if (strtod(s, NULL) == v)
            break;
    }
    separate(w);
    buf_adds(w->out, s);
}

void jsonw_f32(struct jsonw *w, float v)
{
    if (!isfinite(v)) {
        jsonw_null(w);
        return;
    }
    char s[40];
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(s, sizeof s, "%.*g", digits, (double)v);
        if (strtof(s, NULL) == v)
            break;
    }
    separate(w);
    buf_adds(w->out, s);
}

void jsonw_bool(struct jsonw *w, bool v)
{
    separate(w);
    buf_adds(w->out, v ? "true" : "false");
}

void jsonw_null(struct jsonw *w)
{
    separate(w);
    buf_adds(w->out, "null");
}

void jsonw_raw(struct jsonw *w, struct str json)
{
    separate(w);
    buf_addstr(w->out, json);
}

void jsonw_kstr(struct jsonw *w, const char *key, struct str s)
{
    jsonw_key(w, key);
    jsonw_str(w, s);
}

void jsonw_kint(struct jsonw *w, const char *key, int64_t v)
{
    jsonw_key(w, key);
    jsonw_int(w, v);
}

void jsonw_knum(struct jsonw *w, const char *key, double v)
{
    jsonw_key(w, key);
    jsonw_num(w, v);
}

void jsonw_kbool(struct jsonw *w, const char *key, bool v)
{
    jsonw_key(w, key);
    jsonw_bool(w, v);
}
