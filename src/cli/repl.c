/* The conversation in a terminal: lines in, answers out, and commands that start with a slash.
 *
 * A message is a line; a line that ends with a backslash goes on in the next one, and everything
 * between two marks of three double quotes is one message (as in Ollama). */
#include "base/mem.h"
#include "base/show.h"
#include "cli/interrupt.h"
#include "cli/line.h"
#include "cli/session.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_MESSAGE = 64 << 20 };

struct repl {
    struct session *s;
    struct line_input *in;
    bool leave;
};

/* arg: the rest of the line, without spaces around; may be changed. */
struct slash {
    const char *name, *args, *help;
    enum status (*run)(struct repl *r, char *arg, struct err *err);
};

static enum status slash_help(struct repl *r, char *arg, struct err *err);

static enum status slash_bye(struct repl *r, char *arg, struct err *err)
{
    (void)arg;
    (void)err;
    r->leave = true;
    return OK;
}

static enum status slash_clear(struct repl *r, char *arg, struct err *err)
{
    (void)arg;
    (void)err;
    conversation_clear(&r->s->chat);
    fputs("the conversation starts anew\n", stderr);
    return OK;
}

/* Splits the first word off: returns it, *rest is what follows. */
static char *first_word(char *text, char **rest)
{
    size_t n = strcspn(text, " \t");
    *rest = text + n + strspn(text + n, " \t");
    text[n] = 0;
    return text;
}

/* A value in double quotes is taken without them. */
static char *unquote(char *text)
{
    size_t n = strlen(text);
    if (n >= 2 && text[0] == '"' && text[n - 1] == '"') {
        text[n - 1] = 0;
        return text + 1;
    }
    return text;
}

static enum status slash_set(struct repl *r, char *arg, struct err *err)
{
    struct session *s = r->s;
    char *rest, *name = first_word(arg, &rest);
    if (strcmp(name, "parameter") == 0)
        name = first_word(rest, &rest);
    if (!*name)
        return err_set(err, EUSAGE,
                       "/set: no name, expected one such as temp, seed, stop or system");
    if (strcmp(name, "system") == 0)
        return conversation_set_system(&s->chat, str_from(unquote(rest)), err);
    if (strcmp(name, "verbose") == 0 || strcmp(name, "quiet") == 0) {
        s->o.verbose = name[0] == 'v';
        return OK;
    }
    if (!*rest)
        return err_set(err, EUSAGE, "/set %s: no value", show(str_from(name)).s);
    return session_set(s, name, unquote(rest), err);
}

static void show_parameters(const struct session *s)
{
    struct gen_params p = {0};
    struct err err;
    if (generation_from(&p, &s->o, s->l.model, &err) == OK) {
        const struct sampler_params *q = &p.sampler;
        fprintf(stderr,
                "  temp %g, top-k %lld, top-p %g, min-p %g, typical %g\n"
                "  repeat-penalty %g, presence-penalty %g, frequency-penalty %g over %lld tokens\n"
                "  draft %d\n",
                q->temperature, (long long)q->top_k, q->top_p, q->min_p, q->typical_p,
                q->repetition_penalty, q->presence_penalty, q->frequency_penalty,
                (long long)q->penalty_last_n, p.draft);
        if (s->o.seed != INT64_MIN)
            fprintf(stderr, "  seed %lld\n", (long long)s->o.seed);
        for (size_t i = 0; i < p.n_stop; i++)
            fprintf(stderr, "  stop %s\n", show(p.stop[i]).s);
    }
    free((void *)(uintptr_t)p.stop);
    free((void *)(uintptr_t)p.sampler.bias);
}

static void show_model(const struct session *s)
{
    struct model_info i;
    model_info(s->l.model, &i);
    fprintf(stderr,
            "  %s: %s, %.1f M parameters, %s, %.1f MB\n"
            "  %lld layers of %lld, %lld tokens of vocabulary, context %lld (trained with %lld)\n",
            show(i.name).s, show(i.arch).s, (double)i.n_params * 1e-6, show(i.type_name).s,
            (double)i.weight_bytes * 1e-6, (long long)i.n_layers, (long long)i.n_embd,
            (long long)i.n_vocab, (long long)engine_n_ctx(s->l.engine), (long long)i.n_ctx_train);
}

static enum status slash_show(struct repl *r, char *arg, struct err *err)
{
    const struct session *s = r->s;
    const struct conversation *c = &s->chat;
    bool all = !*arg;
    if (all || strcmp(arg, "info") == 0)
        show_model(s);
    if (all || strcmp(arg, "parameters") == 0)
        show_parameters(s);
    if (c->n && str_is(c->m[0].role, "system") && (all || strcmp(arg, "system") == 0))
        fprintf(stderr, "  system: %.*s\n", STR_ARG(c->m[0].content));
    if (strcmp(arg, "template") == 0) {
        struct str t =
            s->template.n ? buf_str(&s->template) : model_chat_template(s->l.model, NULL);
        fprintf(stderr, "%.*s\n", STR_ARG(t));
    } else if (!all && strcmp(arg, "info") && strcmp(arg, "parameters") && strcmp(arg, "system")) {
        return err_set(err, EUSAGE, "/show: '%s', expected info, parameters, system or template",
                       show(str_from(arg)).s);
    }
    return OK;
}

static enum status slash_save(struct repl *r, char *arg, struct err *err)
{
    if (!*arg)
        return err_set(err, EUSAGE, "/save: no file named");
    enum status s = conversation_save(&r->s->chat, arg, err);
    if (s == OK)
        fprintf(stderr, "%zu messages in %s\n", r->s->chat.n, arg);
    return s;
}

#ifndef HEARTH_ENGINE_ONLY
static enum status slash_load(struct repl *r, char *arg, struct err *err)
{
    if (!*arg)
        return err_set(err, EUSAGE, "/load: no file named");
    enum status s = conversation_load(&r->s->chat, arg, err);
    if (s == OK)
        fprintf(stderr, "%zu messages from %s\n", r->s->chat.n, arg);
    return s;
}
#endif

static const struct slash slashes[] = {
    {"/help", "", "this list", slash_help},
    {"/?", "", NULL, slash_help},
    {"/set", "NAME VALUE",
     "temp, seed, stop ... as the options of run; system TEXT; verbose, quiet", slash_set},
    {"/show", "[WHAT]", "info, parameters, system, template", slash_show},
    {"/clear", "", "forget the conversation", slash_clear},
    {"/save", "FILE", "write the conversation as JSON", slash_save},
#ifndef HEARTH_ENGINE_ONLY
    {"/load", "FILE", "go on with a saved conversation", slash_load},
#endif
    {"/bye", "", "leave", slash_bye},
    {"/exit", "", NULL, slash_bye},
    {"/quit", "", NULL, slash_bye},
    {NULL, NULL, NULL, NULL},
};

static enum status slash_help(struct repl *r, char *arg, struct err *err)
{
    (void)r;
    (void)arg;
    (void)err;
    for (const struct slash *c = slashes; c->name; c++)
        if (c->help)
            fprintf(stderr, "  %-8s %-20s %s\n", c->name, c->args, c->help);
    fputs("\n  \"\"\"      starts and ends a message of several lines; so does \\ at a line's end\n"
          "  Ctrl-C   stops an answer or drops a line, Ctrl-D leaves\n",
          stderr);
    return OK;
}

static enum status run_slash(struct repl *r, char *line, struct err *err)
{
    char *rest, *name = first_word(line, &rest);
    size_t n = strlen(rest);
    while (n && (rest[n - 1] == ' ' || rest[n - 1] == '\t'))
        rest[--n] = 0;
    for (const struct slash *c = slashes; c->name; c++)
        if (strcmp(c->name, name) == 0)
            return c->run(r, rest, err);
    return err_set(err, EUSAGE, "unknown command '%s', /help lists them", show(str_from(name)).s);
}

enum { QUOTES = 3 };

static bool ends_with_quotes(struct str s)
{
    return str_ends(s, STR("\"\"\""));
}

/* Reads one message. LINE_INTERRUPTED when it was dropped. */
static enum line_result read_message(struct repl *r, struct buf *message)
{
    struct buf line;
    enum line_result result;
    bool quoted = false, more = false;
    buf_init(&line, MAX_MESSAGE);
    buf_clear(message);
    do {
        result = line_read(r->in, quoted || more ? "... " : ">>> ", &line);
        if (result != LINE_TYPED)
            break;
        struct str s = buf_str(&line);
        line_remember(r->in, line.p ? line.p : "");
        if (!quoted && !more && str_starts(s, STR("\"\"\""))) {
            quoted = true;
            s = str_slice(s, QUOTES, s.n);
        } else if (more || quoted) {
            buf_addc(message, '\n');
        }
        if (quoted && ends_with_quotes(s)) {
            s.n -= QUOTES;
            quoted = false;
        }
        more = !quoted && str_ends(s, STR("\\"));
        if (more)
            s.n--;
        buf_addstr(message, s);
    } while (quoted || more);
    /* what was typed when input ended is a message still */
    if (result == LINE_END && message->n)
        result = LINE_TYPED;
    buf_release(&line);
    return result;
}

static bool blank(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != ' ' && s.p[i] != '\t' && s.p[i] != '\n')
            return false;
    return true;
}

static enum status ask(struct repl *r, struct str text, struct err *err)
{
    interrupt_catch(false);
    enum status s = session_ask(r->s, text, err);
    interrupt_take();
    if (isatty(STDOUT_FILENO))
        putchar('\n');
    fflush(stdout);
    return s;
}

/* Where lines are kept; NULL: nowhere. The caller frees. */
static char *history_path(const struct options *o)
{
    if (o->no_history)
        return NULL;
    char *home = hearth_home("");
    if (!home)
        return NULL;
    bool there = mkdir(home, 0700) == 0 || errno == EEXIST;
    free(home);
    return there ? hearth_home("history") : NULL;
}

static void one_turn(struct repl *r, struct buf *message)
{
    struct err err = {0};
    enum status s = OK;
    interrupt_catch(true);
    enum line_result result = read_message(r, message);
    if (result == LINE_INTERRUPTED) {
        interrupt_take();
        fputs("\nCtrl-D or /bye leaves\n", stderr);
        return;
    }
    if (result == LINE_END) {
        fputc('\n', stderr);
        r->leave = true;
        return;
    }
    if ((s = buf_check(message, "message", &err)) == OK && !blank(buf_str(message)))
        s = message->p[0] == '/' && !strchr(message->p, '\n') ? run_slash(r, message->p, &err)
                                                              : ask(r, buf_str(message), &err);
    if (s != OK && err.msg[0])
        fprintf(stderr, "hearth: %s\n", err.msg);
    /* without somewhere to write there is nothing to go on for */
    if (ferror(stdout))
        r->leave = true;
}

enum status repl_run(struct session *s, struct err *err)
{
    struct repl r = {.s = s};
    struct buf message;
    const char *term = getenv("TERM");
    bool edit = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && term && strcmp(term, "dumb") != 0;
    char *history = history_path(&s->o);
    r.in = line_open(edit, history);
    free(history);
    if (!r.in)
        return err_set(err, ENOMEMORY, "terminal: no memory");
    show_model(s);
    fputs("  /help tells what else can be typed, Ctrl-D leaves\n\n", stderr);
    buf_init(&message, MAX_MESSAGE);
    while (!r.leave)
        one_turn(&r, &message);
    buf_release(&message);
    line_close(r.in);
    interrupt_default();
    return OK;
}
