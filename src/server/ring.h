/* A ring of bytes with a ceiling: one side puts, the other takes, both under the owner's lock. */
#pragma once
#include "base/str.h"
#include <stdlib.h>

struct ring {
    char *p;
    size_t cap, at, n; /* bytes [at, at + n) modulo cap are held */
};

/* Holds up to cap bytes. False: no memory. */
static inline bool ring_init(struct ring *g, size_t cap)
{
    *g = (struct ring){.p = malloc(cap), .cap = cap};
    return g->p != NULL;
}

static inline void ring_release(struct ring *g)
{
    free(g->p);
    *g = (struct ring){0};
}

/* Takes in as many bytes as there is room for; returns how many. */
static inline size_t ring_put(struct ring *g, const char *p, size_t n)
{
    size_t room = g->cap - g->n, done = 0;
    if (n > room)
        n = room;
    if (g->n == 0)
        g->at = 0; /* the same few pages again */
    while (done < n) {
        size_t to = (g->at + g->n) % g->cap, part = g->cap - to;
        if (part > n - done)
            part = n - done;
        memcpy(g->p + to, p + done, part);
        g->n += part;
        done += part;
    }
    return done;
}

/* Gives out up to n bytes; returns how many. */
static inline size_t ring_take(struct ring *g, char *out, size_t n)
{
    size_t done = 0;
    if (n > g->n)
        n = g->n;
    while (done < n) {
        size_t part = g->cap - g->at;
        if (part > n - done)
            part = n - done;
        memcpy(out + done, g->p + g->at, part);
        g->at = (g->at + part) % g->cap;
        g->n -= part;
        done += part;
    }
    return done;
}
