/* POST /v1/chat/completions.
 *
 * Thinking goes to `reasoning` (as Ollama and OpenRouter name it) and `reasoning_content` (as
 * llama.cpp, vLLM and DeepSeek do): clients read one or the other. A function call is streamed in
 * one piece. Beyond OpenAI: chat_template_kwargs.enable_thinking, keep_alive, num_ctx (options). */
#include "server/app.h"
#include "server/ollama.h"
#include "server/openai.h"
#include <stdio.h>
#include <stdlib.h>

enum { BODY_MAX = 256 << 20 };

struct stream {
    struct ask *a;
    struct reply *reply;
    bool stream, usage;
    int n;
    char id[64];
    int64_t created;
    struct buf out, *logprobs; /* per answer: a list's inside, when it is not streamed */
    struct gathered *an;       /* per answer */
    bool *begun;               /* per answer: its role has been told */
};

/* ---- the request ---- */

/* Arguments are the text of an object. */
static enum status read_call(struct ask *a, const json_t *one, size_t i, struct chat_call *call,
                             struct err *err)
{
    const json_t *f = json_object_get(one, "function");
    (void)a;
    enum status s = json_get_str(one, "id", &call->id, err);
    if (s == OK)
        s = json_get_str(f, "name", &call->name, err);
    if (s == OK)
        s = json_get_str(f, "arguments", &call->arguments, err);
    if (s == OK && !call->name.p)
        s = err_set(err, EUSAGE, "tool_calls[%zu]: no function.name", i);
    if (s == OK && !call->arguments.n)
        call->arguments = STR("{}");
    return s;
}

static enum status read_message(struct ask *a, const json_t *one, size_t i, struct err *err)
{
    static const char *const roles[] = {"system", "user", "assistant", "tool"};
    struct str role, text;
    struct chat_message *m = NULL;
    bool known = false;
    enum status s = json_get_str(one, "role", &role, err);
    if (s != OK)
        return err_prefix(err, "messages[%zu]", i);
    if (str_is(role, "developer"))
        role = STR("system");
    if (str_is(role, "function"))
        role = STR("tool");
    for (size_t k = 0; k < sizeof roles / sizeof *roles; k++)
        known |= str_is(role, roles[k]);
    if (!known)
        return err_set(err, EUSAGE,
                       "messages[%zu]: role '%.*s', expected system, developer, user, assistant or "
                       "tool",
                       i, STR_ARG(role));
    s = ask_text(a, json_object_get(one, "content"), "content", &text, err);
    if (s == OK && !(m = ask_message(a)))
        s = err_set(err, ENOMEMORY, "messages: no memory");
    if (s != OK)
        return err_prefix(err, "messages[%zu]", i);
    m->role = role;
    m->content = text;
    s = json_get_str(one, "tool_call_id", &m->call_id, err);
    if (s == OK)
        s = json_get_str(one, "name", &m->tool_name, err);
    if (s == OK)
        s = json_get_str(one, "reasoning_content", &m->thinking, err);
    if (s == OK && !m->thinking.p)
        s = json_get_str(one, "reasoning", &m->thinking, err);
    return s == OK ? ask_calls(a, json_object_get(one, "tool_calls"), read_call, m, err) : s;
}

static enum status read_messages(struct ask *a, struct err *err)
{
    const json_t *list = json_object_get(a->body, "messages");
    size_t i;
    json_t *one;
    bool has_system = false;
    if (!json_is_array(list) || json_array_size(list) == 0)
        return err_set(err, EUSAGE, "messages: expected a list of at least one message");
    json_array_foreach(list, i, one)
    {
        const char *role = json_string_value(json_object_get(one, "role"));
        has_system |= role && (strcmp(role, "system") == 0 || strcmp(role, "developer") == 0);
    }
    enum status s = ask_preamble(a, has_system, err);
    json_array_foreach(list, i, one)
    {
        if (s == OK)
            s = read_message(a, one, i, err);
    }
    if (s != OK)
        return s;
    ask_name_answers(a);
    const struct chat_message *last = &a->messages[a->r.n_messages - 1];
    a->r.continue_last = str_is(last->role, "assistant") && last->n_calls == 0;
    return OK;
}

static enum status read_thinking(struct ask *a, struct err *err)
{
    struct str effort;
    bool think;
    const json_t *kwargs = json_object_get(a->body, "chat_template_kwargs");
    const json_t *on = json_object_get(kwargs, "enable_thinking");
    enum status s = json_get_str(a->body, "reasoning_effort", &effort, err);
    if (s == OK && !effort.p)
        s = json_get_str(json_object_get(a->body, "reasoning"), "effort", &effort, err);
    if (s == OK)
        s = openai_effort(a, effort, err);
    if (s == OK)
        s = json_get_bool(kwargs, "enable_thinking", &think, true, err);
    if (s == OK && on)
        a->r.thinking = think ? THINK_ON : THINK_OFF;
    return s;
}

static enum status read_logprobs(struct ask *a, struct err *err)
{
    enum status s = ask_logprobs(a, err);
    if (s == OK && a->r.params.sampler.n_top > 0 && !a->r.logprobs)
        s = err_set(err, EUSAGE, "top_logprobs needs logprobs to be true");
    return s;
}

static enum status read_request(struct ask *a, struct stream *st, struct err *err)
{
    struct str model;
    int64_t n = 1, keep, n_ctx;
    enum status s = json_get_str(a->body, "model", &model, err);
    if (s == OK)
        s = json_get_bool(a->body, "stream", &st->stream, false, err);
    if (s == OK)
        s = json_get_bool(json_object_get(a->body, "stream_options"), "include_usage", &st->usage,
                          false, err);
    if (s == OK)
        s = json_get_int(a->body, "n", &n, 1, err);
    if (s == OK && (n < 1 || n > MANY_MAX))
        s = err_set(err, EUSAGE, "n: %lld, expected 1 to %d", (long long)n, MANY_MAX);
    if (s == OK)
        s = openai_format(json_object_get(a->body, "response_format"), err);
    if (s == OK)
        s = ollama_keep_alive(json_object_get(a->body, "keep_alive"), &keep, err);
    if (s == OK)
        s = json_get_int(json_object_get(a->body, "options"), "num_ctx", &n_ctx, 0, err);
    if (s == OK)
        s = ask_open(a, app_of(a->q)->hub, model, n_ctx, keep, &openai_defaults, err);
    if (s == OK && !a->lease.provider)
        s = err_set(err, EUSAGE, "model '%.*s' does not support chat", STR_ARG(model));
    if (s == OK)
        s = openai_params(a, err);
    if (s == OK)
        s = read_logprobs(a, err);
    if (s == OK)
        s = read_thinking(a, err);
    if (s == OK)
        s = read_messages(a, err);
    if (s == OK)
        s = ask_tools(a, json_object_get(a->body, "tools"), err);
    if (s == OK)
        s = openai_tool_choice(a, json_object_get(a->body, "tool_choice"), err);
    st->n = (int)n;
    return s;
}

/* ---- the answer ---- */

static void write_calls(struct jsonw *w, const struct chat_call *calls, size_t n, size_t first,
                        bool delta)
{
    jsonw_key(w, "tool_calls");
    jsonw_arr(w);
    for (size_t i = 0; i < n; i++) {
        jsonw_obj(w);
        if (delta)
            jsonw_kint(w, "index", (int64_t)(first + i));
        jsonw_kstr(w, "id", calls[i].id);
        jsonw_kstr(w, "type", STR("function"));
        jsonw_key(w, "function");
        jsonw_obj(w);
        jsonw_kstr(w, "name", calls[i].name);
        jsonw_kstr(w, "arguments", calls[i].arguments);
        jsonw_end(w);
        jsonw_end(w);
    }
    jsonw_end(w);
}

static void write_head(struct jsonw *w, const struct stream *st, const char *object)
{
    jsonw_obj(w);
    jsonw_kstr(w, "id", str_from(st->id));
    jsonw_kstr(w, "object", str_from(object));
    jsonw_kint(w, "created", st->created);
    jsonw_kstr(w, "model", st->a->model);
    jsonw_kstr(w, "system_fingerprint", STR("fp_hearth"));
}

/* A chunk with one choice, open inside its delta. */
static void open_chunk(struct stream *st, struct jsonw *w, int index)
{
    buf_clear(&st->out);
    jsonw_init(w, &st->out, 0);
    write_head(w, st, "chat.completion.chunk");
    jsonw_key(w, "choices");
    jsonw_arr(w);
    jsonw_obj(w);
    jsonw_kint(w, "index", index);
    jsonw_key(w, "delta");
    jsonw_obj(w);
}

static int send_chunk(struct stream *st, struct jsonw *w)
{
    jsonw_end(w);
    jsonw_end(w);
    if (st->usage) { /* null in all chunks but the last, as OpenAI has it */
        jsonw_key(w, "usage");
        jsonw_null(w);
    }
    jsonw_end(w);
    return st->out.failed || reply_sse(st->reply, NULL, buf_str(&st->out));
}

static int stream_event(struct stream *st, int index, const struct chat_event *ev)
{
    struct jsonw w;
    if (ev->kind != CHAT_CALL && ev->text.n == 0 && !ev->logprob)
        return 0;
    open_chunk(st, &w, index);
    if (ev->kind == CHAT_CALL) {
        write_calls(&w, ev->call, 1, st->an[index].n_calls - 1, true);
    } else if (ev->kind == CHAT_THINKING) {
        jsonw_kstr(&w, "reasoning", ev->text);
        jsonw_kstr(&w, "reasoning_content", ev->text);
    } else if (ev->text.n) {
        jsonw_kstr(&w, "content", ev->text);
    }
    jsonw_end(&w);
    jsonw_key(&w, "logprobs");
    if (ev->logprob) {
        jsonw_obj(&w);
        jsonw_key(&w, "content");
        jsonw_arr(&w);
        logprob_write(&w, ev->logprob, true);
        jsonw_end(&w);
        jsonw_end(&w);
    } else {
        jsonw_null(&w);
    }
    jsonw_key(&w, "finish_reason");
    jsonw_null(&w);
    return send_chunk(st, &w);
}

/* The role alone, once, so that later chunks carry content alone. */
static int stream_begin(struct stream *st, int index)
{
    struct jsonw w;
    if (st->begun[index])
        return 0;
    st->begun[index] = true;
    open_chunk(st, &w, index);
    jsonw_kstr(&w, "role", STR("assistant"));
    jsonw_kstr(&w, "content", STR(""));
    jsonw_end(&w);
    jsonw_key(&w, "finish_reason");
    jsonw_null(&w);
    return send_chunk(st, &w);
}

static int stream_done(struct stream *st, int index)
{
    struct jsonw w;
    open_chunk(st, &w, index);
    jsonw_end(&w);
    jsonw_key(&w, "finish_reason");
    jsonw_str(&w, str_from(openai_finish(&st->an[index].usage, st->an[index].n_calls > 0)));
    if (st->an[index].usage.end == GEN_CANCELLED)
        jsonw_kbool(&w, "cancelled", true);
    return send_chunk(st, &w);
}

static int on_event(void *ctx, int index, const struct chat_event *ev)
{
    struct stream *st = ctx;
    struct gathered *an = &st->an[index];
    bool whole = !st->stream || ev->kind == CHAT_CALL || ev->kind == CHAT_DONE;
    if (whole && !gathered_take(an, st->a, ev))
        return 1;
    if (ev->kind == CHAT_READING || ev->kind == CHAT_ERROR)
        return 0;
    if (ev->kind == CHAT_DONE && ev->usage->end == GEN_CANCELLED && !http_cancelled(st->a->q))
        return 1;
    if (st->stream) {
        if (stream_begin(st, index))
            return 1;
        return ev->kind == CHAT_DONE ? stream_done(st, index) : stream_event(st, index, ev);
    }
    if (ev->logprob) {
        struct jsonw w;
        buf_adds(&st->logprobs[index], st->logprobs[index].n ? "," : "[");
        jsonw_init(&w, &st->logprobs[index], 0);
        logprob_write(&w, ev->logprob, true);
    }
    return 0;
}

static void write_choice(struct jsonw *w, struct stream *st, int i)
{
    const struct gathered *an = &st->an[i];
    jsonw_obj(w);
    jsonw_kint(w, "index", i);
    jsonw_key(w, "message");
    jsonw_obj(w);
    jsonw_kstr(w, "role", STR("assistant"));
    jsonw_key(w, "content");
    if (an->text.n || an->n_calls == 0)
        jsonw_str(w, buf_str(&an->text));
    else
        jsonw_null(w);
    jsonw_key(w, "refusal");
    jsonw_null(w);
    if (an->thinking.n) {
        jsonw_kstr(w, "reasoning", buf_str(&an->thinking));
        jsonw_kstr(w, "reasoning_content", buf_str(&an->thinking));
    }
    if (an->n_calls)
        write_calls(w, an->calls, an->n_calls, 0, false);
    jsonw_end(w);
    jsonw_key(w, "logprobs");
    if (st->logprobs[i].n) {
        buf_addc(&st->logprobs[i], ']');
        jsonw_obj(w);
        jsonw_key(w, "content");
        jsonw_raw(w, buf_str(&st->logprobs[i]));
        jsonw_key(w, "refusal");
        jsonw_null(w);
        jsonw_end(w);
    } else {
        jsonw_null(w);
    }
    jsonw_kstr(w, "finish_reason", str_from(openai_finish(&an->usage, an->n_calls > 0)));
    if (an->usage.end == GEN_CANCELLED)
        jsonw_kbool(w, "cancelled", true);
    jsonw_end(w);
}

static void usages(const struct stream *st, struct chat_usage *out)
{
    for (int i = 0; i < st->n; i++)
        out[i] = st->an[i].usage;
}

static enum status send_whole(struct stream *st, struct err *err)
{
    struct jsonw w;
    struct chat_usage u[MANY_MAX];
    usages(st, u);
    buf_clear(&st->out);
    jsonw_init(&w, &st->out, 0);
    write_head(&w, st, "chat.completion");
    jsonw_key(&w, "choices");
    jsonw_arr(&w);
    for (int i = 0; i < st->n; i++)
        write_choice(&w, st, i);
    jsonw_end(&w);
    jsonw_key(&w, "usage");
    openai_usage(&w, u, st->n);
    jsonw_end(&w);
    enum status s = buf_check(&st->out, "answer", err);
    if (s == OK)
        reply_json(st->reply, 200, &st->out);
    return s;
}

static void end_stream(struct stream *st)
{
    struct jsonw w;
    struct chat_usage u[MANY_MAX];
    if (st->usage) {
        usages(st, u);
        buf_clear(&st->out);
        jsonw_init(&w, &st->out, 0);
        write_head(&w, st, "chat.completion.chunk");
        jsonw_key(&w, "choices");
        jsonw_arr(&w);
        jsonw_end(&w);
        jsonw_key(&w, "usage");
        openai_usage(&w, u, st->n);
        jsonw_end(&w);
        reply_sse(st->reply, NULL, buf_str(&st->out));
    }
    reply_sse(st->reply, NULL, STR("[DONE]"));
}

static enum status answer(struct stream *st, struct err *err)
{
    struct ask *a = st->a;
    size_t n = (size_t)st->n;
    struct many_sink sink = {on_event, st};
    const struct chat_request *requests = ask_copies(a, st->n);
    st->an = arena_array(&a->arena, n, sizeof *st->an);
    st->begun = arena_array(&a->arena, n, sizeof *st->begun);
    st->logprobs = arena_array(&a->arena, n, sizeof *st->logprobs);
    if (!requests || !st->an || !st->begun || !st->logprobs)
        return err_set(err, ENOMEMORY, "answer: no memory");
    buf_init(&st->out, BODY_MAX);
    for (size_t i = 0; i < n; i++) {
        st->begun[i] = false;
        gathered_init(&st->an[i]);
        buf_init(&st->logprobs[i], BODY_MAX);
    }
    enum status s = ask_many(a, requests, st->n, &sink, err);
    if (s == OK && st->stream)
        end_stream(st);
    else if (s == OK)
        s = send_whole(st, err);
    else if (reply_started(st->reply))
        openai_stream_error(st->reply, err, a->q);
    for (size_t i = 0; i < n; i++) {
        gathered_release(&st->an[i]);
        buf_release(&st->logprobs[i]);
    }
    buf_release(&st->out);
    return reply_started(st->reply) ? OK : s;
}

enum status openai_chat(struct http_request *q, struct reply *reply, struct err *err)
{
    struct ask a;
    char hex[25];
    struct stream st = {.a = &a, .reply = reply, .created = unix_now_ns() / 1000000000};
    random_hex(hex, 12);
    snprintf(st.id, sizeof st.id, "chatcmpl-%s", hex);
    enum status s = ask_init(&a, q, err);
    if (s == OK)
        s = read_request(&a, &st, err);
    if (s == OK)
        s = answer(&st, err);
    ask_close(&a);
    return s;
}
