/* Ollama's API besides generate and chat: lists, show, copy, delete, create, blobs, embeddings.
 * pull and push are in ollama_registry.c. */
#include "base/clock.h"
#include "base/jsonw.h"
#include "server/app.h"
#include "server/ask.h"
#include "server/dialect.h"
#include "server/ollama.h"
#include "server/openai.h"
#include "store/create.h"
#include "store/info.h"
#include "store/params.h"
#include <math.h>
#include <stdlib.h>

enum { BODY_MAX = 256 << 20, MAX_INPUTS = 10000, MAX_FILES = 10000 };

static enum status send_json(struct reply *reply, struct buf *out, enum status s, struct err *err)
{
    if (s == OK)
        s = buf_check(out, "answer", err);
    if (s == OK)
        reply_json(reply, 200, out);
    buf_release(out);
    return s;
}

/* "model", or "name" as older clients have it. */
static enum status model_field(const json_t *body, struct str *out, struct err *err)
{
    enum status s = json_get_str(body, "model", out, err);
    if (s == OK && (!out->p || out->n == 0))
        s = json_get_str(body, "name", out, err);
    if (s == OK && (!out->p || out->n == 0))
        s = err_set(err, EUSAGE, "model: absent, expected a name");
    return s;
}

enum status ollama_version(struct http_request *q, struct reply *reply, struct err *err)
{
    struct buf out;
    (void)q;
    buf_init(&out, 256);
    buf_adds(&out, "{\"version\":\"" HEARTH_VERSION "\"}");
    return send_json(reply, &out, OK, err);
}

/* ---- lists ---- */

static void write_names(struct jsonw *w, const struct model_name *name)
{
    struct buf text;
    buf_init(&text, 1024);
    name_short(name, &text);
    jsonw_kstr(w, "name", buf_str(&text));
    jsonw_kstr(w, "model", buf_str(&text));
    buf_release(&text);
}

static int list_model(void *ctx, const struct store_model *m)
{
    struct jsonw *w = ctx;
    struct info_details d;
    struct info *info = NULL;
    struct err ignored;
    char modified[40];
    if (info_open(&info, m, &ignored) == OK)
        d = info->details;
    else if (info_details(&d, m, &ignored) != OK)
        return 0; /* a file that cannot be read is not offered */
    time_rfc3339(modified, m->modified_unix_ns);
    jsonw_obj(w);
    write_names(w, &m->name);
    jsonw_kstr(w, "modified_at", str_from(modified));
    jsonw_kint(w, "size", (int64_t)m->size);
    jsonw_kstr(w, "digest", m->digest);
    jsonw_key(w, "details");
    info_write_details(w, &d);
    if (info) {
        jsonw_key(w, "capabilities");
        info_write_capabilities(w, info->capabilities);
    }
    info_close(info);
    jsonw_end(w);
    return 0;
}

enum status ollama_tags(struct http_request *q, struct reply *reply, struct err *err)
{
    struct buf out;
    struct jsonw w;
    buf_init(&out, BODY_MAX);
    jsonw_init(&w, &out, 0);
    jsonw_obj(&w);
    jsonw_key(&w, "models");
    jsonw_arr(&w);
    enum status s = store_each(app_of(q)->store, list_model, &w, err);
    jsonw_end(&w);
    jsonw_end(&w);
    return send_json(reply, &out, s, err);
}

struct running {
    struct app *app;
    struct jsonw w;
};

static void list_running(void *ctx, const struct hub_model *m)
{
    struct running *r = ctx;
    struct store_model *entry;
    struct info_details d;
    struct err ignored;
    char expires[40];
    time_rfc3339(expires, m->expires_unix_ns < 0 ? (int64_t)9e18 : m->expires_unix_ns);
    jsonw_obj(&r->w);
    jsonw_kstr(&r->w, "name", m->name);
    jsonw_kstr(&r->w, "model", m->name);
    jsonw_kint(&r->w, "size", (int64_t)(m->weight_bytes + m->kv_bytes));
    jsonw_kstr(&r->w, "digest", m->digest);
    if (store_find(r->app->store, m->name, &entry, &ignored) == OK) {
        if (info_details(&d, entry, &ignored) == OK) {
            jsonw_key(&r->w, "details");
            info_write_details(&r->w, &d);
        }
        store_model_free(entry);
    }
    jsonw_kstr(&r->w, "expires_at", str_from(expires));
    jsonw_kint(&r->w, "size_vram", 0);
    jsonw_kint(&r->w, "context_length", m->n_ctx);
    jsonw_kint(&r->w, "requests", m->users);
    jsonw_end(&r->w);
}

enum status ollama_ps(struct http_request *q, struct reply *reply, struct err *err)
{
    struct buf out;
    struct running r = {.app = app_of(q)};
    buf_init(&out, BODY_MAX);
    jsonw_init(&r.w, &out, 0);
    jsonw_obj(&r.w);
    jsonw_key(&r.w, "models");
    jsonw_arr(&r.w);
    hub_each(r.app->hub, list_running, &r);
    jsonw_end(&r.w);
    jsonw_end(&r.w);
    return send_json(reply, &out, OK, err);
}

/* ---- show ---- */

static void write_texts(struct jsonw *w, const struct store_model *m, const struct info *info)
{
    struct buf text;
    buf_init(&text, BODY_MAX);
    for (size_t i = 0; i < m->n_licenses; i++) {
        buf_adds(&text, i ? "\n" : "");
        buf_addstr(&text, m->licenses[i]);
    }
    jsonw_kstr(w, "license", buf_str(&text));
    struct err ignored;
    buf_clear(&text);
    if (info_modelfile(info, &text, &ignored) == OK)
        jsonw_kstr(w, "modelfile", buf_str(&text));
    buf_clear(&text);
    if (params_text(m->params_json, &text, &ignored) == OK)
        jsonw_kstr(w, "parameters", buf_str(&text));
    buf_release(&text);
    jsonw_kstr(w, "template", info->template_text.p ? info->template_text : STR("{{ .Prompt }}"));
    if (m->system.p)
        jsonw_kstr(w, "system", m->system);
    if (m->messages_json.p) {
        jsonw_key(w, "messages");
        jsonw_raw(w, m->messages_json);
    }
}

static enum status write_show(struct jsonw *w, const struct store_model *m, bool verbose,
                              struct err *err)
{
    struct info *info;
    char modified[40];
    enum status s = hub_fault(info_open(&info, m, err), err);
    if (s != OK)
        return s;
    time_rfc3339(modified, m->modified_unix_ns);
    jsonw_obj(w);
    write_texts(w, m, info);
    jsonw_key(w, "details");
    info_write_details(w, &info->details);
    jsonw_key(w, "model_info");
    info_write_model_info(w, info, verbose);
    if (verbose) {
        jsonw_key(w, "tensors");
        info_write_tensors(w, info);
    }
    jsonw_key(w, "capabilities");
    info_write_capabilities(w, info->capabilities);
    jsonw_kstr(w, "template_source",
               !info->template_text.p ? STR("none")
               : info->template_is_go ? STR("go_template")
                                      : STR("gguf_chat_template"));
    jsonw_kstr(w, "modified_at", str_from(modified));
    jsonw_end(w);
    info_close(info);
    return OK;
}

enum status ollama_show(struct http_request *q, struct reply *reply, struct err *err)
{
    json_t *body = NULL;
    struct buf out;
    struct jsonw w;
    struct str name;
    struct store_model *m = NULL;
    bool verbose;
    buf_init(&out, BODY_MAX);
    jsonw_init(&w, &out, 0);
    enum status s = http_json(q, &body, err);
    if (s == OK)
        s = model_field(body, &name, err);
    if (s == OK)
        s = json_get_bool(body, "verbose", &verbose, false, err);
    if (s == OK)
        s = hub_fault(store_find(app_of(q)->store, name, &m, err), err);
    if (s == OK)
        s = write_show(&w, m, verbose, err);
    store_model_free(m);
    json_decref(body);
    return send_json(reply, &out, s, err);
}

/* ---- copy, delete ---- */

enum status ollama_copy(struct http_request *q, struct reply *reply, struct err *err)
{
    json_t *body = NULL;
    struct str from, to;
    enum status s = http_json(q, &body, err);
    if (s == OK)
        s = json_get_str(body, "source", &from, err);
    if (s == OK)
        s = json_get_str(body, "destination", &to, err);
    if (s == OK && (!from.p || !to.p))
        s = err_set(err, EUSAGE, "expected a source and a destination");
    if (s == OK)
        s = store_copy(app_of(q)->store, from, to, err);
    if (s == OK)
        reply_send(reply, 200, NULL, STR(""));
    json_decref(body);
    return s;
}

enum status ollama_delete(struct http_request *q, struct reply *reply, struct err *err)
{
    json_t *body = NULL;
    struct str name;
    struct err ignored;
    enum status s = http_json(q, &body, err);
    if (s == OK)
        s = model_field(body, &name, err);
    if (s == OK) {
        enum status unloaded = hub_unload(app_of(q)->hub, name, &ignored);
        s = unloaded == OK || unloaded == ENOTFOUND ? store_remove(app_of(q)->store, name, err)
                                                    : unloaded;
    }
    if (s == OK)
        reply_send(reply, 200, NULL, STR(""));
    json_decref(body);
    return s;
}

/* ---- blobs ---- */

static enum status digest_param(const struct http_request *q, struct str *out, struct err *err)
{
    *out = http_param(q, "digest");
    if (digest_valid(*out))
        return OK;
    return err_set(err, EUSAGE, "digest '%.*s', expected sha256: and 64 hex digits", STR_ARG(*out));
}

enum status ollama_blob_head(struct http_request *q, struct reply *reply, struct err *err)
{
    struct str digest;
    char *path = NULL;
    uint64_t size;
    enum status s = digest_param(q, &digest, err);
    if (s == OK)
        s = store_blob_find(app_of(q)->store, digest, &path, &size, err);
    if (s == OK)
        reply_send(reply, 200, NULL, STR(""));
    free(path);
    return s;
}

static enum status receive_blob(struct http_request *q, struct str digest, struct err *err)
{
    enum { CHUNK = 256 << 10 };
    struct blob_writer *w = NULL;
    size_t got = 0;
    unsigned char *chunk = malloc(CHUNK);
    enum status s = chunk ? OK : err_set(err, ENOMEMORY, "blob: no memory");
    if (s == OK)
        s = blob_begin(app_of(q)->store, &w, err);
    while (s == OK && (s = http_body_read(q, chunk, CHUNK, &got, err)) == OK && got > 0)
        s = blob_write(w, chunk, got, err);
    free(chunk);
    if (s == OK)
        return blob_commit(w, digest, NULL, err);
    if (w)
        blob_abort(w);
    return s;
}

enum status ollama_blob_put(struct http_request *q, struct reply *reply, struct err *err)
{
    struct str digest;
    char *path = NULL;
    uint64_t size;
    struct err ignored;
    enum status s = digest_param(q, &digest, err);
    if (s != OK)
        return s;
    bool there = store_blob_find(app_of(q)->store, digest, &path, &size, &ignored) == OK;
    free(path);
    if (!there)
        s = receive_blob(q, digest, err);
    if (s == OK)
        reply_send(reply, there ? 200 : 201, NULL, STR(""));
    return s;
}

/* ---- create ---- */

struct creation {
    struct ask a; /* body and arena */
    struct reply *reply;
    bool stream;
    struct create_recipe r;
};

static void tell_status(void *ctx, const char *status, double fraction)
{
    struct creation *c = ctx;
    struct buf line;
    struct jsonw w;
    if (!c->stream)
        return;
    buf_init(&line, 4096);
    jsonw_init(&w, &line, 0);
    jsonw_obj(&w);
    jsonw_kstr(&w, "status", str_from(status));
    if (fraction >= 0) { /* clients draw a bar from two counts */
        jsonw_kint(&w, "total", 1000);
        jsonw_kint(&w, "completed", (int64_t)(fraction * 1000));
    }
    jsonw_end(&w);
    reply_line(c->reply, buf_str(&line));
    buf_release(&line);
}

/* {"model.gguf": "sha256:..."} */
static enum status read_files(struct creation *c, const char *field, const struct create_file **out,
                              size_t *n, struct err *err)
{
    const json_t *v = json_object_get(c->a.body, field);
    const char *key;
    json_t *digest;
    size_t i = 0, count = json_object_size(v);
    if (!v || json_is_null(v))
        return OK;
    if (!json_is_object(v) || count > MAX_FILES)
        return err_set(err, EUSAGE, "%s: expected an object from file names to digests", field);
    struct create_file *f = arena_array(&c->a.arena, count + 1, sizeof *f);
    if (!f)
        return err_set(err, ENOMEMORY, "%s: no memory", field);
    json_object_foreach((json_t *)v, key, digest)
    {
        if (!json_is_string(digest) || !digest_valid(json_str(digest)))
            return err_set(err, EUSAGE, "%s: '%.80s' has no digest (sha256:...)", field, key);
        f[i++] = (struct create_file){str_from(key), json_str(digest)};
    }
    *out = f;
    *n = count;
    return OK;
}

static enum status read_licenses(struct creation *c, struct err *err)
{
    const json_t *v = json_object_get(c->a.body, "license");
    size_t n = json_is_array(v) ? json_array_size(v) : json_is_string(v) ? 1 : 0;
    if (n == 0)
        return OK;
    struct str *texts = arena_array(&c->a.arena, n, sizeof *texts);
    if (!texts)
        return err_set(err, ENOMEMORY, "license: no memory");
    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_is_array(v) ? json_array_get(v, i) : v;
        if (!json_is_string(one))
            return err_set(err, EUSAGE, "license: expected a text or a list of texts");
        texts[i] = json_str(one);
    }
    c->r.licenses = texts;
    c->r.n_licenses = n;
    return OK;
}

static struct str json_field(struct creation *c, const char *field)
{
    const json_t *v = json_object_get(c->a.body, field);
    return v && !json_is_null(v) ? ask_json(&c->a, v) : (struct str){0};
}

static enum status read_recipe(struct creation *c, struct err *err)
{
    const json_t *body = c->a.body;
    const struct {
        const char *field;
        struct str *out;
    } texts[] = {{"from", &c->r.from},         {"template", &c->r.template_text},
                 {"system", &c->r.system},     {"quantize", &c->r.quantize},
                 {"renderer", &c->r.renderer}, {"parser", &c->r.parser},
                 {"requires", &c->r.requires}};
    enum status s = model_field(body, &c->r.name, err);
    if (s == OK)
        s = json_get_bool(body, "stream", &c->stream, true, err);
    for (size_t i = 0; s == OK && i < sizeof texts / sizeof *texts; i++)
        s = json_get_str(body, texts[i].field, texts[i].out, err);
    if (s == OK && !c->r.quantize.p)
        s = json_get_str(body, "quantization", &c->r.quantize, err);
    if (s == OK)
        s = read_files(c, "files", &c->r.files, &c->r.n_files, err);
    if (s == OK)
        s = read_files(c, "adapters", &c->r.adapters, &c->r.n_adapters, err);
    if (s == OK)
        s = read_licenses(c, err);
    const json_t *parameters = json_object_get(body, "parameters");
    if (s == OK && json_is_object(parameters))
        s = params_check(parameters, err);
    c->r.params_json = json_field(c, "parameters");
    c->r.messages_json = json_field(c, "messages");
    c->r.cancel = c->a.q->gone;
    return s;
}

/* The end of a long work: {"status": "success"}, or its error as the last line. */
static enum status end_work(const struct http_request *q, struct reply *reply, bool stream,
                            enum status s, struct err *err)
{
    struct buf line;
    if (s != OK && !reply_started(reply))
        return s;
    if (s == OK && stream) /* the work has told it */
        return OK;
    buf_init(&line, 4096);
    if (s != OK)
        dialects[DIALECT_OLLAMA].error(&line, status_http(s), err, q);
    else
        buf_adds(&line, "{\"status\":\"success\"}");
    if (stream)
        reply_line(reply, buf_str(&line));
    else
        reply_json(reply, 200, &line);
    buf_release(&line);
    return OK;
}

enum status ollama_create(struct http_request *q, struct reply *reply, struct err *err)
{
    struct creation c = {.reply = reply};
    struct create_progress progress = {tell_status, &c};
    enum status s = ask_init(&c.a, q, err);
    if (s == OK)
        s = read_recipe(&c, err);
    if (s == OK)
        s = create_model(app_of(q)->store, &c.r, &progress, err);
    s = end_work(q, reply, c.stream, s, err);
    ask_close(&c.a);
    return s;
}

/* ---- embeddings ---- */

/* Lists of numbers, one for each text. */
static enum status write_embeddings(struct ask *a, const struct str *texts, size_t n_texts,
                                    bool truncate, bool normalize, int64_t dimensions,
                                    struct jsonw *w, int64_t *tokens, struct err *err)
{
    struct buf floats;
    buf_init(&floats, BODY_MAX);
    enum status s = hub_embed(&a->lease, texts, n_texts, truncate, &floats, tokens, err);
    for (size_t t = 0; s == OK && t < n_texts; t++) {
        size_t n = floats.n / n_texts / sizeof(float);
        float *v = (float *)(void *)floats.p + t * n;
        if (normalize)
            embedding_cut(v, &n, dimensions);
        jsonw_arr(w);
        for (size_t i = 0; i < n; i++)
            jsonw_f32(w, v[i]);
        jsonw_end(w);
    }
    buf_release(&floats);
    return s;
}

/* The input's texts, in the arena. An empty one alone is none. */
static enum status input_texts(struct ask *a, const json_t *input, struct str **texts, size_t *n,
                               struct err *err)
{
    bool list = json_is_array(input);
    *n = list ? json_array_size(input) : json_string_length(input) ? 1 : 0;
    if (input && !list && !json_is_string(input))
        return err_set(err, EUSAGE, "invalid input type: expected a text or a list of texts");
    if (*n > MAX_INPUTS)
        return err_set(err, ELIMIT, "input: %zu texts, at most %d", *n, MAX_INPUTS);
    *texts = arena_array(&a->arena, *n + 1, sizeof **texts);
    if (!*texts)
        return err_set(err, ENOMEMORY, "input: no memory for %zu texts", *n);
    for (size_t i = 0; i < *n; i++) {
        const json_t *one = list ? json_array_get(input, i) : input;
        if (!json_is_string(one))
            return err_set(err, EUSAGE, "input[%zu]: expected a text", i);
        (*texts)[i] = json_str(one);
    }
    return OK;
}

static enum status open_embedder(struct ask *a, const struct http_request *q, struct err *err)
{
    struct str model;
    int64_t keep;
    enum status s = ask_init(a, q, err);
    if (s == OK)
        s = model_field(a->body, &model, err);
    if (s == OK)
        s = ollama_keep_alive(json_object_get(a->body, "keep_alive"), &keep, err);
    if (s == OK)
        s = ask_open(a, app_of(q)->hub, model, 0, keep, NULL, err);
    return s;
}

enum status ollama_embed(struct http_request *q, struct reply *reply, struct err *err)
{
    struct ask a;
    struct buf out;
    struct jsonw w;
    struct str *texts = NULL;
    size_t n = 0;
    int64_t dimensions = 0, tokens = 0;
    bool truncate = true;
    buf_init(&out, BODY_MAX);
    jsonw_init(&w, &out, 0);
    enum status s = open_embedder(&a, q, err);
    if (s == OK)
        s = input_texts(&a, json_object_get(a.body, "input"), &texts, &n, err);
    if (s == OK)
        s = json_get_bool(a.body, "truncate", &truncate, true, err);
    if (s == OK)
        s = json_get_int(a.body, "dimensions", &dimensions, 0, err);
    jsonw_obj(&w);
    jsonw_kstr(&w, "model", a.model);
    jsonw_key(&w, "embeddings");
    jsonw_arr(&w);
    if (s == OK && n > 0)
        s = write_embeddings(&a, texts, n, truncate, true, dimensions, &w, &tokens, err);
    jsonw_end(&w);
    jsonw_kint(&w, "total_duration", ollama_ns(clock_since(q->start_ns)));
    jsonw_kint(&w, "load_duration", ollama_ns(a.lease.load_s));
    jsonw_kint(&w, "prompt_eval_count", tokens);
    jsonw_end(&w);
    ask_close(&a);
    return send_json(reply, &out, s, err);
}

enum status ollama_embeddings(struct http_request *q, struct reply *reply, struct err *err)
{
    struct ask a;
    struct buf out;
    struct jsonw w;
    struct str prompt = {0};
    int64_t tokens = 0;
    buf_init(&out, BODY_MAX);
    jsonw_init(&w, &out, 0);
    enum status s = open_embedder(&a, q, err);
    if (s == OK)
        s = json_get_str(a.body, "prompt", &prompt, err);
    jsonw_obj(&w);
    jsonw_key(&w, "embedding");
    if (s == OK && prompt.n) {
        s = write_embeddings(&a, &prompt, 1, true, false, 0, &w, &tokens, err);
    } else {
        jsonw_arr(&w);
        jsonw_end(&w);
    }
    jsonw_end(&w);
    ask_close(&a);
    return send_json(reply, &out, s, err);
}
