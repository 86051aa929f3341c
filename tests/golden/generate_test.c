/* The generation loop on a tiny model with random weights: greedy ids of transformers, ends of
 * every kind, and the promises about text, cache and seeds. */
#include "base/json.h"
#include "base/utf8.h"
#include "engine/generate.h"
#include "support.h"
#include <math.h>
#include <stdlib.h>

#define DATA HEARTH_SOURCE_DIR "/tests/data/golden/"

static const struct sampler_params greedy = {
    .temperature = 0, .top_p = 1, .typical_p = 1, .repetition_penalty = 1, .dry_base = 1.75};

/* What the events told. */
struct heard {
    struct buf text;
    struct tokens tokens;
    int events, chunks;
    int stop_after; /* events; 0: never */
    bool stop_in_prompt;
};

static int hear(void *ctx, const struct gen_event *ev)
{
    struct heard *h = ctx;
    if (ev->prompt_total > 0) {
        assert_null(ev->tok);
        assert_int_equal(ev->text.n, 0);
        assert_true(ev->prompt_done < ev->prompt_total);
        h->chunks++;
        return h->stop_in_prompt;
    }
    assert_int_equal(utf8_valid_prefix(ev->text), ev->text.n);
    buf_addstr(&h->text, ev->text);
    if (ev->tok)
        assert_true(tokens_add(&h->tokens, ev->tok->token));
    h->events++;
    return h->stop_after > 0 && h->events >= h->stop_after;
}

struct bench {
    struct model *m;
    struct engine *e;
    struct heard heard;
    struct tokens out;
    struct gen_stats stats;
    struct err err;
    int seq;
};

static void bench_open(struct bench *b, const char *path, int64_t n_ctx, int max_rows)
{
    struct model_options mo = MODEL_OPTIONS_INIT;
    struct engine_options eo = {
        .n_threads = 1, .n_ctx = n_ctx, .max_rows = max_rows, .exact = true};
    struct err err = {0};
    *b = (struct bench){0};
    assert_ok(model_open(&b->m, path, &mo, &err));
    assert_ok(engine_new(&b->e, b->m, &eo, &err));
    assert_ok(engine_seq_new(b->e, &b->seq, &err));
    buf_init(&b->heard.text, 1 << 20);
}

static void bench_reset(struct bench *b)
{
    struct err err = {0};
    engine_seq_free(b->e, b->seq);
    assert_ok(engine_seq_new(b->e, &b->seq, &err));
    buf_clear(&b->heard.text);
    tokens_free(&b->heard.tokens);
    tokens_free(&b->out);
    struct buf text = b->heard.text;
    b->heard = (struct heard){.text = text};
}

static void bench_close(struct bench *b)
{
    bench_reset(b);
    buf_release(&b->heard.text);
    engine_free(b->e);
    model_close(b->m);
}

static enum status go(struct bench *b, const int32_t *prompt, size_t n, const struct gen_params *p)
{
    return generate(b->e, b->seq, prompt, n, p, hear, &b->heard, &b->out, &b->stats, &b->err);
}

static size_t get_ids(const json_t *a, int32_t *ids, size_t max)
{
    size_t n = json_array_size(a);
    assert_in_range(n, 1, max);
    for (size_t i = 0; i < n; i++)
        ids[i] = (int32_t)json_integer_value(json_array_get(a, i));
    return n;
}

enum { N_PROMPT = 24, N_GREEDY = 32 };
static int32_t prompt[N_PROMPT], expect[N_GREEDY];

static struct gen_params params(int64_t max_tokens)
{
    return (struct gen_params){.sampler = greedy, .max_tokens = max_tokens, .ignore_eos = true};
}

static void load_golden(const char *name)
{
    char path[300];
    struct err err = {0};
    json_t *j;
    snprintf(path, sizeof path, DATA "hf/%s/golden.json", name);
    assert_ok(json_parse_file(&j, path, 1 << 24, &err));
    assert_int_equal(get_ids(json_object_get(j, "greedy_prompt"), prompt, N_PROMPT), N_PROMPT);
    assert_int_equal(get_ids(json_object_get(j, "greedy"), expect, N_GREEDY), N_GREEDY);
    json_decref(j);
}

#define MODEL DATA "gguf/llama32-bf16.gguf"

/* The text of the greedy answer, whole. */
static void answer(struct bench *b, struct buf *text)
{
    struct err err = {0};
    struct detok d = {0};
    buf_init(text, 1 << 16);
    for (int i = 0; i < N_GREEDY; i++)
        assert_ok(detok_add(model_tokenizer(b->m), &d, expect[i], true, text, &err));
    detok_flush(&d, text);
    assert_true(text->n > N_GREEDY);
}

static void greedy_is_golden(void **state)
{
    (void)state;
    struct bench b;
    for (int max_rows = 1; max_rows <= 64; max_rows *= 8) {
        bench_open(&b, MODEL, 128, max_rows);
        struct gen_params p = params(N_GREEDY);
        struct err err = {0};
        assert_ok(go(&b, prompt, N_PROMPT, &p));
        assert_int_equal(b.out.n, N_GREEDY);
        assert_memory_equal(b.out.id, expect, sizeof expect);
        assert_int_equal(b.stats.end, GEN_LENGTH);
        assert_int_equal(b.stats.n_prompt, N_PROMPT);
        assert_int_equal(b.stats.n_cached, 0);
        assert_int_equal(b.stats.n_generated, N_GREEDY);
        assert_int_equal(b.stats.stop_index, -1);
        /* the cache holds all but the last */
        assert_int_equal(engine_seq_len(b.e, b.seq), N_PROMPT + N_GREEDY - 1);
        /* the events told every token, and the text of all */
        assert_int_equal(b.heard.tokens.n, N_GREEDY);
        assert_memory_equal(b.heard.tokens.id, expect, sizeof expect);
        assert_int_equal(b.heard.chunks > 0, max_rows < N_PROMPT);
        struct buf whole;
        answer(&b, &whole);
        assert_string_equal(b.heard.text.p, whole.p);
        /* and on from there: the answer continues as if it had not stopped */
        bench_reset(&b);
        p.max_tokens = 10;
        assert_ok(go(&b, prompt, N_PROMPT, &p));
        int32_t last = expect[9];
        p.max_tokens = N_GREEDY - 10;
        assert_ok(go(&b, &last, 1, &p));
        assert_int_equal(b.stats.n_cached, N_PROMPT + 9);
        assert_memory_equal(b.out.id, expect, sizeof expect);
        buf_release(&whole);
        bench_close(&b);
    }
}

/* Every piece of the answer, wherever tokens cut it, ends the answer just before itself. */
static void stop_strings_end_it(void **state)
{
    (void)state;
    struct bench b;
    struct buf text;
    struct err err = {0};
    bench_open(&b, MODEL, 128, 64);
    answer(&b, &text);
    struct str all = {text.p, text.n};
    int stopped = 0;
    for (size_t at = 0; at + 1 < all.n; at += 3)
        for (size_t len = 1; len <= 9 && at + len <= all.n; len += 4) {
            struct str stops[2] = {STR("never in it at all"), str_slice(all, at, at + len)};
            if (utf8_valid_prefix(stops[1]) != len)
                continue;
            const char *first = memmem(all.p, all.n, stops[1].p, len);
            struct gen_params p = params(N_GREEDY);
            p.stop = stops;
            p.n_stop = 2;
            bench_reset(&b);
            assert_ok(go(&b, prompt, N_PROMPT, &p));
            assert_int_equal(b.stats.end, GEN_STOP_STRING);
            assert_int_equal(b.stats.stop_index, 1);
            assert_int_equal(b.heard.text.n, first - all.p);
            assert_memory_equal(buf_str(&b.heard.text).p, all.p, b.heard.text.n);
            assert_memory_equal(b.out.id, expect, b.out.n * sizeof *expect);
            stopped++;
        }
    assert_true(stopped > 10);
    struct str empty = STR("");
    struct gen_params p = params(1);
    p.stop = &empty;
    p.n_stop = 1;
    assert_int_equal(go(&b, prompt, N_PROMPT, &p), EUSAGE);
    buf_release(&text);
    bench_close(&b);
}

static void held_back_text_is_told_at_the_end(void **state)
{
    (void)state;
    struct bench b;
    struct buf text;
    struct err err = {0};
    bench_open(&b, MODEL, 128, 64);
    answer(&b, &text);
    /* the whole answer and one byte more: held back to the end */
    buf_addc(&text, '~');
    struct str stop = {text.p, text.n};
    struct gen_params p = params(N_GREEDY);
    p.stop = &stop;
    p.n_stop = 1;
    assert_ok(go(&b, prompt, N_PROMPT, &p));
    assert_int_equal(b.stats.end, GEN_LENGTH);
    assert_int_equal(b.heard.text.n, text.n - 1);
    assert_memory_equal(b.heard.text.p, text.p, text.n - 1);
    assert_int_equal(b.heard.tokens.n, N_GREEDY);
    assert_int_equal(b.heard.events, N_GREEDY + 1);
    buf_release(&text);
    bench_close(&b);
}

static int32_t an_end(const struct model *m)
{
    for (int32_t id = 0; id < 512; id++)
        if (model_is_end(m, id))
            return id;
    fail_msg("the model has no end token");
    return -1;
}

static void end_tokens_end_it(void **state)
{
    (void)state;
    struct bench b;
    struct err err = {0};
    bench_open(&b, MODEL, 128, 64);
    struct logit_bias bias = {an_end(b.m), 1000};
    for (int min = 0; min <= 5; min += 5) {
        struct gen_params p = params(20);
        p.sampler.bias = &bias;
        p.sampler.n_bias = 1;
        p.ignore_eos = false;
        p.min_tokens = min;
        bench_reset(&b);
        assert_ok(go(&b, prompt, N_PROMPT, &p));
        assert_int_equal(b.stats.end, GEN_STOP);
        assert_int_equal(b.stats.n_generated, min + 1);
        assert_int_equal(b.out.id[min], bias.token);
        assert_int_equal(b.heard.tokens.n, min); /* the end is not told */
        for (int i = 0; i < min; i++)
            assert_false(model_is_end(b.m, b.out.id[i]));
    }
    struct gen_params p = params(20);
    p.sampler.bias = &bias;
    p.sampler.n_bias = 1;
    bench_reset(&b);
    assert_ok(go(&b, prompt, N_PROMPT, &p)); /* ends are ignored */
    assert_int_equal(b.stats.end, GEN_LENGTH);
    assert_int_equal(b.stats.n_generated, 20);
    bench_close(&b);
}

static void full_context_is_told(void **state)
{
    (void)state;
    struct bench b;
    struct err err = {0};
    bench_open(&b, MODEL, 32, 64);
    int64_t n_ctx = engine_n_ctx(b.e);
    struct gen_params p = params(-1);
    assert_ok(go(&b, prompt, N_PROMPT, &p));
    assert_int_equal(b.stats.end, GEN_CONTEXT);
    assert_int_equal(b.stats.n_generated, n_ctx - N_PROMPT + 1); /* the last one needs no room */
    assert_memory_equal(b.out.id, expect,
                        (b.out.n < N_GREEDY ? b.out.n : N_GREEDY) * sizeof *expect);
    assert_int_equal(engine_seq_len(b.e, b.seq), n_ctx);

    bench_reset(&b);
    int32_t *longer = calloc((size_t)n_ctx + 1, sizeof *longer);
    assert_int_equal(go(&b, longer, (size_t)n_ctx + 1, &p), ECONTEXT);
    char want[200];
    snprintf(want, sizeof want,
             "prompt: %lld tokens after 0 in the cache, but the context holds %lld",
             (long long)n_ctx + 1, (long long)n_ctx);
    assert_string_equal(b.err.msg, want);
    assert_int_equal(engine_seq_len(b.e, b.seq), 0);
    free(longer);
    assert_int_equal(go(&b, prompt, 0, &p), EUSAGE);

    p = params(3 * n_ctx);
    p.context_shift = true;
    assert_ok(go(&b, prompt, N_PROMPT, &p));
    assert_int_equal(b.stats.end, GEN_LENGTH);
    assert_int_equal(b.stats.n_generated, 3 * n_ctx);
    assert_true(b.stats.n_shifts >= 3);
    assert_true(engine_seq_len(b.e, b.seq) <= n_ctx);
    bench_close(&b);
}

static void it_can_be_cancelled(void **state)
{
    (void)state;
    struct bench b;
    struct err err = {0};
    bench_open(&b, MODEL, 128, 8);
    struct gen_params p = params(20);
    b.heard.stop_after = 5;
    assert_ok(go(&b, prompt, N_PROMPT, &p));
    assert_int_equal(b.stats.end, GEN_CANCELLED);
    assert_int_equal(b.heard.events, 5);
    assert_int_equal(b.out.n, 5);
    bench_reset(&b);
    b.heard.stop_in_prompt = true;
    assert_ok(go(&b, prompt, N_PROMPT, &p));
    assert_int_equal(b.stats.end, GEN_CANCELLED);
    assert_int_equal(b.heard.chunks, 1);
    assert_int_equal(b.out.n, 0);
    bench_close(&b);
}

static void seeds_decide(void **state)
{
    (void)state;
    struct bench b;
    struct err err = {0};
    int32_t first[40];
    bench_open(&b, MODEL, 128, 64);
    int same = 0;
    for (int run = 0; run < 3; run++) {
        struct gen_params p = params(40);
        p.sampler = sampler_defaults;
        p.sampler.seed = run == 2 ? 8 : 7;
        bench_reset(&b);
        assert_ok(go(&b, prompt, N_PROMPT, &p));
        assert_int_equal(b.out.n, 40);
        if (run == 0)
            memcpy(first, b.out.id, sizeof first);
        if (run == 1)
            assert_memory_equal(first, b.out.id, sizeof first);
        for (int i = 0; run == 2 && i < 40; i++)
            same += first[i] == b.out.id[i];
    }
    assert_true(same < 30);
    bench_close(&b);
}

/* The prompt counts for the penalties: nothing in it is said again, and nothing twice. */
static void penalties_see_the_prompt(void **state)
{
    (void)state;
    struct bench b;
    struct err err = {0};
    bench_open(&b, MODEL, 128, 64);
    struct gen_params p = params(20);
    p.sampler.penalty_last_n = -1;
    p.sampler.presence_penalty = 1000;
    assert_ok(go(&b, prompt, N_PROMPT, &p));
    bool seen[512] = {0};
    for (int i = 0; i < N_PROMPT; i++)
        seen[prompt[i]] = true;
    for (int i = 0; i < 20; i++) {
        assert_false(seen[b.out.id[i]]);
        seen[b.out.id[i]] = true;
    }
    bench_close(&b);
}

/* What is in the cache already changes nothing: the same ids with any part of the prompt there. */
static void a_cached_prefix_changes_nothing(void **state)
{
    (void)state;
    struct bench b;
    struct err err = {0};
    int32_t first[30];
    bench_open(&b, MODEL, 128, 64);
    for (size_t cached = 0; cached < N_PROMPT; cached += 7) {
        struct gen_params p = params(30);
        p.sampler = sampler_defaults;
        p.sampler.seed = 3;
        p.sampler.repetition_penalty = 1.5;
        p.sampler.dry_multiplier = 1;
        p.history = prompt;
        p.n_history = cached;
        bench_reset(&b);
        if (cached > 0)
            assert_ok(engine_prefill(b.e, b.seq, prompt, cached, NULL, NULL, &err));
        assert_ok(go(&b, prompt + cached, N_PROMPT - cached, &p));
        assert_int_equal(b.stats.n_cached, cached);
        assert_int_equal(b.out.n, 30);
        if (cached == 0)
            memcpy(first, b.out.id, sizeof first);
        assert_memory_equal(b.out.id, first, sizeof first);
    }
    bench_close(&b);
}

static void bad_parameters_are_told(void **state)
{
    (void)state;
    struct bench b;
    struct err err = {0};
    bench_open(&b, MODEL, 64, 64);
    struct gen_params p = params(0);
    assert_ok(go(&b, prompt, N_PROMPT, &p));
    assert_int_equal(b.stats.end, GEN_LENGTH);
    assert_int_equal(b.out.n, 0);
    assert_int_equal(engine_seq_len(b.e, b.seq), N_PROMPT);
    bench_reset(&b);
    p.max_tokens = -2;
    assert_int_equal(go(&b, prompt, N_PROMPT, &p), EUSAGE);
    p = params(3);
    p.sampler.temperature = (double)NAN;
    assert_int_equal(go(&b, prompt, N_PROMPT, &p), EUSAGE);
    assert_int_equal(engine_seq_len(b.e, b.seq), 0);
    /* a model without a token to choose is an error, not a token */
    struct logit_bias *bans = calloc(512, sizeof *bans);
    for (int i = 0; i < 512; i++)
        bans[i] = (struct logit_bias){i, -INFINITY};
    p = params(3);
    p.sampler.bias = bans;
    p.sampler.n_bias = 512;
    assert_int_equal(go(&b, prompt, N_PROMPT, &p), EFAIL);
    assert_string_equal(b.err.msg, "no token can be chosen after 0: every logit is NaN, -infinity "
                                   "or banned");
    free(bans);
    bench_close(&b);
}

static int setup(void **state)
{
    (void)state;
    load_golden("llama32");
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_is_golden),
        cmocka_unit_test(stop_strings_end_it),
        cmocka_unit_test(held_back_text_is_told_at_the_end),
        cmocka_unit_test(end_tokens_end_it),
        cmocka_unit_test(full_context_is_told),
        cmocka_unit_test(it_can_be_cancelled),
        cmocka_unit_test(seeds_decide),
        cmocka_unit_test(penalties_see_the_prompt),
        cmocka_unit_test(a_cached_prefix_changes_nothing),
        cmocka_unit_test(bad_parameters_are_told),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
