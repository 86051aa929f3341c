/* What is known about a request when it is over, and the access log: one line each on standard
 * error. Never bodies, prompts, answers, keys or queries. */
#pragma once
#include "server/route.h"
#include "server/trace.h"

enum access_form { ACCESS_OFF, ACCESS_TEXT, ACCESS_JSON };

struct access_record {
    const struct http_request *request;
    const struct route *route; /* NULL: none */
    int status;
    bool gone; /* the client left before the end */
    uint64_t bytes_in, bytes_out;
    int64_t start_ns, first_ns, end_ns; /* clock_ns; first_ns 0: no answer began */
    int64_t start_unix_ns;
    const struct trace_context *trace;
    const char *operation; /* "chat", "text_completion", "embeddings"; NULL: not told */
    struct str model;      /* empty: none */
    int64_t prompt_tokens, answer_tokens; /* -1: not told */
};

/* The line, with its end. */
void access_line(const struct access_record *a, enum access_form form, struct buf *out);
void access_log(const struct access_record *a, enum access_form form);
