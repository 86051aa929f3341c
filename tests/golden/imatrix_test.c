/* Importance matrices against a forward pass of the tiny Mixtral written out in float64, per
 * expert too; files that add up; names that quantize finds, whatever the model was read from. */
#include "golden.h"
#include "engine/imatrix.h"
#include "engine/quantize.h"
#include "format/gguf.h"
#include <unistd.h>

enum { WINDOW = 24, N = 4 * WINDOW, BOS = 1 };

static void some_tokens(int32_t *out, size_t n, uint32_t seed, int32_t vocab)
{
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        out[i] = (int32_t)(seed >> 8) % vocab;
    }
}

/* ---- the model, in float64 ---- */

enum {
    LAYERS = 2,
    EMBD = 128,
    FF = 256,
    HEADS = 4,
    KV_HEADS = 2,
    HEAD = 32,
    EXPERTS = 4,
    USED = 2
};

/* Sums of squares as the file has them: (experts or 1, columns). */
struct sums {
    double attn_in[LAYERS][EMBD], attn_out[LAYERS][EMBD], ffn_in[LAYERS][EMBD];
    double expert_in[LAYERS][EXPERTS][EMBD], expert_mid[LAYERS][EXPERTS][FF], head[EMBD];
    double count[LAYERS][EXPERTS];
};

struct brute {
    struct gguf *g;
    struct sums *sums;
    double x[WINDOW][EMBD], key[WINDOW][KV_HEADS * HEAD], value[WINDOW][KV_HEADS * HEAD];
};

/* "blk.LAYER.NAMESUFFIX"; layer < 0: without the block */
static struct str full_name(char out[96], int layer, const char *name, const char *suffix)
{
    char block[32] = "";
    if (layer >= 0)
        snprintf(block, sizeof block, "blk.%d.", layer);
    snprintf(out, 96, "%s%s%s", block, name, suffix);
    return str_from(out);
}

static float *weights(const struct brute *b, int layer, const char *name, size_t *n)
{
    char full[96];
    const struct tensor *t = gguf_tensor(b->g, full_name(full, layer, name, ""));
    assert_non_null(t);
    *n = (size_t)tensor_elems(t);
    float *f = malloc(*n * sizeof *f);
    assert_non_null(f);
    qtype_info(t->type)->dequantize(t->data, f, (int64_t)*n);
    return f;
}

/* y = W x with W the `slice`-th (rows, cols) matrix of a tensor */
static void product(const struct brute *b, int layer, const char *name, int slice, const double *x,
                    size_t cols, double *y, size_t rows)
{
    size_t n;
    float *w = weights(b, layer, name, &n);
    assert_true((size_t)(slice + 1) * rows * cols <= n);
    const float *m = w + (size_t)slice * rows * cols;
    for (size_t r = 0; r < rows; r++) {
        y[r] = 0;
        for (size_t c = 0; c < cols; c++)
            y[r] += (double)m[r * cols + c] * x[c];
    }
    free(w);
}

static void norm(const struct brute *b, int layer, const char *name, const double *x, double *y)
{
    size_t n;
    float *w = weights(b, layer, name, &n);
    double sum = 0;
    for (int i = 0; i < EMBD; i++)
        sum += x[i] * x[i];
    for (int i = 0; i < EMBD; i++)
        y[i] = x[i] / sqrt(sum / EMBD + 1e-5) * (double)w[i];
    free(w);
}

static void add_squares(double *sum, const double *x, int n)
{
    for (int i = 0; i < n; i++)
        sum[i] += x[i] * x[i];
}

static void rotate(double *v, int heads, int pos)
{
    for (int h = 0; h < heads; h++)
        for (int i = 0; i < HEAD / 2; i++) {
            double a = pos * pow(1e6, -2.0 * i / HEAD), *p = v + h * HEAD + 2 * i;
            double x = p[0], y = p[1];
            p[0] = x * cos(a) - y * sin(a);
            p[1] = x * sin(a) + y * cos(a);
        }
}

static void attention(struct brute *b, int l, int pos)
{
    double in[EMBD], q[EMBD], out[EMBD] = {0}, back[EMBD];
    norm(b, l, "attn_norm.weight", b->x[pos], in);
    add_squares(b->sums->attn_in[l], in, EMBD);
    product(b, l, "attn_q.weight", 0, in, EMBD, q, EMBD);
    product(b, l, "attn_k.weight", 0, in, EMBD, b->key[pos], KV_HEADS * HEAD);
    product(b, l, "attn_v.weight", 0, in, EMBD, b->value[pos], KV_HEADS * HEAD);
    rotate(q, HEADS, pos);
    rotate(b->key[pos], KV_HEADS, pos);
    for (int h = 0; h < HEADS; h++) {
        int kv = h / (HEADS / KV_HEADS) * HEAD;
        double p[WINDOW], sum = 0;
        for (int t = 0; t <= pos; t++) {
            double s = 0;
            for (int i = 0; i < HEAD; i++)
                s += q[h * HEAD + i] * b->key[t][kv + i];
            p[t] = exp(s / sqrt(HEAD));
            sum += p[t];
        }
        for (int t = 0; t <= pos; t++)
            for (int i = 0; i < HEAD; i++)
                out[h * HEAD + i] += p[t] / sum * b->value[t][kv + i];
    }
    add_squares(b->sums->attn_out[l], out, EMBD);
    product(b, l, "attn_output.weight", 0, out, EMBD, back, EMBD);
    for (int i = 0; i < EMBD; i++)
        b->x[pos][i] += back[i];
}

static void experts(struct brute *b, int l, int pos)
{
    double in[EMBD], p[EXPERTS], gate[FF], up[FF], out[EMBD], total = 0;
    int choice[USED];
    norm(b, l, "ffn_norm.weight", b->x[pos], in);
    add_squares(b->sums->ffn_in[l], in, EMBD);
    product(b, l, "ffn_gate_inp.weight", 0, in, EMBD, p, EXPERTS);
    for (int k = 0; k < USED; k++) {
        choice[k] = -1;
        for (int e = 0; e < EXPERTS; e++)
            if ((k == 0 || e != choice[0]) && (choice[k] < 0 || p[e] > p[choice[k]]))
                choice[k] = e;
        total += exp(p[choice[k]]);
    }
    for (int k = 0; k < USED; k++) {
        int e = choice[k];
        b->sums->count[l][e]++;
        add_squares(b->sums->expert_in[l][e], in, EMBD);
        product(b, l, "ffn_gate_exps.weight", e, in, EMBD, gate, FF);
        product(b, l, "ffn_up_exps.weight", e, in, EMBD, up, FF);
        for (int i = 0; i < FF; i++)
            gate[i] = gate[i] / (1 + exp(-gate[i])) * up[i];
        add_squares(b->sums->expert_mid[l][e], gate, FF);
        product(b, l, "ffn_down_exps.weight", e, gate, FF, out, EMBD);
        for (int i = 0; i < EMBD; i++)
            b->x[pos][i] += exp(p[e]) / total * out[i];
    }
}

static void brute_window(struct brute *b, const int32_t *tokens)
{
    size_t n;
    float *embd = weights(b, -1, "token_embd.weight", &n);
    for (int t = 0; t < WINDOW; t++)
        for (int i = 0; i < EMBD; i++)
            b->x[t][i] = (double)embd[(t ? tokens[t] : BOS) * EMBD + i];
    free(embd);
    for (int l = 0; l < LAYERS; l++)
        for (int t = 0; t < WINDOW; t++)
            attention(b, l, t), experts(b, l, t);
    for (int t = 0; t < WINDOW; t++) {
        double y[EMBD];
        norm(b, -1, "output_norm.weight", b->x[t], y);
        add_squares(b->sums->head, y, EMBD);
    }
}

/* ---- the files ---- */

static void check_entry(const struct gguf *g, int layer, const char *name, const double *want,
                        const double *counts, int64_t n, int64_t cols, double limit)
{
    char full[96];
    const struct tensor *s = gguf_tensor(g, full_name(full, layer, name, ".in_sum2"));
    const struct tensor *c = gguf_tensor(g, full_name(full, layer, name, ".counts"));
    assert_non_null(s);
    assert_non_null(c);
    assert_int_equal(s->type, QT_F32);
    assert_int_equal(s->ne[0], cols);
    assert_int_equal(s->ne[1], n);
    assert_int_equal(c->ne[0], 1);
    assert_int_equal(c->ne[1], n);
    const float *sum = s->data, *count = c->data;
    double all = 0;
    for (int64_t i = 0; i < n; i++)
        if ((double)count[i] != counts[i])
            fail_msg("%s, expert %lld: %g tokens, expected %g", name, (long long)i,
                     (double)count[i], counts[i]);
    for (int64_t i = 0; i < n * cols; i++)
        all += want[i];
    for (int64_t i = 0; i < n * cols; i++)
        if (!(fabs((double)sum[i] - want[i]) <= limit * (want[i] + all / (double)(n * cols))))
            fail_msg("%s: sum %lld is %.9g, expected %.9g", name, (long long)i, (double)sum[i],
                     want[i]);
}

static void check_file(const char *path, const struct sums *s, double times, double limit)
{
    struct err err;
    struct gguf *g;
    assert_ok(gguf_open(&g, path, &err));
    const double all = N * times;
    for (int l = 0; l < LAYERS; l++) {
        check_entry(g, l, "attn_q.weight", s->attn_in[l], &all, 1, EMBD, limit);
        check_entry(g, l, "attn_k.weight", s->attn_in[l], &all, 1, EMBD, limit);
        check_entry(g, l, "attn_v.weight", s->attn_in[l], &all, 1, EMBD, limit);
        check_entry(g, l, "attn_output.weight", s->attn_out[l], &all, 1, EMBD, limit);
        check_entry(g, l, "ffn_gate_inp.weight", s->ffn_in[l], &all, 1, EMBD, limit);
        check_entry(g, l, "ffn_gate_exps.weight", s->expert_in[l][0], s->count[l], EXPERTS, EMBD,
                    limit);
        check_entry(g, l, "ffn_up_exps.weight", s->expert_in[l][0], s->count[l], EXPERTS, EMBD,
                    limit);
        check_entry(g, l, "ffn_down_exps.weight", s->expert_mid[l][0], s->count[l], EXPERTS, FF,
                    limit);
    }
    check_entry(g, -1, "output.weight", s->head, &all, 1, EMBD, limit);
    assert_int_equal(gguf_n_tensors(g), 2 * (8 * LAYERS + 1));
    gguf_close(g);
}

static void write_matrix(const char *model, struct engine_options o, const int32_t *tokens,
                         size_t n, const char *in_file, const char *out)
{
    struct err err;
    struct model *m;
    struct engine *e;
    struct imatrix *x;
    struct windows w;
    const struct windows_cut c = {.length = WINDOW};
    assert_ok(model_open(&m, model, NULL, &err));
    assert_ok(engine_new(&e, m, &o, &err));
    assert_ok(windows_make(&w, &c, tokens, n, BOS, &err));
    assert_ok(imatrix_new(&x, e, &err));
    assert_ok(imatrix_run(x, &w, in_file ? "second" : "first", NULL, NULL, &err));
    if (in_file)
        assert_ok(imatrix_add_file(x, in_file, &err));
    assert_ok(imatrix_write(x, out, &err));
    imatrix_free(x);
    windows_free(&w);
    engine_free(e);
    model_close(m);
}

static void equals_brute_force(void **state)
{
    (void)state;
    struct err err;
    char path[512];
    int32_t tokens[N];
    const char *out = temp_path("imatrix.gguf"), *sum = temp_path("sum.gguf");
    struct brute *b = calloc(1, sizeof *b);
    assert_non_null(b);
    b->sums = calloc(1, sizeof *b->sums);
    assert_non_null(b->sums);
    golden_path(path, "gguf/%s-bf16.gguf", "mixtral");
    some_tokens(tokens, N, 11, 512);
    assert_ok(gguf_open(&b->g, path, &err));
    for (int i = 0; i < N; i += WINDOW)
        brute_window(b, tokens + i);
    gguf_close(b->g);
    write_matrix(path, (struct engine_options){.exact = true}, tokens, N, NULL, out);
    check_file(out, b->sums, 1, 1e-4);
    /* half the text, then the other half on top of it */
    write_matrix(path, (struct engine_options){.exact = true}, tokens, N / 2, NULL, out);
    write_matrix(path, (struct engine_options){.exact = true}, tokens + N / 2, N / 2, out, sum);
    check_file(sum, b->sums, 1, 1e-4);
    struct gguf *g;
    struct str type;
    int64_t chunks, size;
    assert_ok(gguf_open(&g, sum, &err));
    assert_ok(gguf_get_str(g, "general.type", &type, &err));
    assert_true(str_is(type, "imatrix"));
    assert_ok(gguf_get_int(g, "imatrix.chunk_count", &chunks, -1, &err));
    assert_ok(gguf_get_int(g, "imatrix.chunk_size", &size, -1, &err));
    assert_int_equal(chunks, 4);
    assert_int_equal(size, WINDOW);
    assert_int_equal(gguf_find(g, "imatrix.datasets")->n, 2);
    gguf_close(g);
    unlink(out);
    unlink(sum);
    free(b->sums);
    free(b);
}

static void same_file(const char *a, const char *b)
{
    struct err err;
    struct buf x, y;
    buf_init(&x, 64 << 20);
    buf_init(&y, 64 << 20);
    assert_ok(file_read(a, &x, &err));
    assert_ok(file_read(b, &y, &err));
    assert_int_equal(x.n, y.n);
    assert_memory_equal(x.p, y.p, x.n);
    buf_release(&x);
    buf_release(&y);
}

static void nothing_around_changes_the_file(void **state)
{
    (void)state;
    static const struct engine_options ways[] = {
        {.n_threads = 1},
        {.n_threads = 3, .max_rows = 256, .n_ctx = 1024},
        {.n_threads = 2, .max_rows = 7, .n_ctx = 64},
        {.n_threads = 2, .max_rows = 1, .n_ctx = 64},
        {.n_threads = 2, .max_logits = 3}, /* the head's inputs count, not its outputs */
    };
    char path[512];
    int32_t tokens[N];
    const char *first = temp_path("first.gguf"), *other = temp_path("other.gguf");
    golden_path(path, "gguf/%s-bf16.gguf", "mixtral");
    some_tokens(tokens, N, 12, 512);
    write_matrix(path, ways[0], tokens, N, NULL, first);
    for (size_t i = 1; i < sizeof ways / sizeof *ways; i++) {
        write_matrix(path, ways[i], tokens, N, NULL, other);
        same_file(first, other);
    }
    unlink(first);
    unlink(other);
}

/* Every matrix of the converted model that quantize would round finds its weights; only an
 * embedding table that is no head has none. */
static void check_names(const char *model, bool f16_first)
{
    struct err err;
    int32_t tokens[N];
    const char *gguf = temp_path("names.gguf"), *out = temp_path("names-im.gguf");
    struct gguf *g, *im;
    some_tokens(tokens, N, 13, 500);
    assert_ok(quantize_file(model, gguf, recipe_by_name(STR("f16")), NULL, NULL, &err));
    write_matrix(f16_first ? gguf : model, (struct engine_options){0}, tokens, N, NULL, out);
    assert_ok(gguf_open(&g, gguf, &err));
    assert_ok(gguf_open(&im, out, &err));
    bool tied = gguf_tensor(g, STR("output.weight")) == NULL;
    size_t found = 0;
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct tensor *t = gguf_tensor_at(g, i);
        char name[128];
        snprintf(name, sizeof name, "%.*s.in_sum2", STR_ARG(t->name));
        const struct tensor *s = gguf_tensor(im, str_from(name));
        bool table = str_is(t->name, "token_embd.weight") && !tied;
        if ((s != NULL) != (t->n_dims >= 2 && !table))
            fail_msg("%s: tensor '%.*s' has %s importance", model, STR_ARG(t->name),
                     s ? "an unexpected" : "no");
        if (!s)
            continue;
        found++;
        assert_int_equal(s->ne[0], t->ne[0]);
        assert_int_equal(s->ne[1], t->ne[2]);
        snprintf(name, sizeof name, "%.*s.counts", STR_ARG(t->name));
        const struct tensor *c = gguf_tensor(im, str_from(name));
        assert_non_null(c);
        for (int64_t k = 0; s->ne[1] == 1 && k < 1; k++)
            assert_true(*(const float *)c->data == N);
    }
    assert_int_equal(2 * found, gguf_n_tensors(im));
    gguf_close(g);
    gguf_close(im);
    unlink(gguf);
    unlink(out);
}

static void names_are_those_of_gguf(void **state)
{
    (void)state;
    char path[512];
    static const char *const folders[] = {"llama2", "qwen3", "phi3", "gemma2", "smollm3"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        for (int first = 0; first < 2; first++)
            check_names(golden_path(path, "hf/%s", folders[i]), first);
    if (golden_all())
        check_names(golden_path(path, "hf/%s", "mixtral"), false);
}

/* A file with one tensor of Mixtral's, right but for one thing. */
struct bad {
    const char *type, *sums, *counts; /* NULL: as it should be */
    int64_t chunks;
    float sum, count;
    const char *words; /* of the message; NULL: none */
};
static const struct bad bad[] = {
    {.sum = 1, .count = 1},
    {.type = "adapter", .words = "'general.type' is 'adapter'"},
    {.sums = "blk.2.attn_q.weight.in_sum2",
     .words = "'blk.2.attn_q.weight' is none of the model's"},
    {.sums = ".in_sum2", .words = "no tensor 'NAME.in_sum2'"},
    {.counts = "other", .words = "tensor 'blk.0.attn_q.weight.counts' is missing"},
    {.chunks = -1, .words = "-1 chunks"},
    {.sum = -1, .words = "sum of squares -1, expected 0 or more"},
    {.sum = NAN, .words = "sum of squares"},
    {.sum = INFINITY, .words = "sum of squares inf"},
    {.count = -2, .words = "count -2, expected a number of tokens"},
    {.count = NAN, .words = "count"},
    {.count = 1e30f, .words = "count 1e+30"},
};

static void write_bad(const char *path, const struct bad *b)
{
    struct err err;
    struct gguf_writer *w;
    const int64_t ne[] = {EMBD, 1}, one[] = {1, 1};
    assert_ok(gguf_writer_open(&w, path, &err));
    gguf_put_str(w, "general.type", str_from(b->type ? b->type : "imatrix"));
    gguf_put_i32(w, "imatrix.chunk_count", (int32_t)b->chunks);
    gguf_put_u32(w, "imatrix.chunk_size", 512);
    gguf_put_tensor(w, str_from(b->sums ? b->sums : "blk.0.attn_q.weight.in_sum2"), QT_F32, 2, ne);
    gguf_put_tensor(w, str_from(b->counts ? b->counts : "blk.0.attn_q.weight.counts"), QT_F32, 2,
                    one);
    gguf_write_header(w);
    for (int i = 0; i < EMBD; i++)
        gguf_write_data(w, &b->sum, sizeof b->sum);
    gguf_write_data(w, &b->count, sizeof b->count);
    assert_ok(gguf_writer_commit(w, &err));
}

static void wrong_files_are_refused(void **state)
{
    (void)state;
    struct err err;
    char path[512];
    int32_t tokens[N];
    const char *out = temp_path("wrong.gguf");
    struct model *m;
    struct engine *e;
    struct imatrix *x;
    const struct engine_options o = {.n_threads = 1};
    some_tokens(tokens, N, 14, 500);
    assert_ok(model_open(&m, golden_path(path, "gguf/%s-bf16.gguf", "mixtral"), NULL, &err));
    assert_ok(engine_new(&e, m, &o, &err));
    assert_ok(imatrix_new(&x, e, &err));
    assert_int_equal(imatrix_add_file(x, path, &err), EFORMAT); /* a model */
    assert_non_null(strstr(err.msg, "'general.type' is 'model', expected 'imatrix'"));
    write_matrix(golden_path(path, "hf/%s", "llama2"), o, tokens, N, NULL, out);
    assert_int_equal(imatrix_add_file(x, out, &err), EFORMAT); /* another model's */
    assert_non_null(strstr(err.msg, "is 256 x 1 f32, expected 128 x 1 f32"));
    assert_int_equal(imatrix_add_file(x, "/no/such/file", &err), ENOTFOUND);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_bad(out, &bad[i]);
        assert_int_equal(imatrix_add_file(x, out, &err), bad[i].words ? EFORMAT : OK);
        if (bad[i].words && !strstr(err.msg, bad[i].words))
            fail_msg("case %zu: '%s', expected '%s'", i, err.msg, bad[i].words);
    }
    imatrix_free(x);
    engine_free(e);
    model_close(m);
    unlink(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_brute_force),
        cmocka_unit_test(nothing_around_changes_the_file),
        cmocka_unit_test(names_are_those_of_gguf),
        cmocka_unit_test(wrong_files_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
