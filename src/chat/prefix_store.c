#include "chat/prefix_store.h"
#include "base/mem.h"
#include "chat/prefix.h"
#include "chat/prefix_disk.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* In memory (digest is "") or on disk. */
struct entry {
    struct prefix_file f; /* identity, tokens; bytes and digest of the file */
    struct buf snapshot;
    int64_t used; /* in calls; those found on disk are older than any */
};

struct prefix_store {
    struct prefix_store_options o;
    char *folder;
    pthread_mutex_t mutex;
    struct entry *v;
    size_t n, cap;
    uint64_t memory, disk; /* bytes */
    int64_t calls;
};

#ifdef HEARTH_ENGINE_ONLY
enum status prefix_disk_write(const char *folder, struct str identity, const int32_t *id, size_t n,
                              struct str snapshot, struct prefix_file *f, struct err *err)
{
    (void)identity, (void)id, (void)n, (void)snapshot, (void)f;
    return err_set(err, EUNSUPPORTED, "'%s': this build keeps no prefixes on disk", folder);
}

enum status prefix_disk_read(const char *folder, const char *digest, struct buf *out,
                             struct err *err)
{
    (void)digest, (void)out;
    return err_set(err, EUNSUPPORTED, "'%s': this build keeps no prefixes on disk", folder);
}

void prefix_disk_remove(const char *folder, const char *digest)
{
    (void)folder, (void)digest;
}

enum status prefix_disk_each(const char *folder, void (*fn)(void *ctx, const struct prefix_file *f),
                             void *ctx, struct err *err)
{
    (void)fn, (void)ctx;
    return err_set(err, EUNSUPPORTED, "'%s': this build keeps no prefixes on disk", folder);
}
#endif

static bool on_disk(const struct entry *e)
{
    return e->f.digest[0] != 0;
}

static struct entry *add(struct prefix_store *ps)
{
    if (ps->n == ps->cap) {
        size_t cap = ps->cap ? 2 * ps->cap : 16;
        struct entry *v = mem_resize(ps->v, cap, sizeof *v);
        if (!v)
            return NULL;
        ps->v = v;
        ps->cap = cap;
    }
    return &ps->v[ps->n++];
}

/* with_file: the file goes too. */
static void drop(struct prefix_store *ps, size_t i, bool with_file)
{
    struct entry *e = &ps->v[i];
    if (on_disk(e)) {
        ps->disk -= e->f.bytes;
        if (with_file)
            prefix_disk_remove(ps->folder, e->f.digest);
    } else {
        ps->memory -= e->snapshot.n;
        buf_release(&e->snapshot);
    }
    free(e->f.id);
    *e = ps->v[--ps->n];
}

/* The least recently used in memory or on disk; ps->n: none. */
static size_t oldest(const struct prefix_store *ps, bool disk)
{
    size_t best = ps->n;
    for (size_t i = 0; i < ps->n; i++)
        if (on_disk(&ps->v[i]) == disk && (best == ps->n || ps->v[i].used < ps->v[best].used))
            best = i;
    return best;
}

/* From memory to disk, or away where there is none. */
static void spill(struct prefix_store *ps, size_t i)
{
    struct entry *e = &ps->v[i];
    struct err ignored;
    uint64_t bytes = e->snapshot.n;
    if (!ps->folder || bytes > ps->o.disk ||
        prefix_disk_write(ps->folder, (struct str){e->f.identity, e->f.n_identity}, e->f.id, e->f.n,
                          buf_str(&e->snapshot), &e->f, &ignored) != OK) {
        e->f.digest[0] = 0;
        drop(ps, i, false);
        return;
    }
    ps->memory -= bytes;
    ps->disk += e->f.bytes;
    buf_release(&e->snapshot);
}

static void keep_budgets(struct prefix_store *ps)
{
    while (ps->memory > ps->o.memory)
        spill(ps, oldest(ps, false));
    while (ps->disk > ps->o.disk)
        drop(ps, oldest(ps, true), true);
}

static void found(void *ctx, const struct prefix_file *f)
{
    struct prefix_store *ps = ctx;
    struct entry *e = add(ps);
    if (!e) {
        free(f->id);
        return;
    }
    *e = (struct entry){.f = *f, .used = f->used - INT64_MAX / 2};
    buf_init(&e->snapshot, 0);
    ps->disk += f->bytes;
}

enum status prefix_store_new(struct prefix_store **out, const struct prefix_store_options *o,
                             struct err *err)
{
    *out = NULL;
    struct prefix_store *ps = mem_array(1, sizeof *ps);
    if (!ps)
        return err_set(err, ENOMEMORY, "prefix store: no memory");
    ps->o = *o;
    pthread_mutex_init(&ps->mutex, NULL);
    enum status st = OK;
    if (o->folder) {
        ps->folder = mem_dup(o->folder, strlen(o->folder));
        st = ps->folder ? prefix_disk_each(ps->folder, found, ps, err)
                        : err_set(err, ENOMEMORY, "prefix store: no memory");
    }
    if (st == OK)
        keep_budgets(ps);
    if (st != OK) {
        prefix_store_free(ps);
        return st;
    }
    *out = ps;
    return OK;
}

void prefix_store_free(struct prefix_store *ps)
{
    if (!ps)
        return;
    ps->o.memory = 0;
    keep_budgets(ps);
    while (ps->n)
        drop(ps, ps->n - 1, false);
    free(ps->v);
    free(ps->folder);
    pthread_mutex_destroy(&ps->mutex);
    free(ps);
}

static bool is_of(const struct entry *e, struct str identity)
{
    return str_eq((struct str){e->f.identity, e->f.n_identity}, identity);
}

static void put(struct prefix_store *ps, struct str identity, const int32_t *id, size_t n,
                struct buf *snapshot)
{
    for (size_t i = 0; i < ps->n;) {
        struct entry *e = &ps->v[i];
        size_t same = is_of(e, identity) ? prefix_common(e->f.id, e->f.n, id, n) : 0;
        if (same == n) {
            e->used = ++ps->calls;
            return;
        }
        if (same > 0 && same == e->f.n)
            drop(ps, i, true);
        else
            i++;
    }
    int32_t *copy = mem_array(n, sizeof *copy);
    struct entry *e = copy ? add(ps) : NULL;
    if (!e) {
        free(copy);
        return;
    }
    memcpy(copy, id, n * sizeof *copy);
    *e = (struct entry){.used = ++ps->calls, .snapshot = *snapshot};
    e->f.id = copy;
    e->f.n = n;
    e->f.n_identity = identity.n;
    memcpy(e->f.identity, identity.p, identity.n);
    ps->memory += snapshot->n;
    buf_init(snapshot, snapshot->max); /* it is the entry's now */
    keep_budgets(ps);
}

void prefix_store_put(struct prefix_store *ps, struct str identity, const int32_t *id, size_t n,
                      struct buf *snapshot)
{
    if (n && identity.n <= PREFIX_IDENTITY_MAX && !snapshot->failed) {
        pthread_mutex_lock(&ps->mutex);
        put(ps, identity, id, n, snapshot);
        pthread_mutex_unlock(&ps->mutex);
    }
    buf_release(snapshot);
}

/* The entry with the most tokens in common, more than `more_than`; ps->n: none. */
static size_t best_of(const struct prefix_store *ps, struct str identity, const int32_t *id,
                      size_t n, size_t more_than, size_t *len)
{
    size_t best = ps->n;
    *len = more_than;
    for (size_t i = 0; i < ps->n; i++) {
        const struct entry *e = &ps->v[i];
        size_t same = is_of(e, identity) ? prefix_common(e->f.id, e->f.n, id, n) : 0;
        if (same > *len) {
            *len = same;
            best = i;
        }
    }
    return best;
}

size_t prefix_store_get(struct prefix_store *ps, struct str identity, const int32_t *id, size_t n,
                        size_t more_than, struct buf *out)
{
    size_t len;
    struct err ignored;
    bool got = false;
    pthread_mutex_lock(&ps->mutex);
    size_t i = best_of(ps, identity, id, n, more_than, &len);
    if (i < ps->n) {
        struct entry *e = &ps->v[i];
        e->used = ++ps->calls;
        if (on_disk(e)) {
            got = prefix_disk_read(ps->folder, e->f.digest, out, &ignored) == OK;
            if (!got)
                drop(ps, i, true);
        } else {
            buf_addstr(out, buf_str(&e->snapshot));
            got = !out->failed;
        }
    }
    pthread_mutex_unlock(&ps->mutex);
    return got ? len : 0;
}

void prefix_store_forget(struct prefix_store *ps, struct str identity, const int32_t *id, size_t n,
                         size_t more_than)
{
    size_t len;
    pthread_mutex_lock(&ps->mutex);
    size_t i = best_of(ps, identity, id, n, more_than, &len);
    if (i < ps->n)
        drop(ps, i, true);
    pthread_mutex_unlock(&ps->mutex);
}

void prefix_store_size(struct prefix_store *ps, uint64_t *memory, uint64_t *disk, size_t *n)
{
    pthread_mutex_lock(&ps->mutex);
    *memory = ps->memory;
    *disk = ps->disk;
    *n = ps->n;
    pthread_mutex_unlock(&ps->mutex);
}
