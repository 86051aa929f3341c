/* Encoders against transformers: every head of tiny DistilBERT models with random weights, from
 * Hugging Face folders and from GGUF. BERT has no golden model of its own: the same weights under
 * BERT's names, with segment embeddings of zero, must give the same outputs; what BERT does
 * differently (segments, the pooler's tanh, the old names of norms) is checked where the answer
 * follows from those. */
#include "base/file.h"
#include "base/json.h"
#include "base/jsonw.h"
#include "engine/arch.h"
#include "engine/encoder.h"
#include "format/safetensors.h"
#include "support.h"
#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define DATA HEARTH_SOURCE_DIR "/tests/data/golden/"

/* Exact arithmetic on the weights as they are; on weights in blocks of 8 bits (rounding of about
 * 0.4 % each) and activations too. */
static const double tight = 1e-4, rounded = 3e-2;

static struct model *open_as(const char *path, enum qtype quantize)
{
    struct model *m;
    struct err err = {0};
    struct model_options opt = MODEL_OPTIONS_INIT;
    opt.quantize = quantize;
    assert_ok(model_open(&m, path, &opt, &err));
    return m;
}

static struct model *open_model(const char *path)
{
    return open_as(path, QT_COUNT);
}

static json_t *golden(const char *name)
{
    char path[256];
    struct err err = {0};
    json_t *j;
    snprintf(path, sizeof path, DATA "hf/%s/golden.json", name);
    assert_ok(json_parse_file(&j, path, 1 << 24, &err));
    return j;
}

static size_t get_ids(const json_t *row, int32_t ids[128])
{
    const json_t *a = json_object_get(row, "ids");
    size_t n = json_array_size(a);
    assert_in_range(n, 1, 128);
    for (size_t i = 0; i < n; i++)
        ids[i] = (int32_t)json_integer_value(json_array_get(a, i));
    return n;
}

/* Largest difference over the largest value: of column `col` against an array of numbers, or
 * (col < 0) of the whole output against an array of rows or one row. */
static double worst_error(const struct encoder_out *o, int64_t col, const json_t *want)
{
    double diff = 0, size = 0;
    for (int64_t r = 0; r < o->rows; r++) {
        const json_t *row = o->rows == 1 || col >= 0 ? want : json_array_get(want, (size_t)r);
        assert_int_equal(json_array_size(row), col >= 0 ? o->rows : o->cols);
        for (int64_t c = 0; c < o->cols; c++) {
            if (col >= 0 && c != col)
                continue;
            double w = json_number_value(json_array_get(row, (size_t)(col >= 0 ? r : c)));
            double d = fabs((double)o->v[r * o->cols + c] - w);
            diff = !(d <= diff) ? d : diff; /* a NaN stays */
            size = fabs(w) > size ? fabs(w) : size;
        }
    }
    return diff / size;
}

/* Two segments: what follows the first [SEP]. */
static void segments(const int32_t *ids, size_t n, int32_t sep, int32_t *types)
{
    int32_t t = 0;
    for (size_t i = 0; i < n; i++) {
        types[i] = t;
        t = t || ids[i] == sep;
    }
}

static double check_row(const struct model *m, const json_t *row, enum encoder_head head,
                        bool exact)
{
    int32_t ids[128], types[128];
    size_t n = get_ids(row, ids);
    struct encoder_out o;
    struct err err = {0};
    segments(ids, n, 3, types);
    assert_ok(encoder_run(m, NULL, ids, types, n, head, exact, &o, &err));
    double worst;
    if (head == HEAD_QA) {
        double s = worst_error(&o, 0, json_object_get(row, "start"));
        double e = worst_error(&o, 1, json_object_get(row, "end"));
        worst = s > e ? s : e;
    } else {
        worst = worst_error(&o, -1, json_object_get(row, "logits"));
    }
    encoder_out_release(&o);
    return worst;
}

static void check_golden(const struct model *m, const char *name, const char *what,
                         enum encoder_head head, double exact_bound, double default_bound)
{
    json_t *g = golden(name);
    json_t *rows = json_object_get(g, "rows"), *pair = json_object_get(g, "pair");
    double worst[2] = {0, 0};
    size_t n = json_array_size(rows);
    assert_true(n > 0);
    for (size_t i = 0; i < n + json_is_object(pair); i++)
        for (int exact = 0; exact < 2; exact++) {
            double w = check_row(m, i < n ? json_array_get(rows, i) : pair, head, exact);
            worst[exact] = !(w <= worst[exact]) ? w : worst[exact];
        }
    print_message("%-18s %-10s %zu rows: exact %.2e, default %.2e\n", name, what,
                  n + json_is_object(pair), worst[1], worst[0]);
    assert_true(worst[1] <= exact_bound);
    assert_true(worst[0] <= default_bound);
    json_decref(g);
}

static const struct {
    const char *name;
    enum encoder_head head;
} cases[] = {
    {"distilbert_seqcls", HEAD_SEQUENCE},
    {"distilbert_mlm", HEAD_MASKED_LM},
    {"distilbert_ner", HEAD_TOKEN},
    {"distilbert_qa", HEAD_QA},
};
enum { CASES = sizeof cases / sizeof *cases };

static void distilbert_from_folders(void **state)
{
    (void)state;
    for (int i = 0; i < CASES; i++) {
        char path[256];
        snprintf(path, sizeof path, DATA "hf/%s", cases[i].name);
        struct model *m = open_model(path);
        assert_int_equal(encoder_head(m), cases[i].head);
        check_golden(m, cases[i].name, "folder", cases[i].head, tight, tight);
        model_close(m);
    }
}

static void distilbert_from_gguf(void **state)
{
    (void)state;
    struct model *m = open_model(DATA "gguf/distilbert_seqcls-bf16.gguf");
    assert_int_equal(encoder_head(m), HEAD_SEQUENCE);
    check_golden(m, "distilbert_seqcls", "gguf", HEAD_SEQUENCE, tight, tight);
    assert_int_equal(encoder_n_labels(m), 3);
    static const char *const labels[] = {"simple", "medium", "complex"};
    for (size_t i = 0; i < 3; i++)
        assert_true(str_is(encoder_label(m, i), labels[i]));
    model_close(m);
}

static void distilbert_quantized_at_load(void **state)
{
    (void)state;
    for (int i = 0; i < CASES; i++) {
        char path[256];
        snprintf(path, sizeof path, DATA "hf/%s", cases[i].name);
        struct model *m = open_as(path, QT_Q8_0);
        check_golden(m, cases[i].name, "q8_0", cases[i].head, rounded, rounded);
        model_close(m);
    }
}

/* ---- BERT, made of a DistilBERT ---- */

struct renaming {
    const char *from, *to; /* '%': the layer */
};

static const struct renaming common_names[] = {
    {"distilbert.embeddings.", "embeddings."},
    {"distilbert.transformer.layer.%.attention.q_lin.", "encoder.layer.%.attention.self.query."},
    {"distilbert.transformer.layer.%.attention.k_lin.", "encoder.layer.%.attention.self.key."},
    {"distilbert.transformer.layer.%.attention.v_lin.", "encoder.layer.%.attention.self.value."},
    {"distilbert.transformer.layer.%.attention.out_lin.",
     "encoder.layer.%.attention.output.dense."},
    {"distilbert.transformer.layer.%.sa_layer_norm.",
     "encoder.layer.%.attention.output.LayerNorm."},
    {"distilbert.transformer.layer.%.ffn.lin1.", "encoder.layer.%.intermediate.dense."},
    {"distilbert.transformer.layer.%.ffn.lin2.", "encoder.layer.%.output.dense."},
    {"distilbert.transformer.layer.%.output_layer_norm.", "encoder.layer.%.output.LayerNorm."},
    {"pre_classifier.", "pooler.dense."},
    {"vocab_transform.", "=cls.predictions.transform.dense."},
    {"vocab_layer_norm.", "=cls.predictions.transform.LayerNorm."},
    {"vocab_projector.", "=cls.predictions."},
    {"classifier.", "=classifier."},
    {"qa_outputs.", "=qa_outputs."},
};

/* Writes BERT's name of a DistilBERT tensor. '=' in the table: never with the "bert." prefix. */
static void bert_name(struct str name, const char *prefix, bool old_norms, char out[128])
{
    for (size_t i = 0; i < sizeof common_names / sizeof *common_names; i++)
        for (int layer = 0; layer < 2; layer++) {
            char from[128], to[128];
            const char *f = common_names[i].from, *t = common_names[i].to;
            size_t n = 0;
            for (; *f; f++)
                from[n++] = *f == '%' ? (char)('0' + layer) : *f;
            if (!str_starts(name, (struct str){from, n}))
                continue;
            struct str rest = str_slice(name, n, name.n);
            n = 0;
            for (; *t; t++)
                to[n++] = *t == '%' ? (char)('0' + layer) : *t;
            to[n] = 0;
            if (old_norms && strstr(to, "LayerNorm."))
                rest = str_is(rest, "weight") ? STR("gamma") : STR("beta");
            snprintf(out, 128, "%s%s%.*s", to[0] == '=' ? "" : prefix, to + (to[0] == '='),
                     STR_ARG(rest));
            return;
        }
    fail_msg("no BERT name for '%.*s'", STR_ARG(name));
}

struct writer {
    struct buf data;
    struct buf json;
    struct jsonw w;
};

static void put_tensor(struct writer *w, const char *name, const int64_t *shape, int dims,
                       const float *v)
{
    size_t n = 1, at = w->data.n;
    jsonw_key(&w->w, name);
    jsonw_obj(&w->w);
    jsonw_kstr(&w->w, "dtype", STR("F32"));
    jsonw_key(&w->w, "shape");
    jsonw_arr(&w->w);
    for (int i = 0; i < dims; i++) {
        jsonw_int(&w->w, shape[i]);
        n *= (size_t)shape[i];
    }
    jsonw_end(&w->w);
    buf_add(&w->data, v, n * sizeof *v);
    jsonw_key(&w->w, "data_offsets");
    jsonw_arr(&w->w);
    jsonw_uint(&w->w, at);
    jsonw_uint(&w->w, w->data.n);
    jsonw_end(&w->w);
    jsonw_end(&w->w);
}

/* Every tensor of folder `name` under BERT's names, and segment embeddings of zero; or, with
 * `swap`, such that segment 1 turns token 8 into token 9. */
static void put_bert(struct writer *w, const char *name, const char *prefix, bool old_norms,
                     bool swap)
{
    char path[256];
    struct err err = {0};
    struct safetensors *s;
    snprintf(path, sizeof path, DATA "hf/%s/model.safetensors", name);
    assert_ok(safetensors_open(&s, path, &err));
    float types[2 * 96] = {0};
    for (size_t i = 0; i < safetensors_n_tensors(s); i++) {
        const struct tensor *t = safetensors_tensor_at(s, i);
        char to[128];
        bert_name(t->name, prefix, old_norms, to);
        int64_t n = tensor_elems(t), shape[2] = {t->ne[1], t->ne[0]};
        float *v = calloc((size_t)n, sizeof *v);
        qtype_info(t->type)->dequantize(t->data, v, n);
        if (swap && strstr(to, "word_embeddings"))
            for (int k = 0; k < 96; k++)
                types[96 + k] = v[9 * 96 + k] - v[8 * 96 + k];
        put_tensor(w, to, t->n_dims == 1 ? shape + 1 : shape, t->n_dims, v);
        free(v);
    }
    safetensors_close(s);
    char to[128];
    snprintf(to, sizeof to, "%sembeddings.token_type_embeddings.weight", prefix);
    put_tensor(w, to, (const int64_t[]){2, 96}, 2, types);
}

static void copy_file(const char *from, const char *to)
{
    struct buf b;
    struct err err = {0};
    struct file_writer f;
    buf_init(&b, 1 << 24);
    assert_ok(file_read(from, &b, &err));
    assert_ok(file_writer_open(&f, to, &err));
    file_writer_put(&f, b.p, b.n);
    assert_ok(file_writer_commit(&f, &err));
    buf_release(&b);
}

static const char *const folder_files[] = {"config.json", "model.safetensors", "tokenizer.json",
                                           "tokenizer_config.json"};

static void write_config(const char *dir, const char *cls, const char *old)
{
    char path[300];
    struct err err = {0};
    struct file_writer f;
    snprintf(path, sizeof path, "%s/config.json", dir);
    assert_ok(file_writer_open(&f, path, &err));
    char text[1000];
    int n = snprintf(text, sizeof text,
                     "{\"architectures\": [\"Bert%s\"], \"model_type\": \"bert\", "
                     "\"hidden_size\": 96, \"num_hidden_layers\": 2, \"num_attention_heads\": 4, "
                     "\"intermediate_size\": 192, \"hidden_act\": \"gelu\", "
                     "\"max_position_embeddings\": 128, \"type_vocab_size\": 2, "
                     "\"vocab_size\": 512, \"layer_norm_eps\": 1e-12, \"pad_token_id\": 0%s}",
                     cls, old);
    file_writer_put(&f, text, (size_t)n);
    assert_ok(file_writer_commit(&f, &err));
}

/* A BERT folder of DistilBERT `name`'s weights, opened and removed again. */
static struct model *make_bert(const char *name, const char *cls, const char *prefix,
                               bool old_norms, bool swap)
{
    char dir[] = "/tmp/hearth-bert-XXXXXX", from[300], to[300];
    struct err err = {0};
    struct file_writer f;
    assert_non_null(mkdtemp(dir));
    write_config(dir, cls,
                 str_is(str_from(name), "distilbert_ner")
                     ? ", \"id2label\": {\"0\": \"A\", \"1\": \"B\", \"2\": \"C\", \"3\": \"D\", "
                       "\"4\": \"E\"}"
                     : ", \"id2label\": {\"2\": \"two\", \"0\": \"zero\", \"1\": \"one\"}");
    for (int i = 2; i < 4; i++) {
        snprintf(from, sizeof from, DATA "hf/%s/%s", name, folder_files[i]);
        snprintf(to, sizeof to, "%s/%s", dir, folder_files[i]);
        copy_file(from, to);
    }
    struct writer w;
    buf_init(&w.data, 1 << 24);
    buf_init(&w.json, 1 << 20);
    jsonw_init(&w.w, &w.json, 0);
    jsonw_obj(&w.w);
    put_bert(&w, name, prefix, old_norms, swap);
    jsonw_end(&w.w);
    while (w.json.n % 8)
        buf_addc(&w.json, ' ');
    uint64_t n = w.json.n;
    snprintf(to, sizeof to, "%s/model.safetensors", dir);
    assert_ok(file_writer_open(&f, to, &err));
    file_writer_put(&f, &n, sizeof n);
    file_writer_put(&f, w.json.p, w.json.n);
    file_writer_put(&f, w.data.p, w.data.n);
    assert_ok(file_writer_commit(&f, &err));
    buf_release(&w.data);
    buf_release(&w.json);
    struct model *m = open_model(dir);
    for (int i = 0; i < 4; i++) {
        snprintf(to, sizeof to, "%s/%s", dir, folder_files[i]);
        unlink(to);
    }
    rmdir(dir);
    return m;
}

static void bert_with_distilbert_weights(void **state)
{
    (void)state;
    static const struct {
        int golden;
        const char *cls, *prefix;
        bool old_norms;
    } rows[] = {
        {1, "ForMaskedLM", "bert.", false},           {1, "ForPreTraining", "bert.", true},
        {2, "ForTokenClassification", "bert.", true}, {3, "ForQuestionAnswering", "bert.", false},
        {3, "ForQuestionAnswering", "", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *name = cases[rows[i].golden].name;
        struct model *m = make_bert(name, rows[i].cls, rows[i].prefix, rows[i].old_norms, false);
        assert_int_equal(encoder_head(m), cases[rows[i].golden].head);
        check_golden(m, name, "as bert", cases[rows[i].golden].head, tight, tight);
        model_close(m);
    }
}

/* BERT's classifier: W tanh(P x + p) + b over the first token's hidden state. */
static void bert_pools_with_tanh(void **state)
{
    (void)state;
    struct model *m =
        make_bert("distilbert_seqcls", "ForSequenceClassification", "bert.", false, false);
    struct err err = {0};
    struct encoder_out hidden, logits;
    static const int32_t ids[] = {2, 40, 41, 42, 100, 3};
    assert_int_equal(encoder_head(m), HEAD_SEQUENCE);
    assert_int_equal(encoder_n_labels(m), 3);
    assert_true(str_is(encoder_label(m, 0), "zero"));
    assert_true(str_is(encoder_label(m, 2), "two"));
    assert_ok(encoder_run(m, NULL, ids, NULL, 6, HEAD_NONE, true, &hidden, &err));
    assert_ok(encoder_run(m, NULL, ids, NULL, 6, HEAD_SEQUENCE, true, &logits, &err));
    assert_int_equal(logits.rows, 1);
    assert_int_equal(logits.cols, 3);
    struct safetensors *s;
    assert_ok(safetensors_open(&s, DATA "hf/distilbert_seqcls/model.safetensors", &err));
    static const char *const names[] = {"pre_classifier.weight", "pre_classifier.bias",
                                        "classifier.weight", "classifier.bias"};
    float v[4][96 * 96];
    for (int i = 0; i < 4; i++) {
        const struct tensor *t = safetensors_tensor(s, str_from(names[i]));
        assert_non_null(t);
        qtype_info(t->type)->dequantize(t->data, v[i], tensor_elems(t));
    }
    double pooled[96];
    for (int r = 0; r < 96; r++) {
        double sum = (double)v[1][r];
        for (int c = 0; c < 96; c++)
            sum += (double)v[0][r * 96 + c] * (double)hidden.v[c];
        pooled[r] = tanh(sum);
    }
    for (int r = 0; r < 3; r++) {
        double sum = (double)v[3][r];
        for (int c = 0; c < 96; c++)
            sum += (double)v[2][r * 96 + c] * pooled[c];
        assert_true(fabs(sum - (double)logits.v[r]) < 1e-4);
    }
    safetensors_close(s);
    encoder_out_release(&hidden);
    encoder_out_release(&logits);
    model_close(m);
}

static void bert_adds_segments(void **state)
{
    (void)state;
    struct model *m = make_bert("distilbert_qa", "Model", "", false, true);
    struct err err = {0};
    struct encoder_out a, b, c;
    static const int32_t with[] = {2, 8, 40, 8, 3}, types[] = {0, 0, 0, 1, 0};
    static const int32_t without[] = {2, 8, 40, 9, 3};
    assert_ok(encoder_run(m, NULL, with, types, 5, HEAD_NONE, true, &a, &err));
    assert_ok(encoder_run(m, NULL, without, NULL, 5, HEAD_NONE, true, &b, &err));
    assert_ok(encoder_run(m, NULL, with, NULL, 5, HEAD_NONE, true, &c, &err));
    double same = 0, other = 0;
    for (int i = 0; i < 5 * 96; i++) {
        same = fmax(same, fabs((double)(a.v[i] - b.v[i])));
        other = fmax(other, fabs((double)(a.v[i] - c.v[i])));
    }
    assert_true(same < 1e-4 && other > 0.01);
    static const int32_t bad_types[] = {0, 0, 2, 1, 0};
    struct encoder_out o;
    assert_int_equal(encoder_run(m, NULL, with, bad_types, 5, HEAD_NONE, true, &o, &err), EUSAGE);
    assert_string_equal(err.msg, "encoder: segment 2 at place 2, expected 0 to 1");
    encoder_out_release(&a);
    encoder_out_release(&b);
    encoder_out_release(&c);
    model_close(m);
}

/* ---- the rest of the contract ---- */

static void threads_change_nothing(void **state)
{
    (void)state;
    struct model *m = open_model(DATA "hf/distilbert_mlm");
    struct err err = {0};
    struct pool *pool;
    int32_t ids[128];
    for (int i = 0; i < 128; i++)
        ids[i] = 5 + i * 37 % 500;
    assert_ok(pool_new(&pool, 3, &err));
    for (size_t n = 1; n <= 128; n += n == 1 ? 16 : 37)
        for (int exact = 0; exact < 2; exact++) {
            struct encoder_out a, b;
            assert_ok(encoder_run(m, NULL, ids, NULL, n, HEAD_MASKED_LM, exact, &a, &err));
            assert_ok(encoder_run(m, pool, ids, NULL, n, HEAD_MASKED_LM, exact, &b, &err));
            assert_int_equal(a.rows, n);
            assert_int_equal(a.cols, 512);
            assert_memory_equal(a.v, b.v, n * 512 * sizeof *a.v);
            encoder_out_release(&a);
            encoder_out_release(&b);
        }
    pool_free(pool);
    model_close(m);
}

static void bad_input_is_told(void **state)
{
    (void)state;
    struct model *m = open_model(DATA "hf/distilbert_ner");
    struct err err = {0};
    struct encoder_out o;
    int32_t ids[129] = {0};
    assert_int_equal(encoder_max_tokens(m), 128);
    assert_int_equal(encoder_run(m, NULL, ids, NULL, 129, HEAD_TOKEN, true, &o, &err), ECONTEXT);
    assert_string_equal(err.msg, "encoder: 129 tokens, but the model has 128 positions");
    assert_int_equal(encoder_run(m, NULL, ids, NULL, 0, HEAD_TOKEN, true, &o, &err), EUSAGE);
    ids[4] = 512;
    assert_int_equal(encoder_run(m, NULL, ids, NULL, 10, HEAD_TOKEN, true, &o, &err), EUSAGE);
    assert_string_equal(err.msg, "encoder: token 512 at place 4, expected 0 to 511");
    assert_int_equal(encoder_run(m, NULL, ids, NULL, 3, HEAD_QA, true, &o, &err), EUSAGE);
    assert_string_equal(err.msg, "encoder: the model has no question answering head");
    assert_null(o.v);
    model_close(m);
}

/* Variants that would run and give wrong numbers are refused. */
static void other_berts_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *field, *message;
    } rows[] = {
        {"\"position_embedding_type\": \"relative_key\"",
         "field 'position_embedding_type' is 'relative_key', expected absolute"},
        {"\"is_decoder\": true",
         "field 'is_decoder' is true, expected an encoder that looks both ways"},
        {"\"type_vocab_size\": -1", "number of token types -1, expected 0 to 65536"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[1000];
        struct hparams hp;
        struct err err = {0};
        snprintf(text, sizeof text,
                 "{\"model_type\": \"bert\", \"hidden_size\": 96, \"num_hidden_layers\": 2, "
                 "\"num_attention_heads\": 4, \"intermediate_size\": 192, "
                 "\"max_position_embeddings\": 128, \"vocab_size\": 512, %s}",
                 rows[i].field);
        assert_true(hparams_from_json(&hp, str_from(text), &err) != OK);
        assert_non_null(strstr(err.msg, rows[i].message));
    }
}

static void pooling_is_what_it_says(void **state)
{
    (void)state;
    float v[] = {1, 2, 3, 4, 5, 12}, out[2];
    struct encoder_out o = {.rows = 3, .cols = 2, .v = v};
    encoder_pool(&o, POOL_MEAN, false, out);
    assert_true(out[0] == 3 && out[1] == 6);
    encoder_pool(&o, POOL_CLS, false, out);
    assert_true(out[0] == 1 && out[1] == 2);
    encoder_pool(&o, POOL_LAST, true, out);
    assert_true(fabs((double)out[0] - 5.0 / 13) < 1e-7 && fabs((double)out[1] - 12.0 / 13) < 1e-7);
    float zero[2] = {0, 0};
    o = (struct encoder_out){.rows = 1, .cols = 2, .v = zero};
    encoder_pool(&o, POOL_MEAN, true, out);
    assert_true(out[0] == 0 && out[1] == 0);
}

/* The tokenizer that came with the model makes the ids that the golden rows were made from. */
static void pairs_are_tokenized(void **state)
{
    (void)state;
    struct model *m = open_model(DATA "hf/distilbert_qa");
    json_t *g = golden("distilbert_qa"), *pair = json_object_get(g, "pair");
    struct err err = {0};
    struct tokens ids = {0}, types = {0};
    int32_t want[128], want_types[128];
    size_t n = get_ids(pair, want);
    segments(want, n, 3, want_types);
    assert_ok(tokenizer_encode_pair(model_tokenizer(m), json_str(json_object_get(pair, "question")),
                                    json_str(json_object_get(pair, "context")), &ids, &types,
                                    &err));
    assert_int_equal(ids.n, n);
    assert_memory_equal(ids.id, want, n * sizeof *want);
    assert_int_equal(types.n, n);
    assert_memory_equal(types.id, want_types, n * sizeof *want);
    tokens_free(&ids);
    tokens_free(&types);
    json_decref(g);
    model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distilbert_from_folders),
        cmocka_unit_test(distilbert_from_gguf),
        cmocka_unit_test(distilbert_quantized_at_load),
        cmocka_unit_test(bert_with_distilbert_weights),
        cmocka_unit_test(bert_pools_with_tanh),
        cmocka_unit_test(bert_adds_segments),
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(bad_input_is_told),
        cmocka_unit_test(other_berts_are_refused),
        cmocka_unit_test(pooling_is_what_it_says),
        cmocka_unit_test(pairs_are_tokenized),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
