/* What the parts of the reply parser share. Private to reply*.c. */
#pragma once
#include "base/json_scan.h"
#include "chat/reply.h"

/* What stands between the opening marker of a call (or its name) and its end. */
enum call_body {
    BODY_CALLS,  /* JSON with the name in it: an object, or an array of them */
    BODY_ARGS,   /* behind the name: a JSON object, the arguments */
    BODY_MARKUP, /* behind the name: <key>value</value> pairs up to a closing marker */
    BODY_GEMMA,  /* behind the name: {key:<escape>text<escape>,key:1} */
};

/* Where JSON without any marker is a call. */
enum call_bare { BARE_NEVER, BARE_START, BARE_ANYWHERE };

enum { CALL_OPENS = 2, CALL_EVIDENCE = 4, MARKER_MAX = REPLY_MARKER_MAX };

/* One family's calls: [begin] open [lead] [name sep] body [close] ... [end], with any white space
 * between the parts. All markers begin with ASCII and not with white space, and are at most
 * MARKER_MAX bytes; empty ones are not there. */
struct call_format {
    const char *name;
    /* Texts of which a template that belongs to the row has all of one line */
    const char *evidence[CALL_EVIDENCE][2];
    const char *begin, *end; /* around all calls; calls without them are calls too */
    const char *open[CALL_OPENS], *close;
    const char *lead;    /* between open and the name */
    const char *id_open; /* an id between name and sep begins so */
    const char *sep;     /* behind the name */
    enum call_body body;
    const char *key_open, *key_close, *value_open, *value_close, *body_close; /* BODY_MARKUP */
    enum call_bare bare;
    /* What a forced answer begins with: before the name, and between it and the arguments. They end
     * where tokens do in a text that a model wrote: behind a colon, since the blank and the brace
     * that follow are mostly one token with what comes next */
    const char *force_name, *force_args;
};

struct think_format {
    const char *open, *close;
};

/* A function that was offered. */
struct reply_tool {
    struct str name;       /* owned */
    struct str properties; /* its parameters' schemas by name, a view; .p NULL: none */
};

struct reply_tools {
    struct reply_tool *v;
    size_t n;
};

/* Reads the request's tools. EUSAGE for what is no array of functions with names. */
NODISCARD enum status reply_tools_read(struct reply_tools *out, struct str json, struct err *err);
void reply_tools_release(struct reply_tools *t);
const struct reply_tool *reply_tools_find(const struct reply_tools *t, struct str name);

/* From a whole JSON object that names a function to the tool and its arguments, appended as the
 * text of a JSON object. NULL: it is no call of a known function. strict: an object without
 * arguments is none either. */
const struct reply_tool *call_from_json(const struct reply_tools *t, struct str object, bool strict,
                                        struct buf *arguments);
/* The arguments of a body in the row's own markup, as JSON; the schema says which values are
 * strings. False when the body is broken. */
bool call_from_markup(const struct call_format *f, const struct reply_tool *tool, struct str body,
                      struct buf *arguments);
bool call_from_gemma(struct str body, struct buf *arguments);
/* Whole, of UTF-8 and without a key twice: nothing that a reader of JSON stumbles over. */
bool call_arguments_ok(struct str arguments);
/* Can text, which begins with { or [, become a call of a known function? NO as soon as its first
 * key, or the name behind it, says so; YES when that has been read. */
enum bare_guess { BARE_NO, BARE_MAYBE, BARE_YES };
enum bare_guess call_bare_guess(const struct reply_tools *t, struct str text);
