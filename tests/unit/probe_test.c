/* The machine's limits: that there are some, of every instruction set this CPU has. */
#include "support.h"
#include "base/mem.h"
#include "base/touch.h"
#include "kernel/kernel.h"
#include "kernel/probe.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* Pages of a mapping are entered ahead of use, its bytes stay what they are, and stopping at any
 * moment is safe. */
static void touched_files_read_the_same(void **state)
{
    (void)state;
    char path[] = "/tmp/hearth_touch_XXXXXX";
    enum { BYTES = 5 << 20 };
    struct err err;
    unsigned char *data = malloc(BYTES);
    int fd = mkstemp(path);
    assert_non_null(data);
    assert_true(fd >= 0);
    for (int i = 0; i < BYTES; i++)
        data[i] = (unsigned char)(i * 7 + i / 4096);
    assert_int_equal(write(fd, data, BYTES), BYTES);
    close(fd);
    for (int i = 0; i < 4; i++) {
        struct file_map maps[2] = {{(const unsigned char *)"", 0}};
        assert_ok(file_map_open(&maps[1], path, &err));
        struct touch *t = touch_start(maps, 2);
        if (i % 2)
            assert_memory_equal(maps[1].p, data, BYTES);
        touch_stop(t);
        assert_memory_equal(maps[1].p, data, BYTES);
        file_map_close(&maps[1]);
    }
    touch_stop(NULL);
    unlink(path);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(peaks_of_every_table),
        cmocka_unit_test(blocks_of_any_size),
        cmocka_unit_test(touched_files_read_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
