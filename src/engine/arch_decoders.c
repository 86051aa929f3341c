/* The decoders: one row of choices each, and one list of tensor names for all of them.
 *
 * One list serves because the families differ in which places they fill, not in what a place
 * means; `when` and `unless` pick by feature. Biases are taken wherever a file has them. */
#include "engine/arch_int.h"

#define MAT(p)      .scope = PER_LAYER, .kind = RULE_MAT, .place = (p)
#define VEC(p)      .scope = PER_LAYER, .kind = RULE_VEC, .place = (p)
#define EXPERT(p)   .scope = PER_EXPERT, .kind = RULE_MAT, .place = (p), .when = F_MOE
#define EXPERTS(p)  .scope = PER_LAYER, .kind = RULE_EXPERT_MAT, .place = (p), .when = F_MOE
#define NAMES(g, h) .gguf = (g), .hf = (h)
#define SHAPE(r, c) .rows = (r), .cols = (c)
#define PART(f, t)  .first = (f), .total = (t)

/* A bias: required where the architecture says so, taken wherever the file has one. */
#define BIAS(p, d, g, h, needed)                                                                   \
    {VEC(p), .when = (needed), NAMES(g, h), SHAPE(d, D_NONE)},                                     \
    {                                                                                              \
        VEC(p), .optional = true, .unless = (needed), NAMES(g, h), SHAPE(d, D_NONE)                \
    }
#define OPTIONAL_BIAS(p, d, g, h)                                                                  \
    {                                                                                              \
        VEC(p), .optional = true, NAMES(g, h), SHAPE(d, D_NONE)                                    \
    }

#define QKV_G   "blk.%.attn_qkv.weight"
#define QKV_H   "layers.%.self_attn.qkv_proj.weight"
#define QKVB_G  "blk.%.attn_qkv.bias"
#define QKVB_H  "layers.%.self_attn.qkv_proj.bias"
#define GU_H    "layers.%.mlp.gate_up_proj.weight"
#define EXPS_H  "layers.%.mlp.experts.gate_up_proj"
#define EXPSB_H "layers.%.block_sparse_moe.experts.gate_up_proj"

static const struct tensor_rule rules[] = {
    {.scope = PER_MODEL,
     .kind = RULE_MAT,
     .place = G_TOK_EMBD,
     NAMES("token_embd.weight", "embed_tokens.weight"),
     SHAPE(D_VOCAB, D_EMBD)},
    {.scope = PER_MODEL,
     .kind = RULE_VEC,
     .place = G_OUT_NORM,
     NAMES("output_norm.weight", "norm.weight"),
     SHAPE(D_EMBD, D_NONE)},
    {.scope = PER_MODEL,
     .kind = RULE_MAT,
     .place = G_OUTPUT,
     .unless = F_TIED,
     NAMES("output.weight", "lm_head.weight"),
     SHAPE(D_VOCAB, D_EMBD)},

    {VEC(V_ATTN_NORM), NAMES("blk.%.attn_norm.weight", "layers.%.input_layernorm.weight"),
     SHAPE(D_EMBD, D_NONE)},
    {VEC(V_FFN_NORM), .unless = F_POST_NORMS,
     NAMES("blk.%.ffn_norm.weight", "layers.%.post_attention_layernorm.weight"),
     SHAPE(D_EMBD, D_NONE)},
    {VEC(V_FFN_NORM), .when = F_POST_NORMS,
     NAMES("blk.%.ffn_norm.weight", "layers.%.pre_feedforward_layernorm.weight"),
     SHAPE(D_EMBD, D_NONE)},
    {VEC(V_ATTN_POST), .when = F_POST_NORMS,
     NAMES("blk.%.post_attention_norm.weight", "layers.%.post_attention_layernorm.weight"),
     SHAPE(D_EMBD, D_NONE)},
    {VEC(V_FFN_POST), .when = F_POST_NORMS,
     NAMES("blk.%.post_ffw_norm.weight", "layers.%.post_feedforward_layernorm.weight"),
     SHAPE(D_EMBD, D_NONE)},

    {MAT(M_Q), NAMES("blk.%.attn_q.weight", "layers.%.self_attn.q_proj.weight"),
     SHAPE(D_Q, D_EMBD)},
    {MAT(M_Q), NAMES(QKV_G, QKV_H), SHAPE(D_Q, D_EMBD), PART(D_NONE, D_QKV)},
    {MAT(M_K), NAMES("blk.%.attn_k.weight", "layers.%.self_attn.k_proj.weight"),
     SHAPE(D_KV, D_EMBD)},
    {MAT(M_K), NAMES(QKV_G, QKV_H), SHAPE(D_KV, D_EMBD), PART(D_Q, D_QKV)},
    {MAT(M_V), NAMES("blk.%.attn_v.weight", "layers.%.self_attn.v_proj.weight"),
     SHAPE(D_KV, D_EMBD)},
    {MAT(M_V), NAMES(QKV_G, QKV_H), SHAPE(D_KV, D_EMBD), PART(D_QK, D_QKV)},
    {MAT(M_O), NAMES("blk.%.attn_output.weight", "layers.%.self_attn.o_proj.weight"),
     SHAPE(D_EMBD, D_Q)},
    BIAS(V_Q_B, D_Q, "blk.%.attn_q.bias", "layers.%.self_attn.q_proj.bias", F_QKV_BIAS),
    BIAS(V_K_B, D_KV, "blk.%.attn_k.bias", "layers.%.self_attn.k_proj.bias", F_QKV_BIAS),
    BIAS(V_V_B, D_KV, "blk.%.attn_v.bias", "layers.%.self_attn.v_proj.bias", F_QKV_BIAS),
    {VEC(V_Q_B), .optional = true, NAMES(QKVB_G, QKVB_H), SHAPE(D_Q, D_NONE), PART(D_NONE, D_QKV)},
    {VEC(V_K_B), .optional = true, NAMES(QKVB_G, QKVB_H), SHAPE(D_KV, D_NONE), PART(D_Q, D_QKV)},
    {VEC(V_V_B), .optional = true, NAMES(QKVB_G, QKVB_H), SHAPE(D_KV, D_NONE), PART(D_QK, D_QKV)},
    OPTIONAL_BIAS(V_O_B, D_EMBD, "blk.%.attn_output.bias", "layers.%.self_attn.o_proj.bias"),
    {VEC(V_Q_NORM), .when = F_QK_NORM,
     NAMES("blk.%.attn_q_norm.weight", "layers.%.self_attn.q_norm.weight"), SHAPE(D_HEAD, D_NONE)},
    {VEC(V_K_NORM), .when = F_QK_NORM,
     NAMES("blk.%.attn_k_norm.weight", "layers.%.self_attn.k_norm.weight"), SHAPE(D_HEAD, D_NONE)},

    /* llama.cpp stores Phi-3's fused gate and up as ffn_up of twice the rows, gate first */
    {MAT(M_GATE), .unless = F_MOE | F_FUSED_UP,
     NAMES("blk.%.ffn_gate.weight", "layers.%.mlp.gate_proj.weight"), SHAPE(D_FF, D_EMBD)},
    {MAT(M_GATE), .when = F_FUSED_UP, NAMES("blk.%.ffn_up.weight", GU_H), SHAPE(D_FF, D_EMBD),
     PART(D_NONE, D_2FF)},
    {MAT(M_UP), .unless = F_MOE | F_FUSED_UP,
     NAMES("blk.%.ffn_up.weight", "layers.%.mlp.up_proj.weight"), SHAPE(D_FF, D_EMBD)},
    {MAT(M_UP), .when = F_FUSED_UP, NAMES("blk.%.ffn_up.weight", GU_H), SHAPE(D_FF, D_EMBD),
     PART(D_FF, D_2FF)},
    {MAT(M_DOWN), .unless = F_MOE, NAMES("blk.%.ffn_down.weight", "layers.%.mlp.down_proj.weight"),
     SHAPE(D_EMBD, D_FF)},
    OPTIONAL_BIAS(V_GATE_B, D_FF, "blk.%.ffn_gate.bias", "layers.%.mlp.gate_proj.bias"),
    OPTIONAL_BIAS(V_UP_B, D_FF, "blk.%.ffn_up.bias", "layers.%.mlp.up_proj.bias"),
    OPTIONAL_BIAS(V_DOWN_B, D_EMBD, "blk.%.ffn_down.bias", "layers.%.mlp.down_proj.bias"),

    {MAT(M_ROUTER), .when = F_MOE,
     NAMES("blk.%.ffn_gate_inp.weight", "layers.%.block_sparse_moe.gate.weight"),
     SHAPE(D_EXPERTS, D_EMBD)},
    {MAT(M_ROUTER), .when = F_MOE, NAMES(NULL, "layers.%.mlp.gate.weight"),
     SHAPE(D_EXPERTS, D_EMBD)},
    {EXPERT(M_GATE),
     NAMES("blk.%.ffn_gate.#.weight", "layers.%.block_sparse_moe.experts.#.w1.weight"),
     SHAPE(D_FF, D_EMBD)},
    {EXPERTS(M_GATE), NAMES("blk.%.ffn_gate_exps.weight", NULL), SHAPE(D_FF, D_EMBD)},
    {EXPERTS(M_GATE), NAMES(NULL, EXPS_H), SHAPE(D_FF, D_EMBD), PART(D_NONE, D_2FF)},
    {EXPERTS(M_GATE), NAMES(NULL, EXPSB_H), SHAPE(D_FF, D_EMBD), PART(D_NONE, D_2FF)},
    {EXPERT(M_UP), NAMES("blk.%.ffn_up.#.weight", "layers.%.block_sparse_moe.experts.#.w3.weight"),
     SHAPE(D_FF, D_EMBD)},
    {EXPERTS(M_UP), NAMES("blk.%.ffn_up_exps.weight", NULL), SHAPE(D_FF, D_EMBD)},
    {EXPERTS(M_UP), NAMES(NULL, EXPS_H), SHAPE(D_FF, D_EMBD), PART(D_FF, D_2FF)},
    {EXPERTS(M_UP), NAMES(NULL, EXPSB_H), SHAPE(D_FF, D_EMBD), PART(D_FF, D_2FF)},
    {EXPERT(M_DOWN),
     NAMES("blk.%.ffn_down.#.weight", "layers.%.block_sparse_moe.experts.#.w2.weight"),
     SHAPE(D_EMBD, D_FF)},
    {EXPERTS(M_DOWN), NAMES("blk.%.ffn_down_exps.weight", "layers.%.mlp.experts.down_proj"),
     SHAPE(D_EMBD, D_FF)},
    {EXPERTS(M_DOWN), NAMES(NULL, "layers.%.block_sparse_moe.experts.down_proj"),
     SHAPE(D_EMBD, D_FF)},
};

#define DECODER(activation)                                                                        \
    .kind = MODEL_DECODER, .hf_prefix = "model.", .norm = NORM_RMS, .act = (activation),           \
    .norm_eps = 1e-6, .rules = rules, .n_rules = sizeof rules / sizeof *rules

const struct arch arch_decoders[] = {
    /* GGUF's "llama" is also every Mistral and Mixtral: a window and experts come from its keys */
    {.name = "llama",
     .in_gguf = true,
     .hf_types = {"llama"},
     .gguf_pairing = ROPE_PAIRS,
     .window = WINDOW_GGUF,
     DECODER(ACT_SILU)},
    {.name = "mistral",
     .hf_types = {"mistral"},
     .default_window = 4096,
     .gguf_pairing = ROPE_PAIRS,
     .window = WINDOW_ALL,
     DECODER(ACT_SILU)},
    {.name = "mixtral",
     .hf_types = {"mixtral"},
     .hf_theta = 1e6,
     .default_experts = 8,
     .default_experts_used = 2,
     .gguf_pairing = ROPE_PAIRS,
     .features = F_MOE,
     .window = WINDOW_ALL,
     DECODER(ACT_SILU)},
    {.name = "qwen2",
     .in_gguf = true,
     .hf_types = {"qwen2"},
     .gguf_pairing = ROPE_HALF,
     .features = F_QKV_BIAS,
     .window = WINDOW_LATER,
     .default_window = 4096,
     DECODER(ACT_SILU)},
    {.name = "qwen3",
     .in_gguf = true,
     .hf_types = {"qwen3"},
     .gguf_pairing = ROPE_HALF,
     .features = F_QK_NORM,
     .window = WINDOW_LATER,
     .default_window = 4096,
     DECODER(ACT_SILU)},
    {.name = "phi3",
     .in_gguf = true,
     .hf_types = {"phi3"},
     .gguf_pairing = ROPE_HALF,
     .features = F_FUSED_UP,
     .window = WINDOW_ALL,
     DECODER(ACT_SILU)},
    {.name = "gemma2",
     .in_gguf = true,
     .hf_types = {"gemma2"},
     .gguf_pairing = ROPE_HALF,
     .features = F_POST_NORMS,
     .hf_tied = true,
     .window = WINDOW_EVEN,
     .embd_times_sqrt = true,
     .attn_scale_27b = true,
     .hf_norm_offset = 1,
     .query_scalar = 256,
     .attn_softcap = 50,
     .logit_softcap = 30,
     .default_window = 4096,
     DECODER(ACT_GELU_TANH)},
    {.name = "smollm3",
     .in_gguf = true,
     .hf_types = {"smollm3"},
     .gguf_pairing = ROPE_PAIRS,
     .hf_tied = true,
     .window = WINDOW_NOPE,
     .nope_every = 4,
     .hf_theta = 2e6,
     DECODER(ACT_SILU)},
};
const size_t n_arch_decoders = sizeof arch_decoders / sizeof *arch_decoders;
