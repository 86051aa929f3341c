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
#include "chat/turn.h"
#include <stdlib.h>

struct local {
    struct provider base; /* first */
    struct engine *engine;
    struct prompt_format *format;
    int seq; /* -1: none yet */
    struct tokens held;
};

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
    return turn_event(ctx, g);
}

static enum status answer(struct local *l, struct turn *t, struct err *err)
{
    struct tokens answer = {0};
    struct gen_stats stats = {0};
    size_t kept = 0;
    enum status s = keep_common(l, &t->prompt, &kept, err);
    if (s == OK) {
        t->params.history = t->prompt.id;
        t->params.n_history = kept;
        s = generate(l->engine, l->seq, t->prompt.id + kept, t->prompt.n - kept, &t->params,
                     on_event, t, &answer, &stats, err);
        if (s == OK)
            remember(l, &t->prompt, &answer, &stats);
        else
            forget(l);
    }
    if (s == OK)
        s = turn_done(t, kept, &answer, &stats, err);
    tokens_free(&answer);
    return s;
}

static enum status local_chat(struct provider *p, const struct chat_request *r,
                              const struct chat_sink *sink, struct err *err)
{
    struct local *l = (struct local *)p;
    struct turn t;
    enum status s = turn_open(&t, engine_model(l->engine), l->format, r, sink, err);
    if (s == OK)
        s = answer(l, &t, err);
    turn_close(&t);
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
