/* Architectures as data: what a checkpoint's hyperparameters are (struct hparams), which choices a
 * family of models makes (struct arch, one row each) and under which names its tensors are stored
 * (struct tensor_rule). The loaders, the checks and the forward passes read these tables; none of
 * them asks for an architecture by name.
 *
 * Adding an architecture: one row in archs.c (with its rules, when the common ones do not serve)
 * and a golden test. */
#pragma once
#include "engine/model.h"

enum {
    HP_MAX_LAYERS = 1024,
    HP_MAX_HEAD_DIM = 1024,
    HP_MAX_EXPERTS = 1024,
};

/* ---- hyperparameters ---- */

enum norm_kind { NORM_RMS, NORM_LAYER };
enum act_kind { ACT_SILU, ACT_GELU_TANH, ACT_GELU_ERF };
enum rope_pairing { ROPE_PAIRS, ROPE_HALF }; /* (2i, 2i + 1) or (i, i + n_rot / 2) */

/* How angles are stretched past the trained length. linear: kaiokendev 2023; dynamic: NTK-aware,
 * base grows with the sequence; YaRN: Peng et al. 2023; llama3: Llama 3.1's rule by wavelength;
 * longrope: Ding et al. 2024, one factor per pair, another set for short sequences. */
enum rope_scaling { ROPE_PLAIN, ROPE_LINEAR, ROPE_DYNAMIC, ROPE_YARN, ROPE_LLAMA3, ROPE_LONGROPE };

struct rope_params {
    enum rope_scaling scaling;
    int64_t n_rot; /* rotated dimensions of a head, even */
    double theta, factor;
    double attn_factor; /* multiplies cos and sin; NaN: the scaling's own formula */
    int64_t n_ctx_orig; /* trained length before stretching */
    double low_freq_factor, high_freq_factor;            /* llama3 */
    double beta_fast, beta_slow, mscale, mscale_all_dim; /* YaRN; mscale 0: unsaid */
    bool truncate;                                       /* YaRN: whole correction dims */
    int64_t n_factors;                                   /* longrope: n_rot / 2, else 0 */
    float short_factor[HP_MAX_HEAD_DIM / 2];             /* longrope */
    float long_factor[HP_MAX_HEAD_DIM / 2];              /* longrope */
    bool has_divisors;                                   /* GGUF's rope_freqs.weight */
    float divisor[HP_MAX_HEAD_DIM / 2];
};

enum { LAYER_WINDOW = 1, LAYER_NOPE = 2 };         /* hparams.layer bits */
enum { ROPE_OF_FULL, ROPE_OF_WINDOW, ROPE_KINDS }; /* hparams.rope: by the layer's attention */

struct hparams {
    const struct arch *arch;
    uint32_t features; /* enum feature bits: the row's and what the file adds */
    int64_t n_vocab, n_ctx_train, n_layers, n_embd, n_heads, n_kv_heads, head_dim, n_ff;
    int64_t n_experts, n_experts_used;
    bool norm_topk; /* weights of the chosen experts are scaled to sum 1 */
    double norm_eps;
    float norm_offset; /* added to norm weights: 1 for Gemma as HF stores it */
    enum act_kind act;
    enum rope_pairing pairing;
    int n_ropes; /* 1, or 2 when window layers have a RoPE of their own */
    struct rope_params rope[ROPE_KINDS];
    float embd_scale;                  /* of token embeddings; 1: none */
    float attn_scale;                  /* of query-key products */
    float attn_softcap, logit_softcap; /* 0: none */
    int64_t window;                    /* keys that a LAYER_WINDOW layer sees; 0: none */
    uint8_t layer[HP_MAX_LAYERS];      /* LAYER_* bits */
    int64_t pooling;                   /* llama.cpp's number; 0: unsaid or none */
    int64_t n_pos, n_types, n_labels;  /* encoders: positions, segment ids, head's outputs */
    char hf_class[96];                 /* architectures[0] of config.json, or "" */
};

/* Attention width in elements. */
static inline int64_t hp_q_dim(const struct hparams *hp)
{
    return hp->n_heads * hp->head_dim;
}
static inline int64_t hp_kv_dim(const struct hparams *hp)
{
    return hp->n_kv_heads * hp->head_dim;
}

/* ---- tensors ---- */

/* Canonical places of a layer's tensors. Fused files (qkv, gate_up) fill several of them with views
 * of one tensor's rows. */
enum layer_mat { M_Q, M_K, M_V, M_O, M_GATE, M_UP, M_DOWN, M_ROUTER, LAYER_MATS };
enum layer_vec {
    V_ATTN_NORM,
    V_ATTN_NORM_B,
    V_Q_B,
    V_K_B,
    V_V_B,
    V_O_B,
    V_Q_NORM,
    V_K_NORM,
    V_ATTN_POST, /* norm of the attention's output, before (Gemma 2) or after (BERT) the sum */
    V_ATTN_POST_B,
    V_FFN_NORM,
    V_FFN_NORM_B,
    V_GATE_B,
    V_UP_B,
    V_DOWN_B,
    V_FFN_POST,
    V_FFN_POST_B,
    LAYER_VECS
};
enum model_mat {
    G_TOK_EMBD,
    G_OUTPUT,
    G_POS_EMBD,
    G_TYPE_EMBD,
    G_POOLER,    /* BERT's pooler or DistilBERT's pre_classifier */
    G_CLASS,     /* classification head */
    G_TRANSFORM, /* masked LM: dense before the vocabulary */
    G_QA,        /* question answering: start and end */
    MODEL_MATS
};
enum model_vec {
    G_OUT_NORM,
    G_OUT_NORM_B,
    G_EMBD_NORM,
    G_EMBD_NORM_B,
    G_POOLER_B,
    G_CLASS_B,
    G_TRANSFORM_B,
    G_TRANSFORM_NORM,
    G_TRANSFORM_NORM_B,
    G_OUTPUT_B,
    G_QA_B,
    MODEL_VECS
};

/* Sizes that shapes are made of, as formulas over hparams. */
enum dim {
    D_NONE,
    D_ONE,
    D_TWO,
    D_EMBD,
    D_VOCAB,
    D_Q,   /* n_heads * head_dim */
    D_KV,  /* n_kv_heads * head_dim */
    D_QK,  /* D_Q + D_KV */
    D_QKV, /* D_Q + 2 * D_KV */
    D_HEAD,
    D_FF,
    D_2FF,
    D_EXPERTS,
    D_POS,
    D_TYPES,
    D_LABELS,
};

enum feature {
    F_MOE = 1,
    F_QKV_BIAS = 2,
    F_QK_NORM = 4,
    F_POST_NORMS = 8, /* norms on both sides of attention and FFN (Gemma 2) */
    F_TIED = 16,      /* output matrix is the embedding */
    F_HF = 32,        /* read from a Hugging Face folder (names and orders differ) */
    F_FUSED_UP = 64,  /* gate and up are one tensor (Phi-3) */
};

enum rule_scope { PER_MODEL, PER_LAYER, PER_EXPERT };
enum rule_kind {
    RULE_MAT,        /* (rows, cols) */
    RULE_VEC,        /* (rows): converted to float32 */
    RULE_EXPERT_MAT, /* one tensor (experts, total, cols), rows [first, first + rows) of each */
};

/* Where one place's tensor may be found. Rules for the same place are alternatives, tried in order;
 * a place that no rule has filled is an error unless every one of its rules is optional. In names,
 * '%' stands for the layer's number and '#' for the expert's. HF names are tried with and without
 * the row's prefix. */
struct tensor_rule {
    enum rule_scope scope;
    enum rule_kind kind;
    uint8_t place; /* enum layer_mat, layer_vec, model_mat or model_vec */
    bool optional;
    uint32_t when, unless; /* feature bits: the rule counts if all of `when`, none of `unless` */
    const char *gguf, *hf; /* NULL: not in that format */
    enum dim rows, cols;
    enum dim first, total; /* rows of a fused tensor; D_NONE: the tensor is the place */
};

/* ---- rows ---- */

enum window_layers {
    WINDOW_NONE,  /* the architecture has no sliding window, whatever the file says */
    WINDOW_GGUF,  /* every layer, if GGUF's metadata gives one; config.json cannot */
    WINDOW_ALL,   /* every layer, if a window is given */
    WINDOW_EVEN,  /* layers 0, 2, 4 ... (Gemma 2) */
    WINDOW_LATER, /* from max_window_layers on, if use_sliding_window (Qwen) */
    WINDOW_NOPE,  /* layers without RoPE, if use_sliding_window (SmolLM3) */
};

struct arch {
    const char *name;        /* canonical, and GGUF's general.architecture */
    bool in_gguf;            /* whether GGUF knows the name ("mistral" is "llama" there) */
    const char *hf_types[4]; /* config.json's model_type */
    const char *hf_prefix;   /* of tensor names: "model." */
    enum model_kind kind;
    uint32_t features;
    enum norm_kind norm;
    enum rope_pairing gguf_pairing; /* HF folders: always ROPE_HALF */
    enum window_layers window;
    int nope_every;       /* every n-th layer has no RoPE, when unsaid; 0: all have */
    bool embd_times_sqrt; /* embeddings are scaled by sqrt(n_embd) (Gemma) */
    bool attn_scale_27b;  /* GGUF of 46 layers: scale by n_embd / n_heads (Gemma 2 27B) */
    float hf_norm_offset; /* GGUF files have it added already */
    const struct tensor_rule *rules;
    size_t n_rules;
    /* what the reference implementation assumes where config.json is silent */
    enum act_kind act;
    bool hf_tied;
    double hf_theta; /* 0: 10000, as in GGUF */
    double norm_eps;
    double query_scalar; /* query_pre_attn_scalar; 0: no such key */
    float attn_softcap, logit_softcap;
    int64_t default_window; /* 0: none */
    int64_t default_experts, default_experts_used;
};

size_t arch_count(void);
const struct arch *arch_at(size_t i);
const struct arch *arch_by_gguf(struct str name);    /* NULL: unknown */
const struct arch *arch_by_hf_type(struct str type); /* NULL: unknown */

int64_t dim_value(const struct hparams *hp, enum dim d);

/* ---- reading hyperparameters ---- */

struct gguf;
/* Checks everything and leaves hp complete, or tells the key, what was found and what expected. */
NODISCARD enum status hparams_from_gguf(struct hparams *hp, const struct gguf *g, struct err *err);
#ifndef HEARTH_ENGINE_ONLY
/* config.json's text. Keys of 2024's checkpoints and of transformers 5. */
NODISCARD enum status hparams_from_json(struct hparams *hp, struct str text, struct err *err);
#endif
/* What both readers end with: derived values, relations between fields. Fields may have any value
 * that fits their type. */
NODISCARD enum status hparams_finish(struct hparams *hp, struct err *err);
