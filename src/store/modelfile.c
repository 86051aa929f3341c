#include "store/modelfile.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/show.h"
#include "base/utf8.h"
#include "store/params.h"
#include <stdlib.h>
#include <strings.h>

enum { COMMANDS_MAX = 65536, TEXT_MAX = 64 << 20 };

static const char *const keywords[MF_COUNT] = {
    [MF_FROM] = "FROM",         [MF_ADAPTER] = "ADAPTER",   [MF_DRAFT] = "DRAFT",
    [MF_TEMPLATE] = "TEMPLATE", [MF_SYSTEM] = "SYSTEM",     [MF_PARAMETER] = "PARAMETER",
    [MF_MESSAGE] = "MESSAGE",   [MF_LICENSE] = "LICENSE",   [MF_RENDERER] = "RENDERER",
    [MF_PARSER] = "PARSER",     [MF_REQUIRES] = "REQUIRES",
};

/* ---- characters ---- */

static uint32_t utf16_unit(const unsigned char *p, bool big)
{
    return big ? (uint32_t)p[0] << 8 | p[1] : (uint32_t)p[1] << 8 | p[0];
}

static enum status from_utf16(struct str bytes, bool big, struct buf *out, struct err *err)
{
    const unsigned char *p = (const unsigned char *)bytes.p;
    if (bytes.n % 2)
        return err_set(err, EFORMAT, "UTF-16 text of an odd number of bytes");
    for (size_t i = 2; i < bytes.n; i += 2) {
        uint32_t c = utf16_unit(p + i, big);
        char utf8[4];
        if (c >= 0xd800 && c < 0xe000) {
            uint32_t low = i + 2 < bytes.n ? utf16_unit(p + i + 2, big) : 0;
            if (c >= 0xdc00 || low < 0xdc00 || low >= 0xe000)
                return err_set(err, EFORMAT, "UTF-16 text with half a character at byte %zu", i);
            c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
            i += 2;
        }
        buf_add(out, utf8, (size_t)utf8_encode(c, utf8));
    }
    return OK;
}

/* As UTF-8 without a mark. */
static enum status to_utf8(struct str bytes, struct buf *out, struct err *err)
{
    enum status s = OK;
    if (str_starts(bytes, STR("\xff\xfe")) || str_starts(bytes, STR("\xfe\xff")))
        s = from_utf16(bytes, bytes.p[0] == '\xfe', out, err);
    else if (str_starts(bytes, STR("\xef\xbb\xbf")))
        buf_add(out, bytes.p + 3, bytes.n - 3);
    else
        buf_addstr(out, bytes);
    return s == OK ? buf_check(out, "Modelfile", err) : s;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static struct str trim(struct str s)
{
    while (s.n && is_space(s.p[0]))
        s = str_slice(s, 1, s.n);
    while (s.n && is_space(s.p[s.n - 1]))
        s.n--;
    return s;
}

/* ---- values ---- */

/* Without its quotes; false while they are open. */
static bool unquote(struct str raw, struct str *out)
{
    size_t quotes = str_starts(raw, STR("\"\"\"")) ? 3 : str_starts(raw, STR("\"")) ? 1 : 0;
    struct str mark = {"\"\"\"", quotes};
    *out = raw;
    if (!quotes)
        return true;
    if (raw.n < 2 * quotes || !str_ends(raw, mark))
        return false;
    *out = str_slice(raw, quotes, raw.n - quotes);
    return true;
}

struct reader {
    struct str text;
    size_t at;
    int line;
};

static struct str next_line(struct reader *r)
{
    size_t from = r->at;
    const char *end = memchr(r->text.p + from, '\n', r->text.n - from);
    size_t to = end ? (size_t)(end - r->text.p) : r->text.n;
    r->at = end ? to + 1 : to;
    r->line++;
    return str_slice(r->text, from, to);
}

/* The value that begins with `first`, the rest of the current line. */
static enum status take_value(struct reader *r, struct str first, struct str *out, struct err *err)
{
    int began = r->line;
    struct str raw = trim(first);
    while (!unquote(raw, out)) {
        if (r->at >= r->text.n) {
            r->line = began;
            return err_set(err, EFORMAT, "a value in double quotes does not end");
        }
        struct str more = next_line(r);
        /* lines follow each other in the text: the value grows over them */
        raw.n = (size_t)(more.p + more.n - raw.p);
        raw = trim(raw);
    }
    return OK;
}

static struct str take_word(struct str *rest)
{
    struct str s = trim(*rest);
    size_t n = 0;
    while (n < s.n && !is_space(s.p[n]))
        n++;
    *rest = str_slice(s, n, s.n);
    return str_slice(s, 0, n);
}

/* ---- commands ---- */

static enum status find_key(struct str word, enum modelfile_key *out, struct err *err)
{
    for (int i = 0; i < MF_COUNT; i++)
        if (word.n == strlen(keywords[i]) && strncasecmp(word.p, keywords[i], word.n) == 0) {
            *out = (enum modelfile_key)i;
            return OK;
        }
    return err_set(err, EFORMAT,
                   "unknown command '%s', expected FROM, PARAMETER, TEMPLATE, SYSTEM, ADAPTER, "
                   "LICENSE, MESSAGE, RENDERER, PARSER, REQUIRES or DRAFT",
                   show(word).s);
}

static enum status check_parameter(struct modelfile_command *c, struct err *err)
{
    const struct param_row *row = param_find(c->name);
    struct buf ignored;
    struct jsonw w;
    if (!row)
        return err_set(err, EUSAGE, "unknown parameter '%s'", show(c->name).s);
    c->name = str_from(row->name);
    buf_init(&ignored, TEXT_MAX);
    jsonw_init(&w, &ignored, 0);
    enum status s = param_value(row, c->value, &w, err);
    buf_release(&ignored);
    if (s == OK && row->ignored)
        log_warn("line %d: parameter '%s' has no effect", c->line, row->name);
    return s;
}

static enum status check_role(struct modelfile_command *c, struct err *err)
{
    static const char *const roles[] = {"system", "user", "assistant"};
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (c->name.n == strlen(roles[i]) && strncasecmp(c->name.p, roles[i], c->name.n) == 0) {
            c->name = str_from(roles[i]);
            return OK;
        }
    return err_set(err, EFORMAT, "message role '%s', expected system, user or assistant",
                   show(c->name).s);
}

static enum status append(struct modelfile *m, struct modelfile_command c, struct err *err)
{
    if (m->n == COMMANDS_MAX)
        return err_set(err, ELIMIT, "more than %d commands", COMMANDS_MAX);
    if (m->n == m->cap) {
        size_t cap = m->cap ? 2 * m->cap : 32;
        struct modelfile_command *more = mem_resize(m->c, cap, sizeof *more);
        if (!more)
            return err_set(err, ENOMEMORY, "no memory for a Modelfile");
        m->c = more;
        m->cap = cap;
    }
    m->c[m->n++] = c;
    return OK;
}

static enum status take_command(struct modelfile *m, struct reader *r, struct str line,
                                struct err *err)
{
    struct modelfile_command c = {.name = STR(""), .line = r->line};
    struct str rest = line, word = take_word(&rest);
    enum status s = find_key(word, &c.key, err);
    if (s == OK && (c.key == MF_PARAMETER || c.key == MF_MESSAGE)) {
        c.name = take_word(&rest);
        if (!c.name.n)
            return err_set(err, EFORMAT, "%s without %s", keywords[c.key],
                           c.key == MF_MESSAGE ? "a role" : "a name");
    }
    bool said = trim(rest).n > 0;
    if (s == OK)
        s = take_value(r, rest, &c.value, err);
    if (s == OK && !said)
        s = err_set(err, EFORMAT, "%s without a value", keywords[c.key]);
    if (s == OK && c.value.n == 0 && (c.key == MF_FROM || c.key == MF_ADAPTER || c.key == MF_DRAFT))
        s = err_set(err, EFORMAT, "%s with an empty value", keywords[c.key]);
    if (s == OK && c.key == MF_PARAMETER)
        s = check_parameter(&c, err);
    if (s == OK && c.key == MF_MESSAGE)
        s = check_role(&c, err);
    return s == OK ? append(m, c, err) : s;
}

static enum status check_text(struct str text, struct err *err)
{
    int line = 1;
    size_t good = utf8_valid_prefix(text);
    const char *nul = memchr(text.p, 0, text.n);
    if (nul && (size_t)(nul - text.p) < good)
        good = (size_t)(nul - text.p);
    if (good == text.n)
        return OK;
    for (size_t i = 0; i < good; i++)
        line += text.p[i] == '\n';
    return err_set(err, EFORMAT, "line %d: byte 0x%02x, expected UTF-8 text", line,
                   (unsigned)(unsigned char)text.p[good]);
}

enum status modelfile_parse(struct modelfile *m, struct str bytes, struct err *err)
{
    struct buf utf8;
    struct reader r = {0};
    bool from = false;
    *m = (struct modelfile){0};
    arena_init(&m->arena, TEXT_MAX);
    buf_init(&utf8, TEXT_MAX);
    enum status s = to_utf8(bytes, &utf8, err);
    if (s == OK) {
        r.text = arena_str(&m->arena, buf_str(&utf8));
        s = r.text.p ? check_text(r.text, err)
                     : err_set(err, ENOMEMORY, "no memory for a Modelfile");
    }
    buf_release(&utf8);
    if (s != OK)
        return s;
    while (s == OK && r.at < r.text.n) {
        struct str line = trim(next_line(&r));
        int began = r.line;
        if (line.n == 0 || line.p[0] == '#')
            continue;
        s = take_command(m, &r, line, err);
        if (s != OK)
            return err_prefix(err, "line %d", began);
        from |= m->c[m->n - 1].key == MF_FROM;
    }
    return from ? OK : err_set(err, EFORMAT, "no FROM line");
}

void modelfile_free(struct modelfile *m)
{
    arena_release(&m->arena);
    free(m->c);
    *m = (struct modelfile){0};
}

/* ---- printing ---- */

/* Whether `quotes` double quotes around the value are read back as just it. */
static bool quotable(struct str v, size_t quotes)
{
    struct str mark = {"\"\"\"", quotes};
    if (quotes == 1 && v.n && v.p[0] == '"' && v.n > 1 && v.p[1] == '"')
        return false; /* would begin with three */
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] != '\n')
            continue;
        size_t end = i;
        while (end && is_space(v.p[end - 1]))
            end--;
        if (end >= quotes && str_ends(str_slice(v, 0, end), mark))
            return false;
    }
    return true;
}

bool modelfile_print(const struct modelfile_command *c, struct buf *out)
{
    struct str v = c->value;
    bool bare = v.n && v.p[0] != '"' && !is_space(v.p[0]) && !is_space(v.p[v.n - 1]) &&
                !memchr(v.p, '\n', v.n);
    const char *mark = bare ? "" : "\"\"\"";
    if (!bare && !memchr(v.p, '\n', v.n) && !memchr(v.p, '"', v.n))
        mark = "\"";
    if (!bare && !quotable(v, strlen(mark))) {
        buf_printf(out, "# %s %.*s left out: three double quotes end one of its lines\n",
                   keywords[c->key], STR_ARG(c->name));
        return false;
    }
    buf_adds(out, keywords[c->key]);
    if (c->name.n)
        buf_printf(out, " %.*s", STR_ARG(c->name));
    buf_printf(out, " %s%.*s%s\n", mark, STR_ARG(v), mark);
    return true;
}
