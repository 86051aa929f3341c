/* The two hash tables of a vocabulary: pieces to ids, pairs of ids to merges. Flat arrays with
 * linear probing at half load, filled once. */
#include "text/tokenizer_impl.h"

static size_t table_slots(size_t n)
{
    size_t slots = 16;
    while (slots < 2 * n)
        slots *= 2;
    return slots;
}

bool piece_table_init(struct piece_table *t, size_t n)
{
    size_t slots = table_slots(n);
    t->mask = slots - 1;
    t->bytes = slots * sizeof *t->slot;
    t->slot = mem_aligned(t->bytes);
    return t->slot;
}

void piece_table_free(struct piece_table *t)
{
    if (t->slot)
        mem_aligned_free(t->slot, t->bytes);
    *t = (struct piece_table){0};
}

int32_t piece_table_add(struct piece_table *t, const struct str *keys, int32_t id, uint64_t hash)
{
    struct str key = keys[id];
    size_t i = hash & t->mask;
    for (; t->slot[i].id1; i = (i + 1) & t->mask) {
        struct piece_slot s = t->slot[i];
        if (s.tag == (uint32_t)(hash >> 32) && str_eq(keys[s.id1 - 1], key))
            return (int32_t)s.id1 - 1;
    }
    t->slot[i] = (struct piece_slot){(uint32_t)(hash >> 32), (uint32_t)id + 1};
    return -1;
}

enum status merge_table_init(struct merge_table *m, size_t n, struct err *err)
{
    size_t slots = table_slots(n);
    m->mask = slots - 1;
    m->bytes = slots * sizeof *m->slot;
    m->slot = mem_aligned(m->bytes);
    return m->slot ? OK : err_set(err, ENOMEMORY, "tokenizer: no memory for %zu merges", n);
}

void merge_table_free(struct merge_table *m)
{
    if (m->slot)
        mem_aligned_free(m->slot, m->bytes);
    *m = (struct merge_table){0};
}

bool merge_table_add(struct merge_table *m, int32_t left, int32_t right, uint32_t rank, int32_t id,
                     bool replace)
{
    uint64_t key = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) + 1;
    size_t i = hash_mix(key, 0x9e3779b97f4a7c15u) & m->mask;
    while (m->slot[i].key && m->slot[i].key != key)
        i = (i + 1) & m->mask;
    bool there = m->slot[i].key;
    if (!there || replace)
        m->slot[i] = (struct merge_slot){key, rank, id};
    return !there;
}
