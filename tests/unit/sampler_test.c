/* The sampler against a plain reference (sort everything, libm, double), against known
 * distributions, and on hostile logits. */
#include "base/clock.h"
#include "base/detmath.h"
#include "base/rng.h"
#include "sampler_support.h"

/* Sum of 12 uniforms: near enough to a normal distribution for logits. */
static void random_logits(struct rng *r, float *z, size_t n, float spread)
{
    for (size_t i = 0; i < n; i++) {
        double x = -6;
        for (int k = 0; k < 12; k++)
            x += rng_uniform(r);
        z[i] = spread * (float)x;
    }
}

/* ---- the reference ---- */

struct ref {
    int32_t id;
    double z, p;
    double score;
};

static int by_z(const void *a, const void *b)
{
    const struct ref *x = a, *y = b;
    return x->z > y->z ? -1 : x->z < y->z ? 1 : x->id < y->id ? -1 : 1;
}

static int by_score(const void *a, const void *b)
{
    const struct ref *x = a, *y = b;
    return x->score < y->score ? -1 : x->score > y->score ? 1 : x->id < y->id ? -1 : 1;
}

static int by_id(const void *a, const void *b)
{
    const struct ref *x = a, *y = b;
    return x->id < y->id ? -1 : 1;
}

static void ref_softmax(struct ref *r, size_t n)
{
    double total = 0, max = -HUGE_VAL;
    for (size_t i = 0; i < n; i++)
        max = r[i].z > max ? r[i].z : max;
    for (size_t i = 0; i < n; i++)
        total += r[i].p = exp(r[i].z - max);
    for (size_t i = 0; i < n; i++)
        r[i].p /= total;
}

static size_t ref_cut(struct ref *r, size_t n, const struct sampler_params *p)
{
    qsort(r, n, sizeof *r, by_z);
    if (p->top_k > 0 && n > (size_t)p->top_k)
        n = (size_t)p->top_k;
    if (p->typical_p < 1) {
        ref_softmax(r, n);
        double entropy = 0, sum = 0;
        for (size_t i = 0; i < n; i++)
            entropy -= r[i].p * log(r[i].p);
        for (size_t i = 0; i < n; i++)
            r[i].score = fabs(-log(r[i].p) - entropy);
        qsort(r, n, sizeof *r, by_score);
        for (size_t i = 0; i < n; i++)
            if ((sum += r[i].p) > p->typical_p) {
                n = i + 1;
                break;
            }
    }
    qsort(r, n, sizeof *r, by_z);
    if (p->top_p < 1) {
        ref_softmax(r, n);
        double sum = 0;
        for (size_t i = 0; i < n; i++)
            if ((sum += r[i].p) >= p->top_p) {
                n = i + 1;
                break;
            }
    }
    if (p->min_p > 0) {
        size_t m = 0;
        while (m < n && r[m].z >= r[0].z + log(p->min_p))
            m++;
        n = m;
    }
    if (p->xtc_probability >= 1) {
        ref_softmax(r, n);
        size_t above = 0;
        while (above < n && r[above].p >= p->xtc_threshold)
            above++;
        if (above > 1) {
            memmove(r, r + above - 1, (n - above + 1) * sizeof *r);
            n -= above - 1;
        }
    }
    for (size_t i = 0; i < n; i++)
        r[i].z /= p->temperature;
    ref_softmax(r, n);
    qsort(r, n, sizeof *r, by_id);
    return n;
}

static void check_cut(const struct sampler_params *p, const float *z, size_t n_vocab)
{
    struct ref *r = calloc(n_vocab, sizeof *r);
    for (size_t i = 0; i < n_vocab; i++)
        r[i] = (struct ref){.id = (int32_t)i, .z = (double)z[i]};
    size_t n = ref_cut(r, n_vocab, p);
    struct sampler *s = make(p, n_vocab);
    int32_t t = sampler_pick(s, z, NULL, 0, NULL);
    assert_in_range(t, 0, n_vocab - 1);
    assert_int_equal(s->cand.n, n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(s->cand.id[i], r[i].id);
        assert_true(fabs((double)s->cand.w[i] / s->cand.total - r[i].p) < 1e-6);
    }
    sampler_free(s);
    free(r);
}

static void cuts_are_the_reference_s(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 1);
    static float z[5000];
    static const size_t sizes[] = {1, 2, 17, 100, 1500, 5000};
    static const int64_t ks[] = {0, 1, 2, 40, 1024, 1025, 3000, 6000};
    static const double ps[] = {0, 0.01, 0.3, 0.9, 0.95, 0.999, 1};
    for (int trial = 0; trial < 600; trial++) {
        size_t n = sizes[rng_next(&r) % 6];
        random_logits(&r, z, n, trial % 3 == 0 ? 0.3f : trial % 3 == 1 ? 2.0f : 8.0f);
        struct sampler_params p = off;
        p.seed = (uint64_t)trial;
        p.top_k = trial & 1 ? ks[rng_next(&r) % 8] : 0;
        p.top_p = trial & 2 ? ps[rng_next(&r) % 7] : 1;
        p.min_p = trial & 4 ? ps[rng_next(&r) % 7] : 0;
        p.typical_p = trial & 8 ? ps[rng_next(&r) % 7] : 1;
        p.xtc_probability = trial & 16 ? 1 : 0;
        p.xtc_threshold = 0.02;
        p.temperature = trial & 32 ? 0.3 + rng_uniform(&r) : 1;
        check_cut(&p, z, n);
    }
}

static void ties_go_to_the_lower_id(void **state)
{
    (void)state;
    float z[100];
    for (int i = 0; i < 100; i++)
        z[i] = (float)(i % 4);
    struct sampler_params p = off;
    p.top_k = 30; /* 25 threes, and the first 5 twos */
    struct sampler *s = make(&p, 100);
    sampler_pick(s, z, NULL, 0, NULL);
    assert_int_equal(s->cand.n, 30);
    for (int i = 0, twos = 0; i < 30; i++) {
        int id = s->cand.id[i];
        assert_true(id % 4 == 3 || (id % 4 == 2 && ++twos <= 5 && id < 20));
    }
    sampler_free(s);
    p = off;
    p.temperature = 0;
    s = make(&p, 100);
    struct token_info info;
    assert_int_equal(sampler_pick(s, z, NULL, 0, &info), 3);
    assert_true(info.margin == 0.0f);
    sampler_free(s);
    memset(z, 0, sizeof z);
    p = off;
    p.top_p = 0.5;
    s = make(&p, 100);
    sampler_pick(s, z, NULL, 0, NULL);
    assert_int_equal(s->cand.n, 50);
    assert_int_equal(s->cand.id[49], 49);
    sampler_free(s);
}

/* Chi-square of n draws against expected probabilities. The bound is the 99.99 % quantile of
 * chi-square with k degrees of freedom (Wilson and Hilferty 1931). */
static void assert_distribution(struct sampler *s, const float *z, const double *expect, size_t n,
                                int draws)
{
    double *seen = calloc(n, sizeof *seen), chi = 0;
    int cells = 0;
    for (int i = 0; i < draws; i++)
        seen[sampler_pick(s, z, NULL, 0, NULL)]++;
    for (size_t i = 0; i < n; i++) {
        double e = expect[i] * draws;
        if (expect[i] <= 0)
            assert_true(seen[i] == 0);
        else
            chi += (seen[i] - e) * (seen[i] - e) / e, cells++;
    }
    double k = cells - 1, h = 2 / (9 * k), bound = k * pow(1 - h + 3.719 * sqrt(h), 3);
    if (chi > bound)
        fail_msg("chi-square %g with %d cells, bound %g", chi, cells, bound);
    free(seen);
}

static void draws_follow_the_distribution(void **state)
{
    (void)state;
    float z[20];
    double p[20];
    for (int t = 0; t < 4; t++) {
        static const double temperatures[] = {1, 0.5, 2, 0.8};
        double total = 0;
        struct sampler_params sp = off;
        sp.temperature = temperatures[t];
        sp.seed = 7 + (uint64_t)t;
        for (int i = 0; i < 20; i++) {
            z[i] = 0.2f * (float)((i * 7) % 20) - 2.0f;
            total += p[i] = exp((double)z[i] / sp.temperature);
        }
        for (int i = 0; i < 20; i++)
            p[i] /= total;
        struct sampler *s = make(&sp, 20);
        assert_distribution(s, z, p, 20, 40000);
        sampler_free(s);
    }
}

static void xtc_cuts_as_often_as_asked(void **state)
{
    (void)state;
    /* 0.4 0.3 0.2 0.1; threshold 0.15 leaves 0.2 and 0.1 three times in ten */
    float z[4] = {logf(0.4f), logf(0.3f), logf(0.2f), logf(0.1f)};
    double q = 0.3,
           p[4] = {0.4 * (1 - q), 0.3 * (1 - q), 0.2 * (1 - q) + q * 2 / 3, 0.1 * (1 - q) + q / 3};
    struct sampler_params sp = off;
    sp.xtc_probability = q;
    sp.xtc_threshold = 0.15;
    struct sampler *s = make(&sp, 4);
    assert_distribution(s, z, p, 4, 40000);
    sampler_free(s);
}

static void mirostat_reaches_its_surprise(void **state)
{
    (void)state;
    static float z[2000];
    for (int i = 0; i < 2000; i++)
        z[i] = -1.1f * logf((float)(i + 1)); /* Zipf */
    for (int tau = 2; tau <= 5; tau++) {
        struct sampler_params sp = off;
        sp.mirostat = 2;
        sp.mirostat_tau = tau;
        struct sampler *s = make(&sp, 2000);
        double sum = 0;
        for (int i = 0; i < 4000; i++) {
            sampler_pick(s, z, NULL, 0, NULL);
            if (i < 1000)
                continue;
            /* mu moves by eta * (surprise - tau): so the mean surprise is told by mu's drift */
            sum += s->mirostat_mu;
        }
        double mu = s->mirostat_mu;
        for (int i = 0; i < 3000; i++)
            sampler_pick(s, z, NULL, 0, NULL);
        double mean = tau - (s->mirostat_mu - mu) / (0.1 * 3000);
        assert_true(fabs(mean - tau) < 0.05);
        assert_true(sum / 3000 > tau);
        sampler_free(s);
    }
}

static void info_is_the_model_s_own(void **state)
{
    (void)state;
    static float z[3001];
    struct rng r;
    rng_seed(&r, 5);
    random_logits(&r, z, 3001, 4);
    z[17] = -INFINITY;
    struct ref *ref = calloc(3001, sizeof *ref);
    for (int i = 0; i < 3001; i++)
        ref[i] = (struct ref){.id = i, .z = (double)z[i]};
    ref_softmax(ref, 3001);
    double entropy = 0;
    for (int i = 0; i < 3001; i++)
        entropy -= ref[i].p > 0 ? ref[i].p * log(ref[i].p) : 0;
    struct sampler_params sp = sampler_defaults;
    struct logit_bias bias = {42, 100.0f};
    sp.bias = &bias;
    sp.n_bias = 1;
    sp.n_top = 5;
    struct sampler *s = make(&sp, 3001);
    struct token_info info;
    assert_int_equal(sampler_pick(s, z, NULL, 0, &info), 42); /* forced by the bias */
    assert_int_equal(info.token, 42);
    assert_true(fabs((double)info.logprob - log(ref[42].p)) < 1e-5);
    assert_true(fabs((double)info.entropy - entropy) < 1e-5);
    qsort(ref, 3001, sizeof *ref, by_z);
    assert_true(fabs((double)info.margin - (ref[0].z - ref[1].z)) < 1e-5);
    assert_int_equal(info.n_top, 5);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(info.top[i].token, ref[i].id);
        assert_true(fabs((double)info.top[i].logprob - log(ref[i].p)) < 1e-5);
    }
    sampler_free(s);
    free(ref);
}

static void hostile_logits_have_a_defined_end(void **state)
{
    (void)state;
    float z[40], all_low[40], all_nan[40];
    for (int i = 0; i < 40; i++) {
        z[i] = i % 2 ? NAN : -INFINITY;
        all_low[i] = -INFINITY;
        all_nan[i] = NAN;
    }
    static const double temperatures[] = {0, 0.8, 1e-30};
    for (int t = 0; t < 3; t++)
        for (int k = 0; k < 2; k++) {
            struct sampler_params sp = sampler_defaults;
            sp.temperature = temperatures[t];
            sp.top_k = k ? 40 : 0;
            sp.typical_p = 0.9;
            sp.n_top = 3;
            struct sampler *s = make(&sp, 40);
            struct token_info info;
            assert_int_equal(sampler_pick(s, all_low, NULL, 0, &info), -1);
            assert_int_equal(info.n_top, 0);
            assert_int_equal(sampler_pick(s, all_nan, NULL, 0, &info), -1);
            assert_int_equal(sampler_pick(s, z, NULL, 0, &info), -1);
            z[5] = -3e38f;
            assert_int_equal(sampler_pick(s, z, NULL, 0, &info), 5);
            assert_true(info.logprob == 0.0f && info.margin == INFINITY);
            z[20] = INFINITY;
            assert_int_equal(sampler_pick(s, z, NULL, 0, &info), 20);
            int32_t banned[] = {20, -7, 1000};
            assert_int_equal(sampler_pick(s, z, banned, 3, &info), 5);
            assert_true(info.logprob == -INFINITY || info.logprob < -1e30f);
            int32_t every[] = {20, 5};
            assert_int_equal(sampler_pick(s, z, every, 2, &info), -1);
            z[5] = NAN;
            z[20] = -INFINITY;
            sampler_free(s);
        }
    /* two infinities are equally likely */
    struct sampler_params sp = off;
    struct sampler *s = make(&sp, 40);
    z[3] = z[4] = INFINITY;
    double expect[40] = {[3] = 0.5, [4] = 0.5};
    assert_distribution(s, z, expect, 40, 1000);
    sampler_free(s);
}

static void ranges_are_told(void **state)
{
    (void)state;
    struct err err = {0};
    struct sampler *s;
    struct sampler_params p = sampler_defaults;
    assert_ok(sampler_check(&p, &err));
    p.top_p = (double)NAN;
    assert_int_equal(sampler_check(&p, &err), EUSAGE);
    assert_string_equal(err.msg, "top_p: nan, expected 0 to 1");
    p = sampler_defaults;
    p.temperature = -1;
    assert_int_equal(sampler_new(&s, &p, 10, NULL, NULL, &err), EUSAGE);
    assert_string_equal(err.msg, "temperature: -1, expected 0 to 1000");
    assert_null(s);
    p = sampler_defaults;
    p.mirostat = 1;
    assert_int_equal(sampler_check(&p, &err), EUSAGE);
    assert_string_equal(err.msg, "mirostat: 1, expected 0 (off) or 2");
    p = sampler_defaults;
    p.n_top = TOP_MAX + 1;
    assert_int_equal(sampler_check(&p, &err), EUSAGE);
    struct logit_bias bias = {10, 1};
    p = sampler_defaults;
    p.bias = &bias;
    p.n_bias = 1;
    assert_int_equal(sampler_new(&s, &p, 10, NULL, NULL, &err), EUSAGE);
    assert_string_equal(err.msg, "logit bias: token 10, expected 0 to 9");
    bias.bias = INFINITY;
    assert_int_equal(sampler_check(&p, &err), EUSAGE);
    struct str empty = STR("");
    p = sampler_defaults;
    p.dry_multiplier = 1;
    p.dry_breakers = &empty;
    p.n_dry_breakers = 1;
    assert_int_equal(sampler_new(&s, &p, 10, letter_text, NULL, &err), EUSAGE);
}

static void same_seed_same_tokens(void **state)
{
    (void)state;
    static float z[1000];
    struct rng r;
    rng_seed(&r, 9);
    random_logits(&r, z, 1000, 1);
    struct sampler_params p = sampler_defaults;
    p.seed = 123;
    p.xtc_probability = 0.5;
    p.repetition_penalty = 1.1;
    struct sampler *a = make(&p, 1000), *b = make(&p, 1000);
    p.seed = 124;
    struct sampler *c = make(&p, 1000);
    int differ = 0;
    uint64_t hash = 0;
    for (int i = 0; i < 200; i++) {
        struct token_info info;
        int32_t x = sampler_pick(a, z, NULL, 0, NULL), y = sampler_pick(b, z, NULL, 0, &info);
        assert_int_equal(x, y);
        differ += x != sampler_pick(c, z, NULL, 0, NULL);
        sampler_accept(a, x);
        sampler_accept(b, x);
        sampler_accept(c, x);
        hash = hash * 31 + (uint64_t)x;
    }
    assert_true(differ > 100);
    assert_true(hash == 0xd704792ee360c2e5u); /* on every machine and compiler */
    sampler_free(a);
    sampler_free(b);
    sampler_free(c);
}

static void det_math_is_accurate(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 2);
    for (int i = 0; i < 100000; i++) {
        double x = exp(1400 * rng_uniform(&r) - 700);
        assert_true(fabs(det_log(x) - log(x)) <= 4e-16 * fabs(log(x)) + 1e-16);
    }
    assert_true(isinf(det_log(0)) && isinf(det_log(-1)) && fabs(det_log(1)) < 1e-300);
    float z[999], w[999];
    for (int i = 0; i < 999; i++)
        z[i] = -88.0f * (float)rng_uniform(&r);
    z[0] = 0;
    double total = det_exp_row(w, z, 999, 0, 1), want = 0;
    for (int i = 0; i < 999; i++) {
        double e = exp((double)z[i]);
        want += e;
        assert_true(fabs((double)w[i] - e) <= 2e-7 * e || (z[i] < -87 && w[i] == 0));
    }
    assert_true(w[0] == 1.0f);
    assert_true(fabs(total - want) < 1e-6 * want);
}

/* Printed, not judged: the machine is shared. */
static void time_a_step(void **state)
{
    (void)state;
    enum { V = 128256, REPS = 20 };
    float *z = calloc(V, sizeof *z);
    struct rng r;
    rng_seed(&r, 4);
    random_logits(&r, z, V, 2.5f);
    struct sampler_params defaults = sampler_defaults, greedy = off, plain = off, all, warm = off;
    greedy.temperature = 0;
    plain.top_p = 0.95;
    warm.temperature = 0.7;
    all = defaults;
    all.repetition_penalty = 1.1;
    all.dry_multiplier = 0.8;
    const struct {
        const char *name;
        const struct sampler_params *p;
        bool info;
    } rows[] = {
        {"greedy", &greedy, false},
        {"greedy+info", &greedy, true},
        {"defaults", &defaults, false},
        {"defaults+info", &defaults, true},
        {"top-p alone", &plain, false},
        {"temperature alone", &warm, false},
        {"defaults, penalties, dry", &all, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sampler *s = make(rows[i].p, V);
        for (int k = 0; k < 1000; k++)
            sampler_accept(s, k % 37);
        double best = 1;
        for (int k = 0; k < REPS; k++) {
            struct token_info info;
            int64_t start = clock_ns();
            sampler_accept(s, sampler_pick(s, z, NULL, 0, rows[i].info ? &info : NULL));
            double t = clock_since(start);
            best = t < best ? t : best;
        }
        print_message("%-26s %.3f ms a step of %d logits\n", rows[i].name, best * 1e3, V);
        sampler_free(s);
    }
    free(z);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(det_math_is_accurate),
        cmocka_unit_test(cuts_are_the_reference_s),
        cmocka_unit_test(ties_go_to_the_lower_id),
        cmocka_unit_test(draws_follow_the_distribution),
        cmocka_unit_test(xtc_cuts_as_often_as_asked),
        cmocka_unit_test(mirostat_reaches_its_surprise),
        cmocka_unit_test(info_is_the_model_s_own),
        cmocka_unit_test(hostile_logits_have_a_defined_end),
        cmocka_unit_test(ranges_are_told),
        cmocka_unit_test(same_seed_same_tokens),
        cmocka_unit_test(time_a_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
