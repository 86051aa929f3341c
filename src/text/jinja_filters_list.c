/* Filters on sequences and mappings. */
#include "text/jinja_filters.h"
#include "text/jinja_methods.h"
#include "base/utf8.h"
#include "text/pystr.h"

#define FILTER(name)                                                                               \
    const struct jval *name(struct jrun *r, const struct jval *self, const struct jargs *args)

FILTER(jfilter_length)
{
    size_t n;
    (void)args;
    return jrun_length(r, self, &n) ? jrun_int(r, (int64_t)n) : NULL;
}

FILTER(jfilter_list)
{
    const struct jval **v;
    size_t n;
    (void)args;
    return jrun_items(r, self, &v, &n) ? jrun_list(r, JL_LIST, v, n) : NULL;
}

FILTER(jfilter_first)
{
    const struct jval **v;
    size_t n;
    (void)args;
    if (!jrun_items(r, self, &v, &n))
        return NULL;
    return n ? v[0] : jrun_undefined(r, "no first item, sequence was empty");
}

FILTER(jfilter_last)
{
    const struct jval **v;
    size_t n;
    (void)args;
    if (self->kind == JV_LIST && self->sub == JL_GENERATOR)
        return jrun_error(r, "'generator' object is not reversible");
    if (!jrun_items(r, self, &v, &n))
        return NULL;
    return n ? v[n - 1] : jrun_undefined(r, "no last item, sequence was empty");
}

static const struct jval *reversed_string(struct jrun *r, const struct jval *s)
{
    static const struct jval minus_one = {.kind = JV_INT, .i = -1};
    return jrun_slice(r, s, &jval_none, &jval_none, &minus_one);
}

FILTER(jfilter_reverse)
{
    const struct jval **items, **v;
    size_t n;
    (void)args;
    if (self->kind == JV_STRING)
        return reversed_string(r, self);
    if (!jrun_items(r, self, &items, &n) || !(v = jrun_alloc(r, n, sizeof *v)))
        return NULL;
    for (size_t i = 0; i < n; i++)
        v[i] = items[n - 1 - i];
    return jrun_list(r, JL_GENERATOR, v, n);
}

FILTER(jfilter_join)
{
    const struct jval **items;
    size_t n;
    struct str d = STR("");
    struct buf b;
    if ((args->pos[0] && !jrun_text(r, args->pos[0], &d)) || !jrun_items(r, self, &items, &n) ||
        !jrun_step(r, n))
        return NULL;
    jrun_buf(r, &b);
    for (size_t i = 0; i < n; i++) {
        const struct jval *v = jfilter_path(r, items[i], args->pos[1], NULL);
        if (!v) {
            buf_release(&b);
            return NULL;
        }
        if (i)
            buf_addstr(&b, d);
        jval_print(&b, v);
    }
    return jrun_take(r, &b);
}

FILTER(jfilter_items)
{
    bool unsafe;
    struct jargs none = {0};
    (void)args;
    if (self->kind == JV_UNDEFINED)
        return jrun_list(r, JL_GENERATOR, NULL, 0);
    if (self->kind != JV_MAP)
        return jrun_error(r, "can only get item pairs from a mapping");
    const struct jval *v = jinja_find_method(self, STR("items"), &unsafe)->fn(r, self, &none);
    return v ? jrun_list(r, JL_GENERATOR, v->list.v, v->list.n) : NULL;
}

/* ---- batch, slice ---- */

static const struct jval *filled(struct jrun *r, const struct jval **items, size_t n, size_t want,
                                 const struct jval *fill)
{
    bool fills = fill && fill->kind != JV_NULL && n < want;
    const struct jval **v = jrun_alloc(r, fills ? want : n, sizeof *v);
    if (!v || !jrun_step(r, fills ? want : n))
        return NULL;
    if (n)
        memcpy(v, items, n * sizeof *v);
    for (; fills && n < want; n++)
        v[n] = fill;
    return jrun_list(r, JL_LIST, v, n);
}

FILTER(jfilter_batch)
{
    const struct jval **items, **v;
    size_t n, k = 0;
    int64_t count;
    if (!jarg_int(r, args->pos[0], 0, &count) || !jrun_items(r, self, &items, &n))
        return NULL;
    if (count < 1)
        return jrun_error(r, "batch: expected a positive number of items, got %lld",
                          (long long)count);
    if (!(v = jrun_alloc(r, n, sizeof *v)))
        return NULL;
    for (size_t i = 0; i < n; k++) {
        size_t rest = n - i, take = (uint64_t)count < rest ? (size_t)count : rest;
        if (!(v[k] = filled(r, items + i, take, (size_t)count, args->pos[1])))
            return NULL;
        i += take;
    }
    return jrun_list(r, JL_GENERATOR, v, k);
}

FILTER(jfilter_slice)
{
    const struct jval **items, **v;
    size_t n, at = 0;
    int64_t slices;
    if (!jarg_int(r, args->pos[0], 0, &slices) || !jrun_items(r, self, &items, &n))
        return NULL;
    if (slices < 1)
        return jrun_error(r, "slice: expected a positive number of slices, got %lld",
                          (long long)slices);
    size_t s = (size_t)slices, each = n / s, longer = n % s;
    if (!(v = jrun_alloc(r, s, sizeof *v)) || !jrun_step(r, s))
        return NULL;
    for (size_t i = 0; i < s; i++) {
        size_t take = each + (i < longer);
        if (!(v[i] = filled(r, items + at, take, take + (i >= longer), args->pos[1])))
            return NULL;
        at += take;
    }
    return jrun_list(r, JL_GENERATOR, v, s);
}

/* ---- sorting ---- */

const struct jval *jfilter_key(struct jrun *r, const struct jval *v, bool case_sensitive)
{
    if (case_sensitive || v->kind != JV_STRING)
        return v;
    struct jargs none = {0};
    return jstr_method(STR("lower"))->fn(r, v, &none);
}

struct sortable {
    const struct jval *key, *value;
    bool boxed; /* the key is in a list of its own */
};

/* Is a to stand strictly before b? False on an error too, which r->status tells. The keys of
 * sort are lists in Python, which compare by < only behind what is equal: that orders undefined
 * values and maps that have no order among themselves. */
static bool before(struct jrun *r, const struct sortable *a, const struct sortable *b)
{
    bool yes = false;
    if (a->boxed && (!jrun_equal(r, a->key, b->key, &yes) || yes))
        return false;
    return jrun_step(r, 1) && jrun_compare(r, OP_LT, a->key, b->key, &yes) && yes;
}

/* A stable merge sort, as Python's: equal items keep their order, reversed or not. */
static bool merge_sort(struct jrun *r, struct sortable *v, size_t n, bool reverse)
{
    struct sortable *from = v, *to = jrun_alloc(r, n, sizeof *to), *swap;
    if (!to)
        return false;
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t lo = 0; lo < n; lo += 2 * width) {
            size_t mid = lo + width < n ? lo + width : n, hi = mid + width < n ? mid + width : n;
            for (size_t a = lo, b = mid, k = lo; k < hi; k++) {
                bool right = a == mid;
                if (a < mid && b < hi)
                    right = reverse ? before(r, &from[a], &from[b]) : before(r, &from[b], &from[a]);
                to[k] = right ? from[b++] : from[a++];
            }
            if (r->status != OK)
                return false;
        }
        swap = from;
        from = to;
        to = swap;
    }
    if (from != v)
        memcpy(v, from, n * sizeof *v);
    return true;
}

static struct sortable *sortables(struct jrun *r, const struct jval **items, size_t n,
                                  const struct jval *attribute, const struct jval *absent,
                                  bool case_sensitive)
{
    struct sortable *v = jrun_alloc(r, n, sizeof *v);
    for (size_t i = 0; v && i < n; i++) {
        v[i].value = items[i];
        v[i].key = jfilter_path(r, items[i], attribute, absent);
        if (!v[i].key || !(v[i].key = jfilter_key(r, v[i].key, case_sensitive)) || !jrun_step(r, 1))
            return NULL;
    }
    return v;
}

/* Keys of several attributes, "a,b": lists of keys. */
static struct sortable *multi_sortables(struct jrun *r, const struct jval **items, size_t n,
                                        struct str attributes, bool case_sensitive)
{
    struct sortable *v = jrun_alloc(r, n, sizeof *v);
    for (size_t i = 0; v && i < n; i++) {
        struct jval *key = jval_list(&r->arena);
        struct str rest = attributes;
        for (bool more = true; more;) {
            const char *comma = memchr(rest.p, ',', rest.n);
            struct str part = comma ? str_slice(rest, 0, (size_t)(comma - rest.p)) : rest;
            const struct jval *path = jrun_view(r, part);
            const struct jval *one = path ? jfilter_path(r, items[i], path, NULL) : NULL;
            if (!one || !(one = jfilter_key(r, one, case_sensitive)))
                return NULL;
            struct jval *copy = jval_new(&r->arena, JV_NULL);
            if (copy)
                *copy = *one;
            if (!jval_list_add(&r->arena, key, copy))
                return jrun_no_memory(r), NULL;
            more = comma != NULL;
            rest = more ? str_slice(rest, part.n + 1, rest.n) : rest;
        }
        v[i] = (struct sortable){.key = key, .value = items[i]};
    }
    return v;
}

static const struct jval *sorted(struct jrun *r, struct sortable *v, size_t n, bool reverse)
{
    const struct jval **out;
    if (!v || !merge_sort(r, v, n, reverse) || !(out = jrun_alloc(r, n, sizeof *out)))
        return NULL;
    for (size_t i = 0; i < n; i++)
        out[i] = v[i].value;
    return jrun_list(r, JL_LIST, out, n);
}

FILTER(jfilter_sort)
{
    const struct jval **items, *attribute = args->pos[2];
    size_t n;
    bool sensitive = jarg_truth(args->pos[1], false);
    if (!jrun_items(r, self, &items, &n))
        return NULL;
    struct sortable *v;
    if (attribute && attribute->kind == JV_STRING && memchr(attribute->s.p, ',', attribute->s.n))
        v = multi_sortables(r, items, n, jval_text(attribute), sensitive);
    else
        v = sortables(r, items, n, attribute, NULL, sensitive);
    for (size_t i = 0; v && i < n; i++)
        v[i].boxed = true;
    return sorted(r, v, n, jarg_truth(args->pos[0], false));
}

FILTER(jfilter_dictsort)
{
    bool sensitive = jarg_truth(args->pos[0], false), unsafe;
    struct str by = STR("key");
    struct jargs none = {0};
    if (args->pos[1] && !jarg_text(r, args->pos[1], "dictsort: by", &by))
        return NULL;
    if (!str_is(by, "key") && !str_is(by, "value"))
        return jrun_error(r, "you can only sort by either \"key\" or \"value\"");
    if (self->kind == JV_UNDEFINED)
        return jrun_use_undefined(r, self);
    if (self->kind != JV_MAP)
        return jrun_error(r, "dictsort: expected a dict, got %s", jval_type_name(self));
    const struct jval *pairs = jinja_find_method(self, STR("items"), &unsafe)->fn(r, self, &none);
    if (!pairs)
        return NULL;
    struct jval index = {.kind = JV_INT, .i = str_is(by, "value")};
    struct sortable *v = sortables(r, pairs->list.v, pairs->list.n, &index, NULL, sensitive);
    return sorted(r, v, pairs->list.n, jarg_truth(args->pos[2], false));
}

FILTER(jfilter_groupby)
{
    const struct jval **items, **groups, **members, *attribute = args->pos[0];
    size_t n, n_groups = 0;
    bool sensitive = jarg_truth(args->pos[2], false);
    struct sortable *v;
    if (!jrun_items(r, self, &items, &n) ||
        !(v = sortables(r, items, n, attribute, args->pos[1], sensitive)) ||
        !merge_sort(r, v, n, false) || !(groups = jrun_alloc(r, n, sizeof *groups)))
        return NULL;
    for (size_t i = 0, end; i < n; i = end) {
        end = i + 1;
        while (end < n && jval_equal(v[i].key, v[end].key))
            end++;
        const struct jval **pair = jrun_alloc(r, 2, sizeof *pair);
        if (!(members = jrun_alloc(r, end - i, sizeof *members)) || !pair)
            return NULL;
        for (size_t k = i; k < end; k++)
            members[k - i] = v[k].value;
        pair[0] = jfilter_path(r, v[i].value, attribute, args->pos[1]);
        pair[1] = jrun_list(r, JL_LIST, members, end - i);
        if (!pair[0] || !pair[1] || !(groups[n_groups++] = jrun_list(r, JL_GROUP, pair, 2)))
            return NULL;
    }
    return jrun_list(r, JL_LIST, groups, n_groups);
}

FILTER(jfilter_unique)
{
    const struct jval **items, **out;
    size_t n, kept = 0;
    uint64_t h;
    struct jmap *seen = jmap_new(&r->arena);
    struct sortable *v;
    if (!seen)
        return jrun_no_memory(r);
    if (!jrun_items(r, self, &items, &n) ||
        !(v = sortables(r, items, n, args->pos[1], NULL, jarg_truth(args->pos[0], false))) ||
        !(out = jrun_alloc(r, n, sizeof *out)))
        return NULL;
    for (size_t i = 0; i < n; i++) {
        if (!jval_hash(v[i].key, &h))
            return jrun_error(r, "unhashable type: '%s'", jval_type_name(v[i].key));
        if (jmap_find(seen, v[i].key))
            continue;
        if (!jmap_set(&r->arena, seen, v[i].key, v[i].key))
            return jrun_no_memory(r);
        out[kept++] = items[i];
    }
    return jrun_list(r, JL_GENERATOR, out, kept);
}

static const struct jval *extreme(struct jrun *r, const struct jval *self, const struct jargs *args,
                                  bool largest)
{
    const struct jval **items;
    size_t n;
    struct sortable *v;
    if (!jrun_items(r, self, &items, &n) ||
        !(v = sortables(r, items, n, args->pos[1], NULL, jarg_truth(args->pos[0], false))))
        return NULL;
    if (!n)
        return jrun_undefined(r, "no aggregated item, sequence was empty");
    const struct sortable *best = v;
    for (size_t i = 1; i < n; i++) {
        if (largest ? before(r, best, &v[i]) : before(r, &v[i], best))
            best = &v[i];
        if (r->status != OK)
            return NULL;
    }
    return best->value;
}

FILTER(jfilter_max)
{
    return extreme(r, self, args, true);
}

FILTER(jfilter_min)
{
    return extreme(r, self, args, false);
}

FILTER(jfilter_sum)
{
    const struct jval **items, *total = args->pos[1] ? args->pos[1] : jrun_int(r, 0);
    size_t n;
    if (!total || !jrun_items(r, self, &items, &n))
        return NULL;
    if (total->kind == JV_STRING)
        return jrun_error(r, "sum() can't sum strings");
    for (size_t i = 0; total && i < n; i++) {
        const struct jval *v = jfilter_path(r, items[i], args->pos[0], NULL);
        total = v && jrun_step(r, 1) ? jrun_binary(r, OP_ADD, total, v) : NULL;
    }
    return total;
}
