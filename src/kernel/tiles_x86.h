/* What both widths of x86 read of a super-block's scales with 128-bit registers. Layouts: unpack.h.
 * Include after a vec_*.h. */
#pragma once

INLINE int32_t get_i32(const uint8_t *p)
{
    int32_t x;
    memcpy(&x, p, 4);
    return x;
}

/* 16 scales of 6 bits, less 32 */
INLINE __m128i q3_k_scales(const uint8_t *s)
{
    uint32_t a0 = (uint32_t)get_i32(s), a1 = (uint32_t)get_i32(s + 4), t = (uint32_t)get_i32(s + 8);
    uint32_t low = 0x0f0f0f0f, high = 0x30303030;
    __m128i x = _mm_setr_epi32(
        (int)((a0 & low) | (t << 4 & high)), (int)((a1 & low) | (t << 2 & high)),
        (int)((a0 >> 4 & low) | (t & high)), (int)((a1 >> 4 & low) | (t >> 2 & high)));
    return _mm_sub_epi8(x, _mm_set1_epi8(32));
}
