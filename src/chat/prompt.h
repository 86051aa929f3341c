/* From a conversation to the text that a model reads: its chat template, which is Jinja (models of
 * Hugging Face and GGUF files) or Go's text/template (models of Ollama), or, for a model that has
 * none, the plain format
 *
 *     the system message
 *
 *     User: a question
 *
 *     Assistant: an answer
 *
 * where an empty line parts the messages, "Assistant:" at the end asks for the answer, and the
 * answer ends where the model writes "User:" on a new line. */
#pragma once
#include "chat/reply.h"
#include "engine/model.h"
#include "text/jinja.h"

struct prompt_format;

enum prompt_kind { PROMPT_PLAIN, PROMPT_JINJA, PROMPT_GO };

/* source: a template in place of the model's own; .p NULL: the model's. It is told by its syntax
 * whether it is Jinja or Go's (gotmpl_looks_like). m may be NULL with a source (its special tokens
 * are undefined then) and must outlive the format. EFORMAT for a template that does not parse. */
NODISCARD enum status prompt_format_new(struct prompt_format **out, const struct model *m,
                                        struct str source, struct err *err);
void prompt_format_free(struct prompt_format *f);
enum prompt_kind prompt_format_kind(const struct prompt_format *f);

/* Whether a Go template has a field of this name ("Tools", "Thinking", "Suffix"): what its model
 * can do. False for other kinds. */
bool prompt_format_mentions(const struct prompt_format *f, const char *field);

/* The text that ends an answer of the plain format; empty for a template. */
struct str prompt_format_stop(const struct prompt_format *f);

/* How the template's models mark thinking and calls, and the control tokens that do; plain texts
 * have neither. Valid as long as f. */
const struct reply_format *prompt_format_reply(const struct prompt_format *f);
const struct tokens *prompt_format_shown(const struct prompt_format *f);

/* What a rendering needs, as the template's own values (tool calls, tools and all). */
struct prompt_vars {
    const struct jval *messages; /* a list of maps */
    const struct jval *tools;    /* a list, or NULL */
    enum chat_thinking thinking;
    struct str effort;         /* reasoning_effort; empty: left unsaid */
    bool no_generation_prompt; /* Jinja only: others always ask for the answer */
    int64_t now; /* seconds since 1970 for strftime_now, currentDate; 0: the clock's */
};

/* Appends the rendered prompt to out, whose ceiling limits it. ENOTFOUND when the model has no
 * template; EFAIL with the template's own words when it refuses the conversation. */
NODISCARD enum status prompt_render(const struct prompt_format *f, const struct prompt_vars *v,
                                    struct buf *out, struct err *err);

/* The same from messages of plain text, with the prompt for the answer; the plain format too. */
NODISCARD enum status prompt_render_messages(const struct prompt_format *f,
                                             const struct chat_message *messages, size_t n,
                                             enum chat_thinking thinking, struct buf *out,
                                             struct err *err);

/* The text around a gap, by a Go template that has a .Suffix; ENOTFOUND for any other. */
NODISCARD enum status prompt_render_gap(const struct prompt_format *f, struct str prefix,
                                        struct str suffix, struct buf *out, struct err *err);

/* A request's messages: with tools, calls and their results, thinking and effort, and an answer
 * that is continued. EUSAGE for tools that are none, EUNSUPPORTED where the template does not let
 * an answer be continued, and for tools and calls in a build without JSON. */
NODISCARD enum status prompt_render_request(const struct prompt_format *f,
                                            const struct chat_request *r, struct buf *out,
                                            struct err *err);
