/* Attention over the paged cache: grouped queries, sliding windows, soft caps.
 *
 * A piece of work is up to ATTN_ROWS neighbouring rows of one sequence times some of the query
 * heads that share a key-value head; it walks the pages once, while a page's keys and values are
 * in the cache of the core, for all of its rows and heads. Each (row, head) keeps its own partial
 * result: softmax within a page, then pages merged in order by their log-sums (the merge of
 * FlashAttention, Dao et al. 2022). Pages are cut by absolute position, so that the order of sums
 * of a row depends on its position alone. */
#include "engine/engine_int.h"
#include <math.h>

struct attn_phase {
    struct engine *e;
    int64_t layer;
    int64_t heads; /* query heads in a piece; divides the group */
};

/* Per worker: a page's keys and values as floats, scores of a page for each head, then ATTN_ROWS *
 * group log-sums and accumulators. */
size_t engine_worker_floats(const struct hparams *hp)
{
    int64_t group = hp->n_heads / hp->n_kv_heads, lanes = ATTN_ROWS * group;
    int64_t n = KV_PAGE * (2 * hp->head_dim + group) + lanes * (1 + hp->head_dim);
    return (size_t)((n + 15) & ~(int64_t)15);
}

/* Softmax over the n scores of a page, merged with what (row, head) has met before: the accumulator
 * is scaled, the scores become the weights of the page's values. */
static void merge_page(const struct engine *e, float *scores, int64_t n, float *lse, float *acc)
{
    const struct hparams *hp = &e->m->hp;
    if (hp->attn_softcap > 0)
        e->k->softcap(scores, hp->attn_softcap, n);
    float page = e->k->softmax(scores, n);
    if (*lse == -INFINITY) {
        *lse = page;
        return;
    }
    double a = (double)*lse, b = (double)page, top = a > b ? a : b;
    double sum = top + log(exp(a - top) + exp(b - top));
    e->k->scale(acc, (float)exp(a - sum), hp->head_dim);
    e->k->scale(scores, (float)exp(b - sum), n);
    *lse = (float)sum;
}

static void attend(struct engine *e, const struct attn_phase *ph, const struct attn_job *job,
                   int64_t head, float *scratch)
{
    const struct hparams *hp = &e->m->hp;
    const struct row *rows = e->rows + job->row;
    const struct kv_seq *s = &e->seqs[rows->seq];
    int64_t kv_head = head / (hp->n_heads / hp->n_kv_heads), dim = hp->head_dim;
    int64_t window = hp->layer[ph->layer] & LAYER_WINDOW ? hp->window : 0;
    int64_t first = window && rows[0].pos >= window ? rows[0].pos - window + 1 : 0;
    int64_t last = rows[job->n - 1].pos;
    float *keys = scratch, *values = keys + KV_PAGE * dim, *scores = values + KV_PAGE * dim;
    float *lse = scores + KV_PAGE * ph->heads, *acc = lse + job->n * ph->heads;
    for (int64_t i = 0; i < job->n * ph->heads; i++)
        lse[i] = -INFINITY;
    memset(acc, 0, (size_t)(job->n * ph->heads * dim) * sizeof *acc);
    for (int64_t page = first / KV_PAGE; page <= last / KV_PAGE; page++) {
        int64_t begin = page * KV_PAGE,
                end = begin + KV_PAGE < last + 1 ? begin + KV_PAGE : last + 1;
        int64_t from = first > begin ? first : begin;
        e->k->kv_expand[e->kv.type](keys, kv_row(&e->kv, s, ph->layer, 0, kv_head, from),
                                    e->kv.row_bytes, end - from, dim);
        e->k->kv_expand[e->kv.type](values, kv_row(&e->kv, s, ph->layer, 1, kv_head, from),
                                    e->kv.row_bytes, end - from, dim);
        for (int r = 0; r < job->n; r++) {
            int64_t pos = rows[r].pos, hi = pos + 1 < end ? pos + 1 : end;
            int64_t lo = window && pos - window + 1 > begin ? pos - window + 1 : begin;
            if (lo >= hi)
                continue;
            const float *q = e->q + (job->row + r) * hp_q_dim(hp) + head * dim;
            float *out = acc + r * ph->heads * dim;
            for (int64_t h = 0; h < ph->heads; h++) {
                e->k->attn_scores(scores + h * KV_PAGE, q + h * dim, keys + (lo - from) * dim, dim,
                                  hi - lo, dim, hp->attn_scale);
                merge_page(e, scores + h * KV_PAGE, hi - lo, &lse[r * ph->heads + h],
                           out + h * dim);
            }
            e->k->attn_mix(out, dim, scores, KV_PAGE, ph->heads, values + (lo - from) * dim, dim,
                           hi - lo, dim);
        }
    }
    for (int r = 0; r < job->n; r++)
        memcpy(e->attn + (job->row + r) * hp_q_dim(hp) + head * dim, acc + r * ph->heads * dim,
               (size_t)(ph->heads * dim) * sizeof *acc);
}

/* Items are (job, piece of heads), heads innermost. */
static void attend_items(void *ctx, int worker, int64_t begin, int64_t end)
{
    const struct attn_phase *ph = ctx;
    struct engine *e = ph->e;
    int64_t pieces = e->m->hp.n_heads / ph->heads;
    float *scratch = e->worker + (size_t)worker * e->worker_floats;
    for (int64_t i = begin; i < end; i++)
        attend(e, ph, &e->jobs[i / pieces], i % pieces * ph->heads, scratch);
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
    int64_t group = hp->n_heads / hp->n_kv_heads;
    struct attn_phase ph = {.e = e, .layer = layer, .heads = group};
    /* few pieces for many threads: one query head each */
    if (e->n_jobs * hp->n_kv_heads < 2 * pool_size(e->pool))
        ph.heads = 1;
    int64_t work = 0; /* multiply-adds, about */
    for (int j = 0; j < e->n_jobs; j++)
        work += e->jobs[j].n * (e->rows[e->jobs[j].row].pos + 1) * 2 * hp_q_dim(hp);
    engine_run(e, attend_items, &ph, e->n_jobs * (hp->n_heads / ph.heads), 1, work < 1 << 16);
}
