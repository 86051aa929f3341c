#include "base/arena.h"
#include "base/mem.h"
#include <stdalign.h>
#include <stdlib.h>

struct arena_chunk {
    struct arena_chunk *next;
    size_t used, cap;
    alignas(16) char data[];
};

enum { CHUNK = 64 << 10 };

void arena_init(struct arena *a, size_t max)
{
    *a = (struct arena){.max = max};
}

void arena_release(struct arena *a)
{
    for (struct arena_chunk *c = a->chunks, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    arena_init(a, a->max);
}

void *arena_alloc(struct arena *a, size_t n)
{
    size_t want;
    if (!size_add(n, 15, &want) || (want &= ~(size_t)15) > a->max || a->used > a->max - want)
        return NULL;
    struct arena_chunk *c = a->chunks;
    if (!c || c->cap - c->used < want) {
        size_t cap = want > CHUNK ? want : CHUNK;
        c = calloc(1, sizeof *c + cap);
        if (!c)
            return NULL;
        c->cap = cap;
        /* a block of its own size goes behind the open chunk, whose rest stays usable */
        if (a->chunks && want > CHUNK / 2) {
            c->next = a->chunks->next;
            a->chunks->next = c;
        } else {
            c->next = a->chunks;
            a->chunks = c;
        }
    }
    void *p = c->data + c->used;
    c->used += want;
    a->used += want;
    return p;
}

void *arena_array(struct arena *a, size_t n, size_t size)
{
    size_t bytes;
    return size_mul(n, size, &bytes) ? arena_alloc(a, bytes) : NULL;
}

char *arena_dup(struct arena *a, const char *p, size_t n)
{
    size_t bytes;
    char *copy = size_add(n, 1, &bytes) ? arena_alloc(a, bytes) : NULL;
    if (copy && n)
        memcpy(copy, p, n);
    return copy;
}

struct str arena_str(struct arena *a, struct str s)
{
    char *p = arena_dup(a, s.p, s.n);
    return (struct str){p, p ? s.n : 0};
}
