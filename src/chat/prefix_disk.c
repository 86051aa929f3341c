/* A file: head, identity, tokens, snapshot. Its name is the digest of all of it, which is checked
 * when the snapshot is wanted; the head alone is checked for its sizes. */
#include "chat/prefix_disk.h"
#include "base/file.h"
#include "base/mem.h"
#include <dirent.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

static const uint64_t magic = 0x3173666572706b76;

struct head {
    uint64_t magic, n_identity, n;
};

static enum status path_of(struct buf *path, const char *folder, const char *digest,
                           struct err *err)
{
    buf_init(path, 1 << 16);
    buf_printf(path, "%s/%s.kv", folder, digest);
    return buf_check(path, "name of a prefix's file", err);
}

static bool sha256_hex(const struct str *parts, size_t n, char out[DIGEST_HEX + 1])
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned int n_sum = 0;
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    bool ok = c && EVP_DigestInit_ex(c, EVP_sha256(), NULL) == 1;
    for (size_t i = 0; i < n; i++)
        ok = ok && EVP_DigestUpdate(c, parts[i].p, parts[i].n) == 1;
    ok = ok && EVP_DigestFinal_ex(c, sum, &n_sum) == 1 && 2 * n_sum == DIGEST_HEX;
    EVP_MD_CTX_free(c);
    for (unsigned i = 0; ok && i < n_sum; i++) {
        out[2 * i] = "0123456789abcdef"[sum[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[sum[i] & 15];
    }
    out[ok ? DIGEST_HEX : 0] = 0;
    return ok;
}

enum status prefix_disk_write(const char *folder, struct str identity, const int32_t *id, size_t n,
                              struct str snapshot, struct prefix_file *f, struct err *err)
{
    const struct head h = {magic, identity.n, n};
    const struct str parts[] = {
        {(const char *)&h, sizeof h}, identity, {(const char *)id, n * sizeof *id}, snapshot};
    struct file_writer w;
    struct buf path;
    if (!sha256_hex(parts, 4, f->digest))
        return err_set(err, EFAIL, "prefix: cannot compute a SHA-256");
    enum status st = path_of(&path, folder, f->digest, err);
    if (st == OK)
        st = file_writer_open(&w, path.p, err);
    f->bytes = 0;
    for (int i = 0; st == OK && i < 4; i++) {
        file_writer_put(&w, parts[i].p, parts[i].n);
        f->bytes += parts[i].n;
    }
    if (st == OK)
        st = file_writer_commit(&w, err);
    buf_release(&path);
    f->used = (int64_t)time(NULL);
    return st;
}

/* The head of mapped bytes, and where the snapshot begins. */
static bool parse(struct str bytes, struct head *h, size_t *at)
{
    size_t tokens;
    if (bytes.n < sizeof *h)
        return false;
    memcpy(h, bytes.p, sizeof *h);
    return h->magic == magic && h->n_identity <= PREFIX_IDENTITY_MAX && h->n > 0 &&
           size_mul((size_t)h->n, sizeof(int32_t), &tokens) &&
           size_add(tokens, sizeof *h + (size_t)h->n_identity, at) && *at <= bytes.n;
}

enum status prefix_disk_read(const char *folder, const char *digest, struct buf *out,
                             struct err *err)
{
    struct file_map m;
    struct buf path;
    struct head h;
    size_t at;
    char is[DIGEST_HEX + 1];
    enum status st = path_of(&path, folder, digest, err);
    if (st == OK)
        st = file_map_open(&m, path.p, err);
    if (st == OK) {
        struct str bytes = {(const char *)m.p, m.n};
        if (!sha256_hex(&bytes, 1, is) || strcmp(is, digest) != 0 || !parse(bytes, &h, &at))
            st = err_set(err, EFORMAT, "'%s': its SHA-256 is '%s'", path.p, is);
        else
            buf_addstr(out, str_slice(bytes, at, bytes.n));
        file_map_close(&m);
    }
    buf_release(&path);
    return st == OK ? buf_check(out, "snapshot", err) : st;
}

void prefix_disk_remove(const char *folder, const char *digest)
{
    struct buf path;
    if (path_of(&path, folder, digest, NULL) == OK)
        (void)remove(path.p);
    buf_release(&path);
}

static bool is_digest(const char *name)
{
    return strspn(name, "0123456789abcdef") == DIGEST_HEX && strcmp(name + DIGEST_HEX, ".kv") == 0;
}

static void read_head(const char *path, const char *digest,
                      void (*fn)(void *ctx, const struct prefix_file *f), void *ctx)
{
    struct prefix_file f = {0};
    struct file_map m;
    struct stat st;
    struct err ignored;
    struct head h;
    size_t at;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode) || file_map_open(&m, path, &ignored) != OK)
        return;
    if (parse((struct str){(const char *)m.p, m.n}, &h, &at)) {
        memcpy(f.digest, digest, DIGEST_HEX);
        memcpy(f.identity, m.p + sizeof h, (size_t)h.n_identity);
        f.n_identity = (size_t)h.n_identity;
        f.n = (size_t)h.n;
        f.bytes = m.n;
        f.used = (int64_t)st.st_mtime;
        f.id = mem_array(f.n, sizeof *f.id);
        if (f.id) {
            memcpy(f.id, m.p + sizeof h + f.n_identity, f.n * sizeof *f.id);
            fn(ctx, &f);
        }
    }
    file_map_close(&m);
}

enum status prefix_disk_each(const char *folder, void (*fn)(void *ctx, const struct prefix_file *f),
                             void *ctx, struct err *err)
{
    if (mkdir(folder, 0700) != 0 && errno != EEXIST) /* prompts are private */
        return err_set(err, EIO, "cannot make '%s': %s", folder, strerror(errno));
    DIR *d = opendir(folder);
    if (!d)
        return err_set(err, EIO, "cannot read '%s': %s", folder, strerror(errno));
    for (const struct dirent *e; (e = readdir(d));) {
        struct buf path;
        buf_init(&path, 1 << 16);
        buf_printf(&path, "%s/%s", folder, e->d_name);
        if (is_digest(e->d_name) && !path.failed)
            read_head(path.p, e->d_name, fn, ctx);
        buf_release(&path);
    }
    closedir(d);
    return OK;
}
