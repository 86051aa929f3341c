/* Tokens of a template, after whitespace control (-, +, trim_blocks, lstrip_blocks) was applied to
 * the text between tags. */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include <stdint.h>

enum jtoken_kind {
    T_EOF,
    T_DATA,
    T_BLOCK_BEGIN,
    T_BLOCK_END,
    T_VARIABLE_BEGIN,
    T_VARIABLE_END,
    T_NAME,
    T_STRING,
    T_INTEGER,
    T_FLOAT,
    T_ADD,
    T_SUB,
    T_DIV,
    T_FLOORDIV,
    T_MUL,
    T_MOD,
    T_POW,
    T_TILDE,
    T_LBRACKET,
    T_RBRACKET,
    T_LPAREN,
    T_RPAREN,
    T_LBRACE,
    T_RBRACE,
    T_EQ,
    T_NE,
    T_GT,
    T_GE,
    T_LT,
    T_LE,
    T_ASSIGN,
    T_DOT,
    T_COLON,
    T_PIPE,
    T_COMMA,
    T_SEMICOLON,
};

struct jtoken {
    enum jtoken_kind kind;
    uint32_t line, column; /* from 1 */
    struct str text;       /* data, a name, or a string with its escapes resolved */
    union {
        int64_t i;
        double f;
    };
};

/* All tokens of `source`, ending with T_EOF, in `a`. EFORMAT with line and column. */
NODISCARD enum status jinja_lex(struct arena *a, struct str source, struct jtoken **out,
                                struct err *err);

const char *jtoken_name(enum jtoken_kind kind); /* as Jinja's messages call it */
