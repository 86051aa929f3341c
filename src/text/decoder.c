/* The decoders of tokenizer.json, token by token: what Hugging Face does to the list of tokens can
 * be done to each alone, but for "the first token" and "the start of the text", which are a flag.
 */
#include "text/tokenizer_impl.h"

static void replace_all(struct buf *text, struct str from, struct str to, struct buf *scratch)
{
    struct str in = buf_str(text);
    const char *q = from.n && in.n ? memmem(in.p, in.n, from.p, from.n) : NULL;
    if (!q)
        return;
    buf_clear(scratch);
    for (; q; q = in.n ? memmem(in.p, in.n, from.p, from.n) : NULL) {
        buf_add(scratch, in.p, (size_t)(q - in.p));
        buf_addstr(scratch, to);
        in = str_slice(in, (size_t)(q - in.p) + from.n, in.n);
    }
    buf_addstr(scratch, in);
    struct buf swap = *text;
    *text = *scratch;
    *scratch = swap;
}

void decoder_cleanup(struct buf *text, struct buf *scratch)
{
    static const char *const rules[][2] = {
        {" .", "."},     {" ?", "?"},   {" !", "!"},   {" ,", ","},     {" ' ", "'"},
        {" n't", "n't"}, {" 'm", "'m"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        replace_all(text, str_from(rules[i][0]), str_from(rules[i][1]), scratch);
}

/* Bytes [0, n) off the front. */
static void drop_front(struct buf *text, size_t n)
{
    memmove(text->p, text->p + n, text->n - n);
    text->n -= n;
}

static void strip_front(struct buf *text, struct str what, size_t times)
{
    for (size_t i = 0; what.n && i < times && str_starts(buf_str(text), what); i++)
        drop_front(text, what.n);
}

static int hex_byte(struct str s)
{
    int v = 0;
    if (s.n != 6 || memcmp(s.p, "<0x", 3) != 0 || s.p[5] != '>')
        return -1;
    for (int i = 3; i < 5; i++) {
        char c = s.p[i];
        int d = c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
        if (c >= 'a' && c <= 'f')
            d = c - 'a' + 10;
        if (d < 0)
            return -1;
        v = v * 16 + d;
    }
    return v;
}

static void wordpiece(const struct decoder_stage *d, bool first, struct buf *text,
                      struct buf *scratch)
{
    if (!first && str_starts(buf_str(text), d->from)) {
        drop_front(text, d->from.n);
    } else if (!first) {
        buf_addc(text, ' ');
        if (text->failed)
            return;
        memmove(text->p + 1, text->p, text->n - 1);
        text->p[0] = ' ';
    }
    if (d->cleanup) {
        decoder_cleanup(text, scratch);
        replace_all(text, STR(" do not"), STR(" don't"), scratch);
    }
}

void decoder_run(const struct tokenizer *t, bool first, struct buf *text, struct buf *scratch)
{
    for (size_t i = 0; i < t->n_decoder && text->n; i++) {
        const struct decoder_stage *d = &t->decoder[i];
        switch (d->kind) {
        case DECODER_BYTE_LEVEL: {
            buf_clear(scratch);
            char *p = buf_grow(scratch, text->n);
            size_t n = p ? byte_level_decode(buf_str(text), p) : SIZE_MAX;
            if (n != SIZE_MAX) { /* else an added token: as it is */
                memcpy(text->p, p, n);
                text->n = n;
            }
            break;
        }
        case DECODER_METASPACE:
            replace_all(text, d->from, first && d->prefix ? STR("") : STR(" "), scratch);
            break;
        case DECODER_WORDPIECE: wordpiece(d, first, text, scratch); break;
        case DECODER_REPLACE: replace_all(text, d->from, d->to, scratch); break;
        case DECODER_BYTE_FALLBACK: {
            int b = hex_byte(buf_str(text));
            if (b >= 0) {
                text->p[0] = (char)b;
                text->n = 1;
            }
            break;
        }
        case DECODER_STRIP:
            strip_front(text, d->from, d->start);
            for (size_t k = 0; d->from.n && k < d->stop && str_ends(buf_str(text), d->from); k++)
                text->n -= d->from.n;
            break;
        case DECODER_STRIP_TEXT:
            if (first)
                strip_front(text, d->from, d->start);
            break;
        }
    }
    if (t->join_with_space && !first) {
        buf_addc(text, ' ');
        if (!text->failed) {
            memmove(text->p + 1, text->p, text->n - 1);
            text->p[0] = ' ';
        }
    }
}
