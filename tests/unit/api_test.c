/* The public header through the shared library's own code: a tiny golden model (random weights, so
 * the text is noise; what is checked is that calls agree with each other and fail as documented).
 */
#include "hearth.h"
#include "engine/draft.h"
#include "support.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char decoder[] = HEARTH_SOURCE_DIR "/tests/data/golden/hf/llama2";
static const char encoder[] = HEARTH_SOURCE_DIR "/tests/data/golden/hf/distilbert_seqcls";

struct text {
    char p[4096];
    size_t n;
    int calls, stop_after;
};

static int collect(void *user, const char *p, size_t n)
{
    struct text *t = user;
    if (t->n + n < sizeof t->p) {
        memcpy(t->p + t->n, p, n);
        t->n += n;
    }
    return t->stop_after && ++t->calls >= t->stop_after;
}

static hearth *open_model(const char *path)
{
    hearth_error err;
    hearth *h = hearth_open(path, NULL, &err);
    if (!h)
        fail_msg("%s", err.message);
    return h;
}

static void a_chat_is_repeatable_and_cached(void **state)
{
    (void)state;
    hearth *h = open_model(decoder);
    hearth_error err;
    hearth_message ask[] = {{"user", "Hello there"}};
    hearth_sampling s = HEARTH_SAMPLING_INIT;
    hearth_result first = {.size = sizeof first}, second = {.size = sizeof second};
    struct text a = {0}, b = {0};
    s.max_tokens = 12;
    s.seed = 7;
    assert_int_equal(hearth_chat(h, ask, 1, &s, collect, &a, &first, &err), HEARTH_OK);
    assert_int_equal(hearth_chat(h, ask, 1, &s, collect, &b, &second, &err), HEARTH_OK);
    assert_int_equal(a.n, b.n);
    assert_memory_equal(a.p, b.p, a.n);
    assert_int_equal(first.cached_tokens, 0);
    assert_true(second.cached_tokens > 0);
    assert_true(first.answer_tokens > 0 && first.answer_tokens <= 12);
    hearth_close(h);
}

/* Drafts are on by default, also for a caller whose struct had no such field, and change no text.
 */
static void drafts_change_nothing(void **state)
{
    (void)state;
    hearth *h = open_model(decoder);
    hearth_error err;
    hearth_sampling s = HEARTH_SAMPLING_INIT;
    hearth_result r = {.size = sizeof r};
    struct text with = {0}, without = {0}, old = {0};
    assert_int_equal(s.draft, DRAFT_DEFAULT);
    s.max_tokens = 100;
    s.temperature = 0;
    assert_int_equal(hearth_complete(h, "a b a b a b", &s, collect, &with, &r, &err), HEARTH_OK);
    assert_true(r.accepted_tokens <= r.drafted_tokens);
    s.draft = 0;
    assert_int_equal(hearth_complete(h, "a b a b a b", &s, collect, &without, &r, &err), HEARTH_OK);
    assert_int_equal(r.drafted_tokens, 0);
    s.draft = -1; /* behind the end of the struct: not looked at */
    s.size = offsetof(hearth_sampling, draft);
    assert_int_equal(hearth_complete(h, "a b a b a b", &s, collect, &old, &r, &err), HEARTH_OK);
    assert_int_equal(with.n, without.n);
    assert_memory_equal(with.p, without.p, with.n);
    assert_int_equal(with.n, old.n);
    s.size = sizeof s;
    assert_int_equal(hearth_complete(h, "a", &s, collect, &old, NULL, &err), HEARTH_USAGE);
    hearth_close(h);
}

static void a_second_model_changes_nothing(void **state)
{
    (void)state;
    hearth_options o = HEARTH_OPTIONS_INIT;
    hearth_sampling s = HEARTH_SAMPLING_INIT;
    hearth_result r = {.size = sizeof r};
    struct text with = {0}, without = {0};
    hearth_error err;
    s.max_tokens = 40;
    s.seed = 7;
    s.temperature = 0.4;
    hearth *h = open_model(decoder);
    assert_int_equal(hearth_complete(h, "It was", &s, collect, &without, NULL, &err), HEARTH_OK);
    hearth_close(h);
    o.draft_model = decoder;
    h = hearth_open(decoder, &o, &err);
    assert_non_null(h);
    assert_int_equal(hearth_complete(h, "It was", &s, collect, &with, &r, &err), HEARTH_OK);
    assert_true(r.accepted_tokens <= r.drafted_tokens);
    assert_int_equal(with.n, without.n);
    assert_memory_equal(with.p, without.p, with.n);
    hearth_close(h);
    o.draft_model = HEARTH_SOURCE_DIR "/tests/data/golden/hf/qwen2";
    assert_null(hearth_open(decoder, &o, &err));
    assert_int_equal(err.status, HEARTH_USAGE);
    assert_non_null(strstr(err.message, "vocabulary"));
    o.draft_model = "/nowhere.gguf";
    assert_null(hearth_open(decoder, &o, &err));
    assert_int_equal(err.status, HEARTH_NOT_FOUND);
}

static void a_callback_can_stop(void **state)
{
    (void)state;
    hearth *h = open_model(decoder);
    hearth_error err;
    hearth_sampling s = HEARTH_SAMPLING_INIT;
    struct text t = {.stop_after = 1};
    s.max_tokens = 50;
    assert_int_equal(hearth_complete(h, "Once", &s, collect, &t, NULL, &err), HEARTH_CANCELLED);
    assert_string_equal(hearth_status_name(err.status), "cancelled");
    hearth_close(h);
}

static void logits_agree_with_tokens(void **state)
{
    (void)state;
    hearth *h = open_model(decoder);
    hearth_error err;
    hearth_info info = {.size = sizeof info};
    int32_t ids[64];
    char text[64];
    assert_int_equal(hearth_get_info(h, &info, &err), HEARTH_OK);
    assert_string_equal(info.architecture, "llama");
    int64_t n = hearth_tokenize(h, "hello world", 11, 1, 0, ids, 64, &err);
    assert_true(n > 1 && n <= 64);
    assert_int_equal(hearth_tokenize(h, "hello world", 11, 1, 0, NULL, 0, &err), n);
    int64_t bytes = hearth_detokenize(h, ids + 1, (size_t)n - 1, text, sizeof text, &err);
    assert_int_equal(bytes, 11);
    assert_memory_equal(text, "hello world", 11);
    int32_t padding = 1 << 20, negative = -1;
    assert_int_equal(hearth_detokenize(h, &padding, 1, text, sizeof text, &err), 0);
    assert_true(hearth_detokenize(h, &negative, 1, text, sizeof text, &err) < 0);
    assert_int_equal(err.status, HEARTH_USAGE);
    float *whole = calloc((size_t)(n * info.n_vocab), sizeof *whole);
    float *part = calloc((size_t)(n * info.n_vocab), sizeof *part);
    assert_int_equal(hearth_logits(h, ids, (size_t)n, whole, &err), HEARTH_OK);
    assert_int_equal(hearth_logits(h, ids, (size_t)n - 1, part, &err), HEARTH_OK);
    assert_memory_equal(whole, part, (size_t)((n - 1) * info.n_vocab) * sizeof *whole);
    free(whole);
    free(part);
    int32_t bad = 1 << 30;
    float *none = calloc((size_t)info.n_vocab, sizeof *none);
    assert_int_equal(hearth_logits(h, &bad, 1, none, &err), HEARTH_USAGE);
    free(none);
    hearth_close(h);
}

static void an_embedding_has_length_one(void **state)
{
    (void)state;
    hearth *h = open_model(encoder);
    hearth_error err;
    hearth_info info = {.size = sizeof info};
    assert_int_equal(hearth_get_info(h, &info, &err), HEARTH_OK);
    assert_true(info.is_encoder);
    float *v = calloc((size_t)info.n_embd, sizeof *v);
    assert_int_equal(hearth_embed(h, "hello", 5, v, &err), HEARTH_OK);
    double length = 0;
    for (int64_t i = 0; i < info.n_embd; i++)
        length += (double)v[i] * (double)v[i];
    assert_true(fabs(length - 1) < 1e-5);
    free(v);
    assert_int_equal(hearth_complete(h, "x", NULL, NULL, NULL, NULL, &err), HEARTH_UNSUPPORTED);
    hearth_close(h);
}

static void failures_are_told(void **state)
{
    (void)state;
    hearth_error err;
    hearth_options o = HEARTH_OPTIONS_INIT;
    assert_null(hearth_open("/nowhere", NULL, &err));
    assert_int_equal(err.status, HEARTH_NOT_FOUND);
    assert_non_null(strstr(err.message, "/nowhere"));
    o.quantize = "q9";
    assert_null(hearth_open(decoder, &o, &err));
    assert_int_equal(err.status, HEARTH_USAGE);
    assert_null(hearth_open(NULL, NULL, NULL));
    hearth_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chat_is_repeatable_and_cached),
        cmocka_unit_test(drafts_change_nothing),
        cmocka_unit_test(a_second_model_changes_nothing),
        cmocka_unit_test(a_callback_can_stop),
        cmocka_unit_test(logits_agree_with_tokens),
        cmocka_unit_test(an_embedding_has_length_one),
        cmocka_unit_test(failures_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
