/* The two loops of one instruction set. Chains are enough of them to hide the latency of an
 * instruction and few enough to stay in registers. The includer defines
 *
 *   PEAK, PEAK_ISA             the name of the table and of the set
 *   CHAINS                     independent sums
 *   KEEP(v)                    an empty statement through which the compiler cannot see v
 *   INT_VEC, INT_SET(x)        a vector of sums; one whose bytes are all x
 *   INT_STEP(sum, a, b)        sum += a * b on bytes
 *   INT_OPS                    operations of a step
 *   and FLOAT_VEC, FLOAT_SET, FLOAT_STEP, FLOAT_OPS in the same way. */
#include "kernel/peak.h"

static void peak_int8(void *ctx, int worker, int64_t begin, int64_t end)
{
    (void)ctx, (void)worker;
    INT_VEC sum[CHAINS], a = INT_SET(3), b = INT_SET(5);
#pragma GCC unroll 16
    for (int i = 0; i < CHAINS; i++)
        sum[i] = INT_SET(0);
    for (int64_t k = begin * PEAK_ROUNDS; k < end * PEAK_ROUNDS; k++) {
#pragma GCC unroll 16
        for (int i = 0; i < CHAINS; i++) {
            KEEP(a); /* or a product of the same two would be taken out of the loop */
            INT_STEP(sum[i], a, b);
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < CHAINS; i++)
        KEEP(sum[i]);
}

static void peak_f32(void *ctx, int worker, int64_t begin, int64_t end)
{
    (void)ctx, (void)worker;
    FLOAT_VEC sum[CHAINS], a = FLOAT_SET(1.5f), b = FLOAT_SET(0.5f);
#pragma GCC unroll 16
    for (int i = 0; i < CHAINS; i++)
        sum[i] = FLOAT_SET(0);
    for (int64_t k = begin * PEAK_ROUNDS; k < end * PEAK_ROUNDS; k++) {
#pragma GCC unroll 16
        for (int i = 0; i < CHAINS; i++) {
            KEEP(a);
            FLOAT_STEP(sum[i], a, b);
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < CHAINS; i++)
        KEEP(sum[i]);
}

const struct peak PEAK = {.isa = PEAK_ISA,
                          .int8 = peak_int8,
                          .f32 = peak_f32,
                          .int8_ops = (double)PEAK_ROUNDS * CHAINS * INT_OPS,
                          .f32_ops = (double)PEAK_ROUNDS * CHAINS * FLOAT_OPS};
