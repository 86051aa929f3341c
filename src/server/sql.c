#include "server/sql.h"
#include "base/mem.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

enum { MAX_STATEMENTS = 64, BUSY_MS = 10000, MAX_VALUE = 512 << 20 };

struct sql {
    sqlite3 *db;
    pthread_mutex_t lock;
    struct {
        const char *text;
        sqlite3_stmt *st;
    } cache[MAX_STATEMENTS];
    int n_cache;
    char *path;
};

static enum status failed(struct sql *d, struct err *err)
{
    int code = d->db ? sqlite3_errcode(d->db) : SQLITE_NOMEM;
    enum status s = code == SQLITE_NOMEM                              ? ENOMEMORY
                    : code == SQLITE_CORRUPT || code == SQLITE_NOTADB ? EBROKEN
                    : code == SQLITE_BUSY || code == SQLITE_LOCKED    ? EBUSY
                    : code == SQLITE_FULL || code == SQLITE_TOOBIG    ? ELIMIT
                    : code == SQLITE_IOERR || code == SQLITE_READONLY || code == SQLITE_CANTOPEN
                        ? EIO
                        : EFAIL;
    return err_set(err, s, "database '%s': %s", d->path,
                   d->db ? sqlite3_errmsg(d->db) : "no memory");
}

static enum status run_text(struct sql *d, const char *text, struct err *err)
{
    return sqlite3_exec(d->db, text, NULL, NULL, NULL) == SQLITE_OK ? OK : failed(d, err);
}

/* Readable by its owner alone from the beginning; SQLite gives its -wal and -shm the same mode. */
static enum status make_file(const char *path, struct err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set(err, EIO, "database '%s': %s", path, strerror(errno));
    close(fd);
    return OK;
}

static enum status configure(struct sql *d, struct err *err)
{
    sqlite3_busy_timeout(d->db, BUSY_MS);
    sqlite3_limit(d->db, SQLITE_LIMIT_LENGTH, MAX_VALUE);
    sqlite3_limit(d->db, SQLITE_LIMIT_ATTACHED, 0);
    sqlite3_db_config(d->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(d->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    return run_text(d,
                    "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON; "
                    "PRAGMA cell_size_check=ON",
                    err);
}

static enum status make_schema(struct sql *d, const char *schema, int version, struct err *err)
{
    sqlite3_stmt *st;
    bool row;
    char set[64];
    enum status s = sql_begin(d, err);
    if (s != OK)
        return s;
    int64_t found = 0;
    s = sql_start(d, err, &st, "PRAGMA user_version", "");
    if (s == OK)
        s = sql_next(d, st, &row, err);
    if (s == OK && row) {
        found = sql_int(st, 0);
        sql_stop(st);
    }
    if (s == OK && found == 0) {
        sqlite3_snprintf(sizeof set, set, "PRAGMA user_version=%d", version);
        s = run_text(d, schema, err);
        if (s == OK)
            s = run_text(d, set, err);
    } else if (s == OK && found != version) {
        s = err_set(err, EUNSUPPORTED, "database '%s': of version %lld, expected %d", d->path,
                    (long long)found, version);
    }
    return sql_end(d, s, err);
}

enum status sql_open(struct sql **out, const char *path, const char *schema, int version,
                     struct err *err)
{
    struct sql *d = mem_array(1, sizeof *d);
    *out = NULL;
    if (!d)
        return err_set(err, ENOMEMORY, "database '%s': no memory", path);
    pthread_mutex_init(&d->lock, NULL);
    d->path = mem_dup(path, strlen(path));
    enum status s = d->path ? OK : err_set(err, ENOMEMORY, "database '%s': no memory", path);
    if (s == OK && strcmp(path, ":memory:") != 0)
        s = make_file(path, err);
    if (s == OK && sqlite3_open_v2(path, &d->db,
                                   SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
                                       SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_NOFOLLOW,
                                   NULL) != SQLITE_OK)
        s = failed(d, err);
    if (s == OK)
        s = configure(d, err);
    if (s == OK)
        s = make_schema(d, schema, version, err);
    if (s != OK) {
        sql_close(d);
        return s;
    }
    *out = d;
    return OK;
}

void sql_close(struct sql *d)
{
    if (!d)
        return;
    for (int i = 0; i < d->n_cache; i++)
        sqlite3_finalize(d->cache[i].st);
    sqlite3_close_v2(d->db);
    pthread_mutex_destroy(&d->lock);
    free(d->path);
    free(d);
}

enum status sql_begin(struct sql *d, struct err *err)
{
    pthread_mutex_lock(&d->lock);
    enum status s = run_text(d, "BEGIN IMMEDIATE", err);
    if (s != OK)
        pthread_mutex_unlock(&d->lock);
    return s;
}

enum status sql_end(struct sql *d, enum status s, struct err *err)
{
    if (s == OK)
        s = run_text(d, "COMMIT", err);
    if (s != OK && !sqlite3_get_autocommit(d->db))
        sqlite3_exec(d->db, "ROLLBACK", NULL, NULL, NULL);
    pthread_mutex_unlock(&d->lock);
    return s;
}

static enum status prepared(struct sql *d, const char *text, sqlite3_stmt **out, struct err *err)
{
    for (int i = 0; i < d->n_cache; i++)
        if (d->cache[i].text == text) {
            *out = d->cache[i].st;
            return OK;
        }
    if (d->n_cache == MAX_STATEMENTS)
        hearth_bug("sql: more than %d statements", MAX_STATEMENTS);
    if (sqlite3_prepare_v3(d->db, text, -1, SQLITE_PREPARE_PERSISTENT, out, NULL) != SQLITE_OK)
        return failed(d, err);
    d->cache[d->n_cache].text = text;
    d->cache[d->n_cache++].st = *out;
    return OK;
}

static enum status start(struct sql *d, struct err *err, sqlite3_stmt **out, const char *text,
                         const char *types, va_list ap)
{
    enum status s = prepared(d, text, out, err);
    for (int i = 0; s == OK && types[i]; i++) {
        int rc;
        if (types[i] == 'i') {
            rc = sqlite3_bind_int64(*out, i + 1, va_arg(ap, int64_t));
        } else {
            struct str v = va_arg(ap, struct str);
            rc = v.p ? sqlite3_bind_text64(*out, i + 1, v.p, v.n, SQLITE_TRANSIENT, SQLITE_UTF8)
                     : sqlite3_bind_null(*out, i + 1);
        }
        if (rc != SQLITE_OK) {
            s = failed(d, err);
            sql_stop(*out);
        }
    }
    return s;
}

enum status sql_start(struct sql *d, struct err *err, sqlite3_stmt **out, const char *text,
                      const char *types, ...)
{
    va_list ap;
    va_start(ap, types);
    enum status s = start(d, err, out, text, types, ap);
    va_end(ap);
    return s;
}

enum status sql_next(struct sql *d, sqlite3_stmt *st, bool *row, struct err *err)
{
    int rc = sqlite3_step(st);
    *row = rc == SQLITE_ROW;
    if (*row)
        return OK;
    enum status s = rc == SQLITE_DONE ? OK : failed(d, err);
    sql_stop(st);
    return s;
}

void sql_stop(sqlite3_stmt *st)
{
    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
}

enum status sql_exec(struct sql *d, struct err *err, const char *text, const char *types, ...)
{
    va_list ap;
    sqlite3_stmt *st;
    bool row = true;
    va_start(ap, types);
    enum status s = start(d, err, &st, text, types, ap);
    va_end(ap);
    while (s == OK && row)
        s = sql_next(d, st, &row, err);
    return s;
}

int64_t sql_changes(struct sql *d)
{
    return sqlite3_changes64(d->db);
}

struct str sql_text(sqlite3_stmt *st, int column)
{
    const unsigned char *p = sqlite3_column_text(st, column);
    return (struct str){(const char *)p, p ? (size_t)sqlite3_column_bytes(st, column) : 0};
}

int64_t sql_int(sqlite3_stmt *st, int column)
{
    return sqlite3_column_int64(st, column);
}
