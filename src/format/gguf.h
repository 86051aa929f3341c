/* GGUF v2 and v3 (little-endian), one file or split (-00001-of-0000N.gguf: give the first).
 * Source: the GGUF specification (ggml, docs/gguf.md).
 *
 * The file is mapped read-only and checked in full when opened: magic, counts against the file
 * size, string lengths, types, alignment, tensor sizes, offsets and overlaps. Everything returned
 * is borrowed from the mapping and valid until gguf_close. */
#pragma once
#include "base/buf.h"
#include "format/tensor.h"

enum gguf_type {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
};

/* A metadata value. Arrays keep their raw bytes; strings in arrays are walked with
 * gguf_array_strings or gguf_iter. */
struct gguf_kv {
    struct str key;
    enum gguf_type type;
    enum gguf_type elem_type; /* of an array */
    uint64_t n;               /* elements of an array */
    const unsigned char *p;   /* the value's bytes (a string's or array's content) */
    size_t bytes;
};

struct gguf;

NODISCARD enum status gguf_open(struct gguf **out, const char *path, struct err *err);
/* From memory (fuzzing, tests): data is borrowed until close. */
NODISCARD enum status gguf_open_mem(struct gguf **out, const void *data, size_t n, struct err *err);
void gguf_close(struct gguf *g);
bool gguf_broken(const struct gguf *g); /* file_map_broken of one of its files */

uint32_t gguf_version(const struct gguf *g);
size_t gguf_n_kv(const struct gguf *g);
const struct gguf_kv *gguf_kv_at(const struct gguf *g, size_t i);
const struct gguf_kv *gguf_find(const struct gguf *g, const char *key); /* NULL: absent */

size_t gguf_n_tensors(const struct gguf *g);
const struct tensor *gguf_tensor_at(const struct gguf *g, size_t i);
const struct tensor *gguf_tensor(const struct gguf *g, struct str name); /* hashed; NULL: absent */

/* Typed getters: `absent` when the key is not there; EFORMAT naming the key, what was found and
 * what was expected when it has another kind or is out of range. Any integer width serves for
 * ints, any float width (or integer) for floats. */
NODISCARD enum status gguf_get_int(const struct gguf *g, const char *key, int64_t *out,
                                   int64_t absent, struct err *err);
NODISCARD enum status gguf_get_float(const struct gguf *g, const char *key, double *out,
                                     double absent, struct err *err);
NODISCARD enum status gguf_get_bool(const struct gguf *g, const char *key, bool *out, bool absent,
                                    struct err *err);
NODISCARD enum status gguf_get_str(const struct gguf *g, const char *key, struct str *out,
                                   struct err *err); /* absent: out->p = NULL */

/* Arrays. out has kv->n places. The kv has been checked to be an array of strings / numbers. */
NODISCARD enum status gguf_array_strings(const struct gguf_kv *kv, struct str *out,
                                         struct err *err);
NODISCARD enum status gguf_array_floats(const struct gguf_kv *kv, float *out, struct err *err);
NODISCARD enum status gguf_array_ints(const struct gguf_kv *kv, int64_t *out, struct err *err);

/* ---- writing ---- */

/* Collects metadata and tensor descriptions, then streams the data:
 *   gguf_writer_open; gguf_put_*; gguf_put_tensor (all); gguf_write_header; then, tensor by tensor
 *   in the same order, gguf_write_data (any number of calls, in total the declared bytes);
 *   gguf_writer_commit renames the finished file into place, gguf_writer_abort leaves nothing.
 * Errors are sticky and told by commit. */
struct gguf_writer;

NODISCARD enum status gguf_writer_open(struct gguf_writer **out, const char *path, struct err *err);
/* To an open descriptor (borrowed); `name` is for messages. */
NODISCARD enum status gguf_writer_fd(struct gguf_writer **out, int fd, const char *name,
                                     struct err *err);
void gguf_put_u32(struct gguf_writer *w, const char *key, uint32_t v);
void gguf_put_u64(struct gguf_writer *w, const char *key, uint64_t v);
void gguf_put_i32(struct gguf_writer *w, const char *key, int32_t v);
void gguf_put_f32(struct gguf_writer *w, const char *key, float v);
void gguf_put_bool(struct gguf_writer *w, const char *key, bool v);
void gguf_put_str(struct gguf_writer *w, const char *key, struct str v);
void gguf_put_strs(struct gguf_writer *w, const char *key, const struct str *v, size_t n);
void gguf_put_i32s(struct gguf_writer *w, const char *key, const int32_t *v, size_t n);
void gguf_put_f32s(struct gguf_writer *w, const char *key, const float *v, size_t n);
void gguf_put_kv(struct gguf_writer *w, const struct gguf_kv *kv); /* copied from a read file */
void gguf_put_tensor(struct gguf_writer *w, struct str name, enum qtype type, int n_dims,
                     const int64_t *ne);
void gguf_write_header(struct gguf_writer *w);
void gguf_write_data(struct gguf_writer *w, const void *p, size_t n);
/* Whether commit will fail: the caller may stop early. */
bool gguf_writer_failed(const struct gguf_writer *w);
NODISCARD enum status gguf_writer_commit(struct gguf_writer *w, struct err *err); /* frees w */
void gguf_writer_abort(struct gguf_writer *w);                                    /* frees w */
