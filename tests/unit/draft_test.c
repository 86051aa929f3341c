/* Prompt lookup without a model: the index beside a brute-force search, and when guessing pays,
 * with times that are made up. */
#include "base/rng.h"
#include "engine/draft.h"
#include "engine/ngram.h"
#include "support.h"
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The longest end of text[0, n) that also stands earlier, of those the latest. */
static int search(const int32_t *text, size_t n, size_t *next)
{
    for (size_t len = NGRAM_MAX; len > 0; len--)
        for (size_t end = n - 1; n > 0 && end >= len; end--)
            if (memcmp(text + end - len, text + n - len, len * sizeof *text) == 0) {
                *next = end;
                return (int)len;
            }
    return 0;
}

static void check_index(size_t cap, uint64_t alphabet, size_t period, int n_tokens, uint64_t seed)
{
    struct err err;
    struct ngram_index ix;
    struct rng r;
    int32_t *text = calloc(cap, sizeof *text), *all = calloc((size_t)n_tokens, sizeof *all);
    size_t n = 0, next = 0;
    rng_seed(&r, seed);
    assert_ok(ngram_init(&ix, cap, &err));
    for (int i = 0; i < n_tokens; i++) {
        bool repeat = period && (size_t)i >= period && rng_next(&r) % 16 != 0;
        all[i] = repeat ? all[(size_t)i - period] : (int32_t)(rng_next(&r) % alphabet);
        if (n == cap) {
            n = cap / 2;
            memmove(text, text + cap - n, n * sizeof *text);
        }
        text[n++] = all[i];
        ngram_add(&ix, all[i]);
        assert_int_equal(ix.n, n);
        int match = search(text, n, &next);
        assert_int_equal(ix.match, match);
        if (match > 0) {
            assert_int_equal(ix.next, next);
            assert_int_equal(ix.token[ix.next], text[next]);
        }
    }
    ngram_release(&ix);
    free(text);
    free(all);
}

static void the_index_finds_what_a_search_finds(void **state)
{
    (void)state;
    check_index(2, 2, 0, 50, 1);
    check_index(3, 2, 0, 50, 2);
    check_index(700, 2, 0, 1500, 3);
    check_index(700, 7, 0, 1500, 4);
    check_index(700, 1000, 0, 1500, 5);
    check_index(700, 100000, 40, 1500, 6);
    check_index(1000, 3, 1, 2100, 7);
    check_index(64, 1, 0, 300, 8);
    check_index(500, INT32_MAX, 13, 1100, 9);
}

static void the_index_is_bounded(void **state)
{
    (void)state;
    struct err err;
    struct ngram_index ix;
    assert_ok(ngram_init(&ix, SIZE_MAX, &err));
    assert_int_equal(ix.cap, NGRAM_TEXT_MAX);
    for (int i = 0; i < NGRAM_TEXT_MAX + 10; i++)
        ngram_add(&ix, i % 1000 * 7 - 3);
    assert_int_equal(ix.n, NGRAM_TEXT_MAX / 2 + 10);
    assert_int_equal(ix.match, NGRAM_MAX);
    assert_int_equal(ix.next, ix.n - 1000);
    ngram_release(&ix);
    assert_ok(ngram_init(&ix, 0, &err));
    for (int i = 0; i < 10; i++)
        ngram_add(&ix, 5);
    assert_true(ix.n <= ix.cap);
    ngram_release(&ix);
}

static struct drafter *drafter(bool always)
{
    struct err err;
    struct drafter *d;
    assert_ok(drafter_new(&d, 4096, always, &err));
    return d;
}

static void add_all(struct drafter *d, const int32_t *t, size_t n)
{
    for (size_t i = 0; i < n; i++)
        drafter_add(d, t[i]);
}

static void a_draft_is_what_followed(void **state)
{
    (void)state;
    int32_t out[DRAFT_MAX];
    const int32_t text[] = {1, 2, 3, 4, 9, 2, 3, 5, 1, 2, 3};
    struct drafter *d = drafter(true);
    assert_int_equal(drafter_guess(d, out, 4), 0);
    add_all(d, text, 11);
    /* "1 2 3" is longer than the later "2 3"; behind the text the draft goes on with itself */
    assert_int_equal(drafter_guess(d, out, 12), 12);
    const int32_t expected[] = {4, 9, 2, 3, 5, 1, 2, 3, 4, 9, 2, 3};
    assert_memory_equal(out, expected, sizeof expected);
    assert_int_equal(drafter_guess(d, out, 0), 0);
    assert_int_equal(drafter_guess(d, out, 3), 3);
    assert_int_equal(drafter_guess(d, out, 1000), DRAFT_MAX);
    drafter_add(d, 77);
    assert_int_equal(drafter_guess(d, out, 4), 0);
    drafter_add(d, 77);
    assert_int_equal(drafter_guess(d, out, 4), 4);
    for (int i = 0; i < 4; i++)
        assert_int_equal(out[i], 77);
    drafter_free(d);
    drafter_free(NULL);
}

/* A text of period 10, whose end has been seen often. */
static struct drafter *sure(void)
{
    struct drafter *d = drafter(false);
    for (int i = 0; i < 20; i++)
        drafter_add(d, i % 10);
    for (int i = 0; i < 100; i++)
        drafter_take(d, i % 10);
    return d;
}

static void times_decide_how_many(void **state)
{
    (void)state;
    int32_t out[DRAFT_MAX];
    struct drafter *d = sure();
    assert_int_equal(drafter_guess(d, out, 15), 0); /* no step was timed yet */
    drafter_timed(d, 1, 1000);
    assert_int_equal(drafter_guess(d, out, 15), 15); /* rows are believed to be cheap */
    for (int i = 0; i < 15; i++)
        assert_int_equal(out[i], i % 10);
    /* 16 rows take 16 times as long, 8 rows twice: 8 it is */
    drafter_timed(d, 16, 16000);
    drafter_timed(d, 8, 2000);
    assert_int_equal(drafter_guess(d, out, 15), 7);
    assert_int_equal(drafter_guess(d, out, 5), 5);
    /* every row costs a step: nothing is gained by any number */
    drafter_timed(d, 2, 2000);
    for (int i = 0; i < 60; i++)
        drafter_timed(d, 8, 8000);
    assert_int_equal(drafter_guess(d, out, 15), 0);
    /* out of range, and no time at all: nothing to learn, nothing breaks */
    drafter_timed(d, 0, 1);
    drafter_timed(d, DRAFT_MAX + 2, 1);
    drafter_timed(d, 3, -5);
    assert_true(drafter_guess(d, out, 15) >= 0);
    drafter_free(d);
}

static void an_old_time_is_measured_again(void **state)
{
    (void)state;
    int32_t out[DRAFT_MAX];
    struct drafter *d = sure();
    drafter_timed(d, 1, 1000);
    for (int rows = 2; rows <= 16; rows++) /* somebody else used the machine */
        drafter_timed(d, rows, 100000);
    for (int i = 0; i < 200; i++)
        drafter_timed(d, 1, 1000);
    assert_int_equal(drafter_guess(d, out, 15), 0);
    for (int i = 0; i < 100; i++)
        drafter_timed(d, 1, 1000);
    assert_int_equal(drafter_guess(d, out, 15), 15);
    /* one row is not known any more either: one plain step */
    for (int i = 0; i < 300; i++)
        drafter_timed(d, 16, 2000);
    assert_int_equal(drafter_guess(d, out, 15), 0);
    drafter_timed(d, 1, 1000);
    assert_int_equal(drafter_guess(d, out, 15), 15);
    /* a sleep of the process is no reason to stop */
    drafter_timed(d, 16, (int64_t)1 << 50);
    assert_int_equal(drafter_guess(d, out, 15), 15);
    drafter_free(d);
}

/* Guesses that would be wrong are given up without being made, and taken up again. */
static void acceptance_decides_how_many(void **state)
{
    (void)state;
    int32_t out[DRAFT_MAX];
    struct rng r;
    struct drafter *d = drafter(false);
    int guessed = 0, late = 0;
    rng_seed(&r, 4);
    for (int rows = 1; rows <= DRAFT_MAX + 1; rows++)
        drafter_timed(d, rows, 1000 + 100 * (rows - 1));
    for (int i = 0; i < 200; i++) { /* words repeat, what follows them does not */
        drafter_take(d, (int32_t)(rng_next(&r) % 50));
        int n = drafter_guess(d, out, 15);
        guessed += n;
        late += i >= 100 ? n : 0;
    }
    assert_true(guessed <= 20); /* a longer match by chance is rare, and still believed */
    assert_true(late <= 10);
    int n = 0, took = 0;
    for (; took < 60 && n < 10; took++) {
        drafter_take(d, 1000 + took % 7);
        n = drafter_guess(d, out, 15);
    }
    assert_true(took < 40); /* a whole period was right, and no row spent to learn it */
    drafter_free(d);
}

/* ---- a second model that guesses ---- */

/* A step of n rows takes 1000 + 20 (n - 1). */
static void cheap_rows(struct drafter *d)
{
    for (int rows = 1; rows <= DRAFT_MAX + 1; rows++)
        drafter_timed(d, rows, 1000 + 20 * (rows - 1));
}

static void a_model_is_asked_where_it_pays(void **state)
{
    (void)state;
    struct drafter *d = drafter(false);
    assert_int_equal(drafter_ask_model(d, 15, 0, 100), 0); /* no step was timed yet */
    cheap_rows(d);
    assert_true(drafter_plain_ns(d, 0) == 1000);
    drafter_expect(d, 0.8);
    int n = drafter_ask_model(d, 15, 0, 100);
    assert_true(n >= 2 && n < 15);
    assert_true(drafter_ask_model(d, 15, 0, 10) > n); /* cheaper guesses: more of them */
    assert_int_equal(drafter_ask_model(d, 1, 0, 100), 1);
    assert_int_equal(drafter_ask_model(d, 0, 0, 100), 0);
    assert_int_equal(drafter_ask_model(d, 15, 0, 900), 0); /* 1.8 tokens for 1.92 steps */
    assert_int_equal(drafter_ask_model(d, 15, DRAFT_MAX, 100), 0);
    /* always right: as many as allowed */
    for (int i = 0; i < 20; i++)
        drafter_judge_model(d, 8, 8);
    assert_int_equal(drafter_ask_model(d, 15, 0, 100), 15);
    drafter_free(d);
    d = drafter(true);
    assert_int_equal(drafter_ask_model(d, 7, 0, 1e9), 7);
    drafter_add(d, 1);
    drafter_add(d, 1);
    assert_int_equal(drafter_ask_model(d, 7, 0, 1), 0); /* prompt lookup has something */
    drafter_free(d);
}

static void lookup_goes_before_when_it_promises_more(void **state)
{
    (void)state;
    struct drafter *d = sure();
    cheap_rows(d);
    assert_int_equal(drafter_ask_model(d, 15, 0, 100), 0);
    for (int i = 0; i < 10; i++) /* the text does not repeat any more */
        drafter_take(d, 1000 + i);
    assert_true(drafter_ask_model(d, 15, 0, 100) > 0);
    drafter_free(d);
}

/* Wrong guesses end by themselves, are tried again ever more seldom, and come back when they are
 * right. */
static void a_model_that_does_not_pay_is_left_alone(void **state)
{
    (void)state;
    struct drafter *d = drafter(false);
    int asked[2] = {0}, steps = 0, n;
    cheap_rows(d);
    drafter_expect(d, 0.7);
    for (int i = 0; i < 4000; i++) {
        n = drafter_ask_model(d, 15, 0, 300);
        asked[i >= 2000] += n;
        if (n)
            drafter_judge_model(d, n, 0);
        drafter_take(d, i);
    }
    assert_true(asked[0] > 0 && asked[0] <= 60);
    assert_true(asked[1] > 0 && asked[1] <= 6);
    for (; steps < 4000; steps++) { /* from now on all are right */
        n = drafter_ask_model(d, 15, 0, 300);
        if (n > 2)
            break;
        if (n)
            drafter_judge_model(d, n, n);
        drafter_take(d, 5000 + steps);
    }
    assert_true(steps < 4000);
    drafter_free(d);
}

static void times_of_steps(void **state)
{
    (void)state;
    struct step_times t = {0};
    assert_true(step_time(&t, 1) == 0);
    assert_true(step_time(&t, 1000) == 0);
    step_timed(&t, 4, 4000);
    assert_true(step_time(&t, 1) == 4000); /* not more than that */
    assert_true(step_time(&t, 4) == 4000);
    assert_true(step_time(&t, 8) > 4000);
    step_timed(&t, 8, 8000);
    assert_true(step_time(&t, 6) == 6000);
    assert_true(step_time(&t, 100000) >= 8000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_index_finds_what_a_search_finds),
        cmocka_unit_test(the_index_is_bounded),
        cmocka_unit_test(a_draft_is_what_followed),
        cmocka_unit_test(times_decide_how_many),
        cmocka_unit_test(an_old_time_is_measured_again),
        cmocka_unit_test(acceptance_decides_how_many),
        cmocka_unit_test(a_model_is_asked_where_it_pays),
        cmocka_unit_test(lookup_goes_before_when_it_promises_more),
        cmocka_unit_test(a_model_that_does_not_pay_is_left_alone),
        cmocka_unit_test(times_of_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
