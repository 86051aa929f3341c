/* Batches against a handler of our own: order, what an earlier run left, errors, and being killed
 * at any moment. */
#include "base/file.h"
#include "base/json.h"
#include "base/rng.h"
#include "server/batch.h"
#include "support.h"
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>

/* ---- the handler ---- */

static int calls_fd = -1; /* where calls are written down, also those of a process that is killed */
static atomic_int busy;   /* so many calls are answered by 503 */

/* Answers {"n", "model"}; "slow" sleeps so many microseconds, "fail" is answered by 400. */
static enum status echo(struct http_request *q, struct reply *r, struct err *err)
{
    json_t *body;
    char line[32];
    int64_t n, slow;
    bool fail;
    struct str model;
    struct buf out;
    enum status s = http_json(q, &body, err);
    if (s != OK)
        return s;
    if (json_get_int(body, "n", &n, -1, err) != OK ||
        json_get_int(body, "slow", &slow, 0, err) != OK ||
        json_get_bool(body, "fail", &fail, false, err) != OK ||
        json_get_str(body, "model", &model, err) != OK) {
        json_decref(body);
        return err->code;
    }
    usleep((useconds_t)slow);
    if (atomic_fetch_sub(&busy, 1) > 0) {
        json_decref(body);
        return err_set(err, EBUSY, "busy");
    }
    if (calls_fd >= 0) {
        int k = snprintf(line, sizeof line, "%lld\n", (long long)n);
        if (write(calls_fd, line, (size_t)k) != k)
            abort();
    }
    buf_init(&out, 1000);
    buf_printf(&out, "{\"n\":%lld,\"model\":\"%.*s\",\"priority\":%d}", (long long)n,
               STR_ARG(model.p ? model : STR("")), q->priority);
    if (fail)
        s = err_set(err, EUSAGE, "as asked");
    else
        reply_json(r, 200, &out);
    buf_release(&out);
    json_decref(body);
    return s;
}

static const struct route routes[] = {
    {"POST", "/v1/completions", echo, SCOPE_INFER, DIALECT_OPENAI, "", 0}};

/* ---- files ---- */

struct place {
    char dir[64], in[96], out[96], errors[96], journal[112], calls[96];
};

static int make_place(void **state)
{
    struct place *p = calloc(1, sizeof *p);
    if (!p)
        return 1;
    snprintf(p->dir, sizeof p->dir, "/tmp/batch_XXXXXX");
    if (!mkdtemp(p->dir))
        return 1;
    snprintf(p->in, sizeof p->in, "%s/in", p->dir);
    snprintf(p->out, sizeof p->out, "%s/out", p->dir);
    snprintf(p->errors, sizeof p->errors, "%s/errors", p->dir);
    snprintf(p->journal, sizeof p->journal, "%s/out.journal", p->dir);
    snprintf(p->calls, sizeof p->calls, "%s/calls", p->dir);
    calls_fd = open(p->calls, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    atomic_store(&busy, 0);
    *state = p;
    return calls_fd < 0;
}

static int drop_place(void **state)
{
    struct place *p = *state;
    char command[128];
    close(calls_fd);
    snprintf(command, sizeof command, "rm -rf '%s'", p->dir);
    int rc = system(command);
    free(p);
    return rc;
}

static void put_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    assert_int_equal(fclose(f), 0);
}

static char *get_text(const char *path)
{
    struct buf b;
    struct err err = {0};
    buf_init(&b, 64 << 20);
    if (access(path, F_OK) == 0)
        assert_ok(file_read(path, &b, &err));
    buf_addc(&b, 0);
    return b.p;
}

static void add_line(FILE *f, int n, const char *more)
{
    fprintf(f,
            "{\"custom_id\":\"id %d\",\"method\":\"POST\",\"url\":\"/v1/completions\",\"body\":{"
            "\"n\":%d%s}}\n",
            n, n, more);
}

static struct batch_options options(const struct place *p)
{
    return (struct batch_options){.in = p->in,
                                  .out = p->out,
                                  .key_name = STR(""),
                                  .concurrent = 8,
                                  .routes = routes,
                                  .n_routes = 1};
}

/* The output's custom_ids are "id first" ... in order; each answer belongs to its id. */
static void check_order(const char *path, int first, int n)
{
    char *text = get_text(path), *line = text;
    struct err err = {0};
    for (int i = 0; i < n; i++) {
        char id[32];
        json_t *v;
        char *end = strchr(line, '\n');
        assert_non_null(end);
        assert_ok(json_parse(&v, (struct str){line, (size_t)(end - line)}, "line", &err));
        snprintf(id, sizeof id, "id %d", first + i);
        assert_string_equal(json_string_value(json_object_get(v, "custom_id")), id);
        const json_t *body = json_object_get(json_object_get(v, "response"), "body");
        assert_int_equal(json_integer_value(json_object_get(body, "n")), first + i);
        assert_true(json_is_null(json_object_get(v, "error")));
        json_decref(v);
        line = end + 1;
    }
    assert_string_equal(line, "");
    free(text);
}

static size_t count_calls(const struct place *p)
{
    char *text = get_text(p->calls);
    size_t n = 0;
    for (char *c = text; *c; c++)
        n += *c == '\n';
    free(text);
    return n;
}

/* ---- tests ---- */

static void test_order(void **state)
{
    struct place *p = *state;
    struct batch_options o = options(p);
    struct batch_counts c;
    struct err err = {0};
    FILE *f = fopen(p->in, "wb");
    fputs("\xef\xbb\xbf", f);
    for (int i = 0; i < 60; i++)
        add_line(f, i, i % 20 == 0 ? ",\"slow\":20000" : "");
    fputs("\r\n  \n", f); /* empty lines do not count */
    fclose(f);
    o.model = STR("mine");
    o.priority = -3;
    assert_ok(batch_run(&o, &c, &err));
    assert_int_equal(c.total, 60);
    assert_int_equal(c.completed, 60);
    assert_int_equal(c.failed + c.found, 0);
    check_order(p->out, 0, 60);
    char *text = get_text(p->out);
    assert_non_null(strstr(text, "\"model\":\"mine\",\"priority\":-3"));
    free(text);
    assert_int_not_equal(access(p->journal, F_OK), 0);

    /* once more: nothing is asked */
    assert_ok(batch_run(&o, &c, &err));
    assert_int_equal(c.found, 60);
    assert_int_equal(count_calls(p), 60);
    check_order(p->out, 0, 60);
}

static void test_errors_apart(void **state)
{
    struct place *p = *state;
    struct batch_options o = options(p);
    struct batch_counts c;
    struct err err = {0};
    FILE *f = fopen(p->in, "wb");
    for (int i = 0; i < 10; i++)
        add_line(f, i, i == 4 ? ",\"fail\":true" : "");
    fclose(f);
    o.errors = p->errors;
    assert_int_equal(batch_run(&o, &c, &err), EUSAGE);
    o.unordered = true;
    o.concurrent = 1;
    atomic_store(&busy, 2); /* asked again until it is answered */
    assert_ok(batch_run(&o, &c, &err));
    assert_int_equal(c.completed, 9);
    assert_int_equal(c.failed, 1);
    char *text = get_text(p->errors);
    assert_non_null(strstr(text, "\"custom_id\":\"id 4\",\"response\":{\"status_code\":400"));
    assert_non_null(strstr(text, "as asked"));
    assert_null(strstr(strchr(text, '\n') + 1, "\n"));
    free(text);
    assert_ok(batch_run(&o, &c, &err));
    assert_int_equal(c.found, 10);
    assert_int_equal(c.failed, 1);
}

static void test_input(void **state)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"", "no lines"},
        {"\n{}\n", "line 2: no custom_id"},
        {"{\"custom_id\":\"a\"}", "line 1: url ''"},
        {"{\"custom_id\":\"a\",\"url\":\"/v1/models\"}", "line 1: url '/v1/models'"},
        {"{\"custom_id\":\"a\",\"url\":\"/v1/embeddings\"}", "endpoint is '/v1/completions'"},
        {"{\"custom_id\":\"a\",\"method\":\"GET\"}", "method 'GET', expected POST"},
        {"{\"custom_id\":\"a\",\"url\":\"/v1/completions\"}", "no body"},
        {"{\"custom_id\":7}", "line 1: "},
        {"{\"custom_id\":\"a\",\"url\":\"/v1/completions\",\"body\":{\"stream\":true}}",
         "stream: true"},
        {"{\"custom_id\":\"a\",\"url\":\"/v1/completions\",\"body\":{}}\n"
         "{\"custom_id\":\"a\",\"url\":\"/v1/completions\",\"body\":{}}",
         "line 2 has the custom_id 'a' of line 1"},
        {"{\"custom_id\":\"a\",\"url\":\"/v1/completions\",\"body\":{}", "line 1: "},
    };
    struct place *p = *state;
    struct batch_options o = options(p);
    o.endpoint = STR("/v1/completions");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct batch_counts c;
        struct err err = {0};
        put_text(p->in, rows[i].text);
        assert_int_equal(batch_run(&o, &c, &err), EFORMAT);
        if (!strstr(err.msg, rows[i].want))
            fail_msg("'%s', expected '%s'", err.msg, rows[i].want);
        assert_int_equal(c.total, 0);
        assert_int_equal(c.bad_line, i == 0 ? 0 : i == 1 || i == 9 ? 2 : 1);
        assert_int_not_equal(access(p->out, F_OK), 0);
    }
    assert_int_equal(count_calls(p), 0);
}

#define ANSWER(id, n)                                                                              \
    "{\"id\":\"b\",\"custom_id\":\"id " id                                                         \
    "\",\"response\":{\"status_code\":200,\"body\":{\"n\":" n "}},\"error\":null}\n"

/* What an earlier run left is taken up, whatever it was cut off in. */
static void test_left(void **state)
{
    struct place *p = *state;
    struct batch_options o = options(p);
    struct batch_counts c;
    struct err err = {0};
    FILE *f = fopen(p->in, "wb");
    for (int i = 0; i < 6; i++)
        add_line(f, i, "");
    fclose(f);
    put_text(p->out, ANSWER("0", "0")
                         ANSWER("1", "1") "{\"id\":\"batch_req_0\",\"custom_id\":\"id 2\",\"resp");
    put_text(p->journal, ANSWER("0", "0") ANSWER("4", "4") "{\"id\":\"bat");
    assert_ok(batch_run(&o, &c, &err));
    assert_int_equal(c.found, 3);
    assert_int_equal(c.completed, 6);
    check_order(p->out, 0, 6);
    char *text = get_text(p->calls);
    assert_true(strchr(text, '2') && strchr(text, '3') && strchr(text, '5'));
    assert_int_equal(strlen(text), 6);
    free(text);

    /* in order behind what an unordered run wrote; its own journal, too */
    put_text(p->out, ANSWER("3", "3") ANSWER("0", "0"));
    put_text(p->journal, ANSWER("5", "5"));
    o.unordered = true;
    o.concurrent = 1;
    assert_ok(batch_run(&o, &c, &err));
    assert_int_equal(c.found, 3);
    text = get_text(p->out);
    assert_true(
        str_starts(str_from(text), STR(ANSWER("3", "3") ANSWER("0", "0") ANSWER("5", "5"))));
    free(text);
    assert_int_not_equal(access(p->journal, F_OK), 0);

    static const struct {
        const char *out, *want;
    } bad[] = {
        {"not an answer\n" ANSWER("0", "0"), "line 1 is no answer"},
        {ANSWER("0", "0") ANSWER("0", "0"), "a second time"},
        {ANSWER("77", "0"), "output of another batch"},
        {"a note\n", "line 1 is no answer"},
        {ANSWER("0", "0") "a note without an end", "line 2 is no answer"},
        {"{\"id\":\"batch_req_1\"}\n", "line 1 is no answer"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put_text(p->out, bad[i].out);
        assert_int_equal(batch_run(&o, &c, &err), EFORMAT);
        if (!strstr(err.msg, bad[i].want))
            fail_msg("'%s', expected '%s'", err.msg, bad[i].want);
        text = get_text(p->out);
        assert_string_equal(text, bad[i].out);
        free(text);
    }

    char *questions = get_text(p->in);
    o.out = p->in;
    assert_int_equal(batch_run(&o, &c, &err), EUSAGE);
    o.out = p->out;
    put_text(p->out, questions); /* a copy of them is no output either */
    assert_int_equal(batch_run(&o, &c, &err), EFORMAT);
    text = get_text(p->in);
    assert_string_equal(text, questions);
    free(text);
    free(questions);

    put_text(p->out, "");
    int fd = open(p->out, O_RDONLY);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(batch_run(&o, &c, &err), EBUSY);
    close(fd);
}

static int stop_soon(void *ctx, const struct batch_counts *c)
{
    (void)c;
    return ++*(int *)ctx >= 1;
}

static void test_stop(void **state)
{
    struct place *p = *state;
    struct batch_options o = options(p);
    struct batch_counts c;
    struct err err = {0};
    int n = 0;
    FILE *f = fopen(p->in, "wb");
    for (int i = 0; i < 100; i++)
        add_line(f, i, ",\"slow\":50000");
    fclose(f);
    o.progress = stop_soon;
    o.ctx = &n;
    assert_int_equal(batch_run(&o, &c, &err), ECANCEL);
    assert_true(c.completed < 100);
    char *text = get_text(p->out);
    size_t lines = 0;
    for (char *t = text; *t; t++)
        lines += *t == '\n';
    free(text);
    check_order(p->out, 0, (int)lines);
}

/* Killed again and again, and taken up each time. No line is lost or written twice, and none is
 * asked again but those that were in flight. */
static void test_killed(void **state)
{
    enum { LINES = 400, ROUNDS = 20, WORKERS = 8 };
    struct place *p = *state;
    struct batch_options o = options(p);
    struct batch_counts c;
    struct err err = {0};
    struct rng rng;
    rng_seed(&rng, 7);
    FILE *f = fopen(p->in, "wb");
    for (int i = 0; i < LINES; i++) {
        char slow[32];
        snprintf(slow, sizeof slow, ",\"slow\":%d", (int)(rng_uniform(&rng) * 3000));
        add_line(f, i, slow);
    }
    fclose(f);
    o.concurrent = WORKERS;
    for (int i = 0; i < ROUNDS; i++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            _exit(batch_run(&o, &c, &err) == OK ? 0 : 1);
        usleep((useconds_t)(rng_uniform(&rng) * 15000));
        kill(child, SIGKILL);
        int how;
        assert_int_equal(waitpid(child, &how, 0), child);
        assert_true(WIFSIGNALED(how) || WEXITSTATUS(how) == 0);
    }
    assert_ok(batch_run(&o, &c, &err));
    assert_int_equal(c.completed, LINES);
    check_order(p->out, 0, LINES);
    assert_int_not_equal(access(p->journal, F_OK), 0);
    size_t asked = count_calls(p);
    assert_true(asked >= LINES && asked <= LINES + ROUNDS * WORKERS);
}

#define PLACED(fn) cmocka_unit_test_setup_teardown(fn, make_place, drop_place)

int main(void)
{
    const struct CMUnitTest tests[] = {PLACED(test_order), PLACED(test_errors_apart),
                                       PLACED(test_input), PLACED(test_left),
                                       PLACED(test_stop),  PLACED(test_killed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
