/* Modelfiles: the grammar, errors that name the line, and the way back. */
#include "base/log.h"
#include "base/mem.h"
#include "store/create.h"
#include "store/modelfile.h"
#include "support.h"
#include <string.h>

/* "FROM|x PARAMETER.temperature|0.7 ...": keys in the order of the enum's names. */
static const char *const keys[] = {"FROM",    "ADAPTER", "DRAFT",    "TEMPLATE", "SYSTEM",  "PARAM",
                                   "MESSAGE", "LICENSE", "RENDERER", "PARSER",   "REQUIRES"};

static void dump(const struct modelfile *m, struct buf *out)
{
    for (size_t i = 0; i < m->n; i++) {
        const struct modelfile_command *c = &m->c[i];
        buf_printf(out, "[%s%s%.*s|%.*s]", keys[c->key], c->name.n ? "." : "", STR_ARG(c->name),
                   STR_ARG(c->value));
    }
    buf_adds(out, "");
}

static void parses_to(struct str text, const char *want)
{
    struct modelfile m;
    struct err err = {0};
    struct buf got;
    buf_init(&got, 1 << 20);
    if (modelfile_parse(&m, text, &err) != OK)
        fail_msg("'%.*s': %s", STR_ARG(text), err.msg);
    dump(&m, &got);
    assert_string_equal(got.p ? got.p : "", want);
    buf_release(&got);
    modelfile_free(&m);
}

static void fails_with(struct str text, const char *words)
{
    struct modelfile m;
    struct err err = {0};
    enum status s = modelfile_parse(&m, text, &err);
    if (s == OK || !strstr(err.msg, words))
        fail_msg("'%.*s': %s '%s', expected '%s'", STR_ARG(text), status_name(s), err.msg, words);
    modelfile_free(&m);
}

static void grammar(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"FROM x", "[FROM|x]"},
        {"from x\n", "[FROM|x]"},
        {"\n\n  # c\n\t FrOm   x y  \r\n#", "[FROM|x y]"},
        {"FROM x # no comment", "[FROM|x # no comment]"},
        {"FROM x\nPARAMETER temperature 0.7", "[FROM|x][PARAM.temperature|0.7]"},
        {"FROM x\nparameter STOP \"a b \"", "[FROM|x][PARAM.stop|a b ]"},
        {"FROM x\nPARAMETER stop a\nPARAMETER stop b", "[FROM|x][PARAM.stop|a][PARAM.stop|b]"},
        {"SYSTEM \"\"\"one\ntwo\"\"\"\nFROM x", "[SYSTEM|one\ntwo][FROM|x]"},
        {"SYSTEM \"\"\"\none\n\"\"\"  \nFROM x", "[SYSTEM|\none\n][FROM|x]"},
        {"SYSTEM \"one\ntwo\"\nFROM x", "[SYSTEM|one\ntwo][FROM|x]"},
        {"SYSTEM say \"hi\"\nFROM x", "[SYSTEM|say \"hi\"][FROM|x]"},
        {"SYSTEM \"say \"hi\"\"\nFROM x", "[SYSTEM|say \"hi\"][FROM|x]"},
        {"SYSTEM \"\"\"\"hi\"\"\"\"\nFROM x", "[SYSTEM|\"hi\"][FROM|x]"},
        {"SYSTEM \"\"\"a\"\"\" b\"\"\"\nFROM x", "[SYSTEM|a\"\"\" b][FROM|x]"},
        {"SYSTEM \"\"\"# a\n# b\n\"\"\"\nFROM x", "[SYSTEM|# a\n# b\n][FROM|x]"},
        {"SYSTEM \"\"\nFROM x", "[SYSTEM|][FROM|x]"},
        {"SYSTEM \"\"\"\"\"\"\nFROM x", "[SYSTEM|][FROM|x]"},
        {"MESSAGE User hello there\nMESSAGE assistant \"\"\"a\nb\"\"\"\nFROM x",
         "[MESSAGE.user|hello there][MESSAGE.assistant|a\nb][FROM|x]"},
        {"FROM x\nADAPTER ./a.gguf\nDRAFT d\nLICENSE MIT\nLICENSE b\nRENDERER r\nPARSER p\n"
         "REQUIRES 0.9.1\nTEMPLATE {{ .Prompt }}",
         "[FROM|x][ADAPTER|./a.gguf][DRAFT|d][LICENSE|MIT][LICENSE|b][RENDERER|r][PARSER|p]"
         "[REQUIRES|0.9.1][TEMPLATE|{{ .Prompt }}]"},
        {"FROM a\nFROM b", "[FROM|a][FROM|b]"},
        {"\xef\xbb\xbf"
         "FROM x",
         "[FROM|x]"},
        {"FROM x\nPARAMETER num_gpu 1\nPARAMETER penalize_newline true",
         "[FROM|x][PARAM.num_gpu|1][PARAM.penalize_newline|true]"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        parses_to(str_from(rows[i][0]), rows[i][1]);
}

static void utf16(void **state)
{
    (void)state;
    static const char text[] = "FROM x\nSYSTEM \xc3\xa9\xf0\x9f\x98\x80";
    static const unsigned units[] = {'F', 'R', 'O', 'M', ' ', 'x',  '\n',   'S',   'Y',
                                     'S', 'T', 'E', 'M', ' ', 0xe9, 0xd83d, 0xde00};
    for (int big = 0; big < 2; big++) {
        char bytes[64] = {big ? '\xfe' : '\xff', big ? '\xff' : '\xfe'};
        size_t n = 2;
        for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
            bytes[n + (size_t)!big] = (char)(units[i] >> 8);
            bytes[n + (size_t)big] = (char)units[i];
            n += 2;
        }
        parses_to((struct str){bytes, n}, "[FROM|x][SYSTEM|\xc3\xa9\xf0\x9f\x98\x80]");
        fails_with((struct str){bytes, n - 1}, "odd number");
        fails_with((struct str){bytes, n - 2}, "half a character");
    }
    (void)text;
}

static void errors(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"", "no FROM line"},
        {"# FROM x", "no FROM line"},
        {"FROM x\nFRMO y", "line 2: unknown command 'FRMO', expected FROM"},
        {"FROM", "line 1: FROM without a value"},
        {"FROM \"\"", "line 1: FROM with an empty value"},
        {"FROM x\n\nPARAMETER", "line 3: PARAMETER without a name"},
        {"FROM x\nPARAMETER temperature", "line 2: PARAMETER without a value"},
        {"FROM x\nPARAMETER temprature 1", "line 2: unknown parameter 'temprature'"},
        {"FROM x\nPARAMETER temperature warm", "'warm', expected a number"},
        {"FROM x\nPARAMETER num_ctx 1.5", "'1.5', expected an integer"},
        {"FROM x\nPARAMETER num_ctx 99999999999999999999", "expected an integer"},
        {"FROM x\nPARAMETER top_p inf", "expected a number"},
        {"FROM x\nPARAMETER use_mmap maybe", "expected true or false"},
        {"FROM x\nMESSAGE robot hi", "line 2: message role 'robot'"},
        {"FROM x\nMESSAGE user", "line 2: MESSAGE without a value"},
        {"FROM x\nSYSTEM \"\"\"a\nb\nc", "line 2: a value in double quotes does not end"},
        {"FROM x\nSYSTEM \"", "line 2: a value in double quotes does not end"},
        {"FROM x\nSYSTEM a\xff", "line 2: byte 0xff, expected UTF-8"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        fails_with(str_from(rows[i][0]), rows[i][1]);
    fails_with((struct str){"FROM x\nSYSTEM a\0b", 16}, "line 2: byte 0x00");
}

/* Texts of all sorts, printed and read again. */
static void round_trip(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "x",         " x",        "x ",        "\"",     "\"\"",     "\"\"\"",  "a\"",
        "\"a",       "\"a\"",     "a\nb",      "\na\n",  "a\n\"b\"", "\"\n\"",  "#",
        "# a\n# b",  "a\"\"\" b", "\n",        " \n ",   "a\r\nb",   "\t",      "",
        "\"\"\"\"a", "FROM y",    "a\nFROM y", "a\"\nb", "\"\"\na",  "a \" \n", "{{ .P }}",
    };
    uint64_t seed = 1;
    for (size_t i = 0; i < sizeof texts / sizeof *texts + 3000; i++) {
        char random[16];
        struct str v = {random, 0};
        if (i < sizeof texts / sizeof *texts) {
            v = str_from(texts[i]);
        } else {
            for (size_t n = (seed >> 33) % sizeof random; v.n < n; v.n++) {
                seed = seed * 6364136223846793005u + 1442695040888963407u;
                random[v.n] = "\"\" \na#"[(seed >> 40) % 6];
            }
            seed = seed * 6364136223846793005u + 1442695040888963407u;
        }
        struct modelfile_command from = {.key = MF_FROM, .value = STR("x"), .name = STR("")};
        struct modelfile_command c = {.key = MF_MESSAGE, .name = STR("user"), .value = v};
        struct buf text;
        struct modelfile m;
        struct err err = {0};
        buf_init(&text, 1 << 16);
        bool said = modelfile_print(&c, &text);
        assert_true(modelfile_print(&from, &text));
        if (modelfile_parse(&m, buf_str(&text), &err) != OK)
            fail_msg("%s: %s", text.p, err.msg);
        assert_int_equal(m.n, said ? 2 : 1);
        assert_true(!said || str_eq(m.c[0].value, v));
        /* only three quotes at the end of a line that is not the last cannot be said */
        if (!said)
            assert_non_null(memmem(v.p, v.n, "\"\"\"", 3));
        modelfile_free(&m);
        buf_release(&text);
    }
}

static void recipes(void **state)
{
    (void)state;
    struct modelfile m;
    struct create_recipe r;
    struct err err = {0};
    assert_ok(modelfile_parse(
        &m,
        STR("FROM a\nFROM b\nPARAMETER stop x\nPARAMETER top_k 3\nPARAMETER stop y\n"
            "PARAMETER top_k 4\nMESSAGE user \"\"\"q\"\"\"\nSYSTEM one\nSYSTEM two\nLICENSE l\n"),
        &err));
    assert_ok(create_from_modelfile(&r, &m, "/folder", &m.arena, &err));
    assert_true(str_is(r.from, "a"));
    assert_int_equal(r.n_more_from, 1);
    assert_true(str_is(r.more_from[0], "b"));
    assert_true(str_is(r.params_json, "{\"stop\":[\"x\",\"y\"],\"top_k\":4}"));
    assert_true(str_is(r.messages_json, "[{\"role\":\"user\",\"content\":\"q\"}]"));
    assert_true(str_is(r.system, "two"));
    assert_null(r.template_text.p);
    assert_int_equal(r.n_licenses, 1);
    assert_string_equal(r.folder, "/folder");
    modelfile_free(&m);
}

int main(void)
{
    log_set_level(LOG_ERROR); /* warnings of parameters without a meaning */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grammar),    cmocka_unit_test(utf16),   cmocka_unit_test(errors),
        cmocka_unit_test(round_trip), cmocka_unit_test(recipes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
