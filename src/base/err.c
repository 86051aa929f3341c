#include "base/err.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *meaning;
    int http, exit_code;
} statuses[] = {
#define X(id, machine, http_status, code, text)                                                    \
    [id] = {.name = machine, .meaning = text, .http = http_status, .exit_code = code},
#include "base/errors.def"
#undef X
};

enum status err_setv(struct err *err, enum status code, const char *fmt, va_list ap)
{
    if (err) {
        err->code = code;
        vsnprintf(err->msg, sizeof err->msg, fmt, ap);
    }
    return code;
}

enum status err_set(struct err *err, enum status code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    err_setv(err, code, fmt, ap);
    va_end(ap);
    return code;
}

enum status err_prefix(struct err *err, const char *fmt, ...)
{
    if (!err)
        return EFAIL;
    char head[256], tail[sizeof err->msg];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(head, sizeof head, fmt, ap);
    va_end(ap);
    memcpy(tail, err->msg, sizeof tail);
    snprintf(err->msg, sizeof err->msg, "%s: %.*s", head, (int)(sizeof err->msg - sizeof head - 3),
             tail);
    return err->code;
}

const char *status_name(enum status s)
{
    return statuses[s].name;
}

const char *status_meaning(enum status s)
{
    return statuses[s].meaning;
}

int status_exit_code(enum status s)
{
    return statuses[s].exit_code;
}

int status_http(enum status s)
{
    return statuses[s].http;
}

void hearth_bug(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("hearth: internal error: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    abort();
}
