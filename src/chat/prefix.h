/* What finished answers left in the KV cache: sequences that are kept, with their tokens, for
 * prompts that begin alike, and given up from the least recently used on when their pages are
 * needed. They share pages with each other and with running sequences, so that one more costs only
 * what it does not have in common. */
#pragma once
#include "engine/engine.h"

struct prefix {
    int seq;
    int32_t *id; /* (n): what the sequence holds */
    size_t n;
    int64_t used; /* when last, in calls */
};

struct prefix_cache {
    struct engine *e;
    struct prefix *v;
    size_t n, cap;
    int *seqs; /* (cap): scratch */
    int64_t calls;
};

void prefix_init(struct prefix_cache *c, struct engine *e);
void prefix_release(struct prefix_cache *c); /* frees the sequences too */

/* How many of the first tokens are the same. */
size_t prefix_common(const int32_t *a, size_t n_a, const int32_t *b, size_t n_b);

/* Keeps seq, which holds exactly these tokens, or frees it where that is not worth it: another one
 * holds them all. Those that it holds all of are freed. */
void prefix_keep(struct prefix_cache *c, int seq, const int32_t *id, size_t n);
/* The kept sequence with the most of the first tokens of id; *len (0: none) says how many. */
int prefix_find(struct prefix_cache *c, const int32_t *id, size_t n, size_t *len);
/* The one that was not used for the longest time, NULL: there is none. Valid until the next call.
 */
struct prefix *prefix_oldest(struct prefix_cache *c);
/* Frees the one that was not used for the longest time. False: there is none. */
bool prefix_evict(struct prefix_cache *c);
/* Pages that freeing all would give back, and tokens kept. */
int64_t prefix_pages(struct prefix_cache *c);
int64_t prefix_tokens(const struct prefix_cache *c);
