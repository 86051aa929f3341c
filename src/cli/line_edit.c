/* Lines edited with libedit: Emacs keys (or as ~/.editrc says), history in a file that only its
 * owner may read. */
#include "base/mem.h"
#include "cli/interrupt.h"
#include "cli/line.h"
#include <errno.h>
#include <fcntl.h>
#include <histedit.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>

enum { HISTORY_LINES = 1000 };

struct edit {
    struct line_input base; /* first */
    EditLine *el;
    History *history;
    char *path; /* of the history; NULL: it is not kept */
    const char *prompt;
};

static char *prompt_of(EditLine *el)
{
    struct edit *e;
    el_get(el, EL_CLIENTDATA, &e);
    return (char *)(uintptr_t)e->prompt;
}

/* The next character typed. Ctrl-C must not get lost between two reads, where nothing waits that it
 * could break: it is blocked while a line is edited (edit_read) and let in by ppoll only. */
static int next_char(EditLine *el, wchar_t *out)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    mbstate_t state;
    sigset_t open_mask;
    (void)el;
    memset(&state, 0, sizeof state);
    pthread_sigmask(SIG_SETMASK, NULL, &open_mask);
    sigdelset(&open_mask, SIGINT);
    for (;;) {
        char byte;
        if (interrupt_raised()) {
            errno = EINTR;
            return -1;
        }
        if (ppoll(&in, 1, NULL, &open_mask) < 0) {
            if (errno == EINTR)
                continue;
            return -1;
        }
        ssize_t n = read(STDIN_FILENO, &byte, 1);
        if (n <= 0)
            return (int)n;
        size_t used = mbrtowc(out, &byte, 1, &state);
        if (used == (size_t)-2)
            continue; /* the character goes on */
        if (used == (size_t)-1) {
            *out = L'?';
            memset(&state, 0, sizeof state);
        }
        if (used == 0)
            *out = L'\0';
        return 1;
    }
}

static enum line_result edit_read(struct line_input *in, const char *prompt, struct buf *out)
{
    struct edit *e = (struct edit *)in;
    int n = 0;
    buf_clear(out);
    e->prompt = prompt;
    sigset_t interrupt, before;
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    pthread_sigmask(SIG_BLOCK, &interrupt, &before);
    /* libedit shows the prompt first and changes the terminal's mode then: a Ctrl-D typed between
     * the two would be swallowed by the old mode */
    el_set(e->el, EL_PREP_TERM, 1);
    errno = 0;
    const char *line = el_gets(e->el, &n);
    int why = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!line || n <= 0) {
        if (n < 0 && why == EINTR) {
            el_reset(e->el);
            tcflush(STDIN_FILENO, TCIFLUSH);
            return LINE_INTERRUPTED;
        }
        return LINE_END;
    }
    size_t len = strlen(line);
    while (len && (line[len - 1] == '\n' || line[len - 1] == '\r'))
        len--;
    buf_add(out, line, len);
    return LINE_TYPED;
}

static void edit_remember(struct line_input *in, const char *line)
{
    struct edit *e = (struct edit *)in;
    HistEvent ev;
    if (*line)
        history(e->history, &ev, H_ENTER, line);
}

/* Saved when the program leaves. */
static void edit_close(struct line_input *in)
{
    struct edit *e = (struct edit *)in;
    HistEvent ev;
    if (e->path) {
        int fd =
            open(e->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600); /* with these rights at first */
        if (fd >= 0) {
            close(fd);
            history(e->history, &ev, H_SAVE, e->path);
        }
    }
    el_end(e->el);
    history_end(e->history);
    free(e->path);
    free(e);
}

static const struct line_ops edit_ops = {edit_read, edit_remember, edit_close};

struct line_input *line_edit_open(const char *path)
{
    struct edit *e = mem_array(1, sizeof *e);
    HistEvent ev;
    if (!e)
        return NULL;
    /* text is UTF-8, whatever the locale says */
    setlocale(LC_CTYPE, "");
    if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        setlocale(LC_CTYPE, "C.UTF-8");
    e->base.ops = &edit_ops;
    e->el = el_init("hearth", stdin, stdout, stderr);
    e->history = e->el ? history_init() : NULL;
    if (!e->history) {
        if (e->el)
            el_end(e->el);
        free(e);
        return NULL;
    }
    history(e->history, &ev, H_SETSIZE, HISTORY_LINES);
    history(e->history, &ev, H_SETUNIQUE, 1);
    e->path = path ? mem_dup(path, strlen(path)) : NULL;
    if (e->path)
        history(e->history, &ev, H_LOAD, e->path);
    el_set(e->el, EL_CLIENTDATA, e);
    el_set(e->el, EL_GETCFN, next_char);
    /* on Ctrl-C the kernel signals first and empties the terminal's queues then, what was printed
     * in answer to the signal included: it is told not to, and we drop the typed rest ourselves */
    el_set(e->el, EL_SETTY, "-d", "+noflsh", NULL);
    el_set(e->el, EL_SETTY, "-x", "+noflsh", NULL);
    el_set(e->el, EL_PROMPT, prompt_of);
    el_set(e->el, EL_EDITOR, "emacs");
    el_set(e->el, EL_HIST, history, e->history);
    el_set(e->el, EL_BIND, "^R", "em-inc-search-prev", NULL);
    el_source(e->el, NULL);
    return &e->base;
}
