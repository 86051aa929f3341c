/* Checks on tensor descriptions that every file format shares. */
#include "format/tensor.h"
#include "base/mem.h"
#include "base/show.h"
#include <stdlib.h>

struct str tensor_name_at(const void *tensors, size_t i)
{
    return ((const struct tensor *)tensors)[i].name;
}

enum status tensor_size(struct tensor *t, struct err *err)
{
    int64_t rows = 1, all;
    bool empty = false;
    size_t row_bytes;
    /* zeros count as ones here, so that tensor_elems can multiply in any order */
    for (int d = 0; d < TENSOR_DIMS; d++) {
        if (t->ne[d] < 0)
            return err_set(err, EFORMAT, "tensor '%s': dimension %d is %lld, expected at least 0",
                           show(t->name).s, d, (long long)t->ne[d]);
        empty = empty || t->ne[d] == 0;
        if (d > 0 && __builtin_mul_overflow(rows, t->ne[d] ? t->ne[d] : 1, &rows))
            return err_set(err, EFORMAT, "tensor '%s': number of rows overflows", show(t->name).s);
    }
    if (__builtin_mul_overflow(rows, t->ne[0] ? t->ne[0] : 1, &all))
        return err_set(err, EFORMAT, "tensor '%s': number of elements overflows", show(t->name).s);
    const struct qtype_info *q = qtype_info(t->type);
    if (t->ne[0] % q->block_elems)
        return err_set(err, EFORMAT,
                       "tensor '%s': rows of %lld elements, expected a multiple of %u for type %s",
                       show(t->name).s, (long long)t->ne[0], q->block_elems, q->name);
    if (!qtype_row_bytes(t->type, t->ne[0], &row_bytes) ||
        !size_mul(row_bytes, (size_t)rows, &t->bytes) || t->bytes > INT64_MAX)
        return err_set(err, EFORMAT, "tensor '%s': size in bytes overflows", show(t->name).s);
    if (empty)
        t->bytes = 0;
    return OK;
}

static int by_address(const void *a, const void *b)
{
    const struct tensor *x = *(const struct tensor *const *)a,
                        *y = *(const struct tensor *const *)b;
    uintptr_t p = (uintptr_t)x->data, q = (uintptr_t)y->data;
    if (p != q)
        return p < q ? -1 : 1;
    return x->bytes != y->bytes ? (x->bytes < y->bytes ? -1 : 1) : 0;
}

/* Walks tensors in address order; `end` is where the last one ended. */
static enum status walk(const struct tensor *const *sorted, size_t n, const unsigned char *begin,
                        const unsigned char *end, bool whole, struct err *err)
{
    const unsigned char *at = begin;
    for (size_t i = 0; i < n; i++) {
        const unsigned char *p = sorted[i]->data;
        if (!sorted[i]->bytes && !whole)
            continue;
        if (p < at)
            return err_set(err, EFORMAT, "tensor '%s' overlaps tensor '%s' by %zu bytes",
                           show(sorted[i]->name).s, show(sorted[i - 1]->name).s, (size_t)(at - p));
        if (whole && p != at)
            return err_set(err, EFORMAT, "%zu unused bytes before tensor '%s', expected none",
                           (size_t)(p - at), show(sorted[i]->name).s);
        at = p + sorted[i]->bytes;
    }
    if (whole && at != end)
        return err_set(err, EFORMAT, "%zu unused bytes after the last tensor, expected none",
                       (size_t)(end - at));
    return OK;
}

enum status tensors_disjoint(const struct tensor *t, size_t n, const unsigned char *begin,
                             const unsigned char *end, bool whole, struct err *err)
{
    const struct tensor **sorted = mem_array(n, sizeof *sorted);
    if (!sorted)
        return err_set(err, ENOMEMORY, "no memory to check %zu tensors", n);
    bool ordered = true; /* as every sane writer leaves them */
    for (size_t i = 0; i < n; i++) {
        sorted[i] = &t[i];
        ordered = ordered && (i == 0 || by_address(&sorted[i - 1], &sorted[i]) <= 0);
    }
    if (!ordered)
        qsort(sorted, n, sizeof *sorted, by_address);
    enum status s = walk(sorted, n, begin, end, whole, err);
    free(sorted);
    return s;
}
