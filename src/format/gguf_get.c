/* Reading values of an open GGUF file. Everything was checked when it was opened; here only the
 * kind and range that the caller asks for are. */
#include "format/gguf_int.h"
#include "base/show.h"

uint32_t gguf_version(const struct gguf *g)
{
    return g->version;
}

size_t gguf_n_kv(const struct gguf *g)
{
    return g->n_kv;
}

const struct gguf_kv *gguf_kv_at(const struct gguf *g, size_t i)
{
    return &g->kv[i];
}

static struct str kv_name_at(const void *kvs, size_t i)
{
    return ((const struct gguf_kv *)kvs)[i].key;
}

const struct gguf_kv *gguf_find(const struct gguf *g, const char *key)
{
    size_t i = name_index_find(&g->kv_index, g->kv, kv_name_at, str_from(key));
    return i == SIZE_MAX ? NULL : &g->kv[i];
}

size_t gguf_n_tensors(const struct gguf *g)
{
    return g->n_tensors;
}

const struct tensor *gguf_tensor_at(const struct gguf *g, size_t i)
{
    return &g->tensors[i];
}

const struct tensor *gguf_tensor(const struct gguf *g, struct str name)
{
    size_t i = name_index_find(&g->tensor_index, g->tensors, tensor_name_at, name);
    return i == SIZE_MAX ? NULL : &g->tensors[i];
}

static enum status wrong_kind(const struct gguf_kv *kv, const char *expected, struct err *err)
{
    bool array = kv->type == GGUF_ARRAY;
    return err_set(err, EFORMAT, "'%s' is %s%s, expected %s", show(kv->key).s,
                   array ? "an array of " : "", gguf_type_name(array ? kv->elem_type : kv->type),
                   expected);
}

/* An integer of any width; false when it is of another kind or does not fit. */
static bool load_int(enum gguf_type type, const unsigned char *p, int64_t *out)
{
    static const enum {
        NO,
        UNSIGNED,
        SIGNED
    } kind[GGUF_TYPE_COUNT] = {
        [GGUF_U8] = UNSIGNED, [GGUF_U16] = UNSIGNED, [GGUF_U32] = UNSIGNED, [GGUF_U64] = UNSIGNED,
        [GGUF_I8] = SIGNED,   [GGUF_I16] = SIGNED,   [GGUF_I32] = SIGNED,   [GGUF_I64] = SIGNED,
    };
    if (!kind[type])
        return false;
    size_t bytes = gguf_type_bytes(type);
    uint64_t v = 0, sign = 1ull << (bytes * 8 - 1);
    memcpy(&v, p, bytes);
    if (kind[type] == SIGNED)
        v = (v ^ sign) - sign;
    *out = (int64_t)v;
    return kind[type] == SIGNED || v <= INT64_MAX;
}

static bool load_float(enum gguf_type type, const unsigned char *p, double *out)
{
    if (type == GGUF_F32) {
        float v;
        memcpy(&v, p, sizeof v);
        *out = (double)v;
        return true;
    }
    if (type == GGUF_F64) {
        memcpy(out, p, sizeof *out);
        return true;
    }
    if (type == GGUF_U64) {
        uint64_t v;
        memcpy(&v, p, sizeof v);
        *out = (double)v;
        return true;
    }
    int64_t v;
    if (!load_int(type, p, &v))
        return false;
    *out = (double)v;
    return true;
}

enum status gguf_get_int(const struct gguf *g, const char *key, int64_t *out, int64_t absent,
                         struct err *err)
{
    const struct gguf_kv *kv = gguf_find(g, key);
    *out = absent;
    if (!kv || load_int(kv->type, kv->p, out))
        return OK;
    if (kv->type == GGUF_U64)
        return err_set(err, EFORMAT, "'%s' is %llu, expected at most 2^63 - 1", key,
                       (unsigned long long)*out);
    return wrong_kind(kv, "an integer", err);
}

enum status gguf_get_float(const struct gguf *g, const char *key, double *out, double absent,
                           struct err *err)
{
    const struct gguf_kv *kv = gguf_find(g, key);
    *out = absent;
    if (!kv || load_float(kv->type, kv->p, out))
        return OK;
    return wrong_kind(kv, "a number", err);
}

enum status gguf_get_bool(const struct gguf *g, const char *key, bool *out, bool absent,
                          struct err *err)
{
    const struct gguf_kv *kv = gguf_find(g, key);
    *out = absent;
    if (!kv)
        return OK;
    if (kv->type != GGUF_BOOL)
        return wrong_kind(kv, "a bool", err);
    *out = kv->p[0] != 0;
    return OK;
}

enum status gguf_get_str(const struct gguf *g, const char *key, struct str *out, struct err *err)
{
    const struct gguf_kv *kv = gguf_find(g, key);
    *out = (struct str){NULL, 0};
    if (!kv)
        return OK;
    if (kv->type != GGUF_STRING)
        return wrong_kind(kv, "a string", err);
    *out = (struct str){(const char *)kv->p, kv->bytes};
    return OK;
}

enum status gguf_array_strings(const struct gguf_kv *kv, struct str *out, struct err *err)
{
    if (kv->type != GGUF_ARRAY || kv->elem_type != GGUF_STRING)
        return wrong_kind(kv, "an array of strings", err);
    const unsigned char *p = kv->p;
    for (uint64_t i = 0; i < kv->n; i++) {
        uint64_t n;
        memcpy(&n, p, sizeof n);
        out[i] = (struct str){(const char *)p + sizeof n, (size_t)n};
        p += sizeof n + n;
    }
    return OK;
}

enum status gguf_array_floats(const struct gguf_kv *kv, float *out, struct err *err)
{
    size_t step = kv->type == GGUF_ARRAY ? gguf_type_bytes(kv->elem_type) : 0;
    if (!step || kv->elem_type == GGUF_BOOL)
        return wrong_kind(kv, "an array of numbers", err);
    for (uint64_t i = 0; i < kv->n; i++) {
        double v;
        if (!load_float(kv->elem_type, kv->p + i * step, &v))
            return wrong_kind(kv, "an array of numbers", err);
        out[i] = (float)v;
    }
    return OK;
}

enum status gguf_array_ints(const struct gguf_kv *kv, int64_t *out, struct err *err)
{
    size_t step = kv->type == GGUF_ARRAY ? gguf_type_bytes(kv->elem_type) : 0;
    if (!step || kv->elem_type == GGUF_BOOL || kv->elem_type == GGUF_F32 ||
        kv->elem_type == GGUF_F64)
        return wrong_kind(kv, "an array of integers", err);
    for (uint64_t i = 0; i < kv->n; i++) {
        if (!load_int(kv->elem_type, kv->p + i * step, &out[i]))
            return err_set(err, EFORMAT, "'%s': element %llu is %llu, expected at most 2^63 - 1",
                           show(kv->key).s, (unsigned long long)i, (unsigned long long)out[i]);
    }
    return OK;
}
