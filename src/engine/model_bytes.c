/* What one token costs: bytes of weights read, and products with them. */
#include "engine/kv.h"
#include "engine/model_int.h"
#include <math.h>

static size_t mat_bytes(const struct mat *w)
{
    return w->data ? (size_t)w->rows * w->row_bytes : 0;
}

double model_step_bytes(const struct model *m, int rows)
{
    const struct hparams *hp = &m->hp;
    /* a tied output is the embedding table under the other name */
    double total = (double)mat_bytes(&m->mat[G_OUTPUT]);
    total += (double)rows * (double)m->mat[G_TOK_EMBD].row_bytes;
    double experts = (double)hp->n_experts, picked = 0;
    if (experts > 0)
        picked = experts * (1 - pow(1 - (double)hp->n_experts_used / experts, rows));
    for (int64_t l = 0; m->layers && l < hp->n_layers; l++) {
        const struct layer *layer = &m->layers[l];
        for (int i = 0; i < LAYER_MATS; i++) {
            total += (double)mat_bytes(&layer->mat[i]);
            if (layer->expert[i])
                total += picked * (double)mat_bytes(&layer->expert[i][0]);
        }
    }
    return total;
}

size_t model_decode_bytes(const struct model *m)
{
    return (size_t)(model_step_bytes(m, 1) + 0.5);
}

uint64_t model_kv_bytes(const struct model *m, enum kv_type type, int64_t n_ctx)
{
    const struct hparams *hp = &m->hp;
    if (m->info.kind != MODEL_DECODER)
        return 0;
    uint64_t row = kv_row_bytes(type, hp->head_dim);
    return 2 * row * (uint64_t)hp->n_kv_heads * (uint64_t)hp->n_layers * KV_PAGE *
           (uint64_t)kv_pages_of(n_ctx);
}

static bool is_float(enum qtype t)
{
    return t == QT_F32 || t == QT_F16 || t == QT_BF16;
}

static void count_mat(struct model_work *w, const struct mat *mat, double times)
{
    double n = mat->data ? times * (double)mat->rows * (double)mat->cols : 0;
    if (is_float(mat->type))
        w->floats += n;
    else
        w->quantized += n;
}

struct model_work model_token_work(const struct model *m)
{
    struct model_work w = {0};
    const struct mat *output = &m->mat[G_OUTPUT];
    w.output = output->data ? (double)output->rows * (double)output->cols : 0;
    w.output_quantized = !is_float(output->type);
    for (int64_t l = 0; m->layers && l < m->hp.n_layers; l++) {
        const struct layer *layer = &m->layers[l];
        for (int i = 0; i < LAYER_MATS; i++) {
            count_mat(&w, &layer->mat[i], 1);
            if (layer->expert[i])
                count_mat(&w, &layer->expert[i][0], (double)m->hp.n_experts_used);
        }
    }
    return w;
}
