/* Where Hearth keeps what is the user's. */
#pragma once

/* $HEARTH_HOME or ~/.hearth, with "/rest" behind it; the caller frees. NULL: no memory. */
char *hearth_home(const char *rest);
/* The user's home folder, with "/rest" behind it; the caller frees. NULL: no memory. */
char *user_home(const char *rest);
