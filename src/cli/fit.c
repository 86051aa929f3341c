/* Mapped weights beyond memory are read from the disk again for every token: at least what does not
 * fit, at most all of them, by what the kernel drops. The prediction is the upper bound that the
 * former gives; the disk's speed is measured on the model's own file. */
#include "cli/fit.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/machine.h"
#include "base/mem.h"
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Reads spread over the file past the page cache, for 0.2 s at most; 0 where that is refused. */
static double disk_gb_s(const char *path)
{
    enum { BLOCK = 1 << 20, READS = 64 };
    struct stat st;
    double done = 0;
    int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
    void *block = fd >= 0 ? aligned_alloc(4096, BLOCK) : NULL;
    int64_t start = clock_ns();
    if (block && fstat(fd, &st) == 0)
        for (int i = 0; i < READS && clock_since(start) < 0.2; i++) {
            off_t at = st.st_size / READS * i / BLOCK * BLOCK;
            ssize_t n = pread(fd, block, BLOCK, at);
            if (n <= 0)
                break;
            done += (double)n;
        }
    double rate = done * 1e-9 / clock_since(start);
    free(block);
    if (fd >= 0)
        close(fd);
    return rate;
}

/* Files of a file system in memory need no more of it when they are mapped. */
static bool lies_in_memory(const char *path)
{
    struct statfs fs;
    return statfs(path, &fs) == 0 && (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

enum status warn_unless_it_fits(const struct loaded *l, const char *path, struct err *err)
{
    static const double usual_gb_s = 1;
    struct model_info info;
    uint64_t have;
    enum status s = memory_to_use(&have, err);
    if (s != OK || lies_in_memory(path))
        return s;
    model_info(l->model, &info);
    uint64_t kv = l->engine ? engine_kv_memory(l->engine) : 0, need = info.weight_bytes + kv;
    if (need <= have)
        return OK;
    double missing = (double)(need - have), token = (double)model_decode_bytes(l->model);
    double rate = file_is_dir(path) ? 0 : disk_gb_s(path);
    bool measured = rate > 0;
    rate = measured ? rate : usual_gb_s;
    missing = missing < token ? missing : token;
    log_warn("'%s' takes %.2f GB of memory (weights %.2f, KV cache %.2f), %.2f are available: "
             "weights will be read from disk again and again; at %.2f GB/s (%s) expect less than "
             "%.2g tokens a second",
             path, (double)need * 1e-9, (double)info.weight_bytes * 1e-9, (double)kv * 1e-9,
             (double)have * 1e-9, rate, measured ? "measured" : "a guess", rate * 1e9 / missing);
    return OK;
}
