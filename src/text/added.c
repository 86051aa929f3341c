/* Added tokens: strings that become their token wherever they stand in a text, before anything else
 * is done to it. A trie by bytes gives the longest one at the leftmost place, as Hugging Face's
 * matcher does; a table of first bytes skips text without any. */
#include "text/tokenizer_impl.h"
#include "text/unicode.h"
#include <stdlib.h>

static enum status insert(struct added_set *s, size_t *n_nodes, int32_t token)
{
    struct str text = s->token[token].content;
    int32_t *link = &s->root[(unsigned char)text.p[0]];
    for (size_t i = 0; i < text.n; i++) {
        unsigned char b = (unsigned char)text.p[i];
        while (*link >= 0 && s->node[*link].byte != b)
            link = &s->node[*link].sibling;
        if (*link < 0) {
            *link = (int32_t)*n_nodes;
            s->node[(*n_nodes)++] = (struct trie_node){-1, -1, -1, b};
        }
        struct trie_node *node = &s->node[*link];
        if (i + 1 == text.n)
            node->token = token;
        link = &node->child;
    }
    return OK;
}

enum status added_set_build(struct added_set *s, struct err *err)
{
    size_t bytes = 0, n_nodes = 0;
    for (size_t i = 0; i < s->n; i++)
        if (!size_add(bytes, s->token[i].content.n, &bytes) || bytes > INT32_MAX)
            return err_set(err, ELIMIT, "added tokens: more than %d bytes", INT32_MAX);
    memset(s->root, 0xff, sizeof s->root);
    s->node = mem_array(bytes, sizeof *s->node);
    if (!s->node)
        return err_set(err, ENOMEMORY, "tokenizer: no memory for %zu added tokens", s->n);
    for (size_t i = 0; i < s->n; i++) {
        if (s->token[i].content.n == 0)
            continue;
        if (insert(s, &n_nodes, (int32_t)i) != OK)
            return EFAIL;
        s->has_plain |= !s->token[i].special;
    }
    return OK;
}

void added_set_free(struct added_set *s)
{
    free(s->node);
    free(s->token);
    *s = (struct added_set){0};
}

static bool is_word(uint32_t cp)
{
    return cp == '_' || (unicode_class(cp) & (UC_LETTER | UC_NUMBER | UC_MARK));
}

/* Start of the character that ends at `at`. */
static size_t char_before(struct str text, size_t at)
{
    size_t back = 1;
    while (back < 4 && back < at && ((unsigned char)text.p[at - back] & 0xc0) == 0x80)
        back++;
    return at - back;
}

static bool stands_alone(struct str text, size_t start, size_t end)
{
    uint32_t cp;
    if (start > 0) {
        size_t before = char_before(text, start);
        utf8_decode(text.p + before, start - before, &cp);
        if (is_word(cp))
            return false;
    }
    if (end < text.n) {
        utf8_decode(text.p + end, text.n - end, &cp);
        if (is_word(cp))
            return false;
    }
    return true;
}

static void widen(const struct added_token *t, struct str text, size_t from, struct added_match *m)
{
    uint32_t cp;
    while (t->lstrip && m->start > from) {
        size_t before = char_before(text, m->start);
        utf8_decode(text.p + before, m->start - before, &cp);
        if (before < from || !(unicode_class(cp) & UC_SPACE))
            break;
        m->start = before;
    }
    while (t->rstrip && m->end < text.n) {
        int len = utf8_decode(text.p + m->end, text.n - m->end, &cp);
        if (!(unicode_class(cp) & UC_SPACE))
            break;
        m->end += (size_t)len;
    }
}

/* Longest token that starts at `at`, or NULL; tokens that are special only count when asked. */
static const struct added_token *longest_at(const struct added_set *s, struct str text, size_t at,
                                            bool parse_special)
{
    const struct added_token *best = NULL;
    int32_t link = s->root[(unsigned char)text.p[at]];
    for (size_t i = at; i < text.n; i++) {
        while (link >= 0 && s->node[link].byte != (unsigned char)text.p[i])
            link = s->node[link].sibling;
        if (link < 0)
            break;
        const struct trie_node *node = &s->node[link];
        if (node->token >= 0 && (parse_special || !s->token[node->token].special))
            best = &s->token[node->token];
        link = node->child;
    }
    return best;
}

struct added_match added_set_next(const struct added_set *s, struct str text, size_t from,
                                  bool parse_special)
{
    if (s->n == 0 || (!parse_special && !s->has_plain))
        return (struct added_match){NULL, text.n, text.n};
    for (size_t at = from; at < text.n; at++) {
        if (s->root[(unsigned char)text.p[at]] < 0)
            continue;
        const struct added_token *t = longest_at(s, text, at, parse_special);
        if (!t)
            continue;
        struct added_match m = {t, at, at + t->content.n};
        if (t->single_word && !stands_alone(text, m.start, m.end)) {
            at = m.end - 1;
            continue;
        }
        widen(t, text, from, &m);
        return m;
    }
    return (struct added_match){NULL, text.n, text.n};
}
