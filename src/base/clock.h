/* Time. Monotonic nanoseconds for durations, wall-clock seconds for people; never mixed. */
#pragma once
#include <stdint.h>
#include <time.h>

static inline int64_t clock_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static inline double clock_since(int64_t start_ns) /* seconds */
{
    return (double)(clock_ns() - start_ns) * 1e-9;
}
