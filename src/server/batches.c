#include "server/batches.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/show.h"
#include "base/utf8.h"
#include "server/archive.h"
#include "server/ask.h"
#include "server/batch.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BODY_MAX = 4 << 20, CONCURRENT = 16, PRIORITY = -1, SAVE_NS = 1000000000 };

struct batches {
    struct app *app;
    const struct route *routes;
    size_t n_routes;
    pthread_t thread;
    pthread_mutex_t lock; /* of the fields below, and of every change to a batch's row */
    pthread_cond_t wake;
    bool stop, cancel;        /* cancel: the one that runs */
    char running[ARCHIVE_ID]; /* its id, or empty */
};

static int64_t now_s(void)
{
    return unix_now_ns() / 1000000000;
}

/* ---- a batch's row ---- */

static enum status save(struct batches *b, json_t *v, struct err *err)
{
    char *text = json_dumps(v, JSON_COMPACT);
    if (!text)
        return err_set(err, ENOMEMORY, "batch: no memory");
    enum status s = archive_batch_set(b->app->archive, json_str(json_object_get(v, "id")),
                                      json_str(json_object_get(v, "status")), str_from(text), err);
    free(text);
    return s;
}

static enum status load(struct batches *b, struct str owner, struct str id, json_t **out,
                        struct err *err)
{
    struct buf body;
    *out = NULL;
    buf_init(&body, BODY_MAX);
    enum status s = archive_batch_get(b->app->archive, owner, id, &body, err);
    if (s == OK)
        s = json_parse(out, buf_str(&body), "stored batch", err);
    buf_release(&body);
    return s;
}

/* status, and "<status>_at" unless it has one; both are kept strings of OpenAI's. */
static void set_status(json_t *v, const char *status)
{
    char at[32];
    snprintf(at, sizeof at, "%s_at", status);
    json_object_set_new(v, "status", json_string(status));
    if (!json_is_integer(json_object_get(v, at)))
        json_object_set_new(v, at, json_integer(now_s()));
}

static bool has_status(const json_t *v, const char *status)
{
    const char *s = json_string_value(json_object_get(v, "status"));
    return s && strcmp(s, status) == 0;
}

/* ---- running ---- */

struct job {
    struct batches *b;
    struct str id, owner;
    json_t *v; /* the row as this thread knows it; only counts and status are changed here */
    char *in, *out, *errors;
    char out_id[ARCHIVE_ID], errors_id[ARCHIVE_ID];
    struct batch_counts counts;
    int64_t saved_ns;
};

/* Under the lock. Takes in that somebody has cancelled it meanwhile. */
static enum status update(struct job *j, const char *status, struct err *err)
{
    json_t *fresh;
    enum status s = load(j->b, j->owner, j->id, &fresh, err);
    if (s != OK)
        return s;
    json_decref(j->v);
    j->v = fresh;
    json_object_set_new(j->v, "request_counts",
                        json_pack("{s:I, s:I, s:I}", "total", (json_int_t)j->counts.total,
                                  "completed", (json_int_t)j->counts.completed, "failed",
                                  (json_int_t)j->counts.failed));
    if (status)
        set_status(j->v, status);
    return save(j->b, j->v, err);
}

static int on_progress(void *ctx, const struct batch_counts *c)
{
    struct job *j = ctx;
    struct err err = {0};
    j->counts = *c;
    pthread_mutex_lock(&j->b->lock);
    bool stop = j->b->stop || j->b->cancel;
    if (clock_ns() - j->saved_ns > SAVE_NS) {
        j->saved_ns = clock_ns();
        if (update(j, NULL, &err) != OK)
            log_warn("batch %.*s: %s", STR_ARG(j->id), err.msg);
    }
    pthread_mutex_unlock(&j->b->lock);
    return stop;
}

/* A file of answers becomes one that can be asked for; an empty one goes. */
static enum status tell_file(struct job *j, const char *path, const char *id, const char *field,
                             const char *name, struct err *err)
{
    struct stat st;
    struct archive_file f = {.purpose = "batch_output", .created = now_s()};
    if (stat(path, &st) != 0)
        return OK;
    if (st.st_size == 0) {
        unlink(path);
        return OK;
    }
    f.bytes = st.st_size;
    snprintf(f.id, sizeof f.id, "%s", id);
    snprintf(f.name, sizeof f.name, "%.*s_%s.jsonl", STR_ARG(j->id), name);
    enum status s = archive_file_put(j->b->app->archive, j->owner, &f, err);
    if (s == OK)
        json_object_set_new(j->v, field, json_string(id));
    return s;
}

/* The end of a batch, whichever it is. failure: NULL, or why it failed. */
static void end_batch(struct job *j, const char *status, const struct err *failure)
{
    struct err err = {0};
    pthread_mutex_lock(&j->b->lock);
    enum status s = update(j, "finalizing", &err);
    if (s == OK)
        s = tell_file(j, j->out, j->out_id, "output_file_id", "output", &err);
    if (s == OK)
        s = tell_file(j, j->errors, j->errors_id, "error_file_id", "error", &err);
    if (s == OK && failure)
        json_object_set_new(
            j->v, "errors",
            json_pack("{s:s, s:[{s:s, s:s%, s:o, s:n}]}", "object", "list", "data", "code",
                      status_name(failure->code), "message", failure->msg,
                      utf8_valid_prefix(str_from(failure->msg)), "line",
                      j->counts.bad_line ? json_integer(j->counts.bad_line) : json_null(),
                      "param"));
    if (s == OK) {
        set_status(j->v, status);
        s = save(j->b, j->v, &err);
    }
    pthread_mutex_unlock(&j->b->lock);
    if (s != OK) {
        log_warn("batch %.*s: %s", STR_ARG(j->id), err.msg);
        sleep(1); /* it is not over, and the next turn finds it again */
    }
}

/* Where it reads and writes. The ids of its outputs come from its own, so that a second run finds
 * what a first one wrote. */
static enum status places(struct job *j, struct err *err)
{
    struct archive *a = j->b->app->archive;
    struct archive_file f;
    struct str hex = str_slice(j->id, j->id.n > 6 ? 6 : j->id.n, j->id.n); /* behind "batch_" */
    snprintf(j->out_id, sizeof j->out_id, "file-%.*so", STR_ARG(hex));
    snprintf(j->errors_id, sizeof j->errors_id, "file-%.*se", STR_ARG(hex));
    j->out = archive_file_path(a, j->out_id);
    j->errors = archive_file_path(a, j->errors_id);
    enum status s =
        archive_file_get(a, j->owner, json_str(json_object_get(j->v, "input_file_id")), &f, err);
    if (s == OK)
        j->in = archive_file_path(a, f.id);
    if (!j->out || !j->errors || (s == OK && !j->in))
        s = err_set(err, ENOMEMORY, "batch: no memory");
    return s;
}

static enum status run_lines(struct job *j, struct err *err)
{
    struct batch_options o = {.in = j->in,
                              .name = "input",
                              .out = j->out,
                              .errors = j->errors,
                              .endpoint = json_str(json_object_get(j->v, "endpoint")),
                              .key_name = j->owner,
                              .unordered = true,
                              .concurrent = CONCURRENT,
                              .priority = PRIORITY,
                              .app = j->b->app,
                              .routes = j->b->routes,
                              .n_routes = j->b->n_routes,
                              .progress = on_progress,
                              .ctx = j};
    struct buf endpoint; /* the row is loaded anew while it runs */
    buf_init(&endpoint, 256);
    buf_addstr(&endpoint, o.endpoint);
    o.endpoint = buf_str(&endpoint);
    enum status s = batch_run(&o, &j->counts, err);
    buf_release(&endpoint);
    return s;
}

static void run_batch(struct job *j)
{
    struct err err = {0};
    bool cancel = has_status(j->v, "cancelling"), stop;
    enum status s = places(j, &err);
    if (s == OK && !cancel) {
        pthread_mutex_lock(&j->b->lock);
        if (!(cancel = j->b->cancel))
            s = update(j, "in_progress", &err);
        pthread_mutex_unlock(&j->b->lock);
    }
    if (s == OK && !cancel)
        s = run_lines(j, &err);
    pthread_mutex_lock(&j->b->lock);
    cancel = cancel || j->b->cancel;
    stop = j->b->stop && s != OK;
    pthread_mutex_unlock(&j->b->lock);
    if (cancel && (s == OK || s == ECANCEL))
        end_batch(j, "cancelled", NULL);
    else if (s == OK)
        end_batch(j, "completed", NULL);
    else if (!stop) /* else it stays as it is, to be taken up again */
        end_batch(j, "failed", &err);
}

/* Waits for one that is not over. false: the server stops. */
static bool next_batch(struct batches *b, struct buf *id, struct buf *owner, json_t **v)
{
    struct err err = {0};
    struct buf body;
    bool found = false;
    buf_init(&body, BODY_MAX);
    pthread_mutex_lock(&b->lock);
    while (!b->stop && !found) {
        buf_clear(id);
        buf_clear(owner);
        buf_clear(&body);
        enum status s = archive_batch_next(b->app->archive, id, owner, &body, &found, &err);
        if (s == OK && found)
            s = json_parse(v, buf_str(&body), "stored batch", &err);
        if (s != OK) {
            log_warn("batches: %s", err.msg);
            found = false;
        }
        if (!found)
            pthread_cond_wait(&b->wake, &b->lock);
    }
    found = found && !b->stop;
    if (found) {
        b->cancel = false;
        snprintf(b->running, sizeof b->running, "%.*s", STR_ARG(buf_str(id)));
    }
    pthread_mutex_unlock(&b->lock);
    buf_release(&body);
    return found;
}

static void *run(void *ctx)
{
    struct batches *b = ctx;
    struct buf id, owner;
    json_t *v = NULL;
    buf_init(&id, 256);
    buf_init(&owner, 1024);
    while (next_batch(b, &id, &owner, &v)) {
        struct job j = {.b = b, .id = buf_str(&id), .owner = buf_str(&owner), .v = v};
        v = NULL;
        run_batch(&j);
        pthread_mutex_lock(&b->lock);
        b->running[0] = 0;
        pthread_mutex_unlock(&b->lock);
        json_decref(j.v);
        free(j.in);
        free(j.out);
        free(j.errors);
    }
    json_decref(v);
    buf_release(&id);
    buf_release(&owner);
    return NULL;
}

/* ---- from outside ---- */

enum status batches_start(struct batches **out, struct app *app, const struct route *routes,
                          size_t n_routes, struct err *err)
{
    struct batches *b = mem_array(1, sizeof *b);
    *out = NULL;
    if (!b)
        return err_set(err, ENOMEMORY, "batches: no memory");
    b->app = app;
    b->routes = routes;
    b->n_routes = n_routes;
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->wake, NULL);
    if (pthread_create(&b->thread, NULL, run, b) != 0) {
        batches_free(b);
        return err_set(err, EFAIL, "batches: no thread");
    }
    *out = b;
    return OK;
}

void batches_stop(struct batches *b)
{
    if (!b)
        return;
    pthread_mutex_lock(&b->lock);
    b->stop = true;
    pthread_cond_broadcast(&b->wake);
    pthread_mutex_unlock(&b->lock);
    pthread_join(b->thread, NULL);
}

void batches_free(struct batches *b)
{
    if (!b)
        return;
    pthread_mutex_destroy(&b->lock);
    pthread_cond_destroy(&b->wake);
    free(b);
}

enum status batches_add(struct batches *b, struct str owner, struct str input_file,
                        struct str endpoint, struct str window, const json_t *metadata,
                        struct buf *out, struct err *err)
{
    static const char *const empty[] = {"errors",         "output_file_id", "error_file_id",
                                        "in_progress_at", "expires_at",     "finalizing_at",
                                        "completed_at",   "failed_at",      "expired_at",
                                        "cancelling_at",  "cancelled_at"};
    char hex[33], id[ARCHIVE_ID];
    random_hex(hex, 16);
    snprintf(id, sizeof id, "batch_%s", hex);
    json_t *v = json_pack("{s:s, s:s, s:s%, s:s%, s:s%, s:s, s:I, s:{s:i, s:i, s:i}}", "id", id,
                          "object", "batch", "endpoint", endpoint.p, endpoint.n, "input_file_id",
                          input_file.p, input_file.n, "completion_window", window.p, window.n,
                          "status", "validating", "created_at", (json_int_t)now_s(),
                          "request_counts", "total", 0, "completed", 0, "failed", 0);
    for (size_t i = 0; v && i < sizeof empty / sizeof *empty; i++)
        json_object_set_new(v, empty[i], json_null());
    if (v)
        json_object_set_new(v, "metadata", metadata ? json_deep_copy(metadata) : json_null());
    char *text = v ? json_dumps(v, JSON_COMPACT) : NULL;
    enum status s = text ? OK : err_set(err, ENOMEMORY, "batch: no memory");
    if (s == OK) {
        buf_adds(out, text);
        pthread_mutex_lock(&b->lock);
        s = archive_batch_put(b->app->archive, owner, str_from(id), STR("validating"),
                              str_from(text), err);
        pthread_cond_broadcast(&b->wake);
        pthread_mutex_unlock(&b->lock);
    }
    free(text);
    json_decref(v);
    return s;
}

enum status batches_cancel(struct batches *b, struct str owner, struct str id, struct buf *out,
                           struct err *err)
{
    json_t *v;
    char *text = NULL;
    pthread_mutex_lock(&b->lock);
    enum status s = load(b, owner, id, &v, err);
    if (s == OK && !has_status(v, "validating") && !has_status(v, "in_progress") &&
        !has_status(v, "cancelling"))
        s = err_set(err, EUSAGE, "batch '%s' is %s and cannot be cancelled", show(id).s,
                    json_string_value(json_object_get(v, "status")));
    if (s == OK) {
        set_status(v, "cancelling");
        s = save(b, v, err);
    }
    if (s == OK && !(text = json_dumps(v, JSON_COMPACT)))
        s = err_set(err, ENOMEMORY, "batch: no memory");
    if (s == OK) {
        buf_adds(out, text);
        b->cancel = b->cancel || str_is(id, b->running);
        pthread_cond_broadcast(&b->wake);
    }
    pthread_mutex_unlock(&b->lock);
    free(text);
    json_decref(v);
    return s;
}
