/* Hyperparameters from GGUF metadata. Keys: the GGUF specification's "[arch].*" lists and what
 * llama.cpp's converter writes for each architecture. */
#include "engine/arch_int.h"
#include "format/gguf.h"
#include <math.h>
#include <stdio.h>

/* Keeps the first error, so that a list of keys reads as a list. */
struct reader {
    const struct gguf *g;
    const char *arch;
    enum status s;
    struct err *err;
    char key[96];
};

static const char *key_of(struct reader *r, const char *name)
{
    snprintf(r->key, sizeof r->key, "%s.%s", r->arch, name);
    return r->key;
}

static int64_t get_int(struct reader *r, const char *name, int64_t absent)
{
    int64_t v = absent;
    if (r->s == OK)
        r->s = gguf_get_int(r->g, key_of(r, name), &v, absent, r->err);
    return v;
}

static int64_t need_int(struct reader *r, const char *name)
{
    if (r->s == OK && !gguf_find(r->g, key_of(r, name)))
        r->s = err_set(r->err, EFORMAT, "metadata key '%s' is missing", r->key);
    return get_int(r, name, 0);
}

static double get_num(struct reader *r, const char *name, double absent)
{
    double v = absent;
    if (r->s == OK)
        r->s = gguf_get_float(r->g, key_of(r, name), &v, absent, r->err);
    return v;
}

static struct str get_str(struct reader *r, const char *name)
{
    struct str v = {0};
    if (r->s == OK)
        r->s = gguf_get_str(r->g, key_of(r, name), &v, r->err);
    return v;
}

/* A small float32 tensor such as rope_freqs.weight: n_rot / 2 divisors. false: absent. */
static bool get_factors(struct reader *r, const char *name, int64_t n, float *out)
{
    const struct tensor *t = gguf_tensor(r->g, str_from(name));
    if (!t || r->s != OK)
        return false;
    if (t->type != QT_F32 || tensor_elems(t) != n)
        r->s = err_set(r->err, EFORMAT, "tensor '%s': %lld values of type %s, expected %lld of f32",
                       name, (long long)tensor_elems(t), qtype_info(t->type)->name, (long long)n);
    else
        memcpy(out, t->data, (size_t)n * sizeof *out);
    for (int64_t i = 0; i < n && r->s == OK; i++)
        if (!(out[i] >= 1e-6f && out[i] <= 1e9f))
            r->s =
                err_set(r->err, EFORMAT, "tensor '%s': factor %g at place %lld, expected positive",
                        name, (double)out[i], (long long)i);
    return r->s == OK;
}

static void read_rope(struct reader *r, struct hparams *hp)
{
    struct rope_params *p = &hp->rope[0];
    p->n_rot = get_int(r, "rope.dimension_count", hp->head_dim);
    p->theta = get_num(r, "rope.freq_base", p->theta);
    struct str type = get_str(r, "rope.scaling.type");
    p->factor = get_num(r, "rope.scaling.factor", get_num(r, "rope.scale_linear", 1));
    p->n_ctx_orig = get_int(r, "rope.scaling.original_context_length", hp->n_ctx_train);
    p->attn_factor = get_num(r, "rope.scaling.attn_factor", (double)NAN);
    if (r->s != OK)
        return;
    /* check_rope repeats this; here it bounds the reads below */
    if (p->n_rot < 2 || p->n_rot > HP_MAX_HEAD_DIM) {
        r->s = err_set(r->err, EFORMAT, "'%s.rope.dimension_count' is %lld, expected 2 to %d",
                       r->arch, (long long)p->n_rot, HP_MAX_HEAD_DIM);
        return;
    }
    if (get_factors(r, "rope_factors_long.weight", p->n_rot / 2, p->long_factor)) {
        p->scaling = ROPE_LONGROPE;
        p->n_factors = p->n_rot / 2;
        if (!get_factors(r, "rope_factors_short.weight", p->n_rot / 2, p->short_factor) &&
            r->s == OK)
            r->s = err_set(r->err, EFORMAT,
                           "tensor 'rope_factors_short.weight' is missing beside "
                           "'rope_factors_long.weight'");
        if (isnan(p->attn_factor))
            p->attn_factor = 1; /* llama.cpp's converter computes and stores it */
        return;
    }
    p->has_divisors = get_factors(r, "rope_freqs.weight", p->n_rot / 2, p->divisor);
    if (type.n == 0 ? p->factor != 1 : str_is(type, "linear")) {
        p->scaling = ROPE_LINEAR;
        p->attn_factor = isnan(p->attn_factor) ? 1 : p->attn_factor;
    } else if (str_is(type, "yarn")) {
        p->scaling = ROPE_YARN;
        p->beta_fast = get_num(r, "rope.scaling.yarn_beta_fast", p->beta_fast);
        p->beta_slow = get_num(r, "rope.scaling.yarn_beta_slow", p->beta_slow);
        /* GGUF's factor multiplies YaRN's own 0.1 ln(s) + 1, config.json's replaces it */
        if (!isnan(p->attn_factor) && p->factor > 1)
            p->attn_factor *= 0.1 * log(p->factor) + 1;
    } else if (type.n && !str_is(type, "none") && !str_is(type, "longrope")) {
        r->s = err_set(r->err, EUNSUPPORTED,
                       "'%s.rope.scaling.type' is '%.*s', expected none, linear, yarn or longrope",
                       r->arch, STR_ARG(type));
    }
}

static void read_window(struct reader *r, struct hparams *hp)
{
    hp->window = get_int(r, "attention.sliding_window", hp->window);
    /* converters of the other families store no layer pattern, and their engines use no window */
    if (hp->arch->window != WINDOW_GGUF && hp->arch->window != WINDOW_ALL &&
        hp->arch->window != WINDOW_EVEN)
        hp->window = 0;
    hparams_default_layers(hp, 0);
}

static void read_sizes(struct reader *r, struct hparams *hp)
{
    const struct tensor *embd = gguf_tensor(r->g, STR("token_embd.weight"));
    hp->n_vocab = get_int(r, "vocab_size", 0);
    if (embd) /* the matrix decides: some converters count only the tokenizer's entries */
        hp->n_vocab = embd->ne[1];
    if (hp->n_vocab == 0) {
        const struct gguf_kv *tokens = gguf_find(r->g, "tokenizer.ggml.tokens");
        hp->n_vocab = tokens && tokens->type == GGUF_ARRAY ? (int64_t)tokens->n : 0;
    }
    hp->n_layers = need_int(r, "block_count");
    hp->n_embd = need_int(r, "embedding_length");
    hp->n_ff = need_int(r, "feed_forward_length");
    hp->n_ctx_train = need_int(r, "context_length");
    hp->n_heads = need_int(r, "attention.head_count");
    hp->n_kv_heads = get_int(r, "attention.head_count_kv", hp->n_heads);
    hp->n_experts = get_int(r, "expert_count", 0);
    hp->n_experts_used = get_int(r, "expert_used_count", 0);
    if (hp->n_experts > 0)
        hp->features |= F_MOE;
    int64_t head_dim = hp->n_heads > 0 ? hp->n_embd / hp->n_heads : 0;
    hp->head_dim = get_int(r, "attention.key_length", head_dim);
    int64_t v_dim = get_int(r, "attention.value_length", hp->head_dim);
    if (r->s == OK && v_dim != hp->head_dim)
        r->s = err_set(r->err, EUNSUPPORTED,
                       "'%s.attention.value_length' is %lld, expected the key length %lld", r->arch,
                       (long long)v_dim, (long long)hp->head_dim);
    if (r->s == OK && !gguf_find(r->g, key_of(r, "attention.key_length")) && hp->n_heads > 0 &&
        hp->n_embd % hp->n_heads)
        r->s = err_set(r->err, EFORMAT,
                       "'%s.embedding_length' is %lld, expected a multiple of the %lld heads",
                       r->arch, (long long)hp->n_embd, (long long)hp->n_heads);
    if (r->s == OK)
        r->s = hparams_check_sizes(hp, r->err);
}

/* Rows of a matrix, where no key holds its size; 0 when it is absent. */
static int64_t rows_of(const struct reader *r, const char *tensor)
{
    const struct tensor *t = gguf_tensor(r->g, str_from(tensor));
    return t ? t->ne[1] : 0;
}

static void read_encoder(struct reader *r, struct hparams *hp)
{
    hp->n_pos = hp->n_ctx_train;
    hp->n_types = rows_of(r, "token_types.weight");
    hp->n_labels = rows_of(r, "cls.output.weight");
}

/* A decoder's tokens see those before them, an encoder's all. */
static void check_causal(struct reader *r, bool expected)
{
    bool causal = expected;
    if (r->s == OK)
        r->s = gguf_get_bool(r->g, key_of(r, "attention.causal"), &causal, expected, r->err);
    if (r->s == OK && causal != expected)
        r->s = err_set(r->err, EUNSUPPORTED, "'%s' is %s, expected %s", r->key,
                       causal ? "true" : "false",
                       expected ? "a decoder whose tokens see only those before them"
                                : "an encoder that looks both ways");
}

enum status hparams_from_gguf(struct hparams *hp, const struct gguf *g, struct err *err)
{
    struct str name = {0};
    enum status s = gguf_get_str(g, "general.architecture", &name, err);
    if (s != OK)
        return s;
    const struct arch *a = arch_by_gguf(name);
    if (!a)
        return err_set(err, EUNSUPPORTED, "architecture '%.*s' is not one of those that are known",
                       (int)(name.n < 64 ? name.n : 64), name.p ? name.p : "");
    hparams_init(hp, a);
    struct reader r = {.g = g, .arch = a->name, .s = OK, .err = err};
    read_sizes(&r, hp);
    hp->pairing = a->gguf_pairing;
    hp->norm_eps = get_num(&r,
                           a->norm == NORM_RMS ? "attention.layer_norm_rms_epsilon"
                                               : "attention.layer_norm_epsilon",
                           hp->norm_eps);
    hp->attn_softcap = (float)get_num(&r, "attn_logit_softcapping", (double)hp->attn_softcap);
    hp->logit_softcap = (float)get_num(&r, "final_logit_softcapping", (double)hp->logit_softcap);
    hp->attn_scale = (float)get_num(&r, "attention.scale", 0);
    if (a->embd_times_sqrt && hp->n_embd > 0)
        hp->embd_scale = (float)sqrt((double)hp->n_embd);
    if (a->attn_scale_27b && hp->n_layers == 46 && hp->n_heads > 0 && hp->n_embd > 0)
        hp->attn_scale = (float)(1 / sqrt((double)hp->n_embd / (double)hp->n_heads));
    if (!gguf_tensor(g, STR("output.weight")))
        hp->features |= F_TIED;
    read_window(&r, hp);
    hp->pooling = get_int(&r, "pooling_type", 0);
    check_causal(&r, a->kind == MODEL_DECODER);
    if (a->kind == MODEL_DECODER)
        read_rope(&r, hp);
    else
        read_encoder(&r, hp);
    return r.s == OK ? hparams_finish(hp, err) : r.s;
}
