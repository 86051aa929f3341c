/* Forms: however the bytes are cut, the same parts come out; what is no form is refused. */
#include "server/multipart.h"
#include "support.h"
#include <string.h>

#define TYPE "multipart/form-data; boundary=\"a-B'c\""

static enum status on_part(void *ctx, struct str name, struct str filename, struct err *err)
{
    (void)err;
    buf_printf(ctx, "[%.*s", STR_ARG(name));
    if (filename.p)
        buf_printf(ctx, "|%.*s", STR_ARG(filename));
    buf_adds(ctx, "]");
    return OK;
}

static enum status on_data(void *ctx, struct str bytes, struct err *err)
{
    (void)err;
    buf_addstr(ctx, bytes);
    return OK;
}

/* The parts of `body`, fed in pieces of n bytes. */
static enum status parse(const char *type, struct str body, size_t n, struct buf *out,
                         struct err *err)
{
    struct multipart m;
    struct multipart_sink sink = {on_part, on_data, out};
    buf_clear(out);
    enum status s = multipart_open(&m, str_from(type), &sink, err);
    while (s == OK && body.n) {
        size_t k = body.n < n ? body.n : n;
        s = multipart_feed(&m, str_slice(body, 0, k), err);
        body = str_slice(body, k, body.n);
    }
    if (s == OK)
        s = multipart_end(&m, err);
    multipart_close(&m);
    return s;
}

static const char form[] =
    "a line before, which does not count\r\n--a-B'c \t\r\n"
    "Content-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--a-B'c\r\n"
    "Content-Type: application/json\r\n"
    "content-disposition:form-data;name=file; filename=\"a;\\\"%22.jsonl\"\r\n\r\n"
    "x\r\n--a-B'\r\n-\r\r\n--a-B\r\n\r\n--a-B'c\r\n"
    "Content-Disposition: form-data; name=\"empty\"\r\n\r\n\r\n--a-B'c--\r\nbehind --a-B'c";

static void test_cuts(void **state)
{
    struct buf out;
    struct err err = {0};
    (void)state;
    buf_init(&out, 1 << 16);
    for (size_t n = 1; n <= sizeof form; n++) {
        assert_ok(parse(TYPE, str_from(form), n, &out, &err));
        assert_string_equal(out.p,
                            "[purpose]batch[file|a;\"\".jsonl]x\r\n--a-B'\r\n-\r\r\n--a-B\r\n"
                            "[empty]");
    }
    buf_release(&out);
}

/* Bytes of every value and more than is held back at once. */
static void test_large(void **state)
{
    struct buf body, out;
    struct err err = {0};
    size_t n = 300000;
    (void)state;
    buf_init(&body, 1 << 20);
    buf_init(&out, 1 << 20);
    buf_adds(&body, "--b\r\nContent-Disposition: form-data; name=f\r\n\r\n");
    size_t from = body.n;
    for (size_t i = 0; i < n; i++)
        buf_addc(&body, (char)(i * 2654435761u >> 13));
    buf_adds(&body, "\r\n--b--");
    assert_ok(parse("Multipart/Form-Data;boundary=b", buf_str(&body), 100000, &out, &err));
    assert_int_equal(out.n, n + 3);
    assert_memory_equal(out.p + 3, body.p + from, n);
    buf_release(&body);
    buf_release(&out);
}

static void test_refused(void **state)
{
    static const struct {
        const char *type, *body;
    } rows[] = {
        {"application/json", "{}"},
        {"multipart/form-data", ""},
        {"multipart/form-data; boundary=", ""},
        {"multipart/form-data; boundary="
         "12345678901234567890123456789012345678901234567890123456789012345678901",
         ""},
        {"multipart/form-data; boundary=b", ""},
        {"multipart/form-data; boundary=b", "--b\r\n"},
        {"multipart/form-data; boundary=b",
         "--b\r\nContent-Disposition: form-data; name=x\r\n\r\nnever ends"},
        {"multipart/form-data; boundary=b", "--bad\r\n"},
        {"multipart/form-data; boundary=b", "--b\r\n\r\nno name\r\n--b--"},
        {"multipart/form-data; boundary=b",
         "--b\r\nContent-Disposition: attachment; name=x\r\n\r\n\r\n--b--"},
    };
    struct buf out;
    struct err err = {0};
    (void)state;
    buf_init(&out, 1 << 16);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(parse(rows[i].type, str_from(rows[i].body), 3, &out, &err), EUSAGE);
        assert_true(err.msg[0] != 0);
    }
    /* headers without an end do not fill the memory */
    struct buf body;
    buf_init(&body, 1 << 20);
    buf_adds(&body, "--b\r\n");
    for (int i = 0; i < 5000; i++)
        buf_adds(&body, "X-Header: y\r\n");
    assert_int_equal(parse("multipart/form-data; boundary=b", buf_str(&body), 1000, &out, &err),
                     ELIMIT);
    buf_release(&body);
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cuts), cmocka_unit_test(test_large),
                                       cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
