/* The two hash tables of a vocabulary: pieces to ids, pairs of ids to merges. Flat arrays with
 * linear probing at half load, filled once. */
#include "text/tokenizer_impl.h"
#include <stdlib.h>

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

enum status merge_table_init(struct merge_table *m, size_t n, bool byte_level, struct err *err)
{
    if (n >= (1u << MERGE_RANK_BITS) - 1)
        return err_set(err, ELIMIT, "tokenizer: %zu merges, at most %u", n,
                       (1u << MERGE_RANK_BITS) - 2);
    size_t slots = table_slots(n);
    m->mask = slots - 1;
    m->bytes = slots * sizeof *m->slot;
    m->slot = mem_aligned(m->bytes);
    m->merge = mem_array(n, sizeof *m->merge);
    m->n = n;
    if (byte_level)
        m->byte_pair = mem_array(1 << 16, sizeof *m->byte_pair);
    return m->slot && m->merge && (!byte_level || m->byte_pair)
               ? OK
               : err_set(err, ENOMEMORY, "tokenizer: no memory for %zu merges", n);
}

void merge_table_free(struct merge_table *m)
{
    if (m->slot)
        mem_aligned_free(m->slot, m->bytes);
    free(m->merge);
    free(m->byte_pair);
    *m = (struct merge_table){0};
}

void merge_table_add(struct merge_table *m, struct merge merge, uint32_t rank, bool replace)
{
    uint64_t h = merge_hash(merge.left, merge.right);
    size_t i = h & m->mask;
    m->merge[rank] = merge;
    for (; m->slot[i]; i = (i + 1) & m->mask) {
        if ((m->slot[i] ^ h) >> MERGE_RANK_BITS)
            continue;
        const struct merge *old = &m->merge[(m->slot[i] & ((1u << MERGE_RANK_BITS) - 1)) - 1];
        if (old->left != merge.left || old->right != merge.right)
            continue;
        if (!replace)
            return;
        break;
    }
    m->slot[i] = h >> MERGE_RANK_BITS << MERGE_RANK_BITS | (rank + 1);
}

/* Copies the merges of single bytes into their table; byte_id: the token of each byte. */
void merge_table_bytes(struct merge_table *m, const int32_t byte_id[256])
{
    for (unsigned a = 0; a < 256; a++)
        for (unsigned b = 0; b < 256; b++) {
            if (byte_id[a] < 0 || byte_id[b] < 0)
                continue;
            int32_t rank = merge_table_find(m, byte_id[a], byte_id[b]);
            if (rank >= 0)
                m->byte_pair[a << 8 | b] =
                    (struct byte_merge){(uint32_t)rank, m->merge[rank].id + 1};
        }
}
