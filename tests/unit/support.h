/* What every unit test includes: cmocka with the headers it needs, and a check that prints the
 * error's words, and names for files. */
#pragma once
#include "base/err.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

/* expr must be OK; prints err.msg otherwise. Uses a variable `err` of the caller. */
#define assert_ok(expr)                                                                            \
    do {                                                                                           \
        if ((expr) != OK)                                                                          \
            fail_msg("%s: %s", #expr, err.msg);                                                    \
    } while (0)

/* A path of this process's own for a file that the test writes and unlinks; valid for the next
 * three calls. */
static inline const char *temp_path(const char *name)
{
    static char path[4][256];
    static int next;
    char *p = path[next++ % 4];
    snprintf(p, sizeof path[0], "%s/hearth-%ld-%s", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp",
             (long)getpid(), name);
    return p;
}
