/* GET and DELETE /v1/responses/{id}, its input items, and cancel, which only background responses
 * have. */
#include "base/show.h"
#include "server/archive.h"
#include "server/openai_page.h"
#include "server/openai_responses.h"
#include <stdlib.h>

handler_fn openai_response_get, openai_response_delete, openai_response_items,
    openai_response_cancel;

static enum status stored(const struct http_request *q, struct buf *body, struct err *err)
{
    struct str id = http_param(q, "id");
    if (!app_of(q)->archive)
        return err_set(err, ENOTFOUND, "response '%s' not found: nothing is stored here",
                       show(id).s);
    return archive_response_get(app_of(q)->archive, q->key_name, id, NULL, body, NULL, err);
}

/* A response that was running when its server ended is not coming any more. */
static enum status tell_lost(const struct http_request *q, struct buf *body, struct err *err)
{
    json_t *v;
    enum status s = json_parse(&v, buf_str(body), "stored response", err);
    if (s != OK)
        return s;
    const char *status = json_string_value(json_object_get(v, "status"));
    if (status && strcmp(status, "in_progress") == 0 && !background_runs(http_param(q, "id"))) {
        /* it may have ended since it was read */
        buf_clear(body);
        json_decref(v);
        v = NULL;
        s = stored(q, body, err);
        if (s == OK)
            s = json_parse(&v, buf_str(body), "stored response", err);
        status = json_string_value(json_object_get(v, "status"));
        if (s == OK && status && strcmp(status, "in_progress") == 0) {
            json_object_set_new(v, "status", json_string("failed"));
            json_object_set_new(v, "error",
                                json_pack("{s:s, s:s}", "code", "server_error", "message",
                                          "the server ended before the response did"));
            char *text = json_dumps(v, JSON_COMPACT);
            buf_clear(body);
            buf_adds(body, text ? text : "{}");
            free(text);
        }
    }
    json_decref(v);
    return s;
}

enum status openai_response_get(struct http_request *q, struct reply *r, struct err *err)
{
    struct buf body;
    if (str_is(http_query(q, "stream"), "true"))
        return err_set(err, EUNSUPPORTED, "stream: a stored response is told whole");
    buf_init(&body, RESPONSE_MAX);
    enum status s = stored(q, &body, err);
    if (s == OK)
        s = tell_lost(q, &body, err);
    if (s == OK)
        reply_json(r, 200, &body);
    buf_release(&body);
    return s;
}

enum status openai_response_delete(struct http_request *q, struct reply *r, struct err *err)
{
    struct str id = http_param(q, "id");
    struct archive *a = app_of(q)->archive;
    if (!a)
        return err_set(err, ENOTFOUND, "response '%s' not found: nothing is stored here",
                       show(id).s);
    enum status s = archive_response_delete(a, q->key_name, id, err);
    return s == OK ? openai_deleted(r, id, "response", err) : s;
}

enum status openai_response_cancel(struct http_request *q, struct reply *r, struct err *err)
{
    struct buf body;
    json_t *v = NULL;
    struct str id = http_param(q, "id");
    buf_init(&body, RESPONSE_MAX);
    enum status s = stored(q, &body, err);
    if (s == OK)
        s = json_parse(&v, buf_str(&body), "stored response", err);
    if (s == OK && !json_is_true(json_object_get(v, "background")))
        s = err_set(err, EUSAGE,
                    "response '%s' was not made with background: true and cannot be cancelled",
                    show(id).s);
    if (s == OK) {
        background_stop(id);
        buf_clear(&body);
        s = stored(q, &body, err);
    }
    if (s == OK)
        s = tell_lost(q, &body, err);
    if (s == OK)
        reply_json(r, 200, &body);
    json_decref(v);
    buf_release(&body);
    return s;
}

/* The page of `list` that the query asks for. */
static enum status write_page(const struct http_request *q, const json_t *list, struct buf *out,
                              struct err *err)
{
    struct archive_page p;
    struct openai_list l;
    size_t n = json_array_size(list), from = 0;
    enum status s = openai_page(q, &p, err);
    if (s != OK)
        return s;
    if (p.after.p) {
        while (from < n) {
            const json_t *item = json_array_get(list, p.oldest_first ? from : n - 1 - from);
            from++;
            if (str_eq(json_str(json_object_get(item, "id")), p.after))
                break;
            if (from == n)
                return err_set(err, ENOTFOUND, "item '%s' not found", show(p.after).s);
        }
    }
    openai_list_begin(&l, out);
    for (size_t i = from; i < n && (int64_t)(i - from) < p.limit; i++) {
        const json_t *item = json_array_get(list, p.oldest_first ? i : n - 1 - i);
        char *text = json_dumps(item, JSON_COMPACT);
        if (!text)
            return err_set(err, ENOMEMORY, "items: no memory");
        openai_list_add(&l, json_str(json_object_get(item, "id")), str_from(text));
        free(text);
    }
    openai_list_end(&l, n > from && (int64_t)(n - from) > p.limit);
    return buf_check(out, "items", err);
}

enum status openai_response_items(struct http_request *q, struct reply *r, struct err *err)
{
    struct buf out;
    json_t *list = NULL;
    buf_init(&out, RESPONSE_MAX);
    enum status s = response_history(q, http_param(q, "id"), false, &list, err);
    if (s == OK)
        s = write_page(q, list, &out, err);
    if (s == OK)
        reply_json(r, 200, &out);
    json_decref(list);
    buf_release(&out);
    return s;
}
