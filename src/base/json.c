#include "base/json.h"
#include "base/file.h"

enum status json_parse(json_t **out, struct str text, const char *what, struct err *err)
{
    json_error_t e;
    *out = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &e);
    if (!*out)
        return err_set(err, EFORMAT, "%s: line %d, column %d: %s", what, e.line, e.column, e.text);
    return OK;
}

enum status json_parse_file(json_t **out, const char *path, size_t max, struct err *err)
{
    struct buf text;
    buf_init(&text, max);
    *out = NULL;
    enum status s = file_read(path, &text, err);
    if (s == OK)
        s = json_parse(out, buf_str(&text), path, err);
    buf_release(&text);
    return s;
}

static const char *type_name(const json_t *v)
{
    static const char *const names[] = {
        [JSON_OBJECT] = "an object",   [JSON_ARRAY] = "an array", [JSON_STRING] = "a string",
        [JSON_INTEGER] = "an integer", [JSON_REAL] = "a number",  [JSON_TRUE] = "true",
        [JSON_FALSE] = "false",        [JSON_NULL] = "null",
    };
    return names[json_typeof(v)];
}

static const json_t *field(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return json_is_null(v) ? NULL : v;
}

static enum status wrong(const char *key, const json_t *v, const char *expected, struct err *err)
{
    return err_set(err, EFORMAT, "'%s' is %s, expected %s", key, type_name(v), expected);
}

enum status json_get_int(const json_t *o, const char *key, int64_t *out, int64_t absent,
                         struct err *err)
{
    const json_t *v = field(o, key);
    *out = absent;
    if (!v)
        return OK;
    if (!json_is_integer(v))
        return wrong(key, v, "an integer", err);
    *out = json_integer_value(v);
    return OK;
}

enum status json_get_num(const json_t *o, const char *key, double *out, double absent,
                         struct err *err)
{
    const json_t *v = field(o, key);
    *out = absent;
    if (!v)
        return OK;
    if (!json_is_number(v))
        return wrong(key, v, "a number", err);
    *out = json_number_value(v);
    return OK;
}

enum status json_get_bool(const json_t *o, const char *key, bool *out, bool absent, struct err *err)
{
    const json_t *v = field(o, key);
    *out = absent;
    if (!v)
        return OK;
    if (!json_is_boolean(v))
        return wrong(key, v, "true or false", err);
    *out = json_is_true(v);
    return OK;
}

enum status json_get_str(const json_t *o, const char *key, struct str *out, struct err *err)
{
    const json_t *v = field(o, key);
    *out = (struct str){NULL, 0};
    if (!v)
        return OK;
    if (!json_is_string(v))
        return wrong(key, v, "a string", err);
    *out = json_str(v);
    return OK;
}
