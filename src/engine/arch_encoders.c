/* The encoders: BERT (Devlin et al. 2018) and DistilBERT (Sanh et al. 2019) with every head that
 * transformers saves with them.
 *
 * Both fill the same places, DistilBERT under names of its own and without segment embeddings; in
 * GGUF both are "bert". Heads are optional tensors: which of them a checkpoint has decides what it
 * can do (encoder.c). Google's first BERT files call a LayerNorm's weight and bias gamma and beta.
 * llama.cpp's converter drops BERT's pooler and every masked-LM head. */
#include "engine/arch_int.h"

#define MODEL_MAT(p) .scope = PER_MODEL, .kind = RULE_MAT, .place = (p)
#define MODEL_VEC(p) .scope = PER_MODEL, .kind = RULE_VEC, .place = (p)
#define LAYER_MAT(p) .scope = PER_LAYER, .kind = RULE_MAT, .place = (p)
#define LAYER_VEC(p) .scope = PER_LAYER, .kind = RULE_VEC, .place = (p)
#define NAMES(g, h)  .gguf = (g), .hf = (h)
#define SHAPE(r, c)  .rows = (r), .cols = (c)
#define OPTIONAL     .optional = true

/* weight and bias of a LayerNorm, with the old names as alternatives */
#define NORM(vec, w, b, g, h)                                                                      \
    {vec(w), NAMES(g ".weight", h ".weight"), SHAPE(D_EMBD, D_NONE)},                              \
        {vec(w), NAMES(NULL, h ".gamma"), SHAPE(D_EMBD, D_NONE)},                                  \
        {vec(b), NAMES(g ".bias", h ".bias"), SHAPE(D_EMBD, D_NONE)},                              \
    {                                                                                              \
        vec(b), NAMES(NULL, h ".beta"), SHAPE(D_EMBD, D_NONE)                                      \
    }

#define LINEAR(w, b, rows, cols, g, h)                                                             \
    {LAYER_MAT(w), NAMES(g ".weight", h ".weight"), SHAPE(rows, cols)},                            \
    {                                                                                              \
        LAYER_VEC(b), NAMES(g ".bias", h ".bias"), SHAPE(rows, D_NONE)                             \
    }

/* the same, in Hugging Face folders only */
#define HF_NORM(w, b, h)                                                                           \
    {LAYER_VEC(w), NAMES(NULL, h ".weight"), SHAPE(D_EMBD, D_NONE)},                               \
        {LAYER_VEC(w), NAMES(NULL, h ".gamma"), SHAPE(D_EMBD, D_NONE)},                            \
        {LAYER_VEC(b), NAMES(NULL, h ".bias"), SHAPE(D_EMBD, D_NONE)},                             \
    {                                                                                              \
        LAYER_VEC(b), NAMES(NULL, h ".beta"), SHAPE(D_EMBD, D_NONE)                                \
    }

#define HF_LINEAR(w, b, rows, cols, h)                                                             \
    {LAYER_MAT(w), NAMES(NULL, h ".weight"), SHAPE(rows, cols)},                                   \
    {                                                                                              \
        LAYER_VEC(b), NAMES(NULL, h ".bias"), SHAPE(rows, D_NONE)                                  \
    }

#define HEAD(w, b, rows, g, gb, h)                                                                 \
    {MODEL_MAT(w), OPTIONAL, NAMES(g, h ".weight"), SHAPE(rows, D_EMBD)},                          \
    {                                                                                              \
        MODEL_VEC(b), OPTIONAL, NAMES(gb, h ".bias"), SHAPE(rows, D_NONE)                          \
    }

#define EMBEDDINGS                                                                                 \
    {MODEL_MAT(G_TOK_EMBD), NAMES("token_embd.weight", "embeddings.word_embeddings.weight"),       \
     SHAPE(D_VOCAB, D_EMBD)},                                                                      \
        {MODEL_MAT(G_POS_EMBD),                                                                    \
         NAMES("position_embd.weight", "embeddings.position_embeddings.weight"),                   \
         SHAPE(D_POS, D_EMBD)},                                                                    \
        NORM(MODEL_VEC, G_EMBD_NORM, G_EMBD_NORM_B, "token_embd_norm", "embeddings.LayerNorm")

static const struct tensor_rule bert_rules[] = {
    EMBEDDINGS,
    {MODEL_MAT(G_TYPE_EMBD), OPTIONAL,
     NAMES("token_types.weight", "embeddings.token_type_embeddings.weight"),
     SHAPE(D_TYPES, D_EMBD)},

    LINEAR(M_Q, V_Q_B, D_Q, D_EMBD, "blk.%.attn_q", "encoder.layer.%.attention.self.query"),
    LINEAR(M_K, V_K_B, D_Q, D_EMBD, "blk.%.attn_k", "encoder.layer.%.attention.self.key"),
    LINEAR(M_V, V_V_B, D_Q, D_EMBD, "blk.%.attn_v", "encoder.layer.%.attention.self.value"),
    LINEAR(M_O, V_O_B, D_EMBD, D_Q, "blk.%.attn_output", "encoder.layer.%.attention.output.dense"),
    NORM(LAYER_VEC, V_ATTN_POST, V_ATTN_POST_B, "blk.%.attn_output_norm",
         "encoder.layer.%.attention.output.LayerNorm"),
    LINEAR(M_UP, V_UP_B, D_FF, D_EMBD, "blk.%.ffn_up", "encoder.layer.%.intermediate.dense"),
    LINEAR(M_DOWN, V_DOWN_B, D_EMBD, D_FF, "blk.%.ffn_down", "encoder.layer.%.output.dense"),
    NORM(LAYER_VEC, V_FFN_POST, V_FFN_POST_B, "blk.%.layer_output_norm",
         "encoder.layer.%.output.LayerNorm"),

    HEAD(G_POOLER, G_POOLER_B, D_EMBD, "cls.weight", "cls.bias", "pooler.dense"),
    HEAD(G_CLASS, G_CLASS_B, D_LABELS, "cls.output.weight", "cls.output.bias", "classifier"),
    HEAD(G_QA, G_QA_B, D_TWO, NULL, NULL, "qa_outputs"),
    HEAD(G_TRANSFORM, G_TRANSFORM_B, D_EMBD, NULL, NULL, "cls.predictions.transform.dense"),
    {MODEL_VEC(G_TRANSFORM_NORM), OPTIONAL,
     NAMES(NULL, "cls.predictions.transform.LayerNorm.weight"), SHAPE(D_EMBD, D_NONE)},
    {MODEL_VEC(G_TRANSFORM_NORM), OPTIONAL,
     NAMES(NULL, "cls.predictions.transform.LayerNorm.gamma"), SHAPE(D_EMBD, D_NONE)},
    {MODEL_VEC(G_TRANSFORM_NORM_B), OPTIONAL,
     NAMES(NULL, "cls.predictions.transform.LayerNorm.bias"), SHAPE(D_EMBD, D_NONE)},
    {MODEL_VEC(G_TRANSFORM_NORM_B), OPTIONAL,
     NAMES(NULL, "cls.predictions.transform.LayerNorm.beta"), SHAPE(D_EMBD, D_NONE)},
    {MODEL_MAT(G_OUTPUT), OPTIONAL, .unless = F_TIED, NAMES(NULL, "cls.predictions.decoder.weight"),
     SHAPE(D_VOCAB, D_EMBD)},
    {MODEL_VEC(G_OUTPUT_B), OPTIONAL, NAMES(NULL, "cls.predictions.bias"), SHAPE(D_VOCAB, D_NONE)},
    {MODEL_VEC(G_OUTPUT_B), OPTIONAL, NAMES(NULL, "cls.predictions.decoder.bias"),
     SHAPE(D_VOCAB, D_NONE)},
};

static const struct tensor_rule distilbert_rules[] = {
    EMBEDDINGS,
    HF_LINEAR(M_Q, V_Q_B, D_Q, D_EMBD, "transformer.layer.%.attention.q_lin"),
    HF_LINEAR(M_K, V_K_B, D_Q, D_EMBD, "transformer.layer.%.attention.k_lin"),
    HF_LINEAR(M_V, V_V_B, D_Q, D_EMBD, "transformer.layer.%.attention.v_lin"),
    HF_LINEAR(M_O, V_O_B, D_EMBD, D_Q, "transformer.layer.%.attention.out_lin"),
    HF_NORM(V_ATTN_POST, V_ATTN_POST_B, "transformer.layer.%.sa_layer_norm"),
    HF_LINEAR(M_UP, V_UP_B, D_FF, D_EMBD, "transformer.layer.%.ffn.lin1"),
    HF_LINEAR(M_DOWN, V_DOWN_B, D_EMBD, D_FF, "transformer.layer.%.ffn.lin2"),
    HF_NORM(V_FFN_POST, V_FFN_POST_B, "transformer.layer.%.output_layer_norm"),

    HEAD(G_POOLER, G_POOLER_B, D_EMBD, NULL, NULL, "pre_classifier"),
    HEAD(G_CLASS, G_CLASS_B, D_LABELS, NULL, NULL, "classifier"),
    HEAD(G_QA, G_QA_B, D_TWO, NULL, NULL, "qa_outputs"),
    HEAD(G_TRANSFORM, G_TRANSFORM_B, D_EMBD, NULL, NULL, "vocab_transform"),
    {MODEL_VEC(G_TRANSFORM_NORM), OPTIONAL, NAMES(NULL, "vocab_layer_norm.weight"),
     SHAPE(D_EMBD, D_NONE)},
    {MODEL_VEC(G_TRANSFORM_NORM_B), OPTIONAL, NAMES(NULL, "vocab_layer_norm.bias"),
     SHAPE(D_EMBD, D_NONE)},
    {MODEL_MAT(G_OUTPUT), OPTIONAL, .unless = F_TIED, NAMES(NULL, "vocab_projector.weight"),
     SHAPE(D_VOCAB, D_EMBD)},
    {MODEL_VEC(G_OUTPUT_B), OPTIONAL, NAMES(NULL, "vocab_projector.bias"), SHAPE(D_VOCAB, D_NONE)},
};

const struct arch arch_encoders[] = {
    {.name = "bert",
     .in_gguf = true,
     .hf_types = {"bert"},
     .kind = MODEL_ENCODER,
     .hf_prefix = "bert.",
     .norm = NORM_LAYER,
     .act = ACT_GELU_ERF,
     .hf_tied = true,
     .norm_eps = 1e-12,
     .rules = bert_rules,
     .n_rules = sizeof bert_rules / sizeof *bert_rules},
    {.name = "distilbert",
     .hf_types = {"distilbert"},
     .kind = MODEL_ENCODER,
     .hf_prefix = "distilbert.",
     .norm = NORM_LAYER,
     .act = ACT_GELU_ERF,
     .hf_tied = true,
     .norm_eps = 1e-12,
     .rules = distilbert_rules,
     .n_rules = sizeof distilbert_rules / sizeof *distilbert_rules},
};
const size_t n_arch_encoders = sizeof arch_encoders / sizeof *arch_encoders;
