#include "server/inner.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/show.h"
#include "server/ask.h"
#include "server/server_int.h"
#include <stdio.h>
#include <stdlib.h>

/* A reply that no connection belongs to: what is sent stays in r->whole. */
static struct reply *reply_alone(const struct inner_call *c, const struct route_match *m)
{
    struct reply *r = mem_array(1, sizeof *r);
    if (!r)
        return NULL;
    r->refs = 1;
    r->fd = -1;
    r->length = (int64_t)c->body.n;
    r->prompt_tokens = r->answer_tokens = -1;
    r->route = m->route;
    r->dialect = m->route->dialect;
    r->n_params = m->n_params;
    memcpy(r->params, m->params, sizeof r->params);
    arena_init(&r->arena, MAX_ARENA);
    buf_init(&r->body, 0);
    buf_init(&r->whole, 0);
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->moved, NULL);
    r->q = (struct http_request){.app = c->app,
                                 .method = c->method,
                                 .path = c->path,
                                 .peer = STR(""),
                                 .key_name = c->key_name.p ? c->key_name : STR(""),
                                 .scopes = SCOPE_INFER | SCOPE_READ,
                                 .body = c->body,
                                 .gone = c->gone ? c->gone : &r->gone,
                                 .start_ns = clock_ns(),
                                 .priority = c->priority,
                                 .impl = r};
    return r;
}

static void reply_drop(struct reply *r)
{
    ring_release(&r->in);
    ring_release(&r->out);
    buf_release(&r->body);
    buf_release(&r->whole);
    arena_release(&r->arena);
    pthread_cond_destroy(&r->moved);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

enum status inner_call(const struct inner_call *c, int *http_status, char id[INNER_ID],
                       struct buf *body, struct err *err)
{
    struct route_match m;
    char hex[33];
    struct err told = {0};
    route_find(c->routes, c->n_routes, c->method, c->path, &m);
    if (!m.route)
        return err_set(err, ENOTFOUND, "'%s': no such path", show(c->path).s);
    struct reply *r = reply_alone(c, &m);
    if (!r)
        return err_set(err, ENOMEMORY, "%s: no memory for a request", m.route->path);
    random_hex(hex, 16);
    snprintf(id, INNER_ID, "req_%s", hex);
    r->q.id = str_from(id);
    enum status s = m.route->fn(&r->q, r, &told);
    reply_finish(r, s, &told);
    if (s == ECANCEL || (c->gone && atomic_load(c->gone))) {
        s = err_set(err, ECANCEL, "%s: stopped", m.route->path);
    } else if (r->answer != ANSWER_WHOLE) {
        s = err_set(err, EFAIL, "%s: the answer is a stream", m.route->path);
    } else {
        *http_status = r->status;
        buf_addstr(body, buf_str(&r->whole));
        s = buf_check(body, "answer", err);
    }
    reply_drop(r);
    return s;
}
