/* Expressions: one case per node kind, operands left to right as Python evaluates them. */
#include "text/jinja_run.h"

static const struct jval *eval_list(struct jrun *r, const struct jnode *n)
{
    const struct jval **v = jrun_alloc(r, n->list.n, sizeof *v);
    if (!v)
        return NULL;
    for (size_t i = 0; i < n->list.n; i++)
        if (!(v[i] = jrun_eval(r, n->list.v[i])))
            return NULL;
    return jrun_list(r, n->kind == N_LIST ? JL_LIST : JL_TUPLE, v, n->list.n);
}

static const struct jval *eval_dict(struct jrun *r, const struct jnode *n)
{
    struct jval *v = jval_map(&r->arena);
    if (!v)
        return jrun_no_memory(r);
    for (size_t i = 0; i < n->list.n; i += 2) {
        uint64_t h;
        const struct jval *key = jrun_eval(r, n->list.v[i]);
        const struct jval *value = key ? jrun_eval(r, n->list.v[i + 1]) : NULL;
        if (!value)
            return NULL;
        if (!jval_hash(key, &h))
            return jrun_error(r, "unhashable type: '%s'", jval_type_name(key));
        if (!jmap_set(&r->arena, v->map, key, value))
            return jrun_no_memory(r);
    }
    return v;
}

static const struct jval *eval_optional(struct jrun *r, const struct jnode *n)
{
    return n ? jrun_eval(r, n) : &jval_none;
}

static const struct jval *eval_item(struct jrun *r, const struct jnode *n)
{
    const struct jval *obj = jrun_eval(r, n->get.obj);
    if (!obj)
        return NULL;
    if (n->get.key->kind != N_SLICE) {
        const struct jval *key = jrun_eval(r, n->get.key);
        return key ? jrun_item(r, obj, key) : NULL;
    }
    const struct jnode *s = n->get.key;
    const struct jval *start = eval_optional(r, s->op.a);
    const struct jval *stop = start ? eval_optional(r, s->op.b) : NULL;
    const struct jval *step = stop ? eval_optional(r, s->op.c) : NULL;
    return step ? jrun_slice(r, obj, start, stop, step) : NULL;
}

static const struct jval *eval_logical(struct jrun *r, const struct jnode *n)
{
    const struct jval *v = NULL;
    for (size_t i = 0; i < n->list.n; i++) {
        v = jrun_eval(r, n->list.v[i]);
        if (!v || jval_truth(v) == (n->kind == N_OR))
            return v;
    }
    return v;
}

/* a ~ b ~ c: always plain text, Markup is not kept without autoescape. */
static const struct jval *eval_concat(struct jrun *r, const struct jnode *n)
{
    struct buf b;
    jrun_buf(r, &b);
    for (size_t i = 0; i < n->list.n; i++) {
        const struct jval *v = jrun_eval(r, n->list.v[i]);
        if (!v) {
            buf_release(&b);
            return NULL;
        }
        jval_print(&b, v);
    }
    return jrun_take(r, &b);
}

static const struct jval *eval_compare(struct jrun *r, const struct jnode *n)
{
    const struct jval *a = jrun_eval(r, n->compare.first), *b;
    bool yes = true;
    for (size_t i = 0; a && yes && i < n->compare.rest.n; i++, a = b) {
        if (!(b = jrun_eval(r, n->compare.rest.v[i])) ||
            !jrun_compare(r, n->compare.ops[i], a, b, &yes))
            return NULL;
    }
    return a ? jval_of_bool(yes) : NULL;
}

static const struct jval *eval_cond(struct jrun *r, const struct jnode *n)
{
    const struct jval *test = jrun_eval(r, n->op.b);
    if (!test)
        return NULL;
    if (jval_truth(test))
        return jrun_eval(r, n->op.a);
    if (n->op.c)
        return jrun_eval(r, n->op.c);
    return jrun_undefined(r, "the inline if-expression evaluated to false and no else section "
                             "was defined");
}

/* ---- calls ---- */

static bool eval_args(struct jrun *r, const struct jcallargs *in, struct jargs *out)
{
    const struct jval **more = NULL;
    size_t n_more = 0, n_dyn = 0;
    const struct jval *dyn;
    *out = (struct jargs){0};
    if (!in)
        return true;
    if (in->pos.n && !(out->pos = jrun_alloc(r, in->pos.n, sizeof *out->pos)))
        return false;
    for (size_t i = 0; i < in->pos.n; i++)
        if (!(out->pos[out->n++] = jrun_eval(r, in->pos.v[i])))
            return false;
    if (in->n_kw && !(out->kw = jrun_alloc(r, in->n_kw, sizeof *out->kw)))
        return false;
    for (size_t i = 0; i < in->n_kw; i++, out->n_kw++) {
        out->kw[i] = (struct jarg_kw){in->kw[i].name, jrun_eval(r, in->kw[i].value)};
        if (!out->kw[i].value)
            return false;
    }
    if (in->dyn_pos) {
        if (!(dyn = jrun_eval(r, in->dyn_pos)) || !jrun_items(r, dyn, &more, &n_more))
            return false;
        const struct jval **all = jrun_alloc(r, out->n + n_more, sizeof *all);
        if (!all)
            return false;
        if (out->n)
            memcpy(all, out->pos, out->n * sizeof *all);
        if (n_more)
            memcpy(all + out->n, more, n_more * sizeof *all);
        out->pos = all;
        out->n += n_more;
    }
    if (!in->dyn_kw)
        return true;
    if (!(dyn = jrun_eval(r, in->dyn_kw)))
        return false;
    if (dyn->kind != JV_MAP)
        return jrun_error(r, "argument after ** must be a mapping, not %s", jval_type_name(dyn)),
               false;
    n_dyn = dyn->map->n;
    struct jarg_kw *kw = jrun_alloc(r, out->n_kw + n_dyn, sizeof *kw);
    if (!kw)
        return false;
    if (out->n_kw)
        memcpy(kw, out->kw, out->n_kw * sizeof *kw);
    out->kw = kw;
    for (size_t i = 0; i < n_dyn; i++) {
        const struct jentry *e = &dyn->map->e[i];
        if (e->key->kind != JV_STRING)
            return jrun_error(r, "keywords must be strings"), false;
        for (size_t k = 0; k < out->n_kw; k++)
            if (str_eq(kw[k].name, jval_text(e->key)))
                return jrun_error(r, "got multiple values for keyword argument '%.*s'",
                                  STR_ARG(kw[k].name)),
                       false;
        kw[out->n_kw++] = (struct jarg_kw){jval_text(e->key), e->value};
    }
    return true;
}

/* obj.method(...): without making a bound method first. */
static const struct jval *eval_call(struct jrun *r, const struct jnode *n)
{
    const struct jnode *target = n->call.target;
    const struct jbuiltin *method = NULL;
    const struct jval *obj = NULL, *callee = NULL;
    struct jargs args;
    bool unsafe = false;
    if (target->kind == N_ATTR) {
        if (!(obj = jrun_eval(r, target->get.obj)))
            return NULL;
        method = jinja_find_method(obj, jval_text(target->get.name), &unsafe);
        if (unsafe)
            method = NULL;
    }
    if (!method && !(callee = obj ? jrun_attr(r, obj, target->get.name) : jrun_eval(r, target)))
        return NULL;
    if (!eval_args(r, n->call.args, &args))
        return NULL;
    r->line = n->line;
    return method ? jrun_call_builtin(r, method, obj, &args) : jrun_call(r, callee, &args);
}

const struct jval *jrun_apply(struct jrun *r, const struct jnode *n, const struct jval *v)
{
    struct jargs args;
    if (n->call.target &&
        !(v = n->call.target->kind == N_FILTER && v ? jrun_apply(r, n->call.target, v)
                                                    : jrun_eval(r, n->call.target)))
        return NULL;
    r->line = n->line;
    if (!n->call.fn)
        return jrun_error(r, "no %s named '%.*s'", n->kind == N_TEST ? "test" : "filter",
                          STR_ARG(n->call.fn_name));
    if (!eval_args(r, n->call.args, &args))
        return NULL;
    r->line = n->line;
    return jrun_call_builtin(r, n->call.fn, v, &args);
}

static const struct jval *eval_binary(struct jrun *r, const struct jnode *n)
{
    const struct jval *a = jrun_eval(r, n->op.a), *b = a ? jrun_eval(r, n->op.b) : NULL;
    return b ? jrun_binary(r, n->op.op, a, b) : NULL;
}

static const struct jval *eval(struct jrun *r, const struct jnode *n)
{
    const struct jval *v;
    switch (n->kind) {
    case N_CONST: return n->value;
    case N_NAME: return jrun_lookup(r, n->name.id, n->name.text);
    case N_LIST:
    case N_TUPLE: return eval_list(r, n);
    case N_DICT: return eval_dict(r, n);
    case N_ATTR: v = jrun_eval(r, n->get.obj); return v ? jrun_attr(r, v, n->get.name) : NULL;
    case N_ITEM: return eval_item(r, n);
    case N_CALL: return eval_call(r, n);
    case N_FILTER:
    case N_TEST: return jrun_apply(r, n, NULL);
    case N_BINARY: return eval_binary(r, n);
    case N_AND:
    case N_OR: return eval_logical(r, n);
    case N_NOT: v = jrun_eval(r, n->op.a); return v ? jval_of_bool(!jval_truth(v)) : NULL;
    case N_NEG: v = jrun_eval(r, n->op.a); return v ? jrun_negate(r, v) : NULL;
    case N_POS:
        v = jrun_eval(r, n->op.a);
        if (v && v->kind == JV_UNDEFINED)
            return jrun_use_undefined(r, v);
        if (v && !jval_is_number(v))
            return jrun_error(r, "bad operand type for unary +: '%s'", jval_type_name(v));
        return v && v->kind == JV_BOOL ? jrun_int(r, v->b) : v;
    case N_CONCAT: return eval_concat(r, n);
    case N_COMPARE: return eval_compare(r, n);
    case N_COND: return eval_cond(r, n);
    default: hearth_bug("jinja: node %d is no expression", (int)n->kind);
    }
}

const struct jval *jrun_eval(struct jrun *r, const struct jnode *n)
{
    if (!jrun_step(r, 1) || !jrun_enter(r))
        return NULL;
    r->line = n->line;
    const struct jval *v = eval(r, n);
    r->depth--;
    return v;
}
