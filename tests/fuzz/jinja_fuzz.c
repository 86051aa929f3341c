/* Any bytes as a template, rendered with a context that has every kind of value. Nothing may
 * crash, hang or leak; what renders must keep the ceilings. */
#include "text/jinja.h"

static struct jval *message(struct arena *a, const char *role, const char *content)
{
    struct jval *m = jval_map(a);
    jval_map_set(a, m, STR("role"), jval_str(a, str_from(role)));
    return jval_map_set(a, m, STR("content"), jval_str(a, str_from(content)));
}

static struct jval *context_of_all_kinds(struct arena *a)
{
    struct jval *c = jval_map(a), *messages = jval_list(a), *items = jval_list(a);
    struct jval *d = jval_map(a);
    jval_list_add(a, messages, message(a, "system", "You are terse."));
    jval_list_add(a, messages, message(a, "user", " na\xc3\xafve \xf0\x9f\x98\x80 <b>&\n\ttab "));
    jval_list_add(a, messages, message(a, "assistant", "<think>hm</think>\xff bad bytes"));
    for (int i = 3; i > 0; i--)
        jval_list_add(a, items, jval_int(a, i));
    jval_map_set(a, d, STR("b"), jval_float(a, 2.5));
    jval_map_set(a, d, STR("a"), items);
    jval_map_set(a, c, STR("messages"), messages);
    jval_map_set(a, c, STR("items"), items);
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
    struct jinja *t;
    struct err err;
    if (jinja_compile(&t, (struct str){(const char *)data, n}, &err) != OK)
        return 0;
    struct arena a;
    struct buf out;
    struct jinja_options opt = {
        .limits = {.max_steps = 20000, .max_memory = 4 << 20},
        .now = 1764000000,
    };
    arena_init(&a, 1 << 20);
    buf_init(&out, 1 << 20);
    enum status s = jinja_render(t, context_of_all_kinds(&a), &opt, &out, &err);
    if (s == OK && out.n > out.max)
        __builtin_trap();
    buf_release(&out);
    arena_release(&a);
    jinja_free(t);
    return 0;
}
