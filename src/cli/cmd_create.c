/* hearth create: a model from a Modelfile. */
#include "cli/commands.h"
#include "cli/entry.h"
#include "cli/progress.h"
#include "base/file.h"
#include "base/mem.h"
#include "store/create.h"
#include <stdio.h>
#include <stdlib.h>

enum { MODELFILE_BYTES = 64 << 20 };

struct teller {
    struct progress bar;
    char last[256];
};

static void tell(void *ctx, const char *status, double fraction)
{
    struct teller *t = ctx;
    if (strcmp(status, t->last) != 0) {
        progress_end(&t->bar);
        t->bar = (struct progress){.what = t->last};
        snprintf(t->last, sizeof t->last, "%s", status);
        fprintf(stderr, "%s\n", status);
    }
    if (fraction >= 0)
        progress_update(&t->bar, fraction);
}

/* The folder of a path, "." when it has none. The caller frees. */
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == path)
        return mem_dup("/", 1);
    return slash ? mem_dup(path, (size_t)(slash - path)) : mem_dup(".", 1);
}

static enum status read_modelfile(const char *path, struct modelfile *f, struct err *err)
{
    struct buf text;
    buf_init(&text, MODELFILE_BYTES);
    enum status s = file_read(path, &text, err);
    if (s == OK && (s = modelfile_parse(f, buf_str(&text), err)) != OK)
        err_prefix(err, "%s", strcmp(path, "-") == 0 ? "standard input" : path);
    buf_release(&text);
    return s;
}

enum status cmd_create(const struct options *o, struct err *err)
{
    const char *path = o->file ? o->file : "Modelfile";
    struct modelfile f = {0};
    struct create_recipe r = {0};
    struct store *store = NULL;
    struct teller teller = {.bar.what = ""};
    struct create_progress progress = {tell, &teller};
    char *folder = folder_of(path);
    enum status s = folder ? OK : err_set(err, ENOMEMORY, "create: no memory");
    if (s == OK)
        s = read_modelfile(path, &f, err);
    if (s == OK)
        s = create_from_modelfile(&r, &f, folder, &f.arena, err);
    if (s == OK)
        s = open_store(&store, err);
    if (s == OK) {
        r.name = str_from(o->args[0]);
        r.threads = o->threads > 0 ? (int)o->threads : 0;
        if (o->quantize)
            r.quantize = str_from(o->quantize);
        s = create_model(store, &r, &progress, err);
        progress_end(&teller.bar);
    }
    store_close(store);
    modelfile_free(&f);
    free(folder);
    return s;
}
