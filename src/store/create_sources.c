/* Where a recipe's weights come from: another model, paths, uploaded blobs, adapters. */
#include "store/create_int.h"
#include "base/file.h"
#include "base/home.h"
#include "base/show.h"
#include "engine/engine.h"
#include "engine/recipe.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { NAME_BYTES = 255 };

/* ---- blobs under file names, as clients upload them ---- */

/* Relative, without steps up, of plain characters. */
static bool safe_name(struct str name)
{
    size_t begin = 0;
    if (name.n == 0 || name.n > NAME_BYTES)
        return false;
    for (size_t i = 0; i <= name.n; i++) {
        if (i < name.n && name.p[i] != '/') {
            if ((unsigned char)name.p[i] < ' ' || name.p[i] == '\\')
                return false;
            continue;
        }
        struct str part = str_slice(name, begin, i);
        if (part.n == 0 || str_is(part, ".") || str_is(part, ".."))
            return false;
        begin = i + 1;
    }
    return true;
}

static enum status own_path(struct maker *m, const struct create_file *f, char **path,
                            struct err *err)
{
    *path = NULL;
    if (!safe_name(f->name))
        return err_set(err, EUSAGE, "file name '%s', expected one without steps up",
                       show(f->name).s);
    enum status s = store_own_blob(m->s, f->digest, err);
    return s == OK ? store_blob_path(m->s, f->digest, path, err) : s;
}

/* FOLDER/name as a link to the blob. */
static enum status link_file(const char *folder, const struct create_file *f, const char *blob,
                             struct err *err)
{
    struct buf path;
    char *absolute = realpath(blob, NULL);
    buf_init(&path, PATH_BYTES);
    buf_printf(&path, "%s/%.*s", folder, STR_ARG(f->name));
    enum status s = buf_check(&path, "path", err);
    if (s == OK)
        s = make_folders(path.p, err);
    if (s == OK && (!absolute || symlink(absolute, path.p) != 0))
        s = err_set(err, EIO, "cannot link '%s' to '%s': %s", path.p, blob, strerror(errno));
    free(absolute);
    buf_release(&path);
    return s;
}

/* The uploaded files in a folder of links that is named as the model, for readers of folders. */
static enum status assemble(struct maker *m, const struct create_file *files, size_t n,
                            struct buf *part, struct buf *folder, struct err *err)
{
    struct model_name name;
    enum status s = name_parse(&name, m->r->name, err);
    if (s == OK)
        s = part_path(m->s, part, err);
    if (s != OK)
        return s;
    buf_printf(folder, "%s/%s", part->p, name.model);
    for (size_t i = 0; s == OK && i < n; i++) {
        char *blob;
        s = own_path(m, &files[i], &blob, err);
        if (s == OK)
            s = link_file(folder->p, &files[i], blob, err);
        free(blob);
    }
    return s;
}

static enum status add_from_folder(struct maker *m, struct str gguf, struct err *err)
{
    struct buf part, folder;
    buf_init(&part, PATH_BYTES);
    buf_init(&folder, PATH_BYTES);
    enum status s = assemble(m, m->r->files, m->r->n_files, &part, &folder, err);
    if (s == OK && gguf.p) {
        buf_printf(&folder, "/%.*s", STR_ARG(gguf));
        s = buf_check(&folder, "path", err);
        if (s == OK)
            s = make_from_gguf(m, folder.p, (struct str){NULL, 0}, LAYER_OTHER, err);
    } else if (s == OK && folder_holds(folder.p, "config.json")) {
        s = make_from_folder(m, folder.p, err);
    } else if (s == OK) {
        s = err_set(err, EUSAGE, "files: no GGUF file among them, and no config.json");
    }
    if (part.n)
        part_remove(part.p);
    buf_release(&part);
    buf_release(&folder);
    return s;
}

static enum status add_files(struct maker *m, struct err *err)
{
    const struct create_recipe *r = m->r;
    enum status s = OK;
    bool any = false;
    for (size_t i = 0; s == OK && i < r->n_files; i++) {
        const struct create_file *f = &r->files[i];
        char *path;
        s = own_path(m, f, &path, err);
        if (s == OK && file_is_gguf(path)) {
            int k = gguf_split_number(f->name);
            any = true;
            if (k == 0)
                s = make_from_gguf(m, path, f->digest, LAYER_OTHER, err);
            else if (k == 1)
                s = add_from_folder(m, f->name, err);
        }
        free(path);
    }
    return s == OK && !any ? add_from_folder(m, (struct str){NULL, 0}, err) : s;
}

/* ---- another model ---- */

static enum status add_base(struct maker *m, struct err *err)
{
    enum status s = store_find(m->s, m->r->from, &m->base, err);
    for (size_t i = 0; s == OK && i < m->base->n_layers; i++) {
        const struct store_layer *l = &m->base->layers[i];
        uint64_t size;
        char *own;
        if (l->kind == LAYER_MODEL && (l->digest.n == 0 || m->r->quantize.n)) {
            s = make_from_gguf(m, l->path, (struct str){NULL, 0}, LAYER_MODEL, err);
            continue;
        }
        if (l->kind != LAYER_MODEL && l->kind != LAYER_PROJECTOR && l->kind != LAYER_ADAPTER &&
            l->kind != LAYER_DRAFT)
            continue;
        s = store_blob_path(m->s, l->digest, &own, err);
        bool made = s == OK && !blob_stat(own, &size);
        free(own);
        if (s == OK && l->kind == LAYER_MODEL)
            s = make_config(m, l->path, err);
        if (s == OK)
            s = store_own_blob(m->s, l->digest, err);
        if (s == OK)
            s = make_layer(m, l->kind, l->digest.p, l->size, made, err);
    }
    return s;
}

/* ---- all of them ---- */

/* "~/x", "x" and "/x" as a path; relative ones are the recipe's folder's. */
static enum status full_path(const struct maker *m, struct str text, struct buf *out,
                             struct err *err)
{
    buf_clear(out);
    if (memchr(text.p, 0, text.n))
        return err_set(err, EUSAGE, "path '%s' has a zero byte", show(text).s);
    if (str_is(text, "~") || str_starts(text, STR("~/"))) {
        char *home = user_home("");
        buf_adds(out, home ? home : "");
        buf_addstr(out, str_slice(text, 1, text.n));
        free(home);
    } else if (text.p[0] != '/' && *m->r->folder) {
        buf_printf(out, "%s/%.*s", m->r->folder, STR_ARG(text));
    } else {
        buf_addstr(out, text);
    }
    return buf_check(out, "path", err);
}

static enum status add_from(struct maker *m, struct str from, bool first, struct buf *path,
                            struct err *err)
{
    enum status s = m->r->folder ? full_path(m, from, path, err) : OK;
    if (s == OK && m->r->folder && file_exists(path->p))
        return make_from_path(m, path->p, err);
    if (s == OK && first)
        s = add_base(m, err);
    else if (s == OK)
        s = err_set(err, ENOTFOUND, "'%s': no such file or folder", show(from).s);
    bool like_path =
        from.p[0] == '/' || from.p[0] == '.' || from.p[0] == '~' || str_ends(from, STR(".gguf"));
    if ((s == ENOTFOUND || s == EUSAGE) && first && m->r->folder && !m->base && like_path)
        s = err_set(err, ENOTFOUND, "'%s': no such file or folder", path->p);
    return s;
}

/* ---- adapters ---- */

/* PEFT's format, a folder or its safetensors file: written as GGUF for the model that it adapts. */
static enum status add_peft(struct maker *m, const char *path, struct err *err)
{
    const struct model_options mo = MODEL_OPTIONS_INIT;
    struct model *base = NULL;
    struct lora *lora = NULL;
    struct buf part;
    char *weights = NULL;
    enum status s = EUSAGE;
    make_say(m, "converting adapter");
    buf_init(&part, PATH_BYTES);
    for (size_t i = 0; i < m->n && !weights; i++)
        if (m->layers[i].kind == LAYER_MODEL)
            s = store_blob_path(m->s, m->layers[i].digest, &weights, err);
    if (!weights)
        return err_set(err, s, "adapter '%s' without a model", path);
    s = model_open(&base, weights, &mo, err);
    free(weights);
    if (s == OK)
        s = lora_open(&lora, base, path, err);
    if (s == OK)
        s = part_path(m->s, &part, err);
    if (s == OK)
        s = lora_write(lora, part.p, err);
    lora_close(lora);
    model_close(base);
    if (s == OK)
        s = make_adopted(m, part.p, LAYER_ADAPTER, err);
    buf_release(&part);
    return s;
}

/* Uploaded: GGUF files, or the files of one PEFT folder. */
static enum status add_adapter_files(struct maker *m, struct err *err)
{
    const struct create_recipe *r = m->r;
    struct buf part, folder;
    enum status s = OK;
    size_t n_gguf = 0;
    for (size_t i = 0; s == OK && i < r->n_adapters; i++) {
        char *blob;
        s = own_path(m, &r->adapters[i], &blob, err);
        if (s == OK && file_is_gguf(blob)) {
            n_gguf++;
            s = make_from_gguf(m, blob, r->adapters[i].digest, LAYER_ADAPTER, err);
        }
        free(blob);
    }
    if (s != OK || n_gguf)
        return s;
    buf_init(&part, PATH_BYTES);
    buf_init(&folder, PATH_BYTES);
    s = assemble(m, r->adapters, r->n_adapters, &part, &folder, err);
    if (s == OK)
        s = add_peft(m, folder.p, err);
    if (part.n)
        part_remove(part.p);
    buf_release(&part);
    buf_release(&folder);
    return s;
}

static enum status add_adapters(struct maker *m, struct buf *path, struct err *err)
{
    const struct create_recipe *r = m->r;
    enum status s = r->n_adapters ? add_adapter_files(m, err) : OK;
    for (size_t i = 0; s == OK && r->folder && i < r->n_adapter_paths; i++) {
        s = full_path(m, r->adapter_paths[i], path, err);
        bool peft =
            s == OK && (file_is_dir(path->p) || str_ends(r->adapter_paths[i], STR(".safetensors")));
        if (peft)
            s = add_peft(m, path->p, err);
        else if (s == OK)
            s = make_from_gguf(m, path->p, (struct str){NULL, 0}, LAYER_ADAPTER, err);
    }
    if (s == OK && r->draft.p && r->folder) {
        s = full_path(m, r->draft, path, err);
        if (s == OK)
            s = make_from_gguf(m, path->p, (struct str){NULL, 0}, LAYER_DRAFT, err);
    }
    return s;
}

static enum status check_sources(const struct maker *m, struct err *err)
{
    const struct create_recipe *r = m->r;
    const struct recipe *recipe;
    char type[64];
    if (!r->from.n && !r->n_files)
        return err_set(err, EUSAGE, "neither 'from' nor 'files' was specified");
    if (!r->quantize.n)
        return OK;
    snprintf(type, sizeof type, "%.*s", STR_ARG(r->quantize));
    return recipe_find(type, &recipe, err);
}

enum status make_weights(struct maker *m, struct err *err)
{
    const struct create_recipe *r = m->r;
    struct buf path;
    size_t models = 0;
    buf_init(&path, PATH_BYTES);
    enum status s = check_sources(m, err);
    if (s == OK)
        s = r->from.n ? add_from(m, r->from, true, &path, err) : add_files(m, err);
    for (size_t i = 0; s == OK && r->folder && i < r->n_more_from; i++)
        s = add_from(m, r->more_from[i], false, &path, err);
    if (s == OK)
        s = add_adapters(m, &path, err);
    for (size_t i = 0; i < m->n; i++)
        models += m->layers[i].kind == LAYER_MODEL;
    if (s == OK && models != 1)
        s = err_set(err, EUSAGE, "%zu models to make one from, expected one", models);
    buf_release(&path);
    return s;
}
