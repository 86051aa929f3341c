/* The endpoints about the server itself. */
#include "base/jsonw.h"
#include "base/show.h"
#include "server/server.h"

#define TEXT "text/plain; charset=utf-8"

handler_fn handle_root, handle_health, handle_livez, handle_readyz, handle_metrics, handle_cancel;

/* Clients compare the text, and some packages probe for it before anything else. */
enum status handle_root(struct http_request *q, struct reply *r, struct err *err)
{
    (void)q;
    (void)err;
    reply_send(r, 200, TEXT, STR("Ollama is running"));
    return OK;
}

/* As llama.cpp's server answers. */
enum status handle_health(struct http_request *q, struct reply *r, struct err *err)
{
    (void)err;
    bool ready = server_ready(q->server);
    reply_send(r, ready ? 200 : 503, "application/json; charset=utf-8",
               ready ? STR("{\"status\":\"ok\"}") : STR("{\"status\":\"not ready\"}"));
    return OK;
}

enum status handle_livez(struct http_request *q, struct reply *r, struct err *err)
{
    (void)q;
    (void)err;
    reply_send(r, 200, TEXT, STR("ok\n"));
    return OK;
}

enum status handle_readyz(struct http_request *q, struct reply *r, struct err *err)
{
    (void)err;
    bool ready = server_ready(q->server);
    reply_send(r, ready ? 200 : 503, TEXT, ready ? STR("ok\n") : STR("not ready\n"));
    return OK;
}

enum status handle_metrics(struct http_request *q, struct reply *r, struct err *err)
{
    struct buf text;
    buf_init(&text, 64 << 20);
    server_metrics(q->server, &text);
    enum status s = buf_check(&text, "metrics", err);
    if (s == OK)
        reply_send(r, 200, "text/plain; version=0.0.4; charset=utf-8", buf_str(&text));
    buf_release(&text);
    return s;
}

static void write_cancelled(void *ctx, struct str method, struct str path, struct str model)
{
    struct jsonw *w = ctx;
    jsonw_obj(w);
    jsonw_kstr(w, "method", method);
    jsonw_kstr(w, "path", path);
    if (model.n)
        jsonw_kstr(w, "model", model);
    jsonw_end(w);
}

/* {"request_id"} -> {"request_id", "cancelled": how many, "requests": [{"method", "path",
 * "model"}]} */
enum status handle_cancel(struct http_request *q, struct reply *r, struct err *err)
{
    json_t *body = NULL;
    struct str id = {0};
    struct buf out;
    struct jsonw w;
    size_t n = 0;
    buf_init(&out, 1 << 20);
    enum status s = http_json(q, &body, err);
    if (s == OK)
        s = json_get_str(body, "request_id", &id, err);
    if (s == OK && id.n == 0)
        s = err_set(err, EUSAGE, "request_id: absent, expected the X-Request-Id of a request");
    if (s == OK) {
        jsonw_init(&w, &out, 0);
        jsonw_obj(&w);
        jsonw_kstr(&w, "request_id", id);
        jsonw_key(&w, "requests");
        jsonw_arr(&w);
        n = server_cancel(q->server, q, id, write_cancelled, &w);
        jsonw_end(&w);
        jsonw_kint(&w, "cancelled", (int64_t)n);
        jsonw_end(&w);
        s = buf_check(&out, "answer", err);
    }
    if (s == OK && n == 0)
        s = err_set(err, ENOTFOUND, "no request '%s' is being answered", show(id).s);
    if (s == OK)
        reply_json(r, 200, &out);
    json_decref(body);
    buf_release(&out);
    return s;
}
