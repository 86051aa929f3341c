/* Reading characters by class for the splitters. Private to src/text/split*.c. */
#pragma once
#include "text/split.h"
#include "text/unicode.h"
#include <string.h>

enum { UC_END = 0x100 }; /* class of the place behind the last character */

struct ch {
    unsigned cls; /* UC_* bits */
    unsigned len; /* bytes; 0 at the end */
    uint32_t cp;  /* UTF8_BAD for a bad byte */
};

extern const unsigned char split_ascii_class[128];

static inline bool ascii_is(char c, unsigned cls)
{
    return !(c & 0x80) && (split_ascii_class[(unsigned char)c & 0x7f] & cls);
}

static inline struct ch ch_at(const char *p, size_t n, size_t at)
{
    if (at >= n)
        return (struct ch){UC_END, 0, UTF8_BAD};
    unsigned char c = (unsigned char)p[at];
    if (c < 0x80)
        return (struct ch){split_ascii_class[c], 1, c};
    uint32_t cp;
    unsigned len = (unsigned)utf8_decode(p + at, n - at, &cp);
    return (struct ch){unicode_class(cp), len, cp};
}

/* How many ASCII letters p[0..8) starts with (0 to 8), without a branch per byte. */
static inline unsigned letters8(const char *p)
{
    const uint64_t ones = 0x0101010101010101u, high = 0x80 * ones;
    uint64_t x;
    memcpy(&x, p, 8);
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
    x = __builtin_bswap64(x);
#endif
    uint64_t low = (x | 0x20 * ones) & ~high;
    uint64_t letter = (low + (0x80 - 'a') * ones) & ~(low + (0x80 - 'z' - 1) * ones) & ~x & high;
    uint64_t other = letter ^ high;
    return other ? (unsigned)__builtin_ctzll(other) >> 3 : 8;
}

/* End of the run of ASCII letters from `at`; *ascii: the run ends at an ASCII character or the end.
 */
static inline size_t run_ascii_letters(const char *p, size_t n, size_t at, bool *ascii)
{
    while (n - at >= 8) {
        unsigned k = letters8(p + at);
        at += k;
        if (k < 8) {
            *ascii = (unsigned char)p[at] < 0x80;
            return at;
        }
    }
    while (at < n && (split_ascii_class[(unsigned char)p[at] & 0x7f] & UC_LETTER) &&
           (unsigned char)p[at] < 0x80)
        at++;
    *ascii = at == n || (unsigned char)p[at] < 0x80;
    return at;
}

/* End of the run of characters from `at` whose class has a bit of `any`. */
static inline size_t run_of(const char *p, size_t n, size_t at, unsigned any)
{
    for (;;) {
        while (at < n && (unsigned char)p[at] < 0x80) {
            if (!(split_ascii_class[(unsigned char)p[at]] & any))
                return at;
            at++;
        }
        struct ch c = ch_at(p, n, at);
        if (!(c.cls & any))
            return at;
        at += c.len;
    }
}

/* End of the run of characters from `at` whose class has no bit of `none`. */
static inline size_t run_not(const char *p, size_t n, size_t at, unsigned none)
{
    none |= UC_END;
    for (;;) {
        struct ch c = ch_at(p, n, at);
        if (c.cls & none)
            return at;
        at += c.len;
    }
}

/* The end of most regexes: \s*[\r\n]+ (when newlines), \s+(?!\S), \s+ on a text that starts with
 * white space. */
static inline size_t split_space(const char *p, size_t n, bool newlines)
{
    size_t at = 0, last = 0, after_newline = 0;
    for (;;) {
        struct ch c = ch_at(p, n, at);
        if (!(c.cls & UC_SPACE))
            break;
        last = at;
        at += c.len;
        if (c.cp == '\n' || c.cp == '\r')
            after_newline = at;
    }
    if (newlines && after_newline)
        return after_newline;
    return at == n || last == 0 ? at : last;
}

/* Turns "a match at this place, or 0" into a splitter that isolates the matches. */
typedef size_t match_fn(const char *p, size_t n);

static inline __attribute__((always_inline)) size_t split_isolate(const char *p, size_t n,
                                                                  match_fn *match)
{
    size_t at = 0;
    while (at < n) {
        size_t len = match(p + at, n - at);
        if (len)
            return at ? at : len;
        at += ch_at(p, n, at).len;
    }
    return n;
}

extern split_fn split_llama3, split_qwen2, split_qwen35, split_cl100k_numbers, split_ufakzeka,
    split_tekken, split_o200k, split_numbers, split_numbers3, split_three, split_line_ends,
    split_falcon_punct, split_default_punct, split_letters, split_puncts, split_deepseek_words,
    split_deepseek_punct, split_trailing_space, split_deepseek_cjk, split_han_kana, split_deepseek3,
    split_bloom;
