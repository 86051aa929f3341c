/* The functions of Go templates: one table, looked up when a template is parsed. */
#pragma once
#include "base/str.h"
#include <stddef.h>

struct grun;
struct jval;

struct gfunction {
    const char *name;
    int min, max; /* arguments; max -1: any number */
    /* NULL after recording an error. NULL for and, or: they evaluate their arguments one by one */
    const struct jval *(*call)(struct grun *r, const struct jval *const *v, size_t n);
};

const struct gfunction *gotmpl_function(struct str name); /* NULL: there is none */
