/* The answer of /v1/responses: its items as they come, and the events that tell them.
 *
 * Thinking is told twice, as reasoning_text (what the model thought) and as the summary's text
 * (which is all that some clients look at; it is the same text here). A function call comes in one
 * piece. */
#include "server/openai_responses.h"
#include <stdio.h>
#include <stdlib.h>

/* ---- pieces ---- */

static void kstatus(struct jsonw *w, const char *status)
{
    jsonw_kstr(w, "status", str_from(status));
}

static void write_text_part(struct jsonw *w, const struct response_item *it, bool whole)
{
    struct buf list;
    jsonw_obj(w);
    jsonw_kstr(w, "type", STR("output_text"));
    jsonw_key(w, "annotations");
    jsonw_arr(w);
    jsonw_end(w);
    buf_init(&list, RESPONSE_MAX);
    buf_addc(&list, '[');
    if (whole)
        buf_addstr(&list, buf_str(&it->logprobs));
    buf_addc(&list, ']');
    jsonw_key(w, "logprobs");
    jsonw_raw(w, buf_str(&list));
    buf_release(&list);
    jsonw_kstr(w, "text", whole ? buf_str(&it->text) : STR(""));
    jsonw_end(w);
}

static void write_thought(struct jsonw *w, const char *type, struct str text)
{
    jsonw_obj(w);
    jsonw_kstr(w, "type", str_from(type));
    jsonw_kstr(w, "text", text);
    jsonw_end(w);
}

static void write_reasoning(struct jsonw *w, const struct response_item *it, bool whole)
{
    static const char *const lists[][2] = {{"summary", "summary_text"},
                                           {"content", "reasoning_text"}};
    for (int i = 0; i < 2; i++) {
        jsonw_key(w, lists[i][0]);
        jsonw_arr(w);
        if (whole)
            write_thought(w, lists[i][1], buf_str(&it->text));
        jsonw_end(w);
    }
}

void response_write_item(struct jsonw *w, const struct response_item *it, bool whole)
{
    static const char *const types[] = {"reasoning", "message", "function_call"};
    jsonw_obj(w);
    jsonw_kstr(w, "id", str_from(it->id));
    jsonw_kstr(w, "type", str_from(types[it->kind]));
    kstatus(w, whole ? it->status : "in_progress");
    switch (it->kind) {
    case ITEM_REASONING: write_reasoning(w, it, whole); break;
    case ITEM_MESSAGE:
        jsonw_kstr(w, "role", STR("assistant"));
        jsonw_key(w, "content");
        jsonw_arr(w);
        if (whole)
            write_text_part(w, it, true);
        jsonw_end(w);
        break;
    case ITEM_CALL:
        jsonw_kstr(w, "call_id", it->call.id);
        jsonw_kstr(w, "name", it->call.name);
        jsonw_kstr(w, "arguments", whole ? it->call.arguments : STR(""));
        break;
    }
    jsonw_end(w);
}

/* A value of the request as it was, or `absent` (JSON). */
static void echo(struct jsonw *w, struct response *rs, const char *key, const char *absent)
{
    const json_t *v = json_object_get(rs->a->body, key);
    struct str text = v && !json_is_null(v) ? ask_json(rs->a, v) : str_from(absent);
    jsonw_key(w, key);
    jsonw_raw(w, text.p ? text : STR("null"));
}

static void echo_in(struct jsonw *w, struct response *rs, const char *object, const char *key,
                    const char *absent)
{
    const json_t *v = json_object_get(json_object_get(rs->a->body, object), key);
    struct str text = v && !json_is_null(v) ? ask_json(rs->a, v) : str_from(absent);
    jsonw_key(w, key);
    jsonw_raw(w, text.p ? text : STR("null"));
}

static void write_usage(struct jsonw *w, const struct response *rs)
{
    const struct chat_usage *u = &rs->usage;
    jsonw_key(w, "usage");
    if (!rs->completed) {
        jsonw_null(w);
        return;
    }
    jsonw_obj(w);
    jsonw_kint(w, "input_tokens", u->prompt_tokens);
    jsonw_key(w, "input_tokens_details");
    jsonw_obj(w);
    jsonw_kint(w, "cached_tokens", u->cached_tokens);
    jsonw_kint(w, "cache_write_tokens", 0);
    jsonw_end(w);
    jsonw_kint(w, "output_tokens", u->answer_tokens);
    jsonw_key(w, "output_tokens_details");
    jsonw_obj(w);
    jsonw_kint(w, "reasoning_tokens", rs->reasoning_tokens);
    jsonw_end(w);
    jsonw_kint(w, "total_tokens", u->prompt_tokens + u->answer_tokens);
    jsonw_end(w);
}

static void write_end(struct jsonw *w, const struct response *rs)
{
    jsonw_key(w, "completed_at");
    if (rs->completed && strcmp(rs->status, "completed") == 0)
        jsonw_int(w, rs->completed);
    else
        jsonw_null(w);
    jsonw_key(w, "error");
    if (strcmp(rs->status, "failed") == 0) {
        jsonw_obj(w);
        jsonw_kstr(w, "code", STR("server_error"));
        jsonw_kstr(w, "message", str_from(rs->error.msg));
        jsonw_kstr(w, "type", STR("server_error"));
        jsonw_key(w, "param");
        jsonw_null(w);
        jsonw_end(w);
    } else {
        jsonw_null(w);
    }
    jsonw_key(w, "incomplete_details");
    if (strcmp(rs->status, "incomplete") == 0) {
        jsonw_obj(w);
        jsonw_kstr(w, "reason", STR("max_output_tokens"));
        jsonw_end(w);
    } else {
        jsonw_null(w);
    }
}

/* What was asked for, as it is in force. */
static void write_settings(struct jsonw *w, struct response *rs)
{
    const struct sampler_params *p = &rs->a->r.params.sampler;
    static const char *const plain[][2] = {{"instructions", "null"},
                                           {"max_output_tokens", "null"},
                                           {"max_tool_calls", "null"},
                                           {"metadata", "{}"},
                                           {"parallel_tool_calls", "true"},
                                           {"prompt_cache_key", "null"},
                                           {"safety_identifier", "null"},
                                           {"tool_choice", "\"auto\""},
                                           {"user", "null"}};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        echo(w, rs, plain[i][0], plain[i][1]);
    jsonw_key(w, "previous_response_id");
    if (rs->previous.p)
        jsonw_str(w, rs->previous);
    else
        jsonw_null(w);
    jsonw_key(w, "reasoning");
    jsonw_obj(w);
    echo_in(w, rs, "reasoning", "effort", "null");
    echo_in(w, rs, "reasoning", "summary", "null");
    jsonw_end(w);
    jsonw_key(w, "text");
    jsonw_obj(w);
    echo_in(w, rs, "text", "format", "{\"type\":\"text\"}");
    echo_in(w, rs, "text", "verbosity", "\"medium\"");
    jsonw_end(w);
    struct str tools = rs->tools ? ask_json(rs->a, rs->tools) : STR("[]");
    jsonw_key(w, "tools");
    jsonw_raw(w, tools.p ? tools : STR("[]"));
    jsonw_knum(w, "temperature", p->temperature);
    jsonw_knum(w, "top_p", p->top_p);
    jsonw_knum(w, "presence_penalty", p->presence_penalty);
    jsonw_knum(w, "frequency_penalty", p->frequency_penalty);
    jsonw_kint(w, "top_logprobs", rs->top_logprobs);
    echo(w, rs, "truncation", "\"disabled\"");
    if (rs->dropped) /* ours: how many items of the context the model did not see */
        jsonw_kint(w, "truncated_items", rs->dropped);
    jsonw_kstr(w, "service_tier", STR("default"));
    jsonw_kbool(w, "store", rs->store);
    jsonw_kbool(w, "background", rs->background);
}

void response_write(struct response *rs, struct jsonw *w)
{
    jsonw_obj(w);
    jsonw_kstr(w, "id", str_from(rs->id));
    jsonw_kstr(w, "object", STR("response"));
    jsonw_kint(w, "created_at", rs->created);
    kstatus(w, rs->status);
    write_end(w, rs);
    jsonw_kstr(w, "model", rs->a->model);
    jsonw_key(w, "output");
    jsonw_arr(w);
    for (size_t i = 0; i < rs->n_items && rs->completed; i++)
        response_write_item(w, &rs->items[i], true);
    jsonw_end(w);
    write_settings(w, rs);
    write_usage(w, rs);
    jsonw_end(w);
}

void response_release(struct response *rs)
{
    for (size_t i = 0; i < rs->n_items; i++) {
        buf_release(&rs->items[i].text);
        buf_release(&rs->items[i].logprobs);
    }
    json_decref(rs->input);
    json_decref(rs->context);
    json_decref(rs->tools);
    buf_release(&rs->out);
}

/* ---- events ---- */

static void open_event(struct response *rs, struct jsonw *w, const char *type)
{
    buf_clear(&rs->out);
    jsonw_init(w, &rs->out, 0);
    jsonw_obj(w);
    jsonw_kstr(w, "type", str_from(type));
    jsonw_kint(w, "sequence_number", rs->seq++);
}

static int send_event(struct response *rs, struct jsonw *w, const char *type)
{
    jsonw_end(w);
    return rs->out.failed || reply_sse(rs->reply, type, buf_str(&rs->out));
}

static int send_response(struct response *rs, const char *type)
{
    struct jsonw w;
    open_event(rs, &w, type);
    jsonw_key(&w, "response");
    response_write(rs, &w);
    return send_event(rs, &w, type);
}

/* output_item.added and output_item.done */
static int send_item(struct response *rs, const struct response_item *it, const char *type,
                     bool whole)
{
    struct jsonw w;
    open_event(rs, &w, type);
    jsonw_kint(&w, "output_index", it - rs->items);
    jsonw_key(&w, "item");
    response_write_item(&w, it, whole);
    return send_event(rs, &w, type);
}

static void open_item_event(struct response *rs, struct jsonw *w, const struct response_item *it,
                            const char *type, const char *index)
{
    open_event(rs, w, type);
    jsonw_kstr(w, "item_id", str_from(it->id));
    jsonw_kint(w, "output_index", it - rs->items);
    if (index)
        jsonw_kint(w, index, 0);
}

/* A part of a message or of reasoning: content_part.added and the like. */
static int send_part(struct response *rs, const struct response_item *it, const char *type,
                     bool summary, bool whole)
{
    struct jsonw w;
    struct str text = whole ? buf_str(&it->text) : STR("");
    open_item_event(rs, &w, it, type, summary ? "summary_index" : "content_index");
    jsonw_key(&w, "part");
    if (it->kind == ITEM_MESSAGE)
        write_text_part(&w, it, whole);
    else
        write_thought(&w, summary ? "summary_text" : "reasoning_text", text);
    return send_event(rs, &w, type);
}

/* A text that grows (key "delta") or is over (key "text"). */
static int send_text(struct response *rs, const struct response_item *it, const char *type,
                     const char *index, const char *key, struct str text, struct str logprobs)
{
    struct jsonw w;
    open_item_event(rs, &w, it, type, index);
    jsonw_kstr(&w, key, text);
    if (it->kind == ITEM_MESSAGE) {
        struct buf list;
        buf_init(&list, RESPONSE_MAX);
        buf_printf(&list, "[%.*s]", STR_ARG(logprobs));
        jsonw_key(&w, "logprobs");
        jsonw_raw(&w, buf_str(&list));
        buf_release(&list);
    }
    return send_event(rs, &w, type);
}

int response_begin(struct response *rs)
{
    return send_response(rs, "response.created") || send_response(rs, "response.in_progress");
}

/* ---- items ---- */

static struct response_item *new_item(struct response *rs, enum item_kind kind)
{
    static const char *const prefixes[] = {"rs", "msg", "fc"};
    char hex[33];
    if (rs->n_items == rs->cap) {
        size_t cap = rs->cap ? rs->cap * 2 : 4;
        struct response_item *v = arena_array(&rs->a->arena, cap, sizeof *v);
        if (!v)
            return NULL;
        if (rs->n_items)
            memcpy(v, rs->items, rs->n_items * sizeof *v);
        rs->items = v;
        rs->cap = cap;
    }
    struct response_item *it = &rs->items[rs->n_items++];
    *it = (struct response_item){.kind = kind, .status = "in_progress"};
    buf_init(&it->text, RESPONSE_MAX);
    buf_init(&it->logprobs, RESPONSE_MAX);
    random_hex(hex, 16);
    snprintf(it->id, sizeof it->id, "%s_%s", prefixes[kind], hex);
    return it;
}

static struct response_item *open_one(struct response *rs)
{
    struct response_item *last = rs->n_items ? &rs->items[rs->n_items - 1] : NULL;
    return last && strcmp(last->status, "in_progress") == 0 ? last : NULL;
}

static int close_text(struct response *rs, struct response_item *it)
{
    struct str text = buf_str(&it->text);
    if (it->kind == ITEM_MESSAGE)
        return send_text(rs, it, "response.output_text.done", "content_index", "text", text,
                         buf_str(&it->logprobs)) ||
               send_part(rs, it, "response.content_part.done", false, true);
    return send_text(rs, it, "response.reasoning_text.done", "content_index", "text", text,
                     STR("")) ||
           send_part(rs, it, "response.content_part.done", false, true) ||
           send_text(rs, it, "response.reasoning_summary_text.done", "summary_index", "text", text,
                     STR("")) ||
           send_part(rs, it, "response.reasoning_summary_part.done", true, true);
}

static int close_item(struct response *rs, const char *status)
{
    struct response_item *it = open_one(rs);
    if (!it)
        return 0;
    it->status = status;
    if (!rs->stream)
        return 0;
    return close_text(rs, it) || send_item(rs, it, "response.output_item.done", true);
}

/* The item that text of this kind goes into, begun where the last one is another. NULL: no memory,
 * or the client has left. */
static struct response_item *item_for(struct response *rs, enum item_kind kind)
{
    struct response_item *it = open_one(rs);
    if (it && it->kind == kind)
        return it;
    if (close_item(rs, "completed") || !(it = new_item(rs, kind)))
        return NULL;
    if (!rs->stream)
        return it;
    if (send_item(rs, it, "response.output_item.added", false) ||
        send_part(rs, it, "response.content_part.added", false, false))
        return NULL;
    if (kind == ITEM_REASONING &&
        send_part(rs, it, "response.reasoning_summary_part.added", true, false))
        return NULL;
    return it;
}

static int on_text(struct response *rs, const struct chat_event *ev)
{
    struct buf logprob;
    struct response_item *it = item_for(rs, ITEM_MESSAGE);
    if (!it)
        return 1;
    buf_addstr(&it->text, ev->text);
    buf_init(&logprob, RESPONSE_MAX);
    if (ev->logprob) {
        struct jsonw w;
        jsonw_init(&w, &logprob, 0);
        logprob_write(&w, ev->logprob, true);
        buf_adds(&it->logprobs, it->logprobs.n ? "," : "");
        buf_addstr(&it->logprobs, buf_str(&logprob));
    }
    int stop = it->text.failed || it->logprobs.failed || logprob.failed;
    if (!stop && rs->stream)
        stop = send_text(rs, it, "response.output_text.delta", "content_index", "delta", ev->text,
                         buf_str(&logprob));
    buf_release(&logprob);
    return stop;
}

static int on_thinking(struct response *rs, const struct chat_event *ev)
{
    struct response_item *it = item_for(rs, ITEM_REASONING);
    if (!it)
        return 1;
    rs->reasoning_tokens += ev->token != NULL;
    buf_addstr(&it->text, ev->text);
    if (it->text.failed || !rs->stream || ev->text.n == 0)
        return it->text.failed;
    return send_text(rs, it, "response.reasoning_text.delta", "content_index", "delta", ev->text,
                     STR("")) ||
           send_text(rs, it, "response.reasoning_summary_text.delta", "summary_index", "delta",
                     ev->text, STR(""));
}

static int on_call(struct response *rs, const struct chat_call *call)
{
    struct arena *arena = &rs->a->arena;
    struct jsonw w;
    struct response_item *it;
    if (close_item(rs, "completed") || !(it = new_item(rs, ITEM_CALL)))
        return 1;
    it->status = "completed";
    it->call = (struct chat_call){arena_str(arena, call->id), arena_str(arena, call->name),
                                  arena_str(arena, call->arguments)};
    if (!it->call.id.p || !it->call.name.p || !it->call.arguments.p)
        return 1;
    if (!rs->stream)
        return 0;
    if (send_item(rs, it, "response.output_item.added", false) ||
        send_text(rs, it, "response.function_call_arguments.delta", NULL, "delta",
                  it->call.arguments, STR("")))
        return 1;
    open_item_event(rs, &w, it, "response.function_call_arguments.done", NULL);
    jsonw_kstr(&w, "name", it->call.name);
    jsonw_kstr(&w, "arguments", it->call.arguments);
    return send_event(rs, &w, "response.function_call_arguments.done") ||
           send_item(rs, it, "response.output_item.done", true);
}

int response_event(void *ctx, const struct chat_event *ev)
{
    struct response *rs = ctx;
    switch (ev->kind) {
    case CHAT_READING:
    case CHAT_ERROR: return 0;
    case CHAT_TEXT: return ev->text.n || ev->logprob ? on_text(rs, ev) : 0;
    case CHAT_THINKING: return on_thinking(rs, ev);
    case CHAT_CALL: return on_call(rs, ev->call);
    case CHAT_DONE: rs->usage = *ev->usage; return ev->usage->end == GEN_CANCELLED;
    }
    return 0;
}

void response_close(struct response *rs, const struct err *e)
{
    bool cut = rs->usage.end == GEN_LENGTH || rs->usage.end == GEN_CONTEXT;
    if (e) {
        struct response_item *it = open_one(rs);
        if (it)
            it->status = "incomplete";
        rs->error = *e;
        rs->status = "failed";
    } else if (rs->usage.end == GEN_CANCELLED) {
        close_item(rs, "incomplete");
        rs->status = "cancelled";
    } else {
        if (rs->n_items == 0) /* clients look for a message */
            (void)item_for(rs, ITEM_MESSAGE);
        close_item(rs, cut ? "incomplete" : "completed");
        rs->status = cut ? "incomplete" : "completed";
    }
    rs->completed = unix_now_ns() / 1000000000;
}

void response_end_stream(struct response *rs)
{
    char type[64];
    /* no event of the API's is called after a cancelled one */
    bool cancelled = strcmp(rs->status, "cancelled") == 0;
    snprintf(type, sizeof type, "response.%s", cancelled ? "incomplete" : rs->status);
    if (send_response(rs, type) == 0)
        reply_sse(rs->reply, NULL, STR("[DONE]"));
}
