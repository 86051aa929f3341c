/* The file of log-probabilities: what goes in comes out within its rounding, and no bytes of a
 * stranger's get past the header. */
#include "base/file.h"
#include "format/logprobs.h"
#include "support.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { VOCAB = 7, TOKENS = 9, ROWS = 5, HEADER = 56 };

static const int32_t tokens[TOKENS] = {3, 1, 4, 1, 5, 2, 6, 5, 3};
static const struct logprobs_window windows[] = {{0, 4, 1}, {4, 5, 1}};
static const struct logprobs_header header = {.encoding = LOGPROBS_Q16,
                                              .n_vocab = VOCAB,
                                              .n_tokens = TOKENS,
                                              .n_windows = 2,
                                              .n_rows = ROWS,
                                              .bos = -1};

static void logits_of(int row, float z[VOCAB])
{
    for (int i = 0; i < VOCAB; i++)
        z[i] = (float)((row * 7 + i * 5) % 11) * 1.7f - 3 * (float)row;
    z[(row + 3) % VOCAB] = -60; /* out of q16's range */
}

static double logsum(const float *z)
{
    double sum = 0;
    for (int i = 0; i < VOCAB; i++)
        sum += exp((double)z[i]);
    return log(sum);
}

static void write_file(const char *path, enum logprobs_encoding encoding, int n_rows)
{
    struct err err;
    struct logprobs_writer *w;
    struct logprobs_header h = header;
    h.encoding = encoding;
    assert_ok(logprobs_writer_open(&w, path, &h, tokens, windows, &err));
    assert_false(file_exists(path));
    for (int r = 0; r < n_rows; r++) {
        unsigned char row[256];
        float z[VOCAB];
        logits_of(r, z);
        assert_true(logprobs_row_bytes(encoding, VOCAB) <= sizeof row);
        logprobs_encode(encoding, z, VOCAB, logsum(z), r % VOCAB, row);
        logprobs_put(w, row, 1);
    }
    if (n_rows == ROWS) {
        assert_ok(logprobs_writer_commit(w, &err));
        return;
    }
    assert_int_equal(logprobs_writer_commit(w, &err), EFAIL);
    assert_non_null(strstr(err.msg, "4 rows written, the header says 5"));
    assert_false(file_exists(path));
}

static void check_encoding(enum logprobs_encoding encoding, double limit)
{
    struct err err;
    struct logprobs *l;
    const char *path = temp_path("logprobs");
    write_file(path, encoding, ROWS);
    assert_ok(logprobs_open(&l, path, &err));
    const struct logprobs_header *h = logprobs_header(l);
    assert_int_equal(h->n_vocab, VOCAB);
    assert_int_equal(h->n_rows, ROWS);
    assert_int_equal(h->bos, -1);
    assert_memory_equal(logprobs_tokens(l), tokens, sizeof tokens);
    for (int i = 0; i < 2; i++) {
        struct logprobs_window w = logprobs_window_at(l, i);
        assert_memory_equal(&w, &windows[i], sizeof w);
    }
    for (int r = 0; r < ROWS; r++) {
        float z[VOCAB], back[VOCAB], target;
        logits_of(r, z);
        double all = logsum(z);
        assert_true(logprobs_decode(encoding, logprobs_row(l, r), VOCAB, back, &target));
        assert_true(fabs((double)target - ((double)z[r % VOCAB] - all)) < 1e-5);
        for (int i = 0; i < VOCAB; i++) {
            double want = (double)z[i] - all;
            if (encoding == LOGPROBS_Q16 && z[i] <= -60)
                assert_true(isinf(back[i]));
            else if (!(fabs((double)back[i] - want) < limit))
                fail_msg("row %d, token %d: %.9g, expected %.9g", r, i, (double)back[i], want);
        }
    }
    logprobs_close(l);
    unlink(path);
}

static void rows_come_back(void **state)
{
    (void)state;
    check_encoding(LOGPROBS_F32, 1e-5);
    check_encoding(LOGPROBS_Q16, 0.00025 + 1e-5);
}

/* All alike, one possible, none but a few: the corners of q16. */
static void extreme_rows_come_back(void **state)
{
    (void)state;
    static const float rows[][3] = {
        {2, 2, 2}, {0, -INFINITY, -INFINITY}, {-1e30f, 1e30f, 0}, {NAN, 0, -1}, {88, 56, 55.9f}};
    static const float want[][3] = {{-1.0986123f, -1.0986123f, -1.0986123f},
                                    {0, -INFINITY, -INFINITY},
                                    {-INFINITY, 0, -INFINITY},
                                    {-INFINITY, -0.3132617f, -1.3132617f},
                                    {0, -32, -INFINITY}};
    static const double sums[] = {3.0986122886681098, 0, 1e30, 0.3132616875182228, 88};
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        unsigned char row[64];
        float back[3], target;
        logprobs_encode(LOGPROBS_Q16, rows[r], 3, (double)(float)sums[r], 1, row);
        if (r == 1) /* the next token was impossible: no perplexity, so no such row is written */
            assert_false(logprobs_decode(LOGPROBS_Q16, row, 3, back, &target));
        else
            assert_true(logprobs_decode(LOGPROBS_Q16, row, 3, back, &target));
        for (int i = 0; i < 3; i++)
            if (!(back[i] == want[r][i] || fabsf(back[i] - want[r][i]) < 3e-4f))
                fail_msg("row %zu, token %d: %g, expected %g", r, i, (double)back[i],
                         (double)want[r][i]);
    }
}

static void half_a_file_has_no_name(void **state)
{
    (void)state;
    struct err err;
    struct logprobs_writer *w;
    const char *path = temp_path("half");
    write_file(path, LOGPROBS_Q16, ROWS - 1);
    assert_ok(logprobs_writer_open(&w, path, &header, tokens, windows, &err));
    logprobs_writer_abort(w);
    assert_false(file_exists(path));
}

/* ---- hostile bytes ---- */

static struct buf good;

static int read_good(void **state)
{
    (void)state;
    struct err err;
    const char *path = temp_path("good");
    buf_init(&good, 1 << 20);
    write_file(path, LOGPROBS_Q16, ROWS);
    assert_ok(file_read(path, &good, &err));
    unlink(path);
    return 0;
}

static int release_good(void **state)
{
    (void)state;
    buf_release(&good);
    return 0;
}

static enum status open_bytes(const void *p, size_t n, struct err *err)
{
    struct logprobs *l;
    void *copy = malloc(n ? n : 1); /* exact, for the sanitizer */
    assert_non_null(copy);
    memcpy(copy, p, n);
    enum status s = logprobs_open_mem(&l, copy, n, err);
    logprobs_close(l);
    free(copy);
    return s;
}

static void any_cut_is_refused(void **state)
{
    (void)state;
    struct err err;
    assert_ok(open_bytes(good.p, good.n, &err));
    for (size_t n = 0; n < good.n; n++)
        assert_int_equal(open_bytes(good.p, n, &err), EFORMAT);
    char *longer = calloc(1, good.n + 1);
    assert_non_null(longer);
    memcpy(longer, good.p, good.n);
    assert_int_equal(open_bytes(longer, good.n + 1, &err), EFORMAT);
    free(longer);
}

static void wrong_numbers_are_refused(void **state)
{
    (void)state;
    static const struct {
        size_t at, n;
        int64_t value;
        enum status status;
        const char *words;
    } rows[] = {
        {0, 1, 'h', EFORMAT, "do not start with 'HLOGPROB'"},
        {8, 4, 2, EUNSUPPORTED, "version 2"},
        {12, 4, 2, EUNSUPPORTED, "encoding 2"},
        {12, 4, 1, EFORMAT, "do not make that"},
        {16, 8, 0, EFORMAT, "0 tokens in the vocabulary"},
        {16, 8, -1, EFORMAT, "-1 tokens in the vocabulary"},
        {16, 8, INT64_MAX, EFORMAT, "tokens in the vocabulary"},
        {16, 8, 9, EFORMAT, "do not make that"},
        {24, 8, 1, EFORMAT, "1 tokens"},
        {24, 8, (int64_t)1 << 40, EFORMAT, "do not make that"},
        {32, 8, INT64_MIN, EFORMAT, "windows"},
        {32, 8, (int64_t)1 << 40, EFORMAT, "do not make that"},
        {40, 8, (int64_t)1 << 40, EFORMAT, "do not make that"},
        {40, 8, 0, EFORMAT, "0 rows"},
        /* the second window: start, n, first */
        {HEADER + 4 * TOKENS + 16, 8, 5, EFORMAT, "window 1 is 5 tokens from 5 on"},
        {HEADER + 4 * TOKENS + 16, 8, -1, EFORMAT, "window 1"},
        {HEADER + 4 * TOKENS + 24, 4, 6, EFORMAT, "window 1"},
        {HEADER + 4 * TOKENS + 24, 4, 0, EFORMAT, "window 1"},
        {HEADER + 4 * TOKENS + 24, 4, 0xffffffff, EFORMAT, "window 1"},
        {HEADER + 4 * TOKENS + 28, 4, 4, EFORMAT, "window 1"},
        {HEADER + 4 * TOKENS + 28, 4, 2, EFORMAT, "5 rows, the windows have 4"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct err err = {0};
        char *bytes = malloc(good.n);
        assert_non_null(bytes);
        memcpy(bytes, good.p, good.n);
        memcpy(bytes + rows[i].at, &rows[i].value, rows[i].n);
        assert_int_equal(open_bytes(bytes, good.n, &err), rows[i].status);
        if (!strstr(err.msg, rows[i].words))
            fail_msg("case %zu: '%s', expected '%s'", i, err.msg, rows[i].words);
        free(bytes);
    }
}

static void rows_that_are_no_distributions(void **state)
{
    (void)state;
    static const struct {
        int at; /* 0: max, 1: step, 2: target; 3: a value of f32 */
        float v;
        enum logprobs_encoding encoding;
    } rows[] = {
        {0, 1, LOGPROBS_Q16},  {0, NAN, LOGPROBS_Q16},       {0, -INFINITY, LOGPROBS_Q16},
        {1, -1, LOGPROBS_Q16}, {1, INFINITY, LOGPROBS_Q16},  {1, NAN, LOGPROBS_Q16},
        {2, 1, LOGPROBS_Q16},  {2, -INFINITY, LOGPROBS_F32}, {2, NAN, LOGPROBS_F32},
        {3, 1, LOGPROBS_F32},  {3, NAN, LOGPROBS_F32},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned char row[256];
        float z[VOCAB], out[VOCAB], target;
        logits_of(1, z);
        logprobs_encode(rows[i].encoding, z, VOCAB, logsum(z), 2, row);
        assert_true(logprobs_decode(rows[i].encoding, row, VOCAB, out, &target));
        memcpy(row + 4 * rows[i].at, &rows[i].v, 4);
        assert_false(logprobs_decode(rows[i].encoding, row, VOCAB, out, &target));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_come_back),
        cmocka_unit_test(extreme_rows_come_back),
        cmocka_unit_test(half_a_file_has_no_name),
        cmocka_unit_test_setup_teardown(any_cut_is_refused, read_good, release_good),
        cmocka_unit_test_setup_teardown(wrong_numbers_are_refused, read_good, release_good),
        cmocka_unit_test(rows_that_are_no_distributions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
