#include "cli/table.h"
#include "base/show.h"
#include <stdio.h>

void table_init(struct table *t, size_t columns)
{
    *t = (struct table){.columns = columns};
    buf_init(&t->cells, 64 << 20);
}

static size_t characters(const char *z)
{
    size_t n = 0;
    for (; *z; z++)
        n += ((unsigned char)*z & 0xc0) != 0x80;
    return n;
}

void table_cell(struct table *t, const char *text)
{
    struct shown clean = show(str_from(text));
    size_t n = characters(clean.s);
    if (n > t->width[t->at])
        t->width[t->at] = n;
    buf_add(&t->cells, clean.s, strlen(clean.s) + 1);
    t->at = (t->at + 1) % t->columns;
}

enum status table_print(struct table *t, size_t indent, struct err *err)
{
    enum status s = buf_check(&t->cells, "table", err);
    const char *p = t->cells.p, *end = p + t->cells.n;
    for (size_t column = 0; s == OK && p < end; p += strlen(p) + 1) {
        size_t pad = t->width[column] + 4 - characters(p);
        printf("%*s%s", column == 0 ? (int)indent : 0, "", p);
        column = (column + 1) % t->columns;
        if (column)
            printf("%*s", (int)pad, "");
        else
            putchar('\n');
    }
    return s;
}

void table_release(struct table *t)
{
    buf_release(&t->cells);
}
