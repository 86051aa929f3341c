/* Many requests from a file: OpenAI's batches, a line each,
 *
 *   {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {...}}
 *
 * answered by a line each,
 *
 *   {"id", "custom_id", "response": {"status_code", "request_id", "body"}, "error": null}
 *
 * in the order of the input unless `unordered`. The output file only grows: a run that was killed
 * is taken up where it was by running it again. Lines that are there are not asked again; a half
 * last line is cut off. In order, an answer that comes before its turn waits in OUT.journal, so
 * that nothing is lost then either; the journal goes when the run is over. */
#pragma once
#include "base/err.h"
#include "server/route.h"

struct batch_counts {
    int64_t total, completed, failed; /* failed: an HTTP status of 400 or more */
    int64_t found;                    /* of these, answered by an earlier run */
    int64_t bad_line;                 /* of the input: why nothing was run; 0: none */
};

struct batch_options {
    const char *in, *out;
    const char *name;    /* what errors call `in`; NULL: its path */
    const char *errors;  /* where failed lines go; NULL: into out. Only with unordered */
    struct str model;    /* in place of each line's; .p NULL: the line's own */
    struct str endpoint; /* what every line must ask for; .p NULL: any of ours */
    struct str key_name; /* in whose name */
    bool unordered;
    int concurrent; /* lines in flight; 0: 64 */
    int priority;   /* chat_request.priority */
    void *app;
    const struct route *routes;
    size_t n_routes;
    /* Called now and then (and once at the end) on the caller's thread. Non-zero: stop. */
    int (*progress)(void *ctx, const struct batch_counts *c);
    void *ctx;
};

/* The whole input is checked before the first line is asked: errors then leave c->total 0. A line
 * that cannot be answered is an answer with its error. EFORMAT: lines of `in` or `out` that are not
 * what they should be, by number; EBUSY: somebody else writes `out`; ECANCEL: stopped, what was
 * answered is in `out`. */
NODISCARD enum status batch_run(const struct batch_options *o, struct batch_counts *c,
                                struct err *err);

/* Is `url` one that lines may ask for? */
bool batch_endpoint(struct str url);
