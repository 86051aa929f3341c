#include "cli/entry.h"
#include "base/machine.h"
#include "cli/fit.h"
#include "cli/load.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/show.h"
#include "server/hub.h"
#include <math.h>
#include <stdlib.h>

enum status open_store(struct store **out, struct err *err)
{
    char *found = shipped_model("hearth-nano", NULL);
    char *shipped = found ? realpath(found, NULL) : NULL;
    enum status s = store_open(out, &(struct store_options){.shipped = shipped}, err);
    free(shipped);
    free(found);
    return s;
}

enum status hub_options_from(struct hub_options *h, const struct options *o, struct err *err)
{
    uint64_t memory = 0;
    *h = (struct hub_options){.threads = o->threads > 0 ? (int)o->threads : 0,
                              .n_ctx = o->ctx > 0 ? o->ctx : 0};
    enum status s = kv_type_from(o, &h->kv_type, err);
    if (s == OK)
        s = memory_to_use(&memory, err);
    h->memory = memory == UINT64_MAX ? 0 : memory / 10 * 8; /* the rest is for requests */
    return s;
}

/* What was written looks like a path and no name. */
static bool like_path(const char *name)
{
    struct str n = str_from(name);
    return name[0] == '/' || name[0] == '.' || name[0] == '~' || str_ends(n, STR(".gguf")) ||
           str_ends(n, STR("/")) || str_ends(n, STR(".safetensors"));
}

bool model_is_name(const char *name)
{
    struct model_name ignored;
    return !like_path(name) && name_parse(&ignored, str_from(name), NULL) == OK;
}

enum status model_find(const char *name, char **path, struct store_model **entry, struct err *err)
{
    struct store *store;
    *entry = NULL;
    *path = NULL;
    if (file_exists(name)) {
        *path = mem_dup(name, strlen(name));
        return *path ? OK : err_set(err, ENOMEMORY, "model: no memory for its path");
    }
    if (like_path(name))
        return err_set(err, ENOTFOUND, "model '%s': no such file or folder", name);
    enum status s = open_store(&store, err);
    if (s != OK)
        return s;
    s = store_find(store, str_from(name), entry, err);
    if (s == ENOTFOUND || s == EUSAGE)
        s = err_set(err, ENOTFOUND, "model '%s' not found: no such file or folder, and not in %s",
                    show(str_from(name)).s, store_folder(store));
    if (s == OK) {
        *path = mem_dup((*entry)->model_path, strlen((*entry)->model_path));
        s = *path ? OK : err_set(err, ENOMEMORY, "model: no memory for its path");
    }
    store_close(store);
    if (s != OK) {
        store_model_free(*entry);
        *entry = NULL;
    }
    return s;
}

#define AT(field) offsetof(struct options, field)
static const struct {
    const char *name;
    bool integer;
    size_t at;
} rows[] = {
    {"num_ctx", true, AT(ctx)},
    {"num_predict", true, AT(max_tokens)},
    {"num_thread", true, AT(threads)},
    {"draft_num_predict", true, AT(draft)},
    {"min_tokens", true, AT(min_tokens)},
    {"seed", true, AT(seed)},
    {"top_k", true, AT(top_k)},
    {"repeat_last_n", true, AT(repeat_last_n)},
    {"mirostat", true, AT(mirostat)},
    {"dry_allowed_length", true, AT(dry_allowed_length)},
    {"dry_penalty_last_n", true, AT(dry_last_n)},
    {"temperature", false, AT(temp)},
    {"top_p", false, AT(top_p)},
    {"min_p", false, AT(min_p)},
    {"typical_p", false, AT(typical)},
    {"repeat_penalty", false, AT(repeat_penalty)},
    {"presence_penalty", false, AT(presence_penalty)},
    {"frequency_penalty", false, AT(frequency_penalty)},
    {"mirostat_tau", false, AT(mirostat_tau)},
    {"mirostat_eta", false, AT(mirostat_eta)},
    {"dry_multiplier", false, AT(dry_multiplier)},
    {"dry_base", false, AT(dry_base)},
    {"xtc_probability", false, AT(xtc_probability)},
    {"xtc_threshold", false, AT(xtc_threshold)},
};

static void set_number(struct options *o, const char *name, const json_t *v)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *at = (char *)o + rows[i].at;
        double d = json_number_value(v);
        if (strcmp(rows[i].name, name) != 0)
            continue;
        if (!rows[i].integer && isnan(*(double *)at))
            *(double *)at = d;
        /* -1 and the like: "as it is usual", which silence says, too */
        else if (rows[i].integer && *(int64_t *)at == INT64_MIN && d >= 0 && d < 9e15)
            *(int64_t *)at = (int64_t)d;
        else if (rows[i].integer && *(int64_t *)at == INT64_MIN &&
                 rows[i].at == AT(repeat_last_n) && d == -1)
            *(int64_t *)at = -1;
    }
}

static enum status set_stops(struct options *o, const json_t *v, struct arena *arena,
                             struct err *err)
{
    size_t n = json_is_string(v) ? 1 : json_array_size(v);
    const char **list = mem_array(n ? n : 1, sizeof *list);
    enum status s = list ? OK : err_set(err, ENOMEMORY, "no memory for stop texts");
    for (size_t i = 0; s == OK && i < n; i++) {
        const json_t *one = json_is_string(v) ? v : json_array_get(v, i);
        list[i] = arena_dup(arena, json_is_string(one) ? json_string_value(one) : "",
                            json_string_length(one));
        if (!list[i])
            s = err_set(err, ENOMEMORY, "no memory for stop texts");
    }
    if (s != OK) {
        free(list);
        return s;
    }
    free(o->stop.v);
    o->stop.v = list;
    o->stop.n = n;
    return OK;
}

enum status entry_options(struct options *o, const struct store_model *m, struct arena *arena,
                          struct err *err)
{
    json_t *params, *v;
    const char *key;
    if (!m->params_json.p)
        return OK;
    enum status s = json_parse(&params, m->params_json, "parameters of the model", err);
    if (s != OK)
        return s;
    json_object_foreach(params, key, v)
    {
        if (json_is_number(v))
            set_number(o, key, v);
        else if (s == OK && strcmp(key, "stop") == 0 && o->stop.n == 0)
            s = set_stops(o, v, arena, err);
    }
    json_decref(params);
    return s;
}
