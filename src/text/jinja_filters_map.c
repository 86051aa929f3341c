/* Filters that apply another filter or test to every item, attribute lookup, and default.
 *
 * Jinja's are lazy generators; ours compute at once and behave as generators afterwards (always
 * true, no length, walked once). */
#include "text/jinja_filters.h"

#define FILTER(name)                                                                               \
    const struct jval *name(struct jrun *r, const struct jval *self, const struct jargs *args)

FILTER(jfilter_default)
{
    bool absent =
        self->kind == JV_UNDEFINED || (jarg_truth(args->pos[1], false) && !jval_truth(self));
    if (!absent)
        return self;
    return args->pos[0] ? args->pos[0] : jrun_view(r, STR(""));
}

FILTER(jfilter_attr)
{
    struct str name;
    if (!jrun_text(r, args->pos[0], &name))
        return NULL;
    const struct jval *key = jrun_view(r, name);
    if (!key)
        return NULL;
    /* attributes only, never items */
    if (self->kind == JV_MAP || self->kind == JV_LIST || self->kind == JV_STRING) {
        bool unsafe = false;
        if (!jinja_find_method(self, name, &unsafe) && !unsafe &&
            !(self->kind == JV_LIST && self->sub == JL_GROUP))
            return jrun_missing(r, self, key);
    }
    return jrun_attr(r, self, key);
}

/* ---- attribute paths ---- */

static bool all_digits(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return s.n > 0 && s.n < 18;
}

static const struct jval *path_part(struct jrun *r, struct str part)
{
    int64_t i = 0;
    if (!all_digits(part))
        return jrun_view(r, part);
    for (size_t k = 0; k < part.n; k++)
        i = i * 10 + (part.p[k] - '0');
    return jrun_int(r, i);
}

const struct jval *jfilter_path(struct jrun *r, const struct jval *v, const struct jval *path,
                                const struct jval *absent)
{
    if (!path || path->kind == JV_NULL)
        return v;
    if (absent && absent->kind == JV_NULL)
        absent = NULL;
    struct str rest = path->kind == JV_STRING ? jval_text(path) : STR("");
    for (bool more = true; v && more;) {
        const struct jval *key = path;
        more = false;
        if (path->kind == JV_STRING) {
            const char *dot = memchr(rest.p, '.', rest.n);
            struct str part = dot ? str_slice(rest, 0, (size_t)(dot - rest.p)) : rest;
            rest = dot ? str_slice(rest, part.n + 1, rest.n) : STR("");
            more = dot != NULL;
            if (!(key = path_part(r, part)))
                return NULL;
        }
        v = jrun_item(r, v, key);
        if (v && v->kind == JV_UNDEFINED && absent)
            v = absent;
    }
    return v;
}

/* ---- map, select, reject ---- */

/* A filter or test by name with the arguments that follow it. */
struct applied {
    const struct jbuiltin *fn; /* NULL: an attribute (map) or truth (select) */
    struct jargs rest;
    const struct jval *path, *absent;
};

static bool find_function(struct jrun *r, const struct jargs *args, size_t at, bool test,
                          struct applied *out)
{
    struct str name;
    if (!jarg_text(r, args->pos[at], test ? "the test" : "the filter", &name))
        return false;
    out->fn = test ? jinja_find_test(name) : jinja_find_filter(name);
    if (!out->fn)
        return jrun_error(r, "no %s named '%.*s'", test ? "test" : "filter", STR_ARG(name)), false;
    out->rest = *args;
    out->rest.pos += at + 1;
    out->rest.n -= at + 1;
    return true;
}

static bool map_attribute(struct jrun *r, const struct jargs *args, struct applied *out)
{
    for (size_t k = 0; k < args->n_kw; k++) {
        if (str_is(args->kw[k].name, "attribute"))
            out->path = args->kw[k].value;
        else if (str_is(args->kw[k].name, "default"))
            out->absent = args->kw[k].value;
        else
            return jrun_error(r, "unexpected keyword argument '%.*s'", STR_ARG(args->kw[k].name)),
                   false;
    }
    if (!out->path)
        return jrun_error(r, "map requires a filter argument"), false;
    return true;
}

FILTER(jfilter_map)
{
    struct applied f = {0};
    const struct jval **items, **v;
    size_t n;
    if (!jval_truth(self))
        return jrun_list(r, JL_GENERATOR, NULL, 0);
    if (!(args->n ? find_function(r, args, 0, false, &f) : map_attribute(r, args, &f)) ||
        !jrun_items(r, self, &items, &n) || !(v = jrun_alloc(r, n, sizeof *v)))
        return NULL;
    for (size_t i = 0; i < n; i++) {
        if (!jrun_step(r, 1))
            return NULL;
        v[i] = f.fn ? jrun_call_builtin(r, f.fn, items[i], &f.rest)
                    : jfilter_path(r, items[i], f.path, f.absent);
        if (!v[i])
            return NULL;
    }
    return jrun_list(r, JL_GENERATOR, v, n);
}

static const struct jval *choose(struct jrun *r, const struct jval *self, const struct jargs *args,
                                 bool by_attribute, bool keep)
{
    struct applied f = {0};
    const struct jval **items, **v;
    size_t n, kept = 0, at = by_attribute;
    if (!jval_truth(self))
        return jrun_list(r, JL_GENERATOR, NULL, 0);
    if (by_attribute && !args->n)
        return jrun_error(r, "missing parameter for attribute name");
    if (by_attribute)
        f.path = args->pos[0];
    if (args->n > at && !find_function(r, args, at, true, &f))
        return NULL;
    if (!jrun_items(r, self, &items, &n) || !(v = jrun_alloc(r, n, sizeof *v)))
        return NULL;
    for (size_t i = 0; i < n; i++) {
        const struct jval *pass = jfilter_path(r, items[i], f.path, NULL);
        if (pass && f.fn)
            pass = jrun_call_builtin(r, f.fn, pass, &f.rest);
        if (!pass || !jrun_step(r, 1))
            return NULL;
        if (jval_truth(pass) == keep)
            v[kept++] = items[i];
    }
    return jrun_list(r, JL_GENERATOR, v, kept);
}

FILTER(jfilter_select)
{
    return choose(r, self, args, false, true);
}

FILTER(jfilter_reject)
{
    return choose(r, self, args, false, false);
}

FILTER(jfilter_selectattr)
{
    return choose(r, self, args, true, true);
}

FILTER(jfilter_rejectattr)
{
    return choose(r, self, args, true, false);
}
