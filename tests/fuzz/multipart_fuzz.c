/* Forms from hostile bytes: whole and byte by byte they must give the same parts or the same
 * refusal. The first line is the Content-Type. */
#include "server/multipart.h"
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static enum status on_part(void *ctx, struct str name, struct str filename, struct err *err)
{
    (void)err;
    buf_adds(ctx, "\n[");
    buf_addstr(ctx, name);
    buf_addc(ctx, '|');
    if (filename.p)
        buf_addstr(ctx, filename);
    buf_addc(ctx, ']');
    return OK;
}

static enum status on_data(void *ctx, struct str bytes, struct err *err)
{
    (void)err;
    buf_addstr(ctx, bytes);
    return OK;
}

static enum status parse(struct str type, struct str body, size_t piece, struct buf *out)
{
    struct multipart m;
    struct multipart_sink sink = {on_part, on_data, out};
    enum status s = multipart_open(&m, type, &sink, NULL);
    for (size_t at = 0; s == OK && at < body.n; at += piece)
        s = multipart_feed(&m, str_slice(body, at, body.n - at < piece ? body.n : at + piece),
                           NULL);
    if (s == OK)
        s = multipart_end(&m, NULL);
    multipart_close(&m);
    return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const char *text = (const char *)data, *line = n ? memchr(text, '\n', n) : NULL;
    if (!line)
        return 0;
    struct str type = {text, (size_t)(line - text)};
    struct str body = {line + 1, n - type.n - 1};
    struct buf whole, bytes;
    buf_init(&whole, 1 << 24);
    buf_init(&bytes, 1 << 24);
    enum status a = parse(type, body, n, &whole), b = parse(type, body, 1, &bytes);
    if (a != b || (a == OK && !str_eq(buf_str(&whole), buf_str(&bytes))))
        abort();
    buf_release(&whole);
    buf_release(&bytes);
    return 0;
}
