/* The tables of commands and options, and their parser (getopt_long, fed from the rows). */
#include "cli/options.h"
#include "cli/commands.h"
#include "base/mem.h"
#include "base/show.h"
#include "engine/draft.h"
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define BIT(c) ((uint64_t)1 << CMD_##c)

#define ALL_MODELS (BIT(RUN) | BIT(GENERATE) | BIT(LOGITS) | BIT(BENCH))
#define SAMPLING   (BIT(RUN) | BIT(GENERATE))
#define TEXTS      (BIT(PERPLEXITY) | BIT(IMATRIX)) /* run a text through the model, in windows */
#define JSON_OUT                                                                                   \
    (BIT(GENERATE) | BIT(CLASSIFY) | BIT(EMBED) | BIT(INSPECT) | BIT(BENCH) | BIT(DOCTOR) |        \
     BIT(PERPLEXITY) | BIT(LIST) | BIT(FIT))
#define EVERY (BIT(COUNT) - 1)

#define AT(field) offsetof(struct options, field)
#define FLAG(n, c, field, cmds, text)                                                              \
    {                                                                                              \
        .name = n, .letter = c, .type = OPT_FLAG, .at = AT(field), .commands = cmds, .help = text  \
    }
#define INT(n, c, field, lo, hi, cmds, text)                                                       \
    {                                                                                              \
        .name = n, .letter = c, .type = OPT_INT, .at = AT(field), .min = lo, .max = hi,            \
        .arg = "N", .commands = cmds, .help = text                                                 \
    }
#define NUM(n, field, lo, hi, text)                                                                \
    {                                                                                              \
        .name = n, .type = OPT_NUM, .at = AT(field), .min = lo, .max = hi, .arg = "X",             \
        .commands = SAMPLING, .help = text                                                         \
    }
#define TEXT(n, c, field, what, cmds, text)                                                        \
    {                                                                                              \
        .name = n, .letter = c, .type = OPT_TEXT, .at = AT(field), .arg = what, .commands = cmds,  \
        .help = text                                                                               \
    }
#define LIST(n, field, what, cmds, text)                                                           \
    {                                                                                              \
        .name = n, .type = OPT_LIST, .at = AT(field), .arg = what, .commands = cmds, .help = text  \
    }

const struct option_row option_rows[] = {
#include "cli/options.def"
};
const size_t n_option_rows = sizeof option_rows / sizeof *option_rows;

#define COMMAND(id, word, arguments, fewest, most, function, what, further)                        \
    [CMD_##id] = {.name = word,                                                                    \
                  .args = arguments,                                                               \
                  .min_args = fewest,                                                              \
                  .max_args = most,                                                                \
                  .run = function,                                                                 \
                  .summary = what,                                                                 \
                  .more = further},
const struct command_row command_rows[CMD_COUNT] = {
#include "cli/commands.def"
};
#undef COMMAND

/* Levenshtein distance of two short words, for "did you mean". */
static size_t distance(const char *a, const char *b)
{
    size_t row[64], n = strlen(b);
    if (n >= 63 || strlen(a) >= 63)
        return 99;
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < n; j++) {
            size_t change = diagonal + (a[i] != b[j]), up = row[j + 1] + 1, left = row[j] + 1;
            diagonal = row[j + 1];
            row[j + 1] = up < left ? up : left;
            if (change < row[j + 1])
                row[j + 1] = change;
        }
    }
    return row[n];
}

/* Keeps the nearest of the names it is shown, if it is near enough to be meant. */
struct nearest {
    const char *to, *name;
    size_t distance;
};

static void nearest_try(struct nearest *n, const char *name)
{
    size_t d = distance(n->to, name);
    if (d < n->distance && d < strlen(n->to)) {
        n->distance = d;
        n->name = name;
    }
}

/* Other words for a command. */
static const struct {
    const char *name;
    enum command_id command;
} aliases[] = {
    {"ls", CMD_LIST},
};

enum status command_find(const char *name, enum command_id *out, struct err *err)
{
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++) {
        if (strcmp(aliases[i].name, name) == 0 && command_rows[aliases[i].command].name) {
            *out = aliases[i].command;
            return OK;
        }
    }
    struct nearest near = {.to = name, .distance = 4};
    for (int i = 0; i < CMD_COUNT; i++) {
        const char *c = command_rows[i].name;
        if (!c)
            continue;
        if (strcmp(c, name) == 0) {
            *out = (enum command_id)i;
            return OK;
        }
        nearest_try(&near, c);
    }
    if (near.name)
        return err_set(err, EUSAGE, "unknown command '%s', did you mean '%s'?",
                       show(str_from(name)).s, near.name);
    return err_set(err, EUSAGE, "unknown command '%s', 'hearth help' lists them",
                   show(str_from(name)).s);
}

static void options_default(struct options *o)
{
    *o = (struct options){0};
    for (size_t i = 0; i < n_option_rows; i++) {
        char *at = (char *)o + option_rows[i].at;
        if (option_rows[i].type == OPT_INT)
            *(int64_t *)at = INT64_MIN;
        else if (option_rows[i].type == OPT_NUM)
            *(double *)at = (double)NAN;
    }
}

static enum status take_value(struct options *o, const struct option_row *row, const char *value,
                              struct err *err)
{
    char *at = (char *)o + row->at, *end = NULL;
    switch (row->type) {
    case OPT_FLAG: *(bool *)at = true; return OK;
    case OPT_TEXT: *(const char **)at = value; return OK;
    case OPT_LIST: {
        struct option_list *l = (struct option_list *)at;
        const char **v = mem_resize(l->v, l->n + 1, sizeof *v);
        if (!v)
            return err_set(err, ENOMEMORY, "--%s: no memory", row->name);
        l->v = v;
        l->v[l->n++] = value;
        return OK;
    }
    case OPT_INT: {
        errno = 0;
        long long n = strtoll(value, &end, 10);
        if (end == value || *end || errno || (double)n < row->min || (double)n > row->max)
            return err_set(err, EUSAGE, "--%s: '%s', expected an integer from %.0f to %.0f",
                           row->name, value, row->min, row->max);
        *(int64_t *)at = n;
        return OK;
    }
    case OPT_NUM: {
        double x = strtod(value, &end);
        if (end == value || *end || !(x >= row->min && x <= row->max))
            return err_set(err, EUSAGE, "--%s: '%s', expected a number from %g to %g", row->name,
                           value, row->min, row->max);
        *(double *)at = x;
        return OK;
    }
    }
    return OK;
}

enum status options_set(struct options *o, const char *name, const char *value, struct err *err)
{
    struct nearest near = {.to = name, .distance = 4};
    for (size_t i = 0; i < n_option_rows; i++) {
        const struct option_row *row = &option_rows[i];
        bool live = (row->commands & SAMPLING) == SAMPLING && !(row->commands & BIT(BENCH));
        live = live && row->at != AT(draft_model); /* it is loaded with the model */
        live = (live && row->type != OPT_FLAG) || strcmp(row->name, "think") == 0;
        if (strcmp(row->name, name) == 0 && (row->commands & BIT(RUN)))
            return live ? take_value(o, row, value, err)
                        : err_set(err, EUSAGE, "'%s' can only be given when the model is loaded",
                                  name);
        if (live)
            nearest_try(&near, row->name);
    }
    if (near.name)
        return err_set(err, EUSAGE, "unknown setting '%s', did you mean '%s'?",
                       show(str_from(name)).s, near.name);
    return err_set(err, EUSAGE, "unknown setting '%s', expected one of run's for sampling",
                   show(str_from(name)).s);
}

/* getopt's own messages are off, so that ours can name the nearest option. */
static enum status unknown_option(enum command_id cmd, const char *arg, struct err *err)
{
    char word[64];
    const char *command = command_rows[cmd].name;
    struct nearest near = {.to = word, .distance = 4};
    snprintf(word, sizeof word, "%s", arg + strspn(arg, "-"));
    word[strcspn(word, "=")] = 0;
    for (size_t i = 0; i < n_option_rows; i++) {
        if (!(option_rows[i].commands & (uint64_t)1 << cmd))
            continue;
        if (strcmp(word, option_rows[i].name) == 0 ||
            (!word[1] && word[0] == option_rows[i].letter))
            return err_set(err, EUSAGE, "%s: option '%s' %s", command, show(str_from(arg)).s,
                           option_rows[i].type == OPT_FLAG ? "takes no value" : "needs a value");
        nearest_try(&near, option_rows[i].name);
    }
    if (near.name)
        return err_set(err, EUSAGE, "%s: unknown option '%s', did you mean '--%s'?", command,
                       show(str_from(arg)).s, near.name);
    return err_set(err, EUSAGE, "%s: unknown option '%s', 'hearth help %s' lists them", command,
                   show(str_from(arg)).s, command);
}

static enum status from_environment(struct options *o, enum command_id cmd, struct err *err)
{
    for (size_t i = 0; i < n_option_rows; i++) {
        const struct option_row *row = &option_rows[i];
        const char *value =
            row->env && (row->commands & (uint64_t)1 << cmd) ? getenv(row->env) : NULL;
        if (value && *value && take_value(o, row, value, err) != OK)
            return err_prefix(err, "%s", row->env);
    }
    return OK;
}

enum status options_parse(struct options *o, enum command_id cmd, int argc, char **argv,
                          struct err *err)
{
    struct option longs[sizeof option_rows / sizeof *option_rows + 1];
    char shorts[3 * (sizeof option_rows / sizeof *option_rows) + 2] = ":";
    size_t n = 0, n_short = 1;
    options_default(o);
    enum status s = from_environment(o, cmd, err);
    if (s != OK)
        return s;
    for (size_t i = 0; i < n_option_rows; i++) {
        const struct option_row *row = &option_rows[i];
        if (!(row->commands & (uint64_t)1 << cmd))
            continue;
        longs[n++] = (struct option){
            .name = row->name, .has_arg = row->type != OPT_FLAG, .val = 256 + (int)i};
        if (row->letter) {
            shorts[n_short++] = row->letter;
            if (row->type != OPT_FLAG)
                shorts[n_short++] = ':';
        }
    }
    longs[n] = (struct option){0};
    shorts[n_short] = 0;
    opterr = 0;
    optind = 1;
    for (int c; (c = getopt_long(argc, argv, shorts, longs, NULL)) != -1;) {
        const struct option_row *row = NULL;
        if (c >= 256)
            row = &option_rows[c - 256];
        for (size_t i = 0; !row && c != '?' && c != ':' && i < n_option_rows; i++)
            if (option_rows[i].letter == c && (option_rows[i].commands & (uint64_t)1 << cmd))
                row = &option_rows[i];
        if (!row) {
            /* a letter inside a cluster is told alone; of a long option getopt has gone past it */
            char letter[3] = {'-', (char)optopt, 0};
            bool is_letter = optopt > 0 && optopt < 256;
            return unknown_option(cmd, is_letter ? letter : argv[optind - 1], err);
        }
        if ((s = take_value(o, row, optarg, err)) != OK)
            return s;
    }
    o->args = argv + optind;
    o->n_args = argc - optind;
    const struct command_row *c = &command_rows[cmd];
    if (!o->help && (o->n_args < c->min_args || (c->max_args >= 0 && o->n_args > c->max_args)))
        return err_set(err, EUSAGE, "%s: %d argument%s, expected %s", c->name, o->n_args,
                       o->n_args == 1 ? "" : "s", *c->args ? c->args : "none");
    return OK;
}

void options_release(struct options *o)
{
    free(o->lora.v);
    free(o->logit_bias.v);
    free(o->stop.v);
    free(o->in_file.v);
}
