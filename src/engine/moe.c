/* Mixture of experts: a router picks a few experts per row (Shazeer et al. 2017; Mixtral, Jiang et
 * al. 2024: softmax over the chosen ones), and rows are grouped by expert, so that a batch reads
 * each chosen expert's weights once. Each row's sum over its experts runs from the best down. */
#include "engine/engine_int.h"

struct moe_phase {
    struct engine *e;
    int64_t layer, n;
    int n_active;
    bool down; /* second product: gate -> out; else input -> gate and up */
};

/* Softmax over all experts, the best `used` of them, scaled to sum 1 where the model does so.
 * Equal weights: the lower index. */
static void choose(struct engine *e, int64_t t)
{
    const struct hparams *hp = &e->m->hp;
    float *p = e->moe.router + t * hp->n_experts, sum = 0;
    int32_t *choice = e->moe.choice + t * hp->n_experts_used;
    float *weight = e->moe.weight + t * hp->n_experts_used;
    e->k->softmax(p, hp->n_experts);
    for (int64_t i = 0; i < hp->n_experts_used; i++) {
        int64_t best = -1;
        for (int64_t x = 0; x < hp->n_experts; x++)
            if (p[x] >= 0 && (best < 0 || p[x] > p[best]))
                best = x;
        if (best < 0) { /* all taken or NaN: any that is free, with no weight */
            best = i;
            p[best] = 0;
        }
        choice[i] = (int32_t)best;
        weight[i] = p[best];
        sum += p[best];
        p[best] = -1;
    }
    for (int64_t i = 0; i < hp->n_experts_used && hp->norm_topk && sum > 0; i++)
        weight[i] /= sum;
}

/* Places of all picks in the order of experts; returns how many experts have rows. */
static int group(struct engine *e, int64_t n)
{
    const struct hparams *hp = &e->m->hp;
    struct moe_scratch *m = &e->moe;
    int64_t picks = n * hp->n_experts_used;
    memset(m->start, 0, (size_t)(hp->n_experts + 1) * sizeof *m->start);
    for (int64_t i = 0; i < picks; i++)
        m->start[m->choice[i] + 1]++;
    for (int64_t x = 0; x < hp->n_experts; x++)
        m->start[x + 1] += m->start[x];
    for (int64_t i = 0; i < picks; i++)
        m->slot[i] = m->start[m->choice[i]]++;
    int n_active = 0; /* start[x] is now where x's rows end */
    for (int64_t x = hp->n_experts; x > 0; x--)
        m->start[x] = m->start[x - 1];
    m->start[0] = 0;
    for (int64_t x = 0; x < hp->n_experts; x++)
        if (m->start[x + 1] > m->start[x])
            m->active[n_active++] = (int32_t)x;
    return n_active;
}

static void gather(void *ctx, int worker, int64_t t0, int64_t t1)
{
    (void)worker;
    const struct moe_phase *ph = ctx;
    struct engine *e = ph->e;
    const struct hparams *hp = &e->m->hp;
    for (int64_t t = t0; t < t1; t++)
        for (int64_t i = 0; i < hp->n_experts_used; i++) {
            int64_t slot = e->moe.slot[t * hp->n_experts_used + i];
            memcpy(e->moe.in_x + slot * hp->n_embd, e->norm + t * hp->n_embd,
                   (size_t)hp->n_embd * sizeof *e->norm);
            if (!e->exact)
                acts_copy(&e->moe.in, slot, &e->norm_acts, t);
        }
}

/* Items are (active expert, weight row): for the first product gate's rows, then up's. */
static void expert_rows(void *ctx, int worker, int64_t begin, int64_t end)
{
    (void)worker;
    const struct moe_phase *ph = ctx;
    struct engine *e = ph->e;
    const struct hparams *hp = &e->m->hp;
    const struct layer *ly = &e->m->layers[ph->layer];
    int64_t per_expert = ph->down ? hp->n_embd : 2 * hp->n_ff;
    while (begin < end) {
        int64_t expert = e->moe.active[begin / per_expert], r0 = begin % per_expert;
        int64_t stop = begin - r0 + per_expert < end ? begin - r0 + per_expert : end;
        int64_t t0 = e->moe.start[expert], t1 = e->moe.start[expert + 1];
        int64_t r1 = r0 + (stop - begin);
        if (ph->down) {
            engine_mul_rows(e, &ly->expert[M_DOWN][expert], r0, r1, &e->ff_acts, t0, t1, e->moe.out,
                            hp->n_embd);
        } else {
            int64_t cut = r1 < hp->n_ff ? r1 : hp->n_ff, from = r0 > hp->n_ff ? r0 : hp->n_ff;
            if (r0 < cut)
                engine_mul_rows(e, &ly->expert[M_GATE][expert], r0, cut, &e->moe.in, t0, t1,
                                e->gate, hp->n_ff);
            if (from < r1)
                engine_mul_rows(e, &ly->expert[M_UP][expert], from - hp->n_ff, r1 - hp->n_ff,
                                &e->moe.in, t0, t1, e->up, hp->n_ff);
        }
        begin = stop;
    }
}

/* Tells an observer each active expert's rows. */
static void observe_experts(struct engine *e, int64_t layer, int place, const struct acts *a,
                            int n_active)
{
    for (int i = 0; e->observe && i < n_active; i++) {
        int32_t x = e->moe.active[i];
        e->observe(e->observe_ctx, &e->m->layers[layer].expert[place][x], a, e->moe.start[x],
                   e->moe.start[x + 1]);
    }
}

static void activate(void *ctx, int worker, int64_t t0, int64_t t1)
{
    (void)worker;
    const struct moe_phase *ph = ctx;
    for (int64_t t = t0; t < t1; t++)
        engine_activate(ph->e, &ph->e->ff_acts, t);
}

static void combine(void *ctx, int worker, int64_t t0, int64_t t1)
{
    (void)worker;
    const struct moe_phase *ph = ctx;
    struct engine *e = ph->e;
    const struct hparams *hp = &e->m->hp;
    for (int64_t t = t0; t < t1; t++) {
        float *out = e->out + t * hp->n_embd;
        memset(out, 0, (size_t)hp->n_embd * sizeof *out);
        for (int64_t i = t * hp->n_experts_used; i < (t + 1) * hp->n_experts_used; i++)
            e->k->axpy(out, e->moe.weight[i], e->moe.out + e->moe.slot[i] * hp->n_embd, hp->n_embd);
    }
}

void engine_moe(struct engine *e, int64_t layer, int64_t n)
{
    const struct hparams *hp = &e->m->hp;
    struct moe_phase ph = {.e = e, .layer = layer, .n = n};
    const struct mul_part router = {.w = &e->m->layers[layer].mat[M_ROUTER],
                                    .y = e->moe.router,
                                    .stride = hp->n_experts,
                                    .layer = -1};
    engine_mul(e, &router, 1, &e->norm_acts, n);
    for (int64_t t = 0; t < n; t++)
        choose(e, t);
    ph.n_active = group(e, n);
    engine_run(e, gather, &ph, n, 1, n == 1);
    observe_experts(e, layer, M_GATE, &e->moe.in, ph.n_active);
    observe_experts(e, layer, M_UP, &e->moe.in, ph.n_active);
    engine_run(e, expert_rows, &ph, ph.n_active * 2 * hp->n_ff, 64, false);
    engine_run(e, activate, &ph, n * hp->n_experts_used, 1, n == 1);
    ph.down = true;
    observe_experts(e, layer, M_DOWN, &e->ff_acts, ph.n_active);
    engine_run(e, expert_rows, &ph, ph.n_active * hp->n_embd, 64, false);
    engine_run(e, combine, &ph, n, 1, n == 1);
}
