#include "cli/load.h"
#ifndef HEARTH_ENGINE_ONLY
#include "cli/entry.h"
#endif
#include "cli/fit.h"
#include "cli/progress.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* The folder of the running program, for a model that lies beside it. */
static bool program_folder(struct buf *out)
{
    char exe[4096];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (n <= 0)
        return false;
    exe[n] = 0;
    char *slash = strrchr(exe, '/');
    buf_add(out, exe, slash ? (size_t)(slash - exe) : 0);
    return true;
}

char *shipped_model(const char *name, struct buf *looked)
{
    /* beside the program: the build folder in a source tree, then bin/ of an installation */
    static const char *const beside[] = {"../models", "../share/hearth/models", "models"};
    char *path = NULL;
    struct buf at;
    buf_init(&at, 4096);
    for (size_t i = 0; i < sizeof beside / sizeof *beside && !path; i++) {
        buf_clear(&at);
        if (program_folder(&at))
            buf_printf(&at, "/%s", beside[i]);
        if (looked)
            buf_printf(looked, "%s%s", looked->n ? ", " : "", at.p ? at.p : "");
        buf_printf(&at, "/%s.gguf", name);
        if (!at.failed && file_exists(at.p))
            path = mem_dup(at.p, at.n);
    }
    buf_release(&at);
    return path;
}

enum status model_resolve(const char *name, char **path, struct err *err)
{
#ifndef HEARTH_ENGINE_ONLY
    struct store_model *entry;
    enum status s = model_find(name, path, &entry, err);
    store_model_free(entry);
    return s;
#else
    *path = NULL;
    if (file_exists(name)) {
        *path = mem_dup(name, strlen(name));
        return *path ? OK : err_set(err, ENOMEMORY, "model: no memory for its path");
    }
    if (strchr(name, '/') || strstr(name, ".gguf"))
        return err_set(err, ENOTFOUND, "model '%s': no such file or folder", name);
    struct buf at, looked;
    buf_init(&at, 4096);
    buf_init(&looked, 1 << 16);
    char *home = hearth_home("models");
    buf_adds(&looked, home ? home : "");
    buf_printf(&at, "%s/%s.gguf", home ? home : "", name);
    *path = !at.failed && file_exists(at.p) ? mem_dup(at.p, at.n) : shipped_model(name, &looked);
    enum status s = OK;
    if (!*path)
        s = err_set(err, ENOTFOUND, "model '%s': no such file or folder, and no %s.gguf in %s",
                    name, name, looked.p ? looked.p : "the store");
    free(home);
    buf_release(&at);
    buf_release(&looked);
    return s;
#endif
}

enum status kv_type_from(const struct options *o, enum kv_type *out, struct err *err)
{
    static const struct {
        const char *name;
        enum kv_type type;
    } rows[] = {{"f16", KV_F16}, {"f32", KV_F32}, {"q8", KV_Q8}, {"q8_0", KV_Q8}};
    *out = o->exact ? KV_F32 : KV_F16;
    if (!o->kv)
        return OK;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].name, o->kv) == 0) {
            *out = rows[i].type;
            return OK;
        }
    return err_set(err, EUSAGE, "--kv: '%s', expected f16, f32 or q8", o->kv);
}

static enum status open_model(struct loaded *l, const struct options *o, bool vocab_only,
                              struct err *err)
{
    struct model_options mo = MODEL_OPTIONS_INIT;
    struct progress bar = {.what = "loading"};
    mo.vocab_only = vocab_only;
    if (o->quantize) {
        mo.quantize = qtype_by_name(str_from(o->quantize));
        if (mo.quantize == QT_COUNT)
            return err_set(err, EUSAGE, "--quantize: '%s', expected a type such as q8_0",
                           o->quantize);
    }
#ifndef HEARTH_ENGINE_ONLY
    enum status s = model_find(o->args[0], &l->path, &l->entry, err);
#else
    enum status s = model_resolve(o->args[0], &l->path, err);
#endif
    if (s != OK)
        return s;
    if (o->quantize && !file_is_dir(l->path))
        return err_set(err, EUSAGE,
                       "--quantize: '%s' is a file, expected a Hugging Face folder (files: "
                       "'hearth quantize')",
                       o->args[0]);
    mo.pool = l->pool;
    mo.progress = progress_update;
    mo.progress_ctx = &bar;
    s = model_open(&l->model, l->path, &mo, err);
    progress_end(&bar);
    return s;
}

#ifndef HEARTH_ENGINE_ONLY
/* The adapters that the store's entry brings, at full strength. */
static enum status open_entry_loras(struct loaded *l, struct err *err)
{
    const struct store_model *e = l->entry;
    enum status s = OK;
    for (size_t i = 0; e && s == OK && i < e->n_adapters; i++) {
        l->lora_scales[l->n_loras] = 1;
        s = lora_open(&l->loras[l->n_loras], l->model, e->adapter_paths[i], err);
        l->n_loras += s == OK;
    }
    return s;
}
#endif

static enum status open_loras(struct loaded *l, const struct options *o, struct err *err)
{
    size_t n = o->lora.n;
#ifndef HEARTH_ENGINE_ONLY
    n += l->entry ? l->entry->n_adapters : 0;
#endif
    if (n == 0)
        return OK;
    l->lora_scales = mem_array(n, sizeof *l->lora_scales);
    l->loras = mem_array(n, sizeof *l->loras);
    enum status s = l->lora_scales && l->loras ? OK : err_set(err, ENOMEMORY, "--lora: no memory");
#ifndef HEARTH_ENGINE_ONLY
    if (s == OK)
        s = open_entry_loras(l, err);
#endif
    for (size_t i = 0; s == OK && i < o->lora.n; i++) {
        const char *text = o->lora.v[i], *eq = file_exists(text) ? NULL : strrchr(text, '=');
        char *end = NULL, *path = mem_dup(text, eq ? (size_t)(eq - text) : strlen(text));
        float *scale = &l->lora_scales[l->n_loras];
        *scale = eq ? strtof(eq + 1, &end) : 1.0f;
        if (!path)
            s = err_set(err, ENOMEMORY, "--lora: no memory");
        else if (eq && (end == eq + 1 || *end || !isfinite(*scale)))
            s = err_set(err, EUSAGE, "--lora: scale '%s', expected a number", eq + 1);
        else if ((s = lora_open(&l->loras[l->n_loras], l->model, path, err)) == OK)
            l->n_loras++;
        free(path);
    }
    return s;
}

static int threads_of(const struct options *o)
{
    return o->threads > 0 ? (int)o->threads : 0;
}

static enum status engine_options_from(const struct options *o, struct engine_options *eo,
                                       struct err *err)
{
    *eo = (struct engine_options){
        .n_threads = threads_of(o), .n_ctx = o->ctx > 0 ? o->ctx : 0, .exact = o->exact};
    return kv_type_from(o, &eo->kv_type, err);
}

static enum status open_draft(struct loaded *l, const struct options *o, const char *path,
                              struct err *err)
{
    struct model_options mo = MODEL_OPTIONS_INIT;
    struct engine_options eo;
    enum status s = engine_options_from(o, &eo, err);
    eo.pool = mo.pool = l->pool;
    eo.n_ctx = engine_n_ctx(l->engine);
    if (s == OK)
        s = model_open(&l->draft, path, &mo, err);
    if (s == OK)
        s = draft_model_new(&l->drafter, l->draft, l->model, &eo, err);
    return s;
}

static void close_draft(struct loaded *l)
{
    draft_model_free(l->drafter);
    model_close(l->draft);
    l->drafter = NULL;
    l->draft = NULL;
}

enum status load_draft(struct loaded *l, const struct options *o, struct err *err)
{
    char *path = NULL;
    enum status s = OK;
    if (o->draft == 0)
        return OK;
    if (o->draft_model) {
        s = model_resolve(o->draft_model, &path, err);
        if (s == OK)
            s = open_draft(l, o, path, err);
        free(path);
        return s == OK ? OK : err_prefix(err, "--draft-model");
    }
#ifndef HEARTH_ENGINE_ONLY
    struct err why;
    if (l->entry && l->entry->draft_path && open_draft(l, o, l->entry->draft_path, &why) != OK) {
        log_warn("'%s' runs without its draft model: %s", o->args[0], why.msg);
        close_draft(l);
    }
#endif
    return s;
}

enum status load_engine(struct loaded *l, const struct options *o, struct err *err)
{
    struct engine_options eo;
    enum status s = engine_options_from(o, &eo, err);
    if (s != OK)
        return s;
    /* one set of threads at a time: those that loaded, or another engine's, go first */
    close_draft(l);
    engine_free(l->engine);
    l->engine = NULL;
    if (l->own_pool)
        pool_free(l->pool);
    l->pool = NULL;
    l->own_pool = false;
    s = engine_new(&l->engine, l->model, &eo, err);
    if (s != OK)
        return s;
    l->pool = engine_pool(l->engine);
    return l->n_loras ? engine_set_loras(l->engine, l->loras, l->lora_scales, (int)l->n_loras, err)
                      : OK;
}

enum status load_model(struct loaded *l, const struct options *o, bool engine, struct err *err)
{
    enum kv_type ignored;
    *l = (struct loaded){0};
    enum status s = kv_type_from(o, &ignored, err); /* a typing error is told before the wait */
    if (s == OK)
        s = pool_new(&l->pool, threads_of(o), err);
    l->own_pool = true;
    if (s == OK)
        s = open_model(l, o, false, err);
    if (s == OK && engine)
        s = open_loras(l, o, err);
    if (s == OK && engine)
        s = load_engine(l, o, err);
    if (s == OK && !o->quantize)
        s = warn_unless_it_fits(l, l->path, err);
    if (s != OK)
        unload(l);
    return s;
}

enum status load_vocab(struct loaded *l, const struct options *o, struct err *err)
{
    *l = (struct loaded){0};
    enum status s = open_model(l, o, true, err);
    if (s != OK)
        unload(l);
    return s;
}

void unload(struct loaded *l)
{
    close_draft(l);
    if (l->engine)
        engine_free(l->engine);
    for (size_t i = 0; i < l->n_loras; i++)
        lora_close(l->loras[i]);
    free(l->loras);
    free(l->lora_scales);
    if (l->own_pool)
        pool_free(l->pool);
    if (l->model)
        model_close(l->model);
    free(l->path);
#ifndef HEARTH_ENGINE_ONLY
    store_model_free(l->entry);
#endif
    *l = (struct loaded){0};
}

/* given, else the model's, else the fallback */
static double number(double given, double model, double fallback)
{
    return !isnan(given) ? given : !isnan(model) ? model : fallback;
}

static int64_t integer(int64_t given, int64_t model, int64_t fallback)
{
    return given != INT64_MIN ? given : model >= 0 ? model : fallback;
}

static enum status biases_from(struct sampler_params *p, const struct options *o, struct err *err)
{
    struct logit_bias *bias = mem_array(o->logit_bias.n, sizeof *bias);
    if (!bias)
        return err_set(err, ENOMEMORY, "--logit-bias: no memory");
    p->bias = bias;
    p->n_bias = o->logit_bias.n;
    for (size_t i = 0; i < o->logit_bias.n; i++) {
        const char *text = o->logit_bias.v[i];
        char *end, *end2 = NULL;
        long id = strtol(text, &end, 10);
        if (end != text && *end == '=')
            bias[i] = (struct logit_bias){(int32_t)id, strtof(end + 1, &end2)};
        if (!end2 || end2 == end + 1 || *end2 || id < 0 || id > INT32_MAX)
            return err_set(err, EUSAGE, "--logit-bias: '%s', expected ID=X", text);
    }
    return OK;
}

enum status sampling_from(struct sampler_params *p, const struct options *o, const struct model *m,
                          struct err *err)
{
    const struct model_defaults *d = model_defaults(m);
    const struct sampler_params *f = &sampler_defaults;
    const double unsaid = (double)NAN;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    *p = *f;
    p->temperature = number(o->temp, d->temperature, f->temperature);
    p->top_k = integer(o->top_k, d->top_k, f->top_k);
    p->top_p = number(o->top_p, d->top_p, f->top_p);
    p->min_p = number(o->min_p, d->min_p, f->min_p);
    p->typical_p = number(o->typical, unsaid, f->typical_p);
    p->repetition_penalty = number(o->repeat_penalty, d->repetition_penalty, f->repetition_penalty);
    p->presence_penalty = number(o->presence_penalty, unsaid, f->presence_penalty);
    p->frequency_penalty = number(o->frequency_penalty, unsaid, f->frequency_penalty);
    p->penalty_last_n = integer(o->repeat_last_n, -1, f->penalty_last_n);
    p->dry_multiplier = number(o->dry_multiplier, unsaid, f->dry_multiplier);
    p->dry_base = number(o->dry_base, unsaid, f->dry_base);
    p->dry_allowed_length = integer(o->dry_allowed_length, -1, f->dry_allowed_length);
    p->dry_penalty_last_n = integer(o->dry_last_n, -1, f->dry_penalty_last_n);
    p->xtc_probability = number(o->xtc_probability, unsaid, f->xtc_probability);
    p->xtc_threshold = number(o->xtc_threshold, unsaid, f->xtc_threshold);
    p->mirostat = (int)integer(o->mirostat, -1, f->mirostat);
    p->mirostat_tau = number(o->mirostat_tau, unsaid, f->mirostat_tau);
    p->mirostat_eta = number(o->mirostat_eta, unsaid, f->mirostat_eta);
    p->seed = (uint64_t)integer(o->seed, -1, now.tv_sec ^ (now.tv_nsec << 20));
    p->n_top = (int)integer(o->logprobs, -1, 0);
    enum status s = biases_from(p, o, err);
    return s == OK ? sampler_check(p, err) : s;
}

enum status generation_from(struct gen_params *p, const struct options *o, const struct model *m,
                            struct err *err)
{
    *p = (struct gen_params){.max_tokens = integer(o->max_tokens, -1, -1),
                             .min_tokens = integer(o->min_tokens, -1, 0),
                             .ignore_eos = o->ignore_eos,
                             .context_shift = o->context_shift,
                             .draft = (int)integer(o->draft, -1, DRAFT_DEFAULT)};
    struct str *stop = mem_array(o->stop.n, sizeof *stop);
    if (!stop)
        return err_set(err, ENOMEMORY, "--stop: no memory");
    for (size_t i = 0; i < o->stop.n; i++)
        stop[i] = str_from(o->stop.v[i]);
    p->stop = stop;
    p->n_stop = o->stop.n;
    return sampling_from(&p->sampler, o, m, err);
}

enum status parse_ids(const char *text, struct tokens *out, struct err *err)
{
    for (const char *p = text; *p;) {
        char *end;
        long id = strtol(p, &end, 10);
        if (end == p || id < 0 || id > INT32_MAX || (*end && *end != ','))
            return err_set(err, EUSAGE, "--tokens: '%.20s', expected ids separated by commas", p);
        if (!tokens_add(out, (int32_t)id))
            return err_set(err, ENOMEMORY, "--tokens: no memory");
        p = *end ? end + 1 : end;
    }
    return OK;
}

enum status read_stdin(struct buf *out, struct err *err)
{
    buf_init(out, (size_t)1 << 30);
    return file_read("-", out, err);
}

void print_line(const struct buf *b)
{
    if (b->n)
        fwrite(b->p, 1, b->n, stdout);
    putchar('\n');
}
