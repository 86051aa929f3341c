/* hearth generate: continue tokens, text or an infill prompt, without a chat template. */
#include "base/jsonw.h"
#include "chat/infill.h"
#include "cli/commands.h"
#include "cli/load.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is printed or collected while the answer comes. */
struct collector {
    bool json;
    struct buf text;    /* of the answer, for JSON */
    struct jsonw probs; /* the "logprobs" array */
    struct buf probs_text;
    int n_top;
    const struct tokenizer *tok;
};

static void write_choice(struct jsonw *w, const struct tokenizer *tok, int32_t token, float logprob)
{
    struct buf piece;
    struct err ignored;
    buf_init(&piece, 1 << 20);
    jsonw_kint(w, "id", token);
    if (tokenizer_token_bytes(tok, token, &piece, &ignored) == OK)
        jsonw_kstr(w, "token", buf_str(&piece));
    jsonw_key(w, "logprob");
    jsonw_f32(w, logprob);
    buf_release(&piece);
}

static int on_event(void *ctx, const struct gen_event *ev)
{
    struct collector *c = ctx;
    if (!c->json) {
        fwrite(ev->text.p, 1, ev->text.n, stdout);
        return fflush(stdout) != 0;
    }
    buf_addstr(&c->text, ev->text);
    if (c->n_top >= 0 && ev->tok) {
        struct jsonw *w = &c->probs;
        jsonw_obj(w);
        write_choice(w, c->tok, ev->tok->token, ev->tok->logprob);
        jsonw_key(w, "entropy");
        jsonw_f32(w, ev->tok->entropy);
        jsonw_key(w, "margin");
        jsonw_f32(w, ev->tok->margin);
        jsonw_key(w, "top");
        jsonw_arr(w);
        for (int i = 0; i < ev->tok->n_top; i++) {
            jsonw_obj(w);
            write_choice(w, c->tok, ev->tok->top[i].token, ev->tok->top[i].logprob);
            jsonw_end(w);
        }
        jsonw_end(w);
        jsonw_end(w);
    }
    return 0;
}

static enum status read_prompt(const struct options *o, const struct tokenizer *tok,
                               struct tokens *ids, struct err *err)
{
    unsigned flags = TOKENIZE_ADD_SPECIAL | TOKENIZE_PARSE_SPECIAL;
    if (o->tokens)
        return parse_ids(o->tokens, ids, err);
    if (o->prefix || o->suffix)
        return infill_encode(tok, str_from(o->prefix ? o->prefix : ""),
                             str_from(o->suffix ? o->suffix : ""), ids, err) == OK
                   ? OK
                   : err_prefix(err, "--prefix/--suffix");
    if (o->prompt)
        return tokenizer_encode(tok, str_from(o->prompt), flags, ids, err);
    struct buf text;
    enum status s = read_stdin(&text, err);
    if (s == OK)
        s = tokenizer_encode(tok, buf_str(&text), flags, ids, err);
    buf_release(&text);
    return s;
}

static enum status print_json(struct collector *c, const struct tokens *ids,
                              const struct gen_stats *stats, struct err *err)
{
    static const char *const ends[] = {
        [GEN_RUNNING] = "running", [GEN_STOP] = "stop",       [GEN_STOP_STRING] = "stop",
        [GEN_LENGTH] = "length",   [GEN_CONTEXT] = "context", [GEN_CANCELLED] = "cancelled",
    };
    struct buf out;
    struct jsonw w;
    buf_init(&out, (size_t)1 << 30);
    jsonw_init(&w, &out, 0);
    jsonw_obj(&w);
    jsonw_key(&w, "tokens");
    jsonw_arr(&w);
    for (size_t i = 0; i < ids->n; i++)
        jsonw_int(&w, ids->id[i]);
    jsonw_end(&w);
    jsonw_kstr(&w, "text", buf_str(&c->text));
    jsonw_kstr(&w, "finish_reason", str_from(ends[stats->end]));
    jsonw_kint(&w, "prompt_tokens", stats->n_prompt);
    jsonw_kint(&w, "drafted_tokens", stats->n_drafted);
    jsonw_kint(&w, "accepted_tokens", stats->n_accepted);
    jsonw_knum(&w, "prompt_seconds", stats->prefill_s);
    jsonw_knum(&w, "seconds", stats->decode_s);
    if (c->n_top >= 0) {
        jsonw_end(&c->probs);
        buf_adds(&out, ",\"logprobs\":");
        buf_addstr(&out, buf_str(&c->probs_text));
    }
    jsonw_end(&w);
    enum status s = buf_check(&out, "output", err);
    if (s == OK)
        print_line(&out);
    buf_release(&out);
    return s;
}

enum status cmd_generate(const struct options *o, struct err *err)
{
    struct loaded l;
    struct gen_params p = {0};
    struct gen_stats stats;
    struct tokens prompt = {0}, ids = {0};
    struct collector c = {.json = o->json,
                          .n_top = o->logprobs == INT64_MIN ? -1 : (int)o->logprobs};
    int seq;
    buf_init(&c.text, (size_t)1 << 30);
    buf_init(&c.probs_text, (size_t)1 << 30);
    jsonw_init(&c.probs, &c.probs_text, 0);
    jsonw_arr(&c.probs);
    enum status s = load_model(&l, o, true, err);
    if (s == OK)
        s = load_draft(&l, o, err);
    if (s == OK)
        s = generation_from(&p, o, l.model, err);
    if (s == OK) {
        p.draft_model = l.drafter;
        c.tok = model_tokenizer(l.model);
        s = read_prompt(o, c.tok, &prompt, err);
    }
    if (s == OK)
        s = engine_seq_new(l.engine, &seq, err);
    if (s == OK)
        s = generate(l.engine, seq, prompt.id, prompt.n, &p, on_event, &c, &ids, &stats, err);
    if (s == OK && o->json)
        s = print_json(&c, &ids, &stats, err);
    else if (s == OK)
        putchar('\n');
    if (s == OK && stats.end == GEN_CONTEXT && p.max_tokens >= 0)
        s = err_set(err, ECONTEXT,
                    "the context of %lld tokens was full after %lld of %lld tokens, expected "
                    "--ctx with more or --context-shift",
                    (long long)engine_n_ctx(l.engine), (long long)stats.n_generated,
                    (long long)p.max_tokens);
    free((void *)p.stop);
    free((void *)p.sampler.bias);
    buf_release(&c.text);
    buf_release(&c.probs_text);
    tokens_free(&prompt);
    tokens_free(&ids);
    unload(&l);
    return s;
}
