/* The stepper of one answer: read the prompt, then pick, take and feed until something ends it.
 *
 * `take` is everything that happens to one chosen token (history, ends, text, event). A step may
 * carry drafted tokens after the chosen one (draft.h): their rows are picked from and taken in
 * order until a pick differs from its draft or ends the answer, and the rows behind are forgotten.
 * A row's logits have the same bits as in a step of its own, and the sampler sees them in the same
 * order, so drafts change no token, whoever made them: prompt lookup, or a small model that was
 * asked before (gen_wish).
 *
 * Invariant: the text (history, prompt, answer) is what the KV cache holds, but for its last
 * `unread` tokens. While a prompt is read these are many, between picks it is the last one: a
 * picked token is fed only when another one is wanted. A sequence that lost its pages has more
 * unread again, and nothing else changes. (Only a context shift breaks the first half: the cache
 * then ends like the text and has a gap before.) */
#include "engine/gen.h"
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
    const int32_t *prompt;
    size_t n_prompt, unread;
    int64_t n_ctx, n_vocab;
    int64_t before; /* tokens that the sequence held before the prompt */
    bool answering; /* the prompt has been read once */
    int n_rows;     /* of the last gen_rows */
    int n_draft; /* tokens of `draft` among them; with a draft the logits are rows 0 to n_draft */
    int n_wrong; /* rows that gen_settle forgets */
    int64_t start_ns;
    struct sampler *sampler;
    struct drafter *drafter; /* NULL: no drafts */
    int32_t draft[DRAFT_MAX];
    struct draft_seq *second; /* the text as the draft model has it; NULL: there is no such model */
    struct draft_wish wish;   /* .want 0: none was made for the next rows */
    bool by_model;            /* it made the draft */
    int64_t n_model_drafted, n_model_accepted;
    size_t out_from; /* tokens that io.out held before */
    struct stopper stopper;
    struct detok detok;
    struct buf piece, told;
    struct buf breaker_text; /* of the token that the sampler asked about last */
    int32_t *ends;           /* end tokens, banned before min_tokens */
    size_t n_ends;
    int32_t last; /* token that was picked last */
    struct gen_io io;
    struct gen_stats own_stats, *stats;
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

/* Tokens of text that drafts can look back on: all that there may be, in a context of this size. */
static size_t draft_text(const struct gen *g)
{
    int64_t n = g->n_ctx, text = (int64_t)(g->p->n_history + g->n_prompt);
    if (!g->p->context_shift && g->p->max_tokens >= 0 && g->p->max_tokens < n - text)
        n = text + g->p->max_tokens;
    return (size_t)(n > 1 ? n : 1);
}

static enum status gen_init(struct gen *g, struct err *err)
{
    struct model_info info;
    model_info(engine_model(g->e), &info);
    g->tok = model_tokenizer(engine_model(g->e));
    g->n_vocab = info.n_vocab;
    enum status st = stopper_init(&g->stopper, g->p->stop, g->p->n_stop, err);
    if (st == OK)
        st = sampler_new(&g->sampler, &g->p->sampler, (size_t)g->n_vocab, token_text, g, err);
    if (st == OK && g->p->min_tokens > 0)
        st = find_ends(g, err);
    if (st == OK && g->p->draft > 0 && engine_max_logits(g->e) > 1)
        st = drafter_new(&g->drafter, draft_text(g), g->p->draft_always, err);
    if (st != OK || !g->drafter || !g->p->draft_model || !g->io.out)
        return st;
    drafter_expect(g->drafter, draft_model_chance(g->p->draft_model));
    g->second = draft_seq_open(g->p->draft_model);
    return g->second ? OK : err_set(err, ENOMEMORY, "generate: no memory for drafts");
}

static enum status check_params(const struct gen_params *p, struct err *err)
{
    if (p->max_tokens < -1)
        return err_set(err, EUSAGE, "max_tokens: %lld, expected -1 (no limit) or more",
                       (long long)p->max_tokens);
    if (p->draft < 0 || p->draft > DRAFT_MAX)
        return err_set(err, EUSAGE, "draft: %d, expected 0 (off) to %d", p->draft, DRAFT_MAX);
    if (p->n_ctx < 0)
        return err_set(err, EUSAGE, "n_ctx: %lld, expected 0 (the engine's) or more",
                       (long long)p->n_ctx);
    return OK;
}

static enum status check_prompt(const struct gen *g, struct err *err)
{
    int64_t room = g->n_ctx - g->before;
    if (g->n_prompt == 0)
        return err_set(err, EUSAGE, "prompt: no tokens, expected at least one");
    if (g->n_prompt > (size_t)(room > 0 ? room : 0))
        return err_set(err, ECONTEXT,
                       "prompt: %zu tokens after %lld in the cache, but the context holds %lld",
                       g->n_prompt, (long long)g->before, (long long)g->n_ctx);
    return OK;
}

enum status gen_new(struct gen **out, struct engine *e, int seq, const int32_t *prompt, size_t n,
                    const struct gen_params *p, const struct gen_io *io, struct err *err)
{
    *out = NULL;
    struct gen *g = mem_array(1, sizeof *g);
    if (!g)
        return err_set(err, ENOMEMORY, "generate: no memory");
    g->e = e;
    g->seq = seq;
    g->p = p;
    g->prompt = prompt;
    g->n_prompt = g->unread = n;
    g->before = engine_seq_len(e, seq);
    g->n_ctx = engine_n_ctx(e);
    if (p->n_ctx > 0 && p->n_ctx < g->n_ctx)
        g->n_ctx = p->n_ctx;
    g->io = *io;
    g->out_from = io->out ? io->out->n : 0;
    g->stats = io->stats ? io->stats : &g->own_stats;
    *g->stats = (struct gen_stats){
        .end = GEN_RUNNING, .stop_index = -1, .n_prompt = (int64_t)n, .n_cached = g->before};
    buf_init(&g->piece, TEXT_MAX);
    buf_init(&g->told, TEXT_MAX);
    buf_init(&g->breaker_text, TEXT_MAX);
    enum status st = check_params(p, err);
    if (st == OK)
        st = gen_init(g, err);
    if (st == OK)
        st = check_prompt(g, err);
    if (st != OK) {
        gen_free(g);
        return st;
    }
    engine_seq_expect(e, seq, g->before + (int64_t)n);
    g->start_ns = clock_ns();
    *out = g;
    return OK;
}

void gen_free(struct gen *g)
{
    if (!g)
        return;
    sampler_free(g->sampler);
    drafter_free(g->drafter);
    if (g->second)
        draft_seq_close(g->second, g->n_model_drafted, g->n_model_accepted);
    stopper_release(&g->stopper);
    buf_release(&g->piece);
    buf_release(&g->told);
    buf_release(&g->breaker_text);
    free(g->ends);
    free(g);
}

enum gen_end gen_end(const struct gen *g)
{
    return g->stats->end;
}

size_t gen_unread(const struct gen *g)
{
    return g->unread;
}

bool gen_reading(const struct gen *g)
{
    return !g->answering || g->unread > 1;
}

void gen_lend(struct gen *g, struct sampler_scratch *x)
{
    sampler_lend(g->sampler, x);
}

void gen_share_times(struct gen *g, struct step_times *t)
{
    if (g->drafter)
        drafter_share_times(g->drafter, t);
}

size_t gen_n_text(const struct gen *g)
{
    return g->p->n_history + g->n_prompt + (size_t)g->stats->n_generated;
}

int32_t gen_text(const struct gen *g, size_t i)
{
    size_t n = g->p->n_history;
    if (i < n)
        return g->p->history[i];
    n += g->n_prompt;
    return i < n ? g->prompt[i - g->p->n_history] : g->io.out->id[g->out_from + i - n];
}

void gen_reseat_whole(struct gen *g, int seq)
{
    g->seq = seq;
}

void gen_reseat(struct gen *g, int seq, int64_t n)
{
    g->seq = seq;
    g->unread = gen_n_text(g) - (size_t)n;
    if (n < g->before + (int64_t)g->n_prompt)
        engine_seq_expect(g->e, seq, g->before + (int64_t)g->n_prompt);
}

static void emit(struct gen *g, const struct token_info *info)
{
    if (!g->io.on_event)
        return;
    struct gen_event ev = {.text = buf_str(&g->told), .tok = info};
    if (g->io.on_event(g->io.ctx, &ev) != 0)
        g->stats->end = GEN_CANCELLED;
}

/* A token that was there before the answer: penalties and drafts look back on it. */
static void look_back(struct gen *g, int32_t token)
{
    sampler_accept(g->sampler, token);
    if (g->drafter)
        drafter_add(g->drafter, token);
}

/* A chunk was read and there is more. */
static void tell_chunk(struct gen *g)
{
    if (g->answering || !g->io.on_event || g->unread >= g->n_prompt)
        return;
    struct gen_event ev = {
        .text = STR(""), .prompt_done = g->n_prompt - g->unread, .prompt_total = g->n_prompt};
    if (g->io.on_event(g->io.ctx, &ev) == 0)
        return;
    g->stats->prefill_s = clock_since(g->start_ns);
    g->stats->end = GEN_CANCELLED;
}

/* The logits behind the prompt are there. */
static void begin_answer(struct gen *g)
{
    g->answering = true;
    g->stats->prefill_s = clock_since(g->start_ns);
    for (size_t i = 0; i < g->p->n_history; i++)
        look_back(g, g->p->history[i]);
    for (size_t i = 0; i < g->n_prompt; i++)
        look_back(g, g->prompt[i]);
    if (g->p->max_tokens == 0)
        g->stats->end = GEN_LENGTH;
    g->start_ns = clock_ns();
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

static bool is_shown(const struct gen_params *p, int32_t token)
{
    bool shown = p->show_special;
    for (size_t i = 0; i < p->n_shown && !shown; i++)
        shown = p->shown[i] == token;
    return shown;
}

/* One token has been chosen: remembers it, tells its text, and sets stats->end if it ends the
 * answer. */
static enum status take(struct gen *g, const struct token_info *info, struct err *err)
{
    struct gen_stats *stats = g->stats;
    g->last = info->token;
    stats->n_generated++;
    if (g->io.out && !tokens_add(g->io.out, info->token))
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
    enum status st =
        detok_add(g->tok, &g->detok, info->token, !is_shown(g->p, info->token), &g->piece, err);
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
                       (long long)g->n_ctx);
    g->stats->n_shifts++;
    return engine_seq_shift(g->e, g->seq, 1, n, err);
}

/* A caller's history may hold anything, and behind an end token nothing is picked. */
static bool can_be_fed(const struct gen *g, int32_t token)
{
    return token >= 0 && token < g->n_vocab &&
           (g->p->ignore_eos || !model_is_end(engine_model(g->e), token));
}

/* Tokens that may be guessed behind the one that is fed next: at most `most`, and no more than
 * max_tokens leaves a use for, the context has room for and angles stay the same for. */
static int guesses(const struct gen *g, int most)
{
    int64_t room = g->n_ctx - engine_seq_len(g->e, g->seq) - 1;
    most = most < engine_max_logits(g->e) - 1 ? most : engine_max_logits(g->e) - 1;
    if (g->p->draft < most)
        most = g->p->draft;
    if (g->p->max_tokens >= 0 && g->p->max_tokens - g->stats->n_generated - 1 < most)
        most = (int)(g->p->max_tokens - g->stats->n_generated - 1);
    if (!g->drafter || most < 1)
        return 0;
    most = engine_seq_ahead(g->e, g->seq, 1 + most) - 1;
    return most < room ? most : (int)room;
}

static int32_t text_token(const void *g, size_t i)
{
    return gen_text(g, i);
}

struct draft_wish *gen_wish(struct gen *g, int most, int beside)
{
    g->wish.want = 0;
    if (!g->second || gen_reading(g))
        return NULL;
    double cost = draft_model_cost(g->p->draft_model, drafter_plain_ns(g->drafter, 0));
    int n = drafter_ask_model(g->drafter, guesses(g, most - 1), beside, cost);
    if (n < 1)
        return NULL;
    g->wish = (struct draft_wish){.seq = g->second,
                                  .token = text_token,
                                  .text = g,
                                  .n_text = gen_n_text(g),
                                  .want = n,
                                  .out = g->draft};
    return &g->wish;
}

/* The draft behind the token that is fed next: what the model made, or what prompt lookup finds. */
static void guess(struct gen *g, int most, int beside)
{
    int n = guesses(g, most);
    g->by_model = g->wish.want > 0 && g->wish.n > 0;
    if (g->by_model)
        n = g->wish.n < n ? g->wish.n : n;
    else if (n > 0)
        n = drafter_guess_beside(g->drafter, g->draft, n, beside);
    g->wish.want = 0;
    while (g->n_draft < n && can_be_fed(g, g->draft[g->n_draft]))
        g->n_draft++;
}

/* Where a chunk of n unread tokens has to end. Tokens of the answer that are read again keep their
 * own angles, and so their bits, where these change with the length. */
static int chunk_of(const struct gen *g, int n)
{
    size_t at = gen_n_text(g) - g->unread, prompt_end = g->p->n_history + g->n_prompt;
    if ((size_t)n > g->unread)
        n = (int)g->unread;
    if (at < prompt_end)
        return (size_t)n < prompt_end - at ? n : (int)(prompt_end - at);
    int ahead = engine_seq_ahead(g->e, g->seq, n);
    return ahead > 1 ? ahead : 1;
}

int gen_rows(struct gen *g, struct step_row *rows, int most, int beside)
{
    g->n_draft = g->n_rows = 0;
    if (!gen_reading(g)) {
        if (engine_seq_len(g->e, g->seq) >= g->n_ctx)
            return 0;
        guess(g, most - 1, beside);
        rows[0] = (struct step_row){.token = g->last, .seq = g->seq, .logits = true};
        for (int i = 0; i < g->n_draft; i++)
            rows[1 + i] = (struct step_row){.token = g->draft[i], .seq = g->seq, .logits = true};
        return g->n_rows = 1 + g->n_draft;
    }
    int n = chunk_of(g, most);
    size_t from = gen_n_text(g) - g->unread;
    for (int i = 0; i < n; i++)
        rows[i] =
            (struct step_row){gen_text(g, from + (size_t)i), g->seq, (size_t)i + 1 == g->unread};
    return g->n_rows = n;
}

int gen_n_logits(const struct gen *g)
{
    return (size_t)g->n_rows < g->unread ? 0 : 1 + g->n_draft;
}

/* Picks and takes from the rows of the last step for as long as the pick is what was drafted;
 * g->last is then the last one, and the cache has to end with the token before it. */
static enum status pick_rows(struct gen *g, int logits, struct err *err)
{
    struct token_info info = {0};
    enum status st = OK;
    int row = 0;
    for (;; row++) {
        st = pick(g, logits + row, &info, err);
        if (st == OK)
            st = take(g, &info, err);
        if (st != OK || g->stats->end != GEN_RUNNING || row == g->n_draft ||
            info.token != g->draft[row])
            break;
    }
    g->n_wrong = g->n_draft - row;
    g->stats->n_accepted += row;
    if (g->by_model && g->n_draft > 0) {
        /* behind an end nothing was judged */
        bool judged = st == OK && g->stats->end == GEN_RUNNING;
        drafter_judge_model(g->drafter, judged ? g->n_draft : row, row);
        g->n_model_drafted += g->n_draft;
        g->n_model_accepted += row;
    }
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

/* Everything is over but the telling. */
static enum status finish(struct gen *g, struct err *err)
{
    enum gen_end end = g->stats->end;
    g->stats->decode_s = clock_since(g->start_ns);
    return end == GEN_STOP_STRING || end == GEN_CANCELLED ? OK : tell_rest(g, err);
}

enum status gen_take(struct gen *g, int logits, struct err *err)
{
    if ((size_t)g->n_rows < g->unread) {
        g->unread -= (size_t)g->n_rows;
        tell_chunk(g);
        return OK;
    }
    enum status st = OK;
    g->unread = 0;
    g->stats->n_drafted += g->n_draft;
    if (!g->answering)
        begin_answer(g);
    if (g->stats->end == GEN_RUNNING)
        st = pick_rows(g, logits, err);
    g->unread = 1;
    if (st == OK && g->stats->end != GEN_RUNNING)
        return finish(g, err);
    if (st != OK)
        g->stats->decode_s = clock_since(g->start_ns);
    return st;
}

void gen_settle(struct gen *g)
{
    if (g->n_wrong)
        engine_seq_truncate(g->e, g->seq, engine_seq_len(g->e, g->seq) - g->n_wrong);
    g->n_wrong = 0;
}

enum status gen_full(struct gen *g, struct err *err)
{
    if (g->p->context_shift)
        return shift(g, err);
    g->stats->end = GEN_CONTEXT;
    return finish(g, err);
}

void gen_cancel(struct gen *g)
{
    double *s = g->answering ? &g->stats->decode_s : &g->stats->prefill_s;
    *s = clock_since(g->start_ns);
    g->stats->end = GEN_CANCELLED;
}
