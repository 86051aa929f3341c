/* What one decoded token reads of the weights. */
#include "engine/model_int.h"

static size_t mat_bytes(const struct mat *w)
{
    return w->data ? (size_t)w->rows * w->row_bytes : 0;
}

size_t model_decode_bytes(const struct model *m)
{
    const struct hparams *hp = &m->hp;
    /* a tied output is the embedding table under the other name */
    size_t total = mat_bytes(&m->mat[G_OUTPUT]);
    total += m->mat[G_TOK_EMBD].row_bytes;
    for (int64_t l = 0; m->layers && l < hp->n_layers; l++) {
        const struct layer *layer = &m->layers[l];
        for (int i = 0; i < LAYER_MATS; i++) {
            total += mat_bytes(&layer->mat[i]);
            if (layer->expert[i])
                total += (size_t)hp->n_experts_used * mat_bytes(&layer->expert[i][0]);
        }
    }
    return total;
}
