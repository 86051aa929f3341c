/* The encoders' forward pass: BERT (Devlin et al. 2018) and DistilBERT (Sanh et al. 2019).
 *
 * Post-norm layers over a whole text at once, every token attending to every other:
 *   x = norm(tok[id] + type[seg] + pos[i]);  per layer: x = norm(x + attention(x)),
 *   x = norm(x + down(act(up(x))))
 * and one of the heads on top. Work is split by output rows, tokens, or (head, tokens) pairs; each
 * is computed whole by one worker, so that the result has the same bits for any number of threads.
 * Memory is taken per text: n^2 is never stored, only a page of scores per worker. */
#include "engine/encoder.h"
#include "base/mem.h"
#include "engine/model_int.h"
#include "kernel/kernel.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROW_GRAIN = 16, TOKEN_GRAIN = 4, ROWS = QUERY_TILE /* of attention at a time */ };

struct enc {
    const struct model *m;
    const struct hparams *hp;
    const struct kernel_ops *ops;
    struct pool *pool;
    bool exact;
    int64_t n, n_embd;
    float *block; /* everything below, one allocation */
    size_t block_bytes;
    float *x;         /* (n, n_embd) hidden states */
    float *q, *k, *v; /* (n, n_embd) */
    float *mix;       /* (n, n_embd) attention's output, then a sublayer's */
    float *up;        /* (n, n_ff) */
    float *tiles;     /* (heads, whole tiles of n, head_dim): keys as kernels read them */
    float *scratch;   /* (workers, scratch_floats) */
    void *acts;       /* prepared activations of up to (n, n_ff) */
};

/* ---- pieces ---- */

struct rows_job {
    const struct enc *e;
    const struct mat *w;
    const float *bias;
    struct acts a;
    float *y;
    int64_t y_stride;
};

static void quantize_rows(void *ctx, int worker, int64_t begin, int64_t end)
{
    struct rows_job *j = ctx;
    (void)worker;
    j->e->ops->acts_quantize(&j->a, begin, end);
}

static void multiply_rows(void *ctx, int worker, int64_t begin, int64_t end)
{
    const struct rows_job *j = ctx;
    const struct kernel_ops *ops = j->e->ops;
    (void)worker;
    if (j->e->exact)
        ops->mul_exact(j->w, begin, end, &j->a, 0, j->a.n, j->y, j->y_stride);
    else
        ops->mul[j->w->type](j->w, begin, end, &j->a, 0, j->a.n, j->y, j->y_stride);
    if (j->bias)
        for (int64_t t = 0; t < j->a.n; t++)
            ops->add(j->y + t * j->y_stride + begin, j->bias + begin, end - begin);
}

/* y[t] = W x[t] + b for n tokens; rows of x and y are contiguous. */
static void linear(const struct enc *e, const struct mat *w, const float *bias, const float *x,
                   int64_t n, float *y)
{
    struct rows_job j = {.e = e, .w = w, .bias = bias, .y = y, .y_stride = w->rows};
    acts_init(&j.a, e->acts, x, w->cols, n, w->cols);
    bool is_float = w->type == QT_F32 || w->type == QT_F16 || w->type == QT_BF16;
    if (!e->exact && !is_float)
        pool_run(e->pool, quantize_rows, &j, n, TOKEN_GRAIN);
    pool_run(e->pool, multiply_rows, &j, w->rows, ROW_GRAIN);
}

struct token_job {
    const struct enc *e;
    const float *w, *b; /* norm */
    const float *add;   /* (n, width); or NULL */
    float *x;           /* (n, width) */
    int64_t width;
};

static void norm_tokens(void *ctx, int worker, int64_t begin, int64_t end)
{
    const struct token_job *j = ctx;
    (void)worker;
    for (int64_t t = begin; t < end; t++) {
        float *x = j->x + t * j->width;
        if (j->add)
            j->e->ops->add(x, j->add + t * j->width, j->width);
        j->e->ops->layernorm(x, x, j->w, j->b, (float)j->e->hp->norm_eps, j->width);
    }
}

/* x = norm(x + add) */
static void add_norm(const struct enc *e, float *x, const float *add, int64_t n, const float *w,
                     const float *b)
{
    struct token_job j = {.e = e, .w = w, .b = b, .add = add, .x = x, .width = e->n_embd};
    pool_run(e->pool, norm_tokens, &j, n, TOKEN_GRAIN);
}

static void activate_tokens(void *ctx, int worker, int64_t begin, int64_t end)
{
    const struct token_job *j = ctx;
    const struct kernel_ops *ops = j->e->ops;
    (void)worker;
    for (int64_t t = begin; t < end; t++) {
        float *x = j->x + t * j->width;
        switch (j->e->hp->act) {
        case ACT_SILU: ops->silu(x, x, NULL, j->width); break;
        case ACT_GELU_TANH: ops->gelu_tanh(x, x, NULL, j->width); break;
        case ACT_GELU_ERF: ops->gelu_erf(x, x, NULL, j->width); break;
        }
    }
}

static void activate(const struct enc *e, float *x, int64_t n, int64_t width)
{
    struct token_job j = {.e = e, .x = x, .width = width};
    pool_run(e->pool, activate_tokens, &j, n, TOKEN_GRAIN);
}

/* Keys of heads [begin, end) into tiles. */
static void place_keys(void *ctx, int worker, int64_t begin, int64_t end)
{
    const struct enc *e = ctx;
    int64_t d = e->hp->head_dim;
    (void)worker;
    for (int64_t h = begin; h < end; h++)
        for (int64_t t = 0; t < e->n; t++)
            kv_key_put(KV_F32, e->tiles + (h * kv_whole_tiles(e->n) + t / KV_TILE * KV_TILE) * d,
                       t % KV_TILE, e->k + t * e->n_embd + h * d, d);
}

static int64_t row_blocks(int64_t n)
{
    return (n + ROWS - 1) / ROWS;
}

/* Of a worker, for ROWS tokens in one head: queries, scores of a page of positions, and states
 * (attn_weights). */
static int64_t scratch_floats(int64_t head_dim)
{
    return query_floats(ROWS, head_dim) + ROWS * (KV_PAGE + ATTN_STATE + head_dim);
}

/* Tokens [t, t + n) in head h. */
static void attend_rows(const struct enc *e, int64_t h, int64_t t, int64_t n, float *scratch)
{
    int64_t d = e->hp->head_dim, at = h * d, state = ATTN_STATE + d;
    float *scores = scratch + query_floats(ROWS, d), *states = scores + ROWS * KV_PAGE;
    for (int64_t r = 0; r < n; r++) {
        query_put(scratch, r, e->q + (t + r) * e->n_embd + at, d);
        memset(states + r * state, 0, (size_t)state * sizeof *states);
        states[r * state] = -INFINITY;
    }
    for (int64_t p = 0; p < e->n; p += KV_PAGE) {
        int64_t n_pos = e->n - p < KV_PAGE ? e->n - p : KV_PAGE;
        e->ops->attn_scores[KV_F32](scores, scratch, n,
                                    e->tiles + (h * kv_whole_tiles(e->n) + p) * d, n_pos, d,
                                    e->hp->attn_scale, NULL, 0);
        e->ops->attn_weights(states, state, d, scores, n, n_pos);
        e->ops->attn_mix[KV_F32](states + ATTN_STATE, state, scores, n, e->v + p * e->n_embd + at,
                                 (size_t)e->n_embd * sizeof *e->v, n_pos, d, NULL, 0);
    }
    for (int64_t r = 0; r < n; r++) {
        float *s = states + r * state;
        e->ops->scale(s + ATTN_STATE, 1.0f / s[1], d);
        memcpy(e->mix + (t + r) * e->n_embd + at, s + ATTN_STATE, (size_t)d * sizeof *s);
    }
}

/* Item h * blocks + b: a few tokens' attention in one head. */
static void attend(void *ctx, int worker, int64_t begin, int64_t end)
{
    const struct enc *e = ctx;
    int64_t blocks = row_blocks(e->n);
    for (int64_t i = begin; i < end; i++) {
        int64_t t = i % blocks * ROWS;
        attend_rows(e, i / blocks, t, e->n - t < ROWS ? e->n - t : ROWS,
                    e->scratch + worker * scratch_floats(e->hp->head_dim));
    }
}

/* dst += row r of w, expanded to float32 */
static void add_row(const struct enc *e, const struct mat *w, int64_t r, float *tmp, float *dst)
{
    const struct qtype_info *t = qtype_info(w->type);
    t->dequantize((const char *)w->data + (size_t)r * w->row_bytes, tmp, w->cols);
    e->ops->add(dst, tmp, w->cols);
}

/* ---- the pass ---- */

static enum status check_input(const struct enc *e, const int32_t *ids, const int32_t *type_ids,
                               size_t n, struct err *err)
{
    const struct hparams *hp = e->hp;
    if (n == 0)
        return err_set(err, EUSAGE, "encoder: no tokens, expected at least one");
    if (n > (size_t)hp->n_pos)
        return err_set(err, ECONTEXT, "encoder: %zu tokens, but the model has %lld positions", n,
                       (long long)hp->n_pos);
    bool typed = e->m->mat[G_TYPE_EMBD].data != NULL;
    for (size_t i = 0; i < n; i++) {
        if (ids[i] < 0 || ids[i] >= hp->n_vocab)
            return err_set(err, EUSAGE, "encoder: token %d at place %zu, expected 0 to %lld",
                           ids[i], i, (long long)hp->n_vocab - 1);
        if (typed && type_ids && (type_ids[i] < 0 || type_ids[i] >= hp->n_types))
            return err_set(err, EUSAGE, "encoder: segment %d at place %zu, expected 0 to %lld",
                           type_ids[i], i, (long long)hp->n_types - 1);
    }
    return OK;
}

static enum status enc_alloc(struct enc *e, struct err *err)
{
    size_t n = (size_t)e->n, embd = (size_t)e->n_embd, ff = (size_t)e->hp->n_ff, floats;
    size_t wide = ff > embd ? ff : embd, workers = (size_t)(e->pool ? pool_size(e->pool) : 1);
    /* n <= 2^24, widths <= 2^22: no overflow in 64 bits before the multiplication with n */
    size_t acts = acts_bytes(e->n, (int64_t)wide);
    size_t tiles = (size_t)kv_whole_tiles(e->n);
    size_t scratch = workers * (size_t)scratch_floats(e->hp->head_dim);
    if (!size_mul(tiles, 6 * embd + ff, &floats) || !size_add(floats, scratch, &floats) ||
        floats > SIZE_MAX / 8 - acts)
        return err_set(err, ENOMEMORY, "encoder: %zu tokens need too much memory", n);
    size_t front = (floats * sizeof(float) + 63) / 64 * 64;
    e->block_bytes = front + acts;
    e->block = mem_aligned(e->block_bytes);
    if (!e->block)
        return err_set(err, ENOMEMORY, "encoder: no memory for %zu tokens (%zu bytes)", n,
                       e->block_bytes);
    e->x = e->block;
    e->q = e->x + n * embd;
    e->k = e->q + n * embd;
    e->v = e->k + n * embd;
    e->mix = e->v + n * embd;
    e->up = e->mix + n * embd;
    e->tiles = e->up + n * ff;
    e->scratch = e->tiles + tiles * embd;
    e->acts = (char *)e->block + front;
    return OK;
}

static void embed(const struct enc *e, const int32_t *ids, const int32_t *type_ids)
{
    const struct model *m = e->m;
    memset(e->x, 0, (size_t)(e->n * e->n_embd) * sizeof *e->x);
    for (int64_t t = 0; t < e->n; t++) {
        float *x = e->x + t * e->n_embd;
        add_row(e, &m->mat[G_TOK_EMBD], ids[t], e->mix, x);
        if (m->mat[G_TYPE_EMBD].data)
            add_row(e, &m->mat[G_TYPE_EMBD], type_ids ? type_ids[t] : 0, e->mix, x);
        add_row(e, &m->mat[G_POS_EMBD], t, e->mix, x);
    }
    add_norm(e, e->x, NULL, e->n, m->vec[G_EMBD_NORM], m->vec[G_EMBD_NORM_B]);
}

static void run_layer(const struct enc *e, const struct layer *l)
{
    linear(e, &l->mat[M_Q], l->vec[V_Q_B], e->x, e->n, e->q);
    linear(e, &l->mat[M_K], l->vec[V_K_B], e->x, e->n, e->k);
    linear(e, &l->mat[M_V], l->vec[V_V_B], e->x, e->n, e->v);
    pool_run(e->pool, place_keys, (void *)e, e->hp->n_heads, 1);
    pool_run(e->pool, attend, (void *)e, e->hp->n_heads * row_blocks(e->n), 1);
    linear(e, &l->mat[M_O], l->vec[V_O_B], e->mix, e->n, e->q);
    add_norm(e, e->x, e->q, e->n, l->vec[V_ATTN_POST], l->vec[V_ATTN_POST_B]);
    linear(e, &l->mat[M_UP], l->vec[V_UP_B], e->x, e->n, e->up);
    activate(e, e->up, e->n, e->hp->n_ff);
    linear(e, &l->mat[M_DOWN], l->vec[V_DOWN_B], e->up, e->n, e->mix);
    add_norm(e, e->x, e->mix, e->n, l->vec[V_FFN_POST], l->vec[V_FFN_POST_B]);
}

/* ---- heads ---- */

static void head_none(const struct enc *e, float *out)
{
    memcpy(out, e->x, (size_t)(e->n * e->n_embd) * sizeof *out);
}

/* BERT: tanh(pooler(x[0])); DistilBERT: relu(pre_classifier(x[0])). Segment embeddings tell them
 * apart: every BERT has them and no DistilBERT does, in either file format. */
static void head_sequence(const struct enc *e, float *out)
{
    const struct model *m = e->m;
    float *pooled = e->q;
    linear(e, &m->mat[G_POOLER], m->vec[G_POOLER_B], e->x, 1, pooled);
    bool is_bert = m->mat[G_TYPE_EMBD].data != NULL;
    for (int64_t i = 0; i < e->n_embd; i++)
        pooled[i] = is_bert ? tanhf(pooled[i]) : pooled[i] > 0 ? pooled[i] : 0;
    linear(e, &m->mat[G_CLASS], m->vec[G_CLASS_B], pooled, 1, out);
}

static void head_token(const struct enc *e, float *out)
{
    linear(e, &e->m->mat[G_CLASS], e->m->vec[G_CLASS_B], e->x, e->n, out);
}

static void head_qa(const struct enc *e, float *out)
{
    linear(e, &e->m->mat[G_QA], e->m->vec[G_QA_B], e->x, e->n, out);
}

static const struct mat *vocab_matrix(const struct model *m)
{
    return m->mat[G_OUTPUT].data ? &m->mat[G_OUTPUT] : &m->mat[G_TOK_EMBD];
}

static void head_masked(const struct enc *e, float *out)
{
    const struct model *m = e->m;
    linear(e, &m->mat[G_TRANSFORM], m->vec[G_TRANSFORM_B], e->x, e->n, e->q);
    activate(e, e->q, e->n, e->n_embd);
    add_norm(e, e->q, NULL, e->n, m->vec[G_TRANSFORM_NORM], m->vec[G_TRANSFORM_NORM_B]);
    linear(e, vocab_matrix(m), m->vec[G_OUTPUT_B], e->q, e->n, out);
}

/* What each head needs, gives, and how transformers' class names end that have it. The first row
 * that fits a model is its head: a pooler makes a classifier one of sequences where no class name
 * says otherwise. */
static const struct head {
    enum encoder_head id;
    const char *name;
    const char *classes[2];
    enum model_mat needs[2];
    bool per_token;
    void (*run)(const struct enc *e, float *out);
} heads[] = {
    {HEAD_SEQUENCE,
     "sequence classification",
     {"ForSequenceClassification"},
     {G_POOLER, G_CLASS},
     false,
     head_sequence},
    {HEAD_TOKEN,
     "token classification",
     {"ForTokenClassification"},
     {G_CLASS, G_CLASS},
     true,
     head_token},
    {HEAD_QA, "question answering", {"ForQuestionAnswering"}, {G_QA, G_QA}, true, head_qa},
    {HEAD_MASKED_LM,
     "masked language model",
     {"ForMaskedLM", "ForPreTraining"},
     {G_TRANSFORM, G_TRANSFORM},
     true,
     head_masked},
    {HEAD_NONE, "hidden states", {""}, {G_TOK_EMBD, G_TOK_EMBD}, true, head_none},
};
enum { HEADS = sizeof heads / sizeof *heads };

static bool has_head(const struct model *m, const struct head *h)
{
    return m->mat[h->needs[0]].data && m->mat[h->needs[1]].data &&
           (h->id != HEAD_MASKED_LM || (m->vec[G_TRANSFORM_NORM] && m->vec[G_TRANSFORM_NORM_B]));
}

static bool class_says(const struct hparams *hp, const struct head *h)
{
    struct str name = str_from(hp->hf_class);
    for (int i = 0; i < 2; i++)
        if (h->classes[i] && h->classes[i][0] && str_ends(name, str_from(h->classes[i])))
            return true;
    return false;
}

enum encoder_head encoder_head(const struct model *m)
{
    for (int i = 0; i < HEADS; i++)
        if (class_says(&m->hp, &heads[i]) && has_head(m, &heads[i]))
            return heads[i].id;
    for (int i = 0; i < HEADS; i++)
        if (has_head(m, &heads[i]))
            return heads[i].id;
    return HEAD_NONE;
}

static int64_t head_cols(const struct enc *e, enum encoder_head head)
{
    switch (head) {
    case HEAD_SEQUENCE:
    case HEAD_TOKEN: return e->m->mat[G_CLASS].rows;
    case HEAD_QA: return e->m->mat[G_QA].rows;
    case HEAD_MASKED_LM: return vocab_matrix(e->m)->rows;
    case HEAD_NONE: break;
    }
    return e->n_embd;
}

static enum status find_head(const struct model *m, enum encoder_head id, const struct head **out,
                             struct err *err)
{
    for (int i = 0; i < HEADS; i++) {
        if (heads[i].id != id)
            continue;
        *out = &heads[i];
        if (has_head(m, &heads[i]))
            return OK;
        return err_set(err, EUSAGE, "encoder: the model has no %s head", heads[i].name);
    }
    return err_set(err, EUSAGE, "encoder: head %d, expected 0 to %d", (int)id, HEADS - 1);
}

enum status encoder_run(const struct model *m, struct pool *pool, const int32_t *ids,
                        const int32_t *type_ids, size_t n, enum encoder_head head, bool exact,
                        struct encoder_out *out, struct err *err)
{
    *out = (struct encoder_out){0};
    if (!m->hp.arch || m->hp.arch->kind != MODEL_ENCODER)
        return err_set(err, EUSAGE, "encoder: architecture '%.*s' is no encoder",
                       STR_ARG(m->info.arch));
    const struct head *h = NULL;
    struct enc e = {
        .m = m,
        .hp = &m->hp,
        .ops = kernel_ops(),
        .pool = pool,
        .exact = exact,
        .n = (int64_t)n,
        .n_embd = m->hp.n_embd,
    };
    enum status st = find_head(m, head, &h, err);
    if (st == OK)
        st = check_input(&e, ids, type_ids, n, err);
    if (st == OK)
        st = enc_alloc(&e, err);
    if (st != OK)
        return st;
    out->rows = h->per_token ? e.n : 1;
    out->cols = head_cols(&e, head);
    size_t count;
    out->v = size_mul((size_t)out->rows, (size_t)out->cols, &count)
                 ? mem_array(count, sizeof *out->v)
                 : NULL;
    if (!out->v) {
        st = err_set(err, ENOMEMORY, "encoder: no memory for %lld x %lld outputs",
                     (long long)out->rows, (long long)out->cols);
    } else {
        embed(&e, ids, type_ids);
        for (int64_t l = 0; l < m->hp.n_layers; l++)
            run_layer(&e, &m->layers[l]);
        h->run(&e, out->v);
        st = model_intact(m, err);
    }
    mem_aligned_free(e.block, e.block_bytes);
    return st;
}

void encoder_out_release(struct encoder_out *o)
{
    free(o->v);
    *o = (struct encoder_out){0};
}

size_t encoder_n_labels(const struct model *m)
{
    return m->mat[G_CLASS].data ? (size_t)m->mat[G_CLASS].rows : 0;
}

struct str encoder_label(const struct model *m, size_t i)
{
    return i < encoder_n_labels(m) && m->labels ? m->labels[i] : STR("");
}

enum status encoder_name_labels(struct model *m, struct err *err)
{
    size_t n = encoder_n_labels(m);
    if (n == 0)
        return OK;
    if (!m->labels)
        m->labels = arena_array(&m->arena, n, sizeof *m->labels);
    for (size_t i = 0; m->labels && i < n; i++) {
        char name[32];
        int len = snprintf(name, sizeof name, "LABEL_%zu", i);
        if (!m->labels[i].p)
            m->labels[i] = arena_str(&m->arena, (struct str){name, (size_t)len});
        if (!m->labels[i].p)
            return err_set(err, ENOMEMORY, "no memory for %zu labels", n);
    }
    return m->labels ? OK : err_set(err, ENOMEMORY, "no memory for %zu labels", n);
}

int64_t encoder_max_tokens(const struct model *m)
{
    return m->hp.n_pos;
}

void encoder_pool(const struct encoder_out *hidden, enum pooling how, bool normalize, float *out)
{
    int64_t first = how == POOL_LAST ? hidden->rows - 1 : 0;
    int64_t end = how == POOL_CLS ? 1 : hidden->rows;
    double square = 0;
    for (int64_t c = 0; c < hidden->cols; c++) {
        double sum = 0;
        for (int64_t r = first; r < end; r++)
            sum += (double)hidden->v[r * hidden->cols + c];
        sum /= (double)(end - first);
        out[c] = (float)sum;
        square += sum * sum;
    }
    double scale = normalize && square > 0 ? 1 / sqrt(square) : 1;
    for (int64_t c = 0; c < hidden->cols; c++)
        out[c] = (float)((double)out[c] * scale);
}
