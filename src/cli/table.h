/* Columns of text for people: as wide as their widest cell, four spaces between. */
#pragma once
#include "base/buf.h"

enum { TABLE_COLUMNS = 8 };

struct table {
    struct buf cells; /* every cell with a NUL behind it, row by row */
    size_t columns;
    size_t width[TABLE_COLUMNS]; /* in characters */
    size_t at;                   /* column of the next cell */
};

void table_init(struct table *t, size_t columns);
void table_cell(struct table *t, const char *text); /* control characters do not get through */
/* indent: spaces before each row. */
NODISCARD enum status table_print(struct table *t, size_t indent, struct err *err);
void table_release(struct table *t);
