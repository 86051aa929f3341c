/* Snapshots of the KV cache: what comes back has the same bits, and what is damaged is refused; and
 * the store that keeps them. */
#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "chat/prefix_store.h"
#include "chat/sched.h"
#include "support.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MODEL HEARTH_SOURCE_DIR "/tests/data/golden/gguf/llama32-bf16.gguf"

enum { N = 150 };

static struct model *model;
static struct model_info info;
static int32_t ids[N];

static int setup(void **state)
{
    (void)state;
    struct err err;
    struct rng r;
    assert_ok(model_open(&model, MODEL, NULL, &err));
    model_info(model, &info);
    rng_seed(&r, 3);
    for (int i = 0; i < N; i++)
        ids[i] = (int32_t)(rng_next(&r) % (uint64_t)info.n_vocab);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    model_close(model);
    return 0;
}

static struct engine *engine(enum kv_type type, int64_t n_ctx)
{
    struct engine_options o = {.n_threads = 1, .n_ctx = n_ctx, .kv_type = type};
    struct engine *e;
    struct err err;
    assert_ok(engine_new(&e, model, &o, &err));
    return e;
}

static int filled(struct engine *e, size_t n)
{
    struct err err;
    int seq;
    assert_ok(engine_seq_new(e, &seq, &err));
    assert_ok(engine_prefill(e, seq, ids, n, NULL, NULL, &err));
    return seq;
}

static void next_logits(struct engine *e, int seq, float *out)
{
    struct err err;
    struct step_row row = {.token = 11, .seq = seq, .logits = true};
    assert_ok(engine_step(e, &row, 1, &err));
    memcpy(out, engine_logits(e, 0), (size_t)info.n_vocab * sizeof *out);
}

static void test_round_trip(void **state)
{
    (void)state;
    static const enum kv_type types[] = {KV_F16, KV_F32, KV_Q8};
    static const size_t lengths[] = {1, 63, 64, 65, 150};
    size_t bytes = (size_t)info.n_vocab * sizeof(float);
    float *a = malloc(bytes), *b = malloc(bytes);
    struct err err;
    for (int t = 0; t < 3; t++)
        for (int i = 0; i < 5; i++) {
            struct engine *e = engine(types[t], 256), *other = engine(types[t], 512);
            struct buf snapshot;
            int seq = filled(e, lengths[i]), back;
            buf_init(&snapshot, engine_seq_save_bytes(e, seq));
            assert_ok(engine_seq_save(e, seq, STR("me"), &snapshot, &err));
            (void)filled(other, 100); /* pages that are not in order */
            assert_ok(engine_seq_load(other, STR("me"), buf_str(&snapshot), &back, &err));
            assert_int_equal(engine_seq_len(other, back), lengths[i]);
            next_logits(e, seq, a);
            next_logits(other, back, b);
            assert_memory_equal(a, b, bytes);
            buf_release(&snapshot);
            engine_free(e);
            engine_free(other);
        }
    free(a);
    free(b);
}

static void test_hostile(void **state)
{
    (void)state;
    struct engine *e = engine(KV_F16, 256), *q8 = engine(KV_Q8, 256), *small = engine(KV_F16, 64);
    struct err err;
    struct buf s;
    struct rng r;
    int seq = filled(e, 100), back;
    int64_t room;
    buf_init(&s, 1 << 26);
    assert_ok(engine_seq_save(e, seq, STR("me"), &s, &err));
    engine_seq_free(e, seq);
    room = engine_free_pages(e);
    struct str whole = buf_str(&s);
    assert_int_equal(engine_seq_load(e, STR("you"), whole, &back, &err), EFORMAT);
    assert_int_equal(engine_seq_load(e, STR("yo"), whole, &back, &err), EFORMAT);
    assert_int_equal(engine_seq_load(q8, STR("me"), whole, &back, &err), EFORMAT);
    assert_int_equal(engine_seq_load(small, STR("me"), whole, &back, &err), EFORMAT);
    for (size_t n = 0; n < whole.n; n += n < 600 ? 1 : 997) {
        char *exact = malloc(n ? n : 1); /* so that a sanitizer sees a read past the end */
        memcpy(exact, whole.p, n);
        assert_int_equal(engine_seq_load(e, STR("me"), (struct str){exact, n}, &back, &err),
                         EFORMAT);
        free(exact);
    }
    /* any byte of header, identity and tokens */
    rng_seed(&r, 9);
    for (size_t i = 0; i < 1000 && i < whole.n; i++) {
        char before = s.p[i];
        s.p[i] = (char)(before ^ (char)(1 + rng_next(&r) % 255));
        enum status st = engine_seq_load(e, STR("me"), buf_str(&s), &back, &err);
        if (st == OK) { /* another token or another value */
            assert_int_equal(engine_seq_len(e, back), 100);
            engine_seq_free(e, back);
        } else {
            assert_int_equal(st, EFORMAT);
        }
        s.p[i] = before;
        assert_int_equal(engine_free_pages(e), room);
    }
    assert_ok(engine_seq_load(e, STR("me"), buf_str(&s), &back, &err));
    while (engine_free_pages(e) >= 2)
        assert_ok(engine_seq_load(e, STR("me"), buf_str(&s), &back, &err));
    assert_int_equal(engine_seq_load(e, STR("me"), buf_str(&s), &back, &err), ECONTEXT);
    buf_release(&s);
    engine_free(e);
    engine_free(q8);
    engine_free(small);
}

static void put(struct prefix_store *ps, const char *identity, size_t n, size_t bytes)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    memset(buf_grow(&b, bytes), (int)n, bytes);
    prefix_store_put(ps, str_from(identity), ids, n, &b);
}

/* Tokens that are found, and whether the snapshot is the one of `of`. */
static size_t got(struct prefix_store *ps, const char *identity, size_t n, size_t more, size_t of)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    size_t len = prefix_store_get(ps, str_from(identity), ids, n, more, &b);
    if (len)
        assert_int_equal((unsigned char)b.p[b.n - 1], of);
    buf_release(&b);
    return len;
}

static void test_store(void **state)
{
    (void)state;
    struct prefix_store *ps;
    struct prefix_store_options o = {.memory = 1000};
    uint64_t memory, disk;
    size_t n;
    struct err err;
    int32_t other = ids[0];
    assert_ok(prefix_store_new(&ps, &o, &err));
    put(ps, "a", 10, 400);
    put(ps, "b", 20, 400);
    assert_int_equal(got(ps, "a", 15, 0, 10), 10);
    assert_int_equal(got(ps, "a", 5, 0, 10), 5);
    assert_int_equal(got(ps, "a", 15, 10, 10), 0);
    assert_int_equal(got(ps, "b", 15, 0, 20), 15);
    assert_int_equal(got(ps, "c", 15, 0, 0), 0);
    put(ps, "a", 12, 300); /* continues the first, which goes */
    put(ps, "a", 11, 300); /* is its beginning: nothing new */
    prefix_store_size(ps, &memory, &disk, &n);
    assert_int_equal(memory, 700);
    assert_int_equal(n, 2);
    ids[0] = (int32_t)((ids[0] + 1) % info.n_vocab);
    put(ps, "a", 30, 500); /* too much: b, used the longest ago, goes */
    ids[0] = other;
    prefix_store_size(ps, &memory, &disk, &n);
    assert_int_equal(memory, 800);
    assert_int_equal(got(ps, "b", 15, 0, 20), 0);
    prefix_store_forget(ps, STR("a"), ids, 15, 0);
    assert_int_equal(got(ps, "a", 15, 0, 12), 0);
    prefix_store_free(ps);
}

static void test_disk(void **state)
{
    (void)state;
    char dir[] = "/tmp/hearth-snapshot-test-XXXXXX", path[512], command[1024];
    struct prefix_store *ps;
    uint64_t memory, disk;
    size_t n;
    struct err err;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/kv", dir);
    struct prefix_store_options o = {.memory = 500, .folder = path, .disk = 2000};
    assert_ok(prefix_store_new(&ps, &o, &err));
    put(ps, "a", 10, 400);
    put(ps, "b", 20, 400); /* a goes to disk */
    prefix_store_size(ps, &memory, &disk, &n);
    assert_int_equal(memory, 400);
    assert_true(disk > 400);
    assert_int_equal(got(ps, "a", 15, 0, 10), 10);
    prefix_store_free(ps); /* b too */
    assert_ok(prefix_store_new(&ps, &o, &err));
    prefix_store_size(ps, &memory, &disk, &n);
    assert_int_equal(n, 2);
    assert_int_equal(memory, 0);
    assert_int_equal(got(ps, "a", 15, 0, 10), 10);
    assert_int_equal(got(ps, "b", 25, 0, 20), 20);
    put(ps, "c", 30, 400);
    put(ps, "d", 40, 400);
    put(ps, "e", 50, 400);
    put(ps, "f", 60, 400);
    prefix_store_size(ps, &memory, &disk, &n);
    assert_true(disk <= 2000);
    assert_int_equal(got(ps, "a", 15, 0, 10), 0); /* the least recently used */
    prefix_store_free(ps);

    /* files that were damaged, cut or are none of ours */
    snprintf(command, sizeof command,
             "cd '%s'/kv && for f in *; do printf x | dd of=$f bs=1 seek=200 conv=notrunc 2>"
             "/dev/null; done && echo hello >README && head -c 10 \"$f\" >"
             "0123456789012345678901234567890123456789012345678901234567890123.kv && mkdir "
             "1123456789012345678901234567890123456789012345678901234567890123.kv",
             dir);
    assert_int_equal(system(command), 0);
    assert_ok(prefix_store_new(&ps, &o, &err));
    prefix_store_size(ps, &memory, &disk, &n);
    assert_true(n > 0);
    assert_int_equal(got(ps, "f", 70, 0, 60), 0);
    assert_int_equal(got(ps, "e", 70, 0, 50), 0);
    prefix_store_free(ps);
    snprintf(command, sizeof command, "rm -r '%s'", dir);
    assert_int_equal(system(command), 0);
}

struct heard {
    struct tokens t;
    struct chat_usage usage;
};

static int on_event(void *ctx, const struct chat_event *ev)
{
    struct heard *h = ctx;
    if (ev->token)
        assert_true(tokens_add(&h->t, ev->token->token));
    if (ev->kind == CHAT_DONE)
        h->usage = *ev->usage;
    return 0;
}

static void ask(struct prefix_store *ps, const char *identity, size_t n, struct heard *h)
{
    struct sched_options o = {
        .engine = {.n_threads = 1, .n_ctx = 512}, .store = ps, .identity = str_from(identity)};
    struct chat_request r = {
        .tokens = ids,
        .n_tokens = n,
        .params = {.sampler = sampler_defaults, .max_tokens = 8, .ignore_eos = true}};
    struct chat_sink sink = {on_event, h};
    struct provider *p;
    struct err err;
    *h = (struct heard){0};
    r.params.sampler.repetition_penalty = 1.2;
    assert_ok(sched_new(&p, model, &o, &err));
    assert_ok(provider_chat(p, &r, &sink, &err));
    provider_free(p);
}

/* A model that was unloaded and comes back knows what it read. */
static void test_scheduler(void **state)
{
    (void)state;
    struct prefix_store *ps;
    struct prefix_store_options o = {.memory = 1 << 26};
    struct heard first, again, longer, alien;
    struct err err;
    assert_ok(prefix_store_new(&ps, &o, &err));
    ask(ps, "model", 120, &first);
    ask(ps, "model", 120, &again);
    ask(ps, "other", 120, &alien);
    ask(ps, "model", 150, &longer);
    assert_int_equal(first.usage.cached_tokens, 0);
    assert_int_equal(again.usage.cached_tokens, 119);
    assert_int_equal(alien.usage.cached_tokens, 0);
    assert_int_equal(longer.usage.cached_tokens, 120);
    assert_int_equal(first.t.n, 8);
    assert_memory_equal(first.t.id, again.t.id, 8 * sizeof(int32_t));
    assert_memory_equal(first.t.id, alien.t.id, 8 * sizeof(int32_t));
    tokens_free(&first.t);
    tokens_free(&again.t);
    tokens_free(&longer.t);
    tokens_free(&alien.t);

    /* one that is there and no good: it is forgotten, and the prompt read */
    put(ps, "bad", 150, 4000);
    ask(ps, "bad", 120, &alien);
    assert_int_equal(alien.usage.cached_tokens, 0);
    tokens_free(&alien.t);
    prefix_store_free(ps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_store),      cmocka_unit_test(test_disk),
        cmocka_unit_test(test_scheduler),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
