/* The store, as the commands use it: not in the engine-only build. */
#pragma once
#include "base/arena.h"
#include "cli/options.h"
#include "store/store.h"

/* The user's store, with the model that ships. */
NODISCARD enum status open_store(struct store **out, struct err *err);

struct hub_options;
/* Threads, context, KV type and memory (most of what there is, the rest is for requests), by the
 * options and HEARTH_MEMORY; everything else of h is zero. */
NODISCARD enum status hub_options_from(struct hub_options *h, const struct options *o,
                                       struct err *err);

/* What MODEL means: a path that exists (*entry is NULL), or a model of the store. The caller frees
 * *path, and *entry by store_model_free. */
NODISCARD enum status model_find(const char *name, char **path, struct store_model **entry,
                                 struct err *err);

/* Whether it can be the name of a model: it is written as one, and not as a path. */
bool model_is_name(const char *name);

/* The entry's parameters where the options are silent. Texts are the arena's; list gets memory of
 * its own. Parameters that no option stands for are passed over. */
NODISCARD enum status entry_options(struct options *o, const struct store_model *m,
                                    struct arena *arena, struct err *err);
