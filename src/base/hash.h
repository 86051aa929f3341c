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

static inline uint64_t hash_bytes(const void *p, size_t n)
{
    const unsigned char *c = p;
    uint64_t h = 0x9e3779b97f4a7c15u ^ n, w;
    for (; n >= 8; c += 8, n -= 8) {
        memcpy(&w, c, 8);
        h = hash_mix(h ^ w, 0xbf58476d1ce4e5b9u);
    }
    w = 0;
    memcpy(&w, c, n);
    return hash_mix(h ^ w, 0x94d049bb133111ebu);
}
