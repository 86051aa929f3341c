/* Perplexity and KL divergence against brute force in float64: on the reference implementation's
 * logits, and on two engines' own. Windows against the loop of Hugging Face's guide. Results that
 * depend on no thread, step or cache. */
#include "golden.h"
#include "engine/perplexity.h"
#include "engine/quantize.h"
#include <unistd.h>

static struct model *open_model(const char *path)
{
    struct err err;
    struct model *m;
    assert_ok(model_open(&m, path, NULL, &err));
    return m;
}

static struct engine *open_engine(const struct model *m, struct engine_options o)
{
    struct err err;
    struct engine *e;
    assert_ok(engine_new(&e, m, &o, &err));
    return e;
}

static struct windows cut(int64_t length, int64_t stride, const int32_t *tokens, size_t n)
{
    struct err err;
    struct windows w;
    const struct windows_cut c = {.length = length, .stride = stride};
    assert_ok(windows_make(&w, &c, tokens, n, -1, &err));
    return w;
}

/* ---- brute force ---- */

static double brute_logsum(const float *z, size_t n)
{
    double max = -1e300, sum = 0;
    for (size_t i = 0; i < n; i++)
        max = (double)z[i] > max ? (double)z[i] : max;
    for (size_t i = 0; i < n; i++)
        sum += exp((double)z[i] - max);
    return max + log(sum);
}

static size_t brute_top(const float *z, size_t n)
{
    size_t top = 0;
    for (size_t i = 1; i < n; i++)
        top = z[i] > z[top] ? i : top;
    return top;
}

static double brute_kl(const float *p, const float *q, size_t n)
{
    double lp = brute_logsum(p, n), lq = brute_logsum(q, n), sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += exp((double)p[i] - lp) * ((double)p[i] - lp - ((double)q[i] - lq));
    return sum;
}

static void near(const char *what, double got, double want, double limit)
{
    if (!(fabs(got - want) <= limit))
        fail_msg("%s is %.12g, expected %.12g", what, got, want);
}

/* ---- windows ---- */

/* The second half of each whole window, and nothing else. */
static void halves_are_scored(void **state)
{
    (void)state;
    struct err err;
    int32_t ids[11] = {0};
    struct windows w = cut(5, 0, ids, 11);
    assert_int_equal(w.n, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(w.at[i].start, 5 * i);
        assert_int_equal(w.at[i].n, 5);
        assert_int_equal(w.at[i].first, 2);
    }
    assert_int_equal(w.n_scored, 4);
    assert_int_equal(windows_total(&w), 10);
    windows_free(&w);
    struct windows_cut c = {.length = 12};
    assert_int_equal(windows_make(&w, &c, ids, 11, -1, &err), EFAIL);
    assert_non_null(strstr(err.msg, "11 tokens, expected at least 12"));
    c = (struct windows_cut){.length = 12, .stride = 13};
    assert_int_equal(windows_make(&w, &c, ids, 11, -1, &err), EUSAGE);
    c = (struct windows_cut){.length = 2};
    assert_int_equal(windows_make(&w, &c, ids, 11, -1, &err), EUSAGE);
    c = (struct windows_cut){.length = 5, .most = 1};
    assert_ok(windows_make(&w, &c, ids, 11, -1, &err));
    assert_int_equal(w.n, 1);
    windows_free(&w);
}

/* Hugging Face's loop: window [begin, end), the last end - prev_end labels, label 0 of a window
 * never predicted. */
static void strides_follow_the_guide(void **state)
{
    (void)state;
    int32_t ids[64] = {0};
    for (int64_t n = 2; n <= 40; n++)
        for (int64_t length = 2; length <= 12; length++)
            for (int64_t stride = 1; stride <= length; stride++) {
                struct windows w = cut(length, stride, ids, (size_t)n);
                size_t i = 0;
                int64_t prev_end = 0;
                for (int64_t begin = 0; begin < n; begin += stride) {
                    int64_t end = begin + length < n ? begin + length : n;
                    int64_t labels = end - prev_end;
                    labels -= labels == end - begin;
                    if (labels) {
                        assert_true(i < w.n);
                        assert_int_equal(w.at[i].start, begin);
                        assert_int_equal(w.at[i].n, end - begin);
                        assert_int_equal(w.at[i].n - 1 - w.at[i].first, labels);
                        i++;
                    }
                    prev_end = end;
                    if (end == n)
                        break;
                }
                assert_int_equal(w.n, i);
                windows_free(&w);
            }
}

/* ---- perplexity ---- */

static void check_golden(const char *name, const char *fmt)
{
    struct err err;
    struct golden g;
    struct perplexity p;
    char a[512], b[512];
    golden_load(&g, golden_path(a, "hf/%s/golden.json", name),
                golden_path(b, "hf/%s/logits.f32", name));
    struct model *m = open_model(golden_path(a, fmt, name));
    struct engine *e = open_engine(m, (struct engine_options){.exact = true});
    size_t n = g.n_tokens, first = n / 2;
    double sum = 0, sum2 = 0, count = (double)(n - 1 - first);
    for (size_t r = first; r + 1 < n; r++) {
        const float *z = g.logits + r * g.vocab;
        double nll = brute_logsum(z, g.vocab) - (double)z[g.tokens[r + 1]];
        sum += nll;
        sum2 += nll * nll;
    }
    struct windows w = cut((int64_t)n, 0, g.tokens, n);
    const struct perplexity_options o = {.engine = e};
    assert_ok(perplexity_run(&w, &o, &p, &err));
    assert_int_equal(p.n_scored, n - 1 - first);
    assert_int_equal(p.n_tokens, n);
    double mean = sum / count, error = sqrt((sum2 / count - mean * mean) / (count - 1));
    near("mean", p.nll.mean, mean, 1e-4 * mean);
    near("its error", p.nll.error, error, 1e-3 * error);
    near("perplexity", p.ppl.mean, exp(mean), 1e-3 * exp(mean));
    near("its error", p.ppl.error, exp(mean) * error, 2e-3 * exp(mean) * error);
    assert_false(p.compared);
    windows_free(&w);
    engine_free(e);
    model_close(m);
    golden_free(&g);
}

static void equals_the_reference_logits(void **state)
{
    (void)state;
    check_golden("llama32", "gguf/%s-bf16.gguf");
    check_golden("mixtral", "gguf/%s-bf16.gguf");
    check_golden("gemma2", "hf/%s");
    check_golden("qwen3", "hf/%s");
}

enum { N = 60 };

static void some_tokens(int32_t *out, size_t n, uint32_t seed, int32_t vocab)
{
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        out[i] = (int32_t)(seed >> 8) % vocab;
    }
}

/* A window's BOS stands in for its first token, and for nothing else. */
static void bos_comes_first(void **state)
{
    (void)state;
    struct err err;
    char path[512];
    struct perplexity a, b;
    int32_t ids[N], with_bos[N];
    struct model *m = open_model(golden_path(path, "gguf/%s-bf16.gguf", "llama32"));
    struct engine *e = open_engine(m, (struct engine_options){0});
    some_tokens(ids, N, 5, 512);
    memcpy(with_bos, ids, sizeof ids);
    for (int i = 0; i < N; i += 20)
        with_bos[i] = 7;
    struct windows w = cut(20, 0, ids, N), v = cut(20, 0, with_bos, N);
    w.bos = 7;
    const struct perplexity_options o = {.engine = e};
    assert_ok(perplexity_run(&w, &o, &a, &err));
    assert_ok(perplexity_run(&v, &o, &b, &err));
    assert_true(a.nll.mean == b.nll.mean);
    w.bos = -1;
    assert_ok(perplexity_run(&w, &o, &a, &err));
    assert_true(a.nll.mean != b.nll.mean);
    windows_free(&w);
    windows_free(&v);
    engine_free(e);
    model_close(m);
}

/* ---- KL ---- */

static void known_distributions(void **state)
{
    (void)state;
    int64_t top;
    double s;
    const float p[] = {logf(0.5f), logf(0.25f), logf(0.25f)};
    const float q[] = {logf(0.25f) + 9, logf(0.25f) + 9, logf(0.5f) + 9};
    double zq = row_logsum(q, 3, &top);
    near("log of a sum", zq, 9, 1e-6);
    assert_int_equal(top, 2);
    near("KL", row_kl(p, q, 3, zq, &s, &top), 0.25 * log(2), 1e-6);
    near("log of a sum", s, 0, 1e-7);
    assert_int_equal(top, 0);
    near("KL of itself", row_kl(q, q, 3, zq, &s, &top), 0, 1e-15);
    /* impossible in the reference adds nothing; impossible in the model alone is infinite */
    const float r[] = {0, -INFINITY, 0};
    near("KL", row_kl(r, q, 3, zq, &s, &top), 0.5 * log(2) + 0.5 * log(1), 1e-6);
    assert_false(isfinite(row_kl(q, r, 3, row_logsum(r, 3, &top), &s, &top)));
    const float wide[] = {1e30f, -1e30f, 0};
    near("log of a sum", row_logsum(wide, 3, &top), (double)1e30f, 0);
    near("KL", row_kl(wide, wide, 3, (double)1e30f, &s, &top), 0, 0);
    const float bad[] = {0, NAN, 1}, none[] = {-INFINITY, -INFINITY}, inf[] = {0, INFINITY};
    assert_true(isnan(row_logsum(bad, 3, &top)));
    assert_true(isnan(row_logsum(none, 2, &top)));
    assert_true(isnan(row_logsum(inf, 2, &top)));
}

/* Two models that differ: one is the other, quantized. */
struct pair {
    struct model *base, *model;
    int32_t ids[N];
    size_t vocab;
};

static void pair_open(struct pair *p)
{
    struct err err;
    char path[512];
    const char *out = temp_path("kl.gguf");
    struct model_info info;
    golden_path(path, "gguf/%s-bf16.gguf", "mixtral");
    assert_ok(quantize_file(path, out, recipe_by_name(STR("q4_0")), NULL, NULL, &err));
    p->base = open_model(path);
    p->model = open_model(out);
    unlink(out);
    model_info(p->base, &info);
    p->vocab = (size_t)info.n_vocab;
    some_tokens(p->ids, N, 3, (int32_t)p->vocab);
}

static void pair_close(struct pair *p)
{
    model_close(p->base);
    model_close(p->model);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Quantile as numpy's default: linear between neighbours. */
static double brute_quantile(const double *sorted, size_t n, double q)
{
    double at = q * (double)(n - 1), below = floor(at);
    size_t i = (size_t)below;
    return i + 1 < n ? sorted[i] * (1 - (at - below)) + sorted[i + 1] * (at - below) : sorted[i];
}

static void check_kl(const struct pair *pair, const struct perplexity *p, double limit)
{
    struct engine *a = open_engine(pair->base, (struct engine_options){.n_threads = 1});
    struct engine *b = open_engine(pair->model, (struct engine_options){.n_threads = 1});
    size_t vocab = pair->vocab, n = 0;
    float *za = malloc(N * vocab * sizeof *za), *zb = malloc(N * vocab * sizeof *zb);
    assert_non_null(za);
    assert_non_null(zb);
    double kl[N], sum = 0, sum2 = 0, base = 0, diff = 0, diff2 = 0, dp2 = 0, dp = 0;
    size_t same = 0;
    for (int start = 0; start + 20 <= N; start += 20) {
        run_logits(a, pair->ids + start, 20, 20, za);
        run_logits(b, pair->ids + start, 20, 20, zb);
        for (int r = 10; r < 19; r++) {
            const float *x = za + (size_t)r * vocab, *y = zb + (size_t)r * vocab;
            int32_t t = pair->ids[start + r + 1];
            double np = brute_logsum(x, vocab) - (double)x[t];
            double nq = brute_logsum(y, vocab) - (double)y[t], d = exp(-nq) - exp(-np);
            kl[n] = brute_kl(x, y, vocab);
            sum += kl[n];
            sum2 += kl[n] * kl[n];
            base += np;
            diff += nq - np;
            diff2 += (nq - np) * (nq - np);
            dp += d;
            dp2 += d * d;
            same += brute_top(x, vocab) == brute_top(y, vocab);
            n++;
        }
    }
    double c = (double)n;
    assert_int_equal(p->n_scored, n);
    assert_true(p->compared);
    assert_true(sum / c > 1e-4); /* or nothing is tested here */
    qsort(kl, n, sizeof *kl, by_value);
    near("KL", p->kl.kl.mean, sum / c, limit);
    near("its error", p->kl.kl.error, sqrt((sum2 / c - sum / c * (sum / c)) / (c - 1)), limit);
    near("largest KL", p->kl.max, kl[n - 1], limit);
    for (int i = 0; i < KL_QUANTILES; i++)
        near("quantile", p->kl.at[i], brute_quantile(kl, n, kl_quantile_of[i]), limit);
    near("reference", log(p->kl.base.mean), base / c, 1e-6);
    near("ratio", p->kl.ratio.mean, exp(diff / c), 1e-6);
    near("its log", p->kl.log_ratio.mean, diff / c, 1e-6);
    near("its error", p->kl.log_ratio.error, sqrt((diff2 / c - diff / c * (diff / c)) / (c - 1)),
         1e-6);
    near("same top", p->kl.same_top.mean, (double)same / c, 1e-12);
    near("mean of delta p", p->kl.mean_dp, dp / c, 1e-7);
    near("RMS of delta p", p->kl.rms_dp.mean, sqrt(dp2 / c), 1e-7);
    free(za);
    free(zb);
    engine_free(a);
    engine_free(b);
}

static void kl_equals_brute_force(void **state)
{
    (void)state;
    struct err err;
    struct pair pair;
    struct perplexity p;
    pair_open(&pair);
    struct windows w = cut(20, 0, pair.ids, N);
    struct engine *a = open_engine(pair.base, (struct engine_options){.n_threads = 2});
    struct engine *b = open_engine(pair.model, (struct engine_options){.n_threads = 2});
    struct perplexity_options o = {.engine = b, .reference = a};
    assert_ok(perplexity_run(&w, &o, &p, &err));
    check_kl(&pair, &p, 1e-10);
    o.engine = a;
    struct engine *c = open_engine(pair.base, (struct engine_options){.n_threads = 1});
    o.reference = c;
    assert_ok(perplexity_run(&w, &o, &p, &err));
    near("KL of itself", p.kl.max, 0, 1e-12);
    near("ratio to itself", p.kl.ratio.mean, 1, 0);
    near("same top as itself", p.kl.same_top.mean, 1, 0);
    engine_free(a);
    engine_free(b);
    engine_free(c);
    windows_free(&w);
    pair_close(&pair);
}

/* Through a file: the same numbers, up to its rounding. */
static void check_record(const struct pair *pair, enum logprobs_encoding encoding, double limit)
{
    struct err err;
    struct perplexity p;
    struct logprobs *l;
    const char *path = temp_path("record");
    struct windows w = cut(20, 0, pair->ids, N), again;
    const struct engine_options few[2] = {{.n_threads = 2, .max_logits = 7}, {.max_logits = 3}};
    struct engine *a = open_engine(pair->base, few[0]), *b = open_engine(pair->model, few[1]);
    struct perplexity_options o = {.engine = a, .save = path, .encoding = encoding};
    assert_ok(perplexity_run(&w, &o, &p, &err));
    assert_ok(logprobs_open(&l, path, &err));
    assert_ok(perplexity_windows(&again, l, pair->model, &err));
    assert_int_equal(again.n_scored, w.n_scored);
    o = (struct perplexity_options){.engine = b, .recorded = l};
    assert_ok(perplexity_run(&again, &o, &p, &err));
    check_kl(pair, &p, limit);
    o.engine = a;
    assert_ok(perplexity_run(&again, &o, &p, &err));
    near("KL of itself", p.kl.max, 0, 1e-7);
    near("ratio to itself", p.kl.ratio.mean, 1, 1e-6);
    windows_free(&again);
    logprobs_close(l);
    unlink(path);
    windows_free(&w);
    engine_free(a);
    engine_free(b);
}

static void records_keep_the_numbers(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    check_record(&pair, LOGPROBS_F32, 1e-6);
    check_record(&pair, LOGPROBS_Q16, 1e-4);
    pair_close(&pair);
}

/* A record that was made otherwise, or that was tampered with. */
static void wrong_records_are_refused(void **state)
{
    (void)state;
    struct err err;
    struct pair pair;
    struct perplexity p;
    struct logprobs *l;
    struct buf bytes;
    struct windows again;
    char other[512];
    const char *path = temp_path("tampered");
    pair_open(&pair);
    struct windows w = cut(20, 0, pair.ids, N);
    struct engine *a = open_engine(pair.base, (struct engine_options){.n_threads = 1});
    struct perplexity_options o = {.engine = a, .save = path};
    assert_ok(perplexity_run(&w, &o, &p, &err));
    buf_init(&bytes, 64 << 20);
    assert_ok(file_read(path, &bytes, &err));
    unlink(path);
    assert_ok(logprobs_open_mem(&l, bytes.p, bytes.n, &err));
    /* other windows */
    struct windows fewer = cut(30, 0, pair.ids, N);
    o = (struct perplexity_options){.engine = a, .recorded = l};
    assert_int_equal(perplexity_run(&fewer, &o, &p, &err), EUSAGE);
    windows_free(&fewer);
    /* a token that is none of the vocabulary */
    int32_t bad = (int32_t)pair.vocab, good;
    memcpy(&good, bytes.p + 56, 4);
    memcpy(bytes.p + 56, &bad, 4);
    logprobs_close(l);
    assert_ok(logprobs_open_mem(&l, bytes.p, bytes.n, &err));
    assert_int_equal(perplexity_windows(&again, l, pair.base, &err), EFORMAT);
    assert_non_null(strstr(err.msg, "token 0 is"));
    logprobs_close(l);
    memcpy(bytes.p + 56, &good, 4);
    /* a row that is no distribution */
    const float nan = NAN;
    memcpy(bytes.p + bytes.n - logprobs_row_bytes(LOGPROBS_Q16, (int64_t)pair.vocab), &nan, 4);
    assert_ok(logprobs_open_mem(&l, bytes.p, bytes.n, &err));
    assert_ok(perplexity_windows(&again, l, pair.base, &err));
    o.recorded = l;
    o.save = path;
    assert_int_equal(perplexity_run(&again, &o, &p, &err), EFORMAT);
    assert_non_null(strstr(err.msg, "row 26 of"));
    assert_false(file_exists(path));
    windows_free(&again);
    /* another vocabulary */
    struct model *m = open_model(golden_path(other, "hf/%s", "gemma2"));
    struct model_info info;
    model_info(m, &info);
    if ((size_t)info.n_vocab != pair.vocab)
        assert_int_equal(perplexity_windows(&again, l, m, &err), EUSAGE);
    model_close(m);
    logprobs_close(l);
    buf_release(&bytes);
    windows_free(&w);
    engine_free(a);
    pair_close(&pair);
}

/* Threads, rows per step and the cache's size change nothing, to the bit. */
static void nothing_around_changes_results(void **state)
{
    (void)state;
    struct err err;
    struct pair pair;
    struct perplexity first, p;
    static const struct engine_options ways[] = {
        {.n_threads = 1, .max_rows = 256},
        {.n_threads = 2, .max_rows = 256, .n_ctx = 64},
        {.n_threads = 3, .max_rows = 1, .n_ctx = 64},
        {.n_threads = 2, .max_rows = 7, .n_ctx = 200},
        {.n_threads = 2, .max_rows = 64, .n_ctx = 128},
        {.n_threads = 2, .max_logits = 1},
        {.n_threads = 1, .max_logits = 5},
    };
    pair_open(&pair);
    for (int64_t stride = 0; stride <= 5; stride += 5) {
        struct windows w = cut(16, stride, pair.ids, N);
        for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
            struct engine *a = open_engine(pair.base, ways[0]);
            struct engine *b = open_engine(pair.model, ways[i]);
            const struct perplexity_options o = {.engine = b, .reference = a};
            assert_ok(perplexity_run(&w, &o, &p, &err));
            assert_int_equal(p.n_scored, w.n_scored);
            assert_int_equal(p.n_tokens, windows_total(&w));
            p.seconds = 0;
            if (i == 0)
                first = p;
            assert_true(p.nll.mean == first.nll.mean && p.nll.error == first.nll.error);
            assert_memory_equal(&p.kl, &first.kl, sizeof p.kl);
            engine_free(a);
            engine_free(b);
        }
        windows_free(&w);
    }
    struct engine *small = open_engine(pair.base, (struct engine_options){.n_ctx = 10});
    struct windows w = cut(16, 0, pair.ids, N);
    const struct perplexity_options o = {.engine = small};
    assert_int_equal(perplexity_run(&w, &o, &p, &err), ECONTEXT);
    windows_free(&w);
    engine_free(small);
    pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(halves_are_scored),
        cmocka_unit_test(strides_follow_the_guide),
        cmocka_unit_test(equals_the_reference_logits),
        cmocka_unit_test(bos_comes_first),
        cmocka_unit_test(known_distributions),
        cmocka_unit_test(kl_equals_brute_force),
        cmocka_unit_test(records_keep_the_numbers),
        cmocka_unit_test(wrong_records_are_refused),
        cmocka_unit_test(nothing_around_changes_results),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
