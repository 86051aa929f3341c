/* The 16-lane vectors of vec_scalar.h as four 128-bit registers (AArch64; the dot product
 * instructions where the file's flags have them). */
#pragma once
#include "kernel/unpack.h"
#include <arm_neon.h>
#include <math.h>

#define INLINE         static inline __attribute__((always_inline))
#define VEC_DOT_SIGNED 1
#if !defined(VEC_NAME) && defined(__ARM_FEATURE_DOTPROD)
#define VEC_NAME "dotprod"
#elif !defined(VEC_NAME)
#define VEC_NAME "neon"
#endif
/* 32 registers: a tile of 16 rows by 6 tokens */
#ifndef MANY_VECTORS
#define MANY_VECTORS 1
#endif
#define MANY_FROM 24

typedef float32x4x4_t vf;
typedef int32x4x4_t vi;

#define FOUR(T, expr)                                                                              \
    T r;                                                                                           \
    UNROLL                                                                                         \
    for (int i = 0; i < 4; i++)                                                                    \
        r.val[i] = (expr);                                                                         \
    return r;

INLINE vf vf_set1(float x){FOUR(vf, vdupq_n_f32(x))} INLINE vf
    vf_load(const float *p){FOUR(vf, vld1q_f32(p + 4 * i))} INLINE void vf_store(float *p, vf x)
{
    UNROLL
    for (int i = 0; i < 4; i++)
        vst1q_f32(p + 4 * i, x.val[i]);
}
INLINE vf vf_add(vf x, vf y){FOUR(vf, vaddq_f32(x.val[i], y.val[i]))} INLINE vf
    vf_sub(vf x, vf y){FOUR(vf, vsubq_f32(x.val[i], y.val[i]))} INLINE vf
    vf_mul(vf x, vf y){FOUR(vf, vmulq_f32(x.val[i], y.val[i]))} INLINE vf
    vf_div(vf x, vf y){FOUR(vf, vdivq_f32(x.val[i], y.val[i]))} INLINE vf
    vf_fma(vf x, vf y, vf z){FOUR(vf, vfmaq_f32(z.val[i], x.val[i], y.val[i]))} INLINE vf
    vf_max(vf x, vf y) /* y when one is NaN, as elsewhere */
    {FOUR(vf, vbslq_f32(vcgtq_f32(x.val[i], y.val[i]), x.val[i], y.val[i]))} INLINE vf
    vf_if_less(vf a, vf b, vf x, vf y){
        FOUR(vf, vbslq_f32(vcltq_f32(a.val[i], b.val[i]), x.val[i], y.val[i]))} INLINE vf
    vf_from_vi(vi x){FOUR(vf, vcvtq_f32_s32(x.val[i]))} INLINE vi
    vi_set1(int32_t x){FOUR(vi, vdupq_n_s32(x))} INLINE vi
    vi_round(vf x){FOUR(vi, vcvtnq_s32_f32(x.val[i]))} INLINE vi
    vi_as(vf x){FOUR(vi, vreinterpretq_s32_f32(x.val[i]))} INLINE vf
    vf_as(vi x){FOUR(vf, vreinterpretq_f32_s32(x.val[i]))} INLINE vi
    vi_add(vi x, vi y){FOUR(vi, vaddq_s32(x.val[i], y.val[i]))} INLINE vi
    vi_sub(vi x, vi y){FOUR(vi, vsubq_s32(x.val[i], y.val[i]))} INLINE vi
    vi_and(vi x, vi y){FOUR(vi, vandq_s32(x.val[i], y.val[i]))} INLINE vi
    vi_sll(vi x, int n){FOUR(vi, vshlq_s32(x.val[i], vdupq_n_s32(n)))} INLINE vi
    vi_sll23(vi x){FOUR(vi, vshlq_n_s32(x.val[i], 23))} INLINE vi
    vi_max(vi x, vi y){FOUR(vi, vmaxq_s32(x.val[i], y.val[i]))} INLINE vi vi_load(const void *p)
{
    const uint8_t *b = p;
    FOUR(vi, vreinterpretq_s32_u8(vld1q_u8(b + 16 * i)))
}
#define vi_load_once vi_load
INLINE void vi_store(void *p, vi x)
{
    uint8_t *b = p;
    UNROLL
    for (int i = 0; i < 4; i++)
        vst1q_u8(b + 16 * i, vreinterpretq_u8_s32(x.val[i]));
}
INLINE vi vi_bcast(const void *p)
{
    int32_t x;
    memcpy(&x, p, 4);
    return vi_set1(x);
}
INLINE vf vf_load_f16(const uint16_t *p){
    FOUR(vf, vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p + 4 * i))))} INLINE vf
    vf_load_bf16(const uint16_t *p){
        FOUR(vf, vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p + 4 * i), 16)))} INLINE vf
    vf_load_s8(const int8_t *p)
{
    int8x16_t x = vld1q_s8(p);
    int16x8_t lo = vmovl_s8(vget_low_s8(x)), hi = vmovl_s8(vget_high_s8(x));
    vi wide = {{vmovl_s16(vget_low_s16(lo)), vmovl_s16(vget_high_s16(lo)),
                vmovl_s16(vget_low_s16(hi)), vmovl_s16(vget_high_s16(hi))}};
    return vf_from_vi(wide);
}
INLINE void vf_store_f16(uint16_t *p, vf x)
{
    UNROLL
    for (int i = 0; i < 4; i++)
        vst1_u16(p + 4 * i, vreinterpret_u16_f16(vcvt_f16_f32(x.val[i])));
}
INLINE void vi_store_s8(int8_t *p, vi x)
{
    int16x8_t lo = vcombine_s16(vmovn_s32(x.val[0]), vmovn_s32(x.val[1]));
    int16x8_t hi = vcombine_s16(vmovn_s32(x.val[2]), vmovn_s32(x.val[3]));
    vst1q_s8(p, vcombine_s8(vmovn_s16(lo), vmovn_s16(hi)));
}
INLINE vf vf_half(const uint8_t *p)
{
    float32x4_t x = vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(get_u16(p))));
    FOUR(vf, x)
}
INLINE float vf_sum(vf x)
{
    float32x4_t s4 = vaddq_f32(vaddq_f32(x.val[0], x.val[2]), vaddq_f32(x.val[1], x.val[3]));
    float32x2_t s2 = vadd_f32(vget_low_f32(s4), vget_high_f32(s4));
    return vget_lane_f32(s2, 0) + vget_lane_f32(s2, 1);
}
INLINE float vf_hmax(vf x)
{
    float v[16], m;
    vf_store(v, x);
    for (int step = 8; step > 0; step /= 2)
        for (int l = 0; l < step; l++)
            v[l] = v[l] > v[l + step] ? v[l] : v[l + step];
    m = v[0];
    return m;
}
INLINE int32_t vi_hmax(vi x)
{
    return vmaxvq_s32(vmaxq_s32(vmaxq_s32(x.val[0], x.val[1]), vmaxq_s32(x.val[2], x.val[3])));
}

INLINE int32x4_t dot_128(int32x4_t acc, int8x16_t w, int8x16_t x)
{
#if defined(__ARM_FEATURE_DOTPROD)
    return vdotq_s32(acc, w, x);
#else
    /* pairs fit int16, since x is never -128: 2 * 128 * 127 < 2^15 */
    int16x8_t lo = vmull_s8(vget_low_s8(w), vget_low_s8(x));
    return vpadalq_s16(acc, vpaddq_s16(lo, vmull_high_s8(w, x)));
#endif
}
INLINE vi vi_dot_ss(vi acc, vi w, vi x){
    FOUR(vi, dot_128(acc.val[i], vreinterpretq_s8_s32(w.val[i]), vreinterpretq_s8_s32(x.val[i])))}
/* u at most 63, so signed products serve */
INLINE vi vi_dot_us(vi acc, vi u, vi x)
{
    return vi_dot_ss(acc, u, x);
}

#if !defined(__ARM_FEATURE_DOTPROD)
/* acc += the sum of n chunks. Unsigned: added in 16 bits first, so 2 * n * u * |x| must be below
 * 2^15. */
#define VEC_DOT_CHUNKS
INLINE int32x4_t dot_us_chunks_128(int32x4_t acc, const vi *u, const vi *x, int n, int i)
{
    int8x16_t a = vreinterpretq_s8_s32(u[0].val[i]), b = vreinterpretq_s8_s32(x[0].val[i]);
    int16x8_t lo = vmull_s8(vget_low_s8(a), vget_low_s8(b)), hi = vmull_high_s8(a, b);
    UNROLL
    for (int c = 1; c < n; c++) {
        a = vreinterpretq_s8_s32(u[c].val[i]);
        b = vreinterpretq_s8_s32(x[c].val[i]);
        lo = vmlal_s8(lo, vget_low_s8(a), vget_low_s8(b));
        hi = vmlal_high_s8(hi, a, b);
    }
    return vpadalq_s16(acc, vpaddq_s16(lo, hi));
}
INLINE vi vi_dot_us_chunks(vi acc, const vi *u, const vi *x,
                           int n){FOUR(vi, dot_us_chunks_128(acc.val[i], u, x, n, i))} INLINE vi
    vi_dot_ss_chunks(vi acc, const vi *w, const vi *x, int n)
{
    UNROLL
    for (int c = 0; c < n; c++)
        acc = vi_dot_ss(acc, w[c], x[c]);
    return acc;
}
#endif

/* 4 x 4 dwords */
INLINE void transpose_4(const int32x4_t in[4], int32x4_t out[4])
{
    int32x4_t a = vtrn1q_s32(in[0], in[1]), b = vtrn2q_s32(in[0], in[1]);
    int32x4_t c = vtrn1q_s32(in[2], in[3]), d = vtrn2q_s32(in[2], in[3]);
#define AS64(x) vreinterpretq_s64_s32(x)
#define AS32(x) vreinterpretq_s32_s64(x)
    out[0] = AS32(vtrn1q_s64(AS64(a), AS64(c)));
    out[1] = AS32(vtrn1q_s64(AS64(b), AS64(d)));
    out[2] = AS32(vtrn2q_s64(AS64(a), AS64(c)));
    out[3] = AS32(vtrn2q_s64(AS64(b), AS64(d)));
#undef AS64
#undef AS32
}

/* out[i] lane j = in[j] lane i */
INLINE void vi_transpose(const vi in[16], vi out[16])
{
    for (int r = 0; r < 4; r++)
        for (int c = 0; c < 4; c++) {
            int32x4_t x[4], y[4];
            for (int i = 0; i < 4; i++)
                x[i] = in[4 * r + i].val[c];
            transpose_4(x, y);
            for (int i = 0; i < 4; i++)
                out[4 * c + i].val[r] = y[i];
        }
}
