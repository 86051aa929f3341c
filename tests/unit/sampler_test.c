/* The sampler against a plain reference (sort everything, libm, double), against known
 * distributions, and on hostile logits. */
#include "base/clock.h"
#include "base/detmath.h"
#include "base/rng.h"
#include "engine/sampler.h"
#include "engine/sampler_int.h"
#include "support.h"
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct sampler_params off = {
    .temperature = 1,
    .top_p = 1,
    .typical_p = 1,
    .repetition_penalty = 1,
    .penalty_last_n = 64,
    .dry_base = 1.75,
    .dry_allowed_length = 2,
    .dry_penalty_last_n = -1,
    .xtc_threshold = 0.1,
    .mirostat_tau = 5,
    .mirostat_eta = 0.1,
};

static struct sampler *make(const struct sampler_params *p, size_t n)
{
    struct sampler *s;
    struct err err = {0};
    assert_ok(sampler_new(&s, p, n, NULL, NULL, &err));
    return s;
}

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

static void penalties_change_what_they_say(void **state)
{
    (void)state;
    float z[6] = {2, -2, 1, 3, 0.5f, NAN};
    struct sampler_params sp = off;
    sp.repetition_penalty = 2;
    sp.frequency_penalty = 0.25;
    sp.presence_penalty = 0.125;
    sp.penalty_last_n = 4;
    struct sampler *s = make(&sp, 6);
    static const int32_t said[] = {3, 3, 0, 1, 5, 1}; /* the window holds 0 1 5 1 */
    for (int i = 0; i < 6; i++)
        sampler_accept(s, said[i]);
    sampler_accept(s, -1); /* no token: nothing happens */
    sampler_accept(s, 6);
    sampler_pick(s, z, NULL, 0, NULL);
    static const float expect[] = {1 - 0.375f, -4 - 0.625f, 1, 3, 0.5f};
    assert_memory_equal(s->work, expect, sizeof expect);
    assert_int_equal(s->cand.n, 5);
    assert_true(z[0] == 2); /* the model's logits are as they were */
    sampler_free(s);
}

/* Counts over long random histories equal a recount of the window, for windows of every kind. */
static void penalty_window_slides(void **state)
{
    (void)state;
    enum { V = 50, N = 5000 };
    static int32_t said[N];
    struct rng r;
    rng_seed(&r, 3);
    for (int i = 0; i < N; i++)
        said[i] = (int32_t)(rng_next(&r) % V);
    static const int64_t windows[] = {1, 2, 63, 64, 300, -1};
    for (int w = 0; w < 6; w++)
        for (int dry = 0; dry < 2; dry++) {
            struct sampler_params sp = off;
            sp.frequency_penalty = 1;
            sp.penalty_last_n = windows[w];
            sp.dry_multiplier = dry;
            sp.dry_penalty_last_n = dry ? 100 : 0;
            struct sampler *s = make(&sp, V);
            for (int i = 0; i < N; i++) {
                sampler_accept(s, said[i]);
                if (i % 97 && i != N - 1)
                    continue;
                int32_t count[V] = {0};
                for (int k = i; k >= 0 && (windows[w] < 0 || i - k < windows[w]); k--)
                    count[said[k]]++;
                assert_memory_equal(count, s->hist.count, sizeof count);
            }
            sampler_free(s);
        }
}

/* ---- llama.cpp ---- */

static struct str row_text(const void *ctx, int32_t token)
{
    (void)ctx;
    return token == 3 ? STR("\n") : STR("a");
}

/* The cases of llama.cpp's tests/test-sampling.cpp for the steps that both have: probabilities,
 * history, parameters, and what is left (0: cut or next to nothing), within its 1e-5. */
static void definitions_are_llama_cpp_s(void **state)
{
    (void)state;
    static const struct {
        float p[5], want[5];
        int32_t said[8];
        int n_said;
        struct sampler_params with; /* fields that are 0 are taken from `off` */
    } rows[] = {
        {{.1f, .2f, .3f, .4f}, {0, 0, 0, 1}, .with = {.top_k = 1}},
        {{.1f, .2f, .3f, .4f}, {0, .22222f, .33333f, .44444f}, .with = {.top_k = 3}},
        {{.1f, .2f, .3f, .4f}, {.1f, .2f, .3f, .4f}, .with = {.top_k = 4}},
        {{.1f, .2f, .3f, .4f}, {0, 0, 0, 1}, .with = {.top_p = 1e-9}},
        {{.1f, .2f, .3f, .4f}, {0, 0, .428571f, .571429f}, .with = {.top_p = 0.69}},
        {{.1f, .2f, .3f, .4f}, {0, .22222f, .33333f, .44444f}, .with = {.top_p = 0.8}},
        {{.1f, .2f, .3f, .4f}, {.1f, .2f, .3f, .4f}, .with = {.min_p = 0.24}},
        {{.1f, .2f, .3f, .4f}, {0, .2f / .9f, .3f / .9f, .4f / .9f}, .with = {.min_p = 0.26}},
        {{.1f, .2f, .3f, .4f}, {0, .2f / .9f, .3f / .9f, .4f / .9f}, .with = {.min_p = 0.49}},
        {{.1f, .2f, .3f, .4f}, {0, 0, .3f / .7f, .4f / .7f}, .with = {.min_p = 0.51}},
        {{.1f, .2f, .3f, .4f}, {0, 0, .3f / .7f, .4f / .7f}, .with = {.min_p = 0.74}},
        {{.1f, .2f, .3f, .4f}, {0, 0, 0, 1}, .with = {.min_p = 0.76}},
        {{.1f, .2f, .3f, .4f}, {0, 0, 0, 1}, .with = {.min_p = 1}},
        {{.4f, .3f, .2f, .1f}, {0, 0, 0, 1}, .with = {.xtc_probability = 1, .xtc_threshold = 0.09}},
        {{.4f, .3f, .2f, .1f},
         {0, 0, .2f / .3f, .1f / .3f},
         .with = {.xtc_probability = 1, .xtc_threshold = 0.19}},
        {{.4f, .3f, .2f, .1f},
         {0, .5f, .2f / .6f, .1f / .6f},
         .with = {.xtc_probability = 1, .xtc_threshold = 0.29}},
        {{.4f, .3f, .2f, .1f},
         {.4f, .3f, .2f, .1f},
         .with = {.xtc_probability = 1, .xtc_threshold = 0.39}},
        {{.97f, .01f, .01f, .01f}, {1, 0, 0, 0}, .with = {.typical_p = 0.5}},
        {{.4f, .2f, .2f, .2f}, {0, .33333f, .33333f, .33333f}, .with = {.typical_p = 0.5}},
        {{.2f, .2f, .2f, .2f, .2f},
         {0, .25f, .25f, .25f, .25f},
         {0},
         1,
         {.repetition_penalty = 50}},
        {{.2f, .2f, .2f, .2f, .2f},
         {0, 0, 0, .5f, .5f},
         {0, 1, 2, 0, 0},
         5,
         {.repetition_penalty = 50}},
        {{.2f, .2f, .2f, .2f, .2f},
         {.000011f, .249997f, .249997f, .249997f, .249997f},
         {0},
         1,
         {.frequency_penalty = 5, .presence_penalty = 5}},
        {{.2f, .2f, .2f, .2f, .2f},
         {.000023f, .000023f, .000023f, .499966f, .499966f},
         {0, 1, 2},
         3,
         {.frequency_penalty = 5, .presence_penalty = 5}},
        {{.2f, .2f, .2f, .2f, .2f},
         {0, .000023f, .000023f, .499977f, .499977f},
         {0, 1, 2, 0, 0},
         5,
         {.frequency_penalty = 5, .presence_penalty = 5}},
        {{.25f, .25f, .25f, .25f},
         {.25f, .25f, .25f, .25f},
         {0, 1},
         2,
         {.dry_multiplier = 1, .dry_base = 1.1}},
        {{.25f, .25f, .25f, .25f},
         {.296923f, .296923f, .109232f, .296923f},
         {0, 1, 2, 0, 1},
         5,
         {.dry_multiplier = 1, .dry_base = 1.1}},
        {{.2f, .2f, .2f, .2f, .2f},
         {.2f, .2f, .2f, .2f, .2f},
         {0, 1, 3, 4, 0, 1},
         6,
         {.dry_multiplier = 1, .dry_base = 1.1}},
        {{.2f, .2f, .2f, .2f, .2f},
         {.241818f, .241818f, .032727f, .241818f, .241818f},
         {0, 1, 2, 0, 1},
         5,
         {.dry_multiplier = 2, .dry_base = 1.1}},
        {{.2f, .2f, .2f, .2f, .2f},
         {.2f, .2f, .2f, .2f, .2f},
         {0, 1, 2, 3, 4, 0, 1},
         7,
         {.dry_multiplier = 1, .dry_base = 1.1, .dry_allowed_length = 4}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sampler_params p = rows[i].with;
        double *const ones[] = {&p.top_p, &p.typical_p, &p.repetition_penalty, &p.dry_base};
        for (int k = 0; k < 4; k++)
            *ones[k] = *ones[k] > 0 ? *ones[k] : 1;
        p.temperature = 1;
        p.penalty_last_n = rows[i].n_said;
        p.dry_penalty_last_n = rows[i].n_said;
        p.dry_allowed_length = p.dry_allowed_length ? p.dry_allowed_length : 2;
        size_t n = rows[i].p[4] > 0 ? 5 : 4;
        float z[5], left[5] = {0};
        struct sampler *s;
        struct err err = {0};
        assert_ok(sampler_new(&s, &p, n, row_text, NULL, &err));
        for (size_t k = 0; k < n; k++)
            z[k] = logf(rows[i].p[k]);
        for (int k = 0; k < rows[i].n_said; k++)
            sampler_accept(s, rows[i].said[k]);
        sampler_pick(s, z, NULL, 0, NULL);
        for (size_t k = 0; k < s->cand.n; k++)
            left[s->cand.id[k]] = (float)((double)s->cand.w[k] / s->cand.total);
        for (size_t k = 0; k < n; k++)
            if (!(fabsf(left[k] - rows[i].want[k]) < 1e-5f))
                fail_msg("row %zu, token %zu: %g, expected %g", i, k, (double)left[k],
                         (double)rows[i].want[k]);
        sampler_free(s);
    }
}

/* ---- DRY ---- */

static struct str letter_text(const void *ctx, int32_t token)
{
    const char *const *text = ctx;
    return str_from(text[token]);
}

/* The definition in the plainest way: every earlier place, longest common suffix by comparing. */
static double dry_reference(const int32_t *h, int n, int32_t token, const struct sampler_params *p,
                            int limit)
{
    int best = -1;
    for (int end = 0; end < n - 1; end++) {
        if (h[end + 1] != token)
            continue;
        int len = 0;
        while (len <= end && len < limit && h[end - len] == h[n - 1 - len])
            len++;
        best = len > best ? len : best;
    }
    if (n <= p->dry_allowed_length || best < p->dry_allowed_length)
        return 0;
    return p->dry_multiplier * pow(p->dry_base, (double)(best - p->dry_allowed_length));
}

static void dry_penalizes_repetitions(void **state)
{
    (void)state;
    enum { V = 5 };
    static const char *const text[V] = {"a", "b", "c\n", "d", "e"};
    struct rng r;
    rng_seed(&r, 11);
    for (int trial = 0; trial < 300; trial++) {
        struct sampler_params sp = off;
        sp.dry_multiplier = 0.8;
        sp.dry_base = 1.1;
        sp.dry_allowed_length = trial % 4;
        sp.dry_penalty_last_n = trial % 3 ? -1 : 20;
        struct sampler *s;
        struct err err = {0};
        bool breakers = trial % 2;
        assert_ok(sampler_new(&s, &sp, V, breakers ? letter_text : NULL, text, &err));
        int32_t h[200];
        int n = 1 + (int)(rng_next(&r) % 200), alphabet = 2 + (int)(rng_next(&r) % 4);
        for (int i = 0; i < n; i++)
            sampler_accept(s, h[i] = (int32_t)(rng_next(&r) % (uint64_t)alphabet));
        float z[V] = {10, 10, 10, 10, 10};
        sampler_pick(s, z, NULL, 0, NULL);
        int from = sp.dry_penalty_last_n > 0 && n > 20 ? n - 20 : 0, limit = n - from;
        for (int i = n - 1; breakers && i >= from; i--)
            if (h[i] == 2) {
                limit = n - 1 - i;
                break;
            }
        for (int t = 0; t < V; t++) {
            double want = dry_reference(h + from, n - from, t, &sp, limit);
            if ((breakers && t == 2) || limit < sp.dry_allowed_length)
                want = 0;
            assert_true(fabs((double)z[t] - want - (double)s->work[t]) < 1e-4 * (1 + want));
        }
        sampler_free(s);
    }
}

/* "<br>" cut into two and three tokens, or inside one, is one breaker. */
static void dry_breakers_span_tokens(void **state)
{
    (void)state;
    static const char *const text[] = {"a", "b", "<b", "r>", "r", ">", "x<br>y", "<"};
    static const struct {
        int32_t h[12];
        int n;
        bool penalized; /* token 1 after ... 0 */
    } rows[] = {
        {{0, 0, 1, 3, 0, 0}, 6, true},        {{0, 0, 1, 2, 3, 0, 0}, 7, true},
        {{0, 0, 1, 0, 2, 3, 0}, 7, false},    {{0, 0, 1, 0, 2, 4, 5, 0}, 8, false},
        {{0, 0, 1, 0, 6, 0}, 6, false},       {{0, 0, 1, 2, 2, 3, 0, 0}, 8, true},
        {{0, 0, 1, 0, 7, 2, 3, 0}, 8, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sampler_params sp = off;
        struct str br = STR("<br>");
        struct err err = {0};
        struct sampler *s;
        sp.dry_multiplier = 1;
        sp.dry_breakers = &br;
        sp.n_dry_breakers = 1;
        assert_ok(sampler_new(&s, &sp, 8, letter_text, text, &err));
        for (int k = 0; k < rows[i].n; k++)
            sampler_accept(s, rows[i].h[k]);
        float z[8] = {0};
        sampler_pick(s, z, NULL, 0, NULL);
        assert_int_equal(s->work[1] < 0, rows[i].penalized);
        sampler_free(s);
    }
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
        cmocka_unit_test(penalties_change_what_they_say),
        cmocka_unit_test(penalty_window_slides),
        cmocka_unit_test(definitions_are_llama_cpp_s),
        cmocka_unit_test(dry_penalizes_repetitions),
        cmocka_unit_test(dry_breakers_span_tokens),
        cmocka_unit_test(hostile_logits_have_a_defined_end),
        cmocka_unit_test(ranges_are_told),
        cmocka_unit_test(same_seed_same_tokens),
        cmocka_unit_test(time_a_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
