#include "store/params.h"
#include "base/show.h"
#include <math.h>
#include <stdlib.h>
#include <strings.h>

static const struct param_row rows[] = {
    {"num_ctx", PARAM_INT, false},
    {"num_predict", PARAM_INT, false},
    {"num_keep", PARAM_INT, true},
    {"num_batch", PARAM_INT, true},
    {"num_gpu", PARAM_INT, true},
    {"main_gpu", PARAM_INT, true},
    {"num_thread", PARAM_INT, false},
    {"draft_num_predict", PARAM_INT, false},
    {"use_mmap", PARAM_BOOL, true},
    {"seed", PARAM_INT, false},
    {"temperature", PARAM_NUM, false},
    {"top_k", PARAM_INT, false},
    {"top_p", PARAM_NUM, false},
    {"min_p", PARAM_NUM, false},
    {"typical_p", PARAM_NUM, false},
    {"repeat_last_n", PARAM_INT, false},
    {"repeat_penalty", PARAM_NUM, false},
    {"presence_penalty", PARAM_NUM, false},
    {"frequency_penalty", PARAM_NUM, false},
    {"stop", PARAM_TEXTS, false},
    /* Hearth's own, and Ollama's of old */
    {"mirostat", PARAM_INT, false},
    {"mirostat_tau", PARAM_NUM, false},
    {"mirostat_eta", PARAM_NUM, false},
    {"dry_multiplier", PARAM_NUM, false},
    {"dry_base", PARAM_NUM, false},
    {"dry_allowed_length", PARAM_INT, false},
    {"dry_penalty_last_n", PARAM_INT, false},
    {"xtc_probability", PARAM_NUM, false},
    {"xtc_threshold", PARAM_NUM, false},
    {"min_tokens", PARAM_INT, false},
    /* deprecated there */
    {"tfs_z", PARAM_NUM, true},
    {"penalize_newline", PARAM_BOOL, true},
    {"low_vram", PARAM_BOOL, true},
    {"f16_kv", PARAM_BOOL, true},
    {"logits_all", PARAM_BOOL, true},
    {"vocab_only", PARAM_BOOL, true},
    {"use_mlock", PARAM_BOOL, true},
    {"numa", PARAM_BOOL, true},
};

const struct param_row *param_find(struct str name)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (name.n == strlen(rows[i].name) && strncasecmp(name.p, rows[i].name, name.n) == 0)
            return &rows[i];
    return NULL;
}

static const char *expected(enum param_type type)
{
    static const char *const words[] = {"an integer", "a number", "true or false", "a text",
                                        "a text"};
    return words[type];
}

/* The words that Go's strconv.ParseBool knows. */
static bool to_bool(const char *z, bool *out)
{
    static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True"}, *const no[] = {
                                                                                  "0",     "f",
                                                                                  "F",     "false",
                                                                                  "FALSE", "False"};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        if (strcmp(z, yes[i]) == 0 || strcmp(z, no[i]) == 0) {
            *out = strcmp(z, yes[i]) == 0;
            return true;
        }
    }
    return false;
}

enum status param_value(const struct param_row *row, struct str text, struct jsonw *w,
                        struct err *err)
{
    char z[64] = "", *end = z;
    bool ok = false, yes;
    if (text.n < sizeof z && !memchr(text.p, 0, text.n))
        memcpy(z, text.p, text.n);
    errno = 0;
    if (row->type == PARAM_INT) {
        long long v = strtoll(z, &end, 10);
        if ((ok = end != z && !*end && errno == 0))
            jsonw_int(w, v);
    } else if (row->type == PARAM_NUM) {
        double v = strtod(z, &end);
        if ((ok = end != z && !*end && isfinite(v)))
            jsonw_num(w, v);
    } else if (row->type == PARAM_BOOL) {
        if ((ok = to_bool(z, &yes)))
            jsonw_bool(w, yes);
    } else {
        jsonw_str(w, text);
        ok = true;
    }
    return ok ? OK
              : err_set(err, EUSAGE, "parameter '%s': '%s', expected %s", row->name, show(text).s,
                        expected(row->type));
}

static bool has_type(const json_t *v, enum param_type type)
{
    switch (type) {
    case PARAM_INT:
        return json_is_integer(v) ||
               (json_is_real(v) && trunc(json_real_value(v)) == json_real_value(v));
    case PARAM_NUM: return json_is_number(v);
    case PARAM_BOOL: return json_is_boolean(v);
    case PARAM_TEXT: return json_is_string(v);
    case PARAM_TEXTS: break;
    }
    if (json_is_string(v))
        return true;
    for (size_t i = 0; i < json_array_size(v); i++)
        if (!json_is_string(json_array_get(v, i)))
            return false;
    return json_is_array(v);
}

enum status params_check(const json_t *object, struct err *err)
{
    const char *key;
    json_t *v;
    if (!json_is_object(object))
        return err_set(err, EUSAGE, "parameters: expected an object");
    json_object_foreach((json_t *)(uintptr_t)object, key, v)
    {
        const struct param_row *row = param_find(str_from(key));
        if (row && !json_is_null(v) && !has_type(v, row->type))
            return err_set(err, EUSAGE, "option \"%s\" must be %s", row->name,
                           row->type == PARAM_TEXTS ? "a list of texts" : expected(row->type));
    }
    return OK;
}

static enum status parse_params(struct str text, json_t **out, struct err *err)
{
    *out = NULL;
    if (!text.p) {
        *out = json_object();
        return *out ? OK : err_set(err, ENOMEMORY, "no memory for parameters");
    }
    enum status s = json_parse(out, text, "parameters", err);
    if (s == OK && !json_is_object(*out)) {
        json_decref(*out);
        *out = NULL;
        s = err_set(err, EFORMAT, "parameters: expected an object");
    }
    return s;
}

enum status params_merge(struct str base, struct str over, struct buf *out, struct err *err)
{
    json_t *a, *b = NULL;
    enum status s = parse_params(base, &a, err);
    if (s == OK)
        s = parse_params(over, &b, err);
    if (s == OK && json_object_update(a, b) != 0)
        s = err_set(err, ENOMEMORY, "no memory for parameters");
    if (s == OK) {
        char *text = json_dumps(a, JSON_COMPACT | JSON_ENCODE_ANY);
        if (text)
            buf_adds(out, text);
        s = text ? buf_check(out, "parameters", err)
                 : err_set(err, ENOMEMORY, "no memory for parameters");
        free(text);
    }
    json_decref(a);
    json_decref(b);
    return s;
}

static void put_line(struct buf *out, const char *key, const json_t *v)
{
    struct jsonw w;
    if (out->n)
        buf_addc(out, '\n');
    buf_printf(out, "%-30s ", key);
    jsonw_init(&w, out, 0);
    if (json_is_string(v))
        jsonw_quote(out, json_str(v), false);
    else if (json_is_integer(v))
        jsonw_int(&w, json_integer_value(v));
    else if (json_is_real(v))
        jsonw_num(&w, json_real_value(v));
    else if (json_is_boolean(v))
        jsonw_bool(&w, json_is_true(v));
    else
        jsonw_null(&w);
}

enum status params_text(struct str params_json, struct buf *out, struct err *err)
{
    json_t *o, *v;
    const char *key;
    enum status s = parse_params(params_json, &o, err);
    if (s != OK)
        return s;
    json_object_foreach(o, key, v)
    {
        for (size_t i = 0; i < json_array_size(v); i++)
            put_line(out, key, json_array_get(v, i));
        if (!json_is_array(v))
            put_line(out, key, v);
    }
    json_decref(o);
    return buf_check(out, "parameters", err);
}
