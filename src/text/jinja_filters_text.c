/* Filters on text. Values that are no strings are printed first, as Jinja's soft_str does. */
#include "text/jinja_filters.h"
#include "text/jinja_methods.h"
#include "base/utf8.h"
#include "text/pystr.h"

#define FILTER(name)                                                                               \
    const struct jval *name(struct jrun *r, const struct jval *self, const struct jargs *args)

/* v as a string value. */
static const struct jval *soft_str(struct jrun *r, const struct jval *v)
{
    struct str s;
    if (v->kind == JV_STRING)
        return v;
    return jrun_text(r, v, &s) ? jrun_view(r, s) : NULL;
}

static const struct jval *by_method(struct jrun *r, const struct jval *self, const char *method,
                                    const struct jval *arg)
{
    const struct jval *one[] = {arg};
    struct jargs args = {.pos = one, .n = arg ? 1 : 0};
    self = soft_str(r, self);
    return self ? jrun_call_builtin(r, jstr_method(str_from(method)), self, &args) : NULL;
}

FILTER(jfilter_lower)
{
    (void)args;
    return by_method(r, self, "lower", NULL);
}

FILTER(jfilter_upper)
{
    (void)args;
    return by_method(r, self, "upper", NULL);
}

FILTER(jfilter_capitalize)
{
    (void)args;
    return by_method(r, self, "capitalize", NULL);
}

FILTER(jfilter_trim)
{
    return by_method(r, self, "strip", args->pos[0]);
}

FILTER(jfilter_string)
{
    (void)args;
    return soft_str(r, self);
}

FILTER(jfilter_center)
{
    static const struct jval width = {.kind = JV_INT, .i = 80};
    struct str s;
    const struct jval *text = jrun_text(r, self, &s) ? jrun_view(r, s) : NULL;
    return text ? by_method(r, text, "center", args->pos[0] ? args->pos[0] : &width) : NULL;
}

/* Words begin behind a hyphen, a space or an opening bracket. */
FILTER(jfilter_title)
{
    struct str s;
    struct buf b;
    (void)args;
    if (!jrun_text(r, self, &s) || !jrun_step(r, s.n / 8))
        return NULL;
    jrun_buf(r, &b);
    for (size_t i = 0; i < s.n;) {
        uint32_t cp;
        size_t word = i, first;
        i += first = (size_t)utf8_decode(s.p + i, s.n - i, &cp);
        bool separator = (cp < 0x80 && strchr("-({[<", (int)cp) && cp) || pychar_is(cp, PY_SPACE);
        py_upper(&b, str_slice(s, word, i));
        if (separator)
            continue;
        while (i < s.n) {
            size_t len = (size_t)utf8_decode(s.p + i, s.n - i, &cp);
            if ((cp < 0x80 && strchr("-({[<", (int)cp) && cp) || pychar_is(cp, PY_SPACE))
                break;
            i += len;
        }
        py_lower(&b, str_slice(s, word + first, i));
    }
    return jrun_take(r, &b);
}

FILTER(jfilter_replace)
{
    struct str s, old, new;
    int64_t max;
    const struct jval *count = args->pos[2];
    if (!jrun_text(r, self, &s) || !jrun_text(r, args->pos[0], &old) ||
        !jrun_text(r, args->pos[1], &new) ||
        !jarg_int(r, count && count->kind != JV_NULL ? count : NULL, -1, &max))
        return NULL;
    return jstr_replace(r, s, old, new, max);
}

FILTER(jfilter_format)
{
    const struct jval *values;
    struct jval *map = jval_map(&r->arena);
    const struct jval *fmt = soft_str(r, self);
    if (!fmt || !map)
        return map ? NULL : jrun_no_memory(r);
    if (args->n && args->n_kw)
        return jrun_error(r, "can't handle positional and keyword arguments at the same time");
    for (size_t k = 0; k < args->n_kw; k++) {
        const struct jval *key = jrun_view(r, args->kw[k].name);
        if (!key || !jmap_set(&r->arena, map->map, key, args->kw[k].value))
            return jrun_no_memory(r);
    }
    values = args->n_kw ? map : jrun_list(r, JL_TUPLE, args->pos, args->n);
    return values ? jrun_percent(r, fmt, values) : NULL;
}

/* ---- indent ---- */

FILTER(jfilter_indent)
{
    const struct jval *width = args->pos[0];
    bool first = jarg_truth(args->pos[1], false), blank = jarg_truth(args->pos[2], false);
    struct str by, s;
    struct buf b;
    if (self->kind == JV_UNDEFINED)
        return jrun_use_undefined(r, self);
    if (!jarg_text(r, self, "indent: the value", &s))
        return NULL;
    if (width && width->kind == JV_STRING) {
        by = jval_text(width);
    } else {
        int64_t n;
        struct jval none = {.kind = JV_STRING, .s = {"", 0, 0}};
        const struct jval *spaces =
            jarg_int(r, width, 4, &n) ? jstr_pad(r, &none, n, 0, STR(" ")) : NULL;
        if (!spaces)
            return NULL;
        by = jval_text(spaces);
    }
    jrun_buf(r, &b);
    /* the lines of s + "\n": one more line than s has ends, none when s ends a line with "\r" */
    bool start = true;
    for (size_t i = 0, from = 0; i <= s.n && !b.failed;) {
        size_t end = i < s.n ? py_line_end(s.p + i, s.n - i) : 0;
        uint32_t cp;
        if (i < s.n && !end) {
            i += (size_t)utf8_decode(s.p + i, s.n - i, &cp);
            continue;
        }
        if (!start)
            buf_addc(&b, '\n');
        if (start ? first : blank || i > from)
            buf_addstr(&b, by);
        buf_addstr(&b, str_slice(s, from, i));
        start = false;
        /* "\r" and the "\n" that indent appends are one line end */
        if (i == s.n || (s.p[i] == '\r' && i + 1 == s.n))
            break;
        from = i += end;
    }
    return jrun_take(r, &b);
}

/* ---- truncate, wordcount, wordwrap ---- */

FILTER(jfilter_truncate)
{
    int64_t length, leeway;
    struct str end = STR("...");
    const struct jval *s = self, *given = args->pos[3];
    size_t chars;
    if (!jrun_length(r, self, &chars) || !jarg_int(r, args->pos[0], 255, &length) ||
        !jarg_int(r, given && given->kind != JV_NULL ? given : NULL, 5, &leeway) ||
        (args->pos[2] && !jarg_text(r, args->pos[2], "truncate: end", &end)))
        return NULL;
    int64_t n_end = (int64_t)jstr_count(end.p, end.n), room = length - n_end;
    if (room < 0)
        return jrun_error(r, "truncate: expected length >= %lld, got %lld", (long long)n_end,
                          (long long)length);
    if (leeway < 0)
        return jrun_error(r, "truncate: expected leeway >= 0, got %lld", (long long)leeway);
    if ((int64_t)chars - leeway <= length)
        return s;
    if (s->kind != JV_STRING)
        return jrun_error(r, "truncate: expected str, got %s", jval_type_name(s));
    struct str head = str_slice(jval_text(s), 0, jstr_offset(s, (size_t)room));
    const char *space = jarg_truth(args->pos[1], false) ? NULL : memrchr(head.p, ' ', head.n);
    if (space)
        head.n = (size_t)(space - head.p);
    struct buf b;
    jrun_buf(r, &b);
    buf_addstr(&b, head);
    buf_addstr(&b, end);
    return jrun_take(r, &b);
}

FILTER(jfilter_wordcount)
{
    struct str s;
    int64_t n = 0;
    bool in_word = false;
    (void)args;
    if (!jrun_text(r, self, &s) || !jrun_step(r, s.n / 8))
        return NULL;
    for (size_t i = 0; i < s.n;) {
        uint32_t cp;
        i += (size_t)utf8_decode(s.p + i, s.n - i, &cp);
        bool word = cp == '_' || pychar_is(cp, PY_ALPHA) || pychar_is(cp, PY_NUMERIC);
        n += word && !in_word;
        in_word = word;
    }
    return jrun_int(r, n);
}

struct wrapper {
    struct jrun *r;
    struct buf out;
    struct str wrap;
    int64_t width;
    bool break_words, break_hyphens, any_line;
};

static bool is_wrap_space(char c) /* textwrap knows only ASCII whitespace */
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_letter(uint32_t cp)
{
    return cp != UTF8_BAD && pychar_is(cp, PY_ALPHA);
}

/* Is there a break behind the hyphen at s.p[i] of the word that begins at `from`? Python: two
 * letters on its left (counting the word's punctuation away) and one on its right. */
static bool breaks_at_hyphen(struct str s, size_t from, size_t i)
{
    uint32_t cp, before[2] = {0, 0};
    for (size_t k = from; k < i;) {
        k += (size_t)utf8_decode(s.p + k, s.n - k, &cp);
        before[1] = before[0];
        before[0] = cp;
    }
    if (!is_letter(before[0]) || !is_letter(before[1]) || i + 1 >= s.n)
        return false;
    size_t len = (size_t)utf8_decode(s.p + i + 1, s.n - i - 1, &cp);
    size_t next = i + 1 + len;
    if (!is_letter(cp) || next >= s.n)
        return false;
    uint32_t second;
    len = (size_t)utf8_decode(s.p + next, s.n - next, &second);
    if (is_letter(second))
        return true;
    if (second != '-' || next + len >= s.n)
        return false;
    utf8_decode(s.p + next + len, s.n - next - len, &second);
    return is_letter(second);
}

/* The next piece that is not broken: whitespace, or a word up to a hyphen. */
static size_t chunk_end(const struct wrapper *w, struct str s, size_t from)
{
    size_t i = from;
    if (is_wrap_space(s.p[from])) {
        while (i < s.n && is_wrap_space(s.p[i]))
            i++;
        return i;
    }
    for (; i < s.n && !is_wrap_space(s.p[i]); i++)
        if (w->break_hyphens && s.p[i] == '-' && breaks_at_hyphen(s, from, i))
            return i + 1;
    return i;
}

static int64_t chars_of(struct str s)
{
    return (int64_t)jstr_count(s.p, s.n);
}

static void put_line(struct wrapper *w, struct str line)
{
    while (line.n && is_wrap_space(line.p[line.n - 1]))
        line.n--;
    if (!line.n)
        return;
    if (w->any_line)
        buf_addstr(&w->out, w->wrap);
    buf_addstr(&w->out, line);
    w->any_line = true;
}

static void wrap_line(struct wrapper *w, struct str s)
{
    size_t start = 0, end = 0; /* the line that is being filled is s[start, end) */
    int64_t used = 0;
    bool first = true;
    for (size_t i = 0, next; i < s.n && !w->out.failed && jrun_step(w->r, 1); i = next) {
        next = chunk_end(w, s, i);
        struct str chunk = str_slice(s, i, next);
        int64_t n = chars_of(chunk);
        bool space = is_wrap_space(chunk.p[0]);
        if (start == end && space && !first) { /* whitespace at the start of a later line */
            start = end = next;
            continue;
        }
        if (used + n <= w->width) {
            end = next;
            used += n;
            continue;
        }
        if (n > w->width && w->break_words) {
            /* fill the line with what fits, at least one character on an empty line */
            int64_t room = w->width - used;
            if (room < 1 && start == end)
                room = 1;
            if (room > 0) {
                struct jval v = {.kind = JV_STRING, .s = {chunk.p, chunk.n, (size_t)n}};
                next = i + jstr_offset(&v, (size_t)room);
                end = next;
            } else {
                next = i;
            }
        } else if (start == end) {
            end = next; /* longer than a line, but may not be broken */
        } else {
            next = i;
        }
        put_line(w, str_slice(s, start, end));
        first = false;
        start = end = next;
        used = 0;
    }
    put_line(w, str_slice(s, start, end));
}

FILTER(jfilter_wordwrap)
{
    struct wrapper w = {
        .r = r,
        .wrap = STR("\n"),
        .break_words = jarg_truth(args->pos[1], true),
        .break_hyphens = jarg_truth(args->pos[3], true),
    };
    struct str s;
    if (!jarg_text(r, self, "wordwrap: the value", &s) || !jarg_int(r, args->pos[0], 79, &w.width))
        return NULL;
    if (args->pos[2] && args->pos[2]->kind != JV_NULL &&
        !jarg_text(r, args->pos[2], "wordwrap: wrapstring", &w.wrap))
        return NULL;
    if (w.width <= 0)
        return jrun_error(r, "invalid width %lld (must be > 0)", (long long)w.width);
    jrun_buf(r, &w.out);
    bool more = false;
    for (size_t i = 0, from = 0; from < s.n && !w.out.failed;) {
        size_t end = py_line_end(s.p + i, s.n - i);
        uint32_t cp;
        if (!end && i < s.n) {
            i += (size_t)utf8_decode(s.p + i, s.n - i, &cp);
            continue;
        }
        if (more)
            buf_addstr(&w.out, w.wrap);
        more = true;
        w.any_line = false;
        wrap_line(&w, str_slice(s, from, i));
        from = i += end;
    }
    if (r->status != OK) {
        buf_release(&w.out);
        return NULL;
    }
    return jrun_take(r, &w.out);
}
