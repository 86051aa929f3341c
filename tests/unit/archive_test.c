/* What the server keeps: answers within their budget, files, batches; for their owners alone. */
#include "base/file.h"
#include "server/archive.h"
#include "server/sql.h"
#include "support.h"
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

struct place {
    char dir[64], db[96], files[96];
};

static int make_place(void **state)
{
    struct place *p = calloc(1, sizeof *p);
    if (!p)
        return 1;
    snprintf(p->dir, sizeof p->dir, "/tmp/archive_XXXXXX");
    if (!mkdtemp(p->dir))
        return 1;
    snprintf(p->db, sizeof p->db, "%s/hearth.db", p->dir);
    snprintf(p->files, sizeof p->files, "%s/files", p->dir);
    *state = p;
    return 0;
}

static int drop_place(void **state)
{
    struct place *p = *state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", p->dir);
    int rc = system(command);
    free(p);
    return rc;
}

static struct archive *open_at(const struct place *p, uint64_t budget)
{
    struct archive *a;
    struct err err = {0};
    struct archive_options o = {.path = p->db, .files = p->files, .responses = budget};
    assert_ok(archive_open(&a, &o, &err));
    return a;
}

static enum status put(struct archive *a, const char *owner, const char *id, struct str previous,
                       struct str body, struct err *err)
{
    char item[64];
    snprintf(item, sizeof item, "msg_%s", id);
    struct str items[] = {str_from(item)};
    struct archive_response r = {.id = str_from(id),
                                 .owner = str_from(owner),
                                 .previous = previous,
                                 .input = STR("[]"),
                                 .body = body,
                                 .items = items,
                                 .n_items = 1};
    return archive_response_put(a, &r, err);
}

static enum status get(struct archive *a, const char *owner, struct str id, struct buf *body,
                       struct err *err)
{
    buf_clear(body);
    return archive_response_get(a, str_from(owner), id, NULL, body, NULL, err);
}

static void test_responses(void **state)
{
    struct archive *a = open_at(*state, 0);
    struct buf body, previous;
    struct err err = {0};
    static const char nasty[] = "{\"t\":\"'); DROP TABLE response; -- \\u0000 \xff\"}\0tail";
    struct stat st;
    buf_init(&body, 1 << 20);
    buf_init(&previous, 1 << 20);
    assert_ok(put(a, "", "r1", (struct str){0}, (struct str){nasty, sizeof nasty}, &err));
    assert_ok(put(a, "", "r2", STR("r1"), STR("{}"), &err));
    assert_ok(put(a, "anna", "r3", (struct str){0}, STR("{\"anna\":1}"), &err));
    assert_int_not_equal(put(a, "", "r2", (struct str){0}, STR("again"), &err), OK);
    assert_ok(get(a, "", STR("r1"), &body, &err));
    assert_int_equal(body.n, sizeof nasty);
    assert_memory_equal(body.p, nasty, sizeof nasty);
    assert_ok(archive_response_get(a, STR(""), STR("r2"), NULL, NULL, &previous, &err));
    assert_string_equal(previous.p, "r1");

    struct archive_response again = {
        .id = STR("r2"), .owner = STR(""), .input = STR("[]"), .body = STR("{\"new\":1}")};
    assert_ok(archive_response_replace(a, &again, &err));
    assert_ok(get(a, "", STR("r2"), &body, &err));
    assert_string_equal(body.p, "{\"new\":1}");
    again.owner = STR("anna");
    assert_int_equal(archive_response_replace(a, &again, &err), ENOTFOUND);
    assert_ok(get(a, "", STR("r2"), &body, &err));

    /* what belongs to somebody else is not there */
    assert_int_equal(get(a, "", STR("r3"), &body, &err), ENOTFOUND);
    assert_string_equal(err.msg, "response 'r3' not found");
    assert_int_equal(archive_response_delete(a, STR(""), STR("r3"), &err), ENOTFOUND);
    assert_int_equal(archive_item(a, STR(""), STR("msg_r3"), &body, &err), ENOTFOUND);
    assert_int_equal(get(a, "", STR("' OR ''='"), &body, &err), ENOTFOUND);
    assert_int_equal(get(a, "", (struct str){"r1\0x", 4}, &body, &err), ENOTFOUND);
    assert_int_equal(get(a, "", (struct str){NULL, 0}, &body, &err), ENOTFOUND);

    /* it survives, readable by its owner alone */
    archive_close(a);
    assert_int_equal(stat(((struct place *)*state)->db, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    a = open_at(*state, 0);
    buf_clear(&body);
    assert_ok(archive_item(a, STR("anna"), STR("msg_r3"), &body, &err));
    assert_string_equal(body.p, "{\"anna\":1}");
    assert_ok(archive_response_delete(a, STR("anna"), STR("r3"), &err));
    assert_int_equal(archive_item(a, STR("anna"), STR("msg_r3"), &body, &err), ENOTFOUND);
    archive_close(a);
    buf_release(&body);
    buf_release(&previous);
}

/* Those that were not used for the longest time leave; reading is use. */
static void test_budget(void **state)
{
    struct archive *a = open_at(*state, 10000);
    struct buf body;
    struct err err = {0};
    char big[2000], id[16];
    memset(big, 'x', sizeof big);
    buf_init(&body, 1 << 20);
    for (int i = 0; i < 3; i++) {
        snprintf(id, sizeof id, "b%d", i);
        assert_ok(put(a, "", id, (struct str){0}, (struct str){big, sizeof big}, &err));
    }
    assert_ok(get(a, "", STR("b0"), &body, &err));
    for (int i = 3; i < 5; i++) {
        snprintf(id, sizeof id, "b%d", i);
        assert_ok(put(a, "", id, (struct str){0}, (struct str){big, sizeof big}, &err));
    }
    assert_int_equal(get(a, "", STR("b1"), &body, &err), ENOTFOUND);
    assert_int_equal(get(a, "", STR("b2"), &body, &err), ENOTFOUND);
    assert_ok(get(a, "", STR("b0"), &body, &err));
    assert_ok(get(a, "", STR("b3"), &body, &err));
    assert_ok(get(a, "", STR("b4"), &body, &err));
    char *huge = calloc(1, 20000);
    assert_int_equal(put(a, "", "huge", (struct str){0}, (struct str){huge, 20000}, &err), ELIMIT);
    free(huge);
    assert_ok(get(a, "", STR("b4"), &body, &err));
    archive_close(a);
    buf_release(&body);
}

static void add_id(void *ctx, const struct archive_file *f)
{
    buf_printf(ctx, "%s ", f->id);
}

static void list(struct archive *a, struct archive_page p, const char *want, bool want_more)
{
    struct buf ids;
    struct err err = {0};
    bool more;
    buf_init(&ids, 4096);
    p.owner = p.owner.p ? p.owner : STR("");
    assert_ok(archive_files(a, &p, add_id, &ids, &more, &err));
    assert_string_equal(ids.p ? ids.p : "", want);
    assert_int_equal(more, want_more);
    buf_release(&ids);
}

static void test_files(void **state)
{
    struct archive_options o = {
        .path = ":memory:", .files = ((struct place *)*state)->files, .files_bytes = 100};
    struct archive *a;
    struct archive_file f;
    struct err err = {0};
    uint64_t room;
    bool more;
    assert_ok(archive_open(&a, &o, &err));
    for (int i = 0; i < 5; i++) {
        f = (struct archive_file){.created = i, .bytes = 10};
        snprintf(f.id, sizeof f.id, "file-%d", i);
        snprintf(f.name, sizeof f.name, "name %d", i);
        snprintf(f.purpose, sizeof f.purpose, "%s", i % 2 ? "batch" : "vision");
        assert_ok(archive_file_put(a, STR(""), &f, &err));
    }
    assert_ok(archive_file_room(a, &room, &err));
    assert_int_equal(room, 50);
    list(a, (struct archive_page){.limit = 10}, "file-4 file-3 file-2 file-1 file-0 ", false);
    list(a, (struct archive_page){.limit = 2}, "file-4 file-3 ", true);
    list(a, (struct archive_page){.limit = 3, .after = STR("file-3")}, "file-2 file-1 file-0 ",
         false);
    list(a, (struct archive_page){.limit = 2, .oldest_first = true, .after = STR("file-1")},
         "file-2 file-3 ", true);
    list(a, (struct archive_page){.limit = 9, .purpose = STR("batch")}, "file-3 file-1 ", false);
    list(a, (struct archive_page){.limit = 9, .owner = STR("anna")}, "", false);
    struct archive_page lost = {.owner = STR(""), .limit = 1, .after = STR("file-9")};
    assert_int_equal(archive_files(a, &lost, add_id, NULL, &more, &err), ENOTFOUND);

    char *path = archive_file_path(a, "file-2");
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    fclose(out);
    assert_int_equal(archive_file_get(a, STR("anna"), STR("file-2"), &f, &err), ENOTFOUND);
    assert_int_equal(archive_file_delete(a, STR("anna"), STR("file-2"), &err), ENOTFOUND);
    assert_int_equal(access(path, F_OK), 0);
    assert_ok(archive_file_get(a, STR(""), STR("file-2"), &f, &err));
    assert_string_equal(f.name, "name 2");
    assert_ok(archive_file_delete(a, STR(""), STR("file-2"), &err));
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_equal(archive_file_get(a, STR(""), STR("file-2"), &f, &err), ENOTFOUND);
    free(path);
    archive_close(a);
}

static void test_batches(void **state)
{
    struct archive *a = open_at(*state, 0);
    struct buf id, owner, body;
    struct err err = {0};
    bool found;
    buf_init(&id, 100);
    buf_init(&owner, 100);
    buf_init(&body, 100);
    assert_ok(archive_batch_put(a, STR("anna"), STR("b1"), STR("validating"), STR("{1}"), &err));
    assert_ok(archive_batch_put(a, STR(""), STR("b2"), STR("validating"), STR("{2}"), &err));
    assert_ok(archive_batch_next(a, &id, &owner, &body, &found, &err));
    assert_true(found);
    assert_string_equal(id.p, "b1");
    assert_string_equal(owner.p, "anna");
    assert_string_equal(body.p, "{1}");
    assert_ok(archive_batch_set(a, STR("b1"), STR("completed"), STR("{3}"), &err));
    assert_int_equal(archive_batch_set(a, STR("b9"), STR("x"), STR("{}"), &err), ENOTFOUND);
    assert_int_equal(archive_batch_get(a, STR(""), STR("b1"), &body, &err), ENOTFOUND);
    buf_clear(&id);
    assert_ok(archive_batch_next(a, &id, &owner, &body, &found, &err));
    assert_true(found);
    assert_string_equal(id.p, "b2");
    assert_ok(archive_batch_set(a, STR("b2"), STR("failed"), STR("{}"), &err));
    assert_ok(archive_batch_next(a, &id, &owner, &body, &found, &err));
    assert_false(found);
    archive_close(a);
    buf_release(&id);
    buf_release(&owner);
    buf_release(&body);
}

/* What a killed upload left goes when the archive is opened; what is being written stays. */
static void test_sweep(void **state)
{
    struct place *p = *state;
    struct file_writer w;
    struct err err = {0};
    char left[160], going[160];
    archive_close(open_at(p, 0));
    snprintf(left, sizeof left, "%s/file-1.part-999999999", p->files);
    snprintf(going, sizeof going, "%s/file-2", p->files);
    FILE *f = fopen(left, "wb");
    assert_non_null(f);
    fclose(f);
    assert_ok(file_writer_open(&w, going, &err));
    archive_close(open_at(p, 0));
    assert_int_not_equal(access(left, F_OK), 0);
    assert_ok(file_writer_commit(&w, &err));
    archive_close(open_at(p, 0));
    assert_int_equal(access(going, F_OK), 0);
}

/* Files that are none of ours are refused with a reason, and stay as they are. */
static void test_hostile(void **state)
{
    struct place *p = *state;
    struct archive *a;
    struct sql *d;
    struct err err = {0};
    char other[128];
    snprintf(other, sizeof other, "%s/other.db", p->dir);
    FILE *f = fopen(other, "wb");
    assert_non_null(f);
    for (int i = 0; i < 5000; i++)
        fputc(i * 7, f);
    fclose(f);
    struct archive_options o = {.path = other, .files = p->files};
    assert_int_equal(archive_open(&a, &o, &err), EBROKEN);
    assert_non_null(strstr(err.msg, other));
    snprintf(other, sizeof other, "%s/newer.db", p->dir);
    assert_ok(sql_open(&d, other, "CREATE TABLE x (y)", 99, &err));
    sql_close(d);
    assert_int_equal(archive_open(&a, &o, &err), EUNSUPPORTED);
    assert_non_null(strstr(err.msg, "of version 99, expected 1"));
    o.path = "/nowhere/hearth.db";
    assert_int_equal(archive_open(&a, &o, &err), EIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_responses, make_place, drop_place),
        cmocka_unit_test_setup_teardown(test_budget, make_place, drop_place),
        cmocka_unit_test_setup_teardown(test_files, make_place, drop_place),
        cmocka_unit_test_setup_teardown(test_batches, make_place, drop_place),
        cmocka_unit_test_setup_teardown(test_sweep, make_place, drop_place),
        cmocka_unit_test_setup_teardown(test_hostile, make_place, drop_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
