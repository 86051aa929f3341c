/* POST /v1/responses: reads the request and runs it (or, .../input_tokens, counts its tokens).
 *
 * Answers are stored (unless `store` is false, or the server stores nothing) and can be gone on
 * from. Tools that OpenAI runs itself (web search ...) are not offered to the model, which the
 * answer's `tools` shows; truncation "auto" leaves out the oldest turns and tells how many items
 * (truncated_items, X-Hearth-Truncated). A background
 * response is answered at once and runs on in its handler. Not here: conversation, prompt. */
#include "server/openai_responses.h"
#include "base/log.h"
#include "base/show.h"
#include "server/archive.h"
#include <stdio.h>

/* ---- tools ---- */

/* {"type": "function", "name", ...} as chat completions and templates have it. */
static json_t *nested_tool(const json_t *flat)
{
    static const char *const keys[] = {"name", "description", "parameters", "strict"};
    json_t *f = json_object();
    for (size_t i = 0; f && i < sizeof keys / sizeof *keys; i++) {
        json_t *v = json_object_get(flat, keys[i]);
        if (v && !json_is_null(v) && json_object_set(f, keys[i], v) != 0)
            return json_decref(f), NULL;
    }
    return f ? json_pack("{s:s, s:o}", "type", "function", "function", f) : NULL;
}

static bool allowed(const json_t *choice, const json_t *name)
{
    const json_t *list = json_object_get(choice, "tools"), *one;
    size_t i;
    if (!json_is_array(list))
        return true;
    json_array_foreach(list, i, one)
    {
        if (json_equal(json_object_get(one, "name"), name))
            return true;
    }
    return false;
}

static enum status add_tool(struct response *rs, const json_t *tool, const json_t *choice,
                            json_t *nested, struct err *err)
{
    const json_t *inner = json_object_get(tool, "function"); /* as chat completions have it */
    const json_t *from = json_is_object(inner) ? inner : tool;
    json_t *name = json_object_get(from, "name");
    if (!json_is_string(name))
        return err_set(err, EUSAGE,
                       "no name, expected {\"type\": \"function\", \"name\", \"description\", "
                       "\"parameters\"}");
    if (!allowed(choice, name))
        return OK;
    json_t *d = json_object_get(from, "description"), *p = json_object_get(from, "parameters");
    json_t *strict = json_object_get(from, "strict");
    json_t *told =
        json_pack("{s:s, s:O, s:O?, s:O?, s:o}", "type", "function", "name", name, "description", d,
                  "parameters", p, "strict", json_boolean(json_is_true(strict)));
    if (!told || json_array_append_new(rs->tools, told) != 0 ||
        json_array_append_new(nested, nested_tool(from)) != 0)
        return err_set(err, ENOMEMORY, "no memory");
    return OK;
}

static enum status add_tools(struct response *rs, const json_t *list, const json_t *choice,
                             json_t *nested, int depth, struct err *err)
{
    static const char *const hosted[] = {"web_search",       "file_search", "code_interpreter",
                                         "image_generation", "mcp",         "tool_search"};
    size_t i;
    json_t *tool;
    enum status s = OK;
    if (list && !json_is_null(list) && !json_is_array(list))
        return err_set(err, EUSAGE, "tools: expected a list");
    json_array_foreach(list, i, tool)
    {
        struct str type;
        s = json_get_str(tool, "type", &type, err);
        if (s != OK)
            break;
        bool skip = false;
        for (size_t k = 0; k < sizeof hosted / sizeof *hosted; k++)
            skip |= str_starts(type, str_from(hosted[k])); /* web_search_preview ... */
        if (skip)
            log_info("responses: the tool '%s' is not offered", show(type).s);
        else if (str_is(type, "function"))
            s = add_tool(rs, tool, choice, nested, err);
        else if (str_is(type, "namespace") && depth == 0)
            s = add_tools(rs, json_object_get(tool, "tools"), choice, nested, 1, err);
        else
            s = err_set(err, EUNSUPPORTED, "type '%s' is not supported, expected function",
                        show(type).s);
        if (s != OK)
            break;
    }
    return s == OK ? OK : err_prefix(err, "tools[%zu]", i);
}

static enum status read_tools(struct response *rs, struct err *err)
{
    const json_t *choice = json_object_get(rs->a->body, "tool_choice"), *mode = choice;
    const char *type = json_string_value(json_object_get(choice, "type"));
    bool some = type && strcmp(type, "allowed_tools") == 0;
    json_t *nested = json_array();
    rs->tools = json_array();
    if (some)
        mode = json_object_get(choice, "mode");
    if (!nested || !rs->tools) {
        json_decref(nested);
        return err_set(err, ENOMEMORY, "tools: no memory");
    }
    enum status s =
        add_tools(rs, json_object_get(rs->a->body, "tools"), some ? choice : NULL, nested, 0, err);
    if (s == OK)
        s = ask_tools(rs->a, nested, err);
    if (s == OK && rs->a->r.tools.p)
        s = openai_tool_choice(rs->a, mode, err);
    else if (s == OK && mode && !json_is_null(mode) && !json_is_string(mode))
        s = err_set(err, EUSAGE, "tool_choice: the request has no such tool");
    json_decref(nested); /* ask_tools has copied it */
    return s;
}

/* ---- the context ---- */

static enum status refuse_unknown(const struct ask *a, struct err *err)
{
    static const char *const fields[] = {"conversation", "prompt"};
    enum status s = OK;
    for (size_t i = 0; s == OK && i < sizeof fields / sizeof *fields; i++) {
        const json_t *v = json_object_get(a->body, fields[i]);
        if (v && !json_is_null(v))
            s = err_set(err, EUNSUPPORTED, "%s: not supported", fields[i]);
    }
    return s;
}

static enum status read_context(struct response *rs, struct err *err)
{
    const json_t *body = rs->a->body;
    size_t i;
    json_t *item;
    enum status s = response_input(rs, json_object_get(body, "input"), &rs->input, err);
    if (s == OK)
        s = json_get_str(body, "previous_response_id", &rs->previous, err);
    if (s == OK && rs->previous.p)
        s = response_history(rs->a->q, rs->previous, true, &rs->context, err);
    else if (s == OK && !(rs->context = json_array()))
        s = err_set(err, ENOMEMORY, "input: no memory");
    json_array_foreach(rs->input, i, item)
    {
        if (s == OK && json_array_append(rs->context, item) != 0)
            s = err_set(err, ENOMEMORY, "input: no memory");
    }
    return s;
}

/* Does the prompt leave the answer its room? */
static enum status fits(struct response *rs, bool *yes, struct err *err)
{
    const struct ask *a = rs->a;
    struct tokens ids = {0};
    int64_t most = a->r.params.max_tokens, room = a->r.max_ctx / 4;
    if (most > 0 && most < room)
        room = most;
    enum status s = provider_prompt(a->lease.provider, &a->r, NULL, &ids, err);
    *yes = s == OK && (int64_t)ids.n + room <= a->r.max_ctx;
    tokens_free(&ids);
    return s;
}

/* Leaves out the oldest turns, as few as it takes: the context begins with a user's message then.
 * The last turn always stays. */
static enum status truncate_context(struct response *rs, struct str instructions, struct err *err)
{
    size_t n = json_array_size(rs->context), n_turns = 0, i;
    size_t *turns = arena_array(&rs->a->arena, n + 1, sizeof *turns);
    json_t *item;
    bool yes = false;
    enum status s = turns ? fits(rs, &yes, err) : err_set(err, ENOMEMORY, "truncation: no memory");
    if (s != OK || yes)
        return s;
    json_array_foreach(rs->context, i, item)
    {
        const char *role = json_string_value(json_object_get(item, "role"));
        if (i > 0 && role && strcmp(role, "user") == 0)
            turns[n_turns++] = i;
    }
    /* the fewest turns that must go, by halving: fewer turns never make a longer prompt */
    size_t low = 0, high = n_turns;
    while (s == OK && low < high) {
        size_t middle = low + (high - low) / 2;
        s = response_messages(rs, instructions, turns[middle], err);
        if (s == OK)
            s = fits(rs, &yes, err);
        if (yes)
            high = middle;
        else
            low = middle + 1;
    }
    if (s != OK || n_turns == 0)
        return s;
    size_t first = turns[low < n_turns ? low : n_turns - 1];
    for (size_t k = 0; k < first; k++) {
        const char *role =
            json_string_value(json_object_get(json_array_get(rs->context, k), "role"));
        rs->dropped += !(role && (strcmp(role, "system") == 0 || strcmp(role, "developer") == 0));
    }
    return response_messages(rs, instructions, first, err);
}

static enum status read_messages(struct response *rs, struct err *err)
{
    struct str instructions, truncation;
    const json_t *given = json_object_get(rs->a->body, "instructions");
    enum status s = ask_text(rs->a, given, "instructions", &instructions, err);
    if (!given || json_is_null(given))
        instructions.p = NULL;
    if (s == OK)
        s = json_get_str(rs->a->body, "truncation", &truncation, err);
    if (s == OK && truncation.p && !str_is(truncation, "auto") && !str_is(truncation, "disabled"))
        s = err_set(err, EUSAGE, "truncation: '%s', expected auto or disabled", show(truncation).s);
    if (s == OK)
        s = response_messages(rs, instructions, 0, err);
    return s == OK && str_is(truncation, "auto") ? truncate_context(rs, instructions, err) : s;
}

/* ---- the request ---- */

static enum status read_limits(struct response *rs, struct err *err)
{
    struct ask *a = rs->a;
    int64_t most;
    size_t i;
    json_t *one;
    enum status s = openai_params(a, err);
    if (s == OK)
        s = json_get_int(a->body, "max_output_tokens", &most, -1, err);
    if (s == OK && most != -1 && most < 1)
        s = err_set(err, EUSAGE, "max_output_tokens: %lld, expected 1 or more", (long long)most);
    if (s == OK && most != -1)
        a->r.params.max_tokens = most;
    if (s == OK)
        s = json_get_int(a->body, "top_logprobs", &rs->top_logprobs, 0, err);
    if (s == OK && (rs->top_logprobs < 0 || rs->top_logprobs > 20))
        s = err_set(err, EUSAGE, "top_logprobs: %lld, expected 0 to 20",
                    (long long)rs->top_logprobs);
    if (s != OK)
        return s;
    a->r.logprobs = rs->top_logprobs > 0;
    json_array_foreach(json_object_get(a->body, "include"), i, one)
    {
        a->r.logprobs |= json_is_string(one) &&
                         strcmp(json_string_value(one), "message.output_text.logprobs") == 0;
    }
    a->r.params.sampler.n_top = (int)rs->top_logprobs;
    return OK;
}

static enum status read_request(struct response *rs, struct err *err)
{
    struct ask *a = rs->a;
    struct str model, effort;
    const json_t *text = json_object_get(a->body, "text");
    const json_t *metadata = json_object_get(a->body, "metadata");
    enum status s = json_get_str(a->body, "model", &model, err);
    if (s == OK)
        s = refuse_unknown(a, err);
    if (s == OK)
        s = json_get_bool(a->body, "stream", &rs->stream, false, err);
    if (s == OK)
        s = json_get_bool(a->body, "store", &rs->store, true, err);
    if (s == OK)
        s = json_get_bool(a->body, "background", &rs->background, false, err);
    if (s == OK && metadata && !json_is_null(metadata) && !json_is_object(metadata))
        s = err_set(err, EUSAGE, "metadata: expected an object");
    if (s == OK)
        s = openai_format(json_object_get(text, "format"), err);
    if (s == OK)
        s = json_get_str(json_object_get(a->body, "reasoning"), "effort", &effort, err);
    if (s == OK)
        s = read_context(rs, err);
    if (s == OK)
        s = ask_open(a, app_of(a->q)->hub, model, 0, KEEP_DEFAULT, &openai_defaults, err);
    if (s == OK && !a->lease.provider)
        s = err_set(err, EUSAGE, "model '%s' does not support responses", show(model).s);
    if (s == OK)
        s = read_limits(rs, err);
    if (s == OK)
        s = openai_effort(a, effort, err);
    if (s == OK)
        s = read_tools(rs, err);
    if (s == OK && rs->background && (rs->stream || !rs->store || !app_of(a->q)->archive))
        s = err_set(err, rs->stream ? EUNSUPPORTED : EUSAGE,
                    "background: not with stream: true, and only where the response is stored");
    rs->store = rs->store && app_of(a->q)->archive;
    return s == OK ? read_messages(rs, err) : s;
}

/* ---- the answer ---- */

/* The body as it will be told, in rs->out. */
static void write_body(struct response *rs)
{
    struct jsonw w;
    buf_clear(&rs->out);
    jsonw_init(&w, &rs->out, 0);
    response_write(rs, &w);
}

/* An answer that cannot be stored is still an answer: it says so, and so does the log. */
static void store_response(struct response *rs, bool replace)
{
    struct err err = {0};
    struct ask *a = rs->a;
    struct str input = ask_json(a, rs->input);
    struct str *ids = arena_array(&a->arena, rs->n_items + 1, sizeof *ids);
    write_body(rs);
    for (size_t i = 0; ids && i < rs->n_items; i++)
        ids[i] = str_from(rs->items[i].id);
    struct archive_response r = {.id = str_from(rs->id),
                                 .owner = a->q->key_name,
                                 .previous = rs->previous,
                                 .input = input,
                                 .body = buf_str(&rs->out),
                                 .created = rs->created,
                                 .items = ids,
                                 .n_items = rs->n_items};
    enum status s = buf_check(&rs->out, "response", &err);
    if (s == OK && (!input.p || !ids))
        s = err_set(&err, ENOMEMORY, "response: no memory");
    if (s == OK)
        s = replace ? archive_response_replace(app_of(a->q)->archive, &r, &err)
                    : archive_response_put(app_of(a->q)->archive, &r, &err);
    if (s == ENOTFOUND) { /* deleted while it ran */
        rs->store = false;
    } else if (s != OK) {
        log_warn("responses: not stored: %s", err.msg);
        rs->store = false;
    }
}

/* The client has its answer and may leave; once it has, *gone means that the server stops. */
static int background_event(void *ctx, const struct chat_event *ev)
{
    struct response *rs = ctx;
    int stop = response_event(rs, ev);
    return stop || (ev->kind != CHAT_DONE && atomic_load(rs->a->q->gone));
}

/* The body as it stands is the answer; what comes of it replaces what is stored, unless somebody
 * has deleted that meanwhile. */
static enum status answer_later(struct response *rs, struct err *err)
{
    struct ask *a = rs->a;
    struct chat_sink sink = {background_event, rs};
    struct background b = {.id = rs->id};
    struct err failure = {0};
    store_response(rs, false);
    if (!rs->store)
        return err_set(err, EFAIL, "background: the response could not be stored");
    background_enter(&b);
    reply_json(rs->reply, 200, &rs->out);
    a->r.cancel = &b.cancel;
    enum status s = provider_chat(a->lease.provider, &a->r, &sink, &failure);
    http_note_tokens(a->q, "chat", rs->usage.prompt_tokens, rs->usage.answer_tokens);
    response_close(rs, s == OK ? NULL : &failure);
    store_response(rs, true);
    background_leave(&b);
    return OK;
}

static enum status answer(struct response *rs, struct err *err)
{
    struct ask *a = rs->a;
    struct chat_sink sink = {response_event, rs};
    char dropped[24];
    if (rs->dropped) {
        snprintf(dropped, sizeof dropped, "%lld", (long long)rs->dropped);
        reply_header(rs->reply, "X-Hearth-Truncated", str_from(dropped));
    }
    if (rs->background)
        return answer_later(rs, err);
    if (rs->stream && response_begin(rs))
        return OK;
    enum status s = provider_chat(a->lease.provider, &a->r, &sink, err);
    if (s != OK && !rs->stream)
        return s;
    if (s == OK && rs->usage.end == GEN_CANCELLED && !http_cancelled(a->q))
        return err_set(err, ECANCEL, "the answer was cancelled");
    http_note_tokens(a->q, "chat", rs->usage.prompt_tokens, rs->usage.answer_tokens);
    response_close(rs, s == OK ? NULL : err);
    if (rs->store && s == OK)
        store_response(rs, false);
    if (rs->stream) {
        response_end_stream(rs);
        return OK;
    }
    write_body(rs);
    s = buf_check(&rs->out, "response", err);
    if (s == OK)
        reply_json(rs->reply, 200, &rs->out);
    return s;
}

/* {"object": "response.input_tokens", "input_tokens"} */
static enum status count_input(struct response *rs, struct err *err)
{
    struct tokens ids = {0};
    struct jsonw w;
    enum status s = provider_prompt(rs->a->lease.provider, &rs->a->r, NULL, &ids, err);
    if (s == OK) {
        jsonw_init(&w, &rs->out, 0);
        jsonw_obj(&w);
        jsonw_kstr(&w, "object", STR("response.input_tokens"));
        jsonw_kint(&w, "input_tokens", (int64_t)ids.n);
        jsonw_end(&w);
        reply_json(rs->reply, 200, &rs->out);
    }
    tokens_free(&ids);
    return s;
}

static enum status respond(struct http_request *q, struct reply *reply,
                           enum status (*then)(struct response *rs, struct err *err),
                           struct err *err)
{
    struct ask a;
    char hex[49];
    struct response rs = {
        .a = &a, .reply = reply, .status = "in_progress", .created = unix_now_ns() / 1000000000};
    random_hex(hex, 24);
    snprintf(rs.id, sizeof rs.id, "resp_%s", hex);
    buf_init(&rs.out, RESPONSE_MAX);
    enum status s = ask_init(&a, q, err);
    if (s == OK)
        s = read_request(&rs, err);
    if (s == OK)
        s = then(&rs, err);
    response_release(&rs);
    ask_close(&a);
    return s;
}

enum status openai_responses(struct http_request *q, struct reply *reply, struct err *err)
{
    return respond(q, reply, answer, err);
}

enum status openai_response_tokens(struct http_request *q, struct reply *reply, struct err *err)
{
    return respond(q, reply, count_input, err);
}
