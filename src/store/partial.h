/* A blob on its way: its bytes so far, and how far each part of it has come. Both are files in the
 * folder of blobs ("pull-<hex>", "pull-<hex>.parts"), so that a killed pull goes on where it was,
 * to the byte. Whoever writes holds a lock on the first; another one waits.
 *
 * The note of a part is written after its bytes. A crash of the machine may lose bytes that are
 * noted; the hash of the whole tells, and then everything is fetched again. */
#pragma once
#include "store/store_int.h"
#include <stdatomic.h>

struct partial {
    int fd, note_fd;
    struct buf path, note_path;
    uint64_t size, part_size;
    size_t n;       /* parts */
    uint64_t *done; /* bytes of each, from its beginning */
    bool resumed;   /* some were there */
};

/* The default cut: parts of 4 to 64 MiB. */
uint64_t partial_part_size(uint64_t size);
/* *busy: another pull has it (then nothing is open). size > 0. */
NODISCARD enum status partial_open(struct partial *p, struct store *s, struct str digest,
                                   uint64_t size, bool *busy, struct err *err);
void partial_close(struct partial *p); /* the files stay */
/* Where part i begins, and how long it is. */
uint64_t partial_at(const struct partial *p, size_t i);
uint64_t partial_len(const struct partial *p, size_t i);
uint64_t partial_total(const struct partial *p); /* bytes there */
/* The next bytes of part i. */
NODISCARD enum status partial_write(struct partial *p, size_t i, const char *bytes, size_t n,
                                    struct err *err);
/* Forgets everything, cut in parts of that size. */
NODISCARD enum status partial_reset(struct partial *p, uint64_t part_size, struct err *err);
/* Hashes the whole; EFORMAT when it is another digest. Then the blob gets its name. */
NODISCARD enum status partial_finish(struct partial *p, struct store *s, struct str digest,
                                     const atomic_int *cancel, struct err *err);
void partial_discard(struct partial *p); /* removes the files */

/* Bytes of a blob that another pull has by now; of disk that its files have (0: none). */
uint64_t partial_peek(struct store *s, struct str digest);
uint64_t partial_disk(struct store *s, struct str digest);
/* Removes those that nobody has touched for a week. */
void partials_sweep(const char *root);
