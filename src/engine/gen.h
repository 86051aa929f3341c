/* One answer as a stepper: it says which rows it wants in the next engine step, and is told when
 * the step is done. generate.c drives one; a scheduler drives many in common steps. A row's logits
 * have the same bits in any step, so the answer is the same either way.
 *
 *     while (gen_end(g) == GEN_RUNNING) {
 *         n = gen_rows(g, rows, most, beside);
 *         n == 0: gen_full(g)
 *         engine_step(rows)
 *         gen_take(g, index of its first row with logits)
 *         gen_settle(g)
 *     }
 *
 * The owner thread of the engine makes all calls, but gen_take, which reads logits and touches
 * nothing else of the engine: steppers may take on several threads at once. Nothing is allocated
 * in the token loop (but what a caller's events and `out` need to grow). */
#pragma once
#include "engine/generate.h"

struct gen;

/* Where an answer goes: see generate(). Borrowed until gen_free. out and on_event may be NULL. */
struct gen_io {
    int (*on_event)(void *ctx, const struct gen_event *ev);
    void *ctx;
    struct tokens *out;
    struct gen_stats *stats;
};

/* An answer to `prompt`, which is appended to seq. prompt, the parameters and what they point to
 * are borrowed. With p->n_ctx the sequence is not to hold more than that many tokens. Errors: those
 * of generate() that need no step. */
NODISCARD enum status gen_new(struct gen **out, struct engine *e, int seq, const int32_t *prompt,
                              size_t n, const struct gen_params *p, const struct gen_io *io,
                              struct err *err);
void gen_free(struct gen *g); /* NULL is allowed; the sequence stays as it is */

/* GEN_RUNNING, or why the answer is over; all its text has been told then. */
enum gen_end gen_end(const struct gen *g);
/* Tokens that the next pick waits for and that the cache does not hold: the rest of the prompt, or
 * 1 for a token that was picked. */
size_t gen_unread(const struct gen *g);
/* Its prompt is still being read (or read again): it gives no tokens yet. */
bool gen_reading(const struct gen *g);

/* Where a draft model should guess for the next rows of this stepper: what it is asked, for
 * draft_model_make, which is called before gen_rows; NULL: it should not. The same `most` and
 * `beside` as for gen_rows. */
struct draft_wish *gen_wish(struct gen *g, int most, int beside);
/* The rows it wants in the next step, at most `most` (>= 1): a chunk of what is unread, or the
 * picked token and drafts behind it. beside: rows of others in that step, which drafts are weighed
 * against. 0: the context is full (gen_full). */
int gen_rows(struct gen *g, struct step_row *rows, int most, int beside);
/* Rows with logits among those: 0 for a chunk with more to come. */
int gen_n_logits(const struct gen *g);
/* The step with these rows is done; its logits begin at engine_logits(e, logits). Picks, takes and
 * tells. After an error the answer is over. gen_settle follows, whatever came. */
NODISCARD enum status gen_take(struct gen *g, int logits, struct err *err);
/* The cache forgets drafts that were wrong. */
void gen_settle(struct gen *g);
/* There is no room for the picked token: drops the older half of the context where the parameters
 * allow that, and ends the answer otherwise. */
NODISCARD enum status gen_full(struct gen *g, struct err *err);
/* Ends it from outside: GEN_CANCELLED. */
void gen_cancel(struct gen *g);

/* Lends the sampler what a pick needs (sampler.h): before each gen_take from then on. */
void gen_lend(struct gen *g, struct sampler_scratch *x);

/* How long steps take is learnt here, in place of the stepper's own table: for many steppers that
 * share steps. Borrowed. */
void gen_share_times(struct gen *g, struct step_times *t);

/* The sequence was given up, and `seq` takes its place: it holds the first n of the tokens that the
 * old one held (history, prompt, answer), fewer than all; the rest is read again, and what follows
 * is the same as if nothing had happened. Only with io->out, with a history that was all the
 * sequence held at first, and before the first context shift. */
void gen_reseat(struct gen *g, int seq, int64_t n);
/* The same with a sequence that holds all that the old one did (a snapshot of it), shifted or not.
 */
void gen_reseat_whole(struct gen *g, int seq);
/* Tokens of history, prompt and answer. */
size_t gen_n_text(const struct gen *g);
int32_t gen_text(const struct gen *g, size_t i);
