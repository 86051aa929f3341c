/* What the scheduler makes of many requests at once.
 *
 * usage: serve_bench MODEL [-t THREADS] [-p PROMPT] [-n ANSWER] [-r ROUNDS] [-s STREAMS,...]
 *
 * For each number of streams: as many threads ask at the same moment, each with a prompt of its own
 * (random tokens), and the program tells all answers' tokens per second, from the first request to
 * the last token, and how long the first token of an answer took (mean and longest). Before that,
 * one stream through the scheduler beside `generate` on an engine of its own, in turn: what the way
 * from thread to thread costs. Medians. Processor seconds are told too: unlike the clock's they
 * hardly depend on what else the machine does (with one thread; more of them spin while they wait).
 */
#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "chat/sched.h"
#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_ROUNDS = 64, MAX_STREAMS = 1024 };

struct bench {
    struct model *m;
    struct model_info info;
    int threads, n_prompt, n_answer, rounds;
    struct rng rng;
};

struct client {
    struct provider *p;
    struct chat_request r;
    int64_t start, first, last;
    enum status status;
    struct err err;
    pthread_t thread;
};

static int on_event(void *ctx, const struct chat_event *ev)
{
    struct client *c = ctx;
    c->last = clock_ns();
    if (ev->token && !c->first)
        c->first = c->last;
    return 0;
}

static void *ask(void *ctx)
{
    struct client *c = ctx;
    const struct chat_sink sink = {on_event, c};
    c->status = provider_chat(c->p, &c->r, &sink, &c->err);
    return NULL;
}

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double median(double *v, int n)
{
    for (int i = 1; i < n; i++)
        for (int j = i; j > 0 && v[j] < v[j - 1]; j--) {
            double x = v[j];
            v[j] = v[j - 1];
            v[j - 1] = x;
        }
    return v[n / 2];
}

static struct gen_params params(const struct bench *b)
{
    struct gen_params p = {
        .sampler = sampler_defaults, .max_tokens = b->n_answer, .ignore_eos = true};
    p.sampler.temperature = 0;
    return p;
}

static int32_t *prompt(struct bench *b)
{
    int32_t *id = mem_array((size_t)b->n_prompt, sizeof *id);
    for (int i = 0; id && i < b->n_prompt; i++)
        id[i] = (int32_t)(rng_next(&b->rng) % (uint64_t)b->info.n_vocab);
    return id;
}

static enum status scheduler(struct bench *b, int streams, struct provider **p, struct err *err)
{
    struct sched_options o = {.engine = {.n_threads = b->threads}};
    o.engine.n_ctx = (int64_t)(streams + 1) * (b->n_prompt + b->n_answer + 64);
    return sched_new(p, b->m, &o, err);
}

/* All clients at once; wall seconds from the first request to the last token. */
static enum status round_of(struct bench *b, struct provider *p, struct client *c, int n,
                            double *wall, struct err *err)
{
    int64_t last = 0, start = 0;
    enum status st = OK;
    for (int i = 0; i < n; i++) {
        int32_t *id = prompt(b);
        if (!id)
            return err_set(err, ENOMEMORY, "no memory for a prompt");
        c[i] = (struct client){.p = p};
        c[i].r = (struct chat_request){
            .tokens = id, .n_tokens = (size_t)b->n_prompt, .params = params(b)};
    }
    start = clock_ns();
    for (int i = 0; i < n; i++) {
        c[i].start = clock_ns();
        if (pthread_create(&c[i].thread, NULL, ask, &c[i]) != 0)
            return err_set(err, EFAIL, "cannot start thread %d", i);
    }
    for (int i = 0; i < n; i++) {
        pthread_join(c[i].thread, NULL);
        last = c[i].last > last ? c[i].last : last;
        if (c[i].status != OK) {
            st = c[i].status;
            *err = c[i].err;
        }
        free((void *)(uintptr_t)c[i].r.tokens);
    }
    *wall = (double)(last - start) * 1e-9;
    return st;
}

static enum status many(struct bench *b, int n, struct err *err)
{
    struct client *c = mem_array((size_t)n, sizeof *c);
    double wall[MAX_ROUNDS], mean[MAX_ROUNDS], longest[MAX_ROUNDS], cpu[MAX_ROUNDS];
    struct provider *p = NULL;
    struct sched_stats stats = {0};
    enum status st = c ? scheduler(b, n, &p, err) : err_set(err, ENOMEMORY, "no memory");
    for (int r = 0; st == OK && r < b->rounds; r++) {
        double before = cpu_seconds();
        st = round_of(b, p, c, n, &wall[r], err);
        cpu[r] = cpu_seconds() - before;
        mean[r] = longest[r] = 0;
        for (int i = 0; st == OK && i < n; i++) {
            double first = (double)(c[i].first - c[i].start) * 1e-9;
            mean[r] += first / n;
            longest[r] = first > longest[r] ? first : longest[r];
        }
    }
    if (st == OK) {
        sched_stats(p, &stats);
        printf("%4d streams: %8.2f tok/s, first token %.3f s (longest %.3f), %.1f rows a step, "
               "%.2f tokens a processor second\n",
               n, n * b->n_answer / median(wall, b->rounds), median(mean, b->rounds),
               median(longest, b->rounds),
               (double)(stats.answer_tokens + stats.prompt_tokens) / (double)stats.steps,
               n * b->n_answer / median(cpu, b->rounds));
        fflush(stdout);
    }
    provider_free(p);
    free(c);
    return st;
}

static int heard(void *ctx, const struct gen_event *ev)
{
    int64_t *when = ctx;
    if (!ev->tok)
        return 0;
    when[1] = clock_ns();
    when[0] = when[0] ? when[0] : when[1];
    return 0;
}

static enum status one(struct bench *b, struct err *err)
{
    struct engine_options eo = {.n_threads = b->threads, .n_ctx = b->n_prompt + b->n_answer + 64};
    struct provider *p = NULL;
    struct engine *e = NULL;
    double alone[MAX_ROUNDS], through[MAX_ROUNDS], ratio[MAX_ROUNDS], cpu[MAX_ROUNDS];
    enum status st = OK;
    for (int r = 0; st == OK && r < b->rounds; r++) {
        struct gen_params gp = params(b);
        struct client c;
        double wall;
        int64_t when[2] = {0, 0};
        int seq;
        int32_t *id = prompt(b);
        st = id ? engine_new(&e, b->m, &eo, err) : err_set(err, ENOMEMORY, "no memory");
        if (st == OK)
            st = engine_seq_new(e, &seq, err);
        double before = cpu_seconds();
        if (st == OK)
            st = generate(e, seq, id, (size_t)b->n_prompt, &gp, heard, when, NULL, NULL, err);
        double between = cpu_seconds();
        engine_free(e);
        e = NULL;
        free(id);
        if (st == OK)
            st = scheduler(b, 1, &p, err);
        double after = cpu_seconds();
        if (st == OK)
            st = round_of(b, p, &c, 1, &wall, err);
        cpu[r] = (cpu_seconds() - after) / (between - before);
        provider_free(p);
        p = NULL;
        if (st != OK)
            break;
        alone[r] = (b->n_answer - 1) / ((double)(when[1] - when[0]) * 1e-9);
        through[r] = (b->n_answer - 1) / ((double)(c.last - c.first) * 1e-9);
        ratio[r] = through[r] / alone[r];
    }
    if (st == OK)
        printf("one stream: alone %.2f tok/s, through the scheduler %.2f, ratio %.4f, "
               "of processor time %.4f\n",
               median(alone, b->rounds), median(through, b->rounds), median(ratio, b->rounds),
               median(cpu, b->rounds));
    fflush(stdout);
    return st;
}

int main(int argc, char **argv)
{
    struct bench b = {.n_prompt = 128, .n_answer = 64, .rounds = 3};
    const char *streams = "1,4,16";
    struct err err;
    for (int c; (c = getopt(argc, argv, "t:p:n:r:s:")) != -1;)
        switch (c) {
        case 't': b.threads = atoi(optarg); break;
        case 'p': b.n_prompt = atoi(optarg); break;
        case 'n': b.n_answer = atoi(optarg); break;
        case 'r': b.rounds = atoi(optarg); break;
        case 's': streams = optarg; break;
        default: return 2;
        }
    if (optind + 1 != argc || b.n_prompt < 1 || b.n_answer < 2 || b.rounds < 1 ||
        b.rounds > MAX_ROUNDS) {
        fprintf(stderr, "usage: serve_bench MODEL [-t THREADS] [-p PROMPT] [-n ANSWER] [-r ROUNDS] "
                        "[-s STREAMS,...]\n");
        return 2;
    }
    rng_seed(&b.rng, 1);
    enum status st = model_open(&b.m, argv[optind], NULL, &err);
    if (st == OK) {
        model_info(b.m, &b.info);
        st = one(&b, &err);
    }
    for (const char *s = streams; st == OK && *s;) {
        char *end;
        long n = strtol(s, &end, 10);
        if (end == s || n < 1 || n > MAX_STREAMS) {
            st = err_set(&err, EUSAGE, "-s: '%s', expected numbers from 1 to %d", s, MAX_STREAMS);
            break;
        }
        st = many(&b, (int)n, &err);
        s = *end == ',' ? end + 1 : end;
    }
    if (st != OK)
        fprintf(stderr, "serve_bench: %s\n", err.msg);
    if (b.m)
        model_close(b.m);
    return st == OK ? 0 : 1;
}
