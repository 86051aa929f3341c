/* A model from a Hugging Face folder as it is: config.json, generation_config.json, tokenizer.json
 * and tokenizer_config.json, chat templates, and safetensors in one file or several. */
#include "base/file.h"
#include "base/json.h"
#include "engine/model_int.h"
#include "format/safetensors.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    CONFIG_MAX = 16 << 20,     /* bytes of config.json and the like */
    TOKENIZER_MAX = 512 << 20, /* bytes of tokenizer.json */
    PATH_MAX_LEN = 4096,
};

static const struct tensor *find(const void *file, struct str name)
{
    return safetensors_tensor(file, name);
}
static size_t count(const void *file)
{
    return safetensors_n_tensors(file);
}
static const struct tensor *at(const void *file, size_t i)
{
    return safetensors_tensor_at(file, i);
}

static enum status path_of(char out[PATH_MAX_LEN], const char *dir, const char *name,
                           struct err *err)
{
    int n = snprintf(out, PATH_MAX_LEN, "%s/%s", dir, name);
    return n > 0 && n < PATH_MAX_LEN ? OK : err_set(err, EUSAGE, "path '%s' is too long", dir);
}

/* The whole file in out (initialised by the caller); absent: an empty out, or ENOTFOUND if it is
 * needed. */
static enum status read_file(const char *dir, const char *name, bool needed, struct buf *out,
                             struct err *err)
{
    char path[PATH_MAX_LEN];
    enum status s = path_of(path, dir, name, err);
    if (s == OK && (needed || file_exists(path)))
        s = file_read(path, out, err);
    return s;
}

static enum status read_object(const char *dir, const char *name, json_t **out, struct err *err)
{
    struct buf text;
    buf_init(&text, CONFIG_MAX);
    *out = NULL;
    enum status s = read_file(dir, name, false, &text, err);
    if (s == OK && text.n)
        s = json_parse(out, buf_str(&text), name, err);
    buf_release(&text);
    if (s == OK && *out && !json_is_object(*out))
        s = err_set(err, EFORMAT, "%s: the document is no object", name);
    if (s != OK) {
        json_decref(*out);
        *out = NULL;
    }
    return s;
}

/* eos_token_id: an id or a list of ids. */
static void read_ends(struct model *m, const json_t *o)
{
    const json_t *eos = json_object_get(o, "eos_token_id");
    if (json_is_integer(eos))
        model_add_end(m, json_integer_value(eos));
    for (size_t i = 0; i < json_array_size(eos); i++)
        if (json_is_integer(json_array_get(eos, i)))
            model_add_end(m, json_integer_value(json_array_get(eos, i)));
}

static enum status read_generation_config(struct model *m, const char *dir, struct err *err)
{
    json_t *o;
    enum status s = read_object(dir, "generation_config.json", &o, err);
    struct model_defaults *d = &m->defaults;
    if (s != OK || !o)
        return s;
    read_ends(m, o);
    const struct {
        const char *key;
        double *v;
    } floats[] = {{"temperature", &d->temperature},
                  {"top_p", &d->top_p},
                  {"min_p", &d->min_p},
                  {"repetition_penalty", &d->repetition_penalty}};
    for (size_t i = 0; i < sizeof floats / sizeof *floats && s == OK; i++)
        s = json_get_num(o, floats[i].key, floats[i].v, *floats[i].v, err);
    if (s == OK)
        s = json_get_int(o, "top_k", &d->top_k, -1, err);
    json_decref(o);
    return s == OK ? OK : (err_prefix(err, "generation_config.json"), s);
}

/* chat_template: a string, or a list of {"name", "template"}. */
static enum status read_config_templates(struct model *m, const json_t *config, struct err *err)
{
    const json_t *t = json_object_get(config, "chat_template");
    if (json_is_string(t))
        return model_add_template(m, STR(""), json_str(t), err);
    enum status s = OK;
    for (size_t i = 0; i < json_array_size(t) && s == OK; i++) {
        const json_t *e = json_array_get(t, i);
        const json_t *name = json_object_get(e, "name"), *text = json_object_get(e, "template");
        if (!json_is_string(name) || !json_is_string(text))
            s = err_set(err, EFORMAT,
                        "tokenizer_config.json: chat_template entry %zu has no name or template",
                        i);
        else
            s = model_add_template(m, json_str(name), json_str(text), err);
    }
    return s;
}

/* A template in a file of its own wins over tokenizer_config.json, as in transformers. */
static enum status read_template_file(struct model *m, const char *dir, const char *file,
                                      struct str name, struct err *err)
{
    struct buf text;
    buf_init(&text, CONFIG_MAX);
    enum status s = read_file(dir, file, false, &text, err);
    if (s == OK && text.n)
        s = model_add_template(m, name, buf_str(&text), err);
    buf_release(&text);
    return s;
}

/* additional_chat_templates/NAME.jinja, where transformers keeps the named ones. */
static enum status read_more_templates(struct model *m, const char *dir, struct err *err)
{
    static const char folder[] = "additional_chat_templates";
    char path[PATH_MAX_LEN];
    enum status s = path_of(path, dir, folder, err);
    DIR *d = s == OK ? opendir(path) : NULL;
    for (struct dirent *e; d && s == OK && (e = readdir(d));) {
        struct str name = str_from(e->d_name);
        char file[512];
        if (!str_ends(name, STR(".jinja")) || name.n > 255)
            continue;
        snprintf(file, sizeof file, "%s/%s", folder, e->d_name);
        s = read_template_file(m, dir, file, str_slice(name, 0, name.n - 6), err);
    }
    if (d)
        closedir(d);
    return s;
}

static enum status read_tokenizer(struct model *m, const char *dir, struct err *err)
{
    struct buf json, config;
    buf_init(&json, TOKENIZER_MAX);
    buf_init(&config, CONFIG_MAX);
    json_t *o = NULL;
    enum status s = read_file(dir, "tokenizer.json", true, &json, err);
    if (s == OK)
        s = read_file(dir, "tokenizer_config.json", false, &config, err);
    if (s == OK)
        s = tokenizer_from_json(&m->tokenizer, buf_str(&json), buf_str(&config), err);
    if (s == OK)
        s = read_object(dir, "tokenizer_config.json", &o, err);
    if (s == OK)
        s = read_config_templates(m, o, err);
    if (s == OK)
        s = read_template_file(m, dir, "chat_template.jinja", STR(""), err);
    if (s == OK)
        s = read_more_templates(m, dir, err);
    json_decref(o);
    buf_release(&json);
    buf_release(&config);
    return s;
}

/* id2label of a classification head, {"0": "NEG", "1": "POS"}. */
static enum status read_labels(struct model *m, const json_t *config, struct err *err)
{
    const json_t *labels = json_object_get(config, "id2label");
    size_t n = (size_t)m->hp.n_labels;
    if (!json_is_object(labels) || m->hp.arch->kind != MODEL_ENCODER)
        return OK;
    m->labels = arena_array(&m->arena, n ? n : 1, sizeof *m->labels);
    if (!m->labels)
        return err_set(err, ENOMEMORY, "no memory for %zu labels", n);
    for (size_t i = 0; i < n; i++) {
        char key[24];
        snprintf(key, sizeof key, "%zu", i);
        const json_t *v = json_object_get(labels, key);
        if (json_is_string(v))
            m->labels[i] = arena_str(&m->arena, json_str(v));
    }
    return OK;
}

static enum status read_config(struct model *m, const char *dir, struct err *err)
{
    struct buf text;
    buf_init(&text, CONFIG_MAX);
    json_t *o = NULL;
    enum status s = read_file(dir, "config.json", true, &text, err);
    if (s == OK)
        s = hparams_from_json(&m->hp, buf_str(&text), err);
    if (s == OK)
        s = json_parse(&o, buf_str(&text), "config.json", err);
    if (s == OK) {
        read_ends(m, o);
        s = read_labels(m, o, err);
    }
    json_decref(o);
    buf_release(&text);
    return s;
}

static enum status open_weights(struct model *m, const char *dir, struct err *err)
{
    static const char *const names[] = {"model.safetensors", "model.safetensors.index.json"};
    char path[PATH_MAX_LEN];
    for (size_t i = 0; i < 2; i++) {
        enum status s = path_of(path, dir, names[i], err);
        if (s != OK)
            return s;
        if (file_exists(path))
            return safetensors_open(&m->safetensors, path, err);
    }
    return err_set(err, ENOTFOUND, "'%s' has neither model.safetensors nor its index", dir);
}

static enum status read_name(struct model *m, const char *path, struct err *err)
{
    char *full = realpath(path, NULL);
    const char *slash = full ? strrchr(full, '/') : NULL;
    m->info.name = arena_str(&m->arena, str_from(slash ? slash + 1 : path));
    free(full);
    return m->info.name.p ? OK : err_set(err, ENOMEMORY, "no memory for the model's name");
}

enum status model_open_hf(struct model *m, const char *path, const struct model_options *opt,
                          struct err *err)
{
    enum status s = read_name(m, path, err);
    if (s == OK)
        s = read_config(m, path, err);
    if (s == OK)
        s = read_generation_config(m, path, err);
    if (s == OK)
        s = read_tokenizer(m, path, err);
    if (s == OK && !opt->vocab_only)
        s = open_weights(m, path, err);
    if (s == OK) {
        struct tensor_source src = {m->safetensors, find, count, at, true};
        model_count(m, m->safetensors ? &src : NULL);
        if (!opt->vocab_only)
            s = model_bind(m, &src, opt, err);
    }
    return s == OK ? OK : (err_prefix(err, "%s", path), s);
}

bool model_hf_broken(const struct model *m)
{
    return m->safetensors && safetensors_broken(m->safetensors);
}

void model_close_hf(struct model *m)
{
    safetensors_close(m->safetensors);
}
