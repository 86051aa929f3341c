/* From the text that a model writes to what it means: an answer, thinking aloud, function calls.
 *
 * How a model marks its thinking and its calls is read off its chat template (reply_formats.c has
 * one row per family); nobody chooses a parser by hand. The text comes in pieces of any size and
 * what is told does not depend on how it was cut. Text is told as soon as it cannot be the
 * beginning of a marker any more. Calls are told whole, when their last byte has come. What looks
 * like a call and is none (broken or unfinished JSON, a function that was not offered) is text:
 * nothing is dropped but the markers of what was told and the white space around them. */
#pragma once
#include "chat/chat.h"
#include "text/tokenizer.h"

struct call_format;
struct think_format;

enum { REPLY_MARKER_MAX = 64 };

/* Points to static rows; a value, nothing to release. */
struct reply_format {
    const struct call_format *calls;  /* NULL: the template has no place for tools */
    const struct think_format *think; /* NULL: nothing is known to mark thinking */
    bool thinks;                      /* the template says so itself */
    /* Beside the row's own markers, what reply_format_probe found; or empty */
    char open[REPLY_MARKER_MAX + 1], close[REPLY_MARKER_MAX + 1];
    bool line_break; /* behind open */
    bool parameters; /* the name of the arguments, in place of "arguments" */
};

/* source: of the chat template, Jinja or Go; empty: a model without one, whose answers are text. */
void reply_format_detect(struct reply_format *out, struct str source);
/* For a template of no known family (reply_format_unknown): which markers does it put around calls?
 * called is its rendering of an assistant's message that calls the function REPLY_PROBE_NAME with
 * {"query": REPLY_PROBE_VALUE}; said the same with REPLY_PROBE_NAME as its text instead. Finds none
 * where the call is no JSON object, or bare. */
#define REPLY_PROBE_NAME  "hearth_probe"
#define REPLY_PROBE_VALUE "hearth_value"
bool reply_format_unknown(const struct reply_format *f);
void reply_format_probe(struct reply_format *f, struct str called, struct str said);
/* The row's name, for messages and inspection: "hermes", "llama" ...; "none" without calls. */
const char *reply_format_name(const struct reply_format *f);

/* The control tokens whose text is (part of) a marker: a generation must tell them as text
 * (gen_params.shown), or the parser cannot see them. Appends to out. */
NODISCARD enum status reply_format_shown(const struct reply_format *f, const struct tokenizer *t,
                                         struct tokens *out, struct err *err);

/* Does the prompt end inside thinking, so that the answer begins there? Templates of models that
 * always think open it in the generation prompt. */
bool reply_starts_thinking(const struct reply_format *f, struct str prompt);

/* Appends what the answer has to begin with under the request's choice, to be put behind the prompt
 * and fed to the parser before the model's own text; nothing for CHOICE_AUTO and CHOICE_NONE.
 * thinking: the prompt ends inside it, which is closed first. EUSAGE when a call is required and no
 * tool offered, or not the one named; EUNSUPPORTED when tools are offered, whatever the choice but
 * CHOICE_NONE, and the template has no place for them. */
NODISCARD enum status reply_force(const struct reply_format *f, const struct chat_request *r,
                                  bool thinking, struct buf *out, struct err *err);

struct reply_options {
    const struct reply_format *format;
    struct str tools; /* of the request, borrowed; empty: calls are text */
    bool thinking;    /* the answer begins inside thinking */
    bool forced;      /* the answer has to be a call: anything else is EFAIL */
    bool one;         /* ... and one alone: reply_finished() behind it */
    uint64_t id_seed; /* of the calls' ids */
    /* CHAT_TEXT or CHAT_THINKING with text (whole characters when whole characters are fed, not
     * empty), or CHAT_CALL with call. All borrowed for the time of the call. Non-zero: nothing more
     * is told. */
    int (*tell)(void *ctx, enum chat_event_kind kind, struct str text,
                const struct chat_call *call);
    void *ctx;
};

struct reply_parser;

/* Copies the options. EUSAGE for tools that are no JSON array of functions with names. Release
 * with reply_free (NULL is allowed). */
NODISCARD enum status reply_new(struct reply_parser **out, const struct reply_options *o,
                                struct err *err);
void reply_free(struct reply_parser *p);
/* The next piece. EFAIL, with what the model wrote, when a forced call turns out not to be one; the
 * parser is fed no more after an error. */
NODISCARD enum status reply_feed(struct reply_parser *p, struct str text, struct err *err);
/* The answer is over: tells what was held back. The same errors. */
NODISCARD enum status reply_end(struct reply_parser *p, struct err *err);
/* Is the next text thinking, as far as can be told? */
bool reply_is_thinking(const struct reply_parser *p);
/* The one call has been told: the generation may stop. */
bool reply_finished(const struct reply_parser *p);
