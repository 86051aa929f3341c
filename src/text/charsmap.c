/* SentencePiece's precompiled character map: a double array (XOR-compressed, "xcda") of the strings
 * to replace, followed by the NUL-terminated replacements. A node packs LCHECK (8 bits and the sign
 * bit), LEAF (bit 8) and BASE (bits 10 and up, shifted by 8 when bit 9 is set); the child by byte c
 * is at BASE ^ c (Darts-clone). Every index is checked: the blob comes from a file. */
#include "text/tokenizer_impl.h"
#include <stdlib.h>

struct charsmap {
    struct str nodes; /* little-endian 32-bit words */
    struct str replacements;
};

enum status charsmap_open(struct charsmap **out, struct str blob, struct err *err)
{
    uint32_t bytes = 0;
    *out = NULL;
    for (int i = 0; blob.n >= 4 && i < 4; i++)
        bytes |= (uint32_t)(unsigned char)blob.p[i] << (8 * i);
    if (blob.n < 5 || bytes > blob.n - 5 || bytes % 4 || blob.p[blob.n - 1] != 0)
        return err_set(err, EFORMAT,
                       "precompiled_charsmap: %zu bytes with a trie of %u, expected a trie and "
                       "NUL-terminated replacements",
                       blob.n, bytes);
    struct charsmap *c = mem_array(1, sizeof *c);
    if (!c)
        return err_set(err, ENOMEMORY, "precompiled_charsmap: no memory");
    c->nodes = str_slice(blob, 4, 4 + bytes);
    c->replacements = str_slice(blob, 4 + bytes, blob.n);
    *out = c;
    return OK;
}

void charsmap_free(struct charsmap *c)
{
    free(c);
}

/* Node i; a node that does not exist matches no byte and has no base. */
static uint32_t node_at(const struct charsmap *c, size_t i)
{
    if (i >= c->nodes.n / 4)
        return 0x80000000u;
    const unsigned char *p = (const unsigned char *)c->nodes.p + 4 * i;
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static size_t base_of(uint32_t node)
{
    return (size_t)(node >> 10) << ((node & 0x200u) >> 6);
}

size_t charsmap_match(const struct charsmap *c, struct str s, struct str *to)
{
    size_t best = 0, node = base_of(node_at(c, 0));
    for (size_t i = 0; i < s.n && s.p[i]; i++) {
        unsigned char b = (unsigned char)s.p[i];
        node ^= b;
        uint32_t unit = node_at(c, node);
        if ((unit & 0x800000ffu) != b)
            break;
        node ^= base_of(unit);
        if (!(unit & 0x100u))
            continue;
        size_t at = node_at(c, node) & 0x7fffffffu;
        if (at >= c->replacements.n)
            break;
        best = i + 1;
        *to = str_from(c->replacements.p + at);
    }
    return best;
}
