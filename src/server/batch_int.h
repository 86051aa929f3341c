/* The two halves of a batch: batch_lines.c knows what is asked and what is answered, batch.c runs.
 */
#pragma once
#include "base/arena.h"
#include "base/file.h"
#include "base/json.h"
#include "server/batch.h"

enum { LINE_MAX_BYTES = 64 << 20, MAX_LINES = 20000000 };

/* of a line */
enum { LINE_OPEN, LINE_RUNS, LINE_HELD, LINE_DONE };
struct batch_line {
    struct str text, id; /* of the input; the arena's */
    uint32_t number;     /* in the file, from 1 */
    uint8_t state;
    char *held; /* LINE_HELD: the answer, with its end; malloc's */
};

struct batch_lines {
    struct file_map in;
    struct arena arena;
    struct batch_line *at;
    size_t n, cap;
    uint32_t *table; /* by hash of the id: index + 1, or 0 */
    size_t n_table;
    uint32_t bad_line; /* which lines_open refused */
};

/* Reads and checks every line. EFORMAT. */
NODISCARD enum status lines_open(struct batch_lines *l, const struct batch_options *o,
                                 struct err *err);
void lines_close(struct batch_lines *l);
struct batch_line *lines_find(const struct batch_lines *l, struct str id);

/* How every answer begins. */
#define ANSWER_HEAD "{\"id\":\"batch_req_"

/* A file of answers: locked, appended to, never half a line. */
struct batch_file {
    int fd;
    char *path;
    uint64_t size;
    int64_t synced_ns;
};
/* Takes in what an earlier run left: fn for each line, then half a line at the end is cut off.
 * EFORMAT names a line that is no answer. */
NODISCARD enum status answers_open(struct batch_file *f, const char *path,
                                   enum status (*fn)(void *ctx, struct str line, const json_t *v,
                                                     struct err *err),
                                   void *ctx, struct err *err);
/* Appends whole lines; a line that does not fit on the disk is taken back. */
NODISCARD enum status answers_add(struct batch_file *f, struct str lines, struct err *err);
NODISCARD enum status answers_clear(struct batch_file *f, struct err *err);
NODISCARD enum status answers_sync(struct batch_file *f, struct err *err);
void answers_close(struct batch_file *f);
/* Is the answer an error? */
bool answer_failed(const json_t *answer);
