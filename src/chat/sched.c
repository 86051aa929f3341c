/* The provider and its thread: requests come in, steps are made, answers go out. */
#include "chat/sched_int.h"
#include "base/clock.h"
#include "base/mem.h"
#include <signal.h>
#include <stdlib.h>

enum {
    DEFAULT_ROWS = 256,
    DEFAULT_QUEUE = 4096,
    POLL_NS = 2000000 /* jobs that only wait for their sinks are looked at this often */
};

/* ---- lists ---- */

static bool before(const struct job *a, const struct job *b)
{
    return a->priority != b->priority ? a->priority > b->priority : a->order < b->order;
}

bool jobs_insert(struct job_list *l, struct job *j)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 64;
        struct job **v = mem_resize(l->v, cap, sizeof(struct job *));
        if (!v)
            return false;
        l->v = v;
        l->cap = cap;
    }
    size_t i = l->n++;
    for (; i > 0 && before(j, l->v[i - 1]); i--)
        l->v[i] = l->v[i - 1];
    l->v[i] = j;
    return true;
}

void jobs_remove(struct job_list *l, size_t i)
{
    l->n--;
    memmove(l->v + i, l->v + i + 1, (l->n - i) * sizeof(struct job *));
}

/* ---- the engine's thread ---- */

static void fail_without_memory(struct sched *s, struct job *j)
{
    j->status = err_set(&j->err, ENOMEMORY, "request: no memory to queue it");
    sched_end(s, j);
}

void sched_publish(struct sched *s)
{
    s->count.running = (int)s->running.n;
    s->count.waiting = (int)s->waiting.n;
    s->count.kv_used = 0;
    for (size_t i = 0; i < s->running.n; i++)
        s->count.kv_used += engine_seq_len(s->e, s->running.v[i]->seq);
    s->count.kv_cached = prefix_tokens(&s->prefixes);
    pthread_mutex_lock(&s->mutex);
    s->stats = s->count;
    s->n_waiting = (int)s->waiting.n;
    pthread_mutex_unlock(&s->mutex);
}

/* Takes what has come. False: time to stop. */
static bool take_inbox(struct sched *s)
{
    pthread_mutex_lock(&s->mutex);
    struct job *j = s->inbox;
    s->inbox = NULL;
    s->inbox_end = &s->inbox;
    s->n_waiting += s->n_inbox;
    s->n_inbox = 0;
    sched_embed_take_inbox(s);
    bool stop = s->stopping && !j && !s->waiting.n && !s->running.n && !s->embeds;
    pthread_mutex_unlock(&s->mutex);
    for (struct job *next; j; j = next) {
        next = j->next;
        if (!jobs_insert(&s->waiting, j))
            fail_without_memory(s, j);
    }
    return !stop;
}

/* Waits for a request, or a little for sinks. */
static void rest(struct sched *s)
{
    struct timespec until;
    for (size_t i = 0; i < s->running.n; i++)
        mailbox_wake(&s->running.v[i]->box, clock_ns(), true);
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += POLL_NS;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    pthread_mutex_lock(&s->mutex);
    if (s->running.n || s->waiting.n || s->embeds) {
        if (!s->inbox && !s->embed_inbox)
            pthread_cond_timedwait(&s->work, &s->mutex, &until);
    } else {
        while (!s->inbox && !s->embed_inbox && !s->stopping)
            pthread_cond_wait(&s->work, &s->mutex);
    }
    pthread_mutex_unlock(&s->mutex);
}

/* Wanted no more: by its sink, its canceller or its deadline. */
static bool unwanted(struct job *j)
{
    j->late = turn_late(j->turn);
    return j->late || turn_cancelled(j->turn) || atomic_load(&j->stop);
}

static void end_unwanted(struct sched *s, struct job_list *l)
{
    for (size_t i = 0; i < l->n;) {
        struct job *j = l->v[i];
        if (!unwanted(j)) {
            i++;
            continue;
        }
        jobs_remove(l, i);
        if (j->gen)
            gen_cancel(j->gen);
        else
            j->stats = (struct gen_stats){.end = GEN_CANCELLED, .stop_index = -1};
        sched_end(s, j);
    }
}

static void *run(void *ctx)
{
    struct sched *s = ctx;
    while (take_inbox(s)) {
        end_unwanted(s, &s->waiting);
        end_unwanted(s, &s->running);
        sched_admit(s);
        sched_publish(s);
        bool worked = sched_step(s);
        worked = sched_embed_step(s) || worked;
        if (!worked)
            rest(s);
    }
    return NULL;
}

/* ---- the asking thread ---- */

/* What the reader of a mailbox needs. */
struct reader {
    struct turn *turn;
    struct job *job;
    bool stopped;
    int64_t n_told;
};

static int on_event(void *ctx, const struct gen_event *ev)
{
    struct reader *r = ctx;
    if (r->stopped)
        return 1;
    r->n_told += ev->tok != NULL;
    r->stopped = turn_event(r->turn, ev) != 0;
    if (r->stopped)
        atomic_store(&r->job->stop, 1);
    return r->stopped;
}

static enum status submit(struct sched *s, struct job *j, struct err *err)
{
    enum status st = OK;
    pthread_mutex_lock(&s->mutex);
    int n = s->n_waiting + s->n_inbox;
    if (n >= s->o.max_queue) {
        st = err_set(err, EBUSY, "queue: %d requests wait already, expected fewer than %d", n,
                     s->o.max_queue);
    } else {
        j->order = s->n_arrived++;
        *s->inbox_end = j;
        s->inbox_end = &j->next;
        s->n_inbox++;
        pthread_cond_signal(&s->work);
    }
    pthread_mutex_unlock(&s->mutex);
    return st;
}

/* A prompt that can never fit is told at once. */
static enum status check_prompt(const struct sched *s, const struct job *j, struct err *err)
{
    int64_t n_ctx = j->params.n_ctx;
    if (j->turn->prompt.n == 0)
        return err_set(err, EUSAGE, "prompt: no tokens, expected at least one");
    if ((int64_t)j->turn->prompt.n > n_ctx)
        return err_set(err, ECONTEXT, "prompt: %zu tokens, but the context holds %lld",
                       j->turn->prompt.n, (long long)n_ctx);
    for (size_t i = 0; i < j->turn->prompt.n; i++) { /* a bad row would be everybody's */
        int32_t id = j->turn->prompt.id[i];
        if (id < 0 || id >= s->n_vocab)
            return err_set(err, EUSAGE, "prompt: token %d, expected 0 to %lld", (int)id,
                           (long long)s->n_vocab - 1);
    }
    return OK;
}

/* Waits for the answer and tells it. */
static enum status listen(struct sched *s, struct turn *t, struct job *j, struct err *err)
{
    struct reader r = {.turn = t, .job = j};
    enum status st = submit(s, j, err);
    if (st != OK)
        return st;
    while (mailbox_read(&j->box, on_event, &r))
        ;
    if (j->status != OK) {
        *err = j->err;
        return j->status;
    }
    t->late = t->late || j->late;
    if (r.stopped) { /* what came behind was not told */
        j->stats.end = GEN_CANCELLED;
        j->stats.stop_index = -1;
        j->stats.n_generated = r.n_told;
    }
    if (j->box.failed)
        return err_set(err, ENOMEMORY, "request: no memory for its events");
    return turn_done(t, j->n_cached, &j->answer, &j->stats, err);
}

static enum status sched_chat(struct provider *p, const struct chat_request *r,
                              const struct chat_sink *sink, struct err *err)
{
    struct sched *s = (struct sched *)p;
    struct turn t;
    enum status st = turn_open(&t, s->model, s->format, r, sink, err);
    struct job *j = st == OK ? mem_array(1, sizeof *j) : NULL;
    if (st == OK && !j)
        st = err_set(err, ENOMEMORY, "request: no memory");
    if (st == OK)
        st = mailbox_init(&j->box, err);
    if (st == OK) {
        j->turn = &t;
        buf_init(&j->saved, 0);
        j->params = t.params;
        if (j->params.n_ctx == 0 || j->params.n_ctx > s->max_ctx)
            j->params.n_ctx = s->max_ctx;
        j->params.draft_model = s->draft;
        j->priority = r->priority;
        j->seq = -1;
        j->leader = -1;
        st = check_prompt(s, j, err);
        if (st == OK)
            st = listen(s, &t, j, err);
        mailbox_release(&j->box);
        tokens_free(&j->answer);
    }
    free(j);
    turn_close(&t);
    return st;
}

/* ---- life ---- */

static void sched_free(struct provider *p)
{
    struct sched *s = (struct sched *)p;
    if (s->started) {
        pthread_mutex_lock(&s->mutex);
        s->stopping = true;
        pthread_cond_signal(&s->work);
        pthread_mutex_unlock(&s->mutex);
        pthread_join(s->thread, NULL);
        pthread_mutex_destroy(&s->mutex);
        pthread_cond_destroy(&s->work);
        pthread_cond_destroy(&s->embedded);
    }
    if (s->e) {
        for (int i = 0; s->scratch && i < pool_size(engine_pool(s->e)); i++)
            sampler_scratch_free(s->scratch[i]);
        free(s->scratch);
        sched_save_prefixes(s);
        prefix_release(&s->prefixes);
        draft_model_free(s->draft);
        engine_free(s->e);
    }
    prompt_format_free(s->format);
    free(s->identity);
    free(s->rows);
    free(s->stepping);
    free(s->wishes);
    free(s->waiting.v);
    free(s->running.v);
    free(s);
}

static enum status sched_prompt(struct provider *p, const struct chat_request *r, struct buf *text,
                                struct tokens *ids, struct err *err)
{
    struct sched *s = (struct sched *)p;
    return turn_prompt(s->model, s->format, r, text, ids, err);
}

static const struct provider_ops sched_ops = {
    .name = "local", .chat = sched_chat, .prompt = sched_prompt, .free = sched_free};

static enum status start_thread(struct sched *s, struct err *err)
{
    pthread_condattr_t monotonic;
    sigset_t all, old;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&s->mutex, NULL);
    pthread_cond_init(&s->work, &monotonic);
    pthread_cond_init(&s->embedded, NULL);
    s->embed_inbox_end = &s->embed_inbox;
    pthread_condattr_destroy(&monotonic);
    s->inbox_end = &s->inbox;
    /* signals are for the threads that wait for them */
    sigfillset(&all);
    sigdelset(&all, SIGBUS); /* its own: file_map_guard */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&s->thread, NULL, run, s);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    s->started = rc == 0;
    if (rc == 0)
        return OK;
    pthread_mutex_destroy(&s->mutex);
    pthread_cond_destroy(&s->work);
    pthread_cond_destroy(&s->embedded);
    return err_set(err, EFAIL, "scheduler: cannot start its thread: %s", strerror(rc));
}

static enum status make_scratch(struct sched *s, struct err *err)
{
    int n = pool_size(engine_pool(s->e));
    enum status st = OK;
    s->rows = mem_array((size_t)s->max_rows, sizeof *s->rows);
    s->stepping = mem_array((size_t)s->max_rows, sizeof(struct job *));
    s->wishes = mem_array((size_t)s->max_rows, sizeof(struct draft_wish *));
    s->scratch = mem_array((size_t)n, sizeof(struct sampler_scratch *));
    if (!s->rows || !s->stepping || !s->wishes || !s->scratch)
        return err_set(err, ENOMEMORY, "scheduler: no memory for steps of %d rows", s->max_rows);
    for (int i = 0; st == OK && i < n; i++)
        st = sampler_scratch_new(&s->scratch[i], (size_t)s->n_vocab, err);
    return st;
}

static enum status sched_init(struct sched *s, const struct sched_options *o, struct err *err)
{
    s->base.ops = &sched_ops;
    s->o = *o;
    s->o.chat_template = (struct str){NULL, 0};
    if (s->o.max_queue == 0)
        s->o.max_queue = DEFAULT_QUEUE;
    if (o->max_queue < 0 || o->max_ctx < 0)
        return err_set(err, EUSAGE, "scheduler: max_queue %d, max_ctx %lld, expected 0 or more",
                       o->max_queue, (long long)o->max_ctx);
    if (o->store && (o->identity.n == 0 || o->identity.n > 255))
        return err_set(err, EUSAGE, "scheduler: an identity of %zu bytes, expected 1 to 255",
                       o->identity.n);
    if (o->store && !(s->identity = mem_dup(o->identity.p, o->identity.n)))
        return err_set(err, ENOMEMORY, "scheduler: no memory");
    enum status st = prompt_format_new(&s->format, s->model, o->chat_template, err);
    /* every row of a step may be an answer's, and answers pick on several threads */
    struct engine_options eo = o->engine;
    eo.max_rows = eo.max_rows ? eo.max_rows : DEFAULT_ROWS;
    eo.max_logits = eo.max_rows;
    if (st == OK)
        st = engine_new(&s->e, s->model, &eo, err);
    if (st != OK)
        return st;
    /* the draft's engine looks back as far, steps as wide, and works with the same threads */
    eo.pool = engine_pool(s->e);
    eo.n_ctx = engine_n_ctx(s->e);
    eo.max_logits = 0;
    if (o->draft)
        st = draft_model_new(&s->draft, o->draft, s->model, &eo, err);
    if (st != OK)
        return st;
    struct model_info info;
    model_info(s->model, &info);
    s->n_vocab = info.n_vocab;
    int64_t n_ctx = engine_n_ctx(s->e);
    s->max_ctx = o->max_ctx && o->max_ctx < n_ctx ? o->max_ctx : n_ctx;
    s->max_rows = engine_max_rows(s->e);
    s->count.kv_tokens = n_ctx;
    s->stats = s->count;
    prefix_init(&s->prefixes, s->e);
    st = make_scratch(s, err);
    return st == OK ? start_thread(s, err) : st;
}

enum status sched_new(struct provider **out, const struct model *m, const struct sched_options *o,
                      struct err *err)
{
    static const struct sched_options defaults;
    *out = NULL;
    struct sched *s = mem_array(1, sizeof *s);
    if (!s)
        return err_set(err, ENOMEMORY, "scheduler: no memory");
    s->model = m;
    enum status st = sched_init(s, o ? o : &defaults, err);
    if (st != OK) {
        sched_free(&s->base);
        return st;
    }
    *out = &s->base;
    return OK;
}

void sched_stats(struct provider *p, struct sched_stats *out)
{
    struct sched *s = (struct sched *)p;
    pthread_mutex_lock(&s->mutex);
    *out = s->stats;
    pthread_mutex_unlock(&s->mutex);
}

struct engine *sched_engine(struct provider *p)
{
    return ((struct sched *)p)->e;
}
