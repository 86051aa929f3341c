/* The byte-wise JSON scanner beside jansson, on texts and on what is left of them after random
 * changes; members and strings of whole texts. */
#include "support.h"
#include "base/json.h"
#include "base/json_scan.h"
#include "base/rng.h"
#include <stdlib.h>
#include <string.h>

static const char *const texts[] = {
    "{}",
    "[]",
    " [1, -0, 0.5e+10, 1E-3, \"a\", true, false, null, {\"k\": [[], {}]}] ",
    "{\"a\": \"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\\ud83d\\ude00\", \"b\": {\"c\": -12.25}}",
    "\"\"",
    "-1",
    "0",
    "1e5",
    "true",
    "null",
    "[{\"name\": \"x\", \"arguments\": {\"y\": [1, 2, {\"z\": null}]}}, 3]",
};

static bool jansson_takes(struct str text)
{
    json_error_t e;
    json_t *v = json_loadb(text.p, text.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);
    bool ok = v != NULL;
    /* numbers past its range are JSON all the same */
    if (!v && json_error_code(&e) == json_error_numeric_overflow)
        ok = true;
    json_decref(v);
    return ok;
}

static void test_against_jansson(void **state)
{
    (void)state;
    static const char alphabet[] = "{}[]\",:0123.eE+-\\u/ntrfdb \n\ta";
    struct rng r;
    int whole = 0, broken = 0;
    rng_seed(&r, 7);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_true(json_is_whole(str_from(texts[i])));
        for (int k = 0; k < 3000; k++) {
            char text[256];
            size_t n = strlen(texts[i]);
            memcpy(text, texts[i], n + 1);
            for (uint64_t m = 1 + rng_next(&r) % 3; m > 0; m--) {
                size_t at = rng_next(&r) % n;
                if (rng_next(&r) % 2)
                    text[at] = alphabet[rng_next(&r) % (sizeof alphabet - 1)];
                else if (n > 1)
                    memmove(text + at, text + at + 1, n-- - at);
            }
            struct str s = {text, n};
            bool ok = json_is_whole(s);
            /* a surrogate's half can be escaped by accident in one text only, and jansson's rules
             * for it are ours */
            if (ok != jansson_takes(s))
                fail_msg("'%.*s' is %s", STR_ARG(s), ok ? "whole" : "broken");
            whole += ok;
            broken += !ok;
        }
    }
    assert_true(whole > 3000 && broken > 3000);
}

static void test_end(void **state)
{
    (void)state;
    struct json_scan s = {0};
    const char *text = "{\"a\": [1, {\"b\": \"}\"}]}";
    for (const char *p = text; *p; p++)
        assert_int_equal(json_scan_byte(&s, *p), p[1] ? JSON_MORE : JSON_WHOLE);
    struct json_scan deep = {0};
    for (int i = 0; i < JSON_SCAN_DEPTH; i++)
        assert_int_equal(json_scan_byte(&deep, '['), JSON_MORE);
    assert_int_equal(json_scan_byte(&deep, '['), JSON_BROKEN);
}

static void test_members(void **state)
{
    (void)state;
    struct str o =
        STR(" {\"a\": 12 ,\"b\":\"x,}\", \"c\" : {\"a\": [1, 2]}, \"d\":true,\"b\":-1e3}\n");
    assert_true(str_is(json_member(o, "a"), "12"));
    assert_true(str_is(json_member(o, "b"), "-1e3"));
    assert_true(str_is(json_member(o, "c"), "{\"a\": [1, 2]}"));
    assert_true(str_is(json_member(o, "d"), "true"));
    assert_null(json_member(o, "e").p);
    assert_null(json_member(STR("[1]"), "a").p);
    assert_null(json_member((struct str){NULL, 0}, "a").p);
    struct json_walk w;
    struct str k, v;
    size_t n = 0;
    assert_true(json_walk_begin(&w, STR("[ ]")));
    assert_false(json_walk_next(&w, &k, &v));
    assert_true(json_walk_begin(&w, STR("[1, \"a\" ,[ ],{\"x\" : 0}]")));
    while (json_walk_next(&w, &k, &v)) {
        static const char *const want[] = {"1", "\"a\"", "[ ]", "{\"x\" : 0}"};
        assert_null(k.p);
        assert_true(str_is(v, want[n++]));
    }
    assert_int_equal(n, 4);
}

static void test_unquote(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 1000);
    json_unquote(STR("\"a\\n\\\"\\\\\\/\\u00e4\\ud83d\\ude00\\u0041\""), &out);
    assert_true(str_is(buf_str(&out), "a\n\"\\/\xc3\xa4\xf0\x9f\x98\x80"
                                      "A"));
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_jansson),
        cmocka_unit_test(test_end),
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_unquote),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
