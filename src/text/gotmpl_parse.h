/* The parser's state, shared by statements (gotmpl_parse.c) and pipelines (gotmpl_parse_pipe.c). */
#pragma once
#include "text/gotmpl_ast.h"
#include "text/gotmpl_lex.h"

struct gparser {
    struct gotmpl *t;
    struct glexer lex;
    struct gtoken tok; /* the next one, not taken yet */
    struct str *vars;  /* visible variables, with their $ */
    size_t n_vars, cap_vars;
    int depth;        /* nested actions and parentheses */
    int ranges;       /* loops around; 0: no break */
    uint32_t n_nodes; /* of the template being read */
    enum status status;
    struct err *err;
};

/* Records an error at the next token's line unless there is one; false for convenience. */
bool gparse_error(struct gparser *p, const char *fmt, ...) PRINTF_LIKE(2, 3);
bool gparse_unexpected(struct gparser *p, const char *where);
bool gparse_advance(struct gparser *p);
bool gparse_enter(struct gparser *p); /* every true is followed by p->depth-- */
bool gparse_push_var(struct gparser *p, struct str name);

/* A pipeline and the token that ends it, `end`. */
struct gpipe *gparse_pipe(struct gparser *p, const char *where, enum gtoken_kind end);
/* The text of a quoted string, unescaped. */
bool gparse_unquote(struct gparser *p, struct gtoken tok, struct str *out);
