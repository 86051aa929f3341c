/* The state of a rendering: errors with their line, ceilings, making values, scopes, and
 * jinja_render itself. */
#include "text/jinja_run.h"
#include <stdlib.h>

enum { DEFAULT_MEMORY = 256 << 20 };
static const uint64_t default_steps = 10000000;

const struct jval *jrun_fail(struct jrun *r, enum status s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    r->status = err_setv(r->err, s, fmt, ap);
    va_end(ap);
    return NULL;
}

const struct jval *jrun_error(struct jrun *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    r->status = err_setv(r->err, EFORMAT, fmt, ap);
    va_end(ap);
    err_prefix(r->err, "template line %u", r->line);
    return NULL;
}

const struct jval *jrun_no_memory(struct jrun *r)
{
    return jrun_fail(r, ELIMIT, "template line %u: values take more than %zu bytes", r->line,
                     r->max_memory);
}

bool jrun_step(struct jrun *r, uint64_t n)
{
    if (n <= r->max_steps - r->steps) {
        r->steps += n;
        return true;
    }
    jrun_fail(r, ELIMIT, "template line %u: more than %llu steps", r->line,
              (unsigned long long)r->max_steps);
    return false;
}

bool jrun_enter(struct jrun *r)
{
    if (r->depth >= MAX_RUN_DEPTH) {
        jrun_fail(r, ELIMIT, "template line %u: nested deeper than %d", r->line, MAX_RUN_DEPTH);
        return false;
    }
    r->depth++;
    return true;
}

/* ---- values ---- */

void *jrun_alloc(struct jrun *r, size_t n, size_t size)
{
    void *p = arena_array(&r->arena, n ? n : 1, size);
    if (!p)
        jrun_no_memory(r);
    return p;
}

static const struct jval *checked(struct jrun *r, const struct jval *v)
{
    return v ? v : jrun_no_memory(r);
}

const struct jval *jrun_int(struct jrun *r, int64_t i)
{
    return checked(r, jval_int(&r->arena, i));
}

const struct jval *jrun_float(struct jrun *r, double f)
{
    return checked(r, jval_float(&r->arena, f));
}

const struct jval *jrun_str(struct jrun *r, struct str s)
{
    return checked(r, jval_str(&r->arena, s));
}

const struct jval *jrun_view(struct jrun *r, struct str s)
{
    return checked(r, jval_str_view(&r->arena, s.p, s.n));
}

void jrun_buf(struct jrun *r, struct buf *b)
{
    buf_init(b, r->max_memory - r->arena.used);
}

const struct jval *jrun_take(struct jrun *r, struct buf *b)
{
    const struct jval *v = b->failed ? jrun_no_memory(r) : jrun_str(r, buf_str(b));
    buf_release(b);
    return v;
}

const struct jval *jrun_list(struct jrun *r, enum jval_list_type type, const struct jval **v,
                             size_t n)
{
    return checked(r, jval_list_of(&r->arena, type, v, n));
}

const struct jval *jrun_undefined(struct jrun *r, const char *hint)
{
    struct jval *v = jval_new(&r->arena, JV_UNDEFINED);
    if (v)
        v->u.hint = str_from(hint);
    return checked(r, v);
}

const struct jval *jrun_missing(struct jrun *r, const struct jval *obj, const struct jval *name)
{
    struct jval *v = jval_new(&r->arena, JV_UNDEFINED);
    if (v) {
        v->u.obj = obj;
        v->u.name = name;
    }
    return checked(r, v);
}

bool jrun_text(struct jrun *r, const struct jval *v, struct str *out)
{
    if (v->kind == JV_STRING) {
        *out = jval_text(v);
        return true;
    }
    struct buf b;
    jrun_buf(r, &b);
    jval_print(&b, v);
    v = jrun_take(r, &b);
    if (v)
        *out = jval_text(v);
    return v != NULL;
}

/* ---- scopes ---- */

struct jscope *jrun_scope(struct jrun *r, struct jscope *parent)
{
    struct jscope *s = jrun_alloc(r, 1, sizeof *s);
    if (s) {
        s->parent = parent;
        s->v = s->first;
        s->cap = SCOPE_INLINE;
    }
    return s;
}

bool jrun_bind(struct jrun *r, struct jscope *s, uint32_t id, const struct jval *v)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (s->v[i].id == id) {
            s->v[i].value = v;
            return true;
        }
    if (s->n == s->cap) {
        struct jbinding *more = jrun_alloc(r, s->cap * 2, sizeof *more);
        if (!more)
            return false;
        memcpy(more, s->v, s->n * sizeof *more);
        s->v = more;
        s->cap *= 2;
    }
    s->v[s->n++] = (struct jbinding){id, v};
    return true;
}

/* Each built-in global is made once per rendering. */
static const struct jval *global_value(struct jrun *r, const struct jval *name)
{
    const struct jval *v = jmap_find_str(r->context->map, jval_text(name));
    const struct jbuiltin *fn = v ? NULL : jinja_find_global(jval_text(name));
    if (v)
        return v;
    if (!fn)
        return jrun_missing(r, NULL, name);
    struct jval *f = jval_new(&r->arena, JV_CALLABLE);
    if (!f || !(f->call = jrun_alloc(r, 1, sizeof *f->call)))
        return jrun_no_memory(r);
    f->sub = JC_FUNCTION;
    f->call->fn = fn;
    return f;
}

const struct jval *jrun_lookup(struct jrun *r, uint32_t id, const struct jval *name)
{
    for (const struct jscope *s = r->scope; s; s = s->parent)
        for (uint32_t i = 0; i < s->n; i++)
            if (s->v[i].id == id)
                return s->v[i].value;
    if (!r->globals[id])
        r->globals[id] = global_value(r, name);
    return r->globals[id];
}

enum status jinja_render(const struct jinja *t, const struct jval *context,
                         const struct jinja_options *opt, struct buf *out, struct err *err)
{
    struct err local = {0};
    if (!context || context->kind != JV_MAP)
        return err_set(err, context ? EUSAGE : ENOMEMORY,
                       context ? "the context of a template must be a map"
                               : "the context of the template took too much memory");
    struct jrun r = {
        .t = t,
        .context = context,
        .out = out,
        .max_memory = opt && opt->limits.max_memory ? opt->limits.max_memory : DEFAULT_MEMORY,
        .max_steps = opt && opt->limits.max_steps ? opt->limits.max_steps : default_steps,
        .now = opt ? opt->now : 0,
        .err = err ? err : &local,
        .line = 1,
    };
    arena_init(&r.arena, r.max_memory);
    r.globals = jrun_alloc(&r, t->n_names, sizeof *r.globals);
    r.scope = jrun_scope(&r, NULL);
    if (r.globals && r.scope)
        jrun_body(&r, &t->body);
    arena_release(&r.arena);
    return r.status == OK ? buf_check(out, "the rendered template", err) : r.status;
}
