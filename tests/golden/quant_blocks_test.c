/* Blocks that llama.cpp quantized (tests/data/quant_blocks.gguf, from our golden models): decoded
 * to the bit as the layout's description says, and our quantizers no less accurate on their source.
 */
#include "format/gguf.h"
#include "support.h"
#include <stdlib.h>

static const char *const types[] = {"q4_0", "q4_1", "q5_0", "q5_1", "q8_0",   "q2_k",
                                    "q3_k", "q4_k", "q5_k", "q6_k", "iq4_nl", "iq4_xs"};

static const struct tensor *find(const struct gguf *g, const char *type, const char *what)
{
    char name[32];
    snprintf(name, sizeof name, "%s.%s", type, what);
    const struct tensor *t = gguf_tensor(g, str_from(name));
    assert_non_null(t);
    return t;
}

static double squared_error(const float *a, const float *b, int64_t n)
{
    double e = 0;
    for (int64_t i = 0; i < n; i++)
        e += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    return e;
}

static void blocks_mean_what_they_should(void **state)
{
    (void)state;
    struct gguf *g;
    struct err err;
    assert_ok(gguf_open(&g, HEARTH_SOURCE_DIR "/tests/data/quant_blocks.gguf", &err));
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        const struct tensor *blocks = find(g, types[i], "blocks");
        const struct tensor *values = find(g, types[i], "values");
        const struct tensor *source = find(g, types[i], "source");
        int64_t n = tensor_elems(blocks);
        const struct qtype_info *q = qtype_info(blocks->type);
        assert_string_equal(q->name, types[i]);
        assert_int_equal(tensor_elems(values), n);
        float *theirs = malloc((size_t)n * sizeof(float)),
              *ours = malloc((size_t)n * sizeof(float));
        float *x = malloc((size_t)n * sizeof(float));
        unsigned char *mine = malloc(blocks->bytes);
        assert_true(theirs && ours && x && mine);
        q->dequantize(blocks->data, theirs, n);
        assert_memory_equal(theirs, values->data, values->bytes);
        qtype_info(source->type)->dequantize(source->data, x, n);
        q->quantize(x, mine, n, NULL);
        q->dequantize(mine, ours, n);
        double a = squared_error(x, ours, n), b = squared_error(x, theirs, n);
        if (a > b)
            fail_msg("%s: squared error %g, llama.cpp's %g", types[i], a, b);
        free(theirs);
        free(ours);
        free(x);
        free(mine);
    }
    gguf_close(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(blocks_mean_what_they_should)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
