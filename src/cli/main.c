/* The program: finds the command, parses its options, runs it, and turns the status into an exit
 * code and one line on standard error. */
#include "base/file.h"
#include "base/log.h"
#include "cli/commands.h"
#include "kernel/kernel.h"
#ifndef HEARTH_ENGINE_ONLY
#include "server/route.h"
#endif
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static enum status print(void (*make)(struct buf *), struct err *err)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    make(&out);
    enum status s = buf_check(&out, "help", err);
    if (s == OK)
        fwrite(out.p, 1, out.n, stdout);
    buf_release(&out);
    return s;
}

static enum status print_command_help(enum command_id cmd, struct err *err)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    help_command(cmd, &out);
    enum status s = buf_check(&out, "help", err);
    if (s == OK)
        fwrite(out.p, 1, out.n, stdout);
    buf_release(&out);
    return s;
}

enum status cmd_help(const struct options *o, struct err *err)
{
    enum command_id cmd;
    if (o->n_args == 0)
        return print(help_overview, err);
    enum status s = command_find(o->args[0], &cmd, err);
    return s == OK ? print_command_help(cmd, err) : s;
}

enum status cmd_version(const struct options *o, struct err *err)
{
    (void)o;
    (void)err;
    printf("hearth %s\n", HEARTH_VERSION);
    return OK;
}

/* Which printer a word names. */
struct choice {
    const char *name;
    void (*make)(struct buf *);
};

static enum status choose(const struct choice *c, size_t n, const char *name, const char *what,
                          struct err *err)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(c[i].name, name) == 0)
            return print(c[i].make, err);
    struct buf names;
    buf_init(&names, 256);
    for (size_t i = 0; i < n; i++)
        buf_printf(&names, "%s%s", i == 0 ? "" : i + 1 == n ? " or " : ", ", c[i].name);
    err_set(err, EUSAGE, "%s: '%s', expected %s", what, name, names.p ? names.p : "another");
    buf_release(&names);
    return EUSAGE;
}

enum status cmd_completion(const struct options *o, struct err *err)
{
    static const struct choice shells[] = {{"bash", help_completion_bash},
                                           {"zsh", help_completion_zsh}};
    return choose(shells, 2, o->args[0], "completion", err);
}

#ifndef HEARTH_ENGINE_ONLY
static void api_markdown(struct buf *out)
{
    routes_markdown(own_routes, n_own_routes, out);
}

static void api_openapi(struct buf *out)
{
    routes_openapi(own_routes, n_own_routes, out);
}
#endif

enum status cmd_docs(const struct options *o, struct err *err)
{
    static const struct choice forms[] = {
        {"man", help_man},
        {"markdown", help_markdown},
#ifndef HEARTH_ENGINE_ONLY
        {"api", api_markdown},
        {"openapi", api_openapi},
#endif
    };
    return choose(forms, sizeof forms / sizeof *forms, o->args[0], "docs", err);
}

static enum status dispatch(int argc, char **argv, struct err *err)
{
    enum command_id cmd;
    struct options o;
    const char *name = argv[0];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        name = "help";
    else if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
        name = "version";
    enum status s = command_find(name, &cmd, err);
    if (s != OK || (s = kernel_check(err)) != OK)
        return s;
    s = options_parse(&o, cmd, argc, argv, err);
    if (s == OK)
        s = o.help ? print_command_help(cmd, err) : command_rows[cmd].run(&o, err);
    options_release(&o);
    return s;
}

int main(int argc, char **argv)
{
    file_map_guard(); /* a model file that is cut off ends its answers, not the program */
    struct err err = {0};
    if (getenv("HEARTH_DEBUG"))
        log_set_level(LOG_DEBUG);
    signal(SIGPIPE, SIG_IGN); /* a reader that leaves is an error of writing, told below */
    if (argc < 2) {
        enum status s = print(help_overview, &err);
        return s == OK ? status_exit_code(EUSAGE) : status_exit_code(s);
    }
    enum status s = dispatch(argc - 1, argv + 1, &err);
    if (s == OK && (fflush(stdout) != 0 || ferror(stdout)))
        s = err_set(&err, EIO, "cannot write to standard output");
    if (s != OK && err.msg[0])
        fprintf(stderr, "hearth: %s\n", err.msg);
    return status_exit_code(s);
}
