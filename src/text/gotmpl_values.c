/* Comparing, indexing and ordering values as Go templates do. */
#include "text/gotmpl_run.h"
#include <stdlib.h>

/* Numbers of different kinds: an error between Go's own types, but a number of the context was
 * JSON, which does not say whether it is an int. */
static bool mixed_numbers(const struct jval *a, const struct jval *b)
{
    bool numbers =
        (a->kind == JV_INT || a->kind == JV_FLOAT) && (b->kind == JV_INT || b->kind == JV_FLOAT);
    return numbers && a->kind != b->kind && !(a->go & b->go & GO_TYPED);
}

bool gval_equal(struct grun *r, const struct jval *a, const struct jval *b, bool *out)
{
    bool nil = gval_is_nil(a) || gval_is_nil(b);
    *out = gval_is_nil(a) && gval_is_nil(b);
    if (nil)
        return true;
    if (a->kind != b->kind && !mixed_numbers(a, b)) {
        grun_error(r, "incompatible types for comparison");
        return false;
    }
    if (a->kind == JV_LIST || a->kind == JV_MAP) {
        grun_error(r, "non-comparable types %s and %s", gval_type(a), gval_type(b));
        return false;
    }
    *out = jval_equal(a, b);
    return true;
}

bool gval_less(struct grun *r, const struct jval *a, const struct jval *b, bool *out)
{
    bool basic = true;
    int order = 0;
    for (int i = 0; i < 2; i++) {
        enum jval_kind k = (enum jval_kind)(i ? b : a)->kind;
        basic = basic && (k == JV_BOOL || k == JV_INT || k == JV_FLOAT || k == JV_STRING);
    }
    if (!basic || (a->kind == JV_BOOL && b->kind == JV_BOOL))
        grun_error(r, "invalid type for comparison");
    else if (a->kind != b->kind && !mixed_numbers(a, b))
        grun_error(r, "incompatible types for comparison");
    else if (jval_compare(a, b, &order))
        *out = order < 0;
    else
        grun_error(r, "invalid type for comparison");
    return r->status == OK;
}

static int by_key(const void *a, const void *b)
{
    const struct jentry *x = a, *y = b;
    int order = 0;
    jval_compare(x->key, y->key, &order);
    return order;
}

const struct jentry *gval_entries(struct grun *r, const struct jval *map)
{
    const struct jmap *m = map->map;
    bool sorted = true;
    if (map->go & GO_STRUCT)
        return m->e;
    for (size_t i = 1; i < m->n && sorted; i++)
        sorted = by_key(&m->e[i - 1], &m->e[i]) < 0;
    if (!grun_step(r, m->n))
        return NULL;
    if (sorted)
        return m->e;
    struct jentry *e = grun_alloc(r, m->n, sizeof *e);
    if (!e)
        return NULL;
    memcpy(e, m->e, m->n * sizeof *e);
    qsort(e, m->n, sizeof *e, by_key);
    return e;
}

/* ---- index and slice ---- */

static bool position(struct grun *r, const struct jval *v, size_t most, size_t *out)
{
    if (v->kind != JV_INT) {
        grun_error(r,
                   gval_is_nil(v) ? "cannot index slice/array with nil"
                                  : "cannot index slice/array with type %s",
                   gval_type(v));
        return false;
    }
    if (v->i < 0 || (uint64_t)v->i > most) {
        grun_error(r, "index out of range: %lld", (long long)v->i);
        return false;
    }
    *out = (size_t)v->i;
    return true;
}

static const struct jval *index_one(struct grun *r, const struct jval *v, const struct jval *key)
{
    size_t i, n = v->kind == JV_STRING ? v->s.n : v->kind == JV_LIST ? v->list.n : 0;
    switch ((enum jval_kind)v->kind) {
    case JV_STRING:
    case JV_LIST:
        if (!position(r, key, n ? n - 1 : 0, &i))
            return NULL;
        if (i >= n)
            return grun_error(r, "index out of range: %zu", i);
        return v->kind == JV_LIST ? v->list.v[i] : grun_int(r, (unsigned char)v->s.p[i]);
    case JV_MAP: {
        if (v->go & GO_STRUCT)
            break;
        if (key->kind != JV_STRING)
            return grun_error(r, "value has type %s; should be string", gval_type(key));
        const struct jval *found = jmap_find_str(v->map, jval_text(key));
        return found ? found : &jval_none;
    }
    case JV_NULL:
    case JV_UNDEFINED: return grun_error(r, "index of nil pointer");
    default: break;
    }
    return grun_error(r, "can't index item of type %s", gval_type(v));
}

const struct jval *gfunc_index(struct grun *r, const struct jval *const *v, size_t n)
{
    const struct jval *item = v[0];
    if (gval_is_nil(item))
        return grun_error(r, "index of untyped nil");
    for (size_t i = 1; item && i < n; i++)
        item = index_one(r, item, v[i]);
    return item;
}

const struct jval *gfunc_slice(struct grun *r, const struct jval *const *v, size_t n)
{
    const struct jval *item = v[0];
    size_t at[3] = {0};
    if (gval_is_nil(item))
        return grun_error(r, "slice of untyped nil");
    if (n > 4)
        return grun_error(r, "too many slice indexes: %zu", n - 1);
    if (item->kind == JV_STRING && n == 4)
        return grun_error(r, "cannot 3-index slice a string");
    if (item->kind != JV_STRING && item->kind != JV_LIST)
        return grun_error(r, "can't slice item of type %s", gval_type(item));
    size_t size = item->kind == JV_STRING ? item->s.n : item->list.n;
    at[1] = size;
    for (size_t i = 1; i < n; i++)
        if (!position(r, v[i], size, &at[i - 1]))
            return NULL;
    if (at[0] > at[1] || (n == 4 && at[1] > at[2]))
        return grun_error(r, "invalid slice index: %zu > %zu", at[0] > at[1] ? at[0] : at[1],
                          at[0] > at[1] ? at[1] : at[2]);
    if (item->kind == JV_STRING)
        return grun_made(r, jval_str_view(&r->arena, item->s.p + at[0], at[1] - at[0]));
    struct jval *list =
        jval_list_of(&r->arena, JL_LIST, item->list.v ? item->list.v + at[0] : NULL, at[1] - at[0]);
    if (list)
        list->go = item->go & (uint8_t) ~(GO_NIL | GO_ALONE);
    return grun_made(r, list);
}
