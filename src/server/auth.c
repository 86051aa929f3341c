/* Checking keys in a running server. */
#include "server/auth.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { LOOK_NS = 1000000000 }; /* how often the file is looked at */

/* What a key has used; kept by name over reloads, so that editing the file resets no limit. */
struct use {
    struct use *next;
    char name[65];
    double tokens; /* of the bucket: requests that may come now */
    int64_t filled_ns, running;
};

struct auth {
    pthread_mutex_t lock;
    char *path;
    struct key_list keys;
    struct use *uses;
    struct stat seen;
    int64_t looked_ns;
    bool required;
};

enum status auth_new(struct auth **out, const char *path, struct err *err)
{
    struct auth *a = mem_array(1, sizeof *a);
    *out = NULL;
    if (!a || !(a->path = mem_dup(path, strlen(path)))) {
        free(a);
        return err_set(err, ENOMEMORY, "keys: no memory");
    }
    enum status s = keys_read(&a->keys, path, err);
    if (s != OK) {
        free(a->path);
        free(a);
        return s;
    }
    if (stat(path, &a->seen) != 0)
        memset(&a->seen, 0, sizeof a->seen);
    a->looked_ns = clock_ns();
    a->required = a->keys.n > 0;
    pthread_mutex_init(&a->lock, NULL);
    *out = a;
    return OK;
}

void auth_free(struct auth *a)
{
    if (!a)
        return;
    for (struct use *u = a->uses, *next; u; u = next) {
        next = u->next;
        free(u);
    }
    keys_release(&a->keys);
    pthread_mutex_destroy(&a->lock);
    free(a->path);
    free(a);
}

/* A broken file changes nothing: the keys that were read before still hold. */
static void reload(struct auth *a)
{
    struct stat now;
    if (clock_ns() - a->looked_ns < LOOK_NS)
        return;
    a->looked_ns = clock_ns();
    if (stat(a->path, &now) != 0)
        memset(&now, 0, sizeof now);
    if (now.st_ino == a->seen.st_ino && now.st_size == a->seen.st_size &&
        now.st_mtim.tv_sec == a->seen.st_mtim.tv_sec &&
        now.st_mtim.tv_nsec == a->seen.st_mtim.tv_nsec)
        return;
    struct key_list fresh;
    struct err err = {0};
    a->seen = now;
    if (keys_read(&fresh, a->path, &err) != OK) {
        log_warn("%s (the keys read before still hold)", err.msg);
        return;
    }
    keys_release(&a->keys);
    a->keys = fresh;
    a->required = a->required || fresh.n > 0;
}

bool auth_required(struct auth *a)
{
    pthread_mutex_lock(&a->lock);
    reload(a);
    bool required = a->required;
    pthread_mutex_unlock(&a->lock);
    return required;
}

/* Every hash is compared, each in constant time. */
static const struct api_key *find(const struct auth *a, struct str key)
{
    unsigned char hash[32];
    const struct api_key *found = NULL;
    if (gnutls_hash_fast(GNUTLS_DIG_SHA256, key.p, key.n, hash) != 0)
        return NULL;
    for (size_t i = 0; i < a->keys.n; i++)
        if (gnutls_memcmp(hash, a->keys.at[i].hash, sizeof hash) == 0)
            found = &a->keys.at[i];
    return found;
}

static struct use *use_of(struct auth *a, const struct api_key *k)
{
    for (struct use *u = a->uses; u; u = u->next)
        if (strcmp(u->name, k->name) == 0)
            return u;
    struct use *u = mem_array(1, sizeof *u);
    if (!u)
        return NULL;
    memcpy(u->name, k->name, sizeof u->name);
    u->tokens = (double)k->rpm;
    u->filled_ns = clock_ns();
    u->next = a->uses;
    a->uses = u;
    return u;
}

/* A bucket of `rpm` requests that fills at that rate. */
static bool within_rate(const struct api_key *k, struct use *u, int *retry)
{
    int64_t now = clock_ns();
    double rate = (double)k->rpm / 60e9;
    u->tokens += (double)(now - u->filled_ns) * rate;
    u->filled_ns = now;
    if (u->tokens > (double)k->rpm)
        u->tokens = (double)k->rpm;
    if (u->tokens >= 1) {
        u->tokens -= 1;
        return true;
    }
    *retry = (int)((1 - u->tokens) / rate * 1e-9) + 1;
    return false;
}

static int check(struct auth *a, struct str key, unsigned scope, struct auth_grant *grant,
                 int *retry, struct err *err)
{
    if (!key.p) {
        err_set(err, EUSAGE,
                "no API key, expected 'Authorization: Bearer KEY' or 'x-api-key: KEY'");
        return 401;
    }
    const struct api_key *k = find(a, key);
    if (!k) {
        err_set(err, EUSAGE, "the API key is not one of this server's");
        return 401;
    }
    if (!(k->scopes & (scope | SCOPE_ADMIN))) {
        struct buf need;
        buf_init(&need, 64);
        scopes_text(scope, &need);
        err_set(err, EUSAGE, "the API key '%s' may not do this, it needs the scope %s", k->name,
                need.p ? need.p : "");
        buf_release(&need);
        return 403;
    }
    struct use *u = use_of(a, k);
    if (!u) {
        err_set(err, ENOMEMORY, "keys: no memory");
        return 503;
    }
    *retry = 1;
    if (k->concurrent && u->running >= k->concurrent) {
        err_set(err, EBUSY, "the API key '%s' has %lld requests running, its limit", k->name,
                (long long)k->concurrent);
        return 429;
    }
    if (k->rpm && !within_rate(k, u, retry)) {
        err_set(err, EBUSY, "the API key '%s' has made %lld requests within a minute, its limit",
                k->name, (long long)k->rpm);
        return 429;
    }
    u->running++;
    memcpy(grant->name, k->name, sizeof grant->name);
    grant->scopes = k->scopes & SCOPE_ADMIN ? SCOPES_ALL : k->scopes;
    grant->use = u;
    return 200;
}

int auth_check(struct auth *a, struct str key, unsigned scope, struct auth_grant *grant, int *retry,
               struct err *err)
{
    *grant = (struct auth_grant){.scopes = SCOPES_ALL};
    if (!a || scope == SCOPE_NONE)
        return 200;
    pthread_mutex_lock(&a->lock);
    reload(a);
    int status = a->required ? check(a, key, scope, grant, retry, err) : 200;
    pthread_mutex_unlock(&a->lock);
    return status;
}

void auth_release(struct auth *a, struct auth_grant *grant)
{
    if (!grant->use)
        return;
    pthread_mutex_lock(&a->lock);
    ((struct use *)grant->use)->running--;
    pthread_mutex_unlock(&a->lock);
    grant->use = NULL;
}
