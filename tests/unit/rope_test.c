/* Rotary angles against values computed in float64 from the published formulas. */
#include "engine/rope.h"
#include "support.h"
#include <math.h>

static struct rope_params params(enum rope_scaling scaling, double theta, int64_t n_rot)
{
    return (struct rope_params){.scaling = scaling,
                                .n_rot = n_rot,
                                .theta = theta,
                                .factor = 1,
                                .attn_factor = (double)NAN,
                                .beta_fast = 32,
                                .beta_slow = 1,
                                .low_freq_factor = 1,
                                .high_freq_factor = 4,
                                .truncate = true};
}

/* want: the first frequency, those a quarter, half and three quarters on, and the last. */
static void check(const struct rope_params *p, int64_t len, const double want[5], double scale)
{
    struct rope_freqs f;
    rope_freqs(p, rope_class(p, len), &f);
    int64_t n = p->n_rot / 2;
    const int64_t at[5] = {0, n / 4, n / 2, 3 * n / 4, n - 1};
    for (int i = 0; i < 5; i++)
        if (fabs((double)f.inv[at[i]] - want[i]) > 1e-6 * want[i])
            fail_msg("frequency %d is %.9g, expected %.9g", (int)at[i], (double)f.inv[at[i]],
                     want[i]);
    assert_true(fabs((double)f.scale - scale) < 1e-6);
}

static void test_linear(void **state)
{
    (void)state;
    struct rope_params p = params(ROPE_LINEAR, 10000, 64);
    p.factor = 4;
    check(&p, 1, (double[]){0.25, 0.025, 0.0025, 0.00025, 3.33380358e-05}, 1);
}

static void test_dynamic(void **state)
{
    (void)state;
    struct rope_params p = params(ROPE_DYNAMIC, 10000, 64);
    p.factor = 2;
    p.n_ctx_orig = 2048;
    check(&p, 2048, (double[]){1, 0.1, 0.01, 0.001, 0.000133352143}, 1);
    check(&p, 4096, (double[]){1, 0.0753133445, 0.00567209986, 0.000427184811, 4.44507144e-05}, 1);
    assert_int_equal(rope_class(&p, 2048), 0);
    assert_int_equal(rope_class(&p, 2049), 2049);
}

static void test_yarn(void **state)
{
    (void)state;
    struct rope_params p = params(ROPE_YARN, 1e6, 128);
    p.factor = 4;
    p.n_ctx_orig = 32768;
    check(&p, 1, (double[]){1, 0.0316227766, 0.000602941176, 7.90569415e-06, 3.1023444e-07},
          1.13862944);
    p = params(ROPE_YARN, 1e4, 64);
    p.factor = 40;
    p.n_ctx_orig = 4096;
    p.mscale = 0.707;
    p.mscale_all_dim = 0.5;
    check(&p, 1, (double[]){1, 0.1, 0.0055, 2.5e-05, 3.33380358e-06}, 1.0644689);
    p.attn_factor = 1.25;
    check(&p, 1, (double[]){1, 0.1, 0.0055, 2.5e-05, 3.33380358e-06}, 1.25);
    p = params(ROPE_YARN, 150000, 64);
    p.factor = 32;
    p.n_ctx_orig = 4096;
    p.truncate = false;
    check(&p, 1, (double[]){1, 0.0508132748, 0.000456483919, 4.09997848e-06, 3.02351143e-07},
          1.34657359);
}

static void test_llama3(void **state)
{
    (void)state;
    struct rope_params p = params(ROPE_LLAMA3, 5e5, 128);
    p.factor = 8;
    p.n_ctx_orig = 8192;
    check(&p, 1, (double[]){1, 0.0376060309, 0.000524846161, 6.64786987e-06, 3.06892599e-07}, 1);
}

static void test_longrope(void **state)
{
    (void)state;
    struct rope_params p = params(ROPE_LONGROPE, 1e4, 48);
    p.factor = 32;
    p.n_ctx_orig = 4096;
    p.n_factors = 24;
    for (int i = 0; i < 24; i++) {
        p.short_factor[i] = 1 + (float)i / 8;
        p.long_factor[i] = 1 + (float)i * 2;
    }
    const double brief[] = {1, 0.0571428571, 0.004, 0.000307692308, 3.78786908e-05};
    const double extended[] = {1, 0.00769230769, 0.0004, 2.7027027e-05, 3.12297717e-06};
    check(&p, 4096, brief, 1.19023807);
    check(&p, 4097, extended, 1.19023807);
}

static void test_angles(void **state)
{
    (void)state;
    struct rope_params p = params(ROPE_PLAIN, 10000, 8);
    struct rope_freqs f;
    float c[4], s[4];
    rope_freqs(&p, 0, &f);
    rope_angles(&f, 5, c, s);
    for (int i = 0; i < 4; i++) {
        double angle = 5 * pow(10000, -i / 4.0);
        assert_true(fabs((double)c[i] - cos(angle)) < 1e-6);
        assert_true(fabs((double)s[i] - sin(angle)) < 1e-6);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linear),   cmocka_unit_test(test_dynamic),
        cmocka_unit_test(test_yarn),     cmocka_unit_test(test_llama3),
        cmocka_unit_test(test_longrope), cmocka_unit_test(test_angles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
