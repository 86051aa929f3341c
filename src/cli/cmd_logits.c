/* hearth logits: the logits after each token, as a file of float32. */
#include "base/file.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/load.h"
#include <stdlib.h>

static enum status write_logits(struct loaded *l, const struct tokens *ids, struct file_writer *w,
                                struct err *err)
{
    struct model_info info;
    model_info(l->model, &info);
    size_t most = (size_t)engine_max_rows(l->engine);
    struct step_row *rows = mem_array(most, sizeof *rows);
    int seq;
    if (!rows)
        return err_set(err, ENOMEMORY, "logits: no memory for a step of %zu rows", most);
    enum status s = engine_seq_new(l->engine, &seq, err);
    for (size_t done = 0; s == OK && done < ids->n;) {
        size_t n = ids->n - done < most ? ids->n - done : most;
        for (size_t i = 0; i < n; i++)
            rows[i] = (struct step_row){.token = ids->id[done + i], .seq = seq, .logits = true};
        s = engine_step(l->engine, rows, (int)n, err);
        for (size_t i = 0; s == OK && i < n; i++)
            file_writer_put(w, engine_logits(l->engine, (int)i),
                            (size_t)info.n_vocab * sizeof(float));
        done += n;
    }
    free(rows);
    return s;
}

enum status cmd_logits(const struct options *o, struct err *err)
{
    struct loaded l;
    struct tokens ids = {0};
    struct file_writer w;
    if (!o->tokens || !o->out)
        return err_set(err, EUSAGE, "logits: %s is missing, expected --tokens IDS --out FILE",
                       o->tokens ? "--out" : "--tokens");
    enum status s = parse_ids(o->tokens, &ids, err);
    if (s == OK)
        s = load_model(&l, o, true, err);
    else
        l = (struct loaded){0};
    if (s == OK && (s = file_writer_open(&w, o->out, err)) == OK) {
        s = write_logits(&l, &ids, &w, err);
        if (s == OK)
            s = file_writer_commit(&w, err);
        else
            file_writer_abort(&w);
    }
    tokens_free(&ids);
    unload(&l);
    return s;
}
