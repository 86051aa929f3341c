/* The models that are loaded, by name: loaded on demand, kept alive, unloaded by bytes.
 *
 * A handler acquires a model and releases it when it has answered. Weights are shared between
 * contexts; a model that nobody holds leaves when its time is over, or earlier when another one
 * needs its memory (the least recently used first; pinned ones never). A name that was pulled or
 * made again is loaded again when it is asked for; what runs ends on the old weights. */
#pragma once
#include "chat/sched.h"
#include "engine/encoder.h"
#include "store/store.h"

struct hub;

struct hub_options {
    struct store *store;   /* borrowed */
    uint64_t memory;       /* bytes for weights and caches together; 0: 80% of what is free */
    int64_t keep_alive_ns; /* default 5 minutes; -1: for ever */
    int threads, max_queue;
    int64_t n_ctx; /* of a request that names none; 0: min(trained, 8192) */
    enum kv_type kv_type;
    /* Prefixes that stay when a model leaves: bytes in memory (beside `memory`), and on disk in a
     * folder; 0 and NULL: none. */
    uint64_t prefix_memory, prefix_disk;
    const char *prefix_folder;
    int64_t kv_tokens; /* KV cache of a model, for all its requests; 0: by memory */
    /* A smaller model that guesses ahead for every model of the same vocabulary that brings none of
     * its own (Modelfile: DRAFT); NULL: none. */
    const char *draft_path;
    int draft_max; /* tokens guessed ahead, of a request that says nothing; 0: as usual, -1: none */
};

NODISCARD enum status hub_new(struct hub **out, const struct hub_options *o, struct err *err);
void hub_free(struct hub *h); /* waits until all are released */

/* What is wrong with a model's files is no fault of who asks for it: EFORMAT becomes EBROKEN. */
enum status hub_fault(enum status s, struct err *err);

/* A model in use. Fields are set by hub_acquire and valid until hub_release. */
struct lease {
    struct hub *hub;
    struct loaded_model *loaded;
    const struct model *model;
    const struct store_model *entry; /* name, digest, parameters, template, system, messages */
    struct provider *provider;       /* of a decoder; else NULL */
    int64_t n_ctx;                   /* of one request */
    int draft_max;                   /* tokens guessed ahead at most, unless the request says */
    double load_s;                   /* 0: it was there */
    int64_t keep_alive_ns;           /* how long it stays after release */
    const atomic_int *gone;          /* hub_acquire's: ends embeddings with ECANCEL */
};
enum { KEEP_DEFAULT = -2, KEEP_FOREVER = -1 };

/* name as the client wrote it. EBROKEN: its files break their format. n_ctx: tokens that one
 * request needs; 0 for the default (the caller puts lease.n_ctx into chat_request.max_ctx).
 * ENOTFOUND "model 'x' not found"; ENOMEMORY with the bytes needed and free; ECANCEL when *gone. */
NODISCARD enum status hub_acquire(struct hub *h, struct str name, int64_t n_ctx,
                                  int64_t keep_alive_ns, const atomic_int *gone, struct lease *out,
                                  struct err *err);
void hub_release(struct lease *l);
/* Appends the pooled hidden states (model_pooling; n_embd floats each, not normalized) of n texts
 * to floats. An encoder's texts take turns, a decoder's are read together and beside its answers.
 * truncate: a text longer than the context loses its end, but not the last special token; else
 * ECONTEXT. n_tokens: of all. ECANCEL when *gone. */
NODISCARD enum status hub_embed(struct lease *l, const struct str *texts, size_t n, bool truncate,
                                struct buf *floats, int64_t *n_tokens, struct err *err);

/* How well a document answers a query: a cross-encoder's score of the pair (one label: its logit
 * through the logistic function; more: the probability of the last one), else the cosine of the two
 * embeddings. The document's end is cut when the pair is too long. */
NODISCARD enum status hub_rank(struct lease *l, struct str query, struct str document,
                               double *score, int64_t *n_tokens, struct err *err);

/* ENOTFOUND when it is not loaded. Running requests end first. */
NODISCARD enum status hub_unload(struct hub *h, struct str name, struct err *err);
/* A pinned model never leaves to make room. ENOTFOUND when it is not loaded. */
NODISCARD enum status hub_pin(struct hub *h, struct str name, bool pin, struct err *err);

struct hub_model {
    struct str name, digest;
    uint64_t weight_bytes, kv_bytes; /* with those of its draft model */
    int64_t n_ctx, users;            /* n_ctx: of the last request, in tokens */
    int64_t expires_unix_ns;         /* -1: never */
    struct sched_stats stats;
};
/* Calls fn for each loaded model, longest remaining first. */
void hub_each(struct hub *h, void (*fn)(void *ctx, const struct hub_model *m), void *ctx);
/* The models' numbers as Prometheus reads them, vLLM's names beside ours where gateways look for
 * them. */
void hub_metrics(struct hub *h, struct buf *out);
