/* bench --shape: a model that was not downloaded. Its file lies in memory (memfd_create) and goes
 * with the process, so nothing is left behind and the disk is not touched. */
#include "base/mem.h"
#include "cli/bench.h"
#include "base/machine.h"
#include "engine/synth.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static void on_tensor(void *ctx, double fraction, const char *tensor)
{
    (void)tensor;
    progress_update(ctx, fraction);
}

static enum status find(const char *text, const struct synth_shape **shape,
                        const struct recipe **recipe, struct err *err)
{
    const char *colon = strrchr(text, ':');
    char *name = mem_dup(text, colon ? (size_t)(colon - text) : strlen(text));
    if (!name)
        return err_set(err, ENOMEMORY, "--shape: no memory");
    enum status s = synth_find(name, shape, err);
    free(name);
    if (s == OK)
        s = recipe_find(colon ? colon + 1 : "q4_0", recipe, err);
    return s == OK ? OK : err_prefix(err, "--shape");
}

enum status bench_shape(const char *text, int *fd, char *path, size_t cap, struct err *err)
{
    const struct synth_shape *shape;
    const struct recipe *recipe;
    struct progress bar = {.what = "making weights"};
    size_t bytes;
    uint64_t have;
    *fd = -1;
    enum status s = find(text, &shape, &recipe, err);
    if (s == OK)
        s = synth_bytes(shape, recipe, &bytes, err);
    if (s == OK)
        s = memory_to_use(&have, err);
    if (s != OK)
        return s;
    if (bytes > have)
        return err_set(err, ELIMIT,
                       "--shape: %s as %s has %.2f GB of weights, expected at most the %.2f GB of "
                       "memory that are available",
                       shape->name, recipe->name, (double)bytes * 1e-9, (double)have * 1e-9);
    *fd = memfd_create("hearth-bench", MFD_CLOEXEC);
    if (*fd < 0)
        return err_set(err, EIO, "--shape: no file in memory: %s", strerror(errno));
    s = synth_write_fd(shape, *fd, recipe, 1, on_tensor, &bar, err);
    progress_end(&bar);
    if (s != OK) {
        close(*fd);
        *fd = -1;
        return s;
    }
    snprintf(path, cap, "/proc/self/fd/%d", *fd);
    return OK;
}
