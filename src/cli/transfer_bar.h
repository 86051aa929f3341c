/* Progress of a pull or push: on a terminal a line a blob, with a bar; elsewhere plain lines. On
 * standard error. */
#pragma once
#include "cli/progress.h"
#include "store/transfer.h"

struct transfer_bar {
    char status[256]; /* of the line that is being drawn, or was last */
    uint64_t total, completed, completed_first;
    int64_t start_ns, drawn_ns;
    bool open;     /* a line without its end */
    bool finished; /* the blob of `status` */
};

/* Fits transfer_progress.tell; ctx: a zeroed struct transfer_bar. */
void transfer_bar_tell(void *bar, const char *status, struct str digest, uint64_t total,
                       uint64_t completed);
void transfer_bar_end(struct transfer_bar *bar); /* also after errors */

/* Pulls with a bar; Ctrl-C stops it (ECANCEL). Says what it does. */
NODISCARD enum status pull_with_bar(struct store *s, const char *name, bool insecure, int threads,
                                    struct err *err);
