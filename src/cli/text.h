/* A text from --file or standard input, as tokens in windows: what perplexity and imatrix run. */
#pragma once
#include "cli/load.h"
#include "engine/windows.h"

struct text {
    struct buf bytes;
    struct tokens ids;
    struct windows windows;
    const char *name; /* of the file, or "standard input" */
};

/* Tokens of a window: --ctx or 512. */
int64_t text_window(const struct options *o);

/* The options with --ctx turned into room for the KV cache of an engine that runs windows of
 * `longest` tokens. */
struct options text_engine_options(const struct options *o, int64_t longest);

/* Reads and cuts the text by --ctx, --stride and --chunks; text_free also after errors. */
NODISCARD enum status text_open(struct text *t, const struct options *o, const struct model *m,
                                struct err *err);
void text_free(struct text *t);
