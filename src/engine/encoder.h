/* Encoders (BERT, DistilBERT) with their heads, and pooled embeddings. Any number of threads may
 * run one model if each brings its own pool. */
#pragma once
#include "engine/model.h"

enum encoder_head { HEAD_NONE, HEAD_SEQUENCE, HEAD_TOKEN, HEAD_MASKED_LM, HEAD_QA };

enum encoder_head encoder_head(const struct model *m);
/* Positions of the model: the longest input. encoder_run refuses more; a caller that may cut a text
 * cuts it to this, keeping the last [SEP]. */
int64_t encoder_max_tokens(const struct model *m);
/* Labels of a classification head: id2label, or "LABEL_i". */
size_t encoder_n_labels(const struct model *m);
struct str encoder_label(const struct model *m, size_t i);

/* What one text gave. rows x cols floats; the caller frees with encoder_out_release.
 *   HEAD_SEQUENCE (1, labels); HEAD_TOKEN (tokens, labels); HEAD_MASKED_LM (tokens, vocab);
 *   HEAD_QA (tokens, 2): start and end logits; HEAD_NONE (tokens, n_embd): last hidden states */
struct encoder_out {
    int64_t rows, cols;
    float *v;
};
void encoder_out_release(struct encoder_out *o);

/* type_ids: NULL (all 0) or n segment ids, which a model without segment embeddings ignores. head:
 * encoder_head's, or HEAD_NONE. exact: float32 arithmetic throughout. pool may be NULL. The same
 * bits for any number of threads. ECONTEXT for more tokens than positions, EUSAGE for none, for an
 * id out of range, or a head that the model does not have. out is empty after an error. */
NODISCARD enum status encoder_run(const struct model *m, struct pool *pool, const int32_t *ids,
                                  const int32_t *type_ids, size_t n, enum encoder_head head,
                                  bool exact, struct encoder_out *out, struct err *err);

/* Pools hidden states (rows, cols) into out (cols floats), then scales to length 1 if normalize. */
void encoder_pool(const struct encoder_out *hidden, enum pooling how, bool normalize, float *out);
