/* The families, and which one a chat template belongs to.
 *
 * A template that shows earlier calls to its model has to write them as the model does, so the
 * markers stand in its text, in Jinja and in Go templates alike. The first row whose evidence is
 * there wins; rows are ordered from the special to the common. */
#include "chat/reply_int.h"
#include "base/jsonw.h"

#define HERMES_NAME "<tool_call>\n{\"name\": \""
#define PARAMETERS  "\", \"parameters\":"
#define HERMES_ARGS "\", \"arguments\":"

static const struct call_format formats[] = {
    {.name = "qwen-xml", /* Qwen3-Coder, Qwen3.5, Nemotron 3 */
     .evidence = {{"<function=", "<parameter="}},
     .begin = "<tool_call>",
     .end = "</tool_call>",
     .open = {"<function="},
     .sep = ">",
     .body = BODY_MARKUP,
     .key_open = "<parameter=",
     .key_close = ">",
     .value_close = "</parameter>",
     .body_close = "</function>",
     .force_name = "<tool_call>\n<function=",
     .force_args = ">\n"},
    {.name = "glm", /* GLM 4.5 and later */
     .evidence = {{"<arg_key>", "<arg_value>"}},
     .open = {"<tool_call>"},
     .body = BODY_MARKUP,
     .key_open = "<arg_key>",
     .key_close = "</arg_key>",
     .value_open = "<arg_value>",
     .value_close = "</arg_value>",
     .body_close = "</tool_call>",
     .force_name = "<tool_call>",
     .force_args = "\n"},
    {.name = "functiongemma",
     .evidence = {{"<start_function_call>"}},
     .open = {"<start_function_call>"},
     .close = "<end_function_call>",
     .lead = "call:",
     .body = BODY_GEMMA,
     .force_name = "<start_function_call>call:",
     .force_args = "{"},
    {.name = "deepseek", /* V3, R1 */
     .evidence = {{"<｜tool▁call▁begin｜>", "```json"}},
     .begin = "<｜tool▁calls▁begin｜>",
     .end = "<｜tool▁calls▁end｜>",
     .open = {"<｜tool▁call▁begin｜>"},
     .lead = "function<｜tool▁sep｜>",
     .sep = "```json",
     .body = BODY_ARGS,
     .close = "```<｜tool▁call▁end｜>",
     .force_name = "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>",
     .force_args = "\n```json\n"},
    {.name = "deepseek-3.1",
     .evidence = {{"<｜tool▁call▁begin｜>"}},
     .begin = "<｜tool▁calls▁begin｜>",
     .end = "<｜tool▁calls▁end｜>",
     .open = {"<｜tool▁call▁begin｜>"},
     .sep = "<｜tool▁sep｜>",
     .body = BODY_ARGS,
     .close = "<｜tool▁call▁end｜>",
     .force_name = "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>",
     .force_args = "<｜tool▁sep｜>"},
    {.name = "mistral-args", /* Small 3.2, Magistral, Ministral 3 */
     .evidence = {{"[TOOL_CALLS]", "[ARGS]"}},
     .open = {"[TOOL_CALLS]"},
     .id_open = "[CALL_ID]",
     .sep = "[ARGS]",
     .body = BODY_ARGS,
     .force_name = "[TOOL_CALLS]",
     .force_args = "[ARGS]"},
    {.name = "mistral", /* 7B v0.3, Nemo, Small 3 */
     .evidence = {{"[TOOL_CALLS]"}},
     .open = {"[TOOL_CALLS]"},
     .body = BODY_CALLS,
     .bare = BARE_START,
     .force_name = "[TOOL_CALLS][{\"name\": \"",
     .force_args = HERMES_ARGS},
    {.name = "functionary", /* 3.1 */
     .evidence = {{"<function="}},
     .open = {"<function="},
     .sep = ">",
     .body = BODY_ARGS,
     .close = "</function>",
     .force_name = "<function=",
     .force_args = ">"},
    {.name = "nemotron",
     .evidence = {{"<TOOLCALL>"}},
     .open = {"<TOOLCALL>"},
     .body = BODY_CALLS,
     .close = "</TOOLCALL>",
     .bare = BARE_START,
     .force_name = "<TOOLCALL>[{\"name\": \"",
     .force_args = HERMES_ARGS},
    {.name = "command", /* Command R7B, Command A */
     .evidence = {{"<|START_ACTION|>"}},
     .open = {"<|START_ACTION|>"},
     .body = BODY_CALLS,
     .close = "<|END_ACTION|>",
     .force_name = "<|START_ACTION|>[{\"tool_call_id\": \"0\", \"tool_name\": \"",
     .force_args = PARAMETERS},
    {.name = "internlm",
     .evidence = {{"<|action_start|>"}},
     .begin = "<|action_start|>",
     .open = {"<|plugin|>"},
     .body = BODY_CALLS,
     .close = "<|action_end|>",
     .force_name = "<|action_start|><|plugin|>\n{\"name\": \"",
     .force_args = PARAMETERS},
    {.name = "jamba",
     .evidence = {{"<tool_calls>"}},
     .open = {"<tool_calls>"},
     .body = BODY_CALLS,
     .close = "</tool_calls>",
     .bare = BARE_START,
     .force_name = "<tool_calls>[{\"name\": \"",
     .force_args = HERMES_ARGS},
    {.name = "phi", /* Phi-4-mini, whose Go template teaches functools; Granite 3 */
     .evidence = {{"<|tool_call|>"}, {"<|tool|>"}, {"functools["}},
     .open = {"<|tool_call|>", "functools"},
     .body = BODY_CALLS,
     .close = "<|/tool_call|>",
     .bare = BARE_START,
     .force_name = "<|tool_call|>[{\"name\": \"",
     .force_args = HERMES_ARGS},
    {.name = "hermes", /* Hermes 2 and 3, Qwen 2.5, Qwen 3, SmolLM3, Granite 4 ... */
     .evidence = {{"<tool_call>"}},
     .open = {"<tool_call>"},
     .body = BODY_CALLS,
     .close = "</tool_call>",
     .bare = BARE_START,
     .force_name = HERMES_NAME,
     .force_args = HERMES_ARGS},
    {.name = "llama", /* 3.1 to 3.3 */
     .evidence = {{"<|python_tag|>"}, {"\"parameters\": ", "tool"}, {"\"parameters\": ", "Tool"}},
     .begin = "```json",
     .end = "```",
     .open = {"<|python_tag|>"},
     .body = BODY_CALLS,
     .bare = BARE_ANYWHERE,
     .force_name = "{\"name\": \"",
     .force_args = PARAMETERS},
    {.name = "json", /* a template that speaks of tools in a way we do not know */
     .evidence = {{"tool_calls"}, {".ToolCalls"}, {"tools"}, {".Tools"}},
     .begin = "```json",
     .end = "```",
     .open = {"<tool_call>"},
     .body = BODY_CALLS,
     .close = "</tool_call>",
     .bare = BARE_ANYWHERE,
     .force_name = "{\"name\": \"",
     .force_args = HERMES_ARGS},
};

/* The first is also what a template gets that names none: an answer that begins so can hardly
 * mean anything else, and templates are often replaced by ones that forgot about thinking. */
static const struct think_format thinks[] = {
    {"<think>", "</think>"},
    {"[THINK]", "[/THINK]"},                    /* Magistral */
    {"<|START_THINKING|>", "<|END_THINKING|>"}, /* Command A */
    {"<seed:think>", "</seed:think>"},          /* Seed-OSS */
    {"<thinking>", "</thinking>"},
    {"<thought>", "</thought>"},
    {"<reasoning>", "</reasoning>"},
};

static bool contains(struct str text, const char *z)
{
    return memmem(text.p, text.n, z, strlen(z)) != NULL;
}

static bool belongs(const struct call_format *f, struct str source)
{
    for (int i = 0; i < CALL_EVIDENCE && f->evidence[i][0]; i++)
        if (contains(source, f->evidence[i][0]) &&
            (!f->evidence[i][1] || contains(source, f->evidence[i][1])))
            return true;
    return false;
}

void reply_format_detect(struct reply_format *out, struct str source)
{
    *out = (struct reply_format){0};
    if (source.n == 0)
        return;
    for (size_t i = 0; i < sizeof formats / sizeof *formats && !out->calls; i++)
        if (belongs(&formats[i], source))
            out->calls = &formats[i];
    out->think = &thinks[0];
    for (size_t i = 0; i < sizeof thinks / sizeof *thinks && !out->thinks; i++)
        if (contains(source, thinks[i].open) || contains(source, thinks[i].close)) {
            out->think = &thinks[i];
            out->thinks = true;
        }
}

bool reply_format_unknown(const struct reply_format *f)
{
    return f->calls == &formats[sizeof formats / sizeof *formats - 1];
}

static bool is_any(char c, const char *of)
{
    return c && strchr(of, c);
}

/* The bytes that are no white space and end at `end`, or begin at `start`. */
static struct str word_before(struct str text, size_t end)
{
    size_t start = end;
    while (start > 0 && !json_is_space(text.p[start - 1]))
        start--;
    return str_slice(text, start, end);
}

static struct str word_behind(struct str text, size_t start)
{
    size_t end = start;
    while (end < text.n && !json_is_space(text.p[end]))
        end++;
    return str_slice(text, start, end);
}

static void keep_marker(char *out, struct str marker)
{
    bool fits = marker.n > 0 && marker.n <= REPLY_MARKER_MAX && (unsigned char)marker.p[0] < 0x80 &&
                !memchr(marker.p, 0, marker.n);
    memcpy(out, marker.p, fits ? marker.n : 0);
    out[fits ? marker.n : 0] = 0;
}

/* Where a text stands in another, or its length. */
static size_t position(struct str text, const char *z)
{
    const char *at = memmem(text.p, text.n, z, strlen(z));
    return at ? (size_t)(at - text.p) : text.n;
}

void reply_format_probe(struct reply_format *f, struct str called, struct str said)
{
    size_t name = position(called, REPLY_PROBE_NAME), value = position(called, REPLY_PROBE_VALUE);
    size_t text = position(said, REPLY_PROBE_NAME);
    if (text == said.n || value >= called.n || name >= value)
        return;
    size_t open = name;
    while (open > 0 && called.p[open] != '{')
        open--;
    if (called.p[open] != '{' || position(str_slice(called, open, name), "name\"") == name - open)
        return;
    struct str between = str_slice(called, name, value);
    f->parameters = position(between, "\"parameters\"") < between.n;
    while (open > 0 && (json_is_space(called.p[open - 1]) || called.p[open - 1] == '['))
        open--;
    f->line_break = called.p[open] == '\n';
    struct str before = word_before(called, open), header = word_before(said, text);
    if (header.n && str_starts(before, header))
        before = str_slice(before, header.n, before.n);
    keep_marker(f->open, before);
    if (!f->open[0])
        return;
    size_t close = value + strlen(REPLY_PROBE_VALUE);
    while (close < called.n && (json_is_space(called.p[close]) || is_any(called.p[close], "\"}]")))
        close++;
    struct str behind = word_behind(called, close);
    struct str end = word_behind(said, text + strlen(REPLY_PROBE_NAME));
    if (end.n && str_ends(behind, end))
        behind.n -= end.n;
    keep_marker(f->close, behind);
}

const char *reply_format_name(const struct reply_format *f)
{
    return f->calls ? f->calls->name : "none";
}

static bool part_of(struct str piece, const char *marker)
{
    return marker && memmem(marker, strlen(marker), piece.p, piece.n) != NULL;
}

static bool is_marker(const struct reply_format *f, struct str piece)
{
    const struct call_format *c = f->calls;
    if (f->think && (part_of(piece, f->think->open) || part_of(piece, f->think->close)))
        return true;
    if (!c)
        return false;
    const char *const all[] = {c->begin,     c->end,       c->open[0],    c->open[1],
                               c->close,     c->lead,      c->id_open,    c->sep,
                               c->key_open,  c->key_close, c->value_open, c->value_close,
                               c->body_close};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (part_of(piece, all[i]))
            return true;
    if (part_of(piece, f->open) || part_of(piece, f->close))
        return true;
    return c->body == BODY_GEMMA && str_is(piece, "<escape>");
}

enum status reply_format_shown(const struct reply_format *f, const struct tokenizer *t,
                               struct tokens *out, struct err *err)
{
    for (size_t id = 0; id < tokenizer_n_vocab(t); id++) {
        if (tokenizer_attr(t, (int32_t)id) != TOKEN_CONTROL)
            continue;
        struct str piece = tokenizer_piece(t, (int32_t)id);
        if (piece.n && is_marker(f, piece) && !tokens_add(out, (int32_t)id))
            return err_set(err, ENOMEMORY, "markers: no memory for their tokens");
    }
    return OK;
}

bool reply_starts_thinking(const struct reply_format *f, struct str prompt)
{
    while (prompt.n && json_is_space(prompt.p[prompt.n - 1]))
        prompt.n--;
    return f->think && str_ends(prompt, str_from(f->think->open));
}

/* Where there is no choice the name is written too. */
static void add_beginning(const struct reply_format *f, const struct chat_request *r,
                          const struct reply_tools *tools, bool thinking, struct buf *out)
{
    bool named = r->choice == CHOICE_NAMED;
    if (thinking)
        buf_printf(out, "\n%s\n\n", f->think->close);
    buf_adds(out, f->open);
    buf_adds(out, f->line_break ? "\n" : "");
    buf_adds(out, f->calls->force_name);
    if (named || tools->n == 1) {
        buf_addstr(out, named ? r->choice_name : tools->v[0].name);
        buf_adds(out, f->parameters ? PARAMETERS : f->calls->force_args);
    }
}

enum status reply_force(const struct reply_format *f, const struct chat_request *r, bool thinking,
                        struct buf *out, struct err *err)
{
    struct reply_tools tools;
    bool must = r->choice == CHOICE_REQUIRED || r->choice == CHOICE_NAMED;
    if (r->choice == CHOICE_NONE)
        return OK;
    enum status s = reply_tools_read(&tools, r->tools, err);
    if (s != OK)
        return s;
    if (must && tools.n == 0)
        s = err_set(err, EUSAGE, "tool_choice: a call is required, but no tool is offered");
    else if (r->choice == CHOICE_NAMED && !reply_tools_find(&tools, r->choice_name))
        s = err_set(err, EUSAGE, "tool_choice: '%.*s' is not among the %zu tools offered",
                    STR_ARG(r->choice_name), tools.n);
    else if (tools.n && !f->calls)
        s = err_set(err, EUNSUPPORTED,
                    "tools: %zu offered, but the model's chat template has no place for any",
                    tools.n);
    if (s == OK && must)
        add_beginning(f, r, &tools, thinking, out);
    reply_tools_release(&tools);
    return s != OK ? s : buf_check(out, "beginning of the answer", err);
}
