/* One rendering: its state, and the functions that evaluation, filters, tests and methods share.
 *
 * A function that makes a value returns NULL after recording an error; callers pass the NULL on.
 * Memory of values comes from one arena with a ceiling and is given back when the rendering
 * ends; steps count evaluated nodes and loop turns of built-in functions. */
#pragma once
#include "text/jinja_ast.h"
#include "text/jinja_builtin.h"

enum {
    MAX_RUN_DEPTH = 1000, /* nested evaluations, macro calls, nested values being printed */
    MAX_RANGE = 100000,   /* elements of a range, as Jinja's sandbox */
    SCOPE_INLINE = 4,
};

struct jbinding {
    uint32_t id;
    const struct jval *value;
};

/* Variables of one block; lookups go outwards through `parent`. */
struct jscope {
    struct jscope *parent;
    struct jbinding *v;
    uint32_t n, cap;
    bool kept; /* a macro remembers it: the next turn of the loop needs another */
    struct jbinding first[SCOPE_INLINE];
};

struct jmacro {
    const struct jmacro_def *def;
    struct jscope *scope; /* where it was defined */
};

/* A running loop: what the variable `loop` shows. With a test, the items that pass are found one
 * by one, because the body may change what the test sees. */
struct jloop {
    const struct jnode *node;
    struct jscope *outer;
    const struct jval **source, **items; /* the same array when there is no test */
    size_t n_source, next_source, n;     /* n: items known so far */
    size_t at;
    bool completed; /* a turn ran to its end: Jinja's else looks at this, not at the items */
    int64_t depth0;
    const struct jval *last_changed; /* arguments of the last loop.changed() */
};

struct jrun {
    const struct jinja *t;
    struct arena arena;
    const struct jval *context;
    const struct jval **globals; /* by name id: what the context or the built-ins say */
    struct jscope *scope;
    struct buf *out;
    size_t max_memory;
    uint64_t steps, max_steps;
    int depth;
    uint32_t line;
    int64_t now;
    struct err *err;
    enum status status;
};

/* Errors: EFORMAT with the line; NULL is returned for convenience. */
const struct jval *jrun_error(struct jrun *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
const struct jval *jrun_fail(struct jrun *r, enum status s, const char *fmt, ...) PRINTF_LIKE(3, 4);
const struct jval *jrun_no_memory(struct jrun *r);
bool jrun_step(struct jrun *r, uint64_t n); /* false: the ceiling on steps was reached */
bool jrun_enter(struct jrun *r);            /* every true is followed by r->depth-- */

/* Making values; NULL: the ceiling on memory was reached. */
void *jrun_alloc(struct jrun *r, size_t n, size_t size);
const struct jval *jrun_int(struct jrun *r, int64_t i);
const struct jval *jrun_float(struct jrun *r, double f);
const struct jval *jrun_str(struct jrun *r, struct str s);   /* copied */
const struct jval *jrun_view(struct jrun *r, struct str s);  /* shares the bytes */
const struct jval *jrun_take(struct jrun *r, struct buf *b); /* copied; b is released */
const struct jval *jrun_list(struct jrun *r, enum jval_list_type type, const struct jval **v,
                             size_t n);
const struct jval *jrun_undefined(struct jrun *r, const char *hint);
const struct jval *jrun_missing(struct jrun *r, const struct jval *obj, const struct jval *name);
void jrun_buf(struct jrun *r, struct buf *b); /* an empty buffer with the run's ceiling */

/* str(v) as a view: strings as they are, others printed. False after an error. */
bool jrun_text(struct jrun *r, const struct jval *v, struct str *out);
/* Markup: v escaped for HTML (Markup stays as it is), and a string declared safe. */
const struct jval *jrun_escape(struct jrun *r, const struct jval *v);
const struct jval *jrun_markup(struct jrun *r, const struct jval *v);
/* Records what using undefined `v` means. */
const struct jval *jrun_use_undefined(struct jrun *r, const struct jval *v);
/* list(v): false after an error ("'int' object is not iterable"). A generator is used up. */
bool jrun_items(struct jrun *r, const struct jval *v, const struct jval ***items, size_t *n);
bool jrun_length(struct jrun *r, const struct jval *v, size_t *n);

/* Operators. */
const struct jval *jrun_binary(struct jrun *r, enum jop op, const struct jval *a,
                               const struct jval *b);
const struct jval *jrun_negate(struct jrun *r, const struct jval *v);
/* a == b, charged for every value compared; false after an error. */
bool jrun_equal(struct jrun *r, const struct jval *a, const struct jval *b, bool *out);
bool jrun_compare(struct jrun *r, enum jop op, const struct jval *a, const struct jval *b,
                  bool *out);
bool jrun_contains(struct jrun *r, const struct jval *all, const struct jval *v, bool *out);
const struct jval *jrun_attr(struct jrun *r, const struct jval *obj, const struct jval *name);
const struct jval *jrun_item(struct jrun *r, const struct jval *obj, const struct jval *key);
const struct jval *jrun_slice(struct jrun *r, const struct jval *obj, const struct jval *start,
                              const struct jval *stop, const struct jval *step);
const struct jval *jrun_percent(struct jrun *r, const struct jval *fmt, const struct jval *args);
const struct jval *jrun_format(struct jrun *r, const struct jval *fmt, const struct jargs *args);

/* Names. */
const struct jval *jrun_lookup(struct jrun *r, uint32_t id, const struct jval *name);
bool jrun_bind(struct jrun *r, struct jscope *s, uint32_t id, const struct jval *v);
struct jscope *jrun_scope(struct jrun *r, struct jscope *parent);

/* Calls. */
const struct jval *jrun_call_builtin(struct jrun *r, const struct jbuiltin *fn,
                                     const struct jval *self, const struct jargs *args);
const struct jval *jrun_call(struct jrun *r, const struct jval *callee, const struct jargs *args);
const struct jval *jrun_loop_attr(struct jrun *r, const struct jval *loop, struct str name);
const struct jval *jrun_loop_again(struct jrun *r, struct jloop *loop, const struct jval *iter);
/* The item at `i` of a loop, NULL when there is none or after an error (r->status). */
const struct jval *jrun_loop_item(struct jrun *r, struct jloop *loop, size_t i);

/* Evaluation and execution. */
enum jflow {
    FLOW_NEXT,
    FLOW_BREAK,
    FLOW_CONTINUE,
    FLOW_ERROR,
};

const struct jval *jrun_eval(struct jrun *r, const struct jnode *n);
/* n.target's filter or test applied to v. */
const struct jval *jrun_apply(struct jrun *r, const struct jnode *n, const struct jval *v);
enum jflow jrun_body(struct jrun *r, const struct jnodes *body);
/* What the body prints, as a string. */
const struct jval *jrun_capture(struct jrun *r, const struct jnodes *body);
bool jrun_assign(struct jrun *r, const struct jnode *target, const struct jval *v);

/* Table helpers of the builtins: missing arguments have defaults. */
bool jarg_int(struct jrun *r, const struct jval *v, int64_t absent, int64_t *out);
bool jarg_text(struct jrun *r, const struct jval *v, const char *what, struct str *out);
static inline bool jarg_truth(const struct jval *v, bool absent)
{
    return v ? jval_truth(v) : absent;
}
