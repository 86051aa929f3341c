/* Blobs: files named after the SHA-256 of their bytes. They are written under a name of their own
 * ("new-PID-N", locked while open) and renamed when they are whole and on the disk; what a killed
 * process left of that kind is swept away by the next one that writes. */
#include "store/store_int.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/show.h"
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DIGEST_CHARS = 71, COPY_BYTES = 1 << 20 };

/* ---- digests ---- */

bool digest_valid(struct str d)
{
    if (d.n != DIGEST_CHARS || memcmp(d.p, "sha256", 6) != 0 || (d.p[6] != ':' && d.p[6] != '-'))
        return false;
    for (size_t i = 7; i < d.n; i++)
        if (!((d.p[i] >= '0' && d.p[i] <= '9') || (d.p[i] >= 'a' && d.p[i] <= 'f')))
            return false;
    return true;
}

static EVP_MD_CTX *hash_begin(void)
{
    EVP_MD_CTX *h = EVP_MD_CTX_new();
    if (h && EVP_DigestInit_ex(h, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(h);
        h = NULL;
    }
    return h;
}

static bool hash_end(EVP_MD_CTX *h, char *out)
{
    unsigned char md[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (EVP_DigestFinal_ex(h, md, &n) != 1 || n != HASH_BYTES)
        return false;
    memcpy(out, "sha256:", 8);
    for (unsigned i = 0; i < n; i++)
        snprintf(out + 7 + 2 * i, 3, "%02x", md[i]);
    return true;
}

static enum status no_hash(struct err *err)
{
    return err_set(err, EFAIL, "SHA-256 cannot be computed here");
}

enum status digest_of(const void *p, size_t n, char *out, struct err *err)
{
    EVP_MD_CTX *h = hash_begin();
    bool ok = h && EVP_DigestUpdate(h, p, n) == 1 && hash_end(h, out);
    EVP_MD_CTX_free(h);
    return ok ? OK : no_hash(err);
}

/* ---- where they are ---- */

void blob_path(struct buf *out, const char *root, struct str digest)
{
    buf_printf(out, "%s/blobs/sha256-%.*s", root, (int)(digest.n - 7), digest.p + 7);
}

bool blob_stat(const char *path, uint64_t *size)
{
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
        return false;
    *size = (uint64_t)st.st_size;
    return true;
}

static enum status check_digest(struct str digest, struct err *err)
{
    return digest_valid(digest) ? OK
                                : err_set(err, EUSAGE,
                                          "digest '%s', expected sha256: and 64 lower-case "
                                          "hexadecimal digits",
                                          show(digest).s);
}

enum status store_blob_path(struct store *s, struct str digest, char **path, struct err *err)
{
    struct buf b;
    *path = NULL;
    enum status st = check_digest(digest, err);
    if (st != OK)
        return st;
    buf_init(&b, PATH_BYTES);
    blob_path(&b, s->root, digest);
    st = buf_check(&b, "path of a blob", err);
    if (st == OK)
        *path = b.p;
    else
        buf_release(&b);
    return st;
}

enum status store_blob_find(struct store *s, struct str digest, char **path, uint64_t *size,
                            struct err *err)
{
    struct buf b;
    uint64_t n;
    *path = NULL;
    enum status st = check_digest(digest, err);
    if (st != OK)
        return st;
    buf_init(&b, PATH_BYTES);
    for (int i = 0; i < ROOT_COUNT; i++) {
        if (!store_root(s, i))
            continue;
        buf_clear(&b);
        blob_path(&b, store_root(s, i), digest);
        if (!b.failed && blob_stat(b.p, &n)) {
            *path = b.p;
            if (size)
                *size = n;
            return OK;
        }
    }
    buf_release(&b);
    return err_set(err, ENOTFOUND, "blob %s not found", show(digest).s);
}

/* ---- half-written files ---- */

/* The process that made "new-PID-...": 0 when it is no such name. */
static pid_t part_owner(const char *name)
{
    if (strncmp(name, "new-", 4) != 0)
        return 0;
    size_t digits = strspn(name + 4, "0123456789");
    if (digits < 1 || digits > 9 || name[4] == '0' || name[4 + digits] != '-')
        return 0;
    return (pid_t)strtol(name + 4, NULL, 10);
}

/* Removes an entry of a dead process unless somebody (in another container, where processes have
 * other numbers) holds it open. */
static void sweep_one(int dir, const char *name)
{
    struct stat st;
    int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && flock(fd, LOCK_EX | LOCK_NB) == 0)
        (void)unlinkat(dir, name, 0);
    close(fd);
}

/* A folder that create assembled from links: a level or two of them. */
static void remove_tree(int dir, const char *name, int depth)
{
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    for (const struct dirent *e; d && (e = readdir(d));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (unlinkat(fd, e->d_name, 0) != 0 && depth > 0)
            remove_tree(fd, e->d_name, depth - 1);
    }
    if (d)
        closedir(d);
    else if (fd >= 0)
        close(fd);
    (void)unlinkat(dir, name, AT_REMOVEDIR);
}

void part_remove(const char *path)
{
    if (unlink(path) != 0)
        remove_tree(AT_FDCWD, path, PART_DEPTH);
}

static void sweep_folder(const char *root, const char *folder)
{
    struct buf path;
    buf_init(&path, PATH_BYTES);
    buf_printf(&path, "%s/%s", root, folder);
    DIR *d = path.failed ? NULL : opendir(path.p);
    for (const struct dirent *e; d && (e = readdir(d));) {
        struct stat st;
        pid_t owner = part_owner(e->d_name);
        if (owner <= 0 || kill(owner, 0) == 0 || errno != ESRCH)
            continue;
        if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        if (S_ISDIR(st.st_mode))
            remove_tree(dirfd(d), e->d_name, PART_DEPTH);
        else
            sweep_one(dirfd(d), e->d_name);
    }
    if (d)
        closedir(d);
    buf_release(&path);
}

void sweep_parts(const char *root)
{
    sweep_folder(root, "blobs");
    sweep_folder(root, "manifests");
}

enum status part_path_in(struct store *s, const char *folder, struct buf *out, struct err *err)
{
    static atomic_uint counter;
    buf_clear(out);
    buf_printf(out, "%s/%s/new-%ld-%u", s->root, folder, (long)getpid(),
               atomic_fetch_add(&counter, 1u));
    enum status st = buf_check(out, "path of a blob", err);
    return st == OK ? make_folders(out->p, err) : st;
}

enum status part_path(struct store *s, struct buf *out, struct err *err)
{
    return part_path_in(s, "blobs", out, err);
}

/* ---- writing ---- */

struct blob_writer {
    struct store *store;
    int fd;
    struct buf part; /* its name until it is whole */
    EVP_MD_CTX *hash;
    uint64_t size;
    bool failed;
};

static enum status writer_new(struct store *s, struct blob_writer **out, struct err *err)
{
    struct blob_writer *w = mem_array(1, sizeof *w);
    *out = NULL;
    if (!w)
        return err_set(err, ENOMEMORY, "no memory for a blob");
    w->store = s;
    w->fd = -1;
    buf_init(&w->part, PATH_BYTES);
    w->hash = hash_begin();
    enum status st = w->hash ? part_path(s, &w->part, err) : no_hash(err);
    sweep_parts(s->root);
    if (st == OK) {
        w->fd = open(w->part.p, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
        if (w->fd < 0)
            st = err_set(err, EIO, "cannot create '%s': %s", w->part.p, strerror(errno));
        else
            (void)flock(w->fd, LOCK_EX | LOCK_NB);
    }
    if (st != OK) {
        if (w->fd < 0)
            buf_release(&w->part); /* not ours to remove */
        blob_abort(w);
        return st;
    }
    *out = w;
    return OK;
}

enum status blob_begin(struct store *s, struct blob_writer **out, struct err *err)
{
    return writer_new(s, out, err);
}

enum status blob_write(struct blob_writer *w, const void *p, size_t n, struct err *err)
{
    if (EVP_DigestUpdate(w->hash, p, n) != 1) {
        w->failed = true;
        return no_hash(err);
    }
    for (const char *c = p; n;) {
        ssize_t done = write(w->fd, c, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0) {
            w->failed = true;
            return err_set(err, EIO, "cannot write '%s': %s", w->part.p, strerror(errno));
        }
        c += done;
        n -= (size_t)done;
        w->size += (uint64_t)done;
    }
    return OK;
}

void blob_abort(struct blob_writer *w)
{
    if (!w)
        return;
    if (w->part.p)
        unlink(w->part.p);
    if (w->fd >= 0)
        close(w->fd);
    buf_release(&w->part);
    EVP_MD_CTX_free(w->hash);
    free(w);
}

enum status blob_place(struct store *s, const char *part, const char *digest, uint64_t size,
                       bool *made, struct err *err)
{
    uint64_t there;
    char *path;
    enum status st = store_blob_path(s, str_from(digest), &path, err);
    if (st != OK)
        return st;
    /* one of another length is what a crash of the machine or a stranger left: replaced */
    *made = !blob_stat(path, &there) || there != size;
    if (!*made)
        unlink(part);
    else if (rename(part, path) != 0)
        st = err_set(err, EIO, "cannot rename '%s' to '%s': %s", part, path, strerror(errno));
    else
        st = sync_folder_of(path, err);
    free(path);
    return st;
}

enum status blob_commit(struct blob_writer *w, struct str expected, char *digest, struct err *err)
{
    char actual[DIGEST_CHARS + 1];
    enum status st = OK;
    bool made;
    if (w->failed)
        st = err_set(err, EIO, "cannot write '%s'", w->part.p);
    else if (!hash_end(w->hash, actual))
        st = no_hash(err);
    else if (expected.p && (expected.n != DIGEST_CHARS || memcmp(expected.p + 7, actual + 7, 64)))
        st =
            err_set(err, EFORMAT, "digest mismatch, expected %s, got %s", show(expected).s, actual);
    else if (fsync(w->fd) != 0)
        st = err_set(err, EIO, "cannot write '%s': %s", w->part.p, strerror(errno));
    if (st == OK)
        st = blob_place(w->store, w->part.p, actual, w->size, &made, err);
    if (st == OK) {
        buf_release(&w->part);
        if (digest)
            memcpy(digest, actual, sizeof actual);
    }
    blob_abort(w);
    return st;
}

/* ---- files that become blobs ---- */

enum status digest_of_fd(int fd, const char *path, const atomic_int *cancel, char *digest,
                         uint64_t *size, struct err *err)
{
    EVP_MD_CTX *h = hash_begin();
    char *chunk = malloc(COPY_BYTES);
    enum status st = OK;
    off_t at = 0;
    if (!h || !chunk)
        st = no_hash(err);
    while (st == OK) {
        if (cancel && atomic_load(cancel)) {
            st = err_set(err, ECANCEL, "stopped");
            break;
        }
        ssize_t n = pread(fd, chunk, COPY_BYTES, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            st = err_set(err, EIO, "cannot read '%s': %s", path, strerror(errno));
        if (n <= 0)
            break;
        at += n;
        if (EVP_DigestUpdate(h, chunk, (size_t)n) != 1)
            st = no_hash(err);
    }
    if (st == OK && !hash_end(h, digest))
        st = no_hash(err);
    *size = (uint64_t)at;
    EVP_MD_CTX_free(h);
    free(chunk);
    return st;
}

static bool unchanged(const struct stat *a, const struct stat *b)
{
    return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

enum status blob_adopt(struct store *s, const char *part, char *digest, uint64_t *size, bool *made,
                       struct err *err)
{
    struct stat before, after;
    int fd = open(part, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &before) != 0) {
        enum status bad = err_set(err, EIO, "cannot open '%s': %s", part, strerror(errno));
        if (fd >= 0)
            close(fd);
        return bad;
    }
    (void)flock(fd, LOCK_EX | LOCK_NB);
    enum status st = digest_of_fd(fd, part, NULL, digest, size, err);
    if (st == OK && fsync(fd) != 0)
        st = err_set(err, EIO, "cannot write '%s': %s", part, strerror(errno));
    /* a file with a second name can be written to by whoever owns the first */
    if (st == OK && (fstat(fd, &after) != 0 || !unchanged(&before, &after)))
        st = err_set(err, EIO, "'%s' was changed while it was read", part);
    if (st == OK)
        st = blob_place(s, part, digest, *size, made, err);
    close(fd);
    if (st != OK)
        unlink(part);
    return st;
}

static enum status copy_into(struct blob_writer *w, int from, const char *path, struct err *err)
{
    char *chunk = malloc(COPY_BYTES);
    enum status st = chunk ? OK : err_set(err, ENOMEMORY, "no memory to copy '%s'", path);
    off_t at = 0;
    while (st == OK) {
        ssize_t n = pread(from, chunk, COPY_BYTES, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            st = err_set(err, EIO, "cannot read '%s': %s", path, strerror(errno));
        if (n <= 0)
            break;
        at += n;
        st = blob_write(w, chunk, (size_t)n, err);
    }
    free(chunk);
    return st;
}

/* A second name for the open file. false: the file system, or the file's owner, does not allow it.
 */
static bool link_into(struct store *s, int from, char *digest, uint64_t *size, bool *made,
                      enum status *st, struct err *err)
{
    struct buf part;
    char self[64];
    bool linked = false;
    buf_init(&part, PATH_BYTES);
    snprintf(self, sizeof self, "/proc/self/fd/%d", from);
    *st = part_path(s, &part, err);
    if (*st == OK)
        linked = linkat(AT_FDCWD, self, AT_FDCWD, part.p, AT_SYMLINK_FOLLOW) == 0;
    if (linked)
        *st = blob_adopt(s, part.p, digest, size, made, err);
    buf_release(&part);
    return linked;
}

/* Shared blocks, but a file of its own: the best there is, where the file system can. */
static bool clone_into(struct blob_writer *w, int from)
{
    return ioctl(w->fd, FICLONE, from) == 0;
}

/* The writer's file, cloned or copied, becomes a blob. */
static enum status adopt_writer(struct blob_writer *w, char *digest, uint64_t *size, bool *made,
                                struct err *err)
{
    enum status st = blob_adopt(w->store, w->part.p, digest, size, made, err);
    buf_release(&w->part); /* gone in any case */
    blob_abort(w);
    return st;
}

static enum status import_fd(struct store *s, int fd, const char *path, char *digest,
                             uint64_t *size, bool *made, struct err *err)
{
    struct blob_writer *w;
    enum status st = writer_new(s, &w, err);
    if (st != OK)
        return st;
    if (clone_into(w, fd))
        return adopt_writer(w, digest, size, made, err);
    if (link_into(s, fd, digest, size, made, &st, err) || st != OK) {
        blob_abort(w);
        return st;
    }
    st = copy_into(w, fd, path, err);
    if (st == OK)
        return adopt_writer(w, digest, size, made, err);
    blob_abort(w);
    return st;
}

enum status blob_import(struct store *s, const char *path, char *digest, uint64_t *size, bool *made,
                        struct err *err)
{
    struct stat st;
    enum status r;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, errno == ENOENT ? ENOTFOUND : EIO, "cannot open '%s': %s", path,
                       strerror(errno));
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        r = err_set(err, EFORMAT, "'%s' is not a regular file", path);
    else
        r = import_fd(s, fd, path, digest, size, made, err);
    close(fd);
    return r;
}

enum status store_import_file(struct store *s, const char *path, char *digest, uint64_t *size,
                              struct err *err)
{
    uint64_t own;
    bool made;
    char own_digest[DIGEST_CHARS + 1];
    return blob_import(s, path, digest ? digest : own_digest, size ? size : &own, &made, err);
}

enum status blob_put(struct store *s, struct str bytes, char *digest, bool *made, struct err *err)
{
    struct blob_writer *w;
    char *path;
    uint64_t size;
    enum status st = digest_of(bytes.p, bytes.n, digest, err);
    if (st == OK)
        st = store_blob_path(s, str_from(digest), &path, err);
    if (st != OK)
        return st;
    *made = !blob_stat(path, &size) || size != bytes.n;
    free(path);
    if (!*made)
        return OK;
    st = blob_begin(s, &w, err);
    if (st != OK)
        return st;
    st = blob_write(w, bytes.p, bytes.n, err);
    if (st == OK)
        return blob_commit(w, (struct str){NULL, 0}, digest, err);
    blob_abort(w);
    return st;
}
