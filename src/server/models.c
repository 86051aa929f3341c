/* Lists of models, and what stays in memory, by request: beyond Ollama's keep_alive. */
#include "server/models.h"
#include "server/app.h"

handler_fn models_unload, models_pin;

enum { LIST_MAX = 64 << 20, MODEL_MAX = 1 << 16, NAME_BYTES = 1024 };

/* ---- lists ---- */

struct list {
    struct jsonw w;
    model_writer *write;
    struct buf first, last;
};

static int list_model(void *ctx, const struct store_model *m)
{
    struct list *l = ctx;
    buf_clear(&l->last);
    name_short(&m->name, &l->last);
    if (!l->first.n)
        buf_addstr(&l->first, buf_str(&l->last));
    l->write(&l->w, m, buf_str(&l->last));
    return 0;
}

enum status models_list(struct http_request *q, struct reply *reply, model_writer *write,
                        void (*end)(struct jsonw *w, struct str first, struct str last),
                        struct err *err)
{
    struct buf out;
    struct list l = {.write = write};
    buf_init(&out, LIST_MAX);
    buf_init(&l.first, NAME_BYTES);
    buf_init(&l.last, NAME_BYTES);
    jsonw_init(&l.w, &out, 0);
    jsonw_obj(&l.w);
    jsonw_key(&l.w, "data");
    jsonw_arr(&l.w);
    enum status s = store_each(app_of(q)->store, list_model, &l, err);
    jsonw_end(&l.w);
    end(&l.w, buf_str(&l.first), buf_str(&l.last));
    jsonw_end(&l.w);
    if (s == OK)
        s = buf_check(&out, "models", err);
    if (s == OK)
        reply_json(reply, 200, &out);
    buf_release(&out);
    buf_release(&l.first);
    buf_release(&l.last);
    return s;
}

enum status models_one(struct http_request *q, struct reply *reply, model_writer *write,
                       struct err *err)
{
    struct store_model *m;
    struct buf out;
    struct jsonw w;
    struct str name = http_param(q, "model");
    enum status s = hub_fault(store_find(app_of(q)->store, name, &m, err), err);
    if (s != OK)
        return s;
    buf_init(&out, MODEL_MAX);
    jsonw_init(&w, &out, 0);
    write(&w, m, name);
    reply_json(reply, 200, &out);
    buf_release(&out);
    store_model_free(m);
    return OK;
}

/* ---- staying ---- */

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
