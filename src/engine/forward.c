/* The forward pass of every decoder, as a script over the choices in hparams.
 *
 * A step's rows go through each layer together. Work is cut along output rows of weights, along
 * rows of the step, or along (rows, head); every sum stays inside one piece and has one order, so
 * that the bits of a row depend on nothing around it. A layer costs five splits over the pool:
 * q/k/v, attention, output, gate/up, down; what lies between is done row by row, by the caller
 * alone when the step is a single row.
 *
 * On the last layer only the rows whose logits are wanted go on after their keys are stored. */
#include "engine/engine_int.h"

/* ---- helpers for phases ---- */

void engine_run(struct engine *e, pool_fn *fn, void *ctx, int64_t n_items, int64_t grain,
                bool small)
{
    if (small)
        fn(ctx, 0, 0, n_items);
    else
        pool_run(e->pool, fn, ctx, n_items, grain);
}

void engine_quantize(const struct engine *e, struct acts *a, int64_t t0, int64_t t1)
{
    if (!e->exact)
        e->k->acts_quantize(a, t0, t1);
}

void engine_mul_rows(const struct engine *e, const struct mat *w, int64_t r0, int64_t r1,
                     const struct acts *a, int64_t t0, int64_t t1, float *y, int64_t stride)
{
    if (e->exact)
        e->k->mul_exact(w, r0, r1, a, t0, t1, y, stride);
    else
        e->k->mul[w->type](w, r0, r1, a, t0, t1, y, stride);
}

/* ---- products with weights ---- */

struct mul_phase {
    struct engine *e;
    const struct mul_part *parts;
    int n_parts;
    const struct acts *a;
    int64_t n;
};

static const struct lora_pair *pair_of(const struct engine *e, int i, const struct mul_part *p)
{
    if (p->layer < 0)
        return NULL;
    const struct lora_pair *pair = &e->loras[i]->pairs[p->layer * LAYER_MATS + p->place];
    return pair->a.data ? pair : NULL;
}

/* u[t] = A x[t] of adapter i for part p, (n, lora_rank). */
static float *lora_u(const struct engine *e, int i, int part)
{
    return e->lora_u + (int64_t)(i * MUL_PARTS + part) * e->max_rows * e->lora_rank;
}

static void lora_down(void *ctx, int worker, int64_t t0, int64_t t1)
{
    (void)worker;
    const struct mul_phase *ph = ctx;
    const struct engine *e = ph->e;
    for (int i = 0; i < e->n_loras; i++)
        for (int p = 0; p < ph->n_parts; p++) {
            const struct lora_pair *pair = pair_of(e, i, &ph->parts[p]);
            if (pair)
                e->k->mul_exact(&pair->a, 0, pair->a.rows, ph->a, t0, t1, lora_u(e, i, p),
                                e->lora_rank);
        }
}

/* y += scale * B u for rows [r0, r1). */
static void lora_up(const struct mul_phase *ph, int part, int64_t r0, int64_t r1)
{
    const struct engine *e = ph->e;
    const struct mul_part *p = &ph->parts[part];
    enum { CHUNK = 64 };
    float y[CHUNK];
    for (int i = 0; i < e->n_loras; i++) {
        const struct lora_pair *pair = pair_of(e, i, p);
        if (!pair)
            continue;
        for (int64_t r = r0; r < r1; r += CHUNK) {
            struct mat b = pair->b;
            b.rows = r + CHUNK < r1 ? CHUNK : r1 - r;
            b.data = (const unsigned char *)b.data + (size_t)r * b.row_bytes;
            for (int64_t t = 0; t < ph->n; t++) {
                struct acts u;
                acts_init(&u, NULL, lora_u(e, i, part) + t * e->lora_rank, e->lora_rank, 1, b.cols);
                e->k->mul_exact(&b, 0, b.rows, &u, 0, 1, y, CHUNK);
                e->k->axpy(p->y + t * p->stride + r, pair->scale * e->lora_scale[i], y, b.rows);
            }
        }
    }
}

/* Items are the weight rows of all parts, one part after the other. */
static void mul_rows(void *ctx, int worker, int64_t begin, int64_t end)
{
    (void)worker;
    const struct mul_phase *ph = ctx;
    const struct kernel_ops *k = ph->e->k;
    int64_t first = 0;
    for (int i = 0; i < ph->n_parts; i++) {
        const struct mul_part *p = &ph->parts[i];
        int64_t r0 = begin > first ? begin - first : 0;
        int64_t r1 = end - first < p->w->rows ? end - first : p->w->rows;
        first += p->w->rows;
        if (r0 >= r1)
            continue;
        engine_mul_rows(ph->e, p->w, r0, r1, ph->a, 0, ph->n, p->y, p->stride);
        if (ph->e->n_loras)
            lora_up(ph, i, r0, r1);
        for (int64_t t = 0; t < ph->n && p->bias; t++)
            k->add(p->y + t * p->stride + r0, p->bias + r0, r1 - r0);
        for (int64_t t = 0; t < ph->n && p->softcap > 0; t++)
            k->softcap(p->y + t * p->stride + r0, p->softcap, r1 - r0);
    }
}

/* Weight rows per chunk: multiples of 16, the kernels' tile, about 8 chunks per thread. */
static int64_t grain_of(const struct engine *e, int64_t rows)
{
    int64_t g = rows / (8 * pool_size(e->pool));
    g = (g + 15) & ~(int64_t)15;
    return g < 16 ? 16 : g > 256 ? 256 : g;
}

static void multiply(struct engine *e, const struct mul_part *parts, int n_parts,
                     const struct acts *a, int64_t n)
{
    struct mul_phase ph = {e, parts, n_parts, a, n};
    int64_t rows = 0, work = 0; /* multiply-adds; some microseconds are not worth a wake-up */
    for (int i = 0; i < n_parts; i++) {
        rows += parts[i].w->rows;
        work += parts[i].w->rows * parts[i].w->cols * n;
    }
    if (e->n_loras)
        engine_run(e, lora_down, &ph, n, 1, n == 1);
    engine_run(e, mul_rows, &ph, rows, grain_of(e, rows), work < 1 << 17);
}

void engine_mul(struct engine *e, const struct mul_part *parts, int n_parts, const struct acts *a,
                int64_t n)
{
    for (int i = 0; i < n_parts && e->observe; i++)
        e->observe(e->observe_ctx, parts[i].w, a, 0, n);
    multiply(e, parts, n_parts, a, n);
}

/* ---- row by row ---- */

struct row_phase {
    struct engine *e;
    int64_t layer;
};

/* norm = normalized x, rounded for the products to come. */
static void norm_row(struct engine *e, const float *w, int64_t t)
{
    const struct hparams *hp = &e->m->hp;
    float *y = e->norm + t * hp->n_embd;
    e->k->rmsnorm(y, e->x + t * hp->n_embd, w, hp->norm_offset, (float)hp->norm_eps, hp->n_embd);
    engine_quantize(e, &e->norm_acts, t, t + 1);
}

/* Embedding, angles, and the first layer's norm. */
static void embed_rows(void *ctx, int worker, int64_t t0, int64_t t1)
{
    (void)worker;
    struct engine *e = ((struct row_phase *)ctx)->e;
    const struct hparams *hp = &e->m->hp;
    const struct mat *w = &e->m->mat[G_TOK_EMBD];
    for (int64_t t = t0; t < t1; t++) {
        float *x = e->x + t * hp->n_embd;
        const unsigned char *src = w->data;
        qtype_info(w->type)->dequantize(src + (size_t)e->rows[t].token * w->row_bytes, x,
                                        hp->n_embd);
        if (hp->embd_scale != 1)
            e->k->scale(x, hp->embd_scale, hp->n_embd);
        for (int i = 0; i < hp->n_ropes; i++) {
            int64_t at = (i * e->max_rows + t) * e->half_rot;
            rope_angles(e->rows[t].freqs[i], e->rows[t].pos, e->cos + at, e->sin + at);
        }
        norm_row(e, e->m->layers[0].vec[V_ATTN_NORM], t);
    }
}

/* One head's vector: norm per head where the model has one, then rotation. */
static void finish_head(const struct engine *e, float *v, const float *norm, const float *cos,
                        const float *sin, int64_t n_rot)
{
    const struct hparams *hp = &e->m->hp;
    if (norm)
        e->k->rmsnorm(v, v, norm, hp->norm_offset, (float)hp->norm_eps, hp->head_dim);
    if (cos && hp->pairing == ROPE_PAIRS)
        e->k->rope_pairs(v, cos, sin, n_rot);
    else if (cos)
        e->k->rope_half(v, cos, sin, n_rot);
}

/* Queries are turned, keys and values go to the cache. */
static void place_rows(void *ctx, int worker, int64_t t0, int64_t t1)
{
    (void)worker;
    const struct row_phase *ph = ctx;
    struct engine *e = ph->e;
    const struct hparams *hp = &e->m->hp;
    const struct layer *ly = &e->m->layers[ph->layer];
    uint8_t bits = hp->layer[ph->layer];
    int kind = hp->n_ropes > 1 && (bits & LAYER_WINDOW) ? ROPE_OF_WINDOW : ROPE_OF_FULL;
    void (*store)(void *, const float *, int64_t) = e->k->kv_store[e->kv.type];
    _Alignas(4) unsigned char row[KV_ROW_MAX];
    for (int64_t t = t0; t < t1; t++) {
        const struct row *r = &e->rows[t];
        const struct kv_seq *s = &e->seqs[r->seq];
        int64_t at = (kind * e->max_rows + t) * e->half_rot;
        const float *cos = bits & LAYER_NOPE ? NULL : e->cos + at, *sin = e->sin + at;
        for (int64_t h = 0; h < hp->n_heads; h++)
            finish_head(e, e->q + t * hp_q_dim(hp) + h * hp->head_dim, ly->vec[V_Q_NORM], cos, sin,
                        hp->rope[kind].n_rot);
        for (int64_t h = 0; h < hp->n_kv_heads; h++) {
            float *key = e->key + t * hp_kv_dim(hp) + h * hp->head_dim;
            finish_head(e, key, ly->vec[V_K_NORM], cos, sin, hp->rope[kind].n_rot);
            store(row, key, hp->head_dim);
            kv_put(&e->kv, s, ph->layer, 0, h, r->pos, row);
            store(row, e->value + t * hp_kv_dim(hp) + h * hp->head_dim, hp->head_dim);
            kv_put(&e->kv, s, ph->layer, 1, h, r->pos, row);
        }
    }
}

static void quantize_attn(void *ctx, int worker, int64_t t0, int64_t t1)
{
    (void)worker;
    struct engine *e = ctx;
    engine_quantize(e, &e->attn_acts, t0, t1);
}

/* x += out, past the norm that some models put on a block's output. */
static void add_out(struct engine *e, const float *post_norm, int64_t t)
{
    const struct hparams *hp = &e->m->hp;
    float *out = e->out + t * hp->n_embd;
    if (post_norm)
        e->k->rmsnorm(out, out, post_norm, hp->norm_offset, (float)hp->norm_eps, hp->n_embd);
    e->k->add(e->x + t * hp->n_embd, out, hp->n_embd);
}

static void after_attention(void *ctx, int worker, int64_t t0, int64_t t1)
{
    (void)worker;
    const struct row_phase *ph = ctx;
    const struct layer *ly = &ph->e->m->layers[ph->layer];
    for (int64_t t = t0; t < t1; t++) {
        add_out(ph->e, ly->vec[V_ATTN_POST], t);
        norm_row(ph->e, ly->vec[V_FFN_NORM], t);
    }
}

static void after_ffn(void *ctx, int worker, int64_t t0, int64_t t1)
{
    (void)worker;
    const struct row_phase *ph = ctx;
    const struct model *m = ph->e->m;
    const float *next = ph->layer + 1 < m->hp.n_layers ? m->layers[ph->layer + 1].vec[V_ATTN_NORM]
                                                       : m->vec[G_OUT_NORM];
    for (int64_t t = t0; t < t1; t++) {
        add_out(ph->e, m->layers[ph->layer].vec[V_FFN_POST], t);
        norm_row(ph->e, next, t);
    }
}

void engine_activate(struct engine *e, struct acts *a, int64_t t)
{
    const struct hparams *hp = &e->m->hp;
    float *gate = e->gate + t * hp->n_ff;
    const float *up = e->up + t * hp->n_ff;
    switch (hp->act) {
    case ACT_SILU: e->k->silu(gate, gate, up, hp->n_ff); break;
    case ACT_GELU_TANH: e->k->gelu_tanh(gate, gate, up, hp->n_ff); break;
    case ACT_GELU_ERF: e->k->gelu_erf(gate, gate, up, hp->n_ff); break;
    }
    engine_quantize(e, a, t, t + 1);
}

static void activate_rows(void *ctx, int worker, int64_t t0, int64_t t1)
{
    (void)worker;
    struct engine *e = ctx;
    for (int64_t t = t0; t < t1; t++)
        engine_activate(e, &e->ff_acts, t);
}

/* ---- the script ---- */

static void ffn(struct engine *e, int64_t l, int64_t n)
{
    const struct hparams *hp = &e->m->hp;
    const struct layer *ly = &e->m->layers[l];
    const struct mul_part gate_up[] = {
        {.w = &ly->mat[M_GATE],
         .y = e->gate,
         .stride = hp->n_ff,
         .bias = ly->vec[V_GATE_B],
         .layer = l,
         .place = M_GATE},
        {.w = &ly->mat[M_UP],
         .y = e->up,
         .stride = hp->n_ff,
         .bias = ly->vec[V_UP_B],
         .layer = l,
         .place = M_UP},
    };
    const struct mul_part down = {.w = &ly->mat[M_DOWN],
                                  .y = e->out,
                                  .stride = hp->n_embd,
                                  .bias = ly->vec[V_DOWN_B],
                                  .layer = l,
                                  .place = M_DOWN};
    engine_mul(e, gate_up, 2, &e->norm_acts, n);
    engine_run(e, activate_rows, e, n, 1, n == 1);
    engine_mul(e, &down, 1, &e->ff_acts, n);
}

static void qkv(struct engine *e, int64_t l, int64_t n)
{
    const struct hparams *hp = &e->m->hp;
    const struct layer *ly = &e->m->layers[l];
    const struct mul_part parts[] = {
        {.w = &ly->mat[M_Q],
         .y = e->q,
         .stride = hp_q_dim(hp),
         .bias = ly->vec[V_Q_B],
         .layer = l,
         .place = M_Q},
        {.w = &ly->mat[M_K],
         .y = e->key,
         .stride = hp_kv_dim(hp),
         .bias = ly->vec[V_K_B],
         .layer = l,
         .place = M_K},
        {.w = &ly->mat[M_V],
         .y = e->value,
         .stride = hp_kv_dim(hp),
         .bias = ly->vec[V_V_B],
         .layer = l,
         .place = M_V},
    };
    engine_mul(e, parts, 3, &e->norm_acts, n);
}

/* Keeps only the rows whose logits are wanted; returns how many. */
static int keep_wanted(struct engine *e)
{
    const struct hparams *hp = &e->m->hp;
    int kept = 0;
    for (int t = 0; t < e->n_rows; t++) {
        if (!e->rows[t].logits)
            continue;
        if (t != kept) {
            e->rows[kept] = e->rows[t];
            memcpy(e->x + kept * hp->n_embd, e->x + t * hp->n_embd,
                   (size_t)hp->n_embd * sizeof *e->x);
            memcpy(e->q + kept * hp_q_dim(hp), e->q + t * hp_q_dim(hp),
                   (size_t)hp_q_dim(hp) * sizeof *e->q);
        }
        kept++;
    }
    return kept;
}

void engine_head(struct engine *e, int first, int n)
{
    const struct hparams *hp = &e->m->hp;
    const struct mul_part head = {.w = &e->m->mat[G_OUTPUT],
                                  .y = e->logits,
                                  .stride = hp->n_vocab,
                                  .softcap = hp->logit_softcap,
                                  .layer = -1};
    struct acts a = e->norm_acts;
    if (first > 0) { /* a product begins at row 0 */
        a = e->later_norm_acts;
        a.x = e->norm + first * hp->n_embd;
        engine_quantize(e, &a, 0, n);
    }
    multiply(e, &head, 1, &a, n);
    e->logits_at = first;
    e->n_logits = n;
}

void engine_forward(struct engine *e)
{
    const struct model *m = e->m;
    const struct hparams *hp = &m->hp;
    struct row_phase ph = {e, 0};
    int n = e->n_rows;
    e->n_logits = e->n_wanted = 0;
    engine_run(e, embed_rows, &ph, n, 1, n == 1);
    for (int64_t l = 0; l < hp->n_layers; l++) {
        const struct layer *ly = &m->layers[l];
        ph.layer = l;
        qkv(e, l, n);
        engine_run(e, place_rows, &ph, n, 1, n == 1);
        if (l + 1 == hp->n_layers && (n = keep_wanted(e)) == 0)
            return;
        engine_attention(e, l, n);
        engine_run(e, quantize_attn, e, n, 1, n == 1);
        const struct mul_part o = {.w = &ly->mat[M_O],
                                   .y = e->out,
                                   .stride = hp->n_embd,
                                   .bias = ly->vec[V_O_B],
                                   .layer = l,
                                   .place = M_O};
        engine_mul(e, &o, 1, &e->attn_acts, n);
        engine_run(e, after_attention, &ph, n, 1, n == 1);
        if (hp->features & F_MOE)
            engine_moe(e, l, n);
        else
            ffn(e, l, n);
        engine_run(e, after_ffn, &ph, n, 1, n == 1);
    }
    e->n_wanted = n;
    if (e->no_head)
        return;
    if (e->observe)
        e->observe(e->observe_ctx, &m->mat[G_OUTPUT], &e->norm_acts, 0, n);
    engine_head(e, 0, n < e->max_logits ? n : e->max_logits);
}
