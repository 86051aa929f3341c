/* Inside of an engine: the cache, the sequences, and scratch for one step, all allocated when the
 * engine is made. One owner thread; only phases run by the pool touch it from elsewhere, and these
 * write disjoint parts. */
#pragma once
#include "engine/engine.h"
#include "engine/kv.h"
#include "engine/model_int.h"
#include "engine/rope.h"

enum {
    MUL_PARTS = 3, /* matrices that one phase multiplies with the same input */
    ATTN_ROWS = 8, /* rows of one sequence that share a pass over its keys */
    LORA_MAX = 16, /* adapters at once */
    LORA_RANK_MAX = 4096,
};

/* A row of the current step at its place in its sequence. */
struct row {
    int32_t token, seq;
    int64_t pos;
    bool logits;
    const struct rope_freqs *freqs[ROPE_KINDS];
};

/* Neighbouring rows of one sequence at neighbouring positions. */
struct attn_job {
    int row, n;
};

struct lora_pair {
    struct mat a, b; /* (rank, cols) and (rows, rank); data NULL: this matrix is not adapted */
    float scale;     /* alpha / rank, or alpha / sqrt(rank) */
};

struct lora {
    const struct model *m;
    struct lora_pair *pairs; /* (n_layers, LAYER_MATS) */
    int64_t max_rank;
    struct arena arena; /* pairs, and rows that had to move */
    struct gguf *gguf;
    struct safetensors *safetensors;
};

struct moe_scratch {
    float *router;   /* (rows, experts): logits, then probabilities */
    int32_t *choice; /* (rows, used): experts, best first */
    float *weight;   /* (rows, used) */
    int32_t *slot;   /* (rows, used): place in the grouped order */
    int32_t *start;  /* (experts + 1): first place of each expert */
    int32_t *active; /* (experts): those with rows */
    struct acts in;  /* (rows * used, n_embd), grouped by expert */
    float *in_x;     /* its floats, where they are needed */
    float *out;      /* (rows * used, n_embd) */
};

struct engine {
    const struct model *m;
    const struct kernel_ops *k;
    struct pool *pool;
    bool lent_pool, exact;
    int64_t n_ctx;
    int max_rows, max_logits;

    struct kv_cache kv;
    struct kv_seq *seqs;
    int n_seqs;

    struct rope_freqs fixed_freqs[ROPE_KINDS][2]; /* by length class 0 and 1 */
    struct rope_freqs *row_freqs; /* (rows, ROPE_KINDS), where every length has its own */

    /* the step */
    struct row *rows; /* (max_rows) */
    int n_rows;
    struct attn_job *jobs; /* (max_rows) */
    int n_jobs;
    struct step_row *prompt; /* (max_rows): a chunk of a prompt */
    int32_t *needed;         /* (seqs): rows of each sequence in this step */
    int64_t half_rot;        /* of cos and sin rows */
    float *cos, *sin;        /* (ROPE_KINDS, rows, half_rot) */
    float *x;                /* (rows, n_embd): the residual stream */
    float *norm;             /* (rows, n_embd): normalized */
    float *q, *key, *value;  /* (rows, heads * head_dim) */
    float *attn;             /* (rows, heads * head_dim) */
    float *out;              /* (rows, n_embd): of attention or FFN */
    float *gate, *up;        /* (rows * experts used, n_ff) */
    struct acts norm_acts, attn_acts, ff_acts;
    float *worker; /* (workers, worker_floats): attention's accumulators */
    size_t worker_floats;
    float *partial;              /* engine_partial_floats: attention's states of spans */
    float *logits;               /* (max_logits, n_vocab) */
    int logits_at, n_logits;     /* the rows that it has */
    bool no_head;                /* of the present step: hidden states are what is wanted */
    int n_wanted;                /* rows whose logits were asked for: the first of e->norm */
    struct acts later_norm_acts; /* (max_logits): rows of e->norm, of other logits than the first */
    struct moe_scratch moe;

    /* Called by the owner thread before rows [t0, t1) of a are multiplied with w, one of the
     * model's matrices; a->x has their floats. The head's rows come all at once, those too whose
     * logits nobody asks for later. NULL: nobody watches. */
    void (*observe)(void *ctx, const struct mat *w, const struct acts *a, int64_t t0, int64_t t1);
    void *observe_ctx;

    int n_loras;
    struct lora *loras[LORA_MAX];
    float lora_scale[LORA_MAX];
    int64_t lora_rank; /* widest */
    float *lora_u;     /* (adapters, MUL_PARTS, rows, lora_rank) */
    size_t lora_bytes;

    struct owned *blocks; /* scratch memory */
    int n_blocks;
    size_t bytes;
};

/* One matrix of a phase: y[t * stride + r] = w a, plus its bias and its adapters. */
struct mul_part {
    const struct mat *w;
    float *y;
    int64_t stride;
    const float *bias; /* (rows) or NULL */
    float softcap;     /* 0: none */
    int64_t layer;     /* with place: where adapters look; -1: none */
    int place;
};

/* Runs fn over items: in the caller when the work is too small to wake threads for. */
void engine_run(struct engine *e, pool_fn *fn, void *ctx, int64_t n_items, int64_t grain,
                bool small);

/* All parts times the same prepared input rows [0, n). */
void engine_mul(struct engine *e, const struct mul_part *parts, int n_parts, const struct acts *a,
                int64_t n);
/* w rows [r0, r1) times rows [t0, t1), in the engine's arithmetic. */
void engine_mul_rows(const struct engine *e, const struct mat *w, int64_t r0, int64_t r1,
                     const struct acts *a, int64_t t0, int64_t t1, float *y, int64_t stride);
/* Rounds rows [t0, t1) for the products to come, where the arithmetic wants it. */
void engine_quantize(const struct engine *e, struct acts *a, int64_t t0, int64_t t1);

/* The model over e->rows[0, n_rows): keys and values go to the cache, logits of the first rows
 * that want them to e->logits. */
void engine_forward(struct engine *e);
/* The logits of rows [first, first + n) of the n_wanted, n <= max_logits. */
void engine_head(struct engine *e, int first, int n);
/* attn = softmax(q k) v for the first n rows of e->q, whose places are e->rows[0, n). */
void engine_attention(struct engine *e, int64_t layer, int n);
/* Row t of gate becomes act(gate) * up, rounded into a. */
void engine_activate(struct engine *e, struct acts *a, int64_t t);
/* out = experts(norm) for n rows; e->norm_acts is prepared. */
void engine_moe(struct engine *e, int64_t layer, int64_t n);

size_t engine_worker_floats(const struct hparams *hp);
size_t engine_partial_floats(const struct hparams *hp, int64_t n_ctx, int max_rows);
