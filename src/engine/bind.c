/* From tensors by name to tensors by place.
 *
 * Walks the architecture's rules, looks each name up, checks shape and type against the
 * hyperparameters and points the place at the mapped data. A copy is made only of vectors that are
 * not float32 (they are tiny), of matrices whose data is not aligned to their element (safetensors
 * may do that) or has a type that no kernel multiplies (f64), and of all matrices when the caller
 * asked for quantization. A place left empty is an error that names the tensor it should have come
 * from. */
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/model_int.h"
#include <stdio.h>
#include <stdlib.h>

enum { NAME_MAX_LEN = 256 };

struct binder {
    struct model *m;
    const struct tensor_source *src;
    const struct model_options *opt;
    bool *used;         /* by index of the source's tensors */
    bool *filled;       /* by place of the current layer or of the model: mats, then vectors */
    size_t done, total; /* bytes converted so far and in all, for progress */
    struct err *err;
};

struct str rule_name(char *out, size_t size, const char *prefix, const char *pattern, int64_t l,
                     int64_t e)
{
    size_t n = 0;
    for (int part = 0; part < 2; part++)
        for (const char *c = part ? pattern : prefix; c && *c; c++) {
            int w = 0;
            if (n + 24 > size)
                return STR("");
            if (*c == '%' || *c == '#')
                w = snprintf(out + n, size - n, "%lld", (long long)(*c == '%' ? l : e));
            else
                out[n] = *c;
            n += w ? (size_t)w : 1;
        }
    out[n] = 0;
    return (struct str){out, n};
}

void *model_own(struct model *m, size_t bytes)
{
    if (m->n_owned == m->cap_owned) {
        size_t cap = m->cap_owned ? m->cap_owned * 2 : 64;
        struct owned *grown = mem_resize(m->owned, cap, sizeof *grown);
        if (!grown)
            return NULL;
        m->owned = grown;
        m->cap_owned = cap;
    }
    void *p = mem_aligned(bytes);
    if (p)
        m->owned[m->n_owned++] = (struct owned){p, bytes};
    return p;
}

/* Finds a rule's tensor under its name, with or without the prefix; NULL when absent. */
static const struct tensor *find(struct binder *b, const struct tensor_rule *r, int64_t l,
                                 int64_t e, char name[NAME_MAX_LEN])
{
    const char *pattern = b->src->hf ? r->hf : r->gguf;
    if (!pattern)
        return NULL;
    const char *prefix = b->src->hf ? b->m->hp.arch->hf_prefix : NULL;
    const struct tensor *t =
        b->src->find(b->src->file, rule_name(name, NAME_MAX_LEN, prefix, pattern, l, e));
    if (!t && prefix) {
        char bare[NAME_MAX_LEN];
        t = b->src->find(b->src->file, rule_name(bare, sizeof bare, NULL, pattern, l, e));
        if (t)
            memcpy(name, bare, sizeof bare);
    }
    return t;
}

static void mark_used(struct binder *b, const struct tensor *t)
{
    const struct tensor *first = b->src->at(b->src->file, 0);
    b->used[t - first] = true;
}

static enum status wrong_shape(struct binder *b, const struct tensor *t, int n_dims,
                               const int64_t want[3])
{
    char w[80];
    int n = 0;
    for (int i = n_dims - 1; i >= 0; i--) /* outermost first, as people write shapes */
        n += snprintf(w + n, sizeof w - (size_t)n, "%s%lld", i == n_dims - 1 ? "" : ", ",
                      (long long)want[i]);
    char f[112];
    n = 0;
    for (int i = t->n_dims - 1; i >= 0; i--)
        n += snprintf(f + n, sizeof f - (size_t)n, "%s%lld", i == t->n_dims - 1 ? "" : ", ",
                      (long long)t->ne[i]);
    f[n] = 0;
    return err_set(b->err, EFORMAT, "tensor '%.*s': shape (%s), expected (%s)", STR_ARG(t->name), f,
                   w);
}

/* The tensor has just these dimensions (innermost first), extra ones being 1. */
static enum status check_shape(struct binder *b, const struct tensor *t, int n_dims,
                               const int64_t want[3])
{
    for (int i = 0; i < TENSOR_DIMS; i++)
        if (t->ne[i] != (i < n_dims ? want[i] : 1))
            return wrong_shape(b, t, n_dims, want);
    return OK;
}

static bool multipliable(enum qtype t)
{
    return t != QT_I8 && t != QT_I16 && t != QT_I32 && t != QT_I64 && t != QT_F64;
}

static bool aligned(const void *p, enum qtype t)
{
    size_t a = t == QT_F32 ? 4 : t == QT_F64 ? 8 : 2;
    return (uintptr_t)p % a == 0;
}

/* What a matrix becomes when the caller asked for `want`: block types need whole blocks, and rows
 * that are too short for k-quants take Q8_0, then stay as they are. */
static enum qtype target_type(enum qtype have, enum qtype want, int64_t cols)
{
    const enum qtype tries[] = {want, QT_Q8_0};
    if (have != QT_F32 && have != QT_F16 && have != QT_BF16 && have != QT_F64)
        return have;
    for (int i = 0; i < 2; i++)
        if (tries[i] != QT_COUNT && qtype_info(tries[i])->quantize &&
            cols % qtype_info(tries[i])->block_elems == 0)
            return tries[i];
    return have == QT_F64 ? QT_F32 : have;
}

struct convert_job {
    const unsigned char *src;
    unsigned char *dst;
    enum qtype from, to;
    int64_t cols;
    size_t src_row, dst_row;
    int64_t tile;   /* rows per call */
    float *scratch; /* (workers, tile, cols) */
};

static void convert_rows(void *ctx, int worker, int64_t begin, int64_t end)
{
    const struct convert_job *j = ctx;
    float *f = j->scratch + worker * j->tile * j->cols;
    for (int64_t r = begin, n; r < end; r += n) {
        n = end - r < j->tile ? end - r : j->tile;
        qtype_info(j->from)->dequantize(j->src + (size_t)r * j->src_row, f, n * j->cols);
        qtype_info(j->to)->quantize(f, j->dst + (size_t)r * j->dst_row, n * j->cols, NULL);
    }
}

/* Replaces w's data by a copy of type `to`. */
static enum status convert(struct binder *b, struct mat *w, enum qtype to, struct str name)
{
    size_t dst_row, bytes, scratch;
    int64_t workers = b->opt->pool ? pool_size(b->opt->pool) : 1;
    int64_t tile = qtype_rows_at_once(w->cols);
    if (!qtype_info(w->type)->dequantize)
        return err_set(b->err, EFORMAT,
                       "tensor '%.*s': type %s, expected floats or quantized blocks", STR_ARG(name),
                       qtype_info(w->type)->name);
    if (!qtype_row_bytes(to, w->cols, &dst_row) || !size_mul(dst_row, (size_t)w->rows, &bytes) ||
        !size_mul((size_t)w->cols * sizeof(float), (size_t)(workers * tile), &scratch))
        return err_set(b->err, EFORMAT, "tensor '%.*s': too large", STR_ARG(name));
    void *p = model_own(b->m, bytes);
    float *f = mem_aligned(scratch);
    if (!p || !f) {
        mem_aligned_free(f, scratch);
        return err_set(b->err, ENOMEMORY, "tensor '%.*s': no memory for %zu bytes", STR_ARG(name),
                       bytes);
    }
    if (to == w->type) { /* only moved: rows are contiguous */
        memcpy(p, w->data, bytes);
    } else {
        struct convert_job j = {.src = w->data,
                                .dst = p,
                                .from = w->type,
                                .to = to,
                                .cols = w->cols,
                                .src_row = w->row_bytes,
                                .dst_row = dst_row,
                                .tile = tile,
                                .scratch = f};
        pool_run(b->opt->pool, convert_rows, &j, w->rows,
                 (w->rows / (8 * workers) + tile) / tile * tile);
    }
    mem_aligned_free(f, scratch);
    b->done += w->row_bytes * (size_t)w->rows;
    if (b->opt->progress && b->total)
        b->opt->progress(b->opt->progress_ctx,
                         b->done < b->total ? (double)b->done / (double)b->total : 1);
    w->data = p;
    w->type = to;
    w->row_bytes = dst_row;
    return OK;
}

/* Rows [first, first + rows) of slice `slice` of t as a matrix, in a form that kernels take. */
static enum status make_mat(struct binder *b, const struct tensor *t, int64_t slice, int64_t first,
                            int64_t rows, int64_t cols, bool keep_type, struct mat *out)
{
    size_t row_bytes;
    if (!qtype_row_bytes(t->type, cols, &row_bytes))
        return err_set(b->err, EFORMAT,
                       "tensor '%.*s': %lld columns of type %s, expected a multiple "
                       "of %u",
                       STR_ARG(t->name), (long long)cols, qtype_info(t->type)->name,
                       qtype_info(t->type)->block_elems);
    const unsigned char *p = t->data;
    p += row_bytes * (size_t)(slice * t->ne[1] + first);
    *out = (struct mat){
        .type = t->type, .rows = rows, .cols = cols, .row_bytes = row_bytes, .data = p};
    enum qtype to = t->type;
    if (b->opt->quantize != QT_COUNT && !keep_type)
        to = target_type(t->type, b->opt->quantize, cols);
    else if (!multipliable(t->type))
        to = QT_F32;
    return to == t->type && aligned(p, t->type) ? OK : convert(b, out, to, t->name);
}

static enum status bind_mat(struct binder *b, const struct tensor_rule *r, const struct tensor *t,
                            struct mat *place)
{
    const struct hparams *hp = &b->m->hp;
    int64_t rows = dim_value(hp, r->rows), cols = dim_value(hp, r->cols);
    int64_t want[3] = {cols, r->total != D_NONE ? dim_value(hp, r->total) : rows, 1};
    enum status s = check_shape(b, t, 2, want);
    /* a router is small and decides much: never quantized at load */
    bool keep = r->scope == PER_LAYER && r->place == M_ROUTER;
    return s != OK ? s : make_mat(b, t, 0, dim_value(hp, r->first), rows, cols, keep, place);
}

static enum status bind_experts(struct binder *b, const struct tensor_rule *r,
                                const struct tensor *t, struct mat *places)
{
    const struct hparams *hp = &b->m->hp;
    int64_t rows = dim_value(hp, r->rows), cols = dim_value(hp, r->cols);
    int64_t want[3] = {cols, r->total != D_NONE ? dim_value(hp, r->total) : rows, hp->n_experts};
    enum status s = check_shape(b, t, 3, want);
    for (int64_t e = 0; e < hp->n_experts && s == OK; e++)
        s = make_mat(b, t, e, dim_value(hp, r->first), rows, cols, false, &places[e]);
    return s;
}

static enum status bind_vec(struct binder *b, const struct tensor_rule *r, const struct tensor *t,
                            const float **place)
{
    const struct hparams *hp = &b->m->hp;
    int64_t n = dim_value(hp, r->rows), first = dim_value(hp, r->first);
    int64_t want[3] = {r->total != D_NONE ? dim_value(hp, r->total) : n, 1, 1};
    enum status s = check_shape(b, t, 1, want);
    if (s != OK)
        return s;
    const struct qtype_info *q = qtype_info(t->type);
    if (q->block_elems != 1 || !q->dequantize)
        return err_set(b->err, EFORMAT, "tensor '%.*s': type %s, expected f32, f16 or bf16",
                       STR_ARG(t->name), q->name);
    const unsigned char *p = (const unsigned char *)t->data + (size_t)first * q->block_bytes;
    if (t->type == QT_F32 && aligned(p, QT_F32)) {
        *place = (const float *)(const void *)p;
        return OK;
    }
    float *copy = arena_array(&b->m->arena, (size_t)n, sizeof *copy);
    if (!copy)
        return err_set(b->err, ENOMEMORY, "tensor '%.*s': no memory", STR_ARG(t->name));
    q->dequantize(p, copy, n);
    *place = copy;
    return OK;
}

static bool applies(const struct binder *b, const struct tensor_rule *r)
{
    uint32_t f = b->m->hp.features;
    return (f & r->when) == r->when && !(f & r->unless);
}

static size_t place_index(const struct tensor_rule *r)
{
    size_t mats = r->scope == PER_MODEL ? (size_t)MODEL_MATS : (size_t)LAYER_MATS;
    return r->kind == RULE_VEC ? mats + r->place : r->place;
}

/* All of a layer's experts under one name each; *found: the first one is there. */
static enum status try_each_expert(struct binder *b, const struct tensor_rule *r, int64_t l,
                                   struct mat *places, bool *found)
{
    char name[NAME_MAX_LEN];
    enum status s = OK;
    for (int64_t e = 0; e < b->m->hp.n_experts && s == OK; e++) {
        const struct tensor *t = find(b, r, l, e, name);
        if (!t && e == 0)
            return OK;
        if (!t)
            return err_set(b->err, EFORMAT, "tensor '%s' is missing", name);
        *found = true;
        mark_used(b, t);
        s = bind_mat(b, r, t, &places[e]);
    }
    return s;
}

static enum status try_rule(struct binder *b, const struct tensor_rule *r, int64_t l, bool *found)
{
    struct model *m = b->m;
    if (r->scope == PER_EXPERT)
        return try_each_expert(b, r, l, m->layers[l].expert[r->place], found);
    char name[NAME_MAX_LEN];
    const struct tensor *t = find(b, r, l, 0, name);
    if (!t)
        return OK;
    *found = true;
    mark_used(b, t);
    if (r->kind == RULE_EXPERT_MAT)
        return bind_experts(b, r, t, m->layers[l].expert[r->place]);
    if (r->kind == RULE_VEC)
        return bind_vec(b, r, t,
                        r->scope == PER_MODEL ? &m->vec[r->place] : &m->layers[l].vec[r->place]);
    return bind_mat(b, r, t,
                    r->scope == PER_MODEL ? &m->mat[r->place] : &m->layers[l].mat[r->place]);
}

/* Applies all rules of the model (l < 0) or of layer l. */
static enum status bind_scope(struct binder *b, int64_t l)
{
    const struct arch *a = b->m->hp.arch;
    memset(b->filled, 0, (MODEL_MATS + MODEL_VECS + LAYER_MATS + LAYER_VECS) * sizeof *b->filled);
    enum status s = OK;
    for (size_t i = 0; i < a->n_rules && s == OK; i++) {
        const struct tensor_rule *r = &a->rules[i];
        bool *filled = &b->filled[place_index(r)];
        if ((r->scope == PER_MODEL) != (l < 0) || !applies(b, r) || *filled)
            continue;
        s = try_rule(b, r, l, filled);
        if (*filled && l >= 0 && r->kind != RULE_VEC)
            b->m->layers[l].rule[r->place] = r;
    }
    for (size_t i = 0; i < a->n_rules && s == OK; i++) {
        const struct tensor_rule *r = &a->rules[i];
        char name[NAME_MAX_LEN];
        const char *pattern = b->src->hf ? r->hf : r->gguf;
        if ((r->scope == PER_MODEL) != (l < 0) || !applies(b, r) || r->optional || !pattern ||
            b->filled[place_index(r)])
            continue;
        rule_name(name, sizeof name, b->src->hf ? a->hf_prefix : NULL, pattern, l, 0);
        s = err_set(b->err, EFORMAT, "tensor '%s' is missing", name);
    }
    return s;
}

static enum status alloc_layers(struct model *m, struct err *err)
{
    const struct hparams *hp = &m->hp;
    m->layers = arena_array(&m->arena, (size_t)hp->n_layers, sizeof *m->layers);
    for (int64_t l = 0; m->layers && l < hp->n_layers && (hp->features & F_MOE); l++)
        for (int p = 0; p < 3; p++) {
            static const int places[] = {M_GATE, M_UP, M_DOWN};
            struct mat *e = arena_array(&m->arena, (size_t)hp->n_experts, sizeof *e);
            if (!e)
                return err_set(err, ENOMEMORY, "no memory for %lld layers",
                               (long long)hp->n_layers);
            m->layers[l].expert[places[p]] = e;
        }
    return m->layers
               ? OK
               : err_set(err, ENOMEMORY, "no memory for %lld layers", (long long)hp->n_layers);
}

static void tell_unused(const struct binder *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!b->used[i])
            log_debug("tensor '%.*s' is not used by architecture '%s'",
                      STR_ARG(b->src->at(b->src->file, i)->name), b->m->hp.arch->name);
}

enum status model_bind(struct model *m, const struct tensor_source *src,
                       const struct model_options *opt, struct err *err)
{
    size_t n = src->count(src->file);
    struct binder b = {.m = m, .src = src, .opt = opt, .err = err};
    b.used = mem_array(n, sizeof *b.used);
    b.filled = mem_array(MODEL_MATS + MODEL_VECS + LAYER_MATS + LAYER_VECS, sizeof *b.filled);
    for (size_t i = 0; i < n; i++)
        b.total += src->at(src->file, i)->bytes;
    enum status s = b.used && b.filled ? alloc_layers(m, err)
                                       : err_set(err, ENOMEMORY, "no memory for %zu tensors", n);
    for (int64_t l = -1; l < m->hp.n_layers && s == OK; l++)
        s = bind_scope(&b, l);
    if (s == OK && m->hp.arch->kind == MODEL_DECODER && (m->hp.features & F_TIED))
        m->mat[G_OUTPUT] = m->mat[G_TOK_EMBD];
    if (s == OK)
        tell_unused(&b, n);
    free(b.used);
    free(b.filled);
    return s;
}
