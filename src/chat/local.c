/* The local provider.
 *
 * A request names the whole conversation, as every chat API does. Its tokens are compared with what
 * the sequence holds, the common part is kept and the rest computed: nobody has to say what
 * changed, and an edited conversation is as right as a continued one. The engine gives the same
 * logits however a prompt was cut, so the answer does not depend on what was kept.
 *
 * Invariant: `held` is exactly what the KV cache of `seq` holds; when that is not certain (an error
 * half-way, a context shift) both are emptied. */
#include "chat/local.h"
#include "base/mem.h"
#include "chat/prompt.h"
#include <stdlib.h>

enum { MAX_PROMPT = 64 << 20 }; /* bytes of a rendered prompt */

struct local {
    struct provider base; /* first */
    struct engine *engine;
    struct prompt_format *format;
    int seq; /* -1: none yet */
    struct tokens held;
};

/* The ids of the request's prompt. A template writes BOS itself or relies on the tokenizer: it is
 * put in front where the vocabulary wants one and the template wrote none. */
static enum status encode_prompt(struct local *l, const struct chat_request *r, struct tokens *out,
                                 struct err *err)
{
    const struct tokenizer *t = model_tokenizer(engine_model(l->engine));
    if (r->prompt.p)
        return tokenizer_encode(t, r->prompt, TOKENIZE_ADD_SPECIAL | TOKENIZE_PARSE_SPECIAL, out,
                                err);
    struct buf text;
    buf_init(&text, MAX_PROMPT);
    enum status s =
        prompt_render_messages(l->format, r->messages, r->n_messages, r->thinking, &text, err);
    struct str prompt = buf_str(&text);
    int32_t bos = tokenizer_special(t, SPECIAL_BOS);
    if (s == OK && bos >= 0 && tokenizer_adds_bos(t) &&
        !str_starts(prompt, tokenizer_piece(t, bos)) && !tokens_add(out, bos))
        s = err_set(err, ENOMEMORY, "prompt: no memory for its tokens");
    if (s == OK)
        s = tokenizer_encode(t, prompt, TOKENIZE_PARSE_SPECIAL, out, err);
    buf_release(&text);
    return s;
}

static void forget(struct local *l)
{
    if (l->seq >= 0)
        engine_seq_truncate(l->engine, l->seq, 0);
    l->held.n = 0;
}

/* Keeps what the sequence and the prompt have in common, but at least one token of the prompt is
 * computed: its logits begin the answer. */
static enum status keep_common(struct local *l, const struct tokens *prompt, size_t *kept,
                               struct err *err)
{
    if (l->seq < 0) {
        enum status s = engine_seq_new(l->engine, &l->seq, err);
        if (s != OK)
            return s;
    }
    size_t most = l->held.n < prompt->n ? l->held.n : prompt->n, n = 0;
    while (n < most && l->held.id[n] == prompt->id[n])
        n++;
    if (n == prompt->n && n > 0)
        n--;
    engine_seq_truncate(l->engine, l->seq, (int64_t)n);
    l->held.n = n;
    *kept = n;
    return OK;
}

/* Takes down what the sequence holds now: prompt and answer up to its length. */
static void remember(struct local *l, const struct tokens *prompt, const struct tokens *answer,
                     const struct gen_stats *stats)
{
    size_t n = (size_t)engine_seq_len(l->engine, l->seq);
    bool sure = stats->n_shifts == 0 && n <= prompt->n + answer->n;
    for (size_t i = l->held.n; sure && i < n; i++)
        sure = tokens_add(&l->held, i < prompt->n ? prompt->id[i] : answer->id[i - prompt->n]);
    if (!sure)
        forget(l);
}

static int on_event(void *ctx, const struct gen_event *g)
{
    const struct chat_sink *sink = ctx;
    struct chat_event ev = {.kind = CHAT_TEXT, .text = g->text, .token = g->tok};
    if (g->prompt_total)
        ev = (struct chat_event){
            .kind = CHAT_READING, .done = g->prompt_done, .total = g->prompt_total};
    return sink->event(sink->ctx, &ev);
}

/* The request's parameters with the format's own stop text behind the request's. */
static enum status params_of(const struct local *l, const struct chat_request *r,
                             struct gen_params *out, struct str **stops, struct err *err)
{
    struct str own = r->prompt.p ? STR("") : prompt_format_stop(l->format);
    *out = r->params;
    *stops = NULL;
    if (own.n == 0)
        return OK;
    struct str *v = mem_array(r->params.n_stop + 1, sizeof *v);
    if (!v)
        return err_set(err, ENOMEMORY, "stop texts: no memory");
    for (size_t i = 0; i < r->params.n_stop; i++)
        v[i] = r->params.stop[i];
    v[r->params.n_stop] = own;
    out->stop = *stops = v;
    out->n_stop = r->params.n_stop + 1;
    return OK;
}

static void tell_done(const struct chat_sink *sink, const struct chat_request *r, size_t kept,
                      const struct gen_stats *g)
{
    struct chat_usage usage = {
        .prompt_tokens = (int64_t)kept + g->n_prompt,
        .cached_tokens = (int64_t)kept,
        .answer_tokens = g->n_generated,
        .drafted_tokens = g->n_drafted,
        .accepted_tokens = g->n_accepted,
        .prompt_s = g->prefill_s,
        .answer_s = g->decode_s,
        .end = g->end,
        .stop_index = g->stop_index,
    };
    if (g->end == GEN_STOP_STRING && g->stop_index == (int)r->params.n_stop) {
        usage.end = GEN_STOP;
        usage.stop_index = -1;
    }
    sink->event(sink->ctx, &(struct chat_event){.kind = CHAT_DONE, .usage = &usage});
}

static enum status local_chat(struct provider *p, const struct chat_request *r,
                              const struct chat_sink *sink, struct err *err)
{
    struct local *l = (struct local *)p;
    struct tokens prompt = {0}, answer = {0};
    struct gen_params params;
    struct gen_stats stats = {0};
    struct str *stops = NULL;
    size_t kept = 0;
    enum status s = encode_prompt(l, r, &prompt, err);
    if (s == OK)
        s = params_of(l, r, &params, &stops, err);
    if (s == OK)
        s = keep_common(l, &prompt, &kept, err);
    if (s == OK) {
        params.history = prompt.id;
        params.n_history = kept;
        s = generate(l->engine, l->seq, prompt.id + kept, prompt.n - kept, &params, on_event,
                     (void *)sink, &answer, &stats, err);
        if (s == OK)
            remember(l, &prompt, &answer, &stats);
        else
            forget(l);
    }
    if (s == OK)
        tell_done(sink, r, kept, &stats);
    free(stops);
    tokens_free(&prompt);
    tokens_free(&answer);
    return s;
}

static void local_free(struct provider *p)
{
    struct local *l = (struct local *)p;
    if (l->seq >= 0)
        engine_seq_free(l->engine, l->seq);
    tokens_free(&l->held);
    prompt_format_free(l->format);
    free(l);
}

static const struct provider_ops local_ops = {
    .name = "local", .chat = local_chat, .free = local_free};

enum status local_new(struct provider **out, struct engine *e, struct str chat_template,
                      struct err *err)
{
    struct local *l = mem_array(1, sizeof *l);
    if (!l)
        return err_set(err, ENOMEMORY, "local provider: no memory");
    l->base.ops = &local_ops;
    l->engine = e;
    l->seq = -1;
    enum status s = prompt_format_new(&l->format, engine_model(e), chat_template, err);
    if (s != OK) {
        free(l);
        return s;
    }
    *out = &l->base;
    return OK;
}
