/* Ids to text, whole or streamed. The streamed form holds back the bytes of an unfinished character
 * and turns bytes that can't become one into U+FFFD; the whole form gives the bytes as they are. */
#include "text/tokenizer_impl.h"
#include "base/utf8.h"

static bool is_special(const struct tokenizer *t, int32_t id)
{
    return t->attr[id] == TOKEN_CONTROL || t->attr[id] == TOKEN_UNKNOWN;
}

/* A piece with every U+2581 as a space. */
static void add_unescaped(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n;) {
        const char *q = memchr(s.p + i, SPM_SPACE[0], s.n - i);
        size_t to = q ? (size_t)(q - s.p) : s.n;
        buf_add(out, s.p + i, to - i);
        i = to;
        if (q && s.n - to >= 3 && memcmp(q, SPM_SPACE, 3) == 0) {
            buf_addc(out, ' ');
            i += 3;
        } else if (q) {
            buf_addc(out, *q);
            i++;
        }
    }
}

/* -1: the token is not a byte */
static int byte_of(const struct tokenizer *t, int32_t id)
{
    struct str s = t->piece[id];
    if (t->attr[id] != TOKEN_BYTE || s.n != 6)
        return -1;
    for (int b = 0; b < 256; b++)
        if (t->byte_id[b] == id)
            return b;
    return -1;
}

/* BERT in GGUF: U+2581 starts a word, anything else continues one. */
static void add_wordpiece(const struct tokenizer *t, int32_t id, bool first, struct buf *out)
{
    struct str s = t->piece[id];
    if (!is_special(t, id)) {
        if (!str_starts(s, (struct str){SPM_SPACE, 3})) {
            buf_addstr(out, s);
            return;
        }
        s = str_slice(s, 3, s.n);
    }
    bool closes = s.n == 1 && strchr(".?!,", s.p[0]);
    if (!first && !closes)
        buf_addc(out, ' ');
    buf_addstr(out, s);
}

static void add_chain(const struct tokenizer *t, int32_t id, bool first, struct buf *out)
{
    struct buf text, scratch;
    /* byte-level vocabularies of LLMs: the bytes are at hand */
    if (t->n_decoder == 1 && t->decoder[0].kind == DECODER_BYTE_LEVEL && t->bytes != t->piece) {
        buf_addstr(out, t->bytes[id]);
        return;
    }
    buf_init(&text, out->max);
    buf_init(&scratch, out->max);
    buf_addstr(&text, t->piece[id]);
    decoder_run(t, first, &text, &scratch);
    out->failed |= text.failed;
    buf_addstr(out, buf_str(&text));
    buf_release(&text);
    buf_release(&scratch);
}

/* The bytes of one token; first: nothing has been written before it. */
static void add_token(const struct tokenizer *t, int32_t id, bool first, struct buf *out)
{
    bool added = is_special(t, id) || t->attr[id] == TOKEN_USER_DEFINED;
    size_t from = out->n;
    switch (t->decode) {
    case DECODE_BYTES: buf_addstr(out, added ? t->piece[id] : t->bytes[id]); break;
    case DECODE_WORDPIECE: add_wordpiece(t, id, first, out); return;
    case DECODE_CHAIN: add_chain(t, id, first, out); return;
    case DECODE_SPM: {
        int b = byte_of(t, id);
        if (b >= 0)
            buf_addc(out, (char)b);
        else if (added)
            buf_addstr(out, t->piece[id]);
        else
            add_unescaped(out, t->piece[id]);
        break;
    }
    }
    if (first && t->decode_lstrip && out->n > from && out->p[from] == ' ') {
        memmove(out->p + from, out->p + from + 1, out->n - from - 1);
        out->p[--out->n] = 0;
    }
}

/* Models pad their matrices past the vocabulary (Qwen2 by 271 rows), so an id up there can be
 * chosen; it stands for nothing, as in Hugging Face's decoders. */
static bool has_text(const struct tokenizer *t, int32_t id, bool skip_special)
{
    return (size_t)id < t->n && !(skip_special && is_special(t, id));
}

static enum status check_id(int32_t id, struct err *err)
{
    return id >= 0 ? OK : err_set(err, EUSAGE, "token id %d, expected 0 or more", id);
}

enum status tokenizer_decode(const struct tokenizer *t, const int32_t *ids, size_t n,
                             bool skip_special, struct buf *out, struct err *err)
{
    bool first = true;
    for (size_t i = 0; i < n; i++) {
        enum status s = check_id(ids[i], err);
        if (s != OK)
            return s;
        if (!has_text(t, ids[i], skip_special))
            continue;
        size_t from = out->n;
        add_token(t, ids[i], first, out);
        first &= out->n == from && t->piece[ids[i]].n == 0;
    }
    return buf_check(out, "text of tokens", err);
}

enum status tokenizer_token_bytes(const struct tokenizer *t, int32_t id, struct buf *out,
                                  struct err *err)
{
    enum status s = check_id(id, err);
    if (s != OK || !has_text(t, id, false))
        return s;
    add_token(t, id, false, out);
    return buf_check(out, "text of a token", err);
}

/* Appends what can be said of held bytes followed by more: whole characters, U+FFFD for bytes that
 * are none; what is left may still become a character. */
static void release(struct detok *d, const char *p, size_t n, struct buf *out)
{
    while (n) {
        uint32_t cp;
        int len = utf8_decode(p, n, &cp);
        if (cp != UTF8_BAD) {
            buf_add(out, p, (size_t)len);
        } else if (utf8_incomplete_tail((struct str){p, n}) == n) {
            break;
        } else {
            buf_adds(out, "\xef\xbf\xbd");
        }
        p += len;
        n -= (size_t)len;
    }
    memmove(d->held, p, n);
    d->n_held = (int)n;
}

enum status detok_add(const struct tokenizer *t, struct detok *d, int32_t id, bool skip_special,
                      struct buf *out, struct err *err)
{
    enum status s = check_id(id, err);
    if (s != OK || !has_text(t, id, skip_special))
        return s;
    struct buf bytes;
    buf_init(&bytes, out->max);
    buf_add(&bytes, d->held, (size_t)d->n_held);
    add_token(t, id, !d->started, &bytes);
    d->started |= t->piece[id].n != 0;
    if (buf_check(&bytes, "text of a token", err) != OK)
        s = ELIMIT;
    else if (bytes.n)
        release(d, bytes.p, bytes.n, out);
    buf_release(&bytes);
    return s == OK ? buf_check(out, "text of tokens", err) : s;
}

void detok_flush(struct detok *d, struct buf *out)
{
    if (d->n_held)
        buf_adds(out, "\xef\xbf\xbd");
    d->n_held = 0;
}
