/* The lines of a batch and the files of its answers. */
#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/show.h"
#include "server/batch_int.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SYNC_NS = 1000000000 };
static const size_t arena_most = (size_t)4 << 30;

bool batch_endpoint(struct str url)
{
    static const char *const urls[] = {"/v1/chat/completions", "/v1/completions", "/v1/embeddings",
                                       "/v1/responses"};
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++)
        if (str_is(url, urls[i]))
            return true;
    return false;
}

/* Splits the next line off; false at the end. *whole: it ends with a line feed. */
static bool next_line(struct str *rest, struct str *line, bool *whole)
{
    if (rest->n == 0)
        return false;
    const char *end = memchr(rest->p, '\n', rest->n);
    size_t n = end ? (size_t)(end - rest->p) : rest->n;
    *whole = end != NULL;
    *line = str_slice(*rest, 0, n);
    *rest = str_slice(*rest, n + (end != NULL), rest->n);
    if (line->n && line->p[line->n - 1] == '\r')
        line->n--;
    return true;
}

static bool blank(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != ' ' && s.p[i] != '\t')
            return false;
    return true;
}

/* ---- the input ---- */

static enum status check_line(const json_t *v, const struct batch_options *o, struct str *id,
                              struct err *err)
{
    struct str method, url;
    bool stream;
    const json_t *body = json_object_get(v, "body");
    enum status s = json_get_str(v, "custom_id", id, err);
    if (s == OK && !id->n)
        s = err_set(err, EFORMAT, "no custom_id");
    if (s == OK)
        s = json_get_str(v, "method", &method, err);
    if (s == OK && method.p && !str_is(method, "POST"))
        s = err_set(err, EFORMAT, "method '%s', expected POST", show(method).s);
    if (s == OK)
        s = json_get_str(v, "url", &url, err);
    if (s == OK && !batch_endpoint(url))
        s = err_set(err, EFORMAT,
                    "url '%s', expected /v1/chat/completions, /v1/completions, /v1/embeddings or "
                    "/v1/responses",
                    show(url).s);
    if (s == OK && o->endpoint.p && !str_eq(url, o->endpoint))
        s = err_set(err, EFORMAT, "url '%s', but the batch's endpoint is '%s'", show(url).s,
                    show(o->endpoint).s);
    if (s == OK && !json_is_object(body))
        s = err_set(err, EFORMAT, "no body, expected an object");
    if (s == OK)
        s = json_get_bool(body, "stream", &stream, false, err);
    if (s == OK && stream)
        s = err_set(err, EFORMAT, "stream: true, but answers of a batch are whole");
    return s;
}

static enum status add_line(struct batch_lines *l, const struct batch_options *o, struct str text,
                            uint32_t number, struct err *err)
{
    struct str id;
    json_t *v;
    if (text.n > LINE_MAX_BYTES)
        return err_set(err, ELIMIT, "%zu bytes, at most %d", text.n, LINE_MAX_BYTES);
    enum status s = json_parse(&v, text, "JSON", err);
    if (s != OK)
        return s;
    s = check_line(v, o, &id, err);
    if (s == OK && l->n == MAX_LINES)
        s = err_set(err, ELIMIT, "more than %d lines", MAX_LINES);
    if (s == OK && l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 1024;
        struct batch_line *at = mem_resize(l->at, cap, sizeof *at);
        if (at) {
            l->at = at;
            l->cap = cap;
        } else {
            s = err_set(err, ENOMEMORY, "no memory for another line");
        }
    }
    if (s == OK) {
        l->at[l->n] = (struct batch_line){
            .text = text, .id = arena_str(&l->arena, id), .number = number, .state = LINE_OPEN};
        if (!l->at[l->n++].id.p)
            s = err_set(err, ENOMEMORY, "no memory for another line");
    }
    json_decref(v);
    return s;
}

/* The table's place of an id: its own, or the free one where it belongs. */
static uint32_t *slot(const struct batch_lines *l, struct str id)
{
    size_t mask = l->n_table - 1, i = (size_t)hash_bytes(id.p, id.n) & mask;
    while (l->table[i] && !str_eq(l->at[l->table[i] - 1].id, id))
        i = (i + 1) & mask;
    return &l->table[i];
}

static enum status fill_table(struct batch_lines *l, const char *path, struct err *err)
{
    l->n_table = 16;
    while (l->n_table < l->n * 2)
        l->n_table *= 2;
    l->table = mem_array(l->n_table, sizeof *l->table);
    if (!l->table)
        return err_set(err, ENOMEMORY, "'%s': no memory for %zu lines", path, l->n);
    for (size_t i = 0; i < l->n; i++) {
        uint32_t *at = slot(l, l->at[i].id);
        l->bad_line = *at ? l->at[i].number : 0;
        if (*at)
            return err_set(err, EFORMAT, "'%s': line %u has the custom_id '%s' of line %u", path,
                           l->at[i].number, show(l->at[i].id).s, l->at[*at - 1].number);
        *at = (uint32_t)i + 1;
    }
    return OK;
}

struct batch_line *lines_find(const struct batch_lines *l, struct str id)
{
    uint32_t at = *slot(l, id);
    return at ? &l->at[at - 1] : NULL;
}

enum status lines_open(struct batch_lines *l, const struct batch_options *o, struct err *err)
{
    struct str rest, line;
    const char *name = o->name ? o->name : o->in;
    uint32_t number = 0;
    bool whole;
    *l = (struct batch_lines){0};
    arena_init(&l->arena, arena_most);
    enum status s = file_map_open(&l->in, o->in, err);
    if (s != OK)
        return s;
    rest = (struct str){(const char *)l->in.p, l->in.n};
    if (str_starts(rest, STR("\xef\xbb\xbf"))) /* a byte order mark */
        rest = str_slice(rest, 3, rest.n);
    while (s == OK && next_line(&rest, &line, &whole)) {
        number++;
        if (!blank(line) && (s = add_line(l, o, line, number, err)) != OK) {
            l->bad_line = number;
            s = err_prefix(err, "'%s': line %u", name, number);
            if (err && s == EUSAGE) /* a file's field is no fault of the call */
                s = err->code = EFORMAT;
        }
    }
    if (s == OK && l->n == 0)
        s = err_set(err, EFORMAT, "'%s': no lines", name);
    return s == OK ? fill_table(l, name, err) : s;
}

void lines_close(struct batch_lines *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->at[i].held);
    free(l->at);
    free(l->table);
    arena_release(&l->arena);
    file_map_close(&l->in);
}

/* ---- the answers ---- */

bool answer_failed(const json_t *answer)
{
    const json_t *error = json_object_get(answer, "error");
    const json_t *status = json_object_get(json_object_get(answer, "response"), "status_code");
    return (error && !json_is_null(error)) || json_integer_value(status) >= 400;
}

/* One line of an earlier run. *broken: it is none. */
static enum status take_answer(struct str line, bool *broken,
                               enum status (*fn)(void *ctx, struct str line, const json_t *v,
                                                 struct err *err),
                               void *ctx, struct err *err)
{
    json_t *v = NULL;
    struct err ignored;
    *broken = line.n > LINE_MAX_BYTES * (size_t)4 ||
              json_parse(&v, line, "answer", &ignored) != OK ||
              !json_is_string(json_object_get(v, "custom_id")) || !json_object_get(v, "response");
    enum status s = *broken ? OK : fn(ctx, line, v, err);
    json_decref(v);
    return s;
}

/* What a process that was killed leaves of a line: the beginning of one of ours, or, after a power
 * cut, bytes that were never written. Anything else belongs to somebody. */
static bool half_line(struct str s)
{
    struct str head = STR(ANSWER_HEAD);
    size_t zeros = 0;
    while (zeros < s.n && s.p[zeros] == 0)
        zeros++;
    return zeros == s.n || (s.n < head.n ? str_starts(head, s) : str_starts(s, head));
}

static enum status take_answers(struct batch_file *f,
                                enum status (*fn)(void *ctx, struct str line, const json_t *v,
                                                  struct err *err),
                                void *ctx, struct err *err)
{
    struct file_map m;
    struct str rest, line;
    uint64_t good = 0;
    uint32_t number = 0;
    bool whole = true, broken = false;
    enum status s = file_map_open(&m, f->path, err);
    if (s != OK)
        return s;
    rest = (struct str){(const char *)m.p, m.n};
    while (s == OK && next_line(&rest, &line, &whole)) {
        number++;
        if (whole)
            s = take_answer(line, &broken, fn, ctx, err);
        else
            broken = !half_line(line);
        if (s != OK)
            s = err_prefix(err, "'%s': line %u", f->path, number);
        else if (broken)
            s = err_set(err, EFORMAT, "'%s': line %u is no answer of a batch", f->path, number);
        if (whole)
            good = m.n - rest.n;
    }
    file_map_close(&m);
    f->size = good;
    if (s == OK && !whole && ftruncate(f->fd, (off_t)good) != 0)
        s = err_set(err, EIO, "'%s': %s", f->path, strerror(errno));
    return s;
}

enum status answers_open(struct batch_file *f, const char *path,
                         enum status (*fn)(void *ctx, struct str line, const json_t *v,
                                           struct err *err),
                         void *ctx, struct err *err)
{
    struct stat st;
    f->size = 0;
    f->synced_ns = clock_ns();
    f->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (f->fd < 0)
        return err_set(err, EIO, "'%s': %s", path, strerror(errno));
    f->path = mem_dup(path, strlen(path));
    if (!f->path)
        return err_set(err, ENOMEMORY, "'%s': no memory", path);
    if (fstat(f->fd, &st) != 0 || !S_ISREG(st.st_mode))
        return err_set(err, EUSAGE, "'%s': not a regular file", path);
    if (flock(f->fd, LOCK_EX | LOCK_NB) != 0)
        return err_set(err, EBUSY, "'%s': another process writes it", path);
    return take_answers(f, fn, ctx, err);
}

enum status answers_sync(struct batch_file *f, struct err *err)
{
    f->synced_ns = clock_ns();
    return fdatasync(f->fd) == 0 ? OK : err_set(err, EIO, "'%s': %s", f->path, strerror(errno));
}

enum status answers_add(struct batch_file *f, struct str lines, struct err *err)
{
    size_t done = 0;
    while (done < lines.n) {
        ssize_t n = write(f->fd, lines.p + done, lines.n - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            int why = errno;
            if (ftruncate(f->fd, (off_t)f->size) != 0)
                why = errno;
            return err_set(err, EIO, "'%s': %s", f->path, strerror(why));
        }
        done += (size_t)n;
    }
    f->size += lines.n;
    return clock_ns() - f->synced_ns < SYNC_NS ? OK : answers_sync(f, err);
}

enum status answers_clear(struct batch_file *f, struct err *err)
{
    f->size = 0;
    return ftruncate(f->fd, 0) == 0 ? OK : err_set(err, EIO, "'%s': %s", f->path, strerror(errno));
}

void answers_close(struct batch_file *f)
{
    if (f->fd >= 0)
        close(f->fd);
    free(f->path);
    *f = (struct batch_file){.fd = -1};
}
