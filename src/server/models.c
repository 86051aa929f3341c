/* What stays in memory, by request: beyond Ollama's keep_alive. */
#include "base/jsonw.h"
#include "server/app.h"

handler_fn models_unload, models_pin;

static enum status read_model(const struct http_request *q, json_t **body, struct str *model,
                              struct err *err)
{
    enum status s = http_json(q, body, err);
    if (s == OK)
        s = json_get_str(*body, "model", model, err);
    if (s == OK && !model->p)
        s = err_set(err, EUSAGE, "model: absent, expected a name");
    return s;
}

static void answer(struct reply *reply, struct str model, const char *key, bool value)
{
    struct buf out;
    struct jsonw w;
    buf_init(&out, 4096);
    jsonw_init(&w, &out, 0);
    jsonw_obj(&w);
    jsonw_kstr(&w, "model", model);
    jsonw_kbool(&w, key, value);
    jsonw_end(&w);
    reply_json(reply, 200, &out);
    buf_release(&out);
}

enum status models_unload(struct http_request *q, struct reply *reply, struct err *err)
{
    json_t *body = NULL;
    struct str model;
    enum status s = read_model(q, &body, &model, err);
    if (s == OK)
        s = hub_unload(app_of(q)->hub, model, err);
    if (s == OK)
        answer(reply, model, "unloaded", true);
    json_decref(body);
    return s;
}

enum status models_pin(struct http_request *q, struct reply *reply, struct err *err)
{
    json_t *body = NULL;
    struct str model;
    bool pin = true;
    struct lease lease = {0};
    enum status s = read_model(q, &body, &model, err);
    if (s == OK)
        s = json_get_bool(body, "pin", &pin, true, err);
    if (s == OK && pin)
        s = hub_acquire(app_of(q)->hub, model, 0, KEEP_FOREVER, q->gone, &lease, err);
    if (s == OK)
        s = hub_pin(app_of(q)->hub, model, pin, err);
    if (lease.loaded)
        hub_release(&lease);
    if (s == OK)
        answer(reply, model, "pinned", pin);
    json_decref(body);
    return s;
}
