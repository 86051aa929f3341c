/* Embeddings by a decoder: a text's hidden states behind the last norm, pooled. */
#pragma once
#include "engine/engine.h"

/* The states of one text on their way into one. They come in order, one row at a time; the sum is
 * taken in float64, so that the result does not depend on how the text was cut into steps. */
struct pooler {
    enum pooling how;
    size_t n, seen; /* tokens of the text, and of them those that came */
    int64_t n_embd;
    double *sum; /* (n_embd) */
};
/* Release also after an error. */
NODISCARD enum status pooler_init(struct pooler *p, const struct model *m, enum pooling how,
                                  size_t n, struct err *err);
void pooler_release(struct pooler *p);
void pooler_again(struct pooler *p); /* as if nothing had come */
/* Does the state of the text's i-th token count? */
bool pooler_wants(const struct pooler *p, size_t i);
/* The next state that counts. */
void pooler_add(struct pooler *p, const float *hidden);
/* n_embd floats, all states having come; scaled to length 1 if normalize. */
void pooler_finish(const struct pooler *p, bool normalize, float *out);

/* The embedding of n tokens as a sequence of its own: n_embd floats to out. The same bits for any
 * threads and any size of steps. ECONTEXT when the cache has no room for them, EUSAGE for none. */
NODISCARD enum status engine_embed(struct engine *e, const int32_t *ids, size_t n, enum pooling how,
                                   bool normalize, float *out, struct err *err);
