#include "cli/progress.h"
#include "base/clock.h"
#include <stdio.h>
#include <unistd.h>

enum { WIDTH = 40 };

void progress_update(void *progress, double fraction)
{
    struct progress *p = progress;
    int64_t now = clock_ns();
    if (!p->start_ns)
        p->start_ns = now;
    if (now - p->start_ns < 500000000 || now - p->drawn_ns < 100000000 || !isatty(2))
        return;
    char bar[WIDTH + 1];
    int full = (int)(fraction * WIDTH);
    for (int i = 0; i < WIDTH; i++)
        bar[i] = i < full ? '#' : '.';
    bar[WIDTH] = 0;
    double seconds = (double)(now - p->start_ns) * 1e-9;
    double left = fraction > 0.01 ? seconds / fraction - seconds : 0;
    fprintf(stderr, "\r%s [%s] %3.0f%% %4.0fs left ", p->what, bar, fraction * 100, left);
    fflush(stderr);
    p->drawn = true;
    p->drawn_ns = now;
}

void progress_end(struct progress *p)
{
    if (p->drawn)
        fputs("\r\033[K", stderr);
    p->drawn = false;
}
