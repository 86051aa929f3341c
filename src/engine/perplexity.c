/* Each step's rows are scored while they are still in the engine, in groups of as many logits as it
 * keeps: nothing of the size of the vocabulary is kept but what --save-logits encodes, a group's
 * worth. */
#include "engine/perplexity.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/stats.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

const double kl_quantile_of[KL_QUANTILES] = {0.999, 0.99, 0.95, 0.9, 0.5};

/* ---- one row ---- */

static float largest(const float *z, int64_t n, int64_t *top)
{
    float max = -INFINITY;
    *top = 0;
    for (int64_t i = 0; i < n; i++)
        if (z[i] > max) {
            max = z[i];
            *top = i;
        }
    return max;
}

double row_logsum(const float *z, int64_t n, int64_t *top)
{
    double max = (double)largest(z, n, top), sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += exp((double)z[i] - max);
    double all = max + log(sum);
    return isfinite(all) ? all : (double)NAN;
}

/* With d = b - max(b), S = sum(exp(d)):
 *   sum_i p_i (log p_i - log q_i) = sum_i exp(d_i) (d_i - z_i) / S - log S + logsum. */
double row_kl(const float *b, const float *z, int64_t n, double logsum, double *base_logsum,
              int64_t *base_top)
{
    double max = (double)largest(b, n, base_top), sum = 0, moment = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = (double)b[i] - max, e = exp(d);
        sum += e;
        if (e > 0)
            moment += e * (d - (double)z[i]);
    }
    double kl = moment / sum - log(sum) + logsum;
    *base_logsum = max + log(sum);
    return kl > 0 ? kl : kl <= 0 ? 0 : (double)NAN; /* below 0 by rounding only */
}

/* ---- a group of a step's rows ---- */

struct row_score {
    double nll, base_nll, kl;
    bool same_top, bad_record;
};

struct scorer {
    const struct perplexity_options *o;
    struct perplexity *out;
    int64_t n_vocab;
    int most;                  /* rows of a group */
    int at;                    /* the group's first row in the step */
    size_t first;              /* and among all */
    const struct scored *rows; /* of the group */
    struct row_score *scores;  /* (most) */
    size_t total;              /* tokens */
    float *scratch;            /* (workers, n_vocab): a record, decoded */
    unsigned char *encoded;    /* (most, row_bytes) */
    size_t row_bytes;
    struct logprobs_writer *writer;
    double *kls; /* (n_scored) */
    /* sums over rows */
    double nll, nll2, base, base2, diff, diff2, kl, kl2, dp, dp2, dp4;
    size_t same;
};

/* The reference's distribution for row i, as logits or log-probabilities; NULL: there is none. */
static const float *base_row(struct scorer *s, int64_t i, int worker, float *target, bool *bad)
{
    *target = (float)NAN;
    if (s->o->reference)
        return engine_logits(s->o->reference, s->at + (int)i);
    if (!s->o->recorded)
        return NULL;
    float *b = s->scratch + worker * s->n_vocab;
    enum logprobs_encoding encoding = logprobs_header(s->o->recorded)->encoding;
    *bad = !logprobs_decode(encoding, logprobs_row(s->o->recorded, (int64_t)s->first + i),
                            s->n_vocab, b, target);
    return b;
}

static void score_rows(void *ctx, int worker, int64_t begin, int64_t end)
{
    struct scorer *s = ctx;
    for (int64_t i = begin; i < end; i++) {
        const float *z = engine_logits(s->o->engine, s->at + (int)i);
        int32_t target = s->rows[i].target;
        struct row_score r = {0};
        int64_t top, base_top;
        float recorded;
        double logsum = row_logsum(z, s->n_vocab, &top), base_logsum;
        r.nll = logsum - (double)z[target];
        const float *b = base_row(s, i, worker, &recorded, &r.bad_record);
        if (b && !r.bad_record) {
            r.kl = row_kl(b, z, s->n_vocab, logsum, &base_logsum, &base_top);
            r.base_nll = s->o->recorded ? -(double)recorded : base_logsum - (double)b[target];
            r.same_top = top == base_top;
        }
        if (s->encoded && isfinite(r.nll))
            logprobs_encode(s->o->encoding, z, s->n_vocab, logsum, target,
                            s->encoded + (size_t)i * s->row_bytes);
        s->scores[i] = r;
    }
}

static enum status add_row(struct scorer *s, const struct row_score *r, struct err *err)
{
    size_t at = s->out->n_scored++;
    if (r->bad_record)
        return err_set(err, EFORMAT,
                       "row %zu of the reference's log-probabilities is no "
                       "distribution",
                       at);
    if (!isfinite(r->nll) || !isfinite(r->base_nll) || !isfinite(r->kl))
        return err_set(err, EFAIL,
                       "scored row %zu: the log-probability of the next token is %g "
                       "(reference %g, KL %g), expected numbers",
                       at, -r->nll, -r->base_nll, r->kl);
    double diff = r->nll - r->base_nll, dp = exp(-r->nll) - exp(-r->base_nll);
    s->nll += r->nll;
    s->nll2 += r->nll * r->nll;
    if (!s->out->compared)
        return OK;
    s->base += r->base_nll;
    s->base2 += r->base_nll * r->base_nll;
    s->diff += diff;
    s->diff2 += diff * diff;
    s->kl += r->kl;
    s->kl2 += r->kl * r->kl;
    s->dp += dp;
    s->dp2 += dp * dp;
    s->dp4 += dp * dp * dp * dp;
    s->same += r->same_top;
    s->kls[at] = r->kl;
    return OK;
}

static enum status score_group(struct scorer *s, const struct scored *rows, int n, struct err *err)
{
    enum status st = OK;
    s->rows = rows;
    s->first = s->out->n_scored;
    engine_logits_keep(s->o->engine, s->at, n);
    if (s->o->reference)
        engine_logits_keep(s->o->reference, s->at, n);
    pool_run(engine_pool(s->o->engine), score_rows, s, n, 1);
    for (int i = 0; st == OK && i < n; i++)
        st = add_row(s, &s->scores[i], err);
    if (st == OK && s->writer)
        logprobs_put(s->writer, s->encoded, n);
    return st;
}

static enum status score_step(void *ctx, const struct scored *rows, int n, size_t done,
                              struct err *err)
{
    struct scorer *s = ctx;
    enum status st = OK;
    s->out->n_tokens = done;
    for (s->at = 0; st == OK && s->at < n; s->at += s->most) {
        int left = n - s->at;
        st = score_group(s, rows + s->at, left < s->most ? left : s->most, err);
    }
    if (st == OK && s->o->progress && s->out->n_scored)
        s->o->progress(s->o->progress_ctx, (double)done / (double)s->total,
                       exp(s->nll / (double)s->out->n_scored));
    return st;
}

/* ---- results ---- */

static struct estimate mean_of(double sum, double sum2, size_t n)
{
    double mean = sum / (double)n, var = sum2 / (double)n - mean * mean;
    return (struct estimate){mean, n > 1 && var > 0 ? sqrt(var / (double)(n - 1)) : 0};
}

/* exp of an estimate */
static struct estimate exp_of(struct estimate x)
{
    return (struct estimate){exp(x.mean), exp(x.mean) * x.error};
}

static double quantile(const double *sorted, size_t n, double q)
{
    double at = q * (double)(n - 1);
    size_t i = (size_t)at;
    double next = sorted[i + 1 < n ? i + 1 : i];
    return sorted[i] + (at - (double)i) * (next - sorted[i]);
}

static void finish(struct scorer *s)
{
    struct perplexity *p = s->out;
    size_t n = p->n_scored;
    p->nll = mean_of(s->nll, s->nll2, n);
    p->ppl = exp_of(p->nll);
    if (!p->compared)
        return;
    struct kl_result *k = &p->kl;
    k->kl = mean_of(s->kl, s->kl2, n);
    k->base = exp_of(mean_of(s->base, s->base2, n));
    k->log_ratio = mean_of(s->diff, s->diff2, n);
    k->ratio = exp_of(k->log_ratio);
    k->same_top = mean_of((double)s->same, (double)s->same, n);
    struct estimate square = mean_of(s->dp2, s->dp4, n);
    double rms = sqrt(square.mean);
    k->rms_dp = (struct estimate){rms, rms > 0 ? 0.5 / rms * square.error : 0};
    k->mean_dp = s->dp / (double)n;
    stats_sort(s->kls, n);
    k->max = s->kls[n - 1];
    for (int i = 0; i < KL_QUANTILES; i++)
        k->at[i] = quantile(s->kls, n, kl_quantile_of[i]);
}

/* ---- a run ---- */

static enum status check_reference(const struct scorer *s, const struct windows *w, struct err *err)
{
    int64_t n = s->n_vocab;
    struct model_info info;
    if (s->o->reference) {
        model_info(engine_model(s->o->reference), &info);
        n = info.n_vocab;
    } else if (s->o->recorded) {
        const struct logprobs_header *h = logprobs_header(s->o->recorded);
        n = h->n_vocab;
        if ((size_t)h->n_rows != w->n_scored)
            return err_set(err, EUSAGE, "%lld rows of log-probabilities, the windows have %zu",
                           (long long)h->n_rows, w->n_scored);
    }
    return n == s->n_vocab
               ? OK
               : err_set(err, EUSAGE, "a reference of %lld tokens, the model's vocabulary has %lld",
                         (long long)n, (long long)s->n_vocab);
}

static enum status start_saving(struct scorer *s, const struct windows *w, struct err *err)
{
    const struct logprobs_header h = {.encoding = s->o->encoding,
                                      .n_vocab = s->n_vocab,
                                      .n_tokens = (int64_t)w->n_tokens,
                                      .n_windows = (int64_t)w->n,
                                      .n_rows = (int64_t)w->n_scored,
                                      .bos = w->bos};
    size_t bytes;
    s->row_bytes = logprobs_row_bytes(h.encoding, h.n_vocab);
    struct logprobs_window *at = mem_array(w->n, sizeof *at);
    if (size_mul(s->row_bytes, (size_t)s->most, &bytes))
        s->encoded = malloc(bytes);
    if (!at || !s->encoded) {
        free(at);
        return err_set(err, ENOMEMORY, "no memory for %d rows of log-probabilities", s->most);
    }
    for (size_t i = 0; i < w->n; i++)
        at[i] = (struct logprobs_window){w->at[i].start, w->at[i].n, w->at[i].first};
    enum status st = logprobs_writer_open(&s->writer, s->o->save, &h, w->tokens, at, err);
    free(at);
    return st;
}

static enum status prepare(struct scorer *s, const struct windows *w, struct err *err)
{
    size_t workers = (size_t)pool_size(engine_pool(s->o->engine)), floats;
    enum status st = check_reference(s, w, err);
    if (st != OK)
        return st;
    s->most = engine_max_logits(s->o->engine);
    if (s->o->reference && engine_max_logits(s->o->reference) < s->most)
        s->most = engine_max_logits(s->o->reference);
    s->scores = mem_array((size_t)s->most, sizeof *s->scores);
    s->kls = mem_array(s->out->compared ? w->n_scored : 1, sizeof *s->kls);
    if (s->o->recorded && size_mul(workers, (size_t)s->n_vocab, &floats))
        s->scratch = mem_array(floats, sizeof *s->scratch);
    if (!s->scores || !s->kls || (s->o->recorded && !s->scratch))
        return err_set(err, ENOMEMORY, "no memory to score %zu rows", w->n_scored);
    return s->o->save ? start_saving(s, w, err) : OK;
}

enum status perplexity_run(const struct windows *w, const struct perplexity_options *o,
                           struct perplexity *out, struct err *err)
{
    struct model_info info;
    model_info(engine_model(o->engine), &info);
    *out = (struct perplexity){.n_windows = w->n, .compared = o->reference || o->recorded};
    struct scorer s = {.o = o, .out = out, .n_vocab = info.n_vocab, .total = windows_total(w)};
    struct engine *const engines[] = {o->engine, o->reference};
    const struct windows_run run = {
        .engines = engines, .n_engines = o->reference ? 2 : 1, .on_step = score_step, .ctx = &s};
    int64_t start = clock_ns();
    enum status st = prepare(&s, w, err);
    if (st == OK)
        st = windows_run(w, &run, err);
    if (st == OK)
        finish(&s);
    if (st == OK && s.writer)
        st = logprobs_writer_commit(s.writer, err);
    else
        logprobs_writer_abort(s.writer);
    out->seconds = clock_since(start);
    free(s.scores);
    free(s.scratch);
    free(s.encoded);
    free(s.kls);
    return st;
}

enum status perplexity_windows(struct windows *out, const struct logprobs *l, const struct model *m,
                               struct err *err)
{
    const struct logprobs_header *h = logprobs_header(l);
    struct model_info info;
    model_info(m, &info);
    *out = (struct windows){.tokens = logprobs_tokens(l),
                            .n_tokens = (size_t)h->n_tokens,
                            .bos = h->bos,
                            .n = (size_t)h->n_windows};
    if (h->n_vocab != info.n_vocab)
        return err_set(err, EUSAGE,
                       "log-probabilities of %lld tokens, the model's vocabulary has %lld",
                       (long long)h->n_vocab, (long long)info.n_vocab);
    out->at = mem_array(out->n, sizeof *out->at);
    if (!out->at)
        return err_set(err, ENOMEMORY, "no memory for %zu windows", out->n);
    for (size_t i = 0; i < out->n; i++) {
        struct logprobs_window w = logprobs_window_at(l, (int64_t)i);
        out->at[i] = (struct window){w.start, w.n, w.first};
    }
    enum status s = windows_check(out, info.n_vocab, err);
    if (s != OK)
        windows_free(out);
    return s;
}
