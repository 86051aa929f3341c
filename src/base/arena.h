/* An arena: many small allocations, one release. Has a ceiling; allocation past it (or without
 * memory) returns NULL. Memory is zeroed and 16-byte aligned. */
#pragma once
#include "base/str.h"

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks;
    size_t used, max; /* bytes handed out; ceiling on them */
};

void arena_init(struct arena *a, size_t max);
void arena_release(struct arena *a);

void *arena_alloc(struct arena *a, size_t n);
void *arena_array(struct arena *a, size_t n, size_t size); /* checked n * size */
char *arena_dup(struct arena *a, const char *p, size_t n); /* plus a NUL */
struct str arena_str(struct arena *a, struct str s);       /* .p is NULL when it failed */
