/* docs/api.md and the OpenAPI 3.1 document, from a table of routes. What they say is what the table
 * holds: methods, paths, their parameters, scopes, kinds of bodies and answers, forms of errors. */
#include "server/route.h"
#include "base/jsonw.h"

static const struct {
    unsigned flag;
    const char *type, *words;
} answers[] =
    {
        {ROUTE_ANSWER_JSON, "application/json", "JSON"},
        {ROUTE_ANSWER_LINES, "application/x-ndjson", "NDJSON stream"},
        {ROUTE_ANSWER_EVENTS, "text/event-stream", "server-sent events"},
        {ROUTE_ANSWER_TEXT, "text/plain", "text"},
},
  bodies[] = {
      {ROUTE_BODY_JSON, "application/json", "JSON object"},
      {ROUTE_BODY_STREAM, "application/octet-stream", "bytes, of any length"},
      {ROUTE_BODY_FORM, "multipart/form-data", "form"},
};
enum { N_ANSWERS = sizeof answers / sizeof *answers, N_BODIES = sizeof bodies / sizeof *bodies };

static const char *scope_name(unsigned scope)
{
    return scope == SCOPE_INFER    ? "infer"
           : scope == SCOPE_READ   ? "read"
           : scope == SCOPE_MODELS ? "models"
           : scope == SCOPE_ADMIN  ? "admin"
                                   : "";
}

static void words(struct buf *out, const char *word)
{
    if (out->n)
        buf_adds(out, " or ");
    buf_adds(out, word);
}

static void markdown_row(const struct route *r, struct buf *out)
{
    struct buf body, answer;
    buf_init(&body, 256);
    buf_init(&answer, 256);
    for (int i = 0; i < N_BODIES; i++)
        if (r->flags & bodies[i].flag)
            words(&body, bodies[i].words);
    for (int i = 0; i < N_ANSWERS; i++)
        if (r->flags & answers[i].flag)
            words(&answer, answers[i].words);
    buf_printf(out, "| %s | `%s` | %s | %s | %s | %s | %s |\n", r->method, r->path, r->summary,
               body.n ? body.p : "", answer.n ? answer.p : "", scope_name(r->scope),
               dialects[r->dialect].name);
    buf_release(&body);
    buf_release(&answer);
}

void routes_markdown(const struct route *rows, size_t n, struct buf *out)
{
    buf_adds(
        out,
        "# The HTTP API\n\nMade by `hearth docs api` from the table `src/server/routes.def`; do "
        "not edit. `hearth docs openapi` prints the same as an OpenAPI 3.1 document. "
        "`docs/server.md` tells about keys, limits, metrics and logs.\n\n"
        "`{name}` in a path is one segment, `{name...}` is all that follow. HEAD is answered "
        "where GET is. Errors have the form of the dialect in the last column; a path that is "
        "not here gets 404, a method that its path does not know 405. An empty scope needs no "
        "API key.\n\n"
        "| method | path | | body | answer | scope | errors as |\n|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < n; i++)
        markdown_row(&rows[i], out);
}

/* "/v1/models/{model...}" as OpenAPI writes it, without the dots. */
static void plain_path(const char *path, struct buf *out)
{
    for (const char *p = path; *p; p++)
        if (strncmp(p, "...}", 4) == 0)
            p += 2;
        else
            buf_addc(out, *p);
}

static void parameters(struct jsonw *w, const char *path)
{
    if (!strchr(path, '{'))
        return;
    jsonw_key(w, "parameters");
    jsonw_arr(w);
    for (const char *p = path; (p = strchr(p, '{')); p++) {
        size_t len = strcspn(p + 1, ".}");
        jsonw_obj(w);
        jsonw_key(w, "name");
        jsonw_str(w, (struct str){p + 1, len});
        jsonw_kstr(w, "in", STR("path"));
        jsonw_kbool(w, "required", true);
        jsonw_key(w, "schema");
        jsonw_obj(w);
        jsonw_kstr(w, "type", STR("string"));
        jsonw_end(w);
        jsonw_end(w);
    }
    jsonw_end(w);
}

/* A schema of bytes, text, or a JSON object whose fields the dialect's own documents name. */
static void media(struct jsonw *w, const char *type)
{
    jsonw_key(w, type);
    jsonw_obj(w);
    jsonw_key(w, "schema");
    jsonw_obj(w);
    bool object = strstr(type, "json") || strstr(type, "form");
    jsonw_kstr(w, "type", object ? STR("object") : STR("string"));
    jsonw_end(w);
    jsonw_end(w);
}

static void responses(struct jsonw *w, const struct route *r)
{
    jsonw_key(w, "responses");
    jsonw_obj(w);
    jsonw_key(w, "200");
    jsonw_obj(w);
    jsonw_kstr(w, "description", STR("done"));
    bool any = false;
    for (int i = 0; i < N_ANSWERS; i++) {
        if (!(r->flags & answers[i].flag))
            continue;
        if (!any) {
            jsonw_key(w, "content");
            jsonw_obj(w);
        }
        any = true;
        media(w, answers[i].type);
    }
    if (any)
        jsonw_end(w);
    jsonw_end(w);
    jsonw_key(w, "default");
    jsonw_obj(w);
    struct buf ref;
    buf_init(&ref, 128);
    buf_printf(&ref, "#/components/responses/%s", dialects[r->dialect].schema);
    jsonw_kstr(w, "$ref", buf_str(&ref));
    buf_release(&ref);
    jsonw_end(w);
    jsonw_end(w);
}

static void operation(struct jsonw *w, const struct route *r)
{
    char method[16];
    size_t n = strlen(r->method);
    for (size_t i = 0; i <= n && i < sizeof method; i++)
        method[i] =
            (char)(r->method[i] >= 'A' && r->method[i] <= 'Z' ? r->method[i] + 32 : r->method[i]);
    jsonw_key(w, method);
    jsonw_obj(w);
    jsonw_kstr(w, "summary", str_from(r->summary));
    parameters(w, r->path);
    bool any = false;
    for (int i = 0; i < N_BODIES; i++) {
        if (!(r->flags & bodies[i].flag))
            continue;
        if (!any) {
            jsonw_key(w, "requestBody");
            jsonw_obj(w);
            jsonw_kbool(w, "required", true);
            jsonw_key(w, "content");
            jsonw_obj(w);
        }
        any = true;
        media(w, bodies[i].type);
    }
    if (any) {
        jsonw_end(w);
        jsonw_end(w);
    }
    responses(w, r);
    jsonw_key(w, "security");
    jsonw_arr(w);
    static const char *const schemes[] = {"bearer", "apiKey"};
    for (int i = 0; i < 2 && r->scope; i++) {
        jsonw_obj(w);
        jsonw_key(w, schemes[i]);
        jsonw_arr(w);
        jsonw_end(w);
        jsonw_end(w);
    }
    jsonw_end(w);
    if (r->scope)
        jsonw_kstr(w, "x-scope", str_from(scope_name(r->scope)));
    jsonw_end(w);
}

/* What each dialect's error looks like: the outermost field is all that they share. */
static void components(struct jsonw *w)
{
    jsonw_key(w, "components");
    jsonw_obj(w);
    jsonw_key(w, "securitySchemes");
    jsonw_obj(w);
    jsonw_key(w, "bearer");
    jsonw_obj(w);
    jsonw_kstr(w, "type", STR("http"));
    jsonw_kstr(w, "scheme", STR("bearer"));
    jsonw_end(w);
    jsonw_key(w, "apiKey");
    jsonw_obj(w);
    jsonw_kstr(w, "type", STR("apiKey"));
    jsonw_kstr(w, "in", STR("header"));
    jsonw_kstr(w, "name", STR("x-api-key"));
    jsonw_end(w);
    jsonw_end(w);
    jsonw_key(w, "responses");
    jsonw_obj(w);
    for (int d = 0; d < DIALECT_COUNT; d++) {
        jsonw_key(w, dialects[d].schema);
        jsonw_obj(w);
        jsonw_kstr(w, "description", STR("what went wrong"));
        jsonw_key(w, "content");
        jsonw_obj(w);
        jsonw_key(w, "application/json");
        jsonw_obj(w);
        jsonw_key(w, "schema");
        jsonw_obj(w);
        jsonw_kstr(w, "type", STR("object"));
        jsonw_key(w, "required");
        jsonw_arr(w);
        jsonw_str(w, STR("error"));
        jsonw_end(w);
        jsonw_key(w, "properties");
        jsonw_obj(w);
        jsonw_key(w, "error");
        jsonw_obj(w);
        jsonw_kstr(w, "type", d == DIALECT_OLLAMA ? STR("string") : STR("object"));
        for (int k = 0; k < 6; k++)
            jsonw_end(w);
    }
    jsonw_end(w);
    jsonw_end(w);
}

void routes_openapi(const struct route *rows, size_t n, struct buf *out)
{
    struct jsonw w;
    jsonw_init(&w, out, 2);
    jsonw_obj(&w);
    jsonw_kstr(&w, "openapi", STR("3.1.0"));
    jsonw_key(&w, "info");
    jsonw_obj(&w);
    jsonw_kstr(&w, "title", STR("Hearth"));
    jsonw_kstr(&w, "version", STR(HEARTH_VERSION));
    jsonw_end(&w);
    jsonw_key(&w, "paths");
    jsonw_obj(&w);
    for (size_t i = 0; i < n; i++) {
        bool first = true;
        for (size_t k = 0; k < i; k++)
            first = first && strcmp(rows[k].path, rows[i].path) != 0;
        if (!first)
            continue;
        struct buf path;
        buf_init(&path, 1024);
        plain_path(rows[i].path, &path);
        jsonw_keyn(&w, buf_str(&path));
        buf_release(&path);
        jsonw_obj(&w);
        for (size_t k = i; k < n; k++)
            if (strcmp(rows[k].path, rows[i].path) == 0)
                operation(&w, &rows[k]);
        jsonw_end(&w);
    }
    jsonw_end(&w);
    components(&w);
    jsonw_end(&w);
    buf_addc(out, '\n');
}
