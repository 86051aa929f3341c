/* Opening GGUF files.
 *
 * One pass over the header checks every length against the bytes that are left before it is used,
 * and records views: no string is copied, so a vocabulary of 128k tokens and 280k merges costs one
 * walk over its lengths. Counts are believed only as far as the file has bytes for that many
 * entries. A key or tensor that appears twice, tensors that overlap, leave the file or break the
 * alignment are refused, because whoever reads the file next would have to guess.
 *
 * A split model is the metadata of its first file and the tensors of all. */
#include "format/gguf_int.h"
#include "base/mem.h"
#include "base/show.h"
#include <stdlib.h>

enum {
    MIN_KV_BYTES = 8 + 4 + 1,     /* key length, type, smallest value */
    MIN_TENSOR_BYTES = 8 + 4 + 12 /* name length, dimensions, type and offset */
};

/* A cursor over the header; take() is the only way forward. */
struct reader {
    const unsigned char *p;
    size_t n, at;
};

static const unsigned char *take(struct reader *r, uint64_t n)
{
    if (n > r->n - r->at)
        return NULL;
    const unsigned char *p = r->p + r->at;
    r->at += (size_t)n;
    return p;
}

static bool take_u32(struct reader *r, uint32_t *v)
{
    const unsigned char *p = take(r, sizeof *v);
    if (p)
        memcpy(v, p, sizeof *v);
    return p != NULL;
}

static bool take_u64(struct reader *r, uint64_t *v)
{
    const unsigned char *p = take(r, sizeof *v);
    if (p)
        memcpy(v, p, sizeof *v);
    return p != NULL;
}

static enum status take_string(struct reader *r, struct str *s, const char *what, uint64_t i,
                               struct err *err)
{
    uint64_t n;
    if (!take_u64(r, &n))
        return err_set(err, EFORMAT, "%s %llu: file ends at byte %zu inside its length", what,
                       (unsigned long long)i, r->at);
    if (n > r->n - r->at)
        return err_set(err, EFORMAT, "%s %llu: length is %llu, expected at most the %zu bytes left",
                       what, (unsigned long long)i, (unsigned long long)n, r->n - r->at);
    *s = (struct str){(const char *)take(r, n), (size_t)n};
    return OK;
}

static const struct {
    const char *name;
    size_t bytes;
} types[GGUF_TYPE_COUNT] = {
    [GGUF_U8] = {"u8", 1},       [GGUF_I8] = {"i8", 1},     [GGUF_U16] = {"u16", 2},
    [GGUF_I16] = {"i16", 2},     [GGUF_U32] = {"u32", 4},   [GGUF_I32] = {"i32", 4},
    [GGUF_F32] = {"f32", 4},     [GGUF_BOOL] = {"bool", 1}, [GGUF_STRING] = {"string", 0},
    [GGUF_ARRAY] = {"array", 0}, [GGUF_U64] = {"u64", 8},   [GGUF_I64] = {"i64", 8},
    [GGUF_F64] = {"f64", 8},
};

const char *gguf_type_name(uint32_t t)
{
    return t < GGUF_TYPE_COUNT ? types[t].name : "?";
}

size_t gguf_type_bytes(uint32_t t)
{
    return t < GGUF_TYPE_COUNT ? types[t].bytes : 0;
}

/* Reads an array's head and checks its content; *type and *n describe the elements. */
static enum status take_array(struct reader *r, struct str key, int depth, uint32_t *type,
                              uint64_t *n, struct err *err)
{
    if (!take_u32(r, type) || !take_u64(r, n))
        return err_set(err, EFORMAT, "key '%s': file ends at byte %zu inside the array's head",
                       show(key).s, r->at);
    if (*type >= GGUF_TYPE_COUNT)
        return err_set(err, EFORMAT, "key '%s': element type is %u, expected 0 to %d", show(key).s,
                       *type, GGUF_TYPE_COUNT - 1);
    /* the least that one element takes: itself, a string's length, or an array's head */
    size_t least = types[*type].bytes;
    if (!least)
        least = *type == GGUF_STRING ? 8 : 12;
    if (*n > (r->n - r->at) / least)
        return err_set(err, EFORMAT, "key '%s': %llu elements of %s, but only %zu bytes are left",
                       show(key).s, (unsigned long long)*n, types[*type].name, r->n - r->at);
    if (types[*type].bytes) {
        take(r, *n * types[*type].bytes);
        return OK;
    }
    if (*type == GGUF_ARRAY && depth >= GGUF_ARRAY_DEPTH)
        return err_set(err, EUNSUPPORTED, "key '%s': arrays nested more than %d deep", show(key).s,
                       GGUF_ARRAY_DEPTH);
    for (uint64_t i = 0; i < *n; i++) {
        uint64_t inner_n;
        uint32_t inner_type;
        struct str s;
        enum status st = *type == GGUF_STRING
                             ? take_string(r, &s, "string", i, err)
                             : take_array(r, key, depth + 1, &inner_type, &inner_n, err);
        if (st != OK)
            return *type == GGUF_STRING ? err_prefix(err, "key '%s'", show(key).s) : st;
    }
    return OK;
}

static enum status take_kv(struct reader *r, struct gguf_kv *kv, uint64_t i, struct err *err)
{
    uint32_t type, elem = 0;
    enum status s = take_string(r, &kv->key, "key", i, err);
    if (s != OK)
        return s;
    if (kv->key.n > GGUF_KEY_MAX)
        return err_set(err, EFORMAT, "key %llu: name has %zu bytes, expected at most %d",
                       (unsigned long long)i, kv->key.n, GGUF_KEY_MAX);
    if (!take_u32(r, &type))
        return err_set(err, EFORMAT, "key '%s': file ends before its type", show(kv->key).s);
    if (type >= GGUF_TYPE_COUNT)
        return err_set(err, EFORMAT, "key '%s': type is %u, expected 0 to %d", show(kv->key).s,
                       type, GGUF_TYPE_COUNT - 1);
    kv->type = (enum gguf_type)type;
    if (type == GGUF_STRING) {
        struct str v;
        if ((s = take_string(r, &v, "its string", 0, err)) != OK)
            return err_prefix(err, "key '%s'", show(kv->key).s);
        kv->p = (const unsigned char *)v.p;
        kv->bytes = v.n;
        return OK;
    }
    if (type == GGUF_ARRAY) {
        size_t head = r->at + 12;
        if ((s = take_array(r, kv->key, 1, &elem, &kv->n, err)) != OK)
            return s;
        kv->elem_type = (enum gguf_type)elem;
        kv->p = r->p + head;
        kv->bytes = r->at - head;
        return OK;
    }
    kv->bytes = types[type].bytes;
    kv->p = take(r, kv->bytes);
    if (!kv->p)
        return err_set(err, EFORMAT, "key '%s': file ends inside its %s", show(kv->key).s,
                       types[type].name);
    if (type == GGUF_BOOL && kv->p[0] > 1)
        return err_set(err, EFORMAT, "key '%s': bool is %u, expected 0 or 1", show(kv->key).s,
                       kv->p[0]);
    return OK;
}

/* Reads one tensor's description; *offset is from the start of the data area. */
static enum status take_tensor(struct reader *r, struct tensor *t, uint64_t i, uint64_t *offset,
                               struct err *err)
{
    uint32_t n_dims, type;
    enum status s = take_string(r, &t->name, "tensor", i, err);
    if (s != OK)
        return s;
    if (!take_u32(r, &n_dims))
        return err_set(err, EFORMAT, "tensor '%s': file ends before its dimensions",
                       show(t->name).s);
    if (n_dims > TENSOR_DIMS)
        return err_set(err, EFORMAT, "tensor '%s': %u dimensions, expected at most %d",
                       show(t->name).s, n_dims, TENSOR_DIMS);
    t->n_dims = (int)n_dims;
    for (uint32_t d = 0; d < TENSOR_DIMS; d++) {
        uint64_t v = 1;
        if (d < n_dims && !take_u64(r, &v))
            return err_set(err, EFORMAT, "tensor '%s': file ends inside its dimensions",
                           show(t->name).s);
        if (v == 0 || v > INT64_MAX)
            return err_set(err, EFORMAT,
                           "tensor '%s': dimension %u is %llu, expected 1 to 2^63 - 1",
                           show(t->name).s, d, (unsigned long long)v);
        t->ne[d] = (int64_t)v;
    }
    if (!take_u32(r, &type) || !take_u64(r, offset))
        return err_set(err, EFORMAT, "tensor '%s': file ends before its type and offset",
                       show(t->name).s);
    t->type = qtype_by_gguf_id(type);
    if (t->type == QT_COUNT)
        return err_set(err, EUNSUPPORTED, "tensor '%s': unknown type %u", show(t->name).s, type);
    return tensor_size(t, err);
}

/* Where a tensor's bytes lie. */
static enum status place_tensor(const struct gguf *g, const struct gguf_part *part, size_t data_at,
                                uint64_t offset, struct tensor *t, struct err *err)
{
    if (offset % g->alignment)
        return err_set(err, EFORMAT, "tensor '%s': offset is %llu, expected a multiple of %llu",
                       show(t->name).s, (unsigned long long)offset,
                       (unsigned long long)g->alignment);
    size_t room = part->n > data_at ? part->n - data_at : 0;
    if (offset > room || t->bytes > room - offset)
        return err_set(err, EFORMAT,
                       "tensor '%s': %zu bytes at offset %llu, but the data area has %zu bytes "
                       "(is the file cut short?)",
                       show(t->name).s, t->bytes, (unsigned long long)offset, room);
    t->data = part->p + data_at + offset;
    return OK;
}

static enum status check_head(struct reader *r, uint32_t *version, uint64_t *n_tensors,
                              uint64_t *n_kv, struct err *err)
{
    const unsigned char *magic = take(r, 4);
    if (!magic || memcmp(magic, "GGUF", 4) != 0)
        return err_set(err, EFORMAT, "not a GGUF file: starts with '%s', expected 'GGUF'",
                       show((struct str){(const char *)r->p, r->n < 4 ? r->n : 4}).s);
    if (!take_u32(r, version))
        return err_set(err, EFORMAT, "file ends before its version");
    if (*version && (*version & 0xffff) == 0)
        return err_set(err, EUNSUPPORTED, "big-endian GGUF, expected little-endian");
    if (*version != 2 && *version != 3)
        return err_set(err, EUNSUPPORTED, "GGUF version %u, expected 2 or 3", *version);
    if (!take_u64(r, n_tensors) || !take_u64(r, n_kv))
        return err_set(err, EFORMAT, "file ends before its counts");
    if (*n_tensors > (r->n - r->at) / MIN_TENSOR_BYTES)
        return err_set(err, EFORMAT, "%llu tensors, but only %zu bytes are left",
                       (unsigned long long)*n_tensors, r->n - r->at);
    if (*n_kv > (r->n - r->at) / MIN_KV_BYTES)
        return err_set(err, EFORMAT, "%llu keys, but only %zu bytes are left",
                       (unsigned long long)*n_kv, r->n - r->at);
    return OK;
}

static struct str kv_name_at(const void *kvs, size_t i)
{
    return ((const struct gguf_kv *)kvs)[i].key;
}

static enum status read_kvs(struct gguf *g, struct reader *r, uint64_t n, struct err *err)
{
    g->kv = mem_array((size_t)n, sizeof *g->kv);
    if (!g->kv)
        return err_set(err, ENOMEMORY, "no memory for %llu keys", (unsigned long long)n);
    for (uint64_t i = 0; i < n; i++) {
        enum status s = take_kv(r, &g->kv[i], i, err);
        if (s != OK)
            return s;
    }
    g->n_kv = (size_t)n;
    enum status s = name_index_build(&g->kv_index, g->kv, g->n_kv, kv_name_at, "key", err);
    if (s != OK)
        return s;
    int64_t alignment;
    s = gguf_get_int(g, "general.alignment", &alignment, GGUF_ALIGNMENT, err);
    if (s == OK && (alignment <= 0 || alignment % 8 || alignment > UINT32_MAX))
        s = err_set(err, EFORMAT, "'general.alignment' is %lld, expected a multiple of 8",
                    (long long)alignment);
    g->alignment = (uint64_t)alignment;
    return s;
}

/* Appends the tensors of one part to g. */
static enum status read_tensors(struct gguf *g, struct gguf_part *part, struct reader *r,
                                uint64_t n, struct err *err)
{
    struct tensor *all = mem_resize(g->tensors, g->n_tensors + (size_t)n, sizeof *all);
    uint64_t *offset = mem_array((size_t)n, sizeof *offset);
    if (all)
        g->tensors = all;
    enum status s = all && offset ? OK
                                  : err_set(err, ENOMEMORY, "no memory for %llu tensors",
                                            (unsigned long long)n);
    struct tensor *own = s == OK ? g->tensors + g->n_tensors : NULL;
    for (uint64_t i = 0; s == OK && i < n; i++) {
        own[i] = (struct tensor){0};
        s = take_tensor(r, &own[i], i, &offset[i], err);
    }
    size_t data_at = r->at;
    if (s == OK && r->at % g->alignment &&
        !size_add(r->at, (size_t)(g->alignment - r->at % g->alignment), &data_at))
        s = err_set(err, EFORMAT, "'general.alignment' %llu overflows",
                    (unsigned long long)g->alignment);
    for (uint64_t i = 0; s == OK && i < n; i++)
        s = place_tensor(g, part, data_at, offset[i], &own[i], err);
    if (s == OK)
        s = tensors_disjoint(own, (size_t)n, part->p, part->p + part->n, false, err);
    if (s == OK) {
        g->n_tensors += (size_t)n;
        part->data = part->p + (data_at < part->n ? data_at : part->n);
    }
    free(offset);
    return s;
}

static enum status read_first(struct gguf *g, struct err *err)
{
    struct gguf_part *part = &g->parts[0];
    struct reader r = {part->p, part->n, 0};
    uint64_t n_tensors = 0, n_kv = 0;
    enum status s = check_head(&r, &g->version, &n_tensors, &n_kv, err);
    if (s == OK)
        s = read_kvs(g, &r, n_kv, err);
    if (s == OK)
        s = read_tensors(g, part, &r, n_tensors, err);
    return s;
}

/* A further file of a split model: its own keys are checked and dropped. */
static enum status read_further(struct gguf *g, struct gguf_part *part, size_t no, int64_t count,
                                struct err *err)
{
    struct gguf own = {0};
    struct reader r = {part->p, part->n, 0};
    uint64_t n_tensors = 0, n_kv = 0;
    int64_t own_no = -1, own_count = -1;
    enum status s = check_head(&r, &own.version, &n_tensors, &n_kv, err);
    if (s == OK)
        s = read_kvs(&own, &r, n_kv, err);
    if (s == OK)
        s = gguf_get_int(&own, "split.no", &own_no, -1, err);
    if (s == OK)
        s = gguf_get_int(&own, "split.count", &own_count, -1, err);
    if (s == OK && (own_no != (int64_t)no || own_count != count))
        s = err_set(err, EFORMAT, "is part %lld of %lld of a model, expected part %zu of %lld",
                    (long long)own_no, (long long)own_count, no, (long long)count);
    free(own.kv);
    name_index_release(&own.kv_index);
    g->alignment = own.alignment;
    return s == OK ? read_tensors(g, part, &r, n_tensors, err) : s;
}

/* PREFIX-00001-of-0000N.gguf with N = count: the length of PREFIX, or -1. */
static int split_prefix(const char *path, int64_t count)
{
    char tail[40];
    int n = snprintf(tail, sizeof tail, "-00001-of-%05lld.gguf", (long long)count);
    size_t all = strlen(path);
    if (n < 0 || all < (size_t)n || all > 4000 || strcmp(path + all - n, tail) != 0)
        return -1;
    return (int)(all - (size_t)n);
}

static enum status read_splits(struct gguf *g, const char *path, int64_t count, struct err *err)
{
    int64_t no, declared;
    int prefix = path ? split_prefix(path, count) : -1;
    enum status s = gguf_get_int(g, "split.no", &no, 0, err);
    if (s == OK)
        s = gguf_get_int(g, "split.tensors.count", &declared, -1, err);
    if (s != OK)
        return s;
    if (count > GGUF_SPLITS_MAX)
        return err_set(err, EFORMAT, "'split.count' is %lld, expected at most %d", (long long)count,
                       GGUF_SPLITS_MAX);
    if (no != 0 || prefix < 0)
        return err_set(err, EUSAGE,
                       "part %lld of a model in %lld files: give the first, named "
                       "...-00001-of-%05lld.gguf",
                       (long long)no + 1, (long long)count, (long long)count);
    struct gguf_part *parts = mem_resize(g->parts, (size_t)count, sizeof *parts);
    if (!parts)
        return err_set(err, ENOMEMORY, "no memory for %lld parts", (long long)count);
    g->parts = parts;
    uint64_t alignment = g->alignment;
    for (size_t i = 1; s == OK && i < (size_t)count; i++) {
        char name[4200];
        snprintf(name, sizeof name, "%.*s-%05zu-of-%05lld.gguf", prefix, path, i + 1,
                 (long long)count);
        struct gguf_part *part = &g->parts[i];
        *part = (struct gguf_part){0};
        if ((s = file_map_open(&part->map, name, err)) != OK)
            break;
        g->n_parts++;
        part->p = part->map.p;
        part->n = part->map.n;
        if ((s = read_further(g, part, i, count, err)) != OK)
            err_prefix(err, "%s", show(str_from(name)).s);
    }
    g->alignment = alignment;
    if (s == OK && declared >= 0 && (uint64_t)declared != g->n_tensors)
        s = err_set(err, EFORMAT, "'split.tensors.count' is %lld, found %zu", (long long)declared,
                    g->n_tensors);
    return s;
}

/* path: NULL for memory. Takes over the map. */
static enum status open_bytes(struct gguf **out, const char *path, struct file_map map,
                              const void *data, size_t n, struct err *err)
{
    *out = NULL;
    struct gguf *g = mem_array(1, sizeof *g);
    struct gguf_part *first = mem_array(1, sizeof *first);
    if (!g || !first) {
        free(g);
        free(first);
        file_map_close(&map);
        return err_set(err, ENOMEMORY, "no memory for a file's description");
    }
    *first = (struct gguf_part){.map = map, .p = data, .n = n};
    g->parts = first;
    g->n_parts = 1;
    int64_t count = 0;
    enum status s = read_first(g, err);
    if (s == OK)
        s = gguf_get_int(g, "split.count", &count, 0, err);
    if (s == OK && count > 1)
        s = read_splits(g, path, count, err);
    if (s == OK)
        s = name_index_build(&g->tensor_index, g->tensors, g->n_tensors, tensor_name_at, "tensor",
                             err);
    if (s != OK) {
        gguf_close(g);
        return s;
    }
    *out = g;
    return OK;
}

enum status gguf_open_mem(struct gguf **out, const void *data, size_t n, struct err *err)
{
    return open_bytes(out, NULL, (struct file_map){NULL, 0, NULL}, data, n, err);
}

enum status gguf_open(struct gguf **out, const char *path, struct err *err)
{
    struct file_map map;
    *out = NULL;
    enum status s = file_map_open(&map, path, err);
    if (s != OK)
        return s;
    s = open_bytes(out, path, map, map.p, map.n, err);
    return s == OK ? OK : err_prefix(err, "%s", show(str_from(path)).s);
}

bool gguf_broken(const struct gguf *g)
{
    for (size_t i = 0; i < g->n_parts; i++)
        if (file_map_broken(&g->parts[i].map))
            return true;
    return false;
}

void gguf_close(struct gguf *g)
{
    if (!g)
        return;
    for (size_t i = 0; i < g->n_parts; i++)
        file_map_close(&g->parts[i].map);
    free(g->parts);
    free(g->kv);
    free(g->tensors);
    name_index_release(&g->kv_index);
    name_index_release(&g->tensor_index);
    free(g);
}
