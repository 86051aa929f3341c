#include "server/tokens.h"
#include "base/jsonw.h"
#include "server/app.h"
#include "server/ask.h"
#include <math.h>
#include <stdlib.h>

enum { BODY_MAX = 64 << 20, MAX_DOCUMENTS = 10000 };

/* Body and model of a request; the model may be absent when exactly one is loaded. */
struct only {
    int n;
    struct buf name;
};

static void count_loaded(void *ctx, const struct hub_model *m)
{
    struct only *o = ctx;
    o->n++;
    buf_clear(&o->name);
    buf_addstr(&o->name, m->name);
}

static enum status open_model(struct ask *a, const struct http_request *q, struct err *err)
{
    struct hub *hub = app_of(q)->hub;
    struct str model;
    struct only only = {0};
    enum status s = ask_init(a, q, err);
    if (s == OK)
        s = json_get_str(a->body, "model", &model, err);
    if (s != OK)
        return s;
    buf_init(&only.name, 1024);
    if (!model.p) {
        hub_each(hub, count_loaded, &only);
        if (only.n == 1)
            model = arena_str(&a->arena, buf_str(&only.name));
    }
    buf_release(&only.name);
    return ask_open(a, hub, model, 0, KEEP_DEFAULT, NULL, err);
}

static enum status finish(struct ask *a, struct reply *reply, struct buf *out, enum status s,
                          struct err *err)
{
    if (s == OK)
        s = buf_check(out, "answer", err);
    if (s == OK)
        reply_json(reply, 200, out);
    ask_close(a);
    buf_release(out);
    return s;
}

/* ---- tokens ---- */

static enum status write_tokens(struct jsonw *w, const struct tokenizer *t,
                                const struct tokens *ids, bool pieces, struct err *err)
{
    struct buf piece;
    enum status s = OK;
    buf_init(&piece, 1 << 20);
    jsonw_key(w, "tokens");
    jsonw_arr(w);
    for (size_t i = 0; i < ids->n && s == OK; i++) {
        if (!pieces) {
            jsonw_int(w, ids->id[i]);
            continue;
        }
        buf_clear(&piece);
        s = tokenizer_token_bytes(t, ids->id[i], &piece, err);
        jsonw_obj(w);
        jsonw_kint(w, "id", ids->id[i]);
        jsonw_kstr(w, "piece", buf_str(&piece));
        jsonw_end(w);
    }
    jsonw_end(w);
    buf_release(&piece);
    return s;
}

enum status tokens_tokenize(struct http_request *q, struct reply *reply, struct err *err)
{
    struct ask a;
    struct buf out;
    struct jsonw w;
    struct str text;
    struct tokens ids = {0};
    bool add, parse, pieces;
    buf_init(&out, BODY_MAX);
    enum status s = open_model(&a, q, err);
    if (s == OK)
        s = json_get_str(a.body, "content", &text, err);
    if (s == OK && !text.p)
        s = json_get_str(a.body, "prompt", &text, err);
    if (s == OK && !text.p)
        s = err_set(err, EUSAGE, "content: absent, expected a text");
    if (s == OK)
        s = json_get_bool(a.body, "add_special", &add, false, err);
    if (s == OK)
        s = json_get_bool(a.body, "parse_special", &parse, true, err);
    if (s == OK)
        s = json_get_bool(a.body, "with_pieces", &pieces, false, err);
    if (s == OK)
        s = tokenizer_encode(
            model_tokenizer(a.lease.model), text,
            (add ? TOKENIZE_ADD_SPECIAL : 0u) | (parse ? TOKENIZE_PARSE_SPECIAL : 0u), &ids, err);
    if (s == OK) {
        jsonw_init(&w, &out, 0);
        jsonw_obj(&w);
        s = write_tokens(&w, model_tokenizer(a.lease.model), &ids, pieces, err);
        jsonw_kint(&w, "count", (int64_t)ids.n);
        jsonw_end(&w);
    }
    tokens_free(&ids);
    return finish(&a, reply, &out, s, err);
}

enum status tokens_detokenize(struct http_request *q, struct reply *reply, struct err *err)
{
    struct ask a;
    struct buf out, text;
    struct jsonw w;
    struct tokens ids = {0};
    buf_init(&out, BODY_MAX);
    buf_init(&text, BODY_MAX);
    enum status s = open_model(&a, q, err);
    const json_t *list = s == OK ? json_object_get(a.body, "tokens") : NULL;
    if (s == OK && !json_is_array(list))
        s = err_set(err, EUSAGE, "tokens: expected a list of ids");
    for (size_t i = 0; s == OK && i < json_array_size(list); i++) {
        const json_t *id = json_array_get(list, i);
        if (!json_is_integer(id) || json_integer_value(id) < 0 ||
            json_integer_value(id) > INT32_MAX)
            s = err_set(err, EUSAGE, "tokens[%zu]: expected a token id", i);
        else if (!tokens_add(&ids, (int32_t)json_integer_value(id)))
            s = err_set(err, ENOMEMORY, "tokens: no memory");
    }
    if (s == OK)
        s = tokenizer_decode(model_tokenizer(a.lease.model), ids.id, ids.n, false, &text, err);
    if (s == OK) {
        jsonw_init(&w, &out, 0);
        jsonw_obj(&w);
        jsonw_kstr(&w, "content", buf_str(&text));
        jsonw_end(&w);
    }
    tokens_free(&ids);
    buf_release(&text);
    return finish(&a, reply, &out, s, err);
}

/* ---- prompts ---- */

static enum status read_messages(struct ask *a, struct err *err)
{
    const json_t *list = json_object_get(a->body, "messages");
    size_t i;
    json_t *one;
    enum status s = OK;
    if (!json_is_array(list) || json_array_size(list) == 0)
        return err_set(err, EUSAGE, "messages: expected a list of at least one message");
    json_array_foreach(list, i, one)
    {
        struct str role, text;
        struct chat_message *m = NULL;
        if (s == OK)
            s = json_get_str(one, "role", &role, err);
        if (s == OK && !role.p)
            s = err_set(err, EUSAGE, "messages[%zu]: no role", i);
        if (s == OK)
            s = ask_text(a, json_object_get(one, "content"), "content", &text, err);
        if (s == OK && !(m = ask_message(a)))
            s = err_set(err, ENOMEMORY, "messages: no memory");
        if (s != OK)
            return s;
        m->role = role;
        m->content = text;
    }
    return ask_tools(a, json_object_get(a->body, "tools"), err);
}

enum status tokens_apply_template(struct http_request *q, struct reply *reply, struct err *err)
{
    struct ask a;
    struct buf out, text;
    struct jsonw w;
    struct tokens ids = {0};
    const json_t *think = NULL;
    buf_init(&out, BODY_MAX);
    buf_init(&text, BODY_MAX);
    enum status s = open_model(&a, q, err);
    if (s == OK && !a.lease.provider)
        s = err_set(err, EUSAGE, "\"%.*s\" does not support chat", STR_ARG(a.model));
    if (s == OK)
        s = read_messages(&a, err);
    if (s == OK && (think = json_object_get(a.body, "think")) && json_is_boolean(think))
        a.r.thinking = json_is_true(think) ? THINK_ON : THINK_OFF;
    if (s == OK)
        s = provider_prompt(a.lease.provider, &a.r, &text, &ids, err);
    if (s == OK) {
        jsonw_init(&w, &out, 0);
        jsonw_obj(&w);
        jsonw_kstr(&w, "prompt", buf_str(&text));
        jsonw_kint(&w, "tokens", (int64_t)ids.n);
        jsonw_end(&w);
    }
    tokens_free(&ids);
    buf_release(&text);
    return finish(&a, reply, &out, s, err);
}

/* ---- ranking ---- */

struct rank {
    size_t index;
    double score;
    struct str text;
};

static int by_score(const void *a, const void *b)
{
    const struct rank *x = a, *y = b;
    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    return x->index > y->index ? 1 : -1;
}

/* A document: a string or {"text": ...}. */
static enum status document_text(const json_t *v, size_t i, struct str *out, struct err *err)
{
    const json_t *text = json_is_object(v) ? json_object_get(v, "text") : v;
    if (!json_is_string(text))
        return err_set(err, EUSAGE, "documents[%zu]: expected a text", i);
    *out = json_str(text);
    return OK;
}

static enum status rank_all(struct ask *a, struct str query, const json_t *documents,
                            struct rank *v, int64_t *tokens, struct err *err)
{
    enum status s = OK;
    for (size_t i = 0; s == OK && i < json_array_size(documents); i++) {
        int64_t n = 0;
        v[i].index = i;
        s = document_text(json_array_get(documents, i), i, &v[i].text, err);
        if (s == OK)
            s = hub_rank(&a->lease, query, v[i].text, &v[i].score, &n, err);
        if (s == OK && *a->q->gone)
            s = err_set(err, ECANCEL, "the client left");
        *tokens += n;
    }
    return s;
}

static void write_ranks(struct buf *out, const struct ask *a, const struct rank *v, size_t n,
                        bool texts, int64_t tokens)
{
    struct jsonw w;
    jsonw_init(&w, out, 0);
    jsonw_obj(&w);
    jsonw_kstr(&w, "model", a->model);
    jsonw_key(&w, "results");
    jsonw_arr(&w);
    for (size_t i = 0; i < n; i++) {
        jsonw_obj(&w);
        jsonw_kint(&w, "index", (int64_t)v[i].index);
        jsonw_knum(&w, "relevance_score", v[i].score);
        if (texts) {
            jsonw_key(&w, "document");
            jsonw_obj(&w);
            jsonw_kstr(&w, "text", v[i].text);
            jsonw_end(&w);
        }
        jsonw_end(&w);
    }
    jsonw_end(&w);
    jsonw_key(&w, "usage");
    jsonw_obj(&w);
    jsonw_kint(&w, "prompt_tokens", tokens);
    jsonw_kint(&w, "total_tokens", tokens);
    jsonw_end(&w);
    jsonw_end(&w);
}

enum status tokens_rerank(struct http_request *q, struct reply *reply, struct err *err)
{
    struct ask a;
    struct buf out;
    struct str query;
    struct rank *v = NULL;
    int64_t top, tokens = 0;
    bool texts;
    buf_init(&out, BODY_MAX);
    enum status s = open_model(&a, q, err);
    const json_t *documents = s == OK ? json_object_get(a.body, "documents") : NULL;
    size_t n = json_array_size(documents);
    if (s == OK)
        s = json_get_str(a.body, "query", &query, err);
    if (s == OK && !query.p)
        s = err_set(err, EUSAGE, "query: absent, expected a text");
    if (s == OK && (n == 0 || n > MAX_DOCUMENTS))
        s = err_set(err, EUSAGE, "documents: expected a list of 1 to %d texts", MAX_DOCUMENTS);
    if (s == OK)
        s = json_get_int(a.body, "top_n", &top, (int64_t)n, err);
    if (s == OK && top < 1)
        s = err_set(err, EUSAGE, "top_n: %lld, expected 1 or more", (long long)top);
    if (s == OK)
        s = json_get_bool(a.body, "return_documents", &texts, false, err);
    if (s == OK && !(v = arena_array(&a.arena, n, sizeof *v)))
        s = err_set(err, ENOMEMORY, "documents: no memory");
    if (s == OK)
        s = rank_all(&a, query, documents, v, &tokens, err);
    if (s == OK) {
        qsort(v, n, sizeof *v, by_score);
        write_ranks(&out, &a, v, (size_t)top < n ? (size_t)top : n, texts, tokens);
    }
    return finish(&a, reply, &out, s, err);
}
