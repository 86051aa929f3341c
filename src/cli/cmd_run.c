/* hearth run: one answer when there is a prompt (arguments, piped text, or both), a conversation
 * otherwise. */
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/session.h"
#include <errno.h>
#include <unistd.h>

/* What is asked when nobody said anything: `make run` in a script shows that the model talks. */
static const char greeting[] = "Hello! Who are you?";

enum { MAX_PROMPT = 64 << 20 };

static void trim_line_end(struct buf *text)
{
    while (text->n && (text->p[text->n - 1] == '\n' || text->p[text->n - 1] == '\r'))
        text->p[--text->n] = 0;
}

/* Piped text, then the words of the command line, as Ollama joins them. */
static enum status gather(const struct options *o, bool piped, struct buf *out, struct err *err)
{
    if (piped) {
        struct buf text;
        enum status s = read_stdin(&text, err);
        /* a standard input that is closed has no text */
        if (s == EIO && errno == EBADF)
            s = OK;
        if (s != OK) {
            buf_release(&text);
            return s;
        }
        trim_line_end(&text);
        buf_addstr(out, buf_str(&text));
        buf_release(&text);
    }
    for (int i = 1; i < o->n_args; i++) {
        if (out->n)
            buf_addc(out, ' ');
        buf_adds(out, o->args[i]);
    }
    if (out->n == 0)
        buf_adds(out, greeting);
    return buf_check(out, "prompt", err);
}

static enum status answer_once(struct session *s, struct str prompt, struct err *err)
{
    interrupt_catch(false);
    enum status st = session_ask(s, prompt, err);
    if (st == OK && interrupt_take())
        st = err_set(err, ECANCEL, "stopped");
    return st;
}

enum status cmd_run(const struct options *o, struct err *err)
{
    struct session s;
    struct buf prompt;
    bool piped = !isatty(STDIN_FILENO), once = piped || o->n_args > 1;
    buf_init(&prompt, MAX_PROMPT);
    enum status st = session_open(&s, o, err);
    if (st == OK && once)
        st = gather(o, piped, &prompt, err);
    if (st == OK && once)
        st = answer_once(&s, buf_str(&prompt), err);
    else if (st == OK)
        st = repl_run(&s, err);
    buf_release(&prompt);
    session_close(&s);
    return st;
}
