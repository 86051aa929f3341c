/* Errors: one status enum, one message filled at the deepest point.
 *
 * A fallible function returns enum status and takes `struct err *err` last. Where something goes
 * wrong it writes `return err_set(err, EFORMAT, "tensor '%s': type %s, expected %s", ...)`:
 * lower case, subject in quotes, found and expected both named, no full stop. Callers pass the
 * status on and add nothing unless they know more (err_prefix). `err` may be NULL.
 *
 * Broken invariants of our own are not errors: hearth_bug() prints and aborts. */
#pragma once
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>

/* errno.h's EIO and EBUSY are macros and would be meant, silently, wherever that header is
 * included. */
#undef EIO
#undef EBUSY

enum status {
#define X(name, machine, http, code, meaning) name,
#include "base/errors.def"
#undef X
};

struct err {
    enum status code;
    char msg[512];
};

#define NODISCARD         __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))

/* Records code and message in err (which may be NULL) and returns code. */
enum status err_set(struct err *err, enum status code, const char *fmt, ...) PRINTF_LIKE(3, 4);
enum status err_setv(struct err *err, enum status code, const char *fmt, va_list ap)
    PRINTF_LIKE(3, 0);

/* Puts "prefix: " before the recorded message: who was being worked on when it happened. Returns
 * err->code (EFAIL when err is NULL). */
enum status err_prefix(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

const char *status_name(enum status s); /* "bad_format" */
const char *status_meaning(enum status s);
int status_exit_code(enum status s); /* 0 done, 1 failed, 2 usage, 3 bad input file */
int status_http(enum status s);

/* A broken invariant of our own code: prints to stderr and aborts, in release builds too. */
void hearth_bug(const char *fmt, ...) PRINTF_LIKE(1, 2) __attribute__((noreturn));
