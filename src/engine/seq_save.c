/* Snapshots of sequences.
 *
 *     header, identity, tokens (length of int32), rows of keys and values
 *
 * in the byte order of the machine, which the first number tells. Whole pages stand as they are in
 * the cache. Of the last one stand, head by head, the rows of the positions in use: others may hold
 * rows of somebody else's text. */
#include "base/mem.h"
#include "engine/engine_int.h"
#include <stdio.h>

enum { IDENTITY_MAX = 255, VERSION_MAX = 31 };
static const uint64_t magic = 0x32766b2d68747265; /* "erth-kv2" where the lowest byte comes first */

struct header {
    uint64_t magic;
    char version[VERSION_MAX + 1]; /* of Hearth: another one may compute other bits */
    uint32_t kv_type, exact, page, n_identity;
    int64_t n_layers, n_heads, head_dim, n_vocab, len;
    int64_t rope_class[ROPE_KINDS];
};

static struct header header_of(const struct engine *e, size_t n_identity)
{
    struct header h;
    memset(&h, 0, sizeof h); /* padding too: a snapshot is a function of what it holds */
    h.magic = magic;
    snprintf(h.version, sizeof h.version, "%s", HEARTH_VERSION);
    h.kv_type = (uint32_t)e->kv.type;
    h.exact = e->exact;
    h.page = KV_PAGE;
    h.n_identity = (uint32_t)n_identity;
    h.n_layers = e->kv.n_layers;
    h.n_heads = e->kv.n_heads;
    h.head_dim = e->kv.head_dim;
    h.n_vocab = e->m->hp.n_vocab;
    return h;
}

/* Positions of page i that a sequence of len uses. */
static size_t used(int64_t len, int64_t i)
{
    int64_t n = len - i * KV_PAGE;
    return (size_t)(n < KV_PAGE ? n : KV_PAGE);
}

/* The last page's rows when it is not whole: [layer][keys, values][head][position]. A row is added
 * to out, or taken from bytes. */
static void part_rows(const struct kv_cache *kv, const struct kv_seq *s, struct buf *out,
                      const char *bytes)
{
    _Alignas(4) unsigned char row[KV_ROW_MAX];
    for (int64_t run = 0; run < kv->n_layers * 2 * kv->n_heads; run++) {
        int64_t layer = run / (2 * kv->n_heads), head = run % kv->n_heads;
        int value = (int)(run / kv->n_heads % 2);
        for (int64_t pos = s->len / KV_PAGE * KV_PAGE; pos < s->len; pos++) {
            if (out) {
                kv_get(kv, s, layer, value, head, pos, row);
                buf_add(out, row, kv->row_bytes);
            } else {
                memcpy(row, bytes, kv->row_bytes);
                kv_put(kv, s, layer, value, head, pos, row);
                bytes += kv->row_bytes;
            }
        }
    }
}

static size_t position_bytes(const struct engine *e)
{
    return e->kv.page_bytes / KV_PAGE;
}

size_t engine_seq_save_bytes(const struct engine *e, int seq)
{
    size_t len = (size_t)engine_seq_len(e, seq);
    return sizeof(struct header) + IDENTITY_MAX + len * (sizeof(int32_t) + position_bytes(e));
}

int64_t engine_pages_of(int64_t n)
{
    return kv_pages_of(n);
}

int64_t engine_snapshot_pages(const struct engine *e, struct str snapshot)
{
    struct header h;
    if (snapshot.n < sizeof h)
        return 0;
    memcpy(&h, snapshot.p, sizeof h);
    return h.len < 0 || h.len > e->n_ctx ? 0 : kv_pages_of(h.len);
}

enum status engine_seq_save(const struct engine *e, int seq, struct str identity, struct buf *out,
                            struct err *err)
{
    if (identity.n > IDENTITY_MAX)
        return err_set(err, EUSAGE, "snapshot: an identity of %zu bytes, expected at most %d",
                       identity.n, IDENTITY_MAX);
    const struct kv_cache *kv = &e->kv;
    int64_t len = engine_seq_len(e, seq);
    const struct kv_seq *s = &e->seqs[seq];
    struct header h = header_of(e, identity.n);
    h.len = len;
    memcpy(h.rope_class, s->rope_class, sizeof h.rope_class);
    buf_add(out, &h, sizeof h);
    buf_addstr(out, identity);
    for (int64_t i = 0; i < kv_pages_of(len); i++)
        buf_add(out, kv->tokens + (size_t)s->pages[i] * KV_PAGE, used(len, i) * sizeof(int32_t));
    for (int64_t i = 0; i < len / KV_PAGE; i++)
        buf_add(out, kv->data + (size_t)s->pages[i] * kv->page_bytes, kv->page_bytes);
    part_rows(kv, s, out, NULL);
    return buf_check(out, "snapshot of a sequence", err);
}

/* The header as it must be but for length and classes, and the sizes that follow from it. */
static enum status check(const struct engine *e, struct str identity, struct str bytes,
                         struct header *h, struct err *err)
{
    struct header want = header_of(e, identity.n);
    if (bytes.n < sizeof *h)
        return err_set(err, EFORMAT, "snapshot: %zu bytes, expected at least %zu", bytes.n,
                       sizeof *h);
    memcpy(h, bytes.p, sizeof *h);
    want.len = h->len;
    memcpy(want.rope_class, h->rope_class, sizeof want.rope_class);
    if (memcmp(h, &want, sizeof want) != 0)
        return err_set(err, EFORMAT,
                       "snapshot: not of this model, version, arithmetic and KV type");
    if (h->len < 0 || h->len > e->n_ctx)
        return err_set(err, EFORMAT, "snapshot: %lld positions, expected 0 to %lld",
                       (long long)h->len, (long long)e->n_ctx);
    size_t each, total;
    if (!size_mul((size_t)h->len, position_bytes(e) + sizeof(int32_t), &each) ||
        !size_add(each, sizeof *h + identity.n, &total) || total != bytes.n)
        return err_set(err, EFORMAT, "snapshot: %zu bytes for %lld positions", bytes.n,
                       (long long)h->len);
    if (!str_eq(str_slice(bytes, sizeof *h, sizeof *h + identity.n), identity))
        return err_set(err, EFORMAT, "snapshot: of another model or other adapters");
    for (int k = 0; k < ROPE_KINDS; k++) {
        /* the class of some length that was announced or reached */
        int64_t c = h->rope_class[k];
        enum rope_scaling scaling = k < e->m->hp.n_ropes ? e->m->hp.rope[k].scaling : ROPE_PLAIN;
        int64_t most = scaling == ROPE_DYNAMIC ? INT32_MAX : scaling == ROPE_LONGROPE ? 1 : 0;
        if (c < 0 || c > most)
            return err_set(err, EFORMAT, "snapshot: length class %lld, expected 0 to %lld",
                           (long long)c, (long long)most);
    }
    return OK;
}

static enum status check_tokens(const struct engine *e, const char *p, int64_t n, struct err *err)
{
    for (int64_t i = 0; i < n; i++) {
        int32_t id;
        memcpy(&id, p + (size_t)i * sizeof id, sizeof id);
        if (id < 0 || id >= e->m->hp.n_vocab)
            return err_set(err, EFORMAT, "snapshot: token %d, expected 0 to %lld", (int)id,
                           (long long)e->m->hp.n_vocab - 1);
    }
    return OK;
}

enum status engine_seq_load(struct engine *e, struct str identity, struct str bytes, int *seq,
                            struct err *err)
{
    struct header h;
    struct kv_cache *kv = &e->kv;
    enum status st = check(e, identity, bytes, &h, err);
    const char *tokens = bytes.p + sizeof h + identity.n;
    if (st == OK)
        st = check_tokens(e, tokens, h.len, err);
    if (st == OK && kv_pages_of(h.len) > kv->n_free)
        st = err_set(err, ECONTEXT, "snapshot: the KV cache has %d free pages, expected %lld",
                     (int)kv->n_free, (long long)kv_pages_of(h.len));
    if (st == OK)
        st = engine_seq_new(e, seq, err);
    if (st != OK)
        return st;
    struct kv_seq *s = &e->seqs[*seq];
    kv_make_writable(kv, s, 0, h.len);
    s->len = h.len;
    memcpy(s->rope_class, h.rope_class, sizeof h.rope_class);
    const char *p = tokens + (size_t)h.len * sizeof(int32_t);
    for (int64_t i = 0; i < kv_pages_of(h.len); i++) {
        size_t n = used(h.len, i), page = (size_t)s->pages[i];
        memcpy(kv->tokens + page * KV_PAGE, tokens + (size_t)i * KV_PAGE * sizeof(int32_t),
               n * sizeof(int32_t));
        if (n == KV_PAGE) {
            memcpy(kv->data + page * kv->page_bytes, p, kv->page_bytes);
            p += kv->page_bytes;
        }
    }
    part_rows(kv, s, NULL, p);
    return OK;
}
