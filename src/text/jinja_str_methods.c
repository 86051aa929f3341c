/* Methods of str: one row each. Positions and lengths are in characters, as in Python. */
#include "text/jinja_methods.h"
#include "base/utf8.h"
#include "text/pystr.h"

#define METHOD(name)                                                                               \
    static const struct jval *name(struct jrun *r, const struct jval *self,                        \
                                   const struct jargs *args)

static const struct jval *keep_markup(struct jrun *r, const struct jval *self, const struct jval *v)
{
    return v && self->safe ? jrun_markup(r, v) : v;
}

static const struct jval *mapped(struct jrun *r, const struct jval *self,
                                 void (*map)(struct buf *, struct str))
{
    struct buf b;
    if (!jrun_step(r, self->s.n / 8))
        return NULL;
    jrun_buf(r, &b);
    map(&b, jval_text(self));
    return keep_markup(r, self, jrun_take(r, &b));
}

METHOD(m_lower)
{
    (void)args;
    return mapped(r, self, py_lower);
}

METHOD(m_upper)
{
    (void)args;
    return mapped(r, self, py_upper);
}

METHOD(m_title)
{
    (void)args;
    return mapped(r, self, py_title);
}

METHOD(m_capitalize)
{
    (void)args;
    return mapped(r, self, py_capitalize);
}

static void swap_case(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n;) {
        uint32_t cp;
        size_t len = (size_t)utf8_decode(s.p + i, s.n - i, &cp);
        struct str one = str_slice(s, i, i + len);
        if (cp != UTF8_BAD && pychar_is(cp, PY_UPPER))
            py_lower(out, one);
        else if (cp != UTF8_BAD && pychar_is(cp, PY_LOWER))
            py_upper(out, one);
        else
            buf_addstr(out, one);
        i += len;
    }
}

METHOD(m_swapcase)
{
    (void)args;
    return mapped(r, self, swap_case);
}

/* ---- strip ---- */

static bool in_set(struct str set, const char *p, size_t len)
{
    for (size_t i = 0; i < set.n;) {
        uint32_t cp;
        size_t n = (size_t)utf8_decode(set.p + i, set.n - i, &cp);
        if (n == len && !memcmp(set.p + i, p, n))
            return true;
        i += n;
    }
    return false;
}

struct str jstr_strip(struct str s, const struct str *chars, bool left, bool right)
{
    if (!chars) {
        s = left ? py_lstrip(s) : s;
        return right ? py_rstrip(s) : s;
    }
    uint32_t cp;
    for (size_t len; left && s.n; s = str_slice(s, len, s.n)) {
        len = (size_t)utf8_decode(s.p, s.n, &cp);
        if (!in_set(*chars, s.p, len))
            break;
    }
    while (right && s.n) {
        size_t at = s.n - 1;
        while (at > 0 && s.n - at < 4 && (s.p[at] & 0xc0) == 0x80)
            at--;
        if ((size_t)utf8_decode(s.p + at, s.n - at, &cp) != s.n - at)
            at = s.n - 1;
        if (!in_set(*chars, s.p + at, s.n - at))
            break;
        s.n = at;
    }
    return s;
}

static const struct jval *strip(struct jrun *r, const struct jval *self, const struct jargs *args,
                                bool left, bool right)
{
    const struct jval *chars = args->pos[0];
    struct str set, s;
    if (chars && chars->kind == JV_NULL)
        chars = NULL;
    if (chars && !jarg_text(r, chars, "strip arg", &set))
        return NULL;
    s = jstr_strip(jval_text(self), chars ? &set : NULL, left, right);
    return s.n == self->s.n ? self : keep_markup(r, self, jrun_view(r, s));
}

METHOD(m_strip)
{
    return strip(r, self, args, true, true);
}

METHOD(m_lstrip)
{
    return strip(r, self, args, true, false);
}

METHOD(m_rstrip)
{
    return strip(r, self, args, false, true);
}

/* ---- split and join ---- */

struct pieces {
    struct jrun *r;
    const struct jval **v;
    size_t n, cap;
    bool failed, safe;
};

static void add_piece(struct pieces *p, struct str s)
{
    if (p->n == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 8;
        const struct jval **v = jrun_alloc(p->r, cap, sizeof *v);
        if (!v) {
            p->failed = true;
            return;
        }
        if (p->n)
            memcpy(v, p->v, p->n * sizeof *v);
        p->v = v;
        p->cap = cap;
    }
    const struct jval *v = jrun_view(p->r, s);
    if (v && p->safe)
        v = jrun_markup(p->r, v);
    p->failed |= !v || !jrun_step(p->r, 1);
    if (v)
        p->v[p->n++] = v;
}

static const struct jval *piece_list(struct pieces *p)
{
    return p->failed ? NULL : jrun_list(p->r, JL_LIST, p->v, p->n);
}

static size_t word_end(struct str s)
{
    size_t i = 0;
    while (i < s.n) {
        uint32_t cp;
        size_t len = (size_t)utf8_decode(s.p + i, s.n - i, &cp);
        if (pychar_is(cp, PY_SPACE))
            break;
        i += len;
    }
    return i;
}

static size_t word_begin(struct str s)
{
    size_t i = s.n;
    while (i > 0) {
        uint32_t cp;
        size_t at = i - 1;
        while (at > 0 && i - at < 4 && (s.p[at] & 0xc0) == 0x80)
            at--;
        if ((size_t)utf8_decode(s.p + at, i - at, &cp) != i - at)
            at = i - 1;
        else if (pychar_is(cp, PY_SPACE))
            break;
        i = at;
    }
    return i;
}

static void split_space(struct pieces *p, struct str s, int64_t max)
{
    for (s = py_lstrip(s); s.n && !p->failed; s = py_lstrip(s)) {
        if (max >= 0 && (int64_t)p->n >= max) {
            add_piece(p, s);
            return;
        }
        size_t end = word_end(s);
        add_piece(p, str_slice(s, 0, end));
        s = str_slice(s, end, s.n);
    }
}

static void rsplit_space(struct pieces *p, struct str s, int64_t max)
{
    for (s = py_rstrip(s); s.n && !p->failed; s = py_rstrip(s)) {
        if (max >= 0 && (int64_t)p->n >= max) {
            add_piece(p, s);
            return;
        }
        size_t begin = word_begin(s);
        add_piece(p, str_slice(s, begin, s.n));
        s.n = begin;
    }
}

static const char *find_last(struct str s, struct str sep)
{
    for (size_t i = s.n - sep.n + 1; sep.n <= s.n && i-- > 0;)
        if (!memcmp(s.p + i, sep.p, sep.n))
            return s.p + i;
    return NULL;
}

static void split_sep(struct pieces *p, struct str s, struct str sep, int64_t max)
{
    const char *at;
    while (!p->failed && (max < 0 || (int64_t)p->n < max) &&
           (at = memmem(s.p, s.n, sep.p, sep.n)) != NULL) {
        size_t i = (size_t)(at - s.p);
        add_piece(p, str_slice(s, 0, i));
        s = str_slice(s, i + sep.n, s.n);
    }
    add_piece(p, s);
}

static void rsplit_sep(struct pieces *p, struct str s, struct str sep, int64_t max)
{
    const char *at;
    while (!p->failed && (max < 0 || (int64_t)p->n < max) && (at = find_last(s, sep)) != NULL) {
        size_t i = (size_t)(at - s.p);
        add_piece(p, str_slice(s, i + sep.n, s.n));
        s.n = i;
    }
    add_piece(p, s);
}

static void reverse_pieces(struct pieces *p)
{
    for (size_t i = 0; i < p->n / 2; i++) {
        const struct jval *v = p->v[i];
        p->v[i] = p->v[p->n - 1 - i];
        p->v[p->n - 1 - i] = v;
    }
}

static const struct jval *split(struct jrun *r, const struct jval *self, const struct jargs *args,
                                bool from_right)
{
    struct pieces p = {.r = r, .safe = self->safe};
    struct str sep = {0}, s = jval_text(self);
    int64_t max;
    if (!jarg_int(r, args->pos[1], -1, &max) || !jrun_step(r, s.n / 64))
        return NULL;
    if (!args->pos[0] || args->pos[0]->kind == JV_NULL) {
        (from_right ? rsplit_space : split_space)(&p, s, max);
    } else {
        if (!jarg_text(r, args->pos[0], "separator", &sep))
            return NULL;
        if (!sep.n)
            return jrun_error(r, "empty separator");
        (from_right ? rsplit_sep : split_sep)(&p, s, sep, max);
    }
    if (from_right)
        reverse_pieces(&p);
    return piece_list(&p);
}

METHOD(m_split)
{
    return split(r, self, args, false);
}

METHOD(m_rsplit)
{
    return split(r, self, args, true);
}

METHOD(m_splitlines)
{
    struct pieces p = {.r = r, .safe = self->safe};
    struct str s = jval_text(self);
    bool keep = jarg_truth(args->pos[0], false);
    for (size_t i = 0, from = 0; from < s.n && !p.failed;) {
        size_t end = py_line_end(s.p + i, s.n - i);
        uint32_t cp;
        if (end || i == s.n) {
            add_piece(&p, str_slice(s, from, keep ? i + end : i));
            from = i += end;
        } else {
            i += (size_t)utf8_decode(s.p + i, s.n - i, &cp);
        }
    }
    return piece_list(&p);
}

static const struct jval *partition(struct jrun *r, const struct jval *self,
                                    const struct jargs *args, bool last)
{
    struct pieces p = {.r = r, .safe = self->safe};
    struct str sep, s = jval_text(self);
    if (!jarg_text(r, args->pos[0], "separator", &sep))
        return NULL;
    if (!sep.n)
        return jrun_error(r, "empty separator");
    const char *at = last ? find_last(s, sep) : memmem(s.p, s.n, sep.p, sep.n);
    size_t i = at ? (size_t)(at - s.p) : last ? 0 : s.n;
    size_t end = at ? i + sep.n : i;
    add_piece(&p, str_slice(s, 0, i));
    add_piece(&p, str_slice(s, i, end));
    add_piece(&p, str_slice(s, end, s.n));
    return p.failed ? NULL : jrun_list(r, JL_TUPLE, p.v, p.n);
}

METHOD(m_partition)
{
    return partition(r, self, args, false);
}

METHOD(m_rpartition)
{
    return partition(r, self, args, true);
}

METHOD(m_join)
{
    const struct jval **items, *item;
    size_t n;
    struct buf b;
    if (!jrun_items(r, args->pos[0], &items, &n) || !jrun_step(r, n))
        return NULL;
    jrun_buf(r, &b);
    for (size_t i = 0; i < n; i++) {
        item = items[i];
        if (item->kind != JV_STRING) {
            buf_release(&b);
            return jrun_error(r, "sequence item %zu: expected str instance, %s found", i,
                              jval_type_name(item));
        }
        if (i)
            buf_addstr(&b, jval_text(self));
        if (self->safe && !(item = jrun_escape(r, item)))
            b.failed = true;
        else
            buf_addstr(&b, jval_text(item));
    }
    return keep_markup(r, self, jrun_take(r, &b));
}

/* ---- replace, search ---- */

const struct jval *jstr_replace(struct jrun *r, struct str s, struct str old, struct str new,
                                int64_t max)
{
    struct buf b;
    const char *at;
    if (!jrun_step(r, s.n / 16))
        return NULL;
    jrun_buf(r, &b);
    for (; max != 0 && !b.failed; max -= max > 0) {
        if (!old.n) { /* between all characters */
            uint32_t cp;
            buf_addstr(&b, new);
            if (!s.n)
                return jrun_take(r, &b);
            size_t len = (size_t)utf8_decode(s.p, s.n, &cp);
            buf_add(&b, s.p, len);
            s = str_slice(s, len, s.n);
            continue;
        }
        if (!(at = memmem(s.p, s.n, old.p, old.n)))
            break;
        size_t i = (size_t)(at - s.p);
        buf_add(&b, s.p, i);
        buf_addstr(&b, new);
        s = str_slice(s, i + old.n, s.n);
    }
    buf_addstr(&b, s);
    return jrun_take(r, &b);
}

METHOD(m_replace)
{
    struct str old, new;
    int64_t max;
    if (!jarg_text(r, args->pos[0], "replace() argument 1", &old) ||
        !jarg_text(r, args->pos[1], "replace() argument 2", &new) ||
        !jarg_int(r, args->pos[2], -1, &max))
        return NULL;
    return keep_markup(r, self, jstr_replace(r, jval_text(self), old, new, max));
}

/* The part of self between the optional character positions pos[1] and pos[2]. */
static bool search_range(struct jrun *r, const struct jval *self, const struct jargs *args,
                         struct str *s, int64_t *start, int64_t *stop)
{
    int64_t n = (int64_t)self->s.chars;
    const struct jval *a = args->pos[1], *b = args->pos[2];
    if (!jarg_int(r, a && a->kind != JV_NULL ? a : NULL, 0, start) ||
        !jarg_int(r, b && b->kind != JV_NULL ? b : NULL, n, stop))
        return false;
    *start += *start < 0 ? n : 0;
    *start = *start < 0 ? 0 : *start;
    *stop += *stop < 0 ? n : 0;
    *stop = *stop < 0 ? 0 : *stop > n ? n : *stop;
    *s = (struct str){0};
    if (*start <= *stop) {
        size_t from = jstr_offset(self, (size_t)*start), to = jstr_offset(self, (size_t)*stop);
        *s = str_slice(jval_text(self), from, to);
    }
    return true;
}

/* Character position of the first or last match, -1 when there is none. */
static bool search(struct jrun *r, const struct jval *self, const struct jargs *args, bool last,
                   int64_t *at)
{
    struct str s, sub;
    int64_t start, stop;
    *at = -1;
    if (!jarg_text(r, args->pos[0], "argument", &sub) ||
        !search_range(r, self, args, &s, &start, &stop) || !jrun_step(r, s.n / 64))
        return false;
    if (start > stop)
        return true;
    if (!sub.n) {
        *at = last ? stop : start;
        return true;
    }
    const char *p = last ? find_last(s, sub) : memmem(s.p, s.n, sub.p, sub.n);
    if (p)
        *at = start + (int64_t)jstr_count(s.p, (size_t)(p - s.p));
    return true;
}

METHOD(m_find)
{
    int64_t at;
    return search(r, self, args, false, &at) ? jrun_int(r, at) : NULL;
}

METHOD(m_rfind)
{
    int64_t at;
    return search(r, self, args, true, &at) ? jrun_int(r, at) : NULL;
}

METHOD(m_index)
{
    int64_t at;
    if (!search(r, self, args, false, &at))
        return NULL;
    return at < 0 ? jrun_error(r, "substring not found") : jrun_int(r, at);
}

METHOD(m_rindex)
{
    int64_t at;
    if (!search(r, self, args, true, &at))
        return NULL;
    return at < 0 ? jrun_error(r, "substring not found") : jrun_int(r, at);
}

METHOD(m_count)
{
    struct str s, sub;
    int64_t start, stop, n = 0;
    const char *p;
    if (!jarg_text(r, args->pos[0], "argument", &sub) ||
        !search_range(r, self, args, &s, &start, &stop) || !jrun_step(r, s.n / 64))
        return NULL;
    if (!sub.n)
        return jrun_int(r, start <= stop ? stop - start + 1 : 0);
    for (; s.n && (p = memmem(s.p, s.n, sub.p, sub.n)) != NULL; n++)
        s = str_slice(s, (size_t)(p - s.p) + sub.n, s.n);
    return jrun_int(r, n);
}

static const struct jval *affix(struct jrun *r, const struct jval *self, const struct jargs *args,
                                bool end)
{
    const struct jval *what = args->pos[0], *const *v = &what;
    struct str s, one;
    size_t n = 1;
    int64_t start, stop;
    if (!search_range(r, self, args, &s, &start, &stop))
        return NULL;
    if (jval_is_tuple(what)) {
        v = what->list.v;
        n = what->list.n;
    }
    for (size_t i = 0; i < n; i++) {
        if (!jarg_text(r, v[i], end ? "endswith first arg" : "startswith first arg", &one))
            return NULL;
        if (start <= stop && (end ? str_ends(s, one) : str_starts(s, one)))
            return &jval_true;
    }
    return &jval_false;
}

METHOD(m_startswith)
{
    return affix(r, self, args, false);
}

METHOD(m_endswith)
{
    return affix(r, self, args, true);
}

METHOD(m_removeprefix)
{
    struct str s = jval_text(self), prefix;
    if (!jarg_text(r, args->pos[0], "removeprefix() argument", &prefix))
        return NULL;
    return str_starts(s, prefix) ? keep_markup(r, self, jrun_view(r, str_slice(s, prefix.n, s.n)))
                                 : self;
}

METHOD(m_removesuffix)
{
    struct str s = jval_text(self), suffix;
    if (!jarg_text(r, args->pos[0], "removesuffix() argument", &suffix))
        return NULL;
    return suffix.n && str_ends(s, suffix)
               ? keep_markup(r, self, jrun_view(r, str_slice(s, 0, s.n - suffix.n)))
               : self;
}

/* ---- padding ---- */

const struct jval *jstr_pad(struct jrun *r, const struct jval *s, int64_t left, int64_t right,
                            struct str fill)
{
    struct buf b;
    left = left < 0 ? 0 : left;
    right = right < 0 ? 0 : right;
    if ((uint64_t)left > r->max_memory || (uint64_t)right > r->max_memory)
        return jrun_no_memory(r);
    if (!jrun_step(r, (uint64_t)(left + right) / 8))
        return NULL;
    jrun_buf(r, &b);
    for (int64_t i = 0; i < left && !b.failed; i++)
        buf_addstr(&b, fill);
    buf_addstr(&b, jval_text(s));
    for (int64_t i = 0; i < right && !b.failed; i++)
        buf_addstr(&b, fill);
    return keep_markup(r, s, jrun_take(r, &b));
}

static bool padding(struct jrun *r, const struct jval *self, const struct jargs *args,
                    int64_t *width, struct str *fill)
{
    *fill = STR(" ");
    if (!jarg_int(r, args->pos[0], 0, width))
        return false;
    if (args->pos[1]) {
        if (!jarg_text(r, args->pos[1], "the fill character", fill))
            return false;
        if (args->pos[1]->s.chars != 1)
            return jrun_error(r, "the fill character must be exactly one character long"), false;
    }
    int64_t n = (int64_t)self->s.chars;
    *width = *width > n ? *width - n : 0;
    return true;
}

METHOD(m_ljust)
{
    int64_t pad;
    struct str fill;
    return padding(r, self, args, &pad, &fill) ? jstr_pad(r, self, 0, pad, fill) : NULL;
}

METHOD(m_rjust)
{
    int64_t pad;
    struct str fill;
    return padding(r, self, args, &pad, &fill) ? jstr_pad(r, self, pad, 0, fill) : NULL;
}

METHOD(m_center)
{
    int64_t pad, left;
    struct str fill;
    if (!padding(r, self, args, &pad, &fill))
        return NULL;
    /* CPython's: the odd one goes left when the width is odd */
    left = pad / 2 + (pad & ((int64_t)self->s.chars + pad) & 1);
    return jstr_pad(r, self, left, pad - left, fill);
}

METHOD(m_zfill)
{
    int64_t pad;
    struct str fill, s = jval_text(self);
    if (!padding(r, self, args, &pad, &fill))
        return NULL;
    if (!s.n || (s.p[0] != '+' && s.p[0] != '-'))
        return jstr_pad(r, self, pad, 0, STR("0"));
    const struct jval *digits = jrun_view(r, str_slice(s, 1, s.n));
    if (!digits || !(digits = jstr_pad(r, digits, pad, 0, STR("0"))))
        return NULL;
    struct buf b;
    jrun_buf(r, &b);
    buf_addc(&b, s.p[0]);
    buf_addstr(&b, jval_text(digits));
    return jrun_take(r, &b);
}

METHOD(m_expandtabs)
{
    int64_t size, column = 0;
    struct buf b;
    if (!jarg_int(r, args->pos[0], 8, &size))
        return NULL;
    size = size > 1000 ? 1000 : size;
    jrun_buf(r, &b);
    for (size_t i = 0; i < self->s.n && !b.failed; i++) {
        char c = self->s.p[i];
        if (c == '\t') {
            for (int64_t pad = size > 0 ? size - column % size : 0; pad > 0; pad--, column++)
                buf_addc(&b, ' ');
            continue;
        }
        column = c == '\n' || c == '\r' ? 0 : column + ((c & 0xc0) != 0x80);
        buf_addc(&b, c);
    }
    return keep_markup(r, self, jrun_take(r, &b));
}

/* ---- what a string consists of ---- */

static bool all_chars(const struct jval *s, bool (*is)(uint32_t cp))
{
    for (size_t i = 0; i < s->s.n;) {
        uint32_t cp;
        i += (size_t)utf8_decode(s->s.p + i, s->s.n - i, &cp);
        if (cp == UTF8_BAD || !is(cp))
            return false;
    }
    return s->s.n > 0;
}

#define CLASS_METHOD(name, test)                                                                   \
    static bool name##_char(uint32_t cp)                                                           \
    {                                                                                              \
        return test;                                                                               \
    }                                                                                              \
    METHOD(m_##name)                                                                               \
    {                                                                                              \
        (void)args;                                                                                \
        return jrun_step(r, self->s.n / 16) ? jval_of_bool(all_chars(self, name##_char)) : NULL;   \
    }

CLASS_METHOD(isalpha, pychar_is(cp, PY_ALPHA))
CLASS_METHOD(isdigit, pychar_is(cp, PY_DIGIT))
CLASS_METHOD(isdecimal, pychar_is(cp, PY_DECIMAL))
CLASS_METHOD(isnumeric, pychar_is(cp, PY_NUMERIC))
CLASS_METHOD(isspace, pychar_is(cp, PY_SPACE))
CLASS_METHOD(isalnum, pychar_is(cp, PY_ALPHA) || pychar_is(cp, PY_NUMERIC))

METHOD(m_isascii)
{
    (void)r;
    (void)args;
    for (size_t i = 0; i < self->s.n; i++)
        if ((unsigned char)self->s.p[i] >= 0x80)
            return &jval_false;
    return &jval_true;
}

METHOD(m_isprintable)
{
    (void)args;
    (void)r;
    for (size_t i = 0; i < self->s.n;) {
        uint32_t cp;
        i += (size_t)utf8_decode(self->s.p + i, self->s.n - i, &cp);
        if (!pychar_is(cp, PY_PRINTABLE))
            return &jval_false;
    }
    return &jval_true;
}

/* Has a character of class `want` and none of the other cases. */
static const struct jval *one_case(const struct jval *s, enum pychar_class want)
{
    bool seen = false;
    for (size_t i = 0; i < s->s.n;) {
        uint32_t cp;
        i += (size_t)utf8_decode(s->s.p + i, s->s.n - i, &cp);
        bool lower = pychar_is(cp, PY_LOWER), upper = pychar_is(cp, PY_UPPER);
        if (pychar_is(cp, PY_TITLE) || (want == PY_LOWER ? upper : lower))
            return &jval_false;
        seen |= lower || upper;
    }
    return jval_of_bool(seen);
}

METHOD(m_islower)
{
    (void)args;
    return jrun_step(r, self->s.n / 16) ? one_case(self, PY_LOWER) : NULL;
}

METHOD(m_isupper)
{
    (void)args;
    return jrun_step(r, self->s.n / 16) ? one_case(self, PY_UPPER) : NULL;
}

METHOD(m_istitle)
{
    bool seen = false, in_word = false;
    (void)args;
    for (size_t i = 0; i < self->s.n;) {
        uint32_t cp;
        i += (size_t)utf8_decode(self->s.p + i, self->s.n - i, &cp);
        bool lower = pychar_is(cp, PY_LOWER);
        bool upper = pychar_is(cp, PY_UPPER) || pychar_is(cp, PY_TITLE);
        if ((upper && in_word) || (lower && !in_word))
            return &jval_false;
        seen |= in_word = lower || upper;
    }
    return jrun_step(r, self->s.n / 16) ? jval_of_bool(seen) : NULL;
}

METHOD(m_format)
{
    return keep_markup(r, self, jrun_format(r, self, args));
}

/* Sorted by name: found by binary search. */
static const struct jbuiltin methods[] = {
    {.name = "capitalize", .fn = m_capitalize},
    {.name = "center", .fn = m_center, .params = {"width", "fillchar"}, .required = 1},
    {.name = "count", .fn = m_count, .params = {"sub", "start", "end"}, .required = 1},
    {.name = "endswith", .fn = m_endswith, .params = {"suffix", "start", "end"}, .required = 1},
    {.name = "expandtabs", .fn = m_expandtabs, .params = {"tabsize"}},
    {.name = "find", .fn = m_find, .params = {"sub", "start", "end"}, .required = 1},
    {.name = "format", .fn = m_format, .any = true},
    {.name = "index", .fn = m_index, .params = {"sub", "start", "end"}, .required = 1},
    {.name = "isalnum", .fn = m_isalnum},
    {.name = "isalpha", .fn = m_isalpha},
    {.name = "isascii", .fn = m_isascii},
    {.name = "isdecimal", .fn = m_isdecimal},
    {.name = "isdigit", .fn = m_isdigit},
    {.name = "islower", .fn = m_islower},
    {.name = "isnumeric", .fn = m_isnumeric},
    {.name = "isprintable", .fn = m_isprintable},
    {.name = "isspace", .fn = m_isspace},
    {.name = "istitle", .fn = m_istitle},
    {.name = "isupper", .fn = m_isupper},
    {.name = "join", .fn = m_join, .params = {"iterable"}, .required = 1},
    {.name = "ljust", .fn = m_ljust, .params = {"width", "fillchar"}, .required = 1},
    {.name = "lower", .fn = m_lower},
    {.name = "lstrip", .fn = m_lstrip, .params = {"chars"}},
    {.name = "partition", .fn = m_partition, .params = {"sep"}, .required = 1},
    {.name = "removeprefix", .fn = m_removeprefix, .params = {"prefix"}, .required = 1},
    {.name = "removesuffix", .fn = m_removesuffix, .params = {"suffix"}, .required = 1},
    {.name = "replace", .fn = m_replace, .params = {"old", "new", "count"}, .required = 2},
    {.name = "rfind", .fn = m_rfind, .params = {"sub", "start", "end"}, .required = 1},
    {.name = "rindex", .fn = m_rindex, .params = {"sub", "start", "end"}, .required = 1},
    {.name = "rjust", .fn = m_rjust, .params = {"width", "fillchar"}, .required = 1},
    {.name = "rpartition", .fn = m_rpartition, .params = {"sep"}, .required = 1},
    {.name = "rsplit", .fn = m_rsplit, .params = {"sep", "maxsplit"}},
    {.name = "rstrip", .fn = m_rstrip, .params = {"chars"}},
    {.name = "split", .fn = m_split, .params = {"sep", "maxsplit"}},
    {.name = "splitlines", .fn = m_splitlines, .params = {"keepends"}},
    {.name = "startswith", .fn = m_startswith, .params = {"prefix", "start", "end"}, .required = 1},
    {.name = "strip", .fn = m_strip, .params = {"chars"}},
    {.name = "swapcase", .fn = m_swapcase},
    {.name = "title", .fn = m_title},
    {.name = "upper", .fn = m_upper},
    {.name = "zfill", .fn = m_zfill, .params = {"width"}, .required = 1},
};

const struct jbuiltin *jstr_method(struct str name)
{
    size_t lo = 0, hi = sizeof methods / sizeof *methods;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2, n = strlen(methods[mid].name);
        int c = memcmp(name.p, methods[mid].name, name.n < n ? name.n : n);
        c = c ? c : (name.n > n) - (name.n < n);
        if (c == 0)
            return &methods[mid];
        if (c < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}
