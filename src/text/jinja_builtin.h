/* Functions that templates can call: one table row each for filters, tests, methods and globals.
 *
 * A row names its parameters; the caller binds positional and keyword arguments to them before
 * the function runs, so that a function sees one array (NULL where the template gave nothing). A
 * function returns NULL after recording an error in the run. */
#pragma once
#include "text/jinja_value.h"

struct jrun;

struct jarg_kw {
    struct str name;
    const struct jval *value;
};

struct jargs {
    const struct jval **pos;
    size_t n;
    struct jarg_kw *kw;
    size_t n_kw;
};

enum { JBUILTIN_PARAMS = 6 };

typedef const struct jval *jbuiltin_fn(struct jrun *r, const struct jval *self,
                                       const struct jargs *args);

struct jbuiltin {
    const char *name;
    jbuiltin_fn *fn;
    const char *params[JBUILTIN_PARAMS];
    uint8_t required; /* how many of the parameters must be given */
    bool any;         /* args come as the template wrote them */
};

const struct jbuiltin *jinja_find_filter(struct str name); /* NULL: none */
const struct jbuiltin *jinja_find_test(struct str name);
const struct jbuiltin *jinja_find_global(struct str name);
/* The method `name` of v's type; *unsafe when the sandbox hides it (it changes its object, or is
 * internal to Python). */
const struct jbuiltin *jinja_find_method(const struct jval *v, struct str name, bool *unsafe);
