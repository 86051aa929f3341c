#include "chat/prefix.h"
#include "base/mem.h"
#include <stdlib.h>
#include <string.h>

void prefix_init(struct prefix_cache *c, struct engine *e)
{
    *c = (struct prefix_cache){.e = e};
}

static void drop(struct prefix_cache *c, size_t i)
{
    engine_seq_free(c->e, c->v[i].seq);
    free(c->v[i].id);
    c->v[i] = c->v[--c->n];
}

void prefix_release(struct prefix_cache *c)
{
    while (c->n)
        drop(c, c->n - 1);
    free(c->v);
    free(c->seqs);
}

size_t prefix_common(const int32_t *a, size_t n_a, const int32_t *b, size_t n_b)
{
    size_t n = 0, most = n_a < n_b ? n_a : n_b;
    while (n < most && a[n] == b[n])
        n++;
    return n;
}

static bool make_room(struct prefix_cache *c)
{
    if (c->n < c->cap)
        return true;
    size_t cap = c->cap ? 2 * c->cap : 16;
    struct prefix *v = mem_resize(c->v, cap, sizeof *v);
    if (v)
        c->v = v;
    int *seqs = mem_resize(c->seqs, cap, sizeof *seqs);
    if (seqs)
        c->seqs = seqs;
    if (!v || !seqs)
        return false;
    c->cap = cap;
    return true;
}

void prefix_keep(struct prefix_cache *c, int seq, const int32_t *id, size_t n)
{
    bool known = n == 0;
    for (size_t i = 0; i < c->n && !known;) {
        struct prefix *p = &c->v[i];
        size_t same = prefix_common(p->id, p->n, id, n);
        known = same == n;
        if (known)
            p->used = ++c->calls;
        if (!known && same == p->n)
            drop(c, i);
        else
            i++;
    }
    int32_t *copy = known || !make_room(c) ? NULL : mem_array(n, sizeof *copy);
    if (!copy) { /* without memory the next prompt is read anew: slower, not wrong */
        engine_seq_free(c->e, seq);
        return;
    }
    memcpy(copy, id, n * sizeof *copy);
    c->v[c->n++] = (struct prefix){.seq = seq, .id = copy, .n = n, .used = ++c->calls};
}

int prefix_find(struct prefix_cache *c, const int32_t *id, size_t n, size_t *len)
{
    struct prefix *best = NULL;
    *len = 0;
    for (size_t i = 0; i < c->n; i++) {
        size_t same = prefix_common(c->v[i].id, c->v[i].n, id, n);
        if (same > *len) {
            *len = same;
            best = &c->v[i];
        }
    }
    if (!best)
        return -1;
    best->used = ++c->calls;
    return best->seq;
}

struct prefix *prefix_oldest(struct prefix_cache *c)
{
    struct prefix *oldest = c->n ? c->v : NULL;
    for (size_t i = 1; i < c->n; i++)
        if (c->v[i].used < oldest->used)
            oldest = &c->v[i];
    return oldest;
}

bool prefix_evict(struct prefix_cache *c)
{
    struct prefix *oldest = prefix_oldest(c);
    if (oldest)
        drop(c, (size_t)(oldest - c->v));
    return oldest != NULL;
}

int64_t prefix_pages(struct prefix_cache *c)
{
    for (size_t i = 0; i < c->n; i++)
        c->seqs[i] = c->v[i].seq;
    return engine_seqs_alone(c->e, c->seqs, c->n);
}

int64_t prefix_tokens(const struct prefix_cache *c)
{
    int64_t n = 0;
    for (size_t i = 0; i < c->n; i++)
        n += (int64_t)c->v[i].n;
    return n;
}
