/* exp by range reduction to [-ln2/2, ln2/2] and the Taylor polynomial of degree 7 (truncation
 * error 0.35^8 / 8! = 5e-9, below float32 rounding); log by the series of 2 atanh. */
#include "base/detmath.h"
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

typedef float vf __attribute__((vector_size(16)));
typedef int32_t vi __attribute__((vector_size(16)));

enum { LANES = 4, BLOCK = 64 };

static inline vf splat(float x)
{
    return (vf){x, x, x, x};
}

static inline vf load(const float *p)
{
    vf v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline vf select(vi mask, vf a, vf b)
{
    return (vf)((mask & (vi)a) | (~mask & (vi)b));
}

double det_log(double x)
{
    if (!(x >= DBL_MIN && x <= DBL_MAX))
        return -HUGE_VAL;
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    int e = (int)(bits >> 52) - 1023;
    bits = (bits & 0xfffffffffffffu) | (uint64_t)1023 << 52;
    double m;
    memcpy(&m, &bits, sizeof m);
    if (m > 1.4142135623730951) {
        m *= 0.5;
        e++;
    }
    double s = (m - 1.0) / (m + 1.0), s2 = s * s, sum = 0.0;
    for (int k = 21; k >= 1; k -= 2)
        sum = sum * s2 + 1.0 / k;
    return 2.0 * s * sum + (double)e * 0.6931471805599453;
}

/* exp of d <= 0 (NaN counts as -infinity) */
static inline vf exp_lanes(vf d)
{
    const vf low = splat(-87.0f), magic = splat(12582912.0f); /* 1.5 * 2^23: rounds to integer */
    vi alive = d >= low;
    d = select(alive, d, splat(0.0f));
    vf t = d * splat(1.44269504f) + magic;
    vf k = t - magic;
    /* ln 2 in two parts, the first with so few bits that k times it is exact */
    vf r = (d - k * splat(0.693359375f)) - k * splat(-2.12194440e-4f);
    vf y = splat(1.0f / 5040);
    y = y * r + splat(1.0f / 720);
    y = y * r + splat(1.0f / 120);
    y = y * r + splat(1.0f / 24);
    y = y * r + splat(1.0f / 6);
    y = y * r + splat(0.5f);
    y = y * r + splat(1.0f);
    y = y * r + splat(1.0f);
    vi shift = (vi)t - (vi)magic;
    y = (vf)((vi)y + shift * (1 << 23));
    return (vf)((vi)y & alive);
}

static inline vf distance(vf z, float max)
{
    z = select(z > splat(FLT_MAX), splat(FLT_MAX), z);
    return z - splat(max);
}

static inline double lanes_sum(vf v)
{
    return (((double)v[0] + (double)v[1]) + (double)v[2]) + (double)v[3];
}

/* The last n < BLOCK values, padded with -infinity, so that the sums keep their order. */
static void pad_block(float out[BLOCK], const float *z, size_t n)
{
    memcpy(out, z, n * sizeof *z);
    for (size_t i = n; i < BLOCK; i++)
        out[i] = -INFINITY;
}

double det_exp_row(float *w, const float *z, size_t n, float max, float scale)
{
    double total = 0.0;
    max = max > FLT_MAX ? FLT_MAX : max;
    for (size_t i = 0; i < n; i += BLOCK) {
        float padded[BLOCK];
        size_t in_block = n - i < BLOCK ? n - i : BLOCK;
        const float *src = z + i;
        if (in_block < BLOCK) {
            pad_block(padded, src, in_block);
            src = padded;
        }
        float out[BLOCK];
        vf sum = splat(0.0f);
        for (int k = 0; k < BLOCK; k += LANES) {
            vf e = exp_lanes(distance(load(src + k), max) * splat(scale));
            memcpy(out + k, &e, sizeof e);
            sum += e;
        }
        memcpy(w + i, out, in_block * sizeof *w);
        total += lanes_sum(sum);
    }
    return total;
}

double det_exp_sum(const float *z, size_t n, float max, double *moment)
{
    double total = 0.0, first = 0.0;
    max = max > FLT_MAX ? FLT_MAX : max;
    for (size_t i = 0; i < n; i += BLOCK) {
        float padded[BLOCK];
        const float *src = z + i;
        if (n - i < BLOCK) {
            pad_block(padded, src, n - i);
            src = padded;
        }
        vf sum = splat(0.0f), dsum = splat(0.0f);
        for (int k = 0; k < BLOCK; k += LANES) {
            vf d = distance(load(src + k), max);
            vf e = exp_lanes(d);
            sum += e;
            /* where e is 0 the distance may be infinite or NaN */
            dsum += select(e > splat(0.0f), d * e, splat(0.0f));
        }
        total += lanes_sum(sum);
        first += lanes_sum(dsum);
    }
    *moment = first;
    return total;
}
