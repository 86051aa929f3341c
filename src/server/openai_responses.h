/* OpenAI's /v1/responses, in pieces: openai_responses.c reads a request and runs it,
 * openai_items.c turns items into messages, openai_events.c tells the answer (whole or as a
 * stream), openai_stored.c serves what was stored. */
#pragma once
#include "server/app.h"
#include "server/openai.h"

enum { RESPONSE_MAX = 256 << 20, RESPONSE_ID = 64, CHAIN_MAX = 10000 };

enum item_kind { ITEM_REASONING, ITEM_MESSAGE, ITEM_CALL };
/* An item of the output. */
struct response_item {
    enum item_kind kind;
    char id[RESPONSE_ID];
    struct buf text;       /* of reasoning and message */
    struct buf logprobs;   /* of a message: a list's inside */
    struct chat_call call; /* texts in the ask's arena */
    const char *status;    /* "in_progress" until it is closed */
};

struct response {
    struct ask *a;
    struct reply *reply;
    bool stream, store, background;
    char id[RESPONSE_ID];
    int64_t created, completed, seq;
    const char *status;
    json_t *input;   /* the request's own items, each with an id */
    json_t *context; /* these behind the items of the responses that it goes on from */
    json_t *tools;   /* as they are told: those that are in force */
    int64_t top_logprobs, dropped; /* dropped: items that truncation left out */
    struct str previous;           /* .p NULL: none */
    struct response_item *items;
    size_t n_items, cap;
    int64_t reasoning_tokens;
    struct chat_usage usage;
    struct err error; /* with status "failed" */
    struct buf out;
};

/* ---- openai_items.c ---- */

/* "input" (a string, or a list of items) as a new list of items in which each has an id and content
 * is a list of parts; item_reference is replaced by what it names. */
NODISCARD enum status response_input(struct response *rs, const json_t *input, json_t **out,
                                     struct err *err);
/* The items of the response `id`, input and output, behind those of the ones that it went on from,
 * as a new list. ENOTFOUND names the one that is missing. with_output: of `id` itself. */
NODISCARD enum status response_history(const struct http_request *q, struct str id,
                                       bool with_output, json_t **out, struct err *err);
/* Messages from rs->context[first ...] behind `instructions` (.p NULL: none). The model is open. */
NODISCARD enum status response_messages(struct response *rs, struct str instructions, size_t first,
                                        struct err *err);

/* ---- openai_events.c ---- */

/* A sink's event: collects it, and streams it where that was asked for. */
int response_event(void *ctx, const struct chat_event *ev);
/* The events before the first of the answer; non-zero: the client has left. */
int response_begin(struct response *rs);
/* Closes what is open and sets the status: completed, incomplete, or failed when `e` is not NULL.
 */
void response_close(struct response *rs, const struct err *e);
/* The last event, which carries the response, and the end of the stream. */
void response_end_stream(struct response *rs);
/* The response as an object, appended to rs->out. */
void response_write(struct response *rs, struct jsonw *w);
/* {"type": "...", ...}: one item. whole: with its text. */
void response_write_item(struct jsonw *w, const struct response_item *it, bool whole);
void response_release(struct response *rs);

/* ---- openai_background.c ---- */

/* A response that runs while nobody waits for it, known by its id to those who would stop it. It
 * lies where it runs. */
struct background {
    const char *id;
    atomic_int cancel;
    struct background *next;
};
void background_enter(struct background *b);
void background_leave(struct background *b);
/* Does it run? */
bool background_runs(struct str id);
/* Stops it, and waits until it has left. */
void background_stop(struct str id);
