/* /v1/responses without a model: items become messages, events become items and are told in the
 * order that clients build on. */
#include "server/archive.h"
#include "server/openai_responses.h"
#include "server/server.h"
#include "support.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

/* ---- items ---- */

struct fixture {
    struct app app;
    struct http_request q;
    struct store_model entry;
    struct ask a;
    struct response rs;
};

static void begin(struct fixture *f, struct archive *archive)
{
    *f = (struct fixture){.app.archive = archive};
    f->q = (struct http_request){.app = &f->app, .key_name = STR("")};
    f->a = (struct ask){.q = &f->q, .lease.entry = &f->entry};
    f->rs = (struct response){.a = &f->a, .status = "in_progress"};
    arena_init(&f->a.arena, 1 << 20);
    buf_init(&f->rs.out, 1 << 20);
}

static void end(struct fixture *f)
{
    response_release(&f->rs);
    arena_release(&f->a.arena);
}

static json_t *parse(const char *text)
{
    json_t *v;
    struct err err = {0};
    json_t *wrapped;
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_printf(&b, "[%s]", text); /* texts are values, too */
    assert_ok(json_parse(&wrapped, buf_str(&b), "test", &err));
    v = json_incref(json_array_get(wrapped, 0));
    json_decref(wrapped);
    buf_release(&b);
    return v;
}

/* The messages that `input` becomes, a line each: role, thinking, text, calls, what it answers. */
static enum status messages(const char *input, const char *instructions, const char *want,
                            struct err *err)
{
    struct fixture f;
    struct buf text;
    json_t *v = parse(input);
    begin(&f, NULL);
    buf_init(&text, 1 << 16);
    enum status s = response_input(&f.rs, v, &f.rs.input, err);
    f.rs.context = json_incref(f.rs.input);
    if (s == OK)
        s = response_messages(&f.rs, str_from(instructions), 0, err);
    for (size_t i = 0; s == OK && i < f.a.r.n_messages; i++) {
        const struct chat_message *m = &f.a.messages[i];
        buf_printf(&text, "%.*s", STR_ARG(m->role));
        if (m->thinking.n)
            buf_printf(&text, " (%.*s)", STR_ARG(m->thinking));
        buf_printf(&text, " %.*s", STR_ARG(m->content));
        for (size_t k = 0; k < m->n_calls; k++)
            buf_printf(&text, " %.*s=%.*s%.*s", STR_ARG(m->calls[k].id), STR_ARG(m->calls[k].name),
                       STR_ARG(m->calls[k].arguments));
        if (m->call_id.n)
            buf_printf(&text, " of %.*s %.*s", STR_ARG(m->call_id), STR_ARG(m->tool_name));
        buf_adds(&text, "\n");
    }
    if (s == OK && f.a.r.continue_last)
        buf_adds(&text, "...\n");
    if (s == OK && want)
        assert_string_equal(text.p, want);
    size_t i;
    json_t *item;
    json_array_foreach(f.rs.input, i, item)
    {
        if (s == OK)
            assert_true(json_string_length(json_object_get(item, "id")) > 0);
    }
    buf_release(&text);
    json_decref(v);
    end(&f);
    return s;
}

static void test_messages(void **state)
{
    static const struct {
        const char *input, *instructions, *want;
    } rows[] = {
        {"\"Hi\"", NULL, "user Hi\n"},
        {"\"Hi\"", "Be brief.", "system Be brief.\nuser Hi\n"},
        {"[{\"role\":\"developer\",\"content\":\"A\"},{\"role\":\"system\",\"content\":\"B\"},"
         "{\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"x\"},"
         "{\"type\":\"input_text\",\"text\":\"y\"}]},{\"role\":\"system\",\"content\":\"C\"}]",
         "I", "system I\n\nA\n\nB\nuser xy\nsystem C\n"},
        /* one assistant's message from reasoning, text and calls */
        {"[{\"role\":\"user\",\"content\":\"q\"},"
         "{\"type\":\"reasoning\",\"id\":\"rs_1\",\"summary\":[],\"content\":[{\"type\":"
         "\"reasoning_text\",\"text\":\"hm\"}]},"
         "{\"type\":\"message\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\","
         "\"text\":\"Let me look\"}]},"
         "{\"type\":\"function_call\",\"call_id\":\"c1\",\"name\":\"f\",\"arguments\":\"{}\"},"
         "{\"type\":\"function_call\",\"call_id\":\"c2\",\"name\":\"g\",\"arguments\":\"\"},"
         "{\"type\":\"function_call_output\",\"call_id\":\"c2\",\"output\":\"two\"},"
         "{\"type\":\"function_call_output\",\"call_id\":\"c1\",\"output\":[{\"type\":"
         "\"input_text\",\"text\":\"one\"}]},"
         "{\"type\":\"function_call\",\"call_id\":\"c3\",\"name\":\"f\",\"arguments\":\"{}\"},"
         "{\"type\":\"function_call_output\",\"call_id\":\"c3\",\"output\":\"three\"}]",
         NULL,
         "user q\nassistant (hm) Let me look c1=f{} c2=g{}\ntool two of c2 g\ntool one of c1 f\n"
         "assistant  c3=f{}\ntool three of c3 f\n"},
        /* a summary stands for what is not there */
        {"[{\"type\":\"reasoning\",\"summary\":[{\"type\":\"summary_text\",\"text\":\"s\"}]},"
         "{\"role\":\"assistant\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"b\"}]",
         NULL, "assistant (s) a\nassistant b\n...\n"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct err err = {0};
        assert_ok(messages(rows[i].input, rows[i].instructions, rows[i].want, &err));
    }
}

static void test_refused(void **state)
{
    static const struct {
        const char *input;
        enum status status;
        const char *want;
    } rows[] = {
        {"[]", EUSAGE, "input: empty"},
        {"7", EUSAGE, "expected a string or a list"},
        {"[1]", EUSAGE, "input[0]: expected an object"},
        {"[{\"role\":\"tool\",\"content\":\"x\"}]", EUSAGE, "role 'tool'"},
        {"[{\"type\":\"computer_call\"}]", EUNSUPPORTED, "input[0]: items of type 'computer_call'"},
        {"[{\"role\":\"user\",\"content\":[{\"type\":\"input_image\"}]}]", EUNSUPPORTED,
         "'input_image'"},
        {"[{\"type\":\"function_call\",\"call_id\":\"a\"}]", EUSAGE, "no name"},
        {"[{\"type\":\"function_call_output\",\"output\":\"a\"}]", EUSAGE, "no call_id"},
        {"[{\"type\":\"item_reference\",\"id\":\"msg_1\"}]", ENOTFOUND, "item 'msg_1' not found"},
        {"[{\"type\":\"message\",\"role\":3}]", EFORMAT, "role"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct err err = {0};
        assert_int_equal(messages(rows[i].input, NULL, NULL, &err), rows[i].status);
        if (!strstr(err.msg, rows[i].want))
            fail_msg("'%s', expected '%s'", err.msg, rows[i].want);
    }
}

/* A chain of responses is walked to its beginning; a reference finds an item of it. */
static void test_history(void **state)
{
    struct archive *archive;
    struct fixture f;
    struct err err = {0};
    json_t *items;
    char dir[] = "/tmp/responses_XXXXXX", path[64], id[16], previous[16], input[64], body[128];
    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/files", dir);
    assert_ok(
        archive_open(&archive, &(struct archive_options){.path = ":memory:", .files = path}, &err));
    begin(&f, archive);
    for (int i = 0; i < 4; i++) {
        snprintf(id, sizeof id, "r%d", i);
        snprintf(previous, sizeof previous, "r%d", i - 1);
        snprintf(input, sizeof input, "[{\"id\":\"in%d\"}]", i);
        snprintf(body, sizeof body, "{\"output\":[{\"id\":\"out%d\",\"type\":\"message\"}]}", i);
        char name[16];
        snprintf(name, sizeof name, "out%d", i);
        struct str names[] = {str_from(name)};
        struct archive_response r = {.id = str_from(id),
                                     .owner = STR(""),
                                     .previous = i ? str_from(previous) : (struct str){0},
                                     .input = str_from(input),
                                     .body = str_from(body),
                                     .items = names,
                                     .n_items = 1};
        assert_ok(archive_response_put(archive, &r, &err));
    }
    static const char *const want[] = {"in0", "out0", "in1", "out1", "in2", "out2"};
    for (int with = 0; with < 2; with++) {
        assert_ok(response_history(&f.q, STR("r2"), with, &items, &err));
        assert_int_equal(json_array_size(items), with ? 6 : 5);
        for (size_t i = 0; i < json_array_size(items); i++)
            assert_string_equal(json_string_value(json_object_get(json_array_get(items, i), "id")),
                                want[i]);
        json_decref(items);
    }
    json_t *reference = parse("[{\"type\":\"item_reference\",\"id\":\"out3\"}]");
    assert_ok(response_input(&f.rs, reference, &f.rs.input, &err));
    assert_string_equal(json_string_value(json_object_get(json_array_get(f.rs.input, 0), "type")),
                        "message");
    json_decref(reference);

    assert_int_equal(response_history(&f.q, STR("r9"), true, &items, &err), ENOTFOUND);
    assert_string_equal(err.msg, "response 'r9' not found");
    json_decref(items);
    assert_ok(archive_response_delete(archive, STR(""), STR("r1"), &err));
    assert_int_equal(response_history(&f.q, STR("r3"), true, &items, &err), ENOTFOUND);
    assert_string_equal(err.msg, "response 'r1', from which 'r3' goes on, is not stored any more");
    json_decref(items);
    end(&f);
    archive_close(archive);
    rmdir(path);
    rmdir(dir);
}

/* ---- events ---- */

static struct chat_event text_event(enum chat_event_kind kind, const char *text)
{
    static const struct token_info token;
    return (struct chat_event){.kind = kind, .text = str_from(text), .token = &token};
}

/* Thinks, says something, calls twice, is cut off in a second text; ?stream=true. */
static enum status answer(struct http_request *q, struct reply *reply, struct err *err)
{
    struct ask a = {.q = q, .model = STR("m")};
    struct chat_usage usage = {.prompt_tokens = 5, .answer_tokens = 7, .end = GEN_LENGTH};
    struct chat_call calls[] = {{STR("c1"), STR("f"), STR("{\"a\":1}")},
                                {STR("c2"), STR("g"), STR("{}")}};
    struct chat_event events[] = {
        text_event(CHAT_THINKING, "hm"),        text_event(CHAT_THINKING, ", so"),
        text_event(CHAT_TEXT, "Let "),          text_event(CHAT_TEXT, "me"),
        {.kind = CHAT_CALL, .call = &calls[0]}, {.kind = CHAT_CALL, .call = &calls[1]},
        text_event(CHAT_TEXT, "And"),           {.kind = CHAT_DONE, .usage = &usage}};
    struct response rs = {.a = &a,
                          .reply = reply,
                          .status = "in_progress",
                          .id = "resp_1",
                          .created = 1,
                          .stream = str_is(http_query(q, "stream"), "true")};
    int stop = 0;
    struct jsonw w;
    arena_init(&a.arena, 1 << 20);
    buf_init(&rs.out, 1 << 20);
    if (rs.stream)
        stop = response_begin(&rs);
    for (size_t i = 0; !stop && i < sizeof events / sizeof *events; i++)
        stop = response_event(&rs, &events[i]);
    response_close(&rs,
                   str_is(http_query(q, "fail"), "true") ? &(struct err){EFAIL, "broke"} : NULL);
    if (rs.stream) {
        response_end_stream(&rs);
    } else {
        buf_clear(&rs.out);
        jsonw_init(&w, &rs.out, 0);
        response_write(&rs, &w);
        reply_json(reply, 200, &rs.out);
    }
    (void)err;
    response_release(&rs);
    arena_release(&a.arena);
    return OK;
}

static const struct route routes[] = {
    {"GET", "/v1/test", answer, SCOPE_NONE, DIALECT_OPENAI, "", ROUTE_ANSWER_EVENTS}};

/* The body that a GET of `path` is answered by. */
static void fetch(const char *path, struct buf *out)
{
    struct server *server;
    struct server_options o = {.routes = routes, .n_routes = 1};
    struct err err = {0};
    char chunk[4096];
    ssize_t n;
    assert_ok(listen_open(&o.listener, "127.0.0.1", 0, false, &err));
    assert_ok(server_new(&server, &o, &err));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)server_port(server)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(fd, (struct sockaddr *)(void *)&to, sizeof to), 0);
    int k = snprintf(chunk, sizeof chunk,
                     "GET %s HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n", path);
    assert_int_equal(write(fd, chunk, (size_t)k), k);
    while ((n = read(fd, chunk, sizeof chunk)) > 0)
        buf_add(out, chunk, (size_t)n);
    close(fd);
    assert_int_equal(server_stop(server, 1000000000, 1000000000), 0);
    server_free(server);
}

static const char *event_text(const json_t *v, const char *key)
{
    const char *s = json_string_value(json_object_get(v, key));
    return s ? s : "";
}

/* Every event in a word or two. */
static void describe(const json_t *v, struct buf *out)
{
    const char *type = event_text(v, "type") + strlen("response.");
    const json_t *item = json_object_get(v, "item");
    buf_adds(out, type);
    if (json_object_get(v, "output_index"))
        buf_printf(out, " %d", (int)json_integer_value(json_object_get(v, "output_index")));
    if (item)
        buf_printf(out, " %s %s", event_text(item, "type"), event_text(item, "status"));
    if (json_object_get(v, "delta"))
        buf_printf(out, " +%s", event_text(v, "delta"));
    if (json_object_get(v, "text"))
        buf_printf(out, " =%s", event_text(v, "text"));
    if (json_object_get(v, "arguments"))
        buf_printf(out, " %s %s", event_text(v, "name"), event_text(v, "arguments"));
    buf_adds(out, "\n");
}

static const char want_events[] = "created\nin_progress\n"
                                  "output_item.added 0 reasoning in_progress\n"
                                  "content_part.added 0\nreasoning_summary_part.added 0\n"
                                  "reasoning_text.delta 0 +hm\nreasoning_summary_text.delta 0 +hm\n"
                                  "reasoning_text.delta 0 +, so\n"
                                  "reasoning_summary_text.delta 0 +, so\n"
                                  "reasoning_text.done 0 =hm, so\ncontent_part.done 0\n"
                                  "reasoning_summary_text.done 0 =hm, so\n"
                                  "reasoning_summary_part.done 0\n"
                                  "output_item.done 0 reasoning completed\n"
                                  "output_item.added 1 message in_progress\ncontent_part.added 1\n"
                                  "output_text.delta 1 +Let \noutput_text.delta 1 +me\n"
                                  "output_text.done 1 =Let me\ncontent_part.done 1\n"
                                  "output_item.done 1 message completed\n"
                                  "output_item.added 2 function_call in_progress\n"
                                  "function_call_arguments.delta 2 +{\"a\":1}\n"
                                  "function_call_arguments.done 2 f {\"a\":1}\n"
                                  "output_item.done 2 function_call completed\n"
                                  "output_item.added 3 function_call in_progress\n"
                                  "function_call_arguments.delta 3 +{}\n"
                                  "function_call_arguments.done 3 g {}\n"
                                  "output_item.done 3 function_call completed\n"
                                  "output_item.added 4 message in_progress\ncontent_part.added 4\n"
                                  "output_text.delta 4 +And\n"
                                  "output_text.done 4 =And\ncontent_part.done 4\n"
                                  "output_item.done 4 message incomplete\n"
                                  "incomplete\n";

static void test_stream(void **state)
{
    struct buf out, told;
    struct err err = {0};
    int n = 0;
    json_t *last = NULL, *whole;
    (void)state;
    buf_init(&out, 1 << 20);
    buf_init(&told, 1 << 16);
    fetch("/v1/test?stream=true", &out);
    char *at = strstr(out.p, "\r\n\r\n") + 4;
    assert_non_null(strstr(out.p, "text/event-stream"));
    while (strncmp(at, "event: ", 7) == 0) {
        char *data = strstr(at, "\ndata: "), *stop = strstr(at, "\n\n");
        json_t *v;
        assert_ok(json_parse(&v, (struct str){data + 7, (size_t)(stop - data) - 7}, "event", &err));
        assert_int_equal(json_integer_value(json_object_get(v, "sequence_number")), n++);
        *data = 0; /* the event's name is its type */
        assert_string_equal(at + 7, event_text(v, "type"));
        describe(v, &told);
        json_decref(last);
        last = v;
        at = stop + 2;
    }
    assert_string_equal(at, "data: [DONE]\n\n");
    assert_string_equal(told.p, want_events);

    /* the last event holds what the whole answer says, but for the ids */
    buf_clear(&out);
    fetch("/v1/test", &out);
    at = strstr(out.p, "\r\n\r\n") + 4;
    assert_ok(json_parse(&whole, str_from(at), "answer", &err));
    json_t *streamed = json_object_get(last, "response");
    assert_int_equal(json_array_size(json_object_get(whole, "output")), 5);
    for (size_t i = 0; i < 5; i++) {
        json_object_del(json_array_get(json_object_get(whole, "output"), i), "id");
        json_object_del(json_array_get(json_object_get(streamed, "output"), i), "id");
    }
    json_object_del(whole, "completed_at");
    json_object_del(streamed, "completed_at");
    assert_true(json_equal(whole, streamed));
    const json_t *usage = json_object_get(whole, "usage");
    assert_int_equal(json_integer_value(json_object_get(usage, "total_tokens")), 12);
    assert_int_equal(json_integer_value(json_object_get(
                         json_object_get(usage, "output_tokens_details"), "reasoning_tokens")),
                     2);
    assert_string_equal(event_text(json_object_get(whole, "incomplete_details"), "reason"),
                        "max_output_tokens");
    json_decref(whole);
    json_decref(last);
    buf_release(&told);
    buf_release(&out);
}

static void test_failure(void **state)
{
    struct buf out;
    (void)state;
    buf_init(&out, 1 << 20);
    fetch("/v1/test?stream=true&fail=true", &out);
    const char *at = strstr(out.p, "event: response.failed\n");
    assert_non_null(at);
    assert_non_null(strstr(at, "\"status\":\"failed\""));
    assert_non_null(strstr(at, "\"message\":\"broke\""));
    assert_null(strstr(out.p, "response.incomplete"));
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_history), cmocka_unit_test(test_stream),
        cmocka_unit_test(test_failure)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
