/* What goes into a step, and what comes out of it.
 *
 * Rows of answers come first, one for each that is being written (and drafts, where these pay; a
 * draft model guesses for all of them in steps of its own before);
 * prompts share what is left, the first in the order taking all it can. While answers are being
 * written a step's prompt rows lengthen it a few times at most, more where more prompts than
 * answers wait for it; while none is, a step is as long as the engine allows. */
#include "chat/sched_int.h"
#include "base/clock.h"

enum {
    LEAST_CHUNK = 24,         /* rows from which on the kernels work in panels */
    SHORT_STEP_NS = 20000000, /* nobody notices prompt rows that take so long */
    LONGER = 3,               /* than a step without prompts, else, where one of many reads */
    ROWS_OF_STEP = 8          /* of a prompt that take as long as an answer's step, till measured */
};

static bool blocked(struct job *j)
{
    if (mailbox_has_room(&j->box))
        return false;
    mailbox_wake(&j->box, clock_ns(), true);
    return true;
}

int sched_prompt_rows(const struct sched *s, int n)
{
    int left = s->max_rows - n;
    if (n == 0)
        return left;
    int n_reading = 0;
    for (size_t i = 0; i < s->running.n; i++)
        n_reading += gen_reading(s->running.v[i]->gen);
    double decode = step_time(&s->times, n);
    if (decode == 0)
        decode = ROWS_OF_STEP * s->prompt_row_ns;
    /* every millisecond makes n answers wait, and as many prompts as read the less */
    double most = LONGER * decode * (n + n_reading) / n;
    if (most < SHORT_STEP_NS)
        most = SHORT_STEP_NS;
    double rows = s->prompt_row_ns > 0 ? most / s->prompt_row_ns : LEAST_CHUNK;
    if (rows < LEAST_CHUNK)
        rows = LEAST_CHUNK;
    return rows < left ? (int)rows : left;
}

/* The next n rows of the step are j's. */
static void put(struct sched *s, struct job *j, int n, int *n_logits)
{
    j->n_rows = n;
    j->logits = *n_logits;
    *n_logits += gen_n_logits(j->gen);
    s->reserved += engine_seq_need(s->e, j->seq, n);
    s->stepping[s->n_stepping++] = j;
}

/* An answer's context is full: it ends, or drops what is old, which takes pages where it shares
 * them. False: it has no rows for this step. */
static bool when_full(struct sched *s, struct job *j, size_t at)
{
    if (j->params.context_shift && !sched_make_room(s, engine_seq_shared(s->e, j->seq) + 1, at))
        return false;
    j->status = gen_full(j->gen, &j->err);
    return j->status == OK && gen_end(j->gen) == GEN_RUNNING;
}

/* The most rows that an answer may have, of `left` that the step has. Drafts do not take pages from
 * anybody. */
static int answer_rows(const struct sched *s, const struct job *j, int left)
{
    bool room = engine_free_pages(s->e) - s->reserved >= engine_seq_need(s->e, j->seq, 1) + 2;
    return room ? left : 1;
}

/* The draft model guesses for those answers for which it pays. n_answers: rows without drafts. */
static void make_guesses(struct sched *s, int n_answers, int beside)
{
    size_t n_wishes = 0;
    int n = 0, left = n_answers;
    for (size_t i = 0; s->draft && i < s->running.n; i++) {
        struct job *j = s->running.v[i];
        if (gen_reading(j->gen))
            continue;
        left--;
        if (!mailbox_has_room(&j->box))
            continue;
        int most = answer_rows(s, j, s->max_rows - n - left);
        struct draft_wish *w = gen_wish(j->gen, most, n + left + beside);
        n += 1 + (w ? w->want : 0);
        if (w)
            s->wishes[n_wishes++] = w;
    }
    if (n_wishes)
        draft_model_make(s->draft, s->wishes, n_wishes, sched_prompt_rows(s, n));
}

static int plan_answers(struct sched *s, int *n_logits)
{
    int n = 0, left = 0, n_reading = 0;
    for (size_t i = 0; i < s->running.n; i++) {
        left += !gen_reading(s->running.v[i]->gen);
        n_reading += gen_reading(s->running.v[i]->gen);
    }
    int beside = n_reading ? sched_prompt_rows(s, left) : 0;
    make_guesses(s, left, beside);
    for (size_t i = 0; i < s->running.n; i++) {
        struct job *j = s->running.v[i];
        if (gen_reading(j->gen))
            continue;
        left--;
        if (blocked(j) || !sched_make_room(s, engine_seq_need(s->e, j->seq, 1), i))
            continue;
        int most = answer_rows(s, j, s->max_rows - n - left);
        int k = gen_rows(j->gen, s->rows + n, most, n + left + beside);
        if (k == 0 && when_full(s, j, i))
            k = gen_rows(j->gen, s->rows + n, 1, 0);
        if (k == 0)
            continue;
        put(s, j, k, n_logits);
        n += k;
    }
    return n;
}

/* The most rows, at most n, that j can append with the pages there are. */
static int rows_with_room(struct sched *s, struct job *j, int n, size_t at)
{
    if (sched_make_room(s, engine_seq_need(s->e, j->seq, n), at))
        return n;
    while (n > 0 && engine_seq_need(s->e, j->seq, n) > engine_free_pages(s->e) - s->reserved)
        n--;
    return n;
}

static int plan_prompts(struct sched *s, int n, int *n_logits)
{
    int left = sched_prompt_rows(s, n), begin = n;
    for (size_t i = 0; i < s->running.n && left > 0; i++) {
        struct job *j = s->running.v[i];
        if (!gen_reading(j->gen))
            continue;
        size_t want = gen_unread(j->gen);
        int most = want < (size_t)left ? (int)want : left;
        most = rows_with_room(s, j, most, i);
        if (most == 0)
            continue;
        int k = gen_rows(j->gen, s->rows + n, most, 0);
        put(s, j, k, n_logits);
        n += k;
        left -= k;
    }
    return n - begin;
}

/* ---- after the step ---- */

static void take(void *ctx, int worker, int64_t begin, int64_t end)
{
    struct sched *s = ctx;
    for (int64_t i = begin; i < end; i++) {
        struct job *j = s->stepping[i];
        gen_lend(j->gen, s->scratch[worker]);
        j->status = gen_take(j->gen, j->logits, &j->err);
    }
}

/* Averages over about eight steps; a step that is far off counts as twice the usual. */
static void learn(double *average, double now)
{
    if (*average == 0 || now < 0)
        *average = now > 0 ? now : *average;
    else
        *average += ((now < 2 * *average ? now : 2 * *average) - *average) / 8;
}

static void learn_times(struct sched *s, int n_answers, int n_prompts, int64_t ns)
{
    if (n_prompts == 0) {
        step_timed(&s->times, n_answers, ns);
    } else if (n_prompts >= LEAST_CHUNK / 2) {
        double others = n_answers ? step_time(&s->times, n_answers) : 0;
        learn(&s->prompt_row_ns, ((double)ns - others) / n_prompts);
    }
}

static void end_finished(struct sched *s)
{
    int64_t now = clock_ns();
    for (size_t i = 0; i < s->running.n;) {
        struct job *j = s->running.v[i];
        if (j->status == OK && gen_end(j->gen) == GEN_RUNNING) {
            mailbox_wake(&j->box, now, j->stats.n_generated == 1);
            i++;
            continue;
        }
        jobs_remove(&s->running, i);
        sched_end(s, j);
    }
}

bool sched_step(struct sched *s)
{
    struct err err;
    int n_logits = 0;
    s->n_stepping = 0;
    s->reserved = 0;
    for (size_t i = 0; i < s->running.n; i++)
        s->running.v[i]->n_rows = 0;
    int n_answers = plan_answers(s, &n_logits);
    int n_prompts = plan_prompts(s, n_answers, &n_logits);
    if (s->n_stepping) {
        int64_t start = clock_ns();
        enum status st = engine_step(s->e, s->rows, n_answers + n_prompts, &err);
        int64_t ns = clock_ns() - start;
        learn_times(s, n_answers, n_prompts, ns);
        s->count.steps++;
        s->count.busy_s += (double)ns * 1e-9;
        if (st == OK)
            pool_run(engine_pool(s->e), take, s, s->n_stepping, 1);
        for (int i = 0; i < s->n_stepping; i++) {
            struct job *j = s->stepping[i];
            if (st != OK) {
                j->status = st;
                j->err = err;
            }
            gen_settle(j->gen);
        }
    }
    size_t before = s->running.n;
    end_finished(s);
    return s->n_stepping > 0 || s->running.n != before;
}
