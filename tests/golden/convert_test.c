/* Hugging Face folders converted to GGUF: the file gives the reference's logits in exact mode (all
 * positions, Mistral's window included), tokenizes as the folder's tokenizer does, and has
 * llama.cpp's own tensors to the bit where its conversion is at hand. */
#include "golden.h"
#include "engine/quantize.h"
#include "format/gguf.h"
#include <unistd.h>

static const char *const names[] = {
    "llama2",         "llama32",        "codellama",     "mistral",          "mixtral",
    "qwen2",          "qwen3",          "phi3",          "gemma2",           "smollm3",
    "distilbert_mlm", "distilbert_ner", "distilbert_qa", "distilbert_seqcls"};

static char converted[256];

static void convert(const char *folder, const char *recipe)
{
    struct err err;
    struct quantize_stats stats;
    snprintf(converted, sizeof converted, "%s", temp_path("converted.gguf"));
    assert_ok(
        quantize_file(folder, converted, recipe_by_name(str_from(recipe)), NULL, &stats, &err));
    assert_true(stats.n_tensors > 0 && stats.n_converted == stats.n_tensors);
}

/* Every tensor of llama.cpp's file, to the bit. */
static void same_tensors(const char *name, const char *path)
{
    struct err err;
    struct gguf *ours, *theirs;
    assert_ok(gguf_open(&ours, converted, &err));
    assert_ok(gguf_open(&theirs, path, &err));
    assert_int_equal(gguf_n_tensors(ours), gguf_n_tensors(theirs));
    for (size_t i = 0; i < gguf_n_tensors(theirs); i++) {
        const struct tensor *t = gguf_tensor_at(theirs, i), *o = gguf_tensor(ours, t->name);
        if (!o || o->type != t->type || o->n_dims != t->n_dims ||
            memcmp(o->ne, t->ne, sizeof t->ne) != 0 || memcmp(o->data, t->data, t->bytes) != 0)
            fail_msg("%s: tensor '%.*s' differs from llama.cpp's", name, STR_ARG(t->name));
    }
    static const char *const strings[] = {"general.architecture", "tokenizer.ggml.model",
                                          "tokenizer.ggml.pre", "tokenizer.chat_template"};
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
        struct str a, b;
        assert_ok(gguf_get_str(ours, strings[i], &a, &err));
        assert_ok(gguf_get_str(theirs, strings[i], &b, &err));
        assert_true(str_eq(a, b));
    }
    gguf_close(ours);
    gguf_close(theirs);
}

/* limit: on the worst position; mean_limit: on the mean, which a changed choice of experts (random
 * weights make it likely) does not spoil. */
static void same_logits(const char *name, const struct golden *g, double limit, double mean_limit)
{
    struct err err;
    struct model *m;
    struct engine *e;
    assert_ok(model_open(&m, converted, NULL, &err));
    assert_ok(engine_new(&e, m, &(struct engine_options){.n_threads = 1, .exact = true}, &err));
    float *out = malloc(g->n_tokens * g->vocab * sizeof *out);
    assert_non_null(out);
    run_logits(e, g->tokens, g->n_tokens, 256, out);
    double worst = 0, mean = 0;
    for (size_t t = 0; t < g->n_tokens; t++) {
        double d = rel_error(out + t * g->vocab, g->logits + t * g->vocab, g->vocab);
        worst = fmax(worst, d);
        mean += d / (double)g->n_tokens;
    }
    print_message("%-12s logits within %.2e, mean %.2e\n", name, worst, mean);
    if (!(worst <= limit) || !(mean <= mean_limit))
        fail_msg("%s: logits of the converted file are off by %g, mean %g", name, worst, mean);
    free(out);
    engine_free(e);
    model_close(m);
}

/* The golden texts through both tokenizers. */
static void same_tokens(const char *name, const char *folder)
{
    struct err err;
    struct model *a, *b;
    struct model_options vocab_only = MODEL_OPTIONS_INIT;
    char path[512];
    json_t *golden, *row;
    size_t i;
    vocab_only.vocab_only = true;
    assert_ok(model_open(&a, folder, &vocab_only, &err));
    assert_ok(model_open(&b, converted, &vocab_only, &err));
    golden_path(path, "hf/%s/golden.json", name);
    assert_ok(json_parse_file(&golden, path, 16 << 20, &err));
    const json_t *rows = json_object_get(golden, "tokenizer");
    rows = rows ? rows : json_object_get(golden, "rows");
    assert_true(json_array_size(rows) > 0);
    json_array_foreach(rows, i, row)
    {
        struct tokens x = {0}, y = {0};
        struct str text = json_str(json_object_get(row, "text"));
        for (unsigned flags = 0; flags < 4; flags++) {
            x.n = y.n = 0;
            assert_ok(tokenizer_encode(model_tokenizer(a), text, flags, &x, &err));
            assert_ok(tokenizer_encode(model_tokenizer(b), text, flags, &y, &err));
            if (x.n != y.n || memcmp(x.id, y.id, x.n * sizeof *x.id) != 0)
                fail_msg("%s: text %zu with flags %u: %zu and %zu tokens", name, i, flags, x.n,
                         y.n);
        }
        tokens_free(&x);
        tokens_free(&y);
    }
    json_decref(golden);
    model_close(a);
    model_close(b);
}

static void folders_become_files(void **state)
{
    (void)state;
    int n_files = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char folder[512], file[512];
        golden_path(folder, "hf/%s", names[i]);
        golden_path(file, "hf/%s/model.safetensors", names[i]);
        if (!file_exists(file))
            continue;
        convert(folder, "bf16");
        n_files++;
        golden_path(file, "gguf/%s-bf16.gguf", names[i]);
        if (file_exists(file))
            same_tensors(names[i], file);
        same_tokens(names[i], folder);
        golden_path(file, "hf/%s/logits.f32", names[i]);
        if (file_exists(file)) {
            struct golden g;
            char json[512];
            golden_load(&g, golden_path(json, "hf/%s/golden.json", names[i]), file);
            same_logits(names[i], &g, 1e-4, 1e-4);
            convert(folder, "q8_0");
            same_logits(names[i], &g, 2, 0.1);
            golden_free(&g);
        }
        unlink(converted);
    }
    assert_true(n_files >= 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(folders_become_files)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
