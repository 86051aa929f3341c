/* Drafts change nothing but the speed: every answer of `generate` without them is compared with the
 * same one with drafts of several lengths, in ids, events, numbers, ends and errors, and in what
 * the KV cache holds afterwards, down to the bits of the logits that follow.
 *
 * Tiny models with random weights. Biases make them say few tokens over and over, so that drafts
 * are made, and sampling makes many of them wrong. */
#include "base/rng.h"
#include "base/utf8.h"
#include "engine/generate.h"
#include "golden.h"

enum { MAX_PROMPT = 160, MAX_BIAS = 8, MAX_STOPS = 2 };

struct setting {
    int32_t prompt[MAX_PROMPT];
    size_t n_prompt, n_cached; /* the first n_cached of them are in the cache before */
    struct gen_params p;
    struct logit_bias bias[MAX_BIAS];
    struct str stop[MAX_STOPS];
    int stop_after; /* events; 0: never */
};

struct outcome {
    enum status status;
    struct err err;
    struct tokens out;
    struct buf events, text;
    int n_events, stop_after;
    struct gen_stats stats;
    int64_t len;
    float *after; /* (n_vocab) logits of one more token */
};

static size_t vocab_of(const struct engine *e)
{
    struct model_info info;
    model_info(engine_model(e), &info);
    return (size_t)info.n_vocab;
}

static void note(struct buf *b, const void *p, size_t n)
{
    buf_addstr(b, (struct str){p, n});
}

/* Every bit of an event but padding. */
static int hear(void *ctx, const struct gen_event *ev)
{
    struct outcome *o = ctx;
    note(&o->events, &ev->text.n, sizeof ev->text.n);
    buf_addstr(&o->events, ev->text);
    buf_addstr(&o->text, ev->text);
    note(&o->events, &ev->prompt_done, sizeof ev->prompt_done);
    if (ev->tok) {
        const struct token_info *t = ev->tok;
        note(&o->events, &t->token, sizeof t->token);
        note(&o->events, &t->logprob, sizeof t->logprob);
        note(&o->events, &t->margin, sizeof t->margin);
        note(&o->events, &t->entropy, sizeof t->entropy);
        note(&o->events, &t->n_top, sizeof t->n_top);
        note(&o->events, t->top, (size_t)t->n_top * sizeof *t->top);
    }
    o->n_events += ev->prompt_total == 0;
    return o->stop_after && o->n_events >= o->stop_after;
}

static void outcome_free(struct outcome *o)
{
    tokens_free(&o->out);
    buf_release(&o->events);
    buf_release(&o->text);
    free(o->after);
}

/* What guesses beside prompt lookup; NULL: nothing. */
static struct draft_model *second;

static void say(struct engine *e, const struct setting *s, int draft, bool always,
                struct outcome *o)
{
    struct err err;
    struct gen_params p = s->p;
    int seq;
    *o = (struct outcome){.stop_after = s->stop_after};
    buf_init(&o->events, 1 << 24);
    buf_init(&o->text, 1 << 20);
    p.sampler.bias = s->bias;
    p.stop = s->stop;
    p.history = s->prompt;
    p.n_history = s->n_cached;
    p.draft = draft;
    p.draft_always = always;
    p.draft_model = draft ? second : NULL;
    assert_ok(engine_seq_new(e, &seq, &err));
    if (s->n_cached)
        assert_ok(engine_prefill(e, seq, s->prompt, s->n_cached, NULL, NULL, &err));
    o->status = generate(e, seq, s->prompt + s->n_cached, s->n_prompt - s->n_cached, &p, hear, o,
                         &o->out, &o->stats, &o->err);
    o->len = engine_seq_len(e, seq);
    if (o->len == engine_n_ctx(e)) /* room for one more */
        engine_seq_truncate(e, seq, o->len - 1);
    struct step_row row = {.token = 11, .seq = seq, .logits = true};
    enum status more = engine_step(e, &row, 1, &err);
    if (more == OK) {
        o->after = malloc(vocab_of(e) * sizeof *o->after);
        memcpy(o->after, engine_logits(e, 0), vocab_of(e) * sizeof *o->after);
    } else {
        assert_int_equal(more, ECONTEXT);
    }
    engine_seq_free(e, seq);
}

static void same_bytes(const char *what, const struct buf *a, const struct buf *b)
{
    if (a->n != b->n || (a->n && memcmp(a->p, b->p, a->n) != 0))
        fail_msg("%s: %zu bytes and %zu, which differ", what, a->n, b->n);
}

static void same(const struct engine *e, const struct outcome *a, const struct outcome *b)
{
    assert_int_equal(a->status, b->status);
    if (a->status != OK)
        assert_string_equal(a->err.msg, b->err.msg);
    assert_int_equal(a->out.n, b->out.n);
    if (a->out.n)
        assert_memory_equal(a->out.id, b->out.id, a->out.n * sizeof *a->out.id);
    same_bytes("events", &a->events, &b->events);
    same_bytes("text", &a->text, &b->text);
    assert_int_equal(a->stats.n_prompt, b->stats.n_prompt);
    assert_int_equal(a->stats.n_cached, b->stats.n_cached);
    assert_int_equal(a->stats.n_generated, b->stats.n_generated);
    assert_int_equal(a->stats.n_shifts, b->stats.n_shifts);
    assert_int_equal(a->stats.end, b->stats.end);
    assert_int_equal(a->stats.stop_index, b->stats.stop_index);
    assert_int_equal(a->len, b->len);
    assert_int_equal(!a->after, !b->after);
    if (a->after)
        assert_memory_equal(a->after, b->after, vocab_of(e) * sizeof *a->after);
    assert_true(b->stats.n_accepted <= b->stats.n_drafted);
}

static int64_t n_drafted, n_accepted;
static int ends[GEN_CANCELLED + 1]; /* of answers in which a draft was accepted */

/* All drafts beside none; `plain` is for the caller to release. */
static void check(struct engine *e, const struct setting *s, struct outcome *plain)
{
    static const int drafts[] = {1, 4, 16, 16};
    say(e, s, 0, false, plain);
    assert_int_equal(plain->stats.n_drafted, 0);
    for (size_t i = 0; i < sizeof drafts / sizeof *drafts; i++) {
        struct outcome o;
        say(e, s, drafts[i], i < 3, &o);
        same(e, plain, &o);
        n_drafted += o.stats.n_drafted;
        n_accepted += o.stats.n_accepted;
        ends[o.stats.end] += o.stats.n_accepted > 0;
        outcome_free(&o);
    }
}

static struct engine *open_engine(const struct model *m, int64_t n_ctx, int max_rows,
                                  enum kv_type kv)
{
    struct engine_options eo = {
        .n_threads = 1, .n_ctx = n_ctx, .max_rows = max_rows, .kv_type = kv};
    struct engine *e;
    struct err err;
    assert_ok(engine_new(&e, m, &eo, &err));
    return e;
}

static struct model *open_model(const char *path)
{
    struct model *m;
    char full[512];
    struct err err;
    assert_ok(model_open(&m, golden_path(full, path, ""), NULL, &err));
    return m;
}

/* ---- random settings ---- */

static double pick_of(struct rng *r, const double *v, size_t n)
{
    return v[rng_next(r) % n];
}
#define PICK(r, ...)                                                                               \
    pick_of(r, (const double[]){__VA_ARGS__}, sizeof((double[]){__VA_ARGS__}) / sizeof(double))

static void random_sampler(struct rng *r, struct sampler_params *p)
{
    *p = sampler_defaults;
    p->temperature = PICK(r, 0, 0, 0.3, 1, 3);
    p->top_k = (int64_t)PICK(r, 0, 2, 40);
    p->top_p = PICK(r, 1, 0.9, 0.5);
    p->min_p = PICK(r, 0, 0.05);
    p->typical_p = PICK(r, 1, 1, 0.8);
    p->repetition_penalty = PICK(r, 1, 1, 1.2);
    p->presence_penalty = PICK(r, 0, 0, 1);
    p->frequency_penalty = PICK(r, 0, 0, 0.2);
    p->penalty_last_n = (int64_t)PICK(r, -1, 5, 64);
    p->dry_multiplier = PICK(r, 0, 0, 1);
    p->xtc_probability = PICK(r, 0, 0, 0.5);
    p->mirostat = (int)PICK(r, 0, 0, 0, 2);
    p->n_top = (int)PICK(r, 0, 3);
    p->seed = rng_next(r);
}

static int32_t an_end(const struct model *m)
{
    for (int32_t id = 0; id < 512; id++)
        if (model_is_end(m, id))
            return id;
    fail_msg("the model has no end token");
    return -1;
}

static void random_setting(struct rng *r, const struct engine *e, struct setting *s)
{
    size_t vocab = vocab_of(e), room = (size_t)engine_n_ctx(e), period = 1 + rng_next(r) % 9;
    *s = (struct setting){.n_prompt = 1 + rng_next(r) % (room < MAX_PROMPT ? room : MAX_PROMPT)};
    bool repeats = rng_next(r) % 4 != 0;
    for (size_t i = 0; i < s->n_prompt; i++)
        s->prompt[i] = repeats && i >= period && rng_next(r) % 20 != 0
                           ? s->prompt[i - period]
                           : (int32_t)(rng_next(r) % (vocab - 20));
    s->n_cached = rng_next(r) % 2 ? rng_next(r) % s->n_prompt : 0;
    random_sampler(r, &s->p.sampler);
    if (rng_next(r) % 4 != 0) { /* few tokens, the prompt's among them, and sometimes an end */
        s->p.sampler.n_bias = 1 + rng_next(r) % MAX_BIAS;
        for (size_t i = 0; i < s->p.sampler.n_bias; i++)
            s->bias[i] =
                (struct logit_bias){s->prompt[rng_next(r) % s->n_prompt], (float)PICK(r, 3, 6, 30)};
        if (rng_next(r) % 2 == 0)
            s->bias[0] = (struct logit_bias){an_end(engine_model(e)), (float)PICK(r, 2, 6)};
    }
    s->p.max_tokens = (int64_t)PICK(r, -1, 1, 20, 60);
    s->p.min_tokens = (int64_t)PICK(r, 0, 0, 10);
    s->p.ignore_eos = rng_next(r) % 2;
    s->p.show_special = rng_next(r) % 2;
    s->p.context_shift = rng_next(r) % 3 == 0;
    if (s->p.context_shift)
        s->p.max_tokens = (int64_t)(room + rng_next(r) % 40);
    s->stop_after = rng_next(r) % 5 == 0 ? (int)(1 + rng_next(r) % 30) : 0;
}

/* A piece of an answer becomes a stop text, wherever it is. */
static void stop_in(struct rng *r, struct setting *s, const struct outcome *plain)
{
    if (plain->text.n < 4)
        return;
    size_t at = rng_next(r) % (plain->text.n - 2), n = 1 + rng_next(r) % (plain->text.n - at);
    struct str all = {plain->text.p, plain->text.n}, piece = str_slice(all, at, at + n % 12 + 1);
    if (utf8_valid_prefix(piece) != piece.n)
        return;
    s->stop[0] = STR("it never says this");
    s->stop[1] = piece;
    s->p.n_stop = 2;
}

static void nothing_changes(const char *path, int64_t n_ctx, int max_rows, enum kv_type kv,
                            uint64_t seed)
{
    struct model *m = open_model(path);
    struct engine *e = open_engine(m, n_ctx, max_rows, kv);
    struct rng r;
    rng_seed(&r, seed);
    for (int i = 0; i < (second ? 4 : 12); i++) {
        struct setting s;
        struct outcome plain, stopped;
        random_setting(&r, e, &s);
        check(e, &s, &plain);
        stop_in(&r, &s, &plain);
        if (s.p.n_stop) {
            check(e, &s, &stopped);
            outcome_free(&stopped);
        }
        outcome_free(&plain);
    }
    engine_free(e);
    model_close(m);
}

static void random_answers_are_the_same(void **state)
{
    (void)state;
    n_drafted = n_accepted = 0;
    memset(ends, 0, sizeof ends);
    nothing_changes("gguf/llama32-bf16.gguf", 96, 64, KV_F16, 1);
    nothing_changes("gguf/llama32-bf16.gguf", 70, 7, KV_Q8, 2);
    nothing_changes("gguf/mixtral-bf16.gguf", 80, 40, KV_F16, 3);
    nothing_changes("hf/gemma2", 96, 256, KV_F32, 4);
    nothing_changes("hf/llama2", 50, 1, KV_F16, 5); /* a step of one row has no drafts */
    /* the cases are what they are meant to be */
    assert_true(n_accepted > 300);
    assert_true(n_drafted - n_accepted > 300);
    for (int end = GEN_STOP; end <= GEN_CANCELLED; end++)
        assert_true(ends[end] > 0);
}

/* ---- one thing at a time ---- */

/* A prompt of one token 40 times and a bias that makes the model go on with it: all drafts are
 * right, and whatever ends the answer does so inside one. */
static void setting_of_one(struct setting *s, int32_t token)
{
    *s = (struct setting){.n_prompt = 40};
    for (size_t i = 0; i < s->n_prompt; i++)
        s->prompt[i] = token;
    s->p.sampler = sampler_defaults;
    s->p.sampler.temperature = 0;
    s->p.sampler.n_bias = 1;
    s->bias[0] = (struct logit_bias){token, 100};
    s->p.max_tokens = 50;
}

static void ends_inside_a_draft(void **state)
{
    (void)state;
    struct model *m = open_model("gguf/llama32-bf16.gguf");
    struct engine *e = open_engine(m, 128, 64, KV_F16);
    const int32_t token = 300;
    struct setting s;
    struct outcome plain, o;

    setting_of_one(&s, token); /* nothing: 50 tokens are one plain row and drafts behind it */
    check(e, &s, &plain);
    assert_int_equal(plain.stats.end, GEN_LENGTH);
    say(e, &s, 16, true, &o);
    assert_int_equal(o.stats.n_generated, 50);
    assert_int_equal(o.stats.n_accepted, o.stats.n_drafted);
    assert_int_equal(o.stats.n_accepted, 46); /* 1 + 3 * 17 > 50: a first token and three steps */
    assert_int_equal(o.len, 40 + 49);
    outcome_free(&o);
    char stop[64];
    size_t piece = plain.text.n / 50;
    assert_true(piece > 0 && 5 * piece < sizeof stop);
    memcpy(stop, plain.text.p, 5 * piece);
    outcome_free(&plain);

    s.stop[0] = (struct str){stop, 5 * piece};
    s.p.n_stop = 1;
    check(e, &s, &plain);
    assert_int_equal(plain.stats.end, GEN_STOP_STRING);
    assert_int_equal(plain.stats.n_generated, 5);
    assert_int_equal(plain.len, 40 + 4);
    outcome_free(&plain);
    s.p.n_stop = 0;

    s.stop_after = 7;
    check(e, &s, &plain);
    assert_int_equal(plain.stats.end, GEN_CANCELLED);
    assert_int_equal(plain.len, 40 + 6);
    outcome_free(&plain);
    s.stop_after = 0;

    s.p.min_tokens = 9; /* an end token as soon as it may be */
    s.p.sampler.n_bias = 2;
    s.bias[1] = (struct logit_bias){an_end(m), 200};
    check(e, &s, &plain);
    assert_int_equal(plain.stats.end, GEN_STOP);
    assert_int_equal(plain.stats.n_generated, 10);
    assert_int_equal(plain.len, 40 + 9);
    outcome_free(&plain);
    s.p.sampler.n_bias = 1;

    s.p.max_tokens = -1;
    check(e, &s, &plain);
    assert_int_equal(plain.stats.end, GEN_CONTEXT);
    assert_int_equal(plain.len, 128);
    outcome_free(&plain);
    s.p.max_tokens = 300;
    s.p.context_shift = true;
    check(e, &s, &plain);
    assert_int_equal(plain.stats.end, GEN_LENGTH);
    assert_true(plain.stats.n_shifts >= 3);
    outcome_free(&plain);
    engine_free(e);
    model_close(m);
}

/* A draft holds no end token (nothing is picked behind one) and nothing that the model has no
 * embedding for, whatever the history says. */
static void drafts_are_tokens_that_can_follow(void **state)
{
    (void)state;
    struct model *m = open_model("gguf/llama32-bf16.gguf");
    struct engine *e = open_engine(m, 128, 64, KV_F16);
    struct setting s;
    struct outcome plain;
    setting_of_one(&s, 300);
    for (size_t i = 0; i < s.n_prompt; i += 2)
        s.prompt[i] = an_end(m);
    check(e, &s, &plain);
    outcome_free(&plain);
    struct err err;
    struct tokens out = {0};
    struct gen_stats stats;
    int32_t history[40], prompt[2] = {300, 300};
    for (int i = 0; i < 40; i++)
        history[i] = i % 2 ? 300 : i % 4 ? INT32_MAX : -7;
    int seq;
    assert_ok(engine_seq_new(e, &seq, &err));
    struct gen_params p = s.p;
    p.sampler.bias = s.bias;
    p.history = history;
    p.n_history = 40;
    p.draft = 16;
    p.draft_always = true;
    assert_ok(generate(e, seq, prompt, 2, &p, NULL, NULL, &out, &stats, &err));
    assert_int_equal(stats.n_generated, 50);
    tokens_free(&out);
    p.draft = DRAFT_MAX + 1;
    assert_int_equal(generate(e, seq, prompt, 2, &p, NULL, NULL, NULL, NULL, &err), EUSAGE);
    assert_string_equal(err.msg, "draft: 65, expected 0 (off) to 64");
    p.draft = -1;
    assert_int_equal(generate(e, seq, prompt, 2, &p, NULL, NULL, NULL, NULL, &err), EUSAGE);
    engine_free(e);
    model_close(m);
}

/* Another sequence holds the pages that a draft would need: the answer ends where it would. */
static void drafts_need_no_pages_that_are_not_free(void **state)
{
    (void)state;
    struct model *m = open_model("gguf/llama32-bf16.gguf");
    struct engine *e = open_engine(m, 128, 64, KV_F16); /* 3 pages of 64 */
    struct setting s;
    struct outcome plain;
    struct err err;
    int other, ours;
    setting_of_one(&s, 300);
    assert_ok(engine_seq_new(e, &other, &err));
    int32_t fill[65] = {0};
    assert_ok(engine_prefill(e, other, fill, 65, NULL, NULL, &err));
    check(e, &s, &plain);
    assert_int_equal(plain.stats.end, GEN_CONTEXT);
    assert_int_equal(plain.len, 64);
    outcome_free(&plain);

    assert_ok(engine_seq_new(e, &ours, &err));
    assert_ok(engine_prefill(e, ours, s.prompt, 40, NULL, NULL, &err));
    assert_int_equal(engine_seq_ahead(e, ours, 10), 10);
    assert_int_equal(engine_seq_ahead(e, ours, 50), 24);
    engine_seq_free(e, other);
    assert_int_equal(engine_seq_ahead(e, ours, 50), 50);
    assert_int_equal(engine_seq_ahead(e, ours, 100), 88);
    engine_free(e);
    model_close(m);
}

/* Angles that change with the length: a draft stops where the change would reach its rows. */
static void drafts_respect_the_trained_length(void **state)
{
    (void)state;
    struct err err;
    struct setting s;
    struct outcome plain, o;
    struct model *m = golden_with_config(
        "phi3", "{\"original_max_position_embeddings\":70,\"rope_scaling\":{\"type\":\"longrope\","
                "\"short_factor\":[1,1,1,1,1,1,1,1.1,1.2,1.3,1.4,1.5,1.6,1.7,1.8,2],"
                "\"long_factor\":[1,1,1,1.5,2,2,3,3,4,4,5,6,7,8,9,10]}}");
    struct engine *e = open_engine(m, 128, 32, KV_F16);
    setting_of_one(&s, 300);
    check(e, &s, &plain);
    outcome_free(&plain);
    say(e, &s, 16, true, &o);
    assert_true(o.stats.n_accepted > 30); /* before and behind */
    outcome_free(&o);
    s.p.sampler.n_bias = 0;
    check(e, &s, &plain);
    outcome_free(&plain);
    int seq;
    assert_ok(engine_seq_new(e, &seq, &err));
    assert_ok(engine_prefill(e, seq, s.prompt, 40, NULL, NULL, &err));
    assert_int_equal(engine_seq_ahead(e, seq, 32), 30);
    engine_free(e);
    model_close(m);

    m = golden_with_config("llama2", "{\"max_position_embeddings\":60,\"rope_scaling\":{"
                                     "\"type\":\"dynamic\",\"factor\":2.0}}");
    e = open_engine(m, 128, 32, KV_F16);
    setting_of_one(&s, 300);
    check(e, &s, &plain);
    outcome_free(&plain);
    say(e, &s, 16, true, &o);
    assert_int_equal(o.stats.n_accepted,
                     18); /* 20 rows of two steps; then each length is its own */
    outcome_free(&o);
    engine_free(e);
    model_close(m);
}

/* ---- a second model ---- */

static struct draft_model *draft_of(const struct model *draft, const struct model *target,
                                    int64_t n_ctx, int max_rows)
{
    struct engine_options eo = {.n_threads = 1, .n_ctx = n_ctx, .max_rows = max_rows};
    struct draft_model *d;
    struct err err;
    assert_ok(draft_model_new(&d, draft, target, &eo, &err));
    return d;
}

/* The same weights in another form: it is right often, and often not. */
static struct model *open_quantized(const char *path, enum qtype type)
{
    struct model_options mo = MODEL_OPTIONS_INIT;
    struct model *m;
    char full[512];
    struct err err;
    mo.quantize = type;
    assert_ok(model_open(&m, golden_path(full, path, ""), &mo, &err));
    return m;
}

/* A text as a wish names it. */
static int32_t token_of(const void *text, size_t i)
{
    return ((const int32_t *)text)[i];
}

enum { TEXTS = 4, AHEAD = 20 };

/* What it guesses is what `generate` says greedily, for several texts of several lengths in common
 * steps, of which one is read in pieces; and again when the texts have gone on otherwise. */
static void guesses_are_the_greedy_continuation(void **state)
{
    (void)state;
    struct model *m = open_model("gguf/llama32-bf16.gguf");
    struct engine *e = open_engine(m, 256, 64, KV_F16);
    struct draft_model *d = draft_of(m, m, 1024, 64);
    static const size_t lengths[TEXTS] = {1, 7, 60, 140};
    struct setting s[TEXTS] = {0};
    struct draft_wish wish[TEXTS], *wishes[TEXTS];
    int32_t out[TEXTS][AHEAD];
    for (size_t t = 0; t < TEXTS; t++) {
        s[t].n_prompt = lengths[t];
        for (size_t i = 0; i < s[t].n_prompt; i++)
            s[t].prompt[i] = (int32_t)((i * 37 + t * i * i) % 500);
        s[t].p.sampler = sampler_defaults;
        s[t].p.sampler.temperature = 0;
        s[t].p.ignore_eos = true;
        s[t].p.max_tokens = AHEAD;
        wish[t] = (struct draft_wish){.seq = draft_seq_open(d),
                                      .token = token_of,
                                      .text = s[t].prompt,
                                      .n_text = s[t].n_prompt,
                                      .out = out[t]};
        assert_non_null(wish[t].seq);
        wishes[t] = &wish[t];
    }
    for (int round = 0; round < 2; round++) {
        for (int call = 0; call < 8; call++) {
            for (size_t t = 0; t < TEXTS; t++)
                wish[t].want = AHEAD - (int)t;
            draft_model_make(d, wishes, TEXTS, 30);
            for (size_t t = 0; t < TEXTS; t++)
                assert_true(wish[t].n == AHEAD - (int)t || (wish[t].n == 0 && call < 5));
            assert_int_equal(wish[0].n, AHEAD); /* the long one holds up nobody */
        }
        for (size_t t = 0; t < TEXTS; t++) {
            struct outcome o;
            say(e, &s[t], 0, false, &o);
            assert_int_equal(o.out.n, AHEAD);
            assert_memory_equal(o.out.id, out[t], (size_t)wish[t].n * sizeof *out[t]);
            outcome_free(&o);
            s[t].prompt[s[t].n_prompt++] = out[t][0];
            s[t].prompt[s[t].n_prompt++] = (out[t][1] + 1) % 500; /* one was right, one was not */
            wish[t].n_text = s[t].n_prompt;
        }
    }
    for (size_t t = 0; t < TEXTS; t++)
        draft_seq_close(wish[t].seq, 0, 0);
    draft_model_free(d);
    engine_free(e);
    model_close(m);
}

static void any_model_may_guess(const char *path, const char *draft, enum qtype type, int64_t n_ctx,
                                int64_t draft_ctx, int draft_rows, uint64_t seed)
{
    struct model *m = open_model(path);
    struct model *q = type == QT_COUNT ? open_model(draft) : open_quantized(draft, type);
    second = draft_of(q, m, draft_ctx, draft_rows);
    nothing_changes(path, n_ctx, 64, KV_F16, seed);
    draft_model_free(second);
    second = NULL;
    model_close(q);
    model_close(m);
}

static void answers_are_the_same_with_a_second_model(void **state)
{
    (void)state;
    n_drafted = n_accepted = 0;
    any_model_may_guess("hf/qwen2", "hf/qwen2", QT_Q4_0, 96, 96, 64, 11);
    any_model_may_guess("hf/llama2", "hf/llama2", QT_Q8_0, 96, 96, 64, 12);
    any_model_may_guess("hf/mistral", "hf/llama2", QT_COUNT, 96, 96, 64, 13); /* a stranger */
    any_model_may_guess("hf/llama2", "hf/llama2", QT_Q8_0, 120, 40, 3, 14);   /* it forgets */
    any_model_may_guess("hf/llama2", "hf/llama2", QT_Q8_0, 60, 2, 1, 15);     /* it knows nothing */
    assert_true(n_accepted > 300);
    assert_true(n_drafted - n_accepted > 300);
}

static void expect_refusal(const char *draft, const char *target, const char *what)
{
    struct model *a = open_model(draft), *b = open_model(target);
    struct engine_options eo = {.n_threads = 1, .n_ctx = 64};
    struct draft_model *d;
    struct err err;
    assert_int_equal(draft_model_new(&d, a, b, &eo, &err), EUSAGE);
    assert_null(d);
    if (!strstr(err.msg, what))
        fail_msg("'%s', expected '%s'", err.msg, what);
    model_close(a);
    model_close(b);
}

static void the_vocabularies_have_to_agree(void **state)
{
    (void)state;
    expect_refusal("gguf/llama32-bf16.gguf", "hf/llama2", "expected models of one vocabulary");
    expect_refusal("gguf/distilbert_seqcls-bf16.gguf", "hf/llama2", "is an encoder");
}

/* What an answer left behind begins the next one that begins alike. */
static void what_was_read_is_not_read_again(void **state)
{
    (void)state;
    struct model *m = open_model("gguf/llama32-bf16.gguf");
    struct engine *e = open_engine(m, 256, 64, KV_F16);
    struct setting s = {.n_prompt = 100};
    struct outcome plain, o;
    second = draft_of(m, m, 256, 4); /* a prompt takes it 25 steps */
    for (size_t i = 0; i < s.n_prompt; i++)
        s.prompt[i] = (int32_t)(i * i % 499);
    s.p.sampler = sampler_defaults;
    s.p.sampler.temperature = 0;
    s.p.ignore_eos = true;
    s.p.max_tokens = 12;
    int64_t drafted[2];
    say(e, &s, 0, false, &plain);
    for (int i = 0; i < 2; i++) {
        say(e, &s, 1, true, &o);
        same(e, &plain, &o);
        drafted[i] = o.stats.n_drafted;
        outcome_free(&o);
        s.p.max_tokens = 12 + 40 * (i == 0);
        if (i == 0) { /* it reads the rest */
            say(e, &s, 1, true, &o);
            outcome_free(&o);
            s.p.max_tokens = 12;
        }
    }
    assert_true(drafted[1] > drafted[0]);
    outcome_free(&plain);
    draft_model_free(second);
    second = NULL;
    engine_free(e);
    model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_answers_are_the_same),
        cmocka_unit_test(ends_inside_a_draft),
        cmocka_unit_test(drafts_are_tokens_that_can_follow),
        cmocka_unit_test(drafts_need_no_pages_that_are_not_free),
        cmocka_unit_test(drafts_respect_the_trained_length),
        cmocka_unit_test(guesses_are_the_greedy_continuation),
        cmocka_unit_test(answers_are_the_same_with_a_second_model),
        cmocka_unit_test(the_vocabularies_have_to_agree),
        cmocka_unit_test(what_was_read_is_not_read_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
