/* Weights come from a pool: a few thousand blocks of the wanted type, quantized once from normal
 * numbers (standard deviation 0.02, as most models start), and laid out at random. So every type
 * gets well-formed blocks with the statistics of real ones, and a file is written as fast as memory
 * is copied. Norms are 1. */
#include "engine/synth_int.h"
#include "base/mem.h"
#include "base/rng.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- the plan: which tensors there are ---- */

enum fill { RANDOM, ONES, ROPE_FREQS };

struct planned {
    struct tensor t; /* t.type: as it will be written */
    enum fill fill;
    char name[64];
};

struct plan {
    const struct synth_shape *s;
    struct planned *list;
    size_t n, cap;
    bool failed;
};

/* layer: -1 for tensors outside the layers. Dimensions of 0 are not there. */
static void plan_tensor(struct plan *p, enum fill fill, int64_t ne0, int64_t ne1, int64_t ne2,
                        const char *name, int layer)
{
    if (p->n == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 512;
        struct planned *list = mem_resize(p->list, cap, sizeof *list);
        if (!list) {
            p->failed = true;
            return;
        }
        p->list = list;
        p->cap = cap;
    }
    struct planned *t = &p->list[p->n++];
    *t = (struct planned){.fill = fill};
    t->t.n_dims = ne2 ? 3 : ne1 ? 2 : 1;
    t->t.ne[0] = ne0;
    t->t.ne[1] = ne1 ? ne1 : 1;
    t->t.ne[2] = ne2 ? ne2 : 1;
    t->t.ne[3] = 1;
    t->t.type = QT_F32;
    if (layer < 0)
        snprintf(t->name, sizeof t->name, "%s", name);
    else
        snprintf(t->name, sizeof t->name, "blk.%d.%s", layer, name);
}

/* A matrix and its bias. */
static void plan_linear(struct plan *p, int64_t cols, int64_t rows, const char *name, int l)
{
    char full[48];
    snprintf(full, sizeof full, "%s.weight", name);
    plan_tensor(p, RANDOM, cols, rows, 0, full, l);
    snprintf(full, sizeof full, "%s.bias", name);
    plan_tensor(p, RANDOM, rows, 0, 0, full, l);
}

static void plan_layer_norm(struct plan *p, const char *name, int l)
{
    char full[48];
    snprintf(full, sizeof full, "%s.weight", name);
    plan_tensor(p, ONES, p->s->embd, 0, 0, full, l);
    snprintf(full, sizeof full, "%s.bias", name);
    plan_tensor(p, RANDOM, p->s->embd, 0, 0, full, l);
}

/* DistilBERT: no segment embeddings, no head. */
static void plan_encoder(struct plan *p)
{
    const struct synth_shape *s = p->s;
    int64_t q = (int64_t)s->heads * s->head_dim;
    plan_tensor(p, RANDOM, s->embd, s->vocab, 0, "token_embd.weight", -1);
    plan_tensor(p, RANDOM, s->embd, s->ctx, 0, "position_embd.weight", -1);
    plan_layer_norm(p, "token_embd_norm", -1);
    for (int l = 0; l < s->layers; l++) {
        plan_linear(p, s->embd, q, "attn_q", l);
        plan_linear(p, s->embd, q, "attn_k", l);
        plan_linear(p, s->embd, q, "attn_v", l);
        plan_linear(p, q, s->embd, "attn_output", l);
        plan_layer_norm(p, "attn_output_norm", l);
        plan_linear(p, s->embd, s->ff, "ffn_up", l);
        plan_linear(p, s->ff, s->embd, "ffn_down", l);
        plan_layer_norm(p, "layer_output_norm", l);
    }
}

static void plan_attention(struct plan *p, int l)
{
    const struct synth_shape *s = p->s;
    int64_t q = (int64_t)s->heads * s->head_dim, kv = (int64_t)s->kv_heads * s->head_dim;
    plan_tensor(p, ONES, s->embd, 0, 0, "attn_norm.weight", l);
    if (s->flags & SYNTH_FUSED) {
        plan_tensor(p, RANDOM, s->embd, q + 2 * kv, 0, "attn_qkv.weight", l);
    } else {
        plan_tensor(p, RANDOM, s->embd, q, 0, "attn_q.weight", l);
        plan_tensor(p, RANDOM, s->embd, kv, 0, "attn_k.weight", l);
        plan_tensor(p, RANDOM, s->embd, kv, 0, "attn_v.weight", l);
    }
    if (s->flags & SYNTH_QKV_BIAS) {
        plan_tensor(p, RANDOM, q, 0, 0, "attn_q.bias", l);
        plan_tensor(p, RANDOM, kv, 0, 0, "attn_k.bias", l);
        plan_tensor(p, RANDOM, kv, 0, 0, "attn_v.bias", l);
    }
    if (s->flags & SYNTH_QK_NORM) {
        plan_tensor(p, ONES, s->head_dim, 0, 0, "attn_q_norm.weight", l);
        plan_tensor(p, ONES, s->head_dim, 0, 0, "attn_k_norm.weight", l);
    }
    plan_tensor(p, RANDOM, q, s->embd, 0, "attn_output.weight", l);
    if (s->flags & SYNTH_POST_NORMS)
        plan_tensor(p, ONES, s->embd, 0, 0, "post_attention_norm.weight", l);
}

static void plan_ffn(struct plan *p, int l)
{
    const struct synth_shape *s = p->s;
    plan_tensor(p, ONES, s->embd, 0, 0, "ffn_norm.weight", l);
    if (s->experts) {
        plan_tensor(p, RANDOM, s->embd, s->experts, 0, "ffn_gate_inp.weight", l);
        plan_tensor(p, RANDOM, s->embd, s->ff, s->experts, "ffn_gate_exps.weight", l);
        plan_tensor(p, RANDOM, s->embd, s->ff, s->experts, "ffn_up_exps.weight", l);
        plan_tensor(p, RANDOM, s->ff, s->embd, s->experts, "ffn_down_exps.weight", l);
        return;
    }
    if (s->flags & SYNTH_FUSED) {
        plan_tensor(p, RANDOM, s->embd, 2 * (int64_t)s->ff, 0, "ffn_up.weight", l);
    } else {
        plan_tensor(p, RANDOM, s->embd, s->ff, 0, "ffn_gate.weight", l);
        plan_tensor(p, RANDOM, s->embd, s->ff, 0, "ffn_up.weight", l);
    }
    plan_tensor(p, RANDOM, s->ff, s->embd, 0, "ffn_down.weight", l);
    if (s->flags & SYNTH_POST_NORMS)
        plan_tensor(p, ONES, s->embd, 0, 0, "post_ffw_norm.weight", l);
}

static void plan_all(struct plan *p)
{
    const struct synth_shape *s = p->s;
    if (s->flags & SYNTH_ENCODER) {
        plan_encoder(p);
        return;
    }
    plan_tensor(p, RANDOM, s->embd, s->vocab, 0, "token_embd.weight", -1);
    if (s->rope_factor > 0)
        plan_tensor(p, ROPE_FREQS, s->head_dim / 2, 0, 0, "rope_freqs.weight", -1);
    for (int l = 0; l < s->layers; l++) {
        plan_attention(p, l);
        plan_ffn(p, l);
    }
    plan_tensor(p, ONES, s->embd, 0, 0, "output_norm.weight", -1);
    if (!(s->flags & SYNTH_TIED))
        plan_tensor(p, RANDOM, s->embd, s->vocab, 0, "output.weight", -1);
}

int64_t synth_params(const struct synth_shape *shape)
{
    struct plan p = {.s = shape};
    int64_t n = 0;
    plan_all(&p);
    for (size_t i = 0; i < p.n; i++) {
        /* the RoPE factors are constants, not weights */
        if (p.list[i].fill != ROPE_FREQS)
            n += tensor_elems(&p.list[i].t);
    }
    free(p.list);
    return p.failed ? -1 : n;
}

/* ---- metadata ---- */

static void put_u32(struct gguf_writer *w, const struct synth_shape *s, const char *key, int v)
{
    char name[96];
    snprintf(name, sizeof name, "%s.%s", s->arch, key);
    gguf_put_u32(w, name, (uint32_t)v);
}

static void put_f32(struct gguf_writer *w, const struct synth_shape *s, const char *key, float v)
{
    char name[96];
    snprintf(name, sizeof name, "%s.%s", s->arch, key);
    gguf_put_f32(w, name, v);
}

static void put_metadata(struct gguf_writer *w, const struct synth_shape *s,
                         const struct recipe *recipe)
{
    gguf_put_str(w, "general.architecture", str_from(s->arch));
    gguf_put_str(w, "general.type", STR("model"));
    gguf_put_str(w, "general.name", str_from(s->name));
    gguf_put_str(w, "general.description", STR("random weights, for measuring"));
    put_u32(w, s, "block_count", s->layers);
    put_u32(w, s, "context_length", s->ctx);
    put_u32(w, s, "embedding_length", s->embd);
    put_u32(w, s, "feed_forward_length", s->ff);
    put_u32(w, s, "attention.head_count", s->heads);
    put_u32(w, s, "attention.head_count_kv", s->kv_heads);
    put_u32(w, s, "vocab_size", s->vocab);
    if (s->flags & SYNTH_ENCODER) {
        put_f32(w, s, "attention.layer_norm_epsilon", s->eps);
    } else {
        put_u32(w, s, "attention.key_length", s->head_dim);
        put_u32(w, s, "attention.value_length", s->head_dim);
        put_u32(w, s, "rope.dimension_count", s->head_dim);
        put_f32(w, s, "rope.freq_base", s->rope_base);
        put_f32(w, s, "attention.layer_norm_rms_epsilon", s->eps);
    }
    if (s->experts) {
        put_u32(w, s, "expert_count", s->experts);
        put_u32(w, s, "expert_used_count", s->used);
    }
    if (s->window)
        put_u32(w, s, "attention.sliding_window", s->window);
    if (s->flags & SYNTH_FUSED)
        put_u32(w, s, "rope.scaling.original_context_length", s->ctx);
    if (s->flags & SYNTH_POST_NORMS) {
        put_f32(w, s, "attn_logit_softcapping", 50);
        put_f32(w, s, "final_logit_softcapping", 30);
    }
    gguf_put_u32(w, "general.quantization_version", 2);
    gguf_put_u32(w, "general.file_type", recipe->file_type);
}

/* ---- data ---- */

enum { POOL_ELEMS = 1 << 19, RUN_BYTES = 2048, CHUNK = 1 << 20 };
static const float STD = 0.02f;

/* Quantized normal numbers of one type. */
struct blocks {
    unsigned char *p;
    size_t n; /* blocks */
};

static enum status make_pool(struct blocks *b, enum qtype type, uint64_t seed, struct err *err)
{
    const struct qtype_info *q = qtype_info(type);
    float *x = mem_aligned(POOL_ELEMS * sizeof *x);
    b->n = POOL_ELEMS / q->block_elems;
    b->p = malloc(b->n * q->block_bytes);
    if (!x || !b->p) {
        mem_aligned_free(x, POOL_ELEMS * sizeof *x);
        return err_set(err, ENOMEMORY, "no memory for random weights");
    }
    struct rng r;
    rng_seed(&r, seed + type);
    for (size_t i = 0; i < POOL_ELEMS; i += 2) { /* Box and Muller */
        double radius = sqrt(-2 * log(1 - rng_uniform(&r)));
        double angle = 6.283185307179586 * rng_uniform(&r);
        x[i] = STD * (float)(radius * cos(angle));
        x[i + 1] = STD * (float)(radius * sin(angle));
    }
    q->quantize(x, b->p, POOL_ELEMS, NULL);
    mem_aligned_free(x, POOL_ELEMS * sizeof *x);
    return OK;
}

/* Runs of blocks from random places of the pool. */
static void write_random(const struct tensor *t, const struct blocks *b, struct rng *r,
                         struct gguf_writer *w, unsigned char *chunk)
{
    size_t block = qtype_info(t->type)->block_bytes, run = RUN_BYTES / block, left = t->bytes;
    while (left) {
        size_t n = 0;
        while (n + run * block <= CHUNK && n < left) {
            size_t part = run * block < left - n ? run * block : left - n;
            size_t at = (size_t)(rng_next(r) % (b->n - run));
            memcpy(chunk + n, b->p + at * block, part);
            n += part;
        }
        gguf_write_data(w, chunk, n);
        left -= n;
    }
}

/* Llama 3.1's scaling of RoPE frequencies, as divisors: high frequencies stay, low ones are
 * stretched by `factor`, between them it fades. Source: Llama 3.1's model card, config
 * "rope_scaling" (low_freq_factor 1, high_freq_factor 4, 8192 original positions). */
static float rope_divisor(int i, int head_dim, float base, float factor)
{
    const double low = 1, high = 4, original = 8192;
    double wavelength = 6.283185307179586 * pow((double)base, 2.0 * i / head_dim);
    if (wavelength < original / high)
        return 1;
    if (wavelength > original / low)
        return factor;
    double smooth = (original / wavelength - low) / (high - low);
    return (float)(1 / ((1 - smooth) / (double)factor + smooth));
}

static void write_floats(const struct planned *p, const struct synth_shape *s,
                         struct gguf_writer *w)
{
    for (int64_t i = 0; i < p->t.ne[0]; i++) {
        float v = 1;
        if (p->fill == ROPE_FREQS)
            v = rope_divisor((int)i, s->head_dim, s->rope_base, s->rope_factor);
        gguf_write_data(w, &v, sizeof v);
    }
}

static enum status write_tensors(const struct plan *p, uint64_t seed, struct gguf_writer *w,
                                 void (*progress)(void *, double, const char *), void *ctx,
                                 struct err *err)
{
    struct blocks pools[QT_COUNT] = {{NULL, 0}};
    unsigned char *chunk = malloc(CHUNK);
    enum status s = chunk ? OK : err_set(err, ENOMEMORY, "no memory for random weights");
    double total = 0, done = 0;
    for (size_t i = 0; i < p->n; i++)
        total += (double)p->list[i].t.bytes;
    for (size_t i = 0; s == OK && i < p->n; i++) {
        const struct planned *t = &p->list[i];
        struct rng r;
        if (progress)
            progress(ctx, done / total, t->name);
        rng_seed(&r, seed * 1000003 + i);
        if (t->fill != RANDOM)
            write_floats(t, p->s, w);
        else if (pools[t->t.type].p ||
                 (s = make_pool(&pools[t->t.type], t->t.type, seed, err)) == OK)
            write_random(&t->t, &pools[t->t.type], &r, w, chunk);
        done += (double)t->t.bytes;
    }
    if (s == OK && progress)
        progress(ctx, 1, "");
    for (int t = 0; t < QT_COUNT; t++)
        free(pools[t].p);
    free(chunk);
    return s;
}

/* Gives each tensor of the plan its type and size. */
static enum status plan_types(struct plan *p, const struct recipe *recipe, struct err *err)
{
    const struct synth_shape *s = p->s;
    const struct recipe_model m = {.n_layers = s->layers,
                                   .n_experts = s->experts,
                                   .gqa = s->heads / s->kv_heads,
                                   .tied = (s->flags & SYNTH_TIED) != 0};
    enum status st = p->failed ? err_set(err, ENOMEMORY, "no memory for the list of tensors") : OK;
    for (size_t i = 0; st == OK && i < p->n; i++) {
        struct planned *t = &p->list[i];
        t->t.name = str_from(t->name);
        t->t.type = recipe_type(recipe, &m, &t->t);
        st = tensor_size(&t->t, err);
    }
    return st;
}

enum status synth_bytes(const struct synth_shape *shape, const struct recipe *recipe, size_t *out,
                        struct err *err)
{
    struct plan p = {.s = shape};
    plan_all(&p);
    enum status s = plan_types(&p, recipe, err);
    *out = 0;
    for (size_t i = 0; s == OK && i < p.n; i++)
        if (!size_add(*out, p.list[i].t.bytes, out))
            s = err_set(err, ELIMIT, "shape '%s' is too large", shape->name);
    free(p.list);
    return s;
}

/* Whether a matrix takes part in every token's products; the head is counted apart. */
static bool in_layers(const struct tensor *t)
{
    return t->n_dims >= 2 && str_starts(t->name, STR("blk."));
}

static void add_cost(struct synth_cost *c, const struct synth_shape *s, const struct tensor *t)
{
    double share = t->n_dims == 3 ? (double)s->used / s->experts : 1;
    double products = share * (double)tensor_elems(t);
    bool floats = qtype_info(t->type)->block_elems == 1;
    bool embd = str_is(t->name, "token_embd.weight");
    bool head = !(s->flags & SYNTH_ENCODER) &&
                (s->flags & SYNTH_TIED ? embd : str_is(t->name, "output.weight"));
    if (embd) /* one row of it */
        c->token_bytes += (double)t->bytes / s->vocab;
    if (head) {
        c->token_bytes += (double)t->bytes;
        c->work.output = products;
        c->work.output_quantized = !floats;
    }
    if (!in_layers(t))
        return;
    c->token_bytes += share * (double)t->bytes;
    if (floats)
        c->work.floats += products;
    else
        c->work.quantized += products;
}

enum status synth_cost(const struct synth_shape *shape, const struct recipe *recipe,
                       struct synth_cost *out, struct err *err)
{
    struct plan p = {.s = shape};
    *out = (struct synth_cost){0};
    plan_all(&p);
    enum status s = plan_types(&p, recipe, err);
    for (size_t i = 0; s == OK && i < p.n; i++) {
        out->weight_bytes += p.list[i].t.bytes;
        add_cost(out, shape, &p.list[i].t);
    }
    free(p.list);
    return s;
}

/* Everything, to w, which it takes over. */
static enum status write_all(const struct synth_shape *shape, const struct recipe *recipe,
                             uint64_t seed, struct gguf_writer *w,
                             void (*progress)(void *, double, const char *), void *ctx,
                             struct err *err)
{
    struct plan p = {.s = shape};
    plan_all(&p);
    enum status s = plan_types(&p, recipe, err);
    if (s == OK) {
        put_metadata(w, shape, recipe);
        s = synth_put_vocab(shape, w, err);
    }
    if (s == OK) {
        for (size_t i = 0; i < p.n; i++) {
            const struct tensor *t = &p.list[i].t;
            gguf_put_tensor(w, t->name, t->type, t->n_dims, t->ne);
        }
        gguf_write_header(w);
        s = write_tensors(&p, seed, w, progress, ctx, err);
    }
    if (s == OK)
        s = gguf_writer_commit(w, err);
    else
        gguf_writer_abort(w);
    free(p.list);
    return s;
}

enum status synth_write(const struct synth_shape *shape, const char *out,
                        const struct recipe *recipe, uint64_t seed,
                        void (*progress)(void *ctx, double fraction, const char *tensor),
                        void *progress_ctx, struct err *err)
{
    struct gguf_writer *w;
    enum status s = gguf_writer_open(&w, out, err);
    return s == OK ? write_all(shape, recipe, seed, w, progress, progress_ctx, err) : s;
}

enum status synth_write_fd(const struct synth_shape *shape, int fd, const struct recipe *recipe,
                           uint64_t seed,
                           void (*progress)(void *ctx, double fraction, const char *tensor),
                           void *progress_ctx, struct err *err)
{
    struct gguf_writer *w;
    enum status s = gguf_writer_fd(&w, fd, shape->name, err);
    return s == OK ? write_all(shape, recipe, seed, w, progress, progress_ctx, err) : s;
}
