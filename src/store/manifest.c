/* Manifests: JSON from strangers, taken apart with every size, count and digest checked. Layers of
 * unknown kinds are kept as such; what is only missing is found out when the blobs are looked up.
 */
#include "store/store_int.h"
#include "base/json.h"
#include "base/show.h"

static const struct {
    const char *name;
    enum layer_kind kind;
} kinds[] = {
    {"model", LAYER_MODEL},     {"projector", LAYER_PROJECTOR}, {"adapter", LAYER_ADAPTER},
    {"draft", LAYER_DRAFT},     {"template", LAYER_TEMPLATE},   {"prompt", LAYER_TEMPLATE},
    {"system", LAYER_SYSTEM},   {"params", LAYER_PARAMS},       {"messages", LAYER_MESSAGES},
    {"license", LAYER_LICENSE}, {"tensor", LAYER_TENSOR},       {"json", LAYER_JSON},
};

enum layer_kind layer_kind_of(struct str media_type)
{
    const struct str prefix = STR("application/vnd.ollama.image.");
    if (!str_starts(media_type, prefix))
        return LAYER_OTHER;
    struct str rest = str_slice(media_type, prefix.n, media_type.n);
    /* parameters of a media type are behind a semicolon */
    const char *semicolon = memchr(rest.p, ';', rest.n);
    if (semicolon)
        rest.n = (size_t)(semicolon - rest.p);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (str_is(rest, kinds[i].name))
            return kinds[i].kind;
    return LAYER_OTHER;
}

const char *layer_media_type(enum layer_kind kind)
{
    static const char *const names[] = {
        [LAYER_MODEL] = MEDIA_PREFIX "model",       [LAYER_PROJECTOR] = MEDIA_PREFIX "projector",
        [LAYER_ADAPTER] = MEDIA_PREFIX "adapter",   [LAYER_DRAFT] = MEDIA_PREFIX "draft",
        [LAYER_TEMPLATE] = MEDIA_PREFIX "template", [LAYER_SYSTEM] = MEDIA_PREFIX "system",
        [LAYER_PARAMS] = MEDIA_PREFIX "params",     [LAYER_MESSAGES] = MEDIA_PREFIX "messages",
        [LAYER_LICENSE] = MEDIA_PREFIX "license",   [LAYER_TENSOR] = MEDIA_PREFIX "tensor",
        [LAYER_JSON] = MEDIA_PREFIX "json",         [LAYER_OTHER] = "application/octet-stream",
    };
    return names[kind];
}

static enum status take_size(const json_t *o, uint64_t *out, uint64_t *total, struct err *err)
{
    int64_t size;
    enum status s = json_get_int(o, "size", &size, -1, err);
    if (s == OK && size < 0)
        return err_set(err, EFORMAT, "'size' is %lld, expected a number of bytes", (long long)size);
    if (s == OK && __builtin_add_overflow(*total, (uint64_t)size, total))
        return err_set(err, EFORMAT, "the layers' sizes add up to more than 64 bits");
    if (s == OK)
        *out = (uint64_t)size;
    return s;
}

static enum status take_digest(const json_t *o, struct arena *arena, struct str *out,
                               struct err *err)
{
    struct str d;
    enum status s = json_get_str(o, "digest", &d, err);
    if (s != OK)
        return s;
    if (!d.p || !digest_valid(d))
        return err_set(err, EFORMAT, "'digest' is '%s', expected sha256: and 64 digits",
                       d.p ? show(d).s : "");
    *out = arena_str(arena, d);
    if (!out->p)
        return err_set(err, ENOMEMORY, "no memory for a manifest");
    ((char *)(uintptr_t)out->p)[6] = ':';
    return OK;
}

static enum status take_layer(const json_t *o, struct arena *arena, struct store_layer *l,
                              uint64_t *total, struct err *err)
{
    struct str type, name;
    if (!json_is_object(o))
        return err_set(err, EFORMAT, "not an object");
    enum status s = json_get_str(o, "mediaType", &type, err);
    if (s == OK)
        s = json_get_str(o, "name", &name, err);
    if (s == OK)
        s = take_digest(o, arena, &l->digest, err);
    if (s == OK)
        s = take_size(o, &l->size, total, err);
    if (s != OK)
        return s;
    l->media_type = arena_str(arena, type.p ? type : STR(""));
    l->name = arena_str(arena, name.p ? name : STR(""));
    if (!l->media_type.p || !l->name.p)
        return err_set(err, ENOMEMORY, "no memory for a manifest");
    l->kind = layer_kind_of(l->media_type);
    return OK;
}

static enum status take_layers(const json_t *layers, struct arena *arena, struct manifest *out,
                               struct err *err)
{
    size_t n = json_array_size(layers);
    if (layers && !json_is_null(layers) && !json_is_array(layers))
        return err_set(err, EFORMAT, "'layers' is no array");
    if (n > LAYERS_MAX)
        return err_set(err, ELIMIT, "%zu layers, expected at most %d", n, LAYERS_MAX);
    out->layers = arena_array(arena, n ? n : 1, sizeof *out->layers);
    if (!out->layers)
        return err_set(err, ENOMEMORY, "no memory for a manifest");
    for (size_t i = 0; i < n; i++) {
        enum status s =
            take_layer(json_array_get(layers, i), arena, &out->layers[i], &out->total, err);
        if (s != OK)
            return err_prefix(err, "layer %zu", i);
    }
    out->n = n;
    return OK;
}

static enum status take_all(const json_t *o, struct arena *arena, struct manifest *out,
                            struct err *err)
{
    int64_t version;
    if (!json_is_object(o))
        return err_set(err, EFORMAT, "expected an object");
    enum status s = json_get_int(o, "schemaVersion", &version, 2, err);
    if (s == OK && version != 2)
        return err_set(err, EUNSUPPORTED, "schemaVersion is %lld, expected 2", (long long)version);
    if (s == OK)
        s = take_layers(json_object_get(o, "layers"), arena, out, err);
    const json_t *config = json_object_get(o, "config");
    if (s != OK || !config || json_is_null(config))
        return s;
    if (!json_is_object(config))
        return err_set(err, EFORMAT, "'config' is no object");
    /* a config without a digest stands for none */
    const json_t *d = json_object_get(config, "digest");
    if (!d || json_is_null(d) || (json_is_string(d) && json_string_length(d) == 0))
        return OK;
    s = take_digest(config, arena, &out->config_digest, err);
    if (s == OK)
        s = take_size(config, &out->config_size, &out->total, err);
    return s == OK ? OK : err_prefix(err, "config");
}

enum status manifest_parse(struct manifest *out, struct str text, const char *what,
                           struct arena *arena, struct err *err)
{
    json_t *doc;
    *out = (struct manifest){0};
    enum status s = json_parse(&doc, text, what, err);
    if (s != OK)
        return s;
    s = take_all(doc, arena, out, err);
    json_decref(doc);
    return s == OK ? OK : err_prefix(err, "%s", what);
}
