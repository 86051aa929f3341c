/* Expressions, by recursive descent with Jinja's precedences: conditional, or, and, not,
 * comparisons, + -, ~, * / // %, **, unary, postfix, filters and tests. Two surprises of Jinja
 * are kept: ** associates to the left, and a filter binds tighter than any operator but comes
 * after a unary minus (-1|abs is (-1)|abs). */
#include "text/jinja_parse.h"
#include "text/jinja_builtin.h"

static struct jnode *parse_unary(struct jparser *p, bool with_filter);

static struct jnode *binary(struct jparser *p, enum jop op, struct jnode *a, struct jnode *b)
{
    struct jnode *n = a && b ? jnode_new(p, N_BINARY) : NULL;
    if (n) {
        n->op.op = op;
        n->op.a = a;
        n->op.b = b;
        n->line = a->line;
    }
    return n;
}

static struct jnode *constant(struct jparser *p, const struct jval *v)
{
    struct jnode *n = v ? jnode_new(p, N_CONST) : jparse_error(p, "the template is too large");
    if (n)
        n->value = v;
    return n;
}

/* ---- primary expressions ---- */

static struct jnode *parse_name(struct jparser *p)
{
    static const struct {
        const char *name;
        const struct jval *value;
    } words[] = {
        {"true", &jval_true},   {"True", &jval_true}, {"false", &jval_false},
        {"False", &jval_false}, {"none", &jval_none}, {"None", &jval_none},
    };
    struct str text = p->tok->text;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (str_is(text, words[i].name)) {
            struct jnode *n = constant(p, words[i].value);
            p->tok++;
            return n;
        }
    struct jnode *n = jnode_new(p, N_NAME);
    if (!n || !jparse_name(p, text, &n->name.id))
        return NULL;
    n->name.text = p->t->names[n->name.id];
    if (p->macro) {
        p->macro->uses_caller |= str_is(text, "caller");
        p->macro->uses_varargs |= str_is(text, "varargs");
        p->macro->uses_kwargs |= str_is(text, "kwargs");
    }
    p->tok++;
    return n;
}

static struct jnode *parse_string(struct jparser *p)
{
    struct buf all;
    struct jnode *n;
    const struct jtoken *first = p->tok++;
    if (p->tok->kind != T_STRING)
        return constant(p, jval_str_view(p->a, first->text.p, first->text.n));
    buf_init(&all, MAX_TEMPLATE);
    buf_addstr(&all, first->text);
    for (; p->tok->kind == T_STRING; p->tok++)
        buf_addstr(&all, p->tok->text);
    n = constant(p, all.failed ? NULL : jval_str(p->a, buf_str(&all)));
    buf_release(&all);
    return n;
}

static struct jnode *parse_list(struct jparser *p)
{
    struct jnode *n = jnode_new(p, N_LIST);
    p->tok++;
    while (n && p->tok->kind != T_RBRACKET) {
        if (n->list.n && !jparse_expect(p, T_COMMA))
            return NULL;
        if (p->tok->kind == T_RBRACKET)
            break;
        if (!jnodes_add(p, &n->list, jparse_expression(p, true)))
            return NULL;
    }
    p->tok++;
    return n;
}

static struct jnode *parse_dict(struct jparser *p)
{
    struct jnode *n = jnode_new(p, N_DICT);
    p->tok++;
    while (n && p->tok->kind != T_RBRACE) {
        if (n->list.n && !jparse_expect(p, T_COMMA))
            return NULL;
        if (p->tok->kind == T_RBRACE)
            break;
        if (!jnodes_add(p, &n->list, jparse_expression(p, true)) || !jparse_expect(p, T_COLON) ||
            !jnodes_add(p, &n->list, jparse_expression(p, true)))
            return NULL;
    }
    p->tok++;
    return n;
}

static struct jnode *parse_primary(struct jparser *p)
{
    struct jnode *n;
    switch (p->tok->kind) {
    case T_NAME: return parse_name(p);
    case T_STRING: return parse_string(p);
    case T_INTEGER: return constant(p, jval_int(p->a, p->tok++->i));
    case T_FLOAT: return constant(p, jval_float(p->a, p->tok++->f));
    case T_LPAREN:
        p->tok++;
        n = jparse_tuple(p, true, NULL, true);
        return n && jparse_expect(p, T_RPAREN) ? n : NULL;
    case T_LBRACKET: return parse_list(p);
    case T_LBRACE: return parse_dict(p);
    default: return jparse_unexpected(p, "an expression");
    }
}

/* ---- postfix: attributes, items, calls ---- */

static struct jnode *parse_subscript(struct jparser *p)
{
    struct jnode *parts[3] = {0}, *n;
    int at = 0;
    if (p->tok->kind != T_COLON) {
        n = jparse_expression(p, true);
        if (!n || p->tok->kind != T_COLON)
            return n;
        parts[0] = n;
    }
    while (p->tok->kind == T_COLON && at < 2) {
        p->tok++;
        at++;
        if (p->tok->kind != T_COLON && p->tok->kind != T_RBRACKET && p->tok->kind != T_COMMA &&
            !(parts[at] = jparse_expression(p, true)))
            return NULL;
    }
    n = jnode_new(p, N_SLICE);
    if (n) {
        n->op.a = parts[0];
        n->op.b = parts[1];
        n->op.c = parts[2];
    }
    return n;
}

static struct jnode *parse_item(struct jparser *p, struct jnode *obj)
{
    struct jnode *n = jnode_new(p, N_ITEM), *all = jnode_new(p, N_TUPLE);
    p->tok++;
    if (!n || !all)
        return NULL;
    n->line = obj->line;
    n->get.obj = obj;
    while (p->tok->kind != T_RBRACKET) {
        if (all->list.n && !jparse_expect(p, T_COMMA))
            return NULL;
        if (!jnodes_add(p, &all->list, parse_subscript(p)))
            return NULL;
        if (all->list.v[all->list.n - 1]->kind == N_SLICE &&
            (all->list.n > 1 || p->tok->kind == T_COMMA))
            return jparse_error(p, "a slice beside other subscripts is not supported");
    }
    p->tok++;
    n->get.key = all->list.n == 1 ? all->list.v[0] : all;
    return n;
}

static struct jnode *parse_dot(struct jparser *p, struct jnode *obj)
{
    p->tok++;
    struct jnode *n = jnode_new(p, p->tok->kind == T_INTEGER ? N_ITEM : N_ATTR);
    if (!n)
        return NULL;
    n->line = obj->line;
    n->get.obj = obj;
    if (p->tok->kind == T_NAME)
        n->get.name = jval_str_view(p->a, p->tok->text.p, p->tok->text.n);
    else if (p->tok->kind != T_INTEGER)
        return jparse_unexpected(p, "a name or number");
    else if (!(n->get.key = constant(p, jval_int(p->a, p->tok->i))))
        return NULL;
    p->tok++;
    return n->kind == N_ATTR && !n->get.name ? jparse_error(p, "the template is too large") : n;
}

static bool add_keyword(struct jparser *p, struct jcallargs *args, struct str name,
                        struct jnode *value)
{
    if (!value)
        return false;
    if ((args->n_kw & (args->n_kw - 1)) == 0) { /* grows at powers of two */
        struct jkeyword *kw = jparse_alloc(p, (args->n_kw ? args->n_kw * 2 : 1) * sizeof *kw);
        if (!kw)
            return false;
        if (args->n_kw)
            memcpy(kw, args->kw, args->n_kw * sizeof *kw);
        args->kw = kw;
    }
    for (size_t i = 0; i < args->n_kw; i++)
        if (str_eq(args->kw[i].name, name))
            return jparse_error(p, "keyword argument '%.*s' repeated", STR_ARG(name)), false;
    args->kw[args->n_kw++] = (struct jkeyword){name, value};
    return true;
}

static bool parse_argument(struct jparser *p, struct jcallargs *args)
{
    enum jtoken_kind kind = p->tok->kind;
    if (kind == T_MUL || kind == T_POW) {
        struct jnode **dyn = kind == T_MUL ? &args->dyn_pos : &args->dyn_kw;
        if (*dyn || args->dyn_kw)
            return jparse_error(p, "invalid syntax for function call expression"), false;
        p->tok++;
        return (*dyn = jparse_expression(p, true)) != NULL;
    }
    if (kind == T_NAME && p->tok[1].kind == T_ASSIGN) {
        struct str name = p->tok->text;
        if (args->dyn_kw)
            return jparse_error(p, "invalid syntax for function call expression"), false;
        p->tok += 2;
        return add_keyword(p, args, name, jparse_expression(p, true));
    }
    if (args->dyn_pos || args->dyn_kw || args->n_kw)
        return jparse_error(p, "invalid syntax for function call expression"), false;
    return jnodes_add(p, &args->pos, jparse_expression(p, true));
}

static struct jcallargs *parse_arguments(struct jparser *p)
{
    struct jcallargs *args = jparse_alloc(p, sizeof *args);
    p->tok++;
    for (bool more = false; args && p->tok->kind != T_RPAREN; more = true) {
        if (more && !jparse_expect(p, T_COMMA))
            return NULL;
        if (p->tok->kind == T_RPAREN)
            break;
        if (!parse_argument(p, args))
            return NULL;
    }
    p->tok++;
    return args;
}

static struct jnode *parse_call(struct jparser *p, struct jnode *callee)
{
    struct jnode *n = jnode_new(p, N_CALL);
    if (!n)
        return NULL;
    n->line = callee->line;
    n->call.target = callee;
    n->call.args = parse_arguments(p);
    return n->call.args ? n : NULL;
}

static struct jnode *parse_postfix(struct jparser *p, struct jnode *n)
{
    while (n) {
        if (p->tok->kind == T_DOT)
            n = parse_dot(p, n);
        else if (p->tok->kind == T_LBRACKET)
            n = parse_item(p, n);
        else if (p->tok->kind == T_LPAREN)
            n = parse_call(p, n);
        else
            break;
    }
    return n;
}

/* ---- filters and tests ---- */

/* NAME or NAME.NAME of a filter or test, as one view into the source. */
static bool parse_dotted(struct jparser *p, struct str *name)
{
    *name = p->tok->text;
    if (!jparse_expect(p, T_NAME))
        return false;
    while (jparse_accept(p, T_DOT)) {
        name->n = (size_t)(p->tok->text.p - name->p) + p->tok->text.n;
        if (!jparse_expect(p, T_NAME))
            return false;
    }
    return true;
}

struct jnode *jparse_filters(struct jparser *p, struct jnode *value, bool inline_first)
{
    struct jnode *n = value;
    while (inline_first || p->tok->kind == T_PIPE) {
        if (!inline_first)
            p->tok++;
        inline_first = false;
        const struct jtoken *name = p->tok;
        struct jnode *filter = jnode_new(p, N_FILTER);
        if (!filter || !parse_dotted(p, &filter->call.fn_name))
            return NULL;
        filter->call.target = n;
        filter->call.fn = jinja_find_filter(filter->call.fn_name);
        if (!filter->call.fn && !p->unknown)
            p->unknown = name;
        if (p->tok->kind == T_LPAREN && !(filter->call.args = parse_arguments(p)))
            return NULL;
        n = filter;
    }
    return n;
}

static bool starts_test_argument(const struct jtoken *t)
{
    switch (t->kind) {
    case T_NAME: return !jtoken_is(t, "else") && !jtoken_is(t, "or") && !jtoken_is(t, "and");
    case T_STRING:
    case T_INTEGER:
    case T_FLOAT:
    case T_LBRACKET:
    case T_LBRACE: return true;
    default: return false;
    }
}

static struct jnode *parse_test(struct jparser *p, struct jnode *value)
{
    struct jnode *n = jnode_new(p, N_TEST), *negated = NULL;
    p->tok++;
    if (jparse_accept_name(p, "not") && !(negated = jnode_new(p, N_NOT)))
        return NULL;
    const struct jtoken *name = p->tok;
    if (!n || !parse_dotted(p, &n->call.fn_name))
        return NULL;
    n->call.target = value;
    n->call.fn = jinja_find_test(n->call.fn_name);
    if (!n->call.fn && !p->unknown)
        p->unknown = name;
    if (p->tok->kind == T_LPAREN) {
        if (!(n->call.args = parse_arguments(p)))
            return NULL;
    } else if (starts_test_argument(p->tok)) {
        if (jtoken_is(p->tok, "is"))
            return jparse_error(p, "tests cannot be chained with 'is'");
        if (!(n->call.args = jparse_alloc(p, sizeof *n->call.args)))
            return NULL;
        struct jnode *arg = parse_primary(p);
        if (!arg || !jnodes_add(p, &n->call.args->pos, parse_postfix(p, arg)))
            return NULL;
    }
    if (!negated)
        return n;
    negated->op.a = n;
    return negated;
}

static struct jnode *parse_filter_expression(struct jparser *p, struct jnode *n)
{
    while (n) {
        if (p->tok->kind == T_PIPE)
            n = jparse_filters(p, n, false);
        else if (jtoken_is(p->tok, "is"))
            n = parse_test(p, n);
        else if (p->tok->kind == T_LPAREN) /* calling what a filter returned */
            n = parse_call(p, n);
        else
            break;
    }
    return n;
}

/* ---- operators, tightest first ---- */

static struct jnode *parse_unary(struct jparser *p, bool with_filter)
{
    struct jnode *n;
    if (!jparse_enter(p))
        return NULL;
    if (p->tok->kind == T_SUB || p->tok->kind == T_ADD) {
        n = jnode_new(p, p->tok->kind == T_SUB ? N_NEG : N_POS);
        p->tok++;
        if (n && !(n->op.a = parse_unary(p, false)))
            n = NULL;
    } else {
        n = parse_primary(p);
    }
    n = parse_postfix(p, n);
    if (with_filter)
        n = parse_filter_expression(p, n);
    p->depth--;
    return n;
}

static struct jnode *parse_pow(struct jparser *p)
{
    struct jnode *n = parse_unary(p, true);
    while (n && jparse_accept(p, T_POW))
        n = binary(p, OP_POW, n, parse_unary(p, true));
    return n;
}

static struct jnode *parse_product(struct jparser *p)
{
    struct jnode *n = parse_pow(p);
    while (n) {
        enum jop op;
        switch (p->tok->kind) {
        case T_MUL: op = OP_MUL; break;
        case T_DIV: op = OP_DIV; break;
        case T_FLOORDIV: op = OP_FLOORDIV; break;
        case T_MOD: op = OP_MOD; break;
        default: return n;
        }
        p->tok++;
        n = binary(p, op, n, parse_pow(p));
    }
    return n;
}

static struct jnode *parse_concat(struct jparser *p)
{
    struct jnode *n = parse_product(p);
    if (!n || p->tok->kind != T_TILDE)
        return n;
    struct jnode *all = jnode_new(p, N_CONCAT);
    if (!all || !jnodes_add(p, &all->list, n))
        return NULL;
    while (jparse_accept(p, T_TILDE))
        if (!jnodes_add(p, &all->list, parse_product(p)))
            return NULL;
    return all;
}

static struct jnode *parse_sum(struct jparser *p)
{
    struct jnode *n = parse_concat(p);
    while (n && (p->tok->kind == T_ADD || p->tok->kind == T_SUB)) {
        enum jop op = p->tok++->kind == T_ADD ? OP_ADD : OP_SUB;
        n = binary(p, op, n, parse_concat(p));
    }
    return n;
}

static bool comparison(struct jparser *p, enum jop *op)
{
    switch (p->tok->kind) {
    case T_EQ: *op = OP_EQ; break;
    case T_NE: *op = OP_NE; break;
    case T_LT: *op = OP_LT; break;
    case T_LE: *op = OP_LE; break;
    case T_GT: *op = OP_GT; break;
    case T_GE: *op = OP_GE; break;
    default:
        if (jtoken_is(p->tok, "in")) {
            *op = OP_IN;
            break;
        }
        if (!jtoken_is(p->tok, "not") || !jtoken_is(p->tok + 1, "in"))
            return false;
        *op = OP_NOT_IN;
        p->tok++;
    }
    p->tok++;
    return true;
}

static struct jnode *parse_compare(struct jparser *p)
{
    struct jnode *first = parse_sum(p);
    enum jop op, *ops;
    if (!first || !comparison(p, &op))
        return first;
    struct jnode *n = jnode_new(p, N_COMPARE);
    if (!n)
        return NULL;
    n->line = first->line;
    n->compare.first = first;
    do {
        size_t k = n->compare.rest.n;
        if ((k & (k - 1)) == 0) {
            if (!(ops = jparse_alloc(p, (k ? k * 2 : 1) * sizeof *ops)))
                return NULL;
            if (k)
                memcpy(ops, n->compare.ops, k * sizeof *ops);
            n->compare.ops = ops;
        }
        n->compare.ops[k] = op;
        if (!jnodes_add(p, &n->compare.rest, parse_sum(p)))
            return NULL;
    } while (comparison(p, &op));
    return n;
}

static struct jnode *parse_not(struct jparser *p)
{
    if (!jtoken_is(p->tok, "not"))
        return parse_compare(p);
    struct jnode *n = jnode_new(p, N_NOT);
    p->tok++;
    if (!n || !jparse_enter(p))
        return NULL;
    n->op.a = parse_not(p);
    p->depth--;
    return n->op.a ? n : NULL;
}

static struct jnode *logical(struct jparser *p, enum jnode_kind kind, const char *word,
                             struct jnode *(*operand)(struct jparser *))
{
    struct jnode *n = operand(p);
    if (!n || !jtoken_is(p->tok, word))
        return n;
    struct jnode *all = jnode_new(p, kind);
    if (!all || !jnodes_add(p, &all->list, n))
        return NULL;
    all->line = n->line;
    while (jparse_accept_name(p, word))
        if (!jnodes_add(p, &all->list, operand(p)))
            return NULL;
    return all;
}

static struct jnode *parse_and(struct jparser *p)
{
    return logical(p, N_AND, "and", parse_not);
}

static struct jnode *parse_or(struct jparser *p)
{
    return logical(p, N_OR, "or", parse_and);
}

static struct jnode *parse_condition(struct jparser *p)
{
    const struct jtoken *unknown = p->unknown;
    struct jnode *n = parse_or(p);
    while (n && jtoken_is(p->tok, "if")) {
        struct jnode *cond = jnode_new(p, N_COND);
        p->tok++;
        if (!cond || !(cond->op.b = parse_or(p)))
            return NULL;
        cond->op.a = n;
        if (jparse_accept_name(p, "else") && !(cond->op.c = jparse_expression(p, true)))
            return NULL;
        n = cond;
        p->unknown = unknown;
    }
    return n;
}

struct jnode *jparse_expression(struct jparser *p, bool with_condition)
{
    if (!jparse_enter(p))
        return NULL;
    struct jnode *n = with_condition ? parse_condition(p) : parse_or(p);
    p->depth--;
    return n;
}

/* ---- tuples and assignment targets ---- */

static bool ends_tuple(const struct jtoken *t, const char *stop)
{
    return t->kind == T_VARIABLE_END || t->kind == T_BLOCK_END || t->kind == T_RPAREN ||
           (stop && jtoken_is(t, stop));
}

struct jnode *jparse_tuple(struct jparser *p, bool with_condition, const char *stop,
                           bool parenthesized)
{
    struct jnode *all = jnode_new(p, N_TUPLE);
    bool is_tuple = false;
    while (all && !ends_tuple(p->tok, stop)) {
        if (!jnodes_add(p, &all->list, jparse_expression(p, with_condition)))
            return NULL;
        if (p->tok->kind != T_COMMA)
            break;
        is_tuple = true;
        p->tok++;
    }
    if (all && !is_tuple && all->list.n)
        return all->list.v[0];
    if (all && !is_tuple && !parenthesized)
        return jparse_unexpected(p, "an expression");
    return all;
}

static struct jnode *parse_single_target(struct jparser *p, bool allow_attr, bool allow_tuple)
{
    if (allow_tuple && p->tok->kind == T_LPAREN) {
        p->tok++;
        if (!jparse_enter(p))
            return NULL;
        struct jnode *n = jparse_target(p, allow_attr, true, NULL);
        p->depth--;
        return n && jparse_expect(p, T_RPAREN) ? n : NULL;
    }
    if (p->tok->kind != T_NAME)
        return jparse_unexpected(p, "a name to assign to");
    struct jnode *n = parse_name(p);
    if (n && n->kind != N_NAME)
        return jparse_error(p, "can't assign to '%.*s'", STR_ARG(p->tok[-1].text));
    return n && allow_attr && p->tok->kind == T_DOT ? parse_dot(p, n) : n;
}

struct jnode *jparse_target(struct jparser *p, bool allow_attr, bool allow_tuple, const char *stop)
{
    struct jnode *n = parse_single_target(p, allow_attr, allow_tuple), *all;
    if (!n || !allow_tuple || p->tok->kind != T_COMMA)
        return n;
    if (!(all = jnode_new(p, N_TUPLE)) || !jnodes_add(p, &all->list, n))
        return NULL;
    while (jparse_accept(p, T_COMMA) && !ends_tuple(p->tok, stop) && p->tok->kind != T_ASSIGN)
        if (!jnodes_add(p, &all->list, parse_single_target(p, allow_attr, true)))
            return NULL;
    return all;
}
