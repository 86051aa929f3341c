#include "server/multipart.h"
#include <strings.h>

enum { HEADERS_MAX = 16 << 10, HELD_MAX = 4 << 20, BOUNDARY_MAX = 70, PARTS_MAX = 1000 };
/* before the first boundary; behind one; in a part's headers; in a part; behind the last boundary
 */
enum { BEFORE, BOUNDARY, HEADERS, BODY, OVER };

static bool same_word(struct str a, const char *word)
{
    return a.n == strlen(word) && strncasecmp(a.p, word, a.n) == 0;
}

static struct str trim(struct str s)
{
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = str_slice(s, 1, s.n);
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

/* Splits the next "; name=value" off a header's value. Quoted values are written to out without
 * their quotes and backslashes; a quote inside is \" or, from browsers, %22. */
static bool next_parameter(struct str *rest, struct str *name, struct buf *out)
{
    const char *semicolon = rest->n ? memchr(rest->p, ';', rest->n) : NULL;
    buf_clear(out);
    if (!semicolon)
        return false;
    struct str s = trim(str_slice(*rest, (size_t)(semicolon - rest->p) + 1, rest->n));
    size_t i = 0;
    while (i < s.n && s.p[i] != '=' && s.p[i] != ';')
        i++;
    *name = trim(str_slice(s, 0, i));
    if (i < s.n && s.p[i] == '=')
        i++;
    if (i < s.n && s.p[i] == '"') {
        for (i++; i < s.n && s.p[i] != '"'; i++) {
            char c = s.p[i];
            if (c == '\\' && i + 1 < s.n && (s.p[i + 1] == '"' || s.p[i + 1] == '\\')) {
                c = s.p[++i];
            } else if (c == '%' && i + 2 < s.n && s.p[i + 1] == '2' && s.p[i + 2] == '2') {
                c = '"';
                i += 2;
            }
            buf_addc(out, c);
        }
        i += i < s.n;
    } else {
        for (; i < s.n && s.p[i] != ';' && s.p[i] != ' ' && s.p[i] != '\t'; i++)
            buf_addc(out, s.p[i]);
    }
    *rest = str_slice(s, i, s.n);
    return true;
}

static struct str main_value(struct str header)
{
    const char *end = header.n ? memchr(header.p, ';', header.n) : NULL;
    return trim(end ? str_slice(header, 0, (size_t)(end - header.p)) : header);
}

enum status multipart_open(struct multipart *m, struct str content_type,
                           const struct multipart_sink *sink, struct err *err)
{
    struct str rest = content_type, name;
    struct buf value;
    size_t n = 0;
    *m = (struct multipart){.sink = *sink};
    buf_init(&m->held, HELD_MAX);
    buf_init(&m->delimiter, 256);
    buf_init(&value, 1024);
    buf_adds(&m->delimiter, "\r\n--");
    buf_adds(&m->held, "\r\n"); /* the first boundary need not stand on a new line */
    bool form = same_word(main_value(content_type), "multipart/form-data");
    while (form && n == 0 && next_parameter(&rest, &name, &value))
        if (same_word(name, "boundary") && !value.failed) {
            n = value.n;
            buf_addstr(&m->delimiter, buf_str(&value));
        }
    buf_release(&value);
    if (!form || n == 0 || n > BOUNDARY_MAX)
        return err_set(err, EUSAGE,
                       "Content-Type: expected multipart/form-data with a boundary of 1 to %d "
                       "characters",
                       BOUNDARY_MAX);
    return m->held.failed || m->delimiter.failed ? err_set(err, ENOMEMORY, "form: no memory") : OK;
}

void multipart_close(struct multipart *m)
{
    buf_release(&m->held);
    buf_release(&m->delimiter);
}

static void drop(struct multipart *m, size_t n)
{
    memmove(m->held.p, m->held.p + n, m->held.n - n);
    m->held.n -= n;
}

static const char *find(const struct multipart *m, struct str what)
{
    return m->held.n ? memmem(m->held.p, m->held.n, what.p, what.n) : NULL;
}

/* "\r\nName: value\r\nName: value" of a part. */
static enum status begin_part(struct multipart *m, struct str lines, struct err *err)
{
    struct buf name, filename, value;
    struct str key;
    bool found = false, file = false, named = false;
    buf_init(&name, HEADERS_MAX);
    buf_init(&filename, HEADERS_MAX);
    buf_init(&value, HEADERS_MAX);
    while (lines.n >= 2) {
        lines = str_slice(lines, 2, lines.n);
        const char *end = lines.n ? memmem(lines.p, lines.n, "\r\n", 2) : NULL;
        struct str line = str_slice(lines, 0, end ? (size_t)(end - lines.p) : lines.n);
        lines = str_slice(lines, line.n, lines.n);
        const char *colon = line.n ? memchr(line.p, ':', line.n) : NULL;
        if (!colon ||
            !same_word(str_slice(line, 0, (size_t)(colon - line.p)), "content-disposition"))
            continue;
        struct str rest = trim(str_slice(line, (size_t)(colon - line.p) + 1, line.n));
        found = same_word(main_value(rest), "form-data");
        while (next_parameter(&rest, &key, &value)) {
            bool is_name = same_word(key, "name"), is_file = same_word(key, "filename");
            if (is_name && !named)
                buf_addstr(&name, buf_str(&value));
            if (is_file && !file)
                buf_addstr(&filename, buf_str(&value));
            named |= is_name;
            file |= is_file;
        }
    }
    enum status s = buf_check(&name, "form", err);
    if (s == OK)
        s = buf_check(&filename, "form", err);
    if (s == OK && (!found || !named))
        s = err_set(err, EUSAGE, "form: part %d has no Content-Disposition: form-data with a name",
                    m->parts);
    if (s == OK)
        s = m->sink.part(m->sink.ctx, buf_str(&name),
                         file ? buf_str(&filename) : (struct str){NULL, 0}, err);
    buf_release(&name);
    buf_release(&filename);
    buf_release(&value);
    return s;
}

/* Behind a boundary: "--" is the end, CRLF a part. *on: there is more to do. */
static enum status after_boundary(struct multipart *m, bool *on, struct err *err)
{
    size_t i = 0;
    if (m->held.n < 2)
        return OK;
    if (memcmp(m->held.p, "--", 2) == 0) {
        m->state = OVER;
        buf_clear(&m->held);
        return OK;
    }
    while (i < m->held.n && (m->held.p[i] == ' ' || m->held.p[i] == '\t'))
        i++;
    if (m->held.n - i < 2)
        return i > BOUNDARY_MAX ? err_set(err, EUSAGE, "form: a boundary's line does not end") : OK;
    if (memcmp(m->held.p + i, "\r\n", 2) != 0)
        return err_set(err, EUSAGE, "form: a boundary is not followed by a line's end");
    drop(m, i); /* the line's end stays: headers may be none */
    if (++m->parts > PARTS_MAX)
        return err_set(err, ELIMIT, "form: more than %d parts", PARTS_MAX);
    m->state = HEADERS;
    *on = true;
    return OK;
}

static enum status in_headers(struct multipart *m, bool *on, struct err *err)
{
    const char *end = find(m, STR("\r\n\r\n"));
    size_t n = end ? (size_t)(end - m->held.p) : m->held.n;
    if (n > HEADERS_MAX)
        return err_set(err, ELIMIT, "form: the headers of part %d have more than %d bytes",
                       m->parts, HEADERS_MAX);
    if (!end)
        return OK;
    enum status s = begin_part(m, str_slice(buf_str(&m->held), 0, n), err);
    drop(m, n + 4);
    m->state = BODY;
    *on = true;
    return s;
}

/* Up to the boundary; without one, all but what may be its beginning. */
static enum status in_body(struct multipart *m, bool *on, struct err *err)
{
    struct str delimiter = buf_str(&m->delimiter);
    const char *at = find(m, delimiter);
    size_t n = at                        ? (size_t)(at - m->held.p)
               : m->held.n > delimiter.n ? m->held.n - delimiter.n
                                         : 0;
    enum status s = OK;
    if (n && m->state == BODY)
        s = m->sink.data(m->sink.ctx, str_slice(buf_str(&m->held), 0, n), err);
    drop(m, at ? n + delimiter.n : n);
    if (at) {
        m->state = BOUNDARY;
        *on = true;
    }
    return s;
}

enum status multipart_feed(struct multipart *m, struct str bytes, struct err *err)
{
    enum { PIECE = 64 << 10 };
    enum status s = OK;
    while (s == OK && bytes.n && m->state != OVER) {
        size_t n = bytes.n < PIECE ? bytes.n : PIECE;
        bool on = true;
        buf_add(&m->held, bytes.p, n);
        bytes = str_slice(bytes, n, bytes.n);
        s = buf_check(&m->held, "form", err);
        while (s == OK && on && m->held.n) {
            on = false;
            switch (m->state) {
            case BOUNDARY: s = after_boundary(m, &on, err); break;
            case HEADERS: s = in_headers(m, &on, err); break;
            case BEFORE:
            case BODY: s = in_body(m, &on, err); break;
            }
        }
    }
    return s;
}

enum status multipart_end(struct multipart *m, struct err *err)
{
    return m->state == OVER ? OK
                            : err_set(err, EUSAGE, "form: the body ends without its last boundary");
}
