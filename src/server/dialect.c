#include "server/dialect.h"
#include "base/jsonw.h"

enum dialect dialect_of_path(struct str path)
{
    if (str_starts(path, STR("/v1/messages")))
        return DIALECT_ANTHROPIC;
    return str_starts(path, STR("/v1/")) || str_is(path, "/v1") ? DIALECT_OPENAI : DIALECT_OLLAMA;
}

/* What each of them calls an HTTP status, nearest row first; code NULL: the status's own name. */
static const struct {
    int from, to;
    const char *openai, *code, *anthropic;
} kinds[] = {
    {401, 401, "invalid_request_error", "invalid_api_key", "authentication_error"},
    {403, 403, "invalid_request_error", "insufficient_permissions", "permission_error"},
    {404, 404, "invalid_request_error", NULL, "not_found_error"},
    {413, 413, "invalid_request_error", "request_too_large", "request_too_large"},
    {429, 429, "requests", "rate_limit_exceeded", "rate_limit_error"},
    {400, 499, "invalid_request_error", NULL, "invalid_request_error"},
    {503, 503, "server_error", "overloaded", "overloaded_error"},
    {500, 599, "server_error", NULL, "api_error"},
};

static size_t kind(int http_status)
{
    size_t i = 0, n = sizeof kinds / sizeof *kinds;
    while (i + 1 < n && (http_status < kinds[i].from || http_status > kinds[i].to))
        i++;
    return i;
}

static const char *message(const struct err *e)
{
    return e->msg[0] ? e->msg : status_meaning(e->code);
}

static void error_ollama(struct buf *out, int http_status, const struct err *e,
                         const struct http_request *q)
{
    (void)http_status;
    (void)q;
    struct jsonw w;
    jsonw_init(&w, out, 0);
    jsonw_obj(&w);
    jsonw_kstr(&w, "error", str_from(message(e)));
    jsonw_end(&w);
}

static void error_openai(struct buf *out, int http_status, const struct err *e,
                         const struct http_request *q)
{
    (void)q;
    size_t k = kind(http_status);
    const char *code = kinds[k].code;
    if (!code && e->code == ECONTEXT)
        code = "context_length_exceeded";
    if (!code && e->code != OK && e->code != EUSAGE && e->code != EFAIL)
        code = status_name(e->code);
    struct jsonw w;
    jsonw_init(&w, out, 0);
    jsonw_obj(&w);
    jsonw_key(&w, "error");
    jsonw_obj(&w);
    jsonw_kstr(&w, "message", str_from(message(e)));
    jsonw_kstr(&w, "type", str_from(kinds[k].openai));
    jsonw_key(&w, "param");
    jsonw_null(&w);
    jsonw_key(&w, "code");
    if (code)
        jsonw_str(&w, str_from(code));
    else
        jsonw_null(&w);
    jsonw_end(&w);
    jsonw_end(&w);
}

static void error_anthropic(struct buf *out, int http_status, const struct err *e,
                            const struct http_request *q)
{
    struct jsonw w;
    jsonw_init(&w, out, 0);
    jsonw_obj(&w);
    jsonw_kstr(&w, "type", STR("error"));
    jsonw_key(&w, "error");
    jsonw_obj(&w);
    jsonw_kstr(&w, "type", str_from(kinds[kind(http_status)].anthropic));
    jsonw_kstr(&w, "message", str_from(message(e)));
    jsonw_end(&w);
    jsonw_kstr(&w, "request_id", q->id);
    jsonw_end(&w);
}

const struct dialect_row dialects[DIALECT_COUNT] = {
    [DIALECT_OLLAMA] = {"Ollama", "OllamaError", error_ollama},
    [DIALECT_OPENAI] = {"OpenAI", "OpenAIError", error_openai},
    [DIALECT_ANTHROPIC] = {"Anthropic", "AnthropicError", error_anthropic},
};
