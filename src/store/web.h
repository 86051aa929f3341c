/* HTTP requests over libcurl: one client per pull or push, driven by the thread that calls it, so
 * that many requests run at once without threads and stop when `cancel` is raised.
 *
 * Only https (and http where the user allowed it); certificates are always checked; redirects are
 * followed, and Authorization goes to the first host only. Proxies by curl's variables
 * (https_proxy, http_proxy, no_proxy); certificates of one's own by CURL_CA_BUNDLE or
 * SSL_CERT_FILE. A connection without a byte for $HEARTH_STALL_SECONDS (30) is given up. */
#pragma once
#include "base/buf.h"
#include <curl/curl.h>
#include <stdatomic.h>
#include <stdint.h>

struct web;

/* cancel (may be NULL): non-zero ends whatever runs with ECANCEL. plain: http is allowed, too. */
NODISCARD enum status web_new(struct web **out, const atomic_int *cancel, bool plain,
                              struct err *err);
void web_free(struct web *w); /* NULL is allowed; no call may be running */

enum web_result {
    WEB_ANSWER,      /* status tells */
    WEB_CUT,         /* broke on the way: worth another try */
    WEB_UNREACHABLE, /* no such host, or it does not answer */
    WEB_BROKEN       /* err tells */
};

/* A request and its answer. Zero-initialise; web_call_release at the end. Texts are borrowed while
 * it runs. */
struct web_call {
    const char *method, *url;
    const char *authorization; /* value of the header; NULL: none */
    const char *headers[4];    /* "Name: value" */
    struct str body;           /* .p NULL: none */
    bool from_file;            /* the body is file_n bytes of fd from file_at on */
    int fd;
    uint64_t file_at, file_n;
    bool ranged; /* only the bytes [from, to] */
    uint64_t from, to;
    bool stay;    /* do not follow redirects */
    bool patient; /* the server may think for minutes before it answers */
    /* Gets the body of 200 and 206; NULL: it is gathered in `answer`. An error ends the call. */
    enum status (*take)(struct web_call *c, const char *p, size_t n, struct err *err);
    void *ctx;

    enum web_result result;
    long status;
    bool redirected;
    int64_t retry_after_s; /* as the server wishes; 0: it says nothing */
    struct buf head;       /* header lines of the last answer */
    struct buf answer;     /* its body; of errors, the beginning */
    size_t answer_max;     /* ceiling on it; 0: 1 MiB */
    struct err err;        /* for all results but WEB_ANSWER */

    struct web *web;
    CURL *easy;
    struct curl_slist *list;
    uint64_t sent;
    char text[CURL_ERROR_SIZE];
};

NODISCARD enum status web_start(struct web *w, struct web_call *c, struct err *err);
/* Works for up to ms milliseconds. *done: a call that has ended, NULL: none yet. ECANCEL. */
NODISCARD enum status web_step(struct web *w, int ms, struct web_call **done, struct err *err);
void web_stop(struct web_call *c); /* a running call ends without a result */
void web_call_release(struct web_call *c);

/* One request alone, on a client without others; tries again after cut connections, 429 and 5xx,
 * waiting longer each time, or as long as Retry-After says. OK: there is an answer, of any status.
 */
NODISCARD enum status web_ask(struct web *w, struct web_call *c, struct err *err);
/* Sleeps. ECANCEL. */
NODISCARD enum status web_wait(struct web *w, int64_t ms, struct err *err);

/* Whether the answer (or its absence) is worth another try, and after how many milliseconds;
 * failures: how often in a row it has failed, from 1. */
bool web_worth_retry(const struct web_call *c, int failures, int64_t *ms);
/* A header of the last answer; .p NULL: absent. */
struct str web_header(const struct web_call *c, const char *name);
/* The error that an answer's status means, with the server's own words. what: "manifest of 'x'". */
enum status web_status_error(const struct web_call *c, const char *what, struct err *err);
/* "host" or "host:port" of a URL, lower case; false: it is none. */
bool web_host(const char *url, char *out, size_t size);
/* location, relative to base, made absolute. */
NODISCARD enum status web_resolve(const char *base, struct str location, struct buf *out,
                                  struct err *err);
/* Appends text with everything escaped that has a meaning in a URL; '/' stays when slashes. */
void web_escape(struct buf *out, struct str text, bool slashes);
