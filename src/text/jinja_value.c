/* Making values, maps with any hashable key, and Python's truth, equality, order and hash.
 *
 * Comparing walks nested values; their depth is bounded by what made them (the JSON reader's
 * depth or the evaluator's), and a ceiling here stops what is deeper. */
#include "text/jinja_value.h"
#include "base/hash.h"
#include "base/utf8.h"
#include <math.h>

enum {
    MAX_NESTING = 2500,
    MAX_COMPARED = 1 << 20, /* a list of lists of the same list has 2^depth elements */
};

const struct jval jval_true = {.kind = JV_BOOL, .b = true};
const struct jval jval_false = {.kind = JV_BOOL, .b = false};
const struct jval jval_none = {.kind = JV_NULL};

struct jval *jval_new(struct arena *a, enum jval_kind kind)
{
    struct jval *v = arena_alloc(a, sizeof *v);
    if (v)
        v->kind = (uint8_t)kind;
    return v;
}

struct jval *jval_null(struct arena *a)
{
    return jval_new(a, JV_NULL);
}

struct jval *jval_bool(struct arena *a, bool b)
{
    struct jval *v = jval_new(a, JV_BOOL);
    if (v)
        v->b = b;
    return v;
}

struct jval *jval_int(struct arena *a, int64_t i)
{
    struct jval *v = jval_new(a, JV_INT);
    if (v)
        v->i = i;
    return v;
}

struct jval *jval_float(struct arena *a, double f)
{
    struct jval *v = jval_new(a, JV_FLOAT);
    if (v)
        v->f = f;
    return v;
}

size_t jstr_count(const char *p, size_t n)
{
    size_t i = 0, chars = 0;
    uint64_t w;
    for (; n - i >= 8; i += 8) {
        memcpy(&w, p + i, 8);
        if (w & 0x8080808080808080u)
            break;
    }
    chars = i;
    while (i < n) {
        uint32_t cp;
        i += (size_t)utf8_decode(p + i, n - i, &cp);
        chars++;
    }
    return chars;
}

size_t jstr_offset(const struct jval *s, size_t i)
{
    if (s->s.chars == s->s.n)
        return i;
    size_t at = 0;
    for (uint32_t cp; i > 0 && at < s->s.n; i--)
        at += (size_t)utf8_decode(s->s.p + at, s->s.n - at, &cp);
    return at;
}

struct jval *jval_str_view(struct arena *a, const char *p, size_t n)
{
    struct jval *v = jval_new(a, JV_STRING);
    if (v) {
        v->s.p = p;
        v->s.n = n;
        v->s.chars = jstr_count(p, n);
    }
    return v;
}

struct jval *jval_str(struct arena *a, struct str s)
{
    char *p = arena_dup(a, s.p, s.n);
    return p ? jval_str_view(a, p, s.n) : NULL;
}

struct jval *jval_list(struct arena *a)
{
    return jval_new(a, JV_LIST);
}

struct jval *jval_list_of(struct arena *a, enum jval_list_type type, const struct jval **items,
                          size_t n)
{
    struct jval *v = jval_new(a, JV_LIST);
    if (!v)
        return NULL;
    v->sub = (uint8_t)type;
    v->list.v = items;
    v->list.n = v->list.cap = n;
    if (type == JL_GENERATOR && !(v->list.taken = arena_alloc(a, sizeof(bool))))
        return NULL;
    return v;
}

struct jval *jval_list_add(struct arena *a, struct jval *list, struct jval *v)
{
    if (!list || !v)
        return NULL;
    if (list->list.n == list->list.cap) {
        size_t cap = list->list.cap ? list->list.cap * 2 : 4;
        const struct jval **p = arena_array(a, cap, sizeof(struct jval *));
        if (!p)
            return NULL;
        if (list->list.n)
            memcpy(p, list->list.v, list->list.n * sizeof(struct jval *));
        list->list.v = p;
        list->list.cap = cap;
    }
    list->list.v[list->list.n++] = v;
    return list;
}

struct jval *jval_map(struct arena *a)
{
    struct jval *v = jval_new(a, JV_MAP);
    return v && (v->map = jmap_new(a)) ? v : NULL;
}

struct jval *jval_map_set(struct arena *a, struct jval *map, struct str key, struct jval *v)
{
    struct jval *k = map && v ? jval_str(a, key) : NULL;
    return k && jmap_set(a, map->map, k, v) ? map : NULL;
}

const struct jval *jval_map_get(const struct jval *map, struct str key)
{
    return map && map->kind == JV_MAP ? jmap_find_str(map->map, key) : NULL;
}

enum jval_kind jval_kind(const struct jval *v)
{
    return v ? (enum jval_kind)v->kind : JV_UNDEFINED;
}

/* ---- maps ---- */

enum { INDEX_FROM = 8 };

struct jmap *jmap_new(struct arena *a)
{
    return arena_alloc(a, sizeof(struct jmap));
}

static void index_put(struct jmap *m, uint32_t entry)
{
    size_t at = m->e[entry].hash & (m->n_index - 1);
    while (m->index[at])
        at = (at + 1) & (m->n_index - 1);
    m->index[at] = entry + 1;
}

static bool reindex(struct arena *a, struct jmap *m)
{
    size_t n = m->cap * 2;
    uint32_t *index = arena_array(a, n, sizeof *index);
    if (!index)
        return false;
    m->index = index;
    m->n_index = n;
    for (size_t i = 0; i < m->n; i++)
        index_put(m, (uint32_t)i);
    return true;
}

static bool grow(struct arena *a, struct jmap *m)
{
    size_t cap = m->cap ? m->cap * 2 : 4;
    if (cap > UINT32_MAX / 2)
        return false;
    struct jentry *e = arena_array(a, cap, sizeof *e);
    if (!e)
        return false;
    if (m->n)
        memcpy(e, m->e, m->n * sizeof *e);
    m->e = e;
    m->cap = cap;
    return cap <= INDEX_FROM || reindex(a, m);
}

static struct jentry *find_hashed(const struct jmap *m, const struct jval *key, uint64_t h)
{
    if (!m->n_index) {
        for (size_t i = 0; i < m->n; i++)
            if (m->e[i].hash == h && jval_equal(m->e[i].key, key))
                return &m->e[i];
        return NULL;
    }
    for (size_t at = h & (m->n_index - 1); m->index[at]; at = (at + 1) & (m->n_index - 1)) {
        struct jentry *e = &m->e[m->index[at] - 1];
        if (e->hash == h && jval_equal(e->key, key))
            return e;
    }
    return NULL;
}

bool jmap_set(struct arena *a, struct jmap *m, const struct jval *key, const struct jval *value)
{
    uint64_t h;
    if (!jval_hash(key, &h))
        return false;
    struct jentry *e = find_hashed(m, key, h);
    if (e) {
        e->value = value;
        return true;
    }
    if (m->n == m->cap && !grow(a, m))
        return false;
    m->e[m->n] = (struct jentry){key, value, h};
    if (m->n_index)
        index_put(m, (uint32_t)m->n);
    m->n++;
    return true;
}

const struct jval *jmap_find(const struct jmap *m, const struct jval *key)
{
    uint64_t h;
    const struct jentry *e = jval_hash(key, &h) ? find_hashed(m, key, h) : NULL;
    return e ? e->value : NULL;
}

const struct jval *jmap_find_str(const struct jmap *m, struct str key)
{
    struct jval k = {.kind = JV_STRING, .s = {key.p, key.n, 0}};
    return jmap_find(m, &k);
}

/* ---- truth, hash, equality, order ---- */

bool jval_truth(const struct jval *v)
{
    switch ((enum jval_kind)v->kind) {
    case JV_UNDEFINED:
    case JV_NULL: return false;
    case JV_BOOL: return v->b;
    case JV_INT: return v->i != 0;
    case JV_FLOAT: return v->f != 0;
    case JV_STRING: return v->s.n != 0;
    case JV_LIST: return v->sub == JL_GENERATOR || v->list.n != 0;
    case JV_MAP: return v->map->n != 0;
    case JV_CALLABLE:
    case JV_NAMESPACE: return true;
    }
    return true;
}

static uint64_t hash_number(const struct jval *v)
{
    double f = jval_number(v);
    int64_t i = v->kind == JV_FLOAT ? 0 : jval_integer(v);
    /* 1, 1.0 and True are one key */
    if (v->kind == JV_FLOAT) {
        if (f >= -0x1p63 && f < 0x1p63 && f == trunc(f))
            i = (int64_t)f;
        else
            memcpy(&i, &f, sizeof i);
    }
    return hash_mix((uint64_t)i ^ 0x9e3779b97f4a7c15u, 0xbf58476d1ce4e5b9u);
}

static bool hash_at(const struct jval *v, uint64_t *h, uint64_t *left)
{
    if (*left == 0)
        return false;
    --*left;
    switch ((enum jval_kind)v->kind) {
    case JV_STRING: *h = hash_bytes(v->s.p, v->s.n); return true;
    case JV_BOOL:
    case JV_INT:
    case JV_FLOAT: *h = hash_number(v); return true;
    case JV_NULL: *h = 0x6e6f6e65; return true;
    case JV_UNDEFINED: *h = 0x756e6465; return true;
    case JV_LIST:
        if (jval_is_tuple(v)) {
            uint64_t all = 0x7475706c, one;
            for (size_t i = 0; i < v->list.n; i++) {
                if (!hash_at(v->list.v[i], &one, left))
                    return false;
                all = hash_mix(all ^ one, 0x94d049bb133111ebu);
            }
            *h = all;
            return true;
        }
        if (v->sub == JL_LIST || v->sub == JL_KEYS || v->sub == JL_ITEMS)
            return false;
        *h = hash_bytes(&v, sizeof v);
        return true;
    case JV_MAP: return false;
    case JV_CALLABLE:
    case JV_NAMESPACE: *h = hash_bytes(&v, sizeof v); return true;
    }
    return false;
}

bool jval_hash(const struct jval *v, uint64_t *h)
{
    uint64_t left = MAX_COMPARED;
    return hash_at(v, h, &left);
}

static bool equal_at(const struct jval *a, const struct jval *b, int depth, uint64_t *left);

static bool equal_lists(const struct jval *a, const struct jval *b, int depth, uint64_t *left)
{
    bool tuples = jval_is_tuple(a) && jval_is_tuple(b);
    if (!tuples && (a->sub != b->sub || a->sub == JL_GENERATOR || a->sub == JL_VALUES))
        return false;
    if (a->list.n != b->list.n)
        return false;
    for (size_t i = 0; i < a->list.n; i++)
        if (!equal_at(a->list.v[i], b->list.v[i], depth, left))
            return false;
    return true;
}

static bool equal_maps(const struct jmap *a, const struct jmap *b, int depth, uint64_t *left)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        const struct jentry *other = find_hashed(b, a->e[i].key, a->e[i].hash);
        if (!other || !equal_at(a->e[i].value, other->value, depth, left))
            return false;
    }
    return true;
}

static bool equal_at(const struct jval *a, const struct jval *b, int depth, uint64_t *left)
{
    if (a == b)
        return a->kind != JV_FLOAT || a->f == a->f;
    if (depth > MAX_NESTING || *left == 0)
        return false;
    --*left;
    if (jval_is_number(a) && jval_is_number(b)) {
        int order;
        return jval_compare(a, b, &order) && order == 0;
    }
    if (a->kind != b->kind)
        return false;
    switch ((enum jval_kind)a->kind) {
    case JV_STRING: return a->s.n == b->s.n && !memcmp(a->s.p, b->s.p, a->s.n);
    case JV_NULL:
    case JV_UNDEFINED: return true;
    case JV_LIST: return equal_lists(a, b, depth + 1, left);
    case JV_MAP: return equal_maps(a->map, b->map, depth + 1, left);
    case JV_CALLABLE:
        return a->sub == JC_METHOD && b->sub == JC_METHOD && a->call->fn == b->call->fn &&
               a->call->self == b->call->self;
    case JV_NAMESPACE:
    case JV_BOOL:
    case JV_INT:
    case JV_FLOAT: break;
    }
    return false;
}

bool jval_equal_within(const struct jval *a, const struct jval *b, uint64_t *left)
{
    return equal_at(a, b, 0, left);
}

bool jval_equal(const struct jval *a, const struct jval *b)
{
    uint64_t left = MAX_COMPARED;
    return equal_at(a, b, 0, &left);
}

/* An int against a double exactly, as Python does: 2**53 + 1 is not 2.0**53. */
static int compare_int_float(int64_t i, double f)
{
    if (f != f)
        return 2;
    if (f >= 0x1p63)
        return -1;
    if (f < -0x1p63)
        return 1;
    int64_t whole = (int64_t)f;
    if (i != whole)
        return i < whole ? -1 : 1;
    double rest = f - (double)whole;
    return rest > 0 ? -1 : rest < 0;
}

static int compare_numbers(const struct jval *a, const struct jval *b)
{
    if (a->kind == JV_FLOAT && b->kind == JV_FLOAT)
        return a->f < b->f ? -1 : a->f > b->f ? 1 : a->f == b->f ? 0 : 2;
    if (a->kind == JV_FLOAT) {
        int c = compare_int_float(jval_integer(b), a->f);
        return c == 2 ? 2 : -c;
    }
    if (b->kind == JV_FLOAT)
        return compare_int_float(jval_integer(a), b->f);
    int64_t x = jval_integer(a), y = jval_integer(b);
    return (x > y) - (x < y);
}

static bool compare_at(const struct jval *a, const struct jval *b, int *order, int depth)
{
    if (depth > MAX_NESTING)
        return false;
    if (jval_is_number(a) && jval_is_number(b)) {
        *order = compare_numbers(a, b);
        return true;
    }
    if (a->kind == JV_STRING && b->kind == JV_STRING) {
        size_t n = a->s.n < b->s.n ? a->s.n : b->s.n;
        int c = n ? memcmp(a->s.p, b->s.p, n) : 0; /* the order of UTF-8 is that of code points */
        *order = c ? c : (a->s.n > b->s.n) - (a->s.n < b->s.n);
        return true;
    }
    bool lists =
        a->kind == JV_LIST && b->kind == JV_LIST &&
        ((jval_is_tuple(a) && jval_is_tuple(b)) || (a->sub == JL_LIST && b->sub == JL_LIST));
    if (!lists)
        return false;
    for (size_t i = 0; i < a->list.n && i < b->list.n; i++)
        if (!jval_equal(a->list.v[i], b->list.v[i]))
            return compare_at(a->list.v[i], b->list.v[i], order, depth + 1);
    *order = (a->list.n > b->list.n) - (a->list.n < b->list.n);
    return true;
}

bool jval_compare(const struct jval *a, const struct jval *b, int *order)
{
    return compare_at(a, b, order, 0);
}

static const char *const list_names[] = {
    [JL_LIST] = "list",          [JL_TUPLE] = "tuple",         [JL_GROUP] = "_GroupTuple",
    [JL_RANGE] = "range",        [JL_GENERATOR] = "generator", [JL_KEYS] = "dict_keys",
    [JL_VALUES] = "dict_values", [JL_ITEMS] = "dict_items",
};

static const char *const callable_names[] = {
    [JC_FUNCTION] = "function", [JC_METHOD] = "builtin_function_or_method",
    [JC_MACRO] = "Macro",       [JC_LOOP] = "LoopContext",
    [JC_CYCLER] = "Cycler",     [JC_JOINER] = "Joiner",
};

const char *jval_type_name(const struct jval *v)
{
    static const char *const names[] = {
        [JV_UNDEFINED] = "Undefined",
        [JV_NULL] = "NoneType",
        [JV_BOOL] = "bool",
        [JV_INT] = "int",
        [JV_FLOAT] = "float",
        [JV_STRING] = "str",
        [JV_MAP] = "dict",
        [JV_NAMESPACE] = "Namespace",
    };
    if (v->kind == JV_LIST)
        return list_names[v->sub];
    if (v->kind == JV_CALLABLE)
        return callable_names[v->sub];
    return v->kind == JV_STRING && v->safe ? "Markup" : names[v->kind];
}
