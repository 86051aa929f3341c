/* AArch64 with matrix products: one instruction multiplies 2 x 8 by 8 x 2 bytes into 4 sums. */
#include "kernel/peak.h"
#if defined(__aarch64__)
#include <arm_neon.h>
#define PEAK       peak_i8mm
#define PEAK_ISA   "i8mm"
#define CHAINS     14
#define KEEP(v)    __asm__ volatile("" : "+w"(v))
#define INT_VEC    int32x4_t
#define INT_SET(x) vreinterpretq_s32_s8(vdupq_n_s8(x))
#define INT_STEP(sum, a, b)                                                                        \
    (sum) = vmmlaq_s32(sum, vreinterpretq_s8_s32(a), vreinterpretq_s8_s32(b))
#define INT_OPS               64
#define FLOAT_VEC             float32x4_t
#define FLOAT_SET(x)          vdupq_n_f32(x)
#define FLOAT_STEP(sum, a, b) (sum) = vfmaq_f32(sum, a, b)
#define FLOAT_OPS             8
#include "kernel/body_peak.h"
#endif
