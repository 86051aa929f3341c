/* Which models are in memory. One lock for the list; loading happens outside it, with a record in
 * the list that others wait on, so that two requests never load the same model twice and a slow
 * load stops nobody else.
 *
 * Memory is counted in bytes that were reserved: a model's weights plus its KV cache, and both of
 * the draft model beside it. The cache is
 * one pool for all requests of a model (chat/sched.h), so a request with another context length
 * needs no reload. A model larger than all memory still loads when nothing else is there: its
 * weights are mapped. */
#include "server/hub.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/machine.h"
#include "base/mem.h"
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { DEFAULT_CTX = 8192, POOL_REQUESTS = 16, WAIT_MS = 100, EMBED_GROUP = 64 };
static const int64_t FOREVER = INT64_MAX;

enum state { LOADING, READY, LEAVING };

struct loaded_model {
    struct loaded_model *next;
    struct store_model *entry;
    struct model *model, *draft; /* draft: guesses ahead; or NULL */
    struct lora **loras;
    float *scales;
    size_t n_loras;
    struct provider *provider;
    struct pool *pool; /* encoders */
    pthread_mutex_t encoding;
    enum state state;
    bool pinned;
    bool stale; /* its name means another model now, or its file changed: it goes when nobody uses
                 * it */
    struct stat file;                  /* the weights' when they were opened */
    int64_t users, last_used, expires; /* clock_ns; FOREVER */
    uint64_t weight_bytes, kv_bytes;
    int64_t n_ctx;       /* of the KV cache */
    int64_t request_ctx; /* of the last request */
};

struct hub {
    struct hub_options o;
    uint64_t memory;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a model became ready, free, or left; the hub closes */
    pthread_t reaper;
    bool closing;
    struct loaded_model *models;
    struct prefix_store *prefixes; /* or NULL */
};

enum status hub_fault(enum status s, struct err *err)
{
    if (s != EFORMAT)
        return s;
    if (err)
        err->code = EBROKEN;
    return EBROKEN;
}

/* ---- one model ---- */

static void free_model(struct loaded_model *l)
{
    provider_free(l->provider);
    for (size_t i = 0; i < l->n_loras; i++)
        lora_close(l->loras[i]);
    free(l->loras);
    free(l->scales);
    pool_free(l->pool);
    if (l->draft)
        model_close(l->draft);
    model_close(l->model);
    store_model_free(l->entry);
    pthread_mutex_destroy(&l->encoding);
    free(l);
}

static enum status open_adapters(struct loaded_model *l, struct err *err)
{
    size_t n = l->entry->n_adapters;
    if (n == 0)
        return OK;
    l->loras = mem_array(n, sizeof *l->loras);
    l->scales = mem_array(n, sizeof *l->scales);
    if (!l->loras || !l->scales)
        return err_set(err, ENOMEMORY, "model: no memory for %zu adapters", n);
    for (size_t i = 0; i < n; i++) {
        enum status s = lora_open(&l->loras[i], l->model, l->entry->adapter_paths[i], err);
        if (s != OK)
            return s;
        l->scales[i] = 1;
        l->n_loras++;
    }
    return engine_set_loras(sched_engine(l->provider), l->loras, l->scales, (int)n, err);
}

static enum status start_decoder(struct hub *h, struct loaded_model *l, struct err *err)
{
    struct sched_options so = {
        .engine = {.n_threads = h->o.threads, .n_ctx = l->n_ctx, .kv_type = h->o.kv_type},
        .max_queue = h->o.max_queue,
        .draft = l->draft,
        .chat_template = l->entry->template_text,
        .store = h->prefixes,
        .identity = l->entry->digest,
    };
    enum status s = sched_new(&l->provider, l->model, &so, err);
    return s == OK ? open_adapters(l, err) : s;
}

static int64_t trained_ctx(const struct model *m)
{
    struct model_info info;
    model_info(m, &info);
    return info.n_ctx_train;
}

/* Tokens of one request that names no number. */
static int64_t default_ctx(const struct hub *h, const struct model *m)
{
    int64_t trained = trained_ctx(m), n = h->o.n_ctx > 0 ? h->o.n_ctx : DEFAULT_CTX;
    return n < trained ? n : trained;
}

/* ---- memory ---- */

static uint64_t reserved(const struct hub *h)
{
    uint64_t n = 0;
    for (const struct loaded_model *l = h->models; l; l = l->next)
        n += l->weight_bytes + l->kv_bytes;
    return n;
}

static void unlink_model(struct hub *h, struct loaded_model *l)
{
    struct loaded_model **p = &h->models;
    while (*p != l)
        p = &(*p)->next;
    *p = l->next;
}

/* Takes an idle model out and frees it; the lock is given up meanwhile. */
static void evict(struct hub *h, struct loaded_model *l)
{
    l->state = LEAVING;
    pthread_mutex_unlock(&h->lock);
    provider_free(l->provider);
    l->provider = NULL;
    pthread_mutex_lock(&h->lock);
    unlink_model(h, l);
    pthread_cond_broadcast(&h->changed);
    pthread_mutex_unlock(&h->lock);
    free_model(l);
    pthread_mutex_lock(&h->lock);
}

static struct loaded_model *least_recent_idle(struct hub *h)
{
    struct loaded_model *found = NULL;
    for (struct loaded_model *l = h->models; l; l = l->next)
        if (l->state == READY && l->users == 0 && !l->pinned &&
            (!found || l->last_used < found->last_used))
            found = l;
    return found;
}

static bool others_busy(const struct hub *h, const struct loaded_model *self)
{
    for (const struct loaded_model *l = h->models; l; l = l->next)
        if (l != self && !(l->pinned && l->users == 0 && l->state == READY))
            return true;
    return false;
}

static void wait_changed(struct hub *h)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += WAIT_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pthread_cond_timedwait(&h->changed, &h->lock, &until);
}

static uint64_t weight_bytes(const struct loaded_model *l)
{
    struct model_info info;
    uint64_t n = 0;
    model_info(l->model, &info);
    n = info.weight_bytes;
    if (l->draft) {
        model_info(l->draft, &info);
        n += info.weight_bytes;
    }
    return n;
}

static uint64_t kv_bytes(const struct hub *h, const struct loaded_model *l, int64_t n_ctx)
{
    return model_kv_bytes(l->model, h->o.kv_type, n_ctx) +
           (l->draft ? model_kv_bytes(l->draft, h->o.kv_type, n_ctx) : 0);
}

/* Reserves weights and a KV cache of `least` to `most` tokens for l, evicting idle models, and
 * waiting for busy ones while the caller is still there. Called with the lock held. */
static enum status make_room(struct hub *h, struct loaded_model *l, int64_t least, int64_t most,
                             const atomic_int *gone, struct err *err)
{
    uint64_t weights = weight_bytes(l), kv = kv_bytes(h, l, least);
    for (;;) {
        uint64_t used = reserved(h);
        if (used <= h->memory && weights + kv <= h->memory - used) {
            uint64_t spare = (h->memory - used - weights - kv) / 2, page;
            page = kv_bytes(h, l, 1);
            int64_t more = page ? (int64_t)(spare / page) * 64 : 0;
            l->n_ctx = more < most - least ? least + more : most;
            break;
        }
        struct loaded_model *idle = least_recent_idle(h);
        if (idle) {
            evict(h, idle);
        } else if (others_busy(h, l)) {
            if (gone && *gone)
                return err_set(err, ECANCEL, "the client left while the model waited for memory");
            if (h->closing)
                return err_set(err, EBUSY, "the server is stopping");
            wait_changed(h);
        } else if (used == 0) {
            log_warn("model '%s' takes %.2f GB (weights %.2f, KV cache %.2f), %.2f may be used: it "
                     "is read from disk again and again",
                     l->entry->name.model, (double)(weights + kv) * 1e-9, (double)weights * 1e-9,
                     (double)kv * 1e-9, (double)h->memory * 1e-9);
            l->n_ctx = least;
            break;
        } else {
            return err_set(err, ENOMEMORY,
                           "model '%s' needs %.2f GB, %.2f of %.2f are free beside pinned models",
                           l->entry->name.model, (double)(weights + kv) * 1e-9,
                           (double)(h->memory - used) * 1e-9, (double)h->memory * 1e-9);
        }
    }
    l->weight_bytes = weights;
    l->kv_bytes = kv_bytes(h, l, l->n_ctx);
    return OK;
}

/* ---- loading ---- */

/* The model that guesses ahead: the entry's own, or the server's. It changes the speed only, so
 * that one that cannot be used is passed over. */
static void open_draft(struct hub *h, struct loaded_model *l, struct model_options *mo)
{
    struct err err;
    const char *own = l->entry->draft_path, *path = own ? own : h->o.draft_path;
    if (!path)
        return;
    enum status s = model_open(&l->draft, path, mo, &err);
    if (s == OK)
        s = draft_model_check(l->draft, l->model, &err);
    if (s == OK && model_decode_bytes(l->draft) >= model_decode_bytes(l->model))
        s = err_set(&err, EUSAGE, "draft model: it is not smaller than the model");
    if (s == OK)
        return;
    log_warn("model '%s' runs without %s draft model: %s", l->entry->name.model,
             own ? "its" : "the", err.msg);
    if (l->draft)
        model_close(l->draft);
    l->draft = NULL;
}

/* Fills the record, which is in the list and held by nobody else. Called without the lock. */
static enum status load(struct hub *h, struct loaded_model *l, int64_t n_ctx,
                        const atomic_int *gone, struct err *err)
{
    struct model_options mo = MODEL_OPTIONS_INIT;
    struct model_info info;
    if (!l->entry->model_path)
        return err_set(err, EUNSUPPORTED, "model '%s' has no weights here", l->entry->name.model);
    enum status s = pool_new(&l->pool, h->o.threads, err);
    mo.pool = l->pool;
    if (s == OK && stat(l->entry->model_path, &l->file) != 0)
        s = err_set(err, EBROKEN, "model '%s': cannot stat '%s': %s", l->entry->name.model,
                    l->entry->model_path, strerror(errno));
    if (s == OK)
        s = model_open(&l->model, l->entry->model_path, &mo, err);
    if (s != OK)
        return s;
    model_info(l->model, &info);
    int64_t least = n_ctx > 0 ? n_ctx : default_ctx(h, l->model);
    least = least < info.n_ctx_train ? least : info.n_ctx_train;
    int64_t most = h->o.kv_tokens > 0 ? h->o.kv_tokens : default_ctx(h, l->model) * POOL_REQUESTS;
    if (info.kind == MODEL_ENCODER)
        least = most = 0;
    else
        open_draft(h, l, &mo);
    pthread_mutex_lock(&h->lock);
    s = make_room(h, l, least, most > least ? most : least, gone, err);
    pthread_mutex_unlock(&h->lock);
    if (s != OK || info.kind == MODEL_ENCODER)
        return s;
    pool_free(l->pool); /* the engine brings its own threads */
    l->pool = NULL;
    return start_decoder(h, l, err);
}

/* The file of its weights is not what was opened (somebody wrote to it, or cut it off). */
static bool file_changed(const struct loaded_model *l)
{
    struct stat now;
    return l->state == READY &&
           (model_intact(l->model, NULL) != OK || stat(l->entry->model_path, &now) != 0 ||
            now.st_size != l->file.st_size || now.st_mtim.tv_sec != l->file.st_mtim.tv_sec ||
            now.st_mtim.tv_nsec != l->file.st_mtim.tv_nsec);
}

static struct loaded_model *find(struct hub *h, const struct store_model *entry)
{
    for (struct loaded_model *l = h->models; l; l = l->next)
        if (str_eq(l->entry->digest, entry->digest) && l->state != LEAVING && !file_changed(l))
            return l;
    return NULL;
}

/* A cache that is too small for the request: the model is loaded again with a larger one, when
 * nobody uses it. Weights stay in the page cache, they are only mapped again. */
static bool too_small(const struct loaded_model *l, int64_t n_ctx)
{
    int64_t trained = l->provider ? trained_ctx(l->model) : 0;
    return (n_ctx < trained ? n_ctx : trained) > l->n_ctx;
}

static enum status new_record(struct hub *h, struct store_model **entry, struct loaded_model **out,
                              struct err *err)
{
    struct loaded_model *l = mem_array(1, sizeof *l);
    if (!l)
        return err_set(err, ENOMEMORY, "model: no memory");
    pthread_mutex_init(&l->encoding, NULL);
    l->entry = *entry;
    *entry = NULL;
    l->expires = FOREVER;
    l->next = h->models;
    h->models = *out = l;
    return OK;
}

static void fill_lease(struct hub *h, struct loaded_model *l, int64_t n_ctx, struct lease *out)
{
    int64_t trained = trained_ctx(l->model);
    out->hub = h;
    out->loaded = l;
    out->model = l->model;
    out->entry = l->entry;
    out->provider = l->provider;
    out->n_ctx = n_ctx > 0 ? n_ctx : default_ctx(h, l->model);
    out->draft_max = h->o.draft_max < 0 ? 0 : h->o.draft_max ? h->o.draft_max : DRAFT_DEFAULT;
    if (l->provider && out->n_ctx > trained)
        out->n_ctx = trained;
    l->request_ctx = out->n_ctx;
}

/* What is loaded under the name of an entry and was another model then (it has been pulled or made
 * again, or its file changed) is for those alone who have it. True: it was pinned, as the one to
 * come shall be. */
static bool retire(struct hub *h, const struct store_model *entry)
{
    bool pinned = false;
    for (struct loaded_model *l = h->models; l; l = l->next) {
        if (l->state == LEAVING || !name_equal(&l->entry->name, &entry->name))
            continue;
        l->stale = !str_eq(l->entry->digest, entry->digest) || file_changed(l);
        if (!l->stale)
            continue;
        pinned |= l->pinned;
        l->pinned = false;
        l->expires = 0;
        pthread_cond_broadcast(&h->changed);
    }
    return pinned;
}

/* Waits for, or loads, the model of *entry. Called with the lock held; users is counted up. */
static enum status take(struct hub *h, struct store_model **entry, int64_t n_ctx,
                        const atomic_int *gone, struct loaded_model **out, double *load_s,
                        struct err *err)
{
    for (;;) {
        struct loaded_model *l = find(h, *entry);
        if (h->closing)
            return err_set(err, EBUSY, "the server is stopping");
        if (gone && *gone)
            return err_set(err, ECANCEL, "the client left before the model was loaded");
        if (l && l->state == READY && !too_small(l, n_ctx)) {
            l->users++;
            *out = l;
            return OK;
        }
        if (l && l->state == READY && l->users == 0) {
            evict(h, l);
        } else if (l) {
            wait_changed(h);
        } else {
            int64_t start = clock_ns();
            enum status s = new_record(h, entry, &l, err);
            if (s != OK)
                return s;
            pthread_mutex_unlock(&h->lock);
            s = load(h, l, n_ctx, gone, err);
            pthread_mutex_lock(&h->lock);
            l->state = s == OK ? READY : LEAVING;
            pthread_cond_broadcast(&h->changed);
            if (s != OK) {
                unlink_model(h, l);
                free_model(l);
                return s;
            }
            l->users = 1;
            *load_s = clock_since(start);
            *out = l;
            return OK;
        }
    }
}

/* The entry's PARAMETER num_ctx, 0 when it has none. */
static int64_t entry_ctx(const struct store_model *m)
{
    json_t *params = NULL;
    int64_t n = 0;
    struct err ignored;
    if (m->params_json.p && json_parse(&params, m->params_json, "parameters", &ignored) == OK &&
        (json_get_int(params, "num_ctx", &n, 0, &ignored) != OK || n < 0))
        n = 0;
    json_decref(params);
    return n;
}

enum status hub_acquire(struct hub *h, struct str name, int64_t n_ctx, int64_t keep_alive_ns,
                        const atomic_int *gone, struct lease *out, struct err *err)
{
    struct store_model *entry;
    struct loaded_model *l = NULL;
    *out = (struct lease){.keep_alive_ns = keep_alive_ns, .gone = gone};
    if (n_ctx < 0)
        return err_set(err, EUSAGE, "num_ctx: %lld, expected 1 or more", (long long)n_ctx);
    enum status s = store_find(h->o.store, name, &entry, err);
    if (s != OK)
        return hub_fault(s, err);
    n_ctx = n_ctx ? n_ctx : entry_ctx(entry);
    pthread_mutex_lock(&h->lock);
    bool pinned = retire(h, entry);
    s = take(h, &entry, n_ctx, gone, &l, &out->load_s, err);
    if (s == OK) {
        l->pinned |= pinned;
        fill_lease(h, l, n_ctx, out);
    }
    pthread_mutex_unlock(&h->lock);
    store_model_free(entry);
    return hub_fault(s, err);
}

void hub_release(struct lease *lease)
{
    struct loaded_model *l = lease->loaded;
    struct hub *h = lease->hub;
    if (!l)
        return;
    int64_t keep = lease->keep_alive_ns == KEEP_DEFAULT ? h->o.keep_alive_ns : lease->keep_alive_ns;
    pthread_mutex_lock(&h->lock);
    l->users--;
    l->last_used = clock_ns();
    l->expires = l->stale                                    ? 0
                 : keep < 0 || keep > FOREVER - l->last_used ? FOREVER
                                                             : l->last_used + keep;
    pthread_cond_broadcast(&h->changed);
    pthread_mutex_unlock(&h->lock);
    *lease = (struct lease){0};
}

/* ---- leaving ---- */

static struct loaded_model *expired(struct hub *h)
{
    int64_t now = clock_ns();
    for (struct loaded_model *l = h->models; l; l = l->next)
        if (l->state == READY && l->users == 0 && l->expires <= now)
            return l;
    return NULL;
}

static void *reap(void *arg)
{
    struct hub *h = arg;
    pthread_mutex_lock(&h->lock);
    while (!h->closing) {
        struct loaded_model *l = expired(h);
        if (l)
            evict(h, l);
        else
            wait_changed(h);
    }
    pthread_mutex_unlock(&h->lock);
    return NULL;
}

static enum status with_loaded(struct hub *h, struct str name, struct err *err,
                               void (*fn)(struct loaded_model *l, bool arg), bool arg)
{
    struct store_model *entry;
    enum status s = hub_fault(store_find(h->o.store, name, &entry, err), err);
    if (s != OK)
        return s;
    pthread_mutex_lock(&h->lock);
    struct loaded_model *l = find(h, entry);
    if (l)
        fn(l, arg);
    else
        s = err_set(err, ENOTFOUND, "model '%.*s' is not loaded", STR_ARG(name));
    pthread_cond_broadcast(&h->changed);
    pthread_mutex_unlock(&h->lock);
    store_model_free(entry);
    return s;
}

static void expire_now(struct loaded_model *l, bool arg)
{
    (void)arg;
    l->expires = 0;
    l->pinned = false;
}

static void set_pin(struct loaded_model *l, bool pin)
{
    l->pinned = pin;
    if (pin)
        l->expires = FOREVER;
}

enum status hub_unload(struct hub *h, struct str name, struct err *err)
{
    return with_loaded(h, name, err, expire_now, false);
}

enum status hub_pin(struct hub *h, struct str name, bool pin, struct err *err)
{
    return with_loaded(h, name, err, set_pin, pin);
}

/* ---- embeddings ---- */

/* Cuts ids to what the model can read: the end goes, but not a special token that ends it. */
static enum status cut(const struct lease *lease, struct tokens *ids, bool truncate,
                       struct err *err)
{
    const struct tokenizer *tok = model_tokenizer(lease->model);
    bool encoder = !lease->provider;
    size_t most = (size_t)(encoder ? encoder_max_tokens(lease->model) : lease->n_ctx);
    if (ids->n <= most)
        return OK;
    if (!truncate)
        return err_set(err, ECONTEXT,
                       "the input length exceeds the context length: %zu tokens, at most %zu",
                       ids->n, most);
    if (encoder || tokenizer_attr(tok, ids->id[ids->n - 1]) == TOKEN_CONTROL)
        ids->id[most - 1] = ids->id[ids->n - 1];
    ids->n = most;
    return OK;
}

/* Texts that are read together. */
struct embed_group {
    struct tokens ids[EMBED_GROUP];
    struct embed_text text[EMBED_GROUP];
    size_t n;
};

static enum status add_text(struct lease *lease, struct embed_group *g, struct str text,
                            bool truncate, float *out, struct err *err)
{
    struct tokens *ids = &g->ids[g->n];
    enum status s =
        tokenizer_encode(model_tokenizer(lease->model), text, TOKENIZE_ADD_SPECIAL, ids, err);
    if (s == OK)
        s = cut(lease, ids, truncate, err);
    if (s == OK && ids->n == 0) { /* no text, and no special tokens around it */
        struct model_info info;
        model_info(lease->model, &info);
        memset(out, 0, (size_t)info.n_embd * sizeof *out);
        tokens_free(ids);
        return OK;
    }
    g->text[g->n] = (struct embed_text){ids->id, ids->n, out};
    g->n++; /* for release, also after an error */
    return s;
}

static enum status embed_group(struct lease *lease, const struct embed_group *g, struct err *err)
{
    struct loaded_model *l = lease->loaded;
    struct encoder_out out;
    enum pooling how;
    enum status s = model_pooling(l->model, &how, NULL, err);
    if (s == OK && l->provider)
        return sched_embed(l->provider, g->text, g->n, how, lease->gone, err);
    for (size_t i = 0; s == OK && i < g->n; i++) {
        if (lease->gone && *lease->gone)
            return err_set(err, ECANCEL, "embedding: stopped");
        pthread_mutex_lock(&l->encoding);
        s = encoder_run(l->model, l->pool, g->text[i].ids, NULL, g->text[i].n, HEAD_NONE, false,
                        &out, err);
        pthread_mutex_unlock(&l->encoding);
        if (s == OK)
            encoder_pool(&out, how, false, g->text[i].out);
        encoder_out_release(&out);
    }
    return s;
}

enum status hub_embed(struct lease *lease, const struct str *texts, size_t n, bool truncate,
                      struct buf *floats, int64_t *n_tokens, struct err *err)
{
    struct model_info info;
    enum status s = OK;
    *n_tokens = 0;
    model_info(lease->model, &info);
    size_t width = (size_t)info.n_embd;
    float *v = mem_array(EMBED_GROUP * width, sizeof *v);
    if (!v)
        return err_set(err, ENOMEMORY, "embedding: no memory for %lld floats",
                       (long long)info.n_embd);
    for (size_t done = 0; s == OK && done < n;) {
        struct embed_group g = {0};
        size_t now = n - done < EMBED_GROUP ? n - done : EMBED_GROUP;
        for (size_t i = 0; s == OK && i < now; i++)
            s = add_text(lease, &g, texts[done + i], truncate, v + i * width, err);
        if (s == OK)
            s = embed_group(lease, &g, err);
        for (size_t i = 0; i < g.n; i++) {
            *n_tokens += (int64_t)g.ids[i].n;
            tokens_free(&g.ids[i]);
        }
        buf_add(floats, (const char *)v, now * width * sizeof *v);
        done += now;
    }
    free(v);
    return s == OK ? buf_check(floats, "embeddings", err) : s;
}

static double pair_score(const struct encoder_out *o)
{
    double sum = 0, last = (double)o->v[o->cols - 1];
    if (o->cols == 1)
        return 1 / (1 + exp(-last));
    for (int64_t i = 0; i < o->cols; i++)
        sum += exp((double)o->v[i] - last);
    return 1 / sum;
}

/* The pair's ids, cut before the last special token. */
static enum status pair_ids(struct loaded_model *l, struct str a, struct str b, struct tokens *ids,
                            struct tokens *types, struct err *err)
{
    size_t most = (size_t)encoder_max_tokens(l->model);
    enum status s = tokenizer_encode_pair(model_tokenizer(l->model), a, b, ids, types, err);
    if (s == OK && ids->n > most) {
        ids->id[most - 1] = ids->id[ids->n - 1];
        types->id[most - 1] = types->id[types->n - 1];
        ids->n = types->n = most;
    }
    return s;
}

static enum status rank_cosine(struct lease *lease, struct str query, struct str document,
                               double *score, int64_t *n_tokens, struct err *err)
{
    const struct str texts[] = {query, document};
    struct buf both;
    double ab = 0, aa = 0, bb = 0;
    buf_init(&both, 2 << 20);
    enum status s = hub_embed(lease, texts, 2, true, &both, n_tokens, err);
    for (size_t i = 0; s == OK && i < both.n / 2; i += sizeof(float)) {
        float x, y;
        memcpy(&x, both.p + i, sizeof x);
        memcpy(&y, both.p + both.n / 2 + i, sizeof y);
        ab += (double)x * (double)y;
        aa += (double)x * (double)x;
        bb += (double)y * (double)y;
    }
    *score = aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0;
    buf_release(&both);
    return s;
}

enum status hub_rank(struct lease *lease, struct str query, struct str document, double *score,
                     int64_t *n_tokens, struct err *err)
{
    struct loaded_model *l = lease->loaded;
    struct tokens ids = {0}, types = {0};
    struct encoder_out out = {0};
    bool for_embeddings = false;
    enum pooling how;
    enum status s = model_pooling(l->model, &how, &for_embeddings, err);
    if (s != OK)
        return s;
    if (l->provider && !for_embeddings)
        return err_set(err, EUSAGE, "\"%s\" does not support ranking", l->entry->name.model);
    if (l->provider || encoder_head(l->model) != HEAD_SEQUENCE)
        return rank_cosine(lease, query, document, score, n_tokens, err);
    s = pair_ids(l, query, document, &ids, &types, err);
    if (s == OK) {
        pthread_mutex_lock(&l->encoding);
        s = encoder_run(l->model, l->pool, ids.id, types.id, ids.n, HEAD_SEQUENCE, false, &out,
                        err);
        pthread_mutex_unlock(&l->encoding);
    }
    if (s == OK)
        *score = pair_score(&out);
    *n_tokens = (int64_t)ids.n;
    encoder_out_release(&out);
    tokens_free(&ids);
    tokens_free(&types);
    return s;
}

/* ---- listing ---- */

static int by_expiry(const void *a, const void *b)
{
    const struct hub_model *x = a, *y = b;
    uint64_t i = (uint64_t)x->expires_unix_ns, j = (uint64_t)y->expires_unix_ns; /* -1: last */
    return (i < j) - (i > j);
}

static void describe(struct loaded_model *l, struct hub_model *out, struct buf *names)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t wall = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    size_t at = names->n;
    name_short(&l->entry->name, names);
    *out = (struct hub_model){
        .name = {names->p + at, names->n - at},
        .digest = l->entry->digest,
        .weight_bytes = l->weight_bytes,
        .kv_bytes = l->kv_bytes,
        .n_ctx = l->request_ctx,
        .users = l->users,
        .expires_unix_ns = l->expires == FOREVER ? -1 : wall + (l->expires - clock_ns()),
    };
    if (l->provider)
        sched_stats(l->provider, &out->stats);
}

void hub_each(struct hub *h, void (*fn)(void *ctx, const struct hub_model *m), void *ctx)
{
    pthread_mutex_lock(&h->lock);
    size_t n = 0, i = 0;
    for (struct loaded_model *l = h->models; l; l = l->next)
        n += l->state == READY;
    struct hub_model *v = mem_array(n ? n : 1, sizeof *v);
    struct buf *names = mem_array(n ? n : 1, sizeof *names);
    for (struct loaded_model *l = h->models; v && names && l; l = l->next)
        if (l->state == READY) {
            buf_init(&names[i], 1024);
            describe(l, &v[i], &names[i]);
            i++;
        }
    if (v && names)
        qsort(v, i, sizeof *v, by_expiry);
    for (size_t k = 0; v && names && k < i; k++)
        fn(ctx, &v[k]);
    for (size_t k = 0; names && k < i; k++)
        buf_release(&names[k]);
    free(v);
    free(names);
    pthread_mutex_unlock(&h->lock);
}

/* ---- the hub ---- */

enum status hub_new(struct hub **out, const struct hub_options *o, struct err *err)
{
    struct hub *h = mem_array(1, sizeof *h);
    if (!h)
        return err_set(err, ENOMEMORY, "hub: no memory");
    h->o = *o;
    uint64_t available = machine_memory_available("");
    h->memory = o->memory ? o->memory : available ? available / 10 * 8 : UINT64_MAX / 2;
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->changed, NULL);
    if (o->prefix_memory || o->prefix_folder) {
        struct prefix_store_options po = {
            .memory = o->prefix_memory, .folder = o->prefix_folder, .disk = o->prefix_disk};
        enum status s = prefix_store_new(&h->prefixes, &po, err);
        if (s != OK) {
            free(h);
            return s;
        }
    }
    if (pthread_create(&h->reaper, NULL, reap, h) != 0) {
        prefix_store_free(h->prefixes);
        free(h);
        return err_set(err, EFAIL, "hub: cannot start a thread");
    }
    *out = h;
    return OK;
}

void hub_free(struct hub *h)
{
    if (!h)
        return;
    pthread_mutex_lock(&h->lock);
    h->closing = true;
    pthread_cond_broadcast(&h->changed);
    pthread_mutex_unlock(&h->lock);
    pthread_join(h->reaper, NULL);
    pthread_mutex_lock(&h->lock);
    while (h->models) {
        if (h->models->state == READY && h->models->users == 0)
            evict(h, h->models);
        else
            wait_changed(h);
    }
    pthread_mutex_unlock(&h->lock);
    pthread_mutex_destroy(&h->lock);
    pthread_cond_destroy(&h->changed);
    prefix_store_free(h->prefixes);
    free(h);
}
