/* Bodies of requests in the three dialects, through the real handlers with a tiny model whose
 * context is too short for most prompts: whatever the JSON, an answer with a body, and never one
 * that blames the server. The first byte names the endpoint. */
#include "base/json.h"
#include "base/log.h"
#include "scratch.h"
#include "server/app.h"
#include "server/inner.h"
#include "store/create.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char *const paths[] = {
    "/api/chat",
    "/api/generate",
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/messages",
    "/v1/responses",
    "/v1/messages/count_tokens",
    "/v1/responses/input_tokens",
    "/api/embed",
    "/v1/embeddings",
    "/tokenize",
    "/detokenize",
    "/apply-template",
    "/v1/rerank",
    "/api/show",
    "/v1/completions",
};

/* "a": a decoder whose template takes everything; "e": an encoder. */
static void make_model(struct store *store, const char *name, const char *file, const char *text)
{
    struct create_recipe r = {.name = str_from(name),
                              .from = str_from(file),
                              .folder = HEARTH_SOURCE_DIR "/tests/data/golden/gguf",
                              .template_text = str_from(text),
                              .system = STR("Be brief."),
                              .params_json = STR("{\"stop\": [\"###\"], \"top_k\": 5}")};
    struct err err;
    if (create_model(store, &r, NULL, &err) != OK)
        hearth_bug("%s", err.msg);
}

static struct app *setup(void)
{
    static struct app app;
    struct store_options so = {.root = scratch(), .ollama_root = ""};
    struct hub_options ho = {.memory = 1 << 30,
                             .keep_alive_ns = -1,
                             .threads = 1,
                             .max_queue = 8,
                             .n_ctx = 4,
                             .kv_tokens = 256};
    struct err err;
    log_set_level(LOG_ERROR);
    if (store_open(&app.store, &so, &err) != OK)
        hearth_bug("%s", err.msg);
    make_model(app.store, "a", "llama32-bf16.gguf",
               "{{ .System }}{{ if .Tools }}{{ .Tools }}{{ end }}{{ range .Messages }}{{ .Role }}: "
               "{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}{{ .Content }}{{ range "
               ".ToolCalls }}<tool_call>{\"name\": \"{{ .Function.Name }}\", \"arguments\": {{ "
               ".Function.Arguments }}}</tool_call>{{ end }}{{ end }}{{ .Suffix }}");
    make_model(app.store, "e", "distilbert_seqcls-bf16.gguf", "");
    ho.store = app.store;
    if (hub_new(&app.hub, &ho, &err) != OK)
        hearth_bug("%s", err.msg);
    return &app;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct app *app;
    char id[INNER_ID];
    int status = 0;
    struct buf body;
    struct err err = {0};
    if (!app)
        app = setup();
    if (n == 0)
        return 0;
    struct inner_call c = {
        .app = app,
        .method = STR("POST"),
        .path = str_from(paths[data[0] % (sizeof paths / sizeof *paths)]),
        .body = {(const char *)data + 1, n - 1},
        .routes = own_routes,
        .n_routes = n_own_routes,
    };
    buf_init(&body, 64 << 20);
    enum status s = inner_call(&c, &status, id, &body, &err);
    if (s == ENOTFOUND)
        hearth_bug("%s", err.msg);
    if (s == OK) {
        json_t *answer;
        if (json_parse(&answer, buf_str(&body), "answer", &err) != OK)
            hearth_bug("%d: %s", status, err.msg);
        json_decref(answer);
        if (status == 500)
            hearth_bug("500: %.*s", STR_ARG(buf_str(&body)));
    }
    buf_release(&body);
    return 0;
}
