/* Evaluating pipelines of Go templates: commands, operands, fields, calls. */
#include "text/gotmpl_run.h"

bool gval_is_nil(const struct jval *v)
{
    return v->kind == JV_NULL || v->kind == JV_UNDEFINED;
}

bool gval_truth(const struct jval *v)
{
    return v->kind == JV_MAP && (v->go & GO_STRUCT) ? true : jval_truth(v);
}

const char *gval_type(const struct jval *v)
{
    switch ((enum jval_kind)v->kind) {
    case JV_BOOL: return "bool";
    case JV_INT: return "int";
    case JV_FLOAT: return "float64";
    case JV_STRING: return "string";
    case JV_LIST: return "[]interface {}";
    case JV_MAP: return v->go & GO_STRUCT ? "struct" : "map[string]interface {}";
    default: return "<nil>";
    }
}

static const struct jval *field_of(struct grun *r, const struct jval *v, struct str name)
{
    if (v->kind == JV_UNDEFINED)
        return v;
    if (v->kind == JV_NULL)
        return grun_error(r, "nil pointer evaluating interface {}.%.*s", STR_ARG(name));
    if (v->kind == JV_MAP) {
        const struct jval *found = jmap_find_str(v->map, name);
        if (found || !(v->go & GO_STRUCT))
            return found ? found : &jval_none;
    }
    return grun_error(r, "can't evaluate field %.*s in type %s", STR_ARG(name), gval_type(v));
}

static const struct jval *variable(struct grun *r, struct str name)
{
    for (size_t i = r->n_vars; i-- > r->base;)
        if (str_eq(r->vars[i].name, name))
            return r->vars[i].value;
    return grun_error(r, "undefined variable: %.*s", STR_ARG(name));
}

static const struct jval *call(struct grun *r, const struct jval *dot, const struct gcommand *c,
                               const struct gterm *fn, const struct jval *final);

/* The value of an operand; args: the command whose first word it is, NULL for an argument. */
static const struct jval *operand(struct grun *r, const struct jval *dot, const struct gterm *t,
                                  const struct gcommand *args, const struct jval *final)
{
    const struct jval *v = NULL;
    bool given = args && (args->n > 1 || final);
    switch (t->kind) {
    case GTERM_CONST: v = t->value; break;
    case GTERM_NIL: v = args ? grun_error(r, "nil is not a command") : &jval_none; break;
    case GTERM_DOT: v = dot; break;
    case GTERM_VARIABLE: v = variable(r, t->name); break;
    case GTERM_PIPE: v = grun_pipe(r, dot, t->pipe); break;
    case GTERM_FUNCTION:
        if (t->n_fields == 0)
            return call(r, dot, args, t, final);
        v = call(r, dot, NULL, t, NULL);
        break;
    }
    if (v && given && t->n_fields == 0)
        return grun_error(r, "can't give argument to non-function");
    for (size_t i = 0; v && i < t->n_fields; i++)
        v = field_of(r, v, t->fields[i]);
    if (v && given)
        return grun_error(r, "%.*s is not a method but has arguments",
                          STR_ARG(t->fields[t->n_fields - 1]));
    return v;
}

/* and, or: the first argument that decides, the rest not looked at. */
static const struct jval *call_lazy(struct grun *r, const struct jval *dot,
                                    const struct gcommand *c, bool until, const struct jval *final)
{
    const struct jval *v = NULL;
    for (size_t i = 1; c && i < c->n; i++) {
        v = operand(r, dot, &c->v[i], NULL, NULL);
        if (!v || gval_truth(v) == until)
            return v;
    }
    return final ? final : v;
}

static const struct jval *call(struct grun *r, const struct jval *dot, const struct gcommand *c,
                               const struct gterm *fn, const struct jval *final)
{
    const struct gfunction *f = fn->fn;
    size_t written = c ? c->n - 1 : 0, n = written + (final != NULL);
    if (n < (size_t)f->min || (f->max >= 0 && n > (size_t)f->max))
        return grun_error(r, "wrong number of args for %s: want %s%d got %zu", f->name,
                          f->min != f->max ? "at least " : "", f->min, n);
    if (!f->call)
        return call_lazy(r, dot, c, strcmp(f->name, "or") == 0, final);
    const struct jval **v = grun_alloc(r, n, sizeof(struct jval *));
    for (size_t i = 0; v && i < written; i++)
        if (!(v[i] = operand(r, dot, &c->v[i + 1], NULL, NULL)))
            return NULL;
    if (!v || !grun_step(r, 1))
        return NULL;
    if (final)
        v[written] = final;
    return f->call(r, v, n);
}

static const struct jval *evaluate(struct grun *r, const struct jval *dot, const struct gpipe *p)
{
    const struct jval *v = NULL;
    r->line = p->line;
    for (size_t i = 0; i < p->n; i++) {
        v = operand(r, dot, &p->v[i].v[0], &p->v[i], v);
        if (!v)
            return NULL;
        if (v->kind == JV_NULL)
            v = &gotmpl_nothing;
    }
    for (size_t i = 0; i < p->n_vars; i++)
        if (p->assign ? !grun_set(r, p->vars[i], v) : !grun_push(r, p->vars[i], v))
            return NULL;
    return v;
}

const struct jval *grun_pipe(struct grun *r, const struct jval *dot, const struct gpipe *p)
{
    if (!grun_step(r, 1) || !grun_enter(r))
        return NULL;
    const struct jval *v = evaluate(r, dot, p);
    r->depth--;
    return v;
}
