/* What every template can call: one row each. lipsum of Jinja is left out (random text). */
#include "text/jinja_run.h"
#include <time.h>

static const struct jval *g_range(struct jrun *r, const struct jval *self, const struct jargs *args)
{
    int64_t v[3] = {0, 0, 1}, span;
    (void)self;
    for (size_t i = 0; i < 3; i++)
        if (!jarg_int(r, args->pos[i], v[i], &v[i]))
            return NULL;
    if (!args->pos[1]) {
        v[1] = v[0];
        v[0] = 0;
    }
    if (v[2] == 0)
        return jrun_error(r, "range() arg 3 must not be zero");
    if (__builtin_sub_overflow(v[1], v[0], &span))
        return jrun_error(r, "range too big, the limit is %d", MAX_RANGE);
    uint64_t width = v[2] > 0 ? (uint64_t)v[2] : 0 - (uint64_t)v[2], n = 0;
    if ((span > 0) == (v[2] > 0) && span != 0)
        n = ((span > 0 ? (uint64_t)span : 0 - (uint64_t)span) + width - 1) / width;
    if (n > MAX_RANGE)
        return jrun_error(r, "range too big, the limit is %d", MAX_RANGE);
    const struct jval **items = jrun_alloc(r, n, sizeof *items);
    int64_t *range = jrun_alloc(r, 3, sizeof *range);
    if (!items || !range || !jrun_step(r, n / 8))
        return NULL;
    for (uint64_t i = 0; i < n; i++)
        if (!(items[i] = jrun_int(r, v[0] + (int64_t)i * v[2])))
            return NULL;
    struct jval *out = jval_list_of(&r->arena, JL_RANGE, items, n);
    if (!out)
        return jrun_no_memory(r);
    memcpy(range, v, sizeof v);
    out->list.range = range;
    return out;
}

/* dict(mapping or pairs, **more) into m. */
static bool fill_map(struct jrun *r, struct jmap *m, const struct jargs *args)
{
    const struct jval **items, **pair;
    size_t n, two;
    uint64_t h;
    if (args->n > 1)
        return jrun_error(r, "dict expected at most 1 argument, got %zu", args->n), false;
    const struct jval *from = args->n ? args->pos[0] : NULL;
    for (size_t i = 0; from && from->kind == JV_MAP && i < from->map->n; i++)
        if (!jmap_set(&r->arena, m, from->map->e[i].key, from->map->e[i].value))
            return jrun_no_memory(r), false;
    if (from && from->kind != JV_MAP) {
        if (!jrun_items(r, from, &items, &n))
            return false;
        for (size_t i = 0; i < n; i++) {
            if (!jrun_items(r, items[i], &pair, &two))
                return false;
            if (two != 2)
                return jrun_error(r,
                                  "dictionary update sequence element #%zu has length %zu; 2 is "
                                  "required",
                                  i, two),
                       false;
            if (!jval_hash(pair[0], &h))
                return jrun_error(r, "unhashable type: '%s'", jval_type_name(pair[0])), false;
            if (!jmap_set(&r->arena, m, pair[0], pair[1]))
                return jrun_no_memory(r), false;
        }
    }
    for (size_t k = 0; k < args->n_kw; k++) {
        const struct jval *key = jrun_view(r, args->kw[k].name);
        if (!key || !jmap_set(&r->arena, m, key, args->kw[k].value))
            return jrun_no_memory(r), false;
    }
    return true;
}

static const struct jval *g_dict(struct jrun *r, const struct jval *self, const struct jargs *args)
{
    struct jval *v = jval_map(&r->arena);
    (void)self;
    if (!v)
        return jrun_no_memory(r);
    return fill_map(r, v->map, args) ? v : NULL;
}

static const struct jval *g_namespace(struct jrun *r, const struct jval *self,
                                      const struct jargs *args)
{
    struct jval *v = jval_map(&r->arena);
    (void)self;
    if (!v)
        return jrun_no_memory(r);
    v->kind = JV_NAMESPACE;
    return fill_map(r, v->map, args) ? v : NULL;
}

static const struct jval *stateful(struct jrun *r, enum jval_callable_type type,
                                   const struct jval **items, size_t n)
{
    struct jval *v = jval_new(&r->arena, JV_CALLABLE);
    if (!v || !(v->call = jrun_alloc(r, 1, sizeof *v->call)) ||
        !(v->call->pos = jrun_alloc(r, 1, sizeof *v->call->pos)))
        return jrun_no_memory(r);
    v->sub = (uint8_t)type;
    v->call->items.v = items;
    v->call->items.n = n;
    return v;
}

static const struct jval *g_cycler(struct jrun *r, const struct jval *self,
                                   const struct jargs *args)
{
    (void)self;
    if (!args->n)
        return jrun_error(r, "at least one item has to be provided");
    return stateful(r, JC_CYCLER, args->pos, args->n);
}

static const struct jval *g_joiner(struct jrun *r, const struct jval *self,
                                   const struct jargs *args)
{
    const struct jval **sep = jrun_alloc(r, 1, sizeof *sep);
    (void)self;
    if (!sep || !(sep[0] = args->pos[0] ? args->pos[0] : jrun_view(r, STR(", "))))
        return NULL;
    return stateful(r, JC_JOINER, sep, 1);
}

static const struct jval *g_raise(struct jrun *r, const struct jval *self, const struct jargs *args)
{
    struct str words;
    (void)self;
    if (!jrun_text(r, args->pos[0], &words))
        return NULL;
    return jrun_fail(r, EFAIL, "%.*s", STR_ARG(words));
}

/* A naive local time has no zone and no fractions: what Python's strftime prints for %z, %Z and
 * %f, which the C library does not know or fills. */
static void plain_format(struct buf *out, struct str f)
{
    for (size_t i = 0; i < f.n; i++) {
        if (f.p[i] != '%' || i + 1 == f.n) {
            buf_addc(out, f.p[i]);
            continue;
        }
        char c = f.p[++i];
        if (c == 'f')
            buf_adds(out, "000000");
        else if (c != 'z' && c != 'Z')
            buf_printf(out, "%%%c", c);
    }
}

static const struct jval *g_strftime(struct jrun *r, const struct jval *self,
                                     const struct jargs *args)
{
    enum { MAX_TIME_TEXT = 4096 };
    struct buf format;
    struct str f;
    struct tm tm;
    time_t now = (time_t)r->now;
    char *text = jrun_alloc(r, MAX_TIME_TEXT, 1);
    (void)self;
    if (!text || !jarg_text(r, args->pos[0], "strftime_now() argument", &f))
        return NULL;
    if (!localtime_r(&now, &tm))
        return jrun_error(r, "the time %lld has no calendar date", (long long)r->now);
    buf_init(&format, MAX_TIME_TEXT);
    plain_format(&format, f);
    buf_addc(&format, '.'); /* an empty result is no failure */
    size_t n = 0;
    if (!format.failed && !memchr(f.p, 0, f.n)) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        n = strftime(text, MAX_TIME_TEXT, format.p, &tm);
#pragma GCC diagnostic pop
    }
    buf_release(&format);
    if (!n)
        return jrun_error(r, "strftime_now: the text is longer than %d bytes", MAX_TIME_TEXT);
    return jrun_view(r, (struct str){text, n - 1});
}

static const struct jbuiltin globals[] = {
    {.name = "range", .fn = g_range, .params = {"start", "stop", "step"}, .required = 1},
    {.name = "dict", .fn = g_dict, .any = true},
    {.name = "namespace", .fn = g_namespace, .any = true},
    {.name = "cycler", .fn = g_cycler, .any = true},
    {.name = "joiner", .fn = g_joiner, .params = {"sep"}},
    {.name = "raise_exception", .fn = g_raise, .params = {"message"}, .required = 1},
    {.name = "strftime_now", .fn = g_strftime, .params = {"format"}, .required = 1},
};

const struct jbuiltin *jinja_find_global(struct str name)
{
    for (size_t i = 0; i < sizeof globals / sizeof *globals; i++)
        if (str_is(name, globals[i].name))
            return &globals[i];
    return NULL;
}
