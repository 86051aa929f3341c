/* The few words of cmocka that the kernel tests use, for the cross build of tools/arm_check.sh:
 * a failed check prints its place and ends the program. */
#pragma once
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct CMUnitTest {
    const char *name;
    void (*run)(void **state);
};
#define cmocka_unit_test(f)                                                                        \
    {                                                                                              \
#f, f                                                                                      \
    }

#define fail_msg(...)                                                                              \
    do {                                                                                           \
        printf("%s:%d: ", __FILE__, __LINE__);                                                     \
        printf(__VA_ARGS__);                                                                       \
        printf("\n");                                                                              \
        exit(1);                                                                                   \
    } while (0)
#define fail() fail_msg("failed")
#define assert_true(x)                                                                             \
    do {                                                                                           \
        if (!(x))                                                                                  \
            fail_msg("%s", #x);                                                                    \
    } while (0)
#define assert_int_equal(a, b)       assert_true((long long)(a) == (long long)(b))
#define assert_memory_equal(a, b, n) assert_true(memcmp(a, b, n) == 0)
#define assert_string_equal(a, b)    assert_true(strcmp(a, b) == 0)
#define assert_non_null(a)           assert_true((a) != NULL)
#define assert_null(a)               assert_true((a) == NULL)

#define cmocka_run_group_tests(tests, setup, teardown)                                             \
    arm_run(tests, (int)(sizeof(tests) / sizeof((tests)[0])))

static inline int arm_run(const struct CMUnitTest *tests, int n)
{
    for (int i = 0; i < n; i++) {
        tests[i].run(NULL);
        printf("ok %s\n", tests[i].name);
    }
    return 0;
}
