#include "store/create_int.h"
#include "base/json.h"
#include "base/jsonw.h"
#include "base/mem.h"
#include "base/show.h"
#include "store/params.h"
#include <stdio.h>
#include <stdlib.h>

enum { MAKER_BYTES = 256 << 20 };

void make_say(struct maker *m, const char *fmt, ...)
{
    char text[256];
    va_list ap;
    if (!m->progress || !m->progress->status)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    m->progress->status(m->progress->ctx, text, -1);
}

enum status make_cancelled(struct maker *m, struct err *err)
{
    return m->r->cancel && atomic_load(m->r->cancel) ? err_set(err, ECANCEL, "stopped") : OK;
}

/* ---- layers ---- */

static enum status no_memory(struct err *err)
{
    return err_set(err, ENOMEMORY, "no memory for a model's layers");
}

static enum status remember_made(struct maker *m, struct str digest, struct err *err)
{
    if (m->n_made == m->cap_made) {
        size_t cap = m->cap_made ? 2 * m->cap_made : 16;
        struct str *more = mem_resize(m->made, cap, sizeof *more);
        if (!more)
            return no_memory(err);
        m->made = more;
        m->cap_made = cap;
    }
    m->made[m->n_made++] = digest;
    return OK;
}

/* Tells of a blob and remembers it when it is new. */
static enum status note_blob(struct maker *m, const char *digest, bool made, struct str *out,
                             struct err *err)
{
    make_say(m, "%s layer %s", made ? "creating new" : "using existing", digest);
    *out = arena_str(&m->arena, str_from(digest));
    if (!out->p)
        return no_memory(err);
    return made ? remember_made(m, *out, err) : OK;
}

enum status make_layer(struct maker *m, enum layer_kind kind, const char *digest, uint64_t size,
                       bool made, struct err *err)
{
    struct store_layer l = {.kind = kind, .size = size, .name = STR("")};
    enum status s = note_blob(m, digest, made, &l.digest, err);
    if (s != OK)
        return s;
    l.media_type = str_from(layer_media_type(kind));
    /* the same text twice, such as a license, is one layer */
    for (size_t i = 0; i < m->n; i++)
        if (m->layers[i].kind == kind && str_eq(m->layers[i].digest, l.digest))
            return OK;
    if (m->n == m->cap) {
        size_t cap = m->cap ? 2 * m->cap : 16;
        struct store_layer *more = mem_resize(m->layers, cap, sizeof *more);
        if (!more)
            return no_memory(err);
        m->layers = more;
        m->cap = cap;
    }
    m->layers[m->n++] = l;
    return OK;
}

enum status make_text_layer(struct maker *m, enum layer_kind kind, struct str text, struct err *err)
{
    char digest[72];
    bool made;
    enum status s = blob_put(m->s, text, digest, &made, err);
    return s == OK ? make_layer(m, kind, digest, text.n, made, err) : s;
}

/* ---- texts ---- */

/* Said, and not empty: that; said and empty: none; unsaid: the base's. */
static enum status put_text(struct maker *m, enum layer_kind kind, struct str said,
                            struct str inherited, struct err *err)
{
    struct str text = said.p ? said : inherited;
    return text.n ? make_text_layer(m, kind, text, err) : OK;
}

static enum status put_params(struct maker *m, struct err *err)
{
    struct buf base, merged;
    json_t *o = NULL;
    enum status s = OK;
    buf_init(&base, TEXT_BYTES);
    buf_init(&merged, TEXT_BYTES);
    if (m->r->params_json.p) {
        s = json_parse(&o, m->r->params_json, "parameters", err);
        if (s == OK)
            s = params_check(o, err);
        json_decref(o);
    }
    if (s == OK)
        s = params_merge(m->params, m->base ? m->base->params_json : (struct str){NULL, 0}, &base,
                         err);
    if (s == OK)
        s = params_merge(buf_str(&base), m->r->params_json, &merged, err);
    if (s == OK && !str_is(buf_str(&merged), "{}"))
        s = make_text_layer(m, LAYER_PARAMS, buf_str(&merged), err);
    buf_release(&base);
    buf_release(&merged);
    return s;
}

static enum status check_messages(struct str text, struct err *err)
{
    json_t *a;
    struct str v;
    enum status s = json_parse(&a, text, "messages", err);
    if (s == OK && !json_is_array(a))
        s = err_set(err, EUSAGE, "messages: expected an array");
    for (size_t i = 0; s == OK && i < json_array_size(a); i++) {
        const json_t *m = json_array_get(a, i);
        if (!json_is_object(m) || json_get_str(m, "role", &v, NULL) != OK || !v.n ||
            json_get_str(m, "content", &v, NULL) != OK)
            s = err_set(err, EUSAGE, "messages: the one at %zu is no {\"role\", \"content\"}", i);
    }
    json_decref(a);
    return s;
}

static enum status put_messages(struct maker *m, struct err *err)
{
    struct str text = m->r->messages_json.p ? m->r->messages_json
                      : m->base             ? m->base->messages_json
                                            : (struct str){NULL, 0};
    enum status s = text.p ? check_messages(text, err) : OK;
    if (s != OK || !text.p || str_is(text, "[]"))
        return s;
    return make_text_layer(m, LAYER_MESSAGES, text, err);
}

static enum status put_texts(struct maker *m, struct err *err)
{
    const struct create_recipe *r = m->r;
    struct str none = {NULL, 0};
    enum status s =
        put_text(m, LAYER_TEMPLATE, r->template_text, m->base ? m->base->template_text : none, err);
    if (s == OK)
        s = put_text(m, LAYER_SYSTEM, r->system, m->base ? m->base->system : none, err);
    if (s == OK)
        s = put_params(m, err);
    if (s == OK)
        s = put_messages(m, err);
    for (size_t i = 0; s == OK && m->base && i < m->base->n_licenses; i++)
        s = put_text(m, LAYER_LICENSE, m->base->licenses[i], none, err);
    for (size_t i = 0; s == OK && i < r->n_licenses; i++)
        s = put_text(m, LAYER_LICENSE, r->licenses[i], none, err);
    return s;
}

/* ---- config and manifest ---- */

static void put_field(struct maker *m, struct jsonw *w, const json_t *base, const char *key,
                      struct str said)
{
    struct str v = said;
    (void)m;
    if (!v.p && json_get_str(base, key, &v, NULL) != OK)
        v.n = 0;
    if (v.n)
        jsonw_kstr(w, key, v);
}

static void write_config(struct maker *m, const json_t *base, struct buf *out)
{
    struct jsonw w;
    jsonw_init(&w, out, 0);
    jsonw_obj(&w);
    jsonw_kstr(&w, "model_format", STR("gguf"));
    jsonw_kstr(&w, "model_family", str_from(m->family));
    jsonw_key(&w, "model_families");
    jsonw_arr(&w);
    jsonw_str(&w, str_from(m->family));
    jsonw_end(&w);
    jsonw_kstr(&w, "model_type", str_from(m->parameter_size));
    jsonw_kstr(&w, "file_type", str_from(m->file_type));
    put_field(m, &w, base, "renderer", m->r->renderer);
    put_field(m, &w, base, "parser", m->r->parser);
    put_field(m, &w, base, "requires", m->r->requires);
#if defined __aarch64__
    jsonw_kstr(&w, "architecture", STR("arm64"));
#else
    jsonw_kstr(&w, "architecture", STR("amd64"));
#endif
    jsonw_kstr(&w, "os", STR("linux"));
    jsonw_key(&w, "rootfs");
    jsonw_obj(&w);
    jsonw_kstr(&w, "type", STR("layers"));
    jsonw_key(&w, "diff_ids");
    jsonw_arr(&w);
    for (size_t i = 0; i < m->n; i++)
        jsonw_str(&w, m->layers[i].digest);
    jsonw_end(&w);
    jsonw_end(&w);
    jsonw_end(&w);
}

static void write_layer(struct jsonw *w, struct str type, struct str digest, uint64_t size)
{
    jsonw_obj(w);
    jsonw_kstr(w, "mediaType", type);
    jsonw_kstr(w, "digest", digest);
    jsonw_key(w, "size");
    jsonw_uint(w, size);
    jsonw_end(w);
}

static void write_manifest(struct maker *m, struct str config, uint64_t config_size,
                           struct buf *out)
{
    struct jsonw w;
    jsonw_init(&w, out, 0);
    jsonw_obj(&w);
    jsonw_kint(&w, "schemaVersion", 2);
    jsonw_kstr(&w, "mediaType", STR("application/vnd.docker.distribution.manifest.v2+json"));
    jsonw_key(&w, "config");
    write_layer(&w, STR("application/vnd.docker.container.image.v1+json"), config, config_size);
    jsonw_key(&w, "layers");
    jsonw_arr(&w);
    for (size_t i = 0; i < m->n; i++)
        write_layer(&w, m->layers[i].media_type, m->layers[i].digest, m->layers[i].size);
    jsonw_end(&w);
    jsonw_end(&w);
}

/* The manifest's text. */
static enum status describe(struct maker *m, struct buf *manifest, struct err *err)
{
    struct buf config;
    json_t *base = NULL;
    char digest[72];
    struct str kept;
    bool made;
    buf_init(&config, TEXT_BYTES);
    if (m->base && m->base->config_json.p &&
        json_parse(&base, m->base->config_json, "config", NULL) != OK)
        base = NULL;
    write_config(m, base, &config);
    json_decref(base);
    enum status s = buf_check(&config, "config", err);
    if (s == OK)
        s = blob_put(m->s, buf_str(&config), digest, &made, err);
    if (s == OK)
        s = note_blob(m, digest, made, &kept, err);
    if (s == OK) {
        write_manifest(m, kept, config.n, manifest);
        s = buf_check(manifest, "manifest", err);
    }
    buf_release(&config);
    return s;
}

/* ---- all of it ---- */

static enum status make(struct maker *m, struct buf *manifest, struct err *err)
{
    enum status s = make_weights(m, err);
    if (s == OK)
        s = make_cancelled(m, err);
    if (s == OK)
        s = put_texts(m, err);
    if (s == OK)
        s = describe(m, manifest, err);
    if (s == OK)
        s = make_cancelled(m, err);
    return s;
}

enum status create_model(struct store *s, const struct create_recipe *r,
                         const struct create_progress *progress, struct err *err)
{
    struct maker m = {.s = s, .r = r, .progress = progress};
    struct model_name name;
    struct store_hold *hold = NULL;
    struct buf manifest;
    enum status st = name_parse(&name, r->name, err);
    if (st == OK)
        st = store_hold_take(s, &hold, err);
    if (st != OK)
        return st;
    arena_init(&m.arena, MAKER_BYTES);
    buf_init(&manifest, MANIFEST_BYTES);
    st = make(&m, &manifest, err);
    if (st == OK) {
        make_say(&m, "writing manifest");
        st = store_put_manifest(s, &name, buf_str(&manifest), hold, err);
    } else {
        store_hold_release(hold);
    }
    if (st == OK)
        make_say(&m, "success");
    else
        blobs_drop(s, m.made, m.n_made);
    store_model_free(m.base);
    buf_release(&manifest);
    arena_release(&m.arena);
    free(m.layers);
    free(m.made);
    return st;
}

/* ---- from a Modelfile ---- */

static void write_params(const struct modelfile *f, struct jsonw *w, struct err *err,
                         enum status *st)
{
    jsonw_obj(w);
    for (size_t i = 0; i < f->n && *st == OK; i++) {
        const struct modelfile_command *c = &f->c[i];
        const struct param_row *row = c->key == MF_PARAMETER ? param_find(c->name) : NULL;
        bool later = false, earlier = false;
        for (size_t k = 0; row && k < f->n; k++)
            if (f->c[k].key == MF_PARAMETER && str_eq(f->c[k].name, c->name)) {
                later |= k > i;
                earlier |= k < i;
            }
        /* lists gather, of the rest the last counts */
        if (!row || (row->type == PARAM_TEXTS ? earlier : later))
            continue;
        jsonw_key(w, row->name);
        if (row->type != PARAM_TEXTS) {
            *st = param_value(row, c->value, w, err);
            continue;
        }
        jsonw_arr(w);
        for (size_t k = i; k < f->n; k++)
            if (f->c[k].key == MF_PARAMETER && str_eq(f->c[k].name, c->name))
                jsonw_str(w, f->c[k].value);
        jsonw_end(w);
    }
    jsonw_end(w);
}

static void write_messages(const struct modelfile *f, struct jsonw *w)
{
    jsonw_arr(w);
    for (size_t i = 0; i < f->n; i++) {
        if (f->c[i].key != MF_MESSAGE)
            continue;
        jsonw_obj(w);
        jsonw_kstr(w, "role", f->c[i].name);
        jsonw_kstr(w, "content", f->c[i].value);
        jsonw_end(w);
    }
    jsonw_end(w);
}

static size_t count(const struct modelfile *f, enum modelfile_key key)
{
    size_t n = 0;
    for (size_t i = 0; i < f->n; i++)
        n += f->c[i].key == key;
    return n;
}

/* The values of one command. */
static enum status gather(const struct modelfile *f, enum modelfile_key key, struct arena *arena,
                          const struct str **out, size_t *n, struct err *err)
{
    struct str *v = arena_array(arena, count(f, key) + 1, sizeof *v);
    *n = 0;
    *out = v;
    if (!v)
        return no_memory(err);
    for (size_t i = 0; i < f->n; i++)
        if (f->c[i].key == key)
            v[(*n)++] = f->c[i].value;
    return OK;
}

/* The last one's value; .p NULL: none. */
static struct str last(const struct modelfile *f, enum modelfile_key key)
{
    struct str v = {NULL, 0};
    for (size_t i = 0; i < f->n; i++)
        if (f->c[i].key == key)
            v = f->c[i].value;
    return v;
}

enum status create_from_modelfile(struct create_recipe *out, const struct modelfile *f,
                                  const char *folder, struct arena *arena, struct err *err)
{
    struct create_recipe r = {.folder = folder};
    struct buf text;
    struct jsonw w;
    const struct str *from;
    size_t n_from;
    buf_init(&text, TEXT_BYTES);
    enum status s = gather(f, MF_FROM, arena, &from, &n_from, err);
    if (s == OK) {
        r.from = from[0];
        r.more_from = from + 1;
        r.n_more_from = n_from - 1;
        s = gather(f, MF_ADAPTER, arena, &r.adapter_paths, &r.n_adapter_paths, err);
    }
    if (s == OK)
        s = gather(f, MF_LICENSE, arena, &r.licenses, &r.n_licenses, err);
    r.draft = last(f, MF_DRAFT);
    r.template_text = last(f, MF_TEMPLATE);
    r.system = last(f, MF_SYSTEM);
    r.renderer = last(f, MF_RENDERER);
    r.parser = last(f, MF_PARSER);
    r.requires = last(f, MF_REQUIRES);
    if (s == OK && count(f, MF_PARAMETER)) {
        jsonw_init(&w, &text, 0);
        write_params(f, &w, err, &s);
        r.params_json = arena_str(arena, buf_str(&text));
    }
    buf_clear(&text);
    if (s == OK && count(f, MF_MESSAGE)) {
        jsonw_init(&w, &text, 0);
        write_messages(f, &w);
        r.messages_json = arena_str(arena, buf_str(&text));
    }
    if (s == OK)
        s = buf_check(&text, "Modelfile", err);
    buf_release(&text);
    if (s == OK)
        *out = r;
    return s;
}
