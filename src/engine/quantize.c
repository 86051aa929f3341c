/* Tensors pass through one at a time, in chunks of rows that the pool's threads convert while one
 * of them writes the chunk before: memory stays at a few chunks whatever the model's size, and the
 * output's bytes do not depend on the number of threads. Bytes that are already what is wanted are
 * copied as they are. */
#include "engine/quantize.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/show.h"
#ifndef HEARTH_ENGINE_ONLY
#include "engine/hf_convert.h"
#endif
#include <stdio.h>
#include <stdlib.h>

/* Output of one chunk of rows; large enough that threads rarely wait for each other. */
enum { CHUNK_BYTES = 8 << 20 };

/* ---- importance matrix ---- */

/* Column weights of a tensor: sums of squared activations over their count, of each expert,
 * repeated for the rows that are converted in one call. */
struct importance {
    float *weight; /* (n_experts, qtype_rows_at_once(cols), cols), NULL: none */
    int64_t n_experts;
};

static enum status find_importance(const struct gguf *imatrix, const struct tensor *t,
                                   struct importance *out, struct err *err)
{
    *out = (struct importance){NULL, 1};
    char name[256];
    if (!imatrix || t->name.n > sizeof name - 16)
        return OK;
    snprintf(name, sizeof name, "%.*s.in_sum2", STR_ARG(t->name));
    const struct tensor *sums = gguf_tensor(imatrix, str_from(name));
    snprintf(name, sizeof name, "%.*s.counts", STR_ARG(t->name));
    const struct tensor *counts = gguf_tensor(imatrix, str_from(name));
    if (!sums || !counts)
        return OK;
    int64_t experts = sums->ne[1];
    if (sums->type != QT_F32 || counts->type != QT_F32 || sums->ne[0] != t->ne[0] ||
        (experts != 1 && experts != t->ne[2]) || tensor_elems(sums) != experts * t->ne[0] ||
        tensor_elems(counts) < experts)
        return err_set(err, EFORMAT,
                       "importance of tensor '%s' is %lld x %lld %s, expected %lld x %lld f32",
                       show(t->name).s, (long long)sums->ne[0], (long long)experts,
                       qtype_info(sums->type)->name, (long long)t->ne[0], (long long)t->ne[2]);
    int64_t cols = t->ne[0], repeat = qtype_rows_at_once(cols);
    size_t n;
    if (size_mul((size_t)tensor_elems(sums), (size_t)repeat, &n))
        out->weight = mem_array(n, sizeof *out->weight);
    if (!out->weight)
        return err_set(err, ENOMEMORY, "no memory for the importance of '%s'", show(t->name).s);
    out->n_experts = experts;
    const float *s = sums->data, *c = counts->data;
    for (int64_t e = 0; e < experts; e++) {
        float *w = out->weight + e * repeat * cols;
        for (int64_t i = 0; i < repeat * cols; i++)
            w[i] = c[e] > 0 ? s[e * cols + i % cols] / c[e] : 1.0f;
    }
    return OK;
}

/* ---- converting ---- */

struct job {
    const struct quantize_tensor *q;
    const struct importance *importance;
    struct gguf_writer *w;
    int64_t first_row, n_rows; /* of the chunk */
    int64_t tile;              /* rows per call */
    size_t in_row_bytes, out_row_bytes;
    unsigned char *out;           /* the chunk */
    const unsigned char *written; /* the chunk before, to be written meanwhile */
    size_t written_bytes;
    float *scratch; /* (workers, tile, cols) */
};

/* Rows [i, i + n) of the chunk. */
static void convert_tile(const struct job *job, float *tile, int64_t i, int64_t n)
{
    const struct tensor *t = &job->q->t;
    int64_t r = job->first_row + i;
    if (job->q->rows)
        job->q->rows(job->q->ctx, r, n, tile);
    else
        qtype_info(t->type)->dequantize(
            (const unsigned char *)t->data + (size_t)r * job->in_row_bytes, tile, n * t->ne[0]);
    const float *weight = job->importance->weight;
    if (weight && job->importance->n_experts > 1)
        weight += r / t->ne[1] * job->tile * t->ne[0];
    qtype_info(job->q->out)
        ->quantize(tile, job->out + (size_t)i * job->out_row_bytes, n * t->ne[0], weight);
}

/* Item 0 writes the chunk before, item k > 0 converts tile k - 1. */
static void convert_items(void *ctx, int worker, int64_t begin, int64_t end)
{
    const struct job *job = ctx;
    const struct tensor *t = &job->q->t;
    float *tile = job->scratch + worker * job->tile * t->ne[0];
    for (int64_t item = begin; item < end; item++) {
        if (item == 0) {
            gguf_write_data(job->w, job->written, job->written_bytes);
            continue;
        }
        int64_t i = (item - 1) * job->tile, stop = i + job->tile;
        stop = stop < job->n_rows ? stop : job->n_rows;
        for (int64_t n; i < stop; i += n) {
            n = stop - i;
            int64_t in_expert = t->ne[1] - (job->first_row + i) % t->ne[1];
            if (job->importance->n_experts > 1 && n > in_expert)
                n = in_expert;
            convert_tile(job, tile, i, n);
        }
    }
}

/* A tensor whose bytes are already what is wanted. */
static void copy_tensor(const struct tensor *t, struct gguf_writer *w)
{
    const unsigned char *p = t->data;
    for (size_t at = 0; at < t->bytes && !gguf_writer_failed(w); at += CHUNK_BYTES)
        gguf_write_data(w, p + at, t->bytes - at < CHUNK_BYTES ? t->bytes - at : CHUNK_BYTES);
}

static enum status convert_tensor(const struct quantize_tensor *q, const struct importance *imp,
                                  struct pool *pool, struct gguf_writer *w, struct err *err)
{
    const struct tensor *t = &q->t;
    int64_t rows = t->ne[1] * t->ne[2] * t->ne[3];
    struct job job = {.q = q, .importance = imp, .w = w, .tile = qtype_rows_at_once(t->ne[0])};
    size_t workers = pool ? (size_t)pool_size(pool) : 1, scratch;
    if (!qtype_row_bytes(q->out, t->ne[0], &job.out_row_bytes) ||
        !qtype_row_bytes(t->type, t->ne[0], &job.in_row_bytes) ||
        !size_mul(workers * (size_t)job.tile * sizeof(float), (size_t)t->ne[0], &scratch))
        return err_set(err, EFORMAT, "tensor '%s': rows of %lld elements do not fit type %s",
                       show(t->name).s, (long long)t->ne[0], qtype_info(q->out)->name);
    int64_t chunk = job.out_row_bytes < CHUNK_BYTES ? CHUNK_BYTES / (int64_t)job.out_row_bytes : 1;
    chunk = chunk < rows ? chunk : rows;
    size_t out_bytes = (size_t)chunk * job.out_row_bytes;
    unsigned char *out[2] = {mem_aligned(out_bytes), mem_aligned(out_bytes)};
    job.scratch = mem_aligned(scratch);
    enum status s = OK;
    if (!out[0] || !out[1] || !job.scratch)
        s = err_set(err, ENOMEMORY, "tensor '%s': no memory for %lld rows", show(t->name).s,
                    (long long)chunk);
    for (int k = 0; s == OK && job.first_row < rows && !gguf_writer_failed(w); k ^= 1) {
        job.out = out[k];
        job.n_rows = rows - job.first_row < chunk ? rows - job.first_row : chunk;
        pool_run(pool, convert_items, &job, 1 + (job.n_rows + job.tile - 1) / job.tile, 1);
        job.written = out[k];
        job.written_bytes = (size_t)job.n_rows * job.out_row_bytes;
        job.first_row += job.n_rows;
    }
    if (s == OK)
        gguf_write_data(w, job.written, job.written_bytes);
    mem_aligned_free(out[0], out_bytes);
    mem_aligned_free(out[1], out_bytes);
    mem_aligned_free(job.scratch, scratch);
    return s;
}

void quantize_plan(struct quantize_tensor *tensors, size_t n, const struct recipe *recipe,
                   const struct recipe_model *model, struct gguf_writer *w)
{
    for (size_t i = 0; i < n; i++) {
        const struct tensor *t = &tensors[i].t;
        tensors[i].out = recipe_type(recipe, model, t);
        gguf_put_tensor(w, t->name, tensors[i].out, t->n_dims, t->ne);
    }
}

enum status quantize_stream(const struct quantize_tensor *tensors, size_t n,
                            const struct quantize_options *opt, struct gguf_writer *w,
                            struct quantize_stats *stats, struct err *err)
{
    static const struct quantize_options none = {0};
    opt = opt ? opt : &none;
    struct gguf *imatrix = NULL;
    double total = 0, done = 0;
    enum status s = opt->imatrix ? gguf_open(&imatrix, opt->imatrix, err) : OK;
    for (size_t i = 0; i < n; i++)
        total += (double)tensor_elems(&tensors[i].t);
    /* what a failed writer has to say comes from its commit */
    for (size_t i = 0; s == OK && i < n && !gguf_writer_failed(w); i++) {
        const struct quantize_tensor *q = &tensors[i];
        struct importance imp;
        char name[SHOW_MAX + 1];
        snprintf(name, sizeof name, "%s", show(q->t.name).s);
        if (opt->progress)
            opt->progress(opt->progress_ctx, total > 0 ? done / total : 0, name);
        size_t out_bytes = 0;
        qtype_row_bytes(q->out, tensor_elems(&q->t), &out_bytes);
        if (!q->rows && q->out == q->t.type) {
            copy_tensor(&q->t, w);
        } else if ((s = find_importance(imatrix, &q->t, &imp, err)) == OK) {
            s = convert_tensor(q, &imp, opt->pool, w, err);
            free(imp.weight);
            stats->n_converted++;
        }
        stats->n_tensors++;
        stats->bytes_in += q->t.bytes;
        stats->bytes_out += out_bytes;
        done += (double)tensor_elems(&q->t);
    }
    if (s == OK && opt->progress)
        opt->progress(opt->progress_ctx, 1, "");
    gguf_close(imatrix);
    return s;
}

/* ---- GGUF in ---- */

/* Keys that describe the file that was read, not the model. */
static bool is_file_key(struct str key)
{
    return str_is(key, "general.file_type") || str_is(key, "general.quantization_version") ||
           str_starts(key, STR("split."));
}

static enum status arch_int(const struct gguf *g, const char *key, int64_t absent, int64_t *out,
                            struct err *err)
{
    struct str arch;
    char name[128];
    *out = absent;
    enum status s = gguf_get_str(g, "general.architecture", &arch, err);
    if (s != OK || !arch.p || arch.n > 64)
        return s;
    snprintf(name, sizeof name, "%.*s.%s", STR_ARG(arch), key);
    const struct gguf_kv *kv = gguf_find(g, name);
    /* a few architectures have one value per layer; the recipe's rules need none of those */
    return kv && kv->type == GGUF_ARRAY ? OK : gguf_get_int(g, name, out, absent, err);
}

static enum status describe_model(const struct gguf *g, bool imatrix, struct recipe_model *m,
                                  struct err *err)
{
    int64_t heads, kv_heads;
    enum status s = arch_int(g, "block_count", 0, &m->n_layers, err);
    if (s == OK)
        s = arch_int(g, "expert_count", 0, &m->n_experts, err);
    if (s == OK)
        s = arch_int(g, "attention.head_count", 1, &heads, err);
    if (s == OK)
        s = arch_int(g, "attention.head_count_kv", heads, &kv_heads, err);
    if (s != OK)
        return s;
    m->gqa = kv_heads > 0 ? heads / kv_heads : 1;
    m->tied = gguf_tensor(g, STR("output.weight")) == NULL;
    m->imatrix = imatrix;
    return OK;
}

static enum status write_from(const struct gguf *g, struct quantize_tensor *tensors,
                              const struct recipe *recipe, const struct quantize_options *opt,
                              struct gguf_writer *w, struct quantize_stats *stats, struct err *err)
{
    struct recipe_model model;
    enum status s = describe_model(g, opt && opt->imatrix, &model, err);
    if (s != OK)
        return s;
    for (size_t i = 0; i < gguf_n_kv(g); i++) {
        if (!is_file_key(gguf_kv_at(g, i)->key))
            gguf_put_kv(w, gguf_kv_at(g, i));
    }
    gguf_put_u32(w, "general.quantization_version", 2);
    gguf_put_u32(w, "general.file_type", recipe->file_type);
    size_t n = gguf_n_tensors(g);
    for (size_t i = 0; i < n; i++)
        tensors[i] = (struct quantize_tensor){.t = *gguf_tensor_at(g, i)};
    quantize_plan(tensors, n, recipe, &model, w);
    gguf_write_header(w);
    return quantize_stream(tensors, n, opt, w, stats, err);
}

enum status quantize_file(const char *in, const char *out, const struct recipe *recipe,
                          const struct quantize_options *opt, struct quantize_stats *stats,
                          struct err *err)
{
    struct quantize_stats own;
    struct gguf *g = NULL;
    struct gguf_writer *w = NULL;
    int64_t start = clock_ns();
    stats = stats ? stats : &own;
    *stats = (struct quantize_stats){0};
#ifndef HEARTH_ENGINE_ONLY
    if (file_is_dir(in))
        return hf_convert(in, out, recipe, opt, stats, err);
#endif
    enum status s = gguf_open(&g, in, err);
    if (s != OK)
        return s;
    struct quantize_tensor *tensors = mem_array(gguf_n_tensors(g), sizeof *tensors);
    if (!tensors)
        s = err_set(err, ENOMEMORY, "no memory for %zu tensors", gguf_n_tensors(g));
    if (s == OK)
        s = gguf_writer_open(&w, out, err);
    if (s == OK)
        s = write_from(g, tensors, recipe, opt, w, stats, err);
    if (s == OK)
        s = gguf_writer_commit(w, err);
    else
        gguf_writer_abort(w);
    free(tensors);
    gguf_close(g);
    stats->seconds = clock_since(start);
    return s;
}
