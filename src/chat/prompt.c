#include "chat/prompt.h"
#include "base/mem.h"
#include "text/chat_template.h"
#include <stdlib.h>

enum { MAX_VALUES = 256 << 20 }; /* bytes of a conversation as template values */

struct prompt_format {
    const struct model *model;
    struct jinja *template; /* NULL: the plain format */
};

enum status prompt_format_new(struct prompt_format **out, const struct model *m, struct str source,
                              struct err *err)
{
    struct prompt_format *f = mem_array(1, sizeof *f);
    if (!f)
        return err_set(err, ENOMEMORY, "chat template: no memory");
    f->model = m;
    if (!source.p)
        source = model_chat_template(m, NULL);
    if (source.n) {
        enum status s = jinja_compile(&f->template, source, err);
        if (s != OK) {
            free(f);
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
    free(f);
}

struct str prompt_format_stop(const struct prompt_format *f)
{
    return f->template ? STR("") : STR("\nUser:");
}

/* Text of a special token, .p NULL when the vocabulary has none. */
static struct str special_text(const struct model *m, enum special_token which)
{
    const struct tokenizer *t = model_tokenizer(m);
    int32_t id = tokenizer_special(t, which);
    return id < 0 ? (struct str){NULL, 0} : tokenizer_piece(t, id);
}

enum status prompt_render(const struct prompt_format *f, const struct prompt_vars *v,
                          struct buf *out, struct err *err)
{
    struct arena a;
    struct jval *extra = NULL;
    enum status s = OK;
    if (!f->template)
        return err_set(err, ENOTFOUND, "chat template: the model has none");
    arena_init(&a, 1 << 16);
    if (v->thinking != THINK_DEFAULT) {
        extra = jval_map_set(&a, jval_map(&a), STR("enable_thinking"),
                             jval_bool(&a, v->thinking == THINK_ON));
        if (!extra)
            s = err_set(err, ENOMEMORY, "chat template: no memory");
    }
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

static void render_plain(const struct chat_message *messages, size_t n, struct buf *out)
{
    for (size_t i = 0; i < n; i++) {
        const struct chat_message *m = &messages[i];
        if (str_is(m->role, "user"))
            buf_adds(out, "User: ");
        else if (str_is(m->role, "assistant"))
            buf_adds(out, "Assistant: ");
        buf_addstr(out, m->content);
        buf_adds(out, "\n\n");
    }
    buf_adds(out, "Assistant:");
}

enum status prompt_render_messages(const struct prompt_format *f,
                                   const struct chat_message *messages, size_t n,
                                   enum chat_thinking thinking, struct buf *out, struct err *err)
{
    struct arena a;
    if (!f->template) {
        render_plain(messages, n, out);
        return buf_check(out, "prompt", err);
    }
    arena_init(&a, MAX_VALUES);
    struct jval *list = jval_list(&a);
    for (size_t i = 0; i < n; i++) {
        struct jval *m = jval_map(&a);
        m = jval_map_set(&a, m, STR("role"), jval_str(&a, messages[i].role));
        m = jval_map_set(&a, m, STR("content"), jval_str(&a, messages[i].content));
        list = jval_list_add(&a, list, m);
    }
    struct prompt_vars v = {.messages = list, .thinking = thinking};
    enum status s = list ? prompt_render(f, &v, out, err)
                         : err_set(err, ELIMIT, "conversation: more than %d bytes", MAX_VALUES);
    arena_release(&a);
    return s;
}
