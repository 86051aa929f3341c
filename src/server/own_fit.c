/* GET /api/fit: which models of the catalogue fit this machine, or the one that the query
 * describes. The machine is measured once, when it is first needed: a reading of memory disturbs
 * the answers that are being written, and would be disturbed by them. */
#include "base/jsonw.h"
#include "server/server.h"
#include "store/fit.h"
#include <pthread.h>

handler_fn handle_fit;

enum { ANSWER_MAX = 4 << 20 };

static enum status limits_of_here(struct fit_limits *out, struct err *err)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static struct fit_limits known;
    enum status s = OK;
    pthread_mutex_lock(&lock);
    if (!(known.read_gb_s > 0))
        s = fit_measure(&known, 0, err);
    *out = known;
    pthread_mutex_unlock(&lock);
    return s;
}

static enum status read_query(struct fit_request *r, const struct http_request *q, struct err *err)
{
    enum status s = OK;
    fit_request_init(r);
    for (size_t i = 0; s == OK && fit_option_name(i); i++) {
        struct str value = http_query(q, fit_option_name(i));
        if (value.p)
            s = fit_request_set(r, fit_option_name(i), fit_option_name(i), value, err);
    }
    return s;
}

enum status handle_fit(struct http_request *q, struct reply *reply, struct err *err)
{
    struct fit_request r;
    struct fit_limits here = {0};
    struct fit_machine machine;
    struct buf out;
    buf_init(&out, ANSWER_MAX);
    enum status s = read_query(&r, q, err);
    if (s == OK && fit_needs_limits(&r))
        s = limits_of_here(&here, err);
    if (s == OK)
        s = fit_machine_of(&machine, &r, &here, err);
    if (s == OK)
        s = fit_write_json(&out, &machine, &r, err);
    if (s == OK)
        reply_json(reply, 200, &out);
    buf_release(&out);
    return s;
}
