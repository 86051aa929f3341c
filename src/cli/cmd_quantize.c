/* hearth quantize, hearth synth: model files written. */
#include "cli/commands.h"
#include "cli/load.h"
#include "cli/progress.h"
#include "engine/quantize.h"
#include "engine/synth.h"
#include <stdio.h>
#include <stdlib.h>

static void on_tensor(void *ctx, double fraction, const char *tensor)
{
    (void)tensor;
    progress_update(ctx, fraction);
}

enum status cmd_quantize(const struct options *o, struct err *err)
{
    const struct recipe *recipe;
    struct progress bar = {.what = "quantizing"};
    struct quantize_options q = {
        .progress = on_tensor, .progress_ctx = &bar, .imatrix = o->imatrix};
    struct quantize_stats stats = {0};
    char *in = NULL;
    enum status s = recipe_find(o->args[2], &recipe, err);
    if (s == OK)
        s = model_resolve(o->args[0], &in, err);
    if (s == OK)
        s = pool_new(&q.pool, o->threads > 0 ? (int)o->threads : 0, err);
    if (s == OK) {
        s = quantize_file(in, o->args[1], recipe, &q, &stats, err);
        progress_end(&bar);
        pool_free(q.pool);
    }
    if (s == OK)
        fprintf(stderr, "%s: %zu of %zu tensors converted, %.1f MB to %.1f MB in %.1f s\n",
                o->args[1], stats.n_converted, stats.n_tensors, (double)stats.bytes_in * 1e-6,
                (double)stats.bytes_out * 1e-6, stats.seconds);
    free(in);
    return s;
}

enum status cmd_synth(const struct options *o, struct err *err)
{
    const struct recipe *recipe;
    const struct synth_shape *shape;
    struct progress bar = {.what = "writing"};
    enum status s = recipe_find(o->type ? o->type : "q4_0", &recipe, err);
    if (s == OK)
        s = synth_find(o->args[0], &shape, err);
    if (s != OK)
        return s;
    s = synth_write(shape, o->args[1], recipe, o->seed >= 0 ? (uint64_t)o->seed : 1, on_tensor,
                    &bar, err);
    progress_end(&bar);
    return s;
}
