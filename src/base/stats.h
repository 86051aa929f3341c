/* Order statistics of measured numbers, in place and without memory of their own. */
#pragma once
#include <stddef.h>

/* Sorts v, the smallest first. No NaNs. */
void stats_sort(double *v, size_t n);

/* The middle one of v, n >= 1, or the mean of the two in the middle. Sorts v. */
double stats_median(double *v, size_t n);
