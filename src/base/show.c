/* Escapes what could disturb a terminal or break a line; everything else is kept as it is. */
#include "base/show.h"
#include "base/utf8.h"
#include <stdio.h>

/* Appends one character of s at *i, escaped when it could disturb a terminal or a line. */
static size_t put_char(char *out, struct str s, size_t *i)
{
    uint32_t cp;
    int len = utf8_decode(s.p + *i, s.n - *i, &cp);
    unsigned char c = (unsigned char)s.p[*i];
    size_t n;
    /* C0, DEL, C1, and the bidirectional controls that can reorder what a reader sees */
    bool plain = cp != UTF8_BAD && cp >= 0x20 && !(cp >= 0x7f && cp < 0xa0) &&
                 !(cp >= 0x200e && cp <= 0x200f) && !(cp >= 0x2028 && cp <= 0x202e) &&
                 !(cp >= 0x2066 && cp <= 0x2069);
    if (plain) {
        memcpy(out, s.p + *i, (size_t)len);
        n = (size_t)len;
    } else if (cp == UTF8_BAD || cp < 0x80) {
        n = (size_t)snprintf(out, 8, "\\x%02x", c);
    } else {
        n = (size_t)snprintf(out, 8, "\\u%04x", (unsigned)cp);
    }
    *i += (size_t)len;
    return n;
}

struct shown show(struct str s)
{
    enum { LONGEST = 6, HEAD = SHOW_MAX - 3 - LONGEST };
    struct shown out;
    size_t n = 0, i = 0;
    while (i < s.n && n < HEAD)
        n += put_char(out.s + n, s, &i);
    if (i < s.n) {
        memcpy(out.s + n, "...", 3);
        n += 3;
    }
    out.s[n] = 0;
    return out;
}
