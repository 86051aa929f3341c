/* hearth template: a chat template rendered, the model's own for a conversation or any template
 * with any variables. The prompt is written as it is, without a line break of ours. */
#include "base/file.h"
#include "base/json.h"
#include "chat/prompt.h"
#include "cli/commands.h"
#include "cli/load.h"
#include "text/gotmpl.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { MAX_JSON = 64 << 20, MAX_VALUES = 512 << 20, MAX_RENDERED = 256 << 20 };

/* "2026-11-24", "2026-11-24T12:30:00", with "Z" or "+01:00" behind it; local time without. */
static enum status parse_time(const char *text, int64_t *out, struct err *err)
{
    struct tm tm = {.tm_mday = 1, .tm_isdst = -1};
    *out = 0;
    if (!text)
        return OK;
    const char *end = strptime(text, "%Y-%m-%d", &tm);
    if (end && (*end == 'T' || *end == ' '))
        end = strptime(end + 1, "%H:%M:%S", &tm);
    if (end && *end == '.')
        end += 1 + strspn(end + 1, "0123456789");
    if (end && *end == 0) {
        *out = (int64_t)mktime(&tm);
        return OK;
    }
    struct tm zone = {0};
    if (end && (end = strptime(end, "%z", &zone)) && *end == 0) {
        *out = (int64_t)timegm(&tm) - zone.tm_gmtoff;
        return OK;
    }
    return err_set(err, EUSAGE, "--now: '%.40s', expected a time such as 2026-11-24T12:00:00",
                   text);
}

struct values {
    struct arena arena;
    json_t *doc[2];
};

static enum status read_json(struct values *v, int i, const char *path, struct err *err)
{
    return json_parse_file(&v->doc[i], path, MAX_JSON, err);
}

static enum status to_value(struct values *v, const json_t *j, const char *path,
                            const struct jval **out, struct err *err)
{
    *out = jval_from_json(&v->arena, j);
    return *out ? OK
                : err_set(err, ELIMIT, "'%s': more than %d MB of values", path, MAX_VALUES >> 20);
}

/* --messages: the array, or an object with "messages" and perhaps "tools", as APIs take it. */
static enum status conversation_values(struct values *v, const struct options *o,
                                       struct prompt_vars *vars, struct err *err)
{
    enum status s = read_json(v, 0, o->messages, err);
    const json_t *messages =
        s == OK && json_is_object(v->doc[0]) ? json_object_get(v->doc[0], "messages") : v->doc[0];
    const json_t *tools = json_is_object(v->doc[0]) ? json_object_get(v->doc[0], "tools") : NULL;
    if (s == OK && !json_is_array(messages))
        return err_set(err, EFORMAT, "'%s': expected an array of messages", o->messages);
    if (s == OK && o->tools) {
        s = read_json(v, 1, o->tools, err);
        tools = v->doc[1];
    }
    if (s == OK && tools && !json_is_null(tools) && !json_is_array(tools))
        return err_set(err, EFORMAT, "'%s': expected an array of tools",
                       o->tools ? o->tools : o->messages);
    if (s == OK)
        s = to_value(v, messages, o->messages, &vars->messages, err);
    if (s == OK && json_is_array(tools))
        s = to_value(v, tools, o->tools ? o->tools : o->messages, &vars->tools, err);
    return s;
}

static enum status thinking_from(const struct options *o, enum chat_thinking *out, struct err *err)
{
    *out = THINK_DEFAULT;
    if (!o->think)
        return OK;
    *out = strcmp(o->think, "on") == 0 ? THINK_ON : THINK_OFF;
    if (*out == THINK_OFF && strcmp(o->think, "off") != 0)
        return err_set(err, EUSAGE, "--think: '%s', expected on or off", o->think);
    return OK;
}

/* A conversation through the model's template, or through that of --file, for which no model is
 * needed (special tokens are undefined then). */
static enum status render_conversation(struct values *v, const struct options *o, struct str source,
                                       struct buf *out, struct err *err)
{
    struct loaded l;
    struct prompt_vars vars = {.no_generation_prompt = o->no_generation_prompt};
    struct prompt_format *f = NULL;
    if (!o->messages)
        return err_set(err, EUSAGE, "template: --messages is missing, expected a JSON file");
    enum status s = parse_time(o->now, &vars.now, err);
    if (s == OK)
        s = thinking_from(o, &vars.thinking, err);
    if (s == OK)
        s = conversation_values(v, o, &vars, err);
    if (s == OK && o->n_args)
        s = load_vocab(&l, o, err);
    if (s != OK)
        return s;
    s = prompt_format_new(&f, o->n_args ? l.model : NULL, source, err);
    if (s == OK)
        s = prompt_render(f, &vars, out, err);
    prompt_format_free(f);
    if (o->n_args)
        unload(&l);
    return s;
}

static enum status render_jinja(const struct jval *context, struct str source, int64_t now,
                                struct buf *out, struct err *err)
{
    struct jinja *t;
    struct jinja_options opt = {.now = now};
    enum status s = jinja_compile(&t, source, err);
    if (s != OK)
        return s;
    s = jinja_render(t, context, &opt, out, err);
    jinja_free(t);
    return s;
}

static enum status render_go(const struct jval *context, struct str source, int64_t now,
                             struct buf *out, struct err *err)
{
    struct gotmpl *t;
    struct gotmpl_options opt = {.now = now};
    enum status s = gotmpl_compile(&t, source, err);
    if (s != OK)
        return s;
    s = gotmpl_render(t, context, &opt, out, err);
    gotmpl_free(t);
    return s;
}

/* --go, or a file that says so by its name. */
static bool is_go(const struct options *o)
{
    struct str name = str_from(o->file);
    return o->go || str_ends(name, STR(".gotmpl")) || str_ends(name, STR(".tmpl"));
}

static enum status render_file(struct values *v, const struct options *o, struct str source,
                               struct buf *out, struct err *err)
{
    const struct jval *context;
    int64_t now;
    if (!o->context)
        return err_set(err, EUSAGE, "template: --context is missing, expected a JSON file");
    enum status s = parse_time(o->now, &now, err);
    if (now == 0)
        now = (int64_t)time(NULL);
    if (s == OK)
        s = read_json(v, 0, o->context, err);
    if (s == OK && !json_is_object(v->doc[0]))
        s = err_set(err, EFORMAT, "'%s': expected an object of variables", o->context);
    if (s == OK)
        s = to_value(v, v->doc[0], o->context, &context, err);
    if (s != OK)
        return s;
    s = is_go(o) ? render_go(context, source, now, out, err)
                 : render_jinja(context, source, now, out, err);
    /* a template's own refusal stays as it wrote it */
    return s == EFORMAT ? err_prefix(err, "'%s'", o->file) : s;
}

enum status cmd_template(const struct options *o, struct err *err)
{
    struct values v = {0};
    struct buf source, out;
    enum status s = OK;
    buf_init(&source, MAX_JSON);
    buf_init(&out, MAX_RENDERED);
    arena_init(&v.arena, MAX_VALUES);
    if (o->n_args == 0 && !o->file)
        s = err_set(err, EUSAGE, "template: neither MODEL nor --file, expected one of them");
    if (s == OK && o->file)
        s = file_read(o->file, &source, err);
    if (s == OK)
        s = o->n_args || o->messages
                ? render_conversation(&v, o, o->file ? buf_str(&source) : (struct str){NULL, 0},
                                      &out, err)
                : render_file(&v, o, buf_str(&source), &out, err);
    if (s == OK && out.n)
        fwrite(out.p, 1, out.n, stdout);
    for (size_t i = 0; i < sizeof v.doc / sizeof *v.doc; i++)
        if (v.doc[i])
            json_decref(v.doc[i]);
    arena_release(&v.arena);
    buf_release(&source);
    buf_release(&out);
    return s;
}
