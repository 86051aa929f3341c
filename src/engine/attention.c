/* Attention over the paged cache: grouped queries, sliding windows, soft caps.
 *
 * A row's positions are cut into pages, and pages into spans of SPAN_PAGES, both by absolute
 * position. Within a span the pages are met in order, with one running maximum, sum and accumulator
 * for each (row, head) that is scaled down whenever the maximum grows (Milakov and Gimelshein 2018;
 * FlashAttention, Dao et al. 2022); spans are merged in their order. So the order of a row's sums
 * depends on its position alone, and spans can be worked on by different threads.
 *
 * A piece of work is up to ATTN_ROWS neighbouring rows of one sequence times the query heads that
 * share a key-value head, over all spans or, where there are few pieces (decode at depth), one: a
 * page's keys and values are read once and made floats once for all its rows and heads. */
#include "engine/engine_int.h"
#include <math.h>

enum {
    SPAN_PAGES = 16,
    SPLIT_ROWS = 16, /* rows of a step whose spans may be different pieces */
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
    return 2 + (size_t)hp->head_dim;
}

/* Per worker: a page's keys and values as floats, scores of a page for each head of a group, and
 * two states for each row and head of a job: of the span and of the spans before. */
size_t engine_worker_floats(const struct hparams *hp)
{
    size_t group = (size_t)(hp->n_heads / hp->n_kv_heads);
    size_t n = KV_PAGE * (2 * (size_t)hp->head_dim + group);
    n += 2 * ATTN_ROWS * group * state_floats(hp);
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

/* A page's scores become the weights of its values, under the state's maximum. */
static void take_scores(const struct engine *e, struct state *s, float *scores, int64_t n)
{
    const struct hparams *hp = &e->m->hp;
    if (hp->attn_softcap > 0)
        e->k->softcap(scores, hp->attn_softcap, n);
    float top = e->k->max(scores, n);
    if (top > s->top) {
        if (s->top != -INFINITY) {
            float c = exp_of(e->k, s->top - top);
            s->sum *= c;
            e->k->scale(s->acc, c, hp->head_dim);
        }
        s->top = top;
    }
    s->sum += e->k->exp_sum(scores, n, s->top);
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

/* Lines of the next page come while this one is worked on. */
static void fetch_page(const struct engine *e, const struct kv_seq *s, int64_t layer,
                       int64_t kv_head, int64_t pos)
{
    for (int value = 0; value < 2; value++) {
        const unsigned char *p = kv_row(&e->kv, s, layer, value, kv_head, pos);
        for (size_t i = 0; i < e->kv.head_bytes; i += 64)
            __builtin_prefetch(p + i);
    }
}

/* Rows of a job against the keys and values of positions [from, end), a page or less. */
static void attend_page(struct engine *e, const struct attn_phase *ph, const struct attn_job *job,
                        int64_t head, int64_t window, int64_t from, int64_t end, float *scratch,
                        float *states)
{
    const struct hparams *hp = &e->m->hp;
    const struct row *rows = e->rows + job->row;
    int64_t dim = hp->head_dim;
    float *keys = scratch, *values = keys + KV_PAGE * dim, *scores = values + KV_PAGE * dim;
    for (int r = 0; r < job->n; r++) {
        int64_t pos = rows[r].pos, hi = pos + 1 < end ? pos + 1 : end;
        int64_t lo = window && pos - window + 1 > from ? pos - window + 1 : from;
        if (lo >= hi)
            continue;
        const float *q = e->q + (job->row + r) * hp_q_dim(hp) + head * dim;
        struct state *first = state_at(e, states, r * ph->heads);
        for (int64_t h = 0; h < ph->heads; h++) {
            e->k->attn_scores(scores + h * KV_PAGE, q + h * dim, keys + (lo - from) * dim, dim,
                              hi - lo, dim, hp->attn_scale);
            take_scores(e, state_at(e, states, r * ph->heads + h), scores + h * KV_PAGE, hi - lo);
        }
        e->k->attn_mix(first->acc, (int64_t)state_floats(hp), scores, KV_PAGE, ph->heads,
                       values + (lo - from) * dim, dim, hi - lo, dim);
    }
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
    int64_t end = rows[job->n - 1].pos + 1, begin = span * SPAN;
    end = begin + SPAN < end ? begin + SPAN : end;
    begin = first > begin ? first : begin;
    for (int64_t i = 0; i < job->n * ph->heads; i++)
        state_clear(state_at(e, states, i), dim);
    for (int64_t from = begin, to; from < end; from = to) {
        to = (from / KV_PAGE + 1) * KV_PAGE;
        if (to < end)
            fetch_page(e, s, ph->layer, kv_head, to);
        to = to < end ? to : end;
        e->k->kv_expand[e->kv.type](scratch, kv_row(&e->kv, s, ph->layer, 0, kv_head, from),
                                    e->kv.row_bytes, to - from, dim);
        e->k->kv_expand[e->kv.type](scratch + KV_PAGE * dim,
                                    kv_row(&e->kv, s, ph->layer, 1, kv_head, from), e->kv.row_bytes,
                                    to - from, dim);
        attend_page(e, ph, job, head, window, from, to, scratch, states);
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
    float *states = scratch + KV_PAGE * (2 * hp->head_dim + ph->heads);
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
