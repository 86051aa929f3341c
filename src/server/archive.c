#include "server/archive.h"
#include "base/home.h"
#include "base/mem.h"
#include "base/show.h"
#include "server/ask.h"
#include "server/sql.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { VERSION = 1 };
static const uint64_t default_responses = (uint64_t)1 << 30, default_files = (uint64_t)32 << 30;

/* used: when an answer was last read, made or continued. seq: the order of making. */
static const char schema[] =
    "CREATE TABLE response (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL,"
    " created INTEGER NOT NULL, used INTEGER NOT NULL, bytes INTEGER NOT NULL, previous TEXT,"
    " input TEXT NOT NULL, body TEXT NOT NULL) STRICT;"
    "CREATE INDEX response_used ON response (used, bytes);"
    "CREATE TABLE item (id TEXT PRIMARY KEY, response INTEGER NOT NULL REFERENCES response (seq)"
    " ON DELETE CASCADE) STRICT, WITHOUT ROWID;"
    "CREATE INDEX item_response ON item (response);"
    "CREATE TABLE file (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,"
    " owner TEXT NOT NULL, created INTEGER NOT NULL, bytes INTEGER NOT NULL, name TEXT NOT NULL,"
    " purpose TEXT NOT NULL) STRICT;"
    "CREATE TABLE batch (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,"
    " owner TEXT NOT NULL, status TEXT NOT NULL, body TEXT NOT NULL) STRICT;";

struct archive {
    struct sql *db;
    char *files;
    uint64_t responses, files_bytes;
};

/* The folder of $HEARTH_HOME, and what is in it. */
static enum status place(const char *given, const char *rest, bool folder, char **out,
                         struct err *err)
{
    char *home = given ? NULL : hearth_home("");
    *out = given ? mem_dup(given, strlen(given)) : hearth_home(rest);
    bool had = given || home;
    if (home)
        mkdir(home, 0700); /* what is wrong with it shows when something is written */
    free(home);
    if (!*out || !had)
        return err_set(err, ENOMEMORY, "archive: no memory for its path");
    if (folder && mkdir(*out, 0700) != 0 && errno != EEXIST)
        return err_set(err, EIO, "'%s': %s", *out, strerror(errno));
    return OK;
}

/* Uploads that a process left behind when it was killed: "file-X.part-PID" that nobody holds (a
 * file_writer locks its own). */
static void sweep(const char *folder)
{
    DIR *d = opendir(folder);
    struct dirent *e;
    while (d && (e = readdir(d)) != NULL) {
        if (strncmp(e->d_name, "file-", 5) != 0 || !strstr(e->d_name, ".part-"))
            continue;
        int fd = openat(dirfd(d), e->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
            unlinkat(dirfd(d), e->d_name, 0);
        if (fd >= 0)
            close(fd);
    }
    if (d)
        closedir(d);
}

enum status archive_open(struct archive **out, const struct archive_options *o, struct err *err)
{
    struct archive *a = mem_array(1, sizeof *a);
    char *path = NULL;
    *out = NULL;
    if (!a)
        return err_set(err, ENOMEMORY, "archive: no memory");
    a->responses = o->responses ? o->responses : default_responses;
    a->files_bytes = o->files_bytes ? o->files_bytes : default_files;
    enum status s = place(o->path, "hearth.db", false, &path, err);
    if (s == OK)
        s = place(o->files, "files", true, &a->files, err);
    if (s == OK)
        s = sql_open(&a->db, path, schema, VERSION, err);
    free(path);
    if (s == OK)
        sweep(a->files);
    if (s != OK) {
        archive_close(a);
        return s;
    }
    *out = a;
    return OK;
}

void archive_close(struct archive *a)
{
    if (!a)
        return;
    sql_close(a->db);
    free(a->files);
    free(a);
}

static enum status not_found(const char *what, struct str id, struct err *err)
{
    return err_set(err, ENOTFOUND, "%s '%s' not found", what, show(id).s);
}

/* The row of id by a statement with two texts, for the caller to read and sql_stop; ENOTFOUND when
 * there is none. */
static enum status the_row(struct archive *a, sqlite3_stmt **st, const char *text, struct str x,
                           struct str y, const char *what, struct str id, struct err *err)
{
    bool row;
    enum status s = sql_start(a->db, err, st, text, "tt", x, y);
    if (s == OK)
        s = sql_next(a->db, *st, &row, err);
    return s == OK && !row ? not_found(what, id, err) : s;
}

/* One number that a statement without values gives; null is 0. */
static enum status one_number(struct archive *a, const char *text, int64_t *out, struct err *err)
{
    sqlite3_stmt *st;
    bool row;
    *out = 0;
    enum status s = sql_start(a->db, err, &st, text, "");
    if (s == OK)
        s = sql_next(a->db, st, &row, err);
    if (s == OK && row) {
        *out = sql_int(st, 0);
        sql_stop(st);
    }
    return s;
}

/* ---- answers ---- */

static const char total_bytes[] = "SELECT sum(bytes) FROM response";

static enum status make_room(struct archive *a, uint64_t bytes, struct err *err)
{
    int64_t total;
    enum status s = one_number(a, total_bytes, &total, err);
    while (s == OK && total > 0 && (uint64_t)total + bytes > a->responses) {
        static const char oldest[] = "SELECT seq, bytes FROM response ORDER BY used LIMIT 1";
        sqlite3_stmt *st;
        bool row = false;
        int64_t seq = 0, freed = 0;
        s = sql_start(a->db, err, &st, oldest, "");
        if (s == OK)
            s = sql_next(a->db, st, &row, err);
        if (s != OK || !row)
            break;
        seq = sql_int(st, 0);
        freed = sql_int(st, 1);
        sql_stop(st);
        s = sql_exec(a->db, err, "DELETE FROM response WHERE seq = ?", "i", seq);
        total -= freed;
    }
    return s;
}

static enum status put_response(struct archive *a, const struct archive_response *r, int64_t bytes,
                                struct err *err)
{
    enum status s = make_room(a, (uint64_t)bytes, err);
    if (s == OK)
        s = sql_exec(a->db, err,
                     "INSERT INTO response (id, owner, created, used, bytes, previous, input, body)"
                     " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                     "ttiiittt", r->id, r->owner, r->created, unix_now_ns(), bytes, r->previous,
                     r->input, r->body);
    for (size_t i = 0; s == OK && i < r->n_items; i++)
        s = sql_exec(a->db, err,
                     "INSERT INTO item (id, response) VALUES (?, (SELECT seq FROM response WHERE"
                     " id = ?))",
                     "tt", r->items[i], r->id);
    return s;
}

static enum status delete_response(struct archive *a, struct str owner, struct str id,
                                   struct err *err)
{
    enum status s =
        sql_exec(a->db, err, "DELETE FROM response WHERE id = ? AND owner = ?", "tt", id, owner);
    return s == OK && sql_changes(a->db) == 0 ? not_found("response", id, err) : s;
}

static enum status put_or_replace(struct archive *a, const struct archive_response *r, bool replace,
                                  struct err *err)
{
    size_t bytes = r->input.n + r->body.n + 512; /* with its rows' own bytes */
    if (bytes > a->responses)
        return err_set(err, ELIMIT, "response '%s': %zu bytes, and stored ones may take %llu",
                       show(r->id).s, bytes, (unsigned long long)a->responses);
    enum status s = sql_begin(a->db, err);
    if (s != OK)
        return s;
    if (replace)
        s = delete_response(a, r->owner, r->id, err);
    if (s == OK)
        s = put_response(a, r, (int64_t)bytes, err);
    return sql_end(a->db, s, err);
}

enum status archive_response_put(struct archive *a, const struct archive_response *r,
                                 struct err *err)
{
    return put_or_replace(a, r, false, err);
}

enum status archive_response_replace(struct archive *a, const struct archive_response *r,
                                     struct err *err)
{
    return put_or_replace(a, r, true, err);
}

static void append(struct buf *out, sqlite3_stmt *st, int column)
{
    if (out)
        buf_addstr(out, sql_text(st, column));
}

static enum status checked(struct buf *b, struct err *err)
{
    return b ? buf_check(b, "archive", err) : OK;
}

/* The body of id by a statement with two texts, in a transaction of its own. */
static enum status read_body(struct archive *a, const char *text, struct str x, struct str y,
                             const char *what, struct str id, struct buf *body, struct err *err)
{
    sqlite3_stmt *st;
    enum status s = sql_begin(a->db, err);
    if (s != OK)
        return s;
    s = the_row(a, &st, text, x, y, what, id, err);
    if (s == OK) {
        append(body, st, 0);
        sql_stop(st);
        s = checked(body, err);
    }
    return sql_end(a->db, s, err);
}

static enum status get_response(struct archive *a, struct str owner, struct str id,
                                struct buf *input, struct buf *body, struct buf *previous,
                                struct err *err)
{
    sqlite3_stmt *st;
    enum status s =
        the_row(a, &st, "SELECT input, body, previous FROM response WHERE id = ? AND owner = ?", id,
                owner, "response", id, err);
    if (s != OK)
        return s;
    append(input, st, 0);
    append(body, st, 1);
    append(previous, st, 2);
    sql_stop(st);
    s = checked(input, err);
    if (s == OK)
        s = checked(body, err);
    if (s == OK)
        s = sql_exec(a->db, err, "UPDATE response SET used = ? WHERE id = ?", "it", unix_now_ns(),
                     id);
    return s;
}

enum status archive_response_get(struct archive *a, struct str owner, struct str id,
                                 struct buf *input, struct buf *body, struct buf *previous,
                                 struct err *err)
{
    enum status s = sql_begin(a->db, err);
    if (s == OK)
        s = sql_end(a->db, get_response(a, owner, id, input, body, previous, err), err);
    return s;
}

enum status archive_response_delete(struct archive *a, struct str owner, struct str id,
                                    struct err *err)
{
    enum status s = sql_begin(a->db, err);
    if (s != OK)
        return s;
    return sql_end(a->db, delete_response(a, owner, id, err), err);
}

enum status archive_item(struct archive *a, struct str owner, struct str item, struct buf *body,
                         struct err *err)
{
    return read_body(a,
                     "SELECT body FROM response WHERE owner = ? AND seq = (SELECT response FROM"
                     " item WHERE id = ?)",
                     owner, item, "item", item, body, err);
}

/* ---- files ---- */

char *archive_file_path(const struct archive *a, const char *id)
{
    size_t n = strlen(a->files) + strlen(id) + 2;
    char *path = malloc(n);
    if (path)
        snprintf(path, n, "%s/%s", a->files, id);
    return path;
}

enum status archive_file_room(struct archive *a, uint64_t *bytes, struct err *err)
{
    int64_t total = 0;
    enum status s = sql_begin(a->db, err);
    if (s == OK)
        s = sql_end(a->db, one_number(a, "SELECT sum(bytes) FROM file", &total, err), err);
    *bytes = total < 0 || (uint64_t)total > a->files_bytes ? 0 : a->files_bytes - (uint64_t)total;
    return s;
}

enum status archive_file_put(struct archive *a, struct str owner, const struct archive_file *f,
                             struct err *err)
{
    enum status s = sql_begin(a->db, err);
    if (s != OK)
        return s;
    /* a batch that is taken up again may have told its files already */
    s = sql_exec(
        a->db, err,
        "INSERT INTO file (id, owner, created, bytes, name, purpose) VALUES (?, ?, ?, ?, ?,"
        " ?) ON CONFLICT (id) DO UPDATE SET bytes = excluded.bytes",
        "ttiitt", str_from(f->id), owner, f->created, f->bytes, str_from(f->name),
        str_from(f->purpose));
    return sql_end(a->db, s, err);
}

static void copy(char *out, size_t size, struct str s)
{
    size_t n = s.n < size - 1 ? s.n : size - 1;
    if (n)
        memcpy(out, s.p, n);
    out[n] = 0;
}

static void read_file(sqlite3_stmt *st, struct archive_file *f)
{
    copy(f->id, sizeof f->id, sql_text(st, 0));
    f->created = sql_int(st, 1);
    f->bytes = sql_int(st, 2);
    copy(f->name, sizeof f->name, sql_text(st, 3));
    copy(f->purpose, sizeof f->purpose, sql_text(st, 4));
}

enum status archive_file_get(struct archive *a, struct str owner, struct str id,
                             struct archive_file *f, struct err *err)
{
    sqlite3_stmt *st;
    enum status s = sql_begin(a->db, err);
    if (s != OK)
        return s;
    s = the_row(a, &st,
                "SELECT id, created, bytes, name, purpose FROM file WHERE id = ? AND owner = ?", id,
                owner, "file", id, err);
    if (s == OK) {
        read_file(st, f);
        sql_stop(st);
    }
    return sql_end(a->db, s, err);
}

enum status archive_file_delete(struct archive *a, struct str owner, struct str id, struct err *err)
{
    struct archive_file f;
    enum status s = archive_file_get(a, owner, id, &f, err); /* an id of ours: safe in a path */
    char *path = s == OK ? archive_file_path(a, f.id) : NULL;
    if (s == OK && !path)
        s = err_set(err, ENOMEMORY, "file '%s': no memory", f.id);
    if (s == OK)
        s = sql_begin(a->db, err);
    if (s == OK) {
        s = sql_exec(a->db, err, "DELETE FROM file WHERE id = ?", "t", id);
        s = sql_end(a->db, s, err);
        if (s == OK)
            unlink(path);
    }
    free(path);
    return s;
}

/* ---- batches ---- */

enum status archive_batch_put(struct archive *a, struct str owner, struct str id, struct str status,
                              struct str body, struct err *err)
{
    enum status s = sql_begin(a->db, err);
    if (s != OK)
        return s;
    s = sql_exec(a->db, err, "INSERT INTO batch (id, owner, status, body) VALUES (?, ?, ?, ?)",
                 "tttt", id, owner, status, body);
    return sql_end(a->db, s, err);
}

enum status archive_batch_set(struct archive *a, struct str id, struct str status, struct str body,
                              struct err *err)
{
    enum status s = sql_begin(a->db, err);
    if (s != OK)
        return s;
    s = sql_exec(a->db, err, "UPDATE batch SET status = ?, body = ? WHERE id = ?", "ttt", status,
                 body, id);
    if (s == OK && sql_changes(a->db) == 0)
        s = not_found("batch", id, err);
    return sql_end(a->db, s, err);
}

enum status archive_batch_get(struct archive *a, struct str owner, struct str id, struct buf *body,
                              struct err *err)
{
    return read_body(a, "SELECT body FROM batch WHERE id = ? AND owner = ?", id, owner, "batch", id,
                     body, err);
}

enum status archive_batch_next(struct archive *a, struct buf *id, struct buf *owner,
                               struct buf *body, bool *found, struct err *err)
{
    sqlite3_stmt *st;
    *found = false;
    enum status s = sql_begin(a->db, err);
    if (s != OK)
        return s;
    s = sql_start(a->db, err, &st,
                  "SELECT id, owner, body FROM batch WHERE status IN ('validating', 'in_progress',"
                  " 'finalizing', 'cancelling') ORDER BY seq LIMIT 1",
                  "");
    if (s == OK)
        s = sql_next(a->db, st, found, err);
    if (s == OK && *found) {
        append(id, st, 0);
        append(owner, st, 1);
        append(body, st, 2);
        sql_stop(st);
        s = checked(body, err);
    }
    return sql_end(a->db, s, err);
}

/* ---- lists ---- */

/* Where a list begins: the number of `after`, or the end that it comes from. */
static enum status list_from(struct archive *a, const struct archive_page *p, const char *text,
                             const char *what, int64_t *seq, struct err *err)
{
    sqlite3_stmt *st;
    *seq = p->oldest_first ? 0 : INT64_MAX;
    if (!p->after.p)
        return OK;
    enum status s = the_row(a, &st, text, p->after, p->owner, what, p->after, err);
    if (s == OK) {
        *seq = sql_int(st, 0);
        sql_stop(st);
    }
    return s;
}

/* The next row of a page; there is one more than the page has when *more. *n counts. */
static enum status page_next(struct archive *a, sqlite3_stmt *st, const struct archive_page *p,
                             int64_t *n, bool *row, bool *more, struct err *err)
{
    enum status s = sql_next(a->db, st, row, err);
    if (s == OK && *row && (*n)++ == p->limit) {
        *more = true;
        *row = false;
        sql_stop(st);
    }
    return s;
}

static enum status list_files(struct archive *a, const struct archive_page *p,
                              void (*fn)(void *ctx, const struct archive_file *f), void *ctx,
                              bool *more, struct err *err)
{
    static const char up[] = "SELECT id, created, bytes, name, purpose FROM file WHERE owner = ? "
                             "AND (?2 IS NULL OR purpose = ?2) AND seq > ? ORDER BY seq LIMIT ?";
    static const char down[] =
        "SELECT id, created, bytes, name, purpose FROM file WHERE owner = ? AND (?2 IS NULL OR "
        "purpose = ?2) AND seq < ? ORDER BY seq DESC LIMIT ?";
    struct archive_file f;
    sqlite3_stmt *st;
    int64_t seq, n = 0;
    bool row;
    enum status s =
        list_from(a, p, "SELECT seq FROM file WHERE id = ? AND owner = ?", "file", &seq, err);
    if (s == OK)
        s = sql_start(a->db, err, &st, p->oldest_first ? up : down, "ttii", p->owner, p->purpose,
                      seq, p->limit + 1);
    while (s == OK && (s = page_next(a, st, p, &n, &row, more, err)) == OK && row) {
        read_file(st, &f);
        fn(ctx, &f);
    }
    return s;
}

enum status archive_files(struct archive *a, const struct archive_page *p,
                          void (*fn)(void *ctx, const struct archive_file *f), void *ctx,
                          bool *more, struct err *err)
{
    *more = false;
    enum status s = sql_begin(a->db, err);
    return s == OK ? sql_end(a->db, list_files(a, p, fn, ctx, more, err), err) : s;
}

static enum status list_batches(struct archive *a, const struct archive_page *p,
                                void (*fn)(void *ctx, struct str id, struct str body), void *ctx,
                                bool *more, struct err *err)
{
    sqlite3_stmt *st;
    int64_t seq, n = 0;
    bool row;
    enum status s =
        list_from(a, p, "SELECT seq FROM batch WHERE id = ? AND owner = ?", "batch", &seq, err);
    if (s == OK)
        s = sql_start(a->db, err, &st,
                      "SELECT id, body FROM batch WHERE owner = ? AND seq < ? ORDER BY seq DESC"
                      " LIMIT ?",
                      "tii", p->owner, seq, p->limit + 1);
    while (s == OK && (s = page_next(a, st, p, &n, &row, more, err)) == OK && row)
        fn(ctx, sql_text(st, 0), sql_text(st, 1));
    return s;
}

enum status archive_batches(struct archive *a, const struct archive_page *p,
                            void (*fn)(void *ctx, struct str id, struct str body), void *ctx,
                            bool *more, struct err *err)
{
    *more = false;
    enum status s = sql_begin(a->db, err);
    return s == OK ? sql_end(a->db, list_batches(a, p, fn, ctx, more, err), err) : s;
}
