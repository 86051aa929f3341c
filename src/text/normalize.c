/* Normalizers, one after the other, each from one buffer into the other. A stage that would change
 * nothing says so and the text is passed on where it is: nearly all text is plain ASCII to NFC. */
#include "text/tokenizer_impl.h"
#include "text/unicode.h"
#include <stdlib.h>

/* SentencePiece's spaces: U+2581 for each, and one in front of the text when asked. */
static bool escape(const struct norm_stage *s, struct str in, struct buf *out)
{
    if (in.n == 0)
        return false;
    size_t spaces = s->prefix;
    for (size_t i = 0; i < in.n; i++)
        spaces += in.p[i] == ' ';
    char *q = buf_grow(out, in.n + 3 * spaces);
    if (!q)
        return true;
    char *start = q;
    if (s->prefix) {
        memcpy(q, SPM_SPACE, 3);
        q += 3;
    }
    for (size_t i = 0; i < in.n;) {
        const char *space = memchr(in.p + i, ' ', in.n - i);
        size_t to = space ? (size_t)(space - in.p) : in.n;
        memcpy(q, in.p + i, to - i);
        q += to - i;
        if (space) {
            memcpy(q, SPM_SPACE, 3);
            q += 3;
            to++;
        }
        i = to;
    }
    out->n = (size_t)(q - start);
    return true;
}

/* A precompiled map, with bad bytes as U+FFFD. */
static bool apply_charsmap(const struct norm_stage *s, struct str in, struct buf *out)
{
    for (size_t at = 0; at < in.n;) {
        struct str to;
        size_t len = charsmap_match(s->charsmap, str_slice(in, at, in.n), &to);
        if (len) {
            buf_addstr(out, to);
            at += len;
            continue;
        }
        uint32_t cp;
        len = (size_t)utf8_decode(in.p + at, in.n - at, &cp);
        if (cp == UTF8_BAD)
            buf_adds(out, "\xef\xbf\xbd");
        else
            buf_add(out, in.p + at, len);
        at += len;
    }
    return true;
}

/* T5 in GGUF: spaces become U+2581; runs of them, and those at the ends, are one or none when
 * merged. */
static bool spm_spaces(const struct norm_stage *s, struct str in, struct buf *out)
{
    bool in_word = false, prepended = false;
    for (size_t i = 0; i < in.n; i++) {
        if (in.p[i] == ' ') {
            in_word = false;
            if (!s->merge_spaces)
                buf_add(out, SPM_SPACE, 3);
            continue;
        }
        if (!in_word) {
            in_word = true;
            if ((s->prefix && !prepended) || s->merge_spaces) {
                buf_add(out, SPM_SPACE, 3);
                prepended = true;
            }
        }
        buf_addc(out, in.p[i]);
    }
    return true;
}

bool norm_stage_run(const struct norm_stage *s, struct str in, struct buf *out)
{
    switch (s->kind) {
    case NORM_ESCAPE: return escape(s, in, out);
    case NORM_CHARSMAP: return apply_charsmap(s, in, out);
    case NORM_SPM_SPACES: return spm_spaces(s, in, out);
    default: return false;
    }
}

void norm_stage_free(struct norm_stage *s)
{
    charsmap_free(s->charsmap);
}

struct str norm_run(struct encoder *e, struct str text)
{
    int side = 0;
    for (size_t i = 0; i < e->t->n_norm; i++) {
        struct buf *out = &e->norm[side];
        buf_clear(out);
        if (!norm_stage_run(&e->t->norm[i], text, out))
            continue;
        if (out->failed) {
            encoder_fail(e, ENOMEMORY, "no memory for the normalized text");
            return (struct str){"", 0};
        }
        text = buf_str(out);
        side = !side;
    }
    return text;
}

void tokenizer_free_pipeline(struct tokenizer *t)
{
    for (size_t i = 0; i < t->n_norm; i++)
        norm_stage_free(&t->norm[i]);
    free(t->norm);
    free(t->pre);
    free(t->decoder);
}
