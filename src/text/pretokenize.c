/* Pre-tokenizer stages: each cuts the pieces of the one before; the last ones go to the model. A
 * finder gives matches; with the gaps between them they are the spans of a text, and the behavior
 * says which spans are dropped or joined (Hugging Face's SplitDelimiterBehavior). */
#include "text/tokenizer_impl.h"
#include "text/split_chars.h"

/* ---- finders ---- */

typedef bool char_fn(struct ch c);

static inline __attribute__((always_inline)) bool find_char(struct str text, size_t from,
                                                            size_t *start, size_t *end, char_fn *is)
{
    for (size_t at = from; at < text.n;) {
        struct ch c = ch_at(text.p, text.n, at);
        if (is(c)) {
            *start = at;
            *end = at + c.len;
            return true;
        }
        at += c.len;
    }
    return false;
}

static bool is_space(struct ch c)
{
    return c.cls & UC_SPACE;
}

static bool is_punct(struct ch c) /* ASCII punctuation has the symbols too */
{
    return (c.cls & UC_PUNCT) || (c.cp < 0x80 && (c.cls & UC_SYMBOL));
}

static bool is_number(struct ch c)
{
    return c.cls & UC_NUMBER;
}

bool find_space(struct encoder *e, const struct pre_stage *s, struct str text, size_t from,
                size_t *start, size_t *end)
{
    (void)e, (void)s;
    return find_char(text, from, start, end, is_space);
}

bool find_punct(struct encoder *e, const struct pre_stage *s, struct str text, size_t from,
                size_t *start, size_t *end)
{
    (void)e, (void)s;
    return find_char(text, from, start, end, is_punct);
}

bool find_digit(struct encoder *e, const struct pre_stage *s, struct str text, size_t from,
                size_t *start, size_t *end)
{
    (void)e, (void)s;
    return find_char(text, from, start, end, is_number);
}

static bool is_word(struct ch c)
{
    return c.cp == '_' || (c.cls & (UC_LETTER | UC_NUMBER | UC_MARK));
}

/* \w+|[^\w\s]+ */
bool find_word_or_symbols(struct encoder *e, const struct pre_stage *s, struct str text,
                          size_t from, size_t *start, size_t *end)
{
    (void)e, (void)s;
    size_t at = from;
    struct ch c = ch_at(text.p, text.n, at);
    for (; is_space(c); c = ch_at(text.p, text.n, at))
        at += c.len;
    if (c.cls & UC_END)
        return false;
    *start = at;
    bool word = is_word(c);
    do {
        at += c.len;
        c = ch_at(text.p, text.n, at);
    } while (!(c.cls & (UC_END | UC_SPACE)) && is_word(c) == word);
    *end = at;
    return true;
}

bool find_literal(struct encoder *e, const struct pre_stage *s, struct str text, size_t from,
                  size_t *start, size_t *end)
{
    (void)e;
    const char *q = s->literal.n && from < text.n
                        ? memmem(text.p + from, text.n - from, s->literal.p, s->literal.n)
                        : NULL;
    if (!q)
        return false;
    *start = (size_t)(q - text.p);
    *end = *start + s->literal.n;
    return true;
}

#ifndef HEARTH_ENGINE_ONLY
bool find_regex(struct encoder *e, const struct pre_stage *s, struct str text, size_t from,
                size_t *start, size_t *end)
{
    return regex_find(e, s->regex, text, from, start, end);
}
#endif

/* ---- spans to pieces ---- */

struct pieces {
    struct encoder *e;
    size_t stage; /* the next one */
    struct str text;
    bool at_start;
    size_t start, end; /* the piece that may still grow */
    bool open, open_match;
};

static void flush(struct pieces *c)
{
    if (c->open && c->end > c->start)
        pre_run(c->e, c->stage, str_slice(c->text, c->start, c->end), c->at_start && c->start == 0);
    c->open = false;
}

static void add_span(struct pieces *c, enum split_behavior behavior, size_t start, size_t end,
                     bool match)
{
    if (start == end)
        return;
    bool join = false;
    switch (behavior) {
    case BEHAVIOR_REMOVED:
        if (match) {
            flush(c);
            return;
        }
        break;
    case BEHAVIOR_ISOLATED: break;
    case BEHAVIOR_CONTIGUOUS: join = c->open && c->open_match == match; break;
    case BEHAVIOR_MERGED_PREVIOUS: join = c->open && match && !c->open_match; break;
    case BEHAVIOR_MERGED_NEXT: join = c->open && !match && c->open_match; break;
    }
    if (!join) {
        flush(c);
        c->start = start;
    }
    c->end = end;
    c->open = true;
    c->open_match = match;
}

static void split_found(struct encoder *e, size_t stage, struct str text, bool at_start)
{
    const struct pre_stage *s = &e->t->pre[stage];
    struct pieces c = {.e = e, .stage = stage + 1, .text = text, .at_start = at_start};
    size_t gap = 0, from = 0, start, end;
    while (e->status == OK && from <= text.n && s->find(e, s, text, from, &start, &end)) {
        add_span(&c, s->behavior, gap, start, s->invert);
        add_span(&c, s->behavior, start, end, !s->invert);
        if (start == end) /* an empty match cuts */
            flush(&c);
        gap = end;
        from = end > start ? end : end + (end < text.n ? ch_at(text.p, text.n, end).len : 1);
    }
    add_span(&c, s->behavior, gap, text.n, s->invert);
    flush(&c);
}

/* ---- stages that rewrite the piece ---- */

static void metaspace(struct encoder *e, size_t stage, struct str text, bool at_start)
{
    const struct pre_stage *s = &e->t->pre[stage];
    struct buf out;
    buf_init(&out, (size_t)INT32_MAX);
    bool has = str_starts(text, s->literal) || text.p[0] == ' ';
    if (!has && (s->prepend == PREPEND_ALWAYS || (s->prepend == PREPEND_FIRST && at_start)))
        buf_addstr(&out, s->literal);
    for (size_t at = 0; at < text.n;) {
        const char *q = memchr(text.p + at, ' ', text.n - at);
        size_t to = q ? (size_t)(q - text.p) : text.n;
        buf_add(&out, text.p + at, to - at);
        if (q)
            buf_addstr(&out, s->literal);
        at = to + (q != NULL);
    }
    if (out.failed)
        encoder_fail(e, ENOMEMORY, "no memory for a piece of text");
    struct str rest = buf_str(&out);
    while (s->split && rest.n && e->status == OK) {
        const char *q = rest.n > 1 && s->literal.n
                            ? memmem(rest.p + 1, rest.n - 1, s->literal.p, s->literal.n)
                            : NULL;
        size_t len = q ? (size_t)(q - rest.p) : rest.n;
        pre_run(e, stage + 1, str_slice(rest, 0, len), at_start && rest.p == out.p);
        rest = str_slice(rest, len, rest.n);
    }
    if (!s->split)
        pre_run(e, stage + 1, rest, at_start);
    buf_release(&out);
}

static void rewrite(struct encoder *e, size_t stage, struct str text, bool at_start)
{
    const struct pre_stage *s = &e->t->pre[stage];
    struct buf out;
    if (s->kind == PRE_SPACE && text.p[0] == ' ') {
        pre_run(e, stage + 1, text, at_start);
        return;
    }
    buf_init(&out, (size_t)INT32_MAX);
    if (s->kind == PRE_SPACE) {
        buf_addc(&out, ' ');
        buf_addstr(&out, text);
    } else if (s->kind == PRE_BYTE_ENCODE) {
        byte_level_encode(text, &out);
    } else {
        char *p = buf_grow(&out, text.n);
        size_t n = p ? byte_level_decode(text, p) : 0;
        out.n = n == SIZE_MAX ? 0 : n;
    }
    if (out.failed)
        encoder_fail(e, ENOMEMORY, "no memory for a piece of text");
    pre_run(e, stage + 1, buf_str(&out), at_start);
    buf_release(&out);
}

void pre_run(struct encoder *e, size_t stage, struct str text, bool at_start)
{
    const struct tokenizer *t = e->t;
    if (text.n == 0 || e->status != OK)
        return;
    if (stage == t->n_pre) {
        encoder_word(e, text.p, text.n);
        return;
    }
    const struct pre_stage *s = &t->pre[stage];
    switch (s->kind) {
    case PRE_SPLIT:
        while (text.n && e->status == OK) {
            size_t len = s->fn(text.p, text.n);
            pre_run(e, stage + 1, str_slice(text, 0, len), at_start);
            text = str_slice(text, len, text.n);
            at_start = false;
        }
        break;
    case PRE_FIND: split_found(e, stage, text, at_start); break;
    case PRE_METASPACE: metaspace(e, stage, text, at_start); break;
    case PRE_SPACE:
    case PRE_BYTE_ENCODE:
    case PRE_BYTE_DECODE: rewrite(e, stage, text, at_start); break;
    }
}
