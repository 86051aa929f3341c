/* What the files of `hearth bench` share. A group of points is measured in turn, repeat by repeat,
 * with the machine's own limits probed beside every single run: the speed of a shared host moves
 * within minutes, and only numbers of the same moment can be compared. */
#pragma once
#include "cli/load.h"
#include "cli/progress.h"
#include "kernel/probe.h"

enum { BENCH_LIST = 32, BENCH_REPEATS = 1000, BENCH_STREAMS_MAX = 256 };

enum bench_kind {
    BENCH_PREFILL, /* n tokens at once, logits of the last */
    BENCH_DECODE,  /* n tokens one by one, `depth` in the cache before */
    BENCH_STREAMS, /* one step: a token for each of n sequences at `depth` */
    BENCH_ROWS,    /* one step: n rows of one sequence, as when drafts are verified */
};

struct bench_stat {
    double median, min, max;
};

/* What one run was, and what the probes said just before it. */
struct bench_run {
    double seconds, read_gb_s, int8_gop_s, f32_gop_s;
};

struct bench_point {
    enum bench_kind kind;
    int64_t n;
    struct bench_run *run; /* (repeats) */
    struct bench_stat tok_s, step_ms, read_gb_s, int8_gop_s, f32_gop_s;
    struct bench_stat ratio; /* step_ms over that of the group's first point, same repeat */
    /* medians of what was reached of the limits: bytes of weights read, products with weights */
    double read_fraction, compute_fraction;
};

struct bench_list {
    int64_t v[BENCH_LIST];
    int n;
};

struct bench {
    struct loaded l;
    struct model_info info;
    struct probe *probe;
    int64_t n_prompt, n_gen, depth, repeat;
    bool exact;
    int64_t steps; /* timed in one run of BENCH_STREAMS and BENCH_ROWS */
    struct bench_list streams, rows, threads;
    /* results */
    struct bench_point main[2]; /* prefill and decode; n is 0 where it was not asked for */
    struct bench_point stream[BENCH_LIST], row[BENCH_LIST], thread[BENCH_LIST][2];
    size_t kv_bytes, engine_bytes;
    int64_t n_ctx, peak_rss;
    int n_threads;
    const char *isa;
    struct progress bar;
    int64_t runs_done, runs_in_all;
};

/* Measures all points `repeat` times in turn and sums the runs up. Points with n = 0 are left out.
 */
NODISCARD enum status bench_group(struct bench *b, struct bench_point *points, int n,
                                  struct err *err);
void bench_point_release(struct bench_point *p);

/* Positions of the KV cache that the largest group needs. */
int64_t bench_room(const struct bench *b);

/* Memory that holds a model of a known shape (SHAPE[:TYPE], q4_0 without) with random weights, as
 * a path to give to model_open: the descriptor's name, valid until *fd is closed. ELIMIT when it is
 * more than the memory there is. */
NODISCARD enum status bench_shape(const char *shape, int *fd, char *path, size_t cap,
                                  struct err *err);

void bench_print_json(const struct bench *b);
void bench_print_table(const struct bench *b);
