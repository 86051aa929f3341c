#include "server/openai.h"
#include "server/dialect.h"
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

void openai_stream_error(struct reply *r, const struct err *e, const struct http_request *q)
{
    struct buf out;
    buf_init(&out, 4096);
    dialects[DIALECT_OPENAI].error(&out, status_http(e->code), e, q);
    reply_sse(r, NULL, buf_str(&out));
    buf_release(&out);
}

/* ---- fields ---- */

/* Everything off but temperature 1: the model's own distribution. */
const struct sampler_params openai_defaults = {
    .temperature = 1,
    .top_p = 1,
    .typical_p = 1,
    .repetition_penalty = 1,
    .penalty_last_n = 64,
    .dry_base = 1.75,
    .dry_allowed_length = 2,
    .dry_penalty_last_n = -1,
    .xtc_threshold = 0.1,
    .mirostat_tau = 5,
    .mirostat_eta = 0.1,
};

static enum status logit_bias(struct ask *a, const json_t *v, struct err *err)
{
    const char *key;
    json_t *value;
    size_t n = 0;
    if (!v || json_is_null(v))
        return OK;
    if (!json_is_object(v))
        return err_set(err, EUSAGE, "logit_bias: expected an object from token ids to numbers");
    struct logit_bias *bias = arena_array(&a->arena, json_object_size(v) + 1, sizeof *bias);
    if (!bias)
        return err_set(err, ENOMEMORY, "logit_bias: no memory");
    struct model_info info;
    model_info(a->lease.model, &info);
    json_object_foreach((json_t *)v, key, value)
    {
        char *end;
        long id = strtol(key, &end, 10);
        if (end == key || *end || id < 0 || id >= info.n_vocab)
            return err_set(err, EUSAGE, "logit_bias: '%.20s', expected a token id below %lld", key,
                           (long long)info.n_vocab);
        double x = json_number_value(value);
        if (!json_is_number(value) || !(fabs(x) <= 100))
            return err_set(err, EUSAGE, "logit_bias[%ld]: expected a number from -100 to 100", id);
        /* OpenAI: -100 bans a token */
        bias[n++] = (struct logit_bias){(int32_t)id, x <= -100 ? -INFINITY : (float)x};
    }
    a->r.params.sampler.bias = bias;
    a->r.params.sampler.n_bias = n;
    return OK;
}

/* Fields that are called alike in OpenAI's API and among Ollama's options, and those that vLLM,
 * llama.cpp and others take besides. */
static const char *const same_names[] = {
    "temperature",   "top_p",      "presence_penalty",   "frequency_penalty", "seed",
    "top_k",         "min_p",      "repetition_penalty", "repeat_penalty",    "typical_p",
    "repeat_last_n", "min_tokens",
};

enum status openai_params(struct ask *a, struct err *err)
{
    int64_t most, other;
    enum status s = OK;
    for (size_t i = 0; s == OK && i < sizeof same_names / sizeof *same_names; i++) {
        const json_t *v = json_object_get(a->body, same_names[i]);
        if (v)
            s = ask_option(a, same_names[i], v, NULL, err);
    }
    if (s == OK)
        s = json_get_int(a->body, "max_tokens", &other, -1, err);
    if (s == OK)
        s = json_get_int(a->body, "max_completion_tokens", &most, other, err);
    if (s == OK && most != -1 && most < 1)
        s = err_set(err, EUSAGE, "max_completion_tokens: %lld, expected 1 or more",
                    (long long)most);
    if (s == OK && most != -1)
        a->r.params.max_tokens = most;
    if (s == OK)
        s = json_get_bool(a->body, "ignore_eos", &a->r.params.ignore_eos, false, err);
    if (s == OK)
        s = ask_stop(a, json_object_get(a->body, "stop"), "stop", err);
    if (s == OK)
        s = logit_bias(a, json_object_get(a->body, "logit_bias"), err);
    return s == OK ? sampler_check(&a->r.params.sampler, err) : s;
}

enum status openai_format(const json_t *format, struct err *err)
{
    struct str type;
    if (!format || json_is_null(format))
        return OK;
    enum status s = json_get_str(format, "type", &type, err);
    if (s != OK)
        return s;
    if (str_is(type, "text"))
        return OK;
    if (str_is(type, "json_object") || str_is(type, "json_schema"))
        return err_set(err, EUNSUPPORTED,
                       "response_format '%.*s': answers cannot be constrained yet", STR_ARG(type));
    return err_set(err, EUSAGE,
                   "response_format: type '%.*s', expected text, json_object or "
                   "json_schema",
                   STR_ARG(type));
}

enum status openai_tool_choice(struct ask *a, const json_t *choice, struct err *err)
{
    struct str text = json_is_string(choice) ? json_str(choice) : (struct str){0};
    if (!choice || json_is_null(choice) || str_is(text, "auto"))
        return OK;
    if (str_is(text, "none")) {
        a->r.choice = CHOICE_NONE;
        return OK;
    }
    const json_t *name = json_object_get(json_object_get(choice, "function"), "name");
    name = name ? name : json_object_get(choice, "name");
    if (str_is(text, "required")) {
        a->r.choice = CHOICE_REQUIRED;
    } else if (json_is_string(name)) {
        a->r.choice = CHOICE_NAMED;
        a->r.choice_name = json_str(name);
    } else {
        return err_set(err, EUSAGE,
                       "tool_choice: expected \"auto\", \"none\", \"required\" or "
                       "{\"type\": \"function\", \"function\": {\"name\"}}");
    }
    return a->r.tools.p ? OK : err_set(err, EUSAGE, "tool_choice: the request has no tools");
}

enum status openai_effort(struct ask *a, struct str effort, struct err *err)
{
    static const char *const levels[] = {"minimal", "low", "medium", "high", "xhigh", "max"};
    if (!effort.p)
        return OK;
    if (str_is(effort, "none")) {
        a->r.thinking = THINK_OFF;
        return OK;
    }
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        if (str_is(effort, levels[i])) {
            /* a model that cannot think answers without: clients send this to every model */
            a->r.thinking = ask_able(a, CAN_THINK) ? THINK_ON : THINK_DEFAULT;
            a->r.effort = i == 0 ? STR("low") : i >= 4 ? STR("high") : effort;
            return OK;
        }
    return err_set(err, EUSAGE,
                   "reasoning_effort: '%.*s', expected none, minimal, low, medium, high or xhigh",
                   STR_ARG(effort));
}

/* ---- several answers ---- */

struct many {
    const struct many_sink *sink;
    struct ask *a;
    pthread_mutex_t lock;
    bool stop;
};
struct one {
    struct many *many;
    int index;
    const struct chat_request *r;
    enum status status;
    struct err err;
    pthread_t thread;
};

static int many_event(void *ctx, const struct chat_event *ev)
{
    struct one *o = ctx;
    struct many *m = o->many;
    pthread_mutex_lock(&m->lock);
    if (!m->stop && m->sink->event(m->sink->ctx, o->index, ev) != 0)
        m->stop = true;
    bool stop = m->stop;
    pthread_mutex_unlock(&m->lock);
    return stop;
}

static void *many_run(void *arg)
{
    struct one *o = arg;
    struct chat_sink sink = {many_event, o};
    o->status = provider_chat(o->many->a->lease.provider, o->r, &sink, &o->err);
    return NULL;
}

struct chat_request *ask_copies(struct ask *a, int n)
{
    struct chat_request *v = arena_array(&a->arena, (size_t)n, sizeof *v);
    for (int i = 0; v && i < n; i++) {
        v[i] = a->r;
        v[i].params.sampler.seed += (uint64_t)i;
    }
    return v;
}

enum status ask_many(struct ask *a, const struct chat_request *requests, int n,
                     const struct many_sink *sink, struct err *err)
{
    struct many m = {.sink = sink, .a = a};
    struct one *v = arena_array(&a->arena, (size_t)n, sizeof *v);
    enum status s = OK;
    int started = 1;
    if (!v)
        return err_set(err, ENOMEMORY, "n: no memory for %d answers", n);
    pthread_mutex_init(&m.lock, NULL);
    for (int i = 0; i < n; i++)
        v[i] = (struct one){.many = &m, .index = i, .r = &requests[i]};
    for (; started < n; started++)
        if (pthread_create(&v[started].thread, NULL, many_run, &v[started]) != 0) {
            s = err_set(err, ENOMEMORY, "n: no thread for answer %d", started);
            pthread_mutex_lock(&m.lock);
            m.stop = true;
            pthread_mutex_unlock(&m.lock);
            break;
        }
    many_run(&v[0]);
    for (int i = 1; i < started; i++)
        pthread_join(v[i].thread, NULL);
    for (int i = 0; i < started && s == OK; i++)
        if (v[i].status != OK) {
            s = v[i].status;
            if (err)
                *err = v[i].err;
        }
    pthread_mutex_destroy(&m.lock);
    return s;
}

/* ---- pieces of answers ---- */

const char *openai_finish(const struct chat_usage *u, bool calls)
{
    if (u->end == GEN_LENGTH || u->end == GEN_CONTEXT || u->end == GEN_CANCELLED)
        return "length"; /* the list of reasons is closed; a field beside it tells "cancelled" */
    return calls ? "tool_calls" : "stop";
}

void openai_usage(struct jsonw *w, const struct chat_usage *u, int n)
{
    int64_t answer = 0;
    for (int i = 0; i < n; i++)
        answer += u[i].answer_tokens;
    jsonw_obj(w);
    jsonw_kint(w, "prompt_tokens", u[0].prompt_tokens);
    jsonw_kint(w, "completion_tokens", answer);
    jsonw_kint(w, "total_tokens", u[0].prompt_tokens + answer);
    jsonw_key(w, "prompt_tokens_details");
    jsonw_obj(w);
    jsonw_kint(w, "cached_tokens", u[0].cached_tokens);
    jsonw_end(w);
    jsonw_end(w);
}
