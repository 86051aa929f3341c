/* From messages to a prompt the way Ollama does it: collecting and merging messages, then one
 * execution, or one per turn. */
#include "text/gotmpl_chat.h"
#include "text/gotmpl_chat_values.h"
#include <time.h>

enum { MAX_VALUES = 256 << 20 };

enum status gotmpl_chat_compile(struct gotmpl **out, struct str source, struct err *err)
{
    struct buf longer;
    enum status s = gotmpl_compile(out, source, err);
    if (s != OK || gotmpl_mentions(*out, STR("Messages")) || gotmpl_mentions(*out, STR("Response")))
        return s;
    gotmpl_free(*out);
    buf_init(&longer, source.n + 100);
    buf_addstr(&longer, source);
    buf_adds(&longer, "{{ .Response }}");
    s = buf_check(&longer, "template", err);
    if (s == OK)
        s = gotmpl_compile(out, buf_str(&longer), err);
    buf_release(&longer);
    return s;
}

static bool starts_keyword(struct str s)
{
    static const char *const words[] = {
        "if ",  "if\n", "range ", "with ", "else ",    "else}",     "else-",       "end ",
        "end}", "end-", "/*",     "break", "continue", "define \"", "template \"", "block \""};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (str_starts(s, str_from(words[i])))
            return true;
    return false;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* One action from behind its {{ on; *at moves behind it. */
static bool action_looks_like(struct str s, size_t *at)
{
    char quote = 0, before = ' ';
    size_t i = *at;
    i += i < s.n && s.p[i] == '-';
    while (i < s.n && is_blank(s.p[i]))
        i++;
    bool found = starts_keyword(str_slice(s, i, s.n));
    for (; i < s.n && (quote || !str_starts(str_slice(s, i, s.n), STR("}}"))); i++) {
        char c = s.p[i];
        if (quote) {
            if (c == '\\' && quote != '`')
                i++;
            else if (c == quote)
                quote = 0;
            continue;
        }
        if (c == '"' || c == '\'' || c == '`')
            quote = c;
        else if (c == '$')
            found = true;
        else if (c == '.' && (is_blank(before) || before == '(') && i + 1 < s.n)
            found |= (s.p[i + 1] | 32) >= 'a' && (s.p[i + 1] | 32) <= 'z';
        before = c;
    }
    *at = i;
    return found;
}

bool gotmpl_looks_like(struct str source)
{
    for (size_t at = 0; at + 2 <= source.n; at++) {
        if (source.p[at] != '{' || source.p[at + 1] != '{')
            continue;
        at += 2;
        if (action_looks_like(source, &at))
            return true;
    }
    return false;
}

struct chat {
    struct arena a;
    const struct gotmpl *t;
    const struct gotmpl_chat_vars *vars;
    struct gmessage *v; /* merged */
    size_t n;
    struct str system; /* of all system messages */
    struct buf *out;
    int64_t now;
    struct err *err;
};

static enum status no_memory(struct chat *c)
{
    return err_set(c->err, ELIMIT, "conversation: more than %d bytes of values", MAX_VALUES);
}

/* a, an empty line, b. */
static bool join(struct arena *a, struct str *to, struct str more)
{
    size_t n = to->n + 2 + more.n;
    char *p = arena_alloc(a, n);
    if (!p)
        return false;
    if (to->n)
        memcpy(p, to->p, to->n);
    memcpy(p + to->n, "\n\n", 2);
    if (more.n)
        memcpy(p + to->n + 2, more.p, more.n);
    *to = (struct str){p, n};
    return true;
}

static struct str text_at(const struct jval *map, const char *name)
{
    const struct jval *v = jval_map_get(map, str_from(name));
    return v && v->kind == JV_STRING ? jval_text(v) : STR("");
}

/* Text as it is; of a list of parts those that are text, one behind the other. */
static bool content_of(struct arena *a, const struct jval *message, struct str *out)
{
    const struct jval *v = jval_map_get(message, STR("content"));
    size_t n = 0;
    *out = text_at(message, "content");
    if (!v || v->kind != JV_LIST)
        return true;
    for (size_t i = 0; i < v->list.n; i++)
        n += text_at(v->list.v[i], "text").n;
    char *p = arena_alloc(a, n + 1), *at = p;
    for (size_t i = 0; p && i < v->list.n; i++) {
        struct str s = text_at(v->list.v[i], "text");
        if (s.n)
            memcpy(at, s.p, s.n);
        at += s.n;
    }
    *out = (struct str){p, n};
    return p != NULL;
}

static struct str first_of(struct str a, struct str b)
{
    return a.n ? a : b;
}

static bool lower(struct arena *a, struct str *s)
{
    char *p = arena_dup(a, s->p, s->n);
    for (size_t i = 0; p && i < s->n; i++)
        if (p[i] >= 'A' && p[i] <= 'Z')
            p[i] |= 32;
    s->p = p;
    return p != NULL;
}

static bool read_message(struct chat *c, const struct jval *v, struct gmessage *m)
{
    const struct jval *calls = jval_map_get(v, STR("tool_calls"));
    *m = (struct gmessage){
        .role = text_at(v, "role"),
        .thinking = first_of(text_at(v, "thinking"), text_at(v, "reasoning_content")),
        .tool_name = first_of(text_at(v, "tool_name"), text_at(v, "name")),
        .call_id = text_at(v, "tool_call_id"),
        .calls = {calls && calls->kind == JV_LIST ? calls : NULL},
    };
    return lower(&c->a, &m->role) && content_of(&c->a, v, &m->content);
}

/* Appends m to a message of the same role. Ollama drops what calls it brings; here they are kept
 * where there is room for them. */
static bool merge(struct chat *c, struct gmessage *into, const struct gmessage *m)
{
    if (!into->thinking.n)
        into->thinking = m->thinking;
    if (m->calls[0])
        into->calls[into->calls[0] ? 1 : 0] = m->calls[0];
    return join(&c->a, &into->content, m->content);
}

/* All system texts, and the messages with neighbours of one role made one (tool results stay
 * apart). */
static enum status collate(struct chat *c)
{
    const struct jval *list = c->vars->messages;
    bool any_system = false;
    c->v = arena_array(&c->a, list->list.n ? list->list.n : 1, sizeof *c->v);
    if (!c->v)
        return no_memory(c);
    for (size_t i = 0; i < list->list.n; i++) {
        struct gmessage m, *last = c->n ? &c->v[c->n - 1] : NULL;
        if (!read_message(c, list->list.v[i], &m))
            return no_memory(c);
        if (str_is(m.role, "system")) {
            if (any_system ? !join(&c->a, &c->system, m.content) : false)
                return no_memory(c);
            if (!any_system)
                c->system = m.content;
            any_system = true;
        }
        bool same = last && str_eq(last->role, m.role) && !str_is(m.role, "tool") &&
                    !(last->calls[1] && m.calls[0]);
        if (!same)
            c->v[c->n++] = m;
        else if (!merge(c, last, &m))
            return no_memory(c);
    }
    return OK;
}

static struct jval *add_text(struct arena *a, struct jval *map, const char *name, struct str s)
{
    return jval_map_set(a, map, str_from(name), jval_str(a, s));
}

/* The variables that every execution has. */
static struct jval *common(struct chat *c)
{
    struct arena *a = &c->a;
    struct jval *v = add_text(a, jval_map(a), "Response", STR(""));
    v = jval_map_set(a, v, STR("Think"), jval_bool(a, c->vars->think));
    v = add_text(a, v, "ThinkLevel", c->vars->level);
    return jval_map_set(a, v, STR("IsThinkSet"), jval_bool(a, c->vars->think_set));
}

static enum status execute(struct chat *c, const struct jval *vars, bool last)
{
    struct gotmpl_options opt = {.now = c->now};
    if (!vars)
        return no_memory(c);
    if (last)
        opt.cut_at = STR("Response");
    return gotmpl_render(c->t, vars, &opt, c->out, c->err);
}

static enum status all_at_once(struct chat *c)
{
    struct arena *a = &c->a;
    struct jval *list = jval_list(a), *vars = common(c);
    for (size_t i = 0; i < c->n; i++)
        list = jval_list_add(a, list, gchat_message(a, &c->v[i]));
    vars = add_text(a, vars, "System", c->system);
    vars = jval_map_set(a, vars, STR("Messages"), list);
    vars = jval_map_set(a, vars, STR("Tools"), gchat_tools(a, c->vars->tools));
    return execute(c, vars, false);
}

struct turn {
    struct str system, prompt, response;
};

static enum status execute_turn(struct chat *c, struct turn *t, bool last)
{
    struct arena *a = &c->a;
    struct jval *vars = common(c);
    vars = add_text(a, vars, "System", t->system);
    vars = add_text(a, vars, "Prompt", t->prompt);
    vars = add_text(a, vars, "Response", t->response);
    *t = (struct turn){STR(""), STR(""), STR("")};
    return execute(c, vars, last);
}

/* One execution whenever a text would follow that the template has written already. */
static enum status turn_by_turn(struct chat *c)
{
    struct turn t = {STR(""), STR(""), STR("")};
    enum status s = OK;
    for (size_t i = 0; i < c->n && s == OK; i++) {
        const struct gmessage *m = &c->v[i];
        bool system = str_is(m->role, "system"), user = str_is(m->role, "user");
        if ((system && (t.prompt.n || t.response.n)) || (user && t.response.n))
            s = execute_turn(c, &t, false);
        if (system)
            t.system = m->content;
        else if (user)
            t.prompt = m->content;
        else if (str_is(m->role, "assistant"))
            t.response = m->content;
    }
    return s == OK ? execute_turn(c, &t, true) : s;
}

static enum status around_gap(struct chat *c)
{
    struct jval *vars = common(c);
    vars = add_text(&c->a, vars, "Prompt", c->vars->prompt);
    vars = add_text(&c->a, vars, "Suffix", c->vars->suffix);
    return execute(c, vars, false);
}

static enum status render(struct chat *c)
{
    if (c->vars->prompt.p)
        return around_gap(c);
    enum status s = collate(c);
    if (s != OK)
        return s;
    return gotmpl_mentions(c->t, STR("Messages")) ? all_at_once(c) : turn_by_turn(c);
}

enum status gotmpl_chat_render(const struct gotmpl *t, const struct gotmpl_chat_vars *vars,
                               struct buf *out, struct err *err)
{
    struct chat c = {.t = t, .vars = vars, .out = out, .err = err, .system = STR("")};
    if (!vars->prompt.p && (!vars->messages || vars->messages->kind != JV_LIST))
        return err_set(err, EUSAGE, "messages: expected a list");
    if (vars->tools && vars->tools->kind != JV_LIST)
        return err_set(err, EUSAGE, "tools: expected a list");
    c.now = vars->now ? vars->now : (int64_t)time(NULL);
    arena_init(&c.a, MAX_VALUES);
    enum status s = render(&c);
    arena_release(&c.a);
    return s;
}
