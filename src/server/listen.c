#include "server/listen.h"
#include "base/show.h"
#include "server/uri.h"
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 1024, SEND_BUFFER = 256 << 10 };

enum status listen_parse(struct str text, char host[256], int *port, struct err *err)
{
    struct str whole = text, name = {NULL, 0};
    static const struct {
        const char *scheme;
        int port;
    } schemes[] = {{"http://", 80}, {"https://", 443}};
    int usual = -1;
    for (int i = 0; i < 2; i++)
        if (str_starts(text, str_from(schemes[i].scheme))) {
            text = str_slice(text, strlen(schemes[i].scheme), text.n);
            usual = schemes[i].port;
        }
    const char *slash = text.n ? memchr(text.p, '/', text.n) : NULL;
    if (slash)
        text.n = (size_t)(slash - text.p);
    struct in6_addr six;
    char copy[256];
    snprintf(copy, sizeof copy, "%.*s", STR_ARG(text));
    *port = usual;
    if (inet_pton(AF_INET6, copy, &six) == 1) { /* "::1", without brackets */
        name = text;
    } else {
        int given;
        if (text.n > 255 || !uri_host(text, &name, &given))
            return err_set(err, EUSAGE, "address '%s', expected HOST, HOST:PORT or [IPV6]:PORT",
                           show(whole).s);
        if (given >= 0)
            *port = given;
    }
    snprintf(host, 256, "%.*s", STR_ARG(name));
    return OK;
}

static bool is_loopback(const struct sockaddr *a)
{
    if (a->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr) >> 24 == 127;
    return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr);
}

static enum status bind_to(struct listener *l, const struct addrinfo *a, const char *shown,
                           struct err *err)
{
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0),
        size = SEND_BUFFER;
    if (fd < 0)
        return err_set(err, EIO, "listen on %s: %s", shown, strerror(errno));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    /* accepted sockets inherit it: what a client that does not read can make the kernel hold */
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    if (a->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){0}, sizeof(int));
    struct sockaddr_storage at;
    socklen_t n = sizeof at;
    if (bind(fd, a->ai_addr, a->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &n) != 0) {
        int error = errno;
        close(fd);
        if (error == EADDRINUSE)
            return err_set(err, EBUSY,
                           "listen on %s: the port is taken; Ollama or another hearth may be "
                           "running (--port N takes another one, 0 any that is free)",
                           shown);
        return err_set(err, EIO, "listen on %s: %s", shown, strerror(error));
    }
    l->fd = fd;
    l->loopback = is_loopback((struct sockaddr *)&at);
    l->port = ntohs(at.ss_family == AF_INET ? ((struct sockaddr_in *)(void *)&at)->sin_port
                                            : ((struct sockaddr_in6 *)(void *)&at)->sin6_port);
    return OK;
}

enum status listen_open(struct listener *l, const char *host, int port, bool tls, struct err *err)
{
    char name[256], service[16], shown[300];
    int own;
    *l = (struct listener){.fd = -1};
    enum status s = listen_parse(str_from(host ? host : ""), name, &own, err);
    if (s != OK)
        return s;
    if (port < 0)
        port = own < 0 ? LISTEN_PORT : own;
    if (!name[0])
        snprintf(name, sizeof name, "127.0.0.1");
    bool six = strchr(name, ':') != NULL;
    snprintf(service, sizeof service, "%d", port);
    snprintf(shown, sizeof shown, six ? "[%s]:%d" : "%s:%d", name, port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV},
                    *list;
    /* "localhost" is both; clients that say so try the fourth version too */
    hints.ai_family = six ? AF_INET6 : strcmp(name, "localhost") == 0 ? AF_INET : AF_UNSPEC;
    int e = getaddrinfo(name, service, &hints, &list);
    if (e != 0)
        return err_set(err, EUSAGE, "listen on %s: %s", shown, gai_strerror(e));
    s = bind_to(l, list, shown, err);
    freeaddrinfo(list);
    if (s == OK)
        snprintf(l->url, sizeof l->url, six ? "%s://[%s]:%d" : "%s://%s:%d", tls ? "https" : "http",
                 name, l->port);
    return s;
}

void listen_close(struct listener *l)
{
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
}
