/* The generation loop: read the prompt, then pick, take, step until something ends it.
 *
 * `take` is everything that happens to one chosen token (history, ends, text, event) and `feed` is
 * one engine step; they are apart so that a step may carry drafted tokens after the chosen one
 * (draft.h): their rows are picked from and taken in order until a pick differs from its draft or
 * ends the answer, and the rows behind are forgotten. A row's logits have the same bits as in a
 * step of its own, and the sampler sees them in the same order, so drafts change no token.
 *
 * Invariant: between steps the KV cache holds every generated token but the last one; a token is
 * fed only when another one is wanted. */
#include "engine/generate.h"
#include "base/clock.h"
#include "base/mem.h"
#include "engine/stop.h"
#include <stdlib.h>

enum { TEXT_MAX = 1 << 20 }; /* bytes of one token's text, held-back text included */

struct gen {
    struct engine *e;
    const struct tokenizer *tok;
    int seq;
    const struct gen_params *p;
    int64_t n_vocab;
    struct sampler *sampler;
    struct drafter *drafter; /* NULL: no drafts */
    int32_t draft[DRAFT_MAX];
    int n_draft; /* tokens of `draft` that the last step carried; its rows are 0 to n_draft */
    struct stopper stopper;
    struct detok detok;
    struct buf piece, told;
    struct buf breaker_text; /* of the token that the sampler asked about last */
    int32_t *ends;           /* end tokens, banned before min_tokens */
    size_t n_ends;
    int (*on_event)(void *ctx, const struct gen_event *ev);
    void *ctx;
    struct tokens *out;
    struct gen_stats *stats;
};

static struct str token_text(const void *ctx, int32_t token)
{
    struct gen *g = (struct gen *)ctx;
    struct err ignored;
    buf_clear(&g->breaker_text);
    if ((size_t)token >= tokenizer_n_vocab(g->tok))
        return STR("");
    if (tokenizer_token_bytes(g->tok, token, &g->breaker_text, &ignored) != OK)
        buf_clear(&g->breaker_text);
    return buf_str(&g->breaker_text);
}

static enum status find_ends(struct gen *g, struct err *err)
{
    const struct model *m = engine_model(g->e);
    int32_t n_vocab = (int32_t)tokenizer_n_vocab(g->tok);
    for (int32_t id = 0; id < n_vocab; id++)
        g->n_ends += model_is_end(m, id);
    g->ends = mem_array(g->n_ends + 1, sizeof *g->ends);
    if (!g->ends)
        return err_set(err, ENOMEMORY, "generate: no memory for %zu end tokens", g->n_ends);
    size_t n = 0;
    for (int32_t id = 0; id < n_vocab; id++)
        if (model_is_end(m, id))
            g->ends[n++] = id;
    return OK;
}

static enum status gen_init(struct gen *g, struct err *err)
{
    struct model_info info;
    model_info(engine_model(g->e), &info);
    g->tok = model_tokenizer(engine_model(g->e));
    g->n_vocab = info.n_vocab;
    buf_init(&g->piece, TEXT_MAX);
    buf_init(&g->told, TEXT_MAX);
    buf_init(&g->breaker_text, TEXT_MAX);
    enum status st = stopper_init(&g->stopper, g->p->stop, g->p->n_stop, err);
    if (st == OK)
        st = sampler_new(&g->sampler, &g->p->sampler, (size_t)g->n_vocab, token_text, g, err);
    if (st == OK && g->p->min_tokens > 0)
        st = find_ends(g, err);
    if (st == OK && g->p->draft > 0 && engine_max_logits(g->e) > 1)
        st = drafter_new(&g->drafter, (size_t)engine_n_ctx(g->e), g->p->draft_always, err);
    return st;
}

static void gen_release(struct gen *g)
{
    sampler_free(g->sampler);
    drafter_free(g->drafter);
    stopper_release(&g->stopper);
    buf_release(&g->piece);
    buf_release(&g->told);
    buf_release(&g->breaker_text);
    free(g->ends);
}

static void emit(struct gen *g, const struct token_info *info)
{
    if (!g->on_event)
        return;
    struct gen_event ev = {.text = buf_str(&g->told), .tok = info};
    if (g->on_event(g->ctx, &ev) != 0)
        g->stats->end = GEN_CANCELLED;
}

static int on_chunk(void *ctx, size_t done, size_t total)
{
    struct gen *g = ctx;
    if (!g->on_event)
        return 0;
    struct gen_event ev = {.text = STR(""), .prompt_done = done, .prompt_total = total};
    return g->on_event(g->ctx, &ev);
}

/* A token that was there before the answer: penalties and drafts look back on it. */
static void look_back(struct gen *g, int32_t token)
{
    sampler_accept(g->sampler, token);
    if (g->drafter)
        drafter_add(g->drafter, token);
}

/* Reads the prompt; afterwards the logits of its last token are there, or stats->end is set. */
static enum status read_prompt(struct gen *g, const int32_t *prompt, size_t n, struct err *err)
{
    int64_t before = engine_seq_len(g->e, g->seq), room = engine_n_ctx(g->e) - before;
    g->stats->n_prompt = (int64_t)n;
    g->stats->n_cached = before;
    if (n == 0)
        return err_set(err, EUSAGE, "prompt: no tokens, expected at least one");
    if (n > (size_t)(room > 0 ? room : 0))
        return err_set(err, ECONTEXT,
                       "prompt: %zu tokens after %lld in the cache, but the context holds %lld", n,
                       (long long)before, (long long)engine_n_ctx(g->e));
    int64_t start = clock_ns();
    enum status st = engine_prefill(g->e, g->seq, prompt, n, on_chunk, g, err);
    g->stats->prefill_s = clock_since(start);
    if (st == ECANCEL) {
        g->stats->end = GEN_CANCELLED;
        return OK;
    }
    if (st != OK) {
        engine_seq_truncate(g->e, g->seq, before);
        return st;
    }
    for (size_t i = 0; i < g->p->n_history; i++)
        look_back(g, g->p->history[i]);
    for (size_t i = 0; i < n; i++)
        look_back(g, prompt[i]);
    return OK;
}

static enum status pick(struct gen *g, int row, struct token_info *info, struct err *err)
{
    size_t n_banned = g->stats->n_generated < g->p->min_tokens ? g->n_ends : 0;
    if (sampler_pick(g->sampler, engine_logits(g->e, row), g->ends, n_banned, info) >= 0)
        return OK;
    return err_set(err, EFAIL,
                   "no token can be chosen after %lld: every logit is NaN, -infinity or banned",
                   (long long)g->stats->n_generated);
}

/* One token has been chosen: remembers it, tells its text, and sets stats->end if it ends the
 * answer. */
static enum status take(struct gen *g, const struct token_info *info, struct err *err)
{
    struct gen_stats *stats = g->stats;
    stats->n_generated++;
    if (g->out && !tokens_add(g->out, info->token))
        return err_set(err, ENOMEMORY, "generate: no memory for token %lld",
                       (long long)stats->n_generated);
    sampler_accept(g->sampler, info->token);
    if (g->drafter)
        drafter_take(g->drafter, info->token);
    if (!g->p->ignore_eos && model_is_end(engine_model(g->e), info->token)) {
        stats->end = GEN_STOP;
        return OK;
    }
    buf_clear(&g->piece);
    buf_clear(&g->told);
    enum status st = detok_add(g->tok, &g->detok, info->token, !g->p->show_special, &g->piece, err);
    if (st != OK)
        return st;
    int stop = stopper_feed(&g->stopper, buf_str(&g->piece), &g->told);
    st = buf_check(&g->told, "text of a token", err);
    if (st != OK)
        return st;
    if (stop >= 0) {
        stats->end = GEN_STOP_STRING;
        stats->stop_index = stop;
    } else if (g->p->max_tokens >= 0 && stats->n_generated >= g->p->max_tokens) {
        stats->end = GEN_LENGTH;
    }
    emit(g, info);
    return OK;
}

/* Makes room by dropping the older half, but never the first token: attention leans on it (Xiao et
 * al. 2023, "attention sinks"). */
static enum status shift(struct gen *g, struct err *err)
{
    int64_t len = engine_seq_len(g->e, g->seq), n = (len - 1) / 2;
    if (n < 1)
        return err_set(err, ECONTEXT, "context of %lld tokens is full and too short to shift",
                       (long long)engine_n_ctx(g->e));
    g->stats->n_shifts++;
    return engine_seq_shift(g->e, g->seq, 1, n, err);
}

/* A caller's history may hold anything, and behind an end token nothing is picked. */
static bool can_be_fed(const struct gen *g, int32_t token)
{
    return token >= 0 && token < g->n_vocab &&
           (g->p->ignore_eos || !model_is_end(engine_model(g->e), token));
}

/* Guesses what follows the token that is fed next: no more than max_tokens leaves a use for, and
 * than one step can verify with the bits of a step each. */
static void guess(struct gen *g)
{
    int64_t most = g->p->draft;
    if (g->p->max_tokens >= 0 && g->p->max_tokens - g->stats->n_generated - 1 < most)
        most = g->p->max_tokens - g->stats->n_generated - 1;
    if (engine_max_logits(g->e) - 1 < most)
        most = engine_max_logits(g->e) - 1;
    g->n_draft = 0;
    if (!g->drafter || most < 1)
        return;
    most = engine_seq_ahead(g->e, g->seq, 1 + (int)most) - 1;
    int n = drafter_guess(g->drafter, g->draft, (int)most);
    while (g->n_draft < n && can_be_fed(g, g->draft[g->n_draft]))
        g->n_draft++;
}

static enum status step(struct gen *g, int32_t token, struct err *err)
{
    struct step_row rows[1 + DRAFT_MAX] = {{.token = token, .seq = g->seq, .logits = true}};
    for (int i = 0; i < g->n_draft; i++)
        rows[1 + i] = (struct step_row){.token = g->draft[i], .seq = g->seq, .logits = true};
    int64_t start = clock_ns();
    enum status st = engine_step(g->e, rows, 1 + g->n_draft, err);
    if (st == OK && g->drafter)
        drafter_timed(g->drafter, 1 + g->n_draft, clock_ns() - start);
    if (st == OK)
        g->stats->n_drafted += g->n_draft;
    return st;
}

/* Feeds the chosen token, whose logits are then row 0, and drafts behind it. A full context ends
 * the answer or shifts. */
static enum status feed(struct gen *g, int32_t token, struct err *err)
{
    guess(g);
    enum status st = step(g, token, err);
    if (st != ECONTEXT)
        return st;
    if (!g->p->context_shift) {
        g->stats->end = GEN_CONTEXT;
        return OK;
    }
    st = shift(g, err);
    return st == OK ? step(g, token, err) : st;
}

/* Picks and takes from the rows of the last step for as long as the pick is what was drafted;
 * *token is then the last one, and the cache ends with the token before it. */
static enum status pick_rows(struct gen *g, int32_t *token, struct err *err)
{
    struct token_info info = {0};
    enum status st = OK;
    int row = 0;
    for (;; row++) {
        st = pick(g, row, &info, err);
        if (st == OK)
            st = take(g, &info, err);
        if (st != OK || g->stats->end != GEN_RUNNING || row == g->n_draft ||
            info.token != g->draft[row])
            break;
    }
    if (row < g->n_draft)
        engine_seq_truncate(g->e, g->seq, engine_seq_len(g->e, g->seq) - (g->n_draft - row));
    g->stats->n_accepted += row;
    *token = info.token;
    return st;
}

/* The answer is over, and not by a stop string: half a character and held-back text are told. */
static enum status tell_rest(struct gen *g, struct err *err)
{
    buf_clear(&g->piece);
    buf_clear(&g->told);
    detok_flush(&g->detok, &g->piece);
    int stop = stopper_feed(&g->stopper, buf_str(&g->piece), &g->told);
    if (stop >= 0) {
        g->stats->end = GEN_STOP_STRING;
        g->stats->stop_index = stop;
    }
    stopper_flush(&g->stopper, &g->told);
    enum status st = buf_check(&g->told, "text of an answer's end", err);
    if (st == OK && g->told.n > 0)
        emit(g, NULL);
    return st;
}

static enum status run(struct gen *g, const int32_t *prompt, size_t n, struct err *err)
{
    int32_t token;
    enum status st = read_prompt(g, prompt, n, err);
    if (st != OK || g->stats->end != GEN_RUNNING)
        return st;
    if (g->p->max_tokens == 0)
        g->stats->end = GEN_LENGTH;
    int64_t start = clock_ns();
    while (g->stats->end == GEN_RUNNING) {
        st = pick_rows(g, &token, err);
        if (st == OK && g->stats->end == GEN_RUNNING)
            st = feed(g, token, err);
        if (st != OK)
            break;
    }
    g->stats->decode_s = clock_since(start);
    enum gen_end end = g->stats->end;
    if (st == OK && end != GEN_STOP_STRING && end != GEN_CANCELLED)
        st = tell_rest(g, err);
    return st;
}

enum status generate(struct engine *e, int seq, const int32_t *prompt, size_t n,
                     const struct gen_params *p,
                     int (*on_event)(void *ctx, const struct gen_event *ev), void *ctx,
                     struct tokens *out, struct gen_stats *stats, struct err *err)
{
    struct gen_stats own;
    struct gen g = {
        .e = e,
        .seq = seq,
        .p = p,
        .on_event = on_event,
        .ctx = ctx,
        .out = out,
        .stats = stats ? stats : &own,
    };
    *g.stats = (struct gen_stats){.end = GEN_RUNNING, .stop_index = -1};
    if (p->max_tokens < -1)
        return err_set(err, EUSAGE, "max_tokens: %lld, expected -1 (no limit) or more",
                       (long long)p->max_tokens);
    if (p->draft < 0 || p->draft > DRAFT_MAX)
        return err_set(err, EUSAGE, "draft: %d, expected 0 (off) to %d", p->draft, DRAFT_MAX);
    enum status st = gen_init(&g, err);
    if (st == OK)
        st = run(&g, prompt, n, err);
    gen_release(&g);
    return st;
}
