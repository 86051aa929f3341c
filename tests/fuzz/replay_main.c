/* Runs a fuzz target over every file of the folders (or files) given: the committed corpus as a
 * plain test, without libFuzzer. */
#include "base/file.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int replay(const char *path)
{
    struct buf text;
    struct err err;
    buf_init(&text, 64 << 20);
    if (file_read(path, &text, &err) != OK) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    /* an exact copy, so that a sanitizer sees a read past the end */
    uint8_t *copy = malloc(text.n ? text.n : 1);
    if (!copy)
        return 1;
    if (text.n)
        memcpy(copy, text.p, text.n);
    LLVMFuzzerTestOneInput(copy, text.n);
    free(copy);
    buf_release(&text);
    return 0;
}

int main(int argc, char **argv)
{
    int files = 0, failed = 0;
    for (int i = 1; i < argc; i++) {
        DIR *d = opendir(argv[i]);
        if (!d) {
            failed += replay(argv[i]);
            files++;
            continue;
        }
        for (struct dirent *e; (e = readdir(d));) {
            char path[4096];
            if (e->d_name[0] == '.')
                continue;
            snprintf(path, sizeof path, "%s/%s", argv[i], e->d_name);
            failed += replay(path);
            files++;
        }
        closedir(d);
    }
    printf("%d inputs replayed\n", files);
    return files == 0 || failed;
}
