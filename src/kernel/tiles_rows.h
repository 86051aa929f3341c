/* Tiles for 128-bit vectors: each block is unpacked to 32 bytes in order (with its own
 * vector code where unpack.h's loop is not good enough), 16 of them are transposed. Include between
 * a vec_*.h that gives dwords_of_rows and body_mul.h. */
#pragma once

struct rows16 {
    _Alignas(64) uint8_t u[16][32];
    _Alignas(64) float ws[2][16];
    _Alignas(64) float wm[2][16];
};

INLINE void tile_of_rows(const struct qkind *k, const struct rows16 *r, struct tile *t)
{
    dwords_of_rows(r->u[0], t->u);
    UNROLL
    for (int h = 0; h < k->halves; h++) {
        t->ws[h] = vf_load(r->ws[h]);
        if (k->has_min)
            t->wm[h] = vf_load(r->wm[h]);
    }
}

#define TILE_BY_BLOCKS(id, name, ...)                                                              \
    INLINE void tile_##name(const uint8_t *p, struct tile *t)                                      \
    {                                                                                              \
        struct rows16 r;                                                                           \
        for (int j = 0; j < 16; j++) {                                                             \
            struct block32 b;                                                                      \
            int c = j * ACT_BLOCK;                                                                 \
            unpack_##name(p + c / kind_##name.block_cols * kind_##name.block_bytes,                \
                          c % kind_##name.block_cols / ACT_BLOCK, &b);                             \
            memcpy(r.u[j], b.u, 32);                                                               \
            for (int h = 0; h < 2; h++) {                                                          \
                r.ws[h][j] = b.ws[h];                                                              \
                r.wm[h][j] = b.wm[h];                                                              \
            }                                                                                      \
        }                                                                                          \
        tile_of_rows(&kind_##name, &r, t);                                                         \
    }
QUANT_KINDS(TILE_BY_BLOCKS)
#undef TILE_BY_BLOCKS
