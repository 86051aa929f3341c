/* Statements, and compiling. One row of `statements` per tag.
 *
 * Refuses include, import, from and extends: a chat template is one file. */
#include "text/jinja_parse.h"
#include "text/jinja_builtin.h"
#include <stdio.h>
#include <stdlib.h>

struct jnode *jparse_error(struct jparser *p, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    err_setv(p->err, EFORMAT, fmt, ap);
    va_end(ap);
    err_prefix(p->err, "line %u, column %u", p->tok->line, p->tok->column);
    return NULL;
}

struct jnode *jparse_unexpected(struct jparser *p, const char *expected)
{
    const struct jtoken *t = p->tok;
    if (t->kind == T_NAME)
        return jparse_error(p, "found '%.*s', expected %s", STR_ARG(t->text), expected);
    return jparse_error(p, "found %s, expected %s", jtoken_name(t->kind), expected);
}

void *jparse_alloc(struct jparser *p, size_t n)
{
    void *v = arena_alloc(p->a, n);
    if (!v)
        jparse_error(p, "the template needs too much memory");
    return v;
}

struct jnode *jnode_new(struct jparser *p, enum jnode_kind kind)
{
    struct jnode *n = jparse_alloc(p, sizeof *n);
    if (n) {
        n->kind = kind;
        n->line = p->tok->line;
    }
    return n;
}

bool jnodes_add(struct jparser *p, struct jnodes *list, struct jnode *node)
{
    if (!node)
        return false;
    if ((list->n & (list->n - 1)) == 0) { /* grows at powers of two */
        struct jnode **v = jparse_alloc(p, (list->n ? list->n * 2 : 1) * sizeof *v);
        if (!v)
            return false;
        if (list->n)
            memcpy(v, list->v, list->n * sizeof *v);
        list->v = v;
    }
    list->v[list->n++] = node;
    return true;
}

bool jparse_enter(struct jparser *p)
{
    if (p->depth >= MAX_PARSE_DEPTH) {
        jparse_error(p, "nested deeper than %d", MAX_PARSE_DEPTH);
        return false;
    }
    p->depth++;
    return true;
}

bool jparse_name(struct jparser *p, struct str name, uint32_t *id)
{
    const struct jval *known = jmap_find_str(p->names, name);
    if (known) {
        *id = (uint32_t)known->i;
        return true;
    }
    struct jinja *t = p->t;
    if (t->n_names == p->cap_names) {
        uint32_t cap = p->cap_names ? p->cap_names * 2 : 64;
        const struct jval **names = jparse_alloc(p, cap * sizeof *names);
        if (!names)
            return false;
        if (t->n_names)
            memcpy(names, t->names, t->n_names * sizeof *names);
        t->names = names;
        p->cap_names = cap;
    }
    struct jval *text = jval_str_view(p->a, name.p, name.n), *number = jval_int(p->a, t->n_names);
    if (!text || !number || !jmap_set(p->a, p->names, text, number))
        return jparse_error(p, "the template needs too much memory"), false;
    t->names[t->n_names] = text;
    *id = t->n_names++;
    return true;
}

bool jparse_accept(struct jparser *p, enum jtoken_kind kind)
{
    bool yes = p->tok->kind == kind;
    p->tok += yes;
    return yes;
}

bool jparse_accept_name(struct jparser *p, const char *name)
{
    bool yes = jtoken_is(p->tok, name);
    p->tok += yes;
    return yes;
}

bool jparse_expect(struct jparser *p, enum jtoken_kind kind)
{
    if (jparse_accept(p, kind))
        return true;
    char expected[64];
    snprintf(expected, sizeof expected, kind < T_ADD ? "%s" : "'%s'", jtoken_name(kind));
    jparse_unexpected(p, expected);
    return false;
}

static bool expect_name(struct jparser *p, const char *name)
{
    char expected[64];
    if (jparse_accept_name(p, name))
        return true;
    snprintf(expected, sizeof expected, "'%s'", name);
    jparse_unexpected(p, expected);
    return false;
}

/* ---- bodies ---- */

static struct jnode *parse_statement(struct jparser *p);

/* Template text and tags up to a tag that begins with one of `ends` (NULL-terminated; NULL: the
 * whole template). The end tag's name is left as the current token. */
static bool parse_nodes(struct jparser *p, struct jnodes *out, const char *const *ends)
{
    for (;;) {
        struct jnode *n = NULL;
        switch (p->tok->kind) {
        case T_EOF:
            if (ends)
                return jparse_error(p, "the template ends, expected '%s'", ends[0]), false;
            return true;
        case T_DATA:
            n = jnode_new(p, N_DATA);
            if (n && !(n->value = jval_str_view(p->a, p->tok->text.p, p->tok->text.n)))
                return jparse_error(p, "the template needs too much memory"), false;
            p->tok++;
            break;
        case T_VARIABLE_BEGIN:
            p->tok++;
            n = jnode_new(p, N_PRINT);
            if (n && (!(n->op.a = jparse_tuple(p, true, NULL, false)) ||
                      !jparse_expect(p, T_VARIABLE_END)))
                return false;
            break;
        default:
            if (!jparse_expect(p, T_BLOCK_BEGIN))
                return false;
            for (int i = 0; ends && ends[i]; i++)
                if (jtoken_is(p->tok, ends[i]))
                    return true;
            n = parse_statement(p);
            if (n && !jparse_expect(p, T_BLOCK_END))
                return false;
        }
        if (!jnodes_add(p, out, n))
            return false;
    }
}

/* The rest of a tag and the body behind it. */
static bool parse_body(struct jparser *p, struct jnodes *out, const char *const *ends)
{
    jparse_accept(p, T_COLON);
    if (!jparse_expect(p, T_BLOCK_END) || !jparse_enter(p))
        return false;
    bool ok = parse_nodes(p, out, ends);
    p->depth--;
    return ok;
}

/* A body whose only end is the tag `end`, which is passed. */
static bool parse_whole_body(struct jparser *p, struct jnodes *out, const char *end)
{
    const char *ends[] = {end, NULL};
    bool ok = parse_body(p, out, ends);
    p->tok += ok;
    return ok;
}

/* ---- statements ---- */

static struct jnode *parse_if(struct jparser *p)
{
    static const char *const ends[] = {"endif", "elif", "else", NULL};
    static const char *const end[] = {"endif", NULL};
    const struct jtoken *unknown = p->unknown;
    struct jnode *n = jnode_new(p, N_IF);
    if (!n)
        return NULL;
    for (;;) {
        size_t k = n->cond.n;
        if ((k & (k - 1)) == 0) {
            struct jnode **tests = jparse_alloc(p, (k ? k * 2 : 1) * sizeof *tests);
            struct jnodes *bodies = jparse_alloc(p, (k ? k * 2 : 1) * sizeof *bodies);
            if (!tests || !bodies)
                return NULL;
            if (k) {
                memcpy(tests, n->cond.tests, k * sizeof *tests);
                memcpy(bodies, n->cond.bodies, k * sizeof *bodies);
            }
            n->cond.tests = tests;
            n->cond.bodies = bodies;
        }
        n->cond.n++;
        if (!(n->cond.tests[k] = jparse_tuple(p, false, NULL, false)) ||
            !parse_body(p, &n->cond.bodies[k], ends))
            return NULL;
        if (jparse_accept_name(p, "elif"))
            continue;
        if (jparse_accept_name(p, "else") && !parse_body(p, &n->cond.otherwise, end))
            return NULL;
        p->tok++; /* endif */
        p->unknown = unknown;
        return n;
    }
}

static struct jnode *parse_for(struct jparser *p)
{
    static const char *const ends[] = {"endfor", "else", NULL};
    struct jnode *n = jnode_new(p, N_FOR);
    if (!n || !jparse_name(p, STR("loop"), &n->loop.loop_id) ||
        !(n->loop.target = jparse_target(p, false, true, "in")) || !expect_name(p, "in") ||
        !(n->loop.iter = jparse_tuple(p, false, "recursive", false)))
        return NULL;
    if (jparse_accept_name(p, "if") && !(n->loop.test = jparse_expression(p, true)))
        return NULL;
    n->loop.recursive = jparse_accept_name(p, "recursive");
    p->loops++;
    bool ok = parse_body(p, &n->loop.body, ends);
    p->loops--;
    if (!ok)
        return NULL;
    if (jparse_accept_name(p, "else"))
        return parse_whole_body(p, &n->loop.otherwise, "endfor") ? n : NULL;
    p->tok++;
    return n;
}

static struct jnode *parse_loop_control(struct jparser *p)
{
    bool is_break = str_is(p->tok[-1].text, "break");
    if (!p->loops)
        return jparse_error(p, "'%s' outside a loop", is_break ? "break" : "continue");
    return jnode_new(p, is_break ? N_BREAK : N_CONTINUE);
}

static struct jnode *parse_set(struct jparser *p)
{
    struct jnode *n = jnode_new(p, N_SET);
    if (!n || !(n->set.target = jparse_target(p, true, true, NULL)))
        return NULL;
    if (jparse_accept(p, T_ASSIGN))
        return (n->set.value = jparse_tuple(p, true, NULL, false)) ? n : NULL;
    n->kind = N_SET_BLOCK;
    if (p->tok->kind == T_PIPE && !(n->set.value = jparse_filters(p, NULL, false)))
        return NULL;
    return parse_whole_body(p, &n->set.body, "endset") ? n : NULL;
}

static bool parse_signature(struct jparser *p, struct jmacro_def *def)
{
    if (!jparse_expect(p, T_LPAREN))
        return false;
    while (p->tok->kind != T_RPAREN) {
        if (def->n_params && !jparse_expect(p, T_COMMA))
            return false;
        size_t k = def->n_params;
        if ((k & (k - 1)) == 0) {
            struct jparam *v = jparse_alloc(p, (k ? k * 2 : 1) * sizeof *v);
            if (!v)
                return false;
            if (k)
                memcpy(v, def->params, k * sizeof *v);
            def->params = v;
        }
        struct jnode *name = jparse_target(p, false, false, NULL);
        if (!name)
            return false;
        struct jparam *param = &def->params[def->n_params++];
        *param = (struct jparam){.id = name->name.id, .name = jval_text(name->name.text)};
        if (jparse_accept(p, T_ASSIGN)) {
            if (!(param->absent = jparse_expression(p, true)))
                return false;
        } else if (k && def->params[k - 1].absent) {
            return jparse_error(p, "a parameter without default follows one with a default"), false;
        }
    }
    p->tok++;
    return true;
}

/* Parameters (when there are any in the tag) and body of a macro or call block. */
static struct jmacro_def *new_macro(struct jparser *p, struct str name)
{
    struct jmacro_def *def = jparse_alloc(p, sizeof *def);
    if (!def || !jparse_name(p, STR("caller"), &def->caller_id) ||
        !jparse_name(p, STR("varargs"), &def->varargs_id) ||
        !jparse_name(p, STR("kwargs"), &def->kwargs_id))
        return NULL;
    def->name = name;
    return def;
}

static bool parse_macro_body(struct jparser *p, struct jmacro_def *def, const char *end)
{
    struct jmacro_def *outer = p->macro;
    int loops = p->loops;
    p->macro = def;
    p->loops = 0;
    bool ok = parse_whole_body(p, &def->body, end);
    p->macro = outer;
    p->loops = loops;
    if (outer) { /* a name used in a macro within a macro counts for both, as in Jinja */
        outer->uses_caller |= def->uses_caller;
        outer->uses_varargs |= def->uses_varargs;
        outer->uses_kwargs |= def->uses_kwargs;
    }
    for (size_t i = 0; i < def->n_params; i++) { /* a declared name is no special one */
        def->uses_varargs &= def->params[i].id != def->varargs_id;
        def->uses_kwargs &= def->params[i].id != def->kwargs_id;
    }
    return ok;
}

static struct jnode *parse_macro(struct jparser *p)
{
    struct jnode *n = jnode_new(p, N_MACRO), *name;
    if (!n || !(name = jparse_target(p, false, false, NULL)) ||
        !(n->macro.def = new_macro(p, jval_text(name->name.text))))
        return NULL;
    n->macro.def->id = name->name.id;
    if (!parse_signature(p, n->macro.def) || !parse_macro_body(p, n->macro.def, "endmacro"))
        return NULL;
    return n;
}

static struct jnode *parse_call_block(struct jparser *p)
{
    struct jnode *n = jnode_new(p, N_CALL_BLOCK);
    if (!n || !(n->macro.def = new_macro(p, STR("caller"))))
        return NULL;
    if (p->tok->kind == T_LPAREN && !parse_signature(p, n->macro.def))
        return NULL;
    if (!(n->macro.call = jparse_expression(p, true)))
        return NULL;
    if (n->macro.call->kind != N_CALL)
        return jparse_error(p, "expected a call");
    return parse_macro_body(p, n->macro.def, "endcall") ? n : NULL;
}

static struct jnode *parse_filter_block(struct jparser *p)
{
    struct jnode *n = jnode_new(p, N_FILTER_BLOCK);
    if (!n || !(n->set.value = jparse_filters(p, NULL, true)))
        return NULL;
    return parse_whole_body(p, &n->set.body, "endfilter") ? n : NULL;
}

static struct jnode *parse_with(struct jparser *p)
{
    struct jnode *n = jnode_new(p, N_WITH);
    while (n && p->tok->kind != T_BLOCK_END) {
        if (n->with.targets.n && !jparse_expect(p, T_COMMA))
            return NULL;
        if (!jnodes_add(p, &n->with.targets, jparse_target(p, false, false, NULL)) ||
            !jparse_expect(p, T_ASSIGN) ||
            !jnodes_add(p, &n->with.values, jparse_expression(p, true)))
            return NULL;
    }
    return n && parse_whole_body(p, &n->with.body, "endwith") ? n : NULL;
}

static struct jnode *parse_print(struct jparser *p)
{
    struct jnode *n = jnode_new(p, N_PRINT), *all = jnode_new(p, N_CONCAT);
    while (n && all && p->tok->kind != T_BLOCK_END) {
        if (all->list.n && !jparse_expect(p, T_COMMA))
            return NULL;
        if (!jnodes_add(p, &all->list, jparse_expression(p, true)))
            return NULL;
    }
    if (n)
        n->op.a = all;
    return all ? n : NULL;
}

/* What the model itself said: transformers marks its span; the text is the same without marks. */
static struct jnode *parse_generation(struct jparser *p)
{
    struct jnode *n = jnode_new(p, N_SCOPE);
    return n && parse_whole_body(p, &n->set.body, "endgeneration") ? n : NULL;
}

static struct jnode *refuse(struct jparser *p)
{
    p->tok--;
    return jparse_error(p, "'%.*s' is not available: a chat template is one file of text",
                        STR_ARG(p->tok->text));
}

static const struct {
    const char *tag;
    struct jnode *(*parse)(struct jparser *p); /* behind the tag's name; not its block end */
} statements[] = {
    {"if", parse_if},
    {"for", parse_for},
    {"set", parse_set},
    {"macro", parse_macro},
    {"call", parse_call_block},
    {"filter", parse_filter_block},
    {"with", parse_with},
    {"print", parse_print},
    {"break", parse_loop_control},
    {"continue", parse_loop_control},
    {"generation", parse_generation},
    {"include", refuse},
    {"import", refuse},
    {"from", refuse},
    {"extends", refuse},
    {"block", refuse},
    {"autoescape", refuse},
};

static struct jnode *parse_statement(struct jparser *p)
{
    struct str tag = p->tok->text;
    if (p->tok->kind != T_NAME)
        return jparse_unexpected(p, "the name of a tag");
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++)
        if (str_is(tag, statements[i].tag)) {
            p->tok++;
            return statements[i].parse(p);
        }
    return jparse_error(p, "unknown tag '%.*s'", STR_ARG(tag));
}

static enum status compile(struct jinja *t, struct str source, struct err *err)
{
    struct jtoken *tokens;
    struct err local;
    struct jparser p = {.t = t, .a = &t->arena, .err = err ? err : &local};
    enum status s = jinja_lex(&t->arena, source, &tokens, p.err);
    if (s != OK)
        return s;
    p.tok = tokens;
    if (!(p.names = jmap_new(p.a)))
        return err_set(err, ENOMEMORY, "template: out of memory");
    if (!parse_nodes(&p, &t->body, NULL))
        return p.err->code;
    if (p.unknown) {
        p.tok = p.unknown;
        jparse_error(&p, "no filter or test named '%.*s'", STR_ARG(p.tok->text));
        return EFORMAT;
    }
    return OK;
}

enum status jinja_compile(struct jinja **out, struct str source, struct err *err)
{
    *out = NULL;
    if (source.n > MAX_TEMPLATE)
        return err_set(err, ELIMIT, "template of %zu bytes, the limit is %d", source.n,
                       MAX_TEMPLATE);
    struct jinja *t = calloc(1, sizeof *t);
    if (!t)
        return err_set(err, ENOMEMORY, "template: out of memory");
    arena_init(&t->arena, MAX_COMPILED);
    enum status s = compile(t, source, err);
    if (s == OK)
        *out = t;
    else
        jinja_free(t);
    return s;
}

void jinja_free(struct jinja *t)
{
    if (!t)
        return;
    arena_release(&t->arena);
    free(t);
}
