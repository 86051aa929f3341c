/* What the quantizers share: weighted least-squares fits of scales (and offsets).
 *
 * A block is fitted by trying a dozen scales around the one that maps its largest value to the
 * end of the integer range, rounding, and solving for the best scale of those integers in closed
 * form; the best of them is refined by alternating the two steps (Lloyd's algorithm). Types with
 * two levels of scales fit each sub-block, then the super-block's scale to the sub-blocks' scales,
 * then search the neighbours of each integer scale for the smallest true error.
 *
 * Private to format/quant_*.c. Sizes are multiples of 4; arrays are 16-byte aligned. */
#pragma once
#include "format/quant_int.h"
#include <stdalign.h>

/* One block's input, cleaned as quant.h promises. */
struct fit_block {
    alignas(16) float x[QK_K];
    alignas(16) float w[QK_K];
};

/* Loads n values; false when they are all (as good as) zero: nothing to fit. */
bool fit_load(struct fit_block *b, const float *src, const float *weight, int n);

/* The values that an integer code can stand for: all integers lo..hi, or a table of levels. */
struct fit_grid {
    float lo, hi;
    bool table;
    float cell[512]; /* nearest level by floor(2 (v + 128)), for tables within -128..127 */
};
/* levels ascending, neighbours' midpoints on multiples of 0.5 */
void fit_grid_table(struct fit_grid *g, const int8_t *levels, int n);

/* The d that minimises sum(w * (x - d * q)^2) over d and q in the grid. *importance (may be NULL):
 * sum(w * q^2), how much an error of d weighs. */
float fit_scale(const struct fit_grid *g, const float *x, const float *w, int n, float *importance);

/* q[i] = the grid's value nearest to x[i] / d; all grid zeros (or lo) when d is 0. */
void fit_round(const struct fit_grid *g, const float *x, int n, float d, float *q);

/* s and b that minimise sum(w * (x - (s * q + b))^2) with q in 0..q_max and s >= 0;
 * only_below: b <= 0. */
struct fit_line {
    float s, b;
};
struct fit_line fit_affine(const float *x, const float *w, int n, float q_max, bool only_below,
                           float *importance);

/* q[i] = (x[i] - b) / s rounded into 0..q_max; zeros when s is 0. */
void fit_round_affine(const float *x, int n, struct fit_line line, float q_max, float *q);

/* Super-block x = d * code[i] * q: n_sub sub-blocks of n elements, codes in code_lo..code_hi.
 * Fills codes and q (QK_K grid values) and returns d, already rounded to f16. */
float fit_super(const struct fit_grid *g, const struct fit_block *b, int n_sub, int n, int code_lo,
                int code_hi, int *code, float *q);

/* Super-block x = d * sc[i] * q - dmin * m[i], codes in 0..code_max, q in 0..q_max. */
struct fit_scales {
    float d, dmin; /* rounded to f16 */
};
struct fit_scales fit_super_affine(const struct fit_block *b, int n_sub, int n, int code_max,
                                   float q_max, int *sc, int *m, float *q);

/* The nearest finite f16: a fitted value may lie a little beyond the largest input. */
static inline uint16_t fit_to_f16(float f)
{
    return f32_to_f16(f > 65504.0f ? 65504.0f : f < -65504.0f ? -65504.0f : f);
}

static inline float fit_f16(float f) /* rounded to f16 and back */
{
    return f16_to_f32(fit_to_f16(f));
}
