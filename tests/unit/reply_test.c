/* Golden transcripts of every family, each read whole, byte by byte and in random cuts; what is
 * told early; forced answers; hostile texts. A transcript is one text: what was told, with thinking
 * as T(...) and calls as C(name arguments). */
#include "support.h"
#include "base/file.h"
#include "base/rng.h"
#include "chat/reply.h"
#include <stdlib.h>
#include <string.h>

static const char tools[] =
    "[{\"type\": \"function\", \"function\": {\"name\": \"get_weather\", \"parameters\": "
    "{\"type\": "
    "\"object\", \"properties\": {\"city\": {\"type\": \"string\"}, \"days\": {\"type\": "
    "\"integer\"}, \"opts\": {\"type\": \"object\"}, \"flag\": {\"type\": \"boolean\"}}}}},"
    "{\"type\": \"function\", \"function\": {\"name\": \"run\", \"description\": \"\\\"\"}}]";

struct told {
    struct buf text;
    enum chat_event_kind last; /* CHAT_DONE: nothing yet */
};

static int on_tell(void *ctx, enum chat_event_kind kind, struct str text,
                   const struct chat_call *call)
{
    struct told *t = ctx;
    if (t->last == CHAT_THINKING && kind != CHAT_THINKING)
        buf_addc(&t->text, ')');
    if (kind == CHAT_THINKING && t->last != CHAT_THINKING)
        buf_adds(&t->text, "T(");
    if (kind == CHAT_CALL) {
        assert_true(str_starts(call->id, STR("call_")) && call->id.n >= 13);
        buf_printf(&t->text, "C(%.*s %.*s)", STR_ARG(call->name), STR_ARG(call->arguments));
    } else {
        assert_true(text.n > 0);
        buf_addstr(&t->text, text);
    }
    t->last = kind;
    return 0;
}

/* cut: bytes of a piece; 0: whole; -seed: random lengths */
static enum status read_cut(const struct reply_options *options, struct str text, int cut,
                            struct told *t, struct err *err)
{
    struct reply_options o = *options;
    struct reply_parser *p;
    struct rng r;
    rng_seed(&r, (uint64_t)-cut);
    *t = (struct told){.last = CHAT_DONE};
    buf_init(&t->text, (size_t)1 << 30);
    o.tell = on_tell;
    o.ctx = t;
    enum status s = reply_new(&p, &o, err);
    if (s != OK)
        return s;
    for (size_t at = 0; s == OK && at < text.n;) {
        size_t n = cut > 0 ? (size_t)cut : cut == 0 ? text.n : 1 + rng_next(&r) % 9;
        n = n < text.n - at ? n : text.n - at;
        s = reply_feed(p, str_slice(text, at, at + n), err);
        at += n;
    }
    if (s == OK)
        s = reply_end(p, err);
    if (t->last == CHAT_THINKING)
        buf_addc(&t->text, ')');
    reply_free(p);
    return s;
}

static struct str str_of(const struct told *t)
{
    return buf_str(&t->text);
}

static void expect_text(const struct reply_options *o, struct str text, struct str want)
{
    struct told t;
    struct err err;
    for (int cut = 3; cut > -12; cut--) {
        assert_ok(read_cut(o, text, cut, &t, &err));
        if (!str_eq(str_of(&t), want))
            fail_msg("cut %d of\n%.*s\ngave\n%.*s\nexpected\n%.*s", cut, STR_ARG(text),
                     STR_ARG(str_of(&t)), STR_ARG(want));
        buf_release(&t.text);
    }
}

struct golden {
    const char *template, *text, *want;
};

static void expect_all(const struct golden *g, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct reply_format f;
        reply_format_detect(&f, str_from(g[i].template));
        struct reply_options o = {.format = &f, .tools = str_from(tools)};
        expect_text(&o, str_from(g[i].text), str_from(g[i].want));
    }
}

#define HERMES "{{ '<tool_call>' }}"
#define LLAMA  "{{ '{\"name\": \"' + tool_call.name + '\", \"parameters\": ' }}"
#define OTHER  "{% if tools %}{{ tools }}{% endif %}"

static const struct golden json_calls[] = {
    {HERMES, "<tool_call>\n{\"name\": \"run\", \"arguments\": {}}\n</tool_call>", "C(run {})"},
    {HERMES,
     "I'll look.\n\n<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": "
     "\"K\xc3\xb6ln }{ \\\"x\\\" \\u00e4 <tool_call>\", \"opts\": {\"a\": [1, {\"b\": []}]}}}\n"
     "</tool_call>\n<tool_call>\n{\"name\": \"run\", \"arguments\": {}}\n</tool_call>\nDone.",
     "I'll look.C(get_weather {\"city\": \"K\xc3\xb6ln }{ \\\"x\\\" \\u00e4 <tool_call>\", "
     "\"opts\": {\"a\": [1, {\"b\": []}]}})C(run {})\nDone."},
    {HERMES,
     "<think>\nhm <tool_call> {\"name\": \"run\"}\n</think>\n\n<tool_call>{\"name\": \"run\", "
     "\"arguments\": \"{\\\"a\\\": 1.50}\"}</tool_call>\n",
     "T(hm <tool_call> {\"name\": \"run\"})C(run {\"a\": 1.50})"},
    /* two in one tag, then a tag that stays open */
    {HERMES,
     "<tool_call>{\"name\": \"run\", \"arguments\": {}}\n{\"name\": \"run\", \"arguments\": "
     "{\"b\": "
     "1}}</tool_call> <tool_call>[{\"name\": \"run\", \"arguments\": {\"c\": 1}}]",
     "C(run {})C(run {\"b\": 1})C(run {\"c\": 1})"},
    /* the tag forgotten */
    {HERMES, " {\"name\": \"run\", \"arguments\": {\"a\": 12345678901234567890123}} ok",
     "C(run {\"a\": 12345678901234567890123}) ok"},
    {HERMES, "So: {\"name\": \"run\", \"arguments\": {}}",
     "So: {\"name\": \"run\", \"arguments\": {}}"},
    /* what is no call is text */
    {HERMES, "<tool_call>{\"name\": \"fly\", \"arguments\": {}}</tool_call>",
     "<tool_call>{\"name\": \"fly\", \"arguments\": {}}</tool_call>"},
    {HERMES, "a <tool_call>\n{\"name\": \"run\", \"arguments\": {\"a\": }}\n</tool_call> b",
     "a <tool_call>\n{\"name\": \"run\", \"arguments\": {\"a\": }}\n</tool_call> b"},
    {HERMES, "<tool_call>\n{\"name\": \"run\", \"arguments\": {\"a\": \"b",
     "<tool_call>\n{\"name\": \"run\", \"arguments\": {\"a\": \"b"},
    {HERMES, "<tool_call>{\"name\": \"run\", \"arguments\": {\"a\": 1, \"a\": 2}}</tool_call>",
     "<tool_call>{\"name\": \"run\", \"arguments\": {\"a\": 1, \"a\": 2}}</tool_call>"},
    {HERMES, "<tool_call>{\"name\": \"run\", \"arguments\": [1]}</tool_call>",
     "<tool_call>{\"name\": \"run\", \"arguments\": [1]}</tool_call>"},
    {HERMES, "<tool_call>{\"name\": \"run\", \"arguments\": {\"a\": \"\\ud800\"}}</tool_call>",
     "<tool_call>{\"name\": \"run\", \"arguments\": {\"a\": \"\\ud800\"}}</tool_call>"},
    {HERMES,
     "<tool_call> oops <tool_ <<tool_call>{\"name\": \"run\", \"arguments\": {}}</tool_call></too",
     "<tool_call> oops <tool_ <C(run {})"},
    {HERMES, "<tool_call>{\"name\": \"r\\u0075n\", \"arguments\": null}</tool_call>", "C(run {})"},
    {HERMES, "x < y \n\n", "x < y \n\n"},
    {LLAMA, "{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Paris\"}}",
     "C(get_weather {\"city\": \"Paris\"})"},
    {LLAMA,
     "<|python_tag|>{\"name\": \"run\", \"parameters\": {}}; {\"name\": \"run\", \"parameters\": "
     "{\"a\": null}}",
     "C(run {})C(run {\"a\": null})"},
    {LLAMA, "{\"type\": \"function\", \"name\": \"run\", \"parameters\": {}}", "C(run {})"},
    {LLAMA, "Sure: {\"name\": \"run\", \"parameters\": {}} - done; ok",
     "Sure:C(run {}) - done; ok"},
    {LLAMA, "<|python_tag|>print(1)", "<|python_tag|>print(1)"},
    {LLAMA, "{\"city\": \"Paris\"} and {\"name\": \"Bob\"} and {\"name\": \"run\"} [1, {}] {}",
     "{\"city\": \"Paris\"} and {\"name\": \"Bob\"} and {\"name\": \"run\"} [1, {}] {}"},
    {OTHER,
     "Here:\n```json\n[{\"function\": {\"name\": \"run\", \"arguments\": {\"a\": 1}}}, {\"name\": "
     "\"run\", \"arguments\": {}}]\n```\nThat is it.",
     "Here:C(run {\"a\": 1})C(run {})\nThat is it."},
    {OTHER, "```json\n{\"a\": 1}\n```", "```json\n{\"a\": 1}\n```"},
    /* one of an array that is no call */
    {OTHER, "[{\"name\": \"run\", \"arguments\": {}}, {\"name\": \"fly\", \"arguments\": {}}]",
     "C(run {}){\"name\": \"fly\", \"arguments\": {}}"},
    {"{{ '[TOOL_CALLS][' }}",
     "[TOOL_CALLS] [{\"name\": \"run\", \"arguments\": {\"a\": \"]\"}, \"id\": \"abcdefghi\"}, "
     "{\"name\": \"get_weather\", \"arguments\": {}}]",
     "C(run {\"a\": \"]\"})C(get_weather {})"},
    {"{{ '<|tool|>' }}",
     "<|tool_call|>[{\"type\": \"function\", \"function\": {\"name\": \"run\", \"arguments\": "
     "{}}}]<|/tool_call|>",
     "C(run {})"},
    {"{{ '<|tool|>' }}", "functools[{\"name\": \"run\", \"arguments\": {}}]", "C(run {})"},
    {"{{ '<|tool|>' }}", "use functools.reduce", "use functools.reduce"},
    {"<TOOLCALL>", "<TOOLCALL>[{\"name\": \"run\", \"arguments\": {}}]</TOOLCALL>", "C(run {})"},
    {"<|START_ACTION|><|START_THINKING|>",
     "<|START_THINKING|>plan<|END_THINKING|><|START_ACTION|>[\n    {\"tool_call_id\": \"0\", "
     "\"tool_name\": \"run\", \"parameters\": {\"q\": 1}}\n]<|END_ACTION|>",
     "T(plan)C(run {\"q\": 1})"},
    {"<|action_start|>",
     "Ok<|action_start|><|plugin|>\n{\"name\": \"run\", \"parameters\": {}}<|action_end|>",
     "OkC(run {})"},
    {"<tool_calls>", "<tool_calls>[\n{\"name\": \"run\", \"arguments\": {}}\n]</tool_calls>",
     "C(run {})"},
};

static const struct golden named_calls[] = {
    {"[TOOL_CALLS] [ARGS]",
     "Yes[TOOL_CALLS]get_weather[ARGS]{\"city\": \"a[ARGS]\"}[TOOL_CALLS]run[CALL_ID]abc123def"
     "[ARGS]{}",
     "YesC(get_weather {\"city\": \"a[ARGS]\"})C(run {})"},
    {"[TOOL_CALLS] [ARGS]", "[TOOL_CALLS]fly[ARGS]{}", "[TOOL_CALLS]fly[ARGS]{}"},
    {"[TOOL_CALLS] [ARGS] [THINK]", "[THINK]a [/b] [/THINK]c", "T(a [/b])c"},
    {"<function=", "<function=get_weather>{\"city\": \"x\"}</function> <function=run>{}</function>",
     "C(get_weather {\"city\": \"x\"})C(run {})"},
    {"<function=", "<function=run>{}{\"a\"", "C(run {}){\"a\""},
    {"<｜tool▁call▁begin｜> ```json",
     "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>run\n```json\n{\"a\": "
     "1}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n"
     "{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
     "C(run {\"a\": 1})C(get_weather {})"},
    {"<｜tool▁call▁begin｜>",
     "Hm<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>run<｜tool▁sep｜>{}<｜tool▁call▁end｜>"
     "<｜tool▁calls▁end｜>",
     "HmC(run {})"},
    {"<｜tool▁call▁begin｜>", "<｜tool▁calls▁begin｜>x<｜tool", "<｜tool▁calls▁begin｜>x<｜tool"},
    {"<function= <parameter=",
     "Ok.\n<tool_call>\n<function=get_weather>\n<parameter=city>\n12\n</parameter>\n<parameter="
     "days>\n3\n</parameter>\n<parameter=opts>\n{\"a\": "
     "[1]}\n</parameter>\n<parameter=flag>\nTrue\n"
     "</parameter>\n<parameter=more>\ntwo\n\"lines\"\n</parameter>\n</function>\n</tool_call>\n"
     "<tool_call>\n<function=run>\n</function>\n</tool_call>",
     "Ok.C(get_weather {\"city\": \"12\", \"days\": 3, \"opts\": {\"a\": [1]}, \"flag\": true, "
     "\"more\": \"two\\n\\\"lines\\\"\"})C(run {})"},
    {"<function= <parameter=", "<tool_call>\n<function=run>\n<parameter=a>1</function>",
     "<tool_call>\n<function=run>\n<parameter=a>1</function>"},
    {"<function= <parameter=", "<tool_call>\n<function=run>\n<parameter=a>\n1",
     "<tool_call>\n<function=run>\n<parameter=a>\n1"},
    {"<arg_key> <arg_value>",
     "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Rome</arg_value>\n<arg_key>days"
     "</arg_key>\n<arg_value>2</arg_value>\n</tool_call><tool_call>run</tool_call>",
     "C(get_weather {\"city\": \"Rome\", \"days\": 2})C(run {})"},
    {"<start_function_call>",
     "<start_function_call>call:get_weather{city:<escape>a},{<escape>,days:3,opts:{l:[1,<escape>x"
     "<escape>],e:{}}}<end_function_call><start_function_call>call:run{}<end_function_call>",
     "C(get_weather {\"city\": \"a},{\", \"days\": 3, \"opts\": {\"l\": [1, \"x\"], \"e\": {}}})"
     "C(run {})"},
    {"<start_function_call>", "<start_function_call>call:run{a b}<end_function_call>",
     "<start_function_call>call:run{a b}<end_function_call>"},
};

static void test_json_calls(void **state)
{
    (void)state;
    expect_all(json_calls, sizeof json_calls / sizeof *json_calls);
}

static void test_named_calls(void **state)
{
    (void)state;
    expect_all(named_calls, sizeof named_calls / sizeof *named_calls);
}

static const struct golden thinking[] = {
    {OTHER, "<think>\n\n</think>\n\nHi", "Hi"},
    {OTHER, "<think>\na\n\n b </thin </think>\n\nHi </think> <think>",
     "T(a\n\n b </thin)Hi </think> <think>"},
    {OTHER, " <think>never closed </think", "T(never closed </think)"},
    {OTHER, "a <think>b</think>", "a <think>b</think>"},
    {OTHER, "\n\n<think", "\n\n<think"},
    {OTHER, "<think>a</think>\n\n", "T(a)"},
    {"", "<think>a</think>\n {\"name\": \"run\", \"arguments\": {}}",
     "<think>a</think>\n {\"name\": \"run\", \"arguments\": {}}"},
};

static void test_thinking(void **state)
{
    (void)state;
    expect_all(thinking, sizeof thinking / sizeof *thinking);
    struct reply_format f;
    reply_format_detect(&f, STR(HERMES "<think>"));
    struct reply_options o = {.format = &f, .thinking = true};
    expect_text(&o, STR("\n hm\n</think>\n\nYes"), STR("T(hm)Yes"));
    expect_text(&o, STR("<think>hm <think></think>Yes"), STR("T(hm <think>)Yes"));
    assert_true(reply_starts_thinking(&f, STR("<|assistant|><think>\n")));
    assert_false(reply_starts_thinking(&f, STR("<think>\n\n</think>\n\n")));
    /* without tools a call is text */
    o.thinking = false;
    expect_text(&o, STR("<tool_call>{\"name\": \"run\", \"arguments\": {}}</tool_call>"),
                STR("<tool_call>{\"name\": \"run\", \"arguments\": {}}</tool_call>"));
}

/* Markers that were found by rendering. */
static void test_probe(void **state)
{
    (void)state;
    struct reply_format f;
    reply_format_detect(&f, STR(OTHER));
    assert_true(reply_format_unknown(&f));
    reply_format_probe(
        &f,
        STR("<u>?</u><a><do>\n[{\"name\": \"hearth_probe\", \"parameters\": {\"query\": "
            "\"hearth_value\"}}]</do></a>"),
        STR("<u>?</u><a>hearth_probe</a>"));
    assert_string_equal(f.open, "<do>");
    assert_string_equal(f.close, "</do>");
    struct reply_options o = {.format = &f, .tools = str_from(tools)};
    expect_text(&o, STR("So <do>\n{\"name\": \"run\", \"parameters\": {}}</do> and <do>x</do>"),
                STR("SoC(run {}) and <do>x</do>"));
    struct buf out;
    struct err err;
    struct chat_request r = {.tools = o.tools, .choice = CHOICE_NAMED, .choice_name = STR("run")};
    buf_init(&out, 1000);
    assert_ok(reply_force(&f, &r, false, &out, &err));
    assert_string_equal(out.p, "<do>\n{\"name\": \"run\", \"parameters\":");
    buf_adds(&out, " {}}\n</do>");
    o.forced = true;
    expect_text(&o, buf_str(&out), STR("C(run {})"));
    buf_release(&out);
}

/* A NUL is a byte like any other. */
static void test_nul(void **state)
{
    (void)state;
    static const char *const templates[] = {HERMES, OTHER, "<start_function_call>"};
    struct str text = STR("\0{\"name\": \"run\", \"arg\0\": <tool_call>\0<start_function_call>"
                          "call:\0 call:run{\0}\0");
    for (size_t i = 0; i < 3; i++) {
        struct reply_format f;
        reply_format_detect(&f, str_from(templates[i]));
        struct reply_options o = {.format = &f, .tools = str_from(tools)};
        expect_text(&o, text, text);
    }
}

/* Text is told with the piece that makes it certain. */
static void test_early(void **state)
{
    (void)state;
    static const char *const steps[][2] = {
        {"a", "a"},
        {" b", " b"},
        {" ", ""},
        {"<", ""},
        {"tool", ""},
        {"x", " <toolx"},
        {"{", "{"},
        {"\"name\"", "\"name\""},
        {"<tool_call>", ""},
        {"\n{\"name", ""},
        {"\": 1, x", "<tool_call>\n{\"name\": 1, x"},
        {"end", "end"},
    };
    struct reply_format f;
    struct told t = {.last = CHAT_DONE};
    struct reply_parser *p;
    struct err err;
    buf_init(&t.text, 1 << 20);
    reply_format_detect(&f, STR(HERMES));
    struct reply_options o = {.format = &f, .tools = str_from(tools), .tell = on_tell, .ctx = &t};
    assert_ok(reply_new(&p, &o, &err));
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        buf_clear(&t.text);
        assert_ok(reply_feed(p, str_from(steps[i][0]), &err));
        assert_true(str_is(buf_str(&t.text), steps[i][1]));
    }
    reply_free(p);
    /* bare JSON is let go as soon as its first key or its name is none of a call */
    reply_format_detect(&f, STR(OTHER));
    assert_ok(reply_new(&p, &o, &err));
    static const char *const bare[][2] = {{"{\"", ""},
                                          {"n", ""},
                                          {"u", "{\"nu"},
                                          {" {\"name\": \"ru", ""},
                                          {"b", " {\"name\": \"rub"}};
    for (size_t i = 0; i < sizeof bare / sizeof *bare; i++) {
        buf_clear(&t.text);
        assert_ok(reply_feed(p, str_from(bare[i][0]), &err));
        assert_true(str_is(buf_str(&t.text), bare[i][1]));
    }
    reply_free(p);
    buf_release(&t.text);
}

static void test_force(void **state)
{
    (void)state;
    static const struct {
        const char *template, *required, *named, *rest;
    } rows[] = {
        {HERMES, "<tool_call>\n{\"name\": \"",
         "<tool_call>\n{\"name\": \"run\", \"arguments\":", " {\"a\": 1}}\n</tool_call>"},
        {LLAMA, "{\"name\": \"", "{\"name\": \"run\", \"parameters\":", " {\"a\": 1}}"},
        {"[TOOL_CALLS]", "[TOOL_CALLS][{\"name\": \"",
         "[TOOL_CALLS][{\"name\": \"run\", \"arguments\":", " {\"a\": 1}}]"},
        {"[TOOL_CALLS] [ARGS]", "[TOOL_CALLS]", "[TOOL_CALLS]run[ARGS]", " {\"a\": 1}"},
        {"<function= <parameter=", "<tool_call>\n<function=", "<tool_call>\n<function=run>\n",
         "<parameter=a>\n1\n</parameter>\n</function>\n</tool_call>"},
        {"<arg_key> <arg_value>", "<tool_call>", "<tool_call>run\n",
         "<arg_key>a</arg_key><arg_value>1</arg_value></tool_call>"},
        {"<start_function_call>", "<start_function_call>call:", "<start_function_call>call:run{",
         "a:1}<end_function_call>"},
        {"<function=", "<function=", "<function=run>", " {\"a\": 1}</function>"},
    };
    struct err err;
    struct buf out;
    buf_init(&out, 1 << 16);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct reply_format f;
        reply_format_detect(&f, str_from(rows[i].template));
        struct chat_request r = {.tools = str_from(tools), .choice = CHOICE_REQUIRED};
        buf_clear(&out);
        assert_ok(reply_force(&f, &r, false, &out, &err));
        assert_string_equal(out.p, rows[i].required);
        r.choice = CHOICE_NAMED;
        r.choice_name = STR("run");
        buf_clear(&out);
        assert_ok(reply_force(&f, &r, false, &out, &err));
        assert_string_equal(out.p, rows[i].named);
        struct reply_options o = {
            .format = &f, .tools = r.tools, .forced = true, .one = true, .thinking = true};
        buf_clear(&out);
        assert_ok(reply_force(&f, &r, true, &out, &err));
        buf_adds(&out, rows[i].rest);
        expect_text(&o, buf_str(&out), STR("C(run {\"a\": 1})"));
        struct told t;
        out.n -= strlen(rows[i].rest);
        buf_adds(&out, "{\"a\": x");
        assert_int_equal(read_cut(&o, buf_str(&out), 1, &t, &err), EFAIL);
        assert_int_equal(t.text.n, 0);
        buf_release(&t.text);
    }
    struct reply_format f;
    struct chat_request r = {
        .tools = str_from(tools), .choice = CHOICE_NAMED, .choice_name = STR("fly")};
    reply_format_detect(&f, STR(HERMES));
    assert_int_equal(reply_force(&f, &r, false, &out, &err), EUSAGE);
    assert_non_null(strstr(err.msg, "'fly'"));
    r.tools = STR("");
    r.choice = CHOICE_REQUIRED;
    assert_int_equal(reply_force(&f, &r, false, &out, &err), EUSAGE);
    r.tools = str_from(tools);
    reply_format_detect(&f, STR("{{ messages }}"));
    assert_int_equal(reply_force(&f, &r, false, &out, &err), EUNSUPPORTED);
    r.tools = STR("[{\"function\": {}}]");
    assert_int_equal(reply_force(&f, &r, false, &out, &err), EUSAGE);
    assert_non_null(strstr(err.msg, "tools[0]"));
    buf_release(&out);
}

static void repeat(struct buf *b, const char *z, int n)
{
    for (int i = 0; i < n; i++)
        buf_adds(b, z);
}

/* Deep, long and repeated texts come back as they are, in linear time. */
static void test_hostile(void **state)
{
    (void)state;
    static const struct {
        const char *first, *again;
        int n;
    } texts[] = {
        {"<tool_call>{\"name\": \"run\", \"arguments\": ", "[", 20000},
        {"<tool_call>{\"name\": \"run\", \"arguments\": ", "{\"a\":", 20000},
        {"", "<tool_call>", 10000},
        {"", "<tool_call", 10000},
        {"", "{\"name\": \"run\", \"arguments\": {", 6000},
        {"", "[{ ", 20000},
        {"a", " ", 60000},
        {"",
         "{\"name\":                                                                      ", 2000},
        {"<tool_call>{\"name\": \"run\", \"arguments\": {\"a\": \"", "\\\\\xc3\xa4", 40000},
        {"", "<function=run>{", 10000},
        {"", "<start_function_call>call:run{a:", 4000},
        {"<start_function_call>call:run{a:", "[", 20000},
        {"<tool_call><function=run>", "<parameter=a>", 10000},
    };
    static const char *const templates[] = {
        HERMES, OTHER, "<function=", "<function= <parameter=", "<start_function_call>"};
    struct buf text;
    struct err err;
    buf_init(&text, 1 << 26);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        for (size_t k = 0; k < sizeof templates / sizeof *templates; k++) {
            struct reply_format f;
            struct told t;
            reply_format_detect(&f, str_from(templates[k]));
            struct reply_options o = {.format = &f, .tools = str_from(tools)};
            buf_clear(&text);
            buf_adds(&text, texts[i].first);
            repeat(&text, texts[i].again, texts[i].n);
            assert_ok(read_cut(&o, buf_str(&text), -1, &t, &err));
            assert_true(str_eq(str_of(&t), buf_str(&text)));
            buf_release(&t.text);
        }
    buf_release(&text);
}

static void test_detect(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"{{ range .ToolCalls }}<tool_call>\n{\"name\": \"{{ .Function.Name }}\"}{{ end }}",
         "hermes"},
        {"{\"name\": \"{{ .Function.Name }}\", \"parameters\": {{ .Function.Arguments }}} Tools",
         "llama"},
        {"{{- if .Tools }}x{{ end }}", "json"},
        {"{{ .Prompt }}", "none"},
        {"", "none"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct reply_format f;
        reply_format_detect(&f, str_from(rows[i][0]));
        assert_string_equal(reply_format_name(&f), rows[i][1]);
    }
    /* the published ones, where they are at hand */
    static const struct {
        const char *file, *name;
        bool thinks;
    } files[] = {
        {"HuggingFaceTB-SmolLM3-3B", "none", true},
        {"NousResearch-Hermes-3-Llama-3.1-8B-tool_use", "hermes", false},
        {"Qwen-Qwen2.5-7B-Instruct", "hermes", false},
        {"Qwen-Qwen3-0.6B", "hermes", true},
        {"google-gemma-2-2b-it", "none", false},
        {"meta-llama-Llama-3.1-8B-Instruct", "llama", false},
        {"meta-llama-Llama-3.2-3B-Instruct", "llama", false},
        {"microsoft-Phi-3.5-mini-instruct", "none", false},
        {"mistralai-Mistral-Nemo-Instruct-2407", "mistral", false},
    };
    const char *shared = getenv("HEARTH_SHARED");
    for (size_t i = 0; shared && i < sizeof files / sizeof *files; i++) {
        char path[4096];
        struct buf text;
        struct err err;
        struct reply_format f;
        snprintf(path, sizeof path, "%s/templates/%s.jinja", shared, files[i].file);
        buf_init(&text, 1 << 20);
        assert_ok(file_read(path, &text, &err));
        reply_format_detect(&f, buf_str(&text));
        assert_string_equal(reply_format_name(&f), files[i].name);
        assert_int_equal(f.thinks, files[i].thinks);
        buf_release(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_calls), cmocka_unit_test(test_named_calls),
        cmocka_unit_test(test_thinking),   cmocka_unit_test(test_early),
        cmocka_unit_test(test_force),      cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_detect),     cmocka_unit_test(test_nul),
        cmocka_unit_test(test_probe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
