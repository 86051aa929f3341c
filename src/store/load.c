/* From a manifest on disk to struct store_model: texts read in, weights as paths. */
#include "store/store_int.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/show.h"
#include "format/gguf.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { ARENA_BYTES = 512 << 20 };

static enum status no_memory(struct err *err)
{
    return err_set(err, ENOMEMORY, "no memory for a model's manifest");
}

static struct stored *stored_new(const struct model_name *name, const char *path)
{
    struct stored *m = mem_array(1, sizeof *m);
    struct stat st;
    if (!m)
        return NULL;
    arena_init(&m->arena, ARENA_BYTES);
    m->m.name = *name;
    if (stat(path, &st) == 0)
        m->m.modified_unix_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    return m;
}

void store_model_free(struct store_model *m)
{
    struct stored *s = (struct stored *)(void *)m;
    if (!s)
        return;
    arena_release(&s->arena);
    free(s);
}

static enum status set_digest(struct stored *m, struct str text, struct err *err)
{
    char digest[72];
    enum status s = digest_of(text.p, text.n, digest, err);
    if (s == OK) {
        m->m.digest = arena_str(&m->arena, str_from(digest + 7));
        s = m->m.digest.p ? OK : no_memory(err);
    }
    return s;
}

/* A blob's text; empty texts are there, too (.p not NULL). */
static enum status read_text(struct stored *m, const char *path, struct str *out, struct err *err)
{
    struct buf b;
    buf_init(&b, TEXT_BYTES);
    enum status s = file_read(path, &b, err);
    if (s == OK) {
        *out = arena_str(&m->arena, buf_str(&b));
        s = out->p ? OK : no_memory(err);
    }
    buf_release(&b);
    return s;
}

static enum status find_blob(struct stored *m, const char *root, struct str digest, uint64_t size,
                             char **out, struct err *err)
{
    struct buf path;
    uint64_t there = 0;
    buf_init(&path, PATH_BYTES);
    blob_path(&path, root, digest);
    enum status s = buf_check(&path, "path of a blob", err);
    if (s == OK && !blob_stat(path.p, &there))
        s = err_set(err, ENOTFOUND, "blob %s is missing", show(digest).s);
    else if (s == OK && there != size)
        s = err_set(err, EFORMAT, "blob %s has %llu bytes, its manifest says %llu", show(digest).s,
                    (unsigned long long)there, (unsigned long long)size);
    if (s == OK) {
        *out = arena_dup(&m->arena, path.p, path.n);
        s = *out ? OK : no_memory(err);
    }
    buf_release(&path);
    return s;
}

/* Where a layer's text goes; NULL: it is none. */
static struct str *text_of(struct store_model *m, struct str *licenses, enum layer_kind kind)
{
    switch (kind) {
    case LAYER_TEMPLATE: return &m->template_text;
    case LAYER_SYSTEM: return &m->system;
    case LAYER_PARAMS: return &m->params_json;
    case LAYER_MESSAGES: return &m->messages_json;
    case LAYER_LICENSE: return &licenses[m->n_licenses++];
    default: return NULL;
    }
}

static enum status look_up(struct stored *x, const char *root, struct err *err)
{
    struct store_model *m = &x->m;
    size_t n = m->n_layers + 1;
    const char **adapters = arena_array(&x->arena, n, sizeof *adapters);
    struct str *licenses = arena_array(&x->arena, n, sizeof *licenses);
    if (!adapters || !licenses)
        return no_memory(err);
    m->adapter_paths = adapters;
    m->licenses = licenses;
    for (size_t i = 0; i < m->n_layers; i++) {
        struct store_layer *l = &m->layers[i];
        enum status s = find_blob(x, root, l->digest, l->size, &l->path, err);
        /* what nobody here reads need not be there */
        if (s == ENOTFOUND && l->kind == LAYER_OTHER)
            continue;
        if (s != OK)
            return s;
        struct str *text = text_of(m, licenses, l->kind);
        if (text && (s = read_text(x, l->path, text, err)) != OK)
            return s;
        if (l->kind == LAYER_MODEL && !m->model_path)
            m->model_path = l->path;
        else if (l->kind == LAYER_DRAFT && !m->draft_path)
            m->draft_path = l->path;
        else if (l->kind == LAYER_ADAPTER)
            adapters[m->n_adapters++] = l->path;
    }
    return OK;
}

enum status store_load(struct store_model **out, const char *root, const struct model_name *name,
                       const char *path, struct err *err)
{
    struct buf text;
    struct manifest manifest;
    struct stored *m = stored_new(name, path);
    char *config = NULL;
    *out = NULL;
    if (!m)
        return no_memory(err);
    buf_init(&text, MANIFEST_BYTES);
    enum status s = file_read(path, &text, err);
    if (s == OK)
        s = set_digest(m, buf_str(&text), err);
    if (s == OK)
        s = manifest_parse(&manifest, buf_str(&text), path, &m->arena, err);
    buf_release(&text);
    if (s == OK) {
        m->m.layers = manifest.layers;
        m->m.n_layers = manifest.n;
        m->m.size = manifest.total;
        s = look_up(m, root, err);
        if (s == OK && manifest.config_digest.p)
            s = find_blob(m, root, manifest.config_digest, manifest.config_size, &config, err);
        if (s == OK && config)
            s = read_text(m, config, &m->m.config_json, err);
        if (s != OK)
            err_prefix(err, "%s", path);
    }
    if (s != OK) {
        store_model_free(&m->m);
        return s;
    }
    m->m.config_digest = manifest.config_digest;
    *out = &m->m;
    return OK;
}

enum status store_load_file(struct store_model **out, const struct model_name *name,
                            const char *path, struct err *err)
{
    struct stored *m = stored_new(name, path);
    struct store_layer *l = m ? arena_array(&m->arena, 1, sizeof *l) : NULL;
    char *copy = m ? arena_dup(&m->arena, path, strlen(path)) : NULL;
    char text[256];
    *out = NULL;
    if (!l || !copy) {
        if (m)
            store_model_free(&m->m);
        return no_memory(err);
    }
    /* the parts of a split file count as its first's */
    *l = (struct store_layer){.kind = LAYER_MODEL,
                              .media_type = STR(MEDIA_PREFIX "model"),
                              .digest = STR(""),
                              .name = STR(""),
                              .path = copy};
    if (!blob_stat(path, &l->size)) {
        store_model_free(&m->m);
        return err_set(err, ENOTFOUND, "'%s' is no regular file", path);
    }
    m->m.layers = l;
    m->m.n_layers = 1;
    m->m.size = l->size;
    m->m.model_path = copy;
    m->m.read_only = true;
    /* no manifest, and hashing gigabytes for a list would be silly: what tells one version of the
     * file from another */
    int n = snprintf(text, sizeof text, "%s:%s %llu %lld", name->model, name->tag,
                     (unsigned long long)l->size, (long long)m->m.modified_unix_ns);
    enum status s = set_digest(m, (struct str){text, (size_t)n}, err);
    if (s != OK)
        store_model_free(&m->m);
    else
        *out = &m->m;
    return s;
}
