/* Files of log-probabilities from hostile bytes: whatever opens is read to its last row. */
#include "format/logprobs.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static volatile unsigned sink;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct logprobs *l;
    struct err err;
    if (logprobs_open_mem(&l, data, n, &err) != OK) {
        sink += (unsigned)strlen(err.msg);
        return 0;
    }
    const struct logprobs_header *h = logprobs_header(l);
    uint64_t rows = 0;
    for (int64_t i = 0; i < h->n_tokens; i++)
        sink += (unsigned)logprobs_tokens(l)[i];
    for (int64_t i = 0; i < h->n_windows; i++) {
        struct logprobs_window w = logprobs_window_at(l, i);
        rows += w.n - 1 - w.first;
    }
    if (rows != (uint64_t)h->n_rows)
        abort();
    float *out = malloc((size_t)h->n_vocab * sizeof *out), target;
    for (int64_t i = 0; out && i < h->n_rows; i++)
        if (logprobs_decode(h->encoding, logprobs_row(l, i), h->n_vocab, out, &target)) {
            if (!(target <= 0))
                abort();
            for (int64_t k = 0; k < h->n_vocab; k++)
                if (!(out[k] <= 0))
                    abort();
        }
    free(out);
    logprobs_close(l);
    return 0;
}
