/* From what the user wrote to an open model: names, options, progress. Shared by the commands. */
#pragma once
#include "base/home.h"
#include "cli/options.h"
#include "engine/engine.h"
#include "engine/generate.h"

/* The file or folder that MODEL means: a path that exists, or a name of the store (engine-only
 * build: NAME.gguf in $HEARTH_HOME/models, or beside the program). The caller frees *path.
 * ENOTFOUND telling where was looked. */
NODISCARD enum status model_resolve(const char *name, char **path, struct err *err);

/* A model's file that came with the program: beside it, or where it was installed. The caller
 * frees; NULL: not there. looked (may be NULL): the folders are appended. */
char *shipped_model(const char *name, struct buf *looked);

struct store_model;

/* A model, with its engine if it is a decoder and `engine` is asked for, and its adapters. */
struct loaded {
    char *path;                /* what MODEL meant */
    struct store_model *entry; /* in the store; NULL: MODEL is a path */
    struct model *model;
    struct engine *engine;
    struct model *draft;         /* NULL: none */
    struct draft_model *drafter; /* for gen_params.draft_model */
    struct pool *pool;           /* the engine's, or one of our own */
    bool own_pool;
    struct lora **loras;
    float *lora_scales;
    size_t n_loras;
};
NODISCARD enum status load_model(struct loaded *l, const struct options *o, bool engine,
                                 struct err *err);
/* A new engine for the loaded model in place of the one there is, with the options' threads,
 * context, KV type and arithmetic, and the adapters that are loaded. */
NODISCARD enum status load_engine(struct loaded *l, const struct options *o, struct err *err);
/* The model that guesses ahead: --draft-model, else the one that the store's entry brings, which is
 * passed over with a warning where it cannot be used. After load_model with an engine. */
NODISCARD enum status load_draft(struct loaded *l, const struct options *o, struct err *err);
/* Tokenizer and metadata only. */
NODISCARD enum status load_vocab(struct loaded *l, const struct options *o, struct err *err);
void unload(struct loaded *l);

/* Sampling parameters: what was given, else the model's own defaults, else Hearth's. `bias` is
 * allocated; the caller frees params->bias. */
NODISCARD enum status sampling_from(struct sampler_params *p, const struct options *o,
                                    const struct model *m, struct err *err);
/* The rest of a generation's parameters; `stop` is allocated, the caller frees p->stop and
 * p->sampler.bias. */
NODISCARD enum status generation_from(struct gen_params *p, const struct options *o,
                                      const struct model *m, struct err *err);

/* --kv, or what goes with --exact. */
NODISCARD enum status kv_type_from(const struct options *o, enum kv_type *out, struct err *err);

/* "1,2,3" */
NODISCARD enum status parse_ids(const char *text, struct tokens *out, struct err *err);

/* Standard input whole. */
NODISCARD enum status read_stdin(struct buf *out, struct err *err);

/* Prints a buffer as a line on standard output. */
void print_line(const struct buf *b);
