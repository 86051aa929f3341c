/* A tile: one row's group of 16 blocks, one to a lane, eight dwords deep; what the integer product
 * works on. Include after a vec_*.h. */
#pragma once

struct tile {
    vi u[8];
    vf ws[2], wm[2];
};

/* p: 512 columns of a row, whole blocks, all readable */
typedef void tile_fn(const uint8_t *p, struct tile *t);
