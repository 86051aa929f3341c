/* Decoders against transformers' float64 logits: every architecture from its Hugging Face folder
 * and from llama.cpp's GGUF of it, every quantization, a LoRA adapter. Exact mode must agree to
 * 1e-4 of a position's norm; the default mode, which rounds activations to int8, is held to bounds
 * a little above what that rounding costs. Prints the worst error of each case. */
#include "golden.h"

static const double exact_limit = 1e-4;

struct result {
    double worst, mean;
    size_t worst_at;
};

static struct engine *make_engine(const struct model *m, bool exact)
{
    struct err err;
    struct engine *e;
    struct engine_options o = {.n_threads = 2, .exact = exact};
    assert_ok(engine_new(&e, m, &o, &err));
    return e;
}

static struct result compare(struct engine *e, const struct golden *g, size_t n)
{
    struct result r = {0};
    float *out = malloc(g->n_tokens * g->vocab * sizeof *out);
    assert_non_null(out);
    run_logits(e, g->tokens, n, 256, out);
    for (size_t t = 0; t < n; t++) {
        double d = rel_error(out + t * g->vocab, g->logits + t * g->vocab, g->vocab);
        r.mean += d / (double)n;
        assert_false(isnan(d));
        if (d > r.worst) {
            r.worst = d;
            r.worst_at = t;
        }
    }
    free(out);
    return r;
}

/* Greedy ids; returns how many equal the reference before the first that differs where the
 * reference's margin is more than rounding. */
static size_t greedy(struct engine *e, const struct golden *g, int *ties)
{
    struct err err;
    int seq;
    assert_ok(engine_seq_new(e, &seq, &err));
    assert_ok(engine_prefill(e, seq, g->prompt, g->n_prompt, NULL, NULL, &err));
    size_t i = 0;
    for (; i < g->n_greedy; i++) {
        const float *l = engine_logits(e, 0);
        int32_t best = 0;
        for (size_t v = 1; v < g->vocab; v++)
            if (l[v] > l[best])
                best = (int32_t)v;
        if (best != g->greedy[i] && g->gap[i] > 1e-3)
            break;
        *ties += best != g->greedy[i];
        struct step_row row = {g->greedy[i], seq, true};
        assert_ok(engine_step(e, &row, 1, &err));
    }
    engine_seq_free(e, seq);
    return i;
}

/* n: positions to compare, 0 for all. */
static void check_model(const char *label, const char *path, const struct golden *g, size_t n,
                        double default_limit)
{
    struct err err;
    struct model *m;
    assert_ok(model_open(&m, path, NULL, &err));
    n = n ? n : g->n_tokens;
    struct engine *e = make_engine(m, true);
    struct result exact = compare(e, g, n);
    int ties = 0;
    size_t same = n == g->n_tokens && g->n_greedy ? greedy(e, g, &ties) : 0;
    engine_free(e);
    e = make_engine(m, false);
    struct result fast = compare(e, g, n);
    engine_free(e);
    model_close(m);
    print_message("%-24s exact %.2e (mean %.2e, at %2zu)  default %.2e (mean %.2e)  greedy %zu of "
                  "%zu, %d ties\n",
                  label, exact.worst, exact.mean, exact.worst_at, fast.worst, fast.mean, same,
                  g->n_greedy, ties);
    if (!(exact.worst <= exact_limit))
        fail_msg("%s: exact mode is off by %.3g at position %zu, expected at most %g", label,
                 exact.worst, exact.worst_at, exact_limit);
    if (!(fast.mean <= default_limit))
        fail_msg("%s: default mode is off by %.3g on average, expected at most %g", label,
                 fast.mean, default_limit);
    if (n == g->n_tokens && same != g->n_greedy)
        fail_msg("%s: greedy id %zu differs", label, same);
}

static const struct decoder {
    const char *name;
    bool hf_here, gguf_here; /* in this repository */
    size_t gguf_n;           /* positions that GGUF can reproduce; 0: all */
    double limit;            /* default mode, mean */
} decoders[] = {
    {"llama2", true, false, 0, 0.002},
    {"llama32", false, true, 0, 0.002},
    {"codellama", false, false, 0, 0.002},
    /* llama.cpp's converter drops Mistral's window of 16 */
    {"mistral", true, false, 16, 0.002},
    {"mixtral", false, true, 0, 0.002},
    {"qwen2", true, false, 0, 0.002},
    {"qwen3", true, false, 0, 0.002},
    {"phi3", true, false, 0, 0.002},
    {"gemma2", true, false, 0, 0.002},
    {"smollm3", true, false, 0, 0.002},
};
enum { DECODERS = sizeof decoders / sizeof *decoders };

static void load_hf_golden(struct golden *g, const char *name)
{
    char json[512], logits[512];
    golden_load(g, golden_path(json, "hf/%s/golden.json", name),
                golden_path(logits, "hf/%s/logits.f32", name));
}

static void test_hf_folders(void **state)
{
    (void)state;
    char path[512];
    for (int i = 0; i < DECODERS; i++) {
        const struct decoder *d = &decoders[i];
        if (!d->hf_here && !golden_all())
            continue;
        struct golden g;
        load_hf_golden(&g, d->name);
        check_model(d->name, golden_path(path, "hf/%s", d->name), &g, 0, d->limit);
        golden_free(&g);
    }
}

static void test_gguf_files(void **state)
{
    (void)state;
    char path[512], label[64];
    for (int i = 0; i < DECODERS; i++) {
        const struct decoder *d = &decoders[i];
        if (!d->gguf_here && !golden_all())
            continue;
        struct golden g;
        load_hf_golden(&g, d->name);
        snprintf(label, sizeof label, "%s.gguf", d->name);
        check_model(label, golden_path(path, "gguf/%s-bf16.gguf", d->name), &g, d->gguf_n,
                    d->limit);
        golden_free(&g);
    }
}

static void test_quantized_files(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool here;
    } cases[] = {{"Q8_0", 0}, {"Q4_0", 0},   {"Q4_1", 0},   {"Q5_0", 0},   {"Q5_1", 0},
                 {"Q2_K", 1}, {"Q3_K_M", 0}, {"Q4_K_S", 0}, {"Q4_K_M", 0}, {"Q5_K_M", 0},
                 {"Q6_K", 0}, {"IQ4_NL", 0}, {"IQ4_XS", 0}};
    char json[512], path[512], label[64];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (!cases[i].here && !golden_all())
            continue;
        struct golden g;
        golden_load(&g, golden_path(json, "quant/golden.json", ""),
                    golden_path(path, "quant/llama2-%s.logits.f32", cases[i].name));
        snprintf(label, sizeof label, "llama2-%s.gguf", cases[i].name);
        check_model(label, golden_path(path, "quant/llama2-%s.gguf", cases[i].name), &g, 0, 0.035);
        golden_free(&g);
    }
}

static void check_lora(const char *label, const char *base, const struct golden *plain)
{
    struct err err;
    char adapter[512], logits[512];
    struct golden g = *plain;
    golden_path(adapter, "hf/%s", "llama2_lora");
    golden_logits(&g, golden_path(logits, "hf/%s/logits.f32", "llama2_lora"));
    struct model *m;
    struct lora *l;
    assert_ok(model_open(&m, base, NULL, &err));
    assert_ok(lora_open(&l, m, adapter, &err));
    struct engine *e = make_engine(m, true);
    float one = 1, halves[2] = {0.5f, 0.5f};
    assert_ok(engine_set_loras(e, &l, &one, 1, &err));
    struct result with = compare(e, &g, g.n_tokens);
    struct lora *twice[2] = {l, l};
    assert_ok(engine_set_loras(e, twice, halves, 2, &err));
    struct result split = compare(e, &g, g.n_tokens);
    assert_ok(engine_set_loras(e, NULL, NULL, 0, &err));
    struct result without = compare(e, plain, plain->n_tokens);
    print_message("%-24s adapter %.2e, as two halves %.2e, taken off %.2e\n", label, with.worst,
                  split.worst, without.worst);
    assert_true(with.worst <= exact_limit);
    assert_true(split.worst <= exact_limit);
    assert_true(without.worst <= exact_limit);
    engine_free(e);
    lora_close(l);
    model_close(m);
    golden_free(&g);
}

static void test_lora(void **state)
{
    (void)state;
    struct golden g;
    char path[512];
    load_hf_golden(&g, "llama2");
    check_lora("llama2 + lora", golden_path(path, "hf/%s", "llama2"), &g);
    if (golden_all())
        check_lora("llama2.gguf + lora", golden_path(path, "gguf/%s-bf16.gguf", "llama2"), &g);
    golden_free(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hf_folders),
        cmocka_unit_test(test_gguf_files),
        cmocka_unit_test(test_quantized_files),
        cmocka_unit_test(test_lora),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
