/* The vectors of vec_neon.h with products of 2 x 8 by 8 x 2 matrices of bytes, whose results are
 * two rows by two tokens: what body_many.h makes of that is there. */
#pragma once
#define VEC_NAME     "i8mm"
#define MANY_TOKENS  2
#define MANY_VECTORS 2
#include "kernel/vec_neon.h"

/* two dwords to every pair of lanes */
INLINE vi vi_bcast_2(const void *p)
{
    int64_t x;
    memcpy(&x, p, 8);
    FOUR(vi, vreinterpretq_s32_s64(vdupq_n_s64(x)))
}

/* four dwords to every four lanes */
INLINE vi vi_bcast_4(const void *p)
{
    int32x4_t x = vreinterpretq_s32_u8(vld1q_u8(p));
    FOUR(vi, x)
}

/* Every four lanes, of which the first two dwords of w are eight columns of a row, the others of a
 * second row; x: of two tokens. acc += row 1 by token 1, 1 by 2, 2 by 1, 2 by 2. */
INLINE vi vi_dot_2x2(vi acc, vi w, vi x){
    FOUR(vi,
         vmmlaq_s32(acc.val[i], vreinterpretq_s8_s32(w.val[i]), vreinterpretq_s8_s32(x.val[i])))}

/* lanes of a and b in turn */
INLINE void vi_zip(vi a, vi b, vi out[2])
{
    UNROLL
    for (int i = 0; i < 4; i++) {
        out[i / 2].val[i % 2 * 2] = vzip1q_s32(a.val[i], b.val[i]);
        out[i / 2].val[i % 2 * 2 + 1] = vzip2q_s32(a.val[i], b.val[i]);
    }
}

/* its inverse on floats, in place */
INLINE void vf_unzip(vf x[2])
{
    vf a, b;
    UNROLL
    for (int i = 0; i < 4; i++) {
        float32x4_t lo = x[i / 2].val[i % 2 * 2], hi = x[i / 2].val[i % 2 * 2 + 1];
        a.val[i] = vuzp1q_f32(lo, hi);
        b.val[i] = vuzp2q_f32(lo, hi);
    }
    x[0] = a;
    x[1] = b;
}
