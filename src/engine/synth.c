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

/* Sizes as published with each model (its config.json). */
const struct synth_shape synth_shapes[] = {
    {.name = "tinyllama-1.1b",
     .arch = "llama",
     .layers = 22,
     .embd = 2048,
     .ff = 5632,
     .heads = 32,
     .kv_heads = 4,
     .head_dim = 64,
     .vocab = 32000,
     .ctx = 2048,
     .rope_base = 1e4f,
     .eps = 1e-5f,
     .tokens = SYNTH_SPM},
    {.name = "llama3.2-1b",
     .arch = "llama",
     .layers = 16,
     .embd = 2048,
     .ff = 8192,
     .heads = 32,
     .kv_heads = 8,
     .head_dim = 64,
     .vocab = 128256,
     .ctx = 131072,
     .rope_base = 5e5f,
     .eps = 1e-5f,
     .tokens = SYNTH_LLAMA3,
     .flags = SYNTH_TIED,
     .rope_factor = 32},
    {.name = "llama3.2-3b",
     .arch = "llama",
     .layers = 28,
     .embd = 3072,
     .ff = 8192,
     .heads = 24,
     .kv_heads = 8,
     .head_dim = 128,
     .vocab = 128256,
     .ctx = 131072,
     .rope_base = 5e5f,
     .eps = 1e-5f,
     .tokens = SYNTH_LLAMA3,
     .flags = SYNTH_TIED,
     .rope_factor = 32},
    {.name = "llama3.1-8b",
     .arch = "llama",
     .layers = 32,
     .embd = 4096,
     .ff = 14336,
     .heads = 32,
     .kv_heads = 8,
     .head_dim = 128,
     .vocab = 128256,
     .ctx = 131072,
     .rope_base = 5e5f,
     .eps = 1e-5f,
     .tokens = SYNTH_LLAMA3,
     .rope_factor = 8},
    {.name = "mistral-7b",
     .arch = "llama",
     .layers = 32,
     .embd = 4096,
     .ff = 14336,
     .heads = 32,
     .kv_heads = 8,
     .head_dim = 128,
     .vocab = 32768,
     .ctx = 32768,
     .rope_base = 1e6f,
     .eps = 1e-5f,
     .tokens = SYNTH_SPM},
    {.name = "codellama-7b",
     .arch = "llama",
     .layers = 32,
     .embd = 4096,
     .ff = 11008,
     .heads = 32,
     .kv_heads = 32,
     .head_dim = 128,
     .vocab = 32016,
     .ctx = 16384,
     .rope_base = 1e6f,
     .eps = 1e-5f,
     .tokens = SYNTH_SPM},
    {.name = "mixtral-8x7b",
     .arch = "llama",
     .layers = 32,
     .embd = 4096,
     .ff = 14336,
     .heads = 32,
     .kv_heads = 8,
     .head_dim = 128,
     .vocab = 32000,
     .ctx = 32768,
     .rope_base = 1e6f,
     .eps = 1e-5f,
     .tokens = SYNTH_SPM,
     .experts = 8,
     .used = 2},
    {.name = "qwen2-7b",
     .arch = "qwen2",
     .layers = 28,
     .embd = 3584,
     .ff = 18944,
     .heads = 28,
     .kv_heads = 4,
     .head_dim = 128,
     .vocab = 152064,
     .ctx = 131072,
     .rope_base = 1e6f,
     .eps = 1e-6f,
     .tokens = SYNTH_QWEN2,
     .flags = SYNTH_QKV_BIAS},
    {.name = "qwen2.5-0.5b",
     .arch = "qwen2",
     .layers = 24,
     .embd = 896,
     .ff = 4864,
     .heads = 14,
     .kv_heads = 2,
     .head_dim = 64,
     .vocab = 151936,
     .ctx = 32768,
     .rope_base = 1e6f,
     .eps = 1e-6f,
     .tokens = SYNTH_QWEN2,
     .flags = SYNTH_QKV_BIAS | SYNTH_TIED},
    {.name = "qwen3-0.6b",
     .arch = "qwen3",
     .layers = 28,
     .embd = 1024,
     .ff = 3072,
     .heads = 16,
     .kv_heads = 8,
     .head_dim = 128,
     .vocab = 151936,
     .ctx = 40960,
     .rope_base = 1e6f,
     .eps = 1e-6f,
     .tokens = SYNTH_QWEN2,
     .flags = SYNTH_QK_NORM | SYNTH_TIED},
    {.name = "qwen3-8b",
     .arch = "qwen3",
     .layers = 36,
     .embd = 4096,
     .ff = 12288,
     .heads = 32,
     .kv_heads = 8,
     .head_dim = 128,
     .vocab = 151936,
     .ctx = 40960,
     .rope_base = 1e6f,
     .eps = 1e-6f,
     .tokens = SYNTH_QWEN2,
     .flags = SYNTH_QK_NORM},
    {.name = "phi3-mini",
     .arch = "phi3",
     .layers = 32,
     .embd = 3072,
     .ff = 8192,
     .heads = 32,
     .kv_heads = 32,
     .head_dim = 96,
     .vocab = 32064,
     .ctx = 4096,
     .rope_base = 1e4f,
     .eps = 1e-5f,
     .tokens = SYNTH_SPM,
     .flags = SYNTH_FUSED,
     .window = 2047},
    {.name = "gemma2-2b",
     .arch = "gemma2",
     .layers = 26,
     .embd = 2304,
     .ff = 9216,
     .heads = 8,
     .kv_heads = 4,
     .head_dim = 256,
     .vocab = 256000,
     .ctx = 8192,
     .rope_base = 1e4f,
     .eps = 1e-6f,
     .tokens = SYNTH_GEMMA,
     .flags = SYNTH_TIED | SYNTH_POST_NORMS,
     .window = 4096},
    {.name = "smollm3-3b",
     .arch = "smollm3",
     .layers = 36,
     .embd = 2048,
     .ff = 11008,
     .heads = 16,
     .kv_heads = 4,
     .head_dim = 128,
     .vocab = 128256,
     .ctx = 65536,
     .rope_base = 5e6f,
     .eps = 1e-6f,
     .tokens = SYNTH_SMOLLM3,
     .flags = SYNTH_TIED},
    {.name = NULL},
};

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
    put_u32(w, s, "attention.key_length", s->head_dim);
    put_u32(w, s, "attention.value_length", s->head_dim);
    put_u32(w, s, "rope.dimension_count", s->head_dim);
    put_f32(w, s, "rope.freq_base", s->rope_base);
    put_f32(w, s, "attention.layer_norm_rms_epsilon", s->eps);
    put_u32(w, s, "vocab_size", s->vocab);
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

enum status synth_find(const char *name, const struct synth_shape **out, struct err *err)
{
    struct buf names;
    *out = NULL;
    for (const struct synth_shape *s = synth_shapes; s->name; s++)
        if (strcmp(s->name, name) == 0) {
            *out = s;
            return OK;
        }
    buf_init(&names, 4096);
    for (const struct synth_shape *s = synth_shapes; s->name; s++)
        buf_printf(&names, " %s", s->name);
    err_set(err, ENOTFOUND, "no shape '%.40s', expected one of%s", name, names.p ? names.p : "");
    buf_release(&names);
    return ENOTFOUND;
}
