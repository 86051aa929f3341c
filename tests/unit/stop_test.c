/* Stop strings: whatever the pieces, the told text is the text up to the first stop string, and
 * what is held back is never more than what could become one. */
#include "base/rng.h"
#include "engine/stop.h"
#include "support.h"
#include <string.h>

/* The plainest definition: first end position at which any stop string ends; the longest there. */
static int find_first(struct str text, const struct str *stops, size_t n, size_t *told)
{
    for (size_t end = 1; end <= text.n; end++) {
        int found = -1;
        for (size_t k = 0; k < n; k++)
            if (str_ends(str_slice(text, 0, end), stops[k]) &&
                (found < 0 || stops[k].n > stops[found].n))
                found = (int)k;
        if (found >= 0) {
            *told = end - stops[found].n;
            return found;
        }
    }
    *told = text.n;
    return -1;
}

static size_t longest_partial(struct str text, const struct str *stops, size_t n)
{
    size_t longest = 0;
    for (size_t k = 0; k < n; k++)
        for (size_t m = 1; m < stops[k].n; m++)
            if (m > longest && str_ends(text, str_slice(stops[k], 0, m)))
                longest = m;
    return longest;
}

static void random_splits_tell_the_same(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 21);
    int stopped = 0;
    for (int trial = 0; trial < 20000; trial++) {
        char text[64], stop_bytes[3][8];
        struct str stops[3], all = {text, rng_next(&r) % 64};
        size_t n = rng_next(&r) % 4;
        for (size_t i = 0; i < all.n; i++)
            text[i] = (char)('a' + rng_next(&r) % 2);
        for (size_t k = 0; k < n; k++) {
            stops[k] = (struct str){stop_bytes[k], 1 + rng_next(&r) % 8};
            for (size_t i = 0; i < stops[k].n; i++)
                stop_bytes[k][i] = (char)('a' + rng_next(&r) % 2);
        }
        struct stopper s;
        struct err err = {0};
        struct buf out;
        buf_init(&out, 1000);
        assert_ok(stopper_init(&s, stops, n, &err));
        size_t told, at = 0;
        int want = find_first(all, stops, n, &told), got = -1;
        while (at < all.n && got < 0) {
            size_t piece = rng_next(&r) % 5;
            piece = piece > all.n - at ? all.n - at : piece;
            got = stopper_feed(&s, str_slice(all, at, at + piece), &out);
            at += piece;
            if (got < 0)
                assert_int_equal(at - out.n, longest_partial(str_slice(all, 0, at), stops, n));
        }
        if (got < 0)
            stopper_flush(&s, &out);
        assert_int_equal(got, want);
        assert_int_equal(out.n, told);
        assert_memory_equal(buf_str(&out).p, text, told);
        stopped += got >= 0;
        stopper_release(&s);
        buf_release(&out);
    }
    assert_in_range(stopped, 5000, 19000);
}

static void characters_stay_whole(void **state)
{
    (void)state;
    struct str stop = STR("\xc3\xa9!");
    struct stopper s;
    struct err err = {0};
    struct buf out;
    buf_init(&out, 100);
    assert_ok(stopper_init(&s, &stop, 1, &err));
    assert_int_equal(stopper_feed(&s, STR("x\xc3\xa8"), &out), -1); /* shares its first byte */
    assert_true(str_is(buf_str(&out), "x\xc3\xa8"));
    assert_int_equal(stopper_feed(&s, STR("\xc3\xa9"), &out), -1);
    assert_int_equal(out.n, 3);
    assert_int_equal(stopper_feed(&s, STR("?"), &out), -1);
    assert_true(str_is(buf_str(&out), "x\xc3\xa8\xc3\xa9?"));
    assert_int_equal(stopper_feed(&s, STR("\xc3\xa9! and more"), &out), 0);
    assert_int_equal(out.n, 6);
    stopper_release(&s);
    buf_release(&out);
}

static void bad_texts_are_told(void **state)
{
    (void)state;
    struct err err = {0};
    struct stopper s;
    struct str texts[2] = {STR("ok"), STR("")};
    assert_int_equal(stopper_init(&s, texts, 2, &err), EUSAGE);
    assert_string_equal(err.msg, "stop: a text of 0 bytes, expected 1 to 4096");
    stopper_release(&s);
    texts[1] = STR("a\xa9");
    assert_int_equal(stopper_init(&s, texts, 2, &err), EUSAGE);
    assert_string_equal(err.msg, "stop: text is not valid UTF-8 at byte 1");
    stopper_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_splits_tell_the_same),
        cmocka_unit_test(characters_stay_whole),
        cmocka_unit_test(bad_texts_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
