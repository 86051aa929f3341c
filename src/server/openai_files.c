/* POST /v1/files (a form), GET, DELETE, and the contents. */
#include "base/file.h"
#include "base/show.h"
#include "server/app.h"
#include "server/archive.h"
#include "server/ask.h"
#include "server/multipart.h"
#include "server/openai_page.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

handler_fn openai_file_put, openai_files, openai_file_get, openai_file_content, openai_file_delete;

enum { CHUNK = 64 << 10 };

static enum status need_archive(const struct http_request *q, struct err *err)
{
    return app_of(q)->archive ? OK : err_set(err, EUNSUPPORTED, "files: nothing is stored here");
}

static void write_file(struct buf *out, const struct archive_file *f)
{
    struct jsonw w;
    jsonw_init(&w, out, 0);
    jsonw_obj(&w);
    jsonw_kstr(&w, "id", str_from(f->id));
    jsonw_kstr(&w, "object", STR("file"));
    jsonw_kint(&w, "bytes", f->bytes);
    jsonw_kint(&w, "created_at", f->created);
    jsonw_kstr(&w, "filename", str_from(f->name));
    jsonw_kstr(&w, "purpose", str_from(f->purpose));
    jsonw_kstr(&w, "status", STR("processed"));
    jsonw_end(&w);
}

static enum status send_file(struct reply *r, const struct archive_file *f, struct err *err)
{
    struct buf out;
    buf_init(&out, 1 << 16);
    write_file(&out, f);
    enum status s = buf_check(&out, "file", err);
    if (s == OK)
        reply_json(r, 200, &out);
    buf_release(&out);
    return s;
}

/* ---- upload ---- */

struct upload {
    struct archive_file f;
    struct file_writer w;
    enum { OTHER, PURPOSE, FILE_BYTES } part;
    uint64_t room;
};

static enum status on_part(void *ctx, struct str name, struct str filename, struct err *err)
{
    struct upload *u = ctx;
    u->part = str_is(name, "purpose") ? PURPOSE : str_is(name, "file") ? FILE_BYTES : OTHER;
    if (u->part == PURPOSE && u->f.purpose[0])
        return err_set(err, EUSAGE, "purpose: given twice");
    if (u->part != FILE_BYTES)
        return OK;
    if (u->f.name[0])
        return err_set(err, EUSAGE, "file: given twice");
    snprintf(u->f.name, sizeof u->f.name, "%.*s", STR_ARG(filename.n ? filename : STR("upload")));
    return OK;
}

static enum status on_data(void *ctx, struct str bytes, struct err *err)
{
    struct upload *u = ctx;
    size_t n = strlen(u->f.purpose);
    if (u->part == PURPOSE) {
        if (bytes.n >= sizeof u->f.purpose - n)
            return err_set(err, EUSAGE, "purpose: longer than %zu bytes", sizeof u->f.purpose - 1);
        memcpy(u->f.purpose + n, bytes.p, bytes.n);
    } else if (u->part == FILE_BYTES) {
        u->f.bytes += (int64_t)bytes.n;
        if ((uint64_t)u->f.bytes > u->room)
            return err_set(err, ELIMIT, "file: no room, files may take %llu more bytes",
                           (unsigned long long)u->room);
        file_writer_put(&u->w, bytes.p, bytes.n);
    }
    return OK;
}

static enum status check_upload(const struct upload *u, struct err *err)
{
    static const char *const purposes[] = {"batch",  "assistants", "fine-tune",
                                           "vision", "user_data",  "evals"};
    if (!u->f.name[0])
        return err_set(err, EUSAGE, "file: missing");
    for (size_t i = 0; i < sizeof purposes / sizeof *purposes; i++)
        if (strcmp(u->f.purpose, purposes[i]) == 0)
            return OK;
    return err_set(err, EUSAGE,
                   "purpose: '%s', expected batch, assistants, fine-tune, vision, user_data or "
                   "evals",
                   show(str_from(u->f.purpose)).s);
}

static enum status read_form(const struct http_request *q, struct upload *u, struct err *err)
{
    struct multipart m;
    struct multipart_sink sink = {on_part, on_data, u};
    size_t got = 0;
    char *chunk = malloc(CHUNK);
    enum status s = multipart_open(&m, http_header(q, "Content-Type"), &sink, err);
    if (s == OK && !chunk)
        s = err_set(err, ENOMEMORY, "file: no memory");
    while (s == OK && (s = http_body_read(q, chunk, CHUNK, &got, err)) == OK && got > 0)
        s = multipart_feed(&m, (struct str){chunk, got}, err);
    if (s == OK)
        s = multipart_end(&m, err);
    multipart_close(&m);
    free(chunk);
    return s == OK ? check_upload(u, err) : s;
}

enum status openai_file_put(struct http_request *q, struct reply *r, struct err *err)
{
    struct upload u = {.part = OTHER};
    struct archive *a = app_of(q)->archive;
    char hex[33], *path = NULL;
    random_hex(hex, 16);
    snprintf(u.f.id, sizeof u.f.id, "file-%s", hex);
    u.f.created = unix_now_ns() / 1000000000;
    enum status s = need_archive(q, err);
    if (s == OK)
        s = archive_file_room(a, &u.room, err);
    if (s == OK && !(path = archive_file_path(a, u.f.id)))
        s = err_set(err, ENOMEMORY, "file: no memory");
    if (s == OK)
        s = file_writer_open(&u.w, path, err);
    if (s != OK) {
        free(path);
        return s;
    }
    s = read_form(q, &u, err);
    if (s == OK)
        s = file_writer_commit(&u.w, err);
    else
        file_writer_abort(&u.w);
    if (s == OK && (s = archive_file_put(a, q->key_name, &u.f, err)) != OK)
        unlink(path);
    free(path);
    return s == OK ? send_file(r, &u.f, err) : s;
}

/* ---- the rest ---- */

static enum status named(const struct http_request *q, struct archive_file *f, struct err *err)
{
    enum status s = need_archive(q, err);
    return s == OK ? archive_file_get(app_of(q)->archive, q->key_name, http_param(q, "id"), f, err)
                   : s;
}

enum status openai_file_get(struct http_request *q, struct reply *r, struct err *err)
{
    struct archive_file f;
    enum status s = named(q, &f, err);
    return s == OK ? send_file(r, &f, err) : s;
}

enum status openai_file_delete(struct http_request *q, struct reply *r, struct err *err)
{
    struct str id = http_param(q, "id");
    enum status s = need_archive(q, err);
    if (s == OK)
        s = archive_file_delete(app_of(q)->archive, q->key_name, id, err);
    return s == OK ? openai_deleted(r, id, "file", err) : s;
}

static enum status send_bytes(struct reply *r, FILE *in, const struct archive_file *f,
                              struct err *err)
{
    char *chunk = malloc(CHUNK);
    size_t n;
    int64_t sent = 0;
    if (!chunk)
        return err_set(err, ENOMEMORY, "file '%s': no memory", f->id);
    reply_start(r, 200, "application/octet-stream");
    while ((n = fread(chunk, 1, CHUNK, in)) > 0) {
        sent += (int64_t)n;
        if (reply_write(r, (struct str){chunk, n}))
            break;
    }
    bool broken = ferror(in) || (n == 0 && sent != f->bytes);
    free(chunk);
    return broken ? err_set(err, EIO, "file '%s': %lld bytes, expected %lld", f->id,
                            (long long)sent, (long long)f->bytes)
                  : OK;
}

enum status openai_file_content(struct http_request *q, struct reply *r, struct err *err)
{
    struct archive_file f;
    enum status s = named(q, &f, err);
    if (s != OK)
        return s;
    char *path = archive_file_path(app_of(q)->archive, f.id);
    FILE *in = path ? fopen(path, "rbe") : NULL;
    s = in ? send_bytes(r, in, &f, err)
           : err_set(err, EIO, "file '%s': its bytes cannot be read", f.id);
    if (in)
        fclose(in);
    free(path);
    return s;
}

static void list_file(void *ctx, const struct archive_file *f)
{
    struct buf one;
    buf_init(&one, 1 << 16);
    write_file(&one, f);
    openai_list_add(ctx, str_from(f->id), buf_str(&one));
    buf_release(&one);
}

enum status openai_files(struct http_request *q, struct reply *r, struct err *err)
{
    struct archive_page p;
    struct openai_list l;
    struct buf out;
    bool more;
    enum status s = need_archive(q, err);
    if (s == OK)
        s = openai_page(q, &p, err);
    if (s != OK)
        return s;
    p.purpose = http_query(q, "purpose");
    if (!http_query(q, "limit").p)
        p.limit = 10000; /* OpenAI's default for files */
    buf_init(&out, 64 << 20);
    openai_list_begin(&l, &out);
    s = archive_files(app_of(q)->archive, &p, list_file, &l, &more, err);
    openai_list_end(&l, s == OK && more);
    if (s == OK)
        s = buf_check(&out, "files", err);
    if (s == OK)
        reply_json(r, 200, &out);
    buf_release(&out);
    return s;
}
