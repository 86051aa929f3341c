#include "base/log.h"
#include <stdatomic.h>
#include <stdio.h>

static atomic_int threshold = LOG_WARN;

void log_set_level(enum log_level level)
{
    atomic_store(&threshold, (int)level);
}

void log_msg(enum log_level level, const char *fmt, ...)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    if ((int)level > atomic_load(&threshold))
        return;
    char line[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    fprintf(stderr, "hearth: %s: %s\n", names[level], line);
}
