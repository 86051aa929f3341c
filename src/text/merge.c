/* Merging: byte-pair encoding by rank and SentencePiece BPE by score are one algorithm. The symbols
 * of a word start as bytes or characters; of all neighbours that may merge, the pair with the
 * smallest rank (the highest score), leftmost among equals, merges first, until none may.
 *
 * Short words are merged in arrays on the stack by looking for the smallest rank each time; longer
 * ones with a heap, O(n log n) for any input. A pair in the heap is stale when one of its symbols
 * has changed since: symbols only grow at their right end, so comparing the pair's length with its
 * symbols' is enough. */
#include "text/tokenizer_impl.h"
#include "base/utf8.h"
#include <stdlib.h>

enum { SMALL = 40, NO_RANK = -1 };

struct pair {
    uint32_t rank;
    int32_t id; /* -1: no merge */
};

/* Scores order like this integer, the highest score first. */
static inline uint32_t score_rank(float score)
{
    float f = score + 0.0f; /* -0 becomes 0 */
    uint32_t u;
    memcpy(&u, &f, 4);
    u = u & 0x80000000u ? ~u : u | 0x80000000u;
    return ~u;
}

/* The merge of neighbours a and b whose bytes are p[0..n). */
static inline struct pair find_pair(const struct tokenizer *t, int32_t a, int32_t b, const char *p,
                                    size_t n)
{
    if (t->model == MODEL_SPM) {
        if (n > t->max_piece)
            return (struct pair){0, -1};
        int32_t id = piece_table_find(&t->table, t->bytes, p, n, hash_bytes(p, n));
        if (id < 0)
            return (struct pair){0, -1};
        return (struct pair){t->rank_by_id ? (uint32_t)id : score_rank(t->score[id]), id};
    }
    if (a < 0 || b < 0 || !t->merges.slot)
        return (struct pair){0, -1};
    int32_t rank = merge_table_find(&t->merges, a, b);
    return rank < 0 ? (struct pair){0, -1}
                    : (struct pair){(uint32_t)rank, t->merges.merge[rank].id};
}

/* The merge of neighbours that are symbols of the start: p[0..a) and p[a..n). */
static inline struct pair find_first_pair(const struct tokenizer *t, int32_t a, int32_t b,
                                          const char *p, size_t n)
{
    if (t->model != MODEL_BYTE_BPE)
        return find_pair(t, a, b, p, n);
    struct byte_merge m =
        t->merges.byte_pair[(unsigned)(unsigned char)p[0] << 8 | (unsigned char)p[1]];
    return (struct pair){m.rank, m.id1 - 1};
}

/* A symbol that is no token: its bytes' tokens, or the unknown token. */
static void add_unknown(struct encoder *e, const char *p, size_t n)
{
    const struct tokenizer *t = e->t;
    bool bytes = t->model != MODEL_CHAR_BPE || t->byte_fallback;
    for (size_t i = 0; bytes && i < n; i++)
        bytes = t->byte_id[(unsigned char)p[i]] >= 0;
    if (bytes && t->model != MODEL_BYTE_BPE) {
        for (size_t i = 0; i < n; i++)
            encoder_add(e, t->byte_id[(unsigned char)p[i]]);
        return;
    }
    if (t->special[SPECIAL_UNK] >= 0)
        encoder_add(e, t->special[SPECIAL_UNK]);
}

/* Cuts a word into its first symbols. Returns how many; len and id get their bytes and tokens. */
static inline unsigned next_symbol(const struct tokenizer *t, const char *p, size_t n, bool first,
                                   int32_t *id)
{
    unsigned char c = (unsigned char)p[0];
    if (t->model == MODEL_BYTE_BPE) {
        *id = t->byte_id[c];
        return 1;
    }
    uint32_t cp;
    unsigned len = c < 0x80 ? 1 : (unsigned)utf8_decode(p, n, &cp);
    if (t->subword_prefix.n == 0 && t->word_suffix.n == 0) {
        *id = piece_table_find(&t->table, t->bytes, p, len, hash_bytes(p, len));
        return len;
    }
    char key[64];
    size_t k = 0;
    if (!first && t->subword_prefix.n) {
        memcpy(key, t->subword_prefix.p, t->subword_prefix.n);
        k = t->subword_prefix.n;
    }
    memcpy(key + k, p, len);
    k += len;
    if (len == n && t->word_suffix.n) {
        memcpy(key + k, t->word_suffix.p, t->word_suffix.n);
        k += t->word_suffix.n;
    }
    *id = piece_table_find(&t->table, t->bytes, key, k, hash_bytes(key, k));
    return len;
}

static void merge_small(struct encoder *e, const char *p, size_t n)
{
    const struct tokenizer *t = e->t;
    int32_t id[SMALL + 1];
    uint16_t at[SMALL + 1];
    struct pair pair[SMALL + 1];
    unsigned k = 0;
    for (size_t i = 0; i < n; k++) {
        at[k] = (uint16_t)i;
        i += next_symbol(t, p + i, n - i, i == 0, &id[k]);
    }
    at[k] = (uint16_t)n;
    for (unsigned i = 0; i + 1 < k; i++)
        pair[i] = find_first_pair(t, id[i], id[i + 1], p + at[i], (size_t)at[i + 2] - at[i]);
    while (k > 1) {
        unsigned best = k;
        for (unsigned i = 0; i + 1 < k; i++)
            if (pair[i].id >= 0 && (best == k || pair[i].rank < pair[best].rank))
                best = i;
        if (best == k)
            break;
        id[best] = pair[best].id;
        for (unsigned i = best + 1; i + 1 < k; i++) {
            id[i] = id[i + 1];
            at[i] = at[i + 1];
            pair[i] = pair[i + 1];
        }
        k--;
        at[k] = (uint16_t)n;
        if (best > 0)
            pair[best - 1] = find_pair(t, id[best - 1], id[best], p + at[best - 1],
                                       (size_t)at[best + 1] - at[best - 1]);
        if (best + 1 < k)
            pair[best] =
                find_pair(t, id[best], id[best + 1], p + at[best], (size_t)at[best + 2] - at[best]);
    }
    bool unk_open = false;
    for (unsigned i = 0; i < k; i++) {
        if (id[i] >= 0)
            encoder_add(e, id[i]);
        else if (!(unk_open && t->fuse_unk))
            add_unknown(e, p + at[i], (size_t)at[i + 1] - at[i]);
        unk_open = id[i] < 0 && t->fuse_unk && e->out->n &&
                   e->out->id[e->out->n - 1] == t->special[SPECIAL_UNK];
    }
}

struct symbol {
    uint32_t at, len; /* len 0: merged into its left neighbour */
    int32_t prev, next, id;
};
struct heap_item {
    uint32_t rank, left, len;
    int32_t id;
};
struct heap {
    struct heap_item *item;
    size_t n, cap;
};

static inline bool before(struct heap_item a, struct heap_item b)
{
    return a.rank < b.rank || (a.rank == b.rank && a.left < b.left);
}

static bool heap_push(struct heap *h, struct heap_item x)
{
    if (h->n == h->cap) {
        size_t cap = h->cap ? h->cap * 2 : 256;
        struct heap_item *item = mem_resize(h->item, cap, sizeof *item);
        if (!item)
            return false;
        h->item = item;
        h->cap = cap;
    }
    size_t i = h->n++;
    for (; i > 0 && before(x, h->item[(i - 1) / 2]); i = (i - 1) / 2)
        h->item[i] = h->item[(i - 1) / 2];
    h->item[i] = x;
    return true;
}

static struct heap_item heap_pop(struct heap *h)
{
    struct heap_item top = h->item[0], x = h->item[--h->n];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < h->n; i = child) {
        if (child + 1 < h->n && before(h->item[child + 1], h->item[child]))
            child++;
        if (!before(h->item[child], x))
            break;
        h->item[i] = h->item[child];
    }
    h->item[i] = x;
    return top;
}

static bool push_pair(struct encoder *e, struct heap *h, const struct symbol *sym, int32_t left,
                      const char *p)
{
    if (left < 0 || sym[left].next < 0)
        return true;
    const struct symbol *a = &sym[left], *b = &sym[a->next];
    struct pair x = find_pair(e->t, a->id, b->id, p + a->at, (size_t)a->len + b->len);
    return x.id < 0 ||
           heap_push(h, (struct heap_item){x.rank, (uint32_t)left, a->len + b->len, x.id});
}

static void merge_all(struct encoder *e, const char *p, struct symbol *sym, struct heap *h,
                      size_t k)
{
    bool ok = true;
    for (size_t i = 0; ok && i + 1 < k; i++)
        ok = push_pair(e, h, sym, (int32_t)i, p);
    while (ok && h->n) {
        struct heap_item x = heap_pop(h);
        struct symbol *a = &sym[x.left];
        if (a->len == 0 || a->next < 0 || a->len + sym[a->next].len != x.len)
            continue;
        struct symbol *b = &sym[a->next];
        a->len = x.len;
        a->id = x.id;
        a->next = b->next;
        b->len = 0;
        if (a->next >= 0)
            sym[a->next].prev = (int32_t)x.left;
        ok = push_pair(e, h, sym, a->prev, p) && push_pair(e, h, sym, (int32_t)x.left, p);
    }
    if (!ok) {
        encoder_fail(e, ENOMEMORY, "no memory for a long word");
        return;
    }
    bool unk_open = false;
    for (int32_t i = 0; i >= 0; i = sym[i].next) {
        if (sym[i].id >= 0)
            encoder_add(e, sym[i].id);
        else if (!(unk_open && e->t->fuse_unk))
            add_unknown(e, p + sym[i].at, sym[i].len);
        unk_open = sym[i].id < 0 && e->t->fuse_unk && e->out->n &&
                   e->out->id[e->out->n - 1] == e->t->special[SPECIAL_UNK];
    }
}

static void merge_large(struct encoder *e, const char *p, size_t n)
{
    struct symbol *sym = n < INT32_MAX ? mem_array(n, sizeof *sym) : NULL;
    struct heap h = {0};
    if (!sym) {
        encoder_fail(e, ENOMEMORY, "no memory for a long word");
        return;
    }
    size_t k = 0;
    for (size_t i = 0; i < n; k++) {
        struct symbol *s = &sym[k];
        s->at = (uint32_t)i;
        s->len = next_symbol(e->t, p + i, n - i, i == 0, &s->id);
        s->prev = (int32_t)k - 1;
        i += s->len;
        s->next = i < n ? (int32_t)k + 1 : -1;
    }
    merge_all(e, p, sym, &h, k);
    free(h.item);
    free(sym);
}

void encoder_merge(struct encoder *e, const char *p, size_t n)
{
    if (n <= SMALL)
        merge_small(e, p, n);
    else
        merge_large(e, p, n);
}
