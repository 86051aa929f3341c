/* Finding and listing. Every lookup reads the folders anew: other programs (Ollama among them)
 * change them at any time, and a manifest is small. */
#include "store/store_int.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/home.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/show.h"
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MODELS_MAX = 1 << 20, NAME_TEXT = 1024 };

/* ---- where the roots are ---- */

static char *copy_of(const char *z)
{
    return mem_dup(z, strlen(z));
}

static char *own_root(void)
{
    const char *env = getenv("HEARTH_MODELS");
    return env && *env ? copy_of(env) : hearth_home("models");
}

/* $OLLAMA_MODELS, ~/.ollama/models, or where its system service has them; "" for none. */
static char *ollama_root(void)
{
    const char *env = getenv("OLLAMA_MODELS");
    if (env && *env)
        return copy_of(env);
    char *home = user_home(".ollama/models");
    if (!home || file_is_dir(home))
        return home;
    free(home);
    static const char service[] = "/usr/share/ollama/.ollama/models";
    return copy_of(file_is_dir(service) ? service : "");
}

static bool same_folder(const char *a, const char *b)
{
    struct stat x, y;
    return strcmp(a, b) == 0 ||
           (stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino);
}

enum status store_open(struct store **out, const struct store_options *o, struct err *err)
{
    static const struct store_options defaults = {0};
    struct store *s = mem_array(1, sizeof *s);
    *out = NULL;
    o = o ? o : &defaults;
    if (!s)
        return err_set(err, ENOMEMORY, "no memory for the store");
    s->root = o->root ? copy_of(o->root) : own_root();
    s->ollama = o->ollama_root ? copy_of(o->ollama_root) : ollama_root();
    s->shipped = o->shipped ? copy_of(o->shipped) : NULL;
    if (!s->root || !s->ollama || (o->shipped && !s->shipped)) {
        store_close(s);
        return err_set(err, ENOMEMORY, "no memory for the store");
    }
    if (!*s->ollama || same_folder(s->root, s->ollama)) {
        free(s->ollama);
        s->ollama = NULL;
    }
    *out = s;
    return OK;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    free(s->root);
    free(s->ollama);
    free(s->shipped);
    free(s);
}

const char *store_folder(const struct store *s)
{
    return s->root;
}

const char *store_root(const struct store *s, int which)
{
    return which == ROOT_OWN ? s->root : s->ollama;
}

/* ---- walking the manifests ---- */

void manifest_path(struct buf *out, const char *root, const struct model_name *n)
{
    buf_printf(out, "%s/manifests/%s/%s/%s/%s", root, n->host, n->ns, n->model, n->tag);
}

enum { LEVELS = 4 };

struct walk {
    walk_fn *fn;
    void *ctx;
    struct buf path;
    size_t at[LEVELS]; /* where each part begins in path */
    size_t seen;
    int stop;
    struct err *err;
};

/* A path of four parts that name_parse takes for just those is a manifest's. */
static bool name_of(const struct walk *w, struct model_name *out)
{
    char text[NAME_TEXT], back[NAME_TEXT];
    const char *p = w->path.p;
    int n = snprintf(text, sizeof text, "%.*s%s", (int)(w->at[3] - 1 - w->at[0]), p + w->at[0], "");
    if (n < 0 || (size_t)n + 1 >= sizeof text)
        return false;
    n += snprintf(text + n, sizeof text - (size_t)n, ":%s", p + w->at[3]);
    if ((size_t)n >= sizeof text || name_parse(out, str_from(text), NULL) != OK)
        return false;
    snprintf(back, sizeof back, "%s/%s/%s:%s", out->host, out->ns, out->model, out->tag);
    return strcmp(text, back) == 0;
}

static enum status visit(struct walk *w, struct err *err)
{
    struct model_name name;
    uint64_t size;
    if (!name_of(w, &name) || !blob_stat(w->path.p, &size))
        return OK;
    if (++w->seen > MODELS_MAX)
        return err_set(err, ELIMIT, "'%s': more than %d manifests", w->path.p, MODELS_MAX);
    w->stop = w->fn(w->ctx, &name, w->path.p);
    return OK;
}

static enum status descend(struct walk *w, int level, struct err *err)
{
    DIR *d = opendir(w->path.p);
    size_t n = w->path.n;
    enum status s = OK;
    if (!d)
        return errno == ENOENT || errno == ENOTDIR
                   ? OK
                   : err_set(err, EIO, "cannot read '%s': %s", w->path.p, strerror(errno));
    for (const struct dirent *e; s == OK && !w->stop && (e = readdir(d));) {
        if (e->d_name[0] == '.')
            continue;
        buf_printf(&w->path, "/%s", e->d_name);
        w->at[level] = n + 1;
        s = buf_check(&w->path, "path of a manifest", err);
        if (s == OK)
            s = level == LEVELS - 1 ? visit(w, err) : descend(w, level + 1, err);
        w->path.n = n;
        w->path.p[n] = 0;
    }
    closedir(d);
    return s;
}

enum status manifests_walk(const char *root, walk_fn *fn, void *ctx, struct err *err)
{
    struct walk w = {.fn = fn, .ctx = ctx};
    buf_init(&w.path, PATH_BYTES);
    buf_printf(&w.path, "%s/manifests", root);
    enum status s = buf_check(&w.path, "path of the store", err);
    if (s == OK)
        s = descend(&w, 0, err);
    buf_release(&w.path);
    return s;
}

/* Another program's folders may not be readable for us: then it has no models. */
static enum status pardon(const struct store *s, int which, enum status st, const struct err *why,
                          struct err *err)
{
    if (st != EIO || which == ROOT_OWN)
        return st == OK ? OK : err_set(err, st, "%s", why->msg);
    log_debug("'%s': %s", store_root(s, which), why->msg);
    return OK;
}

/* ---- by name ---- */

struct wanted {
    const struct model_name *name;
    struct model_name found;
    struct buf *path;
};

static int take_if_equal(void *ctx, const struct model_name *name, const char *path)
{
    struct wanted *w = ctx;
    if (!name_equal(name, w->name))
        return 0;
    w->found = *name;
    buf_clear(w->path);
    buf_adds(w->path, path);
    return 1;
}

enum status manifest_find(const char *root, struct model_name *name, struct buf *path,
                          struct err *err)
{
    uint64_t size;
    buf_clear(path);
    manifest_path(path, root, name);
    enum status s = buf_check(path, "path of a manifest", err);
    if (s != OK || blob_stat(path->p, &size))
        return s;
    struct wanted w = {.name = name, .path = path};
    buf_clear(path);
    s = manifests_walk(root, take_if_equal, &w, err);
    if (s == OK && path->n)
        *name = w.found;
    if (s == OK)
        s = buf_check(path, "path of a manifest", err);
    return s;
}

/* ---- files without a manifest: what ships, and what lies in our root ---- */

typedef enum status file_fn(void *ctx, const struct model_name *name, const char *path,
                            struct err *err);

/* "…/Some-Model.gguf", or the first file of a split one, as a name. */
static bool name_of_file(const char *path, struct model_name *out)
{
    const char *slash = strrchr(path, '/');
    struct str base = str_from(slash ? slash + 1 : path);
    if (!str_ends(base, STR(".gguf")))
        return false;
    base.n -= 5;
    const struct str of = STR("-of-00000");
    if (base.n > 15 && memcmp(base.p + base.n - of.n, of.p, 4) == 0 &&
        strspn(base.p + base.n - 5, "0123456789") == 5) {
        if (memcmp(base.p + base.n - 15, "-00001", 6) != 0)
            return false;
        base.n -= 15;
    }
    return !memchr(base.p, ':', base.n) && name_parse(out, base, NULL) == OK;
}

static enum status each_file(const struct store *s, file_fn *fn, void *ctx, struct err *err)
{
    struct model_name name;
    struct buf path;
    enum status st = OK;
    uint64_t size;
    buf_init(&path, PATH_BYTES);
    DIR *d = opendir(s->root);
    for (const struct dirent *e; st == OK && d && (e = readdir(d));) {
        buf_clear(&path);
        buf_printf(&path, "%s/%s", s->root, e->d_name);
        if (!path.failed && name_of_file(path.p, &name) && blob_stat(path.p, &size))
            st = fn(ctx, &name, path.p, err);
    }
    if (d)
        closedir(d);
    if (st == OK && s->shipped && blob_stat(s->shipped, &size) && name_of_file(s->shipped, &name))
        st = fn(ctx, &name, s->shipped, err);
    buf_release(&path);
    return st;
}

struct wanted_file {
    const struct model_name *name;
    struct store_model **out;
};

static enum status load_if_equal(void *ctx, const struct model_name *name, const char *path,
                                 struct err *err)
{
    const struct wanted_file *w = ctx;
    return *w->out || !name_equal(name, w->name) ? OK : store_load_file(w->out, name, path, err);
}

/* A model that can be run: with weights that are a file. */
static enum status check_runs(const struct store_model *m, struct str name, struct err *err)
{
    if (m->model_path)
        return OK;
    for (size_t i = 0; i < m->n_layers; i++)
        if (m->layers[i].kind == LAYER_TENSOR)
            return err_set(err, EUNSUPPORTED,
                           "model '%s' is stored tensor by tensor, expected a GGUF layer",
                           show(name).s);
    return err_set(err, EUNSUPPORTED, "model '%s' has no weights on this machine (a cloud model?)",
                   show(name).s);
}

enum status store_find(struct store *s, struct str text, struct store_model **out, struct err *err)
{
    struct model_name name;
    struct buf path;
    *out = NULL;
    enum status st = name_parse(&name, text, err);
    if (st != OK)
        return st;
    buf_init(&path, PATH_BYTES);
    for (int i = 0; i < ROOT_COUNT && st == OK && !*out; i++) {
        if (!store_root(s, i))
            continue;
        struct err why = {0};
        st = manifest_find(store_root(s, i), &name, &path, &why);
        st = pardon(s, i, st, &why, err);
        if (st == OK && path.n)
            st = store_load(out, store_root(s, i), &name, path.p, err);
        if (st == OK && *out)
            (*out)->read_only = i != ROOT_OWN;
    }
    buf_release(&path);
    struct wanted_file w = {&name, out};
    if (st == OK && !*out)
        st = each_file(s, load_if_equal, &w, err);
    if (st == OK && !*out)
        st = err_set(err, ENOTFOUND, "model '%s' not found", show(text).s);
    if (st == OK)
        st = check_runs(*out, text, err);
    if (st != OK) {
        store_model_free(*out);
        *out = NULL;
    }
    return st;
}

/* ---- all ---- */

struct all {
    const char *root;
    bool read_only;
    struct store_model **m;
    size_t n, cap;
    enum status status;
    struct err *err;
};

static bool known(const struct all *a, const struct model_name *name)
{
    for (size_t i = 0; i < a->n; i++)
        if (name_equal(&a->m[i]->name, name))
            return true;
    return false;
}

static enum status keep(struct all *a, struct store_model *m, struct err *err)
{
    if (a->n == a->cap) {
        size_t cap = a->cap ? 2 * a->cap : 64;
        struct store_model **more = mem_resize(a->m, cap, sizeof *more);
        if (!more) {
            store_model_free(m);
            return err_set(err, ENOMEMORY, "no memory to list the models");
        }
        a->m = more;
        a->cap = cap;
    }
    m->read_only |= a->read_only;
    a->m[a->n++] = m;
    return OK;
}

/* Whether that has not been said of the file before: lists are asked for again and again. When more
 * is wrong than we remember, it is said again. */
static bool first_time(const char *path, const char *why)
{
    enum { REMEMBERED = 256 };
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static uint64_t said[REMEMBERED];
    static size_t n;
    uint64_t h = hash_bytes(path, strlen(path)) ^ 31 * hash_bytes(why, strlen(why));
    bool known = false;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < n && i < REMEMBERED && !known; i++)
        known = said[i] == h;
    if (!known)
        said[n++ % REMEMBERED] = h;
    pthread_mutex_unlock(&lock);
    return !known;
}

static int add_manifest(void *ctx, const struct model_name *name, const char *path)
{
    struct all *a = ctx;
    struct store_model *m;
    struct err why = {0};
    if (known(a, name))
        return 0;
    enum status s = store_load(&m, a->root, name, path, &why);
    if (s == ENOMEMORY) {
        a->status = err_set(a->err, s, "%s", why.msg);
        return 1;
    }
    if (s != OK) {
        if (first_time(path, why.msg))
            log_warn("%s", why.msg);
        return 0;
    }
    if (!m->model_path) {
        log_debug("'%s': no weights", path);
        store_model_free(m);
        return 0;
    }
    a->status = keep(a, m, a->err);
    return a->status != OK;
}

static enum status add_file(void *ctx, const struct model_name *name, const char *path,
                            struct err *err)
{
    struct all *a = ctx;
    struct store_model *m;
    if (known(a, name))
        return OK;
    enum status s = store_load_file(&m, name, path, err);
    return s == OK ? keep(a, m, err) : s;
}

static int newest_first(const void *x, const void *y)
{
    const struct store_model *a = *(struct store_model *const *)x,
                             *b = *(struct store_model *const *)y;
    if (a->modified_unix_ns != b->modified_unix_ns)
        return a->modified_unix_ns > b->modified_unix_ns ? -1 : 1;
    int c = strcmp(a->name.model, b->name.model);
    return c ? c : strcmp(a->name.tag, b->name.tag);
}

enum status store_each(struct store *s, int (*fn)(void *ctx, const struct store_model *m),
                       void *ctx, struct err *err)
{
    struct all a = {.err = err};
    enum status st = OK;
    for (int i = 0; i < ROOT_COUNT && st == OK; i++) {
        a.root = store_root(s, i);
        a.read_only = i != ROOT_OWN;
        struct err why = {0};
        if (a.root)
            st = pardon(s, i, manifests_walk(a.root, add_manifest, &a, &why), &why, err);
        if (st == OK)
            st = a.status;
    }
    if (st == OK)
        st = each_file(s, add_file, &a, err);
    if (a.n)
        qsort(a.m, a.n, sizeof(struct store_model *), newest_first);
    for (size_t i = 0; st == OK && i < a.n; i++)
        if (fn(ctx, a.m[i]) != 0)
            break;
    for (size_t i = 0; i < a.n; i++)
        store_model_free(a.m[i]);
    free(a.m);
    return st;
}
