/* acts_quantize on 16 lanes; include after body_rows.h. */
#pragma once

/* Largest magnitude of 32 values, as float bits (so that NaN > inf > all numbers). */
INLINE int32_t block_top(vf a, vf b)
{
    vi mask = vi_set1(INT32_MAX);
    return vi_hmax(vi_max(vi_and(vi_as(a), mask), vi_and(vi_as(b), mask)));
}

/* 32 values to int8 and their scale (see struct act_group). */
INLINE float quantize_block(vf a, vf b, int8_t q[32])
{
    int32_t top = block_top(a, b);
    float amax, inv = 0, scale = 0;
    memcpy(&amax, &top, 4);
    if (top >= 0x7f800000) {
        memset(q, 0, 32);
        return NAN;
    }
    if (amax >= 0x1p-100f) {
        scale = amax / 127.0f;
        inv = 127.0f / amax;
    }
    vf vinv = vf_set1(inv);
    vi_store_s8(q, vi_round(vf_mul(a, vinv)));
    vi_store_s8(q + 16, vi_round(vf_mul(b, vinv)));
    return scale;
}

static void group_sums(struct act_group *g)
{
    vi ones = vi_set1(0x01010101), lo = vi_set1(0), hi = vi_set1(0);
    for (int c = 0; c < 4; c++) {
        lo = vi_dot_us(lo, ones, vi_load(g->q[c]));
        hi = vi_dot_us(hi, ones, vi_load(g->q[c + 4]));
    }
    vi sum = vi_add(lo, hi);
    vf s = vf_load(g->scale);
    vi_store(g->sum, sum);
    vi_store(g->sum_lo, lo);
    vi_store(g->sum_hi, hi);
    vf_store(g->fsum, vf_mul(s, vf_from_vi(sum)));
    vf_store(g->fsum_lo, vf_mul(s, vf_from_vi(lo)));
    vf_store(g->fsum_hi, vf_mul(s, vf_from_vi(hi)));
}

/* A finished group into slot t of its tile. */
static void tile_group(const struct act_group *g, int i, struct act_tile *tile, int t)
{
    for (int j = 0; j < ACT_LANES; j++) {
        int b = tile_block(i, j);
        for (int c = 0; c < 8; c++)
            memcpy(tile->q[b][c / 2][t][c % 2], g->q[c][j], 4);
        tile->scale[b][t] = g->scale[j];
        tile->sum_lo[b][t] = g->sum_lo[j];
        tile->sum_hi[b][t] = g->sum_hi[j];
    }
}

static void acts_quantize(struct acts *a, int64_t t0, int64_t t1)
{
    for (int64_t t = t0; t < t1; t++) {
        const float *x = a->x + t * a->x_stride;
        struct act_tile *tiles = a->tile + t / TILE_TOKENS * a->spans;
        for (int64_t i = 0; i < a->groups; i++) {
            struct act_group *g = a->g + t * a->groups + i;
            int64_t k0 = i * ACT_GROUP, left = a->cols - k0;
            if (left < ACT_GROUP)
                memset(g, 0, sizeof *g);
            for (int j = 0; j < ACT_LANES && left > 0; j++, left -= ACT_BLOCK) {
                const float *p = x + k0 + j * ACT_BLOCK;
                int8_t q[32];
                if (left >= ACT_BLOCK)
                    g->scale[j] = quantize_block(vf_load(p), vf_load(p + 16), q);
                else
                    g->scale[j] = quantize_block(
                        load_tail(p, left, 0), load_tail(p + 16, left > 16 ? left - 16 : 0, 0), q);
                for (int c = 0; c < 8; c++)
                    memcpy(g->q[c][j], q + 4 * c, 4);
            }
            group_sums(g);
            tile_group(g, (int)(i % SPAN_GROUPS), &tiles[i / SPAN_GROUPS], (int)(t % TILE_TOKENS));
        }
    }
}
