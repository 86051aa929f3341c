/* Runs the lines: as many threads as lines in flight, each asks one line after another; whoever has
 * an answer writes it (or, before its turn, the journal). */
#include "base/clock.h"
#include "base/jsonw.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/show.h"
#include "server/ask.h"
#include "server/batch_int.h"
#include "server/inner.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CONCURRENT = 64, AHEAD = 1024, ANSWER_MAX = 256 << 20, TICK_MS = 100, RETRY_MS = 200 };

struct run {
    const struct batch_options *o;
    struct batch_lines lines;
    struct batch_file out, errors, journal;
    struct batch_counts c;
    pthread_mutex_t lock;
    pthread_cond_t moved, ended; /* a turn came; a thread left */
    size_t next, turn;           /* the next line to ask; in order: the next to write */
    int64_t n_held;
    int running;
    atomic_int stop;
    enum status status;
    struct err err;
};

/* Under the lock: the first thing that went wrong ends the run. */
static void give_up(struct run *r, enum status s, const struct err *err)
{
    if (r->status == OK) {
        r->status = s;
        r->err = *err;
    }
    atomic_store(&r->stop, 1);
    pthread_cond_broadcast(&r->moved);
}

/* ---- what an earlier run left ---- */

static enum status found_line(struct run *r, struct str line, const json_t *v, bool held,
                              struct err *err)
{
    struct str id = json_str(json_object_get(v, "custom_id"));
    struct batch_line *l = lines_find(&r->lines, id);
    if (!l)
        return err_set(err, EFORMAT,
                       "answers custom_id '%s', which '%s' has not: the output of another batch?",
                       show(id).s, r->o->name ? r->o->name : r->o->in);
    if (l->state != LINE_OPEN) {
        /* the journal may hold what was written since */
        return held ? OK
                    : err_set(err, EFORMAT, "answers custom_id '%s' a second time", show(id).s);
    }
    if (held) {
        l->held = malloc(line.n + 2);
        if (!l->held)
            return err_set(err, ENOMEMORY, "no memory for an answer that waits");
        memcpy(l->held, line.p, line.n);
        memcpy(l->held + line.n, "\n", 2);
        l->state = LINE_HELD;
        r->n_held++;
    } else {
        l->state = LINE_DONE;
    }
    r->c.found++;
    if (answer_failed(v))
        r->c.failed++;
    else
        r->c.completed++;
    return OK;
}

static enum status found_answer(void *ctx, struct str line, const json_t *v, struct err *err)
{
    return found_line(ctx, line, v, false, err);
}

static enum status found_held(void *ctx, struct str line, const json_t *v, struct err *err)
{
    return found_line(ctx, line, v, true, err);
}

/* Answers appended to the questions would be the end of them. */
static enum status refuse_same(const char *a, const char *b, struct err *err)
{
    struct stat x, y;
    if (b && stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino)
        return err_set(err, EUSAGE, "'%s' and '%s' are the same file", a, b);
    return OK;
}

static enum status open_files(struct run *r, struct err *err)
{
    const struct batch_options *o = r->o;
    char *path = NULL;
    enum status s = refuse_same(o->in, o->out, err);
    if (s == OK)
        s = refuse_same(o->in, o->errors, err);
    if (s == OK)
        s = answers_open(&r->out, o->out, found_answer, r, err);
    if (s == OK && o->errors)
        s = answers_open(&r->errors, o->errors, found_answer, r, err);
    if (s == OK && asprintf(&path, "%s.journal", o->out) < 0)
        s = err_set(err, ENOMEMORY, "'%s': no memory", o->out);
    /* an unordered run takes in what one in order left */
    if (s == OK && (!o->unordered || access(path, F_OK) == 0))
        s = answers_open(&r->journal, path, found_held, r, err);
    free(path);
    return s;
}

/* ---- writing ---- */

/* In order: writes all answers whose turn has come. Under the lock, as all below. */
static enum status write_turns(struct run *r, struct err *err)
{
    enum status s = OK;
    bool any = false;
    while (s == OK && r->turn < r->lines.n && r->lines.at[r->turn].state >= LINE_HELD) {
        struct batch_line *l = &r->lines.at[r->turn];
        if (l->state == LINE_HELD) {
            s = answers_add(&r->out, str_from(l->held), err);
            if (s != OK)
                break;
            free(l->held);
            l->held = NULL;
            l->state = LINE_DONE;
            any = --r->n_held == 0;
        }
        r->turn++;
    }
    if (s == OK && any && r->journal.size)
        s = answers_clear(&r->journal, err);
    pthread_cond_broadcast(&r->moved);
    return s;
}

static enum status write_answer(struct run *r, struct batch_line *l, struct str answer, bool failed,
                                struct err *err)
{
    enum status s;
    bool in_turn = (size_t)(l - r->lines.at) == r->turn;
    if (r->o->unordered || in_turn) {
        s = answers_add(failed && r->o->errors ? &r->errors : &r->out, answer, err);
        l->state = LINE_DONE;
    } else {
        s = answers_add(&r->journal, answer, err);
        l->held = s == OK ? mem_dup(answer.p, answer.n) : NULL;
        if (s == OK && !l->held)
            s = err_set(err, ENOMEMORY, "no memory for an answer that waits");
        l->state = LINE_HELD;
        r->n_held += s == OK;
    }
    if (s != OK)
        return s;
    if (failed)
        r->c.failed++;
    else
        r->c.completed++;
    return r->o->unordered ? OK : write_turns(r, err);
}

/* ---- asking ---- */

static void add_answer(struct buf *out, struct str id, int http_status, const char *request,
                       struct str body, const struct err *failed)
{
    char hex[33];
    struct jsonw w;
    struct buf name;
    random_hex(hex, 16);
    buf_init(&name, 64);
    buf_printf(&name, "batch_req_%s", hex);
    jsonw_init(&w, out, 0);
    jsonw_obj(&w);
    jsonw_kstr(&w, "id", buf_str(&name)); /* first: ANSWER_HEAD */
    buf_release(&name);
    jsonw_kstr(&w, "custom_id", id);
    jsonw_key(&w, "response");
    if (failed) {
        jsonw_null(&w);
        jsonw_key(&w, "error");
        jsonw_obj(&w);
        jsonw_kstr(&w, "code", str_from(status_name(failed->code)));
        jsonw_kstr(&w, "message", str_from(failed->msg));
        jsonw_end(&w);
    } else {
        jsonw_obj(&w);
        jsonw_kint(&w, "status_code", http_status);
        jsonw_kstr(&w, "request_id", str_from(request));
        jsonw_key(&w, "body");
        jsonw_raw(&w, body);
        jsonw_end(&w);
        jsonw_key(&w, "error");
        jsonw_null(&w);
    }
    jsonw_end(&w);
    buf_addc(out, '\n');
}

/* The body of a line as it is asked. The caller frees. */
static char *line_body(const json_t *line, struct str model)
{
    json_t *body = json_object_get(line, "body");
    if (model.p && json_object_set_new(body, "model", json_stringn(model.p, model.n)) != 0)
        return NULL;
    return json_dumps(body, JSON_COMPACT);
}

/* Asks until the server is not busy any more. */
static enum status call(struct run *r, struct str url, struct str body, int *http_status,
                        char request[INNER_ID], struct buf *answer, struct err *err)
{
    const struct batch_options *o = r->o;
    struct inner_call c = {.app = o->app,
                           .method = STR("POST"),
                           .path = url,
                           .body = body,
                           .key_name = o->key_name,
                           .priority = o->priority,
                           .gone = &r->stop,
                           .routes = o->routes,
                           .n_routes = o->n_routes};
    for (;;) {
        buf_clear(answer);
        enum status s = inner_call(&c, http_status, request, answer, err);
        if (s != OK || *http_status != 503)
            return s;
        usleep(RETRY_MS * 1000);
    }
}

/* The line's answer, with its end. ECANCEL alone means that there is none. */
static enum status ask_line(struct run *r, const struct batch_line *l, struct buf *out,
                            bool *failed, struct err *err)
{
    json_t *v = NULL;
    char request[INNER_ID] = "";
    int http_status = 0;
    struct buf answer;
    buf_init(&answer, ANSWER_MAX);
    enum status s = json_parse(&v, l->text, "line", err);
    char *body = s == OK ? line_body(v, r->o->model) : NULL;
    if (s == OK && !body)
        s = err_set(err, ENOMEMORY, "no memory for the request");
    if (s == OK)
        s = call(r, json_str(json_object_get(v, "url")), str_from(body), &http_status, request,
                 &answer, err);
    free(body);
    json_decref(v);
    *failed = s != OK || http_status >= 400;
    if (s != ECANCEL)
        add_answer(out, l->id, http_status, request, buf_str(&answer), s == OK ? NULL : err);
    buf_release(&answer);
    return s == ECANCEL ? s : buf_check(out, "answer", err);
}

/* The next line to ask, or NULL when there is none left. Waits while answers in order are too far
 * ahead of the one whose turn it is. */
static struct batch_line *take_line(struct run *r)
{
    while (!atomic_load(&r->stop)) {
        while (r->next < r->lines.n && r->lines.at[r->next].state != LINE_OPEN)
            r->next++;
        if (r->next == r->lines.n)
            return NULL;
        if (r->o->unordered || r->next < r->turn + AHEAD) {
            struct batch_line *l = &r->lines.at[r->next++];
            l->state = LINE_RUNS;
            return l;
        }
        pthread_cond_wait(&r->moved, &r->lock);
    }
    return NULL;
}

static void *worker(void *ctx)
{
    struct run *r = ctx;
    struct batch_line *l;
    struct buf out;
    struct err err = {0};
    buf_init(&out, ANSWER_MAX);
    pthread_mutex_lock(&r->lock);
    while ((l = take_line(r)) != NULL) {
        bool failed;
        pthread_mutex_unlock(&r->lock);
        buf_clear(&out);
        enum status s = ask_line(r, l, &out, &failed, &err);
        pthread_mutex_lock(&r->lock);
        if (s == OK)
            s = write_answer(r, l, buf_str(&out), failed, &err);
        if (s != OK && !(s == ECANCEL && atomic_load(&r->stop)))
            give_up(r, s, &err);
    }
    r->running--;
    pthread_cond_signal(&r->ended);
    pthread_mutex_unlock(&r->lock);
    buf_release(&out);
    return NULL;
}

/* ---- the run ---- */

static void tell(struct run *r)
{
    struct batch_counts c = r->c;
    pthread_mutex_unlock(&r->lock);
    int stop = r->o->progress ? r->o->progress(r->o->ctx, &c) : 0;
    pthread_mutex_lock(&r->lock);
    if (stop && !atomic_load(&r->stop)) {
        struct err err;
        err_set(&err, ECANCEL, "stopped with %lld of %lld lines answered",
                (long long)(r->c.completed + r->c.failed), (long long)r->c.total);
        give_up(r, ECANCEL, &err);
    }
}

static enum status run_workers(struct run *r, struct err *err)
{
    int n = r->o->concurrent > 0 ? r->o->concurrent : CONCURRENT;
    if ((size_t)n > r->lines.n)
        n = (int)r->lines.n;
    pthread_t *threads = mem_array((size_t)n, sizeof *threads);
    if (!threads)
        return err_set(err, ENOMEMORY, "batch: no memory for %d lines at once", n);
    int started = 0;
    pthread_mutex_lock(&r->lock);
    r->running = n;
    while (started < n && pthread_create(&threads[started], NULL, worker, r) == 0)
        started++;
    r->running -= n - started;
    if (started == 0)
        give_up(r, ENOMEMORY, &(struct err){ENOMEMORY, "batch: no thread"});
    while (r->running > 0) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += TICK_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        pthread_cond_timedwait(&r->ended, &r->lock, &until);
        tell(r);
    }
    pthread_mutex_unlock(&r->lock);
    for (int i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    free(threads);
    if (r->status != OK && err)
        *err = r->err;
    return r->status;
}

/* The answers that an earlier run held, now that nothing runs: an unordered run writes them where
 * they belong, too. */
static enum status write_held(struct run *r, struct err *err)
{
    enum status s = OK;
    if (!r->o->unordered)
        return write_turns(r, err);
    for (size_t i = 0; s == OK && i < r->lines.n; i++) {
        struct batch_line *l = &r->lines.at[i];
        if (l->state != LINE_HELD)
            continue;
        s = answers_add(&r->out, str_from(l->held), err);
        l->state = LINE_DONE;
    }
    return s;
}

static enum status finish(struct run *r, struct err *err)
{
    enum status s = answers_sync(&r->out, err);
    if (s == OK && r->errors.fd >= 0)
        s = answers_sync(&r->errors, err);
    if (s == OK && r->journal.path && unlink(r->journal.path) != 0)
        s = err_set(err, EIO, "'%s': %s", r->journal.path, strerror(errno));
    return s;
}

enum status batch_run(const struct batch_options *o, struct batch_counts *c, struct err *err)
{
    struct run r = {.o = o, .out.fd = -1, .errors.fd = -1, .journal.fd = -1};
    pthread_mutex_init(&r.lock, NULL);
    pthread_cond_init(&r.moved, NULL);
    pthread_cond_init(&r.ended, NULL);
    *c = (struct batch_counts){0};
    enum status s = o->errors && !o->unordered
                        ? err_set(err, EUSAGE, "batch: a file of errors needs `unordered`")
                        : lines_open(&r.lines, o, err);
    if (s == OK)
        s = open_files(&r, err);
    if (s == OK) {
        r.c.total = (int64_t)r.lines.n;
        s = write_held(&r, err);
    }
    if (s == OK)
        s = run_workers(&r, err);
    if (s == OK)
        s = finish(&r, err);
    r.c.bad_line = r.lines.bad_line;
    *c = r.c;
    answers_close(&r.out);
    answers_close(&r.errors);
    answers_close(&r.journal);
    lines_close(&r.lines);
    pthread_cond_destroy(&r.moved);
    pthread_cond_destroy(&r.ended);
    pthread_mutex_destroy(&r.lock);
    return s;
}
