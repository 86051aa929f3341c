/* Drafts by a second, smaller model of the same vocabulary (Leviathan et al. 2023; Chen et al.
 * 2023): it writes the likeliest continuation, and the large model verifies it as further rows of
 * one step, as it does with those of prompt lookup (draft.h). What it guesses changes the speed and
 * never a token, so it may read late, forget, or have no room, and nothing fails.
 *
 * Every text that is drafted for has a sequence of the small model's engine, and the texts of all
 * answers advance in the same steps. What a finished answer leaves behind stays for texts that
 * begin alike until its pages are needed.
 *
 * One owner thread: that of the large model's engine. */
#pragma once
#include "engine/draft.h"
#include "engine/engine.h"

struct draft_model;
struct draft_seq;

/* The tokenizers of both must agree in every token up to the shorter vocabulary, and what one has
 * more must be unused (padding): EUSAGE naming the first difference, also for an encoder. Models
 * are borrowed; options are those of the target's engine (n_ctx: of all texts together). */
NODISCARD enum status draft_model_new(struct draft_model **out, const struct model *draft,
                                      const struct model *target, const struct engine_options *o,
                                      struct err *err);
void draft_model_free(struct draft_model *d); /* NULL is allowed; all sequences are closed */
/* The vocabularies alone. */
NODISCARD enum status draft_model_check(const struct model *draft, const struct model *target,
                                        struct err *err);
/* Bytes that its engine reserves (engine_memory). */
size_t draft_model_memory(const struct draft_model *d);

/* One text; NULL: no memory. */
struct draft_seq *draft_seq_open(struct draft_model *d);
/* drafted, accepted: of its guesses, for the chances that later texts begin with. */
void draft_seq_close(struct draft_seq *s, int64_t drafted, int64_t accepted);

/* What one text wants in the next step of the large model. */
struct draft_wish {
    struct draft_seq *seq;
    int32_t (*token)(const void *text, size_t i); /* the text, whose last token was picked last */
    const void *text;
    size_t n_text;
    int want;     /* guesses */
    int32_t *out; /* (want) */
    int n;        /* guesses that were made; 0 also while the text is still being read */
};
/* Makes the guesses of all wishes in common steps. read: at most so many tokens of longer texts
 * that it has not seen are read this time, so that nobody waits long for others' prompts. */
void draft_model_make(struct draft_model *d, struct draft_wish *const *wishes, size_t n, int read);

/* What it costs and gives, for draft.h: time of one guess beside a step of one row of the large
 * model that takes one_row_ns; and the share of guesses that were right lately. */
double draft_model_cost(const struct draft_model *d, double one_row_ns);
double draft_model_chance(const struct draft_model *d);
