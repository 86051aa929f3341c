/* safetensors from hostile bytes: whatever opens is read to its last byte. */
#include "format/safetensors.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static volatile unsigned sink;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct safetensors *s;
    struct err err;
    if (safetensors_open_mem(&s, data, n, &err) != OK) {
        sink += (unsigned)strlen(err.msg);
        return 0;
    }
    size_t bytes = 0;
    for (size_t i = 0; i < safetensors_n_tensors(s); i++) {
        const struct tensor *t = safetensors_tensor_at(s, i);
        if (safetensors_tensor(s, t->name) != t)
            abort();
        for (size_t k = 0; k < t->bytes; k++)
            sink += ((const unsigned char *)t->data)[k];
        sink += (unsigned)tensor_elems(t);
        bytes += t->bytes;
    }
    if (bytes > n) /* no overlap: never more than there is */
        abort();
    sink += (unsigned)safetensors_metadata(s, "format").n;
    safetensors_close(s);
    return 0;
}
