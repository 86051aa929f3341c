/* A thin seam over SQLite: a file with a schema, statements that are prepared once, values that are
 * bound and never pasted into a text.
 *
 * One connection for all threads: every use lies between sql_begin and sql_end, which hold its lock
 * and are a transaction. The file is WAL, its owner's alone (0600). What is found in it is as
 * hostile as any file: a schema that cannot be trusted runs no function of its own. */
#pragma once
#include "base/err.h"
#include "base/str.h"
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

struct sql;

/* Makes the file when it is absent and runs `schema` in a new one. version: written into new files
 * and expected of the others (EUNSUPPORTED names both). path ":memory:": none. */
NODISCARD enum status sql_open(struct sql **out, const char *path, const char *schema, int version,
                               struct err *err);
void sql_close(struct sql *d); /* NULL is allowed */

/* A transaction: sql_end commits when s is OK, else rolls back, and returns s or why it could not
 * commit. When sql_begin fails there is nothing to end. */
NODISCARD enum status sql_begin(struct sql *d, struct err *err);
NODISCARD enum status sql_end(struct sql *d, enum status s, struct err *err);

/* Starts a statement; text is a literal (its address is its key). types, a letter for each value
 * behind: 't' struct str (.p NULL: null), 'i' int64_t. Texts are copied. */
NODISCARD enum status sql_start(struct sql *d, struct err *err, sqlite3_stmt **out,
                                const char *text, const char *types, ...);
/* *row: there is one to read; at the end (or an error) the statement is over. */
NODISCARD enum status sql_next(struct sql *d, sqlite3_stmt *st, bool *row, struct err *err);
void sql_stop(sqlite3_stmt *st); /* before its end */
/* A statement without rows, or whose rows are of no interest. */
NODISCARD enum status sql_exec(struct sql *d, struct err *err, const char *text, const char *types,
                               ...);
int64_t sql_changes(struct sql *d); /* rows that the last statement changed */

/* Columns of the row; texts are valid until the next one. .p NULL: null. */
struct str sql_text(sqlite3_stmt *st, int column);
int64_t sql_int(sqlite3_stmt *st, int column);
