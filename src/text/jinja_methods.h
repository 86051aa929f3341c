/* Methods of values, and the string operations that filters share with them. */
#pragma once
#include "text/jinja_run.h"

const struct jbuiltin *jstr_method(struct str name); /* NULL: str has no such method */

/* s without the characters of *chars (NULL: whitespace) at its ends. */
struct str jstr_strip(struct str s, const struct str *chars, bool left, bool right);
/* The first `max` (negative: all) occurrences of old replaced. */
const struct jval *jstr_replace(struct jrun *r, struct str s, struct str old, struct str new,
                                int64_t max);
/* s between `left` and `right` copies of fill. */
const struct jval *jstr_pad(struct jrun *r, const struct jval *s, int64_t left, int64_t right,
                            struct str fill);
