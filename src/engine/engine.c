/* Making an engine, its sequences, and the bookkeeping around a step: places for the rows, room in
 * the cache, and the length class of each sequence's angles. The arithmetic is in forward.c. */
#include "engine/engine_int.h"
#include "base/mem.h"
#include <stdlib.h>

enum {
    DEFAULT_CTX = 8192,
    DEFAULT_ROWS = 256,
    MAX_ROWS = 1 << 14,
    MAX_SEQS = 1 << 16,
    LOGITS_BYTES = 16 << 20, /* that are kept by default, */
    LOGITS_LEAST = 16,       /* and rows: an answer's usual drafts */
};

/* ---- memory ---- */

/* n * m * size zeroed bytes that live as long as the engine; NULL and *s set on failure. */
static void *scratch(struct engine *e, size_t n, size_t m, size_t size, enum status *s)
{
    size_t items, bytes;
    if (*s != OK)
        return NULL;
    if (!size_mul(n, m, &items) || !size_mul(items, size, &bytes)) {
        *s = ELIMIT;
        return NULL;
    }
    struct owned *grown = mem_resize(e->blocks, (size_t)e->n_blocks + 1, sizeof *grown);
    if (grown)
        e->blocks = grown;
    void *p = grown ? mem_aligned(bytes) : NULL;
    if (!p) {
        *s = ENOMEMORY;
        return NULL;
    }
    e->blocks[e->n_blocks++] = (struct owned){p, bytes};
    e->bytes += bytes;
    return p;
}

static void scratch_acts(struct engine *e, struct acts *a, const float *x, int64_t n, int64_t cols,
                         enum status *s)
{
    void *p = e->exact ? NULL : scratch(e, acts_bytes(n, cols), 1, 1, s);
    acts_init(a, p, x, cols, n, cols);
}

static enum status alloc_moe(struct engine *e)
{
    const struct hparams *hp = &e->m->hp;
    enum status s = OK;
    if (!(hp->features & F_MOE))
        return OK;
    size_t rows = (size_t)e->max_rows, picks = rows * (size_t)hp->n_experts_used;
    struct moe_scratch *m = &e->moe;
    m->router = scratch(e, rows, (size_t)hp->n_experts, sizeof *m->router, &s);
    m->choice = scratch(e, picks, 1, sizeof *m->choice, &s);
    m->weight = scratch(e, picks, 1, sizeof *m->weight, &s);
    m->slot = scratch(e, picks, 1, sizeof *m->slot, &s);
    m->start = scratch(e, (size_t)hp->n_experts + 1, 1, sizeof *m->start, &s);
    m->active = scratch(e, (size_t)hp->n_experts, 1, sizeof *m->active, &s);
    m->in_x = scratch(e, picks, (size_t)hp->n_embd, sizeof *m->in_x, &s);
    m->out = scratch(e, picks, (size_t)hp->n_embd, sizeof *m->out, &s);
    scratch_acts(e, &m->in, m->in_x, (int64_t)picks, hp->n_embd, &s);
    return s;
}

static enum status alloc_scratch(struct engine *e)
{
    const struct hparams *hp = &e->m->hp;
    enum status s = OK;
    size_t rows = (size_t)e->max_rows, embd = (size_t)hp->n_embd, q = (size_t)hp_q_dim(hp),
           kv = (size_t)hp_kv_dim(hp), workers = (size_t)pool_size(e->pool);
    size_t ff_rows = rows * (hp->features & F_MOE ? (size_t)hp->n_experts_used : 1);
    e->half_rot = 1;
    for (int i = 0; i < hp->n_ropes; i++)
        if (hp->rope[i].n_rot / 2 > e->half_rot)
            e->half_rot = hp->rope[i].n_rot / 2;
    e->worker_floats = engine_worker_floats(hp);
    e->rows = scratch(e, rows, 1, sizeof *e->rows, &s);
    e->prompt = scratch(e, rows, 1, sizeof *e->prompt, &s);
    e->jobs = scratch(e, rows, 1, sizeof *e->jobs, &s);
    e->cos = scratch(e, ROPE_KINDS * rows, (size_t)e->half_rot, sizeof *e->cos, &s);
    e->sin = scratch(e, ROPE_KINDS * rows, (size_t)e->half_rot, sizeof *e->sin, &s);
    e->x = scratch(e, rows, embd, sizeof *e->x, &s);
    e->norm = scratch(e, rows, embd, sizeof *e->norm, &s);
    e->q = scratch(e, rows, q, sizeof *e->q, &s);
    e->key = scratch(e, rows, kv, sizeof *e->key, &s);
    e->value = scratch(e, rows, kv, sizeof *e->value, &s);
    e->attn = scratch(e, rows, q, sizeof *e->attn, &s);
    e->out = scratch(e, rows, embd, sizeof *e->out, &s);
    e->gate = scratch(e, ff_rows, (size_t)hp->n_ff, sizeof *e->gate, &s);
    e->up = scratch(e, ff_rows, (size_t)hp->n_ff, sizeof *e->up, &s);
    e->worker = scratch(e, workers, e->worker_floats, sizeof *e->worker, &s);
    e->partial =
        scratch(e, engine_partial_floats(hp, e->n_ctx, e->max_rows), 1, sizeof *e->partial, &s);
    e->logits = scratch(e, (size_t)e->max_logits, (size_t)hp->n_vocab, sizeof *e->logits, &s);
    for (int i = 0; i < hp->n_ropes; i++)
        if (hp->rope[i].scaling == ROPE_DYNAMIC && !e->row_freqs)
            e->row_freqs = scratch(e, rows, ROPE_KINDS, sizeof *e->row_freqs, &s);
    scratch_acts(e, &e->norm_acts, e->norm, (int64_t)rows, hp->n_embd, &s);
    scratch_acts(e, &e->later_norm_acts, e->norm, e->max_logits, hp->n_embd, &s);
    scratch_acts(e, &e->attn_acts, e->attn, (int64_t)rows, hp_q_dim(hp), &s);
    scratch_acts(e, &e->ff_acts, e->gate, (int64_t)ff_rows, hp->n_ff, &s);
    return s == OK ? alloc_moe(e) : s;
}

/* ---- life ---- */

static enum status check_options(const struct model *m, const struct engine_options *o,
                                 struct err *err)
{
    if (m->info.kind != MODEL_DECODER || !m->layers)
        return err_set(err, EUSAGE, "model '%.*s' is %s, expected a decoder with weights",
                       STR_ARG(m->info.name),
                       m->layers ? "an encoder" : "opened without its weights");
    if (o->n_ctx < 0 || o->n_ctx > INT32_MAX)
        return err_set(err, EUSAGE, "n_ctx is %lld, expected 0 to %d", (long long)o->n_ctx,
                       INT32_MAX);
    if (o->max_rows < 0 || o->max_rows > MAX_ROWS)
        return err_set(err, EUSAGE, "max_rows is %d, expected 0 to %d", o->max_rows, MAX_ROWS);
    if (o->max_logits < 0 || o->max_logits > MAX_ROWS)
        return err_set(err, EUSAGE, "max_logits is %d, expected 0 to %d", o->max_logits, MAX_ROWS);
    if ((int)o->kv_type < KV_F16 || o->kv_type > KV_Q8)
        return err_set(err, EUSAGE, "kv_type is %d, expected f16, f32 or q8", (int)o->kv_type);
    return OK;
}

static int rows_of_logits(const struct engine *e, int asked)
{
    int64_t n = LOGITS_BYTES / (int64_t)sizeof *e->logits / e->m->hp.n_vocab;
    n = asked ? asked : n < LOGITS_LEAST ? LOGITS_LEAST : n;
    return n < e->max_rows ? (int)n : e->max_rows;
}

enum status engine_new(struct engine **out, const struct model *m, const struct engine_options *opt,
                       struct err *err)
{
    static const struct engine_options defaults;
    *out = NULL;
    opt = opt ? opt : &defaults;
    enum status s = check_options(m, opt, err);
    if (s == OK)
        s = kernel_check(err);
    if (s != OK)
        return s;
    struct engine *e = mem_array(1, sizeof *e);
    if (!e)
        return err_set(err, ENOMEMORY, "no memory for an engine");
    const struct hparams *hp = &m->hp;
    int64_t trained = hp->n_ctx_train < DEFAULT_CTX ? hp->n_ctx_train : DEFAULT_CTX;
    e->m = m;
    e->k = kernel_ops();
    e->exact = opt->exact;
    e->n_ctx = opt->n_ctx ? opt->n_ctx : trained;
    e->max_rows = opt->max_rows ? opt->max_rows : DEFAULT_ROWS;
    e->max_logits = rows_of_logits(e, opt->max_logits);
    for (int i = 0; i < hp->n_ropes; i++)
        for (int c = 0; c < 2; c++)
            rope_freqs(&hp->rope[i], c, &e->fixed_freqs[i][c]);
    e->pool = opt->pool;
    e->lent_pool = opt->pool != NULL;
    if (!e->pool)
        s = pool_new(&e->pool, opt->n_threads, err);
    if (s == OK)
        s = kv_init(&e->kv, hp, opt->exact ? KV_F32 : opt->kv_type, e->n_ctx, err);
    if (s == OK && (s = alloc_scratch(e)) != OK)
        err_set(err, s, "no memory for the scratch of steps of %d rows", e->max_rows);
    if (s != OK) {
        engine_free(e);
        return s;
    }
    *out = e;
    return OK;
}

void engine_free(struct engine *e)
{
    if (!e)
        return;
    for (int i = 0; i < e->n_blocks; i++)
        mem_aligned_free(e->blocks[i].p, e->blocks[i].n);
    free(e->blocks);
    for (int i = 0; i < e->n_seqs; i++)
        free(e->seqs[i].pages);
    free(e->seqs);
    free(e->needed);
    mem_aligned_free(e->lora_u, e->lora_bytes);
    kv_release(&e->kv);
    if (!e->lent_pool)
        pool_free(e->pool);
    free(e);
}

const struct model *engine_model(const struct engine *e)
{
    return e->m;
}
struct pool *engine_pool(const struct engine *e)
{
    return e->pool;
}
int64_t engine_n_ctx(const struct engine *e)
{
    return e->n_ctx;
}
int engine_max_rows(const struct engine *e)
{
    return e->max_rows;
}
int engine_max_logits(const struct engine *e)
{
    return e->max_logits;
}
size_t engine_kv_memory(const struct engine *e)
{
    return e->kv.bytes;
}
size_t engine_memory(const struct engine *e)
{
    return e->kv.bytes + e->bytes + e->lora_bytes;
}

/* ---- sequences ---- */

enum status engine_seq_new(struct engine *e, int *seq, struct err *err)
{
    int i = 0;
    while (i < e->n_seqs && e->seqs[i].live)
        i++;
    if (i == MAX_SEQS)
        return err_set(err, ELIMIT, "%d sequences at once, expected at most %d", i + 1, MAX_SEQS);
    if (i == e->n_seqs) {
        struct kv_seq *grown = mem_resize(e->seqs, (size_t)i + 1, sizeof *grown);
        if (grown)
            e->seqs = grown;
        int32_t *needed = mem_resize(e->needed, (size_t)i + 1, sizeof *needed);
        if (needed)
            e->needed = needed;
        int32_t *pages = mem_array((size_t)e->kv.n_pages, sizeof *pages);
        if (!grown || !needed || !pages) {
            free(pages);
            return err_set(err, ENOMEMORY, "no memory for a sequence");
        }
        e->seqs[i] = (struct kv_seq){.pages = pages};
        e->needed[i] = 0;
        e->n_seqs++;
    }
    e->seqs[i] = (struct kv_seq){.live = true, .pages = e->seqs[i].pages};
    *seq = i;
    return OK;
}

static struct kv_seq *seq_of(const struct engine *e, int seq)
{
    if (seq < 0 || seq >= e->n_seqs || !e->seqs[seq].live)
        hearth_bug("sequence %d is not one of the engine's", seq);
    return &e->seqs[seq];
}

void engine_seq_free(struct engine *e, int seq)
{
    struct kv_seq *s = seq_of(e, seq);
    kv_truncate(&e->kv, s, 0);
    s->live = false;
}

int64_t engine_seq_len(const struct engine *e, int seq)
{
    return seq_of(e, seq)->len;
}

int32_t engine_seq_token(const struct engine *e, int seq, int64_t pos)
{
    const struct kv_seq *s = seq_of(e, seq);
    if (pos < 0 || pos >= s->len)
        hearth_bug("position %lld of a sequence of %lld", (long long)pos, (long long)s->len);
    return *kv_token(&e->kv, s, pos);
}

void engine_seq_truncate(struct engine *e, int seq, int64_t n)
{
    struct kv_seq *s = seq_of(e, seq);
    if (n < 0 || n > s->len)
        hearth_bug("sequence %d of %lld positions truncated to %lld", seq, (long long)s->len,
                   (long long)n);
    kv_truncate(&e->kv, s, n);
    s->expect = 0;
}

void engine_seq_expect(struct engine *e, int seq, int64_t n)
{
    seq_of(e, seq)->expect = n;
}

enum status engine_seq_fork(struct engine *e, int seq, int64_t n, int *out, struct err *err)
{
    int64_t len = seq_of(e, seq)->len;
    if (n < 0 || n > len)
        return err_set(err, EUSAGE, "fork at position %lld of a sequence of %lld", (long long)n,
                       (long long)len);
    enum status s = engine_seq_new(e, out, err);
    if (s == OK)
        kv_share(&e->kv, &e->seqs[seq], &e->seqs[*out], n);
    return s;
}

static bool fixed_angles(const struct hparams *hp)
{
    for (int i = 0; i < hp->n_ropes; i++)
        if (hp->rope[i].scaling == ROPE_LONGROPE || hp->rope[i].scaling == ROPE_DYNAMIC)
            return false;
    return true;
}

/* Moves position `from` to `to` < from in all layers, turning keys back by the difference. */
static void move_position(struct engine *e, struct kv_seq *s, int64_t from, int64_t to,
                          float *const cos_of[ROPE_KINDS], float *const sin_of[ROPE_KINDS])
{
    const struct hparams *hp = &e->m->hp;
    float key[HP_MAX_HEAD_DIM];
    _Alignas(4) unsigned char row[KV_ROW_MAX];
    for (int64_t l = 0; l < hp->n_layers; l++) {
        int kind = hp->n_ropes > 1 && (hp->layer[l] & LAYER_WINDOW) ? ROPE_OF_WINDOW : ROPE_OF_FULL;
        for (int64_t h = 0; h < hp->n_kv_heads; h++) {
            kv_get(&e->kv, s, l, 1, h, from, row);
            kv_put(&e->kv, s, l, 1, h, to, row);
            kv_get(&e->kv, s, l, 0, h, from, row);
            if (!(hp->layer[l] & LAYER_NOPE)) {
                kv_load(e->kv.type, row, key, hp->head_dim);
                (hp->pairing == ROPE_PAIRS ? e->k->rope_pairs : e->k->rope_half)(
                    key, cos_of[kind], sin_of[kind], hp->rope[kind].n_rot);
                e->k->kv_store[e->kv.type](row, key, hp->head_dim);
            }
            kv_put(&e->kv, s, l, 0, h, to, row);
        }
    }
    *kv_token(&e->kv, s, to) = *kv_token(&e->kv, s, from);
}

enum status engine_seq_shift(struct engine *e, int seq, int64_t keep, int64_t n, struct err *err)
{
    struct kv_seq *s = seq_of(e, seq);
    const struct hparams *hp = &e->m->hp;
    if (keep < 0 || n < 0 || keep > s->len || n > s->len - keep)
        return err_set(err, EUSAGE, "shift drops positions %lld to %lld of a sequence of %lld",
                       (long long)keep, (long long)(keep + n), (long long)s->len);
    if (!fixed_angles(hp))
        return err_set(err, EUNSUPPORTED,
                       "context shift: the model's angles depend on the sequence's length");
    if (n == 0)
        return OK;
    if (kv_pages_needed(&e->kv, s, keep, s->len) > e->kv.n_free)
        return err_set(err, ECONTEXT, "context shift: no free pages to unshare the sequence");
    kv_make_writable(&e->kv, s, keep, s->len);
    float angles[2 * ROPE_KINDS][HP_MAX_HEAD_DIM / 2];
    float *cos_of[ROPE_KINDS], *sin_of[ROPE_KINDS];
    for (int i = 0; i < hp->n_ropes; i++) {
        struct rope_freqs f = e->fixed_freqs[i][0];
        f.scale = 1;
        cos_of[i] = angles[2 * i];
        sin_of[i] = angles[2 * i + 1];
        rope_angles(&f, -n, cos_of[i], sin_of[i]);
    }
    for (int64_t p = keep + n; p < s->len; p++)
        move_position(e, s, p, p - n, cos_of, sin_of);
    kv_truncate(&e->kv, s, s->len - n);
    s->expect = 0;
    return OK;
}

/* ---- steps ---- */

static enum status check_rows(struct engine *e, const struct step_row *rows, int n, struct err *err)
{
    if (n < 1 || n > e->max_rows)
        return err_set(err, EUSAGE, "a step of %d rows, expected 1 to %d", n, e->max_rows);
    for (int i = 0; i < n; i++) {
        if (rows[i].token < 0 || rows[i].token >= e->m->hp.n_vocab)
            return err_set(err, EUSAGE, "token %d, expected 0 to %lld", (int)rows[i].token,
                           (long long)e->m->hp.n_vocab - 1);
        if (rows[i].seq < 0 || rows[i].seq >= e->n_seqs || !e->seqs[rows[i].seq].live)
            return err_set(err, EUSAGE, "sequence %d is not one of the engine's", rows[i].seq);
    }
    return OK;
}

/* The length class that sequence s needs when it has n positions. */
static int64_t class_for(const struct engine *e, const struct kv_seq *s, int kind, int64_t n)
{
    return rope_class(&e->m->hp.rope[kind], s->expect > n ? s->expect : n);
}

/* Longrope turns all keys by the sequence's length: a class that changes means computing the
 * cached positions again. (Dynamic scaling changes with every token; there, as in the reference
 * implementation, cached keys keep their angles.) */
static bool must_recompute(const struct engine *e, const struct kv_seq *s, int64_t n)
{
    for (int i = 0; i < e->m->hp.n_ropes && s->len > 0; i++)
        if (e->m->hp.rope[i].scaling == ROPE_LONGROPE && class_for(e, s, i, n) != s->rope_class[i])
            return true;
    return false;
}

/* Counts rows per sequence in e->needed and says whether the cache has room for all. */
static enum status check_room(struct engine *e, const struct step_row *rows, int n, struct err *err)
{
    memset(e->needed, 0, (size_t)e->n_seqs * sizeof *e->needed);
    for (int i = 0; i < n; i++)
        e->needed[rows[i].seq]++;
    int64_t pages = 0;
    for (int i = 0; i < e->n_seqs; i++) {
        const struct kv_seq *s = &e->seqs[i];
        int64_t end = s->len + e->needed[i];
        if (!e->needed[i])
            continue;
        if (end > e->n_ctx)
            return err_set(err, ECONTEXT, "sequence of %lld tokens, expected at most %lld",
                           (long long)end, (long long)e->n_ctx);
        pages += kv_pages_needed(&e->kv, s, must_recompute(e, s, end) ? 0 : s->len, end);
    }
    return pages <= e->kv.n_free
               ? OK
               : err_set(err, ECONTEXT,
                         "the KV cache has %d free pages of %d tokens, expected %lld",
                         (int)e->kv.n_free, KV_PAGE, (long long)pages);
}

int engine_seq_ahead(const struct engine *e, int seq, int n)
{
    const struct kv_seq *s = seq_of(e, seq);
    const int64_t one = s->len + 1;
    int64_t end = n < e->n_ctx - s->len ? s->len + n : e->n_ctx;
    for (int i = 0; i < e->m->hp.n_ropes; i++)
        while (end > one && class_for(e, s, i, end) != class_for(e, s, i, one))
            end--;
    int64_t from = must_recompute(e, s, end) ? 0 : s->len;
    while (end > s->len && kv_pages_needed(&e->kv, s, from, end) > e->kv.n_free)
        end--;
    return (int)(end - s->len);
}

int64_t engine_free_pages(const struct engine *e)
{
    return e->kv.n_free;
}

int64_t engine_seq_need(const struct engine *e, int seq, int64_t n)
{
    const struct kv_seq *s = seq_of(e, seq);
    return kv_pages_needed(&e->kv, s, must_recompute(e, s, s->len + n) ? 0 : s->len, s->len + n);
}

int64_t engine_seq_shared(const struct engine *e, int seq)
{
    const struct kv_seq *s = seq_of(e, seq);
    return kv_pages_needed(&e->kv, s, 0, s->len);
}

int64_t engine_seqs_alone(struct engine *e, const int *seqs, size_t n)
{
    int32_t *refs = e->kv.refs;
    int64_t alone = 0;
    for (size_t i = 0; i < n; i++) /* taken away for a moment */
        for (int32_t k = 0; k < seq_of(e, seqs[i])->n_pages; k++)
            alone += --refs[e->seqs[seqs[i]].pages[k]] == 0;
    for (size_t i = 0; i < n; i++)
        for (int32_t k = 0; k < e->seqs[seqs[i]].n_pages; k++)
            refs[e->seqs[seqs[i]].pages[k]]++;
    return alone;
}

int64_t engine_share_limit(const struct engine *e)
{
    int64_t limit = INT64_MAX;
    for (int i = 0; i < e->m->hp.n_ropes; i++) {
        const struct rope_params *r = &e->m->hp.rope[i];
        if (r->scaling == ROPE_DYNAMIC && r->n_ctx_orig < limit)
            limit = r->n_ctx_orig;
    }
    return limit;
}

/* Row i's place, and the frequencies of its sequence's class. */
static void place_row(struct engine *e, int i, struct step_row r, int64_t pos)
{
    const struct hparams *hp = &e->m->hp;
    struct kv_seq *s = &e->seqs[r.seq];
    struct row *row = &e->rows[i];
    *row = (struct row){.token = r.token, .seq = r.seq, .pos = pos, .logits = r.logits};
    for (int k = 0; k < hp->n_ropes; k++) {
        int64_t class = s->rope_class[k];
        row->freqs[k] = &e->fixed_freqs[k][class != 0];
        if (hp->rope[k].scaling != ROPE_DYNAMIC || class == 0)
            continue;
        const struct row *before = i ? &e->rows[i - 1] : NULL;
        if (before && before->seq == r.seq) {
            row->freqs[k] = before->freqs[k];
        } else {
            struct rope_freqs *f = &e->row_freqs[i * ROPE_KINDS + k];
            rope_freqs(&hp->rope[k], class, f);
            row->freqs[k] = f;
        }
    }
    *kv_token(&e->kv, s, pos) = r.token;
}

/* Runs the sequence's own tokens again under its present class. */
static void recompute(struct engine *e, int seq)
{
    struct kv_seq *s = &e->seqs[seq];
    for (int64_t p = 0; p < s->len;) {
        int n = 0;
        for (; n < e->max_rows && p < s->len; n++, p++)
            place_row(e, n, (struct step_row){*kv_token(&e->kv, s, p), seq, false}, p);
        e->n_rows = n;
        engine_forward(e);
    }
}

/* Sets the class of every sequence in the step and makes its pages writable. */
static void prepare_seqs(struct engine *e)
{
    for (int i = 0; i < e->n_seqs; i++) {
        struct kv_seq *s = &e->seqs[i];
        int64_t end = s->len + e->needed[i];
        if (!e->needed[i])
            continue;
        bool again = must_recompute(e, s, end);
        for (int k = 0; k < e->m->hp.n_ropes; k++)
            s->rope_class[k] = class_for(e, s, k, end);
        kv_make_writable(&e->kv, s, again ? 0 : s->len, end);
        if (again)
            recompute(e, i);
    }
}

static enum status step(struct engine *e, const struct step_row *rows, int n, struct err *err)
{
    enum status s = check_rows(e, rows, n, err);
    if (s == OK)
        s = check_room(e, rows, n, err);
    if (s != OK)
        return s;
    prepare_seqs(e);
    for (int i = 0; i < n; i++)
        place_row(e, i, rows[i], e->seqs[rows[i].seq].len++);
    e->n_rows = n;
    engine_forward(e);
    return model_intact(e->m, err);
}

enum status engine_step(struct engine *e, const struct step_row *rows, int n, struct err *err)
{
    e->no_head = false;
    return step(e, rows, n, err);
}

enum status engine_step_hidden(struct engine *e, const struct step_row *rows, int n,
                               struct err *err)
{
    e->no_head = true;
    return step(e, rows, n, err);
}

const float *engine_hidden(const struct engine *e, int i)
{
    if (i < 0 || i >= e->n_wanted)
        hearth_bug("hidden state %d was asked for, the last step gave %d", i, e->n_wanted);
    return e->norm + i * e->m->hp.n_embd;
}

void engine_logits_keep(struct engine *e, int first, int n)
{
    if (e->no_head || first < 0 || n < 1 || n > e->max_logits || first > e->n_wanted - n)
        hearth_bug("logits %d to %d were asked for, the last step gave %d, %d at a time", first,
                   first + n - 1, e->n_wanted, e->max_logits);
    if (first >= e->logits_at && first + n <= e->logits_at + e->n_logits)
        return;
    int left = e->n_wanted - first;
    engine_head(e, first, left < e->max_logits ? left : e->max_logits);
}

const float *engine_logits(struct engine *e, int i)
{
    engine_logits_keep(e, i, 1);
    return e->logits + (int64_t)(i - e->logits_at) * e->m->hp.n_vocab;
}

enum status engine_prefill(struct engine *e, int seq, const int32_t *tokens, size_t n,
                           int (*on_chunk)(void *ctx, size_t done, size_t total), void *ctx,
                           struct err *err)
{
    if (seq < 0 || seq >= e->n_seqs || !e->seqs[seq].live)
        return err_set(err, EUSAGE, "sequence %d is not one of the engine's", seq);
    if (n == 0)
        return err_set(err, EUSAGE, "a prompt of no tokens, expected at least one");
    int64_t len = e->seqs[seq].len;
    if (n > (size_t)(e->n_ctx - len))
        return err_set(err, ECONTEXT,
                       "prompt of %zu tokens after %lld, expected at most %lld in all", n,
                       (long long)len, (long long)e->n_ctx);
    engine_seq_expect(e, seq, len + (int64_t)n);
    for (size_t done = 0; done < n;) {
        size_t step = n - done < (size_t)e->max_rows ? n - done : (size_t)e->max_rows;
        for (size_t i = 0; i < step; i++)
            e->prompt[i] = (struct step_row){tokens[done + i], seq, done + i + 1 == n};
        enum status s = engine_step(e, e->prompt, (int)step, err);
        if (s != OK)
            return s;
        done += step;
        if (done < n && on_chunk && on_chunk(ctx, done, n))
            return err_set(err, ECANCEL, "stopped after %zu of %zu prompt tokens", done, n);
    }
    return OK;
}
