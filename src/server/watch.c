#include "server/watch.h"
#include "base/clock.h"
#include "base/mem.h"
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct watch {
    pthread_mutex_t lock;
    pthread_t thread;
    void (*left)(void *what);
    void (*tick)(void *ctx);
    void *ctx;
    void **of; /* by descriptor; NULL: not watched */
    int n, epoll, stop;
};

/* An event may be older than what the descriptor stands for now: the socket itself is asked. */
static void check(struct watch *w, int fd)
{
    pthread_mutex_lock(&w->lock);
    void *what = fd < w->n ? w->of[fd] : NULL;
    struct pollfd p = {.fd = fd, .events = POLLRDHUP};
    if (what && poll(&p, 1, 0) == 1 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR))) {
        w->of[fd] = NULL;
        w->left(what);
    }
    pthread_mutex_unlock(&w->lock);
}

static void *watch_main(void *ctx)
{
    struct watch *w = ctx;
    struct epoll_event e[64];
    const int64_t second = 1000000000;
    for (int64_t next = clock_ns() + second;;) {
        int64_t now = clock_ns();
        if (now >= next) {
            w->tick(w->ctx);
            next = now + second;
        }
        int n = epoll_wait(w->epoll, e, 64, (int)((next - now) / 1000000) + 1);
        for (int i = 0; i < n; i++) {
            if (e[i].data.fd == w->stop)
                return NULL;
            check(w, e[i].data.fd);
        }
    }
}

enum status watch_new(struct watch **out, void (*left)(void *what), void (*tick)(void *ctx),
                      void *ctx, struct err *err)
{
    struct watch *w = mem_array(1, sizeof *w);
    *out = NULL;
    if (!w)
        return err_set(err, ENOMEMORY, "server: no memory for the watcher");
    w->left = left;
    w->tick = tick;
    w->ctx = ctx;
    w->epoll = epoll_create1(EPOLL_CLOEXEC);
    w->stop = eventfd(0, EFD_CLOEXEC);
    struct epoll_event e = {.events = EPOLLIN, .data.fd = w->stop};
    pthread_mutex_init(&w->lock, NULL);
    if (w->epoll < 0 || w->stop < 0 || epoll_ctl(w->epoll, EPOLL_CTL_ADD, w->stop, &e) != 0 ||
        pthread_create(&w->thread, NULL, watch_main, w) != 0) {
        if (w->epoll >= 0)
            close(w->epoll);
        if (w->stop >= 0)
            close(w->stop);
        free(w);
        return err_set(err, EIO, "server: no descriptor or thread left for the watcher");
    }
    *out = w;
    return OK;
}

static bool make_room(struct watch *w, int fd)
{
    if (fd < w->n)
        return true;
    int n = w->n ? w->n : 256;
    while (n <= fd)
        n *= 2;
    void **of = mem_resize(w->of, (size_t)n, sizeof *of);
    if (!of)
        return false;
    for (int i = w->n; i < n; i++)
        of[i] = NULL;
    w->of = of;
    w->n = n;
    return true;
}

void watch_add(struct watch *w, int fd, void *what)
{
    if (fd < 0)
        return;
    pthread_mutex_lock(&w->lock);
    struct epoll_event e = {.events = EPOLLRDHUP | EPOLLET, .data.fd = fd};
    if (make_room(w, fd)) {
        w->of[fd] = what;
        if (epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &e) != 0)
            w->of[fd] = NULL;
    }
    pthread_mutex_unlock(&w->lock);
}

void watch_remove(struct watch *w, int fd)
{
    if (fd < 0)
        return;
    pthread_mutex_lock(&w->lock);
    if (fd < w->n)
        w->of[fd] = NULL;
    epoll_ctl(w->epoll, EPOLL_CTL_DEL, fd, NULL);
    pthread_mutex_unlock(&w->lock);
}

void watch_free(struct watch *w)
{
    if (!w)
        return;
    if (write(w->stop, &(uint64_t){1}, 8) == 8)
        pthread_join(w->thread, NULL);
    close(w->epoll);
    close(w->stop);
    pthread_mutex_destroy(&w->lock);
    free(w->of);
    free(w);
}
