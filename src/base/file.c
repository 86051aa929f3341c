#include "base/file.h"
#include "base/map_watch.h"
#include "base/mem.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum status file_map_open(struct file_map *m, const char *path, struct err *err)
{
    *m = (struct file_map){(const unsigned char *)"", 0, NULL};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, errno == ENOENT ? ENOTFOUND : EIO, "cannot open '%s': %s", path,
                       strerror(errno));
    enum status s = OK;
    struct stat st;
    if (fstat(fd, &st) != 0) {
        s = err_set(err, EIO, "cannot stat '%s': %s", path, strerror(errno));
    } else if (!S_ISREG(st.st_mode)) {
        s = err_set(err, EFORMAT, "'%s' is not a regular file", path);
    } else if (st.st_size > 0) {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED)
            s = err_set(err, EIO, "cannot map '%s': %s", path, strerror(errno));
        else
            *m = (struct file_map){p, (size_t)st.st_size, map_watch_begin(p, (size_t)st.st_size)};
    }
    close(fd);
    return s;
}

void file_map_close(struct file_map *m)
{
    map_watch_end(m->watch);
    if (m->n)
        munmap((void *)(uintptr_t)m->p, m->n);
    *m = (struct file_map){(const unsigned char *)"", 0, NULL};
}

enum status file_read(const char *path, struct buf *out, struct err *err)
{
    FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "rbe");
    if (!f)
        return err_set(err, errno == ENOENT ? ENOTFOUND : EIO, "cannot open '%s': %s", path,
                       strerror(errno));
    char chunk[16384];
    size_t n;
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0 && !out->failed)
        buf_add(out, chunk, n);
    enum status s = buf_check(out, path, err);
    if (ferror(f))
        s = err_set(err, EIO, "cannot read '%s': %s", path, strerror(errno));
    if (f != stdin)
        fclose(f);
    return s;
}

bool file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

bool file_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* ---- writing ---- */

/* The process that name is a part file of base of; 0 when it is something else. */
static pid_t part_owner(const char *name, const char *base)
{
    size_t n = strlen(base);
    if (strncmp(name, base, n) != 0 || strncmp(name + n, ".part-", 6) != 0)
        return 0;
    const char *digits = name + n + 6;
    size_t count = strspn(digits, "0123456789");
    if (digits[0] == '0' || count < 1 || count > 9 || digits[count])
        return 0;
    return (pid_t)strtol(digits, NULL, 10);
}

/* Removes name when it is a regular file that nobody has locked: the process may be unknown here
 * only because it runs in another container, or on another machine. */
static void remove_unlocked(int dir, const char *name)
{
    struct stat st;
    int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && flock(fd, LOCK_SH | LOCK_NB) == 0)
        (void)unlinkat(dir, name, 0);
    close(fd);
}

/* What killed processes left of earlier attempts to write path. Best effort: no error. */
static void remove_stale_parts(const char *path)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    char *folder = slash ? mem_dup(path, (size_t)(base - path)) : mem_dup(".", 1);
    DIR *d = folder ? opendir(folder) : NULL;
    for (const struct dirent *e; d && (e = readdir(d));) {
        pid_t owner = part_owner(e->d_name, base);
        if (owner > 0 && kill(owner, 0) != 0 && errno == ESRCH)
            remove_unlocked(dirfd(d), e->d_name);
    }
    if (d)
        closedir(d);
    free(folder);
}

enum status file_writer_open(struct file_writer *w, const char *path, struct err *err)
{
    *w = (struct file_writer){0};
    w->path = mem_dup(path, strlen(path));
    struct buf part;
    buf_init(&part, 1 << 16);
    buf_printf(&part, "%s.part-%ld", path, (long)getpid());
    w->part = part.p; /* the buffer's memory is ours from here on */
    if (!w->path || part.failed) {
        file_writer_abort(w);
        return err_set(err, ENOMEMORY, "cannot write '%s': no memory for its name", path);
    }
    w->f = fopen(w->part, "wbe");
    if (!w->f) {
        enum status s = err_set(err, EIO, "cannot create '%s': %s", w->part, strerror(errno));
        file_writer_abort(w);
        return s;
    }
    /* held while the file is open, which ends with the process; some file systems know no locks */
    (void)flock(fileno(w->f), LOCK_EX | LOCK_NB);
    remove_stale_parts(path);
    return OK;
}

enum status file_writer_fd(struct file_writer *w, int fd, const char *name, struct err *err)
{
    *w = (struct file_writer){.path = mem_dup(name, strlen(name))};
    if (!w->path)
        return err_set(err, ENOMEMORY, "cannot write '%s': no memory for its name", name);
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    w->f = own >= 0 ? fdopen(own, "wb") : NULL;
    if (!w->f) {
        enum status s = err_set(err, EIO, "cannot write '%s': %s", name, strerror(errno));
        if (own >= 0)
            close(own);
        file_writer_abort(w);
        return s;
    }
    return OK;
}

/* Large files start on their way to the disk early, or the sync at the end waits for all of them.
 */
enum { FLUSH_BYTES = 32 << 20 };

static void writer_fail(struct file_writer *w)
{
    w->error = w->failed ? w->error : errno;
    w->failed = true;
}

void file_writer_put(struct file_writer *w, const void *p, size_t n)
{
    if (w->failed || !n)
        return;
    if (fwrite(p, 1, n, w->f) != n) {
        writer_fail(w);
        return;
    }
    w->put += n;
    if (w->put - w->flushed >= FLUSH_BYTES) {
        /* a hint: what it cannot start, fsync does */
        (void)sync_file_range(fileno(w->f), (off_t)w->flushed, (off_t)(w->put - w->flushed),
                              SYNC_FILE_RANGE_WRITE);
        w->flushed = w->put;
    }
}

enum status file_writer_commit(struct file_writer *w, struct err *err)
{
    if (!w->failed && (fflush(w->f) != 0 || (w->part && fsync(fileno(w->f)) != 0)))
        writer_fail(w);
    if (fclose(w->f) != 0)
        writer_fail(w);
    w->f = NULL;
    if (!w->failed && w->part && rename(w->part, w->path) != 0)
        writer_fail(w);
    enum status s = OK;
    if (!w->failed) {
        free(w->part);
        w->part = NULL;
    } else {
        s = err_set(err, EIO, "cannot write '%s': %s", w->path, strerror(w->error));
    }
    file_writer_abort(w);
    return s;
}

void file_writer_abort(struct file_writer *w)
{
    if (w->f)
        fclose(w->f);
    if (w->part)
        unlink(w->part);
    free(w->part);
    free(w->path);
    *w = (struct file_writer){0};
}
