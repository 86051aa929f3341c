/* Small tokenizers of every kind against what Hugging Face transformers does with them: ids with
 * and without special tokens, decoded text, rendered chats; from tokenizer.json and from the GGUF
 * file that llama.cpp's converter makes of it. tests/data/tokenizer/make.py made the data. */
#include "base/file.h"
#include "base/json.h"
#include "base/utf8.h"
#include "engine/vocab_gguf.h"
#include "support.h"
#include <stdlib.h>

#define DATA HEARTH_SOURCE_DIR "/tests/data/tokenizer/"

struct count {
    int good, n;
};

static void ids_of(const json_t *list, struct tokens *out)
{
    size_t i;
    json_t *v;
    out->n = 0;
    json_array_foreach((json_t *)(uintptr_t)list, i, v)
        assert_true(tokens_add(out, (int32_t)json_integer_value(v)));
}

static void print_ids(const char *what, const struct tokens *t)
{
    print_message("  %s", what);
    for (size_t i = 0; i < t->n; i++)
        print_message(" %d", t->id[i]);
    print_message("\n");
}

static void check_ids(const struct tokenizer *t, const char *where, struct str text, unsigned flags,
                      const json_t *expected, struct count *c)
{
    struct err err = {0};
    struct tokens got = {0}, want = {0};
    if (!json_is_array(expected))
        return;
    ids_of(expected, &want);
    assert_ok(tokenizer_encode(t, text, flags, &got, &err));
    bool same = got.n == want.n && (got.n == 0 || memcmp(got.id, want.id, 4 * got.n) == 0);
    if (!same) {
        print_message("%s flags %u: '%.*s'\n", where, flags, STR_ARG(text));
        print_ids("got ", &got);
        print_ids("want", &want);
    }
    c->good += same;
    c->n++;
    tokens_free(&got);
    tokens_free(&want);
}

/* The text of the ids, whole and streamed. */
static void check_decoded(const struct tokenizer *t, const char *where, const json_t *ids,
                          const json_t *expected, struct count *c)
{
    struct err err = {0};
    struct tokens list = {0};
    struct buf whole, stream;
    struct detok d = {0};
    if (!json_is_string(expected))
        return;
    buf_init(&whole, 1 << 20);
    buf_init(&stream, 1 << 20);
    ids_of(ids, &list);
    assert_ok(tokenizer_decode(t, list.id, list.n, false, &whole, &err));
    for (size_t i = 0; i < list.n; i++) {
        assert_ok(detok_add(t, &d, list.id[i], false, &stream, &err));
        assert_int_equal(utf8_valid_prefix(buf_str(&stream)), stream.n);
    }
    detok_flush(&d, &stream);
    bool same =
        str_eq(buf_str(&whole), json_str(expected)) && str_eq(buf_str(&stream), json_str(expected));
    if (!same)
        print_message("%s: decoded '%.*s', streamed '%.*s', want '%s'\n", where,
                      STR_ARG(buf_str(&whole)), STR_ARG(buf_str(&stream)),
                      json_string_value(expected));
    c->good += same;
    c->n++;
    tokens_free(&list);
    buf_release(&whole);
    buf_release(&stream);
}

static void check_case(const struct tokenizer *t, const char *where, const json_t *test,
                       struct count *c)
{
    size_t i;
    json_t *v;
    json_array_foreach(json_object_get(test, "tokenizer"), i, v)
    {
        struct str text = json_str(json_object_get(v, "text"));
        check_ids(t, where, text, TOKENIZE_ADD_SPECIAL | TOKENIZE_PARSE_SPECIAL,
                  json_object_get(v, "ids"), c);
        check_ids(t, where, text, TOKENIZE_PARSE_SPECIAL, json_object_get(v, "ids_plain"), c);
        check_decoded(t, where, json_object_get(v, "ids_plain"), json_object_get(v, "decoded"), c);
    }
    json_array_foreach(json_object_get(test, "chat"), i, v)
    {
        check_ids(t, where, json_str(json_object_get(v, "text")), TOKENIZE_PARSE_SPECIAL,
                  json_object_get(v, "ids"), c);
    }
}

static void check_json(const json_t *test, struct count *c)
{
    char path[512], where[128];
    struct err err = {0};
    struct buf text;
    struct tokenizer *t;
    buf_init(&text, 1 << 24);
    snprintf(path, sizeof path, DATA "%s.json", json_string_value(json_object_get(test, "json")));
    snprintf(where, sizeof where, "%s json", json_string_value(json_object_get(test, "name")));
    assert_ok(file_read(path, &text, &err));
    assert_ok(
        tokenizer_from_json(&t, buf_str(&text), json_str(json_object_get(test, "config")), &err));
    check_case(t, where, test, c);
    tokenizer_free(t);
    buf_release(&text);
}

static void check_gguf(const json_t *test, struct count *c)
{
    char path[512], where[128];
    struct err err = {0};
    struct gguf *g;
    struct arena arena;
    struct tokenizer *t;
    const char *name = json_string_value(json_object_get(test, "gguf"));
    if (!name)
        return;
    arena_init(&arena, 1 << 24);
    snprintf(path, sizeof path, DATA "%s.gguf", name);
    snprintf(where, sizeof where, "%s gguf", name);
    assert_ok(gguf_open(&g, path, &err));
    assert_ok(tokenizer_from_gguf(&t, g, &arena, &err));
    check_case(t, where, test, c);
    tokenizer_free(t);
    gguf_close(g);
    arena_release(&arena);
}

static void as_transformers_does(void **state)
{
    struct err err = {0};
    json_t *cases, *test;
    size_t i;
    struct count json = {0}, gguf = {0};
    (void)state;
    assert_ok(json_parse_file(&cases, DATA "cases.json", 1 << 24, &err));
    json_array_foreach(cases, i, test)
    {
        check_json(test, &json);
        check_gguf(test, &gguf);
    }
    json_decref(cases);
    print_message("tokenizer.json: %d of %d; GGUF: %d of %d\n", json.good, json.n, gguf.good,
                  gguf.n);
    assert_true(json.n > 300 && gguf.n > 300);
    assert_int_equal(json.good, json.n);
    assert_int_equal(gguf.good, gguf.n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_transformers_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
