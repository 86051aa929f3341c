#include "chat/mailbox.h"
#include <string.h>

enum { MAX_BYTES = 64 << 20 };

/* Before the text and the alternatives that follow it. */
struct head {
    size_t text, prompt_done, prompt_total;
    bool has_token;
};

/* What a token's info takes without alternatives. */
enum { INFO_BYTES = offsetof(struct token_info, top) };

enum status mailbox_init(struct mailbox *m, struct err *err)
{
    memset(m, 0, sizeof *m);
    buf_init(&m->fill, MAX_BYTES);
    buf_init(&m->drain, MAX_BYTES);
    if (pthread_mutex_init(&m->mutex, NULL) != 0)
        return err_set(err, EFAIL, "request: cannot make a mutex");
    if (pthread_cond_init(&m->news, NULL) != 0) {
        pthread_mutex_destroy(&m->mutex);
        return err_set(err, EFAIL, "request: cannot make a condition variable");
    }
    return OK;
}

void mailbox_release(struct mailbox *m)
{
    buf_release(&m->fill);
    buf_release(&m->drain);
    pthread_cond_destroy(&m->news);
    pthread_mutex_destroy(&m->mutex);
}

bool mailbox_has_room(struct mailbox *m)
{
    pthread_mutex_lock(&m->mutex);
    bool room = m->n < MAILBOX_EVENTS;
    pthread_mutex_unlock(&m->mutex);
    return room;
}

void mailbox_put(struct mailbox *m, const struct gen_event *ev)
{
    const struct head h = {.text = ev->text.n,
                           .prompt_done = ev->prompt_done,
                           .prompt_total = ev->prompt_total,
                           .has_token = ev->tok != NULL};
    pthread_mutex_lock(&m->mutex);
    if (ev->prompt_total && m->n >= MAILBOX_EVENTS / 2) { /* the next one tells more */
        pthread_mutex_unlock(&m->mutex);
        return;
    }
    size_t before = m->fill.n;
    buf_add(&m->fill, &h, sizeof h);
    if (ev->tok) {
        buf_add(&m->fill, ev->tok, INFO_BYTES);
        buf_add(&m->fill, ev->tok->top, (size_t)ev->tok->n_top * sizeof *ev->tok->top);
    }
    buf_addstr(&m->fill, ev->text);
    if (m->fill.failed) { /* whole events or none */
        m->fill.n = before;
        m->failed = true;
    } else {
        m->n++;
    }
    m->told = false;
    pthread_mutex_unlock(&m->mutex);
}

void mailbox_wake(struct mailbox *m, int64_t now_ns, bool must)
{
    pthread_mutex_lock(&m->mutex);
    if (m->n && !m->told && (must || now_ns - m->woken_ns >= MAILBOX_WAKE_NS)) {
        m->told = true;
        m->woken_ns = now_ns;
        pthread_cond_signal(&m->news);
    }
    pthread_mutex_unlock(&m->mutex);
}

void mailbox_close(struct mailbox *m)
{
    pthread_mutex_lock(&m->mutex);
    m->over = true;
    pthread_cond_signal(&m->news);
    pthread_mutex_unlock(&m->mutex);
}

/* Calls fn with each event of a buffer until it wants no more. */
static void deliver(const struct buf *b, int (*fn)(void *ctx, const struct gen_event *ev),
                    void *ctx)
{
    for (const char *p = b->p, *end = b->p + b->n; p < end;) {
        struct head h;
        struct token_info info;
        memcpy(&h, p, sizeof h);
        p += sizeof h;
        if (h.has_token) {
            memcpy(&info, p, INFO_BYTES);
            p += INFO_BYTES;
            memcpy(info.top, p, (size_t)info.n_top * sizeof *info.top);
            p += (size_t)info.n_top * sizeof *info.top;
        }
        struct gen_event ev = {.text = {p, h.text},
                               .tok = h.has_token ? &info : NULL,
                               .prompt_done = h.prompt_done,
                               .prompt_total = h.prompt_total};
        p += h.text;
        if (fn(ctx, &ev) != 0)
            return;
    }
}

bool mailbox_read(struct mailbox *m, int (*fn)(void *ctx, const struct gen_event *ev), void *ctx)
{
    pthread_mutex_lock(&m->mutex);
    while (!m->over && (m->n == 0 || !m->told))
        pthread_cond_wait(&m->news, &m->mutex);
    bool more = !m->over || m->n > 0;
    struct buf taken = m->fill;
    m->fill = m->drain;
    m->drain = taken;
    m->n = 0;
    pthread_mutex_unlock(&m->mutex);
    if (m->drain.n)
        deliver(&m->drain, fn, ctx);
    buf_clear(&m->drain);
    return more;
}
