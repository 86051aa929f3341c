/* Which files of a Hugging Face repository a tag means, and blobs on their way. The network is
 * tested by tests/cli/pull_test.sh. */
#include "store_support.h"
#include "store/hf.h"
#include "store/partial.h"
#include "store/web.h"

/* ---- choosing ---- */

static struct hf_choice choose(const char *const *paths, const char *tag, enum status want)
{
    static struct hf_file f[32];
    struct hf_files all = {.f = f};
    struct hf_choice c;
    struct err err = {0};
    while (paths[all.n]) {
        f[all.n] = (struct hf_file){.path = str_from(paths[all.n]), .size = 1};
        all.n++;
    }
    assert_int_equal(hf_choose(&c, &all, str_from(tag), &err), want);
    if (want != OK)
        assert_true(err.msg[0]);
    return c;
}

static void expect(const char *const *paths, const char *tag, const char *path)
{
    struct hf_choice c = choose(paths, tag, OK);
    assert_true(c.gguf);
    assert_int_equal(c.files.n, 1);
    assert_memory_equal(c.files.f[0].path.p, path, strlen(path) + 1);
    hf_files_release(&c.files);
}

static void test_choose_gguf(void **state)
{
    static const char *const paths[] = {"README.md",
                                        "x-Q8_0.gguf",
                                        "x-Q4_K_M.gguf",
                                        "x-Q4_K_S.gguf",
                                        "x-Q4_K.gguf",
                                        "x-UD-Q4_K_XL.gguf",
                                        "mmproj-x-Q5_0.gguf",
                                        "imatrix-F32.gguf",
                                        "x-bf16.gguf",
                                        "deep/x-IQ2_M.gguf",
                                        NULL};
    (void)state;
    expect(paths, "latest", "x-Q4_K_M.gguf");
    expect(paths, "q4_k_m", "x-Q4_K_M.gguf");
    expect(paths, "Q4_K", "x-Q4_K.gguf");
    expect(paths, "Q4_K_XL", "x-UD-Q4_K_XL.gguf");
    expect(paths, "UD-Q4_K_XL", "x-UD-Q4_K_XL.gguf");
    expect(paths, "BF16", "x-bf16.gguf");
    expect(paths, "IQ2_M", "deep/x-IQ2_M.gguf");
    expect(paths, "x-Q8_0.gguf", "x-Q8_0.gguf");
    expect(paths, "X-q8_0", "x-Q8_0.gguf");
}

static void test_choose_others(void **state)
{
    static const char *const odd[] = {"model_q5_k_m.gguf", "model_q8_0.gguf", NULL};
    static const char *const one[] = {"whatever.gguf", NULL};
    static const char *const split[] = {"Q8_0/m-00002-of-00003.gguf", "Q8_0/m-00001-of-00003.gguf",
                                        "Q8_0/m-00003-of-00003.gguf", "m-F16-00001-of-00002.gguf",
                                        NULL};
    struct hf_choice c;
    (void)state;
    expect(odd, "latest", "model_q5_k_m.gguf");
    expect(odd, "Q8_0", "model_q8_0.gguf");
    expect(one, "latest", "whatever.gguf");
    choose(one, "Q4_0", ENOTFOUND);
    c = choose(split, "q8_0", OK);
    assert_int_equal(c.files.n, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(c.files.f[i].path.p[11], '1' + (int)i);
    hf_files_release(&c.files);
    choose(split, "F16", ENOTFOUND); /* its second part is not there */
}

static void test_choose_safetensors(void **state)
{
    static const char *const paths[] = {"config.json",
                                        "model-00001-of-00002.safetensors",
                                        "model-00002-of-00002.safetensors",
                                        "consolidated.safetensors",
                                        "original/params.json",
                                        "onnx/model.safetensors",
                                        "tokenizer.json",
                                        "model.safetensors.index.json",
                                        "pytorch_model.bin",
                                        "LICENSE",
                                        NULL};
    static const char *const bare[] = {"model.safetensors", NULL};
    struct hf_choice c = choose(paths, "q4_0", OK);
    (void)state;
    assert_false(c.gguf);
    assert_int_equal(c.files.n, 5);
    assert_true(str_is(c.quantize, "q4_0"));
    hf_files_release(&c.files);
    c = choose(paths, "latest", OK);
    assert_int_equal(c.quantize.n, 0);
    hf_files_release(&c.files);
    choose(bare, "latest", ENOTFOUND);
}

/* ---- blobs on their way ---- */

enum { SIZE = (9 << 20) + 5, PART = 4 << 20 };

static void fill(char *bytes)
{
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (char)(i * 2654435761u >> 13);
}

static void put(struct partial *p, size_t part, const char *bytes, size_t n)
{
    struct err err = {0};
    assert_ok(partial_write(p, part, bytes + partial_at(p, part) + p->done[part], n, &err));
}

static void test_partial(void **state)
{
    struct fixture *f = *state;
    struct partial p, q;
    struct err err = {0};
    char digest[72], *bytes = malloc(SIZE), *path;
    bool busy;
    uint64_t size;
    assert_non_null(bytes);
    fill(bytes);
    assert_ok(digest_of(bytes, SIZE, digest, &err));
    struct str d = str_from(digest);
    assert_ok(partial_open(&p, f->s, d, SIZE, &busy, &err));
    assert_false(busy || p.resumed);
    assert_int_equal(p.n, 3);
    assert_int_equal(partial_len(&p, 2), SIZE - 2 * PART);
    /* another one waits */
    assert_ok(partial_open(&q, f->s, d, SIZE, &busy, &err));
    assert_true(busy);
    put(&p, 1, bytes, 1000);
    put(&p, 1, bytes, 234);
    put(&p, 2, bytes, SIZE - 2 * PART);
    assert_int_equal(partial_peek(f->s, d), 1234 + SIZE - 2 * PART);
    partial_close(&p);
    /* goes on where it was */
    assert_ok(partial_open(&p, f->s, d, SIZE, &busy, &err));
    assert_true(p.resumed);
    assert_int_equal(p.done[1], 1234);
    put(&p, 1, bytes, PART - 1234);
    put(&p, 0, bytes, PART - 1);
    /* a byte is missing: not this digest */
    assert_int_equal(partial_finish(&p, f->s, d, NULL, &err), EFORMAT);
    assert_int_equal(store_blob_find(f->s, d, &path, &size, NULL), ENOTFOUND);
    put(&p, 0, bytes, 1);
    assert_int_equal(partial_total(&p), SIZE);
    assert_ok(partial_finish(&p, f->s, d, NULL, &err));
    partial_close(&p);
    assert_ok(store_blob_find(f->s, d, &path, &size, &err));
    assert_int_equal(size, SIZE);
    free(path);
    assert_int_equal(partial_peek(f->s, d), 0);
    free(bytes);
}

static void write_notes(const struct fixture *f, const char *digest, const void *p, size_t n)
{
    char path[512];
    snprintf(path, sizeof path, "%s/blobs/pull-%s.parts", f->root, digest + 7);
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(p, 1, n, out), n);
    fclose(out);
}

/* Notes that cannot be right count for nothing. */
static void test_partial_notes(void **state)
{
    struct fixture *f = *state;
    static const char digest[] = "sha256:" HEX64;
    struct {
        char magic[16];
        uint64_t size, part, done[3];
    } n;
    struct partial p;
    struct err err = {0};
    bool busy;
    for (int i = 0; i < 7; i++) {
        assert_ok(partial_open(&p, f->s, str_from(digest), SIZE, &busy, &err));
        partial_close(&p);
        memset(&n, 0, sizeof n);
        memcpy(n.magic, "hearth parts 1\n", 16);
        n.size = i == 1 ? SIZE + 1 : SIZE;
        n.part = i == 2 ? 0 : i == 3 ? 1 : PART;
        n.done[0] = i == 4 ? PART + 1 : 7;
        n.magic[0] = i == 5 ? 'x' : 'h';
        write_notes(f, digest, &n, sizeof n - (i == 6 ? 8 : 0));
        assert_ok(partial_open(&p, f->s, str_from(digest), SIZE, &busy, &err));
        assert_int_equal(p.resumed, i == 0);
        assert_int_equal(partial_total(&p), i == 0 ? 7 : 0);
        partial_discard(&p);
        partial_close(&p);
    }
}

static void test_urls(void **state)
{
    struct buf b;
    struct err err = {0};
    char host[64];
    (void)state;
    buf_init(&b, 1024);
    web_escape(&b, STR("a b/c%?#"), true);
    assert_string_equal(b.p, "a%20b/c%25%3F%23");
    assert_ok(web_resolve("https://a/b/c?d", STR("../e?f=1"), &b, &err));
    assert_string_equal(b.p, "https://a/e?f=1");
    assert_ok(web_resolve("https://a/b", STR("http://c:1/d"), &b, &err));
    assert_string_equal(b.p, "http://c:1/d");
    assert_true(web_host("https://U@ABC.de:8/x", host, sizeof host));
    assert_string_equal(host, "abc.de:8");
    assert_false(web_host("nothing", host, 3));
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choose_gguf),
        cmocka_unit_test(test_choose_others),
        cmocka_unit_test(test_choose_safetensors),
        cmocka_unit_test_setup_teardown(test_partial, setup, teardown),
        cmocka_unit_test_setup_teardown(test_partial_notes, setup, teardown),
        cmocka_unit_test(test_urls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
