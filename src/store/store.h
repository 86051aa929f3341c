/* The models on this machine, in Ollama's layout (manifests and content-addressed blobs).
 *
 *   ROOT/manifests/<host>/<namespace>/<model>/<tag>   JSON, what layers a model has
 *   ROOT/blobs/sha256-<64 hex>                        the layers
 *
 *   ROOT/NAME.gguf                                    a model without a manifest, read in place
 *
 * ROOT is $HEARTH_MODELS or $HEARTH_HOME/models. An Ollama store ($OLLAMA_MODELS or
 * ~/.ollama/models) is read in place and never written. hearth-nano, which ships, is always there.
 * Names and digests come from strangers: both are checked before they become part of a path.
 *
 * A store is immutable once open; every function may be called from any thread. */
#pragma once
#include "base/buf.h"
#include "store/name.h"
#include <stdint.h>

struct store;

struct store_options {
    const char *root;        /* NULL: by the environment */
    const char *ollama_root; /* NULL: by the environment; "": none */
    const char *shipped;     /* path of hearth-nano's GGUF, or NULL */
};
NODISCARD enum status store_open(struct store **out, const struct store_options *o,
                                 struct err *err);
void store_close(struct store *s);               /* NULL is allowed */
const char *store_folder(const struct store *s); /* our root */

enum layer_kind {
    LAYER_MODEL,
    LAYER_PROJECTOR,
    LAYER_ADAPTER,
    LAYER_DRAFT,
    LAYER_TEMPLATE,
    LAYER_SYSTEM,
    LAYER_PARAMS,
    LAYER_MESSAGES,
    LAYER_LICENSE,
    LAYER_TENSOR,
    LAYER_JSON,
    LAYER_OTHER,
};
struct store_layer {
    enum layer_kind kind;
    struct str media_type, digest; /* "sha256:<hex>" */
    struct str name;               /* safetensors models: the file's name, else empty */
    uint64_t size;
    char *path; /* of the blob */
};

/* A model as its manifest describes it. Texts are read in; weights are paths. */
struct store_model {
    struct model_name name;
    struct str digest; /* 64 hex digits: of the manifest's bytes */
    int64_t modified_unix_ns;
    uint64_t size;  /* of all layers */
    bool read_only; /* in Ollama's store, or shipped */
    struct store_layer *layers;
    size_t n_layers;
    const char *model_path; /* what model_open takes */
    const char *draft_path; /* a smaller model that guesses ahead (Modelfile: DRAFT); NULL: none */
    const char *const *adapter_paths;
    size_t n_adapters;
    struct str template_text; /* Go template; .p NULL: none, the model's Jinja counts */
    struct str system;        /* .p NULL: none */
    struct str params_json;   /* {"temperature": 0.7, "stop": [...]}; .p NULL: none */
    struct str messages_json; /* [{"role", "content"}]; .p NULL: none */
    const struct str *licenses;
    size_t n_licenses;
    struct str config_json, config_digest; /* Ollama's ConfigV2; .p NULL: none */
};
/* ENOTFOUND "model 'x' not found"; EFORMAT for a manifest that breaks its format; EUNSUPPORTED for
 * one without a GGUF on this machine (cloud models, Ollama's tensor by tensor ones). */
NODISCARD enum status store_find(struct store *s, struct str name, struct store_model **out,
                                 struct err *err);
void store_model_free(struct store_model *m);

/* Every model that store_find finds, newest first; a broken manifest is skipped with a warning. A
 * name that is ours and Ollama's is ours. A non-zero return of fn ends the walk. */
NODISCARD enum status store_each(struct store *s, int (*fn)(void *ctx, const struct store_model *m),
                                 void *ctx, struct err *err);
/* What Ollama's store or a file lends becomes ours, by reflink or hard link where that can be. */
NODISCARD enum status store_copy(struct store *s, struct str from, struct str to, struct err *err);
/* Removes the manifest, then blobs that no manifest names. EUSAGE for a read-only one. */
NODISCARD enum status store_remove(struct store *s, struct str name, struct err *err);

/* ---- blobs ---- */

/* "sha256:<64 lower hex>"; also "sha256-...". */
bool digest_valid(struct str digest);
/* The path that a blob has or would have in our own store; the caller frees. */
NODISCARD enum status store_blob_path(struct store *s, struct str digest, char **path,
                                      struct err *err);
/* Where a blob lies, in our own store or Ollama's. ENOTFOUND. */
NODISCARD enum status store_blob_find(struct store *s, struct str digest, char **path,
                                      uint64_t *size, struct err *err);
/* Writing a blob: bytes are hashed on the way, synced, and renamed to their digest's name. */
struct blob_writer;
NODISCARD enum status blob_begin(struct store *s, struct blob_writer **out, struct err *err);
NODISCARD enum status blob_write(struct blob_writer *w, const void *p, size_t n, struct err *err);
/* expected: .p NULL for whatever it is. EFORMAT when the digest differs. Frees w in any case;
 * digest (may be NULL): 72 bytes, "sha256:..." with its NUL. */
NODISCARD enum status blob_commit(struct blob_writer *w, struct str expected, char *digest,
                                  struct err *err);
void blob_abort(struct blob_writer *w);
/* A file becomes a blob: by reflink or hard link where the file system can, else by copy. Its bytes
 * are never changed. digest (72 bytes) and size may be NULL. */
NODISCARD enum status store_import_file(struct store *s, const char *path, char *digest,
                                        uint64_t *size, struct err *err);

/* Blobs that no manifest names yet are safe from other processes while a hold is held: whoever
 * makes or pulls a model takes one before the first blob. Not for hours: what others remove in the
 * meantime is left for store_prune. */
struct store_hold;
NODISCARD enum status store_hold_take(struct store *s, struct store_hold **out, struct err *err);
void store_hold_release(struct store_hold *h); /* NULL is allowed */

/* Checks that all layers are there, writes the manifest atomically, then releases the hold (in any
 * case; NULL: it takes one itself) and removes the blobs that only the manifest it replaces named.
 */
NODISCARD enum status store_put_manifest(struct store *s, const struct model_name *name,
                                         struct str manifest_json, struct store_hold *hold,
                                         struct err *err);
/* Blobs that no manifest names and that are older than an hour, and what killed processes left.
 * EBUSY while somebody holds the store. */
NODISCARD enum status store_prune(struct store *s, uint64_t *freed, struct err *err);
