/* Rows stream through steps: a window's rows follow the previous window's, a step takes the next
 * max_rows of them, and a window's sequence is given back after the step in which it ended. A
 * window starts only when the cache has room for all of it. */
#include "engine/windows.h"
#include "base/mem.h"
#include "engine/kv.h"
#include <stdlib.h>

static enum status no_memory(struct err *err)
{
    return err_set(err, ENOMEMORY, "no memory for the windows of the text");
}

/* ---- cutting ---- */

static enum status check_cut(const struct windows_cut *c, size_t n, struct err *err)
{
    if (c->length < 2 || c->length > WINDOW_MAX)
        return err_set(err, EUSAGE, "windows of %lld tokens, expected 2 to %d",
                       (long long)c->length, WINDOW_MAX);
    if (c->stride < 0 || c->stride > c->length)
        return err_set(err, EUSAGE, "a stride of %lld, expected at most the window's %lld",
                       (long long)c->stride, (long long)c->length);
    if (c->stride == 0 && c->length < 3)
        return err_set(err, EUSAGE,
                       "windows of %lld tokens, expected 3 or more to score the "
                       "second half of",
                       (long long)c->length);
    size_t least = c->stride ? 2 : (size_t)c->length;
    if (n < least)
        return err_set(err, EFAIL, "the text has %zu tokens, expected at least %zu%s", n, least,
                       c->stride ? "" : " (one window; --ctx makes it shorter)");
    return OK;
}

static void add(struct windows *w, uint64_t start, uint64_t n, uint64_t first)
{
    w->at[w->n++] = (struct window){start, (uint32_t)n, (uint32_t)first};
    w->n_scored += (size_t)(n - 1 - first);
    if (n > w->longest)
        w->longest = (uint32_t)n;
}

enum status windows_make(struct windows *out, const struct windows_cut *cut, const int32_t *tokens,
                         size_t n, int32_t bos, struct err *err)
{
    *out = (struct windows){.tokens = tokens, .n_tokens = n, .bos = cut->stride ? -1 : bos};
    enum status s = check_cut(cut, n, err);
    if (s != OK)
        return s;
    uint64_t length = (uint64_t)cut->length, step = (uint64_t)(cut->stride ? cut->stride : 0);
    size_t most = cut->most > 0 ? (size_t)cut->most : SIZE_MAX;
    size_t fit = step ? n / (size_t)step + 1 : n / (size_t)length;
    out->at = mem_array(fit < most ? fit : most, sizeof *out->at);
    if (!out->at)
        return no_memory(err);
    if (!step) {
        for (uint64_t at = 0; at + length <= n && out->n < most; at += length)
            add(out, at, length, length / 2);
        return OK;
    }
    for (uint64_t at = 0, scored = 1; scored < n && out->n < most; at += step) {
        uint64_t end = at + length < n ? at + length : n;
        /* the first target that no window had yet, and that has a token of this one before it */
        uint64_t target = scored > at + 1 ? scored : at + 1;
        if (target < end)
            add(out, at, end - at, target - 1 - at);
        scored = end;
    }
    return OK;
}

void windows_free(struct windows *w)
{
    free(w->at);
    *w = (struct windows){0};
}

enum status windows_check(struct windows *w, int64_t n_vocab, struct err *err)
{
    w->n_scored = w->longest = 0;
    if (w->bos < -1 || w->bos >= n_vocab)
        return err_set(err, EFORMAT, "BOS is token %d, expected -1 to %lld", w->bos,
                       (long long)n_vocab - 1);
    for (size_t i = 0; i < w->n_tokens; i++)
        if (w->tokens[i] < 0 || w->tokens[i] >= n_vocab)
            return err_set(err, EFORMAT, "token %zu is %d, expected 0 to %lld", i, w->tokens[i],
                           (long long)n_vocab - 1);
    for (size_t i = 0; i < w->n; i++) {
        struct window x = w->at[i];
        if (x.n < 2 || x.n > WINDOW_MAX || x.first >= x.n - 1 || x.start > w->n_tokens ||
            x.n > w->n_tokens - x.start)
            return err_set(err, EFORMAT,
                           "window %zu has tokens %llu to %llu, scored from row %u on, expected a "
                           "part of the %zu tokens with a row to score",
                           i, (unsigned long long)x.start, (unsigned long long)(x.start + x.n),
                           x.first, w->n_tokens);
        w->n_scored += x.n - 1 - x.first;
        w->longest = x.n > w->longest ? x.n : w->longest;
    }
    return OK;
}

int64_t windows_room(int64_t length, int max_rows)
{
    return kv_pages_of(length) * KV_PAGE * (max_rows / length + 2);
}

size_t windows_total(const struct windows *w)
{
    size_t n = 0;
    for (size_t i = 0; i < w->n; i++)
        n += w->at[i].n;
    return n;
}

/* ---- running ---- */

enum { ENGINES_MAX = 2 };

/* A window that has rows in the step or before it, and not all of them yet. */
struct live {
    size_t window;
    uint32_t done; /* rows fed */
    int seq[ENGINES_MAX];
};

struct runner {
    const struct windows *w;
    const struct windows_run *run;
    int max_rows;
    int64_t pages, pages_used;
    struct step_row *rows[ENGINES_MAX]; /* (max_rows) each */
    struct scored *scored;              /* (max_rows) */
    struct live *live;                  /* (max_rows), oldest first */
    int n_live, n_rows, n_scored;
    size_t next, done; /* window to start, tokens fed */
};

static enum status runner_open(struct runner *r, struct err *err)
{
    const struct windows_run *run = r->run;
    if (run->n_engines < 1 || run->n_engines > ENGINES_MAX)
        return err_set(err, EUSAGE, "%d engines, expected 1 to %d", run->n_engines, ENGINES_MAX);
    r->max_rows = INT32_MAX;
    r->pages = INT64_MAX;
    for (int e = 0; e < run->n_engines; e++) {
        int64_t ctx = engine_n_ctx(run->engines[e]);
        if (r->w->longest > ctx)
            return err_set(err, ECONTEXT, "a window of %u tokens, the KV cache holds %lld",
                           r->w->longest, (long long)ctx);
        if (engine_max_rows(run->engines[e]) < r->max_rows)
            r->max_rows = engine_max_rows(run->engines[e]);
        if (kv_pages_of(ctx) < r->pages)
            r->pages = kv_pages_of(ctx);
    }
    for (int e = 0; e < run->n_engines; e++) {
        r->rows[e] = mem_array((size_t)r->max_rows, sizeof *r->rows[e]);
        if (!r->rows[e])
            return no_memory(err);
    }
    r->scored = mem_array((size_t)r->max_rows, sizeof *r->scored);
    r->live = mem_array((size_t)r->max_rows, sizeof *r->live);
    return r->scored && r->live ? OK : no_memory(err);
}

/* Gives back the sequences of the first n live windows. */
static void retire(struct runner *r, int n)
{
    for (int i = 0; i < n; i++) {
        for (int e = 0; e < r->run->n_engines; e++)
            engine_seq_free(r->run->engines[e], r->live[i].seq[e]);
        r->pages_used -= kv_pages_of(r->w->at[r->live[i].window].n);
    }
    r->n_live -= n;
    if (r->n_live)
        memmove(r->live, r->live + n, (size_t)r->n_live * sizeof *r->live);
}

static void runner_close(struct runner *r)
{
    retire(r, r->n_live);
    for (int e = 0; e < ENGINES_MAX; e++)
        free(r->rows[e]);
    free(r->scored);
    free(r->live);
}

/* A sequence for the next window, in every engine. */
static enum status start_window(struct runner *r, struct err *err)
{
    struct live *l = &r->live[r->n_live];
    const struct windows_run *run = r->run;
    *l = (struct live){.window = r->next};
    for (int e = 0; e < run->n_engines; e++) {
        enum status s = engine_seq_new(run->engines[e], &l->seq[e], err);
        if (s != OK) {
            while (e-- > 0)
                engine_seq_free(run->engines[e], l->seq[e]);
            return s;
        }
        engine_seq_expect(run->engines[e], l->seq[e], r->w->at[r->next].n);
    }
    r->pages_used += kv_pages_of(r->w->at[r->next].n);
    r->n_live++;
    r->next++;
    return OK;
}

/* As many of the window's next rows as the step still takes. */
static void take_rows(struct runner *r, struct live *l)
{
    const struct window x = r->w->at[l->window];
    const int32_t *tokens = r->w->tokens + x.start;
    for (; l->done < x.n && r->n_rows < r->max_rows; l->done++, r->n_rows++) {
        uint32_t i = l->done;
        bool counts = i >= x.first && i + 1 < x.n, wanted = counts || r->run->all_rows;
        int32_t token = i == 0 && r->w->bos >= 0 ? r->w->bos : tokens[i];
        for (int e = 0; e < r->run->n_engines; e++)
            r->rows[e][r->n_rows] = (struct step_row){token, l->seq[e], wanted};
        if (wanted)
            r->scored[r->n_scored++] = (struct scored){counts ? tokens[i + 1] : -1, counts};
    }
}

/* The rows of one step; how many windows end with it. */
static enum status fill(struct runner *r, int *n_ended, struct err *err)
{
    enum status s = OK;
    r->n_rows = r->n_scored = 0;
    *n_ended = 0;
    if (r->n_live)
        take_rows(r, &r->live[0]); /* only the last one of a step can be unfinished */
    while (s == OK && r->n_rows < r->max_rows && r->next < r->w->n) {
        int64_t pages = kv_pages_of(r->w->at[r->next].n);
        if (r->n_live && r->pages_used + pages > r->pages)
            break;
        s = start_window(r, err);
        if (s == OK)
            take_rows(r, &r->live[r->n_live - 1]);
    }
    for (int i = 0; i < r->n_live; i++)
        *n_ended += r->live[i].done == r->w->at[r->live[i].window].n;
    return s;
}

enum status windows_run(const struct windows *w, const struct windows_run *run, struct err *err)
{
    struct runner r = {.w = w, .run = run};
    enum status s = runner_open(&r, err);
    while (s == OK && (r.next < w->n || r.n_live)) {
        int n_ended = 0;
        s = fill(&r, &n_ended, err);
        for (int e = 0; s == OK && e < run->n_engines; e++)
            s = engine_step(run->engines[e], r.rows[e], r.n_rows, err);
        r.done += (size_t)r.n_rows;
        if (s == OK)
            s = run->on_step(run->ctx, r.scored, r.n_scored, r.done, err);
        if (s == OK)
            retire(&r, n_ended);
    }
    runner_close(&r);
    return s;
}
