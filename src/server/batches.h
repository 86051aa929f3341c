/* The server's batches: one thread takes the oldest one that is not over and runs it (batch.h),
 * with low priority, until the server stops; then it is taken up again by the next server. The
 * archive holds their state. */
#pragma once
#include "base/err.h"
#include "base/str.h"
#include "server/app.h"
#include "server/route.h"

struct batches;

/* app: borrowed, with an archive. routes: what lines are asked through. */
NODISCARD enum status batches_start(struct batches **out, struct app *app,
                                    const struct route *routes, size_t n_routes, struct err *err);
/* Ends the thread; what ran is left to be taken up. */
void batches_stop(struct batches *b); /* NULL is allowed, here and below */
void batches_free(struct batches *b); /* behind batches_stop */

/* Makes one from a checked request; its JSON is appended. metadata: borrowed, may be NULL. */
NODISCARD enum status batches_add(struct batches *b, struct str owner, struct str input_file,
                                  struct str endpoint, struct str window, const json_t *metadata,
                                  struct buf *out, struct err *err);
/* Its JSON is appended. EUSAGE when it is over. */
NODISCARD enum status batches_cancel(struct batches *b, struct str owner, struct str id,
                                     struct buf *out, struct err *err);
