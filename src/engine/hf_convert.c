/* The folder is opened as a model first, which checks every tensor and shape against the rules;
 * then each rule with a GGUF name is followed back to the file's tensors. A converted tensor is a
 * list of source tensors (one per expert where experts are apart), a window of rows in each, and
 * two changes: rows of queries and keys reordered inside their heads where GGUF pairs neighbours
 * for RoPE, and 1 added to norms that are stored without it. */
#include "engine/hf_int.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "format/safetensors.h"
#include <math.h>
#include <stdlib.h>

enum { NAME_MAX_LEN = 256 };

struct converted {
    char name[NAME_MAX_LEN];
    const struct tensor **parts; /* one, or one per expert */
    int64_t n_parts;
    int64_t rows;        /* of one expert (or in all) */
    int64_t first;       /* row of a source expert where they start */
    int64_t total;       /* rows of one expert in a source that has them stacked */
    int64_t heads;       /* RoPE pairs to be reordered inside so many heads; 0: none */
    float offset;        /* added to every value */
    const float *values; /* not from the file: RoPE factors */
};

struct converter {
    const struct model *m;
    struct arena arena;
    struct converted **list;
    struct quantize_tensor *tensors;
    size_t n, max;
    struct err *err;
};

/* ---- rows ---- */

/* Where row r of the output comes from: HF pairs i with i + d / 2 inside a head of d rows, GGUF
 * puts each pair side by side. */
static int64_t source_row(const struct converted *c, int64_t r)
{
    if (!c->heads)
        return r;
    int64_t d = c->rows / c->heads, in_head = r % d;
    return r - in_head + in_head % 2 * (d / 2) + in_head / 2;
}

static void matrix_rows(const void *ctx, int64_t row, int64_t n, float *dst)
{
    const struct converted *c = ctx;
    for (int64_t i = row; i < row + n; i++) {
        int64_t expert = i / c->rows, r = c->first + source_row(c, i % c->rows);
        const struct tensor *t = c->parts[c->n_parts > 1 ? expert : 0];
        if (c->n_parts == 1)
            r += expert * c->total;
        size_t row_bytes = t->bytes / (size_t)(tensor_elems(t) / t->ne[0]);
        const unsigned char *p = (const unsigned char *)t->data + (size_t)r * row_bytes;
        float *out = dst + (i - row) * t->ne[0];
        qtype_info(t->type)->dequantize(p, out, t->ne[0]);
        for (int64_t k = 0; c->offset != 0 && k < t->ne[0]; k++)
            out[k] += c->offset;
    }
}

/* A vector is one row whose elements take the place of rows. */
static void vector_rows(const void *ctx, int64_t row, int64_t n, float *dst)
{
    const struct converted *c = ctx;
    (void)row;
    (void)n;
    for (int64_t i = 0; i < c->rows; i++) {
        if (c->values) {
            dst[i] = c->values[i];
            continue;
        }
        const struct tensor *t = c->parts[0];
        const unsigned char *p = t->data;
        qtype_info(t->type)->dequantize(p + (size_t)(c->first + source_row(c, i)) *
                                                qtype_info(t->type)->block_bytes,
                                        &dst[i], 1);
        dst[i] += c->offset;
    }
}

/* ---- following the rules ---- */

static const struct tensor *find(const struct converter *v, const struct tensor_rule *r, int64_t l,
                                 int64_t e)
{
    char name[NAME_MAX_LEN];
    const struct safetensors *f = v->m->safetensors;
    if (!r->hf)
        return NULL;
    const char *prefix = v->m->hp.arch->hf_prefix;
    const struct tensor *t =
        safetensors_tensor(f, rule_name(name, sizeof name, prefix, r->hf, l, e));
    return t ? t : safetensors_tensor(f, rule_name(name, sizeof name, NULL, r->hf, l, e));
}

static bool applies(const struct converter *v, const struct tensor_rule *r)
{
    uint32_t have = v->m->hp.features;
    return (have & r->when) == r->when && (have & r->unless) == 0;
}

/* Two rules for one place (of a layer, whatever the scope is called, or of the model). */
static bool same_place(const struct tensor_rule *a, const struct tensor_rule *b)
{
    return (a->scope == PER_MODEL) == (b->scope == PER_MODEL) && a->place == b->place &&
           (a->kind == RULE_VEC) == (b->kind == RULE_VEC);
}

static struct converted *add(struct converter *v, struct str name)
{
    struct converted *c = arena_alloc(&v->arena, sizeof *c);
    if (v->n == v->max || !c || name.n >= sizeof c->name)
        return NULL;
    memcpy(c->name, name.p, name.n);
    v->list[v->n++] = c;
    return c;
}

static bool is_norm(const struct tensor_rule *r)
{
    return r->kind == RULE_VEC && str_ends(str_from(r->gguf), STR("norm.weight"));
}

/* Heads to reorder inside, by the rule's place; 0: none. */
static int64_t heads_of(const struct converter *v, const struct tensor_rule *r)
{
    const struct hparams *hp = &v->m->hp;
    if (hp->arch->kind != MODEL_DECODER || hp->arch->gguf_pairing != ROPE_PAIRS ||
        r->scope == PER_MODEL)
        return 0;
    bool vec = r->kind == RULE_VEC;
    if (r->place == (vec ? (int)V_Q_B : (int)M_Q))
        return hp->n_heads;
    if (r->place == (vec ? (int)V_K_B : (int)M_K))
        return hp->n_kv_heads;
    return 0;
}

static enum status no_memory(struct converter *v)
{
    return err_set(v->err, ENOMEMORY, "no memory for the list of tensors");
}

/* The plan for a tensor that is one of the file's, whole. */
static enum status plan_whole(struct converter *v, const struct tensor_rule *r, struct str name,
                              const struct tensor *t)
{
    struct converted *c = add(v, name);
    const struct tensor **part = arena_array(&v->arena, 1, sizeof *part);
    if (!c || !part)
        return no_memory(v);
    *part = t;
    c->parts = part;
    c->n_parts = 1;
    c->rows = r->kind == RULE_VEC ? tensor_elems(t) : tensor_elems(t) / t->ne[0];
    c->total = c->rows;
    c->offset = is_norm(r) ? v->m->hp.norm_offset : 0;
    c->heads = heads_of(v, r);
    if (c->heads && r->total != D_NONE)
        return err_set(v->err, EUNSUPPORTED,
                       "tensor '%s': fused queries and keys that RoPE pairs by neighbours",
                       c->name);
    struct quantize_tensor *q = &v->tensors[v->n - 1];
    bool vec = r->kind == RULE_VEC;
    *q = (struct quantize_tensor){.rows = vec ? vector_rows : matrix_rows, .ctx = c};
    q->t = (struct tensor){.name = str_from(c->name),
                           .type = QT_F32,
                           .n_dims = vec ? 1 : 2,
                           .ne = {vec ? c->rows : t->ne[0], vec ? 1 : c->rows, 1, 1},
                           .bytes = t->bytes};
    return OK;
}

/* The plan for stacked experts: from one tensor per expert, or a window of a stacked one. */
static enum status plan_experts(struct converter *v, struct str name, const struct tensor_rule *src,
                                int64_t l)
{
    const struct hparams *hp = &v->m->hp;
    struct converted *c = add(v, name);
    int64_t n = src->scope == PER_EXPERT ? hp->n_experts : 1;
    const struct tensor **parts = arena_array(&v->arena, (size_t)n, sizeof *parts);
    if (!c || !parts)
        return no_memory(v);
    size_t bytes = 0;
    for (int64_t e = 0; e < n; e++) {
        parts[e] = find(v, src, l, e);
        if (!parts[e])
            return err_set(v->err, EFORMAT, "tensor '%s': expert %lld is missing", c->name,
                           (long long)e);
        bytes += parts[e]->bytes;
    }
    c->parts = parts;
    c->n_parts = n;
    c->rows = dim_value(hp, src->rows);
    c->first = dim_value(hp, src->first);
    c->total = src->total == D_NONE ? c->rows : dim_value(hp, src->total);
    struct quantize_tensor *q = &v->tensors[v->n - 1];
    *q = (struct quantize_tensor){.rows = matrix_rows, .ctx = c};
    q->t = (struct tensor){.name = str_from(c->name),
                           .type = QT_F32,
                           .n_dims = 3,
                           .ne = {parts[0]->ne[0], c->rows, hp->n_experts, 1},
                           .bytes = bytes / (c->total > c->rows ? 2 : 1)};
    return OK;
}

static bool planned(const struct converter *v, struct str name)
{
    for (size_t i = v->n; i-- > 0 && i + 64 > v->n;) /* a fused name comes again within a layer */
        if (str_eq(v->tensors[i].t.name, name))
            return true;
    return false;
}

/* r: a rule of the GGUF architecture. Its tensor is what the folder's architecture has for the same
 * place: by the same rule, or by one whose name only Hugging Face files have. */
static enum status plan_rule(struct converter *v, const struct tensor_rule *r, int64_t l)
{
    const struct arch *a = v->m->hp.arch;
    char buf[NAME_MAX_LEN];
    struct str name = rule_name(buf, sizeof buf, NULL, r->gguf, l, 0);
    if (planned(v, name))
        return OK;
    for (size_t i = 0; i < a->n_rules; i++) {
        const struct tensor_rule *s = &a->rules[i];
        const struct tensor *t = applies(v, s) && same_place(r, s) ? find(v, s, l, 0) : NULL;
        if (t && r->kind == RULE_EXPERT_MAT)
            return plan_experts(v, name, s, l);
        if (t && s->scope == r->scope && s->total == r->total)
            return plan_whole(v, r, name, t);
    }
    return OK;
}

static enum status plan_values(struct converter *v, const char *name, const float *values,
                               int64_t n)
{
    struct converted *c = add(v, str_from(name));
    if (!c)
        return no_memory(v);
    c->values = values;
    c->rows = n;
    v->tensors[v->n - 1] = (struct quantize_tensor){
        .rows = vector_rows,
        .ctx = c,
        .t = {.name = str_from(c->name), .type = QT_F32, .n_dims = 1, .ne = {n, 1, 1, 1}}};
    return OK;
}

/* Llama 3.1's stretching as one divisor per pair: high frequencies stay, low ones are divided by
 * the factor, between them it fades (config.json's rope_type "llama3"). */
static enum status plan_llama3(struct converter *v, const struct rope_params *p)
{
    float *d = arena_array(&v->arena, (size_t)p->n_rot / 2, sizeof *d);
    if (!d)
        return no_memory(v);
    for (int64_t i = 0; i < p->n_rot / 2; i++) {
        double wavelength = 6.283185307179586 * pow(p->theta, 2.0 * (double)i / (double)p->n_rot);
        double turns = (double)p->n_ctx_orig / wavelength;
        double fade = (turns - p->low_freq_factor) / (p->high_freq_factor - p->low_freq_factor);
        fade = fade < 0 ? 0 : fade > 1 ? 1 : fade;
        d[i] = (float)(1 / ((1 - fade) / p->factor + fade));
    }
    return plan_values(v, "rope_freqs.weight", d, p->n_rot / 2);
}

static enum status plan_rope(struct converter *v)
{
    const struct rope_params *p = &v->m->hp.rope[0];
    enum status s = OK;
    if (p->scaling == ROPE_LLAMA3)
        s = plan_llama3(v, p);
    if (p->scaling == ROPE_LONGROPE)
        s = plan_values(v, "rope_factors_long.weight", p->long_factor, p->n_factors);
    if (s == OK && p->scaling == ROPE_LONGROPE)
        s = plan_values(v, "rope_factors_short.weight", p->short_factor, p->n_factors);
    return s;
}

/* Heads that GGUF has no names for are left out, as llama.cpp's converter does; but not silently.
 */
static void warn_unused(const struct converter *v)
{
    const struct safetensors *f = v->m->safetensors;
    size_t used = 0;
    for (size_t i = 0; i < v->n; i++) {
        used += (size_t)v->list[i]->n_parts;
        /* gate and up of fused experts are two windows of one tensor */
        if (v->list[i]->first)
            used -= (size_t)v->list[i]->n_parts;
    }
    if (used < safetensors_n_tensors(f))
        log_warn("%zu of %zu tensors have no name in GGUF and are left out",
                 safetensors_n_tensors(f) - used, safetensors_n_tensors(f));
}

static enum status plan_all(struct converter *v)
{
    const struct arch *a = hf_gguf_arch(v->m->hp.arch);
    enum status s = v->m->hp.arch->kind == MODEL_DECODER ? plan_rope(v) : OK;
    for (int64_t l = -1; l < v->m->hp.n_layers && s == OK; l++) {
        for (size_t i = 0; i < a->n_rules && s == OK; i++) {
            const struct tensor_rule *r = &a->rules[i];
            if (r->gguf && applies(v, r) && r->scope != PER_EXPERT &&
                (r->scope == PER_MODEL) == (l < 0))
                s = plan_rule(v, r, l);
        }
    }
    if (s == OK)
        warn_unused(v);
    return s;
}

/* ---- the file ---- */

static enum status write_model(struct converter *v, const char *folder, const struct recipe *recipe,
                               const struct quantize_options *opt, struct gguf_writer *w,
                               struct quantize_stats *stats)
{
    const struct hparams *hp = &v->m->hp;
    const struct recipe_model rm = {.n_layers = hp->n_layers,
                                    .n_experts = hp->n_experts,
                                    .gqa = hp->n_heads / hp->n_kv_heads,
                                    .tied = (hp->features & F_TIED) != 0,
                                    .imatrix = opt && opt->imatrix};
    enum status s = plan_all(v);
    if (s == OK)
        s = hf_put_hparams(v->m, w, v->err);
    if (s == OK)
        s = hf_put_vocab(v->m, folder, w, v->err);
    if (s != OK)
        return s;
    gguf_put_u32(w, "general.quantization_version", 2);
    gguf_put_u32(w, "general.file_type", recipe->file_type);
    quantize_plan(v->tensors, v->n, recipe, &rm, w);
    gguf_write_header(w);
    return quantize_stream(v->tensors, v->n, opt, w, stats, v->err);
}

enum status hf_convert(const char *folder, const char *out, const struct recipe *recipe,
                       const struct quantize_options *opt, struct quantize_stats *stats,
                       struct err *err)
{
    struct model *m = NULL;
    struct gguf_writer *w = NULL;
    struct quantize_stats own;
    int64_t start = clock_ns();
    stats = stats ? stats : &own;
    *stats = (struct quantize_stats){0};
    const struct model_options mo = MODEL_OPTIONS_INIT;
    enum status s = model_open(&m, folder, &mo, err);
    if (s != OK)
        return s;
    struct converter v = {.m = m, .err = err};
    arena_init(&v.arena, (size_t)1 << 30);
    /* every tensor of the file becomes at most two (fused experts), besides the RoPE factors */
    v.max = safetensors_n_tensors(m->safetensors) * 2 + 4;
    v.list = arena_array(&v.arena, v.max, sizeof *v.list);
    v.tensors = arena_array(&v.arena, v.max, sizeof *v.tensors);
    s = v.list && v.tensors ? OK : no_memory(&v);
    if (s == OK)
        s = gguf_writer_open(&w, out, err);
    if (s == OK)
        s = write_model(&v, folder, recipe, opt, w, stats);
    if (s == OK)
        s = gguf_writer_commit(w, err);
    else
        gguf_writer_abort(w);
    arena_release(&v.arena);
    model_close(m);
    stats->seconds = clock_since(start);
    return s;
}
