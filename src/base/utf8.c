#include "base/utf8.h"

size_t utf8_incomplete_tail(struct str s)
{
    size_t back = s.n < 3 ? s.n : 3;
    for (size_t i = 1; i <= back; i++) {
        unsigned char c = (unsigned char)s.p[s.n - i];
        if ((c & 0xc0) == 0x80)
            continue;
        size_t len = c >= 0xf0 && c <= 0xf4  ? 4
                     : c >= 0xe0 && c < 0xf0 ? 3
                     : c >= 0xc2 && c < 0xe0 ? 2
                                             : 1;
        return len > i ? i : 0;
    }
    return 0;
}

size_t utf8_valid_prefix(struct str s)
{
    size_t at = 0;
    while (at < s.n) {
        uint32_t cp;
        int len = utf8_decode(s.p + at, s.n - at, &cp);
        if (cp == UTF8_BAD)
            break;
        at += (size_t)len;
    }
    return at;
}
