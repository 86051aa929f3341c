/* Fetching a blob: by several ranged requests at once, into a partial (partial.h), checked, and put
 * in place. */
#pragma once
#include "store/transfer.h"
#include "store/web.h"

struct fetch {
    struct web *web;
    const char *url;
    struct str digest;
    uint64_t size;
    /* The Authorization of requests to come (*value NULL: none). refused: the answer 401 to the
     * last one, for which a new one is wanted; NULL at first. NULL: there is none. */
    enum status (*authorize)(void *ctx, const struct web_call *refused, const char **value,
                             struct err *err);
    void *ctx;
    const atomic_int *cancel;
    const struct transfer_progress *progress;
};

/* OK: the blob is in our own store. ENOTFOUND, EFORMAT (another size or digest than promised), EIO
 * (the disk), ECANCEL, EFAIL (the network). */
NODISCARD enum status fetch_blob(struct store *s, const struct fetch *f, struct err *err);

/* "bytes 0-99/1000" of an answer; *total UINT64_MAX: "*", it is not known. false: it is none. */
bool fetch_content_range(struct str text, uint64_t *from, uint64_t *to, uint64_t *total);
/* Whether `bytes` more (less what partials have) fit on the disk of the store; EIO with both. */
NODISCARD enum status fetch_room(struct store *s, uint64_t bytes, struct err *err);
/* progress->tell with "VERB 0123456789ab". */
void fetch_tell(const struct transfer_progress *p, const char *verb, struct str digest,
                uint64_t total, uint64_t completed);
void fetch_say(const struct transfer_progress *p, const char *status);
