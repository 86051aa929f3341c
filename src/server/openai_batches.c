/* POST and GET /v1/batches, and cancel. */
#include "base/show.h"
#include "server/app.h"
#include "server/archive.h"
#include "server/batch.h"
#include "server/batches.h"
#include "server/openai_page.h"

handler_fn openai_batch_new, openai_batch_list, openai_batch_get, openai_batch_cancel;

enum { BATCH_MAX = 4 << 20, LIST_MAX = 256 << 20 };

static enum status need_batches(const struct http_request *q, struct err *err)
{
    return app_of(q)->batches ? OK : err_set(err, EUNSUPPORTED, "batches: none are run here");
}

static enum status check_new(const struct http_request *q, const json_t *body, struct str *file,
                             struct str *endpoint, struct str *window, const json_t **metadata,
                             struct err *err)
{
    struct archive_file f;
    enum status s = json_get_str(body, "input_file_id", file, err);
    if (s == OK)
        s = json_get_str(body, "endpoint", endpoint, err);
    if (s == OK)
        s = json_get_str(body, "completion_window", window, err);
    if (s == OK && !file->n)
        s = err_set(err, EUSAGE, "input_file_id: missing");
    if (s == OK && !batch_endpoint(*endpoint))
        s = err_set(err, EUSAGE,
                    "endpoint: '%s', expected /v1/chat/completions, /v1/completions, "
                    "/v1/embeddings or /v1/responses",
                    show(*endpoint).s);
    if (!window->n)
        *window = STR("24h");
    *metadata = json_object_get(body, "metadata");
    if (json_is_null(*metadata))
        *metadata = NULL;
    if (s == OK && *metadata && !json_is_object(*metadata))
        s = err_set(err, EUSAGE, "metadata: expected an object");
    if (s == OK)
        s = archive_file_get(app_of(q)->archive, q->key_name, *file, &f, err);
    if (s == OK && strcmp(f.purpose, "batch") != 0)
        s = err_set(err, EUSAGE, "file '%s': of purpose '%s', expected batch", f.id,
                    show(str_from(f.purpose)).s);
    return s;
}

enum status openai_batch_new(struct http_request *q, struct reply *r, struct err *err)
{
    struct str file, endpoint, window;
    const json_t *metadata;
    json_t *body = NULL;
    struct buf out;
    buf_init(&out, BATCH_MAX);
    enum status s = need_batches(q, err);
    if (s == OK)
        s = http_json(q, &body, err);
    if (s == OK)
        s = check_new(q, body, &file, &endpoint, &window, &metadata, err);
    if (s == OK)
        s = batches_add(app_of(q)->batches, q->key_name, file, endpoint, window, metadata, &out,
                        err);
    if (s == OK)
        reply_json(r, 200, &out);
    json_decref(body);
    buf_release(&out);
    return s;
}

enum status openai_batch_get(struct http_request *q, struct reply *r, struct err *err)
{
    struct buf out;
    buf_init(&out, BATCH_MAX);
    enum status s = need_batches(q, err);
    if (s == OK)
        s = archive_batch_get(app_of(q)->archive, q->key_name, http_param(q, "id"), &out, err);
    if (s == OK)
        reply_json(r, 200, &out);
    buf_release(&out);
    return s;
}

enum status openai_batch_cancel(struct http_request *q, struct reply *r, struct err *err)
{
    struct buf out;
    buf_init(&out, BATCH_MAX);
    enum status s = need_batches(q, err);
    if (s == OK)
        s = batches_cancel(app_of(q)->batches, q->key_name, http_param(q, "id"), &out, err);
    if (s == OK)
        reply_json(r, 200, &out);
    buf_release(&out);
    return s;
}

static void list_batch(void *ctx, struct str id, struct str body)
{
    openai_list_add(ctx, id, body);
}

enum status openai_batch_list(struct http_request *q, struct reply *r, struct err *err)
{
    struct archive_page p;
    struct openai_list l;
    struct buf out;
    bool more;
    enum status s = need_batches(q, err);
    if (s == OK)
        s = openai_page(q, &p, err);
    if (s != OK)
        return s;
    buf_init(&out, LIST_MAX);
    openai_list_begin(&l, &out);
    s = archive_batches(app_of(q)->archive, &p, list_batch, &l, &more, err);
    openai_list_end(&l, s == OK && more);
    if (s == OK)
        s = buf_check(&out, "batches", err);
    if (s == OK)
        reply_json(r, 200, &out);
    buf_release(&out);
    return s;
}
