/* The one way to ask for an answer: a request goes to a provider, events come back through a sink.
 *
 * Everything that can answer is a provider (the engine of this machine; later upstream services, a
 * router, a cache in front of another provider); everything that asks is a sink (the terminal, the
 * C API; later servers and agents). Neither knows the other's kind.
 *
 * The stream of one request: any number of CHAT_READING, CHAT_TEXT, CHAT_THINKING and CHAT_CALL
 * events, then exactly one CHAT_DONE or CHAT_ERROR. provider_chat sees to the last part, so that a
 * provider only returns its status and a sink need not look at it. */
#pragma once
#include "base/err.h"
#include "engine/generate.h"
#include <stdatomic.h>

/* A model's wish to have a function called. */
struct chat_call {
    struct str id; /* made by whoever tells the call; may be empty in a request */
    struct str name;
    struct str arguments; /* the text of a JSON object */
};

/* All but role and content may be empty. */
struct chat_message {
    struct str role; /* "system", "user", "assistant", "tool", or what the model's template knows */
    struct str content;
    struct str thinking;           /* of an assistant's message */
    const struct chat_call *calls; /* of an assistant's message */
    size_t n_calls;
    struct str tool_name, call_id; /* of a tool's message: what was called, and which call */
};

enum chat_thinking { THINK_DEFAULT, THINK_OFF, THINK_ON };

enum chat_choice { CHOICE_AUTO, CHOICE_NONE, CHOICE_REQUIRED, CHOICE_NAMED };

/* Exactly one of messages, prompt and tokens is given. Everything is borrowed for the time of the
 * call. */
struct chat_request {
    const struct chat_message *messages;
    size_t n_messages;
    bool continue_last; /* the last message is the assistant's and is continued, not closed */
    struct str tools;   /* JSON array of {"type": "function", "function": {...}}; .p NULL: none */
    enum chat_choice choice;
    struct str choice_name; /* with CHOICE_NAMED */
    struct str prompt;      /* text to continue as it is, no template */
    struct str suffix;      /* with prompt: the text behind the gap (infill); .p NULL: none */
    const int32_t *tokens;  /* ids to continue */
    size_t n_tokens;
    const int32_t *before; /* ids that stand before the rendered messages or the prompt */
    size_t n_before;
    struct str chat_template;    /* in place of the provider's; .p NULL: the provider's */
    enum chat_thinking thinking; /* the template's enable_thinking; default: left unsaid */
    struct str effort;           /* the template's reasoning_effort: "low" ...; empty: unsaid */
    struct gen_params params;
    bool logprobs; /* CHAT_TEXT brings its token's text and the params' n_top alternatives */

    int64_t max_ctx;     /* tokens of prompt and answer together at most; 0: the provider's */
    int priority;        /* higher goes first; ties in the order of arrival */
    int64_t deadline_ns; /* clock_ns() when the answer must be over (ELIMIT); 0: none */
    /* Set to non-zero by any thread: the work ends within a step (GEN_CANCELLED). May be NULL */
    const atomic_int *cancel;
};

/* A token's text and log-probability beside its likeliest alternatives, best first. */
struct chat_logprob {
    int32_t token;
    struct str text; /* its bytes, which need not be whole characters */
    float logprob;
    int n_top;
    struct {
        int32_t token;
        struct str text;
        float logprob;
    } top[TOP_MAX];
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

/* CHAT_THINKING is text that the model thinks aloud before it answers; CHAT_CALL one whole function
 * call. Neither's text comes again as CHAT_TEXT. */
enum chat_event_kind { CHAT_READING, CHAT_TEXT, CHAT_THINKING, CHAT_CALL, CHAT_DONE, CHAT_ERROR };

struct chat_event {
    enum chat_event_kind kind;
    /* CHAT_READING: tokens of the prompt. The first event of all has done 0 and total all of them;
     * later ones leave out what a prefix cache had. */
    size_t done, total;
    struct str text;                /* CHAT_TEXT, CHAT_THINKING: whole characters, may be empty */
    const struct token_info *token; /* CHAT_TEXT, CHAT_THINKING: the token behind it, or NULL */
    const struct chat_logprob *logprob; /* with token, when the request asked for it */
    const struct chat_call *call;       /* CHAT_CALL */
    const struct chat_usage *usage;     /* CHAT_DONE */
    const int32_t *ids; /* CHAT_DONE: all of prompt and answer, where the provider knows them */
    size_t n_ids;
    const struct err *error; /* CHAT_ERROR */
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
    /* Optional: see provider_prompt. */
    enum status (*prompt)(struct provider *p, const struct chat_request *r, struct buf *text,
                          struct tokens *ids, struct err *err);
    void (*free)(struct provider *p);
};

/* The head of every provider's own struct. Any thread may ask, several at once, unless the maker
 * says less; a sink is called on the thread that asked. */
struct provider {
    const struct provider_ops *ops;
};

/* Asks. EUSAGE when the request has not exactly one of messages, prompt and tokens. */
NODISCARD enum status provider_chat(struct provider *p, const struct chat_request *r,
                                    const struct chat_sink *sink, struct err *err);
/* What the request's prompt is, without asking: its text and its ids are appended to what is not
 * NULL. EUNSUPPORTED where the provider cannot tell. */
NODISCARD enum status provider_prompt(struct provider *p, const struct chat_request *r,
                                      struct buf *text, struct tokens *ids, struct err *err);
void provider_free(struct provider *p); /* NULL is allowed */
