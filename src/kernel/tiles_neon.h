/* Tiles (see body_mul.h) of every type with 128-bit registers. A register has four lanes: a quarter
 * of a tile, which is four blocks of 32 or half a super-block. Rows of 16 bytes, one to a block,
 * are transposed, so that a lane is a block. Layouts: unpack.h. */
#pragma once

/* x moved by n bits to the left (n < 0: right) in every byte, and the bits of mask of it */
INLINE uint8x16_t moved(uint8x16_t x, int n)
{
    return n < 0 ? x >> -n : x << n;
}
INLINE uint8x16_t bits_at(uint8x16_t x, int n, int mask)
{
    uint8x16_t y = moved(x, n);
    return n < 0 && mask == 0xff >> -n ? y : vandq_u8(y, vdupq_n_u8((uint8_t)mask));
}

/* the bits of mask from `in`, the others from x */
INLINE uint8x16_t with_bits(uint8x16_t x, uint8x16_t in, int mask)
{
    return vbslq_u8(vdupq_n_u8((uint8_t)mask), in, x);
}

INLINE uint32_t get_u32(const uint8_t *p)
{
    uint32_t x;
    memcpy(&x, p, 4);
    return x;
}

/* z[i]: 16 bytes of block i of quarter q; their dword c goes to u[c] */
INLINE void put_columns(const uint8x16_t z[4], int q, vi u[4])
{
    int32x4_t in[4], out[4];
    UNROLL
    for (int i = 0; i < 4; i++)
        in[i] = vreinterpretq_s32_u8(z[i]);
    transpose_4(in, out);
    UNROLL
    for (int c = 0; c < 4; c++)
        u[c].val[q] = out[c];
}

/* ---- types of 32: p is at the quarter's first block, blocks are s bytes apart ---- */

INLINE float32x4_t halves_at(const uint8_t *p, int s)
{
    uint16_t h[4];
    UNROLL
    for (int i = 0; i < 4; i++)
        memcpy(&h[i], p + i * s, 2);
    uint16x4_t x = vdup_n_u16(h[0]);
    x = vset_lane_u16(h[1], x, 1);
    x = vset_lane_u16(h[2], x, 2);
    x = vset_lane_u16(h[3], x, 3);
    return vcvt_f32_f16(vreinterpret_f16_u16(x));
}

INLINE void put_rows(const uint8_t *p, int s, int q, vi u[4])
{
    uint8x16_t z[4];
    UNROLL
    for (int i = 0; i < 4; i++)
        z[i] = vld1q_u8(p + i * s);
    put_columns(z, q, u);
}

INLINE void put_nibble_rows(const uint8_t *p, int s, int q, vi u[8])
{
    put_rows(p, s, q, u);
    UNROLL
    for (int c = 0; c < 4; c++) {
        uint8x16_t x = vreinterpretq_u8_s32(u[c].val[q]);
        u[c].val[q] = vreinterpretq_s32_u8(bits_at(x, 0, 15));
        u[4 + c].val[q] = vreinterpretq_s32_u8(bits_at(x, -4, 15));
    }
}

/* bit i of the dword of each block at p becomes bit 4 of byte i % 4 of u[i / 4] */
INLINE void add_fifth_bits(const uint8_t *p, int s, int q, vi u[8])
{
    static const uint8_t first_byte[16] = {0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12};
    static const int8_t to_bit_4[2][16] = {
        {4, 3, 2, 1, 4, 3, 2, 1, 4, 3, 2, 1, 4, 3, 2, 1},
        {0, -1, -2, -3, 0, -1, -2, -3, 0, -1, -2, -3, 0, -1, -2, -3}};
    uint32x4_t dwords = vdupq_n_u32(get_u32(p));
    dwords = vsetq_lane_u32(get_u32(p + s), dwords, 1);
    dwords = vsetq_lane_u32(get_u32(p + 2 * s), dwords, 2);
    dwords = vsetq_lane_u32(get_u32(p + 3 * s), dwords, 3);
    uint8x16_t at = vld1q_u8(first_byte), bits = vreinterpretq_u8_u32(dwords);
    UNROLL
    for (int i = 0; i < 4; i++) {
        uint8x16_t copies = vqtbl1q_u8(bits, vaddq_u8(at, vdupq_n_u8((uint8_t)i)));
        UNROLL
        for (int h = 0; h < 2; h++) {
            vi *to = &u[2 * i + h];
            uint8x16_t bit_4 = vshlq_u8(copies, vld1q_s8(to_bit_4[h]));
            to->val[q] =
                vreinterpretq_s32_u8(with_bits(vreinterpretq_u8_s32(to->val[q]), bit_4, 16));
        }
    }
}

/* nibbles to the values of IQ4 */
INLINE void look_up_iq4(int q, vi u[8])
{
    int8x16_t table = vld1q_s8(iq4_values);
    UNROLL
    for (int c = 0; c < 8; c++)
        u[c].val[q] = vreinterpretq_s32_s8(vqtbl1q_s8(table, vreinterpretq_u8_s32(u[c].val[q])));
}

INLINE void quarter_q4_0(const uint8_t *p, int q, struct tile *t)
{
    put_nibble_rows(p + 2, 18, q, t->u);
    t->ws[0].val[q] = halves_at(p, 18);
}

INLINE void quarter_q4_1(const uint8_t *p, int q, struct tile *t)
{
    put_nibble_rows(p + 4, 20, q, t->u);
    t->ws[0].val[q] = halves_at(p, 20);
    t->wm[0].val[q] = halves_at(p + 2, 20);
}

INLINE void quarter_q5_0(const uint8_t *p, int q, struct tile *t)
{
    put_nibble_rows(p + 6, 22, q, t->u);
    add_fifth_bits(p + 2, 22, q, t->u);
    t->ws[0].val[q] = halves_at(p, 22);
}

INLINE void quarter_q5_1(const uint8_t *p, int q, struct tile *t)
{
    put_nibble_rows(p + 8, 24, q, t->u);
    add_fifth_bits(p + 4, 24, q, t->u);
    t->ws[0].val[q] = halves_at(p, 24);
    t->wm[0].val[q] = halves_at(p + 2, 24);
}

INLINE void quarter_q8_0(const uint8_t *p, int q, struct tile *t)
{
    put_rows(p + 2, 34, q, t->u);
    put_rows(p + 18, 34, q, t->u + 4);
    t->ws[0].val[q] = halves_at(p, 34);
}

INLINE void quarter_iq4_nl(const uint8_t *p, int q, struct tile *t)
{
    put_nibble_rows(p + 2, 18, q, t->u);
    look_up_iq4(q, t->u);
    t->ws[0].val[q] = halves_at(p, 18);
}

/* ---- types of 256: a super-block is quarters 2 * h and 2 * h + 1 of the tile ---- */

INLINE float32x4_t set_half(const uint8_t *p)
{
    return vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(get_u16(p))));
}

/* scale[h] = d times the eight numbers, one to a block */
INLINE void put_scales_u8(float32x4_t d, uint8x8_t x, int h, vf *scale)
{
    uint16x8_t wide = vmovl_u8(x);
    scale->val[2 * h] = vmulq_f32(d, vcvtq_f32_u32(vmovl_u16(vget_low_u16(wide))));
    scale->val[2 * h + 1] = vmulq_f32(d, vcvtq_f32_u32(vmovl_high_u16(wide)));
}
INLINE void put_scales_s8(float32x4_t d, int8x8_t x, int h, vf *scale)
{
    int16x8_t wide = vmovl_s8(x);
    scale->val[2 * h] = vmulq_f32(d, vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide))));
    scale->val[2 * h + 1] = vmulq_f32(d, vcvtq_f32_s32(vmovl_high_s16(wide)));
}

INLINE uint8x8_t two_dwords(uint32_t a, uint32_t b)
{
    return vcreate_u8((uint64_t)b << 32 | a);
}

/* ws and wm of Q4_K and Q5_K from d, dmin and 12 bytes of scales (see k4_scale) */
INLINE void put_k4_tile_scales(const uint8_t *p, int h, struct tile *t)
{
    uint32_t a = get_u32(p + 4), b = get_u32(p + 8), c = get_u32(p + 12);
    uint32_t six = 0x3f3f3f3f, low = 0x0f0f0f0f, high = 0x30303030;
    uint8x8_t scale = two_dwords(a & six, (c & low) | (a >> 2 & high));
    uint8x8_t min = two_dwords(b & six, (c >> 4 & low) | (b >> 2 & high));
    put_scales_u8(set_half(p), scale, h, &t->ws[0]);
    put_scales_u8(vnegq_f32(set_half(p + 2)), min, h, &t->wm[0]);
}

/* rows of nibbles of 16 of the 32 columns of four blocks */
INLINE void k4_nibbles(const uint8_t *qs, uint8x16_t z[4])
{
    uint8x16_t x = vld1q_u8(qs), y = vld1q_u8(qs + 32);
    z[0] = bits_at(x, 0, 15);
    z[1] = bits_at(x, -4, 15);
    z[2] = bits_at(y, 0, 15);
    z[3] = bits_at(y, -4, 15);
}

/* rows of two bits of them */
INLINE void k2_bits(const uint8_t *qs, uint8x16_t z[4])
{
    uint8x16_t x = vld1q_u8(qs);
    UNROLL
    for (int r = 0; r < 4; r++)
        z[r] = bits_at(x, -2 * r, 3);
}

/* z[r] gets bit `first` + r of each byte at p as bit `to` */
INLINE void add_block_bits(const uint8_t *p, int first, int to, uint8x16_t z[4])
{
    uint8x16_t x = vld1q_u8(p);
    UNROLL
    for (int r = 0; r < 4; r++)
        z[r] = with_bits(z[r], moved(x, to - first - r), 1 << to);
}

/* For each half g of the columns and each quarter i of a super-block (blocks 4 * i and on): rows z,
 * which the statement makes, into the tile. */
#define PUT_QUARTERS(h, t, ...)                                                                    \
    UNROLL                                                                                         \
    for (int i = 0; i < 2; i++)                                                                    \
        UNROLL                                                                                     \
    for (int g = 0; g < 2; g++) {                                                                  \
        uint8x16_t z[4];                                                                           \
        __VA_ARGS__;                                                                               \
        put_columns(z, 2 * (h) + i, (t)->u + 4 * g);                                               \
    }

INLINE void half_q4_k(const uint8_t *p, int h, struct tile *t)
{
    PUT_QUARTERS(h, t, k4_nibbles(p + 16 + 64 * i + 16 * g, z))
    put_k4_tile_scales(p, h, t);
}

INLINE void half_q5_k(const uint8_t *p, int h, struct tile *t)
{
    PUT_QUARTERS(h, t, {
        k4_nibbles(p + 48 + 64 * i + 16 * g, z);
        add_block_bits(p + 16 + 16 * g, 4 * i, 4, z);
    })
    put_k4_tile_scales(p, h, t);
}

INLINE void q6_k_rows(const uint8_t *ql, const uint8_t *qh, uint8x16_t z[4])
{
    uint8x16_t x = vld1q_u8(ql), y = vld1q_u8(ql + 32), high = vld1q_u8(qh);
    z[0] = x;
    z[1] = y;
    z[2] = moved(x, -4);
    z[3] = moved(y, -4);
    UNROLL
    for (int r = 0; r < 4; r++)
        z[r] = bits_at(with_bits(moved(high, 4 - 2 * r), z[r], 15), 0, 63);
}

/* ws of both halves of eight blocks from 16 numbers, two to a block */
INLINE void put_pair_scales(float32x4_t d, int8x16_t x, int h, struct tile *t)
{
    put_scales_s8(d, vget_low_s8(vuzp1q_s8(x, x)), h, &t->ws[0]);
    put_scales_s8(d, vget_low_s8(vuzp2q_s8(x, x)), h, &t->ws[1]);
}

INLINE void half_q6_k(const uint8_t *p, int h, struct tile *t)
{
    PUT_QUARTERS(h, t, q6_k_rows(p + 64 * i + 16 * g, p + 128 + 32 * i + 16 * g, z))
    put_pair_scales(set_half(p + 208), vreinterpretq_s8_u8(vld1q_u8(p + 192)), h, t);
}

INLINE void half_q2_k(const uint8_t *p, int h, struct tile *t)
{
    PUT_QUARTERS(h, t, k2_bits(p + 16 + 32 * i + 16 * g, z))
    float32x4_t d = set_half(p + 80), dmin = vnegq_f32(set_half(p + 82));
    uint8x16_t x = vld1q_u8(p), scale = bits_at(x, 0, 15), min = bits_at(x, -4, 15);
    put_scales_u8(d, vget_low_u8(vuzp1q_u8(scale, scale)), h, &t->ws[0]);
    put_scales_u8(d, vget_low_u8(vuzp2q_u8(scale, scale)), h, &t->ws[1]);
    put_scales_u8(dmin, vget_low_u8(vuzp1q_u8(min, min)), h, &t->wm[0]);
    put_scales_u8(dmin, vget_low_u8(vuzp2q_u8(min, min)), h, &t->wm[1]);
}

INLINE void half_q3_k(const uint8_t *p, int h, struct tile *t)
{
    PUT_QUARTERS(h, t, {
        k2_bits(p + 32 + 32 * i + 16 * g, z);
        add_block_bits(p + 16 * g, 4 * i, 2, z);
    })
    /* 16 scales of 6 bits, less 32 */
    uint32_t a = get_u32(p + 96), b = get_u32(p + 100), c = get_u32(p + 104);
    uint32_t low = 0x0f0f0f0f, high = 0x30303030;
    uint8x16_t scale =
        vcombine_u8(two_dwords((a & low) | (c << 4 & high), (b & low) | (c << 2 & high)),
                    two_dwords((a >> 4 & low) | (c & high), (b >> 4 & low) | (c >> 2 & high)));
    put_pair_scales(set_half(p + 108), vreinterpretq_s8_u8(vsubq_u8(scale, vdupq_n_u8(32))), h, t);
}

/* scales: nibble b and two bits at 2b, less 32 */
INLINE void half_iq4_xs(const uint8_t *p, int h, struct tile *t)
{
    static const int32_t by_block[4] = {0, -1, -2, -3};
    int32x4_t by_nibble = vld1q_s32(by_block);
    UNROLL
    for (int i = 0; i < 2; i++) {
        int q = 2 * h + i;
        put_nibble_rows(p + 8 + 64 * i, 16, q, t->u);
        look_up_iq4(q, t->u);
        uint32x4_t low = vdupq_n_u32(get_u32(p + 4) >> (16 * i));
        uint32x4_t high = vdupq_n_u32((uint32_t)get_u16(p + 2) << 4 >> (8 * i));
        low = vshlq_u32(low, by_nibble << 2);
        high = vshlq_u32(high, by_nibble << 1);
        uint32x4_t scale =
            vorrq_u32(vandq_u32(low, vdupq_n_u32(15)), vandq_u32(high, vdupq_n_u32(0x30)));
        int32x4_t s = vsubq_s32(vreinterpretq_s32_u32(scale), vdupq_n_s32(32));
        t->ws[0].val[q] = vmulq_f32(set_half(p), vcvtq_f32_s32(s));
    }
}
#undef PUT_QUARTERS

/* ---- whole tiles ---- */

#define TILE_OF_32(name)                                                                           \
    INLINE void tile_##name(const uint8_t *p, struct tile *t)                                      \
    {                                                                                              \
        UNROLL                                                                                     \
        for (int q = 0; q < 4; q++)                                                                \
            quarter_##name(p + 4 * q * kind_##name.block_bytes, q, t);                             \
    }
TILE_OF_32(q4_0)
TILE_OF_32(q4_1)
TILE_OF_32(q5_0)
TILE_OF_32(q5_1)
TILE_OF_32(q8_0)
TILE_OF_32(iq4_nl)
#undef TILE_OF_32

#define TILE_OF_256(name)                                                                          \
    INLINE void tile_##name(const uint8_t *p, struct tile *t)                                      \
    {                                                                                              \
        half_##name(p, 0, t);                                                                      \
        half_##name(p + kind_##name.block_bytes, 1, t);                                            \
    }
TILE_OF_256(q2_k)
TILE_OF_256(q3_k)
TILE_OF_256(q4_k)
TILE_OF_256(q5_k)
TILE_OF_256(q6_k)
TILE_OF_256(iq4_xs)
#undef TILE_OF_256
