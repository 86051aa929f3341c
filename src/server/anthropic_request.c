/* From Anthropic's messages to ours. A user's message may hold answers of tools beside text: each
 * tool_result becomes a message of its own, in the order of the blocks. */
#include "server/anthropic_int.h"
#include "server/app.h"
#include "server/openai.h"

enum { TEXT_MAX_BYTES = 64 << 20 };

static enum status no_memory(struct err *err)
{
    return err_set(err, ENOMEMORY, "messages: no memory");
}

static enum status add_text(struct ask *a, struct str role, struct str text, struct err *err)
{
    struct chat_message *last = a->r.n_messages ? &a->messages[a->r.n_messages - 1] : NULL;
    if (last && str_eq(last->role, role) && last->n_calls == 0 && last->content.n == 0) {
        last->content = text;
        return OK;
    }
    struct chat_message *m = ask_message(a);
    if (!m)
        return no_memory(err);
    m->role = role;
    m->content = text;
    return OK;
}

static enum status add_result(struct ask *a, const json_t *block, struct err *err)
{
    struct str id, text;
    bool failed;
    enum status s = json_get_str(block, "tool_use_id", &id, err);
    if (s == OK && !id.p)
        s = err_set(err, EUSAGE, "tool_result: no tool_use_id");
    if (s == OK)
        s = ask_text(a, json_object_get(block, "content"), "tool_result", &text, err);
    if (s == OK)
        s = json_get_bool(block, "is_error", &failed, false, err);
    if (s != OK)
        return s;
    struct chat_message *m = ask_message(a);
    if (!m)
        return no_memory(err);
    m->role = STR("tool");
    m->content = text;
    m->call_id = id;
    for (size_t i = 0; i + 1 < a->r.n_messages; i++)
        for (size_t c = 0; c < a->messages[i].n_calls; c++)
            if (str_eq(a->messages[i].calls[c].id, id))
                m->tool_name = a->messages[i].calls[c].name;
    return OK;
}

/* A block of another type than text. */
typedef enum status block_fn(struct ask *a, struct str type, const json_t *block, void *ctx,
                             struct err *err);

/* The blocks of a message: their texts joined (in the arena), the others to fn. */
static enum status read_blocks(struct ask *a, const json_t *blocks, block_fn *fn, void *ctx,
                               struct str *joined, struct err *err)
{
    size_t i;
    json_t *block;
    struct buf text;
    enum status s = OK;
    buf_init(&text, TEXT_MAX_BYTES);
    json_array_foreach(blocks, i, block)
    {
        struct str type, piece;
        s = json_get_str(block, "type", &type, err);
        if (s == OK && !str_is(type, "text"))
            s = fn(a, type, block, ctx, err);
        else if (s == OK && (s = json_get_str(block, "text", &piece, err)) == OK)
            buf_addstr(&text, piece);
        if (s != OK)
            break;
    }
    if (s == OK)
        s = buf_check(&text, "message", err);
    if (s == OK) {
        *joined = arena_str(&a->arena, buf_str(&text));
        s = joined->p ? OK : no_memory(err);
    }
    buf_release(&text);
    return s;
}

static enum status user_block(struct ask *a, struct str type, const json_t *block, void *ctx,
                              struct err *err)
{
    bool *answers = ctx;
    *answers = true;
    if (str_is(type, "tool_result"))
        return add_result(a, block, err);
    return err_set(err, EUNSUPPORTED,
                   "content block of type '%.*s' is not supported, only text, tool_use, "
                   "tool_result and thinking",
                   STR_ARG(type));
}

static enum status user_blocks(struct ask *a, struct str role, const json_t *blocks,
                               struct err *err)
{
    struct str text;
    bool answers = false;
    enum status s = read_blocks(a, blocks, user_block, &answers, &text, err);
    return s == OK && (text.n || !answers) ? add_text(a, role, text, err) : s;
}

static enum status add_call(struct ask *a, struct chat_call *call, const json_t *block,
                            struct err *err)
{
    const json_t *input = json_object_get(block, "input");
    enum status s = json_get_str(block, "id", &call->id, err);
    if (s == OK)
        s = json_get_str(block, "name", &call->name, err);
    if (s == OK && (!call->name.p || !call->id.p || (input && !json_is_object(input))))
        s = err_set(err, EUSAGE, "tool_use: expected id, name and an object as input");
    if (s == OK) {
        call->arguments = input ? ask_json(a, input) : STR("{}");
        s = call->arguments.p ? OK : no_memory(err);
    }
    return s;
}

struct said {
    struct chat_message *m;
    struct chat_call *calls; /* room for one per block */
};

static enum status assistant_block(struct ask *a, struct str type, const json_t *block, void *ctx,
                                   struct err *err)
{
    struct said *said = ctx;
    struct chat_message *m = said->m;
    if (str_is(type, "tool_use")) {
        enum status s = add_call(a, &said->calls[m->n_calls], block, err);
        m->n_calls += s == OK;
        return s;
    }
    if (str_is(type, "thinking"))
        return json_get_str(block, "thinking", &m->thinking, err);
    if (str_is(type, "redacted_thinking"))
        return OK;
    return err_set(err, EUNSUPPORTED, "content block of type '%.*s' is not supported",
                   STR_ARG(type));
}

static enum status assistant_blocks(struct ask *a, const json_t *blocks, struct err *err)
{
    struct said said = {ask_message(a), NULL};
    said.calls = arena_array(&a->arena, json_array_size(blocks) + 1, sizeof *said.calls);
    if (!said.m || !said.calls)
        return no_memory(err);
    *said.m =
        (struct chat_message){.role = STR("assistant"), .content = STR(""), .calls = said.calls};
    return read_blocks(a, blocks, assistant_block, &said, &said.m->content, err);
}

static enum status read_message(struct ask *a, const json_t *one, struct err *err)
{
    struct str role, text;
    const json_t *content = json_object_get(one, "content");
    enum status s = json_get_str(one, "role", &role, err);
    if (s != OK)
        return s;
    bool assistant = str_is(role, "assistant");
    if (!assistant && !str_is(role, "user") && !str_is(role, "system"))
        return err_set(err, EUSAGE, "role '%.*s', expected user or assistant", STR_ARG(role));
    if (json_is_array(content))
        return assistant ? assistant_blocks(a, content, err) : user_blocks(a, role, content, err);
    if (!json_is_string(content))
        return err_set(err, EUSAGE, "content: expected a string or a list of blocks");
    text = json_str(content);
    return add_text(a, role, text, err);
}

/* A line that Claude Code changes with every request would cost the whole prefix cache. */
static bool volatile_line(struct str text)
{
    return str_starts(text, STR("x-anthropic-billing-header:"));
}

static enum status read_system(struct ask *a, const json_t *system, struct err *err)
{
    struct str text;
    size_t i;
    json_t *block;
    if (!json_is_array(system)) {
        enum status s = ask_text(a, system, "system", &text, err);
        return s == OK && text.n ? add_text(a, STR("system"), text, err) : s;
    }
    struct buf all;
    enum status s = OK;
    buf_init(&all, TEXT_MAX_BYTES);
    json_array_foreach(system, i, block)
    {
        if (s == OK)
            s = json_get_str(block, "text", &text, err);
        if (s != OK)
            break;
        if (!text.p || volatile_line(text))
            continue;
        if (all.n)
            buf_adds(&all, "\n\n");
        buf_addstr(&all, text);
    }
    if (s == OK)
        s = buf_check(&all, "system", err);
    if (s == OK && all.n) {
        struct str copy = arena_str(&a->arena, buf_str(&all));
        s = copy.p ? add_text(a, STR("system"), copy, err) : no_memory(err);
    }
    buf_release(&all);
    return s;
}

/* {name, description, input_schema} to {"type": "function", "function": {...}}. */
static enum status read_tools(struct ask *a, const json_t *tools, struct err *err)
{
    size_t i;
    json_t *one;
    if (json_array_size(tools) == 0)
        return OK;
    json_t *list = json_array();
    enum status s = list ? OK : no_memory(err);
    json_array_foreach(tools, i, one)
    {
        struct str type;
        if (s == OK)
            s = json_get_str(one, "type", &type, err);
        if (s == OK && type.p && !str_is(type, "custom"))
            s = err_set(err, EUNSUPPORTED,
                        "tools[%zu]: type '%.*s' runs on Anthropic's servers, expected custom", i,
                        STR_ARG(type));
        json_t *name = json_object_get(one, "name");
        if (s == OK && !json_is_string(name))
            s = err_set(err, EUSAGE, "tools[%zu]: no name", i);
        if (s != OK)
            break;
        json_t *f = json_object(), *tool = json_object();
        json_t *text = json_object_get(one, "description");
        json_t *schema = json_object_get(one, "input_schema");
        json_object_set(f, "name", name);
        if (text)
            json_object_set(f, "description", text);
        if (schema)
            json_object_set(f, "parameters", schema);
        json_object_set_new(tool, "type", json_string("function"));
        json_object_set_new(tool, "function", f);
        json_array_append_new(list, tool);
    }
    if (s == OK)
        s = ask_tools(a, list, err);
    json_decref(list);
    return s;
}

static enum status read_choice(struct ask *a, const json_t *choice, struct err *err)
{
    struct str type;
    enum status s = json_get_str(choice, "type", &type, err);
    if (s != OK || !type.p || str_is(type, "auto"))
        return s;
    if (str_is(type, "none")) {
        a->r.choice = CHOICE_NONE;
        return OK;
    }
    if (str_is(type, "any")) {
        a->r.choice = CHOICE_REQUIRED;
    } else if (str_is(type, "tool")) {
        a->r.choice = CHOICE_NAMED;
        s = json_get_str(choice, "name", &a->r.choice_name, err);
        if (s == OK && !a->r.choice_name.p)
            s = err_set(err, EUSAGE, "tool_choice: no name");
    } else {
        s = err_set(err, EUSAGE, "tool_choice: type '%.*s', expected auto, any, tool or none",
                    STR_ARG(type));
    }
    if (s == OK && !a->r.tools.p)
        s = err_set(err, EUSAGE, "tool_choice: the request has no tools");
    return s;
}

static enum status read_params(struct ask *a, bool counting, struct err *err)
{
    static const char *const names[] = {"temperature", "top_p", "top_k"};
    int64_t most;
    struct str thinking, effort;
    enum status s = json_get_int(a->body, "max_tokens", &most, -1, err);
    if (s == OK && !counting && most < 1)
        s = err_set(err, EUSAGE, "max_tokens: expected 1 or more");
    a->r.params.max_tokens = most;
    for (size_t i = 0; s == OK && i < sizeof names / sizeof *names; i++) {
        const json_t *v = json_object_get(a->body, names[i]);
        if (v)
            s = ask_option(a, names[i], v, NULL, err);
    }
    if (s == OK)
        s = sampler_check(&a->r.params.sampler, err);
    if (s == OK)
        s = ask_stop(a, json_object_get(a->body, "stop_sequences"), "stop_sequences", err);
    if (s == OK)
        s = json_get_str(json_object_get(a->body, "thinking"), "type", &thinking, err);
    if (s == OK && thinking.p && ask_able(a, CAN_THINK))
        a->r.thinking = str_is(thinking, "disabled") ? THINK_OFF : THINK_ON;
    const json_t *output = json_object_get(a->body, "output_config");
    if (s == OK)
        s = json_get_str(output, "effort", &effort, err);
    if (s == OK && effort.p && !str_is(effort, "none"))
        a->r.effort = effort;
    return s == OK ? openai_format(json_object_get(output, "format"), err) : s;
}

enum status anthropic_read(struct ask *a, bool counting, struct err *err)
{
    struct str model;
    size_t i;
    json_t *one;
    const json_t *messages = json_object_get(a->body, "messages");
    const json_t *system = json_object_get(a->body, "system");
    enum status s = json_get_str(a->body, "model", &model, err);
    if (s == OK && (!json_is_array(messages) || json_array_size(messages) == 0))
        s = err_set(err, EUSAGE, "messages: expected a list of at least one message");
    if (s == OK)
        s = ask_open(a, app_of(a->q)->hub, model, 0, KEEP_DEFAULT, &openai_defaults, err);
    if (s == OK && !a->lease.provider)
        s = err_set(err, EUSAGE, "model '%.*s' does not support chat", STR_ARG(model));
    if (s == OK)
        s = read_params(a, counting, err);
    if (s == OK)
        s = ask_preamble(a, system != NULL, err);
    if (s == OK)
        s = read_system(a, system, err);
    json_array_foreach(messages, i, one)
    {
        if (s == OK && (s = read_message(a, one, err)) != OK)
            s = err_prefix(err, "messages[%zu]", i);
    }
    if (s == OK)
        s = read_tools(a, json_object_get(a->body, "tools"), err);
    if (s == OK)
        s = read_choice(a, json_object_get(a->body, "tool_choice"), err);
    if (s != OK)
        return s;
    const struct chat_message *last = &a->messages[a->r.n_messages - 1];
    a->r.continue_last = str_is(last->role, "assistant") && last->n_calls == 0;
    return OK;
}
