/* Plays a person at a terminal: pty SCRIPT COMMAND [ARG...] runs the command in a pseudo-terminal
 * and follows the script, one step a line:
 *
 *     see TEXT     waits until TEXT comes, counted from what the last `see` saw
 *     more N       waits until N more bytes have come than the last `see` saw
 *     type TEXT    types it; \r is Enter, \xNN any byte
 *     signal       sends SIGINT to the command alone
 *     end          waits for the command to leave
 *
 * Everything that was shown goes to standard output. Exits with the command's own code, 124 when
 * something did not come within half a minute (sanitizers are slow). */
#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_SHOWN = 1 << 20, PATIENCE_MS = 30000 };

static char shown[MAX_SHOWN];
static size_t n_shown, n_seen;

/* Takes in what comes within ms; 0 when the terminal was closed. */
static int take_in(int fd, int ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (poll(&p, 1, ms) <= 0)
        return 1;
    ssize_t n = read(fd, shown + n_shown, MAX_SHOWN - n_shown);
    if (n <= 0)
        return 0;
    fwrite(shown + n_shown, 1, (size_t)n, stdout);
    n_shown += (size_t)n;
    return 1;
}

static long now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* text NULL: until the terminal is closed */
static int wait_for(int fd, const char *text)
{
    long start = now_ms();
    size_t n = text ? strlen(text) : 0;
    while (now_ms() - start < PATIENCE_MS) {
        char *at = text ? memmem(shown + n_seen, n_shown - n_seen, text, n) : NULL;
        if (at) {
            n_seen = (size_t)(at - shown) + n;
            return 1;
        }
        if (!take_in(fd, 100))
            return text == NULL;
    }
    return 0;
}

static int wait_more(int fd, size_t n)
{
    for (long start = now_ms(); now_ms() - start < PATIENCE_MS;) {
        if (n_shown - n_seen >= n)
            return 1;
        if (!take_in(fd, 100))
            return 0;
    }
    return 0;
}

/* \r and \xNN in place */
static size_t unescape(char *s)
{
    char *to = s;
    for (const char *p = s; *p; p++) {
        if (p[0] == '\\' && p[1] == 'r') {
            *to++ = '\r';
            p++;
        } else if (p[0] == '\\' && p[1] == 'x' && p[2] && p[3]) {
            *to++ = (char)strtol((char[]){p[2], p[3], 0}, NULL, 16);
            p += 3;
        } else {
            *to++ = *p;
        }
    }
    return (size_t)(to - s);
}

static int step(int fd, pid_t pid, char *line)
{
    line[strcspn(line, "\n")] = 0;
    if (strncmp(line, "see ", 4) == 0)
        return wait_for(fd, line + 4);
    if (strncmp(line, "more ", 5) == 0)
        return wait_more(fd, strtoul(line + 5, NULL, 10));
    if (strncmp(line, "type ", 5) == 0) {
        size_t n = unescape(line + 5);
        return write(fd, line + 5, n) == (ssize_t)n;
    }
    if (strcmp(line, "signal") == 0)
        return kill(pid, SIGINT) == 0;
    if (strcmp(line, "end") == 0)
        return wait_for(fd, NULL);
    return line[0] == '#' || line[0] == 0;
}

int main(int argc, char **argv)
{
    char line[4096];
    int fd, status = 0, good = 1;
    struct winsize size = {.ws_row = 25, .ws_col = 80};
    FILE *script = argc > 2 ? fopen(argv[1], "r") : NULL;
    if (!script) {
        fprintf(stderr, "usage: pty SCRIPT COMMAND [ARG...]\n");
        return 2;
    }
    pid_t pid = forkpty(&fd, NULL, NULL, &size);
    if (pid == 0) {
        execvp(argv[2], argv + 2);
        _exit(127);
    }
    while (good && pid > 0 && fgets(line, sizeof line, script)) {
        good = step(fd, pid, line);
        if (!good)
            printf("\npty: gave up at: %s\n", line);
    }
    fclose(script);
    for (int i = 0; !good && pid > 0 && i < 50 &&
                    waitid(P_PID, (id_t)pid, &(siginfo_t){0}, WEXITED | WNOHANG | WNOWAIT) == 0;
         i++)
        usleep(10000);
    if (!good && pid > 0)
        kill(pid, SIGKILL);
    close(fd);
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return 124;
    if (!good) {
        printf("pty: the command's status was %d\n", status);
        return 124;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
