/* One answer: feed a prompt, sample until something ends it, tell each piece of text. */
#pragma once
#include "engine/draft_model.h"
#include "engine/engine.h"
#include "engine/sampler.h"

enum gen_end { GEN_RUNNING, GEN_STOP, GEN_STOP_STRING, GEN_LENGTH, GEN_CONTEXT, GEN_CANCELLED };

struct gen_params {
    struct sampler_params sampler;
    int64_t max_tokens; /* -1: until the context is full */
    int64_t n_ctx;      /* tokens that the sequence may hold; 0: as many as the engine's cache */
    int64_t min_tokens; /* end tokens are not chosen before */
    const struct str *stop; /* texts that end the answer and are not told; may span tokens */
    size_t n_stop;
    bool ignore_eos; /* end tokens are tokens like any other: they may be chosen and end nothing */
    /* when full, drop the older half (all but the first token) and go on, instead of ending with
     * GEN_CONTEXT */
    bool context_shift;
    bool show_special; /* control tokens are told as text */
    /* these control tokens are so all the same: markers that the reader looks for; may be NULL */
    const int32_t *shown;
    size_t n_shown;
    /* most tokens guessed ahead in one step, 0 (off) to DRAFT_MAX: changes the speed and nothing
     * that is told. The engine's max_logits bounds it too */
    int draft;
    bool draft_always; /* guess without asking whether it pays: for tests and measurements */
    /* a smaller model that guesses where the text does not repeat; borrowed, and used on the thread
     * of the engine's owner; may be NULL */
    struct draft_model *draft_model;
    /* tokens that seq holds already and that count for the penalties like the prompt's, so that an
     * answer does not depend on how much of its prompt was cached; may be NULL */
    const int32_t *history;
    size_t n_history;
};

struct gen_event {
    struct str text;              /* whole UTF-8 characters; may be empty */
    const struct token_info *tok; /* NULL for text that was held back and is now told */
    /* while the prompt is read: tokens done of how many, with empty text and no tok; else 0 */
    size_t prompt_done, prompt_total;
};

struct gen_stats {
    int64_t n_prompt;    /* tokens of the prompt given */
    int64_t n_cached;    /* tokens that seq held before */
    int64_t n_generated; /* the end token included */
    int64_t n_shifts;
    int64_t n_drafted;  /* tokens guessed ahead and verified */
    int64_t n_accepted; /* of these, the ones behind which another token was picked in that step */
    double prefill_s, decode_s;
    enum gen_end end;
    int stop_index; /* which stop text, with GEN_STOP_STRING; else -1 */
};

/* Appends `prompt` to seq, then generates. The KV cache holds the prompt and all generated tokens
 * but the last afterwards (stop strings included); `out` (may be NULL) gets the generated ids, the
 * end token included, which is not told as an event.
 *
 * on_event (may be NULL) is called for every token, for held-back text at the end, and between the
 * chunks of a long prompt; it returns non-zero to stop (GEN_CANCELLED; not an error, and it is not
 * called again). The history's and the prompt's tokens count for the penalties.
 *
 * ECONTEXT when the prompt does not fit, with both counts in the message; never a silent cut. An
 * error while reading the prompt leaves seq as it was. EUSAGE for parameters out of range, EFAIL
 * when the model's logits leave no token to choose. */
NODISCARD enum status generate(struct engine *e, int seq, const int32_t *prompt, size_t n,
                               const struct gen_params *p,
                               int (*on_event)(void *ctx, const struct gen_event *ev), void *ctx,
                               struct tokens *out, struct gen_stats *stats, struct err *err);
