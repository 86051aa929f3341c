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

/* KEEP(a): or a product of the same two would be taken out of the loop. */
#define EACH_CHAIN _Pragma("GCC unroll 16") for (int i = 0; i < CHAINS; i++)
#define PEAK_LOOP(name, VEC, SET, STEP, x, y)                                                      \
    static void name(void *ctx, int worker, int64_t begin, int64_t end)                            \
    {                                                                                              \
        (void)ctx, (void)worker;                                                                   \
        VEC sum[CHAINS], a = SET(x), b = SET(y);                                                   \
        EACH_CHAIN sum[i] = SET(0);                                                                \
        for (int64_t k = begin * PEAK_ROUNDS; k < end * PEAK_ROUNDS; k++)                          \
            EACH_CHAIN                                                                             \
            {                                                                                      \
                KEEP(a);                                                                           \
                STEP(sum[i], a, b);                                                                \
            }                                                                                      \
        EACH_CHAIN KEEP(sum[i]);                                                                   \
    }
PEAK_LOOP(peak_int8, INT_VEC, INT_SET, INT_STEP, 3, 5)
PEAK_LOOP(peak_f32, FLOAT_VEC, FLOAT_SET, FLOAT_STEP, 1.5f, 0.5f)
#undef PEAK_LOOP
#undef EACH_CHAIN

const struct peak PEAK = {.isa = PEAK_ISA,
                          .int8 = peak_int8,
                          .f32 = peak_f32,
                          .int8_ops = (double)PEAK_ROUNDS * CHAINS * INT_OPS,
                          .f32_ops = (double)PEAK_ROUNDS * CHAINS * FLOAT_OPS};
