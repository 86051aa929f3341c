/* Any bytes as a Go template, rendered with a context that has every kind of value, and as a
 * model's template for a conversation with tools. Nothing may crash, hang or leak. */
#include "text/gotmpl_chat.h"

static struct jval *message(struct arena *a, const char *role, const char *content)
{
    struct jval *m = jval_map(a);
    jval_map_set(a, m, STR("role"), jval_str(a, str_from(role)));
    return jval_map_set(a, m, STR("content"), jval_str(a, str_from(content)));
}

static struct jval *messages(struct arena *a)
{
    struct jval *list = jval_list(a), *call = jval_map(a), *f = jval_map(a), *args = jval_map(a);
    struct jval *calling = message(a, "assistant", "");
    jval_map_set(a, args, STR("city"), jval_str(a, STR("Z\xc3\xbcrich")));
    jval_map_set(a, args, STR("days"), jval_int(a, 3));
    jval_map_set(a, f, STR("name"), jval_str(a, STR("weather")));
    jval_map_set(a, f, STR("arguments"), args);
    jval_map_set(a, call, STR("function"), f);
    jval_map_set(a, calling, STR("tool_calls"), jval_list_add(a, jval_list(a), call));
    jval_list_add(a, list, message(a, "system", "You are terse."));
    jval_list_add(a, list, message(a, "user", " na\xc3\xafve \xf0\x9f\x98\x80 <b>&\n\ttab "));
    jval_list_add(a, list, calling);
    jval_list_add(a, list, message(a, "tool", "\xff bad bytes"));
    return list;
}

static struct jval *tools(struct arena *a)
{
    struct jval *tool = jval_map(a), *f = jval_map(a), *p = jval_map(a), *all = jval_map(a);
    struct jval *type = jval_map_set(a, jval_map(a), STR("type"), jval_str(a, STR("string")));
    jval_map_set(a, all, STR("city"), type);
    jval_map_set(a, p, STR("properties"), all);
    jval_map_set(a, f, STR("parameters"), p);
    jval_map_set(a, f, STR("name"), jval_str(a, STR("weather")));
    jval_map_set(a, tool, STR("function"), f);
    return jval_list_add(a, jval_list(a), tool);
}

static struct jval *context_of_all_kinds(struct arena *a)
{
    struct jval *c = jval_map(a), *items = jval_list(a), *d = jval_map(a);
    for (int i = 3; i > 0; i--)
        jval_list_add(a, items, jval_int(a, i));
    jval_map_set(a, d, STR("b"), jval_float(a, 2.5));
    jval_map_set(a, d, STR("a"), items);
    jval_map_set(a, c, STR("messages"), messages(a));
    jval_map_set(a, c, STR("l"), items);
    jval_map_set(a, c, STR("d"), d);
    jval_map_set(a, c, STR("s"), jval_str(a, STR("Hello, World")));
    jval_map_set(a, c, STR("n"), jval_int(a, -42));
    jval_map_set(a, c, STR("f"), jval_float(a, 1e-7));
    jval_map_set(a, c, STR("yes"), jval_bool(a, true));
    return jval_map_set(a, c, STR("nothing"), jval_null(a));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct gotmpl *t;
    struct err err;
    if (gotmpl_chat_compile(&t, (struct str){(const char *)data, n}, &err) != OK)
        return 0;
    struct arena a;
    struct buf out;
    struct gotmpl_options opt = {
        .limits = {.max_steps = 20000, .max_memory = 4 << 20},
        .now = 1764000000,
    };
    arena_init(&a, 1 << 20);
    buf_init(&out, 1 << 20);
    struct gotmpl_chat_vars vars = {.messages = messages(&a), .tools = tools(&a), .now = opt.now};
    enum status s = gotmpl_render(t, context_of_all_kinds(&a), &opt, &out, &err);
    /* a conversation has the usual ceilings: only what kept small ones */
    if (s == OK && gotmpl_chat_render(t, &vars, &out, &err) == OK && out.n > out.max)
        __builtin_trap();
    buf_release(&out);
    arena_release(&a);
    gotmpl_free(t);
    return 0;
}
