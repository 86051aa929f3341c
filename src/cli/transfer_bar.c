#include "cli/transfer_bar.h"
#include "base/clock.h"
#include "store/info.h"
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum { WIDTH = 24, EVERY_NS = 100000000 };

static void draw(struct transfer_bar *b)
{
    char bar[WIDTH + 1], have[32], all[32], speed[32];
    double fraction = b->total ? (double)b->completed / (double)b->total : 0;
    double s = clock_since(b->start_ns);
    uint64_t came = b->completed - b->completed_first;
    double rate = s > 0 ? (double)came / s : 0;
    int full = (int)(fraction * WIDTH);
    for (int i = 0; i < WIDTH; i++)
        bar[i] = i < full ? '#' : '.';
    bar[WIDTH] = 0;
    human_bytes(b->completed, have, sizeof have);
    human_bytes(b->total, all, sizeof all);
    human_bytes((uint64_t)rate, speed, sizeof speed);
    fprintf(stderr, "\r%s [%s] %3.0f%% %s/%s", b->status, bar, fraction * 100, have, all);
    if (b->completed < b->total && rate > 0)
        fprintf(stderr, " %s/s %.0fs left", speed, (double)(b->total - b->completed) / rate);
    fputs("\033[K", stderr);
    fflush(stderr);
    b->open = true;
    b->drawn_ns = clock_ns();
}

/* Without a terminal, a blob has one line: when it is whole. */
static void plain(struct transfer_bar *b, bool fresh)
{
    char all[32];
    if (!b->total && fresh) {
        fprintf(stderr, "%s\n", b->status);
    } else if (b->total && b->completed >= b->total && !b->finished) {
        human_bytes(b->total, all, sizeof all);
        fprintf(stderr, "%s: %s\n", b->status, all);
        b->finished = true;
    }
}

void transfer_bar_end(struct transfer_bar *b)
{
    if (b->open)
        fputc('\n', stderr);
    b->open = false;
}

void transfer_bar_tell(void *bar, const char *status, struct str digest, uint64_t total,
                       uint64_t completed)
{
    struct transfer_bar *b = bar;
    bool fresh = strcmp(status, b->status) != 0;
    (void)digest;
    if (fresh) {
        transfer_bar_end(b);
        snprintf(b->status, sizeof b->status, "%s", status);
        b->start_ns = clock_ns();
        b->completed_first = completed;
        b->finished = false;
    }
    b->total = total;
    b->completed = completed < total ? completed : total;
    if (b->completed < b->completed_first) /* it began anew */
        b->completed_first = b->completed;
    if (!isatty(STDERR_FILENO))
        plain(b, fresh);
    else if (total && (fresh || completed >= total || clock_ns() - b->drawn_ns > EVERY_NS))
        draw(b);
    else if (!total && fresh)
        fprintf(stderr, "%s\n", status);
}

/* ---- Ctrl-C ---- */

static atomic_int stop;

static void on_signal(int sig)
{
    (void)sig;
    atomic_store(&stop, 1);
}

enum status pull_with_bar(struct store *s, const char *name, bool insecure, int threads,
                          struct err *err)
{
    struct transfer_bar bar = {0};
    struct sigaction a, before;
    struct transfer_options o = {.name = str_from(name),
                                 .insecure = insecure,
                                 .threads = threads,
                                 .cancel = &stop,
                                 .progress = {transfer_bar_tell, &bar}};
    memset(&a, 0, sizeof a);
    a.sa_handler = on_signal;
    a.sa_flags = (int)(SA_RESTART | SA_RESETHAND); /* a second one does not wait */
    atomic_store(&stop, 0);
    sigaction(SIGINT, &a, &before);
    enum status st = pull_model(s, &o, err);
    sigaction(SIGINT, &before, NULL);
    transfer_bar_end(&bar);
    return st;
}
