/* Normalization that needs the Unicode Character Database, by utf8proc: the four normal forms,
 * lower case, stripping accents, BERT's cleaning. Plain ASCII never gets here unless it can change.
 */
#include "text/tokenizer_impl.h"
#include "text/unicode.h"
#include <stdlib.h>
#include <utf8proc.h>

static void add_char(struct buf *out, uint32_t cp)
{
    char c[4];
    buf_add(out, c, (size_t)utf8_encode(cp, c));
}

/* Normal forms compose over neighbours, so a run of non-ASCII characters, with the ASCII one in
 * front that it may combine with, is mapped at once. Bad bytes stay as they are and end a run. */
static void map_run(struct str run, int options, struct buf *out)
{
    utf8proc_uint8_t *mapped = NULL;
    utf8proc_ssize_t n = utf8proc_map((const utf8proc_uint8_t *)run.p, (utf8proc_ssize_t)run.n,
                                      &mapped, (utf8proc_option_t)options);
    if (n < 0)
        out->failed |= n == UTF8PROC_ERROR_NOMEM;
    if (n >= 0)
        buf_add(out, mapped, (size_t)n);
    else
        buf_addstr(out, run);
    free(mapped);
}

static bool is_ascii(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] >= 0x80)
            return false;
    return true;
}

int norm_form(const char *name)
{
    static const struct {
        const char *name;
        int options;
    } forms[] = {
        {"NFC", UTF8PROC_STABLE | UTF8PROC_COMPOSE},
        {"NFD", UTF8PROC_STABLE | UTF8PROC_DECOMPOSE},
        {"NFKC", UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT},
        {"NFKD", UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT},
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (strcmp(name, forms[i].name) == 0)
            return forms[i].options;
    return 0;
}

/* Characters that NFC leaves alone whatever surrounds them: starters that neither decompose nor
 * combine with what is before them, and the composed Latin letters. */
static bool nfc_stable(uint32_t cp)
{
    if (cp < 0x300 || (cp >= 0x1e00 && cp <= 0x1eff && cp != 0x1e9b) ||
        (cp >= 0x4e00 && cp <= 0x9fff) || (cp >= 0xac00 && cp <= 0xd7a3))
        return true;
    if (cp == UTF8_BAD || (cp >= 0x1100 && cp <= 0x11ff))
        return cp == UTF8_BAD;
    const utf8proc_property_t *p = utf8proc_get_property((utf8proc_int32_t)cp);
    return p->combining_class == 0 && p->decomp_seqindex == UINT16_MAX &&
           p->comb_index == UINT16_MAX;
}

static bool is_nfc(struct str s)
{
    for (size_t at = 0; at < s.n;) {
        uint32_t cp;
        at += (size_t)utf8_decode(s.p + at, s.n - at, &cp);
        if (!nfc_stable(cp))
            return false;
    }
    return true;
}

bool norm_unicode(struct str in, int options, struct buf *out)
{
    if (is_ascii(in) || (options == (UTF8PROC_STABLE | UTF8PROC_COMPOSE) && is_nfc(in)))
        return false;
    for (size_t at = 0; at < in.n;) {
        size_t to = at;
        while (to < in.n && (unsigned char)in.p[to] < 0x80)
            to++;
        size_t run = to > at && to < in.n ? to - 1 : to;
        buf_add(out, in.p + at, run - at);
        for (at = run; to < in.n;) {
            uint32_t cp;
            int len = utf8_decode(in.p + to, in.n - to, &cp);
            if (cp < 0x80 || cp == UTF8_BAD)
                break;
            to += (size_t)len;
        }
        if (to > at)
            map_run(str_slice(in, at, to), options, out);
        if (to < in.n && (unsigned char)in.p[to] >= 0x80)
            buf_addc(out, in.p[to++]);
        at = to;
    }
    return true;
}

static void add_lower(struct buf *out, uint32_t cp)
{
    if (cp == 0x130) { /* the only one-to-many lower case */
        add_char(out, 'i');
        add_char(out, 0x307);
    } else {
        add_char(out, (uint32_t)utf8proc_tolower((utf8proc_int32_t)cp));
    }
}

bool norm_lower(struct str in, struct buf *out)
{
    for (size_t at = 0; at < in.n;) {
        uint32_t cp;
        int len = utf8_decode(in.p + at, in.n - at, &cp);
        if (cp == UTF8_BAD)
            buf_addc(out, in.p[at]);
        else if (cp < 0x80)
            buf_addc(out, (char)(cp >= 'A' && cp <= 'Z' ? cp + 32 : cp));
        else
            add_lower(out, cp);
        at += (size_t)len;
    }
    return true;
}

bool norm_strip_marks(struct str in, bool only_nonspacing, struct buf *out)
{
    if (is_ascii(in))
        return false;
    for (size_t at = 0; at < in.n;) {
        uint32_t cp;
        size_t len = (size_t)utf8_decode(in.p + at, in.n - at, &cp);
        bool mark =
            cp >= 0x80 && (unicode_class(cp) & UC_MARK) &&
            (!only_nonspacing || utf8proc_category((utf8proc_int32_t)cp) == UTF8PROC_CATEGORY_MN);
        if (!mark)
            buf_add(out, in.p + at, len);
        at += len;
    }
    return true;
}

static bool is_chinese(uint32_t cp)
{
    static const uint32_t ranges[][2] = {
        {0x4e00, 0x9fff},   {0x3400, 0x4dbf},   {0x20000, 0x2a6df}, {0x2a700, 0x2b73f},
        {0x2b740, 0x2b81f}, {0x2b920, 0x2ceaf}, {0xf900, 0xfaff},   {0x2f800, 0x2fa1f},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (cp >= ranges[i][0] && cp <= ranges[i][1])
            return true;
    return false;
}

/* Control, format, surrogate, private use; unassigned code points are kept. */
static bool is_control(uint32_t cp)
{
    utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)cp);
    return c == UTF8PROC_CATEGORY_CC || c == UTF8PROC_CATEGORY_CF || c == UTF8PROC_CATEGORY_CS ||
           c == UTF8PROC_CATEGORY_CO;
}

/* Drops control characters, makes white space plain, puts spaces round ideographs. */
static void bert_clean(const struct norm_stage *s, struct str in, struct buf *out)
{
    for (size_t at = 0; at < in.n;) {
        uint32_t cp;
        at += (size_t)utf8_decode(in.p + at, in.n - at, &cp);
        bool space = cp == '\t' || cp == '\n' || cp == '\r' ||
                     (cp != UTF8_BAD && (unicode_class(cp) & UC_SPACE));
        if (s->clean && !space && (cp == 0 || cp == 0xfffd || cp == UTF8_BAD || is_control(cp)))
            continue;
        if (s->clean && space)
            buf_addc(out, ' ');
        else if (s->chinese && is_chinese(cp)) {
            buf_addc(out, ' ');
            add_char(out, cp);
            buf_addc(out, ' ');
        } else {
            add_char(out, cp == UTF8_BAD ? 0xfffd : cp);
        }
    }
}

bool norm_bert(const struct norm_stage *s, struct str in, struct buf *out)
{
    struct buf a, b;
    buf_init(&a, out->max);
    buf_init(&b, out->max);
    bert_clean(s, in, &a);
    struct str text = buf_str(&a);
    if (s->strip_accents && !is_ascii(text)) {
        norm_unicode(text, UTF8PROC_DECOMPOSE | UTF8PROC_STABLE, &b);
        buf_clear(&a);
        norm_strip_marks(buf_str(&b), true, &a);
        text = buf_str(&a);
    }
    out->failed |= a.failed || b.failed;
    if (s->lowercase)
        norm_lower(text, out);
    else
        buf_addstr(out, text);
    buf_release(&a);
    buf_release(&b);
    return true;
}
