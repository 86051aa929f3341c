#include "base/buf.h"
#include <stdio.h>
#include <stdlib.h>

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}

void buf_release(struct buf *b)
{
    free(b->p);
    buf_init(b, b->max);
}

void buf_clear(struct buf *b)
{
    b->n = 0;
    b->failed = false;
    if (b->p)
        b->p[0] = 0;
}

char *buf_grow(struct buf *b, size_t n)
{
    if (b->failed || n > b->max || b->n > b->max - n) {
        b->failed = true;
        return NULL;
    }
    if (b->n + n + 1 > b->cap) {
        size_t cap = b->cap < 64 ? 64 : b->cap;
        while (cap < b->n + n + 1)
            cap += cap / 2;
        char *p = realloc(b->p, cap);
        if (!p) {
            b->failed = true;
            return NULL;
        }
        b->p = p;
        b->cap = cap;
    }
    char *at = b->p + b->n;
    b->n += n;
    b->p[b->n] = 0;
    return at;
}

void buf_add(struct buf *b, const void *p, size_t n)
{
    char *at = buf_grow(b, n);
    if (at && n)
        memcpy(at, p, n);
}

void buf_adds(struct buf *b, const char *z)
{
    buf_add(b, z, strlen(z));
}

void buf_addstr(struct buf *b, struct str s)
{
    buf_add(b, s.p, s.n);
}

void buf_addc(struct buf *b, char c)
{
    buf_add(b, &c, 1);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *at = n < 0 ? NULL : buf_grow(b, (size_t)n);
    if (at)
        vsnprintf(at, (size_t)n + 1, fmt, again);
    va_end(again);
}

enum status buf_check(const struct buf *b, const char *what, struct err *err)
{
    if (!b->failed)
        return OK;
    return err_set(err, ELIMIT, "%s: would grow past %zu bytes (or memory ran out)", what, b->max);
}
