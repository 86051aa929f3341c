/* What Python's str says about characters: classes, whitespace, case. The tables are generated
 * from Python's own unicodedata (tools/gen_pystr.py), so that templates see the same answers
 * whether or not a Unicode library is linked. */
#pragma once
#include "base/buf.h"
#include <stdint.h>

enum pychar_class {
    PY_ALPHA,
    PY_DECIMAL,
    PY_DIGIT,
    PY_NUMERIC,
    PY_SPACE,
    PY_LOWER,
    PY_UPPER,
    PY_TITLE, /* only the titlecase letters, such as U+01C5 */
    PY_PRINTABLE,
    PY_CASE_IGNORABLE,
    PY_CLASSES,
};

enum pychar_map {
    PY_TO_LOWER,
    PY_TO_UPPER,
    PY_TO_TITLE,
    PY_MAPS,
};

bool pychar_is(uint32_t cp, enum pychar_class class);

/* Appends str.lower/upper/title of one character, up to 3 code points. */
int pychar_map(uint32_t cp, enum pychar_map map, uint32_t out[3]);

/* Appends the whole string mapped; lower knows the final sigma. Bytes that are not UTF-8 stay. */
void py_lower(struct buf *out, struct str s);
void py_upper(struct buf *out, struct str s);
void py_title(struct buf *out, struct str s);
void py_capitalize(struct buf *out, struct str s);

/* Views without whitespace (str.strip without argument). */
struct str py_lstrip(struct str s);
struct str py_rstrip(struct str s);
static inline struct str py_strip(struct str s)
{
    return py_lstrip(py_rstrip(s));
}

/* Length of the line end at p (as str.splitlines sees it), 0 when there is none. */
size_t py_line_end(const char *p, size_t n);
