/* Methods of dict, list, tuple, int, float, cycler: what the immutable sandbox allows. Methods that
 * change their object exist but are unsafe: looking one up gives an undefined that fails with a
 * security error when used, as in Jinja. */
#include "text/jinja_methods.h"
#include <math.h>

#define METHOD(name)                                                                               \
    static const struct jval *name(struct jrun *r, const struct jval *self,                        \
                                   const struct jargs *args)

/* ---- dict ---- */

METHOD(d_get)
{
    uint64_t h;
    if (!jval_hash(args->pos[0], &h))
        return jrun_error(r, "unhashable type: '%s'", jval_type_name(args->pos[0]));
    const struct jval *v = jmap_find(self->map, args->pos[0]);
    return v ? v : args->pos[1] ? args->pos[1] : &jval_none;
}

enum view {
    VIEW_KEYS,
    VIEW_VALUES,
    VIEW_ITEMS,
};

static const struct jval *view(struct jrun *r, const struct jval *self, enum view which)
{
    static const enum jval_list_type types[] = {JL_KEYS, JL_VALUES, JL_ITEMS};
    size_t n = self->map->n;
    const struct jval **v = jrun_alloc(r, n, sizeof *v);
    if (!v || !jrun_step(r, n / 8))
        return NULL;
    for (size_t i = 0; i < n; i++) {
        const struct jentry *e = &self->map->e[i];
        v[i] = which == VIEW_KEYS ? e->key : e->value;
        if (which == VIEW_ITEMS) {
            const struct jval **pair = jrun_alloc(r, 2, sizeof *pair);
            if (!pair)
                return NULL;
            pair[0] = e->key;
            pair[1] = e->value;
            if (!(v[i] = jrun_list(r, JL_TUPLE, pair, 2)))
                return NULL;
        }
    }
    return jrun_list(r, types[which], v, n);
}

METHOD(d_keys)
{
    (void)args;
    return view(r, self, VIEW_KEYS);
}

METHOD(d_values)
{
    (void)args;
    return view(r, self, VIEW_VALUES);
}

METHOD(d_items)
{
    (void)args;
    return view(r, self, VIEW_ITEMS);
}

METHOD(copy)
{
    (void)r;
    (void)args;
    return self; /* nothing changes it */
}

/* ---- list and tuple ---- */

METHOD(l_index)
{
    for (size_t i = 0; i < self->list.n; i++) {
        bool same;
        if (!jrun_equal(r, self->list.v[i], args->pos[0], &same))
            return NULL;
        if (same)
            return jrun_int(r, (int64_t)i);
    }
    struct buf b;
    buf_init(&b, 200);
    jval_repr(&b, args->pos[0]);
    jrun_error(r, "%.*s is not in list", STR_ARG(buf_str(&b)));
    buf_release(&b);
    return NULL;
}

METHOD(l_count)
{
    int64_t n = 0;
    for (size_t i = 0; i < self->list.n; i++) {
        bool same;
        if (!jrun_equal(r, self->list.v[i], args->pos[0], &same))
            return NULL;
        n += same;
    }
    return jrun_int(r, n);
}

/* ---- numbers, cycler ---- */

METHOD(f_is_integer)
{
    (void)r;
    (void)args;
    return jval_of_bool(isfinite(self->f) && self->f == floor(self->f));
}

METHOD(i_bit_length)
{
    (void)args;
    int64_t v = jval_integer(self);
    uint64_t bits = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    return jrun_int(r, bits ? 64 - __builtin_clzll(bits) : 0);
}

METHOD(c_next)
{
    (void)r;
    (void)args;
    size_t *at = self->call->pos;
    const struct jval *v = self->call->items.v[*at];
    *at = (*at + 1) % self->call->items.n;
    return v;
}

METHOD(c_reset)
{
    (void)r;
    (void)args;
    *self->call->pos = 0;
    return &jval_none;
}

static const struct jbuiltin dict_methods[] = {
    {.name = "get", .fn = d_get, .params = {"key", "default"}, .required = 1},
    {.name = "items", .fn = d_items},
    {.name = "keys", .fn = d_keys},
    {.name = "values", .fn = d_values},
    {.name = "copy", .fn = copy},
    {.name = "clear"}, /* no function: changes its object */
    {.name = "pop"},
    {.name = "popitem"},
    {.name = "setdefault"},
    {.name = "update"},
    {.name = NULL},
};

static const struct jbuiltin list_methods[] = {
    {.name = "index", .fn = l_index, .params = {"value"}, .required = 1},
    {.name = "count", .fn = l_count, .params = {"value"}, .required = 1},
    {.name = "copy", .fn = copy},
    {.name = "append"},
    {.name = "clear"},
    {.name = "extend"},
    {.name = "insert"},
    {.name = "pop"},
    {.name = "remove"},
    {.name = "reverse"},
    {.name = "sort"},
    {.name = NULL},
};

static const struct jbuiltin tuple_methods[] = {
    {.name = "index", .fn = l_index, .params = {"value"}, .required = 1},
    {.name = "count", .fn = l_count, .params = {"value"}, .required = 1},
    {.name = NULL},
};

static const struct jbuiltin int_methods[] = {
    {.name = "bit_length", .fn = i_bit_length},
    {.name = NULL},
};

static const struct jbuiltin float_methods[] = {
    {.name = "is_integer", .fn = f_is_integer},
    {.name = NULL},
};

static const struct jbuiltin cycler_methods[] = {
    {.name = "next", .fn = c_next},
    {.name = "reset", .fn = c_reset},
    {.name = NULL},
};

static const struct jbuiltin *table_of(const struct jval *v)
{
    switch ((enum jval_kind)v->kind) {
    case JV_MAP: return dict_methods;
    case JV_LIST:
        return v->sub == JL_LIST                        ? list_methods
               : jval_is_tuple(v) || v->sub == JL_RANGE ? tuple_methods
                                                        : NULL;
    case JV_BOOL:
    case JV_INT: return int_methods;
    case JV_FLOAT: return float_methods;
    case JV_CALLABLE: return v->sub == JC_CYCLER ? cycler_methods : NULL;
    default: return NULL;
    }
}

const struct jbuiltin *jinja_find_method(const struct jval *v, struct str name, bool *unsafe)
{
    const struct jbuiltin *fn = NULL;
    /* every Python object has such attributes, and the sandbox hides them all */
    if (v->kind != JV_NAMESPACE && name.n > 4 && str_starts(name, STR("__")) &&
        str_ends(name, STR("__"))) {
        *unsafe = str_is(name, "__class__") || str_is(name, "__init__") ||
                  str_is(name, "__doc__") || str_is(name, "__str__") || str_is(name, "__repr__") ||
                  str_is(name, "__eq__") || str_is(name, "__hash__") || str_is(name, "__dir__") ||
                  str_is(name, "__getattribute__");
        return NULL;
    }
    if (v->kind == JV_STRING)
        return jstr_method(name);
    for (const struct jbuiltin *row = table_of(v); row && row->name; row++)
        if (str_is(name, row->name))
            fn = row;
    if (fn && !fn->fn) {
        *unsafe = true;
        return NULL;
    }
    return fn;
}
