/* Opening, closing and asking a model. The two front ends (model_gguf.c, model_hf.c) read their
 * files into the same struct model; what both share is here. */
#include "base/file.h"
#include "base/mem.h"
#include "engine/model_int.h"
#include "format/gguf.h"
#include <math.h>
#include <stdlib.h>

enum { MODEL_ARENA_MAX = 512 << 20 };

static const struct model_options plain = MODEL_OPTIONS_INIT;

enum status model_open(struct model **out, const char *path, const struct model_options *opt,
                       struct err *err)
{
    *out = NULL;
    struct model *m = mem_array(1, sizeof *m);
    if (!m)
        return err_set(err, ENOMEMORY, "no memory for a model");
    arena_init(&m->arena, MODEL_ARENA_MAX);
    double nan = (double)NAN;
    m->defaults = (struct model_defaults){
        .temperature = nan, .top_p = nan, .min_p = nan, .repetition_penalty = nan, .top_k = -1};
    opt = opt ? opt : &plain;
    enum status s;
#ifdef HEARTH_ENGINE_ONLY
    if (file_is_dir(path))
        s = err_set(err, EUNSUPPORTED, "'%s' is a folder; this build reads only GGUF files", path);
    else
        s = model_open_gguf(m, path, opt, err);
#else
    s = file_is_dir(path) ? model_open_hf(m, path, opt, err) : model_open_gguf(m, path, opt, err);
#endif
    if (s == OK)
        s = encoder_name_labels(m, err);
    if (s != OK) {
        model_close(m);
        return s;
    }
    *out = m;
    return OK;
}

enum status model_intact(const struct model *m, struct err *err)
{
    if (!file_maps_any_broken())
        return OK;
    bool broken = m->gguf && gguf_broken(m->gguf);
#ifndef HEARTH_ENGINE_ONLY
    broken |= model_hf_broken(m);
#endif
    return broken ? err_set(err, EBROKEN,
                            "model '%.*s': its file became shorter, or could not be read, while it "
                            "was in use",
                            STR_ARG(m->info.name))
                  : OK;
}

void model_close(struct model *m)
{
    if (!m)
        return;
    tokenizer_free(m->tokenizer);
#ifndef HEARTH_ENGINE_ONLY
    model_close_hf(m);
#endif
    gguf_close(m->gguf);
    for (size_t i = 0; i < m->n_owned; i++)
        mem_aligned_free(m->owned[i].p, m->owned[i].n);
    free(m->owned);
    free(m->templates);
    arena_release(&m->arena);
    free(m);
}

void model_info(const struct model *m, struct model_info *out)
{
    *out = m->info;
}

const struct tokenizer *model_tokenizer(const struct model *m)
{
    return m->tokenizer;
}

struct str model_chat_template(const struct model *m, const char *name)
{
    struct str want = str_from(name ? name : "");
    for (size_t i = 0; i < m->n_templates; i++)
        if (str_eq(m->templates[i].name, want))
            return m->templates[i].text;
    return STR("");
}

const struct model_defaults *model_defaults(const struct model *m)
{
    return &m->defaults;
}

bool model_is_end(const struct model *m, int32_t id)
{
    for (int i = 0; i < m->defaults.n_end_ids; i++)
        if (m->defaults.end_ids[i] == id)
            return true;
    return m->tokenizer && tokenizer_is_end(m->tokenizer, id);
}

enum status model_add_template(struct model *m, struct str name, struct str text, struct err *err)
{
    if (str_is(name, "default"))
        name = STR("");
    struct str kept_name = arena_str(&m->arena, name), kept = arena_str(&m->arena, text);
    if (!kept_name.p || !kept.p)
        return err_set(err, ENOMEMORY, "no memory for a chat template");
    size_t i = 0;
    while (i < m->n_templates && !str_eq(m->templates[i].name, name))
        i++;
    if (i == m->n_templates) {
        struct chat_template *grown = mem_resize(m->templates, i + 1, sizeof *grown);
        if (!grown)
            return err_set(err, ENOMEMORY, "no memory for a chat template");
        m->templates = grown;
        m->n_templates++;
    }
    m->templates[i] = (struct chat_template){kept_name, kept};
    return OK;
}

void model_add_end(struct model *m, int64_t id)
{
    struct model_defaults *d = &m->defaults;
    if (id < 0 || id > INT32_MAX)
        return;
    for (int i = 0; i < d->n_end_ids; i++)
        if (d->end_ids[i] == id)
            return;
    if (d->n_end_ids < (int)(sizeof d->end_ids / sizeof *d->end_ids))
        d->end_ids[d->n_end_ids++] = (int32_t)id;
}

void model_count(struct model *m, const struct tensor_source *src)
{
    const struct hparams *hp = &m->hp;
    int64_t by_type[QT_COUNT] = {0};
    for (size_t i = 0; src && i < src->count(src->file); i++) {
        const struct tensor *t = src->at(src->file, i);
        m->info.n_params += tensor_elems(t);
        m->info.weight_bytes += t->bytes;
        if (t->n_dims > 1)
            by_type[t->type] += tensor_elems(t);
    }
    enum qtype most = QT_F32;
    for (enum qtype t = 0; t < QT_COUNT; t++)
        if (by_type[t] > by_type[most])
            most = t;
    m->info.type_name = str_from(qtype_info(most)->name);
    m->info.kind = hp->arch->kind;
    m->info.arch = str_from(hp->arch->name);
    m->info.n_vocab = hp->n_vocab;
    m->info.n_ctx_train = hp->n_ctx_train;
    m->info.n_layers = hp->n_layers;
    m->info.n_embd = hp->n_embd;
    m->info.n_heads = hp->n_heads;
    m->info.n_kv_heads = hp->n_kv_heads;
}

enum status model_pooling(const struct model *m, enum pooling *how, bool *said, struct err *err)
{
    static const enum pooling numbers[] = {[1] = POOL_MEAN, [2] = POOL_CLS, [3] = POOL_LAST};
    int64_t number = m->hp.pooling;
    *how = m->info.kind == MODEL_ENCODER ? POOL_MEAN : POOL_LAST;
    if (said)
        *said = number != 0;
    if (number >= 1 && number <= 3)
        *how = numbers[number];
    else if (number != 0)
        return err_set(err, EUNSUPPORTED,
                       "'%.*s': pooling_type is %lld, expected 1 (mean), 2 (cls) or 3 (last)",
                       STR_ARG(m->info.name), (long long)number);
    return OK;
}
