#include "cli/interrupt.h"
#include <signal.h>
#include <string.h>

static volatile sig_atomic_t raised;

static void on_signal(int sig)
{
    (void)sig;
    raised = 1;
}

void interrupt_catch(bool breaks_reads)
{
    struct sigaction a;
    memset(&a, 0, sizeof a);
    a.sa_handler = on_signal;
    a.sa_flags = breaks_reads ? 0 : SA_RESTART;
    sigaction(SIGINT, &a, NULL);
}

void interrupt_default(void)
{
    signal(SIGINT, SIG_DFL);
}

bool interrupt_raised(void)
{
    return raised != 0;
}

bool interrupt_take(void)
{
    bool was = raised != 0;
    raised = 0;
    return was;
}
