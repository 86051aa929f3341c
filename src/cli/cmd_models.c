/* hearth list, cp, rm: the models of the store. */
#include "cli/commands.h"
#include "cli/entry.h"
#include "cli/table.h"
#include "base/jsonw.h"
#include "base/log.h"
#include "store/info.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

struct listing {
    const char *prefix; /* only names that begin with it; NULL: all */
    struct table table;
    struct jsonw json;
    bool as_json;
};

static void write_row(struct jsonw *w, const struct store_model *m, struct str name)
{
    char time_text[40];
    time_t s = (time_t)(m->modified_unix_ns / 1000000000);
    struct tm tm;
    gmtime_r(&s, &tm);
    strftime(time_text, sizeof time_text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    jsonw_obj(w);
    jsonw_kstr(w, "name", name);
    jsonw_kstr(w, "digest", m->digest);
    jsonw_kint(w, "size", (int64_t)m->size);
    jsonw_kstr(w, "modified_at", str_from(time_text));
    jsonw_kbool(w, "read_only", m->read_only);
    jsonw_kstr(w, "path", str_from(m->model_path));
    jsonw_end(w);
}

static int add_row(void *ctx, const struct store_model *m)
{
    struct listing *l = ctx;
    struct buf name;
    char id[13], size[32], ago[64];
    buf_init(&name, 1024);
    name_short(&m->name, &name);
    if (!l->prefix || strncasecmp(name.p, l->prefix, strlen(l->prefix)) == 0) {
        snprintf(id, sizeof id, "%.*s", 12, m->digest.p);
        human_bytes(m->size, size, sizeof size);
        human_ago(m->modified_unix_ns, now_ns(), ago, sizeof ago);
        if (l->as_json) {
            write_row(&l->json, m, buf_str(&name));
        } else {
            table_cell(&l->table, name.p);
            table_cell(&l->table, id);
            table_cell(&l->table, size);
            table_cell(&l->table, ago);
        }
    }
    buf_release(&name);
    return 0;
}

enum status cmd_list(const struct options *o, struct err *err)
{
    struct store *store;
    struct buf json;
    struct listing l = {.prefix = o->n_args ? o->args[0] : NULL, .as_json = o->json};
    enum status s = open_store(&store, err);
    if (s != OK)
        return s;
    buf_init(&json, 64 << 20);
    jsonw_init(&l.json, &json, 2);
    jsonw_arr(&l.json);
    table_init(&l.table, 4);
    static const char *const heads[] = {"NAME", "ID", "SIZE", "MODIFIED"};
    for (size_t i = 0; i < 4; i++)
        table_cell(&l.table, heads[i]);
    s = store_each(store, add_row, &l, err);
    jsonw_end(&l.json);
    if (s == OK && o->json && (s = buf_check(&json, "list", err)) == OK)
        printf("%s\n", json.p);
    else if (s == OK)
        s = table_print(&l.table, 0, err);
    table_release(&l.table);
    buf_release(&json);
    store_close(store);
    return s;
}

enum status cmd_cp(const struct options *o, struct err *err)
{
    struct store *store;
    enum status s = open_store(&store, err);
    if (s != OK)
        return s;
    s = store_copy(store, str_from(o->args[0]), str_from(o->args[1]), err);
    if (s == OK)
        printf("copied '%s' to '%s'\n", o->args[0], o->args[1]);
    store_close(store);
    return s;
}

/* All that can be removed are; the first error is what is told at the end. */
enum status cmd_rm(const struct options *o, struct err *err)
{
    struct store *store;
    enum status first = open_store(&store, err);
    if (first != OK)
        return first;
    for (int i = 0; i < o->n_args; i++) {
        struct err why = {0};
        enum status s = store_remove(store, str_from(o->args[i]), &why);
        if (s == OK)
            printf("deleted '%s'\n", o->args[i]);
        else if (first == OK)
            first = err_set(err, s, "%s", why.msg);
        else
            log_msg(LOG_ERROR, "%s", why.msg);
    }
    /* what could not be deleted earlier; when somebody is at work, later */
    struct err busy;
    if (store_prune(store, NULL, &busy) != OK)
        log_debug("%s", busy.msg);
    store_close(store);
    return first;
}
