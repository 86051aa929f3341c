/* What the files of the GGUF reader share. Private to gguf*.c. */
#pragma once
#include "base/file.h"
#include "format/gguf.h"
#include "format/name_index.h"

enum {
    GGUF_TYPE_COUNT = GGUF_F64 + 1,
    GGUF_ALIGNMENT = 32,   /* without general.alignment */
    GGUF_ARRAY_DEPTH = 4,  /* arrays inside arrays */
    GGUF_KEY_MAX = 65535,  /* bytes of a key, by the specification */
    GGUF_SPLITS_MAX = 4096 /* files of one split model */
};

/* One mapped file and the part of it that holds tensor data. */
struct gguf_part {
    struct file_map map; /* map.n is 0 when the bytes are borrowed */
    const unsigned char *p, *data;
    size_t n;
};

struct gguf {
    uint32_t version;
    uint64_t alignment;
    struct gguf_kv *kv;
    size_t n_kv;
    struct tensor *tensors; /* of all parts, in order */
    size_t n_tensors;
    struct name_index kv_index, tensor_index;
    struct gguf_part *parts;
    size_t n_parts;
};

/* "u32", "string" ...; "?" when out of range */
const char *gguf_type_name(uint32_t t);
/* bytes of a number or bool, 0 for strings and arrays */
size_t gguf_type_bytes(uint32_t t);
