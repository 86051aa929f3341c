/* The chat floor on a tiny model: streams that end, tokens that are reused without changing an
 * answer, stops, cancellation, the plain format. */
#include "support.h"
#include "base/mem.h"
#include "chat/local.h"
#include "chat/prompt.h"
#include <stdlib.h>
#include <string.h>

#define MODEL HEARTH_SOURCE_DIR "/tests/data/golden/gguf/llama32-bf16.gguf"

struct talk {
    struct buf text;
    int n_text, n_done, n_error, n_reading, stop_after;
    size_t told_tokens; /* of the prompt, by the first event */
    struct chat_usage usage;
    struct err error;
};

static int on_event(void *ctx, const struct chat_event *ev)
{
    struct talk *t = ctx;
    assert_int_equal(t->n_done + t->n_error, 0); /* nothing comes behind the end */
    switch (ev->kind) {
    case CHAT_READING:
        if (t->n_reading++ == 0) {
            assert_int_equal(ev->done, 0);
            assert_int_equal(t->n_text, 0);
            t->told_tokens = ev->total;
        }
        break;
    case CHAT_TEXT:
        t->n_text++;
        buf_addstr(&t->text, ev->text);
        break;
    case CHAT_DONE:
        t->n_done++;
        t->usage = *ev->usage;
        assert_int_equal(t->told_tokens, ev->usage->prompt_tokens); /* cached or not */
        break;
    case CHAT_ERROR:
        t->n_error++;
        t->error = *ev->error;
        break;
    case CHAT_THINKING:
    case CHAT_CALL: break;
    }
    return t->stop_after && t->n_text >= t->stop_after;
}

struct fixture {
    struct model *model;
    struct engine *engine;
    struct provider *provider;
    struct gen_params params;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct engine_options eo = {.n_threads = 1, .n_ctx = 256};
    struct err err;
    assert_ok(model_open(&f->model, MODEL, NULL, &err));
    assert_ok(engine_new(&f->engine, f->model, &eo, &err));
    assert_ok(local_new(&f->provider, f->engine, (struct str){NULL, 0}, &err));
    f->params = (struct gen_params){.sampler = sampler_defaults, .max_tokens = 12};
    f->params.sampler.seed = 5;
    f->params.sampler.repetition_penalty = 1.3;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    provider_free(f->provider);
    engine_free(f->engine);
    model_close(f->model);
    free(f);
    return 0;
}

static enum status ask(struct fixture *f, const struct chat_request *r, struct talk *t,
                       struct err *err)
{
    int stop_after = t->stop_after;
    *t = (struct talk){.stop_after = stop_after};
    buf_init(&t->text, 1 << 20);
    struct chat_sink sink = {on_event, t};
    enum status s = provider_chat(f->provider, r, &sink, err);
    assert_int_equal(t->n_done, s == OK);
    assert_int_equal(t->n_error, s != OK);
    return s;
}

/* STR is no constant expression for a static initializer */
#define LITERAL(text)                                                                              \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }
static const struct chat_message turns[] = {
    {.role = LITERAL("system"), .content = LITERAL("Be brief.")},
    {.role = LITERAL("user"), .content = LITERAL("one two three")},
    {.role = LITERAL("assistant"), .content = LITERAL("four")},
    {.role = LITERAL("user"), .content = LITERAL("five six")},
};

/* An answer must not depend on what the cache held, penalties included. */
static void test_reuse(void **state)
{
    struct fixture *f = *state;
    struct chat_request two = {.messages = turns, .n_messages = 2, .params = f->params};
    struct chat_request four = {.messages = turns, .n_messages = 4, .params = f->params};
    struct talk fresh = {0}, again = {0}, longer = {0}, longer_fresh = {0}, back = {0};
    struct err err;
    assert_ok(ask(f, &two, &fresh, &err));
    assert_int_equal(fresh.usage.cached_tokens, 0);
    assert_int_equal(fresh.usage.answer_tokens, 12);
    assert_int_equal(fresh.usage.end, GEN_LENGTH);
    assert_ok(ask(f, &two, &again, &err));
    assert_int_equal(again.usage.cached_tokens, again.usage.prompt_tokens - 1);
    assert_int_equal(again.usage.prompt_tokens, fresh.usage.prompt_tokens);
    assert_string_equal(again.text.p, fresh.text.p);
    assert_ok(ask(f, &four, &longer, &err));
    assert_true(longer.usage.cached_tokens > 10);
    assert_true(longer.usage.cached_tokens < longer.usage.prompt_tokens - 1);
    assert_ok(ask(f, &two, &back, &err)); /* a conversation that was cut back */
    assert_string_equal(back.text.p, fresh.text.p);

    struct provider *other, *kept = f->provider;
    assert_ok(local_new(&other, f->engine, (struct str){NULL, 0}, &err));
    f->provider = other;
    assert_ok(ask(f, &four, &longer_fresh, &err));
    f->provider = kept;
    provider_free(other);
    assert_int_equal(longer_fresh.usage.cached_tokens, 0);
    assert_string_equal(longer_fresh.text.p, longer.text.p);
    struct talk *all[] = {&fresh, &again, &longer, &longer_fresh, &back};
    for (size_t i = 0; i < 5; i++)
        buf_release(&all[i]->text);
}

static void test_cancel(void **state)
{
    struct fixture *f = *state;
    struct chat_request r = {.messages = turns, .n_messages = 2, .params = f->params};
    struct talk whole = {0}, cut = {.stop_after = 3}, after = {0};
    struct err err;
    assert_ok(ask(f, &r, &whole, &err));
    assert_ok(ask(f, &r, &cut, &err));
    assert_int_equal(cut.usage.end, GEN_CANCELLED);
    assert_int_equal(cut.n_text, 3);
    assert_memory_equal(cut.text.p ? cut.text.p : "", whole.text.p, cut.text.n);
    assert_ok(ask(f, &r, &after, &err));
    assert_string_equal(after.text.p, whole.text.p);
    buf_release(&whole.text);
    buf_release(&cut.text);
    buf_release(&after.text);
}

static void test_errors(void **state)
{
    struct fixture *f = *state;
    struct chat_request r = {.messages = turns, .n_messages = 2, .params = f->params};
    struct chat_request both = r, neither = {.params = f->params}, bad = r, big = r, no_role = r;
    struct talk whole = {0}, t = {0};
    struct err err;
    assert_ok(ask(f, &r, &whole, &err));
    both.prompt = STR("x");
    assert_int_equal(ask(f, &both, &t, &err), EUSAGE);
    assert_int_equal(ask(f, &neither, &t, &err), EUSAGE);
    bad.params.sampler.top_p = 7;
    assert_int_equal(ask(f, &bad, &t, &err), EUSAGE);
    assert_string_equal(t.error.msg, err.msg);
    assert_int_equal(ask(f, &bad, &t, NULL), EUSAGE); /* the sink hears of it all the same */
    assert_true(t.error.msg[0] != 0);

    char *words = malloc(4001);
    for (int i = 0; i < 1000; i++)
        memcpy(words + 4 * i, "abc ", 5);
    struct chat_message much = {.role = STR("user"), .content = {words, 4000}};
    big.messages = &much;
    big.n_messages = 1;
    assert_int_equal(ask(f, &big, &t, &err), ECONTEXT);
    free(words);
    struct chat_message empty = {.role = STR(""), .content = STR("x")};
    no_role.messages = &empty;
    no_role.n_messages = 1;
    assert_int_equal(ask(f, &no_role, &t, &err), EUSAGE);
    /* errors leave a provider that answers as before */
    assert_ok(ask(f, &r, &t, &err));
    assert_string_equal(t.text.p, whole.text.p);
    buf_release(&t.text);
    buf_release(&whole.text);
}

static void test_prompt_and_shift(void **state)
{
    struct fixture *f = *state;
    struct chat_request r = {.prompt = STR("one two"), .params = f->params};
    struct talk first = {0}, t = {0};
    struct err err;
    assert_ok(ask(f, &r, &first, &err));
    r.params.max_tokens = 400;
    r.params.context_shift = true;
    r.params.ignore_eos = true;
    assert_ok(ask(f, &r, &t, &err)); /* the cache is moved: what it holds is not known any more */
    assert_int_equal(t.usage.answer_tokens, 400);
    buf_release(&t.text);
    r.params = f->params;
    assert_ok(ask(f, &r, &t, &err));
    assert_int_equal(t.usage.cached_tokens, 0);
    assert_string_equal(t.text.p, first.text.p);
    buf_release(&t.text);
    buf_release(&first.text);
}

static void test_templates(void **state)
{
    struct fixture *f = *state;
    struct prompt_format *p;
    struct buf out;
    struct err err;
    buf_init(&out, 1 << 16);
    struct str source =
        STR("{{ enable_thinking is defined }}{{ enable_thinking }}{% for m in messages %}"
            "<{{ m.role }}>{{ m.content }}{% endfor %}{{ add_generation_prompt }}");
    assert_ok(prompt_format_new(&p, f->model, source, &err));
    assert_int_equal(prompt_format_stop(p).n, 0);
    assert_ok(prompt_render_messages(p, turns + 1, 1, THINK_DEFAULT, &out, &err));
    assert_string_equal(out.p, "False<user>one two threeTrue");
    buf_clear(&out);
    assert_ok(prompt_render_messages(p, turns + 1, 1, THINK_OFF, &out, &err));
    assert_string_equal(out.p, "TrueFalse<user>one two threeTrue");
    prompt_format_free(p);
    assert_int_equal(prompt_format_new(&p, f->model, STR("{% if %}"), &err), EFORMAT);

    /* Go's: told by its syntax */
    buf_clear(&out);
    assert_ok(prompt_format_new(&p, f->model,
                                STR("{{ range .Messages }}<{{ .Role }}>{{ .Content }}{{ end }}"
                                    "{{ if .IsThinkSet }}{{ .Think }}{{ end }}{{ .Suffix }}"),
                                &err));
    assert_int_equal(prompt_format_kind(p), PROMPT_GO);
    assert_int_equal(prompt_format_stop(p).n, 0);
    assert_true(prompt_format_mentions(p, "Messages") && !prompt_format_mentions(p, "Tools"));
    assert_ok(prompt_render_messages(p, turns + 1, 1, THINK_OFF, &out, &err));
    assert_string_equal(out.p, "<user>one two threefalse<no value>");
    buf_clear(&out);
    assert_ok(prompt_render_gap(p, STR("a"), STR("b"), &out, &err));
    assert_string_equal(out.p, "b");
    prompt_format_free(p);
    assert_int_equal(prompt_format_new(&p, f->model, STR("{{ if .System }}"), &err), EFORMAT);
    assert_non_null(strstr(err.msg, "{{if}} of line 1 has no {{end}}"));

    /* a call and its result, and an answer that goes on where it ended */
    struct chat_call call = {STR("c1"), STR("sum"), STR("{\"b\": 2, \"a\": [1.5, \"<\"]}")};
    struct chat_message talk[] = {
        {.role = STR("user"), .content = STR("hi")},
        {.role = STR("assistant"), .calls = &call, .n_calls = 1},
        {.role = STR("tool"), .content = STR("3.5"), .tool_name = STR("sum")},
        {.role = STR("assistant"), .content = STR("It is ")},
    };
    struct chat_request request = {.messages = talk, .n_messages = 4, .continue_last = true};
    request.tools = STR("[{\"type\": \"function\", \"function\": {\"name\": \"sum\"}}]");
    buf_clear(&out);
    assert_ok(
        prompt_format_new(&p, f->model,
                          STR("{{ range .Tools }}{{ .Function.Name }}{{ end }}"
                              "{{ range .Messages }}<{{ .Role }}>{{ .ToolName }}{{ .Content }}"
                              "{{ range .ToolCalls }}{{ .ID }}{{ .Function.Arguments }}{{ end }}"
                              "</>{{ end }}<assistant>"),
                          &err));
    assert_ok(prompt_render_request(p, &request, &out, &err));
    assert_string_equal(out.p, "sum<user>hi</><assistant>c1{\"a\":[1.5,\"\\u003c\"],\"b\":2}</>"
                               "<tool>sum3.5</><assistant>It is ");
    prompt_format_free(p);

    /* the older kind: turn by turn */
    buf_clear(&out);
    assert_ok(prompt_format_new(
        &p, f->model, STR("{{ if .System }}{{ .System }};{{ end }}Q: {{ .Prompt }} A: "), &err));
    assert_ok(prompt_render_messages(p, turns, 4, THINK_DEFAULT, &out, &err));
    assert_string_equal(out.p, "Be brief.;Q: one two three A: fourQ: five six A: ");
    assert_int_equal(prompt_render_gap(p, STR("a"), STR("b"), &out, &err), ENOTFOUND);
    prompt_format_free(p);

    /* an empty template: the plain format, and where its answers end */
    buf_clear(&out);
    assert_ok(prompt_format_new(&p, f->model, STR(""), &err));
    assert_ok(prompt_render_messages(p, turns, 4, THINK_DEFAULT, &out, &err));
    assert_string_equal(out.p, "Be brief.\n\nUser: one two three\n\nAssistant: four\n\n"
                               "User: five six\n\nAssistant:");
    assert_true(str_is(prompt_format_stop(p), "\nUser:"));
    struct prompt_vars none = {0};
    assert_int_equal(prompt_render(p, &none, &out, &err), ENOTFOUND);
    prompt_format_free(p);
    buf_release(&out);
}

/* Tools, calls, thinking and effort under the names that templates use. */
static void test_requests(void **state)
{
    struct fixture *f = *state;
    struct prompt_format *p;
    struct buf out;
    struct err err;
    buf_init(&out, 1 << 16);
    struct str source =
        STR("{% if tools %}{% for t in tools %}[{{ t.function.name }}]{% endfor %}{% endif %}"
            "{{ reasoning_effort }}{% for m in messages %}<{{ m.role }}>{{ m.reasoning_content }}"
            "{% for c in m.tool_calls %}{{ c.function.name }}{{ c.function.arguments | tojson }}"
            "{{ c.id }}{% endfor %}{{ m.name }}{{ m.tool_call_id }}{{ m.content | trim }}</>"
            "{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}");
    const struct chat_call calls[] = {{STR("c1"), STR("add"), STR("{\"a\": [1, 2.5]}")},
                                      {STR(""), STR("sub"), STR("no json")},
                                      {STR(""), STR("nil"), STR("")}};
    const struct chat_message m[] = {
        {.role = STR("user"), .content = STR("hi")},
        {.role = STR("assistant"), .thinking = STR("hm"), .calls = calls, .n_calls = 3},
        {.role = STR("tool"), .content = STR("3"), .tool_name = STR("add"), .call_id = STR("c1")},
        {.role = STR("assistant"), .content = STR(" It is 3. ")},
    };
    struct chat_request r = {.messages = m,
                             .n_messages = 3,
                             .tools =
                                 STR("[{\"type\":\"function\",\"function\":{\"name\":\"add\"}},"
                                     "{\"type\":\"function\",\"function\":{\"name\":\"sub\"}}]"),
                             .effort = STR("low")};
    assert_ok(prompt_format_new(&p, f->model, source, &err));
    assert_ok(prompt_render_request(p, &r, &out, &err));
    assert_string_equal(out.p, "[add][sub]low<user>hi</><assistant>hmadd{\"a\": [1, 2.5]}c1"
                               "sub\"no json\"nil{}</><tool>addc13</><assistant>");
    r.choice = CHOICE_NAMED;
    r.choice_name = STR("sub");
    buf_clear(&out);
    assert_ok(prompt_render_request(p, &r, &out, &err));
    assert_true(str_starts(buf_str(&out), STR("[sub]low")));
    r.choice_name = STR("mul");
    assert_int_equal(prompt_render_request(p, &r, &out, &err), EUSAGE);
    r.choice = CHOICE_NONE;
    r.effort = STR("");
    buf_clear(&out);
    assert_ok(prompt_render_request(p, &r, &out, &err));
    assert_true(str_starts(buf_str(&out), STR("<user>")));
    static const char *const bad[] = {"{}", "[1]", "[{\"function\":{}}]", "["};
    for (int i = 0; i < 4; i++) {
        r.choice = CHOICE_AUTO;
        r.tools = str_from(bad[i]);
        buf_clear(&out);
        assert_true(prompt_render_request(p, &r, &out, &err) != OK);
    }

    /* an answer that is continued ends where it was left, whatever the template closes it with */
    r = (struct chat_request){.messages = m, .n_messages = 4, .continue_last = true};
    buf_clear(&out);
    assert_ok(prompt_render_request(p, &r, &out, &err));
    assert_true(str_ends(buf_str(&out), STR("</><assistant>It is 3.")));
    struct chat_message blank = {.role = STR("assistant"), .content = STR(" ")};
    struct chat_message two[] = {m[0], blank};
    r.messages = two;
    r.n_messages = 2;
    buf_clear(&out);
    assert_ok(prompt_render_request(p, &r, &out, &err));
    assert_string_equal(out.p, "<user>hi</><assistant>");
    prompt_format_free(p);
    assert_ok(prompt_format_new(&p, f->model, STR("{{ messages | length }}"), &err));
    r.messages = m;
    r.n_messages = 4;
    assert_int_equal(prompt_render_request(p, &r, &out, &err), EUNSUPPORTED);
    prompt_format_free(p);
    buf_release(&out);
}

/* Ids as a prompt are the prompt; this model's vocabulary knows no infill. */
static void test_other_prompts(void **state)
{
    struct fixture *f = *state;
    struct chat_request text = {.prompt = STR("one two"), .params = f->params}, ids = text;
    struct tokens t = {0};
    struct talk a = {0}, b = {0}, c = {0};
    struct err err;
    assert_ok(ask(f, &text, &a, &err));
    assert_ok(tokenizer_encode(model_tokenizer(f->model), STR("one two"),
                               TOKENIZE_ADD_SPECIAL | TOKENIZE_PARSE_SPECIAL, &t, &err));
    ids.prompt = (struct str){NULL, 0};
    ids.tokens = t.id;
    ids.n_tokens = t.n;
    assert_ok(ask(f, &ids, &b, &err));
    assert_string_equal(a.text.p, b.text.p);
    text.suffix = STR("three");
    assert_int_equal(ask(f, &text, &c, &err), EUNSUPPORTED);
    assert_non_null(strstr(err.msg, "infill"));
    ids.deadline_ns = 1;
    assert_int_equal(ask(f, &ids, &c, &err), ELIMIT);
    atomic_int gone = 1;
    ids.deadline_ns = 0;
    ids.cancel = &gone;
    assert_ok(ask(f, &ids, &c, &err));
    assert_int_equal(c.usage.end, GEN_CANCELLED);
    tokens_free(&t);
    buf_release(&a.text);
    buf_release(&b.text);
    buf_release(&c.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_reuse, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancel, setup, teardown),
        cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_prompt_and_shift, setup, teardown),
        cmocka_unit_test_setup_teardown(test_templates, setup, teardown),
        cmocka_unit_test_setup_teardown(test_requests, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_prompts, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
