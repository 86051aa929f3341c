/* Published vocabularies (llama.cpp's models folder) against their published ids. They are not in
 * the repository: set HEARTH_SHARED to a folder that holds vocab/ggml-vocab-NAME.gguf with .inp and
 * .out, or the test says that it skipped them. */
#include "base/file.h"
#include "engine/vocab_gguf.h"
#include "support.h"
#include <stdlib.h>

static const char separator[] = "\n__ggml_vocab_test__\n";

static struct str next_text(struct str *rest)
{
    const char *end = rest->n ? memmem(rest->p, rest->n, separator, sizeof separator - 1) : NULL;
    size_t n = end ? (size_t)(end - rest->p) : rest->n;
    struct str text = {rest->p, n};
    *rest = str_slice(*rest, end ? n + sizeof separator - 1 : n, rest->n);
    return text;
}

/* One line of numbers. */
static void read_ids(struct str *rest, struct tokens *ids)
{
    size_t i = 0;
    ids->n = 0;
    while (i < rest->n && rest->p[i] != '\n') {
        int32_t v = 0;
        bool digits = false;
        for (; i < rest->n && rest->p[i] >= '0' && rest->p[i] <= '9'; i++, digits = true)
            v = v * 10 + (rest->p[i] - '0');
        if (digits)
            assert_true(tokens_add(ids, v));
        else
            i++;
    }
    *rest = str_slice(*rest, i < rest->n ? i + 1 : i, rest->n);
}

static bool check_text(const struct tokenizer *t, struct str text, const struct tokens *want)
{
    struct err err = {0};
    struct tokens got = {0};
    assert_ok(tokenizer_encode(t, text, 0, &got, &err));
    bool same = got.n == want->n && (got.n == 0 || memcmp(got.id, want->id, got.n * 4) == 0);
    if (!same) {
        print_message("'%.*s'\n  got ", STR_ARG(text));
        for (size_t i = 0; i < got.n; i++)
            print_message(" %d", got.id[i]);
        print_message("\n  want");
        for (size_t i = 0; i < want->n; i++)
            print_message(" %d", want->id[i]);
        print_message("\n");
    }
    tokens_free(&got);
    return same;
}

static void check_vocab(const char *folder, const char *name)
{
    char path[1024];
    struct err err = {0};
    struct gguf *g;
    struct tokenizer *t;
    struct arena arena;
    struct buf in, out;
    arena_init(&arena, (size_t)1 << 30);
    buf_init(&in, 1 << 20);
    buf_init(&out, 1 << 20);
    snprintf(path, sizeof path, "%s/vocab/ggml-vocab-%s.gguf", folder, name);
    assert_ok(gguf_open(&g, path, &err));
    assert_ok(tokenizer_from_gguf(&t, g, &arena, &err));
    snprintf(path, sizeof path, "%s/vocab/ggml-vocab-%s.gguf.inp", folder, name);
    assert_ok(file_read(path, &in, &err));
    snprintf(path, sizeof path, "%s/vocab/ggml-vocab-%s.gguf.out", folder, name);
    assert_ok(file_read(path, &out, &err));
    struct str texts = buf_str(&in), lines = buf_str(&out);
    struct tokens want = {0};
    int n = 0, good = 0;
    while (lines.n) {
        struct str text = next_text(&texts);
        read_ids(&lines, &want);
        good += check_text(t, text, &want);
        n++;
    }
    print_message("%s: %d of %d\n", name, good, n);
    assert_int_equal(good, n);
    assert_true(n > 40);
    tokens_free(&want);
    buf_release(&in);
    buf_release(&out);
    tokenizer_free(t);
    gguf_close(g);
    arena_release(&arena);
}

static void published_vocabularies(void **state)
{
    static const char *const names[] = {"gpt-2", "llama-bpe", "qwen2", "phi-3", "bert-bge"};
    const char *folder = getenv("HEARTH_SHARED");
    (void)state;
    if (!folder)
        skip();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        check_vocab(folder, names[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_vocabularies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
