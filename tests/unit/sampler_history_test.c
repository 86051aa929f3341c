/* Steps that look back (penalties, DRY) against the plainest form of their definitions, and every
 * step against llama.cpp's own cases. */
#include "base/rng.h"
#include "sampler_support.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(penalties_change_what_they_say),
        cmocka_unit_test(penalty_window_slides),
        cmocka_unit_test(definitions_are_llama_cpp_s),
        cmocka_unit_test(dry_penalizes_repetitions),
        cmocka_unit_test(dry_breakers_span_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
