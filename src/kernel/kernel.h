/* CPU arithmetic: one table of function pointers per instruction set, chosen once.
 *
 * Kernels get raw pointers, sizes and row ranges; threads, tiles and models live above. A slot that
 * an instruction set does not fill keeps the best weaker one. HEARTH_CPU_DISABLE=avx512vnni,avx2
 * switches features off (an unknown name is an error).
 *
 * Two arithmetics for products with weights:
 *  - default: activations rounded to int8 in blocks of 32 (one f32 scale each); integer products
 *    within a block, float32 sums over blocks in one fixed order;
 *  - exact: weights expanded to float32, float32 products and sums (fixed order).
 *
 * DETERMINISM: output (row, token) has the same bits whatever the number of tokens in the call,
 * the row range, the threads around it and the instruction set. So a prompt in one piece, in
 * chunks or token by token gives the same logits, on every machine. This works because each
 * operation is defined on 16 lanes, whatever the width of the registers, with every multiply, add
 * and fused multiply-add named. Tests hold every slot and type to it.
 *
 * The order of the default product. Columns are cut into spans of SPAN_COLS, spans into groups of
 * 16 blocks of 32 columns. Block j of a group belongs to lane j. For each block in turn
 *     t = ws * i                     i: integer dot product of the 32 weights with q
 *     t = fma(ws_hi, i_hi, ws_lo * i_lo)   for types with a scale per 16 (Q2_K, Q3_K, Q6_K)
 *     lane = fma(scale, t, lane)
 *     lane = fma(wm, fsum, lane)     for types with a minimum (wm: of the block or of each half)
 * At the end of a span lanes are added pairwise (j and j + 8, then 4, 2, 1); spans are added in
 * order. ws is the block's weight scale in float32 (K types: d times the 6-bit scale, rounded).
 * In the lanes of one row's blocks this runs from the mapped bytes at memory speed (few tokens);
 * with 16 rows in the lanes it is a matrix product without any horizontal sum (many tokens).
 *
 * The order of the exact product and of float weights: element k of a span belongs to lane k % 32,
 * lane = fma(w, x, lane); lanes and spans are added as above (l and l + 16 first). */
#pragma once
#include "base/err.h"
#include "format/quant.h"
#include <stdint.h>

/* A weight matrix: `rows` rows of `cols` elements, each row row_bytes of blocks of `type`. */
struct mat {
    enum qtype type;
    int64_t rows, cols;
    size_t row_bytes;
    const void *data;
};

enum {
    ACT_BLOCK = 32,                    /* columns that share an activation scale */
    ACT_LANES = 16,                    /* blocks in a group */
    ACT_GROUP = ACT_BLOCK * ACT_LANES, /* columns in a group */
    SPAN_GROUPS = 4,
    SPAN_COLS = SPAN_GROUPS * ACT_GROUP, /* columns summed in lanes before lanes are added */
    SPAN_BLOCKS = SPAN_COLS / ACT_BLOCK,
    TILE_TOKENS = 6, /* tokens of an act_tile */
};

/* 512 activations of one token, rounded: x is about q * scale. Dword (c, j) of q holds columns
 * 4c .. 4c + 3 of block j, so that one 64-byte vector feeds all 16 lanes and one dword can be
 * broadcast. Blocks past the last column are zero. A block whose largest magnitude is below 2^-100
 * rounds to zero; a block with an infinity or NaN gets scale NaN. */
struct act_group {
    int8_t q[8][ACT_LANES][4];
    float scale[ACT_LANES];
    int32_t sum[ACT_LANES], sum_lo[ACT_LANES], sum_hi[ACT_LANES];  /* of q: block, its halves */
    float fsum[ACT_LANES], fsum_lo[ACT_LANES], fsum_hi[ACT_LANES]; /* scale * sum */
};

/* The same numbers of a span of TILE_TOKENS tokens, as the product with many tokens reads them:
 * from one end to the other, eight columns of a token at a time: columns 8p + 4h .. 8p + 4h + 3 of
 * a block are q[.][p][token][h]. Block g * ACT_LANES + j of the span is at tile_block(g, j). A
 * tile's last tokens may be missing: their slots hold anything. */
struct act_tile {
    int8_t q[SPAN_BLOCKS][4][TILE_TOKENS][2][4];
    float scale[SPAN_BLOCKS][TILE_TOKENS];
    int32_t sum_lo[SPAN_BLOCKS][TILE_TOKENS], sum_hi[SPAN_BLOCKS][TILE_TOKENS];
};

/* Lanes are added j and j + 8 first, then 4, 2, 1 apart. In this order of places (the bits of j in
 * reverse; its own inverse) neighbours are added first. */
static inline int lane_place(int j)
{
    return (j & 1) << 3 | (j & 2) << 1 | (j & 4) >> 1 | j >> 3;
}

static inline int tile_block(int g, int j)
{
    return lane_place(j) * SPAN_GROUPS + g;
}

/* Activations (n, cols), prepared once and multiplied with several matrices. */
struct acts {
    int64_t n, cols;
    const float *x; /* (n, cols), rows x_stride floats apart; borrowed */
    int64_t x_stride;
    int64_t groups;        /* ceil(cols / ACT_GROUP) */
    int64_t spans;         /* ceil(cols / SPAN_COLS) */
    struct act_group *g;   /* (n, groups) */
    struct act_tile *tile; /* (ceil(n / TILE_TOKENS), spans) */
};

enum kv_type { KV_F16, KV_F32, KV_Q8 }; /* element type of the KV cache */

enum {
    KV_PAGE = 64,   /* positions of a page of the cache: what attention meets at a time */
    KV_TILE = 16,   /* positions of a tile of keys */
    QUERY_TILE = 8, /* queries of a tile */
    ATTN_STATE = 2, /* floats of a state (attn_weights) before what was mixed */
};

struct kernel_ops {
    const char *isa;

    /* Fills a->g and a->tile for rows [t0, t1). */
    void (*acts_quantize)(struct acts *a, int64_t t0, int64_t t1);

    /* y[t * y_stride + r] = sum_k w[r][k] * a[t][k] for r in [r0, r1), all t in [t0, t1).
     * One function per weight type (NULL for types that are no weights). `mul` is the default
     * arithmetic (types F32, F16 and BF16 use a->x and need no acts_quantize), `mul_exact` the
     * exact one, from a->x. Row ranges that are multiples of 32 suit many tokens best. Uses up to
     * 160 KB of stack. */
    void (*mul[QT_COUNT])(const struct mat *w, int64_t r0, int64_t r1, const struct acts *a,
                          int64_t t0, int64_t t1, float *y, int64_t y_stride);
    void (*mul_exact)(const struct mat *w, int64_t r0, int64_t r1, const struct acts *a, int64_t t0,
                      int64_t t1, float *y, int64_t y_stride);

    float (*dot)(const float *a, const float *b, int64_t n);
    void (*add)(float *y, const float *x, int64_t n);           /* y += x */
    void (*axpy)(float *y, float s, const float *x, int64_t n); /* y += s * x */
    void (*scale)(float *y, float s, int64_t n);                /* y *= s */

    /* y = x / sqrt(mean(x^2) + eps) * (w + offset); w may be NULL (ones). Zhang and Sennrich 2019
     */
    void (*rmsnorm)(float *y, const float *x, const float *w, float offset, float eps, int64_t n);
    /* y = (x - mean) / sqrt(var + eps) * w + b; w and b may be NULL. Ba et al. 2016 */
    void (*layernorm)(float *y, const float *x, const float *w, const float *b, float eps,
                      int64_t n);

    /* y[i] = act(gate[i]) * up[i]; up may be NULL (plain activation); y may alias gate */
    void (*silu)(float *y, const float *gate, const float *up, int64_t n);
    void (*gelu_tanh)(float *y, const float *gate, const float *up, int64_t n);
    void (*gelu_erf)(float *y, const float *gate, const float *up, int64_t n);

    float (*max)(const float *x, int64_t n); /* -INFINITY when there is none */
    /* x = exp(x - top) in place, and their sum */
    float (*exp_sum)(float *x, int64_t n, float top);
    void (*softmax)(float *x, int64_t n);            /* x = exp(x - max) / sum, in place */
    void (*softcap)(float *x, float cap, int64_t n); /* x = cap * tanh(x / cap) */

    /* Rotates pairs of one head in place (RoFormer, Su et al. 2021). cos and sin: n_rot / 2 values.
     * rope_half pairs (i, i + n_rot/2), rope_pairs pairs (2i, 2i + 1); dims >= n_rot unchanged. */
    void (*rope_half)(float *x, const float *cos, const float *sin, int64_t n_rot);
    void (*rope_pairs)(float *x, const float *cos, const float *sin, int64_t n_rot);

    /* A row of the KV cache: n floats to kv_row_bytes(type, n) bytes. */
    void (*kv_store[3])(void *dst, const float *src, int64_t n);

    /* n_pos positions of the cache in the layout of type KV_F32, for which these are NULL. Whole
     * tiles of keys (see kv_key_put): the last one's positions past n_pos are of no meaning. */
    void (*kv_expand_keys[3])(float *dst, const void *src, int64_t n_pos, int64_t n);
    void (*kv_expand_values[3])(float *dst, const void *src, int64_t n_pos, int64_t n);

    /* Attention of n_q queries to n_pos positions (1 to KV_PAGE) of a head of n dimensions. Scores
     * and weights have KV_PAGE floats for each query.
     *
     * scores[i][t] = scale * sum_d q[i][d] * key[t][d], in order of d. q: tiles (query_put), keys:
     * tiles (kv_key_put). Scores past n_pos are of no meaning. Meanwhile next_bytes from next
     * (NULL: none) on are asked for, which will be read soon. */
    void (*attn_scores[3])(float *scores, const float *q, int64_t n_q, const void *keys,
                           int64_t n_pos, int64_t n, float scale, const void *next,
                           size_t next_bytes);
    /* Scores become weights, exp(score - top), under the running maximum of their query: states
     * (n_q of them, state_stride floats apart) hold top (-INFINITY at first), the sum of the
     * weights so far and n floats that were mixed with them, which are scaled down when top
     * grows. */
    void (*attn_weights)(float *states, int64_t state_stride, int64_t n, float *scores, int64_t n_q,
                         int64_t n_pos);
    /* out[i][d] += sum_t weight[i][t] * value[t][d], in order of t; rows of values are row_bytes
     * apart. next: as above. */
    void (*attn_mix[3])(float *out, int64_t out_stride, const float *weights, int64_t n_q,
                        const void *values, size_t row_bytes, int64_t n_pos, int64_t n,
                        const void *next, size_t next_bytes);
};

/* Bytes of one cached row of n floats. KV_Q8: blocks of 32 as f16 scale and 32 int8 (Q8_0); a
 * last partial block is padded with zeros. */
size_t kv_row_bytes(enum kv_type t, int64_t n);

/* Keys are cached in tiles of KV_TILE positions, whose lanes attention works on at once:
 * [dimension][position], and of KV_Q8 for each 32 dimensions [position] scales and [32][position]
 * int8. A tile has the bytes of its rows. These copy a row, as kv_store made it, to position `at`
 * of a tile and back. */
void kv_key_put(enum kv_type t, void *tile, int64_t at, const void *row, int64_t n);
void kv_key_get(enum kv_type t, const void *tile, int64_t at, void *row, int64_t n);

/* Positions of the tiles that n_pos positions fill or begin. */
static inline int64_t kv_whole_tiles(int64_t n_pos)
{
    return (n_pos + KV_TILE - 1) / KV_TILE * KV_TILE;
}

/* Queries of n floats in tiles of QUERY_TILE, [dimension][query]: where the first element of query
 * i stands, and all of one put there. */
static inline int64_t query_at(int64_t i, int64_t n)
{
    return i / QUERY_TILE * QUERY_TILE * n + i % QUERY_TILE;
}

/* Floats of n_q queries in whole tiles. */
static inline int64_t query_floats(int64_t n_q, int64_t n)
{
    return (n_q + QUERY_TILE - 1) / QUERY_TILE * QUERY_TILE * n;
}

static inline void query_put(float *tiles, int64_t i, const float *q, int64_t n)
{
    tiles += query_at(i, n);
    for (int64_t d = 0; d < n; d++)
        tiles[d * QUERY_TILE] = q[d];
}

/* The best table for this machine; the first call chooses (thread-safe), later calls are free.
 * Aborts never; kernel_check tells about a bad HEARTH_CPU_DISABLE. */
const struct kernel_ops *kernel_ops(void);
NODISCARD enum status kernel_check(struct err *err);

/* Tables by strength for tests: [0] is scalar; NULL past the last one this CPU supports. */
const struct kernel_ops *kernel_ops_at(int i);

/* Names of the detected (and not disabled) CPU features, "avx2 fma f16c avx512f ...". */
const char *kernel_cpu_features(void);

/* Row `to` of dst becomes row `from` of src, as acts_quantize prepared it; the same columns. */
void acts_copy(struct acts *dst, int64_t to, const struct acts *src, int64_t from);

/* Bytes and layout of prepared activations inside one caller-provided, 64-byte aligned block.
 * acts_bytes is SIZE_MAX when the size overflows. */
size_t acts_bytes(int64_t n, int64_t cols);
void acts_init(struct acts *a, void *block, const float *x, int64_t x_stride, int64_t n,
               int64_t cols);
