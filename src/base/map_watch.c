/* A handler may look at nothing that a lock protects, so the maps stand in a fixed table of
 * atomics: a place counts by its length, which is written last and cleared first. */
#include "base/map_watch.h"
#include "base/file.h"
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MAX_MAPS = 1024 };

struct map_watch {
    atomic_bool taken, broken;
    _Atomic uintptr_t begin;
    atomic_size_t n; /* 0: nothing to guard */
};

static struct map_watch maps[MAX_MAPS];
static atomic_bool any_broken;
static struct sigaction before;
static size_t page;

struct map_watch *map_watch_begin(const void *p, size_t n)
{
    for (struct map_watch *w = maps; w < maps + MAX_MAPS; w++) {
        bool expected = false;
        if (!atomic_compare_exchange_strong(&w->taken, &expected, true))
            continue;
        w->broken = false;
        w->begin = (uintptr_t)p;
        w->n = n;
        return w;
    }
    return NULL;
}

void map_watch_end(struct map_watch *w)
{
    if (!w)
        return;
    w->n = 0;
    w->taken = false;
}

/* mmap is no function that POSIX lets a handler call, but on Linux it is the bare system call. */
static void on_bus(int sig, siginfo_t *info, void *context)
{
    (void)context;
    int saved = errno;
    uintptr_t at = (uintptr_t)info->si_addr;
    for (struct map_watch *w = maps; w < maps + MAX_MAPS; w++) {
        size_t n = w->n;
        uintptr_t begin = w->begin;
        if (n == 0 || at < begin || at - begin >= n)
            continue;
        size_t from = (at - begin) / page * page;
        w->broken = any_broken = true;
        if (mmap((void *)(begin + from), n - from, PROT_READ,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
            break;
        errno = saved;
        return;
    }
    /* as if there were no guard: the instruction is tried again, what was sent is sent again */
    sigaction(sig, &before, NULL);
    if (info->si_code <= 0)
        raise(sig);
    errno = saved;
}

void file_map_guard(void)
{
    struct sigaction a = {.sa_sigaction = on_bus, .sa_flags = SA_SIGINFO};
    long size = sysconf(_SC_PAGESIZE);
    page = size > 0 ? (size_t)size : 4096;
    sigemptyset(&a.sa_mask);
    sigaction(SIGBUS, &a, &before);
}

bool file_map_broken(const struct file_map *m)
{
    return m->watch && m->watch->broken;
}

bool file_maps_any_broken(void)
{
    return any_broken;
}
