/* Go templates against Go: tests/data/gotmpl_cases.json (made by make_gotmpl_cases.go), and against
 * Ollama for conversations: gotmpl_chats_rendered.json (make_gotmpl_chats.go). Then ceilings,
 * dates, what a template mentions, and templates of random pieces. */
#include "base/file.h"
#include "base/json.h"
#include "base/rng.h"
#include "support.h"
#include "text/gotmpl_chat.h"
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

static enum status render(const char *source, size_t n, const struct jval *context,
                          const struct gotmpl_options *opt, struct buf *out, struct err *err)
{
    struct gotmpl *t = NULL;
    enum status s = gotmpl_compile(&t, (struct str){source, n}, err);
    if (s == OK)
        s = gotmpl_render(t, context, opt, out, err);
    gotmpl_free(t);
    return s;
}

static int64_t at_noon(int year, int month, int day)
{
    struct tm tm = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day, .tm_hour = 12};
    tm.tm_isdst = -1;
    return (int64_t)mktime(&tm);
}

static void renders_as_go(void **state)
{
    (void)state;
    json_t *all = load(HEARTH_SOURCE_DIR "/tests/data/gotmpl_cases.json"), *row;
    json_t *vars = load(HEARTH_SOURCE_DIR "/tests/data/gotmpl_context.json");
    struct gotmpl_options opt = {.now = at_noon(2026, 11, 23)};
    struct arena a;
    size_t i, failed = 0;
    arena_init(&a, 1 << 20);
    const struct jval *context = jval_from_json(&a, vars);
    json_array_foreach(all, i, row)
    {
        struct buf out;
        struct err err = {0};
        const json_t *source = json_object_get(row, "template"),
                     *text = json_object_get(row, "text");
        buf_init(&out, 1 << 20);
        enum status s = render(json_string_value(source), json_string_length(source), context, &opt,
                               &out, &err);
        bool good =
            text ? s == OK && str_eq(buf_str(&out), json_str(text)) : s == EFORMAT && err.msg[0];
        if (!good) {
            print_message("%s\n  expected %s\n  got      %s (%s)\n", json_string_value(source),
                          text ? json_string_value(text) : "an error", out.p ? out.p : "", err.msg);
            failed++;
        }
        buf_release(&out);
    }
    assert_int_equal(failed, 0);
    assert_true(i > 350);
    arena_release(&a);
    json_decref(all);
    json_decref(vars);
}

/* What Go's later versions have, and what only this engine says. */
static void renders_more(void **state)
{
    static const struct {
        const char *source, *text;
    } rows[] = {
        {"{{range 3}}{{.}}{{end}}", "012"},
        {"{{range $i := 2}}{{$i}};{{else}}x{{end}}{{range 0}}x{{else}}none{{end}}", "0;1;none"},
        {"{{with .no}}a{{else with .n}}{{.}}{{else}}c{{end}}", "7"},
        {"{{json \"\\b\\f\"}}", "\"\\b\\f\""},
        {"{{toTypeScriptType .schema}}", "string | number | any[]"},
        {"{{toTypeScriptType .n}} {{toTypeScriptType .missing}}", "any any"},
        {"{{eq .n 7}} {{eq .n 7.0}} {{lt .n 7.5}}", "true true true"},
        {"{{$x := 0}}{{range $i, $x = .list}}{{end}}{{$x}}", "b"},
    };
    struct arena a;
    (void)state;
    arena_init(&a, 1 << 20);
    json_error_t e;
    json_t *j = json_loads("{\"n\": 7, \"no\": false, \"list\": [\"a\", \"b\"], \"schema\": "
                           "{\"anyOf\": [{\"type\": \"string\"}, {\"type\": [\"integer\", "
                           "\"array\"]}]}}",
                           0, &e);
    const struct jval *context = jval_from_json(&a, j);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf out;
        struct err err = {0};
        buf_init(&out, 1 << 20);
        /* the loop with = needs a variable that is there */
        const char *source = rows[i].source;
        struct buf fixed;
        buf_init(&fixed, 1000);
        if (strstr(source, "$i, $x ="))
            buf_adds(&fixed, "{{$i := 0}}");
        buf_adds(&fixed, source);
        assert_int_equal(render(fixed.p, fixed.n, context, NULL, &out, &err), OK);
        assert_string_equal(out.p, rows[i].text);
        buf_release(&fixed);
        buf_release(&out);
    }
    json_decref(j);
    arena_release(&a);
}

static void dates_follow_the_clock(void **state)
{
    struct gotmpl_options opt = {.now = at_noon(2028, 3, 1)};
    struct arena a;
    struct buf out;
    struct err err;
    (void)state;
    arena_init(&a, 1 << 16);
    buf_init(&out, 1000);
    const char *source = "{{currentDate}} {{yesterdayDate}}";
    assert_ok(render(source, strlen(source), jval_map(&a), &opt, &out, &err));
    assert_string_equal(out.p, "2028-03-01 2028-02-29");
    buf_release(&out);
    arena_release(&a);
}

static void expect_limit(const char *source, size_t n, const struct gotmpl_options *opt)
{
    struct arena a;
    struct buf out;
    struct err err = {0};
    arena_init(&a, 1 << 20);
    struct jval *list = jval_list(&a), *c = jval_map(&a);
    for (int i = 0; i < 100; i++)
        list = jval_list_add(&a, list, jval_int(&a, i));
    c = jval_map_set(&a, c, STR("l"), list);
    buf_init(&out, 1 << 16);
    enum status s = render(source, n, c, opt, &out, &err);
    if (s != ELIMIT && s != EFORMAT)
        print_message("%.100s: status %d, %zu bytes\n", source, s, out.n);
    assert_true(s == ELIMIT || (s == EFORMAT && strstr(err.msg, "nested deeper")));
    buf_release(&out);
    arena_release(&a);
}

static void keeps_the_ceilings(void **state)
{
    static const char *const sources[] = {
        "{{define \"x\"}}{{template \"x\"}}{{end}}{{template \"x\"}}",
        "{{range .l}}{{range $.l}}{{range $.l}}{{range $.l}}{{end}}{{end}}{{end}}{{end}}",
        "{{range 9000000000000000000}}{{end}}",
        "{{$s := \"aaaaaaaa\"}}{{range .l}}{{$s = print $s $s}}{{end}}",
        "{{range .l}}{{range $.l}}0123456789{{end}}{{end}}",
        "{{range .l}}{{printf \"%1000000d\" 1}}{{end}}",
        "{{range .l}}{{$x := printf \"%999999.999999f\" 1.5}}{{end}}",
        "{{range .l}}{{range $.l}}{{$a := .}}{{range $.l}}{{$b := print $a}}{{end}}{{end}}{{end}}",
    };
    struct gotmpl_options opt = {.limits = {.max_steps = 100000, .max_memory = 4 << 20}};
    struct buf deep;
    (void)state;
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++)
        expect_limit(sources[i], strlen(sources[i]), &opt);
    buf_init(&deep, 1 << 20);
    buf_adds(&deep, "{{");
    for (int i = 0; i < 100000; i++)
        buf_adds(&deep, "(");
    expect_limit(deep.p, deep.n, &opt);
    buf_clear(&deep);
    for (int i = 0; i < 50000; i++)
        buf_adds(&deep, "{{if 1}}");
    expect_limit(deep.p, deep.n, &opt);
    buf_release(&deep);
}

static bool mentions(const char *source, const char *field)
{
    struct gotmpl *t;
    struct err err;
    assert_ok(gotmpl_compile(&t, str_from(source), &err));
    bool found = gotmpl_mentions(t, str_from(field));
    gotmpl_free(t);
    return found;
}

static void knows_what_it_mentions(void **state)
{
    (void)state;
    assert_true(mentions("{{if .Tools}}x{{end}}", "tools"));
    assert_true(mentions("{{range $.Tools}}x{{end}}", "Tools"));
    assert_true(mentions("{{if .x}}{{else}}{{print (len .A.Tools)}}{{end}}", "Tools"));
    assert_true(mentions("{{with $m := .x}}{{$m.Thinking}}{{end}}", "Thinking"));
    assert_true(mentions("{{(index .Messages 0).Role}}", "Role"));
    assert_true(mentions("{{define \"d\"}}{{.Suffix}}{{end}}", "Suffix"));
    assert_true(mentions("{{template \"d\" .Suffix}}", "Suffix"));
    assert_false(mentions("{{if .Tool}}Tools{{end}}{{/* .Tools */}}{{\"Tools\"}}", "Tools"));
    assert_false(mentions("", "Tools"));
}

static void cuts_behind_a_field(void **state)
{
    static const struct {
        const char *source, *text;
    } rows[] = {
        {"a{{.R}}b", "a!"},
        {"a{{if .R}}b{{.R}}c{{end}}d", "ab!"},
        {"a{{if .no}}b{{.R}}c{{else}}e{{end}}d", "a"},
        {"a{{range .l}}x{{$.R}}y{{end}}{{print .R}}d", "ax!yx!y!"},
        {"a{{print (print .R)}}d{{.R}}", "a!"},
        {"a{{if .R}}{{template \"t\" .}}{{end}}{{.R}}{{define \"t\"}}-{{.R}}-{{end}}z", "a-!-!"},
        {"a b", "a b"},
    };
    struct gotmpl_options opt = {.cut_at = STR("R")};
    struct arena a;
    (void)state;
    arena_init(&a, 1 << 16);
    struct jval *c = jval_map(&a), *l = jval_list(&a);
    l = jval_list_add(&a, jval_list_add(&a, l, jval_int(&a, 1)), jval_int(&a, 2));
    c = jval_map_set(&a, c, STR("R"), jval_str(&a, STR("!")));
    c = jval_map_set(&a, c, STR("l"), l);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf out;
        struct err err;
        buf_init(&out, 1000);
        assert_ok(render(rows[i].source, strlen(rows[i].source), c, &opt, &out, &err));
        assert_string_equal(out.p, rows[i].text);
        buf_release(&out);
    }
    arena_release(&a);
}

/* Templates of random pieces: whatever comes of them, within the ceilings and without a crash. */
static void survives_random_templates(void **state)
{
    static const char *const pieces[] = {
        "{{",
        "}}",
        "{{- ",
        " -}}",
        "if ",
        "else",
        "end",
        "range ",
        "with ",
        ".name",
        ".list",
        ".map",
        "$x",
        " := ",
        " = ",
        "$i, ",
        "$",
        "(",
        ")",
        " ",
        "|",
        "printf ",
        "\"%v\"",
        "\"%5.2x\"",
        "index ",
        "slice ",
        "len ",
        "0",
        "-1",
        "1.5",
        "'a'",
        "eq ",
        "and ",
        "or ",
        "not ",
        "json ",
        "nil",
        "true",
        ".",
        "text",
        "\n",
        "break",
        "continue",
        "define \"d\"",
        "template \"d\" ",
        "block \"d\" .",
        "/* c */",
        "html ",
        "js ",
        "print ",
        ".msgs",
        ".Role",
    };
    enum { ROUNDS = 4000, N = sizeof pieces / sizeof *pieces };
    struct gotmpl_options opt = {.limits = {.max_steps = 2000, .max_memory = 1 << 20}};
    json_t *vars = load(HEARTH_SOURCE_DIR "/tests/data/gotmpl_context.json");
    struct rng rng;
    struct arena a;
    int rendered = 0;
    (void)state;
    rng_seed(&rng, 11);
    arena_init(&a, 1 << 20);
    const struct jval *context = jval_from_json(&a, vars);
    for (int i = 0; i < ROUNDS; i++) {
        struct buf source, out;
        struct err err = {0};
        buf_init(&source, 1 << 16);
        buf_init(&out, 1 << 16);
        int n = 1 + (int)(rng_next(&rng) % 12);
        if (i % 2)
            buf_adds(&source, "{{$x := .list}}{{");
        for (int k = 0; k < n; k++)
            buf_adds(&source, pieces[rng_next(&rng) % N]);
        if (i % 2)
            buf_adds(&source, "}}");
        enum status s = render(source.p, source.n, context, &opt, &out, &err);
        rendered += s == OK;
        assert_true(s == OK || err.msg[0]);
        assert_true(out.n <= out.max);
        buf_release(&source);
        buf_release(&out);
    }
    assert_true(rendered > 20);
    arena_release(&a);
    json_decref(vars);
}

static void tells_itself_from_jinja(void **state)
{
    static const char *const go[] = {
        "{{ .Prompt }}",        "{{-\n.Prompt}}", "a{{ if .System }}b",
        "{{ json .Messages }}", "{{ $x := 1 }}",  "{{ print (len .Tools) }}",
        "{{/* c */}}",          "x {{ end }}",    "{{ \"a}}\" | print .X }}",
    };
    static const char *const jinja[] = {
        "",
        "{{ messages[0].content }}",
        "{{ 'a .B $x' }}",
        "{% if x %}{{ x . y }}{% endif %}",
        "{{ x if y else z }}",
        "{{ 0.5 }}",
        "{{ endpoint }}",
        "text .Prompt $x",
        "{{",
        "{{ \"",
        "{{ x|join('.') }}",
        "{{ ending }}{{ iffy }}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof go / sizeof *go; i++)
        assert_true(gotmpl_looks_like(str_from(go[i])));
    for (size_t i = 0; i < sizeof jinja / sizeof *jinja; i++)
        assert_false(gotmpl_looks_like(str_from(jinja[i])));
}

static struct gotmpl *compile_chat(const char *name)
{
    char path[4096];
    struct buf source;
    struct gotmpl *t;
    struct err err;
    snprintf(path, sizeof path, HEARTH_SOURCE_DIR "/tests/data/gotmpl_chats/%s", name);
    buf_init(&source, 1 << 20);
    assert_ok(file_read(path, &source, &err));
    assert_ok(gotmpl_chat_compile(&t, buf_str(&source), &err));
    buf_release(&source);
    return t;
}

static bool renders_chat(const struct gotmpl *t, const json_t *chat, const json_t *expected)
{
    struct arena a;
    struct buf out;
    struct err err = {0};
    const json_t *tools = json_object_get(chat, "tools"), *think = json_object_get(chat, "think");
    arena_init(&a, 1 << 20);
    buf_init(&out, 1 << 20);
    struct gotmpl_chat_vars vars = {
        .messages = jval_from_json(&a, json_object_get(chat, "messages")),
        .tools = tools ? jval_from_json(&a, tools) : NULL,
        .think = json_is_true(think),
        .think_set = think != NULL,
    };
    enum status s = gotmpl_chat_render(t, &vars, &out, &err);
    bool good = json_is_string(expected) ? s == OK && str_eq(buf_str(&out), json_str(expected))
                                         : s == EFORMAT;
    if (!good) { /* print_message has a short buffer */
        printf("  expected %s\n  got      %s (%s)\n",
               json_is_string(expected) ? json_string_value(expected) : "an error",
               out.p ? out.p : "", err.msg);
    }
    buf_release(&out);
    arena_release(&a);
    return good;
}

static void renders_as_ollama(void **state)
{
    (void)state;
    json_t *chats = load(HEARTH_SOURCE_DIR "/tests/data/gotmpl_chats.json"), *texts, *text;
    json_t *all = load(HEARTH_SOURCE_DIR "/tests/data/gotmpl_chats_rendered.json");
    const char *name;
    size_t i, n = 0, failed = 0;
    json_object_foreach(all, name, texts)
    {
        struct gotmpl *t = compile_chat(name);
        json_array_foreach(texts, i, text)
        {
            bool good = renders_chat(t, json_array_get(chats, i), text);
            if (!good)
                print_message("%s, conversation %zu\n", name, i);
            failed += !good;
            n++;
        }
        gotmpl_free(t);
    }
    assert_int_equal(failed, 0);
    assert_true(n >= 42);
    json_decref(chats);
    json_decref(all);
}

/* What Ollama's templates rely on in its releases with .Function as JSON; gaps; parts. */
static void renders_chats_more(void **state)
{
    static const struct {
        const char *source, *text;
    } rows[] = {
        {"{{range .Tools}}{{.Function}} {{.Function.Parameters}}{{end}}{{.Messages}}",
         "{\"name\":\"f\",\"description\":\"\",\"parameters\":{\"type\":\"object\",\"properties\":"
         "null}} {\"type\":\"object\",\"properties\":null}[{user ab  [] []  }]"},
        {"{{.ThinkLevel}} {{.Think}} {{.IsThinkSet}} {{(index .Messages 0).Content}}",
         "high true true ab"},
        {"{{range .Messages}}{{.Nope}}{{end}}", NULL},
    };
    static const char json[] =
        "{\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"text\", \"text\": "
        "\"a\"}, {\"type\": \"text\", \"text\": \"b\"}]}], \"tools\": [{\"type\": \"function\", "
        "\"function\": {\"name\": \"f\", \"parameters\": {\"type\": \"object\"}}}]}";
    struct arena a;
    struct buf out;
    struct err err;
    struct gotmpl *t;
    json_error_t e;
    json_t *j = json_loads(json, 0, &e);
    (void)state;
    assert_non_null(j);
    arena_init(&a, 1 << 20);
    buf_init(&out, 1 << 16);
    const struct jval *all = jval_from_json(&a, j);
    struct gotmpl_chat_vars vars = {.messages = jval_map_get(all, STR("messages")),
                                    .tools = jval_map_get(all, STR("tools")),
                                    .think = true,
                                    .think_set = true,
                                    .level = STR("high")};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        buf_clear(&out);
        assert_ok(gotmpl_chat_compile(&t, str_from(rows[i].source), &err));
        enum status s = gotmpl_chat_render(t, &vars, &out, &err);
        assert_int_equal(s, rows[i].text ? OK : EFORMAT);
        if (rows[i].text)
            assert_string_equal(out.p, rows[i].text);
        gotmpl_free(t);
    }
    buf_clear(&out);
    vars = (struct gotmpl_chat_vars){.prompt = STR("def f"), .suffix = STR("return")};
    assert_ok(gotmpl_chat_compile(&t, STR("<P>{{.Prompt}}<S>{{.Suffix}}<M>"), &err));
    assert_ok(gotmpl_chat_render(t, &vars, &out, &err));
    assert_string_equal(out.p, "<P>def f<S>return<M>");
    gotmpl_free(t);
    buf_release(&out);
    arena_release(&a);
    json_decref(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(renders_as_go),
        cmocka_unit_test(renders_more),
        cmocka_unit_test(dates_follow_the_clock),
        cmocka_unit_test(keeps_the_ceilings),
        cmocka_unit_test(knows_what_it_mentions),
        cmocka_unit_test(cuts_behind_a_field),
        cmocka_unit_test(survives_random_templates),
        cmocka_unit_test(renders_as_ollama),
        cmocka_unit_test(renders_chats_more),
        cmocka_unit_test(tells_itself_from_jinja),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
