/* What the engine promises about any model: the same bits however a prompt is cut, whatever else is
 * in the step, for any number of threads; sequences that fork, shrink and shift; a full cache is an
 * error that changes nothing. */
#include "golden.h"
#include "engine/engine_int.h"
#include <malloc.h>

static struct model *open_model(const char *fmt, const char *name)
{
    struct err err;
    struct model *m;
    char path[512];
    assert_ok(model_open(&m, golden_path(path, fmt, name), NULL, &err));
    return m;
}

static struct engine *open_engine(const struct model *m, struct engine_options o)
{
    struct err err;
    struct engine *e;
    assert_ok(engine_new(&e, m, &o, &err));
    return e;
}

static size_t vocab_of(const struct model *m)
{
    struct model_info info;
    model_info(m, &info);
    return (size_t)info.n_vocab;
}

enum { N = 40 };

static void some_tokens(int32_t *out, size_t n, uint32_t seed, size_t vocab)
{
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        out[i] = (int32_t)(seed >> 8) % (int32_t)vocab;
    }
}

/* Rows of a, with rows of another sequence between them; logits of a's rows into out. */
static void run_mixed(struct engine *e, const int32_t *a, const int32_t *b, size_t vocab,
                      float *out)
{
    struct err err;
    int sa, sb;
    assert_ok(engine_seq_new(e, &sa, &err));
    assert_ok(engine_seq_new(e, &sb, &err));
    size_t na = 0, nb = 0, turn = 0;
    while (na < N) {
        struct step_row rows[64];
        size_t first = na;
        int n = 0;
        for (size_t i = 0; i < 1 + turn % 4 && na < N; i++) {
            rows[n++] = (struct step_row){a[na++], sa, true};
            if (nb < N && (turn + i) % 3)
                rows[n++] = (struct step_row){b[nb++], sb, turn % 2 == 0};
        }
        assert_ok(engine_step(e, rows, n, &err));
        int wanted = 0;
        for (int i = 0; i < n; i++) {
            if (rows[i].seq == sa)
                memcpy(out + first++ * vocab, engine_logits(e, wanted), vocab * sizeof *out);
            wanted += rows[i].logits;
        }
        turn++;
    }
    engine_seq_free(e, sa);
    engine_seq_free(e, sb);
}

static void same_bits(const char *what, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (memcmp(&a[i], &b[i], sizeof *a))
            fail_msg("%s: value %zu is %.9g, expected %.9g", what, i, (double)a[i], (double)b[i]);
}

static void check_determinism(const char *fmt, const char *name)
{
    struct model *m = open_model(fmt, name);
    size_t vocab = vocab_of(m), n = N * vocab;
    int32_t a[N], b[N];
    some_tokens(a, N, 1, vocab);
    some_tokens(b, N, 2, vocab);
    float *want = malloc(n * sizeof *want), *got = malloc(n * sizeof *got);
    assert_non_null(want);
    assert_non_null(got);
    for (int kv = KV_F16; kv <= KV_Q8 + 1; kv++) {
        bool exact = kv > KV_Q8;
        struct engine_options o = {.exact = exact, .kv_type = exact ? KV_F32 : (enum kv_type)kv};
        o.n_threads = 1;
        struct engine *e = open_engine(m, o);
        run_logits(e, a, N, N, want);
        engine_free(e);
        for (int threads = 1; threads <= 3; threads++) {
            static const size_t chunks[] = {1, 3, 7, N};
            o.n_threads = threads;
            e = open_engine(m, o);
            for (size_t c = 0; c < 4; c++) {
                run_logits(e, a, N, chunks[c], got);
                same_bits("chunks", got, want, n);
            }
            run_mixed(e, a, b, vocab, got);
            same_bits("beside another sequence", got, want, n);
            engine_free(e);
        }
    }
    free(want);
    free(got);
    model_close(m);
}

/* Fewer logits at a time than the step's rows: the same ones, whatever is asked for first. */
static void check_few_logits(const char *fmt, const char *name, bool exact)
{
    struct err err;
    struct model *m = open_model(fmt, name);
    size_t vocab = vocab_of(m);
    int32_t t[N];
    struct step_row rows[N];
    int seq;
    some_tokens(t, N, 3, vocab);
    float *want = malloc(N * vocab * sizeof *want), *got = malloc(N * vocab * sizeof *got);
    assert_non_null(want);
    assert_non_null(got);
    struct engine *all = open_engine(m, (struct engine_options){.n_threads = 1, .exact = exact});
    assert_true(engine_max_logits(all) >= N);
    run_logits(all, t, N, N, want);
    for (int most = 1; most <= N; most += most + 3) {
        const struct engine_options o = {.n_threads = 2, .exact = exact, .max_logits = most};
        struct engine *e = open_engine(m, o);
        assert_int_equal(engine_max_logits(e), most);
        run_logits(e, t, N, N, got); /* one after the other */
        same_bits("few logits", got, want, N * vocab);
        assert_ok(engine_seq_new(e, &seq, &err));
        int n = 0;
        for (int i = 0; i < N; i++)
            rows[i] = (struct step_row){t[i], seq, i % 3 != 1};
        assert_ok(engine_step(e, rows, N, &err));
        for (int i = 0; i < N; i++)
            n += rows[i].logits;
        for (int i = N - 1, k = n - 1; i >= 0; i--)
            if (rows[i].logits)
                same_bits("from behind", engine_logits(e, k--), want + (size_t)i * vocab, vocab);
        for (int k = 0; k + most <= n;
             k++) { /* logits k are row 3 (k / 2) or the second after it */
            engine_logits_keep(e, k, most);
            const float *first = engine_logits(e, k), *last = engine_logits(e, k + most - 1);
            assert_true(last - first == (most - 1) * (ptrdiff_t)vocab);
            same_bits("first kept", first, want + (size_t)(k / 2 * 3 + k % 2 * 2) * vocab, vocab);
        }
        engine_free(e);
    }
    free(want);
    free(got);
    engine_free(all);
    model_close(m);
}

static void test_few_logits(void **state)
{
    (void)state;
    struct err err;
    struct engine *e;
    check_few_logits("hf/%s", "gemma2", false); /* with a soft cap on its logits */
    check_few_logits("quant/llama2-%s.gguf", "Q2_K", false);
    check_few_logits("hf/%s", "smollm3", true);
    struct model *m = open_model("hf/%s", "llama2");
    const struct engine_options bad = {.max_logits = -1}, small = {.max_rows = 3, .max_logits = 8};
    assert_int_equal(engine_new(&e, m, &bad, &err), EUSAGE);
    assert_non_null(strstr(err.msg, "max_logits is -1, expected 0 to"));
    e = open_engine(m, small);
    assert_int_equal(engine_max_logits(e), 3); /* no step has more rows */
    engine_free(e);
    model_close(m);
}

static void test_determinism(void **state)
{
    (void)state;
    check_determinism("hf/%s", "gemma2");
    check_determinism("hf/%s", "smollm3");
    check_determinism("gguf/%s-bf16.gguf", "mixtral");
    check_determinism("quant/llama2-%s.gguf", "Q2_K");
    static const char *const more[] = {"Q8_0",   "Q4_0",   "Q4_1",   "Q5_0", "Q5_1",   "Q3_K_M",
                                       "Q4_K_M", "Q5_K_M", "IQ4_NL", "Q6_K", "IQ4_XS", "Q4_K_S"};
    for (size_t i = 0; golden_all() && i < sizeof more / sizeof *more; i++)
        check_determinism("quant/llama2-%s.gguf", more[i]);
}

/* Logits of the last of n tokens fed to seq. */
static const float *feed(struct engine *e, int seq, const int32_t *t, size_t n)
{
    struct err err;
    assert_ok(engine_prefill(e, seq, t, n, NULL, NULL, &err));
    return engine_logits(e, 0);
}

/* Longer than a page, so that forks share whole pages and copy a part of one. */
static void long_tokens(int32_t *out, size_t n, size_t vocab)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (int32_t)((i * 7919 + 13) % vocab);
}

static void test_fork_and_truncate(void **state)
{
    (void)state;
    struct err err;
    struct model *m = open_model("hf/%s", "mistral");
    size_t vocab = vocab_of(m);
    int32_t t[200], other[20];
    long_tokens(t, 200, vocab);
    some_tokens(other, 20, 5, vocab);
    struct engine *e = open_engine(m, (struct engine_options){.n_threads = 2, .n_ctx = 512});
    float *want = malloc(vocab * sizeof *want), *want_other = malloc(vocab * sizeof *want_other);
    int fresh, base, child;
    assert_ok(engine_seq_new(e, &fresh, &err));
    memcpy(want, feed(e, fresh, t, 200), vocab * sizeof *want);
    engine_seq_truncate(e, fresh, 0);
    int32_t joined[150];
    memcpy(joined, t, 130 * sizeof *t);
    memcpy(joined + 130, other, sizeof other);
    memcpy(want_other, feed(e, fresh, joined, 150), vocab * sizeof *want);
    engine_seq_free(e, fresh);

    assert_ok(engine_seq_new(e, &base, &err));
    feed(e, base, t, 150);
    assert_ok(engine_seq_fork(e, base, 130, &child, &err));
    assert_int_equal(engine_seq_len(e, child), 130);
    same_bits("a fork that goes elsewhere", feed(e, child, other, 20), want_other, vocab);
    same_bits("the sequence it came from", feed(e, base, t + 150, 50), want, vocab);
    engine_seq_truncate(e, child, 65);
    same_bits("a fork cut back", feed(e, child, t + 65, 135), want, vocab);
    engine_seq_free(e, base);
    engine_seq_truncate(e, child, 199);
    same_bits("after its parent is gone", feed(e, child, t + 199, 1), want, vocab);
    assert_true(engine_seq_fork(e, child, 201, &base, &err) == EUSAGE);
    engine_seq_free(e, child);
    free(want);
    free(want_other);
    engine_free(e);
    model_close(m);
}

static void test_full_cache(void **state)
{
    (void)state;
    struct err err;
    struct model *m = open_model("hf/%s", "llama2");
    size_t vocab = vocab_of(m);
    int32_t t[140];
    long_tokens(t, 140, vocab);
    struct engine *e = open_engine(m, (struct engine_options){.n_threads = 1, .n_ctx = 128});
    int a, b;
    assert_ok(engine_seq_new(e, &a, &err));
    assert_true(engine_prefill(e, a, t, 129, NULL, NULL, &err) == ECONTEXT);
    assert_int_equal(engine_seq_len(e, a), 0);
    feed(e, a, t, 128);
    struct step_row row = {t[0], a, true};
    assert_true(engine_step(e, &row, 1, &err) == ECONTEXT);
    assert_int_equal(engine_seq_len(e, a), 128);
    /* the cache is full: another sequence gets the one page that copies may take, and no more */
    assert_ok(engine_seq_new(e, &b, &err));
    feed(e, b, t, 64);
    row.seq = b;
    assert_true(engine_step(e, &row, 1, &err) == ECONTEXT);
    assert_int_equal(engine_seq_len(e, b), 64);
    engine_seq_free(e, a);
    assert_ok(engine_step(e, &row, 1, &err));
    row.token = (int32_t)vocab;
    assert_true(engine_step(e, &row, 1, &err) == EUSAGE);
    row.token = -1;
    assert_true(engine_step(e, &row, 1, &err) == EUSAGE);
    row.token = 0;
    row.seq = a;
    assert_true(engine_step(e, &row, 1, &err) == EUSAGE);
    assert_true(engine_step(e, &row, 0, &err) == EUSAGE);
    engine_free(e);
    model_close(m);
}

/* Largest relative difference of the cached first-layer keys and values of two sequences, n rows.
 * (Deeper layers of a shifted sequence remember the dropped tokens; the first layer's rows depend
 * on token and position alone.) */
static double cache_difference(struct engine *e, int a, int b, int64_t n)
{
    const struct hparams *hp = &e->m->hp;
    double worst = 0;
    float x[HP_MAX_HEAD_DIM], y[HP_MAX_HEAD_DIM];
    for (int value = 0; value < 2; value++)
        for (int64_t h = 0; h < hp->n_kv_heads; h++)
            for (int64_t p = 0; p < n; p++) {
                _Alignas(4) unsigned char row[KV_ROW_MAX];
                kv_get(&e->kv, &e->seqs[a], 0, value, h, p, row);
                kv_load(e->kv.type, row, x, hp->head_dim);
                kv_get(&e->kv, &e->seqs[b], 0, value, h, p, row);
                kv_load(e->kv.type, row, y, hp->head_dim);
                double d = rel_error(x, y, (size_t)hp->head_dim);
                worst = d > worst ? d : worst;
            }
    return worst;
}

static void check_shift(const char *fmt, const char *name, enum kv_type type, double limit)
{
    struct err err;
    struct model *m = open_model(fmt, name);
    size_t vocab = vocab_of(m);
    int32_t t[150], kept[79];
    long_tokens(t, 150, vocab);
    memcpy(kept, t, 4 * sizeof *t);
    memcpy(kept + 4, t + 74, 75 * sizeof *t);
    struct engine *e =
        open_engine(m, (struct engine_options){.n_threads = 2, .kv_type = type, .n_ctx = 512});
    int fresh, shifted, child;
    assert_ok(engine_seq_new(e, &fresh, &err));
    assert_ok(engine_seq_new(e, &shifted, &err));
    feed(e, fresh, kept, 79);
    feed(e, shifted, t, 149);
    assert_ok(engine_seq_fork(e, shifted, 149, &child, &err));
    float *want = malloc(vocab * sizeof *want);
    assert_non_null(want);
    memcpy(want, feed(e, child, t + 149, 1), vocab * sizeof *want);
    engine_seq_truncate(e, child, 149);
    assert_ok(engine_seq_shift(e, shifted, 4, 70, &err));
    assert_int_equal(engine_seq_len(e, shifted), 79);
    double off = cache_difference(e, shifted, fresh, 79);
    print_message("%-10s kv type %d, shifted rows are off by %.2e\n", name, (int)type, off);
    assert_true(off <= limit);
    same_bits("a fork of what was shifted", feed(e, child, t + 149, 1), want, vocab);
    feed(e, shifted, t, 1);
    assert_true(engine_seq_shift(e, shifted, 70, 20, &err) == EUSAGE);
    free(want);
    engine_free(e);
    model_close(m);
}

static void test_shift(void **state)
{
    (void)state;
    check_shift("hf/%s", "llama2", KV_F32, 1e-5);
    check_shift("hf/%s", "llama2", KV_F16, 2e-3);
    check_shift("hf/%s", "llama2", KV_Q8, 2e-2);
    check_shift("gguf/%s-bf16.gguf", "llama32", KV_F32, 1e-5);
    check_shift("hf/%s", "smollm3", KV_F32, 1e-5);
}

/* Angles that depend on the length: a sequence that grows past the trained length, or is cut back,
 * goes on with the bits of one that always had its length. */
static void test_longrope(void **state)
{
    (void)state;
    struct err err;
    struct model *m = golden_with_config(
        "phi3", "{\"original_max_position_embeddings\":70,\"rope_scaling\":{\"type\":\"longrope\","
                "\"short_factor\":[1,1,1,1,1,1,1,1.1,1.2,1.3,1.4,1.5,1.6,1.7,1.8,2],"
                "\"long_factor\":[1,1,1,1.5,2,2,3,3,4,4,5,6,7,8,9,10]}}");
    size_t vocab = vocab_of(m);
    int32_t t[90];
    long_tokens(t, 90, vocab);
    struct engine *e = open_engine(m, (struct engine_options){.n_threads = 2, .max_rows = 32});
    float *at_60 = malloc(vocab * sizeof *at_60), *at_90 = malloc(vocab * sizeof *at_90);
    int fresh, s, child;
    assert_ok(engine_seq_new(e, &fresh, &err));
    memcpy(at_60, feed(e, fresh, t, 60), vocab * sizeof *at_60);
    engine_seq_truncate(e, fresh, 0);
    memcpy(at_90, feed(e, fresh, t, 90), vocab * sizeof *at_90);
    assert_ok(engine_seq_new(e, &s, &err));
    feed(e, s, t, 55);
    for (int i = 55; i < 60; i++)
        feed(e, s, t + i, 1);
    same_bits("short", engine_logits(e, 0), at_60, vocab);
    assert_ok(engine_seq_fork(e, s, 60, &child, &err));
    for (int i = 60; i < 90; i++)
        feed(e, s, t + i, 1);
    same_bits("grown past the trained length", engine_logits(e, 0), at_90, vocab);
    engine_seq_truncate(e, child, 59);
    same_bits("its fork stays short", feed(e, child, t + 59, 1), at_60, vocab);
    engine_seq_truncate(e, s, 59);
    same_bits("cut back", feed(e, s, t + 59, 1), at_60, vocab);
    assert_true(engine_seq_shift(e, s, 4, 8, &err) == EUNSUPPORTED);
    free(at_60);
    free(at_90);
    engine_free(e);
    model_close(m);
}

static void test_dynamic_rope(void **state)
{
    (void)state;
    struct err err;
    struct model *m =
        golden_with_config("llama2", "{\"max_position_embeddings\":20,\"rope_scaling\":{"
                                     "\"type\":\"dynamic\",\"factor\":2.0}}");
    size_t vocab = vocab_of(m);
    int32_t t[N];
    long_tokens(t, N, vocab);
    float *want = malloc(N * vocab * sizeof *want), *got = malloc(N * vocab * sizeof *got);
    struct engine *e = open_engine(m, (struct engine_options){.n_threads = 2, .n_ctx = 64});
    run_logits(e, t, N, N, want);
    run_logits(e, t, N, 3, got);
    same_bits("announced length, chunks of 3", got, want, N * vocab);
    run_logits(e, t, 20, 20, got);
    assert_true(rel_error(got, want, 20 * vocab) > 1e-3);
    int s;
    assert_ok(engine_seq_new(e, &s, &err));
    feed(e, s, t, 30);
    feed(e, s, t + 30, 1);
    free(want);
    free(got);
    engine_free(e);
    model_close(m);
}

static int stop_at_once(void *ctx, size_t done, size_t total)
{
    *(size_t *)ctx = done;
    return done < total;
}

static void test_prefill_in_chunks(void **state)
{
    (void)state;
    struct err err;
    struct model *m = open_model("hf/%s", "qwen2");
    int32_t t[100];
    long_tokens(t, 100, vocab_of(m));
    struct engine *e = open_engine(m, (struct engine_options){.n_threads = 1, .max_rows = 32});
    int seq;
    size_t done = 0;
    assert_ok(engine_seq_new(e, &seq, &err));
    assert_true(engine_prefill(e, seq, t, 100, stop_at_once, &done, &err) == ECANCEL);
    assert_int_equal(done, 32);
    assert_int_equal(engine_seq_len(e, seq), 32);
    assert_true(engine_prefill(e, seq, t, 0, NULL, NULL, &err) == EUSAGE);
    assert_true(engine_memory(e) > 0);
    assert_int_equal(engine_max_rows(e), 32);
    engine_free(e);
    model_close(m);
}

/* The token loop stays away from the allocator (with an adapter on). */
static void test_steps_do_not_allocate(void **state)
{
    (void)state;
    struct err err;
    struct model *m = open_model("hf/%s", "llama2");
    struct lora *l;
    char path[512];
    float one = 1;
    int32_t t[100];
    long_tokens(t, 100, vocab_of(m));
    assert_ok(lora_open(&l, m, golden_path(path, "hf/%s", "llama2_lora"), &err));
    struct engine *e = open_engine(m, (struct engine_options){.n_threads = 2});
    assert_ok(engine_set_loras(e, &l, &one, 1, &err));
    int a, b;
    assert_ok(engine_seq_new(e, &a, &err));
    assert_ok(engine_seq_new(e, &b, &err));
    feed(e, a, t, 1);
    struct mallinfo2 before = mallinfo2();
    feed(e, a, t, 100);
    feed(e, b, t, 70);
    for (int i = 0; i < 20; i++)
        feed(e, a, t + i, 1);
    struct mallinfo2 after = mallinfo2();
    assert_int_equal(after.uordblks, before.uordblks);
    assert_int_equal(after.hblkhd, before.hblkhd);
    engine_free(e);
    lora_close(l);
    model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_determinism),
        cmocka_unit_test(test_few_logits),
        cmocka_unit_test(test_fork_and_truncate),
        cmocka_unit_test(test_full_cache),
        cmocka_unit_test(test_shift),
        cmocka_unit_test(test_longrope),
        cmocka_unit_test(test_dynamic_rope),
        cmocka_unit_test(test_prefill_in_chunks),
        cmocka_unit_test(test_steps_do_not_allocate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
