/* Prefixes that outlive their engine: snapshots of sequences, by model and tokens, in memory up to
 * a budget of bytes and, where a folder is given, on disk up to another. The least recently used go
 * from memory to disk, and from disk away.
 *
 * A file is named by the SHA-256 of what it holds and refused when that differs. Any number of
 * threads may use a store. */
#pragma once
#include "base/buf.h"
#include <stdint.h>

struct prefix_store;

struct prefix_store_options {
    uint64_t memory;    /* bytes of snapshots */
    const char *folder; /* made when it is not there; NULL: no disk */
    uint64_t disk;      /* bytes of files */
};

/* Reads what is in the folder. EUNSUPPORTED for a folder in a build without libcrypto. */
NODISCARD enum status prefix_store_new(struct prefix_store **out,
                                       const struct prefix_store_options *o, struct err *err);
/* What is only in memory goes to disk, where there is one. NULL is allowed. */
void prefix_store_free(struct prefix_store *ps);

/* Takes the snapshot (the buffer is empty afterwards) of a sequence that holds these tokens. What
 * begins one that is there already is dropped, and so are those that it continues. Best effort: a
 * snapshot that finds no room is forgotten. */
void prefix_store_put(struct prefix_store *ps, struct str identity, const int32_t *id, size_t n,
                      struct buf *snapshot);
/* The snapshot with the most of the first tokens of id, more than `more_than`: appended to out.
 * Returns how many, 0: there is none. */
size_t prefix_store_get(struct prefix_store *ps, struct str identity, const int32_t *id, size_t n,
                        size_t more_than, struct buf *out);
/* The same snapshot turned out to be no good. */
void prefix_store_forget(struct prefix_store *ps, struct str identity, const int32_t *id, size_t n,
                         size_t more_than);
/* Bytes held now, and how many snapshots. */
void prefix_store_size(struct prefix_store *ps, uint64_t *memory, uint64_t *disk, size_t *n);
