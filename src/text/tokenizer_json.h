/* Reading tokenizer.json: what its parts share. Private to src/text/tokenizer_json*.c. */
#pragma once
#include "text/tokenizer_impl.h"
#include "base/arena.h"
#include "base/json.h"

struct json_loader {
    struct tokenizer *t;
    struct err *err;
    bool byte_level; /* ByteLevel is among the pre-tokenizers */
    bool encoded;    /* stages behind it see its alphabet */
    bool fused;      /* decoder stages behind Fuse see the whole text */
    struct str unk;  /* the model's unk_token */
};

enum { JSON_NESTING = 8 };

/* The "type" of a part; empty when it has none. */
struct str part_type(const json_t *part);
/* A copy that lives as long as the tokenizer; p is NULL without memory (and the error is set). */
struct str json_keep(struct json_loader *l, struct str s);
enum status json_no_memory(struct json_loader *l);

/* Each part may be NULL or JSON null: absent. */
NODISCARD enum status json_model(struct json_loader *l, const json_t *model, const json_t *added);
NODISCARD enum status json_merges(struct json_loader *l, const json_t *merges);
NODISCARD enum status json_added(struct json_loader *l, const json_t *added, const json_t *config);
NODISCARD enum status json_normalizer(struct json_loader *l, const json_t *part, int depth);
NODISCARD enum status json_pre_tokenizer(struct json_loader *l, const json_t *part, int depth);
NODISCARD enum status json_pre_tokenizer_end(struct json_loader *l);
NODISCARD enum status json_post_processor(struct json_loader *l, const json_t *part,
                                          const json_t *config);
NODISCARD enum status json_decoder(struct json_loader *l, const json_t *part, int depth);
/* {"String": s} or {"Regex": r}, or a plain string. */
NODISCARD enum status json_pattern(struct json_loader *l, const json_t *pattern, const char *what,
                                   struct str *literal, struct str *regex);
