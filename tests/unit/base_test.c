/* The ground floor: buffers with ceilings, arenas, UTF-8, JSON writing, files, the thread pool. */
#include "base/arena.h"
#include "base/file.h"
#include "base/json.h"
#include "base/jsonw.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"
#include "base/stats.h"
#include "base/utf8.h"
#include "support.h"
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void buf_keeps_its_ceiling(void **state)
{
    (void)state;
    struct buf b;
    struct err err = {0};
    buf_init(&b, 10);
    buf_adds(&b, "12345");
    buf_printf(&b, "%d", 67890);
    assert_int_equal(buf_check(&b, "test", &err), OK);
    assert_string_equal(b.p, "1234567890");
    buf_addc(&b, 'x');
    assert_int_equal(buf_check(&b, "test", &err), ELIMIT);
    assert_string_equal(err.msg, "test: would grow past 10 bytes (or memory ran out)");
    buf_clear(&b);
    buf_add(&b, NULL, 0);
    assert_int_equal(buf_check(&b, "test", &err), OK);
    buf_release(&b);
}

static void arena_keeps_its_ceiling(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 20);
    for (int i = 0; i < 1000; i++) {
        char *p = arena_alloc(&a, 100);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 16, 0);
        for (int k = 0; k < 100; k++)
            assert_int_equal(p[k], 0);
        memset(p, 0xff, 100);
    }
    assert_non_null(arena_alloc(&a, 500000));
    assert_null(arena_alloc(&a, 1 << 20));
    assert_null(arena_array(&a, SIZE_MAX / 2, 3));
    arena_release(&a);
}

static void large_blocks_start_on_huge_pages(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 100, 4 << 20, (4 << 20) + 1, 9 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char *p = mem_aligned(sizes[i]);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % (sizes[i] >= 4 << 20 ? 2 << 20 : 64), 0);
        for (size_t k = 0; k < sizes[i]; k++)
            assert_int_equal(p[k], 0);
        memset(p, 0xff, sizes[i]);
        mem_aligned_free(p, sizes[i]);
    }
    assert_null(mem_aligned(SIZE_MAX - 100));
}

static void utf8_rejects_what_rfc_3629_rejects(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t valid, tail;
    } rows[] = {
        {"abc", 3, 0},
        {"h\xc3\xa9", 3, 0},
        {"\xe2\x82\xac", 3, 0},
        {"\xe2\x82", 0, 2},
        {"a\xf0\x9f\x98", 1, 3},
        {"\xc0\x80", 0, 0},
        {"\xed\xa0\x80", 0, 0},
        {"\xf4\x90\x80\x80", 0, 0},
        {"\xf0\x9f\x98\x80", 4, 0},
        {"\xff", 0, 0},
        {"\xc3", 0, 1},
        {"", 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct str s = str_from(rows[i].text);
        assert_int_equal(utf8_valid_prefix(s), rows[i].valid);
        assert_int_equal(utf8_incomplete_tail(s), rows[i].tail);
    }
    for (uint32_t c = 0; c <= 0x10ffff; c++) {
        char out[4];
        uint32_t back;
        if (c >= 0xd800 && c <= 0xdfff)
            continue;
        int n = utf8_encode(c, out);
        assert_int_equal(utf8_decode(out, (size_t)n, &back), n);
        assert_int_equal(back, c);
    }
}

static void written_json_reads_back(void **state)
{
    (void)state;
    struct buf b;
    struct err err;
    struct jsonw w;
    json_t *v;
    buf_init(&b, 1 << 16);
    jsonw_init(&w, &b, 2);
    jsonw_obj(&w);
    jsonw_kstr(&w, "text", STR("a\"\\\n\x01\xc3\xa9\xff"));
    jsonw_key(&w, "list");
    jsonw_arr(&w);
    jsonw_int(&w, -5);
    jsonw_num(&w, 0.1);
    jsonw_num(&w, 1e300 * 1e300);
    jsonw_end(&w);
    jsonw_kbool(&w, "yes", true);
    jsonw_end(&w);
    assert_int_equal(json_parse(&v, buf_str(&b), "written", &err), OK);
    assert_string_equal(json_string_value(json_object_get(v, "text")),
                        "a\"\\\n\x01\xc3\xa9\xef\xbf\xbd");
    const json_t *list = json_object_get(v, "list");
    assert_int_equal(json_integer_value(json_array_get(list, 0)), -5);
    assert_true(json_real_value(json_array_get(list, 1)) == 0.1);
    assert_true(json_is_null(json_array_get(list, 2)));
    int64_t n;
    assert_int_equal(json_get_int(v, "text", &n, 7, &err), EFORMAT);
    assert_string_equal(err.msg, "'text' is a string, expected an integer");
    assert_int_equal(json_get_int(v, "absent", &n, 7, &err), OK);
    assert_int_equal(n, 7);
    json_decref(v);
    buf_release(&b);
    assert_int_equal(json_parse(&v, STR("{\"a\":1,\"a\":2}"), "twice", &err), EFORMAT);
}

static void a_file_is_written_whole_or_not_at_all(void **state)
{
    (void)state;
    char path[] = "/tmp/hearth-base-XXXXXX";
    struct file_writer w;
    struct file_map m;
    struct err err;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(file_writer_open(&w, path, &err), OK);
    file_writer_put(&w, "hello", 5);
    file_writer_abort(&w);
    assert_int_equal(file_map_open(&m, path, &err), OK);
    assert_int_equal(m.n, 0);
    file_map_close(&m);
    assert_int_equal(file_writer_open(&w, path, &err), OK);
    file_writer_put(&w, "hello", 5);
    assert_int_equal(file_writer_commit(&w, &err), OK);
    assert_int_equal(file_map_open(&m, path, &err), OK);
    assert_int_equal(m.n, 5);
    assert_memory_equal(m.p, "hello", 5);
    file_map_close(&m);
    unlink(path);
    assert_int_equal(file_map_open(&m, path, &err), ENOTFOUND);
    assert_int_equal(file_writer_open(&w, "/no/such/folder/file", &err), EIO);
    assert_int_equal(file_writer_fd(&w, -1, "nothing", &err), EIO);
}

/* A child that is killed while it writes path; returns its id, which no process has any more. */
static pid_t killed_writer(const char *path)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct file_writer w;
        struct err err;
        if (file_writer_open(&w, path, &err) == OK)
            raise(SIGKILL);
        _exit(1);
    }
    int how;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFSIGNALED(how));
    return child;
}

static void make_file(const char *path)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fclose(f);
}

/* In a process of its own, which ends: cmocka and the sanitizers catch SIGBUS themselves. */
static void what_is_cut_off_reads_as_zeros(void **state)
{
    (void)state;
    char path[] = "/tmp/hearth-base-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    enum { PAGES = 64 << 10, BYTES = 3 * PAGES }; /* the largest pages there are */
    char *bytes = malloc(BYTES);
    memset(bytes, 7, BYTES);
    assert_int_equal(write(fd, bytes, BYTES), BYTES);
    pid_t child = fork();
    if (child == 0) {
        struct err err;
        struct file_map cut, whole;
        signal(SIGBUS, SIG_DFL);
        file_map_guard();
        if (file_map_open(&cut, path, &err) != OK || file_map_open(&whole, path, &err) != OK ||
            cut.p[2 * PAGES] != 7 || ftruncate(fd, PAGES) != 0)
            _exit(1);
        if (file_maps_any_broken() || cut.p[2 * PAGES + 5] != 0)
            _exit(2);
        if (!file_map_broken(&cut) || file_map_broken(&whole) || !file_maps_any_broken())
            _exit(3);
        if (cut.p[PAGES - 1] != 7 || cut.p[BYTES - 1] != 0)
            _exit(4);
        file_map_close(&cut);
        file_map_close(&whole);
        raise(SIGBUS); /* of no file: as before */
        _exit(5);
    }
    int how = 0;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFSIGNALED(how) && WTERMSIG(how) == SIGBUS);
    close(fd);
    unlink(path);
    free(bytes);
}

static void parts_of_killed_processes_go(void **state)
{
    (void)state;
    struct file_writer w;
    struct err err;
    char folder[] = "/tmp/hearth-parts-XXXXXX", path[64], stale[96], keep[6][96];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/out", folder);
    pid_t dead[3];
    for (int i = 0; i < 3; i++)
        dead[i] = killed_writer(path);
    /* each run removes what the one before left; the last one's is there */
    snprintf(stale, sizeof stale, "%s.part-%ld", path, (long)dead[2]);
    assert_true(file_exists(stale));
    /* a living process, a folder, a locked file, other names, no number of ours */
    snprintf(keep[0], sizeof keep[0], "%s.part-%ld", path, (long)getppid());
    snprintf(keep[1], sizeof keep[1], "%s.part-%ld", path, (long)dead[0]);
    snprintf(keep[2], sizeof keep[2], "%s.part-%ld", path, (long)dead[1]);
    snprintf(keep[3], sizeof keep[3], "%s.part-%ldx", path, (long)dead[2]);
    snprintf(keep[4], sizeof keep[4], "%s2.part-%ld", path, (long)dead[2]);
    snprintf(keep[5], sizeof keep[5], "%s.part-0%ld", path, (long)dead[2]);
    for (int i = 0; i < 6; i++) {
        assert_false(file_exists(keep[i]));
        if (i == 1)
            assert_int_equal(mkdir(keep[i], 0700), 0);
        else
            make_file(keep[i]);
    }
    int locked = open(keep[2], O_WRONLY | O_CLOEXEC);
    assert_int_equal(flock(locked, LOCK_EX), 0);
    assert_int_equal(file_writer_open(&w, path, &err), OK);
    assert_false(file_exists(stale));
    for (int i = 0; i < 6; i++) {
        if (!file_exists(keep[i]))
            fail_msg("'%s' is gone", keep[i]);
    }
    assert_true(file_exists(w.part));
    file_writer_abort(&w);
    close(locked);
    assert_int_equal(file_writer_open(&w, path, &err), OK);
    assert_false(file_exists(keep[2]));
    assert_int_equal(file_writer_commit(&w, &err), OK);
    rmdir(keep[1]);
    for (int i = 0; i < 6; i++)
        unlink(keep[i]);
    unlink(path);
    assert_int_equal(rmdir(folder), 0);
}

struct marks {
    _Atomic uint8_t *seen;
    atomic_int worker_max;
};

static void mark(void *ctx, int worker, int64_t begin, int64_t end)
{
    struct marks *m = ctx;
    for (int64_t i = begin; i < end; i++)
        atomic_fetch_add(&m->seen[i], 1);
    if (worker > atomic_load(&m->worker_max))
        atomic_store(&m->worker_max, worker);
}

static void pool_runs_every_item_once(void **state)
{
    (void)state;
    struct err err;
    struct rng rng;
    rng_seed(&rng, 1);
    for (int threads = 1; threads <= 5; threads++) {
        struct pool *p;
        assert_int_equal(pool_new(&p, threads, &err), OK);
        for (int round = 0; round < 2000; round++) {
            int64_t n = (int64_t)(rng_next(&rng) % 300), grain = (int64_t)(rng_next(&rng) % 20);
            struct marks m = {.seen = calloc((size_t)n + 1, 1)};
            pool_run(p, mark, &m, n, grain);
            for (int64_t i = 0; i < n; i++)
                assert_int_equal(m.seen[i], 1);
            assert_true(atomic_load(&m.worker_max) < threads);
            free((void *)m.seen);
        }
        pool_free(p);
    }
    struct pool *p;
    assert_int_equal(pool_new(&p, -1, &err), EUSAGE);
}

static void json_takes_huge_integers(void **state)
{
    (void)state;
    struct err err = {0};
    json_t *j;
    struct str text =
        STR("{\"max\": 1000000000000000019884624838656, \"ids\": [-99999999999999999999,"
            "9223372036854775807, 1234567890123456789.5, 1e0000000000000000000001],"
            "\"text\": \"\\\"12345678901234567890123\"}");
    assert_ok(json_parse(&j, text, "config", &err));
    const json_t *ids = json_object_get(j, "ids");
    assert_true(json_real_value(json_object_get(j, "max")) == 1e30);
    assert_true(json_real_value(json_array_get(ids, 0)) == -1e20);
    assert_true(json_number_value(json_array_get(ids, 1)) == 9223372036854775807.0);
    assert_true(json_real_value(json_array_get(ids, 2)) == 1234567890123456789.5);
    assert_true(json_real_value(json_array_get(ids, 3)) == 10);
    assert_string_equal(json_string_value(json_object_get(j, "text")), "\"12345678901234567890123");
    json_decref(j);
    assert_int_equal(json_parse(&j, STR("[1e999]"), "config", &err), EFORMAT);
    assert_int_equal(json_parse(&j, STR("[12345678901234567890123, \"x"), "c", &err), EFORMAT);
}

/* Shuffles of up to six numbers, two of them equal. */
static void a_median_is_the_middle(void **state)
{
    (void)state;
    static const double sorted[] = {-3, 0.5, 2, 2, 7, 11}, middle[] = {-3, -1.25, 0.5, 1.25, 2, 2};
    struct rng rng;
    rng_seed(&rng, 3);
    for (size_t n = 1; n <= 6; n++)
        for (int round = 0; round < 200; round++) {
            double v[6];
            memcpy(v, sorted, sizeof v);
            for (size_t i = n; i > 1; i--) {
                size_t j = (size_t)(rng_next(&rng) % i);
                double x = v[i - 1];
                v[i - 1] = v[j];
                v[j] = x;
            }
            assert_true(stats_median(v, n) == middle[n - 1]);
            assert_memory_equal(v, sorted, n * sizeof *v);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buf_keeps_its_ceiling),
        cmocka_unit_test(arena_keeps_its_ceiling),
        cmocka_unit_test(large_blocks_start_on_huge_pages),
        cmocka_unit_test(utf8_rejects_what_rfc_3629_rejects),
        cmocka_unit_test(written_json_reads_back),
        cmocka_unit_test(a_file_is_written_whole_or_not_at_all),
        cmocka_unit_test(what_is_cut_off_reads_as_zeros),
        cmocka_unit_test(parts_of_killed_processes_go),
        cmocka_unit_test(pool_runs_every_item_once),
        cmocka_unit_test(json_takes_huge_integers),
        cmocka_unit_test(a_median_is_the_middle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
