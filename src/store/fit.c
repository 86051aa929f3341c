#include "store/fit.h"
#include "kernel/kernel.h"
#include <strings.h>

enum { PAGE = 64, STEP_ROWS = 256 }; /* positions of a page (engine/kv.h); rows of a step */
#define PROGRAM_BYTES ((uint64_t)32 << 20)
#define LOGITS_BYTES  ((uint64_t)16 << 20)

/* Types of models as people fetch them, best quality first. LISTED ones are never the choice: they
 * take twice q8_0's bytes for no loss to speak of, or stand beside a better one. Speed is bought
 * down to q4_k_m, whose loss is small; below it only what would not fit otherwise. */
static const struct {
    const char *recipe;
    enum { LISTED, CHOSEN, TO_FIT } how;
} types[] = {
    {"bf16", LISTED},   {"f16", LISTED},    {"q8_0", CHOSEN},   {"q6_k", CHOSEN},
    {"q5_k_m", CHOSEN}, {"q5_1", LISTED},   {"q5_0", LISTED},   {"q4_k_m", CHOSEN},
    {"q4_k_s", LISTED}, {"q4_1", LISTED},   {"iq4_nl", LISTED}, {"iq4_xs", LISTED},
    {"q4_0", TO_FIT},   {"q3_k_m", TO_FIT}, {"q2_k", TO_FIT},
};
enum { N_TYPES = sizeof types / sizeof *types };

const char *fit_verdict_name(enum fit_verdict v)
{
    return v == FIT_YES ? "yes" : v == FIT_SLOW ? "slow" : "no";
}

bool fit_wants(const struct fit_request *r, const struct catalog_model *m)
{
    size_t n = strlen(r->model);
    return strncasecmp(m->name, r->model, n) == 0 || strncasecmp(m->ollama, r->model, n) == 0;
}

/* ---- memory ---- */

/* Bytes per token of a vocabulary in GGUF, as the published files have them: texts with their
 * lengths, types, and scores or merges. */
static uint64_t vocab_bytes(const struct synth_shape *s)
{
    static const int per_token[] = {
        [SYNTH_SPM] = 23,   [SYNTH_LLAMA3] = 61,  [SYNTH_QWEN2] = 39,
        [SYNTH_GEMMA] = 24, [SYNTH_SMOLLM3] = 61, [SYNTH_WORDPIECE] = 22,
    };
    return (uint64_t)s->vocab * (uint64_t)per_token[s->tokens];
}

/* What the engine allocates beside weights and cache (engine.c): activations of a step's rows in
 * float32 and rounded, logits. */
static uint64_t scratch_bytes(const struct synth_shape *s)
{
    uint64_t embd = (uint64_t)s->embd, q = (uint64_t)s->heads * (uint64_t)s->head_dim,
             kv = (uint64_t)s->kv_heads * (uint64_t)s->head_dim,
             ff = (uint64_t)s->ff * (uint64_t)(s->experts ? s->used : 1);
    uint64_t floats = 3 * embd + 2 * q + 2 * kv + 2 * ff, rounded = embd + q + ff;
    uint64_t logits = (uint64_t)s->vocab * 16 * 4;
    return STEP_ROWS * (4 * floats + 5 * rounded / 2) +
           (logits > LOGITS_BYTES ? logits : LOGITS_BYTES);
}

static uint64_t page_bytes(const struct synth_shape *s, enum kv_type kv)
{
    if (s->flags & SYNTH_ENCODER)
        return 0;
    return 2 * (uint64_t)kv_row_bytes(kv, s->head_dim) * (uint64_t)s->kv_heads *
           (uint64_t)s->layers * PAGE;
}

static uint64_t pages_of(int64_t ctx)
{
    return (uint64_t)(ctx + PAGE - 1) / PAGE + 1; /* one more: kv_init */
}

/* Most tokens whose cache fits into what is left. */
static int64_t max_ctx(const struct synth_shape *s, enum kv_type kv, int64_t trained,
                       uint64_t memory, uint64_t fixed)
{
    uint64_t page = page_bytes(s, kv);
    if (memory < fixed)
        return 0;
    if (page == 0 || (memory - fixed) / page >= pages_of(trained))
        return trained;
    uint64_t pages = (memory - fixed) / page;
    return pages > 1 ? (int64_t)(pages - 1) * PAGE : 0;
}

/* ---- speed ---- */

/* Bytes of cache that a token at position n reads: layers with a window see no more than that. */
static double kv_read_bytes(const struct synth_shape *s, enum kv_type kv, double n)
{
    double seen = s->window && n > s->window ? s->window : n;
    if (s->flags & SYNTH_POST_NORMS) /* Gemma 2: every other layer */
        seen = (seen + n) / 2;
    return seen * (double)page_bytes(s, kv) / PAGE;
}

static void predict(struct fit_row *row, const struct synth_shape *s, const struct synth_cost *c,
                    const struct fit_device *d, enum kv_type kv)
{
    if (d->read_gb_s > 0 && !(s->flags & SYNTH_ENCODER)) {
        double cache = kv_read_bytes(s, kv, (double)row->ctx / 2);
        double seconds = (c->token_bytes / FIT_DECODE_SHARE + cache / FIT_KV_SHARE) * 1e-9;
        row->decode_tok_s = d->read_gb_s / seconds;
    }
    if (d->int8_gop_s > 0 && d->f32_gop_s > 0) {
        double seconds = 2e-9 * (c->work.quantized / d->int8_gop_s + c->work.floats / d->f32_gop_s);
        row->prefill_tok_s = FIT_PREFILL_SHARE / seconds;
    }
}

/* ---- the choice ---- */

static enum status fill_row(struct fit_row *row, const struct fit *f, const char *type,
                            const struct fit_device *d, const struct fit_request *r,
                            struct err *err)
{
    const struct synth_shape *s = f->shape;
    struct synth_cost cost;
    int64_t trained = f->model->trained_ctx;
    int64_t usual = trained < FIT_DEFAULT_CTX ? trained : FIT_DEFAULT_CTX;
    *row = (struct fit_row){.ctx = r->ctx ? r->ctx : usual};
    enum status st = recipe_find(type, &row->recipe, err);
    if (st == OK)
        st = synth_cost(s, row->recipe, &cost, err);
    if (st != OK)
        return st;
    uint64_t fixed = cost.weight_bytes + 2 * vocab_bytes(s) + scratch_bytes(s) + PROGRAM_BYTES;
    row->weight_bytes = cost.weight_bytes;
    row->file_bytes = cost.weight_bytes + vocab_bytes(s);
    row->kv_f16 = page_bytes(s, KV_F16) * pages_of(row->ctx);
    row->kv_q8 = page_bytes(s, KV_Q8) * pages_of(row->ctx);
    row->memory = fixed + (r->kv == KV_Q8 ? row->kv_q8 : row->kv_f16);
    row->max_ctx_f16 = max_ctx(s, KV_F16, trained, d->memory, fixed);
    row->max_ctx_q8 = max_ctx(s, KV_Q8, trained, d->memory, fixed);
    row->max_ctx = r->kv == KV_Q8 ? row->max_ctx_q8 : row->max_ctx_f16;
    row->fits = row->max_ctx >= row->ctx;
    predict(row, s, &cost, d, r->kv);
    return OK;
}

/* A speed that is not known is no reason against a row. */
static bool fast_enough(const struct fit *f, const struct fit_row *row, double speed)
{
    double v = f->encoder ? row->prefill_tok_s : row->decode_tok_s;
    return v == 0 || v >= speed;
}

/* The first of a kind that fits and has the speed; -1: none. */
static int first_of(const struct fit *f, int how, double speed)
{
    for (int i = 0; i < f->n; i++)
        if ((int)types[i].how == how && f->row[i].fits && fast_enough(f, &f->row[i], speed))
            return i;
    return -1;
}

static void choose(struct fit *f, double speed)
{
    f->chosen = first_of(f, CHOSEN, speed);
    for (int i = f->n - 1; f->chosen < 0 && i >= 0; i--) /* the smallest, and so the fastest */
        if (types[i].how == CHOSEN && f->row[i].fits)
            f->chosen = i;
    if (f->chosen < 0)
        f->chosen = first_of(f, TO_FIT, 0);
    f->verdict = f->chosen < 0                               ? FIT_NO
                 : fast_enough(f, &f->row[f->chosen], speed) ? FIT_YES
                                                             : FIT_SLOW;
    if (f->verdict == FIT_NO)
        f->chosen = f->n - 1; /* what comes nearest: the smallest */
}

enum status fit_model(struct fit *out, const struct catalog_model *m, const struct fit_device *d,
                      const struct fit_request *r, struct err *err)
{
    *out = (struct fit){.model = m};
    enum status s = synth_find(m->shape, &out->shape, err);
    if (s != OK)
        return s;
    out->encoder = (out->shape->flags & SYNTH_ENCODER) != 0;
    for (; s == OK && out->n < N_TYPES; out->n++)
        s = fill_row(&out->row[out->n], out, types[out->n].recipe, d, r, err);
    if (s == OK)
        choose(out, r->speed);
    return s;
}
