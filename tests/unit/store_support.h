/* Stores made by hand in a folder of their own. */
#pragma once
#include "store/store.h"
#include "store/store_int.h"
#include "support.h"
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

struct fixture {
    char dir[128], root[160], ollama[160], shipped[160];
    struct store *s;
};

static inline void write_file(const char *path, const char *text)
{
    struct err err = {0};
    assert_ok(make_folders(path, &err));
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    assert_int_equal(fclose(f), 0);
}

/* seconds old */
static inline void set_age(const char *path, long seconds)
{
    struct timespec t[2] = {{time(NULL) - seconds, 0}, {time(NULL) - seconds, 0}};
    assert_int_equal(utimensat(AT_FDCWD, path, t, 0), 0);
}

static inline void age(const struct fixture *f, const char *root, const char *manifest,
                       long seconds)
{
    char path[1024];
    (void)f;
    snprintf(path, sizeof path, "%s/manifests/%s", root, manifest);
    set_age(path, seconds);
}

static inline void put_manifest_text(const char *root, const char *model, const char *tag,
                                     const char *text)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/manifests/%s/%s", root, model, tag);
    write_file(path, text);
}

/* A blob in a root, and its layer's JSON. */
static inline void add_layer(const char *root, const char *kind, const char *bytes,
                             struct buf *json)
{
    char digest[72], path[1024];
    struct err err = {0};
    assert_ok(digest_of(bytes, strlen(bytes), digest, &err));
    snprintf(path, sizeof path, "%s/blobs/sha256-%s", root, digest + 7);
    write_file(path, bytes);
    buf_printf(json,
               "{\"mediaType\":\"application/vnd.ollama.image.%s\",\"digest\":\"%s\","
               "\"size\":%zu}",
               kind, digest, strlen(bytes));
}

static inline void manifest_text(const char *root, const char *weights, const char *template_text,
                                 struct buf *text)
{
    buf_clear(text);
    buf_adds(text, "{\"schemaVersion\":2,\"layers\":[");
    add_layer(root, "model", weights, text);
    if (template_text) {
        buf_adds(text, ",");
        add_layer(root, "template", template_text, text);
    }
    buf_adds(text, "]}");
}

static inline void put_model(const struct fixture *f, const char *root, const char *model,
                             const char *tag, const char *weights, const char *template_text)
{
    struct buf text;
    (void)f;
    buf_init(&text, 1 << 16);
    manifest_text(root, weights, template_text, &text);
    put_manifest_text(root, model, tag, text.p);
    buf_release(&text);
}

static size_t files_counted;

static inline int count_one(const char *path, const struct stat *st, int type, struct FTW *w)
{
    (void)path;
    (void)st;
    (void)w;
    files_counted += type != FTW_D;
    return 0;
}

/* Files in ROOT/folder, on all levels. */
static inline size_t count_files(const char *root, const char *folder)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", root, folder);
    files_counted = 0;
    if (access(path, F_OK) == 0)
        assert_int_equal(nftw(path, count_one, 16, FTW_PHYS), 0);
    return files_counted;
}

static inline int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct err err = {0};
    assert_non_null(f);
    const char *tmp = getenv("TMPDIR");
    snprintf(f->dir, sizeof f->dir, "%s/store_XXXXXX", tmp && strlen(tmp) < 80 ? tmp : "/tmp");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->root, sizeof f->root, "%s/own", f->dir);
    snprintf(f->ollama, sizeof f->ollama, "%s/ollama", f->dir);
    snprintf(f->shipped, sizeof f->shipped, "%s/nano.gguf", f->dir);
    write_file(f->shipped, "what ships");
    set_age(f->shipped, -1000); /* lists begin with it */
    struct store_options o = {f->root, f->ollama, f->shipped};
    assert_ok(store_open(&f->s, &o, &err));
    *state = f;
    return 0;
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    char command[256];
    store_close(f->s);
    snprintf(command, sizeof command, "rm -rf '%s'", f->dir);
    int rc = system(command);
    free(f);
    return rc;
}
