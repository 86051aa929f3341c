#include "cli/conversation.h"
#include "base/file.h"
#include "base/jsonw.h"
#include "base/mem.h"
#include <stdlib.h>

static void release_message(struct chat_message *m)
{
    free((void *)(uintptr_t)m->role.p);
    free((void *)(uintptr_t)m->content.p);
    free((void *)(uintptr_t)m->thinking.p);
}

void conversation_release(struct conversation *c)
{
    for (size_t i = 0; i < c->n; i++)
        release_message(&c->m[i]);
    free(c->m);
    *c = (struct conversation){0};
}

enum status conversation_add(struct conversation *c, const char *role, struct str content,
                             struct err *err)
{
    if (c->n == c->cap) {
        size_t cap = c->cap ? 2 * c->cap : 16;
        struct chat_message *m = mem_resize(c->m, cap, sizeof *m);
        if (!m)
            return err_set(err, ENOMEMORY, "conversation: no memory for message %zu", c->n + 1);
        c->m = m;
        c->cap = cap;
    }
    struct chat_message *m = &c->m[c->n];
    *m = (struct chat_message){.role = {mem_dup(role, strlen(role)), strlen(role)},
                               .content = {mem_dup(content.p, content.n), content.n}};
    if (!m->role.p || !m->content.p) {
        release_message(m);
        return err_set(err, ENOMEMORY, "conversation: no memory for message %zu", c->n + 1);
    }
    c->n++;
    return OK;
}

enum status conversation_set_thinking(struct conversation *c, struct str thinking, struct err *err)
{
    if (thinking.n == 0)
        return OK;
    struct chat_message *m = &c->m[c->n - 1];
    struct str copy = {mem_dup(thinking.p, thinking.n), thinking.n};
    if (!copy.p)
        return err_set(err, ENOMEMORY, "conversation: no memory for thinking");
    free((void *)(uintptr_t)m->thinking.p);
    m->thinking = copy;
    return OK;
}

void conversation_pop(struct conversation *c)
{
    if (c->n)
        release_message(&c->m[--c->n]);
}

static bool has_system(const struct conversation *c)
{
    return c->n && str_is(c->m[0].role, "system");
}

enum status conversation_set_system(struct conversation *c, struct str content, struct err *err)
{
    if (has_system(c)) {
        release_message(&c->m[0]);
        c->n--;
        memmove(c->m, c->m + 1, c->n * sizeof *c->m);
    }
    if (content.n == 0)
        return OK;
    enum status s = conversation_add(c, "system", content, err);
    if (s != OK)
        return s;
    struct chat_message system = c->m[c->n - 1];
    memmove(c->m + 1, c->m, (c->n - 1) * sizeof *c->m);
    c->m[0] = system;
    return OK;
}

void conversation_clear(struct conversation *c)
{
    while (c->n > (has_system(c) ? 1u : 0u))
        conversation_pop(c);
}

enum status conversation_save(const struct conversation *c, const char *path, struct err *err)
{
    struct buf text;
    struct jsonw w;
    struct file_writer f;
    buf_init(&text, (size_t)1 << 30);
    jsonw_init(&w, &text, 2);
    jsonw_obj(&w);
    jsonw_key(&w, "messages");
    jsonw_arr(&w);
    for (size_t i = 0; i < c->n; i++) {
        jsonw_obj(&w);
        jsonw_kstr(&w, "role", c->m[i].role);
        jsonw_kstr(&w, "content", c->m[i].content);
        if (c->m[i].thinking.n)
            jsonw_kstr(&w, "thinking", c->m[i].thinking);
        jsonw_end(&w);
    }
    jsonw_end(&w);
    jsonw_end(&w);
    buf_addc(&text, '\n');
    enum status s = buf_check(&text, "conversation", err);
    if (s == OK && (s = file_writer_open(&f, path, err)) == OK) {
        file_writer_put(&f, text.p, text.n);
        s = file_writer_commit(&f, err);
    }
    buf_release(&text);
    return s;
}
