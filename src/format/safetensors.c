/* Opening safetensors files, single and sharded.
 *
 * The header is parsed by base/json (bad UTF-8 and duplicate names are refused there) and kept, so
 * that names are views into it; the data is only pointed into. The format promises that tensors
 * cover the data area without overlap or hole, and that is checked: a reader that is more lenient
 * than its neighbours sees other weights in the same file.
 *
 * An index maps names to files beside it. A file name that is more than a name is refused. Tensors
 * of a shard that the index does not list are left out. */
#include "format/safetensors.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/show.h"
#include "format/name_index.h"
#include <stdlib.h>

enum {
    HEADER_MAX = 100 << 20, /* the format's own ceiling */
    INDEX_MAX = 100 << 20,
    SHARDS_MAX = 4096
};

struct shard {
    struct file_map map; /* map.n is 0 when the bytes are borrowed */
    json_t *header;
};

struct safetensors {
    struct shard *shards;
    size_t n_shards;
    struct tensor *tensors;
    size_t n_tensors;
    struct name_index by_name;
};

static const struct {
    const char *name;
    enum qtype type;
} dtypes[] = {
    {"F32", QT_F32}, {"F16", QT_F16}, {"BF16", QT_BF16}, {"F64", QT_F64},
    {"I64", QT_I64}, {"I32", QT_I32}, {"I16", QT_I16},   {"I8", QT_I8},
};

static enum status read_dtype(const json_t *o, struct tensor *t, struct err *err)
{
    struct str dtype;
    enum status s = json_get_str(o, "dtype", &dtype, err);
    if (s != OK)
        return s;
    if (!dtype.p)
        return err_set(err, EFORMAT, "'dtype' is missing");
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
        if (str_is(dtype, dtypes[i].name)) {
            t->type = dtypes[i].type;
            return OK;
        }
    }
    return err_set(err, EUNSUPPORTED, "dtype is %s, expected F32, F16, BF16, F64 or I8 to I64",
                   show(dtype).s);
}

/* The i-th element of an array of non-negative integers. */
static enum status element(const json_t *array, size_t i, const char *what, int64_t *out,
                           struct err *err)
{
    const json_t *v = json_array_get(array, i);
    if (!json_is_integer(v) || json_integer_value(v) < 0)
        return err_set(err, EFORMAT, "%s[%zu] is no integer of at least 0", what, i);
    *out = json_integer_value(v);
    return OK;
}

static enum status read_shape(const json_t *o, struct tensor *t, struct err *err)
{
    const json_t *shape = json_object_get(o, "shape");
    if (!json_is_array(shape))
        return err_set(err, EFORMAT, "'shape' is missing or no array");
    size_t n = json_array_size(shape);
    if (n > TENSOR_DIMS)
        return err_set(err, EUNSUPPORTED, "%zu dimensions, expected at most %d", n, TENSOR_DIMS);
    t->n_dims = (int)n;
    for (size_t d = 0; d < TENSOR_DIMS; d++) {
        t->ne[d] = 1;
        enum status s = d < n ? element(shape, n - 1 - d, "shape", &t->ne[d], err) : OK;
        if (s != OK)
            return s;
    }
    return OK;
}

/* Reads one entry of the header; data is the data area of n bytes. */
static enum status read_tensor(struct tensor *t, const json_t *o, const unsigned char *data,
                               size_t n, struct err *err)
{
    if (!json_is_object(o))
        return err_set(err, EFORMAT, "its entry is no object");
    int64_t begin = 0, end = 0;
    enum status s = read_dtype(o, t, err);
    if (s == OK)
        s = read_shape(o, t, err);
    if (s != OK)
        return s;
    const json_t *offsets = json_object_get(o, "data_offsets");
    if (!json_is_array(offsets) || json_array_size(offsets) != 2)
        return err_set(err, EFORMAT, "'data_offsets' is missing or no array of two");
    if ((s = element(offsets, 0, "data_offsets", &begin, err)) != OK ||
        (s = element(offsets, 1, "data_offsets", &end, err)) != OK)
        return s;
    if (begin > end || (uint64_t)end > n)
        return err_set(err, EFORMAT,
                       "data_offsets are [%lld, %lld], but the data area has %zu bytes "
                       "(is the file cut short?)",
                       (long long)begin, (long long)end, n);
    if ((s = tensor_size(t, err)) != OK)
        return s;
    if ((uint64_t)(end - begin) != t->bytes)
        return err_set(err, EFORMAT, "data_offsets span %lld bytes, expected %zu by type and shape",
                       (long long)(end - begin), t->bytes);
    t->data = data + begin;
    return OK;
}

static enum status read_tensors(struct safetensors *s, json_t *header, const unsigned char *data,
                                size_t n, struct err *err)
{
    struct tensor *all =
        mem_resize(s->tensors, s->n_tensors + json_object_size(header) + 1, sizeof *all);
    if (!all)
        return err_set(err, ENOMEMORY, "no memory for %zu tensors", json_object_size(header));
    s->tensors = all;
    size_t count = 0;
    struct tensor *own = all + s->n_tensors;
    for (void *it = json_object_iter(header); it; it = json_object_iter_next(header, it)) {
        struct str name = {json_object_iter_key(it), json_object_iter_key_len(it)};
        if (str_is(name, "__metadata__"))
            continue;
        own[count] = (struct tensor){.name = name};
        enum status st = read_tensor(&own[count], json_object_iter_value(it), data, n, err);
        if (st != OK) {
            err_prefix(err, "tensor '%s'", show(name).s);
            return st;
        }
        count++;
    }
    enum status st = tensors_disjoint(own, count, data, data + n, true, err);
    if (st == OK)
        s->n_tensors += count;
    return st;
}

static enum status check_metadata(const json_t *header, struct err *err)
{
    json_t *meta = json_object_get(header, "__metadata__"), *v;
    const char *key;
    if (!meta)
        return OK;
    if (!json_is_object(meta))
        return err_set(err, EFORMAT, "'__metadata__' is no object");
    json_object_foreach(meta, key, v)
    {
        if (!json_is_string(v))
            return err_set(err, EFORMAT, "'__metadata__': '%s' is no string",
                           show(str_from(key)).s);
    }
    return OK;
}

/* Reads one file's bytes into a shard; the shard is released by safetensors_close. */
static enum status read_shard(struct safetensors *s, struct shard *shard, const unsigned char *p,
                              size_t n, struct err *err)
{
    uint64_t header_n;
    if (n < sizeof header_n)
        return err_set(err, EFORMAT, "file has %zu bytes, expected at least 8", n);
    memcpy(&header_n, p, sizeof header_n);
    if (header_n > n - sizeof header_n || header_n > HEADER_MAX)
        return err_set(err, EFORMAT,
                       "header length is %llu, expected at most the %zu bytes left and %d",
                       (unsigned long long)header_n, n - sizeof header_n, HEADER_MAX);
    struct str text = {(const char *)p + sizeof header_n, (size_t)header_n};
    enum status st = json_parse(&shard->header, text, "header", err);
    if (st != OK)
        return st;
    if (!json_is_object(shard->header))
        return err_set(err, EFORMAT, "header is no JSON object");
    if ((st = check_metadata(shard->header, err)) != OK)
        return st;
    size_t data_at = sizeof header_n + (size_t)header_n;
    return read_tensors(s, shard->header, p + data_at, n - data_at, err);
}

static enum status build_index(struct safetensors *s, struct err *err)
{
    return name_index_build(&s->by_name, s->tensors, s->n_tensors, tensor_name_at, "tensor", err);
}

static struct safetensors *new_safetensors(size_t n_shards)
{
    struct safetensors *s = mem_array(1, sizeof *s);
    if (s && !(s->shards = mem_array(n_shards, sizeof *s->shards))) {
        free(s);
        s = NULL;
    }
    return s;
}

static enum status finish(struct safetensors **out, struct safetensors *s, enum status st)
{
    if (st != OK) {
        safetensors_close(s);
        s = NULL;
    }
    *out = s;
    return st;
}

enum status safetensors_open_mem(struct safetensors **out, const void *data, size_t n,
                                 struct err *err)
{
    *out = NULL;
    struct safetensors *s = new_safetensors(1);
    if (!s)
        return err_set(err, ENOMEMORY, "no memory for a file's description");
    s->n_shards = 1;
    enum status st = read_shard(s, &s->shards[0], data, n, err);
    if (st == OK)
        st = build_index(s, err);
    return finish(out, s, st);
}

static enum status open_shard(struct safetensors *s, struct shard *shard, const char *path,
                              struct err *err)
{
    enum status st = file_map_open(&shard->map, path, err);
    if (st != OK)
        return st;
    st = read_shard(s, shard, shard->map.p, shard->map.n, err);
    if (st != OK)
        err_prefix(err, "%s", show(str_from(path)).s);
    return st;
}

/* ---- sharded ---- */

/* A plain file name: nothing that leads out of the folder. */
static bool plain_name(struct str s)
{
    return s.n > 0 && s.n < 256 && s.p[0] != '.' && !memchr(s.p, '/', s.n) &&
           !memchr(s.p, '\\', s.n) && !memchr(s.p, 0, s.n);
}

/* Files of the index in order of first appearance, as an object file name -> position. */
static enum status list_files(json_t *files, json_t *map, struct err *err)
{
    json_t *v;
    for (void *it = json_object_iter(map); it; it = json_object_iter_next(map, it)) {
        v = json_object_iter_value(it);
        struct str name = {json_object_iter_key(it), json_object_iter_key_len(it)};
        if (!json_is_string(v) || !plain_name(json_str(v)))
            return err_set(err, EFORMAT,
                           "'weight_map': file of tensor '%s' is '%s', expected a plain file name",
                           show(name).s, json_is_string(v) ? show(json_str(v)).s : "?");
        if (json_object_get(files, json_string_value(v)))
            continue;
        json_int_t at = (json_int_t)json_object_size(files);
        if (at >= SHARDS_MAX)
            return err_set(err, EFORMAT, "'weight_map' names more than %d files", SHARDS_MAX);
        if (json_object_set_new(files, json_string_value(v), json_integer(at)) != 0)
            return err_set(err, ENOMEMORY, "no memory for the index");
    }
    return OK;
}

/* Keeps the tensors of the newest shard that the index puts there, counting them. */
static void keep_listed(struct safetensors *s, size_t from, const json_t *map, const char *file,
                        size_t *listed)
{
    size_t kept = from;
    for (size_t i = from; i < s->n_tensors; i++) {
        struct str name = s->tensors[i].name;
        const json_t *v = json_object_getn(map, name.p, name.n);
        if (json_is_string(v) && str_is(json_str(v), file))
            s->tensors[kept++] = s->tensors[i];
    }
    *listed += kept - from;
    s->n_tensors = kept;
}

/* Which tensor of the index was in no file. */
static enum status missing_tensor(const struct safetensors *s, json_t *map, struct err *err)
{
    for (void *it = json_object_iter(map); it; it = json_object_iter_next(map, it)) {
        struct str name = {json_object_iter_key(it), json_object_iter_key_len(it)};
        if (!safetensors_tensor(s, name))
            return err_set(err, EFORMAT, "tensor '%s' is not in '%s', where the index puts it",
                           show(name).s, show(json_str(json_object_iter_value(it))).s);
    }
    return OK;
}

static enum status open_files(struct safetensors *s, json_t *files, json_t *map, const char *path,
                              struct err *err)
{
    const char *slash = strrchr(path, '/'), *file;
    size_t listed = 0;
    json_t *v;
    enum status st = OK;
    struct buf name;
    buf_init(&name, 1 << 16);
    json_object_foreach(files, file, v)
    {
        size_t from = s->n_tensors;
        buf_clear(&name);
        if (slash)
            buf_add(&name, path, (size_t)(slash + 1 - path));
        buf_adds(&name, file);
        if ((st = buf_check(&name, "file name", err)) != OK)
            break;
        s->n_shards++;
        if ((st = open_shard(s, &s->shards[s->n_shards - 1], name.p, err)) != OK)
            break;
        keep_listed(s, from, map, file, &listed);
    }
    buf_release(&name);
    if (st == OK)
        st = build_index(s, err);
    if (st == OK && listed != json_object_size(map))
        st = missing_tensor(s, map, err);
    return st;
}

static enum status open_index(struct safetensors **out, const char *path, struct err *err)
{
    json_t *index = NULL, *files = json_object(), *map = NULL;
    struct safetensors *s = NULL;
    enum status st = files ? json_parse_file(&index, path, INDEX_MAX, err)
                           : err_set(err, ENOMEMORY, "no memory for the index");
    if (st == OK) {
        map = json_object_get(index, "weight_map");
        st = json_is_object(map) ? list_files(files, map, err)
                                 : err_set(err, EFORMAT, "'weight_map' is missing or no object");
        if (st != OK)
            err_prefix(err, "%s", show(str_from(path)).s);
    }
    if (st == OK && !(s = new_safetensors(json_object_size(files))))
        st = err_set(err, ENOMEMORY, "no memory for %zu files", json_object_size(files));
    if (s)
        st = open_files(s, files, map, path, err);
    json_decref(index);
    json_decref(files);
    return finish(out, s, st);
}

enum status safetensors_open(struct safetensors **out, const char *path, struct err *err)
{
    *out = NULL;
    if (str_ends(str_from(path), STR(".json")))
        return open_index(out, path, err);
    struct safetensors *s = new_safetensors(1);
    if (!s)
        return err_set(err, ENOMEMORY, "no memory for a file's description");
    s->n_shards = 1;
    enum status st = open_shard(s, &s->shards[0], path, err);
    if (st == OK)
        st = build_index(s, err);
    return finish(out, s, st);
}

bool safetensors_broken(const struct safetensors *s)
{
    for (size_t i = 0; i < s->n_shards; i++)
        if (file_map_broken(&s->shards[i].map))
            return true;
    return false;
}

void safetensors_close(struct safetensors *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n_shards; i++) {
        file_map_close(&s->shards[i].map);
        json_decref(s->shards[i].header);
    }
    name_index_release(&s->by_name);
    free(s->shards);
    free(s->tensors);
    free(s);
}

size_t safetensors_n_tensors(const struct safetensors *s)
{
    return s->n_tensors;
}

const struct tensor *safetensors_tensor_at(const struct safetensors *s, size_t i)
{
    return &s->tensors[i];
}

const struct tensor *safetensors_tensor(const struct safetensors *s, struct str name)
{
    size_t i = name_index_find(&s->by_name, s->tensors, tensor_name_at, name);
    return i == SIZE_MAX ? NULL : &s->tensors[i];
}

/* Of the first file; NULL when it has none. */
static json_t *metadata(const struct safetensors *s)
{
    return s->n_shards ? json_object_get(s->shards[0].header, "__metadata__") : NULL;
}

struct str safetensors_metadata(const struct safetensors *s, const char *key)
{
    const json_t *v = json_object_get(metadata(s), key);
    return json_is_string(v) ? json_str(v) : (struct str){NULL, 0};
}

bool safetensors_metadata_at(const struct safetensors *s, size_t i, struct str *key,
                             struct str *value)
{
    json_t *o = metadata(s);
    void *it = json_object_iter(o);
    for (; it && i; i--)
        it = json_object_iter_next(o, it);
    if (!it)
        return false;
    *key = (struct str){json_object_iter_key(it), json_object_iter_key_len(it)};
    *value = json_str(json_object_iter_value(it));
    return true;
}
