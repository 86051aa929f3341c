/* hearth perplexity: a model's perplexity on a text; beside a reference, or the record of one, the
 * KL divergence too. */
#include "base/jsonw.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/text.h"
#include "engine/perplexity.h"
#include <stdio.h>

struct job {
    struct loaded model, reference;
    struct text text;
    struct logprobs *recorded;
    struct windows windows; /* of the record */
    struct progress bar;
    char what[64];
};

static const char *const encodings[LOGPROBS_ENCODINGS] = {
    [LOGPROBS_Q16] = "q16",
    [LOGPROBS_F32] = "f32",
};

static enum status encoding_from(const struct options *o, enum logprobs_encoding *out,
                                 struct err *err)
{
    *out = LOGPROBS_Q16;
    for (int i = 0; o->logits_type && i < LOGPROBS_ENCODINGS; i++)
        if (strcmp(encodings[i], o->logits_type) == 0) {
            *out = (enum logprobs_encoding)i;
            return OK;
        }
    return o->logits_type
               ? err_set(err, EUSAGE, "--logits-type: '%s', expected q16 or f32", o->logits_type)
               : OK;
}

static enum status check_options(const struct options *o, struct err *err)
{
    if (o->kl && o->reference)
        return err_set(err, EUSAGE, "--kl and --reference: two references, expected one");
    if (o->kl && (o->file || o->ctx > 0 || o->stride > 0 || o->chunks > 0))
        return err_set(err, EUSAGE,
                       "--kl: the text and its windows are the file's, expected no "
                       "--file, --ctx, --stride or --chunks");
    return OK;
}

/* ---- models and text ---- */

static int64_t longest_of(const struct logprobs *l)
{
    int64_t longest = 2;
    for (int64_t i = 0; i < logprobs_header(l)->n_windows; i++) {
        int64_t n = logprobs_window_at(l, i).n;
        longest = n > longest ? n : longest;
    }
    return longest;
}

/* The same ids must mean the same pieces. */
static enum status same_vocabulary(const struct model *a, const struct model *b, struct err *err)
{
    const struct tokenizer *s = model_tokenizer(a), *t = model_tokenizer(b);
    size_t n = tokenizer_n_vocab(s), m = tokenizer_n_vocab(t);
    if (n != m)
        return err_set(err, EUSAGE, "--reference: a vocabulary of %zu tokens, the model's has %zu",
                       m, n);
    for (size_t i = 0; i < n; i++)
        if (!str_eq(tokenizer_piece(s, (int32_t)i), tokenizer_piece(t, (int32_t)i)))
            return err_set(err, EUSAGE, "--reference: token %zu of its vocabulary is another one",
                           i);
    return OK;
}

static enum status open_reference(struct job *j, const struct options *given, struct err *err)
{
    struct options o = *given;
    char *args[] = {(char *)(uintptr_t)given->reference};
    o.args = args;
    /* these are what is being compared */
    o.lora = (struct option_list){0};
    o.quantize = NULL;
    enum status s = load_model(&j->reference, &o, true, err);
    return s == OK ? same_vocabulary(j->model.model, j->reference.model, err)
                   : err_prefix(err, "--reference");
}

static enum status open_all(struct job *j, const struct options *o, struct err *err)
{
    int64_t longest = text_window(o);
    enum status s = OK;
    if (o->kl && (s = logprobs_open(&j->recorded, o->kl, err)) == OK)
        longest = longest_of(j->recorded);
    if (s == OK && longest > WINDOW_MAX)
        s = err_set(err, EFORMAT, "'%s': a window of %lld tokens, expected at most %d", o->kl,
                    (long long)longest, WINDOW_MAX);
    if (s != OK)
        return s;
    struct options eo = text_engine_options(o, longest);
    s = load_model(&j->model, &eo, true, err);
    if (s == OK && o->kl)
        s = perplexity_windows(&j->windows, j->recorded, j->model.model, err);
    else if (s == OK)
        s = text_open(&j->text, o, j->model.model, err);
    if (s == OK && o->reference)
        s = open_reference(j, &eo, err);
    return s;
}

static void on_progress(void *ctx, double fraction, double perplexity)
{
    struct job *j = ctx;
    snprintf(j->what, sizeof j->what, "perplexity %.4f", perplexity);
    progress_update(&j->bar, fraction);
}

/* ---- results ---- */

static void print_kl(const struct kl_result *k)
{
    printf("reference perplexity   %12.6f +- %.6f\n", k->base.mean, k->base.error);
    printf("ratio                  %12.6f +- %.6f\n", k->ratio.mean, k->ratio.error);
    printf("log of the ratio       %12.6f +- %.6f\n", k->log_ratio.mean, k->log_ratio.error);
    printf("KL divergence, mean    %12.6f +- %.6f\n", k->kl.mean, k->kl.error);
    printf("               maximum %12.6f\n", k->max);
    for (int i = 0; i < KL_QUANTILES; i++)
        printf("               %6.1f%% %12.6f\n", kl_quantile_of[i] * 100, k->at[i]);
    printf("same top token         %12.3f +- %.3f %%\n", k->same_top.mean * 100,
           k->same_top.error * 100);
    printf("delta p, RMS           %12.3f +- %.3f %%\n", k->rms_dp.mean * 100,
           k->rms_dp.error * 100);
    printf("delta p, mean          %12.3f %%\n", k->mean_dp * 100);
}

static void print_text(const struct perplexity *p)
{
    printf("perplexity             %12.6f +- %.6f\n", p->ppl.mean, p->ppl.error);
    if (p->compared)
        print_kl(&p->kl);
    printf("%zu tokens scored of %zu in %zu windows, %.1f tok/s\n", p->n_scored, p->n_tokens,
           p->n_windows, (double)p->n_tokens / p->seconds);
}

static void put_estimate(struct jsonw *w, const char *key, struct estimate e)
{
    jsonw_key(w, key);
    jsonw_obj(w);
    jsonw_knum(w, "mean", e.mean);
    jsonw_knum(w, "error", e.error);
    jsonw_end(w);
}

static void put_kl(struct jsonw *w, const struct kl_result *k)
{
    char name[16];
    put_estimate(w, "reference_perplexity", k->base);
    put_estimate(w, "ratio", k->ratio);
    put_estimate(w, "log_ratio", k->log_ratio);
    put_estimate(w, "kl", k->kl);
    jsonw_knum(w, "kl_max", k->max);
    jsonw_key(w, "kl_percentiles");
    jsonw_obj(w);
    for (int i = 0; i < KL_QUANTILES; i++) {
        snprintf(name, sizeof name, "%g", kl_quantile_of[i] * 100);
        jsonw_knum(w, name, k->at[i]);
    }
    jsonw_end(w);
    put_estimate(w, "same_top", k->same_top);
    put_estimate(w, "rms_delta_p", k->rms_dp);
    jsonw_knum(w, "mean_delta_p", k->mean_dp);
}

static enum status print_json(const struct perplexity *p, struct err *err)
{
    struct buf out;
    struct jsonw w;
    buf_init(&out, 1 << 16);
    jsonw_init(&w, &out, 0);
    jsonw_obj(&w);
    put_estimate(&w, "perplexity", p->ppl);
    put_estimate(&w, "nll", p->nll);
    jsonw_kint(&w, "tokens_scored", (int64_t)p->n_scored);
    jsonw_kint(&w, "tokens", (int64_t)p->n_tokens);
    jsonw_kint(&w, "windows", (int64_t)p->n_windows);
    jsonw_knum(&w, "seconds", p->seconds);
    jsonw_knum(&w, "tok_s", (double)p->n_tokens / p->seconds);
    if (p->compared)
        put_kl(&w, &p->kl);
    jsonw_end(&w);
    enum status s = buf_check(&out, "perplexity", err);
    if (s == OK)
        print_line(&out);
    buf_release(&out);
    return s;
}

enum status cmd_perplexity(const struct options *o, struct err *err)
{
    struct job j = {.bar = {.what = j.what}};
    struct perplexity result;
    struct perplexity_options po = {
        .save = o->save_logits, .progress = on_progress, .progress_ctx = &j};
    enum status s = check_options(o, err);
    if (s == OK)
        s = encoding_from(o, &po.encoding, err);
    if (s == OK)
        s = open_all(&j, o, err);
    if (s == OK) {
        po.engine = j.model.engine;
        po.reference = j.reference.engine;
        po.recorded = j.recorded;
        s = perplexity_run(o->kl ? &j.windows : &j.text.windows, &po, &result, err);
        progress_end(&j.bar);
    }
    if (s == OK && o->json)
        s = print_json(&result, err);
    else if (s == OK)
        print_text(&result);
    text_free(&j.text);
    windows_free(&j.windows);
    logprobs_close(j.recorded);
    unload(&j.reference);
    unload(&j.model);
    return s;
}
