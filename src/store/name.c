#include "store/name.h"
#include "base/show.h"
#include <strings.h>

enum part { PART_HOST, PART_NS, PART_MODEL, PART_TAG };
static const char *const part_names[] = {"host", "namespace", "model", "tag"};
static const size_t part_max[] = {
    sizeof((struct model_name *)0)->host - 1, sizeof((struct model_name *)0)->ns - 1,
    sizeof((struct model_name *)0)->model - 1, sizeof((struct model_name *)0)->tag - 1};

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* Hugging Face's users may have a dot in their names. */
static bool dots_in_namespace(const char *host)
{
    return strcasecmp(host, "hf.co") == 0 || strcasecmp(host, "huggingface.co") == 0;
}

static bool char_allowed(enum part part, char c, size_t at, bool dots)
{
    if (is_word(c))
        return true;
    if (at == 0)
        return false;
    return c == '-' || (c == '.' && (part != PART_NS || dots)) || (c == ':' && part == PART_HOST);
}

static enum status take_part(char *out, enum part part, struct str text, struct str whole,
                             bool dots, struct err *err)
{
    if (text.n == 0)
        return err_set(err, EUSAGE, "model name '%s': its %s is empty", show(whole).s,
                       part_names[part]);
    if (text.n > part_max[part])
        return err_set(err, EUSAGE, "model name '%s': its %s has %zu bytes, expected at most %zu",
                       show(whole).s, part_names[part], text.n, part_max[part]);
    for (size_t i = 0; i < text.n; i++)
        if (!char_allowed(part, text.p[i], i, dots))
            return err_set(err, EUSAGE,
                           "model name '%s': '%s' in its %s, expected letters, digits and '_'%s",
                           show(whole).s, show(str_slice(text, i, i + 1)).s, part_names[part],
                           i == 0            ? " to begin with"
                           : part == PART_NS ? ", '-'"
                                             : ", '-', '.'");
    memcpy(out, text.p, text.n);
    out[text.n] = 0;
    return OK;
}

/* Where c stands last in s; s.n: nowhere. */
static size_t find_last(struct str s, char c)
{
    const char *p = s.n ? memrchr(s.p, c, s.n) : NULL;
    return p ? (size_t)(p - s.p) : s.n;
}

/* Cuts what follows the last c off s; false: there is none, and s stays. */
static bool cut_last(struct str *s, char c, struct str *after)
{
    size_t at = find_last(*s, c);
    if (at == s->n)
        return false;
    *after = str_slice(*s, at + 1, s->n);
    s->n = at;
    return true;
}

enum status name_parse(struct model_name *out, struct str text, struct err *err)
{
    struct str rest = text, tag = STR(NAME_TAG), model, ns = STR(NAME_NAMESPACE),
               host = STR(NAME_HOST);
    struct model_name n = {0};
    static const struct str schemes[] = {{"https://", 8}, {"http://", 7}};
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (str_starts(rest, schemes[i]))
            rest = str_slice(rest, schemes[i].n, rest.n);
    /* a ':' before a '/' parts a host from its port */
    size_t colon = find_last(rest, ':'), slash = find_last(rest, '/');
    if (colon < rest.n && (slash == rest.n || colon > slash))
        cut_last(&rest, ':', &tag);
    if (!cut_last(&rest, '/', &model)) {
        model = rest;
    } else if (!cut_last(&rest, '/', &ns)) {
        ns = rest;
    } else {
        host = rest;
    }
    enum status s = take_part(n.host, PART_HOST, host, text, false, err);
    if (s == OK)
        s = take_part(n.ns, PART_NS, ns, text, dots_in_namespace(n.host), err);
    if (s == OK)
        s = take_part(n.model, PART_MODEL, model, text, false, err);
    if (s == OK)
        s = take_part(n.tag, PART_TAG, tag, text, false, err);
    if (s == OK)
        *out = n;
    return s;
}

void name_short(const struct model_name *n, struct buf *out)
{
    if (strcasecmp(n->host, NAME_HOST) != 0)
        buf_printf(out, "%s/%s/", n->host, n->ns);
    else if (strcasecmp(n->ns, NAME_NAMESPACE) != 0)
        buf_printf(out, "%s/", n->ns);
    buf_printf(out, "%s:%s", n->model, n->tag);
}

void name_full(const struct model_name *n, struct buf *out)
{
    buf_printf(out, "%s/%s/%s:%s", n->host, n->ns, n->model, n->tag);
}

bool name_equal(const struct model_name *a, const struct model_name *b)
{
    return strcasecmp(a->host, b->host) == 0 && strcasecmp(a->ns, b->ns) == 0 &&
           strcasecmp(a->model, b->model) == 0 && strcasecmp(a->tag, b->tag) == 0;
}
