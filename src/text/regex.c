/* Regexes of tokenizer.json, by PCRE2 with JIT. They are written for Oniguruma in Ruby's syntax;
 * what means something else in PCRE2 is rewritten first: \s is the White_Space property, \w is
 * letters, marks, decimal numbers and connectors, \h is a hex digit, $ and ^ know lines. Patterns
 * come from files: PCRE2's match limits stand, and reaching one is an error of the encoding. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/tokenizer_impl.h"
#include <pcre2.h>
#include <stdlib.h>

struct regex {
    pcre2_code *code;
};

struct regex_scratch {
    pcre2_match_data *match;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
};

enum { MAX_PATTERN = 1 << 16, JIT_STACK = 1 << 20 };

#define SPACE_SET                                                                                  \
    "\\t-\\r\\x20\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}"   \
    "\\x{3000}"

/* Ruby's meaning of an escape, outside and inside a class; NULL: PCRE2's is the same. */
static const char *ruby_escape(char c, bool in_class)
{
    switch (c) {
    case 's': return in_class ? SPACE_SET : "[" SPACE_SET "]";
    case 'S': return in_class ? NULL : "[^" SPACE_SET "]";
    case 'w': return in_class ? "\\p{L}\\p{M}\\p{Nd}\\p{Pc}" : "[\\p{L}\\p{M}\\p{Nd}\\p{Pc}]";
    case 'W': return in_class ? NULL : "[^\\p{L}\\p{M}\\p{Nd}\\p{Pc}]";
    case 'h': return in_class ? "0-9a-fA-F" : "[0-9a-fA-F]";
    default: return NULL;
    }
}

static void translate(struct str pattern, struct buf *out)
{
    bool in_class = false;
    for (size_t i = 0; i < pattern.n; i++) {
        char c = pattern.p[i];
        if (c == '\\' && i + 1 < pattern.n) {
            const char *as = ruby_escape(pattern.p[i + 1], in_class);
            if (as)
                buf_adds(out, as);
            else
                buf_add(out, pattern.p + i, 2);
            i++;
            continue;
        }
        if (c == '[' && !in_class) {
            in_class = true;
            buf_addc(out, c);
            if (i + 1 < pattern.n && pattern.p[i + 1] == '^')
                buf_addc(out, pattern.p[++i]);
            if (i + 1 < pattern.n && pattern.p[i + 1] == ']')
                buf_addc(out, pattern.p[++i]);
            continue;
        }
        in_class &= c != ']';
        buf_addc(out, c);
    }
}

enum status regex_compile(struct regex **out, struct str pattern, const char *what, struct err *err)
{
    struct buf text;
    int code = 0;
    PCRE2_SIZE at = 0;
    *out = NULL;
    if (pattern.n > MAX_PATTERN)
        return err_set(err, EFORMAT, "%s: regex of %zu bytes, expected at most %d", what, pattern.n,
                       MAX_PATTERN);
    struct regex *r = mem_array(1, sizeof *r);
    buf_init(&text, 64 * MAX_PATTERN);
    translate(pattern, &text);
    if (!r || text.failed) {
        free(r);
        buf_release(&text);
        return err_set(err, ENOMEMORY, "%s: no memory for a regex", what);
    }
    r->code = pcre2_compile((PCRE2_SPTR)buf_str(&text).p, text.n,
                            PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_MATCH_INVALID_UTF |
                                PCRE2_NEVER_BACKSLASH_C,
                            &code, &at, NULL);
    buf_release(&text);
    if (!r->code) {
        PCRE2_UCHAR msg[128];
        pcre2_get_error_message(code, msg, sizeof msg);
        free(r);
        return err_set(err, EFORMAT, "%s: regex '%.*s': %s at %zu", what,
                       (int)(pattern.n < 200 ? pattern.n : 200), pattern.p, (char *)msg, at);
    }
    pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE); /* without JIT the interpreter serves */
    *out = r;
    return OK;
}

void regex_free(struct regex *r)
{
    if (!r)
        return;
    pcre2_code_free(r->code);
    free(r);
}

void regex_scratch_free(struct regex_scratch *s)
{
    if (!s)
        return;
    pcre2_match_data_free(s->match);
    pcre2_match_context_free(s->context);
    pcre2_jit_stack_free(s->stack);
    free(s);
}

static struct regex_scratch *scratch_new(void)
{
    struct regex_scratch *s = mem_array(1, sizeof *s);
    if (!s)
        return NULL;
    s->match = pcre2_match_data_create(1, NULL);
    s->context = pcre2_match_context_create(NULL);
    s->stack = pcre2_jit_stack_create(32 << 10, JIT_STACK, NULL);
    if (!s->match || !s->context || !s->stack) {
        regex_scratch_free(s);
        return NULL;
    }
    pcre2_jit_stack_assign(s->context, NULL, s->stack);
    return s;
}

bool regex_find(struct encoder *e, const struct regex *r, struct str text, size_t from,
                size_t *start, size_t *end)
{
    if (!e->scratch && !(e->scratch = scratch_new())) {
        encoder_fail(e, ENOMEMORY, "no memory for a regex match");
        return false;
    }
    int rc = pcre2_match(r->code, (PCRE2_SPTR)text.p, text.n, from, 0, e->scratch->match,
                         e->scratch->context);
    if (rc < 0) {
        if (rc != PCRE2_ERROR_NOMATCH)
            encoder_fail(e, ELIMIT, "a regex of the pre-tokenizer reached PCRE2's match limit");
        return false;
    }
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(e->scratch->match);
    *start = at[0];
    *end = at[1] < at[0] ? at[0] : at[1];
    return true;
}
