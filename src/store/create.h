/* Making a model: from another one, a GGUF file, a Hugging Face folder or uploaded blobs, with a
 * template, a system text, parameters and so on over what it is made from.
 *
 * A GGUF is never rewritten unless it is to be quantized or is split over files: it becomes a blob
 * by reflink or hard link, so its digest is the file's. Hugging Face folders become one GGUF. The
 * name appears (or changes) in one step when everything is there; until then, and when anything
 * fails, the store is as it was. */
#pragma once
#include "store/store.h"
#include "store/modelfile.h"
#include <stdatomic.h>

/* A file: under a name, the digest of a blob. */
struct create_file {
    struct str name, digest;
};

/* Everything but name and one of from and files may be absent (.p NULL, 0): then it is what the
 * model in `from` has. */
struct create_recipe {
    struct str name;
    struct str from; /* a model's name; with paths, a GGUF file or a folder comes first */
    const struct create_file *files;
    size_t n_files;
    const struct create_file *adapters;
    size_t n_adapters;
    /* From a Modelfile: further FROM lines, ADAPTER and DRAFT lines, as paths. */
    const struct str *more_from, *adapter_paths;
    size_t n_more_from, n_adapter_paths;
    struct str draft;
    const char *folder; /* that paths are relative to; NULL: paths are not looked at */
    struct str template_text, system; /* empty: none */
    struct str params_json;           /* an object; its keys replace the same of `from` */
    struct str messages_json;         /* an array of {role, content} */
    const struct str *licenses;
    size_t n_licenses;
    struct str quantize; /* "q4_K_M" */
    struct str renderer, parser, requires;
    const atomic_int *cancel; /* non-zero: stop (ECANCEL), between steps; may be NULL */
    int threads;              /* 0: all */
};

/* What is being done, in Ollama's words: "using existing layer sha256:...", "writing manifest",
 * "success". fraction: of a step that takes time; -1: none. */
struct create_progress {
    void (*status)(void *ctx, const char *status, double fraction);
    void *ctx;
};

/* progress may be NULL. */
NODISCARD enum status create_model(struct store *s, const struct create_recipe *r,
                                   const struct create_progress *progress, struct err *err);

/* A recipe from a Modelfile; texts made on the way are the arena's. folder: the Modelfile's. */
NODISCARD enum status create_from_modelfile(struct create_recipe *out, const struct modelfile *m,
                                            const char *folder, struct arena *arena,
                                            struct err *err);
