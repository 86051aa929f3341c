/* One request on its way: what comes before and around the generation of its answer, whoever
 * drives the engine. */
#pragma once
#include "chat/chat.h"
#include "chat/prompt.h"

/* Borrows the request, the sink and the format. All calls are made on the thread that asked. */
struct turn {
    const struct chat_request *r;
    const struct chat_sink *sink;
    const struct tokenizer *tok;
    struct tokens prompt;
    struct gen_params params;       /* the request's, with the format's stop text behind its own */
    struct prompt_format *own;      /* of the request's own template; or NULL */
    struct str *stops;              /* of params */
    struct chat_logprob *logprob;   /* NULL: not asked for */
    struct buf piece, texts;        /* of logprob */
    bool late;                      /* the deadline has passed */
    struct reply_parser *reply;     /* NULL: what the model writes is text */
    struct buf forced;              /* what the answer has to begin with; the prompt ends with it */
    bool in_thinking;               /* the prompt ends inside thinking */
    const struct token_info *token; /* that no event has brought yet */
    const struct chat_logprob *token_lp; /* its own */
    bool stopped;                        /* the sink wants no more */
    bool told;                           /* it knows how long the prompt is */
    enum status failed;                  /* of the reply */
    struct err error;
};

/* The request's prompt as ids, and its parameters. Errors: of the template and the tokenizer,
 * EUNSUPPORTED for infill with a model that has none and for tools that its template has no place
 * for, EUSAGE for a required call of a tool that is not offered, ELIMIT when the deadline has
 * passed. Release with turn_close, also after an error. */
NODISCARD enum status turn_open(struct turn *t, const struct model *m,
                                const struct prompt_format *f, const struct chat_request *r,
                                const struct chat_sink *sink, struct err *err);
void turn_close(struct turn *t);

/* provider_prompt: the prompt's text and ids, each may be NULL. */
NODISCARD enum status turn_prompt(const struct model *m, const struct prompt_format *f,
                                  const struct chat_request *r, struct buf *text,
                                  struct tokens *ids, struct err *err);

/* Cancelled, or late? Any number of threads may ask, while nobody else writes to t. */
bool turn_cancelled(const struct turn *t);
bool turn_late(const struct turn *t);

/* What the generation tells, to the sink. Non-zero: it has to end. */
int turn_event(struct turn *t, const struct gen_event *ev);
/* The answer is over: tells what was held back, and usage with CHAT_DONE. EFAIL when a call was
 * required and none came. ELIMIT, and nothing is told, when it was the
 * deadline that ended it. n_cached: of the prompt's tokens, those not computed again. */
NODISCARD enum status turn_done(struct turn *t, size_t n_cached, const struct tokens *answer,
                                const struct gen_stats *stats, struct err *err);
