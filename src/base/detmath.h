/* Arithmetic that gives the same bits on every machine: exp and log from IEEE additions,
 * multiplications and divisions only, sums in one written-down order. The C library's functions
 * differ between libraries and versions, and a draw that falls between two versions of exp() would
 * be a different token. Built without contraction (see CMakeLists.txt), four lanes at a time by
 * the compilers' vector extension, whose element-wise operations are the scalar ones. */
#pragma once
#include <stddef.h>

/* Natural logarithm of a positive normal number; -INFINITY for anything else. Error < 1e-15. */
double det_log(double x);

/* w[i] = exp((z[i] - max) * scale), relative error < 2e-7, exactly 0 below exp(-87) and for a NaN
 * or -inf; +inf counts as FLT_MAX. max is the largest of z, scale >= 0 and finite. w may be z.
 * Returns the sum of w: float32 sums of 4 lanes over blocks of 64, blocks in order in double. */
double det_exp_row(float *w, const float *z, size_t n, float max, float scale);

/* The same sum with scale 1 and nothing stored; *moment gets the sum of (z[i] - max) * w[i]. */
double det_exp_sum(const float *z, size_t n, float max, double *moment);
