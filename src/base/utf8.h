/* UTF-8: decoding that never reads past the end and never accepts an overlong form, a surrogate or
 * a value above U+10FFFF (RFC 3629). */
#pragma once
#include "base/str.h"
#include <stdint.h>

/* Decodes one code point at p (n >= 1 bytes left) and returns its length in bytes; *cp is the code
 * point. At an invalid byte returns 1 and sets *cp to UTF8_BAD. */
enum { UTF8_BAD = 0x110000 };

static inline int utf8_decode(const char *s, size_t n, uint32_t *cp)
{
    const unsigned char *p = (const unsigned char *)s;
    uint32_t c = p[0];
    if (c < 0x80) {
        *cp = c;
        return 1;
    }
    *cp = UTF8_BAD;
    if (c < 0xc2 || c > 0xf4)
        return 1;
    int len = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    if ((size_t)len > n)
        return 1;
    uint32_t v = c & (0x7fu >> len);
    for (int i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 1;
        v = v << 6 | (p[i] & 0x3fu);
    }
    if ((len == 3 && (v < 0x800 || (v >= 0xd800 && v <= 0xdfff))) ||
        (len == 4 && (v < 0x10000 || v > 0x10ffff)))
        return 1;
    *cp = v;
    return len;
}

/* Writes cp (a valid code point) as 1-4 bytes; returns how many. */
static inline int utf8_encode(uint32_t cp, char *out)
{
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (char)(0xc0 | cp >> 6);
        out[1] = (char)(0x80 | (cp & 0x3f));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (char)(0xe0 | cp >> 12);
        out[1] = (char)(0x80 | (cp >> 6 & 0x3f));
        out[2] = (char)(0x80 | (cp & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | cp >> 18);
    out[1] = (char)(0x80 | (cp >> 12 & 0x3f));
    out[2] = (char)(0x80 | (cp >> 6 & 0x3f));
    out[3] = (char)(0x80 | (cp & 0x3f));
    return 4;
}

/* How many bytes at the end of s are the start of a sequence that is not complete yet (0-3). */
size_t utf8_incomplete_tail(struct str s);

/* Length of the longest prefix of s that is valid UTF-8. */
size_t utf8_valid_prefix(struct str s);
