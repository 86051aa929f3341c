/* Embeddings by decoders. The hidden states are held against transformers' float64 logits by way of
 * the output matrix, which is read here from the model's file and multiplied in float64; what is
 * pooled, against sums over states that came one token at a time. */
#include "engine/embed.h"
#include "format/gguf.h"
#include "format/safetensors.h"
#include "golden.h"
#include <unistd.h>

static struct model *open_model(const char *path)
{
    struct model *m;
    struct err err;
    assert_ok(model_open(&m, path, NULL, &err));
    return m;
}

static struct engine *open_engine(const struct model *m, bool exact, int threads, int max_rows)
{
    struct engine_options o = {
        .n_threads = threads, .n_ctx = 256, .max_rows = max_rows, .exact = exact};
    struct engine *e;
    struct err err;
    assert_ok(engine_new(&e, m, &o, &err));
    return e;
}

static size_t width(const struct model *m)
{
    struct model_info info;
    model_info(m, &info);
    return (size_t)info.n_embd;
}

/* Every state of the tokens, (n, n_embd), in steps of at most `most` rows. */
static float *states(struct engine *e, const int32_t *ids, size_t n, size_t most)
{
    struct err err;
    struct step_row rows[256];
    size_t w = width(engine_model(e));
    float *out = malloc(n * w * sizeof *out);
    int seq;
    assert_non_null(out);
    assert_ok(engine_seq_new(e, &seq, &err));
    engine_seq_expect(e, seq, (int64_t)n);
    for (size_t done = 0; done < n;) {
        size_t k = n - done < most ? n - done : most;
        for (size_t i = 0; i < k; i++)
            rows[i] = (struct step_row){ids[done + i], seq, true};
        assert_ok(engine_step_hidden(e, rows, (int)k, &err));
        for (size_t i = 0; i < k; i++)
            memcpy(out + (done + i) * w, engine_hidden(e, (int)i), w * sizeof *out);
        done += k;
    }
    engine_seq_free(e, seq);
    return out;
}

/* The output matrix as floats, (vocab, n_embd): a tensor of its own, or the embedding's. */
static float *head_of(const struct tensor *own, const struct tensor *tied, size_t vocab, size_t w)
{
    const struct tensor *t = own ? own : tied;
    float *head = malloc(vocab * w * sizeof *head);
    assert_non_null(head);
    assert_non_null(t);
    assert_int_equal(t->ne[0], w);
    assert_int_equal(t->ne[1], vocab);
    qtype_info(t->type)->dequantize(t->data, head, (int64_t)(vocab * w));
    return head;
}

static double softcap_of(const char *name)
{
    char path[512];
    struct err err;
    json_t *config;
    assert_ok(
        json_parse_file(&config, golden_path(path, "hf/%s/config.json", name), 1 << 20, &err));
    double cap = json_number_value(json_object_get(config, "final_logit_softcapping"));
    json_decref(config);
    return cap;
}

static void check_states(const char *name, const char *path, const float *head, double cap)
{
    char json[512], bin[512];
    struct golden g;
    golden_load(&g, golden_path(json, "hf/%s/golden.json", name),
                golden_path(bin, "hf/%s/logits.f32", name));
    struct model *m = open_model(path);
    struct engine *e = open_engine(m, true, 2, 64);
    size_t w = width(m);
    float *h = states(e, g.tokens, g.n_tokens, 7), *logits = malloc(g.vocab * sizeof *logits);
    double worst = 0;
    for (size_t t = 0; t < g.n_tokens; t++) {
        for (size_t v = 0; v < g.vocab; v++) {
            double sum = 0;
            for (size_t c = 0; c < w; c++)
                sum += (double)head[v * w + c] * (double)h[t * w + c];
            logits[v] = (float)(cap > 0 ? cap * tanh(sum / cap) : sum);
        }
        double d = rel_error(logits, g.logits + t * g.vocab, g.vocab);
        worst = d > worst ? d : worst;
    }
    print_message("%-10s %.2e\n", name, worst);
    assert_true(worst <= 1e-4);
    free(h);
    free(logits);
    engine_free(e);
    model_close(m);
    golden_free(&g);
}

static void states_give_the_reference_logits(void **state)
{
    (void)state;
    static const char *const names[] = {"llama2", "mistral", "qwen2",  "qwen3",
                                        "phi3",   "gemma2",  "smollm3"};
    char path[512], file[512];
    struct err err;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct safetensors *s;
        struct model_info info;
        golden_path(path, "hf/%s", names[i]);
        assert_ok(
            safetensors_open(&s, golden_path(file, "hf/%s/model.safetensors", names[i]), &err));
        struct model *m = open_model(path);
        model_info(m, &info);
        float *head = head_of(safetensors_tensor(s, STR("lm_head.weight")),
                              safetensors_tensor(s, STR("model.embed_tokens.weight")),
                              (size_t)info.n_vocab, (size_t)info.n_embd);
        check_states(names[i], path, head, softcap_of(names[i]));
        free(head);
        model_close(m);
        safetensors_close(s);
    }
    struct gguf *g; /* with experts */
    golden_path(path, "gguf/%s-bf16.gguf", "mixtral");
    assert_ok(gguf_open(&g, path, &err));
    const struct tensor *embd = gguf_tensor(g, STR("token_embd.weight"));
    float *head = head_of(gguf_tensor(g, STR("output.weight")), embd, (size_t)embd->ne[1],
                          (size_t)embd->ne[0]);
    check_states("mixtral", path, head, 0);
    free(head);
    gguf_close(g);
}

/* In the default arithmetic the bits depend on no cut and no thread, and pooling is what it says.
 */
static void pooling_is_sums_of_states(void **state)
{
    (void)state;
    char path[512];
    struct err err;
    int32_t ids[100];
    struct model *m = open_model(golden_path(path, "gguf/llama32-bf16.gguf", ""));
    size_t w = width(m);
    struct engine *one = open_engine(m, false, 1, 1), *wide = open_engine(m, false, 2, 64);
    float *v = malloc(w * sizeof *v), *again = malloc(w * sizeof *again);
    for (size_t i = 0; i < 100; i++)
        ids[i] = (int32_t)(i * 37 % 500);
    float *h = states(one, ids, 100, 1);
    static const enum pooling how[] = {POOL_MEAN, POOL_CLS, POOL_LAST};
    for (int k = 0; k < 3; k++) {
        assert_ok(engine_embed(wide, ids, 100, how[k], false, v, &err));
        assert_ok(engine_embed(one, ids, 100, how[k], false, again, &err));
        assert_memory_equal(v, again, w * sizeof *v);
        double square = 0;
        for (size_t c = 0; c < w; c++) {
            double sum = 0;
            for (size_t t = 0; t < 100; t++)
                sum += (double)h[t * w + c];
            double want =
                how[k] == POOL_MEAN ? sum / 100 : (double)h[how[k] == POOL_CLS ? c : 99 * w + c];
            assert_true(v[c] == (float)want);
            square += want * want;
        }
        assert_ok(engine_embed(wide, ids, 100, how[k], true, again, &err));
        for (size_t c = 0; c < w; c++)
            assert_true(fabs((double)again[c] - (double)v[c] / sqrt(square)) < 1e-6);
    }
    /* a step with logits has the same states */
    int seq;
    struct step_row row = {ids[0], 0, true};
    assert_ok(engine_seq_new(wide, &seq, &err));
    row.seq = seq;
    assert_ok(engine_step(wide, &row, 1, &err));
    assert_non_null(engine_logits(wide, 0));
    assert_memory_equal(engine_hidden(wide, 0), h, w * sizeof *h);
    engine_seq_free(wide, seq);

    assert_int_equal(engine_embed(wide, ids, 0, POOL_MEAN, true, v, &err), EUSAGE);
    int32_t many[300] = {0};
    assert_int_equal(engine_embed(wide, many, 300, POOL_MEAN, true, v, &err), ECONTEXT);
    ids[3] = -1;
    assert_int_equal(engine_embed(wide, ids, 100, POOL_MEAN, true, v, &err), EUSAGE);
    assert_int_equal(engine_free_pages(wide), engine_pages_of(256) + 1); /* nothing stays behind */
    free(h);
    free(v);
    free(again);
    engine_free(one);
    engine_free(wide);
    model_close(m);
}

/* A copy of a file with one key more. */
static struct model *with_key(const char *path, const char *key, int64_t number, bool flag,
                              enum status want, struct err *told)
{
    struct err err;
    char out[] = "/tmp/hearth-embed-XXXXXX";
    struct gguf *g;
    struct gguf_writer *w;
    struct model *m = NULL;
    int fd = mkstemp(out);
    assert_true(fd >= 0);
    assert_ok(gguf_open(&g, path, &err));
    assert_ok(gguf_writer_fd(&w, fd, out, &err));
    for (size_t i = 0; i < gguf_n_kv(g); i++)
        gguf_put_kv(w, gguf_kv_at(g, i));
    if (number >= 0)
        gguf_put_u32(w, key, (uint32_t)number);
    else
        gguf_put_bool(w, key, flag);
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct tensor *t = gguf_tensor_at(g, i);
        gguf_put_tensor(w, t->name, t->type, t->n_dims, t->ne);
    }
    gguf_write_header(w);
    for (size_t i = 0; i < gguf_n_tensors(g); i++)
        gguf_write_data(w, gguf_tensor_at(g, i)->data, gguf_tensor_at(g, i)->bytes);
    assert_ok(gguf_writer_commit(w, &err));
    close(fd);
    gguf_close(g);
    assert_int_equal(model_open(&m, out, NULL, told), want);
    unlink(out);
    return m;
}

static void the_file_says_how(void **state)
{
    (void)state;
    static const struct {
        int64_t number;
        enum pooling how;
        bool said;
    } rows[] = {
        {0, POOL_LAST, false}, {1, POOL_MEAN, true}, {2, POOL_CLS, true}, {3, POOL_LAST, true}};
    char path[512], encoder[512];
    struct err err;
    enum pooling how;
    bool said = true;
    golden_path(path, "gguf/llama32-bf16.gguf", "");
    golden_path(encoder, "gguf/distilbert_seqcls-bf16.gguf", "");
    struct model *m = open_model(path);
    assert_ok(model_pooling(m, &how, &said, &err));
    assert_int_equal(how, POOL_LAST);
    assert_false(said);
    model_close(m);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        m = with_key(path, "llama.pooling_type", rows[i].number, false, OK, &err);
        assert_ok(model_pooling(m, &how, &said, &err));
        assert_int_equal(how, rows[i].how);
        assert_int_equal(said, rows[i].said);
        model_close(m);
    }
    m = with_key(path, "llama.pooling_type", 4, false, OK, &err);
    assert_int_equal(model_pooling(m, &how, NULL, &err), EUNSUPPORTED);
    assert_non_null(strstr(err.msg, "pooling_type is 4"));
    model_close(m);
    /* tokens that see all others are another model */
    (void)with_key(path, "llama.attention.causal", -1, false, EUNSUPPORTED, &err);
    assert_non_null(strstr(err.msg, "expected a decoder"));
    m = with_key(path, "llama.attention.causal", -1, true, OK, &err);
    model_close(m);
    m = open_model(encoder);
    assert_ok(model_pooling(m, &how, NULL, &err));
    assert_int_equal(how, POOL_MEAN);
    model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_give_the_reference_logits),
        cmocka_unit_test(pooling_is_sums_of_states),
        cmocka_unit_test(the_file_says_how),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
