/* The sampler's inside: what its files share. Private to src/engine. */
#pragma once
#include "base/rng.h"
#include "engine/sampler.h"

/* Candidates: the tokens still in the race, always in order of token id, with finite logits. A cut
 * finds a threshold and filters; nothing is ever sorted as a whole. */
struct cands {
    size_t n;
    int32_t *id;
    float *z;      /* logits */
    float *w;      /* exp(z - max): probabilities are w / total */
    uint32_t *key; /* scratch of a cut */
    float max;
    bool weighed; /* w and total are those of the candidates */
    double total; /* sum of w */
};

/* The history that penalties and DRY look at: the last tokens, oldest first. */
struct history {
    int32_t *token;
    uint8_t *breaks; /* a DRY breaker ends within this token */
    size_t n, cap;
    size_t window; /* how many are ever looked at; SIZE_MAX: all */
    /* for the penalties' window: how often each token is in it, and the tokens that are */
    int32_t *count; /* (n_vocab) */
    int32_t *slot;  /* (n_vocab): where in `present`; valid when count > 0 */
    int32_t *present;
    size_t n_present;
};

/* A DRY breaker and how much of it the text so far ends with (Knuth, Morris, Pratt 1977). */
struct breaker {
    struct str text;
    uint16_t *border; /* border[i]: longest proper border of the first i + 1 bytes */
    size_t matched;
};

struct top_entry;

/* All but the arrays' contents belongs to no pick. */
struct sampler_scratch {
    float *work;
    struct cands cand;
    struct top_entry *heap;
    double *buckets;
};

struct sampler {
    struct sampler_params p; /* bias and breakers point to copies */
    size_t n_vocab;
    struct rng rng;
    struct str (*token_text)(const void *ctx, int32_t token);
    const void *text_ctx;

    struct sampler_scratch *own; /* NULL: lent */
    float *work;                 /* (n_vocab): adjusted logits; this and the next three: scratch */
    struct cands cand;
    struct top_entry *heap;
    double *buckets; /* of prefix_find */
    double mirostat_mu;

    struct history hist;
    struct breaker *breakers;
    size_t n_breakers;
    int32_t *z_len;   /* scratch of DRY, as long as hist.cap */
    int32_t *dry_len; /* (n_vocab): 0, or 1 + the repetition that the token would continue */
};

/* sampler_cuts.c */
struct top_entry {
    float z;
    int32_t id;
};
enum { HEAP_MAX = 1024, N_BUCKETS = 2048 };
/* The k <= HEAP_MAX largest of z, best first, ties by lower index; NaN and -inf never. */
size_t top_select(const float *z, size_t n, size_t k, struct top_entry *out);
/* Takes the k largest logits (all for k >= n) as candidates. */
void cands_gather(struct sampler *s, const float *z, size_t k);
void cut_typical(struct sampler *s);
void cut_top_p(struct sampler *s);
void cut_min_p(struct sampler *s);
void cut_xtc(struct sampler *s);
void cut_temperature(struct sampler *s);
void cut_mirostat(struct sampler *s);
size_t cands_draw(struct sampler *s); /* an index into candidates */

/* sampler_history.c */
NODISCARD enum status token_history_init(struct sampler *s, struct err *err);
void token_history_release(struct sampler *s);
bool penalties_on(const struct sampler_params *p);
bool dry_on(const struct sampler_params *p);
void adjust_penalties(struct sampler *s, float *z);
void adjust_dry(struct sampler *s, float *z);
