#include "base/stats.h"
#include <stdlib.h>

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void stats_sort(double *v, size_t n)
{
    qsort(v, n, sizeof *v, by_value);
}

double stats_median(double *v, size_t n)
{
    stats_sort(v, n);
    return (v[(n - 1) / 2] + v[n / 2]) / 2;
}
