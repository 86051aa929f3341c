/* Lines that a person types: with editing and history (libedit) on a terminal, plain otherwise. */
#pragma once
#include "base/buf.h"

enum line_result { LINE_TYPED, LINE_END, LINE_INTERRUPTED };

struct line_input {
    const struct line_ops *ops;
};

struct line_ops {
    enum line_result (*read)(struct line_input *in, const char *prompt, struct buf *out);
    void (*remember)(struct line_input *in, const char *line);
    void (*close)(struct line_input *in);
};

/* edit: standard input and output are a terminal that can be edited on. history: file to keep
 * lines in, or NULL. NULL without memory. */
struct line_input *line_open(bool edit, const char *history);
#ifndef HEARTH_ENGINE_ONLY
struct line_input *line_edit_open(const char *history); /* NULL: this terminal cannot */
#endif

/* Puts the line, without its end, into out (cleared before). LINE_INTERRUPTED: a signal came while
 * waiting. */
static inline enum line_result line_read(struct line_input *in, const char *prompt, struct buf *out)
{
    return in->ops->read(in, prompt, out);
}

static inline void line_remember(struct line_input *in, const char *line)
{
    in->ops->remember(in, line);
}

static inline void line_close(struct line_input *in)
{
    if (in)
        in->ops->close(in);
}
