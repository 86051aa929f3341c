/* A model: weights, hyperparameters, tokenizer and chat template of one checkpoint. Immutable
 * after loading, weights mapped from the file (no copy, unless `quantize` asks for one). */
#pragma once
#include "base/err.h"
#include "base/pool.h"
#include "format/quant.h"
#include "kernel/kernel.h"
#include "text/tokenizer.h"

struct model;

struct model_options {
    enum qtype quantize; /* HF folders: weights to this type at load; QT_COUNT: as they are */
    struct pool *pool;   /* for work at load time; may be NULL */
    void (*progress)(void *ctx, double fraction); /* may be NULL */
    void *progress_ctx;
    bool vocab_only; /* tokenizer and metadata, no weights (vocabulary-only files too) */
};
#define MODEL_OPTIONS_INIT                                                                         \
    {                                                                                              \
        .quantize = QT_COUNT                                                                       \
    }

/* path: a GGUF file (the first of a split one) or a Hugging Face folder. */
NODISCARD enum status model_open(struct model **out, const char *path,
                                 const struct model_options *opt, struct err *err);
void model_close(struct model *m);
/* Whether one of its files could not be read while it was in use (it was cut off, or its disk
 * failed), in programs that called file_map_guard. Its weights are partly zeros then: steps give
 * EBROKEN. err (may be NULL) says so. */
NODISCARD enum status model_intact(const struct model *m, struct err *err);

enum model_kind { MODEL_DECODER, MODEL_ENCODER };

struct model_info {
    enum model_kind kind;
    struct str arch; /* "llama", "qwen2", "bert" ... */
    struct str name; /* general.name or the folder's name */
    int64_t n_vocab, n_ctx_train, n_layers, n_embd, n_heads, n_kv_heads;
    int64_t n_params;
    size_t weight_bytes;  /* as stored */
    struct str type_name; /* the most frequent matrix type, "q4_k" */
};
void model_info(const struct model *m, struct model_info *out);
/* How the hidden states of a text become one embedding: their mean, the first, the last. */
enum pooling { POOL_MEAN, POOL_CLS, POOL_LAST };
/* As the file says (GGUF's ARCH.pooling_type: 1 mean, 2 cls, 3 last); where it says nothing, or 0
 * (none), the mean for an encoder and the last token's for a decoder, as with Ollama. said (may be
 * NULL): whether the file does: it is a model made for embeddings. EUNSUPPORTED for rank (4). */
NODISCARD enum status model_pooling(const struct model *m, enum pooling *how, bool *said,
                                    struct err *err);
/* Bytes of weight matrices that decoding one token reads: of experts, those in use; of the
 * embedding table, one row (all of it where it serves as the output, too). */
size_t model_decode_bytes(const struct model *m);
/* The same for a step of `rows` rows, whose weights are read once. Of experts, as many as rows that
 * choose at random hit on average: all * (1 - (1 - used / all)^rows). */
double model_step_bytes(const struct model *m, int rows);

/* Bytes that a KV cache for n_ctx tokens takes, in whole pages; 0 for an encoder. */
uint64_t model_kv_bytes(const struct model *m, enum kv_type type, int64_t n_ctx);

/* Multiply-adds with weights for one token: of the layers (of experts, those in use), and of the
 * output matrix, which a prompt needs only for its last token. Attention is not counted. */
struct model_work {
    double quantized, floats; /* in layers: matrices of block types; of float types */
    double output;
    bool output_quantized;
};
struct model_work model_token_work(const struct model *m);

const struct tokenizer *model_tokenizer(const struct model *m);
/* The chat template's source; empty when the model has none. name: NULL or "" for the default,
 * "tool_use", "rag" ... where a model has several. */
struct str model_chat_template(const struct model *m, const char *name);

/* Sampling defaults that came with the model (generation_config.json); NaN / -1 where unsaid. */
struct model_defaults {
    double temperature, top_p, min_p, repetition_penalty;
    int64_t top_k;
    int32_t end_ids[16]; /* eos ids, besides the tokenizer's */
    int n_end_ids;
};
const struct model_defaults *model_defaults(const struct model *m);
bool model_is_end(const struct model *m, int32_t id); /* tokenizer_is_end or a default end id */
