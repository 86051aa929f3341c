/* Pulling models from registries and Hugging Face, and pushing them.
 *
 *   [host/][namespace/]model[:tag]            a registry that speaks OCI's protocol, as Ollama's
 * does hf.co/user/repo[:QUANT | :file.gguf]      Hugging Face (also huggingface.co/...)
 *
 * A pull is atomic: the name appears when everything is there and every digest has been checked.
 * One that is stopped, or killed, leaves the bytes that came; the next goes on from there. Two
 * pulls of the same blob take turns.
 *
 * Variables: HEARTH_REGISTRY_TOKEN (HOST=TOKEN or HOST=USER:PASSWORD, several with commas between),
 * HF_TOKEN, HF_ENDPOINT, HEARTH_STREAMS (requests at once for one blob, 8), HEARTH_OFFLINE. */
#pragma once
#include "store/store.h"
#include <stdatomic.h>

/* What is being done, in Ollama's words. digest: of the blob that "pulling 0123456789ab" or
 * "pushing
 * ..." is about, with its bytes and how many are there; .p NULL: the status alone. */
struct transfer_progress {
    void (*tell)(void *ctx, const char *status, struct str digest, uint64_t total,
                 uint64_t completed);
    void *ctx;
};

struct transfer_options {
    struct str name;                   /* http:// before it needs `insecure` */
    bool insecure;                     /* http, unless the name says https:// */
    int threads;                       /* for what is converted; 0: all */
    const atomic_int *cancel;          /* non-zero: stop (ECANCEL); may be NULL */
    struct transfer_progress progress; /* .tell may be NULL */
};

/* The last status told is "success". ENOTFOUND: the registry does not know the name. */
NODISCARD enum status pull_model(struct store *s, const struct transfer_options *o,
                                 struct err *err);
NODISCARD enum status push_model(struct store *s, const struct transfer_options *o,
                                 struct err *err);

/* Whether $HEARTH_OFFLINE forbids it. */
bool transfer_offline(void);
