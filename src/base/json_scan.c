/* A pushdown automaton whose stack is one bit per level. */
#include "base/json_scan.h"
#include "base/utf8.h"

enum {
    VALUE,       /* a value must come */
    FIRST_VALUE, /* or the array is empty */
    KEY,
    FIRST_KEY, /* or the object is empty */
    COLON,
    AFTER, /* a comma or the end of the object or array */
    STRING,
    ESCAPE,
    HEX,
    LITERAL,
    MINUS,
    ZERO,
    INTEGER,
    POINT,
    FRACTION,
    EXPONENT,
    EXPONENT_SIGN,
    EXPONENT_DIGITS,
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool top_is_array(const struct json_scan *s)
{
    int i = s->depth - 1;
    return s->is_array[i / 8] >> (i % 8) & 1;
}

/* A value has ended. */
static enum json_scanned value_done(struct json_scan *s)
{
    s->state = AFTER;
    return s->depth == 0 ? JSON_WHOLE : JSON_MORE;
}

static enum json_scanned push(struct json_scan *s, bool array)
{
    if (s->depth == JSON_SCAN_DEPTH)
        return JSON_BROKEN;
    uint8_t bit = (uint8_t)(1u << (s->depth % 8));
    s->is_array[s->depth / 8] &= (uint8_t)~bit;
    s->is_array[s->depth / 8] |= array ? bit : 0;
    s->depth++;
    s->state = array ? FIRST_VALUE : FIRST_KEY;
    return JSON_MORE;
}

static enum json_scanned pop(struct json_scan *s)
{
    s->depth--;
    return value_done(s);
}

static enum json_scanned begin_string(struct json_scan *s, bool key)
{
    s->state = STRING;
    s->in_key = key;
    s->high = false;
    return JSON_MORE;
}

static enum json_scanned begin_literal(struct json_scan *s, const char *rest)
{
    s->state = LITERAL;
    s->literal = rest;
    return JSON_MORE;
}

static enum json_scanned begin_value(struct json_scan *s, char c)
{
    switch (c) {
    case '{': return push(s, false);
    case '[': return push(s, true);
    case '"': return begin_string(s, false);
    case 't': return begin_literal(s, "rue");
    case 'f': return begin_literal(s, "alse");
    case 'n': return begin_literal(s, "ull");
    case '-': s->state = MINUS; return JSON_MORE;
    case '0': s->state = ZERO; return JSON_MORE;
    default: break;
    }
    s->state = INTEGER;
    return is_digit(c) ? JSON_MORE : JSON_BROKEN;
}

static enum json_scanned in_string(struct json_scan *s, char c)
{
    if ((unsigned char)c < 0x20 || (s->high && c != '\\'))
        return JSON_BROKEN;
    if (c == '\\') {
        s->state = ESCAPE;
    } else if (c == '"') {
        if (!s->in_key)
            return value_done(s);
        s->state = COLON;
    }
    return JSON_MORE;
}

static enum json_scanned in_escape(struct json_scan *s, char c)
{
    if (c == 'u') {
        s->state = HEX;
        s->n_hex = 0;
        s->hex = 0;
        return JSON_MORE;
    }
    s->state = STRING;
    return !s->high && c && strchr("\"\\/bfnrt", c) ? JSON_MORE : JSON_BROKEN;
}

static int hex_digit(char c)
{
    if (is_digit(c))
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum json_scanned in_hex(struct json_scan *s, char c)
{
    int d = hex_digit(c);
    if (d < 0)
        return JSON_BROKEN;
    s->hex = (uint16_t)(s->hex << 4 | d);
    if (++s->n_hex < 4)
        return JSON_MORE;
    bool low = s->hex >= 0xdc00 && s->hex <= 0xdfff;
    if (low != s->high)
        return JSON_BROKEN;
    s->high = s->hex >= 0xd800 && s->hex <= 0xdbff;
    s->state = STRING;
    return JSON_MORE;
}

static bool number_may_end(int state)
{
    return state == ZERO || state == INTEGER || state == FRACTION || state == EXPONENT_DIGITS;
}

/* The state that c leads to inside a number, or -1. */
static int in_number(int state, char c)
{
    bool digit = is_digit(c), e = c == 'e' || c == 'E';
    switch (state) {
    case MINUS: return c == '0' ? ZERO : digit ? INTEGER : -1;
    case ZERO: return c == '.' ? POINT : e ? EXPONENT : -1;
    case INTEGER: return digit ? INTEGER : c == '.' ? POINT : e ? EXPONENT : -1;
    case POINT: return digit ? FRACTION : -1;
    case FRACTION: return digit ? FRACTION : e ? EXPONENT : -1;
    case EXPONENT: return digit ? EXPONENT_DIGITS : c == '+' || c == '-' ? EXPONENT_SIGN : -1;
    default: return digit ? EXPONENT_DIGITS : -1;
    }
}

static enum json_scanned between(struct json_scan *s, char c)
{
    if (json_is_space(c))
        return JSON_MORE;
    switch (s->state) {
    case FIRST_VALUE:
        if (c == ']')
            return pop(s);
        return begin_value(s, c);
    case VALUE: return begin_value(s, c);
    case FIRST_KEY:
        if (c == '}')
            return pop(s);
        return c == '"' ? begin_string(s, true) : JSON_BROKEN;
    case KEY: return c == '"' ? begin_string(s, true) : JSON_BROKEN;
    case COLON: s->state = VALUE; return c == ':' ? JSON_MORE : JSON_BROKEN;
    default: break;
    }
    if (s->depth == 0)
        return JSON_BROKEN;
    bool array = top_is_array(s);
    if (c == (array ? ']' : '}'))
        return pop(s);
    s->state = array ? VALUE : KEY;
    return c == ',' ? JSON_MORE : JSON_BROKEN;
}

enum json_scanned json_scan_byte(struct json_scan *s, char c)
{
    switch (s->state) {
    case STRING: return in_string(s, c);
    case ESCAPE: return in_escape(s, c);
    case HEX: return in_hex(s, c);
    case LITERAL:
        if (c != *s->literal++)
            return JSON_BROKEN;
        return *s->literal ? JSON_MORE : value_done(s);
    default: break;
    }
    if (s->state < MINUS)
        return between(s, c);
    int next = in_number(s->state, c);
    if (next >= 0) {
        s->state = (uint8_t)next;
        return JSON_MORE;
    }
    if (!number_may_end(s->state) || s->depth == 0)
        return JSON_BROKEN;
    s->state = AFTER;
    return between(s, c);
}

enum json_scanned json_scan_end(const struct json_scan *s)
{
    return s->depth == 0 && number_may_end(s->state) ? JSON_WHOLE : JSON_BROKEN;
}

static struct str trim(struct str s)
{
    while (s.n && json_is_space(s.p[0]))
        s = str_slice(s, 1, s.n);
    while (s.n && json_is_space(s.p[s.n - 1]))
        s.n--;
    return s;
}

bool json_is_whole(struct str text)
{
    struct json_scan s = {0};
    text = trim(text);
    for (size_t i = 0; i < text.n; i++) {
        enum json_scanned r = json_scan_byte(&s, text.p[i]);
        if (r != JSON_MORE)
            return r == JSON_WHOLE && i + 1 == text.n;
    }
    return json_scan_end(&s) == JSON_WHOLE;
}

/* Bytes of the value that whole text begins with. */
static size_t value_length(struct str text)
{
    struct json_scan s = {0};
    for (size_t i = 0; i < text.n; i++) {
        /* scalars that have no closing byte end before what parts them from the next */
        if (s.depth == 0 && s.state >= MINUS &&
            (json_is_space(text.p[i]) || strchr(",]}", text.p[i])))
            return i;
        if (json_scan_byte(&s, text.p[i]) != JSON_MORE)
            return i + 1;
    }
    return text.n;
}

static void skip_space(struct str *s)
{
    while (s->n && (json_is_space(s->p[0]) || s->p[0] == ',' || s->p[0] == ':'))
        *s = str_slice(*s, 1, s->n);
}

bool json_walk_begin(struct json_walk *w, struct str text)
{
    text = trim(text);
    if (text.n < 2 || (text.p[0] != '{' && text.p[0] != '['))
        return false;
    *w = (struct json_walk){str_slice(text, 1, text.n - 1), text.p[0] == '{'};
    return true;
}

static struct str take_value(struct str *rest)
{
    skip_space(rest);
    struct str v = {rest->p, value_length(*rest)};
    *rest = str_slice(*rest, v.n, rest->n);
    return v;
}

bool json_walk_next(struct json_walk *w, struct str *key, struct str *value)
{
    skip_space(&w->rest);
    if (w->rest.n == 0)
        return false;
    *key = w->object ? take_value(&w->rest) : (struct str){NULL, 0};
    *value = take_value(&w->rest);
    return true;
}

struct str json_member(struct str object, const char *key)
{
    struct json_walk w;
    struct str k, v, found = {NULL, 0};
    size_t n = strlen(key);
    if (!json_walk_begin(&w, object) || !w.object)
        return found;
    while (json_walk_next(&w, &k, &v))
        if (k.n == n + 2 && memcmp(k.p + 1, key, n) == 0)
            found = v;
    return found;
}

static uint32_t hex4(const char *p)
{
    uint32_t v = 0;
    for (int i = 0; i < 4; i++)
        v = v << 4 | (uint32_t)hex_digit(p[i]);
    return v;
}

void json_unquote(struct str quoted, struct buf *out)
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    struct str s = str_slice(quoted, 1, quoted.n - 1);
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '\\') {
            buf_addc(out, s.p[i]);
            continue;
        }
        char c = s.p[++i];
        const char *at = strchr(from, c);
        if (c != 'u') {
            buf_addc(out, at ? to[at - from] : c);
            continue;
        }
        uint32_t cp = hex4(s.p + i + 1);
        i += 4;
        if (cp >= 0xd800 && cp <= 0xdbff) {
            cp = 0x10000 + ((cp - 0xd800) << 10) + (hex4(s.p + i + 3) - 0xdc00);
            i += 6;
        }
        char bytes[4];
        buf_add(out, bytes, (size_t)utf8_encode(cp, bytes));
    }
}
