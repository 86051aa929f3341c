/* Cutting a Go template into tokens. */
#include "text/gotmpl_lex.h"
#include <string.h>

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_name(char c)
{
    unsigned u = (unsigned char)c;
    return c == '_' || (u | 32) - 'a' < 26 || u - '0' < 10 || u >= 0x80;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool here(const struct glexer *l, size_t at, const char *z)
{
    size_t n = strlen(z);
    return l->src.n - at >= n && memcmp(l->src.p + at, z, n) == 0;
}

static char peek(const struct glexer *l, size_t ahead)
{
    return l->src.n - l->at > ahead ? l->src.p[l->at + ahead] : 0;
}

/* Takes n bytes and counts their lines. */
static struct str take(struct glexer *l, size_t n)
{
    struct str s = {l->src.p + l->at, n};
    for (const char *p = s.p, *end = p + n; (p = memchr(p, '\n', (size_t)(end - p))); p++)
        l->line++;
    l->at += n;
    return s;
}

static void skip_space(struct glexer *l)
{
    size_t n = 0;
    while (l->at + n < l->src.n && is_space(l->src.p[l->at + n]))
        n++;
    take(l, n);
}

static struct gtoken fail(const struct glexer *l, const char *what)
{
    err_set(l->err, EFORMAT, "template line %u: %s", l->line, what);
    return (struct gtoken){.kind = GTOK_ERROR, .line = l->line};
}

/* Is a trim marker with its delimiter here: " -}}"? */
static bool trim_close(const struct glexer *l, size_t at)
{
    return at < l->src.n && is_space(l->src.p[at]) && here(l, at + 1, "-}}");
}

static bool trim_open(const struct glexer *l, size_t at) /* at: behind {{ */
{
    return l->src.n - at >= 2 && l->src.p[at] == '-' && is_space(l->src.p[at + 1]);
}

/* Behind {{ (and its marker) at a comment: passes it with its }}. */
static bool comment(struct glexer *l)
{
    size_t at = l->at + 2;
    while (at < l->src.n && !here(l, at, "*/"))
        at++;
    if (at >= l->src.n) {
        fail(l, "unclosed comment");
        return false;
    }
    take(l, at + 2 - l->at);
    if (here(l, l->at, "}}")) {
        take(l, 2);
        return true;
    }
    if (trim_close(l, l->at)) {
        take(l, 4);
        skip_space(l);
        return true;
    }
    fail(l, "comment ends before closing delimiter");
    return false;
}

/* Outside actions: the text up to the next {{, or that. */
static struct gtoken outside(struct glexer *l)
{
    while (l->at < l->src.n) {
        if (!l->opening) {
            size_t n = 0, rest = l->src.n - l->at;
            const char *p = l->src.p + l->at;
            while (n < rest && !here(l, l->at + n, "{{"))
                n++;
            struct gtoken t = {.kind = GTOK_TEXT, .line = l->line};
            l->opening = n < rest;
            t.text = take(l, n);
            if (l->opening && trim_open(l, l->at + 2))
                while (n > 0 && is_space(p[n - 1]))
                    n--;
            t.text.n = n;
            if (n)
                return t;
            continue;
        }
        l->opening = false;
        size_t marker = trim_open(l, l->at + 2) ? 2 : 0;
        uint32_t line = l->line;
        take(l, 2 + marker);
        if (!here(l, l->at, "/*")) {
            l->inside = true;
            return (struct gtoken){.kind = GTOK_OPEN, .line = line};
        }
        if (!comment(l))
            return (struct gtoken){.kind = GTOK_ERROR, .line = l->line};
    }
    return (struct gtoken){.kind = GTOK_END, .line = l->line};
}

static struct gtoken token(struct glexer *l, enum gtoken_kind kind, size_t n, bool spaced)
{
    struct gtoken t = {.kind = kind, .spaced = spaced, .line = l->line};
    t.text = take(l, n);
    return t;
}

/* A name, field or variable of n bytes, which must end where Go lets one end. */
static struct gtoken word(struct glexer *l, enum gtoken_kind kind, size_t n, bool spaced)
{
    char c = peek(l, n);
    if (l->at + n < l->src.n && !is_space(c) && (!c || !strchr(".,|:)(", c)) &&
        !here(l, l->at + n, "}}"))
        return fail(l, "a name is followed by a character that cannot be there");
    return token(l, kind, n, spaced);
}

static struct gtoken quoted(struct glexer *l, enum gtoken_kind kind, bool spaced)
{
    char quote = peek(l, 0);
    for (size_t n = 1; l->at + n < l->src.n; n++) {
        char c = peek(l, n);
        if (c == quote)
            return token(l, kind, n + 1, spaced);
        if (quote != '`' && c == '\n')
            break;
        if (quote != '`' && c == '\\')
            n++;
    }
    return fail(l, "unterminated quoted string");
}

static size_t name_length(const struct glexer *l, size_t from)
{
    size_t n = from;
    while (is_name(peek(l, n)))
        n++;
    return n;
}

/* Everything that can belong to a number; whether it is one is seen when its value is taken. */
static struct gtoken number(struct glexer *l, bool spaced)
{
    size_t n = peek(l, 0) == '+' || peek(l, 0) == '-';
    bool hex = peek(l, n) == '0' && (peek(l, n + 1) | 32) == 'x';
    for (;; n++) {
        char c = peek(l, n);
        if ((c == '+' || c == '-') && n > 0 && strchr(hex ? "pP" : "eE", peek(l, n - 1)))
            continue;
        if (!is_name(c) && c != '.')
            break;
    }
    return token(l, GTOK_NUMBER, n, spaced);
}

static struct gtoken inside(struct glexer *l)
{
    bool spaced = false;
    while (l->at < l->src.n && is_space(peek(l, 0)) && !trim_close(l, l->at)) {
        take(l, 1);
        spaced = true;
    }
    if (l->at >= l->src.n)
        return fail(l, "unclosed action");
    bool trim = trim_close(l, l->at);
    if (trim || here(l, l->at, "}}")) {
        struct gtoken t = token(l, GTOK_CLOSE, trim ? 4 : 2, spaced);
        l->inside = false;
        if (trim)
            skip_space(l);
        return t;
    }
    char c = peek(l, 0), next = peek(l, 1);
    switch (c) {
    case '(': return token(l, GTOK_LPAREN, 1, spaced);
    case ')': return token(l, GTOK_RPAREN, 1, spaced);
    case '|': return token(l, GTOK_PIPE, 1, spaced);
    case ',': return token(l, GTOK_COMMA, 1, spaced);
    case '=': return token(l, GTOK_ASSIGN, 1, spaced);
    case '"': return quoted(l, GTOK_STRING, spaced);
    case '`': return quoted(l, GTOK_RAW, spaced);
    case '\'': return quoted(l, GTOK_CHAR, spaced);
    case '$': return word(l, GTOK_VARIABLE, name_length(l, 1), spaced);
    case ':':
        if (next == '=')
            return token(l, GTOK_DECLARE, 2, spaced);
        break;
    case '.':
        if (is_digit(next))
            return number(l, spaced);
        if (is_name(next)) {
            struct gtoken t = word(l, GTOK_FIELD, name_length(l, 1), spaced);
            if (t.kind == GTOK_FIELD)
                t.text = str_slice(t.text, 1, t.text.n);
            return t;
        }
        return word(l, GTOK_DOT, 1, spaced);
    default:
        if (c == '+' || c == '-' || is_digit(c))
            return number(l, spaced);
        if (is_name(c))
            return word(l, GTOK_NAME, name_length(l, 0), spaced);
    }
    return fail(l, "unexpected character in an action");
}

struct gtoken glex_next(struct glexer *l)
{
    return l->inside ? inside(l) : outside(l);
}
