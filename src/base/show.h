/* Text of unknown origin made fit for a message: one line, no control bytes, valid UTF-8, clipped
 * when long. By value, so that it can be used inside an argument list:
 *   err_set(err, EFORMAT, "tensor '%s': ...", show(name).s) */
#pragma once
#include "base/str.h"

enum { SHOW_MAX = 120 };

struct shown {
    char s[SHOW_MAX + 1];
};

struct shown show(struct str s);
