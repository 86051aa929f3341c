/* hearth imatrix: an importance matrix from a text. */
#include "base/clock.h"
#include "base/log.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/text.h"
#include "engine/imatrix.h"
#include <stdio.h>

static enum status collect(struct imatrix *x, const struct options *o, const struct text *t,
                           struct err *err)
{
    struct progress bar = {.what = "importance"};
    struct imatrix_stats stats;
    int64_t start = clock_ns();
    enum status s = imatrix_run(x, &t->windows, t->name, progress_update, &bar, err);
    double seconds = clock_since(start);
    progress_end(&bar);
    for (size_t i = 0; s == OK && i < o->in_file.n; i++)
        s = imatrix_add_file(x, o->in_file.v[i], err);
    if (s == OK)
        s = imatrix_write(x, o->out, err);
    if (s != OK)
        return s;
    imatrix_stats(x, &stats);
    if (stats.n_unseen)
        log_warn("%zu of %zu expert matrices saw no token and will be quantized without weights; "
                 "a longer text helps",
                 stats.n_unseen, stats.n_experts);
    fprintf(stderr, "%s: %zu tensors from %lld chunks of %lld tokens, %.1f tok/s\n", o->out,
            stats.n_tensors, (long long)stats.n_chunks, (long long)stats.chunk_size,
            (double)windows_total(&t->windows) / seconds);
    return OK;
}

enum status cmd_imatrix(const struct options *o, struct err *err)
{
    struct loaded l;
    struct text text = {0};
    struct imatrix *x = NULL;
    if (!o->out)
        return err_set(err, EUSAGE, "imatrix: --out is missing, expected --out FILE");
    struct options eo = text_engine_options(o, text_window(o));
    enum status s = load_model(&l, &eo, true, err);
    if (s == OK)
        s = text_open(&text, o, l.model, err);
    if (s == OK)
        s = imatrix_new(&x, l.engine, err);
    if (s == OK)
        s = collect(x, o, &text, err);
    imatrix_free(x);
    text_free(&text);
    unload(&l);
    return s;
}
