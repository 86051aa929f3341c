/* The generation loop over one stepper (gen.h). */
#include "base/clock.h"
#include "base/mem.h"
#include "engine/gen.h"
#include <stdlib.h>

static enum status step(struct engine *e, struct gen *g, struct step_row *rows,
                        struct step_times *times, struct draft_model *draft_model, struct err *err)
{
    int most = engine_max_rows(e);
    struct draft_wish *wish = gen_wish(g, most, 0);
    if (wish)
        draft_model_make(draft_model, &wish, 1, most);
    int n = gen_rows(g, rows, most, 0);
    bool reading = gen_reading(g);
    int64_t start = clock_ns();
    enum status st = n ? engine_step(e, rows, n, err) : ECONTEXT;
    if (st == ECONTEXT && !reading)
        return gen_full(g, err);
    if (st != OK)
        return st;
    if (!reading)
        step_timed(times, n, clock_ns() - start);
    st = gen_take(g, 0, err);
    gen_settle(g);
    return st;
}

enum status generate(struct engine *e, int seq, const int32_t *prompt, size_t n,
                     const struct gen_params *p,
                     int (*on_event)(void *ctx, const struct gen_event *ev), void *ctx,
                     struct tokens *out, struct gen_stats *stats, struct err *err)
{
    struct gen *g;
    struct step_times times = {0};
    struct tokens own = {0}; /* a draft model reads the answer, too */
    const struct gen_io io = {.on_event = on_event,
                              .ctx = ctx,
                              .out = out || !p->draft_model ? out : &own,
                              .stats = stats};
    int64_t before = engine_seq_len(e, seq);
    struct step_row *rows = mem_array((size_t)engine_max_rows(e), sizeof *rows);
    if (!rows)
        return err_set(err, ENOMEMORY, "generate: no memory for the rows of a step");
    enum status st = gen_new(&g, e, seq, prompt, n, p, &io, err);
    if (st == OK) {
        bool answering = false;
        gen_share_times(g, &times);
        while (st == OK && gen_end(g) == GEN_RUNNING) {
            st = step(e, g, rows, &times, p->draft_model, err);
            answering = answering || !gen_reading(g);
        }
        if (st != OK && !answering)
            engine_seq_truncate(e, seq, before);
    }
    gen_free(g);
    free(rows);
    tokens_free(&own);
    return st;
}
