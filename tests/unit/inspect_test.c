/* What `inspect` writes, on the seeds of the fuzz targets. */
#include "base/json.h"
#include "format/inspect.h"
#include "support.h"
#include <stdlib.h>
#include <string.h>

#define SEEDS HEARTH_SOURCE_DIR "/tests/fuzz/corpus/"

static json_t *inspect_json(const char *path, size_t max_items)
{
    struct buf out;
    struct err err;
    json_t *v;
    buf_init(&out, 1 << 20);
    assert_ok(inspect_write_items(path, true, max_items, &out, &err));
    assert_ok(json_parse(&v, buf_str(&out), "inspect", &err));
    buf_release(&out);
    return v;
}

static void gguf_metadata_is_json(void **state)
{
    (void)state;
    json_t *v = inspect_json(SEEDS "gguf_fuzz/all_types", SIZE_MAX);
    const json_t *m = json_object_get(v, "metadata");
    assert_string_equal(json_string_value(json_object_get(v, "format")), "gguf");
    assert_int_equal(json_integer_value(json_object_get(v, "version")), 3);
    assert_int_equal(json_object_size(m), 15);
    assert_int_equal(json_integer_value(json_object_get(m, "i8")), -1);
    assert_int_equal(json_integer_value(json_object_get(m, "i64")), -1);
    assert_true(json_is_true(json_object_get(m, "bool")));
    assert_true(json_number_value(json_object_get(m, "f32")) == 1.5);
    assert_string_equal(json_string_value(json_object_get(m, "s")), "llama");
    char *nested = json_dumps(json_object_get(m, "aa"), JSON_COMPACT);
    assert_string_equal(nested, "[[2],[\"x\"]]");
    free(nested);
    json_decref(v);
    v = inspect_json(SEEDS "gguf_fuzz/all_types", 2);
    m = json_object_get(json_object_get(v, "metadata"), "as");
    char *elided = json_dumps(m, JSON_COMPACT);
    assert_string_equal(elided,
                        "{\"elided\":true,\"type\":\"string\",\"count\":3,\"first\":[\"a\",\"\"]}");
    free(elided);
    json_decref(v);
}

static void tensors_are_listed(void **state)
{
    (void)state;
    json_t *v = inspect_json(SEEDS "gguf_fuzz/tensors", 8);
    char *list = json_dumps(json_object_get(v, "tensors"), JSON_COMPACT);
    assert_string_equal(
        list, "[{\"name\":\"a\",\"type\":\"q4_0\",\"shape\":[32,2],\"bytes\":36,\"offset\":0},"
              "{\"name\":\"b\",\"type\":\"f32\",\"shape\":[4],\"bytes\":16,\"offset\":64}]");
    assert_int_equal(json_integer_value(json_object_get(v, "n_params")), 68);
    assert_int_equal(json_integer_value(json_object_get(v, "n_bytes")), 52);
    free(list);
    json_decref(v);
}

static void text_is_for_people(void **state)
{
    (void)state;
    struct buf out;
    struct err err;
    buf_init(&out, 1 << 20);
    assert_ok(inspect_write(SEEDS "gguf_fuzz/tensors", false, &out, &err));
    assert_non_null(strstr(out.p, "gguf version 3\n"));
    assert_non_null(strstr(out.p, "general.architecture  string        llama\n"));
    assert_non_null(strstr(out.p, "2 tensors, 68 parameters"));
    assert_non_null(strstr(out.p, "q4_0                    32 x 2            36\n"));
    buf_release(&out);
    assert_int_equal(inspect_write(SEEDS "gguf_fuzz/huge_count", false, &out, &err), EFORMAT);
    assert_int_equal(inspect_write(SEEDS "gguf_fuzz", false, &out, &err), ENOTFOUND);
    buf_release(&out);
    buf_init(&out, 10);
    assert_int_equal(inspect_write(SEEDS "gguf_fuzz/tensors", false, &out, &err), ELIMIT);
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gguf_metadata_is_json),
        cmocka_unit_test(tensors_are_listed),
        cmocka_unit_test(text_is_for_people),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
