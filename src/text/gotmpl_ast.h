/* The tree of a compiled Go template. Everything lives in the template's arena and never changes
 * after compiling. */
#pragma once
#include "text/gotmpl.h"
#include "text/jinja_value.h"

enum {
    GO_MAX_SOURCE = 16 << 20,
    GO_MAX_NESTING = 500, /* actions and parentheses in each other */
};

enum gterm_kind {
    GTERM_CONST,
    GTERM_NIL,
    GTERM_DOT,
    GTERM_VARIABLE,
    GTERM_FUNCTION,
    GTERM_PIPE, /* in parentheses */
};

struct gfunction;
struct gpipe;

/* An operand, with the fields asked of it: .A.B is GTERM_DOT with two. */
struct gterm {
    enum gterm_kind kind;
    struct str name; /* of the variable with its $, or of the function */
    struct str *fields;
    size_t n_fields, cap_fields;
    const struct jval *value; /* GTERM_CONST */
    const struct gfunction *fn;
    const struct gpipe *pipe;
};

struct gcommand {
    struct gterm *v; /* at least one */
    size_t n, cap;
};

struct gpipe {
    uint32_t line;
    struct str vars[2]; /* declared or set; two only in range */
    size_t n_vars;
    bool assign; /* = and not := */
    struct gcommand *v;
    size_t n, cap;
};

enum gnode_kind {
    GNODE_TEXT,
    GNODE_ACTION,
    GNODE_IF,
    GNODE_WITH,
    GNODE_RANGE,
    GNODE_TEMPLATE,
    GNODE_BREAK,
    GNODE_CONTINUE,
};

struct gnode;

struct gnodes {
    struct gnode *v;
    size_t n, cap;
};

struct gnode {
    enum gnode_kind kind;
    uint32_t line;
    uint32_t order;     /* place in the source among all nodes of its template, from 0 */
    struct str text;    /* GNODE_TEXT; name of GNODE_TEMPLATE */
    struct gpipe *pipe; /* NULL: GNODE_TEMPLATE without data */
    struct gnodes body, otherwise;
};

struct gdefine {
    struct str name;
    struct gnodes body;
};

struct gotmpl {
    struct arena arena;
    struct str source;
    struct gnodes body;
    struct gdefine *defines;
    size_t n_defines, cap_defines;
};

const struct gdefine *gotmpl_find(const struct gotmpl *t, struct str name);

/* Room for one more element in an array of the arena; false: the arena is full. */
bool gotmpl_more(struct arena *a, void *array, size_t n, size_t *cap, size_t size);
