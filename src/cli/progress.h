/* A progress bar on standard error for work that takes longer than half a second; nothing when
 * standard error is no terminal. Zero-initialise but for `what`. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct progress {
    const char *what;
    int64_t start_ns, drawn_ns;
    bool drawn;
};

void progress_update(void *progress, double fraction); /* fits the engine's callbacks */
void progress_end(struct progress *p);                 /* wipes the bar */
