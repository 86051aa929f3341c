/* Attention over the paged cache: grouped queries, sliding windows, soft caps.
 *
 * A row's positions are cut into pages, and pages into spans of SPAN_PAGES, both by absolute
 * position. Within a span the pages are met in order, with one running maximum, sum and accumulator
 * for each (row, head) that is scaled down whenever the maximum grows (Milakov and Gimelshein 2018;
 * FlashAttention, Dao et al. 2022); spans are merged in their order. So the order of a row's sums
 * depends on its position alone, and spans can be worked on by different threads.
 *
 * A piece of work is up to ATTN_ROWS neighbouring rows of one sequence times the query heads that
 * share a key-value head, over all spans or, where there are few pieces (decode at depth), one. Few
 * queries read a page's keys and values as they are cached; for many they are made floats first,
 * once. Both give the same bits. */
#include "engine/engine_int.h"
#include <math.h>

enum {
    SPAN_PAGES = 16,
    SPLIT_ROWS = 16,     /* rows of a step whose spans may be different pieces */
    DIRECT_QUERIES = 16, /* up to which pages are read as they are */
};
static const int64_t SPAN = (int64_t)SPAN_PAGES * KV_PAGE;

struct attn_phase {
    struct engine *e;
    int64_t layer;
    int64_t heads;  /* query heads in a piece; divides the group */
    int64_t spans;  /* pieces that a job is cut into; 1: no cut */
    float *partial; /* (rows, heads, spans): what spans gave, where there is a cut */
};

/* What (row, head) has met so far: acc is the sum of exp(score - top) * value. */
struct state {
    float top, sum;
    float acc[]; /* (head_dim) */
};

static size_t state_floats(const struct hparams *hp)
{
    return ATTN_STATE + (size_t)hp->head_dim;
}

/* Per worker: a page's keys and values as floats, for each row and head of a job its query and its
 * scores of a page, and two states: of the span and of the spans before. */
size_t engine_worker_floats(const struct hparams *hp)
{
    size_t group = (size_t)(hp->n_heads / hp->n_kv_heads), dim = (size_t)hp->head_dim;
    size_t n = 2 * KV_PAGE * dim + (size_t)query_floats(ATTN_ROWS * (int64_t)group, hp->head_dim);
    n += ATTN_ROWS * group * (KV_PAGE + 2 * state_floats(hp));
    return (n + 15) & ~(size_t)15;
}

/* Rows times spans of a context, for the states of work that was cut. */
size_t engine_partial_floats(const struct hparams *hp, int64_t n_ctx, int max_rows)
{
    size_t rows = max_rows < SPLIT_ROWS ? (size_t)max_rows : SPLIT_ROWS;
    return rows * (size_t)hp->n_heads * (size_t)((n_ctx + SPAN - 1) / SPAN) * state_floats(hp);
}

static void state_clear(struct state *s, int64_t dim)
{
    s->top = -INFINITY;
    s->sum = 0;
    memset(s->acc, 0, (size_t)dim * sizeof *s->acc);
}

static float exp_of(const struct kernel_ops *k, float x)
{
    k->exp_sum(&x, 1, 0);
    return x;
}

/* The span that follows. */
static void state_merge(const struct engine *e, struct state *s, struct state *next)
{
    int64_t dim = e->m->hp.head_dim;
    if (next->top == -INFINITY)
        return;
    if (s->top == -INFINITY) {
        memcpy(s, next, state_floats(&e->m->hp) * sizeof(float));
        return;
    }
    float top = s->top > next->top ? s->top : next->top;
    float a = exp_of(e->k, s->top - top), b = exp_of(e->k, next->top - top);
    e->k->scale(s->acc, a, dim);
    e->k->axpy(s->acc, b, next->acc, dim);
    s->sum = s->sum * a + next->sum * b;
    s->top = top;
}

static struct state *state_at(const struct engine *e, float *states, int64_t i)
{
    return (struct state *)(void *)(states + (size_t)i * state_floats(&e->m->hp));
}

/* Keys and values of a page as attention reads them: keys of positions from `first` on, a multiple
 * of KV_TILE within the page, values too. */
struct page {
    enum kv_type type;
    const void *keys, *values;
    const void *next_keys, *next_values; /* of the page that follows, or NULL */
};

static struct page page_at(const struct engine *e, const struct attn_phase *ph,
                           const struct kv_seq *s, int64_t kv_head, int64_t first, int64_t n,
                           bool direct, float *wide)
{
    int64_t dim = e->m->hp.head_dim;
    enum kv_type type = e->kv.type;
    size_t skip = (size_t)(first % KV_PAGE) * e->kv.row_bytes;
    const unsigned char *keys = kv_run(&e->kv, s, ph->layer, 0, kv_head, first) + skip,
                        *values = kv_run(&e->kv, s, ph->layer, 1, kv_head, first) + skip;
    if (direct || type == KV_F32)
        return (struct page){.type = type, .keys = keys, .values = values};
    e->k->kv_expand_keys[type](wide, keys, n, dim);
    e->k->kv_expand_values[type](wide + KV_PAGE * dim, values, n, dim);
    return (struct page){.type = KV_F32, .keys = wide, .values = wide + KV_PAGE * dim};
}

/* The weights of n positions from `at` of a page on, for n_q neighbouring states. */
static void mix(const struct engine *e, const struct page *page, struct state *s,
                const float *weights, int64_t n_q, int64_t at, int64_t n)
{
    int64_t dim = e->m->hp.head_dim;
    size_t row_bytes = kv_row_bytes(page->type, dim);
    e->k->attn_mix[page->type](s->acc, (int64_t)state_floats(&e->m->hp), weights, n_q,
                               (const unsigned char *)page->values + (size_t)at * row_bytes,
                               row_bytes, n, dim, page->next_values, e->kv.head_bytes);
}

/* Rows of a job against the keys and values of positions [from, end), of one page, whose first is
 * that of the tile of `from`. */
static void attend_page(struct engine *e, const struct attn_phase *ph, const struct attn_job *job,
                        const struct page *page, int64_t window, int64_t from, int64_t end,
                        const float *queries, float *scores, float *states)
{
    const struct hparams *hp = &e->m->hp;
    const struct row *rows = e->rows + job->row;
    int64_t first = from / KV_TILE * KV_TILE, heads = ph->heads;
    e->k->attn_scores[page->type](scores, queries, job->n * heads, page->keys, end - first,
                                  hp->head_dim, hp->attn_scale, page->next_keys, e->kv.head_bytes);
    /* the usual page is met in full by every row: one product for all of them */
    bool full = rows[0].pos + 1 >= end && (!window || rows[job->n - 1].pos - window < from);
    for (int r = 0; r < job->n; r++) {
        int64_t pos = rows[r].pos, hi = pos + 1 < end ? pos + 1 : end;
        int64_t lo = window && pos - window + 1 > from ? pos - window + 1 : from;
        if (lo >= hi)
            continue;
        float *mine = scores + r * heads * KV_PAGE + (lo - first);
        for (int64_t h = 0; h < heads && hp->attn_softcap > 0; h++)
            e->k->softcap(mine + h * KV_PAGE, hp->attn_softcap, hi - lo);
        e->k->attn_weights(&state_at(e, states, r * heads)->top, (int64_t)state_floats(hp),
                           hp->head_dim, mine, heads, hi - lo);
        if (!full)
            mix(e, page, state_at(e, states, r * heads), mine, heads, lo - first, hi - lo);
    }
    if (full)
        mix(e, page, state_at(e, states, 0), scores + (from - first), job->n * heads, from - first,
            end - from);
}

/* One span of a job: the states are empty before. */
static void attend_span(struct engine *e, const struct attn_phase *ph, const struct attn_job *job,
                        int64_t head, int64_t span, float *scratch, float *states)
{
    const struct hparams *hp = &e->m->hp;
    const struct row *rows = e->rows + job->row;
    const struct kv_seq *s = &e->seqs[rows->seq];
    int64_t kv_head = head / (hp->n_heads / hp->n_kv_heads), dim = hp->head_dim;
    int64_t window = hp->layer[ph->layer] & LAYER_WINDOW ? hp->window : 0;
    int64_t first = window && rows[0].pos >= window ? rows[0].pos - window + 1 : 0;
    int64_t end = rows[job->n - 1].pos + 1, begin = span * SPAN, n = job->n * ph->heads;
    float *queries = scratch + 2 * KV_PAGE * dim, *scores = queries + query_floats(n, dim);
    end = begin + SPAN < end ? begin + SPAN : end;
    begin = first > begin ? first : begin;
    for (int64_t i = 0; i < n; i++) {
        int64_t r = i / ph->heads, h = i % ph->heads;
        query_put(queries, i, e->q + (job->row + r) * hp_q_dim(hp) + (head + h) * dim, dim);
        state_clear(state_at(e, states, i), dim);
    }
    for (int64_t from = begin, to; from < end; from = to) {
        to = (from / KV_PAGE + 1) * KV_PAGE;
        bool more = to < end;
        to = more ? to : end;
        int64_t tile = from / KV_TILE * KV_TILE;
        struct page page =
            page_at(e, ph, s, kv_head, tile, to - tile, n <= DIRECT_QUERIES, scratch);
        if (more) {
            page.next_keys = kv_run(&e->kv, s, ph->layer, 0, kv_head, to);
            page.next_values = kv_run(&e->kv, s, ph->layer, 1, kv_head, to);
        }
        attend_page(e, ph, job, &page, window, from, to, queries, scores, states);
    }
}

static int64_t first_span(const struct engine *e, const struct attn_phase *ph,
                          const struct attn_job *job)
{
    const struct hparams *hp = &e->m->hp;
    int64_t pos = e->rows[job->row].pos;
    return hp->layer[ph->layer] & LAYER_WINDOW && pos >= hp->window ? (pos - hp->window + 1) / SPAN
                                                                    : 0;
}

static int64_t last_span(const struct engine *e, const struct attn_job *job)
{
    return e->rows[job->row + job->n - 1].pos / SPAN;
}

/* The state of all spans becomes the row's output. */
static void finish(struct engine *e, int64_t row, int64_t head, struct state *s)
{
    const struct hparams *hp = &e->m->hp;
    float *out = e->attn + row * hp_q_dim(hp) + head * hp->head_dim;
    e->k->scale(s->acc, 1.0f / s->sum, hp->head_dim);
    memcpy(out, s->acc, (size_t)hp->head_dim * sizeof *out);
}

/* A job's heads over all their spans. */
static void attend(struct engine *e, const struct attn_phase *ph, const struct attn_job *job,
                   int64_t head, float *scratch)
{
    const struct hparams *hp = &e->m->hp;
    int64_t n = job->n * ph->heads, last = last_span(e, job), span = first_span(e, ph, job);
    float *states =
        scratch + 2 * KV_PAGE * hp->head_dim + query_floats(n, hp->head_dim) + n * KV_PAGE;
    float *before = states + (size_t)n * state_floats(hp);
    attend_span(e, ph, job, head, span, scratch, before);
    while (++span <= last) {
        attend_span(e, ph, job, head, span, scratch, states);
        for (int64_t i = 0; i < n; i++)
            state_merge(e, state_at(e, before, i), state_at(e, states, i));
    }
    for (int64_t i = 0; i < n; i++)
        finish(e, job->row + i / ph->heads, head + i % ph->heads, state_at(e, before, i));
}

/* Items are (job, piece of heads, span), spans innermost. */
static void attend_items(void *ctx, int worker, int64_t begin, int64_t end)
{
    const struct attn_phase *ph = ctx;
    struct engine *e = ph->e;
    int64_t pieces = e->m->hp.n_heads / ph->heads;
    float *scratch = e->worker + (size_t)worker * e->worker_floats;
    for (int64_t i = begin; i < end; i++) {
        int64_t span = i % ph->spans, head = i / ph->spans % pieces * ph->heads;
        const struct attn_job *job = &e->jobs[i / ph->spans / pieces];
        if (ph->spans == 1)
            attend(e, ph, job, head, scratch);
        else if (span >= first_span(e, ph, job) && span <= last_span(e, job))
            attend_span(e, ph, job, head, span, scratch,
                        ph->partial +
                            (size_t)((job->row * pieces + head / ph->heads * job->n) * ph->spans +
                                     span * job->n) *
                                (size_t)ph->heads * state_floats(&e->m->hp));
    }
}

/* What the spans of a cut gave, merged in order: items are (job, piece of heads). */
static void merge_items(void *ctx, int worker, int64_t begin, int64_t end)
{
    const struct attn_phase *ph = ctx;
    struct engine *e = ph->e;
    size_t floats = state_floats(&e->m->hp);
    int64_t pieces = e->m->hp.n_heads / ph->heads;
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        const struct attn_job *job = &e->jobs[i / pieces];
        int64_t n = job->n * ph->heads, first = first_span(e, ph, job), last = last_span(e, job);
        float *states =
            ph->partial +
            (size_t)((job->row * pieces + i % pieces * job->n) * ph->spans * ph->heads) * floats;
        for (int64_t k = 0; k < n; k++) {
            struct state *s = state_at(e, states, first * n + k);
            for (int64_t span = first + 1; span <= last; span++)
                state_merge(e, s, state_at(e, states, span * n + k));
            finish(e, job->row + k / ph->heads, i % pieces * ph->heads + k % ph->heads, s);
        }
    }
}

static void make_jobs(struct engine *e, int n)
{
    e->n_jobs = 0;
    for (int t = 0; t < n;) {
        int end = t + 1;
        while (end < n && end - t < ATTN_ROWS && e->rows[end].seq == e->rows[t].seq &&
               e->rows[end].pos == e->rows[t].pos + (end - t))
            end++;
        e->jobs[e->n_jobs++] = (struct attn_job){t, end - t};
        t = end;
    }
}

void engine_attention(struct engine *e, int64_t layer, int n)
{
    const struct hparams *hp = &e->m->hp;
    make_jobs(e, n);
    int64_t group = hp->n_heads / hp->n_kv_heads, enough = 4 * pool_size(e->pool);
    struct attn_phase ph = {
        .e = e, .layer = layer, .heads = group, .spans = 1, .partial = e->partial};
    int64_t work = 0, spans = 1; /* work: multiply-adds, about */
    for (int j = 0; j < e->n_jobs; j++) {
        const struct attn_job *job = &e->jobs[j];
        work += job->n * (e->rows[job->row].pos + 1) * 2 * hp_q_dim(hp);
        spans = last_span(e, job) + 1 > spans ? last_span(e, job) + 1 : spans;
    }
    if (n <= SPLIT_ROWS && e->n_jobs * hp->n_kv_heads < enough)
        ph.spans = spans;
    /* still few pieces for many threads: one query head each */
    if (e->n_jobs * hp->n_kv_heads * ph.spans < pool_size(e->pool))
        ph.heads = 1;
    int64_t pieces = e->n_jobs * (hp->n_heads / ph.heads);
    engine_run(e, attend_items, &ph, pieces * ph.spans, 1, work < 1 << 16);
    if (ph.spans > 1)
        engine_run(e, merge_items, &ph, pieces, 1, true);
}
