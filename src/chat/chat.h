/* The one way to ask for an answer: a request goes to a provider, events come back through a sink.
 *
 * Everything that can answer is a provider (the engine of this machine; later upstream services, a
 * router, a cache in front of another provider); everything that asks is a sink (the terminal, the
 * C API; later servers and agents). Neither knows the other's kind.
 *
 * The stream of one request: any number of CHAT_READING and CHAT_TEXT events, then exactly one
 * CHAT_DONE or CHAT_ERROR. provider_chat sees to the last part, so that a provider only returns its
 * status and a sink need not look at it. */
#pragma once
#include "base/err.h"
#include "engine/generate.h"

struct chat_message {
    struct str role; /* "system", "user", "assistant", or what the model's template knows */
    struct str content;
};

enum chat_thinking { THINK_DEFAULT, THINK_OFF, THINK_ON };

/* Everything is borrowed for the time of the call. */
struct chat_request {
    const struct chat_message *messages;
    size_t n_messages;
    struct str prompt;           /* without messages: text to continue as it is, no template */
    enum chat_thinking thinking; /* the template's enable_thinking; default: left unsaid */
    struct gen_params params;
};

struct chat_usage {
    int64_t prompt_tokens; /* of the whole prompt */
    int64_t cached_tokens; /* of these, not computed again */
    int64_t answer_tokens;
    int64_t drafted_tokens, accepted_tokens; /* guessed ahead, and of these right */
    double prompt_s, answer_s;
    enum gen_end end;
    int stop_index; /* with GEN_STOP_STRING: which of the request's stop texts; else -1. A stop
                       text that the provider brought itself counts as GEN_STOP */
};

enum chat_event_kind { CHAT_READING, CHAT_TEXT, CHAT_DONE, CHAT_ERROR };

struct chat_event {
    enum chat_event_kind kind;
    size_t done, total;             /* CHAT_READING: tokens of the prompt */
    struct str text;                /* CHAT_TEXT: whole UTF-8 characters, may be empty */
    const struct token_info *token; /* CHAT_TEXT: the token behind it, or NULL */
    const struct chat_usage *usage; /* CHAT_DONE */
    const struct err *error;        /* CHAT_ERROR */
};

struct chat_sink {
    /* Non-zero stops the answer: CHAT_DONE with GEN_CANCELLED follows. Its value at CHAT_DONE and
     * CHAT_ERROR is not looked at. */
    int (*event)(void *ctx, const struct chat_event *ev);
    void *ctx;
};

struct provider;

struct provider_ops {
    const char *name; /* "local" */
    /* Sends events up to and with CHAT_DONE and returns OK, or returns an error without CHAT_DONE.
     */
    enum status (*chat)(struct provider *p, const struct chat_request *r,
                        const struct chat_sink *sink, struct err *err);
    void (*free)(struct provider *p);
};

/* The head of every provider's own struct. A provider belongs to one thread at a time unless its
 * maker says more. */
struct provider {
    const struct provider_ops *ops;
};

/* Asks. EUSAGE when the request has both or neither of messages and prompt. */
NODISCARD enum status provider_chat(struct provider *p, const struct chat_request *r,
                                    const struct chat_sink *sink, struct err *err);
void provider_free(struct provider *p); /* NULL is allowed */
