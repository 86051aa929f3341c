/* The store on disk: finding, listing, blobs, copying, removing; stores made by hand, hostile ones
 * among them. */
#include "store/store.h"
#include "base/file.h"
#include "store/store_int.h"
#include "store_support.h"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- blobs ---- */

static void blobs(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct blob_writer *w;
    char digest[72], *path;
    uint64_t size;
    assert_ok(blob_begin(f->s, &w, &err));
    assert_ok(blob_write(w, "abc", 3, &err));
    assert_ok(blob_commit(w, (struct str){NULL, 0}, digest, &err));
    /* FIPS 180-2, appendix B.1 */
    assert_string_equal(digest,
                        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_ok(store_blob_find(f->s, str_from(digest), &path, &size, &err));
    assert_int_equal(size, 3);
    free(path);
    /* the wrong digest leaves nothing, neither does giving up */
    assert_ok(blob_begin(f->s, &w, &err));
    assert_ok(blob_write(w, "abd", 3, &err));
    assert_int_equal(blob_commit(w, str_from(digest), NULL, &err), EFORMAT);
    assert_ok(blob_begin(f->s, &w, &err));
    assert_ok(blob_write(w, "abd", 3, &err));
    blob_abort(w);
    assert_int_equal(count_files(f->root, "blobs"), 1);
    assert_int_equal(store_blob_find(f->s, STR("sha256:"), &path, NULL, &err), EUSAGE);
}

static void digests(void **state)
{
    (void)state;
    char good[] = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_true(digest_valid(str_from(good)));
    good[6] = '-';
    assert_true(digest_valid(str_from(good)));
    for (size_t i = 0; i < sizeof good - 1; i++) {
        char c = good[i];
        static const char wrong[] = {'G', '/', '.', 0, 'A', ' '};
        for (size_t k = 0; k < sizeof wrong; k++) {
            good[i] = wrong[k];
            assert_false(digest_valid((struct str){good, sizeof good - 1}));
        }
        good[i] = c;
    }
    assert_false(digest_valid((struct str){good, sizeof good - 2}));
    assert_false(digest_valid(STR("")));
    assert_false(
        digest_valid(STR("sha256:../../../../../../../../../../../../../../../etc/passwd0000000")));
}

/* A file becomes a blob without its bytes being copied where that can be, and stays as it was. */
static void imports(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    char path[512], digest[72], again[72], *blob;
    uint64_t size;
    struct stat a, b;
    snprintf(path, sizeof path, "%s/file", f->dir);
    write_file(path, "weights");
    assert_ok(store_import_file(f->s, path, digest, &size, &err));
    assert_int_equal(size, 7);
    assert_ok(store_import_file(f->s, path, again, &size, &err));
    assert_string_equal(digest, again);
    assert_ok(store_blob_find(f->s, str_from(digest), &blob, NULL, &err));
    assert_int_equal(stat(path, &a), 0);
    assert_int_equal(stat(blob, &b), 0);
    assert_true(a.st_ino == b.st_ino || a.st_nlink == 1); /* a link, a clone or a copy */
    assert_int_equal(count_files(f->root, "blobs"), 1);
    free(blob);
    assert_int_equal(store_import_file(f->s, f->dir, digest, &size, &err), EFORMAT);
    snprintf(path, sizeof path, "%s/none", f->dir);
    assert_int_equal(store_import_file(f->s, path, digest, &size, &err), ENOTFOUND);
    snprintf(path, sizeof path, "%s/pipe", f->dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(store_import_file(f->s, path, digest, &size, &err), EFORMAT);
    assert_int_equal(count_files(f->root, "blobs"), 1);
}

/* What a killed process left goes when the next one writes; what a living one writes stays. */
static void sweeping(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct blob_writer *w, *other;
    char path[512];
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    waitpid(child, NULL, 0);
    assert_ok(blob_begin(f->s, &w, &err));
    snprintf(path, sizeof path, "%s/blobs/new-%ld-0", f->root, (long)child);
    write_file(path, "half");
    snprintf(path, sizeof path, "%s/blobs/new-%ld-7.part-%ld", f->root, (long)child, (long)child);
    write_file(path, "half");
    snprintf(path, sizeof path, "%s/blobs/new-x", f->root);
    write_file(path, "not ours");
    assert_int_equal(count_files(f->root, "blobs"), 4);
    assert_ok(blob_begin(f->s, &other, &err));
    assert_int_equal(count_files(f->root, "blobs"), 3);
    blob_abort(other);
    blob_abort(w);
    assert_int_equal(count_files(f->root, "blobs"), 1);
}

/* ---- finding ---- */

static void finds(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct store_model *m;
    put_model(f, f->root, "registry.ollama.ai/library/Mixed", "1b", "weights", "a template");
    assert_ok(store_find(f->s, STR("mixed:1B"), &m, &err));
    assert_string_equal(m->name.model, "Mixed");
    assert_string_equal(m->name.tag, "1b");
    assert_false(m->read_only);
    assert_int_equal(m->n_layers, 2);
    assert_true(str_is(m->template_text, "a template"));
    assert_null(m->system.p);
    assert_int_equal(m->digest.n, 64);
    assert_int_equal(m->size, 7 + 10);
    assert_non_null(strstr(m->model_path, "/blobs/sha256-"));
    assert_true(m->modified_unix_ns > 0);
    store_model_free(m);
    assert_int_equal(store_find(f->s, STR("mixed"), &m, &err), ENOTFOUND);
    assert_string_equal(err.msg, "model 'mixed' not found");
    assert_null(m);
    assert_int_equal(store_find(f->s, STR("../x"), &m, &err), EUSAGE);
}

static int collect(void *ctx, const struct store_model *m)
{
    struct buf *b = ctx;
    name_short(&m->name, b);
    buf_adds(b, m->read_only ? "(ro) " : " ");
    return 0;
}

static char *list(struct fixture *f)
{
    struct err err = {0};
    struct buf b;
    buf_init(&b, 1 << 16);
    assert_ok(store_each(f->s, collect, &b, &err));
    buf_adds(&b, "");
    return b.p;
}

static void expect_list(struct fixture *f, const char *want)
{
    char *got = list(f);
    assert_string_equal(got ? got : "", want);
    free(got);
}

/* Newest first; ours hides Ollama's of the same name; files without a manifest come along. */
static void lists(void **state)
{
    struct fixture *f = *state;
    char path[512];
    expect_list(f, "nano:latest(ro) ");
    put_model(f, f->ollama, "hf.co/user/repo", "Q4", "w1", NULL);
    age(f, f->ollama, "hf.co/user/repo/Q4", 300);
    put_model(f, f->root, "registry.ollama.ai/library/b", "latest", "w2", NULL);
    age(f, f->root, "registry.ollama.ai/library/b/latest", 100);
    put_model(f, f->ollama, "registry.ollama.ai/library/B", "latest", "w3", NULL);
    put_model(f, f->ollama, "registry.ollama.ai/me/a", "x", "w4", NULL);
    age(f, f->ollama, "registry.ollama.ai/me/a/x", 200);
    expect_list(f, "nano:latest(ro) b:latest me/a:x(ro) hf.co/user/repo:Q4(ro) ");
    snprintf(path, sizeof path, "%s/Plain-Q4.gguf", f->root);
    write_file(path, "w");
    set_age(path, 400);
    snprintf(path, sizeof path, "%s/split-00001-of-00002.gguf", f->root);
    write_file(path, "w");
    set_age(path, 500);
    snprintf(path, sizeof path, "%s/split-00002-of-00002.gguf", f->root);
    write_file(path, "w");
    expect_list(f, "nano:latest(ro) b:latest me/a:x(ro) hf.co/user/repo:Q4(ro) "
                   "Plain-Q4:latest(ro) split:latest(ro) ");
}

/* What is broken, hostile or of no use here is passed over, and told when it is asked for. */
static void hostile(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *text;
        enum status status;
        const char *words;
    } rows[] = {
        {"", EFORMAT, "line 1"},
        {"[]", EFORMAT, "expected an object"},
        {"{\"schemaVersion\":1}", EUNSUPPORTED, "schemaVersion is 1"},
        {"{\"layers\":{}}", EFORMAT, "'layers' is no array"},
        {"{\"layers\":[1]}", EFORMAT, "layer 0"},
        {"{\"layers\":[{\"mediaType\":\"application/vnd.ollama.image.model\","
         "\"digest\":\"sha256:../../../../etc/passwd\",\"size\":1}]}",
         EFORMAT, "'digest' is 'sha256:../"},
        {"{\"layers\":[{\"digest\":\"sha256:" HEX64 "\",\"size\":-1}]}", EFORMAT, "'size' is -1"},
        {"{\"layers\":[{\"digest\":\"sha256:" HEX64 "\",\"size\":1.5}]}", EFORMAT, "'size'"},
        {"{\"layers\":[{\"digest\":\"sha256:" HEX64 "\",\"size\":9223372036854775807},"
         "{\"digest\":\"sha256:" HEX64 "\",\"size\":9223372036854775807},"
         "{\"digest\":\"sha256:" HEX64 "\",\"size\":2}]}",
         EFORMAT, "more than 64 bits"},
        {"{\"layers\":[{\"mediaType\":\"application/vnd.ollama.image.model\","
         "\"digest\":\"sha256:" HEX64 "\",\"size\":1}]}",
         ENOTFOUND, "is missing"},
        {"{\"config\":[]}", EFORMAT, "'config' is no object"},
        {"{\"config\":{\"digest\":\"\"},\"layers\":[]}", EUNSUPPORTED, "no weights"},
        {"{\"config\":{\"digest\":\"\"},\"layers\":null}", EUNSUPPORTED, "no weights"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct store_model *m;
        struct err err = {0};
        put_manifest_text(f->root, "registry.ollama.ai/library/bad", "x", rows[i].text);
        enum status s = store_find(f->s, STR("bad:x"), &m, &err);
        if (s != rows[i].status || !strstr(err.msg, rows[i].words))
            fail_msg("%zu: got %s '%s', expected %s '%s'", i, status_name(s), err.msg,
                     status_name(rows[i].status), rows[i].words);
        expect_list(f, "nano:latest(ro) ");
    }
    /* one that cannot be read can be removed all the same */
    struct err err = {0};
    assert_ok(store_remove(f->s, STR("bad:x"), &err));
    struct store_model *m;
    assert_int_equal(store_find(f->s, STR("bad:x"), &m, &err), ENOTFOUND);
    /* names on disk that are no names, and things that are no files */
    put_manifest_text(f->root, "registry.ollama.ai/li.brary/x", "t", "{}");
    put_manifest_text(f->root, "registry.ollama.ai/library/x y", "t", "{}");
    put_manifest_text(f->root, "registry.ollama.ai/library/x:y", "t", "{}");
    put_manifest_text(f->root, "registry.ollama.ai/library/x", ".hidden", "{}");
    put_manifest_text(f->root, "registry.ollama.ai/library", "stray", "{}");
    put_manifest_text(f->root, "registry.ollama.ai/library/x/deep", "er", "{}");
    char path[512];
    snprintf(path, sizeof path, "%s/manifests/registry.ollama.ai/library/x/pipe", f->root);
    assert_int_equal(mkfifo(path, 0600), 0);
    expect_list(f, "nano:latest(ro) ");
}

/* A blob of another length than its manifest says is not handed out. */
static void wrong_size(void **state)
{
    struct fixture *f = *state;
    struct store_model *m;
    struct err err = {0};
    char *path;
    put_model(f, f->root, "registry.ollama.ai/library/m", "t", "weights", NULL);
    assert_ok(store_find(f->s, STR("m:t"), &m, &err));
    path = strdup(m->model_path);
    store_model_free(m);
    write_file(path, "weights and more");
    assert_int_equal(store_find(f->s, STR("m:t"), &m, &err), EFORMAT);
    assert_non_null(strstr(err.msg, "has 16 bytes, its manifest says 7"));
    /* a link to a file elsewhere is followed, one to a device is not */
    unlink(path);
    char elsewhere[512];
    snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", f->dir);
    write_file(elsewhere, "weights");
    assert_int_equal(symlink(elsewhere, path), 0);
    assert_ok(store_find(f->s, STR("m:t"), &m, &err));
    store_model_free(m);
    unlink(path);
    assert_int_equal(symlink("/dev/zero", path), 0);
    assert_int_equal(store_find(f->s, STR("m:t"), &m, &err), ENOTFOUND);
    unlink(path);
    assert_int_equal(symlink(elsewhere, path), 0);
    assert_ok(store_remove(f->s, STR("m:t"), &err));
    assert_true(file_exists(elsewhere)); /* the link went, not what it led to */
    assert_false(file_exists(path));
    free(path);
}

/* An Ollama store that cannot be read is none; ours is an error. */
static void unreadable(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct store_model *m;
    char long_name[512];
    snprintf(long_name, sizeof long_name, "%s/%0300d", f->dir, 0); /* longer than a name may be */
    struct store_options o = {f->root, long_name, f->shipped};
    store_close(f->s);
    assert_ok(store_open(&f->s, &o, &err));
    put_model(f, f->root, "registry.ollama.ai/library/m", "t", "weights", NULL);
    expect_list(f, "nano:latest(ro) m:t ");
    assert_int_equal(store_find(f->s, STR("none"), &m, &err), ENOTFOUND);
    assert_ok(store_find(f->s, STR("nano"), &m, &err));
    store_model_free(m);
    store_close(f->s);
    o = (struct store_options){long_name, f->ollama, f->shipped};
    assert_ok(store_open(&f->s, &o, &err));
    assert_int_equal(store_find(f->s, STR("none"), &m, &err), EIO);
}

/* ---- changing ---- */

static void removes(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    char path[512];
    put_model(f, f->root, "registry.ollama.ai/library/a", "t", "shared", "only a's");
    put_model(f, f->root, "registry.ollama.ai/library/b", "t", "shared", NULL);
    assert_int_equal(count_files(f->root, "blobs"), 2);
    assert_ok(store_remove(f->s, STR("a:t"), &err));
    assert_int_equal(count_files(f->root, "blobs"), 1);
    expect_list(f, "nano:latest(ro) b:t ");
    assert_ok(store_remove(f->s, STR("b:t"), &err));
    assert_int_equal(count_files(f->root, "blobs"), 0);
    snprintf(path, sizeof path, "%s/manifests/registry.ollama.ai", f->root);
    assert_false(file_exists(path)); /* empty folders go */
    assert_int_equal(store_remove(f->s, STR("b:t"), &err), ENOTFOUND);
    /* Ollama's and what ships are only read */
    put_model(f, f->ollama, "registry.ollama.ai/library/o", "t", "theirs", NULL);
    assert_int_equal(store_remove(f->s, STR("o:t"), &err), EUSAGE);
    assert_int_equal(store_remove(f->s, STR("nano"), &err), EUSAGE);
    assert_int_equal(count_files(f->ollama, "blobs"), 1);
}

/* While somebody makes a model, nobody deletes blobs; a broken manifest stops deleting, too. */
static void holds(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct store_hold *hold;
    uint64_t freed;
    put_model(f, f->root, "registry.ollama.ai/library/a", "t", "w", NULL);
    assert_ok(store_hold_take(f->s, &hold, &err));
    assert_int_equal(store_prune(f->s, &freed, &err), EBUSY);
    store_hold_release(hold);
    put_manifest_text(f->root, "registry.ollama.ai/library/bad", "x", "{");
    assert_ok(store_remove(f->s, STR("a:t"), &err));
    assert_int_equal(count_files(f->root, "blobs"), 1);
    assert_ok(store_remove(f->s, STR("bad:x"), &err));
    /* younger than an hour: kept */
    assert_ok(store_prune(f->s, &freed, &err));
    assert_int_equal(freed, 0);
    assert_int_equal(count_files(f->root, "blobs"), 1);
}

static void copies(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct store_model *m, *n;
    put_model(f, f->ollama, "registry.ollama.ai/library/o", "t", "theirs", "template");
    assert_ok(store_copy(f->s, STR("o:t"), STR("mine"), &err));
    assert_ok(store_find(f->s, STR("o:t"), &m, &err));
    assert_ok(store_find(f->s, STR("mine"), &n, &err));
    assert_true(str_eq(m->digest, n->digest)); /* byte for byte */
    assert_false(n->read_only);
    assert_int_equal(strncmp(n->model_path, f->root, strlen(f->root)), 0);
    assert_int_equal(count_files(f->root, "blobs"), 2);
    store_model_free(m);
    store_model_free(n);
    assert_ok(store_copy(f->s, STR("mine"), STR("mine"), &err));
    assert_ok(store_copy(f->s, STR("mine"), STR("MINE:Two"), &err));
    expect_list(f, "nano:latest(ro) MINE:Two mine:latest o:t(ro) ");
    assert_int_equal(store_copy(f->s, STR("none"), STR("x"), &err), ENOTFOUND);
    assert_int_equal(store_copy(f->s, STR("mine"), STR("../x"), &err), EUSAGE);
    /* a blob whose bytes are not its name's is not taken over */
    put_model(f, f->ollama, "registry.ollama.ai/library/forged", "t", "forged", NULL);
    assert_ok(store_find(f->s, STR("forged:t"), &m, &err));
    write_file(m->model_path, "FORGED");
    store_model_free(m);
    assert_int_equal(store_copy(f->s, STR("forged:t"), STR("x"), &err), EFORMAT);
    assert_int_equal(store_find(f->s, STR("x"), &m, &err), ENOTFOUND);
}

/* A manifest whose blobs are not there is refused; one that replaces another takes its blobs. */
static void put_manifests(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct model_name name;
    struct buf text;
    buf_init(&text, 1 << 16);
    assert_ok(name_parse(&name, STR("p:t"), &err));
    buf_adds(&text, "{\"layers\":[{\"mediaType\":\"application/vnd.ollama.image.model\","
                    "\"digest\":\"sha256:" HEX64 "\",\"size\":1}]}");
    assert_int_equal(store_put_manifest(f->s, &name, buf_str(&text), NULL, &err), ENOTFOUND);
    expect_list(f, "nano:latest(ro) ");
    put_model(f, f->root, "registry.ollama.ai/library/P", "T", "old", "old template");
    manifest_text(f->root, "new", NULL, &text);
    assert_ok(store_put_manifest(f->s, &name, buf_str(&text), NULL, &err));
    expect_list(f, "nano:latest(ro) P:T "); /* the name keeps its case */
    assert_int_equal(count_files(f->root, "blobs"), 1);
    assert_int_equal(count_files(f->root, "manifests"), 1);
    buf_release(&text);
}

/* What is wrong with a manifest is said once, however often models are listed; what is wrong with
 * it then, once more. */
static int pass_over(void *ctx, const struct store_model *m)
{
    (void)ctx, (void)m;
    return 0;
}

static void warns_once(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct buf said;
    char path[256];
    int own = dup(2);
    snprintf(path, sizeof path, "%s/said", f->dir);
    put_manifest_text(f->root, "registry.ollama.ai/library/broken", "latest", "{");
    put_manifest_text(f->root, "registry.ollama.ai/library/other", "latest", "[]");
    assert_non_null(freopen(path, "w", stderr));
    for (int i = 0; i < 3; i++)
        assert_ok(store_each(f->s, pass_over, NULL, &err));
    put_manifest_text(f->root, "registry.ollama.ai/library/broken", "latest", "[");
    assert_ok(store_each(f->s, pass_over, NULL, &err));
    fflush(stderr);
    assert_int_equal(dup2(own, 2), 2);
    close(own);
    buf_init(&said, 1 << 16);
    assert_ok(file_read(path, &said, &err));
    int lines = 0;
    for (size_t i = 0; i < said.n; i++)
        lines += said.p[i] == '\n';
    assert_int_equal(lines, 3);
    buf_release(&said);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests),
        cmocka_unit_test_setup_teardown(blobs, setup, teardown),
        cmocka_unit_test_setup_teardown(imports, setup, teardown),
        cmocka_unit_test_setup_teardown(sweeping, setup, teardown),
        cmocka_unit_test_setup_teardown(finds, setup, teardown),
        cmocka_unit_test_setup_teardown(lists, setup, teardown),
        cmocka_unit_test_setup_teardown(hostile, setup, teardown),
        cmocka_unit_test_setup_teardown(wrong_size, setup, teardown),
        cmocka_unit_test_setup_teardown(unreadable, setup, teardown),
        cmocka_unit_test_setup_teardown(removes, setup, teardown),
        cmocka_unit_test_setup_teardown(holds, setup, teardown),
        cmocka_unit_test_setup_teardown(copies, setup, teardown),
        cmocka_unit_test_setup_teardown(put_manifests, setup, teardown),
        cmocka_unit_test_setup_teardown(warns_once, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
