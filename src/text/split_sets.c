/* Splitters that isolate one set of characters: digits, punctuation, line ends, scripts. They are
 * the first stages of sequences (DeepSeek, Falcon, StarCoder); what is between two matches is a
 * piece too and goes to the next stage. */
#include "text/split_chars.h"

static size_t match_number(const char *p, size_t n)
{
    struct ch c = ch_at(p, n, 0);
    return c.cls & UC_NUMBER ? c.len : 0;
}

size_t split_digits(const char *p, size_t n) /* \p{N} */
{
    return split_isolate(p, n, match_number);
}

static size_t match_numbers(const char *p, size_t n)
{
    return run_of(p, n, 0, UC_NUMBER);
}

size_t split_numbers(const char *p, size_t n) /* \p{N}+ */
{
    return split_isolate(p, n, match_numbers);
}

static size_t match_numbers3(const char *p, size_t n)
{
    size_t at = 0;
    for (int k = 0; k < 3; k++) {
        struct ch c = ch_at(p, n, at);
        if (!(c.cls & UC_NUMBER))
            break;
        at += c.len;
    }
    return at;
}

size_t split_numbers3(const char *p, size_t n) /* \p{N}{1,3} */
{
    return split_isolate(p, n, match_numbers3);
}

static inline bool ascii_digit(char c)
{
    return c >= '0' && c <= '9';
}

static size_t match_three(const char *p, size_t n)
{
    return n >= 3 && ascii_digit(p[0]) && ascii_digit(p[1]) && ascii_digit(p[2]) ? 3 : 0;
}

size_t split_three(const char *p, size_t n) /* [0-9][0-9][0-9] */
{
    return split_isolate(p, n, match_three);
}

static size_t match_line_end(const char *p, size_t n)
{
    return n && (p[0] == '\r' || p[0] == '\n');
}

size_t split_line_ends(const char *p, size_t n) /* [\r\n] */
{
    return split_isolate(p, n, match_line_end);
}

static inline __attribute__((always_inline)) size_t match_falcon_set(const char *p, size_t n,
                                                                     const char *symbols)
{
    size_t at = 0;
    for (struct ch c; c = ch_at(p, n, at),
                      (c.cls & UC_PUNCT) || (c.cp && c.cp < 0x80 && strchr(symbols, (int)c.cp));)
        at += c.len;
    return at;
}

static size_t match_falcon(const char *p, size_t n)
{
    return match_falcon_set(p, n, "$+<=>^~|`");
}

size_t split_falcon_punct(const char *p, size_t n) /* [\p{P}\$\+<=>\^~\|`]+ */
{
    return split_isolate(p, n, match_falcon);
}

static size_t match_default(const char *p, size_t n)
{
    return match_falcon_set(p, n, "$+<=>^~|");
}

size_t split_default_punct(const char *p, size_t n) /* [\p{P}\$\+<=>\^~\|]+ */
{
    return split_isolate(p, n, match_default);
}

/* \s?X+ where X is a class or a set that holds no white space but U+3000 */
typedef bool in_set_fn(struct ch c);

static inline __attribute__((always_inline)) size_t match_spaced(const char *p, size_t n,
                                                                 in_set_fn *in)
{
    struct ch c = ch_at(p, n, 0);
    size_t at = 0;
    if (c.cls & UC_SPACE) {
        at = c.len;
        if (!in(ch_at(p, n, at))) {
            if (!in(c))
                return 0;
        }
    }
    size_t start = at;
    for (c = ch_at(p, n, at); in(c); c = ch_at(p, n, at))
        at += c.len;
    return at > start || in(ch_at(p, n, 0)) ? at : 0;
}

static bool is_letter(struct ch c)
{
    return c.cls & UC_LETTER;
}

static size_t match_letters(const char *p, size_t n)
{
    return match_spaced(p, n, is_letter);
}

size_t split_letters(const char *p, size_t n) /* \s?\p{L}+ */
{
    return split_isolate(p, n, match_letters);
}

static bool is_punct(struct ch c)
{
    return c.cls & UC_PUNCT;
}

static size_t match_puncts(const char *p, size_t n)
{
    return match_spaced(p, n, is_punct);
}

size_t split_puncts(const char *p, size_t n) /* \s?\p{P}+ */
{
    return split_isolate(p, n, match_puncts);
}

/* DeepSeek LLM's list of letters with case */
static const uint32_t cased_ranges[][2] = {
    {0x41, 0x5a},       {0x61, 0x7a},       {0xb5, 0xb5},       {0xc0, 0xd6},
    {0xd8, 0xf6},       {0xf8, 0x1ba},      {0x1bc, 0x1bf},     {0x1c4, 0x293},
    {0x295, 0x2af},     {0x370, 0x373},     {0x376, 0x377},     {0x37b, 0x37d},
    {0x37f, 0x37f},     {0x386, 0x386},     {0x388, 0x38a},     {0x38c, 0x38c},
    {0x38e, 0x3a1},     {0x3a3, 0x3f5},     {0x3f7, 0x481},     {0x48a, 0x52f},
    {0x531, 0x556},     {0x10a0, 0x10c5},   {0x13a0, 0x13f5},   {0x13f8, 0x13fd},
    {0x1c90, 0x1cba},   {0x1cbd, 0x1cbf},   {0x1d00, 0x1d2b},   {0x1d6b, 0x1d77},
    {0x1d79, 0x1d9a},   {0x1e00, 0x1f15},   {0x1f18, 0x1f1d},   {0x1f20, 0x1f45},
    {0x1f48, 0x1f4d},   {0x1f50, 0x1f57},   {0x1f59, 0x1f59},   {0x1f5b, 0x1f5b},
    {0x1f5d, 0x1f5d},   {0x1f5f, 0x1f7d},   {0x1f80, 0x1fb4},   {0x1fb6, 0x1fbc},
    {0x1fbe, 0x1fbe},   {0x1fc2, 0x1fc4},   {0x1fc6, 0x1fcc},   {0x1fd0, 0x1fd3},
    {0x1fd6, 0x1fdb},   {0x1fe0, 0x1fec},   {0x1ff2, 0x1ff4},   {0x1ff6, 0x1ffc},
    {0x2102, 0x2102},   {0x2107, 0x2107},   {0x210a, 0x2113},   {0x2115, 0x2115},
    {0x2119, 0x211d},   {0x2124, 0x2124},   {0x2126, 0x2126},   {0x2128, 0x2128},
    {0x212a, 0x212d},   {0x212f, 0x2134},   {0x2139, 0x2139},   {0x213c, 0x213f},
    {0x2145, 0x2149},   {0x214e, 0x214e},   {0x2183, 0x2184},   {0x2c00, 0x2c7b},
    {0x2c7e, 0x2ce4},   {0x2ceb, 0x2cee},   {0x2cf2, 0x2cf3},   {0xa640, 0xa66d},
    {0xa680, 0xa69b},   {0xa722, 0xa76f},   {0xa771, 0xa787},   {0xa78b, 0xa78e},
    {0xab70, 0xabbf},   {0xfb00, 0xfb06},   {0xfb13, 0xfb17},   {0xff21, 0xff3a},
    {0xff41, 0xff5a},   {0x10400, 0x1044f}, {0x104b0, 0x104d3}, {0x104d8, 0x104fb},
    {0x10c80, 0x10cb2}, {0x10cc0, 0x10cf2}, {0x118a0, 0x118df}, {0x1e900, 0x1e943}};

static bool is_cased(struct ch c)
{
    if (c.cp < 0x80)
        return c.cls & UC_LETTER;
    size_t lo = 0, hi = sizeof cased_ranges / sizeof *cased_ranges;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (c.cp > cased_ranges[mid][1])
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < sizeof cased_ranges / sizeof *cased_ranges && c.cp >= cased_ranges[lo][0];
}

static size_t match_cased(const char *p, size_t n)
{
    return match_spaced(p, n, is_cased);
}

size_t split_deepseek_words(const char *p, size_t n)
{
    return split_isolate(p, n, match_cased);
}

static bool is_deepseek_punct(struct ch c)
{
    uint32_t cp = c.cp;
    return (cp >= '!' && cp <= '/') || (cp >= ':' && cp <= '~') || (cp >= 0xff01 && cp <= 0xff0f) ||
           (cp >= 0xff1a && cp <= 0xff5e) || (cp >= 0x2018 && cp <= 0x201f) ||
           (cp >= 0x3000 && cp <= 0x3002);
}

static size_t match_deepseek_punct(const char *p, size_t n)
{
    return match_spaced(p, n, is_deepseek_punct);
}

/* \s?[!-/:-~\x{ff01}-\x{ff0f}\x{ff1a}-\x{ff5e}\x{2018}-\x{201f}\x{3000}-\x{3002}]+ */
size_t split_deepseek_punct(const char *p, size_t n)
{
    return split_isolate(p, n, match_deepseek_punct);
}

/* \s+$ : white space that ends the piece. Found from the end, so that a long run of spaces inside a
 * piece is not walked once per place. */
size_t split_trailing_space(const char *p, size_t n)
{
    size_t end = n;
    while (end > 0) {
        size_t back = 1;
        while (back < 4 && back < end && ((unsigned char)p[end - back] & 0xc0) == 0x80)
            back++;
        struct ch c = ch_at(p, n, end - back);
        if (c.len != back || !(c.cls & UC_SPACE))
            break;
        end -= back;
    }
    return end == 0 ? n : end;
}

static size_t match_cjk(const char *p, size_t n)
{
    size_t at = 0;
    for (struct ch c; c = ch_at(p, n, at),
                      (c.cp >= 0x800 && c.cp <= 0x9fa5) || (c.cp >= 0xac00 && c.cp <= 0xd7ff);)
        at += c.len;
    return at;
}

size_t split_deepseek_cjk(const char *p, size_t n) /* [\x{800}-\x{9fa5}\x{ac00}-\x{d7ff}]+ */
{
    return split_isolate(p, n, match_cjk);
}

static size_t match_han_kana(const char *p, size_t n)
{
    size_t at = 0;
    for (struct ch c; c = ch_at(p, n, at),
                      (c.cp >= 0x4e00 && c.cp <= 0x9fa5) || (c.cp >= 0x3040 && c.cp <= 0x30ff);)
        at += c.len;
    return at;
}

size_t split_han_kana(const char *p, size_t n) /* [\x{4e00}-\x{9fa5}\x{3040}-\x{30ff}]+ */
{
    return split_isolate(p, n, match_han_kana);
}

static inline bool ascii_letter(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* DeepSeek V3: [ASCII punctuation][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|
 * ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+; what no alternative takes (numbers, control
 * characters) stays together up to the next match. */
static size_t match_deepseek3(const char *p, size_t n)
{
    struct ch c = ch_at(p, n, 0), next = ch_at(p, n, c.len);
    if (c.cp < 0x80 && (c.cls & (UC_PUNCT | UC_SYMBOL)) && n > 1 && ascii_letter(p[1])) {
        size_t at = 2;
        while (at < n && ascii_letter(p[at]))
            at++;
        return at;
    }
    if (c.cls & (UC_LETTER | UC_MARK))
        return run_of(p, n, c.len, UC_LETTER | UC_MARK);
    if (!(c.cls & (UC_PUNCT | UC_SYMBOL)) && c.cp != '\r' && c.cp != '\n' &&
        (next.cls & (UC_LETTER | UC_MARK)))
        return run_of(p, n, c.len + next.len, UC_LETTER | UC_MARK);
    bool punct = c.cls & (UC_PUNCT | UC_SYMBOL);
    if (punct || (c.cp == ' ' && (next.cls & (UC_PUNCT | UC_SYMBOL)))) {
        size_t at = run_of(p, n, c.len, UC_PUNCT | UC_SYMBOL);
        while (at < n && (p[at] == '\r' || p[at] == '\n'))
            at++;
        return at;
    }
    return c.cls & UC_SPACE ? split_space(p, n, true) : 0;
}

size_t split_deepseek3(const char *p, size_t n)
{
    return split_isolate(p, n, match_deepseek3);
}

/* BLOOM:  ?[^(\s|.,!?\x{2026}\x{3002}\x{ff0c}\x{3001}\x{964}\x{6d4}\x{60c})]+ */
static bool is_bloom(struct ch c)
{
    static const uint32_t out[] = {'(',    '|',    '.',    ',',    '!',   '?',   ')',
                                   0x2026, 0x3002, 0xff0c, 0x3001, 0x964, 0x6d4, 0x60c};
    if (c.cls & (UC_SPACE | UC_END))
        return false;
    for (size_t i = 0; i < sizeof out / sizeof *out; i++)
        if (c.cp == out[i])
            return false;
    return true;
}

static size_t match_bloom(const char *p, size_t n)
{
    size_t start = p[0] == ' ', at = start;
    for (struct ch c; c = ch_at(p, n, at), is_bloom(c);)
        at += c.len;
    return at > start ? at : 0;
}

size_t split_bloom(const char *p, size_t n)
{
    return split_isolate(p, n, match_bloom);
}
