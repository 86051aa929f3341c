/* The file of API keys: {"keys": [{"name", "sha256", "scopes": [...], "rpm", "concurrent",
 * "created"}]}. */
#include "server/auth.h"
#include "base/file.h"
#include "base/jsonw.h"
#include "base/mem.h"
#include "base/show.h"
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

enum { MAX_FILE = 4 << 20, MAX_LIMIT = 1000000000 };

static const struct {
    const char *name;
    unsigned bit;
} scopes[] = {
    {"infer", SCOPE_INFER}, {"read", SCOPE_READ}, {"models", SCOPE_MODELS}, {"admin", SCOPE_ADMIN}};
enum { N_SCOPES = sizeof scopes / sizeof *scopes };

static enum status scope_add(struct str word, unsigned *out, struct err *err)
{
    for (int i = 0; i < N_SCOPES; i++)
        if (str_is(word, scopes[i].name)) {
            *out |= scopes[i].bit;
            return OK;
        }
    return err_set(err, EUSAGE, "scope '%s', expected infer, read, models or admin", show(word).s);
}

enum status scopes_parse(struct str text, unsigned *out, struct err *err)
{
    *out = 0;
    for (;;) {
        const char *comma = text.n ? memchr(text.p, ',', text.n) : NULL;
        size_t n = comma ? (size_t)(comma - text.p) : text.n;
        enum status s = scope_add(str_slice(text, 0, n), out, err);
        if (s != OK || !comma)
            return s;
        text = str_slice(text, n + 1, text.n);
    }
}

void scopes_text(unsigned bits, struct buf *out)
{
    bool more = false;
    for (int i = 0; i < N_SCOPES; i++)
        if (bits & scopes[i].bit) {
            buf_adds(out, more ? "," : "");
            buf_adds(out, scopes[i].name);
            more = true;
        }
}

static bool name_valid(struct str name)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i], low = (char)(c | 0x20);
        if (!((low >= 'a' && low <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
              c == '-'))
            return false;
    }
    return name.n >= 1 && name.n <= 64;
}

static struct api_key *find(const struct key_list *l, struct str name)
{
    for (size_t i = 0; i < l->n; i++)
        if (str_is(name, l->at[i].name))
            return &l->at[i];
    return NULL;
}

static struct api_key *append(struct key_list *l)
{
    struct api_key *at = mem_resize(l->at, l->n + 1, sizeof *at);
    if (!at)
        return NULL;
    l->at = at;
    at[l->n] = (struct api_key){0};
    return &at[l->n++];
}

static bool from_hex(struct str hex, unsigned char out[32])
{
    gnutls_datum_t in = {(unsigned char *)(uintptr_t)hex.p, (unsigned)hex.n};
    size_t n = 32;
    return hex.n == 64 && gnutls_hex_decode(&in, out, &n) == 0 && n == 32;
}

static enum status read_key(struct key_list *l, const json_t *v, struct err *err)
{
    struct str name, hash;
    struct api_key k = {0};
    enum status s = json_get_str(v, "name", &name, err);
    if (s == OK)
        s = json_get_str(v, "sha256", &hash, err);
    if (s == OK)
        s = json_get_int(v, "rpm", &k.rpm, 0, err);
    if (s == OK)
        s = json_get_int(v, "concurrent", &k.concurrent, 0, err);
    if (s == OK)
        s = json_get_int(v, "created", &k.created_unix_s, 0, err);
    if (s != OK)
        return s;
    if (!name.p || !name_valid(name))
        return err_set(err, EFORMAT, "key %zu: name '%s', expected 1 to 64 of [A-Za-z0-9._-]", l->n,
                       show(name.p ? name : STR("")).s);
    if (find(l, name))
        return err_set(err, EFORMAT, "key '%s': is there twice", show(name).s);
    if (!hash.p || !from_hex(hash, k.hash))
        return err_set(err, EFORMAT, "key '%s': 'sha256', expected 64 hex digits", show(name).s);
    if (k.rpm < 0 || k.rpm > MAX_LIMIT || k.concurrent < 0 || k.concurrent > MAX_LIMIT)
        return err_set(err, EFORMAT, "key '%s': a limit below 0 or above %d", show(name).s,
                       MAX_LIMIT);
    const json_t *list = json_object_get(v, "scopes"), *word;
    size_t i;
    if (!json_is_array(list))
        return err_set(err, EFORMAT, "key '%s': 'scopes', expected an array", show(name).s);
    json_array_foreach(list, i, word)
    {
        struct str w = json_is_string(word) ? json_str(word) : STR("");
        if (scope_add(w, &k.scopes, err) != OK)
            return err_prefix(err, "key '%s'", show(name).s);
    }
    memcpy(k.name, name.p, name.n);
    struct api_key *slot = append(l);
    if (!slot)
        return err_set(err, ENOMEMORY, "keys: no memory");
    *slot = k;
    return OK;
}

enum status keys_read(struct key_list *out, const char *path, struct err *err)
{
    *out = (struct key_list){0};
    if (!file_exists(path))
        return OK;
    json_t *doc = NULL, *v;
    enum status s = json_parse_file(&doc, path, MAX_FILE, err);
    const json_t *list = json_object_get(doc, "keys");
    size_t i;
    if (s == OK && !json_is_array(list))
        s = err_set(err, EFORMAT, "%s: no array 'keys'", path);
    if (s == OK)
        json_array_foreach(list, i, v) if (s == OK && (s = read_key(out, v, err)) != OK)
            err_prefix(err, "%s", path);
    json_decref(doc);
    if (s != OK)
        keys_release(out);
    return s;
}

static void write_key(struct jsonw *w, const struct api_key *k)
{
    char hex[65];
    size_t n = sizeof hex;
    gnutls_datum_t hash = {(unsigned char *)(uintptr_t)k->hash, 32};
    gnutls_hex_encode(&hash, hex, &n);
    jsonw_obj(w);
    jsonw_kstr(w, "name", str_from(k->name));
    jsonw_kstr(w, "sha256", (struct str){hex, 64});
    jsonw_key(w, "scopes");
    jsonw_arr(w);
    for (int i = 0; i < N_SCOPES; i++)
        if (k->scopes & scopes[i].bit)
            jsonw_str(w, str_from(scopes[i].name));
    jsonw_end(w);
    jsonw_kint(w, "rpm", k->rpm);
    jsonw_kint(w, "concurrent", k->concurrent);
    jsonw_kint(w, "created", k->created_unix_s);
    jsonw_end(w);
}

enum status keys_write(const struct key_list *l, const char *path, struct err *err)
{
    struct buf text;
    struct jsonw w;
    buf_init(&text, MAX_FILE);
    jsonw_init(&w, &text, 1);
    jsonw_obj(&w);
    jsonw_key(&w, "keys");
    jsonw_arr(&w);
    for (size_t i = 0; i < l->n; i++)
        write_key(&w, &l->at[i]);
    jsonw_end(&w);
    jsonw_end(&w);
    buf_addc(&text, '\n');
    enum status s = buf_check(&text, path, err);
    struct file_writer f;
    if (s == OK && (s = file_writer_open(&f, path, err)) == OK) {
        if (fchmod(fileno(f.f), 0600) != 0) {
            file_writer_abort(&f);
            s = err_set(err, EIO, "%s: cannot be kept from others: %s", path, strerror(errno));
        } else {
            file_writer_put(&f, text.p, text.n);
            s = file_writer_commit(&f, err);
        }
    }
    buf_release(&text);
    return s;
}

void keys_release(struct key_list *l)
{
    free(l->at);
    *l = (struct key_list){0};
}

enum status keys_add(struct key_list *l, const char *name, unsigned bits, int64_t rpm,
                     int64_t concurrent, char text[KEY_TEXT], struct err *err)
{
    unsigned char secret[32];
    struct str n = str_from(name);
    if (!name_valid(n))
        return err_set(err, EUSAGE, "key name '%s', expected 1 to 64 of [A-Za-z0-9._-]", show(n).s);
    if (find(l, n))
        return err_set(err, EUSAGE, "key '%s' exists; remove it first", show(n).s);
    if (gnutls_rnd(GNUTLS_RND_KEY, secret, sizeof secret) != 0)
        return err_set(err, EIO, "key '%s': the system gives no random bytes", name);
    struct api_key *k = append(l);
    if (!k)
        return err_set(err, ENOMEMORY, "keys: no memory");
    memcpy(text, "hearth_", 7);
    gnutls_datum_t in = {secret, sizeof secret};
    size_t room = KEY_TEXT - 7;
    gnutls_hex_encode(&in, text + 7, &room);
    text[7 + 64] = 0;
    memcpy(k->name, n.p, n.n);
    k->scopes = bits;
    k->rpm = rpm;
    k->concurrent = concurrent;
    k->created_unix_s = (int64_t)time(NULL);
    if (gnutls_hash_fast(GNUTLS_DIG_SHA256, text, 71, k->hash) != 0) {
        l->n--;
        return err_set(err, EFAIL, "key '%s': no SHA-256", name);
    }
    return OK;
}

enum status keys_remove(struct key_list *l, const char *name, struct err *err)
{
    struct api_key *k = find(l, str_from(name));
    if (!k)
        return err_set(err, ENOTFOUND, "key '%s' not found", show(str_from(name)).s);
    size_t at = (size_t)(k - l->at);
    memmove(k, k + 1, (l->n - at - 1) * sizeof *k);
    l->n--;
    return OK;
}
