/* The machine's limits: that there are some, of every instruction set this CPU has. */
#include "support.h"
#include "kernel/kernel.h"
#include "kernel/probe.h"

static void peaks_of_every_table(void **state)
{
    (void)state;
    struct err err;
    struct pool *pool;
    assert_ok(pool_new(&pool, 2, &err));
    for (int i = 0; kernel_ops_at(i); i++) {
        assert_true(probe_int8_gop_s(pool, kernel_ops_at(i)->isa) > 0);
        assert_true(probe_f32_gop_s(NULL, kernel_ops_at(i)->isa) > 0);
    }
    assert_true(probe_int8_gop_s(pool, "abacus") == 0);
    pool_free(pool);
}

static void blocks_of_any_size(void **state)
{
    (void)state;
    struct err err;
    struct probe *p;
    assert_ok(probe_open(&p, 1, &err));
    assert_true(probe_bytes(p) >= 1);
    assert_true(probe_gb_s(p, NULL, 0) > 0);
    probe_close(p);
    probe_close(NULL);
    assert_int_equal(probe_open(&p, SIZE_MAX, &err), ENOMEMORY);
    assert_null(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(peaks_of_every_table),
        cmocka_unit_test(blocks_of_any_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
