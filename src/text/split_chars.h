/* Reading characters by class for the splitters. Private to src/text/split*.c. */
#pragma once
#include "text/unicode.h"
#include "text/split.h"

enum { UC_END = 0x100 }; /* class of the place behind the last character */

struct ch {
    unsigned cls; /* UC_* bits */
    unsigned len; /* bytes; 0 at the end */
    uint32_t cp;  /* UTF8_BAD for a bad byte */
};

extern const unsigned char split_ascii_class[128];

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
