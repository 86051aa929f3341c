/* Inside of a model, for the files of this folder: hyperparameters, and every tensor at its
 * canonical place. Immutable after loading. */
#pragma once
#include "base/arena.h"
#include "engine/arch.h"
#include "format/tensor.h"
#include "kernel/kernel.h"

struct layer {
    struct mat mat[LAYER_MATS];                 /* data NULL: the model has none */
    const struct tensor_rule *rule[LAYER_MATS]; /* that filled the matrix's place, or NULL */
    const float *vec[LAYER_VECS];               /* NULL: none */
    struct mat *expert[LAYER_MATS];             /* M_GATE, M_UP, M_DOWN: (n_experts), or NULL */
};

/* Where tensors come from: a GGUF file or safetensors. */
struct tensor_source {
    const void *file;
    const struct tensor *(*find)(const void *file, struct str name);
    size_t (*count)(const void *file);
    const struct tensor *(*at)(const void *file, size_t i);
    bool hf; /* which of a rule's names to use */
};

/* Memory of the model's own: converted vectors, unaligned or quantized matrices. */
struct owned {
    void *p;
    size_t n;
};

struct model {
    struct hparams hp;
    struct mat mat[MODEL_MATS];
    const float *vec[MODEL_VECS];
    struct layer *layers; /* (hp.n_layers) */
    struct tokenizer *tokenizer;
    struct model_defaults defaults;
    struct model_info info;
    struct str *labels; /* (hp.n_labels) of a classification head; .p NULL: unnamed */
    struct chat_template {
        struct str name, text; /* name "" is the default */
    } * templates;
    size_t n_templates;

    struct arena arena; /* layers, strings, small vectors, the vocabulary's arrays */
    struct owned *owned;
    size_t n_owned, cap_owned;
    struct gguf *gguf; /* one of the two holds the mapping */
    struct safetensors *safetensors;
};

/* Fills m->mat, m->vec and m->layers by the architecture's rules. opt: quantize, pool, progress. */
NODISCARD enum status model_bind(struct model *m, const struct tensor_source *src,
                                 const struct model_options *opt, struct err *err);

/* Writes a rule's name for layer l and expert e into out; the empty string when it is too long. */
struct str rule_name(char *out, size_t size, const char *prefix, const char *pattern, int64_t l,
                     int64_t e);

/* Memory that lives as long as the model, 64-byte aligned; NULL: none to be had. */
void *model_own(struct model *m, size_t bytes);

/* Adds a template; both strings are copied. */
NODISCARD enum status model_add_template(struct model *m, struct str name, struct str text,
                                         struct err *err);

/* Adds an end-of-text id, once; ids out of range and more than fit are left out. */
void model_add_end(struct model *m, int64_t id);

/* Fills m->info from m->hp and the tensors (src may be NULL: none). */
void model_count(struct model *m, const struct tensor_source *src);

NODISCARD enum status model_open_gguf(struct model *m, const char *path,
                                      const struct model_options *opt, struct err *err);
NODISCARD enum status model_open_hf(struct model *m, const char *path,
                                    const struct model_options *opt, struct err *err);
bool model_hf_broken(const struct model *m); /* of m->safetensors: file_map_broken */
/* Releases m->safetensors and other things of the HF front end. */
void model_close_hf(struct model *m);

/* Names the labels of a classification head that the file leaves unnamed: "LABEL_i". */
NODISCARD enum status encoder_name_labels(struct model *m, struct err *err);
