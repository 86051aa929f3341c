/* What guessing ahead is worth: the time of steps of few rows, and the speed of an answer that is
 * known beforehand.
 *
 * usage: draft_bench MODEL [-t THREADS] [-d DEPTH] [-m DRAFT] [-k TOKENIZER] [PROMPT ANSWER]
 *
 * PROMPT and ANSWER are text files. The answer is fed as if the model had chosen it (teacher
 * forcing), with and without drafts in turn, so that a model of real shape with random weights
 * tells the speed that a trained one would have on this text. What sampling costs is left out of
 * both. TOKENIZER is a model whose tokenizer cuts the texts, where MODEL's own is made up.
 * Medians of rounds that interleave what is compared. */
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/stats.h"
#include "engine/draft.h"
#include "engine/engine.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 3, ROUNDS_OF_STEPS = 9, MAX_FILE = 16 << 20, N_ROWS = 8 };
static const int row_counts[N_ROWS] = {1, 2, 3, 4, 6, 8, 12, 16};

struct bench {
    struct model *m, *texts;
    struct engine *e;
    int seq, draft;
    struct tokens prompt, answer;
    int64_t drafted, accepted, steps;
};

static enum status step_of(struct bench *b, const int32_t *tokens, int n, struct err *err)
{
    struct step_row rows[1 + DRAFT_MAX] = {{0}};
    for (int i = 0; i < n; i++)
        rows[i] = (struct step_row){.token = tokens[i], .seq = b->seq, .logits = true};
    enum status s = engine_step(b->e, rows, n, err);
    for (int i = 0; s == OK && i < n; i++)
        engine_logits(b->e, i); /* made here where the step did not make all */
    return s;
}

static enum status step_table(struct bench *b, int64_t depth, struct err *err)
{
    int32_t *fill = mem_array((size_t)depth + 1, sizeof *fill), some[16];
    double ms[N_ROWS][ROUNDS_OF_STEPS];
    if (!fill)
        return err_set(err, ENOMEMORY, "no memory for %lld tokens", (long long)depth);
    for (int64_t i = 0; i <= depth; i++)
        fill[i] = (int32_t)(i % 900 + 50);
    for (int i = 0; i < 16; i++)
        some[i] = 100 + 37 * i;
    enum status s =
        engine_prefill(b->e, b->seq, fill, depth > 0 ? (size_t)depth : 1, NULL, NULL, err);
    int64_t len = engine_seq_len(b->e, b->seq);
    for (int round = -1; s == OK && round < ROUNDS_OF_STEPS; round++) /* round -1 warms up */
        for (int i = 0; s == OK && i < N_ROWS; i++) {
            int64_t start = clock_ns();
            s = step_of(b, some, row_counts[i], err);
            if (round >= 0)
                ms[i][round] = clock_since(start) * 1e3;
            engine_seq_truncate(b->e, b->seq, len);
        }
    double one = 0;
    for (int i = 0; s == OK && i < N_ROWS; i++) {
        double t = stats_median(ms[i], ROUNDS_OF_STEPS);
        one = i == 0 ? t : one;
        printf("%2d rows %8.2f ms  %5.2f steps of one row  at most %5.2f times the speed\n",
               row_counts[i], t, t / one, row_counts[i] * one / t);
    }
    engine_seq_truncate(b->e, b->seq, 0);
    free(fill);
    return s;
}

/* The answer behind the prompt, which is in the cache; seconds. */
static enum status replay(struct bench *b, bool with_drafts, double *seconds, struct err *err)
{
    struct drafter *d = NULL;
    int32_t rows[1 + DRAFT_MAX];
    enum status s = OK;
    if (with_drafts)
        s = drafter_new(&d, b->prompt.n + b->answer.n, false, err);
    int64_t start = clock_ns();
    for (size_t i = 0; s == OK && with_drafts && i < b->prompt.n; i++)
        drafter_add(d, b->prompt.id[i]);
    b->drafted = b->accepted = b->steps = 0;
    for (size_t at = 0; s == OK && at < b->answer.n;) {
        int n = 0, right = 0;
        size_t left = b->answer.n - at - 1;
        rows[0] = b->answer.id[at++];
        if (with_drafts) {
            drafter_take(d, rows[0]);
            n = drafter_guess(d, rows + 1, left < (size_t)b->draft ? (int)left : b->draft);
        }
        int64_t begin = clock_ns();
        s = step_of(b, rows, 1 + n, err);
        if (with_drafts)
            drafter_timed(d, 1 + n, clock_ns() - begin);
        for (; right < n && rows[1 + right] == b->answer.id[at]; right++)
            drafter_take(d, b->answer.id[at++]);
        if (s == OK)
            engine_seq_truncate(b->e, b->seq, engine_seq_len(b->e, b->seq) - (n - right));
        b->drafted += n;
        b->accepted += right;
        b->steps++;
    }
    *seconds = clock_since(start);
    drafter_free(d);
    return s;
}

static enum status replays(struct bench *b, struct err *err)
{
    double s[2][ROUNDS], ratio[ROUNDS];
    enum status st = engine_prefill(b->e, b->seq, b->prompt.id, b->prompt.n, NULL, NULL, err);
    int64_t len = engine_seq_len(b->e, b->seq);
    for (int round = 0; st == OK && round < ROUNDS; round++) {
        for (int with = 0; st == OK && with < 2; with++) {
            st = replay(b, with, &s[with][round], err);
            engine_seq_truncate(b->e, b->seq, len);
        }
        ratio[round] = s[0][round] / s[1][round];
    }
    if (st != OK)
        return st;
    double n = (double)b->answer.n;
    double plain = n / stats_median(s[0], ROUNDS), drafted = n / stats_median(s[1], ROUNDS);
    double usual = stats_median(ratio, ROUNDS); /* sorts them */
    printf("prompt %zu, answer %zu tokens: %.1f tok/s, with drafts %.1f tok/s, ratio %.2f "
           "(%.2f - %.2f); last round: %lld steps, %lld drafted, %lld accepted\n",
           b->prompt.n, b->answer.n, plain, drafted, usual, ratio[0], ratio[ROUNDS - 1],
           (long long)b->steps, (long long)b->drafted, (long long)b->accepted);
    return OK;
}

static enum status read_tokens(struct bench *b, const char *path, struct tokens *out,
                               struct err *err)
{
    struct buf text;
    buf_init(&text, MAX_FILE);
    enum status s = file_read(path, &text, err);
    if (s == OK)
        s = tokenizer_encode(model_tokenizer(b->texts ? b->texts : b->m), buf_str(&text), 0, out,
                             err);
    buf_release(&text);
    return s;
}

int main(int argc, char **argv)
{
    struct bench b = {.draft = DRAFT_DEFAULT};
    struct engine_options eo = {.n_ctx = 8192};
    const char *tokenizer = NULL;
    struct err err = {0};
    int64_t depth = 256;
    for (int c; (c = getopt(argc, argv, "t:d:m:k:")) != -1;) {
        switch (c) {
        case 't': eo.n_threads = atoi(optarg); break;
        case 'd': depth = atoi(optarg); break;
        case 'm': b.draft = atoi(optarg); break;
        case 'k': tokenizer = optarg; break;
        default: return 2;
        }
    }
    if ((argc - optind != 1 && argc - optind != 3) || b.draft < 0 || b.draft > DRAFT_MAX ||
        depth < 0 || depth > 8000)
        return 2;
    enum status s = model_open(&b.m, argv[optind], NULL, &err);
    if (s == OK && tokenizer)
        s = model_open(&b.texts, tokenizer, NULL, &err);
    if (s == OK)
        s = engine_new(&b.e, b.m, &eo, &err);
    if (s == OK)
        s = engine_seq_new(b.e, &b.seq, &err);
    if (s == OK && argc - optind == 1)
        s = step_table(&b, depth, &err);
    if (s == OK && argc - optind == 3)
        s = read_tokens(&b, argv[optind + 1], &b.prompt, &err);
    if (s == OK && argc - optind == 3)
        s = read_tokens(&b, argv[optind + 2], &b.answer, &err);
    if (s == OK && argc - optind == 3)
        s = replays(&b, &err);
    if (s != OK)
        fprintf(stderr, "draft_bench: %s\n", err.msg);
    return s != OK;
}
