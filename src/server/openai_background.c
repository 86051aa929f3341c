/* Responses with background: true. The handler has answered its client and goes on; here is who it
 * is, for GET (is it still coming?) and cancel. */
#include "server/openai_responses.h"
#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t left = PTHREAD_COND_INITIALIZER;
static struct background *running;

static struct background *find(struct str id)
{
    struct background *b = running;
    while (b && !str_is(id, b->id))
        b = b->next;
    return b;
}

void background_enter(struct background *b)
{
    pthread_mutex_lock(&lock);
    b->next = running;
    running = b;
    pthread_mutex_unlock(&lock);
}

void background_leave(struct background *b)
{
    pthread_mutex_lock(&lock);
    for (struct background **at = &running; *at; at = &(*at)->next)
        if (*at == b) {
            *at = b->next;
            break;
        }
    pthread_cond_broadcast(&left);
    pthread_mutex_unlock(&lock);
}

bool background_runs(struct str id)
{
    pthread_mutex_lock(&lock);
    bool runs = find(id) != NULL;
    pthread_mutex_unlock(&lock);
    return runs;
}

void background_stop(struct str id)
{
    struct background *b;
    pthread_mutex_lock(&lock);
    while ((b = find(id)) != NULL) {
        atomic_store(&b->cancel, 1);
        pthread_cond_wait(&left, &lock);
    }
    pthread_mutex_unlock(&lock);
}
