#include "text/chat_template.h"
#include "text/jinja_value.h"
#include <time.h>

enum { MAX_CONTEXT = 16 << 20 }; /* only the map and the tokens: the values are shared */

static bool set(struct arena *a, struct jval *context, const char *name, const struct jval *v)
{
    const struct jval *key = jval_str_view(a, name, strlen(name));
    return key && jmap_set(a, context->map, key, v);
}

static bool set_token(struct arena *a, struct jval *context, const char *name, struct str token)
{
    const struct jval *v = token.p ? jval_str_view(a, token.p, token.n) : NULL;
    return !token.p || (v && set(a, context, name, v));
}

static bool fill(struct arena *a, struct jval *context, const struct chat_template_vars *vars)
{
    bool ok = set(a, context, "messages", vars->messages) &&
              set(a, context, "tools", vars->tools ? vars->tools : &jval_none) &&
              set(a, context, "documents", vars->documents ? vars->documents : &jval_none) &&
              set(a, context, "add_generation_prompt",
                  vars->add_generation_prompt ? &jval_true : &jval_false) &&
              set_token(a, context, "bos_token", vars->bos_token) &&
              set_token(a, context, "eos_token", vars->eos_token) &&
              set_token(a, context, "unk_token", vars->unk_token) &&
              set_token(a, context, "pad_token", vars->pad_token);
    for (size_t i = 0; ok && vars->extra && i < vars->extra->map->n; i++) {
        const struct jentry *e = &vars->extra->map->e[i];
        ok = jmap_set(a, context->map, e->key, e->value);
    }
    return ok;
}

enum status chat_template_render(const struct jinja *t, const struct chat_template_vars *vars,
                                 struct buf *out, struct err *err)
{
    struct arena a;
    if (!vars->messages || vars->messages->kind != JV_LIST)
        return err_set(err, EUSAGE, "messages: expected a list");
    if (vars->extra && vars->extra->kind != JV_MAP)
        return err_set(err, EUSAGE, "template variables: expected a map");
    arena_init(&a, MAX_CONTEXT);
    struct jval *context = jval_map(&a);
    struct jinja_options opt = {.now = vars->now ? vars->now : (int64_t)time(NULL)};
    enum status s = context && fill(&a, context, vars)
                        ? jinja_render(t, context, &opt, out, err)
                        : err_set(err, ENOMEMORY, "template variables: out of memory");
    arena_release(&a);
    return s;
}
