/* hearth batch: many requests from a file, answered through the server's own handlers without a
 * server. */
#include "cli/commands.h"
#include "cli/entry.h"
#include "base/machine.h"
#include "cli/interrupt.h"
#include "cli/load.h"
#include "cli/progress.h"
#include "server/app.h"
#include "server/batch.h"
#include <stdio.h>

struct watcher {
    struct progress bar;
    bool begun;
};

static int on_progress(void *ctx, const struct batch_counts *c)
{
    struct watcher *w = ctx;
    int64_t done = c->completed + c->failed - c->found, all = c->total - c->found;
    if (!w->begun && c->found)
        fprintf(stderr, "hearth: %lld of %lld lines were answered before\n", (long long)c->found,
                (long long)c->total);
    w->begun = true;
    if (all > 0) /* of this run, so that the time left is right */
        progress_update(&w->bar, (double)done / (double)all);
    if (interrupt_raised())
        interrupt_default(); /* the next one ends the program */
    return interrupt_raised();
}

static enum status open_app(struct app *app, const struct options *o, struct err *err)
{
    struct hub_options h;
    enum status s = hub_options_from(&h, o, err);
    h.keep_alive_ns = -1;
    if (s == OK)
        s = open_store(&app->store, err);
    h.store = app->store;
    return s == OK ? hub_new(&app->hub, &h, err) : s;
}

enum status cmd_batch(const struct options *o, struct err *err)
{
    struct app app = {0};
    struct watcher w = {.bar.what = "batch"};
    struct batch_counts c;
    struct batch_options b = {.in = o->args[0],
                              .out = o->args[1],
                              .model = o->model ? str_from(o->model) : (struct str){0},
                              .key_name = STR(""),
                              .unordered = o->unordered,
                              .concurrent = o->concurrent > 0 ? (int)o->concurrent : 0,
                              .app = &app,
                              .routes = own_routes,
                              .n_routes = n_own_routes,
                              .progress = on_progress,
                              .ctx = &w};
    enum status s = open_app(&app, o, err);
    if (s == OK) {
        interrupt_catch(false);
        s = batch_run(&b, &c, err);
        progress_end(&w.bar);
        interrupt_default();
    }
    hub_free(app.hub);
    if (app.store)
        store_close(app.store);
    if (s == ECANCEL)
        return err_prefix(err, "batch: the same command goes on with it");
    if (s == OK && c.failed)
        s = err_set(err, EFAIL, "batch: %lld of %lld lines failed, as '%s' tells",
                    (long long)c.failed, (long long)c.total, b.out);
    return s;
}
