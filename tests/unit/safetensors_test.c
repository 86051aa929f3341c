/* safetensors: good files open, each way of lying is refused with its reason, indexes stay in their
 * folder. */
#include "base/file.h"
#include "base/mem.h"
#include "format/safetensors.h"
#include "support.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* header_n < 0: the header's true length. Exactly sized, so that a sanitizer sees overreads. */
static enum status open_text(struct safetensors **out, const char *header, long header_n,
                             size_t data_n, unsigned char **copy, struct err *err)
{
    uint64_t n = header_n < 0 ? strlen(header) : (uint64_t)header_n;
    size_t all = sizeof n + strlen(header) + data_n;
    *copy = malloc(all);
    assert_non_null(*copy);
    memcpy(*copy, &n, sizeof n);
    memcpy(*copy + sizeof n, header, strlen(header));
    for (size_t i = 0; i < data_n; i++)
        (*copy)[all - data_n + i] = (unsigned char)i;
    return safetensors_open_mem(out, *copy, all, err);
}

static void good_files_open(void **state)
{
    (void)state;
    struct err err;
    struct safetensors *s;
    unsigned char *copy;
    assert_ok(open_text(&s,
                        "{\"__metadata__\":{\"format\":\"pt\"},"
                        "\"b\":{\"dtype\":\"BF16\",\"shape\":[2,3],\"data_offsets\":[4,16]},"
                        "\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]},"
                        "\"e\":{\"dtype\":\"I8\",\"shape\":[0,7],\"data_offsets\":[16,16]}}   ",
                        -1, 16, &copy, &err));
    assert_int_equal(safetensors_n_tensors(s), 3);
    const struct tensor *t = safetensors_tensor(s, STR("b"));
    assert_non_null(t);
    assert_int_equal(t->type, QT_BF16);
    assert_int_equal(t->n_dims, 2);
    assert_int_equal(t->ne[0], 3);
    assert_int_equal(t->ne[1], 2);
    assert_int_equal(t->bytes, 12);
    assert_int_equal(((const unsigned char *)t->data)[0], 4);
    assert_int_equal(tensor_elems(safetensors_tensor(s, STR("a"))), 1);
    assert_int_equal(tensor_elems(safetensors_tensor(s, STR("e"))), 0);
    assert_null(safetensors_tensor(s, STR("__metadata__")));
    assert_true(str_is(safetensors_metadata(s, "format"), "pt"));
    assert_null(safetensors_metadata(s, "none").p);
    safetensors_close(s);
    free(copy);
    assert_ok(open_text(&s, "{}", -1, 0, &copy, &err));
    assert_int_equal(safetensors_n_tensors(s), 0);
    safetensors_close(s);
    free(copy);
}

#define T(fields) "{\"t\":{" fields "}}"
#define F32_4     "\"dtype\":\"F32\",\"shape\":[4],"

static void lies_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        long header_n;
        size_t data_n;
        enum status code;
        const char *words;
    } rows[] = {
        {"{}", 3, 0, EFORMAT, "header length is 3, expected at most the 2 bytes left"},
        {"{}", 1L << 62, 0, EFORMAT, "header length is 4611686018427387904"},
        {"", -1, 0, EFORMAT, "header: line"},
        {"[]", -1, 0, EFORMAT, "header is no JSON object"},
        {"{}", -1, 1, EFORMAT, "1 unused bytes after the last tensor"},
        {"{\"t\":1}", -1, 0, EFORMAT, "tensor 't': its entry is no object"},
        {"{\"__metadata__\":[]}", -1, 0, EFORMAT, "'__metadata__' is no object"},
        {"{\"__metadata__\":{\"a\":1}}", -1, 0, EFORMAT, "'__metadata__': 'a' is no string"},
        {"{\"t\":{},\"t\":{}}", -1, 0, EFORMAT, "duplicate object key"},
        {T("\"shape\":[4],\"data_offsets\":[0,16]"), -1, 16, EFORMAT, "'dtype' is missing"},
        {T("\"dtype\":\"F8_E4M3\",\"shape\":[4],\"data_offsets\":[0,4]"), -1, 4, EUNSUPPORTED,
         "tensor 't': dtype is F8_E4M3"},
        {T("\"dtype\":\"BOOL\",\"shape\":[4],\"data_offsets\":[0,4]"), -1, 4, EUNSUPPORTED,
         "dtype is BOOL"},
        {T("\"dtype\":4,\"shape\":[4],\"data_offsets\":[0,4]"), -1, 4, EFORMAT,
         "'dtype' is an integer"},
        {T("\"dtype\":\"F32\",\"data_offsets\":[0,16]"), -1, 16, EFORMAT, "'shape' is missing"},
        {T("\"dtype\":\"F32\",\"shape\":[-4],\"data_offsets\":[0,16]"), -1, 16, EFORMAT,
         "shape[0] is no integer"},
        {T("\"dtype\":\"F32\",\"shape\":[4.0],\"data_offsets\":[0,16]"), -1, 16, EFORMAT,
         "shape[0] is no integer"},
        {T("\"dtype\":\"F32\",\"shape\":[1,1,1,1,4],\"data_offsets\":[0,16]"), -1, 16, EUNSUPPORTED,
         "5 dimensions"},
        {T("\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,16]"), -1, 16,
         EFORMAT, "overflows"},
        {T("\"dtype\":\"F32\",\"shape\":[4294967296,4294967296,0],\"data_offsets\":[0,0]"), -1, 0,
         EFORMAT, "overflows"},
        {T("\"dtype\":\"F32\",\"shape\":[9223372036854775808],\"data_offsets\":[0,0]"), -1, 0,
         EFORMAT, "is no integer"},
        {T(F32_4 "\"data_offsets\":[0,20]"), -1, 16, EFORMAT, "the data area has 16 bytes"},
        {T(F32_4 "\"data_offsets\":[16,0]"), -1, 16, EFORMAT, "data_offsets are [16, 0]"},
        {T(F32_4 "\"data_offsets\":[0,12]"), -1, 12, EFORMAT, "span 12 bytes, expected 16"},
        {T(F32_4 "\"data_offsets\":[0]"), -1, 16, EFORMAT, "no array of two"},
        {T(F32_4 "\"data_offsets\":[-16,0]"), -1, 16, EFORMAT, "data_offsets[0] is no integer"},
        {T(F32_4 "\"data_offsets\":[4,20]"), -1, 20, EFORMAT, "4 unused bytes before tensor 't'"},
        {"{\"a\":{" F32_4 "\"data_offsets\":[0,16]},\"b\":{" F32_4 "\"data_offsets\":[8,24]}}", -1,
         24, EFORMAT, "tensor 'b' overlaps tensor 'a' by 8 bytes"},
        {"{\"a\":{" F32_4 "\"data_offsets\":[0,16]},\"b\":{" F32_4 "\"data_offsets\":[20,36]}}", -1,
         36, EFORMAT, "4 unused bytes before tensor 'b'"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct err err = {0};
        struct safetensors *s;
        unsigned char *copy;
        enum status st =
            open_text(&s, rows[i].header, rows[i].header_n, rows[i].data_n, &copy, &err);
        if (st != rows[i].code || !strstr(err.msg, rows[i].words))
            fail_msg("row %zu: got %s '%s', expected '%s'", i, status_name(st), err.msg,
                     rows[i].words);
        assert_null(s);
        free(copy);
    }
}

static void truncations_are_refused(void **state)
{
    (void)state;
    struct err err;
    struct safetensors *s;
    unsigned char *copy;
    const char *header = T(F32_4 "\"data_offsets\":[0,16]");
    assert_ok(open_text(&s, header, -1, 16, &copy, &err));
    safetensors_close(s);
    for (size_t n = 0; n < 8 + strlen(header) + 16; n++) {
        unsigned char *cut = malloc(n ? n : 1);
        assert_non_null(cut);
        memcpy(cut, copy, n);
        assert_int_equal(safetensors_open_mem(&s, cut, n, &err), EFORMAT);
        free(cut);
    }
    free(copy);
}

/* ---- sharded ---- */

static char folder[256];

static const char *in_folder(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const void *p, size_t n)
{
    struct file_writer w;
    struct err err;
    assert_ok(file_writer_open(&w, in_folder(name), &err));
    file_writer_put(&w, p, n);
    assert_ok(file_writer_commit(&w, &err));
}

static void write_shard(const char *name, const char *tensors)
{
    struct buf b;
    uint64_t n = strlen(tensors);
    buf_init(&b, 4096);
    buf_add(&b, &n, sizeof n);
    buf_adds(&b, tensors);
    for (int i = 0; i < 16; i++)
        buf_addc(&b, name[0]);
    write_file(name, b.p, b.n);
    buf_release(&b);
}

static void expect_index(const char *index, enum status code, const char *words)
{
    struct err err = {0};
    struct safetensors *s;
    write_file("index.json", index, strlen(index));
    enum status st = safetensors_open(&s, in_folder("index.json"), &err);
    if (st != code || !strstr(err.msg, words))
        fail_msg("%s: got %s '%s', expected '%s'", index, status_name(st), err.msg, words);
    assert_null(s);
}

static void shards_are_one(void **state)
{
    (void)state;
    struct err err;
    struct safetensors *s;
    snprintf(folder, sizeof folder, "%s", temp_path("shards"));
    assert_int_equal(mkdir(folder, 0700), 0);
    write_shard("1.safetensors", "{\"a\":{\"dtype\":\"I8\",\"shape\":[10],\"data_offsets\":[0,10]},"
                                 "\"extra\":{\"dtype\":\"I8\",\"shape\":[6],"
                                 "\"data_offsets\":[10,16]}}");
    write_shard("2.safetensors", "{\"b\":{" F32_4 "\"data_offsets\":[0,16]}}");
    const char *good = "{\"metadata\":{\"total_size\":26},\"weight_map\":"
                       "{\"b\":\"2.safetensors\",\"a\":\"1.safetensors\"}}";
    write_file("index.json", good, strlen(good));
    assert_ok(safetensors_open(&s, in_folder("index.json"), &err));
    assert_int_equal(safetensors_n_tensors(s), 2);
    assert_int_equal(*(const char *)safetensors_tensor(s, STR("a"))->data, '1');
    assert_int_equal(*(const char *)safetensors_tensor(s, STR("b"))->data, '2');
    assert_null(safetensors_tensor(s, STR("extra")));
    safetensors_close(s);
    assert_ok(safetensors_open(&s, in_folder("2.safetensors"), &err));
    safetensors_close(s);

    expect_index("{}", EFORMAT, "'weight_map' is missing");
    expect_index("{\"weight_map\":{\"a\":7}}", EFORMAT, "expected a plain file name");
    expect_index("{\"weight_map\":{\"a\":\"../1.safetensors\"}}", EFORMAT, "plain file name");
    expect_index("{\"weight_map\":{\"a\":\"/etc/passwd\"}}", EFORMAT, "plain file name");
    expect_index("{\"weight_map\":{\"a\":\"..\"}}", EFORMAT, "plain file name");
    expect_index("{\"weight_map\":{\"a\":\"\"}}", EFORMAT, "plain file name");
    expect_index("{\"weight_map\":{\"a\":\"1.safetensors\\u0000x\"}}", EFORMAT, "plain file name");
    expect_index("{\"weight_map\":{\"a\":\"none.safetensors\"}}", ENOTFOUND, "none.safetensors");
    expect_index("{\"weight_map\":{\"a\":\"2.safetensors\"}}", EFORMAT,
                 "tensor 'a' is not in '2.safetensors'");
    expect_index("{\"weight_map\":{\"a\":\"1.safetensors\",\"c\":\"1.safetensors\"}}", EFORMAT,
                 "tensor 'c' is not in '1.safetensors'");
    static const char *const files[] = {"1.safetensors", "2.safetensors", "index.json"};
    for (int i = 0; i < 3; i++)
        unlink(in_folder(files[i]));
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_files_open),
        cmocka_unit_test(lies_are_refused),
        cmocka_unit_test(truncations_are_refused),
        cmocka_unit_test(shards_are_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
