/* POST /api/generate and /api/chat.
 *
 * Where we differ from Ollama, on purpose: nothing is cut silently. A prompt that does not fit is
 * 400 with both counts, unless the request says "truncate": true; then the oldest messages go and
 * the last line tells how many ("truncated_messages"). An answer that fills the context ends with
 * done_reason "length", unless the request says "shift": true. `format` is 501 until answers can be
 * constrained. */
#include "server/ollama.h"
#include "base/clock.h"
#include "base/jsonw.h"
#include "server/app.h"
#include "server/ask.h"
#include "server/dialect.h"
#include <math.h>
#include <stdlib.h>

enum { LINE_MAX_BYTES = 64 << 20 };

/* ---- fields that both have ---- */

/* A Go duration: "1h30m", "-1", "300ms", "1.5h". */
static bool go_duration(const char *z, double *ns)
{
    static const struct {
        const char *unit;
        double ns;
    } units[] = {{"ns", 1},  {"us", 1e3}, {"\xc2\xb5s", 1e3}, {"ms", 1e6},
                 {"s", 1e9}, {"m", 6e10}, {"h", 3.6e12}};
    double sign = *z == '-' ? -1 : 1, total = 0;
    char *end;
    z += *z == '-' || *z == '+';
    if (strcmp(z, "0") == 0) {
        *ns = 0;
        return true;
    }
    if (!*z)
        return false;
    while (*z) {
        if (!((*z >= '0' && *z <= '9') || *z == '.'))
            return false;
        double v = strtod(z, &end), unit = 0;
        size_t n = 0;
        for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
            size_t len = strlen(units[i].unit);
            if (strncmp(end, units[i].unit, len) == 0 && len > n) {
                n = len;
                unit = units[i].ns;
            }
        }
        if (end == z || n == 0)
            return false;
        total += v * unit;
        z = end + n;
    }
    *ns = sign * total;
    return true;
}

enum status ollama_keep_alive(const json_t *v, int64_t *ns, struct err *err)
{
    double d;
    char *end;
    *ns = KEEP_DEFAULT;
    if (!v || json_is_null(v))
        return OK;
    if (json_is_number(v)) {
        d = json_number_value(v) * 1e9;
    } else if (json_is_string(v)) {
        const char *z = json_string_value(v);
        d = strtod(z, &end) * 1e9; /* "-1" and "300": seconds, as numbers are */
        if ((end == z || *end) && !go_duration(z, &d))
            return err_set(err, EUSAGE,
                           "keep_alive: '%.40s', expected seconds or a duration such as \"10m\"",
                           z);
    } else {
        return err_set(err, EUSAGE, "keep_alive: expected seconds or a duration such as \"10m\"");
    }
    *ns = d < 0 ? KEEP_FOREVER : d > 9e18 ? KEEP_FOREVER : (int64_t)d;
    return OK;
}

static enum status check_format(const json_t *v, struct err *err)
{
    if (!v || json_is_null(v) || (json_is_string(v) && json_string_length(v) == 0))
        return OK;
    if (json_is_object(v) || (json_is_string(v) && str_is(json_str(v), "json")))
        return err_set(err, EUNSUPPORTED, "format: answers cannot be constrained yet");
    return err_set(err, EUSAGE, "format: expected \"json\" or a JSON schema object");
}

static enum status read_think(struct ask *a, const json_t *v, struct err *err)
{
    if (!v || json_is_null(v))
        return OK;
    if (json_is_false(v)) {
        a->r.thinking = THINK_OFF;
        return OK;
    }
    if (json_is_string(v)) {
        struct str s = json_str(v);
        if (!str_is(s, "low") && !str_is(s, "medium") && !str_is(s, "high") && !str_is(s, "max"))
            return err_set(err, EUSAGE,
                           "think: '%.20s', expected true, false, low, medium, high or max", s.p);
        a->r.effort = s;
    } else if (!json_is_true(v)) {
        return err_set(err, EUSAGE, "think: expected true, false, low, medium, high or max");
    }
    a->r.thinking = THINK_ON;
    if (!ask_able(a, CAN_THINK))
        return err_set(err, EUSAGE, "\"%.*s\" does not support thinking", STR_ARG(a->model));
    return OK;
}

static enum status refuse_images(const json_t *images, const struct ask *a, struct err *err)
{
    if (json_array_size(images) == 0)
        return OK;
    return err_set(err, EUSAGE, "\"%.*s\" does not support images: only text models run here",
                   STR_ARG(a->model));
}

/* A field of num_ctx's kind, which is needed before the model is there. */
static enum status read_num_ctx(const json_t *body, int64_t *n_ctx, struct err *err)
{
    return json_get_int(json_object_get(body, "options"), "num_ctx", n_ctx, 0, err);
}

/* Model, options, keep_alive, think, format, logprobs, shift: the same in both. */
static enum status open_common(struct ask *a, struct http_request *q, bool *stream, struct err *err)
{
    struct str model;
    int64_t n_ctx, keep;
    enum status s = ask_init(a, q, err);
    if (s == OK)
        s = json_get_str(a->body, "model", &model, err);
    if (s == OK)
        s = json_get_bool(a->body, "stream", stream, true, err);
    if (s == OK)
        s = check_format(json_object_get(a->body, "format"), err);
    if (s == OK)
        s = ollama_keep_alive(json_object_get(a->body, "keep_alive"), &keep, err);
    if (s == OK)
        s = read_num_ctx(a->body, &n_ctx, err);
    if (s == OK)
        s = ask_open(a, app_of(q)->hub, model, n_ctx, keep, NULL, err);
    if (s == OK)
        s = ask_options(a, json_object_get(a->body, "options"), err);
    if (s == OK)
        s = json_get_bool(a->body, "shift", &a->r.params.context_shift, false, err);
    if (s == OK)
        s = ask_logprobs(a, err);
    return s == OK ? read_think(a, json_object_get(a->body, "think"), err) : s;
}

/* ---- the answer ---- */

struct stream {
    struct ask *a;
    struct reply *reply;
    bool chat, stream, ids;
    int64_t dropped; /* messages that truncation took */
    struct buf line, logprobs;
    struct gathered an;
};

static void write_head(struct jsonw *w, const struct ask *a)
{
    char now[40];
    time_rfc3339(now, unix_now_ns());
    jsonw_obj(w);
    jsonw_kstr(w, "model", a->model);
    jsonw_kstr(w, "created_at", str_from(now));
}

static void write_calls(struct jsonw *w, const struct chat_call *calls, size_t n, size_t first)
{
    if (n == 0)
        return;
    jsonw_key(w, "tool_calls");
    jsonw_arr(w);
    for (size_t i = 0; i < n; i++) {
        jsonw_obj(w);
        jsonw_kstr(w, "id", calls[i].id);
        jsonw_key(w, "function");
        jsonw_obj(w);
        jsonw_kint(w, "index", (int64_t)(first + i));
        jsonw_kstr(w, "name", calls[i].name);
        jsonw_key(w, "arguments");
        jsonw_raw(w, calls[i].arguments);
        jsonw_end(w);
        jsonw_end(w);
    }
    jsonw_end(w);
}

static void write_content(struct jsonw *w, const struct stream *st, struct str text,
                          struct str thinking, const struct chat_call *calls, size_t n_calls,
                          size_t first)
{
    if (st->chat) {
        jsonw_key(w, "message");
        jsonw_obj(w);
        jsonw_kstr(w, "role", STR("assistant"));
        jsonw_kstr(w, "content", text);
    } else {
        jsonw_kstr(w, "response", text);
    }
    if (thinking.n)
        jsonw_kstr(w, "thinking", thinking);
    write_calls(w, calls, n_calls, first);
    if (st->chat)
        jsonw_end(w);
}

static int send_line(struct stream *st)
{
    if (st->line.failed)
        return 1;
    return reply_line(st->reply, buf_str(&st->line));
}

static const char *reason_of(const struct chat_usage *u)
{
    if (u->end == GEN_CANCELLED)
        return "cancelled";
    return u->end == GEN_LENGTH || u->end == GEN_CONTEXT ? "length" : "stop";
}

int64_t ollama_ns(double s)
{
    int64_t ns = (int64_t)(s * 1e9);
    return ns > 0 ? ns : 1;
}

static void write_usage(struct jsonw *w, const struct stream *st, const struct chat_event *ev)
{
    const struct chat_usage *u = ev->usage;
    jsonw_kstr(w, "done_reason", str_from(reason_of(u)));
    if (st->ids && ev->ids) {
        jsonw_key(w, "context");
        jsonw_arr(w);
        for (size_t i = 0; i < ev->n_ids; i++)
            jsonw_int(w, ev->ids[i]);
        jsonw_end(w);
    }
    jsonw_kint(w, "total_duration", ollama_ns(clock_since(st->a->arrived_ns)));
    jsonw_kint(w, "load_duration", ollama_ns(st->a->lease.load_s));
    jsonw_kint(w, "prompt_eval_count", u->prompt_tokens);
    jsonw_kint(w, "prompt_eval_cached_count", u->cached_tokens);
    jsonw_kint(w, "prompt_eval_duration", ollama_ns(u->prompt_s));
    jsonw_kint(w, "eval_count", u->answer_tokens);
    jsonw_kint(w, "eval_duration", ollama_ns(u->answer_s));
    if (st->dropped)
        jsonw_kint(w, "truncated_messages", st->dropped);
}

/* The last line of a stream, or the only object. */
static void write_done(struct stream *st, const struct chat_event *ev)
{
    struct jsonw w;
    const struct gathered *an = &st->an;
    bool all = !st->stream;
    buf_clear(&st->line);
    jsonw_init(&w, &st->line, 0);
    write_head(&w, st->a);
    write_content(&w, st, all ? buf_str(&an->text) : STR(""),
                  all ? buf_str(&an->thinking) : STR(""), an->calls, all ? an->n_calls : 0, 0);
    jsonw_kbool(&w, "done", true);
    write_usage(&w, st, ev);
    if (all && st->logprobs.n) {
        jsonw_key(&w, "logprobs");
        buf_addc(&st->logprobs, ']');
        jsonw_raw(&w, buf_str(&st->logprobs));
    }
    jsonw_end(&w);
}

static void gather_logprob(struct stream *st, const struct chat_logprob *l)
{
    struct jsonw w;
    buf_adds(&st->logprobs, st->logprobs.n ? "," : "[");
    jsonw_init(&w, &st->logprobs, 0);
    logprob_write(&w, l, false);
}

static int stream_event(struct stream *st, const struct chat_event *ev)
{
    struct jsonw w;
    bool text = ev->kind == CHAT_TEXT, thinking = ev->kind == CHAT_THINKING;
    if (ev->text.n == 0 && !ev->call && !ev->logprob)
        return 0;
    buf_clear(&st->line);
    jsonw_init(&w, &st->line, 0);
    write_head(&w, st->a);
    write_content(&w, st, text ? ev->text : STR(""), thinking ? ev->text : STR(""), ev->call,
                  ev->call != NULL, st->an.n_calls ? st->an.n_calls - 1 : 0);
    jsonw_kbool(&w, "done", false);
    if (ev->logprob) {
        jsonw_key(&w, "logprobs");
        jsonw_arr(&w);
        logprob_write(&w, ev->logprob, false);
        jsonw_end(&w);
    }
    jsonw_end(&w);
    return send_line(st);
}

static int on_event(void *ctx, const struct chat_event *ev)
{
    struct stream *st = ctx;
    struct buf body;
    bool whole = !st->stream || ev->kind == CHAT_CALL || ev->kind == CHAT_DONE;
    if (whole && !gathered_take(&st->an, st->a, ev))
        return 1;
    if (!st->stream && ev->logprob)
        gather_logprob(st, ev->logprob);
    switch (ev->kind) {
    case CHAT_READING: return 0;
    case CHAT_TEXT:
    case CHAT_THINKING:
    case CHAT_CALL: return st->stream ? stream_event(st, ev) : 0;
    case CHAT_DONE:
        if (ev->usage->end == GEN_CANCELLED && !http_cancelled(st->a->q))
            return 1;
        write_done(st, ev);
        if (st->stream)
            return send_line(st);
        reply_json(st->reply, 200, &st->line);
        return 0;
    case CHAT_ERROR:
        if (reply_started(st->reply)) {
            buf_init(&body, 4096);
            dialects[DIALECT_OLLAMA].error(&body, status_http(ev->error->code), ev->error,
                                           st->a->q);
            reply_line(st->reply, buf_str(&body));
            buf_release(&body);
        }
        return 1;
    }
    return 0;
}

/* Drops the oldest message that is not the system's; false when only one is left. */
static bool drop_oldest(struct ask *a)
{
    size_t first = 0, n = a->r.n_messages;
    while (first < n && str_is(a->messages[first].role, "system"))
        first++;
    if (n - first < 2)
        return false;
    memmove(a->messages + first, a->messages + first + 1, (n - first - 1) * sizeof *a->messages);
    a->r.n_messages--;
    return true;
}

static enum status answer(struct stream *st, bool truncate, struct err *err)
{
    struct ask *a = st->a;
    struct chat_sink sink = {on_event, st};
    if (!a->lease.provider)
        return err_set(err, EUSAGE, "\"%.*s\" does not support %s", STR_ARG(a->model),
                       st->chat ? "chat" : "generate");
    buf_init(&st->line, LINE_MAX_BYTES);
    buf_init(&st->logprobs, LINE_MAX_BYTES);
    gathered_init(&st->an);
    enum status s;
    while ((s = provider_chat(a->lease.provider, &a->r, &sink, err)) == ECONTEXT && truncate &&
           !reply_started(st->reply) && drop_oldest(a))
        st->dropped++;
    gathered_release(&st->an);
    buf_release(&st->line);
    buf_release(&st->logprobs);
    return reply_started(st->reply) ? OK : s;
}

/* The prompt as text. Texts that are no conversation are taken as they are. */
static enum status render(struct ask *a, bool truncate, struct buf *text, struct err *err)
{
    struct tokens ids = {0};
    enum status s = OK;
    if (a->r.n_before)
        s = tokenizer_decode(model_tokenizer(a->lease.model), a->r.before, a->r.n_before, false,
                             text, err);
    if (s == OK && a->r.n_messages == 0 && !a->r.suffix.p) {
        buf_addstr(text, a->r.prompt);
        return buf_check(text, "prompt", err);
    }
    size_t at = text->n;
    do {
        text->n = at;
        ids.n = 0;
        if (s == OK)
            s = provider_prompt(a->lease.provider, &a->r, text, &ids, err);
    } while (s == OK && truncate && (int64_t)ids.n > a->lease.n_ctx && drop_oldest(a));
    tokens_free(&ids);
    return s == OK ? buf_check(text, "prompt", err) : s;
}

/* "_debug_render_only": the prompt and no answer, in the form of an answer that has not begun. */
static enum status answer_rendered(struct stream *st, bool truncate, struct err *err)
{
    struct buf text;
    struct jsonw w;
    if (!st->a->lease.provider)
        return err_set(err, EUSAGE, "\"%.*s\" does not support %s", STR_ARG(st->a->model),
                       st->chat ? "chat" : "generate");
    buf_init(&text, LINE_MAX_BYTES);
    buf_init(&st->line, LINE_MAX_BYTES);
    enum status s = render(st->a, truncate, &text, err);
    if (s == OK) {
        jsonw_init(&w, &st->line, 0);
        write_head(&w, st->a);
        write_content(&w, st, STR(""), STR(""), NULL, 0, 0);
        jsonw_kbool(&w, "done", false);
        jsonw_key(&w, "_debug_info");
        jsonw_obj(&w);
        jsonw_kstr(&w, "rendered_template", buf_str(&text));
        jsonw_kint(&w, "image_count", 0); /* images are refused */
        jsonw_end(&w);
        jsonw_end(&w);
        s = buf_check(&st->line, "answer", err);
    }
    if (s == OK)
        reply_json(st->reply, 200, &st->line);
    buf_release(&text);
    buf_release(&st->line);
    return s;
}

/* An empty request loads the model, or with keep_alive 0 unloads it. */
static enum status load_only(struct ask *a, struct reply *reply, bool chat, struct err *err)
{
    struct buf out;
    struct jsonw w;
    bool unload = a->lease.keep_alive_ns == 0;
    buf_init(&out, 1 << 20);
    jsonw_init(&w, &out, 0);
    write_head(&w, a);
    if (chat) {
        jsonw_key(&w, "message");
        jsonw_obj(&w);
        jsonw_kstr(&w, "role", STR("assistant"));
        jsonw_kstr(&w, "content", STR(""));
        jsonw_end(&w);
    } else {
        jsonw_kstr(&w, "response", STR(""));
    }
    jsonw_kbool(&w, "done", true);
    jsonw_kstr(&w, "done_reason", unload ? STR("unload") : STR("load"));
    jsonw_end(&w);
    enum status s = buf_check(&out, "answer", err);
    if (s == OK)
        reply_json(reply, 200, &out);
    buf_release(&out);
    return s;
}

/* ---- generate ---- */

static enum status read_context(struct ask *a, const json_t *v, struct err *err)
{
    size_t n = json_array_size(v);
    if (n == 0)
        return OK;
    int32_t *ids = arena_array(&a->arena, n, sizeof *ids);
    if (!ids)
        return err_set(err, ENOMEMORY, "context: no memory for %zu tokens", n);
    for (size_t i = 0; i < n; i++) {
        const json_t *id = json_array_get(v, i);
        json_int_t x = json_integer_value(id);
        if (!json_is_integer(id) || x < 0 || x > INT32_MAX)
            return err_set(err, EUSAGE, "context[%zu]: expected a token id", i);
        ids[i] = (int32_t)x;
    }
    a->r.before = ids;
    a->r.n_before = n;
    return OK;
}

static enum status generate_messages(struct ask *a, struct str prompt, struct str system,
                                     struct err *err)
{
    enum status s = ask_preamble(a, system.p && system.n, err);
    struct chat_message *m;
    if (s != OK)
        return s;
    if (system.p && system.n) {
        if (!(m = ask_message(a)))
            return err_set(err, ENOMEMORY, "messages: no memory");
        *m = (struct chat_message){.role = STR("system"), .content = system};
    }
    if (!(m = ask_message(a)))
        return err_set(err, ENOMEMORY, "messages: no memory");
    *m = (struct chat_message){.role = STR("user"), .content = prompt};
    return OK;
}

static enum status generate_request(struct ask *a, struct str prompt, bool raw, struct err *err)
{
    struct str suffix, system, template;
    const json_t *context = json_object_get(a->body, "context");
    enum status s = json_get_str(a->body, "suffix", &suffix, err);
    if (s == OK)
        s = json_get_str(a->body, "system", &system, err);
    if (s == OK)
        s = json_get_str(a->body, "template", &template, err);
    if (s == OK)
        s = refuse_images(json_object_get(a->body, "images"), a, err);
    if (s == OK)
        s = read_context(a, context, err);
    if (s != OK)
        return s;
    if (raw && ((system.p && system.n) || (template.p && template.n) || a->r.n_before))
        return err_set(err, EUSAGE, "raw mode does not support template, system, or context");
    if (suffix.p && suffix.n) {
        if (!ask_able(a, CAN_INSERT))
            return err_set(err, EUSAGE, "\"%.*s\" does not support insert", STR_ARG(a->model));
        a->r.prompt = prompt;
        a->r.suffix = suffix;
        return OK;
    }
    if (template.p && template.n)
        a->r.chat_template = template;
    bool plain = !a->lease.entry->template_text.p && !a->r.chat_template.p &&
                 model_chat_template(a->lease.model, NULL).n == 0;
    if (raw || plain) {
        a->r.prompt = prompt;
        return OK;
    }
    return generate_messages(a, prompt, system, err);
}

enum status ollama_generate(struct http_request *q, struct reply *reply, struct err *err)
{
    struct ask a;
    struct str prompt = {0};
    bool stream, raw = false, only_render = false;
    enum status s = open_common(&a, q, &stream, err);
    if (s == OK)
        s = json_get_bool(a.body, "_debug_render_only", &only_render, false, err);
    if (s == OK)
        s = json_get_str(a.body, "prompt", &prompt, err);
    if (s == OK)
        s = json_get_bool(a.body, "raw", &raw, false, err);
    if (s == OK && prompt.n == 0 && json_array_size(json_object_get(a.body, "images")) == 0) {
        s = load_only(&a, reply, false, err);
    } else if (s == OK) {
        struct stream st = {.a = &a, .reply = reply, .stream = stream, .ids = !raw};
        s = generate_request(&a, prompt, raw, err);
        if (s == OK)
            s = only_render ? answer_rendered(&st, false, err) : answer(&st, false, err);
    }
    ask_close(&a);
    return s;
}

/* ---- chat ---- */

/* Arguments are an object; an id that is no text is passed over. */
static enum status read_call(struct ask *a, const json_t *one, size_t i, struct chat_call *call,
                             struct err *err)
{
    const json_t *f = json_object_get(one, "function"), *args = json_object_get(f, "arguments");
    const json_t *name = json_object_get(f, "name"), *id = json_object_get(one, "id");
    if (!json_is_string(name))
        return err_set(err, EUSAGE, "tool_calls[%zu]: no function.name", i);
    if (args && !json_is_object(args) && !json_is_string(args))
        return err_set(err, EUSAGE, "tool_calls[%zu]: arguments, expected an object", i);
    call->name = json_str(name);
    call->id = json_is_string(id) ? json_str(id) : STR("");
    call->arguments = !args ? STR("{}") : json_is_string(args) ? json_str(args) : ask_json(a, args);
    return call->arguments.p ? OK : err_set(err, ENOMEMORY, "tool_calls: no memory");
}

static struct str lower(struct ask *a, struct str s)
{
    char *p = arena_dup(&a->arena, s.p, s.n);
    for (size_t i = 0; p && i < s.n; i++)
        p[i] = (char)(p[i] >= 'A' && p[i] <= 'Z' ? p[i] + 32 : p[i]);
    return (struct str){p, p ? s.n : 0};
}

static enum status read_message(struct ask *a, const json_t *one, size_t i, struct err *err)
{
    struct str role, text;
    struct chat_message *m;
    enum status s = json_get_str(one, "role", &role, err);
    if (s == OK && (!role.p || role.n == 0))
        s = err_set(err, EUSAGE, "messages[%zu]: no role", i);
    if (s == OK)
        s = refuse_images(json_object_get(one, "images"), a, err);
    if (s == OK)
        s = ask_text(a, json_object_get(one, "content"), "content", &text, err);
    if (s == OK && !(m = ask_message(a)))
        s = err_set(err, ENOMEMORY, "messages: no memory");
    if (s != OK)
        return s;
    m->role = lower(a, role);
    m->content = text;
    s = json_get_str(one, "thinking", &m->thinking, err);
    if (s == OK)
        s = json_get_str(one, "tool_name", &m->tool_name, err);
    if (s == OK)
        s = json_get_str(one, "tool_call_id", &m->call_id, err);
    return s == OK ? ask_calls(a, json_object_get(one, "tool_calls"), read_call, m, err) : s;
}

static enum status chat_request(struct ask *a, const json_t *messages, struct err *err)
{
    size_t i;
    json_t *one;
    bool has_system = false;
    json_array_foreach(messages, i, one)
    {
        const json_t *role = json_object_get(one, "role");
        has_system |= json_is_string(role) && strcasecmp(json_string_value(role), "system") == 0;
    }
    enum status s = ask_preamble(a, has_system, err);
    json_array_foreach(messages, i, one)
    {
        if (s == OK)
            s = read_message(a, one, i, err);
    }
    if (s == OK)
        s = ask_tools(a, json_object_get(a->body, "tools"), err);
    if (s == OK && a->r.tools.p && !ask_able(a, CAN_TOOLS))
        s = err_set(err, EUSAGE, "\"%.*s\" does not support tools", STR_ARG(a->model));
    if (s == OK && a->r.n_messages && str_is(a->messages[a->r.n_messages - 1].role, "assistant"))
        a->r.continue_last = a->messages[a->r.n_messages - 1].n_calls == 0;
    return s;
}

enum status ollama_chat(struct http_request *q, struct reply *reply, struct err *err)
{
    struct ask a;
    bool stream, truncate = false, only_render = false;
    enum status s = open_common(&a, q, &stream, err);
    if (s == OK)
        s = json_get_bool(a.body, "_debug_render_only", &only_render, false, err);
    const json_t *messages = s == OK ? json_object_get(a.body, "messages") : NULL;
    if (s == OK && messages && !json_is_null(messages) && !json_is_array(messages))
        s = err_set(err, EUSAGE, "messages: expected a list");
    if (s == OK)
        s = json_get_bool(a.body, "truncate", &truncate, false, err);
    if (s == OK && json_array_size(messages) == 0) {
        s = load_only(&a, reply, true, err);
    } else if (s == OK) {
        struct stream st = {.a = &a, .reply = reply, .chat = true, .stream = stream};
        s = chat_request(&a, messages, err);
        if (s == OK)
            s = only_render ? answer_rendered(&st, truncate, err) : answer(&st, truncate, err);
    }
    ask_close(&a);
    return s;
}
