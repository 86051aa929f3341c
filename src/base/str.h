/* A borrowed view of bytes: never freed, never NUL-terminated by promise, passed by value.
 * Valid as long as whatever it points into. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct str {
    const char *p;
    size_t n;
};

#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
/* for printf("%.*s", STR_ARG(s)) */
#define STR_ARG(s) (int)((s).n), (s).p

static inline struct str str_from(const char *z)
{
    return (struct str){z, z ? strlen(z) : 0};
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool str_is(struct str a, const char *z)
{
    return str_eq(a, str_from(z));
}

static inline bool str_starts(struct str s, struct str prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

static inline bool str_ends(struct str s, struct str suffix)
{
    return s.n >= suffix.n &&
           (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

/* Bytes [from, to) of s; the caller has checked from <= to <= s.n. */
static inline struct str str_slice(struct str s, size_t from, size_t to)
{
    return (struct str){s.p + from, to - from};
}
