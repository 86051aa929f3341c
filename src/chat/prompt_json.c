#include "chat/prompt_json.h"
#include "base/json.h"

static bool is_tool(const json_t *tool)
{
    const json_t *f = json_object_get(tool, "function");
    return json_is_object(tool) && json_is_object(f) && json_is_string(json_object_get(f, "name"));
}

static enum status add_tools(struct arena *a, const struct chat_request *r, const json_t *doc,
                             const struct jval **out, struct err *err)
{
    struct jval *list = jval_list(a);
    size_t n = 0;
    if (!json_is_array(doc))
        return err_set(err, EUSAGE, "tools: expected an array");
    for (size_t i = 0; i < json_array_size(doc); i++) {
        const json_t *tool = json_array_get(doc, i);
        if (!is_tool(tool))
            return err_set(err, EUSAGE, "tools[%zu]: expected a function with a name", i);
        struct str name = json_str(json_object_get(json_object_get(tool, "function"), "name"));
        if (r->choice == CHOICE_NAMED && !str_eq(name, r->choice_name))
            continue;
        list = jval_list_add(a, list, jval_from_json(a, tool));
        n++;
    }
    if (!list)
        return err_set(err, ELIMIT, "tools: too large");
    if (n == 0 && r->choice == CHOICE_NAMED)
        return err_set(err, EUSAGE, "tool '%.*s': not among the request's tools",
                       STR_ARG(r->choice_name));
    *out = n ? list : NULL;
    return OK;
}

enum status prompt_tools(struct arena *a, const struct chat_request *r, const struct jval **out,
                         struct err *err)
{
    json_t *doc;
    *out = NULL;
    if (!r->tools.p || r->choice == CHOICE_NONE)
        return OK;
    enum status s = json_parse(&doc, r->tools, "tools", err);
    if (s != OK)
        return s;
    s = add_tools(a, r, doc, out, err);
    json_decref(doc);
    return s;
}

enum status prompt_arguments(struct arena *a, struct str json, struct jval **out, struct err *err)
{
    json_t *doc;
    struct err ignored;
    if (json.n == 0) {
        *out = jval_map(a);
    } else if (json_parse(&doc, json, "arguments", &ignored) == OK) {
        *out = json_is_object(doc) ? jval_from_json(a, doc) : jval_str(a, json);
        json_decref(doc);
    } else {
        *out = jval_str(a, json);
    }
    return *out ? OK : err_set(err, ELIMIT, "arguments of a call: too large");
}
