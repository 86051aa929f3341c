/* What holds for every provider: a checked request, and a stream that always ends. */
#include "chat/chat.h"

static enum status check(const struct chat_request *r, struct err *err)
{
    int given = (r->n_messages > 0) + (r->prompt.p != NULL) + (r->n_tokens > 0);
    if (given != 1)
        return err_set(err, EUSAGE, "chat: %s, expected messages, a prompt or tokens",
                       given ? "more than one of messages, prompt and tokens" : "no message");
    for (size_t i = 0; i < r->n_messages; i++)
        if (r->messages[i].role.n == 0)
            return err_set(err, EUSAGE, "chat: message %zu has no role", i);
    return OK;
}

enum status provider_chat(struct provider *p, const struct chat_request *r,
                          const struct chat_sink *sink, struct err *err)
{
    struct err own;
    struct err *e = err ? err : &own;
    enum status s = check(r, e);
    if (s == OK)
        s = p->ops->chat(p, r, sink, e);
    if (s != OK)
        sink->event(sink->ctx, &(struct chat_event){.kind = CHAT_ERROR, .error = e});
    return s;
}

enum status provider_prompt(struct provider *p, const struct chat_request *r, struct buf *text,
                            struct tokens *ids, struct err *err)
{
    enum status s = check(r, err);
    if (s == OK && !p->ops->prompt)
        s = err_set(err, EUNSUPPORTED, "%s: cannot tell the tokens of a prompt", p->ops->name);
    return s == OK ? p->ops->prompt(p, r, text, ids, err) : s;
}

void provider_free(struct provider *p)
{
    if (p)
        p->ops->free(p);
}
