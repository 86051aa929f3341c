/* Names of models: the grammar, its limits, and what must never become a path. */
#include "store/name.h"
#include "support.h"
#include <stdlib.h>
#include <string.h>

/* text, then "host|namespace|model|tag", or NULL where it is refused */
static const char *const cases[][2] = {
    {"llama3.2", "registry.ollama.ai|library|llama3.2|latest"},
    {"llama3.2:1b", "registry.ollama.ai|library|llama3.2|1b"},
    {"mannix/jan-nano", "registry.ollama.ai|mannix|jan-nano|latest"},
    {"hf.co/user/repo:Q4_K_M", "hf.co|user|repo|Q4_K_M"},
    {"hf.co/us.er/repo", "hf.co|us.er|repo|latest"},
    {"huggingface.co/us.er/repo", "huggingface.co|us.er|repo|latest"},
    {"https://hf.co/user/repo", "hf.co|user|repo|latest"},
    {"http://localhost:5000/ns/model:tag", "localhost:5000|ns|model|tag"},
    {"localhost:5000/ns/model", "localhost:5000|ns|model|latest"},
    {"example.com/ns/a.b-c_d:v1.0-x", "example.com|ns|a.b-c_d|v1.0-x"},
    {"_x/_y:_z", "registry.ollama.ai|_x|_y|_z"},
    {"MiXed/CaSe:TaG", "registry.ollama.ai|MiXed|CaSe|TaG"},
    {"1/2:3", "registry.ollama.ai|1|2|3"},
    {"", NULL},
    {":", NULL},
    {"/", NULL},
    {"a:", NULL},
    {":a", NULL},
    {"a/", NULL},
    {"/a", NULL},
    {"a//b", NULL},
    {"a/b/c/d", NULL},
    {"host/ns/model:tag/x", NULL},
    {"..", NULL},
    {".", NULL},
    {"../x", NULL},
    {"../../etc/passwd", NULL},
    {"x/..", NULL},
    {"x:..", NULL},
    {"x/../y", NULL},
    {"us.er/model", NULL},
    {"example.com/us.er/model", NULL},
    {"-a", NULL},
    {".a", NULL},
    {"a/-b", NULL},
    {"a:-b", NULL},
    {"a b", NULL},
    {"a\\b", NULL},
    {"a\nb", NULL},
    {"a:b:c", NULL},
    {"ns:1/model", NULL},
    {"m\303\266del", NULL},
    {"a@sha256:1234", NULL},
    {"~/model", NULL},
    {"a/b/c:d:e", NULL},
};

static void grammar(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct model_name n;
        struct err err = {0};
        char got[1024];
        enum status s = name_parse(&n, str_from(cases[i][0]), &err);
        if (!cases[i][1]) {
            if (s != EUSAGE || !err.msg[0])
                fail_msg("'%s' was taken", cases[i][0]);
            continue;
        }
        if (s != OK)
            fail_msg("'%s': %s", cases[i][0], err.msg);
        snprintf(got, sizeof got, "%s|%s|%s|%s", n.host, n.ns, n.model, n.tag);
        assert_string_equal(got, cases[i][1]);
    }
}

/* The longest parts fit, one byte more does not, and a zero byte never. */
static void lengths(void **state)
{
    (void)state;
    static const struct {
        size_t host, ns, model, tag;
        bool ok;
    } rows[] = {{350, 80, 80, 80, true},  {351, 80, 80, 80, false}, {350, 81, 80, 80, false},
                {350, 80, 81, 80, false}, {350, 80, 80, 81, false}, {1, 1, 1, 1, true}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[1024], *p = text;
        const size_t n[] = {rows[i].host, rows[i].ns, rows[i].model, rows[i].tag};
        for (int k = 0; k < 4; k++) {
            memset(p, 'a', n[k]);
            p += n[k];
            *p++ = "//: "[k];
        }
        struct model_name name;
        struct err err;
        struct str s = {text, (size_t)(p - text) - 1};
        assert_int_equal(name_parse(&name, s, &err), rows[i].ok ? OK : EUSAGE);
    }
    struct model_name name;
    struct err err;
    assert_int_equal(name_parse(&name, (struct str){"a\0b", 3}, &err), EUSAGE);
}

static void texts(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        {"llama3.2", "llama3.2:latest", "registry.ollama.ai/library/llama3.2:latest"},
        {"Library/x:y", "x:y", "registry.ollama.ai/Library/x:y"},
        {"me/x", "me/x:latest", "registry.ollama.ai/me/x:latest"},
        {"hf.co/library/x", "hf.co/library/x:latest", "hf.co/library/x:latest"},
        {"localhost:5000/a/b:c", "localhost:5000/a/b:c", "localhost:5000/a/b:c"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct model_name n, back;
        struct err err;
        struct buf b;
        buf_init(&b, 1024);
        assert_ok(name_parse(&n, str_from(rows[i][0]), &err));
        name_short(&n, &b);
        assert_string_equal(b.p, rows[i][1]);
        assert_ok(name_parse(&back, buf_str(&b), &err));
        assert_true(name_equal(&n, &back));
        buf_clear(&b);
        name_full(&n, &b);
        assert_string_equal(b.p, rows[i][2]);
        buf_release(&b);
    }
}

static void equality(void **state)
{
    (void)state;
    struct model_name a, b;
    struct err err;
    assert_ok(name_parse(&a, STR("Me/Model:Tag"), &err));
    assert_ok(name_parse(&b, STR("REGISTRY.ollama.ai/me/model:tag"), &err));
    assert_true(name_equal(&a, &b));
    assert_ok(name_parse(&b, STR("me/model:tag2"), &err));
    assert_false(name_equal(&a, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grammar),
        cmocka_unit_test(lengths),
        cmocka_unit_test(texts),
        cmocka_unit_test(equality),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
