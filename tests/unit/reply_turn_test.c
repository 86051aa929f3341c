/* Calls and thinking from a real model through its provider: the model that ships calls tools; one
 * that is fed no sense has to be forced. */
#include "support.h"
#include "base/json.h"
#include "chat/local.h"
#include "chat/prompt.h"
#include "chat/sched.h"
#include <stdlib.h>
#include <string.h>

#define NANO HEARTH_SOURCE_DIR "/models/hearth-nano.gguf"

static const char tools[] =
    "[{\"type\": \"function\", \"function\": {\"name\": \"get_weather\", \"description\": \"Get "
    "the "
    "weather in a city.\", \"parameters\": {\"type\": \"object\", \"properties\": {\"city\": "
    "{\"type\": \"string\"}}, \"required\": [\"city\"]}}}]";

struct talk {
    struct buf text, thinking, calls;
    int n_calls, n_tokens, n_done, n_error, n_logprobs;
    char id[64];
    struct chat_usage usage;
};

static int on_event(void *ctx, const struct chat_event *ev)
{
    struct talk *t = ctx;
    assert_int_equal(t->n_done + t->n_error, 0);
    t->n_tokens += ev->token != NULL;
    t->n_logprobs += ev->logprob != NULL;
    if (ev->kind == CHAT_TEXT)
        buf_addstr(&t->text, ev->text);
    if (ev->kind == CHAT_THINKING)
        buf_addstr(&t->thinking, ev->text);
    if (ev->kind == CHAT_CALL) {
        struct err err;
        json_t *doc;
        assert_ok(json_parse(&doc, ev->call->arguments, "arguments", &err));
        assert_true(json_is_object(doc));
        json_decref(doc);
        snprintf(t->id, sizeof t->id, "%.*s", STR_ARG(ev->call->id));
        buf_printf(&t->calls, "%.*s %.*s;", STR_ARG(ev->call->name), STR_ARG(ev->call->arguments));
        t->n_calls++;
    }
    if (ev->kind == CHAT_DONE)
        t->usage = *ev->usage;
    t->n_done += ev->kind == CHAT_DONE;
    t->n_error += ev->kind == CHAT_ERROR;
    return 0;
}

struct fixture {
    struct model *model;
    struct engine *engine;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct engine_options eo = {.n_threads = 2, .n_ctx = 1024};
    struct err err;
    assert_ok(model_open(&f->model, NANO, NULL, &err));
    assert_ok(engine_new(&f->engine, f->model, &eo, &err));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    engine_free(f->engine);
    model_close(f->model);
    free(f);
    return 0;
}

static void release(struct talk *t)
{
    buf_release(&t->text);
    buf_release(&t->thinking);
    buf_release(&t->calls);
}

/* chat_template: .p NULL for the model's */
static enum status ask(struct fixture *f, struct str chat_template, const struct chat_request *r,
                       struct talk *t, struct err *err)
{
    struct provider *p;
    *t = (struct talk){0};
    buf_init(&t->text, 1 << 20);
    buf_init(&t->thinking, 1 << 20);
    buf_init(&t->calls, 1 << 20);
    assert_int_equal(local_new(&p, f->engine, chat_template, err), OK);
    struct chat_sink sink = {on_event, t};
    enum status s = provider_chat(p, r, &sink, err);
    provider_free(p);
    assert_int_equal(t->n_done, s == OK);
    assert_int_equal(t->n_error, s != OK);
    return s;
}

static struct chat_request request(const struct chat_message *m)
{
    struct chat_request r = {.messages = m,
                             .n_messages = 1,
                             .tools = str_from(tools),
                             .params = {.sampler = sampler_defaults, .max_tokens = 60}};
    r.params.sampler.temperature = 0;
    return r;
}

static const struct str own = {NULL, 0};

static void test_calls(void **state)
{
    struct fixture *f = *state;
    struct chat_message m = {.role = STR("user"), .content = STR("What is the weather in Paris?")};
    struct chat_request r = request(&m);
    struct talk t, again;
    struct err err;
    r.logprobs = true;
    assert_ok(ask(f, own, &r, &t, &err));
    assert_string_equal(t.calls.p, "get_weather {\"city\": \"Paris\"};");
    assert_int_equal(t.text.n, 0);
    assert_int_equal(t.usage.end, GEN_STOP);
    assert_int_equal(t.n_tokens, t.usage.answer_tokens - 1); /* each but the end token */
    assert_int_equal(t.n_logprobs, t.n_tokens);
    /* the call goes back into the conversation, and its id is not made again */
    struct chat_call call = {str_from(t.id), STR("get_weather"), STR("{\"city\": \"Paris\"}")};
    struct chat_message turns[] = {
        m,
        {.role = STR("assistant"), .calls = &call, .n_calls = 1},
        {.role = STR("tool"), .content = STR("{\"temperature\": 21}"), .call_id = call.id},
    };
    struct chat_request next = r;
    next.messages = turns;
    next.n_messages = 3;
    assert_ok(ask(f, own, &next, &again, &err));
    assert_true(again.text.n > 0);
    assert_int_equal(again.n_calls, 0);
    release(&again);
    /* the tools are not to be called */
    r.choice = CHOICE_NONE;
    assert_ok(ask(f, own, &r, &again, &err));
    assert_int_equal(again.n_calls, 0);
    release(&again);
    release(&t);
}

static void test_choice(void **state)
{
    struct fixture *f = *state;
    struct chat_message m = {.role = STR("user"), .content = STR("Hello! Who are you?")};
    struct chat_request r = request(&m);
    struct talk t;
    struct err err;
    assert_ok(ask(f, own, &r, &t, &err));
    assert_int_equal(t.n_calls, 0);
    release(&t);
    /* without a constraint the forced model may write no JSON: then there is no answer at all */
    r.choice = CHOICE_REQUIRED;
    enum status st = ask(f, own, &r, &t, &err);
    assert_true(st == OK ? t.n_calls > 0 : st == EFAIL && strstr(err.msg, "get_weather"));
    assert_int_equal(t.text.n, 0);
    release(&t);
    m.content = STR("What is the weather in Oslo?");
    assert_ok(ask(f, own, &r, &t, &err));
    assert_string_equal(t.calls.p, "get_weather {\"city\": \"Oslo\"};");
    release(&t);
    r.choice = CHOICE_NAMED;
    r.choice_name = STR("get_weather");
    r.params.ignore_eos = true; /* it is over with the one call */
    assert_ok(ask(f, own, &r, &t, &err));
    assert_string_equal(t.calls.p, "get_weather {\"city\": \"Oslo\"};");
    assert_int_equal(t.text.n, 0);
    assert_int_equal(t.usage.end, GEN_STOP);
    assert_true(t.usage.answer_tokens < 30);
    release(&t);
    r.params.max_tokens = 1; /* too few for arguments */
    assert_int_equal(ask(f, own, &r, &t, &err), EFAIL);
    assert_non_null(strstr(err.msg, "get_weather"));
    assert_int_equal(t.text.n, 0);
    release(&t);
    r.choice_name = STR("fly");
    assert_int_equal(ask(f, own, &r, &t, &err), EUSAGE);
    release(&t);
    r.choice = CHOICE_AUTO;
    assert_int_equal(ask(f, STR("{{ messages[0].content }}"), &r, &t, &err), EUNSUPPORTED);
    release(&t);
}

/* The same from the provider that answers many at once, which runs ahead of its sinks. */
static void test_sched(void **state)
{
    struct fixture *f = *state;
    struct chat_message m = {.role = STR("user"), .content = STR("What is the weather in Oslo?")};
    struct chat_request r = request(&m);
    struct sched_options so = {.engine = {.n_threads = 1, .n_ctx = 512}};
    struct provider *p;
    struct err err;
    r.choice = CHOICE_NAMED;
    r.choice_name = STR("get_weather");
    r.params.ignore_eos = true;
    r.params.max_tokens = 200;
    assert_ok(sched_new(&p, f->model, &so, &err));
    for (int i = 0; i < 2; i++) {
        struct talk t = {0};
        struct chat_sink sink = {on_event, &t};
        buf_init(&t.text, 1 << 20);
        buf_init(&t.calls, 1 << 20);
        enum status s = provider_chat(p, &r, &sink, &err);
        if (i == 0) {
            assert_int_equal(s, OK);
            assert_string_equal(t.calls.p, "get_weather {\"city\": \"Oslo\"};");
            assert_int_equal(t.usage.end, GEN_STOP);
        } else {
            assert_int_equal(s, EFAIL);
            assert_int_equal(t.n_done, 0);
            assert_int_equal(t.n_calls, 0);
        }
        assert_int_equal(t.text.n, 0);
        release(&t);
        r.params.max_tokens = 1;
    }
    provider_free(p);
}

/* Templates that open and close thinking in the prompt. */
static void test_thinking(void **state)
{
    struct fixture *f = *state;
    struct chat_message m = {.role = STR("user"), .content = STR("Hello! Who are you?")};
    struct chat_request r = request(&m);
    struct talk plain, open, closed;
    struct err err;
    r.tools = (struct str){NULL, 0};
    r.params.min_tokens = 10;
    static const char *const templates[] = {
        "<|im_start|>user\n{{ messages[0].content }}<|im_end|>\n<|im_start|>assistant\n",
        "<|im_start|>user\n{{ messages[0].content }}<|im_end|>\n<|im_start|>assistant\n<think>\n",
        ("<think></think><|im_start|>user\n{{ messages[0].content }}<|im_end|>\n"
         "<|im_start|>assistant\n"),
    };
    assert_ok(ask(f, str_from(templates[0]), &r, &plain, &err));
    assert_ok(ask(f, str_from(templates[1]), &r, &open, &err));
    assert_ok(ask(f, str_from(templates[2]), &r, &closed, &err));
    assert_true(plain.text.n > 0 && plain.thinking.n == 0);
    assert_true(open.thinking.n > 0);
    assert_true(closed.text.n > 0 && closed.thinking.n == 0);
    release(&plain);
    release(&open);
    release(&closed);
}

/* Control tokens that are markers are told, and no others: the vocabulary's <|im_start|> stands for
 * a marker here. */
static void test_shown(void **state)
{
    struct fixture *f = *state;
    struct reply_format format;
    struct tokens shown = {0};
    struct err err;
    const struct tokenizer *t = model_tokenizer(f->model);
    reply_format_detect(&format, STR("<tool_call>"));
    assert_ok(reply_format_shown(&format, t, &shown, &err));
    assert_int_equal(shown.n, 0); /* they are user-defined here, and told anyway */
    int32_t mark = tokenizer_find(t, STR("<|im_start|>"));
    assert_int_equal(tokenizer_attr(t, mark), TOKEN_CONTROL);
    for (int show = 0; show < 2; show++) {
        struct logit_bias bias = {mark, 1000};
        struct talk talk;
        struct chat_request r = {.prompt = STR("a"),
                                 .params = {.sampler = sampler_defaults, .max_tokens = 1}};
        r.params.sampler.bias = &bias;
        r.params.sampler.n_bias = 1;
        r.params.shown = &mark;
        r.params.n_shown = (size_t)show;
        assert_ok(ask(f, own, &r, &talk, &err));
        assert_true(str_is(buf_str(&talk.text), show ? "<|im_start|>" : ""));
        release(&talk);
    }
    tokens_free(&shown);
}

/* A template with markers that nobody has heard of. */
static void test_probe(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *template, *open, *close;
    } rows[] = {
        {"{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}{% for c in m.tool_calls or [] "
         "%}<do>\n{\"name\": \"{{ c.function.name }}\", \"arguments\": {{ c.function.arguments | "
         "tojson }}}\n</do>{% endfor %}<|end|>\n{% endfor %}",
         "<do>", "</do>"},
        {"{% for m in messages %}<{{ m.role }}>{{ m.content }}{% for c in m.tool_calls or [] "
         "%}[CALL][{{ c.function | tojson }}]{% endfor %}<end>{% endfor %}",
         "[CALL]", ""},
        {"{% for m in messages %}<{{ m.role }}>{{ m.content }}{% for c in m.tool_calls or [] "
         "%}{{ c.function | tojson }}{% endfor %}<end>{% endfor %}",
         "", ""},
        {"{% for m in messages %}{{ m.content }}{{ m.tool_calls[0].function.name }}{% endfor %}",
         "", ""},
        {"{{ raise_exception('no') }}{{ tool_calls }}", "", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct prompt_format *p;
        struct err err;
        assert_ok(prompt_format_new(&p, f->model, str_from(rows[i].template), &err));
        const struct reply_format *r = prompt_format_reply(p);
        assert_string_equal(reply_format_name(r), "json");
        assert_string_equal(r->open, rows[i].open);
        assert_string_equal(r->close, rows[i].close);
        prompt_format_free(p);
    }
}

/* Mistral's templates refuse ids of another length. */
static void test_short_ids(void **state)
{
    struct fixture *f = *state;
    struct prompt_format *p;
    struct buf out;
    struct err err;
    struct chat_call call[] = {{STR("call_1234567890"), STR("run"), STR("{}")},
                               {STR(""), STR("run"), STR("{}")},
                               {STR("abcdefghi"), STR("run"), STR("{}")}};
    struct chat_message m[] = {
        {.role = STR("assistant"), .calls = call, .n_calls = 3},
        {.role = STR("tool"), .content = STR("1"), .call_id = call[0].id},
        {.role = STR("tool"), .content = STR("2"), .tool_name = STR("run")},
        {.role = STR("tool"), .content = STR("3"), .call_id = call[2].id},
    };
    struct chat_request r = {.messages = m, .n_messages = 4};
    buf_init(&out, 1 << 16);
    assert_ok(prompt_format_new(
        &p, f->model,
        STR("{%- for m in messages %}{% if m.tool_calls %}{% for c in m.tool_calls %}{{ c.id }}{% "
            "if c.id|length != 9 %}!{% endif %}{% endfor %}{% else %}{{ m.tool_call_id }}{% endif "
            "%}{% endfor %}"),
        &err));
    assert_ok(prompt_render_request(p, &r, &out, &err));
    assert_int_equal(out.n, 6 * 9);
    assert_memory_equal(out.p, out.p + 27, 27);
    assert_memory_not_equal(out.p, out.p + 9, 9);
    assert_memory_equal(out.p + 18, "abcdefghi", 9);
    prompt_format_free(p);
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_calls, setup, teardown),
        cmocka_unit_test_setup_teardown(test_choice, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sched, setup, teardown),
        cmocka_unit_test_setup_teardown(test_thinking, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shown, setup, teardown),
        cmocka_unit_test_setup_teardown(test_short_ids, setup, teardown),
        cmocka_unit_test_setup_teardown(test_probe, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
