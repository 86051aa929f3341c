/* Stop strings in a stream of text: nothing that could still become one is told, and nothing is
 * held back longer than that. Independent of how tokens cut the text. */
#pragma once
#include "base/buf.h"
#include <stdint.h>

struct stop_text;

struct stopper {
    struct stop_text *stops;
    size_t n;
    struct buf held; /* the longest end of the text so far that begins a stop string */
};

enum { STOP_TEXT_MAX = 4096, STOP_TEXTS_MAX = 256 };

/* Copies the texts. EUSAGE for an empty one, one that is not UTF-8, or too many or too long. With
 * n = 0 everything passes through. Release with stopper_release, also after an error. */
NODISCARD enum status stopper_init(struct stopper *s, const struct str *texts, size_t n,
                                   struct err *err);
void stopper_release(struct stopper *s);

/* Feeds whole characters and appends what can be told to out. Returns the index of the stop string
 * that was completed first (of several the longest, then the first given), or -1. After a stop the
 * rest of the text is dropped and the stopper is not fed again. */
int stopper_feed(struct stopper *s, struct str text, struct buf *out);

/* The text has ended: appends what was held back. */
void stopper_flush(struct stopper *s, struct buf *out);
