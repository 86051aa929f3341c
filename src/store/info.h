/* What lists and /api/show tell of a model, from its manifest, its config and its GGUF's header: no
 * weights are read. */
#pragma once
#include "base/jsonw.h"
#include "base/show.h"
#include "store/store.h"

/* What a list tells beside the name. */
struct info_details {
    char format[16];           /* "gguf" */
    char family[SHOW_MAX + 1]; /* general.architecture: "llama" */
    char parameter_size[32];   /* "1.2B" */
    char quantization[32];     /* "Q4_K_M" */
};
/* From the config, or from the GGUF where that does not say all. On an error (a GGUF that cannot be
 * read) *out has what the config said, perhaps nothing. */
NODISCARD enum status info_details(struct info_details *out, const struct store_model *m,
                                   struct err *err);
/* {"parent_model", "format", "family", "families", "parameter_size", "quantization_level"} */
void info_write_details(struct jsonw *w, const struct info_details *d);

enum capability {
    CAN_COMPLETE = 1,
    CAN_TOOLS = 2,
    CAN_INSERT = 4,
    CAN_THINK = 8,
    CAN_EMBED = 16,
};
/* CAN_TOOLS, CAN_INSERT and CAN_THINK, as the words of a chat template tell. go: it is one of
 * Ollama's, else Jinja; .p NULL: nothing. */
unsigned template_capabilities(struct str chat_template, bool go);
/* Whether the entry has a template of its own that is Go's; a GGUF's own is Jinja. */
bool template_is_go(const struct store_model *m);
/* ["completion", "tools", ...] */
void info_write_capabilities(struct jsonw *w, unsigned capabilities);
/* The i-th one's name, NULL past the last. */
const char *capability_name(unsigned capabilities, size_t i);

struct gguf;
struct info {
    const struct store_model *model; /* borrowed: must outlive it */
    struct gguf *gguf;
    struct info_details details;
    unsigned capabilities; /* enum capability: what Hearth can do with it */
    int64_t n_params, context_length, embedding_length; /* 0: unsaid */
    struct str template_text; /* the entry's, else the GGUF's own; .p NULL: none */
    bool template_is_go;      /* else Jinja */
};
NODISCARD enum status info_open(struct info **out, const struct store_model *m, struct err *err);
void info_close(struct info *i);

/* The GGUF's metadata as one object, with general.parameter_count; without the name and the chat
 * template, which stand elsewhere. Arrays longer than five are null unless verbose. */
void info_write_model_info(struct jsonw *w, const struct info *i, bool verbose);
/* [{"name", "type": "Q4_K", "shape": [innermost first]}] */
void info_write_tensors(struct jsonw *w, const struct info *i);
/* A Modelfile that makes the same model: FROM the blob's path. */
NODISCARD enum status info_modelfile(const struct info *i, struct buf *out, struct err *err);

/* ---- of a GGUF file ---- */

struct gguf_facts {
    struct str arch;
    int64_t n_params;
    char type[32];        /* "Q4_K_M": by general.file_type, else the type of most weights */
    enum layer_kind kind; /* LAYER_MODEL, LAYER_ADAPTER, LAYER_PROJECTOR */
};
NODISCARD enum status gguf_facts(const struct gguf *g, struct gguf_facts *out, struct err *err);

/* "1.2B", "361.82M": as Ollama writes counts. */
void human_count(uint64_t n, char *out, size_t size);
/* "2.0 GB", decimal: as Ollama writes sizes. */
void human_bytes(uint64_t n, char *out, size_t size);
/* "3 weeks ago" */
void human_ago(int64_t unix_ns, int64_t now_ns, char *out, size_t size);
