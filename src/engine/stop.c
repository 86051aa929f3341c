/* One KMP automaton per stop string, advanced byte by byte (Knuth, Morris, Pratt 1977): linear in
 * the text whatever the strings. The held text is as long as the longest partial match. Stop
 * strings are valid UTF-8, so a match begins at a character, and with whole characters fed the
 * told text is whole characters too. */
#include "engine/stop.h"
#include "base/mem.h"
#include "base/utf8.h"
#include <stdlib.h>

struct stop_text {
    char *p;
    size_t n;
    uint16_t *border; /* longest proper border of the first i + 1 bytes */
    size_t matched;   /* bytes of it that the text ends with */
};

static enum status prepare(struct stop_text *t, struct str text, struct err *err)
{
    if (text.n == 0 || text.n > STOP_TEXT_MAX)
        return err_set(err, EUSAGE, "stop: a text of %zu bytes, expected 1 to %d", text.n,
                       STOP_TEXT_MAX);
    if (utf8_valid_prefix(text) != text.n)
        return err_set(err, EUSAGE, "stop: text is not valid UTF-8 at byte %zu",
                       utf8_valid_prefix(text));
    t->p = mem_dup(text.p, text.n);
    t->n = text.n;
    t->border = mem_array(text.n, sizeof *t->border);
    if (!t->p || !t->border)
        return err_set(err, ENOMEMORY, "stop: no memory for a text of %zu bytes", text.n);
    for (size_t i = 1, m = 0; i < t->n; i++) {
        while (m > 0 && t->p[i] != t->p[m])
            m = t->border[m - 1];
        m += t->p[i] == t->p[m];
        t->border[i] = (uint16_t)m;
    }
    return OK;
}

enum status stopper_init(struct stopper *s, const struct str *texts, size_t n, struct err *err)
{
    *s = (struct stopper){0};
    buf_init(&s->held, STOP_TEXT_MAX + 1);
    if (n > STOP_TEXTS_MAX)
        return err_set(err, EUSAGE, "stop: %zu texts, expected at most %d", n, STOP_TEXTS_MAX);
    if (n == 0)
        return OK;
    s->stops = mem_array(n, sizeof *s->stops);
    if (!s->stops)
        return err_set(err, ENOMEMORY, "stop: no memory for %zu texts", n);
    s->n = n;
    for (size_t i = 0; i < n; i++) {
        enum status st = prepare(&s->stops[i], texts[i], err);
        if (st != OK)
            return st;
    }
    return OK;
}

void stopper_release(struct stopper *s)
{
    for (size_t i = 0; i < s->n; i++) {
        free(s->stops[i].p);
        free(s->stops[i].border);
    }
    free(s->stops);
    buf_release(&s->held);
    s->stops = NULL;
    s->n = 0;
}

/* One more byte; true when it completes the string. */
static bool advance(struct stop_text *t, char c)
{
    while (t->matched > 0 && (t->matched == t->n || c != t->p[t->matched]))
        t->matched = t->border[t->matched - 1];
    t->matched += c == t->p[t->matched];
    return t->matched == t->n;
}

int stopper_feed(struct stopper *s, struct str text, struct buf *out)
{
    if (s->n == 0) {
        buf_addstr(out, text);
        return -1;
    }
    for (size_t i = 0; i < text.n; i++) {
        size_t longest = 0;
        int found = -1;
        for (size_t k = 0; k < s->n; k++) {
            struct stop_text *t = &s->stops[k];
            if (advance(t, text.p[i]) && (found < 0 || t->n > s->stops[found].n))
                found = (int)k;
            longest = t->matched > longest ? t->matched : longest;
        }
        buf_addc(&s->held, text.p[i]);
        size_t keep = found >= 0 ? s->stops[found].n : longest;
        size_t tell = s->held.n - keep;
        buf_add(out, s->held.p, tell);
        memmove(s->held.p, s->held.p + tell, keep);
        s->held.n = keep;
        if (found >= 0) {
            buf_clear(&s->held);
            return found;
        }
    }
    return -1;
}

void stopper_flush(struct stopper *s, struct buf *out)
{
    buf_addstr(out, buf_str(&s->held));
    buf_clear(&s->held);
}
