#include "store/partial.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/show.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    PART_MIN = 4 << 20,
    PART_MAX = 64 << 20,
    PARTS_WANTED = 32,
    PARTS_CEILING = 1 << 24,
    WEEK_S = 7 * 86400
};

/* What a file of notes begins with; behind it, `done` of each part. Read by this machine only. */
struct note_head {
    char magic[16];
    uint64_t size, part_size;
};
static const char magic[16] = "hearth parts 1\n";

uint64_t partial_part_size(uint64_t size)
{
    uint64_t part = size / PARTS_WANTED;
    part = part < PART_MIN ? PART_MIN : part > PART_MAX ? PART_MAX : part;
    return part;
}

uint64_t partial_at(const struct partial *p, size_t i)
{
    return (uint64_t)i * p->part_size;
}

uint64_t partial_len(const struct partial *p, size_t i)
{
    uint64_t left = p->size - partial_at(p, i);
    return left < p->part_size ? left : p->part_size;
}

uint64_t partial_total(const struct partial *p)
{
    uint64_t total = 0;
    for (size_t i = 0; i < p->n; i++)
        total += p->done[i];
    return total;
}

static void names(struct buf *path, struct buf *note, const char *root, struct str digest)
{
    buf_printf(path, "%s/blobs/pull-%.*s", root, 64, digest.p + 7);
    buf_printf(note, "%s/blobs/pull-%.*s.parts", root, 64, digest.p + 7);
}

/* ---- notes ---- */

static enum status count_parts(struct partial *p, uint64_t part_size, struct err *err)
{
    uint64_t n = (p->size - 1) / part_size + 1;
    if (n > PARTS_CEILING)
        return err_set(err, ELIMIT, "a blob of %llu bytes has too many parts",
                       (unsigned long long)p->size);
    free(p->done);
    p->part_size = part_size;
    p->n = (size_t)n;
    p->done = mem_array(p->n, sizeof *p->done);
    return p->done ? OK : err_set(err, ENOMEMORY, "no memory for the parts of a blob");
}

/* Reads the notes of an earlier pull. false: there are none that fit. */
static bool read_notes(struct partial *p)
{
    struct note_head h;
    struct stat data, notes;
    if (pread(p->note_fd, &h, sizeof h, 0) != (ssize_t)sizeof h ||
        memcmp(h.magic, magic, sizeof magic) != 0 || h.size != p->size || h.part_size < PART_MIN)
        return false;
    if (fstat(p->fd, &data) != 0 || (uint64_t)data.st_size != p->size ||
        count_parts(p, h.part_size, NULL) != OK)
        return false;
    size_t bytes = p->n * sizeof *p->done;
    if (fstat(p->note_fd, &notes) != 0 || (uint64_t)notes.st_size != sizeof h + bytes ||
        pread(p->note_fd, p->done, bytes, sizeof h) != (ssize_t)bytes)
        return false;
    for (size_t i = 0; i < p->n; i++)
        if (p->done[i] > partial_len(p, i))
            return false;
    p->resumed = partial_total(p) > 0;
    return true;
}

static enum status cannot_write(const struct buf *path, struct err *err)
{
    return err_set(err, EIO, "cannot write '%s': %s", path->p, strerror(errno));
}

static bool write_at(int fd, const void *bytes, size_t n, uint64_t at)
{
    for (const char *c = bytes; n;) {
        ssize_t done = pwrite(fd, c, n, (off_t)at);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        c += done;
        n -= (size_t)done;
        at += (uint64_t)done;
    }
    return true;
}

enum status partial_reset(struct partial *p, uint64_t part_size, struct err *err)
{
    struct note_head h = {.size = p->size, .part_size = part_size};
    memcpy(h.magic, magic, sizeof magic);
    enum status s = count_parts(p, part_size, err);
    if (s != OK)
        return s;
    p->resumed = false;
    /* the notes go first: what is left of them must not speak of bytes that are gone */
    if (ftruncate(p->note_fd, 0) != 0 ||
        !write_at(p->note_fd, p->done, p->n * sizeof *p->done, sizeof h))
        return cannot_write(&p->note_path, err);
    if (ftruncate(p->fd, 0) != 0 || ftruncate(p->fd, (off_t)p->size) != 0)
        return cannot_write(&p->path, err);
    return write_at(p->note_fd, &h, sizeof h, 0) ? OK : cannot_write(&p->note_path, err);
}

/* ---- opening ---- */

/* Opens and locks the file that has the name. */
static enum status open_data(struct partial *p, bool *busy, struct err *err)
{
    struct stat open_one, named;
    for (;;) {
        enum status s = make_folders(p->path.p, err);
        if (s != OK)
            return s;
        p->fd = open(p->path.p, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
        if (p->fd < 0)
            return err_set(err, EIO, "cannot open '%s': %s", p->path.p, strerror(errno));
        if (flock(p->fd, LOCK_EX | LOCK_NB) != 0) {
            *busy = true;
            return OK;
        }
        if (fstat(p->fd, &open_one) == 0 && lstat(p->path.p, &named) == 0 &&
            open_one.st_ino == named.st_ino && open_one.st_dev == named.st_dev)
            return OK;
        close(p->fd); /* another one finished it, and the name is gone or a new file's */
    }
}

enum status partial_open(struct partial *p, struct store *s, struct str digest, uint64_t size,
                         bool *busy, struct err *err)
{
    *p = (struct partial){.fd = -1, .note_fd = -1, .size = size};
    *busy = false;
    buf_init(&p->path, PATH_BYTES);
    buf_init(&p->note_path, PATH_BYTES);
    names(&p->path, &p->note_path, s->root, digest);
    enum status st = buf_check(&p->note_path, "path of a blob", err);
    if (st == OK)
        st = open_data(p, busy, err);
    if (st == OK && !*busy) {
        p->note_fd = open(p->note_path.p, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
        if (p->note_fd < 0)
            st = err_set(err, EIO, "cannot open '%s': %s", p->note_path.p, strerror(errno));
        else if (!read_notes(p))
            st = partial_reset(p, partial_part_size(size), err);
    }
    if (st != OK || *busy)
        partial_close(p);
    return st;
}

void partial_close(struct partial *p)
{
    if (p->fd >= 0)
        close(p->fd);
    if (p->note_fd >= 0)
        close(p->note_fd);
    p->fd = p->note_fd = -1;
    free(p->done);
    p->done = NULL;
    buf_release(&p->path);
    buf_release(&p->note_path);
}

void partial_discard(struct partial *p)
{
    unlink(p->note_path.p);
    unlink(p->path.p);
}

/* ---- writing ---- */

enum status partial_write(struct partial *p, size_t i, const char *bytes, size_t n, struct err *err)
{
    if (n > partial_len(p, i) - p->done[i])
        hearth_bug("%zu bytes behind the end of a part", n);
    if (!write_at(p->fd, bytes, n, partial_at(p, i) + p->done[i]))
        return cannot_write(&p->path, err);
    p->done[i] += n;
    if (!write_at(p->note_fd, &p->done[i], sizeof *p->done,
                  sizeof(struct note_head) + i * sizeof *p->done))
        return cannot_write(&p->note_path, err);
    return OK;
}

enum status partial_finish(struct partial *p, struct store *s, struct str digest,
                           const atomic_int *cancel, struct err *err)
{
    char actual[72];
    uint64_t size;
    bool made;
    enum status st = digest_of_fd(p->fd, p->path.p, cancel, actual, &size, err);
    if (st == OK && (size != p->size || memcmp(actual + 7, digest.p + 7, 64) != 0))
        st = err_set(err, EFORMAT, "digest mismatch, expected %s, got %s", show(digest).s, actual);
    if (st == OK && fsync(p->fd) != 0)
        st = cannot_write(&p->path, err);
    if (st == OK)
        st = blob_place(s, p->path.p, actual, size, &made, err);
    if (st == OK)
        unlink(p->note_path.p);
    return st;
}

/* ---- from outside ---- */

uint64_t partial_peek(struct store *s, struct str digest)
{
    struct buf path, note, text;
    uint64_t total = 0;
    buf_init(&path, PATH_BYTES);
    buf_init(&note, PATH_BYTES);
    buf_init(&text, (size_t)PARTS_CEILING * 8 + sizeof(struct note_head));
    names(&path, &note, s->root, digest);
    if (!note.failed && file_read(note.p, &text, NULL) == OK)
        for (size_t at = sizeof(struct note_head); at + 8 <= text.n; at += 8) {
            uint64_t done;
            memcpy(&done, text.p + at, 8);
            total += done;
        }
    buf_release(&path);
    buf_release(&note);
    buf_release(&text);
    return total;
}

uint64_t partial_disk(struct store *s, struct str digest)
{
    struct buf path, note;
    struct stat st;
    uint64_t bytes = 0;
    buf_init(&path, PATH_BYTES);
    buf_init(&note, PATH_BYTES);
    names(&path, &note, s->root, digest);
    if (!path.failed && lstat(path.p, &st) == 0 && S_ISREG(st.st_mode))
        bytes = (uint64_t)st.st_blocks * 512;
    buf_release(&path);
    buf_release(&note);
    return bytes;
}

void partials_sweep(const char *root)
{
    struct buf path;
    buf_init(&path, PATH_BYTES);
    buf_printf(&path, "%s/blobs", root);
    DIR *d = path.failed ? NULL : opendir(path.p);
    time_t now = time(NULL);
    for (const struct dirent *e; d && (e = readdir(d));) {
        struct stat st;
        if (strncmp(e->d_name, "pull-", 5) != 0)
            continue;
        int fd = openat(dirfd(d), e->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_mtime < now - WEEK_S &&
            flock(fd, LOCK_EX | LOCK_NB) == 0)
            (void)unlinkat(dirfd(d), e->d_name, 0);
        if (fd >= 0)
            close(fd);
    }
    if (d)
        closedir(d);
    buf_release(&path);
}
