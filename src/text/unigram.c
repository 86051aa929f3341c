/* Unigram (SentencePiece, T5): of all ways to cut the text into pieces the one with the greatest
 * sum of scores, found by dynamic programming from left to right (Kudo, "Subword Regularization",
 * 2018). A character that is no piece is unknown and costs the lowest score less 10; unknown
 * characters in a row are one unknown token.
 *
 * The pieces are a trie whose edges are one open-addressing table (node, byte) -> node. */
#include "text/tokenizer_impl.h"
#include "base/utf8.h"
#include <float.h>
#include <stdlib.h>

struct edge {
    uint32_t from; /* node << 8 | byte, plus 1; 0: empty */
    uint32_t to;
};
struct unigram {
    struct edge *edge;
    size_t mask, n_edges, cap_nodes;
    int32_t *token; /* by node; -1: none */
    uint32_t n_nodes;
    double unk_score;
};

void unigram_free(struct unigram *u)
{
    if (!u)
        return;
    free(u->edge);
    free(u->token);
    free(u);
}

static inline size_t edge_slot(const struct unigram *u, uint32_t key)
{
    return hash_mix(key, 0x9e3779b97f4a7c15u) & u->mask;
}

/* Node behind an edge, or 0 (the root is nobody's child). */
static inline uint32_t step(const struct unigram *u, uint32_t node, unsigned char byte)
{
    uint32_t key = (node << 8 | byte) + 1;
    for (size_t i = edge_slot(u, key);; i = (i + 1) & u->mask) {
        if (u->edge[i].from == key)
            return u->edge[i].to;
        if (u->edge[i].from == 0)
            return 0;
    }
}

static bool grow(struct unigram *u)
{
    size_t slots = (u->mask + 1) * 2;
    struct edge *old = u->edge, *edge = mem_array(slots, sizeof *edge);
    if (!edge)
        return false;
    size_t n_old = u->mask + 1;
    u->edge = edge;
    u->mask = slots - 1;
    for (size_t i = 0; i < n_old; i++) {
        if (old[i].from == 0)
            continue;
        size_t k = edge_slot(u, old[i].from);
        while (edge[k].from)
            k = (k + 1) & u->mask;
        edge[k] = old[i];
    }
    free(old);
    return true;
}

/* Child of node by byte, made when absent; 0: no memory or too many nodes (24 bits). */
static uint32_t add_step(struct unigram *u, uint32_t node, unsigned char byte)
{
    uint32_t to = step(u, node, byte);
    if (to)
        return to;
    if (u->n_nodes >= 1u << 24 || (u->n_edges * 2 > u->mask && !grow(u)))
        return 0;
    if (u->n_nodes == u->cap_nodes) {
        int32_t *token = mem_resize(u->token, u->cap_nodes * 2, sizeof *token);
        if (!token)
            return 0;
        u->token = token;
        u->cap_nodes *= 2;
    }
    to = u->n_nodes++;
    u->token[to] = -1;
    u->n_edges++;
    uint32_t key = (node << 8 | byte) + 1;
    size_t i = edge_slot(u, key);
    while (u->edge[i].from)
        i = (i + 1) & u->mask;
    u->edge[i] = (struct edge){key, to};
    return to;
}

static bool add_piece(struct unigram *u, struct str s, int32_t id)
{
    uint32_t node = 0;
    for (size_t i = 0; i < s.n; i++)
        if (!(node = add_step(u, node, (unsigned char)s.p[i])))
            return false;
    u->token[node] = id;
    return true;
}

enum status unigram_build(struct tokenizer *t, struct err *err)
{
    struct unigram *u = mem_array(1, sizeof *u);
    if (!u)
        return err_set(err, ENOMEMORY, "tokenizer: no memory");
    t->unigram = u;
    u->mask = (1 << 16) - 1;
    u->cap_nodes = 1 << 15;
    u->n_nodes = 1;
    u->edge = mem_array(u->mask + 1, sizeof *u->edge);
    u->token = mem_array(u->cap_nodes, sizeof *u->token);
    if (!u->edge || !u->token)
        return err_set(err, ENOMEMORY, "tokenizer: no memory");
    u->token[0] = -1;
    double least = DBL_MAX;
    for (size_t i = 0; i < t->n; i++) {
        uint8_t a = t->attr[i];
        if (t->piece[i].n == 0 ||
            (a != TOKEN_NORMAL && a != TOKEN_USER_DEFINED && a != TOKEN_UNUSED))
            continue;
        if (a == TOKEN_NORMAL && (double)t->score[i] < least)
            least = (double)t->score[i];
        if (!add_piece(u, t->piece[i], (int32_t)i))
            return err_set(err, ELIMIT, "tokenizer: the pieces make more than %d trie nodes",
                           1 << 24);
    }
    u->unk_score = (least == DBL_MAX ? 0.0 : least) - 10.0;
    return OK;
}

struct cut {
    double score;
    int32_t id;     /* of the best piece that ends here; -1: unknown */
    uint32_t start; /* of that piece */
    uint32_t next;  /* end of the chosen piece that starts here */
};

static unsigned char_len(const char *p, size_t n)
{
    uint32_t cp;
    return (unsigned)utf8_decode(p, n, &cp);
}

static void forward(const struct tokenizer *t, const char *p, size_t n, struct cut *cut)
{
    const struct unigram *u = t->unigram;
    for (size_t i = 1; i <= n; i++)
        cut[i].score = -DBL_MAX;
    cut[0].score = 0;
    for (size_t at = 0; at < n;) {
        double here = cut[at].score;
        unsigned len = char_len(p + at, n - at);
        bool single = false;
        uint32_t node = 0;
        for (size_t end = at; end < n && (node = step(u, node, (unsigned char)p[end]));) {
            end++;
            int32_t id = u->token[node];
            if (id < 0)
                continue;
            single |= end - at == len;
            double s = here + (t->attr[id] == TOKEN_USER_DEFINED ? 0.0 : (double)t->score[id]);
            if (s > cut[end].score)
                cut[end] = (struct cut){s, id, (uint32_t)at, 0};
        }
        if (!single && here + u->unk_score > cut[at + len].score)
            cut[at + len] = (struct cut){here + u->unk_score, -1, (uint32_t)at, 0};
        at += len;
    }
}

static void add_unknown(struct encoder *e, const char *p, size_t n)
{
    const struct tokenizer *t = e->t;
    bool bytes = t->byte_fallback;
    for (size_t i = 0; bytes && i < n; i++)
        bytes = t->byte_id[(unsigned char)p[i]] >= 0;
    for (size_t i = 0; bytes && i < n; i++)
        encoder_add(e, t->byte_id[(unsigned char)p[i]]);
    if (!bytes && t->special[SPECIAL_UNK] >= 0)
        encoder_add(e, t->special[SPECIAL_UNK]);
}

void encoder_unigram(struct encoder *e, const char *p, size_t n)
{
    struct cut *cut = n < UINT32_MAX ? mem_array(n + 1, sizeof *cut) : NULL;
    if (!cut) {
        encoder_fail(e, ENOMEMORY, "no memory for a long text");
        return;
    }
    forward(e->t, p, n, cut);
    for (size_t at = n; at > 0; at = cut[at].start)
        cut[cut[at].start].next = (uint32_t)at;
    for (size_t at = 0, to; at < n; at = to) {
        to = cut[at].next;
        if (cut[to].id >= 0) {
            encoder_add(e, cut[to].id);
            continue;
        }
        while (to < n && cut[cut[to].next].id < 0)
            to = cut[to].next;
        add_unknown(e, p + at, to - at);
    }
    free(cut);
}
