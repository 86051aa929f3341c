/* The sink that writes an answer to the terminal or a pipe, and keeps it. What the model thinks
 * before goes to the terminal dimmed, between "Thinking..." and "...done thinking." as in Ollama;
 * where standard output is a pipe, to standard error: a pipe gets the answer alone. */
#pragma once
#include "chat/chat.h"
#include "cli/progress.h"
#include "text/tokenizer.h"

struct answer {
    struct buf text, thinking; /* what the model said, and what it thought before */
    bool terminal;             /* standard output is one: control characters are left out */
    bool dims;                 /* and it understands escape codes */
    bool at_line_start;
    bool in_thinking; /* the last that was told was thinking */
    int n_logprobs;   /* alternatives to tell of each token; -1: tell none */
    const struct tokenizer *tokenizer;
    struct buf logprobs; /* told on standard error behind the answer */
    struct progress reading;
    struct chat_usage usage;
};

void answer_init(struct answer *a, const struct tokenizer *t, int n_logprobs);
void answer_release(struct answer *a);
struct chat_sink answer_sink(struct answer *a);
/* Ends the line if the answer did not, and tells the log-probabilities. */
void answer_finish(struct answer *a);
/* Counts and speeds on standard error, as people know them from Ollama. */
void answer_tell_usage(const struct answer *a, double load_s, double total_s);
