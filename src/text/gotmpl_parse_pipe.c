/* From tokens to pipelines: commands, operands and literals of Go templates. */
#include "base/utf8.h"
#include "text/gotmpl_func.h"
#include "text/gotmpl_parse.h"
#include <stdlib.h>

static bool fail_memory(struct gparser *p)
{
    if (p->status == OK)
        p->status = err_set(p->err, ENOMEMORY, "template: no memory for its tree");
    return false;
}

/* ---- literals ---- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The escape at s (behind its backslash) of Go's literals: its length, 0 when there is none such.
 * *byte: the value is a byte, not a character. */
static size_t unescape(struct str s, char quote, uint32_t *value, bool *byte)
{
    static const char from[] = "abfnrtv\\", to[] = "\a\b\f\n\r\t\v\\";
    *byte = false;
    if (s.n == 0)
        return 0;
    const char *simple = s.p[0] ? strchr(from, s.p[0]) : NULL;
    if (simple || s.p[0] == quote) {
        *value = (unsigned char)(simple ? to[simple - from] : quote);
        return 1;
    }
    unsigned base = 16;
    size_t start = 1, n = s.p[0] == 'x' ? 2 : s.p[0] == 'u' ? 4 : s.p[0] == 'U' ? 8 : 0;
    if (s.p[0] >= '0' && s.p[0] <= '7') {
        base = 8;
        start = 0;
        n = 3;
    }
    uint64_t v = 0;
    if (n == 0 || s.n < start + n)
        return 0;
    for (size_t i = 0; i < n; i++) {
        int d = hex_digit(s.p[start + i]);
        if (d < 0 || (unsigned)d >= base)
            return 0;
        v = v * base + (unsigned)d;
    }
    *byte = n <= 3;
    if (*byte ? v > 255 : v > 0x10ffff || (v >= 0xd800 && v < 0xe000))
        return 0;
    *value = (uint32_t)v;
    return start + n;
}

bool gparse_unquote(struct gparser *p, struct gtoken tok, struct str *out)
{
    struct str s = str_slice(tok.text, 1, tok.text.n - 1);
    char *to = arena_alloc(&p->t->arena, s.n + 1);
    size_t n = 0;
    if (!to)
        return fail_memory(p);
    for (size_t i = 0; i < s.n;) {
        if (tok.kind == GTOK_RAW) {
            if (s.p[i] != '\r')
                to[n++] = s.p[i];
            i++;
            continue;
        }
        uint32_t v;
        bool byte;
        if (s.p[i] != '\\') {
            to[n++] = s.p[i++];
            continue;
        }
        size_t used = unescape(str_slice(s, i + 1, s.n), '"', &v, &byte);
        if (!used)
            return gparse_error(p, "bad escape in a string");
        if (byte)
            to[n++] = (char)v;
        else
            n += (size_t)utf8_encode(v, to + n);
        i += 1 + used;
    }
    *out = (struct str){to, n};
    return true;
}

static const struct jval *typed(struct gparser *p, struct jval *v)
{
    if (!v) {
        fail_memory(p);
        return NULL;
    }
    v->go |= GO_TYPED;
    return v;
}

static const struct jval *char_value(struct gparser *p)
{
    struct str s = str_slice(p->tok.text, 1, p->tok.text.n - 1);
    uint32_t v = UTF8_BAD;
    bool byte;
    size_t used = 0;
    if (s.n && s.p[0] == '\\')
        used = 1 + unescape(str_slice(s, 1, s.n), '\'', &v, &byte);
    else if (s.n)
        used = (size_t)utf8_decode(s.p, s.n, &v);
    if (s.n == 0 || used != s.n || v == UTF8_BAD) {
        gparse_error(p, "bad character constant %.*s", STR_ARG(p->tok.text));
        return NULL;
    }
    return typed(p, jval_int(&p->t->arena, v));
}

/* Underscores may stand between digits and behind a base's prefix. */
static bool plain_digits(struct str s, char *to, size_t room)
{
    size_t n = 0;
    bool prefix = false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '_') {
            if (i == 0 || i + 1 == s.n || hex_digit(s.p[i + 1]) < 0 ||
                (hex_digit(s.p[i - 1]) < 0 && !prefix))
                return false;
            continue;
        }
        prefix = i > 0 && s.p[i - 1] == '0' && strchr("xXoObB", s.p[i]);
        if (n + 1 >= room)
            return false;
        to[n++] = s.p[i];
    }
    to[n] = 0;
    return n > 0;
}

static bool parse_integer(const char *z, int64_t *out)
{
    bool negative = *z == '-';
    uint64_t v = 0;
    unsigned base = 10;
    if (*z == '-' || *z == '+')
        z++;
    if (z[0] == '0' && z[1]) {
        char c = (char)(z[1] | 32);
        base = c == 'x' ? 16 : c == 'b' ? 2 : 8;
        z += c == 'x' || c == 'b' || c == 'o' ? 2 : 1;
    }
    if (!*z)
        return false;
    for (; *z; z++) {
        int d = hex_digit(*z);
        if (d < 0 || (unsigned)d >= base || v > (UINT64_MAX - (unsigned)d) / base)
            return false;
        v = v * base + (unsigned)d;
    }
    if (v > (uint64_t)INT64_MAX + negative)
        return false;
    *out = negative ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

/* Go decides by the letters: with a point or an exponent it is a float64, else an int. */
static const struct jval *number_value(struct gparser *p)
{
    char z[96];
    struct str s = p->tok.text;
    int64_t i;
    if (plain_digits(s, z, sizeof z)) {
        const char *digits = z + (*z == '-' || *z == '+');
        bool hex = digits[0] == '0' && (digits[1] | 32) == 'x';
        bool real = strpbrk(z, hex ? ".pP" : ".eE") != NULL;
        if (!real && parse_integer(z, &i))
            return typed(p, jval_int(&p->t->arena, i));
        char *end;
        double f = real ? strtod(z, &end) : 0;
        bool whole = !hex || strpbrk(z, "pP"); /* a hexadecimal float must have its exponent */
        if (real && whole && *end == 0 && strspn(z, "+-.") < strlen(z) && f - f == 0)
            return typed(p, jval_float(&p->t->arena, f));
    }
    gparse_error(p, "bad number '%.*s', expected an int or a float64", (int)(s.n < 40 ? s.n : 40),
                 s.p);
    return NULL;
}

/* ---- operands ---- */

static bool known_variable(struct gparser *p, struct str name)
{
    for (size_t i = p->n_vars; i-- > 0;)
        if (str_eq(p->vars[i], name))
            return true;
    return gparse_error(p, "undefined variable '%.*s'", STR_ARG(name));
}

static bool is_keyword(struct str s)
{
    static const char *const words[] = {"block", "break", "continue", "define",   "else",
                                        "end",   "if",    "range",    "template", "with"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (str_is(s, words[i]))
            return true;
    return false;
}

static bool parse_name(struct gparser *p, struct gterm *t)
{
    struct str s = p->tok.text;
    if (str_is(s, "true") || str_is(s, "false")) {
        t->kind = GTERM_CONST;
        t->value = jval_of_bool(s.n == 4);
    } else if (str_is(s, "nil")) {
        t->kind = GTERM_NIL;
    } else {
        t->kind = GTERM_FUNCTION;
        t->name = s;
        if (!(t->fn = gotmpl_function(s)))
            return gparse_error(p, "function '%.*s' not defined", STR_ARG(s));
    }
    return gparse_advance(p);
}

static bool parse_literal(struct gparser *p, struct gterm *t)
{
    struct str s;
    t->kind = GTERM_CONST;
    if (p->tok.kind == GTOK_NUMBER)
        t->value = number_value(p);
    else if (p->tok.kind == GTOK_CHAR)
        t->value = char_value(p);
    else if (!gparse_unquote(p, p->tok, &s))
        return false;
    else if (!(t->value = jval_str_view(&p->t->arena, s.p, s.n)))
        return fail_memory(p);
    return t->value && gparse_advance(p);
}

static bool push_field(struct gparser *p, struct gterm *t)
{
    if (!gotmpl_more(&p->t->arena, &t->fields, t->n_fields, &t->cap_fields, sizeof *t->fields))
        return fail_memory(p);
    t->fields[t->n_fields++] = p->tok.text;
    return gparse_advance(p);
}

/* *found false: no operand begins here. */
static bool parse_term(struct gparser *p, struct gterm *t, bool *found)
{
    *found = true;
    switch (p->tok.kind) {
    case GTOK_DOT: t->kind = GTERM_DOT; return gparse_advance(p);
    case GTOK_FIELD: t->kind = GTERM_DOT; return push_field(p, t);
    case GTOK_VARIABLE:
        t->kind = GTERM_VARIABLE;
        t->name = p->tok.text;
        return known_variable(p, t->name) && gparse_advance(p);
    case GTOK_NUMBER:
    case GTOK_CHAR:
    case GTOK_STRING:
    case GTOK_RAW: return parse_literal(p, t);
    case GTOK_NAME:
        if (is_keyword(p->tok.text))
            break;
        return parse_name(p, t);
    case GTOK_LPAREN:
        t->kind = GTERM_PIPE;
        if (!gparse_enter(p) || !gparse_advance(p))
            return false;
        t->pipe = gparse_pipe(p, "parenthesized pipeline", GTOK_RPAREN);
        p->depth--;
        return t->pipe != NULL;
    default: break;
    }
    *found = false;
    return true;
}

static bool parse_operand(struct gparser *p, struct gcommand *c, bool *found)
{
    struct gterm t = {0};
    if (!parse_term(p, &t, found) || !*found)
        return p->status == OK;
    bool plain =
        t.kind == GTERM_CONST || t.kind == GTERM_NIL || (t.kind == GTERM_DOT && t.n_fields == 0);
    while (p->tok.kind == GTOK_FIELD && !p->tok.spaced) {
        if (plain)
            return gparse_error(p, "unexpected '.%.*s' behind a value that has no fields",
                                STR_ARG(p->tok.text));
        if (!push_field(p, &t))
            return false;
    }
    if (!gotmpl_more(&p->t->arena, &c->v, c->n, &c->cap, sizeof *c->v))
        return fail_memory(p);
    c->v[c->n++] = t;
    return true;
}

/* Operands up to |, }} or ); the | is passed. */
static bool parse_command(struct gparser *p, struct gcommand *c)
{
    for (;;) {
        bool found;
        if (!parse_operand(p, c, &found))
            return false;
        if (p->tok.kind == GTOK_CLOSE || p->tok.kind == GTOK_RPAREN)
            break;
        if (p->tok.kind == GTOK_PIPE) {
            if (!gparse_advance(p))
                return false;
            break;
        }
        if (!found || !p->tok.spaced)
            return gparse_unexpected(p, "operand");
    }
    return c->n ? true : gparse_error(p, "empty command");
}

/* Variables in front of := or =; *first is the variable when it turns out to be an operand. */
static bool parse_variables(struct gparser *p, struct gpipe *pipe, bool range)
{
    while (p->tok.kind == GTOK_VARIABLE) {
        struct glexer back = p->lex;
        struct gtoken var = p->tok;
        if (!gparse_advance(p))
            return false;
        bool comma = p->tok.kind == GTOK_COMMA;
        if (!comma && p->tok.kind != GTOK_DECLARE && p->tok.kind != GTOK_ASSIGN) {
            p->lex = back;
            p->tok = var;
            return true;
        }
        if (comma && (!range || pipe->n_vars > 0))
            return gparse_error(p, "too many declarations");
        pipe->assign = p->tok.kind == GTOK_ASSIGN;
        pipe->vars[pipe->n_vars++] = var.text;
        if (!gparse_advance(p))
            return false;
        if (!comma)
            return true;
        if (p->tok.kind != GTOK_VARIABLE)
            return gparse_error(p, "range can only initialize variables");
    }
    return true;
}

static bool check_stages(struct gparser *p, const struct gpipe *pipe, const char *where)
{
    if (pipe->n == 0)
        return gparse_error(p, "missing value for %s", where);
    for (size_t i = 1; i < pipe->n; i++) {
        const struct gterm *t = &pipe->v[i].v[0];
        if (t->kind == GTERM_CONST || t->kind == GTERM_NIL ||
            (t->kind == GTERM_DOT && t->n_fields == 0))
            return gparse_error(p, "non executable command in pipeline stage %zu", i + 1);
    }
    return true;
}

static bool starts_operand(const struct gparser *p)
{
    switch (p->tok.kind) {
    case GTOK_DOT:
    case GTOK_FIELD:
    case GTOK_VARIABLE:
    case GTOK_NUMBER:
    case GTOK_CHAR:
    case GTOK_STRING:
    case GTOK_RAW:
    case GTOK_LPAREN: return true;
    case GTOK_NAME: return !is_keyword(p->tok.text);
    default: return false;
    }
}

/* := makes a variable, also where its own value names it; = wants one that is there. */
static bool bind_variables(struct gparser *p, const struct gpipe *pipe)
{
    for (size_t i = 0; i < pipe->n_vars; i++)
        if (pipe->assign ? !known_variable(p, pipe->vars[i]) : !gparse_push_var(p, pipe->vars[i]))
            return false;
    return true;
}

struct gpipe *gparse_pipe(struct gparser *p, const char *where, enum gtoken_kind end)
{
    struct gpipe *pipe = arena_alloc(&p->t->arena, sizeof *pipe);
    if (!pipe) {
        fail_memory(p);
        return NULL;
    }
    pipe->line = p->tok.line;
    if (!parse_variables(p, pipe, strcmp(where, "range") == 0) || !bind_variables(p, pipe))
        return NULL;
    while (p->tok.kind != end) {
        if (!starts_operand(p)) {
            gparse_unexpected(p, where);
            return NULL;
        }
        if (!gotmpl_more(&p->t->arena, &pipe->v, pipe->n, &pipe->cap, sizeof *pipe->v)) {
            fail_memory(p);
            return NULL;
        }
        struct gcommand c = {0};
        if (!parse_command(p, &c))
            return NULL;
        pipe->v[pipe->n++] = c;
    }
    return check_stages(p, pipe, where) && gparse_advance(p) ? pipe : NULL;
}
