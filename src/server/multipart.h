/* multipart/form-data (RFC 7578), read as it comes: bytes go in, parts come out. Holds back no more
 * of a part than a boundary may be long; headers of a part have a ceiling. */
#pragma once
#include "base/buf.h"

struct multipart_sink {
    /* A part begins. filename: .p NULL for a plain field. Views are valid during the call. */
    enum status (*part)(void *ctx, struct str name, struct str filename, struct err *err);
    enum status (*data)(void *ctx, struct str bytes, struct err *err); /* of the last part */
    void *ctx;
};

struct multipart {
    struct multipart_sink sink;
    struct buf held;      /* what is not passed on yet */
    struct buf delimiter; /* "\r\n--BOUNDARY" */
    int state, parts;
};

/* content_type: the header's value. EUSAGE when it is not multipart/form-data with a boundary. */
NODISCARD enum status multipart_open(struct multipart *m, struct str content_type,
                                     const struct multipart_sink *sink, struct err *err);
NODISCARD enum status multipart_feed(struct multipart *m, struct str bytes, struct err *err);
/* The body is over. EUSAGE when its last boundary has not come. */
NODISCARD enum status multipart_end(struct multipart *m, struct err *err);
void multipart_close(struct multipart *m);
