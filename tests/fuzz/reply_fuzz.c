/* Any text, in any cut, through any family's parser: nothing may crash or leak, the cut may not
 * matter, calls carry JSON, and a text without calls and thinking comes back to the byte.
 *
 * First byte: the family and whether the answer begins inside thinking; second: how to cut. */
#include "base/rng.h"
#include "chat/reply_int.h"

static const char tools[] = "[{\"type\": \"function\", \"function\": {\"name\": \"f\", "
                            "\"parameters\": {\"properties\": {\"s\": {\"type\": \"string\"}}}}},"
                            "{\"function\": {\"name\": \"run\"}}]";

static const char *const templates[] = {
    "<tool_call>",
    "tools",
    "<|python_tag|>",
    "[TOOL_CALLS][THINK]",
    "[TOOL_CALLS][ARGS]",
    "<function=",
    "<function=<parameter=",
    "<arg_key><arg_value>",
    "<start_function_call>",
    "<｜tool▁call▁begin｜>```json",
    "<｜tool▁call▁begin｜>",
    "<|tool|>",
    "<|START_ACTION|><|START_THINKING|>",
    "<|action_start|>",
    "nothing",
    "",
};

struct told {
    struct buf text, events; /* text alone; and everything, in order */
    enum chat_event_kind last;
    int n_marked; /* calls and pieces of thinking */
};

static int on_tell(void *ctx, enum chat_event_kind kind, struct str text,
                   const struct chat_call *call)
{
    struct told *t = ctx;
    if (kind != t->last)
        buf_printf(&t->events, "\n%d:", (int)kind);
    t->last = kind;
    if (kind == CHAT_CALL) {
        if (!json_is_whole(call->arguments) || call->arguments.p[0] != '{')
            __builtin_trap();
        buf_addc(&t->events, '\n');
        buf_addstr(&t->events, call->name);
        buf_addstr(&t->events, call->arguments);
    } else if (kind == CHAT_TEXT) {
        buf_addstr(&t->text, text);
    }
    t->n_marked += kind != CHAT_TEXT;
    buf_addstr(&t->events, text);
    return 0;
}

static void read_cut(struct told *t, const struct reply_options *options, struct str text,
                     unsigned cut)
{
    struct reply_options o = *options;
    struct reply_parser *p;
    struct rng r;
    struct err err;
    *t = (struct told){.last = CHAT_DONE};
    buf_init(&t->text, 64 << 20);
    buf_init(&t->events, 64 << 20);
    rng_seed(&r, cut);
    o.tell = on_tell;
    o.ctx = t;
    if (reply_new(&p, &o, &err) != OK)
        __builtin_trap();
    for (size_t at = 0; at < text.n;) {
        size_t n = cut ? 1 + rng_next(&r) % 12 : text.n;
        n = n < text.n - at ? n : text.n - at;
        if (reply_feed(p, str_slice(text, at, at + n), &err) != OK)
            __builtin_trap();
        at += n;
    }
    if (reply_end(p, &err) != OK)
        __builtin_trap();
    reply_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 2)
        return 0;
    struct reply_format f;
    struct told whole, cut;
    struct str text = {(const char *)data + 2, n - 2};
    reply_format_detect(&f, str_from(templates[data[0] % 16]));
    struct reply_options o = {.format = &f,
                              .tools = (data[0] & 32) ? STR("") : str_from(tools),
                              .thinking = (data[0] & 16) != 0};
    read_cut(&whole, &o, text, 0);
    read_cut(&cut, &o, text, 1u + data[1]);
    if (!str_eq(buf_str(&whole.events), buf_str(&cut.events)))
        __builtin_trap();
    bool marked = whole.n_marked || o.thinking ||
                  (f.think && memmem(text.p, text.n, f.think->open, strlen(f.think->open)));
    if (!marked && !str_eq(buf_str(&whole.text), text))
        __builtin_trap();
    buf_release(&whole.text);
    buf_release(&whole.events);
    buf_release(&cut.text);
    buf_release(&cut.events);
    return 0;
}
