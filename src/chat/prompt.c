#include "chat/prompt.h"
#include "base/hash.h"
#include "base/mem.h"
#include "chat/prompt_json.h"
#include "text/chat_template.h"
#include "text/gotmpl_chat.h"
#include <stdlib.h>

enum { MAX_VALUES = 256 << 20 }; /* bytes of a conversation as template values */

struct prompt_format {
    const struct model *model;
    struct jinja *template;
    struct gotmpl *go; /* both NULL: the plain format */
    struct reply_format reply;
    struct tokens shown;
    bool short_ids; /* it refuses calls whose ids are not nine letters and digits (Mistral) */
};

/* A rendering of an answer that calls, or says, REPLY_PROBE_NAME; false when the template refuses.
 */
static bool render_probe(const struct prompt_format *f, bool calls, struct buf *out)
{
    struct arena a;
    struct err ignored;
    arena_init(&a, 1 << 20);
    struct jval *arguments =
        jval_map_set(&a, jval_map(&a), STR("query"), jval_str(&a, STR(REPLY_PROBE_VALUE)));
    struct jval *function =
        jval_map_set(&a, jval_map(&a), STR("name"), jval_str(&a, STR(REPLY_PROBE_NAME)));
    function = jval_map_set(&a, function, STR("arguments"), arguments);
    struct jval *call = jval_map_set(&a, jval_map(&a), STR("function"), function);
    call = jval_map_set(&a, call, STR("type"), jval_str(&a, STR("function")));
    call = jval_map_set(&a, call, STR("id"), jval_str(&a, STR("abcdefghi")));
    struct jval *user = jval_map_set(&a, jval_map(&a), STR("role"), jval_str(&a, STR("user")));
    user = jval_map_set(&a, user, STR("content"), jval_str(&a, STR("?")));
    struct jval *answer =
        jval_map_set(&a, jval_map(&a), STR("role"), jval_str(&a, STR("assistant")));
    answer = jval_map_set(&a, answer, STR("content"),
                          jval_str(&a, calls ? STR("") : STR(REPLY_PROBE_NAME)));
    if (calls)
        answer =
            jval_map_set(&a, answer, STR("tool_calls"), jval_list_add(&a, jval_list(&a), call));
    struct jval *messages = jval_list_add(&a, jval_list_add(&a, jval_list(&a), user), answer);
    struct prompt_vars v = {.messages = messages, .no_generation_prompt = true};
    bool ok = messages && prompt_render(f, &v, out, &ignored) == OK;
    arena_release(&a);
    return ok;
}

/* What a template of no known family writes around calls. */
static void probe(struct prompt_format *f)
{
    struct buf called, said;
    if (!reply_format_unknown(&f->reply))
        return;
    buf_init(&called, 1 << 20);
    buf_init(&said, 1 << 20);
    if (render_probe(f, true, &called) && render_probe(f, false, &said))
        reply_format_probe(&f->reply, buf_str(&called), buf_str(&said));
    buf_release(&called);
    buf_release(&said);
}

static bool contains(struct str s, const char *z)
{
    size_t n = strlen(z);
    for (size_t i = 0; i + n <= s.n; i++)
        if (memcmp(s.p + i, z, n) == 0)
            return true;
    return false;
}

/* As Go when it looks so, but blocks of Jinja may hold such text. */
static enum status compile(struct prompt_format *f, struct str source, struct err *err)
{
    if (gotmpl_looks_like(source)) {
        enum status s = gotmpl_chat_compile(&f->go, source, err);
        if (s == OK || !contains(source, "{%"))
            return s;
        f->go = NULL;
    }
    return jinja_compile(&f->template, source, err);
}

enum status prompt_format_new(struct prompt_format **out, const struct model *m, struct str source,
                              struct err *err)
{
    struct prompt_format *f = mem_array(1, sizeof *f);
    if (!f)
        return err_set(err, ENOMEMORY, "chat template: no memory");
    f->model = m;
    if (!source.p && m)
        source = model_chat_template(m, NULL);
    if (source.n) {
        enum status s = compile(f, source, err);
        reply_format_detect(&f->reply, source);
        f->short_ids = memmem(source.p, source.n, "length != 9", 11) != NULL;
        if (s == OK)
            probe(f);
        if (s == OK && m)
            s = reply_format_shown(&f->reply, model_tokenizer(m), &f->shown, err);
        if (s != OK) {
            prompt_format_free(f);
            return err_prefix(err, "chat template");
        }
    }
    *out = f;
    return OK;
}

void prompt_format_free(struct prompt_format *f)
{
    if (!f)
        return;
    if (f->template)
        jinja_free(f->template);
    tokens_free(&f->shown);
    gotmpl_free(f->go);
    free(f);
}

enum prompt_kind prompt_format_kind(const struct prompt_format *f)
{
    return f->template ? PROMPT_JINJA : f->go ? PROMPT_GO : PROMPT_PLAIN;
}

bool prompt_format_mentions(const struct prompt_format *f, const char *field)
{
    return f->go && gotmpl_mentions(f->go, str_from(field));
}

struct str prompt_format_stop(const struct prompt_format *f)
{
    return prompt_format_kind(f) == PROMPT_PLAIN ? STR("\nUser:") : STR("");
}

const struct reply_format *prompt_format_reply(const struct prompt_format *f)
{
    return &f->reply;
}

const struct tokens *prompt_format_shown(const struct prompt_format *f)
{
    return &f->shown;
}

/* Text of a special token, .p NULL when the vocabulary has none. */
static struct str special_text(const struct model *m, enum special_token which)
{
    if (!m)
        return (struct str){NULL, 0};
    const struct tokenizer *t = model_tokenizer(m);
    int32_t id = tokenizer_special(t, which);
    return id < 0 ? (struct str){NULL, 0} : tokenizer_piece(t, id);
}

/* An effort means to think, as Ollama's "think": "high" does. */
static enum status render_go(const struct prompt_format *f, const struct prompt_vars *v,
                             struct buf *out, struct err *err)
{
    struct gotmpl_chat_vars vars = {
        .messages = v->messages,
        .tools = v->tools,
        .think = v->thinking == THINK_ON || (v->thinking == THINK_DEFAULT && v->effort.n),
        .think_set = v->thinking != THINK_DEFAULT || v->effort.n,
        .level = v->thinking == THINK_OFF ? STR("") : v->effort,
        .now = v->now,
    };
    enum status s = gotmpl_chat_render(f->go, &vars, out, err);
    return s == OK ? OK : err_prefix(err, "chat template");
}

enum status prompt_render_gap(const struct prompt_format *f, struct str prefix, struct str suffix,
                              struct buf *out, struct err *err)
{
    if (!prompt_format_mentions(f, "Suffix"))
        return err_set(err, ENOTFOUND, "chat template: it has no .Suffix, so that it fills no gap");
    struct gotmpl_chat_vars vars = {.prompt = prefix.p ? prefix : STR(""), .suffix = suffix};
    return gotmpl_chat_render(f->go, &vars, out, err);
}

enum status prompt_render(const struct prompt_format *f, const struct prompt_vars *v,
                          struct buf *out, struct err *err)
{
    struct arena a;
    if (f->go)
        return render_go(f, v, out, err);
    if (!f->template)
        return err_set(err, ENOTFOUND, "chat template: the model has none");
    arena_init(&a, 1 << 16);
    struct jval *extra = jval_map(&a);
    if (v->thinking != THINK_DEFAULT)
        extra =
            jval_map_set(&a, extra, STR("enable_thinking"), jval_bool(&a, v->thinking == THINK_ON));
    if (v->effort.n)
        extra = jval_map_set(&a, extra, STR("reasoning_effort"), jval_str(&a, v->effort));
    enum status s = extra ? OK : err_set(err, ELIMIT, "chat template: its variables are too large");
    struct chat_template_vars vars = {
        .messages = v->messages,
        .tools = v->tools,
        .add_generation_prompt = !v->no_generation_prompt,
        .bos_token = special_text(f->model, SPECIAL_BOS),
        .eos_token = special_text(f->model, SPECIAL_EOS),
        .unk_token = special_text(f->model, SPECIAL_UNK),
        .pad_token = special_text(f->model, SPECIAL_PAD),
        .extra = extra,
        .now = v->now,
    };
    if (s == OK)
        s = chat_template_render(f->template, &vars, out, err);
    arena_release(&a);
    return s;
}

static void render_plain(const struct chat_request *r, struct buf *out)
{
    for (size_t i = 0; i < r->n_messages; i++) {
        const struct chat_message *m = &r->messages[i];
        if (str_is(m->role, "user"))
            buf_adds(out, "User: ");
        else if (str_is(m->role, "assistant"))
            buf_adds(out, "Assistant: ");
        buf_addstr(out, m->content);
        if (i + 1 < r->n_messages || !r->continue_last)
            buf_adds(out, "\n\n");
    }
    if (!r->continue_last)
        buf_adds(out, "Assistant:");
}

#ifdef HEARTH_ENGINE_ONLY
enum status prompt_tools(struct arena *a, const struct chat_request *r, const struct jval **out,
                         struct err *err)
{
    (void)a;
    *out = NULL;
    return r->tools.p ? err_set(err, EUNSUPPORTED, "tools: this build reads no JSON") : OK;
}

enum status prompt_arguments(struct arena *a, struct str json, struct jval **out, struct err *err)
{
    (void)a;
    (void)json;
    (void)out;
    return err_set(err, EUNSUPPORTED, "tool calls: this build reads no JSON");
}
#endif

/* The id of a call or its result. Where the template has rules for ids, one that keeps them is made
 * of the id, or of the function's name where there is none. */
static struct jval *id_value(const struct prompt_format *f, struct arena *a, struct str id,
                             struct str name)
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    char made[9];
    if (!f->short_ids || id.n == sizeof made)
        return jval_str(a, id);
    id = id.n ? id : name;
    uint64_t h = hash_bytes(id.p, id.n);
    for (size_t i = 0; i < sizeof made; i++, h /= 36)
        made[i] = digits[h % 36];
    return jval_str(a, (struct str){made, sizeof made});
}

static enum status add_call(const struct prompt_format *format, struct arena *a, struct jval **list,
                            const struct chat_call *c, struct err *err)
{
    struct jval *arguments, *call = jval_map(a), *f = jval_map(a);
    enum status s = prompt_arguments(a, c->arguments, &arguments, err);
    if (s != OK)
        return s;
    f = jval_map_set(a, f, STR("name"), jval_str(a, c->name));
    f = jval_map_set(a, f, STR("arguments"), arguments);
    if (c->id.n || format->short_ids)
        call = jval_map_set(a, call, STR("id"), id_value(format, a, c->id, c->name));
    call = jval_map_set(a, call, STR("type"), jval_str(a, STR("function")));
    call = jval_map_set(a, call, STR("function"), f);
    *list = jval_list_add(a, *list, call);
    return OK;
}

/* A message under the names that templates use: thinking has two, as models differ. */
static enum status message_value(const struct prompt_format *f, struct arena *a,
                                 const struct chat_message *m, struct jval **out, struct err *err)
{
    struct jval *v = jval_map(a);
    v = jval_map_set(a, v, STR("role"), jval_str(a, m->role));
    v = jval_map_set(a, v, STR("content"), jval_str(a, m->content));
    if (m->thinking.n) {
        v = jval_map_set(a, v, STR("reasoning_content"), jval_str(a, m->thinking));
        v = jval_map_set(a, v, STR("thinking"), jval_str(a, m->thinking));
    }
    if (m->n_calls) {
        struct jval *calls = jval_list(a);
        for (size_t i = 0; i < m->n_calls; i++) {
            enum status s = add_call(f, a, &calls, &m->calls[i], err);
            if (s != OK)
                return s;
        }
        v = jval_map_set(a, v, STR("tool_calls"), calls);
    }
    if (m->tool_name.n)
        v = jval_map_set(a, v, STR("name"), jval_str(a, m->tool_name));
    if (m->call_id.n || (f->short_ids && m->tool_name.n))
        v = jval_map_set(a, v, STR("tool_call_id"), id_value(f, a, m->call_id, m->tool_name));
    *out = v;
    return OK;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

/* Cuts the rendered conversation behind the content of its last message, whose trailing space the
 * template may have dropped. */
static enum status cut_open(struct buf *out, size_t from, struct str content, struct err *err)
{
    size_t n = content.n, at = out->n;
    while (n && is_space(content.p[n - 1]))
        n--;
    struct str text = {content.p, n};
    while (text.n && is_space(text.p[0]))
        text = str_slice(text, 1, text.n);
    for (; at > from; at--) {
        struct str rest = str_slice(buf_str(out), at - 1, out->n);
        if (!str_starts(rest, text))
            continue;
        size_t end = at - 1 + text.n;
        if (str_starts(str_slice(buf_str(out), end, out->n), str_slice(content, n, content.n)))
            end += content.n - n;
        out->n = end;
        out->p[end] = 0;
        return OK;
    }
    return err_set(err, EUNSUPPORTED,
                   "chat template: it does not write the last message as it is, so that it cannot "
                   "be continued");
}

static bool blank(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_space(s.p[i]))
            return false;
    return true;
}

enum status prompt_render_request(const struct prompt_format *f, const struct chat_request *r,
                                  struct buf *out, struct err *err)
{
    struct arena a;
    if (prompt_format_kind(f) == PROMPT_PLAIN) {
        render_plain(r, out);
        return buf_check(out, "prompt", err);
    }
    size_t n = r->n_messages, from = out->n;
    bool open = r->continue_last && n > 0;
    if (open && blank(r->messages[n - 1].content)) { /* nothing was said yet */
        open = false;
        n--;
    }
    arena_init(&a, MAX_VALUES);
    struct jval *list = jval_list(&a);
    struct prompt_vars v = {
        .thinking = r->thinking, .effort = r->effort, .no_generation_prompt = open};
    enum status s = prompt_tools(&a, r, &v.tools, err);
    for (size_t i = 0; s == OK && i < n; i++) {
        struct jval *m = NULL;
        s = message_value(f, &a, &r->messages[i], &m, err);
        list = jval_list_add(&a, list, m);
    }
    v.messages = list;
    if (s == OK)
        s = list ? prompt_render(f, &v, out, err)
                 : err_set(err, ELIMIT, "conversation: more than %d bytes", MAX_VALUES);
    if (s == OK && open)
        s = cut_open(out, from, r->messages[n - 1].content, err);
    arena_release(&a);
    return s;
}

enum status prompt_render_messages(const struct prompt_format *f,
                                   const struct chat_message *messages, size_t n,
                                   enum chat_thinking thinking, struct buf *out, struct err *err)
{
    struct chat_request r = {.messages = messages, .n_messages = n, .thinking = thinking};
    return prompt_render_request(f, &r, out, err);
}
