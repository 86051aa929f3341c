/* From the text between a call's markers to the function and its arguments as JSON. Arguments that
 * are JSON already stay as the model wrote them, to the last digit and blank. */
#include "base/jsonw.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "chat/reply_int.h"
#include <stdlib.h>
#ifndef HEARTH_ENGINE_ONLY
#include "base/json.h"
#endif

enum { NAME_MAX_BYTES = 4096, GEMMA_DEPTH = 64 };

static bool is_string(struct str json)
{
    return json.n >= 2 && json.p[0] == '"';
}

static bool is_object(struct str json)
{
    return json.n >= 2 && json.p[0] == '{';
}

static enum status read_tool(struct reply_tool *out, struct str tool, size_t i, struct err *err)
{
    struct str f = json_member(tool, "function");
    f = f.p ? f : tool;
    struct str name = json_member(f, "name");
    if (!is_string(name) || name.n > NAME_MAX_BYTES)
        return err_set(err, EUSAGE, "tools[%zu]: expected a function with a name", i);
    struct buf text;
    buf_init(&text, NAME_MAX_BYTES);
    json_unquote(name, &text);
    out->name = (struct str){mem_dup(buf_str(&text).p, text.n), text.n};
    buf_release(&text);
    struct str parameters = json_member(f, "parameters");
    out->properties = json_member(parameters, "properties");
    return out->name.p ? OK : err_set(err, ENOMEMORY, "tools: no memory");
}

enum status reply_tools_read(struct reply_tools *out, struct str json, struct err *err)
{
    struct json_walk w;
    struct str key, tool;
    *out = (struct reply_tools){0};
    if (json.n == 0)
        return OK;
    if (!json_is_whole(json) || !json_walk_begin(&w, json) || w.object)
        return err_set(err, EUSAGE, "tools: expected a JSON array");
    size_t n = 0;
    while (json_walk_next(&w, &key, &tool))
        n++;
    out->v = mem_array(n, sizeof *out->v);
    if (n && !out->v)
        return err_set(err, ENOMEMORY, "tools: no memory for %zu", n);
    json_walk_begin(&w, json);
    while (json_walk_next(&w, &key, &tool)) {
        enum status s = read_tool(&out->v[out->n], tool, out->n, err);
        if (s != OK) {
            reply_tools_release(out);
            return s;
        }
        out->n++;
    }
    return OK;
}

void reply_tools_release(struct reply_tools *t)
{
    for (size_t i = 0; i < t->n; i++)
        free((void *)(uintptr_t)t->v[i].name.p);
    free(t->v);
    *t = (struct reply_tools){0};
}

const struct reply_tool *reply_tools_find(const struct reply_tools *t, struct str name)
{
    for (size_t i = 0; i < t->n; i++)
        if (str_eq(t->v[i].name, name))
            return &t->v[i];
    return NULL;
}

bool call_arguments_ok(struct str arguments)
{
    if (!json_is_whole(arguments) || utf8_valid_prefix(arguments) != arguments.n)
        return false;
#ifndef HEARTH_ENGINE_ONLY
    json_t *doc;
    struct err ignored;
    if (json_parse(&doc, arguments, "arguments", &ignored) != OK)
        return false;
    bool object = json_is_object(doc);
    json_decref(doc);
    return object;
#else
    return is_object(arguments);
#endif
}

static const struct reply_tool *tool_of(const struct reply_tools *t, struct str name)
{
    struct buf text;
    if (!is_string(name))
        return NULL;
    buf_init(&text, NAME_MAX_BYTES);
    json_unquote(name, &text);
    const struct reply_tool *tool = text.failed ? NULL : reply_tools_find(t, buf_str(&text));
    buf_release(&text);
    return tool;
}

/* The first of the members that is there; .p NULL: none. */
static struct str first_member(struct str object, const char *const *keys)
{
    struct str v = {NULL, 0};
    for (int i = 0; keys[i] && !v.p; i++)
        v = json_member(object, keys[i]);
    return v;
}

const struct reply_tool *call_from_json(const struct reply_tools *t, struct str object, bool strict,
                                        struct buf *arguments)
{
    static const char *const names[] = {"name", "tool_name", "function", NULL};
    static const char *const bodies[] = {"arguments", "parameters", "args", NULL};
    struct str inner = json_member(object, "function");
    if (is_object(inner)) /* as the API writes it */
        object = inner;
    const struct reply_tool *tool = tool_of(t, first_member(object, names));
    struct str v = first_member(object, bodies);
    if (!tool || (strict && !v.p))
        return NULL;
    buf_clear(arguments);
    if (!v.p || str_is(v, "null"))
        buf_adds(arguments, "{}");
    else if (is_string(v))
        json_unquote(v, arguments); /* JSON within JSON */
    else
        buf_addstr(arguments, v);
    return !arguments->failed && call_arguments_ok(buf_str(arguments)) ? tool : NULL;
}

static struct str trim(struct str s)
{
    while (s.n && json_is_space(s.p[0]))
        s = str_slice(s, 1, s.n);
    while (s.n && json_is_space(s.p[s.n - 1]))
        s.n--;
    return s;
}

static bool has(struct str text, const char *z)
{
    return memmem(text.p, text.n, z, strlen(z)) != NULL;
}

/* A value written as plain text: JSON where the schema asks for something else than a string, a
 * string otherwise. Without a schema what is JSON is taken as that. */
static void add_value(struct str properties, struct str key, struct str value, struct buf *out)
{
    struct str schema = {NULL, 0}, k, v;
    struct json_walk w;
    if (properties.p && json_walk_begin(&w, properties) && w.object)
        while (json_walk_next(&w, &k, &v))
            if (k.n == key.n + 2 && memcmp(k.p + 1, key.p, key.n) == 0)
                schema = v;
    struct str type = json_member(schema, "type"), bare = trim(value);
    bool string = type.p && has(type, "\"string\"");
    if (!string && str_is(bare, "True"))
        bare = STR("true");
    else if (!string && str_is(bare, "False"))
        bare = STR("false");
    else if (!string && str_is(bare, "None"))
        bare = STR("null");
    if (!string && json_is_whole(bare))
        buf_addstr(out, bare);
    else
        jsonw_quote(out, value, false);
}

/* Takes text up to marker, and the marker, off the front of rest. */
static bool take_until(struct str *rest, const char *marker, struct str *text)
{
    const char *at = memmem(rest->p, rest->n, marker, strlen(marker));
    if (!at)
        return false;
    *text = (struct str){rest->p, (size_t)(at - rest->p)};
    *rest = str_slice(*rest, text->n + strlen(marker), rest->n);
    return true;
}

static bool take_marker(struct str *rest, const char *marker)
{
    struct str m = str_from(marker);
    while (rest->n && json_is_space(rest->p[0]))
        *rest = str_slice(*rest, 1, rest->n);
    if (!str_starts(*rest, m))
        return false;
    *rest = str_slice(*rest, m.n, rest->n);
    return true;
}

/* The line breaks that the markup puts around a value are not its own. */
static struct str without_frame(struct str v)
{
    if (v.n && v.p[0] == '\n')
        v = str_slice(v, 1, v.n);
    if (v.n && v.p[v.n - 1] == '\n')
        v.n--;
    return v;
}

bool call_from_markup(const struct call_format *f, const struct reply_tool *tool, struct str body,
                      struct buf *arguments)
{
    struct str key, value;
    bool first = true;
    buf_clear(arguments);
    buf_addc(arguments, '{');
    while (trim(body).n) {
        if (!take_marker(&body, f->key_open) || !take_until(&body, f->key_close, &key) ||
            (f->value_open && !take_marker(&body, f->value_open)) ||
            !take_until(&body, f->value_close, &value))
            return false;
        if (!first)
            buf_adds(arguments, ", ");
        first = false;
        key = trim(key);
        jsonw_quote(arguments, key, false);
        buf_adds(arguments, ": ");
        add_value(tool->properties, key, without_frame(value), arguments);
    }
    buf_addc(arguments, '}');
    return !arguments->failed;
}

static bool gemma_value(struct str *rest, struct buf *out, int depth);

/* <escape>text<escape>, or what stands before a delimiter. */
static bool gemma_text(struct str *rest, const char *ends, struct str *text, bool *quoted)
{
    *quoted = take_marker(rest, "<escape>");
    if (*quoted)
        return take_until(rest, "<escape>", text);
    size_t n = 0;
    while (n < rest->n && !strchr(ends, rest->p[n]))
        n++;
    *text = trim((struct str){rest->p, n});
    *rest = str_slice(*rest, n, rest->n);
    return text->n > 0;
}

/* Behind the opening bracket, up to and with the closing one. */
static bool gemma_items(struct str *rest, bool object, struct buf *out, int depth)
{
    const char *close = object ? "}" : "]";
    buf_addc(out, object ? '{' : '[');
    for (bool first = true; !take_marker(rest, close); first = false) {
        struct str key;
        bool quoted;
        if (depth == 0 || (!first && !take_marker(rest, ",")))
            return false;
        if (!first)
            buf_adds(out, ", ");
        if (object) {
            if (!gemma_text(rest, ":,{}[]", &key, &quoted) || !take_marker(rest, ":"))
                return false;
            jsonw_quote(out, key, false);
            buf_adds(out, ": ");
        }
        if (!gemma_value(rest, out, depth - 1))
            return false;
    }
    buf_addc(out, *close);
    return true;
}

static bool gemma_value(struct str *rest, struct buf *out, int depth)
{
    struct str text;
    bool quoted;
    if (take_marker(rest, "{"))
        return gemma_items(rest, true, out, depth);
    if (take_marker(rest, "["))
        return gemma_items(rest, false, out, depth);
    if (!gemma_text(rest, ",}]", &text, &quoted))
        return false;
    if (!quoted && json_is_whole(text))
        buf_addstr(out, text);
    else
        jsonw_quote(out, text, false);
    return true;
}

bool call_from_gemma(struct str body, struct buf *arguments)
{
    buf_clear(arguments);
    return take_marker(&body, "{") && gemma_items(&body, true, arguments, GEMMA_DEPTH) &&
           trim(body).n == 0 && !arguments->failed;
}

/* What of text is left behind white space and this byte. */
static enum bare_guess expect(struct str *text, char c)
{
    while (text->n && json_is_space(text->p[0]))
        *text = str_slice(*text, 1, text->n);
    if (text->n == 0)
        return BARE_MAYBE;
    if (text->p[0] != c)
        return BARE_NO;
    *text = str_slice(*text, 1, text->n);
    return BARE_YES;
}

/* Does text begin with name and a quote, or is it the beginning of that? */
static enum bare_guess begins(struct str text, struct str name)
{
    size_t n = text.n < name.n ? text.n : name.n;
    if (memcmp(text.p, name.p, n) != 0)
        return BARE_NO;
    if (text.n <= name.n)
        return BARE_MAYBE;
    return text.p[name.n] == '"' ? BARE_YES : BARE_NO;
}

static enum bare_guess guess_name(const struct reply_tools *t, struct str text)
{
    enum bare_guess g = expect(&text, ':'), best = BARE_NO;
    if (g == BARE_YES)
        g = expect(&text, '"');
    if (g != BARE_YES)
        return g;
    for (size_t i = 0; i < t->n; i++) {
        g = begins(text, t->v[i].name);
        best = g > best ? g : best;
    }
    /* a name may be written with escapes */
    return best == BARE_NO && memchr(text.p, '\\', text.n) ? BARE_YES : best;
}

enum bare_guess call_bare_guess(const struct reply_tools *t, struct str text)
{
    static const char *const keys[] = {"name", "arguments",   "parameters", "type",
                                       "id",   "function",    "tool_name",  "index",
                                       "args", "tool_call_id"};
    enum bare_guess best = BARE_NO, g;
    struct str rest = text;
    if (rest.n && rest.p[0] == '[')
        rest = str_slice(rest, 1, rest.n);
    g = expect(&rest, '{');
    if (g == BARE_YES)
        g = expect(&rest, '"');
    if (g != BARE_YES)
        return g;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        g = begins(rest, str_from(keys[i]));
        if (g == BARE_YES && i == 0)
            return guess_name(t, str_slice(rest, strlen(keys[i]) + 1, rest.n));
        best = g > best ? g : best;
    }
    return best;
}
