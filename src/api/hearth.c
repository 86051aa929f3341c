/* The public face (include/hearth.h) over the floors below: it translates options, errors and
 * results, and owns one engine per handle. No behaviour of its own. */
#include "hearth.h"
#include "base/mem.h"
#include "engine/embed.h"
#include "engine/encoder.h"
#include "chat/local.h"
#include <stdlib.h>
#include <string.h>

_Static_assert((int)HEARTH_FAILED == (int)EFAIL && (int)HEARTH_BUSY == (int)EBUSY,
               "the public statuses are the rows of base/errors.def in their order");

struct hearth {
    struct model *model;
    struct engine *engine; /* NULL for an encoder */
    struct model *draft;   /* guesses ahead; or NULL */
    struct draft_model *drafter;
    struct pool *pool;      /* the engine's, or our own for an encoder */
    struct provider *local; /* answers chats and completions; NULL for an encoder */
    struct model_info info;
    char *arch, *name; /* NUL-terminated copies for callers */
    bool exact;
};

static hearth_status tell(enum status s, const struct err *from, hearth_error *err)
{
    if (err) {
        err->status = (hearth_status)s;
        err->message[0] = 0;
        if (s != OK)
            memcpy(err->message, from->msg, sizeof err->message);
    }
    return (hearth_status)s;
}

const char *hearth_status_name(hearth_status s)
{
    return (unsigned)s <= HEARTH_BUSY ? status_name((enum status)s) : "unknown";
}

const char *hearth_version(void)
{
    return HEARTH_VERSION;
}

/* Reads an options struct of whatever size the caller was compiled with: fields it does not have
 * keep their defaults. */
#define TAKE_OPTIONS(into, from)                                                                   \
    do {                                                                                           \
        if (from)                                                                                  \
            memcpy(&(into), (from), (from)->size < sizeof(into) ? (from)->size : sizeof(into));    \
    } while (0)

static enum status start_draft(hearth *h, const char *path, struct engine_options eo,
                               struct err *err)
{
    struct model_options mo = MODEL_OPTIONS_INIT;
    enum status s = model_open(&h->draft, path, &mo, err);
    eo.pool = h->pool;
    eo.n_ctx = engine_n_ctx(h->engine);
    return s == OK ? draft_model_new(&h->drafter, h->draft, h->model, &eo, err) : s;
}

static enum status start(hearth *h, const hearth_options *o, struct err *err)
{
    model_info(h->model, &h->info);
    h->arch = mem_dup(h->info.arch.p, h->info.arch.n);
    h->name = mem_dup(h->info.name.p, h->info.name.n);
    if (!h->arch || !h->name)
        return err_set(err, ENOMEMORY, "no memory for a model handle");
    if (h->info.kind == MODEL_ENCODER)
        return pool_new(&h->pool, o->n_threads, err);
    struct engine_options eo = {
        .n_threads = o->n_threads, .n_ctx = o->n_ctx, .exact = o->exact != 0};
    enum status s = engine_new(&h->engine, h->model, &eo, err);
    if (s == OK)
        h->pool = engine_pool(h->engine);
    if (s == OK && o->draft_model)
        s = start_draft(h, o->draft_model, eo, err);
    if (s == OK)
        s = local_new(&h->local, h->engine, (struct str){0}, err);
    return s;
}

hearth *hearth_open(const char *path, const hearth_options *options, hearth_error *err)
{
    hearth_options o = HEARTH_OPTIONS_INIT;
    struct err e = {0};
    struct model_options mo = MODEL_OPTIONS_INIT;
    enum status s = OK;
    TAKE_OPTIONS(o, options);
    hearth *h = mem_array(1, sizeof *h);
    if (!h) {
        tell(err_set(&e, ENOMEMORY, "no memory for a model handle"), &e, err);
        return NULL;
    }
    h->exact = o.exact != 0;
    if (!path)
        s = err_set(&e, EUSAGE, "path: NULL, expected a model file or folder");
    if (s == OK && o.quantize) {
        mo.quantize = qtype_by_name(str_from(o.quantize));
        if (mo.quantize == QT_COUNT)
            s = err_set(&e, EUSAGE, "quantize: '%s', expected a type such as q8_0", o.quantize);
    }
    if (s == OK)
        s = model_open(&h->model, path, &mo, &e);
    if (s == OK)
        s = start(h, &o, &e);
    tell(s, &e, err);
    if (s != OK) {
        hearth_close(h);
        return NULL;
    }
    return h;
}

void hearth_close(hearth *h)
{
    if (!h)
        return;
    provider_free(h->local);
    draft_model_free(h->drafter);
    model_close(h->draft);
    if (h->engine)
        engine_free(h->engine);
    else
        pool_free(h->pool);
    if (h->model)
        model_close(h->model);
    free(h->arch);
    free(h->name);
    free(h);
}

hearth_status hearth_get_info(const hearth *h, hearth_info *info, hearth_error *err)
{
    struct err e = {0};
    hearth_info full = {
        .size = info->size,
        .architecture = h->arch,
        .name = h->name,
        .n_params = h->info.n_params,
        .n_vocab = h->info.n_vocab,
        .n_ctx_train = h->info.n_ctx_train,
        .n_ctx = h->engine ? engine_n_ctx(h->engine) : h->info.n_ctx_train,
        .n_embd = h->info.n_embd,
        .weight_bytes = h->info.weight_bytes,
        .is_encoder = h->info.kind == MODEL_ENCODER,
    };
    memcpy(info, &full, info->size < sizeof full ? info->size : sizeof full);
    return tell(OK, &e, err);
}

static enum status need_decoder(const hearth *h, struct err *err)
{
    if (h->engine)
        return OK;
    return err_set(err, EUNSUPPORTED, "'%s' is an encoder (%s), expected a model that generates",
                   h->name, h->arch);
}

/* ---- text in, text out ---- */

/* The sink between the provider's events and the caller's callback. */
struct listener {
    hearth_on_text on_text;
    void *user;
    struct chat_usage usage;
};

static int on_event(void *ctx, const struct chat_event *ev)
{
    struct listener *l = ctx;
    if (ev->kind == CHAT_DONE)
        l->usage = *ev->usage;
    if (ev->kind != CHAT_TEXT || !l->on_text || ev->text.n == 0)
        return 0;
    return l->on_text(l->user, ev->text.p, ev->text.n);
}

static void params_from(struct gen_params *p, const hearth_sampling *s, struct str *stop)
{
    *p = (struct gen_params){
        .sampler = sampler_defaults, .max_tokens = s->max_tokens, .draft = s->draft};
    p->sampler.temperature = s->temperature;
    p->sampler.top_k = s->top_k;
    p->sampler.top_p = s->top_p;
    p->sampler.min_p = s->min_p;
    p->sampler.repetition_penalty = s->repetition_penalty;
    p->sampler.seed = s->seed;
    for (size_t i = 0; i < s->n_stop; i++)
        stop[i] = str_from(s->stop[i]);
    p->stop = stop;
    p->n_stop = s->n_stop;
}

static void result_from(hearth_result *result, const struct chat_usage *u)
{
    static const hearth_end ends[] = {
        [GEN_RUNNING] = HEARTH_END_STOP,     [GEN_STOP] = HEARTH_END_STOP,
        [GEN_STOP_STRING] = HEARTH_END_STOP, [GEN_LENGTH] = HEARTH_END_LENGTH,
        [GEN_CONTEXT] = HEARTH_END_CONTEXT,  [GEN_CANCELLED] = HEARTH_END_STOP,
    };
    hearth_result full = {
        .size = result->size,
        .prompt_tokens = u->prompt_tokens,
        .cached_tokens = u->cached_tokens,
        .answer_tokens = u->answer_tokens,
        .prompt_seconds = u->prompt_s,
        .answer_seconds = u->answer_s,
        .end = ends[u->end],
        .drafted_tokens = u->drafted_tokens,
        .accepted_tokens = u->accepted_tokens,
    };
    memcpy(result, &full, result->size < sizeof full ? result->size : sizeof full);
}

static hearth_status answer(hearth *h, struct chat_request *r, const hearth_sampling *sampling,
                            hearth_on_text on_text, void *user, hearth_result *result,
                            hearth_error *err)
{
    hearth_sampling given = HEARTH_SAMPLING_INIT;
    struct listener l = {.on_text = on_text, .user = user};
    const struct chat_sink sink = {on_event, &l};
    struct err e = {0};
    TAKE_OPTIONS(given, sampling);
    struct str *stop = mem_array(given.n_stop, sizeof *stop);
    enum status s = stop ? need_decoder(h, &e) : err_set(&e, ENOMEMORY, "no memory for stop texts");
    if (s == OK) {
        params_from(&r->params, &given, stop);
        r->params.draft_model = h->drafter;
        s = provider_chat(h->local, r, &sink, &e);
    }
    if (s == OK && result)
        result_from(result, &l.usage);
    if (s == OK && l.usage.end == GEN_CANCELLED)
        s = err_set(&e, ECANCEL, "the callback stopped the answer");
    free(stop);
    return tell(s, &e, err);
}

hearth_status hearth_chat(hearth *h, const hearth_message *messages, size_t n,
                          const hearth_sampling *sampling, hearth_on_text on_text, void *user,
                          hearth_result *result, hearth_error *err)
{
    struct err e = {0};
    struct chat_message *list = mem_array(n, sizeof *list);
    if (!list)
        return tell(err_set(&e, ENOMEMORY, "no memory for %zu messages", n), &e, err);
    for (size_t i = 0; i < n; i++)
        list[i] = (struct chat_message){.role = str_from(messages[i].role),
                                        .content = str_from(messages[i].content)};
    struct chat_request r = {.messages = list, .n_messages = n};
    hearth_status s = answer(h, &r, sampling, on_text, user, result, err);
    free(list);
    return s;
}

hearth_status hearth_complete(hearth *h, const char *prompt, const hearth_sampling *sampling,
                              hearth_on_text on_text, void *user, hearth_result *result,
                              hearth_error *err)
{
    struct chat_request r = {.prompt = str_from(prompt)};
    return answer(h, &r, sampling, on_text, user, result, err);
}

/* ---- tokens ---- */

int64_t hearth_tokenize(const hearth *h, const char *text, size_t n, int add_special,
                        int parse_special, int32_t *out, size_t cap, hearth_error *err)
{
    struct tokens t = {0};
    struct err e = {0};
    unsigned flags =
        (add_special ? TOKENIZE_ADD_SPECIAL : 0u) | (parse_special ? TOKENIZE_PARSE_SPECIAL : 0u);
    enum status s =
        tokenizer_encode(model_tokenizer(h->model), (struct str){text, n}, flags, &t, &e);
    int64_t count = s == OK ? (int64_t)t.n : -1;
    if (s == OK && t.n && cap)
        memcpy(out, t.id, (t.n < cap ? t.n : cap) * sizeof *out);
    tokens_free(&t);
    tell(s, &e, err);
    return count;
}

int64_t hearth_detokenize(const hearth *h, const int32_t *ids, size_t n, char *out, size_t cap,
                          hearth_error *err)
{
    struct buf text;
    struct err e = {0};
    buf_init(&text, (size_t)1 << 30);
    enum status s = tokenizer_decode(model_tokenizer(h->model), ids, n, false, &text, &e);
    int64_t count = s == OK ? (int64_t)text.n : -1;
    if (s == OK && text.n && cap)
        memcpy(out, text.p, text.n < cap ? text.n : cap);
    buf_release(&text);
    tell(s, &e, err);
    return count;
}

hearth_status hearth_logits(hearth *h, const int32_t *ids, size_t n, float *out, hearth_error *err)
{
    struct err e = {0};
    enum status s = need_decoder(h, &e);
    struct step_row *rows = NULL;
    size_t most = 0, n_vocab = (size_t)h->info.n_vocab;
    int seq = -1;
    if (s == OK)
        s = engine_seq_new(h->engine, &seq, &e);
    if (s == OK) {
        most = (size_t)engine_max_rows(h->engine);
        rows = mem_array(most, sizeof *rows);
        if (!rows)
            s = err_set(&e, ENOMEMORY, "no memory for a step of %zu rows", most);
    }
    for (size_t done = 0; s == OK && done < n;) {
        size_t now = n - done < most ? n - done : most;
        for (size_t i = 0; i < now; i++)
            rows[i] = (struct step_row){.token = ids[done + i], .seq = seq, .logits = true};
        s = engine_step(h->engine, rows, (int)now, &e);
        for (size_t i = 0; s == OK && i < now; i++)
            memcpy(out + (done + i) * n_vocab, engine_logits(h->engine, (int)i),
                   n_vocab * sizeof *out);
        done += now;
    }
    if (seq >= 0)
        engine_seq_free(h->engine, seq);
    free(rows);
    return tell(s, &e, err);
}

/* ---- embeddings ---- */

hearth_status hearth_embed(hearth *h, const char *text, size_t n, float *out, hearth_error *err)
{
    struct tokens t = {0};
    struct encoder_out hidden = {0};
    struct err e = {0};
    enum pooling how;
    enum status s = model_pooling(h->model, &how, NULL, &e);
    if (s == OK)
        s = tokenizer_encode(model_tokenizer(h->model), (struct str){text, n}, TOKENIZE_ADD_SPECIAL,
                             &t, &e);
    if (s == OK && h->engine)
        s = engine_embed(h->engine, t.id, t.n, how, true, out, &e);
    else if (s == OK)
        s = encoder_run(h->model, h->pool, t.id, NULL, t.n, HEAD_NONE, h->exact, &hidden, &e);
    if (s == OK && !h->engine)
        encoder_pool(&hidden, how, true, out);
    encoder_out_release(&hidden);
    tokens_free(&t);
    return tell(s, &e, err);
}
