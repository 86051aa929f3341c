/* The way of one answer's events from the engine's thread to the thread that asked.
 *
 * The writer never waits: it asks first whether there is room, and leaves the sequence out of the
 * step when there is none. Events are copied into a buffer; the reader takes all of them at once by
 * swapping it for its own, so that after the first few nothing is allocated. The reader is woken at
 * once when tokens come slowly and every few milliseconds when they come fast: a thread that wakes
 * up for every token of a small model would cost more than the token. */
#pragma once
#include "engine/generate.h"
#include <pthread.h>

enum {
    MAILBOX_EVENTS = 128,     /* with as many unread, the sequence waits */
    MAILBOX_WAKE_NS = 4000000 /* between wakings */
};

struct mailbox {
    pthread_mutex_t mutex;
    pthread_cond_t news;
    struct buf fill, drain; /* events in a row */
    int n;                  /* in fill */
    bool over, failed;      /* nothing comes any more; an event was lost for want of memory */
    bool told;              /* the reader knows of what is in fill */
    int64_t woken_ns;       /* when it was last told */
};

NODISCARD enum status mailbox_init(struct mailbox *m, struct err *err);
void mailbox_release(struct mailbox *m);

/* The writer's side. */
bool mailbox_has_room(struct mailbox *m); /* for the events of one step */
/* Progress of a prompt is left out when much is unread: reading waits for nobody, since others may
 * wait for what is read. */
void mailbox_put(struct mailbox *m, const struct gen_event *ev);
void mailbox_wake(struct mailbox *m, int64_t now_ns, bool must);
/* Nothing comes any more. The reader may release the mailbox before this returns. */
void mailbox_close(struct mailbox *m);

/* The reader's: waits for events and calls fn with each, which returns non-zero when it wants no
 * more. False once the mailbox is closed and empty. */
bool mailbox_read(struct mailbox *m, int (*fn)(void *ctx, const struct gen_event *ev), void *ctx);
