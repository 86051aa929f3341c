/* One open-addressing table per length of n-gram, at most half full. A slot holds a place in the
 * text only; the text itself is the key. A full text loses its older half and is indexed again,
 * which costs each token one more round of probes.
 *
 * A prompt may be written by someone who knows the hash: a probe gives up after PROBES slots and
 * writes over the first, so that the worst text loses matches, not time. */
#include "engine/ngram.h"
#include "base/hash.h"
#include "base/mem.h"
#include <stdlib.h>

enum { PROBES = 64 };

enum status ngram_init(struct ngram_index *ix, size_t cap, struct err *err)
{
    *ix = (struct ngram_index){0};
    cap = cap < 2 ? 2 : cap > NGRAM_TEXT_MAX ? NGRAM_TEXT_MAX : cap;
    size_t slots = 4;
    while (slots < 2 * cap)
        slots *= 2;
    ix->cap = cap;
    ix->mask = slots - 1;
    ix->token = mem_array(cap, sizeof *ix->token);
    ix->slot = mem_array(NGRAM_MAX * slots, sizeof *ix->slot);
    if (!ix->token || !ix->slot)
        return err_set(err, ENOMEMORY, "no memory for an n-gram index of %zu tokens", cap);
    return OK;
}

void ngram_release(struct ngram_index *ix)
{
    free(ix->token);
    free(ix->slot);
    *ix = (struct ngram_index){0};
}

/* The text's last n tokens got their hash; returns where they ended before, or 0, and notes that
 * they end at ix->n now. */
static uint32_t put(struct ngram_index *ix, size_t n, uint64_t hash)
{
    uint32_t *table = ix->slot + (n - 1) * (ix->mask + 1);
    const int32_t *end = ix->token + ix->n;
    size_t first = (size_t)hash & ix->mask, i = first;
    for (int probe = 0; probe < PROBES && table[i]; probe++, i = (i + 1) & ix->mask) {
        uint32_t old = table[i];
        if (memcmp(ix->token + old - n, end - n, n * sizeof *end) == 0) {
            table[i] = (uint32_t)ix->n;
            return old;
        }
    }
    table[table[i] ? first : i] = (uint32_t)ix->n;
    return 0;
}

static void append(struct ngram_index *ix, int32_t token)
{
    ix->token[ix->n++] = token;
    ix->match = 0;
    size_t most = ix->n < NGRAM_MAX ? ix->n : NGRAM_MAX;
    uint64_t mixed = 0x9e3779b97f4a7c15u, hash[NGRAM_MAX];
    for (size_t n = 1; n <= most; n++) { /* all slots are on their way before one is needed */
        mixed = hash_mix(mixed ^ (uint32_t)ix->token[ix->n - n], 0xbf58476d1ce4e5b9u);
        hash[n - 1] = mixed ^ mixed >> 32;
        __builtin_prefetch(ix->slot + (n - 1) * (ix->mask + 1) + (hash[n - 1] & ix->mask), 1);
    }
    for (size_t n = 1; n <= most; n++) {
        uint32_t before = put(ix, n, hash[n - 1]);
        if (before) {
            ix->match = (int)n;
            ix->next = before;
        }
    }
}

void ngram_add(struct ngram_index *ix, int32_t token)
{
    if (ix->n == ix->cap) {
        size_t keep = ix->cap / 2;
        memmove(ix->token, ix->token + ix->n - keep, keep * sizeof *ix->token);
        memset(ix->slot, 0, NGRAM_MAX * (ix->mask + 1) * sizeof *ix->slot);
        ix->n = 0;
        for (size_t i = 0; i < keep; i++)
            append(ix, ix->token[i]);
    }
    append(ix, token);
}
