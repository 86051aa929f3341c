/* The lexer. Follows the rules of Jinja's with trim_blocks and lstrip_blocks: text up to a tag is
 * stripped as the tag's sign says, the newline after a block or comment is dropped, raw blocks are
 * one piece of text. Line ends are made "\n" and the last one of the template is dropped first.
 *
 * Refuses an integer that does not fit 64 bits (Python's have no limit). */
#include "text/jinja_lex.h"
#include "base/utf8.h"
#include "text/pystr.h"
#include <stdlib.h>

enum { MAX_BRACKETS = 256 };

struct lexer {
    struct arena *a;
    struct err *err;
    const char *p; /* the source with "\n" line ends */
    size_t n, at;
    uint32_t line;
    size_t line_start; /* offset where `line` begins */
    size_t counted;    /* lines are counted up to here */
    bool line_starting;
    struct jtoken *v;
    size_t n_tokens, cap;
    char brackets[MAX_BRACKETS]; /* the closing ones that are due */
    int n_brackets;
};

static void count_lines(struct lexer *l, size_t to)
{
    for (; l->counted < to; l->counted++)
        if (l->p[l->counted] == '\n') {
            l->line++;
            l->line_start = l->counted + 1;
        }
}

static enum status fail(struct lexer *l, size_t at, const char *fmt, ...) PRINTF_LIKE(3, 4);

static enum status fail(struct lexer *l, size_t at, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    count_lines(l, at);
    err_setv(l->err, EFORMAT, fmt, ap);
    va_end(ap);
    err_prefix(l->err, "line %u, column %zu", l->line, at - l->line_start + 1);
    return EFORMAT;
}

static enum status push(struct lexer *l, enum jtoken_kind kind, size_t at, struct str text)
{
    if (l->n_tokens == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 256;
        struct jtoken *v = arena_array(l->a, cap, sizeof *v);
        if (!v)
            return err_set(l->err, ELIMIT, "the template needs too much memory");
        if (l->n_tokens)
            memcpy(v, l->v, l->n_tokens * sizeof *v);
        l->v = v;
        l->cap = cap;
    }
    count_lines(l, at);
    l->v[l->n_tokens++] = (struct jtoken){
        .kind = kind,
        .line = l->line,
        .column = (uint32_t)(at - l->line_start + 1),
        .text = text,
    };
    return OK;
}

/* Length of the whitespace character at `at`, 0 when there is none. */
static size_t space_at(const struct lexer *l, size_t at)
{
    uint32_t cp;
    if (at >= l->n)
        return 0;
    int len = utf8_decode(l->p + at, l->n - at, &cp);
    return pychar_is(cp, PY_SPACE) ? (size_t)len : 0;
}

static size_t skip_space(const struct lexer *l, size_t at)
{
    for (size_t len; (len = space_at(l, at)) > 0;)
        at += len;
    return at;
}

static bool at_text(const struct lexer *l, size_t at, const char *z)
{
    size_t n = strlen(z);
    return at <= l->n && l->n - at >= n && !memcmp(l->p + at, z, n);
}

/* Where the tag that ends with `close` at `at` leaves off: 0 when it is not there. "-" eats the
 * whitespace that follows, "+" keeps the newline that is else dropped. */
static size_t tag_end(const struct lexer *l, size_t at, const char *close, bool drops_newline)
{
    if (at < l->n && l->p[at] == '-' && at_text(l, at + 1, close))
        return skip_space(l, at + 1 + strlen(close));
    if (drops_newline && at < l->n && l->p[at] == '+' && at_text(l, at + 1, close))
        return at + 1 + strlen(close);
    if (!at_text(l, at, close))
        return 0;
    at += strlen(close);
    return drops_newline && at < l->n && l->p[at] == '\n' ? at + 1 : at;
}

/* "{% NAME" with an optional sign; returns the offset behind the name and spaces, or 0. */
static size_t named_tag(const struct lexer *l, size_t at, const char *name)
{
    if (!at_text(l, at, "{%"))
        return 0;
    at += 2;
    if (at < l->n && (l->p[at] == '-' || l->p[at] == '+'))
        at++;
    at = skip_space(l, at);
    return at_text(l, at, name) ? skip_space(l, at + strlen(name)) : 0;
}

static size_t raw_begin(const struct lexer *l, size_t at)
{
    size_t in = named_tag(l, at, "raw");
    if (!in)
        return 0;
    if (at_text(l, in, "-%}"))
        return skip_space(l, in + 3);
    return at_text(l, in, "%}") ? in + 2 : 0;
}

/* The text [from, tag) as the tag that follows leaves it. */
static enum status push_data(struct lexer *l, size_t from, size_t tag, char sign, bool variable)
{
    size_t end = tag;
    if (sign == '-') {
        end = from + py_rstrip(str_slice((struct str){l->p, l->n}, from, tag)).n;
    } else if (sign != '+' && !variable) {
        size_t line = tag;
        while (line > from && l->p[line - 1] != '\n')
            line--;
        if ((line > from || l->line_starting) && line < tag && skip_space(l, line) >= tag)
            end = line;
    }
    return end > from ? push(l, T_DATA, from, str_slice((struct str){l->p, l->n}, from, end)) : OK;
}

static char sign_at(const struct lexer *l, size_t at)
{
    return at < l->n && (l->p[at] == '-' || l->p[at] == '+') ? l->p[at] : 0;
}

static void move_to(struct lexer *l, size_t at)
{
    l->at = at;
    l->line_starting = at > 0 && l->p[at - 1] == '\n';
}

static enum status lex_comment(struct lexer *l, size_t tag)
{
    for (size_t i = l->at; i + 1 < l->n; i++) {
        if (l->p[i] != '#' || l->p[i + 1] != '}')
            continue;
        size_t from = i > l->at && (l->p[i - 1] == '-' || l->p[i - 1] == '+') ? i - 1 : i;
        move_to(l, tag_end(l, from, "#}", true));
        return OK;
    }
    return fail(l, tag, "comment without its end, expected '#}'");
}

static enum status lex_raw(struct lexer *l, size_t tag)
{
    for (size_t i = l->at; i + 1 < l->n; i++) {
        size_t in = l->p[i] == '{' ? named_tag(l, i, "endraw") : 0;
        size_t end = in ? tag_end(l, in, "%}", true) : 0;
        if (!end)
            continue;
        enum status s = push_data(l, l->at, i, sign_at(l, i + 2), false);
        move_to(l, end);
        return s;
    }
    return fail(l, tag, "raw block without its end, expected '{%% endraw %%}'");
}

/* ---- inside {{ }} and {% %} ---- */

static int digit_value(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'z' ? c - 'a' + 10
           : c >= 'A' && c <= 'Z' ? c - 'A' + 10
                                  : 99;
}

/* The end of a run of digits of `base`, single underscores between them allowed. */
static size_t digits_end(const struct lexer *l, size_t at, int base)
{
    while (at < l->n && (digit_value(l->p[at]) < base ||
                         (l->p[at] == '_' && at + 1 < l->n && at > 0 &&
                          digit_value(l->p[at - 1]) < base && digit_value(l->p[at + 1]) < base)))
        at++;
    return at;
}

/* The end of a float literal at l->at, or 0. */
static size_t float_end(const struct lexer *l)
{
    size_t at = digits_end(l, l->at, 10), end = 0;
    if (l->at > 0 && l->p[l->at - 1] == '.')
        return 0;
    if (at + 1 < l->n && l->p[at] == '.' && digit_value(l->p[at + 1]) < 10)
        at = end = digits_end(l, at + 1, 10);
    if (at < l->n && (l->p[at] | 32) == 'e') {
        size_t exp = at + 1;
        if (exp < l->n && (l->p[exp] == '+' || l->p[exp] == '-'))
            exp++;
        if (exp < l->n && digit_value(l->p[exp]) < 10)
            end = digits_end(l, exp, 10);
    }
    return end;
}

static enum status lex_float(struct lexer *l, size_t end)
{
    char digits[512];
    size_t n = 0;
    if (end - l->at >= sizeof digits)
        return fail(l, l->at, "number literal of %zu characters, the limit is %zu", end - l->at,
                    sizeof digits - 1);
    for (size_t i = l->at; i < end; i++)
        if (l->p[i] != '_')
            digits[n++] = l->p[i];
    digits[n] = 0;
    enum status s = push(l, T_FLOAT, l->at, (struct str){0});
    if (s == OK)
        l->v[l->n_tokens - 1].f = strtod(digits, NULL);
    move_to(l, end);
    return s;
}

static enum status lex_integer(struct lexer *l)
{
    size_t from = l->at, end;
    int base = 10;
    if (l->p[from] == '0' && from + 2 <= l->n) {
        char kind = from + 1 < l->n ? (char)(l->p[from + 1] | 32) : 0;
        int b = kind == 'x' ? 16 : kind == 'o' ? 8 : kind == 'b' ? 2 : 0;
        size_t first = from + 2 + (from + 2 < l->n && l->p[from + 2] == '_');
        if (b && first < l->n && digit_value(l->p[first]) < b) {
            base = b;
            from = first;
        }
    }
    end = digits_end(l, from, base);
    /* Jinja's integers do not begin with 0: 012 is 0 and 12 */
    if (base == 10 && l->p[from] == '0')
        for (end = from + 1;
             end < l->n &&
             (l->p[end] == '0' || (l->p[end] == '_' && end + 1 < l->n && l->p[end + 1] == '0'));)
            end++;
    int64_t v = 0;
    for (size_t i = from; i < end; i++)
        if (l->p[i] != '_' && (__builtin_mul_overflow(v, base, &v) ||
                               __builtin_add_overflow(v, digit_value(l->p[i]), &v)))
            return fail(l, l->at, "integer literal does not fit 64 bits");
    enum status s = push(l, T_INTEGER, l->at, (struct str){0});
    if (s == OK)
        l->v[l->n_tokens - 1].i = v;
    move_to(l, end);
    return s;
}

static size_t name_end(const struct lexer *l, size_t at)
{
    while (at < l->n) {
        uint32_t cp;
        int len = utf8_decode(l->p + at, l->n - at, &cp);
        if (cp != '_' && !pychar_is(cp, PY_ALPHA) && !pychar_is(cp, PY_DECIMAL))
            break;
        at += (size_t)len;
    }
    return at;
}

/* One escape at p[i] == '\\' of a string literal; returns the offset behind it, 0 when its digits
 * are missing. An unknown one keeps its backslash. */
static size_t unescape(const char *p, size_t i, size_t end, char *out, size_t *n)
{
    static const char from[] = "abfnrtv\\'\"", to[] = "\a\b\f\n\r\t\v\\'\"";
    char c = p[i + 1];
    const char *known = memchr(from, c, sizeof from - 1);
    i += 2;
    if (known) {
        out[(*n)++] = to[known - from];
        return i;
    }
    if (c == '\n')
        return i;
    uint32_t v = 0;
    int hex = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (c >= '0' && c <= '7') {
        for (int k = 0; k < 3 && i - 1 < end && digit_value(p[i - 1]) < 8; k++, i++)
            v = v * 8 + (uint32_t)digit_value(p[i - 1]);
        i--;
    } else if (hex) {
        for (int k = 0; k < hex; k++, i++) {
            if (i >= end || digit_value(p[i]) >= 16)
                return 0;
            v = v * 16 + (uint32_t)digit_value(p[i]);
        }
    } else if (c == 'N') {
        return 0;
    } else {
        out[(*n)++] = '\\';
        return i - 1;
    }
    if (v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff))
        return 0;
    *n += (size_t)utf8_encode(v, out + *n);
    return i;
}

static enum status lex_string(struct lexer *l)
{
    size_t from = l->at + 1, end = from, n = 0;
    char quote = l->p[l->at];
    while (end < l->n && l->p[end] != quote)
        end += l->p[end] == '\\' ? 2 : 1;
    if (end >= l->n)
        return fail(l, l->at, "string without its end, expected %c", quote);
    char *out = arena_alloc(l->a, end - from + 1);
    if (!out)
        return err_set(l->err, ELIMIT, "the template needs too much memory");
    for (size_t i = from; i < end;) {
        if (l->p[i] != '\\') {
            out[n++] = l->p[i++];
            continue;
        }
        size_t next = unescape(l->p, i, end, out, &n);
        if (!next)
            return fail(l, i, "string escape that is not complete or not supported");
        i = next;
    }
    enum status s = push(l, T_STRING, l->at, (struct str){out, n});
    move_to(l, end + 1);
    return s;
}

static const struct {
    const char *text;
    enum jtoken_kind kind;
} operators[] = {
    /* the longer ones first */
    {"//", T_FLOORDIV}, {"**", T_POW},   {"==", T_EQ},      {"!=", T_NE},      {">=", T_GE},
    {"<=", T_LE},       {"+", T_ADD},    {"-", T_SUB},      {"/", T_DIV},      {"*", T_MUL},
    {"%", T_MOD},       {"~", T_TILDE},  {"[", T_LBRACKET}, {"]", T_RBRACKET}, {"(", T_LPAREN},
    {")", T_RPAREN},    {"{", T_LBRACE}, {"}", T_RBRACE},   {">", T_GT},       {"<", T_LT},
    {"=", T_ASSIGN},    {".", T_DOT},    {":", T_COLON},    {"|", T_PIPE},     {",", T_COMMA},
    {";", T_SEMICOLON},
};

static enum status lex_operator(struct lexer *l)
{
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        const char *text = operators[i].text;
        if (!at_text(l, l->at, text))
            continue;
        const char *open = strchr("([{", *text), *shut = strchr(")]}", *text);
        if (open && l->n_brackets == MAX_BRACKETS)
            return fail(l, l->at, "brackets nested deeper than %d", MAX_BRACKETS);
        if (open)
            l->brackets[l->n_brackets++] = *text == '(' ? ')' : *text == '[' ? ']' : '}';
        if (shut && l->n_brackets == 0)
            return fail(l, l->at, "unexpected '%s'", text);
        if (shut && l->brackets[--l->n_brackets] != *text)
            return fail(l, l->at, "unexpected '%s', expected '%c'", text,
                        l->brackets[l->n_brackets]);
        enum status s = push(l, operators[i].kind, l->at, str_from(text));
        move_to(l, l->at + strlen(text));
        return s;
    }
    uint32_t cp;
    int len = utf8_decode(l->p + l->at, l->n - l->at, &cp);
    return fail(l, l->at, "unexpected character '%.*s'", len, l->p + l->at);
}

/* Tokens up to the end of the tag that began at `tag`. */
static enum status lex_tag(struct lexer *l, size_t tag, bool variable)
{
    const char *close = variable ? "}}" : "%}";
    l->n_brackets = 0;
    while (l->at < l->n) {
        size_t end = l->n_brackets ? 0 : tag_end(l, l->at, close, !variable), next;
        enum status s = OK;
        char c = l->p[l->at];
        if (end) {
            s = push(l, variable ? T_VARIABLE_END : T_BLOCK_END, l->at, str_from(close));
            move_to(l, end);
            return s;
        }
        if ((next = skip_space(l, l->at)) > l->at)
            move_to(l, next);
        else if (c >= '0' && c <= '9')
            s = (end = float_end(l)) ? lex_float(l, end) : lex_integer(l);
        else if (c == '"' || c == '\'')
            s = lex_string(l);
        else if ((next = name_end(l, l->at)) > l->at) {
            s = push(l, T_NAME, l->at, str_slice((struct str){l->p, l->n}, l->at, next));
            move_to(l, next);
        } else
            s = lex_operator(l);
        if (s != OK)
            return s;
    }
    return fail(l, tag, "tag without its end, expected '%s'", close);
}

static enum status lex_all(struct lexer *l)
{
    while (l->at < l->n) {
        size_t tag = l->at, raw;
        while (tag + 1 < l->n &&
               !(l->p[tag] == '{' && strchr("{%#", l->p[tag + 1]) && l->p[tag + 1]))
            tag++;
        if (tag + 1 >= l->n)
            return push(l, T_DATA, l->at, str_slice((struct str){l->p, l->n}, l->at, l->n));
        char kind = l->p[tag + 1], sign = sign_at(l, tag + 2);
        enum status s = push_data(l, l->at, tag, sign, kind == '{');
        if (s != OK)
            return s;
        if (kind == '%' && (raw = raw_begin(l, tag)) != 0) {
            move_to(l, raw);
            s = lex_raw(l, tag);
        } else {
            move_to(l, tag + 2 + (sign != 0));
            if (kind == '#') {
                s = lex_comment(l, tag);
            } else {
                s = push(l, kind == '{' ? T_VARIABLE_BEGIN : T_BLOCK_BEGIN, tag, (struct str){0});
                if (s == OK)
                    s = lex_tag(l, tag, kind == '{');
            }
        }
        if (s != OK)
            return s;
    }
    return OK;
}

enum status jinja_lex(struct arena *a, struct str source, struct jtoken **out, struct err *err)
{
    struct lexer l = {.a = a, .err = err, .line = 1, .line_starting = true};
    char *p = arena_alloc(a, source.n + 1);
    if (!p)
        return err_set(err, ELIMIT, "the template needs too much memory");
    for (size_t i = 0; i < source.n; i++) {
        if (source.p[i] == '\r' && i + 1 < source.n && source.p[i + 1] == '\n')
            continue;
        p[l.n++] = source.p[i] == '\r' ? '\n' : source.p[i];
    }
    if (l.n && p[l.n - 1] == '\n')
        l.n--;
    l.p = p;
    enum status s = lex_all(&l);
    if (s == OK)
        s = push(&l, T_EOF, l.n, (struct str){0});
    *out = l.v;
    return s;
}

const char *jtoken_name(enum jtoken_kind kind)
{
    static const char *const names[] = {
        [T_EOF] = "end of template",
        [T_DATA] = "template data",
        [T_BLOCK_BEGIN] = "begin of statement block",
        [T_BLOCK_END] = "end of statement block",
        [T_VARIABLE_BEGIN] = "begin of print statement",
        [T_VARIABLE_END] = "end of print statement",
        [T_NAME] = "name",
        [T_STRING] = "string",
        [T_INTEGER] = "integer",
        [T_FLOAT] = "float",
    };
    if (kind < T_ADD)
        return names[kind];
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
        if (operators[i].kind == kind)
            return operators[i].text;
    return "token";
}
