/* One entry per tensor of the file, one slot per matrix of the model that leads to it. Fused
 * tensors (attn_qkv) have several places but the same input in all of them: only the first place
 * counts. Sums are in double, per column in the order of the tokens, whatever the threads. */
#include "engine/imatrix.h"
#include "base/arena.h"
#include "base/mem.h"
#include "base/show.h"
#include "engine/engine_int.h"
#include "format/gguf.h"
#include "format/name_index.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { NAME_MAX_LEN = 256, DATASETS_MAX = 1 << 16 };

struct entry {
    struct str name;
    int64_t cols, n; /* n: experts, or 1 */
    double *sum;     /* (n, cols) */
    int64_t *count;  /* (n): tokens */
    bool experts;
};

struct slot {
    const struct mat *w;
    int64_t cols;
    double *sum;
    int64_t *count;
};

struct imatrix {
    struct engine *e;
    struct entry *entries;
    struct slot *slots; /* by address of w */
    size_t n, n_slots, cap;
    struct name_index index;
    struct str *datasets;
    size_t n_datasets;
    int64_t n_chunks, chunk_size;
    struct arena arena;
};

/* ---- which tensors there are ---- */

static enum status no_memory(struct err *err)
{
    return err_set(err, ENOMEMORY, "no memory for an importance matrix");
}

static enum status add_slot(struct imatrix *x, const struct mat *w, struct entry *t, int64_t i,
                            struct err *err)
{
    if (x->n_slots == x->cap) {
        size_t cap = x->cap ? 2 * x->cap : 256;
        struct slot *grown = mem_resize(x->slots, cap, sizeof *grown);
        if (!grown)
            return no_memory(err);
        x->slots = grown;
        x->cap = cap;
    }
    x->slots[x->n_slots++] = (struct slot){w, t->cols, t->sum + i * t->cols, t->count + i};
    return OK;
}

/* An entry of n matrices of `cols` columns; w[0 .. n - 1] lead to it. */
static enum status add_entry(struct imatrix *x, struct str name, const struct mat *w, int64_t n,
                             bool experts, struct err *err)
{
    struct entry *grown = mem_resize(x->entries, x->n + 1, sizeof *grown);
    if (!grown)
        return no_memory(err);
    x->entries = grown;
    struct entry *t = &grown[x->n];
    size_t sums;
    *t = (struct entry){.cols = w->cols, .n = n, .experts = experts};
    t->name = arena_str(&x->arena, name);
    if (!t->name.p || !size_mul((size_t)n, (size_t)w->cols, &sums))
        return no_memory(err);
    t->sum = arena_array(&x->arena, sums, sizeof *t->sum);
    t->count = arena_array(&x->arena, (size_t)n, sizeof *t->count);
    if (!t->sum || !t->count)
        return no_memory(err);
    x->n++;
    enum status s = OK;
    for (int64_t i = 0; s == OK && i < n; i++)
        s = add_slot(x, &w[i], t, i, err);
    return s;
}

/* The rule with the name that the place's tensor has in a GGUF file: the one that filled the place,
 * or, for what only Hugging Face files have in this form, the one that `hearth quantize` would
 * write it by. */
static const struct tensor_rule *gguf_rule(const struct model *m, const struct tensor_rule *r)
{
    const struct arch *a = m->hp.arch;
    uint32_t f = m->hp.features;
    if (r->gguf && (r->scope != PER_EXPERT || m->gguf))
        return r;
    for (size_t i = 0; i < a->n_rules; i++) {
        const struct tensor_rule *q = &a->rules[i];
        if (q->gguf && q->place == r->place && q->scope == PER_LAYER && q->kind != RULE_VEC &&
            (f & q->when) == q->when && !(f & q->unless))
            return q;
    }
    return NULL;
}

static enum status add_place(struct imatrix *x, int64_t l, int place, struct err *err)
{
    const struct model *m = x->e->m;
    const struct layer *ly = &m->layers[l];
    const struct tensor_rule *filled = ly->rule[place];
    const struct tensor_rule *r = filled ? gguf_rule(m, filled) : NULL;
    char buf[NAME_MAX_LEN];
    if (!r)
        return OK;
    bool experts = ly->expert[place] != NULL;
    const struct mat *w = experts ? ly->expert[place] : &ly->mat[place];
    int64_t n = experts ? m->hp.n_experts : 1;
    if (r->scope == PER_EXPERT) {
        enum status s = OK;
        for (int64_t i = 0; s == OK && i < n; i++)
            s = add_entry(x, rule_name(buf, sizeof buf, NULL, r->gguf, l, i), &w[i], 1, true, err);
        return s;
    }
    struct str name = rule_name(buf, sizeof buf, NULL, r->gguf, l, 0);
    for (size_t i = x->n; i-- > 0 && i + LAYER_MATS > x->n;)
        if (str_eq(x->entries[i].name, name)) /* another part of a fused tensor */
            return OK;
    return add_entry(x, name, w, n, experts, err);
}

static int by_address(const void *a, const void *b)
{
    uintptr_t p = (uintptr_t)((const struct slot *)a)->w;
    uintptr_t q = (uintptr_t)((const struct slot *)b)->w;
    return (p > q) - (p < q);
}

static struct str entry_name_at(const void *entries, size_t i)
{
    return ((const struct entry *)entries)[i].name;
}

/* ---- watching ---- */

struct add_phase {
    const struct slot *slot;
    const struct acts *a;
    int64_t t0, t1;
};

static void add_cols(void *ctx, int worker, int64_t begin, int64_t end)
{
    (void)worker;
    const struct add_phase *ph = ctx;
    double *sum = ph->slot->sum;
    for (int64_t t = ph->t0; t < ph->t1; t++) {
        const float *x = ph->a->x + t * ph->a->x_stride;
        for (int64_t i = begin; i < end; i++)
            sum[i] += (double)x[i] * (double)x[i];
    }
}

static void observe(void *ctx, const struct mat *w, const struct acts *a, int64_t t0, int64_t t1)
{
    struct imatrix *x = ctx;
    const struct slot key = {.w = w};
    struct slot *s = bsearch(&key, x->slots, x->n_slots, sizeof *s, by_address);
    if (!s)
        return; /* a further part of a fused tensor */
    struct add_phase ph = {s, a, t0, t1};
    pool_run(x->e->pool, add_cols, &ph, s->cols, 256);
    *s->count += t1 - t0;
}

enum status imatrix_new(struct imatrix **out, struct engine *e, struct err *err)
{
    *out = NULL;
    struct imatrix *x = mem_array(1, sizeof *x);
    if (!x)
        return no_memory(err);
    const struct model *m = e->m;
    enum status s = OK;
    x->e = e;
    arena_init(&x->arena, SIZE_MAX);
    for (int64_t l = 0; s == OK && l < m->hp.n_layers; l++)
        for (int place = 0; s == OK && place < LAYER_MATS; place++)
            s = add_place(x, l, place, err);
    if (s == OK) /* the head; where it is the embedding table, under that one's name */
        s = add_entry(x, m->hp.features & F_TIED ? STR("token_embd.weight") : STR("output.weight"),
                      &m->mat[G_OUTPUT], 1, false, err);
    if (s == OK)
        s = name_index_build(&x->index, x->entries, x->n, entry_name_at, "tensor", err);
    if (s != OK) {
        imatrix_free(x);
        return s;
    }
    qsort(x->slots, x->n_slots, sizeof *x->slots, by_address);
    e->observe = observe;
    e->observe_ctx = x;
    *out = x;
    return OK;
}

void imatrix_free(struct imatrix *x)
{
    if (!x)
        return;
    x->e->observe = NULL;
    name_index_release(&x->index);
    arena_release(&x->arena);
    free(x->entries);
    free(x->slots);
    free(x->datasets);
    free(x);
}

/* ---- running ---- */

struct progress_of {
    void (*fn)(void *ctx, double fraction);
    void *ctx;
    size_t total;
};

static enum status on_step(void *ctx, const struct scored *rows, int n, size_t done,
                           struct err *err)
{
    const struct progress_of *p = ctx;
    (void)rows;
    (void)n;
    (void)err;
    if (p->fn)
        p->fn(p->ctx, (double)done / (double)p->total);
    return OK;
}

static enum status add_dataset(struct imatrix *x, struct str name, struct err *err)
{
    for (size_t i = 0; i < x->n_datasets; i++)
        if (str_eq(x->datasets[i], name))
            return OK;
    if (x->n_datasets == DATASETS_MAX)
        return err_set(err, ELIMIT, "more than %d data sets", DATASETS_MAX);
    struct str copy = arena_str(&x->arena, name);
    struct str *grown = mem_resize(x->datasets, x->n_datasets + 1, sizeof *grown);
    if (grown)
        x->datasets = grown;
    if (!copy.p || !grown)
        return no_memory(err);
    x->datasets[x->n_datasets++] = copy;
    return OK;
}

enum status imatrix_run(struct imatrix *x, const struct windows *w, const char *dataset,
                        void (*progress)(void *ctx, double fraction), void *progress_ctx,
                        struct err *err)
{
    struct engine *const engines[] = {x->e};
    struct progress_of p = {progress, progress_ctx, windows_total(w)};
    const struct windows_run run = {
        .engines = engines, .n_engines = 1, .all_rows = true, .on_step = on_step, .ctx = &p};
    enum status s = windows_run(w, &run, err);
    if (s == OK)
        s = add_dataset(x, str_from(dataset), err);
    /* what a file of windows of another length had, in windows of this one */
    if (x->chunk_size > 0 && x->chunk_size != w->longest)
        x->n_chunks = x->n_chunks * x->chunk_size / w->longest;
    x->chunk_size = w->longest;
    x->n_chunks += (int64_t)w->n;
    return s;
}

void imatrix_stats(const struct imatrix *x, struct imatrix_stats *out)
{
    *out = (struct imatrix_stats){
        .n_tensors = x->n, .n_chunks = x->n_chunks, .chunk_size = x->chunk_size};
    for (size_t i = 0; i < x->n; i++)
        for (int64_t k = 0; x->entries[i].experts && k < x->entries[i].n; k++) {
            out->n_experts++;
            out->n_unseen += x->entries[i].count[k] == 0;
        }
}

/* ---- files ---- */

static bool split_name(struct str name, const char *suffix, struct str *stem)
{
    struct str s = str_from(suffix);
    *stem = (struct str){name.p, name.n >= s.n ? name.n - s.n : 0};
    return str_ends(name, s) && stem->n > 0;
}

static enum status wrong_tensor(const struct tensor *t, const struct entry *e, struct err *err)
{
    return err_set(err, EFORMAT, "tensor '%s' is %lld x %lld %s, expected %lld x %lld f32",
                   show(t->name).s, (long long)t->ne[0], (long long)t->ne[1],
                   qtype_info(t->type)->name, (long long)e->cols, (long long)e->n);
}

/* Adds NAME.in_sum2 and its NAME.counts. A count of old files may serve all experts. */
static enum status add_tensor(struct imatrix *x, const struct gguf *g, const struct tensor *sums,
                              struct str stem, struct err *err)
{
    char name[NAME_MAX_LEN + 16];
    size_t at = name_index_find(&x->index, x->entries, entry_name_at, stem);
    if (at == SIZE_MAX || stem.n > NAME_MAX_LEN)
        return err_set(err, EFORMAT, "tensor '%s' is none of the model's", show(stem).s);
    struct entry *e = &x->entries[at];
    if (sums->type != QT_F32 || sums->ne[0] != e->cols || sums->ne[1] != e->n ||
        tensor_elems(sums) != e->n * e->cols)
        return wrong_tensor(sums, e, err);
    snprintf(name, sizeof name, "%.*s.counts", STR_ARG(stem));
    const struct tensor *counts = gguf_tensor(g, str_from(name));
    if (!counts)
        return err_set(err, EFORMAT, "tensor '%s' is missing", name);
    int64_t n_counts = tensor_elems(counts);
    if (counts->type != QT_F32 || (n_counts != 1 && n_counts != e->n))
        return err_set(err, EFORMAT, "tensor '%s' has %lld values of type %s, expected %lld of f32",
                       name, (long long)n_counts, qtype_info(counts->type)->name, (long long)e->n);
    const float *s = sums->data, *c = counts->data;
    for (int64_t i = 0; i < e->n; i++) {
        float count = c[n_counts == 1 ? 0 : i];
        if (!(count >= 0 && count < 9e15f))
            return err_set(err, EFORMAT, "tensor '%s': count %g, expected a number of tokens", name,
                           (double)count);
        e->count[i] += (int64_t)count;
    }
    for (int64_t i = 0; i < e->n * e->cols; i++) {
        if (!(s[i] >= 0 && s[i] < INFINITY))
            return err_set(err, EFORMAT, "tensor '%s': sum of squares %g, expected 0 or more",
                           show(sums->name).s, (double)s[i]);
        e->sum[i] += (double)s[i];
    }
    return OK;
}

static enum status add_header(struct imatrix *x, const struct gguf *g, struct err *err)
{
    int64_t chunks, size;
    struct str type;
    enum status s = gguf_get_str(g, "general.type", &type, err);
    if (s == OK && (!type.p || !str_is(type, "imatrix")))
        return err_set(err, EFORMAT, "'general.type' is '%s', expected 'imatrix'",
                       type.p ? show(type).s : "");
    if (s == OK)
        s = gguf_get_int(g, "imatrix.chunk_count", &chunks, 0, err);
    if (s == OK)
        s = gguf_get_int(g, "imatrix.chunk_size", &size, 0, err);
    if (s != OK)
        return s;
    if (chunks < 0 || chunks > UINT32_MAX || size < 0 || size > UINT32_MAX)
        return err_set(err, EFORMAT, "%lld chunks of %lld tokens, expected numbers of 32 bits",
                       (long long)chunks, (long long)size);
    if (x->chunk_size > 0 && size > 0)
        chunks = chunks * size / x->chunk_size;
    else
        x->chunk_size = size;
    x->n_chunks += chunks;
    const struct gguf_kv *sets = gguf_find(g, "imatrix.datasets");
    if (!sets || sets->type != GGUF_ARRAY || sets->elem_type != GGUF_STRING)
        return OK; /* who made it is nice to know, no more */
    struct str *names = mem_array((size_t)sets->n, sizeof *names);
    s = names ? gguf_array_strings(sets, names, err) : no_memory(err);
    for (uint64_t i = 0; s == OK && i < sets->n; i++)
        s = add_dataset(x, names[i], err);
    free(names);
    return s;
}

enum status imatrix_add_file(struct imatrix *x, const char *path, struct err *err)
{
    struct gguf *g;
    enum status s = gguf_open(&g, path, err);
    if (s != OK)
        return s;
    s = add_header(x, g, err);
    size_t n = 0;
    for (size_t i = 0; s == OK && i < gguf_n_tensors(g); i++) {
        const struct tensor *t = gguf_tensor_at(g, i);
        struct str stem;
        if (!split_name(t->name, ".in_sum2", &stem))
            continue; /* .counts; .in_sum, which newer files have besides */
        s = add_tensor(x, g, t, stem, err);
        n++;
    }
    if (s == OK && n == 0)
        s = err_set(err, EFORMAT, "no tensor 'NAME.in_sum2', expected some");
    gguf_close(g);
    return s == OK ? OK : err_prefix(err, "'%s'", path);
}

static enum status check_sums(const struct imatrix *x, struct err *err)
{
    for (size_t i = 0; i < x->n; i++) {
        const struct entry *e = &x->entries[i];
        for (int64_t k = 0; k < e->n * e->cols; k++)
            if (!((float)e->sum[k] < INFINITY))
                return err_set(err, EFAIL,
                               "inputs of tensor '%s': sum of squares %g, expected a "
                               "float32",
                               show(e->name).s, e->sum[k]);
    }
    return OK;
}

static int by_name(const void *a, const void *b)
{
    struct str p = (*(const struct entry *const *)a)->name;
    struct str q = (*(const struct entry *const *)b)->name;
    int c = memcmp(p.p, q.p, p.n < q.n ? p.n : q.n);
    return c ? c : (p.n > q.n) - (p.n < q.n);
}

static void put_tensors(const struct imatrix *x, const struct entry *const *order,
                        struct gguf_writer *w)
{
    char name[NAME_MAX_LEN + 16];
    for (size_t i = 0; i < x->n; i++) {
        const struct entry *e = order[i];
        const int64_t sums[] = {e->cols, e->n}, counts[] = {1, e->n};
        snprintf(name, sizeof name, "%.*s.in_sum2", STR_ARG(e->name));
        gguf_put_tensor(w, str_from(name), QT_F32, 2, sums);
        snprintf(name, sizeof name, "%.*s.counts", STR_ARG(e->name));
        gguf_put_tensor(w, str_from(name), QT_F32, 2, counts);
    }
    gguf_write_header(w);
    for (size_t i = 0; i < x->n; i++) {
        const struct entry *e = order[i];
        for (int64_t k = 0; k < e->n * e->cols; k++) {
            float v = (float)e->sum[k];
            gguf_write_data(w, &v, sizeof v);
        }
        for (int64_t k = 0; k < e->n; k++) {
            float v = (float)e->count[k];
            gguf_write_data(w, &v, sizeof v);
        }
    }
}

enum status imatrix_write(const struct imatrix *x, const char *path, struct err *err)
{
    struct gguf_writer *w;
    enum status s = check_sums(x, err);
    if (s != OK)
        return s;
    const struct entry **order = mem_array(x->n, sizeof *order);
    if (!order)
        return no_memory(err);
    for (size_t i = 0; i < x->n; i++)
        order[i] = &x->entries[i];
    qsort(order, x->n, sizeof *order, by_name);
    s = gguf_writer_open(&w, path, err);
    if (s == OK) {
        gguf_put_str(w, "general.type", STR("imatrix"));
        gguf_put_strs(w, "imatrix.datasets", x->datasets, x->n_datasets);
        gguf_put_u32(w, "imatrix.chunk_count", (uint32_t)x->n_chunks);
        gguf_put_u32(w, "imatrix.chunk_size", (uint32_t)x->chunk_size);
        put_tensors(x, order, w);
        s = gguf_writer_commit(w, err);
    }
    free(order);
    return s;
}
