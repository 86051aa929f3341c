/* Items of /v1/responses: what a request brings, what earlier responses left, and the messages that
 * they become. Reasoning and calls are items of their own there and belong to one assistant's
 * message here. */
#include "base/show.h"
#include "server/archive.h"
#include "server/openai_responses.h"
#include <stdio.h>

/* ---- ids ---- */

static enum status give_id(json_t *item, const char *prefix, struct err *err)
{
    char hex[33], id[RESPONSE_ID];
    if (json_string_length(json_object_get(item, "id")))
        return OK;
    random_hex(hex, 16);
    snprintf(id, sizeof id, "%s_%s", prefix, hex);
    if (json_object_set_new(item, "id", json_string(id)) != 0)
        return err_set(err, ENOMEMORY, "input: no memory");
    return OK;
}

/* ---- the request's items ---- */

/* A string content becomes the list of parts that clients expect when they ask for it again. */
static enum status spread_content(json_t *item, bool assistant, struct err *err)
{
    json_t *content = json_object_get(item, "content");
    if (!json_is_string(content))
        return OK;
    json_t *part = assistant ? json_pack("{s:s, s:O, s:[]}", "type", "output_text", "text", content,
                                         "annotations")
                             : json_pack("{s:s, s:O}", "type", "input_text", "text", content);
    json_t *list = json_pack("[o]", part);
    if (!list || json_object_set_new(item, "content", list) != 0)
        return err_set(err, ENOMEMORY, "input: no memory");
    return OK;
}

/* The output item that an answer of ours had; new. */
static enum status referenced(const struct response *rs, struct str id, json_t **out,
                              struct err *err)
{
    struct archive *archive = app_of(rs->a->q)->archive;
    struct buf text;
    json_t *body = NULL, *item;
    size_t i;
    *out = NULL;
    if (!archive)
        return err_set(err, ENOTFOUND, "item '%s' not found: nothing is stored here", show(id).s);
    buf_init(&text, RESPONSE_MAX);
    enum status s = archive_item(archive, rs->a->q->key_name, id, &text, err);
    if (s == OK)
        s = json_parse(&body, buf_str(&text), "stored response", err);
    json_array_foreach(json_object_get(body, "output"), i, item)
    {
        if (!*out && str_eq(json_str(json_object_get(item, "id")), id))
            *out = json_incref(item);
    }
    if (s == OK && !*out)
        s = err_set(err, ENOTFOUND, "item '%s' not found", show(id).s);
    json_decref(body);
    buf_release(&text);
    return s;
}

static const struct {
    const char *type, *prefix;
} item_types[] = {{"message", "msg"},
                  {"function_call", "fc"},
                  {"function_call_output", "fco"},
                  {"reasoning", "rs"}};

static enum status one_item(const struct response *rs, const json_t *given, json_t **out,
                            struct err *err)
{
    struct str type, id;
    *out = NULL;
    if (!json_is_object(given))
        return err_set(err, EUSAGE, "expected an object");
    enum status s = json_get_str(given, "type", &type, err);
    if (s == OK)
        s = json_get_str(given, "id", &id, err);
    if (s != OK)
        return s;
    if (str_is(type, "item_reference") || (!type.p && id.p && !json_object_get(given, "role"))) {
        if (!id.p)
            return err_set(err, EUSAGE, "item_reference: no id");
        return referenced(rs, id, out, err);
    }
    if (!type.p)
        type = STR("message");
    for (size_t i = 0; i < sizeof item_types / sizeof *item_types; i++) {
        if (!str_is(type, item_types[i].type))
            continue;
        if (!(*out = json_copy((json_t *)(uintptr_t)given)) ||
            json_object_set_new(*out, "type", json_string(item_types[i].type)) != 0)
            return err_set(err, ENOMEMORY, "input: no memory");
        const char *role = json_string_value(json_object_get(given, "role"));
        s = give_id(*out, item_types[i].prefix, err);
        if (s == OK && i == 0)
            s = spread_content(*out, role && strcmp(role, "assistant") == 0, err);
        return s;
    }
    return err_set(err, EUNSUPPORTED,
                   "items of type '%s' are not supported, expected message, function_call, "
                   "function_call_output, reasoning or item_reference",
                   show(type).s);
}

enum status response_input(struct response *rs, const json_t *input, json_t **out, struct err *err)
{
    size_t i;
    json_t *one, *item = NULL;
    enum status s = OK;
    *out = json_array();
    if (!*out)
        return err_set(err, ENOMEMORY, "input: no memory");
    if (json_is_string(input)) {
        one = json_pack("{s:s, s:O}", "role", "user", "content", input);
        s = one ? one_item(rs, one, &item, err) : err_set(err, ENOMEMORY, "input: no memory");
        json_decref(one);
        if (s == OK && json_array_append(*out, item) != 0)
            s = err_set(err, ENOMEMORY, "input: no memory");
        json_decref(item);
        return s;
    }
    if (!json_is_array(input))
        return err_set(err, EUSAGE, "input: expected a string or a list of items");
    json_array_foreach(input, i, one)
    {
        if (s != OK)
            break;
        s = one_item(rs, one, &item, err);
        if (s == OK && json_array_append(*out, item) != 0)
            s = err_set(err, ENOMEMORY, "no memory");
        if (s != OK)
            s = err_prefix(err, "input[%zu]", i);
        json_decref(item);
        item = NULL;
    }
    return s;
}

/* ---- earlier responses ---- */

/* Puts the items of one response before those in `out`; *previous is what it went on from. */
static enum status one_response(const struct http_request *q, struct str id, bool with_output,
                                json_t *out, struct buf *previous, struct err *err)
{
    struct buf input, body;
    json_t *in = NULL, *answer = NULL, *item;
    size_t i, at = 0;
    buf_init(&input, RESPONSE_MAX);
    buf_init(&body, RESPONSE_MAX);
    enum status s =
        archive_response_get(app_of(q)->archive, q->key_name, id, &input, &body, previous, err);
    if (s == OK)
        s = buf_check(previous, "response", err);
    if (s == OK)
        s = json_parse(&in, buf_str(&input), "stored input", err);
    if (s == OK)
        s = json_parse(&answer, buf_str(&body), "stored response", err);
    const char *status = json_string_value(json_object_get(answer, "status"));
    if (s == OK && with_output && status && strcmp(status, "in_progress") == 0)
        s = err_set(err, EUSAGE, "response '%s' is not over", show(id).s);
    json_array_foreach(in, i, item)
    {
        if (s == OK && json_array_insert(out, at++, item) != 0)
            s = err_set(err, ENOMEMORY, "response '%s': no memory", show(id).s);
    }
    json_array_foreach(json_object_get(answer, "output"), i, item)
    {
        if (s == OK && with_output && json_array_insert(out, at++, item) != 0)
            s = err_set(err, ENOMEMORY, "response '%s': no memory", show(id).s);
    }
    json_decref(in);
    json_decref(answer);
    buf_release(&input);
    buf_release(&body);
    return s;
}

enum status response_history(const struct http_request *q, struct str id, bool with_output,
                             json_t **out, struct err *err)
{
    struct buf at, next;
    if (!app_of(q)->archive)
        return err_set(err, ENOTFOUND, "response '%s' not found: nothing is stored here",
                       show(id).s);
    *out = json_array();
    if (!*out)
        return err_set(err, ENOMEMORY, "response '%s': no memory", show(id).s);
    buf_init(&at, 4096);
    buf_init(&next, 4096);
    buf_addstr(&at, id);
    enum status s = buf_check(&at, "previous_response_id", err);
    for (int i = 0; s == OK && at.n; i++) {
        if (i == CHAIN_MAX) {
            s = err_set(err, ELIMIT, "response '%s': goes on from more than %d others", show(id).s,
                        CHAIN_MAX);
            break;
        }
        buf_clear(&next);
        s = one_response(q, buf_str(&at), with_output || i > 0, *out, &next, err);
        if (s == ENOTFOUND && i > 0)
            s = err_set(err, ENOTFOUND,
                        "response '%s', from which '%s' goes on, is not stored any more",
                        show(buf_str(&at)).s, show(id).s);
        struct buf swap = at;
        at = next;
        next = swap;
    }
    buf_release(&at);
    buf_release(&next);
    return s;
}

/* ---- messages ---- */

enum { NONE = -1 };
/* The assistant's message that reasoning and calls still go into, or NONE. */
struct joiner {
    struct ask *a;
    long open;
};

static struct chat_message *add_message(struct joiner *j, struct str role)
{
    struct chat_message *m = ask_message(j->a);
    j->open = NONE;
    if (m)
        m->role = role;
    return m;
}

/* One that takes `calls` behind a text, but no text behind either. */
static struct chat_message *open_assistant(struct joiner *j, bool for_call)
{
    struct chat_message *m = j->open == NONE ? NULL : &j->a->messages[j->open];
    if (!m || (!for_call && (m->content.n || m->n_calls))) {
        m = add_message(j, STR("assistant"));
        j->open = (long)j->a->r.n_messages - 1;
    }
    return m;
}

static enum status read_message(struct joiner *j, const json_t *item, struct err *err)
{
    struct str role, text;
    enum status s = json_get_str(item, "role", &role, err);
    if (s == OK)
        s = ask_text(j->a, json_object_get(item, "content"), "content", &text, err);
    if (s != OK)
        return s;
    if (str_is(role, "developer"))
        role = STR("system");
    bool assistant = str_is(role, "assistant");
    if (!assistant && !str_is(role, "system") && !str_is(role, "user"))
        return err_set(err, EUSAGE, "role '%s', expected system, developer, user or assistant",
                       show(role).s);
    struct chat_message *m = assistant ? open_assistant(j, false) : add_message(j, role);
    if (!m)
        return err_set(err, ENOMEMORY, "no memory");
    m->content = text;
    return OK;
}

static enum status read_call(struct joiner *j, const json_t *item, struct err *err)
{
    struct chat_call call = {0};
    enum status s = json_get_str(item, "call_id", &call.id, err);
    if (s == OK)
        s = json_get_str(item, "name", &call.name, err);
    if (s == OK)
        s = json_get_str(item, "arguments", &call.arguments, err);
    if (s == OK && !call.name.n)
        s = err_set(err, EUSAGE, "function_call: no name");
    if (s != OK)
        return s;
    if (!call.arguments.n)
        call.arguments = STR("{}");
    struct chat_message *m = open_assistant(j, true);
    struct chat_call *v = m ? arena_array(&j->a->arena, m->n_calls + 1, sizeof *v) : NULL;
    if (!v)
        return err_set(err, ENOMEMORY, "no memory");
    if (m->n_calls)
        memcpy(v, m->calls, m->n_calls * sizeof *v);
    v[m->n_calls++] = call;
    m->calls = v;
    return OK;
}

static enum status read_output(struct joiner *j, const json_t *item, struct err *err)
{
    struct str text, id;
    enum status s = json_get_str(item, "call_id", &id, err);
    if (s == OK)
        s = ask_text(j->a, json_object_get(item, "output"), "output", &text, err);
    if (s == OK && !id.n)
        s = err_set(err, EUSAGE, "function_call_output: no call_id");
    if (s != OK)
        return s;
    struct chat_message *m = add_message(j, STR("tool"));
    if (!m)
        return err_set(err, ENOMEMORY, "no memory");
    m->content = text;
    m->call_id = id;
    return OK;
}

/* The thinking itself, or what stands for it. */
static enum status read_reasoning(struct joiner *j, const json_t *item, struct err *err)
{
    static const char *const lists[] = {"content", "summary"};
    struct buf text;
    buf_init(&text, RESPONSE_MAX);
    for (int k = 0; k < 2 && text.n == 0; k++) {
        const json_t *part;
        size_t i;
        json_array_foreach(json_object_get(item, lists[k]), i, part)
        {
            const json_t *t = json_object_get(part, "text");
            if (json_is_string(t))
                buf_addstr(&text, json_str(t));
        }
    }
    enum status s = buf_check(&text, "reasoning", err);
    if (s == OK && text.n) {
        struct chat_message *m = open_assistant(j, false);
        struct str copy = m ? arena_str(&j->a->arena, buf_str(&text)) : (struct str){0};
        if (!copy.p)
            s = err_set(err, ENOMEMORY, "no memory");
        else
            m->thinking = copy;
    }
    buf_release(&text);
    return s;
}

static enum status read_item(struct joiner *j, const json_t *item, struct err *err)
{
    struct str type;
    enum status s = json_get_str(item, "type", &type, err);
    if (s != OK)
        return s;
    if (str_is(type, "function_call"))
        return read_call(j, item, err);
    if (str_is(type, "function_call_output"))
        return read_output(j, item, err);
    if (str_is(type, "reasoning"))
        return read_reasoning(j, item, err);
    return read_message(j, item, err);
}

/* Templates want one system message, at the beginning: instructions and the system messages that
 * follow become one. Those further back stay where they are. */
static enum status join_system(struct ask *a, struct err *err)
{
    size_t first = 0, n = 0;
    struct buf text;
    while (first < a->r.n_messages && !str_is(a->messages[first].role, "system"))
        first++;
    while (first + n < a->r.n_messages && str_is(a->messages[first + n].role, "system"))
        n++;
    if (n < 2)
        return OK;
    buf_init(&text, RESPONSE_MAX);
    for (size_t i = first; i < first + n; i++) {
        if (text.n && a->messages[i].content.n)
            buf_adds(&text, "\n\n");
        buf_addstr(&text, a->messages[i].content);
    }
    enum status s = buf_check(&text, "instructions", err);
    if (s == OK) {
        a->messages[first].content = arena_str(&a->arena, buf_str(&text));
        if (!a->messages[first].content.p)
            s = err_set(err, ENOMEMORY, "instructions: no memory");
        memmove(&a->messages[first + 1], &a->messages[first + n],
                (a->r.n_messages - first - n) * sizeof *a->messages);
        a->r.n_messages -= n - 1;
    }
    buf_release(&text);
    return s;
}

static bool is_system(const json_t *item)
{
    const char *role = json_string_value(json_object_get(item, "role"));
    return role && (strcmp(role, "system") == 0 || strcmp(role, "developer") == 0);
}

enum status response_messages(struct response *rs, struct str instructions, size_t first,
                              struct err *err)
{
    struct ask *a = rs->a;
    struct joiner j = {a, NONE};
    bool has_system = instructions.p != NULL;
    size_t i;
    json_t *item;
    a->r.n_messages = 0;
    json_array_foreach(rs->context, i, item)
    {
        has_system |= is_system(item);
    }
    enum status s = ask_preamble(a, has_system, err);
    if (s == OK && instructions.p) {
        struct chat_message *m = add_message(&j, STR("system"));
        if (!m)
            return err_set(err, ENOMEMORY, "instructions: no memory");
        m->content = instructions;
    }
    json_array_foreach(rs->context, i, item)
    {
        if (s != OK)
            break;
        /* what truncation leaves out, but never what the system says */
        if (i < first && !is_system(item))
            continue;
        s = read_item(&j, item, err);
        if (s != OK)
            s = err_prefix(err, "input[%zu]", i);
    }
    if (s == OK)
        s = join_system(a, err);
    if (s == OK && a->r.n_messages == 0)
        s = err_set(err, EUSAGE, "input: empty, expected a text or items");
    if (s != OK)
        return s;
    ask_name_answers(a);
    const struct chat_message *last = &a->messages[a->r.n_messages - 1];
    a->r.continue_last = str_is(last->role, "assistant") && last->n_calls == 0 && last->content.n;
    return OK;
}
