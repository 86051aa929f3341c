#include "server/ask.h"
#include "base/clock.h"
#include "base/mem.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

enum { ARENA_MAX = 256 << 20, MAX_MESSAGES = 100000, MAX_STOPS = 256, MAX_TOOLS = 1024 };

/* ---- life ---- */

enum status ask_init(struct ask *a, const struct http_request *q, struct err *err)
{
    *a = (struct ask){.q = q, .arrived_ns = clock_ns()};
    arena_init(&a->arena, ARENA_MAX);
    return http_json(q, &a->body, err);
}

void ask_close(struct ask *a)
{
    hub_release(&a->lease);
    json_decref(a->body);
    arena_release(&a->arena);
}

static double first(double a, double b)
{
    return isnan(a) ? b : a;
}

static uint64_t random_seed(void)
{
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        seed = (uint64_t)unix_now_ns();
    return seed >> 11; /* exact in a double, so that it can be told and given back */
}

static enum status model_parameters(struct ask *a, struct err *err)
{
    json_t *params = NULL;
    struct str text = a->lease.entry->params_json;
    if (!text.p)
        return OK;
    enum status s = json_parse(&params, text, "the model's parameters", err);
    if (s == OK)
        s = ask_options(a, params, err);
    s = hub_fault(s, err);
    /* stop texts are views into the document */
    struct str *stop =
        s == OK ? arena_array(&a->arena, a->r.params.n_stop + 1, sizeof *stop) : NULL;
    for (size_t i = 0; stop && i < a->r.params.n_stop; i++)
        stop[i] = arena_str(&a->arena, a->r.params.stop[i]);
    if (s == OK && !stop)
        s = err_set(err, ENOMEMORY, "model parameters: no memory");
    a->r.params.stop = stop;
    json_decref(params);
    return s;
}

enum status ask_open(struct ask *a, struct hub *hub, struct str model, int64_t n_ctx,
                     int64_t keep_alive_ns, const struct sampler_params *base, struct err *err)
{
    static const char missing[] = "model: absent, expected a name";
    if (!model.p || model.n == 0)
        return err_set(err, EUSAGE, missing);
    a->model = model;
    http_note_model(a->q, model);
    enum status s = hub_acquire(hub, model, n_ctx, keep_alive_ns, a->q->gone, &a->lease, err);
    if (s != OK)
        return s;
    const struct model_defaults *d = model_defaults(a->lease.model);
    struct gen_params *p = &a->r.params;
    *p = (struct gen_params){
        .sampler = base ? *base : sampler_defaults, .max_tokens = -1, .draft = a->lease.draft_max};
    if (!base) {
        p->sampler.top_p = 0.9;
        p->sampler.min_p = 0;
    }
    p->sampler.temperature = first(d->temperature, p->sampler.temperature);
    p->sampler.top_p = first(d->top_p, p->sampler.top_p);
    p->sampler.min_p = first(d->min_p, p->sampler.min_p);
    p->sampler.repetition_penalty = first(d->repetition_penalty, p->sampler.repetition_penalty);
    p->sampler.top_k = d->top_k >= 0 ? d->top_k : p->sampler.top_k;
    p->sampler.seed = random_seed();
    a->r.cancel = a->q->gone;
    a->r.max_ctx = a->lease.n_ctx;
    a->r.priority = a->q->priority;
    return model_parameters(a, err);
}

/* ---- messages ---- */

struct chat_message *ask_message(struct ask *a)
{
    if (a->r.n_messages == a->cap) {
        size_t cap = a->cap ? a->cap * 2 : 8;
        struct chat_message *v = cap > MAX_MESSAGES ? NULL : arena_array(&a->arena, cap, sizeof *v);
        if (!v)
            return NULL;
        if (a->r.n_messages)
            memcpy(v, a->messages, a->r.n_messages * sizeof *v);
        a->messages = v;
        a->cap = cap;
        a->r.messages = v;
    }
    struct chat_message *m = &a->messages[a->r.n_messages++];
    *m = (struct chat_message){.content = STR("")};
    return m;
}

enum status ask_preamble(struct ask *a, bool has_system, struct err *err)
{
    const struct store_model *e = a->lease.entry;
    json_t *list = NULL, *one;
    size_t i;
    enum status s = OK;
    if (e->system.p && !has_system) {
        struct chat_message *m = ask_message(a);
        if (!m)
            return err_set(err, ENOMEMORY, "messages: no memory");
        m->role = STR("system");
        m->content = e->system;
    }
    if (e->messages_json.p)
        s = json_parse(&list, e->messages_json, "the model's messages", err);
    json_array_foreach(list, i, one)
    {
        struct str role, content;
        struct chat_message *m = NULL;
        if (s == OK)
            s = json_get_str(one, "role", &role, err);
        if (s == OK)
            s = json_get_str(one, "content", &content, err);
        if (s == OK && (!role.p || !content.p))
            s = err_set(err, EFORMAT, "the model's messages: %zu has no role or content", i);
        if (s == OK && !(m = ask_message(a)))
            s = err_set(err, ENOMEMORY, "messages: no memory");
        if (s != OK)
            break;
        m->role = arena_str(&a->arena, role);
        m->content = arena_str(&a->arena, content);
    }
    json_decref(list);
    return hub_fault(s, err);
}

void ask_name_answers(struct ask *a)
{
    for (size_t i = 0; i < a->r.n_messages; i++) {
        struct chat_message *m = &a->messages[i];
        if (!m->call_id.n || m->tool_name.n)
            continue;
        for (size_t k = 0; k < i; k++)
            for (size_t c = 0; c < a->messages[k].n_calls; c++)
                if (str_eq(a->messages[k].calls[c].id, m->call_id))
                    m->tool_name = a->messages[k].calls[c].name;
    }
}

enum status ask_calls(struct ask *a, const json_t *list, call_reader *read, struct chat_message *m,
                      struct err *err)
{
    size_t i, n = json_array_size(list);
    json_t *one;
    if (n == 0)
        return OK;
    struct chat_call *calls = arena_array(&a->arena, n, sizeof *calls);
    if (!calls)
        return err_set(err, ENOMEMORY, "tool_calls: no memory");
    json_array_foreach(list, i, one)
    {
        enum status s = read(a, one, i, &calls[i], err);
        if (s != OK)
            return s;
    }
    m->calls = calls;
    m->n_calls = n;
    return OK;
}

static const char *json_kind(const json_t *v)
{
    static const char *const names[] = {"an object", "a list",    "a string",  "an integer",
                                        "a number",  "a boolean", "a boolean", "null"};
    return v ? names[json_typeof(v)] : "nothing";
}

/* One part of a content list: its text, or an error that names what it is. */
static enum status part_text(const json_t *part, const char *field, struct str *out,
                             struct err *err)
{
    struct str type;
    if (json_is_string(part)) {
        *out = json_str(part);
        return OK;
    }
    if (!json_is_object(part))
        return err_set(err, EUSAGE, "%s: a part is %s, expected an object", field, json_kind(part));
    enum status s = json_get_str(part, "type", &type, err);
    if (s != OK)
        return s;
    if (type.p && !str_is(type, "text") && !str_is(type, "input_text") &&
        !str_is(type, "output_text") && !str_is(type, "refusal"))
        return err_set(err, EUNSUPPORTED, "%s: parts of type '%.*s' are not supported, only text",
                       field, STR_ARG(type));
    s = json_get_str(part, str_is(type, "refusal") ? "refusal" : "text", out, err);
    if (s == OK && !out->p)
        s = err_set(err, EUSAGE, "%s: a part has no text", field);
    return s;
}

enum status ask_text(struct ask *a, const json_t *content, const char *field, struct str *out,
                     struct err *err)
{
    struct buf joined;
    struct str piece;
    size_t i;
    json_t *part;
    *out = STR("");
    if (!content || json_is_null(content))
        return OK;
    if (json_is_string(content)) {
        *out = json_str(content);
        return OK;
    }
    if (!json_is_array(content))
        return err_set(err, EUSAGE, "%s: %s, expected a string or a list of parts", field,
                       json_kind(content));
    buf_init(&joined, ARENA_MAX);
    enum status s = OK;
    json_array_foreach(content, i, part)
    {
        if ((s = part_text(part, field, &piece, err)) != OK)
            break;
        buf_addstr(&joined, piece);
    }
    if (s == OK)
        s = buf_check(&joined, field, err);
    if (s == OK) {
        *out = arena_str(&a->arena, buf_str(&joined));
        if (!out->p)
            s = err_set(err, ENOMEMORY, "%s: no memory", field);
    }
    buf_release(&joined);
    return s;
}

/* ---- parameters ---- */

enum kind { INTEGER, NUMBER };
#define AT(field) offsetof(struct gen_params, field)
/* Ollama's names, then llama.cpp's for what Ollama does not have. */
static const struct {
    const char *name;
    enum kind kind;
    size_t at;
} parameters[] = {
    {"temperature", NUMBER, AT(sampler.temperature)},
    {"top_k", INTEGER, AT(sampler.top_k)},
    {"top_p", NUMBER, AT(sampler.top_p)},
    {"min_p", NUMBER, AT(sampler.min_p)},
    {"typical_p", NUMBER, AT(sampler.typical_p)},
    {"repeat_last_n", INTEGER, AT(sampler.penalty_last_n)},
    {"repeat_penalty", NUMBER, AT(sampler.repetition_penalty)},
    {"repetition_penalty", NUMBER, AT(sampler.repetition_penalty)},
    {"presence_penalty", NUMBER, AT(sampler.presence_penalty)},
    {"frequency_penalty", NUMBER, AT(sampler.frequency_penalty)},
    {"num_predict", INTEGER, AT(max_tokens)},
    {"min_tokens", INTEGER, AT(min_tokens)},
    {"dry_multiplier", NUMBER, AT(sampler.dry_multiplier)},
    {"dry_base", NUMBER, AT(sampler.dry_base)},
    {"dry_allowed_length", INTEGER, AT(sampler.dry_allowed_length)},
    {"dry_penalty_last_n", INTEGER, AT(sampler.dry_penalty_last_n)},
    {"xtc_probability", NUMBER, AT(sampler.xtc_probability)},
    {"xtc_threshold", NUMBER, AT(sampler.xtc_threshold)},
    {"mirostat_tau", NUMBER, AT(sampler.mirostat_tau)},
    {"mirostat_eta", NUMBER, AT(sampler.mirostat_eta)},
};

static enum status take_integer(const char *name, const json_t *v, int64_t *out, struct err *err)
{
    double d = json_number_value(v);
    if (!json_is_number(v) || d != floor(d) || fabs(d) > 9e18)
        return err_set(err, EUSAGE, "option \"%s\" must be of type integer, not %s", name,
                       json_kind(v));
    *out = json_is_integer(v) ? json_integer_value(v) : (int64_t)d;
    return OK;
}

enum status ask_option(struct ask *a, const char *name, const json_t *v, bool *known,
                       struct err *err)
{
    struct gen_params *p = &a->r.params;
    bool own;
    known = known ? known : &own;
    *known = true;
    if (json_is_null(v))
        return OK;
    if (strcmp(name, "stop") == 0)
        return ask_stop(a, v, "option \"stop\"", err);
    if (strcmp(name, "draft_num_predict") == 0) {
        int64_t n;
        enum status s = take_integer(name, v, &n, err);
        if (s == OK && n > DRAFT_MAX)
            s = err_set(err, EUSAGE, "option \"%s\": %lld, expected 0 (off) to %d", name,
                        (long long)n, DRAFT_MAX);
        if (s == OK && n >= 0) /* -1: as many as usual */
            p->draft = (int)n;
        return s;
    }
    if (strcmp(name, "seed") == 0) {
        int64_t seed;
        enum status s = take_integer(name, v, &seed, err);
        if (s == OK && seed >= 0)
            p->sampler.seed = (uint64_t)seed;
        return s;
    }
    for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++) {
        void *at = (char *)p + parameters[i].at;
        if (strcmp(name, parameters[i].name) != 0)
            continue;
        if (parameters[i].kind == INTEGER) {
            enum status s = take_integer(name, v, at, err);
            if (s == OK && at == (void *)&p->max_tokens && p->max_tokens < -1)
                p->max_tokens = -1; /* -2: until the context is full, as -1 */
            return s;
        }
        if (!json_is_number(v))
            return err_set(err, EUSAGE, "option \"%s\" must be of type number, not %s", name,
                           json_kind(v));
        *(double *)at = json_number_value(v);
        return OK;
    }
    *known = false;
    return OK;
}

enum status ask_options(struct ask *a, const json_t *options, struct err *err)
{
    const char *key;
    json_t *value;
    enum status s = OK;
    if (!options || json_is_null(options))
        return OK;
    if (!json_is_object(options))
        return err_set(err, EUSAGE, "options: %s, expected an object", json_kind(options));
    json_object_foreach((json_t *)options, key, value)
    {
        if (s == OK)
            s = ask_option(a, key, value, NULL, err);
    }
    return s == OK ? sampler_check(&a->r.params.sampler, err) : s;
}

enum status ask_stop(struct ask *a, const json_t *stop, const char *field, struct err *err)
{
    if (!stop || json_is_null(stop))
        return OK;
    bool list = json_is_array(stop);
    size_t n = list ? json_array_size(stop) : 1;
    if (n > MAX_STOPS)
        return err_set(err, ELIMIT, "%s: %zu texts, at most %d", field, n, MAX_STOPS);
    struct str *v = arena_array(&a->arena, n + 1, sizeof *v);
    if (!v)
        return err_set(err, ENOMEMORY, "%s: no memory", field);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        const json_t *one = list ? json_array_get(stop, i) : stop;
        if (!json_is_string(one))
            return err_set(err, EUSAGE, "%s: %s, expected a string or a list of strings", field,
                           json_kind(one));
        if (json_string_length(one)) /* an empty one would end every answer at once */
            v[kept++] = json_str(one);
    }
    a->r.params.stop = v;
    a->r.params.n_stop = kept;
    return OK;
}

enum status ask_logprobs(struct ask *a, struct err *err)
{
    int64_t top;
    enum status s = json_get_bool(a->body, "logprobs", &a->r.logprobs, false, err);
    if (s == OK)
        s = json_get_int(a->body, "top_logprobs", &top, 0, err);
    if (s == OK && (top < 0 || top > 20))
        s = err_set(err, EUSAGE, "top_logprobs: %lld, expected 0 to 20", (long long)top);
    if (s == OK)
        a->r.params.sampler.n_top = (int)top;
    return s;
}

/* ---- tools ---- */

struct str ask_json(struct ask *a, const json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    struct str copy = text ? arena_str(&a->arena, str_from(text)) : (struct str){0};
    free(text);
    return copy;
}

enum status ask_tools(struct ask *a, const json_t *tools, struct err *err)
{
    size_t i;
    json_t *tool;
    if (!tools || json_is_null(tools))
        return OK;
    if (!json_is_array(tools) || json_array_size(tools) > MAX_TOOLS)
        return err_set(err, EUSAGE, "tools: %s, expected a list of at most %d", json_kind(tools),
                       MAX_TOOLS);
    if (json_array_size(tools) == 0)
        return OK;
    json_array_foreach(tools, i, tool)
    {
        const json_t *f = json_object_get(tool, "function");
        if (!json_is_string(json_object_get(f, "name")))
            return err_set(err, EUSAGE,
                           "tools[%zu]: no function.name, expected {\"type\": \"function\", "
                           "\"function\": {\"name\", \"description\", \"parameters\"}}",
                           i);
    }
    a->r.tools = ask_json(a, tools);
    return a->r.tools.p ? OK : err_set(err, ENOMEMORY, "tools: no memory");
}

bool ask_able(const struct ask *a, enum capability what)
{
    const struct store_model *e = a->lease.entry;
    struct str own = model_chat_template(a->lease.model, NULL);
    unsigned can =
        template_capabilities(e->template_text.p ? e->template_text : own, template_is_go(e));
    if (tokenizer_special(model_tokenizer(a->lease.model), SPECIAL_FIM_PRE) >= 0)
        can |= CAN_INSERT;
    return (can & what) != 0;
}

/* ---- answers ---- */

void gathered_init(struct gathered *an)
{
    *an = (struct gathered){0};
    buf_init(&an->text, ARENA_MAX);
    buf_init(&an->thinking, ARENA_MAX);
}

void gathered_release(struct gathered *an)
{
    buf_release(&an->text);
    buf_release(&an->thinking);
}

static bool add_call(struct gathered *an, struct ask *a, const struct chat_call *call)
{
    struct chat_call *v = arena_array(&a->arena, an->n_calls + 1, sizeof *v);
    if (!v)
        return false;
    if (an->n_calls)
        memcpy(v, an->calls, an->n_calls * sizeof *v);
    struct chat_call copy = {arena_str(&a->arena, call->id), arena_str(&a->arena, call->name),
                             arena_str(&a->arena, call->arguments)};
    v[an->n_calls++] = copy;
    an->calls = v;
    return copy.id.p && copy.name.p && copy.arguments.p;
}

bool gathered_take(struct gathered *an, struct ask *a, const struct chat_event *ev)
{
    switch (ev->kind) {
    case CHAT_READING: return true;
    case CHAT_TEXT: buf_addstr(&an->text, ev->text); return !an->text.failed;
    case CHAT_THINKING: buf_addstr(&an->thinking, ev->text); return !an->thinking.failed;
    case CHAT_CALL: return add_call(an, a, ev->call);
    case CHAT_DONE:
        an->usage = *ev->usage;
        an->done = true;
        http_note_tokens(a->q, a->r.n_messages ? "chat" : "text_completion",
                         ev->usage->prompt_tokens, ev->usage->answer_tokens);
        return true;
    case CHAT_ERROR: an->error = *ev->error; return true;
    }
    return true;
}

static void write_token(struct jsonw *w, struct str text, double logprob)
{
    jsonw_kstr(w, "token", text);
    jsonw_knum(w, "logprob", logprob);
    jsonw_key(w, "bytes");
    jsonw_arr(w);
    for (size_t i = 0; i < text.n; i++)
        jsonw_int(w, (unsigned char)text.p[i]);
    jsonw_end(w);
}

void logprob_write(struct jsonw *w, const struct chat_logprob *l, bool always)
{
    jsonw_obj(w);
    write_token(w, l->text, (double)l->logprob);
    if (l->n_top || always) {
        jsonw_key(w, "top_logprobs");
        jsonw_arr(w);
        for (int i = 0; i < l->n_top; i++) {
            jsonw_obj(w);
            write_token(w, l->top[i].text, (double)l->top[i].logprob);
            jsonw_end(w);
        }
        jsonw_end(w);
    }
    jsonw_end(w);
}

/* ---- times and ids ---- */

int64_t unix_now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

void time_rfc3339(char *out, int64_t unix_ns)
{
    time_t s = (time_t)(unix_ns / 1000000000);
    struct tm tm;
    char text[24];
    gmtime_r(&s, &tm);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out, 40, "%s.%09lldZ", text, (long long)(unix_ns % 1000000000));
}

void random_hex(char *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        static const char digits[] = "0123456789abcdef";
        unsigned char b;
        if (getrandom(&b, 1, 0) != 1)
            b = (unsigned char)unix_now_ns();
        out[2 * i] = digits[b >> 4];
        out[2 * i + 1] = digits[b & 15];
    }
    out[2 * n] = 0;
}
