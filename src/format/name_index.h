/* A hashed index over an array of named things: names stay where they are, the index holds their
 * positions. Built once, read by any number of threads.
 *
 * The hash is not keyed, so a hostile file could choose names that collide; insertion gives up
 * after NAME_INDEX_PROBES steps (honest names at half load never get near it) and the file is
 * refused instead of being read in quadratic time. */
#pragma once
#include "base/err.h"
#include "base/str.h"
#include <stdint.h>

enum { NAME_INDEX_PROBES = 4096 };

struct name_index {
    uint32_t *slot; /* position + 1; 0: free */
    size_t mask;    /* slots - 1, a power of two at least twice the number of names */
};

/* The name of the i-th thing. */
typedef struct str name_at_fn(const void *things, size_t i);

/* Indexes things [0, n). EFORMAT naming the duplicate; `what` is its kind ("tensor"). */
NODISCARD enum status name_index_build(struct name_index *x, const void *things, size_t n,
                                       name_at_fn *name_at, const char *what, struct err *err);
void name_index_release(struct name_index *x);

/* Position of the thing with that name, or SIZE_MAX. */
size_t name_index_find(const struct name_index *x, const void *things, name_at_fn *name_at,
                       struct str name);
