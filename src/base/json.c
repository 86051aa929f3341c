#include "base/json.h"
#include "base/file.h"

enum { SAFE_DIGITS = 18 }; /* every integer of so many fits 64 bits */

/* Copies text with ".0" after integers of more digits, outside of strings. */
static void widen_integers(struct str text, struct buf *out)
{
    bool in_string = false;
    size_t i = 0;
    while (i < text.n) {
        char c = text.p[i];
        size_t start = i++;
        bool number = !in_string && c >= '0' && c <= '9';
        if (in_string && c == '\\' && i < text.n)
            i++;
        else if (c == '"')
            in_string = !in_string;
        while (number && i < text.n && text.p[i] >= '0' && text.p[i] <= '9')
            i++;
        buf_add(out, text.p + start, i - start);
        bool whole = i == text.n || !strchr(".eE", text.p[i]);
        bool tail = start > 0 && strchr(".eE+", text.p[start - 1]);
        if (number && whole && !tail && i - start > SAFE_DIGITS)
            buf_adds(out, ".0");
    }
}

enum status json_parse(json_t **out, struct str text, const char *what, struct err *err)
{
    const size_t flags = JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL;
    json_error_t e;
    *out = json_loadb(text.p, text.n, flags, &e);
    if (!*out && json_error_code(&e) == json_error_numeric_overflow) {
        /* "model_max_length": 1000000000000000019884624838656 is in most tokenizer configs */
        struct buf wide;
        buf_init(&wide, 2 * text.n);
        widen_integers(text, &wide);
        if (!wide.failed)
            *out = json_loadb(wide.p, wide.n, flags, &e);
        buf_release(&wide);
    }
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
