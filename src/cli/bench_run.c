/* The runs of hearth bench. Tokens are random (of one seed), so that no cache of ours or of the
 * machine's knows them. */
#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/stats.h"
#include "cli/bench.h"
#include <stdlib.h>

enum { PROBE_PASSES = 3 };

/* ---- numbers ---- */

static struct bench_stat sum_up(double *v, int64_t n)
{
    double median = stats_median(v, (size_t)n);
    return (struct bench_stat){median, v[0], v[n - 1]};
}

/* What a run of a point does: tokens, steps of the engine, and bytes and products of weights. */
struct amount {
    double tokens, steps, bytes, quantized_ops, float_ops;
};

static struct amount amount_of(const struct bench *b, const struct bench_point *p)
{
    const struct model_work w = model_token_work(b->l.model);
    struct amount a = {0};
    double rows = 1, outputs;
    switch (p->kind) {
    case BENCH_PREFILL:
        rows = (double)engine_max_rows(b->l.engine);
        rows = rows < (double)p->n ? rows : (double)p->n;
        a.tokens = (double)p->n;
        a.steps = a.tokens / rows;
        break;
    case BENCH_DECODE: a.tokens = a.steps = (double)p->n; break;
    default:
        rows = (double)p->n;
        a.steps = (double)b->steps;
        a.tokens = rows * a.steps;
    }
    outputs = p->kind == BENCH_PREFILL ? 1 : a.tokens;
    a.bytes = a.steps * model_step_bytes(b->l.model, (int)rows);
    a.quantized_ops = 2 * (a.tokens * w.quantized + outputs * (w.output_quantized ? w.output : 0));
    a.float_ops = 2 * (a.tokens * w.floats + outputs * (w.output_quantized ? 0 : w.output));
    if (b->exact) {
        a.float_ops += a.quantized_ops;
        a.quantized_ops = 0;
    }
    return a;
}

/* Seconds that the products alone would take at the peaks; 0: the peaks are not known. */
static double ideal_seconds(const struct amount *a, const struct bench_run *r)
{
    if (!(r->int8_gop_s > 0) || !(r->f32_gop_s > 0))
        return 0;
    return (a->quantized_ops / r->int8_gop_s + a->float_ops / r->f32_gop_s) * 1e-9;
}

static void point_sum_up(const struct bench *b, struct bench_point *p,
                         const struct bench_point *first)
{
    struct amount a = amount_of(b, p), base = amount_of(b, first);
    double v[BENCH_REPEATS];
#define EACH(out, expr)                                                                            \
    do {                                                                                           \
        for (int64_t i = 0; i < b->repeat; i++) {                                                  \
            const struct bench_run *r = &p->run[i];                                                \
            v[i] = (expr);                                                                         \
        }                                                                                          \
        (out) = sum_up(v, b->repeat);                                                              \
    } while (0)
    struct bench_stat fraction;
    EACH(p->tok_s, a.tokens / r->seconds);
    EACH(p->step_ms, r->seconds / a.steps * 1e3);
    EACH(p->ratio, r->seconds / a.steps / (first->run[i].seconds / base.steps));
    EACH(p->read_gb_s, r->read_gb_s);
    EACH(p->int8_gop_s, r->int8_gop_s);
    EACH(p->f32_gop_s, r->f32_gop_s);
    EACH(fraction, a.bytes * 1e-9 / r->seconds / r->read_gb_s);
    p->read_fraction = fraction.median;
    EACH(fraction, ideal_seconds(&a, r) / r->seconds);
    p->compute_fraction = fraction.median;
#undef EACH
}

/* ---- runs ---- */

/* Sequences of a group, each filled to `depth` where its kind of run starts there. */
struct seats {
    int prefill, decode;
    int stream[BENCH_STREAMS_MAX];
    int n_streams;
    int32_t *ids; /* random tokens, enough for any run */
};

static enum status fill(struct bench *b, const struct seats *s, int *seq, struct err *err)
{
    enum status st = engine_seq_new(b->l.engine, seq, err);
    if (st == OK && b->depth)
        st = engine_prefill(b->l.engine, *seq, s->ids, (size_t)b->depth, NULL, NULL, err);
    return st;
}

static enum status seats_open(struct bench *b, struct seats *s, const struct bench_point *points,
                              int n, struct err *err)
{
    struct rng rng;
    int64_t n_ids = b->n_prompt > b->depth ? b->n_prompt : b->depth;
    n_ids = (n_ids > b->n_gen ? n_ids : b->n_gen) + BENCH_STREAMS_MAX;
    *s = (struct seats){.prefill = -1, .decode = -1};
    s->ids = mem_array((size_t)n_ids, sizeof *s->ids);
    if (!s->ids)
        return err_set(err, ENOMEMORY, "bench: no memory for %lld tokens", (long long)n_ids);
    rng_seed(&rng, 1);
    for (int64_t i = 0; i < n_ids; i++)
        s->ids[i] = (int32_t)(rng_next(&rng) % (uint64_t)b->info.n_vocab);
    enum status st = OK;
    for (int i = 0; st == OK && i < n; i++) {
        if (!points[i].n)
            continue;
        if (points[i].kind == BENCH_PREFILL && s->prefill < 0)
            st = engine_seq_new(b->l.engine, &s->prefill, err);
        else if (points[i].kind == BENCH_STREAMS)
            while (st == OK && s->n_streams < points[i].n)
                if ((st = fill(b, s, &s->stream[s->n_streams], err)) == OK)
                    s->n_streams++;
        if (st == OK && (points[i].kind == BENCH_DECODE || points[i].kind == BENCH_ROWS) &&
            s->decode < 0)
            st = fill(b, s, &s->decode, err);
    }
    return st;
}

static void seats_close(struct bench *b, struct seats *s)
{
    if (s->prefill >= 0)
        engine_seq_free(b->l.engine, s->prefill);
    if (s->decode >= 0)
        engine_seq_free(b->l.engine, s->decode);
    for (int i = 0; i < s->n_streams; i++)
        engine_seq_free(b->l.engine, s->stream[i]);
    free(s->ids);
}

static enum status run_prefill(struct bench *b, const struct seats *s, int64_t n, double *seconds,
                               struct err *err)
{
    engine_seq_truncate(b->l.engine, s->prefill, 0);
    int64_t start = clock_ns();
    enum status st = engine_prefill(b->l.engine, s->prefill, s->ids, (size_t)n, NULL, NULL, err);
    *seconds = clock_since(start);
    return st;
}

static enum status run_decode(struct bench *b, const struct seats *s, int64_t n, double *seconds,
                              struct err *err)
{
    enum status st = OK;
    engine_seq_truncate(b->l.engine, s->decode, b->depth);
    int64_t start = clock_ns();
    for (int64_t i = 0; st == OK && i < n; i++) {
        struct step_row row = {.token = s->ids[i], .seq = s->decode, .logits = true};
        st = engine_step(b->l.engine, &row, 1, err);
    }
    *seconds = clock_since(start);
    return st;
}

/* `steps` steps of n rows: of n sequences, which grow, or of one, which is cut back after each as
 * if every draft had been wrong. */
static enum status run_steps(struct bench *b, const struct seats *s, enum bench_kind kind,
                             int64_t n, int64_t steps, double *seconds, struct err *err)
{
    struct step_row row[BENCH_STREAMS_MAX];
    enum status st = OK;
    for (int i = 0; kind == BENCH_STREAMS && i < n; i++)
        engine_seq_truncate(b->l.engine, s->stream[i], b->depth);
    if (kind == BENCH_ROWS)
        engine_seq_truncate(b->l.engine, s->decode, b->depth);
    int64_t start = clock_ns();
    for (int64_t k = 0; st == OK && k < steps; k++) {
        for (int64_t i = 0; i < n; i++)
            row[i] = (struct step_row){.token = s->ids[(k + i) % BENCH_STREAMS_MAX],
                                       .seq = kind == BENCH_STREAMS ? s->stream[i] : s->decode,
                                       .logits = true};
        st = engine_step(b->l.engine, row, (int)n, err);
        for (int i = 0; st == OK && i < n; i++)
            engine_logits(b->l.engine, i); /* made here where the step did not make all */
        if (st == OK && kind == BENCH_ROWS)
            engine_seq_truncate(b->l.engine, s->decode, b->depth);
    }
    *seconds = clock_since(start);
    return st;
}

/* warm: only as much as makes scratch memory real and wakes the threads. */
static enum status run_point(struct bench *b, const struct seats *s, const struct bench_point *p,
                             bool warm, double *seconds, struct err *err)
{
    int64_t n = p->n, rows = engine_max_rows(b->l.engine);
    if (p->kind == BENCH_PREFILL)
        return run_prefill(b, s, warm && n > rows ? rows : n, seconds, err);
    if (p->kind == BENCH_DECODE)
        return run_decode(b, s, warm && n > 8 ? 8 : n, seconds, err);
    return run_steps(b, s, p->kind, n, warm ? 1 : b->steps, seconds, err);
}

enum status bench_group(struct bench *b, struct bench_point *points, int n, struct err *err)
{
    struct seats seats;
    struct pool *pool = b->l.pool;
    const struct bench_point *first = NULL;
    double ignored;
    enum status s = seats_open(b, &seats, points, n, err);
    for (int i = 0; s == OK && i < n; i++) {
        if (!points[i].n)
            continue;
        first = first ? first : &points[i];
        points[i].run = mem_array((size_t)b->repeat, sizeof *points[i].run);
        s = points[i].run ? run_point(b, &seats, &points[i], true, &ignored, err)
                          : err_set(err, ENOMEMORY, "bench: no memory for the results");
    }
    for (int64_t k = 0; s == OK && k < b->repeat; k++)
        for (int i = 0; s == OK && i < n; i++) {
            if (!points[i].n)
                continue;
            struct bench_run *r = &points[i].run[k];
            progress_update(&b->bar, (double)b->runs_done++ / (double)b->runs_in_all);
            r->read_gb_s = probe_gb_s(b->probe, pool, PROBE_PASSES);
            r->int8_gop_s = probe_int8_gop_s(pool, b->isa);
            r->f32_gop_s = probe_f32_gop_s(pool, b->isa);
            s = run_point(b, &seats, &points[i], false, &r->seconds, err);
        }
    for (int i = 0; s == OK && i < n; i++)
        if (points[i].n)
            point_sum_up(b, &points[i], first);
    progress_end(&b->bar);
    seats_close(b, &seats);
    return s;
}

void bench_point_release(struct bench_point *p)
{
    free(p->run);
    p->run = NULL;
}

static int64_t whole_pages(int64_t n)
{
    enum { PAGE = 64 }; /* the cache hands out pages of this many positions (engine/kv.h) */
    return (n + PAGE - 1) / PAGE * PAGE;
}

int64_t bench_room(const struct bench *b)
{
    int64_t streams = 0, rows = 0;
    for (int i = 0; i < b->streams.n; i++)
        streams = b->streams.v[i] > streams ? b->streams.v[i] : streams;
    for (int i = 0; i < b->rows.n; i++)
        rows = b->rows.v[i] > rows ? b->rows.v[i] : rows;
    int64_t one = whole_pages(b->n_prompt) + whole_pages(b->depth + b->n_gen);
    int64_t many = streams * whole_pages(b->depth + b->steps);
    int64_t verify = whole_pages(b->depth + rows);
    one = one > many ? one : many;
    return one > verify ? one : verify;
}
