/* A client over plain sockets that shows every byte, and servers for tests on free ports. */
#pragma once
#include "server/server.h"
#include "support.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static inline struct server *serve(struct server_options o)
{
    struct err err = {0};
    struct server *s = NULL;
    if (listen_open(&o.listener, "127.0.0.1", 0, o.tls_cert != NULL, &err) != OK ||
        server_new(&s, &o, &err) != OK)
        fail_msg("server: %s", err.msg);
    return s;
}

static inline void unserve(struct server *s)
{
    int64_t minute = (int64_t)60 * 1000000000;
    assert_int_equal(server_stop(s, minute, minute), 0);
    server_free(s);
}

/* A socket that gives up after a minute, so that a hang is a failure. */
static inline int dial(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct timeval minute = {.tv_sec = 60};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &minute, sizeof minute);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &minute, sizeof minute);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

static inline bool put(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t k = send(fd, p, n, MSG_NOSIGNAL);
        if (k <= 0)
            return false;
        p += k;
        n -= (size_t)k;
    }
    return true;
}

static inline bool puts_to(int fd, const char *text)
{
    return put(fd, text, strlen(text));
}

struct answer {
    int status; /* 0: the connection was closed without one */
    char head[8192];
    struct buf body;
    bool closed, broken; /* broken: closed before the body's end */
};

static inline bool read_byte(int fd, char *c)
{
    return recv(fd, c, 1, 0) == 1;
}

static inline const char *find_header(const struct answer *a, const char *name)
{
    static char value[1024];
    size_t n = strlen(name);
    for (const char *p = strstr(a->head, "\r\n"); p; p = strstr(p + 2, "\r\n"))
        if (strncasecmp(p + 2, name, n) == 0 && p[2 + n] == ':') {
            snprintf(value, sizeof value, "%.*s", (int)strcspn(p + 4 + n, "\r\n"), p + 4 + n);
            return value;
        }
    return NULL;
}

static inline bool read_exactly(int fd, struct buf *out, size_t n)
{
    char block[4096];
    while (n) {
        ssize_t k = recv(fd, block, n < sizeof block ? n : sizeof block, 0);
        if (k <= 0)
            return false;
        buf_add(out, block, (size_t)k);
        n -= (size_t)k;
    }
    return true;
}

static inline bool read_chunks(int fd, struct buf *out)
{
    for (;;) {
        char line[64] = "", c;
        size_t n = 0;
        while (read_byte(fd, &c) && c != '\n' && n + 1 < sizeof line)
            line[n++] = c;
        if (n == 0)
            return false;
        size_t size = strtoul(line, NULL, 16);
        struct buf end;
        buf_init(&end, 2);
        bool ok = read_exactly(fd, out, size) && read_exactly(fd, &end, 2);
        buf_release(&end);
        if (!ok || size == 0)
            return ok;
    }
}

/* The next answer on the connection; answer_release frees it. */
static inline struct answer take(int fd, bool head_only)
{
    struct answer a = {0};
    size_t n = 0;
    char c;
    buf_init(&a.body, 1 << 28);
    while (n + 1 < sizeof a.head && read_byte(fd, &c)) {
        a.head[n++] = c;
        if (n >= 4 && memcmp(a.head + n - 4, "\r\n\r\n", 4) == 0)
            break;
    }
    if (n < 12)
        return a;
    a.status = (int)strtol(a.head + 9, NULL, 10);
    if (a.status == 100) {
        buf_release(&a.body);
        return take(fd, head_only);
    }
    const char *length = find_header(&a, "Content-Length"),
               *coding = find_header(&a, "Transfer-Encoding");
    if (head_only || a.status == 204)
        return a;
    if (coding)
        a.broken = !read_chunks(fd, &a.body);
    else if ((length = find_header(&a, "Content-Length")))
        a.broken = !read_exactly(fd, &a.body, strtoul(length, NULL, 10));
    return a;
}

static inline void answer_release(struct answer *a)
{
    buf_release(&a->body);
}

static inline bool is_closed(int fd)
{
    char c;
    return recv(fd, &c, 1, 0) <= 0;
}

/* A whole exchange on a connection of its own. `request` is all of it. */
static inline struct answer ask(int port, const char *request)
{
    int fd = dial(port);
    puts_to(fd, request);
    struct answer a = take(fd, strncmp(request, "HEAD ", 5) == 0);
    close(fd);
    return a;
}

/* The same with the usual head. more: further header lines, each with its CRLF. */
static inline struct answer call(int port, const char *method, const char *target, const char *more,
                                 const char *body)
{
    struct buf text;
    buf_init(&text, 1 << 26);
    buf_printf(&text, "%s %s HTTP/1.1\r\nHost: localhost:%d\r\n%s", method, target, port,
               more ? more : "");
    if (body)
        buf_printf(&text, "Content-Length: %zu\r\n", strlen(body));
    buf_adds(&text, "\r\n");
    buf_adds(&text, body ? body : "");
    struct answer a = ask(port, text.p);
    buf_release(&text);
    return a;
}

/* Asks and compares status and (unless NULL) a piece of head or body. */
static inline void expect_call(int port, const char *method, const char *target, const char *more,
                               const char *body, int status, const char *piece)
{
    struct answer a = call(port, method, target, more, body);
    if (a.status != status)
        fail_msg("%s %s: status %d, expected %d: %s", method, target, a.status, status,
                 a.body.p ? a.body.p : "");
    if (piece && !strstr(a.head, piece) && !(a.body.p && strstr(a.body.p, piece)))
        fail_msg("%s %s: no '%s' in %s%s", method, target, piece, a.head, a.body.p ? a.body.p : "");
    answer_release(&a);
}
