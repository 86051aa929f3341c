/* What changes the store. Three rules keep it whole whenever a process is killed and whoever else
 * is at work:
 *
 *   a manifest appears by rename, when all its blobs are there and on the disk;
 *   who counts on blobs that no manifest names yet holds the store (a shared lock on ROOT/lock);
 *   who deletes blobs has it alone (an exclusive lock), and looks at all manifests before. */
#include "store/store_int.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/show.h"
#include "store/create.h"
#include "store/partial.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { WAIT_MS = 300, STEP_MS = 10, TRIES = 8, PRUNE_S = 3600 };

/* ---- folders ---- */

enum status make_folders(const char *path, struct err *err)
{
    char *copy = mem_dup(path, strlen(path));
    enum status s = copy ? OK : err_set(err, ENOMEMORY, "no memory for a path");
    for (char *p = copy ? strchr(copy + 1, '/') : NULL; p && s == OK; p = strchr(p + 1, '/')) {
        *p = 0;
        if (mkdir(copy, 0755) != 0 && errno != EEXIST && !file_is_dir(copy))
            s = err_set(err, EIO, "cannot make folder '%s': %s", copy, strerror(errno));
        *p = '/';
    }
    free(copy);
    return s;
}

enum status sync_folder_of(const char *path, struct err *err)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? mem_dup(path, (size_t)(slash - path)) : mem_dup(".", 1);
    if (!folder)
        return err_set(err, ENOMEMORY, "no memory for a path");
    int fd = open(*folder ? folder : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* some file systems cannot sync a folder; a disk that fails does not stop here */
    bool ok = fd >= 0 && (fsync(fd) == 0 || errno == EINVAL || errno == ENOTSUP);
    enum status s = ok ? OK : err_set(err, EIO, "cannot sync '%s': %s", folder, strerror(errno));
    if (fd >= 0)
        close(fd);
    free(folder);
    return s;
}

/* ---- the lock ---- */

struct store_hold {
    int fd;
};

static int lock_open(const struct store *s, struct err *err)
{
    struct buf path;
    int fd = -1;
    buf_init(&path, PATH_BYTES);
    buf_printf(&path, "%s/lock", s->root);
    if (buf_check(&path, "path of the store", err) == OK && make_folders(path.p, err) == OK) {
        fd = open(path.p, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (fd < 0)
            (void)err_set(err, EIO, "cannot open '%s': %s", path.p, strerror(errno));
    }
    buf_release(&path);
    return fd;
}

enum status store_hold_take(struct store *s, struct store_hold **out, struct err *err)
{
    struct err why = {0};
    struct store_hold *h = mem_array(1, sizeof *h);
    *out = NULL;
    if (!h)
        return err_set(err, ENOMEMORY, "no memory for the store");
    h->fd = lock_open(s, &why);
    if (h->fd < 0) {
        free(h);
        return err_set(err, why.code, "%s", why.msg);
    }
    while (flock(h->fd, LOCK_SH) != 0 && errno == EINTR) {
    }
    *out = h;
    return OK;
}

void store_hold_release(struct store_hold *h)
{
    if (!h)
        return;
    close(h->fd);
    free(h);
}

/* -1: somebody holds the store, or there is none. */
static int lock_alone(const struct store *s)
{
    struct err ignored;
    int fd = lock_open(s, &ignored);
    for (int waited = 0; fd >= 0; waited += STEP_MS) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0 || (errno != EWOULDBLOCK && errno != EINTR))
            return fd;
        if (waited >= WAIT_MS) {
            close(fd);
            return -1;
        }
        struct timespec step = {0, STEP_MS * 1000000L};
        nanosleep(&step, NULL);
    }
    return -1;
}

/* ---- blobs that nobody names ---- */

struct candidate {
    char hex[65];
    bool used;
};

struct candidates {
    struct candidate *c;
    size_t n;
    struct err *err;
    enum status status;
};

static int by_hex(const void *a, const void *b)
{
    return memcmp(a, b, 64);
}

static void mark(struct candidates *all, struct str digest)
{
    struct candidate key = {0};
    memcpy(key.hex, digest.p + 7, 64);
    struct candidate *c = bsearch(&key, all->c, all->n, sizeof key, by_hex);
    /* the same one may stand there several times */
    for (struct candidate *x = c; x && x >= all->c && by_hex(x, &key) == 0; x--)
        x->used = true;
    for (struct candidate *x = c; x && x < all->c + all->n && by_hex(x, &key) == 0; x++)
        x->used = true;
}

/* A manifest that cannot be read may name anything: then nothing is deleted. */
static int mark_manifest(void *ctx, const struct model_name *name, const char *path)
{
    struct candidates *all = ctx;
    struct manifest m;
    struct arena arena;
    struct buf text;
    (void)name;
    arena_init(&arena, (size_t)1 << 30);
    buf_init(&text, MANIFEST_BYTES);
    all->status = file_read(path, &text, all->err);
    if (all->status == ENOTFOUND) { /* just removed */
        all->status = OK;
        goto done;
    }
    if (all->status == OK)
        all->status = manifest_parse(&m, buf_str(&text), path, &arena, all->err);
    for (size_t i = 0; all->status == OK && i < m.n; i++)
        mark(all, m.layers[i].digest);
    if (all->status == OK && m.config_digest.p)
        mark(all, m.config_digest);
done:
    buf_release(&text);
    arena_release(&arena);
    return all->status != OK;
}

/* Deletes the unused; the store is ours alone. */
static enum status delete_unused(struct store *s, struct candidates *all, uint64_t *freed,
                                 struct err *err)
{
    struct err why = {0};
    struct buf path;
    qsort(all->c, all->n, sizeof *all->c, by_hex);
    all->err = &why;
    enum status st = manifests_walk(s->root, mark_manifest, all, err);
    if (st != OK)
        return st;
    if (all->status != OK) {
        log_warn("no blobs are deleted: %s", why.msg);
        return OK;
    }
    buf_init(&path, PATH_BYTES);
    for (size_t i = 0; i < all->n; i++) {
        uint64_t size = 0;
        struct stat info;
        buf_clear(&path);
        buf_printf(&path, "%s/blobs/sha256-%s", s->root, all->c[i].hex);
        if (all->c[i].used || path.failed || lstat(path.p, &info) != 0)
            continue;
        /* of a file with another name nothing is won */
        if (S_ISREG(info.st_mode) && info.st_nlink == 1)
            size = (uint64_t)info.st_size;
        if (unlink(path.p) != 0)
            log_warn("cannot delete '%s': %s", path.p, strerror(errno));
        else if (freed)
            *freed += size;
    }
    buf_release(&path);
    return OK;
}

void blobs_drop(struct store *s, const struct str *digests, size_t n)
{
    struct candidates all = {.c = mem_array(n ? n : 1, sizeof *all.c), .n = n};
    struct err why = {0};
    if (!all.c)
        return;
    for (size_t i = 0; i < n; i++)
        memcpy(all.c[i].hex, digests[i].p + 7, 64);
    int lock = n ? lock_alone(s) : -1;
    if (lock >= 0 && delete_unused(s, &all, NULL, &why) != OK)
        log_warn("no blobs are deleted: %s", why.msg);
    if (lock >= 0)
        close(lock);
    free(all.c);
}

/* Every blob that is older than an hour: by the time of its name, not that of its bytes, which a
 * link brings from elsewhere. */
static enum status old_blobs(struct store *s, struct candidates *all, struct err *err)
{
    struct buf path;
    size_t cap = 0;
    enum status st = OK;
    buf_init(&path, PATH_BYTES);
    buf_printf(&path, "%s/blobs", s->root);
    DIR *d = path.failed ? NULL : opendir(path.p);
    time_t now = time(NULL);
    for (const struct dirent *e; st == OK && d && (e = readdir(d));) {
        struct stat info;
        if (!digest_valid(str_from(e->d_name)) || e->d_name[6] != '-' ||
            fstatat(dirfd(d), e->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0 ||
            info.st_ctime > now - PRUNE_S)
            continue;
        if (all->n == cap) {
            cap = cap ? 2 * cap : 64;
            struct candidate *c = mem_resize(all->c, cap, sizeof *c);
            if (!c) {
                st = err_set(err, ENOMEMORY, "no memory to list the blobs");
                break;
            }
            all->c = c;
        }
        all->c[all->n] = (struct candidate){0};
        memcpy(all->c[all->n++].hex, e->d_name + 7, 64);
    }
    if (d)
        closedir(d);
    buf_release(&path);
    return st;
}

enum status store_prune(struct store *s, uint64_t *freed, struct err *err)
{
    struct candidates all = {0};
    uint64_t none;
    freed = freed ? freed : &none;
    *freed = 0;
    if (!file_is_dir(s->root))
        return OK;
    sweep_parts(s->root);
    partials_sweep(s->root);
    int lock = lock_alone(s);
    if (lock < 0)
        return err_set(err, EBUSY, "the store is in use, nothing is pruned");
    enum status st = old_blobs(s, &all, err);
    if (st == OK && all.n)
        st = delete_unused(s, &all, freed, err);
    close(lock);
    free(all.c);
    return st;
}

/* ---- manifests ---- */

/* Every digest of a manifest, the config's too. The array is the arena's. */
static enum status all_digests(const struct manifest *m, struct arena *arena, struct str **out,
                               size_t *n, struct err *err)
{
    *n = 0;
    *out = arena_array(arena, m->n + 1, sizeof **out);
    if (!*out)
        return err_set(err, ENOMEMORY, "no memory for a manifest");
    for (size_t i = 0; i < m->n; i++)
        (*out)[(*n)++] = m->layers[i].digest;
    if (m->config_digest.p)
        (*out)[(*n)++] = m->config_digest;
    return OK;
}

static enum status check_there(struct store *s, struct str digest, uint64_t size, struct err *err)
{
    char *path;
    uint64_t there;
    enum status st = store_blob_path(s, digest, &path, err);
    if (st != OK)
        return st;
    if (!blob_stat(path, &there))
        st = err_set(err, ENOTFOUND, "blob %s not found", show(digest).s);
    else if (there != size)
        st = err_set(err, EFORMAT, "blob %s has %llu bytes, its manifest says %llu", show(digest).s,
                     (unsigned long long)there, (unsigned long long)size);
    free(path);
    return st;
}

/* The text under a name of its own in the folder of manifests, then renamed. The folders between
 * may be removed by another process in the meantime: made again. */
static enum status replace_manifest(struct store *s, const char *path, struct str text,
                                    struct err *err)
{
    struct buf part;
    struct file_writer w;
    buf_init(&part, PATH_BYTES);
    enum status st = part_path_in(s, "manifests", &part, err);
    if (st == OK)
        st = file_writer_open(&w, part.p, err);
    if (st == OK) {
        file_writer_put(&w, text.p, text.n);
        st = file_writer_commit(&w, err);
    }
    for (int i = 0; st == OK; i++) {
        st = make_folders(path, err);
        if (st == OK && rename(part.p, path) == 0)
            break;
        if (st == OK && (errno != ENOENT || i >= TRIES))
            st = err_set(err, EIO, "cannot rename '%s' to '%s': %s", part.p, path, strerror(errno));
        else if (st != OK && i < TRIES && !file_exists(path))
            st = OK; /* a folder vanished while the next one was made in it */
        if (st != OK)
            unlink(part.p);
    }
    if (st == OK)
        st = sync_folder_of(path, err);
    buf_release(&part);
    return st;
}

static enum status put_held(struct store *s, const struct model_name *name, struct str text,
                            struct arena *arena, struct str **old, size_t *n_old, struct err *err)
{
    struct manifest m, before;
    struct buf path, old_text;
    struct model_name actual = *name;
    *n_old = 0;
    buf_init(&path, PATH_BYTES);
    buf_init(&old_text, MANIFEST_BYTES);
    enum status st = manifest_parse(&m, text, "manifest", arena, err);
    for (size_t i = 0; st == OK && i < m.n; i++)
        st = check_there(s, m.layers[i].digest, m.layers[i].size, err);
    if (st == OK && m.config_digest.p)
        st = check_there(s, m.config_digest, m.config_size, err);
    if (st == OK)
        st = manifest_find(s->root, &actual, &path, err);
    /* one that is broken, or gone by now, named nothing */
    if (st == OK && path.n && file_read(path.p, &old_text, NULL) == OK &&
        manifest_parse(&before, buf_str(&old_text), path.p, arena, NULL) == OK)
        st = all_digests(&before, arena, old, n_old, err);
    if (st == OK && !path.n) {
        manifest_path(&path, s->root, name);
        st = buf_check(&path, "path of a manifest", err);
    }
    if (st == OK)
        st = replace_manifest(s, path.p, text, err);
    buf_release(&path);
    buf_release(&old_text);
    return st;
}

enum status store_put_manifest(struct store *s, const struct model_name *name, struct str text,
                               struct store_hold *hold, struct err *err)
{
    struct arena arena;
    struct str *old = NULL;
    size_t n_old = 0;
    enum status st = hold ? OK : store_hold_take(s, &hold, err);
    if (st != OK)
        return st;
    arena_init(&arena, (size_t)1 << 30);
    st = put_held(s, name, text, &arena, &old, &n_old, err);
    store_hold_release(hold);
    if (st == OK)
        blobs_drop(s, old, n_old);
    arena_release(&arena);
    return st;
}

/* Folders that have become empty go, up to that of the manifests. */
static void remove_empty_folders(char *path)
{
    for (int level = 0; level < 3; level++) {
        char *slash = strrchr(path, '/');
        if (!slash)
            return;
        *slash = 0;
        if (rmdir(path) != 0)
            return;
    }
}

static enum status remove_own(struct store *s, struct buf *path, struct err *err)
{
    struct arena arena;
    struct manifest m = {0};
    struct buf text;
    struct str *digests = NULL;
    size_t n = 0;
    struct err why = {0};
    arena_init(&arena, (size_t)1 << 30);
    buf_init(&text, MANIFEST_BYTES);
    enum status st = file_read(path->p, &text, err);
    if (st == OK && manifest_parse(&m, buf_str(&text), path->p, &arena, &why) != OK) {
        log_warn("%s: removed, its blobs are left for a later clean-up", why.msg);
        m = (struct manifest){0};
    }
    if (st == OK)
        st = all_digests(&m, &arena, &digests, &n, err);
    if (st == OK && unlink(path->p) != 0)
        st = err_set(err, errno == ENOENT ? ENOTFOUND : EIO, "cannot remove '%s': %s", path->p,
                     strerror(errno));
    if (st == OK) {
        remove_empty_folders(path->p);
        blobs_drop(s, digests, n);
    }
    buf_release(&text);
    arena_release(&arena);
    return st;
}

enum status store_remove(struct store *s, struct str text, struct err *err)
{
    struct model_name name;
    struct store_model *m;
    struct buf path;
    enum status st = name_parse(&name, text, err);
    if (st != OK)
        return st;
    buf_init(&path, PATH_BYTES);
    st = manifest_find(s->root, &name, &path, err);
    if (st == OK && path.n) {
        st = remove_own(s, &path, err);
    } else if (st == OK && (st = store_find(s, text, &m, err)) == OK) {
        st = err_set(err, EUSAGE,
                     "model '%s' is not in Hearth's store but at '%s', which is only read",
                     show(text).s, m->model_path);
        store_model_free(m);
    }
    buf_release(&path);
    return st;
}

/* ---- copying ---- */

enum status store_own_blobs(struct store *s, const struct store_model *m, struct err *err)
{
    enum status st = OK;
    for (size_t i = 0; st == OK && i <= m->n_layers; i++) {
        struct str digest = i < m->n_layers ? m->layers[i].digest : m->config_digest;
        st = digest.n ? store_own_blob(s, digest, err) : OK;
        if (st == ENOTFOUND && i < m->n_layers && m->layers[i].kind == LAYER_OTHER)
            st = OK;
    }
    return st;
}

enum status store_own_blob(struct store *s, struct str digest, struct err *err)
{
    char *own, *path, actual[72];
    uint64_t size;
    enum status st = store_blob_path(s, digest, &own, err);
    if (st != OK)
        return st;
    if (!blob_stat(own, &size)) {
        st = store_blob_find(s, digest, &path, NULL, err);
        if (st == OK)
            st = store_import_file(s, path, actual, NULL, err);
        if (st == OK && memcmp(actual + 7, digest.p + 7, 64) != 0)
            st = err_set(err, EFORMAT, "'%s' does not hold what its name says, but %s", path,
                         actual);
        free(path);
    }
    free(own);
    return st;
}

enum status store_manifest_text(struct store *s, const struct store_model *m, struct buf *text,
                                struct err *err)
{
    struct model_name name = m->name;
    struct buf path;
    buf_init(&path, PATH_BYTES);
    enum status st = manifest_find(m->read_only ? s->ollama : s->root, &name, &path, err);
    if (st == OK)
        st = path.n ? file_read(path.p, text, err)
                    : err_set(err, ENOTFOUND, "the manifest of '%s' is gone", name.model);
    buf_release(&path);
    return st;
}

enum status store_copy(struct store *s, struct str from, struct str to, struct err *err)
{
    struct model_name name;
    struct store_model *m;
    struct store_hold *hold;
    struct buf text;
    enum status st = name_parse(&name, to, err);
    if (st == OK)
        st = store_find(s, from, &m, err);
    if (st != OK)
        return st;
    if (m->n_layers == 1 && m->layers[0].digest.n == 0) { /* a file without a manifest */
        store_model_free(m);
        struct create_recipe r = {.name = to, .from = from};
        return create_model(s, &r, NULL, err);
    }
    buf_init(&text, MANIFEST_BYTES);
    st = store_hold_take(s, &hold, err);
    if (st == OK) {
        st = store_manifest_text(s, m, &text, err);
        if (st == OK)
            st = store_own_blobs(s, m, err);
        if (st == OK)
            st = store_put_manifest(s, &name, buf_str(&text), hold, err);
        else
            store_hold_release(hold);
    }
    buf_release(&text);
    store_model_free(m);
    return st;
}
