/* Pulling from a registry: the manifest, then the blobs that are not there, then the manifest's
 * name.
 */
#include "base/file.h"
#include "base/log.h"
#include "base/show.h"
#include "store/hf.h"
#include "store/partial.h"
#include "store/registry.h"
#include "store/transfer_int.h"
#include <stdlib.h>
#include <strings.h>

enum { URL_BYTES = 16 << 10, ARENA_BYTES = 1 << 30 };

#define MANIFEST_TYPES                                                                             \
    "Accept: application/vnd.docker.distribution.manifest.v2+json, "                               \
    "application/vnd.oci.image.manifest.v1+json"

bool transfer_offline(void)
{
    const char *env = getenv("HEARTH_OFFLINE");
    return env && *env && strcmp(env, "0") != 0;
}

enum status transfer_open(struct transfer *t, struct store *s, const struct transfer_options *o,
                          struct err *err)
{
    bool plain = false;
    *t = (struct transfer){.s = s, .o = o};
    arena_init(&t->arena, ARENA_BYTES);
    if (transfer_offline())
        return err_set(err, EFAIL, "'%s': the network is not used (HEARTH_OFFLINE)",
                       show(o->name).s);
    enum status st = name_parse(&t->name, o->name, err);
    if (st == OK && hf_is(&t->name))
        plain = str_starts(hf_endpoint(), STR("http://"));
    else if (st == OK)
        st = registry_plain(o->name, o->insecure, &plain, err);
    return st == OK ? web_new(&t->web, o->cancel, plain, err) : st;
}

void transfer_close(struct transfer *t)
{
    web_free(t->web);
    arena_release(&t->arena);
}

/* ---- the manifest ---- */

static enum status check_digest_header(const struct web_call *c, struct err *err)
{
    struct str said = web_header(c, "Docker-Content-Digest");
    char actual[72];
    enum status s = digest_of(c->answer.p ? c->answer.p : "", c->answer.n, actual, err);
    if (s == OK && digest_valid(said) && memcmp(said.p + 7, actual + 7, 64) != 0)
        s = err_set(err, EFORMAT, "manifest: digest mismatch, expected %s, got %s", show(said).s,
                    actual);
    return s;
}

static enum status get_manifest(struct transfer *t, struct registry *r, struct str *text,
                                struct err *err)
{
    struct web_call c = {
        .method = "GET", .headers = {MANIFEST_TYPES}, .answer_max = MANIFEST_BYTES};
    struct buf url;
    char what[160];
    buf_init(&url, URL_BYTES);
    snprintf(what, sizeof what, "pull model manifest '%s'", show(t->o->name).s);
    enum status s = registry_url(r, &url, err, "manifests/%s", t->name.tag);
    c.url = url.p;
    if (s == OK)
        s = registry_ask(r, &c, err);
    if (s == OK && c.status != 200)
        s = web_status_error(&c, what, err);
    if (s == OK)
        s = check_digest_header(&c, err);
    if (s == OK) {
        *text = arena_str(&t->arena, buf_str(&c.answer));
        if (!text->p)
            s = err_set(err, ENOMEMORY, "no memory for a manifest");
    }
    web_call_release(&c);
    buf_release(&url);
    return s;
}

/* Nothing is fetched that could not be used. */
static enum status check_kinds(const struct manifest *m, struct err *err)
{
    size_t models = 0, tensors = 0;
    for (size_t i = 0; i < m->n; i++) {
        models += m->layers[i].kind == LAYER_MODEL;
        tensors += m->layers[i].kind == LAYER_TENSOR;
    }
    if (models)
        return OK;
    return tensors ? err_set(err, EUNSUPPORTED,
                             "the model is stored tensor by tensor, expected a GGUF file")
                   : err_set(err, EUNSUPPORTED,
                             "the manifest has %zu layers and no model among them", m->n);
}

/* ---- blobs ---- */

static bool own_blob(struct store *s, struct str digest, uint64_t size)
{
    char *path;
    uint64_t there;
    if (store_blob_path(s, digest, &path, NULL) != OK)
        return false;
    bool yes = blob_stat(path, &there) && there == size;
    free(path);
    return yes;
}

static enum status check_room(struct transfer *t, const struct manifest *m, struct err *err)
{
    uint64_t missing = 0;
    for (size_t i = 0; i < m->n; i++) {
        const struct store_layer *l = &m->layers[i];
        uint64_t disk = partial_disk(t->s, l->digest);
        char *lent;
        uint64_t size;
        if (own_blob(t->s, l->digest, l->size) || disk >= l->size)
            continue;
        /* a link to Ollama's takes no room */
        bool there = store_blob_find(t->s, l->digest, &lent, &size, NULL) == OK && size == l->size;
        free(lent);
        if (!there && __builtin_add_overflow(missing, l->size - disk, &missing))
            missing = UINT64_MAX;
    }
    return fetch_room(t->s, missing, err);
}

static enum status get_blob(struct transfer *t, struct registry *r, struct str digest,
                            uint64_t size, struct err *err)
{
    struct buf url;
    struct fetch f = {.web = t->web,
                      .digest = digest,
                      .size = size,
                      .authorize = registry_authorize,
                      .ctx = r,
                      .cancel = t->o->cancel,
                      .progress = &t->o->progress};
    buf_init(&url, URL_BYTES);
    enum status s = registry_url(r, &url, err, "blobs/%s", digest.p);
    f.url = url.p;
    if (s == OK)
        s = fetch_blob(t->s, &f, err);
    buf_release(&url);
    return s;
}

static enum status get_blobs(struct transfer *t, struct registry *r, const struct manifest *m,
                             struct err *err)
{
    enum status s = check_room(t, m, err);
    for (size_t i = 0; s == OK && i < m->n; i++) {
        bool again = false;
        for (size_t k = 0; k < i; k++)
            again |= str_eq(m->layers[k].digest, m->layers[i].digest);
        if (!again)
            s = get_blob(t, r, m->layers[i].digest, m->layers[i].size, err);
    }
    if (s == OK && m->config_digest.p)
        s = get_blob(t, r, m->config_digest, m->config_size, err);
    return s;
}

/* ---- all of it ---- */

static bool name_there(struct transfer *t)
{
    struct buf path;
    struct model_name n = t->name;
    buf_init(&path, PATH_BYTES);
    bool yes = manifest_find(t->s->root, &n, &path, NULL) == OK && path.n;
    buf_release(&path);
    return yes;
}

static enum status pull_registry(struct transfer *t, struct err *err)
{
    struct registry *r;
    struct store_hold *hold = NULL;
    struct manifest m;
    struct str text;
    enum status s = registry_open(&r, &t->name, t->o->name, t->o->insecure, t->o->cancel, err);
    if (s != OK)
        return s;
    fetch_say(&t->o->progress, "pulling manifest");
    s = get_manifest(t, r, &text, err);
    if (s == OK)
        s = manifest_parse(&m, text, "manifest", &t->arena, err);
    if (s == OK)
        s = check_kinds(&m, err);
    /* blobs without a name are safe while it is held */
    if (s == OK)
        s = store_hold_take(t->s, &hold, err);
    if (s == OK)
        s = get_blobs(t, r, &m, err);
    if (s == OK) {
        bool replaces = name_there(t);
        fetch_say(&t->o->progress, "writing manifest");
        s = store_put_manifest(t->s, &t->name, text, hold, err);
        hold = NULL;
        if (s == OK && replaces)
            fetch_say(&t->o->progress, "removing unused layers");
    }
    store_hold_release(hold);
    registry_close(r);
    return s;
}

enum status pull_model(struct store *s, const struct transfer_options *o, struct err *err)
{
    struct transfer t;
    enum status st = transfer_open(&t, s, o, err);
    if (st == OK)
        st = hf_is(&t.name) ? pull_hf(&t, err) : pull_registry(&t, err);
    if (st == OK)
        fetch_say(&o->progress, "success");
    transfer_close(&t);
    return st;
}
