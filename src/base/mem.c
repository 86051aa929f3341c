#include "base/mem.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

void *mem_array(size_t n, size_t size)
{
    return calloc(n ? n : 1, size ? size : 1);
}

void *mem_resize(void *p, size_t n, size_t size)
{
    size_t bytes;
    if (!size_mul(n, size, &bytes))
        return NULL;
    return realloc(p, bytes ? bytes : 1);
}

/* Anonymous maps come zeroed and page-aligned from the kernel, so large blocks cost nothing until
 * they are touched; below 4 MB the heap is cheaper. */
enum { HUGE_FROM = 4 << 20 };

void *mem_aligned(size_t n)
{
    size_t bytes;
    if (!size_add(n, 63, &bytes))
        return NULL;
    bytes &= ~(size_t)63;
    if (bytes >= HUGE_FROM) {
        void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
            return NULL;
#ifdef MADV_HUGEPAGE
        madvise(p, bytes, MADV_HUGEPAGE);
#endif
        return p;
    }
    void *p = aligned_alloc(64, bytes ? bytes : 64);
    if (p)
        memset(p, 0, bytes ? bytes : 64);
    return p;
}

void mem_aligned_free(void *p, size_t n)
{
    size_t bytes = (n + 63) & ~(size_t)63;
    if (p && bytes >= HUGE_FROM)
        munmap(p, bytes);
    else
        free(p);
}

char *mem_dup(const char *p, size_t n)
{
    size_t bytes;
    if (!size_add(n, 1, &bytes))
        return NULL;
    char *copy = malloc(bytes);
    if (copy) {
        if (n)
            memcpy(copy, p, n);
        copy[n] = 0;
    }
    return copy;
}
