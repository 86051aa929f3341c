/* Products with weights, every table this CPU supports, every type: the same bits as the scalar
 * table, whatever the rows and tokens of the call; and the scalar table against float64. */
#include "kernel_support.h"
#include <float.h>
#include <math.h>

struct problem {
    const struct type_case *c;
    struct guarded w, x, acts, y;
    struct mat mat;
    struct acts a;
    int64_t n;
};

static void problem_new(struct problem *p, const struct kernel_ops *ops, const struct type_case *c,
                        enum fill fill, int64_t rows, int64_t cols, int64_t n)
{
    struct rng r;
    rng_seed(&r, (uint64_t)(rows * 1000003 + cols * 1009 + n * 17 + c->type));
    size_t row_bytes = case_row_bytes(c, cols);
    p->c = c;
    p->n = n;
    p->w = guarded_new((size_t)rows * row_bytes);
    p->x = guarded_new((size_t)(n * cols) * 4);
    p->acts = guarded_aligned(acts_bytes(n, cols));
    p->y = guarded_new((size_t)(n * rows) * 4);
    fill_weights(c, fill, p->w.p, (size_t)rows * row_bytes, &r);
    fill_floats(fill, (float *)p->x.p, n * cols, &r);
    p->mat = (struct mat){c->type, rows, cols, row_bytes, p->w.p};
    acts_init(&p->a, p->acts.p, (float *)p->x.p, cols, n, cols);
    ops->acts_quantize(&p->a, 0, n);
}

static void problem_free(struct problem *p)
{
    guarded_free(p->w);
    guarded_free(p->x);
    guarded_free(p->acts);
    guarded_free(p->y);
}

/* whole: exact product or default one */
static void multiply(const struct kernel_ops *ops, struct problem *p, bool exact, int64_t r0,
                     int64_t r1, int64_t t0, int64_t t1)
{
    float *y = (float *)p->y.p;
    if (exact)
        ops->mul_exact(&p->mat, r0, r1, &p->a, t0, t1, y, p->mat.rows);
    else
        ops->mul[p->c->type](&p->mat, r0, r1, &p->a, t0, t1, y, p->mat.rows);
}

static const int64_t float_cols[] = {1, 15, 31, 33, 64, 100, 2048, 2090};
static const int64_t small_cols[] = {32, 64, 480, 512, 544, 896, 2048, 2112, 4640};
static const int64_t super_cols[] = {256, 512, 768, 2048, 2304, 4352};

static const int64_t *cols_of(const struct type_case *c, int *n)
{
    if (!c->kind) {
        *n = sizeof float_cols / sizeof float_cols[0];
        return float_cols;
    }
    if (c->kind->block_cols == 32) {
        *n = sizeof small_cols / sizeof small_cols[0];
        return small_cols;
    }
    *n = sizeof super_cols / sizeof super_cols[0];
    return super_cols;
}

/* Rounding x to int8 moves each activation by at most half a scale, so a product by at most
 * sum over blocks of scale / 2 * sum |w|; float32 sums add a few ulp of sum |w x|. */
static void check_float64(struct problem *p, bool exact)
{
    const float *y = (const float *)p->y.p;
    int64_t rows = p->mat.rows, cols = p->mat.cols;
    float *w = malloc((size_t)cols * sizeof *w);
    for (int64_t r = 0; r < rows; r++) {
        expand_row(p->c, p->w.p + (size_t)r * p->mat.row_bytes, cols, w);
        for (int64_t t = 0; t < p->n; t++) {
            const float *x = p->a.x + t * cols;
            double sum = 0, size = 0, rounding = 0;
            for (int64_t k0 = 0; k0 < cols; k0 += 32) {
                double amax = 0, abs_w = 0;
                for (int64_t k = k0; k < cols && k < k0 + 32; k++) {
                    sum += (double)w[k] * (double)x[k];
                    size += fabs((double)w[k] * (double)x[k]);
                    amax = fmax(amax, fabs((double)x[k]));
                    abs_w += fabs((double)w[k]);
                }
                rounding += amax / 127 * 0.5001 * abs_w;
            }
            /* a type with a minimum multiplies parts that are larger than the weights */
            double bound = (exact || !p->c->kind ? 0 : rounding) + 1e-5 * size + 1e-38;
            if (!exact && p->c->kind && p->c->kind->has_min)
                bound += 1e-5 * size + 1e-6 * 127 * rounding;
            double got = (double)y[t * rows + r];
            if (!(fabs(got - sum) <= bound))
                fail_msg("%s (%d, %d): %g, expected %g within %g", p->c->name, (int)r, (int)t, got,
                         sum, bound);
        }
    }
    free(w);
}

static void scalar_is_right(void **state)
{
    (void)state;
    const struct kernel_ops *ops = kernel_ops_at(0);
    for (int i = 0; i < N_TYPE_CASES; i++) {
        int n_cols;
        const int64_t *cols = cols_of(&type_cases[i], &n_cols);
        for (int j = 0; j < n_cols; j++)
            for (int exact = 0; exact < 2; exact++) {
                struct problem p;
                problem_new(&p, ops, &type_cases[i], FILL_RANDOM, 5, cols[j], 3);
                multiply(ops, &p, exact, 0, 5, 0, 3);
                check_float64(&p, exact);
                problem_free(&p);
            }
    }
}

static void tables_agree_on(const struct kernel_ops *ops, const struct type_case *c, enum fill fill,
                            int64_t rows, int64_t cols, int64_t n)
{
    const struct kernel_ops *scalar = kernel_ops_at(0);
    size_t bytes = (size_t)(n * rows) * 4;
    float *want = malloc(bytes);
    for (int exact = 0; exact < 2; exact++) {
        struct problem p, q;
        problem_new(&p, scalar, c, fill, rows, cols, n);
        problem_new(&q, ops, c, fill, rows, cols, n);
        assert_memory_equal(p.acts.p, q.acts.p, acts_bytes(n, cols));
        multiply(scalar, &p, exact, 0, rows, 0, n);
        memcpy(want, p.y.p, bytes);
        memset(q.y.p, 0xa5, bytes);
        multiply(ops, &q, exact, 0, rows, 0, n);
        if (memcmp(q.y.p, want, bytes) != 0)
            for (int64_t i = 0; i < n * rows; i++)
                if (memcmp((float *)q.y.p + i, want + i, 4) != 0)
                    fail_msg("%s %s %s: %dx%d, %d tokens: (%d, %d) is %.9g, scalar %.9g", ops->isa,
                             c->name, exact ? "exact" : "default", (int)rows, (int)cols, (int)n,
                             (int)(i % rows), (int)(i / rows), (double)((float *)q.y.p)[i],
                             (double)want[i]);
        problem_free(&p);
        problem_free(&q);
    }
    free(want);
}

static void tables_agree(void **state)
{
    (void)state;
    static const int64_t tokens[] = {1, 2, 3, 5, 8, 13, 16, 25, 33};
    for (int at = 1; kernel_ops_at(at); at++)
        for (int i = 0; i < N_TYPE_CASES; i++) {
            int n_cols;
            const int64_t *cols = cols_of(&type_cases[i], &n_cols);
            for (int j = 0; j < n_cols; j++) {
                int64_t n = tokens[(i + j) % 9], rows = j % 3 == 0 ? 35 : 1 + (i * 5 + j * 7) % 50;
                tables_agree_on(kernel_ops_at(at), &type_cases[i], FILL_RANDOM, rows, cols[j], n);
            }
            for (int t = 0; t < 9; t++)
                tables_agree_on(kernel_ops_at(at), &type_cases[i], FILL_RANDOM, 19,
                                cols[n_cols - 2], tokens[t]);
            for (enum fill fill = FILL_ZERO; fill < N_FILLS; fill++) {
                tables_agree_on(kernel_ops_at(at), &type_cases[i], fill, 17, cols[2], 1);
                tables_agree_on(kernel_ops_at(at), &type_cases[i], fill, 17, cols[2], 26);
            }
        }
}

/* The same (row, token) in calls of any shape, and nothing outside the asked range written. */
static void calls_of_any_shape_agree(void **state)
{
    (void)state;
    enum { ROWS = 53, TOKENS = 41, COLS = 2304 };
    static const struct {
        int64_t r0, r1, t0, t1;
    } parts[] = {{0, 1, 0, 1},   {5, 53, 0, 41}, {0, 53, 40, 41}, {17, 18, 3, 30}, {1, 34, 2, 14},
                 {32, 48, 0, 7}, {3, 3, 0, 41},  {0, 53, 8, 8},   {50, 53, 0, 2},  {0, 16, 20, 41}};
    static float want[ROWS * TOKENS];
    for (int at = 0; kernel_ops_at(at); at++)
        for (int i = 0; i < N_TYPE_CASES; i++)
            for (int exact = 0; exact < 2; exact++) {
                const struct kernel_ops *ops = kernel_ops_at(at);
                struct problem p;
                problem_new(&p, ops, &type_cases[i], FILL_RANDOM, ROWS, COLS, TOKENS);
                float *y = (float *)p.y.p;
                multiply(ops, &p, exact, 0, ROWS, 0, TOKENS);
                memcpy(want, y, sizeof want);
                for (size_t k = 0; k < sizeof parts / sizeof parts[0]; k++) {
                    memset(y, 0xa5, sizeof want);
                    multiply(ops, &p, exact, parts[k].r0, parts[k].r1, parts[k].t0, parts[k].t1);
                    for (int64_t t = 0; t < TOKENS; t++)
                        for (int64_t r = 0; r < ROWS; r++) {
                            bool in = r >= parts[k].r0 && r < parts[k].r1 && t >= parts[k].t0 &&
                                      t < parts[k].t1;
                            uint32_t got, exp = 0xa5a5a5a5;
                            memcpy(&got, y + t * ROWS + r, 4);
                            if (in)
                                memcpy(&exp, want + t * ROWS + r, 4);
                            if (got != exp)
                                fail_msg("%s %s: part %d at (%d, %d)", ops->isa, type_cases[i].name,
                                         (int)k, (int)r, (int)t);
                        }
                }
                problem_free(&p);
            }
}

/* Rounding to int8: within half a scale, sums right, edge values as kernel.h says. */
static void activations_are_rounded(void **state)
{
    (void)state;
    enum { COLS = 600 };
    for (int at = 0; kernel_ops_at(at); at++) {
        const struct kernel_ops *ops = kernel_ops_at(at);
        struct rng r;
        rng_seed(&r, 7);
        struct guarded x = guarded_new(COLS * 4), block = guarded_aligned(acts_bytes(1, COLS));
        float *v = (float *)x.p;
        fill_floats(FILL_RANDOM, v, COLS, &r);
        for (int k = 64; k < 96; k++)
            v[k] = 0;
        for (int k = 96; k < 128; k++)
            v[k] = 1e-35f;
        v[130] = INFINITY;
        v[170] = NAN;
        v[200] = -FLT_MAX;
        struct acts a;
        acts_init(&a, block.p, v, COLS, 1, COLS);
        assert_int_equal(a.groups, 2);
        ops->acts_quantize(&a, 0, 1);
        for (int b = 0; b < 32; b++) {
            const struct act_group *g = a.g + b / 16;
            int j = b % 16, lo = 0, hi = 0;
            for (int i = 0; i < 32; i++) {
                int q = g->q[i / 4][j][i % 4], k = 32 * b + i;
                *(i < 16 ? &lo : &hi) += q;
                assert_true(q >= -127 && q <= 127);
                double want = k < COLS ? (double)v[k] : 0;
                if (b != 4 && b != 5)
                    assert_true(fabs(want - q * (double)g->scale[j]) <=
                                0.50001 * (double)g->scale[j] + 1e-30);
            }
            assert_int_equal(g->sum_lo[j], lo);
            assert_int_equal(g->sum_hi[j], hi);
            assert_int_equal(g->sum[j], lo + hi);
            if (b == 4 || b == 5)
                assert_true(isnan(g->scale[j]));
            else
                assert_true(g->fsum[j] == g->scale[j] * (float)(lo + hi));
            if (b == 2 || b == 3)
                assert_true(g->scale[j] == 0);
        }
        guarded_free(x);
        guarded_free(block);
    }
}

static void sizes_that_overflow_are_refused(void **state)
{
    (void)state;
    assert_true(acts_bytes(INT64_MAX, INT64_MAX) == SIZE_MAX);
    assert_true(acts_bytes(INT64_MAX / 2, 1) == SIZE_MAX);
    assert_true(acts_bytes(-1, 32) == SIZE_MAX);
    assert_int_equal(acts_bytes(3, 513),
                     3 * 2 * sizeof(struct act_group) + sizeof(struct act_tile));
    assert_int_equal(acts_bytes(TILE_TOKENS + 1, SPAN_COLS + 1),
                     (TILE_TOKENS + 1) * 5 * sizeof(struct act_group) +
                         4 * sizeof(struct act_tile));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalar_is_right),
        cmocka_unit_test(tables_agree),
        cmocka_unit_test(calls_of_any_shape_agree),
        cmocka_unit_test(activations_are_rounded),
        cmocka_unit_test(sizes_that_overflow_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
