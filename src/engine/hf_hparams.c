/* Hyperparameters as GGUF metadata, under the keys that llama.cpp's converter uses. */
#include "engine/hf_int.h"
#include <math.h>
#include <stdio.h>

struct putter {
    struct gguf_writer *w;
    const char *arch;
};

static void put_u32(const struct putter *p, const char *key, int64_t v)
{
    char name[96];
    snprintf(name, sizeof name, "%s.%s", p->arch, key);
    gguf_put_u32(p->w, name, (uint32_t)v);
}

static void put_f32(const struct putter *p, const char *key, double v)
{
    char name[96];
    snprintf(name, sizeof name, "%s.%s", p->arch, key);
    gguf_put_f32(p->w, name, (float)v);
}

static void put_str(const struct putter *p, const char *key, const char *v)
{
    char name[96];
    snprintf(name, sizeof name, "%s.%s", p->arch, key);
    gguf_put_str(p->w, name, str_from(v));
}

const struct arch *hf_gguf_arch(const struct arch *a)
{
    if (a->in_gguf)
        return a;
    return arch_by_gguf(a->kind == MODEL_ENCODER ? STR("bert") : STR("llama"));
}

static void put_sizes(const struct putter *p, const struct hparams *hp)
{
    put_u32(p, "block_count", hp->n_layers);
    put_u32(p, "context_length", hp->n_ctx_train);
    put_u32(p, "embedding_length", hp->n_embd);
    put_u32(p, "feed_forward_length", hp->n_ff);
    put_u32(p, "attention.head_count", hp->n_heads);
    put_u32(p, "vocab_size", hp->n_vocab);
    if (hp->arch->norm == NORM_RMS)
        put_f32(p, "attention.layer_norm_rms_epsilon", hp->norm_eps);
    else
        put_f32(p, "attention.layer_norm_epsilon", hp->norm_eps);
    if (hp->arch->kind == MODEL_ENCODER) {
        char name[96];
        snprintf(name, sizeof name, "%s.attention.causal", p->arch);
        gguf_put_bool(p->w, name, false);
        return;
    }
    put_u32(p, "attention.head_count_kv", hp->n_kv_heads);
    put_u32(p, "attention.key_length", hp->head_dim);
    put_u32(p, "attention.value_length", hp->head_dim);
    if (hp->n_experts) {
        put_u32(p, "expert_count", hp->n_experts);
        put_u32(p, "expert_used_count", hp->n_experts_used);
    }
    if (hp->window)
        put_u32(p, "attention.sliding_window", hp->window);
    if (hp->attn_softcap != 0)
        put_f32(p, "attn_logit_softcapping", (double)hp->attn_softcap);
    if (hp->logit_softcap != 0)
        put_f32(p, "final_logit_softcapping", (double)hp->logit_softcap);
}

/* longrope's factor on cos and sin, where the file does not give one. */
static double longrope_attn_factor(const struct hparams *hp, const struct rope_params *r)
{
    double stretch = (double)hp->n_ctx_train / (double)r->n_ctx_orig;
    if (!isnan(r->attn_factor))
        return r->attn_factor;
    return stretch <= 1 ? 1 : sqrt(1 + log(stretch) / log((double)r->n_ctx_orig));
}

static enum status put_rope(const struct putter *p, const struct hparams *hp, struct err *err)
{
    const struct rope_params *r = &hp->rope[0];
    put_u32(p, "rope.dimension_count", r->n_rot);
    put_f32(p, "rope.freq_base", r->theta);
    switch (r->scaling) {
    case ROPE_PLAIN:
    case ROPE_LLAMA3: return OK; /* the latter as rope_freqs.weight */
    case ROPE_LINEAR:
        put_str(p, "rope.scaling.type", "linear");
        put_f32(p, "rope.scaling.factor", r->factor);
        return OK;
    case ROPE_YARN:
        put_str(p, "rope.scaling.type", "yarn");
        put_f32(p, "rope.scaling.factor", r->factor);
        put_u32(p, "rope.scaling.original_context_length", r->n_ctx_orig);
        put_f32(p, "rope.scaling.yarn_beta_fast", r->beta_fast);
        put_f32(p, "rope.scaling.yarn_beta_slow", r->beta_slow);
        if (!isnan(r->attn_factor)) /* GGUF's multiplies the usual one */
            put_f32(p, "rope.scaling.attn_factor", r->attn_factor / (0.1 * log(r->factor) + 1));
        return OK;
    case ROPE_LONGROPE:
        put_u32(p, "rope.scaling.original_context_length", r->n_ctx_orig);
        put_f32(p, "rope.scaling.attn_factor", longrope_attn_factor(hp, r));
        return OK;
    case ROPE_DYNAMIC: break;
    }
    return err_set(err, EUNSUPPORTED,
                   "dynamic RoPE scaling: GGUF has no form for it; run the folder as it is");
}

/* What the readers of GGUF will assume about layers must be what the folder says. */
static enum status check_layers(const struct hparams *hp, struct err *err)
{
    const struct arch *a = hp->arch;
    bool window_known =
        a->window == WINDOW_GGUF || a->window == WINDOW_ALL || a->window == WINDOW_EVEN;
    if (hp->window && !window_known)
        return err_set(err, EUNSUPPORTED,
                       "a sliding window of %lld on some layers: GGUF has no form for it",
                       (long long)hp->window);
    for (int64_t l = 0; l < hp->n_layers; l++) {
        bool nope = a->nope_every && (l + 1) % a->nope_every == 0;
        bool window = hp->window && (a->window != WINDOW_EVEN || l % 2 == 0);
        if (nope != ((hp->layer[l] & LAYER_NOPE) != 0) ||
            window != ((hp->layer[l] & LAYER_WINDOW) != 0))
            return err_set(err, EUNSUPPORTED,
                           "layer %lld breaks the architecture's pattern of windows and RoPE: "
                           "GGUF has no form for it",
                           (long long)l);
    }
    if (hp->n_ropes > 1)
        return err_set(err, EUNSUPPORTED, "two kinds of RoPE: GGUF has no form for it");
    return OK;
}

enum status hf_put_hparams(const struct model *m, struct gguf_writer *w, struct err *err)
{
    const struct hparams *hp = &m->hp;
    const struct putter p = {w, hf_gguf_arch(hp->arch)->name};
    enum status s = hp->arch->kind == MODEL_DECODER ? check_layers(hp, err) : OK;
    if (s != OK)
        return s;
    gguf_put_str(w, "general.architecture", str_from(p.arch));
    gguf_put_str(w, "general.type", STR("model"));
    gguf_put_str(w, "general.name", m->info.name);
    put_sizes(&p, hp);
    if (hp->arch->kind == MODEL_ENCODER)
        gguf_put_u32(w, "tokenizer.ggml.token_type_count",
                     m->mat[G_TYPE_EMBD].data ? (uint32_t)hp->n_types : 1);
    if (m->labels && hp->n_labels && strstr(hp->hf_class, "Classification")) {
        char name[96];
        snprintf(name, sizeof name, "%s.classifier.output_labels", p.arch);
        gguf_put_strs(w, name, m->labels, (size_t)hp->n_labels);
    }
    return hp->arch->kind == MODEL_DECODER ? put_rope(&p, hp, err) : OK;
}
