/* The scheduler: many threads ask at once, and every answer is the one that `generate` gives alone,
 * whatever ran beside it, was shared, was held back or had to be computed again. */
#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "chat/sched.h"
#include "engine/embed.h"
#include "support.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MODEL HEARTH_SOURCE_DIR "/tests/data/golden/gguf/llama32-bf16.gguf"

enum { MAX_PROMPT = 400, MAX_ANSWER = 96 };

/* One request, and what came of it. */
struct ask {
    struct provider *p;
    int32_t prompt[MAX_PROMPT];
    size_t n_prompt;
    struct gen_params params;
    struct logit_bias bias[4];
    int priority;
    int64_t deadline_ns;
    atomic_int cancel;
    int stop_after, cancel_after; /* events; 0: never */
    useconds_t slow;              /* the sink sleeps so long at each event */
    atomic_int *gate;             /* it waits at each event until this is set; or NULL */
    bool logprobs;

    enum status status;
    struct err err;
    struct buf text;
    struct tokens tokens;
    int n_events, n_done, n_error, n_read;
    struct chat_usage usage;
    pthread_t thread;
};

static int on_event(void *ctx, const struct chat_event *ev)
{
    struct ask *a = ctx;
    if (a->n_done || a->n_error)
        abort(); /* nothing comes behind the end */
    switch (ev->kind) {
    case CHAT_READING: a->n_read++; break;
    case CHAT_TEXT:
        buf_addstr(&a->text, ev->text);
        if (ev->token && !tokens_add(&a->tokens, ev->token->token))
            abort();
        if (a->logprobs && ev->token &&
            (!ev->logprob || ev->logprob->token != ev->token->token ||
             ev->logprob->n_top != ev->token->n_top))
            abort();
        break;
    case CHAT_DONE:
        a->n_done++;
        a->usage = *ev->usage;
        break;
    case CHAT_ERROR: a->n_error++; break;
    case CHAT_THINKING:
    case CHAT_CALL: abort();
    }
    a->n_events++;
    if (a->slow)
        usleep(a->slow);
    while (a->gate && !atomic_load(a->gate))
        usleep(200);
    if (a->cancel_after && a->n_events == a->cancel_after)
        atomic_store(&a->cancel, 1);
    return a->stop_after && a->n_events >= a->stop_after;
}

static void *ask_main(void *ctx)
{
    struct ask *a = ctx;
    struct chat_request r = {.tokens = a->prompt,
                             .n_tokens = a->n_prompt,
                             .params = a->params,
                             .logprobs = a->logprobs,
                             .priority = a->priority,
                             .deadline_ns = a->deadline_ns,
                             .cancel = &a->cancel};
    struct chat_sink sink = {on_event, a};
    r.params.sampler.bias = a->bias;
    a->status = provider_chat(a->p, &r, &sink, &a->err);
    return NULL;
}

static void ask_init(struct ask *a)
{
    buf_init(&a->text, 1 << 20);
}

static void ask_free(struct ask *a)
{
    buf_release(&a->text);
    tokens_free(&a->tokens);
}

static void ask_start(struct ask *a, struct provider *p)
{
    a->p = p;
    assert_int_equal(pthread_create(&a->thread, NULL, ask_main, a), 0);
}

static void ask_wait(struct ask *a)
{
    pthread_join(a->thread, NULL);
    assert_int_equal(a->n_done, a->status == OK);
    assert_int_equal(a->n_error, a->status != OK);
}

/* ---- the reference ---- */

struct alone {
    struct engine *e;
    int64_t n_ctx;
};

static int on_alone(void *ctx, const struct gen_event *ev)
{
    struct ask *a = ctx;
    buf_addstr(&a->text, ev->text);
    if (ev->tok && !tokens_add(&a->tokens, ev->tok->token))
        abort();
    return 0;
}

/* What `a` should have been told, had nobody stopped it. */
static void answer_alone(struct alone *ref, const struct ask *a, struct ask *out,
                         struct gen_stats *stats)
{
    struct err err;
    struct gen_params p = a->params;
    int seq;
    *out = (struct ask){0};
    ask_init(out);
    p.sampler.bias = a->bias;
    p.n_ctx = ref->n_ctx;
    assert_ok(engine_seq_new(ref->e, &seq, &err));
    assert_ok(generate(ref->e, seq, a->prompt, a->n_prompt, &p, on_alone, out, NULL, stats, &err));
    engine_seq_free(ref->e, seq);
}

static void same_answer(struct alone *ref, const struct ask *a)
{
    struct ask want;
    struct gen_stats stats;
    answer_alone(ref, a, &want, &stats);
    bool cut = a->status == ELIMIT || a->usage.end == GEN_CANCELLED;
    if (!cut) {
        if (a->status != OK)
            fail_msg("a request failed: %s", a->err.msg);
        assert_int_equal(a->usage.end, stats.end);
        assert_int_equal(a->usage.answer_tokens, stats.n_generated);
        assert_int_equal(a->usage.prompt_tokens, a->n_prompt);
        assert_int_equal(a->text.n, want.text.n);
        assert_int_equal(a->tokens.n, want.tokens.n);
    }
    /* a part of it, if it was stopped */
    assert_true(a->tokens.n <= want.tokens.n && a->text.n <= want.text.n);
    assert_memory_equal(buf_str(&a->text).p, buf_str(&want.text).p, a->text.n);
    for (size_t i = 0; i < a->tokens.n; i++)
        assert_int_equal(a->tokens.id[i], want.tokens.id[i]);
    ask_free(&want);
}

/* ---- fixture ---- */

struct fixture {
    struct model *model;
    int32_t n_vocab;
};

static struct fixture fix;

static int setup(void **state)
{
    (void)state;
    struct err err;
    struct model_info info;
    assert_ok(model_open(&fix.model, MODEL, NULL, &err));
    model_info(fix.model, &info);
    fix.n_vocab = (int32_t)info.n_vocab;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    model_close(fix.model);
    return 0;
}

/* Guesses for all of them; NULL: none does. */
static struct model *second;

static struct provider *scheduler(int64_t n_ctx, int64_t max_ctx, int max_rows, int max_queue)
{
    struct sched_options o = {
        .draft = second,
        .engine = {.n_threads = 2, .n_ctx = n_ctx, .max_rows = max_rows},
        .max_ctx = max_ctx,
        .max_queue = max_queue,
    };
    struct err err;
    struct provider *p;
    assert_ok(sched_new(&p, fix.model, &o, &err));
    return p;
}

static struct alone reference(int64_t n_ctx)
{
    struct engine_options o = {.n_threads = 1, .n_ctx = n_ctx};
    struct alone ref = {.n_ctx = n_ctx};
    struct err err;
    assert_ok(engine_new(&ref.e, fix.model, &o, &err));
    return ref;
}

static void fill(struct rng *r, int32_t *ids, size_t n, int32_t n_vocab)
{
    for (size_t i = 0; i < n; i++)
        ids[i] = (int32_t)(rng_next(r) % (uint64_t)n_vocab);
}

static int64_t below(struct rng *r, int64_t n)
{
    return (int64_t)(rng_next(r) % (uint64_t)n);
}

static struct ask simple(uint64_t seed, size_t n_prompt, int64_t max_tokens)
{
    struct ask a = {.n_prompt = n_prompt};
    struct rng r;
    rng_seed(&r, seed);
    fill(&r, a.prompt, n_prompt, fix.n_vocab);
    a.params = (struct gen_params){
        .sampler = sampler_defaults, .max_tokens = max_tokens, .ignore_eos = true};
    a.params.sampler.seed = seed;
    ask_init(&a);
    return a;
}

/* A request of any kind. Some share beginnings, some repeat themselves so that drafts are made. */
static void any_request(struct rng *r, const int32_t *common, size_t longest, struct ask *a)
{
    *a = simple(rng_next(r), 1 + (size_t)below(r, (int64_t)longest), below(r, MAX_ANSWER));
    if (below(r, 2)) {
        size_t n = (size_t)below(r, (int64_t)a->n_prompt + 1);
        memcpy(a->prompt, common, n * sizeof *common);
    }
    struct sampler_params *s = &a->params.sampler;
    if (below(r, 3) == 0)
        s->temperature = 0;
    if (below(r, 3) == 0)
        s->repetition_penalty = 1.2;
    if (below(r, 4) == 0)
        s->mirostat = 2;
    if (below(r, 2)) {
        for (int i = 0; i < 4; i++)
            a->bias[i] = (struct logit_bias){100 + i, 30};
        s->n_bias = 4;
    }
    s->n_top = (int)below(r, 3);
    a->logprobs = below(r, 2);
    a->params.draft = below(r, 2) ? 8 : 0;
    a->params.draft_always = below(r, 2);
    a->params.ignore_eos = below(r, 2);
    a->params.context_shift = below(r, 6) == 0;
    a->params.min_tokens = below(r, 4);
    a->priority = (int)below(r, 3);
    if (below(r, 5) == 0)
        a->stop_after = 1 + (int)below(r, 20);
    else if (below(r, 6) == 0)
        a->cancel_after = 1 + (int)below(r, 20);
    if (below(r, 8) == 0)
        a->slow = (useconds_t)below(r, 1000);
}

/* ---- tests ---- */

static void wait_for(struct provider *p, int running, int waiting)
{
    for (;;) {
        struct sched_stats s;
        sched_stats(p, &s);
        if (s.running >= running && s.waiting >= waiting)
            return;
        usleep(500);
    }
}

/* n random requests at once on a cache of n_ctx tokens. */
static void storm(uint64_t seed, int n, int64_t n_ctx, int64_t max_ctx, int max_rows,
                  struct sched_stats *stats)
{
    struct rng r;
    int32_t shared[MAX_PROMPT];
    struct provider *p = scheduler(n_ctx, max_ctx, max_rows, 0);
    struct alone ref = reference(max_ctx);
    struct ask *asks = mem_array((size_t)n, sizeof *asks);
    rng_seed(&r, seed);
    fill(&r, shared, MAX_PROMPT, fix.n_vocab);
    for (int i = 0; i < n; i++)
        any_request(&r, shared, (size_t)max_ctx - 20, &asks[i]);
    for (int i = 0; i < n; i++)
        ask_start(&asks[i], p);
    for (int i = 0; i < n; i++)
        ask_wait(&asks[i]);
    sched_stats(p, stats);
    provider_free(p);
    for (int i = 0; i < n; i++) {
        same_answer(&ref, &asks[i]);
        ask_free(&asks[i]);
    }
    free(asks);
    engine_free(ref.e);
}

static void test_answers_are_those_alone(void **state)
{
    (void)state;
    struct sched_stats stats;
    storm(1, 24, 8192, 256, 64, &stats);
    assert_true(stats.cached_tokens > 0);
    assert_int_equal(stats.preempted, 0);
    storm(2, 24, 2048, 200, 16, &stats);
}

/* A cache that a few sequences fill: answers are thrown out and computed again. */
static void test_small_cache(void **state)
{
    (void)state;
    struct sched_stats stats;
    struct provider *p = scheduler(256, 0, 32, 0);
    struct alone ref = reference(256);
    struct ask asks[12];
    for (int i = 0; i < 12; i++) {
        asks[i] = simple(70 + (uint64_t)i, 20, 90 + i);
        asks[i].params.sampler.repetition_penalty = 1.1;
        asks[i].params.sampler.mirostat = i % 3 == 0 ? 2 : 0;
        asks[i].priority = i % 2;
        asks[i].params.context_shift = i % 5 == 0;
        if (i % 5 == 0)
            asks[i].params.max_tokens = 300;
        ask_start(&asks[i], p);
    }
    for (int i = 0; i < 12; i++)
        ask_wait(&asks[i]);
    sched_stats(p, &stats);
    assert_true(stats.preempted > 0);
    provider_free(p);
    for (int i = 0; i < 12; i++) {
        same_answer(&ref, &asks[i]);
        ask_free(&asks[i]);
    }
    engine_free(ref.e);
    storm(3, 20, 320, 160, 24, &stats);
}

/* Contexts that were shifted cannot be computed again; they are put aside whole. */
static void test_shifted(void **state)
{
    (void)state;
    struct sched_stats stats;
    struct provider *p = scheduler(320, 256, 32, 0);
    struct alone ref = reference(256);
    /* six pages: the first fills four and is shifted, until the second, which goes before it,
     * needs its fourth */
    struct ask asks[2] = {simple(171, 250, 1500), simple(170, 10, 240)};
    for (int i = 0; i < 2; i++) {
        asks[i].params.context_shift = true;
        asks[i].params.sampler.repetition_penalty = 1.1;
        asks[i].priority = i;
        ask_start(&asks[i], p);
        if (i == 0)
            wait_for(p, 1, 0);
    }
    for (int i = 0; i < 2; i++)
        ask_wait(&asks[i]);
    sched_stats(p, &stats);
    assert_true(stats.preempted > 0);
    provider_free(p);
    for (int i = 0; i < 2; i++) {
        same_answer(&ref, &asks[i]);
        ask_free(&asks[i]);
    }
    engine_free(ref.e);
}

static void test_prefixes(void **state)
{
    (void)state;
    struct provider *p = scheduler(4096, 0, 32, 0);
    struct alone ref = reference(4096);
    struct ask first = simple(5, 200, 10), again = simple(5, 200, 10), longer = simple(5, 260, 10);
    struct ask *in_turn[] = {&first, &again, &longer};
    for (int i = 0; i < 3; i++) {
        ask_start(in_turn[i], p);
        ask_wait(in_turn[i]);
        same_answer(&ref, in_turn[i]);
    }
    assert_int_equal(first.usage.cached_tokens, 0);
    assert_int_equal(again.usage.cached_tokens, 199); /* one is computed for its logits */
    assert_int_equal(longer.usage.cached_tokens, 200);

    /* alike and at once: one reads, the others wait for it */
    struct ask twins[6];
    int64_t cached = 0;
    for (int i = 0; i < 6; i++) {
        twins[i] = simple(900, 300, 5);
        ask_start(&twins[i], p);
    }
    for (int i = 0; i < 6; i++) {
        ask_wait(&twins[i]);
        same_answer(&ref, &twins[i]);
        cached += twins[i].usage.cached_tokens;
        ask_free(&twins[i]);
    }
    assert_int_equal(cached, 5 * 299);
    for (int i = 0; i < 3; i++)
        ask_free(in_turn[i]);
    provider_free(p);
    engine_free(ref.e);
}

/* The same answers with a model that guesses ahead: the target's own weights, which are always
 * right where prompt lookup is silent, and in a cache that is too small for all. */
static void test_second_model(void **state)
{
    (void)state;
    struct sched_stats stats;
    second = fix.model;
    storm(21, 16, 8192, 256, 64, &stats);
    assert_true(stats.cached_tokens > 0);
    assert_true(stats.accepted > 10);
    assert_true(stats.drafted > stats.accepted);
    test_small_cache(state);
    test_shifted(state);
    storm(23, 12, 320, 160, 24, &stats);

    /* four at once that say nothing twice: nearly all tokens come as right guesses */
    struct provider *p = scheduler(2048, 0, 64, 0);
    struct alone ref = reference(2048);
    struct ask asks[4];
    for (int i = 0; i < 4; i++) {
        asks[i] = simple(300 + (uint64_t)i, 30, 60);
        asks[i].params.sampler.temperature = 0;
        asks[i].params.draft = 8;
        asks[i].params.draft_always = true;
        ask_start(&asks[i], p);
    }
    int64_t drafted = 0, accepted = 0;
    for (int i = 0; i < 4; i++) {
        ask_wait(&asks[i]);
        same_answer(&ref, &asks[i]);
        drafted += asks[i].usage.drafted_tokens;
        accepted += asks[i].usage.accepted_tokens;
        ask_free(&asks[i]);
    }
    assert_true(accepted >= 150 && accepted <= drafted);
    provider_free(p);
    engine_free(ref.e);
    second = NULL;
}

static void test_strange_second_model(void **state)
{
    (void)state;
    struct sched_options o = {.engine = {.n_threads = 1, .n_ctx = 256}};
    struct model *m;
    struct provider *p;
    struct err err;
    assert_ok(model_open(&m, HEARTH_SOURCE_DIR "/tests/data/golden/hf/llama2", NULL, &err));
    o.draft = m;
    assert_int_equal(sched_new(&p, fix.model, &o, &err), EUSAGE);
    assert_null(p);
    assert_non_null(strstr(err.msg, "expected models of one vocabulary"));
    model_close(m);
}

/* A request that goes on until it is cancelled. */
static struct ask endless(uint64_t seed)
{
    struct ask a = simple(seed, 100, -1);
    a.params.context_shift = true;
    return a;
}

/* ---- embeddings ---- */

struct embed_ask {
    struct provider *p;
    int32_t ids[MAX_PROMPT];
    size_t n;
    enum pooling how;
    atomic_int cancel;
    float v[1024];
    enum status status;
    struct err err;
    pthread_t thread;
};

static void *embed_main(void *ctx)
{
    struct embed_ask *a = ctx;
    struct embed_text t = {a->ids, a->n, a->v};
    a->status = sched_embed(a->p, &t, 1, a->how, &a->cancel, &a->err);
    return NULL;
}

static void embed_start(struct embed_ask *a, struct provider *p, uint64_t seed, size_t n)
{
    static const enum pooling hows[] = {POOL_MEAN, POOL_LAST, POOL_CLS};
    struct rng r;
    rng_seed(&r, seed);
    a->p = p;
    a->n = n;
    a->how = hows[seed % 3];
    fill(&r, a->ids, n, fix.n_vocab);
    assert_int_equal(pthread_create(&a->thread, NULL, embed_main, a), 0);
}

static void same_embedding(struct alone *ref, const struct embed_ask *a)
{
    struct err err;
    struct model_info info;
    float want[1024];
    model_info(fix.model, &info);
    assert_true(info.n_embd <= 1024);
    if (a->status != OK)
        fail_msg("an embedding failed: %s", a->err.msg);
    assert_ok(engine_embed(ref->e, a->ids, a->n, a->how, false, want, &err));
    assert_memory_equal(a->v, want, (size_t)info.n_embd * sizeof *want);
}

/* Texts to embed beside answers, in a cache that holds all of them and in one that does not. */
static void embeddings_beside_answers(int64_t n_ctx, int64_t max_ctx, int max_rows)
{
    enum { ANSWERS = 8, TEXTS = 12 };
    struct provider *p = scheduler(n_ctx, max_ctx, max_rows, 0);
    struct alone ref = reference(max_ctx);
    struct ask asks[ANSWERS];
    struct embed_ask *texts = mem_array(TEXTS, sizeof *texts);
    for (int i = 0; i < ANSWERS; i++) {
        asks[i] = simple(400 + (uint64_t)i, 20, 70);
        ask_start(&asks[i], p);
    }
    for (int i = 0; i < TEXTS; i++)
        embed_start(&texts[i], p, 500 + (uint64_t)i, 1 + (size_t)i * 17 % (size_t)max_ctx);
    for (int i = 0; i < ANSWERS; i++) {
        ask_wait(&asks[i]);
        same_answer(&ref, &asks[i]);
        ask_free(&asks[i]);
    }
    for (int i = 0; i < TEXTS; i++) {
        pthread_join(texts[i].thread, NULL);
        same_embedding(&ref, &texts[i]);
    }
    free(texts);
    provider_free(p);
    engine_free(ref.e);
}

static void test_embeddings(void **state)
{
    (void)state;
    embeddings_beside_answers(4096, 256, 32);
    embeddings_beside_answers(256, 256, 24);
    embeddings_beside_answers(192, 192, 1);

    struct provider *p = scheduler(256, 200, 16, 0);
    struct alone ref = reference(256);
    struct err err;
    float v[1024], all[3][1024];
    int32_t ids[300] = {0};
    /* all of one request in common steps; one that cannot be fails all */
    struct embed_text some[3] = {{ids, 3, all[0]}, {ids + 1, 90, all[1]}, {ids + 2, 17, all[2]}};
    struct model_info info;
    model_info(fix.model, &info);
    for (int i = 0; i < 300; i++)
        ids[i] = i * 31 % fix.n_vocab;
    assert_ok(sched_embed(p, some, 0, POOL_MEAN, NULL, &err));
    assert_ok(sched_embed(p, some, 3, POOL_MEAN, NULL, &err));
    for (int i = 0; i < 3; i++) {
        assert_ok(engine_embed(ref.e, some[i].ids, some[i].n, POOL_MEAN, false, v, &err));
        assert_memory_equal(all[i], v, (size_t)info.n_embd * sizeof *v);
    }
    some[1].n = 0;
    assert_int_equal(sched_embed(p, some, 3, POOL_MEAN, NULL, &err), EUSAGE);
    some[1].n = 201;
    assert_int_equal(sched_embed(p, some, 3, POOL_MEAN, NULL, &err), ECONTEXT);
    some[1].n = 10;
    ids[3] = fix.n_vocab;
    assert_int_equal(sched_embed(p, some, 3, POOL_MEAN, NULL, &err), EUSAGE);
    /* one that is not wanted any more, also while it waits for room that nobody gives back */
    struct ask busy = endless(7);
    ask_start(&busy, p);
    wait_for(p, 1, 0);
    struct embed_ask *gone = mem_array(2, sizeof *gone);
    for (int i = 0; i < 2; i++) {
        embed_start(&gone[i], p, 600, 190);
        atomic_store(&gone[i].cancel, 1);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(gone[i].thread, NULL);
        assert_true(gone[i].status == ECANCEL || gone[i].status == OK);
    }
    atomic_store(&busy.cancel, 1);
    ask_wait(&busy);
    ask_free(&busy);
    atomic_store(&gone[0].cancel, 0);
    embed_start(&gone[0], p, 601, 190);
    pthread_join(gone[0].thread, NULL);
    same_embedding(&ref, &gone[0]);
    free(gone);
    provider_free(p);
    engine_free(ref.e);
}

/* A sink that does not return holds up nobody else, those with the same prompt neither, and loses
 * nothing. */
static void test_slow_sink(void **state)
{
    (void)state;
    struct provider *p = scheduler(4096, 0, 32, 0);
    struct alone ref = reference(4096);
    atomic_int gate = 0;
    struct ask slow = simple(1, 300, 600), quick = simple(2, 10, 50), alike = simple(1, 300, 50);
    slow.gate = &gate;
    ask_start(&slow, p);
    wait_for(p, 1, 0);
    ask_start(&quick, p);
    ask_start(&alike, p);
    ask_wait(&quick);
    ask_wait(&alike);
    assert_int_equal(alike.usage.cached_tokens, 299);
    struct sched_stats stats;
    sched_stats(p, &stats);
    assert_true(stats.running >= 1); /* 600 tokens are more than it can leave unread */
    atomic_store(&gate, 1);
    ask_wait(&slow);
    struct ask *all[] = {&slow, &quick, &alike};
    for (int i = 0; i < 3; i++) {
        same_answer(&ref, all[i]);
        ask_free(all[i]);
    }
    provider_free(p);
    engine_free(ref.e);
}

static void test_queue_and_cancel(void **state)
{
    (void)state;
    struct provider *p = scheduler(256, 0, 32, 2);
    struct ask busy = endless(1), waiting[2] = {simple(2, 200, 5), simple(3, 200, 5)};
    struct ask refused = simple(4, 10, 5), late = simple(6, 200, 5);
    ask_start(&busy, p);
    wait_for(p, 1, 0);
    for (int i = 0; i < 2; i++)
        ask_start(&waiting[i], p);
    wait_for(p, 1, 2);
    ask_start(&refused, p);
    ask_wait(&refused);
    assert_int_equal(refused.status, EBUSY);
    atomic_store(&waiting[0].cancel, 1); /* before it began */
    ask_wait(&waiting[0]);
    assert_int_equal(waiting[0].status, OK);
    assert_int_equal(waiting[0].usage.end, GEN_CANCELLED);
    assert_int_equal(waiting[0].usage.answer_tokens, 0);
    late.deadline_ns = clock_ns() + 20000000;
    ask_start(&late, p);
    ask_wait(&late);
    assert_int_equal(late.status, ELIMIT);
    assert_non_null(strstr(late.err.msg, "deadline"));
    atomic_store(&busy.cancel, 1);
    ask_wait(&busy);
    assert_int_equal(busy.usage.end, GEN_CANCELLED);
    ask_wait(&waiting[1]);
    assert_int_equal(waiting[1].usage.end, GEN_LENGTH);
    ask_free(&busy);
    ask_free(&waiting[0]);
    ask_free(&waiting[1]);
    ask_free(&refused);
    ask_free(&late);
    provider_free(p);
}

static void test_errors(void **state)
{
    (void)state;
    struct provider *p = scheduler(512, 128, 32, 0);
    struct ask big = simple(1, 200, 5), bad = simple(2, 10, 5), token = simple(3, 10, 5);
    struct ask running = endless(4), deadline = endless(5), past = simple(6, 10, 5);
    ask_start(&running, p);
    ask_start(&big, p);
    ask_wait(&big);
    assert_int_equal(big.status, ECONTEXT);
    assert_non_null(strstr(big.err.msg, "200"));
    assert_non_null(strstr(big.err.msg, "128"));
    bad.params.sampler.top_p = 7;
    ask_start(&bad, p);
    ask_wait(&bad);
    assert_int_equal(bad.status, EUSAGE);
    token.prompt[3] = fix.n_vocab;
    ask_start(&token, p);
    ask_wait(&token);
    assert_int_equal(token.status, EUSAGE);
    deadline.deadline_ns = clock_ns() + 50000000; /* while it runs */
    ask_start(&deadline, p);
    ask_wait(&deadline);
    assert_int_equal(deadline.status, ELIMIT);
    past.deadline_ns = 1;
    ask_start(&past, p);
    ask_wait(&past);
    assert_int_equal(past.status, ELIMIT);
    atomic_store(&running.cancel, 1); /* none of this was its business */
    ask_wait(&running);
    assert_int_equal(running.status, OK);
    assert_int_equal(running.usage.end, GEN_CANCELLED);
    assert_true(running.tokens.n > 0);
    struct ask *all[] = {&big, &bad, &token, &running, &deadline, &past};
    for (int i = 0; i < 6; i++)
        ask_free(all[i]);
    provider_free(p);
}

/* More at once than there are rows, with a cache for a few: all are answered. */
static void test_crowd(void **state)
{
    (void)state;
    enum { N = 300 };
    struct provider *p = scheduler(1024, 128, 32, N);
    struct ask *asks = mem_array(N, sizeof *asks);
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 1 << 20);
    for (int i = 0; i < N; i++) {
        asks[i] = simple(1000 + (uint64_t)i % 50, 8 + (size_t)i % 9, 4);
        asks[i].p = p;
        assert_int_equal(pthread_create(&asks[i].thread, &small, ask_main, &asks[i]), 0);
    }
    for (int i = 0; i < N; i++) {
        ask_wait(&asks[i]);
        assert_int_equal(asks[i].status, OK);
        assert_int_equal(asks[i].usage.end, GEN_LENGTH);
        assert_int_equal(asks[i].tokens.n, 4);
        ask_free(&asks[i]);
    }
    struct sched_stats s;
    sched_stats(p, &s);
    assert_int_equal(s.answer_tokens, 4 * N);
    free(asks);
    pthread_attr_destroy(&small);
    provider_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers_are_those_alone),
        cmocka_unit_test(test_small_cache),
        cmocka_unit_test(test_shifted),
        cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_second_model),
        cmocka_unit_test(test_strange_second_model),
        cmocka_unit_test(test_embeddings),
        cmocka_unit_test(test_slow_sink),
        cmocka_unit_test(test_queue_and_cancel),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_crowd),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
