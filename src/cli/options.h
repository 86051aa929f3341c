/* The command line, declared once. options.c holds one row an option and one row a command;
 * parsing,
 * --help, the man page, docs/cli.md and the shell completions all walk those rows.
 *
 * To add an option: a field below and a row in options.c. To add a command: a row and a cmd_NAME.c.
 */
#pragma once
#include "base/buf.h"
#include <stdint.h>

struct option_list {
    const char **v;
    size_t n;
};

/* What the user said. Numbers that were not given are as options_default leaves them: -1 or NaN,
 * where the command (or the model's own defaults) decides. */
struct options {
    /* model and machine */
    int64_t threads, ctx;
    bool exact;
    const char *kv, *quantize;
    struct option_list lora;
    /* sampling */
    double temp, top_p, min_p, typical, repeat_penalty, presence_penalty, frequency_penalty;
    double dry_multiplier, dry_base, xtc_probability, xtc_threshold, mirostat_tau, mirostat_eta;
    int64_t top_k, repeat_last_n, dry_allowed_length, dry_last_n, mirostat, seed;
    struct option_list logit_bias, stop;
    int64_t max_tokens, min_tokens;
    bool ignore_eos, context_shift;
    int64_t draft, logprobs;
    const char *draft_model;
    /* chat */
    const char *system, *chat_template, *think;
    bool raw, verbose, no_history;
    /* input and output */
    const char *tokens, *prompt, *prefix, *suffix, *out, *messages, *tools, *file, *context, *now;
    const char *pair, *pooling, *type, *imatrix;
    /* pull, push, run */
    bool insecure;
    /* show */
    bool show_license, show_modelfile, show_parameters, show_template, show_system;
    /* perplexity and imatrix */
    int64_t stride, chunks;
    const char *save_logits, *logits_type, *kl, *reference;
    struct option_list in_file;
    bool json, no_special, no_parse_special, no_generation_prompt, no_normalize, go, all;
    /* bench */
    int64_t n_prompt, n_gen, repeat, depth;
    const char *shape, *batch, *rows, *thread_sweep;
    /* serve, key */
    const char *host, *keys, *origins, *tls_cert, *tls_key, *log, *scope;
    int64_t port, drain, prefix_memory, prefix_disk, rpm, concurrent;
    bool no_auth;
    /* batch */
    const char *model;
    bool unordered;
    /* fit */
    const char *tier, *ram, *bandwidth, *gpu, *gpu_bandwidth, *fit_ctx, *speed;
    bool help;
    /* what is left */
    char **args;
    int n_args;
};

enum option_type { OPT_FLAG, OPT_INT, OPT_NUM, OPT_TEXT, OPT_LIST };

struct option_row {
    const char *name; /* long name, without dashes */
    char letter;      /* short name, or 0 */
    enum option_type type;
    size_t at;       /* offset of the field in struct options */
    double min, max; /* of a number */
    const char *arg; /* what the value is called in help: "N", "PATH" */
    const char *env; /* environment variable that gives the default, or NULL */
    const char *help;
    uint64_t commands; /* bits of enum command_id */
};

enum command_id {
    CMD_RUN,
    CMD_CREATE,
    CMD_LIST,
    CMD_SHOW,
    CMD_CP,
    CMD_RM,
    CMD_PULL,
    CMD_PUSH,
    CMD_GENERATE,
    CMD_LOGITS,
    CMD_TOKENIZE,
    CMD_DETOKENIZE,
    CMD_TEMPLATE,
    CMD_CLASSIFY,
    CMD_EMBED,
    CMD_INSPECT,
    CMD_QUANTIZE,
    CMD_IMATRIX,
    CMD_PERPLEXITY,
    CMD_SYNTH,
    CMD_BENCH,
    CMD_SERVE,
    CMD_PS,
    CMD_STOP,
    CMD_KEY,
    CMD_BATCH,
    CMD_FIT,
    CMD_DOCTOR,
    CMD_COMPLETION,
    CMD_DOCS,
    CMD_HELP,
    CMD_VERSION,
    CMD_COUNT
};

struct command_row {
    const char *name, *args, *summary;
    const char *more;       /* further paragraphs of its help, or "" */
    int min_args, max_args; /* -1: any number */
    enum status (*run)(const struct options *o, struct err *err);
};

extern const struct option_row option_rows[];
extern const size_t n_option_rows;
extern const struct command_row command_rows[CMD_COUNT]; /* a NULL name: not in this build */

/* Finds a command; EUSAGE with the nearest name otherwise. */
NODISCARD enum status command_find(const char *name, enum command_id *out, struct err *err);

/* Parses argv[1..] (argv[0] is the command's name) into o. Lists are allocated: options_release. */
NODISCARD enum status options_parse(struct options *o, enum command_id cmd, int argc, char **argv,
                                    struct err *err);
void options_release(struct options *o);

/* Changes a setting of a running chat, as the terminal's /set does: an option of `run` that takes
 * effect with the next answer. value is borrowed. */
NODISCARD enum status options_set(struct options *o, const char *name, const char *value,
                                  struct err *err);

/* help.c */
void help_overview(struct buf *out);
void help_command(enum command_id cmd, struct buf *out);
void help_markdown(struct buf *out); /* docs/cli.md */
void help_man(struct buf *out);      /* hearth.1 */
void help_completion_bash(struct buf *out);
void help_completion_zsh(struct buf *out);
