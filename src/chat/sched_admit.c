/* Who runs: admission, prefixes that are shared, preemption, and the end of a job.
 *
 * A job is admitted when the pages that the rest of its prompt takes, beside what the running ones
 * still need for theirs, are free or kept for nobody in particular; the first in the order that
 * does not fit holds up those behind it, so that nobody is overtaken for ever. Of every four
 * admissions one goes to whoever waits the longest, whatever its priority.
 *
 * Answers grow, and pages may run out all the same. Then the last of the order gives its pages back
 * and waits again with its stepper, which keeps sampler, text and stops; the tokens are read again
 * later (gen_reseat). What a context shift has moved cannot be read again to the same bits: such a
 * sequence is put aside as a snapshot. */
#include "chat/sched_int.h"

enum {
    FAIR_TURN = 4,     /* one admission of these is the longest waiting's */
    WORTH_WAITING = 32 /* tokens of a prefix that somebody is reading now */
};

/* ---- shared beginnings ---- */

static size_t n_text(const struct job *j)
{
    return j->gen ? gen_n_text(j->gen) : j->turn->prompt.n;
}

static int32_t text_at(const struct job *j, size_t i)
{
    size_t n = j->turn->prompt.n;
    return i < n ? j->turn->prompt.id[i] : j->answer.id[i - n];
}

/* Tokens that two jobs' texts begin with alike, up to `most`. */
static size_t common(const struct job *a, const struct job *b, size_t most)
{
    const struct tokens *p = &a->turn->prompt, *q = &b->turn->prompt;
    size_t n = prefix_common(p->id, p->n, q->id, q->n), n_a = n_text(a), n_b = n_text(b);
    most = most < n_a ? most : n_a;
    most = most < n_b ? most : n_b;
    if (n < p->n && n < q->n)
        return n < most ? n : most;
    n = n < most ? n : most;
    while (n < most && text_at(a, n) == text_at(b, n))
        n++;
    return n;
}

/* Where a text's beginning can be had. */
struct source {
    int seq; /* -1: nowhere */
    size_t n;
    struct job *reader; /* it will have more of it soon; or NULL */
};

static struct source find_source(struct sched *s, struct job *j)
{
    struct source best = {.seq = -1};
    size_t most = n_text(j) - 1, later = 0; /* one token is computed: its logits are wanted */
    if (j->saved.n || (int64_t)n_text(j) > engine_share_limit(s->e))
        return best;
    const struct tokens *prompt = &j->turn->prompt;
    best.seq = prefix_find(&s->prefixes, prompt->id, most < prompt->n ? most : prompt->n, &best.n);
    for (size_t i = 0; i < s->running.n; i++) {
        struct job *r = s->running.v[i];
        if (r->stats.n_shifts || (int64_t)n_text(r) > engine_share_limit(s->e))
            continue;
        size_t same = common(j, r, most), held = (size_t)engine_seq_len(s->e, r->seq);
        size_t now = same < held ? same : held;
        if (now > best.n) {
            best.n = now;
            best.seq = r->seq;
        }
        if (gen_reading(r->gen) && same > later && same > now) {
            later = same;
            best.reader = r;
        }
    }
    if (later < best.n + WORTH_WAITING)
        best.reader = NULL;
    return best;
}

/* ---- room ---- */

/* Pages that the running ones need to read their prompts and go on a little. */
static int64_t promised(const struct sched *s)
{
    int64_t n = sched_embed_pages(s);
    for (size_t i = 0; i < s->running.n; i++)
        n += 1 +
             engine_seq_need(s->e, s->running.v[i]->seq, (int64_t)gen_unread(s->running.v[i]->gen));
    return n;
}

static void fail(struct sched *s, struct job *j, enum status status)
{
    j->status = status;
    sched_end(s, j);
}

/* Gives back a running job's pages; it waits again. */
static void preempt(struct sched *s, size_t i)
{
    struct job *j = s->running.v[i];
    enum status st = OK;
    jobs_remove(&s->running, i);
    if (j->stats.n_shifts) {
        j->saved.max = engine_seq_save_bytes(s->e, j->seq);
        j->n_pages = engine_pages_of(engine_seq_len(s->e, j->seq));
        st = engine_seq_save(s->e, j->seq, STR(""), &j->saved, &j->err);
    }
    engine_seq_free(s->e, j->seq);
    j->seq = -1;
    j->leader = -1;
    s->count.preempted++;
    if (st == OK && !jobs_insert(&s->waiting, j))
        st = err_set(&j->err, ENOMEMORY, "request: no memory to queue it");
    if (st != OK)
        fail(s, j, st);
}

/* The last of the order behind place `at` that has no rows in the step that is being made; 0:
 * none. */
static size_t victim(const struct sched *s, size_t at)
{
    for (size_t i = s->running.n; i-- > at + 1;)
        if (s->running.v[i]->n_rows == 0)
            return i;
    return 0;
}

bool sched_make_room(struct sched *s, int64_t need, size_t at)
{
    while (engine_free_pages(s->e) - s->reserved < need) {
        if (prefix_evict(&s->prefixes))
            continue;
        size_t i = victim(s, at);
        if (i == 0)
            return false;
        preempt(s, i);
    }
    return true;
}

/* ---- beginning ---- */

static int on_event(void *ctx, const struct gen_event *ev)
{
    struct job *j = ctx;
    mailbox_put(&j->box, ev);
    return 0;
}

/* A sequence with the text's beginning, as far as it can be had. */
static enum status seat(struct sched *s, struct job *j, const struct source *from)
{
    if (j->saved.n)
        return engine_seq_load(s->e, STR(""), buf_str(&j->saved), &j->seq, &j->err);
    if (from->seq >= 0)
        return engine_seq_fork(s->e, from->seq, (int64_t)from->n, &j->seq, &j->err);
    return engine_seq_new(s->e, &j->seq, &j->err);
}

static enum status begin(struct sched *s, struct job *j, size_t n_cached)
{
    if (j->saved.n) {
        buf_release(&j->saved);
        gen_reseat_whole(j->gen, j->seq);
        return OK;
    }
    if (j->gen) {
        gen_reseat(j->gen, j->seq, (int64_t)n_cached);
        return OK;
    }
    const struct tokens *prompt = &j->turn->prompt;
    const struct gen_io io = {
        .on_event = on_event, .ctx = j, .out = &j->answer, .stats = &j->stats};
    j->params.history = prompt->id;
    j->params.n_history = n_cached;
    j->n_cached = n_cached;
    enum status st = gen_new(&j->gen, s->e, j->seq, prompt->id + n_cached, prompt->n - n_cached,
                             &j->params, &io, &j->err);
    if (st != OK)
        return st;
    gen_lend(j->gen, s->scratch[0]); /* of hundreds of samplers, none needs its own */
    gen_share_times(j->gen, &s->times);
    s->count.prompt_tokens += (int64_t)prompt->n;
    s->count.cached_tokens += (int64_t)n_cached;
    return OK;
}

bool sched_fits(struct sched *s, int64_t need)
{
    int64_t all = need + promised(s), free = engine_free_pages(s->e);
    return all <= free || all <= free + prefix_pages(&s->prefixes);
}

static struct str identity(const struct sched *s)
{
    return str_from(s->identity);
}

/* A prefix that the store has more of than the cache comes back into the cache, if there is room
 * that nobody needs. */
static void restore(struct sched *s, struct job *j, size_t have)
{
    const struct tokens *p = &j->turn->prompt;
    struct buf snapshot;
    struct err ignored;
    int seq;
    if (!s->o.store || j->gen || j->looked || (int64_t)p->n > engine_share_limit(s->e))
        return;
    j->looked = true;
    buf_init(&snapshot, SIZE_MAX);
    have += WORTH_WAITING;
    size_t n = prefix_store_get(s->o.store, identity(s), p->id, p->n - 1, have, &snapshot);
    int64_t need = n ? engine_snapshot_pages(s->e, buf_str(&snapshot)) : 0;
    if (n && sched_fits(s, need) && sched_make_room(s, need, s->running.n)) {
        if (engine_seq_load(s->e, identity(s), buf_str(&snapshot), &seq, &ignored) != OK) {
            prefix_store_forget(s->o.store, identity(s), p->id, p->n - 1, have);
        } else if (engine_seq_len(s->e, seq) < (int64_t)n) {
            engine_seq_free(s->e, seq);
        } else {
            engine_seq_truncate(s->e, seq, (int64_t)n);
            prefix_keep(&s->prefixes, seq, p->id, n);
        }
    }
    buf_release(&snapshot);
}

void sched_save_prefixes(struct sched *s)
{
    if (!s->o.store)
        return;
    for (; s->prefixes.n; prefix_evict(&s->prefixes)) { /* the oldest first */
        struct prefix *p = prefix_oldest(&s->prefixes);
        struct buf snapshot;
        struct err ignored;
        buf_init(&snapshot, engine_seq_save_bytes(s->e, p->seq));
        if (engine_seq_save(s->e, p->seq, identity(s), &snapshot, &ignored) == OK)
            prefix_store_put(s->o.store, identity(s), p->id, p->n, &snapshot);
        buf_release(&snapshot);
    }
}

enum verdict { ADMITTED, FAILED, NO_ROOM };

static enum verdict admit(struct sched *s, struct job *j, const struct source *from)
{
    bool alone = s->running.n == 0 && sched_embed_pages(s) == 0; /* then it always fits */
    if (j->saved.n) {
        int64_t need = j->n_pages + 1;
        if (!alone && !sched_fits(s, need))
            return NO_ROOM;
        if (!sched_make_room(s, need, s->running.n))
            return NO_ROOM;
    }
    j->status = seat(s, j, from);
    if (j->status != OK)
        return FAILED;
    size_t unread = j->saved.n ? 1 : n_text(j) - from->n;
    if (!alone && !sched_fits(s, engine_seq_need(s->e, j->seq, (int64_t)unread) + 1) &&
        !j->saved.n) {
        engine_seq_free(s->e, j->seq);
        j->seq = -1;
        return NO_ROOM;
    }
    j->status = begin(s, j, from->n);
    if (j->status == OK && !jobs_insert(&s->running, j))
        j->status = err_set(&j->err, ENOMEMORY, "request: no memory to run it");
    return j->status == OK ? ADMITTED : FAILED;
}

static bool still_reading(const struct sched *s, int64_t order)
{
    for (size_t i = 0; i < s->running.n; i++)
        if (s->running.v[i]->order == order)
            return gen_reading(s->running.v[i]->gen);
    return false;
}

/* Places in the waiting list that are tried one after the other: the order, or from the longest
 * waiting on. */
static size_t first_place(const struct sched *s)
{
    size_t oldest = 0;
    if (s->n_admitted % FAIR_TURN != FAIR_TURN - 1)
        return 0;
    for (size_t i = 1; i < s->waiting.n; i++)
        if (s->waiting.v[i]->order < s->waiting.v[oldest]->order)
            oldest = i;
    return oldest;
}

void sched_admit(struct sched *s)
{
    s->reserved = 0;
    for (size_t i = first_place(s); i < s->waiting.n && (int)s->running.n < s->max_rows;) {
        struct job *j = s->waiting.v[i];
        if (j->leader >= 0 && still_reading(s, j->leader)) {
            i++;
            continue;
        }
        struct source from = find_source(s, j);
        if (s->o.store && !j->looked) {
            restore(s, j, from.n);
            from = find_source(s, j);
        }
        j->leader = from.reader ? from.reader->order : -1;
        if (from.reader) {
            i++;
            continue;
        }
        enum verdict v = admit(s, j, &from);
        if (v == NO_ROOM)
            return;
        jobs_remove(&s->waiting, i);
        s->n_admitted++;
        if (v == FAILED)
            sched_end(s, j);
        i = first_place(s);
    }
}

/* ---- the end ---- */

/* What the sequence holds may serve the next prompt. */
static void keep(struct sched *s, struct job *j)
{
    int64_t n = engine_seq_len(s->e, j->seq), limit = engine_share_limit(s->e);
    struct tokens held = {0};
    bool sure = j->status == OK && j->stats.n_shifts == 0 && (int64_t)j->turn->prompt.n <= limit;
    if (n > limit && sure)
        engine_seq_truncate(s->e, j->seq, n = limit);
    for (int64_t i = 0; i < n && sure; i++)
        sure = tokens_add(&held, text_at(j, (size_t)i));
    if (sure)
        prefix_keep(&s->prefixes, j->seq, held.id, held.n);
    else
        engine_seq_free(s->e, j->seq);
    tokens_free(&held);
}

void sched_end(struct sched *s, struct job *j)
{
    if (j->seq >= 0)
        keep(s, j);
    j->seq = -1;
    s->count.answer_tokens += j->stats.n_generated;
    s->count.drafted += j->stats.n_drafted;
    s->count.accepted += j->stats.n_accepted;
    gen_free(j->gen);
    j->gen = NULL;
    buf_release(&j->saved);
    sched_publish(s);       /* who has an answer sees it counted */
    mailbox_close(&j->box); /* from here on the job is no more */
}
