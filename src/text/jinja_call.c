/* Calling: binding arguments to a builtin's row, macros with their defaults and special variables,
 * the `loop` object, cyclers and joiners. */
#include "text/jinja_run.h"

/* ---- builtins ---- */

static const struct jval *repeated_argument(struct jrun *r, const char *name, const char *arg)
{
    return jrun_error(r, "%s() got multiple values for argument '%s'", name, arg);
}

const struct jval *jrun_call_builtin(struct jrun *r, const struct jbuiltin *fn,
                                     const struct jval *self, const struct jargs *args)
{
    const struct jval *bound[JBUILTIN_PARAMS] = {0};
    size_t n = 0;
    if (fn->any)
        return fn->fn(r, self, args);
    while (n < JBUILTIN_PARAMS && fn->params[n])
        n++;
    if (args->n > n)
        return jrun_error(r, "%s() takes at most %zu arguments, got %zu", fn->name, n, args->n);
    for (size_t i = 0; i < args->n; i++)
        bound[i] = args->pos[i];
    for (size_t k = 0; k < args->n_kw; k++) {
        size_t i = 0;
        while (i < n && !str_is(args->kw[k].name, fn->params[i]))
            i++;
        if (i == n)
            return jrun_error(r, "%s() got an unexpected keyword argument '%.*s'", fn->name,
                              STR_ARG(args->kw[k].name));
        if (bound[i])
            return repeated_argument(r, fn->name, fn->params[i]);
        bound[i] = args->kw[k].value;
    }
    for (size_t i = 0; i < fn->required; i++)
        if (!bound[i])
            return jrun_error(r, "%s() misses its argument '%s'", fn->name, fn->params[i]);
    struct jargs all = {.pos = bound, .n = n};
    return fn->fn(r, self, &all);
}

bool jarg_int(struct jrun *r, const struct jval *v, int64_t absent, int64_t *out)
{
    *out = absent;
    if (!v)
        return true;
    if (v->kind == JV_UNDEFINED)
        return jrun_use_undefined(r, v), false;
    if (!jval_is_integer(v))
        return jrun_error(r, "'%s' object cannot be interpreted as an integer", jval_type_name(v)),
               false;
    *out = jval_integer(v);
    return true;
}

bool jarg_text(struct jrun *r, const struct jval *v, const char *what, struct str *out)
{
    if (v->kind == JV_STRING) {
        *out = jval_text(v);
        return true;
    }
    jrun_error(r, "%s must be str, not %s", what, jval_type_name(v));
    return false;
}

/* ---- macros ---- */

/* The arguments behind the declared ones: varargs, kwargs and caller, or an error. */
static bool bind_rest(struct jrun *r, const struct jmacro_def *def, struct jscope *s,
                      const struct jargs *args, const bool *used)
{
    size_t n_extra = args->n > def->n_params ? args->n - def->n_params : 0;
    const struct jval *caller = NULL;
    struct jval *kwargs = jval_map(&r->arena);
    if (!kwargs)
        return jrun_no_memory(r), false;
    for (size_t k = 0; k < args->n_kw; k++) {
        if (used[k])
            continue;
        struct str name = args->kw[k].name;
        const struct jval *key;
        if (def->uses_caller && str_is(name, "caller"))
            caller = args->kw[k].value;
        else if (!def->uses_kwargs)
            return jrun_error(r, "macro '%.*s' takes no keyword argument '%.*s'",
                              STR_ARG(def->name), STR_ARG(name)),
                   false;
        else if (!(key = jrun_view(r, name)) ||
                 !jmap_set(&r->arena, kwargs->map, key, args->kw[k].value))
            return r->status == OK ? jrun_no_memory(r), false : false;
    }
    if (n_extra && !def->uses_varargs)
        return jrun_error(r, "macro '%.*s' takes not more than %zu argument(s)", STR_ARG(def->name),
                          def->n_params),
               false;
    const struct jval **extra = n_extra ? args->pos + def->n_params : NULL;
    const struct jval *varargs = jrun_list(r, JL_TUPLE, extra, n_extra);
    if (!caller && def->uses_caller)
        caller = jrun_undefined(r, "no caller defined");
    return varargs && (!def->uses_varargs || jrun_bind(r, s, def->varargs_id, varargs)) &&
           (!def->uses_kwargs || jrun_bind(r, s, def->kwargs_id, kwargs)) &&
           (!def->uses_caller || (caller && jrun_bind(r, s, def->caller_id, caller)));
}

static const struct jval *missing_parameter(struct jrun *r, const struct jparam *p)
{
    struct buf b;
    jrun_buf(r, &b);
    buf_printf(&b, "parameter '%.*s' was not provided", STR_ARG(p->name));
    const struct jval *hint = jrun_take(r, &b);
    return hint ? jrun_undefined(r, hint->s.p) : NULL;
}

/* Binds in the macro's own scope, which is the current one: defaults may use the parameters
 * before them. */
static bool bind_params(struct jrun *r, const struct jmacro_def *def, const struct jargs *args)
{
    struct jscope *s = r->scope;
    bool *used = jrun_alloc(r, args->n_kw, sizeof *used);
    const struct jval **given = jrun_alloc(r, def->n_params, sizeof *given);
    if (!used || !given)
        return false;
    for (size_t i = 0; i < def->n_params; i++) {
        given[i] = i < args->n ? args->pos[i] : NULL;
        for (size_t k = 0; k < args->n_kw; k++)
            if (!given[i] && str_eq(args->kw[k].name, def->params[i].name)) {
                given[i] = args->kw[k].value;
                used[k] = true;
            }
    }
    if (!bind_rest(r, def, s, args, used))
        return false;
    for (size_t i = 0; i < def->n_params; i++) {
        const struct jparam *p = &def->params[i];
        const struct jval *v = given[i];
        if (!v)
            v = p->absent ? jrun_eval(r, p->absent) : missing_parameter(r, p);
        if (!v || !jrun_bind(r, s, p->id, v))
            return false;
    }
    return true;
}

static const struct jval *call_macro(struct jrun *r, const struct jmacro *m,
                                     const struct jargs *args)
{
    struct jscope *outer = r->scope;
    const struct jval *v = NULL;
    uint32_t line = r->line;
    if (!jrun_enter(r))
        return NULL;
    r->scope = jrun_scope(r, m->scope);
    if (r->scope && bind_params(r, m->def, args))
        v = jrun_capture(r, &m->def->body);
    r->scope = outer;
    r->depth--;
    if (v)
        r->line = line;
    return v;
}

/* ---- loop ---- */

static const struct jval *loop_neighbour(struct jrun *r, struct jloop *loop, int by)
{
    const struct jval *v = NULL;
    if (by > 0 || loop->at > 0)
        v = jrun_loop_item(r, loop, by > 0 ? loop->at + 1 : loop->at - 1);
    if (v || r->status != OK)
        return v;
    return jrun_undefined(r, by > 0 ? "there is no next item" : "there is no previous item");
}

static bool loop_length(struct jrun *r, struct jloop *loop, int64_t *n)
{
    jrun_loop_item(r, loop, SIZE_MAX);
    *n = (int64_t)loop->n;
    return r->status == OK;
}

static const struct jval *loop_cycle(struct jrun *r, const struct jval *self,
                                     const struct jargs *args)
{
    if (!args->n)
        return jrun_error(r, "no items for cycling given");
    return args->pos[self->call->loop->at % args->n];
}

static const struct jval *loop_changed(struct jrun *r, const struct jval *self,
                                       const struct jargs *args)
{
    struct jloop *loop = self->call->loop;
    const struct jval *now = jrun_list(r, JL_TUPLE, args->pos, args->n);
    if (!now)
        return NULL;
    bool same = loop->last_changed && jval_equal(loop->last_changed, now);
    loop->last_changed = now;
    return jval_of_bool(!same);
}

enum loop_field {
    LOOP_INDEX,
    LOOP_INDEX0,
    LOOP_REVINDEX,
    LOOP_REVINDEX0,
    LOOP_FIRST,
    LOOP_LAST,
    LOOP_LENGTH,
    LOOP_DEPTH,
    LOOP_DEPTH0,
    LOOP_PREVITEM,
    LOOP_NEXTITEM,
    LOOP_FIELDS,
};

static const char *const loop_fields[LOOP_FIELDS] = {
    [LOOP_INDEX] = "index",         [LOOP_INDEX0] = "index0",     [LOOP_REVINDEX] = "revindex",
    [LOOP_REVINDEX0] = "revindex0", [LOOP_FIRST] = "first",       [LOOP_LAST] = "last",
    [LOOP_LENGTH] = "length",       [LOOP_DEPTH] = "depth",       [LOOP_DEPTH0] = "depth0",
    [LOOP_PREVITEM] = "previtem",   [LOOP_NEXTITEM] = "nextitem",
};

static const struct jbuiltin loop_methods[] = {
    {.name = "cycle", .fn = loop_cycle, .any = true},
    {.name = "changed", .fn = loop_changed, .any = true},
};

static const struct jval *loop_method(struct jrun *r, const struct jval *self, struct str name)
{
    for (size_t i = 0; i < sizeof loop_methods / sizeof *loop_methods; i++) {
        if (!str_is(name, loop_methods[i].name))
            continue;
        struct jval *v = jval_new(&r->arena, JV_CALLABLE);
        if (!v || !(v->call = jrun_alloc(r, 1, sizeof *v->call)))
            return jrun_no_memory(r);
        v->sub = JC_METHOD;
        v->call->fn = &loop_methods[i];
        v->call->self = self;
        return v;
    }
    return NULL;
}

const struct jval *jrun_loop_attr(struct jrun *r, const struct jval *self, struct str name)
{
    struct jloop *loop = self->call->loop;
    int64_t at = (int64_t)loop->at, n;
    int field = 0;
    while (field < LOOP_FIELDS && !str_is(name, loop_fields[field]))
        field++;
    switch ((enum loop_field)field) {
    case LOOP_INDEX: return jrun_int(r, at + 1);
    case LOOP_INDEX0: return jrun_int(r, at);
    case LOOP_REVINDEX: return loop_length(r, loop, &n) ? jrun_int(r, n - at) : NULL;
    case LOOP_REVINDEX0: return loop_length(r, loop, &n) ? jrun_int(r, n - at - 1) : NULL;
    case LOOP_FIRST: return jval_of_bool(at == 0);
    case LOOP_LAST: {
        const struct jval *next = jrun_loop_item(r, loop, loop->at + 1);
        return r->status == OK ? jval_of_bool(!next) : NULL;
    }
    case LOOP_LENGTH: return loop_length(r, loop, &n) ? jrun_int(r, n) : NULL;
    case LOOP_DEPTH: return jrun_int(r, loop->depth0 + 1);
    case LOOP_DEPTH0: return jrun_int(r, loop->depth0);
    case LOOP_PREVITEM: return loop_neighbour(r, loop, -1);
    case LOOP_NEXTITEM: return loop_neighbour(r, loop, 1);
    case LOOP_FIELDS: break;
    }
    return loop_method(r, self, name);
}

/* ---- any callable ---- */

static const struct jval *call_joiner(struct jrun *r, const struct jval *callee)
{
    if (*callee->call->pos)
        return callee->call->items.v[0];
    *callee->call->pos = 1;
    return jrun_view(r, STR(""));
}

const struct jval *jrun_call(struct jrun *r, const struct jval *callee, const struct jargs *args)
{
    if (callee->kind == JV_UNDEFINED)
        return jrun_use_undefined(r, callee);
    if (callee->kind == JV_CALLABLE)
        switch ((enum jval_callable_type)callee->sub) {
        case JC_FUNCTION:
        case JC_METHOD: return jrun_call_builtin(r, callee->call->fn, callee->call->self, args);
        case JC_MACRO: return call_macro(r, callee->call->macro, args);
        case JC_LOOP:
            if (args->n == 1)
                return jrun_loop_again(r, callee->call->loop, args->pos[0]);
            return jrun_error(r, "loop() takes one argument, got %zu", args->n);
        case JC_JOINER: return call_joiner(r, callee);
        case JC_CYCLER: break;
        }
    return jrun_error(r, "'%s' object is not callable", jval_type_name(callee));
}
