/* Drafts: tokens that are guessed ahead and verified as further rows of one step (gen.c), so that a
 * guess changes the speed and never a token. There are two who guess:
 *
 *  - prompt lookup (Saxena 2023, "Prompt Lookup Decoding"): where the end of the text stands
 * earlier in it, what followed there may follow again. It costs nothing; edits, extraction and JSON
 *    repeat whole lines.
 *  - a smaller model, where there is one (draft_model.h). Its guesses cost steps of its own.
 *
 * Who guesses, and how many tokens are worth it, is decided from measurements: how often the next
 * token was right after a match of each length, how often the small model was, and how long steps
 * of each number of rows take. */
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
/* How long one takes: measured lately, or judged by measured neighbours; 0: nothing is known. */
double step_time(const struct step_times *t, int n_rows);

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
/* What the small model has to offer: the chance that its first guess is right as others saw it; it
 * is judged for this text from then on. */
void drafter_expect(struct drafter *d, double chance);
/* Whether the small model should guess for the next step, and how many tokens, at most `most`: 0
 * when prompt lookup promises more, or nothing pays. cost_ns: of one of its guesses. Where its
 * guesses have not paid for long, a few are made now and then to see whether they do again. */
int drafter_ask_model(struct drafter *d, int most, int beside, double cost_ns);
/* Of n of its guesses that were verified the first n_right were right; with n_right < n the next
 * one was wrong. */
void drafter_judge_model(struct drafter *d, int n, int n_right);
/* How long a step without guesses takes beside so many rows; 0: not known. */
double drafter_plain_ns(const struct drafter *d, int beside);
/* Times are looked up here (borrowed) and not in the drafter's own table. */
void drafter_share_times(struct drafter *d, const struct step_times *t);
/* For the drafter's own table: a step of n_rows rows (1: nothing was guessed) took this long. */
void drafter_timed(struct drafter *d, int n_rows, int64_t ns);
