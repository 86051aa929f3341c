/* WordPiece (BERT): the longest entry that starts a word, then the longest that continues it, and
 * so on; a word that can't be covered is the unknown token. A continuation is marked by a prefix
 * ("##", tokenizer.json) or the first piece by U+2581 (GGUF, where subword_prefix is empty). */
#include "text/tokenizer_impl.h"

static size_t count_chars(const char *p, size_t n)
{
    size_t k = 0;
    for (size_t i = 0; i < n; i++)
        k += ((unsigned char)p[i] & 0xc0) != 0x80;
    return k;
}

/* Longest entry that is a prefix of p[0..n) and ends between characters; its length, 0: none. */
static size_t longest(const struct tokenizer *t, const char *p, size_t n, size_t least, int32_t *id)
{
    for (size_t len = n < t->max_piece ? n : t->max_piece; len > least; len--) {
        if (len < n && ((unsigned char)p[len] & 0xc0) == 0x80)
            continue;
        *id = piece_table_find(&t->table, t->bytes, p, len, hash_bytes(p, len));
        if (*id >= 0)
            return len;
    }
    return 0;
}

void encoder_wordpiece(struct encoder *e, const char *p, size_t n)
{
    const struct tokenizer *t = e->t;
    struct str prefix = t->subword_prefix;
    size_t from = e->out->n;
    bool covered = count_chars(p, n) <= t->max_word_chars;
    if (covered) {
        buf_clear(&e->word);
        if (prefix.n)
            buf_addstr(&e->word, prefix);
        else
            buf_add(&e->word, SPM_SPACE, 3);
        buf_add(&e->word, p, n);
        if (e->word.failed) {
            encoder_fail(e, ENOMEMORY, "no memory for a word");
            return;
        }
        /* the prefix of a continuation is written over the end of what has been matched */
        char *w = e->word.p;
        size_t end = e->word.n, at = prefix.n;
        while (covered && at < end) {
            int32_t id = -1;
            size_t mark = prefix.n && at > prefix.n ? prefix.n : 0;
            if (mark)
                memcpy(w + at - mark, prefix.p, mark);
            size_t len = longest(t, w + at - mark, end - at + mark, mark, &id);
            covered = len != 0;
            if (covered)
                encoder_add(e, id);
            at += len - (len ? mark : 0);
        }
    }
    if (!covered) {
        e->out->n = from;
        if (t->special[SPECIAL_UNK] >= 0)
            encoder_add(e, t->special[SPECIAL_UNK]);
    }
}
