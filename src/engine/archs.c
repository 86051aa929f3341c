/* Finding architectures, and what shape formulas and derived hyperparameters come to.
 *
 * hparams_finish is the one gate between a file's numbers and everything that trusts them: past
 * it, all sizes are positive, bounded, and divide as the forward passes need. */
#include "engine/arch_int.h"
#include <math.h>

static const struct {
    const struct arch *rows;
    const size_t *n;
} families[] = {
    {arch_decoders, &n_arch_decoders},
    {arch_encoders, &n_arch_encoders},
};
enum { FAMILIES = sizeof families / sizeof *families };

size_t arch_count(void)
{
    size_t n = 0;
    for (int f = 0; f < FAMILIES; f++)
        n += *families[f].n;
    return n;
}

const struct arch *arch_at(size_t i)
{
    for (int f = 0; f < FAMILIES; i -= *families[f].n, f++)
        if (i < *families[f].n)
            return &families[f].rows[i];
    return NULL;
}

const struct arch *arch_by_gguf(struct str name)
{
    const struct arch *a;
    for (size_t i = 0; (a = arch_at(i)); i++)
        if (a->in_gguf && str_is(name, a->name))
            return a;
    return NULL;
}

const struct arch *arch_by_hf_type(struct str type)
{
    const struct arch *a;
    for (size_t i = 0; (a = arch_at(i)); i++)
        for (size_t k = 0; k < sizeof a->hf_types / sizeof *a->hf_types && a->hf_types[k]; k++)
            if (str_is(type, a->hf_types[k]))
                return a;
    return NULL;
}

int64_t dim_value(const struct hparams *hp, enum dim d)
{
    switch (d) {
    case D_NONE: return 0;
    case D_ONE: return 1;
    case D_TWO: return 2;
    case D_EMBD: return hp->n_embd;
    case D_VOCAB: return hp->n_vocab;
    case D_Q: return hp_q_dim(hp);
    case D_KV: return hp_kv_dim(hp);
    case D_QK: return hp_q_dim(hp) + hp_kv_dim(hp);
    case D_QKV: return hp_q_dim(hp) + 2 * hp_kv_dim(hp);
    case D_HEAD: return hp->head_dim;
    case D_FF: return hp->n_ff;
    case D_2FF: return 2 * hp->n_ff;
    case D_EXPERTS: return hp->n_experts;
    case D_POS: return hp->n_pos;
    case D_TYPES: return hp->n_types;
    case D_LABELS: return hp->n_labels;
    }
    return 0;
}

static bool in_range(double v, double lo, double hi)
{
    return v >= lo && v <= hi; /* false for NaN */
}

static enum status check_rope(struct rope_params *r, const struct hparams *hp, struct err *err)
{
    if (r->n_rot == 0)
        r->n_rot = hp->head_dim;
    if (r->n_rot < 2 || r->n_rot % 2 || r->n_rot > hp->head_dim)
        return err_set(err, EFORMAT,
                       "rope: %lld rotated dimensions, expected an even number up to "
                       "the head's %lld",
                       (long long)r->n_rot, (long long)hp->head_dim);
    if (!in_range(r->theta, 1e-3, 1e15))
        return err_set(err, EFORMAT, "rope: base %g, expected 0.001 to 1e15", r->theta);
    if (r->scaling == ROPE_PLAIN)
        return OK;
    if (r->n_ctx_orig == 0)
        r->n_ctx_orig = hp->n_ctx_train;
    if (r->n_ctx_orig < 1 || r->n_ctx_orig > INT32_MAX)
        return err_set(err, EFORMAT, "rope: original context length %lld, expected 1 to %d",
                       (long long)r->n_ctx_orig, INT32_MAX);
    if (r->scaling != ROPE_LONGROPE && !in_range(r->factor, 1e-3, 1e6))
        return err_set(err, EFORMAT, "rope: scaling factor %g, expected 0.001 to 1e6", r->factor);
    if (!isnan(r->attn_factor) && !in_range(r->attn_factor, 0, 1e3))
        return err_set(err, EFORMAT, "rope: attention factor %g, expected 0 to 1000",
                       r->attn_factor);
    if (r->scaling == ROPE_DYNAMIC && r->n_rot < 4)
        return err_set(err, EFORMAT, "rope: %lld rotated dimensions, dynamic scaling needs 4",
                       (long long)r->n_rot);
    if (r->scaling == ROPE_LLAMA3 &&
        !(in_range(r->low_freq_factor, 1e-6, 1e9) && in_range(r->high_freq_factor, 1e-6, 1e9) &&
          r->high_freq_factor > r->low_freq_factor))
        return err_set(
            err, EFORMAT,
            "rope: low and high frequency factors %g and %g, expected positive and rising",
            r->low_freq_factor, r->high_freq_factor);
    if (r->scaling == ROPE_YARN &&
        !(in_range(r->beta_fast, 1e-6, 1e9) && in_range(r->beta_slow, 1e-6, 1e9) &&
          in_range(r->mscale, -1e3, 1e3) && in_range(r->mscale_all_dim, -1e3, 1e3) && r->theta > 1))
        return err_set(err, EFORMAT,
                       "rope: YaRN with beta_fast %g, beta_slow %g, mscale %g, mscale_all_dim %g, "
                       "base %g: expected positive betas, finite scales and a base above 1",
                       r->beta_fast, r->beta_slow, r->mscale, r->mscale_all_dim, r->theta);
    if (r->scaling == ROPE_LONGROPE) {
        if (r->n_factors != r->n_rot / 2)
            return err_set(err, EFORMAT, "rope: %lld longrope factors, expected %lld",
                           (long long)r->n_factors, (long long)(r->n_rot / 2));
        for (int64_t i = 0; i < r->n_factors; i++)
            if (!in_range((double)r->short_factor[i], 1e-6, 1e9) ||
                !in_range((double)r->long_factor[i], 1e-6, 1e9))
                return err_set(err, EFORMAT,
                               "rope: longrope factors %g and %g at place %lld, expected positive",
                               (double)r->short_factor[i], (double)r->long_factor[i], (long long)i);
    }
    return OK;
}

enum status hparams_check_sizes(const struct hparams *hp, struct err *err)
{
    const struct {
        const char *what;
        int64_t v, lo, hi;
    } sizes[] = {
        {"vocabulary size", hp->n_vocab, 1, 1 << 24},
        {"number of layers", hp->n_layers, 1, HP_MAX_LAYERS},
        {"embedding length", hp->n_embd, 1, 1 << 20},
        {"number of heads", hp->n_heads, 1, 1 << 14},
        {"number of key-value heads", hp->n_kv_heads, 1, 1 << 14},
        {"head dimension", hp->head_dim, 1, HP_MAX_HEAD_DIM},
        {"feed-forward length", hp->n_ff, 1, 1 << 22},
        {"context length", hp->n_ctx_train, 1, INT32_MAX},
        {"sliding window", hp->window, 0, INT32_MAX},
        {"number of experts", hp->n_experts, 0, HP_MAX_EXPERTS},
        {"number of used experts", hp->n_experts_used, 0, hp->n_experts},
        {"number of positions", hp->n_pos, 0, 1 << 24},
        {"number of token types", hp->n_types, 0, 1 << 16},
        {"number of labels", hp->n_labels, 0, 1 << 20},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (sizes[i].v < sizes[i].lo || sizes[i].v > sizes[i].hi)
            return err_set(err, EFORMAT, "%s %lld, expected %lld to %lld", sizes[i].what,
                           (long long)sizes[i].v, (long long)sizes[i].lo, (long long)sizes[i].hi);
    if (hp->n_heads % hp->n_kv_heads)
        return err_set(err, EFORMAT, "%lld heads for %lld key-value heads, expected a multiple",
                       (long long)hp->n_heads, (long long)hp->n_kv_heads);
    if ((hp->features & F_MOE) && (hp->n_experts < 1 || hp->n_experts_used < 1))
        return err_set(err, EFORMAT, "%lld of %lld experts used, expected at least 1",
                       (long long)hp->n_experts_used, (long long)hp->n_experts);
    return OK;
}

enum status hparams_finish(struct hparams *hp, struct err *err)
{
    enum status s = hparams_check_sizes(hp, err);
    if (s != OK)
        return s;
    if (!in_range(hp->norm_eps, 0, 1))
        return err_set(err, EFORMAT, "norm epsilon %g, expected 0 to 1", hp->norm_eps);
    if (hp->attn_scale == 0)
        hp->attn_scale = (float)(1 / sqrt((double)hp->head_dim));
    const struct {
        const char *what;
        float v;
    } floats[] = {{"attention scale", hp->attn_scale},
                  {"embedding scale", hp->embd_scale},
                  {"attention soft cap", hp->attn_softcap},
                  {"logit soft cap", hp->logit_softcap}};
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++)
        if (!in_range((double)floats[i].v, 0, 1e6))
            return err_set(err, EFORMAT, "%s %g, expected 0 to 1e6", floats[i].what,
                           (double)floats[i].v);
    if (hp->arch->kind == MODEL_ENCODER)
        return OK;
    for (int i = 0; i < hp->n_ropes; i++)
        if ((s = check_rope(&hp->rope[i], hp, err)) != OK)
            return s;
    for (int64_t l = 0; l < hp->n_layers && hp->window == 0; l++)
        hp->layer[l] &= (uint8_t)~LAYER_WINDOW;
    return OK;
}

void hparams_init(struct hparams *hp, const struct arch *a)
{
    *hp = (struct hparams){
        .arch = a,
        .features = a->features,
        .norm_topk = true,
        .norm_eps = a->norm_eps,
        .act = a->act,
        .n_ropes = 1,
        .embd_scale = 1,
        .attn_softcap = a->attn_softcap,
        .logit_softcap = a->logit_softcap,
        .window = a->default_window,
    };
    for (int i = 0; i < ROPE_KINDS; i++)
        hp->rope[i] = (struct rope_params){
            .theta = 10000,
            .factor = 1,
            .attn_factor = (double)NAN,
            .low_freq_factor = 1,
            .high_freq_factor = 4,
            .beta_fast = 32,
            .beta_slow = 1,
            .truncate = true,
        };
}

void hparams_default_layers(struct hparams *hp, int64_t first_window)
{
    enum window_layers kind = hp->arch->window;
    for (int64_t l = 0; l < hp->n_layers && l < HP_MAX_LAYERS; l++) {
        bool nope = hp->arch->nope_every && (l + 1) % hp->arch->nope_every == 0;
        bool window = kind == WINDOW_LATER  ? l >= first_window
                      : kind == WINDOW_EVEN ? l % 2 == 0
                      : kind == WINDOW_NOPE ? nope
                                            : kind != WINDOW_NONE;
        hp->layer[l] = (uint8_t)((window ? LAYER_WINDOW : 0) | (nope ? LAYER_NOPE : 0));
    }
}
