#include "store/fetch.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/show.h"
#include "store/partial.h"
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { STREAMS = 8, STREAMS_MAX = 32, BUSY_MS = 200, TELL_NS = 100000000 };

struct part {
    int failures;          /* in a row, without a byte between */
    int64_t not_before_ns; /* when it may be tried again */
    bool running, renewed; /* renewed: a 401 has been answered */
};

struct job;
struct stream {
    struct job *job;
    struct web_call call;
    size_t part;
    bool running, looked; /* looked: the answer's head was checked */
    uint64_t skip;        /* bytes of a whole answer that are there already */
    uint64_t done_before;
};

struct job {
    const struct fetch *f;
    struct store *store;
    struct partial p;
    struct part *parts;
    struct stream streams[STREAMS_MAX];
    size_t n_streams;
    bool whole;    /* the server knows no ranges: one request for everything */
    bool go_whole; /* that was just found out */
    int64_t told_ns;
    const char *authorization;
};

/* ---- telling ---- */

void fetch_say(const struct transfer_progress *p, const char *status)
{
    if (p && p->tell)
        p->tell(p->ctx, status, (struct str){NULL, 0}, 0, 0);
}

void fetch_tell(const struct transfer_progress *p, const char *verb, struct str digest,
                uint64_t total, uint64_t completed)
{
    char status[64];
    snprintf(status, sizeof status, "%s %.12s", verb, digest.p + 7);
    if (p && p->tell)
        p->tell(p->ctx, status, digest, total, completed);
}

static void tell(struct job *j, bool now)
{
    int64_t t = clock_ns();
    if (!now && t - j->told_ns < TELL_NS)
        return;
    j->told_ns = t;
    fetch_tell(j->f->progress, "pulling", j->f->digest, j->p.size, partial_total(&j->p));
}

/* ---- what comes ---- */

static enum status other_size(const struct job *j, const char *what, uint64_t got, struct err *err)
{
    return err_set(err, EFORMAT, "blob %s: the server's %s says %llu bytes, expected %llu",
                   show(j->f->digest).s, what, (unsigned long long)got,
                   (unsigned long long)j->p.size);
}

/* Digits that begin the text, which then begins behind them. */
static bool take_number(struct str *text, uint64_t *out)
{
    size_t i = 0;
    *out = 0;
    for (; i < text->n && text->p[i] >= '0' && text->p[i] <= '9'; i++) {
        unsigned digit = (unsigned)(text->p[i] - '0');
        if (*out > (UINT64_MAX - digit) / 10)
            return false;
        *out = *out * 10 + digit;
    }
    *text = str_slice(*text, i, text->n);
    return i > 0;
}

static bool take_word(struct str *text, struct str word)
{
    bool there = str_starts(*text, word);
    if (there)
        *text = str_slice(*text, word.n, text->n);
    return there;
}

bool fetch_content_range(struct str text, uint64_t *from, uint64_t *to, uint64_t *total)
{
    *total = UINT64_MAX;
    return take_word(&text, STR("bytes ")) && take_number(&text, from) &&
           take_word(&text, STR("-")) && take_number(&text, to) && take_word(&text, STR("/")) &&
           (take_word(&text, STR("*")) || take_number(&text, total)) && text.n == 0 && *from <= *to;
}

/* Content-Range against what was asked for. */
static enum status check_range(const struct stream *st, struct err *err)
{
    const struct job *j = st->job;
    struct str v = web_header(&st->call, "Content-Range");
    uint64_t from, to, total;
    bool read = fetch_content_range(v, &from, &to, &total);
    if (read && total != UINT64_MAX && total != j->p.size)
        return other_size(j, "Content-Range", total, err);
    if (!read || from != st->call.from || to > st->call.to)
        return err_set(err, EFORMAT,
                       "blob %s: the server's Content-Range is '%s', expected bytes %llu-%llu/%llu",
                       show(j->f->digest).s, show(v).s, (unsigned long long)st->call.from,
                       (unsigned long long)st->call.to, (unsigned long long)j->p.size);
    return OK;
}

/* The head of an answer that brings bytes. 200 to a ranged request is the whole file: right when
 * that was the range, or when we go through it from its beginning. */
static enum status look(struct stream *st, struct err *err)
{
    struct job *j = st->job;
    curl_off_t length = -1;
    st->looked = true;
    st->skip = 0;
    if (st->call.status == 206)
        return check_range(st, err);
    curl_easy_getinfo(st->call.easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    if (length >= 0 && (uint64_t)length != j->p.size)
        return other_size(j, "Content-Length", (uint64_t)length, err);
    if (!j->whole && j->p.n > 1) {
        j->go_whole = true;
        return err_set(err, EUNSUPPORTED, "the server knows no ranges");
    }
    st->skip = st->call.from;
    return OK;
}

static enum status take(struct web_call *c, const char *p, size_t n, struct err *err)
{
    struct stream *st = c->ctx;
    struct job *j = st->job;
    enum status s = st->looked ? OK : look(st, err);
    if (s != OK)
        return s;
    if (st->skip) {
        size_t k = n < st->skip ? n : (size_t)st->skip;
        st->skip -= k;
        p += k;
        n -= k;
    }
    if (n > partial_len(&j->p, st->part) - j->p.done[st->part])
        return err_set(err, EFORMAT, "blob %s: the server sends more than %llu bytes",
                       show(j->f->digest).s, (unsigned long long)j->p.size);
    return n ? partial_write(&j->p, st->part, p, n, err) : OK;
}

/* ---- parts ---- */

static bool complete(const struct job *j, size_t i)
{
    return j->p.done[i] == partial_len(&j->p, i);
}

static enum status start(struct job *j, struct stream *st, size_t i, struct err *err)
{
    struct part *part = &j->parts[i];
    st->part = i;
    st->looked = false;
    st->done_before = j->p.done[i];
    st->call.method = "GET";
    st->call.url = j->f->url;
    st->call.authorization = j->authorization;
    st->call.ranged = true;
    st->call.from = partial_at(&j->p, i) + j->p.done[i];
    st->call.to = partial_at(&j->p, i) + partial_len(&j->p, i) - 1;
    st->call.take = take;
    st->call.ctx = st;
    enum status s = web_start(j->f->web, &st->call, err);
    st->running = part->running = s == OK;
    return s;
}

/* Gives idle streams parts. *left: there are parts that are not complete. */
static enum status start_some(struct job *j, bool *left, struct err *err)
{
    size_t idle = 0;
    int64_t now = clock_ns();
    *left = false;
    for (size_t i = 0; i < j->p.n; i++) {
        struct part *part = &j->parts[i];
        if (complete(j, i))
            continue;
        *left = true;
        if (part->running || part->not_before_ns > now)
            continue;
        while (idle < j->n_streams && j->streams[idle].running)
            idle++;
        if (idle == j->n_streams)
            break;
        enum status s = start(j, &j->streams[idle], i, err);
        if (s != OK)
            return s;
    }
    return OK;
}

static enum status renew(struct job *j, struct part *part, const struct web_call *refused,
                         struct err *err)
{
    part->renewed = true;
    return j->f->authorize(j->f->ctx, refused, &j->authorization, err);
}

/* A request has ended: is its part complete, to be tried again, or is all lost? */
static enum status ended(struct job *j, struct stream *st, struct err *err)
{
    struct part *part = &j->parts[st->part];
    struct web_call *c = &st->call;
    int64_t pause;
    char what[128];
    st->running = part->running = false;
    if (complete(j, st->part) || j->go_whole)
        return OK;
    if (c->result == WEB_BROKEN)
        return err_set(err, c->err.code, "%s", c->err.msg);
    if (j->p.done[st->part] > st->done_before)
        part->failures = 0;
    part->failures++;
    if (c->result == WEB_ANSWER && c->status == 401 && j->f->authorize && !part->renewed)
        return renew(j, part, c, err);
    if (c->result == WEB_ANSWER && c->status == 416)
        return err_set(err, EFORMAT, "blob %s: the server has fewer than %llu bytes",
                       show(j->f->digest).s, (unsigned long long)j->p.size);
    bool again = web_worth_retry(c, part->failures, &pause);
    /* an answer that ends early, a lost name, a signed address that has run out */
    if ((c->result == WEB_ANSWER && (c->status == 200 || c->status == 206)) ||
        c->result == WEB_UNREACHABLE || (c->redirected && c->status == 403)) {
        struct web_call cut = {.result = WEB_CUT};
        again = web_worth_retry(&cut, part->failures, &pause);
    }
    if (again) {
        part->not_before_ns = clock_ns() + pause * 1000000;
        return OK;
    }
    if (c->result != WEB_ANSWER)
        return err_set(err, c->err.code, "blob %s: %s", show(j->f->digest).s, c->err.msg);
    snprintf(what, sizeof what, "blob %s", show(j->f->digest).s);
    if (c->status == 200 || c->status == 206)
        return err_set(err, EFORMAT, "%s: the server sends fewer than %llu bytes", what,
                       (unsigned long long)j->p.size);
    return web_status_error(c, what, err);
}

static void stop_all(struct job *j)
{
    for (size_t i = 0; i < j->n_streams; i++) {
        web_stop(&j->streams[i].call);
        if (j->streams[i].running)
            j->parts[j->streams[i].part].running = false;
        j->streams[i].running = false;
    }
}

/* One part for everything, from the beginning. */
static enum status restart(struct job *j, uint64_t part_size, struct err *err)
{
    stop_all(j);
    j->go_whole = false;
    enum status s = partial_reset(&j->p, part_size, err);
    free(j->parts);
    j->parts = mem_array(j->p.n, sizeof *j->parts);
    if (s == OK && !j->parts)
        s = err_set(err, ENOMEMORY, "no memory for the parts of a blob");
    return s;
}

static enum status fetch_parts(struct job *j, struct err *err)
{
    struct web_call *done;
    bool left = true;
    for (;;) {
        enum status s = start_some(j, &left, err);
        if (s == OK && !left)
            return OK;
        if (s == OK)
            s = web_step(j->f->web, 50, &done, err);
        if (s == OK && done)
            s = ended(j, done->ctx, err);
        if (s == OK && j->go_whole) {
            j->whole = true;
            s = restart(j, j->p.size, err);
        }
        if (s != OK)
            return s;
        tell(j, false);
    }
}

/* ---- all of it ---- */

static size_t streams_wanted(void)
{
    const char *env = getenv("HEARTH_STREAMS");
    long n = env ? atol(env) : 0;
    return n >= 1 && n <= STREAMS_MAX ? (size_t)n : STREAMS;
}

/* Fetches what is missing, checks; a digest that is wrong where old bytes took part is given a
 * second chance from nothing. */
static enum status fetch_open(struct job *j, struct err *err)
{
    bool resumed = j->p.resumed;
    for (;;) {
        tell(j, true);
        enum status s = fetch_parts(j, err);
        stop_all(j);
        if (s != OK)
            return s;
        tell(j, true);
        fetch_say(j->f->progress, "verifying sha256 digest");
        s = partial_finish(&j->p, j->store, j->f->digest, j->f->cancel, err);
        if (s != EFORMAT)
            return s;
        if (!resumed) {
            partial_discard(&j->p);
            return s;
        }
        resumed = false;
        s = restart(j, j->whole ? j->p.size : partial_part_size(j->p.size), err);
        if (s != OK)
            return s;
    }
}

static enum status fetch_locked(struct job *j, struct err *err)
{
    enum status s = OK;
    j->n_streams = streams_wanted();
    j->whole =
        j->p.part_size == j->p.size && j->p.n == 1 && j->p.size > partial_part_size(j->p.size);
    for (size_t i = 0; i < j->n_streams; i++)
        j->streams[i].job = j;
    j->parts = mem_array(j->p.n, sizeof *j->parts);
    if (!j->parts)
        s = err_set(err, ENOMEMORY, "no memory for the parts of a blob");
    if (s == OK && j->f->authorize)
        s = j->f->authorize(j->f->ctx, NULL, &j->authorization, err);
    if (s == OK)
        s = fetch_open(j, err);
    stop_all(j);
    for (size_t i = 0; i < j->n_streams; i++)
        web_call_release(&j->streams[i].call);
    free(j->parts);
    return s;
}

static bool have(struct store *s, const struct fetch *f)
{
    char *path;
    uint64_t size;
    if (store_blob_path(s, f->digest, &path, NULL) != OK)
        return false;
    bool yes = blob_stat(path, &size) && size == f->size;
    free(path);
    return yes;
}

/* Ours, or made ours where Ollama's store has it. */
static bool have_or_lend(struct store *s, const struct fetch *f)
{
    struct err ignored;
    char *path;
    uint64_t size;
    if (have(s, f))
        return true;
    bool lent = store_blob_find(s, f->digest, &path, &size, NULL) == OK && size == f->size;
    free(path);
    return lent && store_own_blob(s, f->digest, &ignored) == OK && have(s, f);
}

static enum status fetch_empty(struct store *s, const struct fetch *f, struct err *err)
{
    struct blob_writer *w;
    enum status st = blob_begin(s, &w, err);
    return st == OK ? blob_commit(w, f->digest, NULL, err) : st;
}

enum status fetch_blob(struct store *s, const struct fetch *f, struct err *err)
{
    struct job *j = mem_array(1, sizeof *j);
    enum status st = j ? OK : err_set(err, ENOMEMORY, "no memory to fetch a blob");
    bool busy = false;
    if (st == OK && !digest_valid(f->digest))
        st =
            err_set(err, EFORMAT, "digest '%s', expected sha256: and 64 digits", show(f->digest).s);
    while (st == OK) {
        if (have_or_lend(s, f)) {
            fetch_tell(f->progress, "pulling", f->digest, f->size, f->size);
            break;
        }
        if (f->size == 0) {
            st = fetch_empty(s, f, err);
            break;
        }
        *j = (struct job){.f = f, .store = s};
        st = partial_open(&j->p, s, f->digest, f->size, &busy, err);
        if (st == OK && busy) { /* another pull is at it */
            fetch_tell(f->progress, "pulling", f->digest, f->size, partial_peek(s, f->digest));
            st = web_wait(f->web, BUSY_MS, err);
            continue;
        }
        if (st == OK) {
            /* it may have been finished between the look and the lock: then this is a new file */
            if (have(s, f))
                partial_discard(&j->p);
            else
                st = fetch_locked(j, err);
            partial_close(&j->p);
        }
        if (st != OK || have(s, f))
            break;
    }
    free(j);
    return st;
}

enum status fetch_room(struct store *s, uint64_t bytes, struct err *err)
{
    struct statvfs v;
    struct buf path;
    buf_init(&path, PATH_BYTES);
    buf_printf(&path, "%s/blobs/x", s->root);
    enum status st = buf_check(&path, "path of the store", err);
    if (st == OK)
        st = make_folders(path.p, err);
    if (st == OK && statvfs(s->root, &v) == 0) {
        uint64_t available = (uint64_t)v.f_bavail * v.f_frsize;
        if (available < bytes)
            st = err_set(err, EIO, "no room: %.1f MB are to be stored in '%s', %.1f MB are free",
                         (double)bytes * 1e-6, s->root, (double)available * 1e-6);
    }
    buf_release(&path);
    return st;
}
