/* hearth pull, push: models from and to registries. */
#include "cli/commands.h"
#include "cli/entry.h"
#include "cli/transfer_bar.h"

enum status cmd_pull(const struct options *o, struct err *err)
{
    struct store *store;
    enum status s = open_store(&store, err);
    if (s != OK)
        return s;
    s = pull_with_bar(store, o->args[0], o->insecure, o->threads > 0 ? (int)o->threads : 0, err);
    store_close(store);
    return s;
}

enum status cmd_push(const struct options *o, struct err *err)
{
    struct store *store;
    struct transfer_bar bar = {0};
    struct transfer_options t = {.name = str_from(o->args[0]),
                                 .insecure = o->insecure,
                                 .progress = {transfer_bar_tell, &bar}};
    enum status s = open_store(&store, err);
    if (s != OK)
        return s;
    s = push_model(store, &t, err);
    transfer_bar_end(&bar);
    store_close(store);
    return s;
}
