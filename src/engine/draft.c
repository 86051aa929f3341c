/* When guessing pays.
 *
 * A step with m guesses yields 1 + p1 + p1 p2 + ... tokens, pi being the chance that guess i is
 * right when those before it were; it takes as long as steps of 1 + m rows take here. The m with
 * the most tokens per second wins, and 0 is among them.
 *
 * Chances: one estimate per length of match. A right guess makes the match one longer, so the pi of
 * a draft are neighbours in that table. Every token of the answer is judged against what the index
 * would have guessed, whether or not it was: learning costs no rows, text that does not repeat
 * stops being guessed after some tokens, and text that begins to repeat is noticed without a trial.
 *
 * Times: what a row more costs depends on the model, its types, the processor, the threads, the
 * neighbours and the depth of the cache, from nothing (weights come from memory and are read once
 * for all rows) to a full step (a small model in the cache). A rule that guesses it is wrong
 * somewhere, so steps are timed while they run. Times differ from run to run and so may the number
 * of guesses; the tokens do not, because a row's logits have the same bits in any step. */
#include "engine/draft.h"
#include "base/mem.h"
#include "engine/ngram.h"
#include <math.h>
#include <stdlib.h>

enum {
    MEMORY = 32,        /* judgements that an estimate looks back on, about */
    FORGET_AFTER = 256, /* steps: a time this old may be from a slow moment; it is measured again */
    NEWS = 6,           /* judgements that count at a trial: what it finds is to be believed */
    TRIAL = 2,          /* guesses by which a model that did not pay is looked at again, */
    TRIAL_AFTER = 32,   /* tokens later at first, */
    TRIAL_SELDOM = 1024 /* and twice as many each time, up to this */
};

/* What a row more costs, in steps of one row, before it was measured: a little, so that a long
 * match is tried and the true cost learnt. */
static const double row_prior = 0.1;

struct drafter {
    struct ngram_index index;
    bool always;
    double chance[NGRAM_MAX + 1]; /* by length of match: that the next token is right */
    int judged[NGRAM_MAX + 1];
    double model_chance; /* of each guess of the small model behind right ones */
    int model_judged;
    int idle, patience; /* tokens since it guessed, and until it is tried again */
    struct step_times own_times;
    const struct step_times *times;
};

enum status drafter_new(struct drafter **out, size_t n_text, bool always, struct err *err)
{
    *out = NULL;
    struct drafter *d = mem_array(1, sizeof *d);
    if (!d)
        return err_set(err, ENOMEMORY, "no memory for drafts");
    d->always = always;
    d->times = &d->own_times;
    /* as if judged three times and wrong, and once more and right for each token that matched */
    for (int n = 1; n <= NGRAM_MAX; n++) {
        d->chance[n] = (double)n / (n + 3);
        d->judged[n] = n + 3;
    }
    drafter_expect(d, 0.7);
    enum status s = ngram_init(&d->index, n_text, err);
    if (s != OK) {
        drafter_free(d);
        return s;
    }
    *out = d;
    return OK;
}

void drafter_free(struct drafter *d)
{
    if (!d)
        return;
    ngram_release(&d->index);
    free(d);
}

void drafter_add(struct drafter *d, int32_t token)
{
    ngram_add(&d->index, token);
}

void drafter_take(struct drafter *d, int32_t token)
{
    int n = d->index.match;
    if (n > 0) {
        bool right = d->index.token[d->index.next] == token;
        d->judged[n] += d->judged[n] < MEMORY;
        d->chance[n] += ((right ? 1 : 0) - d->chance[n]) / d->judged[n];
    }
    d->idle += d->idle < TRIAL_SELDOM;
    ngram_add(&d->index, token);
}

/* Noise only ever makes a step longer, so that a shorter time is believed at once and a longer one
 * slowly; one that is far off (the process slept) counts as twice the usual. */
void step_timed(struct step_times *t, int n_rows, int64_t ns)
{
    if (n_rows < 1 || n_rows > DRAFT_MAX + 1)
        return;
    double *known = &t->of[n_rows].ns, now = ns > 1 ? (double)ns : 1, most = 2 * *known;
    t->n_steps++;
    if (*known == 0 || now < *known || t->n_steps - t->of[n_rows].at > FORGET_AFTER)
        *known = now;
    else
        *known += ((now < most ? now : most) - *known) / 8;
    t->of[n_rows].at = t->n_steps;
}

void drafter_timed(struct drafter *d, int n_rows, int64_t ns)
{
    step_timed(&d->own_times, n_rows, ns);
}

void drafter_share_times(struct drafter *d, const struct step_times *t)
{
    d->times = t;
}

static bool known(const struct step_times *t, int rows)
{
    return t->of[rows].ns > 0 && t->n_steps - t->of[rows].at <= FORGET_AFTER;
}

double step_time(const struct step_times *times, int rows)
{
    int lo = rows <= DRAFT_MAX + 1 ? rows : DRAFT_MAX + 1, hi = lo;
    while (lo > 0 && !known(times, lo))
        lo--;
    while (hi <= DRAFT_MAX + 1 && !known(times, hi))
        hi++;
    if (lo == 0)
        return hi <= DRAFT_MAX + 1 ? times->of[hi].ns : 0;
    double t = times->of[lo].ns;
    if (lo == rows)
        return t;
    if (hi <= DRAFT_MAX + 1)
        return t + (times->of[hi].ns - t) * (rows - lo) / (hi - lo);
    return t * (1 + (rows - 1) * row_prior) / (1 + (lo - 1) * row_prior);
}

/* What is to be gained by guessing. */
struct plan {
    int n;       /* guesses */
    double rate; /* tokens in a nanosecond, all rows of the step together */
};

static double lookup_chance(const struct drafter *d, int i)
{
    int match = d->index.match + i;
    return d->chance[match < NGRAM_MAX ? match : NGRAM_MAX];
}

static double model_chance(const struct drafter *d, int i)
{
    (void)i;
    return d->model_chance;
}

/* How many guesses, at most `most`, give the most tokens per second. cost: of one. */
static struct plan best_plan(const struct drafter *d, int most, int beside, double cost,
                             double (*chance)(const struct drafter *d, int i))
{
    const int base = 1 + beside;
    if (base > DRAFT_MAX || !known(d->times, base))
        return (struct plan){0};
    struct plan best = {.rate = base / d->times->of[base].ns};
    double tokens = base, all_right = 1;
    for (int m = 1; m <= most && base + m <= DRAFT_MAX + 1; m++) {
        all_right *= chance(d, m - 1);
        tokens += all_right;
        double rate = tokens / (step_time(d->times, base + m) + m * cost);
        if (rate > best.rate)
            best = (struct plan){.n = m, .rate = rate};
    }
    return best;
}

static struct plan lookup_plan(const struct drafter *d, int most, int beside)
{
    if (d->index.match == 0 || most < 1)
        return (struct plan){0};
    if (d->always)
        return (struct plan){.n = most, .rate = HUGE_VAL};
    return best_plan(d, most, beside, 0, lookup_chance);
}

int drafter_guess(const struct drafter *d, int32_t *out, int most)
{
    return drafter_guess_beside(d, out, most, 0);
}

int drafter_guess_beside(const struct drafter *d, int32_t *out, int most, int beside)
{
    const struct ngram_index *ix = &d->index;
    int n = lookup_plan(d, most > DRAFT_MAX ? DRAFT_MAX : most, beside).n;
    size_t period = ix->n - ix->next;
    for (int i = 0; i < n; i++) /* past the end of the text the draft repeats itself */
        out[i] = (size_t)i < period ? ix->token[ix->next + (size_t)i] : out[(size_t)i - period];
    return n;
}

/* ---- the small model ---- */

void drafter_expect(struct drafter *d, double chance)
{
    d->model_chance = chance;
    d->model_judged = 4;
    d->patience = TRIAL_AFTER;
}

int drafter_ask_model(struct drafter *d, int most, int beside, double cost_ns)
{
    most = most > DRAFT_MAX ? DRAFT_MAX : most;
    if (most < 1)
        return 0;
    struct plan lookup = lookup_plan(d, most, beside);
    if (d->always)
        return lookup.n ? 0 : most;
    struct plan model = best_plan(d, most, beside, cost_ns, model_chance);
    if (model.n > 0) {
        d->patience = TRIAL_AFTER;
    } else if (lookup.n == 0 && model.rate > 0 && d->idle >= d->patience) {
        d->patience = d->patience < TRIAL_SELDOM ? 2 * d->patience : TRIAL_SELDOM;
        model.n = most < TRIAL ? most : TRIAL;
        d->model_judged = d->model_judged < NEWS ? d->model_judged : NEWS;
    }
    if (model.n == 0 || lookup.rate > model.rate)
        return 0;
    d->idle = 0;
    return model.n;
}

void drafter_judge_model(struct drafter *d, int n, int n_right)
{
    for (int i = 0; i < n && i <= n_right; i++) {
        d->model_judged += d->model_judged < MEMORY;
        d->model_chance += ((i < n_right ? 1 : 0) - d->model_chance) / d->model_judged;
    }
}

double drafter_plain_ns(const struct drafter *d, int beside)
{
    return step_time(d->times, 1 + beside);
}
