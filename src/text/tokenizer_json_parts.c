/* tokenizer.json: normalizers and pre-tokenizers, flattened into stages. */
#include "text/tokenizer_json.h"
#include <stdlib.h>

static enum status too_deep(struct json_loader *l, const char *what)
{
    return err_set(l->err, EFORMAT, "%s: Sequences nested more than %d deep", what, JSON_NESTING);
}

/* ---- normalizers ---- */

static enum status add_norm(struct json_loader *l, struct norm_stage s)
{
    struct tokenizer *t = l->t;
    struct norm_stage *norm =
        t->n_norm < MAX_STAGES ? mem_resize(t->norm, t->n_norm + 1, sizeof *norm) : NULL;
    if (!norm) {
        norm_stage_free(&s);
        return err_set(l->err, ELIMIT, "normalizer: more than %d stages, or no memory", MAX_STAGES);
    }
    t->norm = norm;
    t->norm[t->n_norm++] = s;
    return OK;
}

static enum status norm_unicode_form(struct json_loader *l, const json_t *part)
{
    char name[8] = "";
    struct str type = part_type(part);
    memcpy(name, type.p, type.n < 7 ? type.n : 7);
    return add_norm(l, (struct norm_stage){.kind = NORM_UNICODE, .form = norm_form(name)});
}

static enum status norm_lowercase(struct json_loader *l, const json_t *part)
{
    (void)part;
    return add_norm(l, (struct norm_stage){.kind = NORM_LOWER});
}

static enum status norm_strip_accents(struct json_loader *l, const json_t *part)
{
    (void)part;
    return add_norm(l, (struct norm_stage){.kind = NORM_STRIP_ACCENTS});
}

static enum status norm_nmt(struct json_loader *l, const json_t *part)
{
    (void)part;
    return add_norm(l, (struct norm_stage){.kind = NORM_NMT});
}

static enum status norm_byte_level(struct json_loader *l, const json_t *part)
{
    (void)part;
    return add_norm(l, (struct norm_stage){.kind = NORM_BYTE_ENCODE});
}

static enum status norm_strip(struct json_loader *l, const json_t *part)
{
    struct norm_stage s = {.kind = NORM_STRIP};
    enum status st = json_get_bool(part, "strip_left", &s.left, true, l->err);
    if (st == OK)
        st = json_get_bool(part, "strip_right", &s.right, true, l->err);
    return st == OK ? add_norm(l, s) : st;
}

static enum status norm_prepend(struct json_loader *l, const json_t *part)
{
    struct norm_stage s = {.kind = NORM_PREPEND};
    struct str text;
    enum status st = json_get_str(part, "prepend", &text, l->err);
    if (st != OK)
        return st;
    s.to = json_keep(l, text.p ? text : (struct str){"", 0});
    return s.to.p ? add_norm(l, s) : ENOMEMORY;
}

/* Llama's pair of Prepend and Replace is one pass over the text. */
static bool is_escape(const struct norm_stage *s)
{
    struct str space = {SPM_SPACE, 3};
    return s->kind == NORM_REPLACE && !s->regex && str_is(s->from, " ") && str_eq(s->to, space);
}

static enum status norm_replace(struct json_loader *l, const json_t *part)
{
    struct norm_stage s = {.kind = NORM_REPLACE};
    struct str regex, content;
    enum status st =
        json_pattern(l, json_object_get(part, "pattern"), "normalizer Replace", &s.from, &regex);
    if (st == OK)
        st = json_get_str(part, "content", &content, l->err);
    if (st != OK)
        return st;
    s.to = json_keep(l, content.p ? content : (struct str){"", 0});
    if (!s.to.p)
        return ENOMEMORY;
    if (regex.p) {
        st = regex_compile(&s.regex, regex, "normalizer Replace", l->err);
        return st == OK ? add_norm(l, s) : st;
    }
    if (is_escape(&s)) {
        struct tokenizer *t = l->t;
        struct norm_stage *last = t->n_norm ? &t->norm[t->n_norm - 1] : NULL;
        if (last && last->kind == NORM_PREPEND && str_eq(last->to, s.to)) {
            *last = (struct norm_stage){.kind = NORM_ESCAPE, .prefix = true};
            return OK;
        }
        s.kind = NORM_ESCAPE;
    }
    return add_norm(l, s);
}

static enum status norm_bert_part(struct json_loader *l, const json_t *part)
{
    struct norm_stage s = {.kind = NORM_BERT};
    enum status st = json_get_bool(part, "clean_text", &s.clean, true, l->err);
    if (st == OK)
        st = json_get_bool(part, "handle_chinese_chars", &s.chinese, true, l->err);
    if (st == OK)
        st = json_get_bool(part, "lowercase", &s.lowercase, true, l->err);
    if (st == OK)
        st = json_get_bool(part, "strip_accents", &s.strip_accents, s.lowercase, l->err);
    return st == OK ? add_norm(l, s) : st;
}

/* Value of a base64 digit, or -1. */
static int base64_digit(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+'             ? 62
           : c == '/'             ? 63
                                  : -1;
}

static enum status norm_precompiled(struct json_loader *l, const json_t *part)
{
    struct norm_stage s = {.kind = NORM_CHARSMAP};
    struct str text;
    enum status st = json_get_str(part, "precompiled_charsmap", &text, l->err);
    if (st != OK || !text.p || text.n == 0)
        return st; /* an empty map changes nothing */
    char *blob = malloc(text.n);
    if (!tokenizer_own(l->t, blob))
        return json_no_memory(l);
    size_t n = 0;
    uint32_t bits = 0;
    int have = 0;
    for (size_t i = 0; i < text.n && text.p[i] != '='; i++) {
        int d = base64_digit(text.p[i]);
        if (d < 0)
            return err_set(l->err, EFORMAT, "normalizer Precompiled: byte %zu is no base64", i);
        bits = bits << 6 | (uint32_t)d;
        have += 6;
        if (have >= 8)
            blob[n++] = (char)(bits >> (have -= 8));
    }
    st = charsmap_open(&s.charsmap, (struct str){blob, n}, l->err);
    return st == OK ? add_norm(l, s) : st;
}

typedef enum status part_fn(struct json_loader *l, const json_t *part);

static const struct {
    const char *type;
    part_fn *fn;
} norm_parts[] = {
    {"NFC", norm_unicode_form},
    {"NFD", norm_unicode_form},
    {"NFKC", norm_unicode_form},
    {"NFKD", norm_unicode_form},
    {"Lowercase", norm_lowercase},
    {"StripAccents", norm_strip_accents},
    {"Strip", norm_strip},
    {"Prepend", norm_prepend},
    {"Replace", norm_replace},
    {"BertNormalizer", norm_bert_part},
    {"Precompiled", norm_precompiled},
    {"Nmt", norm_nmt},
    {"ByteLevel", norm_byte_level},
};

enum status json_normalizer(struct json_loader *l, const json_t *part, int depth)
{
    if (!part || json_is_null(part))
        return OK;
    struct str type = part_type(part);
    if (str_is(type, "Sequence")) {
        const json_t *list = json_object_get(part, "normalizers");
        size_t i;
        json_t *v;
        enum status s = depth < JSON_NESTING ? OK : too_deep(l, "normalizer");
        json_array_foreach(list, i, v) s = s == OK ? json_normalizer(l, v, depth + 1) : s;
        return s;
    }
    for (size_t i = 0; i < sizeof norm_parts / sizeof *norm_parts; i++)
        if (str_is(type, norm_parts[i].type))
            return norm_parts[i].fn(l, part);
    return err_set(l->err, EUNSUPPORTED, "normalizer: type '%.*s' is not known", STR_ARG(type));
}

/* ---- pre-tokenizers ---- */

static enum status push_pre(struct json_loader *l, struct pre_stage s)
{
    struct tokenizer *t = l->t;
    struct pre_stage *pre =
        t->n_pre < MAX_STAGES ? mem_resize(t->pre, t->n_pre + 1, sizeof *pre) : NULL;
    if (!pre) {
        regex_free(s.regex);
        return err_set(l->err, ELIMIT, "pre_tokenizer: more than %d stages, or no memory",
                       MAX_STAGES);
    }
    t->pre = pre;
    t->pre[t->n_pre++] = s;
    return OK;
}

/* Stages behind ByteLevel work on its alphabet, not on the bytes. */
static enum status add_pre(struct json_loader *l, struct pre_stage s)
{
    if (l->byte_level && !l->encoded) {
        l->encoded = true;
        enum status st = push_pre(l, (struct pre_stage){.kind = PRE_BYTE_ENCODE});
        if (st != OK) {
            regex_free(s.regex);
            return st;
        }
    }
    return push_pre(l, s);
}

enum status json_pre_tokenizer_end(struct json_loader *l)
{
    return l->encoded ? push_pre(l, (struct pre_stage){.kind = PRE_BYTE_DECODE}) : OK;
}

static enum status pre_byte_level(struct json_loader *l, const json_t *part)
{
    bool prefix, regex;
    enum status s = json_get_bool(part, "add_prefix_space", &prefix, false, l->err);
    if (s == OK)
        s = json_get_bool(part, "use_regex", &regex, true, l->err);
    if (s == OK && l->byte_level)
        return err_set(l->err, EUNSUPPORTED, "pre_tokenizer: ByteLevel a second time");
    if (s == OK && prefix)
        s = add_pre(l, (struct pre_stage){.kind = PRE_SPACE});
    if (s == OK && regex)
        s = add_pre(l, (struct pre_stage){.kind = PRE_SPLIT, .fn = split_gpt2});
    l->byte_level = true;
    return s;
}

static enum status get_behavior(struct json_loader *l, const json_t *part, enum split_behavior *out)
{
    static const char *const names[] = {
        [BEHAVIOR_REMOVED] = "Removed",
        [BEHAVIOR_ISOLATED] = "Isolated",
        [BEHAVIOR_MERGED_PREVIOUS] = "MergedWithPrevious",
        [BEHAVIOR_MERGED_NEXT] = "MergedWithNext",
        [BEHAVIOR_CONTIGUOUS] = "Contiguous",
    };
    struct str name;
    enum status s = json_get_str(part, "behavior", &name, l->err);
    *out = BEHAVIOR_ISOLATED;
    if (s != OK || !name.p)
        return s;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (str_is(name, names[i])) {
            *out = (enum split_behavior)i;
            return OK;
        }
    return err_set(l->err, EFORMAT, "pre_tokenizer: behavior '%.*s' is not known", STR_ARG(name));
}

static enum status pre_split(struct json_loader *l, const json_t *part)
{
    struct pre_stage st = {.kind = PRE_FIND, .find = find_literal};
    struct str regex;
    enum status s = json_pattern(l, json_object_get(part, "pattern"), "pre_tokenizer Split",
                                 &st.literal, &regex);
    if (s == OK)
        s = get_behavior(l, part, &st.behavior);
    if (s == OK)
        s = json_get_bool(part, "invert", &st.invert, false, l->err);
    if (s != OK)
        return s;
    if (regex.p) {
        split_fn *fn = split_for_regex(regex);
        /* keeping the matches of a regex that takes all text is isolating them */
        bool isolates = st.behavior == BEHAVIOR_ISOLATED ||
                        (st.behavior == BEHAVIOR_REMOVED && st.invert && split_takes_all(fn));
        if (fn && isolates)
            return add_pre(l, (struct pre_stage){.kind = PRE_SPLIT, .fn = fn});
        st.find = find_regex;
        s = regex_compile(&st.regex, regex, "pre_tokenizer Split", l->err);
    }
    return s == OK ? add_pre(l, st) : s;
}

static enum status pre_metaspace(struct json_loader *l, const json_t *part)
{
    struct pre_stage st = {.kind = PRE_METASPACE};
    struct str replacement, scheme;
    bool prefix;
    enum status s = json_get_str(part, "replacement", &replacement, l->err);
    if (s == OK)
        s = json_get_bool(part, "add_prefix_space", &prefix, true, l->err);
    if (s == OK)
        s = json_get_str(part, "prepend_scheme", &scheme, l->err);
    if (s == OK)
        s = json_get_bool(part, "split", &st.split, true, l->err);
    if (s != OK)
        return s;
    st.literal = json_keep(l, replacement.p ? replacement : (struct str){SPM_SPACE, 3});
    if (!st.literal.p)
        return ENOMEMORY;
    if (st.literal.n == 0)
        return err_set(l->err, EFORMAT, "pre_tokenizer Metaspace: replacement is empty");
    st.prepend = !scheme.p                 ? (prefix ? PREPEND_ALWAYS : PREPEND_NEVER)
                 : str_is(scheme, "first") ? PREPEND_FIRST
                 : str_is(scheme, "never") ? PREPEND_NEVER
                                           : PREPEND_ALWAYS;
    return add_pre(l, st);
}

static enum status pre_find(struct json_loader *l, find_fn *find, enum split_behavior behavior,
                            bool invert)
{
    return add_pre(l, (struct pre_stage){
                          .kind = PRE_FIND, .find = find, .behavior = behavior, .invert = invert});
}

static enum status pre_whitespace(struct json_loader *l, const json_t *part)
{
    (void)part;
    return pre_find(l, find_word_or_symbols, BEHAVIOR_REMOVED, true);
}

static enum status pre_whitespace_split(struct json_loader *l, const json_t *part)
{
    (void)part;
    return pre_find(l, find_space, BEHAVIOR_REMOVED, false);
}

static enum status pre_bert(struct json_loader *l, const json_t *part)
{
    enum status s = pre_whitespace_split(l, part);
    return s == OK ? pre_find(l, find_punct, BEHAVIOR_ISOLATED, false) : s;
}

static enum status pre_digits(struct json_loader *l, const json_t *part)
{
    bool single;
    enum status s = json_get_bool(part, "individual_digits", &single, false, l->err);
    if (s != OK)
        return s;
    if (single)
        return add_pre(l, (struct pre_stage){.kind = PRE_SPLIT, .fn = split_digits});
    return pre_find(l, find_digit, BEHAVIOR_CONTIGUOUS, false);
}

static enum status pre_punctuation(struct json_loader *l, const json_t *part)
{
    enum split_behavior behavior;
    enum status s = get_behavior(l, part, &behavior);
    return s == OK ? pre_find(l, find_punct, behavior, false) : s;
}

static enum status pre_delimiter(struct json_loader *l, const json_t *part)
{
    struct pre_stage st = {.kind = PRE_FIND, .find = find_literal, .behavior = BEHAVIOR_REMOVED};
    struct str regex;
    enum status s = json_pattern(l, json_object_get(part, "delimiter"),
                                 "pre_tokenizer CharDelimiterSplit", &st.literal, &regex);
    return s == OK ? add_pre(l, st) : s;
}

static const struct {
    const char *type;
    part_fn *fn;
} pre_parts[] = {
    {"ByteLevel", pre_byte_level},
    {"Split", pre_split},
    {"Metaspace", pre_metaspace},
    {"Whitespace", pre_whitespace},
    {"WhitespaceSplit", pre_whitespace_split},
    {"BertPreTokenizer", pre_bert},
    {"Digits", pre_digits},
    {"Punctuation", pre_punctuation},
    {"CharDelimiterSplit", pre_delimiter},
};

enum status json_pre_tokenizer(struct json_loader *l, const json_t *part, int depth)
{
    if (!part || json_is_null(part))
        return OK;
    struct str type = part_type(part);
    if (str_is(type, "Sequence")) {
        const json_t *list = json_object_get(part, "pretokenizers");
        size_t i;
        json_t *v;
        enum status s = depth < JSON_NESTING ? OK : too_deep(l, "pre_tokenizer");
        json_array_foreach(list, i, v) s = s == OK ? json_pre_tokenizer(l, v, depth + 1) : s;
        return s;
    }
    for (size_t i = 0; i < sizeof pre_parts / sizeof *pre_parts; i++)
        if (str_is(type, pre_parts[i].type))
            return pre_parts[i].fn(l, part);
    return err_set(l->err, EUNSUPPORTED, "pre_tokenizer: type '%.*s' is not known", STR_ARG(type));
}
