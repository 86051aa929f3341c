/* Ctrl-C as a flag: it stops an answer, or a line being typed, and not the program. */
#pragma once
#include <stdbool.h>

/* From now on SIGINT only raises the flag. breaks_reads: a read that waits returns with EINTR (for
 * a prompt); otherwise system calls go on (while an answer is written). */
void interrupt_catch(bool breaks_reads);
void interrupt_default(void); /* SIGINT ends the program again */
bool interrupt_raised(void);
bool interrupt_take(void); /* was it raised? lowers it */
