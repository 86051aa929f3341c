/* Templates against Python's Jinja: tests/data/jinja_cases.json (made by make_jinja_cases.py) and
 * jinja_chats.json (what transformers renders for our own small models), then ceilings, errors and
 * threads. With HEARTH_SHARED=FOLDER, the published templates of FOLDER/templates too. */
#include "base/file.h"
#include "text/chat_template.h"
#include "support.h"
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum { MAX_FILE = 64 << 20 };

static json_t *load(const char *path)
{
    struct err err;
    json_t *v;
    assert_ok(json_parse_file(&v, path, MAX_FILE, &err));
    return v;
}

static int64_t local_time(const char *iso)
{
    struct tm tm = {.tm_isdst = -1};
    assert_non_null(strptime(iso, "%Y-%m-%dT%H:%M:%S", &tm));
    return (int64_t)mktime(&tm);
}

static struct str text_of(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return v ? json_str(v) : (struct str){0};
}

static enum status render(struct str source, const struct jval *context, int64_t now,
                          struct buf *out, struct err *err)
{
    struct jinja *t;
    struct jinja_options opt = {.now = now};
    enum status s = jinja_compile(&t, source, err);
    if (s == OK)
        s = jinja_render(t, context, &opt, out, err);
    jinja_free(t);
    return s;
}

/* Is what came out what `row` expects: its text, the template's own words, or any refusal? */
static bool as_expected(const json_t *row, const char *words, enum status s, const struct buf *out,
                        const struct err *err)
{
    struct str text = text_of(row, "text"), raised = text_of(row, words);
    if (text.p)
        return s == OK && str_eq(buf_str(out), text);
    if (raised.p)
        return s == EFAIL && str_is(raised, err->msg);
    return s != OK && s != EFAIL && err->msg[0];
}

static void report(const char *what, struct str source, const json_t *row, const struct buf *out,
                   const struct err *err)
{
    char *expected = json_dumps(row, JSON_COMPACT);
    print_message("%s: %.*s\n  expected %s\n  got      %s (%s)\n", what, STR_ARG(source), expected,
                  out->p ? out->p : "", err->msg);
    free(expected);
}

static void renders_as_python(void **state)
{
    (void)state;
    json_t *all = load(HEARTH_SOURCE_DIR "/tests/data/jinja_cases.json"), *row;
    int64_t now = local_time(json_string_value(json_object_get(all, "now")));
    struct arena a;
    size_t i, failed = 0;
    arena_init(&a, 1 << 20);
    const struct jval *context = jval_from_json(&a, json_object_get(all, "context"));
    json_array_foreach(json_object_get(all, "cases"), i, row)
    {
        struct buf out;
        struct err err = {0};
        struct str source = text_of(row, "template");
        buf_init(&out, 1 << 20);
        enum status s = render(source, context, now, &out, &err);
        if (!as_expected(row, "raised", s, &out, &err)) {
            report("case", source, row, &out, &err);
            failed++;
        }
        buf_release(&out);
    }
    assert_int_equal(failed, 0);
    assert_true(i > 350);
    arena_release(&a);
    json_decref(all);
}

/* The variables of a request as transformers passes them on. */
static void set_vars(struct arena *a, struct chat_template_vars *vars, const json_t *request,
                     const json_t *tokens)
{
    const struct jval *all = jval_from_json(a, request);
    const json_t *prompt = json_object_get(request, "add_generation_prompt");
    *vars = (struct chat_template_vars){
        .messages = jval_map_get(all, STR("messages")),
        .tools = jval_map_get(all, STR("tools")),
        .documents = jval_map_get(all, STR("documents")),
        .add_generation_prompt = !json_is_false(prompt),
        .bos_token = text_of(tokens, "bos_token"),
        .eos_token = text_of(tokens, "eos_token"),
        .unk_token = text_of(tokens, "unk_token"),
        .pad_token = text_of(tokens, "pad_token"),
    };
    struct jval *extra = jval_map(a);
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)request, key, v)
    {
        static const char *const known[] = {"messages", "tools", "documents",
                                            "add_generation_prompt", "text"};
        bool own = true;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            own = own && strcmp(key, known[i]) != 0;
        if (own)
            jval_map_set(a, extra, str_from(key), jval_from_json(a, v));
    }
    vars->extra = extra;
}

static enum status render_chat(const struct jinja *t, const json_t *request, const json_t *tokens,
                               int64_t now, struct buf *out, struct err *err)
{
    struct arena a;
    struct chat_template_vars vars;
    arena_init(&a, 16 << 20);
    set_vars(&a, &vars, request, tokens);
    vars.now = now;
    enum status s = chat_template_render(t, &vars, out, err);
    arena_release(&a);
    return s;
}

static void renders_chats_as_transformers(void **state)
{
    (void)state;
    json_t *all = load(HEARTH_SOURCE_DIR "/tests/data/jinja_chats.json"), *model, *chat;
    size_t i, k, n = 0;
    json_array_foreach(all, i, model)
    {
        struct jinja *t;
        struct err err;
        assert_ok(jinja_compile(&t, text_of(model, "template"), &err));
        json_array_foreach(json_object_get(model, "chats"), k, chat)
        {
            struct buf out;
            buf_init(&out, 1 << 20);
            assert_ok(render_chat(t, chat, json_object_get(model, "tokens"), 1, &out, &err));
            assert_string_equal(out.p, text_of(chat, "text").p);
            buf_release(&out);
            n++;
        }
        jinja_free(t);
    }
    assert_true(n >= 6);
    json_decref(all);
}

/* ---- published templates, which stay outside the repository ---- */

static void renders_published_templates(void **state)
{
    (void)state;
    const char *shared = getenv("HEARTH_SHARED"), *name;
    char path[4096];
    size_t i, n = 0, failed = 0;
    json_t *rows, *row;
    if (!shared)
        skip();
    snprintf(path, sizeof path, "%s/templates/rendered.json", shared);
    json_t *all = load(path), *cases = json_object_get(all, "cases");
    int64_t now = local_time(json_string_value(json_object_get(all, "now")));
    json_object_foreach(json_object_get(all, "rendered"), name, rows)
    {
        struct buf source;
        struct err err = {0};
        struct jinja *t;
        snprintf(path, sizeof path, "%s/templates/%s.jinja", shared, name);
        buf_init(&source, MAX_FILE);
        assert_ok(file_read(path, &source, &err));
        assert_ok(jinja_compile(&t, buf_str(&source), &err));
        json_array_foreach(rows, i, row)
        {
            struct buf out;
            const json_t *request = json_object_get(cases, text_of(row, "case").p);
            buf_init(&out, 1 << 20);
            err.msg[0] = 0;
            enum status s =
                render_chat(t, request, json_object_get(all, "tokens"), now, &out, &err);
            bool sensible = json_object_get(row, "python_error") && (s == OK || err.msg[0]);
            if (!sensible && !as_expected(row, "error", s, &out, &err)) {
                report(name, text_of(row, "case"), row, &out, &err);
                failed++;
            }
            n++;
            buf_release(&out);
        }
        jinja_free(t);
        buf_release(&source);
    }
    print_message("%zu of %zu published cases as transformers\n", n - failed, n);
    assert_int_equal(failed, 0);
    json_decref(all);
}

/* ---- ceilings and errors ---- */

static void keeps_its_ceilings(void **state)
{
    (void)state;
    static const struct {
        const char *source, *message;
    } rows[] = {
        {"{% set r = range(1000) %}{% for i in r %}{% for j in r %}{% endfor %}{% endfor %}",
         "template line 1: more than 300000 steps"},
        {"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
         "template line 1: nested deeper than 1000"},
        {"{% set ns = namespace(s='x') %}\n{% for i in range(60) %}{% set ns.s = ns.s * 2 %}"
         "{% endfor %}",
         "template line 2: values take more than 8388608 bytes"},
        {"{% set ns = namespace(a=[1], b=[1]) %}{% for i in range(60) %}"
         "{% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, ns.b] %}{% endfor %}"
         "{{ ns.a == ns.b }}",
         "template line 1: more than 300000 steps"},
        {"{{ 'x' * 9223372036854775807 }}", "template line 1: values take more than 8388608 bytes"},
        {"\n\n{% for i in range(1000) %}{{ '%1000d' % 1 }}{% endfor %}",
         "template line 3: the output is larger than 65536 bytes"},
        {"{{ [1] * 100000000 }}", "template line 1: values take more than 8388608 bytes"},
        {"{{ range(3) * 2 }}",
         "template line 1: unsupported operand type(s) for *: 'range' and 'int'"},
        {"{{ 9223372036854775807 + 1 }}",
         "template line 1: result of + does not fit a 64-bit integer"},
        {"{{ 2 ** 64 }}", "template line 1: result of ** or pow() does not fit a 64-bit integer"},
        {"{{ 99999999999999999999 }}", "line 1, column 4: integer literal does not fit 64 bits"},
        {"a\n{% if x %}", "line 2, column 11: the template ends, expected 'endif'"},
        {"a\n  {{ x | nope }}", "line 2, column 10: no filter or test named 'nope'"},
        {"{% extends 'x' %}",
         "line 1, column 4: 'extends' is not available: a chat template is one file of text"},
    };
    struct arena a;
    arena_init(&a, 1 << 16);
    const struct jval *context = jval_map(&a);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct jinja *t;
        struct err err = {0};
        struct buf out;
        struct jinja_options opt = {.limits = {.max_steps = 300000, .max_memory = 8 << 20}};
        buf_init(&out, 1 << 16);
        enum status s = jinja_compile(&t, str_from(rows[i].source), &err);
        if (s == OK)
            s = jinja_render(t, context, &opt, &out, &err);
        assert_true(s == EFORMAT || s == ELIMIT);
        assert_string_equal(err.msg, rows[i].message);
        jinja_free(t);
        buf_release(&out);
    }
    arena_release(&a);
}

static void refuses_deep_nesting(void **state)
{
    (void)state;
    static const char *const parts[][2] = {{"(", ")"},          {"[", "]"},    {"-", ""},
                                           {"not ", ""},        {"a.b(", ")"}, {"a[", "]"},
                                           {"1 if 1 else ", ""}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        struct buf source;
        struct jinja *t;
        struct err err;
        buf_init(&source, 1 << 20);
        buf_adds(&source, "{{ ");
        for (int k = 0; k < 20000; k++)
            buf_adds(&source, parts[i][0]);
        buf_adds(&source, "1");
        for (int k = 0; k < 20000; k++)
            buf_adds(&source, parts[i][1]);
        buf_adds(&source, " }}");
        assert_int_equal(jinja_compile(&t, buf_str(&source), &err), EFORMAT);
        buf_release(&source);
    }
}

static void stops_long_operator_chains(void **state)
{
    (void)state;
    struct buf source, out;
    struct jinja *t;
    struct err err;
    struct arena a;
    arena_init(&a, 1 << 16);
    buf_init(&source, 1 << 20);
    buf_init(&out, 1 << 16);
    buf_adds(&source, "{{ 1");
    for (int k = 0; k < 100000; k++)
        buf_adds(&source, "+1");
    buf_adds(&source, " }}");
    assert_ok(jinja_compile(&t, buf_str(&source), &err));
    assert_int_equal(jinja_render(t, jval_map(&a), NULL, &out, &err), ELIMIT);
    jinja_free(t);
    buf_release(&source);
    buf_release(&out);
    arena_release(&a);
}

/* ---- one template, many threads ---- */

struct shared_template {
    const struct jinja *t;
    const struct jval *context;
    struct str expected;
};

static void *render_often(void *arg)
{
    const struct shared_template *s = arg;
    for (int i = 0; i < 200; i++) {
        struct buf out;
        struct err err;
        buf_init(&out, 1 << 20);
        if (jinja_render(s->t, s->context, NULL, &out, &err) != OK ||
            !str_eq(buf_str(&out), s->expected))
            return arg;
        buf_release(&out);
    }
    return NULL;
}

static void is_shared_between_threads(void **state)
{
    (void)state;
    struct jinja *t;
    struct err err;
    struct arena a;
    pthread_t threads[4];
    void *failed;
    arena_init(&a, 1 << 16);
    struct jval *context = jval_map(&a), *items = jval_list(&a);
    for (int i = 0; i < 3; i++)
        jval_list_add(&a, items, jval_int(&a, i));
    jval_map_set(&a, context, STR("items"), items);
    assert_ok(jinja_compile(&t,
                            STR("{% macro m(x) %}<{{ x }}>{% endmacro %}"
                                "{% for i in items %}{{ m(i) }}{{ items | map('string') | join }}"
                                "{% endfor %}"),
                            &err));
    struct shared_template s = {t, context, STR("<0>012<1>012<2>012")};
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, render_often, &s), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    jinja_free(t);
    arena_release(&a);
}

static void a_full_context_is_an_error(void **state)
{
    (void)state;
    struct arena a;
    struct jinja *t;
    struct err err;
    struct buf out;
    arena_init(&a, 64);
    struct jval *context = jval_map(&a);
    for (int i = 0; i < 10; i++)
        context = jval_map_set(&a, context, STR("key"), jval_str(&a, STR("a longer text")));
    assert_null(context);
    assert_int_equal(jval_kind(NULL), JV_UNDEFINED);
    buf_init(&out, 100);
    assert_ok(jinja_compile(&t, STR("x"), &err));
    assert_int_equal(jinja_render(t, context, NULL, &out, &err), ENOMEMORY);
    jinja_free(t);
    buf_release(&out);
    arena_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(renders_as_python),
        cmocka_unit_test(renders_chats_as_transformers),
        cmocka_unit_test(renders_published_templates),
        cmocka_unit_test(keeps_its_ceilings),
        cmocka_unit_test(refuses_deep_nesting),
        cmocka_unit_test(stops_long_operator_chains),
        cmocka_unit_test(is_shared_between_threads),
        cmocka_unit_test(a_full_context_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
