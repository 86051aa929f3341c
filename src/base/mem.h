/* Memory whose size comes from a file or a request: fallible, checked for overflow. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* *out = a * b or a + b; false on overflow. */
static inline bool size_mul(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

static inline bool size_add(size_t a, size_t b, size_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

/* n * size zeroed bytes, NULL when there are none or on overflow; free() releases them. */
void *mem_array(size_t n, size_t size);

/* realloc to n * size bytes; NULL on overflow or no memory (the old block stays). */
void *mem_resize(void *p, size_t n, size_t size);

/* Zeroed, 64-byte aligned (2 MB aligned and advised for huge pages from 4 MB up); mem_aligned_free
 * releases. n is rounded up. NULL when there is no memory. */
void *mem_aligned(size_t n);
void mem_aligned_free(void *p, size_t n);

/* Copy of n bytes plus a NUL; NULL when there is no memory. */
char *mem_dup(const char *p, size_t n);
