/* Reading JSON: a thin seam over jansson. Strict (bad UTF-8, duplicate keys and trailing text are
 * errors), with a depth limit (jansson's 2048) and messages that name file, line and field.
 *
 * Values are borrowed from the document, which json_decref releases. Getters with a field
 * name return the default when the key is absent or null, and an error when it is there with
 * another type. Not in the engine-only build. */
#pragma once
#include "base/buf.h"
#include <jansson.h>
#include <stdint.h>

/* Integers that do not fit 64 bits become reals, as other readers take them.
 * what: a name for messages, such as the path. The caller releases *out with json_decref. */
NODISCARD enum status json_parse(json_t **out, struct str text, const char *what, struct err *err);
NODISCARD enum status json_parse_file(json_t **out, const char *path, size_t max, struct err *err);

/* Field `key` of object `o` (which may be NULL: then everything is absent). */
NODISCARD enum status json_get_int(const json_t *o, const char *key, int64_t *out, int64_t absent,
                                   struct err *err);
NODISCARD enum status json_get_num(const json_t *o, const char *key, double *out, double absent,
                                   struct err *err);
NODISCARD enum status json_get_bool(const json_t *o, const char *key, bool *out, bool absent,
                                    struct err *err);
/* absent: out->p = NULL */
NODISCARD enum status json_get_str(const json_t *o, const char *key, struct str *out,
                                   struct err *err);

static inline struct str json_str(const json_t *v) /* v is a string */
{
    return (struct str){json_string_value(v), json_string_length(v)};
}
