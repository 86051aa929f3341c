/* GGUF from hostile bytes: whatever opens is read to its last byte. */
#include "format/gguf.h"
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static volatile unsigned sink;

static void touch(const void *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sink += ((const unsigned char *)p)[i];
}

/* An array through every getter; at most as large as the file. */
static void read_array(const struct gguf_kv *kv)
{
    struct err err;
    size_t bytes = (size_t)kv->n * sizeof(struct str);
    void *out = malloc(bytes + 1);
    if (!out)
        return;
    if (gguf_array_strings(kv, out, &err) == OK) {
        const struct str *s = out;
        for (uint64_t i = 0; i < kv->n; i++)
            touch(s[i].p, s[i].n);
    }
    if (gguf_array_ints(kv, out, &err) == OK)
        touch(out, (size_t)kv->n * sizeof(int64_t));
    if (gguf_array_floats(kv, out, &err) == OK)
        touch(out, (size_t)kv->n * sizeof(float));
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct gguf *g;
    struct err err;
    if (gguf_open_mem(&g, data, n, &err) != OK) {
        touch(err.msg, strlen(err.msg));
        return 0;
    }
    for (size_t i = 0; i < gguf_n_kv(g); i++) {
        const struct gguf_kv *kv = gguf_kv_at(g, i);
        int64_t v;
        double f;
        bool yes;
        struct str s;
        char key[64];
        snprintf(key, sizeof key, "%.*s", (int)(kv->key.n < 60 ? kv->key.n : 60), kv->key.p);
        if (gguf_get_int(g, key, &v, 0, &err) == OK && gguf_get_float(g, key, &f, 0, &err) == OK)
            sink += (unsigned)v;
        if (gguf_get_bool(g, key, &yes, false, &err) == OK)
            sink += yes;
        if (gguf_get_str(g, key, &s, &err) == OK && s.p)
            touch(s.p, s.n);
        touch(kv->p, kv->bytes);
        if (kv->type == GGUF_ARRAY)
            read_array(kv);
    }
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct tensor *t = gguf_tensor_at(g, i);
        if (gguf_tensor(g, t->name) != t)
            abort();
        touch(t->data, t->bytes);
    }
    gguf_close(g);
    return 0;
}
