/* Pulling from Hugging Face: the files become blobs, and those a model, as `hearth create` makes
 * one from uploaded files. */
#include "base/mem.h"
#include "base/show.h"
#include "store/create.h"
#include "store/hf.h"
#include "store/partial.h"
#include "store/transfer_int.h"
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

enum { URL_BYTES = 16 << 10, IN_MEMORY = 512 << 20, TEXT_FILE = 1 << 20 };

struct hub_pull {
    struct transfer *t;
    struct buf token;
    const char *authorization;
};

static enum status authorize(void *ctx, const struct web_call *refused, const char **value,
                             struct err *err)
{
    const struct hub_pull *h = ctx;
    *value = h->authorization;
    return refused ? web_status_error(refused, "file", err) : OK;
}

/* ---- files ---- */

/* git's name of a file: SHA-1 of "blob SIZE\0" and the bytes. */
static bool oid_fits(struct str oid, struct str bytes)
{
    unsigned char md[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    char head[40], hex[41];
    int k = snprintf(head, sizeof head, "blob %zu", bytes.n) + 1;
    EVP_MD_CTX *h = EVP_MD_CTX_new();
    bool ok = h && EVP_DigestInit_ex(h, EVP_sha1(), NULL) == 1 &&
              EVP_DigestUpdate(h, head, (size_t)k) == 1 &&
              EVP_DigestUpdate(h, bytes.p, bytes.n) == 1 && EVP_DigestFinal_ex(h, md, &n) == 1 &&
              n == 20;
    EVP_MD_CTX_free(h);
    for (unsigned i = 0; ok && i < n; i++)
        snprintf(hex + 2 * i, 3, "%02x", md[i]);
    return ok && oid.n == 40 && memcmp(oid.p, hex, 40) == 0;
}

/* A file that is in git itself is small: read whole. The answer's body is in c. */
static enum status read_file(struct hub_pull *h, const struct hf_file *f, struct web_call *c,
                             struct err *err)
{
    struct buf url;
    char what[160];
    snprintf(what, sizeof what, "file '%s'", show(f->path).s);
    if (f->size > IN_MEMORY)
        return err_set(err, EUNSUPPORTED, "%s has %llu bytes and no SHA-256, expected one in LFS",
                       what, (unsigned long long)f->size);
    buf_init(&url, URL_BYTES);
    enum status s = hf_file_url(&url, &h->t->name, f->path, err);
    c->method = "GET";
    c->url = url.p;
    c->authorization = h->authorization;
    c->answer_max = (size_t)f->size + 1;
    if (s == OK)
        s = web_ask(h->t->web, c, err);
    if (s == OK && c->status != 200)
        s = web_status_error(c, what, err);
    if (s == OK && c->answer.n != f->size)
        s = err_set(err, EFORMAT, "%s has %zu bytes, its repository says %llu", what, c->answer.n,
                    (unsigned long long)f->size);
    if (s == OK && f->oid.p && !oid_fits(f->oid, buf_str(&c->answer)))
        s = err_set(err, EFORMAT, "%s does not have git's digest %s", what, show(f->oid).s);
    c->url = NULL;
    buf_release(&url);
    return s;
}

static enum status get_small(struct hub_pull *h, const struct hf_file *f, struct str *digest,
                             struct err *err)
{
    struct web_call c = {0};
    char text[72];
    bool made;
    enum status s = read_file(h, f, &c, err);
    if (s == OK)
        s = blob_put(h->t->s, buf_str(&c.answer), text, &made, err);
    if (s == OK) {
        *digest = arena_str(&h->t->arena, str_from(text));
        s = digest->p ? OK : err_set(err, ENOMEMORY, "no memory for a digest");
    }
    if (s == OK)
        fetch_tell(&h->t->o->progress, "pulling", *digest, f->size, f->size);
    web_call_release(&c);
    return s;
}

static enum status get_big(struct hub_pull *h, const struct hf_file *f, struct err *err)
{
    struct buf url;
    struct fetch g = {.web = h->t->web,
                      .digest = f->digest,
                      .size = f->size,
                      .authorize = authorize,
                      .ctx = h,
                      .cancel = h->t->o->cancel,
                      .progress = &h->t->o->progress};
    buf_init(&url, URL_BYTES);
    enum status s = hf_file_url(&url, &h->t->name, f->path, err);
    g.url = url.p;
    if (s == OK)
        s = fetch_blob(h->t->s, &g, err);
    buf_release(&url);
    return s;
}

static enum status check_room(struct hub_pull *h, const struct hf_choice *c, struct err *err)
{
    uint64_t missing = 0;
    for (size_t i = 0; i < c->files.n; i++) {
        const struct hf_file *f = &c->files.f[i];
        char *path = NULL;
        uint64_t there, disk = f->digest.p ? partial_disk(h->t->s, f->digest) : 0;
        bool known = f->digest.p &&
                     store_blob_find(h->t->s, f->digest, &path, &there, NULL) == OK &&
                     there == f->size;
        free(path);
        if (!known && disk < f->size && __builtin_add_overflow(missing, f->size - disk, &missing))
            missing = UINT64_MAX;
        /* what is converted or joined stands beside its source for a time */
        if ((!c->gguf || c->files.n > 1) && __builtin_add_overflow(missing, f->size, &missing))
            missing = UINT64_MAX;
    }
    return fetch_room(h->t->s, missing, err);
}

/* ---- what a GGUF repository says beside the weights: files "template", "system", "params" ---- */

static enum status take_texts(struct hub_pull *h, const struct hf_files *all,
                              struct create_recipe *r, struct err *err)
{
    struct {
        const char *name;
        struct str *out;
    } rows[] = {
        {"template", &r->template_text}, {"system", &r->system}, {"params", &r->params_json}};
    enum status s = OK;
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++)
        for (size_t i = 0; s == OK && i < all->n; i++) {
            const struct hf_file *f = &all->f[i];
            struct web_call c = {0};
            if (!str_is(f->path, rows[k].name) || f->digest.p || f->size > TEXT_FILE)
                continue;
            s = read_file(h, f, &c, err);
            if (s == OK)
                *rows[k].out = arena_str(&h->t->arena, buf_str(&c.answer));
            web_call_release(&c);
        }
    return s;
}

/* ---- all of it ---- */

static void on_status(void *ctx, const char *status, double fraction)
{
    const struct transfer_progress *p = ctx;
    if (!p->tell || strcmp(status, "success") == 0) /* told at the very end */
        return;
    if (fraction >= 0)
        p->tell(p->ctx, status, (struct str){NULL, 0}, 1000, (uint64_t)(fraction * 1000));
    else
        fetch_say(p, status);
}

static enum status make_model(struct hub_pull *h, const struct hf_choice *c, struct str *digests,
                              struct create_recipe *r, struct err *err)
{
    struct transfer *t = h->t;
    struct buf name;
    struct create_progress progress = {on_status, (void *)(uintptr_t)&t->o->progress};
    struct create_file *files = arena_array(&t->arena, c->files.n, sizeof *files);
    if (!files)
        return err_set(err, ENOMEMORY, "no memory for a model's files");
    for (size_t i = 0; i < c->files.n; i++)
        files[i] = (struct create_file){hf_base_name(c->files.f[i].path), digests[i]};
    buf_init(&name, 1024);
    name_full(&t->name, &name);
    r->name = buf_str(&name);
    r->files = files;
    r->n_files = c->files.n;
    r->quantize = c->quantize;
    r->cancel = t->o->cancel;
    r->threads = t->o->threads;
    enum status s = create_model(t->s, r, &progress, err);
    buf_release(&name);
    /* sources that the model is not made of have done their part; so have those of one that cannot
     * be made */
    if (s == OK || s == EFORMAT || s == EUNSUPPORTED)
        blobs_drop(t->s, digests, c->files.n);
    return s;
}

static enum status get_files(struct hub_pull *h, const struct hf_choice *c, struct str *digests,
                             struct err *err)
{
    enum status s = check_room(h, c, err);
    for (size_t i = 0; s == OK && i < c->files.n; i++) {
        const struct hf_file *f = &c->files.f[i];
        digests[i] = f->digest;
        s = f->digest.p ? get_big(h, f, err) : get_small(h, f, &digests[i], err);
    }
    return s;
}

enum status pull_hf(struct transfer *t, struct err *err)
{
    struct hub_pull h = {.t = t};
    struct hf_files all = {0};
    struct hf_choice c = {0};
    struct create_recipe r = {0};
    struct store_hold *hold = NULL;
    struct str *digests = NULL;
    buf_init(&h.token, 64 << 10);
    h.authorization = hf_authorization(&h.token);
    fetch_say(&t->o->progress, "pulling manifest");
    enum status s = hf_list(&all, t->web, &t->name, h.authorization, &t->arena, err);
    if (s == OK)
        s = hf_choose(&c, &all, str_from(t->name.tag), err);
    if (s == OK && !(digests = arena_array(&t->arena, c.files.n, sizeof *digests)))
        s = err_set(err, ENOMEMORY, "no memory for a list of files");
    if (s == OK)
        s = store_hold_take(t->s, &hold, err);
    if (s == OK)
        s = get_files(&h, &c, digests, err);
    if (s == OK && c.gguf)
        s = take_texts(&h, &all, &r, err);
    store_hold_release(hold); /* create takes its own */
    if (s == OK)
        s = make_model(&h, &c, digests, &r, err);
    hf_files_release(&c.files);
    hf_files_release(&all);
    buf_release(&h.token);
    return s;
}
