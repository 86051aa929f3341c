/* An index of a growing text of tokens: where did its end stand before, and what followed there?
 *
 * Of the ends of 1 to NGRAM_MAX tokens the longest that also stands earlier is found, and of its
 * places the latest. A token costs NGRAM_MAX probes of a hash table, whatever the length of the
 * text: the slot that takes the new place of an n-gram tells its last one. */
#pragma once
#include "base/err.h"
#include <stddef.h>
#include <stdint.h>

enum { NGRAM_MAX = 8, NGRAM_TEXT_MAX = 1 << 17 };

struct ngram_index {
    int32_t *token; /* (cap): the text */
    size_t n, cap;
    uint32_t *slot; /* (NGRAM_MAX, mask + 1): end of an n-gram's last place, 0: empty */
    size_t mask;
    int match;   /* tokens of the longest end that stands earlier; 0: none */
    size_t next; /* with match > 0: place of the token that followed there; next < n */
};

/* An index that remembers between cap / 2 and cap of the last tokens (cap is cut to
 * NGRAM_TEXT_MAX); all memory is allocated here, some 70 to 140 bytes for each. Release also after
 * an error. */
NODISCARD enum status ngram_init(struct ngram_index *ix, size_t cap, struct err *err);
void ngram_release(struct ngram_index *ix);
/* Appends a token, which makes `match` and `next` anew. */
void ngram_add(struct ngram_index *ix, int32_t token);
