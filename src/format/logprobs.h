/* Log-probabilities of a reference model over a text, in a file: what another model is compared
 * with (KL divergence) without running the reference again.
 *
 * The format, little-endian, without padding:
 *   8 bytes  "HLOGPROB"
 *   u32      version, 1
 *   u32      encoding, 0: q16, 1: f32
 *   i64      n_vocab
 *   i64      n_tokens
 *   i64      n_windows
 *   i64      n_rows
 *   i32      bos: stands in the place of each window's first token; -1: nothing does
 *   u32      0
 *   i32      tokens[n_tokens]
 *   windows[n_windows]: u64 start, u32 n, u32 first. Rows [first, n - 1) of tokens
 *            [start, start + n) have a row of the file each, n_rows in all; row r is the
 *            distribution of token start + r + 1 after tokens start to start + r
 *   rows[n_rows]:
 *     f32    max, step: see below
 *     f32    log-probability of the token that came next
 *     q16:   u16 code[n_vocab], and one more if n_vocab is odd. 0: less likely than max - 32, as
 *            good as impossible; else log-probability max + step * (code - 65535)
 *     f32:   f32 log-probability[n_vocab]; max and step are 0
 *
 * q16 rounds to 32 / 65534 / 2 = 0.00024 at most; a reader that scales the probabilities to sum 1
 * again keeps of that only its square. The file's size must be just what the header says. */
#pragma once
#include "base/err.h"
#include <stdbool.h>
#include <stdint.h>

enum logprobs_encoding { LOGPROBS_Q16, LOGPROBS_F32, LOGPROBS_ENCODINGS };

struct logprobs_window {
    uint64_t start;
    uint32_t n, first;
};

struct logprobs_header {
    enum logprobs_encoding encoding;
    int64_t n_vocab, n_tokens, n_windows, n_rows;
    int32_t bos;
};

/* One distribution, where it lies; only logprobs_decode looks inside. */
size_t logprobs_row_bytes(enum logprobs_encoding encoding, int64_t n_vocab);
/* From logits: logsum is log(sum(exp(logits))), target the token that came next. Values that are
 * no numbers, or minus infinity, become impossible. */
void logprobs_encode(enum logprobs_encoding encoding, const float *logits, int64_t n_vocab,
                     double logsum, int32_t target, void *row);
/* Log-probabilities into out (n_vocab), -INFINITY where impossible; *target that of the next token.
 * false: the row has numbers that no distribution has (above 0, NaN). */
bool logprobs_decode(enum logprobs_encoding encoding, const void *row, int64_t n_vocab, float *out,
                     float *target);

/* ---- reading ---- */

struct logprobs;

/* Maps the file and checks header and size; tokens and windows are the caller's to check against
 * the model (engine/windows.h). */
NODISCARD enum status logprobs_open(struct logprobs **out, const char *path, struct err *err);
/* From memory (fuzzing, tests): data is borrowed until close. */
NODISCARD enum status logprobs_open_mem(struct logprobs **out, const void *data, size_t n,
                                        struct err *err);
void logprobs_close(struct logprobs *l);
const struct logprobs_header *logprobs_header(const struct logprobs *l);
const int32_t *logprobs_tokens(const struct logprobs *l); /* borrowed */
struct logprobs_window logprobs_window_at(const struct logprobs *l, int64_t i);
const void *logprobs_row(const struct logprobs *l, int64_t i);

/* ---- writing ---- */

struct logprobs_writer;

/* The header, tokens and windows; then logprobs_put n_rows rows, then commit. The file has its name
 * only then. */
NODISCARD enum status logprobs_writer_open(struct logprobs_writer **out, const char *path,
                                           const struct logprobs_header *h, const int32_t *tokens,
                                           const struct logprobs_window *windows, struct err *err);
void logprobs_put(struct logprobs_writer *w, const void *rows, int64_t n);
NODISCARD enum status logprobs_writer_commit(struct logprobs_writer *w,
                                             struct err *err); /* frees */
void logprobs_writer_abort(struct logprobs_writer *w);         /* frees; NULL is fine */
