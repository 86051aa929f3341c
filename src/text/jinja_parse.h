/* The parser's state, shared by its two files: expressions and statements. */
#pragma once
#include "text/jinja_ast.h"
#include "text/jinja_lex.h"

struct jparser {
    struct jinja *t;
    struct arena *a;
    struct err *err;
    const struct jtoken *tok; /* the current one; the last is T_EOF */
    struct jmap *names;       /* name -> id */
    uint32_t cap_names;
    int depth;
    /* The first unknown filter or test outside any branch: an error of the template. Inside a
     * branch one is an error only when it is reached, so a branch restores what was here. */
    const struct jtoken *unknown;
    int loops;                /* loops around, for break and continue */
    struct jmacro_def *macro; /* the innermost one that is being parsed */
};

/* All return NULL (or false) after recording the error. */
struct jnode *jparse_error(struct jparser *p, const char *fmt, ...) PRINTF_LIKE(2, 3);
struct jnode *jparse_unexpected(struct jparser *p, const char *expected);
void *jparse_alloc(struct jparser *p, size_t n);
struct jnode *jnode_new(struct jparser *p, enum jnode_kind kind);
bool jnodes_add(struct jparser *p, struct jnodes *list, struct jnode *node);
bool jparse_enter(struct jparser *p); /* nesting; every true is followed by depth-- */
bool jparse_name(struct jparser *p, struct str name, uint32_t *id);

static inline bool jtoken_is(const struct jtoken *t, const char *name)
{
    return t->kind == T_NAME && str_is(t->text, name);
}

bool jparse_accept(struct jparser *p, enum jtoken_kind kind);
bool jparse_accept_name(struct jparser *p, const char *name);
bool jparse_expect(struct jparser *p, enum jtoken_kind kind);

/* Expressions. A tuple needs no parentheses; `stop` (or NULL) is a name that ends it. */
struct jnode *jparse_expression(struct jparser *p, bool with_condition);
struct jnode *jparse_tuple(struct jparser *p, bool with_condition, const char *stop,
                           bool parenthesized);
struct jnode *jparse_filters(struct jparser *p, struct jnode *value, bool inline_first);
struct jnode *jparse_target(struct jparser *p, bool allow_attr, bool allow_tuple, const char *stop);
