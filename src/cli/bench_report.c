/* What hearth bench has found, as JSON and as a table. */
#include "base/jsonw.h"
#include "cli/bench.h"
#include <stdio.h>

/* Limits as measured beside all runs of prefill and decode: median of the medians, widest ends. */
static struct bench_stat limit(const struct bench *b, size_t at)
{
    struct bench_stat all = {0};
    int n = 0;
    for (int i = 0; i < 2; i++) {
        const struct bench_stat *s = (const struct bench_stat *)((const char *)&b->main[i] + at);
        if (!b->main[i].n)
            continue;
        all.median += s->median;
        all.min = n == 0 || s->min < all.min ? s->min : all.min;
        all.max = s->max > all.max ? s->max : all.max;
        n++;
    }
    all.median = n ? all.median / n : 0;
    return all;
}
#define LIMIT(b, field) limit(b, offsetof(struct bench_point, field))

/* ---- JSON ---- */

static void put_stat(struct jsonw *w, const char *key, struct bench_stat v)
{
    jsonw_key(w, key);
    jsonw_obj(w);
    jsonw_knum(w, "median", v.median);
    jsonw_knum(w, "min", v.min);
    jsonw_knum(w, "max", v.max);
    jsonw_end(w);
}

/* A limit that this build cannot measure is null. */
static void put_limit(struct jsonw *w, const char *key, struct bench_stat v)
{
    jsonw_key(w, key);
    if (v.median > 0)
        jsonw_num(w, v.median);
    else
        jsonw_null(w);
}

static void put_fractions(struct jsonw *w, const struct bench_point *p)
{
    jsonw_knum(w, "read_gb_s", p->read_gb_s.median);
    put_limit(w, "int8_gop_s", p->int8_gop_s);
    put_limit(w, "f32_gop_s", p->f32_gop_s);
    jsonw_knum(w, "bandwidth_fraction", p->read_fraction);
    jsonw_knum(w, "compute_fraction", p->compute_fraction);
}

static void put_steps(struct jsonw *w, const char *key, const char *count,
                      const struct bench_list *l, const struct bench_point *points)
{
    jsonw_key(w, key);
    jsonw_arr(w);
    for (int i = 0; i < l->n; i++) {
        jsonw_obj(w);
        jsonw_kint(w, count, points[i].n);
        put_stat(w, "tok_s", points[i].tok_s);
        put_stat(w, "step_ms", points[i].step_ms);
        put_stat(w, "step_ratio", points[i].ratio);
        put_fractions(w, &points[i]);
        jsonw_end(w);
    }
    jsonw_end(w);
}

static void put_main(struct jsonw *w, const struct bench_point p[2])
{
    static const char *const keys[] = {"prefill", "decode"};
    for (int i = 0; i < 2; i++) {
        if (!p[i].n)
            continue;
        jsonw_key(w, keys[i]);
        jsonw_obj(w);
        jsonw_knum(w, "median", p[i].tok_s.median);
        jsonw_knum(w, "min", p[i].tok_s.min);
        jsonw_knum(w, "max", p[i].tok_s.max);
        put_fractions(w, &p[i]);
        jsonw_end(w);
    }
}

static void put_threads(struct jsonw *w, const struct bench *b)
{
    jsonw_key(w, "thread_sweep");
    jsonw_arr(w);
    for (int i = 0; i < b->threads.n; i++) {
        jsonw_obj(w);
        jsonw_kint(w, "threads", b->threads.v[i]);
        put_main(w, b->thread[i]);
        jsonw_end(w);
    }
    jsonw_end(w);
}

static void put_memory(struct jsonw *w, const struct bench *b)
{
    jsonw_key(w, "memory");
    jsonw_obj(w);
    jsonw_kint(w, "weights", (int64_t)b->info.weight_bytes);
    jsonw_kint(w, "kv_cache", (int64_t)b->kv_bytes);
    jsonw_kint(w, "kv_positions", b->n_ctx);
    jsonw_kint(w, "scratch", (int64_t)(b->engine_bytes - b->kv_bytes));
    jsonw_kint(w, "peak_rss", b->peak_rss);
    jsonw_end(w);
}

static void put_model(struct jsonw *w, const struct bench *b)
{
    jsonw_kstr(w, "model", b->info.name);
    jsonw_kstr(w, "architecture", b->info.arch);
    jsonw_kstr(w, "type", b->info.type_name);
    jsonw_kint(w, "n_params", b->info.n_params);
    jsonw_kint(w, "weight_bytes", (int64_t)b->info.weight_bytes);
    jsonw_kint(w, "bytes_per_token", (int64_t)model_decode_bytes(b->l.model));
    jsonw_kstr(w, "isa", str_from(b->isa));
    jsonw_kint(w, "threads", b->n_threads);
    jsonw_kint(w, "prompt_tokens", b->n_prompt);
    jsonw_kint(w, "gen_tokens", b->n_gen);
    jsonw_kint(w, "depth", b->depth);
    jsonw_kint(w, "repeat", b->repeat);
}

void bench_print_json(const struct bench *b)
{
    struct buf out;
    struct jsonw w;
    buf_init(&out, 1 << 20);
    jsonw_init(&w, &out, 2);
    jsonw_obj(&w);
    put_model(&w, b);
    jsonw_knum(&w, "prefill_tok_s", b->main[0].tok_s.median);
    jsonw_knum(&w, "decode_tok_s", b->main[1].tok_s.median);
    put_main(&w, b->main);
    jsonw_knum(&w, "read_gb_s", LIMIT(b, read_gb_s).median);
    put_limit(&w, "int8_gop_s", LIMIT(b, int8_gop_s));
    put_limit(&w, "f32_gop_s", LIMIT(b, f32_gop_s));
    put_stat(&w, "read_gb_s_spread", LIMIT(b, read_gb_s));
    jsonw_knum(&w, "bandwidth_fraction", b->main[1].read_fraction);
    jsonw_knum(&w, "compute_fraction", b->main[0].compute_fraction);
    put_steps(&w, "batch", "streams", &b->streams, b->stream);
    put_steps(&w, "rows", "rows", &b->rows, b->row);
    put_threads(&w, b);
    put_memory(&w, b);
    jsonw_kint(&w, "engine_bytes", (int64_t)b->engine_bytes);
    jsonw_kint(&w, "peak_rss_bytes", b->peak_rss);
    jsonw_end(&w);
    print_line(&out);
    buf_release(&out);
}

/* ---- table ---- */

static void print_main(const struct bench *b)
{
    const struct bench_point *prefill = &b->main[0], *decode = &b->main[1];
    printf("%-28s %10s %18s\n", "", "median", "min - max");
    if (prefill->n) {
        printf("prefill %-6lld tokens        %10.1f %9.1f - %-9.1f tok/s", (long long)prefill->n,
               prefill->tok_s.median, prefill->tok_s.min, prefill->tok_s.max);
        if (prefill->compute_fraction > 0)
            printf("   %3.0f%% of the products", prefill->compute_fraction * 100);
        putchar('\n');
    }
    if (decode->n)
        printf("decode  %-6lld tokens at %-5lld%9.1f %9.1f - %-9.1f tok/s   %3.0f%% of the "
               "bandwidth\n",
               (long long)decode->n, (long long)b->depth, decode->tok_s.median, decode->tok_s.min,
               decode->tok_s.max, decode->read_fraction * 100);
}

static void print_limits(const struct bench *b)
{
    const struct {
        const char *name, *unit;
        struct bench_stat v;
    } rows[] = {{"read bandwidth", "GB/s", LIMIT(b, read_gb_s)},
                {"int8 products", "GOP/s", LIMIT(b, int8_gop_s)},
                {"float32 products", "GOP/s", LIMIT(b, f32_gop_s)}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].v.median > 0)
            printf("%-28s %10.1f %9.1f - %-9.1f %s\n", rows[i].name, rows[i].v.median,
                   rows[i].v.min, rows[i].v.max, rows[i].unit);
}

static void print_steps(const char *what, const struct bench_list *l,
                        const struct bench_point *points)
{
    if (!l->n)
        return;
    printf("\n%-28s %10s %10s %12s %11s %10s\n", what, "tok/s", "ms a step", "times one",
           "bandwidth", "products");
    for (int i = 0; i < l->n; i++)
        printf("%-28lld %10.1f %10.2f %12.2f %10.0f%% %9.0f%%\n", (long long)points[i].n,
               points[i].tok_s.median, points[i].step_ms.median, points[i].ratio.median,
               points[i].read_fraction * 100, points[i].compute_fraction * 100);
}

static void print_threads(const struct bench *b)
{
    if (!b->threads.n)
        return;
    printf("\n%-28s %10s %10s %12s %11s %10s\n", "threads", "prefill", "decode", "read GB/s",
           "bandwidth", "products");
    for (int i = 0; i < b->threads.n; i++) {
        const struct bench_point *p = b->thread[i];
        printf("%-28lld %10.1f %10.1f %12.1f %10.0f%% %9.0f%%\n", (long long)b->threads.v[i],
               p[0].tok_s.median, p[1].tok_s.median, p[p[1].n > 0].read_gb_s.median,
               p[1].read_fraction * 100, p[0].compute_fraction * 100);
    }
}

void bench_print_table(const struct bench *b)
{
    printf("%.*s, %.*s, %.2f B parameters, %.1f MB of weights; %d threads, %s\n\n",
           STR_ARG(b->info.name), STR_ARG(b->info.type_name), (double)b->info.n_params * 1e-9,
           (double)b->info.weight_bytes * 1e-6, b->n_threads, b->isa);
    print_main(b);
    print_limits(b);
    printf("%-28s %10.1f MB: weights %.1f, KV cache up to %.1f (%lld tokens), scratch up to %.1f\n",
           "peak memory", (double)b->peak_rss * 1e-6, (double)b->info.weight_bytes * 1e-6,
           (double)b->kv_bytes * 1e-6, (long long)b->n_ctx,
           (double)(b->engine_bytes - b->kv_bytes) * 1e-6);
    print_steps("sequences in a step", &b->streams, b->stream);
    print_steps("rows of one sequence", &b->rows, b->row);
    print_threads(b);
}
