/* Making models: every source, what is inherited and replaced, and that a failure leaves nothing.
 */
#include "store/create.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "engine/engine.h"
#include "format/gguf.h"
#include "store/info.h"
#include "store_support.h"
#include <pthread.h>

/* ---- small GGUF files ---- */

enum { COLS = 256, ROWS = 4 };

struct gguf_kind {
    const char *type;     /* general.type, or NULL */
    const char *template; /* or NULL */
    int split, n_split;   /* 0: not split */
};

static void write_gguf(const char *path, struct gguf_kind kind)
{
    struct gguf_writer *w;
    struct err err = {0};
    float data[COLS * ROWS];
    const int64_t ne[] = {COLS, ROWS};
    for (int i = 0; i < COLS * ROWS; i++)
        data[i] = (float)(i % 17) - 8;
    assert_ok(gguf_writer_open(&w, path, &err));
    if (kind.split == 0 || kind.split == 1) {
        const struct str tokens[] = {STR("a"), STR("b"), STR("c"), STR("d"), STR("e"), STR("f")};
        gguf_put_str(w, "general.architecture", STR("llama"));
        gguf_put_str(w, "general.name", STR("Tiny"));
        gguf_put_u32(w, "llama.context_length", 64);
        gguf_put_u32(w, "llama.embedding_length", COLS);
        gguf_put_strs(w, "tokenizer.ggml.tokens", tokens, 6);
        gguf_put_strs(w, "tokenizer.ggml.merges", tokens, 5);
        if (kind.type)
            gguf_put_str(w, "general.type", str_from(kind.type));
        if (kind.template)
            gguf_put_str(w, "tokenizer.chat_template", str_from(kind.template));
    }
    if (kind.n_split) {
        struct gguf_kv no = {.key = STR("split.no"), .type = GGUF_U16, .bytes = 2},
                       count = {.key = STR("split.count"), .type = GGUF_U16, .bytes = 2};
        unsigned char n[2] = {(unsigned char)(kind.split - 1), 0},
                      c[2] = {(unsigned char)kind.n_split, 0};
        no.p = n;
        count.p = c;
        gguf_put_kv(w, &no);
        gguf_put_kv(w, &count);
        gguf_put_i32(w, "split.tensors.count", kind.n_split);
    }
    char name[64];
    snprintf(name, sizeof name, "blk.%d.ffn_up.weight", kind.split);
    gguf_put_tensor(w, str_from(name), QT_F32, 2, ne);
    gguf_write_header(w);
    gguf_write_data(w, data, sizeof data);
    assert_ok(gguf_writer_commit(w, &err));
}

static char *in_dir(struct fixture *f, const char *name)
{
    static char paths[4][512];
    static unsigned next;
    char *p = paths[next++ % 4];
    snprintf(p, sizeof paths[0], "%s/%s", f->dir, name);
    return p;
}

static char *digest_of_file(const char *path)
{
    static char digests[4][72];
    static unsigned next;
    char *d = digests[next++ % 4];
    struct buf b;
    struct err err = {0};
    buf_init(&b, 64 << 20);
    assert_ok(file_read(path, &b, &err));
    assert_ok(digest_of(b.p, b.n, d, &err));
    buf_release(&b);
    return d;
}

static struct store_model *find(struct fixture *f, const char *name)
{
    struct store_model *m;
    struct err err = {0};
    assert_ok(store_find(f->s, str_from(name), &m, &err));
    return m;
}

static void collect(void *ctx, const char *status, double fraction)
{
    if (fraction < 0)
        buf_printf(ctx, "%.30s\n", status);
}

static void make_tiny(struct fixture *f)
{
    struct err err = {0};
    struct create_recipe r = {.name = STR("tiny"),
                              .from = STR("tiny.gguf"),
                              .folder = f->dir,
                              .system = STR("be brief"),
                              .params_json = STR("{\"temperature\":0.5,\"stop\":[\"x\"]}")};
    write_gguf(in_dir(f, "tiny.gguf"), (struct gguf_kind){0});
    assert_ok(create_model(f->s, &r, NULL, &err));
}

/* ---- from files ---- */

static void from_path(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct buf said;
    buf_init(&said, 1 << 16);
    struct create_progress progress = {collect, &said};
    struct create_recipe r = {.name = STR("Tiny:v1"), .from = STR("tiny.gguf"), .folder = f->dir};
    const char *path = in_dir(f, "tiny.gguf");
    write_gguf(path, (struct gguf_kind){0});
    assert_ok(create_model(f->s, &r, &progress, &err));
    struct store_model *m = find(f, "tiny:v1");
    assert_string_equal(m->layers[0].digest.p, digest_of_file(path)); /* not rewritten */
    assert_int_equal(m->n_layers, 1);
    assert_non_null(strstr(said.p, "validating GGUF model\n"));
    assert_non_null(strstr(said.p, "creating new layer sha256:"));
    assert_non_null(strstr(said.p, "writing manifest\nsuccess\n"));
    json_t *c;
    assert_ok(json_parse(&c, m->config_json, "config", &err));
    assert_string_equal(json_string_value(json_object_get(c, "model_format")), "gguf");
    assert_string_equal(json_string_value(json_object_get(c, "model_family")), "llama");
    assert_string_equal(json_string_value(json_object_get(c, "model_type")), "1K");
    assert_string_equal(json_string_value(json_object_get(c, "file_type")), "F32");
    const json_t *ids = json_object_get(json_object_get(c, "rootfs"), "diff_ids");
    assert_int_equal(json_array_size(ids), 1);
    json_decref(c);
    store_model_free(m);
    /* once more: the same manifest, nothing new */
    buf_clear(&said);
    assert_ok(create_model(f->s, &r, &progress, &err));
    assert_non_null(strstr(said.p, "using existing layer sha256:"));
    assert_null(strstr(said.p, "creating"));
    buf_release(&said);
    /* paths only where they are allowed */
    r.folder = NULL;
    assert_int_equal(create_model(f->s, &r, NULL, &err), ENOTFOUND);
}

static void split_files(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct create_recipe r = {
        .name = STR("joined"), .from = STR("s-00001-of-00002.gguf"), .folder = f->dir};
    write_gguf(in_dir(f, "s-00001-of-00002.gguf"), (struct gguf_kind){.split = 1, .n_split = 2});
    write_gguf(in_dir(f, "s-00002-of-00002.gguf"), (struct gguf_kind){.split = 2, .n_split = 2});
    assert_ok(create_model(f->s, &r, NULL, &err));
    struct store_model *m = find(f, "joined");
    struct gguf *g;
    assert_ok(gguf_open(&g, m->model_path, &err));
    assert_int_equal(gguf_n_tensors(g), 2);
    assert_null(gguf_find(g, "split.count"));
    gguf_close(g);
    store_model_free(m);
    /* the same as uploaded blobs, in any order */
    char one[72], two[72];
    assert_ok(store_import_file(f->s, in_dir(f, "s-00001-of-00002.gguf"), one, NULL, &err));
    assert_ok(store_import_file(f->s, in_dir(f, "s-00002-of-00002.gguf"), two, NULL, &err));
    const struct create_file files[] = {{STR("s-00002-of-00002.gguf"), str_from(two)},
                                        {STR("s-00001-of-00002.gguf"), str_from(one)}};
    struct create_recipe u = {.name = STR("uploaded"), .files = files, .n_files = 2};
    assert_ok(create_model(f->s, &u, NULL, &err));
    struct store_model *a = find(f, "joined"), *b = find(f, "uploaded");
    assert_true(str_eq(a->layers[0].digest, b->layers[0].digest));
    store_model_free(a);
    store_model_free(b);
}

static void folders(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    static const char folder[] = HEARTH_SOURCE_DIR "/tests/data/golden/hf/llama2";
    struct create_recipe r = {.name = STR("hf"), .from = STR(folder), .folder = "/", .threads = 1};
    assert_ok(create_model(f->s, &r, NULL, &err));
    struct store_model *m = find(f, "hf");
    struct gguf *g;
    assert_ok(gguf_open(&g, m->model_path, &err));
    assert_true(gguf_n_tensors(g) > 5);
    gguf_close(g);
    store_model_free(m);
    r.quantize = STR("q8_0");
    r.name = STR("hf8");
    assert_ok(create_model(f->s, &r, NULL, &err));
    struct info_details d;
    m = find(f, "hf8");
    assert_ok(info_details(&d, m, &err));
    assert_string_equal(d.quantization, "Q8_0");
    store_model_free(m);
    /* and as uploaded blobs */
    struct create_file files[16];
    static char names[16][256], digests[16][72];
    size_t n = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (const struct dirent *e; n < 16 && (e = readdir(dir));) {
        char path[1024];
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (e->d_name[0] == '.' || file_is_dir(path))
            continue;
        snprintf(names[n], sizeof names[n], "%s", e->d_name);
        assert_ok(store_import_file(f->s, path, digests[n], NULL, &err));
        files[n] = (struct create_file){str_from(names[n]), str_from(digests[n])};
        n++;
    }
    closedir(dir);
    size_t before = count_files(f->root, "blobs");
    struct create_recipe u = {
        .name = STR("llama2"), .files = files, .n_files = n, .quantize = STR("q8_0")};
    assert_ok(create_model(f->s, &u, NULL, &err));
    assert_true(count_files(f->root, "blobs") <= before + 2); /* no links are left */
    u.n_files = 0;
    assert_int_equal(create_model(f->s, &u, NULL, &err), EUSAGE);
    assert_string_equal(err.msg, "neither 'from' nor 'files' was specified");
}

static void hostile_files(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    char digest[72];
    static const char *const names[] = {"",    "/x",   "../x", "a/../../x", "a//b",
                                        "a\n", "a/..", ".",    "a\\b",      "./x"};
    write_gguf(in_dir(f, "tiny.gguf"), (struct gguf_kind){0});
    assert_ok(store_import_file(f->s, in_dir(f, "tiny.gguf"), digest, NULL, &err));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct create_file file = {str_from(names[i]), str_from(digest)};
        struct create_recipe r = {.name = STR("x"), .files = &file, .n_files = 1};
        assert_int_equal(create_model(f->s, &r, NULL, &err), EUSAGE);
    }
    struct create_file file = {STR("m.gguf"), STR("sha256:" HEX64)};
    struct create_recipe r = {.name = STR("x"), .files = &file, .n_files = 1};
    assert_int_equal(create_model(f->s, &r, NULL, &err), ENOTFOUND);
    file.digest = STR("sha256:../../x");
    assert_int_equal(create_model(f->s, &r, NULL, &err), EUSAGE);
    r.name = STR("../x");
    assert_int_equal(create_model(f->s, &r, NULL, &err), EUSAGE);
    assert_int_equal(count_files(f->root, "blobs"), 1);
    assert_int_equal(count_files(f->root, "manifests"), 0);
}

/* ---- from another model ---- */

static void inherits(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    make_tiny(f);
    const struct str licenses[] = {STR("MIT")}, more[] = {STR("BSD"), STR("MIT")};
    struct create_recipe r = {.name = STR("two"),
                              .from = STR("tiny"),
                              .template_text = STR("{{ .Prompt }}"),
                              .params_json = STR("{\"top_k\":3,\"stop\":[\"y\"]}"),
                              .messages_json = STR("[{\"role\":\"user\",\"content\":\"q\"}]"),
                              .licenses = licenses,
                              .n_licenses = 1};
    assert_ok(create_model(f->s, &r, NULL, &err));
    struct store_model *m = find(f, "two");
    assert_true(str_is(m->system, "be brief"));
    assert_true(str_is(m->template_text, "{{ .Prompt }}"));
    assert_true(str_is(m->params_json, "{\"temperature\":0.5,\"stop\":[\"y\"],\"top_k\":3}"));
    assert_true(str_is(m->messages_json, "[{\"role\":\"user\",\"content\":\"q\"}]"));
    assert_int_equal(m->n_licenses, 1);
    store_model_free(m);
    struct create_recipe s = {.name = STR("three"),
                              .from = STR("two"),
                              .system = STR(""),
                              .messages_json = STR("[]"),
                              .licenses = more,
                              .n_licenses = 2,
                              .parser = STR("p"),
                              .requires = STR("0.1")};
    assert_ok(create_model(f->s, &s, NULL, &err));
    m = find(f, "three");
    assert_null(m->system.p);
    assert_null(m->messages_json.p);
    assert_true(str_is(m->template_text, "{{ .Prompt }}"));
    assert_int_equal(m->n_licenses, 2);
    assert_non_null(strstr(m->config_json.p, "\"parser\":\"p\""));
    store_model_free(m);
    /* a name may be made anew from itself; what only it used goes */
    struct create_recipe t = {.name = STR("three"), .from = STR("three"), .system = STR("new")};
    assert_ok(create_model(f->s, &t, NULL, &err));
    m = find(f, "three");
    assert_true(str_is(m->system, "new"));
    assert_non_null(strstr(m->config_json.p, "\"requires\":\"0.1\""));
    store_model_free(m);
    static const char *const names[] = {"tiny", "two", "three"};
    for (size_t i = 0; i < 3; i++)
        assert_ok(store_remove(f->s, str_from(names[i]), &err));
    assert_int_equal(count_files(f->root, "blobs"), 0);
}

static void from_others(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    /* what ships: a file without a manifest */
    write_gguf(f->shipped, (struct gguf_kind){0});
    struct create_recipe r = {.name = STR("mine"), .from = STR("nano"), .system = STR("s")};
    assert_ok(create_model(f->s, &r, NULL, &err));
    assert_ok(store_copy(f->s, STR("nano"), STR("copy"), &err));
    struct store_model *m = find(f, "mine"), *n = find(f, "copy");
    assert_string_equal(m->layers[0].digest.p, digest_of_file(f->shipped));
    assert_true(str_eq(m->layers[0].digest, n->layers[0].digest));
    store_model_free(m);
    store_model_free(n);
    /* a draft, an adapter */
    write_gguf(in_dir(f, "a.gguf"), (struct gguf_kind){.type = "adapter"});
    const struct str adapters[] = {STR("a.gguf")};
    struct create_recipe a = {.name = STR("adapted"),
                              .from = STR("mine"),
                              .folder = f->dir,
                              .adapter_paths = adapters,
                              .n_adapter_paths = 1};
    assert_ok(create_model(f->s, &a, NULL, &err));
    m = find(f, "adapted");
    assert_int_equal(m->n_adapters, 1);
    store_model_free(m);
    struct create_recipe b = {.name = STR("x"), .from = STR("a.gguf"), .folder = f->dir};
    assert_int_equal(create_model(f->s, &b, NULL, &err), EUSAGE); /* no model at all */
    const struct str wrong[] = {STR("nano.gguf")};
    a.adapter_paths = wrong;
    assert_int_equal(create_model(f->s, &a, NULL, &err), EFORMAT);
    assert_non_null(strstr(err.msg, "is a model, expected an adapter"));
}

/* PEFT's format becomes a GGUF adapter, from a folder and from uploaded blobs alike. */
static void peft(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    static const char base[] = HEARTH_SOURCE_DIR "/tests/data/golden/hf/llama2",
                      folder[] = HEARTH_SOURCE_DIR "/tests/data/golden/hf/llama2_lora";
    const struct str paths[] = {STR(folder)};
    struct create_recipe r = {.name = STR("lora"),
                              .from = STR(base),
                              .folder = "/",
                              .adapter_paths = paths,
                              .n_adapter_paths = 1,
                              .threads = 1};
    assert_ok(create_model(f->s, &r, NULL, &err));
    struct store_model *m = find(f, "lora");
    assert_int_equal(m->n_adapters, 1);
    struct gguf *g;
    struct str type;
    assert_ok(gguf_open(&g, m->adapter_paths[0], &err));
    assert_ok(gguf_get_str(g, "general.type", &type, &err));
    assert_true(str_is(type, "adapter"));
    gguf_close(g);
    struct model *model;
    struct lora *l;
    assert_ok(model_open(&model, m->model_path, NULL, &err));
    assert_ok(lora_open(&l, model, m->adapter_paths[0], &err));
    lora_close(l);
    model_close(model);
    static const char *const names[] = {"adapter_config.json", "adapter_model.safetensors"};
    char digests[2][72], path[1024];
    struct create_file files[2];
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        assert_ok(store_import_file(f->s, path, digests[i], NULL, &err));
        files[i] = (struct create_file){str_from(names[i]), str_from(digests[i])};
    }
    struct create_recipe u = {.name = STR("up"), .from = STR("hf"), .adapters = files};
    u.n_adapters = 2;
    r.adapter_paths = NULL;
    r.n_adapter_paths = 0;
    r.name = STR("hf");
    assert_ok(create_model(f->s, &r, NULL, &err));
    assert_ok(create_model(f->s, &u, NULL, &err));
    struct store_model *n = find(f, "up");
    assert_int_equal(n->n_adapters, 1);
    assert_string_equal(strrchr(n->adapter_paths[0], '/'), strrchr(m->adapter_paths[0], '/'));
    store_model_free(m);
    store_model_free(n);
}

static void quantizes(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    make_tiny(f);
    struct create_recipe r = {
        .name = STR("q"), .from = STR("tiny"), .quantize = STR("q8_0"), .threads = 1};
    struct buf said;
    buf_init(&said, 1 << 16);
    struct create_progress progress = {collect, &said};
    assert_ok(create_model(f->s, &r, &progress, &err));
    assert_non_null(strstr(said.p, "quantizing F32 model to Q8_0\n"));
    buf_release(&said);
    struct store_model *m = find(f, "q");
    struct gguf *g;
    struct info_details d;
    assert_ok(gguf_open(&g, m->model_path, &err));
    assert_int_equal(gguf_tensor_at(g, 0)->type, QT_Q8_0);
    gguf_close(g);
    assert_ok(info_details(&d, m, &err));
    assert_string_equal(d.quantization, "Q8_0");
    assert_true(str_is(m->system, "be brief"));
    store_model_free(m);
}

/* ---- failures ---- */

static const char *state_of(struct fixture *f)
{
    static char text[64];
    snprintf(text, sizeof text, "%zu blobs, %zu manifests", count_files(f->root, "blobs"),
             count_files(f->root, "manifests"));
    return text;
}

static void cancel_at_system(void *ctx, const char *status, double fraction)
{
    (void)fraction;
    if (strstr(status, "new layer"))
        atomic_store((atomic_int *)ctx, 1);
}

static void failures(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    make_tiny(f);
    char before[64];
    snprintf(before, sizeof before, "%s", state_of(f));
    write_file(in_dir(f, "text.gguf"), "no model");
    write_gguf(in_dir(f, "other.gguf"), (struct gguf_kind){.template = "{{ messages }}"});
    const struct create_recipe bad[] = {
        {.name = STR("x"), .from = STR("text.gguf"), .folder = f->dir},
        {.name = STR("x"), .from = STR("none.gguf"), .folder = f->dir},
        {.name = STR("x"), .from = STR("nothing")},
        {.name = STR("x"), .from = STR("other.gguf"), .folder = f->dir, .quantize = STR("q9")},
        {.name = STR("x"),
         .from = STR("other.gguf"),
         .folder = f->dir,
         .params_json = STR("{\"temperature\":\"warm\"}")},
        {.name = STR("x"), .from = STR("other.gguf"), .folder = f->dir, .params_json = STR("[")},
        {.name = STR("x"),
         .from = STR("other.gguf"),
         .folder = f->dir,
         .messages_json = STR("[{}]")},
        {.name = STR("x"),
         .from = STR("other.gguf"),
         .folder = f->dir,
         .system = STR("new"),
         .messages_json = STR("{}")},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_not_equal(create_model(f->s, &bad[i], NULL, &err), OK);
        assert_true(err.msg[0]);
        assert_string_equal(state_of(f), before);
    }
    /* stopped half-way */
    atomic_int cancel = 0;
    struct create_progress progress = {cancel_at_system, &cancel};
    struct create_recipe r = {
        .name = STR("x"), .from = STR("other.gguf"), .folder = f->dir, .cancel = &cancel};
    assert_int_equal(create_model(f->s, &r, &progress, &err), ECANCEL);
    assert_string_equal(state_of(f), before);
}

/* ---- several threads, as in a server ---- */

enum { THREADS = 4, ROUNDS = 12 };

struct worker {
    struct fixture *f;
    int number;
    struct err err; /* of a create: none may fail */
};

static void *work(void *ctx)
{
    struct worker *w = ctx;
    struct err ignored;
    for (int i = 0; i < ROUNDS; i++) {
        char name[32], system[32];
        snprintf(name, sizeof name, "m%d", (i + w->number) % 3);
        snprintf(system, sizeof system, "text %d", i % 2);
        struct create_recipe r = {.name = str_from(name),
                                  .from = STR("tiny.gguf"),
                                  .folder = w->f->dir,
                                  .system = str_from(system)};
        if (create_model(w->f->s, &r, NULL, &w->err) != OK)
            return w;
        snprintf(name, sizeof name, "m%d", (i + w->number + 1) % 3);
        (void)!store_remove(w->f->s, str_from(name), &ignored); /* it may be gone */
    }
    return NULL;
}

static int load_all(void *ctx, const struct store_model *m)
{
    (void)ctx;
    assert_int_equal(m->read_only || m->system.n == 6, 1);
    return 0;
}

static void threads(void **state)
{
    struct fixture *f = *state;
    struct worker w[THREADS];
    pthread_t t[THREADS];
    struct err err = {0};
    write_gguf(in_dir(f, "tiny.gguf"), (struct gguf_kind){0});
    for (int i = 0; i < THREADS; i++) {
        w[i] = (struct worker){.f = f, .number = i};
        assert_int_equal(pthread_create(&t[i], NULL, work, &w[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        void *failed;
        assert_int_equal(pthread_join(t[i], &failed), 0);
        if (failed)
            fail_msg("%s", w[i].err.msg);
    }
    log_set_level(LOG_WARN);
    assert_ok(store_each(f->s, load_all, NULL, &err));
    log_set_level(LOG_ERROR);
    assert_int_equal(count_files(f->root, "manifests") <= 3, 1); /* and nothing half-written */
}

int main(void)
{
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(from_path, setup, teardown),
        cmocka_unit_test_setup_teardown(split_files, setup, teardown),
        cmocka_unit_test_setup_teardown(folders, setup, teardown),
        cmocka_unit_test_setup_teardown(hostile_files, setup, teardown),
        cmocka_unit_test_setup_teardown(inherits, setup, teardown),
        cmocka_unit_test_setup_teardown(from_others, setup, teardown),
        cmocka_unit_test_setup_teardown(peft, setup, teardown),
        cmocka_unit_test_setup_teardown(quantizes, setup, teardown),
        cmocka_unit_test_setup_teardown(failures, setup, teardown),
        cmocka_unit_test_setup_teardown(threads, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
