/* A text cut into windows, run through one or several engines side by side: what perplexity, KL
 * divergence and importance matrices have in common.
 *
 * Each window is a sequence of its own, so it sees nothing of its neighbours. Rows of as many
 * windows as fit go into one step; the engine's promise makes the bits independent of that. */
#pragma once
#include "engine/engine.h"

/* Tokens [start, start + n). Row r of it (0 <= r < n - 1) predicts token start + r + 1 from the
 * window's first r + 1; rows [first, n - 1) are scored. */
struct window {
    uint64_t start;
    uint32_t n, first;
};

enum { WINDOW_MAX = 1 << 24 }; /* tokens of one */

struct windows {
    struct window *at;
    size_t n;
    const int32_t *tokens; /* borrowed */
    size_t n_tokens;
    int32_t bos;     /* stands in the place of each window's first token; -1: nothing does */
    size_t n_scored; /* rows in all */
    uint32_t longest;
};

struct windows_cut {
    int64_t length; /* tokens of a window, 2 to WINDOW_MAX */
    /* 0: as llama.cpp's llama-perplexity. Windows follow each other without overlap, BOS (where
     * the vocabulary wants one) replaces the first token of each, the second half is scored: rows
     * [length / 2, length - 1). What is left behind the last whole window is dropped.
     * 1 to length: as Hugging Face's guide to fixed-length models. Windows start every `stride`
     * tokens, each scores what the ones before it have not, the last may be short; every token but
     * the first is scored once (at stride = length: every one but the windows' first). */
    int64_t stride;
    int64_t most; /* windows; 0: all */
};

/* Cuts the text. EUSAGE for lengths that make no sense; EFAIL with both counts for a text that is
 * too short. tokens are borrowed until windows_free. */
NODISCARD enum status windows_make(struct windows *out, const struct windows_cut *cut,
                                   const int32_t *tokens, size_t n, int32_t bos, struct err *err);
void windows_free(struct windows *w);

/* Windows that came from a file: in bounds, of possible lengths, tokens below n_vocab. Sets
 * n_scored and longest. EFORMAT otherwise. */
NODISCARD enum status windows_check(struct windows *w, int64_t n_vocab, struct err *err);

/* Positions of KV cache for an engine whose steps of max_rows rows shall be full of windows of
 * `length`; fewer do as long as the longest window fits. */
int64_t windows_room(int64_t length, int max_rows);

/* A row of the step whose logits were asked for: engine_logits(e, i) for the i-th one. */
struct scored {
    int32_t target; /* the token that came next */
    bool counts;    /* false: a row that is not to be scored (asked for by `all_rows`) */
};

struct windows_run {
    struct engine *const *engines; /* all of them run every step; same vocabulary */
    int n_engines;
    bool all_rows; /* every row goes through the whole model, up to the head */
    /* After each step. n may be 0. `done` counts the tokens fed so far. */
    enum status (*on_step)(void *ctx, const struct scored *rows, int n, size_t done,
                           struct err *err);
    void *ctx;
};

/* ECONTEXT when the longest window does not fit an engine's cache; on_step's errors. */
NODISCARD enum status windows_run(const struct windows *w, const struct windows_run *run,
                                  struct err *err);
/* Tokens that a run feeds. */
size_t windows_total(const struct windows *w);
