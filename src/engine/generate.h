/* One answer: feed a prompt, sample until something ends it, tell each piece of text. */
#pragma once
#include "engine/engine.h"
#include "engine/sampler.h"

enum gen_end { GEN_RUNNING, GEN_STOP, GEN_STOP_STRING, GEN_LENGTH, GEN_CONTEXT, GEN_CANCELLED };

struct gen_params {
    struct sampler_params sampler;
    int64_t max_tokens;     /* -1: until the context is full */
    int64_t min_tokens;     /* end tokens are not chosen before */
    const struct str *stop; /* texts that end the answer and are not told; may span tokens */
    size_t n_stop;
    bool ignore_eos;
    bool context_shift; /* drop the oldest half when full, instead of ending with GEN_CONTEXT */
    bool show_special;  /* control tokens are told as text */
};

struct gen_event {
    struct str text;              /* whole UTF-8 characters; may be empty */
    const struct token_info *tok; /* NULL for text that was held back and is now told */
};

struct gen_stats {
    int64_t n_prompt, n_cached, n_generated;
    double prefill_s, decode_s;
    enum gen_end end;
    int stop_index; /* which stop text, with GEN_STOP_STRING */
};

/* Appends `prompt` to seq, then generates. The KV cache holds the prompt and all generated tokens
 * but the last afterwards (stop strings included); `out` (may be NULL) gets the generated ids.
 * on_event returns non-zero to stop (GEN_CANCELLED; not an error). ECONTEXT when the prompt does
 * not fit, with both counts in the message; never a silent cut. */
NODISCARD enum status generate(struct engine *e, int seq, const int32_t *prompt, size_t n,
                               const struct gen_params *p,
                               int (*on_event)(void *ctx, const struct gen_event *ev), void *ctx,
                               struct tokens *out, struct gen_stats *stats, struct err *err);
