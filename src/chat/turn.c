#include "chat/turn.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "chat/infill.h"
#include <stdlib.h>

enum { MAX_PROMPT = 64 << 20, MAX_TEXTS = 64 << 20 };

/* Puts what the answer has to begin with behind the rendered prompt. */
static enum status force_beginning(struct turn *t, const struct prompt_format *f, struct buf *text,
                                   struct err *err)
{
    const struct reply_format *reply = prompt_format_reply(f);
    t->in_thinking = reply_starts_thinking(reply, buf_str(text));
    enum status s = reply_force(reply, t->r, t->in_thinking, &t->forced, err);
    buf_addstr(text, buf_str(&t->forced));
    return s == OK ? buf_check(text, "prompt", err) : s;
}

/* A template writes BOS itself or relies on the tokenizer: it is put in front where the vocabulary
 * wants one and the template wrote none. */
static enum status encode_messages(struct turn *t, const struct prompt_format *f, struct err *err)
{
    struct buf text;
    buf_init(&text, MAX_PROMPT);
    enum status s = prompt_render_request(f, t->r, &text, err);
    if (s == OK)
        s = force_beginning(t, f, &text, err);
    struct str prompt = buf_str(&text);
    int32_t bos = tokenizer_special(t->tok, SPECIAL_BOS);
    if (s == OK && bos >= 0 && tokenizer_adds_bos(t->tok) &&
        !str_starts(prompt, tokenizer_piece(t->tok, bos)) && !tokens_add(&t->prompt, bos))
        s = err_set(err, ENOMEMORY, "prompt: no memory for its tokens");
    if (s == OK)
        s = tokenizer_encode(t->tok, prompt, TOKENIZE_PARSE_SPECIAL, &t->prompt, err);
    buf_release(&text);
    return s;
}

/* The gap's text by a Go template, which names the vocabulary's own tokens. */
static enum status encode_gap(struct turn *t, const struct prompt_format *f, struct err *err)
{
    struct buf text;
    buf_init(&text, MAX_PROMPT);
    enum status s = prompt_render_gap(f, t->r->prompt, t->r->suffix, &text, err);
    if (s == OK)
        s = tokenizer_encode(t->tok, buf_str(&text), TOKENIZE_ADD_SPECIAL | TOKENIZE_PARSE_SPECIAL,
                             &t->prompt, err);
    buf_release(&text);
    return s;
}

static enum status add_ids(struct turn *t, const int32_t *ids, size_t n, struct err *err)
{
    for (size_t i = 0; i < n; i++)
        if (!tokens_add(&t->prompt, ids[i]))
            return err_set(err, ENOMEMORY, "prompt: no memory for its tokens");
    return OK;
}

static enum status encode_prompt(struct turn *t, const struct prompt_format *f, struct err *err)
{
    const struct chat_request *r = t->r;
    enum status s = add_ids(t, r->before, r->n_before, err);
    if (s != OK)
        return s;
    if (r->n_messages)
        return encode_messages(t, f, err);
    if (r->prompt.p && r->suffix.p && prompt_format_mentions(f, "Suffix"))
        return encode_gap(t, f, err);
    if (r->prompt.p && r->suffix.p)
        return infill_encode(t->tok, r->prompt, r->suffix, &t->prompt, err) == OK
                   ? OK
                   : err_prefix(err, "infill");
    if (r->prompt.p)
        return tokenizer_encode(t->tok, r->prompt, TOKENIZE_ADD_SPECIAL | TOKENIZE_PARSE_SPECIAL,
                                &t->prompt, err);
    return add_ids(t, r->tokens, r->n_tokens, err);
}

/* The request's parameters with the format's own stop text behind the request's. */
static enum status set_params(struct turn *t, const struct prompt_format *f, struct err *err)
{
    const struct gen_params *p = &t->r->params;
    struct str own = t->r->n_messages ? prompt_format_stop(f) : STR("");
    t->params = *p;
    if (t->r->max_ctx)
        t->params.n_ctx = t->r->max_ctx;
    if (t->r->n_messages) {
        t->params.shown = prompt_format_shown(f)->id;
        t->params.n_shown = prompt_format_shown(f)->n;
    }
    if (own.n == 0)
        return OK;
    t->stops = mem_array(p->n_stop + 1, sizeof *t->stops);
    if (!t->stops)
        return err_set(err, ENOMEMORY, "stop texts: no memory");
    for (size_t i = 0; i < p->n_stop; i++)
        t->stops[i] = p->stop[i];
    t->stops[p->n_stop] = own;
    t->params.stop = t->stops;
    t->params.n_stop = p->n_stop + 1;
    return OK;
}

static int tell(struct turn *t, struct chat_event *ev)
{
    if (ev->kind != CHAT_CALL) {
        ev->token = t->token;
        ev->logprob = t->token_lp;
        t->token = NULL;
        t->token_lp = NULL;
    }
    t->stopped = t->sink->event(t->sink->ctx, ev) != 0 || t->stopped;
    return t->stopped;
}

static int on_reply(void *ctx, enum chat_event_kind kind, struct str text,
                    const struct chat_call *call)
{
    struct chat_event ev = {.kind = kind, .text = text, .call = call};
    return tell(ctx, &ev);
}

/* The parser, which has read what the answer has to begin with. */
static enum status open_reply(struct turn *t, const struct prompt_format *f, struct err *err)
{
    const struct chat_request *r = t->r;
    const struct reply_format *format = prompt_format_reply(f);
    if (r->n_messages == 0 || (!format->calls && !format->think))
        return OK;
    struct reply_options o = {
        .format = format,
        .tools = r->choice == CHOICE_NONE ? STR("") : r->tools,
        .thinking = t->in_thinking,
        .forced = t->forced.n > 0,
        .one = r->choice == CHOICE_NAMED,
        /* ids that differ from one turn of a conversation to the next, and are the same again when
         * the same is asked */
        .id_seed =
            r->params.sampler.seed ^ hash_bytes(t->prompt.id, t->prompt.n * sizeof *t->prompt.id),
        .tell = on_reply,
        .ctx = t,
    };
    enum status s = reply_new(&t->reply, &o, err);
    return s == OK ? reply_feed(t->reply, buf_str(&t->forced), err) : s;
}

static enum status too_late(struct err *err)
{
    return err_set(err, ELIMIT, "deadline: it passed before the answer was over");
}

enum status turn_open(struct turn *t, const struct model *m, const struct prompt_format *f,
                      const struct chat_request *r, const struct chat_sink *sink, struct err *err)
{
    *t = (struct turn){.r = r, .sink = sink, .tok = model_tokenizer(m)};
    buf_init(&t->piece, MAX_TEXTS);
    buf_init(&t->texts, MAX_TEXTS);
    buf_init(&t->forced, MAX_TEXTS);
    if (turn_late(t))
        return too_late(err);
    enum status s = OK;
    if (r->chat_template.p)
        s = prompt_format_new(&t->own, m, r->chat_template, err);
    f = t->own ? t->own : f;
    if (s == OK)
        s = encode_prompt(t, f, err);
    if (s == OK)
        s = set_params(t, f, err);
    if (s == OK)
        s = open_reply(t, f, err);
    if (s == OK && r->logprobs && !(t->logprob = mem_array(1, sizeof *t->logprob)))
        s = err_set(err, ENOMEMORY, "log-probabilities: no memory");
    return s;
}

/* The same without an answer to come: text gets what is rendered or given as text. */
enum status turn_prompt(const struct model *m, const struct prompt_format *f,
                        const struct chat_request *r, struct buf *text, struct tokens *ids,
                        struct err *err)
{
    struct turn t;
    enum status s = turn_open(&t, m, f, r, NULL, err);
    if (s == OK && text && r->n_messages)
        s = prompt_render_request(t.own ? t.own : f, r, text, err);
    else if (s == OK && text)
        s = tokenizer_decode(t.tok, t.prompt.id, t.prompt.n, false, text, err);
    for (size_t i = 0; s == OK && ids && i < t.prompt.n; i++)
        if (!tokens_add(ids, t.prompt.id[i]))
            s = err_set(err, ENOMEMORY, "prompt: no memory for its tokens");
    turn_close(&t);
    return s;
}

void turn_close(struct turn *t)
{
    prompt_format_free(t->own);
    tokens_free(&t->prompt);
    free(t->stops);
    free(t->logprob);
    buf_release(&t->piece);
    buf_release(&t->texts);
    buf_release(&t->forced);
    reply_free(t->reply);
}

bool turn_cancelled(const struct turn *t)
{
    return t->r->cancel && atomic_load(t->r->cancel) != 0;
}

bool turn_late(const struct turn *t)
{
    return t->r->deadline_ns && clock_ns() >= t->r->deadline_ns;
}

/* Appends the bytes of a token to t->texts and returns how many. */
static size_t add_text(struct turn *t, int32_t token)
{
    struct err ignored;
    buf_clear(&t->piece);
    if ((size_t)token < tokenizer_n_vocab(t->tok) &&
        tokenizer_token_bytes(t->tok, token, &t->piece, &ignored) == OK)
        buf_addstr(&t->texts, buf_str(&t->piece));
    return t->piece.n;
}

static const struct chat_logprob *logprob_of(struct turn *t, const struct token_info *info)
{
    struct chat_logprob *lp = t->logprob;
    size_t n[TOP_MAX + 1], at = 0;
    buf_clear(&t->texts);
    lp->token = info->token;
    lp->logprob = info->logprob;
    lp->n_top = info->n_top;
    n[0] = add_text(t, info->token);
    for (int i = 0; i < info->n_top; i++) {
        lp->top[i].token = info->top[i].token;
        lp->top[i].logprob = info->top[i].logprob;
        n[i + 1] = add_text(t, info->top[i].token);
    }
    if (t->texts.failed)
        return NULL;
    const char *p = buf_str(&t->texts).p; /* it stays where it is from here on */
    lp->text = (struct str){p, at = n[0]};
    for (int i = 0; i < info->n_top; i++) {
        lp->top[i].text = (struct str){p + at, n[i + 1]};
        at += n[i + 1];
    }
    return lp;
}

/* A token's text through the parser. Each token comes with the first event that it leads to, or
 * with one of its own that has no text. */
static void tell_text(struct turn *t, const struct gen_event *g)
{
    struct chat_event ev = {.kind = CHAT_TEXT, .text = g->text};
    t->token = g->tok;
    t->token_lp = g->tok && t->logprob ? logprob_of(t, g->tok) : NULL;
    if (t->reply) {
        t->failed = reply_feed(t->reply, g->text, &t->error);
        ev.kind = reply_is_thinking(t->reply) ? CHAT_THINKING : CHAT_TEXT;
        ev.text = STR("");
    }
    if (t->failed == OK && !t->stopped && (!t->reply || t->token))
        tell(t, &ev);
}

/* The first event of all: how long the prompt is. */
static void tell_prompt(struct turn *t)
{
    struct chat_event ev = {.kind = CHAT_READING, .total = t->prompt.n};
    if (!t->told)
        t->stopped = t->sink->event(t->sink->ctx, &ev) != 0;
    t->told = true;
}

int turn_event(struct turn *t, const struct gen_event *g)
{
    tell_prompt(t);
    if (t->stopped)
        return 1;
    if (g->prompt_total) {
        struct chat_event ev = {
            .kind = CHAT_READING, .done = g->prompt_done, .total = g->prompt_total};
        t->stopped = t->sink->event(t->sink->ctx, &ev) != 0;
    } else {
        tell_text(t, g);
    }
    t->late = t->late || turn_late(t);
    return t->stopped || t->late || t->failed != OK || turn_cancelled(t) ||
           (t->reply && reply_finished(t->reply));
}

enum status turn_done(struct turn *t, size_t n_cached, const struct tokens *answer,
                      const struct gen_stats *g, struct err *err)
{
    bool finished = t->reply && reply_finished(t->reply);
    tell_prompt(t);
    if (t->late && g->end == GEN_CANCELLED)
        return too_late(err);
    if (t->reply && g->end != GEN_CANCELLED && t->failed == OK)
        t->failed = reply_end(t->reply, &t->error);
    if (t->failed != OK)
        return err_set(err, t->failed, "%s", t->error.msg);
    struct chat_usage usage = {
        .prompt_tokens = (int64_t)t->prompt.n,
        .cached_tokens = (int64_t)n_cached,
        .answer_tokens = g->n_generated,
        .drafted_tokens = g->n_drafted,
        .accepted_tokens = g->n_accepted,
        .prompt_s = g->prefill_s,
        .answer_s = g->decode_s,
        .end = g->end,
        .stop_index = g->stop_index,
    };
    if (g->end == GEN_STOP_STRING && g->stop_index == (int)t->r->params.n_stop) {
        usage.end = GEN_STOP;
        usage.stop_index = -1;
    }
    if (g->end == GEN_CANCELLED && finished && !t->stopped && !turn_cancelled(t))
        usage.end = GEN_STOP;
    struct chat_event done = {.kind = CHAT_DONE, .usage = &usage};
    if (add_ids(t, answer->id, answer->n, NULL) == OK) {
        done.ids = t->prompt.id;
        done.n_ids = t->prompt.n;
    }
    t->sink->event(t->sink->ctx, &done);
    return OK;
}
