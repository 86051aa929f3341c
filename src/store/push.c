/* Pushing to a registry: blobs that it does not have, in chunks, then the manifest. A chunk goes to
 * the registry itself (PATCH), or to a store that it names (307), as Ollama's does. An upload that
 * breaks goes on where the registry says it is, or from its beginning. */
#include "base/json.h"
#include "base/show.h"
#include "store/hf.h"
#include "store/registry.h"
#include "store/transfer_int.h"
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

enum { URL_BYTES = 16 << 10, CHUNK_MIN = 16 << 20, CHUNKS = 5000, RESTARTS = 4, MD5_BYTES = 16 };

struct upload {
    struct transfer *t;
    struct registry *r;
    struct str digest;
    uint64_t size, sent;
    int fd;
    struct buf next;  /* where the next chunk goes */
    EVP_MD_CTX *etag; /* MD5 of the MD5s of redirected chunks; NULL: none yet */
    int chunks;
};

static void tell(const struct upload *u)
{
    fetch_tell(&u->t->o->progress, "pushing", u->digest, u->size, u->sent);
}

static enum status blob_error(const struct upload *u, const struct web_call *c, struct err *err)
{
    char what[160];
    snprintf(what, sizeof what, "push blob %s", show(u->digest).s);
    return web_status_error(c, what, err);
}

/* ---- what the registry has ---- */

static enum status there(struct upload *u, bool *yes, struct err *err)
{
    struct buf url;
    struct web_call c = {.method = "HEAD"};
    buf_init(&url, URL_BYTES);
    enum status s = registry_url(u->r, &url, err, "blobs/%s", u->digest.p);
    c.url = url.p;
    if (s == OK)
        s = registry_ask(u->r, &c, err);
    *yes = s == OK && c.status == 200;
    if (s == OK && !*yes && c.status != 404 && c.status != 202 && c.status != 307)
        s = blob_error(u, &c, err);
    web_call_release(&c);
    buf_release(&url);
    return s;
}

/* Another repository of the same registry whose model on this machine has the blob. */
struct mount {
    const struct model_name *name;
    struct str digest;
    char from[170];
};

static int find_mount(void *ctx, const struct store_model *m)
{
    struct mount *f = ctx;
    bool has = f->digest.n && str_eq(m->config_digest, f->digest);
    if (strcasecmp(m->name.host, f->name->host) != 0 ||
        (strcmp(m->name.ns, f->name->ns) == 0 && strcmp(m->name.model, f->name->model) == 0))
        return 0;
    for (size_t i = 0; i < m->n_layers; i++)
        has |= str_eq(m->layers[i].digest, f->digest);
    if (has)
        snprintf(f->from, sizeof f->from, "%s/%s", m->name.ns, m->name.model);
    return has;
}

/* ---- one upload ---- */

static enum status take_location(struct upload *u, const struct web_call *c, struct err *err)
{
    struct str where = web_header(c, "Docker-Upload-Location");
    struct buf next;
    if (!where.n)
        where = web_header(c, "Location");
    if (!where.n)
        return err_set(err, EFORMAT, "push: the registry does not say where to send blob %s",
                       show(u->digest).s);
    buf_init(&next, URL_BYTES);
    enum status s = web_resolve(c->url, where, &next, err);
    if (s == OK) {
        buf_clear(&u->next);
        buf_addstr(&u->next, buf_str(&next));
    }
    buf_release(&next);
    return s;
}

/* Asks for an upload. *mounted: there is no need, the registry took it from another repository. */
static enum status begin(struct upload *u, bool *mounted, struct err *err)
{
    struct mount m = {.name = &u->t->name, .digest = u->digest};
    struct buf url;
    struct web_call c = {.method = "POST", .body = STR("")};
    buf_init(&url, URL_BYTES);
    *mounted = false;
    u->sent = 0;
    u->chunks = 0;
    EVP_MD_CTX_free(u->etag);
    u->etag = NULL;
    enum status s = store_each(u->t->s, find_mount, &m, err);
    if (s == OK && *m.from)
        s = registry_url(u->r, &url, err, "blobs/uploads/?mount=%s&from=%s", u->digest.p, m.from);
    else if (s == OK)
        s = registry_url(u->r, &url, err, "blobs/uploads/");
    c.url = url.p;
    if (s == OK)
        s = registry_ask(u->r, &c, err);
    if (s == OK && c.status == 201)
        *mounted = true;
    else if (s == OK)
        s = c.status == 202 ? take_location(u, &c, err) : blob_error(u, &c, err);
    web_call_release(&c);
    buf_release(&url);
    return s;
}

/* The MD5 of a chunk, for the ETag that storage services make of several. */
static enum status note_chunk(struct upload *u, uint64_t at, uint64_t n, struct err *err)
{
    unsigned char md[EVP_MAX_MD_SIZE];
    unsigned k = 0;
    char chunk[64 << 10];
    EVP_MD_CTX *h = EVP_MD_CTX_new();
    bool ok = h && EVP_DigestInit_ex(h, EVP_md5(), NULL) == 1;
    while (ok && n) {
        ssize_t got = pread(u->fd, chunk, n < sizeof chunk ? (size_t)n : sizeof chunk, (off_t)at);
        ok = got > 0 && EVP_DigestUpdate(h, chunk, (size_t)got) == 1;
        at += ok ? (uint64_t)got : 0;
        n -= ok ? (uint64_t)got : 0;
    }
    ok = ok && EVP_DigestFinal_ex(h, md, &k) == 1 && k == MD5_BYTES;
    if (ok && !u->etag) {
        u->etag = EVP_MD_CTX_new();
        ok = u->etag && EVP_DigestInit_ex(u->etag, EVP_md5(), NULL) == 1;
    }
    ok = ok && EVP_DigestUpdate(u->etag, md, k) == 1;
    EVP_MD_CTX_free(h);
    u->chunks++;
    return ok ? OK : err_set(err, EFAIL, "MD5 cannot be computed here");
}

/* The chunk again, to the place that the registry names. Its address is its permission. */
static enum status send_elsewhere(struct upload *u, const struct web_call *c, uint64_t n,
                                  struct err *err)
{
    struct buf url;
    struct web_call put = {.method = "PUT",
                           .from_file = true,
                           .fd = u->fd,
                           .file_at = u->sent,
                           .file_n = n,
                           .patient = true};
    buf_init(&url, URL_BYTES);
    enum status s = web_resolve(c->url, web_header(c, "Location"), &url, err);
    put.url = url.p;
    if (s == OK)
        s = web_ask(u->t->web, &put, err);
    if (s == OK && (put.status < 200 || put.status > 299))
        s = blob_error(u, &put, err);
    if (s == OK)
        s = note_chunk(u, u->sent, n, err);
    web_call_release(&put);
    buf_release(&url);
    return s;
}

/* After a break: how far the registry has come. EFAIL: it does not say. */
static enum status ask_where(struct upload *u, struct err *err)
{
    struct web_call c = {.method = "GET", .url = u->next.p};
    unsigned long long to = 0;
    char range[64] = "";
    enum status s = registry_ask(u->r, &c, err);
    struct str v = s == OK ? web_header(&c, "Range") : (struct str){NULL, 0};
    if (v.n && v.n < sizeof range)
        memcpy(range, v.p, v.n);
    if (s == OK && (c.status != 204 || sscanf(range, "0-%llu", &to) != 1 || to >= u->size))
        s = err_set(err, EFAIL, "push: the upload of blob %s is lost", show(u->digest).s);
    /* "0-0" is what an empty one has, too */
    if (s == OK)
        u->sent = to ? to + 1 : 0;
    if (s == OK && web_header(&c, "Location").n) {
        struct buf next;
        buf_init(&next, URL_BYTES);
        s = web_resolve(c.url, web_header(&c, "Location"), &next, err);
        if (s == OK) {
            c.url = NULL;
            buf_clear(&u->next);
            buf_addstr(&u->next, buf_str(&next));
        }
        buf_release(&next);
    }
    web_call_release(&c);
    return s;
}

/* One request with progress told on the way; unlike registry_ask it never sends a chunk twice,
 * since the registry may have got a part of it. */
static enum status send_once(struct upload *u, struct web_call *c, struct err *err)
{
    struct web_call *done;
    enum status s = registry_authorize(u->r, NULL, &c->authorization, err);
    char ours[400], host[400];
    struct buf base;
    buf_init(&base, URL_BYTES);
    if (s == OK)
        s = registry_url(u->r, &base, err, "x");
    /* an upload's address may be another host's: it sees no token */
    if (s == OK && !(web_host(base.p, ours, sizeof ours) && web_host(c->url, host, sizeof host) &&
                     strcmp(ours, host) == 0))
        c->authorization = NULL;
    buf_release(&base);
    if (s == OK)
        s = web_start(u->t->web, c, err);
    do {
        if (s == OK)
            s = web_step(u->t->web, 100, &done, err);
        if (s == OK)
            fetch_tell(&u->t->o->progress, "pushing", u->digest, u->size, u->sent + c->sent);
    } while (s == OK && !done);
    if (s != OK)
        web_stop(c);
    else if (c->result == WEB_BROKEN)
        s = err_set(err, c->err.code, "%s", c->err.msg);
    return s;
}

/* *broke: the chunk did not get through, but may on another try. */
static enum status send_chunk(struct upload *u, bool *broke, int64_t *pause, int failures,
                              struct err *err)
{
    /* storage services take 10,000 chunks of one blob at most */
    uint64_t chunk = u->size / CHUNKS > CHUNK_MIN ? u->size / CHUNKS : CHUNK_MIN;
    uint64_t n = u->size - u->sent < chunk ? u->size - u->sent : chunk;
    char range[64];
    struct web_call c = {
        .method = "PATCH",
        .url = u->next.p,
        .headers = {"Content-Type: application/octet-stream", range, "X-Redirect-Uploads: 1"},
        .from_file = true,
        .fd = u->fd,
        .file_at = u->sent,
        .file_n = n,
        .stay = true,
        .patient = true};
    snprintf(range, sizeof range, "Content-Range: %llu-%llu", (unsigned long long)u->sent,
             (unsigned long long)(u->sent + n - 1));
    enum status s = send_once(u, &c, err);
    *broke = false;
    if (s == OK && c.result == WEB_ANSWER && c.status == 401 && failures == 0) { /* a new token */
        const char *ignored;
        s = registry_authorize(u->r, &c, &ignored, err);
        *broke = s == OK;
        *pause = 0;
    } else if (s == OK && (c.result != WEB_ANSWER || c.status == 416 || c.status == 404 ||
                           web_worth_retry(&c, 1, pause))) {
        struct web_call cut = {.result = WEB_CUT};
        *broke = web_worth_retry(&cut, failures + 1, pause);
        if (!*broke)
            s = c.result == WEB_ANSWER ? blob_error(u, &c, err)
                                       : err_set(err, c.err.code, "%s", c.err.msg);
    } else if (s == OK && c.status == 307) {
        s = send_elsewhere(u, &c, n, err);
        if (s == OK)
            s = take_location(u, &c, err);
    } else if (s == OK && c.status >= 200 && c.status <= 299) {
        s = take_location(u, &c, err);
    } else if (s == OK) {
        s = blob_error(u, &c, err);
    }
    if (s == OK && !*broke)
        u->sent += n;
    c.url = NULL;
    web_call_release(&c);
    return s;
}

static enum status finish(struct upload *u, struct err *err)
{
    unsigned char md[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    struct web_call c = {.method = "PUT", .body = STR(""), .patient = true};
    buf_printf(&u->next, "%cdigest=", strchr(u->next.p, '?') ? '&' : '?');
    web_escape(&u->next, u->digest, false);
    if (u->etag && EVP_DigestFinal_ex(u->etag, md, &n) == 1) {
        buf_adds(&u->next, "&etag=");
        for (unsigned i = 0; i < n; i++)
            buf_printf(&u->next, "%02x", md[i]);
        buf_printf(&u->next, "-%d", u->chunks);
    }
    enum status s = buf_check(&u->next, "URL", err);
    c.url = u->next.p;
    if (s == OK)
        s = registry_ask(u->r, &c, err);
    if (s == OK && (c.status < 200 || c.status > 299))
        s = blob_error(u, &c, err);
    web_call_release(&c);
    return s;
}

static enum status send_all(struct upload *u, struct err *err)
{
    bool mounted, broke;
    int64_t pause;
    int restarts = 0;
    enum status s = begin(u, &mounted, err);
    for (int failures = 0; s == OK && !mounted && u->sent < u->size;) {
        struct err lost;
        uint64_t before = u->sent;
        tell(u);
        s = send_chunk(u, &broke, &pause, failures, err);
        if (s != OK || !broke) {
            failures = 0;
            continue;
        }
        failures++;
        s = web_wait(u->t->web, pause, err);
        /* redirected chunks cannot be asked for: their ETags would be lost */
        if (s == OK && (u->etag || ask_where(u, &lost) != OK))
            s = restarts++ < RESTARTS ? begin(u, &mounted, err)
                                      : err_set(err, EFAIL, "push: blob %s broke off %d times",
                                                show(u->digest).s, restarts);
        if (s == OK && u->sent > before)
            failures = 0;
    }
    return s == OK && !mounted ? finish(u, err) : s;
}

static enum status push_blob(struct transfer *t, struct registry *r, struct str digest,
                             uint64_t size, const char *path, struct err *err)
{
    struct upload u = {.t = t, .r = r, .digest = digest, .size = size, .fd = -1};
    bool known;
    buf_init(&u.next, URL_BYTES);
    tell(&u);
    enum status s = there(&u, &known, err);
    if (s == OK && !known) {
        u.fd = open(path, O_RDONLY | O_CLOEXEC);
        s = u.fd < 0 ? err_set(err, EIO, "cannot open '%s': %s", path, strerror(errno))
                     : send_all(&u, err);
    }
    u.sent = size;
    if (s == OK)
        tell(&u);
    if (u.fd >= 0)
        close(u.fd);
    EVP_MD_CTX_free(u.etag);
    buf_release(&u.next);
    return s;
}

/* ---- manifest ---- */

/* As the manifest itself says. */
static void media_type(struct str manifest, char *header, size_t size)
{
    struct str type = {NULL, 0};
    json_t *o = NULL;
    if (json_parse(&o, manifest, "manifest", NULL) == OK)
        (void)!json_get_str(o, "mediaType", &type, NULL);
    if (!type.n || type.n > 120 || memchr(type.p, '\r', type.n) || memchr(type.p, '\n', type.n))
        type = STR("application/vnd.docker.distribution.manifest.v2+json");
    snprintf(header, size, "Content-Type: %.*s", STR_ARG(type));
    json_decref(o);
}

static enum status put_manifest(struct transfer *t, struct registry *r, struct str text,
                                struct err *err)
{
    struct buf url;
    char what[160], type[200];
    struct web_call c = {.method = "PUT", .body = text, .patient = true, .headers = {type}};
    media_type(text, type, sizeof type);
    buf_init(&url, URL_BYTES);
    snprintf(what, sizeof what, "push manifest '%s'", show(t->o->name).s);
    fetch_say(&t->o->progress, "pushing manifest");
    enum status s = registry_url(r, &url, err, "manifests/%s", t->name.tag);
    c.url = url.p;
    if (s == OK)
        s = registry_ask(r, &c, err);
    if (s == OK && (c.status < 200 || c.status > 299))
        s = web_status_error(&c, what, err);
    web_call_release(&c);
    buf_release(&url);
    return s;
}

static enum status push_blobs(struct transfer *t, struct registry *r, const struct store_model *m,
                              struct err *err)
{
    enum status s = OK;
    for (size_t i = 0; s == OK && i < m->n_layers; i++)
        s = push_blob(t, r, m->layers[i].digest, m->layers[i].size, m->layers[i].path, err);
    if (s == OK && m->config_digest.n) {
        char *path;
        uint64_t size;
        s = store_blob_find(t->s, m->config_digest, &path, &size, err);
        if (s == OK)
            s = push_blob(t, r, m->config_digest, size, path, err);
        free(path);
    }
    return s;
}

static enum status push(struct transfer *t, struct err *err)
{
    struct registry *r = NULL;
    struct store_model *m = NULL;
    struct buf text;
    buf_init(&text, MANIFEST_BYTES);
    fetch_say(&t->o->progress, "retrieving manifest");
    enum status s = store_find(t->s, t->o->name, &m, err);
    if (s == OK && m->n_layers == 1 && m->layers[0].digest.n == 0)
        s = err_set(err, EUSAGE,
                    "model '%s' is a file without a manifest: 'hearth cp' gives it one",
                    show(t->o->name).s);
    if (s == OK)
        s = store_manifest_text(t->s, m, &text, err);
    if (s == OK)
        s = registry_open(&r, &t->name, t->o->name, t->o->insecure, t->o->cancel, err);
    if (s == OK)
        s = push_blobs(t, r, m, err);
    if (s == OK)
        s = put_manifest(t, r, buf_str(&text), err);
    registry_close(r);
    store_model_free(m);
    buf_release(&text);
    return s;
}

enum status push_model(struct store *s, const struct transfer_options *o, struct err *err)
{
    struct transfer t;
    enum status st = transfer_open(&t, s, o, err);
    if (st == OK && hf_is(&t.name))
        st = err_set(err, EUNSUPPORTED, "'%s': Hugging Face takes no pushed models",
                     show(o->name).s);
    if (st == OK)
        st = push(&t, err);
    if (st == OK)
        fetch_say(&o->progress, "success");
    transfer_close(&t);
    return st;
}
