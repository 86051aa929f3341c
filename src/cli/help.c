/* Help, manual and completions, all from the tables in options.c. */
#include "cli/options.h"
#include <stdio.h>

static const char intro[] =
    "Runs open language models on this machine: GGUF files and Hugging Face "
    "folders, as they are. MODEL is such a file or folder, or the name of a "
    "model in the store ('hearth-nano' ships with the program).";

static const char *const exits[][2] = {
    {"0", "done"},
    {"1", "failed"},
    {"2", "usage: the command line makes no sense"},
    {"3", "a file breaks its format or uses what this build does not have"},
};

/* besides those that stand for an option */
static const char *const environment[][2] = {
    {"HEARTH_HOME", "where models and history live (default ~/.hearth)"},
    {"HEARTH_MODELS", "where models live (default $HEARTH_HOME/models)"},
    {"OLLAMA_MODELS", "an Ollama store to read in place (default ~/.ollama/models)"},
    {"HEARTH_MEMORY", "memory that models may count with, such as 6G, where it is less than what "
                      "the machine has free"},
    {"HEARTH_CPU_DISABLE", "CPU features not to use, such as avx512f,avx2"},
    {"HEARTH_DEBUG", "if set, tells on standard error what usually goes without saying"},
};

/* Wraps at 80 columns behind `indent` spaces; the cursor is at `column` when it starts. */
static void wrapped(struct buf *out, const char *text, int indent, int column)
{
    for (const char *p = text; *p;) {
        size_t n = strcspn(p, " ");
        if (column > indent && column + 1 + (int)n > 80) {
            buf_printf(out, "\n%*s", indent, "");
            column = indent;
        } else if (column > indent) {
            buf_addc(out, ' ');
            column++;
        }
        buf_add(out, p, n);
        column += (int)n;
        p += n + strspn(p + n, " ");
    }
    buf_addc(out, '\n');
}

static void option_head(const struct option_row *row, struct buf *out)
{
    if (row->letter)
        buf_printf(out, "-%c, ", row->letter);
    buf_printf(out, "--%s", row->name);
    if (row->arg)
        buf_printf(out, " %s", row->arg);
}

void help_overview(struct buf *out)
{
    buf_adds(out, "usage: hearth COMMAND [OPTION...] [ARGUMENT...]\n\n");
    wrapped(out, intro, 0, 0);
    buf_adds(out, "\ncommands:\n");
    for (int i = 0; i < CMD_COUNT; i++)
        if (command_rows[i].name)
            buf_printf(out, "  %-12s %s\n", command_rows[i].name, command_rows[i].summary);
    buf_adds(out, "\n'hearth help COMMAND' explains one.\n");
}

void help_command(enum command_id cmd, struct buf *out)
{
    const struct command_row *c = &command_rows[cmd];
    buf_printf(out, "usage: hearth %s [OPTION...]%s%s\n\n", c->name, *c->args ? " " : "", c->args);
    char head = c->summary[0];
    buf_printf(out, "%c%s.\n", head >= 'a' && head <= 'z' ? head - 32 : head, c->summary + 1);
    if (*c->more)
        wrapped(out, c->more, 0, 0);
    buf_adds(out, "\noptions:\n");
    for (size_t i = 0; i < n_option_rows; i++) {
        const struct option_row *row = &option_rows[i];
        if (!(row->commands & (uint64_t)1 << cmd))
            continue;
        size_t start = out->n;
        buf_adds(out, row->letter ? "  " : "      ");
        option_head(row, out);
        int column = (int)(out->n - start);
        if (column > 30) {
            buf_addc(out, '\n');
            column = 0;
        }
        buf_printf(out, "%*s", 32 - column, "");
        struct buf text;
        buf_init(&text, 4096);
        buf_adds(&text, row->help);
        if (row->env)
            buf_printf(&text, " [$%s]", row->env);
        wrapped(out, text.p ? text.p : "", 32, 32);
        buf_release(&text);
    }
}

void help_markdown(struct buf *out)
{
    buf_adds(out, "# The command line\n\nMade by `hearth docs markdown` from the tables "
                  "`src/cli/options.def` and `src/cli/commands.def`; do not edit.\n\n");
    buf_printf(out, "%s\n\n", intro);
    buf_adds(out, "| exit code | meaning |\n|---|---|\n");
    for (size_t i = 0; i < sizeof exits / sizeof *exits; i++)
        buf_printf(out, "| %s | %s |\n", exits[i][0], exits[i][1]);
    buf_adds(out, "\n| environment | |\n|---|---|\n");
    for (size_t i = 0; i < sizeof environment / sizeof *environment; i++)
        buf_printf(out, "| `%s` | %s |\n", environment[i][0], environment[i][1]);
    buf_adds(out, "\nErrors are one line on standard error: `hearth: what: found, expected`.\n");
    for (int i = 0; i < CMD_COUNT; i++) {
        const struct command_row *c = &command_rows[i];
        if (!c->name)
            continue;
        buf_printf(out, "\n## hearth %s %s\n\n%s. %s\n\n| option | |\n|---|---|\n", c->name,
                   c->args, c->summary, c->more);
        for (size_t k = 0; k < n_option_rows; k++) {
            const struct option_row *row = &option_rows[k];
            if (!(row->commands & (uint64_t)1 << i))
                continue;
            struct buf head;
            buf_init(&head, 4096);
            option_head(row, &head);
            buf_adds(out, "| `");
            for (const char *p = head.p; p && *p; p++)
                buf_adds(out, *p == '|' ? "\\|" : (char[]){*p, 0});
            buf_printf(out, "` | %s", row->help);
            if (row->env)
                buf_printf(out, " (`$%s`)", row->env);
            buf_adds(out, " |\n");
            buf_release(&head);
        }
    }
}

/* troff wants its dashes and leading dots escaped */
static void roff(struct buf *out, const char *text)
{
    for (const char *p = text; *p; p++) {
        if (*p == '-' || *p == '\\')
            buf_addc(out, '\\');
        if ((*p == '.' || *p == '\'') && (p == text || p[-1] == '\n'))
            buf_adds(out, "\\&");
        buf_addc(out, *p);
    }
}

void help_man(struct buf *out)
{
    buf_printf(out, ".TH HEARTH 1 \"\" \"hearth %s\" \"User Commands\"\n", HEARTH_VERSION);
    buf_adds(out, ".SH NAME\nhearth \\- a local\\-first home for small language models\n"
                  ".SH SYNOPSIS\n.B hearth\n.I COMMAND\n[OPTION...] [ARGUMENT...]\n"
                  ".SH DESCRIPTION\n");
    roff(out, intro);
    buf_adds(out, "\n.SH COMMANDS\n");
    for (int i = 0; i < CMD_COUNT; i++) {
        const struct command_row *c = &command_rows[i];
        if (!c->name)
            continue;
        buf_printf(out, ".SS hearth %s %s\n", c->name, c->args);
        roff(out, c->summary);
        buf_adds(out, ".\n");
        roff(out, c->more);
        buf_addc(out, '\n');
        for (size_t k = 0; k < n_option_rows; k++) {
            const struct option_row *row = &option_rows[k];
            if (!(row->commands & (uint64_t)1 << i))
                continue;
            struct buf head;
            buf_init(&head, 4096);
            option_head(row, &head);
            buf_adds(out, ".TP\n.B ");
            roff(out, head.p ? head.p : "");
            buf_addc(out, '\n');
            roff(out, row->help);
            if (row->env)
                buf_printf(out, " ($%s)", row->env);
            buf_addc(out, '\n');
            buf_release(&head);
        }
    }
    buf_adds(out, ".SH EXIT STATUS\n");
    for (size_t i = 0; i < sizeof exits / sizeof *exits; i++)
        buf_printf(out, ".TP\n.B %s\n%s\n", exits[i][0], exits[i][1]);
    buf_adds(out, ".SH ENVIRONMENT\n");
    for (size_t i = 0; i < sizeof environment / sizeof *environment; i++) {
        buf_printf(out, ".TP\n.B %s\n", environment[i][0]);
        roff(out, environment[i][1]);
        buf_addc(out, '\n');
    }
}

void help_completion_bash(struct buf *out)
{
    buf_adds(out, "# bash completion for hearth: source <(hearth completion bash)\n"
                  "_hearth() {\n"
                  "    local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} words=\n"
                  "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n        words='");
    for (int i = 0; i < CMD_COUNT; i++)
        if (command_rows[i].name)
            buf_printf(out, "%s%s", i ? " " : "", command_rows[i].name);
    buf_adds(out, "'\n    elif [[ $word == -* ]]; then\n        case $command in\n");
    for (int i = 0; i < CMD_COUNT; i++) {
        if (!command_rows[i].name)
            continue;
        buf_printf(out, "        %s) words='", command_rows[i].name);
        const char *space = "";
        for (size_t k = 0; k < n_option_rows; k++)
            if (option_rows[k].commands & (uint64_t)1 << i) {
                buf_printf(out, "%s--%s", space, option_rows[k].name);
                space = " ";
            }
        buf_adds(out, "' ;;\n");
    }
    buf_adds(out, "        esac\n    fi\n"
                  "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
                  "    [ -n \"$words\" ] || mapfile -t COMPREPLY < <(compgen -f -W hearth-nano -- "
                  "\"$word\")\n"
                  "}\ncomplete -o filenames -F _hearth hearth\n");
}

void help_completion_zsh(struct buf *out)
{
    buf_adds(out, "#compdef hearth\n# zsh completion for hearth: put it as _hearth into $fpath\n"
                  "_hearth() {\n    local -a commands\n    commands=(\n");
    for (int i = 0; i < CMD_COUNT; i++)
        if (command_rows[i].name)
            buf_printf(out, "        '%s:%s'\n", command_rows[i].name, command_rows[i].summary);
    buf_adds(out, "    )\n    if (( CURRENT == 2 )); then\n        _describe command commands\n"
                  "        return\n    fi\n    case $words[2] in\n");
    for (int i = 0; i < CMD_COUNT; i++) {
        if (!command_rows[i].name)
            continue;
        buf_printf(out, "    %s) _arguments", command_rows[i].name);
        for (size_t k = 0; k < n_option_rows; k++) {
            const struct option_row *row = &option_rows[k];
            if (!(row->commands & (uint64_t)1 << i))
                continue;
            buf_printf(out, " \\\n        '--%s%s[", row->name, row->arg ? "=" : "");
            for (const char *p = row->help; *p; p++) {
                if (*p == '[' || *p == ']' || *p == ':')
                    buf_addc(out, '\\');
                buf_adds(out, *p == '\'' ? "'\\''" : (char[]){*p, 0});
            }
            buf_printf(out, "]%s%s", row->arg ? ":" : "", row->arg ? "value" : "");
            buf_addc(out, '\'');
        }
        buf_adds(out, " \\\n        '*:file:_files' ;;\n");
    }
    buf_adds(out, "    esac\n}\n_hearth \"$@\"\n");
}
