/* Texts of which an embedding is wanted, beside the answers: they are read in steps without logits,
 * several texts in one, as many rows at a time as prompts would get. What they hold in the cache is
 * for nobody else: when there is no room for more, the text gives its pages back and begins again
 * later, so that texts and answers never wait for each other. */
#include "chat/sched_int.h"
#include "base/clock.h"
#include "base/mem.h"
#include <stdlib.h>

enum { LEAST_ROWS = 24 };

/* One text. The asking thread owns it until it is in the inbox, and again once `over` is set. */
struct embed_job {
    struct embed_job *next;
    const int32_t *ids;
    size_t n, done;
    int seq; /* -1: not begun */
    struct pooler pooler;
    const atomic_int *cancel; /* or NULL */
    int n_rows;               /* of the step that is being made */
    bool over;
    enum status status;
    struct err err;
};

/* ---- the engine's thread ---- */

static void end(struct sched *s, struct embed_job **at, enum status status)
{
    struct embed_job *j = *at;
    *at = j->next;
    if (j->seq >= 0)
        engine_seq_free(s->e, j->seq);
    j->status = status;
    if (status == OK)
        s->count.prompt_tokens += (int64_t)j->n;
    pthread_mutex_lock(&s->mutex);
    j->over = true;
    pthread_cond_broadcast(&s->embedded);
    pthread_mutex_unlock(&s->mutex);
}

static void give_up_pages(struct sched *s, struct embed_job *j)
{
    engine_seq_free(s->e, j->seq);
    j->seq = -1;
    j->done = 0;
    pooler_again(&j->pooler);
}

int64_t sched_embed_pages(const struct sched *s)
{
    int64_t n = 0;
    for (const struct embed_job *j = s->embeds; j; j = j->next)
        if (j->seq >= 0)
            n += 1 + engine_seq_need(s->e, j->seq, (int64_t)(j->n - j->done));
    return n;
}

/* May it begin? A text that is alone always fits. */
static bool begin(struct sched *s, struct embed_job *j, bool alone)
{
    if (!alone && !sched_fits(s, engine_pages_of((int64_t)j->n) + 1))
        return false;
    j->status = engine_seq_new(s->e, &j->seq, &j->err);
    if (j->status != OK) {
        j->seq = -1;
        return false;
    }
    engine_seq_expect(s->e, j->seq, (int64_t)j->n);
    return true;
}

/* The next rows of j, at most `most`. */
static int put(struct sched *s, struct embed_job *j, int most, int n_rows)
{
    size_t left = j->n - j->done;
    int n = left < (size_t)most ? (int)left : most;
    int64_t need = engine_seq_need(s->e, j->seq, n);
    if (!sched_make_room(s, need, s->running.n)) {
        give_up_pages(s, j);
        return 0;
    }
    s->reserved += need;
    for (int i = 0; i < n; i++)
        s->rows[n_rows + i] = (struct step_row){j->ids[j->done + (size_t)i], j->seq,
                                                pooler_wants(&j->pooler, j->done + (size_t)i)};
    return n;
}

static int plan(struct sched *s)
{
    int answers = 0, n = 0;
    bool alone = s->running.n == 0, full = false;
    for (size_t i = 0; i < s->running.n; i++)
        answers += !gen_reading(s->running.v[i]->gen);
    int most = sched_prompt_rows(s, answers);
    most = most > LEAST_ROWS || s->max_rows < LEAST_ROWS ? most : LEAST_ROWS;
    s->reserved = 0;
    for (struct embed_job *j = s->embeds; j; j = j->next) {
        j->n_rows = 0;
        if (j->seq < 0 && !full) /* nobody is overtaken */
            full = !begin(s, j, alone);
        if (j->seq >= 0 && n < most)
            j->n_rows = put(s, j, most - n, n);
        alone = alone && j->seq < 0;
        n += j->n_rows;
    }
    return n;
}

static void take(struct sched *s)
{
    int hidden = 0, row = 0;
    for (struct embed_job *j = s->embeds; j; j = j->next) {
        for (int i = 0; i < j->n_rows; i++)
            if (s->rows[row + i].logits)
                pooler_add(&j->pooler, engine_hidden(s->e, hidden++));
        row += j->n_rows;
        j->done += (size_t)j->n_rows;
    }
}

bool sched_embed_step(struct sched *s)
{
    struct err err;
    enum status st = OK;
    for (struct embed_job **at = &s->embeds; *at;) {
        if ((*at)->cancel && atomic_load((*at)->cancel))
            end(s, at, err_set(&(*at)->err, ECANCEL, "embedding: stopped"));
        else
            at = &(*at)->next;
    }
    int n = s->embeds ? plan(s) : 0;
    if (n > 0) {
        int64_t start = clock_ns();
        st = engine_step_hidden(s->e, s->rows, n, &err);
        s->count.steps++;
        s->count.busy_s += (double)(clock_ns() - start) * 1e-9;
        if (st == OK)
            take(s);
    }
    for (struct embed_job **at = &s->embeds; *at;) {
        struct embed_job *j = *at;
        if (st != OK && j->n_rows > 0)
            j->err = err;
        enum status mine = j->n_rows > 0 ? st : j->status;
        if (mine != OK || j->done == j->n)
            end(s, at, mine);
        else
            at = &j->next;
    }
    return n > 0;
}

/* ---- the asking thread ---- */

static enum status check(const struct sched *s, const int32_t *ids, size_t n, struct err *err)
{
    if (n == 0)
        return err_set(err, EUSAGE, "embedding: no tokens, expected at least one");
    if ((int64_t)n > s->max_ctx)
        return err_set(err, ECONTEXT, "embedding: %zu tokens, but the context holds %lld", n,
                       (long long)s->max_ctx);
    for (size_t i = 0; i < n; i++) /* a bad row would be everybody's */
        if (ids[i] < 0 || ids[i] >= s->n_vocab)
            return err_set(err, EUSAGE, "embedding: token %d, expected 0 to %lld", (int)ids[i],
                           (long long)s->n_vocab - 1);
    return OK;
}

/* Hands the jobs to the engine's thread and waits for all of them. */
static enum status run(struct sched *s, struct embed_job *jobs, size_t n, struct err *err)
{
    pthread_mutex_lock(&s->mutex);
    for (size_t i = 0; i < n; i++) {
        *s->embed_inbox_end = &jobs[i];
        s->embed_inbox_end = &jobs[i].next;
    }
    pthread_cond_signal(&s->work);
    for (size_t i = 0; i < n; i++)
        while (!jobs[i].over)
            pthread_cond_wait(&s->embedded, &s->mutex);
    pthread_mutex_unlock(&s->mutex);
    for (size_t i = 0; i < n; i++)
        if (jobs[i].status != OK) {
            *err = jobs[i].err;
            return jobs[i].status;
        }
    return OK;
}

enum status sched_embed(struct provider *p, const struct embed_text *texts, size_t n,
                        enum pooling how, const atomic_int *cancel, struct err *err)
{
    struct sched *s = (struct sched *)p;
    struct embed_job *jobs = mem_array(n ? n : 1, sizeof *jobs);
    enum status st = jobs ? OK : err_set(err, ENOMEMORY, "embedding: no memory");
    for (size_t i = 0; st == OK && i < n; i++) {
        jobs[i] =
            (struct embed_job){.ids = texts[i].ids, .n = texts[i].n, .seq = -1, .cancel = cancel};
        st = check(s, texts[i].ids, texts[i].n, err);
        if (st == OK)
            st = pooler_init(&jobs[i].pooler, s->model, how, texts[i].n, err);
    }
    if (st == OK && n > 0)
        st = run(s, jobs, n, err);
    for (size_t i = 0; jobs && i < n; i++) {
        if (st == OK)
            pooler_finish(&jobs[i].pooler, false, texts[i].out);
        pooler_release(&jobs[i].pooler);
    }
    free(jobs);
    return st;
}

void sched_embed_take_inbox(struct sched *s)
{
    struct embed_job **end_of = &s->embeds;
    while (*end_of)
        end_of = &(*end_of)->next;
    *end_of = s->embed_inbox;
    s->embed_inbox = NULL;
    s->embed_inbox_end = &s->embed_inbox;
}
