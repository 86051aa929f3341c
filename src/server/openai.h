/* OpenAI's API. openai.c: what its endpoints share; openai_chat.c, openai_text.c (completions,
 * embeddings, models), openai_responses.c, openai_files.c (files and batches). */
#pragma once
#include "server/http.h"
#include "base/jsonw.h"
#include "server/ask.h"

handler_fn openai_chat, openai_completions, openai_embeddings, openai_models, openai_model;
handler_fn openai_responses, openai_response_tokens;

/* {"error": {...}} as one event's data, in the middle of a stream. */
void openai_stream_error(struct reply *r, const struct err *e, const struct http_request *q);

/* max_completion_tokens or max_tokens, temperature, top_p, penalties, seed, stop, logit_bias, and
 * what others have beyond OpenAI (top_k, min_p, repetition_penalty ...) into a->r. */
NODISCARD enum status openai_params(struct ask *a, struct err *err);
/* response_format other than text is EUNSUPPORTED until answers can be constrained. */
NODISCARD enum status openai_format(const json_t *format, struct err *err);
/* "auto", "none", "required" or {"type": "function", "function": {"name"}}. */
NODISCARD enum status openai_tool_choice(struct ask *a, const json_t *choice, struct err *err);
/* reasoning_effort: none turns thinking off, the rest on. */
NODISCARD enum status openai_effort(struct ask *a, struct str effort, struct err *err);
/* Temperature 1 and top-p 1, as OpenAI's clients expect. */
extern const struct sampler_params openai_defaults;

/* Several requests at the same time. event is called for one event at a time, with the number of
 * its request; non-zero ends all. */
struct many_sink {
    int (*event)(void *ctx, int index, const struct chat_event *ev);
    void *ctx;
};
enum { MANY_MAX = 128 };
NODISCARD enum status ask_many(struct ask *a, const struct chat_request *requests, int n,
                               const struct many_sink *sink, struct err *err);
/* n copies of a->r in the arena, the seed counted up. NULL: no memory. */
struct chat_request *ask_copies(struct ask *a, int n);

/* The first `dimensions` (0: all) of n floats, scaled to length 1. */
void embedding_cut(float *v, size_t *n, int64_t dimensions);

/* "stop", "length", "tool_calls" */
const char *openai_finish(const struct chat_usage *u, bool calls);
/* {"prompt_tokens", ..., "prompt_tokens_details": {"cached_tokens"}} of the sum of n answers. */
void openai_usage(struct jsonw *w, const struct chat_usage *u, int n);
