/* Plain lines: the terminal's own editing, no history. Prompts go to standard error, so that
 * standard output holds answers only. */
#include "cli/line.h"
#include "base/mem.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct plain {
    struct line_input base; /* first */
    char *line;
    size_t cap;
};

static enum line_result plain_read(struct line_input *in, const char *prompt, struct buf *out)
{
    struct plain *p = (struct plain *)in;
    buf_clear(out);
    fputs(prompt, stderr);
    fflush(stderr);
    errno = 0;
    ssize_t n = getline(&p->line, &p->cap, stdin);
    if (n < 0 && errno == EINTR) {
        clearerr(stdin);
        return LINE_INTERRUPTED;
    }
    if (n < 0)
        return LINE_END;
    if (n > 0 && p->line[n - 1] == '\n')
        n--;
    buf_add(out, p->line, (size_t)n);
    return LINE_TYPED;
}

static void plain_remember(struct line_input *in, const char *line)
{
    (void)in;
    (void)line;
}

static void plain_close(struct line_input *in)
{
    free(((struct plain *)in)->line);
    free(in);
}

static const struct line_ops plain_ops = {plain_read, plain_remember, plain_close};

struct line_input *line_open(bool edit, const char *history)
{
    struct line_input *in = NULL;
#ifndef HEARTH_ENGINE_ONLY
    if (edit)
        in = line_edit_open(history);
#else
    (void)edit;
    (void)history;
#endif
    struct plain *p = in ? NULL : mem_array(1, sizeof *p);
    if (!p)
        return in;
    p->base.ops = &plain_ops;
    return &p->base;
}
