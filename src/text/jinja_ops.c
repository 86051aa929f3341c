/* Python's operators on values: arithmetic, comparison, membership, attributes, items, slices,
 * iteration.
 *
 * Integers have 64 bits; a result that does not fit is an error (Python's grow without limit). */
#include "text/jinja_run.h"
#include "base/utf8.h"
#include <math.h>

const struct jval *jrun_use_undefined(struct jrun *r, const struct jval *v)
{
    if (v->u.hint.p)
        return jrun_error(r, "%.*s", STR_ARG(v->u.hint));
    if (!v->u.obj)
        return jrun_error(r, "'%.*s' is undefined", STR_ARG(jval_text(v->u.name)));
    const char *type = v->u.obj->kind == JV_NULL ? "None" : jval_type_name(v->u.obj);
    const char *object = v->u.obj->kind == JV_NULL ? "" : " object";
    if (v->u.unsafe)
        return jrun_error(r, "access to attribute '%.*s' of '%s' object is unsafe",
                          STR_ARG(jval_text(v->u.name)), type);
    if (v->u.name->kind == JV_STRING)
        return jrun_error(r, "'%s%s' has no attribute '%.*s'", type, object,
                          STR_ARG(jval_text(v->u.name)));
    struct buf name;
    buf_init(&name, 200);
    jval_repr(&name, v->u.name);
    jrun_error(r, "%s%s has no element %.*s", type, object, STR_ARG(buf_str(&name)));
    buf_release(&name);
    return NULL;
}

/* ---- arithmetic ---- */

static const char *const op_names[] = {
    [OP_ADD] = "+",       [OP_SUB] = "-", [OP_MUL] = "*",           [OP_DIV] = "/",
    [OP_FLOORDIV] = "//", [OP_MOD] = "%", [OP_POW] = "** or pow()", [OP_EQ] = "==",
    [OP_NE] = "!=",       [OP_LT] = "<",  [OP_LE] = "<=",           [OP_GT] = ">",
    [OP_GE] = ">=",
};

static const struct jval *overflow(struct jrun *r, enum jop op)
{
    return jrun_error(r, "result of %s does not fit a 64-bit integer", op_names[op]);
}

static const struct jval *int_power(struct jrun *r, int64_t base, int64_t exp)
{
    int64_t out = 1;
    if (exp < 0) {
        if (!base)
            return jrun_error(r, "0.0 cannot be raised to a negative power");
        return jrun_float(r, pow((double)base, (double)exp));
    }
    for (; exp; exp >>= 1) {
        if ((exp & 1) && __builtin_mul_overflow(out, base, &out))
            return overflow(r, OP_POW);
        if (exp > 1 && __builtin_mul_overflow(base, base, &base))
            return overflow(r, OP_POW);
    }
    return jrun_int(r, out);
}

static const struct jval *int_op(struct jrun *r, enum jop op, int64_t a, int64_t b)
{
    int64_t out;
    bool over = false;
    switch (op) {
    case OP_ADD: over = __builtin_add_overflow(a, b, &out); break;
    case OP_SUB: over = __builtin_sub_overflow(a, b, &out); break;
    case OP_MUL: over = __builtin_mul_overflow(a, b, &out); break;
    case OP_DIV:
        if (!b)
            return jrun_error(r, "division by zero");
        return jrun_float(r, (double)a / (double)b);
    case OP_FLOORDIV:
    case OP_MOD:
        if (!b)
            return jrun_error(r, "integer division or modulo by zero");
        if (b == -1) { /* INT64_MIN / -1 traps */
            out = 0;
            over = op == OP_FLOORDIV && __builtin_sub_overflow((int64_t)0, a, &out);
        } else if (op == OP_FLOORDIV) {
            out = a / b - (a % b != 0 && (a < 0) != (b < 0));
        } else {
            out = a % b;
            out += out && (out < 0) != (b < 0) ? b : 0;
        }
        break;
    default: return int_power(r, a, b);
    }
    return over ? overflow(r, op) : jrun_int(r, out);
}

static const struct jval *float_op(struct jrun *r, enum jop op, double a, double b)
{
    double mod;
    switch (op) {
    case OP_ADD: return jrun_float(r, a + b);
    case OP_SUB: return jrun_float(r, a - b);
    case OP_MUL: return jrun_float(r, a * b);
    case OP_DIV:
        if (b == 0)
            return jrun_error(r, "float division by zero");
        return jrun_float(r, a / b);
    case OP_FLOORDIV:
    case OP_MOD:
        if (b == 0)
            return jrun_error(r, op == OP_MOD ? "float modulo" : "float floor division by zero");
        mod = fmod(a, b);
        if (mod != 0 && (b < 0) != (mod < 0))
            mod += b;
        else if (mod == 0)
            mod = copysign(0, b);
        if (op == OP_MOD)
            return jrun_float(r, mod);
        double div = (a - mod) / b, floored = floor(div);
        if (div == 0)
            floored = copysign(0, a / b);
        else if (div - floored > 0.5)
            floored += 1;
        return jrun_float(r, floored);
    default:
        if (a == 0 && b < 0)
            return jrun_error(r, "0.0 cannot be raised to a negative power");
        if (a < 0 && isfinite(a) && isfinite(b) && b != floor(b))
            return jrun_error(r, "a negative number to a fractional power is complex");
        mod = pow(a, b);
        if (isinf(mod) && isfinite(a) && isfinite(b))
            return jrun_error(r, "numerical result out of range");
        return jrun_float(r, mod);
    }
}

static const struct jval *join_strings(struct jrun *r, const struct jval *a, const struct jval *b)
{
    bool safe = a->safe || b->safe;
    if (safe && (!(a = jrun_escape(r, a)) || !(b = jrun_escape(r, b))))
        return NULL;
    char *p = jrun_alloc(r, a->s.n + b->s.n + 1, 1);
    if (!p)
        return NULL;
    memcpy(p, a->s.p, a->s.n);
    memcpy(p + a->s.n, b->s.p, b->s.n);
    const struct jval *v = jrun_view(r, (struct str){p, a->s.n + b->s.n});
    return v && safe ? jrun_markup(r, v) : v;
}

static const struct jval *join_lists(struct jrun *r, const struct jval *a, const struct jval *b)
{
    size_t n = a->list.n + b->list.n;
    const struct jval **v = jrun_alloc(r, n, sizeof *v);
    if (!v || !jrun_step(r, n / 8))
        return NULL;
    if (a->list.n)
        memcpy(v, a->list.v, a->list.n * sizeof *v);
    if (b->list.n)
        memcpy(v + a->list.n, b->list.v, b->list.n * sizeof *v);
    return jrun_list(r, a->sub == JL_LIST ? JL_LIST : JL_TUPLE, v, n);
}

static const struct jval *repeat(struct jrun *r, const struct jval *v, int64_t times)
{
    size_t n, unit = v->kind == JV_STRING ? v->s.n : v->list.n, t = times < 0 ? 0 : (size_t)times;
    if (__builtin_mul_overflow(unit, t, &n) || n > r->max_memory)
        return jrun_no_memory(r);
    if (!jrun_step(r, v->kind == JV_STRING ? n / 64 : n / 8))
        return NULL;
    if (v->kind == JV_STRING) {
        char *p = jrun_alloc(r, n + 1, 1);
        for (size_t at = 0; p && at < n; at += unit)
            memcpy(p + at, v->s.p, unit);
        return p ? jrun_view(r, (struct str){p, n}) : NULL;
    }
    const struct jval **items = jrun_alloc(r, n, sizeof *items);
    for (size_t at = 0; items && at < n; at += unit)
        memcpy(items + at, v->list.v, unit * sizeof *items);
    return items ? jrun_list(r, v->sub == JL_LIST ? JL_LIST : JL_TUPLE, items, n) : NULL;
}

static bool can_repeat(const struct jval *v)
{
    return v->kind == JV_STRING || (v->kind == JV_LIST && (v->sub == JL_LIST || jval_is_tuple(v)));
}

const struct jval *jrun_binary(struct jrun *r, enum jop op, const struct jval *a,
                               const struct jval *b)
{
    if (op == OP_MOD && a->kind == JV_STRING)
        return jrun_percent(r, a, b);
    if (a->kind == JV_UNDEFINED || b->kind == JV_UNDEFINED)
        return jrun_use_undefined(r, a->kind == JV_UNDEFINED ? a : b);
    if (jval_is_integer(a) && jval_is_integer(b))
        return int_op(r, op, jval_integer(a), jval_integer(b));
    if (jval_is_number(a) && jval_is_number(b))
        return float_op(r, op, jval_number(a), jval_number(b));
    if (op == OP_ADD && a->kind == JV_STRING && b->kind == JV_STRING)
        return join_strings(r, a, b);
    if (op == OP_ADD && a->kind == JV_LIST && b->kind == JV_LIST &&
        ((a->sub == JL_LIST && b->sub == JL_LIST) || (jval_is_tuple(a) && jval_is_tuple(b))))
        return join_lists(r, a, b);
    if (op == OP_MUL && can_repeat(a) && jval_is_integer(b))
        return repeat(r, a, jval_integer(b));
    if (op == OP_MUL && can_repeat(b) && jval_is_integer(a))
        return repeat(r, b, jval_integer(a));
    if (op == OP_ADD && (a->kind == JV_STRING || can_repeat(a)))
        return jrun_error(r, "can only concatenate %s (not \"%s\") to %s", jval_type_name(a),
                          jval_type_name(b), jval_type_name(a));
    return jrun_error(r, "unsupported operand type(s) for %s: '%s' and '%s'", op_names[op],
                      jval_type_name(a), jval_type_name(b));
}

const struct jval *jrun_negate(struct jrun *r, const struct jval *v)
{
    int64_t i;
    if (v->kind == JV_UNDEFINED)
        return jrun_use_undefined(r, v);
    if (v->kind == JV_FLOAT)
        return jrun_float(r, -v->f);
    if (!jval_is_integer(v))
        return jrun_error(r, "bad operand type for unary -: '%s'", jval_type_name(v));
    return __builtin_sub_overflow((int64_t)0, jval_integer(v), &i) ? overflow(r, OP_SUB)
                                                                   : jrun_int(r, i);
}

/* ---- comparison ---- */

bool jrun_equal(struct jrun *r, const struct jval *a, const struct jval *b, bool *out)
{
    uint64_t before = r->max_steps - r->steps, left = before;
    *out = jval_equal_within(a, b, &left);
    return jrun_step(r, left ? before - left : before + 1);
}

bool jrun_contains(struct jrun *r, const struct jval *all, const struct jval *v, bool *out)
{
    const struct jval **items;
    uint64_t h;
    size_t n;
    *out = false;
    if (all->kind == JV_STRING) {
        if (v->kind != JV_STRING)
            return jrun_error(r, "'in <string>' requires string as left operand, not %s",
                              jval_type_name(v)),
                   false;
        *out = v->s.n == 0 || memmem(all->s.p, all->s.n, v->s.p, v->s.n);
        return jrun_step(r, all->s.n / 64);
    }
    if (all->kind == JV_MAP) {
        if (!jval_hash(v, &h))
            return jrun_error(r, "unhashable type: '%s'", jval_type_name(v)), false;
        *out = jmap_find(all->map, v) != NULL;
        return true;
    }
    if (all->kind != JV_LIST && all->kind != JV_UNDEFINED)
        return jrun_error(r, "argument of type '%s' is not iterable", jval_type_name(all)), false;
    if (!jrun_items(r, all, &items, &n) || !jrun_step(r, n))
        return false;
    for (size_t i = 0; i < n && !*out; i++)
        if (items[i] == v)
            *out = true;
        else if (!jrun_equal(r, items[i], v, out))
            return false;
    return true;
}

bool jrun_compare(struct jrun *r, enum jop op, const struct jval *a, const struct jval *b,
                  bool *out)
{
    int order;
    switch (op) {
    case OP_EQ: return jrun_equal(r, a, b, out);
    case OP_NE:
        if (!jrun_equal(r, a, b, out))
            return false;
        *out = !*out;
        return true;
    case OP_IN: return jrun_contains(r, b, a, out);
    case OP_NOT_IN:
        if (!jrun_contains(r, b, a, out))
            return false;
        *out = !*out;
        return true;
    default: break;
    }
    if (a->kind == JV_UNDEFINED || b->kind == JV_UNDEFINED)
        return jrun_use_undefined(r, a->kind == JV_UNDEFINED ? a : b), false;
    if (!jval_compare(a, b, &order))
        return jrun_error(r, "'%s' not supported between instances of '%s' and '%s'", op_names[op],
                          jval_type_name(a), jval_type_name(b)),
               false;
    *out = order == 2    ? false
           : op == OP_LT ? order < 0
           : op == OP_LE ? order <= 0
           : op == OP_GT ? order > 0
                         : order >= 0;
    return true;
}

/* ---- attributes, items, slices ---- */

static const struct jval *bound_method(struct jrun *r, const struct jval *obj,
                                       const struct jbuiltin *fn)
{
    struct jval *v = jval_new(&r->arena, JV_CALLABLE);
    if (!v || !(v->call = jrun_alloc(r, 1, sizeof *v->call)))
        return jrun_no_memory(r);
    v->sub = JC_METHOD;
    v->call->fn = fn;
    v->call->self = obj;
    return v;
}

/* Python's getattr(obj, name); NULL with r->status OK when there is no such attribute. */
static const struct jval *python_attr(struct jrun *r, const struct jval *obj,
                                      const struct jval *name)
{
    bool unsafe = false;
    struct str text = jval_text(name);
    if (obj->kind == JV_NAMESPACE)
        return jmap_find_str(obj->map, text);
    if (obj->kind == JV_CALLABLE && obj->sub == JC_LOOP)
        return jrun_loop_attr(r, obj, text);
    if (obj->kind == JV_LIST && obj->sub == JL_GROUP && str_is(text, "grouper"))
        return obj->list.v[0];
    if (obj->kind == JV_LIST && obj->sub == JL_GROUP && str_is(text, "list"))
        return obj->list.v[1];
    if (jval_is_integer(obj) && (str_is(text, "real") || str_is(text, "numerator")))
        return jrun_int(r, jval_integer(obj));
    if (obj->kind == JV_CALLABLE && obj->sub == JC_MACRO && str_is(text, "name"))
        return jrun_view(r, obj->call->macro->def->name);
    if (obj->kind == JV_CALLABLE && obj->sub == JC_CYCLER && str_is(text, "current"))
        return obj->call->items.v[*obj->call->pos];
    const struct jbuiltin *fn = jinja_find_method(obj, text, &unsafe);
    if (unsafe) {
        struct jval *v = jval_new(&r->arena, JV_UNDEFINED);
        if (!v)
            return jrun_no_memory(r);
        v->u.obj = obj;
        v->u.name = name;
        v->u.unsafe = true;
        return v;
    }
    return fn ? bound_method(r, obj, fn) : NULL;
}

/* Python's obj[key]; NULL with r->status OK for what TypeError and LookupError are in Python. */
static const struct jval *python_item(struct jrun *r, const struct jval *obj,
                                      const struct jval *key)
{
    if (obj->kind == JV_MAP)
        return jmap_find(obj->map, key);
    if ((obj->kind != JV_LIST && obj->kind != JV_STRING) || !jval_is_integer(key))
        return NULL;
    if (obj->kind == JV_LIST && obj->sub >= JL_GENERATOR)
        return NULL;
    int64_t i = jval_integer(key);
    size_t n = obj->kind == JV_STRING ? obj->s.chars : obj->list.n;
    if (i < 0)
        i += (int64_t)n;
    if (i < 0 || (uint64_t)i >= n)
        return NULL;
    if (obj->kind == JV_LIST)
        return obj->list.v[i];
    uint32_t cp;
    size_t at = jstr_offset(obj, (size_t)i);
    int len = utf8_decode(obj->s.p + at, obj->s.n - at, &cp);
    if (!jrun_step(r, at / 64))
        return NULL;
    const struct jval *v = jrun_view(r, (struct str){obj->s.p + at, (size_t)len});
    return v && obj->safe ? jrun_markup(r, v) : v;
}

const struct jval *jrun_attr(struct jrun *r, const struct jval *obj, const struct jval *name)
{
    if (obj->kind == JV_UNDEFINED)
        return jrun_use_undefined(r, obj);
    const struct jval *v = python_attr(r, obj, name);
    if (!v && r->status == OK)
        v = python_item(r, obj, name);
    return v || r->status != OK ? v : jrun_missing(r, obj, name);
}

const struct jval *jrun_item(struct jrun *r, const struct jval *obj, const struct jval *key)
{
    if (obj->kind == JV_UNDEFINED)
        return jrun_use_undefined(r, obj);
    const struct jval *v = python_item(r, obj, key);
    if (!v && r->status == OK && key->kind == JV_STRING)
        v = python_attr(r, obj, key);
    return v || r->status != OK ? v : jrun_missing(r, obj, key);
}

/* A slice bound: none is `absent`, negative counts from the end, all clipped to [low, high]. */
static bool slice_bound(struct jrun *r, const struct jval *v, int64_t n, int64_t absent,
                        int64_t low, int64_t high, int64_t *out)
{
    *out = absent;
    if (v->kind == JV_NULL)
        return true;
    if (!jval_is_integer(v))
        return jrun_error(r, "slice indices must be integers or None"), false;
    int64_t i = jval_integer(v);
    if (i < 0)
        i = i < -n ? low : i + n;
    *out = i < low ? low : i > high ? high : i;
    return true;
}

static const struct jval *slice_string(struct jrun *r, const struct jval *s, int64_t start,
                                       int64_t step, size_t n)
{
    if (step == 1 || n == 0) {
        size_t from = n ? jstr_offset(s, (size_t)start) : 0, to = from;
        if (n) {
            struct jval rest = {.kind = JV_STRING,
                                .s = {s->s.p + from, s->s.n - from, s->s.chars - (size_t)start}};
            to = from + jstr_offset(&rest, n);
        }
        return jrun_view(r, str_slice(jval_text(s), from, to));
    }
    size_t *at = jrun_alloc(r, s->s.chars + 1, sizeof *at), k = 0;
    char *p = jrun_alloc(r, s->s.n + 1, 1);
    if (!at || !p)
        return NULL;
    for (size_t i = 0; i < s->s.n; k++) {
        uint32_t cp;
        at[k] = i;
        i += (size_t)utf8_decode(s->s.p + i, s->s.n - i, &cp);
    }
    at[k] = s->s.n;
    size_t len = 0;
    for (size_t i = 0; i < n; i++, start += step) {
        size_t one = at[start + 1] - at[start];
        memcpy(p + len, s->s.p + at[start], one);
        len += one;
    }
    return jrun_view(r, (struct str){p, len});
}

const struct jval *jrun_slice(struct jrun *r, const struct jval *obj, const struct jval *start,
                              const struct jval *stop, const struct jval *step)
{
    int64_t by = 1, from, to;
    if (obj->kind == JV_UNDEFINED)
        return jrun_use_undefined(r, obj);
    if (obj->kind != JV_STRING && (obj->kind != JV_LIST || obj->sub >= JL_GENERATOR))
        return jrun_error(r, "'%s' object is not subscriptable with a slice", jval_type_name(obj));
    int64_t n = (int64_t)(obj->kind == JV_STRING ? obj->s.chars : obj->list.n);
    if (step->kind != JV_NULL && !jval_is_integer(step))
        return jrun_error(r, "slice indices must be integers or None");
    if (step->kind != JV_NULL)
        by = jval_integer(step);
    if (by == 0)
        return jrun_error(r, "slice step cannot be zero");
    if (by < -INT32_MAX || by > INT32_MAX)
        by = by < 0 ? -INT32_MAX : INT32_MAX;
    int64_t low = by < 0 ? -1 : 0, high = by < 0 ? n - 1 : n;
    if (!slice_bound(r, start, n, by < 0 ? n - 1 : 0, low, high, &from) ||
        !slice_bound(r, stop, n, by < 0 ? -1 : n, low, high, &to))
        return NULL;
    int64_t span = by > 0 ? to - from : from - to, width = by > 0 ? by : -by;
    size_t count = span > 0 ? (size_t)((span + width - 1) / width) : 0;
    if (!jrun_step(r, count / 8))
        return NULL;
    if (obj->kind == JV_STRING) {
        const struct jval *v = slice_string(r, obj, from, by, count);
        return v && obj->safe ? jrun_markup(r, v) : v;
    }
    const struct jval **items = jrun_alloc(r, count, sizeof *items);
    if (!items)
        return NULL;
    for (size_t i = 0; i < count; i++)
        items[i] = obj->list.v[from + (int64_t)i * by];
    struct jval *v =
        jval_list_of(&r->arena, obj->sub == JL_GROUP ? JL_TUPLE : obj->sub, items, count);
    if (!v)
        return jrun_no_memory(r);
    if (obj->sub == JL_RANGE) {
        if (!(v->list.range = jrun_alloc(r, 3, sizeof *v->list.range)))
            return NULL;
        v->list.range[0] = obj->list.range[0] + from * obj->list.range[2];
        v->list.range[1] = obj->list.range[0] + to * obj->list.range[2];
        v->list.range[2] = obj->list.range[2] * by;
    }
    return v;
}

/* ---- iteration ---- */

static bool string_items(struct jrun *r, const struct jval *s, const struct jval ***items,
                         size_t *n)
{
    const struct jval **v = jrun_alloc(r, s->s.chars, sizeof *v);
    size_t k = 0;
    for (size_t i = 0; v && i < s->s.n; k++) {
        uint32_t cp;
        size_t len = (size_t)utf8_decode(s->s.p + i, s->s.n - i, &cp);
        if (!(v[k] = jrun_view(r, (struct str){s->s.p + i, len})))
            return false;
        i += len;
    }
    *items = v;
    *n = k;
    return v && jrun_step(r, k / 8);
}

bool jrun_items(struct jrun *r, const struct jval *v, const struct jval ***items, size_t *n)
{
    *items = NULL;
    *n = 0;
    switch ((enum jval_kind)v->kind) {
    case JV_LIST:
        if (v->sub == JL_GENERATOR) {
            if (*v->list.taken)
                return true;
            *v->list.taken = true;
        }
        *items = v->list.v;
        *n = v->list.n;
        return true;
    case JV_MAP:
        if (!(*items = jrun_alloc(r, v->map->n, sizeof **items)))
            return false;
        for (; *n < v->map->n; ++*n)
            (*items)[*n] = v->map->e[*n].key;
        return jrun_step(r, *n / 8);
    case JV_STRING: return string_items(r, v, items, n);
    case JV_UNDEFINED: return true;
    default: jrun_error(r, "'%s' object is not iterable", jval_type_name(v)); return false;
    }
}

bool jrun_length(struct jrun *r, const struct jval *v, size_t *n)
{
    *n = 0;
    switch ((enum jval_kind)v->kind) {
    case JV_STRING: *n = v->s.chars; return true;
    case JV_MAP: *n = v->map->n; return true;
    case JV_UNDEFINED: return true;
    case JV_CALLABLE:
        if (v->sub == JC_LOOP) {
            jrun_loop_item(r, v->call->loop, SIZE_MAX);
            *n = v->call->loop->n;
            return r->status == OK;
        }
        break;
    case JV_LIST:
        if (v->sub != JL_GENERATOR) {
            *n = v->list.n;
            return true;
        }
        break;
    default: break;
    }
    jrun_error(r, "object of type '%s' has no len()", jval_type_name(v));
    return false;
}
