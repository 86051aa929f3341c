/* What the process may use, read from folders that look like a machine. */
#include "support.h"
#include "base/machine.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[64];

/* A file below root, with its folders. */
static void put(const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", root, name);
    for (char *p = path + strlen(root) + 1; (p = strchr(p, '/')); p++) {
        *p = 0;
        mkdir(path, 0700);
        *p = '/';
    }
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int make_root(void **state)
{
    (void)state;
    strcpy(root, "/tmp/hearth_machine_XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    return system(command);
}

static void nothing_known_is_zero(void **state)
{
    (void)state;
    assert_int_equal(machine_memory_available(root), 0);
    assert_int_equal(machine_memory_limit(root), 0);
}

static void meminfo_alone(void **state)
{
    (void)state;
    put("proc/meminfo", "MemTotal:  9000 kB\nMemAvailableX: 1 kB\nMemAvailable:   8000 kB\n");
    assert_int_equal(machine_memory_available(root), 8000 * 1024);
    put("proc/self/cgroup", "0::/a/b\n");
    put("sys/fs/cgroup/a/b/memory.max", "max\n");
    assert_int_equal(machine_memory_available(root), 8000 * 1024);
    assert_int_equal(machine_memory_limit(root), 0);
}

static void the_tightest_group_counts(void **state)
{
    (void)state;
    put("proc/meminfo", "MemAvailable:   8000 kB\n");
    put("proc/self/cgroup", "0::/a/b\n");
    put("sys/fs/cgroup/a/b/memory.max", "6000000\n");
    put("sys/fs/cgroup/a/b/memory.current", "1000000\n");
    put("sys/fs/cgroup/a/b/memory.stat", "anon 5\ninactive_file 300000\nactive_file 100000\n");
    assert_int_equal(machine_memory_available(root), 6000000 - 600000);
    put("sys/fs/cgroup/a/memory.max", "5000000\n");
    put("sys/fs/cgroup/a/memory.current", "4900000\n");
    assert_int_equal(machine_memory_available(root), 100000);
    assert_int_equal(machine_memory_limit(root), 5000000);
    put("sys/fs/cgroup/a/memory.current", "5100000\n"); /* over its limit */
    assert_int_equal(machine_memory_available(root), 0);
}

static void a_container_sees_only_its_mount(void **state)
{
    (void)state;
    put("proc/meminfo", "MemAvailable:   8000 kB\n");
    put("proc/self/cgroup", "0::/host/path\n");
    put("sys/fs/cgroup/memory.max", "2000000\n");
    put("sys/fs/cgroup/memory.current", "500000\n");
    assert_int_equal(machine_memory_available(root), 1500000);
}

static void version_one(void **state)
{
    (void)state;
    put("proc/meminfo", "MemAvailable:   8000 kB\n");
    put("proc/self/cgroup", "7:cpu,cpuacct:/x\n4:memory:/job\n10:pids:/\n");
    put("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    put("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "3000000\n");
    put("sys/fs/cgroup/memory/job/memory.usage_in_bytes", "2500000\n");
    put("sys/fs/cgroup/memory/job/memory.stat",
        "inactive_file 1\ntotal_inactive_file 1000000\ntotal_active_file 500000\n");
    assert_int_equal(machine_memory_available(root), 2000000);
    assert_int_equal(machine_memory_limit(root), 3000000);
}

static void this_machine(void **state)
{
    (void)state;
    assert_true(machine_memory_available("") > 1 << 20);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_root, remove_root)
    const struct CMUnitTest tests[] = {
        TEST(nothing_known_is_zero),           TEST(meminfo_alone), TEST(the_tightest_group_counts),
        TEST(a_container_sees_only_its_mount), TEST(version_one),   TEST(this_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
