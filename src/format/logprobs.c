/* The file is mapped and its rows are read where they lie. Rows need not be aligned; everything
 * is copied out with memcpy. */
#include "format/logprobs.h"
#include "base/file.h"
#include "base/mem.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char magic[8] = "HLOGPROB";
enum { VERSION = 1, HEADER_BYTES = 56, WINDOW_BYTES = 16, ROW_HEAD = 12, TOP_CODE = 65535 };
static const double range = 32; /* q16 keeps this much below the likeliest token */

/* ---- rows ---- */

size_t logprobs_row_bytes(enum logprobs_encoding encoding, int64_t n_vocab)
{
    size_t n = (size_t)n_vocab;
    return ROW_HEAD +
           (encoding == LOGPROBS_F32 ? n * sizeof(float) : (n + n % 2) * sizeof(uint16_t));
}

static void encode_q16(const float *logits, int64_t n, double logsum, float head[3],
                       unsigned char *codes)
{
    float top = -INFINITY;
    double low = (double)INFINITY;
    for (int64_t i = 0; i < n; i++)
        top = logits[i] > top ? logits[i] : top;
    for (int64_t i = 0; i < n; i++)
        if ((double)logits[i] >= (double)top - range && (double)logits[i] < low)
            low = (double)logits[i];
    double step = top > -INFINITY ? ((double)top - low) / (TOP_CODE - 1) : 0;
    double scale = step > 0 ? 1 / step : 0;
    head[0] = (float)((double)top - logsum);
    head[0] = head[0] < 0 ? head[0] : 0; /* rounding must not make it more than certain */
    head[1] = (float)step;
    for (int64_t i = 0; i < n; i++) {
        double below = (double)top - (double)logits[i];
        uint16_t code = below <= range ? (uint16_t)(TOP_CODE - (int)(below * scale + 0.5)) : 0;
        memcpy(codes + 2 * i, &code, sizeof code);
    }
    if (n % 2)
        memset(codes + 2 * n, 0, 2);
}

void logprobs_encode(enum logprobs_encoding encoding, const float *logits, int64_t n_vocab,
                     double logsum, int32_t target, void *row)
{
    unsigned char *p = row;
    float head[3] = {0};
    if (encoding == LOGPROBS_Q16)
        encode_q16(logits, n_vocab, logsum, head, p + ROW_HEAD);
    for (int64_t i = 0; encoding == LOGPROBS_F32 && i < n_vocab; i++) {
        float v = (float)((double)logits[i] - logsum);
        v = v <= 0 ? v : v > 0 ? 0 : -INFINITY;
        memcpy(p + ROW_HEAD + 4 * i, &v, sizeof v);
    }
    head[2] = (float)((double)logits[target] - logsum);
    head[2] = head[2] < 0 ? head[2] : 0;
    memcpy(p, head, sizeof head);
}

bool logprobs_decode(enum logprobs_encoding encoding, const void *row, int64_t n_vocab, float *out,
                     float *target)
{
    const unsigned char *p = row;
    float head[3];
    memcpy(head, p, sizeof head);
    p += ROW_HEAD;
    *target = head[2];
    /* written so that NaN fails */
    bool ok = head[0] <= 0 && head[0] > -INFINITY && head[1] >= 0 && head[1] < INFINITY &&
              head[2] <= 0 && head[2] > -INFINITY;
    if (encoding == LOGPROBS_F32) {
        memcpy(out, p, (size_t)n_vocab * sizeof *out);
        for (int64_t i = 0; i < n_vocab; i++)
            ok = ok && out[i] <= 0;
        return ok;
    }
    for (int64_t i = 0; i < n_vocab; i++) {
        uint16_t code;
        memcpy(&code, p + 2 * i, sizeof code);
        out[i] = code ? head[0] - head[1] * (float)(TOP_CODE - code) : -INFINITY;
    }
    return ok;
}

/* ---- reading ---- */

struct logprobs {
    struct file_map map; /* n 0: from memory */
    struct logprobs_header header;
    int32_t *tokens;
    const unsigned char *windows, *rows;
    size_t row_bytes;
};

/* The bytes that the header promises; false when no file can be as large. */
static bool expected_bytes(const struct logprobs_header *h, size_t *windows_at, size_t *rows_at,
                           size_t *all)
{
    size_t tokens, windows, rows;
    return size_mul((size_t)h->n_tokens, sizeof(int32_t), &tokens) &&
           size_mul((size_t)h->n_windows, WINDOW_BYTES, &windows) &&
           size_mul((size_t)h->n_rows, logprobs_row_bytes(h->encoding, h->n_vocab), &rows) &&
           size_add(HEADER_BYTES, tokens, windows_at) && size_add(*windows_at, windows, rows_at) &&
           size_add(*rows_at, rows, all);
}

static enum status read_header(struct logprobs *l, const unsigned char *p, size_t n,
                               struct err *err)
{
    struct logprobs_header *h = &l->header;
    uint32_t version, encoding;
    if (n < HEADER_BYTES || memcmp(p, magic, sizeof magic) != 0)
        return err_set(err, EFORMAT,
                       "%zu bytes that do not start with '%.8s', expected a file of "
                       "log-probabilities ('hearth perplexity --save-logits')",
                       n, magic);
    memcpy(&version, p + 8, 4);
    memcpy(&encoding, p + 12, 4);
    memcpy(&h->n_vocab, p + 16, 8);
    memcpy(&h->n_tokens, p + 24, 8);
    memcpy(&h->n_windows, p + 32, 8);
    memcpy(&h->n_rows, p + 40, 8);
    memcpy(&h->bos, p + 48, 4);
    if (version != VERSION || encoding >= LOGPROBS_ENCODINGS)
        return err_set(err, EUNSUPPORTED,
                       "version %u with encoding %u, expected version %d with "
                       "encoding 0 or 1",
                       version, encoding, VERSION);
    h->encoding = (enum logprobs_encoding)encoding;
    const struct {
        const char *what;
        int64_t v, lo, hi;
    } counts[] = {
        {"tokens in the vocabulary", h->n_vocab, 1, 1 << 24},
        {"tokens", h->n_tokens, 2, (int64_t)1 << 40},
        {"windows", h->n_windows, 1, (int64_t)1 << 40},
        {"rows", h->n_rows, 1, (int64_t)1 << 40},
    };
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (counts[i].v < counts[i].lo || counts[i].v > counts[i].hi)
            return err_set(err, EFORMAT, "%lld %s, expected %lld to %lld", (long long)counts[i].v,
                           counts[i].what, (long long)counts[i].lo, (long long)counts[i].hi);
    size_t windows_at, rows_at, all;
    if (!expected_bytes(h, &windows_at, &rows_at, &all) || all != n)
        return err_set(err, EFORMAT,
                       "%zu bytes, the header's %lld tokens, %lld windows and %lld "
                       "rows of %lld do not make that",
                       n, (long long)h->n_tokens, (long long)h->n_windows, (long long)h->n_rows,
                       (long long)h->n_vocab);
    l->row_bytes = logprobs_row_bytes(h->encoding, h->n_vocab);
    l->windows = p + windows_at;
    l->rows = p + rows_at;
    l->tokens = mem_array((size_t)h->n_tokens, sizeof *l->tokens);
    if (!l->tokens)
        return err_set(err, ENOMEMORY, "no memory for %lld tokens", (long long)h->n_tokens);
    memcpy(l->tokens, p + HEADER_BYTES, (size_t)h->n_tokens * sizeof *l->tokens);
    return OK;
}

/* The windows' rows are the file's rows. */
static enum status check_windows(const struct logprobs *l, struct err *err)
{
    uint64_t rows = 0;
    for (int64_t i = 0; i < l->header.n_windows; i++) {
        struct logprobs_window w = logprobs_window_at(l, i);
        if (w.n < 2 || w.first >= w.n - 1 || w.start > (uint64_t)l->header.n_tokens ||
            w.n > (uint64_t)l->header.n_tokens - w.start)
            return err_set(err, EFORMAT,
                           "window %lld is %u tokens from %llu on with rows from %u "
                           "on, expected a part of the %lld tokens with a row",
                           (long long)i, w.n, (unsigned long long)w.start, w.first,
                           (long long)l->header.n_tokens);
        rows += w.n - 1 - w.first;
    }
    if (rows != (uint64_t)l->header.n_rows)
        return err_set(err, EFORMAT, "%lld rows, the windows have %llu",
                       (long long)l->header.n_rows, (unsigned long long)rows);
    return OK;
}

static enum status open_bytes(struct logprobs **out, struct file_map map, const void *data,
                              size_t n, struct err *err)
{
    *out = NULL;
    struct logprobs *l = mem_array(1, sizeof *l);
    if (!l) {
        file_map_close(&map);
        return err_set(err, ENOMEMORY, "no memory for a file of log-probabilities");
    }
    l->map = map;
    enum status s = read_header(l, data, n, err);
    if (s == OK)
        s = check_windows(l, err);
    if (s == OK)
        *out = l;
    else
        logprobs_close(l);
    return s;
}

enum status logprobs_open(struct logprobs **out, const char *path, struct err *err)
{
    struct file_map map;
    *out = NULL;
    enum status s = file_map_open(&map, path, err);
    if (s != OK)
        return s;
    s = open_bytes(out, map, map.p, map.n, err);
    return s == OK ? OK : err_prefix(err, "'%s'", path);
}

enum status logprobs_open_mem(struct logprobs **out, const void *data, size_t n, struct err *err)
{
    return open_bytes(out, (struct file_map){0}, data, n, err);
}

void logprobs_close(struct logprobs *l)
{
    if (!l)
        return;
    file_map_close(&l->map);
    free(l->tokens);
    free(l);
}

const struct logprobs_header *logprobs_header(const struct logprobs *l)
{
    return &l->header;
}

const int32_t *logprobs_tokens(const struct logprobs *l)
{
    return l->tokens;
}

struct logprobs_window logprobs_window_at(const struct logprobs *l, int64_t i)
{
    struct logprobs_window w;
    const unsigned char *p = l->windows + (size_t)i * WINDOW_BYTES;
    memcpy(&w.start, p, 8);
    memcpy(&w.n, p + 8, 4);
    memcpy(&w.first, p + 12, 4);
    return w;
}

const void *logprobs_row(const struct logprobs *l, int64_t i)
{
    return l->rows + (size_t)i * l->row_bytes;
}

/* ---- writing ---- */

struct logprobs_writer {
    struct file_writer file;
    size_t row_bytes;
    int64_t n_rows, put;
};

enum status logprobs_writer_open(struct logprobs_writer **out, const char *path,
                                 const struct logprobs_header *h, const int32_t *tokens,
                                 const struct logprobs_window *windows, struct err *err)
{
    *out = NULL;
    struct logprobs_writer *w = mem_array(1, sizeof *w);
    if (!w)
        return err_set(err, ENOMEMORY, "no memory to write '%s'", path);
    enum status s = file_writer_open(&w->file, path, err);
    if (s != OK) {
        free(w);
        return s;
    }
    unsigned char p[HEADER_BYTES] = {0};
    const uint32_t version = VERSION, encoding = (uint32_t)h->encoding;
    memcpy(p, magic, sizeof magic);
    memcpy(p + 8, &version, 4);
    memcpy(p + 12, &encoding, 4);
    memcpy(p + 16, &h->n_vocab, 8);
    memcpy(p + 24, &h->n_tokens, 8);
    memcpy(p + 32, &h->n_windows, 8);
    memcpy(p + 40, &h->n_rows, 8);
    memcpy(p + 48, &h->bos, 4);
    file_writer_put(&w->file, p, sizeof p);
    file_writer_put(&w->file, tokens, (size_t)h->n_tokens * sizeof *tokens);
    for (int64_t i = 0; i < h->n_windows; i++) {
        memcpy(p, &windows[i].start, 8);
        memcpy(p + 8, &windows[i].n, 4);
        memcpy(p + 12, &windows[i].first, 4);
        file_writer_put(&w->file, p, WINDOW_BYTES);
    }
    w->row_bytes = logprobs_row_bytes(h->encoding, h->n_vocab);
    w->n_rows = h->n_rows;
    *out = w;
    return OK;
}

void logprobs_put(struct logprobs_writer *w, const void *rows, int64_t n)
{
    file_writer_put(&w->file, rows, (size_t)n * w->row_bytes);
    w->put += n;
}

enum status logprobs_writer_commit(struct logprobs_writer *w, struct err *err)
{
    enum status s;
    if (w->put != w->n_rows) {
        s = err_set(err, EFAIL, "'%s': %lld rows written, the header says %lld", w->file.path,
                    (long long)w->put, (long long)w->n_rows);
        file_writer_abort(&w->file);
    } else {
        s = file_writer_commit(&w->file, err);
    }
    free(w);
    return s;
}

void logprobs_writer_abort(struct logprobs_writer *w)
{
    if (!w)
        return;
    file_writer_abort(&w->file);
    free(w);
}
