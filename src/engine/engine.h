/* The engine: runs a decoder model over any number of sequences.
 *
 * A step is a set of rows (token, position, sequence) from any mix of sequences: a chunk of a
 * prompt, one token each of ten streams, drafts to verify. The logits of a row have the same bits
 * whatever else is in the step, however the prompt was cut, and for any number of threads.
 *
 * One owner thread. Nothing is allocated in engine_step. */
#pragma once
#include "engine/model.h"
#include "kernel/kernel.h"

struct engine;
struct lora;

struct engine_options {
    int n_threads;  /* 0: all usable cores */
    int64_t n_ctx;  /* tokens that the KV cache can hold in all; 0: min(trained, 8192) */
    int max_rows;   /* rows of one step; 0: 256. Longer prompts are cut by the caller */
    int max_logits; /* rows whose logits are kept at a time; 0: what 16 MB hold, at least 16 */
    bool exact;     /* float32 arithmetic and a float32 KV cache */
    enum kv_type kv_type; /* default KV_F16 */
    struct pool *pool;    /* borrowed, in place of n_threads of its own: for engines that take turns
                             on one owner thread; may be NULL */
};

NODISCARD enum status engine_new(struct engine **out, const struct model *m,
                                 const struct engine_options *opt, struct err *err);
void engine_free(struct engine *e);
const struct model *engine_model(const struct engine *e);
struct pool *engine_pool(const struct engine *e);
int64_t engine_n_ctx(const struct engine *e);
int engine_max_rows(const struct engine *e);
int engine_max_logits(const struct engine *e);
/* Bytes reserved for the KV cache and in all (with scratch, without weights). Pages of both that
 * were never written take no memory. */
size_t engine_kv_memory(const struct engine *e);
size_t engine_memory(const struct engine *e);

/* Sequences: small integer handles over pages of the KV cache. */
NODISCARD enum status engine_seq_new(struct engine *e, int *seq, struct err *err);
void engine_seq_free(struct engine *e, int seq);
int64_t engine_seq_len(const struct engine *e, int seq);
/* The token at position pos < length. */
int32_t engine_seq_token(const struct engine *e, int seq, int64_t pos);
/* Forgets everything from position n on (n <= length). */
void engine_seq_truncate(struct engine *e, int seq, int64_t n);
/* Announces that the sequence will have n positions before anything is sampled from it
 * (engine_prefill does it). It matters only where a model's angles depend on the length (longrope,
 * dynamic NTK) and the length passes the trained one: the rows of a prompt fed in several steps
 * then get the angles, and so the bits, of one fed at once. */
void engine_seq_expect(struct engine *e, int seq, int64_t n);
/* A new sequence that shares the first n positions (copy-on-write pages). */
NODISCARD enum status engine_seq_fork(struct engine *e, int seq, int64_t n, int *out,
                                      struct err *err);
/* Drops positions [keep, keep + n) and moves the rest down, re-rotating keys (context shift).
 * EUNSUPPORTED where the model's positions cannot be moved. */
NODISCARD enum status engine_seq_shift(struct engine *e, int seq, int64_t keep, int64_t n,
                                       struct err *err);

/* Snapshots: what the cache holds of a sequence, to be put back later, into this engine or another
 * one of the same model, arithmetic and KV type; what follows then has the same bits. identity
 * names the model (its digest, its adapters), at most 255 bytes; a snapshot of another one is
 * refused.
 *
 * A snapshot may come from a stranger: load checks every size, id and class, and gives EFORMAT for
 * one that is damaged or not of this engine, ECONTEXT without room for it. Values of keys are not
 * checked; they can spoil an answer and nothing else. */
NODISCARD enum status engine_seq_save(const struct engine *e, int seq, struct str identity,
                                      struct buf *out, struct err *err);
NODISCARD enum status engine_seq_load(struct engine *e, struct str identity, struct str snapshot,
                                      int *seq, struct err *err);
size_t engine_seq_save_bytes(const struct engine *e, int seq); /* at most so many */
/* Pages that n positions take, and those that loading a snapshot takes (0 for one that is none). */
int64_t engine_pages_of(int64_t n);
int64_t engine_snapshot_pages(const struct engine *e, struct str snapshot);

/* Room, in pages of KV_PAGE positions: free ones, those that appending n rows to a sequence takes
 * from them, and those that freeing all of these sequences together would give back. */
int64_t engine_free_pages(const struct engine *e);
int64_t engine_seq_need(const struct engine *e, int seq, int64_t n);
int64_t engine_seq_shared(const struct engine *e, int seq); /* its pages that others hold too */
int64_t engine_seqs_alone(struct engine *e, const int *seqs, size_t n);
/* How long a sequence may be for others to share its positions and get their own bits: where angles
 * change with the length for good (dynamic NTK), the trained length; else INT64_MAX. */
int64_t engine_share_limit(const struct engine *e);

struct step_row {
    int32_t token;
    int seq;
    bool logits; /* logits of this row are wanted */
};
/* Appends each row at the end of its sequence, in the order given, and runs the model.
 * ECONTEXT when the KV cache has no room (nothing has changed then), EUSAGE for a bad token, row
 * count or sequence. */
NODISCARD enum status engine_step(struct engine *e, const struct step_row *rows, int n_rows,
                                  struct err *err);
/* The same without logits: for rows with `logits` set their hidden states are made, as the head
 * would read them (behind the last norm); engine_logits must not be asked. */
NODISCARD enum status engine_step_hidden(struct engine *e, const struct step_row *rows, int n_rows,
                                         struct err *err);
/* n_embd float32: the hidden state behind the last norm of the i-th row (in row order) of the last
 * step that asked for logits or hidden states. Valid until the next step. */
const float *engine_hidden(const struct engine *e, int i);
/* How many rows, at most n, the next step can append to seq so that each gets the bits of a row
 * appended in a step of its own: fewer than n where the context or the free pages end, and where
 * the model's angles change with the length. 0: there is no room for one. */
int engine_seq_ahead(const struct engine *e, int seq, int n);
/* n_vocab float32 logits of the i-th row (in row order) of the last step that asked for them. Those
 * of engine_max_logits rows are kept at a time, since a step's worth can be larger than all else
 * that the engine needs: engine_step makes the first ones, and a row that is not there is made,
 * with as many as follow it, in the place of the others. Valid until then or the next step. */
const float *engine_logits(struct engine *e, int i);
/* Sees to it that the logits of rows [first, first + n), n <= engine_max_logits, are there at the
 * same time; asking for them changes nothing then and can be done from any thread. */
void engine_logits_keep(struct engine *e, int first, int n);

/* Feeds n tokens to seq in steps of at most max_rows; logits of the last one are then at
 * engine_logits(e, 0). `on_chunk` (may be NULL) is called between steps; non-zero stops with
 * ECANCEL. */
NODISCARD enum status engine_prefill(struct engine *e, int seq, const int32_t *tokens, size_t n,
                                     int (*on_chunk)(void *ctx, size_t done, size_t total),
                                     void *ctx, struct err *err);

/* LoRA adapters (Hu et al. 2021): PEFT folder or adapter_model.safetensors, or GGUF. Applied at run
 * time, y += scale * (alpha / r) * B (A x); base weights stay untouched; several at once. */
NODISCARD enum status lora_open(struct lora **out, const struct model *m, const char *path,
                                struct err *err);
void lora_close(struct lora *l);
/* The adapter as a GGUF file, whichever format it was opened from, for the GGUF model that it was
 * opened for. */
NODISCARD enum status lora_write(const struct lora *l, const char *out, struct err *err);
NODISCARD enum status engine_set_loras(struct engine *e, struct lora *const *loras,
                                       const float *scales, int n, struct err *err);
