/* One text through the engine without its head. */
#include "engine/embed.h"
#include "base/mem.h"
#include <math.h>
#include <stdlib.h>

enum status pooler_init(struct pooler *p, const struct model *m, enum pooling how, size_t n,
                        struct err *err)
{
    struct model_info info;
    model_info(m, &info);
    *p = (struct pooler){.how = how, .n = n, .n_embd = info.n_embd};
    p->sum = mem_array((size_t)p->n_embd, sizeof *p->sum);
    return p->sum ? OK : err_set(err, ENOMEMORY, "embedding: no memory");
}

void pooler_release(struct pooler *p)
{
    free(p->sum);
    p->sum = NULL;
}

void pooler_again(struct pooler *p)
{
    memset(p->sum, 0, (size_t)p->n_embd * sizeof *p->sum);
    p->seen = 0;
}

bool pooler_wants(const struct pooler *p, size_t i)
{
    return p->how == POOL_MEAN || i == (p->how == POOL_CLS ? 0 : p->n - 1);
}

void pooler_add(struct pooler *p, const float *hidden)
{
    for (int64_t c = 0; c < p->n_embd; c++)
        p->sum[c] += (double)hidden[c];
    p->seen++;
}

void pooler_finish(const struct pooler *p, bool normalize, float *out)
{
    double square = 0, n = p->seen ? (double)p->seen : 1;
    for (int64_t c = 0; c < p->n_embd; c++)
        square += p->sum[c] / n * (p->sum[c] / n);
    double scale = normalize && square > 0 ? 1 / sqrt(square) : 1;
    for (int64_t c = 0; c < p->n_embd; c++)
        out[c] = (float)(p->sum[c] / n * scale);
}

static enum status run(struct engine *e, int seq, const int32_t *ids, size_t n, struct pooler *p,
                       struct step_row *rows, struct err *err)
{
    size_t most = (size_t)engine_max_rows(e);
    enum status s = OK;
    engine_seq_expect(e, seq, (int64_t)n);
    for (size_t done = 0; s == OK && done < n;) {
        int k = n - done < most ? (int)(n - done) : (int)most, wanted = 0;
        for (int i = 0; i < k; i++)
            rows[i] =
                (struct step_row){ids[done + (size_t)i], seq, pooler_wants(p, done + (size_t)i)};
        s = engine_step_hidden(e, rows, k, err);
        for (int i = 0; s == OK && i < k; i++)
            if (rows[i].logits)
                pooler_add(p, engine_hidden(e, wanted++));
        done += (size_t)k;
    }
    return s;
}

enum status engine_embed(struct engine *e, const int32_t *ids, size_t n, enum pooling how,
                         bool normalize, float *out, struct err *err)
{
    struct pooler p = {0};
    int seq = -1;
    if (n == 0)
        return err_set(err, EUSAGE, "embedding: no tokens, expected at least one");
    struct step_row *rows = mem_array((size_t)engine_max_rows(e), sizeof *rows);
    enum status s = rows ? OK : err_set(err, ENOMEMORY, "embedding: no memory");
    if (s == OK)
        s = pooler_init(&p, engine_model(e), how, n, err);
    if (s == OK)
        s = engine_seq_new(e, &seq, err);
    if (s == OK)
        s = run(e, seq, ids, n, &p, rows, err);
    if (s == OK)
        pooler_finish(&p, normalize, out);
    if (seq >= 0)
        engine_seq_free(e, seq);
    pooler_release(&p);
    free(rows);
    return s;
}
