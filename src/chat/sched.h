/* The provider that answers many requests at once with the engine of this machine.
 *
 * One thread of its own drives the engine; every step mixes the next tokens of the answers that are
 * being written with chunks of the prompts that wait (continuous batching). There are no slots: as
 * many sequences run as the KV cache has pages for (and a step has rows: the engine's max_rows).
 * What a finished request left in the cache is kept for requests that begin alike (prefix cache)
 * until its pages are needed. When pages run out in the middle of answers, the request that came
 * last of the lowest priority gives its pages back and is computed again later: the engine's bits
 * do not depend on how a text was cut, so nobody can tell from the answer. A sink that is slow
 * holds back its own sequence and no other.
 *
 * The thread that calls provider_chat renders and tokenizes its prompt and calls its sink; only
 * what lies between is the engine's thread's. */
#pragma once
#include "chat/chat.h"
#include "chat/prefix_store.h"
#include "engine/engine.h"

struct sched_options {
    struct engine_options engine; /* n_ctx: tokens of KV cache for all sequences together */
    int64_t max_ctx;              /* tokens of one sequence at most; 0: engine's n_ctx */
    int max_queue;                /* requests that may wait; more are refused (EBUSY); 0: 4096 */
    const struct model *draft;    /* a smaller one that guesses ahead for all; borrowed; or NULL */
    struct str chat_template;     /* in place of the model's own; .p NULL: the model's */
    struct prefix_store *store;   /* borrowed; prefixes go there and come from there; or NULL */
    struct str identity;          /* with store: the model's digest and adapters; 1 to 255 bytes */
};

struct sched_stats {
    int running, waiting;                    /* requests now */
    int64_t kv_tokens, kv_used, kv_cached;   /* cache: room, held by running ones, kept prefixes */
    int64_t prompt_tokens, cached_tokens;    /* counted since the beginning */
    int64_t answer_tokens, steps, preempted; /* the same */
    int64_t drafted, accepted;
    double busy_s;
};

/* The model, the draft model and the adapters are borrowed and must outlive the provider. EUSAGE
 * for a draft model of another vocabulary. provider_chat may be called from any number of threads.
 * Release with provider_free, when no request is running. */
NODISCARD enum status sched_new(struct provider **out, const struct model *m,
                                const struct sched_options *o, struct err *err);
/* A text's tokens, and where the n_embd floats of its embedding (not scaled) go. */
struct embed_text {
    const int32_t *ids;
    size_t n;
    float *out;
};
/* The embeddings of n texts, read in common steps beside the answers; any number of threads may
 * ask. They have the bits of engine_embed. cancel may be NULL: non-zero ends it with ECANCEL.
 * ECONTEXT for a text of more tokens than one sequence may have. */
NODISCARD enum status sched_embed(struct provider *p, const struct embed_text *texts, size_t n,
                                  enum pooling how, const atomic_int *cancel, struct err *err);
void sched_stats(struct provider *p, struct sched_stats *out);
/* The engine's own: what has to be set up before the first request (adapters). */
struct engine *sched_engine(struct provider *p);
