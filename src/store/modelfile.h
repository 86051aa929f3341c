/* Modelfiles: the recipe of a model as text, one command a line, in Ollama's grammar.
 *
 *   # a comment
 *   FROM llama3.2:1b
 *   PARAMETER temperature 0.7
 *   SYSTEM """
 *   You are terse.
 *   """
 *   MESSAGE user hello
 *
 * Commands without regard to case, in any order. A value is the rest of the line without spaces
 * around it; one that begins with a double quote (or three) goes on, over lines, up to a line that
 * ends with the same; there are no escapes. UTF-8 with or without a mark, or UTF-16 with one. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"

enum modelfile_key {
    MF_FROM,
    MF_ADAPTER,
    MF_DRAFT,
    MF_TEMPLATE,
    MF_SYSTEM,
    MF_PARAMETER,
    MF_MESSAGE,
    MF_LICENSE,
    MF_RENDERER,
    MF_PARSER,
    MF_REQUIRES,
    MF_COUNT
};

struct modelfile_command {
    enum modelfile_key key;
    struct str name; /* of a parameter (lower case); the role of a message; else empty */
    struct str value;
    int line; /* where it begins, from 1; 0: made by a program */
};

struct modelfile {
    struct arena arena;
    struct modelfile_command *c;
    size_t n, cap;
};

/* EFORMAT or EUSAGE beginning with "line N: ". An unknown parameter is an error, one without a
 * meaning here a warning. modelfile_free also after errors. */
NODISCARD enum status modelfile_parse(struct modelfile *out, struct str bytes, struct err *err);
void modelfile_free(struct modelfile *m);

/* One command with its line break, such that parsing gives it back. false: the value holds what no
 * quoting can say (three double quotes at the end of one of its lines); a comment is written. */
bool modelfile_print(const struct modelfile_command *c, struct buf *out);
