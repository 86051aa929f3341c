/* Synthetic models: GGUF files with a known model's exact shape, random weights and a made-up
 * vocabulary of the right size. For measuring speed and memory, and for tests, without a download;
 * what such a model says means nothing. The same shape, recipe and seed give the same file. */
#pragma once
#include "engine/model.h"
#include "engine/recipe.h"

struct synth_shape {
    const char *name; /* "llama3.1-8b" */
    const char *arch; /* GGUF's general.architecture */
    int layers, embd, ff, heads, kv_heads, head_dim, vocab, ctx;
    float rope_base, eps;
    enum synth_vocab {
        SYNTH_SPM,
        SYNTH_LLAMA3,
        SYNTH_QWEN2,
        SYNTH_GEMMA,
        SYNTH_SMOLLM3,
        SYNTH_WORDPIECE
    } tokens;
    unsigned flags;    /* enum synth_flag */
    int experts, used; /* 0: a dense model */
    int window;        /* sliding attention window, 0: none */
    float rope_factor; /* Llama 3.1's RoPE scaling of 8192 positions, 0: none */
};

enum synth_flag {
    SYNTH_TIED = 1,        /* token_embd serves as output */
    SYNTH_QKV_BIAS = 2,    /* Qwen2 */
    SYNTH_QK_NORM = 4,     /* Qwen3 */
    SYNTH_FUSED = 8,       /* Phi-3: attn_qkv, and gate and up in ffn_up */
    SYNTH_POST_NORMS = 16, /* Gemma 2, with its soft caps */
    SYNTH_ENCODER = 32,    /* DistilBERT: the encoder without a head */
};

/* All shapes, ended by a row whose name is NULL. */
extern const struct synth_shape synth_shapes[];

/* Weights of the model that the shape describes; -1 without memory. */
int64_t synth_params(const struct synth_shape *shape);

/* ENOTFOUND naming the shapes when there is none of that name. */
NODISCARD enum status synth_find(const char *name, const struct synth_shape **out, struct err *err);

/* Bytes of all tensors when written with that recipe. */
NODISCARD enum status synth_bytes(const struct synth_shape *shape, const struct recipe *recipe,
                                  size_t *out, struct err *err);

/* What the weights of such a model cost: the same numbers as model_decode_bytes and
 * model_token_work say of the file, without it. */
struct synth_cost {
    uint64_t weight_bytes; /* of all tensors */
    double token_bytes;    /* read for one generated token; of experts, those in use */
    struct model_work work;
};
NODISCARD enum status synth_cost(const struct synth_shape *shape, const struct recipe *recipe,
                                 struct synth_cost *out, struct err *err);

/* Writes the file; progress may be NULL. */
NODISCARD enum status synth_write(const struct synth_shape *shape, const char *out,
                                  const struct recipe *recipe, uint64_t seed,
                                  void (*progress)(void *ctx, double fraction, const char *tensor),
                                  void *progress_ctx, struct err *err);
/* The same to an open descriptor (borrowed), such as memfd_create's. */
NODISCARD enum status synth_write_fd(const struct synth_shape *shape, int fd,
                                     const struct recipe *recipe, uint64_t seed,
                                     void (*progress)(void *ctx, double fraction,
                                                      const char *tensor),
                                     void *progress_ctx, struct err *err);
