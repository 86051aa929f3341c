/* hearth key: API keys of the server. */
#include "base/mem.h"
#include "base/show.h"
#include "cli/commands.h"
#include "cli/load.h"
#include "server/auth.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

static enum status key_add(struct key_list *l, const char *path, const struct options *o,
                           struct err *err)
{
    char text[KEY_TEXT];
    unsigned scopes = SCOPE_INFER | SCOPE_READ;
    enum status s = o->scope ? scopes_parse(str_from(o->scope), &scopes, err) : OK;
    if (s == OK)
        s = keys_add(l, o->args[1], scopes, o->rpm == INT64_MIN ? 0 : o->rpm,
                     o->concurrent == INT64_MIN ? 0 : o->concurrent, text, err);
    if (s == OK)
        s = keys_write(l, path, err);
    if (s != OK)
        return s;
    printf("%s\n", text);
    fprintf(stderr, "hearth: this is the only time that the key '%s' is shown\n", o->args[1]);
    return OK;
}

static enum status key_list(const struct key_list *l)
{
    if (l->n)
        printf("%-24s %-24s %8s %10s  %s\n", "NAME", "SCOPES", "RPM", "CONCURRENT", "CREATED");
    for (size_t i = 0; i < l->n; i++) {
        const struct api_key *k = &l->at[i];
        struct buf scopes;
        char day[32] = "", rpm[24] = "-", concurrent[24] = "-";
        time_t t = (time_t)k->created_unix_s;
        struct tm tm;
        if (gmtime_r(&t, &tm))
            strftime(day, sizeof day, "%Y-%m-%d", &tm);
        if (k->rpm)
            snprintf(rpm, sizeof rpm, "%lld", (long long)k->rpm);
        if (k->concurrent)
            snprintf(concurrent, sizeof concurrent, "%lld", (long long)k->concurrent);
        buf_init(&scopes, 256);
        scopes_text(k->scopes, &scopes);
        printf("%-24s %-24s %8s %10s  %s\n", k->name, scopes.p ? scopes.p : "", rpm, concurrent,
               day);
        buf_release(&scopes);
    }
    return OK;
}

static enum status run(struct key_list *l, const char *path, const struct options *o,
                       struct err *err)
{
    const char *what = o->args[0];
    bool named = o->n_args == 2;
    if (strcmp(what, "list") == 0 && !named)
        return key_list(l);
    if (strcmp(what, "add") == 0 && named)
        return key_add(l, path, o, err);
    if (strcmp(what, "rm") == 0 && named) {
        enum status s = keys_remove(l, o->args[1], err);
        return s == OK ? keys_write(l, path, err) : s;
    }
    return err_set(err, EUSAGE, "key: '%s', expected add NAME, list or rm NAME",
                   show(str_from(what)).s);
}

enum status cmd_key(const struct options *o, struct err *err)
{
    struct key_list l = {0};
    char *home = hearth_home("");
    char *path = o->keys ? mem_dup(o->keys, strlen(o->keys)) : hearth_home("keys.json");
    if (!home || !path) {
        free(home);
        free(path);
        return err_set(err, ENOMEMORY, "key: no home for keys.json");
    }
    if (!o->keys)
        mkdir(home, 0700); /* what is wrong with it shows when the file is written */
    enum status s = keys_read(&l, path, err);
    if (s == OK)
        s = run(&l, path, o, err);
    keys_release(&l);
    free(home);
    free(path);
    return s;
}
