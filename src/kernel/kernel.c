/* Sizes and layouts that all tables share. */
#include "kernel/kernel.h"
#include "base/mem.h"

size_t kv_row_bytes(enum kv_type t, int64_t n)
{
    switch (t) {
    case KV_F16: return (size_t)n * 2;
    case KV_F32: return (size_t)n * 4;
    case KV_Q8: return (size_t)((n + 31) / 32) * 34;
    }
    return 0;
}

static int64_t groups_of(int64_t cols)
{
    return cols / ACT_GROUP + (cols % ACT_GROUP != 0);
}

size_t acts_bytes(int64_t n, int64_t cols)
{
    size_t row, all;
    if (n < 0 || cols < 0 || !size_mul((size_t)groups_of(cols), sizeof(struct act_group), &row) ||
        !size_mul((size_t)n, row, &all))
        return SIZE_MAX;
    return all;
}

void acts_init(struct acts *a, void *block, const float *x, int64_t x_stride, int64_t n,
               int64_t cols)
{
    *a = (struct acts){
        .n = n, .cols = cols, .x = x, .x_stride = x_stride, .groups = groups_of(cols), .g = block};
}
