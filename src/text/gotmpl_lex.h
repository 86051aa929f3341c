/* Tokens of Go templates. Trim markers, comments and line counting end here. */
#pragma once
#include "base/err.h"
#include "base/str.h"
#include <stdint.h>

enum gtoken_kind {
    GTOK_END,
    GTOK_TEXT,
    GTOK_OPEN,
    GTOK_CLOSE,
    GTOK_DOT,
    GTOK_FIELD,    /* .name; text without the dot */
    GTOK_VARIABLE, /* $ or $name */
    GTOK_NAME,     /* identifier or keyword */
    GTOK_NUMBER,
    GTOK_CHAR,   /* 'x', with quotes */
    GTOK_STRING, /* "x", with quotes */
    GTOK_RAW,    /* `x`, with quotes */
    GTOK_LPAREN,
    GTOK_RPAREN,
    GTOK_PIPE,
    GTOK_COMMA,
    GTOK_DECLARE, /* := */
    GTOK_ASSIGN,
    GTOK_ERROR, /* err is set */
};

struct gtoken {
    enum gtoken_kind kind;
    struct str text;
    bool spaced; /* blanks stand before it */
    uint32_t line;
};

struct glexer {
    struct str src;
    size_t at;
    uint32_t line;
    bool inside;  /* an action */
    bool opening; /* the text before {{ has been given out */
    struct err *err;
};

struct gtoken glex_next(struct glexer *l);
