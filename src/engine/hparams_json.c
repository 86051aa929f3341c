/* Hyperparameters from config.json, in the keys of 2024's checkpoints (rope_theta, rope_scaling,
 * torch_dtype) and those of transformers 5 (rope_parameters, one for all layers or one per layer
 * type; dtype; layer_types). Where a key is absent the reference implementation's default holds,
 * from the architecture's row; keys that change the arithmetic and are not known are refused. */
#include "base/json.h"
#include "engine/arch_int.h"
#include <math.h>

/* Keeps the first error, so that a list of keys reads as a list. */
struct reader {
    const json_t *root;
    enum status s;
    struct err *err;
};

static int64_t get_int(struct reader *r, const json_t *o, const char *key, int64_t absent)
{
    int64_t v = absent;
    if (r->s == OK)
        r->s = json_get_int(o, key, &v, absent, r->err);
    return v;
}

static double get_num(struct reader *r, const json_t *o, const char *key, double absent)
{
    double v = absent;
    if (r->s == OK)
        r->s = json_get_num(o, key, &v, absent, r->err);
    return v;
}

static bool get_bool(struct reader *r, const char *key, bool absent)
{
    bool v = absent;
    if (r->s == OK)
        r->s = json_get_bool(r->root, key, &v, absent, r->err);
    return v;
}

static struct str get_str(struct reader *r, const json_t *o, const char *key)
{
    struct str v = {0};
    if (r->s == OK)
        r->s = json_get_str(o, key, &v, r->err);
    return v;
}

/* An integer that must be there, under one of two names (DistilBERT has its own). */
static int64_t need_int(struct reader *r, const char *key, const char *alt)
{
    if (alt && !json_object_get(r->root, key))
        key = json_object_get(r->root, alt) ? alt : key;
    const json_t *v = json_object_get(r->root, key);
    if (r->s == OK && (!v || json_is_null(v)))
        r->s = err_set(r->err, EFORMAT, "field '%s' is missing", key);
    return get_int(r, r->root, key, 0);
}

static bool is_null(const struct reader *r, const char *key)
{
    return json_is_null(json_object_get(r->root, key));
}

static const struct {
    const char *name;
    enum act_kind act;
} activations[] = {
    {"silu", ACT_SILU},          {"swish", ACT_SILU},
    {"gelu", ACT_GELU_ERF},      {"gelu_pytorch_tanh", ACT_GELU_TANH},
    {"gelu_new", ACT_GELU_TANH}, {"gelu_fast", ACT_GELU_TANH},
};

static void read_activation(struct reader *r, struct hparams *hp)
{
    static const char *const keys[] = {"hidden_activation", "hidden_act", "activation"};
    struct str name = {0};
    for (size_t i = 0; i < 3 && !name.p; i++)
        name = get_str(r, r->root, keys[i]);
    if (r->s != OK || !name.p)
        return;
    for (size_t i = 0; i < sizeof activations / sizeof *activations; i++)
        if (str_is(name, activations[i].name)) {
            hp->act = activations[i].act;
            return;
        }
    r->s = err_set(r->err, EUNSUPPORTED,
                   "activation '%.*s', expected silu, gelu, gelu_new or gelu_pytorch_tanh",
                   (int)(name.n < 64 ? name.n : 64), name.p);
}

static const struct {
    const char *name;
    enum rope_scaling scaling;
} rope_types[] = {
    {"default", ROPE_PLAIN}, {"linear", ROPE_LINEAR}, {"dynamic", ROPE_DYNAMIC},
    {"yarn", ROPE_YARN},     {"llama3", ROPE_LLAMA3}, {"longrope", ROPE_LONGROPE},
    {"su", ROPE_LONGROPE}, /* Phi-3's first name for it */
};

static int64_t get_factors(struct reader *r, const json_t *o, const char *key, float *out)
{
    const json_t *a = json_object_get(o, key);
    size_t n = json_array_size(a);
    if (r->s == OK && (n < 1 || n > HP_MAX_HEAD_DIM / 2))
        r->s = err_set(r->err, EFORMAT, "field '%s': %zu numbers, expected an array of 1 to %d",
                       key, n, HP_MAX_HEAD_DIM / 2);
    for (size_t i = 0; i < n && r->s == OK; i++) {
        const json_t *v = json_array_get(a, i);
        if (!json_is_number(v))
            r->s = err_set(r->err, EFORMAT, "field '%s': element %zu is not a number", key, i);
        else
            out[i] = (float)json_number_value(v);
    }
    return (int64_t)n;
}

/* o: the RoPE object of all layers or of one layer type; NULL: plain RoPE by the top-level keys. */
static void read_rope(struct reader *r, struct hparams *hp, const json_t *o, struct rope_params *p)
{
    p->theta = get_num(r, r->root, "rope_theta", hp->arch->hf_theta ? hp->arch->hf_theta : 10000);
    p->theta = get_num(r, o, "rope_theta", p->theta);
    double partial = get_num(r, r->root, "partial_rotary_factor", 1);
    partial = get_num(r, o, "partial_rotary_factor", partial);
    if (r->s == OK && !(partial > 0 && partial <= 1))
        r->s = err_set(r->err, EFORMAT,
                       "field 'partial_rotary_factor' is %g, expected above 0 and "
                       "at most 1",
                       partial);
    if (r->s != OK)
        return;
    p->n_rot = (int64_t)((double)hp->head_dim * partial);
    struct str type = get_str(r, o, "rope_type");
    if (!type.p)
        type = get_str(r, o, "type");
    if (!type.p)
        return;
    size_t i = 0, n = sizeof rope_types / sizeof *rope_types;
    while (i < n && !str_is(type, rope_types[i].name))
        i++;
    if (i == n) {
        r->s = err_set(r->err, EUNSUPPORTED,
                       "RoPE type '%.*s', expected default, linear, dynamic, yarn, llama3 or "
                       "longrope",
                       (int)(type.n < 64 ? type.n : 64), type.p);
        return;
    }
    p->scaling = rope_types[i].scaling;
    /* the top-level key comes first, as Phi-3 has it; dynamic scaling knows only the trained one */
    p->n_ctx_orig = get_int(r, o, "original_max_position_embeddings", hp->n_ctx_train);
    p->n_ctx_orig = get_int(r, r->root, "original_max_position_embeddings", p->n_ctx_orig);
    if (p->scaling == ROPE_DYNAMIC)
        p->n_ctx_orig = hp->n_ctx_train;
    double implied = p->n_ctx_orig > 0 ? (double)hp->n_ctx_train / (double)p->n_ctx_orig : 0;
    p->factor = get_num(r, o, "factor", implied);
    p->attn_factor = get_num(r, o, "attention_factor", (double)NAN);
    if (p->scaling == ROPE_LLAMA3) {
        p->low_freq_factor = get_num(r, o, "low_freq_factor", p->low_freq_factor);
        p->high_freq_factor = get_num(r, o, "high_freq_factor", p->high_freq_factor);
    } else if (p->scaling == ROPE_YARN) {
        p->beta_fast = get_num(r, o, "beta_fast", p->beta_fast);
        p->beta_slow = get_num(r, o, "beta_slow", p->beta_slow);
        p->mscale = get_num(r, o, "mscale", 0);
        p->mscale_all_dim = get_num(r, o, "mscale_all_dim", 0);
        if (r->s == OK)
            r->s = json_get_bool(o, "truncate", &p->truncate, true, r->err);
    } else if (p->scaling == ROPE_LONGROPE) {
        p->n_factors = get_factors(r, o, "short_factor", p->short_factor);
        int64_t n_long = get_factors(r, o, "long_factor", p->long_factor);
        if (r->s == OK && n_long != p->n_factors)
            r->s = err_set(r->err, EFORMAT,
                           "field 'long_factor': %lld numbers, expected %lld as in 'short_factor'",
                           (long long)n_long, (long long)p->n_factors);
    }
}

static void read_ropes(struct reader *r, struct hparams *hp)
{
    const json_t *o = json_object_get(r->root, "rope_parameters");
    if (!o || json_is_null(o))
        o = json_object_get(r->root, "rope_scaling");
    if (o && !json_is_null(o) && !json_is_object(o) && r->s == OK)
        r->s = err_set(r->err, EFORMAT, "field 'rope_parameters' or 'rope_scaling' is no object");
    const json_t *full = json_object_get(o, "full_attention");
    const json_t *sliding = json_object_get(o, "sliding_attention");
    if (json_is_object(full) || json_is_object(sliding)) {
        hp->n_ropes = 2;
        read_rope(r, hp, full, &hp->rope[ROPE_OF_FULL]);
        read_rope(r, hp, sliding, &hp->rope[ROPE_OF_WINDOW]);
    } else {
        read_rope(r, hp, json_is_object(o) ? o : NULL, &hp->rope[0]);
    }
}

/* layer_types, where the architecture looks at it. */
static void read_layer_types(struct reader *r, struct hparams *hp)
{
    const json_t *a = json_object_get(r->root, "layer_types");
    if (r->s != OK || !a || json_is_null(a) || hp->arch->window < WINDOW_EVEN)
        return;
    if (!json_is_array(a) || json_array_size(a) != (size_t)hp->n_layers) {
        r->s = err_set(r->err, EFORMAT,
                       "field 'layer_types': %zu entries, expected one for each of "
                       "the %lld layers",
                       json_array_size(a), (long long)hp->n_layers);
        return;
    }
    for (int64_t l = 0; l < hp->n_layers && r->s == OK; l++) {
        const json_t *v = json_array_get(a, (size_t)l);
        struct str t = json_is_string(v) ? json_str(v) : STR("");
        hp->layer[l] &= (uint8_t)~LAYER_WINDOW;
        if (str_is(t, "sliding_attention"))
            hp->layer[l] |= LAYER_WINDOW;
        else if (!str_is(t, "full_attention"))
            r->s = err_set(r->err, EUNSUPPORTED,
                           "field 'layer_types': entry %lld is '%.*s', expected full_attention or "
                           "sliding_attention",
                           (long long)l, (int)(t.n < 64 ? t.n : 64), t.p);
    }
}

/* no_rope_layers: 1 where a layer has RoPE (sic). */
static void read_nope_layers(struct reader *r, struct hparams *hp)
{
    if (r->s != OK || !hp->arch->nope_every)
        return;
    int64_t every = get_int(r, r->root, "no_rope_layer_interval", hp->arch->nope_every);
    const json_t *a = json_object_get(r->root, "no_rope_layers");
    size_t n = json_array_size(a);
    if (r->s == OK && ((n && n != (size_t)hp->n_layers) || every < 1))
        r->s =
            err_set(r->err, EFORMAT,
                    "fields 'no_rope_layers' and 'no_rope_layer_interval': %zu entries, interval "
                    "%lld; expected %lld entries or none, interval at least 1",
                    n, (long long)every, (long long)hp->n_layers);
    for (int64_t l = 0; l < hp->n_layers && r->s == OK; l++) {
        const json_t *v = json_array_get(a, (size_t)l);
        bool rope = n ? json_integer_value(v) != 0 : (l + 1) % every != 0;
        if (n && !json_is_integer(v))
            r->s = err_set(r->err, EFORMAT, "field 'no_rope_layers': entry %lld is no integer",
                           (long long)l);
        hp->layer[l] &= (uint8_t)~LAYER_NOPE;
        hp->layer[l] |= rope ? 0 : LAYER_NOPE;
    }
}

static void read_window(struct reader *r, struct hparams *hp)
{
    enum window_layers kind = hp->arch->window;
    hp->window = is_null(r, "sliding_window")
                     ? 0
                     : get_int(r, r->root, "sliding_window", hp->arch->default_window);
    if (kind <= WINDOW_GGUF || ((kind == WINDOW_LATER || kind == WINDOW_NOPE) &&
                                !get_bool(r, "use_sliding_window", false)))
        hp->window = 0;
    int64_t first = get_int(r, r->root, "max_window_layers", 28);
    if (r->s == OK && (hp->n_layers < 1 || hp->n_layers > HP_MAX_LAYERS))
        r->s = err_set(r->err, EFORMAT, "%lld layers, expected 1 to %d", (long long)hp->n_layers,
                       HP_MAX_LAYERS);
    if (r->s != OK)
        return;
    hparams_default_layers(hp, first);
    read_nope_layers(r, hp);
    for (int64_t l = 0; l < hp->n_layers && kind == WINDOW_NOPE; l++)
        hp->layer[l] = hp->layer[l] & LAYER_NOPE ? LAYER_NOPE | LAYER_WINDOW : 0;
    read_layer_types(r, hp);
}

/* Number of outputs of a classification head. */
static void read_labels(struct reader *r, struct hparams *hp)
{
    const json_t *labels = json_object_get(r->root, "id2label");
    hp->n_labels = json_is_object(labels) ? (int64_t)json_object_size(labels)
                                          : get_int(r, r->root, "num_labels", 2);
    const json_t *classes = json_object_get(r->root, "architectures");
    const char *cls = json_string_value(json_array_get(classes, 0));
    size_t n = cls ? strlen(cls) : 0;
    if (n && n < sizeof hp->hf_class)
        memcpy(hp->hf_class, cls, n + 1);
}

static void read_encoder(struct reader *r, struct hparams *hp)
{
    hp->n_pos = hp->n_ctx_train;
    hp->n_types = get_int(r, r->root, "type_vocab_size", 2);
    read_labels(r, hp);
    struct str positions = get_str(r, r->root, "position_embedding_type");
    if (r->s == OK && positions.p && !str_is(positions, "absolute"))
        r->s = err_set(r->err, EUNSUPPORTED,
                       "field 'position_embedding_type' is '%.*s', expected absolute",
                       (int)(positions.n < 64 ? positions.n : 64), positions.p);
    if (get_bool(r, "is_decoder", false) && r->s == OK)
        r->s = err_set(r->err, EUNSUPPORTED,
                       "field 'is_decoder' is true, expected an encoder that looks both ways");
}

static void read_sizes(struct reader *r, struct hparams *hp)
{
    hp->n_vocab = need_int(r, "vocab_size", NULL);
    hp->n_layers = need_int(r, "num_hidden_layers", "n_layers");
    hp->n_embd = need_int(r, "hidden_size", "dim");
    hp->n_ff = need_int(r, "intermediate_size", "hidden_dim");
    hp->n_heads = need_int(r, "num_attention_heads", "n_heads");
    hp->n_kv_heads = get_int(r, r->root, "num_key_value_heads", hp->n_heads);
    hp->n_ctx_train = need_int(r, "max_position_embeddings", NULL);
    int64_t head_dim = hp->n_heads > 0 ? hp->n_embd / hp->n_heads : 0;
    const json_t *v = json_object_get(r->root, "head_dim");
    hp->head_dim = get_int(r, r->root, "head_dim", head_dim);
    if (r->s == OK && (!v || json_is_null(v)) && hp->n_heads > 0 && hp->n_embd % hp->n_heads)
        r->s = err_set(r->err, EFORMAT,
                       "field 'hidden_size' is %lld, expected a multiple of the %lld heads",
                       (long long)hp->n_embd, (long long)hp->n_heads);
    if (hp->features & F_MOE) {
        hp->n_experts = get_int(r, r->root, "num_local_experts", hp->arch->default_experts);
        hp->n_experts_used =
            get_int(r, r->root, "num_experts_per_tok", hp->arch->default_experts_used);
    }
    if (hp->arch->kind == MODEL_ENCODER)
        read_encoder(r, hp);
    if (r->s == OK)
        r->s = hparams_check_sizes(hp, r->err);
}

static void read_scales(struct reader *r, struct hparams *hp)
{
    const struct arch *a = hp->arch;
    hp->norm_eps =
        get_num(r, r->root, a->norm == NORM_RMS ? "rms_norm_eps" : "layer_norm_eps", a->norm_eps);
    hp->norm_offset = a->hf_norm_offset;
    if (a->query_scalar != 0) {
        double q = get_num(r, r->root, "query_pre_attn_scalar", a->query_scalar);
        if (r->s == OK && !(q > 0 && q < 1e9))
            r->s = err_set(r->err, EFORMAT,
                           "field 'query_pre_attn_scalar' is %g, expected positive", q);
        hp->attn_scale = (float)(1 / sqrt(q));
    }
    if (a->attn_softcap != 0)
        hp->attn_softcap =
            is_null(r, "attn_logit_softcapping")
                ? 0
                : (float)get_num(r, r->root, "attn_logit_softcapping", (double)a->attn_softcap);
    if (a->logit_softcap != 0)
        hp->logit_softcap =
            is_null(r, "final_logit_softcapping")
                ? 0
                : (float)get_num(r, r->root, "final_logit_softcapping", (double)a->logit_softcap);
    if (a->embd_times_sqrt && hp->n_embd > 0)
        hp->embd_scale = (float)sqrt((double)hp->n_embd);
}

static void read_all(struct reader *r, struct hparams *hp)
{
    const json_t *quant = json_object_get(r->root, "quantization_config");
    if (json_is_object(quant) && r->s == OK) {
        struct str method = get_str(r, quant, "quant_method");
        r->s = err_set(r->err, EUNSUPPORTED,
                       "weights are packed by '%.*s'; expected plain f32, f16 or bf16 tensors",
                       method.p ? (int)(method.n < 64 ? method.n : 64) : 7,
                       method.p ? method.p : "unknown");
        return;
    }
    hp->pairing = ROPE_HALF;
    hp->features |= F_HF;
    read_sizes(r, hp);
    if (get_bool(r, "tie_word_embeddings", hp->arch->hf_tied))
        hp->features |= F_TIED;
    read_activation(r, hp);
    read_scales(r, hp);
    read_window(r, hp);
    if (hp->arch->kind == MODEL_DECODER)
        read_ropes(r, hp);
}

enum status hparams_from_json(struct hparams *hp, struct str text, struct err *err)
{
    json_t *root = NULL;
    enum status s = json_parse(&root, text, "config.json", err);
    if (s != OK)
        return s;
    struct reader r = {.root = root, .s = OK, .err = err};
    if (!json_is_object(root))
        r.s = err_set(err, EFORMAT, "the document is no object");
    struct str type = get_str(&r, root, "model_type");
    const struct arch *a = type.p ? arch_by_hf_type(type) : NULL;
    if (r.s == OK && !a)
        r.s = err_set(err, EUNSUPPORTED, "model_type '%.*s' is not one of those that are known",
                      (int)(type.n < 64 ? type.n : 64), type.p ? type.p : "");
    if (r.s == OK) {
        hparams_init(hp, a);
        read_all(&r, hp);
    }
    if (r.s == OK)
        r.s = hparams_finish(hp, err);
    json_decref(root);
    return r.s == OK ? OK : (err_prefix(err, "config.json"), r.s);
}
