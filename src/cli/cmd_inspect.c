/* hearth inspect */
#include "cli/commands.h"
#include "cli/load.h"
#include "format/inspect.h"
#include <stdio.h>
#include <stdlib.h>

enum status cmd_inspect(const struct options *o, struct err *err)
{
    struct buf out;
    char *path;
    buf_init(&out, (size_t)1 << 32);
    enum status s = model_resolve(o->args[0], &path, err);
    if (s == OK)
        s = inspect_write_items(path, o->json, o->all ? SIZE_MAX : INSPECT_ITEMS, &out, err);
    if (s == OK)
        s = buf_check(&out, "output", err);
    if (s == OK) {
        fwrite(out.p, 1, out.n, stdout);
        if (out.n == 0 || out.p[out.n - 1] != '\n')
            putchar('\n');
    }
    free(path);
    buf_release(&out);
    return s;
}
