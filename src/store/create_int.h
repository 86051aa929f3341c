/* What the files of create share. */
#pragma once
#include "store/create.h"
#include "store/store_int.h"
#include "base/show.h"

struct gguf;
struct gguf_facts;

/* A model being made: its layers so far, and the blobs that were not there before. */
struct maker {
    struct store *s;
    const struct create_recipe *r;
    const struct create_progress *progress;
    struct arena arena;
    struct store_model *base; /* what `from` names; NULL: files */
    struct store_layer *layers;
    size_t n, cap;
    struct str *made;
    size_t n_made, cap_made;
    struct str params; /* that came with a Hugging Face folder; .p NULL: none */
    char family[SHOW_MAX + 1], parameter_size[32], file_type[32];
};

void make_say(struct maker *m, const char *fmt, ...) PRINTF_LIKE(2, 3);
NODISCARD enum status make_cancelled(struct maker *m, struct err *err);
/* Adds a layer for a blob that is ours by now; made: it was not before. */
NODISCARD enum status make_layer(struct maker *m, enum layer_kind kind, const char *digest,
                                 uint64_t size, bool made, struct err *err);
NODISCARD enum status make_text_layer(struct maker *m, enum layer_kind kind, struct str text,
                                      struct err *err);

/* create_weights.c */
bool file_is_gguf(const char *path);
bool folder_holds(const char *folder, const char *name);
/* "...-00002-of-00003.gguf": the number; 0: not of a split file. */
int gguf_split_number(struct str name);
/* A GGUF file as a layer, quantized when the recipe says so. digest: of a blob of ours that path
 * is; .p NULL: path is anywhere. expected: the kind that it must be; LAYER_OTHER: any. */
NODISCARD enum status make_from_gguf(struct maker *m, const char *path, struct str digest,
                                     enum layer_kind expected, struct err *err);
/* A Hugging Face folder as a model. */
NODISCARD enum status make_from_folder(struct maker *m, const char *folder, struct err *err);
/* Either, or a folder of GGUF files. */
NODISCARD enum status make_from_path(struct maker *m, const char *path, struct err *err);
/* A whole file at a part_path becomes a layer. */
NODISCARD enum status make_adopted(struct maker *m, const char *part, enum layer_kind kind,
                                   struct err *err);
/* What the config says of the model in that file. */
NODISCARD enum status make_config(struct maker *m, const char *path, struct err *err);

/* create_sources.c: the layers of weights, from where the recipe says. */
NODISCARD enum status make_weights(struct maker *m, struct err *err);
