/* Statements: printing, branches, loops, assignments, macros and call blocks.
 *
 * Scoping is Jinja's: a loop's body, a macro, `with`, and the blocks of call, filter, set and
 * generation have scopes of their own, each turn of a loop begins with an empty one, and `if`
 * has none. */
#include "text/jinja_run.h"

static bool print_value(struct jrun *r, const struct jval *v)
{
    jval_print(r->out, v);
    if (r->out->failed)
        jrun_fail(r, ELIMIT, "template line %u: the output is larger than %zu bytes", r->line,
                  r->out->max);
    return !r->out->failed;
}

static bool unpack(struct jrun *r, const struct jnode *target, const struct jval *v)
{
    const struct jval **items;
    size_t n, want = target->list.n;
    if (v->kind != JV_LIST && v->kind != JV_STRING && v->kind != JV_MAP && v->kind != JV_UNDEFINED)
        return jrun_error(r, "cannot unpack non-iterable %s object", jval_type_name(v)), false;
    if (!jrun_items(r, v, &items, &n))
        return false;
    if (n < want)
        return jrun_error(r, "not enough values to unpack (expected %zu, got %zu)", want, n), false;
    if (n > want)
        return jrun_error(r, "too many values to unpack (expected %zu)", want), false;
    for (size_t i = 0; i < n; i++)
        if (!jrun_assign(r, target->list.v[i], items[i]))
            return false;
    return true;
}

bool jrun_assign(struct jrun *r, const struct jnode *target, const struct jval *v)
{
    if (target->kind == N_NAME)
        return jrun_bind(r, r->scope, target->name.id, v);
    if (target->kind == N_TUPLE)
        return unpack(r, target, v);
    const struct jval *ns = jrun_eval(r, target->get.obj);
    if (!ns)
        return false;
    if (ns->kind != JV_NAMESPACE)
        return jrun_error(r, "cannot assign attribute on non-namespace object"), false;
    return jmap_set(&r->arena, ns->map, target->get.name, v) || jrun_no_memory(r);
}

const struct jval *jrun_capture(struct jrun *r, const struct jnodes *body)
{
    struct buf text, *outer = r->out;
    jrun_buf(r, &text);
    r->out = &text;
    enum jflow flow = jrun_body(r, body);
    r->out = outer;
    if (flow != FLOW_ERROR)
        return jrun_take(r, &text);
    buf_release(&text);
    return NULL;
}

/* Runs `body` in a scope inside the current one. */
static const struct jval *capture_scoped(struct jrun *r, const struct jnodes *body)
{
    struct jscope *outer = r->scope, *s = jrun_scope(r, outer);
    if (!s)
        return NULL;
    r->scope = s;
    const struct jval *v = jrun_capture(r, body);
    r->scope = outer;
    return v;
}

/* ---- loops ---- */

const struct jval *jrun_loop_item(struct jrun *r, struct jloop *loop, size_t i)
{
    const struct jnode *node = loop->node;
    while (loop->n <= i && loop->next_source < loop->n_source) {
        const struct jval *v = loop->source[loop->next_source++], *pass;
        struct jscope *here = r->scope, *s = jrun_scope(r, loop->outer);
        if (!s || !jrun_step(r, 1))
            return NULL;
        r->scope = s;
        pass = jrun_assign(r, node->loop.target, v) ? jrun_eval(r, node->loop.test) : NULL;
        r->scope = here;
        if (!pass)
            return NULL;
        if (jval_truth(pass))
            loop->items[loop->n++] = v;
    }
    return i < loop->n ? loop->items[i] : NULL;
}

static enum jflow run_turns(struct jrun *r, struct jloop *loop, const struct jval *self)
{
    const struct jnode *node = loop->node;
    struct jscope *s = NULL;
    for (const struct jval *item; (item = jrun_loop_item(r, loop, loop->at)); loop->at++) {
        if (s && !s->kept)
            s->n = 0;
        else if (!(s = jrun_scope(r, loop->outer)))
            return FLOW_ERROR;
        if (!jrun_step(r, 1))
            return FLOW_ERROR;
        r->scope = s;
        if (!jrun_bind(r, s, node->loop.loop_id, self) || !jrun_assign(r, node->loop.target, item))
            return FLOW_ERROR;
        enum jflow flow = jrun_body(r, &node->loop.body);
        if (flow == FLOW_ERROR)
            return flow;
        if (flow == FLOW_BREAK)
            break;
        loop->completed |= flow == FLOW_NEXT;
    }
    return r->status == OK ? FLOW_NEXT : FLOW_ERROR;
}

static enum jflow run_loop(struct jrun *r, const struct jnode *node, const struct jval *iter,
                           struct jscope *outer, int64_t depth0)
{
    struct jloop *loop = jrun_alloc(r, 1, sizeof *loop);
    struct jval *self = jval_new(&r->arena, JV_CALLABLE);
    if (!loop || !self || !(self->call = jrun_alloc(r, 1, sizeof *self->call)))
        return jrun_no_memory(r), FLOW_ERROR;
    self->sub = JC_LOOP;
    self->call->loop = loop;
    *loop = (struct jloop){.node = node, .outer = outer, .depth0 = depth0};
    if (!jrun_items(r, iter, &loop->source, &loop->n_source))
        return FLOW_ERROR;
    if (node->loop.test) {
        loop->items = jrun_alloc(r, loop->n_source, sizeof *loop->items);
        if (!loop->items)
            return FLOW_ERROR;
    } else {
        loop->items = loop->source;
        loop->n = loop->next_source = loop->n_source;
    }
    struct jscope *here = r->scope;
    enum jflow flow = run_turns(r, loop, self);
    r->scope = here;
    if (flow == FLOW_NEXT && !loop->completed && node->loop.otherwise.n) {
        if (!(r->scope = jrun_scope(r, outer)))
            return FLOW_ERROR;
        flow = jrun_body(r, &node->loop.otherwise);
        r->scope = here;
    }
    return flow;
}

const struct jval *jrun_loop_again(struct jrun *r, struct jloop *loop, const struct jval *iter)
{
    struct buf text, *outer = r->out;
    if (!loop->node->loop.recursive)
        return jrun_error(r, "the loop must have the 'recursive' marker to be called");
    if (!jrun_enter(r))
        return NULL;
    jrun_buf(r, &text);
    r->out = &text;
    enum jflow flow = run_loop(r, loop->node, iter, loop->outer, loop->depth0 + 1);
    r->out = outer;
    r->depth--;
    if (flow != FLOW_ERROR)
        return jrun_take(r, &text);
    buf_release(&text);
    return NULL;
}

/* ---- statements ---- */

static enum jflow run_if(struct jrun *r, const struct jnode *n)
{
    for (size_t i = 0; i < n->cond.n; i++) {
        const struct jval *test = jrun_eval(r, n->cond.tests[i]);
        if (!test)
            return FLOW_ERROR;
        if (jval_truth(test))
            return jrun_body(r, &n->cond.bodies[i]);
    }
    return jrun_body(r, &n->cond.otherwise);
}

static const struct jval *macro_value(struct jrun *r, const struct jmacro_def *def)
{
    struct jval *v = jval_new(&r->arena, JV_CALLABLE);
    struct jmacro *m = jrun_alloc(r, 1, sizeof *m);
    if (!v || !m || !(v->call = jrun_alloc(r, 1, sizeof *v->call)))
        return jrun_no_memory(r);
    *m = (struct jmacro){def, r->scope};
    for (struct jscope *s = r->scope; s && !s->kept; s = s->parent)
        s->kept = true;
    v->sub = JC_MACRO;
    v->call->macro = m;
    return v;
}

/* The call of a call block is an ordinary one with one more keyword argument, `caller`. */
static bool run_call_block(struct jrun *r, const struct jnode *n)
{
    uint32_t id = n->macro.def->caller_id;
    const struct jnode *call = n->macro.call;
    const struct jval *caller = macro_value(r, n->macro.def);
    struct jcallargs args = call->call.args ? *call->call.args : (struct jcallargs){0};
    struct jkeyword *kw = jrun_alloc(r, args.n_kw + 1, sizeof *kw);
    struct jscope *outer = r->scope, *s = jrun_scope(r, outer);
    if (!caller || !kw || !s)
        return false;
    struct jnode name = {.kind = N_CONST, .line = n->line, .value = caller};
    struct jnode with_caller = *call;
    if (args.n_kw)
        memcpy(kw, args.kw, args.n_kw * sizeof *kw);
    kw[args.n_kw++] = (struct jkeyword){jval_text(r->t->names[id]), &name};
    args.kw = kw;
    with_caller.call.args = &args;
    const struct jval *v = jrun_eval(r, &with_caller);
    return v && print_value(r, v);
}

static enum jflow run_with(struct jrun *r, const struct jnode *n)
{
    struct jscope *outer = r->scope, *s = jrun_scope(r, outer);
    if (!s)
        return FLOW_ERROR;
    for (size_t i = 0; i < n->with.values.n; i++) {
        const struct jval *v = jrun_eval(r, n->with.values.v[i]);
        r->scope = s;
        bool ok = v && jrun_assign(r, n->with.targets.v[i], v);
        r->scope = outer;
        if (!ok)
            return FLOW_ERROR;
    }
    r->scope = s;
    enum jflow flow = jrun_body(r, &n->with.body);
    r->scope = outer;
    return flow;
}

/* set block and filter block: what the body prints, through filters. */
static const struct jval *filtered_body(struct jrun *r, const struct jnode *n)
{
    const struct jval *v = capture_scoped(r, &n->set.body);
    return v && n->set.value ? jrun_apply(r, n->set.value, v) : v;
}

static enum jflow done(bool ok)
{
    return ok ? FLOW_NEXT : FLOW_ERROR;
}

static enum jflow run_statement(struct jrun *r, const struct jnode *n)
{
    const struct jval *v;
    enum jflow flow;
    struct jscope *outer = r->scope;
    r->line = n->line;
    switch (n->kind) {
    case N_DATA: return done(print_value(r, n->value));
    case N_PRINT: return done((v = jrun_eval(r, n->op.a)) && print_value(r, v));
    case N_IF: return run_if(r, n);
    case N_FOR: v = jrun_eval(r, n->loop.iter); return v ? run_loop(r, n, v, outer, 0) : FLOW_ERROR;
    case N_SET: v = jrun_eval(r, n->set.value); return done(v && jrun_assign(r, n->set.target, v));
    case N_SET_BLOCK: v = filtered_body(r, n); return done(v && jrun_assign(r, n->set.target, v));
    case N_FILTER_BLOCK: return done((v = filtered_body(r, n)) && print_value(r, v));
    case N_MACRO:
        v = macro_value(r, n->macro.def);
        return done(v && jrun_bind(r, outer, n->macro.def->id, v));
    case N_CALL_BLOCK: return done(run_call_block(r, n));
    case N_WITH: return run_with(r, n);
    case N_SCOPE:
        if (!(r->scope = jrun_scope(r, outer)))
            return FLOW_ERROR;
        flow = jrun_body(r, &n->set.body);
        r->scope = outer;
        return flow;
    case N_BREAK: return FLOW_BREAK;
    case N_CONTINUE: return FLOW_CONTINUE;
    default: hearth_bug("jinja: node %d is no statement", (int)n->kind);
    }
}

enum jflow jrun_body(struct jrun *r, const struct jnodes *body)
{
    enum jflow flow = FLOW_NEXT;
    if (!jrun_enter(r))
        return FLOW_ERROR;
    for (size_t i = 0; i < body->n && flow == FLOW_NEXT; i++)
        flow = jrun_step(r, 1) ? run_statement(r, body->v[i]) : FLOW_ERROR;
    r->depth--;
    return flow;
}
