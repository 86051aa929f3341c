/* A model from a GGUF file: metadata, tokenizer, chat templates, sampling defaults, tensors. */
#include "engine/model_int.h"
#include "engine/vocab_gguf.h"
#include <stdio.h>
#include <stdlib.h>

static const struct tensor *find(const void *file, struct str name)
{
    return gguf_tensor(file, name);
}
static size_t count(const void *file)
{
    return gguf_n_tensors(file);
}
static const struct tensor *at(const void *file, size_t i)
{
    return gguf_tensor_at(file, i);
}

/* tokenizer.chat_template, and tokenizer.chat_template.NAME for each further one. */
static enum status read_templates(struct model *m, struct err *err)
{
    static const char prefix[] = "tokenizer.chat_template";
    for (size_t i = 0; i < gguf_n_kv(m->gguf); i++) {
        const struct gguf_kv *kv = gguf_kv_at(m->gguf, i);
        if (!str_starts(kv->key, STR(prefix)) || kv->type != GGUF_STRING)
            continue;
        struct str name = str_slice(kv->key, sizeof prefix - 1, kv->key.n);
        if (name.n && name.p[0] != '.')
            continue; /* tokenizer.chat_templates: only the list of names */
        if (name.n)
            name = str_slice(name, 1, name.n);
        enum status s =
            model_add_template(m, name, (struct str){(const char *)kv->p, kv->bytes}, err);
        if (s != OK)
            return s;
    }
    return OK;
}

/* general.sampling.*: what llama.cpp's converter takes over from generation_config.json. */
static enum status read_defaults(struct model *m, struct err *err)
{
    struct model_defaults *d = &m->defaults;
    const struct {
        const char *key;
        double *v;
    } floats[] = {{"general.sampling.temp", &d->temperature},
                  {"general.sampling.top_p", &d->top_p},
                  {"general.sampling.min_p", &d->min_p},
                  {"general.sampling.penalty_repeat", &d->repetition_penalty}};
    enum status s = OK;
    for (size_t i = 0; i < sizeof floats / sizeof *floats && s == OK; i++)
        s = gguf_get_float(m->gguf, floats[i].key, floats[i].v, *floats[i].v, err);
    if (s == OK)
        s = gguf_get_int(m->gguf, "general.sampling.top_k", &d->top_k, -1, err);
    return s;
}

/* general.name, or the file's name without its folder and ending. */
static enum status read_name(struct model *m, const char *path, struct err *err)
{
    struct str name = {0};
    enum status s = gguf_get_str(m->gguf, "general.name", &name, err);
    if (s != OK)
        return s;
    if (!name.n) {
        const char *slash = strrchr(path, '/');
        name = str_from(slash ? slash + 1 : path);
        if (str_ends(name, STR(".gguf")))
            name.n -= 5;
    }
    m->info.name = arena_str(&m->arena, name);
    return m->info.name.p ? OK : err_set(err, ENOMEMORY, "no memory for the model's name");
}

/* Labels of a classification head that a converter has kept. */
static enum status read_labels(struct model *m, struct err *err)
{
    char key[96];
    snprintf(key, sizeof key, "%s.classifier.output_labels", m->hp.arch->name);
    const struct gguf_kv *kv = gguf_find(m->gguf, key);
    if (!kv || kv->type != GGUF_ARRAY || kv->elem_type != GGUF_STRING ||
        (int64_t)kv->n != m->hp.n_labels)
        return OK;
    m->labels = arena_array(&m->arena, (size_t)kv->n, sizeof *m->labels);
    return m->labels
               ? gguf_array_strings(kv, m->labels, err)
               : err_set(err, ENOMEMORY, "no memory for %llu labels", (unsigned long long)kv->n);
}

static enum status read_vocab_only(struct model *m, struct err *err)
{
    struct err ignored;
    const struct gguf_kv *tokens = gguf_find(m->gguf, "tokenizer.ggml.tokens");
    if (hparams_from_gguf(&m->hp, m->gguf, &ignored) == OK) {
        model_count(m, &(struct tensor_source){m->gguf, find, count, at, false});
        return OK;
    }
    /* vocabulary files may have an architecture that is not run here, and no sizes */
    m->hp = (struct hparams){0};
    m->info.n_vocab = tokens && tokens->type == GGUF_ARRAY ? (int64_t)tokens->n : 0;
    return gguf_get_str(m->gguf, "general.architecture", &m->info.arch, err);
}

static enum status read_model(struct model *m, const char *path, const struct model_options *opt,
                              struct err *err)
{
    struct str type = {0};
    enum status s = gguf_get_str(m->gguf, "general.type", &type, err);
    if (s == OK && type.n && !str_is(type, "model"))
        s = err_set(err, EUNSUPPORTED, "general.type is '%.*s', expected a model",
                    (int)(type.n < 64 ? type.n : 64), type.p);
    if (s == OK)
        s = read_name(m, path, err);
    if (s == OK)
        s = read_templates(m, err);
    if (s == OK)
        s = read_defaults(m, err);
    if (s == OK)
        s = tokenizer_from_gguf(&m->tokenizer, m->gguf, &m->arena, err);
    if (s != OK || opt->vocab_only)
        return s == OK ? read_vocab_only(m, err) : s;
    if ((s = hparams_from_gguf(&m->hp, m->gguf, err)) != OK)
        return s;
    if ((s = read_labels(m, err)) != OK)
        return s;
    struct tensor_source src = {m->gguf, find, count, at, false};
    model_count(m, &src);
    /* the file's types stay: `quantize` is for HF folders */
    struct model_options as_is = *opt;
    as_is.quantize = QT_COUNT;
    return model_bind(m, &src, &as_is, err);
}

enum status model_open_gguf(struct model *m, const char *path, const struct model_options *opt,
                            struct err *err)
{
    enum status s = gguf_open(&m->gguf, path, err);
    if (s != OK)
        return s;
    s = read_model(m, path, opt, err);
    return s == OK ? OK : (err_prefix(err, "%s", path), s);
}
