/* Request bodies that come compressed: gzip, deflate (zlib's) and zstd (Codex sends it). */
#pragma once
#include "base/buf.h"

/* "", "identity", or one that we can read. */
bool coding_known(struct str coding);
/* Appends what `body` holds to out, up to out's ceiling: ELIMIT beyond it; EUSAGE for a body that
 * is broken or cut short. */
NODISCARD enum status coding_decode(struct str coding, struct str body, struct buf *out,
                                    struct err *err);
