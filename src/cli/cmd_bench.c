/* hearth bench: prefill and decode of a model, and on request steps of many sequences, of many rows
 * and other thread counts, beside the limits of this machine measured in the same run. */
#include "base/log.h"
#include "cli/bench.h"
#include "cli/commands.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { USUAL_STEPS = 16 };

/* ---- memory ---- */

/* The high-water mark of the kernel is set back (proc(5), clear_refs), so that only what is
 * measured counts. Where that is refused the mark stays too high. */
static void forget_peak(void)
{
    int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (write(fd, "5", 1) != 1)
        log_debug("clear_refs was refused: peak memory counts what came before");
    close(fd);
}

/* Without the probe's block, which is resident all the time. */
static int64_t peak_rss(const struct bench *b)
{
    char line[256];
    long long kb = 0;
    FILE *f = fopen("/proc/self/status", "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmHWM: %lld", &kb) == 1)
            break;
    if (f)
        fclose(f);
    return kb * 1024 - (int64_t)probe_bytes(b->probe);
}

/* ---- options ---- */

static int64_t given(int64_t v, int64_t fallback)
{
    return v == INT64_MIN ? fallback : v;
}

/* "1,2,4" to a list of numbers from 1 to max; NULL to an empty one. */
static enum status list_from(const char *option, const char *text, int64_t max,
                             struct bench_list *out, struct err *err)
{
    out->n = 0;
    for (const char *p = text; p && *p;) {
        char *end;
        long long v = strtoll(p, &end, 10);
        if (end == p || v < 1 || v > max || (*end && (*end != ',' || !end[1])))
            return err_set(err, EUSAGE,
                           "--%s: '%.20s', expected numbers from 1 to %lld, separated "
                           "by commas",
                           option, p, (long long)max);
        if (out->n == BENCH_LIST)
            return err_set(err, EUSAGE, "--%s: more than %d numbers", option, BENCH_LIST);
        out->v[out->n++] = v;
        p = *end ? end + 1 : end;
    }
    if (text && out->n == 0)
        return err_set(err, EUSAGE, "--%s: nothing, expected numbers such as 1,2,4", option);
    return OK;
}

/* Ratios are to a step of one, so a list of step sizes starts with it. */
static void start_with_one(struct bench_list *l)
{
    int at = 0;
    while (at < l->n && l->v[at] != 1)
        at++;
    if (l->n == 0 || (at == l->n && l->n == BENCH_LIST))
        return;
    l->n += at == l->n;
    for (; at > 0; at--)
        l->v[at] = l->v[at - 1];
    l->v[0] = 1;
}

static enum status read_options(struct bench *b, const struct options *o, struct err *err)
{
    b->n_prompt = given(o->n_prompt, 512);
    b->n_gen = given(o->n_gen, 128);
    b->depth = given(o->depth, 0);
    b->repeat = given(o->repeat, 5);
    b->exact = o->exact;
    b->steps = b->n_gen && b->n_gen < USUAL_STEPS ? b->n_gen : USUAL_STEPS;
    if ((o->n_args == 1) == (o->shape != NULL))
        return err_set(err, EUSAGE, "bench: %s, expected one of them",
                       o->shape ? "MODEL and --shape" : "neither MODEL nor --shape");
    enum status s = list_from("batch", o->batch, BENCH_STREAMS_MAX, &b->streams, err);
    if (s == OK)
        s = list_from("rows", o->rows, BENCH_STREAMS_MAX, &b->rows, err);
    if (s == OK)
        s = list_from("thread-sweep", o->thread_sweep, 1024, &b->threads, err);
    start_with_one(&b->streams);
    start_with_one(&b->rows);
    return s;
}

/* ---- measuring ---- */

static void set_main(const struct bench *b, struct bench_point p[2])
{
    p[0] = (struct bench_point){.kind = BENCH_PREFILL, .n = b->n_prompt};
    p[1] = (struct bench_point){.kind = BENCH_DECODE, .n = b->n_gen};
}

static enum status measure_main(struct bench *b, struct err *err)
{
    set_main(b, b->main);
    b->n_threads = pool_size(b->l.pool);
    b->n_ctx = engine_n_ctx(b->l.engine);
    b->kv_bytes = engine_kv_memory(b->l.engine);
    b->engine_bytes = engine_memory(b->l.engine);
    forget_peak();
    enum status s = bench_group(b, b->main, 2, err);
    b->peak_rss = peak_rss(b);
    return s;
}

static enum status measure_steps(struct bench *b, enum bench_kind kind, const struct bench_list *l,
                                 struct bench_point *points, struct err *err)
{
    for (int i = 0; i < l->n; i++)
        points[i] = (struct bench_point){.kind = kind, .n = l->v[i]};
    return l->n ? bench_group(b, points, l->n, err) : OK;
}

/* One engine after the other: each has threads and a cache of its own. */
static enum status measure_threads(struct bench *b, struct options *o, struct err *err)
{
    enum status s = OK;
    for (int i = 0; s == OK && i < b->threads.n; i++) {
        o->threads = b->threads.v[i];
        set_main(b, b->thread[i]);
        s = load_engine(&b->l, o, err);
        if (s == OK)
            s = bench_group(b, b->thread[i], 2, err);
    }
    return s;
}

static enum status measure(struct bench *b, struct options *o, struct err *err)
{
    b->runs_in_all = b->repeat * ((b->n_prompt > 0) + (b->n_gen > 0)) * (1 + b->threads.n) +
                     b->repeat * (b->streams.n + b->rows.n);
    b->isa = kernel_ops()->isa;
    model_info(b->l.model, &b->info);
    enum status s = probe_open(&b->probe, 0, err);
    if (s == OK)
        s = measure_main(b, err);
    if (s == OK)
        s = measure_steps(b, BENCH_STREAMS, &b->streams, b->stream, err);
    if (s == OK)
        s = measure_steps(b, BENCH_ROWS, &b->rows, b->row, err);
    return s == OK ? measure_threads(b, o, err) : s;
}

static void release(struct bench *b)
{
    for (int i = 0; i < BENCH_LIST; i++) {
        bench_point_release(&b->stream[i]);
        bench_point_release(&b->row[i]);
        for (int k = 0; k < 2; k++)
            bench_point_release(&b->thread[i][k]);
    }
    for (int k = 0; k < 2; k++)
        bench_point_release(&b->main[k]);
    probe_close(b->probe);
    unload(&b->l);
    free(b);
}

enum status cmd_bench(const struct options *given_options, struct err *err)
{
    struct options o = *given_options;
    char path[64], *made[] = {path};
    int fd = -1;
    struct bench *b = calloc(1, sizeof *b);
    if (!b)
        return err_set(err, ENOMEMORY, "bench: no memory");
    b->bar.what = "measuring";
    enum status s = read_options(b, &o, err);
    if (s == OK && o.ctx <= 0)
        o.ctx = bench_room(b) + 8;
    if (s == OK && o.shape) {
        s = bench_shape(o.shape, &fd, path, sizeof path, err);
        o.args = made;
        o.n_args = 1;
    }
    if (s == OK)
        s = load_model(&b->l, &o, true, err);
    if (s == OK)
        s = measure(b, &o, err);
    if (s == OK && o.json)
        bench_print_json(b);
    else if (s == OK)
        bench_print_table(b);
    release(b);
    if (fd >= 0)
        close(fd);
    return s;
}
