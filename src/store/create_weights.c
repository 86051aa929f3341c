/* Files and folders that become layers of weights: each source ends as GGUF files, and each of
 * those as a layer by what its header says it is: a model, an adapter or a projector. */
#include "store/create_int.h"
#include "base/file.h"
#include "base/json.h"
#include "base/jsonw.h"
#include "base/mem.h"
#include "base/show.h"
#include "engine/quantize.h"
#include "format/gguf.h"
#include "store/info.h"
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum { COPY_CHUNK = 8 << 20, CONFIG_BYTES = 16 << 20, FILES_MAX = 4096 };

/* ---- GGUF files ---- */

bool file_is_gguf(const char *path)
{
    char magic[4] = "";
    FILE *f = fopen(path, "rbe");
    bool yes = f && fread(magic, 1, 4, f) == 4 && memcmp(magic, "GGUF", 4) == 0;
    if (f)
        fclose(f);
    return yes;
}

static enum status read_facts(const char *path, struct gguf_facts *out, bool *split,
                              struct err *err)
{
    struct gguf *g;
    int64_t parts;
    enum status s = gguf_open(&g, path, err);
    if (s != OK)
        return s;
    s = gguf_facts(g, out, err);
    if (s == OK)
        s = gguf_get_int(g, "split.count", &parts, 0, err);
    if (s == OK)
        *split = parts > 1;
    gguf_close(g);
    out->arch = STR(""); /* it pointed into the file */
    return s == OK ? OK : err_prefix(err, "'%s'", path);
}

enum status make_config(struct maker *m, const char *path, struct err *err)
{
    struct gguf *g;
    struct gguf_facts f;
    enum status s = gguf_open(&g, path, err);
    if (s != OK)
        return s;
    s = gguf_facts(g, &f, err);
    if (s == OK) {
        snprintf(m->family, sizeof m->family, "%s", show(f.arch).s);
        human_count((uint64_t)f.n_params, m->parameter_size, sizeof m->parameter_size);
        snprintf(m->file_type, sizeof m->file_type, "%s", f.type);
    }
    gguf_close(g);
    return s;
}

struct steps {
    struct maker *m;
    char what[128];
};

static void on_tensor(void *ctx, double fraction, const char *tensor)
{
    const struct steps *st = ctx;
    const struct create_progress *p = st->m->progress;
    (void)tensor;
    if (p && p->status)
        p->status(p->ctx, st->what, fraction);
}

/* A whole file under a name of its own becomes a layer. */
enum status make_adopted(struct maker *m, const char *part, enum layer_kind kind, struct err *err)
{
    char digest[72];
    uint64_t size;
    bool made;
    enum status s = kind == LAYER_MODEL ? make_config(m, part, err) : OK;
    if (s == OK)
        s = blob_adopt(m->s, part, digest, &size, &made, err);
    else
        unlink(part);
    return s == OK ? make_layer(m, kind, digest, size, made, err) : s;
}

/* in: a GGUF file or a Hugging Face folder; the result is a model. */
static enum status convert(struct maker *m, const char *in, const char *type, const char *what,
                           struct err *err)
{
    const struct recipe *recipe;
    struct steps steps = {.m = m};
    struct quantize_options q = {.progress = on_tensor, .progress_ctx = &steps};
    struct buf part;
    snprintf(steps.what, sizeof steps.what, "%s", what);
    make_say(m, "%s", what);
    buf_init(&part, PATH_BYTES);
    enum status s = recipe_find(type, &recipe, err);
    if (s == OK)
        s = part_path(m->s, &part, err);
    sweep_parts(m->s->root);
    if (s == OK)
        s = pool_new(&q.pool, m->r->threads, err);
    if (s == OK) {
        s = quantize_file(in, part.p, recipe, &q, NULL, err);
        pool_free(q.pool);
    }
    if (s == OK)
        s = make_cancelled(m, err);
    if (s == OK)
        s = make_adopted(m, part.p, LAYER_MODEL, err);
    else if (part.p)
        unlink(part.p);
    buf_release(&part);
    return s;
}

static void copy_bytes(struct gguf_writer *w, const struct tensor *t)
{
    const unsigned char *p = t->data;
    for (size_t at = 0; at < t->bytes && !gguf_writer_failed(w); at += COPY_CHUNK)
        gguf_write_data(w, p + at, t->bytes - at < COPY_CHUNK ? t->bytes - at : COPY_CHUNK);
}

/* The files of a split GGUF as one, which is all that a blob can be. */
static enum status join(struct maker *m, const char *path, enum layer_kind kind, struct err *err)
{
    struct gguf *g = NULL;
    struct gguf_writer *w = NULL;
    struct buf part;
    buf_init(&part, PATH_BYTES);
    enum status s = part_path(m->s, &part, err);
    sweep_parts(m->s->root);
    if (s == OK)
        s = gguf_open(&g, path, err);
    if (s == OK)
        s = gguf_writer_open(&w, part.p, err);
    if (s == OK) {
        for (size_t i = 0; i < gguf_n_kv(g); i++)
            if (!str_starts(gguf_kv_at(g, i)->key, STR("split.")))
                gguf_put_kv(w, gguf_kv_at(g, i));
        for (size_t i = 0; i < gguf_n_tensors(g); i++) {
            const struct tensor *t = gguf_tensor_at(g, i);
            gguf_put_tensor(w, t->name, t->type, t->n_dims, t->ne);
        }
        gguf_write_header(w);
        for (size_t i = 0; i < gguf_n_tensors(g); i++)
            copy_bytes(w, gguf_tensor_at(g, i));
        s = gguf_writer_commit(w, err);
    }
    gguf_close(g);
    if (s == OK)
        s = make_adopted(m, part.p, kind, err);
    buf_release(&part);
    return s;
}

/* digest: of a blob of ours that path is; .p NULL: path is anywhere. */
enum status make_from_gguf(struct maker *m, const char *path, struct str digest,
                           enum layer_kind expected, struct err *err)
{
    struct gguf_facts f;
    bool split = false, made = false;
    char text[72], quantize[64], what[128];
    uint64_t size;
    make_say(m, "validating GGUF model");
    enum status s = read_facts(path, &f, &split, err);
    if (s != OK)
        return s;
    if (expected != LAYER_OTHER && expected != f.kind) {
        if (f.kind != LAYER_MODEL || expected != LAYER_DRAFT)
            return err_set(err, EFORMAT, "'%s' is %s, expected %s", path,
                           f.kind == LAYER_ADAPTER     ? "an adapter"
                           : f.kind == LAYER_PROJECTOR ? "a projector"
                                                       : "a model",
                           expected == LAYER_ADAPTER ? "an adapter" : "a model");
        f.kind = expected;
    }
    snprintf(quantize, sizeof quantize, "%.*s", STR_ARG(m->r->quantize));
    if (f.kind == LAYER_MODEL && m->r->quantize.n && strcasecmp(quantize, f.type) != 0) {
        char name[64];
        snprintf(name, sizeof name, "%s", quantize);
        for (char *c = name; *c; c++)
            *c = (char)toupper((unsigned char)*c);
        snprintf(what, sizeof what, "quantizing %s model to %s", f.type, name);
        return convert(m, path, quantize, what, err);
    }
    if (split)
        return join(m, path, f.kind, err);
    s = f.kind == LAYER_MODEL ? make_config(m, path, err) : OK;
    if (s == OK && digest.p) {
        if (!blob_stat(path, &size))
            return err_set(err, ENOTFOUND, "blob %s not found", show(digest).s);
        snprintf(text, sizeof text, "sha256:%.*s", 64, digest.p + 7);
    } else if (s == OK) {
        s = blob_import(m->s, path, text, &size, &made, err);
    }
    return s == OK ? make_layer(m, f.kind, text, size, made, err) : s;
}

/* ---- Hugging Face folders ---- */

/* The sampling that the makers recommend; what they leave open stays open. */
static enum status take_generation_config(struct maker *m, const char *folder, struct err *err)
{
    static const char *const keys[][2] = {{"temperature", "temperature"},
                                          {"top_k", "top_k"},
                                          {"top_p", "top_p"},
                                          {"min_p", "min_p"},
                                          {"repetition_penalty", "repeat_penalty"}};
    struct buf path, text;
    struct jsonw w;
    json_t *o = NULL;
    buf_init(&path, PATH_BYTES);
    buf_init(&text, 1 << 16);
    buf_printf(&path, "%s/generation_config.json", folder);
    enum status s = buf_check(&path, "path", err);
    if (s == OK && file_exists(path.p))
        s = json_parse_file(&o, path.p, CONFIG_BYTES, err);
    buf_release(&path);
    if (s != OK || !json_is_object(o) || json_is_false(json_object_get(o, "do_sample"))) {
        json_decref(o);
        return s;
    }
    jsonw_init(&w, &text, 0);
    jsonw_obj(&w);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const json_t *v = json_object_get(o, keys[i][0]);
        if (json_is_integer(v))
            jsonw_kint(&w, keys[i][1], json_integer_value(v));
        else if (json_is_real(v))
            jsonw_knum(&w, keys[i][1], json_real_value(v));
    }
    jsonw_end(&w);
    json_decref(o);
    m->params = arena_str(&m->arena, buf_str(&text));
    buf_release(&text);
    return m->params.p ? OK : err_set(err, ENOMEMORY, "no memory for parameters");
}

/* bfloat16 stays what it is, all else becomes float16, as with Ollama. */
static enum status folder_type(const char *folder, char *out, size_t size, struct err *err)
{
    struct buf path;
    json_t *o = NULL;
    buf_init(&path, PATH_BYTES);
    buf_printf(&path, "%s/config.json", folder);
    enum status s = buf_check(&path, "path", err);
    if (s == OK)
        s = json_parse_file(&o, path.p, CONFIG_BYTES, err);
    buf_release(&path);
    const char *dtype = json_string_value(json_object_get(o, "torch_dtype"));
    if (!dtype)
        dtype = json_string_value(json_object_get(o, "dtype"));
    snprintf(out, size, "%s", dtype && strcmp(dtype, "bfloat16") == 0 ? "bf16" : "f16");
    json_decref(o);
    return s;
}

enum status make_from_folder(struct maker *m, const char *folder, struct err *err)
{
    char type[64];
    enum status s = folder_type(folder, type, sizeof type, err);
    if (s == OK && m->r->quantize.n)
        snprintf(type, sizeof type, "%.*s", STR_ARG(m->r->quantize));
    if (s == OK)
        s = take_generation_config(m, folder, err);
    return s == OK ? convert(m, folder, type, "converting model", err) : s;
}

bool folder_holds(const char *folder, const char *name)
{
    struct buf path;
    buf_init(&path, PATH_BYTES);
    buf_printf(&path, "%s/%s", folder, name);
    bool yes = !path.failed && file_exists(path.p);
    buf_release(&path);
    return yes;
}

/* "...-00002-of-00003.gguf": the number; 0: not of a split file. */
int gguf_split_number(struct str name)
{
    int k = 0, n = 0, used = 0;
    char tail[24] = "";
    if (name.n < 20)
        return 0;
    memcpy(tail, name.p + name.n - 20, 20);
    return sscanf(tail, "-%5d-of-%5d.gguf%n", &k, &n, &used) == 2 && used == 20 && k > 0 ? k : 0;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A folder with GGUF files and no config.json: each of them (of split ones, the first). */
static enum status add_gguf_folder(struct maker *m, const char *folder, struct err *err)
{
    char *names[FILES_MAX];
    size_t n = 0;
    struct buf path;
    enum status s = OK;
    DIR *d = opendir(folder);
    for (const struct dirent *e; d && s == OK && (e = readdir(d));) {
        struct str name = str_from(e->d_name);
        if (!str_ends(name, STR(".gguf")) || gguf_split_number(name) > 1)
            continue;
        if (n == FILES_MAX || !(names[n] = arena_dup(&m->arena, name.p, name.n)))
            s = err_set(err, ELIMIT, "'%s': more than %d GGUF files", folder, FILES_MAX);
        else
            n++;
    }
    if (d)
        closedir(d);
    if (s == OK && n == 0)
        return err_set(err, ENOTFOUND, "'%s': no config.json and no GGUF file", folder);
    qsort(names, n, sizeof *names, by_text);
    buf_init(&path, PATH_BYTES);
    for (size_t i = 0; s == OK && i < n; i++) {
        buf_clear(&path);
        buf_printf(&path, "%s/%s", folder, names[i]);
        s = buf_check(&path, "path", err);
        if (s == OK)
            s = make_from_gguf(m, path.p, (struct str){NULL, 0}, LAYER_OTHER, err);
    }
    buf_release(&path);
    return s;
}

enum status make_from_path(struct maker *m, const char *path, struct err *err)
{
    if (!file_is_dir(path)) {
        struct str p = str_from(path);
        if (file_is_gguf(path) || !str_ends(p, STR(".safetensors")))
            return make_from_gguf(m, path, (struct str){NULL, 0}, LAYER_OTHER, err);
        return err_set(err, EUSAGE, "'%s': expected its folder, with config.json", path);
    }
    return folder_holds(path, "config.json") ? make_from_folder(m, path, err)
                                             : add_gguf_folder(m, path, err);
}
