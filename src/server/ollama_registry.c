/* /api/pull and /api/push: NDJSON of what is being done, or one answer at the end. A client that
 * leaves stops it; what came is kept for the next pull. */
#include "base/jsonw.h"
#include "base/show.h"
#include "server/app.h"
#include "server/dialect.h"
#include "server/ollama.h"
#include "store/transfer.h"

struct transmission {
    struct reply *reply;
    bool stream;
};

static void tell(void *ctx, const char *status, struct str digest, uint64_t total,
                 uint64_t completed)
{
    struct transmission *t = ctx;
    struct buf line;
    struct jsonw w;
    if (!t->stream)
        return;
    buf_init(&line, 4096);
    jsonw_init(&w, &line, 0);
    jsonw_obj(&w);
    jsonw_kstr(&w, "status", str_from(status));
    if (digest.p)
        jsonw_kstr(&w, "digest", digest);
    if (total) {
        jsonw_kint(&w, "total", (int64_t)total);
        if (completed) /* Ollama leaves a zero out */
            jsonw_kint(&w, "completed", (int64_t)completed);
    }
    jsonw_end(&w);
    reply_line(t->reply, buf_str(&line));
    buf_release(&line);
}

static enum status read_request(struct http_request *q, json_t **body, struct transfer_options *o,
                                bool *stream, struct err *err)
{
    enum status s = http_json(q, body, err);
    if (s == OK)
        s = json_get_str(*body, "model", &o->name, err);
    if (s == OK && !o->name.n)
        s = json_get_str(*body, "name", &o->name, err);
    if (s == OK && !o->name.n)
        s = err_set(err, EUSAGE, "model: absent, expected a name");
    if (s == OK)
        s = json_get_bool(*body, "insecure", &o->insecure, false, err);
    if (s == OK)
        s = json_get_bool(*body, "stream", stream, true, err);
    o->cancel = q->gone;
    return s;
}

/* After the first line an error is a line, too; "success" has been told. */
static enum status end(const struct http_request *q, const struct transmission *t, enum status s,
                       struct err *err)
{
    struct buf line;
    bool started = reply_started(t->reply);
    if (s != OK && !started)
        return s;
    buf_init(&line, 4096);
    if (s != OK)
        dialects[DIALECT_OLLAMA].error(&line, status_http(s), err, q);
    else
        buf_adds(&line, "{\"status\":\"success\"}");
    if (s != OK)
        reply_line(t->reply, buf_str(&line));
    else if (!t->stream)
        reply_json(t->reply, 200, &line);
    buf_release(&line);
    return OK;
}

typedef enum status transfer_fn(struct store *s, const struct transfer_options *o, struct err *err);

static enum status run(struct http_request *q, struct reply *reply, transfer_fn *fn,
                       struct err *err)
{
    struct transmission t = {.reply = reply};
    struct transfer_options o = {.progress = {tell, &t}};
    json_t *body = NULL;
    enum status s = read_request(q, &body, &o, &t.stream, err);
    if (s == OK)
        s = hub_fault(fn(app_of(q)->store, &o, err), err); /* the registry's fault */
    s = end(q, &t, s, err);
    json_decref(body);
    return s;
}

enum status ollama_pull(struct http_request *q, struct reply *reply, struct err *err)
{
    return run(q, reply, pull_model, err);
}

enum status ollama_push(struct http_request *q, struct reply *reply, struct err *err)
{
    return run(q, reply, push_model, err);
}
