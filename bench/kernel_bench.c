/* Speed of the kernels: GB/s of weights for few tokens, GOP/s for many, per type, beside the
 * machine's own limits measured in the same run (sequential read bandwidth, int8 products).
 *
 * usage: kernel_bench [-t THREADS] [-n TOKENS,TOKENS,...] [-s ROWSxCOLS] [TYPE ...]
 * Weights are random bytes, larger than the last cache for the decode figures. Medians of rounds
 * that interleave the probe with the kernel, since the memory of a shared host is not steady. */
#include "base/clock.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"
#include "base/stats.h"
#include "kernel/probe.h"
#include "kernel/unpack.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 7, GRAIN = 32, MAX_TOKENS = 1024 };

struct type_row {
    enum qtype type;
    const char *name;
    double bytes_per_col;
    int scale_at[2]; /* f16 scales of a block, kept finite; -1: none */
    int block_bytes;
};

static const struct type_row types[] = {
    {QT_Q4_0, "q4_0", 18 / 32.0, {0, -1}, 18},
    {QT_Q4_1, "q4_1", 20 / 32.0, {0, 2}, 20},
    {QT_Q5_0, "q5_0", 22 / 32.0, {0, -1}, 22},
    {QT_Q5_1, "q5_1", 24 / 32.0, {0, 2}, 24},
    {QT_Q8_0, "q8_0", 34 / 32.0, {0, -1}, 34},
    {QT_Q2_K, "q2_k", 84 / 256.0, {80, 82}, 84},
    {QT_Q3_K, "q3_k", 110 / 256.0, {108, -1}, 110},
    {QT_Q4_K, "q4_k", 144 / 256.0, {0, 2}, 144},
    {QT_Q5_K, "q5_k", 176 / 256.0, {0, 2}, 176},
    {QT_Q6_K, "q6_k", 210 / 256.0, {208, -1}, 210},
    {QT_IQ4_NL, "iq4_nl", 18 / 32.0, {0, -1}, 18},
    {QT_IQ4_XS, "iq4_xs", 136 / 256.0, {0, -1}, 136},
    {QT_BF16, "bf16", 2, {0, -1}, 2},
    {QT_F16, "f16", 2, {0, -1}, 2},
    {QT_F32, "f32", 4, {2, -1}, 4},
};
enum { N_TYPES = sizeof types / sizeof types[0] };

/* ---- the kernels ---- */

struct job {
    const struct kernel_ops *ops;
    struct mat w;
    struct acts a;
    int64_t tokens;
    float *y;
};

static void run_rows(void *ctx, int worker, int64_t begin, int64_t end)
{
    (void)worker;
    struct job *j = ctx;
    j->ops->mul[j->w.type](&j->w, begin, end, &j->a, 0, j->tokens, j->y, j->w.rows);
}

static void fill(uint8_t *p, size_t n, const struct type_row *t)
{
    struct rng r;
    rng_seed(&r, 1);
    for (size_t i = 0; i + 8 <= n; i += 8) {
        uint64_t x = rng_next(&r);
        memcpy(p + i, &x, 8);
    }
    for (size_t at = 0; at + (size_t)t->block_bytes <= n; at += (size_t)t->block_bytes)
        for (int i = 0; i < 2; i++)
            if (t->scale_at[i] >= 0) {
                p[at + (size_t)t->scale_at[i] + 1] &= 0x3b;
                if (t->type == QT_F32 || t->type == QT_BF16)
                    p[at + (size_t)t->scale_at[i] + 1] = 0x3c;
            }
}

static void bench_type(const struct type_row *t, const struct kernel_ops *ops, struct pool *pool,
                       struct probe *probe, const int64_t *tokens, int n_tokens, int64_t rows,
                       int64_t cols)
{
    size_t row_bytes = (size_t)((double)cols * t->bytes_per_col);
    uint8_t *w = mem_aligned(row_bytes * (size_t)rows);
    float *x = mem_aligned((size_t)(MAX_TOKENS * cols) * 4);
    float *y = mem_aligned((size_t)(MAX_TOKENS * rows) * 4);
    void *block = mem_aligned(acts_bytes(MAX_TOKENS, cols));
    if (!w || !x || !y || !block) {
        fprintf(stderr, "kernel_bench: no memory\n");
        exit(1);
    }
    fill(w, row_bytes * (size_t)rows, t);
    struct rng r;
    rng_seed(&r, 2);
    for (int64_t i = 0; i < MAX_TOKENS * cols; i++)
        x[i] = (float)rng_uniform(&r) - 0.5f;
    for (int i = 0; i < n_tokens; i++) {
        struct job j = {
            .ops = ops, .w = {t->type, rows, cols, row_bytes, w}, .y = y, .tokens = tokens[i]};
        /* many tokens: fewer rows, so that a round takes a fraction of a second */
        if (tokens[i] > 16 && j.w.rows > 2048)
            j.w.rows = 2048;
        acts_init(&j.a, block, x, cols, tokens[i], cols);
        ops->acts_quantize(&j.a, 0, tokens[i]);
        double gb[ROUNDS], gop[ROUNDS], band[ROUNDS], part[ROUNDS];
        pool_run(pool, run_rows, &j, j.w.rows, GRAIN);
        for (int k = 0; k < ROUNDS; k++) {
            band[k] = probe_gb_s(probe, pool, 1);
            int64_t start = clock_ns();
            pool_run(pool, run_rows, &j, j.w.rows, GRAIN);
            double s = clock_since(start);
            gb[k] = (double)row_bytes * (double)j.w.rows / s * 1e-9;
            gop[k] = 2.0 * (double)(j.w.rows * cols * tokens[i]) / s * 1e-9;
            part[k] = gb[k] / band[k];
        }
        double mid = stats_median(gop, ROUNDS);
        printf("%-7s n=%-4d %7.2f GB/s %5.0f%% of %5.1f   %7.1f GOP/s, best %7.1f\n", t->name,
               (int)tokens[i], stats_median(gb, ROUNDS), 100 * stats_median(part, ROUNDS),
               stats_median(band, ROUNDS), mid, gop[ROUNDS - 1]);
        fflush(stdout);
    }
    mem_aligned_free(w, row_bytes * (size_t)rows);
    mem_aligned_free(x, (size_t)(MAX_TOKENS * cols) * 4);
    mem_aligned_free(y, (size_t)(MAX_TOKENS * rows) * 4);
    mem_aligned_free(block, acts_bytes(MAX_TOKENS, cols));
}

int main(int argc, char **argv)
{
    int threads = 1, n_tokens = 0, level = -1;
    int64_t tokens[32], rows = 65536, cols = 2048;
    int i = 1;
    for (; i + 1 < argc && argv[i][0] == '-'; i += 2) {
        char *v = argv[i + 1];
        if (argv[i][1] == 't')
            threads = (int)strtol(v, NULL, 10);
        else if (argv[i][1] == 'i')
            level = (int)strtol(v, NULL, 10);
        else if (argv[i][1] == 'n')
            for (; *v && n_tokens < 32; v += *v == ',')
                tokens[n_tokens++] = strtol(v, &v, 10);
        else if (argv[i][1] == 's' && sscanf(v, "%ldx%ld", &rows, &cols) != 2)
            return 2;
    }
    if (n_tokens == 0) {
        static const int64_t usual[] = {1, 2, 4, 8, 16, 64, 512};
        memcpy(tokens, usual, sizeof usual);
        n_tokens = 7;
    }
    struct err err;
    struct pool *pool;
    if (pool_new(&pool, threads, &err) != OK) {
        fprintf(stderr, "kernel_bench: %s\n", err.msg);
        return 1;
    }
    const struct kernel_ops *ops = level >= 0 ? kernel_ops_at(level) : kernel_ops();
    struct probe *probe;
    if (!ops)
        return 1;
    if (probe_open(&probe, (size_t)192 << 20, &err) != OK) {
        fprintf(stderr, "kernel_bench: %s\n", err.msg);
        return 1;
    }
    printf("%s, %d threads, %ld x %ld; int8 peak %.0f GOP/s, float32 %.0f\n", ops->isa, threads,
           (long)rows, (long)cols, probe_int8_gop_s(pool, ops->isa),
           probe_f32_gop_s(pool, ops->isa));
    for (int k = 0; k < N_TYPES; k++) {
        bool asked = i >= argc;
        for (int a = i; a < argc; a++)
            asked |= strcmp(argv[a], types[k].name) == 0;
        if (asked)
            bench_type(&types[k], ops, pool, probe, tokens, n_tokens, rows, cols);
    }
    printf("int8 peak %.0f GOP/s\n", probe_int8_gop_s(pool, ops->isa));
    probe_close(probe);
    pool_free(pool);
    return 0;
}
