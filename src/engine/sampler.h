/* From logits to a token. A chain of named steps in a fixed, documented order (llama.cpp's):
 * logit bias, penalties, DRY, then top-k, typical, top-p, min-p, XTC, temperature, and a draw; or
 * mirostat 2 in place of the cuts. The same seed, logits and history give the same token on every
 * machine and any number of threads.
 *
 * Not tied to the engine: works on any array of logits. One sampler per generated sequence. */
#pragma once
#include "base/err.h"
#include "base/str.h"
#include <stdint.h>

struct logit_bias {
    int32_t token;
    float bias; /* -INFINITY bans the token */
};

struct sampler_params {
    double temperature;                         /* 0: greedy */
    int64_t top_k;                              /* 0 or -1: off */
    double top_p;                               /* 1: off. Holtzman et al. 2019 */
    double min_p;                               /* 0: off. Nguyen et al. 2024 */
    double typical_p;                           /* 1: off. Meister et al. 2022 */
    double repetition_penalty;                  /* 1: off. Keskar et al. 2019 */
    double presence_penalty, frequency_penalty; /* 0: off; OpenAI's */
    int64_t penalty_last_n;                     /* tokens looked back on; 0: off, -1: all */
    double dry_multiplier;                      /* 0: off. p-e-w's DRY */
    double dry_base;
    int64_t dry_allowed_length, dry_penalty_last_n;
    double xtc_probability, xtc_threshold; /* 0: off. p-e-w's XTC */
    int mirostat;                          /* 0 off, 2: Basu et al. 2020, version 2 */
    double mirostat_tau, mirostat_eta;
    uint64_t seed;
    const struct logit_bias *bias;
    size_t n_bias;
    const struct str *dry_breakers; /* NULL: "\n", ":", "\"", "*" */
    size_t n_dry_breakers;
    int n_top; /* how many alternatives token_info reports (at most TOP_MAX) */
};
/* llama.cpp's defaults: temperature 0.8, top-k 40, top-p 0.95, min-p 0.05, looking back on 64
 * tokens, DRY with base 1.75 from 2 tokens on, XTC threshold 0.1, mirostat's tau 5 and eta 0.1;
 * everything else off, seed 0 (callers that want another answer each time choose the seed).
 * Ollama's differ in top-p 0.9 and min-p 0. */
extern const struct sampler_params sampler_defaults;

enum { TOP_MAX = 32 };
struct token_info {
    int32_t token;
    float logprob; /* of the chosen token under the model's own distribution (before any step) */
    float margin;  /* logit of the best minus the second; INFINITY when there is no second */
    float entropy; /* nats, of the model's own distribution */
    int n_top;
    struct {
        int32_t token;
        float logprob;
    } top[TOP_MAX];
};

struct sampler;

/* The steps in detail, and where they follow llama.cpp's definitions:
 *   1. logit bias is added; 2. penalties: each token of the last penalty_last_n has a positive
 *   logit divided by (a negative one multiplied with) repetition_penalty, then loses
 *   count * frequency_penalty + presence_penalty; 3. DRY: a token that would continue a
 *   repetition of len >= dry_allowed_length tokens loses multiplier * base^(len - allowed);
 *   repetitions are counted back to the last breaker; 4. banned tokens drop out.
 * At temperature 0 the best is taken now. Else, each cut on what the one before left, renormalised:
 *   5. top-k: the k best; 6. typical: by distance of surprise from entropy until the mass is above
 *   typical_p; 7. top-p: the best until the mass reaches top_p; 8. min-p: those at least min_p
 *   times as likely as the best; 9. XTC; 10. logits / temperature; 11. one draw.
 * Mirostat replaces 5 to 9: after the temperature, tokens of more than mu bits are cut, and mu
 * follows the surprise of what was drawn (it starts at 2 tau).
 *
 * Equal logits rank by token id, the lower first. A NaN is as good as -inf, and +inf as FLT_MAX.
 * Every number is float64 arithmetic or base/detmath.h, in one order: no library function, thread
 * count or instruction set can change a choice. */

/* Copies params. EUSAGE naming the parameter that is out of range. token_text (may be NULL) gives
 * a token's text, for DRY's breakers. */
NODISCARD enum status sampler_new(struct sampler **out, const struct sampler_params *p,
                                  size_t n_vocab,
                                  struct str (*token_text)(const void *ctx, int32_t token),
                                  const void *ctx, struct err *err);
void sampler_free(struct sampler *s);

/* What one pick needs beside the sampler's own state, some 20 bytes for each token of the
 * vocabulary. A sampler has its own until it is lent one: many samplers that pick in turn on one
 * thread need one between them. Lend before every pick; it is borrowed until the next. */
struct sampler_scratch;
NODISCARD enum status sampler_scratch_new(struct sampler_scratch **out, size_t n_vocab,
                                          struct err *err);
void sampler_scratch_free(struct sampler_scratch *x); /* NULL is allowed */
void sampler_lend(struct sampler *s, struct sampler_scratch *x);
NODISCARD enum status sampler_check(const struct sampler_params *p, struct err *err);

/* Adds a token (of the prompt, or chosen) to the history that penalties look at. */
void sampler_accept(struct sampler *s, int32_t token);

/* Picks from n_vocab logits, which are left as they are. banned (may be NULL) lists tokens that
 * cannot be chosen (end tokens before min_tokens). info may be NULL. -1 when no token can be
 * chosen: each is banned, -inf or NaN. Allocates nothing. */
int32_t sampler_pick(struct sampler *s, const float *logits, const int32_t *banned, size_t n_banned,
                     struct token_info *info);
