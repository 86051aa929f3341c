/* The model that ships, against models/hearth-nano.golden.json: logits of a float64 reader of the
 * same file, its greedy continuations, and its tokenizer's ids. */
#include "base/json.h"
#include "engine/generate.h"
#include "support.h"
#include <math.h>
#include <stdlib.h>

static const char path[] = HEARTH_SOURCE_DIR "/models/hearth-nano.gguf";
static const char golden_path[] = HEARTH_SOURCE_DIR "/models/hearth-nano.golden.json";

struct fixture {
    struct model *model;
    struct engine *engine;
    json_t *golden;
};

static int open_all(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct err err;
    const struct model_options mo = MODEL_OPTIONS_INIT;
    const struct engine_options eo = {.n_threads = 2, .n_ctx = 256, .exact = true};
    *state = f;
    assert_ok(model_open(&f->model, path, &mo, &err));
    assert_ok(engine_new(&f->engine, f->model, &eo, &err));
    assert_ok(json_parse_file(&f->golden, golden_path, 1 << 20, &err));
    return 0;
}

static int close_all(void **state)
{
    struct fixture *f = *state;
    engine_free(f->engine);
    model_close(f->model);
    json_decref(f->golden);
    free(f);
    return 0;
}

static size_t read_ids(const json_t *list, int32_t *out, size_t cap)
{
    size_t n = json_array_size(list);
    assert_true(n <= cap);
    for (size_t i = 0; i < n; i++)
        out[i] = (int32_t)json_integer_value(json_array_get(list, i));
    return n;
}

static void logits_are_the_reference_readers(void **state)
{
    struct fixture *f = *state;
    struct err err;
    const json_t *list = json_object_get(f->golden, "sequences");
    size_t checked = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        int32_t ids[256];
        struct step_row rows[256];
        size_t n = read_ids(json_object_get(one, "ids"), ids, 256);
        int seq;
        assert_ok(engine_seq_new(f->engine, &seq, &err));
        for (size_t k = 0; k < n; k++)
            rows[k] = (struct step_row){.token = ids[k], .seq = seq, .logits = true};
        assert_ok(engine_step(f->engine, rows, (int)n, &err));
        const json_t *places = json_object_get(one, "logits");
        for (size_t k = 0; k < json_array_size(places); k++) {
            const json_t *place = json_array_get(places, k), *top = json_object_get(place, "top");
            int at = (int)json_integer_value(json_object_get(place, "position"));
            const float *got = engine_logits(f->engine, at);
            for (size_t c = 0; c < json_array_size(top); c++, checked++) {
                const json_t *pair = json_array_get(top, c);
                double want = json_number_value(json_array_get(pair, 1));
                double have = (double)got[json_integer_value(json_array_get(pair, 0))];
                if (fabs(want - have) > 1e-3)
                    fail_msg("sequence %zu, position %d: logit %g, expected %g", i, at, have, want);
            }
        }
        engine_seq_free(f->engine, seq);
    }
    assert_true(checked >= 60);
}

static void greedy_continuations_are_the_reference_readers(void **state)
{
    struct fixture *f = *state;
    struct err err;
    const json_t *list = json_object_get(f->golden, "sequences");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        int32_t ids[256], want[256];
        size_t n = read_ids(json_object_get(one, "ids"), ids, 256);
        size_t n_want = read_ids(json_object_get(one, "greedy"), want, 256);
        struct gen_params p = {
            .sampler = sampler_defaults, .max_tokens = (int64_t)n_want, .ignore_eos = true};
        struct gen_stats stats;
        struct tokens out = {0};
        int seq;
        p.sampler.temperature = 0;
        assert_ok(engine_seq_new(f->engine, &seq, &err));
        assert_ok(generate(f->engine, seq, ids, n, &p, NULL, NULL, &out, &stats, &err));
        assert_int_equal(out.n, n_want);
        assert_memory_equal(out.id, want, n_want * sizeof *want);
        tokens_free(&out);
        engine_seq_free(f->engine, seq);
    }
}

static void ids_are_those_it_was_trained_with(void **state)
{
    struct fixture *f = *state;
    struct err err;
    const json_t *list = json_object_get(f->golden, "tokenizer");
    assert_true(json_array_size(list) >= 30);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        int32_t want[256];
        size_t n = read_ids(json_object_get(one, "ids"), want, 256);
        struct tokens got = {0};
        assert_ok(tokenizer_encode(model_tokenizer(f->model),
                                   json_str(json_object_get(one, "text")), TOKENIZE_PARSE_SPECIAL,
                                   &got, &err));
        assert_int_equal(got.n, n);
        if (n)
            assert_memory_equal(got.id, want, n * sizeof *want);
        tokens_free(&got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_are_the_reference_readers),
        cmocka_unit_test(greedy_continuations_are_the_reference_readers),
        cmocka_unit_test(ids_are_those_it_was_trained_with),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
