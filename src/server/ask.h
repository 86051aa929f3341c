/* From a request of any dialect to a chat_request: what the dialects share.
 *
 * A dialect reads its JSON, calls ask_open with the model's name, fills in what its fields say, and
 * runs the provider with a sink that writes its own form of the events. Texts are views into the
 * JSON document and the arena, both of which live as long as the ask. */
#pragma once
#include "base/arena.h"
#include "base/jsonw.h"
#include "server/http.h"
#include "server/hub.h"
#include "store/info.h"

struct ask {
    const struct http_request *q;
    json_t *body;
    struct arena arena;
    struct lease lease; /* .loaded NULL: not open */
    struct str model;   /* as the client wrote it */
    struct chat_request r;
    struct chat_message *messages; /* = r.messages while it is filled */
    size_t cap;
    int64_t arrived_ns;
};

/* Reads the body. The ask is released with ask_close whatever is returned. */
NODISCARD enum status ask_init(struct ask *a, const struct http_request *q, struct err *err);
/* Takes the model and fills a->r with the parameters that it brings: those of its PARAMETER lines,
 * then of its generation_config, then `base` (NULL: Ollama's: temperature 0.8, top-k 40, top-p
 * 0.9). */
NODISCARD enum status ask_open(struct ask *a, struct hub *hub, struct str model, int64_t n_ctx,
                               int64_t keep_alive_ns, const struct sampler_params *base,
                               struct err *err);
void ask_close(struct ask *a);

/* The system text of the model, unless the request has one, and its example messages go before the
 * request's. Call it before the first ask_message; has_system: whether a system message comes. */
NODISCARD enum status ask_preamble(struct ask *a, bool has_system, struct err *err);
/* A zeroed message at the end of the request's. NULL: no memory. */
struct chat_message *ask_message(struct ask *a);
/* Templates name a tool's answer by the function, OpenAI's messages by the call: fills in tool_name
 * where a call of the request has the id. */
void ask_name_answers(struct ask *a);
/* A list of calls into the message; read takes one of them, as its dialect writes it (index: for
 * messages). NULL and null: none. */
typedef enum status call_reader(struct ask *a, const json_t *one, size_t index,
                                struct chat_call *call, struct err *err);
NODISCARD enum status ask_calls(struct ask *a, const json_t *list, call_reader *read,
                                struct chat_message *m, struct err *err);
/* logprobs and top_logprobs into a->r. */
NODISCARD enum status ask_logprobs(struct ask *a, struct err *err);
/* One of Ollama's options or Modelfile parameters into a->r.params; names in err what is wrong.
 * Unknown ones are left alone (*known, which may be NULL, tells). */
NODISCARD enum status ask_option(struct ask *a, const char *name, const json_t *value, bool *known,
                                 struct err *err);
/* Every field of an object of options; NULL or null: none. */
NODISCARD enum status ask_options(struct ask *a, const json_t *options, struct err *err);
/* A string or a list of strings: texts that end the answer. */
NODISCARD enum status ask_stop(struct ask *a, const json_t *stop, const char *field,
                               struct err *err);
/* A string, or a list of {"type": "text", "text"} parts joined; null and absent are empty. Parts of
 * another kind (images ...) are EUNSUPPORTED by name. */
NODISCARD enum status ask_text(struct ask *a, const json_t *content, const char *field,
                               struct str *out, struct err *err);
/* A JSON value printed into the arena, compactly. .p NULL: no memory. */
struct str ask_json(struct ask *a, const json_t *value);
/* {"type": "function", "function": {...}} objects: checks name and parameters; sets a->r.tools. */
NODISCARD enum status ask_tools(struct ask *a, const json_t *tools, struct err *err);

/* CAN_TOOLS, CAN_THINK or CAN_INSERT: what the model's template or vocabulary is made for. */
bool ask_able(const struct ask *a, enum capability what);

/* What an answer is made of when it is not streamed, collected from the events. */
struct gathered {
    struct buf text, thinking;
    struct chat_call *calls; /* texts in the ask's arena */
    size_t n_calls;
    struct chat_usage usage;
    bool done;
    struct err error; /* with !done */
};
void gathered_init(struct gathered *an);
void gathered_release(struct gathered *an);
/* Takes an event in; the calls are copied into a's arena. false: no memory. */
bool gathered_take(struct gathered *an, struct ask *a, const struct chat_event *ev);

/* {"token", "logprob", "bytes", "top_logprobs": [...]}; always: the list is there though it is
 * empty. */
void logprob_write(struct jsonw *w, const struct chat_logprob *l, bool always);

/* Now as RFC 3339 in UTC with nanoseconds, and as seconds. out: 40 bytes. */
void time_rfc3339(char *out, int64_t unix_ns);
int64_t unix_now_ns(void);
/* n random bytes as 2n hex digits and a NUL, for ids. */
void random_hex(char *out, size_t n);
