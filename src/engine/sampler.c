/* The sampler's chain: two tables of steps, their order the order of the rows, and the reports
 * (log-probability, margin, entropy) on the model's own distribution.
 *
 * Adjustments change single logits of a copy; with none of them on the model's logits are read in
 * place. Cuts then work on candidates (sampler_cuts.c). At temperature 0 the best adjusted logit
 * wins and no cut is run: none but XTC and typical could change it, and greedy means the best. */
#include "base/detmath.h"
#include "base/mem.h"
#include "engine/sampler_int.h"
#include <float.h>
#include <math.h>
#include <stdlib.h>

const struct sampler_params sampler_defaults = {
    .temperature = 0.8,
    .top_k = 40,
    .top_p = 0.95,
    .min_p = 0.05,
    .typical_p = 1.0,
    .repetition_penalty = 1.0,
    .penalty_last_n = 64,
    .dry_base = 1.75,
    .dry_allowed_length = 2,
    .dry_penalty_last_n = -1,
    .xtc_threshold = 0.1,
    .mirostat_tau = 5.0,
    .mirostat_eta = 0.1,
};

static bool bias_on(const struct sampler_params *p)
{
    return p->n_bias > 0;
}

static void adjust_bias(struct sampler *s, float *z)
{
    for (size_t i = 0; i < s->p.n_bias; i++)
        z[s->p.bias[i].token] += s->p.bias[i].bias;
}

static const struct adjustment {
    bool (*on)(const struct sampler_params *p);
    void (*apply)(struct sampler *s, float *z);
} adjustments[] = {
    {bias_on, adjust_bias},
    {penalties_on, adjust_penalties},
    {dry_on, adjust_dry},
};

static bool typical_on(const struct sampler_params *p)
{
    return p->mirostat == 0 && p->typical_p < 1.0;
}

static bool top_p_on(const struct sampler_params *p)
{
    return p->mirostat == 0 && p->top_p < 1.0;
}

static bool min_p_on(const struct sampler_params *p)
{
    return p->mirostat == 0 && p->min_p > 0.0;
}

static bool xtc_on(const struct sampler_params *p)
{
    return p->mirostat == 0 && p->xtc_probability > 0.0 && p->xtc_threshold <= 0.5;
}

static bool temperature_on(const struct sampler_params *p)
{
    return p->temperature != 1.0;
}

static bool mirostat_on(const struct sampler_params *p)
{
    return p->mirostat == 2;
}

/* After top-k, which is how candidates are gathered. */
static const struct cut {
    bool (*on)(const struct sampler_params *p);
    void (*apply)(struct sampler *s);
} cuts[] = {
    {typical_on, cut_typical},
    {top_p_on, cut_top_p},
    {min_p_on, cut_min_p},
    {xtc_on, cut_xtc},
    {temperature_on, cut_temperature},
    {mirostat_on, cut_mirostat},
};

/* What each number may be. Doubles and integers alike; a NaN is in no range. */
#define D(field, lo, hi)                                                                           \
    {                                                                                              \
#field, offsetof(struct sampler_params, field), 'd', lo, hi                                \
    }
#define L(field, lo, hi)                                                                           \
    {                                                                                              \
#field, offsetof(struct sampler_params, field), 'l', lo, hi                                \
    }
#define I(field, lo, hi)                                                                           \
    {                                                                                              \
#field, offsetof(struct sampler_params, field), 'i', lo, hi                                \
    }
static const struct range {
    const char *name;
    size_t offset;
    char type;
    double lo, hi; /* both allowed */
} ranges[] = {
    D(temperature, 0, 1000),
    L(top_k, -1, 1e15),
    D(top_p, 0, 1),
    D(min_p, 0, 1),
    D(typical_p, 0, 1),
    D(repetition_penalty, 1e-3, 1000),
    D(presence_penalty, -1000, 1000),
    D(frequency_penalty, -1000, 1000),
    L(penalty_last_n, -1, 1e15),
    D(dry_multiplier, 0, 1000),
    D(dry_base, 1, 1000),
    L(dry_allowed_length, 0, 1e9),
    L(dry_penalty_last_n, -1, 1e15),
    D(xtc_probability, 0, 1),
    D(xtc_threshold, 0, 1),
    D(mirostat_tau, 0, 100),
    D(mirostat_eta, 0, 100),
    I(n_top, 0, TOP_MAX),
};

enum status sampler_check(const struct sampler_params *p, struct err *err)
{
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        const struct range *r = &ranges[i];
        const char *at = (const char *)p + r->offset;
        int64_t l;
        int n;
        double v;
        if (r->type == 'l') {
            memcpy(&l, at, sizeof l);
            v = (double)l;
        } else if (r->type == 'i') {
            memcpy(&n, at, sizeof n);
            v = n;
        } else {
            memcpy(&v, at, sizeof v);
        }
        if (!(v >= r->lo && v <= r->hi))
            return err_set(err, EUSAGE, "%s: %.15g, expected %.15g to %.15g", r->name, v, r->lo,
                           r->hi);
    }
    if (p->mirostat != 0 && p->mirostat != 2)
        return err_set(err, EUSAGE, "mirostat: %d, expected 0 (off) or 2", p->mirostat);
    for (size_t i = 0; i < p->n_bias; i++)
        if (!(p->bias[i].bias <= FLT_MAX))
            return err_set(err, EUSAGE,
                           "logit bias of token %d: %g, expected a finite number or -infinity",
                           p->bias[i].token, (double)p->bias[i].bias);
    return OK;
}

static enum status copy_bias(struct sampler *s, struct err *err)
{
    if (s->p.n_bias == 0)
        return OK;
    struct logit_bias *copy = mem_array(s->p.n_bias, sizeof *copy);
    if (!copy) {
        s->p.bias = NULL;
        return err_set(err, ENOMEMORY, "sampler: no memory for %zu biases", s->p.n_bias);
    }
    memcpy(copy, s->p.bias, s->p.n_bias * sizeof *copy);
    s->p.bias = copy;
    for (size_t i = 0; i < s->p.n_bias; i++)
        if (copy[i].token < 0 || (size_t)copy[i].token >= s->n_vocab)
            return err_set(err, EUSAGE, "logit bias: token %d, expected 0 to %zu", copy[i].token,
                           s->n_vocab - 1);
    return OK;
}

enum status sampler_scratch_new(struct sampler_scratch **out, size_t n, struct err *err)
{
    struct sampler_scratch *x = *out = mem_array(1, sizeof *x);
    if (x) {
        x->work = mem_array(n, sizeof *x->work);
        x->cand.id = mem_array(n, sizeof *x->cand.id);
        x->cand.z = mem_array(n, sizeof *x->cand.z);
        x->cand.w = mem_array(n, sizeof *x->cand.w);
        x->cand.key = mem_array(n, sizeof *x->cand.key);
        x->heap = mem_array(HEAP_MAX, sizeof *x->heap);
        x->buckets = mem_array(N_BUCKETS, sizeof *x->buckets);
    }
    if (x && x->work && x->cand.id && x->cand.z && x->cand.w && x->cand.key && x->heap &&
        x->buckets)
        return OK;
    sampler_scratch_free(x);
    *out = NULL;
    return err_set(err, ENOMEMORY, "sampler: no memory for a vocabulary of %zu", n);
}

void sampler_scratch_free(struct sampler_scratch *x)
{
    if (!x)
        return;
    free(x->work);
    free(x->cand.id);
    free(x->cand.z);
    free(x->cand.w);
    free(x->cand.key);
    free(x->heap);
    free(x->buckets);
    free(x);
}

static void use_scratch(struct sampler *s, const struct sampler_scratch *x)
{
    s->work = x->work;
    s->cand = x->cand;
    s->heap = x->heap;
    s->buckets = x->buckets;
}

void sampler_lend(struct sampler *s, struct sampler_scratch *x)
{
    sampler_scratch_free(s->own);
    s->own = NULL;
    use_scratch(s, x);
}

static enum status sampler_fill(struct sampler *s, struct err *err)
{
    enum status st = copy_bias(s, err);
    if (st != OK)
        return st;
    st = sampler_scratch_new(&s->own, s->n_vocab, err);
    if (st != OK)
        return st;
    use_scratch(s, s->own);
    return token_history_init(s, err);
}

enum status sampler_new(struct sampler **out, const struct sampler_params *p, size_t n_vocab,
                        struct str (*token_text)(const void *ctx, int32_t token), const void *ctx,
                        struct err *err)
{
    *out = NULL;
    enum status st = sampler_check(p, err);
    if (st != OK)
        return st;
    if (n_vocab == 0 || n_vocab > INT32_MAX)
        return err_set(err, EUSAGE, "sampler: a vocabulary of %zu tokens", n_vocab);
    struct sampler *s = mem_array(1, sizeof *s);
    if (!s)
        return err_set(err, ENOMEMORY, "sampler: no memory");
    s->p = *p;
    s->n_vocab = n_vocab;
    s->token_text = token_text;
    s->text_ctx = ctx;
    s->mirostat_mu = 2.0 * p->mirostat_tau;
    rng_seed(&s->rng, p->seed);
    st = sampler_fill(s, err);
    s->p.dry_breakers = NULL; /* copied by token_history_init */
    if (st != OK) {
        sampler_free(s);
        return st;
    }
    *out = s;
    return OK;
}

void sampler_free(struct sampler *s)
{
    if (!s)
        return;
    token_history_release(s);
    if (s->p.n_bias > 0)
        free((struct logit_bias *)s->p.bias);
    sampler_scratch_free(s->own);
    free(s);
}

/* The logits to choose from: the model's own, or a copy with every adjustment that is on. */
static const float *adjusted(struct sampler *s, const float *logits, const int32_t *banned,
                             size_t n_banned)
{
    bool any = n_banned > 0;
    for (size_t i = 0; i < sizeof adjustments / sizeof *adjustments; i++)
        any |= adjustments[i].on(&s->p);
    if (!any)
        return logits;
    memcpy(s->work, logits, s->n_vocab * sizeof *logits);
    for (size_t i = 0; i < sizeof adjustments / sizeof *adjustments; i++)
        if (adjustments[i].on(&s->p))
            adjustments[i].apply(s, s->work);
    for (size_t i = 0; i < n_banned; i++)
        if (banned[i] >= 0 && (size_t)banned[i] < s->n_vocab)
            s->work[banned[i]] = -INFINITY;
    return s->work;
}

static int32_t choose(struct sampler *s, const float *z)
{
    if (s->p.temperature == 0.0) {
        struct top_entry best;
        return top_select(z, s->n_vocab, 1, &best) ? best.id : -1;
    }
    bool cut_k = s->p.mirostat == 0 && s->p.top_k > 0;
    cands_gather(s, z, cut_k ? (size_t)s->p.top_k : s->n_vocab);
    if (s->cand.n == 0)
        return -1;
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++)
        if (cuts[i].on(&s->p))
            cuts[i].apply(s);
    size_t i = cands_draw(s);
    if (mirostat_on(&s->p)) {
        double surprise =
            (det_log(s->cand.total) - det_log((double)s->cand.w[i])) / 0.6931471805599453;
        s->mirostat_mu -= s->p.mirostat_eta * (surprise - s->p.mirostat_tau);
    }
    return s->cand.id[i];
}

static float capped(float x)
{
    return x > FLT_MAX ? FLT_MAX : x;
}

/* What the model itself says, before any step. */
static void report(const struct sampler *s, const float *z, int32_t token, struct token_info *info)
{
    struct top_entry top[TOP_MAX];
    size_t want = s->p.n_top > 2 ? (size_t)s->p.n_top : 2;
    size_t n = top_select(z, s->n_vocab, want, top);
    *info = (struct token_info){.token = token, .logprob = -INFINITY};
    if (n == 0)
        return;
    float max = capped(top[0].z);
    double moment, total = det_exp_sum(z, s->n_vocab, max, &moment);
    double log_total = det_log(total);
    info->margin = n > 1 ? max - capped(top[1].z) : INFINITY;
    info->entropy = (float)(log_total - moment / total);
    if (token >= 0 && z[token] > -INFINITY)
        info->logprob = (float)((double)capped(z[token]) - (double)max - log_total);
    info->n_top = (int)n < s->p.n_top ? (int)n : s->p.n_top;
    for (int i = 0; i < info->n_top; i++) {
        info->top[i].token = top[i].id;
        info->top[i].logprob = (float)((double)capped(top[i].z) - (double)max - log_total);
    }
}

int32_t sampler_pick(struct sampler *s, const float *logits, const int32_t *banned, size_t n_banned,
                     struct token_info *info)
{
    int32_t token = choose(s, adjusted(s, logits, banned, n_banned));
    if (info)
        report(s, logits, token, info);
    return token;
}
