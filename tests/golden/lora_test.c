/* Adapters in both formats: a GGUF one written from the PEFT one gives the same bits, scales and
 * patterns count as PEFT says, and what cannot be applied is refused by name. */
#include "golden.h"
#include "engine/hf_convert.h"
#include "format/gguf.h"
#include "format/safetensors.h"
#include <unistd.h>

static char dir[] = "/tmp/hearth-lora-test-XXXXXX";
static char peft[512], base[512];
static struct model *model;

static int setup(void **state)
{
    (void)state;
    struct err err;
    golden_path(peft, "hf/%s", "llama2_lora");
    return mkdtemp(dir) &&
                   model_open(&model, golden_path(base, "hf/%s", "llama2"), NULL, &err) == OK
               ? 0
               : -1;
}

static int teardown(void **state)
{
    (void)state;
    char command[128];
    model_close(model);
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command);
}

enum { N = 20, VOCAB = 512 };

/* Logits with the adapter at `path` under `scale`; why and NULL when it cannot be opened. */
static float *run(const char *path, float scale, struct err *why)
{
    struct err err;
    struct lora *l;
    struct engine *e;
    int32_t tokens[N];
    for (int i = 0; i < N; i++)
        tokens[i] = (i * 37 + 11) % VOCAB;
    if (lora_open(&l, model, path, why) != OK)
        return NULL;
    float *out = malloc(sizeof(float[N][VOCAB]));
    assert_non_null(out);
    assert_ok(engine_new(&e, model, &(struct engine_options){.n_threads = 2, .exact = true}, &err));
    assert_ok(engine_set_loras(e, &l, &scale, 1, &err));
    run_logits(e, tokens, N, N, out);
    engine_free(e);
    lora_close(l);
    return out;
}

/* Query rows of head `dim` from halves (Hugging Face) to pairs (GGUF's llama). */
static void put_rows(struct gguf_writer *w, const struct tensor *t, int64_t dim)
{
    size_t row = t->bytes / (size_t)t->ne[1];
    for (int64_t r = 0; r < t->ne[1]; r++) {
        int64_t d = r % dim, from = r;
        if (dim > 1)
            from = r - d + (d % 2 ? dim / 2 : 0) + d / 2;
        gguf_write_data(w, (const char *)t->data + (size_t)from * row, row);
    }
}

static void write_gguf(const char *path, const char *arch)
{
    struct err err;
    struct safetensors *s;
    struct gguf_writer *w;
    char from[600];
    static const char *const hf[] = {"q_proj.lora_A", "q_proj.lora_B", "v_proj.lora_A",
                                     "v_proj.lora_B"};
    static const char *const gg[] = {"attn_q.weight.lora_a", "attn_q.weight.lora_b",
                                     "attn_v.weight.lora_a", "attn_v.weight.lora_b"};
    snprintf(from, sizeof from, "%s/adapter_model.safetensors", peft);
    assert_ok(safetensors_open(&s, from, &err));
    assert_ok(gguf_writer_open(&w, path, &err));
    gguf_put_str(w, "general.type", STR("adapter"));
    gguf_put_str(w, "general.architecture", str_from(arch));
    gguf_put_str(w, "adapter.type", STR("lora"));
    gguf_put_f32(w, "adapter.lora.alpha", 16);
    for (int data = 0; data < 2; data++) {
        for (int l = 0; l < 2; l++)
            for (int i = 0; i < 4; i++) {
                char name[128];
                snprintf(name, sizeof name, "base_model.model.model.layers.%d.self_attn.%s.weight",
                         l, hf[i]);
                const struct tensor *t = safetensors_tensor(s, str_from(name));
                assert_non_null(t);
                snprintf(name, sizeof name, "blk.%d.%s", l, gg[i]);
                if (data)
                    put_rows(w, t, i == 1 ? 64 : 1);
                else
                    gguf_put_tensor(w, str_from(name), t->type, 2, t->ne);
            }
        if (!data)
            gguf_write_header(w);
    }
    assert_ok(gguf_writer_commit(w, &err));
    safetensors_close(s);
}

static void test_gguf_adapter(void **state)
{
    (void)state;
    struct err err;
    char path[600];
    snprintf(path, sizeof path, "%s/adapter.gguf", dir);
    write_gguf(path, "llama");
    float *want = run(peft, 1, &err), *got = run(path, 1, &err);
    assert_non_null(want);
    if (!got)
        fail_msg("%s", err.msg);
    assert_memory_equal(got, want, sizeof(float[N][VOCAB]));
    free(got);
    write_gguf(path, "qwen2");
    assert_null(run(path, 1, &err));
    assert_non_null(strstr(err.msg, "qwen2"));
    assert_null(run(base, 1, &err));
    char model_file[512];
    assert_null(run(golden_path(model_file, "gguf/%s-bf16.gguf", "llama32"), 1, &err));
    assert_non_null(strstr(err.msg, "general.type"));
    free(want);
}

/* A PEFT folder whose configuration has `change` (a JSON object) laid over it. */
static const char *changed(char path[600], const char *change)
{
    struct err err;
    char file[700], command[2048];
    json_t *config, *over = json_loads(change, 0, NULL);
    assert_non_null(over);
    snprintf(path, 600, "%s/peft", dir);
    snprintf(command, sizeof command, "rm -rf '%s' && cp -r '%s' '%s'", path, peft, path);
    assert_int_equal(system(command), 0);
    snprintf(file, sizeof file, "%s/adapter_config.json", path);
    assert_ok(json_parse_file(&config, file, 1 << 20, &err));
    assert_int_equal(json_object_update(config, over), 0);
    assert_int_equal(json_dump_file(config, file, 0), 0);
    json_decref(config);
    json_decref(over);
    return path;
}

static void test_scales(void **state)
{
    (void)state;
    /* alpha 16, rank 8: a scale of 2; each change, with the engine's scale that undoes it */
    static const struct {
        const char *change;
        float scale;
    } cases[] = {
        {"{\"lora_alpha\":32}", 0.5f},
        {"{\"lora_alpha\":8,\"alpha_pattern\":{\"q_proj\":16,\"self_attn.v_proj\":16}}", 1},
        {"{\"lora_alpha\":4,\"alpha_pattern\":{\"proj\":16}}", 4},
        {"{\"r\":4,\"rank_pattern\":{\"q_proj\":8,\"v_proj\":8}}", 1},
        {"{\"use_rslora\":true,\"lora_alpha\":2.8284271247461903}", 2},
    };
    struct err err;
    char path[600];
    float *want = run(peft, 1, &err);
    assert_non_null(want);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float *got = run(changed(path, cases[i].change), cases[i].scale, &err);
        if (!got)
            fail_msg("case %zu: %s", i, err.msg);
        assert_true(rel_error(got, want, N * VOCAB) < 1e-5);
        free(got);
    }
    free(want);
}

/* Written as GGUF and opened again, a PEFT adapter has the same logits; pairs of several strengths,
 * too. */
static void test_written(void **state)
{
    (void)state;
    static const char *const changes[] = {
        "{}", "{\"lora_alpha\":4,\"alpha_pattern\":{\"q_proj\":12}}", "{\"use_rslora\":true}"};
    struct err err;
    struct model *folder = model;
    struct lora *l;
    char path[600], gguf[600], adapter[600];
    snprintf(gguf, sizeof gguf, "%s/base.gguf", dir);
    snprintf(adapter, sizeof adapter, "%s/written.gguf", dir);
    assert_ok(hf_convert(base, gguf, recipe_by_name(STR("f32")), NULL, NULL, &err));
    assert_ok(lora_open(&l, folder, peft, &err));
    assert_int_equal(lora_write(l, adapter, &err), EUSAGE);
    lora_close(l);
    assert_ok(model_open(&model, gguf, NULL, &err));
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        changed(path, changes[i]);
        float *want = run(path, 1, &err);
        if (!want)
            fail_msg("%s", err.msg);
        assert_ok(lora_open(&l, model, path, &err));
        assert_ok(lora_write(l, adapter, &err));
        lora_close(l);
        float *got = run(adapter, 1, &err);
        if (!got)
            fail_msg("%s", err.msg);
        assert_true(rel_error(got, want, N * VOCAB) < 1e-6);
        free(want);
        free(got);
    }
    model_close(model);
    model = folder;
}

static void test_refusals(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"{\"use_dora\":true}", "use_dora"},
        {"{\"bias\":\"all\"}", "bias"},
        {"{\"modules_to_save\":[\"lm_head\"]}", "modules_to_save"},
        {"{\"fan_in_fan_out\":true}", "fan_in_fan_out"},
        {"{\"peft_type\":\"LOHA\"}", "LOHA"},
        {"{\"r\":4}", "rank 8, expected 4"},
        {"{\"r\":\"eight\"}", "'r'"},
        {"{\"rank_pattern\":{\"(q|v)_proj\":8}}", "rank_pattern"},
        {"{\"layer_replication\":[[0,2]]}", "layer_replication"},
    };
    struct err err;
    char path[600];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        err.msg[0] = 0;
        assert_null(run(changed(path, cases[i][0]), 1, &err));
        if (!strstr(err.msg, cases[i][1]))
            fail_msg("case %zu: '%s', expected '%s'", i, err.msg, cases[i][1]);
    }
    assert_null(run(dir, 1, &err));
    /* an adapter for a model of another shape */
    struct model *other;
    struct lora *l;
    assert_ok(model_open(&other, golden_path(path, "hf/%s", "mistral"), NULL, &err));
    assert_true(lora_open(&l, other, peft, &err) == EFORMAT);
    assert_non_null(strstr(err.msg, "q_proj"));
    model_close(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gguf_adapter),
        cmocka_unit_test(test_scales),
        cmocka_unit_test(test_written),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
