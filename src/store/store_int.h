/* What the files of the store share. */
#pragma once
#include "base/arena.h"
#include "store/store.h"
#include <stdatomic.h>
#include <sys/types.h>

enum {
    PATH_BYTES = 8192,         /* ceiling on a path */
    MANIFEST_BYTES = 16 << 20, /* of a manifest: safetensors models have a layer for each tensor */
    LAYERS_MAX = 65536,
    TEXT_BYTES = 32 << 20, /* of a layer that is read in */
    HASH_BYTES = 32
};

struct store {
    char *root;    /* ours; need not exist */
    char *ollama;  /* NULL: none */
    char *shipped; /* hearth-nano's file; NULL: none */
};

/* The public struct with what it points to. */
struct stored {
    struct store_model m;
    struct arena arena;
};

/* Two roots are searched, ours first. */
enum { ROOT_OWN, ROOT_OLLAMA, ROOT_COUNT };
const char *store_root(const struct store *s, int which); /* NULL: not there */

/* ROOT/blobs/sha256-<hex>; digest has been checked. */
void blob_path(struct buf *out, const char *root, struct str digest);
/* Whether it is there as a regular file, and how long. */
bool blob_stat(const char *path, uint64_t *size);
/* ROOT/manifests/<host>/<namespace>/<model>/<tag> */
void manifest_path(struct buf *out, const char *root, const struct model_name *n);

/* Where the manifest of that name lies, whatever the case of its letters: path is empty when it
 * does not, and the name gets the case that it has on disk. */
NODISCARD enum status manifest_find(const char *root, struct model_name *name, struct buf *path,
                                    struct err *err);

NODISCARD enum status make_folders(const char *path, struct err *err); /* mkdir -p of its parents */
NODISCARD enum status sync_folder_of(const char *path, struct err *err);

/* "sha256:..." of bytes; 72 bytes of room. */
NODISCARD enum status digest_of(const void *p, size_t n, char *out, struct err *err);

/* The same of an open file, from its beginning, and its size. path: for messages; cancel may be
 * NULL. */
NODISCARD enum status digest_of_fd(int fd, const char *path, const atomic_int *cancel, char *digest,
                                   uint64_t *size, struct err *err);

/* Takes the manifest apart: layers and config's digest, all into the arena; nothing is looked up on
 * disk. Texts point into the arena. what: for messages. */
struct manifest {
    struct store_layer *layers; /* path NULL */
    size_t n;
    struct str config_digest; /* .p NULL: none */
    uint64_t config_size, total;
};
NODISCARD enum status manifest_parse(struct manifest *out, struct str text, const char *what,
                                     struct arena *arena, struct err *err);
#define MEDIA_PREFIX "application/vnd.ollama.image."
enum layer_kind layer_kind_of(struct str media_type);
const char *layer_media_type(enum layer_kind kind);

/* Reads the manifest at path and what it names. root: where its blobs are. */
NODISCARD enum status store_load(struct store_model **out, const char *root,
                                 const struct model_name *name, const char *path, struct err *err);
/* The manifest of one that has a digest, byte for byte. */
NODISCARD enum status store_manifest_text(struct store *s, const struct store_model *m,
                                          struct buf *text, struct err *err);
/* A GGUF file that has no manifest. */
NODISCARD enum status store_load_file(struct store_model **out, const struct model_name *name,
                                      const char *path, struct err *err);

/* Every manifest of a root: a non-zero return of fn ends the walk. */
typedef int walk_fn(void *ctx, const struct model_name *name, const char *path);
NODISCARD enum status manifests_walk(const char *root, walk_fn *fn, void *ctx, struct err *err);

/* Deletes those of the blobs that no manifest of ours names. What cannot be deleted now (another
 * process or thread holds the store, a manifest cannot be read) is found by store_prune later: no
 * error of whoever changed a manifest. */
void blobs_drop(struct store *s, const struct str *digests, size_t n);

/* ---- half-written files ---- */

enum { PART_DEPTH = 4 }; /* folders inside one that create assembled */
/* A path in the folder of blobs, for a file or folder that is not whole yet; nothing is made but
 * the folder of blobs. */
NODISCARD enum status part_path(struct store *s, struct buf *out, struct err *err);
NODISCARD enum status part_path_in(struct store *s, const char *folder, struct buf *out,
                                   struct err *err);
/* A whole file at such a path becomes a blob; it is gone from there in any case. */
NODISCARD enum status blob_adopt(struct store *s, const char *part, char *digest, uint64_t *size,
                                 bool *made, struct err *err);
/* A whole, synced part gets its digest's name, unless that is there (then *made is false). */
NODISCARD enum status blob_place(struct store *s, const char *part, const char *digest,
                                 uint64_t size, bool *made, struct err *err);
/* A file, or bytes, as a blob; *made: it was not there. digest: 72 bytes. */
NODISCARD enum status blob_import(struct store *s, const char *path, char *digest, uint64_t *size,
                                  bool *made, struct err *err);
NODISCARD enum status blob_put(struct store *s, struct str bytes, char *digest, bool *made,
                               struct err *err);
void part_remove(const char *path);
/* What killed processes left half-written. */
void sweep_parts(const char *root);

/* A blob that may be Ollama's becomes ours, too; ENOTFOUND. The bytes are hashed on the way. */
NODISCARD enum status store_own_blob(struct store *s, struct str digest, struct err *err);
NODISCARD enum status store_own_blobs(struct store *s, const struct store_model *m,
                                      struct err *err);
