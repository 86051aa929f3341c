/* Running a Go template: its statements, variables and ceilings. */
#include "text/gotmpl_run.h"

enum { DEFAULT_MEMORY = 256 << 20 };
static const uint64_t default_steps = 10000000;

const struct jval gotmpl_nothing = {.kind = JV_UNDEFINED};

/* ---- errors, ceilings, values ---- */

const struct jval *grun_error(struct grun *r, const char *fmt, ...)
{
    if (r->status != OK)
        return NULL;
    va_list ap;
    va_start(ap, fmt);
    r->status = err_setv(r->err, EFORMAT, fmt, ap);
    va_end(ap);
    err_prefix(r->err, "template line %u", r->line);
    return NULL;
}

static void *ceiling(struct grun *r, const char *what, unsigned long long most)
{
    if (r->status == OK)
        r->status =
            err_set(r->err, ELIMIT, "template line %u: more than %llu %s", r->line, most, what);
    return NULL;
}

bool grun_step(struct grun *r, uint64_t n)
{
    if (n <= r->max_steps - r->steps) {
        r->steps += n;
        return true;
    }
    ceiling(r, "steps", r->max_steps);
    return false;
}

bool grun_enter(struct grun *r)
{
    if (r->depth >= GO_MAX_DEPTH) {
        ceiling(r, "nested calls and values", GO_MAX_DEPTH);
        return false;
    }
    r->depth++;
    return true;
}

void *grun_alloc(struct grun *r, size_t n, size_t size)
{
    void *p = arena_array(&r->arena, n ? n : 1, size);
    return p ? p : ceiling(r, "bytes of values", r->max_memory);
}

const struct jval *grun_made(struct grun *r, struct jval *v)
{
    return v ? v : ceiling(r, "bytes of values", r->max_memory);
}

const struct jval *grun_int(struct grun *r, int64_t i)
{
    struct jval *v = jval_int(&r->arena, i);
    if (v)
        v->go = GO_TYPED;
    return grun_made(r, v);
}

const struct jval *grun_str(struct grun *r, struct str s)
{
    return grun_made(r, jval_str(&r->arena, s));
}

void grun_buf(struct grun *r, struct buf *b)
{
    buf_init(b, r->max_memory - r->arena.used);
}

const struct jval *grun_take(struct grun *r, struct buf *b)
{
    const struct jval *v =
        b->failed ? ceiling(r, "bytes of values", r->max_memory) : grun_str(r, buf_str(b));
    buf_release(b);
    return v;
}

/* ---- variables ---- */

bool grun_push(struct grun *r, struct str name, const struct jval *v)
{
    if (!gotmpl_more(&r->arena, &r->vars, r->n_vars, &r->cap_vars, sizeof *r->vars))
        return ceiling(r, "bytes of values", r->max_memory) != NULL;
    r->vars[r->n_vars++] = (struct gvariable){name, v};
    return true;
}

bool grun_set(struct grun *r, struct str name, const struct jval *v)
{
    for (size_t i = r->n_vars; i-- > r->base;)
        if (str_eq(r->vars[i].name, name)) {
            r->vars[i].value = v;
            return true;
        }
    grun_error(r, "undefined variable: %.*s", STR_ARG(name));
    return false;
}

/* ---- statements ---- */

enum gflow { GFLOW_NEXT, GFLOW_BREAK, GFLOW_CONTINUE, GFLOW_ERROR };

static enum gflow run_body(struct grun *r, const struct jval *dot, const struct gnodes *body);

static enum gflow run_action(struct grun *r, const struct jval *dot, const struct gnode *n)
{
    const struct jval *v = grun_pipe(r, dot, n->pipe);
    if (!v)
        return GFLOW_ERROR;
    if (n->pipe->n_vars)
        return GFLOW_NEXT;
    return gfmt_print(r, r->out, v) ? GFLOW_NEXT : GFLOW_ERROR;
}

static enum gflow run_if(struct grun *r, const struct jval *dot, const struct gnode *n)
{
    size_t mark = r->n_vars;
    const struct jval *v = grun_pipe(r, dot, n->pipe);
    if (!v)
        return GFLOW_ERROR;
    bool with = n->kind == GNODE_WITH;
    enum gflow flow =
        gval_truth(v) ? run_body(r, with ? v : dot, &n->body) : run_body(r, dot, &n->otherwise);
    r->n_vars = mark;
    return flow;
}

static bool bind_turn(struct grun *r, const struct gpipe *p, const struct jval *key,
                      const struct jval *value, size_t first)
{
    for (size_t i = 0; i < p->n_vars; i++) {
        const struct jval *v = i + 1 == p->n_vars ? value : key;
        if (!p->assign)
            r->vars[first + i].value = v;
        else if (!grun_set(r, p->vars[i], v))
            return false;
    }
    return true;
}

struct turns {
    size_t n;
    const struct jval *over;
    const struct jentry *e; /* of a map */
};

static bool start_turns(struct grun *r, const struct jval *over, struct turns *t)
{
    *t = (struct turns){.over = over};
    switch ((enum jval_kind)over->kind) {
    case JV_UNDEFINED:
    case JV_NULL: return true;
    case JV_INT: t->n = over->i > 0 ? (size_t)over->i : 0; return true;
    case JV_LIST: t->n = over->list.n; return true;
    case JV_MAP:
        if (over->go & GO_STRUCT)
            break;
        t->n = over->map->n;
        return t->n == 0 || (t->e = gval_entries(r, over));
    default: break;
    }
    grun_error(r, "range can't iterate over a value of type %s", gval_type(over));
    return false;
}

static bool turn(struct grun *r, const struct turns *t, size_t i, const struct jval **key,
                 const struct jval **value)
{
    if (t->e) {
        *key = t->e[i].key;
        *value = t->e[i].value;
        return true;
    }
    *key = grun_int(r, (int64_t)i);
    *value = t->over->kind == JV_LIST ? t->over->list.v[i] : *key;
    return *key != NULL;
}

static enum gflow run_range(struct grun *r, const struct jval *dot, const struct gnode *n)
{
    size_t mark = r->n_vars;
    const struct jval *over = grun_pipe(r, dot, n->pipe), *key, *value;
    struct turns turns;
    enum gflow flow = GFLOW_NEXT;
    if (!over || !start_turns(r, over, &turns))
        return GFLOW_ERROR;
    if (turns.n == 0)
        flow = run_body(r, dot, &n->otherwise);
    size_t inner = r->n_vars;
    for (size_t i = 0; i < turns.n; i++) {
        if (!grun_step(r, 1) || !turn(r, &turns, i, &key, &value) ||
            !bind_turn(r, n->pipe, key, value, mark))
            return GFLOW_ERROR;
        flow = run_body(r, value, &n->body);
        r->n_vars = inner;
        if (flow == GFLOW_ERROR)
            return flow;
        if (flow == GFLOW_BREAK)
            break;
        flow = GFLOW_NEXT;
    }
    if (turns.n)
        flow = GFLOW_NEXT;
    r->n_vars = mark;
    return flow;
}

static enum gflow run_template(struct grun *r, const struct jval *dot, const struct gnode *n)
{
    const struct gdefine *d = gotmpl_find(r->t, n->text);
    const struct jval *data = n->pipe ? grun_pipe(r, dot, n->pipe) : &gotmpl_nothing;
    size_t mark = r->n_vars, base = r->base;
    uint32_t cut = r->cut;
    if (!data)
        return GFLOW_ERROR;
    if (!d) {
        grun_error(r, "template '%.*s' not defined", STR_ARG(n->text));
        return GFLOW_ERROR;
    }
    r->base = mark;
    r->cut = UINT32_MAX;
    enum gflow flow = grun_push(r, STR("$"), data) ? run_body(r, data, &d->body) : GFLOW_ERROR;
    r->n_vars = mark;
    r->base = base;
    r->cut = cut;
    return flow;
}

static enum gflow run_node(struct grun *r, const struct jval *dot, const struct gnode *n)
{
    r->line = n->line;
    switch (n->kind) {
    case GNODE_TEXT: buf_addstr(r->out, n->text); return GFLOW_NEXT;
    case GNODE_ACTION: return run_action(r, dot, n);
    case GNODE_IF:
    case GNODE_WITH: return run_if(r, dot, n);
    case GNODE_RANGE: return run_range(r, dot, n);
    case GNODE_TEMPLATE: return run_template(r, dot, n);
    case GNODE_BREAK: return GFLOW_BREAK;
    case GNODE_CONTINUE: return GFLOW_CONTINUE;
    }
    return GFLOW_ERROR;
}

static enum gflow run_body(struct grun *r, const struct jval *dot, const struct gnodes *body)
{
    enum gflow flow = GFLOW_NEXT;
    if (!grun_enter(r))
        return GFLOW_ERROR;
    for (size_t i = 0; i < body->n && flow == GFLOW_NEXT; i++) {
        if (body->v[i].order >= r->cut)
            break; /* what follows has higher numbers still */
        if (!grun_step(r, 1) || r->out->failed)
            flow = GFLOW_ERROR;
        else
            flow = run_node(r, dot, &body->v[i]);
    }
    r->depth--;
    return flow;
}

/* ---- names of fields ---- */

static bool same_name(struct str a, struct str b, bool fold)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++) {
        unsigned char x = (unsigned char)a.p[i], y = (unsigned char)b.p[i];
        if (x != y && !(fold && (x ^ y) == 32 && (x | 32u) - 'a' < 26))
            return false;
    }
    return true;
}

/* own: only fields of the dot, spelt exactly so. */
static bool pipe_mentions(const struct gpipe *p, struct str field, bool own)
{
    for (size_t c = 0; p && c < p->n; c++)
        for (size_t i = 0; i < p->v[c].n; i++) {
            const struct gterm *t = &p->v[c].v[i];
            for (size_t f = 0; f < t->n_fields && (!own || t->kind == GTERM_DOT); f++)
                if (same_name(t->fields[f], field, !own))
                    return true;
            if (t->pipe && pipe_mentions(t->pipe, field, own))
                return true;
        }
    return false;
}

static bool body_mentions(const struct gnodes *body, struct str field)
{
    for (size_t i = 0; i < body->n; i++) {
        const struct gnode *n = &body->v[i];
        if (pipe_mentions(n->pipe, field, false) || body_mentions(&n->body, field) ||
            body_mentions(&n->otherwise, field))
            return true;
    }
    return false;
}

bool gotmpl_mentions(const struct gotmpl *t, struct str field)
{
    bool found = body_mentions(&t->body, field);
    for (size_t i = 0; i < t->n_defines && !found; i++)
        found = body_mentions(&t->defines[i].body, field);
    return found;
}

/* The order behind the first action that prints the field; UINT32_MAX: none does. */
static uint32_t find_cut(const struct gnodes *body, struct str field)
{
    uint32_t cut = UINT32_MAX;
    for (size_t i = 0; i < body->n && cut == UINT32_MAX; i++) {
        const struct gnode *n = &body->v[i];
        if (n->kind == GNODE_ACTION && pipe_mentions(n->pipe, field, true))
            return n->order + 1;
        cut = find_cut(&n->body, field);
        if (cut == UINT32_MAX)
            cut = find_cut(&n->otherwise, field);
    }
    return cut;
}

enum status gotmpl_render(const struct gotmpl *t, const struct jval *context,
                          const struct gotmpl_options *opt, struct buf *out, struct err *err)
{
    struct err local = {0};
    static const struct gotmpl_options plain;
    if (!context || context->kind != JV_MAP)
        return err_set(err, context ? EUSAGE : ENOMEMORY,
                       context ? "the context of a template must be a map"
                               : "the context of the template took too much memory");
    if (!opt)
        opt = &plain;
    struct grun r = {
        .t = t,
        .out = out,
        .max_memory = opt->limits.max_memory ? opt->limits.max_memory : DEFAULT_MEMORY,
        .max_steps = opt->limits.max_steps ? opt->limits.max_steps : default_steps,
        .line = 1,
        .now = opt->now,
        .cut = opt->cut_at.p ? find_cut(&t->body, opt->cut_at) : UINT32_MAX,
        .err = err ? err : &local,
    };
    arena_init(&r.arena, r.max_memory);
    if (grun_push(&r, STR("$"), context))
        run_body(&r, context, &t->body);
    arena_release(&r.arena);
    return r.status == OK ? buf_check(out, "the rendered template", err) : r.status;
}
