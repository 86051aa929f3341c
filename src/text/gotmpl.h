/* Go's text/template, as the models of Ollama use it: actions, pipelines, variables, if, with,
 * range (lists, maps, integers), break, continue, define, template, block, comments and trim
 * markers, Go's built-in functions with fmt's verbs, and json, currentDate, yesterdayDate and
 * toTypeScriptType; missing keys give zero values (Option missingkey=zero).
 *
 * Values are those of jinja.h: null is nil, integers are int, other numbers float64, maps
 * map[string]any. A number of the context compares with int and float constants alike, as JSON
 * does not tell them apart. Methods, functions as values and complex numbers do not exist.
 *
 * Templates come with models and are untrusted: steps, output, depth and memory have ceilings, and
 * no template can reach anything but its context and the date. */
#pragma once
#include "text/jinja.h"

struct gotmpl; /* a compiled template: immutable, shareable between threads */

/* EFORMAT with the line for a template that does not parse. */
NODISCARD enum status gotmpl_compile(struct gotmpl **out, struct str source, struct err *err);
void gotmpl_free(struct gotmpl *t); /* NULL is allowed */

struct gotmpl_options {
    struct jinja_limits limits;
    int64_t now; /* seconds since 1970 for currentDate; the zone is the local one */
    /* What follows in the source behind the first action of the template itself that prints this
     * field is left out; .p NULL: nothing is. */
    struct str cut_at;
};

/* Renders with the map `context`; the ceiling of `out` limits the output. EFORMAT for an error in
 * evaluation, as Go reports one. */
NODISCARD enum status gotmpl_render(const struct gotmpl *t, const struct jval *context,
                                    const struct gotmpl_options *opt, struct buf *out,
                                    struct err *err);

/* Whether a field or variable of this name stands anywhere in the template ("Tools": .Tools,
 * $.Tools, .X.Tools); ASCII letters match in either case. */
bool gotmpl_mentions(const struct gotmpl *t, struct str field);
