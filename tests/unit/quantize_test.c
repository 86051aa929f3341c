/* Synthetic models and the quantization of files: shapes as published, every recipe's types, values
 * near the source, importance heeded, nothing left behind by a failure. */
#include "base/file.h"
#include "base/rng.h"
#include "engine/quantize.h"
#include "engine/synth.h"
#include "engine/vocab_gguf.h"
#include "support.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Parameter counts as the models' own pages give them. */
static void shapes_have_their_published_size(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int64_t params;
    } rows[] = {
        {"tinyllama-1.1b", 1100048384}, {"llama3.2-1b", 1235814400}, {"llama3.2-3b", 3212749824},
        {"llama3.1-8b", 8030261248},    {"mistral-7b", 7248023552},  {"codellama-7b", 6738546688},
        {"mixtral-8x7b", 46702792704},  {"qwen2-7b", 7615616512},    {"qwen2.5-0.5b", 494032768},
        {"qwen3-0.6b", 596049920},      {"qwen3-1.7b", 1720574976},  {"qwen3-4b", 4022468096},
        {"qwen3-8b", 8190735360},       {"phi3-mini", 3821079552},   {"gemma2-2b", 2614341888},
        {"smollm3-3b", 3075098624},     {"distilbert", 66362880},
    };
    size_t n = 0;
    for (const struct synth_shape *s = synth_shapes; s->name; s++, n++) {
        assert_string_equal(s->name, rows[n].name);
        if (synth_params(s) != rows[n].params)
            fail_msg("%s has %lld parameters, expected %lld", s->name, (long long)synth_params(s),
                     (long long)rows[n].params);
    }
    assert_int_equal(n, sizeof rows / sizeof *rows);
}

static const struct synth_shape small = {
    .name = "small",
    .arch = "llama",
    .layers = 8,
    .embd = 256,
    .ff = 512,
    .heads = 4,
    .kv_heads = 2,
    .head_dim = 64,
    .vocab = 1024,
    .ctx = 512,
    .rope_base = 1e4f,
    .eps = 1e-5f,
    .tokens = SYNTH_SPM,
};

static void write_small(const struct synth_shape *s, const char *path, const char *recipe)
{
    struct err err;
    assert_ok(synth_write(s, path, recipe_by_name(str_from(recipe)), 1, NULL, NULL, &err));
}

static float *load(const struct tensor *t)
{
    size_t n = (size_t)tensor_elems(t);
    float *x = malloc(n * sizeof *x);
    assert_non_null(x);
    qtype_info(t->type)->dequantize(t->data, x, (int64_t)n);
    return x;
}

/* Relative rms difference of two tensors, columns weighted by w (or NULL). */
static double difference(const struct tensor *a, const struct tensor *b, const float *w)
{
    float *x = load(a), *y = load(b);
    double e = 0, s = 0;
    for (int64_t i = 0; i < tensor_elems(a); i++) {
        double d = (double)x[i] - (double)y[i], wi = w ? (double)w[i % a->ne[0]] : 1;
        e += wi * d * d;
        s += wi * (double)x[i] * (double)x[i];
    }
    free(x);
    free(y);
    return sqrt(e / s);
}

/* Types of layer 0, layer 3 and of the ends, in the order of `names`. */
static void recipes_choose_types(void **state)
{
    (void)state;
    static const char *const names[] = {
        "token_embd.weight",     "output.weight",
        "output_norm.weight",    "blk.0.attn_q.weight",
        "blk.0.attn_v.weight",   "blk.3.attn_v.weight",
        "blk.4.attn_v.weight",   "blk.0.attn_output.weight",
        "blk.0.ffn_down.weight", "blk.2.ffn_down.weight",
    };
    enum { N = sizeof names / sizeof *names };
    static const struct {
        const char *recipe, *types;
    } rows[] = {
        {"f32", "f32 f32 f32 f32 f32 f32 f32 f32 f32 f32"},
        {"f16", "f16 f16 f32 f16 f16 f16 f16 f16 f16 f16"},
        {"q8_0", "q8_0 q8_0 f32 q8_0 q8_0 q8_0 q8_0 q8_0 q8_0 q8_0"},
        {"q4_0", "q4_0 q6_k f32 q4_0 q4_0 q4_0 q4_0 q4_0 q4_0 q4_0"},
        {"Q4_K_S", "q4_k q6_k f32 q4_k q5_k q5_k q4_k q4_k q5_k q4_k"},
        {"Q4_K_M", "q4_k q6_k f32 q4_k q6_k q6_k q4_k q4_k q6_k q4_k"},
        {"q5_k_m", "q5_k q6_k f32 q5_k q6_k q6_k q5_k q5_k q6_k q5_k"},
        {"q3_k_m", "q3_k q6_k f32 q3_k q5_k q4_k q4_k q4_k q4_k q4_k"},
        {"q2_k", "q2_k q6_k f32 q2_k q3_k q3_k q3_k q3_k q3_k q3_k"},
        {"q6_k", "q6_k q6_k f32 q6_k q6_k q6_k q6_k q6_k q6_k q6_k"},
        {"iq4_xs", "iq4_xs q6_k f32 iq4_xs iq4_xs iq4_xs iq4_xs iq4_xs q5_k iq4_xs"},
    };
    const char *in = temp_path("in.gguf"), *out = temp_path("out.gguf");
    write_small(&small, in, "bf16");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct err err;
        struct gguf *a, *b;
        int64_t file_type;
        char types[256] = "";
        const struct recipe *r = recipe_by_name(str_from(rows[i].recipe));
        assert_non_null(r);
        assert_ok(quantize_file(in, out, r, NULL, NULL, &err));
        assert_ok(gguf_open(&a, in, &err));
        assert_ok(gguf_open(&b, out, &err));
        for (int k = 0, n = 0; k < N; k++) {
            const struct tensor *t = gguf_tensor(b, str_from(names[k]));
            assert_non_null(t);
            n += snprintf(types + n, sizeof types - (size_t)n, "%s%s", k ? " " : "",
                          qtype_info(t->type)->name);
            assert_true(difference(gguf_tensor(a, str_from(names[k])), t, NULL) < 0.27);
        }
        assert_string_equal(types, rows[i].types);
        assert_ok(gguf_get_int(b, "general.file_type", &file_type, -1, &err));
        assert_int_equal(file_type, r->file_type);
        assert_int_equal(gguf_n_kv(a), gguf_n_kv(b));
        gguf_close(a);
        gguf_close(b);
    }
    unlink(in);
    unlink(out);
    assert_null(recipe_by_name(STR("q4_k")));
}

/* Rows that 256-element blocks don't fit, tied embeddings, eight experts. */
static void odd_shapes_fall_back(void **state)
{
    (void)state;
    struct synth_shape odd = small;
    odd.embd = 96;
    odd.ff = 48;
    odd.flags = SYNTH_TIED;
    odd.experts = 8;
    odd.used = 2;
    static const struct {
        const char *name, *type;
    } rows[] = {
        {"token_embd.weight", "q8_0"},         {"blk.0.attn_q.weight", "q5_0"},
        {"blk.0.attn_k.weight", "q8_0"},       {"blk.0.attn_output.weight", "q5_k"},
        {"blk.0.ffn_gate_inp.weight", "f32"},  {"blk.0.ffn_up_exps.weight", "q5_0"},
        {"blk.0.ffn_down_exps.weight", "f16"},
    };
    struct err err;
    struct gguf *g;
    const char *path = temp_path("odd.gguf");
    write_small(&odd, path, "q4_k_m");
    assert_ok(gguf_open(&g, path, &err));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct tensor *t = gguf_tensor(g, str_from(rows[i].name));
        assert_non_null(t);
        if (strcmp(qtype_info(t->type)->name, rows[i].type) != 0)
            fail_msg("%s is %s, expected %s", rows[i].name, qtype_info(t->type)->name,
                     rows[i].type);
    }
    gguf_close(g);
    unlink(path);
}

/* What depends on heads, experts, depth and rows, without a file. */
static void few_bytes_go_where_they_count(void **state)
{
    (void)state;
    static const struct {
        const char *recipe, *name;
        int64_t cols, layers, experts, gqa;
        enum qtype type;
    } rows[] = {
        {"q2_k", "blk.9.attn_q.weight", 96, 32, 0, 1, QT_IQ4_NL},
        {"q2_k", "blk.9.attn_v.weight", 96, 32, 0, 1, QT_IQ4_NL}, /* Q3_K does not fit */
        {"q3_k_m", "blk.9.attn_q.weight", 96, 32, 0, 1, QT_IQ4_NL},
        {"q4_k_m", "blk.9.attn_q.weight", 96, 32, 0, 1, QT_Q5_0},
        {"iq4_xs", "blk.9.attn_q.weight", 96, 32, 0, 1, QT_IQ4_NL},
        {"q2_k", "blk.9.attn_q.weight", 80, 32, 0, 1, QT_F16},
        {"q4_0", "blk.9.attn_k.weight", 256, 32, 3, 1, QT_Q4_0},
        {"q4_0", "blk.9.attn_k.weight", 256, 32, 4, 1, QT_Q8_0},
        {"q4_0", "blk.9.attn_v.weight", 256, 32, 128, 1, QT_Q8_0},
        {"q4_0", "blk.9.attn_output.weight", 256, 32, 8, 1, QT_Q4_0},
        {"q2_k", "blk.9.attn_output.weight", 256, 32, 4, 1, QT_Q5_K},
        {"q4_k_m", "blk.9.attn_output.weight", 256, 32, 64, 1, QT_Q5_K},
        {"q4_k_m", "blk.8.attn_v.weight", 256, 32, 0, 3, QT_Q4_K},
        {"q4_k_m", "blk.8.attn_v.weight", 256, 32, 0, 4, QT_Q5_K},
        {"q4_k_m", "blk.9.attn_v.weight", 256, 32, 0, 4, QT_Q6_K},
        {"q4_k_s", "blk.8.attn_v.weight", 256, 32, 0, 3, QT_Q4_K},
        {"q4_k_s", "blk.8.attn_v.weight", 256, 32, 0, 4, QT_Q5_K},
        {"q5_k_m", "blk.8.attn_v.weight", 256, 32, 0, 4, QT_Q6_K},
        {"q2_k", "blk.9.attn_v.weight", 256, 32, 0, 8, QT_Q4_K},
        {"q2_k", "blk.9.attn_v.weight", 256, 80, 0, 8, QT_Q5_K},
        {"q3_k_m", "blk.9.attn_v.weight", 256, 32, 0, 8, QT_Q4_K},
        {"q3_k_m", "blk.9.attn_v.weight", 256, 80, 0, 8, QT_Q5_K},
        {"q3_k_m", "blk.9.attn_v.weight", 256, 80, 0, 1, QT_Q4_K},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct tensor t = {.name = str_from(rows[i].name),
                                 .type = QT_F16,
                                 .n_dims = 2,
                                 .ne = {rows[i].cols, 4, 1, 1}};
        const struct recipe_model m = {
            .n_layers = rows[i].layers, .n_experts = rows[i].experts, .gqa = rows[i].gqa};
        enum qtype type = recipe_type(recipe_by_name(str_from(rows[i].recipe)), &m, &t);
        if (type != rows[i].type)
            fail_msg("row %zu: %s, expected %s", i, qtype_info(type)->name,
                     qtype_info(rows[i].type)->name);
    }
}

/* Every kind of made-up vocabulary makes a tokenizer that gives texts back. */
static void vocabularies_are_accepted(void **state)
{
    (void)state;
    static const enum synth_vocab kinds[] = {SYNTH_SPM, SYNTH_LLAMA3, SYNTH_QWEN2, SYNTH_GEMMA,
                                             SYNTH_SMOLLM3};
    const struct str text =
        STR("The tea is hot, isn't it? 42 \xc3\xa9t\xc3\xa9s \xe2\x82\xac\n  x");
    const char *path = temp_path("vocab.gguf");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct err err;
        struct gguf *g;
        struct arena a;
        struct tokenizer *t;
        struct tokens ids = {0};
        struct buf back;
        struct synth_shape s = small;
        s.layers = 1;
        s.vocab = 4096;
        s.tokens = kinds[i];
        write_small(&s, path, "q8_0");
        assert_ok(gguf_open(&g, path, &err));
        arena_init(&a, 64 << 20);
        buf_init(&back, 4096);
        assert_ok(tokenizer_from_gguf(&t, g, &a, &err));
        assert_ok(tokenizer_encode(t, text, 0, &ids, &err));
        assert_true(ids.n < text.n); /* some words were merged */
        assert_ok(tokenizer_decode(t, ids.id, ids.n, true, &back, &err));
        struct str out = buf_str(&back);
        if (out.n == text.n + 1 && out.p[0] == ' ') /* SentencePiece's space in front */
            out = str_slice(out, 1, out.n);
        assert_true(str_eq(out, text));
        tokens_free(&ids);
        buf_release(&back);
        tokenizer_free(t);
        arena_release(&a);
        gguf_close(g);
    }
    unlink(path);
}

static void any_number_of_threads_gives_the_same_file(void **state)
{
    (void)state;
    struct err err;
    struct buf one, three;
    struct pool *pool;
    const char *in = temp_path("in.gguf"), *out = temp_path("out.gguf");
    write_small(&small, in, "bf16");
    assert_ok(pool_new(&pool, 3, &err));
    buf_init(&one, 64 << 20);
    buf_init(&three, 64 << 20);
    const struct recipe *r = recipe_by_name(STR("q4_k_m"));
    struct quantize_stats stats;
    assert_ok(quantize_file(in, out, r, NULL, &stats, &err));
    assert_int_equal(stats.n_tensors, 8 * 9 + 3);
    assert_int_equal(stats.n_converted, 8 * 7 + 2);
    assert_ok(file_read(out, &one, &err));
    assert_ok(quantize_file(in, out, r, &(struct quantize_options){.pool = pool}, NULL, &err));
    assert_ok(file_read(out, &three, &err));
    assert_int_equal(one.n, three.n);
    assert_memory_equal(one.p, three.p, one.n);
    buf_release(&one);
    buf_release(&three);
    pool_free(pool);
    unlink(in);
    unlink(out);
}

static void write_imatrix(const char *path, const char *tensor, int64_t cols, int64_t declared)
{
    struct err err;
    struct gguf_writer *w;
    char name[96];
    const int64_t ne[] = {declared, 1}, one[] = {1, 1};
    assert_ok(gguf_writer_open(&w, path, &err));
    snprintf(name, sizeof name, "%s.in_sum2", tensor);
    gguf_put_tensor(w, str_from(name), QT_F32, 2, ne);
    snprintf(name, sizeof name, "%s.counts", tensor);
    gguf_put_tensor(w, str_from(name), QT_F32, 2, one);
    gguf_write_header(w);
    for (int64_t i = 0; i < declared; i++) {
        float v = i < cols && i % 8 == 0 ? 200.0f : 2.0f;
        gguf_write_data(w, &v, sizeof v);
    }
    const float count = 2;
    gguf_write_data(w, &count, sizeof count);
    assert_ok(gguf_writer_commit(w, &err));
}

static void importance_is_heeded(void **state)
{
    (void)state;
    struct err err;
    struct gguf *a, *b, *c;
    const char *name = "blk.1.attn_q.weight";
    const char *in = temp_path("in.gguf"), *plain = temp_path("plain.gguf");
    const char *guided = temp_path("guided.gguf"), *imatrix = temp_path("imatrix.gguf");
    struct quantize_options opt = {.imatrix = imatrix};
    const struct recipe *r = recipe_by_name(STR("q4_0"));
    float w[256];
    for (int i = 0; i < 256; i++)
        w[i] = i % 8 == 0 ? 100.0f : 1.0f;
    write_small(&small, in, "bf16");
    write_imatrix(imatrix, name, 256, 256);
    assert_ok(quantize_file(in, plain, r, NULL, NULL, &err));
    assert_ok(quantize_file(in, guided, r, &opt, NULL, &err));
    assert_ok(gguf_open(&a, in, &err));
    assert_ok(gguf_open(&b, plain, &err));
    assert_ok(gguf_open(&c, guided, &err));
    const struct tensor *src = gguf_tensor(a, str_from(name));
    double without = difference(src, gguf_tensor(b, str_from(name)), w);
    double with = difference(src, gguf_tensor(c, str_from(name)), w);
    assert_true(with < 0.8 * without);
    assert_int_equal(gguf_tensor(c, STR("blk.0.ffn_down.weight"))->type, QT_Q4_1);
    gguf_close(a);
    gguf_close(b);
    gguf_close(c);
    write_imatrix(imatrix, name, 256, 255);
    unlink(guided);
    assert_int_equal(quantize_file(in, guided, r, &opt, NULL, &err), EFORMAT);
    assert_non_null(strstr(err.msg, "importance of tensor 'blk.1.attn_q.weight' is 255 x 1 f32"));
    assert_false(file_exists(guided));
    unlink(in);
    unlink(plain);
    unlink(imatrix);
    assert_int_equal(quantize_file(in, plain, r, NULL, NULL, &err), ENOTFOUND);
}

/* A file with one tensor (dims sizes ne), or the importance matrix of one: sums and counts. */
static void write_one(const char *path, const char *name, int dims, const int64_t *ne,
                      const float *data, const float *counts)
{
    struct err err;
    struct gguf_writer *w;
    char full[96];
    int64_t n = 1, experts = dims > 2 ? ne[2] : 1;
    for (int i = 0; i < dims; i++)
        n *= ne[i];
    assert_ok(gguf_writer_open(&w, path, &err));
    if (counts) {
        const int64_t sums[] = {ne[0], experts}, one[] = {1, experts};
        n = ne[0] * experts;
        snprintf(full, sizeof full, "%s.in_sum2", name);
        gguf_put_tensor(w, str_from(full), QT_F32, 2, sums);
        snprintf(full, sizeof full, "%s.counts", name);
        gguf_put_tensor(w, str_from(full), QT_F32, 2, one);
    } else {
        gguf_put_tensor(w, str_from(name), QT_F32, dims, ne);
    }
    gguf_write_header(w);
    gguf_write_data(w, data, (size_t)n * sizeof *data);
    if (counts)
        gguf_write_data(w, counts, (size_t)experts * sizeof *counts);
    assert_ok(gguf_writer_commit(w, &err));
}

/* Each expert's rows are weighed by its own columns' importance: the bytes are those of the expert
 * quantized alone. Experts of 50 rows end within the groups of rows that are converted in one call
 * (64 and 170), and their blocks within the blocks that are fitted side by side. */
static void experts_have_their_own_importance(void **state)
{
    (void)state;
    enum { ROWS = 50, EXPERTS = 5 };
    static const struct {
        const char *recipe;
        int64_t cols;
    } cases[] = {{"q2_k", 256}, {"q4_k_m", 256}, {"q4_0", 96}, {"q5_1", 96}};
    const char *name = "blk.0.ffn_up_exps.weight";
    const char *in = temp_path("in.gguf"), *out = temp_path("out.gguf");
    const char *imatrix = temp_path("imatrix.gguf"), *alone = temp_path("alone.gguf");
    struct quantize_options opt = {.imatrix = imatrix};
    struct err err;
    struct gguf *whole, *part;
    struct rng rng;
    rng_seed(&rng, 3);
    assert_ok(pool_new(&opt.pool, 3, &err));
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        const struct recipe *r = recipe_by_name(str_from(cases[k].recipe));
        int64_t cols = cases[k].cols, ne[] = {cols, ROWS, EXPERTS};
        size_t n = (size_t)cols * ROWS;
        float *x = malloc(EXPERTS * n * sizeof *x);
        float *sums = malloc((size_t)cols * EXPERTS * sizeof *sums);
        /* the third has seen no token: its columns weigh the same */
        const float counts[EXPERTS] = {3, 1, 0, 40, 7};
        assert_true(x && sums);
        for (size_t i = 0; i < EXPERTS * n; i++)
            x[i] = (float)rng_uniform(&rng) - 0.5f;
        for (int64_t i = 0; i < cols * EXPERTS; i++) {
            double u = rng_uniform(&rng);
            sums[i] = counts[i / cols] * (float)(u * u * u * u);
        }
        write_one(in, name, 3, ne, x, NULL);
        write_one(imatrix, name, 3, ne, sums, counts);
        assert_ok(quantize_file(in, out, r, &opt, NULL, &err));
        assert_ok(gguf_open(&whole, out, &err));
        const struct tensor *t = gguf_tensor(whole, str_from(name));
        assert_int_equal(t->type, r->type);
        size_t bytes = t->bytes / EXPERTS;
        for (int e = 0; e < EXPERTS; e++) {
            write_one(in, name, 2, ne, x + (size_t)e * n, NULL);
            write_one(imatrix, name, 2, ne, sums + e * cols, counts + e);
            assert_ok(quantize_file(in, alone, r, &opt, NULL, &err));
            assert_ok(gguf_open(&part, alone, &err));
            const struct tensor *own = gguf_tensor(part, str_from(name));
            assert_int_equal(own->bytes, bytes);
            if (memcmp((const char *)t->data + (size_t)e * bytes, own->data, bytes) != 0)
                fail_msg("%s: expert %d differs from itself alone", r->name, e);
            gguf_close(part);
        }
        gguf_close(whole);
        free(x);
        free(sums);
    }
    pool_free(opt.pool);
    unlink(in);
    unlink(out);
    unlink(imatrix);
    unlink(alone);
}

/* To a descriptor the same bytes as to a file, and as many in tensors as were foretold. */
static void a_file_in_memory_is_the_same(void **state)
{
    (void)state;
    struct err err;
    struct file_map a, b;
    struct gguf *g;
    char path[64];
    size_t foretold, bytes = 0;
    const struct recipe *recipe = recipe_by_name(STR("q4_k_m"));
    const char *file = temp_path("file.gguf");
    int fd = memfd_create("hearth-test", MFD_CLOEXEC);
    assert_true(fd >= 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    assert_ok(synth_write_fd(&small, fd, recipe, 1, NULL, NULL, &err));
    write_small(&small, file, "q4_k_m");
    assert_ok(file_map_open(&a, path, &err));
    assert_ok(file_map_open(&b, file, &err));
    assert_int_equal(a.n, b.n);
    assert_memory_equal(a.p, b.p, a.n);
    file_map_close(&a);
    file_map_close(&b);
    assert_ok(gguf_open(&g, path, &err));
    for (size_t i = 0; i < gguf_n_tensors(g); i++)
        bytes += gguf_tensor_at(g, i)->bytes;
    gguf_close(g);
    assert_ok(synth_bytes(&small, recipe, &foretold, &err));
    assert_int_equal(foretold, bytes);
    close(fd);
    assert_int_equal(synth_write_fd(&small, fd, recipe, 1, NULL, NULL, &err), EIO);
    unlink(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_in_memory_is_the_same),
        cmocka_unit_test(shapes_have_their_published_size),
        cmocka_unit_test(recipes_choose_types),
        cmocka_unit_test(odd_shapes_fall_back),
        cmocka_unit_test(vocabularies_are_accepted),
        cmocka_unit_test(any_number_of_threads_gives_the_same_file),
        cmocka_unit_test(importance_is_heeded),
        cmocka_unit_test(experts_have_their_own_importance),
        cmocka_unit_test(few_bytes_go_where_they_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
