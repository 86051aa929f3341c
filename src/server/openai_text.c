/* POST /v1/completions and /v1/embeddings, GET /v1/models (which Anthropic's API has too: its
 * clients are known by their anthropic-version header). */
#include "server/anthropic.h"
#include "server/app.h"
#include "server/models.h"
#include "server/openai.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { BODY_MAX = 256 << 20, MAX_INPUTS = 2048 };

/* ---- completions ---- */

struct text_choice {
    struct gathered an;
    struct buf tokens, logprobs, tops, offsets; /* insides of the lists of "logprobs" */
    size_t chars;                               /* told so far, for the offsets */
    struct str echo;
};

struct stream {
    struct ask *a;
    struct reply *reply;
    bool stream, usage, echo;
    int per_prompt, n_prompts, n;
    char id[64];
    int64_t created;
    struct buf out;
    struct text_choice *choices;
};

/* One prompt: a string, or a list of token ids. */
static enum status read_prompt(struct ask *a, const json_t *v, struct chat_request *r,
                               struct str *echo, struct err *err)
{
    if (json_is_string(v)) {
        r->prompt = json_str(v);
        *echo = r->prompt;
        return OK;
    }
    size_t n = json_array_size(v);
    int32_t *ids = n ? arena_array(&a->arena, n, sizeof *ids) : NULL;
    if (!ids)
        return err_set(err, EUSAGE, "prompt: expected a string, token ids, or a list of these");
    for (size_t i = 0; i < n; i++) {
        const json_t *id = json_array_get(v, i);
        if (!json_is_integer(id) || json_integer_value(id) < 0 ||
            json_integer_value(id) > INT32_MAX)
            return err_set(err, EUSAGE, "prompt: element %zu is no token id", i);
        ids[i] = (int32_t)json_integer_value(id);
    }
    r->tokens = ids;
    r->n_tokens = n;
    struct buf text;
    buf_init(&text, BODY_MAX);
    enum status s = tokenizer_decode(model_tokenizer(a->lease.model), ids, n, false, &text, err);
    if (s == OK)
        *echo = arena_str(&a->arena, buf_str(&text));
    buf_release(&text);
    return s;
}

static enum status read_prompts(struct stream *st, struct chat_request **out, struct err *err)
{
    struct ask *a = st->a;
    const json_t *v = json_object_get(a->body, "prompt"), *head = json_array_get(v, 0);
    bool many = json_is_array(v) && (json_is_string(head) || json_is_array(head));
    size_t n = many ? json_array_size(v) : 1;
    struct str suffix;
    enum status s = json_get_str(a->body, "suffix", &suffix, err);
    if (s != OK)
        return s;
    if (suffix.n && !ask_able(a, CAN_INSERT))
        return err_set(err, EUSAGE, "suffix: model '%.*s' cannot insert", STR_ARG(a->model));
    if (n * (size_t)st->per_prompt > MANY_MAX)
        return err_set(err, ELIMIT, "prompt: %zu prompts times n %d, at most %d answers", n,
                       st->per_prompt, MANY_MAX);
    st->n_prompts = (int)n;
    st->n = st->n_prompts * st->per_prompt;
    struct chat_request *r = ask_copies(a, st->n);
    st->choices = arena_array(&a->arena, (size_t)st->n, sizeof *st->choices);
    if (!r || !st->choices)
        return err_set(err, ENOMEMORY, "prompt: no memory");
    for (int i = 0; i < st->n && s == OK; i++) {
        size_t p = (size_t)(i / st->per_prompt);
        st->choices[i] = (struct text_choice){0};
        if (suffix.n)
            r[i].suffix = suffix;
        s = read_prompt(a, many ? json_array_get(v, p) : v, &r[i], &st->choices[i].echo, err);
    }
    *out = r;
    return s;
}

static enum status read_request(struct stream *st, struct chat_request **requests, struct err *err)
{
    struct ask *a = st->a;
    struct str model;
    int64_t n, best, top;
    enum status s = json_get_str(a->body, "model", &model, err);
    if (s == OK)
        s = json_get_bool(a->body, "stream", &st->stream, false, err);
    if (s == OK)
        s = json_get_bool(json_object_get(a->body, "stream_options"), "include_usage", &st->usage,
                          false, err);
    if (s == OK)
        s = json_get_bool(a->body, "echo", &st->echo, false, err);
    if (s == OK)
        s = json_get_int(a->body, "n", &n, 1, err);
    if (s == OK && (n < 1 || n > MANY_MAX))
        s = err_set(err, EUSAGE, "n: %lld, expected 1 to %d", (long long)n, MANY_MAX);
    if (s == OK)
        s = json_get_int(a->body, "best_of", &best, n, err);
    if (s == OK && best != n)
        s = err_set(err, EUNSUPPORTED, "best_of: %lld, only n (%lld) is supported", (long long)best,
                    (long long)n);
    if (s == OK)
        s = json_get_int(a->body, "logprobs", &top, -1, err);
    if (s == OK && (top < -1 || top > 20))
        s = err_set(err, EUSAGE, "logprobs: %lld, expected 0 to 20", (long long)top);
    if (s == OK)
        s = openai_format(json_object_get(a->body, "response_format"), err);
    if (s == OK)
        s = ask_open(a, app_of(a->q)->hub, model, 0, KEEP_DEFAULT, &openai_defaults, err);
    if (s == OK && !a->lease.provider)
        s = err_set(err, EUSAGE, "model '%.*s' does not support completions", STR_ARG(model));
    if (s != OK)
        return s;
    st->per_prompt = (int)n;
    a->r.params.max_tokens = 16; /* OpenAI's default here */
    a->r.logprobs = top >= 0;
    a->r.params.sampler.n_top = top > 0 ? (int)top : 0;
    s = openai_params(a, err);
    return s == OK ? read_prompts(st, requests, err) : s;
}

/* An object by text, most likely first: of texts that read the same (parts of characters among
 * them, which JSON cannot hold) the first one stays, since a key stands once. */
static void add_tops(struct buf *out, const struct chat_logprob *l)
{
    size_t at[TOP_MAX], end[TOP_MAX], n = 0;
    buf_addc(out, '{');
    for (int i = 0; i < l->n_top; i++) {
        size_t before = out->n;
        bool twice = false;
        buf_adds(out, n ? "," : "");
        at[n] = out->n;
        jsonw_quote(out, l->top[i].text, false);
        end[n] = out->n;
        struct str all = buf_str(out), key = str_slice(all, at[n], end[n]);
        for (size_t k = 0; k < n && !twice; k++)
            twice = str_eq(key, str_slice(all, at[k], end[k]));
        if (twice) {
            out->n = before;
            continue;
        }
        buf_printf(out, ":%.9g", (double)l->top[i].logprob);
        n++;
    }
    buf_addc(out, '}');
}

static void add_logprob(struct text_choice *c, const struct chat_logprob *l)
{
    const char *comma = c->tokens.n ? "," : "";
    buf_adds(&c->tokens, comma);
    jsonw_quote(&c->tokens, l->text, false);
    buf_printf(&c->logprobs, "%s%.9g", comma, (double)l->logprob);
    buf_printf(&c->offsets, "%s%zu", comma, c->chars);
    buf_adds(&c->tops, comma);
    add_tops(&c->tops, l);
    for (size_t i = 0; i < l->text.n; i++) /* characters, not bytes */
        c->chars += ((unsigned char)l->text.p[i] & 0xc0) != 0x80;
}

static void write_logprobs(struct jsonw *w, struct text_choice *c)
{
    const struct {
        const char *key;
        struct buf *list;
    } rows[] = {{"tokens", &c->tokens},
                {"token_logprobs", &c->logprobs},
                {"top_logprobs", &c->tops},
                {"text_offset", &c->offsets}};
    jsonw_key(w, "logprobs");
    if (!c->tokens.n) {
        jsonw_null(w);
        return;
    }
    jsonw_obj(w);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf list;
        buf_init(&list, BODY_MAX);
        buf_addc(&list, '[');
        buf_addstr(&list, buf_str(rows[i].list));
        buf_addc(&list, ']');
        jsonw_key(w, rows[i].key);
        jsonw_raw(w, buf_str(&list));
        buf_release(&list);
        buf_clear(rows[i].list);
    }
    jsonw_end(w);
}

static void write_head(struct stream *st, struct jsonw *w)
{
    buf_clear(&st->out);
    jsonw_init(w, &st->out, 0);
    jsonw_obj(w);
    jsonw_kstr(w, "id", str_from(st->id));
    jsonw_kstr(w, "object", STR("text_completion"));
    jsonw_kint(w, "created", st->created);
    jsonw_kstr(w, "model", st->a->model);
    jsonw_kstr(w, "system_fingerprint", STR("fp_hearth"));
    jsonw_key(w, "choices");
    jsonw_arr(w);
}

static void write_choice(struct stream *st, struct jsonw *w, int i, struct str text,
                         const char *finish)
{
    jsonw_obj(w);
    jsonw_kint(w, "index", i);
    jsonw_kstr(w, "text", text);
    write_logprobs(w, &st->choices[i]);
    jsonw_key(w, "finish_reason");
    if (finish)
        jsonw_str(w, str_from(finish));
    else
        jsonw_null(w);
    if (finish && st->choices[i].an.usage.end == GEN_CANCELLED)
        jsonw_kbool(w, "cancelled", true);
    jsonw_end(w);
}

static int send_chunk(struct stream *st, int i, struct str text, const char *finish)
{
    struct jsonw w;
    write_head(st, &w);
    write_choice(st, &w, i, text, finish);
    jsonw_end(&w);
    jsonw_end(&w);
    return st->out.failed || reply_sse(st->reply, NULL, buf_str(&st->out));
}

static int on_event(void *ctx, int i, const struct chat_event *ev)
{
    struct stream *st = ctx;
    struct text_choice *c = &st->choices[i];
    struct chat_event text = *ev;
    if (ev->kind == CHAT_THINKING)
        text.kind = CHAT_TEXT; /* nothing is set apart in plain text */
    if (ev->kind == CHAT_DONE && ev->usage->end == GEN_CANCELLED && !http_cancelled(st->a->q))
        return 1;
    if (ev->logprob)
        add_logprob(c, ev->logprob);
    if (!st->stream || ev->kind == CHAT_DONE) {
        if (!gathered_take(&c->an, st->a, &text))
            return 1;
        return st->stream ? send_chunk(st, i, STR(""), openai_finish(&c->an.usage, false)) : 0;
    }
    if (text.kind != CHAT_TEXT || (ev->text.n == 0 && !ev->logprob))
        return 0;
    if (st->echo && c->echo.p) {
        struct str echo = c->echo;
        c->echo = (struct str){0};
        if (send_chunk(st, i, echo, NULL))
            return 1;
    }
    return send_chunk(st, i, ev->text, NULL);
}

/* Prompts of one request are counted each, the n answers to one of them once. */
static void write_usage(struct stream *st, struct jsonw *w)
{
    struct chat_usage u[MANY_MAX];
    for (int i = 0; i < st->n; i++)
        u[i] = st->choices[i].an.usage;
    for (int i = st->per_prompt; i < st->n; i += st->per_prompt) {
        u[0].prompt_tokens += u[i].prompt_tokens;
        u[0].cached_tokens += u[i].cached_tokens;
    }
    jsonw_key(w, "usage");
    openai_usage(w, u, st->n);
}

static enum status send_whole(struct stream *st, struct err *err)
{
    struct jsonw w;
    write_head(st, &w);
    for (int i = 0; i < st->n; i++) {
        struct text_choice *c = &st->choices[i];
        struct buf text;
        buf_init(&text, BODY_MAX);
        if (st->echo)
            buf_addstr(&text, c->echo);
        buf_addstr(&text, buf_str(&c->an.text));
        write_choice(st, &w, i, buf_str(&text), openai_finish(&c->an.usage, false));
        buf_release(&text);
    }
    jsonw_end(&w);
    write_usage(st, &w);
    jsonw_end(&w);
    enum status s = buf_check(&st->out, "answer", err);
    if (s == OK)
        reply_json(st->reply, 200, &st->out);
    return s;
}

static void end_stream(struct stream *st)
{
    struct jsonw w;
    if (st->usage) {
        write_head(st, &w);
        jsonw_end(&w);
        write_usage(st, &w);
        jsonw_end(&w);
        reply_sse(st->reply, NULL, buf_str(&st->out));
    }
    reply_sse(st->reply, NULL, STR("[DONE]"));
}

static enum status complete(struct stream *st, const struct chat_request *requests, struct err *err)
{
    struct many_sink sink = {on_event, st};
    buf_init(&st->out, BODY_MAX);
    for (int i = 0; i < st->n; i++) {
        struct text_choice *c = &st->choices[i];
        struct buf *lists[] = {&c->tokens, &c->logprobs, &c->tops, &c->offsets};
        gathered_init(&c->an);
        for (size_t k = 0; k < sizeof lists / sizeof *lists; k++)
            buf_init(lists[k], BODY_MAX);
    }
    enum status s = ask_many(st->a, requests, st->n, &sink, err);
    if (s == OK && st->stream)
        end_stream(st);
    else if (s == OK)
        s = send_whole(st, err);
    else if (reply_started(st->reply))
        openai_stream_error(st->reply, err, st->a->q);
    for (int i = 0; i < st->n; i++) {
        struct text_choice *c = &st->choices[i];
        gathered_release(&c->an);
        buf_release(&c->tokens);
        buf_release(&c->logprobs);
        buf_release(&c->tops);
        buf_release(&c->offsets);
    }
    buf_release(&st->out);
    return reply_started(st->reply) ? OK : s;
}

enum status openai_completions(struct http_request *q, struct reply *reply, struct err *err)
{
    struct ask a;
    char hex[25];
    struct chat_request *requests = NULL;
    struct stream st = {.a = &a, .reply = reply, .created = unix_now_ns() / 1000000000};
    random_hex(hex, 12);
    snprintf(st.id, sizeof st.id, "cmpl-%s", hex);
    enum status s = ask_init(&a, q, err);
    if (s == OK)
        s = read_request(&st, &requests, err);
    if (s == OK)
        s = complete(&st, requests, err);
    ask_close(&a);
    return s;
}

/* ---- embeddings ---- */

static void write_base64(struct buf *out, const unsigned char *p, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    buf_addc(out, '"');
    for (size_t i = 0; i < n; i += 3) {
        unsigned v = (unsigned)p[i] << 16 | (i + 1 < n ? (unsigned)p[i + 1] << 8 : 0) |
                     (i + 2 < n ? p[i + 2] : 0);
        buf_addc(out, digits[v >> 18]);
        buf_addc(out, digits[v >> 12 & 63]);
        buf_addc(out, i + 1 < n ? digits[v >> 6 & 63] : '=');
        buf_addc(out, i + 2 < n ? digits[v & 63] : '=');
    }
    buf_addc(out, '"');
}

void embedding_cut(float *v, size_t *n, int64_t dimensions)
{
    double sum = 0;
    if (dimensions > 0 && (size_t)dimensions < *n)
        *n = (size_t)dimensions;
    for (size_t i = 0; i < *n; i++)
        sum += (double)v[i] * (double)v[i];
    double scale = sum > 0 ? 1 / sqrt(sum) : 0;
    for (size_t i = 0; i < *n; i++)
        v[i] = (float)((double)v[i] * scale);
}

/* One input's text: a string, or token ids, whose text is embedded. */
static enum status input_text(struct ask *a, const json_t *v, struct str *out, struct err *err)
{
    struct chat_request ignored = {0};
    return read_prompt(a, v, &ignored, out, err);
}

static void write_vector(struct jsonw *w, size_t index, const float *v, size_t n, bool base64)
{
    struct buf text;
    jsonw_obj(w);
    jsonw_kstr(w, "object", STR("embedding"));
    jsonw_kint(w, "index", (int64_t)index);
    jsonw_key(w, "embedding");
    if (base64) {
        buf_init(&text, BODY_MAX);
        write_base64(&text, (const unsigned char *)v, n * sizeof *v);
        jsonw_raw(w, buf_str(&text));
        buf_release(&text);
    } else {
        jsonw_arr(w);
        for (size_t i = 0; i < n; i++)
            jsonw_f32(w, v[i]);
        jsonw_end(w);
    }
    jsonw_end(w);
}

/* The "data" of n inputs: input itself, or the elements of a list. */
static enum status embed_all(struct ask *a, const json_t *input, bool many, size_t n,
                             int64_t dimensions, bool base64, struct jsonw *w, int64_t *tokens,
                             struct err *err)
{
    struct buf floats;
    struct str *texts = arena_array(&a->arena, n, sizeof *texts);
    enum status s = texts ? OK : err_set(err, ENOMEMORY, "input: no memory for %zu texts", n);
    buf_init(&floats, BODY_MAX);
    for (size_t i = 0; s == OK && i < n; i++)
        s = input_text(a, many ? json_array_get(input, i) : input, &texts[i], err);
    if (s == OK)
        s = hub_embed(&a->lease, texts, n, false, &floats, tokens, err);
    for (size_t i = 0; s == OK && i < n; i++) {
        size_t width = floats.n / n / sizeof(float);
        float *v = (float *)(void *)floats.p + i * width;
        embedding_cut(v, &width, dimensions);
        write_vector(w, i, v, width, base64);
    }
    buf_release(&floats);
    return s;
}

static enum status embeddings(struct ask *a, struct buf *out, struct err *err)
{
    const json_t *input = json_object_get(a->body, "input"), *head = json_array_get(input, 0);
    bool many = json_is_array(input) && !json_is_integer(head);
    size_t n = many ? json_array_size(input) : 1;
    struct str model, format;
    int64_t dimensions, tokens = 0;
    struct jsonw w;
    enum status s = json_get_str(a->body, "model", &model, err);
    if (s == OK)
        s = json_get_str(a->body, "encoding_format", &format, err);
    if (s == OK && format.p && !str_is(format, "float") && !str_is(format, "base64"))
        s = err_set(err, EUSAGE, "encoding_format: '%.*s', expected float or base64",
                    STR_ARG(format));
    if (s == OK)
        s = json_get_int(a->body, "dimensions", &dimensions, 0, err);
    if (s == OK && dimensions < 0)
        s = err_set(err, EUSAGE, "dimensions: %lld, expected 1 or more", (long long)dimensions);
    if (s == OK && (!input || n == 0 || n > MAX_INPUTS))
        s = err_set(err, EUSAGE, "input: expected a text, token ids, or a list of 1 to %d of these",
                    MAX_INPUTS);
    if (s == OK)
        s = ask_open(a, app_of(a->q)->hub, model, 0, KEEP_DEFAULT, NULL, err);
    if (s != OK)
        return s;
    jsonw_init(&w, out, 0);
    jsonw_obj(&w);
    jsonw_kstr(&w, "object", STR("list"));
    jsonw_key(&w, "data");
    jsonw_arr(&w);
    s = embed_all(a, input, many, n, dimensions, str_is(format, "base64"), &w, &tokens, err);
    jsonw_end(&w);
    jsonw_kstr(&w, "model", a->model);
    jsonw_key(&w, "usage");
    jsonw_obj(&w);
    jsonw_kint(&w, "prompt_tokens", tokens);
    jsonw_kint(&w, "total_tokens", tokens);
    jsonw_end(&w);
    jsonw_end(&w);
    return s == OK ? buf_check(out, "embeddings", err) : s;
}

enum status openai_embeddings(struct http_request *q, struct reply *reply, struct err *err)
{
    struct ask a;
    struct buf out;
    buf_init(&out, BODY_MAX);
    enum status s = ask_init(&a, q, err);
    if (s == OK)
        s = embeddings(&a, &out, err);
    if (s == OK)
        reply_json(reply, 200, &out);
    ask_close(&a);
    buf_release(&out);
    return s;
}

/* ---- models ---- */

static void write_model(struct jsonw *w, const struct store_model *m, struct str id)
{
    jsonw_obj(w);
    jsonw_kstr(w, "id", id);
    jsonw_kstr(w, "object", STR("model"));
    jsonw_kint(w, "created", m->modified_unix_ns / 1000000000);
    jsonw_kstr(w, "owned_by", str_from(m->name.ns));
    jsonw_end(w);
}

static void write_list_end(struct jsonw *w, struct str first, struct str last)
{
    (void)first, (void)last;
    jsonw_kstr(w, "object", STR("list"));
}

enum status openai_models(struct http_request *q, struct reply *reply, struct err *err)
{
    if (http_header(q, "anthropic-version").p)
        return anthropic_models(q, reply, err);
    return models_list(q, reply, write_model, write_list_end, err);
}

enum status openai_model(struct http_request *q, struct reply *reply, struct err *err)
{
    if (http_header(q, "anthropic-version").p)
        return anthropic_model(q, reply, err);
    return models_one(q, reply, write_model, err);
}
