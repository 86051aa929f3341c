/* Recipes: which type each tensor of a model gets when a file is quantized. Named and chosen as
 * llama.cpp does (its llama-quantize), so that files of the same name are comparable. */
#pragma once
#include "base/err.h"
#include "format/tensor.h"

struct recipe {
    const char *name;    /* "q4_k_m" */
    enum qtype type;     /* what most matrices get */
    uint32_t file_type;  /* GGUF's general.file_type */
    const char *summary; /* for help: bits per weight of a 7B model, quality */
};

/* NULL when unknown; names match without regard to case. */
const struct recipe *recipe_by_name(struct str name);
/* EUSAGE naming all when there is none of that name. */
NODISCARD enum status recipe_find(const char *name, const struct recipe **out, struct err *err);
/* All of them, ended by a row whose name is NULL. */
extern const struct recipe recipes[];

/* What the choice depends on, besides the tensor itself. */
struct recipe_model {
    int64_t n_layers, n_experts;
    int64_t gqa; /* query heads per key/value head */
    bool tied;   /* no output.weight: token_embd.weight serves as one */
    bool imatrix;
};

/* The type for a tensor by its GGUF name and shape. Types whose blocks do not fit the rows are
 * replaced by the nearest that do, at last F16. Tensors that stay as they are (norms, biases, one
 * dimension, expert routers, position tables) get t->type. */
enum qtype recipe_type(const struct recipe *r, const struct recipe_model *m,
                       const struct tensor *t);
