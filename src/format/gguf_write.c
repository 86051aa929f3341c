/* Writing GGUF v3. Keys and tensor descriptions collect in memory; data streams to the file, so
 * that a model of any size passes through without being held. The finished file gets its name by a
 * rename: nobody ever sees half of one. */
#include "format/gguf_int.h"
#include "base/mem.h"
#include "base/show.h"
#include <stdlib.h>

/* Ceiling on keys plus tensor descriptions; a 256k vocabulary with merges takes about 20 MB. */
enum { HEADER_MAX = 1 << 30 };

struct gguf_writer {
    struct file_writer file;
    struct buf kvs, infos;
    uint64_t n_kv, n_tensors, alignment, data_bytes;
    size_t *tensor_bytes; /* as declared */
    size_t cap;
    size_t current, written; /* tensor being written, bytes of it so far */
    bool header_done;
    struct err err; /* the first thing that went wrong */
};

static void fail(struct gguf_writer *w, enum status code, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void fail(struct gguf_writer *w, enum status code, const char *fmt, ...)
{
    if (w->err.code != OK)
        return;
    va_list ap;
    va_start(ap, fmt);
    err_setv(&w->err, code, fmt, ap);
    va_end(ap);
}

/* Takes over the open file. */
static enum status writer_new(struct gguf_writer **out, struct file_writer *file, struct err *err)
{
    struct gguf_writer *w = mem_array(1, sizeof *w);
    if (!w) {
        err_set(err, ENOMEMORY, "no memory to write '%s'", file->path);
        file_writer_abort(file);
        return ENOMEMORY;
    }
    w->file = *file;
    buf_init(&w->kvs, HEADER_MAX);
    buf_init(&w->infos, HEADER_MAX);
    w->alignment = GGUF_ALIGNMENT;
    *out = w;
    return OK;
}

enum status gguf_writer_open(struct gguf_writer **out, const char *path, struct err *err)
{
    struct file_writer file;
    *out = NULL;
    enum status s = file_writer_open(&file, path, err);
    return s == OK ? writer_new(out, &file, err) : s;
}

enum status gguf_writer_fd(struct gguf_writer **out, int fd, const char *name, struct err *err)
{
    struct file_writer file;
    *out = NULL;
    enum status s = file_writer_fd(&file, fd, name, err);
    return s == OK ? writer_new(out, &file, err) : s;
}

static void put_u32(struct buf *b, uint32_t v)
{
    buf_add(b, &v, sizeof v);
}

static void put_u64(struct buf *b, uint64_t v)
{
    buf_add(b, &v, sizeof v);
}

static void put_string(struct buf *b, struct str s)
{
    put_u64(b, s.n);
    buf_addstr(b, s);
}

static struct buf *put_key(struct gguf_writer *w, struct str key, enum gguf_type type)
{
    if (w->header_done)
        fail(w, EFAIL, "key '%s' put after the header was written", show(key).s);
    put_string(&w->kvs, key);
    put_u32(&w->kvs, type);
    w->n_kv++;
    return &w->kvs;
}

static void put_scalar(struct gguf_writer *w, const char *key, enum gguf_type type, const void *v)
{
    buf_add(put_key(w, str_from(key), type), v, gguf_type_bytes(type));
}

/* Tensor offsets depend on it, so it comes before the first tensor. */
static void set_alignment(struct gguf_writer *w, uint64_t v)
{
    if (v == 0 || v % 8 || v > UINT32_MAX || w->n_tensors)
        fail(w, EUSAGE, "'general.alignment' is %llu%s, expected a multiple of 8 before any tensor",
             (unsigned long long)v, w->n_tensors ? " after a tensor" : "");
    else
        w->alignment = v;
}

void gguf_put_u32(struct gguf_writer *w, const char *key, uint32_t v)
{
    put_scalar(w, key, GGUF_U32, &v);
    if (strcmp(key, "general.alignment") == 0)
        set_alignment(w, v);
}

void gguf_put_u64(struct gguf_writer *w, const char *key, uint64_t v)
{
    put_scalar(w, key, GGUF_U64, &v);
}

void gguf_put_i32(struct gguf_writer *w, const char *key, int32_t v)
{
    put_scalar(w, key, GGUF_I32, &v);
}

void gguf_put_f32(struct gguf_writer *w, const char *key, float v)
{
    put_scalar(w, key, GGUF_F32, &v);
}

void gguf_put_bool(struct gguf_writer *w, const char *key, bool v)
{
    unsigned char byte = v;
    put_scalar(w, key, GGUF_BOOL, &byte);
}

void gguf_put_str(struct gguf_writer *w, const char *key, struct str v)
{
    put_string(put_key(w, str_from(key), GGUF_STRING), v);
}

static struct buf *put_array(struct gguf_writer *w, const char *key, enum gguf_type elem, size_t n)
{
    struct buf *b = put_key(w, str_from(key), GGUF_ARRAY);
    put_u32(b, elem);
    put_u64(b, n);
    return b;
}

void gguf_put_strs(struct gguf_writer *w, const char *key, const struct str *v, size_t n)
{
    struct buf *b = put_array(w, key, GGUF_STRING, n);
    for (size_t i = 0; i < n; i++)
        put_string(b, v[i]);
}

void gguf_put_i32s(struct gguf_writer *w, const char *key, const int32_t *v, size_t n)
{
    buf_add(put_array(w, key, GGUF_I32, n), v, n * sizeof *v);
}

void gguf_put_f32s(struct gguf_writer *w, const char *key, const float *v, size_t n)
{
    buf_add(put_array(w, key, GGUF_F32, n), v, n * sizeof *v);
}

void gguf_put_kv(struct gguf_writer *w, const struct gguf_kv *kv)
{
    struct buf *b = put_key(w, kv->key, kv->type);
    if (kv->type == GGUF_ARRAY) {
        put_u32(b, kv->elem_type);
        put_u64(b, kv->n);
    } else if (kv->type == GGUF_STRING) {
        put_u64(b, kv->bytes);
    }
    buf_add(b, kv->p, kv->bytes);
    if (str_is(kv->key, "general.alignment") && kv->bytes <= 8) {
        uint64_t v = 0;
        memcpy(&v, kv->p, kv->bytes);
        set_alignment(w, v);
    }
}

static uint64_t padded(const struct gguf_writer *w, uint64_t n)
{
    return (n + w->alignment - 1) / w->alignment * w->alignment;
}

void gguf_put_tensor(struct gguf_writer *w, struct str name, enum qtype type, int n_dims,
                     const int64_t *ne)
{
    struct tensor t = {.name = name, .type = type, .n_dims = n_dims, .ne = {1, 1, 1, 1}};
    if (n_dims < 0 || n_dims > TENSOR_DIMS || type >= QT_COUNT || w->header_done) {
        fail(w, EFAIL, "tensor '%s' put with %d dimensions and type %d%s", show(name).s, n_dims,
             (int)type, w->header_done ? " after the header" : "");
        return;
    }
    memcpy(t.ne, ne, (size_t)n_dims * sizeof *ne);
    if (w->n_tensors == w->cap) {
        size_t cap = w->cap ? w->cap * 2 : 256;
        size_t *p = mem_resize(w->tensor_bytes, cap, sizeof *p);
        if (!p) {
            fail(w, ENOMEMORY, "no memory for %zu tensors", cap);
            return;
        }
        w->tensor_bytes = p;
        w->cap = cap;
    }
    if (tensor_size(&t, w->err.code == OK ? &w->err : NULL) != OK)
        return;
    w->tensor_bytes[w->n_tensors++] = t.bytes;
    put_string(&w->infos, name);
    put_u32(&w->infos, (uint32_t)n_dims);
    for (int d = 0; d < n_dims; d++)
        put_u64(&w->infos, (uint64_t)ne[d]);
    put_u32(&w->infos, qtype_info(type)->gguf_id);
    put_u64(&w->infos, w->data_bytes);
    w->data_bytes = padded(w, w->data_bytes + t.bytes);
}

static void put_padding(struct gguf_writer *w, uint64_t n)
{
    static const char zeros[256];
    for (uint64_t left = padded(w, n) - n; left;) {
        size_t part = left < sizeof zeros ? (size_t)left : sizeof zeros;
        file_writer_put(&w->file, zeros, part);
        left -= part;
    }
}

void gguf_write_header(struct gguf_writer *w)
{
    struct buf head;
    buf_init(&head, 64);
    buf_adds(&head, "GGUF");
    put_u32(&head, 3);
    put_u64(&head, w->n_tensors);
    put_u64(&head, w->n_kv);
    if (buf_check(&w->kvs, "metadata", NULL) != OK || buf_check(&w->infos, "", NULL) != OK)
        fail(w, ELIMIT, "metadata and tensor descriptions would pass %d bytes", HEADER_MAX);
    file_writer_put(&w->file, head.p, head.n);
    file_writer_put(&w->file, w->kvs.p, w->kvs.n);
    file_writer_put(&w->file, w->infos.p, w->infos.n);
    put_padding(w, head.n + w->kvs.n + w->infos.n);
    w->header_done = true;
    buf_release(&head);
    buf_release(&w->kvs);
    buf_release(&w->infos);
}

void gguf_write_data(struct gguf_writer *w, const void *p, size_t n)
{
    const char *at = p;
    if (!w->header_done)
        fail(w, EFAIL, "tensor data written before the header");
    while (n && w->err.code == OK) {
        if (w->current >= w->n_tensors) {
            fail(w, EFAIL, "%zu bytes written past the last tensor", n);
            return;
        }
        size_t left = w->tensor_bytes[w->current] - w->written, part = n < left ? n : left;
        file_writer_put(&w->file, at, part);
        at += part;
        n -= part;
        w->written += part;
        if (w->written == w->tensor_bytes[w->current]) {
            put_padding(w, w->written);
            w->written = 0;
            w->current++;
        }
    }
}

bool gguf_writer_failed(const struct gguf_writer *w)
{
    return w->err.code != OK || w->file.failed;
}

static void writer_free(struct gguf_writer *w)
{
    buf_release(&w->kvs);
    buf_release(&w->infos);
    free(w->tensor_bytes);
    free(w);
}

enum status gguf_writer_commit(struct gguf_writer *w, struct err *err)
{
    /* empty tensors at the end need no gguf_write_data */
    while (w->current < w->n_tensors && w->tensor_bytes[w->current] == 0)
        w->current++;
    if (!w->file.failed && (!w->header_done || w->current < w->n_tensors))
        fail(w, EFAIL, "%zu of %llu tensors were written", w->current,
             (unsigned long long)w->n_tensors);
    enum status s = OK;
    if (w->err.code != OK) {
        s = err_set(err, w->err.code, "%s", w->err.msg);
        file_writer_abort(&w->file);
    } else {
        s = file_writer_commit(&w->file, err);
    }
    writer_free(w);
    return s;
}

void gguf_writer_abort(struct gguf_writer *w)
{
    if (!w)
        return;
    file_writer_abort(&w->file);
    writer_free(w);
}
