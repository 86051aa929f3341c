/* A growing byte buffer with a ceiling.
 *
 * Failure is sticky: once an append would pass `max` or memory ran out, `failed` is set, later
 * appends do nothing, and the caller checks once at the end (buf_check). p is NUL-terminated
 * after every successful append (the NUL is not counted in n). Zero-initialised is not valid:
 * call buf_init, which allocates nothing. */
#pragma once
#include "base/err.h"
#include "base/str.h"

struct buf {
    char *p;
    size_t n, cap, max;
    bool failed;
};

void buf_init(struct buf *b, size_t max);
void buf_release(struct buf *b); /* frees and leaves an empty buffer with the same ceiling */
void buf_clear(struct buf *b);   /* n = 0 and failed = false, memory kept */

void buf_add(struct buf *b, const void *p, size_t n);
void buf_adds(struct buf *b, const char *z);
void buf_addstr(struct buf *b, struct str s);
void buf_addc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* n writable bytes at the end, counted in; NULL (and failed) when they can't be had. */
char *buf_grow(struct buf *b, size_t n);

static inline struct str buf_str(const struct buf *b)
{
    return (struct str){b->p ? b->p : "", b->n};
}

/* OK, or ELIMIT naming `what` and the ceiling. */
NODISCARD enum status buf_check(const struct buf *b, const char *what, struct err *err);
