/* Perplexity of a model over a text, and how far it is from a reference model (KL divergence):
 * what quantizing costs.
 *
 * Perplexity is exp of the mean of -log p(next token) over the scored rows of all windows
 * (engine/windows.h says which these are). Per row, with p the reference and q the model:
 *   KL = sum_i p_i (log p_i - log q_i)            Kullback and Leibler 1951
 * Sums over the vocabulary are in double; rows are shared out to threads and added up in their
 * order, so that results do not depend on threads, steps or chunks. */
#pragma once
#include "engine/windows.h"
#include "format/logprobs.h"

struct perplexity_options {
    struct engine *engine;
    struct engine *reference;        /* or NULL */
    const struct logprobs *recorded; /* or NULL: a reference's rows, of just these windows */
    const char *save;                /* or NULL: writes the engine's own rows there */
    enum logprobs_encoding encoding; /* of `save` */
    void (*progress)(void *ctx, double fraction, double perplexity); /* may be NULL */
    void *progress_ctx;
};

/* A mean and its standard error, sqrt((E[x^2] - E[x]^2) / (n - 1)); of functions of means, carried
 * over to first order. 0 when n < 2. */
struct estimate {
    double mean, error;
};

enum { KL_QUANTILES = 5 };
extern const double kl_quantile_of[KL_QUANTILES]; /* 0.999, 0.99, 0.95, 0.9, 0.5 */

struct kl_result {
    struct estimate kl;           /* nats */
    double max, at[KL_QUANTILES]; /* linear between neighbours */
    struct estimate base;         /* the reference's perplexity */
    struct estimate log_ratio;    /* log(model's perplexity / reference's) */
    struct estimate ratio;        /* exp of it */
    struct estimate same_top;     /* share of rows whose likeliest token is the same one */
    struct estimate rms_dp;       /* root of the mean square of q - p of the next token */
    double mean_dp;
};

struct perplexity {
    size_t n_windows, n_tokens, n_scored; /* tokens fed, rows scored */
    struct estimate nll, ppl;
    double seconds;
    bool compared; /* kl is filled: there was a reference */
    struct kl_result kl;
};

/* EFORMAT for records that are no distributions, EUSAGE for a reference of another vocabulary,
 * EFAIL for logits that are no numbers. */
NODISCARD enum status perplexity_run(const struct windows *w, const struct perplexity_options *o,
                                     struct perplexity *out, struct err *err);

/* The windows that a record was made with. Tokens are borrowed from it; windows_free. EUSAGE when
 * it has another vocabulary, EFORMAT when a token is none of it. */
NODISCARD enum status perplexity_windows(struct windows *out, const struct logprobs *l,
                                         const struct model *m, struct err *err);

/* ---- one row, for tests too ---- */

/* log(sum(exp(z))); NaN unless it is a number. *top: the lowest index of the largest. */
double row_logsum(const float *z, int64_t n, int64_t *top);
/* KL of the distribution proportional to exp(b) from the one with logits z, whose logsum is known.
 * b may have -INFINITY (impossible). *base_logsum and *base_top as of row_logsum. */
double row_kl(const float *b, const float *z, int64_t n, double logsum, double *base_logsum,
              int64_t *base_top);
