/* Writing JSON into a buffer, without a library (the engine builds without any). Reading is
 * base/json.h, on jansson.
 *
 *   jsonw_obj(w); jsonw_key(w, "tokens"); jsonw_arr(w); jsonw_int(w, 1); jsonw_end(w);
 * jsonw_end(w);
 *
 * Commas, quotes, escapes and (with `indent` > 0) line breaks are put in. Strings that are not
 * valid UTF-8 have each bad byte written as U+FFFD, so that the output is always valid JSON.
 * Doubles are printed shortest-exact (%.17g or less); NaN and infinities become null. */
#pragma once
#include "base/buf.h"
#include <stdint.h>

enum { JSONW_DEPTH = 64 };

struct jsonw {
    struct buf *out;
    int indent, depth;
    bool first[JSONW_DEPTH], object[JSONW_DEPTH], after_key;
};

void jsonw_init(struct jsonw *w, struct buf *out, int indent);
void jsonw_obj(struct jsonw *w);
void jsonw_arr(struct jsonw *w);
void jsonw_end(struct jsonw *w); /* closes the innermost object or array */
void jsonw_key(struct jsonw *w, const char *key);
void jsonw_keyn(struct jsonw *w, struct str key);
void jsonw_str(struct jsonw *w, struct str s);
void jsonw_int(struct jsonw *w, int64_t v);
void jsonw_uint(struct jsonw *w, uint64_t v);
void jsonw_num(struct jsonw *w, double v);
void jsonw_f32(struct jsonw *w, float v); /* as few digits as give the float back */
void jsonw_bool(struct jsonw *w, bool v);
void jsonw_null(struct jsonw *w);
void jsonw_raw(struct jsonw *w, struct str json); /* a value that is JSON already */

/* key and value in one */
void jsonw_kstr(struct jsonw *w, const char *key, struct str s);
void jsonw_kint(struct jsonw *w, const char *key, int64_t v);
void jsonw_knum(struct jsonw *w, const char *key, double v);
void jsonw_kbool(struct jsonw *w, const char *key, bool v);

/* Only the quoted and escaped string. ascii: everything above 0x7e as \uXXXX. */
void jsonw_quote(struct buf *out, struct str s, bool ascii);
