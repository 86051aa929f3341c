/* The integer product for many tokens (see body_mul.h, which includes this): panels of rows in
 * lanes.
 *
 * The vectors of a register tile are 16 rows of one token, or, where a vec_*.h has products of
 * small matrices (MANY_TOKENS is 2), 8 rows of two: lane 2i is row i of the first token, lane 2i +
 * 1 of the second. Lanes are added to lanes only, so what a lane stands for changes nothing until
 * the sums leave. */
#pragma once

#ifndef MANY_VECTORS /* a vec_*.h may choose the register tile: so many vectors for its tokens */
#define MANY_VECTORS 2
#endif
#ifndef MANY_TOKENS /* tokens of a vector */
#define MANY_TOKENS 1
#endif

enum {
    PASS_LANES = 4, /* lanes whose part of a panel stays in the first cache for a chunk of tokens */
    PASS_BLOCKS = PASS_LANES * SPAN_GROUPS,
    N_PASSES = ACT_LANES / PASS_LANES,
    CHUNK_TILES = 16, /* tiles of tokens in a chunk */
    REG_TILE = MANY_VECTORS * TILE_TOKENS / MANY_TOKENS,
    CHUNKS = 8 / MANY_TOKENS, /* of a block: what a lane of one product takes of its columns */
    ROW_VECTORS = MANY_VECTORS / MANY_TOKENS, /* of 16 rows */
};
_Static_assert(TILE_TOKENS % MANY_TOKENS == 0 && MANY_VECTORS % MANY_TOKENS == 0, "whole vectors");

/* A span of ROW_VECTORS * 16 rows, in the lanes of the register tile's vectors. Blocks are in the
 * order in which the product visits them (tile_block). magic: see magic_of. */
struct panel {
    struct panel_block {
        _Alignas(64) uint8_t w[CHUNKS][MANY_VECTORS][64];
        float ws[2][MANY_VECTORS][16], wm[2][MANY_VECTORS][16], magic[MANY_VECTORS][16];
    } block[SPAN_BLOCKS];
};

/* ---- what the number of tokens in a vector changes ---- */

#if MANY_TOKENS == 1
/* a number of a token to its lanes */
INLINE vi many_ints(const int32_t *p)
{
    return vi_bcast(p);
}
INLINE vf many_floats(const float *p)
{
    return vf_set1(*p);
}
/* chunk c of block i of token t */
INLINE vi many_acts(const struct act_tile *x, int i, int c, int t)
{
    return vi_bcast(x->q[i][c / 2][t][c % 2]);
}
INLINE vi many_dot(bool is_signed, int n, vi acc, const vi *w, const vi *x)
{
    return dot_chunks(is_signed, n, acc, w, x);
}
/* Dwords of 16 rows (rows 16 v and on of a panel) to their places: a chunk is one. */
INLINE void many_put(void *to, int v, const vi *dwords)
{
    vi_store((uint8_t *)to + 64 * v, dwords[0]);
}
/* sums of the vectors as those of 16 rows of a token */
INLINE void many_rows_of(vf *out)
{
    (void)out;
}
#else
INLINE vi many_ints(const int32_t *p)
{
    return vi_bcast_2(p);
}
INLINE vf many_floats(const float *p)
{
    return vf_as(vi_bcast_2(p));
}
INLINE vi many_acts(const struct act_tile *x, int i, int c, int t)
{
    return vi_bcast_4(&x->q[i][c][t]);
}
INLINE vi many_dot(bool is_signed, int n, vi acc, const vi *w, const vi *x)
{
    (void)is_signed, (void)n;
    return vi_dot_2x2(acc, *w, *x);
}
INLINE void many_put(void *to, int v, const vi *dwords)
{
    vi z[2];
    vi_zip(dwords[0], dwords[1], z);
    vi_store((uint8_t *)to + 128 * v, z[0]);
    vi_store((uint8_t *)to + 128 * v + 64, z[1]);
}
INLINE void many_rows_of(vf *out)
{
    UNROLL
    for (int z = 0; z < REG_TILE; z += 2)
        vf_unzip(out + z);
}
#endif

/* scales of 16 rows to the lanes of their tokens */
INLINE void many_put_scales(void *to, int v, vi scales)
{
    vi dwords[2] = {scales, scales};
    many_put(to, v, dwords);
}

INLINE int many_step(int halves, bool has_min, bool is_signed)
{
    return MANY_TOKENS == 1 ? chunks_at_once(halves, has_min, is_signed) : 1;
}

/* Rows [r, r + n) (n <= 16; the others are zero), groups [g0, g0 + n_groups), as rows 16 v and on
 * of the panel. */
INLINE void fill_panel(const struct qkind *k, tile_fn *tile, const struct mat *w, int64_t r, int n,
                       int64_t g0, int n_groups, int v, struct panel *panel)
{
    vi u[8][16], ws[2][16], wm[2][16], out[16], chunk[MANY_TOKENS][16];
    if (n < 16) {
        memset(u, 0, sizeof u);
        memset(ws, 0, sizeof ws);
        memset(wm, 0, sizeof wm);
    }
    for (int g = 0; g < n_groups; g++) {
        for (int i = 0; i < n; i++) {
            struct tile t;
            load_tile(k, tile, (const uint8_t *)w->data + (size_t)(r + i) * w->row_bytes, g0 + g,
                      w->cols, end_of(w), 16 * w->row_bytes, &t);
            UNROLL
            for (int c = 0; c < 8; c++)
                u[c][i] = t.u[c];
            UNROLL
            for (int h = 0; h < k->halves; h++) {
                ws[h][i] = vi_as(t.ws[h]);
                if (k->has_min)
                    wm[h][i] = vi_as(t.wm[h]);
            }
        }
        for (int c = 0; c < CHUNKS; c++) {
            for (int m = 0; m < MANY_TOKENS; m++)
                vi_transpose(u[c * MANY_TOKENS + m], chunk[m]);
            for (int j = 0; j < 16; j++) {
                vi dwords[2] = {chunk[0][j], chunk[MANY_TOKENS - 1][j]};
                many_put(panel->block[tile_block(g, j)].w[c], v, dwords);
            }
        }
        for (int h = 0; h < k->halves; h++) {
            vi_transpose(ws[h], out);
            for (int j = 0; j < 16; j++) {
                struct panel_block *b = &panel->block[tile_block(g, j)];
                many_put_scales(b->ws[h], v, out[j]);
                if (h == 0)
                    many_put_scales(b->magic, v, vi_as(magic_of(vf_as(out[j]))));
            }
            if (k->has_min) {
                vi_transpose(wm[h], out);
                for (int j = 0; j < 16; j++)
                    many_put_scales(panel->block[tile_block(g, j)].wm[h], v, out[j]);
            }
        }
    }
}

/* What is the same for all types of the same halves, minimum and sign: the shape of a product. */
struct shape {
    uint8_t halves, has_min, is_signed;
};

/* What the sums of a pass's blocks start from (see start_of), and scale * sum for the minimums. */
INLINE void many_start(struct shape s, int offset_log2, const struct act_tile *x, int first,
                       int32_t start[2][PASS_BLOCKS][TILE_TOKENS],
                       float fsum[2][PASS_BLOCKS][TILE_TOKENS])
{
    UNROLL
    for (int i = 0; i < PASS_BLOCKS * TILE_TOKENS; i += 16) {
        vi lo = vi_load(x->sum_lo[first] + i), hi = vi_load(x->sum_hi[first] + i);
        vi magic = vi_set1(MAGIC_BITS);
        if (s.halves == 1)
            lo = vi_add(lo, hi);
        vi_store(start[0][0] + i, offset_log2 ? vi_sub(magic, vi_sll(lo, offset_log2)) : magic);
        if (s.halves == 2)
            vi_store(start[1][0] + i, offset_log2 ? vi_sub(magic, vi_sll(hi, offset_log2)) : magic);
        if (s.has_min) {
            vf scale = vf_load(x->scale[first] + i);
            vf_store(fsum[0][0] + i, vf_mul(scale, vf_from_vi(lo)));
            if (s.halves == 2)
                vf_store(fsum[1][0] + i, vf_mul(scale, vf_from_vi(hi)));
        }
    }
}
_Static_assert(PASS_BLOCKS *TILE_TOKENS % 16 == 0, "whole vectors");

/* lanes += one block of a tile of tokens: a block's rows by its tokens, all in registers. start:
 * what the sums of its halves start from. */
INLINE void many_block(struct shape s, const struct panel_block *b, const struct act_tile *x, int i,
                       int32_t start[2][PASS_BLOCKS][TILE_TOKENS],
                       float fsum[2][PASS_BLOCKS][TILE_TOKENS], vf *lanes)
{
    vi acc[REG_TILE];
    vf term[REG_TILE];
    int in_pass = i % PASS_BLOCKS;
    UNROLL
    for (int h = 0; h < s.halves; h++) {
        int chunks = CHUNKS / s.halves, step = many_step(s.halves, s.has_min, s.is_signed);
        UNROLL
        for (int z = 0; z < REG_TILE; z++)
            acc[z] = many_ints(&start[h][in_pass][z / MANY_VECTORS * MANY_TOKENS]);
        UNROLL
        for (int c = h * chunks; c < (h + 1) * chunks; c += step) {
            vi w[MANY_VECTORS][4], xb[4];
            UNROLL
            for (int n = 0; n < step; n++)
                UNROLL
            for (int v = 0; v < MANY_VECTORS; v++)
                w[v][n] = vi_load(b->w[c + n][v]);
            UNROLL
            for (int z = 0; z < REG_TILE; z += MANY_VECTORS) {
                UNROLL
                for (int n = 0; n < step; n++)
                    xb[n] = many_acts(x, i, c + n, z / MANY_VECTORS * MANY_TOKENS);
                UNROLL
                for (int v = 0; v < MANY_VECTORS; v++)
                    acc[z + v] = many_dot(s.is_signed, step, acc[z + v], w[v], xb);
            }
        }
        UNROLL
        for (int v = 0; v < MANY_VECTORS; v++) {
            vf ws = vf_load(b->ws[h][v]), magic = vf_load(b->magic[v]);
            UNROLL
            for (int z = v; z < REG_TILE; z += MANY_VECTORS)
                term[z] = h ? vf_fma(ws, vf_sub(vf_as(acc[z]), vf_set1(MAGIC_FLOAT)), term[z])
                            : vf_fma(ws, vf_as(acc[z]), magic);
        }
    }
    UNROLL
    for (int z = 0; z < REG_TILE; z++) {
        int t = z / MANY_VECTORS * MANY_TOKENS, v = z % MANY_VECTORS;
        lanes[z] = vf_fma(many_floats(&x->scale[i][t]), term[z], lanes[z]);
        if (s.has_min)
            lanes[z] = vf_fma(vf_load(b->wm[0][v]), many_floats(&fsum[0][in_pass][t]), lanes[z]);
        if (s.has_min && s.halves == 2)
            lanes[z] = vf_fma(vf_load(b->wm[1][v]), many_floats(&fsum[1][in_pass][t]), lanes[z]);
    }
}

/* Asks for the next pass's or tile's activations, a few lines with every block. */
INLINE void many_ahead(const int8_t *next, int i)
{
    enum { BYTES = 8 * TILE_TOKENS * 4 };
    UNROLL
    for (int k = 0; k < BYTES; k += 64)
        __builtin_prefetch(next + i % PASS_BLOCKS * BYTES + k);
}

/* The blocks of pass p for a tile of tokens: out = the sum of their lanes, added in the order of
 * kernel.h: like carries of a binary counter, which done[] is. */
INLINE void many_pass(struct shape s, int offset_log2, const struct panel *panel, int p,
                      int n_blocks, const struct act_tile *x, const struct act_tile *next, vf *out)
{
    int32_t start[2][PASS_BLOCKS][TILE_TOKENS];
    float fsum[2][PASS_BLOCKS][TILE_TOKENS];
    vf done[2][REG_TILE];
    many_start(s, offset_log2, x, p * PASS_BLOCKS, start, fsum);
    for (int i = 0; i < PASS_LANES; i++) {
        vf lanes[REG_TILE];
        int place = p * PASS_LANES + i, level = 0;
        int groups = (n_blocks - lane_place(place) + ACT_LANES - 1) / ACT_LANES;
        UNROLL
        for (int z = 0; z < REG_TILE; z++)
            lanes[z] = vf_set1(0);
        for (int b = place * SPAN_GROUPS; b < place * SPAN_GROUPS + groups; b++) {
            many_ahead(next->q[p * PASS_BLOCKS][0][0][0], b);
            many_block(s, &panel->block[b], x, b, start, fsum, lanes);
        }
        for (; i >> level & 1; level++)
            UNROLL
        for (int z = 0; z < REG_TILE; z++)
            lanes[z] = vf_add(done[level][z], lanes[z]);
        vf *to = i + 1 < PASS_LANES ? done[level] : out;
        UNROLL
        for (int z = 0; z < REG_TILE; z++)
            to[z] = lanes[z];
    }
}

typedef void pass_fn(int offset_log2, const struct panel *panel, int p, int n_blocks,
                     const struct act_tile *x, const struct act_tile *next, vf *out);

/* aligned: the same instructions were 4 to 11% slower at an odd multiple of 16 bytes (Cascade
 * Lake, AVX2 and AVX-512) */
#define MANY_PASS(name, ...)                                                                       \
    static __attribute__((aligned(64))) void pass_##name(                                          \
        int offset_log2, const struct panel *panel, int p, int n_blocks, const struct act_tile *x, \
        const struct act_tile *next, vf *out)                                                      \
    {                                                                                              \
        many_pass((struct shape){__VA_ARGS__}, offset_log2, panel, p, n_blocks, x, next, out);     \
    }
MANY_PASS(plain, 1, 0, 0)
MANY_PASS(min, 1, 1, 0)
MANY_PASS(halves, 2, 0, 0)
MANY_PASS(halves_min, 2, 1, 0)
#if VEC_DOT_SIGNED
MANY_PASS(signed, 1, 0, 1)
#endif
#undef MANY_PASS

INLINE pass_fn *pass_of(const struct qkind *k)
{
#if VEC_DOT_SIGNED
    if (k->is_signed)
        return pass_signed;
#endif
    if (k->halves == 2)
        return k->has_min ? pass_halves_min : pass_halves;
    return k->has_min ? pass_min : pass_plain;
}

/* y = sum, or y += sum past the first span */
INLINE void many_out(float *y, vf sum, int rows, bool first)
{
    if (rows >= 16)
        vf_store(y, first ? sum : vf_add(vf_load(y), sum));
    else if (rows > 0)
        store_tail(y, first ? sum : vf_add(load_tail(y, rows, 0), sum), rows);
}

/* A panel times tiles of tokens, y at the panel's first row. */
struct many_job {
    const struct qkind *k;
    pass_fn *pass;
    const struct acts *a;
    int64_t t0, t1;
    float *y;
    int64_t y_stride;
    int64_t span;
    int n_blocks, rows;
};

/* Tiles [i0, i1), pass by pass, so that a quarter of the panel stays in the first cache for all of
 * them. */
static void many_chunk(const struct many_job *m, const struct panel *panel, int64_t i0, int64_t i1)
{
    vf done[2][CHUNK_TILES][REG_TILE], out[REG_TILE];
    const struct acts *a = m->a;
    for (int p = 0; p < N_PASSES; p++) {
        for (int64_t i = i0; i < i1; i++) {
            const struct act_tile *x = a->tile + i * a->spans + m->span;
            const struct act_tile *next = i + 1 < i1 ? x + a->spans : x;
            int level = 0;
            m->pass(offset_log2(m->k), panel, p, m->n_blocks, x, next, out);
            for (; p >> level & 1; level++)
                UNROLL
            for (int z = 0; z < REG_TILE; z++)
                out[z] = vf_add(done[level][i - i0][z], out[z]);
            if (p + 1 < N_PASSES) {
                UNROLL
                for (int z = 0; z < REG_TILE; z++)
                    done[level][i - i0][z] = out[z];
                continue;
            }
            many_rows_of(out);
            for (int z = 0; z < REG_TILE; z++) {
                int64_t t = i * TILE_TOKENS + z / ROW_VECTORS;
                int r = z % ROW_VECTORS * 16;
                if (t >= m->t0 && t < m->t1)
                    many_out(m->y + t * m->y_stride + r, out[z], m->rows - r, m->span == 0);
            }
        }
    }
}

typedef void fill_fn(const struct mat *w, int64_t r, int n, int64_t g0, int n_groups, int v,
                     struct panel *panel);

INLINE int at_most(int64_t n, int most)
{
    return n < 0 ? 0 : n < most ? (int)n : most;
}

/* Rows [r0, r1), tokens [t0, t1). Tiles are whole: what lies outside is computed and left. */
static void many_rows(const struct qkind *k, pass_fn *pass, fill_fn *fill, const struct mat *w,
                      int64_t r0, int64_t r1, const struct acts *a, int64_t t0, int64_t t1,
                      float *y, int64_t y_stride)
{
    struct panel panel;
    struct many_job m = {.k = k, .pass = pass, .a = a, .t0 = t0, .t1 = t1, .y_stride = y_stride};
    int64_t first = t0 / TILE_TOKENS, end = (t1 + TILE_TOKENS - 1) / TILE_TOKENS;
    int64_t chunks = (end - first + CHUNK_TILES - 1) / CHUNK_TILES;
    for (int64_t r = r0; r < r1; r += ROW_VECTORS * 16) {
        m.rows = at_most(r1 - r, ROW_VECTORS * 16);
        m.y = y + r;
        for (m.span = 0; m.span < a->spans; m.span++) {
            int64_t g0 = m.span * SPAN_GROUPS;
            int n_groups = at_most(a->groups - g0, SPAN_GROUPS);
            int cols = at_most(w->cols - g0 * ACT_GROUP, SPAN_COLS);
            m.n_blocks = (cols + ACT_BLOCK - 1) / ACT_BLOCK;
            for (int v = 0; v < ROW_VECTORS; v++)
                fill(w, r + 16 * v, at_most(m.rows - 16 * v, 16), g0, n_groups, v, &panel);
            for (int64_t i = 0; i < chunks; i++)
                many_chunk(&m, &panel, first + (end - first) * i / chunks,
                           first + (end - first) * (i + 1) / chunks);
        }
    }
}
