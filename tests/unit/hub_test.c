/* The hub with models whose files change under it, and what the handlers say of broken ones. */
#include "base/clock.h"
#include "server/app.h"
#include "server/inner.h"
#include "store/create.h"
#include "store_support.h"

#define GOLDEN HEARTH_SOURCE_DIR "/tests/data/golden/gguf"

static void make_with(struct store *s, const char *name, const char *system, const char *text)
{
    struct err err = {0};
    struct create_recipe r = {.name = str_from(name),
                              .from = STR("llama32-bf16.gguf"),
                              .folder = GOLDEN,
                              .system = str_from(system),
                              .template_text = str_from(text)};
    assert_ok(create_model(s, &r, NULL, &err));
}

static void make(struct store *s, const char *name, const char *system)
{
    make_with(s, name, system, "");
}

static struct hub *hub_for(struct store *s, uint64_t memory)
{
    struct hub_options o = {.store = s,
                            .memory = memory,
                            .keep_alive_ns = -1,
                            .threads = 1,
                            .max_queue = 8,
                            .n_ctx = 64,
                            .kv_tokens = 256};
    struct hub *h;
    struct err err = {0};
    assert_ok(hub_new(&h, &o, &err));
    return h;
}

struct sum {
    int n;
    uint64_t bytes;
};

static void add_model(void *ctx, const struct hub_model *m)
{
    struct sum *sum = ctx;
    sum->n++;
    sum->bytes += m->weight_bytes + m->kv_bytes;
}

static struct sum sum_of(struct hub *h)
{
    struct sum sum = {0};
    hub_each(h, add_model, &sum);
    return sum;
}

static int loaded(struct hub *h)
{
    return sum_of(h).n;
}

/* Waits until so many are loaded; a minute is for a machine that does other things. */
static void wait_loaded(struct hub *h, int want)
{
    for (int64_t start = clock_ns(); loaded(h) != want && clock_since(start) < 60;)
        usleep(1000);
    assert_int_equal(loaded(h), want);
}

/* A name that means another model now: who asks gets that one, who has the old one keeps it, and
 * then it goes, whatever its keep_alive. */
static void test_changed(void **state)
{
    struct fixture *f = *state;
    struct lease old, new, again;
    struct err err = {0};
    make(f->s, "m", "one");
    struct hub *h = hub_for(f->s, 1 << 30);
    assert_ok(hub_acquire(h, STR("m"), 0, KEEP_FOREVER, NULL, &old, &err));
    make(f->s, "m", "two");
    assert_ok(hub_acquire(h, STR("m"), 0, KEEP_FOREVER, NULL, &new, &err));
    assert_string_equal(old.entry->system.p, "one");
    assert_string_equal(new.entry->system.p, "two");
    assert_int_equal(loaded(h), 2);
    hub_release(&old);
    wait_loaded(h, 1);
    assert_ok(hub_acquire(h, STR("m"), 0, KEEP_FOREVER, NULL, &again, &err));
    assert_ptr_equal(again.loaded, new.loaded);
    hub_release(&again);
    hub_release(&new);
    assert_int_equal(loaded(h), 1);
    hub_free(h);
}

/* The old one is idle, and pinned under its name: it goes, and the new one is what never leaves to
 * make room. */
static void test_changed_pinned(void **state)
{
    struct fixture *f = *state;
    struct lease l;
    struct err err = {0};
    make(f->s, "m", "one");
    make(f->s, "other", "other");
    struct hub *h = hub_for(f->s, 1 << 30);
    assert_ok(hub_acquire(h, STR("m"), 0, KEEP_FOREVER, NULL, &l, &err));
    uint64_t bytes = sum_of(h).bytes;
    hub_release(&l);
    hub_free(h);
    h = hub_for(f->s, bytes + bytes / 4);
    assert_ok(hub_acquire(h, STR("m"), 0, KEEP_FOREVER, NULL, &l, &err));
    hub_release(&l);
    assert_ok(hub_pin(h, STR("m"), true, &err));
    make(f->s, "m", "two");
    assert_ok(hub_acquire(h, STR("m"), 0, KEEP_FOREVER, NULL, &l, &err));
    assert_string_equal(l.entry->system.p, "two");
    hub_release(&l);
    wait_loaded(h, 1);
    assert_int_equal(hub_acquire(h, STR("other"), 0, KEEP_FOREVER, NULL, &l, &err), ENOMEMORY);
    assert_ok(hub_pin(h, STR("m"), false, &err));
    assert_ok(hub_acquire(h, STR("other"), 0, KEEP_FOREVER, NULL, &l, &err));
    hub_release(&l);
    hub_free(h);
}

static int ask(struct app *app, const char *path, const char *text, struct buf *body)
{
    char id[INNER_ID];
    int status = 0;
    struct err err = {0};
    struct inner_call c = {.app = app,
                           .method = STR("POST"),
                           .path = str_from(path),
                           .body = str_from(text),
                           .routes = own_routes,
                           .n_routes = n_own_routes};
    buf_clear(body);
    assert_ok(inner_call(&c, &status, id, body, &err));
    return status;
}

/* A wrong field is the caller's fault, a broken file is not. */
static void test_faults(void **state)
{
    struct fixture *f = *state;
    struct app app = {.store = f->s};
    struct buf body;
    buf_init(&body, 1 << 20);
    make(f->s, "m", "one");
    put_model(f, f->root, "registry.ollama.ai/library/broken", "latest", "no GGUF", NULL);
    app.hub = hub_for(f->s, 1 << 30);
    static const char *const paths[] = {"/api/chat", "/v1/chat/completions", "/v1/messages"};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ask(&app, paths[i],
                             "{\"model\": \"broken\", \"stream\": false, \"max_tokens\": 1, "
                             "\"messages\": [{\"role\": \"user\", \"content\": \"x\"}]}",
                             &body),
                         500);
        assert_non_null(strstr(body.p, "GGUF"));
        assert_int_equal(ask(&app, paths[i],
                             "{\"model\": \"m\", \"stream\": \"no\", \"max_tokens\": 1, "
                             "\"messages\": [{\"role\": \"user\", \"content\": \"x\"}]}",
                             &body),
                         400);
        assert_non_null(strstr(body.p, "'stream' is a string"));
    }
    assert_int_equal(ask(&app, "/api/show", "{\"model\": \"broken\"}", &body), 500);
    assert_int_equal(status_http(EFORMAT), 400); /* in the lines of a stream, too */
    hub_free(app.hub);
    buf_release(&body);
}

/* What /api/show tells is what a request may ask for, whichever language the template is in. */
static void test_abilities(void **state)
{
    struct fixture *f = *state;
    struct app app = {.store = f->s};
    struct buf body;
    static const char request[] =
        "{\"model\": \"%s\", \"stream\": false, \"think\": true, \"tools\": [{\"type\": "
        "\"function\", \"function\": {\"name\": \"f\"}}], \"options\": {\"num_predict\": 1, "
        "\"num_ctx\": 200}, \"messages\": [{\"role\": \"user\", \"content\": \"x\"}]}";
    char text[512];
    buf_init(&body, 1 << 20);
    make_with(f->s, "go", "s",
              "{{ if .Tools }}{{ .Tools }}{{ end }}{{ range .Messages }}{{ .Content }}{{ .Thinking "
              "}}{{ end }}");
    make_with(f->s, "jinja", "s",
              "{% if tools %}{{ tools }}{% endif %}{% for m in messages %}{{ m.content }}{% endfor "
              "%}{% if enable_thinking %}t{% endif %}");
    make_with(f->s, "none", "s", "{% for m in messages %}{{ m.content }}{% endfor %}");
    app.hub = hub_for(f->s, 1 << 30);
    static const char *const names[] = {"go", "jinja", "none"};
    for (int i = 0; i < 3; i++) {
        snprintf(text, sizeof text, "{\"model\": \"%s\"}", names[i]);
        assert_int_equal(ask(&app, "/api/show", text, &body), 200);
        bool told = strstr(body.p, "\"tools\"") && strstr(body.p, "\"thinking\"");
        assert_int_equal(told, i < 2);
        snprintf(text, sizeof text, request, names[i]);
        int status = ask(&app, "/api/chat", text, &body);
        assert_int_equal(status, i < 2 ? 200 : 400);
        assert_int_equal(strstr(body.p, "does not support") != NULL, i == 2);
    }
    hub_free(app.hub);
    buf_release(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_changed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_changed_pinned, setup, teardown),
        cmocka_unit_test_setup_teardown(test_faults, setup, teardown),
        cmocka_unit_test_setup_teardown(test_abilities, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
