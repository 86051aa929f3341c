/* Conversions of tensor elements: scalar casts against an independent definition, block types
 * within the error their bits allow, hostile input, sizes. */
#include "base/rng.h"
#include "format/quant.h"
#include "format/quant_blocks.h"
#include "format/quant_table.h"
#include "support.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N = 8192 };

/* Normal numbers by Box and Muller. */
static void fill_normal(float *x, int n, uint64_t seed, double std)
{
    struct rng r;
    rng_seed(&r, seed);
    for (int i = 0; i < n; i++) {
        double u = 1 - rng_uniform(&r), v = rng_uniform(&r);
        x[i] = (float)(std * sqrt(-2 * log(u)) * cos(6.283185307179586 * v));
    }
}

static double weighted_error(const float *a, const float *b, const float *w, int n)
{
    double e = 0, s = 0;
    for (int i = 0; i < n; i++) {
        double wi = w ? (double)w[i] : 1, d = (double)a[i] - (double)b[i];
        e += wi * d * d;
        s += wi * (double)a[i] * (double)a[i];
    }
    return sqrt(e / s);
}

/* Quantizes and dequantizes n values; the caller frees. */
static float *round_trip(enum qtype t, const float *x, int n, const float *w)
{
    size_t bytes;
    assert_true(qtype_row_bytes(t, n, &bytes));
    unsigned char *q = malloc(bytes + 8);
    float *out = malloc((size_t)n * sizeof *out);
    assert_non_null(q);
    assert_non_null(out);
    memset(q + bytes, 0xa5, 8);
    qtype_info(t)->quantize(x, q, n, w);
    for (int i = 0; i < 8; i++)
        assert_int_equal(q[bytes + (size_t)i], 0xa5);
    qtype_info(t)->dequantize(q, out, n);
    free(q);
    return out;
}

static void f16_is_exact_both_ways(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x10000; h++) {
        int e = (int)(h >> 10 & 31);
        double m = h & 1023, sign = h & 0x8000 ? -1 : 1;
        float f = f16_to_f32((uint16_t)h);
        if (e == 31 && m != 0) {
            assert_true(isnan(f));
            assert_true((f32_to_f16(f) & 0x7fff) > 0x7c00);
            continue;
        }
        double want = e == 31 ? (double)INFINITY : e ? ldexp(1024 + m, e - 25) : ldexp(m, -24);
        assert_true((double)f == sign * want);
        assert_int_equal(f32_to_f16(f), h);
    }
}

/* Halfway between neighbours goes to the even one; a hair more goes up. */
static void f16_rounds_to_nearest_even(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x7c00; h++) {
        double a = (double)f16_to_f32((uint16_t)h);
        double b = h == 0x7bff ? 65536 : (double)f16_to_f32((uint16_t)(h + 1));
        float mid = (float)((a + b) / 2);
        assert_int_equal(f32_to_f16(mid), h + (h & 1));
        assert_int_equal(f32_to_f16(nextafterf(mid, 0)), h);
        assert_int_equal(f32_to_f16(nextafterf(mid, 1e9f)), h + 1);
        assert_int_equal(f32_to_f16(-mid), (h + (h & 1)) | 0x8000);
    }
    assert_int_equal(f32_to_f16(1e30f), 0x7c00);
    assert_int_equal(f32_to_f16(-INFINITY), 0xfc00);
    assert_int_equal(f32_to_f16(1e-30f), 0);
}

static void bf16_rounds_to_nearest_even(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x10000; h++) {
        float f = bf16_to_f32((uint16_t)h);
        if (isnan(f)) {
            assert_true(isnan(bf16_to_f32(f32_to_bf16(f))));
            continue;
        }
        assert_int_equal(f32_to_bf16(f), h);
    }
    assert_int_equal(f32_to_bf16(f32_from_bits(0x3f808000)), 0x3f80);
    assert_int_equal(f32_to_bf16(f32_from_bits(0x3f818000)), 0x3f82);
    assert_int_equal(f32_to_bf16(f32_from_bits(0x3f808001)), 0x3f81);
    assert_true(isnan(bf16_to_f32(f32_to_bf16(f32_from_bits(0x7f800001)))));
}

static const struct {
    enum qtype type;
    double bound; /* relative rms error on normal numbers: a little above what is reached */
} bounds[] = {
    {QT_F32, 0},      {QT_F16, 3e-4},    {QT_BF16, 2e-3},   {QT_Q8_0, 5.6e-3},  {QT_Q4_0, 0.084},
    {QT_Q4_1, 0.072}, {QT_Q5_0, 0.0415}, {QT_Q5_1, 0.0350}, {QT_Q2_K, 0.266},   {QT_Q3_K, 0.147},
    {QT_Q4_K, 0.072}, {QT_Q5_K, 0.0355}, {QT_Q6_K, 0.0173}, {QT_IQ4_NL, 0.076}, {QT_IQ4_XS, 0.076},
};
enum { N_BOUNDS = sizeof bounds / sizeof *bounds };

static void errors_are_within_the_bits(void **state)
{
    (void)state;
    float *x = malloc(N * sizeof *x);
    assert_non_null(x);
    for (double std = 1e-2; std < 1e3; std *= 300) {
        fill_normal(x, N, 1, std);
        for (int i = 0; i < N_BOUNDS; i++) {
            float *y = round_trip(bounds[i].type, x, N, NULL);
            double e = weighted_error(x, y, NULL, N);
            if (e > bounds[i].bound)
                fail_msg("%s: error %g, bound %g", qtype_info(bounds[i].type)->name, e,
                         bounds[i].bound);
            free(y);
        }
    }
    free(x);
}

/* Importance weights lower the weighted error. */
static void weights_are_heeded(void **state)
{
    (void)state;
    float *x = malloc(N * sizeof *x), *w = malloc(N * sizeof *w);
    assert_non_null(x);
    assert_non_null(w);
    fill_normal(x, N, 2, 0.02);
    fill_normal(w, N, 3, 1);
    for (int i = 0; i < N; i++)
        w[i] = w[i] * w[i] * w[i] * w[i];
    for (int i = 0; i < N_BOUNDS; i++) {
        if (qtype_info(bounds[i].type)->block_elems == 1 || bounds[i].type == QT_Q8_0)
            continue;
        float *plain = round_trip(bounds[i].type, x, N, NULL);
        float *heeded = round_trip(bounds[i].type, x, N, w);
        double a = weighted_error(x, plain, w, N), b = weighted_error(x, heeded, w, N);
        if (b > 0.93 * a)
            fail_msg("%s: weighted error %g with weights, %g without",
                     qtype_info(bounds[i].type)->name, b, a);
        free(plain);
        free(heeded);
    }
    free(x);
    free(w);
}

/* With importance; least squares alone gives 7% (Q2_K) and 2% (Q3_K) less than the source's sum of
 * squares. */
static void few_bits_keep_the_norm(void **state)
{
    (void)state;
    static const enum qtype types[] = {QT_Q2_K, QT_Q3_K};
    float *x = malloc(N * sizeof *x), *w = malloc(N * sizeof *w);
    assert_true(x && w);
    fill_normal(x, N, 5, 0.02);
    for (int i = 0; i < N; i++)
        w[i] = (float)(1 + i % 7);
    for (int k = 0; k < 2; k++) {
        float *y = round_trip(types[k], x, N, w);
        double source = 0, kept = 0;
        for (int i = 0; i < N; i++) {
            source += (double)w[i] * (double)x[i] * (double)x[i];
            kept += (double)w[i] * (double)y[i] * (double)y[i];
        }
        if (fabs(kept / source - 1) > 0.004)
            fail_msg("%s: sum of squares %g of the source's", qtype_info(types[k])->name,
                     kept / source);
        free(y);
    }
    free(x);
    free(w);
}

/* What a type can hold exactly comes back (nearly) exact. */
static void quantizing_twice_changes_nothing_much(void **state)
{
    (void)state;
    float *x = malloc(N * sizeof *x);
    assert_non_null(x);
    fill_normal(x, N, 4, 0.5);
    for (int i = 0; i < N_BOUNDS; i++) {
        float *once = round_trip(bounds[i].type, x, N, NULL);
        float *twice = round_trip(bounds[i].type, once, N, NULL);
        double e = weighted_error(once, twice, NULL, N);
        if (e > bounds[i].bound / 4)
            fail_msg("%s: second round changes by %g", qtype_info(bounds[i].type)->name, e);
        free(once);
        free(twice);
    }
    free(x);
}

static void check_finite(enum qtype t, const float *x, const float *w)
{
    float *y = round_trip(t, x, 256, w);
    for (int i = 0; i < 256; i++) {
        if (!isfinite(y[i]))
            fail_msg("%s: element %d is %g", qtype_info(t)->name, i, (double)y[i]);
    }
    free(y);
}

static void hostile_input_stays_finite(void **state)
{
    (void)state;
    static const float odd[] = {NAN,    INFINITY, -INFINITY, 3e38f, -3e38f, 1e-45f,
                                1e-30f, 0,        -0.0f,     1,     65504};
    enum { N_ODD = sizeof odd / sizeof *odd };
    struct rng r;
    rng_seed(&r, 5);
    for (int i = 0; i < N_BOUNDS; i++) {
        if (qtype_info(bounds[i].type)->block_elems == 1)
            continue;
        float x[256], w[256];
        for (int a = 0; a < N_ODD; a++) {
            for (int k = 0; k < 256; k++)
                x[k] = odd[a];
            check_finite(bounds[i].type, x, NULL);
            check_finite(bounds[i].type, x, x);
        }
        for (int trial = 0; trial < 200; trial++) {
            for (int k = 0; k < 256; k++) {
                x[k] = odd[rng_next(&r) % N_ODD];
                w[k] = odd[rng_next(&r) % N_ODD];
            }
            check_finite(bounds[i].type, x, w);
        }
    }
}

static void zeros_and_constants_are_kept(void **state)
{
    (void)state;
    float x[256];
    for (int i = 0; i < N_BOUNDS; i++) {
        for (int k = 0; k < 256; k++)
            x[k] = 0;
        float *y = round_trip(bounds[i].type, x, 256, NULL);
        for (int k = 0; k < 256; k++)
            assert_true(y[k] == 0);
        free(y);
        for (float c = -0.75f; c < 1; c += 1.5f) {
            for (int k = 0; k < 256; k++)
                x[k] = c;
            y = round_trip(bounds[i].type, x, 256, NULL);
            for (int k = 0; k < 256; k++) {
                if (fabsf(y[k] - c) > 0.01f)
                    fail_msg("%s: constant %g became %g", qtype_info(bounds[i].type)->name,
                             (double)c, (double)y[k]);
            }
            free(y);
        }
    }
}

/* Normal numbers with odd values among them. */
static void fill_odd(float *x, int n, uint64_t seed, double std)
{
    static const float odd[] = {NAN, INFINITY, -3e38f, 1e-45f, 1e-7f, 0, -0.0f, 70000, 1e-30f};
    struct rng r;
    rng_seed(&r, seed);
    fill_normal(x, n, seed, std);
    for (int i = 0; i < n / 16; i++)
        x[rng_next(&r) % (uint64_t)n] = odd[rng_next(&r) % (sizeof odd / sizeof *odd)];
    for (int i = 256; i < n && i < 512; i++)
        x[i] = 0;
}

static void check_same(quantize_fn *a, quantize_fn *b, const struct qtype_info *q, const float *x,
                       int n, const float *w, const char *table)
{
    size_t bytes = (size_t)n / q->block_elems * q->block_bytes;
    unsigned char *pa = malloc(bytes + 1), *pb = malloc(bytes + 1);
    assert_true(pa && pb);
    pb[bytes] = 0xa5;
    a(x, pa, n, w);
    b(x, pb, n, w);
    for (size_t i = 0; i < bytes; i++)
        if (pa[i] != pb[i])
            fail_msg("%s: %s differs from base in byte %zu of block %zu", q->name, table,
                     i % q->block_bytes, i / q->block_bytes);
    assert_int_equal(pb[bytes], 0xa5);
    free(pa);
    free(pb);
}

/* Every width of vectors gives the same bits, for any number of blocks. */
static void widths_agree(void **state)
{
    (void)state;
    enum { MOST = 37 * 256 };
    static const int counts[] = {MOST, 256, 3 * 256, 16 * 256};
    float *x = malloc(MOST * sizeof *x), *w = malloc(MOST * sizeof *w);
    float *ya = malloc(MOST * sizeof *ya), *yb = malloc(MOST * sizeof *yb);
    assert_true(x && w && ya && yb);
    const struct quantizers *base = quantizers_at(0), *t;
    for (int i = 1; (t = quantizers_at(i)); i++) {
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
            int n = counts[c];
            fill_odd(x, n, 10 + c, c % 2 ? 30 : 0.02);
            fill_odd(w, n, 20 + c, 1);
#define X(type)                                                                                    \
    {                                                                                              \
        const struct qtype_info *q = qtype_info(qtype_by_name(STR(#type)));                        \
        check_same(base->type##_quantize, t->type##_quantize, q, x, n, NULL, t->name);             \
        check_same(base->type##_quantize, t->type##_quantize, q, x, n, w, t->name);                \
    }
            QUANTIZED_TYPES(X)
#undef X
            base->f16_dequantize(x, ya, n - 5);
            t->f16_dequantize(x, yb, n - 5);
            assert_memory_equal(ya, yb, (size_t)(n - 5) * sizeof *ya);
            base->bf16_dequantize(x, ya, n - 5);
            t->bf16_dequantize(x, yb, n - 5);
            assert_memory_equal(ya, yb, (size_t)(n - 5) * sizeof *ya);
        }
    }
    free(x);
    free(w);
    free(ya);
    free(yb);
    assert_null(quantizers_at(-1));
    assert_null(quantizers_at(1000));
}

/* In rows: every half, and floats near the edges of both formats, at lengths with a rest. */
static void float_rows_are_as_single_values(void **state)
{
    (void)state;
    enum { ALL = 0x10000 };
    uint16_t *h = malloc(ALL * sizeof *h), *g = malloc(ALL * sizeof *g);
    float *f = malloc(ALL * sizeof *f);
    assert_true(h && g && f);
    for (int i = 0; i < ALL; i++)
        h[i] = (uint16_t)i;
    const struct quantizers *t;
    for (int k = 0; (t = quantizers_at(k)); k++) {
        for (int bf = 0; bf < 2; bf++) {
            (bf ? t->bf16_dequantize : t->f16_dequantize)(h, f, ALL - 3);
            for (int i = 0; i < ALL - 3; i++) {
                float want = bf ? bf16_to_f32(h[i]) : f16_to_f32(h[i]);
                assert_int_equal(f32_bits(f[i]), f32_bits(want));
            }
            for (uint32_t low = 0; low < 0x10000; low += 0x0fff) {
                for (int i = 0; i < ALL; i++)
                    f[i] = f32_from_bits((uint32_t)i << 16 | low);
                (bf ? t->bf16_quantize : t->f16_quantize)(f, g, ALL - 3, NULL);
                for (int i = 0; i < ALL - 3; i++)
                    if (g[i] != (bf ? f32_to_bf16(f[i]) : f32_to_f16(f[i])))
                        fail_msg("%s: %x became %x", t->name, (unsigned)f32_bits(f[i]), g[i]);
            }
        }
    }
    free(h);
    free(g);
    free(f);
}

static void table_is_consistent(void **state)
{
    (void)state;
    size_t bytes;
    for (int t = 0; t < QT_COUNT; t++) {
        const struct qtype_info *q = qtype_info((enum qtype)t);
        assert_int_equal(qtype_by_name(str_from(q->name)), t);
        assert_int_equal(qtype_by_gguf_id(q->gguf_id), t);
        assert_true((q->quantize == NULL) == (q->dequantize == NULL));
        assert_true(qtype_row_bytes((enum qtype)t, 512, &bytes));
        assert_int_equal(bytes, 512 / q->block_elems * q->block_bytes);
        assert_int_equal(qtype_row_bytes((enum qtype)t, 511, &bytes), q->block_elems == 1);
        assert_false(qtype_row_bytes((enum qtype)t, -512, &bytes));
    }
    assert_int_equal(qtype_by_name(STR("q9_9")), QT_COUNT);
    assert_int_equal(qtype_by_gguf_id(4), QT_COUNT); /* q4_2, withdrawn */
    assert_false(qtype_row_bytes(QT_F64, INT64_MAX, &bytes));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(f16_is_exact_both_ways),
        cmocka_unit_test(f16_rounds_to_nearest_even),
        cmocka_unit_test(bf16_rounds_to_nearest_even),
        cmocka_unit_test(errors_are_within_the_bits),
        cmocka_unit_test(weights_are_heeded),
        cmocka_unit_test(few_bits_keep_the_norm),
        cmocka_unit_test(quantizing_twice_changes_nothing_much),
        cmocka_unit_test(hostile_input_stays_finite),
        cmocka_unit_test(zeros_and_constants_are_kept),
        cmocka_unit_test(widths_agree),
        cmocka_unit_test(float_rows_are_as_single_values),
        cmocka_unit_test(table_is_consistent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
