/* One rendering of a Go template: its state and what evaluation, functions and printing share.
 *
 * A function that makes a value returns NULL after recording an error; callers pass the NULL on.
 * Values of a rendering live in one arena with a ceiling. Go has two nothings, and templates can
 * tell them apart: a nil interface (JV_NULL; asking it for a field is an error) and the lack of a
 * value that a pipeline turns it into (JV_UNDEFINED; its fields lack a value too). */
#pragma once
#include "text/gotmpl_ast.h"
#include "text/gotmpl_func.h"

enum { GO_MAX_DEPTH = 1000 }; /* nested statements, pipelines, templates and values */

struct gvariable {
    struct str name; /* with its $ */
    const struct jval *value;
};

struct grun {
    const struct gotmpl *t;
    struct arena arena;
    struct buf *out;
    size_t max_memory;
    uint64_t steps, max_steps;
    int depth;
    uint32_t line;
    int64_t now;
    uint32_t cut; /* nodes of this order and above are left out */
    struct gvariable *vars;
    size_t n_vars, cap_vars, base; /* base: the first variable of the running template */
    struct err *err;
    enum status status;
};

extern const struct jval gotmpl_nothing; /* JV_UNDEFINED */

const struct jval *grun_error(struct grun *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
bool grun_step(struct grun *r, uint64_t n); /* false: the ceiling on steps was reached */
bool grun_enter(struct grun *r);            /* every true is followed by r->depth-- */
void *grun_alloc(struct grun *r, size_t n, size_t size);
const struct jval *grun_made(struct grun *r, struct jval *v); /* NULL: out of memory, recorded */
const struct jval *grun_int(struct grun *r, int64_t i);       /* a Go int */
const struct jval *grun_str(struct grun *r, struct str s);    /* copied */
void grun_buf(struct grun *r, struct buf *b);                 /* empty, with the run's ceiling */
const struct jval *grun_take(struct grun *r, struct buf *b);  /* copied; b is released */

/* The value of a pipeline, bound to its variables. */
const struct jval *grun_pipe(struct grun *r, const struct jval *dot, const struct gpipe *p);
bool grun_push(struct grun *r, struct str name, const struct jval *v);
bool grun_set(struct grun *r, struct str name, const struct jval *v);

bool gval_truth(const struct jval *v);
bool gval_is_nil(const struct jval *v);
const char *gval_type(const struct jval *v); /* as %T: "[]interface {}" */
/* The entries of a map in the order in which Go prints and walks them: by key; those of a struct
 * as they are. NULL after an error; m has at least one entry. */
const struct jentry *gval_entries(struct grun *r, const struct jval *map);

/* fmt's Fprint of one value, Sprint and Sprintln of several, and Sprintf. False after an error. */
bool gfmt_print(struct grun *r, struct buf *out, const struct jval *v);
bool gfmt_prints(struct grun *r, struct buf *out, const struct jval *const *v, size_t n, bool line);
bool gfmt_printf(struct grun *r, struct buf *out, struct str format, const struct jval *const *v,
                 size_t n);
/* strconv.Quote */
void gfmt_quote(struct buf *out, struct str s);
/* The digits of the shortest decimal that gives f (finite, not negative) back, and the power of
 * ten of the first one. At least 20 bytes; returns how many. */
int gfmt_digits(double f, char *digits, int *exp);

/* encoding/json's Marshal: HTML escaped, maps sorted. False after an error. */
bool gjson_write(struct grun *r, struct buf *out, const struct jval *v);

/* Comparisons of eq and lt: false after an error. */
bool gval_equal(struct grun *r, const struct jval *a, const struct jval *b, bool *out);
bool gval_less(struct grun *r, const struct jval *a, const struct jval *b, bool *out);
/* index and slice */
const struct jval *gfunc_index(struct grun *r, const struct jval *const *v, size_t n);
const struct jval *gfunc_slice(struct grun *r, const struct jval *const *v, size_t n);
