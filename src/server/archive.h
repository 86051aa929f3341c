/* What the server keeps for its callers in $HEARTH_HOME/hearth.db: answers of /v1/responses, and
 * the names and states of files and batches (the files' bytes lie in $HEARTH_HOME/files).
 *
 * Everything belongs to an owner, the name of the API key that made it ("" without keys); others
 * are told that it does not exist. Answers have a budget of bytes: those that were not used for the
 * longest time leave first. Any thread may call. */
#pragma once
#include "base/buf.h"
#include <stdint.h>

struct archive;

struct archive_options {
    const char *path;     /* NULL: $HEARTH_HOME/hearth.db; ":memory:" */
    const char *files;    /* folder of the files' bytes; NULL: $HEARTH_HOME/files */
    uint64_t responses;   /* bytes that answers may take; 0: 1 GB */
    uint64_t files_bytes; /* bytes that files may take (more are refused); 0: 32 GB */
};
NODISCARD enum status archive_open(struct archive **out, const struct archive_options *o,
                                   struct err *err);
void archive_close(struct archive *a); /* NULL is allowed */

/* ---- answers ---- */

/* Put: borrowed. input: JSON list of the request's own items; body: the answer as it was told;
 * items: ids inside body.output, by which archive_item finds it. ELIMIT when it is larger than the
 * budget. */
struct archive_response {
    struct str id, owner, previous, input, body; /* previous: .p NULL for none */
    int64_t created;                             /* seconds */
    const struct str *items;
    size_t n_items;
};
NODISCARD enum status archive_response_put(struct archive *a, const struct archive_response *r,
                                           struct err *err);
/* The same in place of the one with its id, at once. ENOTFOUND where that is gone. */
NODISCARD enum status archive_response_replace(struct archive *a, const struct archive_response *r,
                                               struct err *err);
/* Appends to what is not NULL. previous stays empty where there is none. ENOTFOUND "response 'x'
 * not found". */
NODISCARD enum status archive_response_get(struct archive *a, struct str owner, struct str id,
                                           struct buf *input, struct buf *body,
                                           struct buf *previous, struct err *err);
NODISCARD enum status archive_response_delete(struct archive *a, struct str owner, struct str id,
                                              struct err *err);
/* Appends the body of the answer that holds an output item. */
NODISCARD enum status archive_item(struct archive *a, struct str owner, struct str item,
                                   struct buf *body, struct err *err);

/* ---- files ---- */

enum { ARCHIVE_ID = 48, ARCHIVE_NAME = 256 };

struct archive_file {
    char id[ARCHIVE_ID], name[ARCHIVE_NAME], purpose[32];
    int64_t created, bytes;
};
/* Where the bytes of file `id` lie; the caller frees. NULL: no memory. */
char *archive_file_path(const struct archive *a, const char *id);
/* Bytes that new files may still take. */
NODISCARD enum status archive_file_room(struct archive *a, uint64_t *bytes, struct err *err);
/* Its bytes lie at archive_file_path already. */
NODISCARD enum status archive_file_put(struct archive *a, struct str owner,
                                       const struct archive_file *f, struct err *err);
NODISCARD enum status archive_file_get(struct archive *a, struct str owner, struct str id,
                                       struct archive_file *f, struct err *err);
/* Its bytes, too. */
NODISCARD enum status archive_file_delete(struct archive *a, struct str owner, struct str id,
                                          struct err *err);

/* ---- batches ---- */

/* body: the batch as it is told, JSON. */
NODISCARD enum status archive_batch_put(struct archive *a, struct str owner, struct str id,
                                        struct str status, struct str body, struct err *err);
/* Changes status and body of one that is there, whoever owns it. */
NODISCARD enum status archive_batch_set(struct archive *a, struct str id, struct str status,
                                        struct str body, struct err *err);
NODISCARD enum status archive_batch_get(struct archive *a, struct str owner, struct str id,
                                        struct buf *body, struct err *err);
/* The oldest batch that is not over, of any owner: its id, owner and body are appended. *found:
 * there is one. */
NODISCARD enum status archive_batch_next(struct archive *a, struct buf *id, struct buf *owner,
                                         struct buf *body, bool *found, struct err *err);

/* ---- lists ---- */

struct archive_page {
    struct str owner;
    struct str after;   /* the id behind which the list begins; .p NULL: none */
    struct str purpose; /* files; .p NULL: all */
    bool oldest_first;
    int64_t limit;
};
/* Calls fn for each, up to the limit; *more: others follow. ENOTFOUND for an `after` that is not
 * there. */
NODISCARD enum status archive_files(struct archive *a, const struct archive_page *p,
                                    void (*fn)(void *ctx, const struct archive_file *f), void *ctx,
                                    bool *more, struct err *err);
NODISCARD enum status archive_batches(struct archive *a, const struct archive_page *p,
                                      void (*fn)(void *ctx, struct str id, struct str body),
                                      void *ctx, bool *more, struct err *err);
