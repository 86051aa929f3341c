/* What every unit test includes: cmocka with the headers it needs, and a check that prints the
 * error's words. */
#pragma once
#include "base/err.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

/* expr must be OK; prints err.msg otherwise. Uses a variable `err` of the caller. */
#define assert_ok(expr)                                                                            \
    do {                                                                                           \
        if ((expr) != OK)                                                                          \
            fail_msg("%s: %s", #expr, err.msg);                                                    \
    } while (0)
