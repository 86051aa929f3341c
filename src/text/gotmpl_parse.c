/* From a Go template's source to its tree: actions and their bodies. */
#include "text/gotmpl_parse.h"
#include <stdlib.h>

bool gparse_error(struct gparser *p, const char *fmt, ...)
{
    if (p->status != OK)
        return false;
    va_list ap;
    va_start(ap, fmt);
    p->status = err_setv(p->err, EFORMAT, fmt, ap);
    va_end(ap);
    err_prefix(p->err, "template line %u", p->tok.line);
    return false;
}

static bool no_memory(struct gparser *p)
{
    if (p->status == OK)
        p->status = err_set(p->err, ENOMEMORY, "template: no memory for its tree");
    return false;
}

bool gparse_unexpected(struct gparser *p, const char *where)
{
    struct str s = p->tok.text;
    switch (p->tok.kind) {
    case GTOK_END: return gparse_error(p, "unexpected end of the template in %s", where);
    case GTOK_CLOSE: return gparse_error(p, "unexpected '}}' in %s", where);
    default:
        return gparse_error(p, "unexpected '%.*s' in %s", (int)(s.n < 40 ? s.n : 40), s.p, where);
    }
}

bool gparse_advance(struct gparser *p)
{
    p->tok = glex_next(&p->lex);
    if (p->tok.kind == GTOK_ERROR && p->status == OK)
        p->status = EFORMAT;
    return p->status == OK;
}

bool gparse_enter(struct gparser *p)
{
    if (p->depth >= GO_MAX_NESTING)
        return gparse_error(p, "nested deeper than %d", GO_MAX_NESTING);
    p->depth++;
    return true;
}

bool gotmpl_more(struct arena *a, void *array, size_t n, size_t *cap, size_t size)
{
    void *old, *more;
    if (n < *cap)
        return true;
    size_t want = *cap ? *cap * 2 : 2;
    if (!(more = arena_array(a, want, size)))
        return false;
    memcpy(&old, array, sizeof old);
    if (n)
        memcpy(more, old, n * size);
    memcpy(array, &more, sizeof more);
    *cap = want;
    return true;
}

bool gparse_push_var(struct gparser *p, struct str name)
{
    if (!gotmpl_more(&p->t->arena, &p->vars, p->n_vars, &p->cap_vars, sizeof *p->vars))
        return no_memory(p);
    p->vars[p->n_vars++] = name;
    return true;
}

const struct gdefine *gotmpl_find(const struct gotmpl *t, struct str name)
{
    for (size_t i = 0; i < t->n_defines; i++)
        if (str_eq(t->defines[i].name, name))
            return &t->defines[i];
    return NULL;
}

/* ---- bodies ---- */

enum body_end { AT_END, AT_ELSE, AT_EOF, AT_ERROR };

static enum body_end parse_body(struct gparser *p, struct gnodes *out);

static bool push_node(struct gparser *p, struct gnodes *list, const struct gnode *n)
{
    if (!gotmpl_more(&p->t->arena, &list->v, list->n, &list->cap, sizeof *list->v))
        return no_memory(p);
    list->v[list->n++] = *n;
    return true;
}

static bool at_name(const struct gparser *p, const char *name)
{
    return p->tok.kind == GTOK_NAME && str_is(p->tok.text, name);
}

static bool close_action(struct gparser *p, const char *where)
{
    if (p->tok.kind != GTOK_CLOSE)
        return gparse_unexpected(p, where);
    return gparse_advance(p);
}

static bool parse_control(struct gparser *p, struct gnode *n, const char *where);

/* Behind {{else}} of n: "else if" and "else with" open a statement that shares n's end. */
static enum body_end parse_else(struct gparser *p, struct gnode *n)
{
    bool chained =
        (n->kind == GNODE_IF && at_name(p, "if")) || (n->kind == GNODE_WITH && at_name(p, "with"));
    if (!chained)
        return close_action(p, "else") ? parse_body(p, &n->otherwise) : AT_ERROR;
    struct gnode inner = {.kind = n->kind, .line = p->tok.line, .order = p->n_nodes++};
    if (!gparse_advance(p) || !parse_control(p, &inner, n->kind == GNODE_IF ? "if" : "with") ||
        !push_node(p, &n->otherwise, &inner))
        return AT_ERROR;
    return AT_END;
}

/* Pipeline, body, else and end of if, with and range; the keyword has been passed. */
static bool parse_control(struct gparser *p, struct gnode *n, const char *where)
{
    size_t n_vars = p->n_vars;
    if (!gparse_enter(p))
        return false;
    n->pipe = gparse_pipe(p, where, GTOK_CLOSE);
    if (!n->pipe)
        return false;
    bool loop = n->kind == GNODE_RANGE;
    p->ranges += loop;
    enum body_end end = parse_body(p, &n->body);
    p->ranges -= loop;
    if (end == AT_ELSE) {
        end = parse_else(p, n);
        if (end == AT_ELSE)
            return gparse_error(p, "expected end; found {{else}}");
    }
    if (end == AT_EOF)
        return gparse_error(p, "{{%s}} of line %u has no {{end}}", where, n->line);
    p->n_vars = n_vars;
    p->depth--;
    return end == AT_END;
}

static bool template_name(struct gparser *p, const char *where, struct str *out)
{
    if (p->tok.kind != GTOK_STRING && p->tok.kind != GTOK_RAW)
        return gparse_unexpected(p, where);
    return gparse_unquote(p, p->tok, out) && gparse_advance(p);
}

static bool is_blank(const struct gnodes *body)
{
    for (size_t i = 0; i < body->n; i++) {
        const struct gnode *n = &body->v[i];
        if (n->kind != GNODE_TEXT)
            return false;
        for (size_t k = 0; k < n->text.n; k++)
            if (!strchr(" \t\r\n", n->text.p[k]))
                return false;
    }
    return true;
}

/* A template of a name: a blank one gives way, two others are an error. */
static bool add_define(struct gparser *p, const struct gdefine *d)
{
    struct gotmpl *t = p->t;
    for (size_t i = 0; i < t->n_defines; i++) {
        if (!str_eq(t->defines[i].name, d->name))
            continue;
        if (is_blank(&t->defines[i].body))
            t->defines[i] = *d;
        else if (!is_blank(&d->body))
            return gparse_error(p, "template '%.*s' is defined twice", STR_ARG(d->name));
        return true;
    }
    if (!gotmpl_more(&t->arena, &t->defines, t->n_defines, &t->cap_defines, sizeof *t->defines))
        return no_memory(p);
    t->defines[t->n_defines++] = *d;
    return true;
}

/* The body of define and block, with only $ in sight. */
static bool parse_define_body(struct gparser *p, struct str name)
{
    struct gdefine d = {.name = name};
    struct str *vars = p->vars;
    size_t n_vars = p->n_vars, cap_vars = p->cap_vars;
    uint32_t n_nodes = p->n_nodes;
    int ranges = p->ranges;
    if (!gparse_enter(p))
        return false;
    p->vars = NULL;
    p->n_vars = p->cap_vars = 0;
    p->ranges = 0;
    p->n_nodes = 0;
    if (!gparse_push_var(p, STR("$")))
        return false;
    enum body_end end = parse_body(p, &d.body);
    if (end == AT_EOF || end == AT_ELSE)
        return gparse_error(p, "template '%.*s' has no {{end}}", STR_ARG(name));
    p->vars = vars;
    p->n_vars = n_vars;
    p->cap_vars = cap_vars;
    p->n_nodes = n_nodes;
    p->ranges = ranges;
    p->depth--;
    return end == AT_END && add_define(p, &d);
}

static bool parse_define(struct gparser *p)
{
    struct str name;
    if (p->depth > 0)
        return gparse_error(p, "{{define}} inside another action");
    return template_name(p, "define", &name) && close_action(p, "define") &&
           parse_define_body(p, name);
}

static bool parse_template(struct gparser *p, struct gnode *n, bool block)
{
    const char *where = block ? "block" : "template";
    if (!template_name(p, where, &n->text))
        return false;
    if (p->tok.kind == GTOK_CLOSE && !block)
        return gparse_advance(p);
    n->pipe = gparse_pipe(p, where, GTOK_CLOSE);
    return n->pipe && (!block || parse_define_body(p, n->text));
}

static const struct {
    const char *name;
    enum gnode_kind kind;
} controls[] = {{"if", GNODE_IF}, {"with", GNODE_WITH}, {"range", GNODE_RANGE}};

/* One action behind its {{. *end: AT_EOF when the body goes on. */
static bool parse_action(struct gparser *p, struct gnodes *out, enum body_end *end)
{
    struct gnode n = {.kind = GNODE_ACTION, .line = p->tok.line};
    *end = AT_EOF;
    if (at_name(p, "end")) {
        *end = AT_END;
        return gparse_advance(p) && close_action(p, "end");
    }
    if (at_name(p, "else")) {
        *end = AT_ELSE;
        return gparse_advance(p);
    }
    if (at_name(p, "define"))
        return gparse_advance(p) && parse_define(p);
    n.order = p->n_nodes++;
    for (size_t i = 0; i < sizeof controls / sizeof *controls; i++)
        if (at_name(p, controls[i].name)) {
            n.kind = controls[i].kind;
            return gparse_advance(p) && parse_control(p, &n, controls[i].name) &&
                   push_node(p, out, &n);
        }
    if (at_name(p, "template") || at_name(p, "block")) {
        bool block = at_name(p, "block");
        n.kind = GNODE_TEMPLATE;
        return gparse_advance(p) && parse_template(p, &n, block) && push_node(p, out, &n);
    }
    if (at_name(p, "break") || at_name(p, "continue")) {
        n.kind = at_name(p, "break") ? GNODE_BREAK : GNODE_CONTINUE;
        if (!p->ranges)
            return gparse_error(p, "{{%.*s}} outside {{range}}", STR_ARG(p->tok.text));
        return gparse_advance(p) && close_action(p, "break or continue") && push_node(p, out, &n);
    }
    n.pipe = gparse_pipe(p, "action", GTOK_CLOSE);
    return n.pipe && push_node(p, out, &n);
}

static enum body_end parse_body(struct gparser *p, struct gnodes *out)
{
    while (p->status == OK && p->tok.kind != GTOK_END) {
        enum body_end end;
        if (p->tok.kind == GTOK_TEXT) {
            struct gnode n = {.kind = GNODE_TEXT, .line = p->tok.line, .text = p->tok.text};
            n.order = p->n_nodes++;
            if (!push_node(p, out, &n) || !gparse_advance(p))
                return AT_ERROR;
            continue;
        }
        if (!gparse_advance(p) || !parse_action(p, out, &end))
            return AT_ERROR;
        if (end != AT_EOF)
            return end;
    }
    return p->status == OK ? AT_EOF : AT_ERROR;
}

static enum status parse(struct gotmpl *t, struct err *err)
{
    struct gparser p = {.t = t, .lex = {.src = t->source, .line = 1, .err = err}, .err = err};
    if (gparse_push_var(&p, STR("$")) && gparse_advance(&p)) {
        enum body_end end = parse_body(&p, &t->body);
        if (end == AT_END || end == AT_ELSE)
            gparse_error(&p, "{{%s}} without an action to end", end == AT_END ? "end" : "else");
    }
    return p.status;
}

enum status gotmpl_compile(struct gotmpl **out, struct str source, struct err *err)
{
    enum { TREE_PER_BYTE = 600, TREE_LEAST = 1 << 16 };
    if (source.n > GO_MAX_SOURCE)
        return err_set(err, ELIMIT, "template: %zu bytes, expected at most %d", source.n,
                       GO_MAX_SOURCE);
    struct gotmpl *t = calloc(1, sizeof *t);
    if (!t)
        return err_set(err, ENOMEMORY, "template: no memory");
    arena_init(&t->arena, TREE_LEAST + source.n * TREE_PER_BYTE);
    t->source = arena_str(&t->arena, source);
    enum status s = t->source.p ? parse(t, err) : err_set(err, ENOMEMORY, "template: no memory");
    if (s != OK) {
        gotmpl_free(t);
        return s;
    }
    *out = t;
    return OK;
}

void gotmpl_free(struct gotmpl *t)
{
    if (!t)
        return;
    arena_release(&t->arena);
    free(t);
}
