/* GGUF: what is written comes back; what is broken is refused with the reason. */
#include "base/file.h"
#include "base/mem.h"
#include "format/gguf.h"
#include "support.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- files made by hand, byte by byte ---- */

static void u32(struct buf *b, uint32_t v)
{
    buf_add(b, &v, sizeof v);
}

static void u64(struct buf *b, uint64_t v)
{
    buf_add(b, &v, sizeof v);
}

static void text(struct buf *b, const char *s)
{
    u64(b, strlen(s));
    buf_adds(b, s);
}

static void head(struct buf *b, uint32_t version, uint64_t n_tensors, uint64_t n_kv)
{
    buf_init(b, 1 << 20);
    buf_adds(b, "GGUF");
    u32(b, version);
    u64(b, n_tensors);
    u64(b, n_kv);
}

static void key(struct buf *b, const char *name, uint32_t type)
{
    text(b, name);
    u32(b, type);
}

static void tensor(struct buf *b, const char *name, uint32_t type, uint64_t ne0, uint64_t ne1,
                   uint64_t offset)
{
    text(b, name);
    u32(b, 2);
    u64(b, ne0);
    u64(b, ne1);
    u32(b, type);
    u64(b, offset);
}

static void pad(struct buf *b, size_t data_bytes)
{
    while (b->n % 32)
        buf_addc(b, 0);
    char *p = buf_grow(b, data_bytes);
    assert_non_null(p);
    memset(p, 0, data_bytes);
}

/* Opens an exact copy, so that a sanitizer sees reads past the end; expects code and words. */
static void expect(struct buf *b, enum status code, const char *words)
{
    struct gguf *g = NULL;
    struct err err = {0};
    char *copy = mem_dup(b->p, b->n);
    copy = realloc(copy, b->n ? b->n : 1);
    assert_non_null(copy);
    enum status s = gguf_open_mem(&g, copy, b->n, &err);
    if (s != code || (words && !strstr(err.msg, words)))
        fail_msg("got %s '%s', expected %s '%s'", status_name(s), err.msg, status_name(code),
                 words ? words : "");
    if (s != OK)
        assert_null(g);
    gguf_close(g);
    free(copy);
    buf_release(b);
}

static void heads_are_checked(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 100);
    expect(&b, EFORMAT, "not a GGUF file");
    buf_adds(&b, "GGML\3\0\0\0");
    expect(&b, EFORMAT, "starts with 'GGML', expected 'GGUF'");
    buf_adds(&b, "GGUF");
    expect(&b, EFORMAT, "file ends before its version");
    head(&b, 3, 0, 0);
    expect(&b, OK, NULL);
    head(&b, 2, 0, 0);
    expect(&b, OK, NULL);
    head(&b, 1, 0, 0);
    expect(&b, EUNSUPPORTED, "GGUF version 1, expected 2 or 3");
    head(&b, 0x03000000, 0, 0);
    expect(&b, EUNSUPPORTED, "big-endian");
    head(&b, 3, UINT64_MAX, 0);
    expect(&b, EFORMAT, "18446744073709551615 tensors, but only 0 bytes are left");
    head(&b, 3, 0, 1u << 30);
    expect(&b, EFORMAT, "1073741824 keys");
}

static void keys_are_checked(void **state)
{
    (void)state;
    struct buf b;
    head(&b, 3, 0, 1);
    u64(&b, UINT64_MAX - 3);
    u64(&b, 0);
    expect(&b, EFORMAT, "key 0: length is 18446744073709551612");
    head(&b, 3, 0, 1);
    key(&b, "a.b", 13);
    u64(&b, 0);
    expect(&b, EFORMAT, "key 'a.b': type is 13, expected 0 to 12");
    head(&b, 3, 0, 1);
    key(&b, "flag", 7);
    buf_addc(&b, 2);
    expect(&b, EFORMAT, "key 'flag': bool is 2");
    head(&b, 3, 0, 2);
    for (int i = 0; i < 2; i++) {
        key(&b, "same", 4);
        u32(&b, 1);
    }
    expect(&b, EFORMAT, "key 'same' appears twice");
    head(&b, 3, 0, 1);
    key(&b, "arr", 9);
    u32(&b, 4);
    u64(&b, UINT64_MAX / 4 + 2); /* times 4 wraps around to 4 */
    u32(&b, 0);
    expect(&b, EFORMAT, "key 'arr': 4611686018427387905 elements of u32");
    head(&b, 3, 0, 1);
    key(&b, "arr", 9);
    u32(&b, 8);
    u64(&b, 1);
    u64(&b, 100);
    expect(&b, EFORMAT, "key 'arr': string 0: length is 100");
    head(&b, 3, 0, 1);
    key(&b, "deep", 9);
    for (int i = 0; i < 5; i++) {
        u32(&b, 9);
        u64(&b, 1);
    }
    u32(&b, 0);
    u64(&b, 0);
    expect(&b, EUNSUPPORTED, "nested more than 4 deep");
    head(&b, 3, 0, 1);
    key(&b, "esc\x1b[2J\nkey", 99);
    buf_addc(&b, 0);
    expect(&b, EFORMAT, "key 'esc\\x1b[2J\\x0akey'");
    head(&b, 3, 0, 1);
    key(&b, "general.alignment", 4);
    u32(&b, 0);
    expect(&b, EFORMAT, "'general.alignment' is 0");
    head(&b, 3, 0, 1);
    key(&b, "general.alignment", 8);
    text(&b, "32");
    expect(&b, EFORMAT, "'general.alignment' is string, expected an integer");
}

static void tensors_are_checked(void **state)
{
    (void)state;
    static const struct {
        uint32_t type;
        uint64_t ne0, ne1, offset;
        enum status code;
        const char *words;
    } rows[] = {
        {0, 8, 2, 0, OK, NULL},
        {0, 8, 3, 0, EFORMAT, "tensor 't': 96 bytes at offset 0, but the data area has 64 bytes"},
        {0, 8, 2, 32, EFORMAT, "64 bytes at offset 32"},
        {0, 8, 1, 32, OK, NULL},
        {0, 8, 1, 16, EFORMAT, "offset is 16, expected a multiple of 32"},
        {0, 8, 1, UINT64_MAX - 31, EFORMAT, "at offset 18446744073709551584"},
        {0, 0, 1, 0, EFORMAT, "dimension 0 is 0"},
        {0, UINT64_MAX, 1, 0, EFORMAT, "dimension 0 is 18446744073709551615"},
        {0, 1ull << 62, 4, 0, EFORMAT, "overflows"},
        {0, 1ull << 61, 2, 0, EFORMAT, "overflows"},
        {2, 32, 2, 0, OK, NULL},
        {2, 33, 1, 0, EFORMAT, "rows of 33 elements, expected a multiple of 32 for type q4_0"},
        {12, 128, 1, 0, EFORMAT, "expected a multiple of 256 for type q4_k"},
        {5, 32, 1, 0, EUNSUPPORTED, "tensor 't': unknown type 5"},
        {4096, 32, 1, 0, EUNSUPPORTED, "unknown type 4096"},
    };
    struct buf b;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        head(&b, 3, 1, 0);
        tensor(&b, "t", rows[i].type, rows[i].ne0, rows[i].ne1, rows[i].offset);
        pad(&b, 64);
        expect(&b, rows[i].code, rows[i].words);
    }
    head(&b, 3, 2, 0);
    tensor(&b, "a", 0, 8, 1, 0);
    tensor(&b, "a", 0, 8, 1, 32);
    pad(&b, 64);
    expect(&b, EFORMAT, "tensor 'a' appears twice");
    head(&b, 3, 2, 0);
    tensor(&b, "a", 0, 8, 1, 32);
    tensor(&b, "b", 0, 8, 2, 0);
    pad(&b, 64);
    expect(&b, EFORMAT, "tensor 'a' overlaps tensor 'b' by 32 bytes");
    head(&b, 3, 1, 0);
    text(&b, "t");
    u32(&b, 5);
    pad(&b, 64);
    expect(&b, EFORMAT, "5 dimensions, expected at most 4");
}

/* Every way to cut a file short is an error, never a crash. */
static void truncations_are_refused(void **state)
{
    (void)state;
    struct buf b, cut;
    head(&b, 3, 1, 3);
    key(&b, "s", 8);
    text(&b, "value");
    key(&b, "a", 9);
    u32(&b, 8);
    u64(&b, 2);
    text(&b, "x");
    text(&b, "");
    key(&b, "n", 12);
    u64(&b, 1);
    tensor(&b, "t", 0, 8, 2, 0);
    pad(&b, 64);
    for (size_t n = 0; n < b.n; n++) {
        buf_init(&cut, 1 << 20);
        buf_add(&cut, b.p, n);
        expect(&cut, EFORMAT, NULL);
    }
    expect(&b, OK, NULL);
}

/* ---- writing and reading back ---- */

static void put_metadata(struct gguf_writer *w)
{
    const struct str strs[] = {STR("a"), STR(""), STR("ccc")};
    const int32_t ints[] = {1, -2, 3};
    const float floats[] = {0.5f, -1.25f};
    gguf_put_u32(w, "u32", 4000000000u);
    gguf_put_u64(w, "u64", UINT64_MAX);
    gguf_put_i32(w, "i32", -5);
    gguf_put_f32(w, "f32", 1.5f);
    gguf_put_bool(w, "yes", true);
    gguf_put_str(w, "str", STR("text\0more"));
    gguf_put_strs(w, "strs", strs, 3);
    gguf_put_i32s(w, "i32s", ints, 3);
    gguf_put_f32s(w, "f32s", floats, 2);
    gguf_put_strs(w, "none", NULL, 0);
}

static void check_metadata(const struct gguf *g)
{
    struct err err;
    int64_t i, ints[3];
    double f;
    bool yes;
    struct str s, strs[3];
    float floats[3];
    assert_int_equal(gguf_n_kv(g), 10);
    assert_ok(gguf_get_int(g, "u32", &i, 0, &err));
    assert_int_equal(i, 4000000000);
    assert_ok(gguf_get_int(g, "i32", &i, 0, &err));
    assert_int_equal(i, -5);
    assert_ok(gguf_get_int(g, "absent", &i, 77, &err));
    assert_int_equal(i, 77);
    assert_int_equal(gguf_get_int(g, "u64", &i, 0, &err), EFORMAT);
    assert_string_equal(err.msg, "'u64' is 18446744073709551615, expected at most 2^63 - 1");
    assert_int_equal(gguf_get_int(g, "f32", &i, 0, &err), EFORMAT);
    assert_string_equal(err.msg, "'f32' is f32, expected an integer");
    assert_ok(gguf_get_float(g, "f32", &f, 0, &err));
    assert_true(f == 1.5);
    assert_ok(gguf_get_float(g, "i32", &f, 0, &err));
    assert_true(f == -5);
    assert_int_equal(gguf_get_float(g, "str", &f, 0, &err), EFORMAT);
    assert_ok(gguf_get_bool(g, "yes", &yes, false, &err));
    assert_true(yes);
    assert_int_equal(gguf_get_bool(g, "strs", &yes, false, &err), EFORMAT);
    assert_string_equal(err.msg, "'strs' is an array of string, expected a bool");
    assert_ok(gguf_get_str(g, "str", &s, &err));
    assert_true(str_eq(s, STR("text\0more")));
    assert_ok(gguf_get_str(g, "absent", &s, &err));
    assert_null(s.p);
    assert_ok(gguf_array_strings(gguf_find(g, "strs"), strs, &err));
    assert_true(str_is(strs[0], "a") && str_is(strs[1], "") && str_is(strs[2], "ccc"));
    assert_ok(gguf_array_ints(gguf_find(g, "i32s"), ints, &err));
    assert_int_equal(ints[1], -2);
    assert_int_equal(gguf_array_ints(gguf_find(g, "f32s"), ints, &err), EFORMAT);
    assert_ok(gguf_array_floats(gguf_find(g, "f32s"), floats, &err));
    assert_true(floats[1] == -1.25f);
    assert_ok(gguf_array_floats(gguf_find(g, "i32s"), floats, &err));
    assert_true(floats[2] == 3);
    assert_int_equal(gguf_array_strings(gguf_find(g, "i32s"), strs, &err), EFORMAT);
    assert_int_equal(gguf_find(g, "none")->n, 0);
}

static void what_is_written_comes_back(void **state)
{
    (void)state;
    struct err err;
    struct gguf_writer *w;
    struct gguf *g;
    const char *path = temp_path("round.gguf");
    const float data[] = {1, 2, 3};
    const int64_t ne[] = {3, 1}, blocks[] = {64, 2};
    unsigned char q[4 * 18];
    memset(q, 7, sizeof q);
    assert_ok(gguf_writer_open(&w, path, &err));
    put_metadata(w);
    gguf_put_tensor(w, STR("vec"), QT_F32, 1, ne);
    gguf_put_tensor(w, STR("mat"), QT_Q4_0, 2, blocks);
    gguf_write_header(w);
    assert_false(file_exists(path)); /* never half a file under the final name */
    gguf_write_data(w, data, 5);
    gguf_write_data(w, (const char *)data + 5, sizeof data - 5);
    gguf_write_data(w, q, sizeof q);
    assert_ok(gguf_writer_commit(w, &err));
    assert_ok(gguf_open(&g, path, &err));
    check_metadata(g);
    assert_int_equal(gguf_version(g), 3);
    assert_int_equal(gguf_n_tensors(g), 2);
    const struct tensor *t = gguf_tensor(g, STR("mat"));
    assert_non_null(t);
    assert_int_equal(t->type, QT_Q4_0);
    assert_int_equal(t->n_dims, 2);
    assert_int_equal(tensor_elems(t), 128);
    assert_int_equal((uintptr_t)t->data % 32, 0);
    assert_memory_equal(t->data, q, sizeof q);
    assert_memory_equal(gguf_tensor(g, STR("vec"))->data, data, sizeof data);
    assert_null(gguf_tensor(g, STR("none")));
    gguf_close(g);
    unlink(path);
}

static void half_written_files_do_not_appear(void **state)
{
    (void)state;
    struct err err;
    struct gguf_writer *w;
    const int64_t ne[] = {8};
    const char *path = temp_path("half.gguf");
    assert_ok(gguf_writer_open(&w, path, &err));
    gguf_put_tensor(w, STR("t"), QT_F32, 1, ne);
    gguf_write_header(w);
    gguf_write_data(w, ne, 4);
    assert_int_equal(gguf_writer_commit(w, &err), EFAIL);
    assert_string_equal(err.msg, "0 of 1 tensors were written");
    assert_false(file_exists(path));
    assert_ok(gguf_writer_open(&w, path, &err));
    gguf_put_tensor(w, STR("t"), QT_Q8_0, 1, ne);
    gguf_write_header(w);
    assert_int_equal(gguf_writer_commit(w, &err), EFORMAT);
    assert_non_null(strstr(err.msg, "expected a multiple of 32 for type q8_0"));
    assert_ok(gguf_writer_open(&w, path, &err));
    gguf_writer_abort(w);
    assert_false(file_exists(path));
}

static void write_part(const char *path, int no, int count, int declared, int own_count)
{
    struct err err;
    struct gguf_writer *w;
    const int64_t ne[] = {4};
    const float data[] = {(float)no, 0, 0, 0};
    char name[16];
    snprintf(name, sizeof name, "t%d", no);
    assert_ok(gguf_writer_open(&w, path, &err));
    gguf_put_u32(w, "split.no", (uint32_t)no);
    gguf_put_u32(w, "split.count", (uint32_t)own_count);
    gguf_put_i32(w, "split.tensors.count", declared);
    (void)count;
    gguf_put_tensor(w, str_from(name), QT_F32, 1, ne);
    gguf_write_header(w);
    gguf_write_data(w, data, sizeof data);
    assert_ok(gguf_writer_commit(w, &err));
}

static void split_models_are_one(void **state)
{
    (void)state;
    struct err err;
    struct gguf *g;
    char path[3][300];
    for (int i = 0; i < 3; i++) {
        char tail[64];
        snprintf(tail, sizeof tail, "split-%05d-of-00003.gguf", i + 1);
        snprintf(path[i], sizeof path[i], "%s", temp_path(tail));
        write_part(path[i], i, 3, 3, 3);
    }
    assert_ok(gguf_open(&g, path[0], &err));
    assert_int_equal(gguf_n_tensors(g), 3);
    for (int i = 0; i < 3; i++) {
        float v;
        memcpy(&v, gguf_tensor_at(g, (size_t)i)->data, sizeof v);
        assert_true(v == (float)i);
    }
    gguf_close(g);
    assert_int_equal(gguf_open(&g, path[1], &err), EUSAGE);
    assert_non_null(strstr(err.msg, "part 2 of a model in 3 files: give the first"));
    write_part(path[2], 1, 3, 3, 3);
    assert_int_equal(gguf_open(&g, path[0], &err), EFORMAT);
    assert_non_null(strstr(err.msg, "is part 1 of 3 of a model, expected part 2 of 3"));
    unlink(path[2]);
    assert_int_equal(gguf_open(&g, path[0], &err), ENOTFOUND);
    write_part(path[2], 2, 3, 3, 3);
    write_part(path[0], 0, 3, 4, 3);
    assert_int_equal(gguf_open(&g, path[0], &err), EFORMAT);
    assert_non_null(strstr(err.msg, "'split.tensors.count' is 4, found 3"));
    for (int i = 0; i < 3; i++)
        unlink(path[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_are_checked),
        cmocka_unit_test(keys_are_checked),
        cmocka_unit_test(tensors_are_checked),
        cmocka_unit_test(truncations_are_refused),
        cmocka_unit_test(what_is_written_comes_back),
        cmocka_unit_test(half_written_files_do_not_appear),
        cmocka_unit_test(split_models_are_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
