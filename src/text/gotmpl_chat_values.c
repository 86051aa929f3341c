/* Building the structs of Ollama's API from JSON: which fields there are, under which names in Go
 * and in JSON, and which of them JSON leaves out when they are empty. */
#include "text/gotmpl_chat_values.h"

enum { MAX_SCHEMA_DEPTH = 200 };

struct jval *gchat_struct(struct arena *a)
{
    struct jval *v = jval_map(a), *json = jval_map(a);
    if (!v || !json)
        return NULL;
    v->go = json->go = GO_STRUCT;
    v->map->json = json;
    return v;
}

/* Whether JSON leaves the field out (omitempty). */
static bool is_empty(const struct jval *v)
{
    return v->kind == JV_NULL || (v->kind == JV_STRING && v->s.n == 0) ||
           (v->kind == JV_LIST && v->list.n == 0) || (v->kind == JV_MAP && (v->go & GO_NIL));
}

static const struct jval *json_of(const struct jval *map)
{
    return map->map->json;
}

/* Sets a field, in JSON too unless it is empty and may be left out. */
static struct jval *set(struct arena *a, struct jval *s, const char *go, const char *json,
                        const struct jval *v, bool omit_empty)
{
    if (!s || !v)
        return NULL;
    const struct jval *key = jval_str_view(a, go, strlen(go));
    const struct jval *name = jval_str_view(a, json, strlen(json));
    if (!key || !name || !jmap_set(a, s->map, key, v))
        return NULL;
    if (omit_empty && is_empty(v))
        return s;
    return jmap_set(a, json_of(s)->map, name, v) ? s : NULL;
}

static struct jval *marked(struct jval *v, enum jval_go mark)
{
    if (v)
        v->go |= (uint8_t)mark;
    return v;
}

/* Go reads every number of JSON as a float64; an int that a float64 cannot hold stays one. */
static const struct jval *any(struct arena *a, const struct jval *v)
{
    enum { EXACT = 53 };
    if (!v)
        return &jval_none;
    if (v->kind == JV_INT && v->i >= -(INT64_C(1) << EXACT) && v->i <= INT64_C(1) << EXACT)
        return jval_float(a, (double)v->i);
    if (v->kind == JV_LIST) {
        struct jval *out = jval_list(a);
        for (size_t i = 0; i < v->list.n; i++)
            out = jval_list_add(a, out, (struct jval *)(uintptr_t)any(a, v->list.v[i]));
        return out;
    }
    if (v->kind == JV_MAP) {
        struct jval *out = jval_map(a);
        for (size_t i = 0; out && i < v->map->n; i++) {
            const struct jval *item = any(a, v->map->e[i].value);
            if (!item || !jmap_set(a, out->map, v->map->e[i].key, item))
                return NULL;
        }
        return out;
    }
    return v;
}

static const struct jval *text(struct arena *a, const struct jval *v)
{
    return v && v->kind == JV_STRING ? v : jval_str_view(a, "", 0);
}

/* A list of those elements that are strings. */
static const struct jval *strings(struct arena *a, const struct jval *v)
{
    struct jval *out = jval_list(a);
    for (size_t i = 0; v && v->kind == JV_LIST && i < v->list.n; i++)
        if (v->list.v[i]->kind == JV_STRING)
            out = jval_list_add(a, out, (struct jval *)(uintptr_t)v->list.v[i]);
    return out && out->list.n == 0 ? marked(out, GO_NIL) : out;
}

static const struct jval *type_of(struct arena *a, const struct jval *v)
{
    struct jval *out;
    if (v && v->kind == JV_STRING)
        out = jval_list_add(a, jval_list(a), (struct jval *)(uintptr_t)v);
    else
        out = (struct jval *)(uintptr_t)strings(a, v);
    return marked(out, GO_ALONE);
}

static const struct jval *property(struct arena *a, const struct jval *schema, int depth);

/* ordered: JSON keeps the schema's order, and not that of the names. */
static const struct jval *properties(struct arena *a, const struct jval *v, bool ordered, int depth)
{
    struct jval *out = jval_map(a);
    if (!out)
        return NULL;
    out->go = GO_JSON;
    if (!v || v->kind != JV_MAP)
        return marked(out, GO_NIL);
    for (size_t i = 0; i < v->map->n; i++) {
        const struct jval *p = property(a, v->map->e[i].value, depth);
        if (!p || !jmap_set(a, out->map, v->map->e[i].key, p))
            return NULL;
    }
    if (ordered) {
        struct jval *json = jval_new(a, JV_MAP);
        if (!json || !(json->map = jmap_new(a)))
            return NULL;
        *json->map = *out->map;
        json->go = GO_STRUCT;
        out->map->json = json;
    }
    return out;
}

static const struct jval *list_of(struct arena *a, const struct jval *v, int depth, bool schemas)
{
    struct jval *out = jval_list(a);
    for (size_t i = 0; v && v->kind == JV_LIST && i < v->list.n; i++) {
        const struct jval *item = schemas ? property(a, v->list.v[i], depth) : any(a, v->list.v[i]);
        out = jval_list_add(a, out, (struct jval *)(uintptr_t)item);
    }
    return out && out->list.n == 0 ? marked(out, GO_NIL) : out;
}

static const struct jval *property(struct arena *a, const struct jval *schema, int depth)
{
    struct jval *p = gchat_struct(a);
    if (depth >= MAX_SCHEMA_DEPTH)
        schema = NULL;
    p = set(a, p, "AnyOf", "anyOf", list_of(a, jval_map_get(schema, STR("anyOf")), depth + 1, true),
            true);
    p = set(a, p, "Type", "type", type_of(a, jval_map_get(schema, STR("type"))), true);
    p = set(a, p, "Items", "items", any(a, jval_map_get(schema, STR("items"))), true);
    p = set(a, p, "Description", "description", text(a, jval_map_get(schema, STR("description"))),
            true);
    p = set(a, p, "Enum", "enum", list_of(a, jval_map_get(schema, STR("enum")), depth + 1, false),
            true);
    p = set(a, p, "Properties", "properties",
            properties(a, jval_map_get(schema, STR("properties")), true, depth + 1), true);
    p = set(a, p, "Required", "required", strings(a, jval_map_get(schema, STR("required"))), true);
    return p;
}

static struct jval *parameters(struct arena *a, const struct jval *v)
{
    struct jval *p = gchat_struct(a);
    p = set(a, p, "Type", "type", text(a, jval_map_get(v, STR("type"))), false);
    p = set(a, p, "Defs", "$defs", any(a, jval_map_get(v, STR("$defs"))), true);
    p = set(a, p, "Items", "items", any(a, jval_map_get(v, STR("items"))), true);
    p = set(a, p, "Required", "required", strings(a, jval_map_get(v, STR("required"))), true);
    p = set(a, p, "Properties", "properties",
            properties(a, jval_map_get(v, STR("properties")), false, 0), false);
    return marked(p, GO_JSON);
}

static struct jval *tool(struct arena *a, const struct jval *v)
{
    const struct jval *function = jval_map_get(v, STR("function"));
    struct jval *f = gchat_struct(a), *t = gchat_struct(a);
    f = set(a, f, "Name", "name", text(a, jval_map_get(function, STR("name"))), false);
    f = set(a, f, "Description", "description", text(a, jval_map_get(function, STR("description"))),
            false);
    f = set(a, f, "Parameters", "parameters",
            parameters(a, jval_map_get(function, STR("parameters"))), false);
    t = set(a, t, "Type", "type", text(a, jval_map_get(v, STR("type"))), false);
    t = set(a, t, "Items", "items", any(a, jval_map_get(v, STR("items"))), true);
    t = set(a, t, "Function", "function", marked(f, GO_JSON), false);
    return marked(t, GO_JSON);
}

struct jval *gchat_tools(struct arena *a, const struct jval *tools)
{
    struct jval *list = jval_list(a);
    if (!tools)
        return marked(list, GO_JSON | GO_NIL);
    for (size_t i = 0; i < tools->list.n; i++)
        list = jval_list_add(a, list, tool(a, tools->list.v[i]));
    return marked(list, GO_JSON);
}

static struct jval *call(struct arena *a, const struct jval *v, size_t index)
{
    const struct jval *function = jval_map_get(v, STR("function"));
    const struct jval *arguments = jval_map_get(function, STR("arguments"));
    struct jval *f = gchat_struct(a), *c = gchat_struct(a), *number = jval_int(a, (int64_t)index);
    const struct jval *args = NULL; /* text that is no JSON object stays as it is */
    if (arguments && arguments->kind == JV_STRING)
        args = arguments;
    else if (arguments && arguments->kind == JV_MAP)
        args = marked((struct jval *)(uintptr_t)any(a, arguments), GO_JSON);
    else
        args = marked(jval_map(a), GO_JSON);
    f = set(a, f, "Index", "index", marked(number, GO_TYPED), false);
    f = set(a, f, "Name", "name", text(a, jval_map_get(function, STR("name"))), false);
    f = set(a, f, "Arguments", "arguments", args, false);
    c = set(a, c, "ID", "id", text(a, jval_map_get(v, STR("id"))), true);
    return set(a, c, "Function", "function", f, false);
}

struct jval *gchat_message(struct arena *a, const struct gmessage *m)
{
    struct jval *v = gchat_struct(a), *calls = jval_list(a), *images = marked(jval_list(a), GO_NIL);
    size_t n = 0;
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; m->calls[k] && i < m->calls[k]->list.n; i++)
            calls = jval_list_add(a, calls, call(a, m->calls[k]->list.v[i], n++));
    if (calls && n == 0)
        marked(calls, GO_NIL);
    v = set(a, v, "Role", "role", jval_str(a, m->role), false);
    v = set(a, v, "Content", "content", jval_str(a, m->content), false);
    v = set(a, v, "Thinking", "thinking", jval_str(a, m->thinking), true);
    v = set(a, v, "Images", "images", images, true);
    v = set(a, v, "ToolCalls", "tool_calls", calls, true);
    v = set(a, v, "ToolName", "tool_name", jval_str(a, m->tool_name), true);
    return set(a, v, "ToolCallID", "tool_call_id", jval_str(a, m->call_id), true);
}
