/* W3C trace context (www.w3.org/TR/trace-context): which trace a request belongs to. */
#pragma once
#include "base/str.h"

struct trace_context {
    char trace_id[33], span_id[17]; /* lower hex; ours is the span */
    char parent_id[17];             /* the caller's span, or "" */
    bool sampled;
};

/* Takes a traceparent header ("00-<32 hex>-<16 hex>-<2 hex>"; later versions may have more behind).
 * False, and out untouched: absent or not of this form. */
bool trace_parse(struct str traceparent, struct trace_context *out);
/* A span of ours: below the caller's where there is a good header, else a new trace. */
void trace_begin(struct str traceparent, struct trace_context *out);
