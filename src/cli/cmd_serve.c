/* hearth serve: the HTTP server over the store and the models in memory, until a signal ends it. */
#include "base/file.h"
#include "base/log.h"
#include "cli/commands.h"
#include "cli/entry.h"
#include "base/machine.h"
#include "cli/load.h"
#include "server/app.h"
#include "server/archive.h"
#include "server/batches.h"
#include "server/ollama.h"
#include "server/server.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    PREFIX_MB = 256,
    DRAIN_SECONDS = 30,
    GRACE_SECONDS = 5,
    MAX_PEM = 1 << 20,
    MAX_ORIGINS = 64
};

/* What lives as long as the server. */
struct serving {
    struct auth *auth;
    struct otlp *otlp;
    struct buf cert, key, origins;
    const char *origin[MAX_ORIGINS];
    size_t n_origins;
    struct app app;
    char *prefixes;   /* folder */
    char *draft_path; /* --draft-model */
};

static void release(struct serving *v)
{
    batches_free(v->app.batches);
    hub_free(v->app.hub);
    free(v->prefixes);
    free(v->draft_path);
    archive_close(v->app.archive);
    if (v->app.store)
        store_close(v->app.store);
    otlp_free(v->otlp); /* after the server: the last spans go out */
    auth_free(v->auth);
    buf_release(&v->cert);
    buf_release(&v->key);
    buf_release(&v->origins);
}

/* Splits "a,b" in place. */
static enum status read_origins(struct serving *v, const char *text, struct err *err)
{
    if (!text)
        return OK;
    buf_adds(&v->origins, text);
    enum status s = buf_check(&v->origins, "--origins", err);
    for (char *p = v->origins.p; s == OK && p && *p;) {
        char *comma = strchr(p, ',');
        if (comma)
            *comma = 0;
        if (v->n_origins == MAX_ORIGINS)
            return err_set(err, EUSAGE, "--origins: more than %d", MAX_ORIGINS);
        if (*p)
            v->origin[v->n_origins++] = p;
        p = comma ? comma + 1 : NULL;
    }
    return s;
}

static enum status read_tls(struct serving *v, const struct options *o, struct err *err)
{
    if (!o->tls_cert && !o->tls_key)
        return OK;
    if (!o->tls_cert || !o->tls_key)
        return err_set(err, EUSAGE, "--tls-cert and --tls-key: expected both or none");
    enum status s = file_read(o->tls_cert, &v->cert, err);
    return s == OK ? file_read(o->tls_key, &v->key, err) : s;
}

static enum status read_keys(struct serving *v, const struct options *o, struct err *err)
{
    if (o->no_auth)
        return o->keys ? err_set(err, EUSAGE, "--no-auth and --keys: expected one of them") : OK;
    char *path = o->keys ? NULL : hearth_home("keys.json");
    if (!path && !o->keys)
        return err_set(err, ENOMEMORY, "serve: no home for keys.json");
    enum status s = auth_new(&v->auth, o->keys ? o->keys : path, err);
    free(path);
    return s;
}

static enum status start_otlp(struct serving *v, struct err *err)
{
    struct otlp_options o;
    char url[1024];
    return otlp_from_environment(&o, url) ? otlp_new(&v->otlp, &o, err) : OK;
}

static enum status log_form(const char *name, enum access_form *form, struct err *err)
{
    static const char *const names[] = {
        [ACCESS_OFF] = "off", [ACCESS_TEXT] = "text", [ACCESS_JSON] = "json"};
    *form = ACCESS_TEXT;
    for (int i = 0; name && i < 3; i++)
        if (strcmp(name, names[i]) == 0) {
            *form = (enum access_form)i;
            return OK;
        }
    return name ? err_set(err, EUSAGE, "--log: '%s', expected text, json or off", name) : OK;
}

/* $HEARTH_KEEP_ALIVE or Ollama's variable: how long an idle model stays. */
static enum status keep_alive(int64_t *ns, struct err *err)
{
    const char *said = getenv("HEARTH_KEEP_ALIVE");
    said = said ? said : getenv("OLLAMA_KEEP_ALIVE");
    *ns = (int64_t)5 * 60 * 1000000000;
    if (!said || !*said)
        return OK;
    json_t *v = json_string(said);
    enum status s = v ? ollama_keep_alive(v, ns, err) : err_set(err, ENOMEMORY, "serve: no memory");
    json_decref(v);
    return s;
}

/* A server that cannot keep anything still answers. */
static void open_archive(struct serving *v)
{
    struct err err = {0};
    if (archive_open(&v->app.archive, &(struct archive_options){0}, &err) != OK)
        log_warn("serve: responses, files and batches are not stored: %s", err.msg);
}

static enum status open_app(struct serving *v, const struct options *o, struct err *err)
{
    struct hub_options h;
    enum status s = hub_options_from(&h, o, err);
    if (s == OK)
        s = keep_alive(&h.keep_alive_ns, err);
    if (s == OK)
        s = open_store(&v->app.store, err);
    if (s != OK)
        return s;
    struct err busy; /* somebody is making a model: the next start removes what is left */
    if (store_prune(v->app.store, NULL, &busy) != OK)
        log_info("%s", busy.msg);
    open_archive(v);
    h.store = v->app.store;
    h.prefix_memory = (uint64_t)(o->prefix_memory == INT64_MIN ? PREFIX_MB : o->prefix_memory)
                      << 20;
    if (o->prefix_disk > 0) {
        if (!(v->prefixes = hearth_home("prefixes")))
            return err_set(err, ENOMEMORY, "serve: no home for prefixes");
        h.prefix_folder = v->prefixes;
        h.prefix_disk = (uint64_t)o->prefix_disk << 20;
    }
    if (o->draft_model && o->draft != 0) {
        s = model_resolve(o->draft_model, &v->draft_path, err);
        if (s != OK)
            return err_prefix(err, "--draft-model");
        h.draft_path = v->draft_path;
    }
    h.draft_max = o->draft == 0 ? -1 : o->draft > 0 ? (int)o->draft : 0;
    return hub_new(&v->app.hub, &h, err);
}

static void write_metrics(void *app, struct buf *out)
{
    hub_metrics(((struct app *)app)->hub, out);
}

static enum status prepare(struct serving *v, const struct options *o, struct server_options *so,
                           struct err *err)
{
    enum status s = log_form(o->log, &so->log, err);
    if (s == OK)
        s = read_origins(v, o->origins ? o->origins : getenv("OLLAMA_ORIGINS"), err);
    if (s == OK)
        s = read_tls(v, o, err);
    if (s == OK)
        s = read_keys(v, o, err);
    if (s == OK)
        s = start_otlp(v, err);
    if (s == OK)
        s = listen_open(&so->listener, o->host ? o->host : getenv("OLLAMA_HOST"),
                        o->port == INT64_MIN ? -1 : (int)o->port, v->cert.n > 0, err);
    if (s != OK)
        return s;
    so->app = &v->app;
    so->metrics = write_metrics;
    so->routes = own_routes;
    so->n_routes = n_own_routes;
    so->auth = v->auth;
    so->otlp = v->otlp;
    so->origins = v->origin;
    so->n_origins = v->n_origins;
    so->tls_cert = v->cert.n ? v->cert.p : NULL;
    so->tls_key = v->key.n ? v->key.p : NULL;
    if (!so->listener.loopback && !o->no_auth && !auth_required(v->auth)) {
        s = err_set(err, EUSAGE,
                    "%s can be reached by others and there is no API key: make one with 'hearth "
                    "key add NAME', or say --no-auth",
                    so->listener.url);
        listen_close(&so->listener);
    }
    return s;
}

/* Waits for SIGTERM or SIGINT (blocked in every thread), then stops: a second one does not wait. */
static void serve_until_signal(struct server *server, struct app *app, const sigset_t *signals,
                               int64_t drain_s)
{
    int sig;
    sigwait(signals, &sig);
    fprintf(stderr, "hearth: stopping, %lld s for requests that run\n", (long long)drain_s);
    /* the default again: the next signal ends the process */
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, signals, NULL);
    batches_stop(app->batches);
    int left = server_stop(server, drain_s * 1000000000, (int64_t)GRACE_SECONDS * 1000000000);
    if (left) {
        fprintf(stderr, "hearth: %d requests did not end\n", left);
        _exit(1);
    }
    server_free(server);
}

enum status cmd_serve(const struct options *o, struct err *err)
{
    struct serving v = {0};
    struct server_options so = {0};
    struct server *server = NULL;
    sigset_t signals;
    buf_init(&v.cert, MAX_PEM);
    buf_init(&v.key, MAX_PEM);
    buf_init(&v.origins, 1 << 16);
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    /* before there is any other thread, which inherits it */
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    enum status s = prepare(&v, o, &so, err);
    if (s == OK)
        s = open_app(&v, o, err);
    if (s == OK && v.app.archive)
        s = batches_start(&v.app.batches, &v.app, own_routes, n_own_routes, err);
    if (s == OK && (s = server_new(&server, &so, err)) != OK)
        batches_stop(v.app.batches);
    if (s == OK) {
        fprintf(stderr, "hearth: listening on %s\n", server_url(server));
        serve_until_signal(server, &v.app, &signals,
                           o->drain == INT64_MIN ? DRAIN_SECONDS : o->drain);
    }
    release(&v);
    return s;
}
