/* Many clients of a server at once: load [-s STREAMS] [-i IDLE] [-w SLOW] [-t TOKENS] [-p PID]
 * [-m MEGABYTES] PORT MODEL
 *
 * First each of a few requests alone, not streamed: what their answers must be. Then IDLE
 * connections that made one request and stay open, SLOW clients whose answers are larger than what
 * the server may be ahead of them and who read nothing, and STREAMS streams of chat completions at
 * the same time. Each stream's text must be the answer of its request to the byte, so no event may
 * be lost, doubled or go to another stream; all must end while the slow ones still wait; the slow
 * ones' answers must be right in the end too. Meanwhile the idle connections are asked again. PID:
 * the server, whose memory is told and must stay below MEGABYTES (0: no ceiling).
 *
 * One thread, one epoll. Exit code 0: all held. */
#include "base/buf.h"
#include "base/clock.h"
#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { KINDS = 16, BODY_MAX = 64 << 20, PATIENCE_MS = 240000, SPARE_FDS = 64 };

static int port, ep;
static const char *model;

/* ---- one request and its answer ---- */

struct client {
    int fd;
    bool open, done, idle; /* idle: after the answer the connection stays */
    struct buf out;        /* the request; sent up to n_sent */
    size_t n_sent;
    struct buf raw, text; /* received and not read yet; the answer's text */
    bool head, chunked, ended;
    size_t left; /* of a body with Content-Length, or of the chunk */
    bool in_chunk;
    struct buf body; /* decoded and not read yet: an event in pieces, or all of a JSON body */
    int status, events, finishes;
    const char *wrong;
};

static void client_init(struct client *c)
{
    *c = (struct client){.fd = -1};
    buf_init(&c->out, BODY_MAX);
    buf_init(&c->raw, BODY_MAX);
    buf_init(&c->text, BODY_MAX);
    buf_init(&c->body, BODY_MAX);
}

static void client_close(struct client *c)
{
    if (c->open)
        close(c->fd);
    c->open = false;
}

static void client_release(struct client *c)
{
    client_close(c);
    buf_release(&c->out);
    buf_release(&c->raw);
    buf_release(&c->text);
    buf_release(&c->body);
}

static void fail(struct client *c, const char *what)
{
    if (!c->wrong)
        c->wrong = what;
    c->done = true;
}

static void request(struct client *c, const char *method, const char *path, const char *body)
{
    buf_printf(&c->out, "%s %s HTTP/1.1\r\nHost: localhost\r\n", method, path);
    if (body)
        buf_printf(&c->out, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
                   strlen(body));
    buf_printf(&c->out, "\r\n%s", body ? body : "");
}

/* Connects and watches it. receive_bytes: a small SO_RCVBUF for slow readers, or 0. */
static bool client_start(struct client *c, int receive_bytes)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) {
        fail(c, strerror(errno));
        return false;
    }
    c->open = true;
    if (receive_bytes)
        setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
    if ((connect(c->fd, (struct sockaddr *)&a, sizeof a) != 0 && errno != EINPROGRESS) ||
        epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev) != 0) {
        fail(c, strerror(errno));
        return false;
    }
    return true;
}

static void drop_front(struct buf *b, size_t n)
{
    memmove(b->p, b->p + n, b->n - n);
    b->n -= n;
}

/* The text of one choice's "delta" or "message". */
static void take_json(struct client *c, const char *p, size_t n, const char *key)
{
    json_t *v = json_loadb(p, n, 0, NULL);
    const json_t *choice = json_array_get(json_object_get(v, "choices"), 0);
    const char *text = json_string_value(json_object_get(json_object_get(choice, key), "content"));
    if (!choice)
        fail(c, "what came is no chunk of a chat completion");
    if (text)
        buf_adds(&c->text, text);
    if (json_is_string(json_object_get(choice, "finish_reason")) && ++c->finishes > 1)
        fail(c, "a second finish_reason");
    json_decref(v);
}

static void take_events(struct client *c)
{
    char *end;
    size_t at = 0;
    while (!c->wrong && c->body.n > at &&
           (end = memmem(c->body.p + at, c->body.n - at, "\n\n", 2)) != NULL) {
        const char *p = c->body.p + at;
        size_t n = (size_t)(end - p);
        at += n + 2;
        if (c->ended)
            fail(c, "an event after [DONE]");
        else if (n < 6 || memcmp(p, "data: ", 6) != 0 || memchr(p, '\n', n))
            fail(c, "an event that is not one line of data");
        else if (n == 12 && memcmp(p, "data: [DONE]", 12) == 0)
            c->ended = true;
        else
            take_json(c, p + 6, n - 6, "delta");
        c->events++;
    }
    if (at)
        drop_front(&c->body, at);
}

static void end_answer(struct client *c)
{
    c->done = true;
    if (c->chunked && (!c->ended || c->body.n))
        fail(c, "the stream ended without [DONE]");
    else if (!c->chunked && !c->idle)
        take_json(c, c->body.p, c->body.n, "message");
    if (!c->idle)
        client_close(c);
}

static bool take_head(struct client *c)
{
    char *end = c->raw.n ? memmem(c->raw.p, c->raw.n, "\r\n\r\n", 4) : NULL;
    if (!end)
        return false;
    *end = 0;
    const char *length = strcasestr(c->raw.p, "\r\nContent-Length: ");
    c->head = true;
    c->status = (int)strtol(c->raw.p + 9, NULL, 10);
    c->chunked = strcasestr(c->raw.p, "\r\nTransfer-Encoding: chunked") != NULL;
    c->left = length ? strtoul(length + 18, NULL, 10) : 0;
    drop_front(&c->raw, (size_t)(end + 4 - c->raw.p));
    if (c->status != 200)
        fail(c, "the status is not 200");
    return true;
}

/* Moves what there is of the body from raw to body. false: more must come. */
static bool take_chunk_head(struct client *c)
{
    char *end = c->raw.n > 2 ? memmem(c->raw.p + 2, c->raw.n - 2, "\r\n", 2) : NULL;
    size_t skip = c->in_chunk ? 2 : 0; /* what ends the chunk before */
    if (!end || (!c->in_chunk && !(end = memmem(c->raw.p, c->raw.n, "\r\n", 2))))
        return false;
    if (skip && memcmp(c->raw.p, "\r\n", 2) != 0)
        fail(c, "a chunk that is longer than it says");
    c->left = strtoul(c->raw.p + skip, NULL, 16);
    drop_front(&c->raw, (size_t)(end + 2 - c->raw.p));
    c->in_chunk = true;
    if (c->left == 0)
        end_answer(c);
    return !c->done;
}

static void take(struct client *c)
{
    if (!c->head && !take_head(c))
        return;
    while (!c->done) {
        if (c->chunked && c->left == 0 && !take_chunk_head(c))
            return;
        size_t n = c->left < c->raw.n ? c->left : c->raw.n;
        buf_add(&c->body, c->raw.p, n);
        drop_front(&c->raw, n);
        c->left -= n;
        if (c->chunked)
            take_events(c);
        else if (c->left == 0)
            end_answer(c);
        if (c->left)
            return;
    }
}

static void client_ready(struct client *c, unsigned events)
{
    char block[16384];
    if (events & EPOLLOUT && c->n_sent < c->out.n) {
        ssize_t n = send(c->fd, c->out.p + c->n_sent, c->out.n - c->n_sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            fail(c, strerror(errno));
        c->n_sent += n > 0 ? (size_t)n : 0;
        if (c->n_sent == c->out.n) {
            struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
            epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &ev);
        }
    }
    if (!(events & (EPOLLIN | EPOLLERR | EPOLLHUP)) || c->done)
        return;
    ssize_t n = recv(c->fd, block, sizeof block, 0);
    if (n <= 0 && !(n < 0 && errno == EAGAIN)) {
        fail(c, "the connection ended before the answer");
        return;
    }
    if (n > 0) {
        buf_add(&c->raw, block, (size_t)n);
        take(c);
    }
}

/* Until all of v[0..n) are done; false when nothing came for long. */
static bool run(struct client *v, size_t n)
{
    struct epoll_event ev[256];
    for (;;) {
        size_t left = 0;
        for (size_t i = 0; i < n; i++)
            left += !v[i].done;
        if (left == 0)
            return true;
        int k = epoll_wait(ep, ev, 256, PATIENCE_MS);
        if (k <= 0)
            return false;
        for (int i = 0; i < k; i++) {
            struct client *c = ev[i].data.ptr;
            if (!c->done)
                client_ready(c, ev[i].events);
            if (c->done && c->open && (c->wrong || c->idle)) {
                epoll_ctl(ep, EPOLL_CTL_DEL, c->fd, NULL);
                if (c->wrong)
                    client_close(c);
            }
        }
    }
}

/* ---- what is asked ---- */

/* kind: which of KINDS requests; big: with everything that makes its events large. */
static void completion(struct client *c, int kind, int tokens, bool stream, bool big)
{
    static const char *const things[] = {"a sailor",   "a fox", "the moon",     "two friends",
                                         "a lost key", "rain",  "a small bear", "an old map"};
    char body[1024];
    snprintf(body, sizeof body,
             "{\"model\":\"%s\",\"messages\":[{\"role\":\"user\",\"content\":\"Tell me a story "
             "about %s.\"}],\"temperature\":%d,\"seed\":%d,\"max_tokens\":%d,\"stream\":%s%s}",
             model, things[kind % 8], kind / 8, kind + 1, tokens, stream ? "true" : "false",
             big ? ",\"logprobs\":true,\"top_logprobs\":20,\"ignore_eos\":true" : "");
    request(c, "POST", "/v1/chat/completions", body);
}

static bool alone(struct client *c, int kind, int tokens, bool big)
{
    client_init(c);
    completion(c, kind, tokens, false, big);
    if (client_start(c, 0) && run(c, 1) && !c->wrong && c->text.n)
        return true;
    fprintf(stderr, "load: request %d alone: %s\n", kind, c->wrong ? c->wrong : "no answer");
    return false;
}

/* How many of the clients were wrong; says so for the first ones. */
static int judge(const char *what, struct client *v, size_t n, const struct client *want,
                 size_t kinds)
{
    int bad = 0;
    for (size_t i = 0; i < n; i++) {
        const struct client *c = &v[i], *w = want ? &want[i % kinds] : NULL;
        const char *why = c->wrong                                             ? c->wrong
                          : !c->done                                           ? "no answer"
                          : w && !str_eq(buf_str(&c->text), buf_str(&w->text)) ? "another text"
                          : w && c->finishes != 1                              ? "no finish_reason"
                                                                               : NULL;
        if (why && bad++ < 5)
            fprintf(stderr, "load: %s %zu: %s (status %d, %d events)\n%.*s\nexpected\n%.*s\n", what,
                    i, why, c->status, c->events, (int)c->text.n, c->text.n ? c->text.p : "",
                    w ? (int)w->text.n : 0, w && w->text.n ? w->text.p : "");
    }
    return bad;
}

/* "VmRSS" or "VmHWM" of the server in MB; 0 without a PID. */
static double memory_mb(int pid, const char *field)
{
    char path[64], line[256];
    double kb = 0;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *f = pid ? fopen(path, "r") : NULL;
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, field, strlen(field)) == 0)
            kb = strtod(line + strlen(field) + 1, NULL);
    if (f)
        fclose(f);
    return kb / 1024;
}

/* ---- the parts ---- */

/* Connections that made one request each. */
static int open_idle(struct client *v, size_t n, const char *what)
{
    size_t step = 256; /* no more at once than a queue of connections takes */
    for (size_t at = 0; at < n; at += step) {
        size_t k = n - at < step ? n - at : step;
        for (size_t i = at; i < at + k; i++) {
            v[i].idle = true;
            request(&v[i], "GET", "/livez", NULL);
            if (!v[i].open)
                client_start(&v[i], 0);
        }
        run(v + at, k);
    }
    return judge(what, v, n, NULL, 0);
}

/* The same connections once more. */
static int ask_idle(struct client *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct client *c = &v[i];
        struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
        buf_clear(&c->out);
        buf_clear(&c->raw);
        buf_clear(&c->body);
        c->n_sent = 0;
        c->head = c->done = false;
        epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev);
    }
    return open_idle(v, n, "idle connection, asked again");
}

static struct client *clients(size_t n)
{
    struct client *v = calloc(n ? n : 1, sizeof *v);
    for (size_t i = 0; v && i < n; i++)
        client_init(&v[i]);
    return v;
}

struct sizes {
    long streams, idle, slow, tokens, pid, megabytes;
};

static int everything(const struct sizes *z)
{
    size_t n = (size_t)z->streams, n_idle = (size_t)z->idle, n_slow = (size_t)z->slow;
    struct client want[KINDS], big, *idle = clients(n_idle), *slow = clients(n_slow),
                                    *v = clients(n);
    int bad = 0, early = 0;
    if (!idle || !slow || !v)
        return 1;
    for (int i = 0; i < KINDS; i++)
        if (!alone(&want[i], i, (int)z->tokens, false))
            return 1;
    if (!alone(&big, 0, 400, true))
        return 1;
    double before = memory_mb((int)z->pid, "VmRSS");
    int64_t start = clock_ns();
    bad += open_idle(idle, n_idle, "idle connection");
    printf("load: %zu idle connections in %.1f s, server at %.0f MB, %.0f before\n", n_idle,
           clock_since(start), memory_mb((int)z->pid, "VmRSS"), before);
    for (size_t i = 0; i < n_slow; i++) {
        completion(&slow[i], 0, 400, true, true);
        if (client_start(&slow[i], 4096)) /* sends, and reads nothing */
            client_ready(&slow[i], EPOLLOUT);
        struct epoll_event ev = {.events = EPOLLOUT, .data.ptr = &slow[i]};
        epoll_ctl(ep, EPOLL_CTL_MOD, slow[i].fd, &ev);
    }
    start = clock_ns();
    for (size_t i = 0; i < n; i++) {
        completion(&v[i], (int)(i % KINDS), (int)z->tokens, true, false);
        client_start(&v[i], 0);
    }
    bad += ask_idle(idle, n_idle);
    if (!run(v, n))
        fprintf(stderr, "load: nothing came for %d s\n", PATIENCE_MS / 1000);
    double seconds = clock_since(start);
    bad += judge("stream", v, n, want, KINDS);
    for (size_t i = 0; i < n_slow; i++)
        early += slow[i].done;
    if (early)
        fprintf(stderr, "load: %d slow clients were done before they read\n", early);
    long events = 0;
    for (size_t i = 0; i < n; i++)
        events += v[i].events;
    printf("load: %zu streams beside %zu slow ones in %.1f s, %ld events, server at %.0f MB\n", n,
           n_slow, seconds, events, memory_mb((int)z->pid, "VmRSS"));
    for (size_t i = 0; i < n_slow; i++) {
        struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT, .data.ptr = &slow[i]};
        epoll_ctl(ep, EPOLL_CTL_MOD, slow[i].fd, &ev);
    }
    run(slow, n_slow);
    bad += judge("slow stream", slow, n_slow, &big, 1);
    double most = memory_mb((int)z->pid, "VmHWM");
    printf("load: %d wrong, the server had at most %.0f MB\n", bad + early, most);
    if (z->megabytes && most > (double)z->megabytes) {
        fprintf(stderr, "load: expected at most %ld MB\n", z->megabytes);
        bad++;
    }
    for (int i = 0; i < KINDS; i++)
        client_release(&want[i]);
    client_release(&big);
    for (size_t i = 0; i < n_idle; i++)
        client_release(&idle[i]);
    for (size_t i = 0; i < n_slow; i++)
        client_release(&slow[i]);
    for (size_t i = 0; i < n; i++)
        client_release(&v[i]);
    free(idle);
    free(slow);
    free(v);
    return bad + early > 0;
}

/* As many descriptors as may be had; fewer idle connections where that is not enough. */
static void make_room(struct sizes *z)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0)
        return;
    r.rlim_cur = r.rlim_max;
    setrlimit(RLIMIT_NOFILE, &r);
    long most = r.rlim_max > 1000000 ? 1000000 : (long)r.rlim_max;
    long room = most - z->streams - z->slow - SPARE_FDS;
    if (room < z->idle) {
        printf("load: SKIPPED %ld of %ld idle connections: the hard limit is %ld descriptors\n",
               z->idle - (room > 0 ? room : 0), z->idle, most);
        z->idle = room > 0 ? room : 0;
    }
}

int main(int argc, char **argv)
{
    struct sizes z = {.streams = 200, .idle = 1000, .slow = 4, .tokens = 16};
    int opt;
    while ((opt = getopt(argc, argv, "s:i:w:t:p:m:")) != -1) {
        long n = optarg ? strtol(optarg, NULL, 10) : 0;
        switch (opt) {
        case 's': z.streams = n; break;
        case 'i': z.idle = n; break;
        case 'w': z.slow = n; break;
        case 't': z.tokens = n; break;
        case 'p': z.pid = n; break;
        case 'm': z.megabytes = n; break;
        default: return 2;
        }
    }
    if (argc - optind != 2) {
        fprintf(stderr, "usage: load [-s STREAMS] [-i IDLE] [-w SLOW] [-t TOKENS] [-p PID] "
                        "[-m MEGABYTES] PORT MODEL\n");
        return 2;
    }
    port = (int)strtol(argv[optind], NULL, 10);
    model = argv[optind + 1];
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    make_room(&z);
    ep = epoll_create1(EPOLL_CLOEXEC);
    int rc = ep < 0 ? 1 : everything(&z);
    return rc;
}
