/* Drafts by prompt lookup (Saxena 2023, "Prompt Lookup Decoding"): where the end of the text stands
 * earlier in it, what followed there may follow again. No second model; edits, extraction and JSON
 * repeat whole lines. The engine verifies the guessed tokens as further rows of one step
 * (gen.c), so a guess changes the speed and never a token.
 *
 * How many tokens are worth guessing is decided from two measurements: how often the next token
 * was right after a match of each length, and how long steps of each number of rows take. */
#pragma once
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    DRAFT_MAX = 64,
    DRAFT_DEFAULT = 15, /* with the chosen token the 16 rows of the kernels' widest tile */
};

/* How long steps of each number of rows take. Zero-initialise. */
struct step_times {
    struct {
        double ns;  /* 0: not known */
        int64_t at; /* which step it was */
    } of[DRAFT_MAX + 2];
    int64_t n_steps;
};
/* A step of n_rows rows took this long. */
void step_timed(struct step_times *t, int n_rows, int64_t ns);

struct drafter;

/* n_text: tokens that are remembered at most (about; a longer text loses its older half). always:
 * guess as much as is asked for wherever there is a match, whatever was measured, which makes the
 * guesses a function of the text alone. */
NODISCARD enum status drafter_new(struct drafter **out, size_t n_text, bool always,
                                  struct err *err);
void drafter_free(struct drafter *d); /* NULL is allowed */

/* A token of the prompt. */
void drafter_add(struct drafter *d, int32_t token);
/* A token of the answer: what would have been guessed for it is judged, guessed or not. */
void drafter_take(struct drafter *d, int32_t token);
/* The tokens that probably follow, at most `most` (<= DRAFT_MAX); returns how many, 0 when guessing
 * does not pay. */
int drafter_guess(const struct drafter *d, int32_t *out, int most);
/* The same for a step that has `beside` rows of others, which each give a token too: with many of
 * them a row is dear and fewer are guessed, or none. */
int drafter_guess_beside(const struct drafter *d, int32_t *out, int most, int beside);
/* Times are looked up here (borrowed) and not in the drafter's own table. */
void drafter_share_times(struct drafter *d, const struct step_times *t);
/* For the drafter's own table: a step of n_rows rows (1: nothing was guessed) took this long. */
void drafter_timed(struct drafter *d, int n_rows, int64_t ns);
