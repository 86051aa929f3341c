/* The endpoints about the server itself. */
#include "server/server.h"

#define TEXT "text/plain; charset=utf-8"

handler_fn handle_root, handle_health, handle_livez, handle_readyz, handle_metrics;

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
