/* hearth bench: prefill and decode of a model, beside the read bandwidth of this machine measured
 * in the same run. Medians of several runs, with the spread. */
#include "base/clock.h"
#include "base/jsonw.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "cli/commands.h"
#include "cli/load.h"
#include "cli/progress.h"
#include "kernel/probe.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct sample {
    double median, min, max;
};

struct bench {
    struct loaded l;
    struct model_info info;
    int64_t n_prompt, n_gen, depth, repeat;
    int seq;
    struct sample prefill, decode; /* tok/s */
    struct probe_bandwidth before, after;
    int64_t peak_rss;
    struct progress bar;
    int64_t passes_done;
};

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static struct sample summarize(double *v, int64_t n)
{
    qsort(v, (size_t)n, sizeof *v, by_value);
    return (struct sample){(v[(n - 1) / 2] + v[n / 2]) / 2, v[0], v[n - 1]};
}

/* One pass: `depth` tokens in the cache, then `n` timed, all at once or one by one. The tokens are
 * random (of one seed), so that no cache of ours or of the machine's knows them. */
static enum status pass(struct bench *b, int64_t n, bool one_by_one, double *rate, struct err *err)
{
    int64_t before = one_by_one ? b->depth : 0;
    int32_t *ids = mem_array((size_t)(n + before), sizeof *ids);
    struct rng rng;
    if (!ids)
        return err_set(err, ENOMEMORY, "bench: no memory");
    rng_seed(&rng, 1);
    for (int64_t i = 0; i < n + before; i++)
        ids[i] = (int32_t)(rng_next(&rng) % (uint64_t)b->info.n_vocab);
    engine_seq_truncate(b->l.engine, b->seq, 0);
    enum status s = OK;
    if (before)
        s = engine_prefill(b->l.engine, b->seq, ids, (size_t)before, NULL, NULL, err);
    int64_t start = clock_ns();
    if (s == OK && !one_by_one)
        s = engine_prefill(b->l.engine, b->seq, ids, (size_t)n, NULL, NULL, err);
    for (int64_t i = 0; s == OK && one_by_one && i < n; i++) {
        struct step_row row = {.token = ids[before + i], .seq = b->seq, .logits = true};
        s = engine_step(b->l.engine, &row, 1, err);
    }
    *rate = (double)n / clock_since(start);
    free(ids);
    return s;
}

static enum status measure(struct bench *b, int64_t n, bool one_by_one, struct sample *out,
                           struct err *err)
{
    double rate[1000];
    enum status s = n ? pass(b, n < 8 ? n : 8, one_by_one, rate, err) : OK; /* warm up */
    for (int64_t i = 0; s == OK && n && i < b->repeat; i++) {
        progress_update(&b->bar, (double)b->passes_done++ / (double)(2 * b->repeat));
        s = pass(b, n, one_by_one, &rate[i], err);
    }
    progress_end(&b->bar);
    if (s == OK && n)
        *out = summarize(rate, b->repeat);
    return s;
}

static double fraction(const struct bench *b)
{
    double gb = (b->before.median_gb_s + b->after.median_gb_s) / 2;
    return gb > 0 ? b->decode.median * (double)model_decode_bytes(b->l.model) * 1e-9 / gb : 0;
}

/* The probe's own buffer must not count: the kernel's high-water mark is set back behind it
 * (proc(5), clear_refs). Where that is refused the mark stays too high. */
static void forget_peak(void)
{
    int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (write(fd, "5", 1) != 1)
        log_debug("clear_refs was refused: peak memory counts the bandwidth probe");
    close(fd);
}

static int64_t peak_rss(void)
{
    char line[256];
    long long kb = 0;
    FILE *f = fopen("/proc/self/status", "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmHWM: %lld", &kb) == 1)
            break;
    if (f)
        fclose(f);
    return kb * 1024;
}

static void write_sample(struct jsonw *w, const char *key, const struct sample *v)
{
    jsonw_key(w, key);
    jsonw_obj(w);
    jsonw_knum(w, "median", v->median);
    jsonw_knum(w, "min", v->min);
    jsonw_knum(w, "max", v->max);
    jsonw_end(w);
}

static void print_json(const struct bench *b)
{
    struct buf out;
    struct jsonw w;
    buf_init(&out, 1 << 20);
    jsonw_init(&w, &out, 2);
    jsonw_obj(&w);
    jsonw_kstr(&w, "model", b->info.name);
    jsonw_kstr(&w, "architecture", b->info.arch);
    jsonw_kstr(&w, "type", b->info.type_name);
    jsonw_kint(&w, "n_params", b->info.n_params);
    jsonw_kint(&w, "weight_bytes", (int64_t)b->info.weight_bytes);
    jsonw_kint(&w, "bytes_per_token", (int64_t)model_decode_bytes(b->l.model));
    jsonw_kstr(&w, "isa", str_from(kernel_ops()->isa));
    jsonw_kint(&w, "threads", pool_size(b->l.pool));
    jsonw_kint(&w, "prompt_tokens", b->n_prompt);
    jsonw_kint(&w, "gen_tokens", b->n_gen);
    jsonw_kint(&w, "depth", b->depth);
    jsonw_kint(&w, "repeat", b->repeat);
    jsonw_knum(&w, "prefill_tok_s", b->prefill.median);
    jsonw_knum(&w, "decode_tok_s", b->decode.median);
    write_sample(&w, "prefill", &b->prefill);
    write_sample(&w, "decode", &b->decode);
    jsonw_knum(&w, "read_gb_s", (b->before.median_gb_s + b->after.median_gb_s) / 2);
    jsonw_knum(&w, "read_gb_s_before", b->before.median_gb_s);
    jsonw_knum(&w, "read_gb_s_after", b->after.median_gb_s);
    jsonw_knum(&w, "bandwidth_fraction", fraction(b));
    jsonw_kint(&w, "engine_bytes", (int64_t)engine_memory(b->l.engine));
    jsonw_kint(&w, "peak_rss_bytes", b->peak_rss);
    jsonw_end(&w);
    print_line(&out);
    buf_release(&out);
}

static void print_table(const struct bench *b)
{
    printf("%.*s, %.*s, %.2f B parameters, %.1f MB of weights; %d threads, %s\n\n",
           STR_ARG(b->info.name), STR_ARG(b->info.type_name), (double)b->info.n_params * 1e-9,
           (double)b->info.weight_bytes * 1e-6, pool_size(b->l.pool), kernel_ops()->isa);
    printf("%-28s %10s %18s\n", "", "median", "min - max");
    if (b->n_prompt)
        printf("prefill %-6lld tokens        %10.1f %9.1f - %-9.1f tok/s\n", (long long)b->n_prompt,
               b->prefill.median, b->prefill.min, b->prefill.max);
    if (b->n_gen)
        printf("decode  %-6lld tokens at %-5lld%9.1f %9.1f - %-9.1f tok/s\n", (long long)b->n_gen,
               (long long)b->depth, b->decode.median, b->decode.min, b->decode.max);
    printf("read bandwidth               %10.1f %9.1f - %-9.1f GB/s\n",
           (b->before.median_gb_s + b->after.median_gb_s) / 2, b->before.median_gb_s,
           b->after.median_gb_s);
    if (b->n_gen)
        printf("decode reads                 %10.1f GB/s, %.0f%% of it\n",
               b->decode.median * (double)model_decode_bytes(b->l.model) * 1e-9, fraction(b) * 100);
    printf("peak memory                  %10.1f MB, weights %.1f, engine %.1f\n",
           (double)b->peak_rss * 1e-6, (double)b->info.weight_bytes * 1e-6,
           (double)engine_memory(b->l.engine) * 1e-6);
}

static int64_t given(int64_t v, int64_t fallback)
{
    return v == INT64_MIN ? fallback : v;
}

enum status cmd_bench(const struct options *given_options, struct err *err)
{
    struct options o = *given_options;
    struct bench b = {.n_prompt = given(o.n_prompt, 512),
                      .n_gen = given(o.n_gen, 128),
                      .depth = given(o.depth, 0),
                      .repeat = given(o.repeat, 5),
                      .bar = {.what = "measuring"}};
    int64_t need = b.n_prompt > b.depth + b.n_gen ? b.n_prompt : b.depth + b.n_gen;
    if (o.ctx <= 0)
        o.ctx = need + 8;
    enum status s = load_model(&b.l, &o, true, err);
    if (s == OK) {
        model_info(b.l.model, &b.info);
        s = engine_seq_new(b.l.engine, &b.seq, err);
    }
    if (s == OK)
        s = probe_read(&b.before, b.l.pool, 0, 0, err);
    forget_peak();
    if (s == OK)
        s = measure(&b, b.n_prompt, false, &b.prefill, err);
    if (s == OK)
        s = measure(&b, b.n_gen, true, &b.decode, err);
    b.peak_rss = peak_rss();
    if (s == OK)
        s = probe_read(&b.after, b.l.pool, 0, 0, err);
    if (s == OK && o.json)
        print_json(&b);
    else if (s == OK)
        print_table(&b);
    unload(&b.l);
    return s;
}
