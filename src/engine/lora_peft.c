/* PEFT's format: adapter_config.json beside adapter_model.safetensors. Options that change the
 * arithmetic in a way that is not done here (DoRA, bias, whole modules) are refused by name. */
#include "engine/lora_int.h"
#include "base/file.h"
#include "base/json.h"
#include "format/safetensors.h"
#include <math.h>
#include <stdio.h>

enum { CONFIG_MAX = 4 << 20, PATH_LEN = 4096 };

struct peft {
    int64_t rank;
    double alpha;
    bool rslora;
    const json_t *rank_pattern, *alpha_pattern;
};

/* PEFT matches a pattern's key against the end of the module's path, at a dot. Keys are regular
 * expressions there; those that are more than names are refused when the file is opened. */
static const json_t *by_pattern(const json_t *pattern, struct str module)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)pattern, key, value)
    {
        struct str k = str_from(key[0] == '^' ? key + 1 : key);
        if (str_eq(k, module) || (key[0] != '^' && str_ends(module, k) && k.n < module.n &&
                                  module.p[module.n - k.n - 1] == '.'))
            return value;
    }
    return NULL;
}

static enum status check_pattern(const json_t *pattern, const char *field, struct err *err)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)pattern, key, value)
    {
        if (strpbrk(key, "*+?[](){}|\\$"))
            return err_set(err, EUNSUPPORTED, "field '%s': key '%.100s', expected a module's name",
                           field, key);
        if (!json_is_number(value))
            return err_set(err, EFORMAT, "field '%s': '%.100s' is not a number", field, key);
    }
    return OK;
}

static enum status peft_scale(const void *ctx, struct str module, int64_t rank, float *out,
                              struct err *err)
{
    const struct peft *p = ctx;
    const json_t *r = by_pattern(p->rank_pattern, module),
                 *a = by_pattern(p->alpha_pattern, module);
    double want = r ? json_number_value(r) : (double)p->rank;
    double alpha = a ? json_number_value(a) : p->alpha;
    if (want != (double)rank)
        return err_set(err, EFORMAT, "adapter of '%.*s': rank %lld, expected %g", STR_ARG(module),
                       (long long)rank, want);
    *out = (float)(alpha / (p->rslora ? sqrt((double)rank) : (double)rank));
    return isfinite(*out) ? OK
                          : err_set(err, EFORMAT,
                                    "adapter of '%.*s': alpha %g, expected a finite "
                                    "number",
                                    STR_ARG(module), alpha);
}

static void peft_names(struct str module, char *a, char *b, size_t size)
{
    snprintf(a, size, "base_model.model.%.*s.lora_A.weight", STR_ARG(module));
    snprintf(b, size, "base_model.model.%.*s.lora_B.weight", STR_ARG(module));
}

static const struct tensor *find(const void *file, struct str name)
{
    return safetensors_tensor(file, name);
}
static size_t count(const void *file)
{
    return safetensors_n_tensors(file);
}
static const struct tensor *at(const void *file, size_t i)
{
    return safetensors_tensor_at(file, i);
}

static enum status refuse(const json_t *config, struct err *err)
{
    static const char *const flags[] = {"use_dora", "lora_bias", "fan_in_fan_out", "use_qalora",
                                        "use_bdlora"};
    static const char *const lists[] = {"modules_to_save",         "layer_replication",
                                        "trainable_token_indices", "target_parameters",
                                        "alora_invocation_tokens", "arrow_config"};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (json_is_true(json_object_get(config, flags[i])))
            return err_set(err, EUNSUPPORTED, "field '%s' is true, expected false", flags[i]);
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        const json_t *v = json_object_get(config, lists[i]);
        if (v && !json_is_null(v) && (json_array_size(v) || json_object_size(v)))
            return err_set(err, EUNSUPPORTED, "field '%s' is set, expected none", lists[i]);
    }
    struct str bias = {0}, type = {0};
    enum status s = json_get_str(config, "bias", &bias, err);
    if (s == OK)
        s = json_get_str(config, "peft_type", &type, err);
    if (s == OK && bias.p && !str_is(bias, "none"))
        s = err_set(err, EUNSUPPORTED, "field 'bias' is '%.*s', expected none", STR_ARG(bias));
    if (s == OK && !str_is(type, "LORA"))
        s = err_set(err, EUNSUPPORTED, "field 'peft_type' is '%.*s', expected LORA",
                    type.p ? (int)(type.n < 64 ? type.n : 64) : 0, type.p ? type.p : "");
    return s;
}

static enum status read_config(struct peft *p, const json_t *config, struct err *err)
{
    enum status s = refuse(config, err);
    p->rank_pattern = json_object_get(config, "rank_pattern");
    p->alpha_pattern = json_object_get(config, "alpha_pattern");
    if (s == OK)
        s = json_get_int(config, "r", &p->rank, 8, err);
    if (s == OK)
        s = json_get_num(config, "lora_alpha", &p->alpha, 8, err);
    if (s == OK)
        s = json_get_bool(config, "use_rslora", &p->rslora, false, err);
    if (s == OK)
        s = check_pattern(p->rank_pattern, "rank_pattern", err);
    if (s == OK)
        s = check_pattern(p->alpha_pattern, "alpha_pattern", err);
    return s;
}

enum status lora_open_peft(struct lora *l, const char *path, struct err *err)
{
    bool dir = file_is_dir(path);
    const char *slash = strrchr(path, '/');
    int folder = dir ? (int)strlen(path) : slash ? (int)(slash - path) : 1;
    const char *base = dir || slash ? path : ".";
    char config_path[PATH_LEN], weights_path[PATH_LEN];
    if (strlen(path) > PATH_LEN - 64)
        return err_set(err, EUSAGE, "the path is too long");
    snprintf(config_path, sizeof config_path, "%.*s/adapter_config.json", folder, base);
    snprintf(weights_path, sizeof weights_path, dir ? "%s/adapter_model.safetensors" : "%s", path);
    json_t *config = NULL;
    struct peft p = {0};
    enum status s = json_parse_file(&config, config_path, CONFIG_MAX, err);
    if (s == OK && (s = read_config(&p, config, err)) != OK)
        err_prefix(err, "adapter_config.json");
    if (s == OK)
        s = safetensors_open(&l->safetensors, weights_path, err);
    if (s == OK) {
        const struct lora_source src = {
            {l->safetensors, find, count, at, true}, peft_names, peft_scale, &p};
        s = lora_bind(l, &src, err);
    }
    json_decref(config);
    return s;
}

void lora_close_peft(struct lora *l)
{
    safetensors_close(l->safetensors);
}
