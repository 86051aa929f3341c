/* A folder of its own for targets that read files; it goes when the program ends. */
#pragma once
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char scratch_folder[128];

static void scratch_empty(const char *folder)
{
    char path[512];
    DIR *d = opendir(folder);
    for (const struct dirent *e; d && (e = readdir(d));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (snprintf(path, sizeof path, "%s/%s", folder, e->d_name) < (int)sizeof path &&
            unlink(path) != 0) {
            scratch_empty(path);
            rmdir(path);
        }
    }
    if (d)
        closedir(d);
}

static void scratch_remove(void)
{
    scratch_empty(scratch_folder);
    rmdir(scratch_folder);
}

static inline const char *scratch(void)
{
    const char *tmp = getenv("TMPDIR");
    if (*scratch_folder)
        return scratch_folder;
    snprintf(scratch_folder, sizeof scratch_folder, "%s/fuzz_XXXXXX",
             tmp && strlen(tmp) < 80 ? tmp : "/tmp");
    if (!mkdtemp(scratch_folder) || atexit(scratch_remove) != 0)
        abort();
    return scratch_folder;
}

static inline void scratch_write(const char *path, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(bytes, 1, n, f) != n || fclose(f) != 0)
        abort();
}
