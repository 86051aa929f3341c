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

static bool is_ascii(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] >= 0x80)
            return false;
    return true;
}

/* BERT's cleaning of plain ASCII: control characters go, white space is a space. */
static bool bert_ascii(const struct norm_stage *s, struct str in, struct buf *out)
{
    char *q = buf_grow(out, in.n);
    size_t k = 0;
    for (size_t i = 0; q && i < in.n; i++) {
        char c = in.p[i];
        bool space = c == ' ' || (c >= '\t' && c <= '\r');
        if (s->clean && !space && (c < 0x20 || c == 0x7f))
            continue;
        if (s->clean && space)
            c = ' ';
        q[k++] = (char)(s->lowercase && c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    if (q)
        out->n = (size_t)(q - out->p) + k;
    return true;
}

static bool replace_literal(const struct norm_stage *s, struct str in, struct buf *out)
{
    const char *q = s->from.n && in.n ? memmem(in.p, in.n, s->from.p, s->from.n) : NULL;
    if (!q)
        return false;
    while (q) {
        buf_add(out, in.p, (size_t)(q - in.p));
        buf_addstr(out, s->to);
        in = str_slice(in, (size_t)(q - in.p) + s->from.n, in.n);
        q = in.n ? memmem(in.p, in.n, s->from.p, s->from.n) : NULL;
    }
    buf_addstr(out, in);
    return true;
}

/* White space off the ends. */
static bool strip(const struct norm_stage *s, struct str in, struct buf *out)
{
    size_t start = 0, end = in.n;
    for (uint32_t cp; s->left && start < end;) {
        int len = utf8_decode(in.p + start, end - start, &cp);
        if (!(unicode_class(cp) & UC_SPACE))
            break;
        start += (size_t)len;
    }
    while (s->right && end > start) {
        uint32_t cp;
        size_t back = 1;
        while (back < 4 && back < end - start && ((unsigned char)in.p[end - back] & 0xc0) == 0x80)
            back++;
        utf8_decode(in.p + end - back, back, &cp);
        if (!(unicode_class(cp) & UC_SPACE))
            break;
        end -= back;
    }
    buf_add(out, in.p + start, end - start);
    return true;
}

/* SentencePiece's nmt rules: control characters go, odd spaces are spaces. */
static bool nmt(struct str in, struct buf *out)
{
    for (size_t at = 0; at < in.n;) {
        uint32_t cp;
        size_t len = (size_t)utf8_decode(in.p + at, in.n - at, &cp);
        bool drop = (cp >= 1 && cp <= 8) || cp == 11 || (cp >= 14 && cp <= 31) || cp == 0x7f ||
                    cp == 0x8f || cp == 0x9f;
        bool space = cp == 9 || cp == 10 || cp == 12 || cp == 13 || cp == 0x1680 ||
                     (cp >= 0x200b && cp <= 0x200f) || cp == 0x2028 || cp == 0x2029 ||
                     cp == 0x2581 || cp == 0xfeff || cp == 0xfffd;
        if (space)
            buf_addc(out, ' ');
        else if (!drop)
            buf_add(out, in.p + at, len);
        at += len;
    }
    return true;
}

#ifdef HEARTH_ENGINE_ONLY
/* Without utf8proc, text beyond ASCII can't be normalized: the encoding fails and says so. */
static bool run_unicode(struct encoder *e, const struct norm_stage *s, struct str in,
                        struct buf *out)
{
    if (!is_ascii(in))
        encoder_fail(e, EUNSUPPORTED,
                     "this vocabulary normalizes Unicode; the build without libraries takes ASCII");
    if (s->kind == NORM_BERT)
        return bert_ascii(s, in, out);
    if (s->kind != NORM_LOWER)
        return false;
    return bert_ascii(&(struct norm_stage){.lowercase = true}, in, out);
}
#else
static bool replace_regex(struct encoder *e, const struct norm_stage *s, struct str in,
                          struct buf *out)
{
    size_t at = 0, from = 0, start, end;
    bool changed = false;
    while (from <= in.n && regex_find(e, s->regex, in, from, &start, &end)) {
        buf_add(out, in.p + at, start - at);
        buf_addstr(out, s->to);
        changed = true;
        at = end;
        from = end > start ? end : end + 1;
        while (from < in.n && ((unsigned char)in.p[from] & 0xc0) == 0x80)
            from++;
    }
    if (changed)
        buf_add(out, in.p + at, in.n - at);
    return changed;
}

static bool run_unicode(struct encoder *e, const struct norm_stage *s, struct str in,
                        struct buf *out)
{
    (void)e;
    switch (s->kind) {
    case NORM_UNICODE: return norm_unicode(in, s->form, out);
    case NORM_LOWER: return norm_lower(in, out);
    case NORM_STRIP_ACCENTS: return norm_strip_marks(in, false, out);
    case NORM_BERT: return is_ascii(in) ? bert_ascii(s, in, out) : norm_bert(s, in, out);
    default: return false;
    }
}
#endif

bool norm_stage_run(struct encoder *e, const struct norm_stage *s, struct str in, struct buf *out)
{
    switch (s->kind) {
    case NORM_ESCAPE: return escape(s, in, out);
    case NORM_CHARSMAP: return apply_charsmap(s, in, out);
    case NORM_SPM_SPACES: return spm_spaces(s, in, out);
    case NORM_STRIP: return strip(s, in, out);
    case NORM_NMT: return nmt(in, out);
    case NORM_BYTE_ENCODE: byte_level_encode(in, out); return true;
    case NORM_PREPEND:
        if (in.n == 0)
            return false;
        buf_addstr(out, s->to);
        buf_addstr(out, in);
        return true;
    case NORM_REPLACE:
#ifndef HEARTH_ENGINE_ONLY
        if (s->regex)
            return replace_regex(e, s, in, out);
#endif
        return replace_literal(s, in, out);
    case NORM_UNICODE:
    case NORM_LOWER:
    case NORM_STRIP_ACCENTS:
    case NORM_BERT: return run_unicode(e, s, in, out);
    }
    return false;
}

void norm_stage_free(struct norm_stage *s)
{
    charsmap_free(s->charsmap);
#ifndef HEARTH_ENGINE_ONLY
    regex_free(s->regex);
#endif
}

struct str norm_run(struct encoder *e, struct str text)
{
    int side = 0;
    for (size_t i = 0; i < e->t->n_norm; i++) {
        struct buf *out = &e->norm[side];
        buf_clear(out);
        if (!norm_stage_run(e, &e->t->norm[i], text, out))
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
#ifndef HEARTH_ENGINE_ONLY
    for (size_t i = 0; i < t->n_pre; i++)
        regex_free(t->pre[i].regex);
#endif
    free(t->norm);
    free(t->pre);
    free(t->decoder);
}
