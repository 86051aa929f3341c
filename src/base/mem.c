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
enum { HUGE_FROM = 4 << 20, HUGE_PAGE = 2 << 20, PAGE = 64 << 10 /* the largest there is */ };

/* Bytes that a map of n takes: whole pages, whatever their size here. */
static size_t map_bytes(size_t n)
{
    return (n + PAGE - 1) & ~(size_t)(PAGE - 1);
}

void *mem_aligned(size_t n)
{
    size_t bytes;
    if (!size_add(n, 63, &bytes))
        return NULL;
    bytes &= ~(size_t)63;
    if (bytes >= HUGE_FROM) {
        size_t span;
        if (!size_add(bytes, HUGE_PAGE + PAGE, &span))
            return NULL;
        size_t used = map_bytes(bytes);
        span = used + HUGE_PAGE;
        char *p = mmap(NULL, span, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
            return NULL;
        /* only a range that starts on a huge page's border can be made of them: cut the rest off */
        char *at = (char *)(((uintptr_t)p + HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1));
        if (at > p)
            munmap(p, (size_t)(at - p));
        if (p + span > at + used)
            munmap(at + used, (size_t)(p + span - (at + used)));
#ifdef MADV_HUGEPAGE
        madvise(at, bytes, MADV_HUGEPAGE);
#endif
        return at;
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
        munmap(p, map_bytes(bytes));
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
