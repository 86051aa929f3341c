/* A context from JSON. Integers that do not fit 64 bits are refused by the reader already. */
#include "text/jinja.h"

static struct jval *from_array(struct arena *a, const json_t *v)
{
    struct jval *out = jval_list(a);
    for (size_t i = 0; i < json_array_size(v); i++)
        out = jval_list_add(a, out, jval_from_json(a, json_array_get(v, i)));
    return out;
}

static struct jval *from_object(struct arena *a, const json_t *v)
{
    struct jval *out = jval_map(a);
    /* the iterator wants a json_t that it could change; it does not */
    json_t *o = (json_t *)(uintptr_t)v;
    for (void *it = json_object_iter(o); it; it = json_object_iter_next(o, it)) {
        struct str key = {json_object_iter_key(it), json_object_iter_key_len(it)};
        out = jval_map_set(a, out, key, jval_from_json(a, json_object_iter_value(it)));
    }
    return out;
}

struct jval *jval_from_json(struct arena *a, const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_OBJECT: return from_object(a, v);
    case JSON_ARRAY: return from_array(a, v);
    case JSON_STRING: return jval_str(a, json_str(v));
    case JSON_INTEGER: return jval_int(a, json_integer_value(v));
    case JSON_REAL: return jval_float(a, json_real_value(v));
    case JSON_TRUE: return jval_bool(a, true);
    case JSON_FALSE: return jval_bool(a, false);
    case JSON_NULL: break;
    }
    return jval_null(a);
}
