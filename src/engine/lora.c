/* LoRA adapters: finding each pair's matrix by the architecture's own rules, and GGUF's format.
 *
 * B is copied where rows have to move: GGUF's llama family keeps query and key rows in the order of
 * interleaved RoPE pairs, Hugging Face in halves, and an adapter of the one may meet a model of the
 * other. Everything else stays in the mapped file. Embeddings, output matrix, biases, routers and
 * experts are not adapted: such tensors are an error, never ignored. */
#include "engine/lora_int.h"
#include "base/file.h"
#include "base/mem.h"
#include "format/gguf.h"
#include <stdio.h>
#include <stdlib.h>

enum { LORA_ARENA_MAX = 1 << 30, MODULE_MAX = 256 };

struct binder {
    struct lora *l;
    const struct lora_source *src;
    bool *used;
    struct err *err;
};

static enum status check_pair(struct binder *b, const struct tensor *a, const struct tensor *up,
                              int64_t rows, int64_t cols)
{
    int64_t rank = a->ne[1];
    if (a->ne[0] != cols || a->n_dims > 2 || rank < 1 || rank > LORA_RANK_MAX)
        return err_set(
            b->err, EFORMAT, "adapter tensor '%.*s': shape (%lld, %lld), expected (1 to %d, %lld)",
            STR_ARG(a->name), (long long)rank, (long long)a->ne[0], LORA_RANK_MAX, (long long)cols);
    if (up->ne[0] != rank || up->ne[1] != rows || up->n_dims > 2)
        return err_set(b->err, EFORMAT,
                       "adapter tensor '%.*s': shape (%lld, %lld), expected (%lld, %lld)",
                       STR_ARG(up->name), (long long)up->ne[1], (long long)up->ne[0],
                       (long long)rows, (long long)rank);
    return OK;
}

/* Rows [first, first + rows) of t; moved to another order if `from` differs from `to`. */
static enum status take_rows(struct binder *b, const struct tensor *t, int64_t first, int64_t rows,
                             int64_t heads, bool to_pairs, bool to_halves, struct mat *out)
{
    size_t row_bytes, bytes;
    bool plain = t->type == QT_F32 || t->type == QT_F16 || t->type == QT_BF16 || t->type == QT_Q8_0;
    if (!plain || !qtype_row_bytes(t->type, t->ne[0], &row_bytes) ||
        !size_mul(row_bytes, (size_t)rows, &bytes))
        return err_set(b->err, EFORMAT,
                       "adapter tensor '%.*s': %lld columns of type %s, expected f32, f16, bf16 or "
                       "whole blocks of q8_0",
                       STR_ARG(t->name), (long long)t->ne[0], qtype_info(t->type)->name);
    const unsigned char *src = (const unsigned char *)t->data + (size_t)first * row_bytes;
    *out = (struct mat){
        .type = t->type, .rows = rows, .cols = t->ne[0], .row_bytes = row_bytes, .data = src};
    if (!to_pairs && !to_halves && (uintptr_t)src % 4 == 0)
        return OK;
    unsigned char *copy = arena_alloc(&b->l->arena, bytes);
    if (!copy)
        return err_set(b->err, ENOMEMORY, "adapter tensor '%.*s': no memory for %zu bytes",
                       STR_ARG(t->name), bytes);
    int64_t dim = rows / (heads ? heads : 1), half = dim / 2;
    for (int64_t r = 0; r < rows; r++) {
        int64_t head = r / dim, d = r % dim, from = d;
        if (to_pairs)
            from = d % 2 * half + d / 2;
        else if (to_halves)
            from = d % half * 2 + d / half;
        memcpy(copy + (size_t)r * row_bytes, src + (size_t)(head * dim + from) * row_bytes,
               row_bytes);
    }
    out->data = copy;
    return OK;
}

static enum status bind_pair(struct binder *b, const struct tensor_rule *r, int64_t layer,
                             struct str module, const struct tensor *a, const struct tensor *up)
{
    const struct hparams *hp = &b->l->m->hp;
    int64_t rows = dim_value(hp, r->rows), cols = dim_value(hp, r->cols);
    enum status s = check_pair(b, a, up, r->total != D_NONE ? dim_value(hp, r->total) : rows, cols);
    if (s != OK)
        return s;
    struct lora_pair *p = &b->l->pairs[layer * LAYER_MATS + r->place];
    bool turned = r->place == M_Q || r->place == M_K;
    bool pairs_in_gguf = turned && hp->arch->gguf_pairing == ROPE_PAIRS;
    bool model_hf = hp->features & F_HF, adapter_hf = b->src->tensors.hf;
    int64_t heads = r->place == M_Q ? hp->n_heads : hp->n_kv_heads;
    s = take_rows(b, a, 0, a->ne[1], 0, false, false, &p->a);
    if (s == OK)
        s = take_rows(b, up, dim_value(hp, r->first), rows, heads,
                      pairs_in_gguf && adapter_hf && !model_hf,
                      pairs_in_gguf && !adapter_hf && model_hf, &p->b);
    if (s == OK)
        s = b->src->scale(b->src->ctx, module, a->ne[1], &p->scale, b->err);
    if (a->ne[1] > b->l->max_rank)
        b->l->max_rank = a->ne[1];
    return s;
}

static enum status try_rule(struct binder *b, const struct tensor_rule *r, int64_t layer)
{
    const struct tensor_source *t = &b->src->tensors;
    const char *pattern = t->hf ? r->hf : r->gguf;
    uint32_t f = b->l->m->hp.features;
    if (r->scope != PER_LAYER || r->kind != RULE_MAT || r->place == M_ROUTER || !pattern ||
        (f & r->when) != r->when || (f & r->unless))
        return OK;
    char module[MODULE_MAX], name_a[MODULE_MAX + 64], name_b[MODULE_MAX + 64];
    struct str full = rule_name(module, sizeof module, t->hf ? b->l->m->hp.arch->hf_prefix : NULL,
                                pattern, layer, 0);
    if (str_ends(full, STR(".weight")))
        full.n -= sizeof ".weight" - 1;
    b->src->names(full, name_a, name_b, sizeof name_a);
    const struct tensor *a = t->find(t->file, str_from(name_a)),
                        *up = t->find(t->file, str_from(name_b));
    if (!a && !up)
        return OK;
    if (!a || !up)
        return err_set(b->err, EFORMAT, "adapter tensor '%s' is missing", a ? name_b : name_a);
    const struct tensor *zero = t->at(t->file, 0);
    b->used[a - zero] = b->used[up - zero] = true;
    return bind_pair(b, r, layer, full, a, up);
}

enum status lora_bind(struct lora *l, const struct lora_source *src, struct err *err)
{
    const struct model *m = l->m;
    size_t n = src->tensors.count(src->tensors.file);
    l->pairs = arena_array(&l->arena, (size_t)m->hp.n_layers * LAYER_MATS, sizeof *l->pairs);
    struct binder b = {l, src, mem_array(n, sizeof *b.used), err};
    enum status s = l->pairs && b.used ? OK : err_set(err, ENOMEMORY, "no memory for an adapter");
    if (s == OK && n == 0)
        s = err_set(err, EFORMAT, "the adapter has no tensors");
    for (int64_t layer = 0; layer < m->hp.n_layers && s == OK; layer++)
        for (size_t i = 0; i < m->hp.arch->n_rules && s == OK; i++)
            s = try_rule(&b, &m->hp.arch->rules[i], layer);
    for (size_t i = 0; i < n && s == OK; i++)
        if (!b.used[i])
            s = err_set(err, EUNSUPPORTED,
                        "adapter tensor '%.*s': expected lora_A and lora_B of a layer's attention "
                        "or feed-forward matrix of '%s'",
                        STR_ARG(src->tensors.at(src->tensors.file, i)->name), m->hp.arch->name);
    free(b.used);
    return s;
}

/* ---- GGUF ---- */

static const struct tensor *find(const void *file, struct str name)
{
    return gguf_tensor(file, name);
}
static size_t count(const void *file)
{
    return gguf_n_tensors(file);
}
static const struct tensor *at(const void *file, size_t i)
{
    return gguf_tensor_at(file, i);
}

static void gguf_names(struct str module, char *a, char *b, size_t size)
{
    snprintf(a, size, "%.*s.weight.lora_a", STR_ARG(module));
    snprintf(b, size, "%.*s.weight.lora_b", STR_ARG(module));
}

static enum status gguf_scale(const void *ctx, struct str module, int64_t rank, float *out,
                              struct err *err)
{
    (void)module;
    (void)err;
    double alpha = *(const double *)ctx;
    *out = alpha != 0 ? (float)(alpha / (double)rank) : 1;
    return OK;
}

static enum status open_gguf(struct lora *l, const char *path, struct err *err)
{
    struct str type = {0}, arch = {0}, kind = {0};
    double alpha = 0;
    enum status s = gguf_open(&l->gguf, path, err);
    if (s == OK)
        s = gguf_get_str(l->gguf, "general.type", &type, err);
    if (s == OK)
        s = gguf_get_str(l->gguf, "general.architecture", &arch, err);
    if (s == OK)
        s = gguf_get_str(l->gguf, "adapter.type", &kind, err);
    if (s == OK)
        s = gguf_get_float(l->gguf, "adapter.lora.alpha", &alpha, 0, err);
    if (s != OK)
        return s;
    if (!str_is(type, "adapter") || !str_is(kind, "lora"))
        return err_set(err, EFORMAT,
                       "general.type '%.*s' and adapter.type '%.*s', expected adapter "
                       "and lora",
                       STR_ARG(type), STR_ARG(kind));
    const struct arch *a = l->m->hp.arch;
    if (!str_is(arch, a->name) && !(str_is(arch, "llama") && a->gguf_pairing == ROPE_PAIRS))
        return err_set(err, EFORMAT, "the adapter is for architecture '%.*s', expected '%s'",
                       STR_ARG(arch), a->name);
    if (!(alpha > -1e6 && alpha < 1e6))
        return err_set(err, EFORMAT, "adapter.lora.alpha is %g, expected a finite number", alpha);
    const struct lora_source src = {
        {l->gguf, find, count, at, false}, gguf_names, gguf_scale, &alpha};
    return lora_bind(l, &src, err);
}

/* ---- life ---- */

enum status lora_open(struct lora **out, const struct model *m, const char *path, struct err *err)
{
    *out = NULL;
    if (m->info.kind != MODEL_DECODER || !m->layers)
        return err_set(err, EUNSUPPORTED, "adapters need a decoder that was opened with weights");
    struct lora *l = mem_array(1, sizeof *l);
    if (!l)
        return err_set(err, ENOMEMORY, "no memory for an adapter");
    l->m = m;
    arena_init(&l->arena, LORA_ARENA_MAX);
    enum status s;
    bool peft = file_is_dir(path) || str_ends(str_from(path), STR(".safetensors"));
#ifdef HEARTH_ENGINE_ONLY
    s = peft ? err_set(err, EUNSUPPORTED, "this build reads only GGUF adapters")
             : open_gguf(l, path, err);
#else
    s = peft ? lora_open_peft(l, path, err) : open_gguf(l, path, err);
#endif
    if (s != OK) {
        lora_close(l);
        return err_prefix(err, "%s", path), s;
    }
    *out = l;
    return OK;
}

void lora_close(struct lora *l)
{
    if (!l)
        return;
#ifndef HEARTH_ENGINE_ONLY
    lora_close_peft(l);
#endif
    gguf_close(l->gguf);
    arena_release(&l->arena);
    free(l);
}

enum status engine_set_loras(struct engine *e, struct lora *const *loras, const float *scales,
                             int n, struct err *err)
{
    if (n < 0 || n > LORA_MAX)
        return err_set(err, EUSAGE, "%d adapters, expected 0 to %d", n, LORA_MAX);
    int64_t rank = 1;
    for (int i = 0; i < n; i++) {
        if (loras[i]->m != e->m)
            return err_set(err, EUSAGE, "adapter %d was opened for another model", i);
        if (!(scales[i] > -1e6f && scales[i] < 1e6f))
            return err_set(err, EUSAGE, "scale %g of adapter %d, expected a finite number",
                           (double)scales[i], i);
        if (loras[i]->max_rank > rank)
            rank = loras[i]->max_rank;
    }
    size_t bytes = (size_t)n * MUL_PARTS * (size_t)e->max_rows * (size_t)rank * sizeof(float);
    float *u = n ? mem_aligned(bytes) : NULL;
    if (n && !u)
        return err_set(err, ENOMEMORY, "no memory for adapters of rank %lld", (long long)rank);
    mem_aligned_free(e->lora_u, e->lora_bytes);
    e->lora_u = u;
    e->lora_bytes = n ? bytes : 0;
    e->lora_rank = rank;
    e->n_loras = n;
    for (int i = 0; i < n; i++) {
        e->loras[i] = loras[i];
        e->lora_scale[i] = scales[i];
    }
    return OK;
}
