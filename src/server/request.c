/* What a handler can ask of its request. */
#include "server/server_int.h"
#include "server/uri.h"

static struct reply *of(const struct http_request *q)
{
    return (struct reply *)(uintptr_t)q->impl;
}

struct str http_header(const struct http_request *q, const char *name)
{
    return headers_get(&of(q)->headers, name);
}

/* A NULL .p where it is absent or its escapes are broken. */
static struct str decoded(struct reply *r, struct str raw, bool plus)
{
    struct buf text;
    struct str out = {NULL, 0};
    buf_init(&text, raw.n + 1);
    if (uri_decode(raw, plus, &text) && !text.failed)
        out = arena_str(&r->arena, buf_str(&text));
    buf_release(&text);
    return out;
}

struct str http_query(const struct http_request *q, const char *name)
{
    struct str raw;
    if (!uri_query(of(q)->query, name, &raw))
        return (struct str){NULL, 0};
    return decoded(of(q), raw, true);
}

struct str http_param(const struct http_request *q, const char *name)
{
    struct reply *r = of(q);
    for (int i = 0; i < r->n_params; i++)
        if (str_is(r->params[i].name, name))
            return decoded(r, r->params[i].value, false);
    return (struct str){NULL, 0};
}

int64_t http_content_length(const struct http_request *q)
{
    return of(q)->length;
}

enum status http_json(const struct http_request *q, json_t **out, struct err *err)
{
    *out = NULL;
    if (q->body.n == 0)
        return err_set(err, EUSAGE, "missing request body");
    if (json_parse(out, q->body, "request body", err) != OK) {
        if (err)
            err->code = EUSAGE;
        return EUSAGE;
    }
    if (!json_is_object(*out)) {
        json_decref(*out);
        *out = NULL;
        return err_set(err, EUSAGE, "request body: expected a JSON object");
    }
    return OK;
}

enum status http_body_read(const struct http_request *q, void *out, size_t n, size_t *got,
                           struct err *err)
{
    struct reply *r = of(q);
    enum status s = OK;
    pthread_mutex_lock(&r->lock);
    while (r->in.n == 0 && !r->in_ended && atomic_load(&r->gone) == GONE_NOT)
        pthread_cond_wait(&r->moved, &r->lock);
    *got = ring_take(&r->in, out, n);
    if (*got)
        reply_resume(r);
    else if (!r->in_ended)
        s = err_set(err, ECANCEL, "the client left after %llu bytes of the body",
                    (unsigned long long)r->received);
    pthread_mutex_unlock(&r->lock);
    return s;
}

void http_note_model(const struct http_request *q, struct str model)
{
    struct reply *r = of(q);
    pthread_mutex_lock(&r->lock);
    r->model = arena_str(&r->arena, model);
    pthread_mutex_unlock(&r->lock);
}

void http_note_tokens(const struct http_request *q, const char *operation, int64_t prompt,
                      int64_t answer)
{
    struct reply *r = of(q);
    pthread_mutex_lock(&r->lock);
    r->operation = operation;
    r->prompt_tokens = (r->prompt_tokens < 0 ? 0 : r->prompt_tokens) + prompt;
    r->answer_tokens = (r->answer_tokens < 0 ? 0 : r->answer_tokens) + answer;
    pthread_mutex_unlock(&r->lock);
}

bool http_cancelled(const struct http_request *q)
{
    return atomic_load(q->gone) == GONE_CANCELLED;
}
