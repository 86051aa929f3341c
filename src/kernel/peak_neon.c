/* AArch64 without the dot product: bytes into 16 bits, two halves, added in pairs into the sums. */
#include "kernel/peak.h"
#if defined(__aarch64__)
#include <arm_neon.h>
#define PEAK       peak_neon
#define PEAK_ISA   "neon"
#define CHAINS     12
#define KEEP(v)    __asm__ volatile("" : "+w"(v))
#define INT_VEC    int32x4_t
#define INT_SET(x) vreinterpretq_s32_s8(vdupq_n_s8(x))
#define LOW(v)     vget_low_s8(vreinterpretq_s8_s32(v))
#define INT_STEP(sum, a, b)                                                                        \
    (sum) = vpadalq_s16(sum, vmlal_high_s8(vmull_s8(LOW(a), LOW(b)), vreinterpretq_s8_s32(a),      \
                                           vreinterpretq_s8_s32(b)))
#define INT_OPS               32
#define FLOAT_VEC             float32x4_t
#define FLOAT_SET(x)          vdupq_n_f32(x)
#define FLOAT_STEP(sum, a, b) (sum) = vfmaq_f32(sum, a, b)
#define FLOAT_OPS             8
#include "kernel/body_peak.h"
#endif
