/* The 16-lane vectors that the bodies are written in, in plain C: the definition that the other
 * vec_*.h follow bit for bit. vf: 16 floats; vi: 16 int32 (also 64 bytes, four to a lane). */
#pragma once
#include "kernel/unpack.h"
#include <math.h>
#include <stdint.h>
#include <string.h>

#define VEC_NAME "scalar"
#define INLINE   static inline

typedef struct {
    float v[16];
} vf;
typedef struct {
    int32_t v[16];
} vi;

#define LANES for (int l = 0; l < 16; l++)
#define MAP(T, expr)                                                                               \
    T r;                                                                                           \
    LANES r.v[l] = (expr);                                                                         \
    return r;

INLINE vf vf_set1(float x){MAP(vf, x)} INLINE vf vf_load(const float *p)
{
    vf r;
    memcpy(&r, p, sizeof r);
    return r;
}
INLINE void vf_store(float *p, vf a)
{
    memcpy(p, &a, sizeof a);
}
INLINE vf vf_add(vf a, vf b){MAP(vf, a.v[l] + b.v[l])} INLINE vf
    vf_sub(vf a, vf b){MAP(vf, a.v[l] - b.v[l])} INLINE vf
    vf_mul(vf a, vf b){MAP(vf, a.v[l] * b.v[l])} INLINE vf
    vf_div(vf a, vf b){MAP(vf, a.v[l] / b.v[l])} INLINE vf
    vf_fma(vf a, vf b, vf c) /* a * b + c, rounded once */
    {MAP(vf, fmaf(a.v[l], b.v[l], c.v[l]))} INLINE vf vf_max(vf a, vf b) /* b when one is NaN */
    {MAP(vf, a.v[l] > b.v[l] ? a.v[l] : b.v[l])} INLINE vf
    vf_if_less(vf a, vf b, vf x, vf y) /* a < b ? x : y */
    {MAP(vf, a.v[l] < b.v[l] ? x.v[l] : y.v[l])} INLINE vf
    vf_from_vi(vi a){MAP(vf, (float)a.v[l])} INLINE vi vi_set1(int32_t x){MAP(vi, x)} INLINE vi
    vi_round(vf a) /* to nearest, ties to even; any value outside int32 gives some value */
    {MAP(vi, fabsf(a.v[l]) < 0x1p30f ? (int32_t)lrintf(a.v[l]) : INT32_MIN)} INLINE vi vi_as(vf a)
{
    vi r;
    memcpy(&r, &a, sizeof r);
    return r;
}
INLINE vf vf_as(vi a)
{
    vf r;
    memcpy(&r, &a, sizeof r);
    return r;
}
INLINE vi vi_add(vi a, vi b){MAP(vi, (int32_t)((uint32_t)a.v[l] + (uint32_t)b.v[l]))} INLINE vi
    vi_and(vi a, vi b){MAP(vi, a.v[l] & b.v[l])} INLINE vi
    vi_sll23(vi a){MAP(vi, (int32_t)((uint32_t)a.v[l] << 23))} INLINE vf
    vf_load_f16(const uint16_t *p)
{
    uint16_t h[16];
    memcpy(h, p, sizeof h);
    MAP(vf, half_to_float(h[l]))
}
INLINE vf vf_load_bf16(const uint16_t *p)
{
    uint16_t h[16];
    memcpy(h, p, sizeof h);
    vi bits;
    LANES bits.v[l] = (int32_t)((uint32_t)h[l] << 16);
    return vf_as(bits);
}
INLINE vf vf_load_s8(const int8_t *p){MAP(vf, (float)p[l])} INLINE uint16_t
    float_to_half(float f) /* to nearest, ties to even */
{
    uint32_t x, sign;
    memcpy(&x, &f, 4);
    sign = x >> 16 & 0x8000;
    x &= 0x7fffffff;
    if (x > 0x7f800000) /* NaN, quiet */
        return (uint16_t)(sign | 0x7e00 | (x >> 13 & 0x3ff));
    if (x >= 0x47800000) /* 2^16 and above; 65520 .. 65536 round up below */
        return (uint16_t)(sign | 0x7c00);
    if (x < 0x38800000) { /* subnormal: the float adder rounds at 2^-24 */
        float m;
        memcpy(&m, &x, 4);
        m += 0.5f;
        memcpy(&x, &m, 4);
        return (uint16_t)(sign | (x - 0x3f000000));
    }
    x += 0xfff + (x >> 13 & 1);
    return (uint16_t)(sign | ((x - 0x38000000) >> 13));
}
INLINE void vf_store_f16(uint16_t *p, vf a)
{
    uint16_t h[16];
    LANES h[l] = float_to_half(a.v[l]);
    memcpy(p, h, sizeof h);
}
INLINE void vi_store_s8(int8_t *p, vi a) /* values fit */
{
    LANES p[l] = (int8_t)a.v[l];
}
/* lanes j and j + 8, then 4, 2, 1 */
INLINE float vf_sum(vf a)
{
    for (int step = 8; step > 0; step /= 2)
        for (int l = 0; l < step; l++)
            a.v[l] += a.v[l + step];
    return a.v[0];
}
INLINE float vf_hmax(vf a)
{
    for (int step = 8; step > 0; step /= 2)
        for (int l = 0; l < step; l++)
            a.v[l] = a.v[l] > a.v[l + step] ? a.v[l] : a.v[l + step];
    return a.v[0];
}
/* swaps lanes 2i and 2i + 1 */
INLINE vf vf_swap_pairs(vf a){MAP(vf, a.v[l ^ 1])} INLINE vi
    vi_max(vi a, vi b){MAP(vi, a.v[l] > b.v[l] ? a.v[l] : b.v[l])} INLINE int32_t vi_hmax(vi a)
{
    for (int l = 1; l < 16; l++)
        a.v[0] = a.v[l] > a.v[0] ? a.v[l] : a.v[0];
    return a.v[0];
}
INLINE vi vi_load(const void *p)
{
    vi r;
    memcpy(&r, p, sizeof r);
    return r;
}
#define vi_load_once vi_load
INLINE void vi_store(void *p, vi a)
{
    memcpy(p, &a, sizeof a);
}
/* lane += dot product of its four unsigned bytes of u (at most 63) with the four signed ones of x
 */
INLINE vi vi_dot_us(vi acc, vi u, vi x)
{
    uint8_t ub[64];
    int8_t xb[64];
    vi_store(ub, u);
    vi_store(xb, x);
    LANES for (int i = 0; i < 4; i++) acc.v[l] += ub[4 * l + i] * xb[4 * l + i];
    return acc;
}
/* the half at p in all lanes */
INLINE vf vf_half(const uint8_t *p)
{
    return vf_set1(get_half(p));
}
