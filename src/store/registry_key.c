/* The user's Ollama key: an Ed25519 key in OpenSSH's format (PROTOCOL.key of OpenSSH), and the
 * signature that Ollama's token service wants. */
#include "base/file.h"
#include "base/home.h"
#include "base/log.h"
#include "store/registry.h"
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_FILE_BYTES = 64 << 10, KEY_BYTES = 32, SIGNATURE_BYTES = 64 };

/* Length-prefixed strings, one after the other. */
struct reader {
    const unsigned char *p;
    size_t n;
    bool failed;
};

static uint32_t read_u32(struct reader *r)
{
    if (r->n < 4) {
        r->failed = true;
        return 0;
    }
    uint32_t v = (uint32_t)r->p[0] << 24 | (uint32_t)r->p[1] << 16 | (uint32_t)r->p[2] << 8 |
                 (uint32_t)r->p[3];
    r->p += 4;
    r->n -= 4;
    return v;
}

static struct str read_string(struct reader *r)
{
    uint32_t n = read_u32(r);
    if (r->failed || n > r->n) {
        r->failed = true;
        return (struct str){"", 0};
    }
    struct str s = {(const char *)r->p, n};
    r->p += n;
    r->n -= n;
    return s;
}

/* The base64 between the two lines of dashes; the count of bytes, or 0. */
static size_t decode_armor(struct str text, unsigned char *out)
{
    static const char begin[] = "-----BEGIN OPENSSH PRIVATE KEY-----", end[] = "-----END";
    const char *from = memmem(text.p, text.n, begin, sizeof begin - 1);
    if (!from)
        return 0;
    from += sizeof begin - 1;
    const char *to = memmem(from, (size_t)(text.p + text.n - from), end, sizeof end - 1);
    EVP_ENCODE_CTX *ctx = EVP_ENCODE_CTX_new();
    int n = 0, rest = 0;
    bool ok = to && ctx;
    if (ok) {
        EVP_DecodeInit(ctx);
        ok = EVP_DecodeUpdate(ctx, out, &n, (const unsigned char *)from, (int)(to - from)) >= 0 &&
             EVP_DecodeFinal(ctx, out + n, &rest) >= 0;
    }
    EVP_ENCODE_CTX_free(ctx);
    return ok ? (size_t)(n + rest) : 0;
}

/* "openssh-key-v1", cipher, kdf, its options, count, public key, private part: two equal numbers,
 * the type, the public key, 64 bytes of which the first half is the secret. */
static bool parse_key(struct str raw, struct str *public_blob, struct str *secret)
{
    static const char magic[] = "openssh-key-v1";
    struct reader r = {(const unsigned char *)raw.p, raw.n, false};
    if (raw.n < sizeof magic || memcmp(raw.p, magic, sizeof magic) != 0)
        return false;
    r.p += sizeof magic;
    r.n -= sizeof magic;
    struct str cipher = read_string(&r), kdf = read_string(&r);
    (void)read_string(&r);
    uint32_t count = read_u32(&r);
    *public_blob = read_string(&r);
    struct str private_part = read_string(&r);
    if (r.failed || count != 1 || !str_is(cipher, "none") || !str_is(kdf, "none"))
        return false;
    struct reader in = {(const unsigned char *)private_part.p, private_part.n, false};
    uint32_t a = read_u32(&in), b = read_u32(&in);
    struct str type = read_string(&in), public_key = read_string(&in);
    *secret = read_string(&in);
    return !in.failed && a == b && str_is(type, "ssh-ed25519") && public_key.n == KEY_BYTES &&
           secret->n == 2 * KEY_BYTES;
}

static void add_base64(struct buf *out, const void *p, size_t n)
{
    unsigned char *text = malloc(4 * ((n + 2) / 3) + 1);
    if (text) {
        EVP_EncodeBlock(text, p, (int)n);
        buf_adds(out, (const char *)text);
    } else {
        out->failed = true;
    }
    free(text);
}

static bool sign_text(struct str secret, struct str text, unsigned char *signature)
{
    size_t n = SIGNATURE_BYTES;
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL,
                                                 (const unsigned char *)secret.p, KEY_BYTES);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = key && ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) == 1 &&
              EVP_DigestSign(ctx, signature, &n, (const unsigned char *)text.p, text.n) == 1 &&
              n == SIGNATURE_BYTES;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    return ok;
}

bool registry_sign(const char *url, struct buf *out)
{
    /* base64 of the hexadecimal SHA-256 of an empty body */
    static const char nothing[] =
        "ZTNiMGM0NDI5OGZjMWMxNDlhZmJmNGM4OTk2ZmI5MjQyN2FlNDFlNDY0OWI5MzRjYTQ5NTk5MWI3ODUyYjg1NQ==";
    unsigned char signature[SIGNATURE_BYTES];
    struct buf file, text;
    struct str public_blob, secret;
    char *path = user_home(".ollama/id_ed25519");
    buf_init(&file, KEY_FILE_BYTES);
    buf_init(&text, 64 << 10);
    unsigned char *raw = malloc(KEY_FILE_BYTES);
    bool ok = path && raw && file_exists(path) && file_read(path, &file, NULL) == OK;
    size_t n = ok ? decode_armor(buf_str(&file), raw) : 0;
    if (ok && !parse_key((struct str){(const char *)raw, n}, &public_blob, &secret)) {
        log_warn("'%s' is no Ed25519 key without a password: not used", path);
        ok = false;
    }
    if (ok) {
        buf_printf(&text, "GET,%s,%s", url, nothing);
        ok = !text.failed && sign_text(secret, buf_str(&text), signature);
    }
    if (ok) {
        add_base64(out, public_blob.p, public_blob.n);
        buf_addc(out, ':');
        add_base64(out, signature, sizeof signature);
        ok = !out->failed;
    }
    if (raw)
        OPENSSL_cleanse(raw, KEY_FILE_BYTES);
    if (file.p)
        OPENSSL_cleanse(file.p, file.n);
    free(raw);
    free(path);
    buf_release(&file);
    buf_release(&text);
    return ok;
}
