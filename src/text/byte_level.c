/* GPT-2's byte alphabet: vocabularies of byte-level BPE are written with one printable character
 * per byte. Printable Latin-1 stands for itself; the other 68 bytes are U+0100 and on, in order. */
#include "text/tokenizer_impl.h"
#include "base/utf8.h"

static bool is_itself(unsigned b)
{
    return (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
}

/* The bytes that U+0100 ... U+0143 stand for. */
static unsigned char shifted(uint32_t cp)
{
    unsigned k = cp - 0x100;
    return (unsigned char)(k < 33 ? k : k < 67 ? k - 33 + 0x7f : 0xad);
}

size_t byte_level_decode(struct str s, char *out)
{
    const unsigned char *p = (const unsigned char *)s.p, *end = p + s.n;
    char *start = out;
    while (p < end) {
        unsigned c = *p;
        if (c - 0x21 < 0x7f - 0x21) {
            *out++ = (char)c;
            p++;
            continue;
        }
        if (c < 0xc2 || c > 0xc5 || end - p < 2 || (p[1] & 0xc0) != 0x80)
            return SIZE_MAX;
        unsigned cp = (c & 0x1f) << 6 | (p[1] & 0x3f);
        if (cp >= 0x144 || (cp < 0x100 && !is_itself(cp)))
            return SIZE_MAX;
        *out++ = (char)(cp < 0x100 ? cp : shifted(cp));
        p += 2;
    }
    return (size_t)(out - start);
}

void byte_level_encode(struct str s, struct buf *out)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned b = (unsigned char)s.p[i];
        uint32_t cp = is_itself(b) ? b
                      : b < 0x21   ? 0x100 + b
                      : b == 0xad  ? 0x143
                                   : 0x100 + 33 + (b - 0x7f);
        char c[4];
        buf_add(out, c, (size_t)utf8_encode(cp, c));
    }
}
