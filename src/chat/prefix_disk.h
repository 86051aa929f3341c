/* The files of a prefix store. Private to prefix_store.c. */
#pragma once
#include "base/buf.h"
#include <stdint.h>

enum { DIGEST_HEX = 64, PREFIX_IDENTITY_MAX = 255 };

/* A file's head, in memory. */
struct prefix_file {
    char digest[DIGEST_HEX + 1];
    char identity[PREFIX_IDENTITY_MAX + 1];
    size_t n_identity, n;
    int32_t *id; /* (n) */
    uint64_t bytes;
    int64_t used; /* seconds since 1970 */
};

/* Writes FOLDER/DIGEST.kv and fills f's digest, bytes and used. */
NODISCARD enum status prefix_disk_write(const char *folder, struct str identity, const int32_t *id,
                                        size_t n, struct str snapshot, struct prefix_file *f,
                                        struct err *err);
/* Appends the snapshot of a file whose bytes have its digest. EFORMAT otherwise. */
NODISCARD enum status prefix_disk_read(const char *folder, const char *digest, struct buf *out,
                                       struct err *err);
void prefix_disk_remove(const char *folder, const char *digest);
/* Calls fn with the head of each file of the folder, which is made when it is not there; fn owns
 * f->id. Files that are none of ours or damaged are passed over. */
NODISCARD enum status prefix_disk_each(const char *folder,
                                       void (*fn)(void *ctx, const struct prefix_file *f),
                                       void *ctx, struct err *err);
