/* A fast hash of bytes for tables in memory: never stored, never for secrets. Multiply-and-fold
 * over 8-byte words with a 128-bit product. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t hash_mix(uint64_t a, uint64_t b)
{
    __extension__ unsigned __int128 m = (unsigned __int128)a * b;
    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static inline uint64_t hash_read(const unsigned char *p, size_t n) /* n is 4 or 8 */
{
    uint64_t w = 0;
    if (n == 8) {
        memcpy(&w, p, 8);
    } else {
        uint32_t half;
        memcpy(&half, p, 4);
        w = half;
    }
    return w;
}

/* Reads that overlap stand for the tail, so that no length needs a loop over bytes. */
static inline uint64_t hash_bytes(const void *p, size_t n)
{
    const unsigned char *c = p;
    uint64_t h = 0x9e3779b97f4a7c15u ^ n, a = 0, b = 0;
    if (n >= 16) {
        size_t left = n;
        for (; left > 16; c += 16, left -= 16)
            h = hash_mix(hash_read(c, 8) ^ 0xbf58476d1ce4e5b9u, hash_read(c + 8, 8) ^ h);
        c += left;
        a = hash_read(c - 16, 8);
        b = hash_read(c - 8, 8);
    } else if (n >= 8) {
        a = hash_read(c, 8);
        b = hash_read(c + n - 8, 8);
    } else if (n >= 4) {
        a = hash_read(c, 4) | hash_read(c + n - 4, 4) << 32;
    } else if (n) {
        a = (uint64_t)c[0] << 16 | (uint64_t)c[n / 2] << 8 | c[n - 1];
    }
    h = hash_mix(a ^ 0xbf58476d1ce4e5b9u, b ^ h);
    return hash_mix(h ^ n, 0x94d049bb133111ebu);
}
