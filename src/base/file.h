/* Files: read whole with a ceiling, map read-only, write so that the final name is never half a
 * file. */
#pragma once
#include "base/buf.h"
#include <stdint.h>
#include <stdio.h>

/* A read-only mapping of a whole file. Empty files map to p = "" and n = 0. */
struct file_map {
    const unsigned char *p;
    size_t n;
    struct map_watch *watch; /* NULL: not watched */
};

NODISCARD enum status file_map_open(struct file_map *m, const char *path, struct err *err);
void file_map_close(struct file_map *m);

/* A file that somebody cuts off (or whose disk fails) while it is mapped ends the process with
 * SIGBUS at the next read of what is gone. A program that would rather go on calls file_map_guard
 * once, early: from then on what cannot be read is zeros, from there to the map's end, and the map
 * is broken, so that whoever computes with it looks (as engine_step does) and refuses the result.
 * Other SIGBUS do what they did before. The library does not call it: signals are their program's.
 * Up to 1,024 maps are watched at a time. */
void file_map_guard(void);
bool file_map_broken(const struct file_map *m);
bool file_maps_any_broken(void); /* whether one ever was: cheap, to be asked first */

/* Appends the whole file (or all of stdin for "-") to out, up to out's ceiling. */
NODISCARD enum status file_read(const char *path, struct buf *out, struct err *err);

bool file_exists(const char *path);
bool file_is_dir(const char *path);

/* Writing: bytes go to PATH.part-PID, on their way to the disk while more come; file_writer_commit
 * flushes, syncs and renames it over PATH; file_writer_abort (or a crash) leaves PATH as it was.
 * What a killed process left (a regular file PATH.part-PID without a lock, of a process that does
 * not exist) is removed when PATH is next opened for writing.
 * Errors are sticky and told by commit. part is NULL when a descriptor is written. */
struct file_writer {
    FILE *f;
    char *path, *part;
    bool failed;
    int error; /* errno of what failed */
    size_t put, flushed;
};

NODISCARD enum status file_writer_open(struct file_writer *w, const char *path, struct err *err);
/* The same to an open descriptor (borrowed), such as memfd_create's: nothing to rename. `name` is
 * for messages. */
NODISCARD enum status file_writer_fd(struct file_writer *w, int fd, const char *name,
                                     struct err *err);
void file_writer_put(struct file_writer *w, const void *p, size_t n);
NODISCARD enum status file_writer_commit(struct file_writer *w, struct err *err);
void file_writer_abort(struct file_writer *w); /* harmless after commit */
