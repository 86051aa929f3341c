/* Loops that do nothing but multiply and add in registers, one pair per instruction set. Private to
 * probe.c and the peak_*.c, each of which includes body_peak.h. */
#pragma once
#include <stdint.h>

enum { PEAK_ROUNDS = 1000 }; /* steps of every chain, for each item of a loop */

/* fn's ctx is not used; an item is PEAK_ROUNDS steps of all chains. */
struct peak {
    const char *isa; /* as kernel_ops.isa */
    void (*int8)(void *ctx, int worker, int64_t begin, int64_t end);
    void (*f32)(void *ctx, int worker, int64_t begin, int64_t end);
    double int8_ops, f32_ops; /* operations of one item */
};

extern const struct peak peak_scalar, peak_avx2, peak_avx512, peak_vnni, peak_neon, peak_dotprod,
    peak_i8mm;
