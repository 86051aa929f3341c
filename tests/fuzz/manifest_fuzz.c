/* Manifests from hostile bytes: digests that are taken are digests, sizes add up. */
#include "store/store_int.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct manifest m;
    struct arena arena;
    struct err err;
    arena_init(&arena, 64 << 20);
    if (manifest_parse(&m, (struct str){(const char *)data, n}, "manifest", &arena, &err) == OK) {
        uint64_t total = m.config_size;
        for (size_t i = 0; i < m.n; i++) {
            const struct store_layer *l = &m.layers[i];
            total += l->size;
            if (!digest_valid(l->digest) || l->digest.p[6] != ':' || !l->media_type.p ||
                l->kind != layer_kind_of(l->media_type))
                abort();
        }
        if (total != m.total || (m.config_digest.p && !digest_valid(m.config_digest)))
            abort();
    }
    arena_release(&arena);
    return 0;
}
