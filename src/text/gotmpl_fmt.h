/* Go's fmt: one verb with its flags, shared by what prints (gotmpl_print.c) and formats
 * (gotmpl_printf.c). */
#pragma once
#include "text/gotmpl_run.h"

enum { GFMT_MAX_WIDTH = 1000000 }; /* as Go's */

struct gfmt {
    struct grun *r;
    struct buf *out;
    int width, prec; /* -1: none */
    bool minus, plus, sharp, space, zero;
    bool plus_v, sharp_v; /* %+v, %#v */
};

void gfmt_pad(struct gfmt *f, struct str s);
void gfmt_integer(struct gfmt *f, int64_t v, unsigned base, char verb);
void gfmt_float(struct gfmt *f, double v, char verb, int prec);
void gfmt_string(struct gfmt *f, struct str s, char verb);
/* One operand under a verb; inner: an element of a list or map. False after an error. */
bool gfmt_value(struct gfmt *f, const struct jval *v, char verb, bool inner);
